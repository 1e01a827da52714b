/* What a store's listing says, from bytes that may be anything. */
#include "objects/objects.h"

#include "test.h"

static struct arena *arena;
static struct str *keys, token;
static size_t count;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(4 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static int parse(const char *xml)
{
    arena_reset(arena);
    return objects_list_parse(str_from(xml), arena, &keys, &count, &token);
}

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "                               \
    "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define KEY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define TAIL     "</ListBucketResult>"

static void keys_come_in_the_order_of_the_listing(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD "<Name>b</Name><IsTruncated>false</IsTruncated>" KEY("a/1.gz")
                               KEY("a/2.gz") TAIL),
                     0);
    assert_int_equal(count, 2);
    assert_str_eq(keys[0], STR("a/1.gz"));
    assert_str_eq(keys[1], STR("a/2.gz"));
    assert_int_equal(token.len, 0);
    assert_int_equal(parse(HEAD TAIL), 0);
    assert_int_equal(count, 0);
}

static void a_listing_that_goes_on_gives_its_token(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD "<NextContinuationToken>a&amp;b=</NextContinuationToken>" KEY(
                         "k") "<IsTruncated>true</IsTruncated>" TAIL),
                     0);
    assert_int_equal(count, 1);
    assert_str_eq(token, STR("a&b="));
    assert_int_equal(parse(HEAD "<IsTruncated>true</IsTruncated>" TAIL), -ERR_INVALID);
    assert_int_equal(
        parse(
            HEAD
            "<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>" TAIL),
        -ERR_INVALID);
}

static void an_auditor_s_own_key_may_be_any_text(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD KEY("&lt;&gt;&amp;&quot;&apos;")
                               KEY("&#34;&#39;&#13;&#xA;&#x7f;\xC3\xBC") KEY("") TAIL),
                     0);
    assert_int_equal(count, 3);
    assert_str_eq(keys[0], STR("<>&\"'"));
    assert_str_eq(keys[1], STR("\"'\r\n\x7F\xC3\xBC"));
    assert_str_eq(keys[2], STR(""));
}

static void what_is_no_listing_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "<Error><Code>NoSuchBucket</Code></Error>",
        HEAD KEY("a"),
        HEAD "<Key>a<b></Key>" TAIL,
        HEAD KEY("a&b") TAIL,
        HEAD KEY("&nbsp;") TAIL,
        HEAD KEY("&#0;") TAIL,
        HEAD KEY("&#;") TAIL,
        HEAD KEY("&#x;") TAIL,
        HEAD KEY("&#128;") TAIL,
        HEAD KEY("&#x80;") TAIL,
        HEAD KEY("&#1a;") TAIL,
        HEAD KEY("&#00000000000000000010;") TAIL,
        HEAD KEY("&#x10") TAIL,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse(bad[i]) != -ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
}

static void more_keys_than_a_page_has_are_refused(void **state)
{
    AUTO_BUF struct buf xml = {0};

    (void)state;
    buf_init(&xml, 1 << 20);
    buf_add_str(&xml, STR("<ListBucketResult>"));
    for (int i = 0; i < OBJECTS_LIST_KEYS_MAX; i++)
        buf_add_str(&xml, STR("<Key>k</Key>"));
    buf_add_str(&xml, STR("</ListBucketResult>"));
    assert_int_equal(parse(buf_cstr(&xml)), 0);
    assert_int_equal(count, OBJECTS_LIST_KEYS_MAX);
    buf_reset(&xml);
    buf_add_str(&xml, STR("<ListBucketResult>"));
    for (int i = 0; i <= OBJECTS_LIST_KEYS_MAX; i++)
        buf_add_str(&xml, STR("<Key>k</Key>"));
    buf_add_str(&xml, STR("</ListBucketResult>"));
    assert_int_equal(parse(buf_cstr(&xml)), -ERR_INVALID);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(keys_come_in_the_order_of_the_listing), CASE(a_listing_that_goes_on_gives_its_token),
      CASE(an_auditor_s_own_key_may_be_any_text), CASE(what_is_no_listing_is_refused),
      CASE(more_keys_than_a_page_has_are_refused))
