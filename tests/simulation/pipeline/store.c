/* store.c - objects.h and http.h before buckets that keep what create-only promises, and nothing else: slow, refusing, silent,
 * carrying out what we gave up, listing without the newest. */
#include "crypto/crypto.h"
#include "http/http.h"
#include "objects/objects.h"
#include "sim.h"

#define REQUESTS_MAX 48
#define PAGE_KEYS    3 /* of a listing: few, so that there are more pages */
#define QUICK_MS     20
#define DEADLINE_MS  400
#define LATE_MS      1200
#define LAG_MS       1000

enum request_kind {
    REQUEST_PUT,
    REQUEST_HEAD,
    REQUEST_LIST,
    REQUEST_PROBE,
};

struct request {
    enum request_kind kind;
    struct http *http; /* NULL: nobody waits any more */
    int bucket;
    struct str key, body, after;
    struct object_meta_field *fields;
    const struct crypto_key *hmac_key;
    objects_done_fn *done;
    objects_probed_fn *probed;
    void *arg;
    int64_t arrives_ms, answer_ms;
    bool arrived, silent;
    enum objects_outcome outcome;
    const struct object *found;
    struct str keys[PAGE_KEYS];
    size_t key_count;
    bool more;
    struct request *next;
};

struct store {
    enum bucket_state buckets[BUCKETS];
    struct object *objects;
    struct request *requests;
};

struct http {
    size_t active;
};
struct objects {
    int nothing;
};
struct objects_store {
    int nothing;
};

void store_new(void)
{
    sim->store = keep(sizeof(*sim->store));
}

void store_set(int bucket, enum bucket_state state)
{
    if (sim->store->buckets[bucket] != state)
        trace("bucket %d: state %d", bucket, state);
    sim->store->buckets[bucket] = state;
}

const struct object *store_objects(void)
{
    return sim->store->objects;
}

struct str store_bucket_name(int bucket)
{
    static const char *const names[BUCKETS] = {"bucket-a", "bucket-b"};

    return str_from(names[bucket]);
}

static int bucket_of(struct str name)
{
    for (int b = 0; b < BUCKETS; b++)
        if (str_eq(store_bucket_name(b), name))
            return b;
    fail("nobody asked for a bucket " STR_FMT, STR_ARG(name));
}

/* ---- what arrives --------------------------------------------------------------------------------------------- */

static const struct object *find(int bucket, struct str key)
{
    for (const struct object *o = sim->store->objects; o; o = o->next)
        if (o->bucket == bucket && str_eq(o->key, key))
            return o;
    return NULL;
}

static enum objects_outcome put(struct request *q)
{
    struct object *o;

    if (find(q->bucket, q->key))
        return OBJECTS_EXISTS;
    o = keep(sizeof(*o));
    *o = (struct object){.bucket = q->bucket,
                         .key = q->key,
                         .body = q->body,
                         .fields = q->fields,
                         .created_ms = now_ms(),
                         .visible_ms = now_ms() + (fault(sim->faults.lag) ? between(1, LAG_MS) : 0),
                         .next = sim->store->objects};
    sim->store->objects = o;
    trace("bucket %d: " STR_FMT, q->bucket, STR_ARG(q->key));
    oracle_object(o);
    return OBJECTS_OK;
}

static bool is_of(struct str key, struct str region, int32_t partition, int64_t *ret_first)
{
    struct object_name name;
    size_t at;

    if (!object_name_parse(key, &name) || name.partition != partition ||
        !str_find(key, region, &at))
        return false;
    *ret_first = name.first;
    return true;
}

int64_t store_first_unsettled(struct str region, int32_t partition)
{
    int64_t least = INT64_MAX, first;

    for (const struct request *q = sim->store->requests; q; q = q->next)
        if (q->kind == REQUEST_PUT && !q->arrived && q->arrives_ms != INT64_MAX &&
            is_of(q->key, region, partition, &first))
            least = MIN_OF(least, first);
    for (const struct object *o = sim->store->objects; o; o = o->next)
        if (o->visible_ms > now_ms() && is_of(o->key, region, partition, &first))
            least = MIN_OF(least, first);
    return least;
}

/* The next keys in their order. */
static enum objects_outcome list(struct request *q)
{
    struct str after = q->after;

    while (true) {
        const struct object *least = NULL;

        for (const struct object *o = sim->store->objects; o; o = o->next)
            if (o->bucket == q->bucket && o->visible_ms <= now_ms() && str_starts(o->key, q->key) &&
                str_cmp(o->key, after) > 0 && (!least || str_cmp(o->key, least->key) < 0))
                least = o;
        if (!least)
            return OBJECTS_OK;
        if (q->key_count == PAGE_KEYS) {
            q->more = true;
            return OBJECTS_OK;
        }
        q->keys[q->key_count++] = after = least->key;
    }
}

static enum objects_outcome carry_out(struct request *q)
{
    if (sim->store->buckets[q->bucket] == BUCKET_REFUSING)
        return OBJECTS_DENIED;
    if (sim->store->buckets[q->bucket] == BUCKET_MUTE)
        return OBJECTS_UNCLEAR;
    switch (q->kind) {
    case REQUEST_PUT:
        return put(q);
    case REQUEST_HEAD:
        q->found = find(q->bucket, q->key);
        return q->found ? OBJECTS_OK : OBJECTS_NOT_FOUND;
    case REQUEST_LIST:
        return list(q);
    case REQUEST_PROBE:
        break;
    }
    return OBJECTS_OK;
}

void store_tick(void)
{
    for (struct request **at = &sim->store->requests; *at;) {
        struct request *q = *at;

        if (!q->arrived && q->arrives_ms <= now_ms()) {
            enum objects_outcome outcome = carry_out(q);

            q->arrived = true;
            if (!q->silent)
                q->outcome = outcome;
        }
        if (!q->http && (q->arrived || q->arrives_ms == INT64_MAX))
            *at = q->next; /* lies in the world's memory */
        else
            at = &q->next;
    }
}

int64_t store_due_ms(void)
{
    int64_t due = INT64_MAX;

    for (const struct request *q = sim->store->requests; q; q = q->next)
        if (!q->arrived)
            due = MIN_OF(due, q->arrives_ms);
    return due;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static void fate(struct request *q)
{
    int64_t now = now_ms();

    q->arrives_ms = now + between(0, QUICK_MS);
    q->answer_ms = q->arrives_ms + between(0, QUICK_MS);
    if (fault(sim->faults.refused)) {
        q->arrives_ms = INT64_MAX;
        q->outcome = OBJECTS_UNCLEAR;
    } else if (fault(sim->faults.silent)) {
        q->silent = true;
    } else if (fault(sim->faults.slow)) {
        q->answer_ms = now + between(2 * QUICK_MS, DEADLINE_MS);
    } else if (fault(sim->faults.late_put)) {
        q->silent = true;
        q->arrives_ms = now + DEADLINE_MS + between(0, LATE_MS);
    }
    if (!q->silent)
        return;
    q->outcome = OBJECTS_UNCLEAR;
    q->answer_ms = now + DEADLINE_MS;
}

static struct request *submit(struct http *http, enum request_kind kind, struct str bucket,
                              void *arg)
{
    struct request *q;

    if (!door(0, 0) || http->active == REQUESTS_MAX)
        return NULL;
    q = keep(sizeof(*q));
    *q = (struct request){.kind = kind,
                          .http = http,
                          .bucket = bucket_of(bucket),
                          .arg = arg,
                          .next = sim->store->requests};
    http->active++;
    fate(q);
    sim->store->requests = q;
    return q;
}

int objects_put(struct http *http, const struct objects_store *store, int64_t now_s,
                struct str bucket, struct str key, struct str body,
                const struct object_meta_field *meta, size_t meta_count, objects_done_fn *done,
                void *arg)
{
    struct request *q = submit(http, REQUEST_PUT, bucket, arg);

    (void)store, (void)now_s;
    CHECK(meta_count == OBJECT_META_FIELDS);
    if (!q)
        return -ERR_LIMIT;
    q->key = keep_str(key);
    q->body = keep_str(body);
    q->fields = keep(meta_count * sizeof(*meta));
    memcpy(q->fields, meta, meta_count * sizeof(*meta));
    q->done = done;
    return 0;
}

int objects_head(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str key, const struct crypto_key *hmac_key,
                 objects_done_fn *done, void *arg)
{
    struct request *q = submit(http, REQUEST_HEAD, bucket, arg);

    (void)store, (void)now_s;
    if (!q)
        return -ERR_LIMIT;
    q->key = keep_str(key);
    q->hmac_key = hmac_key;
    q->done = done;
    return 0;
}

int objects_list(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str prefix, struct str start_after, struct str token,
                 objects_done_fn *done, void *arg)
{
    struct request *q = submit(http, REQUEST_LIST, bucket, arg);

    (void)store, (void)now_s;
    if (!q)
        return -ERR_LIMIT;
    q->key = keep_str(prefix);
    q->after = keep_str(token.len ? token : start_after);
    q->done = done;
    return 0;
}

int objects_probe_begin(struct http *http, const struct objects_store *store, int64_t now_s,
                        struct str bucket, struct str prefix, objects_probed_fn *done, void *arg)
{
    struct request *q = submit(http, REQUEST_PROBE, bucket, arg);

    (void)store, (void)now_s, (void)prefix;
    if (!q)
        return -ERR_LIMIT;
    q->probed = done;
    return 0;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static bool field(void *arg, const char *name, struct str *ret)
{
    const struct object *o = arg;

    for (size_t i = 0; i < OBJECT_META_FIELDS; i++) {
        if (strcmp(o->fields[i].name, name) != 0)
            continue;
        *ret = str_from(o->fields[i].value);
        return true;
    }
    return false;
}

bool store_meta(const struct object *o, const struct crypto_key *key, struct object_meta *ret)
{
    struct why why;

    return object_meta_parse(field, (void *)(uintptr_t)o, key, store_bucket_name(o->bucket), o->key,
                             ret, &why) == 0;
}

static void answer(struct request *q)
{
    struct objects_result result = {.outcome = q->outcome,
                                    .keys = q->keys,
                                    .key_count = q->key_count,
                                    .next_token = q->more ? q->keys[q->key_count - 1] : STR("")};
    struct objects_probe probe = {.outcome = q->outcome, .step = OBJECTS_STEP_DONE};

    q->http->active--;
    q->http = NULL;
    if (q->outcome != OBJECTS_OK) {
        (void)why_set(&result.why, 0, "the store says no");
        probe.why = result.why;
    }
    if (q->found && q->outcome == OBJECTS_OK)
        result.meta_valid = store_meta(q->found, q->hmac_key, &result.meta);
    if (q->kind == REQUEST_PROBE)
        q->probed(q->arg, &probe);
    else
        q->done(q->arg, &result);
}

static struct request *answered(const struct http *http)
{
    for (struct request *q = sim->store->requests; q; q = q->next)
        if (q->http == http && q->answer_ms <= now_ms() &&
            (q->arrived || q->silent || q->arrives_ms == INT64_MAX))
            return q;
    return NULL;
}

struct http *http_new(void)
{
    struct http *http = calloc(1, sizeof(*http));

    CHECK(http);
    return http;
}

/* Requests go on without us. Their owners are told, which real ones are not: what they hold would leak at each crash. */
void http_free(struct http *http)
{
    for (struct request *q = sim->store->requests; http && q; q = q->next) {
        if (q->http != http)
            continue;
        q->outcome = OBJECTS_UNCLEAR;
        q->found = NULL;
        answer(q);
    }
    free(http);
}

void http_poll(struct http *http, const int *fds, size_t fd_count, int timeout_ms)
{
    struct request *q;

    (void)fds, (void)fd_count;
    if (!door(0, 0))
        return;
    if (!answered(http) && timeout_ms > 0) {
        if (!doze(
                between(1, http->active ? timeout_ms : MAX_OF((int64_t)timeout_ms, sim->idle_ms))))
            return;
    }
    while ((q = answered(http)))
        answer(q);
}

/* ---- which store ------------------------------------------------------------------------------------------------- */

int objects_open(const struct config_groups *rows, struct objects **ret, struct why *reterr_why)
{
    (void)rows, (void)reterr_why;
    *ret = calloc(1, sizeof(**ret));
    CHECK(*ret);
    return 0;
}

void objects_free(struct objects *objects)
{
    free(objects);
}

const struct objects_store *objects_find(const struct objects *objects, struct str bucket)
{
    static const struct objects_store store;

    (void)objects, (void)bucket;
    return &store;
}
