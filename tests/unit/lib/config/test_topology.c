/* test_topology.c - which region keeps global events. */
#include "config/common.h"
#include "test.h"

static struct topology_section two_regions(struct str storage)
{
    return (struct topology_section){
        .regions = {.at = {STR("cn-hangzhou"), STR("ap-southeast-1")}, .count = 2},
        .global_storage_region = storage};
}

static void the_first_region_keeps_global_events_unless_another_is_named(void **state)
{
    struct topology_section first = two_regions(STR("")),
                            second = two_regions(STR("ap-southeast-1"));

    (void)state;
    assert_int_equal(topology_check(&first, NULL), 0);
    assert_str_eq(topology_storage_region(&first), STR("cn-hangzhou"));
    assert_int_equal(topology_check(&second, NULL), 0);
    assert_str_eq(topology_storage_region(&second), STR("ap-southeast-1"));
}

static void a_region_that_is_not_deployed_keeps_nothing(void **state)
{
    struct topology_section topology = two_regions(STR("cn-beijing"));
    struct why why = {0};

    (void)state;
    assert_int_equal(topology_check(&topology, &why), -ERR_CONFIG);
    assert_non_null(strstr(why.text, "\"cn-beijing\""));
}

static void there_is_a_region(void **state)
{
    struct topology_section topology = {0};

    (void)state;
    assert_int_equal(topology_check(&topology, NULL), -ERR_CONFIG);
}

/* As many as the list of a file holds would not do: the normalizer keeps a name for each. */
static void there_are_no_more_regions_than_are_counted(void **state)
{
    struct topology_section topology = {.regions = {.count = TOPOLOGY_REGIONS_MAX}};

    (void)state;
    for (size_t i = 0; i < CONFIG_STRS_MAX; i++)
        topology.regions.at[i] = STR("cn-hangzhou");
    assert_int_equal(topology_check(&topology, NULL), 0);
    topology.regions.count++;
    assert_int_equal(topology_check(&topology, NULL), -ERR_CONFIG);
}

TESTS(TEST(the_first_region_keeps_global_events_unless_another_is_named),
      TEST(a_region_that_is_not_deployed_keeps_nothing), TEST(there_is_a_region),
      TEST(there_are_no_more_regions_than_are_counted))
