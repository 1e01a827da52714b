/* test_times.c - times as people type them; spans in windows. */
#include "cli/times.h"

#include "test.h"

#define NOW 1795420800LL /* 2026-11-23T08:00:00Z */
#define DAY 86400LL

static void a_time_is_absolute_or_back_from_now(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } table[] = {
        {"2026-11-23T08:00:00Z", NOW},
        {"2026-11-23", NOW - 8 * 3600},
        {"2024-02-29", 1709164800},
        {"now", NOW},
        {"-90s", NOW - 90},
        {"-30m", NOW - 1800},
        {"-2h", NOW - 7200},
        {"-7d", NOW - 7 * DAY},
        {"-0s", NOW},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t got = -1;

        assert_true(times_parse(str_from(table[i].text), NOW, &got));
        assert_int_equal(got, table[i].want);
    }
}

static void other_forms_are_refused(void **state)
{
    static const char *const table[] = {"",
                                        "yesterday",
                                        "-",
                                        "-h",
                                        "-2",
                                        "2h",
                                        "--2h",
                                        "-+2h",
                                        "-2w",
                                        "-2H",
                                        "-2 h",
                                        "-1.5h",
                                        "-99999999999999999999d",
                                        "2026-11-31",
                                        "2026-11-23T08:00:00",
                                        "2026-11-23 08:00:00Z"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t got;

        assert_false(times_parse(str_from(table[i]), NOW, &got));
    }
}

static void a_span_is_walked_backwards_without_gap_or_overlap(void **state)
{
    (void)state;
    for (int64_t length = 0; length <= 200; length++) {
        struct times_span span = {NOW - length, NOW}, window;
        int64_t expected = NOW;

        while (times_window(&span, 30, &window)) {
            assert_int_equal(window.end_s, expected);
            assert_true(window.end_s > window.start_s);
            assert_true(window.end_s - window.start_s <= 30);
            expected = window.start_s;
        }
        assert_int_equal(expected, NOW - length);
    }
}

static void ninety_days_are_three_windows_of_thirty(void **state)
{
    struct times_span span = {NOW - 90 * DAY, NOW}, window;
    int count = 0;
    (void)state;

    while (times_window(&span, 30 * DAY, &window))
        count++;
    assert_int_equal(count, 3);
}

static void an_empty_or_backward_span_has_no_window(void **state)
{
    struct times_span empty = {NOW, NOW}, backward = {NOW, NOW - 1}, window;
    (void)state;

    assert_false(times_window(&empty, 30, &window));
    assert_false(times_window(&backward, 30, &window));
}

TESTS(TEST(a_time_is_absolute_or_back_from_now), TEST(other_forms_are_refused),
      TEST(a_span_is_walked_backwards_without_gap_or_overlap),
      TEST(ninety_days_are_three_windows_of_thirty), TEST(an_empty_or_backward_span_has_no_window))
