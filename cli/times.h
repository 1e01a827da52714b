/* times.h - times as people give them, and a span cut into the windows that the API takes.
 *
 * Layer: pure. DEPS base.
 */
#ifndef CLI_TIMES_H
#define CLI_TIMES_H

#include "base/base.h"

/* "2026-11-23T08:00:00Z", "2026-11-23" (its beginning, UTC), "now", or back from now: "-90s", "-30m", "-2h",
 * "-7d". Seconds since 1970. False on any other form. */
bool times_parse(struct str text, int64_t now_s, int64_t *ret_s);

/* A span [start, end), walked from its end in pieces of at most window_s seconds: */
struct times_span {
    int64_t start_s, end_s;
};
/* Cuts the newest piece off *span. False when nothing is left. */
bool times_window(struct times_span *span, int64_t window_s, struct times_span *ret);

#endif
