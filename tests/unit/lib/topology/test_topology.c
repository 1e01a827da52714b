/* Topics, regions and groups by name. */
#include "topology/topology.h"

#include "test.h"

static void a_region_is_lower_case_letters_digits_and_dashes(void **state)
{
    static const char *const good[] = {"cn-hangzhou", "a", "7", "-",
                                       "0123456789012345678901234567890123456789"};
    static const char *const bad[] = {
        "",    "CN",  "a_b",      "a.b",
        "a b", "a/b", "\xC3\xBC", "01234567890123456789012345678901234567890"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(region_valid(str_from(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(region_valid(str_from(bad[i])));
    assert_false(region_valid(STR("a\0")));
}

static void a_topic_s_name_says_its_kind_and_region(void **state)
{
    static const struct str region =
        STR("0123456789012345678901234567890123456789"); /* the longest */
    enum topic_kind kind;
    struct str got;

    (void)state;
    for (int k = 0; k < TOPIC_KIND_COUNT; k++) {
        struct topic_name name = topic_name((enum topic_kind)k, region);

        assert_true(topic_parse(str_from(name.text), &kind, &got));
        assert_int_equal(kind, k);
        assert_str_eq(got, topic_settings(kind)->regional ? region : STR(""));
    }
}

static void a_name_of_nobody_s_is_no_topic(void **state)
{
    static const char *const bad[] = {"",
                                      "raw",
                                      "raw.",
                                      "raw.A",
                                      "raw.a.b",
                                      "events",
                                      "global.a",
                                      "control.",
                                      "Raw.a",
                                      ".a",
                                      "__consumer_offsets",
                                      "rawx.a"};
    enum topic_kind kind;
    struct str region;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (topic_parse(str_from(bad[i]), &kind, &region))
            fail_msg("taken: %s", bad[i]);
}

static void only_control_and_positions_are_compacted_and_kept_for_ever(void **state)
{
    (void)state;
    for (int k = 0; k < TOPIC_KIND_COUNT; k++) {
        const struct topic_settings *s = topic_settings((enum topic_kind)k);

        assert_int_equal(s->compacted, k == TOPIC_CONTROL || k == TOPIC_POSITIONS);
        assert_int_equal(s->retention_ms < 0, s->compacted);
    }
    /* A rejected record is the whole raw one, and headers. */
    assert_true(topic_settings(TOPIC_REJECTED)->record_bytes_max >
                topic_settings(TOPIC_RAW)->record_bytes_max);
}

static void a_group_is_named_after_worker_and_region(void **state)
{
    char name[GROUP_NAME_SIZE];

    (void)state;
    group_name(STR("history"), STR("cn-hangzhou"), name);
    assert_string_equal(name, "trailbus.history.cn-hangzhou");
    group_name(STR("router"), STR(""), name);
    assert_string_equal(name, "trailbus.router");
}

TESTS(TEST(a_region_is_lower_case_letters_digits_and_dashes),
      TEST(a_topic_s_name_says_its_kind_and_region), TEST(a_name_of_nobody_s_is_no_topic),
      TEST(only_control_and_positions_are_compacted_and_kept_for_ever),
      TEST(a_group_is_named_after_worker_and_region))
