/* test_stage.c - a stage passes each record on once, though its owner gives up again and again, and though its group's
 * coordinator says an old offset (docs/decisions/0006).
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
    struct str generation;
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
    struct topic_name positions = topic_name(TOPIC_POSITIONS, STR_NONE);
    int r;

    assert_ok(bus_admin_open(&s, &admin, &why), why);
    assert_ok(bus_admin_create(admin, from, partitions, 1, topic_settings(TOPIC_RAW), &why), why);
    assert_ok(bus_admin_create(admin, to, 1, 1, topic_settings(TOPIC_EVENTS), &why), why);
    r = bus_admin_create(admin, positions.text, 1, 1, topic_settings(TOPIC_POSITIONS), &why);
    assert_true(r == 0 || r == -ERR_EXISTS);
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

static int generation(void *arg, struct str *ret, struct why *w)
{
    (void)w;
    *ret = ((struct owner *)arg)->generation;
    return 0;
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
    struct bus_stage_owner calls = {owner, generation, assigned, take, committed, aborted};

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
    struct owner owner = {.to = to.text, .generation = STR("first")};
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

/* Commits for a group what it likes, as its only member. */
static void move_group(const struct bus_stage_settings *s, int64_t offset)
{
    AUTO(bus_consumer_close) struct bus_consumer *consumer = NULL;
    struct bus_settings same = s->bus;
    struct bus_position position = {0, offset};
    struct bus_input input = {0};
    int64_t until_ms = bus_clock_ms() + WAIT_MS;

    assert_ok(bus_consumer_open(&same, s->topic, s->group, &consumer, &why), why);
    while (input.kind != BUS_INPUT_ASSIGNED && bus_clock_ms() < until_ms)
        assert_ok(bus_consumer_poll(consumer, 50, &input), why);
    assert_int_equal(input.kind, BUS_INPUT_ASSIGNED);
    assert_ok(bus_consumer_assign(consumer, NULL, 0), why);
    assert_ok(bus_consumer_commit(consumer, &position, 1, true), why);
}

static int64_t group_stands(const struct bus_stage_settings *s)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int64_t offset;

    assert_ok(bus_admin_open(&s->bus, &admin, &why), why);
    assert_ok(bus_admin_committed(admin, s->group, s->topic, 1, &offset, &why), why);
    return offset;
}

/* Ends behind them. */
static void pass_twenty(struct owner *owner, const struct bus_stage_settings *s)
{
    make_topics(s->topic, owner->to, 1);
    publish(s->topic, 0, 20);
    open_stage(owner, s);
    step_until_committed(owner, 20);
    bus_stage_close(owner->stage);
}

static void a_stage_goes_on_where_its_log_says_whatever_its_group_says(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-beijing"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-beijing"));
    struct owner owner = {.to = to.text, .generation = STR("first")};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.told", "trailbus.told.1",
                                   &kinds};
    int64_t until_ms = bus_clock_ms() + WAIT_MS;

    (void)state;
    pass_twenty(&owner, &s);
    move_group(&s, 3);
    assert_int_equal(group_stands(&s), 3);
    open_stage(&owner, &s);
    while (group_stands(&s) != 20 && bus_clock_ms() < until_ms) /* others look at it */
        (void)step(&owner);
    assert_int_equal(group_stands(&s), 20);
    publish(from.text, 20, 25);
    step_until_committed(&owner, 25);
    assert_once(to.text, 0, 25);
    bus_stage_close(owner.stage);
}

static void
a_stage_whose_log_knows_nothing_of_a_partition_begins_where_its_group_stands(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-shanghai"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-shanghai"));
    struct owner owner = {.to = to.text, .generation = STR("first")};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.new", "trailbus.new.1",
                                   &kinds};

    (void)state;
    make_topics(from.text, to.text, 1);
    publish(from.text, 0, 20);
    move_group(&s, 5);
    open_stage(&owner, &s);
    step_until_committed(&owner, 15);
    assert_once(to.text, 5, 20);
    bus_stage_close(owner.stage);
}

static void a_position_in_another_life_of_the_topic_says_nothing(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-shenzhen"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-shenzhen"));
    struct owner before = {.to = to.text, .generation = STR("first")};
    struct owner after = {.to = to.text, .generation = STR("second")};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.anew", "trailbus.anew.1",
                                   &kinds};

    (void)state;
    pass_twenty(&before, &s);
    open_stage(&after, &s);
    step_until_committed(&after, 20);
    bus_stage_close(after.stage);
}

static void a_position_that_was_taken_back_counts_no_more(void **state)
{
    struct topic_name from = topic_name(TOPIC_RAW, STR("cn-chengdu"));
    struct topic_name to = topic_name(TOPIC_EVENTS, STR("cn-chengdu"));
    struct topic_name positions = topic_name(TOPIC_POSITIONS, STR_NONE);
    struct owner owner = {.to = to.text, .generation = STR("first")};
    struct bus_stage_settings s = {settings("test"), from.text, "trailbus.back", "trailbus.back.1",
                                   &kinds};
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    struct str key = STR("trailbus.back/raw.cn-chengdu/0");

    (void)state;
    pass_twenty(&owner, &s);
    assert_ok(bus_producer_open(&s.bus, NULL, 0, &producer, &why), why);
    assert_ok(bus_producer_write(producer, positions.text, 0, key, STR_NONE, NULL, 0, NULL), why);
    assert_ok(bus_producer_flush(producer, WAIT_MS), why);
    move_group(&s, 18);
    open_stage(&owner, &s);
    step_until_committed(&owner, 22);
    bus_stage_close(owner.stage);
}

TESTS(TEST(a_stage_that_gives_up_again_and_again_passes_each_record_once),
      TEST(a_stage_goes_on_where_its_log_says_whatever_its_group_says),
      TEST(a_stage_whose_log_knows_nothing_of_a_partition_begins_where_its_group_stands),
      TEST(a_position_in_another_life_of_the_topic_says_nothing),
      TEST(a_position_that_was_taken_back_counts_no_more))
