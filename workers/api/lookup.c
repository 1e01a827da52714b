/* lookup.c - LookupEvents: the query, and its pages. */
#include "core/page_token.h"
#include "log/log.h"
#include "service.h"

#define PAGE_MEMORY_MAX (64 << 20)

static int read_token(const struct caller *c, const struct rpc_lookup *q, struct page_token *ret,
                      struct rpc_failure *failure)
{
    struct page_query query = {c->account, c->region, q};
    int r = page_token_parse(&c->service->master, &query, q->next_token, ret);

    if (r == -ERR_DENIED)
        return rpc_fail(failure, "InvalidNextToken",
                        "NextToken does not belong to this query: repeat the other parameters.");
    if (r == -ERR_INVALID)
        return rpc_fail(failure, "InvalidNextToken", NULL);
    return r < 0 ? rpc_fail(failure, "ServiceUnavailable", NULL) : 0;
}

/* An answer without the token would say that there is no more. */
static int add_token(const struct caller *c, const struct rpc_lookup *q,
                     const struct history_cursor *next, struct jsondoc *ret)
{
    struct page_query query = {c->account, c->region, q};
    struct page_token token = {next->time_ms, next->number, next->source, q->start_s, q->end_s};
    AUTO_BUF struct buf text = {0};
    int r;

    buf_init(&text, PAGE_TOKEN_SIZE_MAX);
    r = page_token_render(&c->service->master, &query, &token, &text);
    return r < 0 ? r : jsondoc_set_str(ret, "NextToken", buf_str(&text));
}

static int set_filters(const struct rpc_lookup *q, struct history_query *query,
                       struct rpc_failure *failure)
{
    for (size_t i = 0; i < q->attribute_count; i++) {
        struct history_filter *f = &query->filters[i];

        if (!history_attribute_parse(q->attributes[i].name, &f->attribute))
            return rpc_fail(failure, "InvalidLookupAttributesException",
                            "There is no lookup attribute \"%.*s\".",
                            (int)MIN_OF(q->attributes[i].name.len, (size_t)60),
                            q->attributes[i].name.at);
        f->value = q->attributes[i].value;
    }
    query->filter_count = q->attribute_count;
    if (q->attribute_count == 2 &&
        !history_pair_valid(query->filters[0].attribute, query->filters[1].attribute))
        return rpc_fail(failure, "InvalidLookupAttributesException", NULL);
    return 0;
}

static struct history_reader *borrow_reader(struct service *s)
{
    struct history_reader *reader = NULL;
    struct why why = {0};
    int r;

    (void)pthread_mutex_lock(&s->reader_lock);
    if (s->reader_count)
        reader = s->readers[--s->reader_count];
    (void)pthread_mutex_unlock(&s->reader_lock);
    if (reader)
        return reader;
    r = history_reader_open(s->config->history.directory.at, &reader, &why);
    if (r < 0)
        log_error(r, "cannot open the history: %s", why.text);
    return r < 0 ? NULL : reader;
}

static void return_reader(struct service *s, struct history_reader *reader)
{
    (void)pthread_mutex_lock(&s->reader_lock);
    if (s->reader_count < SERVICE_READERS_MAX) {
        s->readers[s->reader_count++] = reader;
        reader = NULL;
    }
    (void)pthread_mutex_unlock(&s->reader_lock);
    history_reader_close(reader);
}

static int add_events(const struct caller *c, const struct history_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        if (i)
            buf_add_byte(c->events, ',');
        buf_add_str(c->events, page->documents[i]);
    }
    return buf_error(c->events);
}

static int query_page(const struct caller *c, const struct history_query *query,
                      struct arena *memory, struct history_page *ret)
{
    struct history_reader *reader = borrow_reader(c->service);
    struct why why = {0};
    int r;

    if (!reader)
        return -ERR_UNAVAILABLE;
    r = history_reader_query(reader, query, memory, ret, &why);
    if (r < 0) {
        log_error(r, "a query of the history failed: %s", why.text);
        history_reader_close(reader);
        return r;
    }
    return_reader(c->service, reader);
    return 0;
}

int lookup_events(const struct caller *c, struct jsondoc *ret, struct rpc_failure *failure)
{
    AUTO(arena_free) struct arena *memory = arena_new(PAGE_MEMORY_MAX);
    struct history_query query = {.region = c->region, .account = c->account};
    struct history_page page = {0};
    struct history_cursor after;
    struct page_token token;
    struct rpc_lookup q;
    char text[TIME_TEXT_SIZE];
    int r;

    if (!memory)
        return rpc_fail(failure, "InternalError", NULL);
    r = rpc_lookup_parse(c->call, c->now_s, &q, failure);
    if (!rpc_param(c->call, "EndTime").len)
        q.end_s++; /* until now: the second that has begun belongs to it */
    if (r == 0)
        r = set_filters(&q, &query, failure);
    if (r == 0 && q.next_token.len)
        r = read_token(c, &q, &token, failure);
    if (r < 0)
        return r;
    if (q.next_token.len) {
        after = (struct history_cursor){token.time_ms, token.number, token.source};
        query.after = &after;
        q.start_s = token.start_s;
        q.end_s = token.end_s;
    }
    query.global_region = topology_storage_region(&c->service->config->topology);
    query.start_ms = q.start_s * 1000;
    query.end_ms = q.end_s * 1000;
    query.direction = q.forward ? HISTORY_FORWARD : HISTORY_BACKWARD;
    query.limit = (size_t)q.max_results;
    if (query_page(c, &query, memory, &page) < 0 || add_events(c, &page) < 0)
        return rpc_fail(failure, "ServiceUnavailable", NULL);
    if (page.more && add_token(c, &q, &page.next, ret) < 0)
        return rpc_fail(failure, "ServiceUnavailable", NULL);
    if (!page.count)
        (void)jsondoc_set(ret, "Events", jsondoc_array());
    time_format(q.start_s, text);
    (void)jsondoc_set_str(ret, "StartTime", str_from(text));
    time_format(q.end_s, text);
    (void)jsondoc_set_str(ret, "EndTime", str_from(text));
    return 0;
}
