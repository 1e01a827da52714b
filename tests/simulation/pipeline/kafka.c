/* kafka.c - the brokers' logs and transactions. Markers come piece by piece, some time after the decision, as real ones do. */
#include <stdio.h>

#include "kafka.h"

#define MARKER_MS      15
#define SLOW_MARKER_MS 2500
#define TICK_MS        40

static struct kafka *brokers(void)
{
    return sim->kafka;
}

void kafka_new(void)
{
    sim->kafka = keep(sizeof(*sim->kafka));
}

/* ---- logs ------------------------------------------------------------------------------------------------ */

struct topic *kafka_make(struct topic_name name, int32_t partitions)
{
    struct kafka *k = brokers();
    struct topic *t = &k->topics[k->topic_count++];
    char generation[40];

    CHECK(k->topic_count <= TOPICS_MAX && partitions <= PARTITIONS_MAX);
    t->name = name;
    t->partition_count = t->first_count = partitions;
    t->grown_ms = -1;
    t->made_ms = now_ms();
    (void)snprintf(generation, sizeof(generation), "6d1f0a52-5f0e-4b0e-9a51-0a4a3f6f3c%02zu",
                   k->topic_count);
    for (size_t i = 0; i + 1 < k->topic_count; i++)
        t->anew |= strcmp(k->topics[i].name.text, name.text) == 0;
    t->generation = keep_str(str_from(generation));
    groups_meet(t);
    return t;
}

void kafka_delete(struct topic *t)
{
    CHECK(!t->gone);
    t->gone = true;
    t->gone_ms = now_ms();
    groups_forget(t);
    trace("%s is deleted", t->name.text);
}

void kafka_grow(struct topic *t, int32_t partitions)
{
    CHECK(partitions > t->partition_count && partitions <= PARTITIONS_MAX);
    t->partition_count = partitions;
    t->grown_ms = now_ms();
    trace("%s has %d partitions now", t->name.text, partitions);
}

struct topic *kafka_topic(const char *name)
{
    struct kafka *k = brokers();

    for (size_t i = 0; i < k->topic_count; i++)
        if (!k->topics[i].gone && strcmp(k->topics[i].name.text, name) == 0)
            return &k->topics[i];
    return NULL;
}

static void grow(struct partition *p)
{
    struct record *more;

    if (p->end < p->cap)
        return;
    p->cap = p->cap ? 2 * p->cap : 64;
    more = keep((size_t)p->cap * sizeof(*more));
    if (p->end)
        memcpy(more, p->records, (size_t)p->end * sizeof(*more));
    p->records = more;
}

static void advance(struct partition *p)
{
    while (p->stable < p->end && p->records[p->stable].state != RECORD_OPEN)
        p->stable++;
}

static struct record *append(struct partition *p)
{
    struct record *record;

    grow(p);
    record = &p->records[p->end++];
    *record = (struct record){.time_ms = broker_now_ms(), .appended_ms = now_ms()};
    return record;
}

static void touch(struct transaction *t, struct topic *topic, int32_t partition)
{
    for (size_t i = 0; i < t->touched_count; i++)
        if (t->touched[i].topic == topic && t->touched[i].partition == partition)
            return;
    CHECK(t->touched_count < TOUCHED_MAX);
    t->touched[t->touched_count].topic = topic;
    t->touched[t->touched_count++].partition = partition;
}

int64_t kafka_append(struct topic *topic, int32_t partition, struct str key, struct str value,
                     const struct bus_header *headers, size_t header_count, struct transaction *t)
{
    struct partition *p = &topic->partitions[partition];
    struct record *record = append(p);

    CHECK(partition < topic->partition_count && header_count <= HEADERS_MAX);
    record->state = t ? RECORD_OPEN : RECORD_COMMITTED;
    record->transaction = t;
    record->key = keep_str(key);
    record->value = keep_str(value);
    record->tombstone = value.at == NULL;
    record->header_count = header_count;
    for (size_t i = 0; i < header_count; i++)
        record->headers[i] =
            (struct bus_header){keep_str(str_from(headers[i].name)).at, keep_str(headers[i].value)};
    if (t)
        touch(t, topic, partition);
    advance(p);
    return p->end - 1;
}

const struct record *kafka_read(struct topic *topic, int32_t partition, int64_t *position)
{
    struct partition *p = &topic->partitions[partition];

    for (; *position < p->stable; (*position)++)
        if (p->records[*position].state == RECORD_COMMITTED)
            return &p->records[*position];
    return NULL;
}

void kafka_retain(struct topic *topic, int32_t partition, int64_t start)
{
    struct partition *p = &topic->partitions[partition];

    p->start = MAX_OF(p->start, MIN_OF(start, p->stable));
}

bool record_header(const struct record *record, const char *name, struct str *ret)
{
    for (size_t i = record->header_count; i > 0; i--) {
        if (strcmp(record->headers[i - 1].name, name) != 0)
            continue;
        *ret = record->headers[i - 1].value;
        return true;
    }
    return false;
}

/* ---- transactions ------------------------------------------------------------------------------------------ */

struct transaction *transaction_find(struct str id, int64_t timeout_ms)
{
    struct kafka *k = brokers();
    struct transaction *t;

    for (size_t i = 0; i < k->transaction_count; i++)
        if (str_eq(k->transactions[i].id, id))
            return &k->transactions[i];
    CHECK(k->transaction_count < TRANSACTIONS_MAX);
    t = &k->transactions[k->transaction_count++];
    *t = (struct transaction){.id = keep_str(id), .timeout_ms = timeout_ms};
    return t;
}

void transaction_end(struct transaction *t, bool commit)
{
    CHECK(t->state == TRANSACTION_ONGOING);
    t->state = commit ? TRANSACTION_COMMITTING : TRANSACTION_ABORTING;
    t->committed = commit;
    t->marker_ms =
        now_ms() + between(0, fault(sim->faults.slow_marker) ? SLOW_MARKER_MS : MARKER_MS);
    trace("brokers: " STR_FMT " epoch %lld: %s", STR_ARG(t->id), (long long)t->epoch,
          commit ? "commits" : "aborts");
}

static void mark(struct transaction *t, size_t i)
{
    struct partition *p = &t->touched[i].topic->partitions[t->touched[i].partition];

    for (int64_t o = p->stable; o < p->end; o++)
        if (p->records[o].state == RECORD_OPEN && p->records[o].transaction == t)
            p->records[o].state = t->committed ? RECORD_COMMITTED : RECORD_ABORTED;
    append(p)->state = RECORD_MARKER;
    advance(p);
    t->touched[i] = t->touched[--t->touched_count];
}

static void settle_offsets(struct transaction *t)
{
    for (size_t i = 0; t->committed && i < t->offset_count; i++)
        group_commit(t->group, &t->offsets[i]);
    t->offset_count = 0;
    t->group = NULL;
}

/* One more marker: of a partition, or of the group's offsets. */
static void mark_one(struct transaction *t)
{
    int64_t which = between(0, (int64_t)t->touched_count - (t->group ? 0 : 1));

    if (t->touched_count && which < (int64_t)t->touched_count)
        mark(t, (size_t)which);
    else if (t->group)
        settle_offsets(t);
    if (t->touched_count == 0 && !t->group)
        t->state = TRANSACTION_NONE;
}

static bool is_ending(const struct transaction *t)
{
    return t->state == TRANSACTION_COMMITTING || t->state == TRANSACTION_ABORTING;
}

void transaction_settle(struct transaction *t)
{
    while (is_ending(t)) {
        if (t->touched_count == 0 && !t->group)
            t->state = TRANSACTION_NONE;
        else
            mark_one(t);
    }
}

bool transaction_take(struct transaction *t)
{
    if (t->state == TRANSACTION_ONGOING) {
        t->epoch++;
        transaction_end(t, false);
    }
    if (is_ending(t))
        return false;
    t->epoch++;
    return true;
}

bool transaction_holds(const struct group *group, int32_t partition)
{
    struct kafka *k = brokers();

    for (size_t i = 0; i < k->transaction_count; i++) {
        const struct transaction *t = &k->transactions[i];

        if (t->group != group || t->state == TRANSACTION_NONE)
            continue;
        for (size_t j = 0; j < t->offset_count; j++)
            if (t->offsets[j].partition == partition)
                return true;
    }
    return false;
}

static void tick_transaction(struct transaction *t)
{
    if (t->state == TRANSACTION_ONGOING && now_ms() - t->began_ms > t->timeout_ms) {
        t->epoch++; /* its producer is shut out */
        transaction_end(t, false);
    }
    while (is_ending(t) && t->marker_ms <= now_ms()) {
        if (t->touched_count == 0 && !t->group)
            t->state = TRANSACTION_NONE;
        else
            mark_one(t);
        t->marker_ms += between(0, MARKER_MS);
    }
}

void kafka_tick(void)
{
    struct kafka *k = brokers();

    if (now_ms() < sim->kafka_away_ms)
        return;
    for (size_t i = 0; i < k->transaction_count; i++)
        tick_transaction(&k->transactions[i]);
    if (now_ms() < k->tick_ms)
        return;
    k->tick_ms = now_ms() + TICK_MS;
    groups_tick();
}
