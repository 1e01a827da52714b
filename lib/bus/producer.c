/* producer.c - writing: idempotent, or in transactions.
 *
 * Outcomes come by callback, served whenever the producer is polled, flushed or commits; as events on
 * a queue they would block commit_transaction on our only thread.
 */
#include "bus/rdkafka_door.h"

#include <stdio.h>

#include "log/log.h"

#define TOPICS_MAX       256  /* that one producer writes to */
#define CLOSE_TIMEOUT_MS 1000 /* of each step of closing; the brokers do the rest without us */

struct bus_producer {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topics[TOPICS_MAX]; /* opened at first use */
    size_t topic_count;
    uint64_t failures;
    bool open;   /* a transaction was begun, and is not known to have ended */
    bool untold; /* no failure in it was logged yet */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct bus_producer *p = opaque;
    struct bus_ticket *ticket = message->_private;

    (void)rk;
    if (message->err)
        (void)__atomic_add_fetch(&p->failures, 1, __ATOMIC_RELAXED);
    if (message->err && p->untold && message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
        message->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        /* The transaction's own error will not say which. */
        log_warning("cannot write to %s: %s", rd_kafka_topic_name(message->rkt),
                    rd_kafka_err2str(message->err));
        p->untold = false;
    }
    if (!ticket)
        return;
    ticket->error = door_error(message->err);
    ticket->partition = message->partition;
    ticket->offset = message->offset;
    ticket->done = true;
    if (ticket->on_done)
        ticket->on_done(ticket);
}

/* How long a record waits for others to go with. */
#define LINGER_MS        "5"
#define LINGER_MS_PROMPT "0"

static int configure(rd_kafka_conf_t *conf, const char *transactional_id, int timeout_ms,
                     const char *linger_ms, struct why *reterr_why)
{
    const char *limited = transactional_id ? "transaction.timeout.ms" : "message.timeout.ms";
    char timeout[16], kilobytes[16], records[16];
    const char *const table[][2] = {
        {"enable.idempotence", "true"},
        {"partitioner", "murmur2_random"},
        {"acks", "all"},
        {"compression.codec", "lz4"},
        {"linger.ms", linger_ms},
        {"batch.size", "1000000"},
        {"batch.num.messages", "10000"},
        {"message.max.bytes", "2097152"}, /* of one record; batches stay below batch.size */
        {"queue.buffering.max.kbytes", kilobytes},
        {"queue.buffering.max.messages", records},
    };
    int r = 0;

    if (timeout_ms == 0)
        timeout_ms = transactional_id ? BUS_TRANSACTION_TIMEOUT_MS : BUS_DELIVERY_TIMEOUT_MS;
    (void)snprintf(timeout, sizeof(timeout), "%d", timeout_ms);
    (void)snprintf(kilobytes, sizeof(kilobytes), "%d", BUS_QUEUE_BYTES_MAX / 1024);
    (void)snprintf(records, sizeof(records), "%d", BUS_QUEUE_RECORDS_MAX);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(table); i++)
        r = door_set(conf, table[i][0], table[i][1], reterr_why);
    if (r == 0 && transactional_id)
        r = door_set(conf, "transactional.id", transactional_id, reterr_why);
    return r < 0 ? r : door_set(conf, limited, timeout, reterr_why);
}

static int producer_open(const struct bus_settings *settings, const char *transactional_id,
                         int timeout_ms, const char *linger_ms, struct bus_producer **ret,
                         struct why *reterr_why)
{
    AUTO(bus_producer_close) struct bus_producer *p = calloc(1, sizeof(*p));
    rd_kafka_conf_t *conf;
    int r;

    if (!p)
        return -ERR_NOMEM;
    conf = door_conf(settings, &r, reterr_why);
    if (!conf)
        return r;
    r = configure(conf, transactional_id, timeout_ms, linger_ms, reterr_why);
    if (r < 0) {
        rd_kafka_conf_destroy(conf);
        return r;
    }
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    p->rk = door_new(RD_KAFKA_PRODUCER, conf, reterr_why);
    if (!p->rk)
        return -ERR_CONFIG;
    *ret = p;
    p = NULL;
    return 0;
}

int bus_producer_open(const struct bus_settings *settings, const char *transactional_id,
                      int timeout_ms, struct bus_producer **ret, struct why *reterr_why)
{
    return producer_open(settings, transactional_id, timeout_ms, LINGER_MS, ret, reterr_why);
}

int bus_producer_open_prompt(const struct bus_settings *settings, struct bus_producer **ret,
                             struct why *reterr_why)
{
    return producer_open(settings, NULL, 0, LINGER_MS_PROMPT, ret, reterr_why);
}

static void destroy(void *handle)
{
    struct bus_producer *p = handle;

    for (size_t i = 0; i < p->topic_count; i++)
        rd_kafka_topic_destroy(p->topics[i]);
    if (p->rk)
        rd_kafka_destroy(p->rk);
    free(p);
}

void bus_producer_close(struct bus_producer *p)
{
    if (!p)
        return;
    if (p->rk && p->open) {
        /* Only outside of a transaction no partition joins one any more: librdkafka 2.0.2 aborts the process when a
         * request for that meets the end of its handle. */
        rd_kafka_error_t *error = rd_kafka_abort_transaction(p->rk, CLOSE_TIMEOUT_MS);

        if (error)
            rd_kafka_error_destroy(error);
    }
    if (p->rk) {
        /* Tickets live with the caller, which may free them after this: have them all done now. */
        (void)rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        (void)rd_kafka_flush(p->rk, CLOSE_TIMEOUT_MS);
    }
    door_close(destroy, p);
}

static rd_kafka_topic_t *topic_of(struct bus_producer *p, const char *name)
{
    for (size_t i = 0; i < p->topic_count; i++)
        if (strcmp(rd_kafka_topic_name(p->topics[i]), name) == 0)
            return p->topics[i];
    CHECK(p->topic_count < TOPICS_MAX);
    p->topics[p->topic_count] = rd_kafka_topic_new(p->rk, name, NULL);
    CHECK(p->topics[p->topic_count]);
    return p->topics[p->topic_count++];
}

static int write_with_headers(struct bus_producer *p, rd_kafka_topic_t *topic, int32_t partition,
                              struct str key, struct str value, const struct bus_header *headers,
                              size_t header_count, struct bus_ticket *ticket)
{
    rd_kafka_headers_t *list = rd_kafka_headers_new(header_count);
    rd_kafka_vu_t vus[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key.at, key.len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)value.at, value.len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = ticket},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = list},
    };
    rd_kafka_error_t *error;

    for (size_t i = 0; i < header_count; i++)
        (void)rd_kafka_header_add(list, headers[i].name, -1, headers[i].value.at,
                                  (ssize_t)headers[i].value.len);
    error = rd_kafka_produceva(p->rk, vus, ARRAY_LEN(vus));
    if (error)
        rd_kafka_headers_destroy(list);
    return door_error_done(error, NULL);
}

int bus_producer_write(struct bus_producer *p, const char *topic, int32_t partition, struct str key,
                       struct str value, const struct bus_header *headers, size_t header_count,
                       struct bus_ticket *ticket)
{
    rd_kafka_topic_t *rkt = topic_of(p, topic);

    CHECK(header_count <= BUS_HEADERS_MAX);
    if (ticket)
        ticket->done = false;
    if (header_count)
        return write_with_headers(p, rkt, partition, key, value, headers, header_count, ticket);
    if (rd_kafka_produce(rkt, partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value.at,
                         value.len, key.at, key.len, ticket) == 0)
        return 0;
    return door_error(rd_kafka_last_error());
}

int bus_producer_poll(struct bus_producer *p, int timeout_ms)
{
    return rd_kafka_poll(p->rk, timeout_ms);
}

int bus_producer_flush(struct bus_producer *p, int timeout_ms)
{
    return door_error(rd_kafka_flush(p->rk, timeout_ms));
}

size_t bus_producer_waiting(const struct bus_producer *p)
{
    return (size_t)rd_kafka_outq_len(p->rk);
}

uint64_t bus_producer_failures(struct bus_producer *p)
{
    return __atomic_exchange_n(&p->failures, 0, __ATOMIC_RELAXED);
}

int bus_transactions_init(struct bus_producer *p, int timeout_ms, struct why *reterr_why)
{
    return door_error_done(rd_kafka_init_transactions(p->rk, timeout_ms), reterr_why);
}

int bus_begin(struct bus_producer *p, struct why *reterr_why)
{
    p->untold = true;
    p->open = true;
    return door_error_done(rd_kafka_begin_transaction(p->rk), reterr_why);
}

int bus_send_offsets(struct bus_producer *p, struct bus_consumer *consumer,
                     const struct bus_position *positions, size_t count, int timeout_ms,
                     struct why *reterr_why)
{
    rd_kafka_consumer_group_metadata_t *group = consumer_group_metadata(consumer);
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_error_t *error;

    if (!group)
        return why_set(reterr_why, -ERR_ABORTED, "the consumer has left its group");
    list = door_list(consumer_topic(consumer), positions, count);
    error = rd_kafka_send_offsets_to_transaction(p->rk, list, group, timeout_ms);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_group_metadata_destroy(group);
    return door_error_done(error, reterr_why);
}

int bus_commit(struct bus_producer *p, int timeout_ms, struct why *reterr_why)
{
    int r = door_error_done(rd_kafka_commit_transaction(p->rk, timeout_ms), reterr_why);

    p->open = p->open && r < 0;
    return r;
}

int bus_abort(struct bus_producer *p, int timeout_ms, struct why *reterr_why)
{
    int r = door_error_done(rd_kafka_abort_transaction(p->rk, timeout_ms), reterr_why);

    p->open = p->open && r < 0;
    return r;
}
