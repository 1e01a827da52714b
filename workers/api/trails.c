/* trails.c - the operations on regions and trails. */
#include <stdio.h>

#include "changes.h"
#include "core/change.h"
#include "log/log.h"
#include "service.h"
#include "state/keys.h"

#define NAMES_MAX 64 /* of a NameList */

static void set_time(struct jsondoc *doc, const char *name, int64_t seconds)
{
    char text[TIME_TEXT_SIZE];

    if (!seconds)
        return;
    time_format(seconds, text);
    (void)jsondoc_set_str(doc, name, str_from(text));
}

/* ---- DescribeRegions ------------------------------------------------------------------------------- */

static struct jsondoc *region_document(const struct catalog *catalog, struct str id)
{
    const struct catalog_region *known = catalog_region(catalog, id);
    struct jsondoc *doc = jsondoc_object();
    char endpoint[REGION_SIZE_MAX + 40];

    if (!doc)
        return NULL;
    (void)snprintf(endpoint, sizeof(endpoint), "actiontrail." STR_FMT ".aliyuncs.com", STR_ARG(id));
    (void)jsondoc_set_str(doc, "RegionId", id);
    (void)jsondoc_set_str(doc, "RegionEndpoint", str_from(endpoint));
    (void)jsondoc_set_str(doc, "LocalName", known ? known->name : id);
    return doc;
}

int describe_regions(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    const struct config_strs *regions = &c->service->config->topology.regions;
    struct str language = rpc_param(c->call, "AcceptLanguage");
    struct jsondoc *list = jsondoc_array(), *outer = jsondoc_object();

    if (language.len && !str_eq(language, STR("zh-CN")) && !str_eq(language, STR("en-US"))) {
        jsondoc_free(list);
        jsondoc_free(outer);
        return rpc_fail(failure, "InvalidAcceptLanguage", NULL);
    }
    for (size_t i = 0; list && i < regions->count; i++)
        (void)jsondoc_append(list, region_document(c->service->catalog, regions->at[i]));
    if (outer)
        (void)jsondoc_set(outer, "Region", list);
    else
        jsondoc_free(list);
    (void)jsondoc_set(ret, "Regions", outer);
    return 0;
}

/* ---- what a trail looks like -------------------------------------------------------------------------- */

static void describe_settings(const struct trail_version *v, struct jsondoc *doc)
{
    static const char *const rw[] = {"All", "Write", "Read"};
    const struct trail_destination *d = trail_version_destination(v);
    char role[128];

    (void)snprintf(role, sizeof(role), "acs:ram::" STR_FMT ":role/aliyunserviceroleforactiontrail",
                   STR_ARG(v->account));
    (void)jsondoc_set_str(doc, "Name", v->name);
    (void)jsondoc_set_str(doc, "HomeRegion", v->home_region);
    (void)jsondoc_set_str(doc, "EventRW", str_from(rw[v->rw]));
    (void)jsondoc_set_str(doc, "TrailRegion", v->regions);
    (void)jsondoc_set_str(doc, "OssBucketName", d ? d->bucket : STR(""));
    (void)jsondoc_set_str(doc, "OssKeyPrefix", d ? d->prefix : STR(""));
    (void)jsondoc_set_str(doc, "OssWriteRoleArn", str_from(role));
    (void)jsondoc_set_str(doc, "SlsProjectArn", STR(""));
    (void)jsondoc_set_str(doc, "SlsWriteRoleArn", STR(""));
    (void)jsondoc_set_str(doc, "MaxComputeProjectArn", STR(""));
    (void)jsondoc_set_str(doc, "MaxComputeWriteRoleArn", STR(""));
}

static struct jsondoc *trail_document(const struct caller *c, const struct trail_version *v)
{
    struct jsondoc *doc = jsondoc_object();
    char arn[160];

    if (!doc)
        return NULL;
    (void)snprintf(arn, sizeof(arn), "acs:actiontrail:" STR_FMT ":" STR_FMT ":trail/" STR_FMT,
                   STR_ARG(v->home_region), STR_ARG(v->account), STR_ARG(v->name));
    describe_settings(v, doc);
    (void)jsondoc_set_str(doc, "TrailArn", str_from(arn));
    (void)jsondoc_set_str(doc, "Region", c->region);
    (void)jsondoc_set_str(doc, "Status", trail_status_name(v));
    (void)jsondoc_set_bool(doc, "IsOrganizationTrail", v->organization);
    set_time(doc, "CreateTime", v->created_s);
    set_time(doc, "UpdateTime", v->updated_s);
    set_time(doc, "StartLoggingTime", v->started_s);
    set_time(doc, "StopLoggingTime", v->stopped_s);
    return doc;
}

/* ---- DescribeTrails ------------------------------------------------------------------------------------- */

struct names {
    struct str at[NAMES_MAX];
    size_t count;
};

static int parse_names(const struct caller *c, struct names *ret, struct rpc_failure *failure)
{
    struct str rest = rpc_param(c->call, "NameList"), name;

    ret->count = 0;
    while (str_split(&rest, ',', &name)) {
        name = str_trim(name);
        if (!name.len)
            continue;
        if (!rpc_trail_name_valid(name))
            return rpc_fail(failure, "InvalidTrailNameException", NULL);
        if (ret->count == NAMES_MAX)
            return rpc_fail(failure, "InvalidQueryParameter", "NameList takes %d names.",
                            NAMES_MAX);
        ret->at[ret->count++] = name;
    }
    return 0;
}

static bool listed(const struct names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->at[i], name))
            return true;
    return names->count == 0;
}

int describe_trails(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    struct jsondoc *list;
    const struct trail *trail = NULL;
    struct names names;
    bool shadows, organization;

    if (rpc_bool(c->call, "IncludeShadowTrails", &shadows, failure) < 0 ||
        rpc_bool(c->call, "IncludeOrganizationTrail", &organization, failure) < 0 ||
        parse_names(c, &names, failure) < 0)
        return -ERR_INVALID;
    list = jsondoc_array();
    if (!list)
        return rpc_fail(failure, "InternalError", NULL);
    (void)pthread_rwlock_rdlock(&c->service->control_lock);
    while ((trail = trail_book_next(control_trails(c->service->control), c->account, trail))) {
        const struct trail_version *v = trail_latest(trail);
        bool here = str_eq(v->home_region, c->region) ||
                    (shadows && trail_region_covered(v->regions, c->region));

        if (!v->deleted && here && listed(&names, v->name))
            (void)jsondoc_append(list, trail_document(c, v));
    }
    (void)pthread_rwlock_unlock(&c->service->control_lock);
    (void)jsondoc_set(ret, "TrailList", list);
    return 0;
}

/* ---- GetTrailStatus --------------------------------------------------------------------------------------- */

/* What delivery wrote into Redis. Without Redis the fields are absent: they are not known. */
static void add_delivery(const struct caller *c, const struct trail_version *v, struct jsondoc *ret)
{
    struct service *s = c->service;
    struct state_key key = state_key_trail_status(v->id, c->region);
    struct state_reply reply, delivered, error;

    (void)pthread_mutex_lock(&s->state_lock);
    STATE_ADD(s->state, STR("HMGET"), state_key_str(&key), STR("delivered_time"), STR("error"));
    if (state_flush(s->state, NULL) == 0 && (reply = state_reply(s->state, 0)).type == STATE_LIST &&
        reply.count == 2) {
        delivered = state_item(&reply, 0);
        error = state_item(&reply, 1);
        if (delivered.type == STATE_TEXT && delivered.text.len)
            (void)jsondoc_set_str(ret, "LatestDeliveryTime", delivered.text);
        if (error.type == STATE_TEXT && error.text.len)
            (void)jsondoc_set_str(ret, "LatestDeliveryError", error.text);
        (void)jsondoc_set_bool(ret, "OssBucketStatus",
                               error.type != STATE_TEXT || error.text.len == 0);
    }
    (void)pthread_mutex_unlock(&s->state_lock);
}

int get_trail_status(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    const struct trail_version *v;
    struct str name = rpc_param(c->call, "Name");
    bool organization;
    int r = 0;

    if (!name.len)
        return rpc_fail(failure, "MissingParameter", "Name is mandatory for this action.");
    if (rpc_bool(c->call, "IsOrganizationTrail", &organization, failure) < 0)
        return -ERR_INVALID;
    (void)pthread_rwlock_rdlock(&c->service->control_lock);
    v = organization ? NULL : change_find(c->service->control, c->account, name);
    if (v && (str_eq(v->home_region, c->region) || trail_region_covered(v->regions, c->region))) {
        (void)jsondoc_set_bool(ret, "IsLogging", v->logging);
        set_time(ret, "StartLoggingTime", v->started_s);
        set_time(ret, "StopLoggingTime", v->stopped_s);
        add_delivery(c, v, ret);
    } else {
        r = rpc_fail(failure, "TrailNotFoundException", NULL);
    }
    (void)pthread_rwlock_unlock(&c->service->control_lock);
    return r;
}

/* ---- changes ------------------------------------------------------------------------------------------------ */

static int refuse_bucket(enum objects_outcome outcome, struct str bucket, const struct why *why,
                         struct rpc_failure *failure)
{
    const char *code = outcome == OBJECTS_NO_BUCKET ? "BucketDoesNotExistException"
                       : outcome == OBJECTS_UNCLEAR ? "ServiceUnavailable"
                                                    : "InsufficientBucketPolicyException";

    log_info("bucket " STR_FMT " cannot be used: %s", STR_ARG(bucket), why->text);
    if (outcome == OBJECTS_REFUSED)
        return rpc_fail(failure, code, "The bucket cannot be used: %.180s", why->text);
    return rpc_fail(failure, code, NULL);
}

/* Rule 15. Only after everything else in the request has been found right, and never behind the fence. */
static int probe(const struct caller *c, const struct change_plan *plan,
                 struct rpc_failure *failure)
{
    const struct trail_destination *d = trail_version_destination(&plan->next);
    const struct objects_store *store = objects_find(c->service->objects, d->bucket);
    struct objects_probe tried;

    if (!store)
        return rpc_fail(failure, "BucketDoesNotExistException", NULL);
    if (objects_probe(store, c->now_s, d->bucket, d->prefix, &tried) == OBJECTS_OK)
        return 0;
    return refuse_bucket(tried.outcome, d->bucket, &tried.why, failure);
}

static int precheck(const struct caller *c, enum change_kind kind, struct rpc_failure *failure)
{
    struct change_request request = {.kind = kind,
                                     .account = c->account,
                                     .region = c->region,
                                     .call = c->call,
                                     .catalog = c->service->catalog,
                                     .new_id = str_from(c->request_id),
                                     .now_s = c->now_s};
    struct change_plan plan;
    int r;

    /* What a plan borrows stays: the versions of trails are never freed while the API runs. */
    (void)pthread_rwlock_rdlock(&c->service->control_lock);
    r = change_plan(c->service->control, &request, c->arena, &plan, failure);
    (void)pthread_rwlock_unlock(&c->service->control_lock);
    return r == 0 && plan.new_destination ? probe(c, &plan, failure) : r;
}

static int change(const struct caller *c, enum change_kind kind, struct jsondoc *ret,
                  struct rpc_failure *failure)
{
    struct change_plan plan;
    int r = precheck(c, kind, failure);

    if (r == 0)
        r = changes_apply(c->service->changes, c, kind, &plan, failure);
    if (r >= 0 && (kind == CHANGE_CREATE || kind == CHANGE_UPDATE))
        describe_settings(&plan.next, ret);
    return r;
}

int create_trail(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    return change(c, CHANGE_CREATE, ret, failure);
}

int update_trail(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    return change(c, CHANGE_UPDATE, ret, failure);
}

int delete_trail(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    return change(c, CHANGE_DELETE, ret, failure);
}

int start_logging(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    return change(c, CHANGE_START, ret, failure);
}

int stop_logging(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    return change(c, CHANGE_STOP, ret, failure);
}
