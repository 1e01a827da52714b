/* changes.h - the one writer of trails' changes in the whole deployment (delivery protocol, rule 2).
 *
 * A change is one transaction: a change record into every partition of the logs concerned, then, with the
 * offsets that those got, the trail's entry in `control`. Whoever holds the transactional id `trailbus-changes`
 * is the one that may; an older holder's transaction fails, it takes the id again and starts over.
 *
 * Layer: shell.
 */
#ifndef API_CHANGES_H
#define API_CHANGES_H

#include "core/change.h"
#include "service.h"

struct changes;

struct changes *changes_new(struct service *service); /* NULL without memory */
void changes_free(struct changes *changes);

/* Plans by `control` as it is now, and writes. 1: written, with the event of the call; 0: it was so already;
 * -ERR_INVALID with the failure. Any other outcome that is not known becomes ServiceUnavailable. *ret_plan lives
 * as long as the caller's arena. */
MUST_CHECK int changes_apply(struct changes *changes, const struct caller *caller,
                             enum change_kind kind, struct change_plan *ret_plan,
                             struct rpc_failure *reterr_failure);

#endif
