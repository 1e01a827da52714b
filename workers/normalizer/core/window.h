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
#include "fingerprint.h"

struct window;

enum window_verdict {
    WINDOW_NEW,
    WINDOW_DUPLICATE,
    WINDOW_CONFLICT,
};

/* NULL without memory. The key is for fingerprints. */
struct window *window_new(size_t events_max, int64_t span_ms, const struct fingerprint_key *key);
void window_free(struct window *window);
AUTO_DEFINE(struct window, window_free)

/* A content's identity: its raw bytes and their content type. */
struct fingerprint window_content(const struct window *window, struct str bytes, bool json);

/* Records must come in the order of their offsets. -ERR_NOMEM: nothing was learned. */
MUST_CHECK int window_learn(struct window *window, struct str account, struct str id,
                            struct fingerprint content, int64_t time_ms, enum window_verdict *ret);
/* As new after all, where window_learn() says WINDOW_DUPLICATE of the record that came at first_ms: that one was
 * rejected, and this is it, published again. Who took the partition over since has learned of it with settings that
 * let it pass. 1; 0, and nothing learned, when another is known; -ERR_NOMEM. */
MUST_CHECK int window_learn_again(struct window *window, struct str account, struct str id,
                                  struct fingerprint content, int64_t first_ms, int64_t time_ms);
void window_keep(struct window *window);
void window_forget(struct window *window);
size_t window_count(const struct window *window);

#endif
