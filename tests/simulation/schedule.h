/* schedule.h - which steps of a run happen: as text, as a set, and made as small as it gets.
 *
 *     "3,9-12,40"  --schedule_parse()-->  steps 3, 9, 10, 11, 12 and 40
 */
#ifndef SIMULATION_SCHEDULE_H
#define SIMULATION_SCHEDULE_H

#include "runner.h"

#define SCHEDULE_TEXT_MAX 65536

struct run_schedule {
    int64_t count;                /* of steps[] */
    int32_t steps[RUN_STEPS_MAX]; /* ascending */
};

/* Steps 1 to `count`. */
void schedule_all(struct run_schedule *schedule, int64_t count);
bool schedule_parse(struct run_schedule *schedule, struct str text);
void schedule_format(const struct run_schedule *schedule, char text[SCHEDULE_TEXT_MAX]);
/* Leaves out as many steps as it can while fails(arg) stays true of the rest; it tries at most `attempts_max`
 * times. `scratch` is as large as `schedule`, which fails() looks at. Returns how many attempts it took. */
int64_t schedule_shrink(struct run_schedule *schedule, struct run_schedule *scratch,
                        int64_t attempts_max, bool (*fails)(void *arg), void *arg);

#endif
