/* The scanner: what it takes, what it refuses, and what its tokens say. */
#include "json/json.h"

#include <stdio.h>

#include "test.h"

static struct json json;

static int setup(void **state)
{
    (void)state;
    json_init(&json);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_done(&json);
    return 0;
}

static void must_scan(struct str text)
{
    struct why why = {0};

    if (json_scan(&json, text, &why) != 0)
        fail_msg("%.*s: %s", (int)MIN_OF(text.len, (size_t)200), text.at, why.text);
}

static void the_tokens_are_those_of_the_header_s_drawing(void **state)
{
    static const struct {
        enum json_type type;
        uint32_t next;
        const char *slice;
    } want[] = {
        {JSON_OBJECT, 7, "{\"a\":[1,\"x\"],\"b\":null}"},
        {JSON_STRING, 2, "a"},
        {JSON_ARRAY, 5, "[1,\"x\"]"},
        {JSON_NUMBER, 4, "1"},
        {JSON_STRING, 5, "x"},
        {JSON_STRING, 6, "b"},
        {JSON_NULL, 7, "null"},
    };

    (void)state;
    must_scan(STR("{\"a\":[1,\"x\"],\"b\":null}"));
    assert_int_equal(json.count, ARRAY_LEN(want));
    for (uint32_t i = 0; i < json.count; i++) {
        assert_int_equal(json.tokens[i].type, want[i].type);
        assert_int_equal(json.tokens[i].next, want[i].next);
        assert_str_eq(json_slice(&json, i), str_from(want[i].slice));
    }
    assert_str_eq(json_raw(&json, 4), STR("\"x\""));
    assert_str_eq(json_raw(&json, 2), STR("[1,\"x\"]"));
}

static void what_rfc_8259_allows_is_taken(void **state)
{
    static const char *const good[] = {
        "0",
        "-0",
        "-0.0e-00",
        "1E+2",
        "123456789012345678901234567890.5e9999",
        "\"\"",
        "\"\x7F\"",
        "\"\\u0000\\uD834\\uDD1E\\ud800\"",
        "true",
        " \t\r\n[ ] \n",
        "{}",
        "[[],{},\"\",0,null,false]",
        "{\"\":0}",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}",
        "\"gr\xC3\xBC\xC3\x9F \xF4\x8F\xBF\xBF\"",
        "{\"\\/\":1,\"\\\\/\":2}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        must_scan(str_from(good[i]));
}

static void anything_else_is_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "\xEF\xBB\xBF{}",
        "nul",
        "nullx",
        "True",
        "NaN",
        "Infinity",
        "+1",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1.e3",
        "1e",
        "1e+",
        "0x10",
        "1 2",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "\"\n\"",
        "'a'",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "[]]",
        "{}{}",
        "// x\n1",
        "[1]/**/",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xFF\"",
        "{\"\xFF\":1}",
        "\"0123456789abcdef\x80\"",
        "]",
        "}",
        ",",
        ":",
        "\\",
        "[\"\\\"]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct why why = {0};

        if (json_scan(&json, str_from(bad[i]), &why) != -ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
        assert_true(strlen(why.text) > 0);
    }
    assert_int_equal(json_scan(&json, STR_NONE, NULL), -ERR_INVALID);
    assert_int_equal(json_scan(&json, STR("\"a\0b\""), NULL), -ERR_INVALID);
    assert_int_equal(json_scan(&json, STR("1\0"), NULL), -ERR_INVALID);
}

static void a_refusal_names_the_byte(void **state)
{
    struct why why;

    (void)state;
    assert_int_equal(json_scan(&json, STR("{\"a\": nope}"), &why), -ERR_INVALID);
    assert_string_equal(why.text, "JSON, byte 6: no JSON value");
}

static void every_beginning_of_a_document_is_refused(void **state)
{
    static const struct str whole = STR(
        "{\"a\":[1.5e3,\"x\\u00e9\\n\xC3\xA9 and some more text\",true,{}],\"b\":{\"c\":null}}");

    (void)state;
    must_scan(whole);
    for (size_t len = 0; len < whole.len; len++) {
        /* On the heap, so that a sanitizer sees a read beyond. */
        char *copy = malloc(len + 1);

        assert_non_null(copy);
        copy = realloc(copy, len ? len : 1);
        memcpy(copy, whole.at, len);
        assert_int_equal(json_scan(&json, str_of(copy, len), NULL), -ERR_INVALID);
        free(copy);
    }
}

static void a_key_stands_once_in_an_object_however_it_is_spelled(void **state)
{
    static const char *const bad[] = {
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":1}",
        "{\"\\u0061\":1,\"a\":1}",
        "{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":1}",
        "{\"\":1,\"\":1}",
        "{\"\\/\":1,\"/\":1}",
        "[{\"x\":{\"a\":1,\"b\":{\"a\":1},\"a\":2}}]",
        "{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"9\":0,\"\\u0039\":0}",
    };
    struct why why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (json_scan(&json, str_from(bad[i]), NULL) != -ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    must_scan(STR("{\"a\":{\"a\":[{\"a\":1},{\"a\":1}]},\"A\":1,\"a \":1}"));
    assert_int_equal(json_scan(&json, STR("{\"key\":1,\"key\":2}"), &why), -ERR_INVALID);
    assert_string_equal(why.text, "JSON: the key \"key\" stands twice in one object");
}

static void a_key_twice_among_thousands_is_found(void **state)
{
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_byte(&text, '{');
    for (int i = 0; i < 10000; i++)
        buf_addf(&text, "\"key %d\":{\"key %d\":0},", i, i);
    buf_add_str(&text, STR("\"last\":0}"));
    assert_int_equal(buf_error(&text), 0);
    must_scan(buf_str(&text));
    text.len -= strlen("\"last\":0}");
    buf_add_str(&text, STR("\"key 12\\u0033\":0}"));
    assert_int_equal(json_scan(&json, buf_str(&text), NULL), -ERR_INVALID);
}

static void nest(struct buf *text, int depth)
{
    buf_reset(text);
    for (int i = 0; i < depth; i++)
        buf_add_byte(text, '[');
    for (int i = 0; i < depth; i++)
        buf_add_byte(text, ']');
}

static void each_maximum_is_taken_and_one_more_is_a_limit(void **state)
{
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, JSON_TEXT_MAX + 1);
    nest(&text, JSON_DEPTH_MAX);
    must_scan(buf_str(&text));
    nest(&text, JSON_DEPTH_MAX + 1);
    assert_int_equal(json_scan(&json, buf_str(&text), NULL), -ERR_LIMIT);

    buf_reset(&text);
    buf_add_byte(&text, '[');
    for (int i = 0; i < JSON_TOKENS_MAX - 2; i++)
        buf_add_str(&text, STR("0,"));
    buf_add_str(&text, STR("0]"));
    must_scan(buf_str(&text));
    assert_int_equal(json.count, JSON_TOKENS_MAX);
    text.len--;
    buf_add_str(&text, STR(",0]"));
    assert_int_equal(json_scan(&json, buf_str(&text), NULL), -ERR_LIMIT);

    buf_reset(&text);
    assert_non_null(buf_reserve(&text, JSON_TEXT_MAX + 1));
    memset(text.at, ' ', JSON_TEXT_MAX + 1);
    text.at[0] = '1';
    must_scan(str_of(text.at, JSON_TEXT_MAX));
    assert_int_equal(json_scan(&json, str_of(text.at, JSON_TEXT_MAX + 1), NULL), -ERR_LIMIT);
}

static void a_scanner_serves_text_after_text(void **state)
{
    (void)state;
    must_scan(STR("{\"a\":[1,2,3]}"));
    assert_int_equal(json_scan(&json, STR("{\"a\":[1,2"), NULL), -ERR_INVALID);
    must_scan(STR("7"));
    assert_int_equal(json.count, 1);
    assert_str_eq(json_slice(&json, 0), STR("7"));
}

static void a_member_is_found_by_what_its_key_says(void **state)
{
    uint32_t b;

    (void)state;
    must_scan(STR("{\"a\":{\"b\":1},\"\\u0062\":2,\"c\\n\":3}"));
    b = json_member(&json, 0, STR("b"));
    assert_str_eq(json_slice(&json, b), STR("2"));
    b = json_member(&json, json_member(&json, 0, STR("a")), STR("b"));
    assert_str_eq(json_slice(&json, b), STR("1"));
    assert_str_eq(json_slice(&json, json_member(&json, 0, STR("c\n"))), STR("3"));
    assert_int_equal(json_member(&json, 0, STR("\\u0062")), 0);
    assert_int_equal(json_member(&json, 0, STR("")), 0);
}

static void escapes_say_what_they_stand_for(void **state)
{
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20AC", "A\xC3\xA9\xE2\x82\xAC"},
        {"\\uD83D\\uDE00", "\xF0\x9F\x98\x80"},
        {"\\uDBFF\\uDFFF", "\xF4\x8F\xBF\xBF"},
        {"\\uD83D", "\xEF\xBF\xBD"},
        {"\\uDE00x", "\xEF\xBF\xBDx"},
        {"\\uD83D\\uD83D\\uDE00", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
        {"\\uD83D\\n", "\xEF\xBF\xBD\n"},
        {"\\uD83Dabcdefghij", "\xEF\xBF\xBD"
                              "abcdefghij"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        AUTO_BUF struct buf out = {0};

        buf_init(&out, 100);
        json_unescape(str_from(pairs[i][0]), &out);
        assert_str_eq(buf_str(&out), str_from(pairs[i][1]));
    }
}

/* A character of each length in UTF-8, and all that needs an escape. */
static void add_character(struct draws *draws, struct buf *out)
{
    static const char *const wide[] = {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80"};

    if (draws_next(draws, 4) == 0)
        buf_add_str(out, str_from(wide[draws_next(draws, ARRAY_LEN(wide))]));
    else
        buf_add_byte(out, (char)draws_next(draws, 128));
}

static void what_is_escaped_scans_and_comes_back(void **state)
{
    struct draws draws = draws_begin();
    AUTO_BUF struct buf plain = {0}, text = {0};
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);

    (void)state;
    buf_init(&plain, 1000);
    buf_init(&text, 6000);
    for (int round = 0; round < 2000; round++) {
        buf_reset(&plain);
        buf_reset(&text);
        for (uint64_t i = draws_next(&draws, 80); i > 0; i--)
            add_character(&draws, &plain);
        buf_add_byte(&text, '"');
        json_escape(buf_str(&plain), &text);
        buf_add_byte(&text, '"');
        must_scan(buf_str(&text));
        arena_reset(arena);
        assert_str_eq(json_text(&json, 0, arena), buf_str(&plain));
    }
}

/* ---- scanning is a fixed point: the text's own slices, put together, scan to the same tokens ------- */

static void add_value(uint32_t token, struct buf *out)
{
    const struct json_token *t = &json.tokens[token];
    bool object = t->type == JSON_OBJECT;

    if (!object && t->type != JSON_ARRAY) {
        buf_add_str(out, json_raw(&json, token));
        return;
    }
    buf_add_byte(out, object ? '{' : '[');
    for (uint32_t i = token + 1; i < t->next; i = json.tokens[i].next) {
        if (i > token + 1)
            buf_add_byte(out, ',');
        if (object) {
            buf_add_str(out, json_raw(&json, i++));
            buf_add_byte(out, ':');
        }
        add_value(i, out);
    }
    buf_add_byte(out, object ? '}' : ']');
}

static void tokens_put_together_are_the_text_without_its_spaces(void **state)
{
    AUTO_BUF struct buf once = {0}, twice = {0};

    (void)state;
    buf_init(&once, 1000);
    buf_init(&twice, 1000);
    must_scan(STR(
        " { \"a\" : [ 1 , -2.50e+7 , { } ] ,\r\n \"b\\\"\" : { \"c\" : \"d \\u0001\" , \"e\":[ ] } "
        ", \"f\" : true } "));
    add_value(0, &once);
    assert_str_eq(
        buf_str(&once),
        STR("{\"a\":[1,-2.50e+7,{}],\"b\\\"\":{\"c\":\"d \\u0001\",\"e\":[]},\"f\":true}"));
    must_scan(buf_str(&once));
    add_value(0, &twice);
    assert_str_eq(buf_str(&twice), buf_str(&once));
}

/* Keys that share their hash's low 10 bits share slots of the scanner's table, which then sorts instead. */
static void keys_made_to_collide_are_told_apart(void **state)
{
    AUTO_BUF struct buf text = {0};
    struct draws draws = draws_begin();
    uint32_t wanted = 0;
    int count = 0;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_byte(&text, '{');
    while (count < 2000) {
        char key[16];
        int len =
            snprintf(key, sizeof(key), "%llu", (unsigned long long)draws_next(&draws, 1ULL << 40));
        uint32_t hash = (uint32_t)str_hash(str_of(key, (size_t)len), 0) & 1023;

        wanted = count == 0 ? hash : wanted;
        if (hash != wanted)
            continue;
        buf_addf(&text, "%s\"%s\":0", count ? "," : "", key);
        count++;
    }
    buf_add_byte(&text, '}');
    assert_int_equal(buf_error(&text), 0);
    if (json_scan(&json, buf_str(&text), NULL) == 0) /* else two draws were the same */
        assert_int_equal(json.count, 1 + 2 * count);
    text.len--;
    buf_add_byte(&text, ',');
    buf_add(&text, text.at + 1, (size_t)(strchr(text.at, ':') - text.at - 1));
    buf_add_str(&text, STR(":1}"));
    assert_int_equal(json_scan(&json, buf_str(&text), NULL), -ERR_INVALID);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(the_tokens_are_those_of_the_header_s_drawing), CASE(what_rfc_8259_allows_is_taken),
      CASE(anything_else_is_refused_with_a_sentence), CASE(a_refusal_names_the_byte),
      CASE(every_beginning_of_a_document_is_refused),
      CASE(a_key_stands_once_in_an_object_however_it_is_spelled),
      CASE(a_key_twice_among_thousands_is_found),
      CASE(each_maximum_is_taken_and_one_more_is_a_limit), CASE(a_scanner_serves_text_after_text),
      CASE(a_member_is_found_by_what_its_key_says), CASE(escapes_say_what_they_stand_for),
      CASE(what_is_escaped_scans_and_comes_back),
      CASE(tokens_put_together_are_the_text_without_its_spaces),
      CASE(keys_made_to_collide_are_told_apart))
