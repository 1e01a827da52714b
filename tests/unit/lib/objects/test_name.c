/* Keys and signed metadata: what makes the bucket a ledger. */
#include "objects/name.h"

#include <stdio.h>

#include "test.h"

#define CHAIN  "0123456789abcdef"
#define BUCKET STR("audit-log")
#define KEY    STR("p/AliyunLogs/Actiontrail/cn-hangzhou/2027/01/15/x.gz")

static const struct crypto_key key = {{1, 2, 3}};

static void a_key_is_made_of_its_first_record_and_the_chain(void **state)
{
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, OBJECT_KEY_SIZE_MAX);
    object_key(STR("at/x"), STR("Actiontrail"), STR("cn-hangzhou"), 1800000000999, 7, 42,
               STR(CHAIN), &out);
    assert_str_eq(buf_str(&out),
                  STR("at/x/AliyunLogs/Actiontrail/cn-hangzhou/2027/01/15/"
                      "Actiontrail_cn-hangzhou_20270115080000_7_00000000000000000042_" CHAIN
                      ".gz"));
    buf_reset(&out);
    object_day_prefix(STR(""), STR("Actiontrail"), STR("cn-hangzhou"), 1800000000999, &out);
    assert_str_eq(buf_str(&out), STR("AliyunLogs/Actiontrail/cn-hangzhou/2027/01/15/"));
    buf_reset(&out);
    object_folder(STR("with/"), STR("Actiontrail-Insight"), STR("r"), &out);
    assert_str_eq(buf_str(&out), STR("with/AliyunLogs/Actiontrail-Insight/r/"));
}

static void a_listed_key_says_what_it_was_made_of(void **state)
{
    static const int64_t firsts[] = {0, 1, 1LL << 40, INT64_MAX};
    AUTO_BUF struct buf out = {0};
    struct object_name name;

    (void)state;
    buf_init(&out, OBJECT_KEY_SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        buf_reset(&out);
        object_key(STR("a_b"), STR("Actiontrail"), STR("cn-hangzhou"), 1800000000000, INT32_MAX,
                   firsts[i], STR(CHAIN), &out);
        assert_true(object_name_parse(buf_str(&out), &name));
        assert_true(name.time_s == 1800000000 && name.first == firsts[i]);
        assert_int_equal(name.partition, INT32_MAX);
        assert_str_eq(name.chain, STR(CHAIN));
    }
}

#define NAMED(time, partition, first, chain) "x_" time "_" partition "_" first "_" chain ".gz"
#define FIRST                                "00000000000000000042"

static void a_key_of_another_form_is_no_object_of_ours(void **state)
{
    static const char *const others[] = {
        "",
        ".gz",
        "____.gz",
        "notes.txt",
        NAMED("20270115080000", "7", FIRST, CHAIN) ".gz.bak",
        NAMED("20270115080000", "7", FIRST, CHAIN) "x",
        NAMED("20270230080000", "7", FIRST, CHAIN),
        NAMED("2027011508000", "7", FIRST, CHAIN),
        NAMED("20270115240000", "7", FIRST, CHAIN),
        NAMED("2027-1-1508000", "7", FIRST, CHAIN),
        NAMED("20270115080000", "", FIRST, CHAIN),
        NAMED("20270115080000", "-7", FIRST, CHAIN),
        NAMED("20270115080000", "07", FIRST, CHAIN),
        NAMED("20270115080000", "2147483648", FIRST, CHAIN),
        NAMED("20270115080000", "7", "42", CHAIN),
        NAMED("20270115080000", "7", "-0000000000000000042", CHAIN),
        NAMED("20270115080000", "7", "-0000000000000000000", CHAIN),
        NAMED("20270115080000", "7", "09223372036854775808", CHAIN),
        NAMED("20270115080000", "7", "99999999999999999999", CHAIN),
        NAMED("20270115080000", "7", FIRST, "0123456789abcde"),
        NAMED("20270115080000", "7", FIRST, "0123456789abcdef0"),
        NAMED("20270115080000", "7", FIRST, "0123456789abcdeg"),
        NAMED("20270115080000", "7", FIRST, "0123456789ABCDEF"),
        /* ActionTrail's own: …_1002_<count>_<size>_<md5>.gz */
        "Actiontrail_ap-southeast-6_20260925070451_1002_4_1146_8d2a62c7317236ee7bf50184a428d8a9.gz",
    };
    struct object_name name;

    (void)state;
    assert_true(object_name_parse(STR(NAMED("20270115080000", "7", FIRST, CHAIN)), &name));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (object_name_parse(str_from(others[i]), &name))
            fail_msg("taken: %s", others[i]);
}

/* ---- metadata --------------------------------------------------------------------------------------------- */

static struct object_meta_field fields[OBJECT_META_FIELDS];

static bool get(void *arg, const char *name, struct str *ret)
{
    (void)arg;
    for (size_t i = 0; i < OBJECT_META_FIELDS; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            *ret = str_from(fields[i].value);
            return true;
        }
    }
    return false;
}

static struct object_meta sample(void)
{
    struct object_meta meta = {.chain = CHAIN,
                               .partition = 7,
                               .from = 40,
                               .first = 42,
                               .last = 99,
                               .next = 120,
                               .count = 12,
                               .version = 3,
                               .since = 2,
                               .delivered = 77,
                               .filtered = 5,
                               .lost = 1,
                               .sha256 = {{9, 8, 7}}};

    return meta;
}

static int parse(struct object_meta *ret)
{
    struct why why = {0};
    int r = object_meta_parse(get, NULL, &key, BUCKET, KEY, ret, &why);

    if (r < 0)
        assert_true(str_starts(str_from(why.text), KEY));
    return r;
}

static void metadata_comes_back(void **state)
{
    struct object_meta meta = sample(), got;

    (void)state;
    object_meta_render(&meta, &key, BUCKET, KEY, fields);
    assert_int_equal(parse(&got), 0);
    assert_string_equal(got.chain, meta.chain);
    assert_int_equal(got.partition, 7);
    assert_true(got.from == 40 && got.first == 42 && got.last == 99 && got.next == 120 &&
                got.count == 12 && got.version == 3);
    assert_true(got.since == 2 && got.delivered == 77 && got.filtered == 5 && got.lost == 1);
    assert_memory_equal(got.sha256.bytes, meta.sha256.bytes, SHA256_SIZE);
}

static void an_object_from_before_counts_is_read(void **state)
{
    struct object_meta meta = sample(), got;

    (void)state;
    meta.since = -1;
    object_meta_render(&meta, &key, BUCKET, KEY, fields);
    assert_int_equal(parse(&got), 0);
    assert_true(got.next == 120 && got.since == -1);
}

static void a_field_changed_or_missing_is_found_out(void **state)
{
    struct object_meta meta = sample(), got;

    (void)state;
    for (size_t i = 0; i < OBJECT_META_FIELDS; i++) {
        object_meta_render(&meta, &key, BUCKET, KEY, fields);
        fields[i].value[0] = fields[i].value[0] == '1' ? '2' : '1';
        assert_int_equal(parse(&got), -ERR_INVALID);
        object_meta_render(&meta, &key, BUCKET, KEY, fields);
        fields[i].name[0] = 'x';
        assert_int_equal(parse(&got), -ERR_INVALID);
        object_meta_render(&meta, &key, BUCKET, KEY, fields);
        fields[i].value[0] = '\0';
        assert_int_equal(parse(&got), -ERR_INVALID);
    }
}

static void metadata_belongs_to_its_bucket_its_key_and_its_deployment(void **state)
{
    static const struct crypto_key other = {{1, 2, 4}};
    struct object_meta meta = sample(), got;

    (void)state;
    object_meta_render(&meta, &key, STR("other"), KEY, fields);
    assert_int_equal(parse(&got), -ERR_INVALID);
    object_meta_render(&meta, &key, BUCKET, STR("elsewhere.gz"), fields);
    assert_int_equal(parse(&got), -ERR_INVALID);
    object_meta_render(&meta, &other, BUCKET, KEY, fields);
    assert_int_equal(parse(&got), -ERR_INVALID);
}

static void metadata_that_contradicts_itself_is_refused_though_signed(void **state)
{
    static const struct {
        int64_t from, first, last, next, count;
    } bad[] = {{43, 42, 99, 120, 1}, {40, 42, 41, 120, 1}, {40, 42, 99, 99, 1},
               {40, 42, 99, 120, 0}, {-1, 42, 99, 120, 1}, {40, 42, 99, 120, -1}};
    struct object_meta got;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct object_meta meta = sample();

        meta.from = bad[i].from;
        meta.first = bad[i].first;
        meta.last = bad[i].last;
        meta.next = bad[i].next;
        meta.count = bad[i].count;
        object_meta_render(&meta, &key, BUCKET, KEY, fields);
        assert_int_equal(parse(&got), -ERR_INVALID);
    }
}

static bool get_long(void *arg, const char *name, struct str *ret)
{
    static char room[4096];

    (void)arg, (void)name;
    memset(room, '1', sizeof(room));
    *ret = str_of(room, sizeof(room));
    return true;
}

static void metadata_of_any_length_is_refused_not_copied(void **state)
{
    struct object_meta got;

    (void)state;
    assert_int_equal(object_meta_parse(get_long, NULL, &key, BUCKET, KEY, &got, NULL),
                     -ERR_INVALID);
}

TESTS(TEST(a_key_is_made_of_its_first_record_and_the_chain),
      TEST(a_listed_key_says_what_it_was_made_of), TEST(a_key_of_another_form_is_no_object_of_ours),
      TEST(metadata_comes_back), TEST(an_object_from_before_counts_is_read),
      TEST(a_field_changed_or_missing_is_found_out),
      TEST(metadata_belongs_to_its_bucket_its_key_and_its_deployment),
      TEST(metadata_that_contradicts_itself_is_refused_though_signed),
      TEST(metadata_of_any_length_is_refused_not_copied))
