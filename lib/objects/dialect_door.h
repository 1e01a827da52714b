/* dialect_door.h - what a dialect of object stores has to be able to do, and what it is given. Inner header of lib/objects.
 *
 *     objects.c    rows, patterns, calls        probe.c     a bucket tried out
 *     remote.c     stores behind HTTP: s3, oss  files.c     folders of this machine
 *     listing.c    a page of a listing, read    name.c      keys and metadata
 *     store_error.c    what an answer that is no success means
 */
#ifndef OBJECTS_DIALECT_DOOR_H
#define OBJECTS_DIALECT_DOOR_H

#include "objects/objects.h"

#define OBJECTS_LIST_MEMORY_MAX (4 << 20)

struct objects_store {
    struct destination_section row;
    const struct dialect *dialect;
    struct str place; /* for people, and to tell stores apart: the endpoint's host, or the folder */
    /* of stores behind HTTP: */
    struct str scheme, region;
    char *access_key, *secret, *ca_file;
    /* of files: */
    struct durable *durable;
};

/* One call under way. */
struct call {
    const struct objects_store *store;
    const struct crypto_key
        *hmac_key; /* of a head or a get, may be NULL: metadata does not matter then */
    char *bucket, *key;
    bool listing, versioning, getting;
    objects_done_fn *done;
    void *arg;
};
void call_free(struct call *call);
AUTO_DEFINE(struct call, call_free)
/* Gives the answer, and frees the call. */
void call_done(struct call *call, const struct objects_result *result);

/* Each takes the call over when it returns 0. `versioning` answers OBJECTS_OK when it is off and was never on. */
struct dialect {
    const char *name;
    int (*open)(struct objects_store *store, struct why *reterr_why);
    int (*put)(struct http *http, struct call *call, int64_t now_s, struct str body,
               const struct object_meta_field *meta, size_t meta_count);
    int (*look)(struct http *http, struct call *call, int64_t now_s); /* a head, or `getting` */
    int (*list)(struct http *http, struct call *call, int64_t now_s, struct str prefix,
                struct str start_after, struct str token);
    int (*versioning)(struct http *http, struct call *call, int64_t now_s); /* NULL: no matter */
};
extern const struct dialect dialect_s3, dialect_oss, dialect_files;

/* -ERR_LIMIT, -ERR_NOMEM: not begun. NULL `versioning`: answered at once, by http_poll(). */
MUST_CHECK int objects_versioning(struct http *http, const struct objects_store *store,
                                  int64_t now_s, struct str bucket, objects_done_fn *done,
                                  void *arg);

#endif
