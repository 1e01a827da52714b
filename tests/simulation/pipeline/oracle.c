/* oracle.c - delivery: objects follow each other (rule 18), and hold exactly what the changes in the logs say. */
#include <stdio.h>

#include "crypto/crypto.h"
#include "gzip/gzip.h"
#include "objects/name.h"
#include "oracle.h"
#include "trail/trail.h"

#define BODY_SIZE_MAX (1 << 20)
#define FOLDER        STR("AliyunLogs/Actiontrail/")

void oracle_new(void)
{
    sim->oracle = calloc(1, sizeof(*sim->oracle)); /* large, and mostly not touched */
    CHECK(sim->oracle);
}

void oracle_free(void)
{
    free(sim->oracle);
}

/* ---- an object is there ------------------------------------------------------------------------------------ */

static struct crypto_key hmac_key(void)
{
    struct crypto_key master;

    memset(master.bytes, 7, sizeof(master.bytes));
    return object_meta_key(&master);
}

static struct object_meta meta_of(const struct object *object)
{
    struct crypto_key key = hmac_key();
    struct object_meta meta;

    if (!store_meta(object, &key, &meta))
        fail("the metadata of " STR_FMT " is not valid", STR_ARG(object->key));
    return meta;
}

static struct str text_behind(struct str text, struct str what)
{
    size_t at;

    if (!str_find(text, what, &at))
        return STR("");
    at += what.len;
    return str_of(text.at + at, text.len - at);
}

/* "<prefix>/AliyunLogs/Actiontrail/<region>/…" */
static void place_of(const struct object *object, struct str *ret_prefix, struct str *ret_region)
{
    struct str rest = text_behind(object->key, FOLDER);
    size_t at;

    CHECK(rest.len && str_find(object->key, FOLDER, &at) && str_split(&rest, '/', ret_region));
    *ret_prefix = str_of(object->key.at, at ? at - 1 : 0);
}

static void add_document(const struct object *object, struct str bytes)
{
    struct oracle *o = sim->oracle;
    struct document *d = keep(sizeof(*d));
    struct str rest = text_behind(bytes, STR("\"eventId\":\""));

    *d = (struct document){.bucket = object->bucket,
                           .bytes = bytes,
                           .created_ms = object->created_ms,
                           .next = o->documents};
    place_of(object, &d->prefix, &d->region);
    CHECK(str_split(&rest, '"', &d->id));
    o->documents = d;
    o->document_count++;
}

/* "[a,\nb]\n"; returns how many there are. */
static int64_t read_body(const struct object *object)
{
    AUTO_BUF struct buf plain = {0};
    struct str rest, line;
    int64_t count = 0;

    buf_init(&plain, BODY_SIZE_MAX);
    if (gzip_unpack(object->body, &plain) < 0)
        fail("the body of " STR_FMT " is not gzip", STR_ARG(object->key));
    rest = keep_str(buf_str(&plain));
    CHECK(rest.len > 3 && rest.at[0] == '[' && str_ends(rest, STR("]\n")));
    rest = str_of(rest.at + 1, rest.len - 3);
    while (str_split(&rest, '\n', &line)) {
        add_document(object, str_of(line.at, line.len - str_ends(line, STR(","))));
        count++;
    }
    return count;
}

void oracle_object(const struct object *object)
{
    struct object_meta meta = meta_of(object), before = {.first = -1},
                       behind = {.first = INT64_MAX};

    if (read_body(object) != meta.count)
        fail("the count of " STR_FMT " is not that of its events", STR_ARG(object->key));
    for (const struct object *other = object->next; other; other = other->next) {
        struct object_meta m;

        if (other->bucket != object->bucket)
            continue;
        m = meta_of(other);
        if (m.partition != meta.partition || strcmp(m.chain, meta.chain) != 0)
            continue;
        if (m.first < meta.first && m.first > before.first)
            before = m;
        if (m.first > meta.first && m.first < behind.first)
            behind = m;
    }
    if (before.first >= 0 && before.next != meta.from)
        fail("rule 18: " STR_FMT " is from %lld, behind one up to %lld", STR_ARG(object->key),
             (long long)meta.from, (long long)before.next);
    if (behind.first < INT64_MAX && behind.from != meta.next)
        fail("rule 18: " STR_FMT " is up to %lld, before one from %lld", STR_ARG(object->key),
             (long long)meta.next, (long long)behind.from);
}

/* ---- what has to be delivered ---------------------------------------------------------------------------------- */

static void expect(struct oracle *o, const struct seen *s, const struct version *v)
{
    struct expected *e = keep(sizeof(*e));

    *e = (struct expected){.seen = s, .version = v, .delivered_ms = -1, .next = o->expected};
    trail_chain(v->trail, v->destination, s->topic->generation, e->chain);
    o->expected = e;
    o->expected_count++;
}

static void expect_by_trails(struct oracle *o, const struct seen *s)
{
    const struct version *trail, *v;

    for (size_t i = 0; oracle_trail(o, &i, &trail);) {
        v = oracle_settings(o, trail->trail, s->topic, s->partition, s->offset);
        if (v && s->change && str_eq(s->change->version->trail, trail->trail) &&
            oracle_wants(s->change->version, &s->event, s->region))
            expect(o, s, v); /* the call that the trail begins with: to where it was before */
        else if (oracle_wants(v, &s->event, s->region))
            expect(o, s, v);
    }
}

static void expect_all(struct oracle *o)
{
    for (size_t i = 0; i < o->seen_count; i++)
        if (o->seen[i].kind == TOPIC_EVENTS && (o->seen[i].event.purpose & EVENT_FOR_DELIVERY))
            expect_by_trails(o, &o->seen[i]);
}

static size_t times(const struct oracle *o, struct expected *e)
{
    size_t count = 0;

    for (const struct document *d = o->documents; d; d = d->next)
        if (str_eq(d->id, e->seen->event.id) && str_eq(d->region, e->seen->region) &&
            str_eq(store_bucket_name(d->bucket), e->version->bucket) &&
            str_eq(d->prefix, e->version->prefix)) {
            count++;
            e->delivered_ms = d->created_ms;
            if (!str_eq(d->bytes, e->seen->event.document))
                fail("the document of " STR_FMT " was changed", STR_ARG(d->id));
        }
    return count;
}

/* It left the log, perhaps before it was delivered, or went with it. */
static bool may_be_lost(const struct expected *e)
{
    return e->seen->topic->gone ||
           e->seen->offset < e->seen->topic->partitions[e->seen->partition].start;
}

static const struct expected *missing(const struct oracle *o)
{
    for (struct expected *e = o->expected; e; e = e->next)
        if (!may_be_lost(e) && times(o, e) == 0)
            return e;
    return NULL;
}

static void check_documents(const struct oracle *o)
{
    size_t found = 0;

    for (struct expected *e = o->expected; e; e = e->next) {
        size_t n = times(o, e);

        if (n > 1)
            fail("delivered %zu times: " STR_FMT " by trail " STR_FMT, n,
                 STR_ARG(e->seen->event.id), STR_ARG(e->version->trail));
        found += n;
    }
    if (found != o->document_count)
        fail("%zu documents were delivered, %zu of them as they should", o->document_count, found);
}

/* In a topic made anew, what was in effect before has chains from its start (rule 14). */
static bool holds_anew(const struct oracle *o, const char *wanted, int32_t partition,
                       struct str region)
{
    struct topic_name log = topic_name(TOPIC_EVENTS, region);
    const struct version *trail;

    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        const struct topic *t = &sim->kafka->topics[i];

        if (!t->anew || strcmp(t->name.text, log.text) != 0)
            continue;
        for (size_t at = 0; oracle_trail(o, &at, &trail);) {
            const struct version *v = oracle_settings(o, trail->trail, t, partition, 0);
            char chain[TRAIL_CHAIN_SIZE];

            if (!v || v->deleted || !oracle_concerns(v, region))
                continue;
            trail_chain(v->trail, v->destination, t->generation, chain);
            if (strcmp(chain, wanted) == 0)
                return true;
        }
    }
    return false;
}

/* -1: there is no such chain. */
static int64_t origin_of(const struct oracle *o, struct str region, const char *wanted,
                         int32_t partition)
{
    struct topic_name log = topic_name(TOPIC_EVENTS, region);

    if (holds_anew(o, wanted, partition, region))
        return 0;
    for (size_t i = 0; i < o->change_count; i++) {
        const struct change *c = &o->changes[i];
        char chain[TRAIL_CHAIN_SIZE];
        bool from_start =
            c->partition == 0 && oracle_holds_from_start(o, c->version, c->topic, partition);

        if ((c->partition != partition && !from_start) ||
            strcmp(c->topic->name.text, log.text) != 0)
            continue;
        trail_chain(c->version->trail, c->version->destination, c->topic->generation, chain);
        if (strcmp(chain, wanted) == 0)
            return from_start ? 0 : c->offset + 1;
    }
    return -1;
}

/* The first object of a chain begins where the chain does: behind the change that made the destination, or that brought it
 * to this log. */
static void check_origin(const struct oracle *o, const struct object *object)
{
    struct object_meta meta = meta_of(object);
    struct str prefix, region;
    int64_t origin;

    for (const struct object *other = store_objects(); other; other = other->next) {
        struct object_meta m;

        if (other->bucket != object->bucket)
            continue;
        m = meta_of(other);
        if (m.partition == meta.partition && strcmp(m.chain, meta.chain) == 0 &&
            m.first < meta.first)
            return;
    }
    place_of(object, &prefix, &region);
    origin = origin_of(o, region, meta.chain, meta.partition);
    if (origin != meta.from)
        fail("rule 18: the chain of " STR_FMT " begins at %lld, its first object at %lld",
             STR_ARG(object->key), (long long)origin, (long long)meta.from);
}

/* ---- progress (rule 17) ------------------------------------------------------------------------------------------ */

struct said {
    const struct progress *progress;
    struct str trail;
    char chain[TRAIL_CHAIN_SIZE];
    int64_t partition, boundary, clear;
};

/* "tb1:progress:<trail>:<chain>:<partition>:…", "<boundary> <clear> …" */
static struct said said_by(const struct progress *p)
{
    struct said said = {.progress = p};
    struct str key = p->key, text = p->text, word, chain;

    CHECK(str_split(&key, ':', &word) && str_split(&key, ':', &word) &&
          str_split(&key, ':', &said.trail) && str_split(&key, ':', &chain) &&
          chain.len < sizeof(said.chain) && str_split(&key, ':', &word) &&
          str_to_i64(word, &said.partition));
    memcpy(said.chain, chain.at, chain.len);
    CHECK(str_split(&text, ' ', &word) && str_to_i64(word, &said.boundary));
    CHECK(str_to_i64(str_split(&text, ' ', &word) ? word : text, &said.clear));
    return said;
}

static bool is_boundary(const struct oracle *o, const struct said *said)
{
    for (const struct object *object = store_objects(); object; object = object->next) {
        struct object_meta m;

        if (object->created_ms > said->progress->at_ms)
            continue;
        m = meta_of(object);
        if (m.next == said->boundary && m.partition == said->partition &&
            strcmp(m.chain, said->chain) == 0)
            return true;
    }
    for (size_t i = 0; i < sim->region_count; i++)
        if (origin_of(o, sim->regions[i], said->chain, (int32_t)said->partition) == said->boundary)
            return true;
    return false;
}

static void check_said(const struct oracle *o, const struct said *said)
{
    if (said->clear < said->boundary || !is_boundary(o, said))
        fail("rule 17: " STR_FMT " is \"" STR_FMT "\", which is no boundary",
             STR_ARG(said->progress->key), STR_ARG(said->progress->text));
    for (const struct expected *e = o->expected; e; e = e->next) {
        const struct seen *s = e->seen;
        bool delivered = e->delivered_ms >= 0 && e->delivered_ms <= said->progress->at_ms;
        bool left = s->offset < s->topic->partitions[s->partition].start;

        if (s->offset >= said->clear || s->partition != said->partition || left ||
            (delivered && s->offset < said->boundary) || !str_eq(e->version->trail, said->trail) ||
            strcmp(e->chain, said->chain) != 0)
            continue;
        fail("rule 17: " STR_FMT " was \"" STR_FMT "\", which passes " STR_FMT " over",
             STR_ARG(said->progress->key), STR_ARG(said->progress->text), STR_ARG(s->event.id));
    }
}

static void check_progress(const struct oracle *o)
{
    for (const struct progress *p = redis_progress(); p; p = p->next) {
        struct said said = said_by(p);

        check_said(o, &said);
    }
}

/* ---- rest -------------------------------------------------------------------------------------------------------- */

static const char *transactions_wait(void)
{
    for (size_t i = 0; i < sim->kafka->transaction_count; i++)
        if (sim->kafka->transactions[i].state != TRANSACTION_NONE)
            return "a transaction";
    for (size_t i = 0; i < sim->process_count; i++)
        if ((sim->processes[i].kind == API && sim->processes[i].fiber) ||
            (sim->processes[i].kind == OPERATOR && !sim->processes[i].gone))
            return "a call of the API, or an operator";
    return NULL;
}

/* Whether a group has read all records of its log. */
static bool has_read(struct str worker, enum topic_kind kind, struct str region)
{
    struct topic_name name = topic_name(kind, region);
    struct topic *topic = kafka_topic(name.text);
    char group[GROUP_NAME_SIZE];
    const struct group *g;

    group_name(worker, kind == TOPIC_GLOBAL ? STR_NONE : region, group);
    g = group_find(group, topic);
    for (int32_t p = 0; p < topic->partition_count; p++) {
        int64_t at = MAX_OF(g->committed[p], (int64_t)0);

        if (kafka_read(topic, p, &at))
            return false;
    }
    return true;
}

static bool has_stored(struct str region)
{
    struct topic_name name = topic_name(TOPIC_EVENTS, region);
    struct topic *topic = kafka_topic(name.text);

    for (int32_t p = 0; p < topic->partition_count; p++) {
        int64_t at;
        struct str note;

        if (!disk_position(region, p, &at, &note))
            at = 0;
        if (kafka_read(topic, p, &at))
            return false;
    }
    return true;
}

static const char *workers_wait(void)
{
    for (size_t i = 0; i < sim->region_count; i++)
        if (!has_read(STR("normalizer"), TOPIC_RAW, sim->regions[i]))
            return "a normalizer";
    if (!has_read(STR("router"), TOPIC_GLOBAL, STR_NONE))
        return "the router";
    for (size_t i = 0; i < sim->region_count; i++)
        if (!has_stored(sim->regions[i]))
            return "history";
    return NULL;
}

static const char *delivery_waits(const struct oracle *o)
{
    static char text[256];
    const struct expected *e = missing(o);

    if (!e)
        return NULL;
    (void)snprintf(text, sizeof(text),
                   "delivery of %s/%d/%lld (" STR_FMT ") by version %lld of trail " STR_FMT,
                   e->seen->topic->name.text, e->seen->partition, (long long)e->seen->offset,
                   STR_ARG(e->seen->event.id), (long long)e->version->number,
                   STR_ARG(e->version->trail));
    return text;
}

const char *oracle_waits_before(void)
{
    const char *waits = transactions_wait();

    return waits ? waits : workers_wait();
}

const char *oracle_waits(void)
{
    struct oracle *o = sim->oracle;
    const char *waits = oracle_waits_before();

    if (waits)
        return waits;
    if (!o->read) {
        oracle_read_logs(o);
        expect_all(o);
        o->read = true;
    }
    return delivery_waits(o);
}

void oracle_final(void)
{
    const struct oracle *o = sim->oracle;

    oracle_check_raw(o);
    oracle_check_router(o);
    oracle_check_history(o);
    oracle_check_changes(o);
    oracle_check_tallies(o);
    check_documents(o);
    for (const struct object *object = store_objects(); object; object = object->next)
        check_origin(o, object);
    check_progress(o);
}
