"""Every client that there is drives every operation: both official SDKs, both signatures, query and form body."""
import json
import pkgutil
import re
import time
from xml.etree import ElementTree

import pytest
from aliyunsdkactiontrail.request import v20200706
from alibabacloud_actiontrail20200706.client import Client

import clients
import sdk
from clients import FAMILIES
from sdk import refused
from wait import eventually

SIGNATURE_CODES = ("SignatureDoesNotMatch", "IncompleteSignature", "MissingParameter", "InvalidSignatureMethod",
                   "InvalidSignatureVersion", "InvalidVersion")


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__.lower())
def family(request):
    return request.param


@pytest.fixture
def api(stack):
    return stack.env["TRAILBUS_API"]


@pytest.fixture
def fresh(stack, api, family):
    """A Caller of this family, of an account of its own."""
    return family(api, stack.account())


# --- Operations --------------------------------------------------------------------------------------------


@pytest.mark.small
def test_the_life_of_a_trail(stack, fresh):
    bucket, prefix = stack.env["TRAILBUS_BUCKET"], f"client_{type(fresh).__name__}"
    regions = fresh("DescribeRegions", accept_language="en-US")["Regions"]["Region"]
    assert "cn-hangzhou" in [region["RegionId"] for region in regions]

    made = fresh("CreateTrail", name="trail-1", oss_bucket_name=bucket, oss_key_prefix=prefix + "/a", event_rw="All",
                 trail_region="All", is_organization_trail=False)
    assert (made["Name"], made["OssKeyPrefix"], made["EventRW"]) == ("trail-1", prefix + "/a", "All")
    [trail] = fresh("DescribeTrails", name_list="trail-1,trail-2", include_shadow_trails=True)["TrailList"]
    assert (trail["Name"], trail["Status"]) == ("trail-1", "Fresh")
    assert set(fresh("StartLogging", name="trail-1")) == {"RequestId"}
    assert fresh("GetTrailStatus", name="trail-1", is_organization_trail=False)["IsLogging"] is True
    assert fresh("UpdateTrail", name="trail-1", oss_key_prefix=prefix + "/b", event_rw="Write")["EventRW"] == "Write"
    fresh("StopLogging", name="trail-1")
    assert fresh("DescribeTrails")["TrailList"][0]["Status"] == "Disable"
    fresh("DeleteTrail", name="trail-1")
    assert fresh("DescribeTrails", include_organization_trail=True)["TrailList"] == []
    with refused("TrailNotFoundException", 404):
        fresh("DeleteTrail", name="trail-1")

    def all_told():
        found = fresh.events(("ServiceName", "Actiontrail"), direction="FORWARD")
        return {"CreateTrail", "StartLogging", "UpdateTrail", "StopLogging", "DeleteTrail", "DescribeTrails"} <= {
            event["eventName"] for event in found if event["userIdentity"]["accessKeyId"] == fresh.account["accessKeyId"]}

    eventually(all_told)


def test_values_that_are_hard_to_encode(stack, fresh):
    """Each is signed and found; were it misread, the signature would not match, or another value be looked for."""
    for value in ("a b", "a+b", "100%", "~*'()!", "ü 名前", "a&b=c", "%2B", "/", ""):
        assert fresh.lookup(("User", value), max_results="1")["Events"] == [], value
    event = ('{"eventName":"A+B c","serviceName":"Ecs","eventTime":"%s","recipientAccountId":"%s"}\n'
             % (sdk.iso(time.time()), fresh.account["accountId"]))
    stack.trailctl("emit", stdin=event, account=fresh.account)
    eventually(lambda: fresh.lookup(("ServiceName", "Ecs"), ("EventName", "A+B c"))["Events"])
    assert fresh.lookup(("ServiceName", "Ecs"), ("EventName", "A B c"))["Events"] == []


def test_pages(stack, fresh):
    now = sdk.iso(time.time())
    lines = [f'{{"eventName":"Page{n}","serviceName":"Ecs","eventTime":"{now}",'
             f'"recipientAccountId":"{fresh.account["accountId"]}"}}\n' for n in range(7)]
    stack.trailctl("emit", stdin="".join(lines), account=fresh.account)
    eventually(lambda: len(fresh.events(("ServiceName", "Ecs"))) == 7)
    pages = list(fresh.pages(("ServiceName", "Ecs"), max_results="3"))
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len({event["eventId"] for page in pages for event in page}) == 7


def test_an_error_is_understood(fresh):
    with refused("InvalidTrailNameException", 400):
        fresh("CreateTrail", name="No")
    with refused("TrailNotFoundException", 404):
        fresh("GetTrailStatus", name="trail-nowhere")
    with refused("InvalidParameterCombination", 400):
        fresh("LookupEvents", start_time="2026-11-23T08:00:00Z")


def wrong_secret_code(family):
    """The older SDK compares what the refusal says was signed to what it signed itself, and draws a conclusion."""
    return "InvalidAccessKeySecret" if family is clients.Old else "SignatureDoesNotMatch"


def test_a_wrong_secret_is_told_as_such(stack, api, family):
    account = stack.account()
    with refused(wrong_secret_code(family), 400):
        family(api, {**account, "accessKeySecret": "not-the-secret"})("DescribeTrails", name_list="trail-a,trail b")


def sdk_actions(family):
    """What the family's SDK has a method for."""
    if family is clients.Old:
        return sorted(module.name.removesuffix("Request") for module in pkgutil.iter_modules(v20200706.__path__))
    methods = [name.removesuffix("_with_options") for name in dir(Client) if name.endswith("_with_options")]
    return sorted("".join(part.capitalize() for part in name.split("_")) for name in methods)


def test_every_operation_of_the_sdk_gets_an_answer_of_the_service(fresh):
    """Also those that are not offered: the signature is never what is wrong."""
    actions = sdk_actions(type(fresh))
    assert len(actions) >= 18
    for action in actions:
        try:
            answer = fresh(action)
            assert answer["RequestId"], action
        except Exception as error:
            code = getattr(error, "code", None)
            assert code and re.fullmatch(r"[A-Za-z.]+", code), (action, error)
            assert code not in SIGNATURE_CODES or "mandatory for this action" in error.message, (action, error)


# --- Temporary keys ----------------------------------------------------------------------------------------


def temporary(stack, account, seconds, *more):
    return {"accountId": account["accountId"],
            **json.loads(stack.trailctl("key", "create", account["accountId"], "--temporary", str(seconds), "--json", *more))}


def test_a_temporary_key_does_what_its_account_may(stack, api, family):
    key = temporary(stack, stack.account(), 600)
    assert key["accessKeyId"].startswith("STS.") and key["expiration"] > sdk.iso(time.time())
    one = family(api, key)
    assert one("DescribeTrails")["TrailList"] == []
    one("CreateTrail", name="trail-1", oss_bucket_name=stack.env["TRAILBUS_BUCKET"], oss_key_prefix="temporary-" + family.__name__)
    one("DeleteTrail", name="trail-1")

    def identity():
        found = one.events(("EventName", "CreateTrail"))
        return found and found[0]["userIdentity"]

    who = eventually(identity)
    assert (who["type"], who["accessKeyId"], who["userName"]) == ("root-account", key["accessKeyId"], "root")
    assert who["sessionContext"]["attributes"]["creationDate"] <= sdk.iso(time.time())


def test_a_temporary_key_ends(stack, api):
    keys = {}
    for family in FAMILIES:
        account = stack.account()
        keys[family] = temporary(stack, account, 6)
        family(api, keys[family])("DescribeRegions")

    def ended(family):
        try:
            family(api, keys[family])("DescribeRegions")
        except Exception as error:
            return (error.code, error.status_code)

    for family, key in keys.items():
        assert eventually(lambda: ended(family)) == ("InvalidSecurityToken.Expired", 400), family
        assert sdk.iso(time.time()) >= key["expiration"]


@pytest.mark.small
def test_a_token_belongs_to_its_key(stack, api, family):
    account = stack.account()
    key, other = temporary(stack, account, 600), temporary(stack, account, 600)
    with refused("InvalidSecurityToken.MismatchWithAccessKey", 400):
        family(api, {**key, "securityToken": other["securityToken"]})("DescribeRegions")
    with refused("InvalidSecurityToken.MismatchWithAccessKey", 400):
        family(api, {**account, "securityToken": key["securityToken"]})("DescribeRegions")
    with refused("InvalidSecurityToken.Malformed", 400):
        family(api, {**key, "securityToken": "A" + key["securityToken"][1:-4]})("DescribeRegions")
    with refused("InvalidSecurityToken.Malformed", 400):
        family(api, {**account, "securityToken": "CAIStoken/+=="})("DescribeRegions")
    with refused("MissingSecurityToken", 400):
        family(api, {name: value for name, value in key.items() if name != "securityToken"})("DescribeRegions")
    with refused(wrong_secret_code(family), 400):
        family(api, {**key, "accessKeySecret": other["accessKeySecret"]})("DescribeRegions")
    family(api, key)("DescribeRegions")


# --- What no SDK here sends, but others do -------------------------------------------------------------------


@pytest.mark.small
def test_what_terraform_and_go_add_is_tolerated(stack, api):
    account = stack.account()
    more = {"RegionId": "cn-hangzhou", "SourceIp": "203.0.113.7", "SecureTransport": "true", "SignatureType": None}
    for form in ((), ("NameList", "RegionId"), ("NameList", "RegionId", "SourceIp", "SecureTransport")):
        answer = sdk.v1(api, account, "DescribeTrails", {"NameList": "trail-1"}, form=form, **more)
        assert answer.status == 200, answer
    every = sdk.v1_parameters(account, "DescribeTrails", {"NameList": "trail-1"}, "POST")
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert sdk.send(api, "POST", "/", form, sdk.canonical(every).encode()).status == 200
    every = sdk.v1_parameters(account, "DescribeTrails", {"NameList": "trail-1"}, "POST")
    assert sdk.send(api, "POST", "/?" + sdk.canonical(every), form).status == 200


# --- Errors as XML -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, form", [("GET", ()), ("POST", ()), ("POST", ("Name", "Format"))])
def test_an_error_comes_as_xml_when_xml_is_asked_for(stack, api, method, form):
    account = stack.account()
    answer = sdk.v1(api, account, "GetTrailStatus", {"Name": "trail-<&>"}, method, form, Format="XML")
    assert answer.status == 404 and answer.type == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(answer.body)
    assert root.tag == "Error" and root.findtext("Code") == "TrailNotFoundException"
    assert re.fullmatch("[0-9A-F-]{36}", root.findtext("RequestId"))
    assert root.findtext("Message") and root.findtext("HostId") == api
    good = sdk.v1(api, account, "DescribeRegions", method=method, Format="XML")
    assert good.status == 200 and good.type.startswith("application/json")
    assert sdk.code_of(sdk.v1(api, account, "DescribeRegions", method=method, Format="YAML")) == "InvalidParameter.Format"
