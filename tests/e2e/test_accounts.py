"""Every event is accounted for, and whoever watches sees when it is not: trailbus-watch, and delivery's counts a trail.

A stack of its own, since what is passed over here unbalances every count for good. Its watch looks often and warns early.
"""
import collections
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import ledger
import load
import proof
import sdk
import topics
from stack import Stack
from wait import eventually

REGION = "cn-hangzhou"
WATCH_ACCOUNT = "1000000000000001"
# Whatever is not read yet is warned of; canaries that are stopped stall within seconds.
SETTINGS = (f'watch: {{ look_ms = 500; after_ms = 3000; account = "{WATCH_ACCOUNT}"; canary_period_ms = 1000; '
            "stall_after_ms = 20000; loss_warning_ms = 604800000; };")
BALANCES = ("hole", "missing", "surplus", "miscount")
WAIT_S = 120


@pytest.fixture(scope="module")
def watched(request):
    one, failed = Stack(regions=REGION, name="-accounts"), request.session.testsfailed
    try:
        one.up()
        conf = one.run / "trailbus.conf"
        lines = [SETTINGS if line.startswith("watch:") else line for line in conf.read_text().splitlines()]
        assert SETTINGS in lines
        conf.write_text("\n".join(lines) + "\n")
        account = json.loads(one.trailctl("account", "create", "--id", WATCH_ACCOUNT, "--json"))
        one.trailctl("trail", "create", "canaries", "--bucket", "audit", "--prefix", "canaries", account=account)
        one.trailctl("trail", "start", "canaries", account=account)
        one.restart("watch")
        yield one
    finally:
        one.end(keep=request.session.testsfailed > failed)


def status(stack, *options):
    return json.loads(stack.trailctl("status", "--json", *options))


def alarms(stack, *kinds):
    """{name: why} of what is wrong now, of these kinds."""
    return {one["alarm"]: one["why"] for one in status(stack)["alarms"] if one["alarm"].split()[0] in kinds}


def began(stack, *kinds):
    """Names of all alarms of these kinds that ever began."""
    port = stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
    lines = subprocess.run(["redis-cli", "-p", port, "xrange", "tb1:alarms:log", "-", "+"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    names = [lines[number + 1] for number, line in enumerate(lines) if line == "alarm"]
    return [name for name in names if name.split()[0] in kinds]


def in_logs(stack):
    """{topic: how many events lie in its log by now}; changes of trails are none."""
    return {topic: sum(1 for record in topics.records(stack.env["TRAILBUS_KAFKA"], topic) if "trailbus-change" not in record.headers)
            for topic in (f"raw.{REGION}", "global", f"events.{REGION}")}


def told(stack, at_least):
    """{topic: its row} once so many are received and accounted for, and all of it is told. What is received just now is accounted for
    with a later heartbeat, when the next canary has been received: both are never the same, if looks and beats fall so."""
    rows = {row["topic"]: row for row in status(stack)["balances"]}
    done = rows.keys() == at_least.keys() and all(row["unknown"] == 0 and min(row["received"], row["accounted"]) >= at_least[topic]
                                                  for topic, row in rows.items())
    return rows if done else print("balances", rows, "at least", at_least)


def freshness(stack):
    [region] = [one for one in status(stack)["freshness"] if one["region"] == REGION]
    return {stage["stage"]: stage for stage in region["stages"]}


def all_fresh(stack):
    return status(stack)["freshness"] and all(stage["canaries"] > 0 for stage in freshness(stack).values())


def test_canaries_are_followed_to_each_stage(watched):
    eventually(lambda: all_fresh(watched), WAIT_S, every=0.5, what="a canary has come to every stage")
    stages = freshness(watched)
    assert all(0 < stage["medianMs"] <= stage["p99Ms"] for stage in stages.values())


def test_counts_a_trail_are_exact_after_kills_and_no_alarm_is_raised(watched):
    stack, seed = watched, load.seed()
    [auditor] = proof.auditors(stack, 1, "counted", event_rw="Write")
    events = list(load.events(seed, 600, [auditor.account], REGION))
    sender = load.Sender(stack.env["TRAILBUS_KAFKA"], REGION,
                         [(auditor.account, load.as_json(event)) for event in events], 100)
    for worker in ("delivery", "normalizer", "history"):
        stack.kill(worker)
        stack.start(worker)
    redis = stack.env["TRAILBUS_REDIS"].rsplit(":", 1)[1].split("/")[0]
    subprocess.run(["redis-cli", "-p", redis, "flushall"], check=True, capture_output=True)
    sender.join()

    def counted():
        log = ledger.read_log(stack.env["TRAILBUS_KAFKA"], f"events.{REGION}")
        if not {event["eventId"] for event in events} <= {event["id"] for event in log.events.values() if event}:
            return None  # the bucket, read later, would hold what is not in it
        control = ledger.read_control(stack.env["TRAILBUS_KAFKA"])
        [trail] = [trail for trail, versions in control.items() if versions[0]["account"] == auditor.account]
        [row] = [one for one in status(stack, "--trails")["counts"] if one["trail"] == trail] or [None]
        found = ledger.read(stack.s3(), control, stack.master_key(), auditor.bucket, auditor.prefix, log).events
        # Independently: the trail begins behind its first change record; what lies there is delivered or filtered.
        [chain] = [chain for chain in ledger.chains_of(control, auditor.bucket, auditor.prefix).values() if chain.topic == log.topic]
        after = [(partition, offset, event) for (partition, offset), event in log.events.items()
                 if event and event["account"] == auditor.account and offset >= ledger.origin(chain, partition)]
        wanted = sum(1 for partition, offset, event in after if ledger.wanted(chain, partition, offset, event))
        assert 0 < wanted < len(after)
        expected = {"delivered": wanted, "filtered": len(after) - wanted, "waiting": 0, "lost": 0}
        said = row and {name: row[name] for name in expected}
        return said == expected and len(found) == wanted or print("counts", said, "expected", expected, "found", len(found))

    eventually(counted, WAIT_S, every=1, what="the trail's counts are those of log and bucket")
    before = in_logs(stack)
    rows = eventually(lambda: told(stack, before), WAIT_S, every=0.3, what="all that lay in the logs is accounted for")
    after = in_logs(stack)
    for topic, row in rows.items():
        assert max(row["received"], row["accounted"]) <= after[topic] and row["missing"] == row["passed"] == 0, (row, after)
    assert not began(stack, *BALANCES), stack.log("watch")[-2000:]
    rows = [json.loads(line) for line in stack.trailctl("reconcile", "--trails", "--json").splitlines()]
    assert rows and all(row["verdict"] == "same" for row in rows)
    assert sum(int(row["delivered"]) for row in rows if row["trail"] == "trail-1") > 0


def test_an_object_that_was_taken_away_is_found_by_counting_once_more(watched):
    s3 = watched.s3()

    def keys():
        page = s3.list_objects_v2(Bucket="audit", Prefix=f"canaries/AliyunLogs/Actiontrail/{REGION}/")
        return sorted(row["Key"] for row in page.get("Contents", []))

    before = eventually(lambda: len(keys()) > 2 and keys(), WAIT_S, every=0.5, what="there is an object between others")
    watched.trailctl("reconcile", "--trails", "--trail", "canaries")
    s3.delete_object(Bucket="audit", Key=before[1])
    with pytest.raises(RuntimeError, match=f"canaries +events.{REGION}/.*OBJECTS DO NOT LEAD TO THE BOUNDARY"):
        watched.trailctl("reconcile", "--trails", "--trail", "canaries")


def test_a_worker_that_hangs_is_a_stall_and_what_it_has_to_read_is_warned_of(watched):
    os.kill(watched.pid(f"history@{REGION}"), signal.SIGSTOP)
    found = eventually(lambda: alarms(watched, "stall").get(f"stall {REGION} history"), WAIT_S, every=0.5)
    assert f"events.{REGION}/" in found and "has not come to history" in found
    warned = eventually(lambda: [why for name, why in alarms(watched, "loss").items() if name.endswith(" history")],
                        WAIT_S, every=0.5)
    assert "history still has to read, leaves the log in" in warned[0]
    assert [row for row in status(watched)["losses"] if row["worker"] == "history"][0]["leftSeconds"] > 0
    os.kill(watched.pid(f"history@{REGION}"), signal.SIGCONT)
    eventually(lambda: not alarms(watched, "stall"), WAIT_S, every=0.5, what="the stall is over")
    assert not began(watched, *BALANCES), watched.log("watch")[-2000:]


def accepted(stack, name):
    with pytest.raises(RuntimeError, match="status 1"):
        stack.trailctl("status", "--check")
    stack.trailctl("status", "--accept", name)
    eventually(lambda: name not in alarms(stack, *BALANCES), 60, every=0.3, what="the alarm is accepted")


def test_events_that_the_history_never_met_are_an_alarm_that_says_where(watched):
    stack, topic, brokers = watched, f"events.{REGION}", watched.env["TRAILBUS_KAFKA"]
    stack.stop("history")
    strangers = load.account_ids(12)
    events = list(load.events(load.seed(), 48, strangers, REGION))
    load.Sender(brokers, REGION, [(event["recipientAccountId"], load.as_json(event)) for event in events], 100).join()

    def logged():
        log = ledger.read_log(brokers, topic)
        mine = [place for place, event in log.events.items() if event and event["account"] in strangers]
        return len(mine) == len(events) and (log, mine)

    log, mine = eventually(logged, WAIT_S, every=0.5, what="all are in the log")
    canaries = {partition for (partition, _), event in log.events.items() if event and event["account"] == WATCH_ACCOUNT}
    [(partition, _)] = collections.Counter(partition for partition, _ in mine if partition not in canaries).most_common(1)
    last = max(offset for one, offset in mine if one == partition)
    with contextlib.closing(sqlite3.connect(stack.run / "data" / "history" / REGION / f"position.{partition}.db")) as db, db:
        skipped = log.between(partition, db.execute("SELECT next FROM position").fetchone()[0], last + 1)
        db.execute("UPDATE position SET next = ?", (last + 1,))
    stack.start("history")

    name = f"missing {topic}"
    why = eventually(lambda: alarms(stack, "missing").get(name), WAIT_S, every=0.3, what=f"alarm {name}")
    # While canaries come those that are on their way make up for some.
    missing = int(re.match(f"{topic}: (\\d+) events were sent there that the history has not met within ", why).group(1))
    assert 0 < missing <= len(skipped)
    places = {int(one): (int(first), int(last)) for one, first, last in re.findall(r"(\d+)/(\d+)-(\d+)", why)}
    assert places[partition][0] <= min(skipped) and max(skipped) <= places[partition][1]
    accepted(stack, name)


def move_offset(stack, group, topic, partition, offset):
    """By hand, as an operator might: the stage's own position is taken back, and the group's is set, once it has forgotten its members."""
    producer = Producer({"bootstrap.servers": stack.env["TRAILBUS_KAFKA"], "log_level": 2})
    producer.produce("positions", key=f"{group}/{topic}/{partition}")
    assert producer.flush(60) == 0
    admin = AdminClient({"bootstrap.servers": stack.env["TRAILBUS_KAFKA"], "log_level": 2})
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])

    def moved():
        try:
            answer = admin.alter_consumer_group_offsets([asked])[group].result()
        except KafkaException as error:
            return print(error)
        return all(one.error is None for one in answer.topic_partitions)

    eventually(moved, 60, every=0.5, what=f"the offset of {group} is moved")


def test_a_record_that_was_passed_over_is_an_alarm_that_names_its_offset(watched):
    stack, topic, group = watched, f"raw.{REGION}", proof.group("normalizer", REGION)
    account = stack.account()["accountId"]
    stack.stop("normalizer")
    before = topics.ends(stack.env["TRAILBUS_KAFKA"], topic)
    [event] = load.events(load.seed(), 1, [account], REGION)
    load.Sender(stack.env["TRAILBUS_KAFKA"], REGION, [(account, load.as_json(event))], 100).join()
    at = eventually(lambda: {record.partition: record.offset for record in topics.records(
        stack.env["TRAILBUS_KAFKA"], topic, before) if record.key == account.encode()})
    [(partition, offset)] = at.items()
    passed = topics.committed_offsets(stack.env["TRAILBUS_KAFKA"], group, topic)[partition]
    move_offset(stack, group, topic, partition, offset + 1)
    stack.start("normalizer")

    name = f"hole {topic}/{partition} {passed}"
    why = eventually(lambda: alarms(stack, "hole").get(name), WAIT_S, every=0.3, what=f"alarm {name}")
    assert f"{topic}/{partition}: offsets {passed} to {offset} were passed over" in why
    assert "alarm: " in stack.log("watch") and name in began(stack, "hole")
    accepted(stack, name)
