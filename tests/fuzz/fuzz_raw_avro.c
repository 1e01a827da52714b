/* A raw event in Avro, behind its header: what renders is one JSON object, encodes again, and means the same then;
 * and see normalizing.h.
 *
 * links: fuzz_normalizing
 */
#include "event/avro.h"
#include "event/raw_event.h"
#include "fuzz.h"
#include "normalizing.h"

static struct json json;

static void add_header(struct buf *out)
{
    CHECK(json_scan(&json, STR("{}"), NULL) == 0 && raw_event_encode(&json, out, NULL) == 0);
    out->len = AVRO_HEADER_SIZE;
}

static int render(struct str avro, struct buf *out)
{
    struct raw_event_texts texts;
    struct why why = {0};
    int r = raw_event_render(avro, out, &texts, &why);

    CHECK(r == 0 || ((r == -ERR_INVALID || r == -ERR_LIMIT)));
    if (r == 0)
        r = json_scan(&json, buf_str(out), &why);
    return r == 0 && !raw_event_texts_whole(&texts, &json) ? -ERR_INVALID : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    AUTO_BUF struct buf bytes = {0}, text = {0}, avro = {0}, again = {0};

    buf_init(&bytes, len + AVRO_HEADER_SIZE + 64);
    buf_init(&text, (size_t)8 * RAW_EVENT_SIZE_MAX);
    buf_init(&avro, (size_t)8 * RAW_EVENT_SIZE_MAX);
    buf_init(&again, (size_t)8 * RAW_EVENT_SIZE_MAX);
    add_header(&bytes);
    buf_add(&bytes, at, len);
    check_normalizing(buf_str(&bytes), false);
    check_normalizing(fuzz_input(at, len), false);
    if (render(buf_str(&bytes), &text) < 0)
        return 0;
    CHECK(json.tokens[0].type == JSON_OBJECT);
    CHECK(raw_event_encode(&json, &avro, NULL) == 0);
    CHECK(render(buf_str(&avro), &again) == 0);
    buf_reset(&avro);
    CHECK(raw_event_encode(&json, &avro, NULL) == 0);
    buf_reset(&text);
    CHECK(render(buf_str(&avro), &text) == 0 && str_eq(buf_str(&text), buf_str(&again)));
    return 0;
}
