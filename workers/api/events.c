/* events.c - each call becomes an event of service Actiontrail. */
#include <stdio.h>
#include <time.h>

#include "daemon/daemon.h"
#include "service.h"

#define EVENT_WAIT_MS     2000 /* to be acknowledged */
#define DOCUMENT_SIZE_MAX (1 << 20)

/* ---- the document ------------------------------------------------------------------------------------ */

static struct str clean(struct str s, size_t size_max)
{
    s.len = MIN_OF(s.len, size_max);
    return str_is_utf8(s) ? s : STR("");
}

static void add_session(const struct caller *c, struct jsondoc *identity)
{
    struct jsondoc *context = jsondoc_object(), *attributes = jsondoc_object();
    char time[TIME_TEXT_SIZE];

    time_format(c->session_s, time);
    if (attributes) {
        (void)jsondoc_set_str(attributes, "creationDate", str_from(time));
        (void)jsondoc_set_str(attributes, "mfaAuthenticated", STR("false"));
    }
    if (context)
        (void)jsondoc_set(context, "attributes", attributes);
    else
        jsondoc_free(attributes);
    (void)jsondoc_set(identity, "sessionContext", context);
}

static struct jsondoc *identity_of(const struct caller *c)
{
    struct jsondoc *doc = jsondoc_object();

    if (!doc)
        return NULL;
    (void)jsondoc_set_str(doc, "type", c->user.len ? STR("ram-user") : STR("root-account"));
    (void)jsondoc_set_str(doc, "principalId", c->principal);
    (void)jsondoc_set_str(doc, "accountId", c->account);
    (void)jsondoc_set_str(doc, "accessKeyId", c->access_key);
    (void)jsondoc_set_str(doc, "userName", c->user.len ? c->user : STR("root"));
    if (c->session_s)
        add_session(c, doc);
    return doc;
}

static struct jsondoc *parameters_of(const struct caller *c)
{
    struct jsondoc *doc = jsondoc_object();

    for (size_t i = 0; doc && i < c->call->param_count; i++) {
        AUTO_FREE char *name = str_dup(c->call->params[i].name);

        if (!name) {
            jsondoc_free(doc);
            return NULL;
        }
        if (*name)
            (void)jsondoc_set_str(doc, name, clean(c->call->params[i].value, 4096));
    }
    if (doc && c->forced)
        (void)jsondoc_set_str(doc, "Force", STR("true"));
    return doc;
}

static void add_resource(const struct caller *c, struct jsondoc *doc)
{
    struct str name = clean(rpc_param(c->call, "Name"), 64);
    struct jsondoc *resources, *names;

    if (!name.len)
        return;
    resources = jsondoc_object();
    names = jsondoc_array();
    (void)jsondoc_append(names, jsondoc_string(name));
    (void)jsondoc_set(resources, "ACS::ActionTrail::Trail", names);
    (void)jsondoc_set(doc, "referencedResources", resources);
    (void)jsondoc_set_str(doc, "resourceType", STR("ACS::ActionTrail::Trail"));
    (void)jsondoc_set_str(doc, "resourceName", name);
}

int service_event_document(const struct caller *c, const struct rpc_failure *failure,
                           struct buf *out)
{
    unsigned failures = jsondoc_failures();
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    struct jsondoc *parameters = parameters_of(c);
    AUTO_BUF struct buf text = {0};
    char time[TIME_TEXT_SIZE], source[96];

    buf_init(&text, 1 << 20);
    if (!doc || !parameters || jsondoc_render(parameters, &text) < 0) {
        jsondoc_free(parameters);
        return -ERR_NOMEM;
    }
    time_format(c->now_s, time);
    (void)snprintf(source, sizeof(source), "actiontrail." STR_FMT ".aliyuncs.com",
                   STR_ARG(c->region));
    (void)jsondoc_set_str(doc, "eventId", str_from(c->request_id));
    (void)jsondoc_set_str(doc, "eventVersion", STR("1"));
    (void)jsondoc_set_str(doc, "eventCategory", STR("Management"));
    (void)jsondoc_set_str(doc, "eventType", STR("ApiCall"));
    (void)jsondoc_set_str(doc, "eventName", c->call->action);
    (void)jsondoc_set_str(doc, "eventRW",
                          service_action_writes(c->call->action) ? STR("Write") : STR("Read"));
    (void)jsondoc_set_str(doc, "eventTime", str_from(time));
    (void)jsondoc_set_str(doc, "eventSource", str_from(source));
    (void)jsondoc_set_str(doc, "serviceName", STR("Actiontrail"));
    (void)jsondoc_set_str(doc, "acsRegion", c->region);
    (void)jsondoc_set_bool(doc, "isGlobal", false);
    (void)jsondoc_set_str(doc, "apiVersion", STR(RPC_VERSION));
    (void)jsondoc_set_str(doc, "requestId", str_from(c->request_id));
    (void)jsondoc_set_str(doc, "recipientAccountId", c->account);
    (void)jsondoc_set(doc, "userIdentity", identity_of(c));
    (void)jsondoc_set_str(doc, "sourceIpAddress", c->peer);
    (void)jsondoc_set_str(doc, "userAgent", clean(c->agent, 512));
    (void)jsondoc_set(doc, "requestParameters", parameters);
    (void)jsondoc_set_str(doc, "requestParameterJson", buf_str(&text));
    add_resource(c, doc);
    if (failure->code) {
        (void)jsondoc_set_str(doc, "errorCode", str_from(failure->code));
        (void)jsondoc_set_str(doc, "errorMessage", clean(str_from(failure->message), 256));
    }
    if (jsondoc_failures() != failures) /* an event that lacks something is none */
        return -ERR_NOMEM;
    return jsondoc_render(doc, out);
}

/* ---- on its way ----------------------------------------------------------------------------------------- */

/* Outlives the request when Kafka is slower than it: whoever is the last frees it. */
struct pending {
    struct bus_ticket ticket;
    struct service *service;
    bool arrived, left; /* under event_mutex */
};

static void on_done(struct bus_ticket *ticket)
{
    struct pending *p = CONTAINER_OF(ticket, struct pending, ticket);
    struct service *s = p->service;
    bool left;

    (void)pthread_mutex_lock(&s->event_mutex);
    p->arrived = true;
    left = p->left;
    (void)pthread_cond_broadcast(&s->event_done);
    (void)pthread_mutex_unlock(&s->event_mutex);
    if (left)
        free(p);
}

static int wait_for(struct service *s, struct pending *p)
{
    struct timespec until = service_until(EVENT_WAIT_MS);
    int r = -ERR_TIMEOUT;

    (void)pthread_mutex_lock(&s->event_mutex);
    while (!p->arrived && pthread_cond_timedwait(&s->event_done, &s->event_mutex, &until) == 0)
        ;
    p->left = true;
    if (p->arrived)
        r = p->ticket.error;
    else
        p = NULL; /* on_done() frees it */
    (void)pthread_mutex_unlock(&s->event_mutex);
    free(p);
    return r;
}

int service_publish(const struct caller *c, const struct rpc_failure *failure)
{
    struct service *s = c->service;
    struct topic_name raw = topic_name(TOPIC_RAW, c->region);
    struct bus_header header = {HEADER_CONTENT_TYPE, STR(CONTENT_TYPE_JSON)};
    struct pending *p;
    AUTO_BUF struct buf document = {0};
    int r;

    buf_init(&document, DOCUMENT_SIZE_MAX);
    r = service_event_document(c, failure, &document);
    if (r < 0)
        return r;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ERR_NOMEM;
    p->service = s;
    p->ticket.on_done = on_done;
    (void)pthread_mutex_lock(&s->producer_lock);
    r = bus_producer_write(s->producer, raw.text, BUS_BY_KEY, c->account, buf_str(&document),
                           &header, 1, &p->ticket);
    (void)pthread_mutex_unlock(&s->producer_lock);
    if (r < 0) {
        free(p);
        return r;
    }
    return wait_for(s, p);
}
