/* Delivery's core without memory: it says so, and nothing that it says else counts; no event is left out of an object.
 *
 * links: delivery_core
 */
#include "faults.h"

#include <stdio.h>

#include "core/delivery.h"

#define TRAILS 3
#define EVENTS 200

static int add_trail(struct trail_book *book, int n)
{
    char text[1200];
    struct trail_version *v = NULL;
    int len = snprintf(
        text, sizeof(text),
        "{\"trail\":\"00000000-0000-4000-8000-00000000000%d\",\"version\":1,\"account\":\"1001\","
        "\"name\":"
        "\"t\",\"homeRegion\":\"cn-hangzhou\",\"regions\":\"All\",\"rw\":\"All\",\"logging\":true,"
        "\"destinations\":[{\"number\":1,\"version\":1,\"bucket\":\"bucket-%d\",\"prefix\":\"p\","
        "\"origins\":[{"
        "\"topic\":\"events.cn-hangzhou\",\"generation\":\"g1\",\"offsets\":[0]}]}],\"offsets\":[{"
        "\"topic\":"
        "\"events.cn-hangzhou\",\"generation\":\"g1\",\"offsets\":[0]}]}",
        n, n);
    int r = trail_version_parse(str_of(text, (size_t)len), &v, NULL);

    if (r == 0)
        r = trail_book_add(book, v, NULL);
    return MIN_OF(r, 0);
}

static void note_object(const struct delivery_effect *e)
{
    int64_t bytes = 0;

    for (int64_t i = 0; i < e->meta.count; i++)
        bytes += (int64_t)e->records[i]->len;
    note_str("object of", e->trail);
    note("from %lld first %lld last %lld next %lld count %lld bytes %lld", (long long)e->meta.from,
         (long long)e->meta.first, (long long)e->meta.last, (long long)e->meta.next,
         (long long)e->meta.count, (long long)bytes);
}

/* A world in which all is well: nothing written before, each object is created. */
static void answer_all(struct delivery *d)
{
    struct delivery_effect e;

    while (delivery_next(d, &e)) {
        PROMISE(delivery_error(d) == 0);
        if (e.kind == DELIVERY_READ_PROGRESS)
            delivery_progress(d, e.stream, false, 0, 0, NULL);
        else if (e.kind == DELIVERY_LIST)
            delivery_listed(d, e.stream, DELIVERY_OK, false, 0, 0, "");
        else if (e.kind == DELIVERY_COMMIT)
            note("commit %lld", (long long)e.offset);
        else if (e.kind == DELIVERY_WRITE_PROGRESS)
            note("progress %lld %lld", (long long)e.boundary, (long long)e.clear);
        if (e.kind != DELIVERY_PUT)
            continue;
        note_object(&e);
        delivery_put_done(d, e.stream, DELIVERY_OK, "");
    }
}

static int run(struct delivery *d)
{
    int64_t now_ms = 1000;
    int r;

    delivery_tick(d, now_ms);
    r = delivery_assign(d, 0, 0, EVENTS + 1, 1);
    if (r < 0)
        return r;
    answer_all(d);
    for (int64_t offset = 1; offset <= EVENTS; offset++) {
        struct event event = {.account = STR("1001"),
                              .region = STR("cn-hangzhou"),
                              .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                              .document = STR("{\"eventId\":\"e\"}")};

        r = delivery_record(d, DELIVERY_SHARED, 0, offset, now_ms, &event, NULL, NULL);
        if (r < 0)
            return r;
        delivery_tick(d, now_ms += 10);
        answer_all(d);
    }
    delivery_drain(d);
    for (int i = 0; i < 5; i++) {
        delivery_tick(d, now_ms += 1000);
        answer_all(d);
    }
    PROMISE(delivery_error(d) < 0 || delivery_idle(d));
    return delivery_error(d);
}

static int deliver(void)
{
    struct delivery_settings settings = {.region = STR("cn-hangzhou"),
                                         .topic = STR("events.cn-hangzhou"),
                                         .generation = STR("g1"),
                                         .partition_count = 1,
                                         .flush_age_ms = 1000,
                                         .flush_bytes = 1000,
                                         .memory_max = 1000000,
                                         .uploads_max = 8,
                                         .park_after_ms = 5000,
                                         .retry_first_ms = 100,
                                         .retry_max_ms = 1000,
                                         .buffer_age_max_ms = 100000,
                                         .progress_ms = 1000,
                                         .seed = 1};
    AUTO(trail_book_free) struct trail_book *book = trail_book_new();
    AUTO(delivery_free) struct delivery *d = NULL;
    int r = book ? 0 : -ERR_NOMEM;

    for (int n = 0; n < TRAILS && r == 0; n++)
        r = add_trail(book, n);
    if (r < 0)
        return r;
    d = delivery_new(&settings, book);
    return d ? run(d) : -ERR_NOMEM;
}

TORTURE({"delivery", deliver, 0})
