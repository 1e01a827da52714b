/* books.h - what Redis and Kafka tell of counts, offsets and ends, and what follows: balances and time to loss.
 *
 * Layer: I/O.
 */
#ifndef WATCH_BOOKS_H
#define WATCH_BOOKS_H

#include "base/base.h"
#include "bus/bus.h"
#include "core/alarms.h"
#include "state/state.h"
#include "watching.h"

struct books;

/* `config`, `bus` and `state` are the caller's. NULL without memory. */
struct books *books_new(const struct watch_config *config, const struct bus_settings *bus,
                        struct state *state);
void books_free(struct books *books);
AUTO_DEFINE(struct books, books_free)

/* One look: writes gauges, says alarms. `now_ms`: wall clock; `tick_ms`: one that never steps back.
 * -ERR_UNAVAILABLE: Redis or Kafka does not answer; nothing was judged. */
MUST_CHECK int books_look(struct books *books, int64_t now_ms, int64_t tick_ms,
                          struct alarms *alarms, struct why *reterr_why);

#endif
