/* run.c - one seed: a world that goes wrong for a while, and then comes to rest. */
#include "sim.h"

#define STEPS_LEAST    100
#define STEPS_MOST     1600
#define ROUND_MS       20
#define ROUNDS_TO_REST 20000

/* ---- chance, trace, failure ------------------------------------------------------------------------------ */

int64_t sim_between(struct sim *sim, int64_t least, int64_t most)
{
    return run_between(sim->run, least, most);
}

bool sim_chance(struct sim *sim, int64_t percent)
{
    return run_chance(sim->run, percent);
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list args;

    sim->run->now_ms = sim->now_ms;
    va_start(args, format);
    run_vtrace(sim->run, format, args);
    va_end(args);
}

void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;

    sim->run->now_ms = sim->now_ms;
    va_start(args, format);
    run_vfail(sim->run, format, args);
}

/* ---- what a run is like ------------------------------------------------------------------------------- */

/* Half of what can go wrong does not in a given run: some faults hide behind others. */
static int64_t some(struct sim *sim, int64_t most)
{
    return sim_chance(sim, 50) ? 0 : sim_between(sim, 1, most);
}

static void draw_faults(struct sim *sim)
{
    sim->faults = (struct faults){
        .crash = some(sim, 60),
        .zombie = some(sim, 60),
        .sleep = some(sim, 60),
        .abort = some(sim, 40),
        .retention = some(sim, 50),
        .arbitrary_commit = some(sim, 60),
        .slow = some(sim, 80),
        .refused = some(sim, 30),
        .lost_answer = some(sim, 40),
        .late_put = some(sim, 40),
        .hidden = some(sim, 80),
        .not_found = some(sim, 50),
        .down = some(sim, 60),
        .at_once = some(sim, 20),
        .redis_lost = some(sim, 60),
        .redis_late = some(sim, 60),
        .redis_old = some(sim, 60),
        .redis_empty = some(sim, 60),
        .redis_away = some(sim, 50),
        .rejoin = some(sim, 60),
        .clock = some(sim, 50),
        .partition = some(sim, 50),
        .anew = some(sim, 20),
    };
    sim->crashes_between = sim_chance(sim, 30);
}

/* A run in which the log leaves workers behind: outages, sleep and zombies on the scale of its retention. */
static void draw_slow_motion(struct sim *sim)
{
    sim->pace_ms = sim_between(sim, 60, 150);
    sim->settings.flush_age_ms = sim_between(sim, 100, RETENTION_MS);
    sim->settings.park_after_ms = sim_between(sim, 0, RETENTION_MS);
    sim->settings.retry_first_ms = sim_between(sim, 1, 2000);
    sim->settings.retry_max_ms = sim_between(sim, 2000, 5000);
    sim->faults.refused = sim_between(sim, 0, 50);
    sim->faults.not_found = sim_between(sim, 0, 60);
    sim->faults.redis_lost = sim_between(sim, 0, 60);
    sim->faults.retention = sim_between(sim, 50, 100);
    sim->faults.eclipse = sim_between(sim, 10, 100);
    sim->settings.flush_bytes = sim_between(sim, 50, 20000);
    sim->faults.zombie = sim_between(sim, 30, 100);
    sim->faults.sleep = sim_between(sim, 30, 100);
    sim->faults.down = sim_between(sim, 20, 60);
}

static void draw_settings(struct sim *sim)
{
    sim->partition_count = (int32_t)sim_between(sim, 1, PARTITIONS_MAX);
    sim->settings = (struct delivery_settings){
        .region = HERE,
        .topic = TOPIC,
        .flush_age_ms = sim_between(sim, 20, 800),
        .flush_bytes = sim_between(sim, 50, 2500),
        .memory_max = sim_between(sim, 200, 10000),
        .uploads_max = sim_chance(sim, 40) ? 1 : sim_between(sim, 1, 5),
        .park_after_ms = sim_between(sim, 0, 600),
        .retry_first_ms = sim_between(sim, 1, 60),
        .retry_max_ms = sim_between(sim, 60, 800),
        .buffer_age_max_ms = sim_chance(sim, 80) ? RETENTION_MS / 2 : sim_between(sim, 20, 1000),
        .progress_ms = sim_between(sim, 20, 800),
    };
}

/* Trails, changed a few times, that may be older than one of the partitions, or than the log. */
static void draw_trails(struct sim *sim)
{
    int32_t partition_count = sim->partition_count;
    bool anew = sim_chance(sim, 20);

    if (sim_chance(sim, 30))
        sim->partition_count = 1;
    for (int64_t count = sim_between(sim, 1, 3); count > 0; count--) {
        trails_create(sim);
        log_mark_all(sim);
    }
    for (int64_t count = sim_between(sim, 0, 4); count > 0; count--) {
        trails_change(sim);
        log_mark_all(sim);
    }
    sim->partition_count = partition_count;
    if (anew)
        trails_begin_new_log(sim);
}

/* ---- what happens next ---------------------------------------------------------------------------------- */

static int some_worker(struct sim *sim)
{
    return (int)sim_between(sim, 0, WORKERS - 1);
}

static void step_events(struct sim *sim)
{
    log_begin_events(sim);
    if (sim_chance(sim, 60))
        log_mark_all(sim);
}

static void step_change(struct sim *sim)
{
    trails_change(sim);
    if (sim_chance(sim, 60))
        log_mark_all(sim);
}

/* `topics apply` adds one; no change is under way (rule 2). Who runs hears of it at its next assignment. */
static void step_partition(struct sim *sim)
{
    if (sim->partition_count == PARTITIONS_MAX || trails_fenced(sim) ||
        !sim_chance(sim, sim->faults.partition))
        return;
    sim->partition_count++;
    sim_trace(sim, "a partition is added");
}

/* The topic is deleted and made anew, and with it go its events; delivery was stopped for that. */
static void step_anew(struct sim *sim)
{
    if (sim->generation + 1 == GENERATIONS || !sim_chance(sim, sim->faults.anew))
        return;
    log_mark_all(sim);
    for (int w = 0; w < WORKERS; w++)
        if (sim->workers[w].alive)
            worker_kill(sim, w);
    trails_begin_new_log(sim);
    sim_trace(sim, "the topic is made anew");
}

static void step_shared(struct sim *sim)
{
    worker_poll_shared(sim, some_worker(sim), sim_between(sim, 1, 8));
}

static void step_late(struct sim *sim)
{
    worker_poll_late(sim, some_worker(sim), sim_between(sim, 1, 8));
}

static void step_tick(struct sim *sim)
{
    worker_tick(sim, some_worker(sim));
}

static void step_answer(struct sim *sim)
{
    int worker = some_worker(sim);

    for (int64_t n = sim_between(sim, 1, 4); n > 0 && worker_answer(sim, worker); n--)
        ;
}

static void step_take(struct sim *sim)
{
    int worker = some_worker(sim);

    if (sim->workers[worker].alive && !sim->workers[worker].core && worker_can_take(sim))
        worker_take(sim, worker);
}

static void step_start(struct sim *sim)
{
    int worker = some_worker(sim), alive = 0;

    for (int w = 0; w < WORKERS; w++)
        alive += sim->workers[w].alive;
    if (!sim->workers[worker].alive && (alive == 0 || sim_chance(sim, sim->faults.zombie)))
        worker_start(sim, worker, false);
}

static void step_stop(struct sim *sim)
{
    int worker = some_worker(sim);
    struct sim_worker *w = &sim->workers[worker];

    if (!w->alive || !sim_chance(sim, sim->faults.crash))
        return;
    if (w->core && sim_chance(sim, 20)) {
        w->draining = true;
        delivery_drain(w->core);
    } else if (sim_chance(sim, 15)) {
        worker_revoke_one(sim, worker);
    } else {
        worker_kill(sim, worker);
    }
}

static void step_rejoin(struct sim *sim)
{
    int worker = some_worker(sim);

    if (sim->workers[worker].alive && sim->workers[worker].awake_ms <= sim->now_ms &&
        sim_chance(sim, sim->faults.rejoin))
        worker_rejoin(sim, worker);
}

/* Its machine was suspended, and nobody else's time has passed. */
static void step_clock(struct sim *sim)
{
    struct sim_worker *w = &sim->workers[some_worker(sim)];

    if (w->alive && sim_chance(sim, sim->faults.clock))
        w->clock_ms += sim_between(sim, 1, sim_chance(sim, 30) ? 2 * RETENTION_MS : 1000);
}

static void step_sleep(struct sim *sim)
{
    int worker = some_worker(sim);

    if (!sim->workers[worker].core || !sim_chance(sim, sim->faults.sleep))
        return;
    sim->workers[worker].awake_ms =
        sim->now_ms + sim_between(sim, 1, sim_chance(sim, 30) ? 2 * RETENTION_MS : 1000);
    sim_trace(sim, "worker %d: sleeps until %lld", worker,
              (long long)sim->workers[worker].awake_ms);
}

static void step_bucket(struct sim *sim)
{
    int bucket = (int)sim_between(sim, 0, BUCKETS - 1);

    sim->buckets[bucket].state = BUCKET_UP;
    if (sim_chance(sim, sim->faults.down))
        sim->buckets[bucket].state = sim_chance(sim, 50) ? BUCKET_REFUSING : BUCKET_MUTE;
    sim_trace(sim, "bucket %d: state %d", bucket, sim->buckets[bucket].state);
}

static void step_redis(struct sim *sim)
{
    if (sim_chance(sim, sim->faults.redis_empty))
        redis_empty(sim);
}

static void step_retention(struct sim *sim)
{
    if (sim_chance(sim, sim->faults.retention))
        log_retain(sim);
}

/* Records that it may still send, or answers that it may still believe. */
static bool has_something(const struct sim_worker *w)
{
    struct delivery_view view;

    if (!w->core)
        return false;
    delivery_view(w->core, &view);
    return view.buffered_records > 0 || !delivery_started(w->core);
}

static void all_buckets(struct sim *sim, bool up)
{
    for (int b = 0; b < BUCKETS; b++)
        sim->buckets[b].state = up                    ? BUCKET_UP
                                : sim_chance(sim, 50) ? BUCKET_REFUSING
                                                      : BUCKET_MUTE;
}

/* Before it sleeps: what it sends is not answered, and waits to be sent again. */
static void send_in_vain(struct sim *sim, int worker)
{
    all_buckets(sim, false);
    worker_tick(sim, worker);
    sim->now_ms += sim_between(sim, 0, 2 * REQUEST_DEADLINE_MS);
    calls_arrive(sim);
    while (worker_answer(sim, worker))
        ;
}

/* Once it sleeps: another one gets on for a while. */
static void get_on_without(struct sim *sim, int sleeper)
{
    int64_t rounds = sim_between(sim, 1, 20);
    int worker = (sleeper + 1) % WORKERS;

    while (rounds-- > 0 && sim->workers[worker].alive) {
        sim->now_ms += sim_between(sim, 0, 100);
        calls_arrive(sim);
        if (!sim->workers[worker].core && worker_can_take(sim))
            worker_take(sim, worker);
        worker_poll_shared(sim, worker, 8);
        worker_poll_late(sim, worker, 8);
        worker_tick(sim, worker);
        while (worker_answer(sim, worker))
            ;
    }
}

/* A worker falls asleep with something in its hands, and for about a retention nobody gets anything done. Then another one
 * takes over; some time the sleeper awakes. */
static void step_eclipse(struct sim *sim)
{
    int64_t lasts = sim_between(sim, RETENTION_MS * 4 / 5, RETENTION_MS * 8 / 5);
    int sleeper = some_worker(sim);

    if (!sim_chance(sim, sim->faults.eclipse) || !has_something(&sim->workers[sleeper]))
        return;
    if (sim_chance(sim, 50))
        send_in_vain(sim, sleeper);
    sim->workers[sleeper].awake_ms = sim->now_ms + lasts + sim_between(sim, 0, 2 * RETENTION_MS);
    sim_trace(sim, "eclipse; worker %d sleeps until %lld", sleeper,
              (long long)sim->workers[sleeper].awake_ms);
    if (sim_chance(sim, 50))
        get_on_without(sim, sleeper);
    all_buckets(sim, false);
    sim->now_ms += lasts;
    calls_arrive(sim);
    log_retain(sim);
    all_buckets(sim, true);
    for (int w = 0; w < WORKERS; w++) {
        if (w == sleeper)
            continue;
        if (sim->workers[w].alive)
            worker_kill(sim, w);
        worker_start(sim, w, false);
        return;
    }
}

static void step_time(struct sim *sim)
{
    int64_t most = sim_chance(sim, 10) ? RETENTION_MS : 500;

    sim->now_ms += sim_between(sim, 0, most);
}

static const struct {
    void (*happens)(struct sim *sim);
    int weight;
} steps[] = {
    {step_events, 12}, {log_mark_some, 8}, {step_change, 2}, {step_shared, 24},   {step_late, 16},
    {step_tick, 24},   {step_answer, 30},  {step_take, 8},   {step_start, 6},     {step_stop, 3},
    {step_sleep, 2},   {step_bucket, 2},   {step_redis, 1},  {step_retention, 3}, {step_time, 2},
    {step_eclipse, 8}, {step_rejoin, 1},   {step_clock, 1},  {step_partition, 1}, {step_anew, 1},
};

static void step(struct sim *sim)
{
    int64_t all = 0, drawn;
    size_t i = 0;

    for (size_t n = 0; n < ARRAY_LEN(steps); n++)
        all += steps[n].weight;
    drawn = sim_between(sim, 0, all - 1);
    while (drawn >= steps[i].weight)
        drawn -= steps[i++].weight;
    sim->now_ms += sim_between(sim, 0, sim->pace_ms);
    calls_arrive(sim);
    steps[i].happens(sim);
}

/* ---- rest ------------------------------------------------------------------------------------------------- */

static void round_of_rest(struct sim *sim, int worker)
{
    sim->now_ms += ROUND_MS;
    calls_arrive(sim);
    if (!sim->workers[worker].alive)
        worker_start(sim, worker, true);
    if (!sim->workers[worker].core)
        worker_take(sim, worker);
    worker_poll_shared(sim, worker, 100);
    if (sim->workers[worker].alive)
        worker_poll_late(sim, worker, 100);
    worker_tick(sim, worker);
    while (worker_answer(sim, worker))
        ;
}

static void come_to_rest(struct sim *sim, int worker)
{
    struct delivery_view view = {0};

    for (int64_t n = 0; n < ROUNDS_TO_REST; n++) {
        round_of_rest(sim, worker);
        if (worker_at_rest(sim, worker) && oracle_complete(sim))
            return;
    }
    delivery_view(sim->workers[worker].core, &view);
    sim_fail(sim, "does not come to rest: %zu late, %zu parked, %zu stuck, %lld buffered",
             view.late, view.parked, view.stuck, (long long)view.buffered_records);
}

static bool knows_all(const struct sim *sim, int worker)
{
    const struct sim_worker *w = &sim->workers[worker];
    bool all = w->alive && !w->draining;

    for (int32_t p = 0; p < sim->partition_count; p++)
        all &= w->owns[p];
    return all;
}

/* Nothing goes wrong any more; one worker is left, an old one or a new one. */
static void calm_down(struct sim *sim)
{
    int last = some_worker(sim);

    sim->quiet = true;
    log_mark_all(sim);
    for (int b = 0; b < BUCKETS; b++)
        sim->buckets[b].state = BUCKET_UP;
    for (int w = 0; w < WORKERS; w++) {
        sim->workers[w].awake_ms = 0;
        if (sim->workers[w].alive && (w != last || !knows_all(sim, w) || sim_chance(sim, 30)))
            worker_kill(sim, w);
    }
    log_begin_events(sim);
    log_mark_all(sim);
    sim_trace(sim, "nothing goes wrong any more");
    come_to_rest(sim, last);
    oracle_final(sim);
    if (sim_chance(sim, 50)) { /* while nothing else happens */
        redis_empty(sim);
        come_to_rest(sim, last);
    }
    /* Whoever comes next, wherever the group stands: nothing is added. */
    worker_kill(sim, last);
    if (sim_chance(sim, 50))
        redis_empty(sim);
    for (int32_t p = 0; p < sim->partition_count; p++)
        sim->logs[p].committed = sim_between(sim, 0, sim->logs[p].end);
    come_to_rest(sim, last);
    oracle_final(sim);
}

enum counter {
    STEPS,
    OFFSETS,
    DELIVERIES,
    OBJECTS,
    LIVES,
    ADOPTED,
    LOST,
};
static const char *const counters[] = {
    [STEPS] = "steps",
    [OFFSETS] = "offsets",
    [DELIVERIES] = "deliveries",
    [OBJECTS] = "objects",
    [LIVES] = "workers' lives",
    [ADOPTED] = "looks at existing objects",
    [LOST] = "offsets announced as lost",
    NULL,
};

static void count(const struct sim *sim)
{
    struct run *run = sim->run;

    run_count(run, STEPS, (uint64_t)run->step_count);
    run_count(run, LIVES, sim->lives);
    run_count(run, LOST, sim->lost_offsets);
    run_count(run, ADOPTED, sim->adopted);
    for (int32_t p = 0; p < sim->partition_count; p++) {
        run_count(run, OFFSETS, (uint64_t)sim->logs[p].end);
        for (int t = 0; t < sim->trail_count; t++)
            for (int64_t o = 0; o < sim->logs[p].end; o++)
                run_count(run, DELIVERIES, trails_expect(sim, t, p, o) != 0);
    }
    for (size_t b = 0; b < BUCKETS; b++)
        run_count(run, OBJECTS, sim->buckets[b].count);
}

static void sim_free(struct sim *sim)
{
    for (int w = 0; w < WORKERS; w++)
        worker_kill(sim, w);
    calls_free(sim);
    store_free(sim);
    redis_free(sim);
    trails_free(sim);
    oracle_free(sim);
    free(sim->transactions);
    for (size_t p = 0; p < PARTITIONS_MAX; p++)
        free(sim->logs[p].entries);
    free(sim);
}

static void run(struct run *run)
{
    struct sim *sim = calloc(1, sizeof(*sim));

    CHECK(sim);
    sim->run = run;
    sim->pace_ms = sim_chance(sim, 50) ? 20 : sim_between(sim, 1, 150);
    draw_settings(sim);
    draw_faults(sim);
    if (sim_chance(sim, 50))
        draw_slow_motion(sim);
    draw_trails(sim);
    run_steps(run, sim_between(sim, STEPS_LEAST, STEPS_MOST));
    while (run_step(run))
        step(sim);
    calm_down(sim);
    count(sim);
    sim_free(sim);
}

int main(int argc, char **argv)
{
    static const struct world world = {"delivery", counters, run};

    return runner_main(&world, argc, argv);
}
