/* api: ActionTrail's API over HTTP -> trails, and the history of events
 *
 *     listener of a region --> service_handle() --> operation --> answer
 *                                  |                   |
 *                        `control` (a view), Redis     +--> changes: one transaction (core/change.h plans it)
 *                                                      +--> history: a reader
 *
 * Threads: one a connection (http_server.c), one follows `control`, and this one, which serves the producer's
 * acknowledgements and tells Redis what there is.
 *
 * Guarantee: a change is answered after it was committed; every call that was let in is an event, which Kafka
 * has before the answer goes out. Redis being away costs nothing but the status that it holds.
 */
#include "changes.h"
#include "daemon/daemon.h"
#include "http_server.h"
#include "log/log.h"
#include "service.h"
#include "state/heartbeat.h"

#define POLL_MS     50
#define DRAIN_MS    3000
#define SERVERS_MAX 64

static const struct option_spec listen_options[] = {
    OPTION("region", OPTION_STR, struct listen_section, region, NULL,
           "Region that answers here, if the header Host does not name another one."),
    OPTION("address", OPTION_STR, struct listen_section, address, "127.0.0.1",
           "IPv4 or IPv6 address to listen on."),
    OPTION_RANGE("port", struct listen_section, port, NULL, 1, 65535, "TCP port."),
    OPTIONS_END,
};
static const struct option_group listen_group = {listen_options, sizeof(struct listen_section)};

static const struct option_spec api_options[] = {
    OPTION_LIST("listen", struct api_section, listen, &listen_group,
                "Where to listen, a row an address. TLS is for a proxy in front."),
    OPTION_RANGE(
        "lookups_a_second", struct api_section, lookups_a_second, "2", 1, 1000000,
        "Calls of LookupEvents that an account, and each of its users, may make in a second."),
    OPTIONS_END,
};

static const struct config_section sections[] = {
    SECTION_BUS(struct api_config, bus),
    SECTION_STATE(struct api_config, state),
    SECTION_TOPOLOGY(struct api_config, topology),
    SECTION_SECURITY(struct api_config, security),
    SECTION_DESTINATIONS(struct api_config, destinations),
    SECTION_HISTORY(struct api_config, history),
    {"api", api_options, NULL, offsetof(struct api_config, api), "The API."},
    SECTIONS_END,
};

struct listener {
    struct service *service;
    struct str region;
    struct server *server;
};

/* ---- requests ------------------------------------------------------------------------------------------ */

/* actiontrail.<region>.aliyuncs.com names a region, wherever it was sent to; any other name leaves it at that of
 * the address. */
static struct str region_of(const struct listener *l, const struct rpc_request *request)
{
    const struct config_strs *regions = &l->service->config->topology.regions;
    struct str host = STR(""), label;

    (void)rpc_header(request, "host", &host);
    if (!str_split(&host, '.', &label) || !str_eq_nocase(label, STR("actiontrail")) ||
        !str_split(&host, '.', &label))
        return l->region;
    for (size_t i = 0; i < regions->count; i++)
        if (str_eq_nocase(regions->at[i], label))
            return regions->at[i];
    return l->region;
}

static void handle(void *arg, const struct rpc_request *request, struct str peer,
                   struct arena *arena, struct http_reply *ret)
{
    const struct listener *l = arg;

    service_handle(l->service, region_of(l, request), request, peer, arena, ret);
}

static int listen_all(struct service *s, struct listener *listeners, struct why *why)
{
    const struct config_groups *rows = &s->config->api.listen;

    for (size_t i = 0; i < rows->count; i++) {
        const struct listen_section *row = (const struct listen_section *)rows->at + i;
        int r;

        listeners[i] = (struct listener){s, row->region, NULL};
        r = server_start(row->address, (int)row->port, handle, &listeners[i], &listeners[i].server,
                         why);
        if (r < 0)
            return r;
        log_info("serving " STR_FMT " on " STR_FMT " port %d", STR_ARG(row->region),
                 STR_ARG(row->address), (int)row->port);
    }
    return 0;
}

/* ---- the service's parts --------------------------------------------------------------------------------- */

static int open_parts(struct service *s, struct why *why)
{
    uint64_t seed;
    int r;

    if ((r = catalog_load(STR_NONE, &s->catalog, why)) < 0 ||
        (r = objects_open(&s->config->destinations, &s->objects, why)) < 0 ||
        (r = state_open(s->config->state.redis, &s->state, why)) < 0 ||
        (r = security_read_key(&s->config->security, s->master.bytes, why)) < 0 ||
        (r = bus_producer_open_prompt(&s->bus, &s->producer, why)) < 0)
        return r;
    crypto_random(&seed, sizeof(seed));
    s->control = control_new();
    s->changes = changes_new(s);
    s->nonces = nonces_new(seed);
    return s->control && s->changes && s->nonces ? 0 : -ERR_NOMEM;
}

static void close_parts(struct service *s)
{
    changes_free(s->changes);
    nonces_free(s->nonces);
    bus_producer_close(s->producer);
    for (size_t i = 0; i < s->reader_count; i++)
        history_reader_close(s->readers[i]);
    control_free(s->control);
    state_close(s->state);
    objects_free(s->objects);
    catalog_free(s->catalog);
}

static void init_locks(struct service *s)
{
    (void)pthread_rwlock_init(&s->control_lock, NULL);
    (void)pthread_mutex_init(&s->control_mutex, NULL);
    service_condition(&s->control_moved);
    (void)pthread_mutex_init(&s->state_lock, NULL);
    (void)pthread_mutex_init(&s->reader_lock, NULL);
    (void)pthread_mutex_init(&s->producer_lock, NULL);
    (void)pthread_mutex_init(&s->event_mutex, NULL);
    service_condition(&s->event_done);
}

/* ---- running ------------------------------------------------------------------------------------------------ */

static void beat(struct service *s, struct heartbeat *heartbeat, const char *state, bool last)
{
    uint64_t requests = __atomic_load_n(&s->requests, __ATOMIC_RELAXED);
    struct heartbeat_counter counters[] = {
        {"requests", requests},
        {"refused", __atomic_load_n(&s->refused, __ATOMIC_RELAXED)},
        {"events_failed", __atomic_load_n(&s->events_failed, __ATOMIC_RELAXED)},
    };
    struct heartbeat_view view = {.state = state,
                                  .records = requests,
                                  .counters = counters,
                                  .counter_count = ARRAY_LEN(counters)};

    if (!last && !heartbeat_due(heartbeat, daemon_now_ms()))
        return;
    service_show_trails(s);
    (void)pthread_mutex_lock(&s->state_lock);
    if (last)
        heartbeat_end(heartbeat, daemon_now_ms(), &view);
    else
        heartbeat_beat(heartbeat, daemon_now_ms(), &view);
    (void)pthread_mutex_unlock(&s->state_lock);
}

struct following {
    struct service *service;
    bool stop;
};

static void *follow(void *arg)
{
    struct following *f = arg;

    service_follow(f->service, &f->stop);
    return NULL;
}

/* Requests that are being answered need the producer served, so it is, beside the waiting for them. */
static void *stop_listening(void *arg)
{
    struct listener *listeners = arg;

    for (size_t i = 0; i < SERVERS_MAX; i++)
        server_stop(listeners[i].server);
    return NULL;
}

static void drain(struct service *s, struct listener *listeners)
{
    pthread_t stopper;

    if (pthread_create(&stopper, NULL, stop_listening, listeners) != 0)
        return;
    while (pthread_tryjoin_np(stopper, NULL) != 0)
        (void)bus_producer_poll(s->producer, POLL_MS);
    (void)!bus_producer_flush(s->producer, DRAIN_MS);
}

static void serve(struct daemon *daemon, struct service *s, struct heartbeat *heartbeat,
                  struct listener *listeners)
{
    daemon_ready(daemon);
    while (daemon_running(daemon)) {
        (void)bus_producer_poll(s->producer, POLL_MS);
        beat(s, heartbeat, "running", false);
    }
    drain(s, listeners);
    beat(s, heartbeat, "ended", true);
}

static int load(struct daemon *daemon, struct service *s, struct why *why)
{
    int r;

    do {
        r = service_load(s, why);
        if (r == 0)
            return 0;
        r = daemon_backoff(daemon, r, why);
    } while (r == 0 && daemon_running(daemon));
    return r;
}

static int run(struct daemon *daemon, void *config)
{
    static struct service service; /* large: remembers rates */
    static struct listener listeners[SERVERS_MAX];
    struct service *s = &service;
    struct following following = {s, false};
    struct heartbeat heartbeat = {.worker = STR("api"), .instance = daemon_instance(daemon)};
    struct why why = {0};
    pthread_t follower;
    int r;

    s->config = config;
    s->bus = (struct bus_settings){s->config->bus.brokers, daemon_instance(daemon)};
    init_locks(s);
    r = open_parts(s, &why);
    if (r == 0)
        r = load(daemon, s, &why);
    heartbeat.state = s->state;
    if (r == 0 && daemon_running(daemon)) {
        if (pthread_create(&follower, NULL, follow, &following) != 0)
            return log_error(-ERR_NOMEM, "cannot start a thread");
        r = listen_all(s, listeners, &why);
        if (r == 0)
            serve(daemon, s, &heartbeat, listeners);
        else
            (void)stop_listening(listeners);
        __atomic_store_n(&following.stop, true, __ATOMIC_RELEASE);
        (void)pthread_join(follower, NULL);
    }
    close_parts(s);
    return r < 0 ? log_error(r, "cannot serve: %s", why.text) : 0;
}

static int check_listen(const struct api_config *c, struct why *reterr_why)
{
    if (c->api.listen.count == 0 || c->api.listen.count > SERVERS_MAX)
        return why_set(reterr_why, -ERR_CONFIG, "api.listen needs 1 to %d rows", SERVERS_MAX);
    for (size_t i = 0; i < c->api.listen.count; i++) {
        const struct listen_section *row = (const struct listen_section *)c->api.listen.at + i;
        bool known = false;

        for (size_t j = 0; j < c->topology.regions.count; j++)
            known |= str_eq(c->topology.regions.at[j], row->region);
        if (!known)
            return why_set(reterr_why, -ERR_CONFIG,
                           "api.listen: \"" STR_FMT "\" is not one of topology.regions",
                           STR_ARG(row->region));
    }
    return 0;
}

static int check(void *config, struct str region, struct why *reterr_why)
{
    const struct api_config *c = config;
    AUTO(objects_free) struct objects *objects = NULL;
    struct crypto_key key;
    int r;

    (void)region;
    r = topology_check(&c->topology, reterr_why);
    if (r == 0)
        r = check_listen(c, reterr_why);
    if (r == 0)
        r = state_check(c->state.redis, reterr_why);
    if (r == 0)
        r = security_read_key(&c->security, key.bytes, reterr_why);
    crypto_wipe(&key, sizeof(key));
    return r < 0 ? r : objects_open(&c->destinations, &objects, reterr_why);
}

int main(int argc, char **argv)
{
    static struct api_config config;

    return daemon_main(argc, argv,
                       &(struct daemon_program){
                           .name = "trailbus-api",
                           .worker = "api",
                           .summary = "answers ActionTrail's API: trails, and events of 90 days",
                           .sections = sections,
                           .config = &config,
                           .run = run,
                           .check = check,
                       });
}
