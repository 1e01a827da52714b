"""The history's store beside bare SQLite: the same documents, committed as often, into one table without an index; three
rounds, in turns. TRAILBUS_BENCH_EVENTS: events a round, 300,000 by default.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("TRAILBUS_BUILD", ROOT / "build" / "release")) / "tests" / "bench.history"
EVENTS = os.environ.get("TRAILBUS_BENCH_EVENTS", "300000")
ROUNDS = 3


def once(side):
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        done = subprocess.run([PROGRAM, side, folder, EVENTS], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def row(name, rounds):
    rates = sorted(one["events_s"] for one in rounds)
    return {"name": name, "events_s": statistics.median(rates), "lowest": rates[0], "highest": rates[-1],
            "cpu_s_per_million": statistics.median(one["cpu_s_per_million"] for one in rounds)}


def main(path):
    rounds = {"sqlite": [], "ingest": []}
    for number in range(ROUNDS):
        for side in sorted(rounds, reverse=number % 2 == 0):
            rounds[side].append(once(side))
    rows = [row("bare SQLite", rounds["sqlite"]), row("history", rounds["ingest"])]
    result = {"rows": rows, "ratio": rows[1]["events_s"] / rows[0]["events_s"], "events": int(EVENTS)}
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
