/* relay.h - a worker that is one stage (bus/stage.h), as normalizer and router are: what comes on one topic goes on to others.
 *
 * The worker decides about records; the relay names it to Kafka, opens its stage as soon as Kafka lets it, steps it until the
 * daemon is told to end, and shows in its heartbeat what is committed.
 *
 * Layer: I/O. DEPS base, log, bus, daemon, state, tally.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "bus/stage.h"
#include "daemon/daemon.h"
#include "state/heartbeat.h"

#define RELAY_COUNTERS_MAX HEARTBEAT_COUNTERS_MAX

struct relay_settings {
    struct str worker; /* normalizer: in group names and Redis keys */
    struct bus_settings bus;
    const char *topic; /* input */
    struct str redis;
    struct tally_kinds kinds; /* of outcomes that are counted by partition */
    const char *counter_names[RELAY_COUNTERS_MAX];
    size_t counter_count;
    size_t record_counters; /* the first ones: each record is counted by exactly one of them */
};

/* The worker fills in settings and owner; all else begins zeroed and is the relay's. */
struct relay {
    struct relay_settings settings;
    struct bus_stage_owner
        owner; /* its committed() and aborted() call relay_keep() and relay_forget() */
    struct bus_stage *stage; /* there whenever the owner is called */
    struct heartbeat heartbeat;
    char group[GROUP_NAME_SIZE], transactional_id[GROUP_NAME_SIZE + 64];
    uint64_t committed[RELAY_COUNTERS_MAX];
    uint64_t pending[RELAY_COUNTERS_MAX]; /* of the open transaction */
};

/* Until the daemon is told to end: 0 after a last commit. An error has been logged. */
MUST_CHECK int relay_run(struct relay *relay, struct daemon *daemon);

static inline void relay_count(struct relay *relay, size_t counter, uint64_t n)
{
    relay->pending[counter] += n;
}
void relay_keep(struct relay *relay);
void relay_forget(struct relay *relay);

#endif
