/* json.c - one pass over the text; duplicate keys are looked for when an object closes. */
#include "json/json.h"

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

#define PAIRWISE_KEYS_MAX 8   /* up to here comparing every pair is quicker than a table */
#define STEPS_PER_KEY_MAX 8   /* on average, in the table; honest keys need one or two */
#define MEMBER_SIZE_MAX   256 /* of a name that is asked for */

void json_init(struct json *json)
{
    *json = (struct json){0};
}

void json_done(struct json *json)
{
    free(json->tokens);
    free(json->seen);
    buf_done(&json->spelled[0]);
    buf_done(&json->spelled[1]);
    *json = (struct json){0};
}

struct scanner {
    struct json *json;
    const char *start, *p, *end;
    struct why *why;
};

static int bad(const struct scanner *s, const char *what)
{
    return why_set(s->why, -ERR_INVALID, "JSON, byte %zu: %s", (size_t)(s->p - s->start), what);
}

static inline void skip_space(struct scanner *s)
{
    const char *from = s->p;

    if (s->p<s->end && * s->p> ' ')
        return;
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
    s->json->spaced |= s->p > from;
}

static int grow(struct scanner *s)
{
    struct json *json = s->json;
    uint32_t cap = json->cap ? json->cap * 2 : 256;
    uint32_t max = json->tokens_max ? json->tokens_max : JSON_TOKENS_MAX;
    struct json_token *tokens;

    if (json->count >= max)
        return why_set(s->why, -ERR_LIMIT, "JSON of more than %u values", max);
    tokens = realloc(json->tokens, cap * sizeof(*tokens));
    if (!tokens)
        return -ERR_NOMEM;
    json->tokens = tokens;
    json->cap = cap;
    return 0;
}

/* Appends a token that begins at s->p; its index, or an error. */
static inline int64_t token_add(struct scanner *s, enum json_type type)
{
    struct json *json = s->json;

    if (json->count == json->cap) {
        int r = grow(s);

        if (r < 0)
            return r;
    }
    json->tokens[json->count] =
        (struct json_token){.at = (uint32_t)(s->p - s->start), .type = (uint8_t)type};
    return json->count++;
}

/* ---- strings ----------------------------------------------------------------------------------- */

/* The next byte that needs a look: a quote, a backslash, a control character, or one outside ASCII. */
static inline const char *plain_run_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed comparison: bytes from 0x80 on are negative, hence below the space as well */
        __m128i look =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                         _mm_cmplt_epi8(v, space));
        int mask = _mm_movemask_epi8(look);

        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

static int hex4(const char *p, uint32_t *ret)
{
    unsigned char bytes[2];

    if (!str_hex_decode(str_of(p, 4), bytes, 2))
        return -ERR_INVALID;
    *ret = (uint32_t)bytes[0] << 8 | bytes[1];
    return 0;
}

/* s->p is at a backslash; leaves it behind the escape. */
static int scan_escape(struct scanner *s)
{
    uint32_t unit;

    if (s->end - s->p < 2)
        return bad(s, "the text ends in an escape");
    switch (s->p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->p += 2;
        return 0;
    case 'u':
        if (s->end - s->p < 6 || hex4(s->p + 2, &unit) < 0)
            return bad(s, "\\u wants four hex digits");
        s->p += 6;
        return 0;
    default:
        return bad(s, "no such escape");
    }
}

/* s->p is behind the opening quote; leaves it behind the closing one. */
static int scan_string(struct scanner *s, struct json_token *token)
{
    const char *from = s->p;
    bool wide = false;

    token->at = (uint32_t)(from - s->start);
    for (;;) {
        s->p = plain_run_end(s->p, s->end);
        if (s->p == s->end)
            return bad(s, "a string has no end");
        if (*s->p == '"')
            break;
        if (*s->p == '\\') {
            int r = scan_escape(s);

            if (r < 0)
                return r;
            token->escaped = true;
        } else if ((unsigned char)*s->p < ' ') {
            return bad(s, "a control character in a string");
        } else {
            wide = true;
            while (s->p < s->end && (unsigned char)*s->p >= 0x80)
                s->p++;
        }
    }
    token->len = (uint32_t)(s->p - from);
    if (wide && !str_is_utf8(str_of(from, token->len)))
        return bad(s, "a string that is not UTF-8");
    s->p++;
    return 0;
}

/* ---- duplicate keys ---------------------------------------------------------------------------- */

/* What a key says, resolved in the i-th scratch buffer if it has to be. */
static int key_text(struct json *json, uint32_t key, size_t i, struct str *ret)
{
    struct buf *spelled = &json->spelled[i];

    *ret = json_slice(json, key);
    if (!json->tokens[key].escaped)
        return 0;
    spelled->max = JSON_TEXT_MAX;
    buf_reset(spelled);
    json_unescape(*ret, spelled);
    *ret = buf_str(spelled);
    return buf_error(spelled);
}

/* Keys of one hash are the same when they say the same, however they are spelled: 1. */
static int keys_equal(struct json *json, uint32_t a, uint32_t b)
{
    struct str x, y;
    int r = key_text(json, a, 0, &x);

    if (r == 0)
        r = key_text(json, b, 1, &y);
    return r < 0 ? r : str_eq(x, y);
}

static int hash_key(struct json *json, uint32_t key)
{
    struct str text;
    int r = key_text(json, key, 0, &text);

    json->tokens[key].hash = (uint32_t)str_hash(text, 0);
    return r;
}

static int duplicate(const struct scanner *s, uint32_t key)
{
    struct str name = json_slice(s->json, key);

    return why_set(s->why, -ERR_INVALID, "JSON: the key \"" STR_FMT "\" stands twice in one object",
                   (int)MIN_OF(name.len, (size_t)100), name.at);
}

/* Where keys were made to collide: sorting them costs what it costs, whatever they are. */
struct spelled_key {
    struct str text; /* escapes resolved */
    uint32_t token;
};

static int spelled_compare(const void *a, const void *b)
{
    const struct spelled_key *x = a, *y = b;
    int c = str_cmp(x->text, y->text);

    return c ? c : (x->token > y->token) - (x->token < y->token);
}

static int check_sorted(const struct scanner *s, struct spelled_key *keys, size_t count)
{
    qsort(keys, count, sizeof(*keys), spelled_compare);
    for (size_t i = 1; i < count; i++)
        if (str_eq(keys[i - 1].text, keys[i].text))
            return duplicate(s, keys[i].token);
    return 0;
}

static int check_keys_by_sorting(const struct scanner *s, uint32_t object, size_t count)
{
    struct json *json = s->json;
    AUTO_FREE struct spelled_key *keys = malloc(count * sizeof(*keys));
    AUTO_BUF struct buf plain = {0};
    size_t n = 0;

    buf_init(&plain, JSON_TEXT_MAX);
    if (!keys || !buf_reserve(&plain, json->text.len)) /* at once: slices of it must stay */
        return -ERR_NOMEM;
    for (uint32_t key = object + 1; key < json->count; key = json->tokens[key + 1].next) {
        size_t from = plain.len;

        keys[n].token = key;
        keys[n].text = json_slice(json, key);
        if (json->tokens[key].escaped) {
            json_unescape(keys[n].text, &plain);
            keys[n].text = str_of(plain.at + from, plain.len - from);
        }
        n++;
    }
    return check_sorted(s, keys, n);
}

/* Objects of many keys: an open-addressed table of token indexes, sized to the object. */
static int check_keys_by_table(const struct scanner *s, uint32_t object, size_t count)
{
    struct json *json = s->json;
    size_t cap = 64, steps_left = count * STEPS_PER_KEY_MAX;

    while (cap < count * 2)
        cap *= 2;
    if (cap > json->seen_cap) {
        uint32_t *seen = realloc(json->seen, cap * sizeof(*seen));

        if (!seen)
            return -ERR_NOMEM;
        json->seen = seen;
        json->seen_cap = cap;
    }
    memset(json->seen, 0, cap * sizeof(*json->seen)); /* 0 is the root, never a key */
    for (uint32_t key = object + 1; key < json->count; key = json->tokens[key + 1].next) {
        size_t slot = json->tokens[key].hash & (cap - 1);

        for (; json->seen[slot]; slot = (slot + 1) & (cap - 1)) {
            int r = json->tokens[json->seen[slot]].hash == json->tokens[key].hash
                        ? keys_equal(json, json->seen[slot], key)
                        : 0;

            if (r != 0)
                return r < 0 ? r : duplicate(s, key);
            if (steps_left-- == 0)
                return check_keys_by_sorting(s, object, count);
        }
        json->seen[slot] = key;
    }
    return 0;
}

/* The object at `object` has just been closed: all tokens behind it are its members. */
static int check_keys(const struct scanner *s, uint32_t object, size_t count)
{
    struct json *json = s->json;

    int r;

    for (uint32_t key = object + 1; key < json->count; key = json->tokens[key + 1].next)
        if ((r = hash_key(json, key)) < 0)
            return r;
    if (count > PAIRWISE_KEYS_MAX)
        return check_keys_by_table(s, object, count);
    for (uint32_t a = object + 1; a < json->count; a = json->tokens[a + 1].next)
        for (uint32_t b = json->tokens[a + 1].next; b < json->count; b = json->tokens[b + 1].next)
            if (json->tokens[a].hash == json->tokens[b].hash && (r = keys_equal(json, a, b)) != 0)
                return r < 0 ? r : duplicate(s, b);
    return 0;
}

/* ---- values ------------------------------------------------------------------------------------ */

static bool is_digit(const struct scanner *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static void skip_digits(struct scanner *s)
{
    while (is_digit(s))
        s->p++;
}

static int scan_number(struct scanner *s)
{
    if (*s->p == '-')
        s->p++;
    if (!is_digit(s))
        return bad(s, "a number without digits");
    if (*s->p == '0')
        s->p++;
    else
        skip_digits(s);
    if (is_digit(s))
        return bad(s, "a number that begins with 0");
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!is_digit(s))
            return bad(s, "no digit behind the decimal point");
        skip_digits(s);
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!is_digit(s))
            return bad(s, "no digit in the exponent");
        skip_digits(s);
    }
    return 0;
}

static int scan_word(struct scanner *s, struct str word)
{
    if (!str_starts(str_of(s->p, (size_t)(s->end - s->p)), word))
        return bad(s, "no JSON value");
    s->p += word.len;
    return 0;
}

static int scan_value(struct scanner *s, int depth);

/* One key with its colon. */
static int scan_key(struct scanner *s)
{
    int64_t key;
    int r;

    skip_space(s);
    if (s->p == s->end || *s->p != '"')
        return bad(s, "a key in quotes was expected");
    key = token_add(s, JSON_STRING);
    if (key < 0)
        return (int)key;
    s->p++;
    r = scan_string(s, &s->json->tokens[key]);
    if (r < 0)
        return r;
    s->json->tokens[key].next = (uint32_t)key + 1;
    skip_space(s);
    if (s->p == s->end || *s->p != ':')
        return bad(s, "a colon was expected behind the key");
    s->p++;
    return 0;
}

/* Members or items up to the closing bracket; s->p is behind the opening one. */
static int scan_inside(struct scanner *s, uint32_t token, int depth)
{
    bool object = s->json->tokens[token].type == JSON_OBJECT;
    char close = object ? '}' : ']';
    size_t count = 0;
    int r;

    if (depth > JSON_DEPTH_MAX)
        return why_set(s->why, -ERR_LIMIT, "JSON nested deeper than %d", JSON_DEPTH_MAX);
    skip_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return 0;
    }
    for (;;) {
        r = object ? scan_key(s) : 0;
        if (r == 0)
            r = scan_value(s, depth);
        if (r < 0)
            return r;
        count++;
        skip_space(s);
        if (s->p == s->end)
            return bad(s, object ? "an object has no end" : "an array has no end");
        if (*s->p == close)
            break;
        if (*s->p != ',')
            return bad(s, "a comma was expected");
        s->p++;
    }
    s->p++;
    return object ? check_keys(s, token, count) : 0;
}

static int scan_token(struct scanner *s, uint32_t token, int depth)
{
    switch (s->json->tokens[token].type) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        s->p++;
        return scan_inside(s, token, depth + 1);
    case JSON_STRING:
        s->p++;
        return scan_string(s, &s->json->tokens[token]);
    case JSON_TRUE:
        return scan_word(s, STR("true"));
    case JSON_FALSE:
        return scan_word(s, STR("false"));
    case JSON_NULL:
        return scan_word(s, STR("null"));
    default:
        return scan_number(s);
    }
}

static int scan_value(struct scanner *s, int depth)
{
    enum json_type type = JSON_NUMBER;
    struct json_token *t;
    int64_t token;
    int r;

    skip_space(s);
    if (s->p == s->end)
        return bad(s, "a value was expected");
    switch (*s->p) {
    case '{':
        type = JSON_OBJECT;
        break;
    case '[':
        type = JSON_ARRAY;
        break;
    case '"':
        type = JSON_STRING;
        break;
    case 't':
        type = JSON_TRUE;
        break;
    case 'f':
        type = JSON_FALSE;
        break;
    case 'n':
        type = JSON_NULL;
        break;
    default:
        if (*s->p != '-' && !is_digit(s))
            return bad(s, "no JSON value");
    }
    token = token_add(s, type);
    if (token < 0)
        return (int)token;
    r = scan_token(s, (uint32_t)token, depth);
    if (r < 0)
        return r;
    t = &s->json->tokens[token];
    t->next = s->json->count;
    if (type != JSON_STRING)
        t->len = (uint32_t)(s->p - s->start) - t->at;
    return 0;
}

int json_scan(struct json *json, struct str text, struct why *reterr_why)
{
    const char *start = text.len ? text.at : "";
    struct scanner s = {json, start, start, start + text.len, reterr_why};
    int r;

    json->text = text;
    json->count = 0;
    json->spaced = false;
    if (text.len > JSON_TEXT_MAX)
        return why_set(reterr_why, -ERR_LIMIT, "%zu bytes of JSON, at most %d", text.len,
                       JSON_TEXT_MAX);
    r = scan_value(&s, 0);
    if (r == 0) {
        skip_space(&s);
        r = s.p == s.end ? 0 : bad(&s, "something stands behind the value");
    }
    json->stopped_at = (uint32_t)(s.p - start);
    return r;
}

/* ---- reading tokens ---------------------------------------------------------------------------- */

struct str json_raw(const struct json *json, uint32_t token)
{
    struct str s = json_slice(json, token);

    if (json->tokens[token].type == JSON_STRING)
        return str_of(s.at - 1, s.len + 2);
    return s;
}

/* Whether a slice with escapes says `text`, which is short. */
static bool says(struct str slice, struct str text)
{
    char room[MEMBER_SIZE_MAX];
    struct buf plain = buf_over(room, sizeof(room));

    CHECK(text.len < sizeof(room));
    json_unescape(slice, &plain); /* what has no room is longer than the text */
    return !buf_error(&plain) && str_eq(buf_str(&plain), text);
}

uint32_t json_member(const struct json *json, uint32_t object, struct str key)
{
    uint32_t end = json->tokens[object].next, hash = (uint32_t)str_hash(key, 0);

    CHECK(json->tokens[object].type == JSON_OBJECT);
    for (uint32_t k = object + 1; k < end; k = json->tokens[k + 1].next) {
        const struct json_token *t = &json->tokens[k];

        if (t->hash != hash)
            continue;
        if (!t->escaped && str_eq(json_slice(json, k), key))
            return k + 1;
        if (t->escaped && says(json_slice(json, k), key))
            return k + 1;
    }
    return 0;
}

static void add_utf8(struct buf *out, uint32_t c)
{
    char b[4];

    if (c < 0x80) {
        buf_add_byte(out, (char)c);
    } else if (c < 0x800) {
        b[0] = (char)(0xC0 | c >> 6);
        b[1] = (char)(0x80 | (c & 0x3F));
        buf_add(out, b, 2);
    } else if (c < 0x10000) {
        b[0] = (char)(0xE0 | c >> 12);
        b[1] = (char)(0x80 | (c >> 6 & 0x3F));
        b[2] = (char)(0x80 | (c & 0x3F));
        buf_add(out, b, 3);
    } else {
        b[0] = (char)(0xF0 | c >> 18);
        b[1] = (char)(0x80 | (c >> 12 & 0x3F));
        b[2] = (char)(0x80 | (c >> 6 & 0x3F));
        b[3] = (char)(0x80 | (c & 0x3F));
        buf_add(out, b, 4);
    }
}

/* `at` is behind "\u"; how many bytes of the slice the character took from there. */
static size_t unescape_u(struct str slice, size_t at, struct buf *out)
{
    uint32_t high, low;

    if (slice.len - at < 4 || hex4(slice.at + at, &high) < 0)
        high = 0xFFFD;
    if (high >= 0xD800 && high <= 0xDBFF && slice.len - at >= 10 && slice.at[at + 4] == '\\' &&
        slice.at[at + 5] == 'u' && hex4(slice.at + at + 6, &low) == 0 && low >= 0xDC00 &&
        low <= 0xDFFF) {
        add_utf8(out, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        return 10;
    }
    add_utf8(out, high >= 0xD800 && high <= 0xDFFF ? 0xFFFD : high);
    return MIN_OF((size_t)4, slice.len - at);
}

/* What \c stands for; 0 when it is no escape of one character. */
static char unescaped(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

void json_unescape(struct str slice, struct buf *out)
{
    for (size_t i = 0; i < slice.len;) {
        const char *slash = memchr(slice.at + i, '\\', slice.len - i);
        size_t run = slash ? (size_t)(slash - (slice.at + i)) : slice.len - i;
        char plain;

        buf_add(out, slice.at + i, run);
        i += run;
        if (!slash || slice.len - i < 2)
            return;
        plain = unescaped(slice.at[i + 1]);
        i += 2;
        if (slice.at[i - 1] == 'u')
            i += unescape_u(slice, i, out);
        else if (plain)
            buf_add_byte(out, plain);
    }
}

/* A run of plain text and an escape of two characters. */
static void add_escaped(struct buf *out, const char *run, size_t len, char escape)
{
    char *to = buf_reserve(out, len + 2);

    if (!to)
        return;
    memcpy(to, run, len);
    to[len] = '\\';
    to[len + 1] = escape;
    out->len += len + 2;
}

void json_escape(struct str text, struct buf *out)
{
    const char *p = text.len ? text.at : "", *end = p + text.len;

    while (p < end) {
        const char *run = p;

        while ((p = plain_run_end(p, end)) < end && (unsigned char)*p >= 0x80)
            p++;
        if (p < end && (*p == '"' || *p == '\\' || *p == '\n')) {
            add_escaped(out, run, (size_t)(p - run), *p == '\n' ? 'n' : *p);
        } else {
            buf_add(out, run, (size_t)(p - run));
            if (p == end)
                return;
            buf_addf(out, "\\u%04x", (unsigned)(unsigned char)*p);
        }
        p++;
    }
}

struct str json_text(const struct json *json, uint32_t token, struct arena *arena)
{
    struct str slice = json_slice(json, token);
    struct buf plain;
    char *room;

    if (!json->tokens[token].escaped)
        return slice;
    room = arena_get(arena, slice.len);
    if (!room)
        return STR_NONE;
    plain = buf_over(room, slice.len); /* it only gets shorter */
    json_unescape(slice, &plain);
    CHECK(!buf_error(&plain));
    return buf_str(&plain);
}
