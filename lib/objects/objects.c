/* objects.c - destinations, and calls handed to their dialects. */
#include "objects/objects.h"

#include "objects/dialect_door.h"

#define STORES_MAX 256

struct objects {
    struct objects_store stores[STORES_MAX];
    size_t count;
};

const char *objects_outcome_name(enum objects_outcome outcome)
{
    static const char *const names[] = {"ok",        "exists", "unclear", "not_found",
                                        "no_bucket", "denied", "refused"};

    return names[outcome];
}

/* ---- destinations ------------------------------------------------------------------------------ */

static int store_open(struct objects_store *s, const struct destination_section *row,
                      struct why *why)
{
    static const struct dialect *const dialects[] = {&dialect_s3, &dialect_oss, &dialect_files};

    s->row = *row;
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
        if (str_eq(row->dialect, str_from(dialects[i]->name)))
            s->dialect = dialects[i];
    if (!s->dialect)
        return why_set(why, -ERR_CONFIG,
                       "destination " STR_FMT ": dialect must be s3, oss or files",
                       STR_ARG(row->pattern));
    return s->dialect->open(s, why);
}

int objects_open(const struct config_groups *rows, struct objects **ret, struct why *reterr_why)
{
    AUTO(objects_free) struct objects *o = calloc(1, sizeof(*o));
    const struct destination_section *row = rows->at;

    if (!o)
        return -ERR_NOMEM;
    if (rows->count > STORES_MAX)
        return why_set(reterr_why, -ERR_CONFIG, "more than %d destinations", STORES_MAX);
    for (size_t i = 0; i < rows->count; i++) {
        int r = store_open(&o->stores[o->count++], &row[i], reterr_why);

        if (r < 0)
            return r;
    }
    *ret = o;
    o = NULL;
    return 0;
}

void objects_free(struct objects *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->count; i++) {
        free(o->stores[i].access_key);
        if (o->stores[i].secret)
            crypto_wipe(o->stores[i].secret, strlen(o->stores[i].secret));
        free(o->stores[i].secret);
        free(o->stores[i].ca_file);
        free(o->stores[i].durable);
    }
    free(o);
}

/* `*` stands for any run of characters; there is nothing else to it. */
static bool pattern_matches(struct str pattern, struct str name)
{
    struct str rest = pattern, part;
    bool first = true;

    while (str_split(&rest, '*', &part)) {
        size_t at;

        if (first && !str_starts(name, part))
            return false;
        if (!rest.at) /* the last part stands at the end */
            return first ? str_eq(name, part) : str_ends(name, part);
        if (part.len && !str_find(name, part, &at))
            return false;
        if (part.len)
            name = str_of(name.at + at + part.len, name.len - at - part.len);
        first = false;
    }
    return true;
}

const struct objects_store *objects_find(const struct objects *o, struct str bucket)
{
    for (size_t i = 0; i < o->count; i++)
        if (pattern_matches(o->stores[i].row.pattern, bucket))
            return &o->stores[i];
    return NULL;
}

const char *objects_dialect(const struct objects_store *store)
{
    return store->dialect->name;
}

void objects_destination(const struct objects_store *store, struct str bucket, struct buf *out)
{
    struct str place = store ? store->place : STR("-");

    buf_addf(out, STR_FMT "/" STR_FMT, STR_ARG(place), STR_ARG(bucket));
}

/* ---- calls ------------------------------------------------------------------------------------- */

static struct call *call_new(const struct objects_store *store, struct str bucket, struct str key,
                             objects_done_fn *done, void *arg)
{
    struct call *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    *c = (struct call){.store = store, .done = done, .arg = arg};
    c->bucket = str_dup(bucket);
    c->key = str_dup(key);
    if (c->bucket && c->key)
        return c;
    call_free(c);
    return NULL;
}

void call_free(struct call *c)
{
    if (!c)
        return;
    free(c->bucket);
    free(c->key);
    free(c);
}

void call_done(struct call *call, const struct objects_result *result)
{
    AUTO(call_free) struct call *c = call;

    c->done(c->arg, result);
}

int objects_put(struct http *http, const struct objects_store *store, int64_t now_s,
                struct str bucket, struct str key, struct str body,
                const struct object_meta_field *meta, size_t meta_count, objects_done_fn *done,
                void *arg)
{
    AUTO(call_free) struct call *c = call_new(store, bucket, key, done, arg);
    int r = c ? store->dialect->put(http, c, now_s, body, meta, meta_count) : -ERR_NOMEM;

    if (r == 0)
        c = NULL;
    return r;
}

static int look(struct http *http, const struct objects_store *store, int64_t now_s,
                struct str bucket, struct str key, const struct crypto_key *hmac_key, bool get,
                objects_done_fn *done, void *arg)
{
    AUTO(call_free) struct call *c = call_new(store, bucket, key, done, arg);
    int r;

    if (!c)
        return -ERR_NOMEM;
    c->hmac_key = hmac_key;
    c->getting = get;
    r = store->dialect->look(http, c, now_s);
    if (r == 0)
        c = NULL;
    return r;
}

int objects_head(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str key, const struct crypto_key *hmac_key,
                 objects_done_fn *done, void *arg)
{
    return look(http, store, now_s, bucket, key, hmac_key, false, done, arg);
}

int objects_get(struct http *http, const struct objects_store *store, int64_t now_s,
                struct str bucket, struct str key, const struct crypto_key *hmac_key,
                objects_done_fn *done, void *arg)
{
    return look(http, store, now_s, bucket, key, hmac_key, true, done, arg);
}

int objects_list(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str prefix, struct str start_after, struct str token,
                 objects_done_fn *done, void *arg)
{
    AUTO(call_free) struct call *c = call_new(store, bucket, STR(""), done, arg);
    int r;

    if (!c)
        return -ERR_NOMEM;
    c->listing = true;
    r = store->dialect->list(http, c, now_s, prefix, start_after, token);
    if (r == 0)
        c = NULL;
    return r;
}

static void answer_ok(void *arg)
{
    call_done(arg, &(struct objects_result){.outcome = OBJECTS_OK});
}

int objects_versioning(struct http *http, const struct objects_store *store, int64_t now_s,
                       struct str bucket, objects_done_fn *done, void *arg)
{
    AUTO(call_free) struct call *c = call_new(store, bucket, STR(""), done, arg);
    int r;

    if (!c)
        return -ERR_NOMEM;
    c->versioning = true;
    r = store->dialect->versioning ? store->dialect->versioning(http, c, now_s)
                                   : http_defer(http, answer_ok, c);
    if (r == 0)
        c = NULL;
    return r;
}
