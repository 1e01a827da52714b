/* test_tally.c - counts come back as they were kept. */
#include "tally/tally.h"

#include "test.h"

static const struct tally_kinds kinds = {{"normalized", "dropped", "rejected"}, 3};

static void what_was_counted_comes_back(void **state)
{
    struct tally t, back;
    char text[TALLY_TEXT_SIZE];

    (void)state;
    tally_begin(&t, &kinds, 17);
    t.gaps = 4;
    t.counts[0] = 1;
    t.counts[2] = INT64_MAX;
    assert_int_equal(tally_render(&t, text), 0);
    assert_string_equal(text, "1 17 4 normalized=1 rejected=9223372036854775807");
    assert_int_equal(tally_parse(str_from(text), &kinds, &back), 0);
    assert_memory_equal(&back, &t, sizeof(t));
}

static void kinds_are_known_by_their_names(void **state)
{
    static const struct tally_kinds newer = {{"added", "rejected", "normalized"}, 3};
    struct tally t;

    (void)state;
    assert_int_equal(tally_parse(STR("1 0 0 normalized=5 rejected=6 forgotten=7"), &newer, &t), 0);
    assert_int_equal(t.counts[0], 0);
    assert_int_equal(t.counts[1], 6);
    assert_int_equal(t.counts[2], 5);
}

static void what_does_not_fit_is_an_error(void **state)
{
    struct tally_kinds many = {.count = TALLY_KINDS_MAX};
    struct tally t;
    char text[TALLY_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < many.count; i++)
        many.names[i] = "a-kind-whose-name-is-as-long-as-a-name-can-be";
    tally_begin(&t, &many, 0);
    assert_int_equal(tally_render(&t, text), 0);
    for (size_t i = 0; i < many.count; i++)
        t.counts[i] = INT64_MAX;
    assert_int_equal(tally_render(&t, text), -ERR_LIMIT);
}

static void other_texts_are_none(void **state)
{
    static const char *const texts[] = {"",
                                        "1",
                                        "2 0 0 normalized=1",
                                        "1 0",
                                        "1 a 0",
                                        "1 0 -1",
                                        "1 0 0 normalized",
                                        "1 0 0  ",
                                        "1 0 0 =",
                                        "1 0 0 normalized=-1",
                                        "x",
                                        "1 5 5 normalized=1 dropped=x"};
    struct tally t;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(tally_parse(str_from(texts[i]), &kinds, &t), -ERR_INVALID);
        assert_int_equal(t.base + t.gaps + t.counts[0], 0);
    }
}

TESTS(TEST(what_was_counted_comes_back), TEST(kinds_are_known_by_their_names),
      TEST(what_does_not_fit_is_an_error), TEST(other_texts_are_none))
