/* test_start.c - where a stream starts, and what it makes of a log that has gone on without it. */
#include "fixture.h"

static struct delivery_meta meta_of(int n, int64_t from, int64_t first, int64_t next)
{
    struct delivery_meta meta = {
        .from = from, .first = first, .last = first, .next = next, .count = 1, .version = 1};
    chain_of(n, meta.chain);
    return meta;
}

/* The one trail's stream asks for its progress. */
static uint64_t asking(struct fixture *f, int64_t log_start, int64_t position)
{
    trail(f, 1, "bucket-a");
    assign(f, log_start, position);
    assert_false(delivery_started(f->core));
    return want(f, DELIVERY_READ_PROGRESS).stream;
}

/* The next object of the stream, fed by the shared reader. */
static struct delivery_effect object_at(struct fixture *f, int64_t offset)
{
    assert_true(delivery_started(f->core));
    event(f, offset, 10);
    tick(f, 1000);
    return want(f, DELIVERY_PUT);
}

static void progress_says_boundary_and_cursor(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 10);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, true, 7, 10, NULL);
    e = object_at(&f, 12);
    assert_batch(e, 7, 12, 12, 13, 1);
    done(&f);
}

/* Once its settings can be read, a start finds where it stood. */
static void a_trail_in_doubt_is_not_begun_and_keeps_no_other_up(void **state)
{
    struct fixture f = fixture();
    char chain[TRAIL_CHAIN_SIZE];
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    trail(&f, 2, "bucket-b");
    assert_int_equal(trail_book_doubt(f.book, STR("00000000-0000-4000-8000-000000000001"), 2), 0);
    assign(&f, 0, 10);
    e = want(&f, DELIVERY_READ_PROGRESS);
    assert_str_eq(e.chain, str_from(chain_of(2, chain)));
    want_none(&f, DELIVERY_READ_PROGRESS);
    delivery_progress(f.core, e.stream, true, 7, 10, NULL);
    e = object_at(&f, 12);
    assert_str_eq(e.bucket, STR("bucket-b"));
    tick(&f, 1000);
    want_none(&f, DELIVERY_PUT);
    done(&f);
}

static void the_newest_listed_object_says_it_otherwise(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 10);
    struct delivery_meta meta = meta_of(1, 1, 4, 10);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    e = want(&f, DELIVERY_LIST);
    delivery_listed(f.core, stream, DELIVERY_OK, true, 4, TIME_MS, "");
    e = want(&f, DELIVERY_HEAD);
    assert_int_equal(e.meta.first, 4);
    assert_int_equal(e.first_time_ms, TIME_MS);
    delivery_head_done(f.core, stream, DELIVERY_OK, &meta, "");
    e = object_at(&f, 12);
    assert_batch(e, 10, 12, 12, 13, 1);
    done(&f);
}

static void without_either_it_starts_at_its_origin(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 1);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    delivery_listed(f.core, stream, DELIVERY_OK, false, 0, 0, "");
    e = object_at(&f, 12);
    assert_batch(e, 1, 12, 12, 13, 1);
    done(&f);
}

static void progress_that_contradicts_itself_is_none(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 1);
    (void)state;
    delivery_progress(f.core, stream, true, 7, 5, NULL);
    (void)want(&f, DELIVERY_LIST);
    done(&f);
}

static void behind_the_committed_offset_it_is_caught_up(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 50);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, true, 7, 9, NULL);
    assert_int_equal(want(&f, DELIVERY_CATCH_UP).offset, 9);
    event(&f, 50, 10); /* not offered: it would leave a gap */
    event_by(&f, DELIVERY_CATCHING_UP, 20, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_batch(e, 7, 20, 20, 21, 1);
    done(&f);
}

static void ahead_of_the_committed_offset_it_skips(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 3);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, true, 20, 25, NULL);
    event(&f, 10, 10);
    event(&f, 24, 10);
    want_none(&f, DELIVERY_CATCH_UP);
    e = object_at(&f, 25);
    assert_batch(e, 20, 25, 25, 26, 1);
    done(&f);
}

static void a_catch_up_that_meets_no_record_joins_at_the_end(void **state)
{
    struct fixture f = fixture();
    (void)state;
    f.settings.partition_count = 2;
    trail(&f, 1, "bucket-a");
    begin(&f);
    assert_int_equal(delivery_assign(f.core, 1, 0, LOG_END, 5), 0);
    delivery_progress(f.core, want(&f, DELIVERY_READ_PROGRESS).stream, true, 0, 0, NULL);
    assert_int_equal(want(&f, DELIVERY_CATCH_UP).offset, 0);
    assert_int_equal(delivery_end(f.core, DELIVERY_CATCHING_UP, 1, 5), 0);
    (void)want(&f, DELIVERY_CATCH_UP_STOP);
    done(&f);
}

static void a_listed_object_of_another_chain_parks_its_stream_and_keeps_no_other_up(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 10);
    struct delivery_meta meta = meta_of(2, 1, 4, 10);
    (void)state;
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    delivery_listed(f.core, stream, DELIVERY_OK, true, 4, TIME_MS, "");
    delivery_head_done(f.core, stream, DELIVERY_OK, &meta, "");
    (void)want(&f, DELIVERY_STUCK);
    assert_true(delivery_started(f.core));
    done(&f);
}

static void a_listing_that_fails_parks_the_start(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 1);
    (void)state;
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    (void)want(&f, DELIVERY_LIST);
    delivery_listed(f.core, stream, DELIVERY_UNCLEAR, false, 0, 0, "");
    assert_true(delivery_started(f.core)); /* the others do not wait for it */
    tick(&f, 100);
    delivery_probed(f.core, want(&f, DELIVERY_PROBE).stream, DELIVERY_OK, "");
    (void)want(&f, DELIVERY_READ_PROGRESS);
    done(&f);
}

/* ---- the log's bounds ------------------------------------------------------------------------------------ */

static void a_log_that_has_grown_meanwhile_is_no_truncated_one(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 1);
    (void)state;
    delivery_progress(f.core, stream, true, LOG_END + 5, LOG_END + 5, NULL);
    want_none(&f, DELIVERY_STUCK);
    assert_int_equal(want(&f, DELIVERY_ASK_END).stream, stream);
    delivery_log_end(f.core, stream, LOG_END + 9);
    assert_true(delivery_started(f.core));
    want_none(&f, DELIVERY_STUCK);
    done(&f);
}

static void a_boundary_beyond_the_logs_end_parks_its_stream(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 1);
    (void)state;
    delivery_progress(f.core, stream, true, LOG_END + 5, LOG_END + 5, NULL);
    delivery_log_end(f.core, stream, LOG_END);
    (void)want(&f, DELIVERY_STUCK);
    assert_true(delivery_started(f.core));
    event(&f, 20, 2000);
    tick(&f, 1000);
    want_none(&f, DELIVERY_PUT);
    done(&f);
}

static void behind_the_logs_start_the_bucket_is_asked_first(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 30, 30);
    struct delivery_meta meta = meta_of(1, 7, 9, 40);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, true, 7, 7, NULL);
    want_none(&f, DELIVERY_LOST);
    (void)want(&f, DELIVERY_LIST);
    delivery_listed(f.core, stream, DELIVERY_OK, true, 9, TIME_MS, "");
    delivery_head_done(f.core, stream, DELIVERY_OK, &meta, "");
    want_none(&f, DELIVERY_LOST);
    e = object_at(&f, 41);
    assert_batch(e, 40, 41, 41, 42, 1);
    done(&f);
}

/* The trail's first objects are not listed when it was made by a clock that goes days ahead. What lies in one of them would
 * be delivered again from the log's start on. */
static void behind_the_logs_start_all_days_are_listed_whenever_the_trail_was_made(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 30, 50);
    (void)state;
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    assert_int_equal(want(&f, DELIVERY_LIST).created_s, 0);
    done(&f);
}

static void what_is_in_the_log_is_listed_since_the_trail_was_made(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 1, 50);
    (void)state;
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    assert_int_equal(want(&f, DELIVERY_LIST).created_s, CREATED_S);
    delivery_out_of_range(f.core, 0, 30);
    delivery_listed(f.core, stream, DELIVERY_OK, false, 0, 0, "");
    assert_int_equal(want(&f, DELIVERY_LIST).created_s, 0); /* until the log goes on */
    done(&f);
}

static void a_loss_moves_the_cursor_and_not_the_boundary(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 30, 30);
    struct delivery_effect e;
    (void)state;
    delivery_progress(f.core, stream, true, 7, 9, NULL);
    delivery_listed(f.core, stream, DELIVERY_OK, false, 0, 0, "");
    e = want(&f, DELIVERY_LOST);
    assert_int_equal(e.offset, 9);
    assert_int_equal(e.to, 30);
    e = object_at(&f, 31);
    assert_batch(e, 7, 31, 31, 32, 1);
    done(&f);
}

static void a_listed_object_that_is_not_found_makes_no_loss(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 30, 30);
    struct delivery_view view;
    (void)state;
    delivery_progress(f.core, stream, true, 7, 7, NULL);
    delivery_listed(f.core, stream, DELIVERY_OK, true, 9, TIME_MS, "");
    delivery_head_done(f.core, stream, DELIVERY_NOT_FOUND, NULL, "");
    want_none(&f, DELIVERY_LOST);
    delivery_view(f.core, &view);
    assert_int_equal(view.parked, 1); /* and asked again later */
    done(&f);
}

static void a_listing_from_before_the_log_went_on_makes_no_loss(void **state)
{
    struct fixture f = fixture();
    uint64_t stream;
    struct delivery_effect e;
    (void)state;
    trail(&f, 1, "bucket-a");
    trail(&f, 2, "bucket-b");
    assign(&f, 29, 50);
    stream = want(&f, DELIVERY_READ_PROGRESS).stream;
    delivery_progress(f.core, want(&f, DELIVERY_READ_PROGRESS).stream, true, 35, 35, NULL);
    delivery_progress(f.core, stream, false, 0, 0, NULL);
    (void)want(&f, DELIVERY_LIST);
    delivery_out_of_range(f.core, 0, 30); /* the other one's reader finds out */
    delivery_listed(f.core, stream, DELIVERY_OK, false, 0, 0, "");
    want_none(&f, DELIVERY_LOST);
    e = want(&f, DELIVERY_LIST);
    assert_int_equal(e.stream, stream);
    delivery_listed(f.core, stream, DELIVERY_OK, false, 0, 0, "");
    assert_int_equal(want(&f, DELIVERY_LOST).to, 30);
    done(&f);
}

static void a_stream_whose_place_leaves_the_log_begins_anew(void **state)
{
    struct fixture f = fixture();
    uint64_t stream = asking(&f, 0, 50);
    struct delivery_effect e, again;
    (void)state;
    delivery_progress(f.core, stream, true, 7, 7, NULL);
    (void)want(&f, DELIVERY_CATCH_UP);
    event_by(&f, DELIVERY_CATCHING_UP, 10, 10);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    delivery_put_done(f.core, e.stream, DELIVERY_UNCLEAR, "");
    delivery_out_of_range(f.core, 0, 30);
    (void)want(&f, DELIVERY_CATCH_UP_STOP);
    again = want(&f, DELIVERY_READ_PROGRESS);
    assert_true(again.stream != stream); /* answers to before find nobody */
    delivery_put_done(f.core, stream, DELIVERY_OK, "");
    delivery_progress(f.core, again.stream, true, 40, 50, NULL);
    tick(&f, 1000);
    want_none(&f, DELIVERY_PUT);
    e = object_at(&f, 51);
    assert_batch(e, 40, 51, 51, 52, 1);
    done(&f);
}

static void a_stream_that_begins_anew_gives_its_place_among_the_uploads_back(void **state)
{
    struct fixture f = fixture();
    uint64_t stream;
    (void)state;
    f.settings.uploads_max = 1;
    stream = asking(&f, 0, 50);
    delivery_progress(f.core, stream, true, 7, 7, NULL);
    event_by(&f, DELIVERY_CATCHING_UP, 10, 10);
    tick(&f, 1000);
    (void)want(&f, DELIVERY_PUT); /* under way, and forgotten */
    delivery_out_of_range(f.core, 0, 30);
    stream = want(&f, DELIVERY_READ_PROGRESS).stream;
    delivery_progress(f.core, stream, true, 40, 50, NULL);
    (void)object_at(&f, 51);
    done(&f);
}

/* More than find a place of their own in the tables. */
static void streams_that_went_away_start_anew_when_their_partition_comes_back(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    for (int n = 0; n < 400; n++)
        trail(&f, n, "bucket-a");
    assign(&f, 0, 1);
    for (int again = 0; again < 2; again++) {
        uint64_t before = again ? e.stream : 0;

        for (int n = 0; n < 400; n++) {
            assert_true(delivery_next(f.core, &e));
            assert_int_equal(e.kind, DELIVERY_READ_PROGRESS);
            assert_true(e.stream > before);
        }
        assert_false(delivery_next(f.core, &e));
        delivery_revoke(f.core, 0);
        assert_true(delivery_started(f.core));
        assert_int_equal(delivery_assign(f.core, 0, 0, LOG_END, 1), 0);
    }
    done(&f);
}

/* ---- changes ------------------------------------------------------------------------------------------------- */

static void a_trail_made_while_we_run_starts_behind_its_record(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e;
    (void)state;
    begin(&f);
    event(&f, 4, 10);
    assert_int_equal(delivery_record(f.core, DELIVERY_SHARED, 0, 5, 0, NULL,
                                     version_of(1, 1, 5, 1, "bucket-a"), NULL),
                     0);
    delivery_progress(f.core, want(&f, DELIVERY_READ_PROGRESS).stream, true, 6, 6, NULL);
    e = object_at(&f, 8);
    assert_batch(e, 6, 8, 8, 9, 1);
    done(&f);
}

static void another_bucket_ends_one_chain_and_begins_the_next(void **state)
{
    struct fixture f = fixture();
    struct delivery_effect e, last;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    event(&f, 4, 10);
    assert_int_equal(delivery_record(f.core, DELIVERY_SHARED, 0, 6, 0, NULL,
                                     version_of(1, 2, 6, 2, "bucket-b"), NULL),
                     0);
    delivery_progress(f.core, want(&f, DELIVERY_READ_PROGRESS).stream, true, 7, 7, NULL);
    event(&f, 7, 10);
    tick(&f, 1);
    last = want(&f, DELIVERY_PUT); /* what has ended waits for nothing */
    assert_str_eq(last.bucket, STR("bucket-a"));
    assert_batch(last, 1, 4, 4, 7, 1);
    tick(&f, 1000);
    e = want(&f, DELIVERY_PUT);
    assert_str_eq(e.bucket, STR("bucket-b"));
    assert_batch(e, 7, 7, 7, 8, 1);
    done(&f);
}

static void a_change_that_contradicts_what_is_known_is_an_error(void **state)
{
    struct fixture f = fixture();
    struct why why;
    (void)state;
    trail(&f, 1, "bucket-a");
    begin(&f);
    assert_int_equal(delivery_record(f.core, DELIVERY_SHARED, 0, 6, 0, NULL,
                                     version_of(1, 1, 6, 1, "bucket-a"), &why),
                     -ERR_CONFLICT);
    done(&f);
}

TESTS(TEST(progress_says_boundary_and_cursor),
      TEST(a_trail_in_doubt_is_not_begun_and_keeps_no_other_up),
      TEST(the_newest_listed_object_says_it_otherwise),
      TEST(without_either_it_starts_at_its_origin), TEST(progress_that_contradicts_itself_is_none),
      TEST(behind_the_committed_offset_it_is_caught_up),
      TEST(ahead_of_the_committed_offset_it_skips),
      TEST(a_catch_up_that_meets_no_record_joins_at_the_end),
      TEST(a_listed_object_of_another_chain_parks_its_stream_and_keeps_no_other_up),
      TEST(a_listing_that_fails_parks_the_start),
      TEST(a_log_that_has_grown_meanwhile_is_no_truncated_one),
      TEST(a_boundary_beyond_the_logs_end_parks_its_stream),
      TEST(behind_the_logs_start_the_bucket_is_asked_first),
      TEST(behind_the_logs_start_all_days_are_listed_whenever_the_trail_was_made),
      TEST(what_is_in_the_log_is_listed_since_the_trail_was_made),
      TEST(a_loss_moves_the_cursor_and_not_the_boundary),
      TEST(a_listed_object_that_is_not_found_makes_no_loss),
      TEST(a_listing_from_before_the_log_went_on_makes_no_loss),
      TEST(a_stream_whose_place_leaves_the_log_begins_anew),
      TEST(a_stream_that_begins_anew_gives_its_place_among_the_uploads_back),
      TEST(streams_that_went_away_start_anew_when_their_partition_comes_back),
      TEST(a_trail_made_while_we_run_starts_behind_its_record),
      TEST(another_bucket_ends_one_chain_and_begins_the_next),
      TEST(a_change_that_contradicts_what_is_known_is_an_error))
