/* The wire form of a normalized event, behind its header: what decodes encodes again, and means the same.
 *
 * links: event
 */
#include "fuzz.h"

#include "event/avro.h"
#include "event/event.h"

static void add_header(struct buf *out)
{
    static const struct event nothing;

    CHECK(event_encode(&nothing, out) == 0);
    out->len = AVRO_HEADER_SIZE;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct event event, second;
    AUTO_BUF struct buf bytes = {0}, once = {0}, twice = {0};
    struct why why = {0};
    int r;

    buf_init(&bytes, len + EVENT_ENCODED_SIZE_MAX);
    buf_init(&once, (size_t)2 * EVENT_ENCODED_SIZE_MAX);
    buf_init(&twice, (size_t)2 * EVENT_ENCODED_SIZE_MAX);
    CHECK(len == 0 || event_decode(fuzz_input(at, len), &event, &why) == -ERR_INVALID ||
          (len > AVRO_HEADER_SIZE && at[0] == 0xC3));
    add_header(&bytes);
    buf_add(&bytes, at, len);
    r = event_decode(buf_str(&bytes), &event, &why);
    CHECK(r == 0 || (r == -ERR_INVALID && why.text[0]));
    if (r < 0 || event_encode(&event, &once) < 0)
        return 0;
    CHECK(event_decode(buf_str(&once), &second, &why) == 0);
    CHECK(event_encode(&second, &twice) == 0);
    CHECK(str_eq(buf_str(&once), buf_str(&twice)) && once.len <= bytes.len);
    return 0;
}
