"""Delivery into folders and into OSS is exact too: killed again and again, with answers lost and refused, each event is there once.

Read back with no code of ours: a bucket of files by opening the gzip files, OSS from the memory of the fake one.
"""
import contextlib
import datetime
import json
import os
import pathlib
import random
import struct
import time
import uuid

import pytest
from confluent_kafka import Producer

import fake_oss
import ledger
import load
import topics
from wait import eventually

REGION = "cn-hangzhou"
EVENTS, ROUNDS, ACCOUNTS = 3000, 3, 6
NOW = datetime.datetime.now(datetime.timezone.utc)


def stored_file(root, path):
    """An object of a bucket of files: its metadata is in the gzip header's extra field, subfield TB."""
    body = path.read_bytes()
    metadata = {}
    if body[:2] == b"\x1f\x8b":
        assert body[3] & 4, f"{path} has no extra field"
        (size,) = struct.unpack_from("<H", body, 10)
        name, length = struct.unpack_from("<2sH", body, 12)
        assert name == b"TB" and length + 4 == size
        metadata = dict(line.split("=", 1) for line in body[16:16 + length].decode().splitlines())
    return ledger.Stored(str(path.relative_to(root)), metadata, body, NOW)


def stored_oss(key, value):
    body, headers = value
    metadata = {name.removeprefix("x-oss-meta-"): text for name, text in headers.items() if name.startswith("x-oss-meta-")}
    return ledger.Stored(key, metadata, body, NOW)


@contextlib.contextmanager
def rows(stack, *added):
    """The stack's API and delivery with more rows of destinations, before the others."""
    config = stack.run / "trailbus.conf"
    before = config.read_text()
    assert "destinations = (\n" in before

    def write(text):
        config.write_text(text)
        stack.restart("api", f"delivery@{REGION}")
    write(before.replace("destinations = (\n", "destinations = (\n" + "".join(f"    {row},\n" for row in added)))
    try:
        yield
    finally:
        write(before)


class Files:
    def __init__(self, stack):
        self.bucket = f"files-{uuid.uuid4().hex}"
        self.folder = stack.run / "data" / "buckets"
        (self.folder / self.bucket).mkdir(parents=True)
        self.row = f'{{ pattern = "files-*"; dialect = "files"; endpoint = "{self.folder}"; }}'

    def disturb(self, rng):
        pass

    def objects(self):
        root = self.folder / self.bucket
        paths = [pathlib.Path(folder) / name for folder, _, names in os.walk(root) for name in names]
        return [stored_file(root, path) for path in paths]

    def end(self):
        pass


class Oss:
    def __init__(self, stack):
        self.bucket = f"oss-{uuid.uuid4().hex}"
        self.server, self.store = fake_oss.start()
        self.store.buckets[self.bucket] = fake_oss.Bucket()
        credentials = stack.run / "secrets" / "oss.credentials"
        credentials.write_text("access_key_id=writer\nsecret_access_key=writer-secret\n")
        self.row = (f'{{ pattern = "oss-*"; dialect = "oss"; endpoint = "http://localhost:{self.server.server_address[1]}"; '
                    f'region = "{REGION}"; credentials_file = "{credentials}"; }}')

    def disturb(self, rng):
        self.store.faults += rng.choices(["lose", "trouble"], k=6)

    def objects(self):
        with self.store.lock:
            return [stored_oss(key, value) for key, value in self.store.buckets[self.bucket].objects.items()]

    def end(self):
        self.server.shutdown()


def publish(stack, events):
    producer = Producer({"bootstrap.servers": stack.env["TRAILBUS_KAFKA"], "partitioner": "murmur2_random", "acks": "all"})
    for event in events:
        producer.produce(f"raw.{REGION}", key=event["recipientAccountId"], value=json.dumps(event),
                         headers={"content-type": "application/json"})
    assert producer.flush(60) == 0


class Auditors:
    """Accounts with a trail each into one bucket, under prefixes of their own."""

    def __init__(self, stack, store):
        self.stack, self.store = stack, store
        self.start = topics.ends(stack.env["TRAILBUS_KAFKA"], f"events.{REGION}")
        self.accounts = {f"destination-{n}": stack.account() for n in range(ACCOUNTS)}
        for prefix, account in self.accounts.items():
            stack.trailctl("trail", "create", "destination", "--bucket", store.bucket, "--prefix", prefix, account=account)
            stack.trailctl("trail", "start", "destination", account=account)

    def ids(self):
        return [account["accountId"] for account in self.accounts.values()]

    def status(self):
        return "".join(self.stack.trailctl("trail", "status", "destination", account=one) for one in self.accounts.values())

    def check(self, quiet=False):
        """The ledgers as of now, {event id: …}; whatever is wrong in one raises."""
        brokers = self.stack.env["TRAILBUS_KAFKA"]
        master = bytes.fromhex((self.stack.run / "secrets" / "master.key").read_text())
        objects, control = self.store.objects(), ledger.read_control(brokers)
        log, found = ledger.read_log(brokers, f"events.{REGION}", self.start), {}
        for prefix in self.accounts:
            own = [one for one in objects if one.key.startswith(prefix + "/")]
            found |= ledger.check(own, control, master, self.store.bucket, prefix, log=log, quiet=quiet).events
        return found


def kill_amid_uploads(stack, store, rng):
    """As soon as one of a round's objects is there, the others are on their way."""
    before = len(store.objects())
    eventually(lambda: len(store.objects()) > before, every=0.002)
    time.sleep(rng.uniform(0, 0.02))  # the moment is what is random
    stack.kill("delivery")


@pytest.mark.parametrize("kind", [Files, Oss])
def test_delivery_is_exact_though_it_is_killed(stack, kind):
    seed = load.seed()
    rng, store = random.Random(seed), kind(stack)
    with rows(stack, store.row):
        auditors = Auditors(stack, store)
        events = list(load.events(seed, EVENTS, auditors.ids(), REGION))
        for part in range(ROUNDS):
            store.disturb(rng)
            publish(stack, events[part::ROUNDS])
            kill_amid_uploads(stack, store, rng)
            found = auditors.check()
            print(f"killed with {len(found)} events in {len(store.objects())} objects")
            stack.start("delivery")
        wanted = {one["eventId"] for one in events}
        eventually(lambda: wanted <= auditors.check().keys(), seconds=120, every=1)
        assert len(auditors.check(quiet=True)) == EVENTS + ACCOUNTS  # and each StartLogging
    store.end()
    for one in store.objects():
        assert one.key.endswith(("_" + one.metadata.get("trailbus-chain", "") + ".gz", ledger.PROBE)), one.key


def test_a_bucket_that_could_be_overwritten_is_left_alone_until_it_is_mended(stack):
    seed = load.seed()
    store = Oss(stack)
    with rows(stack, store.row):
        auditors = Auditors(stack, store)
        events = list(load.events(seed, 100, auditors.ids(), REGION))
        stack.stop("delivery")  # who starts anew tries its buckets out
        before = len(store.objects())
        store.store.buckets[store.bucket].versioning = "Suspended"
        stack.start("delivery")
        publish(stack, events)
        eventually(lambda: "versioning is Suspended" in auditors.status())
        assert len(store.objects()) == before
        store.store.buckets[store.bucket].versioning = ""
        eventually(lambda: {one["eventId"] for one in events} <= auditors.check().keys(), seconds=120, every=1)
        eventually(lambda: "Suspended" not in auditors.status())
        auditors.check()
    store.end()
