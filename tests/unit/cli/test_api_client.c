/* test_api_client.c - what is sent to the API, without sending it. */
#include "cli/api_client.h"

#include "rpc/rpc.h"

#include "test.h"

static void an_address_may_have_a_scheme(void **state)
{
    struct str scheme, host;
    (void)state;

    assert_true(api_address_parse(STR("127.0.0.1:8080"), &scheme, &host));
    assert_str_eq(scheme, STR("http://"));
    assert_str_eq(host, STR("127.0.0.1:8080"));
    assert_true(api_address_parse(STR("https://trail.example.com/"), &scheme, &host));
    assert_str_eq(scheme, STR("https://"));
    assert_str_eq(host, STR("trail.example.com"));
    assert_true(api_address_parse(STR("http://[::1]:80"), &scheme, &host));
    assert_str_eq(host, STR("[::1]:80"));
    assert_false(api_address_parse(STR(""), &scheme, &host));
    assert_false(api_address_parse(STR("http://"), &scheme, &host));
    assert_false(api_address_parse(STR("ftp://x"), &scheme, &host));
    assert_false(api_address_parse(STR("a b"), &scheme, &host));
    assert_false(api_address_parse(STR("host/path"), &scheme, &host));
}

/* What we sign is what the API's side of the protocol verifies, for awkward values, too. */
static void the_api_accepts_what_is_signed(void **state)
{
    struct sign_pair params[] = {{STR("Name"), STR("a b+c/~*")},
                                 {STR("LookupAttribute.1.Key"), STR("User")},
                                 {STR("Empty"), STR("")},
                                 {STR("Umlaut"), STR("ü")}};
    struct api_request r = {.host = STR("127.0.0.1:8080"),
                            .action = STR("LookupEvents"),
                            .date = STR("2026-11-23T08:00:00Z"),
                            .nonce = STR("0123456789")};
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    AUTO_BUF struct buf query = {0}, authorization = {0};
    static struct rpc_call call;
    struct rpc_failure failure = {0};
    struct rpc_request received;
    (void)state;

    buf_init(&query, 10000);
    buf_init(&authorization, 10000);
    sign_query(params, ARRAY_LEN(params), &query);
    r.query = buf_str(&query);
    assert_int_equal(api_sign(STR("LTAIkey"), STR("secret"), &r, &authorization), 0);
    received = (struct rpc_request){
        .method = STR("POST"),
        .path = STR("/"),
        .query = r.query,
        .headers = {{STR("host"), r.host},
                    {STR("x-acs-action"), r.action},
                    {STR("x-acs-version"), STR("2020-07-06")},
                    {STR("x-acs-date"), r.date},
                    {STR("x-acs-signature-nonce"), r.nonce},
                    {STR("x-acs-content-sha256"), STR(SIGN_EMPTY_SHA256)},
                    {STR("authorization"), buf_str(&authorization)}},
        .header_count = 7,
    };
    assert_int_equal(rpc_parse(&received, arena, &call, &failure), 0);
    assert_true(rpc_verify(&received, &call, STR("secret")));
    assert_false(rpc_verify(&received, &call, STR("Secret")));
    assert_str_eq(call.access_key, STR("LTAIkey"));
    assert_str_eq(rpc_param(&call, "Name"), STR("a b+c/~*"));
    assert_true(rpc_has(&call, "Empty"));
}

static void the_token_of_a_temporary_key_is_signed_too(void **state)
{
    struct api_request r = {.host = STR("h"),
                            .action = STR("DescribeRegions"),
                            .date = STR("2026-11-23T08:00:00Z"),
                            .nonce = STR("1"),
                            .token = STR("a+token/==")};
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    AUTO_BUF struct buf authorization = {0};
    static struct rpc_call call;
    struct rpc_failure failure = {0};
    struct rpc_request received;
    (void)state;

    buf_init(&authorization, 10000);
    assert_int_equal(api_sign(STR("STS.key"), STR("secret"), &r, &authorization), 0);
    received = (struct rpc_request){
        .method = STR("POST"),
        .path = STR("/"),
        .headers = {{STR("host"), r.host},
                    {STR("x-acs-action"), r.action},
                    {STR("x-acs-version"), STR("2020-07-06")},
                    {STR("x-acs-date"), r.date},
                    {STR("x-acs-signature-nonce"), r.nonce},
                    {STR("x-acs-content-sha256"), STR(SIGN_EMPTY_SHA256)},
                    {STR("x-acs-accesskey-id"), STR("STS.key")},
                    {STR("authorization"), buf_str(&authorization)},
                    {STR("x-acs-security-token"), r.token}},
        .header_count = 9,
    };
    assert_int_equal(rpc_parse(&received, arena, &call, &failure), 0);
    assert_str_eq(call.security_token, r.token);
    assert_true(rpc_verify(&received, &call, STR("secret")));
    received.headers[8].value = STR("another");
    assert_false(rpc_verify(&received, &call, STR("secret")));
}

TESTS(TEST(an_address_may_have_a_scheme), TEST(the_api_accepts_what_is_signed),
      TEST(the_token_of_a_temporary_key_is_signed_too))
