"""Chaos with the real processes: load, faults at random moments, then every event is looked for. README.md tells more.

TRAILBUS_TEST_MINUTES (4) and TRAILBUS_TEST_SEED: how long, and what is done when. The last lines say what is wrong, if anything is.
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import books  # noqa: E402
import faults  # noqa: E402
import load  # noqa: E402
import oracle  # noqa: E402
import plan  # noqa: E402
import sdk  # noqa: E402
import traffic  # noqa: E402
from stack import Stack, free_ports  # noqa: E402
from wait import eventually  # noqa: E402

SEED = 20261128
MINUTES = 4
RATE = 220  # of the services; the emitters come on top
STEADY, OWNERS, STRANGERS = 6, 5, 4  # accounts: with a trail that stays, with one that changes, that nobody registered
QUIET_S = 300
WATCH_ACCOUNT = "1000000000000001"
WATCH = 'watch: { look_ms = 1000; after_ms = 5000; account = "%s"; canary_period_ms = 5000; stall_after_ms = 120000; };'
REASONS, REASON_SIZE = 30, 800


def put_between(stack):
    """A proxy between the workers and the store."""
    store, [port] = stack.env["TRAILBUS_S3"], free_ports(1)
    file = stack.run / "trailbus.conf"
    text = file.read_text()
    assert store in text
    file.write_text(text.replace(store, f"http://127.0.0.1:{port}"))
    return faults.Proxy(port, store.rsplit(":", 1)[1])


def watch_closely(stack, account=""):
    """What differs for seconds is an alarm already; `account`: whose events canaries are."""
    file = stack.run / "trailbus.conf"
    text, count = re.subn("^watch: .*$", WATCH % account, file.read_text(), flags=re.MULTILINE)
    assert count == 1
    file.write_text(text)


class Run:
    def __init__(self, seed, minutes):
        self.seed, self.minutes, self.now = seed, minutes, int(time.time())
        self.began, self.reasons = time.monotonic(), []
        self.stack, self.proxy, self.fleet, self.services = Stack(name="-chaos"), None, None, None

    def say(self, what):
        print(f"{time.monotonic() - self.began:.0f} s: {what}", flush=True)

    def start(self):
        self.stack.start("redis")  # which chooses ports for all
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(self.stack.start, ("kafka", "objects")))
        self.stack.trailctl("topics", "apply")
        self.stack.s3().create_bucket(Bucket="audit")
        self.proxy = put_between(self.stack)
        watch_closely(self.stack, WATCH_ACCOUNT)
        self.fleet = faults.Fleet(self.stack)
        self.fleet.start_all()
        self.steady = [traffic.caller_of(self.stack, self.stack.account(), plan.REGIONS[n % 2]) for n in range(STEADY)]
        watch = json.loads(self.stack.trailctl("account", "create", "--id", WATCH_ACCOUNT, "--json"))
        sdk.logging_trail(traffic.caller_of(self.stack, watch, plan.REGIONS[0]), "canaries", "audit", "canaries")
        for number, caller in enumerate(self.steady):
            sdk.logging_trail(caller, "trail-1", "audit", f"steady-{number}")
        owned = [traffic.caller_of(self.stack, self.stack.account(), plan.REGIONS[n % 2]) for n in range(OWNERS)]
        self.owners = [traffic.Owner(one, number, self.seed, lambda: self.fleet.clock_is_off("api")) for number, one in enumerate(owned)]
        self.accounts = [one.account["accountId"] for one in (*self.steady, *owned)] + load.account_ids(STRANGERS)
        self.say("the stack is up")

    def rage(self):
        seconds = self.minutes * 60
        self.maker = traffic.Maker(self.seed, self.accounts, self.now)
        self.services = traffic.Services(self.stack, RATE, self.seed, self.accounts, self.now)
        self.emitters = traffic.Emitters(self.stack, self.maker)
        self.asker = traffic.Asker(self.steady, lambda: self.fleet.clock_is_off("api"))
        for owner in self.owners:
            owner.start()
        self.driver = faults.Driver(self.stack, self.fleet, self.proxy)
        self.driver.run(plan.schedule(self.seed, seconds), seconds)
        self.fleet.start_missing()
        self.say("all faults are healed")

    def calm(self):
        for one in (self.asker, *self.owners):
            one.end()
        batches = self.emitters.end()
        acknowledged, count = self.services.end()
        for batch in batches:
            acknowledged.update((number, batch.time) for number in batch.numbers if batch.acknowledged)
        self.sent = oracle.Sent(self.maker, [*range(count), *(n for batch in batches for n in batch.numbers)], acknowledged)
        self.calls = [call for owner in self.owners for call in owner.calls]
        self.prefixes = ["canaries"] + [f"steady-{n}" for n in range(STEADY)] + [prefix for owner in self.owners for prefix in owner.prefixes]
        codes = sum((owner.codes for owner in self.owners), collections.Counter())
        self.say(f"{len(acknowledged)} of {len(self.sent.numbers)} events acknowledged; calls of owners: "
                 f"{dict(collections.Counter(call.outcome for call in self.calls))}, refused with {dict(codes)}; "
                 f"of the asker: {self.asker.answers} answered, {self.asker.unanswered} not")
        self.see_canaries()
        self.fleet.stop("api")  # what it still does for callers that have gone is done then
        brokers = self.stack.env["TRAILBUS_KAFKA"]
        eventually(lambda: not self.still(oracle.behind(brokers)), QUIET_S, every=1, what="groups have committed all")
        eventually(lambda: not self.still(oracle.waiting(self.stack, self.prefixes)), QUIET_S, every=1, what="all is delivered")
        self.say("quiet")

    def see_canaries(self):
        """No alarm stands, and canaries come everywhere. Then there are no more of them, so that all becomes quiet: a watch without goes on
        from what the one before remembered."""
        for name in sorted(self.fleet.running):
            if name.startswith("watch."):
                self.fleet.stop(name)  # what is told is of one
        eventually(lambda: books.fresh(self.stack), QUIET_S, every=1, what="canaries come to each stage")
        eventually(lambda: not self.still(books.alarms(self.stack)), QUIET_S, every=1, what="no alarm stands")
        self.fleet.stop("watch")
        watch_closely(self.stack)
        self.fleet.start("watch")
        self.say("no alarm stands")

    def still(self, what):
        self.waiting = what
        return what

    def judge(self):
        verdict = oracle.judge(self.say, self.fleet, self.stack, self.sent, self.prefixes, self.calls, list(zip(self.steady[:2], plan.REGIONS)), self.now)
        self.say("judged")
        for name in list(self.fleet.running):
            self.fleet.stop(name)
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.driver.counts.items()))
        print(f"chaos: seed {self.seed}, {self.minutes:g} minutes: {len(self.sent.acknowledged)} events acknowledged, "
              f"{self.driver.counts.total()} faults ({kinds}); {verdict.text()}")
        self.reasons += [f"a false alarm: {line}" for line in books.false_alarms(self.fleet)]
        self.reasons += verdict.reasons() + self.fleet.found + self.driver.errors + self.emitters.trouble + self.asker.trouble
        self.reasons += [said for owner in self.owners for said in owner.trouble]

    def whole(self):
        try:
            for part in (self.start, self.rage, self.calm, self.judge):
                part()
        except Exception as error:  # told last, where it is seen
            traceback.print_exc()
            self.reasons.append(f"{type(error).__name__}: {error}; waiting for: {getattr(self, 'waiting', None)}")
            self.reasons += self.fleet.found if self.fleet else []

    def end(self):
        if self.services:
            self.services.kill()
        if self.fleet:
            self.fleet.end()
        if self.proxy:
            self.proxy.end()
        self.stack.end(keep=bool(self.reasons))


def main():
    seed = int(os.environ.get("TRAILBUS_TEST_SEED") or SEED)
    minutes = float(os.environ.get("TRAILBUS_TEST_MINUTES") or MINUTES)
    print(f"TRAILBUS_TEST_SEED={seed}", flush=True)
    run = Run(seed, minutes)
    try:
        run.whole()
    finally:
        run.end()
    if run.reasons:
        print(f"logs: {run.stack.run / 'log'}")
        for reason in run.reasons[:REASONS]:
            print(f"chaos failed: {reason[:REASON_SIZE]}")
    sys.stdout.flush()
    os._exit(bool(run.reasons))  # threads that hang are no reason to


if __name__ == "__main__":
    main()
