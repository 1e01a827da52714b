/* objects.h - the door to object stores: create-only writing, looking, listing. Nothing is ever deleted or
 * overwritten.
 *
 * A bucket lies in the store of the first row of `destinations` whose pattern matches its name. The row's dialect
 * says how the store is spoken to:
 *
 *     s3      over HTTP, signed as AWS does         create-only: If-None-Match: *
 *     oss     over HTTP, signed as OSS V4 does      create-only: x-oss-forbid-overwrite
 *     files   folders of this machine               create-only: link(2)
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
#define OBJECTS_CALL_TIMEOUT_MS 10000 /* and of a PUT, on top of what a slow line takes: */
#define OBJECTS_BYTES_PER_MS    128
#define OBJECTS_LIST_KEYS_MAX   1000 /* a page */
#define OBJECTS_BODY_SIZE_MAX   ((size_t)256 << 20)

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

/* What is wrong, for a person: finer than the outcome, and nothing is decided by it. */
enum objects_fault {
    OBJECTS_FAULT_NONE,
    OBJECTS_FAULT_NAME,       /* the endpoint's host name is not known */
    OBJECTS_FAULT_CONNECT,    /* nobody listens there */
    OBJECTS_FAULT_TRUST,      /* TLS */
    OBJECTS_FAULT_SILENT,     /* no answer, a late one, or none of an object store */
    OBJECTS_FAULT_TROUBLE,    /* it answers that it is in trouble itself */
    OBJECTS_FAULT_CLOCK,      /* our clock and the store's differ */
    OBJECTS_FAULT_KEYS,       /* unknown access key, or a wrong secret */
    OBJECTS_FAULT_RIGHTS,     /* the key may not do that */
    OBJECTS_FAULT_REGION,     /* the bucket lies in another region */
    OBJECTS_FAULT_BUCKET,     /* there is no such bucket */
    OBJECTS_FAULT_OVERWRITES, /* the store lets objects be overwritten */
    OBJECTS_FAULT_VERSIONING, /* versioning is on or suspended, where that allows overwriting */
    OBJECTS_FAULT_OTHER,
};

struct objects;
struct objects_store;

/* Reads the credentials' files. `rows` of struct destination_section. -ERR_CONFIG. */
MUST_CHECK int objects_open(const struct config_groups *rows, struct objects **ret,
                            struct why *reterr_why);
void objects_free(struct objects *objects);
AUTO_DEFINE(struct objects, objects_free)
/* NULL: no row matches. */
const struct objects_store *objects_find(const struct objects *objects, struct str bucket);
const char *objects_dialect(const struct objects_store *store); /* "s3", "oss", "files" */
/* Text that tells destinations apart: endpoint and bucket. */
void objects_destination(const struct objects_store *store, struct str bucket, struct buf *out);

struct objects_result {
    enum objects_outcome outcome;
    struct object_meta meta; /* of a head, of a get */
    bool meta_valid;         /* else `why` says what is wrong with it */
    struct str body;         /* of a get: the gzip member as it lies there */
    struct str *keys;        /* of a list, in the store's order */
    size_t key_count;
    struct str next_token; /* of a list: empty at its end */
    struct why why;        /* of anything but OBJECTS_OK */
    enum objects_fault fault;
};
/* The result lives until it returns. */
typedef void objects_done_fn(void *arg, const struct objects_result *result);

/* Answers come from http_poll(), those of files too. `now_s`: wall clock, for signatures. With metadata the body must
 * be a gzip member, which has room for it. -ERR_LIMIT, -ERR_NOMEM: not begun. */
MUST_CHECK int objects_put(struct http *http, const struct objects_store *store, int64_t now_s,
                           struct str bucket, struct str key, struct str body,
                           const struct object_meta_field *meta, size_t meta_count,
                           objects_done_fn *done, void *arg);
MUST_CHECK int objects_head(struct http *http, const struct objects_store *store, int64_t now_s,
                            struct str bucket, struct str key, const struct crypto_key *hmac_key,
                            objects_done_fn *done, void *arg);
MUST_CHECK int objects_get(struct http *http, const struct objects_store *store, int64_t now_s,
                           struct str bucket, struct str key, const struct crypto_key *hmac_key,
                           objects_done_fn *done, void *arg);
MUST_CHECK int objects_list(struct http *http, const struct objects_store *store, int64_t now_s,
                            struct str bucket, struct str prefix, struct str start_after,
                            struct str token, objects_done_fn *done, void *arg);

/* ---- the probe (rule 15): can a bucket be used? ------------------------------------------------------- */

enum objects_step {
    OBJECTS_STEP_VERSIONING, /* asked of oss only: there it must be off */
    OBJECTS_STEP_LIST,       /* rule 5 lists */
    OBJECTS_STEP_WRITE,      /* the probe key, create-only; from an earlier probe it may be there */
    OBJECTS_STEP_WRITE_AGAIN, /* which must be refused */
    OBJECTS_STEP_READ,        /* rule 11 looks */
    OBJECTS_STEP_DONE,
};

struct objects_probe {
    enum objects_outcome outcome; /* OBJECTS_OK, or why the bucket cannot be used */
    enum objects_step step;       /* that failed; OBJECTS_STEP_DONE */
    enum objects_fault fault;
    struct why why;
};
/* The result lives until it returns. */
typedef void objects_probed_fn(void *arg, const struct objects_probe *probe);

/* From http_poll(), as others. -ERR_LIMIT, -ERR_NOMEM: not begun. */
MUST_CHECK int objects_probe_begin(struct http *http, const struct objects_store *store,
                                   int64_t now_s, struct str bucket, struct str prefix,
                                   objects_probed_fn *done, void *arg);
/* Begins one and waits for it. Returns its outcome. */
enum objects_outcome objects_probe(const struct objects_store *store, int64_t now_s,
                                   struct str bucket, struct str prefix, struct objects_probe *ret);

/* A page of ListObjectsV2, read. Pure. -ERR_INVALID when it is none; -ERR_LIMIT, -ERR_NOMEM. Slices lie in `memory`. */
MUST_CHECK int objects_list_parse(struct str xml, struct arena *memory, struct str **ret_keys,
                                  size_t *ret_count, struct str *ret_token);

#endif
