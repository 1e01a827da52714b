/* A raw event's two spellings, JSON and Avro, say the same; whatever else comes in is refused. */
#include "event/raw_event.h"

#include <stdio.h>

#include "event/avro.h"

#include "test.h"

static struct json json;

static int teardown(void **state)
{
    (void)state;
    json_done(&json);
    return 0;
}

/* JSON to Avro. */
static void encode(struct str text, struct buf *avro)
{
    struct why why = {0};

    buf_reset(avro);
    assert_ok(json_scan(&json, text, &why), why);
    assert_ok(raw_event_encode(&json, avro, &why), why);
}

/* Avro to JSON, as the normalizer does it: rendered, scanned, and its texts found whole. */
static int decode(struct str avro, struct buf *text)
{
    struct raw_event_texts texts;
    struct why why = {0};
    int r;

    buf_reset(text);
    r = raw_event_render(avro, text, &texts, &why);
    if (r == 0)
        r = json_scan(&json, buf_str(text), &why);
    if (r == 0 && !raw_event_texts_whole(&texts, &json))
        r = -ERR_INVALID;
    return r;
}

static void check_pair(const char *in, const char *want)
{
    AUTO_BUF struct buf avro = {0}, text = {0};

    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&text, (size_t)8 * RAW_EVENT_SIZE_MAX);
    encode(str_from(in), &avro);
    assert_true(raw_event_is_avro(buf_str(&avro)));
    assert_int_equal(decode(buf_str(&avro), &text), 0);
    assert_str_eq(buf_str(&text), str_from(want));
}

static void json_in_the_schema_s_order_comes_back_as_it_went_in(void **state)
{
    static const char *const events[] = {
        "{}",
        "{\"eventId\":\"\"}",
        "{\"eventId\":\"x\",\"eventName\":\"StopInstance\",\"eventTime\":\"2026-11-23T08:00:00Z\","
        "\"serviceName\":\"Ecs\",\"requestParameters\":{\"a\":[1,2.50,\"x\"],\"b\":null},"
        "\"requestParameterJson\":\"{\\\"a\\\":1}\",\"responseElements\":[],\"isGlobal\":false,"
        "\"recipientAccountId\":\"1001\",\"eventAttributes\":{\"SensitiveAction\":\"true\"},"
        "\"userIdentity\":{\"type\":\"ram-user\",\"accountId\":\"1001\",\"userName\":"
        "\"gr\xC3\xBC\xC3\x9F\","
        "\"sessionContext\":{\"attributes\":{\"mfaAuthenticated\":\"true\"}}}}",
        "{\"requestParameters\":\"text\",\"responseElements\":7,\"additionalEventData\":null}",
        "{\"errorMessage\":\"quote \\\" backslash \\\\ line\\nbell \\u0007\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        check_pair(events[i], events[i]);
}

static void members_that_no_schema_knows_survive(void **state)
{
    (void)state;
    check_pair("{\"extend\":\"INSTANCE\"}", "{\"extend\":\"INSTANCE\"}");
    check_pair("{\"extend\":{\"deep\":[{\"er\":1e-7}]},\"eventId\":\"x\",\"more\":null}",
               "{\"eventId\":\"x\",\"extend\":{\"deep\":[{\"er\":1e-7}]},\"more\":null}");
    check_pair("{\"userIdentity\":{\"mfa\":true,\"type\":\"x\"},\"zone\":1}",
               "{\"userIdentity\":{\"type\":\"x\",\"mfa\":true},\"zone\":1}");
    check_pair("{\"userIdentity\":{}}", "{\"userIdentity\":{}}");
}

static void known_members_of_another_type_survive(void **state)
{
    (void)state;
    check_pair("{\"eventVersion\":1,\"isGlobal\":\"true\",\"eventId\":null,\"userIdentity\":[]}",
               "{\"eventVersion\":1,\"isGlobal\":\"true\",\"eventId\":null,\"userIdentity\":[]}");
    check_pair("{\"userIdentity\":{\"accountId\":1001}}",
               "{\"userIdentity\":{\"accountId\":1001}}");
}

static void a_key_spelled_with_escapes_comes_back_as_it_was_spelled(void **state)
{
    (void)state;
    check_pair("{\"event\\u0049d\":\"x\"}", "{\"event\\u0049d\":\"x\"}");
    check_pair("{\"eventId\":\"caf\\u00e9\"}", "{\"eventId\":\"caf\xC3\xA9\"}");
}

static void an_event_is_an_object(void **state)
{
    static const char *const no_objects[] = {"[]", "\"x\"", "1", "null"};
    AUTO_BUF struct buf avro = {0};

    (void)state;
    buf_init(&avro, 1000);
    for (size_t i = 0; i < ARRAY_LEN(no_objects); i++) {
        assert_int_equal(json_scan(&json, str_from(no_objects[i]), NULL), 0);
        assert_int_equal(raw_event_encode(&json, &avro, NULL), -ERR_INVALID);
    }
}

static void add_full_event(struct buf *avro)
{
    encode(STR("{\"eventId\":\"x\",\"eventName\":\"N\",\"isGlobal\":true,\"requestParameters\":{"
               "\"a\":1},"
               "\"userIdentity\":{\"type\":\"t\",\"sessionContext\":{},\"u\":1},\"unknown\":[1]}"),
           avro);
}

static void every_truncation_is_refused_and_so_is_a_byte_too_many(void **state)
{
    AUTO_BUF struct buf avro = {0}, text = {0};

    (void)state;
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&text, RAW_EVENT_SIZE_MAX);
    add_full_event(&avro);
    for (size_t len = 0; len < avro.len; len++) {
        char *copy = malloc(len ? len : 1);

        assert_non_null(copy);
        memcpy(copy, avro.at, len);
        assert_int_equal(decode(str_of(copy, len), &text), -ERR_INVALID);
        free(copy);
    }
    assert_int_equal(decode(buf_str(&avro), &text), 0);
    buf_add_byte(&avro, 0);
    assert_int_equal(decode(buf_str(&avro), &text), -ERR_INVALID);
}

static void changed_bytes_are_refused_or_another_event_but_never_a_crash(void **state)
{
    AUTO_BUF struct buf avro = {0}, text = {0};

    (void)state;
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&text, RAW_EVENT_SIZE_MAX);
    add_full_event(&avro);
    for (size_t i = 0; i < avro.len; i++) {
        char was = avro.at[i];

        for (int bit = 0; bit < 8; bit++) {
            avro.at[i] = (char)(was ^ 1 << bit);
            int r = decode(buf_str(&avro), &text);
            assert_true(r == 0 || r == -ERR_INVALID || r == -ERR_LIMIT);
        }
        avro.at[i] = was;
    }
}

/* ---- Avro that our encoder never writes ----------------------------------------------------------- */

enum { REQUEST_PARAMETERS = 12, RESPONSE_ELEMENTS = 14, USER_IDENTITY = 27, FIELDS = 28 };

/* A record of which only one text and the extension are set; NULL: absent. */
static int decode_texts(const char *parameters, const char *extension,
                        const char *identity_extension, struct buf *text)
{
    AUTO_BUF struct buf avro = {0}, header = {0};

    buf_init(&avro, 10000);
    buf_init(&header, 10000);
    encode(STR("{}"), &header);
    buf_add(&avro, header.at, AVRO_HEADER_SIZE);
    for (int i = 0; i < FIELDS; i++) {
        const char *value = i == REQUEST_PARAMETERS ? parameters : NULL;
        bool identity = i == USER_IDENTITY && identity_extension;

        avro_add_long(&avro, value || identity);
        if (value)
            avro_add_string(&avro, str_from(value));
        if (!identity)
            continue;
        for (int k = 0; k < 6; k++)
            avro_add_long(&avro, 0);
        avro_add_long(&avro, 1);
        avro_add_string(&avro, str_from(identity_extension));
    }
    avro_add_long(&avro, extension != NULL);
    if (extension)
        avro_add_string(&avro, str_from(extension));
    return decode(buf_str(&avro), text);
}

static void a_text_with_spaces_around_it_is_one_value(void **state)
{
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, 10000);
    assert_int_equal(decode_texts(" {\"a\" : 1}\n", " { \"b\":2 } ", "{}", &text), 0);
    assert_str_eq(buf_str(&text),
                  STR("{\"requestParameters\":{\"a\" : 1},\"userIdentity\":{},\"b\":2}"));
}

static void a_text_that_is_not_one_value_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "1,\"eventName\":\"x\"",
        "{},\"recipientAccountId\":\"1\"",
        "{",
        "}",
        "{}}",
        "1 2",
        "\"a",
        "\"a\",\"b\":\"c\"",
        "]",
        "nope",
        "1}",
        "1,",
        ",1",
    };
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, 10000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (decode_texts(bad[i], NULL, NULL, &text) != -ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
}

static void an_extension_that_is_not_one_object_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "[]",
        "{",
        "}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{,}",
        "{\"a\":1}}",
        "{{}}",
        "{\"a\":1},\"b\":{\"c\":1}",
        "{\"requestParameters\":1}",
    };
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, 10000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (decode_texts("{}", bad[i], NULL, &text) != -ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
        if (i + 1 < ARRAY_LEN(bad) && decode_texts("{}", NULL, bad[i], &text) != -ERR_INVALID)
            fail_msg("taken in userIdentity: %s gives " STR_FMT, bad[i], STR_ARG(buf_str(&text)));
    }
}

static void another_schema_s_fingerprint_is_refused(void **state)
{
    AUTO_BUF struct buf avro = {0}, text = {0};

    (void)state;
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&text, RAW_EVENT_SIZE_MAX);
    add_full_event(&avro);
    avro.at[5] ^= 1;
    assert_true(raw_event_is_avro(buf_str(&avro)));
    assert_int_equal(decode(buf_str(&avro), &text), -ERR_INVALID);
    assert_false(raw_event_is_avro(STR("{\"eventName\":\"x\"}")));
    assert_false(raw_event_is_avro(STR("\xC3\x01")));
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    AUTO_BUF struct buf avro = {0}, text = {0};
    size_t at;

    (void)state;
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&text, RAW_EVENT_SIZE_MAX);
    encode(STR("{\"eventName\":\"MARK\"}"), &avro);
    assert_true(str_find(buf_str(&avro), STR("MARK"), &at));
    avro.at[at] = (char)0xFF;
    assert_int_equal(decode(buf_str(&avro), &text), -ERR_INVALID);
}

static void a_rendering_larger_than_its_buffer_is_a_limit(void **state)
{
    AUTO_BUF struct buf avro = {0}, text = {0};

    (void)state;
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&text, 60);
    add_full_event(&avro);
    assert_int_equal(decode(buf_str(&avro), &text), -ERR_LIMIT);
}

/* ---- any JSON object, there and back -------------------------------------------------------------- */

static void add_random(struct draws *draws, int depth, struct buf *out)
{
    static const char *const scalars[] = {"1",    "-2.5e+10", "true",  "false",
                                          "null", "\"\"",     "\"x\"", "\"\\u0001\\\\\\n\""};
    static const char *const keys[] = {
        "eventId", "isGlobal",  "userIdentity", "sessionContext", "responseElements",
        "type",    "accountId", "other",        "event\\u0049d2", ""};
    uint64_t kind = depth > 3 ? 2 : draws_next(draws, 4);
    uint64_t count = draws_next(draws, ARRAY_LEN(keys) + 1);

    if (depth > 0 && kind >= 2) {
        buf_add_str(out, str_from(scalars[draws_next(draws, ARRAY_LEN(scalars))]));
        return;
    }
    if (depth > 0 && kind == 1) {
        buf_add_str(out, STR("[1,"));
        add_random(draws, depth + 1, out);
        buf_add_byte(out, ']');
        return;
    }
    buf_add_byte(out, '{');
    for (uint64_t i = 0; i < count; i++) {
        buf_addf(out, "%s\"%s\":", i ? "," : "", keys[i]);
        add_random(draws, depth + 1, out);
    }
    buf_add_byte(out, '}');
}

/* Avro puts the members into the schema's order; a second time nothing changes any more. */
static void what_came_back_once_comes_back_unchanged(void **state)
{
    struct draws draws = draws_begin();
    AUTO_BUF struct buf text = {0}, avro = {0}, once = {0}, twice = {0};

    (void)state;
    buf_init(&text, 1 << 20);
    buf_init(&avro, 1 << 20);
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        buf_reset(&text);
        add_random(&draws, 0, &text);
        encode(buf_str(&text), &avro);
        assert_int_equal(decode(buf_str(&avro), &once), 0);
        encode(buf_str(&once), &avro);
        assert_int_equal(decode(buf_str(&avro), &twice), 0);
        assert_str_eq(buf_str(&twice), buf_str(&once));
    }
}

#define CASE(name) cmocka_unit_test_teardown(name, teardown)

TESTS(CASE(json_in_the_schema_s_order_comes_back_as_it_went_in),
      CASE(members_that_no_schema_knows_survive), CASE(known_members_of_another_type_survive),
      CASE(a_key_spelled_with_escapes_comes_back_as_it_was_spelled), CASE(an_event_is_an_object),
      CASE(every_truncation_is_refused_and_so_is_a_byte_too_many),
      CASE(changed_bytes_are_refused_or_another_event_but_never_a_crash),
      CASE(a_text_with_spaces_around_it_is_one_value),
      CASE(a_text_that_is_not_one_value_is_refused),
      CASE(an_extension_that_is_not_one_object_is_refused),
      CASE(another_schema_s_fingerprint_is_refused), CASE(text_that_is_not_utf8_is_refused),
      CASE(a_rendering_larger_than_its_buffer_is_a_limit),
      CASE(what_came_back_once_comes_back_unchanged))
