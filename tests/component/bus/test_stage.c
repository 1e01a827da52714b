/* test_stage.c - a stage passes each record on once, though its owner gives up again and again, and though its group's
 * coordinator says an old offset (docs/decisions/0004).
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
    bool refuses[RECORDS];
    int assignments, committed, pending;
};

static struct bus_settings settings(const char *instance)
{
    return (struct bus_settings){str_from(getenv("TRAILBUS_KAFKA")), str_from(instance)};
}

static void make_topics(const char *from, const char *to, int partitions)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_settings s = settings("test");

    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, from, partitions, 1, topic_settings(TOPIC_RAW), &why), why);
    assert_ok(bus_admin_create(admin, to, 1, 1, topic_settings(TOPIC_EVENTS), &why), why);
}

static void publish(const char *topic, int first, int end)
{
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    struct bus_settings s = settings("test");
    char key[16];

    assert_ok(bus_producer_open(&s, NULL, 0, &producer, &why), why);
    for (int i = first; i < end; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_ok(bus_producer_write(producer, topic, BUS_BY_KEY, str_from(key), str_from(key),
                                     NULL, 0, NULL),
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
    if (o->refuses[number]) {
        o->refuses[number] = false;
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

static void open_stage(struct owner *owner, const struct bus_stage_settings *s)
{
    struct bus_stage_owner calls = {owner, assigned, take, committed, aborted};

    assert_ok(bus_stage_open(s, &calls, &owner->stage, &why), why);
}

/* Errors of class retry have been dealt with. */
static int step(struct owner *owner)
{
    int r = bus_stage_step(owner->stage, 100, &why);

    if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
        assert_ok(r, why);
    return r;
}

static void step_until_committed(struct owner *owner, int count)
{
    int64_t until_ms = bus_clock_ms() + WAIT_MS;

    while (owner->committed < count && bus_clock_ms() < until_ms)
        (void)step(owner);
    assert_int_equal(owner->committed, count);
}

static void assert_once(const char *topic, int first, int end)
{
    struct bus_settings s = settings("test");
    int times[RECORDS] = {0};
    int64_t next;

    assert_ok(bus_read_to_end(&s, topic, 0, 0, WAIT_MS, note_record, times, &next, &why), why);
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(times[i], first <= i && i < end);
}

static void a_stage_that_gives_up_again_and_again_passes_each_record_once(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-hangzhou"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-hangzhou"));
    struct owner owner = {.to = to.text};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.test", "trailbus.test.1",
                                   &kinds};

    (void)state;
    make_topics(from.text, to.text, PARTITIONS);
    publish(from.text, 0, RECORDS);
    for (int i = 7; i < RECORDS; i += RECORDS / GIVE_UPS)
        owner.refuses[i] = true;
    open_stage(&owner, &s);
    step_until_committed(&owner, RECORDS);
    assert_true(owner.assignments > GIVE_UPS);
    assert_once(to.text, 0, RECORDS);
    bus_stage_close(owner.stage);
}

/* ---- a group that is said to stand elsewhere ------------------------------------------------------------- */

/* Another member of the stage's group, without a partition, since there is one and names decide; it may commit whatever it
 * likes. What it commits once the stage has been told is what the stage was not told. */
struct other {
    struct bus_consumer *consumer;
    bool member;
};

static void serve(struct other *other)
{
    struct bus_input input;

    assert_ok(bus_consumer_poll(other->consumer, 50, &input), why);
    if (input.kind == BUS_INPUT_ASSIGNED) {
        assert_ok(bus_consumer_assign(other->consumer, NULL, 0), why);
        other->member = input.position_count == 0;
    } else if (input.kind == BUS_INPUT_REVOKED || input.kind == BUS_INPUT_LOST) {
        (void)bus_consumer_unassign(other->consumer);
        other->member = false;
    }
}

static void commit_place(struct other *other, int64_t offset)
{
    struct bus_position position = {0, offset, STR_NONE};

    assert_ok(bus_consumer_commit(other->consumer, &position, 1, true), why);
}

static void join(struct other *other, struct owner *owner, const struct bus_stage_settings *s)
{
    struct bus_settings elsewhere = settings("zz");
    struct bus_stage_view view = {0};
    int64_t until_ms = bus_clock_ms() + WAIT_MS;

    open_stage(owner, s);
    assert_ok(bus_consumer_open(&elsewhere, s->topic, s->group, &other->consumer, &why), why);
    while (!(view.assigned && other->member) && bus_clock_ms() < until_ms) {
        serve(other);
        (void)step(owner);
        bus_stage_view(owner->stage, &view);
    }
    assert_true(view.assigned && other->member);
}

static void a_stage_commits_nothing_when_it_was_told_another_place_than_its_groups(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-beijing"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-beijing"));
    struct owner owner = {.to = to.text};
    struct other other = {0};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.told", "trailbus.told.1",
                                   &kinds};
    int before;

    (void)state;
    make_topics(from.text, to.text, 1);
    join(&other, &owner, &s);
    commit_place(&other, 5);
    before = owner.assignments;
    publish(from.text, 0, 20);
    step_until_committed(&owner, 15);
    assert_true(owner.assignments > before);
    assert_once(to.text, 5, 20);
    bus_consumer_close(other.consumer);
    bus_stage_close(owner.stage);
}

static void a_stage_waits_while_its_group_is_said_to_stand_below_what_it_has_committed(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-shanghai"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-shanghai"));
    struct owner owner = {.to = to.text};
    struct other other = {0};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.below",
                                   "trailbus.below.1", &kinds};
    int64_t until_ms = bus_clock_ms() + WAIT_MS;
    int waits = 0, before;

    (void)state;
    make_topics(from.text, to.text, 1);
    join(&other, &owner, &s);
    publish(from.text, 0, 20);
    step_until_committed(&owner, 20);
    commit_place(&other, 3);
    before = owner.assignments;
    owner.refuses[20] = true;
    publish(from.text, 20, 21);
    while (waits < 3 && bus_clock_ms() < until_ms)
        waits += step(&owner) == -ERR_UNAVAILABLE;
    assert_int_equal(waits, 3);
    assert_int_equal(owner.assignments, before);
    commit_place(&other, 20);
    step_until_committed(&owner, 21);
    assert_once(to.text, 0, 21);
    bus_consumer_close(other.consumer);
    bus_stage_close(owner.stage);
}

TESTS(TEST(a_stage_that_gives_up_again_and_again_passes_each_record_once),
      TEST(a_stage_commits_nothing_when_it_was_told_another_place_than_its_groups),
      TEST(a_stage_waits_while_its_group_is_said_to_stand_below_what_it_has_committed))
