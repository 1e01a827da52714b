/* The scanner: what its tokens say is in the text, what it takes it takes again. That it takes all
 * that jansson does is fuzz_jsondoc's promise.
 *
 * links: json
 */
#include "fuzz.h"

#include "json/json.h"

static struct json json, again;

static void check_token(uint32_t i)
{
    const struct json_token *t = &json.tokens[i];
    AUTO_BUF struct buf plain = {0}, text = {0}, same = {0};

    CHECK(t->next > i && t->next <= json.count);
    CHECK((size_t)t->at + t->len <= json.text.len);
    if (t->type != JSON_STRING)
        return;
    /* What a string says can be written again, and says the same then. */
    buf_init(&plain, JSON_TEXT_MAX);
    buf_init(&text, (size_t)8 * JSON_TEXT_MAX);
    buf_init(&same, JSON_TEXT_MAX);
    json_unescape(json_slice(&json, i), &plain);
    CHECK(buf_error(&plain) == 0 && plain.len <= t->len && str_is_utf8(buf_str(&plain)));
    CHECK(t->escaped || str_eq(buf_str(&plain), json_slice(&json, i)));
    buf_add_byte(&text, '"');
    json_escape(buf_str(&plain), &text);
    buf_add_byte(&text, '"');
    CHECK(json_scan(&again, buf_str(&text), NULL) == 0);
    json_unescape(json_slice(&again, 0), &same);
    CHECK(str_eq(buf_str(&same), buf_str(&plain)));
}

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

static void check_again(void)
{
    AUTO_BUF struct buf text = {0};

    buf_init(&text, JSON_TEXT_MAX);
    add_value(0, &text);
    CHECK(buf_error(&text) == 0 && json_scan(&again, buf_str(&text), NULL) == 0);
    CHECK(again.count == json.count);
    for (uint32_t i = 0; i < json.count; i++)
        CHECK(again.tokens[i].type == json.tokens[i].type &&
              again.tokens[i].next == json.tokens[i].next &&
              again.tokens[i].hash == json.tokens[i].hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    struct why why = {0};
    int r = json_scan(&json, fuzz_input(at, len), &why);

    CHECK(r == 0 || ((r == -ERR_INVALID || r == -ERR_LIMIT) && why.text[0]));
    if (r < 0)
        return 0;
    for (uint32_t i = 0; i < json.count; i++)
        check_token(i);
    check_again();
    return 0;
}
