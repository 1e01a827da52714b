/* delivering.c - events.<region>, control -> objects, one series a trail and partition
 *
 * What goes into which object, and when, is decided in core/ (the delivery protocol); uploads.c carries its
 * requests to stores; this file binds it to Kafka and Redis.
 *
 * Guarantee: exactly once into the bucket, whatever of this process, Redis or the committed offsets is lost:
 * the bucket is the ledger. The order at an assignment is the protocol's rule 3: what is ours, where the
 * group stands, then `control` to its end, and only then the first record.
 */
#include "delivering.h"

#include <stdio.h>

#include "bus/bus.h"
#include "control/control.h"
#include "core/delivery.h"
#include "log/log.h"
#include "state/heartbeat.h"
#include "state/keys.h"
#include "uploads.h"

#define RECORDS_A_TURN     500
#define WAIT_MS            20
#define CONTROL_TIMEOUT_MS 15000
#define DRAIN_MS           20000
#define PROGRESS_TTL       STR("2592000") /* seconds: longer than any log's retention */
#define PROGRESS_BATCH_MAX 20000

struct worker {
    const struct delivery_config *config;
    struct str region;
    struct bus_settings bus;
    struct topic_name topic;
    struct bus_consumer *consumer;
    struct bus_reader *catching_up[BUS_PARTITIONS_MAX];
    struct control *control;
    int64_t control_next;
    struct delivery *delivery; /* NULL while nothing is assigned */
    struct http *http;
    struct objects *objects;
    struct uploads *uploads;
    struct state *state;
    int32_t mine[BUS_PARTITIONS_MAX];
    int64_t next[BUS_PARTITIONS_MAX]; /* behind what was read, for the lag */
    size_t mine_count;
    uint64_t asked[PROGRESS_BATCH_MAX]; /* streams whose progress is in the pipeline, by command */
    size_t asked_count, queued;
    uint64_t emptied; /* how often Redis was, that we know of */
    int failed;       /* an effect could not be carried out: the loop begins again */
    struct why failed_why;
    uint64_t records, failures, lost, stuck, objects_made, events_delivered;
};

/* ---- taking partitions over (rules 1 and 3) --------------------------------------------------------- */

static int apply_control(void *arg, const struct bus_record *record)
{
    struct worker *w = arg;
    struct why why = {0};
    int r = control_apply(w->control, record->key, record->value, record->tombstone, &why);

    if (r < 0)
        log_error(r, "%s", why.text);
    else if (r > 0)
        log_warning("passing over a record: %s", why.text);
    return r == -ERR_NOMEM || r == -ERR_LIMIT ? r : 0;
}

static int read_control(struct worker *w, struct why *reterr_why)
{
    struct topic_name control = topic_name(TOPIC_CONTROL, STR_NONE);

    return bus_read_to_end(&w->bus, control.text, 0, w->control_next, CONTROL_TIMEOUT_MS,
                           apply_control, w, &w->control_next, reterr_why);
}

static int open_core(struct worker *w, int32_t partition_count, struct why *reterr_why)
{
    const struct delivery_section *s = &w->config->delivery;
    struct delivery_settings settings = {
        .region = w->region,
        .topic = str_from(w->topic.text),
        .generation = control_generation(w->control, str_from(w->topic.text)),
        .partition_count = partition_count,
        .flush_age_ms = s->flush_age_ms,
        .flush_bytes = s->flush_bytes,
        .memory_max = s->memory_bytes,
        .uploads_max = s->uploads,
        .park_after_ms = s->park_after_ms,
        .retry_first_ms = s->retry_first_ms,
        .retry_max_ms = s->retry_max_ms,
        .buffer_age_max_ms = s->retention_ms / 2,
        .progress_ms = s->progress_ms,
        .seed = (uint64_t)daemon_now_ms(),
    };

    if (settings.generation.len == 0)
        return why_set(reterr_why, -ERR_CONFIG,
                       "control knows no generation of %s: run `trailctl topics apply`",
                       w->topic.text);
    w->delivery = delivery_new(&settings, control_trails_mutable(w->control));
    if (!w->delivery)
        return -ERR_NOMEM;
    delivery_tick(w->delivery, daemon_monotonic_ms());
    uploads_attach(w->uploads, w->delivery);
    return 0;
}

/* A trail with a version that cannot be read is parked as a whole; GetTrailStatus and the heartbeat say so. */
static void show_doubts(struct worker *w)
{
    struct str trail;
    int64_t version;
    char error[256], now[TIME_TEXT_SIZE];

    time_format(daemon_now_ms() / 1000, now);
    for (size_t i = 0; trail_book_doubt_at(control_trails(w->control), i, &trail, &version); i++) {
        struct state_key key = state_key_trail_status(trail, w->region);

        w->stuck++;
        (void)snprintf(error, sizeof(error),
                       "version %lld of its settings, in control, cannot be read: nothing of it is "
                       "delivered until it can",
                       (long long)version);
        log_error(-ERR_INVALID, "trail " STR_FMT ": %s", STR_ARG(trail), error);
        STATE_ADD(w->state, STR("HSET"), state_key_str(&key), STR("error"), str_from(error),
                  STR("error_time"), str_from(now));
        w->queued++; /* TRAIL_DOUBTS_MAX at most; nothing was asked yet */
    }
}

static void drop_partitions(struct worker *w)
{
    for (size_t i = 0; i < w->mine_count; i++) {
        bus_reader_close(w->catching_up[w->mine[i]]);
        w->catching_up[w->mine[i]] = NULL;
    }
    w->mine_count = 0;
    uploads_attach(w->uploads, NULL);
    delivery_free(w->delivery);
    w->delivery = NULL;
}

static int take_partition(struct worker *w, struct bus_admin *admin,
                          const struct bus_position *committed, struct bus_position *ret,
                          struct why *reterr_why)
{
    int64_t low, high, offset;
    int r =
        bus_admin_watermarks(admin, w->topic.text, committed->partition, &low, &high, reterr_why);

    if (r < 0)
        return r;
    r = bus_first_offset(committed->offset, low, &offset);
    if (r < 0)
        return why_set(
            reterr_why, r,
            "%s/%d begins at %lld and the group has no committed offset: set one by hand",
            w->topic.text, committed->partition, (long long)low);
    if (offset > high)
        return why_set(
            reterr_why, -ERR_RANGE,
            "%s/%d ends at %lld, before the committed offset %lld: the log was truncated",
            w->topic.text, committed->partition, (long long)high, (long long)offset);
    *ret = (struct bus_position){committed->partition, MAX_OF(offset, low)};
    w->mine[w->mine_count++] = committed->partition;
    w->next[committed->partition] = ret->offset;
    return delivery_assign(w->delivery, committed->partition, low, high, ret->offset);
}

static int take_assignment(struct worker *w, const struct bus_input *input, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_position positions[BUS_PARTITIONS_MAX];
    int32_t count;
    int r;

    drop_partitions(w);
    if ((r = read_control(w, reterr_why)) < 0 ||
        (r = bus_admin_open(&w->bus, &admin, reterr_why)) < 0 ||
        (r = bus_admin_partitions(admin, w->topic.text, &count, reterr_why)) < 0 ||
        (r = open_core(w, count, reterr_why)) < 0)
        return r;
    show_doubts(w);
    for (size_t i = 0; i < input->position_count; i++) {
        r = take_partition(w, admin, &input->positions[i], &positions[i], reterr_why);
        if (r < 0)
            return r;
    }
    log_info("%zu partitions of %s are ours", input->position_count, w->topic.text);
    return bus_consumer_assign(w->consumer, positions, input->position_count);
}

/* ---- records ------------------------------------------------------------------------------------------- */

static int take_record(struct worker *w, enum delivery_source source,
                       const struct bus_record *record, struct why *reterr_why)
{
    struct trail_version *change = NULL;
    struct event event;
    struct str header;
    int r = 0;

    if (bus_record_header(record, HEADER_CHANGE, &header))
        r = trail_version_parse(header, &change, reterr_why);
    if (r == 0 && record->value.len)
        r = event_decode(record->value, &event, reterr_why);
    if (r < 0) {
        trail_version_free(change);
        /* We wrote it ourselves: going on would leave a hole that nobody sees. */
        return log_error(r == -ERR_NOMEM ? r : -ERR_BUG, "cannot read %s/%d/%lld: %s",
                         w->topic.text, record->partition, (long long)record->offset,
                         reterr_why->text);
    }
    w->records += source == DELIVERY_SHARED;
    return delivery_record(w->delivery, source, record->partition, record->offset, record->time_ms,
                           record->value.len ? &event : NULL, change, reterr_why);
}

static int take_shared(struct worker *w, const struct bus_input *input, struct why *reterr_why)
{
    switch (input->kind) {
    case BUS_INPUT_RECORD:
        w->next[input->partition] = input->offset + 1;
        return take_record(w, DELIVERY_SHARED, &input->record, reterr_why);
    case BUS_INPUT_END:
        w->next[input->partition] = MAX_OF(w->next[input->partition], input->offset);
        return delivery_end(w->delivery, DELIVERY_SHARED, input->partition, input->offset);
    case BUS_INPUT_ASSIGNED:
        return take_assignment(w, input, reterr_why);
    case BUS_INPUT_REVOKED:
    case BUS_INPUT_LOST:
        drop_partitions(w);
        return bus_consumer_unassign(w->consumer);
    case BUS_INPUT_OUT_OF_RANGE:
        return why_set(reterr_why, -ERR_FENCED, "%s/%d has no offset %lld any more: starting over",
                       w->topic.text, input->partition, (long long)input->offset);
    case BUS_INPUT_NONE:
        break;
    }
    return 0;
}

static int take_caught_up(struct worker *w, int32_t partition, const struct bus_input *input,
                          struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int64_t low, high;
    int r;

    switch (input->kind) {
    case BUS_INPUT_RECORD:
        return take_record(w, DELIVERY_CATCHING_UP, &input->record, reterr_why);
    case BUS_INPUT_END:
        return delivery_end(w->delivery, DELIVERY_CATCHING_UP, partition, input->offset);
    case BUS_INPUT_OUT_OF_RANGE:
        r = bus_admin_open(&w->bus, &admin, reterr_why);
        if (r == 0)
            r = bus_admin_watermarks(admin, w->topic.text, partition, &low, &high, reterr_why);
        if (r == 0)
            delivery_out_of_range(w->delivery, partition, low);
        return r;
    default:
        return 0;
    }
}

/* ---- effects -------------------------------------------------------------------------------------------- */

static struct state_key progress_key(const struct delivery_effect *e)
{
    return state_key_progress(e->trail, e->chain, e->partition, e->account, STR("Actiontrail"));
}

static void answer_progress(struct worker *w, bool away)
{
    for (size_t i = 0; i < w->asked_count && w->delivery; i++) {
        struct state_reply reply = away ? (struct state_reply){.type = STATE_NIL}
                                        : state_reply(w->state, w->queued - w->asked_count + i);
        struct str rest = reply.text, boundary, clear;
        struct account counts;
        int64_t b = 0, c = 0;
        bool known = reply.type == STATE_TEXT && str_split(&rest, ' ', &boundary) &&
                     str_to_i64(boundary, &b) &&
                     str_to_i64(str_split(&rest, ' ', &clear) ? clear : rest, &c);
        bool counted = known && account_parse(rest, &counts) == 0;

        delivery_progress(w->delivery, w->asked[i], known, b, c, counted ? &counts : NULL);
    }
    w->asked_count = 0;
}

/* Whether Redis took all that was written: it may answer and refuse, for lack of memory, say. */
static bool was_taken(const struct worker *w)
{
    for (size_t i = 0; i + w->asked_count < w->queued; i++)
        if (state_reply(w->state, i).type == STATE_ERROR)
            return false;
    return true;
}

/* One round trip for all that was queued. Reads come last, so that their answers do. */
static void flush_state(struct worker *w)
{
    bool away;

    if (w->queued) {
        away = state_flush(w->state, NULL) < 0;
        if (w->delivery && (away || !was_taken(w)))
            delivery_progress_lost(w->delivery);
        answer_progress(w, away);
    }
    w->queued = 0;
}

static void queue_progress_read(struct worker *w, const struct delivery_effect *e)
{
    struct state_key key = progress_key(e);

    if (w->asked_count == PROGRESS_BATCH_MAX)
        flush_state(w);
    STATE_ADD(w->state, STR("GET"), state_key_str(&key));
    w->asked[w->asked_count++] = e->stream;
    w->queued++;
}

static void queue_progress_write(struct worker *w, const struct delivery_effect *e)
{
    struct state_key key = progress_key(e);
    char value[64 + ACCOUNT_TEXT_SIZE], counts[ACCOUNT_TEXT_SIZE];

    if (w->asked_count || w->queued >= PROGRESS_BATCH_MAX)
        flush_state(w);
    account_render(&e->counts, counts);
    (void)snprintf(value, sizeof(value), "%lld %lld %s", (long long)e->boundary,
                   (long long)e->clear, counts);
    STATE_ADD(w->state, STR("SET"), state_key_str(&key), str_from(value), STR("EX"), PROGRESS_TTL);
    w->queued++;
}

/* What became of the trail's events, for people and dashboards. */
static void queue_counts(struct worker *w, const struct delivery_effect *e)
{
    struct state_key key = state_key_trail_counts(e->trail, w->region);
    char field[TRAIL_CHAIN_SIZE + 16], value[256];

    if (w->asked_count || w->queued >= PROGRESS_BATCH_MAX)
        flush_state(w);
    (void)snprintf(field, sizeof(field), STR_FMT "/%d", STR_ARG(e->chain), e->partition);
    (void)snprintf(value, sizeof(value), "%s %lld %lld %lld %lld %lld %lld %lld", e->state,
                   (long long)e->boundary, (long long)e->offset, (long long)e->counts.settled.since,
                   (long long)e->counts.settled.delivered, (long long)e->counts.filtered,
                   (long long)e->counts.lost, (long long)e->waiting);
    STATE_ADD(w->state, STR("HSET"), state_key_str(&key), str_from(field), str_from(value));
    STATE_ADD(w->state, STR("EXPIRE"), state_key_str(&key), PROGRESS_TTL);
    w->queued += 2;
}

static void catch_up(struct worker *w, int32_t partition, int64_t offset)
{
    struct bus_position position = {partition, offset};
    struct bus_reader **reader = &w->catching_up[partition];
    struct why why = {0};
    int r = *reader ? bus_reader_seek(*reader, &position, 1)
                    : bus_reader_open(&w->bus, w->topic.text, true, &position, 1, reader, &why);

    if (r < 0) { /* the core would wait for it for ever: the loop begins again */
        w->failed = r;
        w->failed_why = why;
    }
}

static void commit(struct worker *w, int32_t partition, int64_t offset)
{
    struct bus_position position = {partition, offset};

    if (bus_consumer_commit(w->consumer, &position, 1, false) < 0)
        log_debug("the offset of %s/%d was not committed", w->topic.text, partition);
}

/* Without an answer nothing can be relied on: the loop begins again (start_over()). */
static void answer_log_end(struct worker *w, const struct delivery_effect *e)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int64_t low, high;
    int r = bus_admin_open(&w->bus, &admin, &w->failed_why);

    if (r == 0)
        r = bus_admin_watermarks(admin, w->topic.text, e->partition, &low, &high, &w->failed_why);
    if (r == 0)
        delivery_log_end(w->delivery, e->stream, high);
    else
        w->failed = r;
}

static void carry_out(struct worker *w, const struct delivery_effect *e)
{
    switch (e->kind) {
    case DELIVERY_READ_PROGRESS:
        queue_progress_read(w, e);
        break;
    case DELIVERY_WRITE_PROGRESS:
        queue_progress_write(w, e);
        break;
    case DELIVERY_SHOW:
        queue_counts(w, e);
        break;
    case DELIVERY_ASK_END:
        answer_log_end(w, e);
        break;
    case DELIVERY_LIST:
    case DELIVERY_PUT:
    case DELIVERY_HEAD:
    case DELIVERY_PROBE:
        uploads_begin(w->uploads, e, daemon_now_ms() / 1000);
        break;
    case DELIVERY_COMMIT:
        commit(w, e->partition, e->offset);
        break;
    case DELIVERY_CATCH_UP:
        catch_up(w, e->partition, e->offset);
        break;
    case DELIVERY_CATCH_UP_STOP:
        bus_reader_close(w->catching_up[e->partition]);
        w->catching_up[e->partition] = NULL;
        break;
    case DELIVERY_LOST:
        w->lost += (uint64_t)(e->to - e->offset);
        log_error(-ERR_RANGE,
                  "trail " STR_FMT ": offsets %lld to %lld of %s/%d left the log before they were "
                  "delivered",
                  STR_ARG(e->trail), (long long)e->offset, (long long)e->to - 1, w->topic.text,
                  e->partition);
        break;
    case DELIVERY_STUCK:
        w->stuck++;
        log_error(-ERR_CONFLICT, "trail " STR_FMT ", bucket " STR_FMT ", %s/%d: %s; parked",
                  STR_ARG(e->trail), STR_ARG(e->bucket), w->topic.text, e->partition, e->why);
        break;
    }
}

static void carry_out_all(struct worker *w)
{
    struct delivery_effect effect;

    while (w->delivery) {
        while (delivery_next(w->delivery, &effect))
            carry_out(w, &effect);
        if (w->queued == 0)
            return;
        flush_state(w);
    }
}

/* GetTrailStatus reads this (docs/REDIS.md). */
static void on_delivered(void *arg, struct str trail, const char *error)
{
    struct worker *w = arg;
    struct state_key key = state_key_trail_status(trail, w->region);
    char now[TIME_TEXT_SIZE];

    if (w->asked_count)
        flush_state(w);
    time_format(daemon_now_ms() / 1000, now);
    if (*error) {
        w->failures++;
        STATE_ADD(w->state, STR("HSET"), state_key_str(&key), STR("error"), str_from(error),
                  STR("error_time"), str_from(now));
    } else {
        STATE_ADD(w->state, STR("HSET"), state_key_str(&key), STR("error"), STR(""),
                  STR("delivered_time"), str_from(now));
    }
    w->queued++;
}

/* ---- the loop --------------------------------------------------------------------------------------------- */

static int poll_shared(struct worker *w, bool *ret_any, struct why *reterr_why)
{
    for (int i = 0; i < RECORDS_A_TURN; i++) {
        struct bus_input input;
        int r;

        if (w->delivery && (!delivery_takes(w->delivery) || !delivery_started(w->delivery)))
            return 0;
        r = bus_consumer_poll(w->consumer, 0, &input);
        if (r == 0)
            r = take_shared(w, &input, reterr_why);
        if (r < 0 || input.kind == BUS_INPUT_NONE)
            return r;
        *ret_any = true;
        if (input.kind != BUS_INPUT_RECORD)
            carry_out_all(w);
    }
    return 0;
}

static int poll_late(struct worker *w, bool *ret_any, struct why *reterr_why)
{
    for (size_t m = 0; m < w->mine_count; m++) {
        int32_t partition = w->mine[m];

        for (int i = 0; i < RECORDS_A_TURN && w->catching_up[partition]; i++) {
            struct bus_input input;
            int r;

            if (!delivery_takes(w->delivery))
                return 0;
            r = bus_reader_poll(w->catching_up[partition], 0, &input);
            if (r < 0 && err_class(r) == ERR_CLASS_RETRY)
                break;
            if (r == 0)
                r = take_caught_up(w, partition, &input, reterr_why);
            if (r < 0)
                return r;
            if (input.kind == BUS_INPUT_NONE)
                break;
            *ret_any = true;
            carry_out_all(w);
        }
    }
    return 0;
}

static int turn(struct worker *w, struct why *reterr_why)
{
    int fd = bus_consumer_wake_fd(w->consumer);
    bool any = false, late = false;
    int r;

    r = poll_shared(w, &any, reterr_why);
    if (r == 0 && w->delivery)
        r = poll_late(w, &any, reterr_why);
    if (r < 0)
        return r;
    if (w->delivery)
        delivery_tick(w->delivery, daemon_monotonic_ms());
    carry_out_all(w);
    for (size_t m = 0; m < w->mine_count; m++)
        late |= w->catching_up[w->mine[m]] != NULL;
    http_poll(w->http, &fd, 1, any ? 0 : late ? 2 : WAIT_MS);
    bus_wake_drain(fd);
    carry_out_all(w);
    if (w->failed < 0)
        *reterr_why = w->failed_why;
    r = w->failed;
    w->failed = 0;
    return r == 0 && w->delivery ? delivery_error(w->delivery) : r;
}

static void beat(struct worker *w, struct heartbeat *heartbeat, const char *state, bool last)
{
    struct delivery_view core = {0};
    struct heartbeat_counter counters[] = {
        {"records", w->records},   {"delivered", 0},  {"objects", 0},
        {"failures", w->failures}, {"lost", w->lost}, {"stuck", w->stuck},
    };
    struct heartbeat_view view = {.state = state,
                                  .partitions = w->mine_count,
                                  .records = w->records,
                                  .counters = counters,
                                  .counter_count = ARRAY_LEN(counters)};

    if (w->delivery) {
        delivery_view(w->delivery, &core);
        w->events_delivered = MAX_OF(w->events_delivered, core.delivered);
        w->objects_made = MAX_OF(w->objects_made, core.objects);
    }
    counters[1].total = w->events_delivered;
    counters[2].total = w->objects_made;
    for (size_t i = 0; i < w->mine_count; i++) {
        int64_t end = bus_consumer_end(w->consumer, w->mine[i]);

        view.lag += MAX_OF(end - w->next[w->mine[i]], (int64_t)0);
    }
    if (w->queued)
        flush_state(w);
    if (last)
        heartbeat_end(heartbeat, daemon_now_ms(), &view);
    else
        heartbeat_beat(heartbeat, daemon_now_ms(), &view);
    if (w->delivery && heartbeat->emptied != w->emptied)
        delivery_progress_lost(w->delivery);
    w->emptied = heartbeat->emptied;
}

/* What is buffered is written, as far as the stores let us; the rest is read again by whoever comes. */
static void drain(struct worker *w)
{
    int64_t until_ms = daemon_monotonic_ms() + DRAIN_MS;
    struct bus_input input;

    if (!w->delivery)
        return;
    delivery_drain(w->delivery);
    do {
        delivery_tick(w->delivery, daemon_monotonic_ms());
        carry_out_all(w);
        http_poll(w->http, NULL, 0, WAIT_MS);
        carry_out_all(w);
    } while (!delivery_idle(w->delivery) && daemon_monotonic_ms() < until_ms);
    delivery_tick(w->delivery, daemon_monotonic_ms());
    carry_out_all(w);
    (void)!bus_consumer_poll(w->consumer, 0, &input);
}

static int open_consumer(struct worker *w, struct why *reterr_why)
{
    char group[GROUP_NAME_SIZE];

    group_name(STR("delivery"), w->region, group);
    return bus_consumer_open(&w->bus, w->topic.text, group, &w->consumer, reterr_why);
}

/* A retry-class error leaves nothing behind that can be relied on: join the group anew. */
static int start_over(struct worker *w, int r)
{
    if (r < 0 && err_class(r) == ERR_CLASS_RETRY) {
        drop_partitions(w);
        bus_consumer_close(w->consumer);
        w->consumer = NULL;
    }
    return r;
}

static int loop(struct daemon *daemon, struct worker *w, struct heartbeat *heartbeat)
{
    struct why why = {0};
    int r = 0;

    while (r == 0 && daemon_running(daemon)) {
        r = w->consumer ? 0 : open_consumer(w, &why);
        if (r == 0)
            r = start_over(w, turn(w, &why));
        r = daemon_backoff(daemon, r, &why);
        if (w->delivery && delivery_started(w->delivery))
            daemon_ready(daemon);
        beat(w, heartbeat, w->delivery ? "running" : "waiting", false);
    }
    if (r < 0)
        return log_error(r, "cannot go on: %s", why.text);
    drain(w);
    beat(w, heartbeat, "ended", true);
    return 0;
}

static int open_all(struct worker *w, struct why *reterr_why)
{
    struct uploads_owner owner = {w, on_delivered};
    struct crypto_key master, hmac_key;
    int r;

    if ((r = security_read_key(&w->config->security, master.bytes, reterr_why)) < 0 ||
        (r = objects_open(&w->config->destinations, &w->objects, reterr_why)) < 0 ||
        (r = state_open(w->config->state.redis, &w->state, reterr_why)) < 0)
        return r;
    hmac_key = object_meta_key(&master);
    crypto_wipe(&master, sizeof(master));
    w->control = control_new();
    w->http = http_new();
    w->uploads = w->http ? uploads_new(w->http, w->objects, &hmac_key, w->region, &owner) : NULL;
    return w->control && w->uploads ? 0 : -ERR_NOMEM;
}

int delivering(struct daemon *daemon, void *config)
{
    AUTO_FREE struct worker *w = calloc(1, sizeof(*w)); /* large: tables for every partition */
    struct heartbeat heartbeat = {.worker = STR("delivery"),
                                  .region = daemon_region(daemon),
                                  .instance = daemon_instance(daemon)};
    struct why why = {0};
    int r;

    if (!w)
        return log_error(-ERR_NOMEM, "cannot start");
    w->config = config;
    w->region = daemon_region(daemon);
    w->bus = (struct bus_settings){w->config->bus.brokers, daemon_instance(daemon)};
    w->topic = topic_name(TOPIC_EVENTS, w->region);
    r = open_all(w, &why);
    if (r < 0) {
        log_error(r, "cannot start: %s", why.text);
    } else {
        heartbeat.state = w->state;
        r = loop(daemon, w, &heartbeat);
        drop_partitions(w);
    }
    bus_consumer_close(w->consumer);
    http_free(w->http);
    uploads_free(w->uploads);
    objects_free(w->objects);
    state_close(w->state);
    control_free(w->control);
    return r;
}
