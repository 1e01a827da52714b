/* test_change.c - what requests make of trails, and what they may not. */
#include <stdio.h>

#include "change.h"
#include "test.h"

#define NOW_S   1767225600
#define ACCOUNT "1234567890123456"

struct world {
    struct control *control;
    struct catalog *catalog;
    struct arena *arena;
    struct rpc_call call;
    struct rpc_failure failure;
    struct change_plan plan;
};

static void world_open(struct world *w)
{
    *w = (struct world){.control = control_new(), .arena = arena_new(1 << 20)};
    assert_int_equal(catalog_load(STR_NONE, &w->catalog, NULL), 0);
    assert_non_null(w->control);
    assert_non_null(w->arena);
}

static void world_close(struct world *w)
{
    control_free(w->control);
    catalog_free(w->catalog);
    arena_free(w->arena);
}

/* `params`: name, value, …, NULL */
static int plan(struct world *w, enum change_kind kind, const char *account, const char *region,
                const char *const *params)
{
    struct change_request request = {.kind = kind,
                                     .account = str_from(account),
                                     .region = str_from(region),
                                     .call = &w->call,
                                     .catalog = w->catalog,
                                     .new_id = STR("7A5C0E1F-0000-4000-8000-000000000001"),
                                     .now_s = NOW_S};

    w->call = (struct rpc_call){0};
    w->failure = (struct rpc_failure){0};
    for (; params[0]; params += 2)
        w->call.params[w->call.param_count++] =
            (struct sign_pair){str_from(params[0]), str_from(params[1])};
    return change_plan(w->control, &request, w->arena, &w->plan, &w->failure);
}
#define PLAN(w, kind, ...)                                                                         \
    plan(w, kind, ACCOUNT, "cn-hangzhou", (const char *const[]){__VA_ARGS__, NULL, NULL})

/* As if the plan had been written. */
static void carry_out(struct world *w, const char *id)
{
    AUTO_BUF struct buf key = {0}, value = {0};
    struct trail_version v = w->plan.next;

    if (!w->plan.old)
        v.id = str_from(id);
    buf_init(&key, 1024);
    buf_init(&value, 65536);
    control_trail_key(&v, &key);
    assert_int_equal(trail_version_render(&v, true, &value), 0);
    assert_int_equal(control_apply(w->control, buf_str(&key), buf_str(&value), false, NULL), 0);
}

static void make(struct world *w, const char *account, const char *region, const char *id,
                 const char *name, const char *bucket)
{
    assert_int_equal(plan(w, CHANGE_CREATE, account, region,
                          (const char *const[]){"Name", name, "OssBucketName", bucket, NULL, NULL}),
                     0);
    carry_out(w, id);
}

#define assert_refused(w, expression, wanted)                                                      \
    do {                                                                                           \
        assert_int_equal(expression, -ERR_INVALID);                                                \
        assert_string_equal((w)->failure.code, wanted);                                            \
    } while (0)

static void a_trail_is_born_fresh_and_records_everything_everywhere(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    assert_int_equal(PLAN(&w, CHANGE_CREATE, "Name", "my-trail", "OssBucketName", "audit",
                          "OssKeyPrefix", "prefix"),
                     0);
    assert_true(w.plan.changes);
    assert_true(w.plan.new_destination);
    assert_int_equal(w.plan.next.version, 1);
    assert_int_equal(w.plan.next.rw, TRAIL_RW_ALL);
    assert_str_eq(w.plan.next.regions, STR("All"));
    assert_str_eq(w.plan.next.home_region, STR("cn-hangzhou"));
    assert_str_eq(trail_status_name(&w.plan.next), STR("Fresh"));
    assert_int_equal(w.plan.next.destination_count, 1);
    assert_str_eq(w.plan.next.destinations[0].prefix, STR("prefix"));
    world_close(&w);
}

static void parameters_that_break_a_rule_are_refused_by_its_code(void **state)
{
    static const struct {
        const char *code, *params[8];
    } cases[] = {
        {"MissingParameter", {"OssBucketName", "audit"}},
        {"InvalidTrailNameException", {"Name", "short", "OssBucketName", "audit"}},
        {"InvalidTrailNameException", {"Name", "1-trail", "OssBucketName", "audit"}},
        {"InvalidTrailNameException", {"Name", "Upper-trail", "OssBucketName", "audit"}},
        {"InvalidDeliveryConfigurationException", {"Name", "my-trail"}},
        {"InvalidQueryParameter", {"Name", "my-trail", "OssBucketName", "No_Bucket"}},
        {"InvalidPrefixException",
         {"Name", "my-trail", "OssBucketName", "audit", "OssKeyPrefix", "short"}},
        {"InvalidPrefixException",
         {"Name", "my-trail", "OssBucketName", "audit", "OssKeyPrefix", "1prefix"}},
        {"InvalidQueryParameter",
         {"Name", "my-trail", "OssBucketName", "audit", "EventRW", "write"}},
        {"InvalidQueryParameter",
         {"Name", "my-trail", "OssBucketName", "audit", "TrailRegion", "cn-nowhere"}},
        {"InvalidQueryParameter",
         {"Name", "my-trail", "OssBucketName", "audit", "TrailRegion", "cn-hangzhou,,cn-beijing"}},
        {"NotAllowCreateOrganizationTrail",
         {"Name", "my-trail", "OssBucketName", "audit", "IsOrganizationTrail", "True"}},
        {"SlsProjectDoesNotExistException",
         {"Name", "my-trail", "SlsProjectArn", "acs:log:cn-hangzhou:1:project/p"}},
        {"InvalidDeliveryConfigurationException",
         {"Name", "my-trail", "MaxComputeProjectArn", "acs:odps:cn-hangzhou:1:project/p"}},
        {"InvalidDeliveryConfigurationException",
         {"Name", "my-trail", "OssBucketName", "audit", "OssWriteRoleArn",
          "acs:ram::9:role/other"}},
    };
    struct world w;
    (void)state;

    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_refused(&w, plan(&w, CHANGE_CREATE, ACCOUNT, "cn-hangzhou", cases[i].params),
                       cases[i].code);
    world_close(&w);
}

static void regions_are_listed_once_and_without_spaces(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    assert_int_equal(PLAN(&w, CHANGE_CREATE, "Name", "my-trail", "OssBucketName", "audit",
                          "TrailRegion", "cn-hangzhou, cn-beijing ,cn-hangzhou"),
                     0);
    assert_str_eq(w.plan.next.regions, STR("cn-hangzhou,cn-beijing"));
    assert_true(change_concerns(&w.plan, STR("cn-beijing")));
    assert_false(change_concerns(&w.plan, STR("cn-shanghai")));
    world_close(&w);
}

static void a_name_is_unique_in_the_account_and_free_again_after_deletion(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_refused(&w, PLAN(&w, CHANGE_CREATE, "Name", "my-trail", "OssBucketName", "other"),
                   "TrailAlreadyExistsException");
    assert_refused(&w,
                   plan(&w, CHANGE_CREATE, ACCOUNT, "cn-beijing",
                        (const char *const[]){"Name", "my-trail", "OssBucketName", "other", NULL}),
                   "TrailAlreadyExistsException");
    make(&w, "9999999999999999", "cn-hangzhou", "id-2", "my-trail", "their-bucket");

    assert_int_equal(PLAN(&w, CHANGE_DELETE, "Name", "my-trail"), 0);
    assert_true(w.plan.next.deleted);
    assert_false(w.plan.next.logging);
    carry_out(&w, NULL);
    assert_refused(&w, PLAN(&w, CHANGE_START, "Name", "my-trail"), "TrailNotFoundException");
    assert_int_equal(PLAN(&w, CHANGE_CREATE, "Name", "my-trail", "OssBucketName", "audit"), 0);
    world_close(&w);
}

static void the_sixth_trail_of_a_region_is_refused(void **state)
{
    struct world w;
    char id[16], name[32], bucket[32];
    (void)state;

    world_open(&w);
    for (int i = 0; i < CHANGE_TRAILS_MAX; i++) {
        (void)snprintf(id, sizeof(id), "id-%d", i);
        (void)snprintf(name, sizeof(name), "my-trail-%d", i);
        (void)snprintf(bucket, sizeof(bucket), "bucket-%d", i);
        make(&w, ACCOUNT, "cn-hangzhou", id, name, bucket);
    }
    assert_refused(&w, PLAN(&w, CHANGE_CREATE, "Name", "one-more", "OssBucketName", "audit"),
                   "MaximumNumberOfTrailsExceededException");
    make(&w, ACCOUNT, "cn-beijing", "id-x", "elsewhere", "audit");
    make(&w, "9999999999999999", "cn-hangzhou", "id-y", "somebody-elses", "audit-2");
    world_close(&w);
}

static void bucket_and_prefix_belong_to_one_trail_of_all_accounts(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, "9999999999999999", "cn-hangzhou", "id-1", "their-trail", "audit");
    assert_refused(&w, PLAN(&w, CHANGE_CREATE, "Name", "my-trail", "OssBucketName", "audit"),
                   "RepeatOssBucket");
    assert_int_equal(PLAN(&w, CHANGE_CREATE, "Name", "my-trail", "OssBucketName", "audit",
                          "OssKeyPrefix", "prefix"),
                     0);
    carry_out(&w, "id-2");
    assert_refused(&w, PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "OssKeyPrefix", ""),
                   "RepeatOssBucket");
    assert_refused(&w,
                   PLAN(&w, CHANGE_CREATE, "Name", "my-other-trail", "OssBucketName", "audit",
                        "OssKeyPrefix", "prefix/"),
                   "RepeatOssBucket");
    world_close(&w);
}

static void an_update_keeps_what_it_does_not_name(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "EventRW", "Write"), 0);
    assert_true(w.plan.changes);
    assert_false(w.plan.new_destination);
    assert_int_equal(w.plan.next.version, 2);
    assert_int_equal(w.plan.next.rw, TRAIL_RW_WRITE);
    assert_str_eq(trail_version_destination(&w.plan.next)->bucket, STR("audit"));
    carry_out(&w, NULL);

    assert_int_equal(
        PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "EventRW", "Write", "OssBucketName", "audit"),
        0);
    assert_false(w.plan.changes);
    world_close(&w);
}

static void another_bucket_begins_another_life_of_the_destination(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "OssBucketName", "other"), 0);
    assert_true(w.plan.new_destination);
    assert_int_equal(w.plan.next.destination_count, 2);
    assert_int_equal(w.plan.next.destinations[1].number, 2);
    assert_int_equal(w.plan.next.destinations[1].version, 2);
    assert_str_eq(w.plan.next.destinations[0].bucket, STR("audit"));
    carry_out(&w, NULL);

    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "OssBucketName", "audit"), 0);
    assert_int_equal(w.plan.next.destination_count, 3); /* back again is a third one */
    world_close(&w);
}

static void starting_twice_changes_nothing_the_second_time(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_int_equal(PLAN(&w, CHANGE_STOP, "Name", "my-trail"), 0);
    assert_false(w.plan.changes);
    assert_int_equal(PLAN(&w, CHANGE_START, "Name", "my-trail"), 0);
    assert_true(w.plan.changes);
    assert_str_eq(trail_status_name(&w.plan.next), STR("Enable"));
    carry_out(&w, NULL);
    assert_int_equal(PLAN(&w, CHANGE_START, "Name", "my-trail"), 0);
    assert_false(w.plan.changes);
    assert_int_equal(PLAN(&w, CHANGE_STOP, "Name", "my-trail"), 0);
    assert_str_eq(trail_status_name(&w.plan.next), STR("Disable"));
    assert_int_equal(w.plan.next.stopped_s, NOW_S);
    world_close(&w);
}

static void a_trail_is_changed_in_its_home_region_only(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_refused(&w,
                   plan(&w, CHANGE_STOP, ACCOUNT, "cn-beijing",
                        (const char *const[]){"Name", "my-trail", NULL}),
                   "TrailNotFoundException");
    assert_refused(&w,
                   plan(&w, CHANGE_STOP, "9999999999999999", "cn-hangzhou",
                        (const char *const[]){"Name", "my-trail", NULL}),
                   "TrailNotFoundException");
    world_close(&w);
}

static void a_narrowed_trail_still_concerns_the_regions_that_it_leaves(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "TrailRegion", "cn-beijing"), 0);
    assert_true(change_concerns(&w.plan, STR("cn-shanghai"))); /* was in All */
    assert_true(change_concerns(&w.plan, STR("cn-hangzhou"))); /* home */
    carry_out(&w, NULL);
    assert_int_equal(PLAN(&w, CHANGE_START, "Name", "my-trail"), 0);
    assert_false(change_concerns(&w.plan, STR("cn-shanghai")));
    assert_true(change_concerns(&w.plan, STR("cn-hangzhou")));
    world_close(&w);
}

static void what_delivers_less_narrows(void **state)
{
    struct world w;
    (void)state;

    world_open(&w);
    make(&w, ACCOUNT, "cn-hangzhou", "id-1", "my-trail", "audit");
    assert_int_equal(PLAN(&w, CHANGE_DELETE, "Name", "my-trail"), 0);
    assert_false(change_narrows(&w.plan)); /* it delivers nothing yet */
    assert_int_equal(PLAN(&w, CHANGE_START, "Name", "my-trail"), 0);
    assert_false(change_narrows(&w.plan));
    carry_out(&w, NULL);

    assert_int_equal(PLAN(&w, CHANGE_STOP, "Name", "my-trail"), 0);
    assert_true(change_narrows(&w.plan));
    assert_int_equal(PLAN(&w, CHANGE_DELETE, "Name", "my-trail"), 0);
    assert_true(change_narrows(&w.plan));
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "EventRW", "Read"), 0);
    assert_true(change_narrows(&w.plan));
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "OssBucketName", "other"), 0);
    assert_true(change_narrows(&w.plan));
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "TrailRegion", "cn-beijing"), 0);
    assert_true(change_narrows(&w.plan));
    carry_out(&w, NULL);

    assert_int_equal(
        PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "TrailRegion", "cn-shanghai,cn-beijing"), 0);
    assert_false(change_narrows(&w.plan));
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "TrailRegion", "All"), 0);
    assert_false(change_narrows(&w.plan));
    assert_int_equal(PLAN(&w, CHANGE_UPDATE, "Name", "my-trail", "TrailRegion", "cn-shanghai"), 0);
    assert_true(change_narrows(&w.plan));
    world_close(&w);
}

TESTS(TEST(what_delivers_less_narrows),
      TEST(a_trail_is_born_fresh_and_records_everything_everywhere),
      TEST(parameters_that_break_a_rule_are_refused_by_its_code),
      TEST(regions_are_listed_once_and_without_spaces),
      TEST(a_name_is_unique_in_the_account_and_free_again_after_deletion),
      TEST(the_sixth_trail_of_a_region_is_refused),
      TEST(bucket_and_prefix_belong_to_one_trail_of_all_accounts),
      TEST(an_update_keeps_what_it_does_not_name),
      TEST(another_bucket_begins_another_life_of_the_destination),
      TEST(starting_twice_changes_nothing_the_second_time),
      TEST(a_trail_is_changed_in_its_home_region_only),
      TEST(a_narrowed_trail_still_concerns_the_regions_that_it_leaves))
