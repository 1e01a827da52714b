/* test_router.c - where global events go, by the changes that lie before them. */
#include <stdio.h>

#include "core/router.h"
#include "test.h"

#define ACCOUNT    "1000000000000001"
#define OTHER      "1000000000000002"
#define HERE       "cn-hangzhou"
#define THERE      "ap-southeast-1"
#define STORAGE    "cn-beijing"
#define GENERATION "11111111-1111-4111-8111-111111111111"
#define PARTITIONS 4

struct world {
    struct trail_book *book;
    struct router *router;
    struct router_result result;
    struct why why;
};

static void world_open(struct world *w)
{
    static const struct str regions[] = {STR(HERE), STR(THERE)};
    struct router_settings settings = {.generation = STR(GENERATION),
                                       .partition_count = PARTITIONS,
                                       .storage_region = STR(STORAGE),
                                       .regions = regions,
                                       .region_count = ARRAY_LEN(regions)};

    *w = (struct world){.book = trail_book_new()};
    assert_non_null(w->book);
    w->router = router_new(&settings, w->book);
    assert_non_null(w->router);
}

static void world_close(struct world *w)
{
    router_free(w->router);
    trail_book_free(w->book);
}

static struct event event_of(const char *account, enum event_rw rw)
{
    return (struct event){
        .id = STR("id-1"),
        .account = str_from(account),
        .region = STR("cn-shanghai"),
        .rw = rw,
        .global = true,
        .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
        .time_ms = 1700000000000,
        .service = STR("Ram"),
        .name = STR("CreateUser"),
        .resources = {{STR("ACS::RAM::User"), STR("alice")}},
        .resource_count = 1,
        .document = STR("{\"eventId\":\"id-1\",\"acsRegion\":\"cn-shanghai\"}"),
    };
}

static struct trail_version trail_of(const char *id, int64_t version, const char *home)
{
    static struct trail_destination destination = {
        .number = 1, .version = 1, .bucket = {"audit", 5}, .prefix = {"", 0}};

    return (struct trail_version){.id = str_from(id),
                                  .version = version,
                                  .account = STR(ACCOUNT),
                                  .name = STR("trail-1"),
                                  .home_region = str_from(home),
                                  .regions = STR("All"),
                                  .logging = true,
                                  .destinations = &destination,
                                  .destination_count = 1};
}

static int take_change(struct world *w, const struct trail_version *v, int32_t partition,
                       int64_t offset)
{
    AUTO_BUF struct buf text = {0};
    struct router_input in = {.partition = partition, .offset = offset};

    buf_init(&text, 1 << 16);
    assert_int_equal(trail_version_render(v, false, &text), 0);
    in.change = buf_str(&text);
    return router_take(w->router, &in, &w->result, &w->why);
}

static void change(struct world *w, const struct trail_version *v, int32_t partition,
                   int64_t offset)
{
    assert_ok(take_change(w, v, partition, offset), w->why);
    assert_int_equal(w->result.copy_count, 0);
}

/* "cn-hangzhou=1 cn-beijing=2": what becomes of an event there, 1 for delivery, 2 for the history. */
static const char *routed(struct world *w, const struct event *event, int32_t partition,
                          int64_t offset)
{
    static char text[ROUTER_COPIES_MAX * 48];
    AUTO_BUF struct buf bytes = {0};
    struct router_input in = {.partition = partition, .offset = offset};
    size_t len = 0;

    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(event, &bytes), 0);
    in.value = buf_str(&bytes);
    assert_ok(router_take(w->router, &in, &w->result, &w->why), w->why);
    for (size_t i = 0; i < w->result.copy_count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s" STR_FMT "=%u", i ? " " : "",
                                STR_ARG(w->result.copies[i].region), w->result.copies[i].purpose);
    return text;
}

static void without_trails_an_event_goes_to_the_history_only(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct world w;

    (void)state;
    world_open(&w);
    assert_string_equal(routed(&w, &event, 0, 0), STORAGE "=2");
    world_close(&w);
}

static void each_home_region_gets_one_copy(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE), other = event_of(OTHER, EVENT_WRITE);
    struct trail_version a = trail_of("a", 1, HERE), b = trail_of("b", 1, THERE),
                         c = trail_of("c", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    change(&w, &a, 0, 3);
    change(&w, &b, 0, 4);
    change(&w, &c, 0, 5);
    assert_string_equal(routed(&w, &event, 0, 6), HERE "=1 " THERE "=1 " STORAGE "=2");
    assert_string_equal(routed(&w, &other, 0, 7), STORAGE "=2");
    world_close(&w);
}

static void a_home_region_that_is_the_storage_region_gets_one_copy_for_both(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct trail_version v = trail_of("a", 1, STORAGE);
    struct world w;

    (void)state;
    world_open(&w);
    change(&w, &v, 0, 0);
    assert_string_equal(routed(&w, &event, 0, 1), STORAGE "=3");
    world_close(&w);
}

static void the_home_region_delivers_though_the_trail_does_not_cover_it(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct trail_version v = trail_of("a", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    v.regions = STR(THERE);
    change(&w, &v, 0, 0);
    assert_string_equal(routed(&w, &event, 0, 1), HERE "=1 " STORAGE "=2");
    world_close(&w);
}

static void settings_that_do_not_want_an_event_get_no_copy(void **state)
{
    struct event write = event_of(ACCOUNT, EVENT_WRITE), read = event_of(ACCOUNT, EVENT_READ);
    struct trail_version v = trail_of("a", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    v.logging = false;
    change(&w, &v, 0, 0);
    assert_string_equal(routed(&w, &write, 0, 1), STORAGE "=2");
    v.version = 2;
    v.logging = true;
    v.rw = TRAIL_RW_READ;
    change(&w, &v, 0, 2);
    assert_string_equal(routed(&w, &write, 0, 3), STORAGE "=2");
    assert_string_equal(routed(&w, &read, 0, 4), HERE "=1 " STORAGE "=2");
    v.version = 3;
    v.logging = false;
    v.deleted = true;
    change(&w, &v, 0, 5);
    assert_string_equal(routed(&w, &read, 0, 6), STORAGE "=2");
    world_close(&w);
}

/* Where a trail is at home whose settings cannot be read nobody knows; wherever it is, the copy is there. */
static void an_account_with_a_trail_in_doubt_is_routed_to_every_region(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE), other = event_of(OTHER, EVENT_WRITE);
    struct trail_version v = trail_of("a", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    change(&w, &v, 0, 0);
    assert_int_equal(trail_book_doubt(w.book, STR("a"), 2), 0);
    assert_string_equal(routed(&w, &event, 0, 1), HERE "=1 " THERE "=1 " STORAGE "=2");
    assert_string_equal(routed(&w, &other, 0, 2), STORAGE "=2");
    assert_int_equal(trail_book_doubt(w.book, STR("nobody-s"), 1), 0);
    assert_string_equal(routed(&w, &other, 0, 3), HERE "=1 " THERE "=1 " STORAGE "=2");
    trail_book_trust(w.book, STR("nobody-s"), 1);
    trail_book_trust(w.book, STR("a"), 2);
    assert_string_equal(routed(&w, &event, 0, 4), HERE "=1 " STORAGE "=2");
    assert_string_equal(routed(&w, &other, 0, 5), STORAGE "=2");
    world_close(&w);
}

/* `control` runs ahead of the log: what it says of later offsets decides nothing here. */
static void only_changes_before_an_event_decide_whatever_is_known_already(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    int64_t starts[] = {10, 20}, stops[] = {15, 40};
    struct trail_offsets started = {STR("global"), STR(GENERATION), 2, starts},
                         stopped = {STR("global"), STR(GENERATION), 2, stops};
    struct trail_version v = trail_of("a", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    for (int i = 0; i < 2; i++) {
        AUTO_BUF struct buf text = {0};
        struct trail_version *entry;

        v.version = i + 1;
        v.logging = i == 0;
        v.offsets = i == 0 ? &started : &stopped;
        v.offset_count = 1;
        buf_init(&text, 1 << 16);
        assert_int_equal(trail_version_render(&v, true, &text), 0);
        assert_int_equal(trail_version_parse(buf_str(&text), &entry, &w.why), 0);
        assert_int_equal(trail_book_add(w.book, entry, &w.why), 1);
    }
    assert_string_equal(routed(&w, &event, 0, 9), STORAGE "=2");
    assert_string_equal(routed(&w, &event, 0, 11), HERE "=1 " STORAGE "=2");
    assert_string_equal(routed(&w, &event, 0, 16), STORAGE "=2");
    assert_string_equal(routed(&w, &event, 1, 19), STORAGE "=2");
    assert_string_equal(routed(&w, &event, 1, 39), HERE "=1 " STORAGE "=2");
    assert_string_equal(routed(&w, &event, 1, 41), STORAGE "=2");
    /* A partition that was added since has the last version from its beginning. */
    assert_string_equal(routed(&w, &event, 2, 0), STORAGE "=2");
    world_close(&w);
}

static void a_record_that_comes_again_is_routed_as_before(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct trail_version v = trail_of("a", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    for (int again = 0; again < 2; again++) {
        assert_string_equal(routed(&w, &event, 0, 0), STORAGE "=2");
        v.version = 1;
        v.logging = true;
        change(&w, &v, 0, 1);
        assert_string_equal(routed(&w, &event, 0, 2), HERE "=1 " STORAGE "=2");
        v.version = 2;
        v.logging = false;
        change(&w, &v, 0, 3);
        assert_string_equal(routed(&w, &event, 0, 4), STORAGE "=2");
    }
    world_close(&w);
}

static void a_log_that_contradicts_what_is_known_is_an_error(void **state)
{
    struct trail_version v = trail_of("a", 1, HERE);
    struct world w;

    (void)state;
    world_open(&w);
    change(&w, &v, 0, 3);
    assert_int_equal(take_change(&w, &v, 0, 4), -ERR_CONFLICT);
    world_close(&w);
}

static void a_copy_is_the_event_for_another_region_and_purpose(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE), copy;
    struct trail_version v = trail_of("a", 1, HERE);
    struct str bytes;
    struct world w;

    (void)state;
    world_open(&w);
    change(&w, &v, 0, 0);
    (void)routed(&w, &event, 0, 1);
    for (size_t i = 0; i < w.result.copy_count; i++) {
        w.result.event = event; /* routed() has freed what it encoded */
        assert_int_equal(router_encode(w.router, &w.result, i, &bytes), 0);
        assert_int_equal(event_decode(bytes, &copy, &w.why), 0);
        assert_str_eq(copy.region, i == 0 ? STR(HERE) : STR(STORAGE));
        assert_int_equal(copy.purpose, i == 0 ? EVENT_FOR_DELIVERY : EVENT_FOR_HISTORY);
        assert_true(copy.global);
        assert_str_eq(copy.id, event.id);
        assert_str_eq(copy.account, event.account);
        assert_str_eq(copy.document, event.document);
        assert_int_equal(copy.resource_count, 1);
        assert_str_eq(copy.resources[0].name, STR("alice"));
    }
    world_close(&w);
}

/* Delivery's half of it: which trails take the copies that lie in a region's log. */
static void only_trails_of_that_home_take_the_copy_for_delivery(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct trail_version here = trail_of("a", 1, HERE), there = trail_of("b", 1, THERE);

    (void)state;
    event.purpose = EVENT_FOR_DELIVERY;
    assert_true(trail_wants(&here, &event, STR(HERE)));
    assert_false(trail_wants(&there, &event, STR(HERE)));
    assert_false(trail_wants(&here, &event, STR(THERE)));
    event.purpose = EVENT_FOR_HISTORY;
    assert_false(trail_wants(&here, &event, STR(HERE)));
}

static void what_we_did_not_write_is_an_error(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct router_input in = {.value = STR("{}")};
    AUTO_BUF struct buf bytes = {0};
    struct world w;

    (void)state;
    world_open(&w);
    assert_int_equal(router_take(w.router, &in, &w.result, &w.why), -ERR_INVALID);
    in.value = STR_NONE;
    assert_int_equal(router_take(w.router, &in, &w.result, &w.why), -ERR_INVALID);
    in.change = STR("{}");
    assert_int_equal(router_take(w.router, &in, &w.result, &w.why), -ERR_INVALID);
    event.global = false;
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&event, &bytes), 0);
    in = (struct router_input){.value = buf_str(&bytes)};
    assert_int_equal(router_take(w.router, &in, &w.result, &w.why), -ERR_INVALID);
    world_close(&w);
}

static void a_home_that_is_no_region_is_an_error_and_no_topic(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct trail_version v = trail_of("a", 1, "No Region");
    struct router_input in = {.partition = 0, .offset = 1};
    AUTO_BUF struct buf bytes = {0};
    struct world w;

    (void)state;
    world_open(&w);
    change(&w, &v, 0, 0);
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&event, &bytes), 0);
    in.value = buf_str(&bytes);
    assert_int_equal(router_take(w.router, &in, &w.result, &w.why), -ERR_INVALID);
    world_close(&w);
}

static void more_home_regions_than_can_be_are_a_limit(void **state)
{
    struct event event = event_of(ACCOUNT, EVENT_WRITE);
    struct router_input in = {.partition = 0, .offset = 1000};
    AUTO_BUF struct buf bytes = {0};
    struct world w;

    (void)state;
    world_open(&w);
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&event, &bytes), 0);
    in.value = buf_str(&bytes);
    for (int i = 0; i <= TRAIL_REGIONS_MAX; i++) {
        char id[16], home[16];
        struct trail_version v;

        (void)snprintf(id, sizeof(id), "trail-%d", i);
        (void)snprintf(home, sizeof(home), "region-%d", i);
        v = trail_of(id, 1, home);
        change(&w, &v, 0, i);
        assert_int_equal(router_take(w.router, &in, &w.result, &w.why),
                         i < TRAIL_REGIONS_MAX ? 0 : -ERR_LIMIT);
    }
    world_close(&w);
}

TESTS(TEST(without_trails_an_event_goes_to_the_history_only), TEST(each_home_region_gets_one_copy),
      TEST(a_home_region_that_is_the_storage_region_gets_one_copy_for_both),
      TEST(the_home_region_delivers_though_the_trail_does_not_cover_it),
      TEST(settings_that_do_not_want_an_event_get_no_copy),
      TEST(an_account_with_a_trail_in_doubt_is_routed_to_every_region),
      TEST(only_changes_before_an_event_decide_whatever_is_known_already),
      TEST(a_record_that_comes_again_is_routed_as_before),
      TEST(a_log_that_contradicts_what_is_known_is_an_error),
      TEST(a_copy_is_the_event_for_another_region_and_purpose),
      TEST(only_trails_of_that_home_take_the_copy_for_delivery),
      TEST(what_we_did_not_write_is_an_error),
      TEST(a_home_that_is_no_region_is_an_error_and_no_topic),
      TEST(more_home_regions_than_can_be_are_a_limit))
