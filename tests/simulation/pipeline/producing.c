/* producing.c - bus.h's producers, and their transactions. What is written lies in a queue until somebody sends it. */
#include "doors.h"

#define QUEUE_MAX    512
#define SEND_PERCENT 30 /* of the writes that are sent at once, with all before them */
#define PAUSE_MS     15
#define METADATA_MS  3000

struct waiting {
    struct topic *topic;
    int32_t partition;
    struct str key, value;
    struct bus_header headers[HEADERS_MAX];
    size_t header_count;
    struct bus_ticket *ticket;
};

struct bus_producer {
    struct transaction *transaction;
    int64_t epoch;
    bool open;   /* a transaction is, for us */
    bool failed; /* a record in it */
    struct waiting queue[QUEUE_MAX];
    size_t count;
    int64_t opened_ms;
};

int bus_producer_open(const struct bus_settings *settings, const char *transactional_id,
                      int timeout_ms, struct bus_producer **ret, struct why *reterr_why)
{
    struct bus_producer *p;

    (void)settings, (void)reterr_why;
    CHECK(transactional_id);
    if (!door(0, 0))
        return -ERR_BUG;
    p = calloc(1, sizeof(*p));
    CHECK(p);
    p->transaction = transaction_find(str_from(transactional_id),
                                      timeout_ms ? timeout_ms : BUS_TRANSACTION_TIMEOUT_MS);
    p->epoch = -1;
    p->opened_ms = now_ms();
    *ret = p;
    return 0;
}

static void answer(struct bus_ticket *ticket, int error, int32_t partition, int64_t offset)
{
    if (!ticket)
        return;
    ticket->error = error;
    ticket->partition = partition;
    ticket->offset = offset;
    ticket->done = true;
    if (ticket->on_done)
        ticket->on_done(ticket);
}

static bool shut_out(const struct bus_producer *p)
{
    return p->epoch != p->transaction->epoch;
}

/* It leaves its transaction, if the brokers can be told. */
void bus_producer_close(struct bus_producer *p)
{
    struct transaction *t;

    if (!p)
        return;
    t = p->transaction;
    if (p->open && door(0, 1) && !shut_out(p) && now_ms() >= sim->kafka_away_ms &&
        t->state == TRANSACTION_ONGOING)
        transaction_end(t, false);
    for (size_t i = 0; i < p->count; i++)
        answer(p->queue[i].ticket, -ERR_TIMEOUT, -1, -1);
    free(p);
}

/* The transaction begins at the brokers with what is first written in it. */
static bool enter(struct bus_producer *p)
{
    struct transaction *t = p->transaction;

    if (t->state == TRANSACTION_NONE) {
        t->state = TRANSACTION_ONGOING;
        t->began_ms = now_ms();
    }
    return t->state == TRANSACTION_ONGOING;
}

static void send_one(struct bus_producer *p, const struct waiting *w)
{
    int64_t offset;

    if (shut_out(p) || fault(sim->faults.failed_write)) {
        p->failed = true;
        answer(w->ticket, shut_out(p) ? -ERR_FENCED : -ERR_TIMEOUT, w->partition, -1);
        return;
    }
    offset = kafka_append(w->topic, w->partition, w->key, w->value, w->headers, w->header_count,
                          p->transaction);
    answer(w->ticket, 0, w->partition, offset);
}

/* A handle hears of added partitions some time after. */
static int32_t known_partitions(const struct bus_producer *p, const struct topic *t)
{
    bool late = p->opened_ms <= t->grown_ms && now_ms() < t->grown_ms + METADATA_MS;

    return late ? t->first_count : t->partition_count;
}

/* As far as the brokers let us. */
static void send(struct bus_producer *p)
{
    size_t sent = 0;

    if (now_ms() < sim->kafka_away_ms || (!shut_out(p) && p->count && !enter(p)))
        return;
    while (sent < p->count)
        send_one(p, &p->queue[sent++]);
    p->count = 0;
}

int bus_producer_write(struct bus_producer *p, const char *topic, int32_t partition, struct str key,
                       struct str value, const struct bus_header *headers, size_t header_count,
                       struct bus_ticket *ticket)
{
    struct topic *t = kafka_topic(topic);
    struct waiting *w = &p->queue[p->count];

    CHECK(p->open && header_count <= HEADERS_MAX);
    if (ticket)
        ticket->done = false;
    if (!door(0, 0))
        return -ERR_BUG;
    if (!t || partition >= known_partitions(p, t))
        return -ERR_NOT_FOUND;
    if (p->count == QUEUE_MAX)
        return -ERR_UNAVAILABLE;
    p->count++;
    *w = (struct waiting){t,
                          partition == BUS_BY_KEY ? bus_partition_of(key, known_partitions(p, t))
                                                  : partition,
                          keep_str(key),
                          value.at ? keep_str(value) : value,
                          {{0}},
                          header_count,
                          ticket};
    for (size_t i = 0; i < header_count; i++)
        w->headers[i] =
            (struct bus_header){keep_str(str_from(headers[i].name)).at, keep_str(headers[i].value)};
    if (chance(SEND_PERCENT))
        send(p);
    return 0;
}

int bus_producer_poll(struct bus_producer *p, int timeout_ms)
{
    if (!door(0, timeout_ms))
        return 0;
    send(p);
    return 0;
}

int bus_producer_flush(struct bus_producer *p, int timeout_ms)
{
    int64_t until = now_ms() + timeout_ms;
    int r = bus_reach(timeout_ms);

    while (r == 0) {
        send(p);
        if (p->count == 0)
            break;
        if (now_ms() >= until)
            return -ERR_TIMEOUT;
        if (!doze(between(1, PAUSE_MS)))
            return -ERR_BUG;
    }
    if (r == 0 && !door(0, 1))
        r = -ERR_BUG;
    return r;
}

size_t bus_producer_waiting(const struct bus_producer *p)
{
    return p->count;
}

uint64_t bus_producer_failures(struct bus_producer *p)
{
    (void)p;
    return 0;
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

int bus_transactions_init(struct bus_producer *p, int timeout_ms, struct why *reterr_why)
{
    int64_t until = now_ms() + timeout_ms;
    int r = bus_reach(timeout_ms);

    while (r == 0 && !transaction_take(p->transaction)) {
        if (now_ms() >= until)
            return why_set(reterr_why, -ERR_TIMEOUT, "the last transaction has not ended");
        if (!doze(between(1, PAUSE_MS)))
            return -ERR_BUG;
    }
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    p->epoch = p->transaction->epoch;
    return door(0, 1) ? 0 : -ERR_BUG;
}

int bus_begin(struct bus_producer *p, struct why *reterr_why)
{
    CHECK(!p->open && p->epoch >= 0);
    if (!door(0, 0))
        return -ERR_BUG;
    if (shut_out(p) && chance(50)) /* it may have heard of it */
        return why_set(reterr_why, -ERR_FENCED, "another one has our name");
    p->open = true;
    p->failed = false;
    return 0;
}

int bus_send_offsets(struct bus_producer *p, struct bus_consumer *consumer,
                     const struct bus_position *positions, size_t count, int timeout_ms,
                     struct why *reterr_why)
{
    struct transaction *t = p->transaction;
    int64_t until = now_ms() + timeout_ms;
    int r = bus_reach(timeout_ms);

    CHECK(p->open);
    while (r == 0 && !shut_out(p) && !enter(p)) {
        if (now_ms() >= until)
            return -ERR_TIMEOUT;
        if (!doze(between(1, PAUSE_MS)))
            return -ERR_BUG;
    }
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    if (shut_out(p))
        return why_set(reterr_why, -ERR_FENCED, "another one has our name");
    if (!consumer_may_commit(consumer))
        return why_set(reterr_why, -ERR_ABORTED, "the group has gone on without us");
    t->group = consumer_group(consumer);
    t->offset_count = count;
    for (size_t i = 0; i < count; i++)
        t->offsets[i] = positions[i];
    return door(0, 1) ? 0 : -ERR_BUG;
}

/* The end of a transaction at the brokers, asked for once more when the answer did not come. */
static int end(struct bus_producer *p, bool commit, struct why *reterr_why)
{
    struct transaction *t = p->transaction;

    if (shut_out(p))
        return why_set(reterr_why, -ERR_FENCED, "another one has our name");
    if (fault(sim->faults.unclear))
        return why_set(reterr_why, -ERR_TIMEOUT, "the request was lost");
    if (t->state == TRANSACTION_ONGOING)
        transaction_end(t, commit);
    if (!door(0, 3))
        return -ERR_BUG;
    if (fault(sim->faults.lost_answer))
        return why_set(reterr_why, -ERR_TIMEOUT, "the answer was lost");
    p->open = false;
    return 0;
}

int bus_commit(struct bus_producer *p, int timeout_ms, struct why *reterr_why)
{
    int r = bus_producer_flush(p, timeout_ms);

    CHECK(p->open);
    if (r < 0)
        return why_set(reterr_why, r, "not everything was sent");
    if (p->failed && !shut_out(p))
        return why_set(reterr_why, -ERR_ABORTED, "a record of it failed");
    return end(p, true, reterr_why);
}

int bus_abort(struct bus_producer *p, int timeout_ms, struct why *reterr_why)
{
    int r = bus_reach(timeout_ms);

    CHECK(p->open);
    if (r < 0)
        return why_set(reterr_why, r, "the brokers are away");
    for (size_t i = 0; i < p->count; i++)
        answer(p->queue[i].ticket, -ERR_ABORTED, -1, -1);
    p->count = 0;
    return end(p, false, reterr_why);
}
