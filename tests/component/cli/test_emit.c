/* test_emit.c - `trailctl emit`: what it says was acknowledged is in Kafka, and nothing else ends with 0.
 *
 * services: kafka
 */
#include <stdio.h>
#include <unistd.h>

#include "bus/bus.h"

#include "trailctl.h"

#define EVENTS 5000

static int emit(const char *input, const char *words)
{
    char line[4096];

    (void)snprintf(line, sizeof(line), "printf '%%s' '%s' | %s emit %s 2>&1", input,
                   trailctl_program, words);
    return trailctl_shell(line);
}

static int setup(void **state)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_settings bus = {str_from(getenv("TRAILBUS_KAFKA")), STR("test")};

    (void)state;
    trailctl_find();
    assert_int_equal(bus_admin_open(&bus, &admin, NULL), 0);
    assert_int_equal(
        bus_admin_create(admin, "raw.cn-hangzhou", 2, 1, topic_settings(TOPIC_RAW), NULL), 0);
    return 0;
}

static int64_t records(void)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_settings bus = {str_from(getenv("TRAILBUS_KAFKA")), STR("test")};
    int64_t count = 0, low, high;

    assert_int_equal(bus_admin_open(&bus, &admin, NULL), 0);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(bus_admin_watermarks(admin, "raw.cn-hangzhou", i, &low, &high, NULL), 0);
        count += high - low;
    }
    return count;
}

static void events_are_read_in_all_three_forms(void **state)
{
    int64_t before = records();
    (void)state;

    assert_int_equal(emit("{\"eventName\":\"a\"}\n{\"eventName\":\"b\"}\n", ""), 0);
    assert_string_equal(trailctl_output, "2 of 2 events acknowledged\n");
    assert_int_equal(emit("{\n  \"eventName\": \"a\"\n}\n", "-"), 0);
    assert_int_equal(emit("[{\"eventName\":\"a\"},{\"eventName\":\"b\"}]", ""), 0);
    assert_int_equal(records() - before, 5);
    assert_int_equal(emit("", ""), 0);
}

static void what_cannot_be_published_is_named_and_the_rest_goes_on(void **state)
{
    int64_t before = records();
    (void)state;

    assert_int_equal(emit("{\"eventName\":\"a\"}\nnonsense\n{\"a\":}\n{\"eventName\":\"b\"}\n", ""),
                     1);
    assert_non_null(strstr(trailctl_output, "line 2: "));
    assert_non_null(strstr(trailctl_output, "line 3: "));
    assert_non_null(strstr(trailctl_output, "2 of 4 events acknowledged"));
    assert_int_equal(records() - before, 2);
}

static void a_file_of_many_events_is_published_whole(void **state)
{
    char path[] = TEMPORARY("/tmp/trailctl"), line[640];
    FILE *file = fdopen(mkstemp(path), "w");
    int64_t before = records();
    (void)state;

    assert_non_null(file);
    for (int i = 0; i < EVENTS; i++)
        (void)fprintf(file, "{\"eventName\":\"a\",\"eventId\":\"%d\"}\n", i);
    (void)fclose(file);
    (void)snprintf(line, sizeof(line), "%s emit %s 2>&1", trailctl_program, path);
    assert_int_equal(trailctl_shell(line), 0);
    (void)unlink(path);
    assert_int_equal(records() - before, EVENTS);
    assert_int_equal(trailctl_shell(line), 1); /* the file is gone */
}

/* Kafka acknowledges while standard input stays open: a pipe's events are not held back. */
static void events_of_a_pipe_go_out_as_they_come(void **state)
{
    char line[640];
    int64_t before = records();
    FILE *pipe;
    (void)state;

    (void)snprintf(line, sizeof(line), "%s emit", trailctl_program);
    pipe = popen(line, "we");
    assert_non_null(pipe);
    (void)fputs("{\"eventName\":\"a\"}\n", pipe);
    (void)fflush(pipe);
    for (int i = 0; i < 3000 && records() == before; i++)
        (void)usleep(10000);
    assert_int_equal(records() - before, 1);
    assert_int_equal(pclose(pipe), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_are_read_in_all_three_forms),
        TEST(what_cannot_be_published_is_named_and_the_rest_goes_on),
        TEST(a_file_of_many_events_is_published_whole),
        TEST(events_of_a_pipe_go_out_as_they_come),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
