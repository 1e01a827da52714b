"""The API over HTTP, as the official SDK sees it, and as those do who send what the SDK never would."""
import itertools
import json
import random
import re
import select
import socket
import subprocess
import time

import pytest

import ledger
import load
import sdk
from sdk import refused
from stack import free_ports
from wait import eventually

REGION = "cn-hangzhou"
SEED = load.seed()


@pytest.fixture(scope="module")
def one(stack):
    """An account that no test changes."""
    return sdk.callers(stack, 1)[0]


@pytest.fixture
def fresh(stack):
    """An account of its own."""
    return sdk.callers(stack, 1)[0]


@pytest.fixture
def api(stack):
    return stack.env["TRAILBUS_API"]


@pytest.fixture(autouse=True)
def same_process(stack):
    """Whatever a test sends: the API is still the same process behind it, and answers."""
    pid = stack.pid("api")
    yield
    assert stack.pid("api") == pid and sdk.send(stack.env["TRAILBUS_API"], "GET", "/").status == 400


_names = itertools.count(1)


def new_prefix():
    return f"api-{next(_names):04d}"


# --- Regions -----------------------------------------------------------------------------------------------


@pytest.mark.small
def test_regions_are_described(stack, one):
    answer = one("DescribeRegions")
    assert re.fullmatch("[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", answer["RequestId"])
    assert answer["Regions"]["Region"][0] == {"RegionId": REGION, "LocalName": "China (Hangzhou)",
                                              "RegionEndpoint": "actiontrail.cn-hangzhou.aliyuncs.com"}
    assert [region["RegionId"] for region in answer["Regions"]["Region"]] == stack.env["TRAILBUS_REGIONS"].split()
    assert one("DescribeRegions", accept_language="zh-CN")["Regions"]["Region"][0]["RegionId"] == REGION
    with refused("InvalidAcceptLanguage", 400):
        one("DescribeRegions", accept_language="de-DE")


# --- A trail's life ----------------------------------------------------------------------------------------


@pytest.mark.small
def test_the_life_of_a_trail(fresh):
    prefix, moved = new_prefix(), new_prefix()
    began = sdk.iso(time.time() - 1)
    made = fresh("CreateTrail", name="my-trail_1", oss_bucket_name="audit", oss_key_prefix=prefix)
    assert made.pop("RequestId")
    assert made == {"Name": "my-trail_1", "HomeRegion": REGION, "EventRW": "All", "TrailRegion": "All",
                    "OssBucketName": "audit", "OssKeyPrefix": prefix,
                    "OssWriteRoleArn": f"acs:ram::{fresh.account['accountId']}:role/aliyunserviceroleforactiontrail",
                    "SlsProjectArn": "", "SlsWriteRoleArn": "", "MaxComputeProjectArn": "", "MaxComputeWriteRoleArn": ""}
    [trail] = fresh("DescribeTrails")["TrailList"]
    assert made.items() <= trail.items()
    assert (trail["Status"], trail["IsOrganizationTrail"], trail["Region"]) == ("Fresh", False, REGION)
    assert trail["TrailArn"] == f"acs:actiontrail:{REGION}:{fresh.account['accountId']}:trail/my-trail_1"
    assert began <= trail["CreateTime"] <= sdk.iso(time.time()) and "StartLoggingTime" not in trail
    assert fresh("GetTrailStatus", name="my-trail_1")["IsLogging"] is False

    assert set(fresh("StartLogging", name="my-trail_1")) == {"RequestId"}
    [trail] = fresh("DescribeTrails")["TrailList"]
    assert trail["Status"] == "Enable" and trail["StartLoggingTime"] >= trail["CreateTime"]
    status = fresh("GetTrailStatus", name="my-trail_1")
    assert status["IsLogging"] is True and status["StartLoggingTime"] == trail["StartLoggingTime"]

    changed = fresh("UpdateTrail", name="my-trail_1", event_rw="Write", trail_region=f"{REGION},cn-beijing",
                    oss_key_prefix=moved)
    assert (changed["EventRW"], changed["TrailRegion"], changed["OssKeyPrefix"]) == ("Write", "cn-hangzhou,cn-beijing", moved)
    assert changed["OssBucketName"] == "audit"
    assert fresh("UpdateTrail", name="my-trail_1")["OssKeyPrefix"] == moved

    fresh("StopLogging", name="my-trail_1")
    [trail] = fresh("DescribeTrails")["TrailList"]
    assert trail["Status"] == "Disable" and trail["StopLoggingTime"] >= trail["StartLoggingTime"]
    assert fresh("GetTrailStatus", name="my-trail_1")["IsLogging"] is False

    assert set(fresh("DeleteTrail", name="my-trail_1")) == {"RequestId"}
    assert fresh("DescribeTrails")["TrailList"] == []
    for action in ("DeleteTrail", "StartLogging", "StopLogging", "UpdateTrail", "GetTrailStatus"):
        with refused("TrailNotFoundException", 404):
            fresh(action, name="my-trail_1")
    again = fresh("CreateTrail", name="my-trail_1", oss_bucket_name="audit", oss_key_prefix=moved)
    assert again["OssKeyPrefix"] == moved
    assert fresh("DescribeTrails")["TrailList"][0]["Status"] == "Fresh"


def test_starting_and_stopping_twice_changes_nothing(fresh):
    fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=new_prefix())
    fresh("StopLogging", name="trail-1")
    assert fresh("DescribeTrails")["TrailList"][0]["Status"] == "Fresh"
    fresh("StartLogging", name="trail-1")
    before = fresh("DescribeTrails")["TrailList"]
    fresh("StartLogging", name="trail-1")
    assert fresh("DescribeTrails")["TrailList"] == before


def test_trails_are_described_by_name(fresh):
    names = ["trail-a", "trail-b", "trail-c"]
    for name in names:
        fresh("CreateTrail", name=name, oss_bucket_name="audit", oss_key_prefix=new_prefix())

    def described(**how):
        return [trail["Name"] for trail in fresh("DescribeTrails", **how)["TrailList"]]

    assert described() == names
    assert described(name_list="trail-b") == ["trail-b"]
    assert sorted(described(name_list="trail-c,trail-a,trail-z")) == ["trail-a", "trail-c"]
    assert described(name_list="trail-z") == []
    assert described(include_shadow_trails=True, include_organization_trail=True) == names
    with refused("InvalidTrailNameException", 400):
        described(name_list="trail-a,No")


def test_another_accounts_trails_are_not_seen(stack, fresh):
    fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=new_prefix())
    other = sdk.callers(stack, 1)[0]
    assert other("DescribeTrails")["TrailList"] == []
    for action in ("GetTrailStatus", "StartLogging", "DeleteTrail"):
        with refused("TrailNotFoundException", 404):
            other(action, name="trail-1")
    other("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=new_prefix())


@pytest.mark.parametrize("changed, code, status", [
    ({"name": None}, "MissingParameter", 400),
    ({"name": "short"}, "InvalidTrailNameException", 400),
    ({"name": "a" * 37}, "InvalidTrailNameException", 400),
    ({"name": "Upper-case"}, "InvalidTrailNameException", 400),
    ({"name": "1-digit-first"}, "InvalidTrailNameException", 400),
    ({"name": "with space"}, "InvalidTrailNameException", 400),
    ({"name": "ümlaut-trail"}, "InvalidTrailNameException", 400),
    ({"oss_bucket_name": None}, "InvalidDeliveryConfigurationException", 400),
    ({"oss_bucket_name": "no-such-bucket"}, "BucketDoesNotExistException", 404),
    ({"oss_bucket_name": "ab"}, "InvalidQueryParameter", 400),
    ({"oss_bucket_name": "-audit"}, "InvalidQueryParameter", 400),
    ({"oss_bucket_name": "Audit"}, "InvalidQueryParameter", 400),
    ({"oss_bucket_name": "a" * 64}, "InvalidQueryParameter", 400),
    ({"oss_key_prefix": "short"}, "InvalidPrefixException", 400),
    ({"oss_key_prefix": "1-digit-first"}, "InvalidPrefixException", 400),
    ({"oss_key_prefix": "p" * 33}, "InvalidPrefixException", 400),
    ({"oss_key_prefix": "with space"}, "InvalidPrefixException", 400),
    ({"oss_key_prefix": "dots.in.it"}, "InvalidPrefixException", 400),
    ({"sls_project_arn": "acs:log:cn-hangzhou:1:project/none"}, "SlsProjectDoesNotExistException", 400),
    ({"max_compute_project_arn": "acs:odps:cn-hangzhou:1:project/actiontrail_1"}, "InvalidDeliveryConfigurationException", 400),
    ({"oss_write_role_arn": "acs:ram::1:role/somebody-elses"}, "InvalidDeliveryConfigurationException", 400),
    ({"event_rw": "write"}, "InvalidQueryParameter", 400),
    ({"trail_region": "cn-nowhere"}, "InvalidQueryParameter", 400),
    ({"trail_region": "All,cn-hangzhou"}, "InvalidQueryParameter", 400),
    ({"is_organization_trail": True}, "NotAllowCreateOrganizationTrail", 400),
], ids=lambda value: None if not isinstance(value, dict) else "-".join(f"{k}={v}" for k, v in value.items())[:40])
def test_a_trail_that_cannot_be_is_refused(one, changed, code, status):
    parameters = {"name": "trail-1", "oss_bucket_name": "audit", "oss_key_prefix": "refused-1", **changed}
    with refused(code, status):
        one("CreateTrail", **parameters)
    assert one("DescribeTrails")["TrailList"] == []


def test_what_an_update_may_not_say(fresh):
    prefix, other = new_prefix(), new_prefix()
    fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=prefix)
    fresh("CreateTrail", name="trail-2", oss_bucket_name="audit", oss_key_prefix=other)
    before = fresh("DescribeTrails")["TrailList"]
    for changed, code, status in [
            ({"oss_bucket_name": "no-such-bucket"}, "BucketDoesNotExistException", 404),
            ({"oss_key_prefix": other}, "RepeatOssBucket", 400),
            ({"oss_key_prefix": "no.dots"}, "InvalidPrefixException", 400),
            ({"event_rw": "Everything"}, "InvalidQueryParameter", 400),
            ({"sls_project_arn": "acs:log:cn-hangzhou:1:project/none"}, "SlsProjectDoesNotExistException", 400)]:
        with refused(code, status):
            fresh("UpdateTrail", name="trail-1", **changed)
    for action in ("UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging", "GetTrailStatus"):
        with refused("MissingParameter", 400, "Name is mandatory"):
            fresh(action)
    assert fresh("DescribeTrails")["TrailList"] == before


def test_a_name_is_used_once(fresh):
    fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=new_prefix())
    with refused("TrailAlreadyExistsException", 400):
        fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=new_prefix())


def test_a_bucket_and_prefix_belong_to_one_trail_of_all_accounts(stack, fresh):
    prefix = new_prefix()
    other = sdk.callers(stack, 1)[0]
    fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=prefix)
    for who in (fresh, other):
        with refused("RepeatOssBucket", 400):
            who("CreateTrail", name="trail-2", oss_bucket_name="audit", oss_key_prefix=prefix)
    fresh("DeleteTrail", name="trail-1")
    other("CreateTrail", name="trail-2", oss_bucket_name="audit", oss_key_prefix=prefix)


def test_five_trails_a_region(fresh):
    for number in range(5):
        fresh("CreateTrail", name=f"trail-{number}", oss_bucket_name="audit", oss_key_prefix=new_prefix())
    with refused("MaximumNumberOfTrailsExceededException", 403):
        fresh("CreateTrail", name="trail-5", oss_bucket_name="audit", oss_key_prefix=new_prefix())
    fresh("DeleteTrail", name="trail-0")
    fresh("CreateTrail", name="trail-5", oss_bucket_name="audit", oss_key_prefix=new_prefix())


def test_a_bucket_that_may_not_be_written_is_refused(stack, fresh):
    """The workers' key may write any bucket of this stack, but the policy of this one forbids it."""
    s3 = stack.s3()
    s3.create_bucket(Bucket="forbidden")
    s3.put_bucket_policy(Bucket="forbidden", Policy=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::forbidden/*"}]}))
    with refused("InsufficientBucketPolicyException", 403):
        fresh("CreateTrail", name="trail-1", oss_bucket_name="forbidden")


def test_the_act_of_stopping_a_trail_is_in_the_trail(stack, fresh):
    prefix = new_prefix()
    sdk.logging_trail(fresh, "trail-1", "audit", prefix)
    stopped = fresh("StopLogging", name="trail-1")["RequestId"]
    unheard = fresh("DescribeTrails")["RequestId"]
    started = fresh("StartLogging", name="trail-1")["RequestId"]
    heard = fresh("DescribeRegions")["RequestId"]
    deleted = fresh("DeleteTrail", name="trail-1")["RequestId"]
    behind = fresh("DescribeRegions")["RequestId"]

    def delivered():
        found = ledger.read(stack.s3(), ledger.read_control(stack.env["TRAILBUS_KAFKA"]), stack.master_key(), "audit", prefix)
        return found.events if deleted in found.events else None

    found = eventually(delivered, every=0.5)
    assert {stopped, started, heard, deleted} <= set(found)
    assert not {unheard, behind} & set(found)


# --- Calls are events --------------------------------------------------------------------------------------


@pytest.mark.small
def test_every_call_is_an_event(fresh):
    asked = {action: fresh(action)["RequestId"] for action in ("DescribeRegions", "DescribeTrails")}
    asked["CreateTrail"] = fresh("CreateTrail", name="trail-1", oss_bucket_name="audit", oss_key_prefix=new_prefix())["RequestId"]
    asked["DeleteTrail"] = fresh("DeleteTrail", name="trail-1")["RequestId"]
    with pytest.raises(Exception) as caught:
        fresh("DeleteTrail", name="trail-1")
    events = eventually(lambda: _found(fresh, [*asked.values(), caught.value.request_id]))
    for action, request_id in asked.items():
        event = events[request_id]
        assert (event["eventName"], event["serviceName"], event["eventType"]) == (action, "Actiontrail", "ApiCall")
        assert event["eventRW"] == ("Read" if action.startswith("Describe") else "Write")
        assert event["userIdentity"]["accessKeyId"] == fresh.account["accessKeyId"]
        assert event["recipientAccountId"] == fresh.account["accountId"]
        assert event["sourceIpAddress"] == "127.0.0.1" and "errorCode" not in event
    assert events[asked["CreateTrail"]]["requestParameters"]["OssBucketName"] == "audit"
    assert events[caught.value.request_id]["errorCode"] == "TrailNotFoundException"


def _found(who, ids):
    found = {event["eventId"]: event for event in who.events()}
    return found if set(ids) <= set(found) else None


# --- LookupEvents ------------------------------------------------------------------------------------------

IDENTITY = {"type": "ram-user", "principalId": "28001", "userName": "Alice", "accessKeyId": "LTAIalice"}
ROLE = {"type": "assumed-role", "principalId": "38001:session-1", "userName": "auditor:session-1", "accessKeyId": "STS.role"}
KINDS = [  # service, name, type, identity, resources, address, sensitive
    ("Ecs", "StopInstance", "ApiCall", IDENTITY, {"ACS::ECS::Instance": ["i-1", "i-2"]}, "203.0.113.1", True),
    ("Ecs", "DescribeInstances", "ApiCall", ROLE, {"ACS::ECS::Instance": ["i-1"]}, "203.0.113.2", False),
    ("Rds", "DeleteDBInstance", "ConsoleOperation", IDENTITY, {"ACS::RDS::DBInstance": ["rm-1"]}, "203.0.113.1", True),
    ("Vpc", "CreateVpc", "ApiCall", {**IDENTITY, "userName": "Bob", "principalId": "28002"}, {"ACS::VPC::VPC": ["i-1"]}, "Internal", False),
]
VALUES = {
    "ServiceName": lambda event: [event["serviceName"]],
    "EventName": lambda event: [event["eventName"]],
    "User": lambda event: [event["userIdentity"]["userName"]],
    "EventId": lambda event: [event["eventId"]],
    "ResourceType": lambda event: list(event["referencedResources"]),
    "ResourceName": lambda event: [name for names in event["referencedResources"].values() for name in names],
    "EventRW": lambda event: [event["eventRW"]],
    "EventAccessKeyId": lambda event: [event["userIdentity"]["accessKeyId"]],
    "SensitiveAction": lambda event: ["true"] if event.get("eventAttributes") else [],
    "SourceIpAddress": lambda event: [event["sourceIpAddress"]],
    "EventType": lambda event: [event["eventType"]],
    "RoleName": lambda event: ["auditor"] if event["userIdentity"]["type"] == "assumed-role" else [],
    "PrincipalId": lambda event: [event["userIdentity"]["principalId"]],
}
PAIRS = [("ServiceName", other) for other in ("EventName", "User", "PrincipalId", "RoleName", "ResourceName", "EventRW",
                                              "SensitiveAction", "EventType")]
PAIRS += [("ResourceName", other) for other in ("ResourceType", "EventName", "User", "RoleName")] + [("EventType", "EventName")]


class Lookups:
    """An account with 120 events of four kinds, a second apart but in threes; nothing but those in the window."""

    def __init__(self, stack):
        self.one = sdk.callers(stack, 1)[0]
        self.start = int(time.time()) - 3600
        self.events = [self.event(number) for number in range(120)]
        account = self.one.account["accountId"]
        load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(account, json.dumps(event)) for event in self.events], 10000).join()
        eventually(lambda: len(self.ask()) == len(self.events))

    def event(self, number):
        service, name, kind, identity, resources, address, sensitive = KINDS[number % 4]
        event = {"eventId": f"lookup-{number}", "eventTime": sdk.iso(self.start + number // 3), "serviceName": service,
                 "eventName": name, "eventType": kind, "eventRW": "Read" if name.startswith("Describe") else "Write",
                 "sourceIpAddress": address, "recipientAccountId": self.one.account["accountId"],
                 "userIdentity": {**identity, "accountId": self.one.account["accountId"]}, "referencedResources": resources}
        return {**event, "eventAttributes": {"SensitiveAction": "true"}} if sensitive else event

    def window(self, start=0, end=3000):
        return {"start_time": sdk.iso(self.start + start), "end_time": sdk.iso(self.start + end)}

    def ask(self, *attributes, **how):
        return [event["eventId"] for event in self.one.events(*attributes, **{**self.window(), **how})]

    def expected(self, *attributes):
        return sorted(event["eventId"] for event in self.events if all(value in VALUES[key](event) for key, value in attributes))


@pytest.fixture(scope="module")
def lookups(stack):
    return Lookups(stack)


@pytest.mark.small
@pytest.mark.parametrize("key", VALUES)
def test_lookup_by_each_attribute(lookups, key):
    values = {value for event in lookups.events[:20] for value in VALUES[key](event)}
    assert values
    for value in values:
        found = lookups.ask((key, value))
        assert sorted(found) == lookups.expected((key, value)) and found
    for other in ("none-such", ""):
        assert lookups.ask((key, other)) == []


@pytest.mark.parametrize("first, second", PAIRS)
def test_lookup_by_each_pair(lookups, first, second):
    pairs = {(a, b) for event in lookups.events[:4] for a in VALUES[first](event) for b in VALUES[second](event)}
    assert pairs
    for a, b in pairs:
        for asked in ([(first, a), (second, b)], [(second, b), (first, a)]):
            assert sorted(lookups.ask(*asked)) == lookups.expected(*asked) != []
    assert lookups.ask((first, next(iter(pairs))[0]), (second, "none-such")) == []


def test_each_other_pair_is_refused(lookups):
    allowed = {frozenset(pair) for pair in PAIRS}
    for first, second in itertools.combinations(VALUES, 2):
        if frozenset((first, second)) not in allowed:
            with refused("InvalidLookupAttributesException", 400):
                lookups.ask((first, "true"), (second, "true"))


def test_attributes_that_are_refused(lookups):
    with refused("InvalidLookupAttributesException", 400):
        lookups.ask(("ServiceName", "Ecs"), ("EventName", "StopInstance"), ("User", "Alice"))
    for key in ("servicename", "Username", "", "ReadOnly", "EventTime"):
        with refused("InvalidLookupAttributesException", 400):
            lookups.ask((key, "Ecs"))
    with refused("InvalidLookupAttributesException", 400):
        lookups.ask((None, "Ecs"))
    with refused("InvalidLookupAttributesException", 400):
        lookups.ask(("ServiceName", None))


def test_of_the_same_key_twice_the_second_counts(lookups):
    assert sorted(lookups.ask(("ServiceName", "Ecs"), ("ServiceName", "Rds"))) == lookups.expected(("ServiceName", "Rds"))


def test_values_match_as_they_are_but_for_a_services_case(lookups):
    assert sorted(lookups.ask(("ServiceName", "ECS"))) == lookups.expected(("ServiceName", "Ecs"))
    assert lookups.ask(("EventName", "stopinstance")) == [] == lookups.ask(("User", "alice"))


def test_directions(lookups):
    newest = lookups.ask()
    oldest = lookups.ask(direction="FORWARD")
    times = {event["eventId"]: event["eventTime"] for event in lookups.events}
    assert [times[event] for event in oldest] == sorted(times.values())
    assert newest == oldest[::-1] == lookups.ask(direction="BACKWARD")
    assert sorted(oldest) == sorted(times)
    with refused("InvalidQueryParameter", 400, "Direction"):
        lookups.ask(direction="forward")


@pytest.mark.parametrize("size", [1, 7, 50])
def test_pages_of_any_size_are_the_whole(lookups, size):
    pages = list(lookups.one.pages(("ServiceName", "Ecs"), max_results=str(size), **lookups.window()))
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1) and len(pages) == -(-60 // size)
    assert sorted(event["eventId"] for page in pages for event in page) == lookups.expected(("ServiceName", "Ecs"))


def test_the_size_of_a_page(lookups):
    assert len(lookups.one.lookup(**lookups.window())["Events"]) == 20
    for size in ("51", "-1", "many", "1.5", "9" * 30):
        with refused("InvalidQueryParameter", 400, "MaxResults"):
            lookups.one.lookup(max_results=size)


def test_the_end_has_no_token_and_says_its_window(lookups):
    page = lookups.one.lookup(max_results="50", **lookups.window(0, 10))
    assert len(page["Events"]) == 30 and "NextToken" not in page
    assert (page["StartTime"], page["EndTime"]) == tuple(lookups.window(0, 10).values())


def test_paging_while_events_arrive_neither_skips_nor_doubles(stack, lookups):
    rng = random.Random(SEED)
    one = sdk.callers(stack, 1)[0]
    account = one.account["accountId"]
    made = list(load.events(SEED, 600, [account], REGION, lookups.start + 600))
    window = {"start_time": sdk.iso(lookups.start - 600), "end_time": sdk.iso(lookups.start + 3000), "max_results": "7"}
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(account, load.as_json(event)) for event in made[:300]], 10000).join()
    there = {event["eventId"] for event in made[:300]}
    eventually(lambda: len(one.events(**{**window, "max_results": "50"})) == 300)
    for direction in ("FORWARD", "BACKWARD"):
        later = rng.sample(made[300:], 150)
        sender = load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(account, load.as_json(event)) for event in later], 300)
        seen = [event["eventId"] for event in one.events(direction=direction, **window)]
        sender.join()
        assert len(seen) == len(set(seen)), f"seed {SEED}"
        assert there <= set(seen), f"seed {SEED}"
        there |= {event["eventId"] for event in later}
        eventually(lambda: len(one.events(**{**window, "max_results": "50"})) == len(there))


def test_a_token_belongs_to_its_query(stack, lookups):
    page = lookups.one.lookup(("ServiceName", "Ecs"), max_results="5", **lookups.window())
    token = page["NextToken"]
    again = lookups.one.lookup(("ServiceName", "Ecs"), max_results="5", next_token=token, **lookups.window())
    assert again == {**lookups.one.lookup(("ServiceName", "Ecs"), max_results="5", next_token=token, **lookups.window()),
                     "RequestId": again["RequestId"]}
    wrong = [{"direction": "FORWARD"}, {"next_token": token[:-1] + ("A" if token[-1] != "A" else "B")},
             {"next_token": "abc"}, {"next_token": "!" * 10}, {"next_token": "A" * 5000}]
    for changed in wrong:
        with refused("InvalidNextToken", 400):
            lookups.one.lookup(("ServiceName", "Ecs"), **{"next_token": token, **lookups.window(), **changed})
    with refused("InvalidNextToken", 400):
        lookups.one.lookup(("ServiceName", "Rds"), next_token=token, **lookups.window())
    with refused("InvalidNextToken", 400):
        sdk.callers(stack, 1)[0].lookup(("ServiceName", "Ecs"), next_token=token, **lookups.window())


def test_windows(lookups):
    times = [event["eventTime"] for event in lookups.one.events(**lookups.window(10, 20))]
    assert len(times) == 30 and min(times) == sdk.iso(lookups.start + 10) and max(times) == sdk.iso(lookups.start + 19)
    assert lookups.ask(**lookups.window(1000, 2000)) == []
    assert lookups.one.lookup()["StartTime"] <= sdk.iso(time.time() - 7 * 86400 + 2)


DAY = 86400


@pytest.mark.parametrize("start, end, code", [
    (-3600, None, "InvalidParameterCombination"), (None, 0, "InvalidParameterCombination"),
    (-3600, -7200, "InvalidParameterCombination"), (-3600, -3600, "InvalidParameterCombination"),
    (3600, 7200, "InvalidParameterStartTimeExceedsCurrent"), (-31 * DAY, 0, "InvalidParameterDateOutOfRange"),
    (-91 * DAY, -89 * DAY, "InvalidParameterStartTimeOutOfDate"), ("yesterday", 0, "InvalidParameterStartTime"),
    ("2026-02-30T00:00:00Z", 0, "InvalidParameterStartTime"), ("2026-11-01", 0, "InvalidParameterStartTime"),
    (-3600, "2026-11-01T00:00:00+08:00", "InvalidParameterEndTime"),
])
def test_windows_that_are_refused(one, start, end, code):
    now = int(time.time())
    window = {name: sdk.iso(now + value) if isinstance(value, int) else value
              for name, value in (("start_time", start), ("end_time", end)) if value is not None}
    with refused(code, 400):
        one.lookup(**window)


def test_the_longest_windows(one):
    now = int(time.time())
    one.lookup(start_time=sdk.iso(now - 30 * DAY), end_time=sdk.iso(now))
    one.lookup(start_time=sdk.iso(now - 90 * DAY + 60), end_time=sdk.iso(now - 60 * DAY + 60))


@pytest.mark.small
def test_an_event_of_this_second_is_found(stack, fresh):
    account = fresh.account["accountId"]
    event = {"eventId": "now-1", "eventName": "StopInstance", "serviceName": "Ecs", "recipientAccountId": account,
             "eventTime": sdk.iso(time.time())}
    assert fresh.lookup()["EndTime"] > event["eventTime"]
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(account, json.dumps(event))], 10).join()
    eventually(lambda: fresh.lookup(("EventId", "now-1"))["Events"])


@pytest.mark.small
def test_an_event_comes_back_as_it_was_written(stack, fresh, api):
    """Numbers that no reader holds, and characters that few take, are the document's own affair."""
    account = fresh.account["accountId"]
    odd = '{"big":123456789012345678901234567890,"price":1.10,"tiny":1e-999,"nul":"a\\u0000b","half":"\\ud800"}'
    event = (f'{{"eventId":"odd-1","eventName":"StopInstance","serviceName":"Ecs","recipientAccountId":"{account}",'
             f'"eventTime":"{sdk.iso(time.time())}","requestParameters":{odd}}}')
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(account, event)], 10).join()

    def found():
        answer = sdk.acs3(api, fresh.account, "LookupEvents", {"RegionId": REGION})
        return answer.status == 200 and f'"requestParameters":{odd}'.encode() in answer.body
    eventually(found)


# --- Who may ask -------------------------------------------------------------------------------------------


@pytest.mark.small
def test_both_families_of_signatures_in_all_their_forms(api, one):
    old = sdk.Caller(api, one.account, signature_algorithm="v2")
    assert old("DescribeTrails", include_shadow_trails=True, name_list="trail-a,trail-b")["TrailList"] == []
    query = {"NameList": "trail-a,trail-b", "RegionId": REGION, "Odd": "a b+c*d~e/ä&=%"}
    for method in ("GET", "POST"):
        assert sdk.acs3(api, one.account, "DescribeTrails", query, method).status == 200
        assert sdk.v1(api, one.account, "DescribeTrails", query, method).status == 200
    assert sdk.v1(api, one.account, "DescribeTrails", query, form=list(query)).status == 200
    body = sdk.canonical(query).encode()
    assert sdk.acs3(api, one.account, "DescribeTrails", {}, body=body).status == 200
    with_scheme = sdk.acs3(api, one.account, "DescribeTrails", host=f"http://{api}")
    assert with_scheme.status == 200


@pytest.mark.small
def test_strangers_are_refused(stack, api, fresh):
    with refused("SignatureDoesNotMatch", 400):
        sdk.Caller(api, fresh.account, secret="another-secret")("DescribeTrails")
    with refused("InvalidAccessKeyId.NotFound", 404):
        sdk.Caller(api, {**fresh.account, "accessKeyId": "LTAIunknown"})("DescribeTrails")
    with refused("InvalidSecurityToken.Malformed", 400):
        sdk.Caller(api, fresh.account, security_token="a-token")("DescribeTrails")
    stack.trailctl("key", "disable", fresh.account["accessKeyId"])

    def disabled():
        return sdk.code_of(sdk.acs3(api, fresh.account, "DescribeTrails", {"IncludeShadowTrails": "perhaps"}))

    eventually(lambda: disabled() == "InvalidAccessKeyId.Inactive")


@pytest.mark.parametrize("family", [sdk.acs3, sdk.v1])
def test_a_nonce_is_used_once(api, one, family):
    name = "x_acs_signature_nonce" if family is sdk.acs3 else "SignatureNonce"
    nonce = f"nonce-{time.time()}-{family.__name__}"
    assert family(api, one.account, "DescribeRegions", **{name: nonce}).status == 200
    for _ in range(2):
        assert sdk.code_of(family(api, one.account, "DescribeRegions", **{name: nonce})) == "SignatureNonceUsed"
    assert sdk.code_of(family(api, one.account, "DescribeTrails", **{name: nonce})) == "SignatureNonceUsed"


@pytest.mark.parametrize("family, name", [(sdk.acs3, "x_acs_date"), (sdk.v1, "Timestamp")])
def test_a_request_is_of_these_fifteen_minutes(api, one, family, name):
    for minutes in (-14, 14):
        assert family(api, one.account, "DescribeRegions", **{name: sdk.iso(time.time() + 60 * minutes)}).status == 200
    for minutes in (-16, 16, -60 * 24 * 400):
        answer = family(api, one.account, "DescribeRegions", **{name: sdk.iso(time.time() + 60 * minutes)})
        assert (sdk.code_of(answer), answer.status) == ("InvalidTimeStamp.Expired", 400)
    for text in ("now", "2026-13-01T00:00:00Z", "1795000000", "2026-11-23 10:00:00"):
        assert sdk.code_of(family(api, one.account, "DescribeRegions", **{name: text})) == "InvalidTimeStamp.Format"


@pytest.mark.parametrize("family", [sdk.acs3, sdk.v1])
def test_actions_and_versions(api, one, family):
    version = "x_acs_version" if family is sdk.acs3 else "Version"
    answer = family(api, one.account, "DoWhatIWant")
    assert (sdk.code_of(answer), answer.status) == ("InvalidAction.NotFound", 404)
    answer = family(api, one.account, "CreateDeliveryHistoryJob", {"TrailName": "trail-1"})
    assert (sdk.code_of(answer), answer.status) == ("ActionNotImplemented", 501)
    answer = family(api, one.account, "DescribeRegions", **{version: "2017-12-04"})
    assert (sdk.code_of(answer), answer.status) == ("InvalidVersion", 404)


@pytest.mark.parametrize("name", ["x_acs_action", "x_acs_version", "x_acs_date", "x_acs_signature_nonce", "x_acs_content_sha256"])
def test_each_missing_header_is_named(api, one, name):
    answer = sdk.acs3(api, one.account, "DescribeRegions", **{name: None})
    assert answer.status == 400 and sdk.code_of(answer) == "MissingParameter" and name.replace("_", "-").encode() in answer.body


@pytest.mark.parametrize("name", ["Action", "Version", "AccessKeyId", "SignatureNonce", "Timestamp"])
def test_each_missing_parameter_of_a_signature_is_named(api, one, name):
    answer = sdk.v1(api, one.account, "DescribeRegions", **{name: None})
    assert answer.status == 400 and sdk.code_of(answer) == "MissingParameter" and name.encode() in answer.body


def test_what_was_signed_is_what_counts(api, one):
    headers = sdk.acs3_headers(one.account, api, "POST", "DescribeTrails", {"NameList": "trail-a"})
    assert sdk.code_of(sdk.send(api, "POST", "/?NameList=trail-b", headers)) == "SignatureDoesNotMatch"
    headers = sdk.acs3_headers(one.account, api, "POST", "DescribeTrails", {})
    headers["x-acs-action"] = "DescribeRegions"
    assert sdk.code_of(sdk.send(api, "POST", "/", headers)) == "SignatureDoesNotMatch"
    headers = sdk.acs3_headers(one.account, api, "POST", "DescribeTrails", {}, b"NameList=trail-a")
    assert sdk.code_of(sdk.send(api, "POST", "/", headers, b"NameList=trail-b")) == "SignatureDoesNotMatch"
    headers = sdk.acs3_headers(one.account, api, "POST", "DescribeTrails", {})
    for name in ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"):
        unsigned = {**headers, "Authorization": headers["Authorization"].replace(f"{name};", "").replace(f";{name}", "")}
        assert sdk.code_of(sdk.send(api, "POST", "/", unsigned)) == "IncompleteSignature"
    every = sdk.v1_parameters(one.account, "DescribeTrails", {"NameList": "trail-a"})
    every["NameList"] = "trail-b"
    assert sdk.code_of(sdk.send(api, "POST", "/?" + sdk.canonical(every))) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("authorization, code", [
    ("ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=00", "InvalidSignatureMethod"),
    ("ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host", "IncompleteSignature"),
    ("ACS3-HMAC-SHA256", "InvalidSignatureMethod"), ("ACS3-HMAC-SHA256 ,,,=,", "IncompleteSignature"),
    ("Basic YTpi", "MissingParameter"), ("", "MissingParameter"), (None, "MissingParameter"),
])
def test_other_authorizations_are_refused(api, one, authorization, code):
    headers = {**sdk.acs3_headers(one.account, api, "POST", "DescribeRegions", {}), "Authorization": authorization}
    assert sdk.code_of(sdk.send(api, "POST", "/", headers)) == code


def test_an_error_as_xml(api):
    answer = sdk.send(api, "GET", "/?Format=XML&Action=DescribeRegions")
    assert answer.status == 400 and answer.type == "text/xml;charset=utf-8"
    assert re.search(rb"<Error><RequestId>[0-9A-F-]{36}</RequestId>.*<Code>MissingParameter</Code><Message>.+</Message></Error>", answer.body)


@pytest.mark.small
def test_two_lookups_a_second_by_default(stack, one):
    """An API of its own, with the defaults."""
    config = re.sub(r"lookups_a_second = \d+;", "", (stack.run / "trailbus.conf").read_text())
    ports = free_ports(len(re.findall(r"port = \d+;", config)))
    left = iter(ports)
    (stack.run / "defaults.conf").write_text(re.sub(r"port = \d+;", lambda _: f"port = {next(left)};", config))
    port = ports[0]
    with stack.spawn("api", config=stack.run / "defaults.conf", instance="defaults") as process:
        eventually(lambda: _listens(port))
        impatient = sdk.Caller(f"127.0.0.1:{port}", one.account, patient=False)
        outcomes = []
        for _ in range(40):
            before = time.time()
            try:
                impatient.lookup(max_results="1")
                outcomes.append((int(before), int(time.time()), True))
            except Exception as error:
                assert (error.code, error.status_code) == ("Throttling.User", 400), error
                outcomes.append((int(before), int(time.time()), False))
        allowed = [second for second, end, good in outcomes if good and second == end]
        assert allowed and all(allowed.count(second) <= 2 for second in allowed)
        assert not all(good for _, _, good in outcomes)
        impatient("DescribeTrails")
        process.terminate()
        assert process.wait(30) == 0


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- What nobody should send -------------------------------------------------------------------------------


def raw(api, sent, wait_s=5):
    """Bytes to the socket; what comes back until it is closed or nothing more comes."""
    host, port = api.split(":")
    with socket.create_connection((host, int(port)), timeout=wait_s) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except (TimeoutError, ConnectionError):
            return b""


@pytest.mark.small
@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"])
def test_other_methods_are_refused(api, method):
    answer = sdk.send(api, method, "/")
    assert answer.status == 405
    assert method == "HEAD" or sdk.code_of(answer) == "UnsupportedHTTPMethod"


@pytest.mark.small
@pytest.mark.parametrize("target", [
    "/?%", "/?%zz=1", "/?a=%ff%fe", "/?" + "&" * 5000, "/?" + "=" * 5000, "/?a=%00b", "/?Action=%F0%28%8C%28",
    "/?" + "&".join(f"p{n}=1" for n in range(200)), "/" + "x" * 5000, "//?Action=LookupEvents", "*",
    "/?LookupAttribute.99999999999999999999.Key=a&Action=LookupEvents", "/?Format=XML&" + "%3C" * 100,
], ids=lambda target: target[:24])
def test_odd_targets_get_a_clear_error(api, target):
    answer = sdk.send(api, "GET", target)
    assert 400 <= answer.status < 500
    assert b"Code" in answer.body


@pytest.mark.small
@pytest.mark.parametrize("query, code", [
    ({"LookupAttribute.0.Key": "User", "LookupAttribute.0.Value": "a"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute.1.Key": "User"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute.1.Value": "a"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute.x.Key": "User"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute.99999999999999999999.Key": "User"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute": "User"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute.1": "User"}, "InvalidLookupAttributesException"),
    ({"LookupAttribute.1.Colour": "red"}, "InvalidLookupAttributesException"),
    ({"MaxResults": "0x10"}, "InvalidQueryParameter"), ({"Direction": "SIDEWAYS"}, "InvalidQueryParameter"),
])
def test_odd_parameters_that_are_signed_well_get_a_clear_error(api, one, query, code):
    for family in (sdk.acs3, sdk.v1):
        answer = family(api, one.account, "LookupEvents", query)
        assert (sdk.code_of(answer), answer.status) == (code, 400)


@pytest.mark.small
def test_what_is_too_large_is_refused(api, one):
    large = sdk.send(api, "POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=" + b"b" * 200_000)
    assert large.status == 413 and b"RequestTooLarge" in large.body
    long = sdk.send(api, "GET", "/?a=" + "b" * 20_000)
    assert long.status in (413, 414)
    many = sdk.send(api, "GET", "/", {f"x-{n}": "1" for n in range(200)})
    assert many.status in (400, 413, 431)
    huge = sdk.send(api, "GET", "/", {"x-large": "1" * 60_000})
    assert huge.status in (400, 413, 431)
    nonce = sdk.acs3(api, one.account, "DescribeRegions", x_acs_signature_nonce="n" * 1000)
    assert nonce.status == 400 and sdk.code_of(nonce) == "InvalidParameterValue"


@pytest.mark.small
def test_bytes_that_are_no_request(api):
    """Each on a connection of its own, seeded; what is answered at all is answered with an error."""
    rng = random.Random(SEED)
    begun = b"POST /?Action=LookupEvents HTTP/1.1\r\nHost: a\r\n"
    sent = [b"", b"\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
            begun + b"Content-Length: -1\r\n\r\n", begun + b"Content-Length: 99999999999999999999\r\n\r\n",
            begun + b"Content-Length: 10\r\n\r\nabc", begun + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            begun + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", begun + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na",
            begun + b": empty\r\n\r\n", begun + b"no colon\r\n\r\n", begun + b"x: " + bytes(range(128, 256)) + b"\r\n\r\n"]
    sent += [rng.randbytes(rng.randrange(1, 3000)) for _ in range(30)]
    valid = bytearray(begun + b"x-acs-action: DescribeRegions\r\nAuthorization: ACS3-HMAC-SHA256 Credential=a,"
                      b"SignedHeaders=host;x-acs-date,Signature=00ff\r\nx-acs-version: 2020-07-06\r\n\r\n")
    for _ in range(60):
        broken = bytearray(valid)
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        sent.append(bytes(broken))
    for number, one_sent in enumerate(sent):
        answer = raw(api, one_sent)
        assert not answer.startswith(b"HTTP/1.1 2"), f"seed {SEED}, request {number}: {one_sent!r} {answer!r}"


@pytest.mark.small
def test_connections_that_say_nothing_hold_nobody_up(api, one):
    host, port = api.split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(100)]
    try:
        for connection in silent:
            connection.sendall(b"POST / HTTP/1.1\r\nHost:")
        assert one("DescribeRegions")["RequestId"]
        assert not select.select(silent, [], [], 0)[0], "it waited until they were shut out"
    finally:
        for connection in silent:
            connection.close()


def test_curl_sees_what_the_sdk_sees(api):
    said = subprocess.run(["curl", "-sS", f"http://{api}/?Action=DescribeRegions"], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["Code"] == "MissingParameter"
