/* test_split.c - events cut out of streams, whole and broken ones. */
#include "cli/split.h"

#include <stdio.h>

#include "test.h"

#define SIZE_MAX_HERE 40

/* Feeds `text` in portions and renders what came out: "1:{…}" an event and its line, "1!" a bad piece. */
static void split_in(struct str text, size_t portion, struct buf *out)
{
    struct split_piece piece;
    struct split split;

    split_init(&split, SIZE_MAX_HERE);
    for (size_t at = 0; at < text.len; at += portion) {
        struct str rest = str_of(text.at + at, MIN_OF(portion, text.len - at));
        enum split_result result;

        while ((result = split_next(&split, &rest, &piece)) != SPLIT_MORE) {
            if (result == SPLIT_EVENT)
                buf_addf(out, "%lld:" STR_FMT " ", (long long)piece.line, STR_ARG(piece.text));
            else
                buf_addf(out, "%lld! ", (long long)piece.line);
        }
        assert_int_equal(rest.len, 0);
    }
    if (split_end(&split, &piece) == SPLIT_BAD)
        buf_addf(out, "%lld! ", (long long)piece.line);
    split_done(&split);
}

static void splits_into(const char *text, const char *want)
{
    for (size_t portion = 1; portion <= 8; portion++) {
        AUTO_BUF struct buf out = {0};

        buf_init(&out, 10000);
        split_in(str_from(text), portion, &out);
        assert_str_eq(str_trim(buf_str(&out)), str_from(want));
    }
}

static void one_event_a_line(void **state)
{
    (void)state;
    splits_into("{\"a\":1}\n{\"b\":2}\n", "1:{\"a\":1} 2:{\"b\":2}");
    splits_into("{\"a\":1}\r\n\r\n{\"b\":2}", "1:{\"a\":1} 3:{\"b\":2}");
    splits_into("", "");
    splits_into("\n \n", "");
}

static void one_event_over_many_lines(void **state)
{
    (void)state;
    splits_into("\n{\n \"a\": {\"b\": [1,\n{}]}\n}\n", "2:{\n \"a\": {\"b\": [1,\n{}]}\n}");
}

static void an_array_of_events(void **state)
{
    (void)state;
    splits_into("[{\"a\":1},\n {\"b\":[]}\n]\n", "1:{\"a\":1} 2:{\"b\":[]}");
    splits_into("[]", "");
    splits_into("[{}]\n[{}]", "1:{} 2:{}");
}

static void braces_in_strings_do_not_count(void **state)
{
    (void)state;
    splits_into("{\"a\":\"}{\\\"}\"}{\"b\":\"\\\\\"}", "1:{\"a\":\"}{\\\"}\"} 1:{\"b\":\"\\\\\"}");
}

static void what_is_no_object_is_passed_over_by_line(void **state)
{
    (void)state;
    splits_into("nonsense {\"a\":1}\n{\"b\":2}\n\"x\"\n{}", "1! 2:{\"b\":2} 3! 4:{}");
    splits_into("]\n{}", "1! 2:{}");
    splits_into("[[{}]]\n{}", "1! 2:{}");
}

static void a_line_cut_off_in_a_string_costs_one_event(void **state)
{
    (void)state;
    splits_into("{\"a\":\"x\n{\"b\":2}\n", "1! 2:{\"b\":2}");
}

static void an_event_that_does_not_end_is_named(void **state)
{
    (void)state;
    splits_into("{}\n{\"a\":\n", "1:{} 2!");
}

static void an_event_that_is_too_large_is_passed_over(void **state)
{
    char text[200];
    (void)state;

    (void)snprintf(text, sizeof(text), "{\"a\":\"%050d\"}\n{\"b\":2}\n", 0);
    splits_into(text, "1! 2:{\"b\":2}");
    (void)snprintf(text, sizeof(text), "{\"a\":\"%0*d\"}\n{\"b\":2}\n", SIZE_MAX_HERE - 8, 0);
    splits_into(text, "1:{\"a\":\"00000000000000000000000000000000\"} 2:{\"b\":2}");
}

TESTS(TEST(one_event_a_line), TEST(one_event_over_many_lines), TEST(an_array_of_events),
      TEST(braces_in_strings_do_not_count), TEST(what_is_no_object_is_passed_over_by_line),
      TEST(a_line_cut_off_in_a_string_costs_one_event), TEST(an_event_that_does_not_end_is_named),
      TEST(an_event_that_is_too_large_is_passed_over))
