/* uploads.c - between the core's words and the store's. */
#include "uploads.h"

#include <stdio.h>

#include "gzip/gzip.h"
#include "log/log.h"

#define EVENT_TYPE     STR("Actiontrail")
#define BATCH_SIZE_MAX ((size_t)256 << 20)
#define BUCKETS_MAX    4096
#define DAY_S          86400

/* Whether a bucket keeps what create-only promises (rule 15): tried out before its first object. */
enum probe_state {
    PROBE_ASKED,
    PROBE_GOOD,
    PROBE_BAD, /* not without somebody changing it */
};

struct bucket {
    char *name;
    enum probe_state state;
    struct why why; /* of a bad one */
};

struct uploads {
    struct http *http;
    const struct objects *objects;
    struct crypto_key hmac_key;
    struct str region;
    struct uploads_owner owner;
    struct delivery *delivery; /* NULL while there is none */
    uint64_t attached;         /* how many there were */
    struct gzip *gzip;
    struct bucket buckets[BUCKETS_MAX];
    size_t bucket_count;
    size_t bucket_next; /* that makes room */
};

/* One request under way. */
struct request {
    struct uploads *uploads;
    uint64_t attached; /* whose it is */
    enum delivery_effect_kind kind;
    uint64_t stream;
    char *trail, *bucket, *prefix, *chain;
    int32_t partition;
    int64_t created_s, now_s;
    struct buf body; /* of a PUT */
    bool any;        /* of a listing: the greatest so far */
    int64_t first, first_time_ms;
};

struct uploads *uploads_new(struct http *http, const struct objects *objects,
                            const struct crypto_key *hmac_key, struct str region,
                            const struct uploads_owner *owner)
{
    struct uploads *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->http = http;
    u->objects = objects;
    u->hmac_key = *hmac_key;
    u->region = region;
    u->owner = *owner;
    u->gzip = gzip_new();
    if (u->gzip)
        return u;
    free(u);
    return NULL;
}

void uploads_free(struct uploads *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < u->bucket_count; i++)
        free(u->buckets[i].name);
    gzip_free(u->gzip);
    free(u);
}

void uploads_attach(struct uploads *u, struct delivery *delivery)
{
    u->delivery = delivery;
    u->attached++;
}

/* Who asked; NULL: it is gone. The next core counts its streams from one again, and must not be told what became of
 * another one's object. */
static struct delivery *asker(const struct request *q)
{
    return q->attached == q->uploads->attached ? q->uploads->delivery : NULL;
}

static void request_free(struct request *q)
{
    if (!q)
        return;
    free(q->trail);
    free(q->bucket);
    free(q->prefix);
    free(q->chain);
    buf_done(&q->body);
    free(q);
}
AUTO_DEFINE(struct request, request_free)

/* NULL without memory. */
static struct request *request_new(struct uploads *u, const struct delivery_effect *e)
{
    struct request *q = calloc(1, sizeof(*q));

    if (!q)
        return NULL;
    *q = (struct request){.uploads = u,
                          .attached = u->attached,
                          .kind = e->kind,
                          .stream = e->stream,
                          .trail = str_dup(e->trail),
                          .bucket = str_dup(e->bucket),
                          .prefix = str_dup(e->prefix),
                          .chain = str_dup(e->chain),
                          .partition = e->partition,
                          .created_s = e->created_s};
    buf_init(&q->body, BATCH_SIZE_MAX);
    if (q->trail && q->bucket && q->prefix && q->chain)
        return q;
    request_free(q);
    return NULL;
}

static enum delivery_outcome outcome_of(enum objects_outcome outcome)
{
    switch (outcome) {
    case OBJECTS_OK:
        return DELIVERY_OK;
    case OBJECTS_EXISTS:
        return DELIVERY_EXISTS;
    case OBJECTS_NOT_FOUND:
        return DELIVERY_NOT_FOUND;
    case OBJECTS_UNCLEAR:
        return DELIVERY_UNCLEAR;
    default:
        return DELIVERY_FAILED;
    }
}

/* ---- listing ----------------------------------------------------------------------------------------- */

static void list_page(struct request *request, struct str token, int64_t now_s);

static void note_keys(struct request *q, const struct objects_result *result)
{
    for (size_t i = 0; i < result->key_count; i++) {
        struct object_name name;

        if (!object_name_parse(result->keys[i], &name) || name.partition != q->partition ||
            !str_eq(name.chain, str_from(q->chain)))
            continue;
        if (q->any && name.first <= q->first)
            continue;
        q->any = true;
        q->first = name.first;
        q->first_time_ms = name.time_s * 1000;
    }
}

static void on_listed(void *arg, const struct objects_result *result)
{
    AUTO(request_free) struct request *q = arg;
    struct request *next = q;

    note_keys(q, result);
    if (!asker(q))
        return;
    if (q->kind == DELIVERY_PROBE) {
        if (result->outcome != OBJECTS_OK) /* says more than the PUT that failed: no bucket, say */
            q->uploads->owner.delivered(q->uploads->owner.arg, str_from(q->trail),
                                        result->why.text);
        delivery_probed(q->uploads->delivery, q->stream, outcome_of(result->outcome),
                        result->why.text);
    } else if (result->outcome == OBJECTS_OK && result->next_token.len) {
        q = NULL;
        list_page(next, result->next_token, next->now_s);
    } else {
        delivery_listed(q->uploads->delivery, q->stream, outcome_of(result->outcome), q->any,
                        q->first, q->first_time_ms, result->why.text);
    }
}

static void list_page(struct request *request, struct str token, int64_t now_s)
{
    AUTO(request_free) struct request *q = request;
    const struct objects_store *store = objects_find(q->uploads->objects, str_from(q->bucket));
    struct objects_result none = {.outcome = OBJECTS_NO_BUCKET};
    AUTO_BUF struct buf folder = {0}, after = {0};
    struct request *sent = q;

    q->now_s = now_s;
    buf_init(&folder, OBJECT_KEY_SIZE_MAX);
    buf_init(&after, OBJECT_KEY_SIZE_MAX);
    object_folder(str_from(q->prefix), EVENT_TYPE, q->uploads->region, &folder);
    object_day_prefix(str_from(q->prefix), EVENT_TYPE, q->uploads->region,
                      (q->created_s - DAY_S) * 1000, &after);
    if (buf_error(&folder) || buf_error(&after)) /* it would list everything */
        none.outcome = OBJECTS_UNCLEAR;
    else if (store &&
             objects_list(q->uploads->http, store, now_s, str_from(q->bucket), buf_str(&folder),
                          token.len ? STR("") : buf_str(&after), token, on_listed, sent) == 0) {
        q = NULL;
        return;
    }
    if (store)
        none.outcome = OBJECTS_UNCLEAR;
    q = NULL;
    on_listed(sent, &none);
}

static void begin_list(struct uploads *u, const struct delivery_effect *e, int64_t now_s)
{
    struct request *q = request_new(u, e);

    if (q)
        list_page(q, STR(""), now_s);
    else if (e->kind == DELIVERY_PROBE)
        delivery_probed(u->delivery, e->stream, DELIVERY_UNCLEAR, "no memory");
    else
        delivery_listed(u->delivery, e->stream, DELIVERY_UNCLEAR, false, 0, 0, "no memory");
}

/* ---- the probe (rule 15) -------------------------------------------------------------------------------- */

static struct bucket *bucket_find(struct uploads *u, struct str name)
{
    for (size_t i = 0; i < u->bucket_count; i++)
        if (str_eq(str_from(u->buckets[i].name), name))
            return &u->buckets[i];
    return NULL;
}

static void bucket_forget(struct uploads *u, struct bucket *b)
{
    free(b->name);
    *b = u->buckets[--u->bucket_count];
}

static void on_probed(void *arg, const struct objects_probe *probe)
{
    AUTO(request_free) struct request *q = arg;
    struct uploads *u = q->uploads;
    struct bucket *b = bucket_find(u, str_from(q->bucket));

    if (!b)
        return;
    if (probe->outcome == OBJECTS_OK) {
        b->state = PROBE_GOOD;
        return;
    }
    if (u->delivery)
        u->owner.delivered(u->owner.arg, str_from(q->trail), probe->why.text);
    if (probe->outcome == OBJECTS_REFUSED) {
        b->state = PROBE_BAD;
        b->why = probe->why;
        log_warning("nothing is delivered to bucket %s: %s", q->bucket, probe->why.text);
    } else {
        bucket_forget(u, b); /* asked again with the next object */
    }
}

static void probe_begin(struct uploads *u, const struct delivery_effect *e,
                        const struct objects_store *store, int64_t now_s)
{
    struct bucket *b = &u->buckets[u->bucket_count++];
    struct request *q = request_new(u, e);

    *b = (struct bucket){.name = str_dup(e->bucket), .state = PROBE_ASKED};
    if (q && b->name &&
        objects_probe_begin(u->http, store, now_s, e->bucket, e->prefix, on_probed, q) == 0)
        return;
    bucket_forget(u, b);
    request_free(q);
}

/* Whether objects may be written there. While that is not known an object's own answer is "unclear", so the
 * core comes back with it soon; a bad bucket is tried anew each time that the core comes back to it. */
static enum delivery_outcome bucket_ready(struct uploads *u, const struct delivery_effect *e,
                                          const struct objects_store *store, int64_t now_s,
                                          struct why *ret_why)
{
    struct bucket *b = bucket_find(u, e->bucket);

    if (b && b->state == PROBE_GOOD)
        return DELIVERY_OK;
    if (b && b->state == PROBE_BAD) {
        *ret_why = b->why;
        bucket_forget(u, b);
        return DELIVERY_FAILED;
    }
    if (!b && u->bucket_count == BUCKETS_MAX) /* it is asked again with its next object */
        bucket_forget(u, &u->buckets[u->bucket_next++ % BUCKETS_MAX]);
    if (!b)
        probe_begin(u, e, store, now_s);
    return DELIVERY_UNCLEAR;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static void on_put(void *arg, const struct objects_result *result)
{
    AUTO(request_free) struct request *q = arg;
    struct uploads *u = q->uploads;

    if (!asker(q))
        return;
    if (result->outcome == OBJECTS_NO_BUCKET || result->outcome == OBJECTS_DENIED) {
        struct bucket *b = bucket_find(u, str_from(q->bucket));

        if (b)
            bucket_forget(u, b); /* it may come back as another one */
    }
    u->owner.delivered(
        u->owner.arg, str_from(q->trail),
        result->outcome == OBJECTS_OK || result->outcome == OBJECTS_EXISTS ? "" : result->why.text);
    delivery_put_done(u->delivery, q->stream, outcome_of(result->outcome), result->why.text);
}

static int build_array(const struct delivery_effect *e, struct buf *out)
{
    buf_add_byte(out, '[');
    for (int64_t i = 0; i < e->meta.count; i++) {
        if (i)
            buf_add_str(out, STR(",\n"));
        buf_add(out, e->records[i]->document, e->records[i]->len);
    }
    buf_add_str(out, STR("]\n"));
    return buf_error(out);
}

static int put(struct uploads *u, const struct delivery_effect *e,
               const struct objects_store *store, int64_t now_s)
{
    struct object_meta meta = {.partition = e->meta.partition,
                               .from = e->meta.from,
                               .first = e->meta.first,
                               .last = e->meta.last,
                               .next = e->meta.next,
                               .count = e->meta.count,
                               .version = e->meta.version,
                               .since = e->meta.total.since,
                               .delivered = e->meta.total.delivered,
                               .filtered = e->meta.total.filtered,
                               .lost = e->meta.total.lost};
    struct object_meta_field fields[OBJECT_META_FIELDS];
    AUTO(request_free) struct request *q = request_new(u, e);
    AUTO_BUF struct buf plain = {0}, key = {0};
    struct request *sent = q;
    int r;

    if (!q)
        return -ERR_NOMEM;
    buf_init(&plain, BATCH_SIZE_MAX);
    buf_init(&key, OBJECT_KEY_SIZE_MAX);
    r = build_array(e, &plain);
    if (r < 0)
        return r;
    memcpy(meta.chain, e->meta.chain, sizeof(meta.chain));
    meta.sha256 = sha256_of(buf_str(&plain));
    object_key(e->prefix, EVENT_TYPE, u->region, e->first_time_ms, e->partition, e->meta.first,
               e->chain, &key);
    if ((r = buf_error(&key)) < 0 || (r = gzip_pack(u->gzip, buf_str(&plain), &q->body)) < 0)
        return r;
    object_meta_render(&meta, &u->hmac_key, e->bucket, buf_str(&key), fields);
    r = objects_put(u->http, store, now_s, e->bucket, buf_str(&key), buf_str(&q->body), fields,
                    OBJECT_META_FIELDS, on_put, sent);
    if (r == 0)
        q = NULL;
    return r;
}

static void begin_put(struct uploads *u, const struct delivery_effect *e, int64_t now_s)
{
    const struct objects_store *store = objects_find(u->objects, e->bucket);
    struct why why = {"no destination matches the bucket"};
    enum delivery_outcome outcome = DELIVERY_FAILED;

    if (store) {
        why.text[0] = '\0';
        outcome = bucket_ready(u, e, store, now_s, &why);
    }
    if (outcome == DELIVERY_OK && put(u, e, store, now_s) == 0)
        return;
    if (outcome == DELIVERY_OK)
        outcome = DELIVERY_UNCLEAR; /* too many requests under way, or no memory: soon again */
    if (why.text[0])
        u->owner.delivered(u->owner.arg, e->trail, why.text);
    delivery_put_done(u->delivery, e->stream, outcome, why.text);
}

/* ---- looking --------------------------------------------------------------------------------------------- */

static void on_head(void *arg, const struct objects_result *result)
{
    AUTO(request_free) struct request *q = arg;
    const struct object_meta *m = &result->meta;
    struct delivery_meta meta = {.partition = m->partition,
                                 .from = m->from,
                                 .first = m->first,
                                 .last = m->last,
                                 .next = m->next,
                                 .count = m->count,
                                 .version = m->version,
                                 .total = {m->since, m->delivered, m->filtered, m->lost}};

    if (!asker(q))
        return;
    memcpy(meta.chain, m->chain, sizeof(meta.chain));
    delivery_head_done(q->uploads->delivery, q->stream, outcome_of(result->outcome),
                       result->meta_valid ? &meta : NULL, result->why.text);
}

static void begin_head(struct uploads *u, const struct delivery_effect *e, int64_t now_s)
{
    const struct objects_store *store = objects_find(u->objects, e->bucket);
    AUTO(request_free) struct request *q = request_new(u, e);
    AUTO_BUF struct buf key = {0};
    struct request *sent = q;

    buf_init(&key, OBJECT_KEY_SIZE_MAX);
    object_key(e->prefix, EVENT_TYPE, u->region, e->first_time_ms, e->partition, e->meta.first,
               e->chain, &key);
    if (q && store && buf_error(&key) == 0 &&
        objects_head(u->http, store, now_s, e->bucket, buf_str(&key), &u->hmac_key, on_head,
                     sent) == 0)
        q = NULL;
    else
        delivery_head_done(u->delivery, e->stream, store ? DELIVERY_UNCLEAR : DELIVERY_FAILED, NULL,
                           "");
}

void uploads_begin(struct uploads *u, const struct delivery_effect *e, int64_t now_s)
{
    switch (e->kind) {
    case DELIVERY_PUT:
        begin_put(u, e, now_s);
        break;
    case DELIVERY_HEAD:
        begin_head(u, e, now_s);
        break;
    default:
        begin_list(u, e, now_s);
        break;
    }
}
