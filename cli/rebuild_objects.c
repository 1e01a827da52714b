/* rebuild_objects.c - what was delivered is put back: from the buckets, as far as nobody tampered with them.
 *
 * An object counts when its metadata is signed by this deployment for this bucket and key, and its bytes are those that the
 * metadata speaks of. Any other is refused by name, and the rest is taken. Since each object begins where the one before it
 * in its stream ended, one that was taken out of the middle is noticed, too.
 *
 *     folder of              the history of `region` takes
 *     region                 its regional events; where it keeps the global ones, those
 *     others                 where it keeps the global ones: those, which went to the home regions of trails
 */
#include <stdio.h>

#include "cli/contents.h"
#include "cli/output.h"
#include "cli/rebuild.h"

#define EVENT_TYPE STR("Actiontrail")
#define DAY_MS     (24 * 3600 * 1000LL)

/* A series of objects: the next one begins at `next`. */
struct stream {
    char chain[OBJECT_CHAIN_SIZE];
    int32_t partition;
    int64_t next; /* -1: one was refused, and nobody knows */
};

/* One folder of a bucket. */
struct folder {
    struct rebuild *rebuild;
    struct str bucket, prefix;
    struct str region; /* whose folder */
    struct stream *streams;
    size_t stream_count, stream_cap;
    struct store_object object;
    struct buf plain;
    struct rebuild_counts counts;
    int64_t objects;
    bool failed; /* we, not the bucket: `why` says it */
    struct why *why;
};

static void say_of(const struct folder *f, struct str key, const char *what)
{
    AUTO_BUF struct buf clean = {0};

    buf_init(&clean, 4096);
    output_clean(key, 1024, &clean);
    (void)fprintf(stderr, STR_FMT "/%s: %s\n", STR_ARG(f->bucket), buf_cstr(&clean), what);
}

/* ---- streams ----------------------------------------------------------------------------------- */

static struct stream *stream_of(struct folder *f, struct str chain, int32_t partition)
{
    for (size_t i = 0; i < f->stream_count; i++)
        if (f->streams[i].partition == partition && str_eq(str_from(f->streams[i].chain), chain))
            return &f->streams[i];
    return NULL;
}

static int stream_set(struct folder *f, struct str chain, int32_t partition, int64_t next)
{
    struct stream *s = stream_of(f, chain, partition);

    CHECK(chain.len < OBJECT_CHAIN_SIZE);
    if (!s && f->stream_count == f->stream_cap) {
        size_t cap = f->stream_cap ? f->stream_cap * 2 : 64;
        struct stream *streams = realloc(f->streams, cap * sizeof(*streams));

        if (!streams)
            return -ERR_NOMEM;
        f->streams = streams;
        f->stream_cap = cap;
    }
    if (!s) {
        s = &f->streams[f->stream_count++];
        *s = (struct stream){.partition = partition};
        memcpy(s->chain, chain.at, chain.len);
    }
    s->next = next;
    return 0;
}

/* Objects come in the order of their streams: the name begins with the time of the first record. */
static int follow(struct folder *f, struct str key, const struct object_meta *meta)
{
    const struct stream *s = stream_of(f, str_from(meta->chain), meta->partition);
    char what[128];

    if (s && s->next >= 0 && s->next != meta->from) {
        f->rebuild->missing++;
        (void)snprintf(what, sizeof(what), "before it objects are missing: of offsets %lld to %lld",
                       (long long)s->next, (long long)meta->from - 1);
        say_of(f, key, what);
    }
    return stream_set(f, str_from(meta->chain), meta->partition, meta->next);
}

/* ---- objects ----------------------------------------------------------------------------------- */

static bool is_ours(const struct folder *f, const struct event *event)
{
    const struct rebuild *b = f->rebuild;

    if (event->category != EVENT_MANAGEMENT)
        return false;
    return event->global ? str_eq(b->region, b->storage_region) : str_eq(f->region, b->region);
}

static int32_t partition_for(const struct folder *f, const struct object_meta *meta,
                             const struct event *event)
{
    const struct rebuild *b = f->rebuild;

    if (str_eq(f->region, b->region) && meta->partition < b->partitions)
        return meta->partition;
    return bus_partition_of(event->account, b->partitions);
}

/* One that cannot be read, though we wrote it, holds up no other. */
static int take_document(struct folder *f, struct str key, struct str document,
                         struct why *reterr_why)
{
    static struct event event; /* large */
    struct why why = {0};
    int r = normalize_read_back(f->rebuild->normalizer, document, &event, &why);

    if (r == 0 && is_ours(f, &event))
        r = rebuild_add(f->rebuild, &f->counts, partition_for(f, &f->object.meta, &event), &event,
                        &why);
    if (r == -ERR_INVALID) {
        f->rebuild->refused++;
        say_of(f, key, why.text);
        return 0;
    }
    return r < 0 ? why_set(reterr_why, r, "%s", why.text) : 0;
}

static int refuse(struct folder *f, struct str key, const struct object_name *name,
                  const char *what)
{
    f->rebuild->refused++;
    say_of(f, key, what);
    return stream_set(f, name->chain, name->partition, -1);
}

static int take_contents(struct folder *f, struct str key, const struct object_name *name,
                         struct why *reterr_why)
{
    const struct object_meta *meta = &f->object.meta;
    struct str rest, document;
    struct why why = {0};
    int r;

    buf_reset(&f->plain);
    r = contents_open(buf_str(&f->object.body), meta, &f->plain, &why);
    if (r == -ERR_INVALID)
        return refuse(f, key, name, why.text);
    if (r == 0)
        r = follow(f, key, meta);
    rest = buf_str(&f->plain);
    while (r == 0 && contents_next(&rest, &document))
        r = take_document(f, key, document, &why);
    return r < 0 ? why_set(reterr_why, r, STR_FMT "/" STR_FMT ": %s", STR_ARG(f->bucket),
                           STR_ARG(key), why.text)
                 : 0;
}

static int take_object(struct folder *f, struct str key)
{
    struct rebuild *b = f->rebuild;
    struct object_name name;
    struct why why = {0};
    int r;

    if (!object_name_parse(key, &name))
        return 0; /* none of ours, by its name */
    r = store_get(b->store, f->bucket, key, &f->object, &why);
    if (r == -ERR_NOMEM || r == -ERR_LIMIT)
        return why_set(f->why, r, STR_FMT "/" STR_FMT " does not fit into memory",
                       STR_ARG(f->bucket), STR_ARG(key));
    if (r < 0) {
        b->unreadable++;
        say_of(f, key, why.text);
        return stream_set(f, name.chain, name.partition, -1);
    }
    b->read++;
    f->objects++;
    rebuild_say(b, STR_FMT ": %lld objects", STR_ARG(f->bucket), (long long)f->objects);
    if (!f->object.meta_valid)
        return refuse(f, key, &name, f->object.meta_why.text);
    return take_contents(f, key, &name, f->why);
}

static int take_key(void *arg, struct str key)
{
    struct folder *f = arg;
    int r = take_object(f, key);

    f->failed = r < 0;
    return r;
}

/* ---- folders ----------------------------------------------------------------------------------- */

static void add_counts(struct rebuild_counts *to, const struct rebuild_counts *c)
{
    to->events += c->events;
    to->restored += c->restored;
    to->there += c->there;
    to->expired += c->expired;
}

static int read_folder(struct rebuild *b, struct str bucket, struct str prefix, struct str region,
                       struct why *reterr_why)
{
    struct folder f = {
        .rebuild = b, .bucket = bucket, .prefix = prefix, .region = region, .why = reterr_why};
    AUTO_BUF struct buf path = {0}, after = {0};
    int64_t oldest_ms =
        b->now_ms - (HISTORY_DAYS + 2) * DAY_MS; /* an event comes ahead of its time, or late */
    int r;

    buf_init(&path, OBJECT_KEY_SIZE_MAX);
    buf_init(&after, OBJECT_KEY_SIZE_MAX);
    buf_init(&f.object.body, OBJECTS_BODY_SIZE_MAX);
    buf_init(&f.plain, CONTENTS_SIZE_MAX);
    object_folder(prefix, EVENT_TYPE, region, &path);
    object_day_prefix(prefix, EVENT_TYPE, region, oldest_ms, &after);
    r = store_list(b->store, bucket, buf_str(&path), buf_str(&after), take_key, &f, reterr_why);
    if (r < 0 && !f.failed) { /* holds up no other */
        b->unreadable++;
        (void)fprintf(stderr, "bucket " STR_FMT ": %s\n", STR_ARG(bucket), reterr_why->text);
        r = 0;
    }
    if (r == 0)
        r = history_restorer_commit(b->restorer, reterr_why);
    if (r == 0 && f.objects)
        printf(STR_FMT "/" STR_FMT
                       ": %lld objects, %lld events for this history, %lld of them %s\n",
               STR_ARG(bucket), STR_ARG(buf_str(&path)), (long long)f.objects,
               (long long)f.counts.events, (long long)f.counts.restored,
               b->dry ? "missing" : "put back");
    add_counts(&b->objects, &f.counts);
    buf_done(&f.object.body);
    buf_done(&f.plain);
    free(f.streams);
    return r;
}

static int read_place(struct rebuild *b, struct str bucket, struct str prefix,
                      struct why *reterr_why)
{
    const struct config_strs *regions = &b->deployment->config.topology.regions;
    bool all = str_eq(b->region, b->storage_region);
    int r = 0;

    for (size_t i = 0; i < regions->count && r == 0; i++)
        if (all || str_eq(regions->at[i], b->region))
            r = read_folder(b, bucket, prefix, regions->at[i], reterr_why);
    return r;
}

/* ---- places ------------------------------------------------------------------------------------ */

/* Slices of `control`. */
struct place {
    struct str bucket, prefix;
};
struct places {
    struct place *at;
    size_t count, cap;
};

static int add_place(struct places *p, struct str bucket, struct str prefix)
{
    for (size_t i = 0; i < p->count; i++)
        if (str_eq(p->at[i].bucket, bucket) && str_eq(p->at[i].prefix, prefix))
            return 0;
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct place *at = realloc(p->at, cap * sizeof(*at));

        if (!at)
            return -ERR_NOMEM;
        p->at = at;
        p->cap = cap;
    }
    p->at[p->count++] = (struct place){bucket, prefix};
    return 0;
}

/* All that `control` still knows of, deleted trails too. */
static int find_places(const struct control *control, struct places *ret)
{
    const struct trail_book *book = control_trails(control);
    int r = 0;

    for (const struct trail *t = trail_book_all(book, NULL); t && r == 0;
         t = trail_book_all(book, t)) {
        for (size_t i = 0; i < trail_version_count(t) && r == 0; i++) {
            const struct trail_version *v = trail_version_at(t, i);

            for (size_t d = 0; d < v->destination_count && r == 0; d++)
                r = add_place(ret, v->destinations[d].bucket, v->destinations[d].prefix);
        }
    }
    return r;
}

int rebuild_from_objects(struct rebuild *b, struct str bucket, struct str prefix,
                         struct why *reterr_why)
{
    struct places places = {0};
    int r = bucket.len ? add_place(&places, bucket, prefix) : find_places(b->control, &places);

    for (size_t i = 0; i < places.count && r == 0; i++)
        r = read_place(b, places.at[i].bucket, places.at[i].prefix, reterr_why);
    free(places.at);
    return r;
}
