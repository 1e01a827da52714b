/* reading.c - the logs, once they are complete: versions of trails, change records, events. */
#include "jsondoc/jsondoc.h"
#include "oracle.h"

static void read_version(struct oracle *o, struct str json, int64_t made_ms)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    struct version *v = &o->versions[o->version_count++];
    const struct jsondoc *destinations, *last;
    struct why why;

    CHECK(o->version_count <= VERSIONS_MAX);
    if (jsondoc_parse(json, &doc, &why) < 0)
        fail("an entry of control is no JSON: %s", why.text);
    destinations = jsondoc_get(doc, "destinations");
    last = jsondoc_at(destinations, jsondoc_len(destinations) - 1);
    *v = (struct version){
        .trail = keep_str(jsondoc_str_or(doc, "trail", STR(""))),
        .account = keep_str(jsondoc_str_or(doc, "account", STR(""))),
        .home = keep_str(jsondoc_str_or(doc, "homeRegion", STR(""))),
        .regions = keep_str(jsondoc_str_or(doc, "regions", STR(""))),
        .rw = keep_str(jsondoc_str_or(doc, "rw", STR(""))),
        .request = keep_str(jsondoc_str_or(doc, "request", STR(""))),
        .bucket = keep_str(jsondoc_str_or(last, "bucket", STR(""))),
        .prefix = keep_str(jsondoc_str_or(last, "prefix", STR(""))),
        .number = jsondoc_i64_or(doc, "version", 0),
        .destination = jsondoc_i64_or(last, "number", 0),
        .logging = jsondoc_bool(doc, "logging"),
        .deleted = jsondoc_bool(doc, "deleted"),
        .made_ms = made_ms,
    };
    for (size_t i = 0; i + 1 < o->version_count; i++)
        if (str_eq(o->versions[i].trail, v->trail))
            v->before = &o->versions[i];
    if (v->number != (v->before ? v->before->number + 1 : 1))
        fail("control: version %lld of trail " STR_FMT " is not the one behind the last",
             (long long)v->number, STR_ARG(v->trail));
}

/* Of the topics of a name the first that has none yet was given it. */
static void read_generation(struct str name, struct str json)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    struct topic_name control = topic_name(TOPIC_CONTROL, STR_NONE);
    struct str generation;

    if (str_eq(name, str_from(control.text))) /* nobody asks for its own */
        return;
    if (jsondoc_parse(json, &doc, NULL) < 0)
        fail("an entry of control is no JSON");
    generation = jsondoc_str_or(doc, "generation", STR(""));
    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        struct topic *t = &sim->kafka->topics[i];

        if (!str_eq(str_from(t->name.text), name))
            continue;
        if (t->generation.len == 0)
            t->generation = keep_str(generation);
        if (str_eq(t->generation, generation))
            return;
    }
    fail("a topic has a second generation: " STR_FMT, STR_ARG(name));
}

static void check_generations(void)
{
    for (size_t i = 0; i < sim->kafka->topic_count; i++)
        if (sim->kafka->topics[i].generation.len == 0)
            fail("rule 1: %s was made anew without a new generation",
                 sim->kafka->topics[i].name.text);
}

static void read_control(struct oracle *o)
{
    struct topic_name name = topic_name(TOPIC_CONTROL, STR_NONE);
    struct topic *topic = kafka_topic(name.text);
    int64_t at = 0;
    const struct record *r;

    while ((r = kafka_read(topic, 0, &at))) {
        if (str_starts(r->key, STR("trail/")))
            read_version(o, r->value, r->appended_ms);
        else if (str_starts(r->key, STR("topic/")) && !r->tombstone)
            read_generation(str_of(r->key.at + 6, r->key.len - 6), r->value);
        at++;
    }
    check_generations();
}

static const struct version *version_of(const struct oracle *o, struct str header)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    struct str trail;
    int64_t number;

    if (jsondoc_parse(header, &doc, NULL) < 0)
        return NULL;
    trail = jsondoc_str_or(doc, "trail", STR(""));
    number = jsondoc_i64_or(doc, "version", 0);
    for (size_t i = 0; i < o->version_count; i++)
        if (o->versions[i].number == number && str_eq(o->versions[i].trail, trail))
            return &o->versions[i];
    return NULL;
}

static const struct change *read_change(struct oracle *o, const struct topic *topic,
                                        int32_t partition, int64_t offset, struct str header)
{
    struct change *c = &o->changes[o->change_count++];

    CHECK(o->change_count <= CHANGES_MAX);
    *c = (struct change){topic, partition, offset, version_of(o, header)};
    if (!c->version)
        fail("%s/%d: the change at %lld is not in control", topic->name.text, partition,
             (long long)offset);
    return c;
}

static void read_log(struct oracle *o, struct topic *topic, enum topic_kind kind, struct str region,
                     int32_t partition)
{
    int64_t at = 0;
    const struct record *r;

    for (; (r = kafka_read(topic, partition, &at)); at++) {
        struct seen *s = &o->seen[o->seen_count];
        const struct change *change = NULL;
        struct str header;
        struct why why;

        if (record_header(r, HEADER_CHANGE, &header))
            change = read_change(o, topic, partition, at, header);
        if (r->value.len == 0)
            continue;
        CHECK(++o->seen_count <= SEEN_MAX);
        *s = (struct seen){.topic = topic,
                           .kind = kind,
                           .region = region,
                           .partition = partition,
                           .offset = at,
                           .appended_ms = r->appended_ms,
                           .change = change};
        if (event_decode(r->value, &s->event, &why) < 0)
            fail("%s/%d: at %lld lies no event: %s", topic->name.text, partition, (long long)at,
                 why.text);
    }
}

void oracle_read_logs(struct oracle *o)
{
    read_control(o);
    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        struct topic *t = &sim->kafka->topics[i];
        enum topic_kind kind;
        struct str region;

        CHECK(topic_parse(str_from(t->name.text), &kind, &region));
        for (int32_t p = 0; p < t->partition_count; p++)
            if (kind == TOPIC_EVENTS || kind == TOPIC_GLOBAL)
                read_log(o, t, kind, region, p);
    }
}

/* In a partition that was added later, a version that is in the log holds from the start. */
bool oracle_holds_from_start(const struct oracle *o, const struct version *v,
                             const struct topic *topic, int32_t partition)
{
    return partition >= topic->first_count && oracle_change_offset(o, v, topic, 0) >= 0 &&
           oracle_change_offset(o, v, topic, partition) < 0;
}

/* What was in effect when a topic was made anew. */
static const struct version *version_before(const struct oracle *o, struct str trail,
                                            const struct topic *topic)
{
    const struct version *last = NULL;

    for (size_t i = 0; topic->anew && i < o->version_count; i++)
        if (str_eq(o->versions[i].trail, trail) && o->versions[i].made_ms <= topic->made_ms)
            last = &o->versions[i];
    return last;
}

const struct version *oracle_settings(const struct oracle *o, struct str trail,
                                      const struct topic *topic, int32_t partition, int64_t offset)
{
    const struct version *last = version_before(o, trail, topic);

    for (size_t i = 0; i < o->change_count; i++) {
        const struct change *c = &o->changes[i];

        if (c->topic != topic || !str_eq(c->version->trail, trail) ||
            (last && c->version->number < last->number))
            continue;
        if ((c->partition == partition && c->offset < offset) ||
            (c->partition == 0 && partition >= topic->first_count &&
             oracle_holds_from_start(o, c->version, topic, partition)))
            last = c->version;
    }
    return last;
}

static bool covers(struct str regions, struct str region)
{
    return str_eq(regions, STR("All")) || str_eq(regions, region);
}

bool oracle_concerns(const struct version *v, struct str region)
{
    return str_eq(v->home, region) || covers(v->regions, region);
}

bool oracle_wants(const struct version *v, const struct event *e, struct str region)
{
    if (!v || !v->logging || v->deleted || !str_eq(v->account, e->account) ||
        e->category != EVENT_MANAGEMENT)
        return false;
    if (!str_eq(v->rw, STR("All")) && str_eq(v->rw, STR("Read")) != (e->rw == EVENT_READ))
        return false;
    return e->global ? str_eq(v->home, region) : covers(v->regions, region);
}

bool oracle_trail(const struct oracle *o, size_t *i, const struct version **ret)
{
    for (; *i < o->version_count; (*i)++) {
        if (o->versions[*i].number != 1)
            continue;
        *ret = &o->versions[(*i)++];
        return true;
    }
    return false;
}

int64_t oracle_change_offset(const struct oracle *o, const struct version *version,
                             const struct topic *topic, int32_t partition)
{
    for (size_t i = 0; i < o->change_count; i++)
        if (o->changes[i].version == version && o->changes[i].topic == topic &&
            o->changes[i].partition == partition)
            return o->changes[i].offset;
    return -1;
}
