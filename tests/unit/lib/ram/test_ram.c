/* Policies: which documents are read, what they say of a request, and that the matching agrees with a slow one. */
#include "ram/ram.h"

#include <stdio.h>

#include "test.h"

static struct ram_policy *policy_of(const char *document)
{
    struct ram_policy *policy = NULL;
    struct why why = {0};

    assert_ok(ram_policy_parse(str_from(document), &policy, &why), why);
    return policy;
}

/* A policy of one statement. */
static struct ram_policy *statement(const char *effect, const char *action, const char *resource)
{
    char document[4096];

    (void)snprintf(document, sizeof(document),
                   "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"%s\",\"Action\":%s,"
                   "\"Resource\":%s}]}",
                   effect, action, resource);
    return policy_of(document);
}

static struct ram_request request_of(const char *action, const char *relative)
{
    return (struct ram_request){
        str_from(action),
        {STR("actiontrail"), STR("cn-hangzhou"), STR("1000000000000001"), str_from(relative)}};
}

static enum ram_verdict ask(const struct ram_policy *policy, const char *action,
                            const char *relative)
{
    struct ram_request request = request_of(action, relative);

    return ram_policy_verdict(policy, &request);
}

static enum ram_verdict ask_one(const char *action, const char *resource, const char *of_action,
                                const char *of_relative)
{
    AUTO(ram_policy_free) struct ram_policy *policy = statement("Allow", action, resource);

    return ask(policy, of_action, of_relative);
}

/* ---- what a policy says --------------------------------------------------------------------------- */

static void what_no_statement_speaks_of_is_not_allowed(void **state)
{
    AUTO(ram_policy_free)
    struct ram_policy *policy = statement("Allow", "\"actiontrail:LookupEvents\"", "\"*\"");

    (void)state;
    assert_int_equal(ask(policy, "actiontrail:LookupEvents", "*"), RAM_ALLOWS);
    assert_int_equal(ask(policy, "actiontrail:DescribeTrails", "trail/*"), RAM_SILENT);
    assert_int_equal(ask(policy, "actiontrail:LookupEventsX", "*"), RAM_SILENT);
    assert_int_equal(ask(policy, "actiontrail:LookupEvent", "*"), RAM_SILENT);
    assert_int_equal(ask(policy, "actiontrail2:LookupEvents", "*"), RAM_SILENT);
}

static void actions_match_with_wildcards_and_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(ask_one("\"*\"", "\"*\"", "actiontrail:StopLogging", "trail/a"), RAM_ALLOWS);
    assert_int_equal(ask_one("\"actiontrail:*\"", "\"*\"", "actiontrail:StopLogging", "trail/a"),
                     RAM_ALLOWS);
    assert_int_equal(ask_one("\"actiontrail:*Logging\"", "\"*\"", "actiontrail:StopLogging", "*"),
                     RAM_ALLOWS);
    assert_int_equal(ask_one("\"actiontrail:S*Logging\"", "\"*\"", "actiontrail:StopLogging", "*"),
                     RAM_ALLOWS);
    assert_int_equal(
        ask_one("\"ActionTrail:stoplogging\"", "\"*\"", "actiontrail:StopLogging", "*"),
        RAM_ALLOWS);
    assert_int_equal(ask_one("\"oss:*\"", "\"*\"", "actiontrail:StopLogging", "*"), RAM_SILENT);
    assert_int_equal(
        ask_one("[\"oss:*\", \"actiontrail:Stop*\"]", "\"*\"", "actiontrail:StopLogging", "*"),
        RAM_ALLOWS);
}

static void resources_match_part_by_part(void **state)
{
    static const struct {
        const char *resource, *relative;
        enum ram_verdict verdict;
    } rows[] = {
        {"acs:actiontrail:*:*:trail/audit-1", "trail/audit-1", RAM_ALLOWS},
        {"acs:actiontrail:*:*:trail/audit-1", "trail/audit-12", RAM_SILENT},
        {"acs:actiontrail:*:*:trail/audit-*", "trail/audit-12", RAM_ALLOWS},
        {"acs:actiontrail:*:*:trail/audit-*", "trail/*", RAM_SILENT},
        {"acs:actiontrail:*:*:trail/*", "trail/*", RAM_ALLOWS},
        {"acs:actiontrail:*:*:trail/*", "*", RAM_SILENT},
        {"acs:actiontrail:*:*:*", "*", RAM_ALLOWS},
        {"acs:actiontrail:cn-hangzhou:1000000000000001:trail/*", "trail/a", RAM_ALLOWS},
        {"acs:actiontrail:cn-beijing:*:trail/*", "trail/a", RAM_SILENT},
        {"acs:actiontrail:cn-*:*:trail/*", "trail/a", RAM_ALLOWS},
        {"acs:actiontrail:*:1000000000000002:trail/*", "trail/a", RAM_SILENT},
        {"acs:actiontrail::*:trail/*", "trail/a", RAM_SILENT},
        {"acs:oss:*:*:*", "trail/a", RAM_SILENT},
        {"acs:*:*:*:*", "trail/a", RAM_ALLOWS},
        {"acs:actiontrail:*:*:Trail/a", "trail/a", RAM_SILENT},
        {"acs:actiontrail:*:*:trail/*:*", "trail/a:b", RAM_ALLOWS},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char quoted[160];

        (void)snprintf(quoted, sizeof(quoted), "\"%s\"", rows[i].resource);
        if (ask_one("\"*\"", quoted, "actiontrail:StopLogging", rows[i].relative) !=
            rows[i].verdict)
            fail_msg("%s of %s", rows[i].resource, rows[i].relative);
    }
}

static void a_star_of_a_region_does_not_reach_into_the_account(void **state)
{
    (void)state;
    assert_int_equal(
        ask_one("\"*\"", "\"acs:actiontrail:*01:*:trail/a\"", "actiontrail:StopLogging", "trail/a"),
        RAM_SILENT);
}

static void what_is_forbidden_stays_so_whatever_else_allows_it(void **state)
{
    AUTO(ram_policy_free)
    struct ram_policy *policy = policy_of(
        "{\"Version\":\"1\",\"Statement\":["
        "{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"},"
        "{\"Effect\":\"Deny\",\"Action\":[\"actiontrail:Stop*\",\"actiontrail:Delete*\"],"
        "\"Resource\":\"acs:actiontrail:*:*:trail/prod-*\"},"
        "{\"Effect\":\"Allow\",\"Action\":\"actiontrail:StopLogging\",\"Resource\":\"*\"}]}");

    (void)state;
    assert_int_equal(ask(policy, "actiontrail:StopLogging", "trail/prod-1"), RAM_FORBIDS);
    assert_int_equal(ask(policy, "actiontrail:DeleteTrail", "trail/prod-1"), RAM_FORBIDS);
    assert_int_equal(ask(policy, "actiontrail:StopLogging", "trail/test-1"), RAM_ALLOWS);
    assert_int_equal(ask(policy, "actiontrail:UpdateTrail", "trail/prod-1"), RAM_ALLOWS);
}

static void the_system_policies_are_what_their_names_say(void **state)
{
    struct str name, document;
    size_t count = 0;

    (void)state;
    for (; ram_system_policy(count, &name, &document); count++) {
        AUTO(ram_policy_free) struct ram_policy *policy = NULL;
        struct why why = {0};
        bool full = str_eq(name, STR("AliyunActionTrailFullAccess"));

        assert_true(str_starts(name, STR(RAM_SYSTEM_PREFIX)));
        assert_ok(ram_policy_parse(document, &policy, &why), why);
        assert_int_equal(ask(policy, "actiontrail:LookupEvents", "*"), RAM_ALLOWS);
        assert_int_equal(ask(policy, "actiontrail:DescribeTrails", "trail/*"), RAM_ALLOWS);
        assert_int_equal(ask(policy, "actiontrail:GetTrailStatus", "trail/abc"), RAM_ALLOWS);
        assert_int_equal(ask(policy, "actiontrail:StopLogging", "trail/abc"),
                         full ? RAM_ALLOWS : RAM_SILENT);
        assert_int_equal(ask(policy, "actiontrail:CreateTrail", "trail/*"),
                         full ? RAM_ALLOWS : RAM_SILENT);
        assert_int_equal(ask(policy, "oss:GetObject", "*"), RAM_SILENT);
    }
    assert_int_equal(count, 2);
}

/* ---- which documents are read --------------------------------------------------------------------- */

static void documents_with_mistakes_are_refused_in_words(void **state)
{
    static const struct {
        const char *document, *words;
    } rows[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{\"Statement\":[]}", "Version"},
        {"{\"Version\":1,\"Statement\":[]}", "Version"},
        {"{\"Version\":\"2\",\"Statement\":[]}", "Version"},
        {"{\"Version\":\"1\"}", "Statement"},
        {"{\"Version\":\"1\",\"Statement\":[]}", "Statement"},
        {"{\"Version\":\"1\",\"Statement\":{}}", "Statement"},
        {"{\"Version\":\"1\",\"Statement\":[1]}", "statement 1"},
        {"{\"Version\":\"1\",\"Statement\":[{}],\"Id\":\"x\"}", "\"Id\""},
        {"{\"Version\":\"1\",\"Version\":\"1\",\"Statement\":[{}]}", "twice"},
    };
    static const struct {
        const char *members, *words;
    } statements[] = {
        {"\"Action\":\"*\",\"Resource\":\"*\"", "Effect"},
        {"\"Effect\":\"allow\",\"Action\":\"*\",\"Resource\":\"*\"", "Effect"},
        {"\"Effect\":\"Allow\",\"Resource\":\"*\"", "no Action"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\"", "no Resource"},
        {"\"Effect\":\"Allow\",\"Action\":[],\"Resource\":\"*\"", "no Action"},
        {"\"Effect\":\"Allow\",\"Action\":[1],\"Resource\":\"*\"", "must be a text"},
        {"\"Effect\":\"Allow\",\"Action\":{},\"Resource\":\"*\"", "must be a text"},
        {"\"Effect\":\"Allow\",\"Action\":\"StopLogging\",\"Resource\":\"*\"", "no action"},
        {"\"Effect\":\"Allow\",\"Action\":\"actiontrail:\",\"Resource\":\"*\"", "no action"},
        {"\"Effect\":\"Allow\",\"Action\":\":Stop\",\"Resource\":\"*\"", "no action"},
        {"\"Effect\":\"Allow\",\"Action\":\"a:b:c\",\"Resource\":\"*\"", "no action"},
        {"\"Effect\":\"Allow\",\"Action\":\"a:b c\",\"Resource\":\"*\"", "no action"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"trail/a\"", "no resource"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"acs:actiontrail:*:trail/a\"",
         "no resource"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:a:b:c:d\"", "no resource"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"acs:a:b:c:\"", "no resource"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"\"", "no resource"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{}",
         "\"Condition\""},
        {"\"Effect\":\"Allow\",\"NotAction\":\"*\",\"Resource\":\"*\"", "\"NotAction\""},
    };
    char document[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) + ARRAY_LEN(statements); i++) {
        struct ram_policy *policy = NULL;
        struct why why = {0};
        size_t at;
        const char *words =
            i < ARRAY_LEN(rows) ? rows[i].words : statements[i - ARRAY_LEN(rows)].words;

        if (i < ARRAY_LEN(rows))
            (void)snprintf(document, sizeof(document), "%s", rows[i].document);
        else
            (void)snprintf(document, sizeof(document), "{\"Version\":\"1\",\"Statement\":[{%s}]}",
                           statements[i - ARRAY_LEN(rows)].members);
        assert_int_equal(ram_policy_parse(str_from(document), &policy, &why), -ERR_INVALID);
        assert_null(policy);
        if (!str_find(str_from(why.text), str_from(words), &at))
            fail_msg("%s: \"%s\" does not say \"%s\"", document, why.text, words);
    }
}

static void add_many(struct buf *document, const char *begin, const char *each, size_t count,
                     const char *end)
{
    buf_reset(document);
    buf_add_str(document, str_from(begin));
    for (size_t i = 0; i < count; i++)
        buf_addf(document, "%s%s", i ? "," : "", each);
    buf_add_str(document, str_from(end));
    assert_int_equal(buf_error(document), 0);
}

static int parse_error(const struct buf *document)
{
    AUTO(ram_policy_free) struct ram_policy *policy = NULL;

    return ram_policy_parse(buf_str(document), &policy, NULL);
}

static void each_maximum_is_reached_and_not_passed(void **state)
{
    static const char one[] = "{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}";
    static const char list[] =
        "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Resource\":\"*\",\"Action\":[";
    AUTO_BUF struct buf document = {0};
    char pattern[RAM_PATTERN_SIZE_MAX + 4];

    (void)state;
    buf_init(&document, 1 << 20);
    add_many(&document, "{\"Version\":\"1\",\"Statement\":[", one, RAM_STATEMENTS_MAX, "]}");
    assert_int_equal(parse_error(&document), 0);
    add_many(&document, "{\"Version\":\"1\",\"Statement\":[", one, RAM_STATEMENTS_MAX + 1, "]}");
    assert_int_equal(parse_error(&document), -ERR_LIMIT);

    add_many(&document, list, "\"a:*\"", RAM_PATTERNS_MAX, "]}]}");
    assert_int_equal(parse_error(&document), 0);
    add_many(&document, list, "\"a:*\"", RAM_PATTERNS_MAX + 1, "]}]}");
    assert_int_equal(parse_error(&document), -ERR_LIMIT);

    for (size_t over = 0; over < 2; over++) {
        size_t len = RAM_PATTERN_SIZE_MAX + over;

        memset(pattern, 'x', sizeof(pattern));
        memcpy(pattern, "\"a:", 3);
        pattern[len + 1] = '"';
        pattern[len + 2] = '\0';
        add_many(&document, list, pattern, 1, "]}]}");
        assert_int_equal(parse_error(&document), over ? -ERR_LIMIT : 0);
    }

    add_many(&document, "{\"Version\":\"1\",\"Statement\":[", one, 1, "]}");
    while (document.len < RAM_DOCUMENT_SIZE_MAX)
        buf_add_byte(&document, ' ');
    assert_int_equal(parse_error(&document), 0);
    buf_add_byte(&document, ' ');
    assert_int_equal(parse_error(&document), -ERR_LIMIT);
}

/* ---- matching, against one that is obviously right ------------------------------------------------- */

static bool matches(const char *pattern, const char *text)
{
    if (!*pattern)
        return !*text;
    if (*pattern == '*')
        return matches(pattern + 1, text) || (*text && matches(pattern, text + 1));
    return *pattern == *text && matches(pattern + 1, text + 1);
}

static void draw_text(struct draws *draws, const char *chars, size_t len_max, char *ret)
{
    size_t len = 1 + draws_next(draws, len_max);

    for (size_t i = 0; i < len; i++)
        ret[i] = chars[draws_next(draws, strlen(chars))];
    ret[len] = '\0';
}

static void matching_agrees_with_a_slow_matcher(void **state)
{
    struct draws draws = draws_begin();
    char pattern[16], text[16], resource[64];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        draw_text(&draws, "ab*", 8, pattern);
        draw_text(&draws, "ab", 10, text);
        (void)snprintf(resource, sizeof(resource), "\"acs:actiontrail:*:*:%s\"", pattern);
        if ((ask_one("\"*\"", resource, "actiontrail:X", text) == RAM_ALLOWS) !=
            matches(pattern, text))
            fail_msg("pattern %s, text %s", pattern, text);
    }
}

static void a_pattern_made_to_be_slow_is_not(void **state)
{
    char pattern[RAM_PATTERN_SIZE_MAX + 32] = "\"acs:actiontrail:*:*:", text[20001];
    struct timespec before, after;
    size_t len = strlen(pattern);

    (void)state;
    while (len < RAM_PATTERN_SIZE_MAX - 8) {
        memcpy(pattern + len, "*a", 2);
        len += 2;
    }
    memcpy(pattern + len, "b\"", 3);
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(ask_one("\"*\"", pattern, "actiontrail:X", text), RAM_SILENT);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 5);
}

TESTS(TEST(what_no_statement_speaks_of_is_not_allowed),
      TEST(actions_match_with_wildcards_and_in_any_case), TEST(resources_match_part_by_part),
      TEST(a_star_of_a_region_does_not_reach_into_the_account),
      TEST(what_is_forbidden_stays_so_whatever_else_allows_it),
      TEST(the_system_policies_are_what_their_names_say),
      TEST(documents_with_mistakes_are_refused_in_words),
      TEST(each_maximum_is_reached_and_not_passed), TEST(matching_agrees_with_a_slow_matcher),
      TEST(a_pattern_made_to_be_slow_is_not))
