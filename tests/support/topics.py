"""What lies in Kafka, read with confluent-kafka: records, ends, and how far a group has come."""
import collections
import uuid

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, TopicPartition

READ_S = 30
Record = collections.namedtuple("Record", "partition offset time_ms key value headers")


def records(brokers, topic, start=None, committed=True):
    """The records of a topic from `start` ({partition: offset}; None: the log's start) to its end as of now."""
    consumer = _consumer(brokers, uuid.uuid4().hex, committed)
    try:
        partitions = _partitions(consumer, topic)
        start = start or {}
        consumer.assign([TopicPartition(topic, p, start.get(p, OFFSET_BEGINNING)) for p in partitions])
        waiting = set(partitions)
        while waiting:
            messages = consumer.consume(1000, READ_S)
            if not messages:
                raise TimeoutError(f"{topic}: no end was reached in {READ_S} s")
            for message in messages:
                if not message.error():
                    yield Record(message.partition(), message.offset(), message.timestamp()[1], message.key(),
                                 message.value(), dict(message.headers() or []))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
                else:
                    raise RuntimeError(f"{topic}: {message.error()}")
    finally:
        consumer.close()


def committed_offsets(brokers, group, topic):
    """{partition: offset} that a group has committed, 0 where it has none. Not held up by open transactions."""
    consumer = _consumer(brokers, group, committed=False)
    try:
        asked = [TopicPartition(topic, p) for p in _partitions(consumer, topic)]
        return {found.partition: max(found.offset, 0) for found in consumer.committed(asked, READ_S)
                if found.offset >= 0 or found.offset == OFFSET_INVALID}
    finally:
        consumer.close()


def records_behind(brokers, group, topic, before_ms=None, start=None):
    """How many records a group has not committed yet: real ones, no transaction's markers; with `before_ms` only those
    that were appended before then; with `start` behind those offsets instead of the committed ones."""
    start = committed_offsets(brokers, group, topic) if start is None else start
    return sum(1 for record in records(brokers, topic, start) if before_ms is None or record.time_ms < before_ms)


def _consumer(brokers, group, committed):
    return Consumer({"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False,
                     "auto.offset.reset": "error", "enable.partition.eof": True,
                     "isolation.level": "read_committed" if committed else "read_uncommitted"})


def _partitions(consumer, topic):
    described = consumer.list_topics(topic, READ_S).topics[topic]
    if described.error:
        raise RuntimeError(f"{topic}: {described.error}")
    return sorted(described.partitions)
