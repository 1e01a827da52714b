/* watched.c - balances, freshness, time to loss, alarms, and trails' counts, as docs/REDIS.md names them. */
#include "cli/watched.h"

#include <stdio.h>

#include "cli/output.h"
#include "cli/scan.h"

#define ACCEPTED_TTL STR("3600") /* seconds in which the watch has to take it */
#define UNKNOWN      "-"

#define TRAIL_ID_SIZE_MAX 256

/* ---- reading ------------------------------------------------------------------------------------------ */

static void set_known(struct jsondoc *doc, const char *name, struct str text)
{
    int64_t n;

    (void)jsondoc_set(doc, name, str_to_i64(text, &n) ? jsondoc_integer(n) : jsondoc_null());
}

static struct jsondoc *balance_document(const char *key, const struct state_reply *hash)
{
    static const char *const fields[] = {"received", "accounted", "waiting",
                                         "passed",   "missing",   "unknown"};
    struct jsondoc *doc = jsondoc_object();
    struct str topic;

    if (!doc || !scan_key_parts(key, 2, &topic, 1))
        return doc;
    (void)jsondoc_set_str(doc, "topic", topic);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        set_known(doc, fields[i], scan_field(hash, str_from(fields[i])));
    (void)jsondoc_set_str(doc, "seen", scan_field(hash, STR("seen")));
    return doc;
}

static struct jsondoc *freshness_document(const char *key, const struct state_reply *hash)
{
    static const char *const stages[] = {"raw", "normalized", "history", "object"};
    static const struct {
        const char *field, *member;
    } whats[] = {{"canaries", "canaries"},
                 {"median_ms", "medianMs"},
                 {"p99_ms", "p99Ms"},
                 {"oldest_ms", "oldestMs"}};
    struct jsondoc *doc = jsondoc_object(), *list = jsondoc_array();
    struct str region;

    if (!doc || !scan_key_parts(key, 2, &region, 1)) {
        jsondoc_free(list);
        return doc;
    }
    (void)jsondoc_set_str(doc, "region", region);
    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        struct jsondoc *stage = jsondoc_object();

        if (!stage)
            break;
        (void)jsondoc_set_str(stage, "stage", str_from(stages[i]));
        for (size_t w = 0; w < ARRAY_LEN(whats); w++) {
            char name[64];

            (void)snprintf(name, sizeof(name), "%s.%s", stages[i], whats[w].field);
            set_known(stage, whats[w].member, scan_field(hash, str_from(name)));
        }
        (void)jsondoc_append(list, stage);
    }
    (void)jsondoc_set(doc, "stages", list);
    return doc;
}

/* The partition whose time is shortest speaks for the topic. */
static struct jsondoc *loss_document(const char *key, const struct state_reply *hash)
{
    struct jsondoc *doc = jsondoc_object();
    struct str parts[2];
    int64_t least = INT64_MAX, left;

    if (!doc || !scan_key_parts(key, 2, parts, ARRAY_LEN(parts)))
        return doc;
    (void)jsondoc_set_str(doc, "topic", parts[0]);
    (void)jsondoc_set_str(doc, "worker", parts[1]);
    (void)jsondoc_set(doc, "partition", jsondoc_null());
    (void)jsondoc_set(doc, "offset", jsondoc_null());
    (void)jsondoc_set(doc, "leftSeconds", jsondoc_null());
    for (size_t i = 0; hash->type == STATE_LIST && i + 1 < hash->count; i += 2) {
        struct str rest = state_item(hash, i + 1).text, needed;

        if (!str_split(&rest, ' ', &needed) || !str_to_i64(rest, &left) || left >= least)
            continue;
        least = left;
        set_known(doc, "partition", state_item(hash, i).text);
        set_known(doc, "offset", needed);
        (void)jsondoc_set_i64(doc, "leftSeconds", left);
    }
    return doc;
}

static int read_alarms(struct state *state, struct jsondoc *list, struct why *why)
{
    struct state_key key = state_key_alarms();
    struct state_reply hash;
    int r;

    STATE_ADD(state, STR("HGETALL"), state_key_str(&key));
    r = state_flush(state, why);
    if (r < 0)
        return r;
    hash = state_reply(state, 0);
    for (size_t i = 0; hash.type == STATE_LIST && i + 1 < hash.count && r == 0; i += 2) {
        struct jsondoc *doc = jsondoc_object();
        struct str rest = state_item(&hash, i + 1).text, since = STR("");

        if (!doc)
            return -ERR_NOMEM;
        (void)str_split(&rest, ' ', &since);
        (void)jsondoc_set_str(doc, "alarm", state_item(&hash, i).text);
        (void)jsondoc_set_str(doc, "since", since);
        (void)jsondoc_set_str(doc, "why", rest);
        r = jsondoc_append(list, doc);
    }
    return r;
}

/* ---- trails' counts -------------------------------------------------------------------------------------- */

enum { BOUNDARY, CURSOR, SINCE, DELIVERED, FILTERED, LOST, WAITING, WORDS };

static bool words_of(struct str value, struct str *ret_state, int64_t ret[WORDS])
{
    struct str rest = value, word;

    if (!str_split(&rest, ' ', ret_state))
        return false;
    for (size_t i = 0; i < WORDS; i++)
        if (!str_split(&rest, ' ', &word) || !str_to_i64(word, &ret[i]))
            return false;
    return true;
}

/* The worst state of its streams is the trail's. */
static size_t badness(struct str state)
{
    static const char *const states[] = {"ended", "current", "late", "parked", "stuck"};

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (str_eq(state, str_from(states[i])))
            return i;
    return 0;
}

static struct jsondoc *counts_document(const char *key, const struct state_reply *hash)
{
    struct jsondoc *doc = jsondoc_object();
    struct str parts[3], state, worst = STR("ended"); /* trail, "counts", region */
    int64_t sums[WORDS] = {0}, words[WORDS];

    if (!doc || !scan_key_parts(key, 2, parts, ARRAY_LEN(parts)))
        return doc;
    for (size_t i = 0; hash->type == STATE_LIST && i + 1 < hash->count; i += 2) {
        if (!words_of(state_item(hash, i + 1).text, &state, words))
            continue;
        for (size_t w = DELIVERED; w < WORDS; w++)
            sums[w] += words[w];
        if (badness(state) > badness(worst))
            worst = state;
    }
    (void)jsondoc_set_str(doc, "trail", parts[0]);
    (void)jsondoc_set_str(doc, "region", parts[2]);
    (void)jsondoc_set_str(doc, "state", worst);
    (void)jsondoc_set_i64(doc, "delivered", sums[DELIVERED]);
    (void)jsondoc_set_i64(doc, "filtered", sums[FILTERED]);
    (void)jsondoc_set_i64(doc, "waiting", sums[WAITING]);
    (void)jsondoc_set_i64(doc, "lost", sums[LOST]);
    return doc;
}

/* The id of a trail that exists; empty when Redis does not know it. */
static int find_trail(struct state *state, struct str account, struct str home_region,
                      struct str name, struct buf *ret, struct why *why)
{
    struct state_key all = state_key_account_trails(account);
    struct scan_names ids = {0};
    int r = scan_members(state, &all, &ids, why);

    for (size_t i = 0; i < ids.count && r == 0 && buf_str(ret).len == 0; i++) {
        struct state_key key = state_key_trail(str_from(ids.at[i]));
        struct state_reply trail;

        STATE_ADD(state, STR("HGETALL"), state_key_str(&key));
        r = state_flush(state, why);
        if (r < 0)
            break;
        trail = state_reply(state, 0);
        if (str_eq(scan_field(&trail, STR("name")), name) &&
            str_eq(scan_field(&trail, STR("home_region")), home_region))
            buf_add_str(ret, str_from(ids.at[i]));
    }
    scan_names_done(&ids);
    return r == 0 ? buf_error(ret) : r;
}

int watched_trail(struct state *state, struct str account, struct str home_region, struct str name,
                  struct jsondoc *list, struct why *why)
{
    AUTO_BUF struct buf id = {0};
    struct scan_names keys = {0};
    struct state_key pattern;
    int r;

    buf_init(&id, TRAIL_ID_SIZE_MAX);
    r = find_trail(state, account, home_region, name, &id, why);
    if (r < 0 || buf_str(&id).len == 0)
        return r;
    pattern = state_key_trail_counts(buf_str(&id), STR("*"));
    r = scan_keys(state, state_key_str(&pattern), &keys, why);
    if (r == 0)
        r = scan_documents(state, &keys, counts_document, list, why);
    scan_names_done(&keys);
    return r;
}

static int read_list(struct state *state, const struct state_key *pattern,
                     struct jsondoc *(*make)(const char *key, const struct state_reply *hash),
                     struct jsondoc *doc, const char *member, struct why *why)
{
    struct jsondoc *list = jsondoc_array();
    struct scan_names keys = {0};
    int r = list ? scan_keys(state, state_key_str(pattern), &keys, why) : -ERR_NOMEM;

    if (r == 0)
        r = scan_documents(state, &keys, make, list, why);
    scan_names_done(&keys);
    (void)jsondoc_set(doc, member, list);
    return r;
}

int watched_read(struct state *state, bool counts, struct jsondoc *doc, struct why *why)
{
    struct state_key balances = state_key_balance(STR("*"));
    struct state_key freshness = state_key_freshness(STR("*"));
    struct state_key losses = state_key_loss(STR("*"), STR("*"));
    struct state_key trails = state_key_trail_counts(STR("*"), STR("*"));
    struct jsondoc *alarms = jsondoc_array();
    int r = alarms ? read_alarms(state, alarms, why) : -ERR_NOMEM;

    (void)jsondoc_set(doc, "alarms", alarms);
    if (r == 0)
        r = read_list(state, &balances, balance_document, doc, "balances", why);
    if (r == 0)
        r = read_list(state, &freshness, freshness_document, doc, "freshness", why);
    if (r == 0)
        r = read_list(state, &losses, loss_document, doc, "losses", why);
    if (r == 0 && counts)
        r = read_list(state, &trails, counts_document, doc, "counts", why);
    return r;
}

/* ---- printing -------------------------------------------------------------------------------------------- */

static struct str digits(const struct jsondoc *doc, const char *name, char text[NUMBER_TEXT_SIZE])
{
    int64_t n;

    if (!jsondoc_i64(doc, name, &n))
        return STR(UNKNOWN);
    return str_of_i64(n, text);
}

static struct str text_of(const struct jsondoc *doc, const char *name)
{
    return jsondoc_str_or(doc, name, STR(""));
}

static void print_balances(const struct jsondoc *list)
{
    struct output table = {0};

    if (jsondoc_len(list) == 0)
        return;
    printf("\n");
    output_begin(&table, (const struct output_column[]){{"topic", "BALANCE OF", 28},
                                                        {"received", "RECEIVED", 12},
                                                        {"accounted", "ACCOUNTED", 12},
                                                        {"waiting", "WAITING", 10},
                                                        {"passed", "PASSED", 8},
                                                        {"missing", "MISSING", 0},
                                                        {NULL, NULL, 0}});
    for (size_t i = 0; i < jsondoc_len(list); i++) {
        const struct jsondoc *b = jsondoc_at(list, i);
        char received[NUMBER_TEXT_SIZE], accounted[NUMBER_TEXT_SIZE], waiting[NUMBER_TEXT_SIZE],
            passed[NUMBER_TEXT_SIZE], missing[NUMBER_TEXT_SIZE];

        output_row(&table, (const struct str[]){
                               text_of(b, "topic"), digits(b, "received", received),
                               digits(b, "accounted", accounted), digits(b, "waiting", waiting),
                               digits(b, "passed", passed), digits(b, "missing", missing)});
    }
}

static void print_freshness(const struct jsondoc *list)
{
    struct output table = {0};

    if (jsondoc_len(list) == 0)
        return;
    printf("\n");
    output_begin(&table, (const struct output_column[]){{"region", "FRESHNESS IN", 16},
                                                        {"stage", "STAGE", 12},
                                                        {"canaries", "CANARIES", 10},
                                                        {"medianMs", "MEDIAN MS", 10},
                                                        {"p99Ms", "P99 MS", 10},
                                                        {"oldestMs", "OLDEST TO COME MS", 0},
                                                        {NULL, NULL, 0}});
    for (size_t i = 0; i < jsondoc_len(list); i++) {
        const struct jsondoc *region = jsondoc_at(list, i), *stages = jsondoc_get(region, "stages");

        for (size_t s = 0; s < jsondoc_len(stages); s++) {
            const struct jsondoc *stage = jsondoc_at(stages, s);
            char canaries[NUMBER_TEXT_SIZE], median[NUMBER_TEXT_SIZE], p99[NUMBER_TEXT_SIZE],
                oldest[NUMBER_TEXT_SIZE];

            output_row(&table,
                       (const struct str[]){
                           text_of(region, "region"), text_of(stage, "stage"),
                           digits(stage, "canaries", canaries), digits(stage, "medianMs", median),
                           digits(stage, "p99Ms", p99), digits(stage, "oldestMs", oldest)});
        }
    }
}

static void print_losses(const struct jsondoc *list)
{
    for (size_t i = 0; i < jsondoc_len(list); i++) {
        const struct jsondoc *l = jsondoc_at(list, i);
        struct str worker = text_of(l, "worker"), topic = text_of(l, "topic");
        int64_t left;

        if (!i)
            printf("\ntime to loss: until the log forgets what is still to be read\n");
        if (jsondoc_i64(l, "leftSeconds", &left))
            printf("  " STR_FMT "  " STR_FMT "/%lld  %lld h %lld min (offset %lld)\n",
                   STR_ARG(worker), STR_ARG(topic), (long long)jsondoc_i64_or(l, "partition", 0),
                   (long long)left / 3600, (long long)left % 3600 / 60,
                   (long long)jsondoc_i64_or(l, "offset", 0));
        else
            printf("  " STR_FMT "  " STR_FMT "  " UNKNOWN "\n", STR_ARG(worker), STR_ARG(topic));
    }
}

static void print_counts(const struct jsondoc *list)
{
    struct output table = {0};

    if (jsondoc_len(list) == 0)
        return;
    printf("\n");
    output_begin(&table, (const struct output_column[]){{"trail", "TRAIL", 38},
                                                        {"region", "REGION", 16},
                                                        {"state", "STATE", 8},
                                                        {"delivered", "DELIVERED", 12},
                                                        {"filtered", "FILTERED", 12},
                                                        {"waiting", "WAITING", 10},
                                                        {"lost", "LOST", 0},
                                                        {NULL, NULL, 0}});
    for (size_t i = 0; i < jsondoc_len(list); i++) {
        const struct jsondoc *c = jsondoc_at(list, i);
        char delivered[NUMBER_TEXT_SIZE], filtered[NUMBER_TEXT_SIZE], waiting[NUMBER_TEXT_SIZE],
            lost[NUMBER_TEXT_SIZE];

        output_row(&table, (const struct str[]){
                               text_of(c, "trail"), text_of(c, "region"), text_of(c, "state"),
                               digits(c, "delivered", delivered), digits(c, "filtered", filtered),
                               digits(c, "waiting", waiting), digits(c, "lost", lost)});
    }
}

static void print_alarms(const struct jsondoc *list)
{
    for (size_t i = 0; i < jsondoc_len(list); i++) {
        const struct jsondoc *a = jsondoc_at(list, i);
        AUTO_BUF struct buf why = {0};

        buf_init(&why, 4096);
        output_clean(text_of(a, "why"), 1000, &why);
        printf("ALARM since " STR_FMT ", \"" STR_FMT "\":\n      %s\n",
               STR_ARG(text_of(a, "since")), STR_ARG(text_of(a, "alarm")), buf_cstr(&why));
    }
}

void watched_print(const struct jsondoc *doc)
{
    print_balances(jsondoc_get(doc, "balances"));
    print_freshness(jsondoc_get(doc, "freshness"));
    print_losses(jsondoc_get(doc, "losses"));
    print_counts(jsondoc_get(doc, "counts"));
    if (jsondoc_len(jsondoc_get(doc, "alarms")))
        printf("\n");
    print_alarms(jsondoc_get(doc, "alarms"));
}

int watched_check(const struct jsondoc *doc, bool json, struct why *why)
{
    const struct jsondoc *alarms = jsondoc_get(doc, "alarms");
    size_t count = jsondoc_len(alarms);

    if (!json)
        print_alarms(alarms);
    else if (output_json(alarms) < 0)
        return -ERR_NOMEM;
    if (count)
        return why_set(why, -ERR_CONFLICT, "%zu alarm%s", count, count > 1 ? "s" : "");
    if (jsondoc_len(jsondoc_get(doc, "balances")) == 0)
        return why_set(why, -ERR_UNAVAILABLE, "nobody watches: does trailbus-watch run?");
    return 0;
}

int watched_accept(struct state *state, struct str alarm, struct why *why)
{
    struct state_key key = state_key_alarms_accepted();
    int r;

    STATE_ADD(state, STR("SADD"), state_key_str(&key), alarm);
    STATE_ADD(state, STR("EXPIRE"), state_key_str(&key), ACCEPTED_TTL);
    r = state_flush(state, why);
    if (r == 0)
        printf("accepted; the watch takes it with its next look\n");
    return r;
}
