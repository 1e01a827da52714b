/* test_outcomes.c - what an answer of the store means; destinations that fail and come back. */
#include "fixture.h"

/* A core with one event sent. */
static struct fixture one_sent(struct delivery_effect *ret)
{
    struct fixture f = fixture();
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    while (take(&f, DELIVERY_WRITE_PROGRESS, ret))
        assert_int_equal(ret->boundary, 1); /* not before it has settled */
    *ret = want(&f, DELIVERY_PUT);
    return f;
}

static struct delivery_meta meta_of(const struct delivery_effect *put, int64_t next)
{
    struct delivery_meta meta = put->meta;
    meta.next = next;
    return meta;
}

static void created_moves_the_boundary(void **state)
{
    struct delivery_effect e, progress;
    struct delivery_view view;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    progress = want(&f, DELIVERY_WRITE_PROGRESS);
    assert_int_equal(progress.boundary, 6);
    assert_int_equal(progress.clear, 6);
    delivery_view(f.core, &view);
    assert_int_equal(view.objects, 1);
    assert_int_equal(view.delivered, 1);
    assert_true(delivery_idle(f.core));
    done(&f);
}

static void what_exists_is_looked_at_and_adopted(void **state)
{
    struct delivery_effect e, progress;
    struct fixture f = one_sent(&e);
    struct delivery_meta meta = meta_of(&e, 9);
    (void)state;
    event(&f, 8, 10);
    event(&f, 9, 10);
    delivery_put_done(f.core, e.stream, DELIVERY_EXISTS, "");
    e = want(&f, DELIVERY_HEAD);
    assert_int_equal(e.meta.first, 5);
    assert_int_equal(e.first_time_ms, TIME_MS + 5000);
    delivery_head_done(f.core, e.stream, DELIVERY_OK, &meta, "");
    progress = want(&f, DELIVERY_WRITE_PROGRESS);
    assert_int_equal(progress.boundary, 9);
    assert_int_equal(progress.clear, 9);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT); /* 8 is in the object; 9 is not */
    assert_batch(e, 9, 9, 9, 10, 1);
    done(&f);
}

static void an_adopted_object_may_reach_beyond_the_reader(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    struct delivery_meta meta = meta_of(&e, 20);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_EXISTS, "");
    delivery_head_done(f.core, e.stream, DELIVERY_OK, &meta, "");
    event(&f, 19, 10);
    event(&f, 20, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 20, 20, 20, 21, 1);
    done(&f);
}

static void not_found_after_exists_means_the_same_key_again(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_EXISTS, "");
    e = want(&f, DELIVERY_HEAD);
    delivery_head_done(f.core, e.stream, DELIVERY_NOT_FOUND, NULL, "");
    tick(&f, 100);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 5, 5, 6, 1);
    done(&f);
}

static void an_unclear_look_is_repeated(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    struct delivery_meta meta = meta_of(&e, 9);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_EXISTS, "");
    e = want(&f, DELIVERY_HEAD);
    delivery_head_done(f.core, e.stream, DELIVERY_UNCLEAR, NULL, "");
    tick(&f, 100);
    e = want(&f, DELIVERY_HEAD);
    assert_int_equal(e.meta.first, 5);
    tick(&f, 1000);
    want_none(&f, DELIVERY_HEAD); /* one is under way */
    delivery_head_done(f.core, e.stream, DELIVERY_OK, &meta, "");
    assert_int_equal(want(&f, DELIVERY_WRITE_PROGRESS).boundary, 9);
    done(&f);
}

static void a_foreign_object_parks_its_stream(void **state)
{
    struct delivery_effect e;
    struct delivery_view view;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_EXISTS, "");
    e = want(&f, DELIVERY_HEAD);
    delivery_head_done(f.core, e.stream, DELIVERY_OK, NULL, "not signed by us");
    e = want(&f, DELIVERY_STUCK);
    assert_str_eq(str_from(e.why), STR("not signed by us"));
    event(&f, 9, 2000);
    tick(&f, 100000);
    want_none(&f, DELIVERY_PUT);
    delivery_view(f.core, &view);
    assert_int_equal(view.stuck, 1);
    assert_int_equal(view.buffered_records, 0);
    done(&f);
}

static void an_object_that_begins_elsewhere_parks_its_stream(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    struct delivery_meta meta = meta_of(&e, 9);
    (void)state;
    meta.from = 2;
    delivery_put_done(f.core, e.stream, DELIVERY_EXISTS, "");
    e = want(&f, DELIVERY_HEAD);
    delivery_head_done(f.core, e.stream, DELIVERY_OK, &meta, "");
    (void)want(&f, DELIVERY_STUCK);
    done(&f);
}

/* ---- destinations --------------------------------------------------------------------------------- */

static void a_refusing_destination_is_parked_at_once(void **state)
{
    struct delivery_effect e;
    struct delivery_view view;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "no such bucket");
    delivery_view(f.core, &view);
    assert_int_equal(view.parked, 1);
    assert_int_equal(view.buffered_records, 0);
    assert_true(delivery_idle(f.core));
    tick(&f, 5000);
    want_none(&f, DELIVERY_WRITE_PROGRESS); /* no `clear` while it is parked */
    done(&f);
}

static void a_destination_that_is_silent_is_parked_after_a_while(void **state)
{
    struct delivery_effect e;
    struct delivery_view view;
    struct fixture f = one_sent(&e);
    (void)state;
    for (int64_t began_ms = f.now_ms; f.now_ms < began_ms + 5000;) {
        delivery_view(f.core, &view);
        assert_int_equal(view.parked, 0);
        delivery_put_done(f.core, e.stream, DELIVERY_UNCLEAR, "");
        tick(&f, 1000);
        e = want(&f, DELIVERY_PUT);
    }
    delivery_put_done(f.core, e.stream, DELIVERY_UNCLEAR, "");
    delivery_view(f.core, &view);
    assert_int_equal(view.parked, 1);
    done(&f);
}

static void who_comes_back_is_caught_up_from_its_boundary(void **state)
{
    struct delivery_effect e;
    struct delivery_view view;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    event(&f, 9, 10); /* the shared reader goes on */
    tick(&f, 100);
    e = want(&f, DELIVERY_PROBE);
    delivery_probed(f.core, e.stream, DELIVERY_OK, "");
    assert_int_equal(want(&f, DELIVERY_CATCH_UP).offset, 1);
    event(&f, 10, 10);
    event_by(&f, DELIVERY_CATCHING_UP, 5, 10);
    event_by(&f, DELIVERY_CATCHING_UP, 9, 10);
    event_by(&f, DELIVERY_CATCHING_UP, 10, 10);
    assert_int_equal(delivery_end(f.core, DELIVERY_CATCHING_UP, 0, 11), 0);
    (void)want(&f, DELIVERY_CATCH_UP_STOP);
    delivery_view(f.core, &view);
    assert_int_equal(view.late, 0);
    event(&f, 11, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 5, 11, 12, 4);
    done(&f);
}

static void the_catch_up_reader_never_passes_the_shared_one(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    event(&f, 9, 10);
    tick(&f, 100);
    delivery_probed(f.core, want(&f, DELIVERY_PROBE).stream, DELIVERY_OK, "");
    event_by(&f, DELIVERY_CATCHING_UP, 5, 10);
    event_by(&f, DELIVERY_CATCHING_UP, 9, 10);
    event_by(&f, DELIVERY_CATCHING_UP, 12, 10); /* discarded: the shared reader will offer it */
    (void)want(&f, DELIVERY_CATCH_UP_STOP);
    event(&f, 12, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 5, 12, 13, 3);
    done(&f);
}

static void a_destination_that_is_still_away_is_asked_again_later(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    tick(&f, 100);
    e = want(&f, DELIVERY_PROBE);
    tick(&f, 10000);
    want_none(&f, DELIVERY_PROBE); /* one at a time */
    delivery_probed(f.core, e.stream, DELIVERY_FAILED, "");
    tick(&f, 99);
    want_none(&f, DELIVERY_PROBE); /* at least half of its pause, which has doubled */
    tick(&f, 101);
    (void)want(&f, DELIVERY_PROBE);
    done(&f);
}

static void a_destination_that_has_just_failed_is_left_alone_for_a_while(void **state)
{
    struct delivery_effect e;
    struct fixture f = one_sent(&e);
    (void)state;
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    tick(&f, 49);
    want_none(&f, DELIVERY_PROBE);
    tick(&f, 51);
    (void)want(&f, DELIVERY_PROBE);
    done(&f);
}

static void one_destination_fails_and_the_other_goes_on(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e, first;
    struct delivery_view view;
    (void)state;
    trail(&f, 1, "bucket-a");
    trail(&f, 2, "bucket-b");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    first = want(&f, DELIVERY_PUT);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, first.stream, DELIVERY_FAILED, "");
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    event(&f, 6, 10);
    tick(&f, 1000);
    assert_int_equal(want(&f, DELIVERY_PUT).stream, e.stream);
    delivery_view(f.core, &view);
    assert_int_equal(view.parked, 1);
    done(&f);
}

static void a_put_that_was_not_sent_yet_is_not_sent_from_a_parked_stream(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    trail(&f, 2, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    f.now_ms += 1000;
    delivery_tick(f.core, f.now_ms); /* both are queued */
    while (delivery_next(f.core, &e) && e.kind != DELIVERY_PUT)
        ;
    assert_int_equal(e.kind, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    want_none(&f, DELIVERY_PUT);
    assert_true(delivery_idle(f.core));
    done(&f);
}

TESTS(TEST(created_moves_the_boundary), TEST(what_exists_is_looked_at_and_adopted),
      TEST(an_adopted_object_may_reach_beyond_the_reader),
      TEST(not_found_after_exists_means_the_same_key_again), TEST(an_unclear_look_is_repeated),
      TEST(a_foreign_object_parks_its_stream),
      TEST(an_object_that_begins_elsewhere_parks_its_stream),
      TEST(a_refusing_destination_is_parked_at_once),
      TEST(a_destination_that_is_silent_is_parked_after_a_while),
      TEST(who_comes_back_is_caught_up_from_its_boundary),
      TEST(the_catch_up_reader_never_passes_the_shared_one),
      TEST(a_destination_that_is_still_away_is_asked_again_later),
      TEST(a_destination_that_has_just_failed_is_left_alone_for_a_while),
      TEST(one_destination_fails_and_the_other_goes_on),
      TEST(a_put_that_was_not_sent_yet_is_not_sent_from_a_parked_stream))
