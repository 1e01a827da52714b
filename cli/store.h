/* store.h - calls to object stores that are waited for: what an operator's commands need of lib/objects.
 *
 * An answer that is unclear is asked for again, STORE_TRIES times in all, with growing pauses.
 *
 * Layer: I/O. DEPS base, http, objects.
 */
#ifndef CLI_STORE_H
#define CLI_STORE_H

#include "base/base.h"
#include "http/http.h"
#include "objects/objects.h"

#define STORE_TRIES    5
#define STORE_PAUSE_MS 200 /* before the second; doubled each time */

struct store_calls {
    struct http *http;
    const struct objects *objects;
    const struct crypto_key *hmac_key; /* of the metadata */
};

struct store_object {
    struct object_meta meta;
    bool meta_valid;
    struct why meta_why; /* what is wrong with it */
    struct buf body;     /* of a get; the caller's, with its maximum set */
};

/* `each` gets every key, in the store's order; what it returns but 0 ends the listing. -ERR_NOT_FOUND: no such bucket;
 * -ERR_UNAVAILABLE: no clear answer; -ERR_CONFIG: refused. */
MUST_CHECK int store_list(const struct store_calls *calls, struct str bucket, struct str prefix,
                          struct str after, int (*each)(void *arg, struct str key), void *arg,
                          struct why *reterr_why);
/* -ERR_NOT_FOUND: no such object, or bucket; others as of store_list(); -ERR_NOMEM. */
MUST_CHECK int store_head(const struct store_calls *calls, struct str bucket, struct str key,
                          struct store_object *ret, struct why *reterr_why);
MUST_CHECK int store_get(const struct store_calls *calls, struct str bucket, struct str key,
                         struct store_object *ret, struct why *reterr_why);

#endif
