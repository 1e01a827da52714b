/* test_view.c - Redis' view of the trails is there whole, or not at all.
 *
 * services: redis
 */
#include "view/view.h"

#include <stdio.h>

#include "state/keys.h"

#include "test.h"

#define TRAILS 2500 /* several round trips */

static struct state *redis;
static struct trail_book *book;

static void flush(void)
{
    struct why why = {0};

    assert_ok(state_flush(redis, &why), why);
}

static void add_trail(int n)
{
    AUTO_BUF struct buf json = {0};
    struct trail_version *v = NULL;
    struct why why = {0};

    buf_init(&json, 4096);
    buf_addf(&json,
             "{\"trail\":\"00000000-0000-4000-8000-%012d\",\"version\":1,\"account\":\"1001\","
             "\"name\":\"t%d\",\"homeRegion\":\"cn-hangzhou\",\"regions\":\"All\",\"rw\":\"All\","
             "\"logging\":true,\"destinations\":[{\"number\":1,\"version\":1,\"bucket\":\"audit\","
             "\"prefix\":\"p%d\",\"origins\":[]}],\"offsets\":[]}",
             n, n, n);
    assert_ok(trail_version_parse(buf_str(&json), &v, &why), why);
    assert_int_equal(trail_book_add(book, v, &why), 1);
}

static int setup(void **state)
{
    struct why why = {0};

    (void)state;
    if (state_open(str_from(getenv("TRAILBUS_REDIS")), &redis, &why) < 0)
        fail_msg("%s", why.text);
    STATE_ADD(redis, STR("FLUSHDB"));
    flush();
    book = trail_book_new();
    assert_non_null(book);
    for (int n = 0; n < TRAILS; n++)
        add_trail(n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    STATE_ADD(redis, STR("CONFIG"), STR("SET"), STR("maxmemory"), STR("0"));
    flush();
    trail_book_free(book);
    state_close(redis);
    return 0;
}

static int64_t trails_shown(void)
{
    struct state_key key = state_key_account_trails(STR("1001"));

    STATE_ADD(redis, STR("SCARD"), state_key_str(&key));
    flush();
    return state_reply(redis, 0).integer;
}

static void it_is_filled_whole(void **state)
{
    struct state_key key = state_key_trail(STR("00000000-0000-4000-8000-000000002499"));
    struct why why = {0};

    (void)state;
    assert_true(view_is_missing(redis));
    assert_ok(view_fill(redis, book, STR("1"), 1795392000, &why), why);
    assert_false(view_is_missing(redis));
    assert_int_equal(trails_shown(), TRAILS);
    STATE_ADD(redis, STR("HGET"), state_key_str(&key), STR("name"));
    flush();
    assert_str_eq(state_reply(redis, 0).text, STR("t2499"));
}

static void twice_is_the_same_as_once(void **state)
{
    struct why why = {0};

    (void)state;
    assert_ok(view_fill(redis, book, STR("1"), 1795392000, &why), why);
    assert_ok(view_fill(redis, book, STR("1"), 1795392001, &why), why);
    assert_int_equal(trails_shown(), TRAILS);
}

/* Redis that is full refuses to write, but answers. Nothing of ours may wait in the pipeline then: the next
 * command's answer would be taken for another's. */
static void a_redis_that_refuses_to_write_has_no_epoch(void **state)
{
    struct why why = {0};

    (void)state;
    STATE_ADD(redis, STR("CONFIG"), STR("SET"), STR("maxmemory"), STR("1"));
    flush();
    assert_int_equal(view_fill(redis, book, STR("1"), 1795392000, &why), -ERR_UNAVAILABLE);
    assert_int_equal(state_queued(redis), 0);
    assert_true(view_is_missing(redis));
}

/* Another one empties it: between the mark and the end. */
static void an_epoch_never_stands_without_its_trails(void **state)
{
    struct state_key mark = state_key_epoch_of(STR("1"));
    struct why why = {0};

    (void)state;
    /* What view_fill() finds when Redis is emptied before its last step. */
    STATE_ADD(redis, STR("RENAME"), state_key_str(&mark), STR("tb1:epoch"));
    flush();
    assert_int_equal(state_reply(redis, 0).type, STATE_ERROR);
    assert_true(view_is_missing(redis));
    assert_ok(view_fill(redis, book, STR("1"), 1795392000, &why), why);
    STATE_ADD(redis, STR("EXISTS"), state_key_str(&mark));
    flush();
    assert_int_equal(state_reply(redis, 0).integer, 0);
}

static void a_redis_that_is_away_is_not_taken_for_empty(void **state)
{
    AUTO(state_close) struct state *away = NULL;
    struct why why = {0};

    (void)state;
    assert_ok(state_open(STR("redis://127.0.0.1:1/0"), &away, &why), why);
    assert_false(view_is_missing(away));
    assert_int_equal(view_fill(away, book, STR("1"), 1795392000, &why), -ERR_UNAVAILABLE);
    assert_int_equal(state_queued(away), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_filled_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(twice_is_the_same_as_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_redis_that_refuses_to_write_has_no_epoch, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_epoch_never_stands_without_its_trails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_redis_that_is_away_is_not_taken_for_empty, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
