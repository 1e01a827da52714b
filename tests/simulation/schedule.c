#include "schedule.h"

#include <stdio.h>

void schedule_all(struct run_schedule *schedule, int64_t count)
{
    CHECK(count <= RUN_STEPS_MAX);
    schedule->count = count;
    for (int64_t i = 0; i < count; i++)
        schedule->steps[i] = (int32_t)(i + 1);
}

static bool add_range(struct run_schedule *schedule, uint64_t first, uint64_t last)
{
    int32_t before = schedule->count ? schedule->steps[schedule->count - 1] : 0;

    if (first <= (uint64_t)before || last < first || last > RUN_STEPS_MAX)
        return false;
    for (uint64_t n = first; n <= last; n++)
        schedule->steps[schedule->count++] = (int32_t)n;
    return true;
}

bool schedule_parse(struct run_schedule *schedule, struct str text)
{
    struct str range, first, last;
    uint64_t from, to;

    schedule->count = 0;
    while (str_split(&text, ',', &range)) {
        if (!str_split(&range, '-', &first) || !str_to_u64(first, &from))
            return false;
        to = from;
        if (str_split(&range, '-', &last) && !str_to_u64(last, &to))
            return false;
        if (range.len || !add_range(schedule, from, to))
            return false;
    }
    return true;
}

void schedule_format(const struct run_schedule *schedule, char text[SCHEDULE_TEXT_MAX])
{
    size_t len = 0;

    text[0] = '\0';
    for (int64_t i = 0, last; i < schedule->count && len < SCHEDULE_TEXT_MAX - 32; i = last + 1) {
        for (last = i;
             last + 1 < schedule->count && schedule->steps[last + 1] == schedule->steps[last] + 1;)
            last++;
        len += (size_t)snprintf(text + len, SCHEDULE_TEXT_MAX - len, "%s%d", i ? "," : "",
                                schedule->steps[i]);
        if (last > i)
            len +=
                (size_t)snprintf(text + len, SCHEDULE_TEXT_MAX - len, "-%d", schedule->steps[last]);
    }
}

static void leave_out(struct run_schedule *schedule, const struct run_schedule *all, int64_t at,
                      int64_t n)
{
    schedule->count = all->count - n;
    memcpy(schedule->steps, all->steps, (size_t)at * sizeof(all->steps[0]));
    memcpy(schedule->steps + at, all->steps + at + n,
           (size_t)(all->count - at - n) * sizeof(all->steps[0]));
}

static void copy(struct run_schedule *to, const struct run_schedule *from)
{
    leave_out(to, from, 0, 0);
}

/* One pass from the back, which depends on the least; true: something could go. */
static bool pass(struct run_schedule *schedule, struct run_schedule *scratch, int64_t size,
                 int64_t *attempts_left, bool (*fails)(void *arg), void *arg)
{
    bool any = false;

    copy(scratch, schedule);
    for (int64_t end = scratch->count; end > 0 && *attempts_left > 0;) {
        int64_t at = MAX_OF(end - size, (int64_t)0);

        --*attempts_left;
        leave_out(schedule, scratch, at, end - at);
        if (fails(arg)) {
            copy(scratch, schedule);
            any = true;
        }
        end = at;
    }
    copy(schedule, scratch);
    return any;
}

int64_t schedule_shrink(struct run_schedule *schedule, struct run_schedule *scratch,
                        int64_t attempts_max, bool (*fails)(void *arg), void *arg)
{
    int64_t left = attempts_max, size = MAX_OF(schedule->count / 2, (int64_t)1);

    while (left > 0 && schedule->count > 0) {
        bool any = pass(schedule, scratch, size, &left, fails, arg);

        if (size == 1 && !any)
            break;
        size = any && size == 1 ? 1 : MAX_OF(size / 2, (int64_t)1);
    }
    return attempts_max - left;
}
