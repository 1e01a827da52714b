#include "core/alarms.h"

#include <stdio.h>

#include "core/loss.h"

#include "test.h"

static struct alarms alarms;

static int setup(void **state)
{
    (void)state;
    memset(&alarms, 0, sizeof(alarms));
    return 0;
}

static void an_alarm_begins_once_and_ends_once(void **state)
{
    struct alarm over;

    (void)state;
    for (int round = 0; round < 3; round++) {
        alarms_begin(&alarms);
        alarms_say(&alarms, "stall", "it stands", 1000 + round);
        assert_false(alarms_next_over(&alarms, &over));
        if (round == 0)
            assert_string_equal(alarms_next_begun(&alarms)->id, "stall");
        assert_null(alarms_next_begun(&alarms));
    }
    assert_int_equal(alarms.at[0].since_ms, 1000);
    alarms_begin(&alarms);
    assert_true(alarms_next_over(&alarms, &over));
    assert_string_equal(over.why, "it stands");
    assert_false(alarms_next_over(&alarms, &over));
    assert_int_equal(alarms.count, 0);
}

static void one_ends_while_others_go_on(void **state)
{
    struct alarm over;

    (void)state;
    alarms_begin(&alarms);
    alarms_say(&alarms, "a", "a", 1);
    alarms_say(&alarms, "b", "b", 1);
    alarms_begin(&alarms);
    alarms_say(&alarms, "b", "b, worse", 2);
    assert_true(alarms_next_over(&alarms, &over));
    assert_string_equal(over.id, "a");
    assert_false(alarms_next_over(&alarms, &over));
    assert_string_equal(alarms.at[0].why, "b, worse");
}

static void more_than_can_be_kept_do_no_harm(void **state)
{
    char id[ALARM_ID_SIZE];

    (void)state;
    alarms_begin(&alarms);
    for (int i = 0; i < ALARMS_MAX + 10; i++) {
        (void)snprintf(id, sizeof(id), "%d", i);
        alarms_say(&alarms, id, id, 1);
    }
    assert_int_equal(alarms.count, ALARMS_MAX);
}

static void a_record_is_lost_when_it_is_as_old_as_the_retention(void **state)
{
    (void)state;
    assert_true(loss_left_ms(10, 0, 10, 0, 1000, 5000) == LOSS_NEVER);
    assert_true(loss_left_ms(12, 0, 10, 0, 1000, 5000) == LOSS_NEVER);
    assert_int_equal(loss_left_ms(9, 0, 10, 4500, 1000, 5000), 500);
    assert_int_equal(loss_left_ms(9, 0, 10, 3000, 1000, 5000), 0);
    assert_int_equal(loss_left_ms(3, 4, 10, 4900, 1000, 5000), 0);
}

#define FRESH(name) cmocka_unit_test_setup(name, setup)
TESTS(FRESH(an_alarm_begins_once_and_ends_once), FRESH(one_ends_while_others_go_on),
      FRESH(more_than_can_be_kept_do_no_harm),
      FRESH(a_record_is_lost_when_it_is_as_old_as_the_retention))
