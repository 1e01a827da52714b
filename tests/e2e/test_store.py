"""Object stores fail: all of them for a while, and one bucket for good while others go on."""
import collections
import re
import threading
import time

import ledger
import load
import proof
import sdk
import topics
from wait import eventually

REGION = "cn-hangzhou"
AWAY_S, RATE = 20, 100
GOOD = 8  # trails of buckets that are there


def test_nothing_is_lost_while_the_store_is_away(stack):
    seed, now = load.seed(), int(time.time())
    who = proof.auditors(stack, 6, "away")
    accounts, count = [one.account for one in who], RATE * (AWAY_S + 15)

    def sent():
        return load.events(seed, count, accounts, REGION, now)

    with load.Load(stack.env["TRAILBUS_KAFKA"], RATE, seed, count, accounts, REGION, now) as sender:
        eventually(lambda: any(_keys(stack, one) for one in who))
        stack.stop("objects")
        time.sleep(AWAY_S)  # so long is what is tested
        found = who[0].caller.events(start_time=sdk.iso(now - 3600), end_time=sdk.iso(now + 1))
        assert len(found) > count / len(accounts) / 3, "queries do not need the store"
        stack.start("objects")
        sender.join(120)
    proof.wait_until_quiet(stack)
    proof.assert_same(sent(), proof.in_buckets(stack, who), "the bucket")


def _keys(stack, one):
    """Keys of objects (not the probe's) of an auditor."""
    listed = stack.s3().list_objects_v2(Bucket=one.bucket, Prefix=f"{one.prefix}/AliyunLogs/Actiontrail/")
    return [row["Key"] for row in listed.get("Contents", [])]


class Watch(threading.Thread):
    """Notes when each object is seen for the first time: never before it was there."""

    def __init__(self, s3, bucket, prefix):
        super().__init__(daemon=True)
        self.s3, self.bucket, self.prefix = s3, bucket, prefix
        self.seen, self.ended = {}, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.2):
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
                for row in page.get("Contents", []):
                    self.seen.setdefault(row["Key"], time.time())

    def end(self):
        self.ended.set()
        self.join()
        return self.seen


def test_a_deleted_bucket_holds_no_other_up_and_gets_all_once_it_is_back(stack):
    seed, now = load.seed(), int(time.time())
    s3 = stack.s3()
    s3.create_bucket(Bucket="doomed")
    good = proof.auditors(stack, GOOD, "good")
    [broken] = proof.auditors(stack, 1, "broken", bucket="doomed")
    assert [row["Key"] for row in s3.list_objects_v2(Bucket="doomed")["Contents"]] == [f"{broken.prefix}/AliyunLogs/trailbus-probe"]
    s3.delete_object(Bucket="doomed", Key=f"{broken.prefix}/AliyunLogs/trailbus-probe")
    s3.delete_bucket(Bucket="doomed")
    accounts, count = [one.account for one in (*good, broken)], RATE * 20

    def sent(who):
        wanted = {one.account for one in who}
        return (event for event in load.events(seed, count, accounts, REGION, now) if event["recipientAccountId"] in wanted)

    watch = Watch(s3, "audit", "good-")
    with load.Load(stack.env["TRAILBUS_KAFKA"], RATE, seed, count, accounts, REGION, now) as sender:
        status = eventually(lambda: _trouble(broken))
        assert "doomed" in status["LatestDeliveryError"] and status["OssBucketStatus"] is False
        sender.join(120)
    proof.wait_until_quiet(stack)
    proof.assert_same(sent(good), proof.in_buckets(stack, good), "the good buckets")
    assert "NoSuchBucket" in eventually(lambda: _trouble(broken))["LatestDeliveryError"]
    for one in good:
        status = one.caller("GetTrailStatus", name="trail-1")
        assert status["OssBucketStatus"] is True and status["LatestDeliveryTime"] >= sdk.iso(now)
        assert "LatestDeliveryError" not in status
    say_ages(stack, watch.end())

    s3.create_bucket(Bucket="doomed")
    expected = collections.Counter(event["recipientAccountId"] for event in sent([broken]))[broken.account]
    eventually(lambda: len(_delivered(stack, broken)) >= expected, 60, every=0.5)
    eventually(lambda: not proof.is_behind(stack.env["TRAILBUS_KAFKA"], "delivery", REGION), 60, every=0.5)
    proof.assert_same(sent([broken]), proof.in_buckets(stack, [broken]), "the bucket that was away")
    assert "LatestDeliveryError" not in broken.caller("GetTrailStatus", name="trail-1")


def _trouble(one):
    status = one.caller("GetTrailStatus", name="trail-1")
    return status if status.get("LatestDeliveryError") else None


def _delivered(stack, one):
    found = ledger.read(stack.s3(), ledger.read_control(stack.env["TRAILBUS_KAFKA"]), stack.master_key(), one.bucket, one.prefix)
    return [event for event in found.events.values() if event["serviceName"] != "Actiontrail"]


def say_ages(stack, seen):
    """How long an object's first event, which waited longest, took to be in the bucket. Nothing is held against it: that depends on
    the machine, and all of it was there before the other bucket came back."""
    arrived = {(record.partition, record.offset): record.time_ms / 1000
               for record in topics.records(stack.env["TRAILBUS_KAFKA"], f"events.{REGION}")}
    ages = []
    for key, when in seen.items():
        if not key.endswith("/AliyunLogs/trailbus-probe"):
            partition, first = re.search(r"_(\d+)_(\d{20})_[0-9a-f]{16}\.gz$", key).groups()
            ages.append(when - arrived[int(partition), int(first)])
    ages.sort()
    print(f"{len(ages)} objects: age of the oldest event, p50 {ages[len(ages) // 2]:.2f} s, max {ages[-1]:.2f} s")
