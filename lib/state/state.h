/* state.h - the door to Redis: a quick view of what is true elsewhere, and what dashboards read.
 *
 * Nothing that may not be lost lives here. Redis being away stops no event: every call is bounded
 * (STATE_CALL_MS), and after a failure calls return -ERR_UNAVAILABLE at once until STATE_RETRY_MS have
 * passed. Keys are those of keys.h and docs/REDIS.md.
 *
 * Commands are queued and sent together:
 *
 *     state_add(s, 3, (struct str[]){STR("SET"), key, value});
 *     state_add(s, 2, (struct str[]){STR("GET"), other});
 *     r = state_flush(s);      one round trip; then state_reply(s, i) for each
 *
 * Layer: I/O. DEPS base, log. The only door to hiredis.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/base.h"

#define STATE_CALL_MS      500
#define STATE_RETRY_MS     1000
#define STATE_COMMANDS_MAX 100000 /* in one flush */
#define STATE_ARGS_MAX     256

struct state;

enum state_type {
    STATE_NIL,
    STATE_TEXT, /* also status answers */
    STATE_INTEGER,
    STATE_LIST,
    STATE_ERROR, /* Redis refused the command; text says why */
};

struct state_reply {
    enum state_type type;
    struct str text;
    int64_t integer;
    size_t count; /* of a list; its items by state_item() */
    const void *handle;
};

/* `url`: redis://host:port/db or unix:/path. Connects at the first flush. -ERR_CONFIG, -ERR_NOMEM. */
MUST_CHECK int state_open(struct str url, struct state **ret, struct why *reterr_why);
/* Whether `url` is one: for --check-config. -ERR_CONFIG. */
MUST_CHECK int state_check(struct str url, struct why *reterr_why);
void state_close(struct state *state);
AUTO_DEFINE(struct state, state_close)

/* Queues one command; copied. A lack of memory shows at the flush. */
void state_add(struct state *state, size_t count, const struct str *args);
#define STATE_ADD(state, ...)                                                                      \
    state_add(state, sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str),                     \
              (struct str[]){__VA_ARGS__})
size_t state_queued(const struct state *state); /* commands, since the last flush */
/* Sends what is queued and reads the answers. On an error what was queued is forgotten, and whether it was
 * carried out is not known. */
MUST_CHECK int state_flush(struct state *state, struct why *reterr_why);
/* Answer to the i-th command of the last flush; valid until the next state_add() or flush. */
struct state_reply state_reply(const struct state *state, size_t i);
struct state_reply state_item(const struct state_reply *list, size_t i);

#endif
