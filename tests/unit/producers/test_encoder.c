/* test_encoder.c - what an event becomes before it is sent. */
#include <stdio.h>

#include "encoder.h"

#include "test.h"

struct seen {
    struct encoder encoder;
    struct encoded encoded;
    struct buf json; /* what the normalizer will read */
    struct why why;
    int r;
};

static int setup(void **state)
{
    struct seen *s = calloc(1, sizeof(*s));

    buf_init(&s->json, (size_t)8 * RAW_EVENT_SIZE_MAX);
    *state = s;
    return encoder_init(&s->encoder);
}

static int teardown(void **state)
{
    struct seen *s = *state;

    encoder_done(&s->encoder);
    buf_done(&s->json);
    free(s);
    return 0;
}

static void encode(struct seen *s, struct str text)
{
    struct raw_event_texts texts;

    buf_reset(&s->json);
    s->why.text[0] = '\0';
    s->r = encoder_encode(&s->encoder, text, &s->encoded, &s->why);
    if (s->r == 0)
        assert_int_equal(raw_event_render(s->encoded.avro, &s->json, &texts, &s->why), 0);
}

static void render_and_encode(struct seen *s, const struct trailbus_event *event)
{
    struct str text;

    s->r = encoder_render(&s->encoder, event, &text, &s->why);
    if (s->r == 0)
        encode(s, text);
}

static void an_event_with_an_id_goes_out_as_it_came(void **state)
{
    struct seen *s = *state;

    encode(s, STR("{\"eventId\":\"a\",\"eventName\":\"\\u0041\",\"recipientAccountId\":\"1\","
                  "\"more\":[1.50,null]}"));
    assert_str_eq(s->encoded.id, STR("a"));
    assert_str_eq(s->encoded.account, STR("1"));
    assert_str_eq(buf_str(&s->json), STR("{\"eventId\":\"a\",\"eventName\":\"A\","
                                         "\"recipientAccountId\":\"1\",\"more\":[1.50,null]}"));
}

static void an_id_is_given_where_there_is_none_to_speak_of(void **state)
{
    static const char *const texts[] = {"{}", " { \"x\":1}", "{\"eventId\":null}",
                                        "{\"x\":1,\"eventId\":\"\"}", "{\"event\\u0049d\":null}"};
    struct seen *s = *state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        encode(s, str_from(texts[i]));
        assert_int_equal(s->r, 0);
        assert_int_equal(s->encoded.id.len, 36);
    }
    encode(s,
           STR("{\"EventProduct\":\"Ecs\",\"EventName\":\"Release\",\"ResourceOwnerID\":\"7\"}"));
    assert_int_equal(s->encoded.id.len, 36);
    assert_str_eq(s->encoded.account, STR("7"));
    assert_non_null(strstr(buf_cstr(&s->json), "\"EventID\":\""));
}

static void an_id_of_another_type_is_left_to_the_normalizer(void **state)
{
    struct seen *s = *state;

    encode(s, STR("{\"eventId\":7}"));
    assert_int_equal(s->r, 0);
    assert_str_eq(s->encoded.id, STR(""));
    assert_str_eq(buf_str(&s->json), STR("{\"eventId\":7}"));
}

static void two_events_get_two_ids(void **state)
{
    struct seen *s = *state;
    char first[36];

    encode(s, STR("{}"));
    memcpy(first, s->encoded.id.at, sizeof(first));
    encode(s, STR("{}"));
    assert_memory_not_equal(first, s->encoded.id.at, sizeof(first));
}

static void an_event_of_members_is_the_json_of_them(void **state)
{
    struct seen *s = *state;
    struct trailbus_event event = {
        .event_id = "a",
        .event_name = "StopInstance",
        .service_name = "Ecs",
        .account_id = "1000",
        .event_time = "2026-11-23T08:00:00Z",
        .user_agent = "line\nbreak",
        .user_name = "alice",
        .user_type = "ram-user",
        .request_parameters = " {\"n\": 1} ",
    };

    render_and_encode(s, &event);
    assert_int_equal(s->r, 0);
    assert_str_eq(s->encoded.account, STR("1000"));
    assert_str_eq(buf_str(&s->json),
                  STR("{\"eventId\":\"a\",\"eventName\":\"StopInstance\","
                      "\"eventTime\":\"2026-11-23T08:00:00Z\",\"serviceName\":\"Ecs\","
                      "\"requestParameters\":{\"n\": 1},\"userAgent\":\"line\\nbreak\","
                      "\"recipientAccountId\":\"1000\","
                      "\"userIdentity\":{\"type\":\"ram-user\",\"userName\":\"alice\"}}"));
}

static void members_that_make_no_event_are_named(void **state)
{
    const struct trailbus_event good = {.event_name = "A",
                                        .service_name = "B",
                                        .account_id = "1",
                                        .event_time = "2026-11-23T08:00:00Z"};
    static const char *const names[] = {"eventName", "requestParameters", "responseElements",
                                        "userAgent"};
    struct trailbus_event bad[] = {good, good, good, good};
    struct seen *s = *state;

    bad[0].event_name = NULL;
    bad[1].request_parameters = "1,\"eventName\":\"B\"";
    bad[2].response_elements = "";
    bad[3].user_agent = "\xff";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        render_and_encode(s, &bad[i]);
        assert_int_equal(s->r, -ERR_INVALID);
        assert_non_null(strstr(s->why.text, names[i]));
    }
}

static void the_largest_event_goes_and_a_larger_one_does_not(void **state)
{
    enum { LEAN = 100 }; /* the encoder may want this much room besides */
    static char text[RAW_EVENT_SIZE_MAX + 100];
    struct seen *s = *state;
    size_t len = (size_t)sprintf(text, "{\"eventId\":\"a\",\"eventName\":\"");

    memset(text + len, 'x', sizeof(text) - len);
    memcpy(text + RAW_EVENT_SIZE_MAX - LEAN, "\"}", 2);
    encode(s, str_of(text, RAW_EVENT_SIZE_MAX - LEAN + 2));
    assert_int_equal(s->r, 0);
    text[RAW_EVENT_SIZE_MAX - LEAN] = text[RAW_EVENT_SIZE_MAX - LEAN + 1] = 'x';
    memcpy(text + sizeof(text) - 2, "\"}", 2);
    encode(s, str_of(text, sizeof(text)));
    assert_int_equal(s->r, -ERR_LIMIT);
    assert_non_null(strstr(s->why.text, "262144"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_with_an_id_goes_out_as_it_came, setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_is_given_where_there_is_none_to_speak_of, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_of_another_type_is_left_to_the_normalizer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_events_get_two_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_of_members_is_the_json_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(members_that_make_no_event_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_event_goes_and_a_larger_one_does_not, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
