/* consumer.c - a member of a group, whose partitions are begun where its owner says.
 *
 * A rebalance is an input like any other. librdkafka's callback only notes it; the group then waits for
 * our assign or unassign, which the owner calls when it has read its state or committed its work. The
 * protocol is the eager one: all partitions go, then the new set comes. With static membership (the
 * instance's name) that happens when instances are added or stay away, not when one is restarted.
 */
#include "bus/rdkafka_door.h"

#include <stdio.h>
#include <unistd.h>

#include <fcntl.h>

#include "log/log.h"

struct bus_consumer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    char *topic;
    rd_kafka_message_t *held;       /* what the last input borrows from */
    enum bus_input_kind rebalance;  /* noted by the callback, NONE when nothing is waiting */
    struct bus_position *positions; /* of the noted assignment */
    int positions_error;            /* why they could not be noted */
    size_t position_count;
    bool closing; /* nobody is asked any more */
    int wake[2];  /* pipe: librdkafka writes when the queue was empty and is not */
};

/* Every table of partitions ends at BUS_PARTITIONS_MAX, and trailctl makes no more. */
static int note_assigned(struct bus_consumer *c, const rd_kafka_topic_partition_list_t *parts)
{
    free(c->positions);
    c->positions = NULL;
    c->position_count = 0;
    for (int i = 0; i < parts->cnt; i++)
        if (parts->elems[i].partition >= BUS_PARTITIONS_MAX)
            return log_error(-ERR_CONFIG,
                             "partition %d of %s is ours now, and there cannot be more than %d",
                             parts->elems[i].partition, c->topic, BUS_PARTITIONS_MAX);
    c->positions = calloc((size_t)parts->cnt + 1, sizeof(*c->positions));
    if (!c->positions)
        return -ERR_NOMEM;
    for (int i = 0; i < parts->cnt; i++)
        c->positions[c->position_count++] =
            (struct bus_position){parts->elems[i].partition, BUS_OFFSET_NONE};
    return 0;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct bus_consumer *c = opaque;

    if (c->closing) {
        (void)rd_kafka_assign(rk, NULL); /* closing waits for it */
    } else if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        c->positions_error = note_assigned(c, parts);
        c->rebalance = BUS_INPUT_ASSIGNED;
    } else if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        c->rebalance = rd_kafka_assignment_lost(rk) ? BUS_INPUT_LOST : BUS_INPUT_REVOKED;
    } else { /* librdkafka asks for an empty assignment then */
        c->rebalance = BUS_INPUT_LOST;
    }
}

static int configure(rd_kafka_conf_t *conf, const struct bus_settings *settings, const char *group,
                     struct why *reterr_why)
{
    char instance[128], session[16];
    const char *const table[][2] = {
        {"group.id", group},
        {"group.instance.id", instance},
        {"session.timeout.ms", session},
        {"heartbeat.interval.ms", "1500"},
        {"max.poll.interval.ms", "300000"},
        {"partition.assignment.strategy", "range"},
    };
    int r;

    (void)snprintf(instance, sizeof(instance), "%s." STR_FMT, group, STR_ARG(settings->instance));
    (void)snprintf(session, sizeof(session), "%d", BUS_SESSION_TIMEOUT_MS);
    r = door_conf_reading(conf, true, reterr_why);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(table); i++)
        r = door_set(conf, table[i][0], table[i][1], reterr_why);
    return r;
}

static int subscribe(struct bus_consumer *c, struct why *reterr_why)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t err;

    rd_kafka_topic_partition_list_add(topics, c->topic, RD_KAFKA_PARTITION_UA);
    err = rd_kafka_subscribe(c->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (err)
        return why_set(reterr_why, door_error(err), "cannot subscribe to %s: %s", c->topic,
                       rd_kafka_err2str(err));
    return 0;
}

int bus_consumer_open(const struct bus_settings *settings, const char *topic, const char *group,
                      struct bus_consumer **ret, struct why *reterr_why)
{
    AUTO(bus_consumer_close) struct bus_consumer *c = calloc(1, sizeof(*c));
    rd_kafka_conf_t *conf;
    int r;

    if (!c)
        return -ERR_NOMEM;
    c->wake[0] = c->wake[1] = -1;
    c->topic = str_dup(str_from(topic));
    if (!c->topic)
        return -ERR_NOMEM;
    if (pipe2(c->wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return why_set(reterr_why, -ERR_IO, "cannot make a pipe: %m");

    conf = door_conf(settings, &r, reterr_why);
    if (!conf)
        return r;
    r = configure(conf, settings, group, reterr_why);
    if (r < 0) {
        rd_kafka_conf_destroy(conf);
        return r;
    }
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    c->rk = door_new(RD_KAFKA_CONSUMER, conf, reterr_why);
    if (!c->rk)
        return -ERR_CONFIG;
    (void)rd_kafka_poll_set_consumer(c->rk);
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    rd_kafka_queue_io_event_enable(c->queue, c->wake[1], "1", 1);
    r = subscribe(c, reterr_why);
    if (r < 0)
        return r;
    *ret = c;
    c = NULL;
    return 0;
}

static void release(struct bus_consumer *c)
{
    if (c->held)
        rd_kafka_message_destroy(c->held);
    c->held = NULL;
}

static void close_all(void *handle)
{
    struct bus_consumer *c = handle;

    if (c->queue)
        rd_kafka_queue_destroy(c->queue);
    if (c->rk) {
        c->closing = true;
        (void)rd_kafka_assign(c->rk, NULL); /* answers a rebalance that was noted and never taken */
        (void)rd_kafka_consumer_close(c->rk);
        rd_kafka_destroy(c->rk);
    }
    if (c->wake[0] >= 0) {
        (void)close(c->wake[0]);
        (void)close(c->wake[1]);
    }
    free(c->positions);
    free(c->topic);
    free(c);
}

void bus_consumer_close(struct bus_consumer *c)
{
    if (!c)
        return;
    release(c);
    door_close(close_all, c);
}

/* Committed offsets of what was just assigned: waited for, as they may decide where work begins. */
static int fetch_committed(struct bus_consumer *c)
{
    rd_kafka_topic_partition_list_t *list = door_list(c->topic, c->positions, c->position_count);
    rd_kafka_resp_err_t err;

    err = rd_kafka_committed(c->rk, list, BUS_CALL_TIMEOUT_MS);
    for (int i = 0; !err && i < list->cnt; i++) {
        err = list->elems[i].err;
        c->positions[i].offset =
            list->elems[i].offset < 0 ? BUS_OFFSET_NONE : list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err)
        log_warning("cannot read committed offsets of %s yet: %s", c->topic, rd_kafka_err2str(err));
    return err ? -ERR_UNAVAILABLE : 0;
}

/* Hands out a rebalance that the callback noted. */
static int take_rebalance(struct bus_consumer *c, struct bus_input *ret)
{
    *ret = (struct bus_input){.kind = c->rebalance};
    if (c->rebalance == BUS_INPUT_ASSIGNED) {
        int r = c->positions_error < 0 ? c->positions_error : fetch_committed(c);

        if (r < 0)
            return r; /* still noted: asked again at the next poll */
        ret->positions = c->positions;
        ret->position_count = c->position_count;
    }
    c->rebalance = BUS_INPUT_NONE;
    return 0;
}

static int take_error(struct bus_consumer *c, const rd_kafka_message_t *message,
                      struct bus_input *ret)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        *ret = (struct bus_input){
            .kind = BUS_INPUT_END, .partition = message->partition, .offset = message->offset};
        return 0;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        *ret = (struct bus_input){.kind = BUS_INPUT_OUT_OF_RANGE,
                                  .partition = message->partition,
                                  .offset = message->offset};
        return 0;
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
        return 0; /* the rebalance that follows says it */
    default:
        log_warning("kafka: reading %s: %s", c->topic, rd_kafka_message_errstr(message));
        return door_error(message->err);
    }
}

int bus_consumer_poll(struct bus_consumer *c, int timeout_ms, struct bus_input *ret)
{
    int r = 0;

    *ret = (struct bus_input){.kind = BUS_INPUT_NONE};
    release(c);
    if (c->rebalance != BUS_INPUT_NONE)
        return take_rebalance(c, ret);
    c->held = rd_kafka_consumer_poll(c->rk, timeout_ms);
    if (c->held && c->held->err)
        r = take_error(c, c->held, ret);
    else if (c->held)
        door_input(c->held, ret);
    else if (c->rebalance != BUS_INPUT_NONE)
        r = take_rebalance(c, ret);
    else if (rd_kafka_fatal_error(c->rk, NULL, 0))
        r = -ERR_FENCED;
    return r;
}

int bus_consumer_assign(struct bus_consumer *c, const struct bus_position *positions, size_t count)
{
    rd_kafka_topic_partition_list_t *list = door_list(c->topic, positions, count);
    rd_kafka_resp_err_t err;

    release(c);
    err = rd_kafka_assign(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return door_error(err);
}

int bus_consumer_unassign(struct bus_consumer *c)
{
    release(c);
    return door_error(rd_kafka_assign(c->rk, NULL));
}

int bus_consumer_commit(struct bus_consumer *c, const struct bus_position *positions, size_t count,
                        bool wait)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t err;

    if (count == 0)
        return 0;
    list = door_list(c->topic, positions, count);
    err = rd_kafka_commit(c->rk, list, wait ? 0 : 1);
    rd_kafka_topic_partition_list_destroy(list);
    return door_error(err);
}

int64_t bus_consumer_end(const struct bus_consumer *c, int32_t partition)
{
    int64_t low, high;

    if (rd_kafka_get_watermark_offsets(c->rk, c->topic, partition, &low, &high))
        return -1;
    return high;
}

int bus_consumer_wake_fd(struct bus_consumer *c)
{
    return c->wake[0];
}

void bus_wake_drain(int fd)
{
    char bytes[64];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
}

/* For a transaction: librdkafka wants to know the group's generation. */
rd_kafka_consumer_group_metadata_t *consumer_group_metadata(struct bus_consumer *c)
{
    return rd_kafka_consumer_group_metadata(c->rk);
}
const char *consumer_topic(const struct bus_consumer *c)
{
    return c->topic;
}
