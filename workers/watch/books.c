/* books.c - one look after the other.
 *
 * The order within a look is what lib/balance rests on: counts of the last stage first, the logs' ends behind all
 * counts. What has to outlive this process lies in Redis; as long as it was not read nothing is written over it.
 */
#include "books.h"

#include <stdio.h>

#include "balance/balance.h"
#include "core/loss.h"
#include "log/log.h"
#include "state/keys.h"

#define GAUGE_TTL        STR("120")
#define MEMORY_LINES_MAX 100000
#define STREAMS_SCAN     STR("1000")
#define READERS          2 /* groups that read one topic, at most */
#define RECORD_WAIT_MS   3000
#define READS_A_LOOK     4     /* records looked at for their age */
#define READ_AGAIN_MS    60000 /* of a place that moves */

/* What one group has yet to read of one partition. */
struct need {
    int64_t offset, seen; /* in this look, in the one before */
    int64_t appended_offset,
        appended_ms; /* when the record there, or the first behind it, was appended */
    int64_t read_ms; /* when that was read */
};

struct books {
    const struct watch_config *config;
    const struct bus_settings *bus;
    struct state *state;
    struct bus_admin *admin;
    struct balance *balance;
    bool recalled;
    size_t reads; /* in this look */
    int64_t tick_ms;
    struct need *needs; /* by topic, reader and partition */
    int64_t starts[BUS_PARTITIONS_MAX],
        ends[BUS_PARTITIONS_MAX]; /* of the topic that is looked at */
};

struct books *books_new(const struct watch_config *config, const struct bus_settings *bus,
                        struct state *state)
{
    struct books *b = calloc(1, sizeof(*b));
    size_t topics = 2 * config->topology.regions.count + 1;

    if (!b)
        return NULL;
    b->config = config;
    b->bus = bus;
    b->state = state;
    b->balance = balance_new(config->topology.regions.at, config->topology.regions.count,
                             config->watch.after_ms);
    b->needs = calloc(topics * READERS * BUS_PARTITIONS_MAX, sizeof(*b->needs));
    if (b->balance && b->needs)
        return b;
    books_free(b);
    return NULL;
}

void books_free(struct books *b)
{
    if (!b)
        return;
    bus_admin_close(b->admin);
    balance_free(b->balance);
    free(b->needs);
    free(b);
}

/* ---- what outlives us ------------------------------------------------------------------------------------ */

static int recall(struct books *b, struct why *why)
{
    struct state_key key = state_key_watch_memory();
    struct state_reply list;
    int r;

    STATE_ADD(b->state, STR("LRANGE"), state_key_str(&key), STR("0"), STR("-1"));
    r = state_flush(b->state, why);
    if (r < 0)
        return r;
    list = state_reply(b->state, 0);
    for (size_t i = 0; list.type == STATE_LIST && i < list.count; i++)
        balance_recall(b->balance, state_item(&list, i).text);
    b->recalled = true;
    return 0;
}

/* In one transaction: nobody finds half of it. */
static void queue_memory(struct books *b)
{
    struct state_key key = state_key_watch_memory();
    char line[BALANCE_MEMORY_SIZE];

    STATE_ADD(b->state, STR("MULTI"));
    STATE_ADD(b->state, STR("DEL"), state_key_str(&key));
    for (size_t i = 0; i < MEMORY_LINES_MAX && balance_memory(b->balance, i, line); i++)
        STATE_ADD(b->state, STR("RPUSH"), state_key_str(&key), str_from(line));
    STATE_ADD(b->state, STR("EXEC"));
}

static int take_accepted(struct books *b, struct why *why)
{
    struct state_key key = state_key_alarms_accepted();
    struct state_reply list;
    int r;

    STATE_ADD(b->state, STR("SMEMBERS"), state_key_str(&key));
    r = state_flush(b->state, why);
    if (r < 0)
        return r;
    list = state_reply(b->state, 0);
    for (size_t i = 0; list.type == STATE_LIST && i < list.count; i++)
        balance_accept(b->balance, state_item(&list, i).text);
    STATE_ADD(b->state, STR("DEL"), state_key_str(&key));
    return state_flush(b->state, why);
}

/* ---- balances --------------------------------------------------------------------------------------------- */

static int look_at_counts(struct books *b, size_t topic, int64_t tick_ms, struct why *why)
{
    struct topic_name name = balance_topic_name(b->balance, topic);
    struct str worker = balance_topic_worker(b->balance, topic);
    const struct config_strs *regions = &b->config->topology.regions;
    int32_t count;
    int r = bus_admin_partitions(b->admin, name.text, &count, why);

    for (int32_t p = 0; p < count && r == 0; p++) {
        struct state_key key = state_key_tally(worker, balance_topic_region(b->balance, topic), p);

        STATE_ADD(b->state, STR("HGETALL"), state_key_str(&key));
    }
    if (r == 0)
        r = state_flush(b->state, why);
    for (int32_t p = 0; p < count && r == 0; p++) {
        struct state_reply hash = state_reply(b->state, (size_t)p);
        struct balance_counts counts = {0};
        int64_t n;

        for (size_t i = 0; hash.type == STATE_LIST && i + 1 < hash.count; i += 2)
            if (str_to_i64(state_item(&hash, i + 1).text, &n))
                balance_count(&counts, regions->at, regions->count, state_item(&hash, i).text, n);
        balance_part(b->balance, topic, p, tick_ms, hash.count ? &counts : NULL);
    }
    return r;
}

static int look_at_ends(struct books *b, size_t topic, struct why *why)
{
    struct topic_name name = balance_topic_name(b->balance, topic);
    int64_t start, end;
    int32_t count;
    int r = bus_admin_partitions(b->admin, name.text, &count, why);

    for (int32_t p = 0; p < count && r == 0; p++) {
        r = bus_admin_watermarks(b->admin, name.text, p, &start, &end, why);
        if (r == 0)
            balance_log(b->balance, topic, p, end);
    }
    return r;
}

static void queue_row(struct books *b, size_t topic, int64_t now_ms)
{
    struct topic_name name = balance_topic_name(b->balance, topic);
    struct state_key key = state_key_balance(str_from(name.text));
    struct balance_row row = balance_row(b->balance, topic);
    char texts[6][NUMBER_TEXT_SIZE], seen[TIME_TEXT_SIZE];

    time_format(now_ms / 1000, seen);
    STATE_ADD(b->state, STR("HSET"), state_key_str(&key), STR("received"),
              str_of_i64(row.received, texts[0]), STR("accounted"),
              str_of_i64(row.accounted, texts[1]), STR("waiting"),
              str_of_i64(row.waiting, texts[2]), STR("passed"), str_of_i64(row.passed, texts[3]),
              STR("missing"), str_of_i64(row.missing, texts[4]), STR("unknown"),
              str_of_i64(row.unknown, texts[5]), STR("seen"), str_from(seen));
    STATE_ADD(b->state, STR("EXPIRE"), state_key_str(&key), GAUGE_TTL);
}

/* ---- time to loss ------------------------------------------------------------------------------------------- */

struct reader {
    struct str worker, region;
};

static size_t readers_of(const struct books *b, size_t topic, struct reader ret[READERS])
{
    struct str region = balance_topic_region(b->balance, topic);

    ret[0] = (struct reader){balance_topic_worker(b->balance, topic), region};
    if (balance_topic_kind(b->balance, topic) != TOPIC_EVENTS)
        return 1;
    ret[1] = (struct reader){STR("delivery"), region};
    return 2;
}

struct first {
    int64_t offset, time_ms;
};

static int take_first(void *arg, const struct bus_record *record)
{
    struct first *first = arg;

    first->offset = record->offset;
    first->time_ms = record->time_ms;
    return 1;
}

/* When the first record at or behind the offset was appended, or one before it, if the place moves: the record is as
 * old as that at most. False: that could not be read now. */
static bool appended(struct books *b, const char *topic, int32_t partition, struct need *need,
                     int64_t log_start)
{
    struct first first = {-1, 0};
    int64_t next, from = MAX_OF(need->offset, log_start);
    bool stands = need->offset == need->seen;
    int r;

    if (need->appended_ms && need->appended_offset == from)
        return true;
    if ((!stands && b->tick_ms - need->read_ms < READ_AGAIN_MS) || b->reads++ >= READS_A_LOOK)
        return need->appended_ms != 0;
    need->read_ms = b->tick_ms;
    r = bus_read_to_end(b->bus, topic, partition, from, RECORD_WAIT_MS, take_first, &first, &next,
                        NULL);
    if (r != 1 || first.offset < 0)
        return false; /* only markers, or nothing in time */
    need->appended_offset = from;
    need->appended_ms = first.time_ms;
    return true;
}

/* Streams of delivery that are behind the group's offset hold on to older records. */
static void take_stream(struct books *b, size_t topic, struct str field, struct str value)
{
    struct need *needs = &b->needs[(topic * READERS + 1) * BUS_PARTITIONS_MAX];
    struct str rest = value, state, words[7], chain, partition = field;
    int64_t p, boundary, cursor, waiting;

    if (!str_split(&partition, '/', &chain) || !str_to_i64(partition, &p) || p < 0 ||
        p >= BUS_PARTITIONS_MAX || !str_split(&rest, ' ', &state) || str_eq(state, STR("ended")))
        return;
    for (size_t i = 0; i + 1 < ARRAY_LEN(words); i++)
        if (!str_split(&rest, ' ', &words[i]))
            return;
    if (!str_to_i64(words[0], &boundary) || !str_to_i64(words[1], &cursor) ||
        !str_to_i64(rest, &waiting))
        return;
    needs[p].offset = MIN_OF(needs[p].offset, waiting ? boundary : cursor);
}

static int look_at_streams(struct books *b, size_t topic, struct why *why)
{
    struct state_key pattern =
        state_key_trail_counts(STR("*"), balance_topic_region(b->balance, topic));
    char cursor[32] = "0";
    int r = 0;

    do {
        struct state_reply reply, next, keys;
        AUTO_BUF struct buf all = {0};
        struct str rest, name;
        size_t count = 0;

        STATE_ADD(b->state, STR("SCAN"), str_from(cursor), STR("MATCH"), state_key_str(&pattern),
                  STR("COUNT"), STREAMS_SCAN);
        r = state_flush(b->state, why);
        if (r < 0)
            return r;
        reply = state_reply(b->state, 0);
        if (reply.type != STATE_LIST || reply.count != 2)
            return why_set(why, -ERR_UNAVAILABLE, "Redis does not answer SCAN");
        next = state_item(&reply, 0);
        keys = state_item(&reply, 1);
        (void)snprintf(cursor, sizeof(cursor), STR_FMT, STR_ARG(next.text));
        buf_init(&all, 16 << 20);
        for (size_t i = 0; i < keys.count; i++)
            buf_addf(&all, STR_FMT "\n", STR_ARG(state_item(&keys, i).text));
        if (buf_error(&all))
            return buf_error(&all);
        for (rest = buf_str(&all); str_split(&rest, '\n', &name) && name.len; count++)
            STATE_ADD(b->state, STR("HGETALL"), name);
        r = count ? state_flush(b->state, why) : 0;
        for (size_t k = 0; k < count && r == 0; k++) {
            struct state_reply hash = state_reply(b->state, k);

            for (size_t i = 0; hash.type == STATE_LIST && i + 1 < hash.count; i += 2)
                take_stream(b, topic, state_item(&hash, i).text, state_item(&hash, i + 1).text);
        }
    } while (r == 0 && strcmp(cursor, "0") != 0);
    return r;
}

static void say_loss(struct books *b, const char *topic, const struct reader *reader,
                     int32_t partition, int64_t needed, int64_t left_ms, struct alarms *alarms,
                     int64_t now_ms)
{
    char id[ALARM_ID_SIZE], why[ALARM_WHY_SIZE];

    if (left_ms > b->config->watch.loss_warning_ms)
        return;
    (void)snprintf(id, sizeof(id), "loss %s/%d " STR_FMT, topic, partition,
                   STR_ARG(reader->worker));
    (void)snprintf(
        why, sizeof(why), "%s/%d: offset %lld, which " STR_FMT " still has to read, %s %lld s",
        topic, partition, (long long)needed, STR_ARG(reader->worker),
        left_ms ? "leaves the log in" : "has left the log: in", (long long)left_ms / 1000);
    alarms_say(alarms, id, why, now_ms);
}

/* Up to where each partition was read by whom: committed, or by delivery's slowest stream. */
static int read_needs(struct books *b, size_t topic, const struct reader *reader, int32_t count,
                      struct need *needs, struct why *why)
{
    struct topic_name name = balance_topic_name(b->balance, topic);
    int64_t offsets[BUS_PARTITIONS_MAX];
    char group[GROUP_NAME_SIZE];
    int r;

    group_name(reader->worker, reader->region, group);
    r = bus_admin_committed(b->admin, group, name.text, count, offsets, why);
    for (int32_t p = 0; p < count && r == 0; p++) {
        needs[p].seen = needs[p].offset;
        needs[p].offset = offsets[p] == BUS_OFFSET_NONE ? b->starts[p] : offsets[p];
    }
    return r == 0 && str_eq(reader->worker, STR("delivery")) ? look_at_streams(b, topic, why) : r;
}

/* LOSS_NEVER: nothing waits there, or for how long could not be found out now. */
static int64_t time_left_ms(struct books *b, const char *topic, int32_t partition,
                            struct need *need, int64_t now_ms)
{
    int64_t start = b->starts[partition], end = b->ends[partition];

    if (need->offset >= end ||
        (need->offset >= start && !appended(b, topic, partition, need, start)))
        return LOSS_NEVER;
    return loss_left_ms(need->offset, start, end, need->appended_ms, b->config->watch.retention_ms,
                        now_ms);
}

static void queue_loss(struct books *b, struct str key, int32_t partition, int64_t needed,
                       int64_t left_ms)
{
    char field[NUMBER_TEXT_SIZE], value[64];

    if (left_ms == LOSS_NEVER)
        (void)snprintf(value, sizeof(value), "%lld -", (long long)needed);
    else
        (void)snprintf(value, sizeof(value), "%lld %lld", (long long)needed,
                       (long long)left_ms / 1000);
    STATE_ADD(b->state, STR("HSET"), key, str_of_i64(partition, field), str_from(value));
}

static int look_at_losses(struct books *b, size_t topic, int64_t now_ms, struct alarms *alarms,
                          struct why *why)
{
    struct topic_name name = balance_topic_name(b->balance, topic);
    struct reader readers[READERS];
    size_t reader_count = readers_of(b, topic, readers);
    int32_t count;
    int r = bus_admin_partitions(b->admin, name.text, &count, why);

    for (int32_t p = 0; p < count && r == 0; p++)
        r = bus_admin_watermarks(b->admin, name.text, p, &b->starts[p], &b->ends[p], why);
    for (size_t i = 0; i < reader_count && r == 0; i++) {
        struct need *needs = &b->needs[(topic * READERS + i) * BUS_PARTITIONS_MAX];
        struct state_key key = state_key_loss(str_from(name.text), readers[i].worker);

        r = read_needs(b, topic, &readers[i], count, needs, why);
        if (r < 0)
            break;
        for (int32_t p = 0; p < count; p++) {
            int64_t left_ms = time_left_ms(b, name.text, p, &needs[p], now_ms);

            queue_loss(b, state_key_str(&key), p, needs[p].offset, left_ms);
            say_loss(b, name.text, &readers[i], p, needs[p].offset, left_ms, alarms, now_ms);
        }
        STATE_ADD(b->state, STR("EXPIRE"), state_key_str(&key), GAUGE_TTL);
        r = state_flush(b->state, why);
    }
    return r;
}

/* ---- the look -------------------------------------------------------------------------------------------------- */

static int balance_all(struct books *b, int64_t now_ms, int64_t tick_ms, struct alarms *alarms,
                       struct why *why)
{
    struct balance_finding finding;
    int r = 0;

    for (size_t t = balance_topic_count(b->balance); t-- > 0 && r == 0;)
        r = look_at_counts(b, t, tick_ms, why);
    for (size_t t = 0; t < balance_topic_count(b->balance) && r == 0; t++)
        r = look_at_ends(b, t, why);
    if (r < 0)
        return r;
    balance_judge(b->balance, tick_ms);
    for (size_t i = 0; balance_finding(b->balance, i, &finding); i++)
        alarms_say(alarms, finding.id, finding.why, now_ms);
    for (size_t t = 0; t < balance_topic_count(b->balance); t++)
        queue_row(b, t, now_ms);
    queue_memory(b);
    return state_flush(b->state, why);
}

int books_look(struct books *b, int64_t now_ms, int64_t tick_ms, struct alarms *alarms,
               struct why *reterr_why)
{
    int r = b->admin ? 0 : bus_admin_open(b->bus, &b->admin, reterr_why);

    if (r == 0 && !b->recalled)
        r = recall(b, reterr_why);
    if (r == 0)
        r = take_accepted(b, reterr_why);
    if (r == 0)
        r = balance_all(b, now_ms, tick_ms, alarms, reterr_why);
    b->reads = 0;
    b->tick_ms = tick_ms;
    for (size_t t = 0; t < balance_topic_count(b->balance) && r == 0; t++)
        r = look_at_losses(b, t, now_ms, alarms, reterr_why);
    if (r < 0) {
        bus_admin_close(b->admin);
        b->admin = NULL;
    }
    return r;
}
