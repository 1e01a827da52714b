/* keys.c - names of Redis keys. */
#include "state/keys.h"

#include <stdarg.h>
#include <stdio.h>

static struct state_key PRINTF_LIKE(1, 2) key_of(const char *format, ...)
{
    struct state_key key;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(key.text, sizeof(key.text), format, args);
    va_end(args);
    CHECK(len > 0);
    /* Parts are bounded by what is accepted (ids, names); a nonce is not: cut, it only matches itself. */
    key.len = MIN_OF((size_t)len, sizeof(key.text) - 1);
    return key;
}

struct state_key state_key_worker(struct str worker, struct str region, struct str instance)
{
    return key_of("tb1:worker:" STR_FMT ":" STR_FMT ":" STR_FMT, STR_ARG(worker), STR_ARG(region),
                  STR_ARG(instance));
}

struct state_key state_key_workers(void)
{
    return key_of("tb1:workers");
}

struct state_key state_key_counters(struct str worker, struct str region)
{
    return key_of("tb1:count:" STR_FMT ":" STR_FMT, STR_ARG(worker), STR_ARG(region));
}

struct state_key state_key_tally(struct str worker, struct str region, int32_t partition)
{
    return key_of("tb1:tally:" STR_FMT ":" STR_FMT ":%d", STR_ARG(worker), STR_ARG(region),
                  partition);
}

struct state_key state_key_trail_status(struct str trail, struct str region)
{
    return key_of("tb1:trail:" STR_FMT ":status:" STR_FMT, STR_ARG(trail), STR_ARG(region));
}

struct state_key state_key_trail_counts(struct str trail, struct str region)
{
    return key_of("tb1:trail:" STR_FMT ":counts:" STR_FMT, STR_ARG(trail), STR_ARG(region));
}

struct state_key state_key_progress(struct str trail, struct str chain, int32_t partition,
                                    struct str account, struct str type)
{
    return key_of("tb1:progress:" STR_FMT ":" STR_FMT ":%d:" STR_FMT ":" STR_FMT, STR_ARG(trail),
                  STR_ARG(chain), partition, STR_ARG(account), STR_ARG(type));
}

struct state_key state_key_nonce(struct str access_key, struct str nonce)
{
    return key_of("tb1:nonce:" STR_FMT ":" STR_FMT, STR_ARG(access_key), STR_ARG(nonce));
}

struct state_key state_key_throttle(struct str principal, struct str operation, int64_t second)
{
    return key_of("tb1:throttle:" STR_FMT ":" STR_FMT ":%lld", STR_ARG(principal),
                  STR_ARG(operation), (long long)second);
}

struct state_key state_key_trail(struct str trail)
{
    return key_of("tb1:trail:" STR_FMT, STR_ARG(trail));
}

struct state_key state_key_account_trails(struct str account)
{
    return key_of("tb1:account:" STR_FMT ":trails", STR_ARG(account));
}

struct state_key state_key_epoch(void)
{
    return key_of("tb1:epoch");
}

struct state_key state_key_epoch_of(struct str who)
{
    return key_of("tb1:epoch:" STR_FMT, STR_ARG(who));
}

struct state_key state_key_balance(struct str topic)
{
    return key_of("tb1:balance:" STR_FMT, STR_ARG(topic));
}

struct state_key state_key_loss(struct str topic, struct str worker)
{
    return key_of("tb1:loss:" STR_FMT ":" STR_FMT, STR_ARG(topic), STR_ARG(worker));
}

struct state_key state_key_freshness(struct str region)
{
    return key_of("tb1:freshness:" STR_FMT, STR_ARG(region));
}

struct state_key state_key_alarms(void)
{
    return key_of("tb1:alarms");
}

struct state_key state_key_alarms_log(void)
{
    return key_of("tb1:alarms:log");
}

struct state_key state_key_alarms_accepted(void)
{
    return key_of("tb1:alarms:accepted");
}

struct state_key state_key_watch_memory(void)
{
    return key_of("tb1:watch:memory");
}
