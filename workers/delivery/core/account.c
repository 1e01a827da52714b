/* account.c - counts that belong to places. */
#include "account.h"

#include <stdio.h>

void account_begin(struct account *a, int64_t since)
{
    *a = (struct account){.settled = {.since = since}};
}

void account_back(struct account *a)
{
    a->filtered = a->settled.filtered;
    a->lost = a->settled.lost;
}

struct account_counts account_at(const struct account *a, int64_t count, int64_t filtered)
{
    return (struct account_counts){a->settled.since, a->settled.delivered + count, filtered,
                                   a->lost};
}

bool account_settle(struct account *a, const struct account_counts *counts, int64_t next,
                    bool passed)
{
    /* Somebody who began elsewhere, or who lost other offsets, counted other events. */
    bool same = counts->since == a->settled.since && counts->lost == a->lost;

    if (counts->since < 0)
        account_begin(a, next);
    else
        a->settled = *counts;
    if (passed && same)
        return true;
    account_back(a);
    return !passed;
}

void account_render(const struct account *a, char ret[ACCOUNT_TEXT_SIZE])
{
    (void)snprintf(ret, ACCOUNT_TEXT_SIZE, "%lld %lld %lld %lld %lld %lld",
                   (long long)a->settled.since, (long long)a->settled.delivered,
                   (long long)a->settled.filtered, (long long)a->settled.lost,
                   (long long)a->filtered, (long long)a->lost);
}

int account_parse(struct str text, struct account *ret)
{
    struct str rest = text, word;
    int64_t n[6];

    for (size_t i = 0; i < ARRAY_LEN(n); i++) {
        bool last = i + 1 == ARRAY_LEN(n);

        if (last)
            word = rest;
        else if (!str_split(&rest, ' ', &word))
            return -ERR_INVALID;
        if (!str_to_i64(word, &n[i]) || n[i] < 0)
            return -ERR_INVALID;
    }
    if (n[4] < n[2] || n[5] < n[3])
        return -ERR_INVALID;
    *ret = (struct account){{n[0], n[1], n[2], n[3]}, n[4], n[5]};
    return 0;
}
