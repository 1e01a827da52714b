/* rdkafka_door.c - configuration, errors and messages, translated between librdkafka and us. */
#include "bus/rdkafka_door.h"

#include <stdio.h>

#include "log/log.h"

int door_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct why *reterr_why)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
        return why_set(reterr_why, -ERR_CONFIG, "Kafka setting %s=%s: %s", name, value, text);
    return 0;
}

static void log_from_librdkafka(const rd_kafka_t *rk, int level, const char *facility,
                                const char *text)
{
    (void)rk;
    if (level <= 4) /* syslog's warning and above */
        log_warning("kafka: %s: %s", facility, text);
    else
        log_debug("kafka: %s: %s", facility, text);
}

/* Errors of connections are librdkafka's business: it retries. Only said, and at most so often. */
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    (void)rk;
    (void)opaque;
    log_debug("kafka: %s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)err), reason);
}

rd_kafka_conf_t *door_conf(const struct bus_settings *settings, int *reterr_r,
                           struct why *reterr_why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    AUTO_FREE char *brokers = str_dup(settings->brokers);
    char client[128];

    *reterr_r = -ERR_NOMEM;
    if (!brokers) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    (void)snprintf(client, sizeof(client), "trailbus-" STR_FMT, STR_ARG(settings->instance));
    rd_kafka_conf_set_log_cb(conf, log_from_librdkafka);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if ((*reterr_r = door_set(conf, "bootstrap.servers", brokers, reterr_why)) < 0 ||
        (*reterr_r = door_set(conf, "client.id", client, reterr_why)) < 0 ||
        (*reterr_r = door_set(conf, "log.connection.close", "false", reterr_why)) < 0 ||
        (*reterr_r = door_set(conf, "topic.metadata.refresh.interval.ms", "10000", reterr_why)) <
            0 ||
        (*reterr_r = door_set(conf, "reconnect.backoff.max.ms", "1000", reterr_why)) < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

int door_conf_reading(rd_kafka_conf_t *conf, bool committed, struct why *reterr_why)
{
    char kilobytes[16];
    const char *const settings[][2] = {
        {"isolation.level", committed ? "read_committed" : "read_uncommitted"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"check.crcs", "true"}, /* brokers look when they write, no more when they read */
        {"fetch.wait.max.ms", "100"},
        {"fetch.error.backoff.ms", "50"},
        {"fetch.message.max.bytes", "4194304"},
        {"queued.max.messages.kbytes", kilobytes},
        {"queued.min.messages", "20000"},
    };

    (void)snprintf(kilobytes, sizeof(kilobytes), "%d", BUS_FETCH_BYTES_MAX / 1024);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        int r = door_set(conf, settings[i][0], settings[i][1], reterr_why);

        if (r < 0)
            return r;
    }
    return 0;
}

rd_kafka_t *door_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct why *reterr_why)
{
    char text[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof(text));

    if (!rk) {
        rd_kafka_conf_destroy(conf);
        (void)why_set(reterr_why, -ERR_CONFIG, "Kafka client: %s", text);
    }
    return rk;
}

int door_error(rd_kafka_resp_err_t err)
{
    switch (err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return 0;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return -ERR_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return -ERR_TIMEOUT;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        return -ERR_FENCED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return -ERR_LIMIT;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return -ERR_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
        return -ERR_EXISTS;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return -ERR_CONFIG;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        return -ERR_RANGE;
    case RD_KAFKA_RESP_ERR__BAD_MSG: /* librdkafka would go on behind it */
        return -ERR_IO;
    default:
        return -ERR_UNAVAILABLE;
    }
}

int door_error_done(rd_kafka_error_t *error, struct why *reterr_why)
{
    int r;

    if (!error)
        return 0;
    if (rd_kafka_error_is_fatal(error))
        r = -ERR_FENCED;
    else if (rd_kafka_error_txn_requires_abort(error))
        r = -ERR_ABORTED;
    else
        r = door_error(rd_kafka_error_code(error));
    (void)why_set(reterr_why, r, "Kafka: %s: %s", rd_kafka_error_name(error),
                  rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return r;
}

rd_kafka_topic_partition_list_t *door_list(const char *topic, const struct bus_position *positions,
                                           size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);

    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, topic, positions[i].partition)->offset =
            positions[i].offset;
    }
    return list;
}

void door_input(const rd_kafka_message_t *message, struct bus_input *ret)
{
    rd_kafka_timestamp_type_t type;

    *ret = (struct bus_input){
        .kind = BUS_INPUT_RECORD,
        .partition = message->partition,
        .offset = message->offset,
        .record = {.topic = str_from(rd_kafka_topic_name(message->rkt)),
                   .partition = message->partition,
                   .offset = message->offset,
                   .time_ms = rd_kafka_message_timestamp(message, &type),
                   .key = str_of(message->key, message->key_len),
                   .value = str_of(message->payload, message->len),
                   .tombstone = message->payload == NULL,
                   .handle = message},
    };
}

bool bus_record_header(const struct bus_record *record, const char *name, struct str *ret)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;

    if (rd_kafka_message_headers(record->handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    *ret = str_of(value, size);
    return true;
}
