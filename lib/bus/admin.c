/* admin.c - topics made, groups asked. What needs librdkafka's admin requests. */
#include "bus/rdkafka_door.h"

#include <stdio.h>
#include <time.h>

#define LED_TRIES_MAX 100
#define LED_PAUSE_NS  50000000

static int add_configs(rd_kafka_NewTopic_t *topic, const struct topic_settings *settings,
                       int replication, struct why *reterr_why)
{
    char retention[32], bytes[16], segment[16];
    const char *const table[][2] = {
        {"cleanup.policy", settings->compacted ? "compact" : "delete"},
        {"message.timestamp.type", "LogAppendTime"},
        {"retention.ms", retention},
        {"max.message.bytes", bytes},
        {"unclean.leader.election.enable", "false"},
        {"min.insync.replicas", replication >= 3 ? "2" : "1"},
        {"segment.bytes", segment},
    };
    size_t count = ARRAY_LEN(table) - (settings->segment_bytes ? 0 : 1);

    (void)snprintf(retention, sizeof(retention), "%lld", (long long)settings->retention_ms);
    (void)snprintf(bytes, sizeof(bytes), "%d", settings->record_bytes_max);
    (void)snprintf(segment, sizeof(segment), "%d", settings->segment_bytes);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = rd_kafka_NewTopic_set_config(topic, table[i][0], table[i][1]);

        if (err)
            return why_set(reterr_why, -ERR_BUG, "topic setting %s: %s", table[i][0],
                           rd_kafka_err2str(err));
    }
    return 0;
}

/* Sends the request and waits; the event is the caller's to destroy. */
static int ask(struct bus_admin *admin, rd_kafka_NewTopic_t *topic, rd_kafka_event_t **ret,
               struct why *reterr_why)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(admin->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);

    (void)rd_kafka_AdminOptions_set_operation_timeout(options, BUS_CALL_TIMEOUT_MS, NULL, 0);
    rd_kafka_CreateTopics(admin->rk, &topic, 1, options, queue);
    *ret = rd_kafka_queue_poll(queue, BUS_CALL_TIMEOUT_MS + 5000);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return *ret ? 0 : why_set(reterr_why, -ERR_TIMEOUT, "no answer from Kafka");
}

static int created(rd_kafka_event_t *event, const char *name, struct why *reterr_why)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics;
    size_t count;
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);

    if (err)
        return why_set(reterr_why, door_error(err), "cannot create topic %s: %s", name,
                       rd_kafka_event_error_string(event));
    topics = rd_kafka_CreateTopics_result_topics(result, &count);
    err = count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
    if (err)
        return why_set(reterr_why, door_error(err), "cannot create topic %s: %s", name,
                       count == 1 ? rd_kafka_topic_result_error_string(topics[0])
                                  : rd_kafka_err2str(err));
    return 0;
}

static int grown(rd_kafka_event_t *event, const char *name, struct why *reterr_why)
{
    const rd_kafka_CreatePartitions_result_t *result =
        rd_kafka_event_CreatePartitions_result(event);
    const rd_kafka_topic_result_t **topics;
    size_t count;
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);

    if (!err) {
        topics = rd_kafka_CreatePartitions_result_topics(result, &count);
        err = count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
    }
    return err ? why_set(reterr_why, door_error(err), "cannot add partitions to %s: %s", name,
                         rd_kafka_err2str(err))
               : 0;
}

/* Known is not enough: a broker that has heard of a partition may not lead it yet. */
static bool is_led(struct bus_admin *admin, const char *name, int32_t wanted)
{
    int64_t low, high;
    int32_t count;

    if (bus_admin_partitions(admin, name, &count, NULL) < 0 || count < wanted)
        return false;
    for (int32_t p = 0; p < count; p++)
        if (bus_admin_watermarks(admin, name, p, &low, &high, NULL) < 0)
            return false;
    return true;
}

static int wait_until_led(struct bus_admin *admin, const char *name, int32_t count,
                          struct why *reterr_why)
{
    for (int tries = 0; tries < LED_TRIES_MAX; tries++) {
        if (is_led(admin, name, count))
            return 0;
        (void)nanosleep(&(struct timespec){.tv_nsec = LED_PAUSE_NS}, NULL);
    }
    return why_set(reterr_why, -ERR_TIMEOUT, "topic %s does not show up", name);
}

int bus_admin_create(struct bus_admin *admin, const char *name, int partitions, int replication,
                     const struct topic_settings *settings, struct why *reterr_why)
{
    char text[256];
    rd_kafka_event_t *event = NULL;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, settings->compacted ? 1 : partitions,
                                                       replication, text, sizeof(text));
    int r;

    if (!topic)
        return why_set(reterr_why, -ERR_CONFIG, "topic %s: %s", name, text);
    r = add_configs(topic, settings, replication, reterr_why);
    if (r == 0)
        r = ask(admin, topic, &event, reterr_why);
    if (r == 0)
        r = created(event, name, reterr_why);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);

    return r < 0 ? r : wait_until_led(admin, name, 1, reterr_why);
}

int bus_admin_grow(struct bus_admin *admin, const char *name, int count, struct why *reterr_why)
{
    char text[256];
    rd_kafka_event_t *event;
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(name, (size_t)count, text, sizeof(text));
    rd_kafka_queue_t *queue;
    int r;

    if (!more)
        return why_set(reterr_why, -ERR_CONFIG, "topic %s: %s", name, text);
    queue = rd_kafka_queue_new(admin->rk);
    rd_kafka_CreatePartitions(admin->rk, &more, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, BUS_CALL_TIMEOUT_MS);
    r = event ? grown(event, name, reterr_why)
              : why_set(reterr_why, -ERR_TIMEOUT, "no answer from Kafka");
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewPartitions_destroy(more);
    return r < 0 ? r : wait_until_led(admin, name, count, reterr_why);
}

static int committed_of(rd_kafka_event_t *event, int32_t count, int64_t *ret_offsets)
{
    const rd_kafka_ListConsumerGroupOffsets_result_t *result =
        rd_kafka_event_ListConsumerGroupOffsets_result(event);
    const rd_kafka_group_result_t **groups;
    const rd_kafka_topic_partition_list_t *list;
    size_t n;

    if (rd_kafka_event_error(event))
        return door_error(rd_kafka_event_error(event));
    groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &n);
    if (n != 1 || rd_kafka_group_result_error(groups[0]))
        return -ERR_UNAVAILABLE;
    list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; i < list->cnt; i++) {
        int32_t partition = list->elems[i].partition;

        if (list->elems[i].err)
            return door_error(list->elems[i].err);
        if (partition < count && list->elems[i].offset >= 0)
            ret_offsets[partition] = list->elems[i].offset;
    }
    return 0;
}

int bus_admin_committed(struct bus_admin *admin, const char *group, const char *topic,
                        int32_t count, int64_t *ret_offsets, struct why *reterr_why)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    rd_kafka_ListConsumerGroupOffsets_t *request;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->rk);
    rd_kafka_event_t *event;
    int r;

    for (int32_t i = 0; i < count; i++) {
        ret_offsets[i] = BUS_OFFSET_NONE;
        (void)rd_kafka_topic_partition_list_add(list, topic, i);
    }
    request = rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_ListConsumerGroupOffsets(admin->rk, &request, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, BUS_CALL_TIMEOUT_MS);
    r = event ? committed_of(event, count, ret_offsets) : -ERR_TIMEOUT;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    return r < 0 ? why_set(reterr_why, r, "cannot read the committed offsets of %s", group) : 0;
}
