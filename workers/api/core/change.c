/* change.c - the rules of a trail's life. */
#include "change.h"

#define NAME_RULE                                                                                  \
    "The trail name must have 6 to 36 characters: lower-case letters, digits, - and _, a letter "  \
    "first."

struct planning {
    const struct control *control;
    const struct change_request *request;
    struct arena *arena;
    struct rpc_failure *failure;
};

static struct str param(const struct planning *p, const char *name)
{
    return rpc_param(p->request->call, name);
}

static bool given(const struct planning *p, const char *name)
{
    return rpc_has(p->request->call, name);
}

const struct trail_version *change_find(const struct control *control, struct str account,
                                        struct str name)
{
    const struct trail_book *book = control_trails(control);
    const struct trail *trail = NULL;

    while ((trail = trail_book_next(book, account, trail))) {
        const struct trail_version *v = trail_latest(trail);

        if (!v->deleted && str_eq(v->name, name))
            return v;
    }
    return NULL;
}

bool change_concerns(const struct change_plan *plan, struct str region)
{
    return str_eq(plan->next.home_region, region) ||
           trail_region_covered(plan->next.regions, region) ||
           (plan->old && trail_region_covered(plan->old->regions, region));
}

/* Whether each region of the one list is covered by the other. */
static bool regions_within(struct str some, struct str all)
{
    struct str one;

    if (str_eq(some, STR("All")) || str_eq(all, STR("All")))
        return str_eq(all, STR("All"));
    while (str_split(&some, ',', &one))
        if (!trail_region_covered(all, one))
            return false;
    return true;
}

bool change_narrows(const struct change_plan *plan)
{
    const struct trail_version *old = plan->old, *next = &plan->next;

    if (!old || !old->logging)
        return false;
    return next->deleted || !next->logging || plan->new_destination ||
           (next->rw != TRAIL_RW_ALL && next->rw != old->rw) ||
           !regions_within(old->regions, next->regions);
}

/* ---- parameters ------------------------------------------------------------------------------------ */

static int check_name(const struct planning *p)
{
    if (!param(p, "Name").len)
        return rpc_fail(p->failure, "MissingParameter", "Name is mandatory for this action.");
    if (!rpc_trail_name_valid(param(p, "Name")))
        return rpc_fail(p->failure, "InvalidTrailNameException", NAME_RULE);
    return 0;
}

static int no_memory(const struct planning *p)
{
    return rpc_fail(p->failure, "ServiceUnavailable", NULL);
}

/* The role that is named when none is: the deployment writes with credentials of its own. */
static bool own_role(const struct planning *p, const char *name)
{
    struct str text = param(p, name);
    struct str own =
        arena_printf(p->arena, "acs:ram::" STR_FMT ":role/aliyunserviceroleforactiontrail",
                     STR_ARG(p->request->account));

    return !text.len || str_eq(text, own);
}

static int check_targets(const struct planning *p)
{
    if (param(p, "SlsProjectArn").len)
        return rpc_fail(p->failure, "SlsProjectDoesNotExistException", NULL);
    if (param(p, "MaxComputeProjectArn").len)
        return rpc_fail(p->failure, "InvalidDeliveryConfigurationException",
                        "This deployment does not deliver to MaxCompute.");
    if (!own_role(p, "OssWriteRoleArn"))
        return arena_error(p->arena) ? no_memory(p)
                                     : rpc_fail(p->failure, "InvalidDeliveryConfigurationException",
                                                "OssWriteRoleArn: this deployment writes with its "
                                                "own credentials; leave it out.");
    if (param(p, "OssBucketName").len && !rpc_bucket_valid(param(p, "OssBucketName")))
        return rpc_fail(
            p->failure, "InvalidQueryParameter",
            "OssBucketName must have 3 to 63 characters: lower-case letters, digits and -.");
    if (!rpc_prefix_valid(param(p, "OssKeyPrefix")))
        return rpc_fail(p->failure, "InvalidPrefixException", NULL);
    return 0;
}

static int set_rw(const struct planning *p, enum trail_rw *rw)
{
    struct str text = param(p, "EventRW");

    if (!text.len)
        return 0;
    if (str_eq(text, STR("All")))
        *rw = TRAIL_RW_ALL;
    else if (str_eq(text, STR("Write")))
        *rw = TRAIL_RW_WRITE;
    else if (str_eq(text, STR("Read")))
        *rw = TRAIL_RW_READ;
    else
        return rpc_fail(p->failure, "InvalidQueryParameter", "EventRW must be All, Write or Read.");
    return 0;
}

/* "All", or region ids: known ones, each once, without spaces from now on. */
static int set_regions(const struct planning *p, struct str *regions)
{
    struct str rest = param(p, "TrailRegion"), one;
    AUTO_BUF struct buf list = {0};

    if (!rest.len)
        return 0;
    if (str_eq(rest, STR("All"))) {
        *regions = STR("All");
        return 0;
    }
    buf_init(&list, 64 * 1024);
    while (str_split(&rest, ',', &one)) {
        one = str_trim(one);
        if (!catalog_region(p->request->catalog, one))
            return rpc_fail(p->failure, "InvalidQueryParameter",
                            "TrailRegion: there is no region \"%.*s\".",
                            (int)MIN_OF(one.len, (size_t)40), one.at ? one.at : "");
        if (list.len && trail_region_covered(buf_str(&list), one))
            continue;
        if (list.len)
            buf_add_byte(&list, ',');
        buf_add_str(&list, one);
    }
    *regions = arena_copy(p->arena, buf_str(&list));
    return buf_error(&list) || arena_error(p->arena) ? no_memory(p) : 0;
}

/* ---- destinations ------------------------------------------------------------------------------------ */

/* "prefix" and "prefix/" are the same place to an auditor. */
static struct str folder_of(struct str prefix)
{
    while (prefix.len && prefix.at[prefix.len - 1] == '/')
        prefix.len--;
    return prefix;
}

static int refuse_repeated(const struct planning *p, const struct trail_version *of,
                           const struct trail_destination *wanted)
{
    const struct trail *trail = NULL;

    while ((trail = trail_book_all(control_trails(p->control), trail))) {
        const struct trail_version *v = trail_latest(trail);
        const struct trail_destination *d = trail_version_destination(v);

        if (!v->deleted && !str_eq(v->id, of->id) && d && str_eq(d->bucket, wanted->bucket) &&
            str_eq(folder_of(d->prefix), folder_of(wanted->prefix)))
            return rpc_fail(p->failure, "RepeatOssBucket", NULL);
    }
    return 0;
}

/* Gives `next` a destination of its own behind those that it has: a new chain begins (rule 14). */
static int add_destination(const struct planning *p, struct trail_version *next, struct str bucket,
                           struct str prefix)
{
    size_t count = next->destination_count;
    struct trail_destination *list;

    if (count == TRAIL_DESTINATIONS_MAX)
        return rpc_fail(
            p->failure, "InvalidDeliveryConfigurationException",
            "The destination of this trail was changed too often; create another trail.");
    list = arena_get(p->arena, (count + 1) * sizeof(*list));
    if (!list)
        return no_memory(p);
    if (count)
        memcpy(list, next->destinations, count * sizeof(*list));
    list[count] = (struct trail_destination){.number = count ? list[count - 1].number + 1 : 1,
                                             .version = next->version,
                                             .bucket = bucket,
                                             .prefix = prefix};
    next->destinations = list;
    next->destination_count = count + 1;
    return refuse_repeated(p, next, &list[count]);
}

/* ---- the five changes --------------------------------------------------------------------------------- */

static int count_trails(const struct planning *p)
{
    const struct trail *trail = NULL;
    int count = 0;

    while ((trail = trail_book_next(control_trails(p->control), p->request->account, trail))) {
        const struct trail_version *v = trail_latest(trail);

        count += !v->deleted && str_eq(v->home_region, p->request->region);
    }
    return count;
}

static int plan_create(const struct planning *p, struct change_plan *ret)
{
    const struct change_request *q = p->request;
    struct trail_version *next = &ret->next;
    bool organization;
    int r;

    *next = (struct trail_version){.id = q->new_id,
                                   .version = 1,
                                   .account = q->account,
                                   .name = param(p, "Name"),
                                   .home_region = q->region,
                                   .regions = STR("All"),
                                   .rw = TRAIL_RW_ALL,
                                   .created_s = q->now_s,
                                   .updated_s = q->now_s};
    if ((r = rpc_bool(q->call, "IsOrganizationTrail", &organization, p->failure)) < 0)
        return r;
    if (organization)
        return rpc_fail(p->failure, "NotAllowCreateOrganizationTrail", NULL);
    if ((r = check_targets(p)) < 0 || (r = set_rw(p, &next->rw)) < 0 ||
        (r = set_regions(p, &next->regions)) < 0)
        return r;
    if (!param(p, "OssBucketName").len)
        return rpc_fail(p->failure, "InvalidDeliveryConfigurationException",
                        "A trail needs a target: OssBucketName.");
    if (change_find(p->control, q->account, next->name))
        return rpc_fail(p->failure, "TrailAlreadyExistsException", NULL);
    if (count_trails(p) >= CHANGE_TRAILS_MAX)
        return rpc_fail(p->failure, "MaximumNumberOfTrailsExceededException", NULL);
    ret->changes = ret->new_destination = true;
    return add_destination(p, next, param(p, "OssBucketName"), param(p, "OssKeyPrefix"));
}

static int plan_update(const struct planning *p, struct change_plan *ret)
{
    struct trail_version *next = &ret->next;
    const struct trail_destination *now = trail_version_destination(ret->old);
    struct str bucket = now ? now->bucket : STR(""), prefix = now ? now->prefix : STR("");
    int r;

    if ((r = check_targets(p)) < 0 || (r = set_rw(p, &next->rw)) < 0 ||
        (r = set_regions(p, &next->regions)) < 0)
        return r;
    if (param(p, "OssBucketName").len)
        bucket = param(p, "OssBucketName");
    if (given(p, "OssKeyPrefix"))
        prefix = param(p, "OssKeyPrefix");
    ret->new_destination = !now || !str_eq(bucket, now->bucket) || !str_eq(prefix, now->prefix);
    ret->changes = ret->new_destination || next->rw != ret->old->rw ||
                   !str_eq(next->regions, ret->old->regions);
    next->updated_s = p->request->now_s;
    return ret->new_destination ? add_destination(p, next, bucket, prefix) : 0;
}

static void plan_switch(const struct planning *p, struct change_plan *ret, bool logging)
{
    struct trail_version *next = &ret->next;

    ret->changes = next->logging != logging;
    next->logging = logging;
    if (logging) {
        next->started_ever = true;
        next->started_s = p->request->now_s;
    } else {
        next->stopped_s = p->request->now_s;
    }
}

static int plan_existing(const struct planning *p, struct change_plan *ret)
{
    ret->old = change_find(p->control, p->request->account, param(p, "Name"));
    if (!ret->old || !str_eq(ret->old->home_region, p->request->region))
        return rpc_fail(p->failure, "TrailNotFoundException", NULL);
    ret->next = *ret->old;
    ret->next.version++;
    ret->next.offsets = NULL;
    ret->next.offset_count = 0;
    ret->next.block = NULL; /* it borrows */
    switch (p->request->kind) {
    case CHANGE_UPDATE:
        return plan_update(p, ret);
    case CHANGE_DELETE:
        plan_switch(p, ret, false);
        ret->next.deleted = ret->changes = true;
        return 0;
    case CHANGE_START:
    case CHANGE_STOP:
        plan_switch(p, ret, p->request->kind == CHANGE_START);
        return 0;
    case CHANGE_CREATE:
        break;
    }
    return -ERR_BUG;
}

int change_plan(const struct control *control, const struct change_request *request,
                struct arena *arena, struct change_plan *ret, struct rpc_failure *reterr_failure)
{
    struct planning p = {control, request, arena, reterr_failure};
    int r = check_name(&p);

    *ret = (struct change_plan){0};
    if (r < 0)
        return r;
    return request->kind == CHANGE_CREATE ? plan_create(&p, ret) : plan_existing(&p, ret);
}
