"""Workers are killed at random moments while events come: each event is still there exactly once, unchanged."""
import collections
import concurrent.futures
import itertools
import os
import random
import signal
import time

import pytest

import load
import proof
import topics
from wait import eventually

REGION = "cn-hangzhou"
WORKERS = ["normalizer", "delivery", "history"]
EVENTS = int(os.environ.get("TRAILBUS_TEST_EVENTS", 60_000))
ACCOUNTS, KILLS, SECONDS = 12, 10, 30
BUSY = 20  # offsets behind the end: more than the markers of a transaction
COUNTED = 1000  # records in flight, at most
LOADS_MAX = 4  # one after the other, until there were enough kills: they take longer on a slow machine


class Killer:
    """Kills workers that have work in flight, and starts them again; several can be down at a time."""

    def __init__(self, stack, rng):
        self.stack, self.rng = stack, rng
        self.brokers = stack.env["TRAILBUS_KAFKA"]
        self.pool = concurrent.futures.ThreadPoolExecutor(len(WORKERS))
        self.starting = {}  # worker: what says that it is up again
        self.kills = collections.Counter()
        self.began = time.monotonic()

    def lag(self, worker):
        return topics.offsets_behind(self.brokers, proof.group(worker, REGION), proof.inputs(REGION)[worker])

    def victim(self):
        """One of those that are up and have work, of those killed least."""
        up = [worker for worker in WORKERS if worker not in self.starting or self.starting[worker].done()]
        busy = [worker for worker in up if self.lag(worker) >= BUSY]
        least = min((self.kills[worker] for worker in busy), default=0)
        return self.rng.choice([worker for worker in busy if self.kills[worker] == least]) if busy else None

    def kill(self, sender):
        """Once, if somebody has work before all is sent; only a kill with work in flight counts."""
        worker = eventually(lambda: self.victim() or (sender.ended() and "nobody"))
        if worker == "nobody":
            return
        pid, before_ms = self.stack.pid(f"{worker}@{REGION}"), time.time() * 1000
        os.kill(pid, signal.SIGKILL)
        topic = proof.inputs(REGION)[worker]
        committed = topics.committed_offsets(self.brokers, proof.group(worker, REGION), topic)
        self.starting[worker] = self.pool.submit(self.start, worker, self.rng.uniform(0, 0.5))
        flying = topics.records_behind(self.brokers, topic, committed, before_ms, COUNTED)
        self.kills[worker] += flying > 0
        print(f"{time.monotonic() - self.began:.1f} s: kill {self.kills.total()} of {KILLS}: {worker}, {flying}{'+' * (flying == COUNTED)} records in flight")

    def start(self, worker, pause_s):
        time.sleep(pause_s)
        self.stack.kill(worker)  # waits until it is gone: one that is dying would be taken for one that runs
        self.stack.start(worker)

    def finish(self):
        for started in self.starting.values():
            started.result()


@pytest.mark.small
def test_each_event_is_there_once_though_workers_are_killed(stack):
    seed = load.seed()
    rng = random.Random(seed)
    who = proof.auditors(stack, ACCOUNTS, "kills")
    accounts, now = [one.account for one in who], int(time.time())
    moments = sorted(rng.uniform(0.05, 0.9) * SECONDS for _ in range(KILLS))

    def sent():
        return itertools.chain(*(load.events(seed + part, EVENTS, accounts, REGION, now) for part in range(loads)))

    def say(what):
        print(f"{time.monotonic() - killer.began:.1f} s: {what}")

    killer, loads = Killer(stack, rng), 0
    while killer.kills.total() < KILLS:
        assert loads < LOADS_MAX, f"only {killer.kills.total()} kills met work in flight"
        with load.Load(stack.env["TRAILBUS_KAFKA"], EVENTS / SECONDS, seed + loads, EVENTS, accounts, REGION, now) as sender:
            loads += 1
            while killer.kills.total() < KILLS and not sender.ended():
                moment = killer.began + moments[killer.kills.total()]
                time.sleep(max(0, moment - time.monotonic()))  # the moment is what is random
                killer.kill(sender)
            say(f"{killer.kills.total()} kills")
            sender.join(120)
    say(f"{loads * EVENTS} events are sent")
    killer.finish()
    proof.wait_until_quiet(stack)
    say("quiet")
    proof.assert_same(sent(), proof.in_buckets(stack, who), "the bucket")
    say("the bucket is read")
    proof.assert_same(sent(), proof.in_history(who, now - 3600, now + 1), "the history")
    say("the history is read")
    assert all(killer.kills[worker] for worker in WORKERS)
