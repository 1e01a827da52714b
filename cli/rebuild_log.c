/* rebuild_log.c - what the history's worker stored once is read again and put back.
 *
 * What lies behind a partition's position is left to the worker. A partition without a position, whose files were lost, is
 * read to the log's end as of now, and the worker goes on from there: with the counts of all records before, as
 * if it had read them itself (`trailctl reconcile`).
 */
#include <stdio.h>

#include "cli/rebuild.h"
#include "core/intake.h"

#define POLL_MS  1000
#define STALL_MS 60000 /* without a record: an open transaction, or Kafka is away */

struct reading {
    struct rebuild *rebuild;
    int32_t partition;
    int64_t next, to;
    struct tally tally;
};

static int take(struct reading *g, const struct bus_record *record, struct why *reterr_why)
{
    static struct event event; /* large */
    enum intake intake;
    struct why why = {0};
    struct str header;
    bool change = bus_record_header(record, HEADER_CHANGE, &header);
    int r = intake_decide(record->value, change, &intake, &event, &why);

    if (r == 0 && intake == INTAKE_INDEXED)
        r = rebuild_add(g->rebuild, &g->rebuild->log, g->partition, &event, &why);
    if (r < 0)
        return why_set(reterr_why, r, "%s/%d at offset %lld: %s", g->rebuild->topic.text,
                       g->partition, (long long)record->offset, why.text);
    g->tally.gaps += record->offset - g->next;
    g->tally.counts[intake_kind_of(change, intake)]++;
    g->next = record->offset + 1;
    return 0;
}

/* 1: all is read. */
static int take_input(struct reading *g, const struct bus_input *input, struct why *reterr_why)
{
    int r = 0;

    switch (input->kind) {
    case BUS_INPUT_RECORD:
        if (input->record.offset < g->to)
            r = take(g, &input->record, reterr_why);
        return r < 0 ? r : input->record.offset + 1 >= g->to;
    case BUS_INPUT_END:
        return input->offset >= g->to;
    case BUS_INPUT_OUT_OF_RANGE:
        return why_set(reterr_why, -ERR_ABORTED,
                       "%s/%d lost records while it was read: run it again", g->rebuild->topic.text,
                       g->partition);
    default:
        return 0;
    }
}

static int read_on(struct reading *g, struct why *reterr_why)
{
    struct bus_position position = {g->partition, g->next};
    AUTO(bus_reader_close) struct bus_reader *reader = NULL;
    int64_t from = g->next, waited_ms = 0;
    int r = bus_reader_open(&g->rebuild->deployment->bus, g->rebuild->topic.text, true, &position,
                            1, &reader, reterr_why);

    while (r == 0) {
        struct bus_input input = {0};

        r = bus_reader_poll(reader, POLL_MS, &input);
        if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
            return why_set(reterr_why, r, "cannot read %s", g->rebuild->topic.text);
        if (r == 0)
            r = take_input(g, &input, reterr_why);
        else
            r = 0;
        waited_ms = input.kind == BUS_INPUT_RECORD ? 0 : waited_ms + POLL_MS;
        if (r == 0 && waited_ms > STALL_MS)
            r = why_set(reterr_why, -ERR_TIMEOUT,
                        "%s/%d: nothing came for %d s at offset %lld, and there is more up to %lld",
                        g->rebuild->topic.text, g->partition, STALL_MS / 1000, (long long)g->next,
                        (long long)g->to);
        rebuild_say(g->rebuild, "%s/%d: %lld of %lld offsets", g->rebuild->topic.text, g->partition,
                    (long long)(g->next - from), (long long)(g->to - from));
    }
    return MIN_OF(r, 0);
}

/* What there is to read of a partition; *ret_begin: it has no position, and needs one afterwards. */
static int plan(struct rebuild *b, struct bus_admin *admin, int32_t partition, int64_t *ret_from,
                int64_t *ret_to, bool *ret_begin, struct why *reterr_why)
{
    const struct history_position *at = history_restorer_position(b->restorer, partition);
    struct intake_start start = {.stored_next = at ? at->next : -1,
                                 .stored_generation = str_from(at ? at->generation : ""),
                                 .generation =
                                     control_generation(b->control, str_from(b->topic.text)),
                                 .accept_loss = true};
    int64_t goes_on;
    int r = bus_admin_watermarks(admin, b->topic.text, partition, &start.log_start, &start.log_end,
                                 reterr_why);

    if (r == 0)
        r = intake_begin(&start, &goes_on, reterr_why);
    if (r < 0)
        return r;
    *ret_begin = start.stored_next < 0;
    *ret_from = start.log_start;
    *ret_to = MAX_OF(*ret_begin ? start.log_end : start.stored_next, start.log_start);
    return 0;
}

static int give_position(struct reading *g, struct why *reterr_why)
{
    struct rebuild *b = g->rebuild;
    char note[TALLY_TEXT_SIZE];

    g->tally.gaps += g->to - g->next;
    CHECK(tally_render(&g->tally, note) == 0); /* three kinds fit */
    return history_restorer_begin(b->restorer, g->partition,
                                  control_generation(b->control, str_from(b->topic.text)), g->to,
                                  str_from(note), reterr_why);
}

static int read_partition(struct rebuild *b, struct bus_admin *admin, int32_t partition,
                          struct why *reterr_why)
{
    struct reading g = {.rebuild = b, .partition = partition};
    struct rebuild_counts before = b->log;
    int64_t from;
    bool begin;
    int r = plan(b, admin, partition, &from, &g.to, &begin, reterr_why);

    if (r < 0)
        return r;
    g.next = from;
    tally_begin(&g.tally, &intake_kinds, from);
    if (g.next < g.to)
        r = read_on(&g, reterr_why);
    if (r == 0)
        r = begin && !b->dry ? give_position(&g, reterr_why)
                             : history_restorer_commit(b->restorer, reterr_why);
    if (r < 0)
        return r;
    printf("%s/%d, offsets %lld to %lld: %lld events, %lld of them %s\n", b->topic.text, partition,
           (long long)from, (long long)g.to, (long long)(b->log.events - before.events),
           (long long)(b->log.restored - before.restored), b->dry ? "missing" : "put back");
    if (from > 0)
        printf("  what lay before offset %lld has left the log: only objects have it\n",
               (long long)from);
    return 0;
}

int rebuild_from_log(struct rebuild *b, struct why *reterr_why)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    int r = bus_admin_open(&b->deployment->bus, &admin, reterr_why);

    for (int32_t p = 0; p < b->partitions && r == 0; p++)
        r = read_partition(b, admin, p, reterr_why);
    return r;
}
