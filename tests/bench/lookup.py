"""What LookupEvents asks of the history, over 1,000,000 events of 200 accounts and 30 days: every kind of attribute, pairs, both
directions, further pages, three rounds of 5,000 queries. The limit is 20 ms at p99; `ratio` is the limit by the median of the
rounds' p99. TRAILBUS_BENCH_EVENTS: another number of events.
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
EVENTS = os.environ.get("TRAILBUS_BENCH_EVENTS", "1000000")
QUERIES, ROUNDS, LIMIT_MS = "5000", 3, 20


def run(side, folder, count):
    return json.loads(subprocess.run([PROGRAM, side, folder, count], check=True, capture_output=True, text=True).stdout)


def main(path):
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        run("ingest", folder, EVENTS)
        rounds = [run("lookup", folder, QUERIES) for _ in range(ROUNDS)]
    rows = [{"name": f"round {number + 1}", **one} for number, one in enumerate(rounds)]
    p99_ms = statistics.median(one["p99_ms"] for one in rounds)
    result = {"rows": rows, "ratio": LIMIT_MS / p99_ms, "p99_ms": p99_ms, "limit_ms": LIMIT_MS, "stored": int(EVENTS)}
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
