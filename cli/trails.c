/* trails.c - `trailctl trail …`: the trail operations of the API, and its answers in words. */
#include <stdio.h>

#include "cli/api_client.h"
#include "cli/deployment.h"
#include "cli/output.h"
#include "cli/watched.h"
#include "jsondoc/jsondoc.h"
#include "state/state.h"

/* ---- changes ----------------------------------------------------------------------------------- */

/* Options of create and update, by the parameters that they become. */
static const char *const settings_params[][2] = {
    {"bucket", "OssBucketName"},
    {"prefix", "OssKeyPrefix"},
    {"regions", "TrailRegion"},
    {"events", "EventRW"},
};

static size_t add_settings(struct cli *cli, struct api_params *params)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(settings_params); i++) {
        struct str value;

        if (!args_value(&cli->args, settings_params[i][0], 0, &value))
            continue;
        api_param(params, settings_params[i][1], value);
        count++;
    }
    return count;
}

/* Calls `action` with the trail's name and what `params` has; `force`: NULL, or the master key. */
static int change_with(struct cli *cli, const char *action, struct api_params *params,
                       const struct crypto_key *force, struct why *reterr_why)
{
    AUTO_API struct api api = {0};
    struct str body;
    int r = api_open(cli, &api, reterr_why);

    if (r < 0)
        return r;
    api.force = force;
    api_param(params, "Name", args_word(&cli->args, 0));
    return api_call(&api, action, params, &body, reterr_why);
}

static int change(struct cli *cli, const char *action, struct api_params *params,
                  struct why *reterr_why)
{
    return change_with(cli, action, params, NULL, reterr_why);
}

/* A change that may deliver less: with --force, and the master key, it does not depend on what has to pass before. */
static int narrow(struct cli *cli, const char *action, struct api_params *params,
                  struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    struct crypto_key master = {0};
    int r;

    if (!args_has(&cli->args, "force"))
        return change(cli, action, params, reterr_why);
    r = deployment_open(cli, &deployment, reterr_why);
    if (r == 0)
        r = deployment_master_key(&deployment, &master, reterr_why);
    if (r == 0)
        r = change_with(cli, action, params, &master, reterr_why);
    crypto_wipe(&master, sizeof(master));
    if (r == 0)
        (void)fprintf(stderr, "forced: what was logged before and is still on its way may never be "
                              "delivered; LookupEvents will show it\n");
    return r;
}

static int trail_create(struct cli *cli, struct why *reterr_why)
{
    struct str name = args_word(&cli->args, 0);
    struct api_params params = {0};
    int r;

    if (!args_has(&cli->args, "bucket"))
        return cli_misused(cli, reterr_why, "a trail needs --bucket BUCKET");
    (void)add_settings(cli, &params);
    r = change(cli, "CreateTrail", &params, reterr_why);
    if (r == 0)
        printf("%s is created; `trailctl trail start %s` begins to deliver\n", name.at, name.at);
    return r;
}

static int trail_update(struct cli *cli, struct why *reterr_why)
{
    struct api_params params = {0};
    int r;

    if (add_settings(cli, &params) == 0)
        return cli_misused(cli, reterr_why, "it needs at least one option that says what changes");
    r = narrow(cli, "UpdateTrail", &params, reterr_why);
    if (r == 0)
        printf("%s is changed, for what happens from now on\n", args_word(&cli->args, 0).at);
    return r;
}

static int trail_delete(struct cli *cli, struct why *reterr_why)
{
    int r = narrow(cli, "DeleteTrail", &(struct api_params){0}, reterr_why);

    if (r == 0)
        printf("%s is deleted; what it delivered stays\n", args_word(&cli->args, 0).at);
    return r;
}

static int trail_start(struct cli *cli, struct why *reterr_why)
{
    int r = change(cli, "StartLogging", &(struct api_params){0}, reterr_why);

    if (r == 0)
        printf("%s delivers what happens from now on\n", args_word(&cli->args, 0).at);
    return r;
}

static int trail_stop(struct cli *cli, struct why *reterr_why)
{
    int r = narrow(cli, "StopLogging", &(struct api_params){0}, reterr_why);

    if (r == 0)
        printf("%s is stopped; what happened before is still delivered\n",
               args_word(&cli->args, 0).at);
    return r;
}

/* ---- looking ----------------------------------------------------------------------------------- */

static int ask(struct api *api, const char *action, struct api_params *params, struct jsondoc **ret,
               struct why *reterr_why)
{
    struct str body;
    int r = api_call(api, action, params, &body, reterr_why);

    return r < 0 ? r : jsondoc_parse(body, ret, reterr_why);
}

static struct str member(const struct jsondoc *doc, const char *name)
{
    return jsondoc_str_or(doc, name, STR(""));
}

static const char *status_word(struct str status)
{
    if (str_eq(status, STR("Enable")))
        return "on";
    return str_eq(status, STR("Disable")) ? "stopped" : "not started";
}

static int print_trail_documents(const struct jsondoc *list)
{
    int r = 0;

    for (size_t i = 0; i < jsondoc_len(list) && r == 0; i++)
        r = output_json(jsondoc_at(list, i));
    return r;
}

static int trail_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_API struct api api = {0};
    AUTO(jsondoc_free) struct jsondoc *answer = NULL;
    const struct jsondoc *list;
    struct output output = {0};
    int r = api_open(cli, &api, reterr_why);

    if (r == 0)
        r = ask(&api, "DescribeTrails", &(struct api_params){0}, &answer, reterr_why);
    if (r < 0)
        return r;
    list = jsondoc_get(answer, "TrailList");
    if (!list || !jsondoc_is_array(list))
        return why_set(reterr_why, -ERR_INVALID, "the API's answer has no TrailList");
    if (args_has(&cli->args, "json"))
        return print_trail_documents(list);
    output_begin(&output, (const struct output_column[]){{"Name", "NAME", 24},
                                                         {"Status", "STATE", 11},
                                                         {"EventRW", "EVENTS", 6},
                                                         {"HomeRegion", "HOME", 14},
                                                         {"TrailRegion", "REGIONS", 14},
                                                         {"Bucket", "BUCKET/PREFIX", 0},
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; i < jsondoc_len(list); i++) {
        const struct jsondoc *t = jsondoc_at(list, i);
        struct str bucket = member(t, "OssBucketName"), prefix = member(t, "OssKeyPrefix");
        char place[256];

        (void)snprintf(place, sizeof(place), STR_FMT "/" STR_FMT, STR_ARG(bucket), STR_ARG(prefix));
        output_row(&output, (const struct str[]){member(t, "Name"),
                                                 str_from(status_word(member(t, "Status"))),
                                                 member(t, "EventRW"), member(t, "HomeRegion"),
                                                 member(t, "TrailRegion"), str_from(place)});
    }
    if (output.rows == 0)
        (void)fprintf(stderr,
                      "no trails; `trailctl trail create NAME --bucket BUCKET` makes one\n");
    return output.error;
}

static void print_line(const char *what, struct str text)
{
    AUTO_BUF struct buf clean = {0};

    buf_init(&clean, 4096);
    output_clean(text, 1000, &clean);
    printf("  %-15s %s\n", what, buf_cstr(&clean));
}

/* What GetTrailStatus says of deliveries, and what it means. */
static void print_deliveries(const struct jsondoc *status)
{
    struct str delivered = member(status, "LatestDeliveryTime"),
               error = member(status, "LatestDeliveryError");

    if (!jsondoc_get(status, "OssBucketStatus")) {
        print_line("trouble", STR("Redis is away: how deliveries go is not known"));
        return;
    }
    print_line("last delivery", delivered.len ? delivered : STR("none yet in this region"));
    if (!error.len)
        return;
    print_line("trouble", error);
    print_line(
        "",
        STR("nothing is lost while Kafka keeps the events: deliveries go on when the bucket can "
            "be written again"));
}

static void print_status(const struct jsondoc *trail, const struct jsondoc *status)
{
    struct str name = member(trail, "Name"), state = member(trail, "Status"),
               events = member(trail, "EventRW");

    printf(STR_FMT "\n", STR_ARG(name));
    if (str_eq(state, STR("Enable")))
        printf("  %-15s delivers since " STR_FMT "\n", "state",
               STR_ARG(member(status, "StartLoggingTime")));
    else if (str_eq(state, STR("Disable")))
        printf("  %-15s stopped since " STR_FMT ": nothing that happened later is delivered\n",
               "state", STR_ARG(member(status, "StopLoggingTime")));
    else
        printf("  %-15s never started: `trailctl trail start " STR_FMT "` begins\n", "state",
               STR_ARG(name));
    print_line("events", str_eq(events, STR("All")) ? STR("All: reads and writes") : events);
    print_line("regions", member(trail, "TrailRegion"));
    printf("  %-15s s3://" STR_FMT "/" STR_FMT "\n", "to", STR_ARG(member(trail, "OssBucketName")),
           STR_ARG(member(trail, "OssKeyPrefix")));
    print_deliveries(status);
}

/* "acs:actiontrail:<region>:<account>:trail/<name>" */
static bool account_of(struct str arn, struct str *ret)
{
    for (int i = 0; i < 4; i++)
        if (!str_split(&arn, ':', ret))
            return false;
    return true;
}

/* Of each region what became of the account's events there; only an operator can read Redis. */
static void print_counts(struct cli *cli, const struct jsondoc *trail)
{
    struct str url = settings_get(&cli->settings, "TRAILBUS_REDIS"), account;
    AUTO(state_close) struct state *state = NULL;
    AUTO(jsondoc_free) struct jsondoc *list = jsondoc_array();
    struct why why = {0};
    int r;

    if (!url.len || !list || !account_of(member(trail, "TrailArn"), &account))
        return;
    r = state_open(url, &state, &why);
    if (r == 0)
        r = watched_trail(state, account, member(trail, "HomeRegion"), member(trail, "Name"), list,
                          &why);
    if (r < 0)
        print_line("counts", STR("Redis does not answer: they are not known"));
    for (size_t i = 0; i < jsondoc_len(list) && r == 0; i++) {
        const struct jsondoc *c = jsondoc_at(list, i);
        int64_t lost = jsondoc_i64_or(c, "lost", 0);

        printf("  %-15s " STR_FMT ": %lld delivered, %lld filtered, %lld waiting", "counts",
               STR_ARG(member(c, "region")), (long long)jsondoc_i64_or(c, "delivered", 0),
               (long long)jsondoc_i64_or(c, "filtered", 0),
               (long long)jsondoc_i64_or(c, "waiting", 0));
        if (lost)
            printf(", %lld offsets lost", (long long)lost);
        printf(" (" STR_FMT ")\n", STR_ARG(member(c, "state")));
    }
}

static int trail_status(struct cli *cli, struct why *reterr_why)
{
    AUTO_API struct api api = {0};
    AUTO(jsondoc_free) struct jsondoc *status = NULL, *trails = NULL;
    struct api_params by_name = {0}, by_list = {0};
    const struct jsondoc *trail;
    struct str name = args_word(&cli->args, 0);
    int r = api_open(cli, &api, reterr_why);

    if (r < 0)
        return r;
    api_param(&by_name, "Name", name);
    api_param(&by_list, "NameList", name);
    api_param(&by_list, "IncludeShadowTrails", STR("true"));
    r = ask(&api, "GetTrailStatus", &by_name, &status, reterr_why);
    if (r == 0 && args_has(&cli->args, "json"))
        return output_json(status);
    if (r == 0)
        r = ask(&api, "DescribeTrails", &by_list, &trails, reterr_why);
    if (r < 0)
        return r;
    trail = jsondoc_at(jsondoc_get(trails, "TrailList"), 0);
    if (!trail)
        return why_set(reterr_why, -ERR_NOT_FOUND, "%s was deleted just now", name.at);
    print_status(trail, status);
    print_counts(cli, trail);
    return 0;
}

/* ---- table ------------------------------------------------------------------------------------- */

#define REGION_OPTION                                                                              \
    {                                                                                              \
        "region", "REGION", "whose API is asked: TRAILBUS_API_<REGION>; else TRAILBUS_API", false  \
    }

#define SETTINGS_OPTIONS                                                                           \
    {"bucket", "BUCKET", "where the objects go", false},                                           \
        {"prefix", "PREFIX", "what their keys begin with; '' for nothing", false},                 \
        {"regions", "REGIONS", "All, or regions separated by commas, whose events are wanted",     \
         false},                                                                                   \
    {                                                                                              \
        "events", "All|Write|Read", "which events are wanted", false                               \
    }
#define FORCE_OPTION                                                                               \
    {                                                                                              \
        "force", NULL, "do it even when what was logged before has not passed", false              \
    }
#define FORCE_HELP                                                                                 \
    "It is refused (ServiceUnavailable) when what was logged before does not pass the "            \
    "normalizers "                                                                                 \
    "and the router within seconds, so that nobody hides an act by changing the trail after it. "  \
    "--force changes it all the same: acts that are still on their way may then be missing from "  \
    "the bucket, though not from LookupEvents. Only who can read the master key of the "           \
    "configuration may; the event of the call says Force."

static const struct arg_option create_options[] = {REGION_OPTION, SETTINGS_OPTIONS,
                                                   ARG_OPTIONS_END};
static const struct arg_option update_options[] = {REGION_OPTION, SETTINGS_OPTIONS, FORCE_OPTION,
                                                   ARG_OPTIONS_END};
static const struct arg_option narrow_options[] = {REGION_OPTION, FORCE_OPTION, ARG_OPTIONS_END};
static const struct arg_option name_options[] = {REGION_OPTION, ARG_OPTIONS_END};
static const struct arg_option look_options[] = {
    REGION_OPTION,
    {"json", NULL, "what the API answers", false},
    ARG_OPTIONS_END,
};

const struct command trail_commands[] = {
    {"trail create", "NAME", 1, 1, "makes a trail; it delivers nothing until it is started",
     "The bucket must be there. Name: 6 to 36 lower-case letters, digits, - and _, a letter first. "
     "Prefix: 6 to 32 letters, digits, -, _ and /, a letter first. Without --regions and --events "
     "all are wanted.",
     create_options, trail_create},
    {"trail update", "NAME", 1, 1, "changes what is given, and leaves the rest",
     "Events logged before the change go where they went before. Does it deliver less, or "
     "elsewhere? " FORCE_HELP,
     update_options, trail_update},
    {"trail delete", "NAME", 1, 1, "deletes a trail, not its objects", FORCE_HELP, narrow_options,
     trail_delete},
    {"trail start", "NAME", 1, 1, "delivers from now on", "", name_options, trail_start},
    {"trail stop", "NAME", 1, 1, "delivers no longer", FORCE_HELP, narrow_options, trail_stop},
    {"trail status", "NAME", 1, 1, "how a trail is, in words",
     "With TRAILBUS_REDIS, as an operator has it, also what became of the account's events in each "
     "region: delivered, filtered (the trail does not want them), waiting (read, and in no object "
     "yet).",
     look_options, trail_status},
    {"trail list", "", 0, 0, "the account's trails of a region", "", look_options, trail_list},
    COMMANDS_END,
};
