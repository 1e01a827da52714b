/* passing.c - has a group passed a point in its log?
 *
 * A committed offset alone does not tell: at a log's end lie the markers of transactions, which no consumer ever
 * commits as read. So a reader of committed records begins where the group is: if it reaches the point without meeting
 * a record, everything before it was passed.
 */
#include "passing.h"

#include <unistd.h>

#include "daemon/daemon.h"

#define PAUSE_MS 50 /* between two looks at the same group */
#define POLL_MS  20

struct stage {
    const struct service *service;
    struct topic_name topic;
    char group[GROUP_NAME_SIZE];
    int32_t partitions;
    int64_t starts[BUS_PARTITIONS_MAX]; /* of the log */
    int64_t ends[BUS_PARTITIONS_MAX];   /* to be passed; -1: done */
    int64_t until_ms;
};

static int stage_open(struct stage *s, struct bus_admin *admin, struct why *why)
{
    int r = bus_admin_partitions(admin, s->topic.text, &s->partitions, why);

    for (int32_t p = 0; p < s->partitions && r == 0; p++) {
        r = bus_admin_watermarks(admin, s->topic.text, p, &s->starts[p], &s->ends[p], why);
        if (r == 0 && s->ends[p] == s->starts[p])
            s->ends[p] = -1;
    }
    return r;
}

static size_t waiting(struct stage *s, const int64_t *committed, struct bus_position *ret)
{
    size_t count = 0;

    for (int32_t p = 0; p < s->partitions; p++) {
        if (committed[p] >= s->ends[p])
            s->ends[p] = -1;
        if (s->ends[p] >= 0)
            ret[count++] = (struct bus_position){p, MAX_OF(committed[p], s->starts[p])};
    }
    return count;
}

/* Reads on from where the group is, until each of `left` has met a record or the point itself. */
static int look(struct stage *s, const struct bus_position *positions, size_t left, struct why *why)
{
    AUTO(bus_reader_close) struct bus_reader *reader = NULL;
    bool met[BUS_PARTITIONS_MAX] = {false};
    int r = bus_reader_open(&s->service->bus, s->topic.text, true, positions, left, &reader, why);

    while (r == 0 && left > 0 && daemon_monotonic_ms() < s->until_ms) {
        struct bus_input input;

        r = bus_reader_poll(reader, POLL_MS, &input);
        if (r < 0 && err_class(r) == ERR_CLASS_RETRY)
            r = 0;
        else if (r < 0)
            return why_set(why, r, "cannot read %s", s->topic.text);
        else if (input.kind == BUS_INPUT_OUT_OF_RANGE)
            return why_set(why, -ERR_UNAVAILABLE, "%s/%d was not read before it left the log",
                           s->topic.text, input.partition);
        else if (input.kind == BUS_INPUT_NONE || met[input.partition] ||
                 (input.kind == BUS_INPUT_END && input.offset < s->ends[input.partition]))
            continue; /* an end before the point: a transaction is open there */
        else {
            if (input.offset >= s->ends[input.partition])
                s->ends[input.partition] = -1;
            met[input.partition] = true;
            left--;
        }
    }
    return r;
}

static int stage_wait(struct stage *s, struct bus_admin *admin, struct why *why)
{
    int64_t committed[BUS_PARTITIONS_MAX];
    struct bus_position positions[BUS_PARTITIONS_MAX];
    int r;

    while ((r = bus_admin_committed(admin, s->group, s->topic.text, s->partitions, committed,
                                    why)) == 0) {
        size_t left = waiting(s, committed, positions);

        if (left == 0)
            return 0;
        r = look(s, positions, left, why);
        if (r < 0)
            return r;
        for (left = 0; left < (size_t)s->partitions && s->ends[left] < 0; left++)
            ;
        if (left == (size_t)s->partitions)
            return 0;
        if (daemon_monotonic_ms() >= s->until_ms)
            return why_set(why, -ERR_TIMEOUT, "%s has not passed offset %lld of %s/%zu in %d ms",
                           s->group, (long long)s->ends[left], s->topic.text, left,
                           PASSING_WAIT_MS);
        (void)usleep(PAUSE_MS * 1000);
    }
    return r;
}

int passing_wait(const struct service *service, struct why *reterr_why)
{
    const struct config_strs *regions = &service->config->topology.regions;
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO_FREE struct stage *stages = calloc(regions->count, sizeof(*stages));
    struct stage *router = stages;
    int64_t until_ms = daemon_monotonic_ms() + PASSING_WAIT_MS;
    int r = stages ? bus_admin_open(&service->bus, &admin, reterr_why) : -ERR_NOMEM;

    for (size_t i = 0; i < regions->count && r == 0; i++) {
        stages[i] = (struct stage){.service = service, .until_ms = until_ms};
        stages[i].topic = topic_name(TOPIC_RAW, regions->at[i]);
        group_name(STR("normalizer"), regions->at[i], stages[i].group);
        r = stage_open(&stages[i], admin, reterr_why);
    }
    for (size_t i = 0; i < regions->count && r == 0; i++)
        r = stage_wait(&stages[i], admin, reterr_why);
    if (r < 0)
        return r;
    *router = (struct stage){.service = service, .until_ms = until_ms};
    router->topic = topic_name(TOPIC_GLOBAL, STR_NONE);
    group_name(STR("router"), STR_NONE, router->group);
    r = stage_open(router, admin, reterr_why);
    return r < 0 ? r : stage_wait(router, admin, reterr_why);
}
