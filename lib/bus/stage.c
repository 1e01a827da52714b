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
 * Where a group stands decides whether events are doubled, and its coordinator may say an older offset than the committed one, or
 * none, while it loads the group (docs/decisions/0004). So what it said is believed only when it still says so after the first offsets
 * of a new assignment were written, and never below what we have committed ourselves.
 */
#include "bus/stage.h"

#include "log/log.h"

struct stage_partition {
    int32_t partition;
    int64_t committed;          /* where the next transaction's input begins */
    int64_t next;               /* behind what was read */
    struct tally kept, counted; /* up to `committed`, up to `next` */
};

struct bus_stage {
    struct bus_stage_settings settings;
    struct bus_stage_owner owner;
    struct bus_consumer *consumer;
    struct bus_producer *producer;
    struct stage_partition partitions[BUS_PARTITIONS_MAX];
    size_t partition_count;
    bool assigned;     /* told to the owner, and reading */
    bool confirmed;    /* where the partitions were begun is where the group stood */
    bool open;         /* a transaction is */
    int64_t opened_ms; /* when it was begun */
    int64_t idle_commit_ms;
    size_t records;                      /* in it */
    int64_t reached[BUS_PARTITIONS_MAX]; /* by partition: we have committed it */
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
    s->assigned = s->confirmed = s->open = false;
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
    r = open_handles(s, reterr_why);
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

/* Asked behind offsets that the group's coordinator has just written: it refuses to while it knows less than the log of all
 * groups. Nobody else has moved the partitions since they are ours. */
static int confirm_start(struct bus_stage *s, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int64_t told[BUS_PARTITIONS_MAX];
    int32_t count = 0;
    int r = bus_admin_open(&s->settings.bus, &admin, reterr_why);

    for (size_t i = 0; i < s->partition_count; i++)
        count = MAX_OF(count, s->partitions[i].partition + 1);
    if (r == 0)
        r = bus_admin_committed(admin, s->settings.group, s->settings.topic, count, told,
                                reterr_why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->partition_count; i++) {
        const struct stage_partition *p = &s->partitions[i];
        int64_t stands = told[p->partition] == BUS_OFFSET_NONE ? 0 : told[p->partition];

        if (stands != p->committed)
            return why_set(reterr_why, -ERR_ABORTED,
                           "%s/%d was begun at %lld, and group %s stands at %lld",
                           s->settings.topic, p->partition, (long long)p->committed,
                           s->settings.group, (long long)stands);
    }
    s->confirmed = true;
    return 0;
}

static int commit_offsets(struct bus_stage *s, struct why *reterr_why)
{
    struct bus_position positions[BUS_PARTITIONS_MAX];
    AUTO_FREE char(*notes)[TALLY_TEXT_SIZE] = calloc(s->partition_count + 1, sizeof(*notes));
    size_t count = 0;
    int64_t deadline_ms = bus_clock_ms() + STAGE_COMMIT_WAIT_MS;
    int r;

    if (!notes)
        return -ERR_ABORTED;
    for (size_t i = 0; i < s->partition_count; i++) {
        const struct stage_partition *p = &s->partitions[i];

        if (p->next == p->committed)
            continue;
        if (tally_render(&p->counted, notes[count]) < 0)
            return why_set(reterr_why, -ERR_ABORTED, "too many kinds of outcomes are counted");
        positions[count] = (struct bus_position){p->partition, p->next, str_from(notes[count])};
        count++;
    }
    r = count ? bus_send_offsets(s->producer, s->consumer, positions, count, BUS_CALL_TIMEOUT_MS,
                                 reterr_why)
              : 0;
    if (r < 0)
        return r == -ERR_FENCED ? r : -ERR_ABORTED;
    if (count && !s->confirmed && confirm_start(s, reterr_why) < 0)
        return -ERR_ABORTED;
    do {
        r = bus_commit(s->producer, BUS_CALL_TIMEOUT_MS, reterr_why);
    } while (r < 0 && r != -ERR_FENCED && r != -ERR_ABORTED && bus_clock_ms() < deadline_ms);
    return r;
}

static int commit(struct bus_stage *s, struct why *reterr_why)
{
    int r = commit_offsets(s, reterr_why);

    if (r < 0)
        return give_up(s, r == -ERR_ABORTED ? r : -ERR_FENCED);
    for (size_t i = 0; i < s->partition_count; i++) {
        s->partitions[i].committed = s->partitions[i].next;
        s->reached[s->partitions[i].partition] = s->partitions[i].next;
        s->partitions[i].kept = s->partitions[i].counted;
    }
    s->open = false;
    s->records = 0;
    s->idle_commit_ms = bus_clock_ms() + STAGE_IDLE_COMMIT_MS;
    s->owner.committed(s->owner.arg);
    return 0;
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
 * asks whether we have passed an offset sees it (delivery protocol, rule 19). */
static int commit_if_idle(struct bus_stage *s, struct why *reterr_why)
{
    bool moved = false;
    int r;

    if (s->open || bus_clock_ms() < s->idle_commit_ms)
        return 0;
    for (size_t i = 0; i < s->partition_count; i++)
        moved |= s->partitions[i].next != s->partitions[i].committed;
    s->idle_commit_ms = bus_clock_ms() + STAGE_IDLE_COMMIT_MS;
    if (!moved)
        return 0;
    r = begin(s, reterr_why);
    return r < 0 ? r : commit(s, reterr_why);
}

static void begin_partition(struct bus_stage *s, int32_t partition, int64_t offset, struct str note)
{
    struct stage_partition *p = &s->partitions[s->partition_count++];

    *p = (struct stage_partition){.partition = partition, .committed = offset, .next = offset};
    if (tally_parse(note, s->settings.kinds, &p->kept) < 0)
        tally_begin(&p->kept, s->settings.kinds, offset);
    p->counted = p->kept;
}

/* Where a partition goes on: at its committed offset, which has to lie in the log and not below what we know of it. */
static int find_start(struct bus_stage *s, struct bus_admin *admin,
                      const struct bus_position *given, int64_t *ret_offset, struct why *reterr_why)
{
    const char *topic = s->settings.topic;
    int64_t low, high, reached = s->reached[given->partition];
    int64_t stands = given->offset == BUS_OFFSET_NONE ? 0 : given->offset;
    int r;

    if (stands < reached)
        return why_set(
            reterr_why, -ERR_UNAVAILABLE,
            "group %s says that it stands at %lld of %s/%d, where we have committed %lld",
            s->settings.group, (long long)stands, topic, given->partition, (long long)reached);
    r = bus_admin_watermarks(admin, topic, given->partition, &low, &high, reterr_why);
    if (r < 0)
        return r;
    if (bus_first_offset(given->offset, low, ret_offset) < 0)
        return why_set(reterr_why, -ERR_RANGE,
                       "%s/%d begins at %lld and group %s has no committed offset: records were "
                       "there and are gone",
                       topic, given->partition, (long long)low, s->settings.group);
    if (*ret_offset < low)
        return why_set(reterr_why, -ERR_RANGE,
                       "%s/%d has no offset %lld any more: records were lost before they were read",
                       topic, given->partition, (long long)*ret_offset);
    if (*ret_offset > high)
        return why_set(
            reterr_why, -ERR_RANGE,
            "%s/%d ends at %lld, before the committed offset %lld: the log was truncated", topic,
            given->partition, (long long)high, (long long)*ret_offset);
    return 0;
}

static int take_assignment(struct bus_stage *s, const struct bus_input *input,
                           struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct bus_position positions[BUS_PARTITIONS_MAX];
    int r = bus_admin_open(&s->settings.bus, &admin, reterr_why);

    if (r < 0)
        return r;
    CHECK(input->position_count <= BUS_PARTITIONS_MAX);
    s->partition_count = 0;
    s->confirmed = false;
    for (size_t i = 0; i < input->position_count; i++) {
        const struct bus_position *given = &input->positions[i];
        int64_t offset;

        r = find_start(s, admin, given, &offset, reterr_why);
        if (r < 0)
            return r;
        positions[i] = (struct bus_position){given->partition, offset, STR_NONE};
        begin_partition(s, given->partition, offset, given->note);
    }
    r = s->owner.assigned(s->owner.arg, positions, input->position_count, reterr_why);
    if (r == 0)
        r = bus_consumer_assign(s->consumer, positions, input->position_count);
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
