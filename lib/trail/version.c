/* version.c - one version of a trail: its document, and what it wants. */
#include "crypto/crypto.h"
#include "jsondoc/jsondoc.h"
#include "trail/trail.h"

#define ARENA_SIZE_MAX (16 << 20)

struct parsing {
    const struct jsondoc *doc;
    struct arena *arena;
    struct why *why;
};

static int missing(const struct parsing *p, const char *what)
{
    return why_set(p->why, -ERR_INVALID, "a trail's version without a valid \"%s\"", what);
}

static struct str copy(const struct parsing *p, const struct jsondoc *doc, const char *key)
{
    return arena_copy(p->arena, jsondoc_str_or(doc, key, STR("")));
}

static int parse_offsets(const struct parsing *p, const struct jsondoc *row,
                         struct trail_offsets *ret)
{
    const struct jsondoc *list = jsondoc_get(row, "offsets");

    ret->topic = copy(p, row, "topic");
    ret->generation = copy(p, row, "generation");
    if (arena_error(p->arena))
        return arena_error(p->arena);
    ret->partition_count = list && jsondoc_is_array(list) ? jsondoc_len(list) : 0;
    if (ret->topic.len == 0 || ret->partition_count == 0 ||
        ret->partition_count > TRAIL_PARTITIONS_MAX)
        return missing(p, "offsets");
    ret->offsets = arena_get(p->arena, ret->partition_count * sizeof(*ret->offsets));
    if (!ret->offsets)
        return arena_error(p->arena);
    for (size_t i = 0; i < ret->partition_count; i++)
        if (!jsondoc_number(jsondoc_at(list, i), &ret->offsets[i]) ||
            ret->offsets[i] < TRAIL_OFFSET_UNSEEN)
            return missing(p, "offsets");
    return 0;
}

static int parse_topics(const struct parsing *p, const struct jsondoc *list, size_t max,
                        struct trail_offsets **ret, size_t *ret_count)
{
    size_t count = list && jsondoc_is_array(list) ? jsondoc_len(list) : 0;

    *ret_count = count;
    if (count > max)
        return missing(p, "offsets");
    *ret = arena_get(p->arena, (count + 1) * sizeof(**ret));
    if (!*ret)
        return arena_error(p->arena);
    for (size_t i = 0; i < count; i++) {
        int r = parse_offsets(p, jsondoc_at(list, i), &(*ret)[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_destinations(const struct parsing *p, struct trail_version *v)
{
    const struct jsondoc *list = jsondoc_get(p->doc, "destinations");
    size_t count = list && jsondoc_is_array(list) ? jsondoc_len(list) : 0;

    if (count > TRAIL_DESTINATIONS_MAX)
        return missing(p, "destinations");
    v->destination_count = count;
    v->destinations = arena_get(p->arena, (count + 1) * sizeof(*v->destinations));
    if (!v->destinations)
        return arena_error(p->arena);
    for (size_t i = 0; i < count; i++) {
        const struct jsondoc *row = jsondoc_at(list, i);
        struct trail_destination *d = &v->destinations[i];
        int r;

        *d = (struct trail_destination){.bucket = copy(p, row, "bucket"),
                                        .prefix = copy(p, row, "prefix")};
        if (arena_error(p->arena))
            return arena_error(p->arena);
        if (!jsondoc_i64(row, "number", &d->number) || !jsondoc_i64(row, "version", &d->version) ||
            d->bucket.len == 0)
            return missing(p, "destinations");
        r = parse_topics(p, jsondoc_get(row, "origins"), TRAIL_ORIGINS_MAX, &d->origins,
                         &d->origin_count);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_rw(const struct parsing *p, enum trail_rw *ret)
{
    struct str rw = jsondoc_str_or(p->doc, "rw", STR(""));

    if (str_eq(rw, STR("All")))
        *ret = TRAIL_RW_ALL;
    else if (str_eq(rw, STR("Write")))
        *ret = TRAIL_RW_WRITE;
    else if (str_eq(rw, STR("Read")))
        *ret = TRAIL_RW_READ;
    else
        return missing(p, "rw");
    return 0;
}

static int parse_version(const struct parsing *p, struct trail_version *v)
{
    int r;

    v->id = copy(p, p->doc, "trail");
    v->account = copy(p, p->doc, "account");
    v->name = copy(p, p->doc, "name");
    v->home_region = copy(p, p->doc, "homeRegion");
    v->regions = copy(p, p->doc, "regions");
    if (arena_error(p->arena))
        return arena_error(p->arena);
    if (v->id.len == 0 || v->id.len >= TRAIL_ID_SIZE)
        return missing(p, "trail");
    if (v->account.len == 0)
        return missing(p, "account");
    if (v->home_region.len == 0)
        return missing(p, "homeRegion");
    if (v->regions.len == 0)
        return missing(p, "regions");
    if (!jsondoc_i64(p->doc, "version", &v->version) || v->version < 1)
        return missing(p, "version");
    v->organization = jsondoc_bool(p->doc, "organization");
    v->logging = jsondoc_bool(p->doc, "logging");
    v->started_ever = jsondoc_bool(p->doc, "startedEver");
    v->deleted = jsondoc_bool(p->doc, "deleted");
    v->created_s = jsondoc_i64_or(p->doc, "created", 0);
    v->updated_s = jsondoc_i64_or(p->doc, "updated", 0);
    v->started_s = jsondoc_i64_or(p->doc, "started", 0);
    v->stopped_s = jsondoc_i64_or(p->doc, "stopped", 0);
    v->request = copy(p, p->doc, "request");
    if (arena_error(p->arena))
        return arena_error(p->arena);
    if ((r = parse_rw(p, &v->rw)) < 0 || (r = parse_destinations(p, v)) < 0)
        return r;
    return parse_topics(p, jsondoc_get(p->doc, "offsets"), TRAIL_TOPICS_MAX, &v->offsets,
                        &v->offset_count);
}

int trail_version_parse(struct str json, struct trail_version **ret, struct why *reterr_why)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    AUTO(trail_version_free) struct trail_version *v = calloc(1, sizeof(*v));
    int r;

    if (!v)
        return -ERR_NOMEM;
    r = jsondoc_parse(json, &doc, reterr_why);
    if (r < 0)
        return r;
    if (!jsondoc_is_object(doc))
        return why_set(reterr_why, -ERR_INVALID, "a trail's version is a JSON object");
    v->block = arena_new(ARENA_SIZE_MAX);
    if (!v->block)
        return -ERR_NOMEM;
    r = parse_version(&(struct parsing){doc, v->block, reterr_why}, v);
    if (r < 0)
        return r;
    *ret = v;
    v = NULL;
    return 0;
}

void trail_version_free(struct trail_version *v)
{
    if (!v)
        return;
    arena_free(v->block);
    free(v);
}

/* ---- rendering --------------------------------------------------------------------------------- */

static void first_error(int *error, int r)
{
    if (*error == 0)
        *error = r;
}

/* What cannot be put in is noted in *error; a document that is not there takes nothing. */
static struct jsondoc *topics_document(const struct trail_offsets *topics, size_t count, int *error)
{
    struct jsondoc *list = jsondoc_array();

    for (size_t i = 0; i < count; i++) {
        struct jsondoc *row = jsondoc_object(), *offsets = jsondoc_array();

        for (size_t j = 0; j < topics[i].partition_count; j++)
            first_error(error, jsondoc_append(offsets, jsondoc_integer(topics[i].offsets[j])));
        first_error(error, jsondoc_set_str(row, "topic", topics[i].topic));
        first_error(error, jsondoc_set_str(row, "generation", topics[i].generation));
        first_error(error, jsondoc_set(row, "offsets", offsets));
        first_error(error, jsondoc_append(list, row));
    }
    return list;
}

static struct jsondoc *destinations_document(const struct trail_version *v, int *error)
{
    struct jsondoc *list = jsondoc_array();

    for (size_t i = 0; i < v->destination_count; i++) {
        const struct trail_destination *d = &v->destinations[i];
        struct jsondoc *row = jsondoc_object();

        first_error(error, jsondoc_set_i64(row, "number", d->number));
        first_error(error, jsondoc_set_i64(row, "version", d->version));
        first_error(error, jsondoc_set_str(row, "bucket", d->bucket));
        first_error(error, jsondoc_set_str(row, "prefix", d->prefix));
        first_error(error, jsondoc_set(row, "origins",
                                       topics_document(d->origins, d->origin_count, error)));
        first_error(error, jsondoc_append(list, row));
    }
    return list;
}

int trail_version_render(const struct trail_version *v, bool with_offsets, struct buf *out)
{
    static const char *const rw[] = {"All", "Write", "Read"};
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    int r = 0;

    first_error(&r, jsondoc_set_str(doc, "trail", v->id));
    first_error(&r, jsondoc_set_i64(doc, "version", v->version));
    first_error(&r, jsondoc_set_str(doc, "account", v->account));
    first_error(&r, jsondoc_set_str(doc, "name", v->name));
    first_error(&r, jsondoc_set_str(doc, "homeRegion", v->home_region));
    first_error(&r, jsondoc_set_str(doc, "regions", v->regions));
    first_error(&r, jsondoc_set_str(doc, "rw", str_from(rw[v->rw])));
    first_error(&r, jsondoc_set_bool(doc, "organization", v->organization));
    first_error(&r, jsondoc_set_bool(doc, "logging", v->logging));
    first_error(&r, jsondoc_set_bool(doc, "startedEver", v->started_ever));
    first_error(&r, jsondoc_set_bool(doc, "deleted", v->deleted));
    first_error(&r, jsondoc_set_i64(doc, "created", v->created_s));
    first_error(&r, jsondoc_set_i64(doc, "updated", v->updated_s));
    first_error(&r, jsondoc_set_i64(doc, "started", v->started_s));
    first_error(&r, jsondoc_set_i64(doc, "stopped", v->stopped_s));
    first_error(&r, jsondoc_set_str(doc, "request", v->request));
    first_error(&r, jsondoc_set(doc, "destinations", destinations_document(v, &r)));
    if (with_offsets)
        first_error(&r,
                    jsondoc_set(doc, "offsets", topics_document(v->offsets, v->offset_count, &r)));
    if (r < 0)
        return r;
    return jsondoc_render(doc, out);
}

/* ---- meaning ----------------------------------------------------------------------------------- */

struct str trail_status_name(const struct trail_version *v)
{
    if (v->logging)
        return STR("Enable");
    return v->started_ever ? STR("Disable") : STR("Fresh");
}

bool trail_region_covered(struct str regions, struct str region)
{
    struct str one;

    if (str_eq(regions, STR("All")))
        return true;
    while (str_split(&regions, ',', &one))
        if (str_eq(str_trim(one), region))
            return true;
    return false;
}

bool trail_wants(const struct trail_version *v, const struct event *event, struct str region)
{
    if (!v || !v->logging || v->deleted || event->category == EVENT_INNER ||
        !(event->purpose & EVENT_FOR_DELIVERY) || !str_eq(v->account, event->account))
        return false;
    if (v->rw != TRAIL_RW_ALL && (v->rw == TRAIL_RW_READ) != (event->rw == EVENT_READ))
        return false;
    return event->global ? str_eq(region, v->home_region)
                         : trail_region_covered(v->regions, region);
}

/* Takes no memory: nobody asks how it went. */
void trail_chain(struct str trail_id, int64_t destination, struct str topic_generation,
                 char ret[TRAIL_CHAIN_SIZE])
{
    char text_room[1024], hex_room[TRAIL_CHAIN_SIZE];
    struct buf text = buf_over(text_room, sizeof(text_room));
    struct buf hex = buf_over(hex_room, sizeof(hex_room));
    struct sha256 digest;

    buf_addf(&text, STR_FMT "/%lld/" STR_FMT, STR_ARG(trail_id), (long long)destination,
             STR_ARG(topic_generation));
    CHECK(buf_error(&text) == 0);
    digest = sha256_of(buf_str(&text));
    buf_add_hex(&hex, digest.bytes, (TRAIL_CHAIN_SIZE - 1) / 2);
    memcpy(ret, buf_cstr(&hex), TRAIL_CHAIN_SIZE);
}
