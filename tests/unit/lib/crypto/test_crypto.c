/* Digests against published vectors; what is sealed opens for its key and context only. */
#include "crypto/crypto.h"

#include "test.h"

static void assert_hex(const void *bytes, size_t len, const char *want)
{
    AUTO_BUF struct buf hex = {0};

    buf_init(&hex, 200);
    buf_add_hex(&hex, bytes, len);
    assert_str_eq(buf_str(&hex), str_from(want));
}

static void digests_are_those_of_the_standards(void **state)
{
    unsigned char sha1[SHA1_SIZE], md5[MD5_SIZE];
    struct sha256 d = sha256_of(STR("abc"));

    (void)state;
    assert_hex(d.bytes, SHA256_SIZE,
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    d = sha256_of(STR_NONE);
    assert_hex(d.bytes, SHA256_SIZE,
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    d = hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?")); /* RFC 4231, case 2 */
    assert_hex(d.bytes, SHA256_SIZE,
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    d = hmac_sha256(STR_NONE, STR_NONE);
    assert_hex(d.bytes, SHA256_SIZE,
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    hmac_sha1(STR("Jefe"), STR("what do ya want for nothing?"), sha1); /* RFC 2202, case 2 */
    assert_hex(sha1, SHA1_SIZE, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    md5_of(STR("message digest"), md5); /* RFC 1321 */
    assert_hex(md5, MD5_SIZE, "f96b697d7cb7938d525a2f31aaf161d0");
}

static void a_digest_over_pieces_is_that_of_the_whole(void **state)
{
    static const struct str text = STR("a digest over pieces of a text");
    struct sha256 whole = sha256_of(text), pieces;

    (void)state;
    for (size_t cut = 0; cut <= text.len; cut++) {
        AUTO(sha256_stream_free) struct sha256_stream *stream = sha256_stream_new();

        assert_non_null(stream);
        sha256_stream_add(stream, str_of(text.at, cut));
        sha256_stream_add(stream, str_of(text.at + cut, text.len - cut));
        pieces = sha256_stream_end(stream);
        assert_memory_equal(pieces.bytes, whole.bytes, SHA256_SIZE);
    }
}

static const struct crypto_key key = {{1, 2, 3}};

static void what_is_sealed_opens_again(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000};
    static const char plain[1000] = "secret";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_BUF struct buf sealed = {0}, opened = {0};

        buf_init(&sealed, 2000);
        buf_init(&opened, 2000);
        assert_int_equal(crypto_seal(&key, STR("context"), str_of(plain, sizes[i]), &sealed), 0);
        assert_int_equal(crypto_open(&key, STR("context"), buf_str(&sealed), &opened), 0);
        assert_str_eq(buf_str(&opened), str_of(plain, sizes[i]));
    }
}

static void sealing_twice_gives_other_bytes(void **state)
{
    AUTO_BUF struct buf one = {0}, two = {0};

    (void)state;
    buf_init(&one, 100);
    buf_init(&two, 100);
    assert_int_equal(crypto_seal(&key, STR(""), STR("secret"), &one), 0);
    assert_int_equal(crypto_seal(&key, STR(""), STR("secret"), &two), 0);
    assert_false(str_eq(buf_str(&one), buf_str(&two)));
}

static void nothing_opens_with_a_byte_changed_or_for_another(void **state)
{
    static const struct crypto_key other = {{1, 2, 4}};
    AUTO_BUF struct buf sealed = {0}, opened = {0};

    (void)state;
    buf_init(&sealed, 100);
    buf_init(&opened, 100);
    assert_int_equal(crypto_seal(&key, STR("context"), STR("secret"), &sealed), 0);
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.at[i] ^= 1;
        assert_int_equal(crypto_open(&key, STR("context"), buf_str(&sealed), &opened),
                         -ERR_INVALID);
        sealed.at[i] ^= 1;
        assert_int_equal(crypto_open(&key, STR("context"), str_of(sealed.at, i), &opened),
                         -ERR_INVALID);
    }
    assert_int_equal(crypto_open(&other, STR("context"), buf_str(&sealed), &opened), -ERR_INVALID);
    assert_int_equal(crypto_open(&key, STR("Context"), buf_str(&sealed), &opened), -ERR_INVALID);
    assert_int_equal(opened.len, 0);
}

static void no_room_is_a_limit(void **state)
{
    AUTO_BUF struct buf sealed = {0}, small = {0};

    (void)state;
    buf_init(&small, 10);
    buf_init(&sealed, 100);
    assert_int_equal(crypto_seal(&key, STR(""), STR("secret"), &small), -ERR_LIMIT);
    assert_int_equal(crypto_seal(&key, STR(""), STR("a secret of some length"), &sealed), 0);
    buf_reset(&small);
    assert_int_equal(crypto_open(&key, STR(""), buf_str(&sealed), &small), -ERR_LIMIT);
}

static void keys_for_two_purposes_differ(void **state)
{
    struct crypto_key a = crypto_derive(&key, STR("a")), b = crypto_derive(&key, STR("b")),
                      again = crypto_derive(&key, STR("a"));

    (void)state;
    assert_memory_not_equal(a.bytes, b.bytes, CRYPTO_KEY_SIZE);
    assert_memory_not_equal(a.bytes, key.bytes, CRYPTO_KEY_SIZE);
    assert_memory_equal(a.bytes, again.bytes, CRYPTO_KEY_SIZE);
}

static void equal_means_all_bytes(void **state)
{
    (void)state;
    assert_true(crypto_equal(STR_NONE, STR("")));
    assert_true(crypto_equal(STR("abc"), STR("abc")));
    assert_false(crypto_equal(STR("abc"), STR("abd")));
    assert_false(crypto_equal(STR("abc"), STR("ab")));
}

static void a_uuid_has_its_form_and_differs(void **state)
{
    char one[UUID_SIZE], two[UUID_SIZE];

    (void)state;
    crypto_uuid(one);
    crypto_uuid(two);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), UUID_SIZE - 1);
    assert_int_equal(strspn(one, "0123456789ABCDEF-"), UUID_SIZE - 1);
    assert_true(one[8] == '-' && one[13] == '-' && one[18] == '-' && one[23] == '-');
    assert_true(one[14] == '4' && strchr("89AB", one[19]));
}

TESTS(TEST(digests_are_those_of_the_standards), TEST(a_digest_over_pieces_is_that_of_the_whole),
      TEST(what_is_sealed_opens_again), TEST(sealing_twice_gives_other_bytes),
      TEST(nothing_opens_with_a_byte_changed_or_for_another), TEST(no_room_is_a_limit),
      TEST(keys_for_two_purposes_differ), TEST(equal_means_all_bytes),
      TEST(a_uuid_has_its_form_and_differs))
