/* sim.h - a world for the whole pipeline: production's shells and cores above doors that lie.
 *
 *     main.c      simulate-pipeline; tests/torture has another main
 *     run.c       one seed: what happens next, until everything has come to rest
 *     process.c   processes: daemon.h, clocks, crashes at any door, sleep
 *     kafka.c     the brokers: logs, transactions with markers, retention
 *     groups.c    the brokers: consumer groups with static members
 *     bus.c       bus.h's handles: producer, consumer, reader, admin
 *     redis.c     state.h
 *     disk.c      history.h's writer
 *     store.c     objects.h, http.h
 *     api.c       the API's changes of trails
 *     operator.c  trailctl topics apply
 *     load.c      services that publish
 *     oracle.c    what must have become of all that, computed from logs and objects alone
 *
 * A process that is killed finds all its doors shut: whatever it calls has no effect and fails, so it unwinds
 * by its own error paths, and nothing leaks.
 *
 * One world at a time: doors have no argument that could name it.
 */
#ifndef SIMULATION_SIM_H
#define SIMULATION_SIM_H

#include "../runner.h"
#include "base/base.h"
#include "config/common.h"
#include "daemon/daemon.h"

#define REGIONS_MAX    2
#define PARTITIONS_MAX 3 /* of one topic */
#define PROCESSES_MAX  24
#define ACCOUNTS       3
#define WALL_BEGIN_MS                                                                              \
    1767225600000LL /* 2026-01-01: in the past, so that nobody waits for it by a real clock */
#define WORLD_BYTES_MAX (256 << 20)

enum worker_kind {
    NORMALIZER,
    ROUTER,
    HISTORY,
    DELIVERY,
    API,
    OPERATOR,
    WORKER_KINDS,
};

/* How often things go wrong, in percent of the occasions; drawn for each run, many of them 0. */
struct faults {
    int64_t crash, freeze;           /* of a process's lives */
    int64_t lost_answer, unclear;    /* of commits */
    int64_t failed_write;            /* of records in a transaction */
    int64_t no_answer;               /* of what an admin asks */
    int64_t slow_marker;             /* of transactions */
    int64_t loading;                 /* of assignments: the coordinator knows too little */
    int64_t redis_lost, redis_stale; /* of commands */
    int64_t disk_full, torn_commit;  /* of history's commits */
    int64_t refused, silent, slow, late_put, lag; /* of requests to stores */
};

struct process {
    enum worker_kind kind;
    struct str region; /* empty: of all */
    char instance[8];
    struct fiber *fiber; /* NULL: not running */
    bool dead;           /* killed: doors are shut */
    bool stopping;       /* SIGTERM */
    bool froze;          /* in this life */
    bool excused;        /* in this life a call was made to fail: it may give up (tests/torture) */
    uint64_t life;
    int64_t wake_ms;       /* has its next turn then */
    int64_t asleep_ms;     /* frozen until then: its heartbeats too */
    int64_t wall_skew_ms;  /* of its wall clock */
    int64_t mono_begin_ms; /* of its monotonic clock */
    int64_t dead_ms;       /* added to its clocks at each look, once it is dead */
    int64_t doors_left;    /* until it is killed; -1: it is not */
    int64_t freeze_left;   /* until it freezes */
    int64_t restart_ms;
    bool gone; /* for good, once it has ended: another took its name, or its work is done */
    int64_t backoff_ms;
    int result;
    char status[96];
};

struct sim {
    struct run *run;
    struct arena *memory; /* of logs, Redis, disks: until the run ends */
    bool quiet;           /* nothing goes wrong any more */
    struct faults faults;

    struct str regions[REGIONS_MAX];
    size_t region_count;
    int32_t raw_partitions, events_partitions, global_partitions;
    int64_t window_events;
    int64_t idle_ms; /* how long an idle process may sleep in a poll */
    struct topology_section topology;
    int32_t partitions; /* of each topic, by the operator's configuration; 0: he has not come yet */
    bool grown;         /* he has added partitions, or is about to */
    enum {
        ANEW_NEVER,
        ANEW_ASKED, /* doomed topics are to be made anew */
        ANEW_DONE,
    } anew;
    bool held; /* he has stopped everybody */

    struct process processes[PROCESSES_MAX];
    size_t process_count;
    struct process *current; /* whose turn it is; NULL: the world's */

    int64_t broker_skew_ms;   /* of the brokers' clock */
    int64_t broker_newest_ms; /* that it has said */
    int64_t kafka_away_ms;    /* until then */
    int64_t redis_away_ms;    /* until then */
    struct kafka *kafka;
    struct redis *redis;
    struct disks *disks;
    struct store *store;
    struct load *load;
    struct calls *calls; /* of the API */
    struct oracle *oracle;
};

extern struct sim *sim;

/* ---- chance, time, trace ------------------------------------------------------------------------------- */

int64_t between(int64_t least, int64_t most); /* both included */
bool chance(int64_t percent);
bool fault(int64_t percent); /* never while it is quiet */
void trace(const char *format, ...) PRINTF_LIKE(1, 2);
__attribute__((noreturn)) void fail(const char *format, ...) PRINTF_LIKE(1, 2);
int64_t now_ms(void);        /* of the world */
int64_t broker_now_ms(void); /* wall clock of the brokers */
void *keep(size_t len);      /* zeroed; until the run ends */
struct str keep_str(struct str s);

/* ---- run.c --------------------------------------------------------------------------------------------- */

extern const char *const world_counters[];
/* One seed. */
void world_run(struct run *run);
/* One seed in which nothing goes wrong by itself: what fails is somebody else's to say (tests/torture). */
void world_run_usual(struct run *run);

/* ---- process.c ------------------------------------------------------------------------------------------- */

/* Goes through a door: takes some time, and may be the last that the process does. False: it is dead, and
 * what is behind the door does not happen. Call it before the effect, and again before the answer. */
bool door(int64_t least_ms, int64_t most_ms);
/* Sleeps at a door. */
bool doze(int64_t ms);
bool process_awake(const struct process *process);
struct process *process_add(enum worker_kind kind, struct str region, int number);
void process_start(struct process *process);
void process_kill(struct process *process);
void process_turn(struct process *process);
void process_end(struct process *process); /* whatever it is doing */

/* ---- redis.c, disk.c, store.c ------------------------------------------------------------------------------ */

void redis_new(void);
void redis_empty(void);
/* A stream's progress as somebody wrote it, whether or not Redis kept it. */
struct progress {
    struct str key, text;
    int64_t at_ms;
    struct progress *next; /* newest first */
};
const struct progress *redis_progress(void);

void disks_new(void);
/* Rows of an account's event, in all partitions of a region. */
size_t disk_rows(struct str region, struct str account, struct str id);
size_t disk_row_count(void);
/* Position and note of a partition; false: it has none in the topic that is there now. */
bool disk_position(struct str region, int32_t partition, int64_t *ret_next, struct str *ret_note);
void disk_topic_gone(struct str region);     /* positions count in a log that is no more */
void disk_positions_away(struct str region); /* somebody moves them away */

enum bucket_state {
    BUCKET_UP,
    BUCKET_REFUSING,
    BUCKET_MUTE,
};
#define BUCKETS 2
struct object_meta_field;
struct object {
    int bucket;
    struct str key, body; /* body: as it was put */
    struct object_meta_field *fields;
    int64_t created_ms, visible_ms;
    struct object *next;
};
struct object_meta;
struct crypto_key;
/* What its metadata says; false: it is not ours. */
bool store_meta(const struct object *object, const struct crypto_key *key, struct object_meta *ret);
void store_new(void);
void store_set(int bucket, enum bucket_state state);
void store_tick(void); /* what is due happens */
int64_t store_due_ms(void);
const struct object *store_objects(void); /* newest first */
struct str store_bucket_name(int bucket);
/* The first record of what a PUT that is on its way holds, or an object that listings do not show yet. INT64_MAX: none. */
int64_t store_first_unsettled(struct str region, int32_t partition);

/* ---- api.c ------------------------------------------------------------------------------------------------- */

enum call_state {
    CALL_UNDER_WAY,
    CALL_DONE,      /* answered: it is so, by a change of this call */
    CALL_UNCHANGED, /* answered: it was so */
    CALL_REFUSED,
    CALL_UNKNOWN, /* ServiceUnavailable, or the process was killed */
};
struct call {
    char request[32];
    enum call_state state;
    bool create, forced;
    bool last;         /* made when nothing goes wrong any more, and nobody else calls */
    int64_t begun_ms;  /* when it came */
    struct call *next; /* newest first */
};
void calls_new(void);
const struct call *calls_all(void);
int api_run(struct daemon *daemon, struct process *process);

/* ---- operator.c -------------------------------------------------------------------------------------------- */

/* What a command prints is nobody's here: while one has its turn, it goes nowhere. */
void operator_mute(bool mute);
/* Applies a topology with more partitions, or makes topics anew. 0, or why it has to be done again. */
int operator_run(void);

/* ---- load.c -------------------------------------------------------------------------------------------------- */

enum expectation {
    EXPECT_EVENT,
    EXPECT_DUPLICATE,
    EXPECT_CONFLICT,
    EXPECT_REJECTED,
    EXPECT_DROPPED,
};
struct published {
    enum expectation expect;
    char id[32]; /* of the event */
    struct str account, region;
    const struct topic *topic;
    int32_t partition;
    int64_t offset, at_ms, said_s; /* said: eventTime */
    bool global, write;
    struct str target;      /* region that a regional event belongs to */
    struct published *next; /* newest first */
};
void load_new(void);
void load_publish(void);
const struct published *load_all(void);
struct str load_account(int account);

/* ---- oracle.c ------------------------------------------------------------------------------------------------ */

void oracle_new(void);
void oracle_free(void);
/* After every object (rule 18). */
void oracle_object(const struct object *object);
/* What is not done yet, for a person; NULL: everything is. */
const char *oracle_waits(void);
/* Likewise, but for delivery. */
const char *oracle_waits_before(void);
/* Everything has come to rest: is it right? */
void oracle_final(void);

#endif
