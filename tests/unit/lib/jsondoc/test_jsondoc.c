/* Documents of the control plane: read leniently by type, built and rendered. */
#include "jsondoc/jsondoc.h"

#include "test.h"

static struct jsondoc *parse(const char *text)
{
    struct jsondoc *doc = NULL;
    struct why why = {0};

    assert_ok(jsondoc_parse(str_from(text), &doc, &why), why);
    return doc;
}

static void a_member_of_another_type_is_as_if_it_were_missing(void **state)
{
    AUTO(jsondoc_free)
    struct jsondoc *doc =
        parse("{\"s\":\"x\",\"n\":7,\"b\":true,\"f\":1.0,\"o\":{\"k\":1},\"a\":[1,2],\"z\":null}");
    struct str s;
    int64_t n;

    (void)state;
    assert_true(jsondoc_str(doc, "s", &s));
    assert_str_eq(s, STR("x"));
    assert_false(jsondoc_str(doc, "n", &s));
    assert_false(jsondoc_str(doc, "z", &s));
    assert_false(jsondoc_str(doc, "none", &s));
    assert_str_eq(jsondoc_str_or(doc, "b", STR("else")), STR("else"));
    assert_true(jsondoc_i64(doc, "n", &n) && n == 7);
    assert_false(jsondoc_i64(doc, "f", &n));
    assert_false(jsondoc_i64(doc, "s", &n));
    assert_int_equal(jsondoc_i64_or(doc, "none", -1), -1);
    assert_true(jsondoc_bool(doc, "b"));
    assert_false(jsondoc_bool(doc, "s"));
    assert_false(jsondoc_bool(doc, "none"));
    assert_int_equal(jsondoc_len(jsondoc_get(doc, "a")), 2);
    assert_int_equal(jsondoc_len(jsondoc_get(doc, "o")), 1);
    assert_int_equal(jsondoc_len(jsondoc_get(doc, "s")), 0);
    assert_int_equal(jsondoc_len(jsondoc_get(doc, "none")), 0);
    assert_null(jsondoc_at(jsondoc_get(doc, "a"), 2));
    assert_null(jsondoc_at(jsondoc_get(doc, "o"), 0));
    assert_null(jsondoc_get(jsondoc_get(doc, "a"), "k"));
}

static void members_come_in_the_order_of_the_text(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = parse("{\"z\":1,\"a\":2,\"m\":3}");
    static const char *const want[] = {"z", "a", "m"};
    const struct jsondoc *value;
    void *cursor = NULL;
    struct str key;
    size_t i = 0;

    (void)state;
    while (jsondoc_each(doc, &cursor, &key, &value))
        assert_str_eq(key, str_from(want[i++]));
    assert_int_equal(i, 3);
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    static const struct str bad[] = {
        STR(""),       STR("{"),           STR("{\"a\":1,\"a\":2}"), STR("{} {}"),
        STR("x"),      STR("\"\\u0000\""), STR("\"a\0b\""),          STR("\"\xFF\""),
        STR("[1,]"),   STR("1\0"),         STR("{}\0garbage"),       STR("9223372036854775808"),
        STR("[1e999]")};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct jsondoc *doc = NULL;
        struct why why = {0};

        assert_int_equal(jsondoc_parse(bad[i], &doc, &why), -ERR_INVALID);
        assert_null(doc);
        assert_true(str_starts(str_from(why.text), STR("JSON, ")));
    }
}

static void a_text_over_the_maximum_is_a_limit(void **state)
{
    char *text = calloc(1, JSONDOC_SIZE_MAX + 1);
    struct jsondoc *doc = NULL;

    (void)state;
    assert_non_null(text);
    assert_int_equal(jsondoc_parse(str_of(text, JSONDOC_SIZE_MAX + 1), &doc, NULL), -ERR_LIMIT);
    free(text);
}

static void what_is_built_is_rendered_compact_in_the_order_it_was_set(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object(), *copy = NULL;
    struct jsondoc *list = jsondoc_array();
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(jsondoc_append(list, jsondoc_integer(INT64_MIN)), 0);
    assert_int_equal(jsondoc_append(list, jsondoc_string(STR_NONE)), 0);
    assert_int_equal(jsondoc_set_str(doc, "z", STR("gr\xC3\xBC\xC3\x9F \"\n")), 0);
    assert_int_equal(jsondoc_set_bool(doc, "a", false), 0);
    assert_int_equal(jsondoc_set(doc, "list", list), 0);
    assert_int_equal(jsondoc_set_i64(doc, "z2", 7), 0);
    copy = jsondoc_copy(doc);
    assert_int_equal(jsondoc_set_i64(doc, "a", 1), 0); /* stays where it was */
    assert_int_equal(jsondoc_render(doc, &out), 0);
    assert_str_eq(buf_str(&out), STR("{\"z\":\"gr\xC3\xBC\xC3\x9F \\\"\\n\",\"a\":1,"
                                     "\"list\":[-9223372036854775808,\"\"],\"z2\":7}"));
    buf_reset(&out);
    assert_int_equal(jsondoc_render(copy, &out), 0);
    assert_true(str_find(buf_str(&out), STR("\"a\":false"), NULL));
}

static void what_no_reader_would_take_is_not_set(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();

    (void)state;
    assert_int_equal(jsondoc_set_str(doc, "a", STR("\xFF")), -ERR_INVALID);
    assert_int_equal(jsondoc_set_str(doc, "a", STR("x\0y")), -ERR_INVALID);
    assert_int_equal(jsondoc_len(doc), 0);
}

static void a_rendering_beyond_the_buffer_is_a_limit(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = parse("{\"a\":\"0123456789\"}");
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 10);
    assert_int_equal(jsondoc_render(doc, &out), -ERR_LIMIT);
}

TESTS(TEST(a_member_of_another_type_is_as_if_it_were_missing),
      TEST(members_come_in_the_order_of_the_text), TEST(what_is_no_json_is_refused_with_its_place),
      TEST(a_text_over_the_maximum_is_a_limit),
      TEST(what_is_built_is_rendered_compact_in_the_order_it_was_set),
      TEST(what_no_reader_would_take_is_not_set), TEST(a_rendering_beyond_the_buffer_is_a_limit))
