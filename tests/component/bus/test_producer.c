/* test_producer.c - a producer that is closed at any moment of a transaction.
 *
 * services: kafka
 */
#include <unistd.h>

#include "bus/bus.h"
#include "test.h"

#define PARTITIONS 16
#define ROUNDS     100
#define WAIT_MS    30000

static struct why why;

static void write_to_all(struct bus_producer *producer, const char *topic)
{
    assert_ok(bus_begin(producer, &why), why);
    for (int32_t p = 0; p < PARTITIONS; p++)
        assert_ok(bus_producer_write(producer, topic, p, STR("k"), STR("v"), NULL, 0, NULL), why);
}

/* A change of a trail that meets a partition which its handle has not heard of gives up between its writes. librdkafka
 * 2.0.2 then aborted the process now and then: partitions were registered while the handle ended. */
static void a_producer_may_be_closed_while_its_partitions_join_a_transaction(void **state)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_settings s = {str_from(getenv("TRAILBUS_KAFKA")), STR("test")};
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    struct draws draws = draws_begin();

    (void)state;
    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, topic.text, PARTITIONS, 1, topic_settings(TOPIC_RAW), &why),
              why);
    for (int i = 0; i < ROUNDS; i++) {
        AUTO(bus_producer_close) struct bus_producer *producer = NULL;

        assert_ok(bus_producer_open(&s, "closed", 0, &producer, &why), why);
        assert_ok(bus_transactions_init(producer, WAIT_MS, &why), why);
        write_to_all(producer, topic.text);
        assert_ok(bus_commit(producer, WAIT_MS, &why), why); /* it knows all leaders now */
        write_to_all(producer, topic.text);
        if (draws_next(&draws, 2))
            (void)usleep((useconds_t)draws_next(&draws, 3000));
    }
}

TESTS(TEST(a_producer_may_be_closed_while_its_partitions_join_a_transaction))
