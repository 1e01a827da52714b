/* delivery.h - which event goes into which object, exactly once: the delivery protocol as a state machine.
 *
 *     records, answers, time --> struct delivery --> effects (put this, look at that, commit, …)
 *
 * The core decides everything and does nothing: its shell (delivering.c) carries the effects out and tells it
 * what became of them; the simulator (tests/simulation) does the same against a world that lies and
 * crashes. Comments name the protocol's rules, docs/DELIVERY.md, by their numbers.
 *
 * A *stream* is one series of objects: (chain, partition, account, event type). Each has
 *
 *     boundary   where its next object begins: its origin, or `next` of an existing object
 *     cursor     the next offset that it has yet to be offered; never below the boundary
 *     clear      its first match that is not settled, else the cursor
 *
 *          STARTING --progress, listing--> LATE --catch-up reader--> JOINED --end of chain--> ENDED
 *                                           ^                          |
 *                                           +------- PARKED <----------+   destination fails
 *
 * Layer: core. No I/O, clock, randomness, threads or globals. DEPS base, event, trail.
 */
#ifndef DELIVERY_CORE_DELIVERY_H
#define DELIVERY_CORE_DELIVERY_H

#include "account.h"
#include "base/base.h"
#include "event/event.h"
#include "trail/trail.h"

#define DELIVERY_PARTITIONS_MAX 1024
#define DELIVERY_WHY_SIZE       256

struct delivery;

struct delivery_settings {
    struct str region, topic, generation; /* of the topic events.<region> */
    int32_t partition_count;
    int64_t flush_age_ms, flush_bytes;
    int64_t memory_max;    /* buffered documents of all streams */
    int64_t uploads_max;   /* PUTs under way */
    int64_t park_after_ms; /* a destination that fails for so long is parked */
    int64_t retry_first_ms, retry_max_ms;
    int64_t buffer_age_max_ms; /* rule 10: half the log's retention */
    int64_t progress_ms;       /* a quiet stream's progress is written this often */
    uint64_t seed;             /* of the jitter */
};

/* What the store answered; the shell maps lib/objects' outcomes onto these. */
enum delivery_outcome {
    DELIVERY_OK,
    DELIVERY_EXISTS,
    DELIVERY_UNCLEAR,
    DELIVERY_NOT_FOUND,
    DELIVERY_FAILED, /* no bucket, denied, refused: not carried out, and not soon */
};

/* What an object's metadata says (rule 9), verified by the shell. */
struct delivery_meta {
    char chain[TRAIL_CHAIN_SIZE];
    int32_t partition;
    int64_t from, first, last, next, count, version;
    struct account_counts total; /* at `next`; since -1: it does not say */
};

struct delivery_record {
    int64_t offset, time_ms, version;
    int64_t taken_ms; /* of the core's clock */
    int64_t filtered; /* the stream's total before it */
    size_t len;
    char document[];
};

enum delivery_effect_kind {
    DELIVERY_READ_PROGRESS,  /* stream; answer: delivery_progress() */
    DELIVERY_LIST,           /* stream's whole folder since created_s; answer: delivery_listed() */
    DELIVERY_ASK_END,        /* partition: where does the log end now? answer: delivery_log_end() */
    DELIVERY_PUT,            /* stream, meta, records; answer: delivery_put_done() */
    DELIVERY_HEAD,           /* stream, first, first_time_ms; answer: delivery_head_done() */
    DELIVERY_WRITE_PROGRESS, /* stream, boundary, clear, counts at both */
    DELIVERY_SHOW, /* stream, boundary, offset (cursor), counts there, waiting, state: for people */
    DELIVERY_COMMIT,        /* partition, offset */
    DELIVERY_CATCH_UP,      /* partition, offset: read from there beside the shared reader */
    DELIVERY_CATCH_UP_STOP, /* partition */
    DELIVERY_PROBE,         /* stream: is its destination back? answer: delivery_probed() */
    DELIVERY_LOST,          /* stream, offset, to: the log has gone on without us (rule 6). Alarm */
    DELIVERY_STUCK,         /* stream, why: parked until an operator looks. Alarm */
};

/* Slices and records are borrowed until the next call into the core. */
struct delivery_effect {
    enum delivery_effect_kind kind;
    uint64_t stream; /* to be given back with the answer; 0 for those of a partition */
    int32_t partition;
    int64_t offset, to;
    int64_t boundary, clear;
    struct account counts;
    int64_t waiting;   /* matches that are read and not settled */
    const char *state; /* one word */
    struct str trail, account, bucket, prefix, chain;
    int64_t created_s;     /* of the trail, by the API's clock; of a listing of all there is: 0 */
    int64_t first_time_ms; /* LogAppendTime of the object's first record: its key's date */
    struct delivery_meta meta;
    const struct delivery_record *const *records; /* meta.count of them */
    char why[DELIVERY_WHY_SIZE];
};

enum delivery_source {
    DELIVERY_SHARED,
    DELIVERY_CATCHING_UP,
};

/* `book` is the caller's and outlives the core; changes met in the log are added to it. NULL: no memory. */
struct delivery *delivery_new(const struct delivery_settings *settings, struct trail_book *book);
void delivery_free(struct delivery *delivery);
AUTO_DEFINE(struct delivery, delivery_free)

/* ---- inputs ------------------------------------------------------------------------------------ */

/* A partition is ours; the book holds all of `control` (rule 3). The shared reader begins at `position`. */
MUST_CHECK int delivery_assign(struct delivery *delivery, int32_t partition, int64_t log_start,
                               int64_t log_end, int64_t position);
void delivery_revoke(struct delivery *delivery, int32_t partition);

/* One record, in the order of its source. `event` NULL: a change record without one. `change`: the version
 * that the record brings; owned by the core from here on. -ERR_CONFLICT: the log contradicts `control`. */
MUST_CHECK int delivery_record(struct delivery *delivery, enum delivery_source source,
                               int32_t partition, int64_t offset, int64_t time_ms,
                               const struct event *event, struct trail_version *change,
                               struct why *reterr_why);
/* The source has read all below `position`. */
MUST_CHECK int delivery_end(struct delivery *delivery, enum delivery_source source,
                            int32_t partition, int64_t position);
/* The catch-up reader's place is no longer in the log (rule 6). */
void delivery_out_of_range(struct delivery *delivery, int32_t partition, int64_t log_start);

/* `known` false: Redis has none, or is away. `counts` NULL: it does not say. */
void delivery_progress(struct delivery *delivery, uint64_t stream, bool known, int64_t boundary,
                       int64_t clear, const struct account *counts);
/* The log's high watermark, asked for after the stream's progress was read (rule 1). */
void delivery_log_end(struct delivery *delivery, uint64_t stream, int64_t log_end);
/* The greatest first offset of the stream's chain and partition among the listed keys, if any. */
void delivery_listed(struct delivery *delivery, uint64_t stream, enum delivery_outcome outcome,
                     bool any, int64_t first, int64_t first_time_ms, const char *why);
void delivery_put_done(struct delivery *delivery, uint64_t stream, enum delivery_outcome outcome,
                       const char *why);
/* `meta` NULL: missing, foreign or forged. */
void delivery_head_done(struct delivery *delivery, uint64_t stream, enum delivery_outcome outcome,
                        const struct delivery_meta *meta, const char *why);
void delivery_probed(struct delivery *delivery, uint64_t stream, enum delivery_outcome outcome,
                     const char *why);
/* Time passes: `now_ms` of a clock that never steps back. */
void delivery_tick(struct delivery *delivery, int64_t now_ms);
/* What was written of progress may be gone (Redis was emptied, or did not answer): each stream writes its own
 * again, even if it stands still. */
void delivery_progress_lost(struct delivery *delivery);
/* From now on everything is flushed at once. */
void delivery_drain(struct delivery *delivery);

/* ---- outputs ----------------------------------------------------------------------------------- */

/* False also for good after delivery_error(). */
bool delivery_next(struct delivery *delivery, struct delivery_effect *ret);
/* 0, or -ERR_NOMEM: something was not noted. Nothing that was is carried out any more; the process has to end, and what
 * is not committed is read again. */
int delivery_error(const struct delivery *delivery);
/* Whether more records may be offered: within the memory budget. */
bool delivery_takes(const struct delivery *delivery);
/* No stream waits for its progress: the shared reader may begin. */
bool delivery_started(const struct delivery *delivery);
/* Nothing buffered and nothing under way (parked streams do not count). */
bool delivery_idle(const struct delivery *delivery);

struct delivery_view {
    size_t streams, parked, late, stuck;
    int64_t buffered_bytes, buffered_records;
    uint64_t delivered, objects;
};
void delivery_view(const struct delivery *delivery, struct delivery_view *ret);

#endif
