/* rejects.c - rejected records, named, chosen and read. */
#include "cli/rejects.h"

#include <stdio.h>

#define READ_TIMEOUT_MS 3600000 /* of a partition; whoever waits can end it */
#define SAY_S           3

/* ---- names ------------------------------------------------------------------------------------- */

/* Cuts the number behind the last '-' off *rest. */
static bool cut_number(struct str *rest, int64_t max, int64_t *ret)
{
    size_t at = rest->len;
    uint64_t number;

    while (at > 0 && rest->at[at - 1] != '-')
        at--;
    if (at == 0 || !str_to_u64(str_of(rest->at + at, rest->len - at), &number) ||
        number > (uint64_t)max)
        return false;
    *ret = (int64_t)number;
    rest->len = at - 1;
    return true;
}

bool reject_id_parse(struct str text, struct reject_id *ret)
{
    struct str topic = text;
    enum topic_kind kind;
    int64_t partition;

    if (!cut_number(&topic, INT64_MAX, &ret->offset) ||
        !cut_number(&topic, BUS_PARTITIONS_MAX - 1, &partition))
        return false;
    ret->partition = (int32_t)partition;
    return topic_parse(topic, &kind, &ret->region) && kind == TOPIC_REJECTED;
}

void reject_id_format(const struct topic_name *topic, int32_t partition, int64_t offset,
                      char ret[REJECT_ID_SIZE])
{
    (void)snprintf(ret, REJECT_ID_SIZE, "%s-%d-%lld", topic->text, partition, (long long)offset);
}

/* ---- a choice ---------------------------------------------------------------------------------- */

bool reject_matches(const struct reject_filter *filter, struct str reason, struct str account,
                    int64_t received_ms)
{
    return (!filter->reason.at || str_eq(filter->reason, reason)) &&
           (!filter->account.at || str_eq(filter->account, account)) &&
           received_ms >= filter->since_ms && received_ms < filter->until_ms;
}

int offsets_add(struct offsets *o, int64_t offset)
{
    if (o->count == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 256;
        int64_t *at = realloc(o->at, cap * sizeof(*at));

        if (!at)
            return -ERR_NOMEM;
        o->at = at;
        o->cap = cap;
    }
    o->at[o->count++] = offset;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

void offsets_sort(struct offsets *o)
{
    size_t kept = 0;

    if (o->count == 0)
        return;
    qsort(o->at, o->count, sizeof(*o->at), compare);
    for (size_t i = 1; i < o->count; i++)
        if (o->at[i] != o->at[kept])
            o->at[++kept] = o->at[i];
    o->count = kept + 1;
}

bool offsets_has(const struct offsets *sorted, int64_t offset)
{
    return sorted->count &&
           bsearch(&offset, sorted->at, sorted->count, sizeof(*sorted->at), compare) != NULL;
}

void offsets_subtract(struct offsets *sorted, const struct offsets *taken)
{
    size_t kept = 0;

    for (size_t i = 0; i < sorted->count; i++)
        if (!offsets_has(taken, sorted->at[i]))
            sorted->at[kept++] = sorted->at[i];
    sorted->count = kept;
}

void offsets_newest(struct offsets *sorted, size_t count)
{
    if (sorted->count <= count)
        return;
    memmove(sorted->at, sorted->at + sorted->count - count, count * sizeof(*sorted->at));
    sorted->count = count;
}

void offsets_done(struct offsets *o)
{
    free(o->at);
    *o = (struct offsets){0};
}

/* ---- the log ----------------------------------------------------------------------------------- */

int rejects_open(const struct deployment *deployment, struct str region, struct rejects *ret,
                 struct why *reterr_why)
{
    int r;

    *ret = (struct rejects){.deployment = deployment, .topic = topic_name(TOPIC_REJECTED, region)};
    r = bus_admin_open(&deployment->bus, &ret->admin, reterr_why);
    if (r == 0)
        r = deployment_partitions(deployment, ret->admin, &ret->topic, &ret->partitions,
                                  reterr_why);
    if (r == 0 && !ret->partitions)
        r = why_set(
            reterr_why, -ERR_NOT_FOUND,
            "there is no topic %s: is this a region of the configuration, and was `trailctl "
            "topics apply` run?",
            ret->topic.text);
    return r;
}

void rejects_close(struct rejects *rejects)
{
    bus_admin_close(rejects->admin);
    *rejects = (struct rejects){0};
}

void reject_scan_done(struct reject_scan *scan)
{
    offsets_done(&scan->found);
    offsets_done(&scan->retried);
}

int64_t reject_received_ms(const struct bus_record *record)
{
    struct str text;
    int64_t received_ms;

    return bus_record_header(record, HEADER_RECEIVED, &text) && str_to_i64(text, &received_ms)
               ? received_ms
               : record->time_ms;
}

struct scanning {
    const struct rejects *rejects;
    const struct reject_filter *filter;
    struct reject_scan *scan;
    uint64_t seen;
    int64_t said_s;
};

static void say_how_far(struct scanning *s, int32_t partition)
{
    int64_t now_s = cli_now_s();

    if (now_s - s->said_s < SAY_S)
        return;
    s->said_s = now_s;
    (void)fprintf(stderr, "looking through %s, partition %d of %d: %llu records\n",
                  s->rejects->topic.text, partition + 1, s->rejects->partitions,
                  (unsigned long long)s->seen);
}

static int scan_record(void *arg, const struct bus_record *record)
{
    struct scanning *s = arg;
    struct str note, reason = STR("");
    struct reject_id id;

    s->seen++;
    say_how_far(s, record->partition);
    if (bus_record_header(record, HEADER_RETRIED, &note))
        return reject_id_parse(note, &id) && id.partition == record->partition
                   ? offsets_add(&s->scan->retried, id.offset)
                   : 0;
    (void)bus_record_header(record, HEADER_REASON, &reason);
    if (!reject_matches(s->filter, reason, record->key, reject_received_ms(record)))
        return 0;
    return offsets_add(&s->scan->found, record->offset);
}

int rejects_scan(const struct rejects *rejects, int32_t partition, int64_t from,
                 const struct reject_filter *filter, struct reject_scan *ret,
                 struct why *reterr_why)
{
    struct scanning scanning = {rejects, filter, ret, 0, cli_now_s()};
    int64_t next;
    int r;

    ret->found.count = ret->retried.count = 0;
    r = bus_read_to_end(&rejects->deployment->bus, rejects->topic.text, partition, from,
                        READ_TIMEOUT_MS, scan_record, &scanning, &next, reterr_why);
    offsets_sort(&ret->found);
    offsets_sort(&ret->retried);
    return r;
}

struct reading {
    const struct offsets *wanted;
    int (*each)(void *arg, const struct bus_record *record);
    void *arg;
};

enum { READ_ALL = 1 };

static int read_record(void *arg, const struct bus_record *record)
{
    const struct reading *reading = arg;
    int64_t last = reading->wanted->at[reading->wanted->count - 1];
    struct str note;
    int r = 0;

    if (offsets_has(reading->wanted, record->offset) &&
        !bus_record_header(record, HEADER_RETRIED, &note))
        r = reading->each(reading->arg, record);
    return r == 0 && record->offset >= last ? READ_ALL : r;
}

int rejects_read(const struct rejects *rejects, int32_t partition, const struct offsets *wanted,
                 int (*each)(void *arg, const struct bus_record *record), void *arg,
                 struct why *reterr_why)
{
    struct reading reading = {wanted, each, arg};
    int64_t next;
    int r;

    if (wanted->count == 0)
        return 0;
    r = bus_read_to_end(&rejects->deployment->bus, rejects->topic.text, partition, wanted->at[0],
                        READ_TIMEOUT_MS, read_record, &reading, &next, reterr_why);
    return MIN_OF(r, 0);
}
