/* time.c - UTC calendar arithmetic. No clock, no time zone, no locale. */
#include "base/base.h"

#include <stdio.h>

/* Days since 1970-01-01 of a civil date, and back: years that begin in March make the leap day the
 * last of the year, so that both directions are a few divisions. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    int64_t era, yoe, doy, doe;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct time_parts time_split(int64_t seconds)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    int64_t era, doe, yoe, doy, mp;
    struct time_parts p;

    if (rest < 0) {
        rest += 86400;
        days--;
    }
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    doe = days - era * 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    p.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    p.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    p.year = (int)(yoe + era * 400 + (p.month <= 2));
    p.hour = (int)(rest / 3600);
    p.minute = (int)(rest / 60 % 60);
    p.second = (int)(rest % 60);
    return p;
}

int64_t time_join(const struct time_parts *p)
{
    return days_from_civil(p->year, p->month, p->day) * 86400 + p->hour * 3600 + p->minute * 60 +
           p->second;
}

static bool digits(struct str text, size_t from, size_t count, int *ret)
{
    uint64_t n;

    if (!str_to_u64(str_of(text.at + from, count), &n))
        return false;
    *ret = (int)n;
    return true;
}

static bool parse_to_seconds(struct str text, int64_t *ret_seconds)
{
    struct time_parts p, again;

    if (text.len < 19 || text.at[4] != '-' || text.at[7] != '-' || text.at[10] != 'T' ||
        text.at[13] != ':' || text.at[16] != ':')
        return false;
    if (!digits(text, 0, 4, &p.year) || !digits(text, 5, 2, &p.month) ||
        !digits(text, 8, 2, &p.day) || !digits(text, 11, 2, &p.hour) ||
        !digits(text, 14, 2, &p.minute) || !digits(text, 17, 2, &p.second))
        return false;
    if (p.month < 1 || p.month > 12 || p.day < 1 || p.hour > 23 || p.minute > 59 || p.second > 59)
        return false;
    *ret_seconds = time_join(&p);
    again = time_split(*ret_seconds); /* the 31st of February is the 3rd of March */
    return again.day == p.day && again.month == p.month;
}

bool time_parse(struct str text, int64_t *ret_seconds)
{
    return text.len == 20 && text.at[19] == 'Z' && parse_to_seconds(text, ret_seconds);
}

bool time_parse_lenient(struct str text, int64_t *ret_seconds)
{
    uint64_t fraction;

    if (text.len < 22 || text.len > 30)
        return time_parse(text, ret_seconds);
    return text.at[19] == '.' && text.at[text.len - 1] == 'Z' &&
           str_to_u64(str_of(text.at + 20, text.len - 21), &fraction) &&
           parse_to_seconds(text, ret_seconds);
}

void time_format(int64_t seconds, char ret[TIME_TEXT_SIZE])
{
    struct time_parts p = time_split(seconds);

    CHECK(p.year >= 0 && p.year <= 9999);
    (void)snprintf(ret, TIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)p.year % 10000,
                   (unsigned)p.month % 100, (unsigned)p.day % 100, (unsigned)p.hour % 100,
                   (unsigned)p.minute % 100, (unsigned)p.second % 100);
}
