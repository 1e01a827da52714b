/* intake.h - what becomes of a record, where a partition is begun, and when a batch is committed.
 *
 * Layer: pure. DEPS base, event, tally.
 */
#ifndef HISTORY_INTAKE_H
#define HISTORY_INTAKE_H

#include "base/base.h"
#include "event/event.h"
#include "tally/tally.h"

/* ---- a record ----------------------------------------------------------------------------------- */

enum intake {
    INTAKE_INDEXED,     /* *ret_event goes into the store */
    INTAKE_CHANGE,      /* a trail's change without an event: history takes no notice of trails */
    INTAKE_NOT_HISTORY, /* a copy for delivery only, or no management event */
    INTAKE_COUNT,
};
const char *intake_name(enum intake intake); /* for counters */

/* `change`: it has the header of a trail's change; its value, when there is one, is the event of the
 * call that made it, indexed like any other. The event borrows from `value`.
 * -ERR_INVALID: no event. Only we write to the topic, so that is for an operator to look at. */
MUST_CHECK int intake_decide(struct str value, bool change, enum intake *ret,
                             struct event *ret_event, struct why *reterr_why);

/* ---- counting ----------------------------------------------------------------------------------- */

/* What a record of the log is exactly one of (lib/tally). */
enum intake_kind {
    INTAKE_EVENTS,  /* from a normalizer or the router: for the history, or for delivery only */
    INTAKE_CALLS,   /* a trail's change that carries the event of its call */
    INTAKE_CHANGES, /* one that carries none */
    INTAKE_KIND_COUNT,
};
extern const struct tally_kinds intake_kinds;
enum intake_kind intake_kind_of(bool change, enum intake intake);

/* ---- where to begin ------------------------------------------------------------------------------ */

struct intake_start {
    struct str stored_generation; /* of the topic that the stored position counts in */
    int64_t stored_next;          /* -1: nothing stored */
    struct str generation;        /* of the topic that is there now */
    int64_t log_start, log_end;   /* log_end: behind the last record, committed or not */
    bool accept_loss;             /* begin behind records that are gone */
};

/* The first offset to read. Never a guess:
 *     -ERR_CONFIG  the topic was made anew since
 *     -ERR_RANGE   the position lies behind the log's end; or before its start (records are gone) and
 *                  accept_loss is not set */
MUST_CHECK int intake_begin(const struct intake_start *start, int64_t *ret_offset,
                            struct why *reterr_why);

/* ---- days that are too old ------------------------------------------------------------------------ */

/* The time of which it is judged what is too old: of our clock, but not ahead of the newest record's LogAppendTime
 * (newest_ms, 0: none was read). What is dropped is gone, so a clock that is wrong must not decide alone. */
int64_t intake_expiry_ms(int64_t now_ms, int64_t newest_ms);

/* ---- batches ------------------------------------------------------------------------------------- */

#define BATCH_EVENTS_MAX 5000
#define BATCH_BYTES_MAX  (8 << 20)
#define BATCH_AGE_MS     100  /* from its first record to its commit */
#define BATCH_IDLE_MS    1000 /* for positions that moved over nothing of ours */

/* Since the last commit; all zero then. */
struct batch {
    size_t events, bytes;
    int64_t events_since_ms; /* monotonic; counts when events > 0 */
    int64_t moved_since_ms;  /* 0: no position moved */
};

void batch_add(struct batch *batch, size_t bytes, int64_t now_ms);
void batch_move(struct batch *batch, int64_t now_ms);
/* Ms until it has to be committed, 0: now; -1: there is nothing. */
int64_t batch_wait_ms(const struct batch *batch, int64_t now_ms);

#endif
