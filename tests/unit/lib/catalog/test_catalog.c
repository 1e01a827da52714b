/* The catalog that is built in, its special rules, and an operator's file laid over it. */
#include "catalog/catalog.h"

#include <stdio.h>

#include "jsondoc/jsondoc.h"

#include "test.h"

static struct catalog *catalog;

static int setup(void **state)
{
    struct why why = {0};

    (void)state;
    assert_ok(catalog_load(STR_NONE, &catalog, &why), why);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    catalog_free(catalog);
    catalog = NULL;
    return 0;
}

static struct jsondoc *read_schema(const char *name)
{
    static char room[1 << 20];
    struct jsondoc *doc = NULL;
    struct why why;
    char path[512];
    FILE *file;
    size_t len;

    (void)snprintf(path, sizeof(path), "%s/catalog/%s", SCHEMAS, name);
    file = fopen(path, "r");
    assert_non_null(file);
    len = fread(room, 1, sizeof(room), file);
    (void)fclose(file);
    assert_ok(jsondoc_parse(str_of(room, len), &doc, &why), why);
    return doc;
}

static void every_region_of_the_file_is_known(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = read_schema("regions.json");
    const struct jsondoc *rows = jsondoc_get(doc, "regions");

    (void)state;
    assert_int_equal(jsondoc_len(rows), 28);
    assert_int_equal(catalog_region_count(catalog), 28);
    for (size_t i = 0; i < jsondoc_len(rows); i++) {
        const struct jsondoc *row = jsondoc_at(rows, i);
        const struct catalog_region *region =
            catalog_region(catalog, jsondoc_str_or(row, "id", STR("")));

        assert_non_null(region);
        assert_ptr_equal(region, catalog_region_at(catalog, i));
        assert_str_eq(region->name, jsondoc_str_or(row, "name", STR("")));
        assert_int_equal(region->deployed, jsondoc_bool(row, "deployed"));
    }
    assert_null(catalog_region(catalog, STR("cn-atlantis")));
    assert_null(catalog_region(catalog, STR("CN-HANGZHOU")));
    assert_null(catalog_region(catalog, STR("")));
}

static void a_region_is_recorded_where_one_is_deployed_in_its_partition(void **state)
{
    (void)state;
    for (size_t i = 0; i < catalog_region_count(catalog); i++) {
        const struct catalog_region *region = catalog_region_at(catalog, i);
        const struct catalog_region *recorded = catalog_region(catalog, region->topic_region);

        assert_non_null(recorded);
        assert_true(recorded->deployed);
        assert_str_eq(recorded->partition, region->partition);
        if (region->deployed)
            assert_ptr_equal(recorded, region);
    }
    assert_str_eq(catalog_region(catalog, STR("cn-beijing-finance-1"))->topic_region,
                  STR("cn-shanghai-finance-1"));
}

static struct str folded(struct str code, bool upper, char room[64])
{
    assert_in_range(code.len, 1, 63);
    for (size_t i = 0; i < code.len; i++) {
        char c = code.at[i];

        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        else if (!upper && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        room[i] = c;
    }
    return str_of(room, code.len);
}

static void every_code_of_105_services_is_known_in_any_case(void **state)
{
    AUTO(jsondoc_free) struct jsondoc *doc = read_schema("services.json");
    const struct jsondoc *rows = jsondoc_get(doc, "services");
    char room[64];

    (void)state;
    assert_int_equal(jsondoc_len(rows), 105);
    assert_int_equal(catalog_service_count(catalog), 102); /* five share Vpc, Domains has two */
    for (size_t i = 0; i < jsondoc_len(rows); i++) {
        const struct jsondoc *row = jsondoc_at(rows, i), *codes = jsondoc_get(row, "codes");

        for (size_t j = 0; j < jsondoc_len(codes); j++) {
            const struct catalog_service *service;
            struct str code;

            assert_true(jsondoc_text(jsondoc_at(codes, j), &code));
            service = catalog_service(catalog, code);
            assert_non_null(service);
            assert_int_equal(catalog_global(service), jsondoc_bool(row, "global"));
            assert_ptr_equal(catalog_service(catalog, folded(code, true, room)), service);
            assert_ptr_equal(catalog_service(catalog, folded(code, false, room)), service);
        }
    }
    assert_null(catalog_service(catalog, STR("Atlantis")));
    assert_null(catalog_service(catalog, STR("")));
    assert_null(catalog_service(catalog, STR("Ec")));
}

static enum catalog_verdict judge(const char *code, const char *name, const char *region)
{
    const struct catalog_service *service = catalog_service(catalog, str_from(code));

    assert_non_null(service);
    return catalog_judge(service, str_from(name), str_from(region));
}

static void services_with_special_rules_record_what_these_say(void **state)
{
    static const struct {
        const char *code, *name, *region;
        enum catalog_verdict want;
    } cases[] = {
        {"Ecs", "RunInstances", "cn-hangzhou", CATALOG_RECORDED},
        {"Ecs", "AnythingAtAll", "cn-atlantis", CATALOG_RECORDED},
        {"Oss", "DeleteBucket", "cn-hangzhou", CATALOG_RECORDED},
        {"OSS", "GetBucketAcl", "cn-hangzhou", CATALOG_RECORDED},
        {"Oss", "PutObject", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"Oss", "GetObject", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"Oss", "deletebucket", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"SLS", "CreateProject", "cn-shanghai", CATALOG_RECORDED},
        {"SLS", "PutLogs", "cn-shanghai", CATALOG_DATA_EVENT},
        {"SLS", "GetLogs", "cn-shanghai", CATALOG_DATA_EVENT},
        {"SLS", "CreateProject", "cn-hangzhou", CATALOG_UNSUPPORTED_REGION},
        {"SLS", "PutLogs", "cn-hangzhou", CATALOG_UNSUPPORTED_REGION},
        {"OTS", "PutRow", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"OTS", "InsertInstance", "cn-hangzhou", CATALOG_RECORDED},
        {"MNS", "SendMessage", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"MNS", "CreateQueue", "cn-hangzhou", CATALOG_RECORDED},
        {"Ons", "ReceiveMessage", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"Ons", "OnsMessageGetByMsgId", "cn-hangzhou", CATALOG_RECORDED},
        {"PAI", "CreateJob", "cn-hangzhou", CATALOG_RECORDED},
        {"PAI", "CreateNotebook", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"Kms", "DescribeRegions", "cn-hangzhou", CATALOG_DATA_EVENT},
        {"Kms", "Decrypt", "cn-hangzhou", CATALOG_RECORDED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (judge(cases[i].code, cases[i].name, cases[i].region) != cases[i].want)
            fail_msg("%s %s in %s", cases[i].code, cases[i].name, cases[i].region);
}

static void reading_follows_the_verb_where_no_rule_says_it(void **state)
{
    static const char *const reads[] = {
        "GetObject",    "ListUsers",   "DescribeInstances", "QueryPrice", "CheckPolicy",
        "LookupEvents", "SearchDocs",  "HeadBucket",        "CountRows",  "PreviewPlan",
        "DownloadKeys", "ExportTable", "BatchGetRow",       "Get"};
    static const char *const writes[] = {
        "RunInstances",  "CreateUser",    "AssumeRole", "Decrypt",   "getObject", "",
        "ConsoleSignin", "BatchWriteRow", "Ge",         "PutObject", "Restart"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        assert_true(catalog_reads(NULL, str_from(reads[i])));
    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        assert_false(catalog_reads(NULL, str_from(writes[i])));
}

static void load(const char *overlay)
{
    struct why why = {0};

    catalog_free(catalog);
    catalog = NULL;
    assert_ok(catalog_load(str_from(overlay), &catalog, &why), why);
}

static void an_operator_s_service_is_added(void **state)
{
    (void)state;
    load("{\"services\":[{\"codes\":[\"Vault\",\"Vault2\"],\"global\":true,\"rule\":{\"deny\":["
         "\"Peek\"],"
         "\"read\":[\"Unseal\"],\"write\":[\"GetAndBurn\"]}}]}");
    assert_int_equal(catalog_service_count(catalog), 104);
    assert_true(catalog_global(catalog_service(catalog, STR("vault2"))));
    assert_int_equal(judge("Vault", "Peek", "x"), CATALOG_DATA_EVENT);
    assert_int_equal(judge("Vault", "Look", "x"), CATALOG_RECORDED);
    assert_true(catalog_reads(catalog_service(catalog, STR("Vault")), STR("Unseal")));
    assert_false(catalog_reads(catalog_service(catalog, STR("Vault")), STR("GetAndBurn")));
    assert_true(catalog_reads(catalog_service(catalog, STR("Vault")), STR("GetIt")));
    assert_non_null(catalog_service(catalog, STR("Ecs")));
}

static void an_operator_s_row_replaces_the_one_of_its_code(void **state)
{
    (void)state;
    load("{\"services\":[{\"codes\":[\"OSS\"]},{\"codes\":[\"ram\"],\"rule\":{\"regions\":[\"cn-"
         "hangzhou\"]}}]}");
    assert_int_equal(catalog_service_count(catalog), 102);
    assert_int_equal(judge("Oss", "PutObject", "x"), CATALOG_RECORDED);
    assert_false(catalog_global(catalog_service(catalog, STR("Ram"))));
    assert_int_equal(judge("Ram", "CreateUser", "cn-hangzhou"), CATALOG_RECORDED);
    assert_int_equal(judge("Ram", "CreateUser", "cn-beijing"), CATALOG_UNSUPPORTED_REGION);
}

static void an_operator_s_region_is_added_or_replaces_one(void **state)
{
    const struct catalog_region *region;

    (void)state;
    load("{\"regions\":[{\"id\":\"dc-1\"},{\"id\":\"cn-hangzhou\",\"name\":\"Ours\","
         "\"topicRegion\":\"dc-1\"}]}");
    assert_int_equal(catalog_region_count(catalog), 29);
    region = catalog_region(catalog, STR("dc-1"));
    assert_str_eq(region->name, STR("dc-1"));
    assert_str_eq(region->topic_region, STR("dc-1"));
    assert_str_eq(region->partition, STR("public"));
    region = catalog_region(catalog, STR("cn-hangzhou"));
    assert_str_eq(region->name, STR("Ours"));
    assert_str_eq(region->topic_region, STR("dc-1"));
    assert_false(region->deployed);
}

static void an_operator_s_mistake_is_named(void **state)
{
    static const char *const cases[][2] = {
        {"{", "catalog: JSON, line 1"},
        {"[]", "catalog: an object of \"regions\" and \"services\" was expected"},
        {"{\"service\":[]}", "catalog: \"service\" is none of \"regions\" and \"services\""},
        {"{\"services\":{}}", "catalog: \"services\" must be a list"},
        {"{\"regions\":[{\"name\":\"x\"}]}", "catalog: region 1 has no \"id\""},
        {"{\"regions\":[{\"id\":\"a\"},{\"id\":\"\"}]}", "catalog: region 2 has no \"id\""},
        {"{\"services\":[{\"name\":\"x\"}]}", "catalog: service 1 has no \"codes\""},
        {"{\"services\":[{\"codes\":[]}]}", "catalog: service 1 has no \"codes\""},
        {"{\"services\":[{\"codes\":[\"a\"]},{\"codes\":[\"b\",\"\"]}]}",
         "catalog: service 2 has an empty code"},
        {"{\"services\":[{\"codes\":[\"a\"],\"rule\":[]}]}",
         "catalog: the \"rule\" of a must be an object"},
        {"{\"services\":[{\"codes\":[\"a\"],\"rule\":{\"denied\":[]}}]}",
         "catalog: the rule of a has no part \"denied\""},
        {"{\"services\":[{\"codes\":[\"a\"],\"rule\":{\"deny\":\"x\"}}]}",
         "catalog: \"deny\" must be a list of at most 1024 names"},
        {"{\"services\":[{\"codes\":[\"a\"],\"rule\":{\"allow\":[1]}}]}",
         "catalog: \"allow\" must hold names"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct catalog *none = NULL;
        struct why why = {0};

        assert_int_equal(catalog_load(str_from(cases[i][0]), &none, &why), -ERR_CONFIG);
        assert_null(none);
        if (!str_starts(str_from(why.text), str_from(cases[i][1])))
            fail_msg("%s: \"%s\", wanted \"%s\"", cases[i][0], why.text, cases[i][1]);
    }
}

static void more_services_than_there_is_room_for_are_refused(void **state)
{
    AUTO_BUF struct buf text = {0};
    struct catalog *none = NULL;
    struct why why;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_str(&text, STR("{\"services\":[{\"codes\":[\"c\""));
    for (int i = 0; i < CATALOG_SERVICES_MAX; i++)
        buf_addf(&text, ",\"c%d\"", i);
    buf_add_str(&text, STR("]}]}"));
    assert_int_equal(catalog_load(buf_str(&text), &none, &why), -ERR_CONFIG);
    assert_string_equal(why.text, "catalog: more than 4096 services");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(every_region_of_the_file_is_known),
      CASE(a_region_is_recorded_where_one_is_deployed_in_its_partition),
      CASE(every_code_of_105_services_is_known_in_any_case),
      CASE(services_with_special_rules_record_what_these_say),
      CASE(reading_follows_the_verb_where_no_rule_says_it), CASE(an_operator_s_service_is_added),
      CASE(an_operator_s_row_replaces_the_one_of_its_code),
      CASE(an_operator_s_region_is_added_or_replaces_one), CASE(an_operator_s_mistake_is_named),
      CASE(more_services_than_there_is_room_for_are_refused))
