/* What services link: an event is encoded whole, under its owner and id, or not at all.
 *
 * links: trailbus_encoder
 */
#include "faults.h"

#include <stdio.h>

#include "encoder.h"

static int encode(struct str text, bool wants_id)
{
    struct encoder e;
    struct encoded got;
    int r = encoder_init(&e);

    if (r == 0)
        r = encoder_encode(&e, text, &got, NULL);
    if (r == -ERR_NOMEM && e.arena && fault_over())
        r = encoder_encode(&e, text, &got, NULL);
    if (r == 0) {
        note_str("account", got.account);
        note("id of %zu", got.id.len);
        note("%zu bytes", got.avro.len);
        PROMISE(got.id.len > 0 && (wants_id || str_eq(got.id, STR("e-1"))));
    }
    encoder_done(&e);
    return r;
}

/* Owners and ids that have to be resolved, in each place where they may stand. */
static int json_event(void)
{
    return encode(STR("{\"event\\u0049d\":\"e-\\u0031\",\"eventName\":\"N\",\"serviceName\":\"S\","
                      "\"userIdentity\":{\"account\\u0049d\":\"100000000000\\u00301\"},"
                      "\"odd\\u0020key\":{\"a\":[1,2]}}"),
                  false);
}

/* An owner larger than an arena's first block, with an escape in it. */
static int json_large(void)
{
    static char text[100000];
    int len = snprintf(
        text, sizeof(text),
        "{\"eventId\":\"e-1\",\"eventName\":\"N\",\"serviceName\":\"S\",\"recipientAccountId\":"
        "\"\\u0031%070000d\"}",
        1);

    return encode(str_of(text, (size_t)len), false);
}

static int json_without_id(void)
{
    return encode(
        STR("{\"eventName\":\"N\",\"serviceName\":\"S\",\"recipientAccountId\":\"1\\u0030\"}"),
        true);
}

static int members(void)
{
    struct trailbus_event event = {.size = sizeof(event),
                                   .event_name = "N",
                                   .event_time = "2026-11-23T08:00:00Z",
                                   .service_name = "S",
                                   .account_id = "1000",
                                   .event_id = "e-1",
                                   .user_name = "u\n",
                                   .request_parameters = "{\"a\":\"\\u0031\"}"};
    struct encoder e;
    struct str text;
    int r = encoder_init(&e);

    if (r == 0)
        r = encoder_render(&e, &event, &text, NULL);
    if (r == -ERR_NOMEM && e.arena && fault_over())
        r = encoder_render(&e, &event, &text, NULL);
    if (r == 0)
        note_str("text", text);
    encoder_done(&e);
    return r;
}

TORTURE({"encode json", json_event, 0}, {"encode large", json_large, 0},
        {"encode without id", json_without_id, 0}, {"encode members", members, 0})
