/* canary.c - where each one has been, and when. */
#include "canary.h"

#include <stdio.h>

const char *canary_stage_name(enum canary_stage stage)
{
    static const char *const names[CANARY_STAGE_COUNT] = {"raw", "normalized", "history", "object"};

    CHECK(stage < CANARY_STAGE_COUNT);
    return names[stage];
}

bool canaries_due(struct canaries *c, int64_t now_ms, int64_t period_ms)
{
    if (now_ms < c->next_ms)
        return false;
    c->next_ms = now_ms + period_ms;
    return true;
}

void canaries_send(struct canaries *c, const char *id, int64_t now_ms)
{
    if (c->count == CANARIES_MAX)
        memmove(&c->at[0], &c->at[1], --c->count * sizeof(c->at[0]));
    c->at[c->count] = (struct canary){.sent_ms = now_ms, .offset = -1};
    (void)snprintf(c->at[c->count++].id, CANARY_ID_SIZE, "%s", id);
}

struct canary *canaries_find(struct canaries *c, struct str id)
{
    for (size_t i = 0; i < c->count; i++)
        if (str_eq(str_from(c->at[i].id), id))
            return &c->at[i];
    return NULL;
}

void canary_reached(struct canary *c, enum canary_stage stage, int64_t now_ms)
{
    if (!c->reached_ms[stage])
        c->reached_ms[stage] = MAX_OF(now_ms, (int64_t)1);
}

void canaries_forget(struct canaries *c, struct str id)
{
    struct canary *canary = canaries_find(c, id);
    size_t i;

    if (!canary)
        return;
    i = (size_t)(canary - c->at);
    memmove(canary, canary + 1, (--c->count - i) * sizeof(*canary));
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

struct freshness canaries_freshness(const struct canaries *c, enum canary_stage stage,
                                    int64_t now_ms)
{
    int64_t times[CANARIES_MAX];
    struct freshness f = {0};

    for (size_t i = 0; i < c->count; i++) {
        if (c->at[i].reached_ms[stage])
            times[f.count++] = c->at[i].reached_ms[stage] - c->at[i].sent_ms;
        else if (!c->skipped[stage])
            f.oldest_ms = MAX_OF(f.oldest_ms, now_ms - c->at[i].sent_ms);
    }
    if (!f.count)
        return f;
    qsort(times, f.count, sizeof(times[0]), compare);
    f.median_ms = times[f.count / 2];
    f.p99_ms = times[(f.count * 99 + 99) / 100 - 1];
    return f;
}

int64_t canaries_stuck_ms(const struct canaries *c, enum canary_stage stage, int64_t now_ms,
                          const struct canary **ret_which)
{
    static const int before[CANARY_STAGE_COUNT] = {-1, CANARY_RAW, CANARY_NORMALIZED,
                                                   CANARY_NORMALIZED};

    for (size_t i = 0; i < c->count && !c->skipped[stage]; i++) {
        const struct canary *canary = &c->at[i];
        int64_t since = before[stage] < 0 ? canary->sent_ms : canary->reached_ms[before[stage]];

        if (canary->reached_ms[stage] || (before[stage] >= 0 && !since))
            continue;
        *ret_which = canary;
        return now_ms - since;
    }
    return 0;
}
