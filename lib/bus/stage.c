/* stage.c - consume, transform, produce, in transactions.
 *
 *        +--> IDLE --record--> OPEN --100 ms--> commit --ok--> IDLE
 *        |                      |                 |
 *        |                      +----- error -----+--> abort, close both handles
 *        +--------- open them again, be assigned anew ---------------+
 *
 * Whatever goes wrong, the handles go too. Assigning the same consumer again, at the committed offsets, would be quicker, but
 * librdkafka 2.0.2 aborts the process when that comes too soon after its last assignment ("rktp->rktp_started"). The
 * group does not notice: the new consumer is the same static member, and gets the same partitions.
 *
 * Where a partition is begun decides whether events are doubled. The log of positions says it (positions.h); the group's
 * word counts only where that has never heard of the partition.
 */
#include "bus/stage.h"

#include "bus/positions.h"
#include "log/log.h"

struct stage_partition {
    int32_t partition;
    int64_t committed;          /* where the next transaction's input begins */
    int64_t next;               /* behind what was read */
    int64_t told;               /* the group's committed offset: others look at it */
    struct tally kept, counted; /* up to `committed`, up to `next` */
};

struct bus_stage {
    struct bus_stage_settings settings;
    struct bus_stage_owner owner;
    struct bus_consumer *consumer;
    struct bus_producer *producer;
    struct positions *positions;
    char *generation; /* of the topic, as of the last assignment */
    struct stage_partition partitions[BUS_PARTITIONS_MAX];
    size_t partition_count;
    bool assigned;     /* told to the owner, and reading */
    bool open;         /* a transaction is */
    int64_t opened_ms; /* when it was begun */
    int64_t idle_commit_ms;
    int64_t tell_ms; /* then the group is told all offsets once more */
    size_t records;  /* in it */
};

static int open_handles(struct bus_stage *s, struct why *reterr_why)
{
    int r = bus_producer_open(&s->settings.bus, s->settings.transactional_id, 0, &s->producer,
                              reterr_why);

    if (r == 0)
        r = bus_transactions_init(s->producer, BUS_CALL_TIMEOUT_MS, reterr_why);
    if (r == 0)
        r = bus_consumer_open(&s->settings.bus, s->settings.topic, s->settings.group, &s->consumer,
                              reterr_why);
    return r;
}

static void close_handles(struct bus_stage *s)
{
    bus_consumer_close(s->consumer);
    bus_producer_close(s->producer);
    s->consumer = NULL;
    s->producer = NULL;
    s->partition_count = s->records = 0;
    s->assigned = s->open = false;
}

int bus_stage_open(const struct bus_stage_settings *settings, const struct bus_stage_owner *owner,
                   struct bus_stage **ret, struct why *reterr_why)
{
    struct bus_stage *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ERR_NOMEM;
    s->settings = *settings;
    s->owner = *owner;
    s->positions = positions_new(settings->group, settings->topic);
    r = s->positions ? open_handles(s, reterr_why) : -ERR_NOMEM;
    if (r < 0) {
        bus_stage_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void bus_stage_close(struct bus_stage *s)
{
    if (!s)
        return;
    close_handles(s);
    positions_free(s->positions);
    free(s->generation);
    free(s);
}

static struct stage_partition *find(struct bus_stage *s, int32_t partition)
{
    for (size_t i = 0; i < s->partition_count; i++)
        if (s->partitions[i].partition == partition)
            return &s->partitions[i];
    return NULL;
}

/* What could not be committed is read again, by new handles. Returns the error that led here. */
static int give_up(struct bus_stage *s, int r)
{
    struct why why = {0};

    s->owner.aborted(s->owner.arg);
    if (s->open && r != -ERR_FENCED && bus_abort(s->producer, BUS_CALL_TIMEOUT_MS, &why) < 0)
        log_warning("a transaction is left to the next handle: %s", why.text);
    log_warning("building the Kafka handles anew: %s", err_name(r));
    close_handles(s);
    return r;
}

/* They are in the log before the group hears of it: whoever is given our partitions behind that finds them there, or an open
 * transaction to wait for. */
static int write_positions(struct bus_stage *s, struct why *reterr_why)
{
    struct topic_name log = topic_name(TOPIC_POSITIONS, STR_NONE);
    struct position_record record;
    int r = 0;

    for (size_t i = 0; i < s->partition_count && r == 0; i++) {
        const struct stage_partition *p = &s->partitions[i];

        if (p->next == p->committed)
            continue;
        r = positions_record(s->positions, str_from(s->generation), p->partition, p->next,
                             &p->counted, &record);
        if (r == 0)
            r = bus_stage_write(s, log.text, str_from(record.key), str_from(record.value), NULL, 0);
    }
    if (r == 0)
        r = bus_producer_flush(s->producer, BUS_CALL_TIMEOUT_MS);
    return r < 0 ? why_set(reterr_why, r, "cannot write where %s stands", s->settings.group) : 0;
}

static int send_offsets(struct bus_stage *s, struct why *reterr_why)
{
    struct bus_position positions[BUS_PARTITIONS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < s->partition_count; i++) {
        const struct stage_partition *p = &s->partitions[i];

        if (p->next != p->told)
            positions[count++] = (struct bus_position){p->partition, p->next};
    }
    return count ? bus_send_offsets(s->producer, s->consumer, positions, count, BUS_CALL_TIMEOUT_MS,
                                    reterr_why)
                 : 0;
}

static int commit_all(struct bus_stage *s, struct why *reterr_why)
{
    int64_t deadline_ms = bus_clock_ms() + STAGE_COMMIT_WAIT_MS;
    int r = write_positions(s, reterr_why);

    if (r == 0)
        r = send_offsets(s, reterr_why);
    if (r < 0)
        return r == -ERR_FENCED ? r : -ERR_ABORTED;
    do {
        r = bus_commit(s->producer, BUS_CALL_TIMEOUT_MS, reterr_why);
    } while (r < 0 && r != -ERR_FENCED && r != -ERR_ABORTED && bus_clock_ms() < deadline_ms);
    return r;
}

static int commit(struct bus_stage *s, struct why *reterr_why)
{
    int r = commit_all(s, reterr_why);

    if (r < 0)
        return give_up(s, r == -ERR_ABORTED ? r : -ERR_FENCED);
    for (size_t i = 0; i < s->partition_count; i++) {
        s->partitions[i].committed = s->partitions[i].told = s->partitions[i].next;
        s->partitions[i].kept = s->partitions[i].counted;
    }
    s->open = false;
    s->records = 0;
    s->idle_commit_ms = bus_clock_ms() + STAGE_IDLE_COMMIT_MS;
    s->owner.committed(s->owner.arg);
    return 0;
}

/* Its coordinator may have forgotten what it was told, and partitions that nobody writes to have nothing new to tell. */
static void doubt_group(struct bus_stage *s)
{
    if (bus_clock_ms() < s->tell_ms)
        return;
    s->tell_ms = bus_clock_ms() + STAGE_TELL_MS;
    for (size_t i = 0; i < s->partition_count; i++)
        s->partitions[i].told = BUS_OFFSET_NONE;
}

static int begin(struct bus_stage *s, struct why *reterr_why)
{
    int r;

    if (s->open)
        return 0;
    r = bus_begin(s->producer, reterr_why);
    if (r < 0)
        return give_up(s, -ERR_FENCED);
    s->open = true;
    s->opened_ms = bus_clock_ms();
    return 0;
}

/* Markers and aborted records move the position without a record: commit that too, so that whoever
 * asks whether we have passed an offset sees it (delivery protocol, rule 19). Likewise what the group may have forgotten. */
static int commit_if_idle(struct bus_stage *s, struct why *reterr_why)
{
    bool moved = false;
    int r;

    if (s->open || bus_clock_ms() < s->idle_commit_ms)
        return 0;
    for (size_t i = 0; i < s->partition_count; i++)
        moved |= s->partitions[i].next != s->partitions[i].told;
    s->idle_commit_ms = bus_clock_ms() + STAGE_IDLE_COMMIT_MS;
    if (!moved)
        return 0;
    r = begin(s, reterr_why);
    return r < 0 ? r : commit(s, reterr_why);
}

static void begin_partition(struct bus_stage *s, const struct bus_position *start, int64_t told,
                            struct str tally)
{
    struct stage_partition *p = &s->partitions[s->partition_count++];

    *p = (struct stage_partition){.partition = start->partition,
                                  .committed = start->offset,
                                  .next = start->offset,
                                  .told = told};
    if (tally_parse(tally, s->settings.kinds, &p->kept) < 0)
        tally_begin(&p->kept, s->settings.kinds, start->offset);
    p->counted = p->kept;
}

/* Where a partition goes on: it has to lie in the log. */
static int find_start(struct bus_stage *s, struct bus_admin *admin, int32_t partition,
                      int64_t stands, int64_t *ret_offset, struct why *reterr_why)
{
    const char *topic = s->settings.topic;
    int64_t low, high;
    int r = bus_admin_watermarks(admin, topic, partition, &low, &high, reterr_why);

    if (r < 0)
        return r;
    if (bus_first_offset(stands, low, ret_offset) < 0)
        return why_set(reterr_why, -ERR_RANGE,
                       "%s/%d begins at %lld and group %s has no committed offset: records were "
                       "there and are gone",
                       topic, partition, (long long)low, s->settings.group);
    if (*ret_offset < low)
        return why_set(reterr_why, -ERR_RANGE,
                       "%s/%d has no offset %lld any more: records were lost before they were read",
                       topic, partition, (long long)*ret_offset);
    if (*ret_offset > high)
        return why_set(
            reterr_why, -ERR_RANGE,
            "%s/%d ends at %lld, before the committed offset %lld: the log was truncated", topic,
            partition, (long long)high, (long long)*ret_offset);
    return 0;
}

/* Where we stand first, then what the owner reads: nothing is missing there that lies before our first record (rule 3). */
static int find_generation(struct bus_stage *s, struct why *reterr_why)
{
    struct str generation;
    int r = positions_read(s->positions, &s->settings.bus, reterr_why);

    if (r == 0)
        r = s->owner.generation(s->owner.arg, &generation, reterr_why);
    if (r < 0)
        return r;
    free(s->generation);
    s->generation = str_dup(generation);
    return s->generation ? 0 : -ERR_NOMEM;
}

static int take_assignment(struct bus_stage *s, const struct bus_input *input,
                           struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_position starts[BUS_PARTITIONS_MAX];
    int r = bus_admin_open(&s->settings.bus, &admin, reterr_why);

    if (r == 0)
        r = find_generation(s, reterr_why);
    CHECK(input->position_count <= BUS_PARTITIONS_MAX);
    s->partition_count = 0;
    for (size_t i = 0; i < input->position_count && r == 0; i++) {
        const struct bus_position *given = &input->positions[i];
        int64_t stands = given->offset;
        struct str tally = STR_NONE;

        (void)positions_find(s->positions, str_from(s->generation), given->partition, &stands,
                             &tally);
        starts[i].partition = given->partition;
        r = find_start(s, admin, given->partition, stands, &starts[i].offset, reterr_why);
        if (r == 0)
            begin_partition(s, &starts[i], given->offset, tally);
    }
    if (r == 0)
        r = s->owner.assigned(s->owner.arg, starts, input->position_count, reterr_why);
    if (r == 0)
        r = bus_consumer_assign(s->consumer, starts, input->position_count);
    if (r == 0)
        s->assigned = true;
    return r;
}

static int take_revocation(struct bus_stage *s, bool lost, struct why *reterr_why)
{
    int r = 0;

    if (s->open && !lost)
        r = commit(s, reterr_why);
    else if (s->open)
        r = give_up(s, -ERR_ABORTED);
    s->assigned = false;
    s->partition_count = 0;
    if (s->consumer && bus_consumer_unassign(s->consumer) < 0) /* they would still be read */
        return give_up(s, why_set(reterr_why, -ERR_ABORTED, "cannot give partitions back"));
    return r;
}

static int take_record(struct bus_stage *s, const struct bus_record *record, struct why *reterr_why)
{
    struct stage_partition *p = find(s, record->partition);
    int r;

    CHECK(p && record->offset >= p->next);
    r = begin(s, reterr_why);
    if (r < 0)
        return r;
    r = s->owner.record(s->owner.arg, record, reterr_why);
    if (r < 0)
        return give_up(s, r);
    p->counted.gaps += record->offset - p->next;
    p->next = record->offset + 1;
    s->records++;
    return 0;
}

static int take(struct bus_stage *s, const struct bus_input *input, struct why *reterr_why)
{
    struct stage_partition *p;
    int r;

    switch (input->kind) {
    case BUS_INPUT_NONE:
        return 0;
    case BUS_INPUT_RECORD:
        return take_record(s, &input->record, reterr_why);
    case BUS_INPUT_END:
        p = find(s, input->partition);
        if (p && input->offset > p->next) {
            p->counted.gaps += input->offset - p->next;
            p->next = input->offset;
        }
        return 0;
    case BUS_INPUT_ASSIGNED:
        r = take_assignment(s, input, reterr_why);
        if (r < 0 && err_class(r) == ERR_CLASS_RETRY)
            close_handles(s); /* join anew, and be assigned again */
        return r;
    case BUS_INPUT_REVOKED:
    case BUS_INPUT_LOST:
        return take_revocation(s, input->kind == BUS_INPUT_LOST, reterr_why);
    case BUS_INPUT_OUT_OF_RANGE: /* perhaps another one has gone on, and the log too: find_start() knows */
        return give_up(s, why_set(reterr_why, -ERR_ABORTED, "%s/%d has no offset %lld any more",
                                  s->settings.topic, input->partition, (long long)input->offset));
    }
    return 0;
}

int bus_stage_step(struct bus_stage *s, int timeout_ms, struct why *reterr_why)
{
    int64_t until_ms = bus_clock_ms() + timeout_ms;
    int r;

    if (!s->consumer) {
        close_handles(s);
        r = open_handles(s, reterr_why);
        if (r < 0)
            return r;
    }
    do {
        struct bus_input input;

        for (int i = 0; i < 256; i++) { /* the clock is not asked for every record */
            r = bus_consumer_poll(s->consumer, i == 0 ? MIN_OF(timeout_ms, 10) : 0, &input);
            if (r < 0)
                return give_up(s, r);
            r = take(s, &input, reterr_why);
            if (r < 0)
                return r;
            if (input.kind == BUS_INPUT_NONE)
                break;
        }
        doubt_group(s);
        if (s->open &&
            (bus_clock_ms() - s->opened_ms >= STAGE_COMMIT_MS || s->records >= STAGE_RECORDS_MAX))
            r = commit(s, reterr_why);
        else
            r = commit_if_idle(s, reterr_why);
        if (r < 0)
            return r;
    } while (bus_clock_ms() < until_ms);
    return 0;
}

int bus_stage_finish(struct bus_stage *s, struct why *reterr_why)
{
    return s->open ? commit(s, reterr_why) : 0;
}

int bus_stage_write(struct bus_stage *s, const char *topic, struct str key, struct str value,
                    const struct bus_header *headers, size_t header_count)
{
    int64_t deadline_ms = 0;
    int r;

    CHECK(s->open);
    for (;;) {
        r = bus_producer_write(s->producer, topic, BUS_BY_KEY, key, value, headers, header_count,
                               NULL);
        if (r != -ERR_UNAVAILABLE)
            return r;
        if (deadline_ms == 0)
            deadline_ms = bus_clock_ms() + STAGE_COMMIT_WAIT_MS;
        else if (bus_clock_ms() > deadline_ms)
            return -ERR_ABORTED;
        (void)bus_producer_poll(s->producer, 5);
    }
}

void bus_stage_count(struct bus_stage *s, int32_t partition, size_t kind)
{
    struct stage_partition *p = find(s, partition);

    CHECK(p && kind < s->settings.kinds->count);
    p->counted.counts[kind]++;
}

void bus_stage_tallies(const struct bus_stage *s, bus_stage_tally_fn *each, void *arg)
{
    for (size_t i = 0; i < s->partition_count; i++)
        each(arg, s->partitions[i].partition, s->partitions[i].committed, &s->partitions[i].kept);
}

void bus_stage_view(const struct bus_stage *s, struct bus_stage_view *ret)
{
    *ret = (struct bus_stage_view){.partition_count = s->partition_count, .assigned = s->assigned};
    for (size_t i = 0; s->consumer && i < s->partition_count; i++) {
        int64_t end = bus_consumer_end(s->consumer, s->partitions[i].partition);

        ret->lag += MAX_OF(end - s->partitions[i].next, (int64_t)0);
    }
}
