/* The normalizer without memory: no secret goes out, no event is changed, emptied or blamed.
 *
 * links: normalizer_core */
#include "faults.h"

#include <stdio.h>

#include "core/normalize.h"
#include "core/window.h"
#include "event/raw_event.h"

#define NOW_MS 1800000000000

/* Escapes in keys and values, secrets in each place where one is looked for, resources in each form. */
static const char submitted[] =
    "{\"eventId\":\"e-\\u0031\",\"event\\u004eame\":\"Run\\u0049nstances\","
    "\"eventTime\":\"2027-01-15T08:00:00Z\",\"serviceName\":\"\\u0045cs\", "
    "\"acsRegion\":\"cn-\\u0068angzhou\","
    "\"userIdentity\":{\"type\":\"assumed-role\",\"account\\u0049d\":\"1000000000000\\u0030001\","
    "\"userName\":\"ro\\u006ce:session\",\"access\\u004beyId\":\"LTAI\\u0031\"},"
    "\"sourceIpAddress\":\"1\\u002e2.3.4\",\"requestParameters\":{\"Pass\\u0077ord\":\"hunter2\","
    "\"Inner\":"
    "\"{\\\"Secret\\\\u004bey\\\":\\\"hunter2\\\",\\\"x\\\":[\\\"{\\\\\\\"pwd\\\\\\\":"
    "\\\\\\\"hunter2\\\\\\\"}\\\"]}\","
    "\"Plain\":\"{\\\"a\\\": "
    "\\\"b\\\"}\",\"n\\u0061me\":1,\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,"
    "\"\\u006b7\":7,\"k8\":8,\"k9\":9},"
    "\"requestParameterJson\":\"{\\\"db_pass\\\\u0077ord\\\":\\\"hunter2\\\"}\","
    "\"referencedResources\":{\"ACS::ECS::\\u0049nstance\":[\"i-\\u0031\",\"i-2\"],\"ACS::VPC\":"
    "\"v\\u0070c\"},"
    "\"eventAttributes\":{\"Sensitive\\u0041ction\":\"tr\\u0075e\"},\"eventRW\":\"Wr\\u0069te\"}";

static int run(struct str bytes, bool json, const struct catalog *catalog)
{
    struct normalize_settings settings = {
        .catalog = catalog,
        .region = STR("cn-hangzhou"),
        .deployed = {STR("cn-hangzhou"), STR("ap-southeast-1")},
        .deployed_count = 2,
        .ahead_max_ms = 900000,
        .behind_max_ms = 7LL * 86400 * 1000,
    };
    struct normalize_input in = {bytes, json, NOW_MS, {STR("raw.cn-hangzhou"), STR("G"), 1, 2}};
    AUTO(normalizer_free) struct normalizer *n = normalizer_new(&settings);
    struct normalize_result result;
    struct event event;
    size_t secret;
    int r;

    if (!n)
        return -ERR_NOMEM;
    r = normalize(n, &in, &result);
    if (r == -ERR_NOMEM && fault_over()) { /* read again, it becomes what it would have been */
        r = normalize(n, &in, &result);
        PROMISE(r == 0);
    }
    if (r < 0)
        return r;
    note("%s %s", normalize_outcome_name(result.outcome), result.why.text);
    note_str("id", result.id);
    note_str("account", result.account);
    note_str("region", result.region);
    PROMISE(!str_find(result.event, STR("hunter2"), &secret));
    if (result.event.len) {
        PROMISE(event_decode(result.event, &event, NULL) == 0);
        note_str("document", event.document);
        note_str("name", event.name);
        note_str("user", event.user);
        note_str("role", event.role);
        note("%zu resources, rw %d, sensitive %d", event.resource_count, event.rw, event.sensitive);
        for (size_t i = 0; i < event.resource_count; i++) {
            note_str("type", event.resources[i].type);
            note_str("resource", event.resources[i].name);
        }
    }
    return 0;
}

static int with_catalog(struct str bytes, bool json)
{
    AUTO(catalog_free) struct catalog *catalog = NULL;
    int r = catalog_load(STR_NONE, &catalog, NULL);

    return r < 0 ? r : run(bytes, json, catalog);
}

static struct catalog *prepared(void)
{
    static struct catalog *catalog;

    if (!catalog)
        CHECK(catalog_load(STR_NONE, &catalog, NULL) == 0);
    return catalog;
}

static int normalize_json(void)
{
    return run(str_from(submitted), true, prepared());
}

static int normalize_avro(void)
{
    AUTO_BUF struct buf avro = {0};
    struct json json;
    int r;

    json_init(&json);
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    r = json_scan(&json, str_from(submitted), NULL);
    if (r == 0)
        r = raw_event_encode(&json, &avro, NULL);
    json_done(&json);
    return r < 0 ? r : run(buf_str(&avro), false, prepared());
}

static int normalize_inner(void)
{
    return run(STR("{\"Event\\u0050roduct\":\"\\u0045cs\",\"ResourceOwnerID\":\"1\\u0032\","
                   "\"EventName\":\"St\\u006fp\","
                   "\"EventTime\":\"2027-01-15T08:00:00Z\",\"Event\\u0049D\":null,\"ResourceType\":"
                   "\"\\u0041\","
                   "\"ResourceID\":\"i\\u002d1\",\"ResourceRegionID\":\"cn-\\u0068angzhou\"}"),
               true, prepared());
}

/* Many members, so that every table grows; a key twice, spelled differently, behind them. */
static int many_members(bool twice)
{
    static char text[200000];
    size_t len = 0;

    len += (size_t)snprintf(text, sizeof(text),
                            "{\"eventName\":\"N\",\"eventTime\":\"2027-01-15T08:00:00Z\","
                            "\"serviceName\":\"S\",\"recipientAccountId\":\"1\"");
    for (int i = 0; i < 1200; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ",\"\\u0062%060d\":\"\\u0063%d\"",
                                i, i);
    if (twice)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ",\"b%060d\":1", 7);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "}");
    return run(str_of(text, len), true, prepared());
}

static int normalize_many(void)
{
    return many_members(false);
}

static int normalize_twice(void)
{
    return many_members(true);
}

static int normalize_catalog(void)
{
    return with_catalog(
        STR("{\"eventName\":\"N\",\"eventTime\":\"2027-01-15T08:00:00Z\",\"serviceName\":\"Ram\","
            "\"recipientAccountId\":\"1\"}"),
        true);
}

/* What a transaction learned, and failed to learn, is forgotten and learned again. */
static int learn_all(struct window *w, int from, int to)
{
    for (int i = from; i < to; i++) {
        char id[24];
        enum window_verdict verdict;
        int len = snprintf(id, sizeof(id), "%d", i), r;

        r = window_learn(w, STR("1"), str_of(id, (size_t)len), window_content(w, STR("x"), true), i,
                         &verdict);
        if (r < 0)
            return r;
        PROMISE(verdict == WINDOW_NEW);
    }
    return 0;
}

static int window_grows(void)
{
    static const struct fingerprint_key key = {1, 2};
    AUTO(window_free) struct window *w = window_new(10000, 1 << 20, &key);
    enum window_verdict verdict;
    int r;

    if (!w)
        return -ERR_NOMEM;
    r = learn_all(w, 0, 1000);
    if (r < 0)
        return r;
    window_keep(w);
    r = learn_all(w, 1000, 5000);
    if (r < 0) {
        fault_over();
        window_forget(w);
        PROMISE(window_count(w) == 1000);
        r = learn_all(w, 1000, 5000);
        PROMISE(r == 0);
    }
    PROMISE(window_learn(w, STR("1"), STR("3"), window_content(w, STR("x"), true), 1, &verdict) ==
            0);
    note("%zu, %d", window_count(w), verdict);
    return 0;
}

TORTURE({"normalize json", normalize_json, 0}, {"normalize avro", normalize_avro, 0},
        {"normalize inner event", normalize_inner, 0},
        {"normalize many members", normalize_many, 0}, {"normalize key twice", normalize_twice, 0},
        {"load catalog", normalize_catalog, 0}, {"window", window_grows, 0})
