/* One raw record in, one verdict out: every reason to reject or drop, what is filled in, what is masked. */
#include "core/normalize.h"

#include <stdio.h>

#include "core/secrets.h"

#include "test.h"

#define NOW_MS 1800000000000 /* 2027-01-15T08:00:00Z */
#define NOW    "2027-01-15T08:00:00Z"

static struct catalog *catalog;
static struct normalizer *normalizer, *reader; /* the one reads back what the other made */
static struct normalize_settings settings;
static struct normalize_result result;
static struct event event; /* the one that came out */

static int begin_all(void **state)
{
    struct why why = {0};

    (void)state;
    assert_ok(catalog_load(STR_NONE, &catalog, &why), why);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    catalog_free(catalog);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    settings = (struct normalize_settings){
        .catalog = catalog,
        .region = STR("cn-hangzhou"),
        .deployed = {STR("cn-hangzhou"), STR("ap-southeast-1"), STR("cn-shanghai-finance-1")},
        .deployed_count = 3,
        .ahead_max_ms = 15 * 60 * 1000,
        .behind_max_ms = 7LL * 86400 * 1000,
    };
    normalizer = normalizer_new(&settings);
    reader = normalizer_new(&settings);
    return normalizer && reader ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    normalizer_free(normalizer);
    normalizer_free(reader);
    return 0;
}

static void again_with(const struct normalize_settings *changed)
{
    normalizer_free(normalizer);
    normalizer = normalizer_new(changed);
    assert_non_null(normalizer);
}

/* Whoever has only the document finds the same envelope in it. */
static void assert_reads_back(void)
{
    static struct event back;
    struct why why = {0};

    assert_ok(normalize_read_back(reader, event.document, &back, &why), why);
    assert_str_eq(back.id, event.id);
    assert_str_eq(back.account, event.account);
    assert_int_equal(back.category, event.category);
    assert_int_equal(back.rw, event.rw);
    assert_int_equal(back.global, event.global);
    assert_int_equal(back.sensitive, event.sensitive);
    assert_int_equal(back.time_ms, event.time_ms);
    assert_str_eq(back.service, event.service);
    assert_str_eq(back.name, event.name);
    assert_str_eq(back.type, event.type);
    assert_str_eq(back.user, event.user);
    assert_str_eq(back.principal, event.principal);
    assert_str_eq(back.role, event.role);
    assert_str_eq(back.access_key, event.access_key);
    assert_str_eq(back.source_ip, event.source_ip);
    assert_int_equal(back.resource_count, event.resource_count);
    for (size_t i = 0; i < event.resource_count; i++) {
        assert_str_eq(back.resources[i].type, event.resources[i].type);
        assert_str_eq(back.resources[i].name, event.resources[i].name);
    }
    assert_str_eq(back.document, event.document);
}

static enum normalize_outcome run(struct str bytes, bool json)
{
    struct normalize_input in = {
        .bytes = bytes,
        .json = json,
        .received_ms = NOW_MS,
        .origin = {STR("raw.cn-hangzhou"), STR("G1"), 3, 41},
    };
    struct why why = {0};

    assert_int_equal(normalize(normalizer, &in, &result), 0);
    if (result.outcome == NORMALIZED) {
        assert_ok(event_decode(result.event, &event, &why), why);
        assert_reads_back();
    } else {
        assert_int_equal(result.event.len, 0);
    }
    return result.outcome;
}

/* Members beside the required ones. */
static enum normalize_outcome run_with(const char *members)
{
    static struct buf text; /* the result's slices lie in it until the next run */

    buf_done(&text);
    buf_init(&text, 1 << 20);
    buf_add_str(&text, STR("{\"eventName\":\"StopInstance\",\"eventTime\":\"" NOW
                           "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1001\""));
    buf_addf(&text, "%s%s}", *members ? "," : "", members);
    return run(buf_str(&text), true);
}

static void must_run_with(const char *members)
{
    if (run_with(members) != NORMALIZED)
        fail_msg("%s: %s: %s", members, normalize_outcome_name(result.outcome), result.why.text);
}

/* The value of a member of the document, as text; "" when absent. */
static struct str shown(const char *name)
{
    static struct json json;
    uint32_t value;

    json_done(&json);
    assert_int_equal(json_scan(&json, event.document, NULL), 0);
    value = json_member(&json, 0, str_from(name));
    return value ? json_raw(&json, value) : STR("");
}

/* ---- rejected --------------------------------------------------------------------------------------- */

static void bytes_that_are_no_event_are_malformed(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "\"x\"",
                                      "null",
                                      "{",
                                      "{\"a\":1,}",
                                      "{\"a\":1}{}",
                                      "{\"\xFF\":1}",
                                      "{\"eventName\":\"x\",\"eventN\\u0061me\":\"y\"}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(run(str_from(bad[i]), true), REJECTED_MALFORMED);
        assert_true(strlen(result.why.text) > 0);
        assert_int_equal(run(str_from(bad[i]), false), REJECTED_MALFORMED);
    }
}

static void a_record_over_the_maximum_is_too_large(void **state)
{
    static char room[RAW_EVENT_SIZE_MAX + 1];

    (void)state;
    memset(room, ' ', sizeof(room));
    assert_int_equal(run(str_of(room, sizeof(room)), true), REJECTED_TOO_LARGE);
    assert_int_equal(run(str_of(room, sizeof(room) - 1), true), REJECTED_MALFORMED);
    memset(room, '[', sizeof(room));
    assert_int_equal(run(str_of(room, 1000), true), REJECTED_TOO_LARGE); /* too deep to read */
}

static void a_document_that_outgrows_the_topic_is_too_large(void **state)
{
    AUTO_BUF struct buf text = {0}, avro = {0};
    struct json json;

    (void)state;
    json_init(&json);
    buf_init(&text, 4 << 20);
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_add_str(&text,
                STR("{\"eventName\":\"x\",\"eventTime\":\"" NOW
                    "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1\",\"errorMessage\":\""));
    for (int i = 0; i < 200000; i++) /* a byte in Avro, six in JSON */
        buf_add_str(&text, STR("\\u0001"));
    buf_add_str(&text, STR("\"}"));
    assert_int_equal(json_scan(&json, buf_str(&text), NULL), 0);
    assert_int_equal(raw_event_encode(&json, &avro, NULL), 0);
    assert_int_equal(run(buf_str(&avro), false), REJECTED_TOO_LARGE);
    json_done(&json);
}

static void an_event_lacks_none_of_the_required(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{}", "eventName is missing"},
        {"{\"eventTime\":\"" NOW "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1\"}",
         "eventName is missing"},
        {"{\"eventName\":\"x\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1\"}",
         "eventTime is missing"},
        {"{\"eventName\":\"x\",\"eventTime\":\"" NOW
         "\",\"serviceName\":null,\"recipientAccountId\":\"1\"}",
         "serviceName is missing"},
        {"{\"eventName\":\"x\",\"eventTime\":\"" NOW
         "\",\"serviceName\":\"\",\"recipientAccountId\":\"1\"}",
         "serviceName is missing"},
        {"{\"eventName\":\"x\",\"eventTime\":\"" NOW "\",\"serviceName\":\"Ecs\"}",
         "no owner: neither recipientAccountId nor userIdentity.accountId"},
        {"{\"eventName\":\"x\",\"eventTime\":\"" NOW
         "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"\",\"userIdentity\":{\"accountId\":"
         "\"\"}}",
         "no owner: neither recipientAccountId nor userIdentity.accountId"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(run(str_from(cases[i].text), true), REJECTED_MISSING_FIELD);
        assert_string_equal(result.why.text, cases[i].why);
    }
}

static void a_field_of_a_wrong_form_is_invalid(void **state)
{
    static const char *const members[] = {
        "\"eventId\":1",   "\"eventCategory\":[]",      "\"eventType\":{}",      "\"eventRW\":true",
        "\"acsRegion\":7", "\"userIdentity\":\"root\"", "\"sourceIpAddress\":1",
    };
    static const char *const owners[] = {"a b", "1/2", "\xC3\xBC", "\\u0000", "a:b", "*"};
    static const char *const times[] = {
        "2027-01-15", "2027-01-15T08:00:00", "2027-01-15T08:00:00+08:00", "2027-02-30T00:00:00Z",
        "now",        "1800000000"};
    char text[256], id[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        assert_int_equal(run_with(members[i]), REJECTED_INVALID_FIELD);
        assert_non_null(strstr(result.why.text, " must be "));
    }
    for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"eventName\":\"x\",\"eventTime\":\"" NOW
                       "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"%s\"}",
                       owners[i]);
        assert_int_equal(run(str_from(text), true), REJECTED_INVALID_FIELD);
    }
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"eventName\":\"x\",\"eventTime\":\"%s\",\"serviceName\":\"Ecs\","
                       "\"recipientAccountId\":\"1\"}",
                       times[i]);
        assert_int_equal(run(str_from(text), true), REJECTED_INVALID_FIELD);
    }
    (void)snprintf(id, sizeof(id), "\"eventId\":\"%0256d\"", 7);
    must_run_with(id);
    (void)snprintf(id, sizeof(id), "\"eventId\":\"%0257d\"", 7);
    assert_int_equal(run_with(id), REJECTED_INVALID_FIELD);
}

static enum normalize_outcome run_at(const char *time)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{\"eventName\":\"x\",\"eventTime\":\"%s\",\"serviceName\":\"Ecs\","
                   "\"recipientAccountId\":\"1\"}",
                   time);
    return run(str_from(text), true);
}

static void an_event_time_too_far_from_its_arrival_is_out_of_range(void **state)
{
    (void)state;
    assert_int_equal(run_at("2027-01-15T08:15:00Z"), NORMALIZED);
    assert_int_equal(run_at("2027-01-15T08:15:01Z"), REJECTED_TIME_RANGE);
    assert_int_equal(run_at("2027-01-08T08:00:00Z"), NORMALIZED);
    assert_int_equal(run_at("2027-01-08T07:59:59Z"), REJECTED_TIME_RANGE);
    assert_int_equal(run_at("0000-01-01T00:00:00Z"), REJECTED_TIME_RANGE);
    assert_int_equal(run_at("9999-12-31T23:59:59Z"), REJECTED_TIME_RANGE);
    settings.ahead_max_ms = settings.behind_max_ms = INT64_MAX;
    again_with(&settings);
    assert_int_equal(run_at("1970-01-01T00:00:00Z"), NORMALIZED);
    assert_int_equal(run_at("1969-12-31T23:59:59Z"), REJECTED_TIME_RANGE);
    assert_int_equal(run_at("9999-12-31T23:59:59Z"), NORMALIZED);
    assert_int_equal(run_at("2027-01-15T08:00:00.999Z"), NORMALIZED);
    assert_true(event.time_ms == NOW_MS);
    assert_str_eq(shown("eventTime"), STR("\"2027-01-15T08:00:00.999Z\""));
}

static void who_nobody_knows_passes_counted_unless_the_settings_reject_it(void **state)
{
    (void)state;
    assert_int_equal(run_with("\"acsRegion\":\"cn-atlantis\""), NORMALIZED);
    assert_true(result.unknown_region && !result.unknown_service);
    assert_str_eq(result.region, STR("cn-hangzhou"));
    assert_int_equal(run(STR("{\"eventName\":\"x\",\"eventTime\":\"" NOW
                             "\",\"serviceName\":\"Atlantis\",\"recipientAccountId\":\"1\"}"),
                         true),
                     NORMALIZED);
    assert_true(result.unknown_service && !result.unknown_region);
    settings.reject_unknown_service = settings.reject_unknown_region = true;
    again_with(&settings);
    assert_int_equal(run_with("\"acsRegion\":\"cn-atlantis\""), REJECTED_UNKNOWN_REGION);
    assert_int_equal(run(STR("{\"eventName\":\"x\",\"eventTime\":\"" NOW
                             "\",\"serviceName\":\"Atlantis\",\"recipientAccountId\":\"1\"}"),
                         true),
                     REJECTED_UNKNOWN_SERVICE);
    assert_str_eq(result.account, STR("1"));
    assert_int_equal(run_with(""), NORMALIZED);
}

/* ---- dropped ----------------------------------------------------------------------------------------- */

static enum normalize_outcome run_service(const char *service, const char *name, const char *region)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{\"eventName\":\"%s\",\"eventTime\":\"" NOW
                   "\",\"serviceName\":\"%s\",\"acsRegion\":\"%s\",\"recipientAccountId\":\"1\"}",
                   name, service, region);
    return run(str_from(text), true);
}

static void what_a_trail_does_not_record_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(run_service("Oss", "PutObject", "cn-hangzhou"), DROPPED_DATA_EVENT);
    assert_int_equal(run_service("oss", "DeleteBucket", "cn-hangzhou"), NORMALIZED);
    assert_int_equal(run_service("SLS", "CreateProject", "cn-hangzhou"),
                     DROPPED_UNSUPPORTED_REGION);
    assert_int_equal(run_service("SLS", "CreateProject", "cn-shanghai"), NORMALIZED);
    assert_int_equal(run_with("\"eventCategory\":\"Data\""), DROPPED_DATA_EVENT);
    assert_false(normalize_rejects(result.outcome));
}

static void an_old_document_is_read_back_whatever_the_catalog_says_of_it_now(void **state)
{
    static struct event back;
    struct why why = {0};

    (void)state;
    assert_ok(
        normalize_read_back(reader,
                            STR("{\"eventId\":\"e1\",\"eventName\":\"GetObject\",\"eventTime\":"
                                "\"2020-01-01T00:00:00Z\",\"serviceName\":\"Oss\","
                                "\"eventCategory\":\"Data\",\"recipientAccountId\":\"1001\"}"),
                            &back, &why),
        why);
    assert_str_eq(back.id, STR("e1"));
    assert_int_equal(back.rw, EVENT_READ);
}

static void what_is_no_document_is_not_read_back(void **state)
{
    static const char *const others[] = {
        "",
        "[]",
        "{\"eventId\":\"e1\"",
        "{\"eventId\":\"e1\"}",
        "{\"eventName\":\"A\",\"eventTime\":\"2020-01-01T00:00:00Z\",\"serviceName\":\"Oss\","
        "\"recipientAccountId\":\"1001\"}",
    };
    static struct event back;
    struct why why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        why = (struct why){0};
        assert_int_equal(normalize_read_back(reader, str_from(others[i]), &back, &why),
                         -ERR_INVALID);
        assert_true(why.text[0]);
    }
}

static void every_outcome_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < NORMALIZE_OUTCOME_COUNT; a++) {
        assert_true(strlen(normalize_outcome_name((enum normalize_outcome)a)) > 3);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(normalize_outcome_name((enum normalize_outcome)a),
                                    normalize_outcome_name((enum normalize_outcome)b));
        assert_int_equal(normalize_rejects((enum normalize_outcome)a),
                         a > NORMALIZED && a < DROPPED_DATA_EVENT);
    }
}

/* ---- what comes out ------------------------------------------------------------------------------------ */

static void what_is_missing_is_filled_in_behind_what_came(void **state)
{
    (void)state;
    must_run_with("\"eventId\":\"X\"");
    assert_str_eq(
        event.document,
        STR("{\"eventName\":\"StopInstance\",\"eventTime\":\"" NOW
            "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1001\",\"eventId\":\"X\","
            "\"eventVersion\":\"1\",\"eventCategory\":\"Management\",\"eventRW\":\"Write\","
            "\"acsRegion\":\"cn-hangzhou\",\"isGlobal\":false}"));
}

static void what_says_nothing_gives_way_to_what_is_filled_in(void **state)
{
    (void)state;
    must_run_with(
        "\"eventId\":\"\",\"eventRW\":null,\"isGlobal\":null,\"eventVersion\":\"\",\"vpcId\":null");
    assert_false(result.id_given);
    assert_int_equal(shown("eventId").len, 38);
    assert_str_eq(shown("eventRW"), STR("\"Write\""));
    assert_str_eq(shown("isGlobal"), STR("false"));
    assert_str_eq(shown("eventVersion"), STR("\"1\""));
    assert_str_eq(shown("vpcId"), STR("null"));
}

static void what_came_stays_as_it_was_spelled(void **state)
{
    (void)state;
    must_run_with(
        "\"eventId\":\"X\",\"eventVersion\":1,\"extend\":{\"deep\":[1.50e+3,\"\\u00e9\\/\", null "
        "]},\n"
        "\"eventCategory\":\"Management\",\"eventRW\":\"Write\",\"acsRegion\":\"cn-hangzhou\","
        "\"isGlobal\":\"yes\"");
    assert_str_eq(
        event.document,
        STR("{\"eventName\":\"StopInstance\",\"eventTime\":\"" NOW
            "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1001\",\"eventId\":\"X\","
            "\"eventVersion\":1,\"extend\":{\"deep\":[1.50e+3,\"\\u00e9\\/\",null]},"
            "\"eventCategory\":\"Management\",\"eventRW\":\"Write\",\"acsRegion\":\"cn-hangzhou\","
            "\"isGlobal\":\"yes\"}"));
}

static void the_envelope_says_what_the_document_says(void **state)
{
    (void)state;
    must_run_with("\"eventId\":\"X\",\"eventType\":\"ApiCall\",\"sourceIpAddress\":\"203.0.113.7\","
                  "\"eventAttributes\":{\"SensitiveAction\":\"true\"},\"userIdentity\":{\"type\":"
                  "\"assumed-role\","
                  "\"principalId\":\"3:s\",\"accountId\":\"9\",\"accessKeyId\":\"STS.k\","
                  "\"userName\":\"admin:s\"}");
    assert_str_eq(event.id, STR("X"));
    assert_true(result.id_given);
    assert_str_eq(event.account, STR("1001"));
    assert_str_eq(event.region, STR("cn-hangzhou"));
    assert_str_eq(event.service, STR("Ecs"));
    assert_str_eq(event.name, STR("StopInstance"));
    assert_str_eq(event.type, STR("ApiCall"));
    assert_str_eq(event.user, STR("admin:s"));
    assert_str_eq(event.principal, STR("3:s"));
    assert_str_eq(event.role, STR("admin"));
    assert_str_eq(event.access_key, STR("STS.k"));
    assert_str_eq(event.source_ip, STR("203.0.113.7"));
    assert_true(event.sensitive);
    assert_true(event.time_ms == NOW_MS && event.received_ms == NOW_MS);
    assert_int_equal(event.purpose, EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY);
    assert_str_eq(event.origin.topic, STR("raw.cn-hangzhou"));
    assert_str_eq(event.origin.generation, STR("G1"));
    assert_int_equal(event.origin.partition, 3);
    assert_int_equal(event.origin.offset, 41);
    must_run_with("\"eventAttributes\":{\"SensitiveAction\":true}");
    assert_false(event.sensitive);
}

static void the_owner_is_the_recipient_or_else_the_caller_s_account(void **state)
{
    (void)state;
    assert_int_equal(run(STR("{\"eventName\":\"x\",\"eventTime\":\"" NOW
                             "\",\"serviceName\":\"Ecs\",\"userIdentity\":{\"accountId\":\"77\"}}"),
                         true),
                     NORMALIZED);
    assert_str_eq(event.account, STR("77"));
    assert_str_eq(shown("recipientAccountId"), STR("\"77\""));
    must_run_with("\"userIdentity\":{\"accountId\":\"77\"}");
    assert_str_eq(event.account, STR("1001"));
}

static void an_id_that_is_derived_is_the_record_s_for_ever(void **state)
{
    static const struct event_origin other = {STR("raw.cn-hangzhou"), STR("G2"), 3, 41};
    struct normalize_input in = {STR("{\"eventName\":\"x\",\"eventTime\":\"" NOW
                                     "\",\"serviceName\":\"Ecs\",\"recipientAccountId\":\"1\"}"),
                                 true, NOW_MS, other};
    char first[64];

    (void)state;
    must_run_with("");
    assert_false(result.id_given);
    assert_int_equal(event.id.len, 36);
    memcpy(first, event.id.at, 36);
    assert_str_eq(event.id, STR("1F45C38F-F0F8-88E7-B11E-F587B60FA8F1"));
    must_run_with("\"vpcId\":\"v\"");
    assert_str_eq(event.id, str_of(first, 36));
    assert_int_equal(normalize(normalizer, &in, &result), 0);
    assert_false(str_eq(result.id, str_of(first, 36)));
}

static void read_or_write_is_what_the_service_says_or_the_rule_or_the_verb(void **state)
{
    (void)state;
    assert_int_equal(run_service("Ecs", "DescribeInstances", "cn-hangzhou"), NORMALIZED);
    assert_int_equal(event.rw, EVENT_READ);
    assert_str_eq(shown("eventRW"), STR("\"Read\""));
    assert_int_equal(run_service("AasSub", "ConsoleSignin", "cn-hangzhou"), NORMALIZED);
    assert_int_equal(event.rw, EVENT_WRITE);
    must_run_with("\"eventRW\":\"read\"");
    assert_int_equal(event.rw, EVENT_READ);
    assert_str_eq(shown("eventRW"), STR("\"read\""));
    must_run_with("\"eventRW\":\"Neither\"");
    assert_int_equal(event.rw, EVENT_WRITE);
}

static void an_event_goes_to_its_region_its_partition_s_or_where_it_came_in(void **state)
{
    (void)state;
    must_run_with("\"acsRegion\":\"ap-southeast-1\"");
    assert_str_eq(result.region, STR("ap-southeast-1"));
    must_run_with("\"acsRegion\":\"cn-beijing\""); /* known, but not deployed here */
    assert_str_eq(result.region, STR("cn-hangzhou"));
    assert_false(result.unknown_region);
    must_run_with("\"acsRegion\":\"cn-beijing-finance-1\"");
    assert_str_eq(result.region, STR("cn-shanghai-finance-1"));
    assert_str_eq(shown("acsRegion"), STR("\"cn-beijing-finance-1\""));
    settings.deployed[settings.deployed_count++] = STR("dc-1"); /* of ours, in nobody's catalog */
    again_with(&settings);
    must_run_with("\"acsRegion\":\"dc-1\"");
    assert_str_eq(result.region, STR("dc-1"));
    assert_false(result.unknown_region);
}

static void a_global_service_s_event_is_global_whatever_it_says(void **state)
{
    (void)state;
    assert_int_equal(run_service("Ram", "CreateUser", "cn-shanghai"), NORMALIZED);
    assert_true(result.global && event.global);
    assert_str_eq(shown("isGlobal"), STR("true"));
    must_run_with("\"isGlobal\":true");
    assert_false(result.global);
    assert_int_equal(
        run(STR("{\"eventName\":\"x\",\"eventTime\":\"" NOW "\",\"serviceName\":\"Atlantis\","
                "\"isGlobal\":true,\"recipientAccountId\":\"1\"}"),
            true),
        NORMALIZED);
    assert_true(result.global);
}

static void parameters_are_repeated_as_a_text(void **state)
{
    (void)state;
    must_run_with("\"requestParameters\":{\"a\":[1, true],\"b\":\"x\\ny\"}");
    assert_str_eq(shown("requestParameterJson"),
                  STR("\"{\\\"a\\\":[1,true],\\\"b\\\":\\\"x\\\\ny\\\"}\""));
    must_run_with("\"requestParameters\":{\"a\":1},\"requestParameterJson\":\"own\"");
    assert_str_eq(shown("requestParameterJson"), STR("\"own\""));
    must_run_with("\"requestParameters\":[]");
    assert_int_equal(shown("requestParameterJson").len, 0);
}

static void resources_are_read_from_either_form_and_joined(void **state)
{
    (void)state;
    must_run_with("\"referencedResources\":{\"A\":[\"a1\",\"a2\"],\"B\":\"b1\",\"C\":[]}");
    assert_int_equal(event.resource_count, 3);
    assert_str_eq(event.resources[1].type, STR("A"));
    assert_str_eq(event.resources[1].name, STR("a2"));
    assert_str_eq(shown("resourceType"), STR("\"A;B\""));
    assert_str_eq(shown("resourceName"), STR("\"a1,a2;b1\""));
    must_run_with("\"resourceType\":\"A;B;C\",\"resourceName\":\"a1,a2;b1\"");
    assert_int_equal(event.resource_count, 4);
    assert_str_eq(event.resources[2].name, STR("b1"));
    assert_str_eq(event.resources[3].type, STR("C"));
    assert_str_eq(event.resources[3].name, STR(""));
    must_run_with("\"resourceType\":\"A\",\"referencedResources\":{\"B\":[\"b\"]}");
    assert_str_eq(shown("resourceType"), STR("\"A\""));
    assert_int_equal(shown("resourceName").len, 0);
}

static void more_resources_than_are_indexed_stay_in_the_document(void **state)
{
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, 1 << 16);
    buf_add_str(&text, STR("\"referencedResources\":{\"A\":[\"i-0\""));
    for (int i = 1; i < 200; i++)
        buf_addf(&text, ",\"i-%d\"", i);
    buf_add_str(&text, STR("]}"));
    must_run_with(buf_cstr(&text));
    assert_int_equal(event.resource_count, EVENT_RESOURCES_MAX);
    assert_true(str_find(shown("referencedResources"), STR("\"i-199\""), NULL));
}

/* ---- secrets ------------------------------------------------------------------------------------------ */

static void secrets_are_masked_wherever_they_stand(void **state)
{
    static const char *const members[] = {
        "\"requestParameters\":{\"Password\":\"hunter2\"}",
        "\"requestParameters\":{\"Tag.1.Password\":\"hunter2\"}",
        "\"requestParameters\":{\"a\":[{\"b\":{\"private_key\":[\"hunter2\"]}}]}",
        "\"responseElements\":{\"AccessKey\":{\"AccessKeySecret\":\"hunter2\"}}",
        "\"responseElements\":{\"Credentials\":{\"SecurityToken\":\"hunter2\"}}",
        "\"additionalEventData\":{\"db-passwd\":\"hunter2\"}",
        "\"userIdentity\":{\"sessionContext\":{\"sessionToken\":\"hunter2\"}}",
        "\"somethingNew\":[[{\"NEW_SECRET\":\"hunter2\"}]]",
        "\"password\":\"hunter2\"",
        "\"requestParameters\":{\"pass\\u0077ord\":\"hunter2\"}",
        "\"requestParameters\":{\"Password\":{\"value\":\"hunter2\"}}",
        "\"requestParameterJson\":\"{\\\"Password\\\":\\\"hunter2\\\"}\"",
        "\"requestParameterJson\":\"[{\\\"a\\\":{\\\"Pass\\\\u0077ord\\\":\\\"hunter2\\\"}}]\"",
        "\"requestParameterJson\":{\"Password\":\"hunter2\"}",
        "\"requestParameters\":{\"Body\":\"{\\\"Password\\\":\\\"hunter2\\\"}\"}",
        "\"responseElements\":\"[{\\\"Secret\\\":\\\"hunter2\\\"}]\"",
        "\"referencedResources\":{\"Password\":\"hunter2\"}",
        "\"referencedResources\":{\"Password\":[\"hunter2\"]}",
        "\"referencedResources\":{\"A\":[\"{\\\"Password\\\":\\\"hunter2\\\"}\"]}",
        "\"resourceType\":\"A\",\"resourceName\":\"{\\\"Password\\\":\\\"hunter2\\\"}\"",
        "\"userIdentity\":{\"userName\":\"{\\\"Password\\\":\\\"hunter2\\\"}\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        must_run_with(members[i]);
        if (str_find(result.event, STR("hunter2"), NULL) || /* the envelope included */
            !str_find(event.document, STR(SECRET_MASK), NULL))
            fail_msg("%s gives " STR_FMT, members[i], STR_ARG(event.document));
    }
}

static void the_envelope_says_a_masked_text_as_the_document_does(void **state)
{
    (void)state;
    must_run_with(
        "\"userIdentity\":{\"userName\":\"{\\\"n\\\":1,\\\"Password\\\":\\\"hunter2\\\"}\"}");
    assert_str_eq(event.user, STR("{\"n\":1,\"Password\":\"" SECRET_MASK "\"}"));
}

static void names_of_secrets_are_told_from_names_like_them(void **state)
{
    static const char *const secrets[] = {
        "Password",        "password",          "PASSWORD",     "NewPassword",  "db_password",
        "DB-PASSWORD",     "p-a-s-s-w-d",       "Secret",       "ClientSecret", "AccessKeySecret",
        "SecretAccessKey", "secret_access_key", "PrivateKey",   "private-key",  "SecurityToken",
        "SessionToken",    "access_token",      "refreshToken", "Passphrase",   "SecretString",
        "SecretData",      "Tag.3.Password",    "a.b.c.Secret", "UserPwd"};
    static const char *const others[] = {"",
                                         "Token",
                                         "NextToken",
                                         "ClientToken",
                                         "PasswordPolicy",
                                         "SecretName",
                                         "SecretId",
                                         "Passwords",
                                         "AccessKeyId",
                                         "Secret.Name",
                                         "PasswordResetRequired",
                                         "Key",
                                         "PublicKey",
                                         "word",
                                         "mfaAuthenticated",
                                         "secretary"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        if (!secret_name(str_from(secrets[i])))
            fail_msg("%s is no secret", secrets[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (secret_name(str_from(others[i])))
            fail_msg("%s is a secret", others[i]);
}

static void a_secret_that_tells_nothing_stays(void **state)
{
    (void)state;
    must_run_with("\"requestParameters\":{\"Password\":\"\",\"Secret\":null,\"HasSecret\":true,"
                  "\"pwd\":false}");
    assert_str_eq(shown("requestParameters"),
                  STR("{\"Password\":\"\",\"Secret\":null,\"HasSecret\":true,\"pwd\":false}"));
}

static void a_parameter_text_that_is_no_json_stays(void **state)
{
    (void)state;
    must_run_with("\"requestParameterJson\":\"Password=x&b\"");
    assert_str_eq(shown("requestParameterJson"), STR("\"Password=x&b\""));
}

/* ---- Avro ---------------------------------------------------------------------------------------------- */

static void the_same_event_as_avro_has_the_same_document(void **state)
{
    static const char *const members[] = {
        "\"eventId\":\"X\"",
        "\"requestParameters\":{\"Password\":\"p\",\"n\":1.0},\"isGlobal\":false,\"more\":[1]",
        "\"userIdentity\":{\"userName\":\"u\",\"sessionContext\":{}},\"eventId\":\"Y\"",
        "\"eventVersion\":1",
    };
    AUTO_BUF struct buf avro = {0}, again = {0}, document = {0};
    struct json json;

    (void)state;
    json_init(&json);
    buf_init(&avro, RAW_EVENT_SIZE_MAX);
    buf_init(&again, RAW_EVENT_SIZE_MAX);
    buf_init(&document, RAW_EVENT_SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct raw_event_texts texts;

        buf_reset(&avro);
        buf_reset(&again);
        buf_reset(&document);
        must_run_with(members[i]);
        assert_int_equal(json_scan(&json, event.document, NULL), 0);
        assert_int_equal(raw_event_encode(&json, &avro, NULL), 0);
        assert_int_equal(raw_event_render(buf_str(&avro), &again, &texts, NULL), 0);
        assert_int_equal(run(buf_str(&again), true), NORMALIZED);
        buf_add_str(&document, event.document);
        assert_int_equal(run(buf_str(&avro), false), NORMALIZED);
        assert_str_eq(event.document, buf_str(&document));
    }
    json_done(&json);
}

/* ---- the provider's own events --------------------------------------------------------------------------- */

#define INNER                                                                                      \
    "\"EventProduct\":\"OSS\",\"EventName\":\"Set Bucket Quota "                                   \
    "Limit\",\"ResourceOwnerID\":\"1001\","                                                        \
    "\"EventTime\":\"" NOW "\""

static void the_provider_s_own_event_stays_as_it_is(void **state)
{
    static const struct str text = STR(
        "{\"EventID\":\"I1\"," INNER ",\"ResourceType\":\"Acs::Oss::Bucket\",\"ResourceID\":\"b\","
        "\"ResourceRegionID\":\"ap-southeast-1\",\"EventType\":\"ALIYUN_INITIATED_SERVICE\"}");

    (void)state;
    assert_int_equal(run(text, true), NORMALIZED);
    assert_int_equal(event.category, EVENT_INNER);
    assert_str_eq(event.document, text);
    assert_str_eq(event.id, STR("I1"));
    assert_str_eq(event.account, STR("1001"));
    assert_str_eq(result.region, STR("ap-southeast-1"));
    assert_str_eq(event.resources[0].name, STR("b"));
}

static void the_provider_s_own_event_has_an_id_once(void **state)
{
    static const char *const texts[] = {"{" INNER "}", "{\"EventID\":\"\"," INNER "}",
                                        "{" INNER ",\"EventID\":null}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(run(str_from(texts[i]), true), NORMALIZED);
        assert_false(result.id_given);
        assert_int_equal(shown("EventID").len, 38);
    }
    assert_int_equal(run(STR("{\"EventID\":5," INNER "}"), true), REJECTED_INVALID_FIELD);
    assert_string_equal(result.why.text, "EventID must be a string");
}

static void the_provider_s_own_event_lacks_none_of_the_required(void **state)
{
    static const char *const texts[] = {
        "{\"EventProduct\":\"OSS\"}",
        "{\"EventProduct\":\"OSS\",\"EventName\":\"x\",\"EventTime\":\"" NOW "\"}",
        "{\"ResourceOwnerID\":\"1\",\"EventName\":\"x\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(run(str_from(texts[i]), true), REJECTED_MISSING_FIELD);
    assert_int_equal(
        run(STR("{\"EventProduct\":\"OSS\",\"EventName\":\"x\",\"ResourceOwnerID\":\"1\"}"), true),
        REJECTED_INVALID_FIELD); /* no EventTime */
}

/* ---- and again -------------------------------------------------------------------------------------------- */

static void normalizing_a_document_again_changes_nothing(void **state)
{
    static const char *const members[] = {
        "",
        "\"eventId\":\"\",\"eventRW\":null",
        "\"requestParameters\":{\"Password\":\"p\",\"a\":\"\\ud800\"},\"vpcId\":null",
        "\"requestParameterJson\":\"{\\\"Secret\\\" : 1}\"",
        "\"referencedResources\":{\"A;B\":[\"a,1\",\"a2\"],\"B\":\"b1\"}",
        "\"acsRegion\":\"cn-beijing-finance-1\",\"isGlobal\":true",
        "\"eventCategory\":\"Insight\"",
    };
    AUTO_BUF struct buf once = {0};

    (void)state;
    buf_init(&once, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        must_run_with(members[i]);
        buf_reset(&once);
        buf_add_str(&once, event.document);
        assert_int_equal(run(buf_str(&once), true), NORMALIZED);
        assert_str_eq(event.document, buf_str(&once));
    }
    assert_int_equal(run(STR("{" INNER ",\"EventID\":null}"), true), NORMALIZED);
    buf_reset(&once);
    buf_add_str(&once, event.document);
    assert_int_equal(run(buf_str(&once), true), NORMALIZED);
    assert_str_eq(event.document, buf_str(&once));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(bytes_that_are_no_event_are_malformed),
        CASE(a_record_over_the_maximum_is_too_large),
        CASE(a_document_that_outgrows_the_topic_is_too_large),
        CASE(an_event_lacks_none_of_the_required),
        CASE(a_field_of_a_wrong_form_is_invalid),
        CASE(an_event_time_too_far_from_its_arrival_is_out_of_range),
        CASE(who_nobody_knows_passes_counted_unless_the_settings_reject_it),
        CASE(what_a_trail_does_not_record_is_dropped),
        CASE(an_old_document_is_read_back_whatever_the_catalog_says_of_it_now),
        CASE(what_is_no_document_is_not_read_back),
        CASE(every_outcome_has_a_name_of_its_own),
        CASE(what_is_missing_is_filled_in_behind_what_came),
        CASE(what_says_nothing_gives_way_to_what_is_filled_in),
        CASE(what_came_stays_as_it_was_spelled),
        CASE(the_envelope_says_what_the_document_says),
        CASE(the_owner_is_the_recipient_or_else_the_caller_s_account),
        CASE(an_id_that_is_derived_is_the_record_s_for_ever),
        CASE(read_or_write_is_what_the_service_says_or_the_rule_or_the_verb),
        CASE(an_event_goes_to_its_region_its_partition_s_or_where_it_came_in),
        CASE(a_global_service_s_event_is_global_whatever_it_says),
        CASE(parameters_are_repeated_as_a_text),
        CASE(resources_are_read_from_either_form_and_joined),
        CASE(more_resources_than_are_indexed_stay_in_the_document),
        CASE(secrets_are_masked_wherever_they_stand),
        CASE(the_envelope_says_a_masked_text_as_the_document_does),
        CASE(names_of_secrets_are_told_from_names_like_them),
        CASE(a_secret_that_tells_nothing_stays),
        CASE(a_parameter_text_that_is_no_json_stays),
        CASE(the_same_event_as_avro_has_the_same_document),
        CASE(the_provider_s_own_event_stays_as_it_is),
        CASE(the_provider_s_own_event_has_an_id_once),
        CASE(the_provider_s_own_event_lacks_none_of_the_required),
        CASE(normalizing_a_document_again_changes_nothing),
    };

    return cmocka_run_group_tests(tests, begin_all, end_all);
}
