/* operator.c - trailctl topics apply, with more partitions than there are, or after topics were deleted: production's command
 * and its pen. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/deployment.h"
#include "doors.h"

#define STOP_MS      40000 /* then they are killed */
#define LOOK_MS      100
#define START_MS     2000
#define FORGOTTEN_MS 6000

void operator_mute(bool mute)
{
    static FILE *said, *nowhere;

    if (!said)
        said = stdout;
    if (!nowhere)
        nowhere = fopen("/dev/null", "we");
    CHECK(nowhere);
    stdout = mute ? nowhere : said;
}

/* Nobody reads a file here. */
const struct option_spec bus_options[] = {OPTIONS_END}, state_options[] = {OPTIONS_END},
                         topology_options[] = {OPTIONS_END}, security_options[] = {OPTIONS_END};

int config_load(const char *path, const struct config_section *sections, void *target,
                struct config **ret, struct why *reterr_why)
{
    struct deployment_config *config = target;

    (void)path, (void)sections, (void)reterr_why;
    *config = (struct deployment_config){.topology = sim->topology};
    config->topology.partitions = sim->partitions;
    config->topology.replication = 1;
    *ret = NULL;
    return 0;
}

void config_free(struct config *config)
{
    (void)config;
}

/* ---- topics made anew (docs/OPERATIONS.md, "What is lost when …") ------------------------------------------------ */

/* Ends whoever still runs: false, somebody does. */
static bool all_stopped(bool by_force)
{
    bool all = true;

    for (size_t i = 0; i < sim->process_count; i++) {
        struct process *p = &sim->processes[i];

        if (p->kind == OPERATOR || !p->fiber)
            continue;
        all = false;
        p->stopping = true;
        if (!by_force)
            continue;
        p->dead = true;
        p->wake_ms = now_ms();
    }
    return all;
}

static bool transactions_open(void)
{
    for (size_t i = 0; i < sim->kafka->transaction_count; i++)
        if (sim->kafka->transactions[i].state != TRANSACTION_NONE)
            return true;
    return false;
}

/* As `systemctl stop` does it; then what was left open is over. */
static int stop_everybody(void)
{
    int64_t force_ms = now_ms() + STOP_MS;

    sim->held = true;
    while (!all_stopped(now_ms() >= force_ms) || transactions_open())
        if (!doze(LOOK_MS))
            return -ERR_BUG;
    return 0;
}

/* What its reader has passed: the rest is lost with it. */
static void note_passed(struct topic *t, enum topic_kind kind, struct str region)
{
    char group[GROUP_NAME_SIZE];
    struct str tally;

    for (int32_t p = 0; p < t->partition_count; p++) {
        if (kind == TOPIC_EVENTS) {
            if (!disk_position(region, p, &t->passed[p], &tally))
                t->passed[p] = 0;
            continue;
        }
        t->passed[p] = 0;
        if (kind == TOPIC_REJECTED)
            continue;
        group_name(kind == TOPIC_RAW ? STR("normalizer") : STR("router"),
                   kind == TOPIC_RAW ? region : STR_NONE, group);
        (void)stage_stands(group_find(group, t), p, &t->passed[p], &tally);
    }
}

static int delete_doomed(void)
{
    for (size_t i = 0; i < sim->kafka->topic_count; i++) {
        struct topic *t = &sim->kafka->topics[i];
        enum topic_kind kind;
        struct str region;
        int r;

        if (!t->doomed || t->gone)
            continue;
        if ((r = bus_reach(BUS_CALL_TIMEOUT_MS)) < 0)
            return r;
        CHECK(topic_parse(str_from(t->name.text), &kind, &region));
        note_passed(t, kind, region);
        kafka_delete(t);
        if (kind == TOPIC_EVENTS)
            disk_topic_gone(region);
    }
    return 0;
}

static void start_everybody(void)
{
    sim->held = false;
    for (size_t i = 0; i < sim->process_count; i++)
        sim->processes[i].restart_ms = now_ms() + between(0, START_MS);
}

/* Now and then this is forgotten, until somebody reads why history does not start. */
static int move_positions_away(void)
{
    if (chance(50)) {
        start_everybody();
        if (!doze(between(0, FORGOTTEN_MS)))
            return -ERR_BUG;
    }
    for (size_t i = 0; i < sim->region_count; i++)
        disk_positions_away(sim->regions[i]);
    return 0;
}

static int apply(void)
{
    struct cli cli = {.command = topics_commands};
    struct why why = {0};
    int r = cli.command->run(&cli, &why);

    trace("topics apply: %s%s", err_name(r), why.text);
    return r;
}

int operator_run(void)
{
    int r;

    if (sim->anew != ANEW_ASKED)
        return apply();
    if ((r = stop_everybody()) < 0 || (r = delete_doomed()) < 0 || (r = apply()) < 0 ||
        (r = move_positions_away()) < 0)
        return r;
    if (sim->held)
        start_everybody();
    sim->anew = ANEW_DONE;
    return 0;
}
