/* sim.h - a world for delivery's core: a log, stores, Redis, trails and workers in virtual time.
 *
 *     world.c    one seed: what happens next, until everything has come to rest
 *     log.c      partitions with transactions, aborted records, markers and a retention
 *     trails.c   the list of changes; which settings hold at an offset, computed from it alone
 *     store.c    buckets: create-only, slow, down, with answers that are late, lost or "not found"
 *     redis.c    progress that is lost, late, old, reordered
 *     worker.c   the shell: the production core, with crashes, sleep and zombies
 *     oracle.c   rule 18, checked whenever an object appears; rule 17; nothing lost, doubled, invented
 *
 * A seed decides everything: the world draws all its randomness from its run (../runner.h) and all its time
 * from one number. Rule numbers are those of docs/DELIVERY.md.
 */
#ifndef SIMULATION_SIM_H
#define SIMULATION_SIM_H

#include "base/base.h"
#include "core/delivery.h"
#include "event/event.h"
#include "trail/trail.h"

#include "../runner.h"

#define TOPIC     STR("events.cn-hangzhou")
#define HERE      STR("cn-hangzhou")
#define ELSEWHERE STR("cn-beijing")

#define PARTITIONS_MAX 2
#define ACCOUNTS       3
#define TRAILS_MAX     5
#define VERSIONS_MAX   24
#define BUCKETS        3
#define GENERATIONS    3 /* lives of the topic */
#define WORKERS        3
#define CHANGES_MAX    (TRAILS_MAX * VERSIONS_MAX)
#define DOCUMENT_MAX   160

/* How long things take, in ms of virtual time. What the protocol assumes of the world is in these numbers: requests
 * end long before records leave the log, and listings lag by less than that. */
#define REQUEST_DEADLINE_MS 400
#define REQUEST_LATE_MS     1200 /* a request may arrive so long after we gave it up */
#define LISTING_LAG_MS      1000
#define RETENTION_MS        12000

struct sim;

/* ---- world.c: chance, trace, failure ----------------------------------------------------------------- */

int64_t sim_between(struct sim *sim, int64_t least, int64_t most); /* both included */
bool sim_chance(struct sim *sim, int64_t percent);
void sim_trace(const struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);
/* The run has shown a fault: says so and ends the process. */
__attribute__((noreturn)) void sim_fail(const struct sim *sim, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* ---- log.c ------------------------------------------------------------------------------------------- */

enum entry_kind {
    ENTRY_EVENT,
    ENTRY_CHANGE, /* of a trail; may carry an event, the call that made it */
    ENTRY_MARKER,
};
enum entry_state {
    ENTRY_OPEN, /* its transaction goes on */
    ENTRY_COMMITTED,
    ENTRY_ABORTED,
};

struct entry {
    enum entry_kind kind;
    enum entry_state state;
    int transaction;
    int64_t time_ms;     /* LogAppendTime: steps back now and then */
    int64_t appended_ms; /* virtual time */
    int64_t read_ms;     /* when a worker was last given it */
    int64_t stored_ms;   /* when an object with it last appeared */
    int change;          /* index of the change */
    bool with_event;     /* of a change */
    int account;         /* of the event, if there is one */
    bool global, inner, for_history_only;
    enum event_rw rw;
    size_t document_len;
};

struct sim_log {
    struct entry *entries; /* by offset */
    int64_t end, cap;
    int64_t start;
    int64_t stable;    /* no transaction is open below: see log_stable() */
    int64_t committed; /* the group's offset */
};

struct transaction {
    int id;
    bool open[PARTITIONS_MAX]; /* its marker is still to come there */
    int change;                /* -1: events */
    bool abort, control_open;
};

/* Empty, and at offset 0 again. */
void log_make_anew(struct sim *sim);
int64_t log_append(struct sim *sim, int32_t partition, struct entry entry);
/* Readers of committed records see what lies below: the last stable offset. */
int64_t log_stable(struct sim_log *log);
const struct entry *log_at(const struct sim *sim, int32_t partition, int64_t offset);
void log_begin_events(struct sim *sim);
void log_begin_change(struct sim *sim, int change);
/* One partition's marker, or that of `control`; transactions end piece by piece. */
void log_mark_some(struct sim *sim);
void log_mark_all(struct sim *sim);
void log_retain(struct sim *sim);
/* The event of an entry; its document lies in `document`. */
void log_event(int32_t partition, int64_t offset, const struct entry *entry, struct event *ret,
               char document[DOCUMENT_MAX]);

/* ---- trails.c ------------------------------------------------------------------------------------------ */

enum reach {
    REACH_HERE,
    REACH_ALL,
    REACH_ELSEWHERE,
};

struct sim_version {
    bool logging, deleted;
    enum trail_rw rw;
    enum reach reach;
    int64_t destination; /* number */
    bool before_log;     /* made before our topic was made anew */
    bool concerned;      /* has change records in our topic, or holds there from its start */
    int32_t partition_count;
    int64_t offsets[PARTITIONS_MAX]; /* -1: not appended yet */
};

struct sim_trail {
    char id[TRAIL_ID_SIZE];
    int account;
    bool home_here;
    struct sim_version versions[VERSIONS_MAX];
    size_t version_count;
    struct {
        int bucket;
        int64_t version;
        char chain[TRAIL_CHAIN_SIZE];
    } destinations[VERSIONS_MAX];
    int64_t destination_count;
};

struct change {
    int trail;
    size_t version; /* index */
    char *record;   /* header of the change record */
    char *entry;    /* value in `control`, once committed there */
    bool aborted;
};

bool trails_fenced(const struct sim *sim); /* a change is under way: rule 2 */
/* Appends a change of some trail, of some kind, in a transaction of its own. */
void trails_change(struct sim *sim);
void trails_create(struct sim *sim);
/* The topic was deleted and made again: a new log, for which the trails' last settings hold from its start. */
void trails_begin_new_log(struct sim *sim);
struct str trails_generation(const struct sim *sim); /* of the topic */
/* `control` has the change, or it has come to nothing. */
void trails_settle(struct sim *sim, int change, bool aborted);
void trails_free(struct sim *sim);
/* Number of the destination that the event at `offset` belongs to by this trail, 0: none. */
int64_t trails_expect(const struct sim *sim, int trail, int32_t partition, int64_t offset);
/* Version number in effect there; 0: none. */
int64_t trails_version_at(const struct sim *sim, int trail, int32_t partition, int64_t offset);
/* First offset of the destination's chain, -1: it has none here; and where it ends, INT64_MAX: it lives. */
int64_t trails_origin(const struct sim *sim, int trail, int64_t destination, int32_t partition);
int64_t trails_chain_end(const struct sim *sim, int trail, int64_t destination, int32_t partition);
struct str trails_bucket_name(int bucket);

/* ---- store.c ------------------------------------------------------------------------------------------- */

struct object {
    char key[160];
    int bucket;
    struct delivery_meta meta;
    int64_t first_time_ms;
    int64_t *offsets; /* of the documents in it; meta.count of them */
    int64_t created_ms, visible_ms;
};

enum bucket_state {
    BUCKET_UP,
    BUCKET_REFUSING, /* says no to everything */
    BUCKET_MUTE,     /* says nothing */
};

struct bucket {
    enum bucket_state state;
    struct object **objects;
    size_t count, cap;
};

/* A request under way: to a store or to Redis. */
struct call {
    enum delivery_effect_kind kind;
    int worker;
    uint64_t life; /* of the worker: a later one hears nothing */
    uint64_t stream;
    int64_t arrives_ms;   /* the other side carries it out; INT64_MAX: it never does */
    int64_t answer_ms;    /* the worker may be told from then on */
    bool arrived, silent; /* silent: the answer is lost, whatever it was */
    enum delivery_outcome outcome;
    int bucket;
    char chain[TRAIL_CHAIN_SIZE];
    int32_t partition;
    int64_t first, first_time_ms;
    struct object *object; /* to be put; found; newest listed */
    bool owns_object;
    bool known; /* of progress */
    int64_t boundary, clear;
    struct account counts;
    struct call *next;
};

struct call *call_new(struct sim *sim, int worker, const struct delivery_effect *effect);
void calls_arrive(struct sim *sim); /* what is due by now happens */
void calls_free(struct sim *sim);
void store_begin(struct sim *sim, int worker, const struct delivery_effect *effect);
void store_carry_out(struct sim *sim, struct call *call);
void store_free(struct sim *sim);

/* ---- redis.c ------------------------------------------------------------------------------------------- */

struct progress {
    char chain[TRAIL_CHAIN_SIZE];
    int32_t partition;
    int64_t boundary, clear;
    struct account counts;
    bool current; /* the newest written; older ones may be read too */
};

struct redis {
    struct progress *values; /* in the order in which they arrived */
    size_t count, cap;
    uint64_t emptied; /* so often */
};

void redis_begin(struct sim *sim, int worker, const struct delivery_effect *effect);
void redis_carry_out(struct sim *sim, struct call *call);
void redis_empty(struct sim *sim);
bool redis_knows(const struct sim *sim, const char *chain, int32_t partition);
void redis_free(struct sim *sim);

/* ---- worker.c -------------------------------------------------------------------------------------------- */

struct sim_worker {
    bool alive, draining;
    uint64_t life;
    int64_t clock_ms; /* its monotonic clock is ahead of the world's by this */
    int64_t awake_ms; /* asleep until then */
    bool owns[PARTITIONS_MAX];
    int64_t shared[PARTITIONS_MAX]; /* position of the shared reader */
    int64_t late[PARTITIONS_MAX];   /* of the catch-up reader; -1: closed */
    struct delivery *core;          /* NULL: it knows its offsets, but has not read `control` yet */
    struct trail_book *book;        /* kept from one assignment to the next */
    int control_next;               /* the first change that it has not read */
    uint64_t emptied;               /* Redis, as far as it has noticed */
};

void worker_start(struct sim *sim, int worker, bool all);
void worker_kill(struct sim *sim, int worker);
/* It joins the group anew, and keeps nothing but what it has read of `control`. */
void worker_rejoin(struct sim *sim, int worker);
bool worker_can_take(const struct sim *sim); /* `control` has no open transaction */
void worker_take(struct sim *sim, int worker);
void worker_poll_shared(struct sim *sim, int worker, int64_t records);
void worker_poll_late(struct sim *sim, int worker, int64_t records);
void worker_tick(struct sim *sim, int worker);
/* Hands it one answer that is due, if any. */
bool worker_answer(struct sim *sim, int worker);
void worker_revoke_one(struct sim *sim, int worker);
bool worker_at_rest(const struct sim *sim, int worker);

/* ---- oracle.c --------------------------------------------------------------------------------------------- */

struct chain {
    char id[TRAIL_CHAIN_SIZE];
    int trail;
    int64_t destination;
    int32_t partition;
    int64_t origin;
    struct object **objects; /* each begins where the one before ended */
    size_t count, cap;
    struct {
        int64_t from, to;
    } * lost; /* announced as lost */
    size_t lost_count, lost_cap;
};

void oracle_put(struct sim *sim, const struct delivery_effect *effect); /* before it is sent */
void oracle_created(struct sim *sim, struct object *object);
void oracle_progress(struct sim *sim, const struct delivery_effect *effect);
void oracle_shown(struct sim *sim, const struct delivery_effect *effect);
void oracle_lost(struct sim *sim, const struct delivery_effect *effect);
/* All that is expected is in an object, or was lost; and progress is kept. */
bool oracle_complete(struct sim *sim);
void oracle_final(struct sim *sim); /* counts every document in every bucket */
void oracle_free(struct sim *sim);

/* ---- the world ---------------------------------------------------------------------------------------------- */

/* What can go wrong in this run, in percent a time that it could. */
struct faults {
    int64_t crash, zombie, sleep, abort, retention, eclipse, arbitrary_commit;
    int64_t slow, refused, lost_answer, late_put, hidden, not_found, down, at_once;
    int64_t redis_lost, redis_late, redis_old, redis_empty, redis_away;
    int64_t rejoin, clock, partition, anew;
};

struct sim {
    struct run *run;
    bool quiet; /* nothing goes wrong any more */
    int64_t now_ms;
    int64_t pace_ms; /* a step takes at most so long */
    int32_t partition_count;
    int generation; /* of the topic; each has its chains */
    struct delivery_settings settings;
    struct faults faults;
    bool crashes_between; /* ... two effects of a worker */
    struct sim_log logs[PARTITIONS_MAX];
    struct transaction *transactions;
    size_t transaction_count, transaction_cap;
    int transaction_id;
    struct sim_trail trails[TRAILS_MAX];
    int trail_count;
    struct change changes[CHANGES_MAX];
    int change_count;
    struct bucket buckets[BUCKETS];
    struct call *calls;
    struct redis redis;
    struct sim_worker workers[WORKERS];
    uint64_t lives;
    struct chain *chains;
    size_t chain_count, chain_cap;
    char (*gone)[TRAIL_CHAIN_SIZE]; /* chains of a topic that was made anew since */
    size_t gone_count, gone_cap;
    uint64_t lost_offsets, adopted;
};

/* Room for one more in a growing array of the world. */
#define SIM_GROW(array, count, cap)                                                                \
    do {                                                                                           \
        if ((count) == (cap)) {                                                                    \
            (cap) = (cap) ? (cap)*2 : 16;                                                          \
            (array) = realloc((array), (size_t)(cap) * sizeof((array)[0]));                        \
            CHECK(array);                                                                          \
        }                                                                                          \
    } while (0)

#endif
