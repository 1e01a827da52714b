"""What lies in Kafka, read with confluent-kafka: records, ends, and how far a group has come."""
import collections
import itertools
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

READ_S = 30  # without a record
Record = collections.namedtuple("Record", "partition offset time_ms key value headers")


def records(brokers, topic, start=None, committed=True):
    """The records of a topic from `start` ({partition: offset}; None: the log's start) to its end as of now. Takes as long
    as it takes, while records come."""
    consumer = _consumer(brokers, committed)
    try:
        partitions = _partitions(consumer, topic)
        start, waiting, until = start or {}, set(partitions), time.monotonic() + READ_S
        # While records keep coming the client does not say that it is at the end: so it is asked for beforehand. Nor does
        # it show the markers of transactions, which may be the last there is: then it does say so.
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), READ_S)[1] for p in partitions}
        consumer.assign([TopicPartition(topic, p, start.get(p, OFFSET_BEGINNING)) for p in partitions])
        while waiting:
            if time.monotonic() > until:
                raise TimeoutError(f"{topic}: partitions {sorted(waiting)} went no further for {READ_S} s")
            for message in consumer.consume(1000, 0.02):  # waits that long for all of them
                until = time.monotonic() + READ_S
                if message.error() and message.error().code() != KafkaError._PARTITION_EOF:
                    raise RuntimeError(f"{topic}: {message.error()}")
                if message.error() or message.offset() + 1 >= ends[message.partition()]:
                    waiting.discard(message.partition())
                if not message.error() and message.offset() < ends[message.partition()]:
                    until = time.monotonic() + READ_S
                    yield Record(message.partition(), message.offset(), message.timestamp()[1], message.key(),
                                 message.value(), dict(message.headers() or []))
    finally:
        consumer.close()


def ends(brokers, topic):
    """{partition: offset} behind the last record, markers included."""
    consumer = _consumer(brokers, committed=False)
    try:
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), READ_S)[1] for p in _partitions(consumer, topic)}
    finally:
        consumer.close()


def committed_offsets(brokers, group, topic):
    """{partition: offset} that a group has committed, 0 where it has none. Not held up by open transactions."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    partitions = _partitions(admin, topic)
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in partitions])
    answer = admin.list_consumer_group_offsets([asked], require_stable=False, request_timeout=READ_S)[group].result()
    return {found.partition: max(found.offset, 0) for found in answer.topic_partitions}


def records_behind(brokers, topic, committed, before_ms=None, most=None):
    """How many records lie behind these offsets: real ones, no transaction's markers; with `before_ms` only those that were
    appended before then; counted up to `most`."""
    found = (record for record in records(brokers, topic, committed) if before_ms is None or record.time_ms < before_ms)
    return sum(1 for _ in itertools.islice(found, most))


def offsets_behind(brokers, group, topic):
    """How far a group is behind the ends, markers included: quick, and an upper bound."""
    committed = committed_offsets(brokers, group, topic)
    consumer = _consumer(brokers, committed=False)
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), READ_S)[1] - offset
                   for p, offset in committed.items())
    finally:
        consumer.close()


def _consumer(brokers, committed):
    return Consumer({"bootstrap.servers": brokers, "group.id": uuid.uuid4().hex, "enable.auto.commit": False,
                     "auto.offset.reset": "error", "enable.partition.eof": True,
                     "isolation.level": "read_committed" if committed else "read_uncommitted"})


def _partitions(client, topic):
    described = client.list_topics(topic, READ_S).topics[topic]
    if described.error:
        raise RuntimeError(f"{topic}: {described.error}")
    return sorted(described.partitions)
