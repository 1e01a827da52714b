"""The normalizer beside a bare librdkafka relay: both drain the same preloaded raw.<region> into events.<region>.

Both read committed records and write in transactions of 100 ms with the same client settings; the relay (relay.c) writes as
many bytes as the normalizer does for the same input. They take turns, three rounds, each on topics of its own. A round's rate
is taken from the group's committed offsets, between a tenth of the records and the last one, so that neither start nor
joining counts; CPU is the process's own (getrusage), all of it.

TRAILBUS_BENCH_EVENTS: events a round, 400,000 by default, a multiple of 50,000.
"""
import json
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import time

import confluent_kafka

import stack as stacks

HERE = pathlib.Path(__file__).resolve().parent
EVENTS = int(os.environ.get("TRAILBUS_BENCH_EVENTS", "400000"))
REGIONS = ["cn-hangzhou", "cn-beijing", "cn-shanghai"]
WARM = "cn-shenzhen" # a first, short round, which does not count, warms the broker and tells the bytes that come out
PARTITIONS = 4
WARM_EVENTS = 100_000
LINES = 50_000 # distinct ones; each is published again under another id
ROUND_S = 120


def write_lines(file):
    """Events of the shapes in events.jsonl, of now, of many accounts; the producer library gives them their ids."""
    shapes = [json.loads(line) for line in (HERE / "events.jsonl").read_text().splitlines()]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with open(file, "w", encoding="utf-8") as out:
        for number in range(LINES):
            event = dict(shapes[number % len(shapes)], eventTime=now, requestId=f"{number * 2654435761 % 2**64:016X}",
                         recipientAccountId=str(1000000000010000 + number % 997))
            event.pop("acsRegion", None) # the region of the round
            out.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n")


def fill(stack, region, lines, count):
    began = time.monotonic()
    for _ in range(count // LINES):
        subprocess.run([stack.build / "tests" / "bench.emit", stack.env["TRAILBUS_KAFKA"], region, lines], check=True)
    return count / (time.monotonic() - began)


def client(stack, group):
    return confluent_kafka.Consumer({"bootstrap.servers": stack.env["TRAILBUS_KAFKA"], "group.id": group,
                                     "enable.auto.commit": False})


def value_bytes(stack, topics):
    """(records, bytes of their values) in all partitions of the topics."""
    reader = client(stack, "bench-reader")
    parts = [confluent_kafka.TopicPartition(topic, p, 0) for topic in topics for p in range(PARTITIONS)]
    ends = [reader.get_watermark_offsets(part)[1] for part in parts]
    reader.assign([part for part, end in zip(parts, ends) if end > 0])
    records = size = silent = 0
    while silent < 3: # a second apart: what is committed has long been written
        batch = reader.consume(10000, 1)
        silent = 0 if batch else silent + 1
        records += len(batch)
        size += sum(len(message) for message in batch)
    reader.close()
    return records, size


def drain(stack, group, region, count, command):
    """Runs a process until its group has committed all `count` records of raw.<region>."""
    watcher = client(stack, group)
    parts = [confluent_kafka.TopicPartition(f"raw.{region}", p) for p in range(PARTITIONS)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    log = open(stack.run / "log" / f"bench-{group}.log", "ab")
    process = subprocess.Popen([str(word) for word in command], stderr=log, stdout=log)
    until, first = time.monotonic() + ROUND_S, None
    while True:
        done = sum(max(part.offset, 0) for part in watcher.committed(parts, timeout=10))
        now = time.monotonic()
        if first is None and done >= count / 10:
            first = now, done
        if done >= count:
            break
        if now > until or process.poll() is not None:
            process.kill()
            raise RuntimeError(f"{group}: {done} of {count} after {ROUND_S} s; its log: {log.name}")
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    status = process.wait()
    watcher.close()
    log.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status != 0:
        raise RuntimeError(f"{group} ended with {status}; its log: {log.name}")
    return {"events_s": (done - first[1]) / max(now - first[0], 0.001),
            "cpu_s_per_million": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count * 1e6}


def row(name, rounds):
    rates = sorted(one["events_s"] for one in rounds)
    return {"name": name, "events_s": statistics.median(rates), "lowest": rates[0], "highest": rates[-1],
            "cpu_s_per_million": statistics.median(one["cpu_s_per_million"] for one in rounds)}


def run(stack):
    stack.start("kafka", "redis")
    stack.trailctl("topics", "apply")
    lines = stack.run / "lines"
    write_lines(lines)
    kafka, bin_folder = stack.env["TRAILBUS_KAFKA"], stack.build / "bin"
    rounds = {"relay": [], "normalizer": []}

    def normalizer(region, count=EVENTS):
        return drain(stack, f"trailbus.normalizer.{region}", region, count,
                     [bin_folder / "trailbus-normalizer", "--config", stack.env["TRAILBUS_CONFIG"], "--region", region])

    def relay(region, count=EVENTS):
        return drain(stack, "relay", region, count,
                     [stack.build / "tests" / "bench.relay", kafka, f"raw.{region}", f"events.{region}", "relay", f"{growth:.4f}"])

    fill(stack, WARM, lines, WARM_EVENTS)
    normalizer(WARM, WARM_EVENTS)
    read, read_bytes = value_bytes(stack, [f"raw.{WARM}"])
    written, written_bytes = value_bytes(stack, [f"events.{WARM}", "global"])
    if not read == written == WARM_EVENTS:
        raise RuntimeError(f"{read} events in, {written} out, wanted {WARM_EVENTS}")
    growth = written_bytes / read_bytes
    relay(WARM, WARM_EVENTS)
    for number, region in enumerate(REGIONS):
        published_s = fill(stack, region, lines, EVENTS)
        for side in (normalizer, relay) if number % 2 == 0 else (relay, normalizer):
            rounds[side.__name__].append(side(region))
            print(region, side.__name__, {key: round(value, 1) for key, value in rounds[side.__name__][-1].items()})

    rows = [row(name, each) for name, each in rounds.items()]
    by_name = {one["name"]: one for one in rows}
    return {"rows": rows, "ratio": by_name["normalizer"]["events_s"] / by_name["relay"]["events_s"],
            "cpu_ratio": by_name["normalizer"]["cpu_s_per_million"] / by_name["relay"]["cpu_s_per_million"],
            "events": EVENTS, "bytes_in": read_bytes / read, "bytes_out": written_bytes / read, "published_s": published_s}


def main(path):
    stack = stacks.Stack(regions=" ".join([*REGIONS, WARM]), name="-bench")
    try:
        result = run(stack)
    finally:
        stack.end()
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
