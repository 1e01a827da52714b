/* Redis without memory or answers: never an answer to another question. The answers are in the socket before they are asked for.
 *
 * links: state
 * wraps: redisConnectUnixWithTimeout redisAppendFormattedCommand redisGetReply
 */
#include "faults.h"

#include <sys/socket.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "state/state.h"

static int other_end = -1;

redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout);
int __real_redisAppendFormattedCommand(redisContext *c, const char *text, size_t len);
int __wrap_redisAppendFormattedCommand(redisContext *c, const char *text, size_t len);
int __real_redisGetReply(redisContext *c, void **reply);
int __wrap_redisGetReply(redisContext *c, void **reply);

redisContext *__wrap_redisConnectUnixWithTimeout(const char *path, const struct timeval timeout)
{
    static const char answers[] = "+OK\r\n:7\r\n*2\r\n$1\r\na\r\n$-1\r\n";
    int ends[2];

    (void)path;
    (void)timeout;
    if (fault_here("redisConnect"))
        return NULL;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(send(ends[1], answers, sizeof(answers) - 1, 0) == (ssize_t)sizeof(answers) - 1);
    other_end = ends[1];
    return redisConnectFd(ends[0]);
}

int __wrap_redisAppendFormattedCommand(redisContext *c, const char *text, size_t len)
{
    note_str("sent", str_of(text, len));
    return fault_here("redisAppendFormattedCommand")
               ? REDIS_ERR
               : __real_redisAppendFormattedCommand(c, text, len);
}

int __wrap_redisGetReply(redisContext *c, void **reply)
{
    return fault_here("redisGetReply") ? REDIS_ERR : __real_redisGetReply(c, reply);
}

static void note_replies(const struct state *s)
{
    struct state_reply list = state_reply(s, 2);

    note_str("first", state_reply(s, 0).text);
    note("second %lld", (long long)state_reply(s, 1).integer);
    PROMISE(list.type == STATE_LIST && list.count == 2);
    note_str("third", state_item(&list, 0).text);
    note("and %d", state_item(&list, 1).type);
}

static int ask(void)
{
    AUTO(state_close) struct state *s = NULL;
    static char value[3000];
    int r = state_open(STR("unix:/nowhere"), &s, NULL);

    if (r < 0)
        return r;
    memset(value, 'x', sizeof(value));
    STATE_ADD(s, STR("SET"), STR("a"), str_of(value, sizeof(value)));
    STATE_ADD(s, STR("INCR"), STR("b"));
    STATE_ADD(s, STR("HMGET"), STR("c"), STR("d"), STR("e"));
    PROMISE(state_queued(s) == 3);
    r = state_flush(s, NULL);
    PROMISE(state_queued(s) == 0);
    if (r == 0)
        note_replies(s);
    if (other_end >= 0)
        (void)close(other_end);
    other_end = -1;
    return r;
}

TORTURE({"redis", ask, 0})
