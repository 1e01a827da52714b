/* heartbeat.h - a worker's sign of life: the hash that dashboards and `trailctl status` read.
 *
 * Layer: I/O by state.h. DEPS base.
 */
#ifndef STATE_HEARTBEAT_H
#define STATE_HEARTBEAT_H

#include "state/state.h"
#include "tally/tally.h"

#define HEARTBEAT_INTERVAL_MS  1000
#define HEARTBEAT_TTL_S        15
#define HEARTBEAT_COUNTERS_MAX 32

struct heartbeat_counter {
    const char *name;
    uint64_t total; /* since the process began; the difference is added to the kept counters */
};

struct heartbeat {
    struct state *state;
    struct str worker, region, instance;
    int64_t started_ms, next_ms;
    uint64_t sent[HEARTBEAT_COUNTERS_MAX]; /* totals that the kept counters have */
    uint64_t last_records;
    int64_t last_ms;
    uint64_t emptied; /* how often Redis was found to have forgotten us since the process began */
};

/* Fields of the hash: version, pid, started, seen, state, lag, partitions, rate (records a second). */
struct heartbeat_view {
    const char *state; /* running, waiting, draining, ... */
    int64_t lag;
    size_t partitions;
    uint64_t records; /* taken in since the process began */
    const struct heartbeat_counter *counters;
    size_t counter_count;
};

/* Queues what became of a partition's records up to `offset`, to be sent with the next beat. */
void heartbeat_tally(void *heartbeat, int32_t partition, int64_t offset, const struct tally *tally);
/* Whether one is due. A clock that was set back makes it due at once: nobody is silent until it has caught up. */
bool heartbeat_due(const struct heartbeat *heartbeat, int64_t now_ms);
/* Due? Then writes it; Redis being away is no error of a worker's. now: wall clock. */
void heartbeat_beat(struct heartbeat *heartbeat, int64_t now_ms, const struct heartbeat_view *view);
/* The last one, at the end: the process leaves. */
void heartbeat_end(struct heartbeat *heartbeat, int64_t now_ms, const struct heartbeat_view *view);

#endif
