/* canary.h - events of our own that are followed through every stage: how fresh is what one finds there?
 *
 *     sent --> raw (acknowledged) --> normalized --> history
 *                                            \-----> object, of a trail of the canaries' account
 *
 * A stage that a canary has not reached long after the one before is stalled, whatever heartbeats and lags say.
 *
 * Layer: core. No I/O, no clock. DEPS base.
 */
#ifndef WATCH_CORE_CANARY_H
#define WATCH_CORE_CANARY_H

#include "base/base.h"

#define CANARIES_MAX   128 /* remembered of one region */
#define CANARY_ID_SIZE 64

enum canary_stage {
    CANARY_RAW,
    CANARY_NORMALIZED,
    CANARY_HISTORY,
    CANARY_OBJECT,
    CANARY_STAGE_COUNT,
};
const char *canary_stage_name(enum canary_stage stage);

struct canary {
    char id[CANARY_ID_SIZE];
    int64_t sent_ms;
    int64_t reached_ms[CANARY_STAGE_COUNT]; /* 0: not yet */
    int64_t offset,
        logged_ms; /* once normalized: where it lies in events.<region>, and since when */
};

/* Those of one region, oldest first. */
struct canaries {
    struct canary at[CANARIES_MAX];
    size_t count;
    int64_t next_ms;                  /* when the next one is due */
    bool skipped[CANARY_STAGE_COUNT]; /* nobody follows them there */
};

/* Whether one is due at `now_ms` (of a clock that never steps back); the next one is after `period_ms`. */
bool canaries_due(struct canaries *canaries, int64_t now_ms, int64_t period_ms);
void canaries_send(struct canaries *canaries, const char *id, int64_t now_ms);
/* NULL: none of that id, or no longer. */
struct canary *canaries_find(struct canaries *canaries, struct str id);
void canary_reached(struct canary *canary, enum canary_stage stage, int64_t now_ms);
/* It never came to raw: nothing follows from it. */
void canaries_forget(struct canaries *canaries, struct str id);

struct freshness {
    size_t count; /* canaries that came there; 0: the times are not known */
    int64_t median_ms, p99_ms;
    int64_t oldest_ms; /* age of the oldest one that is still to come; 0: none is */
};
struct freshness canaries_freshness(const struct canaries *canaries, enum canary_stage stage,
                                    int64_t now_ms);
/* How long the oldest one has been at the stage before without coming here; 0: none is. */
int64_t canaries_stuck_ms(const struct canaries *canaries, enum canary_stage stage, int64_t now_ms,
                          const struct canary **ret_which);

#endif
