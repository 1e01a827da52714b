/* book.c - all known versions of all trails, found by account and by id. */
#include "topology/topology.h"
#include "trail/trail.h"

#define SLOTS 4096 /* of each index; chains behind */

struct trail {
    struct trail_version **versions; /* by version number */
    size_t count, cap;
    struct trail *next_of_account_slot, *next_of_id_slot; /* in order of arrival */
    struct trail *next;
};

struct doubt {
    char *id;
    int64_t version;
};

struct trail_book {
    struct trail *by_account[SLOTS], *by_id[SLOTS];
    struct trail *first, *last;
    struct doubt *doubts;
    size_t doubt_count;
};

struct trail_book *trail_book_new(void)
{
    return calloc(1, sizeof(struct trail_book));
}

void trail_book_free(struct trail_book *book)
{
    if (!book)
        return;
    for (struct trail *trail = book->first, *next; trail; trail = next) {
        next = trail->next;
        for (size_t i = 0; i < trail->count; i++)
            trail_version_free(trail->versions[i]);
        free(trail->versions);
        free(trail);
    }
    for (size_t i = 0; i < book->doubt_count; i++)
        free(book->doubts[i].id);
    free(book->doubts);
    free(book);
}

static size_t slot_of(struct str s)
{
    return str_hash(s, 7) % SLOTS;
}

struct str trail_id(const struct trail *trail)
{
    return trail->versions[0]->id;
}

const struct trail_version *trail_latest(const struct trail *trail)
{
    return trail->versions[trail->count - 1];
}

size_t trail_version_count(const struct trail *trail)
{
    return trail->count;
}

const struct trail_version *trail_version_at(const struct trail *trail, size_t i)
{
    CHECK(i < trail->count);
    return trail->versions[i];
}

const struct trail *trail_book_find(const struct trail_book *book, struct str id)
{
    const struct trail *trail = book->by_id[slot_of(id)];

    while (trail && !str_eq(trail_id(trail), id))
        trail = trail->next_of_id_slot;
    return trail;
}

const struct trail *trail_book_next(const struct trail_book *book, struct str account,
                                    const struct trail *after)
{
    const struct trail *trail =
        after ? after->next_of_account_slot : book->by_account[slot_of(account)];

    while (trail && !str_eq(trail->versions[0]->account, account))
        trail = trail->next_of_account_slot;
    return trail;
}

const struct trail *trail_book_all(const struct trail_book *book, const struct trail *after)
{
    return after ? after->next : book->first;
}

static struct trail *trail_make(struct trail_book *book, const struct trail_version *v)
{
    struct trail *trail = calloc(1, sizeof(*trail)), **at;

    if (!trail)
        return NULL;
    for (at = &book->by_account[slot_of(v->account)]; *at; at = &(*at)->next_of_account_slot)
        ;
    *at = trail;
    for (at = &book->by_id[slot_of(v->id)]; *at; at = &(*at)->next_of_id_slot)
        ;
    *at = trail;
    if (book->last)
        book->last->next = trail;
    else
        book->first = trail;
    book->last = trail;
    return trail;
}

static int trail_reserve(struct trail *trail)
{
    size_t cap = trail->cap ? trail->cap * 2 : 4;
    struct trail_version **versions;

    if (trail->count < trail->cap)
        return 0;
    versions = realloc(trail->versions, cap * sizeof(struct trail_version *));
    if (!versions)
        return -ERR_NOMEM;
    trail->versions = versions;
    trail->cap = cap;
    return 0;
}

static struct trail_version *known_version(const struct trail *trail, int64_t version)
{
    for (size_t i = trail->count; i > 0; i--)
        if (trail->versions[i - 1]->version == version)
            return trail->versions[i - 1];
    return NULL;
}

static int insert(struct trail_book *book, struct trail_version *v)
{
    struct trail *trail = (struct trail *)(uintptr_t)trail_book_find(book, v->id);
    struct trail_version **versions;
    size_t at;

    if (!trail) {
        /* The list of versions first: a trail without one must never be seen. */
        versions = calloc(4, sizeof(struct trail_version *));
        if (!versions)
            return -ERR_NOMEM;
        versions[0] = v;
        trail = trail_make(book, v);
        if (!trail) {
            free(versions);
            return -ERR_NOMEM;
        }
        trail->versions = versions;
        trail->cap = 4;
        trail->count = 1;
        return 1;
    }
    if (trail_reserve(trail) < 0)
        return -ERR_NOMEM;
    for (at = trail->count; at > 0 && trail->versions[at - 1]->version > v->version; at--)
        trail->versions[at] = trail->versions[at - 1];
    trail->versions[at] = v;
    trail->count++;
    return 1;
}

static int contradiction(const struct trail_version *v, const struct trail_log *log, int64_t got,
                         int64_t known, struct why *why)
{
    return why_set(why, -ERR_CONFLICT,
                   "trail " STR_FMT " version %lld: its change record lies at %lld of " STR_FMT
                   "/%d, but was known at %lld",
                   STR_ARG(v->id), (long long)v->version, (long long)got, STR_ARG(log->topic),
                   log->partition, (long long)known);
}

static struct trail_offsets *offsets_of(struct trail_offsets *topics, size_t count,
                                        const struct trail_log *log)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(topics[i].topic, log->topic) && str_eq(topics[i].generation, log->generation))
            return &topics[i];
    return NULL;
}

/* Behind the change record; 0 in a partition that was added later. False where it was not seen. */
static bool first_behind(const struct trail_offsets *o, int32_t partition, int64_t *ret_first)
{
    *ret_first = 0;
    if ((size_t)partition >= o->partition_count)
        return true;
    *ret_first = o->offsets[partition] + 1;
    return o->offsets[partition] != TRAIL_OFFSET_UNSEEN;
}

static bool entry_from(const struct trail_version *v, const struct trail_log *log,
                       int64_t *ret_first)
{
    const struct trail_offsets *o = offsets_of(v->offsets, v->offset_count, log);

    return o && first_behind(o, log->partition, ret_first);
}

/* Adds a topic of unseen partitions to a version's offsets; strings go into the version's own memory. */
static struct trail_offsets *offsets_make(struct trail_version *v, struct trail_offsets **list,
                                          size_t *count, size_t max, const struct trail_log *log,
                                          size_t partition_count)
{
    struct trail_offsets *grown, *one;

    if (*count == max || partition_count > TRAIL_PARTITIONS_MAX)
        return NULL;
    grown = arena_get(v->block, (*count + 1) * sizeof(*grown));
    if (!grown)
        return NULL;
    if (*count)
        memcpy(grown, *list, *count * sizeof(*grown));
    one = &grown[*count];
    *one = (struct trail_offsets){arena_copy(v->block, log->topic),
                                  arena_copy(v->block, log->generation), partition_count,
                                  arena_get(v->block, (partition_count + 1) * sizeof(int64_t))};
    if (!one->topic.at || !one->generation.at || !one->offsets)
        return NULL;
    for (size_t i = 0; i < partition_count; i++)
        one->offsets[i] = TRAIL_OFFSET_UNSEEN;
    *list = grown;
    ++*count;
    return one;
}

/* The same offsets with room for more partitions; NULL without it. */
static int64_t *offsets_grown(struct trail_version *v, const struct trail_offsets *o,
                              size_t partition_count)
{
    int64_t *offsets = partition_count > TRAIL_PARTITIONS_MAX
                           ? NULL
                           : arena_get(v->block, (partition_count + 1) * sizeof(*offsets));

    for (size_t i = 0; offsets && i < partition_count; i++)
        offsets[i] = i < o->partition_count ? o->offsets[i] : TRAIL_OFFSET_UNSEEN;
    return offsets;
}

/* `control` has the last word on how many partitions there were: who met the change in the log may not have heard of partitions that were added just before it. Origins that this
 * change gave grow with it; older ones stay: there, such a partition was added later. */
static int learn_partitions(struct trail_version *v, const struct trail_log *log,
                            size_t partition_count)
{
    struct trail_offsets *o = offsets_of(v->offsets, v->offset_count, log);
    struct trail_destination *d =
        v->destination_count ? &v->destinations[v->destination_count - 1] : NULL;
    struct trail_offsets *origins = d ? offsets_of(d->origins, d->origin_count, log) : NULL;
    bool given = o && origins && origins->partition_count == o->partition_count &&
                 memcmp(origins->offsets, o->offsets, o->partition_count * sizeof(int64_t)) == 0;
    int64_t *grown, *origins_grown;

    if (!o || o->partition_count >= partition_count)
        return 0;
    if (partition_count > TRAIL_PARTITIONS_MAX)
        return -ERR_LIMIT;
    grown = offsets_grown(v, o, partition_count);
    origins_grown = given ? offsets_grown(v, origins, partition_count) : NULL;
    if (!grown || (given && !origins_grown)) /* both or none: it may be tried again */
        return -ERR_NOMEM;
    *o = (struct trail_offsets){o->topic, o->generation, partition_count, grown};
    if (given)
        *origins = (struct trail_offsets){origins->topic, origins->generation, partition_count,
                                          origins_grown};
    return 0;
}

/* Notes that the version's change record lies there, also as the origin of a destination it began. */
static int see(struct trail_version *v, const struct trail_log *log, size_t partition_count,
               int64_t offset, struct why *why)
{
    int32_t partition = log->partition;
    struct trail_offsets *o = offsets_of(v->offsets, v->offset_count, log), *origins;
    struct trail_destination *d =
        v->destination_count ? &v->destinations[v->destination_count - 1] : NULL;

    if (!o)
        o = offsets_make(v, &v->offsets, &v->offset_count, TRAIL_TOPICS_MAX, log, partition_count);
    if (!o)
        return -ERR_NOMEM;
    if ((size_t)partition >= o->partition_count)
        return why_set(why, -ERR_CONFLICT, "a change record in partition %d of %zu", partition,
                       o->partition_count);
    if (o->offsets[partition] == offset)
        return 0;
    if (o->offsets[partition] != TRAIL_OFFSET_UNSEEN)
        return contradiction(v, log, offset, o->offsets[partition], why);
    /* A chain begins behind the change that made its destination, or brought this topic to it. */
    origins = d ? offsets_of(d->origins, d->origin_count, log) : NULL;
    if (d && !origins)
        origins =
            offsets_make(v, &d->origins, &d->origin_count, TRAIL_ORIGINS_MAX, log, partition_count);
    if (d && !origins)
        return -ERR_NOMEM; /* nothing is noted yet: it may be tried again */
    o->offsets[partition] = offset;
    if (origins && (size_t)partition < origins->partition_count &&
        origins->offsets[partition] == TRAIL_OFFSET_UNSEEN)
        origins->offsets[partition] = offset;
    return 1;
}

int trail_book_add(struct trail_book *book, struct trail_version *version, struct why *reterr_why)
{
    AUTO(trail_version_free) struct trail_version *v = version;
    const struct trail *trail = trail_book_find(book, v->id);
    struct trail_version *known = trail ? known_version(trail, v->version) : NULL;
    int r;

    if (trail && !str_eq(trail_latest(trail)->account, v->account))
        return why_set(reterr_why, -ERR_CONFLICT, "trail " STR_FMT " belongs to another account",
                       STR_ARG(v->id));
    if (!known) {
        r = insert(book, v);
        if (r > 0)
            v = NULL;
        return r;
    }
    for (size_t i = 0; i < v->offset_count; i++) {
        const struct trail_offsets *o = &v->offsets[i];

        r = learn_partitions(known, &(struct trail_log){o->topic, o->generation, 0},
                             o->partition_count);
        if (r < 0)
            return r;
        for (size_t p = 0; p < o->partition_count; p++) {
            if (o->offsets[p] == TRAIL_OFFSET_UNSEEN)
                continue;
            r = see(known, &(struct trail_log){o->topic, o->generation, (int32_t)p},
                    o->partition_count, o->offsets[p], reterr_why);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int trail_book_change(struct trail_book *book, struct trail_version *version,
                      const struct trail_log *log, int32_t partition_count, int64_t offset,
                      struct why *reterr_why)
{
    const struct trail *trail;
    struct str id = version->id;
    int64_t number = version->version, other = 0;
    char id_text[TRAIL_ID_SIZE];
    int r;

    memcpy(id_text, id.at, id.len);
    id = str_of(id_text, id.len);
    r = trail_book_add(book, version, reterr_why);
    if (r < 0)
        return r;
    trail = trail_book_find(book, id);
    for (size_t i = 0; i < trail->count; i++) {
        const struct trail_version *v = trail->versions[i];
        int64_t from;

        if (v->version != number && entry_from(v, log, &from) &&
            (v->version > number) == (from <= offset))
            other = v->version;
    }
    if (other)
        return why_set(
            reterr_why, -ERR_CONFLICT,
            "trail " STR_FMT ": the change record of version %lld lies %s that of version %lld",
            STR_ARG(id), (long long)number, other > number ? "behind" : "before", (long long)other);
    return see(known_version(trail, number), log, (size_t)partition_count, offset, reterr_why);
}

/* ---- what is in effect where --------------------------------------------------------------------- */

const struct trail_version *trail_at(const struct trail *trail, const struct trail_log *log,
                                     int64_t offset)
{
    const struct trail_version *before = NULL; /* the newest one from before the log began */

    for (size_t i = trail->count; i > 0; i--) {
        const struct trail_version *v = trail->versions[i - 1];
        int64_t first;

        if (!offsets_of(v->offsets, v->offset_count, log)) {
            before = before ? before : v;
            continue;
        }
        before = NULL; /* what is newer and has no record here was not concerned */
        if (entry_from(v, log, &first) && first <= offset)
            return v;
    }
    return before;
}

bool trail_from(const struct trail *trail, size_t i, const struct trail_log *log,
                int64_t *ret_first)
{
    const struct trail_version *v = trail->versions[i];

    if (offsets_of(v->offsets, v->offset_count, log))
        return entry_from(v, log, ret_first);
    while (i > 0) {
        v = trail->versions[--i];
        if (offsets_of(v->offsets, v->offset_count, log))
            return false;
    }
    *ret_first = 0;
    return true;
}

static bool concerned(const struct trail_version *v, struct str topic)
{
    enum topic_kind kind;
    struct str region;

    if (!topic_parse(topic, &kind, &region))
        return false;
    return kind == TOPIC_GLOBAL ||
           (kind == TOPIC_EVENTS &&
            (str_eq(v->home_region, region) || trail_region_covered(v->regions, region)));
}

bool trail_origin(const struct trail *trail, int64_t destination, const struct trail_log *log,
                  int64_t *ret_first)
{
    const struct trail_version *latest = trail_latest(trail), *before;

    for (size_t i = 0; i < latest->destination_count; i++) {
        const struct trail_destination *d = &latest->destinations[i];
        const struct trail_offsets *o = offsets_of(d->origins, d->origin_count, log);

        if (d->number == destination && o)
            return first_behind(o, log->partition, ret_first);
    }
    /* Of the versions from before the log began the last one has a chain here, from the start. */
    before = trail_at(trail, log, -1);
    if (!before || before->deleted || !concerned(before, log->topic) ||
        !trail_version_destination(before) ||
        trail_version_destination(before)->number != destination)
        return false;
    *ret_first = 0;
    return true;
}

/* ---- versions that could not be read ------------------------------------------------------------- */

static struct doubt *doubt_find(const struct trail_book *book, struct str id, int64_t version)
{
    for (size_t i = 0; i < book->doubt_count; i++)
        if (book->doubts[i].version == version && str_eq(str_from(book->doubts[i].id), id))
            return &book->doubts[i];
    return NULL;
}

int trail_book_doubt(struct trail_book *book, struct str id, int64_t version)
{
    struct doubt *grown;
    char *copy;

    if (doubt_find(book, id, version))
        return 0;
    if (book->doubt_count == TRAIL_DOUBTS_MAX)
        return -ERR_LIMIT;
    grown = realloc(book->doubts, (book->doubt_count + 1) * sizeof(*grown));
    if (!grown)
        return -ERR_NOMEM;
    book->doubts = grown;
    copy = str_dup(id);
    if (!copy)
        return -ERR_NOMEM;
    book->doubts[book->doubt_count++] = (struct doubt){copy, version};
    return 0;
}

void trail_book_trust(struct trail_book *book, struct str id, int64_t version)
{
    struct doubt *found = doubt_find(book, id, version);

    if (!found)
        return;
    free(found->id);
    *found = book->doubts[--book->doubt_count];
}

bool trail_book_doubts(const struct trail_book *book, struct str id)
{
    for (size_t i = 0; i < book->doubt_count; i++)
        if (str_eq(str_from(book->doubts[i].id), id))
            return true;
    return false;
}

bool trail_book_doubt_at(const struct trail_book *book, size_t i, struct str *ret_id,
                         int64_t *ret_version)
{
    if (i >= book->doubt_count)
        return false;
    *ret_id = str_from(book->doubts[i].id);
    *ret_version = book->doubts[i].version;
    return true;
}
