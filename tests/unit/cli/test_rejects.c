/* test_rejects.c - names of rejected records, choosing among them, sets of offsets. */
#include "cli/rejects.h"

#include "test.h"

static void a_name_is_read_as_it_is_written(void **state)
{
    struct topic_name topic = topic_name(TOPIC_REJECTED, STR("cn-north-2-gov-1"));
    char text[REJECT_ID_SIZE];
    struct reject_id id;
    (void)state;

    reject_id_format(&topic, 11, INT64_MAX, text);
    assert_string_equal(text, "rejected.cn-north-2-gov-1-11-9223372036854775807");
    assert_true(reject_id_parse(str_from(text), &id));
    assert_str_eq(id.region, STR("cn-north-2-gov-1"));
    assert_int_equal(id.partition, 11);
    assert_int_equal(id.offset, INT64_MAX);
}

static void other_texts_are_no_names(void **state)
{
    static const char *const table[] = {"",
                                        "-",
                                        "--",
                                        "1-2",
                                        "rejected",
                                        "rejected-1-2",
                                        "rejected.-1-2",
                                        "rejected.cn-hangzhou",
                                        "rejected.cn-hangzhou-1",
                                        "rejected.cn-hangzhou-1-",
                                        "rejected.cn-hangzhou--1-x",
                                        "rejected.cn-hangzhou-1-2 ",
                                        "rejected.cn-hangzhou-1-0x2",
                                        "rejected.cn-hangzhou-1-9223372036854775808",
                                        "rejected.cn-hangzhou-1024-1",
                                        "rejected.CN-1-2",
                                        "raw.cn-hangzhou-1-2",
                                        "global-1-2"};
    struct reject_id id;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (reject_id_parse(str_from(table[i]), &id))
            fail_msg("\"%s\" is taken for a name", table[i]);
}

static void a_filter_takes_what_it_does_not_name(void **state)
{
    struct reject_filter any = REJECT_ANY, f = REJECT_ANY;
    (void)state;

    assert_true(reject_matches(&any, STR(""), STR(""), 0));
    assert_true(reject_matches(&any, STR("malformed"), STR("1"), INT64_MAX - 1));
    f.reason = STR("malformed");
    assert_true(reject_matches(&f, STR("malformed"), STR("1"), 5));
    assert_false(reject_matches(&f, STR("malforme"), STR("1"), 5));
    f.account = STR("1");
    assert_true(reject_matches(&f, STR("malformed"), STR("1"), 5));
    assert_false(reject_matches(&f, STR("malformed"), STR("2"), 5));
    f.since_ms = 5;
    f.until_ms = 7;
    assert_false(reject_matches(&f, STR("malformed"), STR("1"), 4));
    assert_true(reject_matches(&f, STR("malformed"), STR("1"), 5));
    assert_true(reject_matches(&f, STR("malformed"), STR("1"), 6));
    assert_false(reject_matches(&f, STR("malformed"), STR("1"), 7));
}

static struct offsets of(const int64_t *at, size_t count)
{
    struct offsets o = {0};

    for (size_t i = 0; i < count; i++)
        assert_int_equal(offsets_add(&o, at[i]), 0);
    offsets_sort(&o);
    return o;
}

static void assert_offsets(const struct offsets *got, const int64_t *want, size_t count)
{
    assert_int_equal(got->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got->at[i], want[i]);
}

static void offsets_are_a_set(void **state)
{
    struct offsets o = of((const int64_t[]){9, 3, 3, 7, 9, 1}, 6), none = {0};
    struct offsets taken = of((const int64_t[]){0, 3, 9, 10}, 4);
    (void)state;

    assert_offsets(&o, (const int64_t[]){1, 3, 7, 9}, 4);
    assert_true(offsets_has(&o, 7));
    assert_false(offsets_has(&o, 8));
    assert_false(offsets_has(&none, 0));
    offsets_sort(&none);
    offsets_subtract(&none, &o);
    offsets_subtract(&o, &none);
    offsets_newest(&o, 4);
    assert_offsets(&o, (const int64_t[]){1, 3, 7, 9}, 4);
    offsets_newest(&o, 3);
    assert_offsets(&o, (const int64_t[]){3, 7, 9}, 3);
    offsets_subtract(&o, &taken);
    assert_offsets(&o, (const int64_t[]){7}, 1);
    offsets_newest(&o, 0);
    assert_int_equal(o.count, 0);
    offsets_done(&o);
    offsets_done(&taken);
}

static void there_may_be_many(void **state)
{
    struct offsets o = {0};
    (void)state;

    for (int64_t i = 0; i < 10000; i++)
        assert_int_equal(offsets_add(&o, (i * 7919) % 10000), 0);
    offsets_sort(&o);
    assert_int_equal(o.count, 10000);
    assert_int_equal(o.at[9999], 9999);
    assert_true(offsets_has(&o, 5000));
    offsets_done(&o);
}

TESTS(TEST(a_name_is_read_as_it_is_written), TEST(other_texts_are_no_names),
      TEST(a_filter_takes_what_it_does_not_name), TEST(offsets_are_a_set), TEST(there_may_be_many))
