/* relay.c - what the normalizer is measured beside: librdkafka and nothing else.
 *
 *     relay BROKERS FROM-TOPIC TO-TOPIC GROUP GROWTH
 *
 * Copies records from one topic to another, keyed as they came, in transactions of the normalizer's length, with the
 * normalizer's settings (lib/bus: rdkafka_door.c, consumer.c, producer.c, stage.h), until SIGTERM. A record's
 * value is written GROWTH times as long as it was read (its own bytes, and its beginning once more), so that as many bytes
 * go out as the normalizer writes for the same input. It checks, decides and remembers nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#define COMMIT_MS   100
#define RECORDS_MAX 50000
#define TIMEOUT_MS  10000
#define VALUE_MAX   (2 << 20)

static volatile sig_atomic_t ended;

struct relay {
    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *to;
    double growth;
    char *value;
    rd_kafka_topic_partition_list_t *next; /* offsets behind what was read */
};

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void must(const char *what, rd_kafka_error_t *error)
{
    if (!error)
        return;
    fprintf(stderr, "%s: %s\n", what, rd_kafka_error_string(error));
    exit(1);
}

static rd_kafka_t *open_handle(rd_kafka_type_t type, const char *const settings[][2])
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[512];
    rd_kafka_t *rk;

    for (size_t i = 0; settings[i][0]; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof(text))) {
            fprintf(stderr, "%s\n", text);
            exit(1);
        }
    rk = rd_kafka_new(type, conf, text, sizeof(text));
    if (!rk) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
    return rk;
}

static void open_consumer(struct relay *r, const char *brokers, const char *topic,
                          const char *group)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", group},
        {"isolation.level", "read_committed"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"},
        {"enable.partition.eof", "true"},
        {"check.crcs", "false"},
        {"fetch.wait.max.ms", "100"},
        {"fetch.error.backoff.ms", "50"},
        {"fetch.message.max.bytes", "4194304"},
        {"queued.max.messages.kbytes", "32768"},
        {"queued.min.messages", "20000"},
        {"session.timeout.ms", "6000"},
        {NULL, NULL},
    };
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

    r->consumer = open_handle(RD_KAFKA_CONSUMER, settings);
    rd_kafka_poll_set_consumer(r->consumer);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(r->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
}

static void open_producer(struct relay *r, const char *brokers, const char *topic)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},
        {"transactional.id", "bench-relay"},
        {"transaction.timeout.ms", "10000"},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"partitioner", "murmur2_random"},
        {"compression.codec", "lz4"},
        {"linger.ms", "5"},
        {"batch.size", "1000000"},
        {"batch.num.messages", "10000"},
        {"message.max.bytes", "2097152"},
        {"queue.buffering.max.kbytes", "65536"},
        {"queue.buffering.max.messages", "200000"},
        {NULL, NULL},
    };

    r->producer = open_handle(RD_KAFKA_PRODUCER, settings);
    r->to = rd_kafka_topic_new(r->producer, topic, NULL);
    must("init_transactions", rd_kafka_init_transactions(r->producer, TIMEOUT_MS));
}

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void note_position(struct relay *r, const rd_kafka_message_t *m)
{
    const char *topic = rd_kafka_topic_name(m->rkt);
    rd_kafka_topic_partition_t *p =
        rd_kafka_topic_partition_list_find(r->next, topic, m->partition);

    if (!p)
        p = rd_kafka_topic_partition_list_add(r->next, topic, m->partition);
    p->offset = m->offset + 1;
}

static void copy_record(struct relay *r, const rd_kafka_message_t *m)
{
    size_t len = (size_t)((double)m->len * r->growth), at = 0;

    while (at < len) {
        size_t part = len - at < m->len ? len - at : m->len;

        memcpy(r->value + at, m->payload, part);
        at += part;
    }
    while (rd_kafka_produce(r->to, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, r->value, len,
                            m->key, m->key_len, NULL) < 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "produce: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
            exit(1);
        }
        rd_kafka_poll(r->producer, 5);
    }
}

static void commit(struct relay *r)
{
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(r->consumer);

    must("send_offsets",
         rd_kafka_send_offsets_to_transaction(r->producer, r->next, group, TIMEOUT_MS));
    rd_kafka_consumer_group_metadata_destroy(group);
    must("commit", rd_kafka_commit_transaction(r->producer, TIMEOUT_MS));
}

/* One transaction: until its time or its records are full. */
static void run_transaction(struct relay *r)
{
    long long until_ms = 0;

    for (size_t records = 0; records < RECORDS_MAX;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->consumer, records ? 0 : 10);

        if (m && !m->err) {
            if (records++ == 0) {
                must("begin", rd_kafka_begin_transaction(r->producer));
                until_ms = now_ms() + COMMIT_MS;
            }
            copy_record(r, m);
            note_position(r, m);
        }
        if (m)
            rd_kafka_message_destroy(m);
        if (records == 0 && (ended || !m))
            return;
        if (records && (records % 256 == 0 || !m) && now_ms() >= until_ms)
            break;
    }
    commit(r);
}

int main(int argc, char **argv)
{
    struct relay r = {0};

    if (argc != 6) {
        fprintf(stderr, "usage: relay BROKERS FROM-TOPIC TO-TOPIC GROUP GROWTH\n");
        return 2;
    }
    r.growth = strtod(argv[5], NULL);
    r.value = malloc(VALUE_MAX);
    r.next = rd_kafka_topic_partition_list_new(16);
    signal(SIGTERM, on_signal);
    open_producer(&r, argv[1], argv[3]);
    open_consumer(&r, argv[1], argv[2], argv[4]);
    while (!ended)
        run_transaction(&r);
    rd_kafka_consumer_close(r.consumer);
    rd_kafka_destroy(r.consumer);
    rd_kafka_topic_destroy(r.to);
    rd_kafka_destroy(r.producer);
    rd_kafka_topic_partition_list_destroy(r.next);
    free(r.value);
    return 0;
}
