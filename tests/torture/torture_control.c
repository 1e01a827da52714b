/* The control plane without memory: trails, rights, keys and requests are what they were, or an error goes up.
 *
 * links: control api_core router_core rpc catalog */
#include "faults.h"

#include <stdio.h>

#include "control/control.h"
#include "core/change.h"
#include "core/router.h"
#include "rpc/rpc.h"

#define TRAIL   "00000000-0000-4000-8000-000000000001"
#define ACCOUNT "1000000000000001"

/* ---- trails ------------------------------------------------------------------------------------ */

/* Larger than an arena's first block, wherever one looks. */
static struct str document(int version, int partitions, const char *topics)
{
    static char text[200000];
    size_t len = (size_t)snprintf(
        text, sizeof(text),
        "{\"trail\":\"" TRAIL "\",\"version\":%d,\"account\":\"" ACCOUNT
        "\",\"name\":\"audit-trail\","
        "\"homeRegion\":\"cn-hangzhou\",\"regions\":\"%s%040000d\",\"rw\":\"All\",\"logging\":true,"
        "\"startedEver\":true,\"request\":\"%030000d\",\"destinations\":[{\"number\":1,\"version\":"
        "1,"
        "\"bucket\":\"bucket-a\",\"prefix\":\"prefix\",\"origins\":[{\"topic\":\"global\","
        "\"generation\":"
        "\"G\",\"offsets\":[5,6]}]}],\"offsets\":[",
        version, "cn-hangzhou,x", 7, 8);

    for (struct str rest = str_from(topics), topic; rest.len && str_split(&rest, ' ', &topic);) {
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s{\"topic\":\"" STR_FMT "\",\"generation\":\"G\",\"offsets\":[",
                                text[len - 1] == '[' ? "" : ",", STR_ARG(topic));
        for (int i = 0; i < partitions; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d", i ? "," : "",
                                    version * 100 + i);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "]}");
    }
    len += (size_t)snprintf(text + len, sizeof(text) - len, "]}");
    CHECK(len < sizeof(text));
    return str_of(text, len);
}

static void note_version(const struct trail_version *v)
{
    note_str("id", v->id);
    note_str("account", v->account);
    note_str("name", v->name);
    note_str("home", v->home_region);
    note_str("regions", v->regions);
    note_str("request", v->request);
    for (size_t i = 0; i < v->destination_count; i++) {
        note_str("bucket", v->destinations[i].bucket);
        note_str("prefix", v->destinations[i].prefix);
    }
}

static int trail_document(void)
{
    AUTO(trail_version_free) struct trail_version *v = NULL;
    AUTO_BUF struct buf out = {0};
    int r = trail_version_parse(document(1, 1000, "events.cn-hangzhou global"), &v, NULL);

    if (r < 0)
        return r;
    note_version(v);
    buf_init(&out, 1 << 20);
    r = trail_version_render(v, true, &out);
    if (r < 0)
        return r;
    note_str("rendered", buf_str(&out));
    return 0;
}

/* Adds what does not come through at once a second time. */
static int add(struct trail_book *book, int version, int partitions, const char *topics)
{
    struct trail_version *v = NULL;
    int r = trail_version_parse(document(version, partitions, topics), &v, NULL);

    if (r == 0)
        r = trail_book_add(book, v, NULL);
    if (r == -ERR_NOMEM && fault_over())
        return add(book, version, partitions, topics);
    return MIN_OF(r, 0);
}

static int change(struct trail_book *book, int version, const struct trail_log *log, int count,
                  int64_t offset)
{
    struct trail_version *v = NULL;
    int r = trail_version_parse(document(version, 1, ""), &v, NULL);

    if (r == 0)
        r = trail_book_change(book, v, log, count, offset, NULL);
    if (r == -ERR_NOMEM && fault_over())
        return change(book, version, log, count, offset);
    return MIN_OF(r, 0);
}

static int trail_book(void)
{
    static const char *const topics[] = {"events.cn-hangzhou", "events.cn-x", "global"};
    AUTO(trail_book_free) struct trail_book *book = trail_book_new();
    const struct trail *trail;
    int r;

    if (!book)
        return -ERR_NOMEM;
    for (int i = 0; i < 12; i++) /* seen in the log first, then in control, with more partitions */
        if ((r = change(book, 1, &(struct trail_log){str_from(topics[i % 3]), STR("G"), i / 3}, 4,
                        100 + i / 3)) < 0)
            return r;
    if ((r = add(book, 1, 900, "events.cn-hangzhou events.cn-x global")) < 0)
        return r;
    for (int i = 2; i < 9; i++)
        if ((r = add(book, i, 3, "events.cn-hangzhou")) < 0)
            return r;
    trail = trail_book_next(book, STR(ACCOUNT), NULL);
    PROMISE(trail && trail == trail_book_find(book, STR(TRAIL)));
    for (size_t i = 0; i < trail_version_count(trail); i++)
        for (int t = 0; t < 3; t++)
            for (int p = 0; p < 6; p++) {
                struct trail_log log = {str_from(topics[t]), STR("G"), p};
                int64_t from = -7, origin = -7;

                (void)trail_from(trail, i, &log, &from);
                (void)trail_origin(trail, 1, &log, &origin);
                note("%zu %s/%d from %lld, origin %lld", i, topics[t], p, (long long)from,
                     (long long)origin);
            }
    return 0;
}

/* ---- control ----------------------------------------------------------------------------------- */

static const struct {
    const char *key, *value;
} records[] = {
    {"account/" ACCOUNT, "{\"name\":\"one\",\"created\":1}"},
    {"key/LTAI1",
     "{\"account\":\"" ACCOUNT "\",\"user\":\"alice\",\"secret\":\"s\",\"active\":true}"},
    {"policy/" ACCOUNT "/look", "{\"document\":\"{\\\"Version\\\":\\\"1\\\",\\\"Statement\\\":[{"
                                "\\\"Effect\\\":\\\"Allow\\\",\\\"Action\\\":\\\"*\\\","
                                "\\\"Resource\\\":\\\"*\\\"}]}\"}"},
    {"policy/" ACCOUNT "/no-stop",
     "{\"document\":\"{\\\"Version\\\":\\\"1\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Deny\\\","
     "\\\"Action\\\":["
     "\\\"actiontrail:Stop*\\\",\\\"actiontrail:Delete*\\\"],\\\"Resource\\\":\\\"acs:actiontrail:*"
     ":*:trail/audit*\\\"}]}\"}"},
    {"group/" ACCOUNT "/auditors", "{\"policies\":[\"no-stop\"]}"},
    {"user/" ACCOUNT "/alice",
     "{\"id\":\"2001\",\"groups\":[\"auditors\"],\"policies\":[\"look\"]}"},
    {"user/" ACCOUNT "/bob", "{\"id\":\"2002\",\"groups\":[],\"policies\":[\"look\"]}"},
    {"topic/global", "{\"generation\":\"G\"}"},
    {"user/" ACCOUNT "/bob", "{\"id\":\"2002\",\"groups\":[\"auditors\"],\"policies\":[]}"},
};

static int apply(struct control *c, const char *key, struct str value)
{
    int r = control_apply(c, str_from(key), value, false, NULL);

    if (r == -ERR_NOMEM && fault_over())
        r = control_apply(c, str_from(key), value, false, NULL);
    return r;
}

static void note_verdict(const struct control *c, const char *user, const char *action)
{
    struct ram_request request = {
        str_from(action),
        {STR("actiontrail"), STR("cn-hangzhou"), STR(ACCOUNT), STR("trail/audit-1")}};

    note("%s %s: %d", user, action, control_verdict(c, STR(ACCOUNT), str_from(user), &request));
}

static int control_records(void)
{
    AUTO(control_free) struct control *c = control_new();
    int r = c ? 0 : -ERR_NOMEM;

    for (size_t i = 0; i < ARRAY_LEN(records) && r == 0; i++)
        r = apply(c, records[i].key, str_from(records[i].value));
    if (r == 0)
        r = apply(c, "trail/" TRAIL "/1", document(1, 3, "events.cn-hangzhou"));
    if (r < 0)
        return r;
    note_verdict(c, "alice", "actiontrail:StopLogging");
    note_verdict(c, "alice", "actiontrail:LookupEvents");
    note_verdict(c, "bob", "actiontrail:LookupEvents");
    note_verdict(c, "bob", "actiontrail:DeleteTrail");
    note_str("account", control_account(c, STR(ACCOUNT))->name);
    note_str("key", control_key(c, STR("LTAI1"))->account);
    note_str("user", control_key(c, STR("LTAI1"))->user);
    note_str("generation", control_generation(c, STR("global")));
    note_version(trail_latest(trail_book_all(control_trails(c), NULL)));
    return 0;
}

static int written_records(void)
{
    struct str names[] = {STR("look"), STR("no-stop")};
    struct control_user user = {STR(ACCOUNT), STR("carol"), STR("2003"), 7, {names, 1}, {names, 2}};
    struct control_key key = {
        .id = STR("LTAI2"), .account = STR(ACCOUNT), .sealed = STR("x"), .active = true};
    AUTO_BUF struct buf name = {0}, value = {0};

    buf_init(&name, 1024);
    buf_init(&value, 65536);
    control_user_record(&user, &name, &value);
    control_key_record(&key, &name, &value);
    control_topic_record(STR("global"), STR("G"), true, &name, &value);
    if (buf_error(&name) || buf_error(&value))
        return buf_error(&name) ? buf_error(&name) : buf_error(&value);
    note_str("keys", buf_str(&name));
    note_str("values", buf_str(&value));
    return 0;
}

static int secrets(void)
{
    static const struct crypto_key master = {{1, 2, 3}};
    struct control_session session = {
        STR("STS.1"), STR(ACCOUNT), STR("alice"), STR("2001"), STR("secret"), 1, 2};
    struct control_force force = {STR("LTAI1"), STR("nonce"), STR("StopLogging"), STR("audit-1")};
    struct control_key key = {.id = STR("LTAI1")};
    AUTO_BUF struct buf sealed = {0}, opened = {0}, token = {0}, plain = {0}, forced = {0};
    int r;

    buf_init(&sealed, 4096);
    buf_init(&opened, 4096);
    buf_init(&token, 4096);
    buf_init(&plain, 4096);
    buf_init(&forced, 4096);
    if ((r = control_secret_seal(&master, key.id, STR("hunter2"), &sealed)) < 0)
        return r;
    key.sealed = buf_str(&sealed);
    if ((r = control_secret_open(&master, &key, &opened)) < 0 ||
        (r = control_session_seal(&master, &session, &token)) < 0 ||
        (r = control_session_open(&master, buf_str(&token), &plain, &session)) < 0)
        return r;
    control_force_sign(&master, &force, 100, &forced);
    if (buf_error(&forced))
        return buf_error(&forced);
    note_str("secret", buf_str(&opened));
    note_str("session", session.secret);
    note_str("user", session.user);
    note("forced: %d",
         control_force_holds(&master, &force, buf_str(&forced), 101) || fault_is_memory());
    return 0;
}

/* ---- the router -------------------------------------------------------------------------------- */

static int route(void)
{
    static const struct router_settings settings = {
        .generation = STR("G"), .partition_count = 4, .storage_region = STR("cn-beijing")};
    AUTO(trail_book_free) struct trail_book *book = trail_book_new();
    AUTO(router_free) struct router *router = book ? router_new(&settings, book) : NULL;
    AUTO_BUF struct buf encoded = {0};
    struct event event = {.id = STR("e"),
                          .account = STR(ACCOUNT),
                          .region = STR("cn-hangzhou"),
                          .global = true,
                          .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                          .name = STR("N"),
                          .service = STR("S"),
                          .document = STR("{\"eventId\":\"e\"}")};
    struct router_input in = {.change = document(1, 1, ""), .partition = 2, .offset = 50};
    static struct router_result result;
    int r;

    if (!router)
        return -ERR_NOMEM;
    buf_init(&encoded, 1 << 20);
    r = router_take(router, &in, &result, NULL);
    if (r == -ERR_NOMEM && fault_over())
        r = router_take(router, &in, &result, NULL);
    if (r == 0)
        r = event_encode(&event, &encoded);
    if (r < 0)
        return r;
    in = (struct router_input){.value = buf_str(&encoded), .partition = 2, .offset = 51};
    r = router_take(router, &in, &result, NULL);
    for (size_t i = 0; r == 0 && i < result.copy_count; i++) {
        struct str copy;
        struct event out;

        if ((r = router_encode(router, &result, i, &copy)) < 0)
            return r;
        PROMISE(event_decode(copy, &out, NULL) == 0);
        note("copy for %d", (int)out.purpose);
        note_str("region", out.region);
        note_str("document", out.document);
    }
    return r;
}

/* ---- requests ---------------------------------------------------------------------------------- */

static void header(struct rpc_request *q, const char *name, struct str value)
{
    q->headers[q->header_count++] = (struct sign_pair){str_from(name), value};
}

/* A refusal must not blame the client for what we lack. */
static int refused(const struct rpc_failure *failure)
{
    PROMISE(strcmp(failure->code, "InternalError") == 0 ||
            strcmp(failure->code, "ServiceUnavailable") == 0);
    return -ERR_NOMEM;
}

static int judge_request(const struct rpc_request *q, struct str secret)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    static struct rpc_call call;
    struct rpc_failure failure = {0};
    struct rpc_lookup lookup;
    int r;

    if (!arena)
        return -ERR_NOMEM;
    if (rpc_parse(q, arena, &call, &failure) < 0)
        return refused(&failure);
    note_str("action", call.action);
    note_str("key", call.access_key);
    for (size_t i = 0; i < call.param_count; i++) {
        note_str("name", call.params[i].name);
        note_str("value", call.params[i].value);
    }
    r = rpc_verify(q, &call, secret);
    if (r < 0)
        return r;
    note("signed: %d", r);
    if (rpc_lookup_parse(&call, 1795398000, &lookup, &failure) < 0)
        return refused(&failure);
    note("%zu attributes", lookup.attribute_count);
    return 0;
}

static int refusal(void)
{
    struct rpc_failure failure = {0};
    AUTO_BUF struct buf json = {0}, xml = {0};

    (void)rpc_fail(&failure, "NoPermission", NULL);
    failure.denial =
        (struct rpc_denial){STR("actiontrail:StopLogging"), STR(ACCOUNT), STR("alice"), true};
    buf_init(&json, 65536);
    buf_init(&xml, 65536);
    rpc_render_failure(&failure, STR("R"), STR("h"), false, &json);
    rpc_render_failure(&failure, STR("R"), STR("h"), true, &xml);
    if (buf_error(&json) || buf_error(&xml))
        return buf_error(&json) ? buf_error(&json) : buf_error(&xml);
    note_str("json", buf_str(&json));
    note_str("xml", buf_str(&xml));
    return 0;
}

/* A parameter larger than an arena's first block. */
static struct str query_of(void)
{
    static char text[RPC_TARGET_SIZE_MAX];
    int len = snprintf(
        text, sizeof(text),
        "Action=LookupEvents&Format=json&Version=2020-07-06&Timestamp=2026-11-23T02%%3A01%%3A01Z&"
        "SignatureNonce=n&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&AccessKeyId=LTAI1&"
        "Flag=%015000d&Signature=x",
        1);

    return str_of(text, (size_t)len);
}

static struct str body_of(void)
{
    static char text[RPC_BODY_SIZE_MAX];
    int len = snprintf(
        text, sizeof(text),
        "LookupAttribute.1.Key=EventName&LookupAttribute.1.Value=A%%20B&Other=%060000d", 1);

    return str_of(text, (size_t)len);
}

static int request_v1(void)
{
    struct rpc_request q = {
        .method = STR("POST"), .path = STR("/"), .query = query_of(), .body = body_of()};

    header(&q, "content-type", STR("application/x-www-form-urlencoded"));
    return judge_request(&q, STR("secret"));
}

static int request_acs3(void)
{
    static const struct str names = STR(
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version");
    struct rpc_request q = {.method = STR("POST"), .path = STR("/"), .query = query_of()};
    AUTO_BUF struct buf signature = {0}, authorization = {0};
    int r;

    header(&q, "host", STR("h"));
    header(&q, "x-acs-action", STR("LookupEvents"));
    header(&q, "x-acs-version", STR("2020-07-06"));
    header(&q, "x-acs-date", STR("2026-11-23T01:55:14Z"));
    header(&q, "x-acs-signature-nonce", STR("n"));
    header(&q, "x-acs-content-sha256", STR(SIGN_EMPTY_SHA256));
    buf_init(&signature, 1024);
    buf_init(&authorization, 4096);
    r = sign_acs3(STR("secret"), q.method, q.path, STR(""), q.headers, q.header_count, names,
                  STR(SIGN_EMPTY_SHA256), &signature);
    buf_addf(&authorization,
             "ACS3-HMAC-SHA256 Credential=LTAI1,SignedHeaders=" STR_FMT ",Signature=" STR_FMT,
             STR_ARG(names), STR_ARG(buf_str(&signature)));
    if (r < 0 || buf_error(&authorization))
        return r < 0 ? r : buf_error(&authorization);
    header(&q, "authorization", buf_str(&authorization));
    q.query = STR("");
    r = judge_request(&q, STR("secret"));
    if (r < 0)
        return r;
    q.query = query_of();
    return judge_request(&q, STR("secret"));
}

static int sign_for_stores(void)
{
    struct sign_pair headers[] = {{STR("host"), STR("h")}, {STR("x-amz-date"), STR("d")}};
    struct sign_request q = {.method = STR("PUT"),
                             .path = STR("/b/k"),
                             .query = STR(""),
                             .headers = headers,
                             .header_count = 2,
                             .payload_sha256 = STR("UNSIGNED-PAYLOAD")};
    struct sign_v4 keys = {.service = SIGN_V4_S3,
                           .access_key = STR("k"),
                           .secret = STR("s"),
                           .region = STR("r"),
                           .now_s = 1795398000};
    AUTO_BUF struct buf out = {0};
    int r;

    buf_init(&out, 8192);
    r = sign_v4(&keys, &q, &out);
    keys.service = SIGN_V4_OSS;
    if (r == 0)
        r = sign_v4(&keys, &q, &out);
    if (r < 0)
        return r;
    note_str("authorization", buf_str(&out));
    return 0;
}

/* ---- changes ------------------------------------------------------------------------------------- */

static const struct catalog *the_catalog(void)
{
    static struct catalog *catalog;

    if (!catalog)
        CHECK(catalog_load(STR_NONE, &catalog, NULL) == 0);
    return catalog;
}

static int plan(void)
{
    AUTO(control_free) struct control *control = control_new();
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    static struct rpc_call call;
    struct change_request request = {.kind = CHANGE_UPDATE,
                                     .account = STR(ACCOUNT),
                                     .region = STR("cn-hangzhou"),
                                     .call = &call,
                                     .catalog = the_catalog(),
                                     .new_id = STR("X"),
                                     .now_s = 9};
    struct rpc_failure failure = {0};
    struct change_plan planned;

    if (!control || !arena ||
        control_apply(control, STR("trail/" TRAIL "/1"), document(1, 3, "global"), false, NULL) < 0)
        return -ERR_NOMEM;
    call = (struct rpc_call){
        .params = {{STR("Name"), STR("audit-trail")},
                   {STR("OssBucketName"), STR("bucket-b")},
                   {STR("OssWriteRoleArn"),
                    STR("acs:ram::" ACCOUNT ":role/aliyunserviceroleforactiontrail")},
                   {STR("TrailRegion"), STR("cn-hangzhou, cn-beijing")}},
        .param_count = 4};
    (void)arena_get(arena, 65536); /* from here on it has to grow */
    if (change_plan(control, &request, arena, &planned, &failure) < 0)
        return refused(&failure);
    note_str("regions", planned.next.regions);
    for (size_t i = 0; i < planned.next.destination_count; i++)
        note_str("bucket", planned.next.destinations[i].bucket);
    note("narrows %d", change_narrows(&planned));
    return 0;
}

TORTURE({"trail document", trail_document, 0}, {"trail book", trail_book, 0},
        {"control records", control_records, 0}, {"written records", written_records, 0},
        {"secrets", secrets, 0}, {"router", route, 0}, {"request v1", request_v1, 0},
        {"request acs3", request_acs3, 0}, {"signatures for stores", sign_for_stores, 0},
        {"plan of a change", plan, 0}, {"refusal", refusal, 0})
