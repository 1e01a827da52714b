/* groups.c - consumer groups: eager rebalances, static members, sessions.
 *
 * A member that is restarted in time takes its own place again, and nobody else notices. One that is frozen for
 * longer than its session loses its partitions; it finds out when it wakes up. A coordinator may answer before it has loaded
 * its group, and may keep to that (docs/decisions/0006): then it says where the group once stood.
 */
#include <stdio.h>

#include "kafka.h"

#define OLDER_PERCENT 20 /* of commits: the one before may be told later */

struct group *group_find(const char *name, struct topic *topic)
{
    struct kafka *k = sim->kafka;
    struct group *g;

    for (size_t i = 0; i < k->group_count; i++)
        if (str_eq(k->groups[i].name, str_from(name)))
            return &k->groups[i];
    CHECK(k->group_count < GROUPS_MAX);
    g = &k->groups[k->group_count++];
    *g = (struct group){.name = keep_str(str_from(name)),
                        .topic = topic,
                        .partition_count = topic->partition_count};
    for (size_t i = 0; i < PARTITIONS_MAX; i++)
        g->committed[i] = g->older[i] = BUS_OFFSET_NONE;
    return g;
}

void group_commit(struct group *g, const struct bus_position *position)
{
    int32_t p = position->partition;

    if (chance(OLDER_PERCENT))
        g->older[p] = g->committed[p];
    g->committed[p] = position->offset;
}

int64_t group_stood(const struct group *g, int32_t p)
{
    return g->older[p] == BUS_OFFSET_NONE ? 0 : g->older[p];
}

/* Not below the log's start: a worker would end, rightly. */
static bool may_say_older(const struct group *g, int32_t p)
{
    return group_stood(g, p) >= g->topic->partitions[p].start;
}

int64_t group_stands(const struct group *g, int32_t p)
{
    return now_ms() < g->loaded_ms && may_say_older(g, p) ? g->older[p] : g->committed[p];
}

void group_falls_back(struct group *g)
{
    for (int32_t p = 0; p < g->topic->partition_count; p++)
        if (may_say_older(g, p))
            g->committed[p] = g->older[p];
    trace("group " STR_FMT ": its coordinator keeps to older offsets", STR_ARG(g->name));
}

/* In the topic that is there: one made anew has no generation before `control` tells it, and is none of those that are gone. */
static bool is_of(const struct topic *t, struct str generation)
{
    const struct kafka *k = sim->kafka;

    if (t->generation.len)
        return str_eq(t->generation, generation);
    for (size_t i = 0; i < k->topic_count; i++)
        if (str_eq(k->topics[i].generation, generation))
            return false;
    return true;
}

bool stage_stands(const struct group *g, int32_t partition, int64_t *ret_offset,
                  struct str *ret_tally)
{
    struct topic_name name = topic_name(TOPIC_POSITIONS, STR_NONE);
    const struct partition *log = &kafka_topic(name.text)->partitions[0];
    char key[GROUP_NAME_SIZE + TOPIC_NAME_SIZE + 16];

    (void)snprintf(key, sizeof(key), STR_FMT "/%s/%d", STR_ARG(g->name), g->topic->name.text,
                   partition);
    for (int64_t o = log->end; o-- > 0;) {
        struct str rest = log->records[o].value, word;

        if (log->records[o].state != RECORD_COMMITTED ||
            !str_eq(log->records[o].key, str_from(key)))
            continue;
        CHECK(str_split(&rest, ' ', &word) && str_split(&rest, ' ', &word));
        if (!is_of(g->topic, word))
            return false;
        *ret_tally = rest;
        return str_split(ret_tally, ' ', &word) && str_to_i64(word, ret_offset);
    }
    return false;
}

struct member *member_find(struct group *g, uint64_t id)
{
    for (size_t i = 0; i < g->member_count; i++)
        if (g->members[i].id == id)
            return &g->members[i];
    return NULL;
}

static void begin_rebalance(struct group *g)
{
    if (g->joining)
        return;
    trace("group " STR_FMT ": rebalances", STR_ARG(g->name));
    g->joining = true;
    for (size_t i = 0; i < g->member_count; i++) {
        struct member *m = &g->members[i];

        m->joined = m->consumer && consumer_holds_nothing(m->consumer);
        m->partition_count = 0;
        if (m->consumer)
            consumer_revoke(m->consumer);
    }
}

/* By range: members in the order of their names. */
static void share_out(struct group *g)
{
    int32_t next = 0, left = g->partition_count;

    g->joining = false;
    g->generation++;
    for (size_t i = 0; i < g->member_count; i++) {
        struct member *m = &g->members[i];
        int32_t some = (left + (int32_t)(g->member_count - i) - 1) / (int32_t)(g->member_count - i);

        m->partition_count = 0;
        for (int32_t n = 0; n < some; n++)
            m->partitions[m->partition_count++] = next++;
        left -= some;
        if (m->consumer)
            consumer_assign(m->consumer, m->partitions, m->partition_count);
    }
    trace("group " STR_FMT ": generation %lld with %zu members", STR_ARG(g->name),
          (long long)g->generation, g->member_count);
}

static void sort_members(struct group *g)
{
    for (size_t i = 1; i < g->member_count; i++)
        for (size_t j = i; j > 0; j--) {
            struct member swap = g->members[j];

            if (str_cmp(g->members[j - 1].instance, swap.instance) <= 0)
                break;
            g->members[j] = g->members[j - 1];
            g->members[j - 1] = swap;
        }
}

uint64_t group_join(struct group *g, struct str instance, struct bus_consumer *consumer)
{
    uint64_t id = ++sim->kafka->member_ids;
    struct member *m;

    for (size_t i = 0; i < g->member_count; i++) {
        m = &g->members[i];
        if (!str_eq(m->instance, instance))
            continue;
        if (m->consumer)
            consumer_shut_out(m->consumer);
        m->id = id;
        m->consumer = consumer;
        m->seen_ms = now_ms();
        m->joined = true;
        if (!g->joining)
            consumer_assign(consumer, m->partitions, m->partition_count);
        return id;
    }
    CHECK(g->member_count < MEMBERS_MAX);
    begin_rebalance(g);
    g->members[g->member_count++] = (struct member){.instance = keep_str(instance),
                                                    .id = id,
                                                    .consumer = consumer,
                                                    .seen_ms = now_ms(),
                                                    .joined = true};
    sort_members(g);
    return id;
}

void group_joined(struct group *g, struct member *m)
{
    if (g->joining)
        m->joined = true;
}

static void tick(struct group *g)
{
    bool all = true, alive;

    for (size_t i = 0; i < g->member_count; i++) {
        struct member *m = &g->members[i];

        alive = m->consumer && consumer_alive(m->consumer);
        if (alive)
            m->seen_ms = now_ms();
        if (now_ms() - m->seen_ms <= SESSION_MS)
            continue;
        trace("group " STR_FMT ": " STR_FMT " is gone", STR_ARG(g->name), STR_ARG(m->instance));
        *m = g->members[--g->member_count];
        sort_members(g);
        begin_rebalance(g);
        i--;
    }
    if (g->partition_count < g->topic->partition_count && g->member_count && chance(10)) {
        g->partition_count = g->topic->partition_count;
        begin_rebalance(g);
    }
    for (size_t i = 0; i < g->member_count; i++)
        all &= g->members[i].joined;
    if (g->joining && all && g->member_count)
        share_out(g);
}

void groups_forget(const struct topic *t)
{
    for (size_t i = 0; i < sim->kafka->group_count; i++) {
        struct group *g = &sim->kafka->groups[i];

        if (g->topic != t)
            continue;
        g->member_count = 0;
        g->joining = false;
        g->generation++;
        for (size_t p = 0; p < PARTITIONS_MAX; p++)
            g->committed[p] = g->older[p] = BUS_OFFSET_NONE;
    }
}

void groups_meet(struct topic *t)
{
    for (size_t i = 0; i < sim->kafka->group_count; i++) {
        struct group *g = &sim->kafka->groups[i];

        if (strcmp(g->topic->name.text, t->name.text) != 0)
            continue;
        g->topic = t;
        g->partition_count = t->partition_count;
    }
}

void groups_tick(void)
{
    for (size_t i = 0; i < sim->kafka->group_count; i++)
        tick(&sim->kafka->groups[i]);
}
