/* The book of all trails: which settings decide at an offset, and what contradicts the log. */
#include <stdio.h>

#include "trail/trail.h"

#include "test.h"

#define TOPIC STR("events.cn-hangzhou")
#define GEN   STR("G1")

static struct trail_book *book;
static struct why why;

static int setup(void **state)
{
    (void)state;
    book = trail_book_new();
    return book ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    trail_book_free(book);
    return 0;
}

/* `offsets`: of the change records in the partitions of TOPIC, as "10,20"; NULL: not known. */
static struct trail_version *version(const char *id, const char *account, int64_t number,
                                     const char *offsets)
{
    struct trail_version *v = NULL;
    AUTO_BUF struct buf text = {0};

    buf_init(&text, 4096);
    buf_addf(
        &text,
        "{\"trail\":\"%s\",\"version\":%lld,\"account\":\"%s\",\"name\":\"n\",\"homeRegion\":\"h\","
        "\"regions\":\"All\",\"rw\":\"All\",\"destinations\":[{\"number\":1,\"version\":1,"
        "\"bucket\":\"b\"}]",
        id, (long long)number, account);
    if (offsets)
        buf_addf(&text,
                 ",\"offsets\":[{\"topic\":\"events.cn-hangzhou\",\"generation\":\"G1\","
                 "\"offsets\":[%s]}]",
                 offsets);
    buf_add_byte(&text, '}');
    assert_ok(trail_version_parse(buf_str(&text), &v, &why), why);
    return v;
}

static int add(const char *id, int64_t number, const char *offsets)
{
    return trail_book_add(book, version(id, "1", number, offsets), &why);
}

static int change(const char *id, int64_t number, int32_t partition, int64_t offset)
{
    return trail_book_change(book, version(id, "1", number, NULL),
                             &(struct trail_log){TOPIC, GEN, partition}, 2, offset, &why);
}

/* The version in effect there; 0: none. */
static int64_t in_effect(const char *id, int32_t partition, int64_t offset)
{
    const struct trail *trail = trail_book_find(book, str_from(id));
    const struct trail_version *v =
        trail_at(trail, &(struct trail_log){TOPIC, GEN, partition}, offset);

    return v ? v->version : 0;
}

static void the_last_change_before_an_offset_decides(void **state)
{
    (void)state;
    assert_int_equal(add("T", 2, "20,200"), 1); /* in any order */
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(add("T", 3, "21,300"), 1);
    assert_int_equal(in_effect("T", 0, 0), 0);
    assert_int_equal(in_effect("T", 0, 10), 0);
    assert_int_equal(in_effect("T", 0, 11), 1);
    assert_int_equal(in_effect("T", 0, 20), 1);
    assert_int_equal(in_effect("T", 0, 21), 2);
    assert_int_equal(in_effect("T", 0, 22), 3);
    assert_int_equal(in_effect("T", 0, INT64_MAX), 3);
    assert_int_equal(in_effect("T", 1, 22), 0);
    assert_int_equal(in_effect("T", 1, 299), 2);
    assert_int_equal(trail_latest(trail_book_find(book, STR("T")))->version, 3);
    assert_int_equal(trail_version_count(trail_book_find(book, STR("T"))), 3);
    assert_int_equal(trail_version_at(trail_book_find(book, STR("T")), 0)->version, 1);
}

static void in_a_partition_added_later_a_version_holds_from_the_start(void **state)
{
    (void)state;
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(in_effect("T", 2, 0), 1);
    assert_int_equal(add("T", 2, "20,200,5"), 1);
    assert_int_equal(in_effect("T", 2, 5), 1);
    assert_int_equal(in_effect("T", 2, 6), 2);
    assert_int_equal(in_effect("T", 3, 0), 2);
}

static void a_change_met_in_the_log_counts_from_there_on(void **state)
{
    (void)state;
    assert_int_equal(change("T", 1, 0, 10), 1);
    assert_int_equal(in_effect("T", 0, 10), 0);
    assert_int_equal(in_effect("T", 0, 11), 1);
    assert_int_equal(in_effect("T", 1, 11), 0); /* not seen there yet */
    assert_int_equal(change("T", 1, 1, 7), 1);
    assert_int_equal(in_effect("T", 1, 8), 1);
    assert_int_equal(change("T", 2, 0, 30), 1);
    assert_int_equal(in_effect("T", 0, 31), 2);
    assert_int_equal(in_effect("T", 1, 31), 1);
}

static void a_change_met_in_two_topics_counts_in_both(void **state)
{
    const struct trail_log global = {STR("global"), STR("G2"), 0};
    (void)state;
    assert_int_equal(add("T", 1, "0,0"), 1);
    assert_int_equal(change("T", 2, 0, 10), 1);
    assert_int_equal(trail_book_change(book, version("T", "1", 2, NULL), &global, 1, 30, &why), 1);
    assert_int_equal(in_effect("T", 0, 10), 1);
    assert_int_equal(in_effect("T", 0, 11), 2);
    assert_int_equal(trail_at(trail_book_find(book, STR("T")), &global, 31)->version, 2);
}

static void the_same_change_again_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(change("T", 1, 0, 10), 1);
    assert_int_equal(change("T", 1, 0, 10), 0);
    assert_int_equal(add("T", 1, "10,-2"), 0);
    assert_int_equal(change("T", 1, 0, 10), 0);
    assert_int_equal(in_effect("T", 0, 11), 1);
}

static void control_fills_in_what_was_not_seen(void **state)
{
    (void)state;
    assert_int_equal(change("T", 1, 0, 10), 1);
    assert_int_equal(add("T", 1, "10,100"), 0);
    assert_int_equal(in_effect("T", 1, 100), 0);
    assert_int_equal(in_effect("T", 1, 101), 1);
}

static void a_change_elsewhere_than_it_was_known_is_a_conflict(void **state)
{
    (void)state;
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(change("T", 1, 0, 11), -ERR_CONFLICT);
    assert_int_equal(add("T", 1, "12,100"), -ERR_CONFLICT);
    assert_int_equal(in_effect("T", 0, 11), 1);
}

static void changes_lie_in_the_order_of_their_versions(void **state)
{
    (void)state;
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(add("T", 3, "30,300"), 1);
    assert_int_equal(change("T", 2, 0, 40), -ERR_CONFLICT);
    assert_int_equal(change("T", 2, 1, 99), -ERR_CONFLICT);
    assert_int_equal(change("T", 4, 0, 5), -ERR_CONFLICT);
    assert_non_null(strstr(why.text, "version 4"));
    assert_int_equal(change("T", 4, 0, 31), 1);
}

static void a_partition_beyond_the_topic_s_is_a_conflict(void **state)
{
    (void)state;
    assert_int_equal(change("T", 1, 2, 5), -ERR_CONFLICT);
}

static void a_trail_stays_its_account_s(void **state)
{
    (void)state;
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(trail_book_add(book, version("T", "2", 2, NULL), &why), -ERR_CONFLICT);
    assert_int_equal(trail_version_count(trail_book_find(book, STR("T"))), 1);
}

static bool origin(const char *id, struct str generation, int32_t partition, int64_t *ret)
{
    return trail_origin(trail_book_find(book, str_from(id)), 1,
                        &(struct trail_log){TOPIC, generation, partition}, ret);
}

static void a_change_is_the_origin_of_the_chain_that_it_begins(void **state)
{
    int64_t first;

    (void)state;
    assert_int_equal(change("T", 1, 0, 10), 1);
    assert_true(origin("T", GEN, 0, &first) && first == 11);
    assert_false(origin("T", GEN, 1, &first));
}

/* The change is met by one who knows of two partitions, while the third was added before it. */
static void a_change_may_lie_in_more_partitions_than_were_known(void **state)
{
    int64_t first;

    (void)state;
    assert_int_equal(change("T", 1, 0, 10), 1);
    assert_int_equal(add("T", 1, "10,100,5"), 0);
    assert_int_equal(in_effect("T", 2, 5), 0);
    assert_int_equal(in_effect("T", 2, 6), 1);
    assert_true(origin("T", GEN, 2, &first) && first == 6);
    assert_int_equal(in_effect("T", 3, 0), 1); /* added behind it */
    assert_int_equal(trail_book_change(book, version("T", "1", 1, NULL),
                                       &(struct trail_log){TOPIC, GEN, 0}, 4, 10, &why),
                     0); /* read again by one who knows of the fourth */
    assert_int_equal(in_effect("T", 3, 0), 1);
    assert_int_equal(change("T", 2, 1, 200), 1);
    assert_int_equal(add("T", 2, "20,200,50"), 0);
    assert_int_equal(in_effect("T", 2, 51), 2);
}

/* Of the trail T, in a log of generation G2. */
static int64_t in_effect_anew(int64_t offset)
{
    const struct trail_version *v =
        trail_at(trail_book_find(book, STR("T")), &(struct trail_log){TOPIC, STR("G2"), 0}, offset);

    return v ? v->version : 0;
}

static void in_a_log_that_began_later_the_last_version_holds_from_the_start(void **state)
{
    struct trail_log log = {TOPIC, STR("G2"), 0};
    int64_t first = -1;

    (void)state;
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(add("T", 2, "20,200"), 1);
    assert_int_equal(in_effect_anew(0), 2);
    assert_true(origin("T", STR("G2"), 0, &first) && first == 0);

    assert_int_equal(trail_book_change(book, version("T", "1", 3, NULL), &log, 2, 5, &why), 1);
    assert_int_equal(in_effect_anew(5), 2);
    assert_int_equal(in_effect_anew(6), 3);
    assert_int_equal(in_effect("T", 0, 21), 2); /* the old log is as it was */
}

static void what_never_concerned_a_log_is_never_in_effect_there(void **state)
{
    struct trail_log log = {TOPIC, STR("G2"), 0};
    const struct trail *trail;
    int64_t first;

    (void)state;
    assert_int_equal(add("T", 1, "10,100"), 1);
    assert_int_equal(trail_book_change(book, version("T", "1", 2, NULL), &log, 2, 5, &why), 1);
    assert_int_equal(add("T", 3, "30,300"), 1); /* no record in the later log */
    trail = trail_book_find(book, STR("T"));
    assert_int_equal(in_effect_anew(6), 2);
    assert_false(trail_from(trail, 2, &log, &first));
    assert_true(trail_from(trail, 0, &log, &first) && first == 0);
}

static void an_account_s_trails_come_in_order_of_birth(void **state)
{
    const struct trail *trail = NULL;
    char id[16], account[16];
    size_t count = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(id, sizeof(id), "T%d", i);
        (void)snprintf(account, sizeof(account), "%d", i % 7);
        assert_int_equal(trail_book_add(book, version(id, account, 1, "1"), &why), 1);
    }
    for (int i = 3; (trail = trail_book_next(book, STR("3"), trail)); i += 7, count++) {
        (void)snprintf(id, sizeof(id), "T%d", i);
        assert_str_eq(trail_id(trail), str_from(id));
    }
    assert_int_equal(count, 429);
    assert_null(trail_book_next(book, STR("7"), NULL));
    for (count = 0; (trail = trail_book_all(book, trail)); count++)
        ;
    assert_int_equal(count, 3000);
    assert_null(trail_book_find(book, STR("T3000")));
}

static void the_book_keeps_what_it_was_given_not_what_the_caller_had(void **state)
{
    char topic[] = "events.cn-hangzhou", generation[] = "G1";

    (void)state;
    assert_int_equal(
        trail_book_change(book, version("T", "1", 1, NULL),
                          &(struct trail_log){str_from(topic), str_from(generation), 0}, 2, 10,
                          &why),
        1);
    memset(topic, 'x', sizeof(topic) - 1);
    memset(generation, 'x', sizeof(generation) - 1);
    assert_int_equal(in_effect("T", 0, 11), 1);
}

static bool doubted(const char *id)
{
    return trail_book_doubts(book, str_from(id));
}

static void each_version_in_doubt_is_told_once_until_it_is_trusted(void **state)
{
    struct str id;
    int64_t number;

    (void)state;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(trail_book_doubt(book, STR("T"), 1), 0);
        assert_int_equal(trail_book_doubt(book, STR("T"), 2), 0);
        assert_int_equal(trail_book_doubt(book, STR("U"), 1), 0);
    }
    assert_true(trail_book_doubt_at(book, 2, &id, &number));
    assert_true(str_eq(id, STR("U")) && number == 1);
    assert_false(trail_book_doubt_at(book, 3, &id, &number));
    trail_book_trust(book, STR("T"), 1);
    trail_book_trust(book, STR("T"), 3);
    assert_true(doubted("T") && doubted("U"));
    trail_book_trust(book, STR("T"), 2);
    assert_true(!doubted("T") && doubted("U"));
    trail_book_trust(book, STR("U"), 1);
    assert_false(trail_book_doubt_at(book, 0, &id, &number));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Each time that topics are made anew, every destination gets an origin in each of them. */
static void a_destination_has_origins_in_many_lives_of_its_topics(void **state)
{
    enum { LIVES = 10 * TRAIL_TOPICS_MAX };
    AUTO_BUF struct buf text = {0};
    struct trail_version *v = NULL;
    int64_t origin;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_str(&text, STR("{\"trail\":\"T\",\"version\":1,\"account\":\"1\",\"name\":\"n\","
                           "\"homeRegion\":\"h\",\"regions\":\"All\",\"rw\":\"All\","
                           "\"destinations\":[{\"number\":1,\"version\":1,\"bucket\":\"b\","
                           "\"origins\":["));
    for (int i = 0; i < LIVES; i++)
        buf_addf(&text,
                 "%s{\"topic\":\"events.cn-hangzhou\",\"generation\":\"%d\",\"offsets\":[7]}",
                 i ? "," : "", i);
    buf_add_str(&text, STR("]}]}"));
    assert_ok(trail_version_parse(buf_str(&text), &v, &why), why);
    assert_int_equal(trail_book_change(book, v, &(struct trail_log){TOPIC, GEN, 0}, 2, 9, &why), 1);
    assert_true(trail_origin(trail_book_find(book, STR("T")), 1, &(struct trail_log){TOPIC, GEN, 0},
                             &origin));
    assert_int_equal(origin, 10);
}

TESTS(CASE(the_last_change_before_an_offset_decides),
      CASE(in_a_partition_added_later_a_version_holds_from_the_start),
      CASE(a_change_met_in_the_log_counts_from_there_on),
      CASE(a_change_met_in_two_topics_counts_in_both), CASE(the_same_change_again_changes_nothing),
      CASE(control_fills_in_what_was_not_seen),
      CASE(a_change_elsewhere_than_it_was_known_is_a_conflict),
      CASE(changes_lie_in_the_order_of_their_versions),
      CASE(a_partition_beyond_the_topic_s_is_a_conflict), CASE(a_trail_stays_its_account_s),
      CASE(a_change_is_the_origin_of_the_chain_that_it_begins),
      CASE(in_a_log_that_began_later_the_last_version_holds_from_the_start),
      CASE(a_change_may_lie_in_more_partitions_than_were_known),
      CASE(what_never_concerned_a_log_is_never_in_effect_there),
      CASE(an_account_s_trails_come_in_order_of_birth),
      CASE(each_version_in_doubt_is_told_once_until_it_is_trusted),
      CASE(a_destination_has_origins_in_many_lives_of_its_topics),
      CASE(the_book_keeps_what_it_was_given_not_what_the_caller_had))
