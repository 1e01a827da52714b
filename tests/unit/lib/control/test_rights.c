/* Users, groups and policies as `control` says them, what they allow, and temporary keys. */
#include "fixture.h"

#define ALLOW_STOP                                                                                 \
    "{\\\"Version\\\":\\\"1\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Action\\\":"  \
    "\\\"actiontrail:StopLogging\\\",\\\"Resource\\\":\\\"*\\\"}]}"
#define DENY_STOP                                                                                  \
    "{\\\"Version\\\":\\\"1\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Deny\\\",\\\"Action\\\":"   \
    "\\\"actiontrail:StopLogging\\\",\\\"Resource\\\":\\\"acs:actiontrail:*:*:trail/prod-*\\\"}]}"

static void must_apply(const char *key, const char *value)
{
    assert_ok(apply(key, value), why);
}

static void add_user(const char *groups, const char *policies)
{
    AUTO_BUF struct buf value = {0};

    buf_init(&value, 4096);
    buf_addf(&value, "{\"id\":\"2001\",\"created\":9,\"groups\":[%s],\"policies\":[%s]}", groups,
             policies);
    must_apply("user/1001/alice", buf_cstr(&value));
}

static enum ram_verdict ask_in(const char *account, const char *user, const char *action,
                               const char *trail)
{
    struct ram_request request = {
        str_from(action),
        {STR("actiontrail"), STR("cn-hangzhou"), str_from(account), str_from(trail)}};

    return control_verdict(control, str_from(account), str_from(user), &request);
}

static enum ram_verdict ask(const char *action, const char *trail)
{
    return ask_in("1001", "alice", action, trail);
}

static enum ram_verdict ask_stop(void)
{
    return ask("actiontrail:StopLogging", "trail/prod-1");
}

/* ---- who may do what ------------------------------------------------------------------------------- */

static void the_account_itself_may_do_everything(void **state)
{
    (void)state;
    assert_int_equal(ask_in("1001", "", "actiontrail:DeleteTrail", "trail/a"), RAM_ALLOWS);
}

static void a_user_without_policies_may_do_nothing(void **state)
{
    (void)state;
    add_user("", "");
    assert_int_equal(ask("actiontrail:LookupEvents", "*"), RAM_SILENT);
}

static void a_system_policy_is_there_without_being_made(void **state)
{
    (void)state;
    add_user("", "\"AliyunActionTrailReadOnlyAccess\"");
    assert_int_equal(ask("actiontrail:LookupEvents", "*"), RAM_ALLOWS);
    assert_int_equal(ask_stop(), RAM_SILENT);
    add_user("", "\"AliyunActionTrailFullAccess\"");
    assert_int_equal(ask_stop(), RAM_ALLOWS);
}

static void an_account_s_own_policy_is_its_own(void **state)
{
    (void)state;
    must_apply("policy/1001/stop", "{\"document\":\"" ALLOW_STOP "\"}");
    add_user("", "\"stop\"");
    must_apply("user/1002/alice", "{\"id\":\"2002\",\"policies\":[\"stop\"]}");
    assert_int_equal(ask_stop(), RAM_ALLOWS);
    assert_int_equal(ask_in("1002", "alice", "actiontrail:StopLogging", "trail/prod-1"),
                     RAM_FORBIDS);
}

static void a_group_s_policies_are_its_members(void **state)
{
    (void)state;
    must_apply("group/1001/ops", "{\"policies\":[\"AliyunActionTrailFullAccess\"]}");
    add_user("\"ops\"", "");
    assert_int_equal(ask_stop(), RAM_ALLOWS);
    add_user("", "");
    assert_int_equal(ask_stop(), RAM_SILENT);
}

static void what_one_policy_forbids_no_other_allows(void **state)
{
    (void)state;
    must_apply("policy/1001/never-stop", "{\"document\":\"" DENY_STOP "\"}");
    must_apply("group/1001/ops", "{\"policies\":[\"AliyunActionTrailFullAccess\"]}");
    must_apply("group/1001/careful", "{\"policies\":[\"never-stop\"]}");
    add_user("\"ops\",\"careful\"", "");
    assert_int_equal(ask_stop(), RAM_FORBIDS);
    assert_int_equal(ask("actiontrail:StopLogging", "trail/test-1"), RAM_ALLOWS);
    add_user("\"ops\"", "\"never-stop\"");
    assert_int_equal(ask_stop(), RAM_FORBIDS);
    add_user("\"careful\"", "\"AliyunActionTrailFullAccess\"");
    assert_int_equal(ask_stop(), RAM_FORBIDS);
}

static void what_is_missing_or_not_understood_forbids_everything(void **state)
{
    (void)state;
    assert_int_equal(ask_stop(), RAM_FORBIDS); /* no such user */
    add_user("", "\"AliyunActionTrailFullAccess\",\"gone\"");
    assert_int_equal(ask_stop(), RAM_FORBIDS);
    add_user("\"gone\"", "\"AliyunActionTrailFullAccess\"");
    assert_int_equal(ask_stop(), RAM_FORBIDS);
    must_apply("policy/1001/newer", "{\"document\":\"{\\\"Version\\\":\\\"7\\\"}\"}");
    add_user("", "\"AliyunActionTrailFullAccess\",\"newer\"");
    assert_null(control_policy(control, STR("1001"), STR("newer"))->rules);
    assert_int_equal(ask_stop(), RAM_FORBIDS);
}

/* ---- records --------------------------------------------------------------------------------------- */

static void a_changed_policy_counts_from_its_record_on(void **state)
{
    (void)state;
    add_user("", "\"stop\"");
    must_apply("policy/1001/stop", "{\"document\":\"" ALLOW_STOP "\"}");
    assert_int_equal(ask_stop(), RAM_ALLOWS);
    must_apply("policy/1001/stop", "{\"document\":\"" DENY_STOP "\"}");
    assert_int_equal(ask_stop(), RAM_FORBIDS);
    must_apply("policy/1001/stop", NULL);
    assert_null(control_policy(control, STR("1001"), STR("stop")));
    assert_int_equal(ask_stop(), RAM_FORBIDS);
}

static void a_user_that_is_deleted_and_made_again_is_another(void **state)
{
    const struct control_user *user;

    (void)state;
    add_user("", "");
    must_apply("user/1001/alice", NULL);
    assert_null(control_user(control, STR("1001"), STR("alice")));
    assert_true(control_user_at(control, 0, &user));
    assert_null(user);
    must_apply("user/1001/alice", "{\"id\":\"2009\"}");
    assert_str_eq(control_user(control, STR("1001"), STR("alice"))->id, STR("2009"));
    assert_int_equal(control_user(control, STR("1001"), STR("alice"))->policies.count, 0);
}

static void records_that_make_no_sense_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"user/1001/alice", "{}"},
        {"user/1001/alice", "{\"id\":\"2001\",\"groups\":[1]}"},
        {"user/1001", "{\"id\":\"2001\"}"},
        {"user//alice", "{\"id\":\"2001\"}"},
        {"user/1001/", "{\"id\":\"2001\"}"},
        {"user/1001/a b", "{\"id\":\"2001\"}"},
        {"user/1001/a/b", "{\"id\":\"2001\"}"},
        {"group/1001/", "{}"},
        {"group/1001/ops", "{\"policies\":[{}]}"},
        {"policy/1001/a_b", "{\"document\":\"\"}"},
        {"policy/1001/a", "[]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (apply(rows[i][0], rows[i][1]) != -ERR_INVALID)
            fail_msg("%s %s", rows[i][0], rows[i][1]);
    assert_null(control_user(control, STR("1001"), STR("alice")));
    assert_null(control_group(control, STR("1001"), STR("ops")));
}

static void what_is_written_is_read(void **state)
{
    static const struct str groups[] = {STR("ops"), STR("audit")}, policies[] = {STR("stop")};
    struct control_user user = {STR("1001"), STR("al.i_ce-1"), STR("2001"),
                                9,           {groups, 2},      {policies, 1}};
    struct control_group group = {STR("1001"), STR("ops"), 10, {policies, 1}};
    struct control_policy policy = {STR("1001"), STR("stop"), STR("{\"a\": \"\xC3\xBC\"}\n"), 11,
                                    NULL};
    AUTO_BUF struct buf key = {0}, value = {0};
    const struct control_user *got;

    (void)state;
    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, CONTROL_VALUE_SIZE_MAX);
    control_user_record(&user, &key, &value);
    must_apply(buf_cstr(&key), buf_cstr(&value));
    buf_reset(&key);
    buf_reset(&value);
    control_group_record(&group, &key, &value);
    must_apply(buf_cstr(&key), buf_cstr(&value));
    buf_reset(&key);
    buf_reset(&value);
    control_policy_record(&policy, &key, &value);
    must_apply(buf_cstr(&key), buf_cstr(&value));

    got = control_user(control, user.account, user.name);
    assert_non_null(got);
    assert_str_eq(got->id, user.id);
    assert_int_equal(got->created_s, 9);
    assert_int_equal(got->groups.count, 2);
    assert_str_eq(got->groups.at[1], groups[1]);
    assert_int_equal(got->policies.count, 1);
    assert_str_eq(got->policies.at[0], policies[0]);
    assert_str_eq(control_group(control, group.account, group.name)->policies.at[0], policies[0]);
    assert_str_eq(control_policy(control, policy.account, policy.name)->document, policy.document);
}

static void the_largest_records_can_be_written(void **state)
{
    struct str names[CONTROL_NAMES_MAX];
    char name[POLICY_NAME_SIZE_MAX], document[RAM_DOCUMENT_SIZE_MAX] = {0};
    struct control_user user = {STR("1001"),
                                STR("alice"),
                                STR("2001"),
                                9,
                                {names, CONTROL_NAMES_MAX},
                                {names, CONTROL_NAMES_MAX}};
    struct control_policy policy = {STR("1001"), STR("p"), str_of(document, sizeof(document)), 1,
                                    NULL};
    AUTO_BUF struct buf key = {0}, value = {0};

    (void)state;
    memset(name, 'p', sizeof(name));
    memset(document, '\x01', sizeof(document)); /* six bytes each in JSON */
    for (size_t i = 0; i < CONTROL_NAMES_MAX; i++)
        names[i] = str_of(name, sizeof(name));
    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, CONTROL_VALUE_SIZE_MAX);
    control_user_record(&user, &key, &value);
    must_apply(buf_cstr(&key), buf_cstr(&value));
    buf_reset(&key);
    buf_reset(&value);
    control_policy_record(&policy, &key, &value);
    must_apply(buf_cstr(&key), buf_cstr(&value));
    assert_int_equal(control_user(control, STR("1001"), STR("alice"))->policies.count,
                     CONTROL_NAMES_MAX);
}

static void policies_are_listed_with_those_of_the_system_first(void **state)
{
    const struct control_policy *policy;

    (void)state;
    must_apply("policy/1001/stop", "{\"document\":\"" ALLOW_STOP "\"}");
    assert_true(control_policy_at(control, 0, &policy));
    assert_str_eq(policy->name, STR("AliyunActionTrailFullAccess"));
    assert_str_eq(policy->account, STR(""));
    assert_true(control_policy_at(control, 2, &policy));
    assert_str_eq(policy->name, STR("stop"));
    assert_false(control_policy_at(control, 3, &policy));
}

/* ---- temporary keys -------------------------------------------------------------------------------- */

static const struct crypto_key master = {{1, 2, 3}}, other = {{1, 2, 4}};
static const struct control_session session = {
    STR("STS.x"), STR("1001"), STR("alice"), STR("2001"), STR("s3cret"), 1795000000, 1795003600};

static void a_token_says_whose_key_it_is_and_until_when(void **state)
{
    AUTO_BUF struct buf token = {0}, plain = {0};
    struct control_session got;

    (void)state;
    buf_init(&token, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(control_session_seal(&master, &session, &token), 0);
    assert_int_equal(control_session_open(&master, buf_str(&token), &plain, &got), 0);
    assert_str_eq(got.key, session.key);
    assert_str_eq(got.account, session.account);
    assert_str_eq(got.user, session.user);
    assert_str_eq(got.user_id, session.user_id);
    assert_str_eq(got.secret, session.secret);
    assert_int_equal(got.created_s, session.created_s);
    assert_int_equal(got.expires_s, session.expires_s);
}

static void a_token_of_the_account_itself_names_no_user(void **state)
{
    AUTO_BUF struct buf token = {0}, plain = {0};
    struct control_session mine = session, got;

    (void)state;
    mine.user = mine.user_id = STR("");
    buf_init(&token, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(control_session_seal(&master, &mine, &token), 0);
    assert_int_equal(control_session_open(&master, buf_str(&token), &plain, &got), 0);
    assert_int_equal(got.user.len, 0);
    assert_str_eq(got.secret, session.secret);
}

static void no_token_but_ours_is_opened(void **state)
{
    static const char *const texts[] = {"", "a-token", "AAAA", "!", "CAIStoken/+=="};
    AUTO_BUF struct buf token = {0}, plain = {0};
    struct control_session got;

    (void)state;
    buf_init(&token, 4096);
    buf_init(&plain, 4096);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(control_session_open(&master, str_from(texts[i]), &plain, &got),
                         -ERR_INVALID);
    assert_int_equal(control_session_seal(&master, &session, &token), 0);
    assert_int_equal(control_session_open(&other, buf_str(&token), &plain, &got), -ERR_INVALID);
    for (size_t i = 0; i < token.len; i++) {
        char was = token.at[i];

        token.at[i] = was == 'A' ? 'B' : 'A';
        if (i + 3 < token.len) /* the last digits may hold bits that say nothing */
            assert_int_equal(control_session_open(&master, buf_str(&token), &plain, &got),
                             -ERR_INVALID);
        token.at[i] = was;
    }
    buf_reset(&token);
    while (token.len < 4000)
        buf_add_byte(&token, 'A');
    assert_int_equal(control_session_open(&master, buf_str(&token), &plain, &got), -ERR_INVALID);
}

static void a_sealed_secret_of_a_key_is_no_token(void **state)
{
    AUTO_BUF struct buf sealed = {0}, plain = {0};
    struct control_session got;

    (void)state;
    buf_init(&sealed, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(
        control_secret_seal(&master, STR("security tokens"), STR("a\nb\nc\nd\ne\n1\n2"), &sealed),
        0);
    assert_int_equal(control_session_open(&master, buf_str(&sealed), &plain, &got), -ERR_INVALID);
}

static void new_names_of_users_and_temporary_keys_have_their_forms(void **state)
{
    char user[USER_ID_SIZE + 1], key[SESSION_ID_SIZE + 1];

    (void)state;
    control_make_user_id(user);
    control_make_session_id(key);
    assert_int_equal(strspn(user, "0123456789"), USER_ID_SIZE);
    assert_int_equal(user[0], '2');
    assert_true(str_starts(str_from(key), STR(SESSION_ID_PREFIX)));
    assert_int_equal(strlen(key), SESSION_ID_SIZE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(the_account_itself_may_do_everything), CASE(a_user_without_policies_may_do_nothing),
      CASE(a_system_policy_is_there_without_being_made), CASE(an_account_s_own_policy_is_its_own),
      CASE(a_group_s_policies_are_its_members), CASE(what_one_policy_forbids_no_other_allows),
      CASE(what_is_missing_or_not_understood_forbids_everything),
      CASE(a_changed_policy_counts_from_its_record_on),
      CASE(a_user_that_is_deleted_and_made_again_is_another),
      CASE(records_that_make_no_sense_are_refused), CASE(what_is_written_is_read),
      CASE(the_largest_records_can_be_written),
      CASE(policies_are_listed_with_those_of_the_system_first),
      CASE(a_token_says_whose_key_it_is_and_until_when),
      CASE(a_token_of_the_account_itself_names_no_user), CASE(no_token_but_ours_is_opened),
      CASE(a_sealed_secret_of_a_key_is_no_token),
      CASE(new_names_of_users_and_temporary_keys_have_their_forms))
