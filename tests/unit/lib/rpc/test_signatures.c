/* Requests as the official clients sent them, byte for byte: each is taken apart and its signature verified, and
 * with any byte of what is signed changed it is not. */
#include "rpc/rpc.h"

#include "test.h"

#define SECRET STR("testSecretKey/abc+123")

/* Captured; names tell which client. */
static const struct captured {
    const char *client, *method, *query, *body;
    const char *action, *nonce, *signature; /* of ACS3, in headers */
    const char *param, *value;              /* one to look at */
} requests[] = {
    {"the Python SDK: LookupEvents", "POST",
     "Direction=BACKWARD&EndTime=2020-10-15T11%3A00%3A00Z&LookupAttribute.1.Key=ServiceName&"
     "LookupAttribute.1.Value=Ecs&LookupAttribute.2.Key=ResourceType&"
     "LookupAttribute.2.Value=ACS%3A%3AECS%3A%3AInstance~%2A+x&MaxResults=20&"
     "StartTime=2020-10-08T11%3A00%3A00Z",
     "", "LookupEvents", "c5e2bdbc02bddab06681d9337d6b48a6",
     "c88c4907190f24995f04ef3bc2bb5e3c34214968d9420eb56e1c677c311ae0e5", "LookupAttribute.2.Value",
     "ACS::ECS::Instance~* x"},
    {"the Python SDK: DescribeTrails", "POST",
     "IncludeOrganizationTrail=True&IncludeShadowTrails=False&NameList=abc%2Cdef", "",
     "DescribeTrails", "24e4d153e3c38690698adcc95bd96876",
     "fabcf6a61c1e295f351c24bc476ee2b072a3e9574c5c0448880e65ef84f4d6fc", "NameList", "abc,def"},
    {"the Python SDK: CreateTrail", "POST",
     "EventRW=All&IsOrganizationTrail=False&Name=trail-test&OssBucketName=audit-log&"
     "OssKeyPrefix=at-product%2Faudit_B&SlsProjectArn=acs%3Alog%3Acn-shanghai%3A151266687691%3A"
     "project%2Ftest-project&TrailRegion=All",
     "", "CreateTrail", "f8b9e7abe89f667838b6476cba923339",
     "259fbdab7682eed4553828df2301e7c797bb48daefd8c1cc5aac04ce5b4ff56a", "OssKeyPrefix",
     "at-product/audit_B"},
    {"the Python SDK, V1: LookupEvents", "POST",
     "Action=LookupEvents&Format=json&Version=2020-07-06&Timestamp=2026-11-23T01%3A55%3A15Z&"
     "SignatureNonce=5fb2c377efd3154913e2d461ea3789b3&LookupAttribute.1.Key=User&"
     "LookupAttribute.1.Value=Alice&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&"
     "AccessKeyId=LTAItestAccessKey0001&Signature=vT3nNGZbGhqKB%2BECh8kxs1FUi3g%3D",
     "", "LookupEvents", NULL, NULL, "LookupAttribute.1.Value", "Alice"},
    {"the older Python SDK: LookupEvents", "POST",
     "StartTime=2020-10-08T11%3A00%3A00Z&EndTime=2020-10-15T11%3A00%3A00Z&Direction=BACKWARD&"
     "MaxResults=20&LookupAttribute.1.Value=Ecs&LookupAttribute.1.Key=ServiceName&"
     "LookupAttribute.2.Value=ACS%3A%3AECS%3A%3AInstance~%2A%20x&"
     "LookupAttribute.2.Key=ResourceType&Version=2020-07-06&Action=LookupEvents&Format=JSON&"
     "RegionId=cn-hangzhou&Timestamp=2026-11-23T01%3A55%3A15Z&SignatureMethod=HMAC-SHA1&"
     "SignatureType=&SignatureVersion=1.0&SignatureNonce=43f55c48f14b2254b3cd9766e6e4a37b&"
     "AccessKeyId=LTAItestAccessKey0001&Signature=90s7NxxbcUXzpxR%2FkpJufcu3l2o%3D",
     "", "LookupEvents", NULL, NULL, "LookupAttribute.2.Value", "ACS::ECS::Instance~* x"},
    {"the older Python SDK: DescribeTrails", "POST",
     "IncludeShadowTrails=False&IncludeOrganizationTrail=True&NameList=abc%2Cdef&"
     "Version=2020-07-06&Action=DescribeTrails&Format=JSON&RegionId=cn-hangzhou&"
     "Timestamp=2026-11-23T01%3A55%3A15Z&SignatureMethod=HMAC-SHA1&SignatureType=&"
     "SignatureVersion=1.0&SignatureNonce=46db0998ca3ed6180f132d6427a6ee06&"
     "AccessKeyId=LTAItestAccessKey0001&Signature=geKb%2Bn3ulxf7MCdapSMpwWu906I%3D",
     "", "DescribeTrails", NULL, NULL, "NameList", "abc,def"},
    {"the older Python SDK: CreateTrail", "POST",
     "Name=trail-test&OssBucketName=audit-log&OssKeyPrefix=at-product%2Faudit_B&EventRW=All&"
     "TrailRegion=All&IsOrganizationTrail=False&SlsProjectArn=acs%3Alog%3Acn-shanghai%3A"
     "151266687691%3Aproject%2Ftest-project&Version=2020-07-06&Action=CreateTrail&Format=JSON&"
     "RegionId=cn-hangzhou&Timestamp=2026-11-23T01%3A55%3A15Z&SignatureMethod=HMAC-SHA1&"
     "SignatureType=&SignatureVersion=1.0&SignatureNonce=8a2159c6acab9402ba459aa9bd0f1e97&"
     "AccessKeyId=LTAItestAccessKey0001&Signature=gcgaxKPwhVoY6Q56TDnsERT4IEs%3D",
     "", "CreateTrail", NULL, NULL, "OssBucketName", "audit-log"},
    {"the older Python SDK: StopLogging", "GET",
     "Name=trail-test&Version=2020-07-06&Action=StopLogging&Format=JSON&RegionId=cn-hangzhou&"
     "Timestamp=2026-11-23T01%3A55%3A15Z&SignatureMethod=HMAC-SHA1&SignatureType=&"
     "SignatureVersion=1.0&SignatureNonce=be098a3a5b755c1c9b9a0bc217d3990f&"
     "AccessKeyId=LTAItestAccessKey0001&Signature=C%2FHCtw1AKSIC1ubIBTvU8bOA5xw%3D",
     "", "StopLogging", NULL, NULL, "Name", "trail-test"},
    {"a form body, as Terraform and older Java send", "POST",
     "Action=LookupEvents&Format=json&Version=2020-07-06&Timestamp=2026-11-23T02%3A01%3A01Z&"
     "SignatureNonce=6bcfc1ba7180e27942e71562ccc27664&SignatureMethod=HMAC-SHA1&"
     "SignatureVersion=1.0&AccessKeyId=LTAItestAccessKey0001&"
     "Signature=wF8hs4t9kAZSksYwBVo%2FLU5qXT8%3D",
     "Flag=True&LookupAttribute.1.Key=ServiceName&LookupAttribute.1.Value=E+c~s%2A&MaxResults=20",
     "LookupEvents", NULL, NULL, "LookupAttribute.1.Value", "E c~s*"},
};

static void add_header(struct rpc_request *request, const char *name, struct str value)
{
    request->headers[request->header_count++] = (struct sign_pair){str_from(name), value};
}

static void add_acs3(const struct captured *c, struct arena *arena, struct rpc_request *ret)
{
    add_header(ret, "host", STR("127.0.0.1:18471"));
    add_header(ret, "x-acs-version", STR("2020-07-06"));
    add_header(ret, "x-acs-action", str_from(c->action));
    add_header(ret, "user-agent",
               STR("AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2"));
    add_header(ret, "x-acs-date", STR("2026-11-23T01:55:14Z"));
    add_header(ret, "x-acs-signature-nonce", str_from(c->nonce));
    add_header(ret, "accept", STR("application/json"));
    add_header(ret, "x-acs-content-sha256", STR(SIGN_EMPTY_SHA256));
    add_header(ret, "x-acs-credentials-provider", STR("static_ak"));
    add_header(ret, "authorization",
               arena_printf(arena,
                            "ACS3-HMAC-SHA256 Credential=LTAItestAccessKey0001,SignedHeaders="
                            "accept;host;user-agent;x-acs-action;x-acs-content-sha256;"
                            "x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;"
                            "x-acs-version,Signature=%s",
                            c->signature));
}

static void request_of(const struct captured *c, struct arena *arena, struct rpc_request *ret)
{
    *ret = (struct rpc_request){.method = str_from(c->method),
                                .path = STR("/"),
                                .query = str_from(c->query),
                                .body = str_from(c->body)};
    if (c->nonce)
        add_acs3(c, arena, ret);
    else /* older clients send this header too: the family is not to be told by it */
        add_header(ret, "x-acs-action", str_from(c->action));
    if (*c->body)
        add_header(ret, "content-type", STR("application/x-www-form-urlencoded"));
}

static bool verifies(const struct rpc_request *request, struct arena *arena)
{
    struct rpc_call *call = arena_get(arena, sizeof(*call));
    struct rpc_failure failure = {0};

    assert_non_null(call);
    return rpc_parse(request, arena, call, &failure) == 0 && rpc_verify(request, call, SECRET);
}

static void what_clients_sent_is_understood_and_verified(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        const struct captured *c = &requests[i];
        struct rpc_request request;
        struct rpc_call call;
        struct rpc_failure failure = {0};

        arena_reset(arena);
        request_of(c, arena, &request);
        if (rpc_parse(&request, arena, &call, &failure) < 0)
            fail_msg("%s: %s", c->client, failure.message);
        assert_int_equal(call.family, c->nonce ? RPC_ACS3 : RPC_V1);
        assert_str_eq(call.action, str_from(c->action));
        assert_str_eq(call.access_key, STR("LTAItestAccessKey0001"));
        assert_str_eq(rpc_param(&call, c->param), str_from(c->value));
        assert_false(rpc_has(&call, "Signature"));
        assert_false(rpc_has(&call, "Action"));
        if (!rpc_verify(&request, &call, SECRET))
            fail_msg("%s: the signature is not verified", c->client);
        assert_false(rpc_verify(&request, &call, STR("testSecretKey/abc+124")));
        assert_false(rpc_verify(&request, &call, STR("")));
    }
}

/* A digit or letter of a value changed: never another spelling of the same. */
static void a_changed_byte_is_noticed(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    char query[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        size_t len = strlen(requests[i].query);

        memcpy(query, requests[i].query, len);
        for (size_t at = 0; at < len; at++) {
            struct rpc_request request;
            char was = query[at];

            if (was < 'a' || was > 'z')
                continue;
            arena_reset(arena);
            request_of(&requests[i], arena, &request);
            query[at] = was == 'z' ? 'a' : (char)(was + 1);
            request.query = str_of(query, len);
            if (verifies(&request, arena))
                fail_msg("%s: byte %zu", requests[i].client, at);
            query[at] = was;
        }
    }
}

static void a_changed_method_or_body_is_noticed(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct rpc_request request;

        arena_reset(arena);
        request_of(&requests[i], arena, &request);
        request.method = str_eq(request.method, STR("GET")) ? STR("POST") : STR("GET");
        assert_false(verifies(&request, arena));
        request_of(&requests[i], arena, &request);
        if (!request.body.len)
            add_header(&request, "content-type", STR("application/x-www-form-urlencoded"));
        request.body = STR("Name=other");
        assert_false(verifies(&request, arena));
    }
}

/* What the older Python SDK looks for behind the first colon. */
static void a_refused_v1_signature_says_what_was_found_signed(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    AUTO_BUF struct buf json = {0};
    struct rpc_failure failure = {0};
    struct rpc_request request;
    struct rpc_call call;

    (void)state;
    buf_init(&json, 1 << 16);
    request_of(&requests[3], arena, &request);
    assert_int_equal(rpc_parse(&request, arena, &call, &failure), 0);
    assert_int_equal(rpc_fail_signature(&request, &call, arena, &failure), -ERR_INVALID);
    rpc_render_failure(&failure, STR("R"), STR("h"), false, &json);
    assert_true(str_find(
        buf_str(&json),
        STR("\"Message\":\"Specified signature is not matched with our calculation. server string "
            "to sign is:POST&%2F&AccessKeyId%3DLTAItestAccessKey0001%26Action%3DLookupEvents%26"
            "Format%3Djson%26LookupAttribute.1.Key%3DUser%26LookupAttribute.1.Value%3DAlice%26"
            "SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D5fb2c377efd3154913e2d461ea3789b3%26"
            "SignatureVersion%3D1.0%26Timestamp%3D2026-11-23T01%253A55%253A15Z%26"
            "Version%3D2020-07-06\""),
        NULL));
}

static void a_refused_acs3_signature_has_no_more_to_say(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    struct rpc_failure failure = {0};
    struct rpc_request request;
    struct rpc_call call;

    (void)state;
    request_of(&requests[0], arena, &request);
    assert_int_equal(rpc_parse(&request, arena, &call, &failure), 0);
    assert_int_equal(rpc_fail_signature(&request, &call, arena, &failure), -ERR_INVALID);
    assert_int_equal(failure.detail.len, 0);
}

static void what_was_signed_is_left_out_when_it_is_long(void **state)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    AUTO_BUF struct buf json = {0}, query = {0};
    struct rpc_failure failure = {0};
    struct rpc_request request = {.method = STR("POST"), .path = STR("/")};
    struct rpc_call call;

    (void)state;
    buf_init(&json, 1 << 16);
    buf_init(&query, RPC_TARGET_SIZE_MAX);
    buf_addf(&query, "%s&Name=", requests[3].query);
    while (query.len < RPC_TARGET_SIZE_MAX - 3)
        buf_add_str(&query, STR("%20"));
    request.query = buf_str(&query);
    assert_int_equal(rpc_parse(&request, arena, &call, &failure), 0);
    assert_int_equal(rpc_fail_signature(&request, &call, arena, &failure), -ERR_INVALID);
    rpc_render_failure(&failure, STR("R"), STR("h"), false, &json);
    assert_true(str_find(buf_str(&json), STR("server string to sign is: too long"), NULL));
}

/* ---- what is told of V1's parameters --------------------------------------------------------------- */

static const char *refusal(const char *query, const char *type, const char *body)
{
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    struct rpc_request request = {
        .method = STR("POST"), .path = STR("/"), .query = str_from(query), .body = str_from(body)};
    struct rpc_call call;
    struct rpc_failure failure = {0};

    if (*type)
        add_header(&request, "content-type", str_from(type));
    return rpc_parse(&request, arena, &call, &failure) < 0 ? failure.code : "none";
}

#define V1                                                                                         \
    "Action=A&Version=2020-07-06&AccessKeyId=K&SignatureNonce=1&Signature=x&"                      \
    "Timestamp=2026-11-23T01%3A55%3A15Z&"

static void each_rule_of_v1_has_its_code(void **state)
{
    (void)state;
    assert_string_equal(refusal(V1 "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0", "", ""),
                        "none");
    assert_string_equal(refusal(V1 "SignatureVersion=1.0", "", ""), "MissingParameter");
    assert_string_equal(refusal(V1 "SignatureMethod=HMAC-SHA1", "", ""), "MissingParameter");
    assert_string_equal(refusal(V1 "SignatureMethod=HMAC-SHA256&SignatureVersion=1.0", "", ""),
                        "InvalidSignatureMethod");
    assert_string_equal(refusal(V1 "SignatureMethod=HMAC-SHA1&SignatureVersion=2.0", "", ""),
                        "InvalidSignatureVersion");
    assert_string_equal(
        refusal(V1 "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&Format=YAML", "", ""),
        "InvalidParameter.Format");
    assert_string_equal(
        refusal(V1 "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&Format=xml", "", ""), "none");
}

static void a_form_is_known_by_its_media_type(void **state)
{
    static const char *const forms[] = {
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "application/x-www-form-urlencoded;charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded",
    };
    static const char *const others[] = {"", "application/json",
                                         "application/x-www-form-urlencodedx", ";"};
    const char *body = V1 "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        assert_string_equal(refusal("", forms[i], body), "none");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_string_equal(refusal("", others[i], body), "MissingParameter");
}

/* ---- refusals as they are written ------------------------------------------------------------------- */

static void a_denial_says_what_was_missing_and_whose(void **state)
{
    AUTO_BUF struct buf json = {0}, xml = {0};
    struct rpc_failure failure = {0};

    (void)state;
    buf_init(&json, 4096);
    buf_init(&xml, 4096);
    assert_int_equal(rpc_fail(&failure, "NoPermission", NULL), -ERR_INVALID);
    assert_int_equal(failure.status, 403);
    failure.denial = (struct rpc_denial){STR("actiontrail:StopLogging"), STR("1000000000000001"),
                                         STR("alice"), true};
    rpc_render_failure(&failure, STR("R"), STR("h"), false, &json);
    assert_str_eq(
        buf_str(&json),
        STR("{\"RequestId\":\"R\",\"HostId\":\"h\",\"Code\":\"NoPermission\",\"Message\":"
            "\"You are not authorized to perform this operation. Please apply for access "
            "in RAM first.\",\"AccessDeniedDetail\":{\"AuthAction\":"
            "\"actiontrail:StopLogging\",\"AuthPrincipalType\":\"SubUser\","
            "\"AuthPrincipalOwnerId\":\"1000000000000001\","
            "\"AuthPrincipalDisplayName\":\"alice\",\"NoPermissionType\":\"ExplicitDeny\","
            "\"PolicyType\":\"AccountLevelIdentityBasedPolicy\"}}"));
    rpc_render_failure(&failure, STR("R"), STR("h"), true, &xml);
    assert_true(
        str_ends(buf_str(&xml), STR("<PolicyType>AccountLevelIdentityBasedPolicy</PolicyType>"
                                    "</AccessDeniedDetail></Error>")));
}

TESTS(TEST(what_clients_sent_is_understood_and_verified), TEST(a_changed_byte_is_noticed),
      TEST(a_changed_method_or_body_is_noticed),
      TEST(a_refused_v1_signature_says_what_was_found_signed),
      TEST(a_refused_acs3_signature_has_no_more_to_say),
      TEST(what_was_signed_is_left_out_when_it_is_long), TEST(each_rule_of_v1_has_its_code),
      TEST(a_form_is_known_by_its_media_type), TEST(a_denial_says_what_was_missing_and_whose))
