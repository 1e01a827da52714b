/* router.c - see router.h. */
#include "router.h"

#include "topology/topology.h"

struct router {
    struct router_settings settings;
    struct trail_book *book;
    struct topic_name topic;
    struct buf encoded; /* the copy that router_encode() gave last */
};

struct router *router_new(const struct router_settings *settings, struct trail_book *book)
{
    struct router *router = calloc(1, sizeof(*router));

    if (!router)
        return NULL;
    router->settings = *settings;
    router->book = book;
    router->topic = topic_name(TOPIC_GLOBAL, STR_NONE);
    buf_init(&router->encoded, EVENT_ENCODED_SIZE_MAX);
    return router;
}

void router_free(struct router *router)
{
    if (!router)
        return;
    buf_done(&router->encoded);
    free(router);
}

static struct trail_log log_of(const struct router *router, const struct router_input *in)
{
    return (struct trail_log){str_from(router->topic.text), router->settings.generation,
                              in->partition};
}

static int learn(struct router *router, const struct router_input *in, struct why *reterr_why)
{
    struct trail_log log = log_of(router, in);
    struct trail_version *change;
    int r = trail_version_parse(in->change, &change, reterr_why);

    if (r < 0)
        return r;
    r = trail_book_change(router->book, change, &log, router->settings.partition_count, in->offset,
                          reterr_why);
    return r < 0 ? r : 0;
}

static int add_purpose(struct router_result *result, struct str region, unsigned purpose,
                       struct why *reterr_why)
{
    for (size_t i = 0; i < result->copy_count; i++) {
        if (!str_eq(result->copies[i].region, region))
            continue;
        result->copies[i].purpose |= purpose;
        return 0;
    }
    if (!region_valid(region))
        return why_set(reterr_why, -ERR_INVALID, "\"" STR_FMT "\" is no region", STR_ARG(region));
    if (result->copy_count == ROUTER_COPIES_MAX)
        return why_set(reterr_why, -ERR_LIMIT, "trails of one account in more than %d home regions",
                       TRAIL_REGIONS_MAX);
    result->copies[result->copy_count++] = (struct router_copy){region, purpose};
    return 0;
}

/* Whether it is known what the account's trails want. */
static bool doubtful(const struct trail_book *book, struct str account)
{
    struct str id;
    int64_t version;

    for (size_t i = 0; trail_book_doubt_at(book, i, &id, &version); i++) {
        const struct trail *trail = trail_book_find(book, id);

        if (!trail || str_eq(trail_latest(trail)->account, account))
            return true;
    }
    return false;
}

static int choose_copies(const struct router *router, const struct router_input *in,
                         struct router_result *ret, struct why *reterr_why)
{
    struct trail_log log = log_of(router, in);
    const struct trail *trail = NULL;
    int r = 0;

    while (r == 0 && (trail = trail_book_next(router->book, ret->event.account, trail))) {
        const struct trail_version *settings = trail_at(trail, &log, in->offset);

        if (settings && trail_wants(settings, &ret->event, settings->home_region))
            r = add_purpose(ret, settings->home_region, EVENT_FOR_DELIVERY, reterr_why);
    }
    if (doubtful(router->book, ret->event.account))
        for (size_t i = 0; i < router->settings.region_count && r == 0; i++)
            r = add_purpose(ret, router->settings.regions[i], EVENT_FOR_DELIVERY, reterr_why);
    return r < 0 ? r
                 : add_purpose(ret, router->settings.storage_region, EVENT_FOR_HISTORY, reterr_why);
}

int router_take(struct router *router, const struct router_input *in, struct router_result *ret,
                struct why *reterr_why)
{
    int r;

    ret->copy_count = 0;
    if (in->change.len)
        return learn(router, in, reterr_why);
    r = event_decode(in->value, &ret->event, reterr_why);
    if (r < 0)
        return r;
    if (!ret->event.global)
        return why_set(reterr_why, -ERR_INVALID, "an event that is not global");
    return choose_copies(router, in, ret, reterr_why);
}

int router_encode(struct router *router, const struct router_result *result, size_t i,
                  struct str *ret)
{
    struct event copy = result->event;
    int r;

    CHECK(i < result->copy_count);
    copy.region = result->copies[i].region;
    copy.purpose = result->copies[i].purpose;
    buf_reset(&router->encoded);
    r = event_encode(&copy, &router->encoded);
    CHECK(r != -ERR_LIMIT); /* no region's name makes an event too large: event_encode() */
    *ret = buf_str(&router->encoded);
    return r;
}
