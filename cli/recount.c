/* recount.c - delivery's counts against what they are about.
 *
 * What delivery shows of a stream is one moment: a boundary, a cursor, and counts there (docs/REDIS.md). Objects are never
 * taken away and the log only grows, so whatever is read afterwards can be held against that moment, while
 * events come:
 *
 *     delivered   the objects up to the boundary, by their signed metadata     = matches in the log up to there
 *     filtered    events in the log up to the cursor that the settings in effect at each do not want
 *     waiting     matches in the log from the boundary to the cursor
 *
 * Where the log has forgotten the beginning it is counted from the oldest object whose end it still has.
 */
#include "cli/recount.h"

#include <stdio.h>

#include "cli/deployment.h"
#include "cli/output.h"
#include "cli/scan.h"
#include "cli/stores.h"

#define EVENT_TYPE  STR("Actiontrail")
#define DAY_S       86400
#define STREAMS_MAX 100000 /* of one partition */
#define READ_MS     600000

struct counts {
    int64_t delivered, filtered, waiting;
};

struct object {
    int64_t first, time_ms;
    struct object_meta meta;
};

struct stream {
    const struct trail *trail;
    const struct trail_destination *destination;
    char chain[TRAIL_CHAIN_SIZE];
    int64_t origin;
    bool shown; /* Redis tells of it */
    int64_t boundary, cursor, since, lost;
    struct counts told, found;
    int64_t matched; /* in the log between start and boundary */
    int64_t before;  /* delivered up to start */
    int64_t start;   /* what is counted in the log begins here */
    struct object *objects;
    size_t object_count, object_cap;
};

struct recounting {
    const struct deployment *deployment;
    struct control *control;
    struct state *state;
    struct bus_admin *admin;
    const struct store_calls *store;
    struct output table;
    struct str region;
    struct trail_log log; /* the partition that is looked at */
    struct topic_name topic;
    struct stream *streams;
    size_t stream_count;
    int64_t wrong, untold;
    struct str only; /* a trail's name or id; empty: all */
};

/* ---- what delivery says ------------------------------------------------------------------------------------ */

static int read_told(struct recounting *c, struct stream *s, struct why *why)
{
    struct state_key key = state_key_trail_counts(trail_id(s->trail), c->region);
    char field[TRAIL_CHAIN_SIZE + 16];
    int64_t *const words[] = {&s->boundary,      &s->cursor, &s->since,       &s->told.delivered,
                              &s->told.filtered, &s->lost,   &s->told.waiting};
    struct str rest, word;
    int r;

    (void)snprintf(field, sizeof(field), "%s/%d", s->chain, c->log.partition);
    STATE_ADD(c->state, STR("HGET"), state_key_str(&key), str_from(field));
    r = state_flush(c->state, why);
    if (r < 0)
        return r;
    rest = state_reply(c->state, 0).text;
    s->shown = state_reply(c->state, 0).type == STATE_TEXT && str_split(&rest, ' ', &word);
    for (size_t i = 0; s->shown && i < ARRAY_LEN(words); i++)
        s->shown = str_split(&rest, ' ', &word) && str_to_i64(word, words[i]);
    return 0;
}

/* ---- the bucket --------------------------------------------------------------------------------------------- */

struct listing {
    struct recounting *recounting;
    struct stream *stream;
};

static int note_key(void *arg, struct str key)
{
    const struct listing *l = arg;
    struct stream *s = l->stream;
    struct object_name name;

    if (!object_name_parse(key, &name) || !str_eq(name.chain, str_from(s->chain)) ||
        name.partition != l->recounting->log.partition)
        return 0;
    if (s->object_count == s->object_cap) {
        size_t cap = s->object_cap ? s->object_cap * 2 : 64;
        struct object *objects = realloc(s->objects, cap * sizeof(*objects));

        if (!objects)
            return -ERR_NOMEM;
        s->objects = objects;
        s->object_cap = cap;
    }
    s->objects[s->object_count++] =
        (struct object){.first = name.first, .time_ms = name.time_s * 1000};
    return 0;
}

static int by_first(const void *a, const void *b)
{
    const struct object *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static int read_object(struct recounting *c, const struct stream *s, struct object *o,
                       struct why *why)
{
    AUTO_BUF struct buf key = {0};
    struct store_object found = {0};
    int r;

    buf_init(&key, OBJECT_KEY_SIZE_MAX);
    object_key(s->destination->prefix, EVENT_TYPE, c->region, o->time_ms, c->log.partition,
               o->first, str_from(s->chain), &key);
    r = store_head(c->store, s->destination->bucket, buf_str(&key), &found, why);
    if (r == 0 && !found.meta_valid)
        return why_set(why, -ERR_CONFLICT, "%s", found.meta_why.text);
    o->meta = found.meta;
    return r;
}

static int read_bucket(struct recounting *c, struct stream *s, struct why *why)
{
    AUTO_BUF struct buf folder = {0}, after = {0};
    struct listing listing = {c, s};
    int r;

    buf_init(&folder, OBJECT_KEY_SIZE_MAX);
    buf_init(&after, OBJECT_KEY_SIZE_MAX);
    object_folder(s->destination->prefix, EVENT_TYPE, c->region, &folder);
    object_day_prefix(s->destination->prefix, EVENT_TYPE, c->region,
                      (trail_latest(s->trail)->created_s - DAY_S) * 1000, &after);
    r = store_list(c->store, s->destination->bucket, buf_str(&folder), buf_str(&after), note_key,
                   &listing, why);
    if (s->object_count)
        qsort(s->objects, s->object_count, sizeof(*s->objects), by_first);
    for (size_t i = 0; i < s->object_count && r == 0; i++)
        r = read_object(c, s, &s->objects[i], why);
    return r;
}

/* Sums what lies in the objects up to the boundary, and finds out where the log has to be counted from. False: they
 * do not lead there. */
static bool sum_objects(struct stream *s, int64_t log_start)
{
    int64_t at = s->object_count ? s->objects[0].meta.from : s->origin;
    bool placed = s->origin >= log_start;

    s->start = s->origin;
    s->found.delivered = 0;
    for (size_t i = 0; i < s->object_count && s->objects[i].meta.next <= s->boundary; i++) {
        const struct object_meta *m = &s->objects[i].meta;

        if (m->from != at)
            return false;
        at = m->next;
        s->found.delivered += m->count;
        if (i == 0 && m->from != s->origin) /* older ones are gone by now */
            s->found.delivered = m->delivered;
        if (!placed && m->next >= log_start && m->since >= 0) {
            placed = true;
            s->start = m->next;
            s->found.filtered = m->filtered;
            s->before = s->found.delivered;
        }
    }
    return placed && at == s->boundary;
}

/* ---- the log -------------------------------------------------------------------------------------------------- */

static bool wanted(const struct recounting *c, const struct stream *s, const struct event *event,
                   const struct trail_version *change, int64_t offset)
{
    const struct trail_version *v = trail_at(s->trail, &c->log, offset);

    if (trail_wants(v, event, c->region))
        return true;
    return change && v && str_eq(change->id, v->id) && trail_wants(change, event, c->region);
}

/* Whether the stream's destination is the one in effect there. */
static bool is_of(const struct recounting *c, const struct stream *s, int64_t offset)
{
    const struct trail_version *v = trail_at(s->trail, &c->log, offset);
    const struct trail_destination *d = v ? trail_version_destination(v) : NULL;

    return d && d->number == s->destination->number;
}

static int count_record(void *arg, const struct bus_record *record)
{
    struct recounting *c = arg;
    AUTO(trail_version_free) struct trail_version *change = NULL;
    struct event event;
    struct str header;
    int r = 0;

    if (record->value.len == 0)
        return 0;
    if (bus_record_header(record, HEADER_CHANGE, &header))
        r = trail_version_parse(header, &change, NULL);
    if (r == 0)
        r = event_decode(record->value, &event, NULL);
    if (r < 0)
        return r;
    for (size_t i = 0; i < c->stream_count; i++) {
        struct stream *s = &c->streams[i];

        if (!(event.purpose & EVENT_FOR_DELIVERY) || record->offset < s->start ||
            record->offset >= s->cursor ||
            !str_eq(event.account, trail_latest(s->trail)->account) || !is_of(c, s, record->offset))
            continue;
        if (!wanted(c, s, &event, change, record->offset))
            s->found.filtered++;
        else if (record->offset >= s->boundary)
            s->found.waiting++;
        else
            s->matched++;
    }
    return 0;
}

/* ---- a partition ------------------------------------------------------------------------------------------------ */

static bool chosen(const struct recounting *c, const struct trail_version *v)
{
    return c->only.len == 0 || str_eq(c->only, v->name) || str_eq(c->only, v->id);
}

static int find_streams(struct recounting *c)
{
    const struct trail_book *book = control_trails(c->control);

    for (const struct trail *t = trail_book_all(book, NULL); t; t = trail_book_all(book, t)) {
        const struct trail_version *v = trail_latest(t);

        for (size_t i = 0; chosen(c, v) && i < v->destination_count; i++) {
            struct stream *s;
            int64_t origin;

            if (!trail_origin(t, v->destinations[i].number, &c->log, &origin) ||
                c->stream_count == STREAMS_MAX)
                continue;
            s = realloc(c->streams, (c->stream_count + 1) * sizeof(*s));
            if (!s)
                return -ERR_NOMEM;
            c->streams = s;
            s += c->stream_count++;
            *s = (struct stream){.trail = t, .destination = &v->destinations[i], .origin = origin};
            trail_chain(v->id, v->destinations[i].number, c->log.generation, s->chain);
        }
    }
    return 0;
}

static void forget_streams(struct recounting *c)
{
    for (size_t i = 0; i < c->stream_count; i++)
        free(c->streams[i].objects);
    free(c->streams);
    c->streams = NULL;
    c->stream_count = 0;
}

static void print(struct recounting *c, const struct stream *s, bool leads)
{
    const struct trail_version *v = trail_latest(s->trail);
    bool same = leads && s->told.delivered == s->found.delivered &&
                s->found.delivered == s->before + s->matched &&
                s->told.filtered == s->found.filtered && s->told.waiting == s->found.waiting;
    char place[TOPIC_NAME_SIZE + 16], told[3][NUMBER_TEXT_SIZE], found[3][NUMBER_TEXT_SIZE];

    (void)snprintf(place, sizeof(place), "%s/%d", c->topic.text, c->log.partition);
    c->wrong += s->shown && !same;
    c->untold += !s->shown;
    output_row(&c->table,
               (const struct str[]){
                   v->name, str_from(place), str_of_i64(s->told.delivered, told[0]),
                   str_of_i64(s->found.delivered, found[0]), str_of_i64(s->told.filtered, told[1]),
                   str_of_i64(s->found.filtered, found[1]), str_of_i64(s->told.waiting, told[2]),
                   str_of_i64(s->found.waiting, found[2]),
                   str_from(!s->shown ? "not told"
                            : same    ? "same"
                            : leads   ? "DIFFERS"
                                      : "OBJECTS DO NOT LEAD TO THE BOUNDARY")});
}

static int recount_partition(struct recounting *c, struct why *why)
{
    int64_t low, high, from = INT64_MAX, next;
    int r = find_streams(c);

    for (size_t i = 0; i < c->stream_count && r == 0; i++)
        r = read_told(c, &c->streams[i], why);
    for (size_t i = 0; i < c->stream_count && r == 0; i++)
        if (c->streams[i].shown)
            r = read_bucket(c, &c->streams[i], why);
    if (r == 0 && c->stream_count)
        r = bus_admin_watermarks(c->admin, c->topic.text, c->log.partition, &low, &high, why);
    for (size_t i = 0; i < c->stream_count && r == 0; i++) {
        struct stream *s = &c->streams[i];

        if (s->shown && !sum_objects(s, low))
            s->start = INT64_MAX;
        if (s->shown && s->start < s->cursor)
            from = MIN_OF(from, s->start);
    }
    if (r == 0 && from != INT64_MAX)
        r = bus_read_to_end(&c->deployment->bus, c->topic.text, c->log.partition, MAX_OF(from, low),
                            READ_MS, count_record, c, &next, why);
    for (size_t i = 0; i < c->stream_count && r == 0; i++)
        print(c, &c->streams[i], c->streams[i].start != INT64_MAX);
    forget_streams(c);
    return r;
}

static int recount_regions(struct recounting *c, struct why *why)
{
    const struct config_strs *regions = &c->deployment->config.topology.regions;
    int r = 0;

    for (size_t i = 0; i < regions->count && r == 0; i++) {
        int32_t partitions;

        c->region = regions->at[i];
        c->topic = topic_name(TOPIC_EVENTS, c->region);
        c->log = (struct trail_log){str_from(c->topic.text),
                                    control_generation(c->control, str_from(c->topic.text)), 0};
        r = bus_admin_partitions(c->admin, c->topic.text, &partitions, why);
        for (; r == 0 && c->log.partition < partitions; c->log.partition++)
            r = recount_partition(c, why);
    }
    return r;
}

static void begin_table(struct output *table)
{
    output_begin(table, (const struct output_column[]){{"trail", "TRAIL", 20},
                                                       {"log", "LOG", 26},
                                                       {"delivered", "DELIVERED", 10},
                                                       {"deliveredFound", "FOUND", 10},
                                                       {"filtered", "FILTERED", 10},
                                                       {"filteredFound", "FOUND", 10},
                                                       {"waiting", "WAITING", 8},
                                                       {"waitingFound", "FOUND", 8},
                                                       {"verdict", "", 0},
                                                       {NULL, NULL, 0}});
}

static int verdict(const struct recounting *c, struct why *why)
{
    if (c->wrong)
        return why_set(why, -ERR_CONFLICT, "%lld streams are counted otherwise",
                       (long long)c->wrong);
    if (c->untold)
        return why_set(why, -ERR_UNAVAILABLE,
                       "Redis has no counts of %lld streams: does delivery run?",
                       (long long)c->untold);
    return 0;
}

int recount(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO_STORES struct stores stores = {0};
    AUTO(state_close) struct state *state = NULL;
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(control_free) struct control *control = NULL;
    struct recounting c = {.deployment = &deployment,
                           .table = {.json = args_has(&cli->args, "json")},
                           .only = args_text(&cli->args, "trail", STR(""))};
    int r;

    if ((r = deployment_open(cli, &deployment, reterr_why)) < 0 ||
        (r = stores_open(cli, &deployment, &stores, reterr_why)) < 0 ||
        (r = state_open(deployment.config.state.redis, &state, reterr_why)) < 0 ||
        (r = bus_admin_open(&deployment.bus, &admin, reterr_why)) < 0 ||
        (r = control_view(&deployment, &control, reterr_why)) < 0)
        return r;
    c.control = control;
    c.state = state;
    c.admin = admin;
    c.store = &stores.calls;
    begin_table(&c.table);
    r = recount_regions(&c, reterr_why);
    return r < 0 ? r : verdict(&c, reterr_why);
}
