/* window.h - which events came before? The last ones of one partition, by (account, event id).
 *
 * A producer that got no answer sends again; the same id with the same bytes then passes once, and the same
 * id with other bytes is a conflict. The window covers WINDOW_MS, or WINDOW_EVENTS, whichever is reached
 * first, by the records' own times and offsets, so that a worker that takes a partition over and reads back
 * its tail (window_learn) knows exactly what its predecessor knew.
 *
 * What was learned since the last window_keep() can be forgotten again: the transaction was aborted.
 *
 * Layer: core.
 */
#ifndef NORMALIZER_CORE_WINDOW_H
#define NORMALIZER_CORE_WINDOW_H

#include "base/base.h"

struct window;

enum window_verdict {
    WINDOW_NEW,
    WINDOW_DUPLICATE,
    WINDOW_CONFLICT,
};

/* A content's identity: 128 bits of the raw bytes and their content type. */
struct window_content {
    uint64_t a, b;
};
struct window_content window_content_of(struct str bytes, bool json);

struct window *window_new(size_t events_max, int64_t span_ms); /* NULL without memory */
void window_free(struct window *window);
AUTO_DEFINE(struct window, window_free)

/* Records must come in the order of their offsets. */
enum window_verdict window_learn(struct window *window, struct str account, struct str id,
                                 struct window_content content, int64_t time_ms);
/* As new after all, where window_learn() says WINDOW_DUPLICATE of the record that came at first_ms: that one was
 * rejected, and this is it, published again. Who took the partition over since has learned of it with settings that
 * let it pass. False, and nothing learned, when another is known. */
bool window_learn_again(struct window *window, struct str account, struct str id,
                        struct window_content content, int64_t first_ms, int64_t time_ms);
void window_keep(struct window *window);
void window_forget(struct window *window);
size_t window_count(const struct window *window);

#endif
