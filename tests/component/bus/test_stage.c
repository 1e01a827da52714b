/* test_stage.c - a stage whose owner gives up again and again still passes each record on once.
 *
 * services: kafka
 */
#include <stdio.h>

#include "bus/stage.h"

#include "test.h"

#define RECORDS    300
#define GIVE_UPS   12 /* one every so many records */
#define WAIT_MS    120000
#define PARTITIONS 3

static struct why why;
static const struct tally_kinds kinds = {{"passed"}, 1};

/* An owner that refuses some records when it meets them first. */
struct owner {
    struct bus_stage *stage;
    const char *to;
    bool refused[RECORDS];
    int assignments, committed, pending;
};

static struct bus_settings settings(void)
{
    return (struct bus_settings){str_from(getenv("TRAILBUS_KAFKA")), STR("test")};
}

static void make_topics(const char *from, const char *to)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    struct bus_settings s = settings();
    char key[16];

    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, from, PARTITIONS, 1, topic_settings(TOPIC_RAW), &why), why);
    assert_ok(bus_admin_create(admin, to, 1, 1, topic_settings(TOPIC_EVENTS), &why), why);
    assert_ok(bus_producer_open(&s, NULL, 0, &producer, &why), why);
    for (int i = 0; i < RECORDS; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_ok(bus_producer_write(producer, from, BUS_BY_KEY, str_from(key), str_from(key), NULL,
                                     0, NULL),
                  why);
    }
    assert_ok(bus_producer_flush(producer, WAIT_MS), why);
}

static int assigned(void *arg, const struct bus_position *positions, size_t count, struct why *w)
{
    struct owner *o = arg;

    (void)positions, (void)count, (void)w;
    o->assignments++;
    return 0;
}

static int take(void *arg, const struct bus_record *record, struct why *w)
{
    struct owner *o = arg;
    int64_t number;

    assert_true(str_to_i64(record->value, &number));
    if (number % (RECORDS / GIVE_UPS) == 7 && !o->refused[number]) {
        o->refused[number] = true;
        return why_set(w, -ERR_ABORTED, "not now");
    }
    o->pending++;
    bus_stage_count(o->stage, record->partition, 0);
    return bus_stage_write(o->stage, o->to, record->key, record->value, NULL, 0);
}

static void committed(void *arg)
{
    struct owner *o = arg;

    o->committed += o->pending;
    o->pending = 0;
}

static void aborted(void *arg)
{
    struct owner *o = arg;

    o->pending = 0;
}

static int note_record(void *arg, const struct bus_record *record)
{
    int *times = arg;
    int64_t number;

    assert_true(str_to_i64(record->value, &number));
    times[number]++;
    return 0;
}

static void a_stage_that_gives_up_again_and_again_passes_each_record_once(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-hangzhou"));
    AUTO(bus_stage_close) struct bus_stage *stage = NULL;
    struct owner owner = {.to = to.text};
    struct bus_stage_settings s = {settings(), from.text, "trailbus.test", "trailbus.test.1",
                                   &kinds};
    int64_t until_ms = bus_clock_ms() + WAIT_MS, next;
    int times[RECORDS] = {0};

    (void)state;
    make_topics(from.text, to.text);
    assert_ok(bus_stage_open(&s,
                             &(struct bus_stage_owner){&owner, assigned, take, committed, aborted},
                             &stage, &why),
              why);
    owner.stage = stage;
    while (owner.committed < RECORDS && bus_clock_ms() < until_ms) {
        int r = bus_stage_step(stage, 100, &why);

        if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
            assert_ok(r, why);
    }
    assert_int_equal(owner.committed, RECORDS);
    assert_true(owner.assignments > GIVE_UPS);
    assert_ok(bus_read_to_end(&s.bus, to.text, 0, 0, WAIT_MS, note_record, times, &next, &why),
              why);
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(times[i], 1);
}

TESTS(TEST(a_stage_that_gives_up_again_and_again_passes_each_record_once))
