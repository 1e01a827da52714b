/* account.h - what became of each of an account's events, for one stream: delivered, or filtered, or still waiting.
 *
 * Counts belong to a place in the log, and travel with it: those at the boundary are in the metadata of the object that
 * ends there, those at `clear` in the progress beside it (docs/decisions/0005-counts.md). Which events match follows from
 * the log alone, so whoever counts from the same place comes to the same numbers, whatever crashed in between.
 *
 *     since          boundary            cursor
 *       |--- settled ---|--- filtered, lost ---|
 *
 * Layer: core. No I/O. DEPS base.
 */
#ifndef DELIVERY_CORE_ACCOUNT_H
#define DELIVERY_CORE_ACCOUNT_H

#include "base/base.h"

#define ACCOUNT_TEXT_SIZE 128 /* with NUL */

/* Totals at one place. */
struct account_counts {
    int64_t
        since; /* the offset that counting began at: the chain's origin, unless its objects do not tell; -1: unknown */
    int64_t delivered; /* events in objects */
    int64_t filtered;  /* events meant for delivery that the trail's settings do not want */
    int64_t lost;      /* offsets that left the log before they were read */
};

struct account {
    struct account_counts settled; /* at the boundary */
    int64_t filtered, lost;        /* totals at the cursor */
};

/* Counting begins at `since`, which is the boundary or behind it. */
void account_begin(struct account *account, int64_t since);
/* The cursor goes back to the boundary. */
void account_back(struct account *account);
/* Totals at the end of a batch of `count` events, before whose end `filtered` were not wanted. */
struct account_counts account_at(const struct account *account, int64_t count, int64_t filtered);
/* The boundary is now where `counts` belong, at `next`; `passed`: the cursor is behind it. False when what was counted
 * behind it cannot be added to those counts: they must be counted again, the cursor has to go back to the boundary. */
MUST_CHECK bool account_settle(struct account *account, const struct account_counts *counts,
                               int64_t next, bool passed);

/* As text: "since delivered filtered lost" at the boundary, "filtered lost" at the cursor. */
void account_render(const struct account *account, char ret[ACCOUNT_TEXT_SIZE]);
/* -ERR_INVALID: none, or it contradicts itself. */
MUST_CHECK int account_parse(struct str text, struct account *ret);

#endif
