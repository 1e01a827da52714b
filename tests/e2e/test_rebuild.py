"""State is lost, and comes back: Redis emptied under load, the history's folder gone, the log gone as well.

It is a stack of its own, since records are deleted from its log. What the tests say of the history they say of the events that they
sent: their own calls of the API are events, too.
"""
import contextlib
import gzip
import json
import random
import re
import shutil
import subprocess
import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

import load
import proof
import sdk
import topics
from stack import Stack
from wait import eventually

HERE, THERE = REGIONS = ["cn-hangzhou", "ap-southeast-1"]  # the first one's history keeps global events
BUCKET = "audit"
GLOBAL = [("Ram", "CreateUser"), ("Ram", "ListUsers"), ("Sts", "AssumeRole")]
ACCOUNTS = 3
QUIET_S = 120


@pytest.fixture(scope="module")
def lossy(request):
    one, failed = Stack(regions=" ".join(REGIONS), name="-loses"), request.session.testsfailed
    try:
        one.up()
        yield one
    finally:
        one.end(keep=request.session.testsfailed > failed)


# --- What is sent, and what is found ------------------------------------------------------------------------


class Account:
    """An account with a caller in each region, and a trail at home."""

    def __init__(self, stack, home, prefix):
        keys = stack.account()
        self.id, self.home, self.prefix = keys["accountId"], home, prefix
        self.at = {region: sdk.caller(stack, keys, endpoint=stack.env[f"TRAILBUS_API_{region.upper().replace('-', '_')}"])
                   for region in REGIONS}
        sdk.logging_trail(self.at[home], prefix, BUCKET, prefix)


def accounts(stack, name):
    """Most at home where global events are kept, the last one elsewhere: its global events are delivered there only."""
    return [Account(stack, THERE if number == ACCOUNTS - 1 else HERE, f"{name}-{number}") for number in range(ACCOUNTS)]


def send(stack, who, seed, count):
    """Regional events and global ones, published in the first region; returns them."""
    rng, made = random.Random(seed), []
    for number in range(count):
        one = load.event(rng, number, [account.id for account in who], HERE)
        if number % 4 == 3:
            one["serviceName"], one["eventName"] = rng.choice(GLOBAL)
        made.append(one)
    pairs = ((one["recipientAccountId"], load.as_json(one)) for one in made)
    load.Sender(stack.env["TRAILBUS_KAFKA"], HERE, pairs, 2000).join(60)
    return made


def is_global(event):
    return (event["serviceName"], event["eventName"]) in GLOBAL


def wait_until_quiet(stack, workers=("history", "delivery")):
    """Every record has passed every worker, in their order."""
    brokers = stack.env["TRAILBUS_KAFKA"]
    groups = [(f"trailbus.normalizer.{HERE}", f"raw.{HERE}"), ("trailbus.router", "global")]
    groups += [(f"trailbus.{worker}.{region}", f"events.{region}") for worker in workers for region in REGIONS]
    for group, topic in groups:
        def passed(group=group, topic=topic):
            return topics.records_behind(brokers, topic, topics.committed_offsets(brokers, group, topic), most=1) == 0

        eventually(passed, QUIET_S, every=0.3, what=f"{group} has passed {topic}")


def queried(who, sent, region):
    """{event id: event} of what LookupEvents of a region gives of the sent events; each once."""
    wanted, found, now = {one["eventId"] for one in sent}, {}, time.time()
    for account in who:
        for event in account.at[region].events(start_time=sdk.iso(now - 3600), end_time=sdk.iso(now + 60)):
            if event["eventId"] in wanted:
                assert event["eventId"] not in found, f"{event['eventId']} is given twice"
                found[event["eventId"]] = event
    return found


def answers(who, sent):
    """What both regions' queries give: all there, global ones here as well as there."""
    return {region: queried(who, sent, region) for region in REGIONS}


def assert_answers(who, sent, before):
    now = answers(who, sent)
    for region in REGIONS:
        assert now[region].keys() == before[region].keys()
        assert now[region] == before[region]


def complete(who, sent):
    found = answers(who, sent)
    assert found[HERE].keys() == {one["eventId"] for one in sent}
    assert found[THERE].keys() == {one["eventId"] for one in sent if is_global(one)}
    for one in sent:
        assert not load.lost_fields(one, found[HERE][one["eventId"]])
    return found


def rebuild(stack, *options):
    """`trailctl history rebuild` of the first region: (exit code is 0, all that it said)."""
    try:
        return True, stack.trailctl("history", "rebuild", "--region", HERE, "--config", stack.run / "trailbus.conf", *options)
    except RuntimeError as error:
        return False, str(error)


def put_back(said):
    return int(re.search(r"(\d+) events put back", said).group(1))


@contextlib.contextmanager
def lost_history(stack):
    """The first region's history is gone, and nobody writes to it; in the end its worker is back."""
    stack.stop(f"history@{HERE}")
    try:
        shutil.rmtree(stack.run / "data" / "history" / HERE)
        yield
    finally:
        stack.start(f"history@{HERE}")


def redis(stack, *words):
    port = stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
    return subprocess.run(["redis-cli", "-p", port, *words], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def objects(stack, prefix, region=HERE):
    """{key: metadata} of the objects below a prefix in the directory of a region."""
    s3, found = stack.s3(), {}
    prefix = f"{prefix}/AliyunLogs/Actiontrail/{region}/"
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for row in page.get("Contents", []):
            found[row["Key"]] = s3.head_object(Bucket=BUCKET, Key=row["Key"])["Metadata"]
    return found


# --- Redis ------------------------------------------------------------------------------------------------------


def progress(stack):
    """{key: boundary, clear, counts} of all streams that Redis knows."""
    keys = redis(stack, "--scan", "--pattern", "tb1:progress:*")
    return {key: list(map(int, redis(stack, "get", key)[0].split())) for key in keys if key}


def newest(stack, who):
    """{(chain, partition): progress} as the newest object of each stream says it."""
    found = {}
    for one in who:
        for region in REGIONS:
            for meta in objects(stack, one.prefix, region).values():
                stream, end = (meta["trailbus-chain"], int(meta["trailbus-partition"])), int(meta["trailbus-next"])
                counts = list(map(int, meta["trailbus-counts"].split()))
                found[stream] = max(found.get(stream, [0]), [end, end, *counts, *counts[2:]])
    return found


def stream_of(key):
    _, _, _, chain, partition, _, _ = key.split(":")
    return chain, int(partition)


def test_redis_is_emptied_under_load_and_rebuilt(lossy):
    stack, seed, now, rate, seconds = lossy, load.seed(), int(time.time()), 200, 8
    brokers, who = stack.env["TRAILBUS_KAFKA"], proof.auditors(lossy, ACCOUNTS, "flushed")
    ids = [one.account for one in who]
    nonce = {"x_acs_signature_nonce": f"nonce-{time.time()}"}
    assert sdk.acs3(stack.env["TRAILBUS_API"], who[0].caller.account, "DescribeRegions", **nonce).status == 200

    with load.Load(brokers, rate, seed, rate * seconds, ids, HERE, now) as sender:
        for number in range(3):
            eventually(lambda number=number: topics.records_behind(
                brokers, f"raw.{HERE}", {}, most=rate * seconds * (number + 1) // 4) >= rate * seconds * (number + 1) // 4, QUIET_S)
            redis(stack, "flushall")
            stack.trailctl("state", "rebuild", "--config", stack.run / "trailbus.conf")  # beside all that runs
        sender.join(60)
    again = sdk.acs3(stack.env["TRAILBUS_API"], who[0].caller.account, "DescribeRegions", **nonce)
    assert sdk.code_of(again) == "SignatureNonceUsed"  # Redis does not know it any more, but the API does
    # Delivery writes its progress again, of streams that stand still, too; the API the view of all trails.
    proof.wait_until_quiet(stack)
    eventually(lambda: redis(stack, "exists", "tb1:epoch") == ["1"], QUIET_S)
    sent = list(load.events(seed, rate * seconds, ids, HERE, now))
    proof.assert_same(sent, proof.in_buckets(stack, who), "the bucket")
    proof.assert_same(sent, proof.in_history(who, now - 3600, now + 1), "the history")
    before = progress(stack)
    assert before
    redis(stack, "flushall")
    eventually(lambda: progress(stack).keys() >= before.keys(), QUIET_S, what="delivery has written all progress again")

    # Nobody is there to do so: then it is put back from the buckets, and is not ahead of them.
    stack.stop(f"delivery@{HERE}", f"delivery@{THERE}")
    redis(stack, "flushall")
    said = stack.trailctl("state", "rebuild", "--config", stack.run / "trailbus.conf", "--dry-run")
    assert not progress(stack) and " to be put back" in said
    said = stack.trailctl("state", "rebuild", "--config", stack.run / "trailbus.conf")
    restored = progress(stack)
    assert newest(stack, who) == {stream_of(key): value for key, value in restored.items()}
    assert redis(stack, "exists", "tb1:epoch") == ["1"]
    for one in who:
        assert len(redis(stack, "smembers", f"tb1:account:{one.account}:trails")) == 1
    said = stack.trailctl("state", "rebuild", "--config", stack.run / "trailbus.conf")
    assert " 0 put back" in said and progress(stack) == restored
    stack.start(f"delivery@{HERE}", f"delivery@{THERE}")
    late = list(load.events(seed + 1, 300, ids, HERE, now))
    load.Sender(brokers, HERE, ((one["recipientAccountId"], load.as_json(one)) for one in late), 2000).join(60)
    proof.wait_until_quiet(stack)
    proof.assert_same([*sent, *late], proof.in_buckets(stack, who), "the bucket")


# --- The history ------------------------------------------------------------------------------------------------


def test_a_lost_history_is_rebuilt_from_the_log(lossy):
    stack, who, seed = lossy, accounts(lossy, "logged"), load.seed()
    sent = send(stack, who, seed, 400)
    wait_until_quiet(stack)
    before = complete(who, sent)

    good, said = rebuild(stack)
    assert not good and "stop the history's workers" in said
    with lost_history(stack):
        assert not queried(who, sent, HERE)
        good, said = rebuild(stack, "--from-log", "--dry-run")
        assert good, said
        assert not (stack.run / "data" / "history" / HERE).exists()
        assert int(re.search(r"(\d+) events are missing", said).group(1)) >= len(sent)
        good, said = rebuild(stack, "--from-log")
        assert good and put_back(said) >= len(sent), said
        assert_answers(who, sent, before)
        good, said = rebuild(stack, "--from-log")
        assert good and put_back(said) == 0, said
        good, said = rebuild(stack)  # the buckets have the same, and perhaps our own calls meanwhile
        assert good, said
        assert_answers(who, sent, before)

    late = send(stack, who, seed + 1, 100)
    wait_until_quiet(stack, ["history"])
    complete(who, [*sent, *late])
    stack.trailctl("reconcile", "--wait", "120", "--config", stack.run / "trailbus.conf")  # as if nothing had been lost


def ends(brokers, topic):
    """{partition: offset behind the last committed record}"""
    found = {}
    for record in topics.records(brokers, topic):
        found[record.partition] = record.offset + 1
    return found


def truncate(brokers, topic, before):
    admin = AdminClient({"bootstrap.servers": brokers})
    asked = [TopicPartition(topic, partition, offset) for partition, offset in before.items()]
    for done in admin.delete_records(asked, request_timeout=30).values():
        done.result()


def tamper(stack, account, sent, before):
    """Changes the events in an object whose records have left the log. (key, ids of those that were sent, how to undo it)"""
    s3, wanted = stack.s3(), {one["eventId"] for one in sent}
    for key, meta in objects(stack, account.prefix).items():
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        events = json.loads(gzip.decompress(body))
        inside = wanted & {event["eventId"] for event in events}
        if inside and int(meta["trailbus-last"]) < before.get(int(meta["trailbus-partition"]), 0):
            changed = [{**event, "sourceIpAddress": "198.51.100.1"} for event in events]
            s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(json.dumps(changed).encode()), Metadata=meta)
            return key, inside, lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=meta)
    raise AssertionError("no object holds only what has left the log")


def test_what_the_log_has_no_more_is_rebuilt_from_objects(lossy):
    stack, who, brokers, seed = lossy, accounts(lossy, "delivered"), lossy.env["TRAILBUS_KAFKA"], load.seed()
    early = send(stack, who, seed, 400)
    wait_until_quiet(stack)  # delivered, so that there are objects of nothing else
    gone = ends(brokers, f"events.{HERE}")
    late = send(stack, who, seed + 1, 100)
    wait_until_quiet(stack)
    sent = [*early, *late]
    before = complete(who, sent)

    with lost_history(stack):
        truncate(brokers, f"events.{HERE}", gone)
        with stack.spawn("history", region=HERE, log="history.child") as process:  # it says so, and invents nothing
            assert process.wait(QUIET_S) == 1
        assert "trailctl history rebuild" in stack.log("history.child")

        key, inside, undo = tamper(stack, who[0], sent, gone)
        good, said = rebuild(stack)
        assert not good and "1 refused" in said and key in said, said
        assert queried(who, sent, HERE).keys() == before[HERE].keys() - inside
        undo()
        good, said = rebuild(stack, "--from-objects")
        assert good and put_back(said) >= len(inside), said
        assert_answers(who, sent, before)

    more = send(stack, who, seed + 2, 100)
    wait_until_quiet(stack, ["history"])
    complete(who, [*sent, *more])
