/* test_reader.c - a reader that is sent here and there.
 *
 * services: kafka
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bus/bus.h"

#include "test.h"

#define RECORDS 500
#define SEEKS   300
#define WAIT_MS 10000

static struct why why;

static struct bus_settings settings(void)
{
    return (struct bus_settings){str_from(getenv("TRAILBUS_KAFKA")), STR("test")};
}

static struct topic_name make_topic(void)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    struct bus_settings s = settings();

    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, topic.text, 1, 1, topic_settings(TOPIC_RAW), &why), why);
    assert_ok(bus_producer_open(&s, NULL, 0, &producer, &why), why);
    for (int i = 0; i < RECORDS; i++)
        assert_ok(
            bus_producer_write(producer, topic.text, 0, STR("key"), STR("value"), NULL, 0, NULL),
            why);
    assert_ok(bus_producer_flush(producer, WAIT_MS), why);
    return topic;
}

static int64_t first_offset(struct bus_reader *reader)
{
    for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 100) {
        struct bus_input input;

        assert_ok(bus_reader_poll(reader, 100, &input), why);
        if (input.kind == BUS_INPUT_RECORD)
            return input.record.offset;
    }
    return -1;
}

/* As delivery does when a destination comes back: once a stream that is late, some of them before a record came. */
static void a_reader_that_is_sent_elsewhere_again_and_again_reads_from_the_last_place(void **state)
{
    struct topic_name topic = make_topic();
    struct draws draws = draws_begin();
    struct bus_settings s = settings();
    struct bus_position position = {.partition = 0, .offset = RECORDS - 1};
    AUTO(bus_reader_close) struct bus_reader *reader = NULL;

    (void)state;
    assert_ok(bus_reader_open(&s, topic.text, true, &position, 1, &reader, &why), why);
    for (int i = 0; i < SEEKS; i++) {
        struct bus_input input = {0};

        position.offset = (int64_t)draws_next(&draws, RECORDS);
        assert_ok(bus_reader_seek(reader, &position, 1), why);
        if (draws_next(&draws, 10) == 0)
            assert_ok(bus_reader_poll(reader, (int)draws_next(&draws, 20), &input), why);
        if (input.kind == BUS_INPUT_RECORD) /* it was quick */
            assert_int_equal(input.record.offset, position.offset);
        else if (draws_next(&draws, 20) == 0)
            assert_int_equal(first_offset(reader), position.offset);
    }
    assert_ok(bus_reader_seek(reader, &position, 1), why);
    assert_int_equal(first_offset(reader), position.offset);
}

/* librdkafka has the same answer for a partition that has no leader just now, as all have behind a broker that was frozen. */
static void the_ends_of_a_partition_that_is_not_seen_are_asked_for_again(void **state)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    struct bus_settings s = settings();
    int64_t low, high;

    (void)state;
    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_watermarks(admin, topic.text, 0, &low, &high, &why), why);
    assert_int_equal(high, RECORDS);
    assert_int_equal(err_class(bus_admin_watermarks(admin, topic.text, 1, &low, &high, &why)),
                     ERR_CLASS_RETRY);
}

static int count_record(void *arg, const struct bus_record *record)
{
    (void)record;
    ++*(int *)arg;
    return 0;
}

/* As a leader that has just come may say: what was read before was there. */
static void an_end_before_what_was_read_is_no_end(void **state)
{
    struct topic_name topic = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    struct bus_settings s = settings();
    int64_t next = 0;
    int count = 0;

    (void)state;
    assert_ok(bus_read_to_end(&s, topic.text, 0, 1, WAIT_MS, count_record, &count, &next, &why),
              why);
    assert_int_equal(count, RECORDS - 1);
    assert_int_equal(next, RECORDS);
    assert_ok(bus_read_to_end(&s, topic.text, 0, next, WAIT_MS, count_record, &count, &next, &why),
              why);
    assert_int_equal(err_class(bus_read_to_end(&s, topic.text, 0, RECORDS + 1, WAIT_MS,
                                               count_record, &count, &next, &why)),
                     ERR_CLASS_RETRY);
    assert_int_equal(count, RECORDS - 1);
}

/* ---- a disk that changes what it keeps ------------------------------------------------------------------ */

#define KEPT STR("what was written")

static void write_kept(const char *topic)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    struct bus_settings s = settings();
    int64_t next;
    int count = 0;

    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, topic, 1, 1, topic_settings(TOPIC_EVENTS), &why), why);
    assert_ok(bus_producer_open(&s, NULL, 0, &producer, &why), why);
    assert_ok(bus_producer_write(producer, topic, 0, STR("key"), KEPT, NULL, 0, NULL), why);
    assert_ok(bus_producer_flush(producer, WAIT_MS), why);
    assert_ok(bus_read_to_end(&s, topic, 0, 0, WAIT_MS, count_record, &count, &next, &why), why);
    assert_int_equal(count, 1);
}

/* One bit, in the broker's own file. */
static void change_on_disk(const char *topic)
{
    char path[512], bytes[4096];
    struct str kept = KEPT;
    ssize_t len;
    size_t at;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/data/kafka/%s-0/00000000000000000000.log",
                   getenv("TRAILBUS_RUN"), topic);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    len = pread(fd, bytes, sizeof(bytes), 0);
    assert_true(len > 0);
    assert_true(str_find(str_of(bytes, (size_t)len), kept, &at));
    bytes[at] ^= 1;
    assert_int_equal(pwrite(fd, &bytes[at], 1, (off_t)at), 1);
    assert_int_equal(close(fd), 0);
}

static void a_record_that_its_disk_has_changed_is_an_error_and_no_record(void **state)
{
    struct topic_name topic = topic_name(TOPIC_EVENTS, STR("cn-hangzhou"));
    struct bus_settings s = settings();
    int64_t next;
    int count = 0;

    (void)state;
    write_kept(topic.text);
    change_on_disk(topic.text);
    assert_int_equal(
        bus_read_to_end(&s, topic.text, 0, 0, WAIT_MS, count_record, &count, &next, &why), -ERR_IO);
    assert_int_equal(count, 0);
}

TESTS(TEST(a_reader_that_is_sent_elsewhere_again_and_again_reads_from_the_last_place),
      TEST(an_end_before_what_was_read_is_no_end),
      TEST(the_ends_of_a_partition_that_is_not_seen_are_asked_for_again),
      TEST(a_record_that_its_disk_has_changed_is_an_error_and_no_record))
