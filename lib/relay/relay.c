/* relay.c - the loop around a stage. */
#include "relay/relay.h"

#include <stdio.h>

#include "log/log.h"

#define STEP_MS 200

void relay_keep(struct relay *relay)
{
    for (size_t i = 0; i < relay->settings.counter_count; i++)
        relay->committed[i] += relay->pending[i];
    relay_forget(relay);
}

void relay_forget(struct relay *relay)
{
    memset(relay->pending, 0, sizeof(relay->pending));
}

static void beat(struct relay *relay, const char *state, bool last)
{
    const struct relay_settings *s = &relay->settings;
    struct heartbeat_counter counters[RELAY_COUNTERS_MAX];
    struct bus_stage_view stage;
    struct heartbeat_view view = {
        .state = state, .counters = counters, .counter_count = s->counter_count};

    bus_stage_view(relay->stage, &stage);
    view.lag = stage.lag;
    view.partitions = stage.partition_count;
    for (size_t i = 0; i < s->counter_count; i++)
        counters[i] = (struct heartbeat_counter){s->counter_names[i], relay->committed[i]};
    for (size_t i = 0; i < s->record_counters; i++)
        view.records += relay->committed[i];
    if (last || heartbeat_due(&relay->heartbeat, daemon_now_ms()))
        bus_stage_tallies(relay->stage, heartbeat_tally, &relay->heartbeat);
    if (last)
        heartbeat_end(&relay->heartbeat, daemon_now_ms(), &view);
    else
        heartbeat_beat(&relay->heartbeat, daemon_now_ms(), &view);
}

/* Asks until Kafka lets it: no stage after 0 means that the daemon was told to end. */
static int open_stage(struct relay *relay, struct daemon *daemon)
{
    const struct relay_settings *s = &relay->settings;
    struct bus_stage_settings settings = {s->bus, s->topic, relay->group, relay->transactional_id,
                                          &s->kinds};
    struct why why = {0};
    int r = 0;

    group_name(s->worker, daemon_region(daemon), relay->group);
    (void)snprintf(relay->transactional_id, sizeof(relay->transactional_id), "%s." STR_FMT,
                   relay->group, STR_ARG(s->bus.instance));
    while (r == 0 && !relay->stage && daemon_running(daemon))
        r = daemon_backoff(daemon, bus_stage_open(&settings, &relay->owner, &relay->stage, &why),
                           &why);
    return r < 0 ? log_error(r, "cannot start: %s", why.text) : 0;
}

static int loop(struct relay *relay, struct daemon *daemon)
{
    struct bus_stage_view view;
    struct why why = {0};
    int r = 0;

    while (r == 0 && daemon_running(daemon)) {
        r = daemon_backoff(daemon, bus_stage_step(relay->stage, STEP_MS, &why), &why);
        bus_stage_view(relay->stage, &view);
        if (view.assigned)
            daemon_ready(daemon);
        beat(relay, view.assigned ? "running" : "waiting", false);
    }
    if (r == 0)
        r = bus_stage_finish(relay->stage, &why);
    if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
        return log_error(r, "cannot go on: %s", why.text);
    beat(relay, "ended", true);
    return 0;
}

int relay_run(struct relay *relay, struct daemon *daemon)
{
    AUTO(state_close) struct state *state = NULL;
    struct why why = {0};
    int r;

    CHECK(relay->settings.counter_count <= RELAY_COUNTERS_MAX);
    r = state_open(relay->settings.redis, &state, &why);
    if (r < 0)
        return log_error(r, "cannot start: %s", why.text);
    relay->heartbeat = (struct heartbeat){.state = state,
                                          .worker = relay->settings.worker,
                                          .region = daemon_region(daemon),
                                          .instance = daemon_instance(daemon)};
    r = open_stage(relay, daemon);
    if (relay->stage)
        r = loop(relay, daemon);
    bus_stage_close(relay->stage);
    relay->stage = NULL;
    return r;
}
