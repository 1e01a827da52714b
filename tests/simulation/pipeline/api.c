/* api.c - processes of the API: each changes trails, one call after the other, by production's changes.c. */
#include <stdio.h>

#include "changes.h"
#include "processes.h"
#include "sim.h"

#define PAUSE_MS_MOST  2500
#define NAMES          2 /* of trails, of an account */
#define ARENA_SIZE_MAX (4 << 20)
#define FOLLOWED       (INT64_MAX - 1)
#define FORCED_PERCENT 10

struct calls {
    struct call *all;
    int64_t count;
};

void calls_new(void)
{
    sim->calls = keep(sizeof(*sim->calls));
}

const struct call *calls_all(void)
{
    return sim->calls->all;
}

/* ---- what production's service does besides ------------------------------------------------------------------- */

int service_event_document(const struct caller *caller, const struct rpc_failure *failure,
                           struct buf *out)
{
    (void)failure;
    buf_addf(out, "{\"eventId\":\"%s\",\"eventName\":\"" STR_FMT "\"}", caller->request_id,
             STR_ARG(caller->call->action));
    return buf_error(out);
}

/* Nobody waits: everything is followed. */
struct timespec service_until(int64_t ms)
{
    return (struct timespec){ms / 1000, 0};
}

static struct catalog *the_catalog(void)
{
    static struct catalog *catalog; /* the same in every run */
    struct why why;

    if (!catalog)
        CHECK(catalog_load(STR(""), &catalog, &why) == 0);
    return catalog;
}

static struct service *service_new(const struct process *p)
{
    struct service *s = calloc(1, sizeof(*s));

    CHECK(s);
    s->changes = changes_new(s);
    if (!s->changes) {
        free(s);
        return NULL;
    }
    s->config = &processes_settings()->api;
    s->bus = (struct bus_settings){STR("simulated"), str_from(p->instance)};
    s->catalog = the_catalog();
    s->control_next = FOLLOWED; /* nobody follows here */
    (void)pthread_mutex_init(&s->control_mutex, NULL);
    (void)pthread_cond_init(&s->control_moved, NULL);
    return s;
}

static void service_free(struct service *s)
{
    if (!s)
        return;
    changes_free(s->changes);
    (void)pthread_cond_destroy(&s->control_moved);
    (void)pthread_mutex_destroy(&s->control_mutex);
    free(s);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static void add_param(struct rpc_call *call, const char *name, struct str value)
{
    call->params[call->param_count++] = (struct sign_pair){str_from(name), value};
}

static struct str some_regions(void)
{
    int64_t which = between(0, (int64_t)sim->region_count);

    return which == (int64_t)sim->region_count ? STR("All") : sim->regions[which];
}

/* Settings of a new or changed trail; a bucket is all that one has to have. */
static void add_settings(struct arena *arena, struct rpc_call *call, int account, int trail)
{
    static const char *const rw[] = {"All", "Write", "Read"};

    add_param(call, "OssBucketName", store_bucket_name((int)between(0, BUCKETS - 1)));
    if (chance(50))
        add_param(
            call, "OssKeyPrefix",
            arena_printf(arena, "prefix-%d-%d-%lld", account, trail, (long long)between(0, 1)));
    if (chance(60))
        add_param(call, "TrailRegion", some_regions());
    if (chance(60))
        add_param(call, "EventRW", str_from(rw[between(0, 2)]));
}

/* Where no other trail is. */
static void add_own_place(struct arena *arena, struct rpc_call *call, int account, int trail)
{
    add_param(call, "OssBucketName", store_bucket_name((int)between(0, BUCKETS - 1)));
    add_param(call, "OssKeyPrefix", arena_printf(arena, "last-%d-%d", account, trail));
}

static void add_widest(struct rpc_call *call)
{
    add_param(call, "TrailRegion", STR("All"));
    add_param(call, "EventRW", STR("All"));
}

static enum change_kind draw_kind(void)
{
    int64_t what = between(0, 99);

    return what < 25   ? CHANGE_CREATE
           : what < 60 ? CHANGE_START
           : what < 72 ? CHANGE_STOP
           : what < 92 ? CHANGE_UPDATE
                       : CHANGE_DELETE;
}

static const char *action_of(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_CREATE:
        return "CreateTrail";
    case CHANGE_UPDATE:
        return "UpdateTrail";
    case CHANGE_DELETE:
        return "DeleteTrail";
    case CHANGE_START:
        return "StartLogging";
    case CHANGE_STOP:
        return "StopLogging";
    }
    return "";
}

static struct call *begin_call(enum change_kind kind)
{
    struct call *call = keep(sizeof(*call));

    *call = (struct call){
        .begun_ms = now_ms(), .create = kind == CHANGE_CREATE, .next = sim->calls->all};
    (void)snprintf(call->request, sizeof(call->request), "call-%lld",
                   (long long)++sim->calls->count);
    sim->calls->all = call;
    return call;
}

static enum call_state state_of(int r)
{
    return r == 1              ? CALL_DONE
           : r == 0            ? CALL_UNCHANGED
           : r == -ERR_INVALID ? CALL_REFUSED
                               : CALL_UNKNOWN;
}

static struct call *call_once(struct process *p, struct service *s, struct arena *arena,
                              enum change_kind kind, int account, int trail)
{
    struct rpc_call rpc = {.action = str_from(action_of(kind))};
    struct call *call = begin_call(kind);
    struct caller caller = {.service = s,
                            .call = &rpc,
                            .region = sim->regions[(account + trail) % (int)sim->region_count],
                            .account = load_account(account),
                            .now_s = daemon_now_ms() / 1000,
                            .forced = chance(FORCED_PERCENT),
                            .arena = arena};
    struct rpc_failure failure = {0};
    struct change_plan plan;
    int r;

    call->forced = caller.forced;
    (void)snprintf(caller.request_id, sizeof(caller.request_id), "%s", call->request);
    caller.principal = caller.account;
    add_param(&rpc, "Name", arena_printf(arena, "trail-%d", trail));
    if (sim->quiet && kind == CHANGE_UPDATE)
        add_widest(&rpc);
    else if (sim->quiet && kind == CHANGE_CREATE)
        add_own_place(arena, &rpc, account, trail);
    else if (kind == CHANGE_CREATE || kind == CHANGE_UPDATE)
        add_settings(arena, &rpc, account, trail);
    r = changes_apply(s->changes, &caller, kind, &plan, &failure);
    if (r < 0 && failure.code && strcmp(failure.code, "ServiceUnavailable") == 0)
        r = -ERR_UNAVAILABLE;
    call->state = p->dead ? CALL_UNKNOWN : state_of(r);
    trace("api %s: %s: " STR_FMT " trail-%d of " STR_FMT ": %s", p->instance, call->request,
          STR_ARG(rpc.action), trail, STR_ARG(caller.account),
          p->dead        ? "nobody is told"
          : failure.code ? failure.code
          : r == 1       ? "done"
                         : "it was so");
    return call;
}

static void call_any(struct process *p, struct service *s, struct arena *arena)
{
    int64_t n = sim->calls->count;

    if (n < 2 * ACCOUNTS) /* so that there is something to deliver */
        call_once(p, s, arena, n % 2 ? CHANGE_START : CHANGE_CREATE, (int)(n / 2), 0);
    else
        call_once(p, s, arena, draw_kind(), (int)between(0, ACCOUNTS - 1),
                  (int)between(0, NAMES - 1));
}

/* Each trail is made, unless it is there, widened, started, and stopped, for which the others have to go on (rule 19). */
static void call_last(struct process *p, struct service *s, struct arena *arena)
{
    static const enum change_kind kinds[] = {CHANGE_CREATE, CHANGE_UPDATE, CHANGE_START,
                                             CHANGE_STOP};

    for (int i = 0; i < ACCOUNTS * NAMES; i++) {
        arena_reset(arena);
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            call_once(p, s, arena, kinds[k], i / NAMES, i % NAMES)->last = true;
    }
}

int api_run(struct daemon *daemon, struct process *p)
{
    struct service *s = service_new(p);
    AUTO(arena_free) struct arena *arena = arena_new(ARENA_SIZE_MAX);

    if (!s || !arena) {
        service_free(s);
        return -ERR_NOMEM;
    }
    if (sim->quiet && !p->stopping)
        call_last(p, s, arena);
    while (!sim->quiet && daemon_running(daemon)) {
        if (!doze(between(1, sim->calls->count < 2 * ACCOUNTS ? 200 : PAUSE_MS_MOST)) ||
            p->stopping)
            break;
        arena_reset(arena);
        call_any(p, s, arena);
    }
    service_free(s);
    return 0;
}
