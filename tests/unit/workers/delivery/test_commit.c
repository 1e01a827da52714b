/* test_commit.c - the group's offset and the progress of streams. */
#include "fixture.h"

static void the_committed_offset_is_the_first_event_that_is_not_settled(void **state)
{
    struct fixture f = fixture();
    (void)state;
    f.settings.flush_age_ms = 100000;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    event(&f, 9, 10);
    tick(&f, 1000);
    assert_int_equal(want(&f, DELIVERY_COMMIT).offset, 5);
    done(&f);
}

static void with_nothing_buffered_it_is_the_readers_position(void **state)
{
    struct fixture f = fixture();
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    end(&f, 42);
    tick(&f, 1000);
    assert_int_equal(want(&f, DELIVERY_COMMIT).offset, 42);
    tick(&f, 1000);
    want_none(&f, DELIVERY_COMMIT); /* said once */
    done(&f);
}

static void without_trails_too(void **state)
{
    struct fixture f = fixture();
    (void)state;
    begin(&f);
    event(&f, 5, 10);
    tick(&f, 1000);
    assert_int_equal(want(&f, DELIVERY_COMMIT).offset, 6);
    done(&f);
}

static void a_parked_stream_does_not_hold_it_back(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    trail(&f, 2, "bucket-b");
    begin(&f);
    event(&f, 5, 2000);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_OK, "");
    end(&f, 8);
    tick(&f, 1000);
    assert_int_equal(want(&f, DELIVERY_COMMIT).offset, 8);
    done(&f);
}

static void while_every_destination_fails_it_stays(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 2000);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    while (take(&f, DELIVERY_COMMIT, &e))
        ;
    end(&f, 8);
    tick(&f, 10000);
    want_none(&f, DELIVERY_COMMIT);
    done(&f);
}

static void quiet_streams_say_now_and_then_that_nothing_was_theirs(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    end(&f, 42);
    tick(&f, 1000);
    e = want(&f, DELIVERY_WRITE_PROGRESS);
    assert_int_equal(e.boundary, 1);
    assert_int_equal(e.clear, 42);
    tick(&f, 1000);
    want_none(&f, DELIVERY_WRITE_PROGRESS); /* nothing new */
    done(&f);
}

static void progress_that_was_lost_is_written_again(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    end(&f, 42);
    tick(&f, 1000);
    (void)want(&f, DELIVERY_WRITE_PROGRESS);
    delivery_progress_lost(f.core);
    tick(&f, 1000);
    e = want(&f, DELIVERY_WRITE_PROGRESS);
    assert_int_equal(e.boundary, 1);
    assert_int_equal(e.clear, 42);
    tick(&f, 1000);
    want_none(&f, DELIVERY_WRITE_PROGRESS); /* once */
    done(&f);
}

static void clear_is_the_first_event_that_is_not_settled(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    f.settings.flush_age_ms = 100000;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 5, 10);
    end(&f, 42);
    tick(&f, 1000);
    e = want(&f, DELIVERY_WRITE_PROGRESS);
    assert_int_equal(e.boundary, 1);
    assert_int_equal(e.clear, 5);
    done(&f);
}

static void what_people_see_is_said_again_when_it_has_changed(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    f.settings.flush_age_ms = 100000;
    trail(&f, 1, "bucket-a");
    begin(&f);
    tick(&f, 1);
    e = want(&f, DELIVERY_SHOW);
    assert_int_equal(e.offset, 1);
    assert_int_equal(e.waiting, 0);
    assert_str_eq(str_from(e.state), STR("current"));
    tick(&f, 1000);
    want_none(&f, DELIVERY_SHOW);
    event(&f, 5, 10);
    tick(&f, 1);
    e = want(&f, DELIVERY_SHOW);
    assert_int_equal(e.offset, 6);
    assert_int_equal(e.waiting, 1);
    tick(&f, 1000);
    want_none(&f, DELIVERY_SHOW);
    delivery_progress_lost(f.core);
    tick(&f, 1000);
    (void)want(&f, DELIVERY_SHOW);
    tick(&f, 1000);
    want_none(&f, DELIVERY_SHOW);
    done(&f);
}

/* However many wait to be carried out. */
static void what_is_to_be_done_is_said_in_its_order(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    int64_t committed = 9;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    for (int64_t position = 10; position < 100; position++) {
        end(&f, position);
        f.now_ms += 1000;
        delivery_tick(f.core, f.now_ms);
        assert_true(delivery_next(f.core, &e)); /* one of those that each step adds */
        if (e.kind == DELIVERY_COMMIT)
            assert_int_equal(e.offset, ++committed);
    }
    while (delivery_next(f.core, &e))
        if (e.kind == DELIVERY_COMMIT)
            assert_int_equal(e.offset, ++committed);
    assert_int_equal(committed, 99);
    done(&f);
}

static void another_stream_asks_when_the_one_that_did_is_gone(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    f.settings.partition_count = 2;
    trail(&f, 1, "bucket-a");
    begin(&f);
    assert_int_equal(delivery_assign(f.core, 1, 0, LOG_END, 0), 0);
    e = want(&f, DELIVERY_READ_PROGRESS); /* its trail is older than the partition: from 0 */
    delivery_progress(f.core, e.stream, true, 0, 0, NULL);
    event(&f, 5, 2000);
    tick(&f, 1);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_FAILED, "");
    tick(&f, 100);
    e = want(&f, DELIVERY_PROBE);
    delivery_revoke(f.core, e.partition);
    tick(&f, 1000);
    assert_int_equal(want(&f, DELIVERY_PROBE).partition, 1 - e.partition);
    done(&f);
}

TESTS(TEST(the_committed_offset_is_the_first_event_that_is_not_settled),
      TEST(with_nothing_buffered_it_is_the_readers_position), TEST(without_trails_too),
      TEST(a_parked_stream_does_not_hold_it_back), TEST(while_every_destination_fails_it_stays),
      TEST(quiet_streams_say_now_and_then_that_nothing_was_theirs),
      TEST(progress_that_was_lost_is_written_again),
      TEST(clear_is_the_first_event_that_is_not_settled),
      TEST(what_people_see_is_said_again_when_it_has_changed),
      TEST(what_is_to_be_done_is_said_in_its_order),
      TEST(another_stream_asks_when_the_one_that_did_is_gone))
