/* store.c - buckets that keep what create-only promises, and nothing else. */
#include <inttypes.h>
#include <stdio.h>

#include "sim.h"

static int bucket_of(struct str name)
{
    for (int b = 0; b < BUCKETS; b++)
        if (str_eq(trails_bucket_name(b), name))
            return b;
    CHECK(false);
}

/* Rule 9: of the first record and the chain, and of nothing else. */
static void key_of(int32_t partition, int64_t first, int64_t first_time_ms, const char *chain,
                   char ret[160])
{
    char time[TIME_TEXT_SIZE];

    time_format(first_time_ms / 1000, time);
    (void)snprintf(ret, 160, "%s_%" PRId32 "_%020" PRId64 "_%s.gz", time, partition, first, chain);
}

static struct object *object_find(const struct bucket *bucket, const char *key)
{
    for (size_t i = 0; i < bucket->count; i++)
        if (strcmp(bucket->objects[i]->key, key) == 0)
            return bucket->objects[i];
    return NULL;
}

static void object_free(struct object *object)
{
    free(object->offsets);
    free(object);
}

static struct object *object_new(const struct delivery_effect *e)
{
    struct object *object = calloc(1, sizeof(*object));

    CHECK(object);
    object->bucket = bucket_of(e->bucket);
    object->meta = e->meta;
    object->first_time_ms = e->first_time_ms;
    object->offsets = calloc((size_t)e->meta.count, sizeof(int64_t));
    CHECK(object->offsets);
    for (int64_t i = 0; i < e->meta.count; i++)
        object->offsets[i] = e->records[i]->offset;
    key_of(e->partition, e->meta.first, e->first_time_ms, e->meta.chain, object->key);
    return object;
}

/* ---- calls ------------------------------------------------------------------------------------------- */

struct call *call_new(struct sim *sim, int worker, const struct delivery_effect *e)
{
    struct call *c = calloc(1, sizeof(*c));

    CHECK(c);
    *c = (struct call){.kind = e->kind,
                       .worker = worker,
                       .life = sim->workers[worker].life,
                       .stream = e->stream,
                       .partition = e->partition,
                       .first = e->meta.first,
                       .first_time_ms = e->first_time_ms,
                       .next = sim->calls};
    CHECK(e->chain.len < TRAIL_CHAIN_SIZE);
    memcpy(c->chain, e->chain.at, e->chain.len);
    sim->calls = c;
    return c;
}

static void call_free(struct call *c)
{
    if (c->owns_object)
        object_free(c->object);
    free(c);
}

/* The order among those of the same moment does not matter to anyone. */
void calls_arrive(struct sim *sim)
{
    struct call **at = &sim->calls;

    while (*at) {
        struct call *c = *at;

        if (!c->arrived && c->arrives_ms <= sim->now_ms) {
            c->arrived = true;
            if (c->kind == DELIVERY_READ_PROGRESS || c->kind == DELIVERY_WRITE_PROGRESS)
                redis_carry_out(sim, c);
            else
                store_carry_out(sim, c);
        }
        /* Nobody is left to be told, and nothing is left to happen. */
        if ((c->arrived || c->arrives_ms == INT64_MAX) &&
            (c->life != sim->workers[c->worker].life || c->answer_ms == INT64_MAX)) {
            *at = c->next;
            call_free(c);
        } else {
            at = &c->next;
        }
    }
}

void calls_free(struct sim *sim)
{
    for (struct call *c = sim->calls, *next; c; c = next) {
        next = c->next;
        call_free(c);
    }
}

/* ---- requests ------------------------------------------------------------------------------------------- */

/* When a request arrives and is answered; and the ways in which that goes wrong. */
static void fate(struct sim *sim, struct call *c)
{
    const struct faults *f = &sim->faults;
    int64_t now = sim->now_ms;

    c->arrives_ms = now + sim_between(sim, 0, 30);
    c->answer_ms = c->arrives_ms + sim_between(sim, 0, 30);
    if (sim->quiet)
        return;
    if (sim_chance(sim, f->slow)) {
        c->arrives_ms = now + sim_between(sim, 0, REQUEST_DEADLINE_MS);
        c->answer_ms = sim_between(sim, c->arrives_ms, now + REQUEST_DEADLINE_MS);
    }
    if (sim_chance(sim, f->refused)) { /* a 5xx: it never gets there */
        c->arrives_ms = INT64_MAX;
        c->outcome = DELIVERY_UNCLEAR;
    } else if (sim_chance(sim, f->lost_answer)) {
        c->silent = true;
        c->answer_ms = now + REQUEST_DEADLINE_MS;
    } else if (sim_chance(sim, f->late_put)) { /* carried out after we gave up */
        c->silent = true;
        c->answer_ms = now + REQUEST_DEADLINE_MS;
        c->arrives_ms = c->answer_ms + sim_between(sim, 0, REQUEST_LATE_MS);
    }
}

void store_begin(struct sim *sim, int worker, const struct delivery_effect *e)
{
    struct call *c = call_new(sim, worker, e);

    c->bucket = bucket_of(e->bucket);
    if (e->kind == DELIVERY_PUT) {
        c->object = object_new(e);
        c->owns_object = true;
    }
    fate(sim, c);
    if (c->silent)
        c->outcome = DELIVERY_UNCLEAR;
}

static bool conflicts(struct sim *sim, const struct call *c)
{
    for (const struct call *other = sim->calls; other; other = other->next)
        if (other != c && other->kind == DELIVERY_PUT && !other->arrived &&
            other->arrives_ms != INT64_MAX && strcmp(other->object->key, c->object->key) == 0)
            return !sim->quiet && sim_chance(sim, 30);
    return false;
}

static enum delivery_outcome put(struct sim *sim, struct call *c)
{
    struct bucket *bucket = &sim->buckets[c->bucket];
    struct object *object = c->object;

    if (object_find(bucket, object->key))
        return DELIVERY_EXISTS;
    if (conflicts(sim, c))
        return DELIVERY_UNCLEAR;
    object->created_ms = object->visible_ms = sim->now_ms;
    if (!sim->quiet && sim_chance(sim, sim->faults.hidden))
        object->visible_ms += sim_between(sim, 1, LISTING_LAG_MS);
    SIM_GROW(bucket->objects, bucket->count, bucket->cap);
    bucket->objects[bucket->count++] = object;
    c->owns_object = false;
    oracle_created(sim, object);
    return DELIVERY_OK;
}

static enum delivery_outcome head(struct sim *sim, struct call *c)
{
    char key[160];

    key_of(c->partition, c->first, c->first_time_ms, c->chain, key);
    c->object = object_find(&sim->buckets[c->bucket], key);
    if (!c->object)
        return DELIVERY_NOT_FOUND;
    if (!sim->quiet && sim_chance(sim, sim->faults.not_found))
        return DELIVERY_NOT_FOUND;
    return DELIVERY_OK;
}

static enum delivery_outcome list(struct sim *sim, struct call *c)
{
    const struct bucket *bucket = &sim->buckets[c->bucket];

    for (size_t i = 0; i < bucket->count; i++) {
        struct object *object = bucket->objects[i];

        if (strcmp(object->meta.chain, c->chain) == 0 && object->meta.partition == c->partition &&
            object->visible_ms <= sim->now_ms &&
            (!c->object || object->meta.first > c->object->meta.first))
            c->object = object;
    }
    return DELIVERY_OK;
}

void store_carry_out(struct sim *sim, struct call *c)
{
    enum delivery_outcome outcome = DELIVERY_OK;

    if (sim->buckets[c->bucket].state == BUCKET_REFUSING)
        outcome = DELIVERY_FAILED;
    else if (sim->buckets[c->bucket].state == BUCKET_MUTE)
        outcome = DELIVERY_UNCLEAR;
    else if (c->kind == DELIVERY_PUT)
        outcome = put(sim, c);
    else if (c->kind == DELIVERY_HEAD)
        outcome = head(sim, c);
    else if (c->kind == DELIVERY_LIST)
        outcome = list(sim, c);
    if (!c->silent)
        c->outcome = outcome;
    sim_trace(sim, "store %d: kind %d, chain %s, first %lld: outcome %d%s", c->bucket, c->kind,
              c->chain, (long long)c->first, outcome, c->silent ? ", and nobody is told" : "");
}

void store_free(struct sim *sim)
{
    for (size_t b = 0; b < BUCKETS; b++) {
        for (size_t i = 0; i < sim->buckets[b].count; i++)
            object_free(sim->buckets[b].objects[i]);
        free(sim->buckets[b].objects);
    }
}
