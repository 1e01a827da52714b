/* test_heartbeat.c - a worker's sign of life, and what it tells the worker of Redis.
 *
 * services: redis
 */
#include "state/heartbeat.h"

#include "state/keys.h"

#include "test.h"

#define BEGIN_MS 1795392000000

static struct state *redis;

static void flush(void)
{
    struct why why = {0};

    assert_ok(state_flush(redis, &why), why);
}

static int setup(void **state)
{
    struct why why = {0};

    (void)state;
    if (state_open(str_from(getenv("TRAILBUS_REDIS")), &redis, &why) < 0)
        fail_msg("%s", why.text);
    STATE_ADD(redis, STR("FLUSHDB"));
    flush();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    state_close(redis);
    return 0;
}

static struct heartbeat heartbeat(void)
{
    return (struct heartbeat){.state = redis,
                              .worker = STR("delivery"),
                              .region = STR("cn-hangzhou"),
                              .instance = STR("1")};
}

static const struct heartbeat_view view = {.state = "running"};

static bool is_there(void)
{
    struct state_key key = state_key_worker(STR("delivery"), STR("cn-hangzhou"), STR("1"));

    STATE_ADD(redis, STR("EXISTS"), state_key_str(&key));
    flush();
    return state_reply(redis, 0).integer == 1;
}

static void forget(void)
{
    STATE_ADD(redis, STR("FLUSHDB"));
    flush();
}

static void it_notices_that_redis_was_emptied(void **state)
{
    struct heartbeat h = heartbeat();

    (void)state;
    heartbeat_beat(&h, BEGIN_MS, &view);
    heartbeat_beat(&h, BEGIN_MS + 1000, &view);
    assert_int_equal(h.emptied, 0);
    forget();
    heartbeat_beat(&h, BEGIN_MS + 2000, &view);
    assert_int_equal(h.emptied, 1);
    heartbeat_beat(&h, BEGIN_MS + 3000, &view);
    assert_int_equal(h.emptied, 1);
}

/* Its key expires while it is away; that is not Redis forgetting. */
static void a_key_that_expired_is_not_an_empty_redis(void **state)
{
    struct state_key key = state_key_worker(STR("delivery"), STR("cn-hangzhou"), STR("1"));
    struct heartbeat h = heartbeat();

    (void)state;
    heartbeat_beat(&h, BEGIN_MS, &view);
    STATE_ADD(redis, STR("DEL"), state_key_str(&key));
    flush();
    heartbeat_beat(&h, BEGIN_MS + 1000, &view);
    assert_int_equal(h.emptied, 0);
}

static void a_clock_set_back_does_not_silence_it(void **state)
{
    struct heartbeat h = heartbeat();

    (void)state;
    heartbeat_beat(&h, BEGIN_MS, &view);
    forget();
    heartbeat_beat(&h, BEGIN_MS + 500, &view);
    assert_false(is_there()); /* not due */
    heartbeat_beat(&h, BEGIN_MS - 1200000, &view);
    assert_true(is_there());
}

static void assert_tally_has(const char *field, const char *value)
{
    struct state_key key = state_key_tally(STR("delivery"), STR("cn-hangzhou"), 0);
    struct state_reply reply;

    STATE_ADD(redis, STR("HGET"), state_key_str(&key), str_from(field));
    flush();
    reply = state_reply(redis, 0);
    assert_int_equal(reply.type, value ? STATE_TEXT : STATE_NIL);
    if (value)
        assert_str_eq(reply.text, str_from(value));
}

/* Its offsets' notes were lost, or another program counts other kinds: what was shown before is of another tally. */
static void a_tally_that_begins_anew_keeps_nothing_of_the_one_before(void **state)
{
    static const struct tally_kinds kinds = {{"taken", "dropped"}, 2}, fewer = {{"taken"}, 1};
    struct heartbeat h = heartbeat();
    struct tally tally;

    (void)state;
    tally_begin(&tally, &kinds, 0);
    tally.counts[0] = tally.counts[1] = 5;
    heartbeat_tally(&h, 0, 10, &tally);
    heartbeat_beat(&h, BEGIN_MS, &view);
    assert_tally_has("dropped", "5");

    tally_begin(&tally, &kinds, 10);
    tally.counts[0] = 2;
    heartbeat_tally(&h, 0, 12, &tally);
    heartbeat_beat(&h, BEGIN_MS + 1000, &view);
    assert_tally_has("base", "10");
    assert_tally_has("offset", "12");
    assert_tally_has("taken", "2");
    assert_tally_has("dropped", NULL);

    tally_begin(&tally, &fewer, 12);
    heartbeat_tally(&h, 0, 12, &tally);
    heartbeat_beat(&h, BEGIN_MS + 2000, &view);
    assert_tally_has("taken", NULL);
    assert_int_equal(h.emptied, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_notices_that_redis_was_emptied, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_expired_is_not_an_empty_redis, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_set_back_does_not_silence_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tally_that_begins_anew_keeps_nothing_of_the_one_before,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
