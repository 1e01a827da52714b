"""What went in against what came out: five numbers, which have to be 0, and whatever else contradicts a promise.

    lost         was acknowledged, or lies in an earlier stage, and is not there
    doubled      is there more than once
    invented     is there, but was not sent
    changed      came out other than it went in
    unaccounted  a raw record that was neither normalized, nor a duplicate, nor rejected

The stages: `raw` against `events` and `global`; those against each region's history, as SQLite reads it, and as LookupEvents answers;
against the objects of each trail under the settings that lie before each event; and the answers of the API against all of it.
Nothing of it is read by code of ours: Kafka by confluent-kafka and fastavro, objects by boto3, the history by Python's sqlite3.
"""
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import sqlite3

from darabonba.exceptions import UnretryableException

import books
import ledger
import load
import proof
import routes
import sdk
import topics
from plan import REGIONS
from wait import eventually

KINDS = ["lost", "doubled", "invented", "changed", "unaccounted"]
SHOWN, START_S = 5, 120
FOR_HISTORY = 2
OURS = "Actiontrail"
CHANGES = {"CreateTrail", "UpdateTrail", "StartLogging", "StopLogging", "DeleteTrail"}
LESS = {"StopLogging", "DeleteTrail"}

Place = collections.namedtuple("Place", "topic partition offset event")
Sent = collections.namedtuple("Sent", "maker numbers acknowledged")  # {number: when} of the acknowledged ones


class Verdict:
    def __init__(self):
        self.counts, self.examples, self.broken = collections.Counter(), collections.defaultdict(list), []

    def add(self, kind, what, count=1):
        self.counts[kind] += count
        if len(self.examples[kind]) < SHOWN:
            self.examples[kind].append(what)

    def text(self):
        return ", ".join(f"{kind} {self.counts[kind]}" for kind in KINDS)

    def reasons(self):
        return [f"{kind}: {what}" for kind in KINDS for what in self.examples[kind]] + self.broken

    @contextlib.contextmanager
    def promise(self, what):
        """Code that raises AssertionError where it is broken."""
        try:
            yield
        except AssertionError as error:
            self.broken.append(f"{what}: {error}")

    def compare(self, where, expected, found):
        """{key: document} against [(key, document), …], where documents are compared byte by byte."""
        seen = set()
        for key, document in found:
            if key in seen:
                self.add("doubled", f"{where}: {key}")
            elif key not in expected:
                self.add("invented", f"{where}: {key}")
            elif document != expected[key]:
                self.add("changed", f"{where}: {key}")
            seen.add(key)
        for key in expected.keys() - seen:
            self.add("lost", f"{where}: {key}")


class World:
    """All that lies in Kafka, read once."""

    def __init__(self, brokers):
        self.brokers, self.control = brokers, ledger.read_control(brokers)
        self.logs = {region: ledger.read_log(brokers, f"events.{region}") for region in REGIONS}
        self.everywhere = ledger.read_log(brokers, "global")

    def normalized(self):
        """Each event where it came out of the normalizer: a regional one in its log, a global one in `global`."""
        for log in (*self.logs.values(), self.everywhere):
            for (partition, offset), event in log.events.items():
                if event and event["global"] == (log is self.everywhere):
                    yield Place(log.topic, partition, offset, event)


def judge(say, fleet, stack, sent, prefixes, calls, askers, now):
    """`prefixes` of all trails there ever were, `calls` of owners, `askers`: callers of some accounts in a region."""
    verdict, world = Verdict(), World(stack.env["TRAILBUS_KAFKA"])
    say("the logs are read")
    places, keys = check_events(verdict, world, sent)
    raw = check_accounts(verdict, world)
    with verdict.promise("router"):
        routes.check(world.control, world.everywhere, world.logs)
    say("the logs agree with each other, or do not")
    check_history(verdict, world, stack.run / "data" / "history")
    say("the history is read")
    check_buckets(verdict, world, stack, prefixes)
    say("the buckets are read")
    versions = versions_by_place(world)
    check_calls(verdict, places, versions, calls)
    check_nothing_hides(verdict, world, places, keys, versions, sent, calls)
    books.check(verdict, world, raw, versions.keys(), prefixes, stack)
    say("our own books are read")
    fleet.start("api")
    check_queries(verdict, world, askers, now)
    return verdict


# --- What was sent ----------------------------------------------------------------------------------------


def check_events(verdict, world, sent):
    """{(account, id): its place} of all normalized events; {number: (account, id)} of those sent that can be used."""
    places, keys = {}, {}
    for place in world.normalized():
        key = place.event["account"], place.event["id"]
        if key in places:
            verdict.add("doubled", f"{place.topic}: {key}")
        places[key] = place
    for number in sent.numbers:
        event = sent.maker.event(number)
        key = event["recipientAccountId"], event["eventId"]
        if sent.maker.unusable(number):
            continue
        keys[number] = key
        if key in places:
            wrong = load.lost_fields(event, json.loads(places[key].event["document"]))
            if wrong:
                verdict.add("changed", f"{places[key].topic}: {key}: {wrong}")
        elif number in sent.acknowledged:
            verdict.add("lost", f"raw to events: {key}, which is number {number}")
    expected = set(keys.values())
    for key, place in places.items():
        if key not in expected and place.event["service"] != OURS:
            verdict.add("invented", f"{place.topic}: {key}")
    return places, keys


def check_accounts(verdict, world):
    """Each raw record has one outcome; equal records have one together, or are all rejected. {region: {outcome: records}}."""
    normalized, rejected, raw = collections.Counter(), collections.Counter(), {}
    for place in world.normalized():
        origin = place.event["origin"]
        normalized[origin["topic"], origin["partition"], origin["offset"]] += 1
    for region in REGIONS:
        for record in topics.records(world.brokers, f"rejected.{region}"):
            topic, _, partition, offset = record.headers["trailbus-origin"].decode().split("/")
            rejected[topic, int(partition), int(offset)] += 1
    for region in REGIONS:
        topic, equal = f"raw.{region}", collections.defaultdict(list)
        for record in topics.records(world.brokers, topic):
            digest = hashlib.sha256(b"%s\0%s\0%s" % (record.key, record.headers.get("content-type", b""), record.value)).digest()
            equal[record.partition, digest].append((topic, record.partition, record.offset))
        for group in equal.values():
            once, refused = sum(normalized[one] for one in group), sum(rejected[one] for one in group)
            if once > 1 or (refused and refused != len(group)) or (once and refused):
                verdict.add("doubled", f"{group}: normalized {once} times, rejected {refused} times")
            elif not once and not refused:
                verdict.add("unaccounted", f"{group}", len(group))
        records = [one for group in equal.values() for one in group]
        once, refused = sum(normalized[one] for one in records), sum(rejected[one] for one in records)
        raw[region] = {"normalized": once, "duplicate": len(records) - once - refused, "rejected": refused}
    return raw


# --- Where it came out ------------------------------------------------------------------------------------


def check_history(verdict, world, folder):
    for region, log in world.logs.items():
        expected = {(event["account"], event["id"]): event["document"] for event in log.events.values()
                    if event and event["purpose"] & FOR_HISTORY}
        found = [row for file in sorted(pathlib.Path(folder, region).glob("????-??-??.*.db")) for row in stored(file)]
        verdict.compare(f"history of {region}", expected, found)


def stored(file):
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as db:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)], f"{file} is damaged"
        return [((account, event), document) for account, event, document in db.execute("SELECT account, id, document FROM event")]


def check_buckets(verdict, world, stack, prefixes):
    """Rule 18 as ledger.py checks it; and event by event, to say what is wrong."""
    master, s3 = stack.master_key(), stack.s3()

    def fetch(prefix):
        return list(ledger.stored_objects(s3, "audit", ledger.folder_of(prefix) + "AliyunLogs/"))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for prefix, objects in zip(prefixes, pool.map(fetch, prefixes)):
            for region, log in world.logs.items():
                with verdict.promise(f"bucket, {prefix}"):
                    own = [one for one in objects if f"/Actiontrail/{region}/" in one.key]
                    ledger.check(own, world.control, master, "audit", prefix, log, quiet=True)
            verdict.compare(f"bucket, {prefix}", wanted(world, prefix), delivered(objects, prefix))


def wanted(world, prefix):
    expected = {}
    for chain in ledger.chains_of(world.control, "audit", prefix).values():
        log = next((log for log in world.logs.values() if log.topic == chain.topic), None)
        for partition in list(log.offsets) if log else ():
            for offset in log.between(partition, ledger.origin(chain, partition), ledger.end(chain, partition)):
                event = log.events[partition, offset]
                if ledger.wanted(chain, partition, offset, event):
                    expected[log.topic, event["id"]] = json.loads(event["document"])
    return expected


def delivered(objects, prefix):
    for one in objects:
        if one.key != ledger.folder_of(prefix) + ledger.PROBE:
            region = one.key.removeprefix(ledger.folder_of(prefix)).split("/")[2]
            for event in json.loads(ledger.read_text(one, {"sha256": one.metadata["trailbus-sha256"]})):
                yield (f"events.{region}", event["eventId"]), event


def check_queries(verdict, world, askers, now):
    """LookupEvents against the logs; without the events of calls, which come while it is asked."""
    for caller, region in askers:
        account, logs = caller.account["accountId"], {world.logs[region].topic, world.logs[REGIONS[0]].topic}
        expected = {event["id"]: json.loads(event["document"]) for log in world.logs.values() if log.topic in logs
                    for event in log.events.values()
                    if event and event["account"] == account and event["purpose"] & FOR_HISTORY and event["service"] != OURS
                    and (event["region"] == region or event["global"])}
        eventually(lambda caller=caller: answers(caller), START_S, what="the API answers")
        found = caller.events(start_time=sdk.iso(now - 3600), end_time=sdk.iso(now + 3600))
        verdict.compare(f"LookupEvents in {region}", expected,
                        [(event["eventId"], event) for event in found if event["serviceName"] != OURS])


# --- What was answered ------------------------------------------------------------------------------------


def answers(caller):
    """Once it has started."""
    try:
        return caller("DescribeTrails")
    except UnretryableException:
        return None


def versions_by_place(world):
    """Where each change record lies: the version of a trail that it makes."""
    return {(row["topic"], partition, offset): version for trail in world.control.values() for version in trail
            for row in version["offsets"] for partition, offset in enumerate(row["offsets"])}


def made(places, versions, call):
    """The version that this call made; None: it made none."""
    place = places.get((call.account, call.request))
    return versions.get((place.topic, place.partition, place.offset)) if place else None


def check_calls(verdict, places, versions, calls):
    """A change that was answered is in the log, and one that was refused was not made."""
    for call in calls:
        if call.action not in CHANGES:
            continue
        place = places.get((call.account, call.request))
        if call.outcome == "done" and (not place or "errorCode" in json.loads(place.event["document"])):
            verdict.add("lost", f"{call.action} was answered, and {call.request} is not in the log")
        if call.outcome == "refused" and made(places, versions, call):
            verdict.add("invented", f"{call.action} was refused, and {call.request} made a version")


def check_nothing_hides(verdict, world, places, keys, versions, sent, calls):
    """Rule 19: what a trail delivers and was acknowledged before it is stopped or deleted lies before that."""
    bounds = collections.defaultdict(list)  # account: (the call, the version before it, {topic: offsets of its change records})
    for call in calls:
        version = made(places, versions, call)
        if call.action in LESS and call.outcome == "done" and version:
            before = next(one for one in world.control[version["trail"]] if one["version"] == version["version"] - 1)
            bounds[call.account].append((call, before, {row["topic"]: row["offsets"] for row in version["offsets"]}))
    for number, key in keys.items():
        when, place = sent.acknowledged.get(number), places.get(key)
        for call, before, offsets in bounds[key[0]] if when and place else ():
            lies = offsets.get(place.topic, [])
            if when < call.begun and place.partition < len(lies) and 0 <= lies[place.partition] < place.offset \
                    and ledger.wants(before, {**place.event, "purpose": 1, "region": home_of(before, place.event)}):
                verdict.broken.append(f"rule 19: {key} was acknowledged before {call.action} {call.request} and lies behind it")


def home_of(version, event):
    return version["homeRegion"] if event["global"] else event["region"]


# --- When -------------------------------------------------------------------------------------------------


def behind(brokers):
    """The groups that have records to read yet, with how many there are, at most ten each."""
    groups = [(proof.group("normalizer", region), f"raw.{region}") for region in REGIONS] + [("trailbus.router", "global")]
    groups += [(proof.group(worker, region), f"events.{region}") for worker in ("history", "delivery") for region in REGIONS]
    found = {}
    for group, topic in groups:
        count = topics.records_behind(brokers, topic, topics.committed_offsets(brokers, group, topic), most=10)
        if count:
            found[group] = count
    return found


def waiting(stack, prefixes):
    """What is parked holds no group up (rule 13): whether some trail's events are still to be delivered, in words."""
    brokers = stack.env["TRAILBUS_KAFKA"]
    world, s3 = World(brokers), stack.s3()
    for prefix in prefixes:
        keys = [row["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="audit", Prefix=ledger.folder_of(prefix) + "AliyunLogs/Actiontrail/")
                for row in page.get("Contents", [])]
        if not keys and wanted(world, prefix):
            return f"{prefix} has no object"
        for chain in ledger.chains_of(world.control, "audit", prefix).values():
            log = next((log for log in world.logs.values() if log.topic == chain.topic), None)
            for partition in list(log.offsets) if log else ():
                last = max((key for key in keys if key.endswith(f"_{chain.id}.gz") and f"_{partition}_" in key), default=None)
                meta = s3.head_object(Bucket="audit", Key=last)["Metadata"] if last else None
                start = int(meta["trailbus-next"]) if meta else ledger.origin(chain, partition)
                if any(ledger.wanted(chain, partition, offset, log.events[partition, offset])
                       for offset in log.between(partition, start, ledger.end(chain, partition))):
                    return f"chain {chain.id} below {prefix} waits at {start} of {log.topic} {partition}"
    return None
