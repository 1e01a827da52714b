#include "core/account.h"

#include "fixture.h"

/* ---- alone ------------------------------------------------------------------------------------------------ */

static void counts_come_back_from_their_text(void **state)
{
    struct account account = {{5, 7, 3, 2}, 9, 4}, got;
    char text[ACCOUNT_TEXT_SIZE];

    (void)state;
    account_render(&account, text);
    assert_string_equal(text, "5 7 3 2 9 4");
    assert_int_equal(account_parse(str_from(text), &got), 0);
    assert_memory_equal(&got, &account, sizeof(got));
}

static void what_is_no_text_of_counts_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "5",
        "5 7 3 2 9",
        "5 7 3 2 9 4 1",
        "5 7 3 2 2 4",
        "5 7 3 2 9 1",
        "-1 7 3 2 9 4",
        "5 7 3 2 9 x",
        " 5 7 3 2 9 4",
    };
    struct account got;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (account_parse(str_from(bad[i]), &got) != -ERR_INVALID)
            fail_msg("taken: '%s'", bad[i]);
}

static void what_was_counted_behind_the_boundary_stays_when_both_counted_alike(void **state)
{
    struct account a = {{0, 10, 4, 0}, 9, 0};

    (void)state;
    assert_true(account_settle(&a, &(struct account_counts){0, 12, 6, 0}, 50, true));
    assert_int_equal(a.settled.delivered, 12);
    assert_int_equal(a.settled.filtered, 6);
    assert_int_equal(a.filtered, 9);
}

static void counts_from_elsewhere_are_not_added_to_ours(void **state)
{
    const struct account_counts others[] = {{3, 12, 6, 0}, {0, 12, 6, 1}, {-1, -1, -1, -1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct account a = {{0, 10, 4, 0}, 9, 0};

        assert_false(account_settle(&a, &others[i], 50, true));
        assert_int_equal(a.filtered, a.settled.filtered);
        assert_int_equal(a.settled.since, others[i].since < 0 ? 50 : others[i].since);
    }
}

/* ---- in streams -------------------------------------------------------------------------------------------- */

/* One that a trail does not want. */
static void foreign_event(struct fixture *f, int64_t offset)
{
    struct event e = {.account = STR("1001"),
                      .region = STR("cn-hangzhou"),
                      .category = EVENT_INNER,
                      .purpose = EVENT_FOR_DELIVERY,
                      .document = STR("x")};

    assert_int_equal(delivery_record(f->core, DELIVERY_SHARED, 0, offset, TIME_MS + offset * 1000,
                                     &e, NULL, NULL),
                     0);
}

static struct delivery_effect last_shown(struct fixture *f)
{
    struct delivery_effect e = want(f, DELIVERY_SHOW);

    while (take(f, DELIVERY_SHOW, &e))
        ;
    return e;
}

static void an_object_carries_the_totals_of_its_stream(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;

    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    foreign_event(&f, 2);
    event(&f, 3, 10);
    foreign_event(&f, 4);
    event(&f, 5, 10);
    foreign_event(&f, 6);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 3, 5, 7, 2);
    assert_int_equal(e.meta.total.since, 1);
    assert_int_equal(e.meta.total.delivered, 2);
    assert_int_equal(e.meta.total.filtered, 3);
    foreign_event(&f, 8);
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    e = want(&f, DELIVERY_WRITE_PROGRESS);
    while (take(&f, DELIVERY_WRITE_PROGRESS, &e))
        ;
    assert_int_equal(e.boundary, 7);
    assert_int_equal(e.counts.settled.delivered, 2);
    assert_int_equal(e.counts.settled.filtered, 3);
    assert_int_equal(e.counts.filtered, 4);
    done(&f);
}

static void what_waits_is_shown_and_becomes_delivered(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;

    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 3, 10);
    foreign_event(&f, 4);
    tick(&f, 900);
    e = last_shown(&f);
    assert_string_equal(e.state, "current");
    assert_int_equal(e.waiting, 1);
    assert_int_equal(e.counts.settled.delivered, 0);
    assert_int_equal(e.counts.filtered, 1);
    tick(&f, 200);
    delivery_put_done(f.core, want(&f, DELIVERY_PUT).stream, DELIVERY_OK, "");
    tick(&f, 1000);
    e = last_shown(&f);
    assert_int_equal(e.waiting, 0);
    assert_int_equal(e.counts.settled.delivered, 1);
    done(&f);
}

static void counts_go_on_from_progress(void **state)
{
    static const struct account counts = {{1, 4, 2, 0}, 5, 0};
    struct fixture f = fixture();
    struct delivery_effect e;

    (void)state;
    trail(&f, 1, "bucket-a");
    assign(&f, 0, 12);
    e = want(&f, DELIVERY_READ_PROGRESS);
    delivery_progress(f.core, e.stream, true, 9, 12, &counts);
    foreign_event(&f, 12);
    event(&f, 13, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 9, 13, 13, 14, 1);
    assert_int_equal(e.meta.total.since, 1);
    assert_int_equal(e.meta.total.delivered, 5);
    assert_int_equal(e.meta.total.filtered, 6);
    done(&f);
}

static void counts_go_on_from_the_newest_object_when_redis_has_none(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    struct delivery_meta meta = {.from = 5,
                                 .first = 8,
                                 .last = 9,
                                 .next = 12,
                                 .count = 2,
                                 .version = 1,
                                 .total = {1, 40, 30, 0}};

    (void)state;
    trail(&f, 1, "bucket-a");
    assign(&f, 0, 12);
    (void)chain_of(1, meta.chain);
    e = want(&f, DELIVERY_READ_PROGRESS);
    delivery_progress(f.core, e.stream, false, 0, 0, NULL);
    e = want(&f, DELIVERY_LIST);
    delivery_listed(f.core, e.stream, DELIVERY_OK, true, 8, TIME_MS, "");
    e = want(&f, DELIVERY_HEAD);
    delivery_head_done(f.core, e.stream, DELIVERY_OK, &meta, "");
    foreign_event(&f, 12);
    event(&f, 13, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_int_equal(e.meta.total.delivered, 41);
    assert_int_equal(e.meta.total.filtered, 31);
    done(&f);
}

static void what_is_parked_is_counted_again_not_twice(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;

    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    foreign_event(&f, 2);
    event(&f, 3, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    tick(&f, 1000);
    e = last_shown(&f);
    assert_string_equal(e.state, "parked");
    assert_int_equal(e.counts.filtered, 0);
    assert_int_equal(e.offset, 1);
    done(&f);
}

TESTS(TEST(counts_come_back_from_their_text), TEST(what_is_no_text_of_counts_is_refused),
      TEST(what_was_counted_behind_the_boundary_stays_when_both_counted_alike),
      TEST(counts_from_elsewhere_are_not_added_to_ours),
      TEST(an_object_carries_the_totals_of_its_stream),
      TEST(what_waits_is_shown_and_becomes_delivered), TEST(counts_go_on_from_progress),
      TEST(counts_go_on_from_the_newest_object_when_redis_has_none),
      TEST(what_is_parked_is_counted_again_not_twice))
