/* secrets.h - which members hold secrets, and a value rendered without them.
 *
 * Layer: core.
 */
#ifndef NORMALIZER_CORE_SECRETS_H
#define NORMALIZER_CORE_SECRETS_H

#include "base/base.h"
#include "json/json.h"

#define SECRET_MASK "***"

/* Whether a member's name says that its value is a secret. Letters' case, - and _ do not matter, and of a
 * dotted name (Tag.1.Password) the last part counts. */
bool secret_name(struct str name);

/* Appends a value's text, compact, with the values of secret members replaced by SECRET_MASK (null, true,
 * false and empty strings tell nothing and stay). A string that holds an object or array of JSON is such a text
 * as well, also within another one; where it holds no secret it stays as it is spelled. Errors are those of `out`. */
void secrets_render(const struct json *json, uint32_t value, struct buf *out);

/* The same for the value of the member whose key is the token `key`, which may say that it is one. */
void secrets_render_member(const struct json *json, uint32_t key, struct buf *out);

/* Whether that member's value is replaced as a whole: 1 or 0; -ERR_NOMEM. */
MUST_CHECK int secrets_masks_member(const struct json *json, uint32_t key);

/* Whether there is any below `value`: 1 or 0; -ERR_NOMEM. */
MUST_CHECK int secrets_below(const struct json *json, uint32_t value);

#endif
