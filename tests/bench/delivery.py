"""Delivery of a preloaded log to an S3 server and to folders, beside joining, packing and digesting the same documents in memory
(pack.c), which is what it cannot do without.

Accounts have a trail each, all to one kind of store. The clock starts when the worker says that it is ready and stops when its group
has committed all. Three rounds of each, in turns, each with new trails, since what was delivered once is not delivered
again; those of the round before are deleted. CPU is the worker's own. TRAILBUS_BENCH_EVENTS: events a round, 300,000 by default.
"""
import itertools
import json
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import time

import ledger
import load
import proof
import stack as stacks
import topics
from wait import eventually

REGION = "cn-hangzhou"
EVENTS = int(os.environ.get("TRAILBUS_BENCH_EVENTS", "300000"))
ACCOUNTS, ROUNDS, ROUND_S = 12, 3, 300
FLUSH_BYTES = 8_000_000


def configure(stack, folder):
    """Folders for files-…, and the defaults of production, not of the local stack."""
    config = stack.run / "trailbus.conf"
    row = f'    {{ pattern = "files-*"; dialect = "files"; endpoint = "{folder}"; }},\n'
    text = config.read_text().replace("destinations = (\n", "destinations = (\n" + row)
    text = text.replace("flush_age_ms = 5000; flush_bytes = 1000000;", f"flush_age_ms = 500; flush_bytes = {FLUSH_BYTES};")
    assert row in text and str(FLUSH_BYTES) in text
    bench = stack.run / "bench.conf"
    bench.write_text(text)
    config.write_text(text)
    return bench


def behind(stack):
    """Whether delivery still has something to do: its group commits behind what every stream has settled."""
    return proof.is_behind(stack.env["TRAILBUS_KAFKA"], "delivery", REGION)


def deliver(stack, config):
    """Runs the worker until all is delivered."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = stack.run / "log" / "bench-delivery.log"
    with open(path, "wb") as log:
        process = subprocess.Popen([stack.build / "bin" / "trailbus-delivery", "--config", config, "--region", REGION],
                                   stderr=log, stdout=log)
        eventually(lambda: "msg=ready" in path.read_text(), every=0.01)
        began = time.monotonic()
        while behind(stack):
            assert process.poll() is None and time.monotonic() < began + ROUND_S, f"delivery does not end: {log.name}"
            time.sleep(0.05)
        took = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0, log.name
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"events_s": EVENTS / took,
            "cpu_s_per_million": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / EVENTS * 1e6}


def store_round(stack, config, name, bucket, number):
    """New accounts with trails, their events in the log, then the worker."""
    stack.start("delivery", "normalizer")
    who = proof.auditors(stack, ACCOUNTS, f"bench-{name}-{number}", bucket)
    stack.stop("delivery")
    made = load.events(number, EVENTS, [one.account for one in who], REGION, int(time.time()))
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION,
                ((event["recipientAccountId"], load.as_json(event)) for event in made), 1e9).join()
    proof.wait_until_quiet(stack, workers=["normalizer"])
    figures = deliver(stack, config)
    for one in who:
        one.caller("DeleteTrail", name="trail-1")
    return figures


def memory_round(stack, documents):
    done = subprocess.run([stack.build / "tests" / "bench.pack", documents, str(EVENTS), str(FLUSH_BYTES)], check=True,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


def row(name, rounds):
    rates = sorted(one["events_s"] for one in rounds)
    return {"name": name, "events_s": statistics.median(rates), "lowest": rates[0], "highest": rates[-1],
            "cpu_s_per_million": statistics.median(one["cpu_s_per_million"] for one in rounds)}


def write_documents(stack, file, count):
    schema = ledger.Schema("event.avsc")
    values = (record.value for record in topics.records(stack.env["TRAILBUS_KAFKA"], f"events.{REGION}") if record.value)
    documents = [schema.decode(value)["document"] for value in itertools.islice(values, count)]
    file.write_text("\n".join(documents))


def run(stack):
    folder = stack.run / "files"
    (folder / "files-audit").mkdir(parents=True)
    stack.up()
    config = configure(stack, folder)
    stack.restart("api")
    rounds = {"memory": [], "files": [], "s3": []}
    for number in range(ROUNDS):
        rounds["s3"].append(store_round(stack, config, "s3", "audit", number))
        rounds["files"].append(store_round(stack, config, "files", "files-audit", ROUNDS + number))
        if number == 0:
            write_documents(stack, stack.run / "documents", 20_000)
        rounds["memory"].append(memory_round(stack, stack.run / "documents"))
        print({name: {key: round(value, 1) for key, value in each[-1].items()} for name, each in rounds.items()}, flush=True)
    rows = [row(name, each) for name, each in rounds.items()]
    by_name = {one["name"]: one for one in rows}
    return {"rows": rows, "ratio": by_name["s3"]["events_s"] / by_name["memory"]["events_s"],
            "cpu_ratio": by_name["s3"]["cpu_s_per_million"] / by_name["memory"]["cpu_s_per_million"], "events": EVENTS}


def main(path):
    stack = stacks.Stack(regions=REGION, name="-bench")
    try:
        result = run(stack)
    finally:
        stack.end()
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
