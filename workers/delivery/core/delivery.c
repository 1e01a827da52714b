/* delivery.c - streams, their readers and their uploads. The essay is in delivery.h. */
#include "delivery.h"

#include <stdio.h>

#define STREAM_SLOTS  8192
#define EFFECTS_FIRST 64

enum stream_state {
    STARTING, /* progress or listing is asked for; nothing is offered */
    LATE,     /* fed by the catch-up reader */
    JOINED,   /* fed by the shared reader */
    PARKED,   /* its destination fails: no buffer, cursor at the boundary (rule 12) */
    STUCK,    /* parked for itself: an operator has to look */
    ENDED,    /* its chain has ended and is delivered (rule 14) */
};

enum upload_state {
    UPLOAD_NONE,
    UPLOAD_PUT,  /* a PUT is under way: nothing else is sent (rule 10) */
    UPLOAD_HEAD, /* its key exists: what is it? (rule 11) */
    UPLOAD_WAIT, /* again at retry_ms, PUT or HEAD as `flight_head` says */
};

/* A bucket, with all streams that go there: they fail together (rule 12). */
struct target {
    char *name; /* bucket */
    bool parked;
    uint64_t probing;   /* the stream that asks whether it is back */
    int64_t failing_ms; /* since when; 0: works */
    int64_t backoff_ms;
    int64_t retry_ms; /* when to probe */
    struct target *next;
};

struct stream {
    uint64_t id;
    int32_t partition;
    char *trail, *account, *bucket, *prefix;
    int64_t destination; /* number */
    char chain[TRAIL_CHAIN_SIZE];
    int64_t created_s;
    struct target *target;
    enum stream_state state;
    int64_t origin, end;      /* of the chain here; end: INT64_MAX while it lives */
    int64_t boundary, cursor; /* cursor: stored; see stream_cursor() */
    bool listed;              /* asked for since the start began */
    int64_t listed_log_start; /* where the log began then, as far as was known */
    bool end_asked;           /* likewise: the log's end */

    struct delivery_record **records; /* matches in order; the first `sealed` are under way */
    size_t count, cap, sealed;
    int64_t bytes;

    enum upload_state upload;
    struct delivery_meta flight; /* what is under way */
    int64_t flight_time_ms;      /* LogAppendTime of its first record */
    bool flight_head;            /* while it waits: for a HEAD */
    int64_t retry_ms, backoff_ms;

    struct account counts;
    int64_t written_boundary, written_clear, written_ms; /* progress */
    uint64_t written_loss;                               /* after so many losses of it */
    struct {
        int64_t ms, boundary, cursor, waiting;
        uint64_t loss;
        enum stream_state state;
    } shown;
    struct stream *next_in_slot, *next_in_id_slot;
    struct stream *next; /* in its partition */
};

struct partition {
    bool assigned;
    int64_t log_start, log_end;
    int64_t shared;    /* the shared reader has dispatched all below */
    int64_t caught;    /* the catch-up reader has dispatched all below; -1: not running */
    int64_t committed; /* by us; -1: nothing yet */
    struct stream *streams;
};

struct delivery {
    struct delivery_settings settings;
    struct trail_book *book;
    char *region, *topic, *generation;
    struct partition partitions[DELIVERY_PARTITIONS_MAX];
    struct stream *slots[STREAM_SLOTS]; /* by trail, destination, partition */
    struct stream *ids[STREAM_SLOTS];
    struct target *targets;
    struct delivery_effect *effects; /* queue */
    size_t effect_first, effect_count, effect_cap;
    uint64_t next_id, random;
    uint64_t losses; /* of written progress */
    int64_t now_ms, commit_ms;
    int64_t bytes; /* buffered */
    size_t uploads, starting;
    uint64_t delivered, objects;
    bool draining;
    int error;                      /* -ERR_NOMEM, for good: delivery_error() */
    struct delivery_effect nowhere; /* what there was no memory for */
};

/* ---- small things ---------------------------------------------------------------------------------- */

static uint64_t next_random(struct delivery *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return d->random;
}

static int64_t jittered(struct delivery *d, int64_t ms)
{
    return ms / 2 + (int64_t)(next_random(d) % (uint64_t)(ms / 2 + 1));
}

static int64_t grow_backoff(const struct delivery *d, int64_t ms)
{
    return ms ? MIN_OF(ms * 2, d->settings.retry_max_ms) : d->settings.retry_first_ms;
}

static size_t slot_of(struct str trail, int64_t destination, int32_t partition)
{
    return str_hash(trail, (uint64_t)destination << 20 ^ (uint64_t)partition) % STREAM_SLOTS;
}

static struct stream *stream_find(const struct delivery *d, struct str trail, int64_t destination,
                                  int32_t partition)
{
    struct stream *s = d->slots[slot_of(trail, destination, partition)];

    while (s && !(s->partition == partition && s->destination == destination &&
                  str_eq(str_from(s->trail), trail)))
        s = s->next_in_slot;
    return s;
}

/* Ids are never used again, so the answer to a stream that is gone, or began anew, finds nobody. */
static struct stream *stream_by_id(const struct delivery *d, uint64_t id)
{
    struct stream *s = d->ids[id % STREAM_SLOTS];

    while (s && s->id != id)
        s = s->next_in_id_slot;
    return s;
}

static void id_give(struct delivery *d, struct stream *s)
{
    struct stream **slot;

    s->id = ++d->next_id;
    slot = &d->ids[s->id % STREAM_SLOTS];
    s->next_in_id_slot = *slot;
    *slot = s;
}

static void id_take(struct delivery *d, const struct stream *s)
{
    struct stream **at = &d->ids[s->id % STREAM_SLOTS];

    while (*at != s)
        at = &(*at)->next_in_id_slot;
    *at = s->next_in_id_slot;
}

/* Where the stream stands. A joined one has been offered all that the shared reader has dispatched
 * (rule 7); none goes beyond its chain's end. */
static int64_t stream_cursor(const struct delivery *d, const struct stream *s)
{
    int64_t cursor = s->cursor;

    if (s->state == JOINED)
        cursor = MAX_OF(cursor, d->partitions[s->partition].shared);
    cursor = MIN_OF(cursor, s->end);
    CHECK(cursor >= s->boundary); /* rule 7 */
    return cursor;
}

static int64_t stream_clear(const struct delivery *d, const struct stream *s) /* rule 17 */
{
    if (s->count)
        return s->records[0]->offset;
    /* Under way without a buffer: it was parked meanwhile, and the cursor is back at the boundary. */
    return stream_cursor(d, s);
}

/* ---- effects ----------------------------------------------------------------------------------------- */

/* From here on no effect comes out any more: what happened since counts as little as if we had crashed. */
static struct delivery_effect *no_memory(struct delivery *d)
{
    d->error = -ERR_NOMEM;
    d->nowhere = (struct delivery_effect){0};
    return &d->nowhere;
}

static struct delivery_effect *effect_add(struct delivery *d, enum delivery_effect_kind kind,
                                          int32_t partition)
{
    struct delivery_effect *e;

    if (d->effect_count == d->effect_cap) {
        size_t cap = d->effect_cap ? d->effect_cap * 2 : EFFECTS_FIRST;
        struct delivery_effect *effects = malloc(cap * sizeof(*effects));

        if (!effects)
            return no_memory(d);
        for (size_t i = 0; i < d->effect_count; i++)
            effects[i] = d->effects[(d->effect_first + i) % d->effect_cap];
        free(d->effects);
        d->effects = effects;
        d->effect_cap = cap;
        d->effect_first = 0;
    }
    e = &d->effects[(d->effect_first + d->effect_count++) % d->effect_cap];
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    e->partition = partition;
    return e;
}

static struct delivery_effect *effect_of(struct delivery *d, enum delivery_effect_kind kind,
                                         const struct stream *s)
{
    struct delivery_effect *e = effect_add(d, kind, s->partition);

    e->stream = s->id;
    e->trail = str_from(s->trail);
    e->account = str_from(s->account);
    e->bucket = str_from(s->bucket);
    e->prefix = str_from(s->prefix);
    e->chain = str_of(s->chain, TRAIL_CHAIN_SIZE - 1);
    e->created_s = s->created_s;
    e->boundary = s->boundary;
    return e;
}

/* Effects of a stream that goes away are not carried out any more: its slices would dangle. */
static void effects_forget(struct delivery *d, uint64_t stream)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->effect_count; i++) {
        struct delivery_effect *e = &d->effects[(d->effect_first + i) % d->effect_cap];

        if (e->stream == stream)
            continue;
        d->effects[(d->effect_first + kept++) % d->effect_cap] = *e;
    }
    d->effect_count = kept;
}

/* Between a PUT's sealing and its sending another answer may have parked the stream: its buffer is gone, and
 * nothing has been sent. */
static bool put_stands(struct delivery *d, struct delivery_effect *e)
{
    struct stream *s = stream_by_id(d, e->stream);

    if (s->sealed == 0) {
        s->upload = UPLOAD_NONE;
        d->uploads--;
        return false;
    }
    e->records = (const struct delivery_record *const *)s->records;
    return true;
}

bool delivery_next(struct delivery *d, struct delivery_effect *ret)
{
    while (d->effect_count && d->error == 0) {
        *ret = d->effects[d->effect_first];
        d->effect_first = (d->effect_first + 1) % d->effect_cap;
        d->effect_count--;
        if (ret->kind != DELIVERY_PUT || put_stands(d, ret))
            return true;
    }
    return false;
}

/* Rule 17: one value, both parts of the same moment. Only what has settled is in the boundary. */
static void write_progress(struct delivery *d, struct stream *s)
{
    int64_t clear = stream_clear(d, s);
    struct delivery_effect *e;

    s->written_ms = d->now_ms;
    if (s->state == PARKED || s->state == STUCK || s->state == STARTING) /* rule 12: no `clear` */
        return;
    if (s->boundary == s->written_boundary && clear == s->written_clear &&
        s->written_loss == d->losses)
        return;
    s->written_loss = d->losses;
    e = effect_of(d, DELIVERY_WRITE_PROGRESS, s);
    e->boundary = s->written_boundary = s->boundary;
    e->clear = s->written_clear = clear;
    e->counts = s->counts;
    if (s->count)
        e->counts.filtered = s->records[0]->filtered;
}

static const char *state_name(const struct stream *s)
{
    switch (s->state) {
    case STARTING:
        return "starting";
    case LATE:
        return "late";
    case JOINED:
        return "current";
    case PARKED:
        return "parked";
    case STUCK:
        return "stuck";
    case ENDED:
        break;
    }
    return "ended";
}

/* What people see of it, when it is another than before. */
static void show(struct delivery *d, struct stream *s)
{
    int64_t cursor = s->state == ENDED ? s->end : stream_cursor(d, s);
    int64_t waiting = (int64_t)s->count;
    bool same = s->shown.boundary == s->boundary && s->shown.cursor == cursor &&
                s->shown.waiting == waiting && s->shown.state == s->state &&
                s->shown.loss == d->losses;
    struct delivery_effect *e;

    if (s->state == STARTING ||
        (s->shown.ms && (same || d->now_ms - s->shown.ms < d->settings.progress_ms)))
        return;
    s->shown.ms = d->now_ms ? d->now_ms : 1;
    s->shown.boundary = s->boundary;
    s->shown.cursor = cursor;
    s->shown.waiting = waiting;
    s->shown.state = s->state;
    s->shown.loss = d->losses;
    e = effect_of(d, DELIVERY_SHOW, s);
    e->offset = cursor;
    e->counts = s->counts;
    e->waiting = waiting;
    e->state = state_name(s);
}

/* ---- buffers ----------------------------------------------------------------------------------------- */

static void drop_first(struct delivery *d, struct stream *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->bytes -= (int64_t)s->records[i]->len;
        d->bytes -= (int64_t)s->records[i]->len;
        free(s->records[i]);
    }
    s->count -= n;
    if (s->count)
        memmove(s->records, s->records + n, s->count * sizeof(s->records[0]));
    s->sealed = 0;
}

static void drop_below(struct delivery *d, struct stream *s, int64_t offset)
{
    size_t n = 0;

    while (n < s->count && s->records[n]->offset < offset)
        n++;
    drop_first(d, s, n);
}

static void buffer_add(struct delivery *d, struct stream *s, int64_t offset, int64_t time_ms,
                       int64_t version, struct str document)
{
    struct delivery_record *record = malloc(sizeof(*record) + document.len);

    if (!record) {
        (void)no_memory(d);
        return;
    }
    CHECK(s->count == 0 || s->records[s->count - 1]->offset < offset); /* rule 7 */
    CHECK(offset >= s->boundary && offset < s->end);
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct delivery_record **records = realloc(s->records, cap * sizeof(s->records[0]));

        if (!records) {
            (void)no_memory(d);
            free(record);
            return;
        }
        s->records = records;
        s->cap = cap;
    }
    *record = (struct delivery_record){offset,      time_ms, version, d->now_ms, s->counts.filtered,
                                       document.len};
    memcpy(record->document, document.at, document.len);
    s->records[s->count++] = record;
    s->bytes += (int64_t)document.len;
    d->bytes += (int64_t)document.len;
}

/* ---- readers ------------------------------------------------------------------------------------------- */

/* Makes the catch-up reader begin early enough for every late stream. Those it has served so far note how
 * far they came, so that going back offers them nothing twice. */
static void catch_up(struct delivery *d, int32_t partition)
{
    struct partition *p = &d->partitions[partition];
    int64_t from = INT64_MAX;

    for (struct stream *s = p->streams; s; s = s->next)
        if (s->state == LATE)
            from = MIN_OF(from, s->cursor);
    if (from == INT64_MAX) {
        if (p->caught >= 0)
            (void)effect_add(d, DELIVERY_CATCH_UP_STOP, partition);
        p->caught = -1;
        return;
    }
    if (p->caught >= 0 && p->caught <= from)
        return;
    p->caught = from;
    effect_add(d, DELIVERY_CATCH_UP, partition)->offset = from;
}

/* Puts a stream whose cursor is known where it is served: by the shared reader, or by the other. */
static void place(struct delivery *d, struct stream *s)
{
    const struct partition *p = &d->partitions[s->partition];

    if (s->cursor >= s->end) {
        s->state = s->count || s->upload != UPLOAD_NONE ? JOINED : ENDED;
        s->cursor = s->end;
        return;
    }
    if (s->target->parked) {
        s->cursor = s->boundary;
        account_back(&s->counts);
        s->state = PARKED;
        return;
    }
    s->state = s->cursor >= p->shared ? JOINED : LATE; /* rule 5, last sentence */
    if (s->state == LATE)
        catch_up(d, s->partition);
}

/* Rule 7: compared and joined in one step. */
static void join_late(struct delivery *d, int32_t partition)
{
    struct partition *p = &d->partitions[partition];

    for (struct stream *s = p->streams; s; s = s->next) {
        if (s->state != LATE)
            continue;
        s->cursor = MAX_OF(s->cursor, p->shared);
        s->state = JOINED;
    }
    catch_up(d, partition);
}

/* ---- starting a stream (rules 1, 5, 6) ------------------------------------------------------------------ */

static void stick(struct delivery *d, struct stream *s, const char *why)
{
    drop_first(d, s, s->count);
    s->cursor = s->boundary;
    account_back(&s->counts);
    s->state = STUCK;
    (void)snprintf(effect_of(d, DELIVERY_STUCK, s)->why, DELIVERY_WHY_SIZE, "%s", why);
}

/* Whether the log still has what the stream has yet to be offered; else nothing but the bucket knows how far it
 * came (rule 6). */
static bool in_log(const struct delivery *d, const struct stream *s)
{
    return s->cursor >= d->partitions[s->partition].log_start || s->cursor >= s->end;
}

/* When the trail was made says the API's clock, of which day an object is that of the brokers. An object that is not listed because
 * of that is met on the way along the log; where this has gone on, nothing may be left out. */
static void ask_listing(struct delivery *d, struct stream *s)
{
    struct delivery_effect *e = effect_of(d, DELIVERY_LIST, s);

    s->listed = true;
    s->listed_log_start = d->partitions[s->partition].log_start;
    if (!in_log(d, s))
        e->created_s = 0;
}

static void ask_progress(struct delivery *d, struct stream *s)
{
    if (s->state != STARTING)
        d->starting++;
    s->state = STARTING;
    s->listed = s->end_asked = false;
    (void)effect_of(d, DELIVERY_READ_PROGRESS, s);
}

/* What it has asked for, and what it has sent, is answered to nobody. */
static void forget_requests(struct delivery *d, struct stream *s)
{
    effects_forget(d, s->id);
    if (s->upload == UPLOAD_PUT)
        d->uploads--;
    s->upload = UPLOAD_NONE;
}

/* As after a crash: nothing but the boundary is kept. A PUT under way is then like a zombie's. */
static void start_anew(struct delivery *d, struct stream *s)
{
    forget_requests(d, s);
    id_take(d, s);
    id_give(d, s);
    drop_first(d, s, s->count);
    s->cursor = s->boundary;
    account_back(&s->counts);
    ask_progress(d, s);
}

static void leave_start(struct delivery *d, const struct stream *s)
{
    if (s->state == STARTING)
        d->starting--;
}

/* Boundary and cursor are known: into the log's bounds, and to a reader. */
static void started(struct delivery *d, struct stream *s)
{
    const struct partition *p = &d->partitions[s->partition];
    int64_t log_end = MAX_OF(p->log_end, p->shared);

    s->cursor = MIN_OF(s->cursor, s->end);
    if (s->boundary > log_end || (s->cursor > log_end && s->cursor != s->end)) { /* rule 1 */
        if (!s->end_asked) { /* the log may have grown: somebody else was ahead of us */
            s->end_asked = true;
            (void)effect_of(d, DELIVERY_ASK_END, s);
            return;
        }
        leave_start(d, s);
        stick(d, s, "its boundary lies beyond the log's end: the log was truncated or made anew");
        return;
    }
    if (!in_log(d, s)) { /* rule 6 */
        /* A listing from before the log went on may not know of objects that were made of what is gone. */
        if (!s->listed || s->listed_log_start < p->log_start) {
            ask_listing(d, s);
            return;
        }
        struct delivery_effect *e = effect_of(d, DELIVERY_LOST, s);

        e->offset = s->cursor;
        e->to = MIN_OF(p->log_start, s->end);
        s->counts.lost += e->to - s->cursor;
        s->cursor = e->to;
    }
    leave_start(d, s);
    place(d, s);
}

void delivery_progress(struct delivery *d, uint64_t stream, bool known, int64_t boundary,
                       int64_t clear, const struct account *counts)
{
    struct stream *s = stream_by_id(d, stream);

    if (!s || s->state != STARTING)
        return;
    /* What contradicts itself or the chain is as good as none. */
    if (known && boundary >= s->origin && clear >= boundary && boundary >= s->boundary) {
        s->boundary = boundary;
        s->cursor = MAX_OF(clear, boundary);
        s->written_boundary = boundary;
        s->written_clear = clear;
        s->written_loss = d->losses;
        if (counts)
            s->counts = *counts;
        else
            account_begin(&s->counts, s->cursor);
        started(d, s);
        return;
    }
    ask_listing(d, s);
}

void delivery_log_end(struct delivery *d, uint64_t stream, int64_t log_end)
{
    struct stream *s = stream_by_id(d, stream);
    struct partition *p;

    if (!s || s->state != STARTING)
        return;
    p = &d->partitions[s->partition];
    p->log_end = MAX_OF(p->log_end, log_end);
    started(d, s);
}

static void target_failed(struct delivery *d, struct target *t, bool at_once);

static void ask_head(struct delivery *d, struct stream *s, int64_t first, int64_t first_time_ms)
{
    struct delivery_effect *e = effect_of(d, DELIVERY_HEAD, s);

    s->flight.first = first;
    s->flight_time_ms = first_time_ms;
    e->meta.first = first;
    e->first_time_ms = first_time_ms;
}

void delivery_listed(struct delivery *d, uint64_t stream, enum delivery_outcome outcome, bool any,
                     int64_t first, int64_t first_time_ms, const char *why)
{
    struct stream *s = stream_by_id(d, stream);

    (void)why;
    if (!s || s->state != STARTING)
        return;
    if (outcome != DELIVERY_OK) { /* asked again when the destination is back */
        leave_start(d, s);
        s->listed = false;
        s->state = PARKED;
        target_failed(d, s->target, true);
        return;
    }
    if (any && first >= s->boundary)
        ask_head(d, s, first, first_time_ms);
    else
        started(d, s);
}

static bool meta_fits(const struct stream *s, const struct delivery_meta *m)
{
    return strcmp(m->chain, s->chain) == 0 && m->partition == s->partition;
}

/* The newest listed object says where the stream goes on (rule 5). */
static void started_at(struct delivery *d, struct stream *s, const struct delivery_meta *m)
{
    if (m->next > s->boundary) {
        bool added = account_settle(&s->counts, &m->total, m->next, s->cursor > m->next);

        s->boundary = m->next;
        s->cursor = added ? MAX_OF(s->cursor, m->next) : m->next;
        s->end_asked = false; /* what was known of the log's end may be older than this object */
    }
    started(d, s);
}

/* ---- destinations (rule 12) ------------------------------------------------------------------------------ */

static void park_stream(struct delivery *d, struct stream *s)
{
    drop_first(d, s, s->count);
    s->cursor = s->boundary; /* in the same step */
    account_back(&s->counts);
    s->state = PARKED;
    if (s->upload == UPLOAD_WAIT)
        s->upload = UPLOAD_NONE;
}

static void target_failed(struct delivery *d, struct target *t, bool at_once)
{
    if (!t->failing_ms)
        t->failing_ms = d->now_ms ? d->now_ms : 1;
    if (t->parked || (!at_once && d->now_ms - t->failing_ms < d->settings.park_after_ms))
        return;
    t->parked = true;
    t->probing = 0;
    t->backoff_ms = grow_backoff(d, t->backoff_ms);
    t->retry_ms = d->now_ms + jittered(d, t->backoff_ms);
    for (int32_t p = 0; p < d->settings.partition_count; p++) {
        for (struct stream *s = d->partitions[p].streams; s; s = s->next)
            if (s->target == t && (s->state == JOINED || s->state == LATE))
                park_stream(d, s);
        if (d->partitions[p].assigned)
            catch_up(d, p);
    }
}

static void target_works(struct target *t)
{
    t->failing_ms = 0;
    t->backoff_ms = 0;
}

static void unpark(struct delivery *d, struct target *t)
{
    t->parked = false;
    t->failing_ms = 0; /* its backoff stays until something was delivered */
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        for (struct stream *s = d->partitions[p].streams; s; s = s->next)
            if (s->target == t && s->state == PARKED) {
                if (s->upload == UPLOAD_NONE && !s->listed && s->boundary == s->origin &&
                    s->written_boundary < 0)
                    ask_progress(d, s); /* it never got through its start */
                else
                    place(d, s);
            }
}

void delivery_probed(struct delivery *d, uint64_t stream, enum delivery_outcome outcome,
                     const char *why)
{
    (void)why;
    for (struct target *t = d->targets; t; t = t->next) {
        if (!t->parked || t->probing != stream)
            continue;
        t->probing = 0;
        if (outcome == DELIVERY_OK) {
            unpark(d, t);
        } else {
            t->backoff_ms = grow_backoff(d, t->backoff_ms);
            t->retry_ms = d->now_ms + jittered(d, t->backoff_ms);
        }
        return;
    }
}

/* ---- uploads (rules 8 to 11) ------------------------------------------------------------------------------ */

static void send_put(struct delivery *d, struct stream *s)
{
    struct delivery_effect *e = effect_of(d, DELIVERY_PUT, s);

    CHECK(s->flight.from == s->boundary && s->flight.first >= s->flight.from &&
          s->flight.last >= s->flight.first && s->flight.next > s->flight.last &&
          s->flight.next <= s->end && s->flight.count > 0); /* rule 8 */
    s->upload = UPLOAD_PUT;
    d->uploads++;
    e->meta = s->flight;
    e->first_time_ms = s->flight_time_ms;
}

/* Cuts a batch off the buffer: all of it, or as much as an object should hold. */
static void seal(struct delivery *d, struct stream *s)
{
    int64_t bytes = 0;
    size_t n = 0;

    while (n < s->count &&
           (n == 0 || bytes + (int64_t)s->records[n]->len <= d->settings.flush_bytes))
        bytes += (int64_t)s->records[n++]->len;
    s->sealed = n;
    s->flight = (struct delivery_meta){
        .partition = s->partition,
        .from = s->boundary,
        .first = s->records[0]->offset,
        .last = s->records[n - 1]->offset,
        .next = n == s->count ? stream_cursor(d, s) : s->records[n - 1]->offset + 1,
        .count = (int64_t)n,
        .version = s->records[0]->version,
        .total = account_at(&s->counts, (int64_t)n,
                            n == s->count ? s->counts.filtered : s->records[n - 1]->filtered),
    };
    memcpy(s->flight.chain, s->chain, TRAIL_CHAIN_SIZE);
    s->flight_time_ms = s->records[0]->time_ms;
    send_put(d, s);
}

/* The stream has moved on to `next`: what is below it is in the bucket. */
static void settled(struct delivery *d, struct stream *s, int64_t next,
                    const struct account_counts *total)
{
    bool added = account_settle(&s->counts, total, next, stream_cursor(d, s) > next);

    s->boundary = next;
    s->cursor = MAX_OF(s->cursor, next);
    drop_below(d, s, next);
    s->upload = UPLOAD_NONE;
    s->backoff_ms = 0;
    target_works(s->target);
    if (!added && (s->state == JOINED || s->state == LATE)) {
        drop_first(d, s, s->count);
        s->cursor = next;
        place(d, s);
    }
    write_progress(d, s);
    if (s->state == JOINED || s->state == LATE) {
        if (stream_cursor(d, s) >= s->end && s->count == 0) {
            write_progress(d, s);
            s->state = ENDED;
            catch_up(d, s->partition);
        }
    }
}

static void upload_again(struct delivery *d, struct stream *s, bool head)
{
    s->backoff_ms = grow_backoff(d, s->backoff_ms);
    s->retry_ms = d->now_ms + jittered(d, s->backoff_ms);
    s->flight_head = head;
    s->upload = UPLOAD_WAIT;
    if (s->state == PARKED || s->state == STUCK || s->count == 0)
        s->upload = UPLOAD_NONE; /* the first match behind the boundary will lead to the same key */
}

void delivery_put_done(struct delivery *d, uint64_t stream, enum delivery_outcome outcome,
                       const char *why)
{
    struct stream *s = stream_by_id(d, stream);

    (void)why;
    if (!s || s->upload != UPLOAD_PUT)
        return;
    d->uploads--;
    switch (outcome) {
    case DELIVERY_OK:
        d->objects++;
        d->delivered += (uint64_t)s->flight.count;
        settled(d, s, s->flight.next, &s->flight.total);
        return;
    case DELIVERY_EXISTS: /* rule 11: looked at, always */
        s->upload = UPLOAD_HEAD;
        ask_head(d, s, s->flight.first, s->flight_time_ms);
        return;
    case DELIVERY_UNCLEAR:
    case DELIVERY_NOT_FOUND:
    case DELIVERY_FAILED:
        upload_again(d, s, false);
        target_failed(d, s->target, outcome == DELIVERY_FAILED);
        return;
    }
}

void delivery_head_done(struct delivery *d, uint64_t stream, enum delivery_outcome outcome,
                        const struct delivery_meta *meta, const char *why)
{
    struct stream *s = stream_by_id(d, stream);
    bool starting = s && s->state == STARTING;

    if (!s || (!starting && s->upload != UPLOAD_HEAD))
        return;
    if (starting && outcome == DELIVERY_NOT_FOUND && in_log(d, s)) {
        started(d, s); /* listed, and not seen: the way along the objects leads there, too */
        return;
    }
    if (outcome != DELIVERY_OK) {
        if (starting) {
            leave_start(d, s);
            s->listed = false;
            s->state = PARKED;
            target_failed(d, s->target, true);
            return;
        }
        upload_again(d, s, outcome != DELIVERY_NOT_FOUND);
        target_failed(d, s->target, false);
        return;
    }
    if (!meta || !meta_fits(s, meta) || meta->first != s->flight.first ||
        (!starting && meta->from != s->boundary)) {
        if (starting)
            leave_start(d, s);
        s->upload = UPLOAD_NONE;
        stick(d, s, why && *why ? why : "an object of its key is not of its chain");
        return;
    }
    if (starting)
        started_at(d, s, meta);
    else
        settled(d, s, meta->next, &meta->total); /* adopted, whoever wrote it */
}

/* ---- streams come and go ------------------------------------------------------------------------------------ */

/* NULL without memory. */
static struct target *target_get(struct delivery *d, struct str bucket)
{
    struct target *t = d->targets;

    while (t && !str_eq(str_from(t->name), bucket))
        t = t->next;
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->name = str_dup(bucket);
    if (!t->name) {
        free(t);
        return NULL;
    }
    t->next = d->targets;
    d->targets = t;
    return t;
}

static struct trail_log log_of(const struct delivery *d, int32_t partition)
{
    return (struct trail_log){str_from(d->topic), str_from(d->generation), partition};
}

/* Right behind the change record that ends the chain (rule 14). */
static int64_t chain_end(const struct delivery *d, const struct trail *trail, int64_t destination,
                         int32_t partition)
{
    struct trail_log log = log_of(d, partition);

    for (size_t i = 0; i < trail_version_count(trail); i++) {
        const struct trail_version *v = trail_version_at(trail, i);
        const struct trail_destination *now = trail_version_destination(v);
        int64_t first;

        if ((v->deleted || (now && now->number > destination)) &&
            trail_from(trail, i, &log, &first))
            return first;
    }
    return INT64_MAX;
}

static void stream_release(struct stream *s)
{
    free(s->records);
    free(s->trail);
    free(s->account);
    free(s->bucket);
    free(s->prefix);
    free(s);
}

/* NULL without memory. */
static struct stream *stream_new(struct delivery *d, const struct trail_version *v,
                                 const struct trail_destination *dest, int32_t partition,
                                 int64_t origin, int64_t end)
{
    struct stream *s = calloc(1, sizeof(*s)), **slot;
    struct partition *p = &d->partitions[partition];

    if (!s)
        return NULL;
    s->partition = partition;
    s->trail = str_dup(v->id);
    s->account = str_dup(v->account);
    s->bucket = str_dup(dest->bucket);
    s->prefix = str_dup(dest->prefix);
    s->target = target_get(d, dest->bucket);
    if (!s->trail || !s->account || !s->bucket || !s->prefix || !s->target) {
        stream_release(s);
        return NULL;
    }
    id_give(d, s);
    s->destination = dest->number;
    trail_chain(v->id, dest->number, str_from(d->generation), s->chain);
    s->created_s = v->created_s;
    s->origin = s->boundary = s->cursor = origin;
    account_begin(&s->counts, origin);
    s->end = end;
    s->written_boundary = s->written_clear = -1;
    s->state = ENDED; /* until its caller says otherwise */
    slot = &d->slots[slot_of(v->id, dest->number, partition)];
    s->next_in_slot = *slot;
    *slot = s;
    s->next = p->streams;
    p->streams = s;
    return s;
}

static void stream_free(struct delivery *d, struct stream *s)
{
    struct stream **at = &d->slots[slot_of(str_from(s->trail), s->destination, s->partition)];

    while (*at != s)
        at = &(*at)->next_in_slot;
    *at = s->next_in_slot;
    if (s->state == STARTING)
        d->starting--;
    forget_requests(d, s);
    if (s->target->probing == s->id)
        s->target->probing = 0; /* somebody else has to ask */
    id_take(d, s);
    drop_first(d, s, s->count);
    stream_release(s);
}

/* All chains of a trail in one partition; those that are new begin by asking for their progress. */
static void trail_streams(struct delivery *d, const struct trail *trail, int32_t partition)
{
    const struct trail_version *v = trail_latest(trail);
    struct trail_log log = log_of(d, partition);

    /* Parked as a whole: rule 5 finds all of it again, once its settings can be read. */
    if (trail_book_doubts(d->book, v->id))
        return;
    for (size_t i = 0; i < v->destination_count; i++) {
        const struct trail_destination *dest = &v->destinations[i];
        struct stream *s = stream_find(d, v->id, dest->number, partition);
        int64_t origin, end;

        if (!trail_origin(trail, dest->number, &log, &origin))
            continue; /* not concerned, or it ended before this log began */
        end = chain_end(d, trail, dest->number, partition);
        if (s)
            s->end = end;
        else if ((s = stream_new(d, v, dest, partition, origin, end)))
            ask_progress(d, s);
        else
            (void)no_memory(d);
    }
}

int delivery_assign(struct delivery *d, int32_t partition, int64_t log_start, int64_t log_end,
                    int64_t position)
{
    struct partition *p = &d->partitions[partition];

    CHECK(partition >= 0 && partition < d->settings.partition_count && !p->assigned);
    *p = (struct partition){.assigned = true,
                            .log_start = log_start,
                            .log_end = log_end,
                            .shared = MAX_OF(position, log_start),
                            .caught = -1,
                            .committed = -1};
    for (const struct trail *t = trail_book_all(d->book, NULL); t; t = trail_book_all(d->book, t))
        trail_streams(d, t, partition);
    return d->error;
}

void delivery_revoke(struct delivery *d, int32_t partition)
{
    struct partition *p = &d->partitions[partition];

    while (p->streams) {
        struct stream *s = p->streams;

        p->streams = s->next;
        stream_free(d, s);
    }
    *p = (struct partition){.caught = -1};
}

/* ---- records (rules 3, 7, 14) --------------------------------------------------------------------------------- */

static bool offered(const struct stream *s, enum delivery_source source, int64_t offset)
{
    if (s->state != (source == DELIVERY_SHARED ? JOINED : LATE))
        return false;
    return offset >= s->cursor && offset < s->end && offset >= s->boundary &&
           (s->count == 0 || offset > s->records[s->count - 1]->offset);
}

static void match(struct delivery *d, enum delivery_source source, int32_t partition,
                  int64_t offset, int64_t time_ms, const struct event *event,
                  const struct trail_version *change)
{
    struct trail_log log = log_of(d, partition);

    for (const struct trail *t = trail_book_next(d->book, event->account, NULL); t;
         t = trail_book_next(d->book, event->account, t)) {
        const struct trail_version *v = trail_at(t, &log, offset);
        const struct trail_destination *dest = v ? trail_version_destination(v) : NULL;
        bool wanted = trail_wants(v, event, str_from(d->region));
        struct stream *s;

        if (dest && change && str_eq(change->id, trail_id(t)))
            wanted |= trail_wants(change, event, str_from(d->region));
        if (!dest)
            continue;
        s = stream_find(d, trail_id(t), dest->number, partition);
        if (!s || !offered(s, source, offset))
            continue;
        if (wanted)
            buffer_add(d, s, offset, time_ms, v->version, event->document);
        else
            s->counts.filtered += (event->purpose & EVENT_FOR_DELIVERY) != 0;
    }
}

/* The book learns the change; chains that end or begin here do so right behind it. */
static int learn_change(struct delivery *d, int32_t partition, int64_t offset,
                        struct trail_version *change, struct why *reterr_why)
{
    struct trail_log log = log_of(d, partition);
    char id_text[TRAIL_ID_SIZE];
    const struct trail *trail;
    struct str id;
    int r;

    memcpy(id_text, change->id.at, change->id.len);
    id = str_of(id_text, change->id.len);
    r = trail_book_change(d->book, change, &log, d->settings.partition_count, offset, reterr_why);
    if (r < 0)
        return r;
    trail = trail_book_find(d->book, id);
    CHECK(trail);
    trail_streams(d, trail, partition);
    return 0;
}

int delivery_record(struct delivery *d, enum delivery_source source, int32_t partition,
                    int64_t offset, int64_t time_ms, const struct event *event,
                    struct trail_version *change, struct why *reterr_why)
{
    AUTO(trail_version_free) struct trail_version *v = change;
    struct partition *p = &d->partitions[partition];
    struct trail_version *learn;
    int r = 0;

    if (!p->assigned)
        return 0;
    if (source == DELIVERY_CATCHING_UP && offset >= p->shared) { /* rule 7: discarded, joined */
        join_late(d, partition);
        return 0;
    }
    if (source == DELIVERY_CATCHING_UP && (p->caught < 0 || offset < p->caught))
        return 0; /* from before it was stopped or sent elsewhere */
    CHECK(source != DELIVERY_SHARED || offset >= p->shared);
    if (event)
        match(d, source, partition, offset, time_ms, event, v);
    if (source == DELIVERY_CATCHING_UP) {
        p->caught = offset + 1;
        for (struct stream *s = p->streams; s; s = s->next)
            if (s->state == LATE)
                s->cursor = MAX_OF(s->cursor, offset + 1);
        return d->error;
    }
    p->shared = offset + 1;
    learn = v;
    v = NULL;
    if (learn)
        r = learn_change(d, partition, offset, learn, reterr_why);
    return r < 0 ? r : d->error;
}

int delivery_end(struct delivery *d, enum delivery_source source, int32_t partition,
                 int64_t position)
{
    struct partition *p = &d->partitions[partition];

    if (!p->assigned)
        return 0;
    if (source == DELIVERY_SHARED) {
        p->shared = MAX_OF(p->shared, position);
        return 0;
    }
    if (p->caught < 0 || position < p->caught)
        return 0;
    if (position >= p->shared)
        join_late(d, partition);
    return 0;
}

void delivery_out_of_range(struct delivery *d, int32_t partition, int64_t log_start)
{
    struct partition *p = &d->partitions[partition];

    if (!p->assigned)
        return;
    p->log_start = MAX_OF(p->log_start, log_start);
    if (p->caught >= 0)
        p->caught = INT64_MAX; /* it has to be sent elsewhere, or to end */
    for (struct stream *s = p->streams; s; s = s->next)
        if (s->state == LATE && s->cursor < p->log_start)
            start_anew(d, s);
    catch_up(d, partition);
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

/* How long the first of the buffered records has waited. */
static int64_t buffer_age_ms(const struct delivery *d, const struct stream *s)
{
    return s->count ? d->now_ms - s->records[0]->taken_ms : 0;
}

/* Well before it is too old to be sent (rule 10), whatever is asked for: else it would be forgotten and read again
 * for ever. */
static int64_t flush_age_ms(const struct delivery *d)
{
    return MIN_OF(d->settings.flush_age_ms, d->settings.buffer_age_max_ms / 2);
}

static bool due(const struct delivery *d, const struct stream *s)
{
    return s->bytes >= d->settings.flush_bytes || d->draining ||
           buffer_age_ms(d, s) >= flush_age_ms(d) || stream_cursor(d, s) >= s->end;
}

static void tick_stream(struct delivery *d, struct stream *s)
{
    show(d, s);
    if (s->state == ENDED || s->state == STARTING || s->state == STUCK)
        return;
    if (s->upload != UPLOAD_PUT && s->upload != UPLOAD_HEAD &&
        buffer_age_ms(d, s) > d->settings.buffer_age_max_ms) { /* rule 10 */
        drop_first(d, s, s->count);
        s->upload = UPLOAD_NONE;
        s->cursor = s->boundary;
        account_back(&s->counts);
        place(d, s);
        return;
    }
    if (s->upload == UPLOAD_WAIT && d->now_ms >= s->retry_ms) {
        if (s->flight_head) {
            s->upload = UPLOAD_HEAD;
            ask_head(d, s, s->flight.first, s->flight_time_ms);
        } else {
            seal(d, s); /* the same first, perhaps more behind it (rule 8) */
        }
    } else if (s->upload == UPLOAD_NONE && s->count && !s->target->parked && due(d, s) &&
               (int64_t)d->uploads < d->settings.uploads_max) {
        seal(d, s);
    }
    if (s->state == JOINED && s->count == 0 && s->upload == UPLOAD_NONE &&
        stream_cursor(d, s) >= s->end) {
        write_progress(d, s);
        s->state = ENDED;
    } else if (d->now_ms - s->written_ms >= d->settings.progress_ms) {
        write_progress(d, s);
    }
}

/* Over the budget: the largest buffer that can go, goes. */
static void relieve(struct delivery *d)
{
    struct stream *largest = NULL;

    if (d->bytes < d->settings.memory_max)
        return;
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        for (struct stream *s = d->partitions[p].streams; s; s = s->next)
            if (s->upload == UPLOAD_NONE && s->count && !s->target->parked &&
                (!largest || s->bytes > largest->bytes))
                largest = s;
    if (largest && (int64_t)d->uploads < d->settings.uploads_max)
        seal(d, largest);
}

/* Rule 13: what the group has no need to read again; says nothing about safety. */
static void commit_partition(struct delivery *d, int32_t partition)
{
    struct partition *p = &d->partitions[partition];
    int64_t offset = p->shared;
    bool any = false, healthy = false;

    for (struct stream *s = p->streams; s; s = s->next) {
        if (s->state == ENDED)
            continue;
        any = true;
        if (s->state == STARTING)
            return;
        if (s->state != JOINED && s->state != LATE)
            continue;
        healthy = true;
        offset = MIN_OF(offset, stream_clear(d, s));
    }
    if ((any && !healthy) || offset == p->committed)
        return;
    p->committed = offset;
    effect_add(d, DELIVERY_COMMIT, partition)->offset = offset;
}

static void probe_targets(struct delivery *d)
{
    for (struct target *t = d->targets; t; t = t->next) {
        struct stream *asking = NULL;

        if (!t->parked || t->probing || d->now_ms < t->retry_ms)
            continue;
        for (int32_t p = 0; p < d->settings.partition_count && !asking; p++)
            for (struct stream *s = d->partitions[p].streams; s && !asking; s = s->next)
                if (s->target == t && s->state == PARKED)
                    asking = s;
        if (!asking)
            continue;
        t->probing = asking->id;
        (void)effect_of(d, DELIVERY_PROBE, asking);
    }
}

void delivery_tick(struct delivery *d, int64_t now_ms)
{
    CHECK(now_ms >= d->now_ms);
    d->now_ms = now_ms;
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        for (struct stream *s = d->partitions[p].streams; s; s = s->next)
            tick_stream(d, s);
    relieve(d);
    probe_targets(d);
    if (now_ms < d->commit_ms && !d->draining)
        return;
    d->commit_ms = now_ms + d->settings.progress_ms;
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        if (d->partitions[p].assigned)
            commit_partition(d, p);
}

void delivery_progress_lost(struct delivery *d)
{
    d->losses++;
}

void delivery_drain(struct delivery *d)
{
    d->draining = true;
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

struct delivery *delivery_new(const struct delivery_settings *settings, struct trail_book *book)
{
    struct delivery *d = calloc(1, sizeof(*d));

    CHECK(settings->partition_count > 0 && settings->partition_count <= DELIVERY_PARTITIONS_MAX);
    if (!d)
        return NULL;
    d->settings = *settings;
    d->book = book;
    d->region = str_dup(settings->region);
    d->topic = str_dup(settings->topic);
    d->generation = str_dup(settings->generation);
    d->random = settings->seed | 1;
    for (size_t i = 0; i < DELIVERY_PARTITIONS_MAX; i++)
        d->partitions[i].caught = -1;
    if (d->region && d->topic && d->generation)
        return d;
    delivery_free(d);
    return NULL;
}

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        delivery_revoke(d, p);
    for (struct target *t = d->targets, *next; t; t = next) {
        next = t->next;
        free(t->name);
        free(t);
    }
    free(d->effects);
    free(d->region);
    free(d->topic);
    free(d->generation);
    free(d);
}

int delivery_error(const struct delivery *d)
{
    return d->error;
}

bool delivery_takes(const struct delivery *d)
{
    return d->bytes < d->settings.memory_max;
}

bool delivery_started(const struct delivery *d)
{
    return d->starting == 0;
}

bool delivery_idle(const struct delivery *d)
{
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        for (struct stream *s = d->partitions[p].streams; s; s = s->next)
            if (s->count || s->upload == UPLOAD_PUT || s->upload == UPLOAD_HEAD)
                return false;
    return true;
}

void delivery_view(const struct delivery *d, struct delivery_view *ret)
{
    *ret = (struct delivery_view){
        .buffered_bytes = d->bytes, .delivered = d->delivered, .objects = d->objects};
    for (int32_t p = 0; p < d->settings.partition_count; p++)
        for (const struct stream *s = d->partitions[p].streams; s; s = s->next) {
            ret->streams++;
            ret->parked += s->state == PARKED;
            ret->late += s->state == LATE;
            ret->stuck += s->state == STUCK;
            ret->buffered_records += (int64_t)s->count;
        }
}
