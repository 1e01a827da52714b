/* test_settings.c - profiles, and which address serves a region. */
#include "cli/settings.h"

#include "test.h"

static struct why why;

static int parse(const char *text, struct profile *ret)
{
    char *copy = str_dup(str_from(text));

    assert_non_null(copy);
    return profile_parse(copy, ret, &why);
}

static void a_profile_is_lines_of_assignments(void **state)
{
    struct profile p;
    (void)state;

    assert_int_equal(parse("# mine\n\nTRAILBUS_API=127.0.0.1:1\r\nA=\"x y\"\nB='z='\nC=", &p), 0);
    assert_int_equal(p.count, 4);
    assert_str_eq(p.lines[0].name, STR("TRAILBUS_API"));
    assert_str_eq(p.lines[0].value, STR("127.0.0.1:1"));
    assert_str_eq(p.lines[1].value, STR("x y"));
    assert_str_eq(p.lines[2].value, STR("z="));
    assert_str_eq(p.lines[3].value, STR(""));
    profile_done(&p);
}

static void a_line_that_is_no_assignment_is_named(void **state)
{
    static const char *const wrong[] = {"A=1\nnonsense", "A=1\n=1", "A=1\n1A=1", "A=1\nA B=1",
                                        "A=1\nB=\"x"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct profile p;

        assert_int_equal(parse(wrong[i], &p), -ERR_INVALID);
        assert_non_null(strstr(why.text, "line 2"));
        profile_done(&p);
    }
}

static struct settings with_profile(const char *text, bool first)
{
    struct settings s = {.first = first};

    assert_int_equal(clearenv(), 0);
    assert_int_equal(parse(text, &s.profile), 0);
    return s;
}

static void the_environment_goes_before_the_default_profile_only(void **state)
{
    struct settings s = with_profile("TEST_A=profile\nTEST_B=profile", false);
    (void)state;

    setenv("TEST_A", "environment", 1);
    assert_str_eq(settings_get(&s, "TEST_A"), STR("environment"));
    assert_str_eq(settings_get(&s, "TEST_B"), STR("profile"));
    assert_str_eq(settings_get(&s, "TEST_C"), STR(""));
    s.first = true;
    assert_str_eq(settings_get(&s, "TEST_A"), STR("profile"));
    settings_done(&s);
}

static void a_region_has_an_address_of_its_own(void **state)
{
    struct settings s = with_profile("TRAILBUS_REGIONS=cn-hangzhou ap-southeast-1\n"
                                     "TRAILBUS_API=a:1\nTRAILBUS_API_AP_SOUTHEAST_1=b:2",
                                     true);
    struct str address;
    (void)state;

    assert_int_equal(settings_api(&s, STR(""), &address, &why), 0);
    assert_str_eq(address, STR("a:1"));
    assert_int_equal(settings_api(&s, STR("cn-hangzhou"), &address, &why), 0);
    assert_str_eq(address, STR("a:1"));
    assert_int_equal(settings_api(&s, STR("ap-southeast-1"), &address, &why), 0);
    assert_str_eq(address, STR("b:2"));
    assert_int_equal(settings_api(&s, STR("cn-beijing"), &address, &why), -ERR_CONFIG);
    assert_int_equal(settings_api(&s, STR("no region"), &address, &why), -ERR_CONFIG);
    settings_done(&s);
}

TESTS(TEST(a_profile_is_lines_of_assignments), TEST(a_line_that_is_no_assignment_is_named),
      TEST(the_environment_goes_before_the_default_profile_only),
      TEST(a_region_has_an_address_of_its_own))
