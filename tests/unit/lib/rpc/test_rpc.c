/* Requests as clients sent them, taken apart and verified; every refusal with its code. */
#include "rpc/rpc.h"

#include <stdio.h>

#include "crypto/crypto.h"

#include "test.h"

#define SECRET STR("testSecretKey/abc+123")

static struct arena *arena;
static struct rpc_request request;
static struct rpc_call call;
static struct rpc_failure failure;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    request = (struct rpc_request){.method = STR("POST"), .path = STR("/")};
    failure = (struct rpc_failure){0};
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void set_header(const char *name, const char *value)
{
    struct sign_pair *h = request.headers;

    while (h < request.headers + request.header_count && !str_eq(h->name, str_from(name)))
        h++;
    if (h == request.headers + request.header_count)
        request.header_count++;
    *h = (struct sign_pair){str_from(name), str_from(value)};
}

static void drop_header(const char *name)
{
    for (size_t i = 0; i < request.header_count; i++)
        if (str_eq(request.headers[i].name, str_from(name)))
            request.headers[i] = request.headers[--request.header_count];
}

static void must_parse(void)
{
    if (rpc_parse(&request, arena, &call, &failure) != 0)
        fail_msg("%s: %s", failure.code, failure.message);
}

static void must_refuse(const char *code, int status)
{
    arena_reset(arena);
    failure = (struct rpc_failure){0};
    assert_int_equal(rpc_parse(&request, arena, &call, &failure), -ERR_INVALID);
    assert_string_equal(failure.code, code);
    assert_int_equal(failure.status, status);
    assert_true(strlen(failure.message) > 0);
}

/* ---- ACS3 -------------------------------------------------------------------------------------------- */

#define NAMES                                                                                      \
    "accept;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;"         \
    "x-acs-date;x-acs-signature-nonce;x-acs-version"
#define SIGNATURE "c88c4907190f24995f04ef3bc2bb5e3c34214968d9420eb56e1c677c311ae0e5"
#define AUTHORIZATION(names, signature)                                                            \
    "ACS3-HMAC-SHA256 Credential=LTAItestAccessKey0001,SignedHeaders=" names ",Signature"          \
    "=" signature

static void send_acs3(void)
{
    request.query = STR(
        "Direction=BACKWARD&EndTime=2020-10-15T11%3A00%3A00Z&LookupAttribute.1.Key=ServiceName&"
        "LookupAttribute.1.Value=Ecs&LookupAttribute.2.Key=ResourceType&LookupAttribute.2.Value="
        "ACS%3A%3AECS%3A%3AInstance~%2A+x&MaxResults=20&StartTime=2020-10-08T11%3A00%3A00Z");
    set_header("accept-encoding", "identity");
    set_header("host", "127.0.0.1:18471");
    set_header("x-acs-version", "2020-07-06");
    set_header("x-acs-action", "LookupEvents");
    set_header("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2");
    set_header("x-acs-date", "2026-11-23T01:55:14Z");
    set_header("x-acs-signature-nonce", "c5e2bdbc02bddab06681d9337d6b48a6");
    set_header("accept", "application/json");
    set_header("x-acs-content-sha256", SIGN_EMPTY_SHA256);
    set_header("x-acs-credentials-provider", "static_ak");
    set_header("authorization", AUTHORIZATION(NAMES, SIGNATURE));
}

static void the_new_sdk_s_request_is_taken_apart_and_verified(void **state)
{
    (void)state;
    send_acs3();
    must_parse();
    assert_int_equal(call.family, RPC_ACS3);
    assert_str_eq(call.action, STR("LookupEvents"));
    assert_str_eq(call.access_key, STR("LTAItestAccessKey0001"));
    assert_str_eq(call.nonce, STR("c5e2bdbc02bddab06681d9337d6b48a6"));
    assert_true(call.time_s == 1795398914);
    assert_false(call.xml);
    assert_int_equal(call.param_count, 8);
    assert_str_eq(rpc_param(&call, "LookupAttribute.2.Value"), STR("ACS::ECS::Instance~* x"));
    assert_str_eq(rpc_param(&call, "Nothing"), STR(""));
    assert_true(rpc_has(&call, "MaxResults"));
    assert_false(rpc_has(&call, "maxresults"));
    assert_true(rpc_verify(&request, &call, SECRET));
}

static void a_changed_request_is_not_verified(void **state)
{
    (void)state;
    send_acs3();
    must_parse();
    assert_false(rpc_verify(&request, &call, STR("testSecretKey/abc+124")));
    assert_false(rpc_verify(&request, &call, STR("")));
    request.method = STR("GET");
    assert_false(rpc_verify(&request, &call, SECRET));
    request.method = STR("POST");
    set_header("x-acs-date", "2026-11-23T01:55:15Z");
    must_parse();
    assert_false(rpc_verify(&request, &call, SECRET));
    set_header("x-acs-date", "2026-11-23T01:55:14Z");
    request.query = STR("MaxResults=20");
    must_parse();
    assert_false(rpc_verify(&request, &call, SECRET));
}

static void what_is_not_signed_may_change(void **state)
{
    (void)state;
    send_acs3();
    set_header("accept-encoding", "gzip");
    must_parse();
    assert_true(rpc_verify(&request, &call, SECRET));
}

static void an_acs3_request_lacks_nothing_that_it_needs(void **state)
{
    static const char *const needed[] = {"x-acs-action", "x-acs-version", "x-acs-date",
                                         "x-acs-signature-nonce", "x-acs-content-sha256"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        send_acs3();
        drop_header(needed[i]);
        must_refuse("MissingParameter", 400);
        assert_non_null(strstr(failure.message, needed[i]));
        send_acs3();
        set_header(needed[i], "  ");
        must_refuse("MissingParameter", 400);
    }
}

static void what_identifies_an_acs3_request_must_be_signed(void **state)
{
    static const char *const lists[] = {
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce",
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-version",
        "host;x-acs-action;x-acs-content-sha256;x-acs-signature-nonce;x-acs-version",
        "host;x-acs-action;x-acs-date;x-acs-signature-nonce;x-acs-version",
        "host;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
        "x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
        "hostx;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"};
    char text[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        send_acs3();
        (void)snprintf(text, sizeof(text), AUTHORIZATION("%s", SIGNATURE), lists[i]);
        set_header("authorization", text);
        must_refuse("IncompleteSignature", 400);
    }
}

static void an_authorization_is_whole(void **state)
{
    static const char *const bad[] = {"ACS3-HMAC-SHA256 x", "ACS3-HMAC-SHA256 Credential=a",
                                      "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host",
                                      "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=x",
                                      "ACS3-HMAC-SHA256 a,b,c,,=,"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        send_acs3();
        set_header("authorization", bad[i]);
        must_refuse("IncompleteSignature", 400);
    }
    set_header("authorization", "ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=x");
    must_refuse("InvalidSignatureMethod", 400);
}

static void a_date_of_another_form_is_refused(void **state)
{
    (void)state;
    send_acs3();
    set_header("x-acs-date", "Mon, 23 Nov 2026 01:55:14 GMT");
    must_refuse("InvalidTimeStamp.Format", 400);
}

static void a_body_other_than_its_hash_says_is_refused(void **state)
{
    (void)state;
    send_acs3();
    request.body = STR("x=1");
    must_refuse("SignatureDoesNotMatch", 400);
    set_header("x-acs-content-sha256", "nonsense");
    must_refuse("SignatureDoesNotMatch", 400);
}

static void an_acs3_form_is_read_but_signed_by_its_hash(void **state)
{
    (void)state;
    send_acs3();
    request.body = STR("Name=a+b&EventRW=All");
    set_header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    set_header("x-acs-content-sha256",
               "50f80fb1ff33dce2ee47e2d8042c8f82ee1e2d0b9d0a0b6bbd9c9d2f5b9a1d4e");
    must_refuse("SignatureDoesNotMatch", 400);
    {
        AUTO_BUF struct buf hex = {0};
        struct sha256 d = sha256_of(request.body);

        buf_init(&hex, 100);
        buf_add_hex(&hex, d.bytes, SHA256_SIZE);
        set_header("x-acs-content-sha256", buf_cstr(&hex));
        must_parse();
        assert_str_eq(rpc_param(&call, "Name"), STR("a b"));
        assert_str_eq(rpc_param(&call, "Direction"), STR("BACKWARD"));
        assert_false(str_find(call.canonical_query, STR("Name=a"), NULL));
    }
}

/* ---- V1 ------------------------------------------------------------------------------------------------ */

static void send_v1(void)
{
    request.query = STR(
        "StartTime=2020-10-08T11%3A00%3A00Z&EndTime=2020-10-15T11%3A00%3A00Z&Direction=BACKWARD&"
        "MaxResults=20&LookupAttribute.1.Value=Ecs&LookupAttribute.1.Key=ServiceName&"
        "LookupAttribute.2.Value=ACS%3A%3AECS%3A%3AInstance~%2A%20x&LookupAttribute.2.Key="
        "ResourceType&"
        "Version=2020-07-06&Action=LookupEvents&Format=JSON&RegionId=cn-hangzhou&"
        "Timestamp=2026-11-23T01%3A55%3A15Z&SignatureMethod=HMAC-SHA1&SignatureType=&"
        "SignatureVersion=1.0&SignatureNonce=43f55c48f14b2254b3cd9766e6e4a37b&"
        "AccessKeyId=LTAItestAccessKey0001&Signature=90s7NxxbcUXzpxR%2FkpJufcu3l2o%3D");
    set_header("host", "127.0.0.1:18472");
    set_header("x-acs-action", "LookupEvents");
    set_header("x-acs-version", "2020-07-06");
}

static void the_old_sdk_s_request_is_taken_apart_and_verified(void **state)
{
    (void)state;
    send_v1();
    must_parse();
    assert_int_equal(call.family, RPC_V1);
    assert_str_eq(call.action, STR("LookupEvents"));
    assert_str_eq(call.access_key, STR("LTAItestAccessKey0001"));
    assert_true(call.time_s == 1795398915);
    assert_str_eq(rpc_param(&call, "LookupAttribute.2.Value"), STR("ACS::ECS::Instance~* x"));
    assert_str_eq(rpc_param(&call, "RegionId"), STR("cn-hangzhou"));
    assert_false(rpc_has(&call, "Signature") || rpc_has(&call, "Action"));
    assert_true(rpc_verify(&request, &call, SECRET));
    assert_false(rpc_verify(&request, &call, STR("other")));
    request.method = STR("GET");
    assert_false(rpc_verify(&request, &call, SECRET));
}

static void v1_parameters_in_a_form_are_signed_with_those_of_the_query(void **state)
{
    (void)state;
    request.query =
        STR("Action=LookupEvents&Format=json&Version=2020-07-06&Timestamp=2026-11-23T02%3A01%3A01Z&"
            "SignatureNonce=6bcfc1ba7180e27942e71562ccc27664&SignatureMethod=HMAC-SHA1&"
            "SignatureVersion=1.0&AccessKeyId=LTAItestAccessKey0001&"
            "Signature=wF8hs4t9kAZSksYwBVo%2FLU5qXT8%3D");
    request.body =
        STR("Flag=True&LookupAttribute.1.Key=ServiceName&LookupAttribute.1.Value=E+c~s%2A&"
            "MaxResults=20");
    set_header("content-type", "application/x-www-form-urlencoded");
    must_parse();
    assert_str_eq(rpc_param(&call, "LookupAttribute.1.Value"), STR("E c~s*"));
    assert_true(rpc_verify(&request, &call, SECRET));
    set_header("content-type", "application/json");
    must_parse();
    assert_false(rpc_has(&call, "Flag"));
    assert_false(rpc_verify(&request, &call, SECRET));
}

static void a_v1_request_lacks_nothing_that_it_needs(void **state)
{
    static const char *const needed[] = {"Action",    "Version",        "AccessKeyId",
                                         "Signature", "SignatureNonce", "Timestamp"};
    char text[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        size_t len = 0;

        for (size_t k = 0; k < ARRAY_LEN(needed); k++)
            if (k != i)
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s=x&", needed[k]);
        request.query = str_of(text, len);
        must_refuse("MissingParameter", 400);
        assert_non_null(strstr(failure.message, needed[i]));
    }
    request.query = STR("");
    must_refuse("MissingParameter", 400);
}

#define V1(version, method, time)                                                                  \
    STR("Action=A&Version=" version                                                                \
        "&AccessKeyId=k&Signature=s&SignatureNonce=n&SignatureVersion=1.0&SignatureMethod=" method \
        "&Timestamp=" time)

static void v1_has_one_method_one_version_and_one_form_of_time(void **state)
{
    (void)state;
    request.query = V1("2020-07-06", "HMAC-SHA256", "2026-11-23T01:55:15Z");
    must_refuse("InvalidSignatureMethod", 400);
    request.query = V1("2020-07-06", "HMAC-SHA1", "2026-11-23 01:55:15");
    must_refuse("InvalidTimeStamp.Format", 400);
    request.query = V1("2017-12-04", "HMAC-SHA1", "2026-11-23T01:55:15Z");
    must_refuse("InvalidVersion", 404);
    request.query = V1("2020-07-06", "HMAC-SHA1", "2026-11-23T01:55:15Z");
    must_parse();
}

/* ---- both ------------------------------------------------------------------------------------------------ */

static void only_get_and_post_are_methods(void **state)
{
    static const char *const methods[] = {"PUT", "DELETE", "HEAD", "get", "", "OPTIONS"};

    (void)state;
    send_v1();
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        request.method = str_from(methods[i]);
        must_refuse("UnsupportedHTTPMethod", 405);
    }
}

static void a_request_beyond_the_maxima_is_refused(void **state)
{
    static char room[RPC_BODY_SIZE_MAX + 1], nonce[RPC_NONCE_SIZE_MAX + 2];
    AUTO_BUF struct buf many = {0};

    (void)state;
    send_v1();
    memset(room, 'a', sizeof(room));
    request.body = str_of(room, sizeof(room));
    must_refuse("RequestTooLarge", 413);
    request.body = STR_NONE;
    request.query = str_of(room, RPC_TARGET_SIZE_MAX + 1);
    must_refuse("RequestTooLarge", 413);
    buf_init(&many, 10000);
    for (int i = 0; i <= RPC_PARAMS_MAX; i++)
        buf_addf(&many, "p%d=1&", i);
    request.query = buf_str(&many);
    must_refuse("InvalidQueryParameter", 400);
    send_acs3();
    memset(nonce, 'n', sizeof(nonce) - 1);
    set_header("x-acs-signature-nonce", nonce);
    must_refuse("InvalidParameterValue", 400);
}

static void a_parameter_badly_encoded_is_refused(void **state)
{
    static const char *const bad[] = {"a=%",   "a=%4",     "a=%zz",      "%=1",
                                      "a=%FF", "a=%C0%80", "a=%ED%A0%80"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        send_v1();
        request.query = str_from(bad[i]);
        must_refuse("InvalidQueryParameter", 400);
    }
}

static void odd_pairs_are_read_as_they_stand(void **state)
{
    (void)state;
    send_acs3();
    request.query = STR("&&a&b=&=c&d=e=f&g=%2B+%26&a=second&");
    must_parse();
    assert_int_equal(call.param_count, 6);
    assert_true(rpc_has(&call, "a") && rpc_has(&call, "b") && rpc_has(&call, ""));
    assert_str_eq(rpc_param(&call, "a"), STR(""));
    assert_str_eq(rpc_param(&call, "d"), STR("e=f"));
    assert_str_eq(rpc_param(&call, "g"), STR("+ &"));
}

static void a_boolean_is_true_or_false_in_any_case(void **state)
{
    static const struct {
        const char *query;
        int r;
        bool value;
    } cases[] = {
        {"B=True", 0, true},   {"B=true", 0, true},          {"B=TRUE", 0, true},
        {"B=False", 0, false}, {"B=false", 0, false},        {"B=", 0, false},
        {"C=true", 0, false},  {"B=1", -ERR_INVALID, false}, {"B=yes", -ERR_INVALID, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool value = true;

        send_acs3();
        request.query = str_from(cases[i].query);
        must_parse();
        assert_int_equal(rpc_bool(&call, "B", &value, &failure), cases[i].r);
        assert_int_equal(value, cases[i].value);
    }
    assert_string_equal(failure.code, "InvalidQueryParameter");
    assert_string_equal(failure.message, "B must be true or false.");
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static void a_refusal_is_rendered_as_json_or_xml(void **state)
{
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 2000);
    (void)rpc_fail(&failure, "TrailNotFoundException", NULL);
    rpc_render_failure(&failure, STR("R1"), STR("127.0.0.1:80"), false, &out);
    assert_str_eq(
        buf_str(&out),
        STR("{\"RequestId\":\"R1\",\"HostId\":\"127.0.0.1:80\",\"Code\":\"TrailNotFoundException\","
            "\"Message\":\"The specified Trail does not exist.\"}"));
    assert_int_equal(failure.status, 404);
    buf_reset(&out);
    (void)rpc_fail(&failure, "InvalidQueryParameter", "%s < %d & more", "a", 7);
    rpc_render_failure(&failure, STR("R1"), STR("h"), true, &out);
    assert_str_eq(
        buf_str(&out),
        STR("<?xml version='1.0' "
            "encoding='UTF-8'?><Error><RequestId>R1</RequestId><HostId>h</HostId>"
            "<Code>InvalidQueryParameter</Code><Message>a &lt; 7 &amp; more</Message></Error>"));
}

static void a_host_that_is_no_text_does_not_spoil_the_answer(void **state)
{
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 2000);
    (void)rpc_fail(&failure, "InternalError", NULL);
    rpc_render_failure(&failure, STR("R1"), STR("\xFF\x00"), false, &out);
    assert_true(str_find(buf_str(&out), STR("\"HostId\":\"\""), NULL));
    buf_reset(&out);
    rpc_render_failure(&failure, STR("R1"), STR("\xFF\x01"), true, &out);
    assert_true(str_find(buf_str(&out), STR("<HostId></HostId>"), NULL));
}

static void a_long_sentence_is_cut_between_characters(void **state)
{
    AUTO_BUF struct buf out = {0}, text = {0};
    size_t at;

    (void)state;
    buf_init(&out, 2000);
    buf_init(&text, 2000);
    for (int i = 0; i < 300; i++)
        buf_add_str(&text, STR("\xC3\xBC"));
    (void)rpc_fail(&failure, "InvalidQueryParameter", "x%s", buf_cstr(&text));
    rpc_render_failure(&failure, STR("R1"), STR("h"), false, &out);
    assert_true(str_find(buf_str(&out), STR("\"Message\":\"x\xC3\xBC"), &at));
    (void)rpc_fail(&failure, "InvalidQueryParameter", "%s", buf_cstr(&text));
    assert_true(str_is_utf8(str_from(failure.message)));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(the_new_sdk_s_request_is_taken_apart_and_verified),
      CASE(a_changed_request_is_not_verified), CASE(what_is_not_signed_may_change),
      CASE(an_acs3_request_lacks_nothing_that_it_needs),
      CASE(what_identifies_an_acs3_request_must_be_signed), CASE(an_authorization_is_whole),
      CASE(a_date_of_another_form_is_refused), CASE(a_body_other_than_its_hash_says_is_refused),
      CASE(an_acs3_form_is_read_but_signed_by_its_hash),
      CASE(the_old_sdk_s_request_is_taken_apart_and_verified),
      CASE(v1_parameters_in_a_form_are_signed_with_those_of_the_query),
      CASE(a_v1_request_lacks_nothing_that_it_needs),
      CASE(v1_has_one_method_one_version_and_one_form_of_time), CASE(only_get_and_post_are_methods),
      CASE(a_request_beyond_the_maxima_is_refused), CASE(a_parameter_badly_encoded_is_refused),
      CASE(odd_pairs_are_read_as_they_stand), CASE(a_boolean_is_true_or_false_in_any_case),
      CASE(a_refusal_is_rendered_as_json_or_xml),
      CASE(a_host_that_is_no_text_does_not_spoil_the_answer),
      CASE(a_long_sentence_is_cut_between_characters))
