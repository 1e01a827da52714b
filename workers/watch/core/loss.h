/* loss.h - how long until the log forgets what somebody still has to read?
 *
 * Layer: core. No I/O, no clock. DEPS base.
 */
#ifndef WATCH_CORE_LOSS_H
#define WATCH_CORE_LOSS_H

#include "base/base.h"

#define LOSS_NEVER INT64_MAX

/* Time until the record at `needed`, the oldest that is still to be read, leaves a log [start, end) that keeps records
 * for `retention_ms`; it was appended at `appended_ms`. LOSS_NEVER: nothing is to be read. 0: it has left. */
int64_t loss_left_ms(int64_t needed, int64_t log_start, int64_t log_end, int64_t appended_ms,
                     int64_t retention_ms, int64_t now_ms);

#endif
