/* rejected.c - `trailctl rejected list|show`: what the normalizer could not use, and why.
 *
 * The newest records of rejected.<region>, over all partitions. Offsets count markers of transactions, too, so
 * how far back to begin is tried: further and further, until there are enough.
 */
#include <stdio.h>

#include "cli/output.h"
#include "cli/rejects.h"
#include "cli/times.h"
#include "jsondoc/jsondoc.h"

#define LIMIT_MAX     10000
#define FIRST_STEP    4  /* offsets looked at for each record wanted, at first */
#define STEP_GROWTH   8  /* and so many times more at each further try */
#define SHOWN_BYTES   96 /* of a record, to people */
#define JSON_BYTES    1024
#define TEXT_SIZE_MAX 512 /* of a header */

struct rejected {
    char id[REJECT_ID_SIZE], reason[64], why[TEXT_SIZE_MAX], origin[256], type[128], account[128];
    int64_t received_ms, time_ms, offset;
    int32_t partition;
    bool retried;
    size_t size;
    char first[JSON_BYTES];
    size_t first_len;
};

static void copy_text(char *to, size_t size, struct str text)
{
    size_t len = MIN_OF(text.len, size - 1);

    memcpy(to, text.at ? text.at : "", len);
    to[len] = '\0';
}

static void copy_header(const struct bus_record *record, const char *name, char *to, size_t size)
{
    struct str text = STR("");

    (void)bus_record_header(record, name, &text);
    copy_text(to, size, text);
}

static void describe(const struct rejects *rejects, const struct bus_record *record,
                     struct rejected *ret)
{
    *ret = (struct rejected){.received_ms = reject_received_ms(record),
                             .time_ms = record->time_ms,
                             .offset = record->offset,
                             .partition = record->partition,
                             .size = record->value.len,
                             .first_len = MIN_OF(record->value.len, (size_t)JSON_BYTES)};
    reject_id_format(&rejects->topic, record->partition, record->offset, ret->id);
    copy_header(record, HEADER_REASON, ret->reason, sizeof(ret->reason));
    copy_header(record, HEADER_WHY, ret->why, sizeof(ret->why));
    copy_header(record, HEADER_ORIGIN, ret->origin, sizeof(ret->origin));
    copy_header(record, HEADER_CONTENT_TYPE, ret->type, sizeof(ret->type));
    copy_text(ret->account, sizeof(ret->account), record->key);
    memcpy(ret->first, record->value.at ? record->value.at : "", ret->first_len);
}

/* ---- a choice, as the options say ---------------------------------------------------------------- */

int rejects_region(struct cli *cli, const struct deployment *deployment, struct str *ret,
                   struct why *reterr_why)
{
    *ret = args_text(&cli->args, "region", deployment->config.topology.regions.at[0]);
    return region_valid(*ret)
               ? 0
               : cli_misused(cli, reterr_why, "\"" STR_FMT "\" is no region, as cn-hangzhou is",
                             STR_ARG(*ret));
}

static int read_time(struct cli *cli, const char *option, int64_t *ret_ms, struct why *reterr_why)
{
    struct str text;
    int64_t s;

    if (!args_value(&cli->args, option, 0, &text))
        return 0;
    if (!times_parse(text, cli_now_s(), &s))
        return cli_misused(cli, reterr_why,
                           "--%s must be a time: 2026-11-23T08:00:00Z, 2026-11-23, now or -2h",
                           option);
    *ret_ms = s * 1000;
    return 0;
}

int rejects_filter(struct cli *cli, struct reject_filter *ret, struct why *reterr_why)
{
    int r;

    *ret = REJECT_ANY;
    ret->reason = args_text(&cli->args, "reason", STR_NONE);
    ret->account = args_text(&cli->args, "account", STR_NONE);
    r = read_time(cli, "since", &ret->since_ms, reterr_why);
    return r < 0 ? r : read_time(cli, "until", &ret->until_ms, reterr_why);
}

/* ---- the newest ---------------------------------------------------------------------------------- */

/* `found` has room for twice `limit`: what is kept, and a partition's. */
struct listing {
    const struct rejects *rejects;
    struct reject_filter filter;
    bool all; /* those too that were published again */
    size_t limit, count;
    struct rejected *found;
    const struct reject_scan *scan;
};

static int take_record(void *arg, const struct bus_record *record)
{
    struct listing *l = arg;
    struct rejected *one = &l->found[l->count++];

    describe(l->rejects, record, one);
    one->retried = offsets_has(&l->scan->retried, record->offset);
    return 0;
}

/* The newest of a partition, in scan->found. */
static int look_back(const struct listing *l, int32_t partition, struct reject_scan *scan,
                     struct why *reterr_why)
{
    const struct rejects *rejects = l->rejects;
    int64_t low, high, step = (int64_t)l->limit * FIRST_STEP;
    int r = bus_admin_watermarks(rejects->admin, rejects->topic.text, partition, &low, &high,
                                 reterr_why);

    for (; r == 0; step = MIN_OF(step * STEP_GROWTH, high - low)) {
        int64_t from = MAX_OF(low, high - step);

        r = rejects_scan(rejects, partition, from, &l->filter, scan, reterr_why);
        if (!l->all)
            offsets_subtract(&scan->found, &scan->retried);
        if (scan->found.count >= l->limit || from == low)
            break;
    }
    offsets_newest(&scan->found, l->limit);
    return r;
}

static int newer_first(const void *a, const void *b)
{
    const struct rejected *x = a, *y = b;

    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? 1 : -1;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->offset < y->offset ? 1 : x->offset > y->offset ? -1 : 0;
}

static int list_newest(struct listing *l, struct why *reterr_why)
{
    struct reject_scan scan = {0};
    int r = 0;

    l->scan = &scan;
    for (int32_t i = 0; i < l->rejects->partitions && r == 0; i++) {
        r = look_back(l, i, &scan, reterr_why);
        if (r == 0)
            r = rejects_read(l->rejects, i, &scan.found, take_record, l, reterr_why);
        qsort(l->found, l->count, sizeof(*l->found), newer_first);
        l->count = MIN_OF(l->count, l->limit);
    }
    reject_scan_done(&scan);
    l->scan = NULL;
    return r;
}

/* ---- printing ---------------------------------------------------------------------------------- */

static void format_ms(int64_t ms, char ret[TIME_TEXT_SIZE])
{
    time_format(ms / 1000, ret);
}

/* Avro holds its texts as they are: those are shown, and a dot for whatever lies between them. */
static void show_bytes(struct str bytes, struct buf *out)
{
    bool dotted = false;

    if (str_is_utf8(bytes)) {
        output_clean(bytes, SHOWN_BYTES, out);
        return;
    }
    for (size_t i = 0; i < bytes.len && out->len < SHOWN_BYTES; i++) {
        bool readable = bytes.at[i] >= 0x20 && bytes.at[i] < 0x7f;

        if (readable || !dotted)
            buf_add_byte(out, readable ? bytes.at[i] : '.');
        dotted = !readable;
    }
}

static void print_for_people(const struct rejected *one)
{
    AUTO_BUF struct buf why = {0}, first = {0};
    char received[TIME_TEXT_SIZE];

    buf_init(&why, 4096);
    buf_init(&first, 4096);
    output_clean(str_from(one->why), TEXT_SIZE_MAX, &why);
    show_bytes(str_of(one->first, one->first_len), &first);
    format_ms(one->received_ms, received);
    printf("%s  %s: %s\n    %s%s\n    from %s, %zu bytes: %s\n", received, one->reason,
           buf_cstr(&why), one->id, one->retried ? " (published again)" : "", one->origin,
           one->size, buf_cstr(&first));
}

/* `bytes`: of the record, as the member of this name. */
static int print_json(const struct rejected *one, const char *member, struct str bytes)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    AUTO_BUF struct buf base64 = {0}, why = {0};
    char time[TIME_TEXT_SIZE], received[TIME_TEXT_SIZE];

    if (!doc)
        return -ERR_NOMEM;
    buf_init(&base64, bytes.len * 2 + 16);
    buf_init(&why, 4096);
    format_ms(one->time_ms, time);
    format_ms(one->received_ms, received);
    output_clean(str_from(one->why), TEXT_SIZE_MAX, &why);
    buf_add_base64(&base64, bytes.at, bytes.len);
    (void)jsondoc_set_str(doc, "id", str_from(one->id));
    (void)jsondoc_set_str(doc, "reason", str_from(one->reason));
    (void)jsondoc_set_str(doc, "why", buf_str(&why));
    (void)jsondoc_set_str(doc, "origin", str_from(one->origin));
    (void)jsondoc_set_str(doc, "contentType", str_from(one->type));
    (void)jsondoc_set_str(doc, "key", str_from(one->account)); /* refused unless UTF-8 */
    (void)jsondoc_set_str(doc, "received", str_from(received));
    (void)jsondoc_set_str(doc, "time", str_from(time));
    (void)jsondoc_set_i64(doc, "partition", one->partition);
    (void)jsondoc_set_i64(doc, "offset", one->offset);
    (void)jsondoc_set_i64(doc, "size", (int64_t)one->size);
    if (one->retried)
        (void)jsondoc_set_bool(doc, "retried", true);
    (void)jsondoc_set_str(doc, member, buf_str(&base64));
    return buf_error(&base64) ? buf_error(&base64) : output_json(doc);
}

/* ---- commands ---------------------------------------------------------------------------------- */

static int print_all(struct cli *cli, const struct listing *l)
{
    int r = 0;

    for (size_t i = 0; i < l->count && r == 0; i++) {
        const struct rejected *one = &l->found[i];

        if (args_has(&cli->args, "json"))
            r = print_json(one, "firstBytesBase64", str_of(one->first, one->first_len));
        else
            print_for_people(one);
    }
    if (l->count == 0)
        (void)fprintf(stderr, "nothing was rejected in %s%s\n", l->rejects->topic.text,
                      l->all ? "" : " that was not published again");
    return r;
}

static int rejected_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO_REJECTS struct rejects rejects = {0};
    AUTO_FREE struct rejected *found = NULL;
    struct listing listing = {.rejects = &rejects, .all = args_has(&cli->args, "retried")};
    struct str region;
    int64_t limit;
    int r;

    if (args_number(&cli->args, "limit", 20, 1, LIMIT_MAX, &limit, reterr_why) < 0) {
        cli->misused = true;
        return -ERR_INVALID;
    }
    r = rejects_filter(cli, &listing.filter, reterr_why);
    if (r == 0)
        r = deployment_open(cli, &deployment, reterr_why);
    if (r == 0)
        r = rejects_region(cli, &deployment, &region, reterr_why);
    if (r == 0)
        r = rejects_open(&deployment, region, &rejects, reterr_why);
    if (r < 0)
        return r;
    listing.limit = (size_t)limit;
    listing.found = found = calloc((size_t)limit * 2, sizeof(*found));
    if (!found)
        return -ERR_NOMEM;
    r = list_newest(&listing, reterr_why);
    return r < 0 ? r : print_all(cli, &listing);
}

struct showing {
    const struct rejects *rejects;
    bool json, shown;
};

static int show_record(void *arg, const struct bus_record *record)
{
    struct showing *s = arg;
    struct rejected one;

    s->shown = true;
    if (s->json) {
        describe(s->rejects, record, &one);
        return print_json(&one, "bytesBase64", record->value);
    }
    if (record->value.len &&
        fwrite(record->value.at, 1, record->value.len, stdout) != record->value.len)
        return -ERR_IO;
    return fflush(stdout) == 0 ? 0 : -ERR_IO;
}

static int rejected_show(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO_REJECTS struct rejects rejects = {0};
    struct showing showing = {.rejects = &rejects, .json = args_has(&cli->args, "json")};
    struct str text = args_word(&cli->args, 0);
    struct reject_id id;
    int r;

    if (!reject_id_parse(text, &id))
        return cli_misused(cli, reterr_why, REJECT_ID_WRONG, text.at);
    r = deployment_open(cli, &deployment, reterr_why);
    if (r == 0)
        r = rejects_open(&deployment, id.region, &rejects, reterr_why);
    if (r == 0 && id.partition < rejects.partitions)
        r = rejects_read(&rejects, id.partition, &(struct offsets){&id.offset, 1, 1}, show_record,
                         &showing, reterr_why);
    if (r == 0 && !showing.shown)
        r = why_set(reterr_why, -ERR_NOT_FOUND, REJECT_MISSING, text.at);
    return r;
}

static const struct arg_option list_options[] = {
    REJECT_FILTER_OPTIONS,
    {"limit", "N", "the newest N; else 20", false},
    {"retried", NULL, "those too that `rejected retry` published again", false},
    {"json", NULL, "one JSON object a line, with the first 1024 bytes in base64", false},
    ARG_OPTIONS_END,
};
static const struct arg_option show_options[] = {
    {"json", NULL, "headers, key and all bytes (in base64) as one JSON object", false},
    ARG_OPTIONS_END,
};

const struct command rejected_commands[] = {
    {"rejected list", "", 0, 0, "what could not be used, and why, newest first",
     "Reads rejected.<region>, where the normalizer keeps the bytes of what it could not use. "
     "ORIGIN is topic/generation/partition/offset of the record as it was published. What was "
     "published again is left out.",
     list_options, rejected_list},
    {"rejected show", "ID", 1, 1, "the bytes of a rejected record, as they came",
     "ID is what `rejected list` shows: topic-partition-offset. Nothing is added to the bytes.",
     show_options, rejected_show},
    COMMANDS_END,
};
