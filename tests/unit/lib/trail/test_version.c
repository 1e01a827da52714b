/* One version of a trail: its document, what it wants, and from where on it holds. */
#include <stdio.h>

#include "trail/trail.h"

#include "test.h"

static struct trail_version *parse(const char *text)
{
    struct trail_version *v = NULL;
    struct why why = {0};

    assert_ok(trail_version_parse(str_from(text), &v, &why), why);
    return v;
}

#define HEAD                                                                                       \
    "\"trail\":\"T1\",\"version\":2,\"account\":\"1001\",\"name\":\"audit\",\"homeRegion\":\"cn-"  \
    "hangzhou\","                                                                                  \
    "\"regions\":\"cn-hangzhou,cn-beijing\",\"rw\":\"Write\""
#define WHOLE                                                                                      \
    "{" HEAD ",\"organization\":false,\"logging\":true,\"startedEver\":true,\"deleted\":false,"    \
    "\"created\":1,\"updated\":2,\"started\":3,\"stopped\":4,\"request\":\"R\",\"destinations\":[" \
    "{\"number\":1,"                                                                               \
    "\"version\":1,\"bucket\":\"b\",\"prefix\":\"\",\"origins\":[{\"topic\":\"events.cn-"          \
    "hangzhou\","                                                                                  \
    "\"generation\":\"G1\",\"offsets\":[7,-2]}]},{\"number\":2,\"version\":2,\"bucket\":\"c\","    \
    "\"prefix\":\"p\",\"origins\":[]}]"
#define OFFSETS                                                                                    \
    ",\"offsets\":[{\"topic\":\"events.cn-hangzhou\",\"generation\":\"G1\",\"offsets\":[10,0,-2]}" \
    ","                                                                                            \
    "{\"topic\":\"global\",\"generation\":\"G2\",\"offsets\":[99]}]}"

static void a_document_comes_back(void **state)
{
    AUTO(trail_version_free) struct trail_version *v = parse(WHOLE OFFSETS);
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 10000);
    assert_int_equal(trail_version_render(v, true, &out), 0);
    assert_str_eq(buf_str(&out), STR(WHOLE OFFSETS));
    buf_reset(&out);
    assert_int_equal(trail_version_render(v, false, &out), 0);
    assert_str_eq(buf_str(&out), STR(WHOLE "}"));
    assert_str_eq(trail_version_destination(v)->bucket, STR("c"));
    assert_int_equal(v->rw, TRAIL_RW_WRITE);
    assert_int_equal(v->offset_count, 2);
    assert_int_equal(v->stopped_s, 4);
}

static void what_may_be_absent_has_its_default(void **state)
{
    AUTO(trail_version_free) struct trail_version *v = parse("{" HEAD "}");

    (void)state;
    assert_false(v->organization || v->logging || v->started_ever || v->deleted);
    assert_true(v->created_s == 0 && v->stopped_s == 0);
    assert_null(trail_version_destination(v));
    assert_int_equal(v->offset_count, 0);
}

static void a_document_that_lacks_something_names_it(void **state)
{
    static const char *const cases[][2] = {
        {"[]", "object"},
        {"{}", "\"trail\""},
        {"{\"trail\":\"0123456789012345678901234567890123456\"}", "\"trail\""},
        {"{\"trail\":\"T\"}", "\"account\""},
        {"{\"trail\":\"T\",\"account\":\"1\"}", "\"homeRegion\""},
        {"{\"trail\":\"T\",\"account\":\"1\",\"homeRegion\":\"h\"}", "\"regions\""},
        {"{\"trail\":\"T\",\"account\":\"1\",\"homeRegion\":\"h\",\"regions\":\"All\"}",
         "\"version\""},
        {"{\"trail\":\"T\",\"account\":\"1\",\"homeRegion\":\"h\",\"regions\":\"All\",\"version\":"
         "0}",
         "\"version\""},
        {"{\"trail\":\"T\",\"account\":\"1\",\"homeRegion\":\"h\",\"regions\":\"All\",\"version\":"
         "1}",
         "\"rw\""},
        {"{\"trail\":\"T\",\"account\":\"1\",\"homeRegion\":\"h\",\"regions\":\"All\",\"version\":"
         "1,\"rw\":\"all\"}",
         "\"rw\""},
        {"{" HEAD ",\"destinations\":[{\"number\":1,\"version\":1}]}", "\"destinations\""},
        {"{" HEAD ",\"destinations\":[{\"bucket\":\"b\",\"version\":1}]}", "\"destinations\""},
        {"{" HEAD ",\"destinations\":[5]}", "\"destinations\""},
        {"{" HEAD ",\"offsets\":[{\"topic\":\"t\",\"offsets\":[]}]}", "\"offsets\""},
        {"{" HEAD ",\"offsets\":[{\"offsets\":[1]}]}", "\"offsets\""},
        {"{" HEAD ",\"offsets\":[{\"topic\":\"t\",\"offsets\":[-3]}]}", "\"offsets\""},
        {"{" HEAD ",\"offsets\":[{\"topic\":\"t\",\"offsets\":[\"1\"]}]}", "\"offsets\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trail_version *v = NULL;
        struct why why = {0};

        assert_int_equal(trail_version_parse(str_from(cases[i][0]), &v, &why), -ERR_INVALID);
        if (!strstr(why.text, cases[i][1]))
            fail_msg("%s: \"%s\" does not name %s", cases[i][0], why.text, cases[i][1]);
    }
}

static void a_trail_region_covers_what_it_lists(void **state)
{
    (void)state;
    assert_true(trail_region_covered(STR("All"), STR("cn-hangzhou")));
    assert_true(trail_region_covered(STR("cn-beijing, cn-hangzhou"), STR("cn-hangzhou")));
    assert_false(trail_region_covered(STR("cn-beijing,cn-hangzhou"), STR("cn-hang")));
    assert_false(trail_region_covered(STR("all"), STR("cn-hangzhou")));
    assert_false(trail_region_covered(STR(""), STR("cn-hangzhou")));
}

static void a_trail_wants_what_its_settings_say(void **state)
{
    static const struct trail_version trail = {.account = STR("1001"),
                                               .home_region = STR("h"),
                                               .regions = STR("a,b"),
                                               .rw = TRAIL_RW_ALL,
                                               .logging = true};
    static const struct event event = {.account = STR("1001"),
                                       .rw = EVENT_WRITE,
                                       .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY};
    struct trail_version v = trail;
    struct event e = event;

    (void)state;
    assert_false(trail_wants(NULL, &e, STR("a")));
    assert_true(trail_wants(&v, &e, STR("a")));
    assert_true(trail_wants(&v, &e, STR("b")));
    assert_false(trail_wants(&v, &e, STR("h")));
    v.logging = false;
    assert_false(trail_wants(&v, &e, STR("a")));
    v = trail;
    v.deleted = true;
    assert_false(trail_wants(&v, &e, STR("a")));
    v = trail;
    v.rw = TRAIL_RW_READ;
    assert_false(trail_wants(&v, &e, STR("a")));
    e.rw = EVENT_READ;
    assert_true(trail_wants(&v, &e, STR("a")));
    v.rw = TRAIL_RW_WRITE;
    assert_false(trail_wants(&v, &e, STR("a")));
    v = trail;
    e = event;
    e.account = STR("1002");
    assert_false(trail_wants(&v, &e, STR("a")));
    e = event;
    e.category = EVENT_INNER;
    assert_false(trail_wants(&v, &e, STR("a")));
    e.category = EVENT_INSIGHT;
    assert_true(trail_wants(&v, &e, STR("a")));
    e = event;
    e.purpose = EVENT_FOR_HISTORY;
    assert_false(trail_wants(&v, &e, STR("a")));
}

static void a_global_event_is_delivered_in_the_home_region_only(void **state)
{
    static const struct trail_version v = {
        .account = STR("1"), .home_region = STR("h"), .regions = STR("a"), .logging = true};
    static const struct event e = {
        .account = STR("1"), .global = true, .purpose = EVENT_FOR_DELIVERY};

    (void)state;
    assert_true(trail_wants(&v, &e, STR("h")));
    assert_false(trail_wants(&v, &e, STR("a")));
}

static bool from(const struct trail *trail, const char *topic, int32_t partition, int64_t *ret)
{
    return trail_from(trail, 0, &(struct trail_log){str_from(topic), STR("G1"), partition}, ret);
}

static bool origin(const struct trail *trail, int64_t destination, const char *generation,
                   int64_t *ret)
{
    struct trail_log log = {STR("events.cn-hangzhou"), str_from(generation), 0};

    return trail_origin(trail, destination, &log, ret);
}

static void a_version_holds_behind_its_change_record(void **state)
{
    AUTO(trail_book_free) struct trail_book *book = trail_book_new();
    const struct trail *trail;
    int64_t first = -1;

    (void)state;
    assert_int_equal(trail_book_add(book, parse(WHOLE OFFSETS), NULL), 1);
    trail = trail_book_all(book, NULL);
    assert_true(from(trail, "events.cn-hangzhou", 0, &first) && first == 11);
    assert_true(from(trail, "events.cn-hangzhou", 1, &first) && first == 1);
    assert_false(from(trail, "events.cn-hangzhou", 2, &first));              /* unseen */
    assert_true(from(trail, "events.cn-hangzhou", 3, &first) && first == 0); /* added later */
    assert_true(origin(trail, 1, "G1", &first) && first == 8);
    assert_false(origin(trail, 2, "G1", &first));
}

static void a_chain_is_the_hash_of_one_life_of_a_destination(void **state)
{
    char chain[TRAIL_CHAIN_SIZE];

    (void)state;
    trail_chain(STR("T1"), 1, STR("G1"), chain);
    assert_string_equal(chain, "821e4d1ade230edf");
    trail_chain(STR("T1"), 2, STR("G1"), chain);
    assert_string_equal(chain, "2bfc76c41802105b");
}

TESTS(TEST(a_document_comes_back), TEST(what_may_be_absent_has_its_default),
      TEST(a_document_that_lacks_something_names_it), TEST(a_trail_region_covers_what_it_lists),
      TEST(a_trail_wants_what_its_settings_say),
      TEST(a_global_event_is_delivered_in_the_home_region_only),
      TEST(a_version_holds_behind_its_change_record),
      TEST(a_chain_is_the_hash_of_one_life_of_a_destination))
