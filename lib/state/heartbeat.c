/* heartbeat.c - one pipeline a second. */
#include "state/heartbeat.h"

#include <unistd.h>

#include "state/keys.h"

static void add_hash(struct heartbeat *h, int64_t now_ms, const struct heartbeat_view *view)
{
    struct state_key key = state_key_worker(h->worker, h->region, h->instance);
    struct state_key all = state_key_workers();
    int64_t passed_ms = MAX_OF(now_ms - h->last_ms, (int64_t)1); /* a clock set back says nothing */
    int64_t rate = h->last_ms && now_ms > h->last_ms
                       ? (int64_t)(view->records - h->last_records) * 1000 / passed_ms
                       : 0;
    char started[TIME_TEXT_SIZE], seen[TIME_TEXT_SIZE], pid[NUMBER_TEXT_SIZE],
        lag[NUMBER_TEXT_SIZE], parts[NUMBER_TEXT_SIZE], rates[NUMBER_TEXT_SIZE],
        ttl[NUMBER_TEXT_SIZE];

    time_format(h->started_ms / 1000, started);
    time_format(now_ms / 1000, seen);
    STATE_ADD(h->state, STR("HSET"), state_key_str(&key), STR("version"), STR(TRAILBUS_VERSION),
              STR("pid"), str_of_i64(getpid(), pid), STR("started"), str_from(started), STR("seen"),
              str_from(seen), STR("state"), str_from(view->state), STR("lag"),
              str_of_i64(view->lag, lag), STR("partitions"),
              str_of_i64((int64_t)view->partitions, parts), STR("rate"), str_of_i64(rate, rates));
    STATE_ADD(h->state, STR("EXPIRE"), state_key_str(&key), str_of_i64(HEARTBEAT_TTL_S, ttl));
    STATE_ADD(h->state, STR("SADD"), state_key_str(&all), state_key_str(&key));
}

void heartbeat_tally(void *heartbeat, int32_t partition, int64_t offset, const struct tally *tally)
{
    struct heartbeat *h = heartbeat;
    struct state_key key = state_key_tally(h->worker, h->region, partition);
    struct str args[STATE_ARGS_MAX];
    char texts[3 + TALLY_KINDS_MAX][NUMBER_TEXT_SIZE];
    size_t count = 0, text = 0;

    args[count++] = STR("HSET");
    args[count++] = state_key_str(&key);
    args[count++] = STR("offset");
    args[count++] = str_of_i64(offset, texts[text++]);
    args[count++] = STR("base");
    args[count++] = str_of_i64(tally->base, texts[text++]);
    args[count++] = STR("gaps");
    args[count++] = str_of_i64(tally->gaps, texts[text++]);
    for (size_t i = 0; i < tally->kinds->count; i++) {
        if (!tally->counts[i] || count + 2 > STATE_ARGS_MAX)
            continue;
        args[count++] = str_from(tally->kinds->names[i]);
        args[count++] = str_of_i64(tally->counts[i], texts[text++]);
    }
    STATE_ADD(h->state, STR("MULTI"));
    STATE_ADD(h->state, STR("DEL"), state_key_str(&key)); /* another tally's kinds */
    state_add(h->state, count, args);
    STATE_ADD(h->state, STR("EXEC"));
}

static void write_out(struct heartbeat *h, int64_t now_ms, const struct heartbeat_view *view)
{
    struct state_key counters = state_key_counters(h->worker, h->region);
    char text[NUMBER_TEXT_SIZE];
    size_t named; /* the reply to what names us among all workers */

    CHECK(view->counter_count <= HEARTBEAT_COUNTERS_MAX);
    add_hash(h, now_ms, view);
    named = state_queued(h->state) - 1;
    for (size_t i = 0; i < view->counter_count; i++)
        if (view->counters[i].total != h->sent[i])
            STATE_ADD(h->state, STR("HINCRBY"), state_key_str(&counters),
                      str_from(view->counters[i].name),
                      str_of_i64((int64_t)(view->counters[i].total - h->sent[i]), text));
    if (state_flush(h->state, NULL) < 0)
        return; /* the differences come with a later one */
    /* Our name was there since the first beat, and nobody takes the name of a living worker away. */
    h->emptied += h->last_ms && state_reply(h->state, named).type == STATE_INTEGER &&
                  state_reply(h->state, named).integer == 1;
    for (size_t i = 0; i < view->counter_count; i++)
        h->sent[i] = view->counters[i].total;
    h->last_ms = now_ms;
    h->last_records = view->records;
}

bool heartbeat_due(const struct heartbeat *h, int64_t now_ms)
{
    return now_ms >= h->next_ms || now_ms < h->next_ms - HEARTBEAT_INTERVAL_MS;
}

void heartbeat_beat(struct heartbeat *h, int64_t now_ms, const struct heartbeat_view *view)
{
    if (!heartbeat_due(h, now_ms))
        return;
    if (!h->started_ms)
        h->started_ms = now_ms;
    h->next_ms = now_ms + HEARTBEAT_INTERVAL_MS;
    write_out(h, now_ms, view);
}

void heartbeat_end(struct heartbeat *h, int64_t now_ms, const struct heartbeat_view *view)
{
    write_out(h, now_ms, view);
}
