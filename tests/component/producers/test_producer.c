/* test_producer.c - libtrailbus.so before a real Kafka: answering, silent, away.
 *
 * services: kafka
 * links: bus event
 *
 * Each test writes to a region, that is a topic, of its own.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus.h"
#include "event/raw_event.h"
#include "trailbus/producer.h"

#include "test.h"

#define PARTITIONS 3
#define EVENTS_MAX 4000
#define WAIT_MS    30000

#define must(result, why)                                                                          \
    do {                                                                                           \
        int must_ = (int)(result);                                                                 \
        if (must_ != 0)                                                                            \
            fail_msg("%d: %s", must_, (why));                                                      \
    } while (0)

/* ---- what came of events, as callbacks tell and as the topic has it ------------------------------- */

struct outcomes {
    unsigned char results[EVENTS_MAX]; /* enum trailbus_result + 1; 0: not told yet */
    size_t told;
    struct trailbus_delivery last;
    char id[64], error[TRAILBUS_ERROR_SIZE];
};

static void on_delivery(void *context, void *opaque, const struct trailbus_delivery *delivery)
{
    struct outcomes *o = context;
    size_t n = (uintptr_t)opaque;

    assert_in_range(n, 0, EVENTS_MAX - 1);
    assert_int_equal(o->results[n], 0); /* told once */
    o->results[n] = (unsigned char)(delivery->result + 1);
    o->told++;
    o->last = *delivery;
    snprintf(o->id, sizeof(o->id), "%s", delivery->event_id);
    snprintf(o->error, sizeof(o->error), "%s", delivery->error);
}

static void all_were(const struct outcomes *o, size_t count, enum trailbus_result result)
{
    assert_int_equal(o->told, count);
    for (size_t n = 0; n < count; n++)
        assert_int_equal(o->results[n], result + 1);
}

struct found {
    unsigned times[EVENTS_MAX];
    size_t count;
    struct buf last; /* the last record's JSON */
    struct json json;
};

static struct str member(struct found *f, const char *name)
{
    uint32_t value = json_member(&f->json, 0, str_from(name));

    return value ? json_raw(&f->json, value) : STR("");
}

static int note(void *arg, const struct bus_record *record)
{
    struct found *f = arg;
    struct raw_event_texts texts;
    struct why why = {0};
    struct str type;
    uint64_t n;

    assert_true(bus_record_header(record, HEADER_CONTENT_TYPE, &type));
    assert_str_eq(type, STR(CONTENT_TYPE_AVRO));
    assert_true(raw_event_is_avro(record->value));
    buf_reset(&f->last);
    must(raw_event_render(record->value, &f->last, &texts, &why), why.text);
    must(json_scan(&f->json, buf_str(&f->last), &why), why.text);
    if (record->key.len)
        assert_int_equal(record->partition, bus_partition_of(record->key, PARTITIONS));
    assert_true(member(f, "recipientAccountId").len == 0 ||
                str_eq(json_slice(&f->json, json_member(&f->json, 0, STR("recipientAccountId"))),
                       record->key));
    if (str_to_u64(member(f, "n"), &n)) {
        assert_in_range(n, 0, EVENTS_MAX - 1);
        f->times[n]++;
    }
    f->count++;
    return 0;
}

/* ---- a topic, a handle ---------------------------------------------------------------------------- */

static struct bus_settings bus;

static void make_topic(const char *region)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct topic_name name = topic_name(TOPIC_RAW, str_from(region));
    struct why why = {0};

    must(bus_admin_open(&bus, &admin, &why), why.text);
    must(bus_admin_create(admin, name.text, PARTITIONS, 1, topic_settings(TOPIC_RAW), &why),
         why.text);
}

static void read_topic(const char *region, struct found *f)
{
    struct topic_name name = topic_name(TOPIC_RAW, str_from(region));
    struct why why = {0};
    int64_t next;

    buf_init(&f->last, (size_t)8 * RAW_EVENT_SIZE_MAX);
    json_init(&f->json);
    for (int32_t p = 0; p < PARTITIONS; p++)
        must(bus_read_to_end(&bus, name.text, p, 0, WAIT_MS, note, f, &next, &why), why.text);
}

static void found_done(struct found *f)
{
    buf_done(&f->last);
    json_done(&f->json);
}

static void has_each_once(const char *region, size_t count)
{
    struct found *f = calloc(1, sizeof(*f));

    read_topic(region, f);
    assert_int_equal(f->count, count);
    for (size_t n = 0; n < count; n++)
        assert_int_equal(f->times[n], 1);
    found_done(f);
    free(f);
}

static struct trailbus_producer *open_at(const char *brokers, const char *region,
                                         struct outcomes *outcomes, size_t events_max,
                                         size_t bytes_max, int delivery_timeout_ms)
{
    struct trailbus_options options = {
        .size = sizeof(options),
        .brokers = brokers,
        .region = region,
        .on_delivery = on_delivery,
        .context = outcomes,
        .events_max = events_max,
        .bytes_max = bytes_max,
        .delivery_timeout_ms = delivery_timeout_ms,
    };
    struct trailbus_producer *producer = NULL;
    char error[TRAILBUS_ERROR_SIZE] = "";

    must(trailbus_producer_open(&options, &producer, error, sizeof(error)), error);
    return producer;
}

static struct trailbus_producer *open_in(const char *region, struct outcomes *outcomes)
{
    make_topic(region);
    return open_at(getenv("TRAILBUS_KAFKA"), region, outcomes, 0, 0, 0);
}

static enum trailbus_result publish(struct trailbus_producer *producer, const char *json, size_t n,
                                    char error[TRAILBUS_ERROR_SIZE])
{
    return trailbus_producer_publish(producer, json, strlen(json), (void *)(uintptr_t)n, error,
                                     TRAILBUS_ERROR_SIZE);
}

static enum trailbus_result publish_number(struct trailbus_producer *producer, size_t n)
{
    char json[256], error[TRAILBUS_ERROR_SIZE];

    snprintf(json, sizeof(json),
             "{\"eventId\":\"id-%zu\",\"eventName\":\"StopInstance\",\"serviceName\":\"Ecs\","
             "\"recipientAccountId\":\"%zu\",\"n\":%zu}",
             n, 1000 + n % 20, n);
    return publish(producer, json, n, error);
}

/* Brokers that nobody is: a port held and not listened on. */
static int closed_port(char ret[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    must(bind(fd, (struct sockaddr *)&address, len), "bind");
    must(getsockname(fd, (struct sockaddr *)&address, &len), "getsockname");
    snprintf(ret, 32, "127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static pid_t kafka_pid(void)
{
    char path[512];
    FILE *file;
    int pid;

    snprintf(path, sizeof(path), "%s/kafka.pid", getenv("TRAILBUS_RUN"));
    file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    return pid;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void acknowledged_events_are_in_the_topic_once_each(void **state)
{
    static struct outcomes o;
    struct trailbus_stats stats = {.size = sizeof(stats)};
    struct trailbus_producer *p = open_in("once", &o);

    (void)state;
    for (size_t n = 0; n < EVENTS_MAX; n++)
        assert_int_equal(publish_number(p, n), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_flush(p, WAIT_MS), TRAILBUS_OK);
    trailbus_producer_stats(p, &stats);
    assert_int_equal(stats.accepted, EVENTS_MAX);
    assert_int_equal(stats.acknowledged, EVENTS_MAX);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.waiting_bytes, 0);
    assert_int_equal(trailbus_producer_close(p, 0), 0);
    all_were(&o, EVENTS_MAX, TRAILBUS_OK);
    has_each_once("once", EVENTS_MAX);
}

static void the_key_is_the_owner_and_any_partition_takes_an_event_without_one(void **state)
{
    static struct outcomes o;
    struct trailbus_producer *p = open_in("keys", &o);
    struct topic_name name = topic_name(TOPIC_RAW, STR("keys"));
    static const struct {
        const char *json, *key;
    } events[] = {
        {"{\"recipientAccountId\":\"1\",\"userIdentity\":{\"accountId\":\"2\"}}", "1"},
        {"{\"recipientAccountId\":\"\",\"userIdentity\":{\"accountId\":\"2\"}}", "2"},
        {"{\"userIdentity\":{\"accountId\":\"\\u0033\"}}", "3"},
        {"{\"ResourceOwnerID\":\"4\",\"EventName\":\"Release\",\"EventProduct\":\"Ecs\"}", "4"},
        {"{\"userIdentity\":\"nobody\"}", ""},
        {"{}", ""},
    };
    char error[TRAILBUS_ERROR_SIZE];

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(events); n++) {
        must(publish(p, events[n].json, n, error), error);
        must(trailbus_producer_flush(p, WAIT_MS), "flush");
        if (*events[n].key) {
            assert_int_equal(o.last.partition,
                             bus_partition_of(str_from(events[n].key), PARTITIONS));
        }
    }
    assert_int_equal(trailbus_producer_close(p, 0), 0);
    assert_string_equal(name.text, "raw.keys");
}

static void an_event_without_an_id_is_given_one_and_told_it(void **state)
{
    static const char *const events[] = {
        "{\"eventName\":\"A\"}",
        "{\"eventName\":\"A\",\"eventId\":null}",
        " {\"eventId\":\"\",\"eventName\":\"A\"}",
        "{ }",
    };
    char error[TRAILBUS_ERROR_SIZE], region[16];

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(events); n++) {
        struct outcomes *o = calloc(1, sizeof(*o));
        struct found *f = calloc(1, sizeof(*f));
        struct trailbus_producer *p;
        struct str id;

        snprintf(region, sizeof(region), "ids-%zu", n);
        p = open_in(region, o);
        must(publish(p, events[n], 0, error), error);
        assert_int_equal(trailbus_producer_close(p, WAIT_MS), 0);
        read_topic(region, f);
        assert_int_equal(f->count, 1);
        id = member(f, "eventId");
        assert_int_equal(id.len, 36 + 2);
        assert_str_eq(str_of(id.at + 1, 36), str_from(o->id));
        found_done(f);
        free(f);
        free(o);
    }
}

static void what_is_no_json_object_is_refused_at_once(void **state)
{
    static const char *const bad[] = {"", "nonsense", "[]", "1", "{\"a\":1,\"a\":2}", "{} {}"};
    static struct outcomes o;
    struct trailbus_producer *p = open_in("bad", &o);
    struct trailbus_stats stats = {.size = sizeof(stats)};
    char error[TRAILBUS_ERROR_SIZE], *large = malloc(2 * TRAILBUS_EVENT_SIZE_MAX);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        error[0] = '\0';
        assert_int_equal(publish(p, bad[i], 0, error), TRAILBUS_INVALID);
        assert_true(strlen(error) > 10);
    }
    memset(large, ' ', 2 * TRAILBUS_EVENT_SIZE_MAX);
    memcpy(large, "{\"x\":\"", 6);
    memset(large + 6, 'x', TRAILBUS_EVENT_SIZE_MAX);
    memcpy(large + 6 + TRAILBUS_EVENT_SIZE_MAX, "\"}", 3);
    assert_int_equal(publish(p, large, 0, error), TRAILBUS_TOO_LARGE);
    free(large);
    trailbus_producer_stats(p, &stats);
    assert_int_equal(stats.refused, ARRAY_LEN(bad) + 1);
    assert_int_equal(stats.accepted, 0);
    assert_int_equal(trailbus_producer_close(p, 0), 0);
    assert_int_equal(o.told, 0);
    has_each_once("bad", 0);
}

static void a_full_handle_says_so_and_loses_nothing(void **state)
{
    static struct outcomes o;
    struct trailbus_producer *p;
    size_t accepted = 0;

    (void)state;
    make_topic("full");
    p = open_at(getenv("TRAILBUS_KAFKA"), "full", &o, 10, 0, 0);
    for (size_t n = 0; n < 100; n++) { /* outcomes are not served, so that it stays full */
        enum trailbus_result result = publish_number(p, accepted);

        assert_int_equal(result, n < 10 ? TRAILBUS_OK : TRAILBUS_FULL);
        accepted += result == TRAILBUS_OK;
    }
    while (accepted < 1000) {
        if (publish_number(p, accepted) == TRAILBUS_OK)
            accepted++;
        else
            (void)trailbus_producer_poll(p, 100);
    }
    assert_int_equal(trailbus_producer_close(p, WAIT_MS), 0);
    all_were(&o, 1000, TRAILBUS_OK);
    has_each_once("full", 1000);
}

static void memory_is_bounded_by_bytes_too(void **state)
{
    static struct outcomes o;
    struct trailbus_stats stats = {.size = sizeof(stats)};
    struct trailbus_producer *p;
    size_t accepted = 0;

    (void)state;
    make_topic("bytes");
    p = open_at(getenv("TRAILBUS_KAFKA"), "bytes", &o, 0, 100000, 0);
    while (publish_number(p, accepted) == TRAILBUS_OK)
        accepted++;
    trailbus_producer_stats(p, &stats);
    assert_in_range(stats.waiting_bytes, 90000, 100000);
    assert_int_equal(stats.waiting, accepted);
    assert_int_equal(stats.full, 1);
    assert_int_equal(trailbus_producer_close(p, WAIT_MS), 0);
    has_each_once("bytes", accepted);
}

static void a_silent_kafka_delays_and_loses_nothing(void **state)
{
    static struct outcomes o;
    struct trailbus_producer *p = open_in("silent", &o);

    (void)state;
    assert_int_equal(publish_number(p, 0), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_flush(p, WAIT_MS), TRAILBUS_OK);
    assert_int_equal(kill(kafka_pid(), SIGSTOP), 0);
    for (size_t n = 1; n < 1000; n++)
        assert_int_equal(publish_number(p, n), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_flush(p, 500), TRAILBUS_TIMEOUT);
    assert_int_equal(o.told, 1);
    assert_int_equal(kill(kafka_pid(), SIGCONT), 0);
    assert_int_equal(trailbus_producer_flush(p, WAIT_MS), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_close(p, 0), 0);
    all_were(&o, 1000, TRAILBUS_OK);
    has_each_once("silent", 1000);
}

static void events_end_as_timeout_when_kafka_stays_away(void **state)
{
    static struct outcomes o;
    char brokers[32];
    int fd = closed_port(brokers);
    struct trailbus_producer *p = open_at(brokers, "away", &o, 0, 0, 1000);
    int64_t from_ms = now_ms();

    (void)state;
    for (size_t n = 0; n < 100; n++)
        assert_int_equal(publish_number(p, n), TRAILBUS_OK);
    (void)trailbus_producer_poll(p, 0);
    assert_int_equal(o.told, 0);
    assert_int_equal(trailbus_producer_flush(p, -1), TRAILBUS_OK);
    assert_true(now_ms() - from_ms >= 1000);
    all_were(&o, 100, TRAILBUS_TIMEOUT);
    assert_non_null(strstr(o.error, "1000 ms"));
    assert_string_equal(o.id, "id-99");
    assert_int_equal(trailbus_producer_close(p, 0), 0);
    close(fd);
}

static void close_tells_what_it_gave_up(void **state)
{
    static struct outcomes o;
    char brokers[32];
    int fd = closed_port(brokers);
    struct trailbus_producer *p = open_at(brokers, "given-up", &o, 0, 0, 0);

    (void)state;
    for (size_t n = 0; n < 5; n++)
        assert_int_equal(publish_number(p, n), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_close(p, 100), 5);
    all_were(&o, 5, TRAILBUS_TIMEOUT);
    assert_non_null(strstr(o.error, "closed"));
    close(fd);
}

static void close_gives_up_what_a_silent_kafka_holds(void **state)
{
    static struct outcomes o;
    struct trailbus_producer *p = open_in("held", &o);

    (void)state;
    assert_int_equal(publish_number(p, 0), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_flush(p, WAIT_MS), TRAILBUS_OK);
    assert_int_equal(kill(kafka_pid(), SIGSTOP), 0);
    for (size_t n = 1; n < 50; n++)
        assert_int_equal(publish_number(p, n), TRAILBUS_OK);
    assert_int_equal(trailbus_producer_close(p, 500), 49);
    assert_int_equal(kill(kafka_pid(), SIGCONT), 0);
    assert_int_equal(o.told, 50);
    assert_int_equal(o.results[49], TRAILBUS_TIMEOUT + 1);
}

struct writer {
    struct trailbus_producer *producer;
    size_t from, to;
};

static void *write_some(void *arg)
{
    const struct writer *w = arg;

    for (size_t n = w->from; n < w->to;) {
        if (publish_number(w->producer, n) == TRAILBUS_OK)
            n++;
        else
            (void)trailbus_producer_poll(w->producer, 10);
    }
    return NULL;
}

static void threads_share_a_handle(void **state)
{
    enum { THREADS = 4 };
    static struct outcomes o;
    struct writer writers[THREADS];
    pthread_t threads[THREADS];
    struct trailbus_producer *p;

    (void)state;
    make_topic("threads");
    p = open_at(getenv("TRAILBUS_KAFKA"), "threads", &o, 100, 0, 0);
    for (size_t i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){p, i * EVENTS_MAX / THREADS, (i + 1) * EVENTS_MAX / THREADS};
        must(pthread_create(&threads[i], NULL, write_some, &writers[i]), "pthread_create");
    }
    for (size_t i = 0; i < THREADS; i++)
        must(pthread_join(threads[i], NULL), "pthread_join");
    assert_int_equal(trailbus_producer_close(p, WAIT_MS), 0);
    all_were(&o, EVENTS_MAX, TRAILBUS_OK);
    has_each_once("threads", EVENTS_MAX);
}

static void an_event_can_be_given_by_its_members(void **state)
{
    static struct outcomes o;
    struct found *f = calloc(1, sizeof(*f));
    struct trailbus_producer *p = open_in("members", &o);
    struct trailbus_event event = {
        .size = sizeof(event),
        .event_name = "StopInstance",
        .service_name = "Ecs",
        .account_id = "1000",
        .user_name = "al\"ice",
        .request_parameters = "{\"Force\":true}",
    };
    char error[TRAILBUS_ERROR_SIZE];
    int64_t seconds;

    (void)state;
    must(trailbus_producer_publish_event(p, &event, NULL, error, sizeof(error)), error);
    assert_int_equal(trailbus_producer_close(p, WAIT_MS), 0);
    all_were(&o, 1, TRAILBUS_OK);
    read_topic("members", f);
    assert_int_equal(f->count, 1);
    assert_str_eq(member(f, "eventName"), STR("\"StopInstance\""));
    assert_str_eq(member(f, "userIdentity"), STR("{\"userName\":\"al\\\"ice\"}"));
    assert_str_eq(member(f, "requestParameters"), STR("{\"Force\":true}"));
    assert_true(
        time_parse(json_slice(&f->json, json_member(&f->json, 0, STR("eventTime"))), &seconds));
    assert_in_range(seconds, time(NULL) - 60, time(NULL));
    found_done(f);
    free(f);
}

static void options_that_cannot_be_meant_are_told(void **state)
{
    struct trailbus_options good = {
        .size = sizeof(good), .brokers = "127.0.0.1:9", .region = "cn-hangzhou"};
    struct trailbus_options bad[6];
    struct {
        struct trailbus_options known;
        int more;
    } newer = {good, 1};
    struct trailbus_producer *p = NULL;
    char error[TRAILBUS_ERROR_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = good;
    bad[0].brokers = NULL;
    bad[1].region = "Not A Region";
    bad[2].bytes_max = (size_t)TRAILBUS_BYTES_MAX + 1;
    bad[3].events_max = TRAILBUS_EVENTS_MAX + 1;
    bad[4].delivery_timeout_ms = -1;
    bad[5].size = 0;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        error[0] = '\0';
        assert_int_equal(trailbus_producer_open(&bad[i], &p, error, sizeof(error)),
                         TRAILBUS_BAD_OPTIONS);
        assert_true(error[0] != '\0');
        assert_null(p);
    }
    newer.known.size = sizeof(newer);
    assert_int_equal(trailbus_producer_open(&newer.known, &p, NULL, 0), TRAILBUS_BAD_OPTIONS);
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(getenv("TRAILBUS_KAFKA"));
    bus = (struct bus_settings){str_from(getenv("TRAILBUS_KAFKA")), STR("test")};
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_events_are_in_the_topic_once_each),
        cmocka_unit_test(the_key_is_the_owner_and_any_partition_takes_an_event_without_one),
        cmocka_unit_test(an_event_without_an_id_is_given_one_and_told_it),
        cmocka_unit_test(what_is_no_json_object_is_refused_at_once),
        cmocka_unit_test(a_full_handle_says_so_and_loses_nothing),
        cmocka_unit_test(memory_is_bounded_by_bytes_too),
        cmocka_unit_test(a_silent_kafka_delays_and_loses_nothing),
        cmocka_unit_test(events_end_as_timeout_when_kafka_stays_away),
        cmocka_unit_test(close_tells_what_it_gave_up),
        cmocka_unit_test(close_gives_up_what_a_silent_kafka_holds),
        cmocka_unit_test(threads_share_a_handle),
        cmocka_unit_test(an_event_can_be_given_by_its_members),
        cmocka_unit_test(options_that_cannot_be_meant_are_told),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
