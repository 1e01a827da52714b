/* test_status.c - `trailctl status`: what Redis knows, and what it does not.
 *
 * services: redis
 */
#include <stdio.h>
#include <unistd.h>

#include "jsondoc/jsondoc.h"
#include "state/heartbeat.h"
#include "state/keys.h"

#include "trailctl.h"

static struct state *redis;

static void flush(void)
{
    struct why why = {0};

    if (state_flush(redis, &why) < 0)
        fail_msg("%s", why.text);
}

static int empty_redis(void **state)
{
    (void)state;
    STATE_ADD(redis, STR("FLUSHDB"));
    flush();
    return 0;
}

static int setup(void **state)
{

    (void)state;
    trailctl_find();
    return state_open(str_from(getenv("TRAILBUS_REDIS")), &redis, NULL);
}

static int teardown(void **state)
{
    (void)state;
    state_close(redis);
    return 0;
}

static void beat(const char *worker, const char *instance, int64_t lag)
{
    const struct heartbeat_counter counters[] = {{"records", 42}};
    struct heartbeat heartbeat = {.state = redis,
                                  .worker = str_from(worker),
                                  .region = STR("cn-hangzhou"),
                                  .instance = str_from(instance)};

    heartbeat_beat(&heartbeat, 1795420800000,
                   &(struct heartbeat_view){.state = "running",
                                            .lag = lag,
                                            .partitions = 4,
                                            .counters = counters,
                                            .counter_count = 1});
}

static void an_empty_redis_knows_of_nothing(void **state)
{
    (void)state;
    assert_int_equal(trailctl_run("status"), 0);
    assert_true(trailctl_said("Redis knows of no worker"));
    assert_true(trailctl_said("Redis is new, or was emptied"));
    assert_false(trailctl_said("no trail has trouble"));
}

static void with_its_view_it_knows_that_there_is_no_trouble(void **state)
{
    struct state_key epoch = state_key_epoch();
    (void)state;

    STATE_ADD(redis, STR("SET"), state_key_str(&epoch), STR("2026-11-23T08:00:00Z"));
    flush();
    assert_int_equal(trailctl_run("status"), 0);
    assert_true(trailctl_said("no trail has trouble"));
    assert_false(trailctl_said("was emptied"));
}

static void workers_are_listed_with_lag_and_counters(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    const struct jsondoc *worker;
    (void)state;

    beat("normalizer", "1", 17);
    beat("delivery", "eu:2", 0); /* an instance's name may hold what separates */
    assert_int_equal(trailctl_run("status"), 0);
    assert_true(trailctl_said("2026-11-23T08:00:00Z"));
    assert_true(trailctl_said("normalizer cn-hangzhou: records 42"));
    assert_int_equal(trailctl_run("status --json"), 0);
    assert_int_equal(jsondoc_parse(str_trim(str_from(trailctl_output)), &doc, NULL), 0);
    assert_int_equal(jsondoc_len(jsondoc_get(doc, "workers")), 2);
    worker = jsondoc_at(jsondoc_get(doc, "workers"), 0);
    assert_str_eq(jsondoc_str_or(worker, "worker", STR("")), STR("delivery"));
    assert_str_eq(jsondoc_str_or(worker, "instance", STR("")), STR("eu:2"));
    worker = jsondoc_at(jsondoc_get(doc, "workers"), 1);
    assert_int_equal(jsondoc_i64_or(worker, "lag", -1), 17);
    assert_int_equal(jsondoc_i64_or(worker, "partitions", -1), 4);
}

static void a_worker_without_a_sign_of_life_is_not_seen_until_it_is_forgotten(void **state)
{
    struct state_key key = state_key_worker(STR("history"), STR("cn-hangzhou"), STR("1"));
    (void)state;

    beat("history", "1", 0);
    beat("normalizer", "1", 0);
    STATE_ADD(redis, STR("DEL"), state_key_str(&key)); /* as when it expires */
    flush();
    assert_int_equal(trailctl_run("status"), 0);
    assert_true(trailctl_said("not seen"));
    assert_true(trailctl_said("1 of 2 not seen for 15 s"));
    assert_int_equal(trailctl_run("status --forget"), 0);
    assert_int_equal(trailctl_run("status"), 0);
    assert_false(trailctl_said("not seen"));
    assert_true(trailctl_said("normalizer"));
}

static void a_trail_with_trouble_is_named(void **state)
{
    struct state_key good = state_key_trail_status(STR("T1"), STR("cn-hangzhou")),
                     bad = state_key_trail_status(STR("T2"), STR("cn-hangzhou")),
                     name = state_key_trail(STR("T2"));
    (void)state;

    STATE_ADD(redis, STR("HSET"), state_key_str(&good), STR("error"), STR(""),
              STR("delivered_time"), STR("2026-11-23T08:00:00Z"));
    STATE_ADD(redis, STR("HSET"), state_key_str(&bad), STR("error"), STR("NoSuchBucket \033[2J"),
              STR("error_time"), STR("2026-11-23T08:00:01Z"));
    STATE_ADD(redis, STR("HSET"), state_key_str(&name), STR("name"), STR("audit-trail"),
              STR("account"), STR("123"), STR("bucket"), STR("gone"));
    flush();
    assert_int_equal(trailctl_run("status"), 0);
    assert_true(
        trailctl_said("audit-trail of account 123, in cn-hangzhou, to gone: NoSuchBucket ?[2J"));
    assert_true(trailctl_said("failed 2026-11-23T08:00:01Z, delivered last never"));
    assert_false(trailctl_said("T1"));
}

static void many_keys_are_all_looked_at(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        char id[16];
        struct state_key key;

        (void)snprintf(id, sizeof(id), "T%d", i);
        key = state_key_trail_status(str_from(id), STR("cn-hangzhou"));
        STATE_ADD(redis, STR("HSET"), state_key_str(&key), STR("error"),
                  i == 4321 ? STR("wrong") : STR(""));
    }
    flush();
    assert_int_equal(trailctl_run("status"), 0);
    assert_true(trailctl_said("T4321"));
    assert_false(trailctl_said("T4322"));
}

static void without_redis_it_fails_and_says_so(void **state)
{
    char *url = strdup(getenv("TRAILBUS_REDIS"));
    (void)state;

    setenv("TRAILBUS_REDIS", "redis://127.0.0.1:1/0", 1);
    assert_int_equal(trailctl_run("status"), 1);
    assert_true(trailctl_said("Redis does not answer"));
    setenv("TRAILBUS_REDIS", url, 1);
    free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_redis_knows_of_nothing, empty_redis),
        cmocka_unit_test_setup(with_its_view_it_knows_that_there_is_no_trouble, empty_redis),
        cmocka_unit_test_setup(workers_are_listed_with_lag_and_counters, empty_redis),
        cmocka_unit_test_setup(a_worker_without_a_sign_of_life_is_not_seen_until_it_is_forgotten,
                               empty_redis),
        cmocka_unit_test_setup(a_trail_with_trouble_is_named, empty_redis),
        cmocka_unit_test_setup(many_keys_are_all_looked_at, empty_redis),
        TEST(without_redis_it_fails_and_says_so),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
