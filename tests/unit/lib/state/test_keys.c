/* The names of Redis keys, which dashboards know (docs/REDIS.md). */
#include "state/keys.h"

#include "test.h"

#define assert_key(key, want)                                                                      \
    do {                                                                                           \
        struct state_key key_ = (key);                                                             \
        assert_str_eq(state_key_str(&key_), STR(want));                                            \
        assert_string_equal(key_.text, want);                                                      \
    } while (0)

static void every_key_is_what_dashboards_read(void **state)
{
    (void)state;
    assert_key(state_key_worker(STR("delivery"), STR("cn-hangzhou"), STR("host-1")),
               "tb1:worker:delivery:cn-hangzhou:host-1");
    assert_key(state_key_workers(), "tb1:workers");
    assert_key(state_key_counters(STR("normalizer"), STR("cn-hangzhou")),
               "tb1:count:normalizer:cn-hangzhou");
    assert_key(state_key_trail_status(STR("T1"), STR("cn-hangzhou")),
               "tb1:trail:T1:status:cn-hangzhou");
    assert_key(
        state_key_progress(STR("T1"), STR("0123456789abcdef"), 7, STR("1001"), STR("Actiontrail")),
        "tb1:progress:T1:0123456789abcdef:7:1001:Actiontrail");
    assert_key(state_key_nonce(STR("LTAI1"), STR("n1")), "tb1:nonce:LTAI1:n1");
    assert_key(state_key_throttle(STR("1001"), STR("LookupEvents"), 1800000000),
               "tb1:throttle:1001:LookupEvents:1800000000");
    assert_key(state_key_trail(STR("T1")), "tb1:trail:T1");
    assert_key(state_key_account_trails(STR("1001")), "tb1:account:1001:trails");
    assert_key(state_key_epoch(), "tb1:epoch");
    assert_key(state_key_epoch_of(STR("api-1")), "tb1:epoch:api-1");
}

static void a_part_too_long_is_cut_not_overrun(void **state)
{
    static char part[2000];
    struct state_key key;

    (void)state;
    memset(part, 'x', sizeof(part));
    key = state_key_nonce(STR("LTAI1"), str_of(part, sizeof(part)));
    assert_int_equal(key.len, STATE_KEY_SIZE_MAX - 1);
    assert_int_equal(strlen(key.text), key.len);
    assert_true(str_starts(state_key_str(&key), STR("tb1:nonce:LTAI1:xxx")));
}

TESTS(TEST(every_key_is_what_dashboards_read), TEST(a_part_too_long_is_cut_not_overrun))
