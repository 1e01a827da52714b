/* producer.c - the handle: options, bounds, tickets, and who may poll.
 *
 * Two locks. `lock` covers the encoder, the write and the numbers, for microseconds. `polling` is held by the
 * one thread that serves outcomes, for as long as it waits; callbacks run under it and without `lock`, so that
 * they may publish.
 */
#include "trailbus/producer.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "bus/bus.h"
#include "encoder.h"
#include "log/log.h"

#define BYTES_DEFAULT               ((size_t)32 << 20)
#define EVENTS_DEFAULT              50000
#define DELIVERY_TIMEOUT_DEFAULT_MS 120000
#define EVENT_OVERHEAD              512 /* what the Kafka client keeps besides, about */

struct trailbus_producer {
    struct trailbus_options options; /* its texts are not kept */
    struct topic_name topic;
    struct bus_producer *bus;
    pthread_mutex_t lock;
    struct encoder encoder;
    struct trailbus_stats stats;
    pthread_mutex_t polling;
    int outcomes; /* told in this poll */
    bool closing; /* nothing is accepted any more */
};

struct ticket {
    struct bus_ticket bus;
    struct trailbus_producer *producer;
    void *opaque;
    size_t bytes; /* as counted */
    char id[];
};

static const char *const result_names[] = {
    [TRAILBUS_OK] = "ok",
    [TRAILBUS_FULL] = "full",
    [TRAILBUS_INVALID] = "invalid",
    [TRAILBUS_TOO_LARGE] = "too_large",
    [TRAILBUS_TIMEOUT] = "timeout",
    [TRAILBUS_REFUSED] = "refused",
    [TRAILBUS_FAILED] = "failed",
    [TRAILBUS_NO_MEMORY] = "no_memory",
    [TRAILBUS_BAD_OPTIONS] = "bad_options",
};

const char *trailbus_result_name(enum trailbus_result result)
{
    return (size_t)result < ARRAY_LEN(result_names) ? result_names[result] : "unknown";
}

const char *trailbus_version(void)
{
    return TRAILBUS_VERSION;
}

static enum trailbus_result result_of(int r)
{
    switch (-r) {
    case 0:
        return TRAILBUS_OK;
    case ERR_INVALID:
        return TRAILBUS_INVALID;
    case ERR_LIMIT:
        return TRAILBUS_TOO_LARGE;
    case ERR_TIMEOUT:
        return TRAILBUS_TIMEOUT;
    case ERR_NOT_FOUND:
    case ERR_DENIED:
    case ERR_CONFIG:
        return TRAILBUS_REFUSED;
    case ERR_NOMEM:
        return TRAILBUS_NO_MEMORY;
    default:
        return TRAILBUS_FAILED;
    }
}

static enum trailbus_result say(char *error, size_t size, enum trailbus_result result,
                                const char *format, ...) PRINTF_LIKE(4, 5);
static enum trailbus_result say(char *error, size_t size, enum trailbus_result result,
                                const char *format, ...)
{
    va_list args;

    if (!error || size == 0)
        return result;
    va_start(args, format);
    (void)vsnprintf(error, size, format, args);
    va_end(args);
    return result;
}

/* Reads a caller's structure of its own size: what it does not have is zero. False when it has more than
 * we know, and uses it. */
static bool take(void *ret, size_t size, const void *from, size_t from_size)
{
    const unsigned char *bytes = from;

    memset(ret, 0, size);
    memcpy(ret, from, MIN_OF(size, from_size));
    for (size_t i = size; i < from_size; i++)
        if (bytes[i])
            return false;
    return true;
}

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- open ----------------------------------------------------------------------------------------- */

static const char *options_fault(struct trailbus_options *o)
{
    if (o->bytes_max == 0)
        o->bytes_max = BYTES_DEFAULT;
    if (o->events_max == 0)
        o->events_max = EVENTS_DEFAULT;
    if (o->delivery_timeout_ms == 0)
        o->delivery_timeout_ms = DELIVERY_TIMEOUT_DEFAULT_MS;
    if (!o->brokers || !*o->brokers)
        return "brokers is missing";
    if (!o->region || !region_valid(str_from(o->region)))
        return "region is missing, or no region id";
    if (o->bytes_max > TRAILBUS_BYTES_MAX)
        return "bytes_max is over TRAILBUS_BYTES_MAX";
    if (o->events_max > TRAILBUS_EVENTS_MAX)
        return "events_max is over TRAILBUS_EVENTS_MAX";
    if (o->delivery_timeout_ms < 0)
        return "delivery_timeout_ms is negative";
    return NULL;
}

static pthread_once_t log_level_chosen = PTHREAD_ONCE_INIT;

/* A library has no business on its host's standard error, unless it is asked for. */
static void choose_log_level(void)
{
    const char *name = getenv("TRAILBUS_LOG");
    enum log_level level;

    log_context("libtrailbus", NULL, NULL);
    log_level_set(name && log_level_parse(str_from(name), &level) ? level : LOG_ERROR);
}

static void destroy(struct trailbus_producer *p)
{
    bus_producer_close(p->bus);
    encoder_done(&p->encoder);
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_mutex_destroy(&p->polling);
    free(p);
}

static int open_bus(struct trailbus_producer *p, struct why *why)
{
    struct bus_settings settings = {
        str_from(p->options.brokers),
        p->options.client ? str_from(p->options.client) : STR("producer"),
    };

    (void)pthread_once(&log_level_chosen, choose_log_level);
    return bus_producer_open(&settings, NULL, p->options.delivery_timeout_ms, &p->bus, why);
}

enum trailbus_result trailbus_producer_open(const struct trailbus_options *options,
                                            struct trailbus_producer **ret, char *error,
                                            size_t error_size)
{
    struct trailbus_producer *p = calloc(1, sizeof(*p));
    const char *fault = NULL;
    struct why why = {"no memory"};
    int r;

    if (!p)
        return say(error, error_size, TRAILBUS_NO_MEMORY, "no memory");
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_mutex_init(&p->polling, NULL);
    if (!take(&p->options, sizeof(p->options), options, options->size))
        fault = "an option that this version of libtrailbus does not know";
    if (!fault)
        fault = options_fault(&p->options);
    if (fault) {
        destroy(p);
        return say(error, error_size, TRAILBUS_BAD_OPTIONS, "%s", fault);
    }
    p->topic = topic_name(TOPIC_RAW, str_from(p->options.region));
    r = encoder_init(&p->encoder);
    if (r == 0)
        r = open_bus(p, &why);
    if (r < 0) {
        destroy(p);
        return say(error, error_size, r == -ERR_NOMEM ? TRAILBUS_NO_MEMORY : TRAILBUS_BAD_OPTIONS,
                   "%s", why.text);
    }
    p->options.brokers = p->options.region = p->options.client = NULL;
    *ret = p;
    return TRAILBUS_OK;
}

/* ---- outcomes ------------------------------------------------------------------------------------- */

static const char *outcome_text(const struct trailbus_producer *p, enum trailbus_result result,
                                char *text, size_t size)
{
    switch (result) {
    case TRAILBUS_OK:
        return "";
    case TRAILBUS_TIMEOUT:
        if (p->closing)
            return "closed before it was acknowledged; whether it was written is not known";
        (void)snprintf(text, size,
                       "not acknowledged within %d ms; whether it was written is not known",
                       p->options.delivery_timeout_ms);
        return text;
    case TRAILBUS_REFUSED:
        (void)snprintf(text, size, "Kafka has no topic %s, or no right to write to it for us",
                       p->topic.text);
        return text;
    case TRAILBUS_TOO_LARGE:
        return "larger than Kafka takes";
    default:
        return "Kafka could not write it";
    }
}

static void on_done(struct bus_ticket *done)
{
    struct ticket *ticket = CONTAINER_OF(done, struct ticket, bus);
    struct trailbus_producer *p = ticket->producer;
    char text[160];
    struct trailbus_delivery delivery = {
        .size = sizeof(delivery),
        .result = result_of(done->error),
        .event_id = ticket->id,
        .partition = done->error ? -1 : done->partition,
        .offset = done->error ? -1 : done->offset,
    };

    p->outcomes++;
    (void)pthread_mutex_lock(&p->lock);
    p->stats.waiting--;
    p->stats.waiting_bytes -= ticket->bytes;
    if (done->error)
        p->stats.failed++;
    else
        p->stats.acknowledged++;
    (void)pthread_mutex_unlock(&p->lock);
    if (p->options.on_delivery) {
        delivery.error = outcome_text(p, delivery.result, text, sizeof(text));
        p->options.on_delivery(p->options.context, ticket->opaque, &delivery);
    }
    free(ticket);
}

/* ---- publish -------------------------------------------------------------------------------------- */

static struct ticket *ticket_new(struct trailbus_producer *p, const struct encoded *event,
                                 void *opaque)
{
    struct ticket *t = malloc(sizeof(*t) + event->id.len + 1);

    if (!t)
        return NULL;
    *t = (struct ticket){
        .bus = {.on_done = on_done},
        .producer = p,
        .opaque = opaque,
        .bytes = event->avro.len + event->account.len + event->id.len + sizeof(*t) + EVENT_OVERHEAD,
    };
    memcpy(t->id, event->id.at, event->id.len);
    t->id[event->id.len] = '\0';
    return t;
}

static int write_ticket(struct trailbus_producer *p, const struct encoded *event, struct ticket *t)
{
    struct bus_header type = {HEADER_CONTENT_TYPE, STR(CONTENT_TYPE_AVRO)};
    struct str key = event->account.len ? event->account : STR_NONE; /* else any partition */

    if (p->stats.waiting >= p->options.events_max ||
        (p->stats.waiting && p->stats.waiting_bytes + t->bytes > p->options.bytes_max))
        return -ERR_UNAVAILABLE;
    return bus_producer_write(p->bus, p->topic.text, BUS_BY_KEY, key, event->avro, &type, 1,
                              &t->bus);
}

static int publish_encoded(struct trailbus_producer *p, const struct encoded *event, void *opaque,
                           struct why *why)
{
    struct ticket *t = ticket_new(p, event, opaque);
    size_t bytes;
    int r;

    if (!t)
        return why_set(why, -ERR_NOMEM, "no memory");
    bytes = t->bytes;
    r = write_ticket(p, event, t);
    if (r < 0) {
        free(t);
        return r == -ERR_UNAVAILABLE
                   ? why_set(why, r, "%zu events in %zu bytes wait already", p->stats.waiting,
                             p->stats.waiting_bytes)
                   : why_set(why, r, "the Kafka client takes nothing more: %s", err_name(r));
    }
    /* Its outcome waits for our lock, so it cannot be counted before this. */
    p->stats.accepted++;
    p->stats.waiting++;
    p->stats.waiting_bytes += bytes;
    return 0;
}

static enum trailbus_result answer(struct trailbus_producer *p, int r, const struct why *why,
                                   char *error, size_t error_size)
{
    enum trailbus_result result = r == -ERR_UNAVAILABLE ? TRAILBUS_FULL : result_of(r);

    if (result == TRAILBUS_FULL)
        p->stats.full++;
    if (result == TRAILBUS_INVALID || result == TRAILBUS_TOO_LARGE)
        p->stats.refused++;
    return say(error, error_size, result, "%s",
               *why->text ? why->text : trailbus_result_name(result));
}

static int publish_json(struct trailbus_producer *p, struct str json, void *opaque, struct why *why)
{
    struct encoded event;
    int r;

    if (p->closing)
        return why_set(why, -ERR_FENCED, "the handle is being closed");
    r = encoder_encode(&p->encoder, json, &event, why);
    return r < 0 ? r : publish_encoded(p, &event, opaque, why);
}

enum trailbus_result trailbus_producer_publish(struct trailbus_producer *p, const char *json,
                                               size_t len, void *opaque, char *error,
                                               size_t error_size)
{
    enum trailbus_result result;
    struct why why = {0};
    int r;

    (void)pthread_mutex_lock(&p->lock);
    r = publish_json(p, str_of(json, len), opaque, &why);
    result = answer(p, r, &why, error, error_size);
    (void)pthread_mutex_unlock(&p->lock);
    return result;
}

enum trailbus_result trailbus_producer_publish_event(struct trailbus_producer *p,
                                                     const struct trailbus_event *event,
                                                     void *opaque, char *error, size_t error_size)
{
    struct trailbus_event known;
    char now[TIME_TEXT_SIZE];
    enum trailbus_result result;
    struct why why = {0};
    struct str json;
    int r = 0;

    if (!take(&known, sizeof(known), event, event->size))
        r = why_set(&why, -ERR_INVALID, "a member that this version of libtrailbus does not know");
    if (!known.event_time) {
        time_format((int64_t)time(NULL), now);
        known.event_time = now;
    }
    (void)pthread_mutex_lock(&p->lock);
    if (r == 0)
        r = encoder_render(&p->encoder, &known, &json, &why);
    if (r == 0)
        r = publish_json(p, json, opaque, &why);
    result = answer(p, r, &why, error, error_size);
    (void)pthread_mutex_unlock(&p->lock);
    return result;
}

/* ---- poll, flush, close --------------------------------------------------------------------------- */

/* False when another thread polls for longer than that. */
static bool lock_polling(struct trailbus_producer *p, int timeout_ms)
{
    int64_t until_ms = now_ms() + timeout_ms;
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};

    return timeout_ms <= 0 ? pthread_mutex_trylock(&p->polling) == 0
                           : pthread_mutex_clocklock(&p->polling, CLOCK_MONOTONIC, &until) == 0;
}

int trailbus_producer_poll(struct trailbus_producer *p, int timeout_ms)
{
    int64_t until_ms = now_ms() + timeout_ms;
    int outcomes;

    if (!lock_polling(p, timeout_ms))
        return 0;
    p->outcomes = 0; /* the Kafka client's own count has its errors in it, too */
    (void)bus_producer_poll(p->bus, (int)MAX_OF(until_ms - now_ms(), (int64_t)0));
    outcomes = p->outcomes;
    (void)pthread_mutex_unlock(&p->polling);
    return outcomes;
}

static size_t waiting(struct trailbus_producer *p)
{
    struct trailbus_stats stats = {.size = sizeof(stats)};

    trailbus_producer_stats(p, &stats);
    return stats.waiting;
}

enum trailbus_result trailbus_producer_flush(struct trailbus_producer *p, int timeout_ms)
{
    /* Kafka's client looks for events out of time once a second. */
    int64_t until_ms =
        now_ms() + (timeout_ms < 0 ? (int64_t)p->options.delivery_timeout_ms + 5000 : timeout_ms);

    while (waiting(p) > 0) {
        int64_t left_ms = until_ms - now_ms();

        if (trailbus_producer_poll(p, (int)MIN_OF(MAX_OF(left_ms, (int64_t)0), 100)) == 0 &&
            left_ms <= 0)
            return TRAILBUS_TIMEOUT;
    }
    return TRAILBUS_OK;
}

size_t trailbus_producer_close(struct trailbus_producer *p, int timeout_ms)
{
    size_t left;

    if (!p)
        return 0;
    (void)trailbus_producer_flush(p, timeout_ms);
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true; /* callbacks may still try to publish */
    left = p->stats.waiting;
    (void)pthread_mutex_unlock(&p->lock);
    destroy(p); /* tells the rest */
    return left;
}

void trailbus_producer_stats(struct trailbus_producer *p, struct trailbus_stats *ret)
{
    size_t size = ret->size;
    struct trailbus_stats now;

    (void)pthread_mutex_lock(&p->lock);
    now = p->stats;
    (void)pthread_mutex_unlock(&p->lock);
    now.size = size;
    memcpy(ret, &now, MIN_OF(size, sizeof(now)));
}
