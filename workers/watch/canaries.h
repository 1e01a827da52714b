/* canaries.h - canaries are published, and looked for at each stage.
 *
 * Layer: I/O.
 */
#ifndef WATCH_CANARIES_H
#define WATCH_CANARIES_H

#include "base/base.h"
#include "bus/bus.h"
#include "core/alarms.h"
#include "http/http.h"
#include "state/state.h"
#include "watching.h"

struct flock;

/* `config`, `bus` and `http` are the caller's. */
MUST_CHECK int flock_new(const struct watch_config *config, const struct bus_settings *bus,
                         struct http *http, struct flock **ret, struct why *reterr_why);
void flock_free(struct flock *flock);
AUTO_DEFINE(struct flock, flock_free)

/* Publishes what is due and reads what came. `tick_ms` never steps back. -ERR_UNAVAILABLE: Kafka is away. */
MUST_CHECK int flock_step(struct flock *flock, int64_t tick_ms, struct why *reterr_why);
/* Looks into histories and buckets. */
MUST_CHECK int flock_look(struct flock *flock, int64_t now_ms, int64_t tick_ms,
                          struct why *reterr_why);
/* Queues gauges for Redis, and says alarms. */
void flock_show(struct flock *flock, struct state *state, int64_t now_ms, int64_t tick_ms,
                struct alarms *alarms);

#endif
