/* reconcile.c - `trailctl reconcile`: is every event accounted for?
 *
 * Each worker counts what became of every record, per partition, and keeps the counts with the offset that they reach
 * to (lib/tally); Redis shows them. Here they are held against the logs, and one stage against the next:
 *
 *     raw.<region>      what lies in the log          = outcomes + waiting         (without transactions' markers)
 *     global            what normalizers sent there   = what the router took
 *     events.<region>   what normalizers and router sent there = what the history took
 *
 * While events come, some are on their way between two stages: a look is exact once nothing is. So it looks again until
 * every difference is 0, for as long as it may.
 */
#include <stdio.h>
#include <time.h>

#include "cli/deployment.h"
#include "cli/output.h"
#include "cli/recount.h"
#include "state/keys.h"
#include "state/state.h"

#define WAIT_S_DEFAULT 30
#define WAIT_S_MAX     3600
#define LOOK_NS        500000000

/* One worker's counts over the partitions of its topic. */
struct sums {
    int64_t end;      /* of the log, over partitions */
    int64_t offset;   /* reached */
    int64_t base;     /* begun at */
    int64_t gaps;     /* offsets without a record */
    int64_t outcomes; /* records that became anything */
    int64_t to_global;
    int64_t to_region[CONFIG_STRS_MAX];
    int64_t events;  /* taken as events by router or history */
    int32_t missing; /* partitions whose counts Redis does not have */
};

struct view {
    const struct config_strs *regions;
    struct sums normalizer[CONFIG_STRS_MAX], history[CONFIG_STRS_MAX], router;
};

struct reconciling {
    struct deployment *deployment;
    struct bus_admin *admin;
    struct state *state;
    struct view view;
};

/* ---- reading ------------------------------------------------------------------------------------------ */

static void add_count(const struct config_strs *regions, struct str name, int64_t n, struct sums *s)
{
    struct str rest = name, word;

    if (str_eq(name, STR("offset"))) {
        s->offset += n;
    } else if (str_eq(name, STR("base"))) {
        s->base += n;
    } else if (str_eq(name, STR("events"))) {
        s->events += n;
        s->outcomes += n;
    } else if (str_eq(name, STR("to.global"))) {
        s->to_global += n;
        s->outcomes += n;
    } else if (str_split(&rest, '.', &word) && str_eq(word, STR("to"))) {
        for (size_t i = 0; i < regions->count; i++)
            if (str_eq(regions->at[i], rest))
                s->to_region[i] += n;
        s->outcomes += n;
    } else if (str_eq(name, STR("gaps"))) {
        s->gaps += n;
    } else {
        s->outcomes += n;
    }
}

static void add_tally(const struct config_strs *regions, const struct state_reply *hash,
                      struct sums *s)
{
    int64_t n;

    if (hash->type != STATE_LIST || hash->count == 0)
        s->missing++;
    for (size_t i = 0; hash->type == STATE_LIST && i + 1 < hash->count; i += 2)
        if (str_to_i64(state_item(hash, i + 1).text, &n))
            add_count(regions, state_item(hash, i).text, n, s);
}

static int read_worker(struct reconciling *rec, struct str worker, struct str region,
                       struct topic_name topic, struct sums *ret, struct why *why)
{
    int32_t count;
    int64_t low, high;
    int r = bus_admin_partitions(rec->admin, topic.text, &count, why);

    *ret = (struct sums){0};
    for (int32_t p = 0; p < count && r == 0; p++) {
        struct state_key key = state_key_tally(worker, region, p);

        STATE_ADD(rec->state, STR("HGETALL"), state_key_str(&key));
    }
    if (r == 0)
        r = state_flush(rec->state, why);
    for (int32_t p = 0; p < count && r == 0; p++) {
        struct state_reply hash = state_reply(rec->state, (size_t)p);

        add_tally(rec->view.regions, &hash, ret);
    }
    /* The ends behind the counts: nothing that was counted lies behind them. */
    for (int32_t p = 0; p < count && r == 0; p++) {
        r = bus_admin_watermarks(rec->admin, topic.text, p, &low, &high, why);
        ret->end += high;
    }
    return r;
}

/* The last stage first: what it took, the ones before it have sent by the time that they are looked at. */
static int look(struct reconciling *rec, struct why *why)
{
    struct view *v = &rec->view;
    int r = 0;

    for (size_t i = 0; i < v->regions->count && r == 0; i++)
        r = read_worker(rec, STR("history"), v->regions->at[i],
                        topic_name(TOPIC_EVENTS, v->regions->at[i]), &v->history[i], why);
    if (r == 0)
        r = read_worker(rec, STR("router"), STR(""), topic_name(TOPIC_GLOBAL, STR_NONE), &v->router,
                        why);
    for (size_t i = 0; i < v->regions->count && r == 0; i++)
        r = read_worker(rec, STR("normalizer"), v->regions->at[i],
                        topic_name(TOPIC_RAW, v->regions->at[i]), &v->normalizer[i], why);
    return r;
}

/* ---- balances -------------------------------------------------------------------------------------------- */

struct balance {
    struct topic_name topic;
    const char *stage;
    int64_t in, out, waiting;
    int32_t missing;
};

static int64_t difference(const struct balance *b)
{
    return b->in - b->out - b->waiting;
}

static size_t balances(const struct view *v, struct balance *ret)
{
    size_t count = 0;
    struct balance global = {
        topic_name(TOPIC_GLOBAL, STR_NONE), "router", 0, v->router.events, 0, v->router.missing};

    for (size_t i = 0; i < v->regions->count; i++) {
        const struct sums *n = &v->normalizer[i];

        ret[count++] = (struct balance){topic_name(TOPIC_RAW, v->regions->at[i]),
                                        "normalizer",
                                        n->end - n->base - n->gaps,
                                        n->outcomes,
                                        n->end - n->offset,
                                        n->missing};
        global.in += n->to_global;
    }
    ret[count++] = global;
    for (size_t i = 0; i < v->regions->count; i++) {
        struct balance b = {topic_name(TOPIC_EVENTS, v->regions->at[i]),
                            "history",
                            v->router.to_region[i],
                            v->history[i].events,
                            0,
                            v->history[i].missing};

        for (size_t j = 0; j < v->regions->count; j++)
            b.in += v->normalizer[j].to_region[i];
        ret[count++] = b;
    }
    return count;
}

static bool balanced(const struct balance *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (difference(&at[i]) != 0 || at[i].waiting != 0 || at[i].missing)
            return false;
    return true;
}

static void print(const struct balance *at, size_t count, bool json)
{
    struct output table = {.json = json};

    output_begin(&table, (const struct output_column[]){{"topic", "TOPIC", 28},
                                                        {"stage", "READ BY", 12},
                                                        {"in", "IN", 14},
                                                        {"out", "ACCOUNTED", 14},
                                                        {"waiting", "WAITING", 10},
                                                        {"difference", "DIFFERENCE", 0},
                                                        {NULL, NULL, 0}});
    for (size_t i = 0; i < count; i++) {
        char in[24], out[24], waiting[24], rest[24];

        (void)snprintf(in, sizeof(in), "%lld", (long long)at[i].in);
        (void)snprintf(out, sizeof(out), "%lld", (long long)at[i].out);
        (void)snprintf(waiting, sizeof(waiting), "%lld", (long long)at[i].waiting);
        (void)snprintf(rest, sizeof(rest), "%lld", (long long)difference(&at[i]));
        output_row(&table, (const struct str[]){str_from(at[i].topic.text), str_from(at[i].stage),
                                                str_from(in), str_from(out), str_from(waiting),
                                                str_from(rest)});
    }
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static int verdict(const struct balance *at, size_t count, int64_t wait_s, struct why *why)
{
    for (size_t i = 0; i < count; i++) {
        if (at[i].missing)
            return why_set(why, -ERR_UNAVAILABLE,
                           "%s: Redis has no counts for %d of its partitions: does its %s run?",
                           at[i].topic.text, at[i].missing, at[i].stage);
        if (difference(&at[i]) < 0)
            return why_set(why, -ERR_CONFLICT, "%s: the %s counted %lld more than were sent there",
                           at[i].topic.text, at[i].stage, -(long long)difference(&at[i]));
        if (difference(&at[i]) > 0)
            return why_set(why, -ERR_CONFLICT,
                           "%s: %lld are not accounted for after %lld s; while events come, some "
                           "are always on their way",
                           at[i].topic.text, (long long)difference(&at[i]), (long long)wait_s);
    }
    return 0;
}

static int open_all(struct reconciling *rec, struct why *why)
{
    int r = bus_admin_open(&rec->deployment->bus, &rec->admin, why);

    rec->view.regions = &rec->deployment->config.topology.regions;
    return r < 0 ? r : state_open(rec->deployment->config.state.redis, &rec->state, why);
}

static int reconcile(struct cli *cli, struct why *reterr_why)
{
    static struct reconciling rec; /* large: sums of every region */
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    struct balance all[2 * CONFIG_STRS_MAX + 1];
    int64_t wait_s, until_s;
    size_t count = 0;
    int r = args_number(&cli->args, "wait", WAIT_S_DEFAULT, 0, WAIT_S_MAX, &wait_s, reterr_why);

    if (r < 0)
        return cli_misused(cli, reterr_why, "%s", reterr_why->text);
    if (args_has(&cli->args, "trails") || args_has(&cli->args, "trail"))
        return recount(cli, reterr_why);
    rec = (struct reconciling){.deployment = &deployment};
    until_s = cli_now_s() + wait_s;
    r = deployment_open(cli, &deployment, reterr_why);
    if (r == 0)
        r = open_all(&rec, reterr_why);
    while (r == 0) {
        r = look(&rec, reterr_why);
        count = r == 0 ? balances(&rec.view, all) : 0;
        if (balanced(all, count) || cli_now_s() >= until_s)
            break;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    if (r == 0) {
        print(all, count, args_has(&cli->args, "json"));
        r = verdict(all, count, wait_s, reterr_why);
    }
    bus_admin_close(rec.admin);
    state_close(rec.state);
    return r;
}

static const struct arg_option options[] = {
    {"wait", "SECONDS", "how long to wait until nothing is on its way (30)", false},
    {"trails", NULL,
     "instead: delivery's counts a trail against log and buckets, counted once more", false},
    {"trail", "NAME", "... of trails of this name, or this id, only", false},
    {"json", NULL, "one object a line", false},
    ARG_OPTIONS_END,
};

const struct command reconcile_commands[] = {
    {"reconcile", "", 0, 0, "is every event accounted for? Counts against logs, stage by stage",
     "Every record of raw ends as exactly one of: sent on, dropped, rejected, a duplicate, "
     "waiting; every event that "
     "was sent on is taken by the next stage. Fails, and says where, when that does not hold. "
     "While events come the "
     "difference is what is between two stages just then; it is exact when nothing is.",
     options, reconcile},
    COMMANDS_END,
};
