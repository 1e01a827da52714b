/* The rules of names, and what LookupEvents asks for. */
#include <stdio.h>

#include "rpc/rpc.h"

#include "test.h"

#define NOW_S 1800000000 /* 2027-01-15T08:00:00Z */

static struct rpc_lookup lookup;
static struct rpc_failure failure;

static struct str repeated(char c, size_t count)
{
    static char room[128];

    assert_true(count < sizeof(room));
    memset(room, c, count);
    return str_of(room, count);
}

static void check_rule(bool (*rule)(struct str), const char *const *good, const char *const *bad)
{
    for (; *good; good++)
        if (!rule(str_from(*good)))
            fail_msg("refused: %s", *good);
    for (; *bad; bad++)
        if (rule(str_from(*bad)))
            fail_msg("taken: %s", *bad);
}

static void a_trail_s_name_follows_its_rule(void **state)
{
    static const char *const good[] = {"abcdef", "a-_1-_", "trail-test", NULL};
    static const char *const bad[] = {"",       "abcde",   "1abcde",  "Abcdef",        "-abcdef",
                                      "abcDef", "abc.def", "abc def", "abcde\xC3\xBC", NULL};

    (void)state;
    check_rule(rpc_trail_name_valid, good, bad);
    assert_true(rpc_trail_name_valid(repeated('a', 36)));
    assert_false(rpc_trail_name_valid(repeated('a', 37)));
    assert_false(rpc_trail_name_valid(STR("abcdef\0")));
}

static void a_bucket_s_name_follows_its_rule(void **state)
{
    static const char *const good[] = {"abc", "1bc", "a-b", "a--", NULL};
    static const char *const bad[] = {"", "ab", "-abc", "Abc", "a_bc", "a.bc", "a/b", NULL};

    (void)state;
    check_rule(rpc_bucket_valid, good, bad);
    assert_true(rpc_bucket_valid(repeated('a', 63)));
    assert_false(rpc_bucket_valid(repeated('a', 64)));
}

static void a_prefix_follows_its_rule(void **state)
{
    static const char *const good[] = {"", "at-product/audit_B", "abcdef", "A/////", NULL};
    static const char *const bad[] = {"abcde",   "1bcdef",  "/abcdef", "abc.def",
                                      "abc def", "../../x", NULL};

    (void)state;
    check_rule(rpc_prefix_valid, good, bad);
    assert_true(rpc_prefix_valid(repeated('a', 32)));
    assert_false(rpc_prefix_valid(repeated('a', 33)));
}

/* ---- LookupEvents ------------------------------------------------------------------------------------- */

/* "Name=value;Name=value": what a request's parameters are once decoded. */
static int parse(const char *text)
{
    static struct rpc_call call;
    struct str rest = str_from(text), pair, name;

    call.param_count = 0;
    while (rest.len && str_split(&rest, ';', &pair)) {
        assert_true(str_split(&pair, '=', &name));
        call.params[call.param_count++] = (struct sign_pair){name, pair};
    }
    failure = (struct rpc_failure){0};
    return rpc_lookup_parse(&call, NOW_S, &lookup, &failure);
}

static void must_parse(const char *text)
{
    if (parse(text) != 0)
        fail_msg("%s: %s: %s", text, failure.code, failure.message);
}

static void must_refuse(const char *text, const char *code)
{
    if (parse(text) == 0)
        fail_msg("taken: %s", text);
    if (strcmp(failure.code, code) != 0)
        fail_msg("%s: %s, wanted %s", text, failure.code, code);
    assert_int_equal(failure.status, 400);
}

static void a_lookup_without_words_is_the_last_week_newest_first(void **state)
{
    (void)state;
    must_parse("");
    assert_true(lookup.start_s == NOW_S - 7 * 86400 && lookup.end_s == NOW_S);
    assert_false(lookup.forward);
    assert_int_equal(lookup.max_results, 20);
    assert_int_equal(lookup.attribute_count, 0);
    assert_int_equal(lookup.next_token.len, 0);
}

static void direction_maximum_and_token_are_read(void **state)
{
    (void)state;
    must_parse("Direction=FORWARD;MaxResults=50;NextToken=abc");
    assert_true(lookup.forward);
    assert_int_equal(lookup.max_results, 50);
    assert_str_eq(lookup.next_token, STR("abc"));
    must_parse("Direction=BACKWARD;MaxResults=0");
    assert_false(lookup.forward);
    assert_int_equal(lookup.max_results, 20);
    must_refuse("Direction=forward", "InvalidQueryParameter");
    must_refuse("MaxResults=51", "InvalidQueryParameter");
    must_refuse("MaxResults=-1", "InvalidQueryParameter");
    must_refuse("MaxResults=ten", "InvalidQueryParameter");
    must_refuse("MaxResults=99999999999999999999", "InvalidQueryParameter");
}

static void a_window_is_at_most_30_days_within_the_last_90(void **state)
{
    (void)state;
    must_parse("StartTime=2027-01-01T00:00:00Z;EndTime=2027-01-02T00:00:00Z");
    assert_true(lookup.start_s == 1798761600 && lookup.end_s == 1798848000);
    must_parse("StartTime=2026-12-16T08:00:00Z;EndTime=2027-01-15T08:00:00Z");
    must_refuse("StartTime=2026-12-16T07:59:59Z;EndTime=2027-01-15T08:00:00Z",
                "InvalidParameterDateOutOfRange");
    must_parse("StartTime=2026-10-17T08:00:00Z;EndTime=2026-10-18T00:00:00Z");
    must_refuse("StartTime=2026-10-17T07:59:59Z;EndTime=2026-10-18T00:00:00Z",
                "InvalidParameterStartTimeOutOfDate");
    must_parse("StartTime=2027-01-15T08:00:00Z;EndTime=2027-01-15T09:00:00Z");
    must_refuse("StartTime=2027-01-15T08:00:01Z;EndTime=2027-01-15T09:00:00Z",
                "InvalidParameterStartTimeExceedsCurrent");
}

static void a_window_has_both_ends_in_order_and_form(void **state)
{
    (void)state;
    must_refuse("StartTime=2027-01-01T00:00:00Z", "InvalidParameterCombination");
    must_refuse("EndTime=2027-01-01T00:00:00Z", "InvalidParameterCombination");
    must_refuse("StartTime=2027-01-02T00:00:00Z;EndTime=2027-01-01T00:00:00Z",
                "InvalidParameterCombination");
    must_refuse("StartTime=2027-01-01T00:00:00Z;EndTime=2027-01-01T00:00:00Z",
                "InvalidParameterCombination");
    must_refuse("StartTime=yesterday;EndTime=2027-01-01T00:00:00Z", "InvalidParameterStartTime");
    must_refuse("StartTime=2027-01-01T00:00:00Z;EndTime=1798848000", "InvalidParameterEndTime");
}

static void attributes_are_pairs_in_any_order(void **state)
{
    (void)state;
    must_parse(
        "LookupAttribute.2.Value=x;LookupAttribute.1.Key=ServiceName;LookupAttribute.2.Key=User;"
        "LookupAttribute.1.Value=Ecs");
    assert_int_equal(lookup.attribute_count, 2);
    assert_str_eq(lookup.attributes[0].name, STR("ServiceName"));
    assert_str_eq(lookup.attributes[0].value, STR("Ecs"));
    assert_str_eq(lookup.attributes[1].name, STR("User"));
    assert_str_eq(lookup.attributes[1].value, STR("x"));
    must_parse("LookupAttribute.1.Key=User;LookupAttribute.1.Value=");
    assert_int_equal(lookup.attribute_count, 1);
}

static void of_the_same_key_twice_the_second_counts(void **state)
{
    (void)state;
    must_parse("LookupAttribute.1.Key=User;LookupAttribute.1.Value=a;LookupAttribute.2.Key=User;"
               "LookupAttribute.2.Value=b");
    assert_int_equal(lookup.attribute_count, 1);
    assert_str_eq(lookup.attributes[0].value, STR("b"));
}

static void attributes_of_another_form_are_refused(void **state)
{
    static const char *const bad[] = {
        "LookupAttribute.1.Key=User",
        "LookupAttribute.1.Value=x",
        "LookupAttribute.1.Key=;LookupAttribute.1.Value=x",
        "LookupAttribute.0.Key=User",
        "LookupAttribute.-1.Key=User",
        "LookupAttribute.x.Key=User",
        "LookupAttribute..Key=User",
        "LookupAttribute=User",
        "LookupAttribute.1=User",
        "LookupAttribute.1.Name=User",
        "LookupAttribute.1.Key.More=User",
        "LookupAttribute.3.Key=User;LookupAttribute.3.Value=x",
        "LookupAttribute.18446744073709551617.Key=User",
        "LookupAttribute.2.Key=User;LookupAttribute.2.Value=x",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        must_refuse(bad[i], "InvalidLookupAttributesException");
    must_parse("LookupAttributes.1.Key=User"); /* another parameter, of no meaning */
    assert_int_equal(lookup.attribute_count, 0);
}

TESTS(TEST(a_trail_s_name_follows_its_rule), TEST(a_bucket_s_name_follows_its_rule),
      TEST(a_prefix_follows_its_rule), TEST(a_lookup_without_words_is_the_last_week_newest_first),
      TEST(direction_maximum_and_token_are_read),
      TEST(a_window_is_at_most_30_days_within_the_last_90),
      TEST(a_window_has_both_ends_in_order_and_form), TEST(attributes_are_pairs_in_any_order),
      TEST(of_the_same_key_twice_the_second_counts), TEST(attributes_of_another_form_are_refused))
