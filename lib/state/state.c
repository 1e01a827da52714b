/* state.c - pipelines over one hiredis connection that comes back by itself. */
#include "state/state.h"

#include <stdio.h>
#include <time.h>

#include <hiredis/hiredis.h>

#include "log/log.h"

struct state {
    char *host, *path; /* one of them */
    int port;
    char db[16];
    redisContext *redis;
    int64_t retry_ms; /* not before */
    size_t queued;
    bool broken; /* queueing failed */
    redisReply **replies;
    size_t reply_count, reply_cap;
    struct buf command; /* queued while there is no connection, as protocol text */
};

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int parse_url(struct state *s, struct str url, struct why *reterr_why)
{
    struct str rest = url, host, port_text;
    uint64_t port, db;

    if (str_starts(url, STR("unix:/"))) {
        s->path = str_dup(str_of(url.at + 5, url.len - 5));
        return s->path ? 0 : -ERR_NOMEM;
    }
    if (!str_starts(url, STR("redis://")))
        return why_set(reterr_why, -ERR_CONFIG,
                       "redis: \"" STR_FMT "\" is no redis:// or unix:/ URL", STR_ARG(url));
    rest = str_of(url.at + 8, url.len - 8);
    if (!str_split(&rest, ':', &host) || !rest.at || !str_split(&rest, '/', &port_text) ||
        !str_to_u64(port_text, &port) || port == 0 || port > 65535 ||
        (rest.len && (!str_to_u64(rest, &db) || db > 1000)))
        return why_set(reterr_why, -ERR_CONFIG,
                       "redis: \"" STR_FMT "\" is not of the form redis://HOST:PORT/DB",
                       STR_ARG(url));
    s->host = str_dup(host);
    s->port = (int)port;
    (void)snprintf(s->db, sizeof(s->db), "%d", rest.len ? (int)db : 0);
    return s->host ? 0 : -ERR_NOMEM;
}

int state_open(struct str url, struct state **ret, struct why *reterr_why)
{
    AUTO(state_close) struct state *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ERR_NOMEM;
    buf_init(&s->command, (size_t)256 << 20);
    r = parse_url(s, url, reterr_why);
    if (r < 0)
        return r;
    *ret = s;
    s = NULL;
    return 0;
}

int state_check(struct str url, struct why *reterr_why)
{
    AUTO(state_close) struct state *s = NULL;

    return state_open(url, &s, reterr_why);
}

static void free_replies(struct state *s)
{
    for (size_t i = 0; i < s->reply_count; i++)
        freeReplyObject(s->replies[i]);
    s->reply_count = 0;
}

static void disconnect(struct state *s)
{
    if (s->redis)
        redisFree(s->redis);
    s->redis = NULL;
}

void state_close(struct state *s)
{
    if (!s)
        return;
    free_replies(s);
    free(s->replies);
    disconnect(s);
    buf_done(&s->command);
    free(s->host);
    free(s->path);
    free(s);
}

void state_add(struct state *s, size_t count, const struct str *args)
{
    CHECK(count > 0 && count <= STATE_ARGS_MAX && s->queued < STATE_COMMANDS_MAX);
    buf_addf(&s->command, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_addf(&s->command, "$%zu\r\n", args[i].len);
        buf_add_str(&s->command, args[i]);
        buf_add_str(&s->command, STR("\r\n"));
    }
    s->queued++;
}

size_t state_queued(const struct state *s)
{
    return s->queued;
}

static int connect_redis(struct state *s, struct why *reterr_why)
{
    struct timeval timeout = {.tv_usec = STATE_CALL_MS * 1000};
    redisReply *reply;
    int r = 0;

    s->redis = s->path ? redisConnectUnixWithTimeout(s->path, timeout)
                       : redisConnectWithTimeout(s->host, s->port, timeout);
    if (!s->redis)
        return -ERR_NOMEM;
    if (s->redis->err)
        return why_set(reterr_why, -ERR_UNAVAILABLE, "Redis at %s: %s", s->path ? s->path : s->host,
                       s->redis->errstr);
    (void)redisSetTimeout(s->redis, timeout);
    if (!s->host)
        return 0;
    reply = redisCommand(s->redis, "SELECT %s", s->db);
    if (!reply)
        return why_set(reterr_why, -ERR_UNAVAILABLE, "Redis at %s: %s", s->host, s->redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) /* else all that follows would go to another database */
        r = why_set(reterr_why, -ERR_UNAVAILABLE, "Redis at %s: %s", s->host, reply->str);
    freeReplyObject(reply);
    return r;
}

static int exchange(struct state *s, struct why *reterr_why)
{
    if (s->reply_cap < s->queued) {
        redisReply **replies = realloc(s->replies, s->queued * sizeof(redisReply *));

        if (!replies)
            return -ERR_NOMEM;
        s->replies = replies;
        s->reply_cap = s->queued;
    }
    if (redisAppendFormattedCommand(s->redis, s->command.at, s->command.len) != REDIS_OK)
        return -ERR_NOMEM;
    while (s->reply_count < s->queued) {
        void *reply = NULL;

        if (redisGetReply(s->redis, &reply) != REDIS_OK)
            return why_set(reterr_why, -ERR_UNAVAILABLE, "Redis: %s", s->redis->errstr);
        s->replies[s->reply_count++] = reply;
    }
    return 0;
}

int state_flush(struct state *s, struct why *reterr_why)
{
    int r = buf_error(&s->command);

    free_replies(s);
    if (r == 0 && s->queued && !s->redis)
        r = now_ms() < s->retry_ms ? why_set(reterr_why, -ERR_UNAVAILABLE, "Redis is away")
                                   : connect_redis(s, reterr_why);
    if (r == 0 && s->queued)
        r = exchange(s, reterr_why);
    if (r < 0 && s->redis) {
        disconnect(s); /* answers still to come would be taken for those of later commands */
        s->retry_ms = now_ms() + STATE_RETRY_MS;
    }
    if (r < 0)
        free_replies(s);
    s->queued = 0;
    buf_reset(&s->command);
    return r;
}

static struct state_reply reply_of(const redisReply *reply)
{
    struct state_reply out = {.type = STATE_NIL, .handle = reply};

    switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        out.type = STATE_TEXT;
        out.text = str_of(reply->str, (size_t)reply->len);
        break;
    case REDIS_REPLY_ERROR:
        out.type = STATE_ERROR;
        out.text = str_of(reply->str, (size_t)reply->len);
        break;
    case REDIS_REPLY_INTEGER:
        out.type = STATE_INTEGER;
        out.integer = reply->integer;
        break;
    case REDIS_REPLY_ARRAY:
        out.type = STATE_LIST;
        out.count = reply->elements;
        break;
    default:
        break;
    }
    return out;
}

struct state_reply state_reply(const struct state *s, size_t i)
{
    CHECK(i < s->reply_count);
    return reply_of(s->replies[i]);
}

struct state_reply state_item(const struct state_reply *list, size_t i)
{
    const redisReply *reply = list->handle;

    CHECK(list->type == STATE_LIST && i < list->count);
    return reply_of(reply->element[i]);
}
