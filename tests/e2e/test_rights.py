"""Users, groups and policies as an operator makes them, and what the API makes of them; keys changed without a stop."""
import contextlib
import json
import threading
import time
from xml.etree import ElementTree

import pytest
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException

import clients
import sdk
from sdk import refused
from wait import eventually

FULL, READ = "AliyunActionTrailFullAccess", "AliyunActionTrailReadOnlyAccess"
READS = {"DescribeTrails": {}, "LookupEvents": {"max_results": "1"}, "GetTrailStatus": {"name": "trail-1"}}
WRITES = {"CreateTrail": {"name": "trail-2"}, "UpdateTrail": {"name": "trail-1", "event_rw": "Write"},
          "StartLogging": {"name": "trail-1"}, "StopLogging": {"name": "trail-1"}, "DeleteTrail": {"name": "trail-1"}}


class Rights:
    """An account's users, groups and policies, by trailctl."""

    def __init__(self, stack):
        self.stack, self.api = stack, stack.env["TRAILBUS_API"]
        self.account = stack.account()
        self.root = sdk.Caller(self.api, self.account)

    def __call__(self, *words, stdin=None):
        return self.stack.trailctl(*words, account=self.account, stdin=stdin)

    def fails(self, words, *command, stdin=None):
        with pytest.raises(RuntimeError) as caught:
            self(*command, stdin=stdin)
        assert words in str(caught.value)

    def user(self, name, *policies):
        """A new user: its names, and a first key."""
        made = json.loads(self("user", "create", name, "--json"))
        for policy in policies:
            self("policy", "attach", policy, "--user", name)
        return {**made, **self.key(name)}

    def key(self, name, *more):
        return json.loads(self("key", "create", "--user", name, "--json", *more))

    def caller(self, user, family=clients.Acs3):
        return family(self.api, user)

    def policy(self, name, *statements):
        self("policy", "create", name, stdin=document(*statements))

    def trail(self, name="trail-1"):
        self.root("CreateTrail", name=name, oss_bucket_name=self.stack.env["TRAILBUS_BUCKET"],
                  oss_key_prefix=f"rights-{self.account['accountId']}/{name}"[:32])


def document(*statements):
    return json.dumps({"Version": "1", "Statement": [
        {"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]})


@pytest.fixture
def rights(stack):
    return Rights(stack)


def allowed(caller, action, **parameters):
    """Whether it is let in, whatever comes of it then."""
    try:
        caller(action, **parameters)
    except AlibabaCloudException as error:
        return error.code != "NoPermission"
    return True


def denied(caller, action, **parameters):
    """The details of the denial."""
    with pytest.raises(AlibabaCloudException) as caught:
        caller(action, **parameters)
    assert (caught.value.code, caught.value.status_code) == ("NoPermission", 403), caught.value
    detail = caught.value.data["AccessDeniedDetail"]
    assert detail["AuthAction"] == f"actiontrail:{action}" and detail["AuthPrincipalType"] == "SubUser"
    return detail


def becomes(caller, expected, action, **parameters):
    """The API reads of a change a moment after it."""
    eventually(lambda: allowed(caller, action, **parameters) == expected)


# --- What policies say -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", clients.FAMILIES, ids=lambda family: family.__name__.lower())
def test_a_user_may_do_what_is_allowed_and_nothing_else(rights, family):
    rights.trail()
    nobody = rights.caller(rights.user("nobody"), family)
    reader = rights.caller(rights.user("reader", READ), family)
    full = rights.caller(rights.user("full", FULL), family)
    becomes(reader, True, "DescribeTrails")
    becomes(full, True, "DescribeTrails")
    for caller in (nobody, reader, full):
        assert caller("DescribeRegions")["Regions"]
    for action, parameters in {**READS, **WRITES}.items():
        assert not allowed(nobody, action, **parameters), action
        assert allowed(reader, action, **parameters) == (action in READS), action
    with refused("NoPermission", 403, "You are not authorized to perform this operation."):
        reader("DeleteTrail", name="trail-1")
    for action, parameters in {**READS, **WRITES}.items():
        assert allowed(full, action, **parameters), action
    assert rights.root("DescribeTrails")["TrailList"] == []


def test_resources_are_single_trails(rights):
    rights.trail("audit-one")
    rights.trail("other-one")
    rights.policy("audit-trails", ("Allow", ["actiontrail:StartLogging", "actiontrail:GetTrailStatus"],
                                   "acs:actiontrail:cn-hangzhou:*:trail/audit-*"))
    alice = rights.caller(rights.user("alice", "audit-trails"))
    becomes(alice, True, "StartLogging", name="audit-one")
    assert alice("GetTrailStatus", name="audit-one")["IsLogging"] is True
    assert denied(alice, "StartLogging", name="other-one")["NoPermissionType"] == "ImplicitDeny"
    for action, parameters in {"StopLogging": {"name": "audit-one"}, "DescribeTrails": {}, "LookupEvents": {},
                               "CreateTrail": {"name": "audit-two"}, "GetTrailStatus": {}}.items():
        denied(alice, action, **parameters)
    assert rights.root("GetTrailStatus", name="other-one")["IsLogging"] is False


@pytest.mark.small
def test_what_is_forbidden_stays_so(rights):
    rights.trail("prod-one")
    rights.trail("test-one")
    rights.policy("keep-prod", ("Deny", ["actiontrail:Stop*", "actiontrail:Delete*", "actiontrail:Update*"],
                                "acs:actiontrail:*:*:trail/prod-*"))
    rights("group", "create", "careful")
    rights("policy", "attach", "keep-prod", "--group", "careful")
    alice = rights.caller(rights.user("alice", FULL))
    becomes(alice, True, "StopLogging", name="prod-one")
    rights("group", "add", "careful", "alice")
    becomes(alice, False, "StopLogging", name="prod-one")
    detail = denied(alice, "DeleteTrail", name="prod-one")
    assert detail["NoPermissionType"] == "ExplicitDeny"
    assert (detail["AuthPrincipalDisplayName"], detail["AuthPrincipalOwnerId"]) == ("alice", rights.account["accountId"])
    alice("DeleteTrail", name="test-one")
    rights("policy", "attach", FULL, "--group", "careful")
    denied(alice, "UpdateTrail", name="prod-one", event_rw="Read")
    rights("group", "remove", "careful", "alice")
    becomes(alice, True, "StopLogging", name="prod-one")


def test_rights_of_a_group_are_its_members(rights):
    rights("group", "create", "readers")
    alice, bob = (rights.caller(rights.user(name)) for name in ("alice", "bob"))
    rights("group", "add", "readers", "alice", "bob")
    assert not allowed(alice, "DescribeTrails")
    rights("policy", "attach", READ, "--group", "readers")
    becomes(alice, True, "DescribeTrails")
    becomes(bob, True, "DescribeTrails")
    rights("group", "remove", "readers", "bob")
    becomes(bob, False, "DescribeTrails")
    assert allowed(alice, "DescribeTrails")
    rights("group", "delete", "readers")
    becomes(alice, False, "DescribeTrails")
    assert denied(alice, "DescribeTrails")["NoPermissionType"] == "ImplicitDeny"


def test_a_policy_that_changes_counts_at_once(rights):
    rights.policy("mine", ("Allow", "actiontrail:*", "*"))
    alice = rights.caller(rights.user("alice", "mine"))
    becomes(alice, True, "DescribeTrails")
    rights("policy", "update", "mine", stdin=document(("Allow", "oss:*", "*")))
    becomes(alice, False, "DescribeTrails")
    assert json.loads(rights("policy", "show", "mine"))["Statement"][0]["Action"] == "oss:*"
    rights("policy", "update", "mine", stdin=document(("Allow", "ActionTrail:describetrails", "*")))
    becomes(alice, True, "DescribeTrails")
    rights("policy", "detach", "mine", "--user", "alice")
    becomes(alice, False, "DescribeTrails")


def test_users_of_one_name_in_two_accounts_are_two(stack, rights):
    other = Rights(stack)
    mine = rights.caller(rights.user("alice", FULL))
    theirs = other.caller(other.user("alice"))
    rights.trail()
    becomes(mine, True, "DescribeTrails")
    assert [trail["Name"] for trail in mine("DescribeTrails")["TrailList"]] == ["trail-1"]
    assert not allowed(theirs, "DescribeTrails")
    other("policy", "attach", FULL, "--user", "alice")
    becomes(theirs, True, "DescribeTrails")
    assert theirs("DescribeTrails")["TrailList"] == []
    with refused("TrailNotFoundException", 404):
        theirs("StopLogging", name="trail-1")


@pytest.mark.small
def test_a_denial_as_xml(rights):
    user = rights.user("alice")
    answer = sdk.v1(rights.api, user, "StopLogging", {"Name": "trail-1"}, Format="XML")
    assert answer.status == 403 and answer.type == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(answer.body)
    assert root.findtext("Code") == "NoPermission"
    assert root.findtext("AccessDeniedDetail/AuthAction") == "actiontrail:StopLogging"
    assert root.findtext("AccessDeniedDetail/AuthPrincipalDisplayName") == "alice"


# --- Events ------------------------------------------------------------------------------------------------


def test_events_tell_which_user_it_was(rights):
    user = rights.user("alice", FULL)
    alice = rights.caller(user)
    becomes(alice, True, "DescribeTrails")
    alice("CreateTrail", name="trail-1", oss_bucket_name=rights.stack.env["TRAILBUS_BUCKET"], oss_key_prefix="of-alice")
    poor = rights.user("poor")
    with refused("NoPermission", 403):
        rights.caller(poor)("DeleteTrail", name="trail-1")

    def events():
        found = {event["eventName"]: event for event in rights.root.events(("ServiceName", "Actiontrail"))
                 if event["userIdentity"]["type"] == "ram-user" and event["eventName"] != "LookupEvents"}
        return {"CreateTrail", "DeleteTrail"} <= set(found) and found

    found = eventually(events)
    want = {"type": "ram-user", "accountId": rights.account["accountId"], "principalId": user["userId"],
            "userName": "alice", "accessKeyId": user["accessKeyId"]}
    assert found["CreateTrail"]["userIdentity"] == want
    assert found["DescribeTrails"]["userIdentity"] == want
    assert found["DeleteTrail"]["userIdentity"]["userName"] == "poor"
    assert found["DeleteTrail"]["userIdentity"]["principalId"] == poor["userId"]
    assert found["DeleteTrail"]["errorCode"] == "NoPermission" and found["DeleteTrail"]["errorMessage"]
    assert {event["eventName"] for event in rights.root.events(("User", "poor"))} == {"DeleteTrail"}
    assert [event["eventName"] for event in rights.root.events(("ServiceName", "Actiontrail"), ("PrincipalId", user["userId"]))
            if event["eventRW"] == "Write"] == ["CreateTrail"]


def test_nobody_uses_up_the_rate_of_others(rights):
    """5 changes a second for each user: a user without rights who asks and asks cannot keep others from asking."""
    user = rights.user("noisy")
    rights.trail()
    stop = threading.Event()

    def ask():
        noisy = clients.Acs3(rights.api, user, patient=False)
        while not stop.is_set():
            with contextlib.suppress(AlibabaCloudException):
                noisy("StartLogging", name="trail-1")

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        impatient = sdk.Caller(rights.api, rights.account, patient=False)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            began = time.monotonic()
            impatient("StartLogging", name="trail-1")
            impatient("StopLogging", name="trail-1")
            stop.wait(max(0, 1.05 - (time.monotonic() - began)))
    finally:
        stop.set()
        for thread in asking:
            thread.join()


# --- Keys --------------------------------------------------------------------------------------------------


def test_a_key_is_changed_without_a_stop(rights):
    """One service calls all the time; it is given the second key before the first is taken away."""
    user = rights.user("service", READ)
    becomes(rights.caller(user), True, "DescribeTrails")
    current, calls, failed, stop = [user], [], [], threading.Event()

    def call():
        while not stop.is_set():
            try:
                rights.caller(current[0])("DescribeTrails")
                calls.append(current[0]["accessKeyId"])
            except Exception as error:  # told below
                failed.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        second = rights.key("service")
        current[0] = second
        eventually(lambda: second["accessKeyId"] in calls)
        rights("key", "disable", user["accessKeyId"])

        eventually(lambda: _code(rights.caller(user)) == "InvalidAccessKeyId.Inactive")
        after = len(calls)
        eventually(lambda: len(calls) > after + 5)
    finally:
        stop.set()
        caller.join()
    assert not failed, failed[0]

    assert "was disabled before" in rights("key", "disable", user["accessKeyId"])
    rights("key", "enable", user["accessKeyId"])
    eventually(lambda: _works(rights.caller(user)))
    rights("key", "delete", user["accessKeyId"])
    eventually(lambda: _code(rights.caller(user)) == "InvalidAccessKeyId.NotFound")
    rights.fails("there is no key", "key", "enable", user["accessKeyId"])
    listed = [json.loads(line) for line in rights("key", "list", rights.account["accountId"], "--user", "service", "--json").splitlines()]
    assert [(key["accessKeyId"], key["state"], key["userName"]) for key in listed] == [
        (second["accessKeyId"], "active", "service")]


def _code(caller):
    try:
        caller("DescribeTrails")
    except AlibabaCloudException as error:
        return error.code
    return None


def _works(caller):
    return _code(caller) is None


@pytest.mark.small
def test_a_user_that_is_deleted_has_no_keys(rights):
    user = rights.user("alice", FULL)
    lasting, temporary = rights.caller(user), rights.caller(rights.key("alice", "--temporary", "600"))
    becomes(lasting, True, "DescribeTrails")
    assert _works(temporary)
    assert "keys: 1" in rights("user", "delete", "alice")
    eventually(lambda: _code(lasting) == "InvalidAccessKeyId.NotFound")
    assert _code(temporary) == "InvalidAccessKeyId.NotFound"
    again = rights.user("alice", FULL)
    assert again["userId"] != user["userId"]
    becomes(rights.caller(again), True, "DescribeTrails")
    assert _code(temporary) == _code(lasting) == "InvalidAccessKeyId.NotFound"


def test_a_temporary_key_of_a_user_has_its_rights(rights):
    rights.trail()
    user = rights.user("alice", READ)
    temporary = rights.key("alice", "--temporary", "600")
    becomes(rights.caller(user), True, "DescribeTrails")
    for family in clients.FAMILIES:
        caller = rights.caller(temporary, family)
        assert [trail["Name"] for trail in caller("DescribeTrails")["TrailList"]] == ["trail-1"]
        with refused("NoPermission", 403):
            caller("DeleteTrail", name="trail-1")
    rights("policy", "attach", FULL, "--user", "alice")
    becomes(rights.caller(temporary), True, "StartLogging", name="trail-1")

    def identity():
        found = [event for event in rights.root.events(("EventName", "StartLogging")) if "errorCode" not in event]
        return found and found[0]["userIdentity"]

    who = eventually(identity)
    assert (who["type"], who["userName"], who["principalId"]) == ("ram-user", "alice", user["userId"])
    assert who["accessKeyId"] == temporary["accessKeyId"] and who["sessionContext"]["attributes"]["mfaAuthenticated"] == "false"


def test_trailctl_takes_a_temporary_key(rights):
    key = json.loads(rights("key", "create", "--temporary", "600", "--json"))
    rights.trail()
    assert "trail-1" in rights.stack.trailctl("trail", "list", account=key)
    with pytest.raises(RuntimeError, match="set TRAILBUS_SECURITY_TOKEN"):
        rights.stack.trailctl("trail", "list", account={**key, "securityToken": ""})


# --- What the operator is told -----------------------------------------------------------------------------


@pytest.mark.small
def test_the_operator_is_told_what_is_wrong(rights):
    rights.user("alice")
    rights.policy("mine", ("Allow", "*", "*"))
    rights.fails("user alice is there", "user", "create", "alice")
    rights.fails("there is no user bob", "user", "delete", "bob")
    rights.fails("there is no user bob", "key", "create", "--user", "bob")
    rights.fails("there is no group ops", "group", "add", "ops", "alice")
    rights.fails("there is no policy other", "policy", "attach", "other", "--user", "alice")
    rights.fails("either --user or --group", "policy", "attach", "mine")
    rights.fails("is not attached", "policy", "detach", "mine", "--user", "alice")
    rights.fails("policy mine is there", "policy", "create", "mine", stdin=document(("Allow", "*", "*")))
    rights.fails("names that begin with Aliyun", "policy", "create", "AliyunMine", stdin=document(("Allow", "*", "*")))
    rights.fails("names that begin with Aliyun", "policy", "delete", FULL)
    rights.fails('"Condition" is not known', "policy", "create", "other", stdin=json.dumps(
        {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}]}))
    rights.fails("at most 6144", "policy", "create", "other", stdin=document(("Allow", "*", "*")) + " " * 7000)
    rights("policy", "attach", "mine", "--user", "alice")
    rights.fails("attached to user alice", "policy", "delete", "mine")
    rights("policy", "detach", "mine", "--user", "alice")
    rights("policy", "delete", "mine")
    rights.fails("there is no account 7", "user", "list", "--account", "7")
    rights.fails("--temporary must be", "key", "create", "--temporary", "43201")


@pytest.mark.small
def test_the_lists_show_what_there_is(rights):
    rights("group", "create", "ops")
    alice = rights.user("alice", READ)
    rights.user("bob")
    rights("group", "add", "ops", "alice", "bob")
    rights.policy("mine", ("Allow", "*", "*"))
    rights("policy", "attach", "mine", "--group", "ops")

    def listed(kind, *columns):
        return [tuple(json.loads(line).get(column) for column in columns) for line in rights(kind, "list", "--json").splitlines()]

    assert listed("user", "userName", "groups", "policies") == [("alice", "ops", READ), ("bob", "ops", None)]
    assert listed("user", "userId")[0] == (alice["userId"],)
    assert listed("group", "groupName", "members", "policies") == [("ops", "alice,bob", "mine")]
    assert listed("policy", "policyName", "type", "attachedTo") == [
        (FULL, "System", None), (READ, "System", "user alice"), ("mine", "Custom", "group ops")]
