/* reader.c - reading given partitions from given offsets, outside of any group. */
#include "bus/rdkafka_door.h"

#include "log/log.h"

/* A handle is assigned once. One that is assigned again before its last assignment is in force stops the same partition
 * twice, and librdkafka 2.0.2 aborts the process ("rktp->rktp_started"). So going elsewhere means another handle, made
 * when something is to be read there: many seeks in a row cost one. */
struct bus_reader {
    struct bus_settings settings;
    bool committed;
    rd_kafka_t *rk; /* NULL: to be made, for `from` */
    char *topic;
    rd_kafka_topic_partition_list_t *from; /* NULL: being read */
    rd_kafka_message_t *held;
};

static rd_kafka_t *open_handle(const struct bus_settings *settings, bool committed, int *reterr_r,
                               struct why *reterr_why)
{
    rd_kafka_conf_t *conf = door_conf(settings, reterr_r, reterr_why);
    rd_kafka_t *rk;

    if (!conf)
        return NULL;
    *reterr_r = door_conf_reading(conf, committed, reterr_why);
    if (*reterr_r == 0) /* demanded, never joined */
        *reterr_r = door_set(conf, "group.id", "trailbus.reader", reterr_why);
    if (*reterr_r < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rk = door_new(RD_KAFKA_CONSUMER, conf, reterr_why);
    if (!rk) {
        *reterr_r = -ERR_CONFIG;
        return NULL;
    }
    (void)rd_kafka_poll_set_consumer(rk);
    return rk;
}

static void release(struct bus_reader *reader)
{
    if (reader->held)
        rd_kafka_message_destroy(reader->held);
    reader->held = NULL;
}

static void close_consumer(void *rk)
{
    (void)rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void close_handle(struct bus_reader *reader)
{
    release(reader);
    if (reader->rk)
        door_close(close_consumer, reader->rk);
    reader->rk = NULL;
}

static void forget_from(struct bus_reader *reader)
{
    if (reader->from)
        rd_kafka_topic_partition_list_destroy(reader->from);
    reader->from = NULL;
}

void bus_reader_close(struct bus_reader *reader)
{
    if (!reader)
        return;
    close_handle(reader);
    forget_from(reader);
    free(reader->topic);
    free(reader);
}

/* Reads from where it was sent. */
static int begin(struct bus_reader *reader, struct why *reterr_why)
{
    int r = 0;

    if (!reader->from)
        return 0;
    close_handle(reader);
    reader->rk = open_handle(&reader->settings, reader->committed, &r, reterr_why);
    if (reader->rk)
        r = door_error(rd_kafka_assign(reader->rk, reader->from));
    if (r < 0)
        close_handle(reader);
    else
        forget_from(reader);
    return r;
}

int bus_reader_seek(struct bus_reader *reader, const struct bus_position *positions, size_t count)
{
    release(reader);
    forget_from(reader);
    reader->from = door_list(reader->topic, positions, count);
    return reader->from ? 0 : -ERR_NOMEM;
}

int bus_reader_open(const struct bus_settings *settings, const char *topic, bool committed,
                    const struct bus_position *positions, size_t count, struct bus_reader **ret,
                    struct why *reterr_why)
{
    AUTO(bus_reader_close) struct bus_reader *reader = calloc(1, sizeof(*reader));
    int r;

    if (!reader)
        return -ERR_NOMEM;
    reader->settings = *settings;
    reader->committed = committed;
    reader->topic = str_dup(str_from(topic));
    if (!reader->topic)
        return -ERR_NOMEM;
    r = bus_reader_seek(reader, positions, count);
    if (r == 0)
        r = begin(reader, reterr_why);
    if (r < 0)
        return why_set(reterr_why, r, "cannot read %s", topic);
    *ret = reader;
    reader = NULL;
    return 0;
}

int bus_reader_poll(struct bus_reader *reader, int timeout_ms, struct bus_input *ret)
{
    const rd_kafka_message_t *m;
    int r;

    *ret = (struct bus_input){.kind = BUS_INPUT_NONE};
    release(reader);
    r = begin(reader, NULL);
    if (r < 0)
        return r;
    m = reader->held = rd_kafka_consumer_poll(reader->rk, timeout_ms);
    if (!m)
        return 0;
    switch (m->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        door_input(m, ret);
        return 0;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        *ret = (struct bus_input){.kind = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF
                                              ? BUS_INPUT_END
                                              : BUS_INPUT_OUT_OF_RANGE,
                                  .partition = m->partition,
                                  .offset = m->offset};
        return 0;
    default:
        log_debug("kafka: reading %s: %s", reader->topic, rd_kafka_message_errstr(m));
        return door_error(m->err);
    }
}

/* ---- admin: the same kind of handle, asked rather than read -------------------------------------- */

int bus_admin_open(const struct bus_settings *settings, struct bus_admin **ret,
                   struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = calloc(1, sizeof(*admin));
    int r;

    if (!admin)
        return -ERR_NOMEM;
    admin->rk = open_handle(settings, false, &r, reterr_why);
    if (!admin->rk)
        return r;
    *ret = admin;
    admin = NULL;
    return 0;
}

void bus_admin_close(struct bus_admin *admin)
{
    if (!admin)
        return;
    if (admin->rk)
        door_close(close_consumer, admin->rk);
    free(admin);
}

int bus_admin_watermarks(struct bus_admin *admin, const char *topic, int32_t partition,
                         int64_t *ret_low, int64_t *ret_high, struct why *reterr_why)
{
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(admin->rk, topic, partition, ret_low,
                                                               ret_high, BUS_CALL_TIMEOUT_MS);

    if (err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) /* as it says while there is no leader */
        err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    if (err)
        return why_set(reterr_why, door_error(err), "cannot ask for the ends of %s/%d: %s", topic,
                       partition, rd_kafka_err2str(err));
    return 0;
}

int bus_admin_partitions(struct bus_admin *admin, const char *topic, int32_t *ret_count,
                         struct why *reterr_why)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(admin->rk, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t err = rd_kafka_metadata(admin->rk, 0, rkt, &metadata, BUS_CALL_TIMEOUT_MS);

    if (!err && metadata->topic_cnt == 1)
        err = metadata->topics[0].err;
    if (!err)
        *ret_count = metadata->topics[0].partition_cnt;
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(rkt);
    if (err)
        return why_set(reterr_why, door_error(err), "topic %s: %s", topic, rd_kafka_err2str(err));
    if (*ret_count > BUS_PARTITIONS_MAX) /* nobody's tables hold so many */
        return why_set(reterr_why, -ERR_CONFIG,
                       "topic %s has %d partitions, and there cannot be more than %d", topic,
                       *ret_count, BUS_PARTITIONS_MAX);
    return 0;
}
