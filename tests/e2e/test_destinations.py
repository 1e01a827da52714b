"""Delivery into folders and into OSS is exact too: killed again and again, with answers lost and refused, each event is there once.

Read back with no code of ours: a bucket of files by opening the gzip files, OSS from the memory of the fake one.
"""
import contextlib
import datetime
import json
import os
import pathlib
import random
import re
import struct
import time

import pytest
from confluent_kafka import Producer

import fake_oss
import ledger
import load

REGION = "cn-hangzhou"
EVENTS, ROUNDS = 4000, 5
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
    bucket = "files-audit"

    def __init__(self, stack):
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
    bucket = "oss-audit"

    def __init__(self, stack):
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


def check(stack, store, quiet):
    """The ledger as of now; whatever is wrong in it raises."""
    brokers = stack.env["TRAILBUS_KAFKA"]
    master = bytes.fromhex((stack.run / "secrets" / "master.key").read_text())
    return ledger.check(store.objects(), ledger.read_control(brokers), master, store.bucket, "destination",
                        log=ledger.read_log(brokers, f"events.{REGION}"), quiet=quiet)


@pytest.mark.parametrize("kind", [Files, Oss])
def test_delivery_is_exact_though_it_is_killed(stack, kind):
    seed = load.seed()
    rng, account, store = random.Random(seed), stack.account(), kind(stack)
    events = list(load.events(seed, EVENTS, [account["accountId"]], REGION))
    with rows(stack, store.row):
        stack.trailctl("trail", "create", "destination", "--bucket", store.bucket, "--prefix", "destination", account=account)
        stack.trailctl("trail", "start", "destination", account=account)
        for part in range(ROUNDS):
            store.disturb(rng)
            publish(stack, events[part::ROUNDS])
            before = len(store.objects())
            deadline = time.monotonic() + rng.uniform(0.2, 8)
            while time.monotonic() < deadline and len(store.objects()) == before:
                time.sleep(0.002)
            stack.kill("delivery")
            check(stack, store, quiet=False)
            stack.start("delivery")
        wanted, deadline = {one["eventId"] for one in events}, time.monotonic() + 90
        while not wanted <= check(stack, store, quiet=False).events.keys():
            assert time.monotonic() < deadline, "events are missing"
            time.sleep(0.2)
        found = check(stack, store, quiet=True)
        print(f"{len(found.objects)} objects, {len(found.events)} events")
        store.end()
    assert not any(re.search(r"tmp|part$", one.key) for one in store.objects())
