/* state.c - `trailctl state rebuild`: what Redis has lost, put back from `control` and the buckets.
 *
 *     trails' view       from `control`, whole
 *     progress           from the newest object of each stream, where Redis has none
 *     delivery's status  from the same objects, where Redis has none
 *
 * Everything else comes back by itself, from the processes that run. Nothing here is ahead of the truth (delivery protocol, rule 17): an
 * object says where its stream goes on once and for all, and what a running worker has written is left alone.
 */
#include <stdio.h>

#include "cli/deployment.h"
#include "cli/scan.h"
#include "cli/stores.h"
#include "core/account.h"
#include "state/keys.h"
#include "state/state.h"
#include "view/view.h"

#define EVENT_TYPE   STR("Actiontrail")
#define PROGRESS_TTL STR("2592000") /* as delivery's */
#define DAY_S        86400
#define VIEW_TRIES   10

struct state_rebuild {
    const struct deployment *deployment;
    struct control *control;
    struct state *state;
    struct bus_admin *admin;
    const struct store_calls *store;
    bool dry;
    int64_t strays;                   /* trails that are no more */
    int64_t there, restored, without; /* streams: in Redis, put back, without an object */
    int64_t unknown;                  /* streams whose objects could not be read, or are not ours */
};

/* ---- the view of trails ------------------------------------------------------------------------ */

/* Trails that Redis shows and nobody knows: it was restored from an old copy. They were seen before `control` was read, so
 * none of them was made meanwhile. */
static int take_away(struct state_rebuild *b, struct str id, struct why *why)
{
    struct state_key key = state_key_trail(id), all;
    int r;

    STATE_ADD(b->state, STR("HGET"), state_key_str(&key), STR("account"));
    r = state_flush(b->state, why);
    if (r < 0)
        return r;
    all = state_key_account_trails(state_reply(b->state, 0).text);
    STATE_ADD(b->state, STR("DEL"), state_key_str(&key));
    STATE_ADD(b->state, STR("SREM"), state_key_str(&all), id);
    return state_flush(b->state, why);
}

static int take_strays_away(struct state_rebuild *b, const struct scan_names *shown,
                            struct why *why)
{
    int r = 0;

    for (size_t i = 0; i < shown->count && r == 0; i++) {
        const struct trail *trail;
        struct str id;

        if (!scan_key_parts(shown->at[i], 2, &id, 1) || memchr(id.at, ':', id.len))
            continue; /* tb1:trail:<id>:status:… */
        trail = trail_book_find(control_trails(b->control), id);
        if (trail && !trail_latest(trail)->deleted)
            continue;
        b->strays++;
        if (!b->dry)
            r = take_away(b, id, why);
    }
    return r;
}

static int control_end(const struct state_rebuild *b, int64_t *ret, struct why *why)
{
    struct topic_name topic = topic_name(TOPIC_CONTROL, STR_NONE);
    int64_t low;

    return bus_admin_watermarks(b->admin, topic.text, 0, &low, ret, why);
}

/* The API writes the view, too, when `control` moves: what was written last must not be older than that. So it is written
 * again until `control` did not move meanwhile; the API, which follows it, comes after. */
static int rebuild_view(struct state_rebuild *b, struct why *why)
{
    struct state_key pattern = state_key_trail(STR("*"));
    struct scan_names shown = {0};
    int64_t before, after;
    int r = scan_keys(b->state, state_key_str(&pattern), &shown, why);

    for (int i = 0; i < VIEW_TRIES && r == 0; i++) {
        control_free(b->control);
        b->control = NULL;
        if ((r = control_end(b, &before, why)) < 0 ||
            (r = control_view(b->deployment, &b->control, why)) < 0)
            break;
        if (i == 0)
            r = take_strays_away(b, &shown, why);
        if (r == 0 && !b->dry)
            r = view_fill(b->state, control_trails(b->control), STR("trailctl"), cli_now_s(), why);
        if (r == 0)
            r = control_end(b, &after, why);
        if (r == 0 && before == after)
            break;
        if (r == 0 && i == VIEW_TRIES - 1)
            r = why_set(why, -ERR_UNAVAILABLE, "trails were changed all the while: run it again");
    }
    scan_names_done(&shown);
    return r;
}

static int64_t count_trails(const struct trail_book *book)
{
    int64_t count = 0;

    for (const struct trail *t = trail_book_all(book, NULL); t; t = trail_book_all(book, t))
        count += !trail_latest(t)->deleted;
    return count;
}

/* ---- progress ---------------------------------------------------------------------------------- */

/* The streams of one destination of one trail in one region. */
struct streams {
    struct state_rebuild *rebuild;
    const struct trail *trail;
    const struct trail_version *version; /* the latest */
    const struct trail_destination *destination;
    struct str region;
    struct topic_name topic;
    int32_t partitions;
    char chain[TRAIL_CHAIN_SIZE];
    struct {
        bool wanted; /* there is such a stream, and Redis knows nothing of it */
        bool any;
        int64_t first, time_ms; /* of its newest object */
    } at[BUS_PARTITIONS_MAX];
};

static struct state_key progress_key(const struct streams *s, int32_t partition)
{
    return state_key_progress(s->version->id, str_from(s->chain), partition, s->version->account,
                              EVENT_TYPE);
}

/* Which of them Redis knows nothing of. */
static int find_wanted(struct streams *s, bool *ret_any, struct why *why)
{
    struct state_rebuild *b = s->rebuild;
    struct str generation = control_generation(b->control, str_from(s->topic.text));
    int64_t origin;
    int r;

    *ret_any = false;
    for (int32_t p = 0; p < s->partitions; p++) {
        struct state_key key = progress_key(s, p);

        STATE_ADD(b->state, STR("EXISTS"), state_key_str(&key));
    }
    r = state_flush(b->state, why);
    for (int32_t p = 0; p < s->partitions && r == 0; p++) {
        struct trail_log log = {str_from(s->topic.text), generation, p};
        bool there = state_reply(b->state, (size_t)p).integer == 1;

        s->at[p].any = s->at[p].wanted = false;
        if (!trail_origin(s->trail, s->destination->number, &log, &origin))
            continue; /* no stream */
        b->there += there;
        s->at[p].wanted = !there;
        *ret_any |= !there;
    }
    return r;
}

static int note_key(void *arg, struct str key)
{
    struct streams *s = arg;
    struct object_name name;

    if (!object_name_parse(key, &name) || !str_eq(name.chain, str_from(s->chain)) ||
        name.partition >= s->partitions)
        return 0;
    if (s->at[name.partition].any && name.first <= s->at[name.partition].first)
        return 0;
    s->at[name.partition].any = true;
    s->at[name.partition].first = name.first;
    s->at[name.partition].time_ms = name.time_s * 1000;
    return 0;
}

static int list_objects(struct streams *s, struct why *why)
{
    AUTO_BUF struct buf folder = {0}, after = {0};

    buf_init(&folder, OBJECT_KEY_SIZE_MAX);
    buf_init(&after, OBJECT_KEY_SIZE_MAX);
    object_folder(s->destination->prefix, EVENT_TYPE, s->region, &folder);
    object_day_prefix(s->destination->prefix, EVENT_TYPE, s->region,
                      (s->version->created_s - DAY_S) * 1000, &after);
    return store_list(s->rebuild->store, s->destination->bucket, buf_str(&folder), buf_str(&after),
                      note_key, s, why);
}

static void say_unknown(struct streams *s, int32_t partition, const char *what)
{
    s->rebuild->unknown++;
    (void)fprintf(stderr, "trail " STR_FMT ", bucket " STR_FMT ", %s/%d: %s\n",
                  STR_ARG(s->version->id), STR_ARG(s->destination->bucket), s->topic.text,
                  partition, what);
}

/* Never beyond the log: then it was truncated, and an operator has to look (rule 1). */
static int ends_in_log(struct streams *s, int32_t partition, int64_t next, bool *ret,
                       struct why *why)
{
    int64_t low, high;
    int r = bus_admin_watermarks(s->rebuild->admin, s->topic.text, partition, &low, &high, why);

    *ret = r == 0 && next <= high;
    return r;
}

/* What is there already, since a worker has come by meanwhile, stays. */
static int write_stream(struct streams *s, int32_t partition, const struct object_meta *meta,
                        struct why *why)
{
    struct state_rebuild *b = s->rebuild;
    struct state_key key = progress_key(s, partition);
    struct account counts = {.settled = {meta->since, meta->delivered, meta->filtered, meta->lost}};
    char value[64 + ACCOUNT_TEXT_SIZE], text[ACCOUNT_TEXT_SIZE];

    b->restored++;
    if (b->dry)
        return 0;
    if (meta->since < 0) /* written before objects said so: counting begins here */
        account_begin(&counts, meta->next);
    account_back(&counts);
    account_render(&counts, text);
    (void)snprintf(value, sizeof(value), "%lld %lld %s", (long long)meta->next,
                   (long long)meta->next, text);
    STATE_ADD(b->state, STR("SET"), state_key_str(&key), str_from(value), STR("NX"), STR("EX"),
              PROGRESS_TTL);
    return state_flush(b->state, why);
}

/* When the trail was last delivered to: the time of the first event in its newest object, until delivery writes a newer one. */
static int write_status(struct streams *s, struct why *why)
{
    struct state *state = s->rebuild->state;
    struct state_key key = state_key_trail_status(s->version->id, s->region);
    char time[TIME_TEXT_SIZE];
    int64_t newest_ms = 0;

    for (int32_t p = 0; p < s->partitions; p++)
        if (s->at[p].any)
            newest_ms = MAX_OF(newest_ms, s->at[p].time_ms);
    if (newest_ms == 0 || s->rebuild->dry ||
        s->destination != trail_version_destination(s->version))
        return 0;
    time_format(newest_ms / 1000, time);
    STATE_ADD(state, STR("HSETNX"), state_key_str(&key), STR("delivered_time"), str_from(time));
    return state_flush(state, why);
}

static int restore_stream(struct streams *s, int32_t partition, struct why *why)
{
    AUTO_BUF struct buf key = {0};
    struct store_object object = {0};
    const struct object_meta *meta = &object.meta;
    struct why said = {0};
    bool in_log;
    int r;

    buf_init(&key, OBJECT_KEY_SIZE_MAX);
    object_key(s->destination->prefix, EVENT_TYPE, s->region, s->at[partition].time_ms, partition,
               s->at[partition].first, str_from(s->chain), &key);
    r = store_head(s->rebuild->store, s->destination->bucket, buf_str(&key), &object, &said);
    if (r == -ERR_NOMEM)
        return r;
    if (r < 0 || !object.meta_valid) {
        say_unknown(s, partition, r < 0 ? said.text : object.meta_why.text);
        return 0;
    }
    if (strcmp(meta->chain, s->chain) != 0 || meta->partition != partition ||
        meta->first != s->at[partition].first) {
        say_unknown(s, partition, "its newest object is not of its chain");
        return 0;
    }
    r = ends_in_log(s, partition, meta->next, &in_log, why);
    if (r < 0)
        return r;
    if (!in_log) {
        say_unknown(s, partition,
                    "its newest object ends beyond the log's end: the log was "
                    "truncated or made anew");
        return 0;
    }
    return write_stream(s, partition, meta, why);
}

static int restore_streams(struct streams *s, struct why *why)
{
    struct why said = {0};
    bool any;
    int listed, r = find_wanted(s, &any, why);

    if (r < 0 || !any)
        return r;
    listed = list_objects(s, &said);
    if (listed == -ERR_NOMEM)
        return listed;
    for (int32_t p = 0; p < s->partitions && r == 0; p++) {
        if (!s->at[p].wanted)
            continue;
        if (listed < 0)
            say_unknown(s, p, said.text);
        else if (s->at[p].any)
            r = restore_stream(s, p, why);
        else
            s->rebuild->without++;
    }
    return r < 0 ? r : write_status(s, why);
}

static int rebuild_region(struct state_rebuild *b, struct str region, struct why *why)
{
    static struct streams s; /* large: every partition */
    const struct trail_book *book = control_trails(b->control);
    struct topic_name topic = topic_name(TOPIC_EVENTS, region);
    struct str generation = control_generation(b->control, str_from(topic.text));
    int32_t partitions;
    int r = deployment_partitions(b->deployment, b->admin, &topic, &partitions, why);

    if (generation.len == 0)
        return r; /* not made yet */
    for (const struct trail *t = trail_book_all(book, NULL); t && r == 0;
         t = trail_book_all(book, t)) {
        const struct trail_version *v = trail_latest(t);

        for (size_t i = 0; i < v->destination_count && r == 0; i++) {
            s.rebuild = b;
            s.trail = t;
            s.version = v;
            s.destination = &v->destinations[i];
            s.region = region;
            s.topic = topic;
            s.partitions = partitions;
            trail_chain(v->id, s.destination->number, generation, s.chain);
            r = restore_streams(&s, why);
        }
    }
    return r;
}

/* ---- the command ------------------------------------------------------------------------------- */

static void report(const struct state_rebuild *b)
{
    const char *done = b->dry ? "to be " : "";

    printf("trails: %lld %sshown", (long long)count_trails(control_trails(b->control)), done);
    if (b->strays)
        printf(", %lld that are no more %staken away", (long long)b->strays, done);
    printf(
        "\nprogress of streams: %lld there, %lld %sput back from objects, %lld without an object\n",
        (long long)b->there, (long long)b->restored, done, (long long)b->without);
    printf("heartbeats, counters and tallies come back with the processes that run\n");
}

static int rebuild_all(struct state_rebuild *b, struct why *why)
{
    const struct config_strs *regions = &b->deployment->config.topology.regions;
    int r = rebuild_view(b, why);

    for (size_t i = 0; i < regions->count && r == 0; i++)
        r = rebuild_region(b, regions->at[i], why);
    if (r < 0)
        return r;
    report(b);
    return b->unknown ? why_set(why, -ERR_CONFLICT,
                                "%lld streams, named above, were left out: delivery will look for "
                                "itself",
                                (long long)b->unknown)
                      : 0;
}

static int state_rebuild(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO_STORES struct stores stores = {0};
    AUTO(state_close) struct state *state = NULL;
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    struct state_rebuild b = {.deployment = &deployment, .dry = args_has(&cli->args, "dry-run")};
    int r;

    if ((r = deployment_open(cli, &deployment, reterr_why)) < 0 ||
        (r = stores_open(cli, &deployment, &stores, reterr_why)) < 0 ||
        (r = state_open(deployment.config.state.redis, &state, reterr_why)) < 0 ||
        (r = bus_admin_open(&deployment.bus, &admin, reterr_why)) < 0)
        return r;
    b.state = state;
    b.admin = admin;
    b.store = &stores.calls;
    r = rebuild_all(&b, reterr_why);
    control_free(b.control);
    return r;
}

static const struct arg_option rebuild_options[] = {
    {"dry-run", NULL, "say what would be put back, and write nothing", false},
    ARG_OPTIONS_END,
};

const struct command state_commands[] = {
    {"state rebuild", "", 0, 0, "puts back what Redis has lost, from control and the buckets",
     "Nothing depends on it: an emptied Redis fills again by itself. It is done at once this way, "
     "and delivery does not have to "
     "look through the buckets when it is started next. Writes the view of trails anew, and takes "
     "away trails "
     "that are no more; puts back progress and delivery's status where Redis has none, from each "
     "stream's newest object, whose "
     "signed metadata says where the stream goes on. May run at any time and as often as one "
     "likes, beside running "
     "workers: what they have written stays. Streams whose newest object is not ours, or cannot be "
     "read, are named; the exit "
     "code is 1 then.",
     rebuild_options, state_rebuild},
    COMMANDS_END,
};
