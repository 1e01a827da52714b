/* routing.c - global, control -> events.<region>, of every home region of the account's trails and of the storage
 * region
 *
 * Reads the events of global services and writes each on to where it is delivered and where it is kept. Where that
 * is is decided in core/, by the changes of trails that lie in `global` too; this file binds it to Kafka.
 *
 * Guarantee: exactly once. The stage commits copies and where it stands in one transaction; copies of a record
 * that comes again are the same ones. The order at an assignment is the protocol's rule 3: what is ours, where we
 * stand, then `control` to its end, and only then the first record.
 *
 * One group serves all regions; more processes share the partitions.
 */
#include "routing.h"

#include <stdio.h>

#include "control/control.h"
#include "core/router.h"
#include "log/log.h"
#include "relay/relay.h"

#define CONTROL_TIMEOUT_MS 15000

enum { EVENTS, CHANGES, FOR_DELIVERY, FOR_HISTORY, COUNTER_COUNT };
enum { FIRST_REGION = 2 }; /* in a tally: behind events and changes */

static const char *const counter_names[COUNTER_COUNT] = {
    [EVENTS] = "events",
    [CHANGES] = "changes",
    [FOR_DELIVERY] = "copies_for_delivery",
    [FOR_HISTORY] = "copies_for_history",
};

struct worker {
    const struct router_config *config;
    struct bus_settings bus;
    struct topic_name global;
    struct control *control;
    int64_t control_next;
    struct router *router; /* NULL while nothing is assigned */
    struct relay relay;
    char kind_names[CONFIG_STRS_MAX][TALLY_KIND_SIZE_MAX];
};

/* ---- one record --------------------------------------------------------------------------------- */

/* A region that is no longer configured is counted nowhere: nothing there reads it. */
static void count_copy(struct worker *w, int32_t partition, struct str region)
{
    const struct config_strs *regions = &w->config->topology.regions;

    for (size_t i = 0; i < regions->count; i++)
        if (str_eq(regions->at[i], region))
            bus_stage_count(w->relay.stage, partition, FIRST_REGION + i);
}

static int write_copy(struct worker *w, const struct bus_record *record,
                      const struct router_result *result, size_t i, struct why *reterr_why)
{
    const struct router_copy *copy = &result->copies[i];
    struct topic_name target = topic_name(TOPIC_EVENTS, copy->region);
    struct str value;
    int r = router_encode(w->router, result, i, &value);

    relay_count(&w->relay, FOR_DELIVERY, (copy->purpose & EVENT_FOR_DELIVERY) != 0);
    relay_count(&w->relay, FOR_HISTORY, (copy->purpose & EVENT_FOR_HISTORY) != 0);
    count_copy(w, record->partition, copy->region);
    if (r == 0)
        r = bus_stage_write(w->relay.stage, target.text, record->key, value, NULL, 0);
    return r < 0 ? why_set(reterr_why, r, "cannot write to %s", target.text) : 0;
}

static int run_record(void *arg, const struct bus_record *record, struct why *reterr_why)
{
    struct worker *w = arg;
    struct router_input in = {
        .value = record->value, .partition = record->partition, .offset = record->offset};
    bool change = bus_record_header(record, HEADER_CHANGE, &in.change);
    struct router_result result;
    struct why why = {0};
    int r = router_take(w->router, &in, &result, &why);

    if (r < 0) /* we wrote it ourselves: going on would leave a hole that nobody sees */
        return why_set(reterr_why, r == -ERR_NOMEM ? r : -ERR_BUG, "cannot route %s/%d/%lld: %s",
                       w->global.text, record->partition, (long long)record->offset, why.text);
    relay_count(&w->relay, change ? CHANGES : EVENTS, 1);
    bus_stage_count(w->relay.stage, record->partition, change ? CHANGES : EVENTS);
    for (size_t i = 0; i < result.copy_count && r == 0; i++)
        r = write_copy(w, record, &result, i, reterr_why);
    return r;
}

/* ---- transactions and partitions ------------------------------------------------------------------ */

static void committed(void *arg)
{
    struct worker *w = arg;

    relay_keep(&w->relay);
}

/* What the book has learned since stays: changes that come again say the same. */
static void aborted(void *arg)
{
    struct worker *w = arg;

    relay_forget(&w->relay);
}

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

/* `control` to its end, once it is known where we stand (rule 3). */
static int generation(void *arg, struct str *ret, struct why *reterr_why)
{
    struct worker *w = arg;
    struct topic_name control = topic_name(TOPIC_CONTROL, STR_NONE);
    int r;

    router_free(w->router); /* it reads what changes now */
    w->router = NULL;
    r = bus_read_to_end(&w->bus, control.text, 0, w->control_next, CONTROL_TIMEOUT_MS,
                        apply_control, w, &w->control_next, reterr_why);
    if (r < 0)
        return r;
    *ret = control_generation(w->control, str_from(w->global.text));
    return ret->len ? 0
                    : why_set(reterr_why, -ERR_CONFIG,
                              "control knows no generation of %s: run `trailctl topics apply`",
                              w->global.text);
}

static int open_core(struct worker *w, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct router_settings settings = {
        .generation = control_generation(w->control, str_from(w->global.text)),
        .storage_region = topology_storage_region(&w->config->topology),
        .regions = w->config->topology.regions.at,
        .region_count = w->config->topology.regions.count,
    };
    int r = bus_admin_open(&w->bus, &admin, reterr_why);

    if (r == 0)
        r = bus_admin_partitions(admin, w->global.text, &settings.partition_count, reterr_why);
    if (r < 0)
        return r;
    w->router = router_new(&settings, control_trails_mutable(w->control));
    return w->router ? 0 : -ERR_NOMEM;
}

static int assigned(void *arg, const struct bus_position *positions, size_t count,
                    struct why *reterr_why)
{
    struct worker *w = arg;
    int r = open_core(w, reterr_why);

    (void)positions;
    if (r == 0)
        log_info("%zu partitions of %s are ours", count, w->global.text);
    return r;
}

/* ---- start ---------------------------------------------------------------------------------------- */

/* A record is an event or a change; then come its copies, by region. */
static void name_kinds(struct worker *w, struct tally_kinds *kinds)
{
    const struct config_strs *regions = &w->config->topology.regions;

    *kinds = (struct tally_kinds){{counter_names[EVENTS], counter_names[CHANGES]}, FIRST_REGION};
    for (size_t i = 0; i < regions->count; i++) {
        (void)snprintf(w->kind_names[i], TALLY_KIND_SIZE_MAX, "to." STR_FMT,
                       STR_ARG(regions->at[i]));
        kinds->names[kinds->count++] = w->kind_names[i];
    }
}

static void set_up_relay(struct worker *w)
{
    struct relay_settings *s = &w->relay.settings;

    w->relay.owner =
        (struct bus_stage_owner){w, generation, assigned, run_record, committed, aborted};
    *s = (struct relay_settings){.worker = STR("router"),
                                 .bus = w->bus,
                                 .topic = w->global.text,
                                 .redis = w->config->state.redis,
                                 .counter_count = COUNTER_COUNT,
                                 .record_counters = CHANGES + 1};
    name_kinds(w, &s->kinds);
    memcpy(s->counter_names, counter_names, sizeof(counter_names));
}

int routing(struct daemon *daemon, void *config)
{
    AUTO_FREE struct worker *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return log_error(-ERR_NOMEM, "cannot start");
    w->config = config;
    w->bus = (struct bus_settings){w->config->bus.brokers, daemon_instance(daemon)};
    w->global = topic_name(TOPIC_GLOBAL, STR_NONE);
    set_up_relay(w);
    w->control = control_new();
    r = w->control ? relay_run(&w->relay, daemon) : log_error(-ERR_NOMEM, "cannot start");
    router_free(w->router);
    control_free(w->control);
    return r;
}
