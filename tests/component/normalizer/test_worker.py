"""trailbus-normalizer beside publishers who mean no good.

services: kafka redis
"""
import json
import os
import signal
import subprocess
import time

import pytest
from confluent_kafka import Producer

import settings
import topics
from wait import eventually

BROKERS = os.environ["TRAILBUS_KAFKA"]
MB = 1 << 20


@pytest.fixture()
def config(tmp_path):
    return settings.written(tmp_path, partitions=1, redis=os.environ["TRAILBUS_REDIS"])


def event(name):
    return json.dumps({"eventId": name, "eventName": "StopInstance", "serviceName": "Ecs", "recipientAccountId": "1",
                       "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}).encode()


def found(topic):
    return list(topics.records(BROKERS, f"{topic}.{settings.REGION}"))


def test_records_that_are_huge_once_unpacked_go_aside_and_let_others_by(config):
    producer = Producer({"bootstrap.servers": BROKERS, "compression.type": "gzip", "message.max.bytes": 16 * MB})
    value, key, whole = b"a" * (3 * MB), b"k" * (3 * MB), b"b" * (2 * MB - 8192)
    for k, v in [(b"1", value), (key, b"no event"), (b"1", whole), (b"1", event("behind"))]:
        producer.produce(f"raw.{settings.REGION}", v, k, headers=[("content-type", b"application/json")])
        assert producer.flush(60) == 0
    with subprocess.Popen([settings.BIN / "trailbus-normalizer", "--config", config, "--region", settings.REGION, "--instance", "1"]) as worker:
        try:
            eventually(lambda: found("events") or worker.poll() is not None)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
        finally:
            worker.kill()
    [passed] = found("events")
    assert b'"behind"' in passed.value
    first, second, third = found("rejected")
    assert [r.headers["trailbus-reason"] for r in (first, second, third)] == [b"too_large", b"malformed", b"too_large"]
    assert first.value == value[:len(first.value)] and 256 * 1024 < len(first.value) < MB and first.key == b"1"
    assert f"{len(first.value)} of {3 * MB} of its value are kept".encode() in first.headers["trailbus-why"]
    assert second.value == b"no event" and second.key == key[:len(second.key)]
    assert third.value == whole and b"are kept" not in third.headers["trailbus-why"]
