/* redis.c - state.h before a Redis that loses writes, answers with old values, is away, or is found empty. Only what decides
 * something is kept (progress, the mark by which its emptying is seen); what dashboards read is taken and forgotten. */
#include "sim.h"
#include "state/state.h"

#define COMMANDS_MAX 4096
#define CALL_MS      3

struct value {
    struct str key, text, before; /* before: what it was, for stale answers */
    struct value *next;
};

struct redis {
    struct value *values;
    struct progress *progress;
};

struct command {
    enum { GET, SET, SET_NX, ADD, OTHER } kind;
    struct str key, text;
    struct state_reply reply;
};

struct state {
    struct command commands[COMMANDS_MAX];
    size_t count;
    int64_t retry_ms;
};

void redis_new(void)
{
    sim->redis = keep(sizeof(*sim->redis));
}

void redis_empty(void)
{
    trace("Redis is emptied");
    sim->redis->values = NULL;
}

static struct value *find(struct str key)
{
    for (struct value *v = sim->redis->values; v; v = v->next)
        if (str_eq(v->key, key))
            return v;
    return NULL;
}

static void set(struct str key, struct str text)
{
    struct value *v = find(key);

    if (!v) {
        v = keep(sizeof(*v));
        *v = (struct value){.key = key, .next = sim->redis->values};
        sim->redis->values = v;
    }
    v->before = v->text;
    v->text = text;
}

int state_check(struct str url, struct why *reterr_why)
{
    (void)url, (void)reterr_why;
    return 0;
}

int state_open(struct str url, struct state **ret, struct why *reterr_why)
{
    (void)url, (void)reterr_why;
    *ret = calloc(1, sizeof(**ret));
    CHECK(*ret);
    return 0;
}

void state_close(struct state *state)
{
    free(state);
}

static bool has_word(size_t count, const struct str *args, struct str word)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(args[i], word))
            return true;
    return false;
}

void state_add(struct state *s, size_t count, const struct str *args)
{
    struct command *c = &s->commands[s->count];

    if (s->count == COMMANDS_MAX)
        return;
    s->count++;
    *c = (struct command){.kind = OTHER};
    if (str_eq(args[0], STR("GET")))
        *c = (struct command){.kind = GET, .key = keep_str(args[1])};
    else if (str_eq(args[0], STR("SET")))
        *c = (struct command){.kind = has_word(count, args, STR("NX")) ? SET_NX : SET,
                              .key = keep_str(args[1]),
                              .text = keep_str(args[2])};
    else if (str_eq(args[0], STR("SADD"))) /* a set has one member here: the key is both */
        *c = (struct command){.kind = ADD, .key = keep_str(args[2]), .text = STR("1")};
}

size_t state_queued(const struct state *s)
{
    return s->count;
}

const struct progress *redis_progress(void)
{
    return sim->redis->progress;
}

static void note_progress(struct str key, struct str text)
{
    struct progress *p = sim->redis->progress;

    if (!str_starts(key, STR("tb1:progress:")))
        return;
    while (p && !str_eq(p->key, key))
        p = p->next;
    if (p && str_eq(p->text, text))
        return;
    p = keep(sizeof(*p));
    *p = (struct progress){key, text, now_ms(), sim->redis->progress};
    sim->redis->progress = p;
}

static void carry_out(struct command *c)
{
    struct value *v;

    switch (c->kind) {
    case GET:
        v = find(c->key);
        if (v && v->before.at && fault(sim->faults.redis_stale))
            c->reply = (struct state_reply){.type = STATE_TEXT, .text = v->before};
        else if (v)
            c->reply = (struct state_reply){.type = STATE_TEXT, .text = v->text};
        break;
    case SET_NX:
        if (find(c->key))
            break;
        set(c->key, c->text);
        c->reply = (struct state_reply){.type = STATE_TEXT, .text = STR("OK")};
        break;
    case SET:
        note_progress(c->key, c->text);
        if (!fault(sim->faults.redis_lost)) /* by a failover, say */
            set(c->key, c->text);
        c->reply = (struct state_reply){.type = STATE_TEXT, .text = STR("OK")};
        break;
    case ADD:
        c->reply = (struct state_reply){.type = STATE_INTEGER, .integer = !find(c->key)};
        set(c->key, c->text);
        break;
    case OTHER:
        c->reply = (struct state_reply){.type = STATE_INTEGER, .integer = 1};
        break;
    }
}

int state_flush(struct state *s, struct why *reterr_why)
{
    size_t count = s->count;

    s->count = 0;
    if (!door(0, count ? CALL_MS : 0))
        return -ERR_BUG;
    if (now_ms() < s->retry_ms)
        return -ERR_UNAVAILABLE;
    if (now_ms() < sim->redis_away_ms) {
        s->retry_ms = now_ms() + STATE_RETRY_MS;
        if (!door(0, STATE_CALL_MS))
            return -ERR_BUG;
        return why_set(reterr_why, -ERR_UNAVAILABLE, "Redis is away");
    }
    for (size_t i = 0; i < count; i++)
        carry_out(&s->commands[i]);
    return door(0, 1) ? 0 : -ERR_BUG;
}

struct state_reply state_reply(const struct state *s, size_t i)
{
    return s->commands[i].reply;
}

struct state_reply state_item(const struct state_reply *list, size_t i)
{
    (void)list, (void)i;
    return (struct state_reply){.type = STATE_NIL};
}
