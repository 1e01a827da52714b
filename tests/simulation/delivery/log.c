/* log.c - partitions of events.<region> as a broker keeps them. */
#include <stdio.h>

#include "sim.h"

#define BASE_TIME_MS 1795392000000 /* 2026-11-23 */

int64_t log_append(struct sim *sim, int32_t partition, struct entry entry)
{
    struct sim_log *log = &sim->logs[partition];

    SIM_GROW(log->entries, log->end, log->cap);
    entry.appended_ms = entry.read_ms = entry.stored_ms = sim->now_ms;
    entry.time_ms = BASE_TIME_MS + sim->now_ms - sim_between(sim, 0, 3) * 700;
    log->entries[log->end] = entry;
    return log->end++;
}

void log_make_anew(struct sim *sim)
{
    for (size_t p = 0; p < PARTITIONS_MAX; p++) {
        struct sim_log *log = &sim->logs[p];

        log->start = log->end = log->stable = log->committed = 0;
    }
}

int64_t log_stable(struct sim_log *log)
{
    while (log->stable < log->end && log->entries[log->stable].state != ENTRY_OPEN)
        log->stable++;
    return log->stable;
}

const struct entry *log_at(const struct sim *sim, int32_t partition, int64_t offset)
{
    return &sim->logs[partition].entries[offset];
}

static struct transaction *transaction_new(struct sim *sim)
{
    SIM_GROW(sim->transactions, sim->transaction_count, sim->transaction_cap);
    sim->transactions[sim->transaction_count] =
        (struct transaction){.id = ++sim->transaction_id, .change = -1};
    return &sim->transactions[sim->transaction_count++];
}

static struct entry some_event(struct sim *sim, int transaction)
{
    return (struct entry){
        .kind = ENTRY_EVENT,
        .transaction = transaction,
        .with_event = true,
        .account = (int)sim_between(sim, 0, ACCOUNTS - 1),
        .global = sim_chance(sim, 10),
        .inner = sim_chance(sim, 5),
        .for_history_only = sim_chance(sim, 5),
        .rw = sim_chance(sim, 60) ? EVENT_WRITE : EVENT_READ,
        .document_len = (size_t)sim_between(sim, 40, DOCUMENT_MAX - 1),
    };
}

void log_begin_events(struct sim *sim)
{
    struct transaction *t = transaction_new(sim);

    t->abort = !sim->quiet && sim_chance(sim, sim->faults.abort);
    for (int64_t n = sim_between(sim, 1, 6); n > 0; n--) {
        int32_t partition = (int32_t)sim_between(sim, 0, sim->partition_count - 1);
        int64_t offset = log_append(sim, partition, some_event(sim, t->id));

        t->open[partition] = true;
        sim_trace(sim, "log %d: event at %lld, transaction %d", partition, (long long)offset,
                  t->id);
    }
}

/* A change lies in every partition, and in `control`. */
void log_begin_change(struct sim *sim, int change)
{
    const struct change *c = &sim->changes[change];
    const struct sim_trail *trail = &sim->trails[c->trail];
    struct sim_version *version = &sim->trails[c->trail].versions[c->version];
    struct transaction *t = transaction_new(sim);
    int32_t own = (int32_t)sim_between(sim, 0, sim->partition_count - 1);

    t->change = change;
    t->control_open = true;
    t->abort = !sim->quiet && c->version > 0 && sim_chance(sim, sim->faults.abort);
    for (int32_t p = 0; version->concerned && p < version->partition_count; p++) {
        struct entry entry = some_event(sim, t->id);

        entry.kind = ENTRY_CHANGE;
        entry.change = change;
        entry.with_event = p == own && trail->home_here;
        entry.account = trail->account;
        version->offsets[p] = log_append(sim, p, entry);
        t->open[p] = true;
        sim_trace(sim, "log %d: change at %lld, trail %d version %zu, transaction %d%s", p,
                  (long long)version->offsets[p], c->trail, c->version + 1, t->id,
                  t->abort ? " (to be aborted)" : "");
    }
}

static void mark(struct sim *sim, struct transaction *t, int32_t partition)
{
    struct sim_log *log = &sim->logs[partition];

    for (int64_t o = log->start; o < log->end; o++)
        if (log->entries[o].transaction == t->id && log->entries[o].kind != ENTRY_MARKER)
            log->entries[o].state = t->abort ? ENTRY_ABORTED : ENTRY_COMMITTED;
    t->open[partition] = false;
    (void)log_append(sim, partition,
                     (struct entry){.kind = ENTRY_MARKER, .state = ENTRY_COMMITTED});
    sim_trace(sim, "log %d: transaction %d %s, readable below %lld", partition, t->id,
              t->abort ? "aborted" : "committed", (long long)log_stable(log));
}

static bool marked(const struct transaction *t)
{
    bool open = t->control_open;

    for (size_t p = 0; p < PARTITIONS_MAX; p++)
        open |= t->open[p];
    return !open;
}

static void mark_one(struct sim *sim, size_t i)
{
    struct transaction *t = &sim->transactions[i];
    int64_t first = sim_between(sim, 0, PARTITIONS_MAX); /* the last: control */

    for (int64_t n = 0; n <= PARTITIONS_MAX; n++) {
        int32_t p = (int32_t)((first + n) % (PARTITIONS_MAX + 1));

        if (p < PARTITIONS_MAX && t->open[p]) {
            mark(sim, t, p);
            break;
        }
        if (p == PARTITIONS_MAX && t->control_open) {
            t->control_open = false;
            trails_settle(sim, t->change, t->abort);
            break;
        }
    }
    if (marked(t))
        sim->transactions[i] = sim->transactions[--sim->transaction_count];
}

void log_mark_some(struct sim *sim)
{
    if (sim->transaction_count)
        mark_one(sim, (size_t)sim_between(sim, 0, (int64_t)sim->transaction_count - 1));
}

void log_mark_all(struct sim *sim)
{
    while (sim->transaction_count)
        mark_one(sim, 0);
}

/* Whether the retention may take the record. Besides its age: what a worker has just read it may still send, for half
 * the retention and a request's time (rule 10); and an object is listed before its records are gone. */
static bool expired(const struct sim *sim, const struct entry *e)
{
    return e->state != ENTRY_OPEN && e->appended_ms + RETENTION_MS < sim->now_ms &&
           e->read_ms + RETENTION_MS / 2 + REQUEST_DEADLINE_MS + REQUEST_LATE_MS < sim->now_ms &&
           e->stored_ms + LISTING_LAG_MS < sim->now_ms;
}

void log_retain(struct sim *sim)
{
    for (int32_t p = 0; p < sim->partition_count; p++) {
        struct sim_log *log = &sim->logs[p];
        int64_t start = log->start;

        while (start < log->end && expired(sim, &log->entries[start]))
            start++;
        if (start == log->start)
            continue;
        log->start = sim_chance(sim, 50) ? start : sim_between(sim, log->start + 1, start);
        sim_trace(sim, "log %d: starts at %lld", p, (long long)log->start);
    }
}

void log_event(int32_t partition, int64_t offset, const struct entry *e, struct event *ret,
               char document[DOCUMENT_MAX])
{
    static const char *const accounts[ACCOUNTS] = {"1001", "1002", "1003"};
    int len = snprintf(document, DOCUMENT_MAX, "{\"at\":\"%d/%lld\",\"pad\":\"", partition,
                       (long long)offset);

    memset(document + len, 'x', e->document_len - (size_t)len);
    memcpy(document + e->document_len - 2, "\"}", 2);
    *ret = (struct event){
        .id = STR("id"),
        .account = str_from(accounts[e->account]),
        .region = HERE,
        .category = e->inner ? EVENT_INNER : EVENT_MANAGEMENT,
        .rw = e->rw,
        .global = e->global,
        .purpose = e->for_history_only ? EVENT_FOR_HISTORY : EVENT_FOR_HISTORY | EVENT_FOR_DELIVERY,
        .document = str_of(document, e->document_len),
    };
}
