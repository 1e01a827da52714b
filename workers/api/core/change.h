/* change.h - what a request makes of a trail: the rules of CreateTrail to StopLogging, without their effects.
 *
 *     view of `control` + request --change_plan()--> the trail's next version, or why not
 *
 * Ownership: a plan borrows from the view, the request and the arena.
 * Layer:     pure. DEPS base, catalog, control, rpc, trail.
 */
#ifndef API_CORE_CHANGE_H
#define API_CORE_CHANGE_H

#include "base/base.h"
#include "catalog/catalog.h"
#include "control/control.h"
#include "rpc/rpc.h"
#include "trail/trail.h"

#define CHANGE_TRAILS_MAX 5 /* of an account, in one home region */

enum change_kind {
    CHANGE_CREATE,
    CHANGE_UPDATE,
    CHANGE_DELETE,
    CHANGE_START,
    CHANGE_STOP,
};

struct change_request {
    enum change_kind kind;
    struct str account, region; /* whose; where: a trail is changed in its home region only */
    const struct rpc_call *call;
    const struct catalog *catalog;
    struct str new_id; /* of a trail that is born */
    int64_t now_s;
};

struct change_plan {
    const struct trail_version *old; /* NULL at a birth */
    struct trail_version next;       /* without offsets; a new destination without origins */
    bool changes;                    /* false: it is so already, and no version is written */
    bool new_destination;            /* its last destination has to be probed (rule 15) */
};

/* -ERR_INVALID with the API's code. */
MUST_CHECK int change_plan(const struct control *control, const struct change_request *request,
                           struct arena *arena, struct change_plan *ret,
                           struct rpc_failure *reterr_failure);

/* Whether the change is a record of `region`'s log (rule 2): what was or will be delivered there, and the home. */
bool change_concerns(const struct change_plan *plan, struct str region);

/* Whether less is delivered from now on, or elsewhere: such a change waits until what came before it has passed
 * (rule 19), so that nobody hides an act by changing the trail right after it. */
bool change_narrows(const struct change_plan *plan);

/* The newest version of an account's trail of that name that is not deleted; NULL: none. */
const struct trail_version *change_find(const struct control *control, struct str account,
                                        struct str name);

#endif
