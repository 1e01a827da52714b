/* lookup.c - LookupEvents: the query, its pages, and the token that leads to the next one. */
#include <stdio.h>

#include "log/log.h"
#include "service.h"

#define PAGE_MEMORY_MAX (64 << 20)

/* A token is "<time> <number> <source> <start> <end>" and an HMAC over it, account and query included: it
 * leads nowhere else, and the window stays what it was at the first page. */
struct token {
    struct history_cursor cursor;
    int64_t start_s, end_s;
};

static void sign_token(const struct caller *c, const struct rpc_lookup *q, struct str text,
                       char ret[33])
{
    struct crypto_key key = crypto_derive(&c->service->master, STR("paging tokens"));
    AUTO_BUF struct buf all = {0}, hex = {0};
    struct sha256 d;

    buf_init(&all, 1 << 20);
    buf_init(&hex, 64);
    buf_addf(&all, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%d\n", STR_ARG(text), STR_ARG(c->account),
             STR_ARG(c->region), q->forward);
    for (size_t i = 0; i < q->attribute_count; i++)
        buf_addf(&all, "%zu " STR_FMT "=" STR_FMT "\n", q->attributes[i].value.len,
                 STR_ARG(q->attributes[i].name), STR_ARG(q->attributes[i].value));
    d = hmac_sha256(str_of(key.bytes, CRYPTO_KEY_SIZE), buf_str(&all));
    buf_add_hex(&hex, d.bytes, 16);
    memcpy(ret, buf_cstr(&hex), 33);
}

static struct str token_render(const struct caller *c, const struct rpc_lookup *q,
                               const struct token *token)
{
    AUTO_BUF struct buf text = {0}, out = {0};
    char mac[33];

    buf_init(&text, 512);
    buf_init(&out, 1024);
    buf_addf(&text, "%lld %lld %d %lld %lld", (long long)token->cursor.time_ms,
             (long long)token->cursor.number, token->cursor.source, (long long)token->start_s,
             (long long)token->end_s);
    sign_token(c, q, buf_str(&text), mac);
    buf_addf(&text, " %s", mac);
    buf_add_base64url(&out, text.at, text.len);
    return arena_copy(c->arena, buf_str(&out));
}

static bool next_number(struct str *rest, int64_t *ret)
{
    struct str part;

    return str_split(rest, ' ', &part) && str_to_i64(part, ret);
}

static int token_parse(const struct caller *c, const struct rpc_lookup *q, struct token *ret,
                       struct rpc_failure *failure)
{
    AUTO_BUF struct buf text = {0};
    struct str rest, body;
    int64_t source;
    char mac[33];

    buf_init(&text, 512);
    if (q->next_token.len > 600 || buf_add_base64_decoded(&text, q->next_token) < 0 ||
        text.len < 34)
        return rpc_fail(failure, "InvalidNextToken", NULL);
    body = str_of(text.at, text.len - 33);
    sign_token(c, q, body, mac);
    if (!crypto_equal(str_from(mac), str_of(text.at + text.len - 32, 32)))
        return rpc_fail(failure, "InvalidNextToken",
                        "NextToken does not belong to this query: repeat the other parameters.");
    rest = body;
    if (!next_number(&rest, &ret->cursor.time_ms) || !next_number(&rest, &ret->cursor.number) ||
        !next_number(&rest, &source) || !next_number(&rest, &ret->start_s) ||
        !next_number(&rest, &ret->end_s))
        return rpc_fail(failure, "InvalidNextToken", NULL);
    ret->cursor.source = (int32_t)source;
    return 0;
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

static int add_events(const struct history_page *page, struct jsondoc *ret)
{
    struct jsondoc *events = jsondoc_array();

    for (size_t i = 0; events && i < page->count; i++) {
        struct jsondoc *event = NULL;

        if (jsondoc_parse(page->documents[i], &event, NULL) < 0)
            return -ERR_BUG;
        (void)jsondoc_append(events, event);
    }
    return jsondoc_set(ret, "Events", events);
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
    struct token token;
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
        r = token_parse(c, &q, &token, failure);
    if (r < 0)
        return r;
    if (q.next_token.len) {
        query.after = &token.cursor;
        q.start_s = token.start_s;
        q.end_s = token.end_s;
    }
    query.global_region = topology_storage_region(&c->service->config->topology);
    query.start_ms = q.start_s * 1000;
    query.end_ms = q.end_s * 1000;
    query.direction = q.forward ? HISTORY_FORWARD : HISTORY_BACKWARD;
    query.limit = (size_t)q.max_results;
    if (query_page(c, &query, memory, &page) < 0 || add_events(&page, ret) < 0)
        return rpc_fail(failure, "ServiceUnavailable", NULL);
    if (page.more) {
        token = (struct token){page.next, q.start_s, q.end_s};
        (void)jsondoc_set_str(ret, "NextToken", token_render(c, &q, &token));
    }
    time_format(q.start_s, text);
    (void)jsondoc_set_str(ret, "StartTime", str_from(text));
    time_format(q.end_s, text);
    (void)jsondoc_set_str(ret, "EndTime", str_from(text));
    return 0;
}
