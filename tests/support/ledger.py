"""The bucket is the ledger: an independent checker of what delivery wrote, with none of its code.

Rule 18 of the delivery protocol: in each stream, sorted by the first offset, `next` of one object is `from` of the following, the first
`from` is the chain's origin, nothing overlaps, counts are right. Beyond that every object is held against its key, its
signature, its digest, the topic `control` (which chains there are, where they begin and end, which version of the trail was in
force) and the log (the very documents at the very offsets). Whatever does not fit raises LedgerError.

    control = ledger.read_control(brokers)
    found = ledger.read(s3, control, master_key, "audit", "prefix-1", log=ledger.read_log(brokers, "events.cn-hangzhou"))
    found.events["event id"]
"""
import bisect
import collections
import datetime
import hashlib
import hmac
import io
import json
import pathlib
import re
import zlib

import fastavro

import topics

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIELDS = ["chain", "partition", "from", "first", "last", "next", "count", "version", "sha256", "counts", "hmac"]
NUMBERS = ["partition", "from", "first", "last", "next", "count", "version"]
PROBE = "AliyunLogs/trailbus-probe"
UNSEEN = -2

Stored = collections.namedtuple("Stored", "key metadata body modified")
Found = collections.namedtuple("Found", "key time_s meta text events modified")
Ledger = collections.namedtuple("Ledger", "events objects")


class LedgerError(AssertionError):
    """The bucket contradicts the protocol."""


class StillWaiting(LedgerError):
    """What the bucket has is right, but not yet all."""


def expect(holds, *what):
    if not holds:
        raise LedgerError(" ".join(str(word) for word in what))


# --- The log and `control` ---------------------------------------------------------------------------------


class Schema:
    """One of schemas/, for values in Avro's single-object encoding."""

    def __init__(self, name):
        self.schema = fastavro.parse_schema(json.loads((ROOT / "schemas" / name).read_text()))
        canonical = fastavro.schema.to_parsing_canonical_form(self.schema)
        self.head = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))

    def decode(self, value):
        expect(value.startswith(self.head), "no single-object encoding of this schema:", value[:16])
        rest = io.BytesIO(value[len(self.head):])
        datum = fastavro.schemaless_reader(rest, self.schema, self.schema)
        expect(not rest.read(1), "bytes behind the datum")
        return datum

    def encode(self, datum):
        out = io.BytesIO(self.head)
        out.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(out, self.schema, datum)
        return out.getvalue()


class Log:
    """A topic events.<region>: events by place, None for a bare change of a trail."""

    def __init__(self, topic):
        self.topic = topic
        self.offsets = collections.defaultdict(list)  # by partition, ascending
        self.times, self.events = {}, {}  # by (partition, offset)

    def add(self, partition, offset, time_ms, event):
        self.offsets[partition].append(offset)
        self.times[partition, offset], self.events[partition, offset] = time_ms, event

    def between(self, partition, start, end):
        """Offsets of events in [start, end)."""
        offsets = self.offsets[partition]
        return [offset for offset in offsets[bisect.bisect_left(offsets, start):bisect.bisect_left(offsets, end)]
                if self.events[partition, offset] is not None]


def read_log(brokers, topic, start=None):
    """`start` ({partition: offset}): enough for trails that were made since then."""
    schema, log = Schema("event.avsc"), Log(topic)
    for record in topics.records(brokers, topic, start):
        log.add(record.partition, record.offset, record.time_ms, schema.decode(record.value) if record.value else None)
    return log


def read_control(brokers):
    """The versions of all trails: {trail id: [version document, …]}, oldest first."""
    newest = {}
    for record in topics.records(brokers, "control"):
        newest[record.key.decode()] = record.value
    trails = collections.defaultdict(list)
    for key, value in newest.items():
        if key.startswith("trail/") and value is not None:
            _, trail, version = key.split("/")
            trails[trail].append(json.loads(value))
            expect(trails[trail][-1]["version"] == int(version), key, "holds another version")
    for trail, versions in trails.items():
        versions.sort(key=lambda one: one["version"])
        numbers = [one["version"] for one in versions]
        expect(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "trail", trail, "lacks versions:", numbers)
    return dict(trails)


Chain = collections.namedtuple("Chain", "id trail account topic destination versions")


def chains_of(control, bucket, prefix):
    """The chains whose destination is this bucket and prefix, by id."""
    found = {}
    for trail, versions in control.items():
        for destination in {one["number"]: one for v in versions for one in v["destinations"]}.values():
            if (destination["bucket"], destination["prefix"]) != (bucket, prefix):
                continue
            for row in destination["origins"]:
                text = f"{trail}/{destination['number']}/{row['generation']}"
                chain = hashlib.sha256(text.encode()).hexdigest()[:16]
                found[chain] = Chain(chain, trail, versions[0]["account"], row["topic"], destination, versions)
    return found


def offset_in(rows, topic, partition):
    """Where a change record lies: -1 in a partition that was added later, None where there is none."""
    for row in rows:
        if row["topic"] == topic:
            offset = row["offsets"][partition] if partition < len(row["offsets"]) else -1
            return None if offset == UNSEEN else offset
    return None


def origin(chain, partition):
    offset = offset_in(chain.destination["origins"], chain.topic, partition)
    expect(offset is not None, "chain", chain.id, "has no origin in partition", partition)
    return offset + 1


def end(chain, partition):
    """Right behind the change record that ends the chain; infinite while it lives."""
    for version in chain.versions:
        moved = any(one["number"] > chain.destination["number"] for one in version["destinations"])
        offset = offset_in(version["offsets"], chain.topic, partition)
        if (moved or version["deleted"]) and offset is not None:
            return offset + 1
    return float("inf")


def version_at(chain, partition, offset):
    """The version whose settings are in force at an offset: the last one whose change record lies before it; in a log that began
    after a version was made, the last such version, up to the first change record there."""
    earlier = None
    for version in reversed(chain.versions):
        if chain.topic not in [row["topic"] for row in version["offsets"]]:
            earlier = earlier or version
            continue
        earlier = None
        changed = offset_in(version["offsets"], chain.topic, partition)
        if changed is not None and changed < offset:
            return version
    return earlier


def wants(version, event):
    region = event["region"]
    if not version["logging"] or version["deleted"] or event["category"] == "INNER" or not event["purpose"] & 1:
        return False
    if version["rw"] != "All" and version["rw"].upper() != event["rw"]:
        return False
    if event["global"]:
        return region == version["homeRegion"]
    return version["regions"] == "All" or region in [one.strip() for one in version["regions"].split(",")]


def wanted(chain, partition, offset, event):
    """Under the settings in force; the event of a change itself under those behind it, too."""
    if event["account"] != chain.account:
        return False
    versions = [version for version in chain.versions if offset_in(version["offsets"], chain.topic, partition) == offset]
    versions.append(version_at(chain, partition, offset))
    return any(version and wants(version, event) for version in versions)


# --- One object --------------------------------------------------------------------------------------------


def metadata_key(master_key):
    return hmac.digest(master_key, b"object metadata", "sha256")


def signature(key, bucket, object_key, metadata):
    text = f"{bucket}/{object_key}\n" + "".join(f"trailbus-{name}={metadata[name]}\n" for name in FIELDS[:-1])
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def read_metadata(stored, key, bucket):
    """The fields, as they are and what they say."""
    fields = {name.lower().removeprefix("trailbus-"): value for name, value in stored.metadata.items()}
    expect(set(fields) == set(FIELDS), stored.key, "has other metadata:", sorted(stored.metadata))
    expect(hmac.compare_digest(fields["hmac"], signature(key, bucket, stored.key, fields)),
           stored.key, "is not signed by this deployment")
    for name in NUMBERS:
        expect(re.fullmatch(r"0|[1-9]\d*", fields[name]), stored.key, "has a malformed", name, fields[name])
        fields[name] = int(fields[name])
    expect(re.fullmatch(r"\d+( \d+){3}", fields["counts"]), stored.key, "has malformed counts", fields["counts"])
    fields["counts"] = [int(word) for word in fields["counts"].split()]
    expect(fields["from"] <= fields["first"] <= fields["last"] < fields["next"] and fields["count"] > 0,
           stored.key, "contradicts itself:", fields)
    return fields


def read_text(stored, meta):
    unpack = zlib.decompressobj(wbits=31)
    try:
        plain = unpack.decompress(stored.body) + unpack.flush()
    except zlib.error as error:
        raise LedgerError(f"{stored.key}: {error}") from error
    expect(unpack.eof and not unpack.unused_data, stored.key, "is not one whole gzip member")
    expect(hashlib.sha256(plain).hexdigest() == meta["sha256"], stored.key, "has another digest than it says")
    try:
        return plain.decode()
    except ValueError as error:
        raise LedgerError(f"{stored.key}: {error}") from error


def read_events(stored, meta, text):
    try:
        events = json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        raise LedgerError(f"{stored.key}: {error}") from error
    expect(isinstance(events, list) and all(isinstance(event, dict) for event in events),
           stored.key, "is not an array of events")
    expect(len(events) == meta["count"], stored.key, "says", meta["count"], "events and holds", len(events))
    return events


def check_key(stored, meta, root, topic):
    """Nothing of the key is free but the time that it bears: seconds since 1970."""
    region, stamp = topic.removeprefix("events."), re.search(r"_(\d{14})_", stored.key)
    expect(stamp, stored.key, "is no key of a delivered object")
    time = datetime.datetime.strptime(stamp[1], "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    key = (f"{root}AliyunLogs/Actiontrail/{region}/{time:%Y/%m/%d}/Actiontrail_{region}_{time:%Y%m%d%H%M%S}_"
           f"{meta['partition']}_{meta['first']:020d}_{meta['chain']}.gz")
    expect(stored.key == key, stored.key, "should be", key)
    return int(time.timestamp())


def check_log(chain, found, log):
    """The object holds exactly what the trail wants of the log in [from, next), byte for byte and in order."""
    meta, partition, at = found.meta, found.meta["partition"], 0
    offsets = [offset for offset in log.between(partition, meta["from"], meta["next"])
               if wanted(chain, partition, offset, log.events[partition, offset])]
    expect(len(offsets) == meta["count"], found.key, "holds", meta["count"], "events, the log", len(offsets), "that the trail wants")
    expect((offsets[0], offsets[-1]) == (meta["first"], meta["last"]), found.key, "does not reach from the first to the last")
    expect(found.time_s == log.times[partition, meta["first"]] // 1000, found.key, "does not bear its first record's time")
    for offset in offsets:
        document = log.events[partition, offset]["document"]
        while found.text[at] in "[,\n":
            at += 1
        expect(found.text.startswith(document, at), found.key, "holds another document than the log at", offset)
        at += len(document)


def check_filtered(chain, found, log):
    """What the object counts as filtered since the chain's origin is what the log holds for delivery and the trail does not want."""
    partition, since = found.meta["partition"], found.meta["counts"][0]
    filtered = sum(1 for offset in log.between(partition, since, found.meta["next"])
                   if log.events[partition, offset]["account"] == chain.account and log.events[partition, offset]["purpose"] & 1
                   and not wanted(chain, partition, offset, log.events[partition, offset]))
    expect(found.meta["counts"][2:] == [filtered, 0], found.key, "counts", found.meta["counts"], "but", filtered, "are filtered")


def _unique(pairs):
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key comes twice")
    return made


# --- All of a destination ----------------------------------------------------------------------------------


def stored_objects(s3, bucket, folder):
    keys = [row["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
            for row in page.get("Contents", [])]
    expect(len(keys) == len(set(keys)), "a key is listed twice")
    for key in sorted(keys):
        got = s3.get_object(Bucket=bucket, Key=key)
        yield Stored(key, got["Metadata"], got["Body"].read(), got["LastModified"])


def check(objects, control, master_key, bucket, prefix, log=None, quiet=False):
    """The ledger that `objects` (Stored, …) of this bucket and prefix are. `log`: compare with it, too. `quiet`: all that
    the log holds for this destination has to be there."""
    chains, key = chains_of(control, bucket, prefix), metadata_key(master_key)
    root = folder_of(prefix)
    streams = collections.defaultdict(list)
    for stored in objects:
        if stored.key == root + PROBE:
            continue
        meta = read_metadata(stored, key, bucket)
        expect(meta["chain"] in chains, stored.key, "is of a chain that control does not know here")
        text = read_text(stored, meta)
        found = Found(stored.key, check_key(stored, meta, root, chains[meta["chain"]].topic), meta, text,
                      read_events(stored, meta, text), stored.modified)
        streams[meta["chain"], meta["partition"]].append(found)
    for (chain, partition), found in streams.items():
        found.sort(key=lambda one: one.meta["first"])
        check_stream(chains[chain], partition, found, log)
    for chain in chains.values() if quiet else ():
        check_nothing_waits(chain, streams, log)
    everything = [found for stream in streams.values() for found in stream]
    return Ledger(unique_events(everything), everything)


def check_stream(chain, partition, objects, log):
    """Rule 18, and the counts that each object carries."""
    boundary, delivered, miscounted = origin(chain, partition), 0, []
    for found in objects:
        meta = found.meta
        expect(meta["from"] == boundary, found.key, "begins at", meta["from"], "though the one before ends at", boundary)
        boundary, delivered = meta["next"], delivered + meta["count"]
        version = version_at(chain, partition, meta["first"])
        expect(version and meta["version"] == version["version"], found.key, "names version", meta["version"],
               "which is not in force at its first event")
        expect(all(event.get("recipientAccountId") == chain.account for event in found.events), found.key,
               "holds another account's events")
        if log is not None and log.topic == chain.topic:
            check_log(chain, found, log)
            check_filtered(chain, found, log)
        if meta["counts"][:2] != [origin(chain, partition), delivered]:
            miscounted.append(found)
    expect(not miscounted, miscounted and miscounted[0].key, "counts", miscounted and miscounted[0].meta["counts"],
           "but others are delivered since", origin(chain, partition))
    expect(boundary <= end(chain, partition), "chain", chain.id, "goes on behind its end")


def check_nothing_waits(chain, streams, log):
    for partition in list(log.offsets) if log.topic == chain.topic else ():
        done = streams.get((chain.id, partition))
        boundary = done[-1].meta["next"] if done else origin(chain, partition)
        waiting = [offset for offset in log.between(partition, boundary, end(chain, partition))
                   if wanted(chain, partition, offset, log.events[partition, offset])]
        if waiting:
            raise StillWaiting(f"chain {chain.id} lacks what lies at {waiting[:10]} of {log.topic} {partition}")


def unique_events(objects):
    events = {}
    for found in objects:
        for event in found.events:
            expect(event.get("eventId"), found.key, "holds an event without an id")
            expect(event["eventId"] not in events, found.key, "holds once more the event", event["eventId"])
            events[event["eventId"]] = event
    return events


def folder_of(prefix):
    return f"{prefix}/" if prefix and not prefix.endswith("/") else prefix


def read(s3, control, master_key, bucket, prefix, log=None, quiet=False):
    """check() over all that lies in a bucket under a prefix."""
    objects = stored_objects(s3, bucket, folder_of(prefix) + "AliyunLogs/")
    return check(objects, control, master_key, bucket, prefix, log, quiet)
