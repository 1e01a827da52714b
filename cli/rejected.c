/* rejected.c - `trailctl rejected list`: what the normalizer could not use, and why.
 *
 * The newest records of rejected.<region>, over all partitions. Offsets count markers of transactions, too, so
 * how far back to begin is tried: further and further, until there are enough.
 */
#include <stdio.h>

#include "cli/deployment.h"
#include "cli/output.h"
#include "jsondoc/jsondoc.h"

#define LIMIT_MAX       10000
#define READ_TIMEOUT_MS 30000
#define FIRST_STEP      4  /* offsets looked at for each record wanted, at first */
#define STEP_GROWTH     8  /* and so many times more at each further try */
#define SHOWN_BYTES     96 /* of a record, to people */
#define JSON_BYTES      1024
#define TEXT_SIZE_MAX   512 /* of a header */

struct rejected {
    char reason[64], why[TEXT_SIZE_MAX], origin[256], account[128];
    int64_t received_ms, time_ms, offset;
    int32_t partition;
    size_t size;
    char first[JSON_BYTES];
    size_t first_len;
};

/* The newest `max` of a partition, as a ring. */
struct ring {
    struct rejected *at;
    size_t max, next;
    uint64_t count;
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

static int take_record(void *arg, const struct bus_record *record)
{
    struct ring *ring = arg;
    struct rejected *one = &ring->at[ring->next];
    struct str received;

    ring->next = (ring->next + 1) % ring->max;
    ring->count++;
    *one = (struct rejected){.time_ms = record->time_ms,
                             .offset = record->offset,
                             .partition = record->partition,
                             .size = record->value.len,
                             .first_len = MIN_OF(record->value.len, (size_t)JSON_BYTES)};
    copy_header(record, HEADER_REASON, one->reason, sizeof(one->reason));
    copy_header(record, HEADER_WHY, one->why, sizeof(one->why));
    copy_header(record, HEADER_ORIGIN, one->origin, sizeof(one->origin));
    copy_text(one->account, sizeof(one->account), record->key);
    if (bus_record_header(record, HEADER_RECEIVED, &received))
        (void)str_to_i64(received, &one->received_ms);
    memcpy(one->first, record->value.at ? record->value.at : "", one->first_len);
    return 0;
}

static int read_partition(const struct deployment *d, struct bus_admin *admin, const char *topic,
                          int32_t partition, struct ring *ring, struct why *reterr_why)
{
    int64_t low, high, next, step = (int64_t)ring->max * FIRST_STEP;
    int r = bus_admin_watermarks(admin, topic, partition, &low, &high, reterr_why);

    for (; r == 0; step *= STEP_GROWTH) {
        int64_t from = MAX_OF(low, high - step);

        ring->count = ring->next = 0;
        r = bus_read_to_end(&d->bus, topic, partition, from, READ_TIMEOUT_MS, take_record, ring,
                            &next, reterr_why);
        if (ring->count >= ring->max || from == low)
            break;
    }
    return r;
}

/* ---- all partitions, newest first -------------------------------------------------------------- */

static int newer_first(const void *a, const void *b)
{
    const struct rejected *x = a, *y = b;

    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? 1 : -1;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->offset < y->offset ? 1 : x->offset > y->offset ? -1 : 0;
}

/* `found` has room for twice `limit`: what is kept, and a partition's. */
static int read_topic(const struct deployment *d, const struct topic_name *topic, size_t limit,
                      struct rejected *found, size_t *ret_count, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int32_t partitions = 0;
    int r = bus_admin_open(&d->bus, &admin, reterr_why);

    *ret_count = 0;
    if (r == 0)
        r = deployment_partitions(d, admin, topic, &partitions, reterr_why);
    if (r == 0 && !partitions)
        r = why_set(
            reterr_why, -ERR_NOT_FOUND,
            "there is no topic %s: is this a region of the configuration, and was `trailctl "
            "topics apply` run?",
            topic->text);
    for (int32_t i = 0; i < partitions && r == 0; i++) {
        struct ring ring = {.at = found + *ret_count, .max = limit};

        r = read_partition(d, admin, topic->text, i, &ring, reterr_why);
        *ret_count += (size_t)MIN_OF(ring.count, (uint64_t)limit);
        qsort(found, *ret_count, sizeof(*found), newer_first);
        *ret_count = MIN_OF(*ret_count, limit);
    }
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
    format_ms(one->received_ms ? one->received_ms : one->time_ms, received);
    printf("%s  %s: %s\n    from %s, %zu bytes: %s\n", received, one->reason, buf_cstr(&why),
           one->origin, one->size, buf_cstr(&first));
}

static int print_json(const struct rejected *one)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    AUTO_BUF struct buf bytes = {0}, why = {0};
    char time[TIME_TEXT_SIZE], received[TIME_TEXT_SIZE];

    if (!doc)
        return -ERR_NOMEM;
    buf_init(&bytes, (size_t)2 * JSON_BYTES);
    buf_init(&why, 4096);
    format_ms(one->time_ms, time);
    format_ms(one->received_ms, received);
    output_clean(str_from(one->why), TEXT_SIZE_MAX, &why);
    buf_add_base64(&bytes, one->first, one->first_len);
    (void)jsondoc_set_str(doc, "reason", str_from(one->reason));
    (void)jsondoc_set_str(doc, "why", buf_str(&why));
    (void)jsondoc_set_str(doc, "origin", str_from(one->origin));
    (void)jsondoc_set_str(doc, "key", str_from(one->account)); /* refused unless UTF-8 */
    (void)jsondoc_set_str(doc, "received", str_from(received));
    (void)jsondoc_set_str(doc, "time", str_from(time));
    (void)jsondoc_set_i64(doc, "partition", one->partition);
    (void)jsondoc_set_i64(doc, "offset", one->offset);
    (void)jsondoc_set_i64(doc, "size", (int64_t)one->size);
    (void)jsondoc_set_str(doc, "firstBytesBase64", buf_str(&bytes));
    return output_json(doc);
}

static int rejected_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO_FREE struct rejected *found = NULL;
    struct topic_name topic;
    struct str region;
    size_t count = 0;
    int64_t limit;
    int r;

    if (args_number(&cli->args, "limit", 20, 1, LIMIT_MAX, &limit, reterr_why) < 0) {
        cli->misused = true;
        return -ERR_INVALID;
    }
    r = deployment_open(cli, &deployment, reterr_why);
    if (r < 0)
        return r;
    region = args_text(&cli->args, "region", deployment.config.topology.regions.at[0]);
    if (!region_valid(region))
        return cli_misused(cli, reterr_why, "\"" STR_FMT "\" is no region, as cn-hangzhou is",
                           STR_ARG(region));
    topic = topic_name(TOPIC_REJECTED, region);
    found = calloc((size_t)limit * 2, sizeof(*found));
    if (!found)
        return -ERR_NOMEM;
    r = read_topic(&deployment, &topic, (size_t)limit, found, &count, reterr_why);
    for (size_t i = 0; i < count && r == 0; i++) {
        if (args_has(&cli->args, "json"))
            r = print_json(&found[i]);
        else
            print_for_people(&found[i]);
    }
    if (r == 0 && count == 0)
        (void)fprintf(stderr, "nothing was rejected in " STR_FMT "\n", STR_ARG(region));
    return r;
}

static const struct arg_option rejected_options[] = {
    {"region", "REGION", "else the first of the configuration", false},
    {"limit", "N", "the newest N; else 20", false},
    {"json", NULL, "one JSON object a line, with the first 1024 bytes in base64", false},
    ARG_OPTIONS_END,
};

const struct command rejected_commands[] = {
    {"rejected list", "", 0, 0, "what could not be used, and why, newest first",
     "Reads rejected.<region>, where the normalizer keeps the bytes of what it could not use. "
     "ORIGIN is topic/generation/partition/offset of the record as it was published.",
     rejected_options, rejected_list},
    COMMANDS_END,
};
