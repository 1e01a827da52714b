/* bus.c - bus.h's consumers, readers and admin before the simulated brokers. Producers: producing.c. */
#include "doors.h"

#include <stdio.h>

#define RECORD_PAUSE   12 /* percent of the records that take a moment */
#define MOMENT_MS      4
#define SLOW_ANSWER_MS 400
#define LOADING_MS     400 /* at most, of a group whose coordinator answers already */
#define STAYS_PERCENT  30  /* of these: it never loads the rest */

/* ---- on the way to the brokers ----------------------------------------------------------------------------- */

int bus_reach(int timeout_ms)
{
    int64_t left = sim->kafka_away_ms - now_ms();

    if (!door(0, chance(50) ? 0 : MOMENT_MS))
        return -ERR_BUG;
    if (left <= 0)
        return 0;
    if (!doze(MIN_OF(left, (int64_t)timeout_ms)))
        return -ERR_BUG;
    return now_ms() < sim->kafka_away_ms ? -ERR_TIMEOUT : 0;
}

int64_t bus_clock_ms(void)
{
    return daemon_monotonic_ms();
}

bool bus_record_header(const struct bus_record *record, const char *name, struct str *ret)
{
    return record_header(record->handle, name, ret);
}

/* ---- reading: what consumers and readers share ---------------------------------------------------------------- */

struct place {
    bool open;
    int64_t next, said; /* said: the end that was told last */
};

struct places {
    struct topic *topic;
    struct place at[PARTITIONS_MAX];
};

static void places_set(struct places *ps, const struct bus_position *positions, size_t count)
{
    memset(ps->at, 0, sizeof(ps->at));
    for (size_t i = 0; i < count; i++) {
        CHECK(positions[i].partition < ps->topic->partition_count && positions[i].offset >= 0);
        ps->at[positions[i].partition] =
            (struct place){.open = true, .next = positions[i].offset, .said = -1};
    }
}

static bool out_of_range(struct places *ps, int32_t p, struct bus_input *ret)
{
    const struct partition *log = &ps->topic->partitions[p];
    struct place *place = &ps->at[p];

    if (place->next >= log->start && place->next <= log->end)
        return false;
    place->open = false;
    *ret =
        (struct bus_input){.kind = BUS_INPUT_OUT_OF_RANGE, .partition = p, .offset = place->next};
    return true;
}

static bool take_record(struct places *ps, int32_t p, struct bus_input *ret)
{
    struct place *place = &ps->at[p];
    const struct record *r = kafka_read(ps->topic, p, &place->next);

    if (!r)
        return false;
    *ret = (struct bus_input){.kind = BUS_INPUT_RECORD,
                              .partition = p,
                              .offset = place->next,
                              .record = {.topic = str_from(ps->topic->name.text),
                                         .partition = p,
                                         .offset = place->next,
                                         .time_ms = r->time_ms,
                                         .key = r->key,
                                         .value = r->value,
                                         .tombstone = r->tombstone,
                                         .handle = r}};
    place->next++;
    return true;
}

static bool take_end(struct places *ps, int32_t p, struct bus_input *ret)
{
    struct place *place = &ps->at[p];

    if (place->said == place->next)
        return false;
    place->said = place->next;
    *ret = (struct bus_input){.kind = BUS_INPUT_END, .partition = p, .offset = place->next};
    return true;
}

/* Of any partition, beginning with a random one. */
static bool take_any(struct places *ps, struct bus_input *ret)
{
    int32_t count = ps->topic->partition_count, first = (int32_t)between(0, count - 1);

    for (int32_t i = 0; i < count; i++) {
        int32_t p = (first + i) % count;

        if (ps->at[p].open &&
            (out_of_range(ps, p, ret) || take_record(ps, p, ret) || take_end(ps, p, ret)))
            return true;
    }
    return false;
}

/* Something now, or at the end of the time. */
static int poll_places(struct places *ps, int timeout_ms, struct bus_input *ret)
{
    int64_t pause_ms = chance(RECORD_PAUSE) ? 1 : 0;

    if (!door(0, pause_ms))
        return -ERR_BUG;
    if (now_ms() >= sim->kafka_away_ms && take_any(ps, ret))
        return 0;
    if (timeout_ms > 0 && !doze(between(1, MAX_OF((int64_t)timeout_ms, sim->idle_ms))))
        return -ERR_BUG;
    if (timeout_ms > 0 && now_ms() >= sim->kafka_away_ms)
        (void)take_any(ps, ret);
    return 0;
}

/* ---- consumer -------------------------------------------------------------------------------------------------- */

struct bus_consumer {
    struct process *process;
    struct group *group;
    struct str instance;
    uint64_t member; /* 0: has not joined */
    int64_t generation;
    bool shut_out;
    bool holds; /* partitions were given, and not given back */
    enum bus_input_kind rebalance;
    int32_t partitions[PARTITIONS_MAX]; /* of the assignment to be told */
    struct bus_position given[PARTITIONS_MAX];
    size_t given_count;
    bool reads; /* assigned already: never again (lib/bus/stage.c) */
    struct places places;
};

void consumer_revoke(struct bus_consumer *c)
{
    c->rebalance = c->holds ? BUS_INPUT_REVOKED : BUS_INPUT_NONE;
}

void consumer_shut_out(struct bus_consumer *c)
{
    c->shut_out = true;
}

void consumer_assign(struct bus_consumer *c, const int32_t *partitions, size_t count)
{
    c->generation = c->group->generation;
    c->given_count = count;
    for (size_t i = 0; i < count; i++)
        c->partitions[i] = partitions[i];
    c->rebalance = BUS_INPUT_ASSIGNED;
}

bool consumer_holds_nothing(const struct bus_consumer *c)
{
    return !c->holds;
}

bool consumer_alive(const struct bus_consumer *c)
{
    return process_awake(c->process);
}

int bus_consumer_open(const struct bus_settings *settings, const char *topic, const char *group,
                      struct bus_consumer **ret, struct why *reterr_why)
{
    struct topic *t = kafka_topic(topic);
    struct bus_consumer *c;

    (void)reterr_why;
    if (!door(0, MOMENT_MS))
        return -ERR_BUG;
    CHECK(t);
    c = calloc(1, sizeof(*c));
    CHECK(c);
    *c = (struct bus_consumer){.process = sim->current,
                               .group = group_find(group, t),
                               .instance = keep_str(settings->instance),
                               .places = {.topic = t}};
    *ret = c;
    return 0;
}

/* A static member does not say that it leaves. */
void bus_consumer_close(struct bus_consumer *c)
{
    struct member *m = c ? member_find(c->group, c->member) : NULL;

    if (m)
        m->consumer = NULL;
    free(c);
}

static bool offsets_settled(const struct bus_consumer *c)
{
    for (size_t i = 0; i < c->given_count; i++)
        if (transaction_holds(c->group, c->partitions[i]))
            return false;
    return true;
}

/* What the coordinator has not loaded it does not know: neither the last offsets nor who holds some of them open. */
static bool forgets(struct group *g)
{
    if (!fault(sim->faults.loading))
        return false;
    g->loaded_ms = now_ms() + between(1, LOADING_MS);
    trace("group " STR_FMT ": its coordinator has yet to load it", STR_ARG(g->name));
    if (chance(STAYS_PERCENT))
        group_falls_back(g);
    return true;
}

/* Committed offsets are told when no transaction holds them any more. */
static int tell_assignment(struct bus_consumer *c, struct bus_input *ret)
{
    int64_t until = now_ms() + BUS_CALL_TIMEOUT_MS;

    while (now_ms() < sim->kafka_away_ms || !(forgets(c->group) || offsets_settled(c))) {
        if (now_ms() >= until)
            return -ERR_UNAVAILABLE;
        if (!doze(between(1, 60)))
            return -ERR_BUG;
        if (c->rebalance != BUS_INPUT_ASSIGNED)
            return 0;
    }
    for (size_t i = 0; i < c->given_count; i++)
        c->given[i] =
            (struct bus_position){c->partitions[i], group_stands(c->group, c->partitions[i])};
    c->rebalance = BUS_INPUT_NONE;
    c->holds = true;
    trace("group " STR_FMT ": " STR_FMT " is given %zu partitions", STR_ARG(c->group->name),
          STR_ARG(c->instance), c->given_count);
    *ret = (struct bus_input){
        .kind = BUS_INPUT_ASSIGNED, .positions = c->given, .position_count = c->given_count};
    return door(0, 1) ? 0 : -ERR_BUG;
}

/* Where it stands in its group. */
static void look_at_group(struct bus_consumer *c)
{
    if (member_find(c->group, c->member) || now_ms() < sim->kafka_away_ms)
        return;
    if (c->holds)
        c->rebalance = BUS_INPUT_LOST;
    else if (c->rebalance == BUS_INPUT_NONE) /* what came before is told first */
        c->member = group_join(c->group, c->instance, c);
}

int bus_consumer_poll(struct bus_consumer *c, int timeout_ms, struct bus_input *ret)
{
    *ret = (struct bus_input){.kind = BUS_INPUT_NONE};
    if (!door(0, 0))
        return -ERR_BUG;
    if (c->shut_out)
        return -ERR_FENCED;
    look_at_group(c);
    if (c->rebalance == BUS_INPUT_ASSIGNED)
        return tell_assignment(c, ret);
    if (c->rebalance != BUS_INPUT_NONE) {
        if (chance(40) && now_ms() >= sim->kafka_away_ms && take_any(&c->places, ret))
            return 0; /* was on its way already */
        ret->kind = c->rebalance;
        c->rebalance = BUS_INPUT_NONE;
        trace("group " STR_FMT ": " STR_FMT " has to give its partitions back",
              STR_ARG(c->group->name), STR_ARG(c->instance));
        return 0;
    }
    return poll_places(&c->places, timeout_ms, ret);
}

int bus_consumer_assign(struct bus_consumer *c, const struct bus_position *positions, size_t count)
{
    if (!door(0, 0))
        return -ERR_BUG;
    if (c->reads)
        fail("a consumer is assigned again before it gave its partitions back");
    c->reads = true;
    places_set(&c->places, positions, count);
    return 0;
}

int bus_consumer_unassign(struct bus_consumer *c)
{
    struct member *m;

    if (!door(0, 0))
        return -ERR_BUG;
    c->reads = c->holds = false;
    places_set(&c->places, NULL, 0);
    m = member_find(c->group, c->member);
    if (m)
        group_joined(c->group, m);
    return 0;
}

bool consumer_may_commit(const struct bus_consumer *c)
{
    return !c->shut_out && member_find(c->group, c->member) &&
           c->generation == c->group->generation && now_ms() >= c->group->loaded_ms;
}

struct group *consumer_group(const struct bus_consumer *c)
{
    return c->group;
}

int bus_consumer_commit(struct bus_consumer *c, const struct bus_position *positions, size_t count,
                        bool wait)
{
    int r = wait ? bus_reach(BUS_CALL_TIMEOUT_MS) : door(0, 0) ? 0 : -ERR_BUG;

    if (r < 0)
        return r;
    if (now_ms() < sim->kafka_away_ms || !consumer_may_commit(c))
        return wait ? -ERR_UNAVAILABLE : 0;
    for (size_t i = 0; i < count; i++)
        group_commit(c->group, &positions[i]);
    return 0;
}

int64_t bus_consumer_end(const struct bus_consumer *c, int32_t partition)
{
    return c->places.topic->partitions[partition].stable;
}

int bus_consumer_wake_fd(struct bus_consumer *c)
{
    (void)c;
    return -1;
}

void bus_wake_drain(int fd)
{
    (void)fd;
}

/* ---- reader ---------------------------------------------------------------------------------------------------- */

struct bus_reader {
    struct places places;
};

int bus_reader_open(const struct bus_settings *settings, const char *topic, bool committed,
                    const struct bus_position *positions, size_t count, struct bus_reader **ret,
                    struct why *reterr_why)
{
    struct bus_reader *reader;

    (void)settings, (void)reterr_why;
    CHECK(committed);
    if (!door(0, MOMENT_MS))
        return -ERR_BUG;
    reader = calloc(1, sizeof(*reader));
    CHECK(reader);
    reader->places.topic = kafka_topic(topic);
    CHECK(reader->places.topic);
    places_set(&reader->places, positions, count);
    *ret = reader;
    return 0;
}

void bus_reader_close(struct bus_reader *reader)
{
    free(reader);
}

int bus_reader_poll(struct bus_reader *reader, int timeout_ms, struct bus_input *ret)
{
    *ret = (struct bus_input){.kind = BUS_INPUT_NONE};
    return poll_places(&reader->places, timeout_ms, ret);
}

int bus_reader_seek(struct bus_reader *reader, const struct bus_position *positions, size_t count)
{
    if (!door(0, 0))
        return -ERR_BUG;
    places_set(&reader->places, positions, count);
    return 0;
}

/* ---- admin ----------------------------------------------------------------------------------------------------- */

struct bus_admin {
    int nothing;
};

int bus_admin_open(const struct bus_settings *settings, struct bus_admin **ret,
                   struct why *reterr_why)
{
    (void)settings, (void)reterr_why;
    if (!door(0, 0))
        return -ERR_BUG;
    *ret = calloc(1, sizeof(**ret));
    CHECK(*ret);
    return 0;
}

void bus_admin_close(struct bus_admin *admin)
{
    free(admin);
}

static int ask_brokers(void)
{
    int r = bus_reach(BUS_CALL_TIMEOUT_MS);

    if (r < 0 || !fault(sim->faults.no_answer))
        return r;
    return doze(BUS_CALL_TIMEOUT_MS) ? -ERR_TIMEOUT : -ERR_BUG;
}

int bus_admin_partitions(struct bus_admin *admin, const char *topic, int32_t *ret_count,
                         struct why *reterr_why)
{
    const struct topic *t = kafka_topic(topic);
    int r = ask_brokers();

    (void)admin;
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    if (!t)
        return -ERR_NOT_FOUND;
    *ret_count = t->partition_count;
    return door(0, fault(sim->faults.slow_marker) ? SLOW_ANSWER_MS : MOMENT_MS) ? 0 : -ERR_BUG;
}

int bus_admin_create(struct bus_admin *admin, const char *topic, int partitions, int replication,
                     const struct topic_settings *settings, struct why *reterr_why)
{
    struct topic_name name;
    int r = bus_reach(BUS_CALL_TIMEOUT_MS);

    (void)admin, (void)replication, (void)settings;
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    if (kafka_topic(topic))
        return -ERR_EXISTS;
    (void)snprintf(name.text, sizeof(name.text), "%s", topic);
    kafka_make(name, partitions)->generation = STR(""); /* `control` will tell */
    return door(0, MOMENT_MS) ? 0 : -ERR_BUG;
}

int bus_admin_grow(struct bus_admin *admin, const char *topic, int count, struct why *reterr_why)
{
    struct topic *t = kafka_topic(topic);
    int r = bus_reach(BUS_CALL_TIMEOUT_MS);

    (void)admin;
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    if (t->partition_count < count)
        kafka_grow(t, count);
    return door(0, MOMENT_MS) ? 0 : -ERR_BUG;
}

int bus_admin_watermarks(struct bus_admin *admin, const char *topic, int32_t partition,
                         int64_t *ret_low, int64_t *ret_high, struct why *reterr_why)
{
    const struct topic *t = kafka_topic(topic);
    int r = ask_brokers();

    (void)admin;
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    *ret_low = t->partitions[partition].start;
    *ret_high = t->partitions[partition].end;
    return door(0, MOMENT_MS) ? 0 : -ERR_BUG;
}

int bus_admin_committed(struct bus_admin *admin, const char *group, const char *topic,
                        int32_t count, int64_t *ret_offsets, struct why *reterr_why)
{
    const struct group *g = group_find(group, kafka_topic(topic));
    int r = ask_brokers();

    (void)admin;
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    for (int32_t p = 0; p < count; p++)
        ret_offsets[p] = group_stands(g, p);
    return door(0, MOMENT_MS) ? 0 : -ERR_BUG;
}
