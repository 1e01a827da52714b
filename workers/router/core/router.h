/* router.h - where a global event goes: one record of `global` in, its copies out.
 *
 *     an event  --> events.<home region>     of each trail of the account that wants it    for delivery
 *               --> events.<storage region>  always                                        for the history
 *     a change  --> the book of trails; not passed on
 *
 * While a version of a trail could not be read (trail_book_doubts()) nobody knows where its home is and what it wants:
 * events of its account, or of all accounts if that is not known either, go to every region for delivery. Where no trail
 * of theirs is at home such a copy is delivered to nobody.
 *
 * A region that is both gets one copy, for both. Which trails want an event is decided by the settings that
 * lie before it in its own partition of `global`, and by nothing else (delivery protocol, rule 3): reading a
 * record again gives the same copies, whoever reads it and whatever was changed since.
 *
 * A copy differs from the event in its region and purpose only; the document is copied untouched.
 *
 * Layer: core. No I/O, clock or randomness. DEPS base, topology, event, trail.
 */
#ifndef ROUTER_CORE_ROUTER_H
#define ROUTER_CORE_ROUTER_H

#include "base/base.h"
#include "event/event.h"
#include "trail/trail.h"

#define ROUTER_COPIES_MAX (TRAIL_REGIONS_MAX + 1) /* of one event: home regions, storage region */

struct router_settings {
    struct str generation; /* of the topic `global` */
    int32_t partition_count;
    struct str storage_region;
    const struct str *regions; /* all that are deployed */
    size_t region_count;
};

struct router_input {
    struct str value;
    struct str change; /* the header of a trail's change; empty: the record is an event */
    int32_t partition;
    int64_t offset;
};

struct router_copy {
    struct str region;
    unsigned purpose; /* enum event_purpose, or-ed */
};

/* Slices are borrowed from the input's value and the book, until the next call. */
struct router_result {
    struct event event; /* when there are copies: of an event there is always one */
    struct router_copy copies[ROUTER_COPIES_MAX];
    size_t copy_count;
};

/* Settings' strings and `book` are the caller's and outlive the router; changes are added to the book, which
 * holds all of `control` already (rule 3). NULL: no memory. */
struct router;
struct router *router_new(const struct router_settings *settings, struct trail_book *book);
void router_free(struct router *router);
AUTO_DEFINE(struct router, router_free)

/* 0, or an error that ends the worker, for we wrote what it cannot read: -ERR_INVALID no event, no change;
 * -ERR_CONFLICT the log contradicts `control`; -ERR_LIMIT; -ERR_NOMEM. */
MUST_CHECK int router_take(struct router *router, const struct router_input *in,
                           struct router_result *ret, struct why *reterr_why);

/* Copy i as it is to be written; borrowed until the next call. -ERR_NOMEM. */
MUST_CHECK int router_encode(struct router *router, const struct router_result *result, size_t i,
                             struct str *ret);

#endif
