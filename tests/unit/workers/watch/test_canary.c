#include "core/canary.h"

#include <stdio.h>

#include "test.h"

#define PERIOD_MS 1000

static struct canaries canaries;

static int setup(void **state)
{
    (void)state;
    canaries = (struct canaries){0};
    return 0;
}

static struct canary *sent(const char *id, int64_t now_ms)
{
    struct canary *canary;

    canaries_send(&canaries, id, now_ms);
    canary = canaries_find(&canaries, str_from(id));
    assert_non_null(canary);
    return canary;
}

static void one_is_due_each_period(void **state)
{
    (void)state;
    assert_true(canaries_due(&canaries, 5000, PERIOD_MS));
    assert_false(canaries_due(&canaries, 5999, PERIOD_MS));
    assert_true(canaries_due(&canaries, 6000, PERIOD_MS));
}

static void nothing_is_known_of_a_stage_that_none_reached(void **state)
{
    struct freshness fresh;

    (void)state;
    (void)sent("a", 1000);
    fresh = canaries_freshness(&canaries, CANARY_HISTORY, 4000);
    assert_int_equal(fresh.count, 0);
    assert_int_equal(fresh.oldest_ms, 3000);
}

static void freshness_is_of_those_that_came(void **state)
{
    struct freshness fresh;
    char id[CANARY_ID_SIZE];

    (void)state;
    for (int i = 1; i <= 100; i++) {
        (void)snprintf(id, sizeof(id), "%d", i);
        canary_reached(sent(id, 1000), CANARY_RAW, 1000 + i);
    }
    (void)sent("late", 2000);
    fresh = canaries_freshness(&canaries, CANARY_RAW, 5000);
    assert_int_equal(fresh.count, 100);
    assert_int_equal(fresh.median_ms, 51);
    assert_int_equal(fresh.p99_ms, 99);
    assert_int_equal(fresh.oldest_ms, 3000);
}

static void a_stage_is_stuck_only_when_the_one_before_was_reached(void **state)
{
    const struct canary *which = NULL;
    struct canary *a = sent("a", 1000);

    (void)state;
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_RAW, 9000, &which), 8000);
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_NORMALIZED, 9000, &which), 0);
    canary_reached(a, CANARY_RAW, 2000);
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_RAW, 9000, &which), 0);
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_NORMALIZED, 9000, &which), 7000);
    canary_reached(a, CANARY_NORMALIZED, 3000);
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_HISTORY, 9000, &which), 6000);
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_OBJECT, 9000, &which), 6000);
    assert_string_equal(which->id, "a");
}

static void a_stage_that_nobody_follows_is_never_stuck(void **state)
{
    const struct canary *which = NULL;

    (void)state;
    canary_reached(sent("a", 1000), CANARY_NORMALIZED, 2000);
    canaries.skipped[CANARY_OBJECT] = true;
    assert_int_equal(canaries_stuck_ms(&canaries, CANARY_OBJECT, 9000, &which), 0);
    assert_int_equal(canaries_freshness(&canaries, CANARY_OBJECT, 9000).oldest_ms, 0);
}

static void one_that_was_not_taken_is_forgotten(void **state)
{
    (void)state;
    (void)sent("a", 1000);
    (void)sent("b", 1000);
    (void)sent("c", 1000);
    canaries_forget(&canaries, STR("b"));
    canaries_forget(&canaries, STR("never"));
    assert_null(canaries_find(&canaries, STR("b")));
    assert_non_null(canaries_find(&canaries, STR("a")));
    assert_non_null(canaries_find(&canaries, STR("c")));
    assert_int_equal(canaries.count, 2);
}

static void the_oldest_make_room(void **state)
{
    char id[CANARY_ID_SIZE];

    (void)state;
    for (int i = 0; i < CANARIES_MAX + 3; i++) {
        (void)snprintf(id, sizeof(id), "%d", i);
        (void)sent(id, 1000 + i);
    }
    assert_int_equal(canaries.count, CANARIES_MAX);
    assert_null(canaries_find(&canaries, STR("2")));
    assert_non_null(canaries_find(&canaries, STR("3")));
}

#define FRESH(name) cmocka_unit_test_setup(name, setup)
TESTS(FRESH(one_is_due_each_period), FRESH(nothing_is_known_of_a_stage_that_none_reached),
      FRESH(freshness_is_of_those_that_came),
      FRESH(a_stage_is_stuck_only_when_the_one_before_was_reached),
      FRESH(a_stage_that_nobody_follows_is_never_stuck), FRESH(one_that_was_not_taken_is_forgotten),
      FRESH(the_oldest_make_room))
