/* parse.c - a document from our own scanner's tokens.
 *
 * jansson's reader does not look whether its buffer could grow: without memory it loses bytes of a string in silence,
 * blames the text, or aborts. Its constructors are sound, so what is read is read by lib/json.
 */
#include "jsondoc/jsondoc.h"

#include <math.h>

#include "json/json.h"

struct building {
    const struct json *json;
    struct buf text; /* scratch: a string with its escapes resolved, a number */
    struct why *why;
    int error;
};

static struct jsondoc *fail(struct building *b, int r, const char *what)
{
    b->error = why_set(b->why, r, "JSON, %s", what);
    return NULL;
}

static struct jsondoc *made(struct building *b, struct jsondoc *value)
{
    return value ? value : fail(b, -ERR_NOMEM, "no memory");
}

/* What a string says, or a number's digits, ended by a NUL; false with the error noted. */
static bool read_text(struct building *b, uint32_t token)
{
    buf_reset(&b->text);
    json_unescape(json_slice(b->json, token), &b->text);
    if (b->text.len && memchr(b->text.at, '\0', b->text.len))
        (void)fail(b, -ERR_INVALID, "a NUL in a string");
    buf_add_byte(&b->text, '\0');
    if (buf_error(&b->text))
        (void)fail(b, buf_error(&b->text), "no memory");
    return b->error == 0;
}

static struct jsondoc *build_string(struct building *b, uint32_t token)
{
    return read_text(b, token) ? made(b, jsondoc_string(str_of(b->text.at, b->text.len - 1)))
                               : NULL;
}

static struct jsondoc *build_number(struct building *b, uint32_t token)
{
    struct str slice = json_slice(b->json, token);
    int64_t integer;
    double real;

    if (!memchr(slice.at, '.', slice.len) && !memchr(slice.at, 'e', slice.len) &&
        !memchr(slice.at, 'E', slice.len))
        return str_to_i64(slice, &integer) ? made(b, jsondoc_integer(integer))
                                           : fail(b, -ERR_INVALID, "an integer beyond 64 bits");
    if (!read_text(b, token))
        return NULL;
    real = strtod(b->text.at, NULL);
    return isfinite(real) ? made(b, jsondoc_real(real))
                          : fail(b, -ERR_INVALID, "a number too large");
}

static struct jsondoc *build(struct building *b, uint32_t token);

static struct jsondoc *build_object(struct building *b, uint32_t token)
{
    struct jsondoc *object = made(b, jsondoc_object());

    for (uint32_t key = token + 1; object && key < b->json->tokens[token].next;
         key = b->json->tokens[key + 1].next) {
        struct jsondoc *value = build(b, key + 1);

        if (value && !read_text(b, key))
            jsondoc_free(value);
        else if (value && jsondoc_set(object, b->text.at, value) < 0)
            (void)fail(b, -ERR_NOMEM, "no memory");
        if (b->error == 0)
            continue;
        jsondoc_free(object);
        return NULL;
    }
    return object;
}

static struct jsondoc *build_array(struct building *b, uint32_t token)
{
    struct jsondoc *array = made(b, jsondoc_array());

    for (uint32_t item = token + 1; array && item < b->json->tokens[token].next;
         item = b->json->tokens[item].next) {
        struct jsondoc *value = build(b, item);

        if (value && jsondoc_append(array, value) < 0)
            (void)fail(b, -ERR_NOMEM, "no memory");
        if (b->error == 0)
            continue;
        jsondoc_free(array);
        return NULL;
    }
    return array;
}

/* As deep as the scanner goes: JSON_DEPTH_MAX. */
static struct jsondoc *build(struct building *b, uint32_t token)
{
    switch (b->json->tokens[token].type) {
    case JSON_OBJECT:
        return build_object(b, token);
    case JSON_ARRAY:
        return build_array(b, token);
    case JSON_STRING:
        return build_string(b, token);
    case JSON_NUMBER:
        return build_number(b, token);
    case JSON_NULL:
        return jsondoc_null();
    default:
        return jsondoc_boolean(b->json->tokens[token].type == JSON_TRUE);
    }
}

/* A person looks for a line, not for a byte. */
static int say_where(const struct json *json, int r, const struct why *inner, struct why *why)
{
    size_t line = 1, column = 1, colon;
    struct str what = str_from(inner->text);

    for (size_t i = 0; i < json->stopped_at; i++) {
        column = json->text.at[i] == '\n' ? 1 : column + 1;
        line += json->text.at[i] == '\n';
    }
    if (str_find(what, STR(": "), &colon))
        what = str_of(what.at + colon + 2, what.len - colon - 2);
    return why_set(why, r, "JSON, line %zu column %zu: " STR_FMT, line, column, STR_ARG(what));
}

int jsondoc_parse(struct str text, struct jsondoc **ret, struct why *reterr_why)
{
    struct json json;
    struct building b = {.json = &json, .why = reterr_why};
    struct jsondoc *root;
    struct why inner = {0};
    int r;

    if (text.len > JSONDOC_SIZE_MAX)
        return why_set(reterr_why, -ERR_LIMIT, "%zu bytes of JSON, at most %d", text.len,
                       JSONDOC_SIZE_MAX);
    json_init(&json);
    json.tokens_max = JSONDOC_TOKENS_MAX;
    r = json_scan(&json, text, &inner);
    if (r == -ERR_INVALID)
        (void)say_where(&json, r, &inner, reterr_why);
    else if (r < 0)
        (void)why_set(reterr_why, r, "%s", inner.text);
    if (r == 0) {
        buf_init(&b.text, JSONDOC_SIZE_MAX + 1);
        root = build(&b, 0);
        if (root)
            *ret = root;
        r = b.error;
        buf_done(&b.text);
    }
    json_done(&json);
    return r;
}
