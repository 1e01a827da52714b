/* redis.c - progress, as unreliable as rule 17 allows: never ahead of what was written, but anything else. */
#include "sim.h"

static bool is_for(const struct progress *v, const struct call *c)
{
    return strcmp(v->chain, c->chain) == 0 && v->partition == c->partition;
}

bool redis_knows(const struct sim *sim, const char *chain, int32_t partition)
{
    for (size_t i = 0; i < sim->redis.count; i++)
        if (strcmp(sim->redis.values[i].chain, chain) == 0 &&
            sim->redis.values[i].partition == partition)
            return true;
    return false;
}

static bool redis_knows_stream(const struct sim *sim, const struct delivery_effect *e)
{
    char chain[TRAIL_CHAIN_SIZE] = {0};

    memcpy(chain, e->chain.at, MIN_OF(e->chain.len, sizeof(chain) - 1));
    return redis_knows(sim, chain, e->partition);
}

void redis_begin(struct sim *sim, int worker, const struct delivery_effect *effect)
{
    bool write = effect->kind == DELIVERY_WRITE_PROGRESS;
    struct call *c;

    if (write && !sim->quiet && sim_chance(sim, sim->faults.redis_lost)) {
        /* Refused, which the worker is told; or lost by a crash that left an older value. */
        if (!redis_knows_stream(sim, effect) || sim_chance(sim, 50))
            delivery_progress_lost(sim->workers[worker].core);
        return;
    }
    c = call_new(sim, worker, effect);
    c->boundary = effect->boundary;
    c->clear = effect->clear;
    c->counts = effect->counts;
    c->arrives_ms = sim->now_ms;
    if (!sim->quiet && sim_chance(sim, sim->faults.redis_late))
        c->arrives_ms += sim_between(sim, 1, 2000);
    c->answer_ms = write ? INT64_MAX : c->arrives_ms;
}

static void write_value(struct sim *sim, const struct call *c)
{
    struct redis *r = &sim->redis;

    for (size_t i = 0; i < r->count; i++)
        if (is_for(&r->values[i], c))
            r->values[i].current = false;
    SIM_GROW(r->values, r->count, r->cap);
    r->values[r->count] = (struct progress){.partition = c->partition,
                                            .boundary = c->boundary,
                                            .clear = c->clear,
                                            .counts = c->counts,
                                            .current = true};
    memcpy(r->values[r->count++].chain, c->chain, TRAIL_CHAIN_SIZE);
}

void redis_carry_out(struct sim *sim, struct call *c)
{
    bool old = !sim->quiet && sim_chance(sim, sim->faults.redis_old);

    if (c->kind == DELIVERY_WRITE_PROGRESS) {
        write_value(sim, c);
        return;
    }
    if (!sim->quiet && sim_chance(sim, sim->faults.redis_away))
        return;
    for (size_t i = 0; i < sim->redis.count; i++) {
        const struct progress *v = &sim->redis.values[i];

        if (!is_for(v, c) || !(v->current || old) || (old && c->known && sim_chance(sim, 50)))
            continue;
        c->known = true;
        c->boundary = v->boundary;
        c->clear = v->clear;
        c->counts = v->counts;
    }
}

void redis_empty(struct sim *sim)
{
    sim->redis.count = 0;
    sim->redis.emptied++;
    sim_trace(sim, "redis: emptied");
}

void redis_free(struct sim *sim)
{
    free(sim->redis.values);
}
