/* expecting.c - each record once where it belongs, changes all or nothing, tallies equal to what became of the records. */
#include <stdio.h>

#include "oracle.h"

/* ---- raw: each record is an event, a duplicate, rejected or dropped, and nothing twice ------------------------- */

static bool is_of(const struct seen *s, const struct published *p)
{
    const struct event_origin *from = &s->event.origin;

    return !s->change && from->offset == p->offset && from->partition == p->partition &&
           str_eq(from->topic, str_from(p->topic->name.text)) &&
           str_eq(from->generation, p->topic->generation);
}

/* Of the normalizer, not of the router: a global event in events.<region> is a copy. */
static bool is_first_hand(const struct seen *s)
{
    return s->kind == TOPIC_GLOBAL || !s->event.global;
}

static size_t outputs_of(const struct oracle *o, const struct published *p, const struct seen **ret)
{
    size_t count = 0;

    for (size_t i = 0; i < o->seen_count; i++) {
        if (!is_first_hand(&o->seen[i]) || !is_of(&o->seen[i], p))
            continue;
        *ret = &o->seen[i];
        count++;
    }
    return count;
}

static size_t rejections_in(struct topic *topic, int32_t partition, struct str origin,
                            struct str *ret_reason)
{
    size_t count = 0;
    int64_t at = 0;
    const struct record *r;
    struct str from;

    for (; (r = kafka_read(topic, partition, &at)); at++) {
        if (!record_header(r, HEADER_ORIGIN, &from) || !str_eq(from, origin))
            continue;
        (void)record_header(r, HEADER_REASON, ret_reason);
        count++;
    }
    return count;
}

static size_t rejections_of(const struct published *p, struct str *ret_reason)
{
    struct topic_name name = topic_name(TOPIC_REJECTED, p->region);
    char origin[256];
    size_t count = 0;

    (void)snprintf(origin, sizeof(origin), "%s/" STR_FMT "/%d/%lld", p->topic->name.text,
                   STR_ARG(p->topic->generation), p->partition, (long long)p->offset);
    for (size_t t = 0; t < sim->kafka->topic_count; t++) {
        struct topic *topic = &sim->kafka->topics[t];

        for (int32_t i = 0; i < topic->partition_count; i++)
            if (strcmp(topic->name.text, name.text) == 0)
                count += rejections_in(topic, i, str_from(origin), ret_reason);
    }
    return count;
}

/* What was not read yet when its topic was deleted is lost, all of it. */
static bool was_read(const struct topic *topic, int32_t partition, int64_t offset)
{
    return !topic->gone || offset < topic->passed[partition];
}

static bool becomes_event(const struct published *p)
{
    return p->expect == EXPECT_EVENT && was_read(p->topic, p->partition, p->offset);
}

static void check_published(const struct oracle *o, const struct published *p)
{
    const struct seen *out = NULL;
    struct str reason = STR("");
    size_t outputs = outputs_of(o, p, &out), rejections = rejections_of(p, &reason);
    bool rejects = (p->expect == EXPECT_REJECTED || p->expect == EXPECT_CONFLICT) &&
                   was_read(p->topic, p->partition, p->offset);

    if (outputs != becomes_event(p) || rejections != rejects)
        fail("raw." STR_FMT "/%d/%lld (%s) became %zu events and %zu rejections, kind %d",
             STR_ARG(p->region), p->partition, (long long)p->offset, p->id, outputs, rejections,
             p->expect);
    if (rejects && str_eq(reason, STR("conflict")) != (p->expect == EXPECT_CONFLICT))
        fail("%s was rejected for " STR_FMT, p->id, STR_ARG(reason));
    if (!out)
        return;
    if (!str_eq(out->event.id, str_from(p->id)) || !str_eq(out->event.account, p->account) ||
        (out->kind == TOPIC_GLOBAL) != p->global || (!p->global && !str_eq(out->region, p->target)))
        fail("%s became another event, or one elsewhere", p->id);
}

void oracle_check_raw(const struct oracle *o)
{
    size_t events = 0, first_hand = 0;

    for (const struct published *p = load_all(); p; p = p->next) {
        check_published(o, p);
        events += becomes_event(p);
    }
    for (size_t i = 0; i < o->seen_count; i++)
        first_hand += !o->seen[i].change && is_first_hand(&o->seen[i]);
    if (events != first_hand)
        fail("%zu events came of %zu records", first_hand, events);
}

/* ---- global: copies by the settings before each event -------------------------------------------------------------- */

static unsigned purpose_there(const struct oracle *o, const struct seen *s, struct str region)
{
    const struct version *trail;
    unsigned purpose = 0;

    if (str_eq(region, sim->regions[sim->region_count - 1]))
        purpose |= EVENT_FOR_HISTORY;
    for (size_t i = 0; oracle_trail(o, &i, &trail);)
        if (oracle_wants(oracle_settings(o, trail->trail, s->topic, s->partition, s->offset),
                         &s->event, region))
            purpose |= EVENT_FOR_DELIVERY;
    return purpose;
}

static bool same_origin(const struct event_origin *a, const struct event_origin *b)
{
    return a->offset == b->offset && a->partition == b->partition && str_eq(a->topic, b->topic) &&
           str_eq(a->generation, b->generation);
}

static void check_copies(const struct oracle *o, const struct seen *s, struct str region)
{
    bool read = was_read(s->topic, s->partition, s->offset);
    unsigned purpose = read ? purpose_there(o, s, region) : 0, is = 0;
    size_t count = 0;

    for (size_t i = 0; i < o->seen_count; i++) {
        const struct seen *c = &o->seen[i];

        if (c->kind != TOPIC_EVENTS || c->change || !c->event.global ||
            !str_eq(c->region, region) || !same_origin(&c->event.origin, &s->event.origin))
            continue;
        is = c->event.purpose;
        count++;
    }
    if (count != (purpose != 0) || is != purpose)
        fail("global/%d/%lld (" STR_FMT "): %zu copies in " STR_FMT " for %u, wanted for %u",
             s->partition, (long long)s->offset, STR_ARG(s->event.id), count, STR_ARG(region), is,
             purpose);
}

void oracle_check_router(const struct oracle *o)
{
    for (size_t i = 0; i < o->seen_count; i++)
        for (size_t r = 0; o->seen[i].kind == TOPIC_GLOBAL && r < sim->region_count; r++)
            check_copies(o, &o->seen[i], sim->regions[r]);
}

/* ---- history ------------------------------------------------------------------------------------------------------- */

void oracle_check_history(const struct oracle *o)
{
    size_t events = 0;

    for (size_t i = 0; i < o->seen_count; i++) {
        const struct seen *s = &o->seen[i];
        size_t rows;

        if (s->kind != TOPIC_EVENTS || !(s->event.purpose & EVENT_FOR_HISTORY))
            continue;
        rows = disk_rows(s->region, s->event.account, s->event.id);
        if (was_read(s->topic, s->partition, s->offset) ? rows != 1 : rows > 1)
            fail("%s/%d/%lld (" STR_FMT ") is %zu times in history", s->topic->name.text,
                 s->partition, (long long)s->offset, STR_ARG(s->event.id), rows);
        events += rows;
    }
    if (disk_row_count() != events)
        fail("history has %zu rows of %zu events", disk_row_count(), events);
}

/* ---- changes --------------------------------------------------------------------------------------------------------- */

static const struct version *version_by(const struct oracle *o, const char *request)
{
    const struct version *found = NULL;

    for (size_t i = 0; i < o->version_count; i++) {
        if (!str_eq(o->versions[i].request, str_from(request)))
            continue;
        if (found)
            fail("%s made two versions", request);
        found = &o->versions[i];
    }
    return found;
}

static bool narrows(const struct version *v)
{
    const struct version *old = v->before;

    if (!old || !old->logging)
        return false;
    return v->deleted || !v->logging || v->destination != old->destination ||
           (!str_eq(v->rw, STR("All")) && !str_eq(v->rw, old->rw)) ||
           (!str_eq(v->regions, STR("All")) && !str_eq(v->regions, old->regions));
}

/* Rule 19: what was accepted before the call lies before the change, wherever it went. */
static void check_nothing_hidden(const struct oracle *o, const struct call *call,
                                 const struct version *v)
{
    for (const struct published *p = load_all(); p; p = p->next) {
        if (p->at_ms >= call->begun_ms || !str_eq(p->account, v->account))
            continue;
        for (size_t i = 0; i < o->seen_count; i++) {
            const struct seen *s = &o->seen[i];
            int64_t change = is_of(s, p) ? oracle_change_offset(o, v, s->topic, s->partition) : -1;

            if (change >= 0 && s->offset > change)
                fail("rule 19: %s narrowed a trail before %s at %s/%d/%lld had passed",
                     call->request, p->id, s->topic->name.text, s->partition, (long long)s->offset);
        }
    }
}

/* Before the partition, that is. */
static bool came_before(const struct oracle *o, const struct version *v, const struct topic *t,
                        int32_t partition)
{
    int64_t first = oracle_change_offset(o, v, t, 0);

    return partition >= t->first_count && first >= 0 &&
           t->partitions[0].records[first].appended_ms <= t->grown_ms;
}

/* All or nothing: a version has a record in each partition of `global` and of its home region. */
static void check_version(const struct oracle *o, const struct version *v)
{
    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        const struct topic *t = &sim->kafka->topics[i];
        enum topic_kind kind;
        struct str region;

        CHECK(topic_parse(str_from(t->name.text), &kind, &region));
        if ((t->anew && v->made_ms <= t->made_ms) || (t->gone && v->made_ms >= t->gone_ms))
            continue;
        if (kind != TOPIC_GLOBAL && (kind != TOPIC_EVENTS || !str_eq(region, v->home)))
            continue;
        for (int32_t p = 0; p < t->partition_count; p++)
            if (oracle_change_offset(o, v, t, p) < 0 && !came_before(o, v, t, p))
                fail("version %lld of trail " STR_FMT " is not in %s/%d", (long long)v->number,
                     STR_ARG(v->trail), t->name.text, p);
    }
}

/* The event of the call is in one of its records, of its home region (rule 2). */
static void check_event(const struct oracle *o, const struct version *v)
{
    size_t count = 0;

    for (size_t i = 0; i < o->seen_count; i++) {
        const struct seen *s = &o->seen[i];

        if (!s->change || s->change->version != v)
            continue;
        if (!str_eq(s->event.id, v->request) || !str_eq(s->region, v->home))
            fail("the event " STR_FMT " lies in a change record of " STR_FMT, STR_ARG(s->event.id),
                 STR_ARG(v->request));
        count++;
    }
    if (count != 1)
        fail("the event of " STR_FMT " lies in %zu change records", STR_ARG(v->request), count);
}

/* In each partition versions come one behind the other, each once. */
static void check_order(const struct oracle *o)
{
    for (size_t i = 0; i < o->change_count; i++) {
        const struct change *c = &o->changes[i];
        const struct version *before =
            oracle_settings(o, c->version->trail, c->topic, c->partition, c->offset);

        if (before && before->number >= c->version->number)
            fail("%s/%d: version %lld of a trail lies at %lld behind version %lld",
                 c->topic->name.text, c->partition, (long long)c->version->number,
                 (long long)c->offset, (long long)before->number);
    }
}

void oracle_check_changes(const struct oracle *o)
{
    for (size_t i = 0; i < o->version_count; i++) {
        check_version(o, &o->versions[i]);
        check_event(o, &o->versions[i]);
    }
    check_order(o);
    for (const struct call *call = calls_all(); call; call = call->next) {
        const struct version *v = version_by(o, call->request);

        if (call->state == CALL_DONE && !v)
            fail("%s was answered as done and is not in control", call->request);
        if ((call->state == CALL_REFUSED || call->state == CALL_UNCHANGED) && v)
            fail("%s was answered as not done and is in control", call->request);
        if (call->last && call->state != CALL_DONE && call->state != CALL_UNCHANGED &&
            !(call->create && call->state == CALL_REFUSED)) /* the trail is there */
            fail("%s is not done, though nothing goes wrong", call->request);
        if (v && !call->forced && narrows(v))
            check_nothing_hidden(o, call, v);
    }
}

/* ---- tallies ----------------------------------------------------------------------------------------------------------- */

/* "1 <base> <gaps> <kind>=<count> …" */
static int64_t tally_value(struct str text, const char *kind)
{
    struct str word, name;
    int64_t value;

    while (str_split(&text, ' ', &word))
        if (str_split(&word, '=', &name) && str_eq(name, str_from(kind)) &&
            str_to_i64(word, &value))
            return value;
    return 0;
}

/* Every log is counted from its first record on: gaps and all counts of `kinds` reach to the offset; -1: no such tally. */
static int64_t tally_end(struct str text, const char *const *kinds)
{
    struct str form, base, gaps;
    int64_t end;

    if (!str_split(&text, ' ', &form) || !str_split(&text, ' ', &base) ||
        !str_split(&text, ' ', &gaps) || !str_eq(base, STR("0")) || !str_to_i64(gaps, &end))
        return -1;
    for (; *kinds; kinds++)
        end += tally_value(text, *kinds);
    return end;
}

static void check_tally(const char *what, int32_t partition, struct str note, int64_t offset,
                        const char *const *kinds)
{
    int64_t end = tally_end(note, kinds);

    if (offset > 0 && end != offset)
        fail("the tally of %s/%d reaches to %lld, its offset is %lld: " STR_FMT, what, partition,
             (long long)end, (long long)offset, STR_ARG(note));
}

static void check_count(const char *what, int32_t partition, struct str note, const char *kind,
                        int64_t count)
{
    int64_t counted = tally_value(note, kind);

    if (counted != count)
        fail("the tally of %s/%d has %lld %s, there are %lld", what, partition, (long long)counted,
             kind, (long long)count);
}

static int64_t published_count(const struct topic *topic, int32_t partition,
                               enum expectation expect)
{
    int64_t count = 0;

    for (const struct published *p = load_all(); p; p = p->next)
        count += p->topic == topic && p->partition == partition && p->expect == expect;
    return count;
}

static void check_normalizer(struct str region)
{
    static const char *const kinds[] = {"to.global", "to.cn-hangzhou", "to.cn-beijing", "duplicate",
                                        "conflict",  "malformed",      "data_event",    NULL};
    struct topic_name raw = topic_name(TOPIC_RAW, region);
    char name[GROUP_NAME_SIZE];
    const struct group *g;

    group_name(STR("normalizer"), region, name);
    g = group_find(name, kafka_topic(raw.text));
    for (int32_t p = 0; p < g->topic->partition_count; p++) {
        int64_t offset;
        struct str tally;

        if (!stage_stands(g, p, &offset, &tally))
            continue;
        check_tally(raw.text, p, tally, offset, kinds);
        check_count(raw.text, p, tally, "duplicate",
                    published_count(g->topic, p, EXPECT_DUPLICATE));
        check_count(raw.text, p, tally, "conflict", published_count(g->topic, p, EXPECT_CONFLICT));
        check_count(raw.text, p, tally, "data_event", published_count(g->topic, p, EXPECT_DROPPED));
    }
}

static int64_t seen_count(const struct oracle *o, const struct topic *topic, int32_t partition)
{
    int64_t count = 0;

    for (size_t i = 0; i < o->seen_count; i++)
        count +=
            o->seen[i].topic == topic && o->seen[i].partition == partition && !o->seen[i].change;
    return count;
}

static void check_router_tally(const struct oracle *o)
{
    static const char *const kinds[] = {"events", "changes", NULL};
    struct topic_name global = topic_name(TOPIC_GLOBAL, STR_NONE);
    char name[GROUP_NAME_SIZE];
    const struct group *g;

    group_name(STR("router"), STR_NONE, name);
    g = group_find(name, kafka_topic(global.text));
    for (int32_t p = 0; p < g->topic->partition_count; p++) {
        int64_t offset;
        struct str tally;

        if (!stage_stands(g, p, &offset, &tally))
            continue;
        check_tally(global.text, p, tally, offset, kinds);
        check_count(global.text, p, tally, "events", seen_count(o, g->topic, p));
    }
}

static void check_history_tally(const struct oracle *o, struct str region)
{
    static const char *const kinds[] = {"events", "calls", "changes", NULL};
    struct topic_name events = topic_name(TOPIC_EVENTS, region);
    const struct topic *topic = kafka_topic(events.text);

    for (int32_t p = 0; p < topic->partition_count; p++) {
        int64_t next;
        struct str note;

        if (!disk_position(region, p, &next, &note))
            continue;
        check_tally(events.text, p, note, next, kinds);
        check_count(events.text, p, note, "events", seen_count(o, topic, p));
    }
}

void oracle_check_tallies(const struct oracle *o)
{
    for (size_t i = 0; i < sim->region_count; i++) {
        check_normalizer(sim->regions[i]);
        check_history_tally(o, sim->regions[i]);
    }
    check_router_tally(o);
}
