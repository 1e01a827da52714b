/* normalizing.c - raw.<region> -> events.<region> | global | rejected.<region>
 *
 * Reads what services published, and writes each record on as an event, puts it aside with a reason, or
 * drops and counts it. What becomes of a record is decided in core/, which does no I/O; this file moves
 * bytes and holds no opinion about an event's content.
 *
 * Guarantee: exactly once. The stage commits outputs and where it stands in one transaction. When one is
 * aborted its records come again, and the windows of duplicates forget what they learned from it.
 * A newly assigned partition's window is rebuilt from the records before the place where it goes on, so a
 * duplicate is known for one even when another worker saw the first.
 */
#include "normalizing.h"

#include <stdio.h>

#include "control/control.h"
#include "core/normalize.h"
#include "core/window.h"
#include "crypto/crypto.h"
#include "log/log.h"
#include "relay/relay.h"

#define CONTROL_TIMEOUT_MS 15000
#define TAIL_TIMEOUT_MS    60000
/* Of what a rejected record had, when it is larger than Kafka lets us write: its value is still too large an event. */
#define KEPT_KEY_MAX       1024
#define KEPT_VALUE_MAX     ((size_t)2 * RAW_EVENT_SIZE_MAX)
#define KEPT_HEADERS_MAX   4096

/* Counted per outcome, then what passed though nobody knew it. Beside these, each partition's tally counts what a record
 * is exactly one of: an outcome other than `normalized`, or the topic that it went to. */
enum { UNKNOWN_SERVICE = NORMALIZE_OUTCOME_COUNT, UNKNOWN_REGION, COUNTER_COUNT };
_Static_assert(COUNTER_COUNT <= RELAY_COUNTERS_MAX, "what the normalizer counts");
_Static_assert(TOPOLOGY_REGIONS_MAX <= NORMALIZE_REGIONS_MAX, "where it sends events to");

struct worker {
    const struct normalizer_config *config;
    struct bus_settings bus;
    struct topic_name raw, global, rejected;
    struct topic_name events[NORMALIZE_REGIONS_MAX]; /* of config's regions, in their order */
    struct str generation;                           /* of the raw topic */
    struct control *control;
    struct normalizer *normalizer;
    struct fingerprint_key key; /* of the windows */
    struct relay relay;
    char kind_names[1 + NORMALIZE_REGIONS_MAX][TALLY_KIND_SIZE_MAX];
    struct window *windows[BUS_PARTITIONS_MAX]; /* of the partitions that are ours */
};

/* ---- one record --------------------------------------------------------------------------------- */

/* Avro of ours is known by its first bytes, which no JSON begins with; only others are asked for a header, since
 * librdkafka takes all of a record's apart for it. */
static bool is_json(const struct bus_record *record)
{
    struct str type;

    if (raw_event_is_avro(record->value))
        return false;
    return !bus_record_header(record, HEADER_CONTENT_TYPE, &type) ||
           str_starts(type, STR(CONTENT_TYPE_JSON));
}

/* Published again after it was rejected, a record may meet itself: the window may have been built anew since. 1: so it
 * is. */
static int meets_itself(struct window *window, const struct bus_record *record,
                        const struct normalize_result *result, struct fingerprint content)
{
    struct str text;
    int64_t first_ms;

    if (!bus_record_header(record, HEADER_RECEIVED, &text) || !str_to_i64(text, &first_ms))
        return 0;
    return window_learn_again(window, result->account, result->id, content, first_ms,
                              record->time_ms);
}

/* What the window knows of it decides about an event with an id of its own. */
static int look_back(struct window *window, const struct bus_record *record, bool json,
                     struct normalize_result *result)
{
    struct fingerprint content = window_content(window, record->value, json);
    enum window_verdict verdict;
    int r = window_learn(window, result->account, result->id, content, record->time_ms, &verdict);

    if (r < 0)
        return r;
    if (verdict == WINDOW_DUPLICATE) {
        r = meets_itself(window, record, result, content);
        if (r == 0)
            result->outcome = DROPPED_DUPLICATE;
    } else if (verdict == WINDOW_CONFLICT) {
        result->outcome = REJECTED_CONFLICT;
        (void)why_set(&result->why, 0, "the same eventId came before with other content");
    }
    return MIN_OF(r, 0);
}

static int judge(struct worker *w, const struct bus_record *record, struct normalize_result *ret)
{
    struct normalize_input in = {
        .bytes = record->value,
        .json = is_json(record),
        .received_ms = record->time_ms,
        .origin = {str_from(w->raw.text), w->generation, record->partition, record->offset},
    };
    int r = normalize(w->normalizer, &in, ret);

    if (r < 0 || ret->outcome != NORMALIZED || !ret->id_given)
        return r;
    return look_back(w->windows[record->partition], record, in.json, ret);
}

/* Kafka's limits are of batches as they are sent, and a small one can hold a record of any size, packed. Such a record
 * has to go aside too, else nobody behind it comes by. */
static void cut(struct str *key, struct str *value, struct why *why)
{
    size_t max = (size_t)topic_settings(TOPIC_REJECTED)->record_bytes_max - KEPT_HEADERS_MAX;
    size_t key_len = key->len, value_len = value->len, said = strlen(why->text);

    if (key_len + value_len <= max)
        return;
    key->len = MIN_OF(key_len, (size_t)KEPT_KEY_MAX);
    value->len = MIN_OF(value_len, KEPT_VALUE_MAX);
    (void)snprintf(why->text + said, sizeof(why->text) - said,
                   "; only %zu of %zu bytes of its key, %zu of %zu of its value are kept", key->len,
                   key_len, value->len, value_len);
}

static int put_aside(struct worker *w, const struct bus_record *record,
                     const struct normalize_result *result)
{
    char origin[256], received[24];
    struct str key = record->key, value = record->value, type = STR("");
    struct why why = result->why;
    struct bus_header headers[] = {
        {HEADER_REASON, str_from(normalize_outcome_name(result->outcome))},
        {HEADER_WHY, STR("")},
        {HEADER_ORIGIN, STR("")},
        {HEADER_RECEIVED, STR("")},
        {HEADER_CONTENT_TYPE, STR("")},
    };
    bool typed = bus_record_header(record, HEADER_CONTENT_TYPE, &type);

    (void)snprintf(origin, sizeof(origin), "%s/" STR_FMT "/%d/%lld", w->raw.text,
                   STR_ARG(w->generation), record->partition, (long long)record->offset);
    (void)snprintf(received, sizeof(received), "%lld", (long long)record->time_ms);
    cut(&key, &value, &why);
    headers[1].value = str_from(why.text);
    headers[2].value = str_from(origin);
    headers[3].value = str_from(received);
    headers[4].value = str_of(type.at, MIN_OF(type.len, (size_t)100));
    return bus_stage_write(w->relay.stage, w->rejected.text, key, value, headers, typed ? 5 : 4);
}

/* Where an event goes to: 0 is `global`, 1 + i the i-th region. */
static size_t target_of(const struct worker *w, const struct normalize_result *result)
{
    const struct config_strs *regions = &w->config->topology.regions;

    if (result->global)
        return 0;
    for (size_t i = 0; i < regions->count; i++)
        if (str_eq(regions->at[i], result->region))
            return 1 + i;
    check_failed("a deployed region", __FILE__, __LINE__, __func__);
}

static int pass_on(struct worker *w, const struct bus_record *record,
                   const struct normalize_result *result)
{
    size_t target = target_of(w, result);

    bus_stage_count(w->relay.stage, record->partition, NORMALIZE_OUTCOME_COUNT + target);
    return bus_stage_write(w->relay.stage, target ? w->events[target - 1].text : w->global.text,
                           result->account, result->event, NULL, 0);
}

static int run_record(void *arg, const struct bus_record *record, struct why *reterr_why)
{
    struct worker *w = arg;
    struct normalize_result result;
    int r = judge(w, record, &result);

    if (r < 0)
        return why_set(reterr_why, r, "cannot normalize %s/%d/%lld", w->raw.text, record->partition,
                       (long long)record->offset);
    relay_count(&w->relay, result.outcome, 1);
    relay_count(&w->relay, UNKNOWN_SERVICE, result.unknown_service);
    relay_count(&w->relay, UNKNOWN_REGION, result.unknown_region);
    if (result.outcome == NORMALIZED)
        return pass_on(w, record, &result);
    bus_stage_count(w->relay.stage, record->partition, result.outcome);
    return normalize_rejects(result.outcome) ? put_aside(w, record, &result) : 0;
}

/* ---- transactions and partitions ------------------------------------------------------------------ */

static void committed(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        if (w->windows[i])
            window_keep(w->windows[i]);
    relay_keep(&w->relay);
}

static void aborted(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        if (w->windows[i])
            window_forget(w->windows[i]);
    relay_forget(&w->relay);
}

static int apply_control(void *arg, const struct bus_record *record)
{
    struct why why = {0};
    int r = control_apply(arg, record->key, record->value, record->tombstone, &why);

    if (r < 0 && err_class(r) == ERR_CLASS_POISON)
        log_warning("passing over a record: %s", why.text);
    return r == -ERR_NOMEM ? r : 0;
}

/* The raw topic's generation also goes into events' origins and derived ids. */
static int generation(void *arg, struct str *ret, struct why *reterr_why)
{
    struct worker *w = arg;
    struct topic_name control = topic_name(TOPIC_CONTROL, STR_NONE);
    int64_t next;
    int r = bus_read_to_end(&w->bus, control.text, 0, 0, CONTROL_TIMEOUT_MS, apply_control,
                            w->control, &next, reterr_why);

    if (r < 0)
        return r;
    *ret = w->generation = control_generation(w->control, str_from(w->raw.text));
    if (w->generation.len == 0)
        return why_set(reterr_why, -ERR_CONFIG,
                       "control knows no generation of %s: run `trailctl topics apply`",
                       w->raw.text);
    return 0;
}

struct tail {
    struct worker *worker;
    int64_t end; /* where work goes on */
};

static int learn_tail(void *arg, const struct bus_record *record)
{
    const struct tail *tail = arg;
    struct normalize_result result;
    int r;

    if (record->offset >= tail->end)
        return 1;
    r = judge(tail->worker, record, &result);
    window_keep(tail->worker->windows[record->partition]);
    return r;
}

static int rebuild_window(struct worker *w, const struct bus_position *position,
                          struct why *reterr_why)
{
    struct tail tail = {w, position->offset};
    const struct normalizer_section *s = &w->config->normalizer;
    struct window **window = &w->windows[position->partition];
    int64_t next;
    int r;

    *window = window_new((size_t)s->window_events, s->window_ms, &w->key);
    if (!*window)
        return -ERR_NOMEM;
    if (position->offset == 0)
        return 0;
    r = bus_read_to_end(&w->bus, w->raw.text, position->partition,
                        MAX_OF(position->offset - s->window_events, (int64_t)0), TAIL_TIMEOUT_MS,
                        learn_tail, &tail, &next, reterr_why);
    return r < 0 ? r : 0;
}

static int assigned(void *arg, const struct bus_position *positions, size_t count,
                    struct why *reterr_why)
{
    struct worker *w = arg;
    int r = 0;

    for (size_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        window_free(w->windows[i]);
        w->windows[i] = NULL;
    }
    for (size_t i = 0; r == 0 && i < count; i++)
        r = rebuild_window(w, &positions[i], reterr_why);
    if (r == 0)
        log_info("%zu partitions of %s are ours", count, w->raw.text);
    return r;
}

/* ---- start ---------------------------------------------------------------------------------------- */

int normalizing_catalog(const struct normalizer_config *config, struct catalog **ret,
                        struct why *reterr_why)
{
    AUTO_BUF struct buf overlay = {0};
    int r = catalog_read_file(&config->catalog, &overlay, reterr_why);
    return r < 0 ? r : catalog_load(buf_str(&overlay), ret, reterr_why);
}

static void name_topics(struct worker *w, struct str region)
{
    const struct config_strs *regions = &w->config->topology.regions;

    w->raw = topic_name(TOPIC_RAW, region);
    w->rejected = topic_name(TOPIC_REJECTED, region);
    w->global = topic_name(TOPIC_GLOBAL, STR_NONE);
    for (size_t i = 0; i < regions->count; i++)
        w->events[i] = topic_name(TOPIC_EVENTS, regions->at[i]);
}

/* Outcomes by their names, then "to.global" and "to.<region>". */
static void name_kinds(struct worker *w, struct tally_kinds *kinds)
{
    const struct config_strs *regions = &w->config->topology.regions;

    for (size_t i = 0; i < NORMALIZE_OUTCOME_COUNT; i++)
        kinds->names[kinds->count++] = normalize_outcome_name((enum normalize_outcome)i);
    for (size_t i = 0; i <= regions->count; i++) {
        (void)snprintf(w->kind_names[i], TALLY_KIND_SIZE_MAX, "to." STR_FMT,
                       STR_ARG(i ? regions->at[i - 1] : STR("global")));
        kinds->names[kinds->count++] = w->kind_names[i];
    }
}

static int open_core(struct worker *w, struct str region, const struct catalog *catalog)
{
    const struct normalizer_section *s = &w->config->normalizer;
    const struct config_strs *regions = &w->config->topology.regions;
    struct normalize_settings settings = {
        .catalog = catalog,
        .region = region,
        .deployed_count = regions->count,
        .ahead_max_ms = s->ahead_max_ms,
        .behind_max_ms = s->behind_max_ms,
        .reject_unknown_service = s->reject_unknown_service,
        .reject_unknown_region = s->reject_unknown_region,
    };

    memcpy(settings.deployed, regions->at, regions->count * sizeof(regions->at[0]));
    w->normalizer = normalizer_new(&settings);
    w->control = control_new();
    crypto_random(&w->key, sizeof(w->key));
    return w->normalizer && w->control ? 0 : -ERR_NOMEM;
}

static void set_up_relay(struct worker *w)
{
    struct relay_settings *s = &w->relay.settings;

    w->relay.owner =
        (struct bus_stage_owner){w, generation, assigned, run_record, committed, aborted};
    *s = (struct relay_settings){.worker = STR("normalizer"),
                                 .bus = w->bus,
                                 .topic = w->raw.text,
                                 .redis = w->config->state.redis,
                                 .counter_count = COUNTER_COUNT,
                                 .record_counters = NORMALIZE_OUTCOME_COUNT};
    name_kinds(w, &s->kinds);
    for (size_t i = 0; i < NORMALIZE_OUTCOME_COUNT; i++)
        s->counter_names[i] = normalize_outcome_name((enum normalize_outcome)i);
    s->counter_names[UNKNOWN_SERVICE] = "passed_unknown_service";
    s->counter_names[UNKNOWN_REGION] = "passed_unknown_region";
}

int normalizing(struct daemon *daemon, void *config)
{
    AUTO_FREE struct worker *w = calloc(1, sizeof(*w)); /* large: tables for every partition */
    AUTO(catalog_free) struct catalog *catalog = NULL;
    struct str region = daemon_region(daemon);
    struct why why = {0};
    int r;

    if (!w)
        return log_error(-ERR_NOMEM, "cannot start");
    w->config = config;
    w->bus = (struct bus_settings){w->config->bus.brokers, daemon_instance(daemon)};
    name_topics(w, region);
    set_up_relay(w);
    if ((r = normalizing_catalog(w->config, &catalog, &why)) < 0 ||
        (r = open_core(w, region, catalog)) < 0)
        log_error(r, "cannot start: %s", why.text);
    else
        r = relay_run(&w->relay, daemon);
    for (size_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        window_free(w->windows[i]);
    normalizer_free(w->normalizer);
    control_free(w->control);
    return r;
}
