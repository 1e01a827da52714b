/* name.h - an object's key and metadata: what makes the bucket a ledger (delivery protocol, rule 9).
 *
 *     <prefix>/AliyunLogs/Actiontrail/<region>/<YYYY>/<MM>/<DD>/
 *         Actiontrail_<region>_<YYYYMMDDhhmmss>_<partition>_<first offset, 20 digits>_<chain>.gz
 *
 * The key is a function of the first record (its LogAppendTime, partition and offset) and of the chain, and
 * of nothing else. The metadata, in the headers x-amz-meta-trailbus-…, says what the object covers; an
 * HMAC by the deployment's key over all of it, bucket and key included, says that we wrote it.
 *
 * Layer: pure. DEPS base, crypto.
 */
#ifndef OBJECTS_NAME_H
#define OBJECTS_NAME_H

#include "base/base.h"
#include "crypto/crypto.h"

#define OBJECT_KEY_SIZE_MAX 512
#define OBJECT_CHAIN_SIZE   17 /* 16 hex digits and NUL */
#define OBJECT_META_FIELDS  11

struct object_meta {
    char chain[OBJECT_CHAIN_SIZE];
    int32_t partition;
    int64_t from; /* the boundary that it begins at: `next` of the previous object, or the origin */
    int64_t first; /* offsets of the first and the last event in it */
    int64_t last;
    int64_t next;         /* the boundary behind it */
    int64_t count;        /* events */
    int64_t version;      /* of the trail at `first` */
    struct sha256 sha256; /* of the plain bytes */
    /* Totals of the stream at `next`; since -1: written before objects said so. */
    int64_t since;     /* counted from there */
    int64_t delivered; /* events in objects, this one included */
    int64_t filtered;  /* events that the trail does not want */
    int64_t lost;      /* offsets that left the log unread */
};

/* "<prefix>/AliyunLogs/<type>/<region>/" */
void object_folder(struct str prefix, struct str type, struct str region, struct buf *out);
/* `time_ms`: LogAppendTime of the first record. */
void object_key(struct str prefix, struct str type, struct str region, int64_t time_ms,
                int32_t partition, int64_t first, struct str chain, struct buf *out);
/* "<prefix>/AliyunLogs/<type>/<region>/YYYY/MM/DD/": what to list for one day. */
void object_day_prefix(struct str prefix, struct str type, struct str region, int64_t time_ms,
                       struct buf *out);

struct object_name {
    int64_t time_s; /* of the first record */
    int32_t partition;
    int64_t first;
    struct str chain;
};
/* What a listed key says; false for keys of other forms (an auditor's own files, say). */
bool object_name_parse(struct str key, struct object_name *ret);

/* One metadata field: its name behind "x-amz-meta-" and its value. */
struct object_meta_field {
    char name[32];
    char value[88];
};
/* The deployment's key for it. */
struct crypto_key object_meta_key(const struct crypto_key *master);
void object_meta_render(const struct object_meta *meta, const struct crypto_key *key,
                        struct str bucket, struct str object,
                        struct object_meta_field ret[OBJECT_META_FIELDS]);
/* `get` looks a field's value up by its name. -ERR_INVALID: missing, malformed, contradictory or not
 * signed by this deployment. */
MUST_CHECK int object_meta_parse(bool (*get)(void *arg, const char *name, struct str *ret),
                                 void *arg, const struct crypto_key *key, struct str bucket,
                                 struct str object, struct object_meta *ret,
                                 struct why *reterr_why);

#endif
