/* test_output.c - foreign text that reaches a terminal. */
#include "cli/output.h"

#include "test.h"

static void is_cleaned(struct str text, size_t size_max, const char *want)
{
    AUTO_BUF struct buf out = {0};

    buf_init(&out, 1000);
    output_clean(text, size_max, &out);
    assert_str_eq(buf_str(&out), str_from(want));
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
    (void)state;
    is_cleaned(STR("a\033[2Jb\n\x7f"), 100, "a?[2Jb??");
    is_cleaned(STR("\xc2\x9b"
                   "31m"),
               100, "?31m"); /* CSI in eight bits */
    is_cleaned(STR("gr\xc3\xbc\xc3\x9f"), 100, "grüß");
}

static void bytes_that_are_no_text_are_questioned(void **state)
{
    (void)state;
    is_cleaned(STR("\xff\xfe"
                   "a\x80"),
               100, "??a?");
    is_cleaned(STR("\xff\xfe"
                   "a\x80"),
               2, "??…");
}

static void a_cut_is_seen_and_splits_no_character(void **state)
{
    (void)state;
    is_cleaned(STR("abcdef"), 3, "abc…");
    is_cleaned(STR("abc"), 3, "abc");
    is_cleaned(STR("aü"), 2, "a…");
    is_cleaned(STR("ü"), 1, "…");
}

TESTS(TEST(control_characters_do_not_reach_a_terminal), TEST(bytes_that_are_no_text_are_questioned),
      TEST(a_cut_is_seen_and_splits_no_character))
