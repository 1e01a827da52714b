/* store.c - see store.h. */
#include "cli/store.h"

#include <time.h>

#include "cli/cli.h"

#define WAIT_MS 1000

/* One call: what it asks, and what came of it. */
struct asking {
    const struct store_calls *calls;
    struct str bucket, key; /* key: of a listing, the prefix */
    struct str after;
    bool list, get;
    struct store_object *object; /* of a look */
    int (*each)(void *arg, struct str key);
    void *arg;

    bool done;
    enum objects_outcome outcome;
    struct buf token;
    int said; /* by `each` */
    struct why why;
};

static void take_keys(struct asking *a, const struct objects_result *result)
{
    for (size_t i = 0; i < result->key_count && a->said == 0; i++)
        a->said = a->each(a->arg, result->keys[i]);
    buf_reset(&a->token);
    buf_add_str(&a->token, result->next_token);
}

static void take_object(struct store_object *o, const struct objects_result *result)
{
    o->meta = result->meta;
    o->meta_valid = result->meta_valid;
    o->meta_why = result->why;
    buf_reset(&o->body);
    if (result->body.len)
        buf_add_str(&o->body, result->body);
}

static void on_answer(void *arg, const struct objects_result *result)
{
    struct asking *a = arg;

    a->done = true;
    a->outcome = result->outcome;
    a->why = result->why;
    if (result->outcome != OBJECTS_OK)
        return;
    if (a->list)
        take_keys(a, result);
    else
        take_object(a->object, result);
}

static int begin(struct asking *a, const struct objects_store *store)
{
    const struct store_calls *c = a->calls;
    struct str token = buf_str(&a->token);

    if (a->list)
        return objects_list(c->http, store, cli_now_s(), a->bucket, a->key,
                            token.len ? STR("") : a->after, token, on_answer, a);
    if (a->get)
        return objects_get(c->http, store, cli_now_s(), a->bucket, a->key, c->hmac_key, on_answer,
                           a);
    return objects_head(c->http, store, cli_now_s(), a->bucket, a->key, c->hmac_key, on_answer, a);
}

static int error_of(const struct asking *a, struct why *reterr_why)
{
    switch (a->outcome) {
    case OBJECTS_OK:
        return 0;
    case OBJECTS_NOT_FOUND:
    case OBJECTS_NO_BUCKET:
        return why_set(reterr_why, -ERR_NOT_FOUND, "%s", a->why.text);
    case OBJECTS_UNCLEAR:
        return why_set(reterr_why, -ERR_UNAVAILABLE, "%s", a->why.text);
    default:
        return why_set(reterr_why, -ERR_CONFIG, "%s", a->why.text);
    }
}

static int ask(struct asking *a, struct why *reterr_why)
{
    const struct objects_store *store = objects_find(a->calls->objects, a->bucket);
    int64_t pause_ms = STORE_PAUSE_MS;
    int r = 0;

    if (!store)
        return why_set(reterr_why, -ERR_CONFIG,
                       "no row of `destinations` has a pattern that matches " STR_FMT,
                       STR_ARG(a->bucket));
    for (int i = 0; i < STORE_TRIES && r == 0; i++) {
        if (i > 0)
            (void)nanosleep(&(struct timespec){pause_ms / 1000, pause_ms % 1000 * 1000000}, NULL);
        pause_ms *= i > 0 ? 2 : 1;
        a->done = false;
        r = begin(a, store);
        while (r == 0 && !a->done)
            http_poll(a->calls->http, NULL, 0, WAIT_MS);
        if (r == 0 && a->outcome != OBJECTS_UNCLEAR)
            break;
    }
    return r < 0 ? r : error_of(a, reterr_why);
}

int store_list(const struct store_calls *calls, struct str bucket, struct str prefix,
               struct str after, int (*each)(void *arg, struct str key), void *arg,
               struct why *reterr_why)
{
    struct asking a = {.calls = calls,
                       .bucket = bucket,
                       .key = prefix,
                       .after = after,
                       .list = true,
                       .each = each,
                       .arg = arg};
    int r;

    buf_init(&a.token, 65536);
    do
        r = ask(&a, reterr_why);
    while (r == 0 && a.said == 0 && a.token.len);
    if (r == 0)
        r = buf_error(&a.token);
    buf_done(&a.token);
    return r < 0 ? r : a.said;
}

static int look(const struct store_calls *calls, struct str bucket, struct str key, bool get,
                struct store_object *ret, struct why *reterr_why)
{
    struct asking a = {.calls = calls, .bucket = bucket, .key = key, .get = get, .object = ret};
    int r = ask(&a, reterr_why);

    return r < 0 ? r : buf_error(&ret->body);
}

int store_head(const struct store_calls *calls, struct str bucket, struct str key,
               struct store_object *ret, struct why *reterr_why)
{
    return look(calls, bucket, key, false, ret, reterr_why);
}

int store_get(const struct store_calls *calls, struct str bucket, struct str key,
              struct store_object *ret, struct why *reterr_why)
{
    return look(calls, bucket, key, true, ret, reterr_why);
}
