/* secrets.c - masking by the names of members. */
#include "secrets.h"

#define NAME_SIZE_MAX 64 /* longer names are compared by their end, as all are */

/* Ends of names, lower case, without - and _. "token" alone is no secret: NextToken, ClientToken. */
static const struct str endings[] = {
    STR("secret"),       STR("password"),   STR("passwd"),        STR("passphrase"),
    STR("privatekey"),   STR("secretkey"),  STR("securitytoken"), STR("sessiontoken"),
    STR("accesstoken"),  STR("authtoken"),  STR("refreshtoken"),  STR("secretaccesskey"),
    STR("secretstring"), STR("secretdata"), STR("secretvalue"),   STR("pwd"),
};

/* Most names are told apart by their last two letters. */
static bool may_end(char last_but_one, char last)
{
    switch (last) {
    case 't':
    case 'y':
    case 'n':
        return last_but_one == 'e';
    case 'd':
        return last_but_one == 'r' || last_but_one == 'w';
    case 'e':
        return last_but_one == 's' || last_but_one == 'u';
    case 'g':
        return last_but_one == 'n';
    case 'a':
        return last_but_one == 't';
    default:
        return false;
    }
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool separates(char c)
{
    return c == '-' || c == '_' || c == '.';
}

/* The quick answer about most names. */
static bool ends_otherwise(struct str name)
{
    char last_but_one, last;

    if (name.len < 2)
        return true;
    last_but_one = lower(name.at[name.len - 2]);
    last = lower(name.at[name.len - 1]);
    return !separates(last_but_one) && !separates(last) && !may_end(last_but_one, last);
}

bool secret_name(struct str name)
{
    char folded[NAME_SIZE_MAX];
    size_t len = 0;

    if (ends_otherwise(name))
        return false;
    /* From the end backwards, up to the last dot. */
    for (size_t i = name.len; i > 0 && name.at[i - 1] != '.' && len < sizeof(folded); i--) {
        char c = name.at[i - 1];

        if (c == '-' || c == '_')
            continue;
        folded[sizeof(folded) - ++len] = lower(c);
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (str_ends(str_of(folded + sizeof(folded) - len, len), endings[i]))
            return true;
    return false;
}

static bool tells_nothing(const struct json *json, uint32_t value)
{
    const struct json_token *t = &json->tokens[value];

    return t->type == JSON_NULL || t->type == JSON_TRUE || t->type == JSON_FALSE ||
           (t->type == JSON_STRING && t->len == 0);
}

/* 1 or 0. */
static int key_is_secret(const struct json *json, uint32_t key)
{
    AUTO_BUF struct buf plain = {0};

    if (!json->tokens[key].escaped)
        return secret_name(json_slice(json, key));
    buf_init(&plain, JSON_TEXT_MAX);
    json_unescape(json_slice(json, key), &plain);
    return buf_error(&plain) ? buf_error(&plain) : secret_name(buf_str(&plain));
}

int secrets_masks_member(const struct json *json, uint32_t key)
{
    return tells_nothing(json, key + 1) ? 0 : key_is_secret(json, key);
}

/* ---- JSON inside a string, as bodies of requests travel ---------------------------------------------- */

#define TEXTS_DEPTH_MAX 3 /* in one another */

/* Quotes inside a string are escaped: most strings are told by that. */
static bool may_be_text(const struct json_token *t)
{
    return t->type == JSON_STRING && t->escaped;
}

/* Whether a string begins as an object or an array does. */
static bool may_be_json(const struct json *json, uint32_t value)
{
    struct str slice = json_slice(json, value);
    size_t i = 0;

    while (i + 1 < slice.len &&
           (slice.at[i] == ' ' || (slice.at[i] == '\\' && strchr("nrt", slice.at[i + 1]))))
        i += slice.at[i] == ' ' ? 1 : 2;
    return i < slice.len && (slice.at[i] == '{' || slice.at[i] == '[');
}

static int scan_text(const struct json *json, uint32_t value, struct buf *plain, struct json *ret)
{
    buf_init(plain, JSON_TEXT_MAX);
    json_init(ret);
    json_unescape(json_slice(json, value), plain);
    return buf_error(plain) ? buf_error(plain) : json_scan(ret, buf_str(plain), NULL);
}

static int below(const struct json *json, uint32_t value, int depth);

static int below_text(const struct json *json, uint32_t value, int depth)
{
    AUTO_BUF struct buf plain = {0};
    struct json inner;
    int r;

    if (depth == 0 || !may_be_json(json, value))
        return 0;
    r = scan_text(json, value, &plain, &inner);
    if (r == 0)
        r = below(&inner, 0, depth - 1);
    else if (r != -ERR_NOMEM)
        r = 0; /* it is no JSON */
    json_done(&inner);
    return r;
}

static int below(const struct json *json, uint32_t value, int depth)
{
    uint32_t end = json->tokens[value].next;
    int r = 0;

    if (json->tokens[value].type == JSON_OBJECT)
        for (uint32_t key = value + 1; key < end && r == 0; key = json->tokens[key + 1].next) {
            r = secrets_masks_member(json, key);
            if (r == 0)
                r = below(json, key + 1, depth);
        }
    else if (json->tokens[value].type == JSON_ARRAY)
        for (uint32_t item = value + 1; item < end && r == 0; item = json->tokens[item].next)
            r = below(json, item, depth);
    else if (may_be_text(&json->tokens[value]))
        r = below_text(json, value, depth);
    return r;
}

int secrets_below(const struct json *json, uint32_t value)
{
    return below(json, value, TEXTS_DEPTH_MAX);
}

/* ---- rendering ------------------------------------------------------------------------------------- */

static void fail(struct buf *out, int r)
{
    if (!out->error)
        out->error = r;
}

static bool masks(const struct json *json, uint32_t key, struct buf *out)
{
    int r = secrets_masks_member(json, key);

    if (r < 0)
        fail(out, r);
    if (r == 1)
        buf_add_str(out, STR("\"" SECRET_MASK "\""));
    return r != 0;
}

static void render_by_tokens(const struct json *json, uint32_t value, int depth, struct buf *out);

static void render_text(const struct json *json, uint32_t value, int depth, struct buf *out)
{
    AUTO_BUF struct buf plain = {0}, masked = {0};
    struct json inner;
    int r;

    r = below_text(json, value, depth);
    if (r == 0)
        buf_add_str(out, json_raw(json, value));
    else if (r < 0)
        fail(out, r);
    if (r != 1)
        return;
    buf_init(&masked, JSON_TEXT_MAX);
    r = scan_text(json, value, &plain, &inner);
    if (r == 0) {
        render_by_tokens(&inner, 0, depth - 1, &masked);
        r = buf_error(&masked);
    }
    if (r < 0)
        fail(out, r);
    buf_add_byte(out, '"');
    json_escape(buf_str(&masked), out);
    buf_add_byte(out, '"');
    json_done(&inner);
}

static void render_by_tokens(const struct json *json, uint32_t value, int depth, struct buf *out)
{
    uint32_t end = json->tokens[value].next;

    switch (json->tokens[value].type) {
    case JSON_OBJECT:
        buf_add_byte(out, '{');
        for (uint32_t key = value + 1; key < end; key = json->tokens[key + 1].next) {
            if (key > value + 1)
                buf_add_byte(out, ',');
            buf_add_str(out, json_raw(json, key));
            buf_add_byte(out, ':');
            if (!masks(json, key, out))
                render_by_tokens(json, key + 1, depth, out);
        }
        buf_add_byte(out, '}');
        break;
    case JSON_ARRAY:
        buf_add_byte(out, '[');
        for (uint32_t item = value + 1; item < end; item = json->tokens[item].next) {
            if (item > value + 1)
                buf_add_byte(out, ',');
            render_by_tokens(json, item, depth, out);
        }
        buf_add_byte(out, ']');
        break;
    default:
        if (may_be_text(&json->tokens[value]))
            render_text(json, value, depth, out);
        else
            buf_add_str(out, json_raw(json, value));
    }
}

void secrets_render(const struct json *json, uint32_t value, struct buf *out)
{
    int r = json->spaced ? 1 : secrets_below(json, value);

    if (r < 0)
        fail(out, r);
    else if (r)
        render_by_tokens(json, value, TEXTS_DEPTH_MAX, out);
    else /* it is compact already */
        buf_add_str(out, json_raw(json, value));
}

void secrets_render_member(const struct json *json, uint32_t key, struct buf *out)
{
    if (!masks(json, key, out))
        secrets_render(json, key + 1, out);
}
