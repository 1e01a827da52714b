/* view.h - what Redis shows of the trails: filled from `control`, whole or not at all.
 *
 * tb1:epoch says that the view is there. Whoever fills it puts up a mark of its own first, and the mark becomes the
 * epoch in the end: when Redis was emptied in between, or refused anything, there is no mark to become one, and
 * nobody takes what is left for all there is.
 *
 * Layer: I/O by state.h. DEPS base, state, trail.
 */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include "base/base.h"
#include "state/state.h"
#include "trail/trail.h"

/* Whether Redis says that it has no view. False when it does not answer. */
bool view_is_missing(struct state *state);

/* Writes all trails of the book, takes deleted ones away, and then says that the view is there. `who` fills it, one at
 * a time by that name. -ERR_UNAVAILABLE: Redis is away, or refuses to write; -ERR_ABORTED: it was emptied
 * meanwhile. */
MUST_CHECK int view_fill(struct state *state, const struct trail_book *book, struct str who,
                         int64_t now_s, struct why *reterr_why);

#endif
