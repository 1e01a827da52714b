/* fixture.h - a core with one partition and trails of one account, whose change records lie at offset 0. */
#ifndef DELIVERY_FIXTURE_H
#define DELIVERY_FIXTURE_H

#include <stdio.h>

#include "core/delivery.h"

#include "test.h"

#define EFFECTS_MAX 64
#define LOG_END     100
#define CREATED_S   1795305600    /* of every trail */
#define TIME_MS     1795392000000 /* LogAppendTime of offset 0; each record is a second later */

struct fixture {
    struct delivery_settings settings;
    struct trail_book *book;
    struct delivery *core;
    int64_t now_ms;
    struct delivery_effect effects[EFFECTS_MAX]; /* not taken yet */
    size_t effect_count;
};

static inline struct fixture fixture(void)
{
    struct fixture f = {
        .book = trail_book_new(),
        .now_ms = 1000,
        .settings = {.region = STR("cn-hangzhou"),
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
                     .seed = 1},
    };

    assert_non_null(f.book);
    return f;
}

static inline void done(struct fixture *f)
{
    delivery_free(f->core);
    trail_book_free(f->book);
}

/* Version `version` of trail `n`, whose change record lies at `offset` and makes its destination `destination`; number 1
 * was bucket-a since offset 0. */
static inline struct trail_version *version_of(int n, int version, int64_t offset, int destination,
                                               const char *bucket)
{
    static const char *const earlier =
        "{\"number\":1,\"version\":1,\"bucket\":\"bucket-a\",\"prefix\":\"\",\"origins\":[{"
        "\"topic\":\"events.cn-hangzhou\",\"generation\":\"g1\",\"offsets\":[0]}]},";
    AUTO_BUF struct buf json = {0};
    struct trail_version *v = NULL;
    struct why why = {0};

    buf_init(&json, 4096);
    buf_addf(
        &json,
        "{\"trail\":\"00000000-0000-4000-8000-%012d\",\"version\":%d,\"account\":"
        "\"1001\",\"name\":\"t\",\"homeRegion\":\"cn-hangzhou\",\"regions\":\"All\",\"rw\":"
        "\"All\",\"logging\":true,\"created\":%d,\"destinations\":[%s{\"number\":%d,\"version\":%d,"
        "\"bucket\":\"%s\",\"prefix\":\"p\",\"origins\":[{\"topic\":\"events.cn-hangzhou\","
        "\"generation\":\"g1\",\"offsets\":[%lld]}]}],\"offsets\":[{\"topic\":"
        "\"events.cn-hangzhou\",\"generation\":\"g1\",\"offsets\":[%lld]}]}",
        n, version, CREATED_S, destination > 1 ? earlier : "", destination, version, bucket,
        (long long)offset, (long long)offset);
    if (trail_version_parse(buf_str(&json), &v, &why) < 0)
        fail_msg("%s", why.text);
    return v;
}

static inline void trail(struct fixture *f, int n, const char *bucket)
{
    assert_int_equal(trail_book_add(f->book, version_of(n, 1, 0, 1, bucket), NULL), 1);
}

/* The chain of trail `n`, destination 1. */
static inline const char *chain_of(int n, char text[TRAIL_CHAIN_SIZE])
{
    char id[TRAIL_ID_SIZE];

    (void)snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012d", n);
    trail_chain(str_from(id), 1, STR("g1"), text);
    return text;
}

static inline void drain_effects(struct fixture *f)
{
    while (f->effect_count < EFFECTS_MAX && delivery_next(f->core, &f->effects[f->effect_count]))
        f->effect_count++;
}

/* Takes the first effect of that kind, of those that are there. */
static inline bool take(struct fixture *f, enum delivery_effect_kind kind,
                        struct delivery_effect *ret)
{
    drain_effects(f);
    for (size_t i = 0; i < f->effect_count; i++) {
        if (f->effects[i].kind != kind)
            continue;
        *ret = f->effects[i];
        f->effect_count--;
        memmove(&f->effects[i], &f->effects[i + 1], (f->effect_count - i) * sizeof(f->effects[0]));
        return true;
    }
    return false;
}

static inline struct delivery_effect want(struct fixture *f, enum delivery_effect_kind kind)
{
    struct delivery_effect e = {0};

    if (!take(f, kind, &e))
        fail_msg("no effect of kind %d", kind);
    return e;
}

static inline void want_none(struct fixture *f, enum delivery_effect_kind kind)
{
    struct delivery_effect e;

    if (take(f, kind, &e))
        fail_msg("an effect of kind %d", kind);
}

static inline void tick(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    delivery_tick(f->core, f->now_ms);
    drain_effects(f);
}

/* Takes the partition over; every stream asks for its progress next. */
static inline void assign(struct fixture *f, int64_t log_start, int64_t position)
{
    f->core = delivery_new(&f->settings, f->book);
    assert_non_null(f->core);
    delivery_tick(f->core, f->now_ms);
    assert_int_equal(delivery_assign(f->core, 0, log_start, LOG_END, position), 0);
}

/* ... and finds neither progress nor objects. */
static inline void begin(struct fixture *f)
{
    struct delivery_effect e;

    assign(f, 0, 1);
    while (take(f, DELIVERY_READ_PROGRESS, &e))
        delivery_progress(f->core, e.stream, false, 0, 0, NULL);
    while (take(f, DELIVERY_LIST, &e))
        delivery_listed(f->core, e.stream, DELIVERY_OK, false, 0, 0, "");
    assert_true(delivery_started(f->core));
}

/* An event of the account at `offset`, whose document has `len` bytes. */
static inline void event_by(struct fixture *f, enum delivery_source source, int64_t offset,
                            size_t len)
{
    static char document[4096];
    struct event event = {.account = STR("1001"),
                          .region = STR("cn-hangzhou"),
                          .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                          .document = str_of(document, len)};

    memset(document, 'x', sizeof(document));
    assert_int_equal(
        delivery_record(f->core, source, 0, offset, TIME_MS + offset * 1000, &event, NULL, NULL),
        0);
}

static inline void event(struct fixture *f, int64_t offset, size_t len)
{
    event_by(f, DELIVERY_SHARED, offset, len);
}

static inline void end(struct fixture *f, int64_t position)
{
    assert_int_equal(delivery_end(f->core, DELIVERY_SHARED, 0, position), 0);
}

/* The effect as [from, first, last, next, count]. */
#define assert_batch(e, from_, first_, last_, next_, count_)                                       \
    do {                                                                                           \
        assert_int_equal((e).meta.from, from_);                                                    \
        assert_int_equal((e).meta.first, first_);                                                  \
        assert_int_equal((e).meta.last, last_);                                                    \
        assert_int_equal((e).meta.next, next_);                                                    \
        assert_int_equal((e).meta.count, count_);                                                  \
    } while (0)

#endif
