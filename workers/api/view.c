/* view.c - `control` as the API sees it, and what Redis is told of it. */
#include <unistd.h>

#include "daemon/daemon.h"
#include "log/log.h"
#include "service.h"
#include "state/keys.h"

#define CONTROL_TIMEOUT_MS 15000
#define FOLLOW_POLL_MS     200
#define FOLLOW_PAUSE_US    500000
#define SHOWN_AT_ONCE      1000 /* trails in one round trip to Redis */

static int apply_record(void *arg, const struct bus_record *record)
{
    struct service *s = arg;
    struct why why = {0};
    int r;

    (void)pthread_rwlock_wrlock(&s->control_lock);
    r = control_apply(s->control, record->key, record->value, record->tombstone, &why);
    (void)pthread_rwlock_unlock(&s->control_lock);
    if (r < 0)
        log_error(r, "%s", why.text);
    return r == -ERR_NOMEM ? r : 0;
}

static void move_to(struct service *s, int64_t next)
{
    (void)pthread_mutex_lock(&s->control_mutex);
    s->control_next = MAX_OF(s->control_next, next);
    (void)pthread_cond_broadcast(&s->control_moved);
    (void)pthread_mutex_unlock(&s->control_mutex);
}

int service_load(struct service *s, struct why *reterr_why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int64_t next;
    int r = bus_read_to_end(&s->bus, topic.text, 0, s->control_next, CONTROL_TIMEOUT_MS,
                            apply_record, s, &next, reterr_why);

    if (r == 0)
        move_to(s, next);
    return r;
}

static int follow_once(struct service *s, const bool *stop, struct why *why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    struct bus_position position = {0, s->control_next, STR_NONE};
    AUTO(bus_reader_close) struct bus_reader *reader = NULL;
    int r = bus_reader_open(&s->bus, topic.text, true, &position, 1, &reader, why);

    while (r == 0 && !__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
        struct bus_input input;

        r = bus_reader_poll(reader, FOLLOW_POLL_MS, &input);
        if (r < 0)
            return why_set(why, r, "cannot read %s", topic.text);
        if (input.kind == BUS_INPUT_OUT_OF_RANGE)
            return why_set(why, -ERR_RANGE, "%s has no offset %lld", topic.text,
                           (long long)s->control_next);
        if (input.kind == BUS_INPUT_RECORD)
            r = apply_record(s, &input.record);
        if (r == 0 && input.kind != BUS_INPUT_NONE)
            move_to(s, input.offset + (input.kind == BUS_INPUT_RECORD));
    }
    return r;
}

void service_follow(struct service *s, const bool *stop)
{
    while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
        struct why why = {0};
        int r = follow_once(s, stop, &why);

        if (r == 0)
            continue;
        if (!__atomic_load_n(stop, __ATOMIC_ACQUIRE))
            log_warning("the view of control is late: %s", why.text);
        (void)usleep(FOLLOW_PAUSE_US);
    }
}

/* ---- Redis ------------------------------------------------------------------------------------------- */

static void show_trail(struct state *state, const struct trail_version *v)
{
    static const char *const rw[] = {"All", "Write", "Read"};
    const struct trail_destination *d = trail_version_destination(v);
    struct state_key key = state_key_trail(v->id), all = state_key_account_trails(v->account);

    if (v->deleted) {
        STATE_ADD(state, STR("DEL"), state_key_str(&key));
        STATE_ADD(state, STR("SREM"), state_key_str(&all), v->id);
        return;
    }
    STATE_ADD(state, STR("HSET"), state_key_str(&key), STR("name"), v->name, STR("account"),
              v->account, STR("home_region"), v->home_region, STR("regions"), v->regions,
              STR("events"), str_from(rw[v->rw]), STR("status"), trail_status_name(v),
              STR("bucket"), d ? d->bucket : STR(""), STR("prefix"), d ? d->prefix : STR(""));
    STATE_ADD(state, STR("SADD"), state_key_str(&all), v->id);
}

static bool redis_is_empty(struct state *state, struct str epoch)
{
    STATE_ADD(state, STR("EXISTS"), epoch);
    return state_flush(state, NULL) == 0 && state_reply(state, 0).integer == 0;
}

void service_show_trails(struct service *s)
{
    struct state_key epoch = state_key_epoch();
    const struct trail *trail = NULL;
    char now[TIME_TEXT_SIZE];
    int64_t next = __atomic_load_n(&s->control_next, __ATOMIC_ACQUIRE);
    int queued = 0, r = 0;

    (void)pthread_mutex_lock(&s->state_lock);
    if (s->shown_next != next || redis_is_empty(s->state, state_key_str(&epoch))) {
        (void)pthread_rwlock_rdlock(&s->control_lock);
        while (r == 0 && (trail = trail_book_all(control_trails(s->control), trail))) {
            show_trail(s->state, trail_latest(trail));
            if (++queued % SHOWN_AT_ONCE == 0)
                r = state_flush(s->state, NULL);
        }
        (void)pthread_rwlock_unlock(&s->control_lock);
        time_format(daemon_now_ms() / 1000, now);
        STATE_ADD(s->state, STR("SET"), state_key_str(&epoch), str_from(now));
        if (r == 0)
            r = state_flush(s->state, NULL);
        if (r == 0)
            s->shown_next = next;
    }
    (void)pthread_mutex_unlock(&s->state_lock);
}
