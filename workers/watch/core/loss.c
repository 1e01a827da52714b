/* loss.c - retention less age. */
#include "loss.h"

int64_t loss_left_ms(int64_t needed, int64_t log_start, int64_t log_end, int64_t appended_ms,
                     int64_t retention_ms, int64_t now_ms)
{
    if (needed >= log_end)
        return LOSS_NEVER;
    if (needed < log_start)
        return 0;
    return MAX_OF(appended_ms + retention_ms - now_ms, (int64_t)0);
}
