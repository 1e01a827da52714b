/* worker.c - what workers/delivery/delivering.c is in production: it feeds the core and carries its effects out. A worker
 * that was killed leaves its requests under way; one that sleeps, or has lost its partitions without knowing, goes on
 * as if nothing had happened. */
#include <stdio.h>

#include "sim.h"

static void die(struct sim *sim, struct sim_worker *w)
{
    delivery_free(w->core);
    trail_book_free(w->book);
    *w = (struct sim_worker){.life = ++sim->lives};
}

void worker_kill(struct sim *sim, int worker)
{
    sim_trace(sim, "worker %d: killed", worker);
    die(sim, &sim->workers[worker]);
}

/* First half of rule 3: what is ours, and where the group stands. */
static void join(struct sim *sim, int worker, int32_t left_out)
{
    struct sim_worker *w = &sim->workers[worker];

    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        struct sim_log *log = &sim->logs[p];

        if (!sim->quiet && sim_chance(sim, sim->faults.arbitrary_commit))
            log->committed = sim_between(sim, 0, log_stable(log)); /* rule 13: says nothing */
        w->owns[p] = p < sim->partition_count && (sim->partition_count == 1 || p != left_out);
        w->shared[p] = log->committed;
        w->late[p] = -1;
    }
    sim_trace(sim, "worker %d: starts at %lld, %lld", worker, (long long)w->shared[0],
              (long long)w->shared[1]);
}

void worker_start(struct sim *sim, int worker, bool all)
{
    struct sim_worker *w = &sim->workers[worker];

    CHECK(!w->alive);
    *w = (struct sim_worker){
        .alive = true, .life = ++sim->lives, .clock_ms = sim_between(sim, 0, 100000)};
    join(sim, worker, all ? -1 : (int32_t)sim_between(sim, 0, 2));
}

void worker_rejoin(struct sim *sim, int worker)
{
    struct sim_worker *w = &sim->workers[worker];

    delivery_free(w->core);
    w->core = NULL;
    w->draining = false;
    w->life = ++sim->lives;
    join(sim, worker, sim->quiet ? -1 : (int32_t)sim_between(sim, 0, 2));
}

bool worker_can_take(const struct sim *sim)
{
    for (size_t i = 0; i < sim->transaction_count; i++)
        if (sim->transactions[i].control_open)
            return false;
    return true;
}

static void read_control(struct sim *sim, struct sim_worker *w)
{
    for (; w->control_next < sim->change_count; w->control_next++) {
        const struct change *c = &sim->changes[w->control_next];
        struct trail_version *v = NULL;
        struct why why = {0};

        if (!c->entry)
            continue;
        if (trail_version_parse(str_from(c->entry), &v, &why) < 0 ||
            trail_book_add(w->book, v, &why) < 0)
            sim_fail(sim, "control cannot be read: %s", why.text);
    }
}

static void carry_out(struct sim *sim, int worker, const struct delivery_effect *e);

static void carry_out_all(struct sim *sim, int worker)
{
    struct sim_worker *w = &sim->workers[worker];
    struct delivery_effect effect;

    while (w->core && delivery_next(w->core, &effect)) {
        carry_out(sim, worker, &effect);
        if (sim->crashes_between && !sim->quiet && sim_chance(sim, 1))
            worker_kill(sim, worker);
    }
}

/* Second half: `control` to its end, then the log's bounds, then the first record. */
void worker_take(struct sim *sim, int worker)
{
    struct sim_worker *w = &sim->workers[worker];
    struct delivery_settings settings = sim->settings;

    settings.seed = (uint64_t)sim_between(sim, 1, INT32_MAX);
    settings.generation = trails_generation(sim);
    settings.partition_count = sim->partition_count;
    w->book = w->book ? w->book : trail_book_new();
    CHECK(w->book);
    read_control(sim, w);
    w->emptied = sim->redis.emptied;
    w->core = delivery_new(&settings, w->book);
    CHECK(w->core);
    delivery_tick(w->core, sim->now_ms + w->clock_ms);
    sim_trace(sim, "worker %d: takes over", worker);
    for (int32_t p = 0; p < sim->partition_count; p++) {
        const struct sim_log *log = &sim->logs[p];

        if (!w->owns[p])
            continue;
        w->shared[p] = MAX_OF(w->shared[p], log->start);
        if (delivery_assign(w->core, p, log->start, log->end, w->shared[p]) < 0)
            sim_fail(sim, "partition %d was not taken", p);
    }
    carry_out_all(sim, worker);
}

/* ---- effects -------------------------------------------------------------------------------------------- */

static void lost(struct sim *sim, int worker, const struct delivery_effect *e)
{
    sim_trace(sim, "worker %d: chain " STR_FMT "/%d lost %lld to %lld", worker, STR_ARG(e->chain),
              e->partition, (long long)e->offset, (long long)e->to);
    oracle_lost(sim, e);
}

static void catch_up(struct sim *sim, int worker, const struct delivery_effect *e)
{
    struct sim_worker *w = &sim->workers[worker];

    w->late[e->partition] = e->kind == DELIVERY_CATCH_UP ? e->offset : -1;
    sim_trace(sim, "worker %d: catch-up reader of %d at %lld", worker, e->partition,
              (long long)w->late[e->partition]);
}

static void put(struct sim *sim, int worker, const struct delivery_effect *e)
{
    sim_trace(sim, "worker %d: puts chain %s/%d from %lld first %lld last %lld next %lld", worker,
              e->meta.chain, e->partition, (long long)e->meta.from, (long long)e->meta.first,
              (long long)e->meta.last, (long long)e->meta.next);
    oracle_put(sim, e);
    /* The shell may know the answer at once: too many requests, or no store for the bucket. */
    if (!sim->quiet && sim_chance(sim, sim->faults.at_once))
        delivery_put_done(sim->workers[worker].core, e->stream,
                          sim_chance(sim, 50) ? DELIVERY_UNCLEAR : DELIVERY_FAILED, "");
    else
        store_begin(sim, worker, e);
}

static void carry_out(struct sim *sim, int worker, const struct delivery_effect *e)
{
    switch (e->kind) {
    case DELIVERY_WRITE_PROGRESS:
        sim_trace(sim, "worker %d: progress of " STR_FMT "/%d: %lld %lld", worker,
                  STR_ARG(e->chain), e->partition, (long long)e->boundary, (long long)e->clear);
        oracle_progress(sim, e);
        redis_begin(sim, worker, e);
        break;
    case DELIVERY_SHOW:
        oracle_shown(sim, e);
        break;
    case DELIVERY_READ_PROGRESS:
        redis_begin(sim, worker, e);
        break;
    case DELIVERY_ASK_END:
        delivery_log_end(sim->workers[worker].core, e->stream, sim->logs[e->partition].end);
        break;
    case DELIVERY_PUT:
        put(sim, worker, e);
        break;
    case DELIVERY_LIST:
    case DELIVERY_HEAD:
    case DELIVERY_PROBE:
        store_begin(sim, worker, e);
        break;
    case DELIVERY_COMMIT:
        sim_trace(sim, "worker %d: commits %d at %lld", worker, e->partition, (long long)e->offset);
        sim->logs[e->partition].committed = e->offset;
        break;
    case DELIVERY_CATCH_UP:
    case DELIVERY_CATCH_UP_STOP:
        catch_up(sim, worker, e);
        break;
    case DELIVERY_LOST:
        lost(sim, worker, e);
        break;
    case DELIVERY_STUCK:
        sim_fail(sim, "worker %d: chain " STR_FMT "/%d is stuck: %s", worker, STR_ARG(e->chain),
                 e->partition, e->why);
    }
}

/* ---- inputs ---------------------------------------------------------------------------------------------- */

static void hand_over(struct sim *sim, int worker, enum delivery_source source, int32_t partition,
                      int64_t offset)
{
    struct entry *e = &sim->logs[partition].entries[offset];
    struct trail_version *change = NULL;
    char document[DOCUMENT_MAX];
    struct event event;
    struct why why = {0};

    e->read_ms = sim->now_ms;
    log_event(partition, offset, e, &event, document);
    if (e->kind == ENTRY_CHANGE &&
        trail_version_parse(str_from(sim->changes[e->change].record), &change, &why) < 0)
        sim_fail(sim, "a change record cannot be read: %s", why.text);
    if (delivery_record(sim->workers[worker].core, source, partition, offset, e->time_ms,
                        e->with_event ? &event : NULL, change, &why) < 0)
        sim_fail(sim, "worker %d: %d/%lld: %s", worker, partition, (long long)offset, why.text);
}

/* What a reader at *position gets: a record, the end, or the news that its place is gone. */
enum got {
    GOT_RECORD,
    GOT_END,
    GOT_OUT_OF_RANGE,
};

static enum got read_one(struct sim *sim, int32_t partition, int64_t *position, int64_t *ret_offset)
{
    struct sim_log *log = &sim->logs[partition];
    int64_t stable = log_stable(log);

    if (*position < log->start)
        return GOT_OUT_OF_RANGE;
    for (int64_t o = *position; o < stable; o++) {
        const struct entry *e = &log->entries[o];

        if (e->kind == ENTRY_MARKER || e->state != ENTRY_COMMITTED)
            continue;
        *ret_offset = o;
        *position = o + 1;
        return GOT_RECORD;
    }
    *position = MAX_OF(*position, stable);
    return GOT_END;
}

static bool awake(const struct sim *sim, const struct sim_worker *w)
{
    return w->core && w->awake_ms <= sim->now_ms;
}

static void poll_shared(struct sim *sim, int worker, int32_t partition, int64_t records)
{
    struct sim_worker *w = &sim->workers[worker];
    uint64_t life = w->life;
    int64_t offset;

    while (records-- > 0 && w->life == life && delivery_takes(w->core) &&
           delivery_started(w->core)) {
        switch (read_one(sim, partition, &w->shared[partition], &offset)) {
        case GOT_RECORD:
            hand_over(sim, worker, DELIVERY_SHARED, partition, offset);
            break;
        case GOT_END:
            if (delivery_end(w->core, DELIVERY_SHARED, partition, w->shared[partition]) < 0)
                sim_fail(sim, "worker %d: the end of %d was not taken", worker, partition);
            return;
        case GOT_OUT_OF_RANGE: /* the shell joins the group anew */
            sim_trace(sim, "worker %d: its shared reader's place in %d is gone", worker, partition);
            worker_rejoin(sim, worker);
            return;
        }
    }
}

void worker_poll_shared(struct sim *sim, int worker, int64_t records)
{
    struct sim_worker *w = &sim->workers[worker];

    for (int32_t p = 0; p < sim->partition_count && awake(sim, w) && !w->draining; p++)
        if (w->owns[p])
            poll_shared(sim, worker, p, records);
    if (awake(sim, w))
        carry_out_all(sim, worker);
}

static void poll_late(struct sim *sim, int worker, int32_t partition)
{
    struct sim_worker *w = &sim->workers[worker];
    int64_t offset;
    int r = 0;

    switch (read_one(sim, partition, &w->late[partition], &offset)) {
    case GOT_RECORD:
        hand_over(sim, worker, DELIVERY_CATCHING_UP, partition, offset);
        break;
    case GOT_END:
        r = delivery_end(w->core, DELIVERY_CATCHING_UP, partition, w->late[partition]);
        break;
    case GOT_OUT_OF_RANGE:
        sim_trace(sim, "worker %d: its catch-up reader's place in %d is gone", worker, partition);
        delivery_out_of_range(w->core, partition, sim->logs[partition].start);
        break;
    }
    if (r < 0)
        sim_fail(sim, "worker %d: the end of %d was not taken", worker, partition);
    carry_out_all(sim, worker);
    if (w->core && w->late[partition] >= 0 && w->late[partition] < sim->logs[partition].start)
        sim_fail(sim, "worker %d: its catch-up reader of %d is left at %lld, where nothing is",
                 worker, partition, (long long)w->late[partition]);
}

void worker_poll_late(struct sim *sim, int worker, int64_t records)
{
    struct sim_worker *w = &sim->workers[worker];

    for (int32_t p = 0; p < sim->partition_count && awake(sim, w) && !w->draining; p++)
        for (int64_t n = records; n > 0 && w->core && w->late[p] >= 0 && delivery_takes(w->core);
             n--)
            poll_late(sim, worker, p);
}

/* That Redis was emptied. It asks in one step, so what it has read before is in its hands when it notices. */
static void notice_redis(const struct sim *sim, struct sim_worker *w)
{
    for (const struct call *c = sim->calls; c; c = c->next)
        if (c->life == w->life && c->kind == DELIVERY_READ_PROGRESS && c->answer_ms != INT64_MAX)
            return;
    if (w->emptied != sim->redis.emptied)
        delivery_progress_lost(w->core);
    w->emptied = sim->redis.emptied;
}

void worker_tick(struct sim *sim, int worker)
{
    struct sim_worker *w = &sim->workers[worker];

    if (!awake(sim, w))
        return;
    notice_redis(sim, w);
    delivery_tick(w->core, sim->now_ms + w->clock_ms);
    carry_out_all(sim, worker);
    if (w->core && w->draining && delivery_idle(w->core)) {
        sim_trace(sim, "worker %d: ends, drained", worker);
        die(sim, w);
    }
}

static void answer(struct sim *sim, struct delivery *core, const struct call *c)
{
    const struct object *o = c->object;

    sim_trace(sim, "worker %d: answer of kind %d, chain %s: %d", c->worker, c->kind, c->chain,
              c->outcome);
    switch (c->kind) {
    case DELIVERY_READ_PROGRESS:
        delivery_progress(core, c->stream, c->known, c->boundary, c->clear, &c->counts);
        break;
    case DELIVERY_LIST:
        delivery_listed(core, c->stream, c->outcome, c->outcome == DELIVERY_OK && o,
                        o ? o->meta.first : 0, o ? o->first_time_ms / 1000 * 1000 : 0, "");
        break;
    case DELIVERY_PUT:
        delivery_put_done(core, c->stream, c->outcome, "");
        break;
    case DELIVERY_HEAD:
        sim->adopted += c->outcome == DELIVERY_OK;
        delivery_head_done(core, c->stream, c->outcome,
                           o && c->outcome == DELIVERY_OK ? &o->meta : NULL, "");
        break;
    default:
        delivery_probed(core, c->stream, c->outcome, "");
        break;
    }
}

bool worker_answer(struct sim *sim, int worker)
{
    struct sim_worker *w = &sim->workers[worker];
    struct call *due = NULL;
    int64_t seen = 0;

    if (!awake(sim, w))
        return false;
    for (struct call *c = sim->calls; c; c = c->next)
        if (c->life == w->life && c->answer_ms <= sim->now_ms &&
            (c->arrived || c->arrives_ms > c->answer_ms) && sim_between(sim, 0, seen++) == 0)
            due = c; /* any of them, with equal chance */
    if (!due)
        return false;
    due->answer_ms = INT64_MAX;
    answer(sim, w->core, due);
    carry_out_all(sim, worker);
    return true;
}

void worker_revoke_one(struct sim *sim, int worker)
{
    struct sim_worker *w = &sim->workers[worker];
    int32_t p = (int32_t)sim_between(sim, 0, sim->partition_count - 1);

    if (!awake(sim, w) || !w->owns[p])
        return;
    sim_trace(sim, "worker %d: gives %d back", worker, p);
    delivery_revoke(w->core, p);
    w->owns[p] = false;
    w->late[p] = -1;
    carry_out_all(sim, worker);
}

bool worker_at_rest(const struct sim *sim, int worker)
{
    const struct sim_worker *w = &sim->workers[worker];
    struct delivery_view view;

    if (!w->core || !delivery_started(w->core) || !delivery_idle(w->core))
        return false;
    delivery_view(w->core, &view);
    if (view.late || view.parked || view.stuck)
        return false;
    for (int32_t p = 0; p < sim->partition_count; p++)
        if (sim->logs[p].committed != sim->logs[p].end)
            return false;
    return true;
}
