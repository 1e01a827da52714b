/* storing.c - events.<region> -> the history of 90 days, which LookupEvents reads
 *
 * Takes each event that is meant for the history into the store of its partition, and drops days that are
 * too old. What becomes of a record and where a partition is begun is decided in core/.
 *
 * Guarantee: exactly once. The store, not the consumer group, says where a partition goes on; it keeps
 * that offset with the events. The group shares the partitions out and shows the lag.
 * One process at a time writes a partition's files: a lock beside them keeps a second one out, which
 * waits until the first is gone.
 *
 * Any error of class retry (Kafka away, a partition locked, no space) ends serve(): everything is
 * closed, what was not committed is forgotten, and after a while it all begins again from the store.
 */
#include "storing.h"

#include "bus/bus.h"
#include "control/control.h"
#include "core/intake.h"
#include "history/history.h"
#include "log/log.h"
#include "state/heartbeat.h"

#define POLL_MS            200
#define CONTROL_TIMEOUT_MS 15000
#define GROUP_COMMIT_MS    1000
#define EXPIRE_MS          (3600 * 1000LL)

enum { STORED, DUPLICATE, EXPIRED_DAYS, COUNTER_COUNT };

struct part {
    struct history_writer *writer; /* NULL: not ours */
    struct tally kept, counted;    /* up to the last commit, up to `next` */
    int64_t next;                  /* behind the last record taken */
    bool moved;                    /* since the last commit */
};

struct worker {
    struct daemon *daemon;
    const struct history_config *config;
    struct bus_settings bus;
    struct str region;
    struct topic_name topic;
    struct bus_consumer *consumer;
    struct part parts[BUS_PARTITIONS_MAX];
    size_t part_count; /* ours */
    bool assigned;
    struct batch batch;
    int64_t group_commit_ms, expire_ms; /* due then */
    int64_t newest_ms;                  /* LogAppendTime of the newest record; 0: none yet */
    bool group_late;                    /* the store has more than the group was told */
    uint64_t counted[COUNTER_COUNT];    /* committed */
    uint64_t pending[COUNTER_COUNT];    /* in the batch */
    uint64_t passed[INTAKE_COUNT];
};

/* ---- partitions ---------------------------------------------------------------------------------- */

static void forget_partitions(struct worker *w)
{
    for (size_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        history_writer_close(w->parts[i].writer);
        w->parts[i] = (struct part){0};
    }
    w->part_count = 0;
    w->assigned = false;
    w->batch = (struct batch){0};
    memset(w->pending, 0, sizeof(w->pending));
}

static int apply_control(void *arg, const struct bus_record *record)
{
    int r = control_apply(arg, record->key, record->value, record->tombstone, NULL);
    return r == -ERR_NOMEM ? r : 0; /* the API and delivery look at what cannot be applied */
}

static int read_control(struct worker *w, struct control *control, struct why *reterr_why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int64_t next;
    int r = bus_read_to_end(&w->bus, topic.text, 0, 0, CONTROL_TIMEOUT_MS, apply_control, control,
                            &next, reterr_why);
    if (r < 0)
        return r;
    if (control_generation(control, str_from(w->topic.text)).len == 0)
        return why_set(reterr_why, -ERR_CONFIG,
                       "control knows no generation of %s: run `trailctl topics apply`",
                       w->topic.text);
    return 0;
}

static int expire(struct worker *w, struct part *part, struct why *reterr_why)
{
    size_t dropped = 0;
    int r = history_writer_expire(part->writer, intake_expiry_ms(daemon_now_ms(), w->newest_ms),
                                  &dropped, reterr_why);
    w->counted[EXPIRED_DAYS] += dropped;
    return r;
}

/* Opens the partition's store and finds where to read on. */
static int begin_partition(struct worker *w, struct bus_admin *admin, struct str generation,
                           int32_t number, struct why *reterr_why)
{
    struct part *part = &w->parts[number];
    const struct history_position *position;
    struct intake_start start = {.generation = generation,
                                 .accept_loss = w->config->history.accept_loss};
    int64_t from;
    int r = history_writer_open(w->config->history.directory.at, w->region, number, &part->writer,
                                reterr_why);
    if (r < 0)
        return r;
    w->part_count++;
    r = bus_admin_watermarks(admin, w->topic.text, number, &start.log_start, &start.log_end,
                             reterr_why);
    if (r < 0)
        return r;
    position = history_writer_position(part->writer);
    start.stored_generation = str_from(position->generation);
    start.stored_next = position->next;
    r = intake_begin(&start, &from, reterr_why);
    if (r < 0)
        return r;
    if (from > MAX_OF(position->next, (int64_t)0))
        log_warning("%s/%d: %lld records are gone and were never read", w->topic.text, number,
                    (long long)(from - MAX_OF(position->next, (int64_t)0)));
    if (position->next < 0)
        r = history_writer_begin(part->writer, generation, from, reterr_why);
    if (r == 0)
        r = expire(w, part, reterr_why);
    part->next = from;
    if (tally_parse(str_from(position->note), &intake_kinds, &part->kept) < 0)
        tally_begin(&part->kept, &intake_kinds, from);
    part->counted = part->kept;
    return r;
}

static int take_assignment(struct worker *w, const struct bus_input *input, struct why *reterr_why)
{
    struct bus_position positions[BUS_PARTITIONS_MAX];
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO(control_free) struct control *control = control_new();
    size_t count = input->position_count;
    int r;

    CHECK(count <= BUS_PARTITIONS_MAX);
    if (!control)
        return -ERR_NOMEM;
    if ((r = read_control(w, control, reterr_why)) < 0 ||
        (r = bus_admin_open(&w->bus, &admin, reterr_why)) < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        int32_t number = input->positions[i].partition;
        r = begin_partition(w, admin, control_generation(control, str_from(w->topic.text)), number,
                            reterr_why);
        if (r < 0)
            return r;
        positions[i] = (struct bus_position){number, w->parts[number].next};
    }
    r = bus_consumer_assign(w->consumer, positions, count);
    if (r < 0)
        return why_set(reterr_why, r, "cannot begin to read %s", w->topic.text);
    w->assigned = true;
    w->group_late = true; /* a crash may have come between the store and the group */
    daemon_ready(w->daemon);
    (void)daemon_backoff(w->daemon, 0, NULL); /* whatever failed before is over */
    log_info("%zu partitions of %s are ours", count, w->topic.text);
    return 0;
}

/* ---- records ------------------------------------------------------------------------------------- */

/* Tells the group where we are, for those who look at its lag. */
static int commit_group(struct worker *w, bool wait)
{
    struct bus_position positions[BUS_PARTITIONS_MAX];
    size_t count = 0;

    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        if (w->parts[i].writer)
            positions[count++] = (struct bus_position){i, w->parts[i].next};
    return bus_consumer_commit(w->consumer, positions, count, wait);
}

/* Now and then; only while nothing waits for the store. */
static void tell_group(struct worker *w)
{
    int64_t now_ms = daemon_monotonic_ms();

    if (!w->group_late || now_ms < w->group_commit_ms)
        return;
    (void)commit_group(w, false);
    w->group_late = false;
    w->group_commit_ms = now_ms + GROUP_COMMIT_MS;
}

static int commit_part(struct part *part, struct why *reterr_why)
{
    char note[TALLY_TEXT_SIZE];
    int r = tally_render(&part->counted, note);

    CHECK(r == 0); /* three kinds fit */
    history_writer_note(part->writer, str_from(note));
    r = history_writer_commit(part->writer, part->next, reterr_why);
    part->moved = false;
    part->kept = part->counted;
    return r;
}

static int commit(struct worker *w, struct why *reterr_why)
{
    int r = 0;

    for (size_t i = 0; i < BUS_PARTITIONS_MAX && r == 0; i++) {
        if (!w->parts[i].moved)
            continue;
        r = commit_part(&w->parts[i], reterr_why);
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        w->counted[i] += w->pending[i];
    memset(w->pending, 0, sizeof(w->pending));
    w->batch = (struct batch){0};
    w->group_late = true;
    return 0;
}

static void move(struct worker *w, int32_t partition, int64_t next)
{
    struct part *part = &w->parts[partition];
    CHECK(part->writer);
    if (next <= part->next)
        return;
    part->counted.gaps += next - part->next;
    part->next = next;
    part->moved = true;
    batch_move(&w->batch, daemon_monotonic_ms());
}

static int add(struct worker *w, const struct bus_record *record, const struct event *event,
               struct why *reterr_why)
{
    struct history_writer *writer = w->parts[record->partition].writer;
    int r = history_writer_add(writer, event, record->offset, reterr_why);
    if (r == -ERR_LIMIT) {
        r = commit(w, reterr_why);
        if (r == 0)
            r = history_writer_add(writer, event, record->offset, reterr_why);
    }
    if (r < 0)
        return r;
    w->pending[r == 1 ? STORED : DUPLICATE]++;
    batch_add(&w->batch, event->document.len, daemon_monotonic_ms());
    return 0;
}

/* A record that comes again, from before the position, was counted. */
static void count(struct part *part, int64_t offset, size_t kind)
{
    if (offset < part->next)
        return;
    part->counted.counts[kind]++;
    part->counted.gaps--; /* of those that move() will add */
}

static int take_record(struct worker *w, const struct bus_record *record, struct why *reterr_why)
{
    struct event event;
    enum intake intake;
    struct why why = {0};
    struct str change;
    bool changes = bus_record_header(record, HEADER_CHANGE, &change);
    int r = intake_decide(record->value, changes, &intake, &event, &why);

    CHECK(w->parts[record->partition].writer);
    if (r == 0 && intake == INTAKE_INDEXED)
        r = add(w, record, &event, &why);
    if (r < 0)
        return why_set(reterr_why, r, "%s/%d at offset %lld: %s", w->topic.text, record->partition,
                       (long long)record->offset, why.text);
    w->passed[intake]++;
    w->newest_ms = MAX_OF(w->newest_ms, record->time_ms);
    count(&w->parts[record->partition], record->offset, intake_kind_of(changes, intake));
    move(w, record->partition, record->offset + 1);
    return 0;
}

/* ---- start and loop ------------------------------------------------------------------------------ */

static int take_revocation(struct worker *w, bool in_time, struct why *reterr_why)
{
    int r = commit(w, reterr_why);
    if (r == 0 && in_time)
        (void)commit_group(w, true);
    forget_partitions(w);
    if (r == 0 && bus_consumer_unassign(w->consumer) < 0)
        r = why_set(reterr_why, -ERR_UNAVAILABLE, "cannot give partitions back");
    return r;
}

static int take_input(struct worker *w, const struct bus_input *input, struct why *reterr_why)
{
    switch (input->kind) {
    case BUS_INPUT_NONE:
        return 0;
    case BUS_INPUT_RECORD:
        return take_record(w, &input->record, reterr_why);
    case BUS_INPUT_END:
        move(w, input->partition, input->offset);
        return 0;
    case BUS_INPUT_ASSIGNED:
        return take_assignment(w, input, reterr_why);
    case BUS_INPUT_REVOKED:
        return take_revocation(w, true, reterr_why);
    case BUS_INPUT_LOST:
        return take_revocation(w, false, reterr_why);
    case BUS_INPUT_OUT_OF_RANGE: /* begin_partition() knows what to say, or goes on */
        return why_set(reterr_why, -ERR_ABORTED, "%s/%d: offset %lld is not in the log",
                       w->topic.text, input->partition, (long long)input->offset);
    }
    return -ERR_BUG;
}

static int expire_when_due(struct worker *w, struct why *reterr_why)
{
    int64_t now_ms = daemon_monotonic_ms();
    int r = 0;

    if (now_ms < w->expire_ms || w->newest_ms == 0)
        return 0;
    for (size_t i = 0; i < BUS_PARTITIONS_MAX && r == 0; i++)
        if (w->parts[i].writer)
            r = expire(w, &w->parts[i], reterr_why);
    w->expire_ms = now_ms + EXPIRE_MS;
    return r;
}

static int step(struct worker *w, struct why *reterr_why)
{
    struct bus_input input;
    int64_t wait_ms = batch_wait_ms(&w->batch, daemon_monotonic_ms());
    int r = 0;

    if (w->batch.events == 0)
        r = expire_when_due(w, reterr_why);
    if (r < 0)
        return r;
    if (wait_ms < 0)
        tell_group(w);
    if (wait_ms != 0) {
        r = bus_consumer_poll(w->consumer, (int)(wait_ms < 0 ? POLL_MS : MIN_OF(wait_ms, POLL_MS)),
                              &input);
        return r < 0 ? why_set(reterr_why, r, "cannot read %s", w->topic.text)
                     : take_input(w, &input, reterr_why);
    }
    r = commit(w, reterr_why);
    if (r == 0)
        tell_group(w);
    return r;
}

static void beat(struct worker *w, struct heartbeat *heartbeat, const char *state, bool last)
{
    struct heartbeat_counter counters[] = {
        {"stored", w->counted[STORED]},
        {"duplicate", w->counted[DUPLICATE]},
        {"expired_days", w->counted[EXPIRED_DAYS]},
        {intake_name(INTAKE_CHANGE), w->passed[INTAKE_CHANGE]},
        {intake_name(INTAKE_NOT_HISTORY), w->passed[INTAKE_NOT_HISTORY]},
    };
    struct heartbeat_view view = {.state = state,
                                  .partitions = w->part_count,
                                  .counters = counters,
                                  .counter_count = ARRAY_LEN(counters)};

    for (size_t i = 0; i < INTAKE_COUNT; i++)
        view.records += w->passed[i];
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX && w->consumer; i++)
        if (w->parts[i].writer)
            view.lag += MAX_OF(bus_consumer_end(w->consumer, i) - w->parts[i].next, (int64_t)0);
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX && w->assigned; i++) /* all of them are begun then */
        if (w->parts[i].writer)
            heartbeat_tally(heartbeat, i, history_writer_position(w->parts[i].writer)->next,
                            &w->parts[i].kept);
    if (last)
        heartbeat_end(heartbeat, daemon_now_ms(), &view);
    else
        heartbeat_beat(heartbeat, daemon_now_ms(), &view);
}

static int serve(struct worker *w, struct heartbeat *heartbeat, struct why *reterr_why)
{
    char group[GROUP_NAME_SIZE];
    int r;

    group_name(STR("history"), w->region, group);
    r = bus_consumer_open(&w->bus, w->topic.text, group, &w->consumer, reterr_why);
    while (r == 0 && daemon_running(w->daemon)) {
        r = step(w, reterr_why);
        if (heartbeat_due(heartbeat, daemon_now_ms()))
            beat(w, heartbeat, w->assigned ? "running" : "waiting", false);
    }
    if (r == 0 && w->assigned) {
        r = commit(w, reterr_why);
        if (r == 0)
            (void)commit_group(w, true);
    }
    forget_partitions(w);
    bus_consumer_close(w->consumer);
    w->consumer = NULL;
    return r;
}

int storing(struct daemon *daemon, void *config)
{
    AUTO_FREE struct worker *w = calloc(1, sizeof(*w)); /* large: tables for every partition */
    AUTO(state_close) struct state *state = NULL;
    struct heartbeat heartbeat = {.worker = STR("history"),
                                  .region = daemon_region(daemon),
                                  .instance = daemon_instance(daemon)};
    struct why why = {0};
    int r;

    if (!w)
        return log_error(-ERR_NOMEM, "cannot start");
    w->daemon = daemon;
    w->config = config;
    w->bus = (struct bus_settings){w->config->bus.brokers, daemon_instance(daemon)};
    w->region = daemon_region(daemon);
    w->topic = topic_name(TOPIC_EVENTS, w->region);
    r = state_open(w->config->state.redis, &state, &why);
    if (r < 0)
        return log_error(r, "cannot start: %s", why.text);
    heartbeat.state = state;
    do {
        r = daemon_backoff(daemon, serve(w, &heartbeat, &why), &why);
    } while (r == 0 && daemon_running(daemon));
    beat(w, &heartbeat, "ended", true);
    return r < 0 ? log_error(r, "cannot go on: %s", why.text) : 0;
}
