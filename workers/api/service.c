/* service.c - one request: who asks, may they, what do they want. */
#include "service.h"

#include <unistd.h>

#include "daemon/daemon.h"
#include "log/log.h"
#include "state/keys.h"

#define NONCE_TTL       STR("1900") /* seconds; twice the clock's tolerance */
#define NEW_KEY_WAIT_MS 500
#define NEW_KEY_LOOK_MS 20
#define ANSWER_SIZE_MAX (64 << 20)
#define SECRET_SIZE_MAX 1024

/* What a user needs a right to, for an operation (lib/ram/ram.h). */
enum needs {
    NEEDS_ALL,     /* the operation is about no single resource */
    NEEDS_TRAILS,  /* trail/ and a literal * */
    NEEDS_TRAIL,   /* trail/ and the parameter Name */
    NEEDS_NOTHING, /* anybody who has a key may */
};

struct operation {
    const char *action;
    operation_fn *run;
    int64_t a_second; /* calls of one user, or of the account itself; 0: of the settings */
    bool writes;
    enum needs needs;
};

static const struct operation operations[] = {
    {"LookupEvents", lookup_events, 0, false, NEEDS_ALL},
    {"DescribeRegions", describe_regions, 100, false, NEEDS_NOTHING},
    {"DescribeTrails", describe_trails, 100, false, NEEDS_TRAILS},
    {"GetTrailStatus", get_trail_status, 100, false, NEEDS_TRAIL},
    {"CreateTrail", create_trail, 5, true, NEEDS_TRAILS},
    {"UpdateTrail", update_trail, 5, true, NEEDS_TRAIL},
    {"DeleteTrail", delete_trail, 5, true, NEEDS_TRAIL},
    {"StartLogging", start_logging, 5, true, NEEDS_TRAIL},
    {"StopLogging", stop_logging, 5, true, NEEDS_TRAIL},
};

/* Actions of the API that this program does not offer (yet): told from those that nobody knows. */
static const char *const others[] = {
    "CreateDeliveryHistoryJob",
    "GetDeliveryHistoryJob",
    "ListDeliveryHistoryJobs",
    "DeleteDeliveryHistoryJob",
    "GetAccessKeyLastUsedInfo",
    "GetAccessKeyLastUsedEvents",
    "GetAccessKeyLastUsedIps",
    "GetAccessKeyLastUsedProducts",
    "GetAccessKeyLastUsedResources",
    "GetGlobalEventsStorageRegion",
    "UpdateGlobalEventsStorageRegion",
    "EnableInsight",
    "DisableInsight",
    "GetInsightTypes",
    "GetInsightSelectors",
    "PutInsightSelectors",
    "GetInsightsEventsCount",
    "LookupInsightEvents",
    "PutDataEventSelector",
    "GetDataEventSelector",
    "DeleteDataEventSelector",
    "ListDataEventSelectors",
    "ListDataEventServices",
};

static const struct operation *find_operation(struct str action, struct rpc_failure *failure)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (str_eq(action, str_from(operations[i].action)))
            return &operations[i];
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (str_eq(action, str_from(others[i]))) {
            (void)rpc_fail(failure, "ActionNotImplemented", NULL);
            return NULL;
        }
    }
    (void)rpc_fail(failure, "InvalidAction.NotFound", NULL);
    return NULL;
}

bool service_action_writes(struct str action)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (str_eq(action, str_from(operations[i].action)))
            return operations[i].writes;
    return false;
}

/* ---- waiting ---------------------------------------------------------------------------------------------- */

void service_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

struct timespec service_until(int64_t ms)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    ms += t.tv_nsec / 1000000;
    return (struct timespec){t.tv_sec + ms / 1000, ms % 1000 * 1000000};
}

/* ---- nonces: in Redis for all API processes, here for what becomes of Redis; rates: here while it is away - */

static bool nonce_fresh(struct service *s, const struct rpc_call *call)
{
    struct state_key key = state_key_nonce(call->access_key, call->nonce);
    bool fresh;

    (void)pthread_mutex_lock(&s->state_lock);
    fresh = nonces_use(s->nonces, state_key_str(&key), daemon_monotonic_ms());
    STATE_ADD(s->state, STR("SET"), state_key_str(&key), STR("1"), STR("NX"), STR("EX"), NONCE_TTL);
    if (state_flush(s->state, NULL) == 0 && state_reply(s->state, 0).type != STATE_ERROR)
        fresh &= state_reply(s->state, 0).type == STATE_TEXT;
    (void)pthread_mutex_unlock(&s->state_lock);
    return fresh;
}

static int64_t count_here(struct service *s, struct str key, int64_t second)
{
    uint64_t who = str_hash(key, 13);
    size_t slot = who % SERVICE_RATES_MAX;

    if (s->rates[slot].who != who || s->rates[slot].second != second) {
        s->rates[slot].who = who;
        s->rates[slot].second = second;
        s->rates[slot].count = 0;
    }
    return ++s->rates[slot].count;
}

/* Each user has a rate of its own: nobody can use up what the others have. */
static bool rate_allows(struct service *s, struct str principal, const struct operation *op,
                        int64_t now_s)
{
    struct state_key key = state_key_throttle(principal, str_from(op->action), now_s);
    int64_t max = op->a_second ? op->a_second : s->config->api.lookups_a_second, count;

    (void)pthread_mutex_lock(&s->state_lock);
    STATE_ADD(s->state, STR("INCR"), state_key_str(&key));
    STATE_ADD(s->state, STR("EXPIRE"), state_key_str(&key), STR("3"));
    if (state_flush(s->state, NULL) == 0 && state_reply(s->state, 0).type == STATE_INTEGER)
        count = state_reply(s->state, 0).integer;
    else
        count = count_here(s, state_key_str(&key), now_s);
    (void)pthread_mutex_unlock(&s->state_lock);
    return count <= max;
}

/* ---- who asks ------------------------------------------------------------------------------------------- */

/* Whom an access key stands for. Texts are borrowed from `control` and from the buffer of the secret. */
struct bearer {
    struct str account, user,
        user_id; /* user: empty for the account itself; user_id: empty for any */
    struct str secret;
    int64_t session_s;
};

static bool is_session(const struct rpc_call *call)
{
    return str_starts(call->access_key, STR(SESSION_ID_PREFIX));
}

/* The token says everything of a temporary key. */
static int open_session(struct service *s, const struct caller *c, struct buf *plain,
                        struct bearer *ret, struct rpc_failure *failure)
{
    const struct rpc_call *call = c->call;
    struct control_session session;
    int r;

    if (!call->security_token.len)
        return rpc_fail(failure, "MissingSecurityToken", NULL);
    r = control_session_open(&s->master, call->security_token, plain, &session);
    if (r < 0)
        return rpc_fail(failure,
                        r == -ERR_NOMEM ? "ServiceUnavailable" : "InvalidSecurityToken.Malformed",
                        NULL);
    if (!str_eq(session.key, call->access_key))
        return rpc_fail(failure, "InvalidSecurityToken.MismatchWithAccessKey", NULL);
    if (session.expires_s <= c->now_s)
        return rpc_fail(failure, "InvalidSecurityToken.Expired", NULL);
    *ret = (struct bearer){session.account, session.user, session.user_id, session.secret,
                           session.created_s};
    return 0;
}

static int open_key(struct service *s, const struct rpc_call *call, struct buf *plain,
                    struct bearer *ret, struct rpc_failure *failure)
{
    const struct control_key *key = control_key(s->control, call->access_key);
    int r;

    if (!key)
        return rpc_fail(failure, "InvalidAccessKeyId.NotFound", NULL);
    if (!key->active)
        return rpc_fail(failure, "InvalidAccessKeyId.Inactive", NULL);
    r = control_secret_open(&s->master, key, plain);
    if (r == -ERR_NOMEM)
        return rpc_fail(failure, "ServiceUnavailable", NULL);
    if (r < 0) {
        log_error(-ERR_CONFIG, "the secret of a key cannot be opened: is this the master key of "
                               "the deployment?");
        return rpc_fail(failure, "InternalError", NULL);
    }
    *ret = (struct bearer){key->account, key->user, STR(""), buf_str(plain), 0};
    return 0;
}

/* A user that is no more has no keys, whatever was given out. */
static int name_caller(struct service *s, const struct bearer *bearer, struct caller *c,
                       struct rpc_failure *failure)
{
    const struct control_user *user = NULL;

    if (bearer->user.len) {
        user = control_user(s->control, bearer->account, bearer->user);
        if (!user || (bearer->user_id.len && !str_eq(bearer->user_id, user->id)))
            return rpc_fail(failure, "InvalidAccessKeyId.NotFound", NULL);
    }
    c->account = arena_copy(c->arena, bearer->account);
    c->user = user ? arena_copy(c->arena, user->name) : STR("");
    c->principal = user ? arena_copy(c->arena, user->id) : c->account;
    c->access_key = c->call->access_key;
    c->session_s = bearer->session_s;
    return c->account.at && c->user.at && c->principal.at
               ? 0
               : rpc_fail(failure, "InternalError", NULL);
}

static int check_secret(struct service *s, const struct rpc_request *request, struct rpc_call *call,
                        struct caller *caller, struct rpc_failure *failure)
{
    AUTO_BUF struct buf plain = {0};
    struct bearer bearer = {0};
    int r;

    buf_init(&plain, SECRET_SIZE_MAX);
    (void)pthread_rwlock_rdlock(&s->control_lock);
    r = is_session(call) ? open_session(s, caller, &plain, &bearer, failure)
                         : open_key(s, call, &plain, &bearer, failure);
    if (r == 0)
        r = name_caller(s, &bearer, caller, failure);
    if (r == 0) {
        int verified = rpc_verify(request, call, bearer.secret);

        if (verified == -ERR_NOMEM)
            r = rpc_fail(failure, "ServiceUnavailable", NULL);
        else if (verified != 1)
            r = rpc_fail_signature(request, call, caller->arena, failure);
    }
    (void)pthread_rwlock_unlock(&s->control_lock);
    crypto_wipe(plain.at, plain.len);
    return r;
}

/* A token beside a key that needs none: of another key, or of nobody. */
static int refuse_token(struct service *s, const struct rpc_call *call, struct rpc_failure *failure)
{
    AUTO_BUF struct buf plain = {0};
    struct control_session session;
    int r;

    buf_init(&plain, SECRET_SIZE_MAX);
    r = control_session_open(&s->master, call->security_token, &plain, &session);
    crypto_wipe(plain.at, plain.len);
    return rpc_fail(failure,
                    r == -ERR_NOMEM ? "ServiceUnavailable"
                    : r < 0         ? "InvalidSecurityToken.Malformed"
                                    : "InvalidSecurityToken.MismatchWithAccessKey",
                    NULL);
}

static bool key_known(struct service *s, struct str id)
{
    bool known;

    (void)pthread_rwlock_rdlock(&s->control_lock);
    known = control_key(s->control, id) != NULL;
    (void)pthread_rwlock_unlock(&s->control_lock);
    return known;
}

/* A key that was made a moment ago is on its way to us. */
static void wait_for_key(struct service *s, struct str id)
{
    int64_t until_ms = daemon_monotonic_ms() + NEW_KEY_WAIT_MS;

    while (!key_known(s, id) && daemon_monotonic_ms() < until_ms)
        (void)usleep(NEW_KEY_LOOK_MS * 1000);
}

static int authenticate(struct service *s, const struct rpc_request *request, struct rpc_call *call,
                        struct caller *caller, struct rpc_failure *failure)
{
    int r = 0;

    if (call->time_s < caller->now_s - RPC_CLOCK_SKEW_S ||
        call->time_s > caller->now_s + RPC_CLOCK_SKEW_S)
        return rpc_fail(failure, "InvalidTimeStamp.Expired", NULL);
    if (!is_session(call)) {
        wait_for_key(s, call->access_key);
        if (call->security_token.len && key_known(s, call->access_key))
            r = refuse_token(s, call, failure);
    }
    if (r == 0)
        r = check_secret(s, request, call, caller, failure);
    if (r == 0 && !nonce_fresh(s, call))
        r = rpc_fail(failure, "SignatureNonceUsed", NULL);
    return r;
}

/* ---- may they -------------------------------------------------------------------------------------------- */

static struct str needed_resource(const struct caller *c, enum needs needs)
{
    struct str name = rpc_param(c->call, "Name");

    return needs == NEEDS_ALL      ? STR("*")
           : needs == NEEDS_TRAILS ? STR("trail/*")
                                   : arena_printf(c->arena, "trail/" STR_FMT, STR_ARG(name));
}

static int check_rights(const struct caller *c, const struct operation *op,
                        struct rpc_failure *failure)
{
    struct ram_request request = {.resource = {STR("actiontrail"), c->region, c->account, STR("")}};
    enum ram_verdict verdict;

    if (!c->user.len || op->needs == NEEDS_NOTHING)
        return 0;
    request.action = arena_printf(c->arena, "actiontrail:%s", op->action);
    request.resource.relative = needed_resource(c, op->needs);
    if (!request.action.at || !request.resource.relative.at)
        return rpc_fail(failure, "InternalError", NULL);
    (void)pthread_rwlock_rdlock(&c->service->control_lock);
    verdict = control_verdict(c->service->control, c->account, c->user, &request);
    (void)pthread_rwlock_unlock(&c->service->control_lock);
    if (verdict == RAM_ALLOWS)
        return 0;
    (void)rpc_fail(failure, "NoPermission", NULL);
    failure->denial = (struct rpc_denial){.action = request.action,
                                          .account = c->account,
                                          .user = c->user,
                                          .explicit = verdict == RAM_FORBIDS};
    return -ERR_INVALID;
}

/* ---- is it forced ----------------------------------------------------------------------------------------- */

/* Only a token that holds for this very request does; a wrong one is refused, not passed over. */
static int check_force(const struct rpc_request *request, struct caller *c,
                       struct rpc_failure *failure)
{
    struct control_force force = {.key = c->access_key,
                                  .nonce = c->call->nonce,
                                  .action = c->call->action,
                                  .trail = rpc_param(c->call, "Name")};
    struct str token;

    if (!rpc_header(request, FORCE_HEADER, &token))
        return 0;
    c->forced = control_force_holds(&c->service->master, &force, token, c->now_s);
    return c->forced ? 0
                     : rpc_fail(failure, "NoPermission",
                                "The token in " FORCE_HEADER
                                " is not of this request and this deployment, or too old.");
}

/* ---- the request -------------------------------------------------------------------------------------------- */

static int run_operation(const struct rpc_request *request, struct caller *c,
                         struct jsondoc *answer, struct rpc_failure *failure)
{
    const struct operation *op = find_operation(c->call->action, failure);
    int r;

    if (!op)
        return -ERR_INVALID;
    if (!rate_allows(c->service, c->principal, op, c->now_s))
        r = rpc_fail(failure, "Throttling.User", NULL);
    else
        r = check_rights(c, op, failure);
    if (r == 0)
        r = check_force(request, c, failure);
    if (r == 0)
        r = op->run(c, answer, failure);
    if (r > 0)
        return 0; /* its event went with the change */
    if (r < 0 && strcmp(failure->code, "Throttling.User") == 0)
        return r; /* nothing was done, and a flood of refusals is not to become one of events */
    if (service_publish(c, failure) < 0) {
        (void)__atomic_add_fetch(&c->service->events_failed, 1, __ATOMIC_RELAXED);
        return rpc_fail(failure, "ServiceUnavailable", NULL);
    }
    return r;
}

/* The answer's members, behind the events if there are any. */
static int render_answer(const struct caller *c, struct jsondoc *answer, struct buf *out)
{
    AUTO_BUF struct buf members = {0};
    int r = jsondoc_set_str(answer, "RequestId", str_from(c->request_id));

    if (r < 0 || !c->events->len)
        return r < 0 ? r : jsondoc_render(answer, out);
    buf_init(&members, ANSWER_SIZE_MAX);
    r = jsondoc_render(answer, &members);
    if (r < 0)
        return r;
    buf_add_str(out, STR("{\"Events\":["));
    buf_add_str(out, buf_str(c->events));
    buf_add_str(out, STR("],"));
    buf_add(out, members.at + 1, members.len - 1); /* without its brace */
    return buf_error(out);
}

static void render(const struct caller *c, const struct rpc_failure *failure, bool xml,
                   struct jsondoc *answer, unsigned failures, struct http_reply *ret)
{
    AUTO_BUF struct buf body = {0};
    int r = 0;

    buf_init(&body, ANSWER_SIZE_MAX);
    ret->content_type =
        xml && failure->code ? "text/xml;charset=utf-8" : "application/json;charset=utf-8";
    ret->status = failure->code ? failure->status : 200;
    if (failure->code) {
        rpc_render_failure(failure, str_from(c->request_id), c->host, xml, &body);
    } else {
        r = render_answer(c, answer, &body);
        if (r == 0 && jsondoc_failures() != failures) /* it lacks something */
            r = -ERR_NOMEM;
    }
    if (r == 0)
        r = buf_error(&body);
    ret->body = r < 0 ? STR_NONE : arena_copy(c->arena, buf_str(&body));
    if (ret->body.at)
        return;
    ret->content_type = "application/json;charset=utf-8";
    ret->status = 500;
    ret->body = STR("{\"Code\":\"InternalError\",\"Message\":\"The answer has no room.\"}");
}

static void count(struct service *s, const struct rpc_failure *failure)
{
    (void)__atomic_add_fetch(&s->requests, 1, __ATOMIC_RELAXED);
    if (failure->code)
        (void)__atomic_add_fetch(&s->refused, 1, __ATOMIC_RELAXED);
}

void service_handle(struct service *s, struct str region, const struct rpc_request *request,
                    struct str peer, struct arena *arena, struct http_reply *ret)
{
    AUTO(jsondoc_free) struct jsondoc *answer = jsondoc_object();
    struct rpc_call *call = arena_get(arena, sizeof(*call));
    AUTO_BUF struct buf events = {0};
    struct caller c = {.events = &events,
                       .service = s,
                       .call = call,
                       .region = region,
                       .peer = peer,
                       .now_s = daemon_now_ms() / 1000,
                       .arena = arena};
    struct rpc_failure failure = {0};
    unsigned failures = jsondoc_failures();
    int r;

    buf_init(&events, ANSWER_SIZE_MAX);
    crypto_uuid(c.request_id);
    (void)rpc_header(request, "host", &c.host);
    (void)rpc_header(request, "user-agent", &c.agent);
    if (!call || !answer) {
        (void)rpc_fail(&failure, "InternalError", NULL);
        render(&c, &failure, false, answer, failures, ret);
        return;
    }
    *call = (struct rpc_call){0};
    r = rpc_parse(request, arena, call, &failure);
    if (r == 0)
        r = authenticate(s, request, call, &c, &failure);
    if (r == 0)
        r = run_operation(request, &c, answer, &failure);
    count(s, &failure);
    render(&c, &failure, call->xml, answer, failures, ret);
}
