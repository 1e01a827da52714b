/* The workers' shells, the exactly-once loop and the API's changes in the world of tests/simulation/pipeline, in which nothing
 * goes wrong but one call of a shell to the outside, or to memory: nothing is lost, doubled or invented, whatever it was.
 *
 * A run's number (the runner's seed) says which call of which course fails, and how: once, once in another way, or it and all
 * like it for a while. Then the world goes on without faults until it rests, and its oracle looks. Who is out of memory may
 * end, and is started again.
 *
 * links: torture_world
 * wraps: fiber_turn keep keep_str catalog_load
 * wraps: bus_producer_open bus_transactions_init bus_begin bus_producer_write bus_producer_flush bus_send_offsets
 * wraps: bus_commit bus_abort bus_consumer_open bus_consumer_poll bus_consumer_assign bus_consumer_unassign
 * wraps: bus_consumer_commit bus_reader_open bus_reader_poll bus_reader_seek bus_admin_open bus_admin_partitions
 * wraps: bus_admin_watermarks bus_admin_committed bus_admin_create bus_admin_grow
 * wraps: state_open state_flush http_new objects_open objects_put objects_head objects_list objects_probe_begin
 * wraps: history_writer_open history_writer_begin history_writer_add history_writer_commit history_writer_expire
 */
#include <stdio.h>
#include <sys/mman.h>

#include "bus/bus.h"
#include "catalog/catalog.h"
#include "faults.h"
#include "fiber.h"
#include "history/history.h"
#include "http/http.h"
#include "objects/objects.h"
#include "sim.h"
#include "state/state.h"

#define CALLS_MAX   200000 /* of a course, of one kind */
#define SHORTAGE_MS 3000
#define FAILS_MS    5 /* it takes a moment: nobody polls what fails without a pause */
#ifdef __SANITIZE_ADDRESS__
#    define RUNS_MAX 25 /* of a course, of one kind; with more calls they are spread evenly */
#else
#    define RUNS_MAX 120
#endif

enum kind { MEMORY, DOORS, KINDS };
enum manner { ONCE, OTHERWISE, FOR_A_WHILE, MANNERS };

/* Seeds of the world: two regions, one process of a kind and two, partitions that are added. */
static const uint64_t courses[] = {1, 2};

struct fate {
    uint8_t course, kind, manner;
    size_t call;
};

/* What a run in which nothing fails has counted; shared with the processes of the runner. */
struct counted {
    size_t calls[KINDS];
    bool otherwise[CALLS_MAX]; /* the call has another way to fail */
};

static struct {
    struct counted *counted; /* of each course */
    struct counted *counting_for;
    struct fate *fates;
    size_t fate_count, step[ARRAY_LEN(courses)][KINDS];
    struct fate fate; /* of this run */
    bool on;          /* calls count */
    size_t doors;     /* passed in this run */
    const char *what; /* the door that failed */
    int64_t until_ms; /* so long it and its like fail */
} t;

/* ---- whose turn it is -------------------------------------------------------------------------------------- */

void __real_fiber_turn(struct fiber *fiber);
void __wrap_fiber_turn(struct fiber *fiber);
void *__real_keep(size_t len);
void *__wrap_keep(size_t len);
struct str __real_keep_str(struct str s);
struct str __wrap_keep_str(struct str s);
int __real_catalog_load(struct str overlay, struct catalog **ret, struct why *reterr_why);
int __wrap_catalog_load(struct str overlay, struct catalog **ret, struct why *reterr_why);

static bool count(bool on)
{
    bool before = t.on;

    t.on = on;
    fault_pause(!on);
    return before;
}

void __wrap_fiber_turn(struct fiber *fiber)
{
    bool before = fault_happened();

    if (t.fate.manner == FOR_A_WHILE && before && now_ms() > t.until_ms)
        (void)fault_over();
    (void)count(!sim->quiet && !sim->current->dead);
    __real_fiber_turn(fiber);
    (void)count(false);
    if (!fault_happened())
        return;
    if (!before) {
        trace("call %zu for memory has failed", t.fate.call);
        t.until_ms = now_ms() + SHORTAGE_MS;
    }
    if (!before || (t.fate.manner == FOR_A_WHILE && now_ms() <= t.until_ms))
        sim->current->excused = true;
}

void *__wrap_keep(size_t len)
{
    bool before = count(false);
    void *at = __real_keep(len);

    (void)count(before);
    return at;
}

struct str __wrap_keep_str(struct str s)
{
    bool before = count(false);
    struct str kept = __real_keep_str(s);

    (void)count(before);
    return kept;
}

/* Has a scenario of its own (torture_normalize.c). */
int __wrap_catalog_load(struct str overlay, struct catalog **ret, struct why *reterr_why)
{
    bool before = count(false);
    int r = __real_catalog_load(overlay, ret, reterr_why);

    (void)count(before);
    return r;
}

/* ---- doors ---------------------------------------------------------------------------------------------------- */

/* Doors to the same thing have names that begin alike: bus_, state_, history_, objects_. */
static bool alike(const char *one, const char *other)
{
    size_t len = strcspn(one, "_");

    return strncmp(one, other, len + 1) == 0;
}

/* `error` is how a door fails when the world behind it is away, `other` when it is not (0: it does not). 0: it does not fail
 * now. */
static int failure(const char *what, int error, int other)
{
    int r = error ? error : other;

    if (!t.on)
        return 0;
    t.doors++;
    if (t.counting_for) {
        CHECK(t.doors < CALLS_MAX);
        t.counting_for->otherwise[t.doors] = error && other;
    }
    if (t.fate.kind != DOORS)
        return 0;
    if (t.doors == t.fate.call) {
        t.what = what;
        t.until_ms = now_ms() + SHORTAGE_MS;
        r = t.fate.manner == OTHERWISE ? other : r;
    } else if (t.fate.manner != FOR_A_WHILE || !t.what || now_ms() > t.until_ms ||
               !alike(t.what, what)) {
        return 0;
    }
    trace("%s fails: %s", what, err_name(-r));
    sim->current->excused = true;
    (void)doze(between(1, FAILS_MS));
    return -r;
}

#define PASS(...) __VA_ARGS__
#define DOOR(name, params, args, error, other)                                                     \
    int __real_##name(PASS params);                                                                \
    int __wrap_##name(PASS params);                                                                \
    int __wrap_##name(PASS params)                                                                 \
    {                                                                                              \
        int r = failure(#name, error, other);                                                      \
        return r < 0 ? r : __real_##name(PASS args);                                               \
    }
#define HANDLE(name, params, args)                                                                 \
    void *__real_##name(PASS params);                                                              \
    void *__wrap_##name(PASS params);                                                              \
    void *__wrap_##name(PASS params)                                                               \
    {                                                                                              \
        return failure(#name, 0, ERR_NOMEM) < 0 ? NULL : __real_##name(PASS args);                 \
    }

DOOR(bus_producer_open,
     (const struct bus_settings *s, const char *id, int ms, struct bus_producer **ret,
      struct why *why),
     (s, id, ms, ret, why), 0, ERR_NOMEM)
DOOR(bus_transactions_init, (struct bus_producer * p, int ms, struct why *why), (p, ms, why),
     ERR_TIMEOUT, ERR_FENCED)
DOOR(bus_begin, (struct bus_producer * p, struct why *why), (p, why), ERR_FENCED, 0)
DOOR(bus_producer_write,
     (struct bus_producer * p, const char *topic, int32_t partition, struct str key,
      struct str value, const struct bus_header *headers, size_t n, struct bus_ticket *ticket),
     (p, topic, partition, key, value, headers, n, ticket), ERR_UNAVAILABLE, ERR_ABORTED)
DOOR(bus_producer_flush, (struct bus_producer * p, int ms), (p, ms), ERR_TIMEOUT, 0)
DOOR(bus_send_offsets,
     (struct bus_producer * p, struct bus_consumer *c, const struct bus_position *at, size_t n,
      int ms, struct why *why),
     (p, c, at, n, ms, why), ERR_TIMEOUT, ERR_NOMEM)
DOOR(bus_commit, (struct bus_producer * p, int ms, struct why *why), (p, ms, why), ERR_TIMEOUT,
     ERR_ABORTED)
DOOR(bus_abort, (struct bus_producer * p, int ms, struct why *why), (p, ms, why), ERR_TIMEOUT,
     ERR_FENCED)

DOOR(bus_consumer_open,
     (const struct bus_settings *s, const char *topic, const char *group, struct bus_consumer **ret,
      struct why *why),
     (s, topic, group, ret, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_consumer_poll, (struct bus_consumer * c, int ms, struct bus_input *ret), (c, ms, ret),
     ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_consumer_assign, (struct bus_consumer * c, const struct bus_position *at, size_t n),
     (c, at, n), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_consumer_unassign, (struct bus_consumer * c), (c), ERR_UNAVAILABLE, 0)
DOOR(bus_consumer_commit,
     (struct bus_consumer * c, const struct bus_position *at, size_t n, bool wait),
     (c, at, n, wait), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_reader_open,
     (const struct bus_settings *s, const char *topic, bool committed,
      const struct bus_position *at, size_t n, struct bus_reader **ret, struct why *why),
     (s, topic, committed, at, n, ret, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_reader_poll, (struct bus_reader * reader, int ms, struct bus_input *ret),
     (reader, ms, ret), ERR_UNAVAILABLE, 0)
DOOR(bus_reader_seek, (struct bus_reader * reader, const struct bus_position *at, size_t n),
     (reader, at, n), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_admin_open, (const struct bus_settings *s, struct bus_admin **ret, struct why *why),
     (s, ret, why), 0, ERR_NOMEM)
DOOR(bus_admin_partitions,
     (struct bus_admin * admin, const char *topic, int32_t *ret, struct why *why),
     (admin, topic, ret, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_admin_watermarks,
     (struct bus_admin * admin, const char *topic, int32_t partition, int64_t *low, int64_t *high,
      struct why *why),
     (admin, topic, partition, low, high, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_admin_committed,
     (struct bus_admin * admin, const char *group, const char *topic, int32_t n, int64_t *ret,
      struct why *why),
     (admin, group, topic, n, ret, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(bus_admin_create,
     (struct bus_admin * admin, const char *topic, int partitions, int replication,
      const struct topic_settings *settings, struct why *why),
     (admin, topic, partitions, replication, settings, why), ERR_UNAVAILABLE, 0)
DOOR(bus_admin_grow, (struct bus_admin * admin, const char *topic, int n, struct why *why),
     (admin, topic, n, why), ERR_UNAVAILABLE, 0)

DOOR(state_open, (struct str url, struct state **ret, struct why *why), (url, ret, why), 0,
     ERR_NOMEM)
DOOR(history_writer_open,
     (const char *directory, struct str region, int32_t partition, struct history_writer **ret,
      struct why *why),
     (directory, region, partition, ret, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(history_writer_begin,
     (struct history_writer * w, struct str generation, int64_t next, struct why *why),
     (w, generation, next, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(history_writer_add,
     (struct history_writer * w, const struct event *event, int64_t offset, struct why *why),
     (w, event, offset, why), ERR_UNAVAILABLE, ERR_NOMEM)
DOOR(history_writer_expire, (struct history_writer * w, int64_t now, size_t *ret, struct why *why),
     (w, now, ret, why), ERR_UNAVAILABLE, ERR_IO)

HANDLE(http_new, (void), ())
DOOR(objects_open, (const struct config_groups *rows, struct objects **ret, struct why *why),
     (rows, ret, why), 0, ERR_NOMEM)

/* ---- doors that are gone through, and do not do what they should ------------------------------------------------ */

int __real_state_flush(struct state *state, struct why *why);
int __wrap_state_flush(struct state *state, struct why *why);
int __real_history_writer_commit(struct history_writer *w, int64_t next, struct why *why);
int __wrap_history_writer_commit(struct history_writer *w, int64_t next, struct why *why);

/* What was queued is gone, too. */
int __wrap_state_flush(struct state *state, struct why *why)
{
    if (failure("state_flush", ERR_UNAVAILABLE, 0) < 0)
        sim->redis_away_ms = MAX_OF(sim->redis_away_ms, now_ms() + 1);
    return __real_state_flush(state, why);
}

/* Torn: some of it may lie there. */
int __wrap_history_writer_commit(struct history_writer *w, int64_t next, struct why *why)
{
    int r;

    if (failure("history_writer_commit", ERR_UNAVAILABLE, 0) < 0)
        sim->faults.disk_full = 100;
    r = __real_history_writer_commit(w, next, why);
    sim->faults.disk_full = 0;
    return r;
}

/* A request is not taken; or it is, and what became of it is never said: refused once, and done long after otherwise. */
#define REQUEST(name, params, args)                                                                \
    int __real_##name(PASS params);                                                                \
    int __wrap_##name(PASS params);                                                                \
    int __wrap_##name(PASS params)                                                                 \
    {                                                                                              \
        int r = failure(#name, ERR_LIMIT, ERR_TIMEOUT);                                            \
        if (r == -ERR_LIMIT && t.fate.manner == ONCE)                                              \
            return r;                                                                              \
        sim->faults.refused = r == -ERR_LIMIT ? 100 : 0;                                           \
        sim->faults.late_put = r == -ERR_TIMEOUT ? 100 : 0;                                        \
        r = __real_##name(PASS args);                                                              \
        sim->faults.refused = sim->faults.late_put = 0;                                            \
        return r;                                                                                  \
    }

REQUEST(objects_put,
        (struct http * http, const struct objects_store *store, int64_t now_s, struct str bucket,
         struct str key, struct str body, const struct object_meta_field *meta, size_t n,
         objects_done_fn *done, void *arg),
        (http, store, now_s, bucket, key, body, meta, n, done, arg))
REQUEST(objects_head,
        (struct http * http, const struct objects_store *store, int64_t now_s, struct str bucket,
         struct str key, const struct crypto_key *hmac_key, objects_done_fn *done, void *arg),
        (http, store, now_s, bucket, key, hmac_key, done, arg))
REQUEST(objects_list,
        (struct http * http, const struct objects_store *store, int64_t now_s, struct str bucket,
         struct str prefix, struct str after, struct str token, objects_done_fn *done, void *arg),
        (http, store, now_s, bucket, prefix, after, token, done, arg))
REQUEST(objects_probe_begin,
        (struct http * http, const struct objects_store *store, int64_t now_s, struct str bucket,
         struct str prefix, objects_probed_fn *done, void *arg),
        (http, store, now_s, bucket, prefix, done, arg))

/* ---- runs --------------------------------------------------------------------------------------------------------- */

/* The calls for memory that this run has made. */
static size_t run_course(struct run *run, struct fate fate)
{
    size_t calls;

    t.fate = fate;
    t.doors = 0;
    t.what = NULL;
    run_as(run, courses[fate.course]);
    fault_begin(fate.kind == MEMORY ? fate.call : 0, fate.manner == FOR_A_WHILE);
    world_run_usual(run);
    if (!fault_end(&calls))
        run_fail(run, "memory is not given back");
    if (fate.call && !t.what && !fault_happened())
        run_fail(run, "no call has failed: runs differ in something else");
    return calls;
}

static void run_one(struct run *run)
{
    (void)run_course(run, t.fates[run->seed - 1]);
}

static void run_without_fault(struct run *run)
{
    size_t course = run->seed - 1;

    t.counting_for = &t.counted[course];
    t.counting_for->calls[MEMORY] = run_course(run, (struct fate){.course = (uint8_t)course});
    t.counting_for->calls[DOORS] = t.doors;
    t.counting_for = NULL;
}

static void add_fate(size_t course, enum kind kind, enum manner manner, size_t call)
{
    if (manner == OTHERWISE && (kind == MEMORY || !t.counted[course].otherwise[call]))
        return;
    t.fates[t.fate_count++] = (struct fate){(uint8_t)course, (uint8_t)kind, (uint8_t)manner, call};
}

static void plan(size_t course, enum kind kind)
{
    size_t calls = t.counted[course].calls[kind];
    size_t step = getenv("TORTURE_ALL") ? 1 : calls / RUNS_MAX + 1, before = t.fate_count;

    for (size_t call = 1; call <= calls; call += step)
        for (int manner = 0; manner < MANNERS; manner++)
            add_fate(course, kind, (enum manner)manner, call);
    printf("course %zu: %zu calls %s, %zu runs, each %zu%s\n", course + 1, calls,
           kind == MEMORY ? "for memory" : "of doors", t.fate_count - before, step,
           step == 1 ? "" : "th call");
}

static void *shared(size_t len)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(at != MAP_FAILED);
    return at;
}

/* Arguments are the runner's: `--seed N --trace` shows run N. */
int main(int argc, char **argv)
{
    char count_text[24];
    char *all[] = {argv[0], (char[]){"--seeds"}, count_text, (char[]){"--no-shrink"}, NULL};
    const struct world quiet = {"courses", world_counters, run_without_fault};
    const struct world torture = {"torture.pipeline", world_counters, run_one};

    t.counted = shared(ARRAY_LEN(courses) * sizeof(*t.counted));
    t.fates = shared(ARRAY_LEN(courses) * KINDS * MANNERS * CALLS_MAX * sizeof(*t.fates));
    (void)snprintf(count_text, sizeof(count_text), "%zu", ARRAY_LEN(courses));
    if (runner_main(&quiet, 4, all) != 0)
        return 1;
    for (size_t course = 0; course < ARRAY_LEN(courses); course++)
        for (int kind = 0; kind < KINDS; kind++)
            plan(course, (enum kind)kind);
    (void)snprintf(count_text, sizeof(count_text), "%zu", t.fate_count);
    return argc > 1 ? runner_main(&torture, argc, argv) : runner_main(&torture, 4, all);
}
