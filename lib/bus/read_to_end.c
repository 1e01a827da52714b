/* read_to_end.c - all that a partition holds as of now, however long its open transactions take. */
#include "bus/bus.h"

/* The high watermark, which only a read_uncommitted consumer is told. */
static int high_watermark(const struct bus_settings *settings, const char *topic, int32_t partition,
                          int64_t *ret_low, int64_t *ret_high, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int r = bus_admin_open(settings, &admin, reterr_why);

    if (r < 0)
        return r;
    return bus_admin_watermarks(admin, topic, partition, ret_low, ret_high, reterr_why);
}

int bus_read_to_end(const struct bus_settings *settings, const char *topic, int32_t partition,
                    int64_t from, int timeout_ms,
                    int (*each)(void *arg, const struct bus_record *record), void *arg,
                    int64_t *ret_next, struct why *reterr_why)
{
    AUTO(bus_reader_close) struct bus_reader *reader = NULL;
    int64_t low, high, deadline_ms = bus_clock_ms() + timeout_ms;
    struct bus_position position = {partition, from};
    int r = high_watermark(settings, topic, partition, &low, &high, reterr_why);

    if (r < 0)
        return r;
    if (from >
        high) /* a leader that has just come may be behind for a moment: nothing of it can be trusted */
        return why_set(reterr_why, -ERR_UNAVAILABLE, "%s/%d ends at %lld, and was read to %lld",
                       topic, partition, (long long)high, (long long)from);
    position.offset = MAX_OF(from, low);
    *ret_next = position.offset;
    if (position.offset >= high)
        return 0;
    r = bus_reader_open(settings, topic, true, &position, 1, &reader, reterr_why);
    if (r < 0)
        return r;
    while (*ret_next < high) {
        struct bus_input input;

        if (bus_clock_ms() >= deadline_ms)
            return why_set(reterr_why, -ERR_TIMEOUT, "%s/%d: at %lld of %lld after %d ms", topic,
                           partition, (long long)*ret_next, (long long)high, timeout_ms);
        r = bus_reader_poll(reader, 50, &input);
        if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
            return why_set(reterr_why, r, "cannot read %s", topic);
        if (r < 0 || input.kind == BUS_INPUT_NONE)
            continue;
        if (input.kind == BUS_INPUT_OUT_OF_RANGE)
            return why_set(reterr_why, -ERR_RANGE, "%s/%d has no offset %lld", topic, partition,
                           (long long)*ret_next);
        if (input.kind == BUS_INPUT_RECORD && (r = each(arg, &input.record)) != 0)
            return r;
        *ret_next = input.offset + (input.kind == BUS_INPUT_RECORD ? 1 : 0);
    }
    return 0;
}
