/* test_partitions.c - a topic with more partitions than our tables hold, as others' tools can make it: whoever works on it
 * stops, and says why. The broker is librdkafka's own, where a thousand partitions cost nothing.
 *
 * links: rdkafka
 */
#include <stdio.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "bus/stage.h"

#include "test.h"

#define WAIT_MS 120000

static struct why why;
static rd_kafka_t *owner;
static rd_kafka_mock_cluster_t *cluster;

static int setup(void **state)
{
    char text[256];

    (void)state;
    owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    cluster = owner ? rd_kafka_mock_cluster_new(owner, 1) : NULL;
    return cluster ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(owner);
    return 0;
}

static struct bus_settings settings(void)
{
    return (struct bus_settings){str_from(rd_kafka_mock_cluster_bootstraps(cluster)), STR("test")};
}

static void make_topic(const char *name, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(cluster, name, partitions, 1),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void a_topic_of_more_partitions_than_there_can_be_is_refused(void **state)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_settings s = settings();
    int32_t count;

    (void)state;
    make_topic("most", BUS_PARTITIONS_MAX);
    make_topic("more", BUS_PARTITIONS_MAX + 1);
    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_partitions(admin, "most", &count, &why), why);
    assert_int_equal(count, BUS_PARTITIONS_MAX);
    assert_int_equal(bus_admin_partitions(admin, "more", &count, &why), -ERR_CONFIG);
    assert_str_eq(str_from(why.text),
                  STR("topic more has 1025 partitions, and there cannot be more than 1024"));
}

static int generation(void *arg, struct str *ret, struct why *w)
{
    (void)arg, (void)w;
    *ret = STR("first");
    return 0;
}

static int assigned(void *arg, const struct bus_position *positions, size_t count, struct why *w)
{
    int *assignments = arg;

    (void)positions, (void)count, (void)w;
    ++*assignments;
    return 0;
}

static int take(void *arg, const struct bus_record *record, struct why *w)
{
    (void)arg, (void)record, (void)w;
    return 0;
}

static void settled(void *arg)
{
    (void)arg;
}

static void a_stage_of_such_a_topic_ends_and_works_on_none_of_it(void **state)
{
    static const struct tally_kinds kinds = {{"passed"}, 1};
    struct bus_stage_settings s = {settings(), "more", "group", "group.1", &kinds};
    int assignments = 0, r = 0;
    struct bus_stage_owner calls = {&assignments, generation, assigned, take, settled, settled};
    AUTO(bus_stage_close) struct bus_stage *stage = NULL;
    int64_t until_ms = bus_clock_ms() + WAIT_MS;

    (void)state;
    make_topic("more", BUS_PARTITIONS_MAX + 1);
    assert_ok(bus_stage_open(&s, &calls, &stage, &why), why);
    do {
        r = bus_stage_step(stage, 100, &why);
    } while ((r == 0 || err_class(r) == ERR_CLASS_RETRY) && bus_clock_ms() < until_ms);
    assert_int_equal(r, -ERR_CONFIG);
    assert_int_equal(assignments, 0);
}

TESTS(cmocka_unit_test_setup_teardown(a_topic_of_more_partitions_than_there_can_be_is_refused,
                                      setup, teardown),
      cmocka_unit_test_setup_teardown(a_stage_of_such_a_topic_ends_and_works_on_none_of_it, setup,
                                      teardown))
