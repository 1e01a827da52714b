/* tally.h - what became of the records of one partition, counted since its first: exact, since the counts are kept with
 * the offset that they reach to, in the same transaction.
 *
 *     offset - base  =  all records counted  +  gaps
 *
 * Gaps are offsets without a record: transactions' markers, aborted records. A topic that nobody writes to in
 * transactions has none.
 *
 * As text: "1 <base> <gaps> <kind>=<count> …", without those that are 0. A kind that only another program knows is lost.
 *
 * Layer: pure. DEPS base.
 */
#ifndef TALLY_TALLY_H
#define TALLY_TALLY_H

#include "base/base.h"

#define TALLY_KINDS_MAX     96
#define TALLY_KIND_SIZE_MAX 48   /* of a kind's name */
#define TALLY_TEXT_SIZE     4000 /* with NUL */

/* The kinds' names, in an order that the program chooses; they outlive every tally of theirs. */
struct tally_kinds {
    const char *names[TALLY_KINDS_MAX];
    size_t count;
};

struct tally {
    const struct tally_kinds *kinds;
    int64_t base; /* the first offset that was counted */
    int64_t gaps;
    int64_t counts[TALLY_KINDS_MAX];
};

void tally_begin(struct tally *tally, const struct tally_kinds *kinds, int64_t base);
/* The text of an earlier commit. -ERR_INVALID: none, or of another form; the tally is begun at 0 then. */
MUST_CHECK int tally_parse(struct str text, const struct tally_kinds *kinds, struct tally *ret);
/* -ERR_LIMIT when it does not fit. */
MUST_CHECK int tally_render(const struct tally *tally, char ret[TALLY_TEXT_SIZE]);

#endif
