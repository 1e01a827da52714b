/* passing.h - waiting until what was accepted before now has passed (delivery protocol, rule 19).
 *
 * First the normalizers of all regions, past the ends of `raw` as of the call; then the router, past the end of
 * `global` as of that moment.
 *
 * Layer: shell.
 */
#ifndef API_PASSING_H
#define API_PASSING_H

#include "service.h"

#define PASSING_WAIT_MS 8000 /* for all of it: most SDKs give up an answer after 10 s */

/* -ERR_TIMEOUT when something has not passed in time, and what. */
MUST_CHECK int passing_wait(const struct service *service, struct why *reterr_why);

#endif
