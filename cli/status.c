/* status.c - `trailctl status`: the fleet as Redis tells it, docs/REDIS.md.
 *
 * Everything is read into one document first, { workers, counters, trails }: what --json prints, and what the
 * table is made of.
 */
#include <stdio.h>

#include "cli/deployment.h"
#include "cli/output.h"
#include "jsondoc/jsondoc.h"
#include "state/heartbeat.h"
#include "state/keys.h"
#include "state/state.h"

#define SCAN_COUNT STR("1000")
#define BATCH      1000    /* commands in one round trip */
#define NAMES_MAX  1000000 /* of one kind; more are not looked at */

/* ---- keys -------------------------------------------------------------------------------------- */

struct names {
    char **at;
    size_t count, cap;
};

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i]);
    free(names->at);
}

static int names_add(struct names *names, struct str name)
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
static void names_sort(struct names *names)
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
static bool key_parts(const char *key, int skip, struct str *ret, size_t count)
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

static int members(struct state *state, const struct state_key *key, struct names *ret,
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
        r = names_add(ret, item.text);
    }
    names_sort(ret);
    return r;
}

/* One step of a scan: keys are added, *cursor moves on; "0" at the end. */
static int scan_step(struct state *state, struct str pattern, char cursor[32], struct names *ret,
                     struct why *why)
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
        r = names_add(ret, state_item(&keys, i).text);
    (void)snprintf(cursor, 32, STR_FMT, STR_ARG(next.text));
    return r;
}

static int scan(struct state *state, struct str pattern, struct names *ret, struct why *why)
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
static struct str field(const struct state_reply *hash, struct str name)
{
    for (size_t i = 0; hash->type == STATE_LIST && i + 1 < hash->count; i += 2)
        if (str_eq(state_item(hash, i).text, name))
            return state_item(hash, i + 1).text;
    return STR("");
}

/* ---- the document ------------------------------------------------------------------------------ */

static void set_number(struct jsondoc *doc, const char *name, struct str text)
{
    int64_t n;

    if (str_to_i64(text, &n))
        (void)jsondoc_set_i64(doc, name, n);
}

static struct jsondoc *worker_document(const char *key, const struct state_reply *hash)
{
    struct jsondoc *doc = jsondoc_object();
    struct str parts[3];
    bool alive = hash->type == STATE_LIST && hash->count > 0;

    if (!doc || !key_parts(key, 2, parts, ARRAY_LEN(parts)))
        return doc;
    (void)jsondoc_set_str(doc, "worker", parts[0]);
    (void)jsondoc_set_str(doc, "region", parts[1]);
    (void)jsondoc_set_str(doc, "instance", parts[2]);
    (void)jsondoc_set_str(doc, "state", alive ? field(hash, STR("state")) : STR("not seen"));
    if (!alive)
        return doc;
    set_number(doc, "lag", field(hash, STR("lag")));
    set_number(doc, "rate", field(hash, STR("rate")));
    set_number(doc, "partitions", field(hash, STR("partitions")));
    (void)jsondoc_set_str(doc, "seen", field(hash, STR("seen")));
    (void)jsondoc_set_str(doc, "started", field(hash, STR("started")));
    (void)jsondoc_set_str(doc, "version", field(hash, STR("version")));
    return doc;
}

static struct jsondoc *counters_document(const char *key, const struct state_reply *hash)
{
    struct jsondoc *doc = jsondoc_object(), *counts = jsondoc_object();
    struct str parts[2];

    if (!doc || !counts || !key_parts(key, 2, parts, ARRAY_LEN(parts))) {
        jsondoc_free(counts);
        return doc;
    }
    (void)jsondoc_set_str(doc, "worker", parts[0]);
    (void)jsondoc_set_str(doc, "region", parts[1]);
    for (size_t i = 0; hash->type == STATE_LIST && i + 1 < hash->count; i += 2) {
        AUTO_FREE char *name = str_dup(state_item(hash, i).text);

        if (name)
            set_number(counts, name, state_item(hash, i + 1).text);
    }
    (void)jsondoc_set(doc, "counts", counts);
    return doc;
}

/* Asks for each key's hash and appends what `make` makes of it. */
static int add_documents(struct state *state, const struct names *keys,
                         struct jsondoc *(*make)(const char *key, const struct state_reply *hash),
                         struct jsondoc *list, struct why *why)
{
    for (size_t from = 0; from < keys->count; from += BATCH) {
        size_t count = MIN_OF(keys->count - from, (size_t)BATCH);
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

static int read_workers(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key all = state_key_workers();
    struct names keys = {0};
    int r = members(state, &all, &keys, why);

    if (r == 0)
        r = add_documents(state, &keys, worker_document, list, why);
    names_done(&keys);
    return r;
}

static int read_counters(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key pattern = state_key_counters(STR("*"), STR("*"));
    struct names keys = {0};
    int r = scan(state, state_key_str(&pattern), &keys, why);

    if (r == 0)
        r = add_documents(state, &keys, counters_document, list, why);
    names_done(&keys);
    return r;
}

/* ---- trails with trouble ----------------------------------------------------------------------- */

/* Of the keys of status hashes those that have an error. */
static int keep_troubled(struct state *state, const struct names *keys, struct names *ret,
                         struct why *why)
{
    for (size_t from = 0; from < keys->count; from += BATCH) {
        size_t count = MIN_OF(keys->count - from, (size_t)BATCH);
        int r;

        for (size_t i = 0; i < count; i++)
            STATE_ADD(state, STR("HGET"), str_from(keys->at[from + i]), STR("error"));
        r = state_flush(state, why);
        for (size_t i = 0; i < count && r == 0; i++)
            if (state_reply(state, i).type == STATE_TEXT && state_reply(state, i).text.len)
                r = names_add(ret, str_from(keys->at[from + i]));
        if (r < 0)
            return r;
    }
    return 0;
}

/* What the trail is called is in another hash; without one it was deleted. */
static int add_trouble(struct state *state, const char *key, struct jsondoc *list, struct why *why)
{
    struct jsondoc *doc = jsondoc_object();
    struct state_reply status, trail;
    struct state_key trail_key;
    struct str parts[3]; /* trail, "status", region */
    int r;

    if (!doc || !key_parts(key, 2, parts, ARRAY_LEN(parts)))
        return jsondoc_append(list, doc);
    trail_key = state_key_trail(parts[0]);
    STATE_ADD(state, STR("HGETALL"), str_from(key));
    STATE_ADD(state, STR("HGETALL"), state_key_str(&trail_key));
    r = state_flush(state, why);
    if (r < 0) {
        jsondoc_free(doc);
        return r;
    }
    status = state_reply(state, 0);
    trail = state_reply(state, 1);
    (void)jsondoc_set_str(doc, "trail", parts[0]);
    (void)jsondoc_set_str(doc, "name", field(&trail, STR("name")));
    (void)jsondoc_set_str(doc, "account", field(&trail, STR("account")));
    (void)jsondoc_set_str(doc, "bucket", field(&trail, STR("bucket")));
    (void)jsondoc_set_str(doc, "region", parts[2]);
    (void)jsondoc_set_str(doc, "error", field(&status, STR("error")));
    (void)jsondoc_set_str(doc, "errorTime", field(&status, STR("error_time")));
    (void)jsondoc_set_str(doc, "deliveredTime", field(&status, STR("delivered_time")));
    return jsondoc_append(list, doc);
}

static int read_troubles(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key pattern = state_key_trail_status(STR("*"), STR("*"));
    struct names keys = {0}, troubled = {0};
    int r = scan(state, state_key_str(&pattern), &keys, why);

    if (r == 0)
        r = keep_troubled(state, &keys, &troubled, why);
    for (size_t i = 0; i < troubled.count && r == 0; i++)
        r = add_trouble(state, troubled.at[i], list, why);
    names_done(&keys);
    names_done(&troubled);
    return r;
}

/* ---- printing ---------------------------------------------------------------------------------- */

static struct str text_of(const struct jsondoc *doc, const char *name)
{
    return jsondoc_str_or(doc, name, STR(""));
}

/* A number's digits; empty when it is not known. */
static struct str digits_of(const struct jsondoc *doc, const char *name, char text[24])
{
    int64_t n;

    if (!jsondoc_i64(doc, name, &n))
        return STR("");
    return str_of(text, (size_t)snprintf(text, 24, "%lld", (long long)n));
}

static bool seen(const struct jsondoc *worker)
{
    return text_of(worker, "seen").len > 0;
}

static void print_workers(const struct jsondoc *workers)
{
    struct output table = {0};
    size_t unseen = 0;

    output_begin(&table, (const struct output_column[]){{"worker", "WORKER", 12},
                                                        {"region", "REGION", 16},
                                                        {"instance", "INSTANCE", 10},
                                                        {"state", "STATE", 10},
                                                        {"lag", "LAG", 10},
                                                        {"rate", "RATE/S", 8},
                                                        {"partitions", "PARTITIONS", 10},
                                                        {"seen", "SEEN", 0},
                                                        {NULL, NULL, 0}});
    for (size_t i = 0; i < jsondoc_len(workers); i++) {
        const struct jsondoc *w = jsondoc_at(workers, i);
        char lag[24], rate[24], partitions[24];

        unseen += !seen(w);
        output_row(&table,
                   (const struct str[]){
                       text_of(w, "worker"), text_of(w, "region"), text_of(w, "instance"),
                       text_of(w, "state"), digits_of(w, "lag", lag), digits_of(w, "rate", rate),
                       digits_of(w, "partitions", partitions), text_of(w, "seen")});
    }
    if (jsondoc_len(workers) == 0)
        printf("no worker was ever seen\n");
    if (unseen)
        printf("\n%zu of %zu not seen for %d s: crashed, stopped, or without a way to Redis; those "
               "that "
               "are gone for\ngood are forgotten by `trailctl status --forget`\n",
               unseen, jsondoc_len(workers), HEARTBEAT_TTL_S);
}

static void print_counters(const struct jsondoc *counters)
{
    for (size_t i = 0; i < jsondoc_len(counters); i++) {
        const struct jsondoc *c = jsondoc_at(counters, i), *value;
        struct str name;
        void *cursor = NULL;
        int64_t n;

        printf("%s  " STR_FMT "%s" STR_FMT ":", i ? "" : "\ncounted so far\n",
               STR_ARG(text_of(c, "worker")), text_of(c, "region").len ? " " : "",
               STR_ARG(text_of(c, "region")));
        while (jsondoc_each(jsondoc_get(c, "counts"), &cursor, &name, &value))
            if (jsondoc_number(value, &n))
                printf(" " STR_FMT " %lld", STR_ARG(name), (long long)n);
        printf("\n");
    }
}

static void print_troubles(const struct jsondoc *trails)
{
    for (size_t i = 0; i < jsondoc_len(trails); i++) {
        const struct jsondoc *t = jsondoc_at(trails, i);
        struct str name = text_of(t, "name"), delivered = text_of(t, "deliveredTime");
        AUTO_BUF struct buf error = {0};

        buf_init(&error, 4096);
        output_clean(text_of(t, "error"), 500, &error);
        printf("%s  " STR_FMT " of account " STR_FMT ", in " STR_FMT ", to " STR_FMT ": %s\n"
               "      failed " STR_FMT ", delivered last " STR_FMT "\n",
               i ? ""
                 : "\ntrails with trouble (events wait in Kafka until they can be delivered)\n",
               STR_ARG(name.len ? name : text_of(t, "trail")), STR_ARG(text_of(t, "account")),
               STR_ARG(text_of(t, "region")), STR_ARG(text_of(t, "bucket")), buf_cstr(&error),
               STR_ARG(text_of(t, "errorTime")), STR_ARG(delivered.len ? delivered : STR("never")));
    }
    if (jsondoc_len(trails) == 0)
        printf("\nno trail has trouble\n");
}

/* ---- the command ------------------------------------------------------------------------------- */

/* Of the configuration when it is named; else TRAILBUS_REDIS, else the configuration's after all. */
static int open_state(struct cli *cli, struct state **ret, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    struct str url = settings_get(&cli->settings, "TRAILBUS_REDIS");
    int r = 0;

    if (args_has(&cli->args, "config") || url.len == 0) {
        r = deployment_open(cli, &deployment, reterr_why);
        url = deployment.config.state.redis;
    }
    return r < 0 ? r : state_open(url, ret, reterr_why);
}

static int read_all(struct state *state, struct jsondoc *ret, struct why *why)
{
    struct jsondoc *workers = jsondoc_array(), *counters = jsondoc_array(),
                   *trails = jsondoc_array();
    int r = workers && counters && trails ? 0 : -ERR_NOMEM;

    if (r == 0)
        r = read_workers(state, workers, why);
    if (r == 0)
        r = read_counters(state, counters, why);
    if (r == 0)
        r = read_troubles(state, trails, why);
    (void)jsondoc_set(ret, "workers", workers);
    (void)jsondoc_set(ret, "counters", counters);
    (void)jsondoc_set(ret, "trails", trails);
    return r;
}

/* Workers that are not seen are taken off the set of those that are looked for. */
static int forget(struct state *state, const struct jsondoc *workers, struct why *why)
{
    struct state_key all = state_key_workers();
    size_t count = 0;
    int r;

    for (size_t i = 0; i < jsondoc_len(workers); i++) {
        const struct jsondoc *w = jsondoc_at(workers, i);
        struct state_key key =
            state_key_worker(text_of(w, "worker"), text_of(w, "region"), text_of(w, "instance"));

        if (seen(w))
            continue;
        STATE_ADD(state, STR("SREM"), state_key_str(&all), state_key_str(&key));
        count++;
    }
    r = count ? state_flush(state, why) : 0;
    if (r == 0)
        printf("%zu workers forgotten; one that comes back is seen again\n", count);
    return r;
}

static int status(struct cli *cli, struct why *reterr_why)
{
    AUTO(state_close) struct state *state = NULL;
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    struct why why = {0};
    int r = open_state(cli, &state, reterr_why);

    if (r < 0)
        return r;
    r = doc ? read_all(state, doc, &why) : -ERR_NOMEM;
    if (r < 0)
        return why_set(reterr_why, r,
                       "Redis does not answer, so nothing is known; no event waits for it (%s)",
                       why.text);
    if (args_has(&cli->args, "forget"))
        return forget(state, jsondoc_get(doc, "workers"), reterr_why);
    if (args_has(&cli->args, "json"))
        return output_json(doc);
    print_workers(jsondoc_get(doc, "workers"));
    print_troubles(jsondoc_get(doc, "trails"));
    print_counters(jsondoc_get(doc, "counters"));
    return 0;
}

static const struct arg_option status_options[] = {
    {"json", NULL, "one JSON document: workers, counters, trails", false},
    {"forget", NULL, "looks no longer for workers that are not seen", false},
    ARG_OPTIONS_END,
};

const struct command status_commands[] = {
    {"status", "", 0, 0, "the fleet: workers, lag, rates, counters, trails with trouble",
     "Reads Redis (TRAILBUS_REDIS, or the configuration's). LAG: records not read yet. RATE/S: "
     "records of the last second. A worker that was not seen for 15 s is \"not seen\".",
     status_options, status},
    COMMANDS_END,
};
