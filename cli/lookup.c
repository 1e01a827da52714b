/* lookup.c - `trailctl lookup`: LookupEvents, page after page, window after window, newest first.
 *
 * An event is printed as the bytes that came: nothing of it is parsed and rendered again.
 */
#include <stdio.h>

#include "cli/api_client.h"
#include "cli/attributes.h"
#include "cli/output.h"
#include "cli/times.h"
#include "rpc/rpc.h"
#include "json/json.h"

#define PAGE_EVENTS    50  /* the most that the API gives at once */
#define MARGIN_S       600 /* a walk to the history's beginning must not be overtaken by it */
#define TOKEN_SIZE_MAX 4096
#define CELL_SIZE_MAX  48

struct lookup {
    struct api api;
    struct attributes attributes;
    struct times_span span;
    int64_t limit, page; /* 0: all; events asked for at once */
    int64_t found;
    bool json;
    struct output table;
    struct json answer;
    struct buf token; /* of the next page; empty for the first one */
};

/* ---- printing ---------------------------------------------------------------------------------- */

/* One line: outside of strings, JSON's line ends are only spaces. */
static void print_raw(struct str event)
{
    for (size_t i = 0; i < event.len; i++) {
        char c = event.at[i];

        (void)putchar_unlocked(c == '\n' || c == '\r' ? ' ' : c);
    }
    (void)putchar_unlocked('\n');
}

/* 0 also when `object` is none: what an API answers can be anything. */
static uint32_t member_of(const struct lookup *l, uint32_t object, struct str name)
{
    if (l->answer.tokens[object].type != JSON_OBJECT)
        return 0;
    return json_member(&l->answer, object, name);
}

static struct str text_of(struct lookup *l, uint32_t object, struct str name)
{
    uint32_t token = member_of(l, object, name);
    struct str text = STR("");

    if (token && l->answer.tokens[token].type == JSON_STRING)
        text = json_text(&l->answer, token, l->api.memory);
    if (text.len > CELL_SIZE_MAX) {
        text.len = CELL_SIZE_MAX;
        while (text.len && ((unsigned char)text.at[text.len] & 0xc0) == 0x80)
            text.len--; /* never within a character */
    }
    return text;
}

static struct str user_of(struct lookup *l, uint32_t event)
{
    uint32_t identity = member_of(l, event, STR("userIdentity"));
    struct str name = identity ? text_of(l, identity, STR("userName")) : STR("");

    return name.len || !identity ? name : text_of(l, identity, STR("principalId"));
}

static void print_event(struct lookup *l, uint32_t event)
{
    if (l->json)
        print_raw(json_raw(&l->answer, event));
    else
        output_row(&l->table,
                   (const struct str[]){text_of(l, event, STR("eventTime")),
                                        text_of(l, event, STR("serviceName")),
                                        text_of(l, event, STR("eventName")), user_of(l, event),
                                        text_of(l, event, STR("sourceIpAddress")),
                                        text_of(l, event, STR("resourceName")),
                                        text_of(l, event, STR("errorCode"))});
    l->found++;
}

static bool enough(const struct lookup *l)
{
    return l->limit && l->found == l->limit;
}

/* ---- asking ------------------------------------------------------------------------------------ */

static int ask_page(struct lookup *l, const struct times_span *window, struct str *ret_body,
                    struct why *reterr_why)
{
    static const char *const names[HISTORY_ATTRIBUTES_MAX][2] = {
        {"LookupAttribute.1.Key", "LookupAttribute.1.Value"},
        {"LookupAttribute.2.Key", "LookupAttribute.2.Value"},
    };
    struct api_params params = {0};
    char start[TIME_TEXT_SIZE], end[TIME_TEXT_SIZE], page[24];

    time_format(window->start_s, start);
    time_format(window->end_s, end);
    (void)snprintf(page, sizeof(page), "%lld", (long long)l->page);
    api_param(&params, "StartTime", str_from(start));
    api_param(&params, "EndTime", str_from(end));
    api_param(&params, "Direction", STR("BACKWARD"));
    api_param(&params, "MaxResults", str_from(page));
    for (size_t i = 0; i < l->attributes.count; i++) {
        api_param(&params, names[i][0], l->attributes.at[i].key);
        api_param(&params, names[i][1], l->attributes.at[i].value);
    }
    if (l->token.len)
        api_param(&params, "NextToken", buf_str(&l->token));
    return api_call(&l->api, "LookupEvents", &params, ret_body, reterr_why);
}

/* Notes where the next page is; false on the last one. */
static int note_token(struct lookup *l, bool *ret_more, struct why *reterr_why)
{
    uint32_t token = member_of(l, 0, STR("NextToken"));
    bool is_text = token && l->answer.tokens[token].type == JSON_STRING;
    struct str text = is_text ? json_text(&l->answer, token, l->api.memory) : STR("");

    if (arena_error(l->api.memory)) /* no text is not the last page, nor an empty cell */
        return -ERR_NOMEM;
    *ret_more = text.len > 0;
    if (*ret_more && str_eq(text, buf_str(&l->token)))
        return why_set(reterr_why, -ERR_INVALID, "the API gives the same page again and again");
    buf_reset(&l->token);
    buf_add_str(&l->token, text);
    return buf_error(&l->token) ? why_set(reterr_why, -ERR_INVALID,
                                          "the API gives a NextToken of %zu bytes", text.len)
                                : 0;
}

static int take_page(struct lookup *l, struct str body, bool *ret_more, struct why *reterr_why)
{
    uint32_t events, end;
    int r = json_scan(&l->answer, body, reterr_why);

    if (r < 0)
        return r;
    events = member_of(l, 0, STR("Events"));
    if (!events || l->answer.tokens[events].type != JSON_ARRAY)
        return why_set(reterr_why, -ERR_INVALID, "the API's answer has no Events");
    end = l->answer.tokens[events].next;
    for (uint32_t i = events + 1; i < end && !enough(l); i = l->answer.tokens[i].next)
        print_event(l, i);
    (void)fflush(stdout); /* the next page may take a while */
    return note_token(l, ret_more, reterr_why);
}

/* Events may be so large that a page of them does not fit into an answer, or into our memory. */
static bool smaller_page(struct lookup *l, int r)
{
    if (l->page == 1 || (r != -ERR_LIMIT && strcmp(l->api.code, "InternalError") != 0))
        return false;
    l->page = MAX_OF(l->page / 4, (int64_t)1);
    return true;
}

static int walk_window(struct lookup *l, const struct times_span *window, struct why *reterr_why)
{
    bool more = true;

    buf_reset(&l->token);
    while (more && !enough(l)) {
        struct str body;
        int r = ask_page(l, window, &body, reterr_why);

        if (r == 0)
            r = take_page(l, body, &more, reterr_why);
        if (r < 0 && !smaller_page(l, r))
            return r;
    }
    return 0;
}

static int walk(struct lookup *l, struct why *reterr_why)
{
    struct times_span left = l->span, window;
    int r = 0;

    while (r == 0 && !enough(l) && times_window(&left, RPC_LOOKUP_WINDOW_S, &window)) {
        int64_t kept_s = cli_now_s() - RPC_LOOKUP_HISTORY_S + MARGIN_S;

        window.start_s = MAX_OF(window.start_s, kept_s);
        if (window.start_s < window.end_s)
            r = walk_window(l, &window, reterr_why);
    }
    return r;
}

/* ---- arguments --------------------------------------------------------------------------------- */

static int parse_time(struct cli *cli, const char *name, int64_t now_s, int64_t *time_s,
                      struct why *reterr_why)
{
    struct str text;

    if (!args_value(&cli->args, name, 0, &text) || times_parse(text, now_s, time_s))
        return 0;
    return cli_misused(
        cli, reterr_why,
        "--%s takes 2026-11-23T08:00:00Z or 2026-11-23 (UTC), or -90s, -30m, -2h, -7d", name);
}

static int parse_span(struct cli *cli, struct times_span *ret, struct why *reterr_why)
{
    int64_t now_s = cli_now_s();
    int r;

    ret->end_s = now_s + 1; /* the end is not included, this second is meant */
    r = parse_time(cli, "end", now_s, &ret->end_s, reterr_why);
    ret->start_s = MIN_OF(ret->end_s, now_s) - RPC_LOOKUP_DEFAULT_S;
    if (r == 0)
        r = parse_time(cli, "start", now_s, &ret->start_s, reterr_why);
    if (r < 0)
        return r;
    if (ret->start_s >= ret->end_s)
        return cli_misused(cli, reterr_why, "--start must lie before --end");
    if (args_has(&cli->args, "start") && ret->start_s < now_s - RPC_LOOKUP_HISTORY_S)
        return cli_misused(cli, reterr_why,
                           "events are kept for 90 days: --start -90d is the earliest");
    return 0;
}

static int parse_arguments(struct cli *cli, struct lookup *l, struct why *reterr_why)
{
    if (attributes_parse(&cli->args, &l->attributes, reterr_why) < 0 ||
        args_number(&cli->args, "limit", 0, 1, 1000000000, &l->limit, reterr_why) < 0) {
        cli->misused = true;
        return -ERR_INVALID;
    }
    l->json = args_has(&cli->args, "json");
    l->page = l->limit ? MIN_OF(l->limit, (int64_t)PAGE_EVENTS) : PAGE_EVENTS;
    return parse_span(cli, &l->span, reterr_why);
}

static int lookup(struct cli *cli, struct why *reterr_why)
{
    struct lookup l = {0};
    int r = parse_arguments(cli, &l, reterr_why);

    if (r < 0)
        return r;
    output_begin(&l.table, (const struct output_column[]){{"time", "TIME", 20},
                                                          {"service", "SERVICE", 12},
                                                          {"event", "EVENT", 24},
                                                          {"user", "USER", 14},
                                                          {"source", "SOURCE", 15},
                                                          {"resource", "RESOURCE", 20},
                                                          {"error", "ERROR", 0},
                                                          {NULL, NULL, 0}});
    json_init(&l.answer);
    buf_init(&l.token, TOKEN_SIZE_MAX);
    r = api_open(cli, &l.api, reterr_why);
    if (r == 0)
        r = walk(&l, reterr_why);
    if (r == 0 && l.found == 0 && !l.json)
        (void)fprintf(stderr, "no events\n");
    buf_done(&l.token);
    json_done(&l.answer);
    api_close(&l.api);
    return r;
}

static const struct arg_option lookup_options[] = {
    {"region", "REGION", "whose API is asked: TRAILBUS_API_<REGION>; else TRAILBUS_API", false},
    {"attribute", "KEY=VALUE", "only events with this; one, or two that go together", true},
    {"start", "TIME", "from here on; else 7 days before the end", false},
    {"end", "TIME", "before this; else now", false},
    {"limit", "N", "the newest N; else all", false},
    {"json", NULL, "whole events, one a line, as the API gave them", false},
    ARG_OPTIONS_END,
};

const struct command lookup_commands[] = {
    {"lookup", "", 0, 0, "finds events of the last 90 days, newest first",
     "Keys: ServiceName, EventName, User, EventId, ResourceType, ResourceName, EventRW, "
     "EventAccessKeyId, SensitiveAction, SourceIpAddress, EventType, RoleName, PrincipalId. Two "
     "that go together: ServiceName with EventName, User, PrincipalId, RoleName, ResourceName, "
     "EventRW, SensitiveAction or EventType; ResourceName with ResourceType, EventName, User, "
     "RoleName or ServiceName; EventType with EventName. The API answers two calls a second: a "
     "long search waits for it.",
     lookup_options, lookup},
    COMMANDS_END,
};
