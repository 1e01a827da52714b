/* NextToken. The first line is a query's attribute, the rest a token, as text; the input's first bytes, as numbers, are
 * a token that we sign: it comes back from its own query, and from no other.
 *
 * links: api_core
 */
#include "fuzz.h"

#include "core/page_token.h"

static const struct crypto_key key = {{1, 2, 3}};

static struct page_token token_of(struct str bytes)
{
    int64_t numbers[5] = {0};

    if (bytes.len)
        memcpy(numbers, bytes.at, MIN_OF(bytes.len, sizeof(numbers)));
    return (struct page_token){numbers[0], numbers[1], (int32_t)numbers[2], numbers[3], numbers[4]};
}

static void check_signed(struct str bytes, const struct page_query *query)
{
    struct page_query other = {query->account, STR("another-region"), query->lookup};
    struct page_token token = token_of(bytes), got;
    AUTO_BUF struct buf text = {0};

    buf_init(&text, PAGE_TOKEN_SIZE_MAX);
    CHECK(page_token_render(&key, query, &token, &text) == 0);
    CHECK(page_token_parse(&key, query, buf_str(&text), &got) == 0);
    CHECK(got.time_ms == token.time_ms && got.number == token.number &&
          got.source == token.source && got.start_s == token.start_s && got.end_s == token.end_s);
    CHECK(page_token_parse(&key, &other, buf_str(&text), &got) == -ERR_DENIED);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    struct str rest = fuzz_input(at, len), line = STR("");
    struct rpc_lookup lookup = {.forward = len % 2, .attribute_count = 1};
    struct page_query query = {STR("1000000000000001"), STR("cn-hangzhou"), &lookup};
    struct page_token token;
    int r;

    lookup.attributes[0] = (struct sign_pair){STR("EventName"), STR("")};
    (void)fuzz_line(&rest, &line);
    lookup.attributes[0].value = line;
    check_signed(fuzz_input(at, len), &query);
    r = page_token_parse(&key, &query, rest.at ? rest : STR(""), &token);
    CHECK(r == 0 || r == -ERR_INVALID || r == -ERR_DENIED);
    return 0;
}
