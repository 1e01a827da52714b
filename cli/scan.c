/* scan.c - names by SMEMBERS and SCAN, hashes by the batch. */
#include "cli/scan.h"

#include <stdio.h>

#define SCAN_COUNT STR("1000")
#define NAMES_MAX  1000000 /* of one kind; more are not looked at */

/* ---- keys -------------------------------------------------------------------------------------- */

void scan_names_done(struct scan_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i]);
    free(names->at);
}

int scan_names_add(struct scan_names *names, struct str name)
{
    if (names->count == NAMES_MAX)
        return 0;
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 64;
        char **at = realloc(names->at, cap * sizeof(*at));

        if (!at)
            return -ERR_NOMEM;
        names->at = at;
        names->cap = cap;
    }
    names->at[names->count] = str_dup(name);
    return names->at[names->count++] ? 0 : -ERR_NOMEM;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once: a scan may give a key twice. */
static void names_sort(struct scan_names *names)
{
    size_t kept = 0;

    if (names->count)
        qsort(names->at, names->count, sizeof(*names->at), compare);
    for (size_t i = 0; i < names->count; i++) {
        if (kept && strcmp(names->at[kept - 1], names->at[i]) == 0)
            free(names->at[i]);
        else
            names->at[kept++] = names->at[i];
    }
    names->count = kept;
}

/* The parts of a key behind its first `skip`, split at ':'; the last one takes the rest. */
bool scan_key_parts(const char *key, int skip, struct str *ret, size_t count)
{
    struct str rest = str_from(key), part;

    for (int i = 0; i < skip; i++)
        if (!str_split(&rest, ':', &part))
            return false;
    for (size_t i = 0; i + 1 < count; i++)
        if (!str_split(&rest, ':', &ret[i]))
            return false;
    ret[count - 1] = rest;
    return rest.at != NULL;
}

/* ---- Redis ------------------------------------------------------------------------------------- */

int scan_members(struct state *state, const struct state_key *key, struct scan_names *ret,
                 struct why *why)
{
    struct state_reply list, item;
    int r;

    STATE_ADD(state, STR("SMEMBERS"), state_key_str(key));
    r = state_flush(state, why);
    if (r < 0)
        return r;
    list = state_reply(state, 0);
    for (size_t i = 0; list.type == STATE_LIST && i < list.count && r == 0; i++) {
        item = state_item(&list, i);
        r = scan_names_add(ret, item.text);
    }
    names_sort(ret);
    return r;
}

/* One step of a scan: keys are added, *cursor moves on; "0" at the end. */
static int scan_step(struct state *state, struct str pattern, char cursor[32],
                     struct scan_names *ret, struct why *why)
{
    struct state_reply reply, next, keys;
    int r;

    STATE_ADD(state, STR("SCAN"), str_from(cursor), STR("MATCH"), pattern, STR("COUNT"),
              SCAN_COUNT);
    r = state_flush(state, why);
    if (r < 0)
        return r;
    reply = state_reply(state, 0);
    if (reply.type != STATE_LIST || reply.count != 2)
        return why_set(why, -ERR_INVALID, "Redis does not answer SCAN: " STR_FMT,
                       STR_ARG(reply.text));
    next = state_item(&reply, 0);
    keys = state_item(&reply, 1);
    for (size_t i = 0; i < keys.count && r == 0; i++)
        r = scan_names_add(ret, state_item(&keys, i).text);
    (void)snprintf(cursor, 32, STR_FMT, STR_ARG(next.text));
    return r;
}

int scan_keys(struct state *state, struct str pattern, struct scan_names *ret, struct why *why)
{
    char cursor[32] = "0";
    int r;

    do
        r = scan_step(state, pattern, cursor, ret, why);
    while (r == 0 && strcmp(cursor, "0") != 0);
    names_sort(ret);
    return r;
}

/* Field of an HGETALL; empty when it is not there. */
struct str scan_field(const struct state_reply *hash, struct str name)
{
    for (size_t i = 0; hash->type == STATE_LIST && i + 1 < hash->count; i += 2)
        if (str_eq(state_item(hash, i).text, name))
            return state_item(hash, i + 1).text;
    return STR("");
}

/* Asks for each key's hash and appends what `make` makes of it. */
int scan_documents(struct state *state, const struct scan_names *keys,
                   struct jsondoc *(*make)(const char *key, const struct state_reply *hash),
                   struct jsondoc *list, struct why *why)
{
    for (size_t from = 0; from < keys->count; from += SCAN_BATCH) {
        size_t count = MIN_OF(keys->count - from, (size_t)SCAN_BATCH);
        int r;

        for (size_t i = 0; i < count; i++)
            STATE_ADD(state, STR("HGETALL"), str_from(keys->at[from + i]));
        r = state_flush(state, why);
        if (r < 0)
            return r;
        for (size_t i = 0; i < count; i++) {
            struct state_reply hash = state_reply(state, i);
            struct jsondoc *doc = make(keys->at[from + i], &hash);

            if (doc && jsondoc_append(list, doc) < 0)
                return -ERR_NOMEM;
        }
    }
    return 0;
}
