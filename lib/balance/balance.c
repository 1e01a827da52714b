/* balance.c - looks, and what follows from two of them. */
#include "balance/balance.h"

#include <stdio.h>

struct part {
    bool known; /* in this look */
    struct balance_counts counts;
    int64_t log_end;
    int64_t covered; /* counted without a hole up to here; -1: never seen */
    int64_t back_ms; /* counts lie behind what was seen before, since */
    int64_t fine;    /* reached when nothing differed and nothing was on its way */
    int64_t end_as_stage, end_as_sender; /* the log's end at the look that is compared with */
    int64_t end_before;                  /* at the look before this one */
};

/* A difference, and since when. */
struct difference {
    bool armed;   /* there is a look to compare with */
    int64_t then; /* sent (to find what is missing) or taken (to find a surplus) at that look */
    int64_t found, since_ms;
};

struct topic {
    enum topic_kind kind;
    size_t region;
    struct part *parts;
    size_t count;
    struct difference missing, surplus;
    int64_t accepted; /* added to what was sent: counts began anew, or somebody accepted it */
    bool settling;    /* `accepted` is to be found out once all is quiet */
    int64_t sent_before, taken_before;
};

struct hole {
    size_t topic;
    int32_t partition;
    int64_t from, to;
};

struct balance {
    struct str regions[BALANCE_REGIONS_MAX];
    char *region_texts[BALANCE_REGIONS_MAX];
    size_t region_count;
    int64_t after_ms, now_ms;
    struct topic topics[2 * BALANCE_REGIONS_MAX + 1];
    struct hole holes[BALANCE_HOLES_MAX];
    size_t hole_count;
};

/* ---- one field of a tally ------------------------------------------------------------------------------ */

void balance_count(struct balance_counts *c, const struct str *regions, size_t region_count,
                   struct str name, int64_t n)
{
    struct str rest = name, word;

    if (str_eq(name, STR("offset"))) {
        c->offset += n;
    } else if (str_eq(name, STR("base"))) {
        c->base += n;
    } else if (str_eq(name, STR("gaps"))) {
        c->gaps += n;
    } else {
        c->outcomes += n;
        if (str_eq(name, STR("events")))
            c->events += n;
        else if (str_eq(name, STR("to.global")))
            c->to_global += n;
        else if (str_split(&rest, '.', &word) && str_eq(word, STR("to")))
            for (size_t i = 0; i < region_count; i++)
                if (str_eq(regions[i], rest))
                    c->to_region[i] += n;
    }
}

/* ---- topics ---------------------------------------------------------------------------------------------- */

struct balance *balance_new(const struct str *regions, size_t region_count, int64_t after_ms)
{
    struct balance *b = calloc(1, sizeof(*b));
    size_t t = 0;

    CHECK(region_count <= BALANCE_REGIONS_MAX);
    if (!b)
        return NULL;
    b->after_ms = after_ms;
    for (size_t i = 0; i < region_count; i++) {
        b->region_texts[i] = str_dup(regions[i]);
        if (!b->region_texts[i]) {
            balance_free(b);
            return NULL;
        }
        b->regions[i] = str_from(b->region_texts[i]);
        b->region_count++;
    }
    for (size_t i = 0; i < region_count; i++)
        b->topics[t++] = (struct topic){.kind = TOPIC_RAW, .region = i};
    b->topics[t++] = (struct topic){.kind = TOPIC_GLOBAL};
    for (size_t i = 0; i < region_count; i++)
        b->topics[t++] = (struct topic){.kind = TOPIC_EVENTS, .region = i};
    return b;
}

void balance_free(struct balance *b)
{
    if (!b)
        return;
    for (size_t t = 0; t < balance_topic_count(b); t++)
        free(b->topics[t].parts);
    for (size_t i = 0; i < BALANCE_REGIONS_MAX; i++)
        free(b->region_texts[i]);
    free(b);
}

size_t balance_topic_count(const struct balance *b)
{
    return 2 * b->region_count + 1;
}

enum topic_kind balance_topic_kind(const struct balance *b, size_t topic)
{
    return b->topics[topic].kind;
}

struct str balance_topic_region(const struct balance *b, size_t topic)
{
    const struct topic *t = &b->topics[topic];

    return t->kind == TOPIC_GLOBAL ? STR("") : b->regions[t->region];
}

struct topic_name balance_topic_name(const struct balance *b, size_t topic)
{
    return topic_name(b->topics[topic].kind, balance_topic_region(b, topic));
}

struct str balance_topic_worker(const struct balance *b, size_t topic)
{
    switch (b->topics[topic].kind) {
    case TOPIC_RAW:
        return STR("normalizer");
    case TOPIC_GLOBAL:
        return STR("router");
    default:
        return STR("history");
    }
}

/* Parts are made as they are met. NULL: without memory, or there cannot be so many. */
static struct part *part_of(struct topic *t, int32_t partition)
{
    size_t count = (size_t)partition + 1;
    struct part *parts;

    if (partition < 0 || partition >= BALANCE_PARTITIONS_MAX)
        return NULL;
    if (count > t->count) {
        parts = realloc(t->parts, count * sizeof(*parts));
        if (!parts)
            return NULL;
        t->parts = parts;
        for (; t->count < count; t->count++)
            t->parts[t->count] = (struct part){.covered = -1};
    }
    return &t->parts[partition];
}

/* Whether what `sender` counts is part of what was sent to `t`. */
static bool sends_to(const struct topic *sender, const struct topic *t)
{
    if (t->kind == TOPIC_GLOBAL)
        return sender->kind == TOPIC_RAW;
    return t->kind == TOPIC_EVENTS && (sender->kind == TOPIC_RAW || sender->kind == TOPIC_GLOBAL);
}

/* ---- holes ------------------------------------------------------------------------------------------------ */

static void add_hole(struct balance *b, size_t topic, int32_t partition, int64_t from, int64_t to)
{
    for (size_t i = 0; i < b->hole_count; i++) {
        struct hole *h = &b->holes[i];

        if (h->topic == topic && h->partition == partition && from <= h->to && to >= h->from) {
            h->from = MIN_OF(h->from, from);
            h->to = MAX_OF(h->to, to);
            return;
        }
    }
    if (b->hole_count <
        BALANCE_HOLES_MAX) /* more are in the log of whoever looks, and change nothing */
        b->holes[b->hole_count++] = (struct hole){topic, partition, from, to};
}

/* ---- a look ------------------------------------------------------------------------------------------------ */

/* Counts that begin anew cannot be held against what was counted before. */
static void settle_anew(struct balance *b, struct topic *t)
{
    for (size_t i = 0; i < balance_topic_count(b); i++)
        if (&b->topics[i] == t || sends_to(t, &b->topics[i])) {
            b->topics[i].settling = b->topics[i].kind != TOPIC_RAW;
            b->topics[i].missing = b->topics[i].surplus = (struct difference){0};
        }
}

void balance_log(struct balance *b, size_t topic, int32_t partition, int64_t log_end)
{
    struct part *p = part_of(&b->topics[topic], partition);

    if (!p)
        return;
    p->end_before = p->log_end;
    p->log_end = log_end;
}

void balance_part(struct balance *b, size_t topic, int32_t partition, int64_t now_ms,
                  const struct balance_counts *counts)
{
    struct topic *t = &b->topics[topic];
    struct part *p = part_of(t, partition);
    bool began_anew;

    if (!p)
        return;
    p->known = counts != NULL;
    if (!counts)
        return;
    if (p->covered >= 0 && counts->offset < p->covered) {
        /* A process that is no longer the partition's owner may have the last word for a moment. */
        if (!p->back_ms)
            p->back_ms = now_ms ? now_ms : 1;
        if (now_ms - p->back_ms < b->after_ms) {
            p->known = false;
            return;
        }
        p->covered = counts->offset;
        settle_anew(b, t);
    }
    p->back_ms = 0;
    began_anew = p->covered < 0 ? counts->base > 0 : counts->base > p->counts.base;
    if (p->covered >= 0 && counts->base > p->covered)
        add_hole(b, topic, partition, p->covered, counts->base);
    if (began_anew)
        settle_anew(b, t);
    p->counts = *counts;
    p->covered = counts->offset;
}

/* ---- judgement ---------------------------------------------------------------------------------------------- */

static bool all_known(const struct topic *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->parts[i].known)
            return false;
    return t->count > 0;
}

/* What was sent to the topic, by all senders. False while one of them does not tell. */
static bool sent_to(const struct balance *b, const struct topic *t, int64_t *ret)
{
    *ret = t->accepted;
    for (size_t i = 0; i < balance_topic_count(b); i++) {
        const struct topic *sender = &b->topics[i];

        if (!sends_to(sender, t))
            continue;
        if (!all_known(sender))
            return false;
        for (size_t p = 0; p < sender->count; p++) {
            const struct balance_counts *c = &sender->parts[p].counts;

            *ret += t->kind == TOPIC_GLOBAL ? c->to_global : c->to_region[t->region];
        }
    }
    return true;
}

static int64_t taken_of(const struct topic *t)
{
    int64_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        n += t->parts[i].counts.events;
    return n;
}

static bool reached(const struct topic *t, bool as_sender)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->parts[i].known ||
            t->parts[i].counts.offset <
                (as_sender ? t->parts[i].end_as_sender : t->parts[i].end_as_stage))
            return false;
    return true;
}

static void judged(struct difference *d, int64_t found, int64_t now_ms)
{
    if (found <= 0)
        d->since_ms = 0;
    else if (!d->since_ms)
        d->since_ms = now_ms ? now_ms : 1;
    d->found = found;
}

/* All that was sent by the look then has been passed by now. */
static void judge_missing(struct topic *t, int64_t sent, int64_t taken, int64_t now_ms)
{
    if (t->missing.armed && !reached(t, false))
        return;
    if (t->missing.armed)
        judged(&t->missing, t->missing.then - taken, now_ms);
    t->missing.armed = true;
    t->missing.then = sent;
    for (size_t i = 0; i < t->count; i++) {
        t->parts[i].end_as_stage = t->parts[i].log_end;
        if (sent == taken)
            t->parts[i].fine = t->parts[i].counts.offset;
    }
}

/* Whether every sender has passed what its input held at the look that is compared with. */
static bool senders_reached(const struct balance *b)
{
    for (size_t i = 0; i < balance_topic_count(b); i++)
        if (b->topics[i].kind != TOPIC_EVENTS && !reached(&b->topics[i], true))
            return false;
    return true;
}

static void judge_surplus(struct balance *b)
{
    bool due = senders_reached(b);

    for (size_t i = 0; due && i < balance_topic_count(b); i++) {
        struct topic *t = &b->topics[i];
        int64_t sent;

        if (t->kind == TOPIC_RAW || t->settling || !all_known(t) || !sent_to(b, t, &sent))
            continue;
        if (t->surplus.armed)
            judged(&t->surplus, t->surplus.then - sent, b->now_ms);
        t->surplus.armed = true;
        t->surplus.then = taken_of(t);
    }
    for (size_t i = 0; due && i < balance_topic_count(b); i++)
        for (size_t p = 0; p < b->topics[i].count; p++)
            b->topics[i].parts[p].end_as_sender = b->topics[i].parts[p].log_end;
}

/* Nothing has moved since the look before, and nothing waits: what differs now will differ for ever. */
static bool quiet(const struct balance *b, const struct topic *t, int64_t sent, int64_t taken)
{
    for (size_t i = 0; i < balance_topic_count(b); i++) {
        const struct topic *other = &b->topics[i];

        for (size_t p = 0; (other == t || sends_to(other, t)) && p < other->count; p++)
            if (!other->parts[p].known || other->parts[p].counts.offset < other->parts[p].log_end ||
                other->parts[p].end_before != other->parts[p].log_end)
                return false;
    }
    return sent == t->sent_before && taken == t->taken_before;
}

static void settle(const struct balance *b, struct topic *t, int64_t sent, int64_t taken)
{
    if (quiet(b, t, sent, taken)) {
        t->accepted += taken - sent;
        t->settling = false;
        sent = taken;
    }
    t->sent_before = sent;
    t->taken_before = taken;
}

void balance_judge(struct balance *b, int64_t now_ms)
{
    b->now_ms = now_ms;
    for (size_t i = 0; i < balance_topic_count(b); i++) {
        struct topic *t = &b->topics[i];
        int64_t sent;

        if (t->kind == TOPIC_RAW || !all_known(t) || !sent_to(b, t, &sent))
            continue;
        if (t->settling)
            settle(b, t, sent, taken_of(t));
        else
            judge_missing(t, sent, taken_of(t), now_ms);
    }
    judge_surplus(b);
}

/* ---- what is shown -------------------------------------------------------------------------------------------- */

static int64_t certain(const struct balance *b, const struct difference *d)
{
    return d->since_ms && b->now_ms - d->since_ms >= b->after_ms ? d->found : 0;
}

struct balance_row balance_row(const struct balance *b, size_t topic)
{
    const struct topic *t = &b->topics[topic];
    struct balance_row row = {0};

    for (size_t i = 0; i < t->count; i++) {
        const struct part *p = &t->parts[i];

        row.unknown += p->covered < 0;
        if (p->covered < 0)
            continue;
        row.waiting += MAX_OF(p->log_end - p->counts.offset, (int64_t)0);
        row.received += p->log_end - p->counts.base - p->counts.gaps;
        row.accounted += t->kind == TOPIC_RAW ? p->counts.outcomes : p->counts.events;
    }
    for (size_t i = 0; i < b->hole_count; i++)
        if (b->holes[i].topic == topic)
            row.passed += b->holes[i].to - b->holes[i].from;
    if (t->kind != TOPIC_RAW && !sent_to(b, t, &row.received))
        row.received = row.accounted;
    row.missing = certain(b, &t->missing) - certain(b, &t->surplus);
    return row;
}

/* Between the last moment without any difference and now. */
static void add_places(const struct topic *t, struct buf *out)
{
    bool any = false;

    for (size_t i = 0; i < t->count; i++) {
        const struct part *p = &t->parts[i];

        if (p->counts.offset <= p->fine)
            continue;
        buf_addf(out, "%s%zu/%lld-%lld", any ? ", " : " within ", i, (long long)p->fine,
                 (long long)p->counts.offset - 1);
        any = true;
    }
}

static void say_difference(const struct balance *b, size_t topic, bool missing,
                           struct balance_finding *ret)
{
    const struct topic *t = &b->topics[topic];
    struct topic_name name = balance_topic_name(b, topic);
    struct str worker = balance_topic_worker(b, topic);
    int64_t n = missing ? t->missing.found : t->surplus.found;
    AUTO_BUF struct buf text = {0};

    buf_init(&text, BALANCE_WHY_SIZE - 1);
    (void)snprintf(ret->id, sizeof(ret->id), "%s %s", missing ? "missing" : "surplus", name.text);
    if (missing)
        buf_addf(&text, "%s: %lld events were sent there that the " STR_FMT " has not met",
                 name.text, (long long)n, STR_ARG(worker));
    else
        buf_addf(&text, "%s: the " STR_FMT " has met %lld events more than were sent there",
                 name.text, STR_ARG(worker), (long long)n);
    add_places(t, &text);
    (void)snprintf(ret->why, sizeof(ret->why), "%.*s", (int)text.len, text.at ? text.at : "");
}

static void say_hole(const struct balance *b, const struct hole *h, struct balance_finding *ret)
{
    struct topic_name name = balance_topic_name(b, h->topic);

    (void)snprintf(ret->id, sizeof(ret->id), "hole %s/%d %lld", name.text, h->partition,
                   (long long)h->from);
    (void)snprintf(ret->why, sizeof(ret->why),
                   "%s/%d: offsets %lld to %lld were passed over, the " STR_FMT
                   " has not accounted for them",
                   name.text, h->partition, (long long)h->from, (long long)h->to - 1,
                   STR_ARG(balance_topic_worker(b, h->topic)));
}

static void say_miscount(const struct balance *b, size_t topic, int32_t partition, int64_t n,
                         struct balance_finding *ret)
{
    struct topic_name name = balance_topic_name(b, topic);
    const struct balance_counts *c = &b->topics[topic].parts[partition].counts;

    (void)snprintf(ret->id, sizeof(ret->id), "miscount %s/%d", name.text, partition);
    (void)snprintf(ret->why, sizeof(ret->why),
                   "%s/%d: of the offsets %lld to %lld, %lld became nothing that was counted",
                   name.text, partition, (long long)c->base, (long long)c->offset - 1,
                   (long long)n);
}

/* Of raw every offset has one outcome or is a gap. */
static int64_t miscount(const struct topic *t, size_t part)
{
    const struct balance_counts *c = &t->parts[part].counts;

    return t->kind == TOPIC_RAW && t->parts[part].known
               ? c->offset - c->base - c->gaps - c->outcomes
               : 0;
}

bool balance_finding(const struct balance *b, size_t i, struct balance_finding *ret)
{
    if (i < b->hole_count) {
        say_hole(b, &b->holes[i], ret);
        return true;
    }
    i -= b->hole_count;
    for (size_t topic = 0; topic < balance_topic_count(b); topic++) {
        const struct topic *t = &b->topics[topic];

        if (certain(b, &t->missing) && i-- == 0) {
            say_difference(b, topic, true, ret);
            return true;
        }
        if (certain(b, &t->surplus) && i-- == 0) {
            say_difference(b, topic, false, ret);
            return true;
        }
        for (size_t p = 0; p < t->count; p++)
            if (miscount(t, p) && i-- == 0) {
                say_miscount(b, topic, (int32_t)p, miscount(t, p), ret);
                return true;
            }
    }
    return false;
}

/* As much of it as is certain: whatever else differs, or will, is another one. Waiting for a quiet moment instead would hide
 * all that is lost until then, and there may never be one. */
static void accept_difference(const struct balance *b, struct topic *t, bool missing)
{
    t->accepted += missing ? -certain(b, &t->missing) : certain(b, &t->surplus);
    t->missing = t->surplus = (struct difference){0};
}

void balance_accept(struct balance *b, struct str id)
{
    struct balance_finding f;

    for (size_t i = 0; i < b->hole_count; i++) {
        say_hole(b, &b->holes[i], &f);
        if (str_eq(id, str_from(f.id))) {
            b->holes[i] = b->holes[--b->hole_count];
            return;
        }
    }
    for (size_t i = 0; i < balance_topic_count(b); i++)
        for (int missing = 0; missing < 2; missing++) {
            say_difference(b, i, missing, &f);
            if (str_eq(id, str_from(f.id)))
                accept_difference(b, &b->topics[i], missing);
        }
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* "counts TOPIC PARTITION BASE OFFSET", "hole TOPIC PARTITION FROM TO", "accepted TOPIC 0 N SETTLING" */
bool balance_memory(const struct balance *b, size_t i, char ret[BALANCE_MEMORY_SIZE])
{
    if (i < b->hole_count) {
        const struct hole *h = &b->holes[i];

        (void)snprintf(ret, BALANCE_MEMORY_SIZE, "hole %s %d %lld %lld",
                       balance_topic_name(b, h->topic).text, h->partition, (long long)h->from,
                       (long long)h->to);
        return true;
    }
    i -= b->hole_count;
    for (size_t topic = 0; topic < balance_topic_count(b); topic++) {
        const struct topic *t = &b->topics[topic];

        if (i-- == 0) {
            (void)snprintf(ret, BALANCE_MEMORY_SIZE, "accepted %s 0 %lld %d",
                           balance_topic_name(b, topic).text, (long long)t->accepted, t->settling);
            return true;
        }
        for (size_t p = 0; p < t->count; p++)
            if (t->parts[p].covered >= 0 && i-- == 0) {
                (void)snprintf(ret, BALANCE_MEMORY_SIZE, "counts %s %zu %lld %lld",
                               balance_topic_name(b, topic).text, p,
                               (long long)t->parts[p].counts.base, (long long)t->parts[p].covered);
                return true;
            }
    }
    return false;
}

void balance_recall(struct balance *b, struct str line)
{
    struct str rest = line, kind, name, partition_text, first;
    int64_t partition, x, y;
    struct part *p;

    if (!str_split(&rest, ' ', &kind) || !str_split(&rest, ' ', &name) ||
        !str_split(&rest, ' ', &partition_text) || !str_split(&rest, ' ', &first) ||
        !str_to_i64(partition_text, &partition) || partition < 0 ||
        partition >= BALANCE_PARTITIONS_MAX || !str_to_i64(first, &x) || !str_to_i64(rest, &y))
        return;
    for (size_t i = 0; i < balance_topic_count(b); i++) {
        struct topic *t = &b->topics[i];

        if (!str_eq(name, str_from(balance_topic_name(b, i).text)))
            continue;
        if (str_eq(kind, STR("hole")) && x >= 0 && y > x) {
            add_hole(b, i, (int32_t)partition, x, y);
        } else if (str_eq(kind, STR("accepted"))) {
            t->accepted = x;
            t->settling = y == 1 && t->kind != TOPIC_RAW;
        } else if (str_eq(kind, STR("counts")) && x >= 0 && y >= x) {
            p = part_of(t, (int32_t)partition);
            if (p) {
                p->covered = y;
                p->counts.base = x;
                p->counts.offset = y;
            }
        }
    }
}
