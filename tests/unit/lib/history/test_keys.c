/* test_keys.c - attributes, pairs and the keys of events and queries. */
#include "history/keys.h"

#include "test.h"

static const struct keys_secret secret = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static struct event event_of_tests(void)
{
    return (struct event){
        .id = STR("id-1"),
        .account = STR("1001"),
        .rw = EVENT_READ,
        .service = STR("Ecs"),
        .name = STR("DescribeInstances"),
        .type = STR("ApiCall"),
        .user = STR("alice"),
        .principal = STR("2001"),
        .access_key = STR("LTAI1"),
        .source_ip = STR("192.0.2.1"),
        .resources = {{STR("ACS::ECS::Instance"), STR("i-1")}, {STR("ACS::ECS::Disk"), STR("d-1")}},
        .resource_count = 2,
    };
}

static bool event_has(const struct event *event, enum keys_scope scope,
                      const struct history_filter *filters, size_t count)
{
    int64_t keys[KEYS_MAX], wanted;
    size_t key_count = keys_of_event(&secret, event, keys);
    wanted = keys_of_query(&secret, scope, event->account, filters, count);
    for (size_t i = 0; i < key_count; i++)
        if (keys[i] == wanted)
            return true;
    return false;
}

static bool has(enum history_attribute attribute, struct str value)
{
    struct event event = event_of_tests();
    return event_has(&event, KEYS_ALL, &(struct history_filter){attribute, value}, 1);
}

static bool has_both(enum history_attribute a, struct str one, enum history_attribute b,
                     struct str two)
{
    struct event event = event_of_tests();
    struct history_filter filters[] = {{a, one}, {b, two}};
    return event_has(&event, KEYS_ALL, filters, 2);
}

static void siphash_gives_the_values_of_its_paper(void **state)
{
    unsigned char bytes[64];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    assert_true(siphash24(secret.bytes, str_of(bytes, 0)) == 0x726fdb47dd0e0e31);
    assert_true(siphash24(secret.bytes, str_of(bytes, 1)) == 0x74f839c593dc67fd);
    assert_true(siphash24(secret.bytes, str_of(bytes, 8)) == 0x93f5f5799a932462);
    assert_true(siphash24(secret.bytes, str_of(bytes, 15)) == 0xa129ca6149be45e5);
    assert_true(siphash24(secret.bytes, str_of(bytes, 63)) == 0x958a324ceb064572);
}

static void attributes_have_the_names_of_the_api(void **state)
{
    enum history_attribute attribute;
    (void)state;
    for (int i = 0; i < HISTORY_ATTRIBUTE_COUNT; i++) {
        const char *name = history_attribute_name((enum history_attribute)i);
        assert_true(history_attribute_parse(str_from(name), &attribute));
        assert_int_equal(attribute, i);
    }
    assert_true(history_attribute_parse(STR("EventAccessKeyId"), &attribute));
    assert_int_equal(attribute, HISTORY_ACCESS_KEY_ID);
    assert_false(history_attribute_parse(STR("eventname"), &attribute));
    assert_false(history_attribute_parse(STR(""), &attribute));
}

static void pairs_are_valid_in_either_order_and_no_others_are(void **state)
{
    size_t valid = 0;
    (void)state;
    for (int a = 0; a < HISTORY_ATTRIBUTE_COUNT; a++)
        for (int b = 0; b < HISTORY_ATTRIBUTE_COUNT; b++)
            valid += history_pair_valid((enum history_attribute)a, (enum history_attribute)b);
    assert_int_equal(valid, 2 * 13);
    assert_true(history_pair_valid(HISTORY_RESOURCE_NAME, HISTORY_RESOURCE_TYPE));
    assert_true(history_pair_valid(HISTORY_EVENT_TYPE, HISTORY_EVENT_NAME));
    assert_false(history_pair_valid(HISTORY_SERVICE_NAME, HISTORY_EVENT_ID));
    assert_false(history_pair_valid(HISTORY_USER, HISTORY_USER));
}

static void an_event_is_found_by_each_attribute_that_it_has(void **state)
{
    (void)state;
    assert_true(has(HISTORY_SERVICE_NAME, STR("Ecs")));
    assert_true(has(HISTORY_EVENT_NAME, STR("DescribeInstances")));
    assert_true(has(HISTORY_USER, STR("alice")));
    assert_true(has(HISTORY_EVENT_ID, STR("id-1")));
    assert_true(has(HISTORY_RESOURCE_TYPE, STR("ACS::ECS::Disk")));
    assert_true(has(HISTORY_RESOURCE_NAME, STR("i-1")));
    assert_true(has(HISTORY_EVENT_RW, STR("Read")));
    assert_true(has(HISTORY_ACCESS_KEY_ID, STR("LTAI1")));
    assert_true(has(HISTORY_SOURCE_IP_ADDRESS, STR("192.0.2.1")));
    assert_true(has(HISTORY_EVENT_TYPE, STR("ApiCall")));
    assert_true(has(HISTORY_PRINCIPAL_ID, STR("2001")));
    assert_false(has(HISTORY_EVENT_RW, STR("Write")));
    assert_false(has(HISTORY_SENSITIVE_ACTION, STR("true")));
    assert_false(has(HISTORY_ROLE_NAME, STR("")));
}

static void only_the_service_is_found_in_either_case(void **state)
{
    (void)state;
    assert_true(has(HISTORY_SERVICE_NAME, STR("ECS")));
    assert_true(
        has_both(HISTORY_SERVICE_NAME, STR("eCS"), HISTORY_EVENT_NAME, STR("DescribeInstances")));
    assert_false(has(HISTORY_EVENT_NAME, STR("describeinstances")));
    assert_false(has(HISTORY_USER, STR("Alice")));
}

static void a_pair_is_found_in_either_order(void **state)
{
    (void)state;
    assert_true(has_both(HISTORY_SERVICE_NAME, STR("Ecs"), HISTORY_USER, STR("alice")));
    assert_true(has_both(HISTORY_USER, STR("alice"), HISTORY_SERVICE_NAME, STR("Ecs")));
    assert_false(has_both(HISTORY_USER, STR("bob"), HISTORY_SERVICE_NAME, STR("Ecs")));
}

static void a_resources_name_and_type_are_of_one_resource(void **state)
{
    (void)state;
    assert_true(has_both(HISTORY_RESOURCE_NAME, STR("i-1"), HISTORY_RESOURCE_TYPE,
                         STR("ACS::ECS::Instance")));
    assert_false(
        has_both(HISTORY_RESOURCE_NAME, STR("i-1"), HISTORY_RESOURCE_TYPE, STR("ACS::ECS::Disk")));
}

static void only_global_events_are_found_among_the_global_ones(void **state)
{
    struct event event = event_of_tests();
    struct history_filter filter = {HISTORY_USER, STR("alice")};
    (void)state;
    assert_false(event_has(&event, KEYS_GLOBAL, NULL, 0));
    event.global = true;
    assert_true(event_has(&event, KEYS_GLOBAL, NULL, 0));
    assert_true(event_has(&event, KEYS_GLOBAL, &filter, 1));
    assert_true(event_has(&event, KEYS_ALL, &filter, 1));
}

static void no_account_has_the_keys_of_another(void **state)
{
    (void)state;
    assert_true(keys_of_query(&secret, KEYS_ALL, STR("1001"), NULL, 0) !=
                keys_of_query(&secret, KEYS_ALL, STR("1002"), NULL, 0));
}

static void an_event_with_all_that_an_event_can_have_fits(void **state)
{
    static int64_t keys[KEYS_MAX];
    struct event event = event_of_tests();
    (void)state;
    event.global = event.sensitive = true;
    event.role = STR("admin");
    event.resource_count = EVENT_RESOURCES_MAX;
    for (size_t i = 0; i < EVENT_RESOURCES_MAX; i++)
        event.resources[i] = (struct event_resource){STR("type"), STR("name")};
    assert_int_equal(keys_of_event(&secret, &event, keys), KEYS_MAX);
}

TESTS(TEST(siphash_gives_the_values_of_its_paper), TEST(attributes_have_the_names_of_the_api),
      TEST(pairs_are_valid_in_either_order_and_no_others_are),
      TEST(an_event_is_found_by_each_attribute_that_it_has),
      TEST(only_the_service_is_found_in_either_case), TEST(a_pair_is_found_in_either_order),
      TEST(a_resources_name_and_type_are_of_one_resource),
      TEST(only_global_events_are_found_among_the_global_ones),
      TEST(no_account_has_the_keys_of_another), TEST(an_event_with_all_that_an_event_can_have_fits))
