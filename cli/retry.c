/* retry.c - `trailctl rejected retry`: rejected records are published again, and accounted for once.
 *
 * One after the other to raw.<region>, bytes, key and content type as they came, and when; with each goes a note into
 * rejected.<region>, in the same transaction. So a record is either noted and published again, or neither, whenever
 * this is stopped. Two who retry at the same time: the transactional id is a fence, taken before the notes are read,
 * and the older one's transaction fails.
 */
#include <stdio.h>

#include "cli/rejects.h"

#define TRANSACTION_MS 60000 /* Kafka gives it up then */
#define BATCH_RECORDS  1000
#define BATCH_BYTES    (8 << 20) /* far less than a producer's queue holds */
#define BATCH_S        3         /* few records among many that were not chosen */
#define SAY_S          3
#define ROOM           4096 /* for headers */

struct retry {
    struct deployment deployment;
    struct rejects rejects;
    struct topic_name raw;
    struct bus_producer *producer;
    struct reject_scan *scans; /* one a partition; `found` becomes what is to be published */
    bool again;                /* those too that were published again before */
    uint64_t chosen, left_out, published;
    int64_t said_s; /* how far it is */
    struct {
        uint64_t records;
        size_t bytes;
        int64_t begun_s;
    } batch; /* the transaction that is open */
};

static void retry_close(struct retry *retry)
{
    if (retry->batch.records) /* the next one would wait for it otherwise */
        (void)!bus_abort(retry->producer, BUS_CALL_TIMEOUT_MS, NULL);
    bus_producer_close(retry->producer);
    for (int32_t i = 0; retry->scans && i < retry->rejects.partitions; i++)
        reject_scan_done(&retry->scans[i]);
    free(retry->scans);
    rejects_close(&retry->rejects);
    deployment_close(&retry->deployment);
}

static void auto_retry_close(struct retry *retry)
{
    retry_close(retry);
}

/* ---- choosing ---------------------------------------------------------------------------------- */

static int choose_by_filter(struct retry *retry, const struct reject_filter *filter,
                            struct why *reterr_why)
{
    int r = 0;

    for (int32_t p = 0; p < retry->rejects.partitions && r == 0; p++) {
        struct reject_scan *scan = &retry->scans[p];
        size_t found;

        r = rejects_scan(&retry->rejects, p, 0, filter, scan, reterr_why);
        found = scan->found.count;
        if (!retry->again)
            offsets_subtract(&scan->found, &scan->retried);
        retry->left_out += found - scan->found.count;
    }
    return r;
}

static int check_named(const struct retry *retry, int32_t partition, const struct offsets *named,
                       struct why *reterr_why)
{
    const struct reject_scan *scan = &retry->scans[partition];

    for (size_t i = 0; i < named->count; i++) {
        char id[REJECT_ID_SIZE];

        reject_id_format(&retry->rejects.topic, partition, named->at[i], id);
        if (!offsets_has(&scan->found, named->at[i]))
            return why_set(reterr_why, -ERR_NOT_FOUND, REJECT_MISSING, id);
        if (!retry->again && offsets_has(&scan->retried, named->at[i]))
            return why_set(reterr_why, -ERR_EXISTS,
                           "%s was published again before; --again does it once more", id);
    }
    return 0;
}

/* Nothing is published unless all that are named can be. Takes `named`. */
static int choose_named(struct retry *retry, int32_t partition, struct offsets *named,
                        struct why *reterr_why)
{
    struct reject_scan *scan = &retry->scans[partition];
    int r;

    offsets_sort(named);
    if (named->count == 0)
        return 0;
    r = rejects_scan(&retry->rejects, partition, named->at[0], &REJECT_ANY, scan, reterr_why);
    if (r == 0)
        r = check_named(retry, partition, named, reterr_why);
    offsets_done(&scan->found);
    scan->found = *named;
    *named = (struct offsets){0};
    return r;
}

static int choose_by_name(struct retry *retry, struct cli *cli, struct why *reterr_why)
{
    struct str text;
    struct reject_id id;
    int r = 0;

    for (size_t i = 0; (text = args_word(&cli->args, i)).at; i++)
        if (reject_id_parse(text, &id) && id.partition >= retry->rejects.partitions)
            return why_set(reterr_why, -ERR_NOT_FOUND, REJECT_MISSING, text.at);
    for (int32_t p = 0; p < retry->rejects.partitions && r == 0; p++) {
        struct offsets named = {0};

        for (size_t i = 0; r == 0 && (text = args_word(&cli->args, i)).at; i++)
            if (reject_id_parse(text, &id) && id.partition == p)
                r = offsets_add(&named, id.offset);
        if (r == 0)
            r = choose_named(retry, p, &named, reterr_why);
        offsets_done(&named);
    }
    return r;
}

/* ---- publishing -------------------------------------------------------------------------------- */

static void say_how_far(struct retry *retry)
{
    int64_t now_s = cli_now_s();

    if (now_s < retry->said_s + SAY_S)
        return;
    retry->said_s = now_s;
    (void)fprintf(stderr, "%llu of %llu are published again\n",
                  (unsigned long long)retry->published, (unsigned long long)retry->chosen);
}

static int commit_batch(struct retry *retry, struct why *reterr_why)
{
    uint64_t records = retry->batch.records;
    int r;

    if (records == 0)
        return 0;
    r = deployment_commit(retry->producer, reterr_why);
    if (r == -ERR_FENCED) {
        retry->batch.records = 0;
        return why_set(reterr_why, r, "somebody else retries in this region at the same time");
    }
    if (r < 0)
        return r;
    retry->batch.records = 0;
    retry->published += records;
    say_how_far(retry);
    return 0;
}

/* As it came, and when: by that the normalizer tells it from another that is the same. Too large a record to be an event
 * may just fit into raw: not one byte more, then. */
static int write_raw(struct retry *retry, const struct bus_record *record)
{
    static const char *const kept[] = {HEADER_CONTENT_TYPE, HEADER_RECEIVED};
    bool roomy = record->key.len + record->value.len + ROOM <
                 (size_t)topic_settings(TOPIC_RAW)->record_bytes_max;
    struct bus_header headers[ARRAY_LEN(kept)];
    size_t count = 0;

    for (size_t i = 0; i < (roomy ? ARRAY_LEN(kept) : 1); i++) {
        headers[count].name = kept[i];
        count += bus_record_header(record, kept[i], &headers[count].value);
    }
    return bus_producer_write(retry->producer, retry->raw.text, BUS_BY_KEY, record->key,
                              record->tombstone ? STR_NONE : record->value, headers, count, NULL);
}

static int write_both(struct retry *retry, const struct bus_record *record)
{
    struct bus_header note = {HEADER_RETRIED, STR("")};
    char id[REJECT_ID_SIZE];
    int r = write_raw(retry, record);

    if (r < 0)
        return r;
    reject_id_format(&retry->rejects.topic, record->partition, record->offset, id);
    note.value = str_from(id);
    return bus_producer_write(retry->producer, retry->rejects.topic.text, record->partition,
                              record->key, STR(""), &note, 1, NULL);
}

struct publishing {
    struct retry *retry;
    struct why *why;
};

static int publish_record(void *arg, const struct bus_record *record)
{
    const struct publishing *publishing = arg;
    struct retry *retry = publishing->retry;
    int r = 0;

    if (retry->batch.records == 0) {
        r = bus_begin(retry->producer, publishing->why);
        retry->batch.begun_s = cli_now_s();
        retry->batch.bytes = 0;
    }
    if (r < 0)
        return r;
    retry->batch.records++;
    retry->batch.bytes += record->value.len;
    r = write_both(retry, record);
    if (r < 0)
        return why_set(publishing->why, r, "cannot write to %s", retry->raw.text);
    if (retry->batch.records < BATCH_RECORDS && retry->batch.bytes < BATCH_BYTES &&
        cli_now_s() < retry->batch.begun_s + BATCH_S)
        return 0;
    return commit_batch(retry, publishing->why);
}

static int publish(struct retry *retry, struct why *reterr_why)
{
    struct publishing publishing = {retry, reterr_why};
    int r = 0;

    retry->said_s = cli_now_s();
    for (int32_t p = 0; p < retry->rejects.partitions && r == 0; p++) {
        r = rejects_read(&retry->rejects, p, &retry->scans[p].found, publish_record, &publishing,
                         reterr_why);
        if (r == 0) /* the next partition's records may be far behind others */
            r = commit_batch(retry, reterr_why);
    }
    return r;
}

/* ---- the command ------------------------------------------------------------------------------- */

/* The region: of the names, which must all be of one, or as the options say. */
static int choose_region(struct cli *cli, const struct deployment *deployment, struct str *ret,
                         struct why *reterr_why)
{
    struct str text;
    struct reject_id id;
    int r = rejects_region(cli, deployment, ret, reterr_why);

    for (size_t i = 0; r == 0 && (text = args_word(&cli->args, i)).at; i++) {
        if (!reject_id_parse(text, &id))
            r = cli_misused(cli, reterr_why, REJECT_ID_WRONG, text.at);
        else if ((i > 0 || args_has(&cli->args, "region")) && !str_eq(id.region, *ret))
            r = cli_misused(cli, reterr_why, "all records must be of one region");
        *ret = id.region;
    }
    return r;
}

static int retry_open(struct cli *cli, struct retry *retry, struct why *reterr_why)
{
    AUTO_BUF struct buf fence = {0};
    struct str region;
    int32_t partitions;
    int r = deployment_open(cli, &retry->deployment, reterr_why);

    if (r == 0)
        r = choose_region(cli, &retry->deployment, &region, reterr_why);
    if (r == 0)
        r = rejects_open(&retry->deployment, region, &retry->rejects, reterr_why);
    if (r < 0)
        return r;
    retry->raw = topic_name(TOPIC_RAW, region);
    r = bus_admin_partitions(retry->rejects.admin, retry->raw.text, &partitions, reterr_why);
    if (r < 0)
        return r;
    retry->scans = calloc((size_t)retry->rejects.partitions, sizeof(*retry->scans));
    if (!retry->scans)
        return -ERR_NOMEM;
    if (args_has(&cli->args, "dry-run"))
        return 0;
    buf_init(&fence, 128);
    buf_addf(&fence, "trailbus-retry." STR_FMT, STR_ARG(region));
    return deployment_fence(&retry->deployment, buf_cstr(&fence), TRANSACTION_MS, &retry->producer,
                            reterr_why);
}

static bool chooses(const struct cli *cli)
{
    static const char *const options[] = {"reason", "account", "since", "until", "all"};

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (args_has(&cli->args, options[i]))
            return true;
    return false;
}

static void report(const struct retry *retry, bool dry)
{
    printf("%llu of %llu records %s published again to %s\n",
           (unsigned long long)(dry ? retry->chosen : retry->published),
           (unsigned long long)retry->chosen, dry ? "would be" : "were", retry->raw.text);
    if (retry->left_out)
        printf("%llu more were before; --again does it once more\n",
               (unsigned long long)retry->left_out);
}

static int rejected_retry(struct cli *cli, struct why *reterr_why)
{
    __attribute__((cleanup(auto_retry_close))) struct retry retry = {
        .again = args_has(&cli->args, "again")};
    bool named = args_word_count(&cli->args) > 0, dry = args_has(&cli->args, "dry-run");
    struct reject_filter filter;
    int r;

    if (named == chooses(cli))
        return cli_misused(cli, reterr_why,
                           "name the records, or choose them by --reason, --account, --since, "
                           "--until or --all");
    r = rejects_filter(cli, &filter, reterr_why);
    if (r == 0)
        r = retry_open(cli, &retry, reterr_why);
    if (r == 0)
        r = named ? choose_by_name(&retry, cli, reterr_why)
                  : choose_by_filter(&retry, &filter, reterr_why);
    if (r < 0)
        return r;
    for (int32_t p = 0; p < retry.rejects.partitions; p++)
        retry.chosen += retry.scans[p].found.count;
    if (!dry)
        r = publish(&retry, reterr_why);
    report(&retry, dry);
    return r;
}

static const struct arg_option retry_options[] = {
    REJECT_FILTER_OPTIONS,
    {"all", NULL, "all that were not published again", false},
    {"again", NULL, "those too that were published again before", false},
    {"dry-run", NULL, "say how many, and do nothing", false},
    ARG_OPTIONS_END,
};

const struct command retry_commands[] = {
    {"rejected retry", "[ID]…", 0, ARGS_GIVEN_MAX, "publishes rejected records again",
     "Once what made them useless is mended. The bytes go to raw.<region> with their key and "
     "content type, as if their service had sent them again, and are normalized, or rejected once "
     "more. In the same transaction each is noted in rejected.<region>: `rejected list` and later "
     "retries leave it out. Stopped or failed, run it again: it goes on with the rest.",
     retry_options, rejected_retry},
    COMMANDS_END,
};
