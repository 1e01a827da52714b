/* objects.h - the door to object stores: create-only writing, looking, listing. Nothing is ever deleted or
 * overwritten.
 *
 * A bucket lies in the store of the first row of `destinations` whose pattern matches its name.
 *
 * Layer: I/O. DEPS base, config, crypto, http, sign.
 */
#ifndef OBJECTS_OBJECTS_H
#define OBJECTS_OBJECTS_H

#include "base/base.h"
#include "config/common.h"
#include "http/http.h"
#include "objects/name.h"

#define OBJECTS_PUT_TIMEOUT_MS  60000 /* far below any log's retention (rule 10) */
#define OBJECTS_CALL_TIMEOUT_MS 10000
#define OBJECTS_LIST_KEYS_MAX   1000 /* a page */

enum objects_outcome {
    OBJECTS_OK,        /* created, found, listed */
    OBJECTS_EXISTS,    /* the key was there before (rule 11: then look at it) */
    OBJECTS_UNCLEAR,   /* perhaps carried out: timeout, 5xx, conflict; ask or do the same again */
    OBJECTS_NOT_FOUND, /* no such object */
    OBJECTS_NO_BUCKET, /* no such bucket, or no store for it */
    OBJECTS_DENIED,    /* credentials or rights */
    OBJECTS_REFUSED,   /* anything else that the store says: not carried out */
};
const char *objects_outcome_name(enum objects_outcome outcome);

struct objects;
struct objects_store;

/* Reads the credentials' files. `rows` of struct destination_section. -ERR_CONFIG. */
MUST_CHECK int objects_open(const struct config_groups *rows, struct objects **ret,
                            struct why *reterr_why);
void objects_free(struct objects *objects);
AUTO_DEFINE(struct objects, objects_free)
/* NULL: no row matches. */
const struct objects_store *objects_find(const struct objects *objects, struct str bucket);
/* Text that tells destinations apart: endpoint and bucket. */
void objects_destination(const struct objects_store *store, struct str bucket, struct buf *out);

struct objects_result {
    enum objects_outcome outcome;
    struct object_meta meta; /* of a head */
    bool meta_valid;         /* else `why` says what is wrong with it */
    struct str *keys;        /* of a list, in the store's order */
    size_t key_count;
    struct str next_token; /* of a list: empty at its end */
    struct why why;        /* of anything but OBJECTS_OK */
};
/* The result lives until it returns. */
typedef void objects_done_fn(void *arg, const struct objects_result *result);

/* Answers come from http_poll(). `now_s`: wall clock, for signatures. -ERR_LIMIT, -ERR_NOMEM: not begun. */
MUST_CHECK int objects_put(struct http *http, const struct objects_store *store, int64_t now_s,
                           struct str bucket, struct str key, struct str body,
                           const struct object_meta_field *meta, size_t meta_count,
                           objects_done_fn *done, void *arg);
MUST_CHECK int objects_head(struct http *http, const struct objects_store *store, int64_t now_s,
                            struct str bucket, struct str key, const struct crypto_key *hmac_key,
                            objects_done_fn *done, void *arg);
MUST_CHECK int objects_list(struct http *http, const struct objects_store *store, int64_t now_s,
                            struct str bucket, struct str prefix, struct str start_after,
                            struct str token, objects_done_fn *done, void *arg);

/* Rule 15: lists the probe key, writes it create-only twice; the second must be refused. Waits; for the API and for a
 * worker's first use. OBJECTS_OK, or why the bucket cannot be used. */
enum objects_outcome objects_probe(const struct objects_store *store, int64_t now_s,
                                   struct str bucket, struct str prefix, struct why *ret_why);

/* A page of ListObjectsV2, read. Pure. -ERR_INVALID when it is none. Slices lie in `memory`. */
MUST_CHECK int objects_list_parse(struct str xml, struct arena *memory, struct str **ret_keys,
                                  size_t *ret_count, struct str *ret_token);

#endif
