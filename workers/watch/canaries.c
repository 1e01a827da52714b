/* canaries.c - a small event of our own account, again and again.
 *
 * Where it is found at each stage is found out without the workers' word:
 *
 *     raw          Kafka's acknowledgement
 *     normalized   the event itself, in events.<region>, committed
 *     history      a query by its id
 *     object       an object in the bucket of a trail of the account, whose signed metadata says that it covers the
 *                  event's offset; without such a trail nothing is said of objects
 */
#include "canaries.h"

#include <stdio.h>

#include "control/control.h"
#include "core/canary.h"
#include "daemon/daemon.h"
#include "event/event.h"
#include "history/history.h"
#include "jsondoc/jsondoc.h"
#include "log/log.h"
#include "objects/objects.h"
#include "state/keys.h"

#define GAUGE_TTL          STR("120")
#define RECORDS_A_STEP     2000
#define CONTROL_TIMEOUT_MS 10000
#define CONTROL_PERIOD_MS  30000 /* trails are looked for this often */
#define DOCUMENT_SIZE_MAX  4096
#define ARENA_SIZE         ((size_t)1 << 20)
#define ASKED_A_LOOK       4 /* canaries of a region that the history is asked for */
#define MARGIN_MS          60000

/* Published and not acknowledged yet. */
struct sent {
    struct bus_ticket ticket;
    struct field *field;
    char id[CANARY_ID_SIZE];
};

/* A region's. */
struct field {
    struct flock *flock;
    struct str region;
    struct topic_name raw, events;
    struct canaries canaries;
    struct bus_reader *reader;
    int32_t partition, partition_count; /* of events.<region>, where the account's events lie */
    int64_t next;                       /* to be read; -1: not known yet */
    size_t unacknowledged;
    char chain[TRAIL_CHAIN_SIZE]; /* of the canary trail */
    char *bucket, *prefix;        /* NULL: there is no such trail */
    bool asking;                  /* the bucket, just now */
    int64_t first, first_time_ms; /* of the newest object that begins at or before `wanted` */
    int64_t wanted, after_ms;     /* offset; listed from that time */
    bool any;
};

struct flock {
    const struct watch_config *config;
    const struct bus_settings *bus;
    struct http *http;
    struct bus_producer *producer;
    struct control *control;
    int64_t control_next, control_ms; /* next record, next time */
    int64_t now_ms, tick_ms;
    struct history_reader *history;
    struct arena *arena;
    struct objects *objects;
    struct crypto_key hmac_key;
    struct field fields[CONFIG_STRS_MAX];
    size_t field_count;
};

int flock_new(const struct watch_config *config, const struct bus_settings *bus, struct http *http,
              struct flock **ret, struct why *reterr_why)
{
    AUTO(flock_free) struct flock *f = calloc(1, sizeof(*f));
    struct crypto_key master;
    int r;

    if (!f)
        return -ERR_NOMEM;
    f->config = config;
    f->bus = bus;
    f->http = http;
    f->control = control_new();
    f->arena = arena_new(ARENA_SIZE);
    if (!f->control || !f->arena)
        return -ERR_NOMEM;
    if ((r = security_read_key(&config->security, master.bytes, reterr_why)) < 0 ||
        (r = objects_open(&config->destinations, &f->objects, reterr_why)) < 0)
        return r;
    f->hmac_key = object_meta_key(&master);
    crypto_wipe(&master, sizeof(master));
    for (size_t i = 0; i < config->topology.regions.count; i++) {
        struct field *field = &f->fields[f->field_count++];

        field->flock = f;
        field->region = config->topology.regions.at[i];
        field->raw = topic_name(TOPIC_RAW, field->region);
        field->events = topic_name(TOPIC_EVENTS, field->region);
        field->next = -1;
        field->canaries.skipped[CANARY_OBJECT] = true;
    }
    *ret = f;
    f = NULL;
    return 0;
}

void flock_free(struct flock *f)
{
    if (!f)
        return;
    bus_producer_close(f->producer); /* its tickets are done by that */
    for (size_t i = 0; i < f->field_count; i++) {
        bus_reader_close(f->fields[i].reader);
        free(f->fields[i].bucket);
        free(f->fields[i].prefix);
    }
    history_reader_close(f->history);
    objects_free(f->objects);
    control_free(f->control);
    arena_free(f->arena);
    free(f);
}

/* ---- publishing ------------------------------------------------------------------------------------------ */

static int render(const struct flock *f, const struct field *field, const char *id, struct buf *out)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    struct jsondoc *identity = jsondoc_object();
    char time[TIME_TEXT_SIZE];

    if (!doc || !identity) {
        jsondoc_free(identity);
        return -ERR_NOMEM;
    }
    time_format(daemon_now_ms() / 1000, time);
    (void)jsondoc_set_str(identity, "type", STR("system"));
    (void)jsondoc_set_str(identity, "principalId", f->config->watch.account);
    (void)jsondoc_set_str(identity, "accountId", f->config->watch.account);
    (void)jsondoc_set_str(identity, "userName", STR("trailbus-watch"));
    (void)jsondoc_set_str(doc, "eventId", str_from(id));
    (void)jsondoc_set_str(doc, "eventVersion", STR("1"));
    (void)jsondoc_set_str(doc, "eventCategory", STR("Management"));
    (void)jsondoc_set_str(doc, "eventType", STR("ApiCall"));
    (void)jsondoc_set_str(doc, "eventName", STR("Canary"));
    (void)jsondoc_set_str(doc, "eventRW", STR("Write"));
    (void)jsondoc_set_str(doc, "eventTime", str_from(time));
    (void)jsondoc_set_str(doc, "eventSource", STR("trailbus-watch"));
    (void)jsondoc_set_str(doc, "serviceName", STR("Actiontrail"));
    (void)jsondoc_set_str(doc, "acsRegion", field->region);
    (void)jsondoc_set_bool(doc, "isGlobal", false);
    (void)jsondoc_set_str(doc, "requestId", str_from(id));
    (void)jsondoc_set_str(doc, "sourceIpAddress", STR("127.0.0.1"));
    (void)jsondoc_set_str(doc, "userAgent", STR("trailbus-watch"));
    (void)jsondoc_set_str(doc, "recipientAccountId", f->config->watch.account);
    (void)jsondoc_set(doc, "userIdentity", identity);
    return jsondoc_render(doc, out);
}

static void on_acknowledged(struct bus_ticket *ticket)
{
    struct sent *sent = CONTAINER_OF(ticket, struct sent, ticket);
    struct field *field = sent->field;
    struct canary *canary = canaries_find(&field->canaries, str_from(sent->id));

    field->unacknowledged--;
    if (ticket->error < 0)
        canaries_forget(&field->canaries, str_from(sent->id));
    else if (canary)
        canary_reached(canary, CANARY_RAW, field->flock->tick_ms);
    free(sent);
}

static int publish(struct flock *f, struct field *field)
{
    struct bus_header header = {HEADER_CONTENT_TYPE, STR(CONTENT_TYPE_JSON)};
    struct sent *sent = calloc(1, sizeof(*sent));
    AUTO_BUF struct buf document = {0};
    unsigned char random[16];
    AUTO_BUF struct buf hex = {0};
    int r;

    if (!sent)
        return -ERR_NOMEM;
    buf_init(&document, DOCUMENT_SIZE_MAX);
    buf_init(&hex, 2 * sizeof(random));
    crypto_random(random, sizeof(random));
    buf_add_hex(&hex, random, sizeof(random));
    *sent = (struct sent){.ticket = {.on_done = on_acknowledged}, .field = field};
    (void)snprintf(sent->id, sizeof(sent->id), "canary-" STR_FMT, STR_ARG(buf_str(&hex)));
    canaries_send(&field->canaries, sent->id, f->tick_ms);
    field->unacknowledged++;
    r = render(f, field, sent->id, &document);
    if (r == 0)
        r = bus_producer_write(f->producer, field->raw.text, BUS_BY_KEY, f->config->watch.account,
                               buf_str(&document), &header, 1, &sent->ticket);
    if (r < 0) {
        field->unacknowledged--;
        canaries_forget(&field->canaries, str_from(sent->id));
        free(sent);
    }
    return r;
}

/* ---- normalized -------------------------------------------------------------------------------------------- */

/* Where the account's events of this region lie; all that is on its way there is forgotten when that changes. */
static int open_reader(struct flock *f, struct field *field, struct why *why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_position position = {0};
    int32_t count;
    int64_t low, high;
    int r;

    if ((r = bus_admin_open(f->bus, &admin, why)) < 0 ||
        (r = bus_admin_partitions(admin, field->events.text, &count, why)) < 0)
        return r;
    position.partition = bus_partition_of(f->config->watch.account, count);
    if (field->next < 0 || position.partition != field->partition) {
        r = bus_admin_watermarks(admin, field->events.text, position.partition, &low, &high, why);
        if (r < 0)
            return r;
        field->next = high;
        field->canaries.count = 0;
    }
    field->partition = position.partition;
    field->partition_count = count;
    position.offset = field->next;
    return bus_reader_open(f->bus, field->events.text, true, &position, 1, &field->reader, why);
}

static void take_record(struct flock *f, struct field *field, const struct bus_record *record)
{
    struct event event;
    struct canary *canary;

    if (!str_eq(record->key, f->config->watch.account) || record->value.len == 0 ||
        event_decode(record->value, &event, NULL) < 0)
        return;
    canary = canaries_find(&field->canaries, event.id);
    if (!canary)
        return;
    canary_reached(canary, CANARY_RAW, f->tick_ms); /* the acknowledgement may have been lost */
    canary_reached(canary, CANARY_NORMALIZED, f->tick_ms);
    canary->offset = record->offset;
    canary->logged_ms = record->time_ms;
}

static int read_events(struct flock *f, struct field *field, struct why *why)
{
    for (int i = 0; i < RECORDS_A_STEP; i++) {
        struct bus_input input;
        int r = bus_reader_poll(field->reader, 0, &input);

        if (r < 0)
            return why_set(why, r, "%s cannot be read", field->events.text);
        switch (input.kind) {
        case BUS_INPUT_RECORD:
            field->next = input.record.offset + 1;
            take_record(f, field, &input.record);
            break;
        case BUS_INPUT_OUT_OF_RANGE:
            field->next = -1; /* begin anew at the end */
            return -ERR_UNAVAILABLE;
        case BUS_INPUT_NONE:
            return 0;
        default:
            break;
        }
    }
    return 0;
}

int flock_step(struct flock *f, int64_t tick_ms, struct why *reterr_why)
{
    int r = 0;

    f->tick_ms = tick_ms;
    if (!f->producer)
        r = bus_producer_open(f->bus, NULL, 0, &f->producer, reterr_why);
    if (r < 0)
        return r;
    (void)bus_producer_poll(f->producer, 0);
    for (size_t i = 0; i < f->field_count && r == 0; i++) {
        struct field *field = &f->fields[i];

        if (!field->reader)
            r = open_reader(f, field, reterr_why);
        if (r == 0)
            r = read_events(f, field, reterr_why);
        if (r < 0) {
            bus_reader_close(field->reader);
            field->reader = NULL;
        } else if (field->unacknowledged < CANARIES_MAX &&
                   canaries_due(&field->canaries, tick_ms, f->config->watch.canary_period_ms)) {
            r = publish(f, field);
        }
    }
    return r;
}

/* ---- history ------------------------------------------------------------------------------------------------ */

/* 1: found, 0: not there. */
static int in_history(struct flock *f, const struct field *field, const struct canary *canary,
                      struct why *why)
{
    struct history_query query = {.region = field->region,
                                  .account = f->config->watch.account,
                                  .start_ms = canary->logged_ms - 86400000LL,
                                  .end_ms = canary->logged_ms + 86400000LL,
                                  .filters = {{HISTORY_EVENT_ID, str_from(canary->id)}},
                                  .filter_count = 1,
                                  .limit = 1};
    struct history_page page;
    int r = f->history ? 0 : history_reader_open(f->config->history.directory.at, &f->history, why);

    arena_reset(f->arena);
    if (r == 0)
        r = history_reader_query(f->history, &query, f->arena, &page, why);
    if (r < 0) {
        history_reader_close(f->history);
        f->history = NULL;
        return r;
    }
    return page.count > 0;
}

static int look_at_history(struct flock *f, struct field *field, struct why *why)
{
    size_t asked = 0;

    for (size_t i = 0; i < field->canaries.count && asked < ASKED_A_LOOK; i++) {
        struct canary *canary = &field->canaries.at[i];
        int r;

        if (!canary->reached_ms[CANARY_NORMALIZED] || canary->reached_ms[CANARY_HISTORY])
            continue;
        asked++;
        r = in_history(f, field, canary, why);
        if (r == -ERR_CONFIG && !field->canaries.skipped[CANARY_HISTORY])
            log_warning("canaries are not looked for in the history: %s", why->text);
        field->canaries.skipped[CANARY_HISTORY] = r == -ERR_CONFIG; /* it lies on another machine */
        if (r < 0)
            return r == -ERR_CONFIG ? 0 : r;
        if (r)
            canary_reached(canary, CANARY_HISTORY, daemon_monotonic_ms());
    }
    return 0;
}

/* ---- objects -------------------------------------------------------------------------------------------------- */

static int apply_control(void *arg, const struct bus_record *record)
{
    struct flock *f = arg;
    int r = control_apply(f->control, record->key, record->value, record->tombstone, NULL);

    return r == -ERR_NOMEM ? r : 0;
}

static bool serves(const struct trail_version *v, struct str region)
{
    return v->logging && !v->deleted && v->rw != TRAIL_RW_READ && v->destination_count > 0 &&
           trail_region_covered(v->regions, region);
}

/* The first trail of the account that delivers the region's events. */
static int find_trail(struct flock *f, struct field *field)
{
    struct str generation = control_generation(f->control, str_from(field->events.text));
    const struct trail *t = NULL;
    const struct trail_destination *dest;

    do
        t = trail_book_next(control_trails(f->control), f->config->watch.account, t);
    while (t && !serves(trail_latest(t), field->region));
    free(field->bucket);
    free(field->prefix);
    field->bucket = field->prefix = NULL;
    field->canaries.skipped[CANARY_OBJECT] = !t;
    if (!t)
        return 0;
    dest = trail_version_destination(trail_latest(t));
    trail_chain(trail_id(t), dest->number, generation, field->chain);
    field->bucket = str_dup(dest->bucket);
    field->prefix = str_dup(dest->prefix);
    return field->bucket && field->prefix ? 0 : -ERR_NOMEM;
}

static int find_trails(struct flock *f, struct why *why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int r = bus_read_to_end(f->bus, topic.text, 0, f->control_next, CONTROL_TIMEOUT_MS,
                            apply_control, f, &f->control_next, why);

    for (size_t i = 0; i < f->field_count && r == 0; i++)
        if (!f->fields[i].asking) /* a request under way is about the trail as it was */
            r = find_trail(f, &f->fields[i]);
    if (r == 0)
        f->control_ms = f->tick_ms + CONTROL_PERIOD_MS;
    return r;
}

static void on_head(void *arg, const struct objects_result *result)
{
    struct field *field = arg;

    field->asking = false;
    if (result->outcome != OBJECTS_OK || !result->meta_valid ||
        strcmp(result->meta.chain, field->chain) != 0)
        return;
    for (size_t i = 0; i < field->canaries.count; i++) {
        struct canary *canary = &field->canaries.at[i];

        if (canary->offset >= 0 && canary->offset < result->meta.next)
            canary_reached(canary, CANARY_OBJECT, daemon_monotonic_ms());
    }
}

static void list(struct field *field, struct str token);

static void look_at_object(struct field *field)
{
    struct flock *f = field->flock;
    const struct objects_store *store = objects_find(f->objects, str_from(field->bucket));
    AUTO_BUF struct buf key = {0};

    buf_init(&key, OBJECT_KEY_SIZE_MAX);
    object_key(str_from(field->prefix), STR("Actiontrail"), field->region, field->first_time_ms,
               field->partition, field->first, str_from(field->chain), &key);
    field->asking = store && buf_error(&key) == 0 &&
                    objects_head(f->http, store, f->now_ms / 1000, str_from(field->bucket),
                                 buf_str(&key), &f->hmac_key, on_head, field) == 0;
}

static void on_listed(void *arg, const struct objects_result *result)
{
    struct field *field = arg;

    field->asking = false;
    for (size_t i = 0; i < result->key_count; i++) {
        struct object_name name;

        if (!object_name_parse(result->keys[i], &name) || name.partition != field->partition ||
            !str_eq(name.chain, str_from(field->chain)) ||
            (field->any && name.first <= field->first))
            continue;
        field->any = true;
        field->first = name.first;
        field->first_time_ms = name.time_s * 1000;
    }
    if (result->outcome == OBJECTS_OK && result->next_token.len)
        list(field, result->next_token);
    else if (result->outcome == OBJECTS_OK && field->any)
        look_at_object(field);
}

/* An object that begins within the last hour before the canary, or with it. */
static void list(struct field *field, struct str token)
{
    struct flock *f = field->flock;
    const struct objects_store *store = objects_find(f->objects, str_from(field->bucket));
    AUTO_BUF struct buf folder = {0}, after = {0};

    buf_init(&folder, OBJECT_KEY_SIZE_MAX);
    buf_init(&after, OBJECT_KEY_SIZE_MAX);
    object_folder(str_from(field->prefix), STR("Actiontrail"), field->region, &folder);
    object_key(str_from(field->prefix), STR("Actiontrail"), field->region, field->after_ms, 0, 0,
               STR(""), &after);
    field->asking =
        store && buf_error(&folder) == 0 && buf_error(&after) == 0 &&
        objects_list(f->http, store, f->now_ms / 1000, str_from(field->bucket), buf_str(&folder),
                     token.len ? STR("") : buf_str(&after), token, on_listed, field) == 0;
}

static void look_at_bucket(struct field *field)
{
    const struct canary *oldest = NULL;

    for (size_t i = 0; i < field->canaries.count && !oldest; i++)
        if (field->canaries.at[i].offset >= 0 && !field->canaries.at[i].reached_ms[CANARY_OBJECT])
            oldest = &field->canaries.at[i];
    if (!oldest || field->asking || !field->bucket)
        return;
    field->any = false;
    field->after_ms = oldest->logged_ms - field->flock->config->watch.stall_after_ms - MARGIN_MS;
    list(field, STR(""));
}

int flock_look(struct flock *f, int64_t now_ms, int64_t tick_ms, struct why *reterr_why)
{
    int r = 0;

    f->now_ms = now_ms;
    f->tick_ms = tick_ms;
    if (tick_ms >= f->control_ms)
        r = find_trails(f, reterr_why);
    for (size_t i = 0; i < f->field_count && r == 0; i++) {
        look_at_bucket(&f->fields[i]);
        r = look_at_history(f, &f->fields[i], reterr_why);
    }
    return r;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

/* Each field as "<stage>.<what>"; what is not known is not there. */
static void queue_field(struct state *state, const struct state_key *key, enum canary_stage stage,
                        const char *what, int64_t n)
{
    char name[64], text[NUMBER_TEXT_SIZE];

    (void)snprintf(name, sizeof(name), "%s.%s", canary_stage_name(stage), what);
    STATE_ADD(state, STR("HSET"), state_key_str(key), str_from(name), str_of_i64(n, text));
}

static void say_stall(const struct flock *f, const struct field *field, enum canary_stage stage,
                      int64_t now_ms, int64_t tick_ms, struct alarms *alarms)
{
    const struct canary *which = NULL;
    int64_t stuck_ms = canaries_stuck_ms(&field->canaries, stage, tick_ms, &which);
    char id[ALARM_ID_SIZE], why[ALARM_WHY_SIZE];

    if (stuck_ms < f->config->watch.stall_after_ms)
        return;
    (void)snprintf(id, sizeof(id), "stall " STR_FMT " %s", STR_ARG(field->region),
                   canary_stage_name(stage));
    if (which->offset >= 0)
        (void)snprintf(
            why, sizeof(why), STR_FMT ": canary %s, %s/%d/%lld, has not come to %s for %lld s",
            STR_ARG(field->region), which->id, field->events.text, field->partition,
            (long long)which->offset, canary_stage_name(stage), (long long)stuck_ms / 1000);
    else
        (void)snprintf(why, sizeof(why), STR_FMT ": canary %s has not come to %s for %lld s",
                       STR_ARG(field->region), which->id, canary_stage_name(stage),
                       (long long)stuck_ms / 1000);
    alarms_say(alarms, id, why, now_ms);
}

void flock_show(struct flock *f, struct state *state, int64_t now_ms, int64_t tick_ms,
                struct alarms *alarms)
{
    for (size_t i = 0; i < f->field_count; i++) {
        struct field *field = &f->fields[i];
        struct state_key key = state_key_freshness(field->region);

        STATE_ADD(state, STR("DEL"), state_key_str(&key));
        for (int stage = 0; stage < CANARY_STAGE_COUNT; stage++) {
            struct freshness fresh =
                canaries_freshness(&field->canaries, (enum canary_stage)stage, tick_ms);

            queue_field(state, &key, (enum canary_stage)stage, "canaries", (int64_t)fresh.count);
            queue_field(state, &key, (enum canary_stage)stage, "oldest_ms", fresh.oldest_ms);
            if (fresh.count) {
                queue_field(state, &key, (enum canary_stage)stage, "median_ms", fresh.median_ms);
                queue_field(state, &key, (enum canary_stage)stage, "p99_ms", fresh.p99_ms);
            }
            say_stall(f, field, (enum canary_stage)stage, now_ms, tick_ms, alarms);
        }
        STATE_ADD(state, STR("EXPIRE"), state_key_str(&key), GAUGE_TTL);
    }
}
