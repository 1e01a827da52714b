"""What goes in while everything fails: events, as services send them, and calls of the API, as owners make them.

    Services  a process that publishes at a rate with a foreign Kafka client, and notes what was acknowledged
    Emitters  `trailctl emit`, some of them killed: then nobody knows what was acknowledged
    Owner     an account whose trail is created, changed, stopped and deleted again and again
    Asker     looks events up all the while

An event is a function of the seed and its number, so it need not be kept to be compared with what is found.
"""
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from confluent_kafka import Producer

import load
import sdk
from plan import REGIONS

EMITTED = 1 << 32  # numbers of emitters' events begin here
BATCH = 40
FLUSH_S = 120
LATE_S = 90
EMIT_S, PAUSE_S = 90, 0.3  # of an emitter: at most; between two
GLOBAL = [("Ram", "CreateUser"), ("Ram", "ListUsers"), ("Sts", "AssumeRole"), ("Ims", "DeleteUser"), ("Ims", "GetUser")]

Batch = collections.namedtuple("Batch", "numbers acknowledged time")


class Maker:
    """Events by number; of accounts with trails, of accounts that nobody registered, of users of another account."""

    def __init__(self, seed, accounts, now):
        self.seed, self.accounts, self.now = seed, accounts, now

    def region(self, number):
        return REGIONS[number // BATCH % 2] if number >= EMITTED else REGIONS[number % 2]

    def event(self, number):
        rng = random.Random(f"event {self.seed} {number}")
        made = load.event(rng, number, self.accounts, self.region(number), self.now)
        if rng.random() < 0.25:
            made["serviceName"], made["eventName"] = rng.choice(GLOBAL)
            made["eventSource"] = f"{made['serviceName'].lower()}.aliyuncs.com"
        if rng.random() < 0.1:
            made["userIdentity"]["accountId"] = "1999999999999999"
        if self.unusable(number):
            del made["eventName"]
        return made

    @staticmethod
    def unusable(number):
        return number < EMITTED and number % 100 == 11

    @staticmethod
    def again(number):
        """Sent twice, as a service does that did not see the acknowledgement."""
        return number % 40 == 7


# --- Services ----------------------------------------------------------------------------------------------


def publish(brokers, rate, seed, accounts, now, journal):
    """Until SIGTERM; then all that is not acknowledged yet gets its time. The journal: number and time of each acknowledgement,
    and at last how many numbers there were."""
    maker, ending, resend = Maker(seed, accounts, now), threading.Event(), collections.deque()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                         "partitioner": "murmur2_random", "log_level": 2})
    began, number = time.monotonic(), 0
    with open(journal, "w", encoding="ascii") as out:
        def send(number):
            event = maker.event(number)
            producer.produce(f"raw.{maker.region(number)}", load.as_json(event), event["recipientAccountId"],
                             headers=[("content-type", b"application/json")],
                             on_delivery=lambda error, _: error or out.write(f"{number} {time.time():.3f}\n"))

        while not ending.is_set():
            producer.poll(max(number / rate - (time.monotonic() - began), 0))
            send(number)
            if maker.again(number):
                resend.append((time.monotonic() + number % 3, number))
            while resend and resend[0][0] < time.monotonic():
                send(resend.popleft()[1])
            number += 1
        producer.flush(FLUSH_S)
        out.write(f"end {number}\n")


class Services:
    def __init__(self, stack, rate, seed, accounts, now):
        self.journal = pathlib.Path(stack.run) / "acknowledged"
        arguments = {"brokers": stack.env["TRAILBUS_KAFKA"], "rate": rate, "seed": seed, "accounts": accounts, "now": now,
                     "journal": str(self.journal)}
        self._process = subprocess.Popen([sys.executable, __file__, json.dumps(arguments)],
                                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    def end(self):
        """({number: time of its acknowledgement}, how many there were)."""
        self._process.terminate()
        assert self._process.wait(FLUSH_S + 30) == 0, "the services' process failed"
        *lines, last = self.journal.read_text().splitlines()
        acknowledged = {}
        for number, when in (line.split() for line in lines):
            acknowledged.setdefault(int(number), float(when))
        return acknowledged, int(last.split()[1])

    def kill(self):
        self._process.kill()
        self._process.wait()


class Emitters(threading.Thread):
    """`trailctl emit`, one batch after the other; every eighth is killed on its way."""

    def __init__(self, stack, maker):
        super().__init__(daemon=True)
        self.stack, self.maker, self.rng = stack, maker, random.Random(f"emitters {maker.seed}")
        self.batches, self.trouble, self._ending = [], [], threading.Event()
        self.start()

    def run(self):
        first = EMITTED
        while not self._ending.wait(PAUSE_S):
            self.batches.append(self.emit(range(first, first + BATCH)))
            first += BATCH

    def emit(self, numbers):
        lines = b"".join(load.as_json(self.maker.event(number)) + b"\n" for number in numbers for _ in range(1 + self.maker.again(number)))
        command = [self.stack.build / "bin" / "trailctl", "emit", "--region", self.maker.region(numbers[0])]
        deadline = self.rng.choice([EMIT_S] * 7 + [self.rng.uniform(0, 0.2)])
        with subprocess.Popen([str(word) for word in command], env={**os.environ, **self.stack.env}, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                _, said = process.communicate(lines, deadline)
            except subprocess.TimeoutExpired:
                process.kill()
                return Batch(numbers, False, time.time())
        if process.returncode:
            self.trouble.append(f"trailctl emit: status {process.returncode}: {said.decode(errors='replace').strip()[-200:]}")
        return Batch(numbers, process.returncode == 0, time.time())

    def end(self):
        self._ending.set()
        self.join(EMIT_S + 30)
        return self.batches


# --- Owners ------------------------------------------------------------------------------------------------

# outcome: done; refused; unclear: no answer, or that it could not be done in time, in which case it may come through yet
Call = collections.namedtuple("Call", "account action begun ended outcome request")


class Owner(threading.Thread):
    """Changes its account's only trail in every way there is. Nobody else does, so what the API answers must fit what it answered
    before; only behind a call whose outcome is unclear both may be."""

    BUSY = {"ServiceUnavailable"}
    CLOCK = {"InvalidTimeStamp.Expired"}
    UNSURE = {"TrailAlreadyExistsException", "TrailNotFoundException"}

    def __init__(self, caller, number, seed, clock_is_off):
        super().__init__(daemon=True)
        self.caller, self.number, self.rng = caller, number, random.Random(f"owner {seed} {number}")
        self.account, self.clock_is_off = caller.account["accountId"], clock_is_off
        self.prefixes, self.calls, self.trouble = [], [], []
        self.codes = collections.Counter()  # of refusals
        self.unsure, self._ending = True, threading.Event()
        self.exists, self.late_since = None, None  # the trail, as far as answers told

    def prefix(self):
        self.prefixes.append(f"owner-{self.number}-{len(self.prefixes):03d}")
        return self.prefixes[-1]

    def run(self):
        while not self._ending.is_set():
            try:
                self.change()
            except Exception as error:  # told at the end
                self.trouble.append(f"owner {self.number}: {type(error).__name__}: {error}")
            self._ending.wait(self.rng.uniform(0.05, 0.8))

    def call(self, action, **parameters):
        """The answer; None when there is none, or a refusal that may be."""
        begun, outcome, request, answer = time.time(), "unclear", None, None
        try:
            answer = self.caller(action, **parameters)
            outcome, request = "done", answer["RequestId"]
        except AlibabaCloudException as error:
            self.codes[error.code] += 1
            outcome, request = "unclear" if error.code in self.BUSY else "refused", error.request_id
            if error.code not in self.BUSY and not (error.code in self.CLOCK and self.clock_is_off()) \
                    and not (error.code in self.UNSURE and self.unsure):
                self.trouble.append(f"owner {self.number}: {action} was refused: {error.code}: {error.message}")
            if error.code in self.UNSURE:
                self.unsure = False
        except Exception:  # the SDK has many; all mean that no answer came
            pass
        self.calls.append(Call(self.account, action, begun, time.time(), outcome, request))
        if action != "DescribeTrails":
            self.unsure = outcome == "unclear" or (self.unsure and outcome == "refused")
            self.exists = {"CreateTrail": True, "DeleteTrail": False}.get(action, self.exists) if outcome == "done" else None
        if not request:
            self._ending.wait(0.3)
        return answer

    def change(self):
        seen = self.call("DescribeTrails")
        if seen is None or self.is_late(bool(seen["TrailList"])):
            return
        if not seen["TrailList"]:
            if self.call("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=self.prefix(),
                         trail_region=self.rng.choice(["All", *REGIONS])):
                self.call("StartLogging", name="trail-1")
            return
        ways = [("StartLogging", {})] * 3 + [("StopLogging", {}), ("DeleteTrail", {})]
        ways += [("UpdateTrail", {"event_rw": rw}) for rw in ("All", "Read", "Write")]
        ways += [("UpdateTrail", {"trail_region": regions}) for regions in ("All", *REGIONS)]
        action, parameters = self.rng.choice([*ways, ("UpdateTrail", None), ("UpdateTrail", None)])
        self.call(action, name="trail-1", **(parameters if parameters is not None else {"oss_key_prefix": self.prefix()}))

    def is_late(self, exists):
        """Queries answer from a view, which may be behind a change for a moment."""
        if self.exists in (None, exists):
            self.late_since = None
            return False
        self.late_since = self.late_since or time.monotonic()
        if time.monotonic() - self.late_since > LATE_S:
            self.trouble.append(f"owner {self.number}: DescribeTrails does not show what was done {LATE_S} s ago")
            self.exists = None
        return True

    def end(self):
        self._ending.set()
        self.join(60)


class Asker(threading.Thread):
    """Looks up what happened, of one account after the other: an answer never has an event twice."""

    def __init__(self, callers, clock_is_off):
        super().__init__(daemon=True)
        self.callers, self.clock_is_off = callers, clock_is_off
        self.answers, self.unanswered, self.trouble, self._ending = 0, 0, [], threading.Event()
        self.start()

    def run(self):
        number = 0
        while not self._ending.wait(1):
            number += 1
            try:
                events = self.callers[number % len(self.callers)].lookup(max_results="50")["Events"]
                ids = [event["eventId"] for event in events]
                self.answers += 1
                if len(ids) != len(set(ids)):
                    self.trouble.append("LookupEvents gave an event twice")
            except AlibabaCloudException as error:
                self.unanswered += 1
                if error.code != "ServiceUnavailable" and not (error.code in Owner.CLOCK and self.clock_is_off()):
                    self.trouble.append(f"LookupEvents was refused: {error.code}: {error.message}")
            except Exception:  # no answer
                self.unanswered += 1

    def end(self):
        self._ending.set()
        self.join(60)


def caller_of(stack, account, region):
    return sdk.caller(stack, account, endpoint=stack.env[f"TRAILBUS_API_{region.upper().replace('-', '_')}"])


if __name__ == "__main__":
    publish(**json.loads(sys.argv[1]))
