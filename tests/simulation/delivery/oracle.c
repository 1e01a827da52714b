/* oracle.c - what must be true of the buckets, said by somebody who has never seen the core. */
#include "sim.h"

/* Of a topic that is gone: whoever still writes to it harms nobody. */
static bool gone(const struct sim *sim, const char *id)
{
    for (size_t i = 0; i < sim->gone_count; i++)
        if (strcmp(sim->gone[i], id) == 0)
            return true;
    return false;
}

static struct chain *chain_find(struct sim *sim, const char *id, int32_t partition)
{
    for (size_t i = 0; i < sim->chain_count; i++)
        if (sim->chains[i].partition == partition && strcmp(sim->chains[i].id, id) == 0)
            return &sim->chains[i];
    for (int t = 0; t < sim->trail_count; t++)
        for (int64_t d = 1; d <= sim->trails[t].destination_count; d++) {
            int64_t origin = trails_origin(sim, t, d, partition);

            if (strcmp(sim->trails[t].destinations[d - 1].chain, id) != 0 || origin < 0)
                continue;
            SIM_GROW(sim->chains, sim->chain_count, sim->chain_cap);
            sim->chains[sim->chain_count] = (struct chain){
                .trail = t, .destination = d, .partition = partition, .origin = origin};
            memcpy(sim->chains[sim->chain_count].id, id, TRAIL_CHAIN_SIZE);
            return &sim->chains[sim->chain_count++];
        }
    sim_fail(sim, "chain %s/%d is nobody's", id, partition);
}

static bool was_lost(const struct chain *c, int64_t offset)
{
    for (size_t i = 0; i < c->lost_count; i++)
        if (offset >= c->lost[i].from && offset < c->lost[i].to)
            return true;
    return false;
}

static bool belongs(const struct sim *sim, const struct chain *c, int64_t offset)
{
    return trails_expect(sim, c->trail, c->partition, offset) == c->destination;
}

/* ---- counts ------------------------------------------------------------------------------------------------ */

/* Events meant for delivery in [origin, offset) that the trail does not want. Whoever found the log's start behind some
 * of them has not seen those. */
static void check_counts(const struct sim *sim, const struct chain *c, const char *where,
                         int64_t boundary, int64_t offset, const struct account_counts *counts)
{
    int64_t delivered = 0, most = 0, least = 0;

    for (size_t i = 0; i < c->count && c->objects[i]->meta.next <= boundary; i++)
        delivered += c->objects[i]->meta.count;
    for (int64_t o = c->origin; o < offset; o++) {
        const struct entry *e = log_at(sim, c->partition, o);
        bool seen = e->state == ENTRY_COMMITTED && !e->for_history_only &&
                    (e->kind == ENTRY_EVENT || (e->kind == ENTRY_CHANGE && e->with_event)) &&
                    e->account == sim->trails[c->trail].account && !belongs(sim, c, o);

        most += seen;
        least += seen && !was_lost(c, o);
    }
    if (counts->since != c->origin || counts->delivered != delivered || counts->filtered > most ||
        counts->filtered < least)
        sim_fail(sim,
                 "%s of %s/%d at %lld, %lld: counts %lld delivered, %lld filtered since %lld, not "
                 "%lld and %lld to %lld since %lld",
                 where, c->id, c->partition, (long long)boundary, (long long)offset,
                 (long long)counts->delivered, (long long)counts->filtered,
                 (long long)counts->since, (long long)delivered, (long long)least, (long long)most,
                 (long long)c->origin);
}

static int64_t tail(const struct chain *c)
{
    return c->count ? c->objects[c->count - 1]->meta.next : c->origin;
}

/* ---- before a request is sent ----------------------------------------------------------------------------- */

/* The documents are the log's, byte for byte. */
void oracle_put(struct sim *sim, const struct delivery_effect *e)
{
    char document[DOCUMENT_MAX];
    struct event event;

    for (int64_t i = 0; i < e->meta.count; i++) {
        const struct delivery_record *r = e->records[i];
        const struct entry *entry = log_at(sim, e->partition, r->offset);

        log_event(e->partition, r->offset, entry, &event, document);
        if (r->time_ms != entry->time_ms || !str_eq(event.document, str_of(r->document, r->len)))
            sim_fail(sim, "%d/%lld is not what the log says", e->partition, (long long)r->offset);
    }
    if (e->first_time_ms != log_at(sim, e->partition, e->meta.first)->time_ms)
        sim_fail(sim, "a key's date is not that of its first record");
}

/* ---- rule 18 ----------------------------------------------------------------------------------------------- */

/* Exactly what the chain's settings want lies in it: nothing else, nothing twice, and nothing is left out but what was
 * announced as lost. */
static void check_contents(const struct sim *sim, const struct chain *c, const struct object *o)
{
    const struct delivery_meta *m = &o->meta;
    int64_t n = 0;

    for (int64_t offset = m->from; offset < m->next; offset++) {
        bool inside = n < m->count && o->offsets[n] == offset;

        if (inside && !belongs(sim, c, offset))
            sim_fail(sim, "object %s has %d/%lld, which is not its chain's", o->key, c->partition,
                     (long long)offset);
        if (!inside && belongs(sim, c, offset) && !was_lost(c, offset))
            sim_fail(sim, "object %s leaves %d/%lld out", o->key, c->partition, (long long)offset);
        n += inside;
    }
    if (n != m->count || o->offsets[0] != m->first || o->offsets[n - 1] != m->last)
        sim_fail(sim, "object %s: its metadata and its documents do not agree", o->key);
}

void oracle_created(struct sim *sim, struct object *o)
{
    const struct delivery_meta *m = &o->meta;
    const struct sim_trail *t;
    struct chain *c;

    if (gone(sim, m->chain))
        return;
    c = chain_find(sim, m->chain, m->partition);
    t = &sim->trails[c->trail];
    sim_trace(sim, "object %s in bucket %d: from %lld next %lld, %lld documents", o->key, o->bucket,
              (long long)m->from, (long long)m->next, (long long)m->count);
    if (t->destinations[c->destination - 1].bucket != o->bucket)
        sim_fail(sim, "object %s lies in the wrong bucket", o->key);
    if (m->from != tail(c))
        sim_fail(sim, "object %s begins at %lld, but the one before ended at %lld", o->key,
                 (long long)m->from, (long long)tail(c));
    if (m->count <= 0 || m->first < m->from || m->last < m->first || m->next <= m->last)
        sim_fail(sim, "object %s contradicts itself", o->key);
    if (m->next > log_stable(&sim->logs[m->partition]) ||
        m->next > trails_chain_end(sim, c->trail, c->destination, c->partition))
        sim_fail(sim, "object %s goes on to %lld, beyond the log or its chain", o->key,
                 (long long)m->next);
    if (m->version != trails_version_at(sim, c->trail, c->partition, m->first))
        sim_fail(sim, "object %s names version %lld", o->key, (long long)m->version);
    check_contents(sim, c, o);
    for (int64_t i = 0; i < m->count; i++)
        sim->logs[m->partition].entries[o->offsets[i]].stored_ms = sim->now_ms;
    SIM_GROW(c->objects, c->count, c->cap);
    c->objects[c->count++] = o;
    check_counts(sim, c, o->key, m->next, m->next, &m->total);
}

/* ---- rules 6 and 17 ------------------------------------------------------------------------------------------- */

static struct chain *chain_of(struct sim *sim, const struct delivery_effect *e)
{
    char id[TRAIL_CHAIN_SIZE] = {0};

    memcpy(id, e->chain.at, MIN_OF(e->chain.len, sizeof(id) - 1));
    return chain_find(sim, id, e->partition);
}

static void check_account(struct sim *sim, const struct delivery_effect *e, const char *where,
                          int64_t cursor)
{
    const struct chain *c = chain_of(sim, e);
    struct account_counts at_cursor = e->counts.settled;

    check_counts(sim, c, where, e->boundary, e->boundary, &e->counts.settled);
    at_cursor.filtered = e->counts.filtered;
    check_counts(sim, c, where, e->boundary, cursor, &at_cursor);
}

void oracle_progress(struct sim *sim, const struct delivery_effect *e)
{
    const struct chain *c = chain_of(sim, e);
    bool boundary = e->boundary == c->origin;

    for (size_t i = 0; i < c->count; i++)
        boundary |= c->objects[i]->meta.next == e->boundary;
    if (!boundary)
        sim_fail(sim, "progress of %s/%d: %lld is no boundary", c->id, c->partition,
                 (long long)e->boundary);
    if (e->clear < e->boundary || e->clear > sim->logs[c->partition].end)
        sim_fail(sim, "progress of %s/%d: clear %lld is out of place", c->id, c->partition,
                 (long long)e->clear);
    for (int64_t o = e->boundary; o < e->clear; o++)
        if (belongs(sim, c, o) && !was_lost(c, o))
            sim_fail(sim, "progress of %s/%d passes over %lld", c->id, c->partition, (long long)o);
    check_account(sim, e, "progress", e->clear);
}

void oracle_shown(struct sim *sim, const struct delivery_effect *e)
{
    check_account(sim, e, "what is shown", e->offset);
}

void oracle_lost(struct sim *sim, const struct delivery_effect *e)
{
    struct chain *c = chain_of(sim, e);

    if (e->offset >= e->to || e->to > sim->logs[e->partition].start)
        sim_fail(sim, "chain %s/%d: %lld to %lld announced as lost, but the log starts at %lld",
                 c->id, c->partition, (long long)e->offset, (long long)e->to,
                 (long long)sim->logs[e->partition].start);
    SIM_GROW(c->lost, c->lost_count, c->lost_cap);
    c->lost[c->lost_count].from = e->offset;
    c->lost[c->lost_count++].to = e->to;
    sim->lost_offsets += (uint64_t)(e->to - e->offset);
}

/* ---- at the end -------------------------------------------------------------------------------------------------- */

static int64_t documents(const struct sim *sim, int trail, int32_t partition, int64_t offset)
{
    int64_t found = 0;

    for (int64_t d = 1; d <= sim->trails[trail].destination_count; d++) {
        const char *id = sim->trails[trail].destinations[d - 1].chain;

        for (size_t b = 0; b < BUCKETS; b++)
            for (size_t i = 0; i < sim->buckets[b].count; i++) {
                const struct object *o = sim->buckets[b].objects[i];

                if (o->meta.partition != partition || strcmp(o->meta.chain, id) != 0 ||
                    offset < o->meta.first || offset > o->meta.last)
                    continue;
                for (int64_t n = 0; n < o->meta.count; n++)
                    found += o->offsets[n] == offset;
            }
    }
    return found;
}

/* Whether the event at `offset` of a trail that wants it was announced as lost. */
static bool excused(struct sim *sim, int trail, int64_t destination, int32_t partition,
                    int64_t offset)
{
    return was_lost(
        chain_find(sim, sim->trails[trail].destinations[destination - 1].chain, partition), offset);
}

/* Whoever comes next finds each living stream's progress, whatever Redis has lost meanwhile. */
static bool progress_is_kept(const struct sim *sim, int trail, int32_t partition)
{
    const struct sim_trail *t = &sim->trails[trail];

    for (int64_t d = 1; d <= t->destination_count; d++)
        if (trails_origin(sim, trail, d, partition) >= 0 &&
            trails_chain_end(sim, trail, d, partition) == INT64_MAX &&
            !redis_knows(sim, t->destinations[d - 1].chain, partition))
            return false;
    return true;
}

bool oracle_complete(struct sim *sim)
{
    for (int t = 0; t < sim->trail_count; t++)
        for (int32_t p = 0; p < sim->partition_count; p++)
            if (!progress_is_kept(sim, t, p))
                return false;
    for (int t = 0; t < sim->trail_count; t++)
        for (int32_t p = 0; p < sim->partition_count; p++)
            for (int64_t o = 0; o < sim->logs[p].end; o++) {
                int64_t destination = trails_expect(sim, t, p, o);

                if (destination && documents(sim, t, p, o) == 0 &&
                    !excused(sim, t, destination, p, o))
                    return false;
            }
    return true;
}

void oracle_final(struct sim *sim)
{
    for (int t = 0; t < sim->trail_count; t++)
        for (int32_t p = 0; p < sim->partition_count; p++)
            for (int64_t o = 0; o < sim->logs[p].end; o++) {
                int64_t destination = trails_expect(sim, t, p, o);
                int64_t found = documents(sim, t, p, o);

                if (found == (destination != 0) ||
                    (destination && found == 0 && excused(sim, t, destination, p, o)))
                    continue;
                sim_fail(sim, "%d/%lld is in %lld objects of trail %d, expected in %d", p,
                         (long long)o, (long long)found, t, destination != 0);
            }
}

void oracle_free(struct sim *sim)
{
    for (size_t i = 0; i < sim->chain_count; i++) {
        free(sim->chains[i].objects);
        free(sim->chains[i].lost);
    }
    free(sim->chains);
}
