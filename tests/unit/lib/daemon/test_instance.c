/* test_instance.c - how --region and --instance name a process. */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/daemon.h"

#include "test.h"

static struct {
    char region[80], instance[160];
} seen;

static int run(struct daemon *daemon, void *config)
{
    (void)config;
    (void)snprintf(seen.region, sizeof(seen.region), STR_FMT, STR_ARG(daemon_region(daemon)));
    (void)snprintf(seen.instance, sizeof(seen.instance), STR_FMT, STR_ARG(daemon_instance(daemon)));
    return 0;
}

/* Exit code of a program called with these words. */
static int call(bool regional, const char *words)
{
    static const struct config_section none[] = {SECTIONS_END};
    const struct daemon_program program = {.name = "p",
                                           .worker = "p",
                                           .summary = "",
                                           .regional = regional,
                                           .sections = none,
                                           .run = run};
    char text[256], file[] = TEMPORARY("/tmp/trailbus"), *argv[16] = {"p", "--config", file};
    int argc = 3, fd = mkstemp(file), r;

    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(text, sizeof(text), "%s", words);
    for (char *rest = NULL, *word = strtok_r(text, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    memset(&seen, 0, sizeof(seen));
    optind = 0; /* getopt(3) begins anew */
    r = daemon_main(argc, argv, &program);
    (void)unlink(file);
    return r;
}

static void named(const char *words, const char *region, const char *instance)
{
    assert_int_equal(call(true, words), 0);
    assert_string_equal(seen.region, region);
    assert_string_equal(seen.instance, instance);
}

static void a_region_and_an_instance_are_what_they_say(void **state)
{
    (void)state;
    named("--region cn-hangzhou", "cn-hangzhou", "1");
    named("--region cn-hangzhou --instance b", "cn-hangzhou", "b");
}

static void behind_the_dot_stands_the_instance(void **state)
{
    (void)state;
    named("--region cn-hangzhou.2", "cn-hangzhou", "2");
    named("--instance host --region cn-hangzhou.2", "cn-hangzhou", "host-2");
    named("--region cn-hangzhou.2 --instance host", "cn-hangzhou", "host-2");
    named("--region cn-hangzhou.2 --region cn-beijing", "cn-beijing", "1");
}

static void other_forms_are_refused(void **state)
{
    static const char *const words[] = {
        "",
        "--region .2",
        "--region cn-hangzhou.",
        "--region cn-hangzhou.2.3",
        "--region cn-hangzhou.a/b",
        "--region cn/hangzhou",
        "--region cn-hangzhou --instance a.b",
        ("--region cn-hangzhou.2 --instance "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_int_equal(call(true, words[i]), 2);
    assert_int_equal(call(false, "--region cn-hangzhou"), 2);
    assert_int_equal(call(false, "--instance host"), 0);
    assert_string_equal(seen.instance, "host");
}

TESTS(TEST(a_region_and_an_instance_are_what_they_say), TEST(behind_the_dot_stands_the_instance),
      TEST(other_forms_are_refused))
