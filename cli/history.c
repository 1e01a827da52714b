/* history.c - `trailctl history rebuild`: the history of a region, put back from the log and from buckets.
 *
 * The history's files have one writer: the command takes the locks of all partitions, which the region's workers hold
 * while they run, and lets them go at its end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/rebuild.h"

struct rebuild_config {
    struct history_section history;
    struct catalog_section catalog;
};

static const struct config_section sections[] = {
    SECTION_HISTORY(struct rebuild_config, history),
    SECTION_CATALOG(struct rebuild_config, catalog),
    SECTIONS_END,
};

/* ---- what both sources do ---------------------------------------------------------------------- */

int rebuild_add(struct rebuild *b, struct rebuild_counts *counts, int32_t partition,
                const struct event *event, struct why *reterr_why)
{
    enum history_restored restored;
    int r = history_restorer_add(b->restorer, partition, event, &restored, reterr_why);

    if (r < 0)
        return r;
    counts->events++;
    counts->restored += restored == HISTORY_RESTORED;
    counts->there += restored == HISTORY_THERE;
    counts->expired += restored == HISTORY_EXPIRED;
    return 0;
}

void rebuild_say(struct rebuild *b, const char *format, ...)
{
    int64_t now_s = cli_now_s();
    va_list args;

    if (now_s < b->say_s && now_s > b->say_s - 2 * REBUILD_SAY_S)
        return;
    va_start(args, format);
    if (b->say_s)
        (void)vfprintf(stderr, format, args);
    va_end(args);
    if (b->say_s)
        (void)fprintf(stderr, "\n");
    b->say_s = now_s + REBUILD_SAY_S;
}

/* ---- what is opened ---------------------------------------------------------------------------- */

static int read_catalog(const struct catalog_section *section, struct catalog **ret,
                        struct why *reterr_why)
{
    AUTO_BUF struct buf overlay = {0};
    int r = catalog_read_file(section, &overlay, reterr_why);

    return r < 0 ? r : catalog_load(buf_str(&overlay), ret, reterr_why);
}

/* Files that root makes, the workers could not write to: so root goes on as who has the folder, or the one that it
 * will lie in. */
static int become_owner(struct str directory, struct why *reterr_why)
{
    struct str parent = directory;
    AUTO_FREE char *path = NULL;
    struct stat st;

    if (geteuid() != 0)
        return 0;
    while (parent.len > 1) {
        free(path);
        path = str_dup(parent);
        if (!path)
            return -ERR_NOMEM;
        if (stat(path, &st) == 0)
            break;
        while (parent.len > 1 && parent.at[--parent.len] != '/')
            ;
    }
    if (parent.len <= 1 || st.st_uid == 0)
        return 0;
    if (setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)
        return why_set(reterr_why, -ERR_CONFIG, "cannot become the owner of %s: %m", path);
    return 0;
}

static int open_topic(struct rebuild *b, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int r = bus_admin_open(&b->deployment->bus, &admin, reterr_why);

    if (r == 0)
        r = deployment_partitions(b->deployment, admin, &b->topic, &b->partitions, reterr_why);
    if (r == 0 && !b->partitions)
        r = why_set(reterr_why, -ERR_NOT_FOUND,
                    "there is no topic %s: is this a region of the configuration, and was "
                    "`trailctl topics apply` run?",
                    b->topic.text);
    return r;
}

static int open_normalizer(struct rebuild *b, const struct catalog *catalog)
{
    struct normalize_settings settings = {.catalog = catalog, .region = b->region};

    b->normalizer = normalizer_new(&settings);
    return b->normalizer ? 0 : -ERR_NOMEM;
}

static int open_restorer(struct rebuild *b, const struct rebuild_config *config,
                         struct why *reterr_why)
{
    struct why why = {0};
    int r = history_restorer_open(config->history.directory.at, b->region, b->partitions, b->now_ms,
                                  b->dry, &b->restorer, &why);

    if (r == -ERR_UNAVAILABLE)
        return why_set(reterr_why, r, "%s: stop the history's workers of " STR_FMT " first",
                       why.text, STR_ARG(b->region));
    return r < 0 ? why_set(reterr_why, r, "%s", why.text) : 0;
}

/* ---- the command ------------------------------------------------------------------------------- */

/* Without a position the worker would begin at the log's start, and would not know what was put back. */
static int check_positions(const struct rebuild *b, struct why *reterr_why)
{
    for (int32_t p = 0; p < b->partitions && !b->dry; p++)
        if (history_restorer_position(b->restorer, p)->next < 0)
            return why_set(reterr_why, -ERR_CONFLICT,
                           "partition %d of %s has no position yet: rebuild from the log first, or "
                           "from both (the default)",
                           p, b->topic.text);
    return 0;
}

static void report(const struct rebuild *b)
{
    int64_t there = b->log.there + b->objects.there, expired = b->log.expired + b->objects.expired;

    printf("%lld events %s, %lld were there already",
           (long long)(b->log.restored + b->objects.restored), b->dry ? "are missing" : "put back",
           (long long)there);
    if (expired)
        printf(", %lld are older than %d days", (long long)expired, HISTORY_DAYS);
    printf("\n");
}

static int verdict(const struct rebuild *b, struct why *reterr_why)
{
    if (!b->refused && !b->unreadable && !b->missing)
        return 0;
    return why_set(reterr_why, -ERR_CONFLICT,
                   "objects named above: %lld refused, %lld not read, %lld gaps; all others were "
                   "taken",
                   (long long)b->refused, (long long)b->unreadable, (long long)b->missing);
}

static int run_sources(struct cli *cli, struct rebuild *b, struct why *reterr_why)
{
    bool log = args_has(&cli->args, "from-log"), objects = args_has(&cli->args, "from-objects");
    int r = 0;

    if (log || !objects)
        r = rebuild_from_log(b, reterr_why);
    if (r == 0 && (objects || !log))
        r = check_positions(b, reterr_why);
    if (r == 0 && (objects || !log))
        r = rebuild_from_objects(b, args_text(&cli->args, "bucket", STR("")),
                                 args_text(&cli->args, "prefix", STR("")), reterr_why);
    if (r < 0)
        return r;
    report(b);
    return verdict(b, reterr_why);
}

static int open_and_run(struct cli *cli, struct rebuild *b, const struct rebuild_config *config,
                        struct why *reterr_why)
{
    AUTO(catalog_free) struct catalog *catalog = NULL;
    AUTO_STORES struct stores stores = {0};
    AUTO(control_free) struct control *control = NULL;
    int r;

    if ((r = read_catalog(&config->catalog, &catalog, reterr_why)) < 0 ||
        (r = stores_open(cli, b->deployment, &stores, reterr_why)) < 0 ||
        (r = become_owner(config->history.directory, reterr_why)) < 0 ||
        (r = open_topic(b, reterr_why)) < 0 ||
        (r = control_view(b->deployment, &control, reterr_why)) < 0 ||
        (r = open_normalizer(b, catalog)) < 0 || (r = open_restorer(b, config, reterr_why)) < 0)
        return r;
    b->store = &stores.calls;
    b->control = control;
    if (control_generation(control, str_from(b->topic.text)).len == 0)
        return why_set(reterr_why, -ERR_CONFIG,
                       "control knows no generation of %s: run `trailctl topics apply`",
                       b->topic.text);
    return run_sources(cli, b, reterr_why);
}

static int history_rebuild(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(config_free) struct config *file = NULL;
    struct rebuild_config config = {0};
    struct rebuild b = {.deployment = &deployment,
                        .dry = args_has(&cli->args, "dry-run"),
                        .now_ms = cli_now_s() * 1000};
    int r;

    if (!args_has(&cli->args, "region"))
        return cli_misused(cli, reterr_why, "it needs --region");
    b.region = args_text(&cli->args, "region", STR(""));
    if (!region_valid(b.region))
        return cli_misused(cli, reterr_why, "\"" STR_FMT "\" is no region", STR_ARG(b.region));
    if (args_has(&cli->args, "prefix") && !args_has(&cli->args, "bucket"))
        return cli_misused(cli, reterr_why, "--prefix needs --bucket");
    r = deployment_open(cli, &deployment, reterr_why);
    if (r == 0)
        r = deployment_load(cli, sections, &config, &file, reterr_why);
    if (r < 0)
        return r;
    b.topic = topic_name(TOPIC_EVENTS, b.region);
    b.storage_region = topology_storage_region(&deployment.config.topology);
    r = open_and_run(cli, &b, &config, reterr_why);
    history_restorer_close(b.restorer);
    normalizer_free(b.normalizer);
    return r;
}

static const struct arg_option rebuild_options[] = {
    {"region", "REGION", "whose history (needed)", false},
    {"from-log", NULL, "from the log only", false},
    {"from-objects", NULL, "from delivered objects only", false},
    {"bucket", "BUCKET",
     "of the objects those in this bucket; else those of all trails that are known", false},
    {"prefix", "PREFIX", "... below this prefix", false},
    {"dry-run", NULL, "read and verify all of it, say what is missing, and write nothing", false},
    ARG_OPTIONS_END,
};

const struct command history_commands[] = {
    {"history rebuild", "", 0, 0, "puts back what the history of a region has lost",
     "First from the log, as far as it is retained, then from delivered objects of up to 90 days; "
     "each event once, whatever of it is there already. Run it on the machine of the history's "
     "folder, while the history's workers of the region are stopped: the files have one writer. "
     "Queries go on meanwhile. It may be stopped and run again at any time.\n"
     "An object counts only if its metadata is signed by this deployment and its bytes are those "
     "that were signed. What was tampered with is named and left out, everything else is taken; "
     "the exit code is 1 then. Objects have what trails recorded: events that no trail wanted, "
     "and that left the log, are lost. Global events come back where they are kept (the region "
     "topology.global_storage_region), from the folders of all regions.",
     rebuild_options, history_rebuild},
    COMMANDS_END,
};
