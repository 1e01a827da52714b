/* test_secrets.c - which names hold secrets, and values without them. */
#include "secrets.h"

#include "test.h"

static void names_are_told_by_their_ends(void **state)
{
    static const char *const secret[] = {"Secret",        "password",        "Passwd",
                                         "passphrase",    "PrivateKey",      "secret_key",
                                         "SecurityToken", "session-token",   "AccessToken",
                                         "AuthToken",     "refreshToken",    "SecretAccessKey",
                                         "SecretString",  "SecretData",      "SecretValue",
                                         "pwd",           "AccessKeySecret", "Tag.1.Pass-Wor-d",
                                         "PASSWORD_",     "Secret-Value-",   "a.b.client_secret"};
    static const char *const plain[] = {
        "",      "d",         "t",        "NextToken",  "ClientToken",
        "Token", "eventName", "SecretId", "password.x", "Secret.",
        "_",     "-",         "keyed",    "pwd1",       "PasswordResetRequired"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        if (!secret_name(str_from(secret[i])))
            fail_msg("%s holds a secret", secret[i]);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (secret_name(str_from(plain[i])))
            fail_msg("%s holds no secret", plain[i]);
}

static void a_value_comes_out_compact_and_masked(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"{\"a\":1.50,\"b\":[true,null,\"x y\"]}", "{\"a\":1.50,\"b\":[true,null,\"x y\"]}"},
        {" { \"a\" : [ 1 , 2 ] } ", "{\"a\":[1,2]}"},
        {"[\n]", "[]"},
        {"{\"a\":{\"password\":\"x\"}}", "{\"a\":{\"password\":\"***\"}}"},
        {"{\"a\":[{\"b\":{\"pwd\":[1]}},2]}", "{\"a\":[{\"b\":{\"pwd\":\"***\"}},2]}"},
        {"{ \"Pass\\u0077ord\": 7 }", "{\"Pass\\u0077ord\":\"***\"}"},
        {"{\"password\":null,\"pwd\":\"\",\"secret\":true}",
         "{\"password\":null,\"pwd\":\"\",\"secret\":true}"},
        {"\"password\"", "\"password\""},
        {"{\"body\":\"{\\\"Password\\\" : \\\"x\\\"}\"}",
         "{\"body\":\"{\\\"Password\\\":\\\"***\\\"}\"}"},
        {"[\" \\n[{\\\"secret\\\":1}]\"]", "[\"[{\\\"secret\\\":\\\"***\\\"}]\"]"},
        {"[\"{\\\"a\\\" : \\\"pass\\\\u0077ord\\\"}\"]",
         "[\"{\\\"a\\\" : \\\"pass\\\\u0077ord\\\"}\"]"},
        {"[\"{\\\"a\\\":\\\"{\\\\\\\"pwd\\\\\\\":1}\\\"}\"]",
         "[\"{\\\"a\\\":\\\"{\\\\\\\"pwd\\\\\\\":\\\\\\\"***\\\\\\\"}\\\"}\"]"},
        {"[\"{\\\"pwd\\\":\"]", "[\"{\\\"pwd\\\":\"]"},
    };
    struct json json;

    (void)state;
    json_init(&json);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = {0};

        buf_init(&out, 1000);
        assert_int_equal(json_scan(&json, str_from(cases[i].in), NULL), 0);
        secrets_render(&json, 0, &out);
        assert_str_eq(buf_str(&out), str_from(cases[i].out));
    }
    json_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_told_by_their_ends),
        cmocka_unit_test(a_value_comes_out_compact_and_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
