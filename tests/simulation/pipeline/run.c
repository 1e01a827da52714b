/* run.c - one seed: what the deployment is like, what happens to it, and how everything comes to rest. */
#include <stdio.h>

#include "control/control.h"
#include "kafka.h"
#include "processes.h"

#define STEPS_LEAST        40
#define STEPS_MOST         160
#define STEP_MS_MOST       250
#define USUAL_STEPS        40 /* of a run in which nothing goes wrong by itself */
#define USUAL_STEP_MS_MOST 500
#define REST_MS            240000 /* within which everything has to be done once nothing goes wrong any more */
#define REST_LOOK_MS       400
#define NEVER              INT64_MAX
#define SETTLED_MS         3000   /* longer than requests and listings take */
#define ANEW_MS            120000 /* within which topics are made anew */
#define KEPT_RECORDS       4      /* behind what every group has read, that stay in a log */
#define WRONG_CLOCK_MS     (3LL * 24 * 3600 * 1000) /* ahead */

struct sim *sim;

enum counter { EVENTS, CALLS, OBJECTS, LIVES, ROWS };
const char *const world_counters[] = {"records", "calls", "objects", "lives", "rows", NULL};

/* ---- chance, time, trace ------------------------------------------------------------------------------------- */

int64_t between(int64_t least, int64_t most)
{
    return run_between(sim->run, least, most);
}

bool chance(int64_t percent)
{
    return run_chance(sim->run, percent);
}

bool fault(int64_t percent)
{
    return !sim->quiet && percent > 0 && chance(percent);
}

void trace(const char *format, ...)
{
    bool muted = sim->current && sim->current->kind == OPERATOR;
    va_list args;

    if (!sim->run->tracing)
        return;
    if (muted)
        operator_mute(false);
    va_start(args, format);
    run_vtrace(sim->run, format, args);
    va_end(args);
    if (muted)
        operator_mute(true);
}

void fail(const char *format, ...)
{
    va_list args;

    operator_mute(false);
    va_start(args, format);
    run_vfail(sim->run, format, args);
}

int64_t now_ms(void)
{
    return sim->run->now_ms;
}

int64_t broker_now_ms(void)
{
    int64_t now = WALL_BEGIN_MS + now_ms() + sim->broker_skew_ms;

    sim->broker_newest_ms = MAX_OF(sim->broker_newest_ms, now);
    return now;
}

void *keep(size_t len)
{
    void *at = arena_get(sim->memory, len);

    CHECK(at);
    return memset(at, 0, len);
}

struct str keep_str(struct str s)
{
    char *at;

    if (!s.at)
        return s;
    at = keep(s.len + 1);
    memcpy(at, s.at, s.len);
    return str_of(at, s.len);
}

/* Chance for whoever asks the crypto library for it. */
int RAND_bytes(unsigned char *buf, int num);
int RAND_bytes(unsigned char *buf, int num)
{
    for (int i = 0; i < num; i++)
        buf[i] = (unsigned char)between(0, 255);
    return 1;
}

/* ---- what the deployment is like ------------------------------------------------------------------------------ */

struct settings *processes_settings(void)
{
    static struct settings settings;

    return &settings;
}

int security_read_key(const struct security_section *security, unsigned char ret_key[32],
                      struct why *reterr_why)
{
    (void)security, (void)reterr_why;
    memset(ret_key, 7, 32);
    return 0;
}

int catalog_read_file(const struct catalog_section *catalog, struct buf *out,
                      struct why *reterr_why)
{
    (void)catalog, (void)reterr_why;
    buf_init(out, CATALOG_FILE_SIZE_MAX);
    return 0;
}

struct str topology_storage_region(const struct topology_section *topology)
{
    return topology->regions.at[topology->regions.count - 1];
}

static void draw_faults(void)
{
    struct faults *f = &sim->faults;
    int64_t *const some[] = {&f->lost_answer, &f->unclear,   &f->slow_marker, &f->redis_lost,
                             &f->redis_stale, &f->disk_full, &f->refused,     &f->silent,
                             &f->late_put,    &f->lag,       &f->no_answer,   &f->slow,
                             &f->loading};

    f->crash = chance(80) ? between(20, 100) : 0;
    f->freeze = chance(50) ? between(10, 60) : 0;
    f->failed_write = chance(30) ? 1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(some); i++)
        *some[i] = chance(50) ? between(1, 25) : 0;
}

static void draw_settings(void)
{
    struct settings *s = processes_settings();
    struct delivery_section *d = &s->delivery.delivery;

    *s = (struct settings){0};
    s->normalizer.normalizer = (struct normalizer_section){.window_events = sim->window_events,
                                                           .window_ms = 86400000,
                                                           .ahead_max_ms = 900000,
                                                           .behind_max_ms = 7776000000};
    *d = (struct delivery_section){.flush_age_ms = between(100, 3000),
                                   .flush_bytes = between(200, 4000),
                                   .memory_bytes = between(1, 4) * 8192,
                                   .uploads = between(1, 8),
                                   .park_after_ms = between(0, 3000),
                                   .retry_first_ms = between(10, 200),
                                   .retry_max_ms = between(200, 3000),
                                   .retention_ms = 604800000,
                                   .progress_ms = between(100, 2000)};
    s->normalizer.topology = s->router.topology = s->delivery.topology = s->api.topology =
        sim->topology;
}

static void draw_deployment(void)
{
    static const char *const regions[REGIONS_MAX] = {"cn-hangzhou", "cn-beijing"};

    sim->region_count = chance(60) ? 2 : 1;
    for (size_t i = 0; i < sim->region_count; i++)
        sim->topology.regions.at[i] = sim->regions[i] = str_from(regions[i]);
    sim->topology.regions.count = sim->region_count;
    sim->raw_partitions = (int32_t)between(1, 3);
    sim->events_partitions = (int32_t)between(1, 2);
    sim->global_partitions = (int32_t)between(1, 2);
    sim->window_events = chance(50) ? between(6, 30) : 1000;
    sim->idle_ms = between(10, 300);
}

static void write_generation(struct topic *control, const struct topic *t)
{
    AUTO_BUF struct buf key = {0}, value = {0};

    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, CONTROL_VALUE_SIZE_MAX);
    control_topic_record(str_from(t->name.text), t->generation, false, &key, &value);
    (void)kafka_append(control, 0, buf_str(&key), buf_str(&value), NULL, 0, NULL);
}

static void make_topics(void)
{
    struct topic *control = kafka_make(topic_name(TOPIC_CONTROL, STR_NONE), 1);

    write_generation(control, kafka_make(topic_name(TOPIC_POSITIONS, STR_NONE), 1));
    write_generation(control,
                     kafka_make(topic_name(TOPIC_GLOBAL, STR_NONE), sim->global_partitions));
    for (size_t i = 0; i < sim->region_count; i++) {
        struct str region = sim->regions[i];

        write_generation(control, kafka_make(topic_name(TOPIC_RAW, region), sim->raw_partitions));
        write_generation(control,
                         kafka_make(topic_name(TOPIC_EVENTS, region), sim->events_partitions));
        write_generation(control, kafka_make(topic_name(TOPIC_REJECTED, region), 1));
    }
}

static void add_processes(enum worker_kind kind, struct str region)
{
    for (int64_t n = 1; n <= (chance(35) ? 2 : 1); n++) {
        struct process *p = process_add(kind, region, (int)n);

        if (kind == API && n > 1) /* its machine's clock was set by hand */
            p->wall_skew_ms = WRONG_CLOCK_MS;
        process_start(p);
    }
}

static void start_processes(void)
{
    add_processes(ROUTER, STR(""));
    add_processes(API, STR(""));
    for (size_t i = 0; i < sim->region_count; i++) {
        add_processes(NORMALIZER, sim->regions[i]);
        add_processes(HISTORY, sim->regions[i]);
        add_processes(DELIVERY, sim->regions[i]);
    }
}

/* ---- time goes on ------------------------------------------------------------------------------------------------ */

/* Calls end with the rest of what happens. */
static bool comes_back(const struct process *p)
{
    return !p->fiber && !p->gone && !(sim->quiet && p->kind == API) &&
           !(sim->held && p->kind != OPERATOR);
}

static void restart_who_is_due(void)
{
    for (size_t i = 0; i < sim->process_count; i++) {
        struct process *p = &sim->processes[i];

        if (comes_back(p) && p->restart_ms <= now_ms())
            process_start(p);
    }
}

/* One of those whose turn is next, by chance; NULL: nobody's before `until`. */
static struct process *next_process(int64_t until)
{
    struct process *next = NULL;
    int64_t among = 0;

    for (size_t i = 0; i < sim->process_count; i++) {
        struct process *p = &sim->processes[i];
        int64_t due = p->fiber ? p->wake_ms : p->restart_ms;

        if (due > until || !(p->fiber || comes_back(p)))
            continue;
        if (!next || due < (next->fiber ? next->wake_ms : next->restart_ms))
            among = 0;
        else if (due > (next->fiber ? next->wake_ms : next->restart_ms))
            continue;
        if (between(0, among++) == 0)
            next = p;
    }
    return next;
}

static void go_on(int64_t ms)
{
    int64_t until = now_ms() + ms;

    while (true) {
        struct process *p = next_process(until);
        int64_t due = p ? (p->fiber ? p->wake_ms : p->restart_ms) : until;

        sim->run->now_ms = MAX_OF(now_ms(), MIN_OF(due, store_due_ms()));
        kafka_tick();
        store_tick();
        restart_who_is_due();
        if (p && p->fiber && p->wake_ms <= now_ms())
            process_turn(p);
        else if (!p && now_ms() >= until)
            return;
    }
}

/* ---- what happens ------------------------------------------------------------------------------------------------- */

static struct process *some_process(void)
{
    return &sim->processes[between(0, (int64_t)sim->process_count - 1)];
}

static int64_t stage_read(struct topic *t, const char *worker, struct str region, int32_t p)
{
    char group[GROUP_NAME_SIZE];
    struct str tally;
    int64_t offset;

    group_name(str_from(worker), region, group);
    return stage_stands(group_find(group, t), p, &offset, &tally) ? offset : 0;
}

static int64_t group_read(struct topic *t, const char *worker, struct str region, int32_t p)
{
    char group[GROUP_NAME_SIZE];

    group_name(str_from(worker), region, group);
    return group_stood(group_find(group, t), p);
}

/* Up to where everybody has read a partition; but for the last records, from which a window of duplicates is rebuilt. */
static int64_t read_by_all(struct topic *t, enum topic_kind kind, struct str region, int32_t p)
{
    int64_t least, stored;
    struct str note;

    if (kind == TOPIC_RAW)
        return stage_read(t, "normalizer", region, p) - sim->window_events;
    if (kind == TOPIC_GLOBAL)
        return stage_read(t, "router", STR_NONE, p) - KEPT_RECORDS;
    if (kind != TOPIC_EVENTS || !disk_position(region, p, &stored, &note))
        return 0;
    least = MIN_OF(group_read(t, "delivery", region, p), group_read(t, "history", region, p));
    return MIN_OF(least, stored) - KEPT_RECORDS;
}

/* No log is so short that a request or a listing lags behind it: what leaves it was settled for longer than they take. But
 * what is parked holds nobody's offset back, and may be on its way to the store just then. */
static void retain_one(struct topic *t, int32_t number, int64_t read, int64_t unsettled)
{
    struct partition *p = &t->partitions[number];

    if (p->settled_ms && now_ms() - p->settled_ms > SETTLED_MS && p->settled > 0) {
        kafka_retain(t, number, MIN_OF(between(0, p->settled), unsettled));
        p->settled_ms = 0;
    }
    if (p->settled_ms == 0) {
        p->settled = read;
        p->settled_ms = now_ms();
    }
}

/* Logs go on; `at_once`: those that delivery reads, as far as they can. */
static void retain(bool at_once)
{
    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        struct topic *t = &sim->kafka->topics[i];
        enum topic_kind kind;
        struct str region;

        CHECK(topic_parse(str_from(t->name.text), &kind, &region));
        for (int32_t p = 0; p < t->partition_count && !t->gone; p++) {
            int64_t read = read_by_all(t, kind, region, p);
            int64_t unsettled = kind == TOPIC_EVENTS ? store_first_unsettled(region, p) : INT64_MAX;

            if (!at_once)
                retain_one(t, p, read, unsettled);
            else if (kind == TOPIC_EVENTS)
                kafka_retain(t, p, MIN_OF(read, unsettled));
        }
    }
}

/* Delivery is back after its logs have gone on, and finds Redis empty: where each stream goes on, nothing but its bucket
 * knows. It ends first, so that nobody has anything in hand: what is settled may leave at once. */
static void leave_delivery_its_buckets(void)
{
    for (size_t i = 0; i < sim->process_count; i++)
        if (sim->processes[i].kind == DELIVERY)
            process_kill(&sim->processes[i]);
    redis_empty();
    retain(true);
}

static void jump_clocks(void)
{
    if (chance(40))
        sim->broker_skew_ms += between(-60000, 60000);
    else
        some_process()->wall_skew_ms += between(-1200000, 1200000);
}

static bool operator_is_free(void)
{
    for (size_t i = 0; i < sim->process_count; i++)
        if (sim->processes[i].kind == OPERATOR && !sim->processes[i].gone)
            return false;
    return sim->process_count < PROCESSES_MAX;
}

static void add_partitions(void)
{
    if (!operator_is_free())
        return;
    sim->grown = true;
    sim->partitions = MAX_OF(sim->partitions, (int32_t)between(2, PARTITIONS_MAX));
    process_start(process_add(OPERATOR, STR(""), 1));
}

static void doom_some(void)
{
    int64_t percent = between(15, 100);

    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        struct topic *t = &sim->kafka->topics[i];
        enum topic_kind kind;
        struct str region;

        CHECK(topic_parse(str_from(t->name.text), &kind, &region));
        t->doomed = kind != TOPIC_CONTROL && kind != TOPIC_POSITIONS &&
                    kind != TOPIC_NOTIFICATIONS && chance(percent);
    }
}

/* Services go on meanwhile, and whatever has begun to go wrong. */
static void make_anew(void)
{
    int64_t until = now_ms() + ANEW_MS;

    if (!operator_is_free())
        return;
    doom_some();
    if (sim->partitions == 0)
        sim->partitions = (int32_t)between(1, PARTITIONS_MAX);
    sim->anew = ANEW_ASKED;
    process_start(process_add(OPERATOR, STR(""), 1));
    while (sim->anew == ANEW_ASKED && now_ms() < until) {
        if (chance(20))
            load_publish();
        go_on(between(100, 1000));
    }
}

/* Somebody believes that a frozen process is gone, and starts another one of its name. Both live for a while. */
static void start_twin(void)
{
    struct process *p = some_process();

    if (sim->held || !p->fiber || now_ms() >= p->asleep_ms || p->gone ||
        sim->process_count == PROCESSES_MAX || p->kind == API || p->kind == OPERATOR)
        return;
    p->gone = true;
    process_start(process_add(p->kind, p->region, p->instance[0] - '0'));
}

static void something_happens(void)
{
    int64_t what = between(0, 99);

    if (what < 45)
        load_publish();
    else if (what < 48)
        process_kill(some_process());
    else if (what < 50)
        some_process()->stopping = true;
    else if (what < 51 && chance(40))
        sim->kafka_away_ms = now_ms() + between(100, 9000);
    else if (what < 53)
        sim->redis_away_ms = now_ms() + between(100, 6000);
    else if (what < 54)
        redis_empty();
    else if (what < 57)
        store_set((int)between(0, BUCKETS - 1), (enum bucket_state)between(0, 2));
    else if (what < 59)
        jump_clocks();
    else if (what < 63)
        retain(false);
    else if (what < 66)
        start_twin();
    else if (what < 67 && !sim->grown && chance(50))
        add_partitions();
    else if (what >= 67 && what < 68 && sim->anew == ANEW_NEVER && chance(50))
        make_anew();
    else if (what == 68)
        leave_delivery_its_buckets();
}

/* What may happen to a deployment on any day. */
static void something_usual_happens(void)
{
    int64_t what = between(0, 99);

    if (what < 60)
        load_publish();
    else if (what < 75)
        some_process()->stopping = true;
    else if (what < 79)
        redis_empty();
    else if (what < 91)
        store_set((int)between(0, BUCKETS - 1), (enum bucket_state)between(0, 2));
    else if (!sim->grown)
        add_partitions();
}

/* ---- rest ----------------------------------------------------------------------------------------------------------- */

static void calm_down(void)
{
    sim->quiet = true;
    sim->kafka_away_ms = sim->redis_away_ms = 0;
    for (int b = 0; b < BUCKETS; b++)
        store_set(b, BUCKET_UP);
    for (size_t i = 0; i < sim->process_count; i++) {
        struct process *p = &sim->processes[i];

        if (p->kind == API)
            p->stopping = true;
        if (p->gone && p->kind != OPERATOR)
            process_kill(p);
        p->asleep_ms = 0;
        p->wake_ms = MIN_OF(p->wake_ms, now_ms() + 1000);
        p->restart_ms = MIN_OF(p->restart_ms, now_ms() + 1000);
    }
    trace("nothing goes wrong any more");
}

static void wait_until_done(const char *waits_for(void))
{
    int64_t until = now_ms() + REST_MS;
    const char *waits;

    while ((waits = waits_for())) {
        if (now_ms() >= until)
            fail("does not come to rest: %s", waits);
        go_on(REST_LOOK_MS);
    }
}

static void start_last_calls(void)
{
    for (size_t i = 0; i < sim->process_count; i++)
        if (sim->processes[i].kind == API) {
            process_start(&sim->processes[i]);
            return;
        }
}

static void come_to_rest(void)
{
    wait_until_done(oracle_waits_before);
    start_last_calls();
    wait_until_done(oracle_waits);
}

static void count(void)
{
    uint64_t n = 0;

    for (const struct published *p = load_all(); p; p = p->next)
        run_count(sim->run, EVENTS, 1);
    for (const struct call *c = calls_all(); c; c = c->next)
        run_count(sim->run, CALLS, 1);
    for (const struct object *o = store_objects(); o; o = o->next)
        run_count(sim->run, OBJECTS, 1);
    for (size_t i = 0; i < sim->process_count; i++)
        n += sim->processes[i].life;
    run_count(sim->run, LIVES, n);
    run_count(sim->run, ROWS, disk_row_count());
}

static void begin(struct run *run, struct sim *world)
{
    *world = (struct sim){.run = run, .memory = arena_new(WORLD_BYTES_MAX)};
    CHECK(world->memory);
    sim = world;
    draw_deployment();
    draw_faults();
    draw_settings();
    kafka_new();
    redis_new();
    disks_new();
    store_new();
    load_new();
    calls_new();
    oracle_new();
    make_topics();
}

static void end(void)
{
    calm_down();
    come_to_rest();
    oracle_final();
    count();
    for (size_t i = 0; i < sim->process_count; i++)
        process_kill(&sim->processes[i]);
    oracle_free();
    arena_free(sim->memory);
}

void world_run(struct run *run)
{
    static struct sim world;

    begin(run, &world);
    start_processes();
    run_steps(run, between(STEPS_LEAST, STEPS_MOST));
    while (run_step(run)) {
        something_happens();
        go_on(between(0, STEP_MS_MOST));
    }
    end();
}

void world_run_usual(struct run *run)
{
    static struct sim world;

    begin(run, &world);
    sim->faults = (struct faults){0};
    start_processes();
    run_steps(run, USUAL_STEPS);
    while (run_step(run)) {
        something_usual_happens();
        go_on(between(0, USUAL_STEP_MS_MOST));
    }
    end();
}
