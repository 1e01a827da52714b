/* normalizing.c - one normalizer, two settings, and the checks of its results. */
#include "normalizing.h"

#include "core/normalize.h"
#include "core/secrets.h"

#define NOW_MS 1800000000000 /* 2027-01-15T08:00:00Z, as the corpora and dictionaries say */

static struct normalizer *normalizer;
static struct json json;

static void begin(void)
{
    struct normalize_settings settings = {
        .region = STR("cn-hangzhou"),
        .deployed = {STR("cn-hangzhou"), STR("ap-southeast-1")},
        .deployed_count = 2,
        .ahead_max_ms = 900000,
        .behind_max_ms = 7LL * 86400 * 1000,
    };
    struct catalog *catalog = NULL;

    CHECK(catalog_load(STR_NONE, &catalog, NULL) == 0);
    settings.catalog = catalog;
    normalizer = normalizer_new(&settings);
    CHECK(normalizer);
}

static void run(struct str bytes, bool is_json, struct normalize_result *ret)
{
    struct normalize_input in = {bytes, is_json, NOW_MS, {STR("raw.cn-hangzhou"), STR("G"), 1, 2}};

    if (!normalizer)
        begin();
    CHECK(normalize(normalizer, &in, ret) == 0);
    CHECK(!normalize_rejects(ret->outcome) || ret->why.text[0]);
    CHECK((ret->outcome == NORMALIZED) == (ret->event.len > 0));
}

static void check_members(uint32_t object)
{
    for (uint32_t key = object + 1; key < json.tokens[object].next;
         key = json.tokens[key + 1].next) {
        AUTO_BUF struct buf name = {0};
        struct str value = json_raw(&json, key + 1);

        buf_init(&name, JSON_TEXT_MAX);
        json_unescape(json_slice(&json, key), &name);
        if (secret_name(buf_str(&name)))
            CHECK(str_eq(value, STR("\"" SECRET_MASK "\"")) || str_eq(value, STR("\"\"")) ||
                  str_eq(value, STR("null")) || str_eq(value, STR("true")) ||
                  str_eq(value, STR("false")));
    }
}

static void check_document(const struct event *event)
{
    CHECK(json_scan(&json, event->document, NULL) == 0 && json.tokens[0].type == JSON_OBJECT);
    for (uint32_t i = 0; i < json.count; i++)
        if (json.tokens[i].type == JSON_OBJECT)
            check_members(i);
    CHECK(event->account.len > 0 && event->account.len <= EVENT_ACCOUNT_SIZE_MAX);
    CHECK(event->id.len > 0 && event->id.len <= EVENT_ID_SIZE_MAX);
    CHECK(event->region.len > 0 && event->service.len > 0 && event->name.len > 0);
}

/* The document alone tells what the envelope says. */
static void check_read_back(const struct event *event)
{
    static struct event back;

    CHECK(normalize_read_back(normalizer, event->document, &back, NULL) == 0);
    CHECK(str_eq(back.id, event->id) && str_eq(back.account, event->account) &&
          back.rw == event->rw && back.global == event->global &&
          back.category == event->category && back.sensitive == event->sensitive &&
          back.time_ms == event->time_ms && str_eq(back.service, event->service) &&
          str_eq(back.name, event->name) && str_eq(back.type, event->type) &&
          str_eq(back.user, event->user) && str_eq(back.principal, event->principal) &&
          str_eq(back.role, event->role) && str_eq(back.access_key, event->access_key) &&
          str_eq(back.source_ip, event->source_ip) && back.resource_count == event->resource_count);
    for (size_t i = 0; i < event->resource_count; i++)
        CHECK(str_eq(back.resources[i].type, event->resources[i].type) &&
              str_eq(back.resources[i].name, event->resources[i].name));
}

void check_normalizing(struct str bytes, bool is_json)
{
    static struct event event, again;
    AUTO_BUF struct buf first = {0};
    struct normalize_result result;

    run(bytes, is_json, &result);
    if (result.outcome != NORMALIZED)
        return;
    buf_init(&first, (size_t)2 * EVENT_ENCODED_SIZE_MAX);
    buf_add_str(&first, result.event);
    CHECK(event_decode(buf_str(&first), &event, NULL) == 0);
    check_document(&event);
    check_read_back(&event);
    run(event.document, true, &result);
    if (result.outcome == REJECTED_TOO_LARGE)
        return; /* what was filled in makes it larger */
    CHECK(result.outcome == NORMALIZED && event_decode(result.event, &again, NULL) == 0);
    CHECK(str_eq(again.document, event.document));
    CHECK(str_eq(again.id, event.id) && str_eq(again.account, event.account) &&
          again.rw == event.rw && again.global == event.global &&
          again.category == event.category && again.time_ms == event.time_ms);
}

bool normalized_names(struct str bytes, bool is_json, struct str *ret_account, struct str *ret_id)
{
    struct normalize_result result;

    run(bytes, is_json, &result);
    *ret_account = result.account;
    *ret_id = result.id;
    return result.outcome == NORMALIZED;
}
