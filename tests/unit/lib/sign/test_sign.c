/* Signatures against published and captured ones: S3's examples, and requests that real clients sent. */
#include "sign/sign.h"

#include "test.h"

static void escaping_keeps_the_unreserved_only(void **state)
{
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 200);
    sign_escape(STR("AZaz09-_.~ +*/%=&\xC3\xBC\x7F"), false, &out);
    assert_str_eq(buf_str(&out), STR("AZaz09-_.~%20%2B%2A%2F%25%3D%26%C3%BC%7F"));
    buf_reset(&out);
    sign_escape(STR("a b/c"), true, &out);
    assert_str_eq(buf_str(&out), STR("a%20b/c"));
}

static void a_query_is_sorted_by_name_then_value(void **state)
{
    struct sign_pair pairs[] = {{STR("b"), STR("2")}, {STR("a-"), STR("1")}, {STR("a"), STR("z y")},
                                {STR("a"), STR("")},  {STR("B"), STR("&")},  {STR("a."), STR("1")}};
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 200);
    sign_query(pairs, ARRAY_LEN(pairs), &out);
    assert_str_eq(buf_str(&out), STR("B=%26&a=&a=z%20y&a-=1&a.=1&b=2"));
    buf_reset(&out);
    sign_query(NULL, 0, &out);
    assert_int_equal(out.len, 0);
}

/* ---- AWS: "Signature Calculations for the Authorization Header", the four examples for S3 ------------ */

#define EXAMPLE_DATE "20130524T000000Z"

static const struct sign_v4 example_keys = {STR("AKIAIOSFODNN7EXAMPLE"),
                                            STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                            STR("us-east-1"), 1369353600, SIGN_V4_S3};

static void check_s3(struct sign_request *request, const char *signed_headers,
                     const char *signature)
{
    AUTO_BUF struct buf got = {0}, want = {0};

    buf_init(&got, 1000);
    buf_init(&want, 1000);
    buf_addf(&want,
             "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
             "SignedHeaders=%s,Signature=%s",
             signed_headers, signature);
    assert_int_equal(sign_v4(&example_keys, request, &got), 0);
    assert_str_eq(buf_str(&got), buf_str(&want));
}

static void s3_s_example_get_object(void **state)
{
    struct sign_pair headers[] = {{STR("x-amz-date"), STR(EXAMPLE_DATE)},
                                  {STR("x-amz-content-sha256"), STR(SIGN_EMPTY_SHA256)},
                                  {STR("range"), STR(" bytes=0-9 ")},
                                  {STR("host"), STR("examplebucket.s3.amazonaws.com")}};
    struct sign_request q = {STR("GET"), STR("/test.txt"),      STR(""), headers,
                             4,          STR(SIGN_EMPTY_SHA256)};

    (void)state;
    check_s3(&q, "host;range;x-amz-content-sha256;x-amz-date",
             "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void s3_s_example_put_object(void **state)
{
    static const struct str hash =
        STR("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    struct sign_pair headers[] = {{STR("host"), STR("examplebucket.s3.amazonaws.com")},
                                  {STR("date"), STR("Fri, 24 May 2013 00:00:00 GMT")},
                                  {STR("x-amz-date"), STR(EXAMPLE_DATE)},
                                  {STR("x-amz-storage-class"), STR("REDUCED_REDUNDANCY")},
                                  {STR("x-amz-content-sha256"), hash}};
    struct sign_request q = {STR("PUT"), STR("/test%24file.text"), STR(""), headers, 5, hash};

    (void)state;
    check_s3(&q, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
             "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void check_s3_bucket(struct sign_pair *params, size_t count, const char *signature)
{
    struct sign_pair headers[] = {{STR("host"), STR("examplebucket.s3.amazonaws.com")},
                                  {STR("x-amz-content-sha256"), STR(SIGN_EMPTY_SHA256)},
                                  {STR("x-amz-date"), STR(EXAMPLE_DATE)}};
    AUTO_BUF struct buf query = {0};
    struct sign_request q = {STR("GET"), STR("/"), STR_NONE, headers, 3, STR(SIGN_EMPTY_SHA256)};

    buf_init(&query, 200);
    sign_query(params, count, &query);
    q.query = buf_str(&query);
    check_s3(&q, "host;x-amz-content-sha256;x-amz-date", signature);
}

static void s3_s_examples_of_a_bucket_s_lifecycle_and_listing(void **state)
{
    struct sign_pair lifecycle[] = {{STR("lifecycle"), STR("")}};
    struct sign_pair listing[] = {{STR("prefix"), STR("J")}, {STR("max-keys"), STR("2")}};

    (void)state;
    check_s3_bucket(lifecycle, 1,
                    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    check_s3_bucket(listing, 2, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void a_request_too_long_to_sign_is_a_limit(void **state)
{
    static char path[SIGN_TEXT_MAX];
    struct sign_pair headers[] = {{STR("host"), STR("h")}};
    struct sign_request q = {STR("GET"), str_of(path, sizeof(path)), STR(""), headers, 1, STR("x")};
    AUTO_BUF struct buf out = {0};

    (void)state;
    memset(path, 'a', sizeof(path));
    buf_init(&out, 1000);
    assert_int_equal(sign_v4(&example_keys, &q, &out), -ERR_LIMIT);
}

/* ---- ACS3 and V1: captured on the loopback from the official SDKs ------------------------------------- */

#define SECRET STR("testSecretKey/abc+123")
#define NAMES                                                                                      \
    "accept;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;"         \
    "x-acs-date;x-acs-signature-nonce;x-acs-version"

static void check_acs3(const char *query, const char *action, const char *nonce, const char *want)
{
    struct sign_pair headers[] = {
        {STR("host"), STR("127.0.0.1:18471")},
        {STR("x-acs-version"), STR("2020-07-06")},
        {STR("x-acs-action"), str_from(action)},
        {STR("user-agent"), STR("AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2")},
        {STR("x-acs-date"), STR("2026-11-23T01:55:14Z")},
        {STR("x-acs-signature-nonce"), str_from(nonce)},
        {STR("accept"), STR(" application/json\t")},
        {STR("x-acs-content-sha256"), STR(SIGN_EMPTY_SHA256)},
        {STR("x-acs-credentials-provider"), STR("static_ak")},
        {STR("accept-encoding"), STR("identity")}, /* not signed */
    };
    AUTO_BUF struct buf out = {0};

    buf_init(&out, 100);
    assert_int_equal(sign_acs3(SECRET, STR("POST"), STR("/"), str_from(query), headers,
                               ARRAY_LEN(headers), STR(NAMES), STR(SIGN_EMPTY_SHA256), &out),
                     0);
    assert_str_eq(buf_str(&out), str_from(want));
}

static void the_new_sdk_s_requests_have_the_signatures_that_it_sent(void **state)
{
    (void)state;
    check_acs3(
        "Direction=BACKWARD&EndTime=2020-10-15T11%3A00%3A00Z&LookupAttribute.1.Key=ServiceName&"
        "LookupAttribute.1.Value=Ecs&LookupAttribute.2.Key=ResourceType&LookupAttribute.2.Value="
        "ACS%3A%3AECS%3A%3AInstance~%2A%20x&MaxResults=20&StartTime=2020-10-08T11%3A00%3A00Z",
        "LookupEvents", "c5e2bdbc02bddab06681d9337d6b48a6",
        "c88c4907190f24995f04ef3bc2bb5e3c34214968d9420eb56e1c677c311ae0e5");
    check_acs3("IncludeOrganizationTrail=True&IncludeShadowTrails=False&NameList=abc%2Cdef",
               "DescribeTrails", "24e4d153e3c38690698adcc95bd96876",
               "fabcf6a61c1e295f351c24bc476ee2b072a3e9574c5c0448880e65ef84f4d6fc");
    check_acs3(
        "EventRW=All&IsOrganizationTrail=False&Name=trail-test&OssBucketName=audit-log&"
        "OssKeyPrefix=at-product%2Faudit_B&SlsProjectArn=acs%3Alog%3Acn-shanghai%3A151266687691"
        "%3Aproject%2Ftest-project&TrailRegion=All",
        "CreateTrail", "f8b9e7abe89f667838b6476cba923339",
        "259fbdab7682eed4553828df2301e7c797bb48daefd8c1cc5aac04ce5b4ff56a");
}

static int sign_named(const char *names, struct buf *out)
{
    struct sign_pair headers[] = {
        {STR("host"), STR("a")}, {STR("x"), STR("1")}, {STR("x"), STR(" 2 ")}};

    buf_reset(out);
    return sign_acs3(SECRET, STR("GET"), STR("/"), STR(""), headers, 3, str_from(names), STR("h"),
                     out);
}

static void a_signed_header_that_is_absent_is_invalid(void **state)
{
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 100);
    assert_int_equal(sign_named("host;x", &out), 0);
    assert_int_equal(out.len, 64);
    assert_int_equal(sign_named("host;y", &out), -ERR_INVALID);
    assert_int_equal(sign_named("host;", &out), -ERR_INVALID);
    assert_int_equal(sign_named("Host", &out), -ERR_INVALID);
}

static void v1_requests_of_both_sdks_have_the_signatures_that_they_sent(void **state)
{
    struct sign_pair fresh[] = {
        {STR("Action"), STR("LookupEvents")},
        {STR("Format"), STR("json")},
        {STR("Version"), STR("2020-07-06")},
        {STR("Timestamp"), STR("2026-11-23T01:55:15Z")},
        {STR("SignatureNonce"), STR("5fb2c377efd3154913e2d461ea3789b3")},
        {STR("LookupAttribute.1.Key"), STR("User")},
        {STR("LookupAttribute.1.Value"), STR("Alice")},
        {STR("SignatureMethod"), STR("HMAC-SHA1")},
        {STR("SignatureVersion"), STR("1.0")},
        {STR("AccessKeyId"), STR("LTAItestAccessKey0001")},
    };
    struct sign_pair old[] = {
        {STR("Name"), STR("trail-test")},
        {STR("Version"), STR("2020-07-06")},
        {STR("Action"), STR("StopLogging")},
        {STR("Format"), STR("JSON")},
        {STR("RegionId"), STR("cn-hangzhou")},
        {STR("Timestamp"), STR("2026-11-23T01:55:15Z")},
        {STR("SignatureMethod"), STR("HMAC-SHA1")},
        {STR("SignatureType"), STR("")},
        {STR("SignatureVersion"), STR("1.0")},
        {STR("SignatureNonce"), STR("be098a3a5b755c1c9b9a0bc217d3990f")},
        {STR("AccessKeyId"), STR("LTAItestAccessKey0001")},
    };
    AUTO_BUF struct buf out = {0};

    (void)state;
    buf_init(&out, 100);
    assert_int_equal(sign_acs1(SECRET, STR("POST"), fresh, ARRAY_LEN(fresh), &out), 0);
    assert_str_eq(buf_str(&out), STR("vT3nNGZbGhqKB+ECh8kxs1FUi3g="));
    buf_reset(&out);
    assert_int_equal(sign_acs1(SECRET, STR("GET"), old, ARRAY_LEN(old), &out), 0);
    assert_str_eq(buf_str(&out), STR("C/HCtw1AKSIC1ubIBTvU8bOA5xw="));
}

/* ---- OSS: what the official client oss2 2.19.1 sends ---------------------------------------------------- */

static void check_oss(struct sign_request *request, const char *signature)
{
    const struct sign_v4 keys = {STR("testid"), STR("testsecret"), STR("cn-hangzhou"), 1795420800,
                                 SIGN_V4_OSS};
    AUTO_BUF struct buf got = {0}, want = {0};

    buf_init(&got, 1000);
    buf_init(&want, 1000);
    buf_addf(&want,
             "OSS4-HMAC-SHA256 Credential=testid/20261123/cn-hangzhou/oss/aliyun_v4_request,"
             "Signature=%s",
             signature);
    assert_int_equal(sign_v4(&keys, request, &got), 0);
    assert_str_eq(buf_str(&got), buf_str(&want));
}

static void oss_requests_have_the_signatures_that_its_client_sends(void **state)
{
    struct sign_pair put_headers[] = {
        {STR("x-oss-meta-trail"), STR("t1")},
        {STR("content-type"), STR("application/gzip")},
        {STR("content-md5"), STR("11rfvKL5Fm6lV0b26MDA8g==")},
        {STR("x-oss-forbid-overwrite"), STR("true")},
        {STR("x-oss-content-sha256"), STR("UNSIGNED-PAYLOAD")},
        {STR("x-oss-date"), STR("20261123T080000Z")},
    };
    struct sign_pair get_headers[] = {{STR("x-oss-date"), STR("20261123T080000Z")},
                                      {STR("x-oss-content-sha256"), STR("UNSIGNED-PAYLOAD")}};
    struct sign_request put = {STR("PUT"),
                               STR_NONE,
                               STR(""),
                               put_headers,
                               ARRAY_LEN(put_headers),
                               STR("UNSIGNED-PAYLOAD")};
    struct sign_request get = {STR("GET"),  STR("/audit-bucket/"),  STR_NONE,
                               get_headers, ARRAY_LEN(get_headers), STR("UNSIGNED-PAYLOAD")};
    struct sign_pair params[] = {{STR("versioning"), STR("")}};
    AUTO_BUF struct buf path = {0}, query = {0};

    (void)state;
    buf_init(&path, 1000);
    buf_init(&query, 1000);
    sign_escape(STR("/audit-bucket/pre/a b+c~\u00e9.gz"), true, &path);
    put.path = buf_str(&path);
    check_oss(&put, "113174aee6cca422141385f81362f8369efeb652e53a538ec70fe733a773f101");
    sign_query_bare(params, 1, &query);
    assert_str_eq(buf_str(&query), STR("versioning"));
    get.query = buf_str(&query);
    check_oss(&get, "68a8e1ebee9b94f9185861adbbd418d0e7f10618da48609b5046ac6473ffc857");
}

TESTS(TEST(escaping_keeps_the_unreserved_only), TEST(a_query_is_sorted_by_name_then_value),
      TEST(s3_s_example_get_object), TEST(s3_s_example_put_object),
      TEST(s3_s_examples_of_a_bucket_s_lifecycle_and_listing),
      TEST(a_request_too_long_to_sign_is_a_limit),
      TEST(oss_requests_have_the_signatures_that_its_client_sends),
      TEST(the_new_sdk_s_requests_have_the_signatures_that_it_sent),
      TEST(a_signed_header_that_is_absent_is_invalid),
      TEST(v1_requests_of_both_sdks_have_the_signatures_that_they_sent))
