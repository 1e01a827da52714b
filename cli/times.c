/* times.c - times and windows. */
#include "cli/times.h"

#define BACK_MAX 1000000000LL /* of any unit: far more than anything is kept */

static bool parse_back(struct str text, int64_t now_s, int64_t *ret_s)
{
    static const struct {
        char name;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t count;

    if (text.len < 3 || text.at[0] != '-' ||
        !str_to_u64(str_of(text.at + 1, text.len - 2), &count) || count > BACK_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].name != text.at[text.len - 1])
            continue;
        *ret_s = now_s - (int64_t)count * units[i].seconds;
        return true;
    }
    return false;
}

static bool parse_day(struct str text, int64_t *ret_s)
{
    char whole[TIME_TEXT_SIZE];

    if (text.len != sizeof("2026-11-23") - 1)
        return false;
    memcpy(whole, text.at, text.len);
    memcpy(whole + text.len, "T00:00:00Z", sizeof("T00:00:00Z"));
    return time_parse(str_from(whole), ret_s);
}

bool times_parse(struct str text, int64_t now_s, int64_t *ret_s)
{
    if (str_eq(text, STR("now"))) {
        *ret_s = now_s;
        return true;
    }
    return time_parse(text, ret_s) || parse_day(text, ret_s) || parse_back(text, now_s, ret_s);
}

bool times_window(struct times_span *span, int64_t window_s, struct times_span *ret)
{
    if (span->end_s <= span->start_s)
        return false;
    ret->end_s = span->end_s;
    ret->start_s = MAX_OF(span->start_s, span->end_s - window_s);
    span->end_s = ret->start_s;
    return true;
}
