/* alarms.h - what is wrong now, since when; what has become wrong or right again.
 *
 * Each round says all that is wrong (alarms_say()); what was not said again is over.
 *
 * Layer: core. No I/O. DEPS base.
 */
#ifndef WATCH_CORE_ALARMS_H
#define WATCH_CORE_ALARMS_H

#include "base/base.h"

#define ALARMS_MAX     512 /* at once; more are not told apart from silence */
#define ALARM_ID_SIZE  128
#define ALARM_WHY_SIZE 512

struct alarm {
    char id[ALARM_ID_SIZE];
    char why[ALARM_WHY_SIZE]; /* as it was said last */
    int64_t since_ms;
    bool said; /* in this round */
    bool told; /* its beginning has been */
};

struct alarms {
    struct alarm at[ALARMS_MAX];
    size_t count;
};

void alarms_begin(struct alarms *alarms);
void alarms_say(struct alarms *alarms, const char *id, const char *why, int64_t now_ms);
/* The next one that began with this round; NULL: no more. */
const struct alarm *alarms_next_begun(struct alarms *alarms);
/* The next one that is over, taken off; false: no more. */
bool alarms_next_over(struct alarms *alarms, struct alarm *ret);

#endif
