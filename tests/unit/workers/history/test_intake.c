/* test_intake.c - what becomes of a record, where a partition is begun, when a batch is due. */
#include "core/intake.h"

#include "test.h"

static struct event event_of_tests(void)
{
    return (struct event){
        .id = STR("id-1"),
        .account = STR("1001"),
        .region = STR("cn-hangzhou"),
        .purpose = EVENT_FOR_HISTORY,
        .time_ms = 1700000000000,
        .service = STR("Ecs"),
        .name = STR("RunInstances"),
        .document = STR("{}"),
    };
}

static enum intake decide(const struct event *event, bool change)
{
    AUTO_BUF struct buf bytes = {0};
    struct event decoded;
    enum intake intake;
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(event, &bytes), 0);
    assert_int_equal(intake_decide(buf_str(&bytes), change, &intake, &decoded, NULL), 0);
    assert_str_eq(decoded.id, event->id);
    return intake;
}

static void an_event_for_history_is_indexed(void **state)
{
    struct event event = event_of_tests();
    (void)state;
    assert_int_equal(decide(&event, false), INTAKE_INDEXED);
    event.purpose = EVENT_FOR_HISTORY | EVENT_FOR_DELIVERY;
    assert_int_equal(decide(&event, false), INTAKE_INDEXED);
}

static void a_copy_for_delivery_only_is_passed_over(void **state)
{
    struct event event = event_of_tests();
    (void)state;
    event.purpose = EVENT_FOR_DELIVERY;
    assert_int_equal(decide(&event, false), INTAKE_NOT_HISTORY);
}

static void only_management_events_are_indexed(void **state)
{
    struct event event = event_of_tests();
    (void)state;
    event.category = EVENT_INSIGHT;
    assert_int_equal(decide(&event, false), INTAKE_NOT_HISTORY);
    event.category = EVENT_INNER;
    assert_int_equal(decide(&event, false), INTAKE_NOT_HISTORY);
}

static void the_event_in_a_change_record_is_indexed(void **state)
{
    struct event event = event_of_tests();
    (void)state;
    assert_int_equal(decide(&event, true), INTAKE_INDEXED);
}

static void a_change_without_an_event_is_passed_over(void **state)
{
    struct event event;
    enum intake intake;
    (void)state;
    assert_int_equal(intake_decide(STR_NONE, true, &intake, &event, NULL), 0);
    assert_int_equal(intake, INTAKE_CHANGE);
}

static void bytes_that_are_no_event_are_an_error(void **state)
{
    struct event event;
    enum intake intake;
    struct why why;
    (void)state;
    assert_int_equal(intake_decide(STR("{}"), false, &intake, &event, &why), -ERR_INVALID);
    assert_int_equal(intake_decide(STR_NONE, false, &intake, &event, &why), -ERR_INVALID);
}

/* ---- where to begin ------------------------------------------------------------------------------ */

static int begin(struct intake_start start, int64_t *ret)
{
    struct why why;
    if (!start.generation.at)
        start.generation = STR("g1");
    if (!start.stored_generation.at)
        start.stored_generation = STR("g1");
    return intake_begin(&start, ret, &why);
}

static void an_empty_store_begins_at_the_start_of_a_whole_log(void **state)
{
    int64_t offset = -1;
    (void)state;
    assert_int_equal(begin((struct intake_start){.stored_next = -1, .log_end = 9}, &offset), 0);
    assert_int_equal(offset, 0);
}

static void a_store_goes_on_where_it_stands(void **state)
{
    int64_t offset = -1;
    (void)state;
    assert_int_equal(
        begin((struct intake_start){.stored_next = 5, .log_start = 2, .log_end = 9}, &offset), 0);
    assert_int_equal(offset, 5);
    assert_int_equal(
        begin((struct intake_start){.stored_next = 9, .log_start = 9, .log_end = 9}, &offset), 0);
    assert_int_equal(offset, 9);
}

static void records_that_are_gone_stop_it_unless_an_operator_accepts(void **state)
{
    struct intake_start behind = {.stored_next = 5, .log_start = 6, .log_end = 9};
    struct intake_start empty = {.stored_next = -1, .log_start = 6, .log_end = 9};
    int64_t offset = -1;
    (void)state;
    assert_int_equal(begin(behind, &offset), -ERR_RANGE);
    assert_int_equal(begin(empty, &offset), -ERR_RANGE);
    behind.accept_loss = empty.accept_loss = true;
    assert_int_equal(begin(behind, &offset), 0);
    assert_int_equal(offset, 6);
    offset = -1;
    assert_int_equal(begin(empty, &offset), 0);
    assert_int_equal(offset, 6);
}

static void an_empty_store_names_the_way_back(void **state)
{
    struct intake_start empty = {.stored_next = -1, .log_start = 6, .log_end = 9};
    struct why why = {0};
    int64_t offset;
    (void)state;
    assert_int_equal(intake_begin(&empty, &offset, &why), -ERR_RANGE);
    assert_non_null(strstr(why.text, "records 0 to 5"));
    assert_non_null(strstr(why.text, "trailctl history rebuild"));
}

static void a_position_behind_the_logs_end_stops_it(void **state)
{
    int64_t offset;
    (void)state;
    assert_int_equal(
        begin((struct intake_start){.stored_next = 10, .log_end = 9, .accept_loss = true}, &offset),
        -ERR_RANGE);
}

static void a_topic_made_anew_stops_it(void **state)
{
    int64_t offset;
    (void)state;
    assert_int_equal(begin((struct intake_start){.stored_next = 5,
                                                 .stored_generation = STR("g0"),
                                                 .log_end = 9,
                                                 .accept_loss = true},
                           &offset),
                     -ERR_CONFIG);
}

static void a_record_is_counted_as_one_kind(void **state)
{
    (void)state;
    assert_int_equal(intake_kind_of(false, INTAKE_INDEXED), INTAKE_EVENTS);
    assert_int_equal(intake_kind_of(false, INTAKE_NOT_HISTORY), INTAKE_EVENTS);
    assert_int_equal(intake_kind_of(true, INTAKE_INDEXED), INTAKE_CALLS);
    assert_int_equal(intake_kind_of(true, INTAKE_NOT_HISTORY), INTAKE_CALLS);
    assert_int_equal(intake_kind_of(true, INTAKE_CHANGE), INTAKE_CHANGES);
    assert_int_equal(intake_kinds.count, INTAKE_KIND_COUNT);
}

/* ---- days that are too old ------------------------------------------------------------------------ */

static void a_clock_that_is_ahead_makes_no_day_too_old(void **state)
{
    (void)state;
    assert_int_equal(intake_expiry_ms(5000, 3000), 3000);
    assert_int_equal(intake_expiry_ms(3000, 5000), 3000); /* nor does the brokers' */
    assert_int_equal(intake_expiry_ms(5000, 0), 0);
}

/* ---- batches ------------------------------------------------------------------------------------- */

static void a_batch_is_due_a_while_after_its_first_event(void **state)
{
    struct batch batch = {0};
    (void)state;
    assert_int_equal(batch_wait_ms(&batch, 1000), -1);
    batch_move(&batch, 1000);
    batch_add(&batch, 100, 1000);
    batch_move(&batch, 1060);
    batch_add(&batch, 100, 1060);
    assert_int_equal(batch_wait_ms(&batch, 1060), BATCH_AGE_MS - 60);
    assert_int_equal(batch_wait_ms(&batch, 1000 + BATCH_AGE_MS), 0);
    assert_int_equal(batch_wait_ms(&batch, 9000), 0);
}

static void a_full_batch_is_due_at_once(void **state)
{
    struct batch many = {0}, large = {0};
    (void)state;
    for (size_t i = 0; i < BATCH_EVENTS_MAX; i++)
        batch_add(&many, 1, 1000);
    assert_int_equal(batch_wait_ms(&many, 1000), 0);
    batch_add(&large, BATCH_BYTES_MAX, 1000);
    assert_int_equal(batch_wait_ms(&large, 1000), 0);
}

static void a_position_that_moved_over_nothing_of_ours_waits_longer(void **state)
{
    struct batch batch = {0};
    (void)state;
    batch_move(&batch, 1000);
    assert_int_equal(batch_wait_ms(&batch, 1000 + BATCH_AGE_MS), BATCH_IDLE_MS - BATCH_AGE_MS);
    assert_int_equal(batch_wait_ms(&batch, 1000 + BATCH_IDLE_MS), 0);
}

TESTS(TEST(an_event_for_history_is_indexed), TEST(a_copy_for_delivery_only_is_passed_over),
      TEST(only_management_events_are_indexed), TEST(the_event_in_a_change_record_is_indexed),
      TEST(a_change_without_an_event_is_passed_over), TEST(bytes_that_are_no_event_are_an_error),
      TEST(an_empty_store_begins_at_the_start_of_a_whole_log),
      TEST(a_store_goes_on_where_it_stands),
      TEST(records_that_are_gone_stop_it_unless_an_operator_accepts),
      TEST(an_empty_store_names_the_way_back), TEST(a_record_is_counted_as_one_kind),
      TEST(a_position_behind_the_logs_end_stops_it), TEST(a_topic_made_anew_stops_it),
      TEST(a_clock_that_is_ahead_makes_no_day_too_old),
      TEST(a_batch_is_due_a_while_after_its_first_event), TEST(a_full_batch_is_due_at_once),
      TEST(a_position_that_moved_over_nothing_of_ours_waits_longer))
