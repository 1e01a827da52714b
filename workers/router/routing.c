/* routing.c - global, control -> events.<region>, of every home region of the account's trails and of the storage
 * region
 *
 * Reads the events of global services and writes each on to where it is delivered and where it is kept. Where that
 * is is decided in core/, by the changes of trails that lie in `global` too; this file binds it to Kafka.
 *
 * Guarantee: exactly once. The stage commits copies and input offsets in one transaction; copies of a record
 * that comes again are the same ones. The order at an assignment is the protocol's rule 3: what is ours, where the
 * group stands, then `control` to its end, and only then the first record.
 *
 * One group serves all regions; more processes share the partitions.
 */
#include "routing.h"

#include <stdio.h>

#include "bus/stage.h"
#include "control/control.h"
#include "core/router.h"
#include "log/log.h"
#include "state/heartbeat.h"

#define STEP_MS            200
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
    struct bus_stage *stage;
    struct tally_kinds kinds; /* events, changes: a record is one of them; then copies by region */
    char kind_names[CONFIG_STRS_MAX][TALLY_KIND_SIZE_MAX];
    char group[GROUP_NAME_SIZE], transactional_id[GROUP_NAME_SIZE + 64];
    uint64_t counted[COUNTER_COUNT]; /* committed */
    uint64_t pending[COUNTER_COUNT]; /* of the open transaction */
};

/* ---- one record --------------------------------------------------------------------------------- */

/* A region that is no longer configured is counted nowhere: nothing there reads it. */
static void count_copy(struct worker *w, int32_t partition, struct str region)
{
    const struct config_strs *regions = &w->config->topology.regions;

    for (size_t i = 0; i < regions->count; i++)
        if (str_eq(regions->at[i], region))
            bus_stage_count(w->stage, partition, FIRST_REGION + i);
}

static int write_copy(struct worker *w, const struct bus_record *record,
                      const struct router_result *result, size_t i, struct why *reterr_why)
{
    const struct router_copy *copy = &result->copies[i];
    struct topic_name target = topic_name(TOPIC_EVENTS, copy->region);
    struct str value;
    int r = router_encode(w->router, result, i, &value);

    w->pending[FOR_DELIVERY] += (copy->purpose & EVENT_FOR_DELIVERY) != 0;
    w->pending[FOR_HISTORY] += (copy->purpose & EVENT_FOR_HISTORY) != 0;
    count_copy(w, record->partition, copy->region);
    if (r == 0)
        r = bus_stage_write(w->stage, target.text, record->key, value, NULL, 0);
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
    w->pending[change ? CHANGES : EVENTS]++;
    bus_stage_count(w->stage, record->partition, change ? CHANGES : EVENTS);
    for (size_t i = 0; i < result.copy_count && r == 0; i++)
        r = write_copy(w, record, &result, i, reterr_why);
    return r;
}

/* ---- transactions and partitions ------------------------------------------------------------------ */

static void committed(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < COUNTER_COUNT; i++)
        w->counted[i] += w->pending[i];
    memset(w->pending, 0, sizeof(w->pending));
}

/* What the book has learned since stays: changes that come again say the same. */
static void aborted(void *arg)
{
    struct worker *w = arg;

    memset(w->pending, 0, sizeof(w->pending));
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

static int open_core(struct worker *w, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct router_settings settings = {
        .generation = control_generation(w->control, str_from(w->global.text)),
        .storage_region = topology_storage_region(&w->config->topology),
        .regions = w->config->topology.regions.at,
        .region_count = w->config->topology.regions.count,
    };
    int r;

    if (settings.generation.len == 0)
        return why_set(reterr_why, -ERR_CONFIG,
                       "control knows no generation of %s: run `trailctl topics apply`",
                       w->global.text);
    r = bus_admin_open(&w->bus, &admin, reterr_why);
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
    struct topic_name control = topic_name(TOPIC_CONTROL, STR_NONE);
    int r;

    (void)positions;
    router_free(w->router);
    w->router = NULL;
    r = bus_read_to_end(&w->bus, control.text, 0, w->control_next, CONTROL_TIMEOUT_MS,
                        apply_control, w, &w->control_next, reterr_why);
    if (r == 0)
        r = open_core(w, reterr_why);
    if (r == 0)
        log_info("%zu partitions of %s are ours", count, w->global.text);
    return r;
}

/* ---- start and loop ------------------------------------------------------------------------------ */

static void beat(struct worker *w, struct heartbeat *heartbeat, const char *state, bool last)
{
    struct heartbeat_counter counters[COUNTER_COUNT];
    struct bus_stage_view stage;
    struct heartbeat_view view = {.state = state,
                                  .records = w->counted[EVENTS] + w->counted[CHANGES],
                                  .counters = counters,
                                  .counter_count = COUNTER_COUNT};

    bus_stage_view(w->stage, &stage);
    view.lag = stage.lag;
    view.partitions = stage.partition_count;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        counters[i] = (struct heartbeat_counter){counter_names[i], w->counted[i]};
    if (last || heartbeat_due(heartbeat, daemon_now_ms()))
        bus_stage_tallies(w->stage, heartbeat_tally, heartbeat);
    if (last)
        heartbeat_end(heartbeat, daemon_now_ms(), &view);
    else
        heartbeat_beat(heartbeat, daemon_now_ms(), &view);
}

static void name_kinds(struct worker *w)
{
    const struct config_strs *regions = &w->config->topology.regions;

    w->kinds = (struct tally_kinds){{counter_names[EVENTS], counter_names[CHANGES]}, FIRST_REGION};
    for (size_t i = 0; i < regions->count; i++) {
        (void)snprintf(w->kind_names[i], TALLY_KIND_SIZE_MAX, "to." STR_FMT,
                       STR_ARG(regions->at[i]));
        w->kinds.names[w->kinds.count++] = w->kind_names[i];
    }
}

static int open_stage(struct worker *w, struct why *reterr_why)
{
    struct bus_stage_settings settings = {w->bus, w->global.text, w->group, w->transactional_id,
                                          &w->kinds};
    struct bus_stage_owner owner = {w, assigned, run_record, committed, aborted};

    group_name(STR("router"), STR_NONE, w->group);
    (void)snprintf(w->transactional_id, sizeof(w->transactional_id), "%s." STR_FMT, w->group,
                   STR_ARG(w->bus.instance));
    return bus_stage_open(&settings, &owner, &w->stage, reterr_why);
}

static int loop(struct daemon *daemon, struct worker *w, struct heartbeat *heartbeat)
{
    struct bus_stage_view view;
    struct why why = {0};
    int r = 0;

    while (r == 0 && daemon_running(daemon)) {
        r = daemon_backoff(daemon, bus_stage_step(w->stage, STEP_MS, &why), &why);
        bus_stage_view(w->stage, &view);
        if (view.assigned)
            daemon_ready(daemon);
        beat(w, heartbeat, view.assigned ? "running" : "waiting", false);
    }
    if (r == 0)
        r = bus_stage_finish(w->stage, &why);
    if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
        return log_error(r, "cannot go on: %s", why.text);
    beat(w, heartbeat, "ended", true);
    return 0;
}

int routing(struct daemon *daemon, void *config)
{
    AUTO_FREE struct worker *w = calloc(1, sizeof(*w));
    AUTO(state_close) struct state *state = NULL;
    struct heartbeat heartbeat = {.worker = STR("router"), .instance = daemon_instance(daemon)};
    struct why why = {0};
    int r;

    if (!w)
        return log_error(-ERR_NOMEM, "cannot start");
    w->config = config;
    w->bus = (struct bus_settings){w->config->bus.brokers, daemon_instance(daemon)};
    w->global = topic_name(TOPIC_GLOBAL, STR_NONE);
    name_kinds(w);
    w->control = control_new();
    r = w->control ? state_open(w->config->state.redis, &state, &why) : -ERR_NOMEM;
    heartbeat.state = state;
    while (r == 0 && !w->stage && daemon_running(daemon))
        r = daemon_backoff(daemon, open_stage(w, &why), &why);
    if (r < 0)
        log_error(r, "cannot start: %s", why.text);
    if (w->stage)
        r = loop(daemon, w, &heartbeat);
    bus_stage_close(w->stage);
    router_free(w->router);
    control_free(w->control);
    return r;
}
