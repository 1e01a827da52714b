/* recount.h - `trailctl reconcile --trails`: what became of each event, counted once more from the log and the buckets.
 *
 * Layer: I/O. DEPS bus, control, event, objects, state, trail.
 */
#ifndef CLI_RECOUNT_H
#define CLI_RECOUNT_H

#include "cli/cli.h"

MUST_CHECK int recount(struct cli *cli, struct why *reterr_why);

#endif
