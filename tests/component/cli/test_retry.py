"""trailctl rejected retry, killed and run twice at once: each record is published again exactly once, as it came.

services: kafka redis
"""
import os
import random
import subprocess

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

import load
import settings
import topics
from wait import eventually

BROKERS = os.environ["TRAILBUS_KAFKA"]
PARTITIONS, RECORDS, KILLS = 4, 20000, 5
RAW, REJECTED = f"raw.{settings.REGION}", f"rejected.{settings.REGION}"


@pytest.fixture()
def config(tmp_path):
    return settings.written(tmp_path, PARTITIONS)


def start(config, *words):
    return subprocess.Popen([settings.BIN / "trailctl", *words, "--config", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def trailctl(config, *words):
    with start(config, *words) as process:
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
    return said


def reject(rng):
    """{value: (key, content type)}"""
    producer = Producer({"bootstrap.servers": BROKERS, "linger.ms": 5, "queue.buffering.max.messages": 2 * RECORDS})
    made = {}
    for number in range(RECORDS):
        value = rng.randbytes(rng.randrange(10, 600)) + number.to_bytes(4, "big")
        key = str(rng.randrange(100)).encode()
        kind = rng.choice([b"application/json", b"avro/binary", None])
        headers = [("trailbus-reason", b"malformed")] + ([("content-type", kind)] if kind else [])
        made[value] = (key, kind)
        producer.produce(REJECTED, value, key, rng.randrange(PARTITIONS), headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0
    return made


def written():
    """Records and markers of raw, committed or not."""
    consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": "looking"})
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(RAW, p), 10)[1] for p in range(PARTITIONS))
    finally:
        consumer.close()


def kill_on_the_way(config, rng):
    goal = written() + rng.randrange(1, RECORDS // KILLS)
    with start(config, "rejected", "retry", "--all") as process:
        eventually(lambda: written() >= goal or process.poll() is not None, every=0.01)
        process.kill()
        process.wait()
    return process.returncode != 0


def test_each_is_published_again_once_whatever_happens(config):
    rng = random.Random(load.seed())
    made = reject(rng)
    killed = sum(kill_on_the_way(config, rng) for _ in range(KILLS))
    between = list(topics.records(BROKERS, RAW))
    with start(config, "rejected", "retry", "--all") as one, start(config, "rejected", "retry", "--all") as other:
        said = [process.communicate(timeout=120)[0] for process in (one, other)]
        codes = [one.returncode, other.returncode]
    last = trailctl(config, "rejected", "retry", "--all")
    print(f"{killed} kills, {len(between)} by then, two at once: {codes}\n{said[0]}{said[1]}{last}")

    found = list(topics.records(BROKERS, RAW))
    assert len(found) == len(made)
    assert {record.value: (record.key, record.headers.get("content-type")) for record in found} == made
    assert killed > 0
    assert codes.count(0) >= 1
    assert "nothing was rejected" in trailctl(config, "rejected", "list")
    assert "20000 more were before" in trailctl(config, "rejected", "retry", "--all", "--dry-run")
