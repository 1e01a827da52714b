/* test_page_token.c - a token leads to the next page of its own query, and nowhere else. */
#include "core/page_token.h"
#include "test.h"

static const struct crypto_key master = {{7, 7, 7}}, another = {{8}};
static const struct rpc_lookup lookup = {
    .forward = true,
    .attributes = {{STR("EventName"), STR("StopInstance")}, {STR("EventRW"), STR("Write")}},
    .attribute_count = 2,
};
static const struct page_query query = {STR("1000000000000001"), STR("cn-hangzhou"), &lookup};
static const struct page_token token = {-1700000000000, INT64_MAX, -3, 0, 1700000000};

static int parse(struct str text, const struct crypto_key *key, const struct page_query *of)
{
    struct page_token got;

    return page_token_parse(key, of, text, &got);
}

static void a_token_comes_back_as_it_was(void **state)
{
    AUTO_BUF struct buf text = {0};
    struct page_token got;

    (void)state;
    buf_init(&text, PAGE_TOKEN_SIZE_MAX);
    assert_int_equal(page_token_render(&master, &query, &token, &text), 0);
    assert_int_equal(page_token_parse(&master, &query, buf_str(&text), &got), 0);
    assert_true(got.time_ms == token.time_ms && got.number == token.number &&
                got.source == token.source && got.start_s == token.start_s &&
                got.end_s == token.end_s);
}

static void a_token_of_another_query_is_refused(void **state)
{
    struct rpc_lookup backward = lookup, fewer = lookup, renamed = lookup;
    const struct page_query others[] = {
        {STR("1000000000000002"), query.region, &lookup},
        {query.account, STR("ap-southeast-1"), &lookup},
        {query.account, query.region, &backward},
        {query.account, query.region, &fewer},
        {query.account, query.region, &renamed},
    };
    AUTO_BUF struct buf text = {0};

    (void)state;
    backward.forward = false;
    fewer.attribute_count = 1;
    renamed.attributes[1].value = STR("Read");
    buf_init(&text, PAGE_TOKEN_SIZE_MAX);
    assert_int_equal(page_token_render(&master, &query, &token, &text), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(parse(buf_str(&text), &master, &others[i]), -ERR_DENIED);
    assert_int_equal(parse(buf_str(&text), &another, &query), -ERR_DENIED);
}

static void a_token_with_any_other_byte_is_none(void **state)
{
    AUTO_BUF struct buf text = {0};

    (void)state;
    buf_init(&text, PAGE_TOKEN_SIZE_MAX);
    assert_int_equal(page_token_render(&master, &query, &token, &text), 0);
    for (size_t i = 0; i < text.len; i++) {
        char was = text.at[i];

        text.at[i] = was == 'A' ? 'B' : 'A';
        assert_true(parse(buf_str(&text), &master, &query) < 0);
        text.at[i] = was;
        assert_true(parse(str_of(text.at, i), &master, &query) < 0);
    }
}

static void what_is_no_token_is_refused(void **state)
{
    static const struct str bad[] = {STR(""), STR("x"), STR("!!!!"), STR("MSAyIDMgNCA1"),
                                     STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
    char large[PAGE_TOKEN_SIZE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &master, &query), -ERR_INVALID);
    memset(large, 'A', sizeof(large));
    assert_int_equal(parse(str_of(large, sizeof(large)), &master, &query), -ERR_INVALID);
}

/* Its signature would not cover all of it. */
static void a_query_that_is_too_large_has_no_token(void **state)
{
    AUTO_FREE char *room = calloc(1, 2 << 20);
    struct rpc_lookup large = lookup;
    struct page_query of = {query.account, query.region, &large};
    AUTO_BUF struct buf text = {0};

    (void)state;
    assert_non_null(room);
    memset(room, 'x', 2 << 20);
    large.attributes[0].value = str_of(room, 2 << 20);
    buf_init(&text, PAGE_TOKEN_SIZE_MAX);
    assert_int_equal(page_token_render(&master, &of, &token, &text), -ERR_LIMIT);
}

TESTS(TEST(a_token_comes_back_as_it_was), TEST(a_token_of_another_query_is_refused),
      TEST(a_token_with_any_other_byte_is_none), TEST(what_is_no_token_is_refused),
      TEST(a_query_that_is_too_large_has_no_token))
