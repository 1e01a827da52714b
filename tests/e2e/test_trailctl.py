"""trailctl as a person uses it, against everything that runs."""
import datetime
import json
import re
import time
import uuid

import pytest

pytestmark = pytest.mark.small

WAIT_S = 60


def event(account, age, **members):
    """An event of the account, so long ago (a timedelta)."""
    then = datetime.datetime.now(datetime.timezone.utc) - age
    return {"eventId": str(uuid.uuid4()), "eventName": "StopInstance", "serviceName": "Ecs",
            "eventTime": f"{then:%Y-%m-%dT%H:%M:%SZ}", "recipientAccountId": account["accountId"],
            "userIdentity": {"userName": "alice"}, **members}


def emit(stack, account, events):
    said = stack.trailctl("emit", stdin="".join(json.dumps(one) + "\n" for one in events), account=account)
    assert said == f"{len(events)} of {len(events)} events acknowledged\n"


def lookup(stack, account, *options):
    lines = stack.trailctl("lookup", "--json", "--attribute", "ServiceName=Ecs", *options, account=account).splitlines()
    return [json.loads(line) for line in lines]


def wait_for(what, condition):
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, f"{what} did not come within {WAIT_S} s"
        time.sleep(0.2)


def test_ninety_days_are_found_newest_first_and_once(stack):
    account = stack.account()
    events = [event(account, datetime.timedelta(hours=1 + 17 * i)) for i in range(120)]
    events[7]["eventName"] = "RunInstances"
    emit(stack, account, events)
    wanted = [one["eventId"] for one in events]
    wait_for("the newest", lambda: [one["eventId"] for one in lookup(stack, account, "--limit", "1")] == wanted[:1])
    wait_for("all", lambda: len(lookup(stack, account, "--start", "-90d")) >= len(wanted))
    assert [one["eventId"] for one in lookup(stack, account, "--start", "-90d")] == wanted
    assert [one["eventId"] for one in lookup(stack, account, "--start", "-90d", "--limit", "60")] == wanted[:60]
    assert [one["eventId"] for one in lookup(stack, account, "--start", "-20d", "--attribute",
                                             "EventName=RunInstances")] == wanted[7:8]


def test_a_trail_from_its_birth_to_its_end(stack):
    account = stack.account()
    bucket, s3 = f"trailctl-{uuid.uuid4().hex[:12]}", stack.s3()
    s3.create_bucket(Bucket=bucket)
    stack.trailctl("trail", "create", "my-trail", "--bucket", bucket, "--prefix", "my-prefix", account=account)
    assert "never started" in stack.trailctl("trail", "status", "my-trail", account=account)
    stack.trailctl("trail", "start", "my-trail", account=account)
    emit(stack, account, [event(account, datetime.timedelta(seconds=1))])
    wait_for("an object", lambda: s3.list_objects_v2(Bucket=bucket, Prefix="my-prefix/AliyunLogs/").get("KeyCount"))
    assert "delivers since" in stack.trailctl("trail", "status", "my-trail", account=account)
    wait_for("its count", lambda: re.search(r"counts +cn-hangzhou: [1-9]\d* delivered, \d+ filtered, \d+ waiting \(current\)",
                                            stack.trailctl("trail", "status", "my-trail", account=account)))
    stack.trailctl("trail", "update", "my-trail", "--events", "Write", account=account)
    [trail] = [json.loads(line) for line in stack.trailctl("trail", "list", "--json", account=account).splitlines()]
    assert trail["Name"] == "my-trail" and trail["EventRW"] == "Write" and trail["OssKeyPrefix"] == "my-prefix"
    stack.trailctl("trail", "stop", "my-trail", account=account)
    assert "stopped since" in stack.trailctl("trail", "status", "my-trail", account=account)
    stack.trailctl("trail", "delete", "my-trail", account=account)
    assert stack.trailctl("trail", "list", account=account) == ""


def test_what_cannot_be_used_is_shown_with_the_reason(stack):
    account, name = stack.account(), f"Ancient{uuid.uuid4().hex[:8]}"
    emit(stack, account, [event(account, datetime.timedelta(days=400), eventName=name)])

    def listed():
        lines = stack.trailctl("rejected", "list", "--limit", "1000", "--json").splitlines()
        return [one for one in map(json.loads, lines) if one["key"] == account["accountId"]]

    wait_for("the rejected event", listed)
    [one] = listed()
    assert one["reason"] == "time_range" and one["size"] > 0 and one["origin"].startswith("raw.")


def test_a_secret_is_changed_without_a_stop(stack):
    first = stack.account()
    second = json.loads(stack.trailctl("key", "create", first["accountId"], "--json"))
    stack.trailctl("trail", "list", account=second)
    stack.trailctl("key", "disable", first["accessKeyId"])

    def refused():
        try:
            stack.trailctl("trail", "list", account=first)
        except RuntimeError as error:
            return "InvalidAccessKeyId.Inactive" in str(error)
        return False

    wait_for("the refusal", refused)
    stack.trailctl("trail", "list", account=second)


def test_the_fleet_is_seen(stack):
    status = json.loads(stack.trailctl("status", "--json"))
    seen = {worker["worker"] for worker in status["workers"] if worker["state"] == "running"}
    assert {"normalizer", "delivery", "history", "api"} <= seen
    assert all(worker["lag"] >= 0 for worker in status["workers"] if "lag" in worker)
