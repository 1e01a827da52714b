/* destination.c - `trailctl destination check`: tries a bucket out as delivery will use it, and says in words what is
 * wrong with it and what to do.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/deployment.h"
#include "objects/objects.h"

struct destination_config {
    struct config_groups destinations;
};

static const struct config_section sections[] = {
    SECTION_DESTINATIONS(struct destination_config, destinations),
    SECTIONS_END,
};

static const char *const step_names[] = {
    [OBJECTS_STEP_VERSIONING] = "versioning is off",
    [OBJECTS_STEP_LIST] = "objects are listed",
    [OBJECTS_STEP_WRITE] = "an object is written",
    [OBJECTS_STEP_WRITE_AGAIN] = "overwriting is refused",
    [OBJECTS_STEP_READ] = "an object is read",
};

/* The rights that each step needs, by their names at AWS and Alibaba Cloud. */
static const char *const s3_rights[] = {"", "s3:ListBucket", "s3:PutObject", "s3:PutObject",
                                        "s3:GetObject"};
static const char *const oss_rights[] = {"oss:GetBucketVersioning", "oss:ListObjects",
                                         "oss:PutObject", "oss:PutObject", "oss:GetObject"};

static bool is_dialect(const struct objects_store *store, const char *name)
{
    return strcmp(objects_dialect(store), name) == 0;
}

static void advise_rights(const struct objects_store *store, enum objects_step step,
                          struct buf *out)
{
    if (is_dialect(store, "files"))
        buf_addf(
            out,
            "let the user trailbus read and write the folder (and name it in ReadWritePaths= of "
            "the units of delivery and API, unless it is /var/lib/trailbus/objects)");
    else
        buf_addf(out,
                 "give the key in credentials_file the right %s for the bucket and what is in it",
                 is_dialect(store, "oss") ? oss_rights[step] : s3_rights[step]);
}

static void advise_bucket(const struct objects_store *store, struct buf *out)
{
    buf_addf(out, is_dialect(store, "files")
                      ? "make the folder, for the user trailbus; or correct the bucket's name"
                      : "make the bucket; or correct its name, or the row's endpoint");
}

/* What to do about it. */
static void advise(const struct objects_store *store, const struct objects_probe *probe,
                   struct buf *out)
{
    static const char *const advice[] = {
        [OBJECTS_FAULT_NAME] = "correct the host in the row's endpoint, or the machine's DNS",
        [OBJECTS_FAULT_CONNECT] = "start the store; or correct endpoint, or the firewall between",
        [OBJECTS_FAULT_TRUST] = "put the certificate of the store's authority into ca_file; or use "
                                "http://, if that is what the "
                                "endpoint speaks",
        [OBJECTS_FAULT_SILENT] =
            "see whether the endpoint is the store itself, and no proxy or web page in front of it",
        [OBJECTS_FAULT_TROUBLE] = "wait, or look at the store's own log",
        [OBJECTS_FAULT_CLOCK] =
            "set this machine's clock (chrony, systemd-timesyncd), or the store's",
        [OBJECTS_FAULT_KEYS] = "correct access_key_id and secret_access_key in credentials_file",
        [OBJECTS_FAULT_REGION] = "set the row's region, and endpoint, to those of the bucket",
        [OBJECTS_FAULT_OVERWRITES] = "use a store that honours create-only writes (If-None-Match: "
                                     "* for s3); without, what was "
                                     "delivered twice cannot be told apart",
        [OBJECTS_FAULT_VERSIONING] = "use a new bucket whose versioning was never on: OSS can "
                                     "suspend it, but not take it back",
        [OBJECTS_FAULT_OTHER] = "the words above are the store's own",
    };

    if (probe->fault == OBJECTS_FAULT_RIGHTS)
        advise_rights(store, probe->step, out);
    else if (probe->fault == OBJECTS_FAULT_BUCKET)
        advise_bucket(store, out);
    else
        buf_addf(out, "%s", advice[probe->fault] ? advice[probe->fault] : "");
}

static void print_steps(const struct objects_store *store, enum objects_step until)
{
    int first = is_dialect(store, "oss") ? OBJECTS_STEP_VERSIONING : OBJECTS_STEP_LIST;

    for (int step = first; step <= (int)until && step < OBJECTS_STEP_DONE; step++)
        printf("  %-24s %s\n", step_names[step], step < (int)until ? "yes" : "NO");
}

static int report(const struct objects_store *store, struct str bucket,
                  const struct objects_probe *probe, struct why *reterr_why)
{
    AUTO_BUF struct buf place = {0}, what = {0};

    buf_init(&place, 4096);
    buf_init(&what, 4096);
    objects_destination(store, bucket, &place);
    printf(STR_FMT ", by dialect %s:\n", STR_ARG(buf_str(&place)), objects_dialect(store));
    print_steps(store, probe->step);
    if (probe->outcome == OBJECTS_OK) {
        printf("the bucket " STR_FMT " can be used\n", STR_ARG(bucket));
        return 0;
    }
    advise(store, probe, &what);
    return why_set(reterr_why, -ERR_UNAVAILABLE,
                   "the bucket " STR_FMT " cannot be used now\n  found: %s\n  to do: %s",
                   STR_ARG(bucket), probe->why.text, buf_cstr(&what));
}

static int check(struct cli *cli, struct why *reterr_why)
{
    struct str bucket = args_word(&cli->args, 0), prefix = args_text(&cli->args, "prefix", STR(""));
    AUTO(config_free) struct config *file = NULL;
    AUTO(objects_free) struct objects *objects = NULL;
    struct destination_config config = {0};
    const struct objects_store *store;
    struct objects_probe probe;
    int r;

    r = deployment_load(cli, sections, &config, &file, reterr_why);
    if (r == 0)
        r = objects_open(&config.destinations, &objects, reterr_why);
    if (r < 0)
        return r;
    store = objects_find(objects, bucket);
    if (!store)
        return why_set(reterr_why, -ERR_NOT_FOUND,
                       "no row of `destinations` has a pattern that matches " STR_FMT
                       "\n  to do: add one, or correct the bucket's name",
                       STR_ARG(bucket));
    (void)objects_probe(store, cli_now_s(), bucket, prefix, &probe);
    return report(store, bucket, &probe, reterr_why);
}

static const struct arg_option check_options[] = {
    {"prefix", "PREFIX", "the trail's prefix in the bucket; rights may differ there", false},
    ARG_OPTIONS_END,
};

const struct command destination_commands[] = {
    {"destination check", "BUCKET", 1, 1, "tries a bucket out as delivery would use it",
     "Reads destinations of the configuration, and does what CreateTrail does before it accepts a\n"
     "bucket: lists, writes a small object that stays (PREFIX/AliyunLogs/trailbus-probe), writes "
     "it again,\n"
     "which must be refused, and reads it. Says what is wrong and what to do. Run it as a user who "
     "may\n"
     "read the credentials; docs/DESTINATIONS.md tells more.\n",
     check_options, check},
    COMMANDS_END,
};
