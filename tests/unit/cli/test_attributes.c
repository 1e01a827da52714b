/* test_attributes.c - searches that the API would not answer as they are meant. */
#include "cli/attributes.h"

#include "test.h"

static const struct arg_option options[] = {{"attribute", "KEY=VALUE", "", true}, ARG_OPTIONS_END};

static struct why why;

static int parse(const char *first, const char *second, const char *third, struct attributes *ret)
{
    const char *const words[] = {first, second, third};
    struct args args = {0};

    for (size_t i = 0; i < ARRAY_LEN(words) && words[i]; i++) {
        args.given[args.count].option = options;
        args.given[args.count++].value = str_from(words[i]);
    }
    return attributes_parse(&args, ret, &why);
}

static void one_or_two_that_go_together_are_taken(void **state)
{
    struct attributes a;
    (void)state;

    assert_int_equal(parse(NULL, NULL, NULL, &a), 0);
    assert_int_equal(a.count, 0);
    assert_int_equal(parse("User=alice=bob", NULL, NULL, &a), 0);
    assert_int_equal(a.count, 1);
    assert_str_eq(a.at[0].key, STR("User"));
    assert_str_eq(a.at[0].value, STR("alice=bob"));
    assert_int_equal(parse("EventName=StopInstance", "ServiceName=Ecs", NULL, &a), 0);
    assert_int_equal(a.count, 2);
    assert_int_equal(parse("EventType=ApiCall", "EventName=X", NULL, &a), 0);
}

static void every_documented_pair_is_taken_in_both_orders(void **state)
{
    static const char *const pairs[][2] = {
        {"ServiceName=a", "EventName=b"},    {"ServiceName=a", "User=b"},
        {"ServiceName=a", "PrincipalId=b"},  {"ServiceName=a", "RoleName=b"},
        {"ServiceName=a", "ResourceName=b"}, {"ServiceName=a", "EventRW=b"},
        {"ServiceName=a", "EventType=b"},    {"ServiceName=a", "SensitiveAction=true"},
        {"ResourceName=a", "EventName=b"},   {"ResourceName=a", "ResourceType=b"},
        {"ResourceName=a", "User=b"},        {"ResourceName=a", "RoleName=b"},
        {"EventType=a", "EventName=b"},
    };
    struct attributes a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        assert_int_equal(parse(pairs[i][0], pairs[i][1], NULL, &a), 0);
        assert_int_equal(parse(pairs[i][1], pairs[i][0], NULL, &a), 0);
    }
}

static void what_the_api_would_not_honour_is_refused(void **state)
{
    struct attributes a;
    (void)state;

    assert_int_equal(parse("User=a", "EventName=b", NULL, &a), -ERR_INVALID);
    assert_non_null(strstr(why.text, "EventName goes with"));
    assert_int_equal(parse("User=a", "User=b", NULL, &a), -ERR_INVALID);
    assert_int_equal(parse("ServiceName=a", "EventName=b", "User=c", &a), -ERR_INVALID);
    assert_int_equal(parse("EventId=a", "EventRW=Read", NULL, &a), -ERR_INVALID);
    assert_non_null(strstr(why.text, "EventId goes with no other"));
}

static void a_misspelled_key_is_told_from_the_right_ones(void **state)
{
    struct attributes a;
    (void)state;

    assert_int_equal(parse("eventName=a", NULL, NULL, &a), -ERR_INVALID);
    assert_non_null(strstr(why.text, "EventName"));
    assert_non_null(strstr(why.text, "PrincipalId"));
    assert_int_equal(parse("EventName", NULL, NULL, &a), -ERR_INVALID);
    assert_int_equal(parse("EventName=", NULL, NULL, &a), -ERR_INVALID);
    assert_int_equal(parse("=x", NULL, NULL, &a), -ERR_INVALID);
}

TESTS(TEST(one_or_two_that_go_together_are_taken),
      TEST(every_documented_pair_is_taken_in_both_orders),
      TEST(what_the_api_would_not_honour_is_refused),
      TEST(a_misspelled_key_is_told_from_the_right_ones))
