"""LookupEvents as a client sees it: signed requests over HTTP, a connection each, over 1,000,000 events of 200 accounts and the last 30
days. Every kind of attribute, pairs, both directions, further pages; each call is an event of its own, whose way into Kafka is waited for.

Three rounds of 2,000 calls, one after the other. The limit is 20 ms at p99; `ratio` is the limit by the median of the rounds' p99.
TRAILBUS_BENCH_EVENTS: another number of events.
"""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

import sdk
import stack as stacks
from wait import eventually

REGION, DAYS, DAY_S = "cn-hangzhou", 30, 86400
EVENTS = os.environ.get("TRAILBUS_BENCH_EVENTS", "1000000")
CALLS, ROUNDS, LIMIT_MS = 2000, 3, 20
ASKING = [0, 1, 50, 100, 199]  # of the accounts of history.c: the first has a tenth of all events


def attributes(rng):
    """As auditors ask: history.c draws the same."""
    resource = ("ResourceName", f"i-{rng.randrange(2000)}")
    user = ("User", f"user-{rng.randrange(50)}")
    return rng.choice([[], [("EventName", "StopInstance")], [user], [resource], [("EventAccessKeyId", f"LTAI{rng.randrange(100):012x}")],
                       [("EventRW", "Write")], [("ServiceName", "Rds"), user], [resource, ("EventName", "DescribeInstances")]])


def parameters(rng, now):
    made = {"StartTime": sdk.iso(now - DAYS * DAY_S), "EndTime": sdk.iso(now), "MaxResults": rng.choice(["20", "50"]),
            "Direction": rng.choice(["BACKWARD", "BACKWARD", "BACKWARD", "FORWARD"])}
    for number, (key, value) in enumerate(attributes(rng), 1):
        made |= {f"LookupAttribute.{number}.Key": key, f"LookupAttribute.{number}.Value": value}
    return made


def timed(api, account, query):
    """The answer, and how long it took in ms; signing is the client's own."""
    headers = sdk.acs3_headers(account, api, "POST", "LookupEvents", query)
    headers["Host"] = headers.pop("host")
    target = "/?" + sdk.canonical(query)
    began = time.perf_counter()
    answer = sdk.send(api, "POST", target, headers)
    took_ms = (time.perf_counter() - began) * 1000
    assert answer.status == 200, answer
    return json.loads(answer.body), took_ms


def one_round(api, accounts, rng, now):
    took, events, further = [], 0, 0
    for _ in range(CALLS):
        account, query = rng.choice(accounts), parameters(rng, now)
        said, took_ms = timed(api, account, query)
        if "NextToken" in said and rng.random() < 0.5:  # the second page counts, not the first
            said, took_ms = timed(api, account, query | {"NextToken": said["NextToken"]})
            further += 1
        took.append(took_ms)
        events += len(said["Events"])
    took.sort()
    return {"calls": CALLS, "events": events, "further_pages": further, "p50_ms": took[CALLS // 2], "p90_ms": took[CALLS * 9 // 10],
            "p99_ms": took[CALLS * 99 // 100], "max_ms": took[-1]}


def run(stack):
    history, first_day = stack.run / "data" / "history", int(time.time()) // DAY_S - DAYS
    stack.start("kafka", "redis", "objects")
    stack.trailctl("topics", "apply")
    subprocess.run([stack.build / "tests" / "bench.history", "ingest", history, EVENTS, str(first_day)], check=True,
                   stdout=subprocess.DEVNULL)
    accounts = [json.loads(stack.trailctl("account", "create", "--json", "--id", str(1000000000010000 + n))) for n in ASKING]
    stack.start("api")
    api, now, rng = stack.env["TRAILBUS_API"], int(time.time()), random.Random(1)
    for account in accounts:
        eventually(lambda: sdk.acs3(api, account, "DescribeRegions").status == 200)
    rounds = [one_round(api, accounts, rng, now) for _ in range(ROUNDS)]
    assert all(one["events"] for one in rounds)
    p99_ms = statistics.median(one["p99_ms"] for one in rounds)
    return {"rows": [{"name": f"round {number + 1}", **one} for number, one in enumerate(rounds)],
            "ratio": LIMIT_MS / p99_ms, "p99_ms": p99_ms, "limit_ms": LIMIT_MS, "stored": int(EVENTS)}


def main(path):
    stack = stacks.Stack(regions=REGION, name="-bench")
    try:
        result = run(stack)
    finally:
        stack.end()
    pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
