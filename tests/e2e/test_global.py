"""Events of global services: seen in every region, delivered by the home regions of their trails, each once.

What is in buckets and queries is looked at with boto3 and the official SDK. The last test reads the log, too: whether each copy
went where the settings before it in `global` say, computed here anew.
"""
import collections
import contextlib
import gzip
import itertools
import json
import random
import threading
import time

import pytest
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException

import ledger
import load
import routes
import sdk
import topics
from wait import eventually

HERE, THERE = REGIONS = ["cn-hangzhou", "ap-southeast-1"]  # the first one's history keeps global events
BUCKET = "audit"
RATE = 150  # events a second and region
KILLS, KILLING_S = 6, 180
QUIET_S = 90
GLOBAL = [("Ram", "CreateUser"), ("Ram", "ListUsers"), ("Sts", "AssumeRole"), ("Ims", "DeleteUser"), ("Ims", "GetUser")]


# --- What is sent, and what is found ------------------------------------------------------------------------


def event(rng, number, accounts, region, everywhere):
    made = load.event(rng, number, accounts, region)
    if everywhere:
        made["serviceName"], made["eventName"] = rng.choice(GLOBAL)
        made["eventSource"] = f"{made['serviceName'].lower()}.aliyuncs.com"
    return made


def is_global(one):
    return (one["serviceName"], one["eventName"]) in GLOBAL


def of_account(sent, one):
    """What was sent ({region: events}) of an account: {region: its regional events}, all its global ones."""
    own = {region: [e for e in sent[region] if e["recipientAccountId"] == one.id] for region in REGIONS}
    return ({region: [e for e in own[region] if not is_global(e)] for region in REGIONS},
            [e for region in REGIONS for e in own[region] if is_global(e)])


def ids(events):
    return collections.Counter(one["eventId"] for one in events if one["serviceName"] != "Actiontrail")


def send(stack, region, events):
    pairs = ((one["recipientAccountId"], load.as_json(one)) for one in events)
    return load.Sender(stack.env["TRAILBUS_KAFKA"], region, pairs, RATE)


class Traffic:
    """Events of these accounts in both regions, three global ones to one of the region, for as long as the context lasts."""

    def __init__(self, stack, accounts, seed):
        self.stack, self.accounts, self.seed = stack, [one.id for one in accounts], seed
        self.sent, self.ending = {region: [] for region in REGIONS}, threading.Event()

    def made(self, region):
        rng = random.Random(f"{self.seed} {region}")
        for number in itertools.count():
            if self.ending.is_set():
                return
            self.sent[region].append(event(rng, number, self.accounts, region, number % 4 != 3))
            yield self.sent[region][-1]

    def __enter__(self):
        self.senders = [send(self.stack, region, self.made(region)) for region in REGIONS]
        return self

    def __exit__(self, *_):
        self.ending.set()
        for sender in self.senders:
            sender.join(120)


class Account:
    """An account with a caller in each region."""

    def __init__(self, stack):
        self.stack, keys = stack, stack.account()
        self.id = keys["accountId"]
        self.at = {region: sdk.caller(stack, keys, endpoint=stack.env[f"TRAILBUS_API_{region.upper().replace('-', '_')}"])
                   for region in REGIONS}

    def trail(self, home, prefix, **settings):
        sdk.logging_trail(self.at[home], prefix, BUCKET, prefix, **settings)
        return prefix

    def queried(self, region, *attributes):
        now = time.time()
        return self.at[region].events(*attributes, start_time=sdk.iso(now - 3600), end_time=sdk.iso(now))

    def delivered(self, prefix):
        """{region of the directory: the events of all its objects}"""
        found, s3 = {region: [] for region in REGIONS}, self.stack.s3()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/AliyunLogs/Actiontrail/"):
            for row in page.get("Contents", []):
                body = s3.get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read()
                found[row["Key"].split("/")[3]] += json.loads(gzip.decompress(body))
        return found


def wait_until_quiet(stack):
    """Every record has passed every worker, in their order."""
    brokers = stack.env["TRAILBUS_KAFKA"]
    groups = [(f"trailbus.normalizer.{region}", f"raw.{region}") for region in REGIONS] + [("trailbus.router", "global")]
    groups += [(f"trailbus.{worker}.{region}", f"events.{region}") for worker in ("history", "delivery") for region in REGIONS]
    for group, topic in groups:
        def passed(group=group, topic=topic):
            return topics.records_behind(brokers, topic, topics.committed_offsets(brokers, group, topic), most=1) == 0

        eventually(passed, QUIET_S, every=0.3, what=f"{group} has passed {topic}")


# --- The tests ----------------------------------------------------------------------------------------------


@pytest.mark.small
def test_a_global_event_is_seen_everywhere_and_delivered_at_home(stack):
    rng, one = random.Random(load.seed()), Account(stack)
    everything = one.trail(HERE, "global-all")
    abroad = one.trail(THERE, "global-abroad", trail_region=HERE)
    several = one.trail(HERE, "global-list", trail_region=f"{THERE},cn-beijing")
    sent = {region: event(rng, n, [one.id], region, False) for n, region in enumerate(REGIONS)}
    everywhere = event(rng, 2, [one.id], THERE, True)
    for region in REGIONS:
        send(stack, region, [sent[region]] + [everywhere] * (region == THERE)).join(60)
    wait_until_quiet(stack)

    shown = {}
    for region in REGIONS:
        assert ids(one.queried(region)) == ids([sent[region], everywhere]), region
        [shown[region]] = one.queried(region, ("EventId", everywhere["eventId"]))
        assert not load.lost_fields(everywhere, shown[region])
        assert shown[region]["isGlobal"] is True and shown[region]["acsRegion"] == THERE
    assert json.dumps(shown[HERE]) == json.dumps(shown[THERE])

    def found(prefix):
        return {region: ids(events) for region, events in one.delivered(prefix).items()}

    assert found(everything) == {HERE: ids([sent[HERE], everywhere]), THERE: ids([sent[THERE]])}
    assert found(abroad) == {HERE: ids([sent[HERE]]), THERE: ids([everywhere])}
    assert found(several) == {HERE: ids([everywhere]), THERE: ids([sent[THERE]])}
    assert shown[HERE] in one.delivered(everything)[HERE]


@contextlib.contextmanager
def second_router(stack):
    stack.start("router.2")
    try:
        yield
    finally:
        stack.stop("router.2")


def kill_routers(stack, rng):
    """Kills one of two routers at random moments and starts it again, until so many kills met records in flight."""
    brokers, met, until = stack.env["TRAILBUS_KAFKA"], 0, time.monotonic() + KILLING_S
    while met < KILLS:
        assert time.monotonic() < until, f"only {met} kills in {KILLING_S} s met records in flight"
        time.sleep(rng.uniform(0.2, 2))  # the moment is what is random
        name, before_ms = rng.choice(["router", "router.2"]), time.time() * 1000
        stack.kill(name)
        committed = topics.committed_offsets(brokers, "trailbus.router", "global")
        stack.start(name)
        flying = topics.records_behind(brokers, "global", committed, before_ms)
        print(f"{name} was killed with {flying} records in flight")
        met += flying > 0


def test_each_global_event_comes_once_though_routers_are_killed(stack):
    seed = load.seed()
    accounts = [Account(stack) for _ in range(4)]
    homes = [[HERE], [THERE], [HERE, THERE], []]
    trails = [[(home, one.trail(home, f"routed-{number}-{home}")) for home in homes[number]]
              for number, one in enumerate(accounts)]
    with second_router(stack):
        with Traffic(stack, accounts, seed) as traffic:
            kill_routers(stack, random.Random(seed))
        wait_until_quiet(stack)
    print(f"{sum(map(len, traffic.sent.values()))} events")

    for one, mine in zip(accounts, trails):
        regional, everywhere = of_account(traffic.sent, one)
        for region in REGIONS:
            assert ids(one.queried(region)) == ids(regional[region] + everywhere), f"query in {region}"
        for home, prefix in mine:
            found = one.delivered(prefix)
            for region in REGIONS:
                wanted = regional[region] + everywhere * (region == home)
                assert ids(found[region]) == ids(wanted), f"{prefix}: {region}"


# --- Settings that change -----------------------------------------------------------------------------------


class Changes(threading.Thread):
    """Changes trails of accounts, at random, until it is told to stop."""

    def __init__(self, accounts, rng):
        super().__init__(daemon=True)
        self.accounts, self.rng = accounts, rng
        self.trails = [(number, home) for number in range(len(accounts)) for home in REGIONS]
        self.prefixes = []  # every one that a trail ever had
        self.ending, self.made, self.error = threading.Event(), collections.Counter(), None
        self.start()

    def new_prefix(self):
        self.prefixes.append(f"changed-{len(self.prefixes):04}")
        return self.prefixes[-1]

    def change(self, call, name, there):
        what = self.rng.choice(["stop", "start", "start", "rw", "regions", "move", "delete"]) if there else "create"
        self.made[what] += 1
        if what == "create":
            sdk.logging_trail(call, name, BUCKET, self.new_prefix())
        elif what == "delete":
            call("DeleteTrail", name=name)
        elif what == "move":
            call("UpdateTrail", name=name, oss_bucket_name=BUCKET, oss_key_prefix=self.new_prefix())
        elif what == "rw":
            call("UpdateTrail", name=name, event_rw=self.rng.choice(["All", "Write", "Read"]))
        elif what == "regions":
            call("UpdateTrail", name=name, trail_region=self.rng.choice(["All", *REGIONS]))
        else:
            call("StartLogging" if what == "start" else "StopLogging", name=name)

    def change_one(self):
        number, home = self.rng.choice(self.trails)
        name, call = f"trail-{home}", self.accounts[number].at[home]
        try:
            self.change(call, name, any(trail["Name"] == name for trail in call("DescribeTrails")["TrailList"]))
        except AlibabaCloudException as error:
            if error.code != "ServiceUnavailable":  # routers were away for too long: nothing was changed
                raise
            self.made["refused"] += 1

    def run(self):
        try:
            while not self.ending.is_set():
                self.change_one()
        except Exception as error:  # told by finish()
            self.error = error

    def finish(self):
        self.ending.set()
        self.join(60)
        if self.error:
            raise self.error


def test_the_settings_before_an_event_decide_whatever_changes_and_is_killed(stack):
    seed = load.seed()
    accounts = [Account(stack) for _ in range(3)]
    with second_router(stack):
        with Traffic(stack, accounts, seed) as traffic:
            changes = Changes(accounts, random.Random(seed + 1))
            kill_routers(stack, random.Random(seed))
            changes.finish()
        wait_until_quiet(stack)
    print(f"{sum(map(len, traffic.sent.values()))} events, changes: {dict(changes.made)}")

    brokers = stack.env["TRAILBUS_KAFKA"]
    control, everywhere = ledger.read_control(brokers), ledger.read_log(brokers, "global")
    logs = {region: ledger.read_log(brokers, f"events.{region}") for region in REGIONS}
    assert routes.check(control, everywhere, logs) >= sum(is_global(one) for sent in traffic.sent.values() for one in sent)
    for log in logs.values():
        for prefix in changes.prefixes:
            ledger.read(stack.s3(), control, stack.master_key(), BUCKET, prefix, log, quiet=True)
    for one in accounts:  # last, since each query is an event itself
        regional, everywhere = of_account(traffic.sent, one)
        for region in REGIONS:
            assert ids(one.queried(region)) == ids(regional[region] + everywhere), f"query in {region}"
