/* view.c - `control` as the API sees it, and what Redis is told of it. */
#include <unistd.h>

#include "daemon/daemon.h"
#include "log/log.h"
#include "service.h"
#include "view/view.h"

#define CONTROL_TIMEOUT_MS 15000
#define FOLLOW_POLL_MS     200
#define FOLLOW_PAUSE_US    500000

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
    else if (r > 0)
        log_warning("passing over a record: %s", why.text);
    return r == -ERR_NOMEM || r == -ERR_LIMIT ? r : 0;
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
    struct bus_position position = {0, s->control_next};
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

void service_show_trails(struct service *s)
{
    struct why why = {0};
    int64_t next = __atomic_load_n(&s->control_next, __ATOMIC_ACQUIRE);
    int r;

    (void)pthread_mutex_lock(&s->state_lock);
    if (s->shown_next != next || view_is_missing(s->state)) {
        (void)pthread_rwlock_rdlock(&s->control_lock);
        r = view_fill(s->state, control_trails(s->control), s->bus.instance, daemon_now_ms() / 1000,
                      &why);
        (void)pthread_rwlock_unlock(&s->control_lock);
        if (r == 0)
            s->shown_next = next;
        else
            log_debug("the view of trails was not written: %s", why.text);
    }
    (void)pthread_mutex_unlock(&s->state_lock);
}
