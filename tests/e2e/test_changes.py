"""Trails are changed while events come and workers die: each event lies where the settings before it say, and nobody hides an
act by changing the trail right after it."""
import concurrent.futures
import json
import os
import random
import signal
import threading
import time

import pytest
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from darabonba.exceptions import UnretryableException

import ledger
import load
import proof
import sdk
from wait import eventually

REGION = "cn-hangzhou"
ACCOUNTS, RATE, SECONDS, KILLS = 6, 500, 18, 5
WORKERS = ["normalizer", "delivery", "router", "api"]


# --- Changes under load --------------------------------------------------------------------------------------


class Owner(threading.Thread):
    """Changes its account's trail again and again, in every way there is. Remembers where it was delivered to."""

    def __init__(self, caller, number, seed):
        super().__init__(daemon=True)
        self.caller, self.number, self.rng = caller, number, random.Random(seed + number)
        self.account = caller.account["accountId"]
        self.prefixes, self.changes, self.refused = [], 0, 0
        self.stopped, self.error = threading.Event(), None

    def prefix(self):
        self.prefixes.append(f"change-{self.number}-{len(self.prefixes):03d}")
        return self.prefixes[-1]

    def run(self):
        try:
            while not self.stopped.is_set():
                self.change()
        except Exception as error:  # told by finish()
            self.error = error

    def change(self):
        try:
            ways = [self.stop, self.begin, self.narrow, self.widen, self.move, self.delete] if self.exists() else [self.create]
            self.rng.choice(ways)()
            self.changes += 1
        except AlibabaCloudException as error:
            assert error.code == "ServiceUnavailable", error  # it waited in vain, and changed nothing
            self.refused += 1
        except UnretryableException:  # the API was just killed: perhaps it was changed
            self.refused += 1
            time.sleep(0.1)

    def exists(self):
        return self.caller("DescribeTrails")["TrailList"]

    def create(self):
        self.caller("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=self.prefix())
        self.begin()

    def begin(self):
        self.caller("StartLogging", name="trail-1")

    def stop(self):
        self.caller("StopLogging", name="trail-1")

    def narrow(self):
        self.caller("UpdateTrail", name="trail-1", event_rw=self.rng.choice(["Read", "Write"]))

    def widen(self):
        self.caller("UpdateTrail", name="trail-1", event_rw="All")

    def move(self):
        self.caller("UpdateTrail", name="trail-1", oss_key_prefix=self.prefix())

    def delete(self):
        self.caller("DeleteTrail", name="trail-1")

    def finish(self):
        self.stopped.set()
        self.join(60)
        if self.error:
            raise self.error


def test_each_event_lies_where_the_settings_before_it_say(stack):
    seed = load.seed()
    rng = random.Random(seed)
    owners = [Owner(one, number, seed) for number, one in enumerate(sdk.callers(stack, ACCOUNTS))]
    accounts = [one.account for one in owners]
    with load.Load(stack.env["TRAILBUS_KAFKA"], RATE, seed, RATE * SECONDS, accounts, REGION, int(time.time())) as sender:
        for one in owners:
            one.start()
        for worker in (rng.choice(WORKERS) for _ in range(KILLS)):
            time.sleep(rng.uniform(1, 2 * SECONDS / KILLS - 1))  # the moment is what is random
            stack.kill(worker)
            stack.start(worker)
        sender.join(120)
    eventually(lambda: sum(one.changes for one in owners) >= 10 * ACCOUNTS or any(one.error for one in owners), 180)
    for one in owners:
        one.finish()
    proof.wait_until_quiet(stack)

    brokers = stack.env["TRAILBUS_KAFKA"]
    control, log = ledger.read_control(brokers), ledger.read_log(brokers, f"events.{REGION}")
    changes = sum(one.changes for one in owners)
    print(f"{changes} changes, {sum(one.refused for one in owners)} refused, {sum(len(one.prefixes) for one in owners)} destinations")
    for one in owners:
        seen = {}
        for prefix in one.prefixes:
            found = ledger.read(stack.s3(), control, stack.master_key(), "audit", prefix, log, quiet=True)
            for event in found.events:
                assert event not in seen, f"{event} lies in {seen[event]} and in {prefix}"
                seen[event] = prefix
        assert seen, f"account {one.account}: nothing was delivered"


# --- Nothing can be hidden -----------------------------------------------------------------------------------


def act(account, number, **members):
    """A write that somebody would like to hide."""
    return {"eventId": f"hidden-{account}-{number}", "eventName": "DeleteInstance", "serviceName": "Ecs", "eventRW": "Write",
            "eventTime": sdk.iso(time.time()), "recipientAccountId": account, **members}


def publish(stack, event):
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(event["recipientAccountId"], json.dumps(event).encode())], 1000).join()


WAYS = {
    "stopped": ("StopLogging", {}),
    "narrowed": ("UpdateTrail", {"event_rw": "Read"}),
    "moved": ("UpdateTrail", {"oss_key_prefix": "hidden-elsewhere"}),
    "taken from the region": ("UpdateTrail", {"trail_region": "cn-beijing"}),
    "deleted": ("DeleteTrail", {}),
}


def hidden_in(stack, one, event):
    """Whether the act lies in the bucket where the trail said it would when it happened."""
    proof.wait_until_quiet(stack)
    return event["eventId"] not in proof.in_buckets(stack, [one])[one.account]


def test_an_act_is_not_hidden_by_what_is_done_to_the_trail_behind_it(stack):
    """Each way by an account of its own, all while the normalizer stands still."""
    who = dict(zip(WAYS, proof.auditors(stack, len(WAYS), "hide")))
    events = {way: act(one.account, 1) for way, one in who.items()}
    slow = stack.pid(f"normalizer@{REGION}")

    def hide(way):
        action, parameters = WAYS[way]
        who[way].caller(action, name="trail-1", **parameters)

    os.kill(slow, signal.SIGSTOP)
    try:
        for event in events.values():
            publish(stack, event)
        threading.Timer(2, os.kill, (slow, signal.SIGCONT)).start()
        with concurrent.futures.ThreadPoolExecutor(len(WAYS)) as pool:
            list(pool.map(hide, WAYS))
    finally:
        os.kill(slow, signal.SIGCONT)
    proof.wait_until_quiet(stack)
    found = proof.in_buckets(stack, list(who.values()))
    hidden = [way for way, one in who.items() if events[way]["eventId"] not in found[one.account]]
    assert not hidden


def test_what_cannot_be_waited_for_is_refused_and_changes_nothing(stack):
    [one] = proof.auditors(stack, 1, "refuse")
    event = act(one.account, 1)
    slow = stack.pid(f"normalizer@{REGION}")
    os.kill(slow, signal.SIGSTOP)
    try:
        publish(stack, event)
        with sdk.refused("ServiceUnavailable", 503):
            one.caller("StopLogging", name="trail-1")
    finally:
        os.kill(slow, signal.SIGCONT)
    assert one.caller("GetTrailStatus", name="trail-1")["IsLogging"]
    assert not hidden_in(stack, one, event)
    one.caller("StopLogging", name="trail-1")


def test_a_global_act_waits_for_the_router(stack):
    [one] = proof.auditors(stack, 1, "global-hide")
    event = act(one.account, 1, eventName="CreateUser", serviceName="Ram")
    stack.kill("router")
    try:
        publish(stack, event)
        with sdk.refused("ServiceUnavailable", 503):
            one.caller("StopLogging", name="trail-1")
    finally:
        stack.start("router")
    eventually(lambda: stopped(one.caller))
    assert not hidden_in(stack, one, event)


# --- Forced by an operator -----------------------------------------------------------------------------------


def own_events(one):
    return [event for event in one.caller.events(("EventName", "StopLogging")) if not event.get("errorCode")]


def test_an_operator_forces_what_cannot_be_waited_for_and_it_shows(stack):
    [one] = proof.auditors(stack, 1, "forced")
    stack.kill("router")
    try:
        publish(stack, act(one.account, 1, eventName="CreateUser", serviceName="Ram"))
        with pytest.raises(RuntimeError, match="ServiceUnavailable"):
            stack.trailctl("trail", "stop", "trail-1", account=one.caller.account)
        assert one.caller("GetTrailStatus", name="trail-1")["IsLogging"]
        stack.trailctl("trail", "stop", "trail-1", "--force", account=one.caller.account)
        assert not one.caller("GetTrailStatus", name="trail-1")["IsLogging"]
        assert any(event["eventName"] == "StopLogging" and event["requestParameters"].get("Force") == "true"
                   for event in in_bucket(stack, one).values())
        [shown] = eventually(lambda: own_events(one))
        assert shown["requestParameters"]["Force"] == "true"
    finally:
        stack.start("router")


def in_bucket(stack, one):
    proof.wait_until_quiet(stack)
    return proof.in_buckets(stack, [one])[one.account]


def test_who_has_no_master_key_cannot_force(stack, tmp_path):
    [one] = proof.auditors(stack, 1, "unforced")
    foreign = tmp_path / "trailbus.conf"
    (tmp_path / "master.key").write_text("0" * 63 + "1\n")
    (tmp_path / "master.key").chmod(0o600)
    text = (stack.run / "trailbus.conf").read_text()
    foreign.write_text(text.replace(str(stack.run / "secrets" / "master.key"), str(tmp_path / "master.key")))
    with pytest.raises(RuntimeError, match="NoPermission"):
        stack.trailctl("trail", "stop", "trail-1", "--force", "--config", foreign, account=one.caller.account)
    assert one.caller("GetTrailStatus", name="trail-1")["IsLogging"]


def stopped(caller):
    try:
        return caller("StopLogging", name="trail-1")
    except AlibabaCloudException as error:
        if error.code != "ServiceUnavailable":
            raise
        return None
