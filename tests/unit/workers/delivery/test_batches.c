/* test_batches.c - when an object is cut, what it says of itself, what a retry carries. */
#include "fixture.h"

static void an_object_is_cut_when_its_first_event_is_old(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 500);
    event(&f, 7, 10);
    tick(&f, 499);
    want_none(&f, DELIVERY_PUT);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 5, 7, 8, 2);
    done(&f);
}

static void what_is_left_behind_an_object_keeps_its_age(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    event(&f, 6, 10);
    tick(&f, 900);
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    tick(&f, 100);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 6, 6, 6, 7, 1);
    done(&f);
}

static void an_object_is_cut_when_it_is_large(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 3, 400);
    event(&f, 4, 400);
    tick(&f, 1);
    want_none(&f, DELIVERY_PUT);
    event(&f, 9, 400);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 3, 4, 5, 2); /* the third would make it larger than an object should be */
    done(&f);
}

static void an_event_larger_than_an_object_has_one_of_its_own(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 3, 3000);
    event(&f, 4, 10);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 3, 3, 4, 1);
    done(&f);
}

static void short_of_memory_the_largest_buffer_goes_and_no_more_is_taken(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    char chain[TRAIL_CHAIN_SIZE];
    (void)state;
    f.settings.memory_max = 900;
    f.settings.flush_bytes = 5000;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 2, 200);
    assert_int_equal(delivery_record(f.core, DELIVERY_SHARED, 0, 3, 0, NULL,
                                     version_of(2, 1, 3, 1, "bucket-b"), NULL),
                     0);
    delivery_progress(f.core, want(&f, DELIVERY_READ_PROGRESS).stream, true, 4, 4, NULL);
    event(&f, 4, 300); /* of both trails */
    assert_true(delivery_takes(f.core));
    event(&f, 5, 100);
    assert_false(delivery_takes(f.core));
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    assert_str_eq(str_from(e.meta.chain), str_from(chain_of(1, chain)));
    assert_batch(e, 1, 2, 5, 6, 3);
    want_none(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    assert_true(delivery_takes(f.core));
    done(&f);
}

static void from_is_the_boundary_and_next_is_what_was_offered(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    end(&f, 12); /* behind it only markers */
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 5, 5, 12, 1);
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    event(&f, 20, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 12, 20, 20, 21, 1);
    done(&f);
}

static void the_key_is_a_function_of_the_first_record(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    char chain[TRAIL_CHAIN_SIZE];
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    event(&f, 6, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_int_equal(e.first_time_ms, TIME_MS + 5000);
    assert_str_eq(str_from(e.meta.chain), str_from(chain_of(1, chain)));
    assert_str_eq(e.chain, str_from(chain));
    assert_str_eq(e.bucket, STR("bucket-a"));
    assert_str_eq(e.prefix, STR("p"));
    assert_int_equal(e.meta.partition, 0);
    assert_int_equal(e.meta.version, 1);
    done(&f);
}

static void a_retry_may_carry_more_but_keeps_its_first(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    event(&f, 6, 10);
    delivery_put_done(f.core, e.stream, DELIVERY_UNCLEAR, "");
    tick(&f, 100);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 1, 5, 6, 7, 2);
    assert_int_equal(e.first_time_ms, TIME_MS + 5000);
    done(&f);
}

static void a_retry_waits_for_half_of_its_pause_at_least(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    for (int64_t pause_ms = 100; pause_ms <= 400; pause_ms *= 2) {
        e = want(&f, DELIVERY_PUT);
        delivery_put_done(f.core, e.stream, DELIVERY_UNCLEAR, "");
        tick(&f, pause_ms / 2 - 1);
        want_none(&f, DELIVERY_PUT);
        tick(&f, pause_ms / 2 + 1);
    }
    done(&f);
}

static void a_stream_has_one_put_under_way(void **state)
{
    struct fixture f = fixture();
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 2000);
    tick(&f, 1);
    (void)want(&f, DELIVERY_PUT);
    event(&f, 6, 2000);
    tick(&f, 5000);
    want_none(&f, DELIVERY_PUT);
    assert_false(delivery_idle(f.core));
    done(&f);
}

static void no_more_objects_at_once_than_set(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    f.settings.uploads_max = 1;
    trail(&f, 1, "bucket-a");
    trail(&f, 2, "bucket-b");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    want_none(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    tick(&f, 1);
    (void)want(&f, DELIVERY_PUT);
    done(&f);
}

static void draining_waits_for_nothing(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    delivery_drain(f.core);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    assert_false(delivery_idle(f.core));
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    assert_true(delivery_idle(f.core));
    assert_int_equal(want(&f, DELIVERY_COMMIT).offset, 5);
    tick(&f, 1);
    assert_int_equal(want(&f, DELIVERY_COMMIT).offset, 6);
    done(&f);
}

static void a_buffer_that_is_too_old_is_read_again(void **state)
{
    struct fixture f = fixture();
    struct delivery_view view;
    (void)state;
    f.settings.flush_age_ms = 1000000;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, f.settings.buffer_age_max_ms + 1);
    want_none(&f, DELIVERY_PUT);
    assert_int_equal(want(&f, DELIVERY_CATCH_UP).offset, 1);
    delivery_view(f.core, &view);
    assert_int_equal(view.buffered_records, 0);
    assert_int_equal(view.late, 1);
    done(&f);
}

static void a_buffer_is_sent_well_before_it_is_too_old(void **state)
{
    struct fixture f = fixture();
    (void)state;
    f.settings.flush_age_ms = 10 * f.settings.buffer_age_max_ms;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, f.settings.buffer_age_max_ms / 2 - 1);
    want_none(&f, DELIVERY_PUT);
    tick(&f, 1);
    (void)want(&f, DELIVERY_PUT);
    done(&f);
}

static void a_buffer_too_old_is_not_sent_again_either(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    f.settings.park_after_ms = INT64_MAX;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_UNCLEAR, "");
    tick(&f, f.settings.buffer_age_max_ms + 1);
    want_none(&f, DELIVERY_PUT);
    assert_int_equal(want(&f, DELIVERY_CATCH_UP).offset, 1);
    done(&f);
}

TESTS(TEST(an_object_is_cut_when_its_first_event_is_old),
      TEST(what_is_left_behind_an_object_keeps_its_age), TEST(an_object_is_cut_when_it_is_large),
      TEST(an_event_larger_than_an_object_has_one_of_its_own),
      TEST(short_of_memory_the_largest_buffer_goes_and_no_more_is_taken),
      TEST(from_is_the_boundary_and_next_is_what_was_offered),
      TEST(the_key_is_a_function_of_the_first_record),
      TEST(a_retry_may_carry_more_but_keeps_its_first),
      TEST(a_retry_waits_for_half_of_its_pause_at_least), TEST(a_stream_has_one_put_under_way),
      TEST(no_more_objects_at_once_than_set), TEST(draining_waits_for_nothing),
      TEST(a_buffer_that_is_too_old_is_read_again),
      TEST(a_buffer_is_sent_well_before_it_is_too_old),
      TEST(a_buffer_too_old_is_not_sent_again_either))
