"""The checker of buckets is able to fail: a good ledger passes, and each way to break one is found out."""
import copy
import datetime
import gzip
import hashlib
import json

import pytest

import ledger

pytestmark = pytest.mark.small

MASTER = bytes(range(32))
BUCKET, PREFIX, ACCOUNT, TRAIL = "audit", "prefix-1", "1000000000000001", "11111111-2222-3333-4444-555555555555"
TOPIC, GENERATION = "events.cn-hangzhou", "GENERATION-1"
START_MS = 1_790_000_000_000


def offsets(*places):
    return [{"topic": TOPIC, "generation": GENERATION, "offsets": list(places)}]


def destination(number, prefix, *places):
    return {"number": number, "version": number, "bucket": BUCKET, "prefix": prefix, "origins": offsets(*places)}


def version(number, place, **settings):
    return {"trail": TRAIL, "version": number, "account": ACCOUNT, "name": "trail-1", "homeRegion": "cn-hangzhou",
            "regions": "All", "rw": "All", "logging": True, "deleted": False,
            "destinations": [destination(1, PREFIX, 2, 0)], "offsets": offsets(place, 0), **settings}


class World:
    """A log of two partitions, a trail that is started at offset 2 and changed at 20, and what delivery made of it."""

    def __init__(self):
        self.control = {TRAIL: [version(1, 2), version(2, 20)]}
        self.log = ledger.Log(TOPIC)
        for offset in range(40):
            self.add(offset, "2000000000000002" if offset % 5 == 0 else ACCOUNT)
        self.chain = hashlib.sha256(f"{TRAIL}/1/{GENERATION}".encode()).hexdigest()[:16]
        self.objects = [self.object(3, 12), self.object(12, 22), self.object(22, 40)]

    def add(self, offset, account):
        document = json.dumps({"eventId": f"id-{offset}", "recipientAccountId": account})
        event = {"id": f"id-{offset}", "account": account, "region": "cn-hangzhou", "category": "MANAGEMENT", "rw": "WRITE",
                 "global": False, "purpose": 3, "document": document}
        self.log.add(0, offset, START_MS + 500 * offset, None if offset in (2, 20) else event)

    def inside(self, start, end):
        return [offset for offset in self.log.between(0, start, end) if self.log.events[0, offset]["account"] == ACCOUNT]

    def object(self, start, end, **changed):
        inside = self.inside(start, end)
        documents = [self.log.events[0, offset]["document"] for offset in inside]
        meta = {"chain": self.chain, "partition": 0, "from": start, "first": inside[0], "last": inside[-1], "next": end,
                "count": len(inside), "version": 1 if inside[0] <= 20 else 2, **changed}
        return self.stored(meta, changed.get("text", "[" + ",\n".join(changed.get("documents", documents)) + "]\n"))

    def stored(self, meta, text, time_ms=None):
        time = datetime.datetime.fromtimestamp((time_ms or START_MS + 500 * meta["first"]) // 1000, datetime.timezone.utc)
        key = (f"{PREFIX}/AliyunLogs/Actiontrail/cn-hangzhou/{time:%Y/%m/%d}/Actiontrail_cn-hangzhou_{time:%Y%m%d%H%M%S}_"
               f"{meta['partition']}_{meta['first']:020d}_{meta['chain']}.gz")
        fields = {name: str(meta[name]) for name in ledger.FIELDS[:8]}
        fields["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        fields["counts"] = meta.get("counts") or f"3 {len(self.inside(3, meta['from'])) + meta['count']} 0 0"
        fields["hmac"] = ledger.signature(ledger.metadata_key(MASTER), BUCKET, key, fields)
        return ledger.Stored(key, {f"Trailbus-{name}": value for name, value in fields.items()},
                             gzip.compress(text.encode()), None)

    def check(self, log=True, quiet=True):
        return ledger.check(self.objects, self.control, MASTER, BUCKET, PREFIX, self.log if log else None, quiet and log)


@pytest.fixture
def world():
    return World()


def fails(world, why, **how):
    with pytest.raises(ledger.LedgerError, match=why):
        world.check(**how)


def test_a_good_ledger_passes(world):
    found = world.check()
    assert len(found.objects) == 3
    assert set(found.events) == {f"id-{offset}" for offset in range(3, 40) if offset % 5 and offset not in (2, 20)}


def test_the_order_of_the_listing_does_not_matter(world):
    world.objects.reverse()
    world.check()


def test_the_probe_is_no_object_of_the_ledger(world):
    world.objects.append(ledger.Stored(f"{PREFIX}/AliyunLogs/trailbus-probe", {}, b"trailbus", None))
    world.check()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_object_is_found_out(world, missing):
    del world.objects[missing]
    fails(world, "though the one before ends at", log=False)


def test_a_missing_last_object_is_found_out_when_all_has_to_be_there(world):
    del world.objects[2]
    world.check(quiet=False)
    fails(world, "lacks what lies at")


def test_a_stream_without_any_object_is_found_out_when_all_has_to_be_there(world):
    world.objects.clear()
    fails(world, "lacks what lies at")


def test_overlap_is_found_out(world):
    world.objects[1] = world.object(11, 22)
    fails(world, "though the one before ends at", log=False)


def test_a_doubled_object_is_found_out(world):
    other = world.object(12, 22)
    meta = {name: int(value) if value.isdigit() else value
            for name, value in ((field, other.metadata[f"Trailbus-{field}"]) for field in ledger.FIELDS[:8])}
    world.objects.append(world.stored(meta, gzip.decompress(other.body).decode(), START_MS))
    fails(world, "though the one before ends at", log=False)


def test_an_event_in_two_objects_is_found_out_without_the_log(world):
    documents = [world.log.events[0, offset]["document"] for offset in [*world.inside(22, 40), 3]]
    world.objects[2] = world.object(22, 40, documents=documents, count=len(documents))
    fails(world, "holds once more the event id-3", log=False)


def test_a_lost_event_is_found_out_by_the_log(world):
    documents = [world.log.events[0, offset]["document"] for offset in world.inside(22, 40) if offset != 27]
    world.objects[2] = world.object(22, 40, documents=documents, count=len(documents))
    world.check(log=False)
    fails(world, "holds 14 events, the log 15")


def test_a_lost_event_is_found_out_by_the_counts_of_the_next_object(world):
    documents = [world.log.events[0, offset]["document"] for offset in world.inside(3, 12) if offset != 7]
    world.objects[0] = world.object(3, 12, documents=documents, count=len(documents))
    fails(world, "but others are delivered", log=False)


def test_events_in_another_order_are_found_out_by_the_log(world):
    documents = [world.log.events[0, offset]["document"] for offset in (3, 6, 4, 7, 8, 9, 11)]
    world.objects[0] = world.object(3, 12, documents=documents)
    fails(world, "holds another document than the log at 4")


def test_a_changed_document_is_found_out_by_the_log(world):
    text = gzip.decompress(world.objects[0].body).decode().replace('"id-3",', '"id-3", "more": 1,')
    world.objects[0] = world.object(3, 12, text=text)
    fails(world, "holds another document than the log at 3")


def test_another_accounts_event_is_found_out(world):
    documents = [world.log.events[0, offset]["document"] for offset in (3, 4, 5, 7, 8, 9, 11)]
    world.objects[0] = world.object(3, 12, documents=documents)
    fails(world, "holds another account's events", log=False)


def test_an_event_that_the_trail_does_not_want_is_found_out_by_the_log(world):
    for one in world.control[TRAIL]:
        one["rw"] = "Read"
    fails(world, "the log 0 that the trail wants")


@pytest.mark.parametrize("name", ledger.FIELDS)
def test_each_changed_field_of_the_metadata_is_found_out(world, name):
    metadata = copy.copy(world.objects[1].metadata)
    metadata[f"Trailbus-{name}"] = metadata[f"Trailbus-{name}"][:-1] + "5"
    if metadata == world.objects[1].metadata:
        metadata[f"Trailbus-{name}"] = "6"
    world.objects[1] = world.objects[1]._replace(metadata=metadata)
    fails(world, "is not signed by this deployment")


@pytest.mark.parametrize("name", ledger.FIELDS)
def test_each_missing_field_of_the_metadata_is_found_out(world, name):
    metadata = {key: value for key, value in world.objects[1].metadata.items() if key != f"Trailbus-{name}"}
    world.objects[1] = world.objects[1]._replace(metadata=metadata)
    fails(world, "has other metadata")


@pytest.mark.parametrize("counts, why", [("3 14 0 0", "are delivered since"), ("4 15 0 0", "are delivered since"),
                                         ("3 15 1 0", "are filtered"), ("3 15 0 9", "are filtered")])
def test_wrong_counts_are_found_out_though_signed(world, counts, why):
    assert world.objects[1].metadata["Trailbus-counts"] == "3 15 0 0"
    world.objects[1] = world.object(12, 22, counts=counts)
    fails(world, why)


def test_another_deployments_signature_is_found_out(world):
    with pytest.raises(ledger.LedgerError, match="is not signed by this deployment"):
        ledger.check(world.objects, world.control, bytes(32), BUCKET, PREFIX)


def test_an_object_under_another_key_is_found_out(world):
    moved = world.objects[1].key.replace("/2026/", "/2025/")
    assert moved != world.objects[1].key
    world.objects[1] = world.objects[1]._replace(key=moved)
    fails(world, "is not signed by this deployment")


def test_a_key_in_another_days_folder_is_found_out_though_signed(world):
    key = world.objects[1].key.replace("/2026/", "/2025/")
    fields = {name: world.objects[1].metadata[f"Trailbus-{name}"] for name in ledger.FIELDS}
    metadata = {**world.objects[1].metadata,
                "Trailbus-hmac": ledger.signature(ledger.metadata_key(MASTER), BUCKET, key, fields)}
    world.objects[1] = world.objects[1]._replace(key=key, metadata=metadata)
    fails(world, "should be")


def test_a_key_with_another_time_than_its_first_record_is_found_out_by_the_log(world):
    meta = {"chain": world.chain, "partition": 0, "from": 22, "first": 22, "last": 39, "next": 40, "count": 15, "version": 2}
    world.objects[2] = world.stored(meta, gzip.decompress(world.objects[2].body).decode(), START_MS)
    world.check(log=False)
    fails(world, "does not bear its first record's time")


@pytest.mark.parametrize("changed, why", [
    ({"from": 13, "first": 12}, "contradicts itself"), ({"next": 21}, "contradicts itself"),
    ({"count": 0}, "contradicts itself"), ({"count": 9}, "events and holds"), ({"version": 2}, "which is not in force"),
    ({"chain": "0" * 16}, "control does not know"), ({"partition": "00"}, "malformed"), ({"last": "-1"}, "malformed"),
])
def test_signed_metadata_that_lies_is_found_out(world, changed, why):
    world.objects[1] = world.object(12, 22, **changed)
    fails(world, why, log=False)


def test_a_wrong_first_or_last_is_found_out_by_the_log(world):
    world.objects[0] = world.object(3, 12, last=10)
    fails(world, "does not reach from the first to the last")


@pytest.mark.parametrize("break_it, why", [
    (lambda body: body[:-9], "not one whole gzip member"), (lambda body: body + b"x", "not one whole gzip member"),
    (lambda body: body + gzip.compress(b"[]"), "not one whole gzip member"),
    (lambda body: gzip.compress(gzip.decompress(body) + b" "), "another digest"), (lambda body: b"plain", "header"),
])
def test_other_bytes_are_found_out(world, break_it, why):
    world.objects[0] = world.objects[0]._replace(body=break_it(world.objects[0].body))
    fails(world, why)


@pytest.mark.parametrize("text", ["{}", "[1]", "[", '[{"eventId": 1, "eventId": 2}]', "\ufeff[]"])
def test_what_is_no_array_of_events_is_found_out(world, text):
    world.objects[0] = world.object(3, 12, text=text, count=1)
    fails(world, "array|Expecting|twice|BOM")


def test_a_chain_that_goes_on_behind_its_end_is_found_out(world):
    world.control[TRAIL].append(version(3, 30, deleted=True))
    fails(world, "goes on behind its end", log=False)


def test_a_moved_destination_begins_a_chain_of_its_own(world):
    world.control[TRAIL].append(version(3, 30, destinations=[destination(1, PREFIX, 2, 0), destination(2, "prefix-2", 30, 0)]))
    fails(world, "goes on behind its end", log=False)
    world.objects[2] = world.object(22, 31)
    world.check()


def test_the_event_of_a_change_belongs_to_both_sides_of_it(world):
    world.control[TRAIL][1]["logging"] = False
    world.log.events[0, 20] = {**world.log.events[0, 19], "id": "id-20",
                               "document": json.dumps({"eventId": "id-20", "recipientAccountId": ACCOUNT})}
    world.objects = [world.object(3, 12), world.object(12, 21)]
    assert "id-20" in world.check().events


def test_a_file_of_somebody_else_is_found_out(world):
    world.objects.append(ledger.Stored(f"{PREFIX}/AliyunLogs/Actiontrail/cn-hangzhou/notes.txt", {}, b"hello", None))
    fails(world, "has other metadata")
