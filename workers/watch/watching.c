/* watch: is every event accounted for, how fresh is what is found, what is about to be lost?
 *
 *     counts in Redis, ends and offsets in Kafka --> books.c --> balances, time to loss --\
 *     canaries, through every stage ------------> canaries.c --> freshness ---------------+--> alarms --> Redis, log
 *
 * It reads what others wrote and writes nothing that anybody but people needs: the pipeline goes on without it, and
 * while Redis or Kafka is away it waits. One is enough; two see the same.
 *
 * An alarm is said again with each look for as long as it holds. A look that did not succeed says nothing, so nothing
 * begins and nothing is over by it.
 */
#include "watching.h"

#include <poll.h>
#include <stdio.h>

#include "books.h"
#include "canaries.h"
#include "log/log.h"
#include "state/heartbeat.h"
#include "state/keys.h"

#define STEP_MS    100
#define LOG_LENGTH STR("1000") /* alarms that the stream keeps, about */

struct watch {
    const struct watch_config *config;
    struct bus_settings bus;
    struct state *state;
    struct http *http;
    struct books *books;
    struct flock *flock; /* NULL: without canaries */
    struct alarms alarms;
    int64_t look_ms;
    uint64_t looks, raised;
};

/* ---- alarms ---------------------------------------------------------------------------------------------- */

static void queue_log(struct watch *w, const struct alarm *alarm, const char *what, int64_t now_ms)
{
    struct state_key key = state_key_alarms_log();
    char time[TIME_TEXT_SIZE];

    time_format(now_ms / 1000, time);
    STATE_ADD(w->state, STR("XADD"), state_key_str(&key), STR("MAXLEN"), STR("~"), LOG_LENGTH,
              STR("*"), STR("alarm"), str_from(alarm->id), STR("what"), str_from(what), STR("why"),
              str_from(alarm->why), STR("time"), str_from(time));
}

static void tell(struct watch *w, int64_t now_ms)
{
    const struct alarm *begun;
    struct alarm over;

    while (alarms_next_over(&w->alarms, &over)) {
        log_info("over: %s", over.why);
        queue_log(w, &over, "over", now_ms);
    }
    while ((begun = alarms_next_begun(&w->alarms))) {
        w->raised++;
        log_error(-ERR_CONFLICT, "alarm: %s", begun->why);
        queue_log(w, begun, "begun", now_ms);
    }
}

/* All that is wrong now, at once. */
static void queue_alarms(struct watch *w)
{
    struct state_key key = state_key_alarms();
    char since[TIME_TEXT_SIZE], text[ALARM_WHY_SIZE + TIME_TEXT_SIZE + 1];

    STATE_ADD(w->state, STR("MULTI"));
    STATE_ADD(w->state, STR("DEL"), state_key_str(&key));
    for (size_t i = 0; i < w->alarms.count; i++) {
        const struct alarm *a = &w->alarms.at[i];

        time_format(a->since_ms / 1000, since);
        (void)snprintf(text, sizeof(text), "%s %s", since, a->why);
        STATE_ADD(w->state, STR("HSET"), state_key_str(&key), str_from(a->id), str_from(text));
    }
    STATE_ADD(w->state, STR("EXEC"));
}

/* ---- looking ----------------------------------------------------------------------------------------------- */

static int look(struct watch *w, struct why *why)
{
    int64_t now_ms = daemon_now_ms(), tick_ms = daemon_monotonic_ms();
    int r;

    if (tick_ms < w->look_ms)
        return 0;
    w->look_ms = tick_ms + w->config->watch.look_ms;
    alarms_begin(&w->alarms);
    r = books_look(w->books, now_ms, tick_ms, &w->alarms, why);
    if (r == 0 && w->flock)
        r = flock_look(w->flock, now_ms, tick_ms, why);
    if (r < 0)
        return r;
    if (w->flock)
        flock_show(w->flock, w->state, now_ms, daemon_monotonic_ms(), &w->alarms);
    tell(w, now_ms);
    queue_alarms(w);
    w->looks++;
    return state_flush(w->state, why);
}

static int turn(struct watch *w, int stop_fd, struct why *why)
{
    int r = w->flock ? flock_step(w->flock, daemon_monotonic_ms(), why) : 0;

    if (r == 0)
        r = look(w, why);
    http_poll(w->http, &stop_fd, 1, STEP_MS);
    /* Whatever is not as it should be where we look (a topic that is not made yet, a damaged file) may be so later. */
    return r == 0 || r == -ERR_NOMEM || err_class(r) == ERR_CLASS_RETRY ? r : -ERR_UNAVAILABLE;
}

static void beat(struct watch *w, struct heartbeat *heartbeat, const char *state, bool last)
{
    const struct heartbeat_counter counters[] = {{"looks", w->looks}, {"alarms", w->raised}};
    struct heartbeat_view view = {.state = state,
                                  .records = w->looks,
                                  .counters = counters,
                                  .counter_count = ARRAY_LEN(counters)};

    if (last)
        heartbeat_end(heartbeat, daemon_now_ms(), &view);
    else
        heartbeat_beat(heartbeat, daemon_now_ms(), &view);
}

static int open_all(struct watch *w, struct why *why)
{
    int r = state_open(w->config->state.redis, &w->state, why);

    w->http = http_new();
    if (r == 0 && !w->http)
        r = -ERR_NOMEM;
    if (r == 0)
        w->books = books_new(w->config, &w->bus, w->state);
    if (r == 0 && !w->books)
        r = -ERR_NOMEM;
    if (r == 0 && w->config->watch.account.len)
        r = flock_new(w->config, &w->bus, w->http, &w->flock, why);
    return r;
}

int watching(struct daemon *daemon, void *config)
{
    AUTO_FREE struct watch *w = calloc(1, sizeof(*w));
    struct heartbeat heartbeat = {.worker = STR("watch"), .instance = daemon_instance(daemon)};
    struct why why = {0};
    int r;

    if (!w)
        return log_error(-ERR_NOMEM, "cannot start");
    w->config = config;
    w->bus = (struct bus_settings){w->config->bus.brokers, daemon_instance(daemon)};
    r = open_all(w, &why);
    heartbeat.state = w->state;
    if (r < 0)
        log_error(r, "cannot start: %s", why.text);
    else
        daemon_ready(daemon);
    while (r == 0 && daemon_running(daemon)) {
        r = daemon_backoff(daemon, turn(w, daemon_stop_fd(daemon), &why), &why);
        beat(w, &heartbeat, "running", false);
    }
    if (r < 0)
        log_error(r, "cannot go on: %s", why.text);
    else
        beat(w, &heartbeat, "ended", true);
    http_free(w->http);
    flock_free(w->flock);
    books_free(w->books);
    state_close(w->state);
    return r;
}
