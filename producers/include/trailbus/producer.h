/* trailbus/producer.h - how a service publishes its audit events.
 *
 *     open ---> publish, publish, … ---> on_delivery for each ---> flush ---> close
 *                 copies, never waits     from poll, flush, close
 *
 * publish() checks an event, copies it and returns. What became of it is told to on_delivery, once for each
 * event that publish() accepted, from within trailbus_producer_poll(), _flush() or _close(): call poll now and then,
 * from your event loop or a thread of its own. TRAILBUS_OK there means that all in-sync replicas have it.
 *
 * Nothing is lost silently: an event is refused at once (FULL, INVALID, TOO_LARGE), or acknowledged, or
 * reported as failed. TRAILBUS_TIMEOUT says that nobody knows whether it was written: publish it again with the
 * same event id (yours, or the one in the report), and it counts once.
 *
 * Ownership: everything passed in is copied, but for `opaque` and `context`, which are handed back untouched.
 *            What a callback is given lives until it returns.
 * Threads:   one handle may be used by any number of threads at once; close it when all others are done with
 *            it. Callbacks run in the thread that polls, one at a time. They may publish; they must not poll, flush or
 *            close. A handle does not survive fork(): open it in the child.
 *
 * C99 and C++. Structures begin with their size, so that programs keep working with newer libraries.
 */
#ifndef TRAILBUS_PRODUCER_H
#define TRAILBUS_PRODUCER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#    define TRAILBUS_API __attribute__((visibility("default")))
#else
#    define TRAILBUS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TRAILBUS_ERROR_SIZE     512                /* room for any error text */
#define TRAILBUS_EVENT_SIZE_MAX (256 * 1024)       /* bytes of one event, encoded */
#define TRAILBUS_BYTES_MAX      (64 * 1024 * 1024) /* largest bytes_max */
#define TRAILBUS_EVENTS_MAX     100000             /* largest events_max */

/* Numbers are part of the interface. */
enum trailbus_result {
    TRAILBUS_OK = 0,
    TRAILBUS_FULL = 1,      /* bytes_max or events_max wait already: poll, then publish it again */
    TRAILBUS_INVALID = 2,   /* not one JSON object; it never will be */
    TRAILBUS_TOO_LARGE = 3, /* over TRAILBUS_EVENT_SIZE_MAX; it never will fit */
    TRAILBUS_TIMEOUT = 4,   /* not acknowledged in time: whether it was written is not known */
    TRAILBUS_REFUSED = 5,   /* Kafka does not want it: no such topic, or no right to write to it */
    TRAILBUS_FAILED =
        6, /* Kafka gave up on it; or on this handle, if publish says so: open another */
    TRAILBUS_NO_MEMORY = 7,
    TRAILBUS_BAD_OPTIONS = 8
};

/* "ok", "full", …: for logs and counters. */
TRAILBUS_API const char *trailbus_result_name(enum trailbus_result result);
/* "0.1.0": of the library that runs, not of this header. */
TRAILBUS_API const char *trailbus_version(void);

/* What became of one event. */
struct trailbus_delivery {
    size_t size;
    enum trailbus_result result; /* OK, TIMEOUT, REFUSED, TOO_LARGE or FAILED */
    const char *error;           /* a sentence; "" when OK */
    const char *event_id; /* what it was published with; "" when the event's own was no text */
    int32_t partition;    /* of raw.<region>, and the place in it; -1 unless OK */
    int64_t offset;
};

/* `context` is that of the options, `opaque` that of the publish call. */
typedef void trailbus_on_delivery(void *context, void *opaque,
                                  const struct trailbus_delivery *delivery);

/* Zero a member for its default. */
struct trailbus_options {
    size_t size;                       /* sizeof(struct trailbus_options) */
    const char *brokers;               /* host:port, separated by commas; required */
    const char *region;                /* where the events belong: cn-hangzhou; required */
    const char *client;                /* who publishes, in Kafka's logs and quotas; "producer" */
    trailbus_on_delivery *on_delivery; /* none: stats tell the numbers */
    void *context;
    size_t bytes_max;        /* memory of events that wait, with what each costs besides; 32 MiB */
    size_t events_max;       /* events that wait; 50000 */
    int delivery_timeout_ms; /* how long an event is tried before it ends as TIMEOUT; 120000 */
};

struct trailbus_producer; /* a handle: one topic, connections and threads of its own */

/* Connects in the background: brokers that are away are no error here. OK, or BAD_OPTIONS, NO_MEMORY with a
 * sentence in `error` (which may be NULL). */
TRAILBUS_API enum trailbus_result trailbus_producer_open(const struct trailbus_options *options,
                                                         struct trailbus_producer **ret,
                                                         char *error, size_t error_size);

/* Publishes one event: a JSON object of `len` bytes, in UTF-8. An event without eventId is given one. Whether
 * it has all that an event needs is the normalizer's judgement: what that cannot use is kept in
 * rejected.<region>, with the reason.
 * OK: accepted, on_delivery will be called. FULL, INVALID, TOO_LARGE, FAILED, NO_MEMORY: nothing was kept,
 * on_delivery will not be called, `error` (may be NULL) holds a sentence. */
TRAILBUS_API enum trailbus_result trailbus_producer_publish(struct trailbus_producer *producer,
                                                            const char *json, size_t len,
                                                            void *opaque, char *error,
                                                            size_t error_size);

/* The members that most services need, for those who have no JSON at hand. Texts are UTF-8; NULL leaves one out. */
struct trailbus_event {
    size_t size;              /* sizeof(struct trailbus_event) */
    const char *event_name;   /* StopInstance; required */
    const char *service_name; /* Ecs; required */
    const char *account_id;   /* whose event it is (recipientAccountId); required */
    const char *event_time;   /* UTC, 2026-11-23T08:00:00Z; now */
    const char *event_id;     /* unique in the account; one is made */
    const char *event_type;   /* ApiCall */
    const char *event_rw;     /* Read or Write */
    const char *event_source; /* the host that served the call */
    const char *acs_region;   /* where it was done; the region of the options */
    const char *api_version;
    const char *request_id;
    const char *source_ip_address;
    const char *user_agent;
    const char *vpc_id;
    const char *error_code; /* only when the call failed */
    const char *error_message;
    const char *user_type; /* userIdentity: root-account, ram-user, assumed-role, … */
    const char *user_principal_id;
    const char *user_account_id;
    const char *user_access_key_id;
    const char *user_name;
    const char *request_parameters; /* these four are JSON texts, one value each */
    const char *response_elements;
    const char *referenced_resources; /* {"ACS::ECS::Instance": ["i-1"]} */
    const char *additional_event_data;
};

/* As trailbus_producer_publish(). INVALID also when a required member is missing. To be able to publish the same event
 * again, give it a time as well as an id: another time makes it another event of that id, which is rejected. */
TRAILBUS_API enum trailbus_result
trailbus_producer_publish_event(struct trailbus_producer *producer,
                                const struct trailbus_event *event, void *opaque, char *error,
                                size_t error_size);

/* Calls on_delivery for what is known, waiting up to timeout_ms for a first outcome (0: not at all). Returns
 * how many outcomes there were. */
TRAILBUS_API int trailbus_producer_poll(struct trailbus_producer *producer, int timeout_ms);

/* Polls until no event waits: OK; or timeout_ms has passed: TIMEOUT. A negative time is the delivery timeout, by
 * which every event has an outcome. */
TRAILBUS_API enum trailbus_result trailbus_producer_flush(struct trailbus_producer *producer,
                                                          int timeout_ms);

/* Flushes for up to timeout_ms, gives up the rest (on_delivery: TIMEOUT), frees the handle. Returns how many events
 * were given up. Takes NULL. */
TRAILBUS_API size_t trailbus_producer_close(struct trailbus_producer *producer, int timeout_ms);

/* accepted = acknowledged + failed + waiting */
struct trailbus_stats {
    size_t size;                   /* sizeof(struct trailbus_stats) */
    uint64_t accepted;             /* by publish */
    uint64_t acknowledged;         /* by Kafka */
    uint64_t failed;               /* reported so */
    uint64_t full;                 /* calls that were answered FULL */
    uint64_t refused;              /* calls that were answered INVALID or TOO_LARGE */
    size_t waiting, waiting_bytes; /* between publish and outcome */
};
TRAILBUS_API void trailbus_producer_stats(struct trailbus_producer *producer,
                                          struct trailbus_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
