/* json.h - a validating scanner: JSON text in, a flat table of slices of it out.
 *
 *     {"a":[1,"x"],"b":null}
 *      0  1 2 3  4    5  6          tokens, in the order of the text
 *
 * An object's token is followed by its members (a key's token, then the value's), an array's by its items.
 * `next` of a token is the index behind its value, so a value is skipped in one step. Nothing is copied or
 * converted: a number is the digits that came, a string is what stands between its quotes.
 *
 * Strict RFC 8259: UTF-8 well formed, no duplicate keys in one object (also not when spelled differently),
 * nothing behind the value. Costs are linear in the text; keys made to collide cost n log n.
 *
 * Ownership: tokens belong to the struct json, which is reused for text after text; slices are the text's.
 * Layer:     pure. DEPS base.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/base.h"

#define JSON_DEPTH_MAX  64
#define JSON_TOKENS_MAX 65536
#define JSON_TEXT_MAX   (16 << 20)

enum json_type {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_token {
    uint32_t at, len; /* in the text; a string without its quotes */
    uint32_t next;    /* index behind this value; behind a key: its value */
    uint32_t hash;    /* of a key, spelling apart; else 0 */
    uint8_t type;     /* enum json_type */
    bool escaped;     /* a string that holds backslashes */
};

struct json {
    struct str text;
    struct json_token *tokens;
    uint32_t count, cap;
    uint32_t tokens_max; /* 0: JSON_TOKENS_MAX */
    bool spaced;         /* there was white space between tokens */
    uint32_t stopped_at; /* where in the text the scan ended */
    uint32_t *seen;      /* scratch of the search for duplicate keys, as are these */
    size_t seen_cap;
    struct buf spelled[2];
};

void json_init(struct json *json); /* allocates nothing */
void json_done(struct json *json);

/* Scans one value. -ERR_INVALID with *reterr_why (position and what is wrong), -ERR_LIMIT (too deep, too
 * many values, too long), -ERR_NOMEM. The text must live as long as the tokens are used. */
MUST_CHECK int json_scan(struct json *json, struct str text, struct why *reterr_why);

/* The text of a token, without the quotes of a string. */
static inline struct str json_slice(const struct json *json, uint32_t token)
{
    return str_of(json->text.at + json->tokens[token].at, json->tokens[token].len);
}
/* The text of a value as it stands, quotes and all. */
struct str json_raw(const struct json *json, uint32_t token);

/* Value of the member `key` (under 256 bytes, which need no escapes) of the object at `object`; 0 when there is none
 * (0 is the root, never a member). */
uint32_t json_member(const struct json *json, uint32_t object, struct str key);

/* A string's text with its escapes resolved. Lone surrogates become U+FFFD. */
void json_unescape(struct str slice, struct buf *out);
/* Appends `text` (UTF-8) as the inside of a JSON string: no quotes. */
void json_escape(struct str text, struct buf *out);

/* What a slice of a string says, resolved if it has to be: `token`'s own bytes, or a copy in the arena.
 * at == NULL: arena_error(). */
struct str json_text(const struct json *json, uint32_t token, struct arena *arena);

#endif
