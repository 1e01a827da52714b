/* service.h - what the API's threads share: the view of `control`, readers, Redis, the way to Kafka.
 *
 *     request --authenticate--> caller --operation--> answer
 *                                  \--record--> an event of service Actiontrail
 *
 * Layer: shell.
 */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include <pthread.h>

#include "bus/bus.h"
#include "catalog/catalog.h"
#include "config/common.h"
#include "control/control.h"
#include "core/nonces.h"
#include "history/history.h"
#include "http_server.h"
#include "objects/objects.h"
#include "rpc/rpc.h"
#include "state/state.h"

#define SERVICE_READERS_MAX 16
#define SERVICE_RATES_MAX   4096

struct listen_section {
    struct str region, address;
    int64_t port;
};
struct api_section {
    struct config_groups listen;
    int64_t lookups_a_second;
};
struct api_config {
    struct bus_section bus;
    struct state_section state;
    struct topology_section topology;
    struct security_section security;
    struct config_groups destinations;
    struct history_section history;
    struct api_section api;
};

struct service {
    const struct api_config *config;
    struct bus_settings bus;
    struct crypto_key master;
    struct catalog *catalog;
    struct objects *objects;

    pthread_rwlock_t control_lock;
    struct control *control; /* followed */
    int64_t control_next;    /* behind the last applied record */
    int64_t shown_next;      /* what Redis' view has */
    pthread_cond_t control_moved;
    pthread_mutex_t control_mutex; /* of the condition */

    pthread_mutex_t state_lock;
    struct state *state;
    struct nonces *nonces; /* of this process */
    struct {
        uint64_t who;
        int64_t second;
        int64_t count;
    } rates[SERVICE_RATES_MAX];

    pthread_mutex_t reader_lock;
    struct history_reader *readers[SERVICE_READERS_MAX]; /* idle ones */
    size_t reader_count;

    pthread_mutex_t producer_lock; /* of writers; main's thread polls */
    struct bus_producer *producer; /* for our own events */
    pthread_mutex_t event_mutex;   /* of the tickets */
    pthread_cond_t event_done;
    uint64_t requests, refused, events_failed; /* counted */

    struct changes *changes;
};

/* Who asks, and where. */
struct caller {
    struct service *service;
    const struct rpc_call *call;
    struct str region, account, access_key, peer, agent, host;
    struct str user;      /* of the account; empty: the account itself */
    struct str principal; /* the user's id, or the account's */
    int64_t session_s;    /* when the access key was made, if it is a temporary one; else 0 */
    char request_id[UUID_SIZE];
    int64_t now_s;
    bool forced; /* an operator said that nothing has to be waited for */
    struct arena *arena;
    struct buf *
        events; /* of LookupEvents: "document,document,…", as the history has them: no later stage renders a
                           document anew */
};

/* A condition that is waited for by the monotonic clock, and the end of such a wait: who waits by the wall clock is held
 * up for as long as that is set back. */
void service_condition(pthread_cond_t *condition);
struct timespec service_until(int64_t ms);

/* One request of a region. */
void service_handle(struct service *service, struct str region, const struct rpc_request *request,
                    struct str peer, struct arena *arena, struct http_reply *ret);

/* The event of a call, as a document (complete, as the normalizer would leave it). */
MUST_CHECK int service_event_document(const struct caller *caller,
                                      const struct rpc_failure *failure, struct buf *out);
bool service_action_writes(struct str action);

/* A call that changed nothing is an event as any service sends one. Waits until Kafka has it, for a while: an
 * audit trail does not answer and forget. */
MUST_CHECK int service_publish(const struct caller *caller, const struct rpc_failure *failure);

/* Operations: the answer's members in `ret` and 0, or 1 when the event of the call is written already;
 * -ERR_INVALID and why. */
typedef int operation_fn(const struct caller *caller, struct jsondoc *ret,
                         struct rpc_failure *reterr_failure);
operation_fn lookup_events, describe_regions, describe_trails, get_trail_status, create_trail,
    update_trail, delete_trail, start_logging, stop_logging;

/* ---- view.c: what the API keeps up to date ------------------------------------------------------------ */

/* Reads `control` to its end. */
MUST_CHECK int service_load(struct service *service, struct why *reterr_why);
/* Follows it from there until `stop` is set; a thread's body. */
void service_follow(struct service *service, const bool *stop);
/* Redis' view of the trails, written anew when `control` moved or Redis lost it. */
void service_show_trails(struct service *service);

#endif
