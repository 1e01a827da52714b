/* test_consumer.c - members of a group: one out of memory when it is given partitions, and one whose handle never closes.
 *
 * services: kafka
 * wraps: calloc rd_kafka_consumer_close
 */
#include <semaphore.h>

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

/* As librdkafka's own: it waits for what never comes, here until the test's end. */
static bool hanging;
static sem_t let_go, closed;

int __real_rd_kafka_consumer_close(void *rk);
int __wrap_rd_kafka_consumer_close(void *rk);

int __wrap_rd_kafka_consumer_close(void *rk)
{
    bool hang = hanging;
    int r;

    hanging = false;
    while (hang && sem_wait(&let_go) < 0)
        ;
    r = __real_rd_kafka_consumer_close(rk);
    if (hang)
        (void)sem_post(&closed);
    return r;
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

static void read_a_record(struct bus_consumer *consumer)
{
    struct bus_position positions[PARTITIONS];
    struct bus_input input;

    assert_int_equal(next(consumer, &input), 0);
    assert_int_equal(input.kind, BUS_INPUT_ASSIGNED);
    assert_int_equal(input.position_count, PARTITIONS);
    for (size_t i = 0; i < PARTITIONS; i++)
        positions[i] = (struct bus_position){input.positions[i].partition, 0};
    assert_int_equal(bus_consumer_assign(consumer, positions, PARTITIONS), 0);
    do
        assert_int_equal(next(consumer, &input), 0);
    while (input.kind == BUS_INPUT_END);
    assert_int_equal(input.kind, BUS_INPUT_RECORD);
}

static void
an_assignment_without_memory_is_an_error_and_comes_again_to_the_next_handle(void **state)
{
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    AUTO(bus_consumer_close) struct bus_consumer *consumer = NULL;
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
    read_a_record(consumer);
}

static void a_handle_that_never_closes_is_left_behind_and_the_next_one_reads_on(void **state)
{
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-beijing"));
    AUTO(bus_consumer_close) struct bus_consumer *consumer = NULL;

    (void)state;
    assert_int_equal(sem_init(&let_go, 0, 0) | sem_init(&closed, 0, 0), 0);
    make_topic(topic.text);
    consumer = join(topic.text);
    read_a_record(consumer);
    hanging = true;
    bus_consumer_close(consumer);
    consumer = join(topic.text);
    read_a_record(consumer);
    assert_int_equal(sem_post(&let_go), 0);
    while (sem_wait(&closed) < 0)
        ;
}

TESTS(TEST(an_assignment_without_memory_is_an_error_and_comes_again_to_the_next_handle),
      TEST(a_handle_that_never_closes_is_left_behind_and_the_next_one_reads_on))
