/* topics.c - `trailctl topics apply`: every topic of the configured regions is there, with a generation.
 *
 * A generation tells one life of a topic from the next one of the same name: offsets count anew there, so
 * whoever keeps offsets keeps the generation with them. It is written once a life. A crash between making a
 * topic and writing its generation must not leave the old one behind; hence:
 *
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
    bool created, numbered;
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
    control_topic_record(str_from(plan->name.text), STR(""), &key, &value);
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
    control_topic_record(str_from(plan->name.text), str_from(generation), &key, &value);
    if (buf_error(&key) || buf_error(&value))
        return -ERR_NOMEM;
    return control_pen_write(pen, buf_str(&key), buf_str(&value), reterr_why);
}

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
    size_t created = 0, numbered = 0;

    for (size_t i = 0; i < plans->count; i++) {
        const struct plan *p = &plans->at[i];
        bool other = p->partitions != partitions && !topic_settings(p->kind)->compacted;

        created += p->created;
        numbered += p->numbered && !p->created;
        printf("%-32s %-10s %d partition%s%s%s\n", p->name.text,
               p->created    ? "created"
               : p->numbered ? "numbered"
                             : "unchanged",
               p->partitions, p->partitions == 1 ? "" : "s",
               p->numbered && !p->created ? "; it was there, and has a generation now" : "",
               other ? "; the configuration has another number, which only new topics take" : "");
    }
    printf("%zu topics: %zu created, %zu numbered, %zu unchanged\n", plans->count, created,
           numbered, plans->count - created - numbered);
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
        r = apply(pen, admin, &deployment.config.topology, &plans, reterr_why);
    if (r == 0)
        print_plans(&plans, deployment.config.topology.partitions);
    return r;
}

static const struct arg_option no_options[] = {ARG_OPTIONS_END};

const struct command topics_commands[] = {
    {"topics apply", "", 0, 0, "creates the topics of the configured regions, or checks them",
     "\nReads bus and topology of the configuration. What is there stays as it is; run it again "
     "after a\n"
     "region was added. A topic that was deleted and is made anew gets a new generation, so that "
     "nobody\n"
     "goes on with offsets of the old one.\n",
     no_options, topics_apply},
    COMMANDS_END,
};
