/* jsondoc.h - JSON documents of the control plane: settings, requests, answers. Never the event path.
 *
 * A document is a tree; children are borrowed from it. Strings may hold any UTF-8 but no NUL.
 *
 * Layer: pure. DEPS base, json. The only door to jansson.
 */
#ifndef JSONDOC_JSONDOC_H
#define JSONDOC_JSONDOC_H

#include "base/base.h"

#define JSONDOC_SIZE_MAX   (4 * 1024 * 1024)
#define JSONDOC_TOKENS_MAX (1 << 20)

struct jsondoc;

/* -ERR_INVALID (malformed, a key twice, a NUL in a string, a number that no int64_t or double holds), -ERR_LIMIT (too
 * long, too deep, too many values), -ERR_NOMEM. */
MUST_CHECK int jsondoc_parse(struct str text, struct jsondoc **ret, struct why *reterr_why);
void jsondoc_free(struct jsondoc *doc);
AUTO_DEFINE(struct jsondoc, jsondoc_free)

/* ---- reading: a missing member, or one of another type, is false, 0, or NULL ------------------- */

bool jsondoc_is_object(const struct jsondoc *doc);
bool jsondoc_is_array(const struct jsondoc *doc);
bool jsondoc_text(const struct jsondoc *doc, struct str *ret); /* doc itself is a string */
bool jsondoc_number(const struct jsondoc *doc, int64_t *ret);  /* doc itself is an integer */
const struct jsondoc *jsondoc_get(const struct jsondoc *doc, const char *key);
bool jsondoc_str(const struct jsondoc *doc, const char *key, struct str *ret);
struct str jsondoc_str_or(const struct jsondoc *doc, const char *key, struct str otherwise);
bool jsondoc_i64(const struct jsondoc *doc, const char *key, int64_t *ret);
int64_t jsondoc_i64_or(const struct jsondoc *doc, const char *key, int64_t otherwise);
bool jsondoc_bool(const struct jsondoc *doc, const char *key); /* false when missing */
size_t jsondoc_len(const struct jsondoc *doc);                 /* items or members */
const struct jsondoc *jsondoc_at(const struct jsondoc *doc, size_t i);
/* Members in the order of the text: start with *cursor NULL; false after the last. */
bool jsondoc_each(const struct jsondoc *doc, void **cursor, struct str *ret_key,
                  const struct jsondoc **ret_value);

/* ---- building: NULL without memory; setting takes the child over and tolerates NULL ------------ */

/* How often this thread had no memory for a document so far. One that was built in many steps lacks something when
 * it was more often behind them than before them. */
unsigned jsondoc_failures(void);

struct jsondoc *jsondoc_object(void);
struct jsondoc *jsondoc_array(void);
struct jsondoc *jsondoc_string(struct str s);
struct jsondoc *jsondoc_integer(int64_t n);
struct jsondoc *jsondoc_real(double n); /* finite */
struct jsondoc *jsondoc_boolean(bool b);
struct jsondoc *jsondoc_null(void);
int jsondoc_set(struct jsondoc *doc, const char *key, struct jsondoc *child);
int jsondoc_set_str(struct jsondoc *doc, const char *key,
                    struct str s); /* -ERR_INVALID: not UTF-8, or a NUL in it */
int jsondoc_set_i64(struct jsondoc *doc, const char *key, int64_t n);
int jsondoc_set_bool(struct jsondoc *doc, const char *key, bool b);
int jsondoc_append(struct jsondoc *doc, struct jsondoc *child);
struct jsondoc *jsondoc_copy(const struct jsondoc *doc);

/* Compact, keys in the order they were set. */
MUST_CHECK int jsondoc_render(const struct jsondoc *doc, struct buf *out);

#endif
