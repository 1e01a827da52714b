/* What the compacted topic says, applied record by record. */
#include <stdio.h>

#include "fixture.h"

#define KEY1                                                                                       \
    "{\"key\":\"LTAI1\",\"account\":\"1001\",\"secret\":\"sealed\",\"active\":true,\"created\":7}"
#define TRAIL                                                                                      \
    "{\"trail\":\"T\",\"version\":1,\"account\":\"1001\",\"name\":\"n\",\"homeRegion\":\"h\","     \
    "\"regions\":\"All\",\"rw\":\"All\"}"

static void each_kind_of_record_is_found_again(void **state)
{
    (void)state;
    assert_int_equal(apply("account/1001", "{\"account\":\"1001\",\"name\":\"us\",\"created\":5}"),
                     0);
    assert_int_equal(apply("key/LTAI1", KEY1), 0);
    assert_int_equal(
        apply("topic/raw.cn-hangzhou", "{\"topic\":\"raw.cn-hangzhou\",\"generation\":\"G1\"}"), 0);
    assert_int_equal(apply("trail/T/1", TRAIL), 0);
    assert_str_eq(control_account(control, STR("1001"))->name, STR("us"));
    assert_int_equal(control_account(control, STR("1001"))->created_s, 5);
    assert_str_eq(control_key(control, STR("LTAI1"))->account, STR("1001"));
    assert_str_eq(control_key(control, STR("LTAI1"))->sealed, STR("sealed"));
    assert_true(control_key(control, STR("LTAI1"))->active);
    assert_str_eq(control_generation(control, STR("raw.cn-hangzhou")), STR("G1"));
    assert_non_null(trail_book_find(control_trails(control), STR("T")));
}

static void what_is_not_there_is_null_or_empty(void **state)
{
    (void)state;
    assert_null(control_account(control, STR("1001")));
    assert_null(control_key(control, STR("")));
    assert_int_equal(control_generation(control, STR("x")).len, 0);
}

static void applying_twice_changes_nothing(void **state)
{
    const struct control_key *key;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(apply("key/LTAI1", KEY1), 0);
        assert_int_equal(apply("trail/T/1", TRAIL), 0);
    }
    assert_true(control_key_at(control, 0, &key));
    assert_str_eq(key->id, STR("LTAI1"));
    assert_false(control_key_at(control, 1, &key));
    assert_int_equal(trail_version_count(trail_book_find(control_trails(control), STR("T"))), 1);
}

static void the_newest_record_of_a_key_counts(void **state)
{
    (void)state;
    assert_int_equal(apply("account/1", "{\"name\":\"old\"}"), 0);
    assert_int_equal(apply("account/1", "{\"name\":\"new\"}"), 0);
    assert_str_eq(control_account(control, STR("1"))->name, STR("new"));
}

static void a_tombstone_takes_away_and_a_record_brings_back(void **state)
{
    const struct control_account *account;

    (void)state;
    assert_int_equal(apply("account/1", NULL), 0);
    assert_false(control_account_at(control, 0, &account));
    assert_int_equal(apply("account/1", "{\"name\":\"a\"}"), 0);
    assert_int_equal(apply("account/1", NULL), 0);
    assert_null(control_account(control, STR("1")));
    assert_true(control_account_at(control, 0, &account));
    assert_null(account);
    assert_int_equal(apply("account/1", "{\"name\":\"b\"}"), 0);
    assert_str_eq(control_account(control, STR("1"))->name, STR("b"));
    assert_int_equal(apply("trail/T/1", TRAIL), 0);
    assert_int_equal(apply("trail/T/1", NULL), 0); /* superseded: later versions say all */
    assert_non_null(trail_book_find(control_trails(control), STR("T")));
}

static void kinds_of_a_newer_program_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(apply("role/1/2", "whatever"), 1);
    assert_non_null(strstr(why.text, "role/1/2"));
    assert_int_equal(apply("role/1/2", NULL), 0);
    assert_int_equal(apply("fence", "7"), 1);
}

static void a_record_that_makes_no_sense_is_named(void **state)
{
    static const char *const cases[][2] = {
        {"account/1", "{"},
        {"account/1", "[]"},
        {"account/1", ""},
        {"key/k", "{}"},
        {"key/k", "{\"account\":\"1\"}"},
        {"key/k", "{\"account\":\"1\",\"secret\":\"\"}"},
        {"topic/t", "{\"generation\":\"\"}"},
        {"topic/t", "{\"generation\":7}"},
        {"trail/T/1", "{}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(apply(cases[i][0], cases[i][1]), -ERR_INVALID);
        assert_non_null(strstr(why.text, cases[i][0]));
    }
}

static void a_key_names_something(void **state)
{
    static const char *const keys[] = {"", "account", "account/", "key/", "topic/", "topic"};
    static char room[CONTROL_KEY_SIZE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(
            apply(keys[i], "{\"account\":\"1\",\"secret\":\"s\",\"generation\":\"g\"}"),
            -ERR_INVALID);
    memset(room, 'a', sizeof(room));
    assert_int_equal(control_apply(control, str_of(room, sizeof(room)), STR("{}"), false, &why),
                     -ERR_INVALID);
    assert_int_equal(control_apply(control, STR("account/a\0b"), STR("{}"), false, &why),
                     -ERR_INVALID);
}

static void a_bad_record_leaves_the_one_before_it(void **state)
{
    (void)state;
    assert_int_equal(apply("key/LTAI1", KEY1), 0);
    assert_int_equal(apply("key/LTAI1", "{\"account\":\"2\"}"), -ERR_INVALID);
    assert_str_eq(control_key(control, STR("LTAI1"))->account, STR("1001"));
}

static void a_topic_s_bad_record_leaves_no_generation(void **state)
{
    (void)state;
    assert_int_equal(apply("topic/t", "{\"topic\":\"t\",\"generation\":\"G1\"}"), 0);
    assert_int_equal(apply("topic/t", "{"), -ERR_INVALID);
    assert_int_equal(control_generation(control, STR("t")).len, 0);
}

#define VERSION2                                                                                   \
    "{\"trail\":\"T\",\"version\":2,\"account\":\"1001\",\"name\":\"n\",\"homeRegion\":\"h\","     \
    "\"regions\":\"All\",\"rw\":\"All\"}"

static bool doubted(const char *id)
{
    return trail_book_doubts(control_trails(control), str_from(id));
}

static void a_trail_with_a_version_that_cannot_be_read_is_in_doubt_until_it_can(void **state)
{
    static const char *const bad[] = {"", "{", "{}", TRAIL, "{\"trail\":\"T\",\"version\":2}"};

    (void)state;
    assert_int_equal(apply("trail/T/1", TRAIL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(apply("trail/T/2", bad[i]), -ERR_INVALID);
        assert_true(doubted("T"));
        assert_false(doubted("U"));
        assert_int_equal(apply("trail/T/1", TRAIL), 0); /* another version says nothing of it */
        assert_true(doubted("T"));
        assert_int_equal(apply("trail/T/2", i % 2 ? VERSION2 : NULL), 0);
        assert_false(doubted("T"));
    }
}

static void a_trail_of_which_nothing_can_be_read_is_in_doubt_as_well(void **state)
{
    struct str id;
    int64_t version;

    (void)state;
    assert_int_equal(apply("trail/T/1", "{"), -ERR_INVALID);
    assert_int_equal(apply("trail/what", "{"), -ERR_INVALID);
    assert_true(trail_book_doubt_at(control_trails(control), 0, &id, &version));
    assert_str_eq(id, STR("T"));
    assert_int_equal(version, 1);
    assert_true(trail_book_doubt_at(control_trails(control), 1, &id, &version));
    assert_str_eq(id, STR("what"));
    assert_false(trail_book_doubt_at(control_trails(control), 2, &id, &version));
}

static void more_doubts_than_can_be_kept_are_an_error_of_their_own(void **state)
{
    char key[64];

    (void)state;
    for (int i = 0; i <= TRAIL_DOUBTS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "trail/T%d/1", i);
        assert_int_equal(apply(key, "{"), i < TRAIL_DOUBTS_MAX ? -ERR_INVALID : -ERR_LIMIT);
    }
}

static void a_trail_that_contradicts_is_a_conflict(void **state)
{
    (void)state;
    assert_int_equal(apply("trail/T/1", TRAIL), 0);
    assert_int_equal(apply("trail/T/2",
                           "{\"trail\":\"T\",\"version\":2,\"account\":\"9\",\"name\":\"n\","
                           "\"homeRegion\":\"h\",\"regions\":\"All\",\"rw\":\"All\"}"),
                     -ERR_CONFLICT);
    assert_true(doubted("T"));
}

static void thousands_are_found_by_id_and_listed_in_order(void **state)
{
    const struct control_account *account;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        AUTO_BUF struct buf key = {0};

        buf_init(&key, 100);
        buf_addf(&key, "account/%d", i);
        assert_int_equal(control_apply(control, buf_str(&key), STR("{}"), false, &why), 0);
    }
    assert_str_eq(control_account(control, STR("9999"))->id, STR("9999"));
    assert_true(control_account_at(control, 9999, &account));
    assert_str_eq(account->id, STR("9999"));
    assert_false(control_account_at(control, 10000, &account));
}

/* ---- written and read ------------------------------------------------------------------------------------ */

static void apply_written(struct buf *key, struct buf *value)
{
    assert_int_equal(buf_error(key) | buf_error(value), 0);
    assert_int_equal(control_apply(control, buf_str(key), buf_str(value), false, &why), 0);
    buf_reset(key);
    buf_reset(value);
}

static void what_is_written_is_read(void **state)
{
    static const struct control_account account = {STR("1001"), STR("gr\xC3\xBC\xC3\x9F \"x\""),
                                                   12};
    static const struct control_key access_key = {.id = STR("LTAI1"),
                                                  .account = STR("1001"),
                                                  .user = STR("alice"),
                                                  .sealed = STR("c2VhbGVk"),
                                                  .active = true,
                                                  .created_s = 13};
    AUTO_BUF struct buf key = {0}, value = {0};

    (void)state;
    buf_init(&key, 300);
    buf_init(&value, 1000);
    control_account_record(&account, &key, &value);
    apply_written(&key, &value);
    control_key_record(&access_key, &key, &value);
    apply_written(&key, &value);
    control_topic_record(STR("global"), STR("G7"), false, &key, &value);
    apply_written(&key, &value);
    assert_str_eq(control_account(control, STR("1001"))->name, account.name);
    assert_int_equal(control_account(control, STR("1001"))->created_s, 12);
    assert_str_eq(control_key(control, STR("LTAI1"))->sealed, access_key.sealed);
    assert_str_eq(control_key(control, STR("LTAI1"))->user, access_key.user);
    assert_true(control_key(control, STR("LTAI1"))->active);
    assert_str_eq(control_generation(control, STR("global")), STR("G7"));
}

static void a_record_that_cannot_be_written_says_so(void **state)
{
    static const struct control_account account = {STR("1001"), STR("\xFF"), 12};
    AUTO_BUF struct buf key = {0}, value = {0};

    (void)state;
    buf_init(&key, 300);
    buf_init(&value, 1000);
    control_account_record(&account, &key, &value);
    assert_int_not_equal(buf_error(&value), 0);
}

static bool holds(const struct crypto_key *master, struct control_force force,
                  const struct buf *token, int64_t now_s)
{
    return control_force_holds(master, &force, buf_str(token), now_s);
}

static void a_forced_change_is_of_one_request_and_soon(void **state)
{
    const struct control_force force = {STR("LTAI1"), STR("n-1"), STR("StopLogging"),
                                        STR("trail-1")};
    struct crypto_key master = {.bytes = {1, 2, 3}}, other = {.bytes = {1, 2, 4}};
    AUTO_BUF struct buf token = {0};
    const int64_t now_s = 1795420800;
    (void)state;

    buf_init(&token, FORCE_SIZE_MAX);
    control_force_sign(&master, &force, now_s, &token);
    assert_int_equal(buf_error(&token), 0);
    assert_true(holds(&master, force, &token, now_s));
    assert_true(holds(&master, force, &token, now_s + FORCE_TTL_S));
    assert_true(holds(&master, force, &token, now_s - FORCE_TTL_S));
    assert_false(holds(&master, force, &token, now_s + FORCE_TTL_S + 1));
    assert_false(holds(&master, force, &token, now_s - FORCE_TTL_S - 1));
    assert_false(holds(&other, force, &token, now_s));
    for (int i = 0; i < 4; i++) {
        struct control_force wrong = force;
        struct str *const members[] = {&wrong.key, &wrong.nonce, &wrong.action, &wrong.trail};

        *members[i] = STR("x");
        assert_false(holds(&master, wrong, &token, now_s));
    }
}

/* One byte more, less or other at any place; and what was never one. */
static void a_token_of_force_is_taken_whole(void **state)
{
    static const char *const others[] = {"", ".", "1795420800", "1795420800.", ".x", "true"};
    const struct control_force force = {STR("k"), STR("n"), STR("a"), STR("t")};
    struct crypto_key master = {.bytes = {1}};
    AUTO_BUF struct buf token = {0};
    const int64_t now_s = 1795420800;
    (void)state;

    buf_init(&token, FORCE_SIZE_MAX);
    control_force_sign(&master, &force, now_s, &token);
    for (size_t i = 0; i < token.len; i++) {
        char kept = token.at[i];

        assert_false(control_force_holds(&master, &force, str_of(token.at, i), now_s));
        token.at[i] = kept == '1' ? '2' : '1';
        assert_false(holds(&master, force, &token, now_s));
        token.at[i] = kept;
    }
    assert_true(holds(&master, force, &token, now_s));
    buf_addf(&token, "=");
    assert_false(holds(&master, force, &token, now_s));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(control_force_holds(&master, &force, str_from(others[i]), now_s));
}

static void a_secret_is_opened_only_for_the_key_it_was_sealed_for(void **state)
{
    static const struct crypto_key master = {{1, 2, 3}}, other = {{1, 2, 4}};
    struct control_key key = {.id = STR("LTAI1"), .account = STR("1")};
    AUTO_BUF struct buf sealed = {0}, secret = {0};

    (void)state;
    buf_init(&sealed, 1000);
    buf_init(&secret, 1000);
    assert_int_equal(control_secret_seal(&master, key.id, STR("s3cret"), &sealed), 0);
    assert_false(str_find(buf_str(&sealed), STR("s3cret"), NULL));
    key.sealed = buf_str(&sealed);
    assert_int_equal(control_secret_open(&master, &key, &secret), 0);
    assert_str_eq(buf_str(&secret), STR("s3cret"));
    assert_int_equal(control_secret_open(&other, &key, &secret), -ERR_INVALID);
    key.id = STR("LTAI2");
    assert_int_equal(control_secret_open(&master, &key, &secret), -ERR_INVALID);
    key.sealed = STR("!");
    assert_int_equal(control_secret_open(&master, &key, &secret), -ERR_INVALID);
    assert_str_eq(buf_str(&secret), STR("s3cret"));
}

static bool made_of(const char *text, const char *characters, size_t len)
{
    return strlen(text) == len && strspn(text, characters) == len;
}

static void new_names_have_their_forms_and_differ(void **state)
{
    static const char alphanumerics[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char account[ACCOUNT_ID_SIZE + 1], id[ACCESS_KEY_ID_SIZE + 1],
        secret[ACCESS_KEY_SECRET_SIZE + 1];
    char last[ACCESS_KEY_SECRET_SIZE + 1] = "";

    (void)state;
    for (int i = 0; i < 1000; i++) {
        control_make_account_id(account);
        control_make_key_id(id);
        control_make_secret(secret);
        assert_true(made_of(account, "0123456789", ACCOUNT_ID_SIZE) && account[0] == '1');
        assert_true(made_of(id, alphanumerics, ACCESS_KEY_ID_SIZE) && strncmp(id, "LTAI", 4) == 0);
        assert_true(made_of(secret, alphanumerics, ACCESS_KEY_SECRET_SIZE));
        assert_string_not_equal(secret, last);
        memcpy(last, secret, sizeof(last));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(each_kind_of_record_is_found_again), CASE(what_is_not_there_is_null_or_empty),
      CASE(applying_twice_changes_nothing), CASE(the_newest_record_of_a_key_counts),
      CASE(a_tombstone_takes_away_and_a_record_brings_back),
      CASE(kinds_of_a_newer_program_are_passed_over), CASE(a_record_that_makes_no_sense_is_named),
      CASE(a_key_names_something), CASE(a_bad_record_leaves_the_one_before_it),
      CASE(a_topic_s_bad_record_leaves_no_generation),
      CASE(a_trail_with_a_version_that_cannot_be_read_is_in_doubt_until_it_can),
      CASE(a_trail_of_which_nothing_can_be_read_is_in_doubt_as_well),
      CASE(more_doubts_than_can_be_kept_are_an_error_of_their_own),
      CASE(a_trail_that_contradicts_is_a_conflict),
      CASE(thousands_are_found_by_id_and_listed_in_order), CASE(what_is_written_is_read),
      CASE(a_record_that_cannot_be_written_says_so),
      CASE(a_secret_is_opened_only_for_the_key_it_was_sealed_for),
      CASE(a_forced_change_is_of_one_request_and_soon), CASE(a_token_of_force_is_taken_whole),
      CASE(new_names_have_their_forms_and_differ))
