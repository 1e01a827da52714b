"""A deployment grows while it runs: more partitions, another region. Nothing is lost or doubled, and older trails reach there.

It is a stack of its own, since the others' tests rely on theirs staying as it is.
"""
import time

import pytest

import ledger
import load
import proof
import sdk
import topics
from stack import Stack
from wait import eventually

REGION, NEW_REGION = "cn-hangzhou", "ap-southeast-1"
ACCOUNTS, RATE, SECONDS, PARTITIONS = 6, 500, 12, 7


@pytest.fixture(scope="module")
def growing(request):
    one, failed = Stack(regions=REGION, name="-grows"), request.session.testsfailed
    try:
        one.up()
        yield one
    finally:
        one.end(keep=request.session.testsfailed > failed)


def test_partitions_are_added_while_events_come(growing):
    stack, seed, now = growing, load.seed(), int(time.time())
    brokers = stack.env["TRAILBUS_KAFKA"]
    who = proof.auditors(stack, ACCOUNTS, "grown")
    accounts = [one.account for one in who]
    grown = stack.run / "grown.conf"
    grown.write_text((stack.run / "trailbus.conf").read_text().replace("partitions = 4", f"partitions = {PARTITIONS}"))

    with load.Load(brokers, RATE, seed, RATE * SECONDS, accounts, REGION, now) as sender:
        eventually(lambda: topics.records_behind(brokers, f"raw.{REGION}", {}, most=1))
        said = stack.trailctl("topics", "apply", "--config", grown)
        assert f"{PARTITIONS} partitions" in said and " grown" in said
        for one in who[::2]:  # a change behind it names the new partitions, too
            one.caller("UpdateTrail", name="trail-1", event_rw="All", oss_key_prefix=f"{one.prefix}-2")
        sender.join(60)
    late = list(load.events(seed + 1, 2000, accounts, REGION, now))  # by a client that knows of them from the start
    load.Sender(brokers, REGION, ((event["recipientAccountId"], load.as_json(event)) for event in late), 4000).join()
    proof.wait_until_quiet(stack)

    used = {record.partition for record in topics.records(brokers, f"events.{REGION}") if record.value}
    assert used & set(range(4, PARTITIONS)), "the new partitions hold nothing"
    sent = [*load.events(seed, RATE * SECONDS, accounts, REGION, now), *late]
    first = proof.in_buckets(stack, who)
    moved = proof.in_buckets(stack, [one._replace(prefix=f"{one.prefix}-2") for one in who[::2]])
    for account, events in moved.items():
        assert not first[account].keys() & events.keys()
        first[account].update(events)
    proof.assert_same(sent, first, "the bucket")
    proof.assert_same(sent, proof.in_history(who, now - 3600, now + 60), "the history")


def test_a_trail_of_all_regions_reaches_one_that_comes_later(growing):
    [one] = proof.auditors(growing, 1, "everywhere")
    growing.up(regions=f"{REGION} {NEW_REGION}")
    now = int(time.time())
    sent = list(load.events(1, 200, [one.account], NEW_REGION, now))
    brokers = growing.env["TRAILBUS_KAFKA"]
    load.Sender(brokers, NEW_REGION, ((event["recipientAccountId"], load.as_json(event)) for event in sent), 1000).join()
    proof.wait_until_quiet(growing, NEW_REGION)
    # The next change names the new log; the chain there began at the log's start and goes on.
    one.caller("StopLogging", name="trail-1")
    one.caller("StartLogging", name="trail-1")
    proof.wait_until_quiet(growing, NEW_REGION)
    control, log = ledger.read_control(brokers), ledger.read_log(brokers, f"events.{NEW_REGION}")
    found = ledger.read(growing.s3(), control, growing.master_key(), one.bucket, one.prefix, log, quiet=True)
    assert {event["eventId"] for event in sent} <= found.events.keys()
    there = sdk.caller(growing, one.caller.account, endpoint=growing.env["TRAILBUS_API_AP_SOUTHEAST_1"])
    assert len(there.events(start_time=sdk.iso(now - 3600), end_time=sdk.iso(now + 60))) >= len(sent)
