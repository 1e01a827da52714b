/* test_args.c - what people type, taken apart. */
#include "cli/args.h"

#include "test.h"

static const struct arg_option options[] = {
    {"limit", "N", "", false},
    {"json", NULL, "", false},
    {"attribute", "KEY=VALUE", "", true},
    ARG_OPTIONS_END,
};
static const struct arg_option others[] = {{"help", NULL, "", false}, ARG_OPTIONS_END};
static const struct arg_option *const tables[] = {options, others, NULL};

static struct why why;

static int parse(struct args *ret, const char *const *words)
{
    char *argv[ARGS_GIVEN_MAX + 8] = {0};
    int argc = 0;

    while (words[argc]) {
        argv[argc] = (char *)(uintptr_t)words[argc];
        argc++;
    }
    return args_parse(argc, argv, tables, ret, &why);
}
#define PARSE(ret, ...) parse(ret, (const char *const[]){__VA_ARGS__, NULL})

static void options_and_words_stand_in_any_order(void **state)
{
    struct args args;
    struct str value;
    (void)state;

    assert_int_equal(PARSE(&args, "one", "--limit", "3", "two", "--help"), 0);
    assert_int_equal(args_word_count(&args), 2);
    assert_str_eq(args_word(&args, 0), STR("one"));
    assert_str_eq(args_word(&args, 1), STR("two"));
    assert_null(args_word(&args, 2).at);
    assert_true(args_has(&args, "help"));
    assert_false(args_has(&args, "json"));
    assert_true(args_value(&args, "limit", 0, &value));
    assert_str_eq(value, STR("3"));
}

static void a_value_may_follow_an_equals_sign_or_begin_with_a_dash(void **state)
{
    struct args args;
    (void)state;

    assert_int_equal(PARSE(&args, "--limit=-2h"), 0);
    assert_str_eq(args_text(&args, "limit", STR("")), STR("-2h"));
    assert_int_equal(PARSE(&args, "--limit", "-2h"), 0);
    assert_str_eq(args_text(&args, "limit", STR("")), STR("-2h"));
    assert_int_equal(PARSE(&args, "--limit="), 0);
    assert_str_eq(args_text(&args, "limit", STR("x")), STR(""));
}

static void a_value_keeps_its_own_equals_signs(void **state)
{
    struct args args;
    struct str value;
    (void)state;

    assert_int_equal(PARSE(&args, "--attribute=User=a=b", "--attribute", "EventName=X"), 0);
    assert_true(args_value(&args, "attribute", 0, &value));
    assert_str_eq(value, STR("User=a=b"));
    assert_true(args_value(&args, "attribute", 1, &value));
    assert_str_eq(value, STR("EventName=X"));
    assert_false(args_value(&args, "attribute", 2, &value));
}

static void behind_two_dashes_are_only_words(void **state)
{
    struct args args;
    (void)state;

    assert_int_equal(PARSE(&args, "-", "--", "--json", "-x"), 0);
    assert_int_equal(args_word_count(&args), 3);
    assert_str_eq(args_word(&args, 0), STR("-"));
    assert_str_eq(args_word(&args, 1), STR("--json"));
    assert_false(args_has(&args, "json"));
}

static void what_nobody_knows_is_refused(void **state)
{
    struct args args;
    (void)state;

    assert_int_equal(PARSE(&args, "--colour"), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "-n"), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "--=1"), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "--limits=1"), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "--json=1"), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "--limit"), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "--limit", "1", "--limit", "2"), -ERR_INVALID);
}

static void too_many_arguments_are_refused(void **state)
{
    const char *words[ARGS_GIVEN_MAX + 2] = {NULL};
    struct args args;
    (void)state;

    for (size_t i = 0; i <= ARGS_GIVEN_MAX; i++)
        words[i] = "x";
    assert_int_equal(parse(&args, words), -ERR_INVALID);
    words[ARGS_GIVEN_MAX] = NULL;
    assert_int_equal(parse(&args, words), 0);
}

static void a_number_has_bounds(void **state)
{
    struct args args;
    int64_t n;
    (void)state;

    assert_int_equal(PARSE(&args, "--json"), 0);
    assert_int_equal(args_number(&args, "limit", 7, 1, 10, &n, &why), 0);
    assert_int_equal(n, 7);
    assert_int_equal(PARSE(&args, "--limit", "10"), 0);
    assert_int_equal(args_number(&args, "limit", 7, 1, 10, &n, &why), 0);
    assert_int_equal(n, 10);
    assert_int_equal(args_number(&args, "limit", 7, 1, 9, &n, &why), -ERR_INVALID);
    assert_int_equal(PARSE(&args, "--limit", "ten"), 0);
    assert_int_equal(args_number(&args, "limit", 7, 1, 10, &n, &why), -ERR_INVALID);
}

TESTS(TEST(options_and_words_stand_in_any_order),
      TEST(a_value_may_follow_an_equals_sign_or_begin_with_a_dash),
      TEST(a_value_keeps_its_own_equals_signs), TEST(behind_two_dashes_are_only_words),
      TEST(what_nobody_knows_is_refused), TEST(too_many_arguments_are_refused),
      TEST(a_number_has_bounds))
