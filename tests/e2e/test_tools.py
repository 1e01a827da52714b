"""What we write is read by tools that know nothing of us: fastavro, kcat, gzip, jq, redis-cli."""
import calendar
import collections
import json
import re
import subprocess
import time

import pytest

import ledger
import load
import proof
import sdk
import topics
from wait import eventually

REGION = "cn-hangzhou"
LOOKED_AT = 20  # keys of one form

pytestmark = pytest.mark.small


def run(*command, stdin=None):
    return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def auditor(stack):
    return proof.auditors(stack, 1, "tools")[0]


@pytest.fixture(scope="module")
def events(stack, auditor):
    """20 events through trailctl, in the bucket and in the history."""
    made = list(load.events(load.seed(), 20, [auditor.account], REGION))
    said = stack.trailctl("emit", stdin="".join(json.dumps(event) + "\n" for event in made))
    assert re.search(r"\b20\b", said)
    proof.wait_until_quiet(stack)
    return made


# --- Avro --------------------------------------------------------------------------------------------------


def test_raw_events_are_read_by_their_schema(stack, events, auditor):
    schema = ledger.Schema("raw_event.avsc")
    found = {}
    for record in topics.records(stack.env["TRAILBUS_KAFKA"], f"raw.{REGION}"):
        if record.key.decode() == auditor.account and record.headers["content-type"] == b"avro/binary":
            event = schema.decode(record.value)
            found[event["eventId"]] = event
    for event in events:
        raw = found[event["eventId"]]
        for name in ("eventName", "eventTime", "serviceName", "acsRegion", "recipientAccountId", "sourceIpAddress", "userAgent"):
            assert raw[name] == event[name]
        assert raw["userIdentity"]["userName"] == event["userIdentity"]["userName"]
        assert json.loads(raw["requestParameters"]) == event["requestParameters"]
        assert json.loads(raw["extension"])["somethingNew"] == event["somethingNew"]


def test_events_are_read_by_their_schema(stack, events, auditor):
    log = ledger.read_log(stack.env["TRAILBUS_KAFKA"], f"events.{REGION}")
    found = {event["id"]: event for event in log.events.values() if event and event["account"] == auditor.account}
    for event in events:
        got = found[event["eventId"]]
        assert not load.lost_fields(event, json.loads(got["document"]))
        assert (got["region"], got["service"], got["name"]) == (REGION, event["serviceName"], event["eventName"])
        assert got["rw"] == ("READ" if event["eventName"].startswith("Describe") else "WRITE")
        assert got["time"].isoformat() == event["eventTime"].replace("Z", "+00:00")
        assert (got["category"], got["global"], got["purpose"]) == ("MANAGEMENT", False, 3)
        assert got["origin"]["topic"] == f"raw.{REGION}"
        wanted = [(kind, name) for kind, names in event["referencedResources"].items() for name in names]
        assert [(one["type"], one["name"]) for one in got["resources"]] == wanted


def test_an_event_in_avro_and_in_json_comes_out_alike(stack, auditor):
    schema, now = ledger.Schema("raw_event.avsc"), sdk.iso(time.time() - 60)
    common = {"eventName": "StopInstance", "eventTime": now, "serviceName": "Ecs", "recipientAccountId": auditor.account,
              "sourceIpAddress": "203.0.113.9", "userAgent": "tools \u2028 \U0001f600"}
    parameters = {"InstanceId": "i-1", "Count": 9007199254740993, "Rate": 1.10, "Password": "secret"}
    identity = {"type": "ram-user", "principalId": "28001", "accountId": auditor.account, "userName": "alice"}
    in_json = {"eventId": "tools-json", **common, "userIdentity": identity, "requestParameters": parameters, "odd": [1, {"a": None}]}
    in_avro = {"eventId": "tools-avro", **common, "userIdentity": identity, "requestParameters": json.dumps(parameters),
               "extension": json.dumps({"odd": [1, {"a": None}]})}
    brokers = stack.env["TRAILBUS_KAFKA"]
    load.Sender(brokers, REGION, [(auditor.account, json.dumps(in_json))], 10).join()
    load.Sender(brokers, REGION, [(auditor.account, schema.encode(in_avro))], 10, "avro/binary").join()

    def found(event_id):
        return auditor.caller.events(("EventId", event_id))

    [one] = eventually(lambda: found("tools-json"))
    [other] = eventually(lambda: found("tools-avro"))
    assert not load.lost_fields({**in_json, "requestParameters": {**parameters, "Password": one["requestParameters"]["Password"]}}, one)
    assert "secret" not in json.dumps(one)
    assert {**one, "eventId": "tools-avro"} == other


# --- kcat --------------------------------------------------------------------------------------------------


def test_kcat_lists_the_topics(stack):
    listed = json.loads(run("kcat", "-b", stack.env["TRAILBUS_KAFKA"], "-L", "-J"))
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in listed["topics"]}
    for topic in (f"raw.{REGION}", f"events.{REGION}", f"rejected.{REGION}", "global"):
        assert partitions[topic] == 4
    assert partitions["control"] == 1


def test_kcat_shows_what_was_rejected_and_why(stack, auditor):
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(auditor.account, b'{"eventName": "no more than this"}')], 10).join()

    def rejected():
        said = run("kcat", "-b", stack.env["TRAILBUS_KAFKA"], "-t", f"rejected.{REGION}", "-C", "-e", "-q", "-f", "%k|%h|%s\n")
        return [line for line in said.decode(errors="replace").splitlines() if line.startswith(auditor.account + "|")]

    [line] = eventually(rejected)
    assert "trailbus-reason=missing_field" in line and f"trailbus-origin=raw.{REGION}/" in line
    assert line.endswith('|{"eventName": "no more than this"}')


# --- Objects -----------------------------------------------------------------------------------------------


def test_gzip_and_jq_open_an_object(stack, events, auditor, tmp_path):
    s3, found = stack.s3(), set()
    for row in s3.list_objects_v2(Bucket=auditor.bucket, Prefix=f"{auditor.prefix}/AliyunLogs/Actiontrail/")["Contents"]:
        assert re.fullmatch(rf"{auditor.prefix}/AliyunLogs/Actiontrail/{REGION}/\d{{4}}/\d\d/\d\d/Actiontrail_{REGION}_\d{{14}}_\d+_\d{{20}}_"
                            r"[0-9a-f]{16}\.gz", row["Key"])
        file = tmp_path / "object.gz"
        s3.download_file(auditor.bucket, row["Key"], str(file))
        said = run("sh", "-c", 'gzip -dc "$1" | jq -r ".[] | .eventId"', "sh", file)
        found |= set(said.decode().split())
    assert {event["eventId"] for event in events} <= found


# --- redis-cli ---------------------------------------------------------------------------------------------


@pytest.fixture
def redis(stack):
    port = stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
    return lambda *words: run("redis-cli", "-p", port, *words).decode().splitlines()


def hash_of(lines):
    return dict(zip(lines[::2], lines[1::2]))


def documented():
    """{pattern of keys: (type, whether they expire, patterns of fields)} as docs/REDIS.md says."""
    found = {}

    def pattern_of(name):
        return "".join(re.escape(part) if number % 2 == 0 else r"[^:]*" for number, part in enumerate(re.split(r"(<[^>]+>)", name)))

    for section in re.split(r"^## ", (ledger.ROOT / "docs" / "REDIS.md").read_text(), flags=re.M)[1:]:
        name = re.match(r"`(tb1:[^`]+)`", section)
        if name:
            kind, expires = re.search(r"^Type: (\w+)\. Expires: (never|after|[0-9]+ s after)", section, flags=re.M).groups()
            rows = [row.split("|") for row in re.findall(r"^\|(.*)\|$", section, flags=re.M)]
            column = next((row.index(" field ") for row in rows if " field " in row), None)
            fields = " ".join(row[column] for row in rows) if rows else ""
            found[pattern_of(name[1])] = (kind, expires != "never", [pattern_of(one) for one in re.findall(r"`([^`]+)`", fields)])
    return found


def test_every_key_is_as_documented(stack, events, redis, auditor):
    contract = documented()
    assert len(contract) >= 10
    auditor.caller("DescribeTrails")
    met = collections.Counter()
    for key in redis("--scan", "--pattern", "*"):
        [pattern] = [pattern for pattern in contract if re.fullmatch(pattern, key)] or [None]
        assert pattern, f"{key} is not in docs/REDIS.md"
        kind, expires, fields = contract[pattern]
        met[pattern] += 1
        if met[pattern] > LOOKED_AT:
            continue
        said, ttl = redis("type", key)[0], int(redis("ttl", key)[0])
        if said == "none" or ttl == -2:
            continue  # it expired meanwhile
        assert said == kind and (ttl >= 0) == expires, f"{key}: {said}, ttl {ttl}"
        if kind == "hash":
            for field in hash_of(redis("hgetall", key)):
                assert any(re.fullmatch(one, field) for one in fields), f"{key}: {field} is not documented"
    # The calls of a second are gone after three, who writes the view of trails has done so in a moment, nothing is wrong, and
    # nobody sends canaries here.
    unmet = [pattern for pattern in contract if pattern not in met and not re.search("throttle|:epoch:|alarms|freshness", pattern)]
    assert not unmet, "documented, and nobody writes them"


def age_s(seen):
    return abs(time.time() - calendar.timegm(time.strptime(seen, "%Y-%m-%dT%H:%M:%SZ")))


def test_redis_alone_shows_lag_and_status(stack, events, redis, auditor):
    keys = redis("smembers", "tb1:workers")
    for worker in ("normalizer", "delivery", "history"):
        key = f"tb1:worker:{worker}:{REGION}:1"
        assert key in keys
        alive = hash_of(redis("hgetall", key))
        assert alive["state"] == "running" and int(alive["pid"]) == stack.pid(f"{worker}@{REGION}") and alive["partitions"] == "4"
        assert eventually(lambda: redis("hget", key, "lag") == ["0"])
        eventually(lambda: age_s(redis("hget", key, "seen")[0]) < 15)
    assert hash_of(redis("hgetall", "tb1:worker:api::1"))["state"] == "running"
    assert int(redis("hget", f"tb1:count:normalizer:{REGION}", "normalized")[0]) >= 20
    [trail] = redis("smembers", f"tb1:account:{auditor.account}:trails")
    shown = hash_of(redis("hgetall", f"tb1:trail:{trail}"))
    assert (shown["name"], shown["status"], shown["bucket"], shown["prefix"]) == ("trail-1", "Enable", "audit", auditor.prefix)
    assert redis("hget", f"tb1:trail:{trail}:status:{REGION}", "error") == [""]


def test_an_emptied_redis_is_filled_again(stack, events, redis, auditor):
    [trail] = redis("smembers", f"tb1:account:{auditor.account}:trails")
    redis("flushall")
    eventually(lambda: redis("hget", f"tb1:trail:{trail}", "name") == ["trail-1"])
    assert eventually(lambda: redis("exists", "tb1:epoch") == ["1"])
    eventually(lambda: len(redis("smembers", "tb1:workers")) >= 4)
    more = list(load.events(load.seed(), 20, [auditor.account], REGION))
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(auditor.account, load.as_json(event)) for event in more], 1000).join()
    proof.wait_until_quiet(stack)
    proof.assert_same([*events, *more], _without(proof.in_buckets(stack, [auditor]), "tools-"), "the bucket")


def _without(found, start):
    return {account: {key: event for key, event in events.items() if not key.startswith(start)} for account, events in found.items()}
