/* topics.c - `trailctl topics apply`: every topic of the configured regions is there, with a generation.
 *
 * A generation tells one life of a topic from the next one of the same name: offsets count anew there, so
 * whoever keeps offsets keeps the generation with them. It is written once a life. A crash between making a
 * topic and writing its generation must not leave the old one behind; hence:
 *
 *     0. what has too few partitions gets more, no trail being changed meanwhile
 *     1. the generations of topics that are gone are taken back     one transaction
 *     2. the missing topics are made
 *     3. every topic without a generation gets one                   one transaction
 *
 * Whatever stops it, running it again goes on.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/deployment.h"

struct plan {
    struct topic_name name;
    enum topic_kind kind;
    int32_t partitions; /* 0: missing */
    bool created, numbered, grown;
};

struct plans {
    struct plan *at;
    size_t count;
};

static void add_plan(struct plans *plans, enum topic_kind kind, struct str region)
{
    plans->at[plans->count++] = (struct plan){.name = topic_name(kind, region), .kind = kind};
}

static int list_plans(const struct config_strs *regions, struct plans *ret)
{
    ret->at = calloc(TOPIC_KIND_COUNT * (regions->count + 1), sizeof(*ret->at));
    ret->count = 0;
    if (!ret->at)
        return -ERR_NOMEM;
    add_plan(ret, TOPIC_CONTROL, STR_NONE); /* first: what is done to the others is noted there */
    for (int kind = 0; kind < TOPIC_KIND_COUNT; kind++) {
        if (topic_settings(kind)->regional)
            for (size_t i = 0; i < regions->count; i++)
                add_plan(ret, kind, regions->at[i]);
        else if (kind != TOPIC_CONTROL)
            add_plan(ret, kind, STR_NONE);
    }
    return 0;
}

static int create(struct bus_admin *admin, const struct topology_section *topology,
                  struct plan *plan, struct why *reterr_why)
{
    int r;

    if (plan->partitions)
        return 0;
    r = bus_admin_create(admin, plan->name.text, (int)topology->partitions,
                         (int)topology->replication, topic_settings(plan->kind), reterr_why);
    plan->created = r == 0;
    if (r == 0 || r == -ERR_EXISTS) /* by somebody else, just now */
        r = bus_admin_partitions(admin, plan->name.text, &plan->partitions, reterr_why);
    return r;
}

static bool has_generation(const struct control_pen *pen, const struct plan *plan)
{
    return control_generation(control_pen_view(pen), str_from(plan->name.text)).len > 0;
}

static int forget_generation(struct control_pen *pen, const struct plan *plan,
                             struct why *reterr_why)
{
    AUTO_BUF struct buf key = {0}, value = {0};

    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, 4096);
    control_topic_record(str_from(plan->name.text), STR(""), false, &key, &value);
    if (buf_error(&key))
        return buf_error(&key);
    return control_pen_write(pen, buf_str(&key), STR_NONE, reterr_why);
}

static int write_generation(struct control_pen *pen, const struct plan *plan,
                            struct why *reterr_why)
{
    AUTO_BUF struct buf key = {0}, value = {0};
    char generation[UUID_SIZE];

    crypto_uuid(generation);
    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, 4096);
    control_topic_record(str_from(plan->name.text), str_from(generation), false, &key, &value);
    if (buf_error(&key) || buf_error(&value))
        return -ERR_NOMEM;
    return control_pen_write(pen, buf_str(&key), buf_str(&value), reterr_why);
}

/* ---- partitions added ------------------------------------------------------------------------------ */

static bool too_few(const struct plan *plan, int64_t partitions)
{
    return plan->partitions && plan->partitions < partitions &&
           !topic_settings(plan->kind)->compacted;
}

static int mark(struct control_pen *pen, struct plans *plans, bool growing, struct why *reterr_why)
{
    int r = 0;

    for (size_t i = 0; i < plans->count && r == 0; i++) {
        struct str topic = str_from(plans->at[i].name.text);
        AUTO_BUF struct buf key = {0}, value = {0};

        if (!plans->at[i].grown)
            continue;
        buf_init(&key, CONTROL_KEY_SIZE_MAX);
        buf_init(&value, 4096);
        control_topic_record(topic, control_generation(control_pen_view(pen), topic), growing, &key,
                             &value);
        r = buf_error(&key) || buf_error(&value)
                ? -ERR_NOMEM
                : control_pen_write(pen, buf_str(&key), buf_str(&value), reterr_why);
    }
    return r < 0 ? r : control_pen_commit(pen, reterr_why);
}

/* A change of a trail that has begun is given up; the next one reads `control` first, and finds the mark. */
static int shut_out_changes(const struct deployment *deployment, struct why *reterr_why)
{
    AUTO(bus_producer_close) struct bus_producer *producer = NULL;
    int r = bus_producer_open(&deployment->bus, CHANGES_TRANSACTIONAL_ID, 0, &producer, reterr_why);

    return r < 0 ? r : bus_transactions_init(producer, BUS_CALL_TIMEOUT_MS, reterr_why);
}

/* In a partition that a change does not name, its version holds from the start: so no change may be written while
 * partitions come (rule 2). Stopped half-way, the mark stays until this is run again. */
static int grow(struct control_pen *pen, const struct deployment *deployment,
                struct bus_admin *admin, struct plans *plans, struct why *reterr_why)
{
    int64_t partitions = deployment->config.topology.partitions;
    bool any = control_growing(control_pen_view(pen));
    int r;

    for (size_t i = 0; i < plans->count; i++) {
        plans->at[i].grown = too_few(&plans->at[i], partitions);
        any |= plans->at[i].grown;
    }
    if (!any)
        return 0;
    if ((r = mark(pen, plans, true, reterr_why)) < 0 ||
        (r = shut_out_changes(deployment, reterr_why)) < 0)
        return r;
    for (size_t i = 0; i < plans->count && r == 0; i++) {
        if (!plans->at[i].grown)
            continue;
        r = bus_admin_grow(admin, plans->at[i].name.text, (int)partitions, reterr_why);
        plans->at[i].partitions = (int32_t)partitions;
    }
    for (size_t i = 0; i < plans->count; i++) /* also what an earlier run left marked */
        plans->at[i].grown |=
            has_generation(pen, &plans->at[i]) && control_growing(control_pen_view(pen));
    return r < 0 ? r : mark(pen, plans, false, reterr_why);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static int apply(struct control_pen *pen, struct bus_admin *admin,
                 const struct topology_section *topology, struct plans *plans,
                 struct why *reterr_why)
{
    int r = 0;

    for (size_t i = 0; i < plans->count && r == 0; i++)
        if (!plans->at[i].partitions && has_generation(pen, &plans->at[i]))
            r = forget_generation(pen, &plans->at[i], reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    for (size_t i = 0; i < plans->count && r == 0; i++) {
        bool missing = plans->at[i].partitions == 0;

        r = create(admin, topology, &plans->at[i], reterr_why);
        plans->at[i].numbered = missing || !has_generation(pen, &plans->at[i]);
    }
    for (size_t i = 0; i < plans->count && r == 0; i++)
        if (plans->at[i].numbered)
            r = write_generation(pen, &plans->at[i], reterr_why);
    return r < 0 ? r : control_pen_commit(pen, reterr_why);
}

static void print_plans(const struct plans *plans, int64_t partitions)
{
    size_t created = 0, grown = 0, numbered = 0;

    for (size_t i = 0; i < plans->count; i++) {
        const struct plan *p = &plans->at[i];
        bool other = p->partitions != partitions && !topic_settings(p->kind)->compacted;

        created += p->created;
        grown += p->grown;
        numbered += p->numbered && !p->created && !p->grown;
        printf("%-32s %-10s %d partition%s%s%s\n", p->name.text,
               p->created    ? "created"
               : p->grown    ? "grown"
               : p->numbered ? "numbered"
                             : "unchanged",
               p->partitions, p->partitions == 1 ? "" : "s",
               p->numbered && !p->created ? "; it was there, and has a generation now" : "",
               other ? "; the configuration says fewer, but partitions are never taken away" : "");
    }
    printf("%zu topics: %zu created, %zu grown, %zu numbered, %zu unchanged\n", plans->count,
           created, grown, numbered, plans->count - created - grown - numbered);
}

static int topics_apply(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    struct plans plans = {0};
    AUTO_FREE struct plan *owned = NULL;
    int r = deployment_open(cli, &deployment, reterr_why);

    if (r == 0)
        r = list_plans(&deployment.config.topology.regions, &plans);
    owned = plans.at;
    if (r == 0)
        r = bus_admin_open(&deployment.bus, &admin, reterr_why);
    if (r == 0) /* control itself: the pen writes to it */
        r = deployment_partitions(&deployment, admin, &plans.at[0].name, &plans.at[0].partitions,
                                  reterr_why);
    if (r == 0)
        r = create(admin, &deployment.config.topology, &plans.at[0], reterr_why);
    if (r == 0)
        r = control_pen_open(&deployment, &pen, reterr_why);
    for (size_t i = 1; i < plans.count && r == 0; i++) /* behind the fence, as the view is */
        r = deployment_partitions(&deployment, admin, &plans.at[i].name, &plans.at[i].partitions,
                                  reterr_why);
    if (r == 0)
        r = grow(pen, &deployment, admin, &plans, reterr_why);
    if (r == 0)
        r = apply(pen, admin, &deployment.config.topology, &plans, reterr_why);
    if (r == 0)
        print_plans(&plans, deployment.config.topology.partitions);
    return r;
}

static const struct arg_option no_options[] = {ARG_OPTIONS_END};

const struct command topics_commands[] = {
    {"topics apply", "", 0, 0, "creates the topics of the configured regions, or checks them",
     "Reads bus and topology of the configuration. Run it again after a region was added, or after "
     "the number of partitions was raised: while they are added, no trail can be changed, and "
     "everything else goes on. A duplicate of an event that came before may pass once more then, "
     "since accounts move to other partitions: choose a quiet time. Partitions are never taken "
     "away. A topic that was deleted and is made anew gets a new generation, so that nobody goes "
     "on with offsets of the old one.",
     no_options, topics_apply},
    COMMANDS_END,
};
