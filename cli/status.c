/* status.c - `trailctl status`: the fleet as Redis tells it, docs/REDIS.md.
 *
 * Everything is read into one document first, { workers, counters, trails }: what --json prints, and what the
 * table is made of.
 */
#include <stdio.h>

#include "cli/deployment.h"
#include "cli/output.h"
#include "cli/scan.h"
#include "cli/watched.h"
#include "jsondoc/jsondoc.h"
#include "state/heartbeat.h"
#include "state/keys.h"
#include "state/state.h"
#include "view/view.h"

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

    if (!doc || !scan_key_parts(key, 2, parts, ARRAY_LEN(parts)))
        return doc;
    (void)jsondoc_set_str(doc, "worker", parts[0]);
    (void)jsondoc_set_str(doc, "region", parts[1]);
    (void)jsondoc_set_str(doc, "instance", parts[2]);
    (void)jsondoc_set_str(doc, "state", alive ? scan_field(hash, STR("state")) : STR("not seen"));
    if (!alive)
        return doc;
    set_number(doc, "lag", scan_field(hash, STR("lag")));
    set_number(doc, "rate", scan_field(hash, STR("rate")));
    set_number(doc, "partitions", scan_field(hash, STR("partitions")));
    (void)jsondoc_set_str(doc, "seen", scan_field(hash, STR("seen")));
    (void)jsondoc_set_str(doc, "started", scan_field(hash, STR("started")));
    (void)jsondoc_set_str(doc, "version", scan_field(hash, STR("version")));
    return doc;
}

static struct jsondoc *counters_document(const char *key, const struct state_reply *hash)
{
    struct jsondoc *doc = jsondoc_object(), *counts = jsondoc_object();
    struct str parts[2];

    if (!doc || !counts || !scan_key_parts(key, 2, parts, ARRAY_LEN(parts))) {
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

static int read_workers(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key all = state_key_workers();
    struct scan_names keys = {0};
    int r = scan_members(state, &all, &keys, why);

    if (r == 0)
        r = scan_documents(state, &keys, worker_document, list, why);
    scan_names_done(&keys);
    return r;
}

static int read_counters(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key pattern = state_key_counters(STR("*"), STR("*"));
    struct scan_names keys = {0};
    int r = scan_keys(state, state_key_str(&pattern), &keys, why);

    if (r == 0)
        r = scan_documents(state, &keys, counters_document, list, why);
    scan_names_done(&keys);
    return r;
}

/* ---- trails with trouble ----------------------------------------------------------------------- */

/* Of the keys of status hashes those that have an error. */
static int keep_troubled(struct state *state, const struct scan_names *keys, struct scan_names *ret,
                         struct why *why)
{
    for (size_t from = 0; from < keys->count; from += SCAN_BATCH) {
        size_t count = MIN_OF(keys->count - from, (size_t)SCAN_BATCH);
        int r;

        for (size_t i = 0; i < count; i++)
            STATE_ADD(state, STR("HGET"), str_from(keys->at[from + i]), STR("error"));
        r = state_flush(state, why);
        for (size_t i = 0; i < count && r == 0; i++)
            if (state_reply(state, i).type == STATE_TEXT && state_reply(state, i).text.len)
                r = scan_names_add(ret, str_from(keys->at[from + i]));
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

    if (!doc || !scan_key_parts(key, 2, parts, ARRAY_LEN(parts)))
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
    (void)jsondoc_set_str(doc, "name", scan_field(&trail, STR("name")));
    (void)jsondoc_set_str(doc, "account", scan_field(&trail, STR("account")));
    (void)jsondoc_set_str(doc, "bucket", scan_field(&trail, STR("bucket")));
    (void)jsondoc_set_str(doc, "region", parts[2]);
    (void)jsondoc_set_str(doc, "error", scan_field(&status, STR("error")));
    (void)jsondoc_set_str(doc, "errorTime", scan_field(&status, STR("error_time")));
    (void)jsondoc_set_str(doc, "deliveredTime", scan_field(&status, STR("delivered_time")));
    return jsondoc_append(list, doc);
}

static int read_troubles(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key pattern = state_key_trail_status(STR("*"), STR("*"));
    struct scan_names keys = {0}, troubled = {0};
    int r = scan_keys(state, state_key_str(&pattern), &keys, why);

    if (r == 0)
        r = keep_troubled(state, &keys, &troubled, why);
    for (size_t i = 0; i < troubled.count && r == 0; i++)
        r = add_trouble(state, troubled.at[i], list, why);
    scan_names_done(&keys);
    scan_names_done(&troubled);
    return r;
}

/* ---- printing ---------------------------------------------------------------------------------- */

static struct str text_of(const struct jsondoc *doc, const char *name)
{
    return jsondoc_str_or(doc, name, STR(""));
}

/* A number's digits; empty when it is not known. */
static struct str digits_of(const struct jsondoc *doc, const char *name,
                            char text[NUMBER_TEXT_SIZE])
{
    int64_t n;

    if (!jsondoc_i64(doc, name, &n))
        return STR("");
    return str_of_i64(n, text);
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
        char lag[NUMBER_TEXT_SIZE], rate[NUMBER_TEXT_SIZE], partitions[NUMBER_TEXT_SIZE];

        unseen += !seen(w);
        output_row(&table,
                   (const struct str[]){
                       text_of(w, "worker"), text_of(w, "region"), text_of(w, "instance"),
                       text_of(w, "state"), digits_of(w, "lag", lag), digits_of(w, "rate", rate),
                       digits_of(w, "partitions", partitions), text_of(w, "seen")});
    }
    if (jsondoc_len(workers) == 0)
        printf("Redis knows of no worker\n");
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

/* `known`: Redis has its view. Emptied, it does not know better: then that no trouble is in it says nothing. */
static void print_troubles(const struct jsondoc *trails, bool known)
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
    if (!known)
        printf(
            "\nRedis is new, or was emptied: of trails it knows nothing, or not all, yet. The API "
            "fills it, or\n`trailctl state rebuild`\n");
    else if (jsondoc_len(trails) == 0)
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

static int read_all(struct state *state, bool counts, struct jsondoc *ret, struct why *why)
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
    if (r == 0)
        r = watched_read(state, counts, ret, why);
    (void)jsondoc_set_bool(ret, "known", r == 0 && !view_is_missing(state));
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
    if (args_has(&cli->args, "accept"))
        return watched_accept(state, args_text(&cli->args, "accept", STR("")), reterr_why);
    r = doc ? read_all(state, args_has(&cli->args, "trails"), doc, &why) : -ERR_NOMEM;
    if (r < 0)
        return why_set(reterr_why, r,
                       "Redis does not answer, so nothing is known; no event waits for it (%s)",
                       why.text);
    if (args_has(&cli->args, "forget"))
        return forget(state, jsondoc_get(doc, "workers"), reterr_why);
    if (args_has(&cli->args, "check"))
        return watched_check(doc, args_has(&cli->args, "json"), reterr_why);
    if (args_has(&cli->args, "json"))
        return output_json(doc);
    print_workers(jsondoc_get(doc, "workers"));
    print_troubles(jsondoc_get(doc, "trails"), jsondoc_bool(doc, "known"));
    print_counters(jsondoc_get(doc, "counters"));
    watched_print(doc);
    return 0;
}

static const struct arg_option status_options[] = {
    {"json", NULL,
     "one JSON document: workers, counters, trails, balances, freshness, losses, alarms, counts; "
     "known: false when Redis was emptied",
     false},
    {"trails", NULL, "what became of the events of each trail's account, too", false},
    {"check", NULL, "says alarms and nothing else, and fails when there are any", false},
    {"accept", "ALARM", "the alarm of this name is known and dealt with: a hole, a difference",
     false},
    {"forget", NULL, "looks no longer for workers that are not seen", false},
    ARG_OPTIONS_END,
};

const struct command status_commands[] = {
    {"status", "", 0, 0, "the fleet: workers, lag, rates, counters, trails with trouble",
     "Reads Redis (TRAILBUS_REDIS, or the configuration's). LAG: records not read yet. RATE/S: "
     "records of the last second. A worker that was not seen for 15 s is \"not seen\". Balances, "
     "freshness, time to loss and alarms are what trailbus-watch finds out; without it there are "
     "none, and --check fails.",
     status_options, status},
    COMMANDS_END,
};
