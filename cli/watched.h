/* watched.h - the part of `trailctl status` that trailbus-watch and delivery's counts tell.
 *
 * Layer: I/O by state.h. DEPS base, jsondoc, state.
 */
#ifndef CLI_WATCHED_H
#define CLI_WATCHED_H

#include "jsondoc/jsondoc.h"
#include "state/state.h"

/* Sets balances, freshness, losses and alarms, and with `counts` what became of each trail's events. */
MUST_CHECK int watched_read(struct state *state, bool counts, struct jsondoc *doc, struct why *why);
/* What became of the events of the account's trail of this name and home region, likewise, a document a region; none when
 * Redis does not know the trail. */
MUST_CHECK int watched_trail(struct state *state, struct str account, struct str home_region,
                             struct str name, struct jsondoc *list, struct why *why);
void watched_print(const struct jsondoc *doc);
/* Prints alarms. -ERR_CONFLICT: there are some; -ERR_UNAVAILABLE: nobody watches. */
MUST_CHECK int watched_check(const struct jsondoc *doc, bool json, struct why *why);
/* Tells the watch that an alarm is known. */
MUST_CHECK int watched_accept(struct state *state, struct str alarm, struct why *why);

#endif
