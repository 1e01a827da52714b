/* intake.c - see intake.h. */
#include "intake.h"

const char *intake_name(enum intake intake)
{
    static const char *const names[INTAKE_COUNT] = {
        [INTAKE_INDEXED] = "indexed",
        [INTAKE_CHANGE] = "passed_change",
        [INTAKE_NOT_HISTORY] = "passed_not_history",
    };
    CHECK(intake < INTAKE_COUNT);
    return names[intake];
}

int intake_decide(struct str value, bool change, enum intake *ret, struct event *ret_event,
                  struct why *reterr_why)
{
    int r;

    if (value.len == 0 && change) {
        *ret = INTAKE_CHANGE;
        return 0;
    }
    r = event_decode(value, ret_event, reterr_why);
    if (r < 0)
        return r;
    *ret = (ret_event->purpose & EVENT_FOR_HISTORY) && ret_event->category == EVENT_MANAGEMENT
               ? INTAKE_INDEXED
               : INTAKE_NOT_HISTORY;
    return 0;
}

const struct tally_kinds intake_kinds = {
    {
        [INTAKE_EVENTS] = "events",
        [INTAKE_CALLS] = "calls",
        [INTAKE_CHANGES] = "changes",
    },
    INTAKE_KIND_COUNT,
};

enum intake_kind intake_kind_of(bool change, enum intake intake)
{
    if (!change)
        return INTAKE_EVENTS;
    return intake == INTAKE_CHANGE ? INTAKE_CHANGES : INTAKE_CALLS;
}

int intake_begin(const struct intake_start *start, int64_t *ret_offset, struct why *reterr_why)
{
    int64_t from = MAX_OF(start->stored_next, (int64_t)0);

    if (start->stored_next >= 0 && !str_eq(start->stored_generation, start->generation))
        return why_set(reterr_why, -ERR_CONFIG,
                       "the topic was made anew: the store has read generation " STR_FMT
                       ", now there is " STR_FMT,
                       STR_ARG(start->stored_generation), STR_ARG(start->generation));
    if (from > start->log_end)
        return why_set(reterr_why, -ERR_RANGE,
                       "the store has read up to %lld, the log ends at %lld: it was truncated",
                       (long long)from, (long long)start->log_end);
    if (start->stored_next < 0 && from < start->log_start && !start->accept_loss)
        return why_set(reterr_why, -ERR_RANGE,
                       "nothing is stored yet, and records 0 to %lld have left the log: `trailctl "
                       "history rebuild` puts back what log and buckets have",
                       (long long)start->log_start - 1);
    if (from < start->log_start && !start->accept_loss)
        return why_set(reterr_why, -ERR_RANGE,
                       "records %lld to %lld are gone before they were read", (long long)from,
                       (long long)start->log_start - 1);
    *ret_offset = MAX_OF(from, start->log_start);
    return 0;
}

int64_t intake_expiry_ms(int64_t now_ms, int64_t newest_ms)
{
    return MIN_OF(now_ms, newest_ms);
}

void batch_add(struct batch *batch, size_t bytes, int64_t now_ms)
{
    if (batch->events == 0)
        batch->events_since_ms = now_ms;
    batch->events++;
    batch->bytes += bytes;
}

void batch_move(struct batch *batch, int64_t now_ms)
{
    if (batch->moved_since_ms == 0)
        batch->moved_since_ms = now_ms;
}

int64_t batch_wait_ms(const struct batch *batch, int64_t now_ms)
{
    int64_t due_ms;

    if (batch->events == 0 && batch->moved_since_ms == 0)
        return -1;
    if (batch->events >= BATCH_EVENTS_MAX || batch->bytes >= BATCH_BYTES_MAX)
        return 0;
    due_ms = batch->events > 0 ? batch->events_since_ms + BATCH_AGE_MS
                               : batch->moved_since_ms + BATCH_IDLE_MS;
    return MAX_OF(due_ms - now_ms, (int64_t)0);
}
