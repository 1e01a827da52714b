/* test_consumer.c - a member of a group that is out of memory when it is given partitions.
 *
 * services: kafka
 * wraps: calloc
 */
#include "bus/bus.h"

#include "test.h"

#define PARTITIONS 3
#define WAIT_MS    120000

static struct why why;
static bool failing; /* the next table of positions */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    if (failing && size == sizeof(struct bus_position)) {
        failing = false;
        return NULL;
    }
    return __real_calloc(count, size);
}

static struct bus_settings settings(void)
{
    return (struct bus_settings){str_from(getenv("TRAILBUS_KAFKA")), STR("test")};
}

static void make_topic(const char *topic)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    struct bus_settings s = settings();

    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, topic, PARTITIONS, 1, topic_settings(TOPIC_RAW), &why), why);
    assert_ok(bus_producer_open(&s, NULL, 0, &producer, &why), why);
    assert_ok(bus_producer_write(producer, topic, 0, STR("key"), STR("value"), NULL, 0, NULL), why);
    assert_ok(bus_producer_flush(producer, WAIT_MS), why);
}

static struct bus_consumer *join(const char *topic)
{
    struct bus_consumer *consumer = NULL;
    struct bus_settings s = settings();

    assert_ok(bus_consumer_open(&s, topic, "trailbus.test", &consumer, &why), why);
    return consumer;
}

/* Until it has something to say. */
static int next(struct bus_consumer *consumer, struct bus_input *ret)
{
    int64_t until_ms = bus_clock_ms() + WAIT_MS;
    int r;

    do
        r = bus_consumer_poll(consumer, 100, ret);
    while ((r == -ERR_UNAVAILABLE || (r == 0 && ret->kind == BUS_INPUT_NONE)) &&
           bus_clock_ms() < until_ms);
    return r;
}

static void
an_assignment_without_memory_is_an_error_and_comes_again_to_the_next_handle(void **state)
{
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    AUTO(bus_consumer_close) struct bus_consumer *consumer = NULL;
    struct bus_position positions[PARTITIONS];
    struct bus_input input;

    (void)state;
    make_topic(topic.text);
    consumer = join(topic.text);
    failing = true;
    assert_int_equal(next(consumer, &input), -ERR_NOMEM);
    assert_false(failing);
    assert_int_equal(next(consumer, &input), -ERR_NOMEM); /* and stays so */
    bus_consumer_close(consumer);
    consumer = join(topic.text);
    assert_int_equal(next(consumer, &input), 0);
    assert_int_equal(input.kind, BUS_INPUT_ASSIGNED);
    assert_int_equal(input.position_count, PARTITIONS);
    for (size_t i = 0; i < PARTITIONS; i++)
        positions[i] = (struct bus_position){input.positions[i].partition, 0, STR_NONE};
    assert_int_equal(bus_consumer_assign(consumer, positions, PARTITIONS), 0);
    do
        assert_int_equal(next(consumer, &input), 0);
    while (input.kind == BUS_INPUT_END);
    assert_int_equal(input.kind, BUS_INPUT_RECORD);
}

TESTS(TEST(an_assignment_without_memory_is_an_error_and_comes_again_to_the_next_handle))
