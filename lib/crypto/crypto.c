/* crypto.c - the door to libcrypto. */
#include "crypto/crypto.h"

#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define NONCE_SIZE 12
#define TAG_SIZE   16

static void digest(const EVP_MD *md, struct str data, unsigned char *ret)
{
    CHECK(EVP_Digest(data.at ? data.at : "", data.len, ret, NULL, md, NULL) == 1);
}

static void hmac(const EVP_MD *md, struct str key, struct str data, unsigned char *ret)
{
    unsigned len = 0;

    CHECK(key.len <= INT32_MAX);
    CHECK(HMAC(md, key.at ? key.at : "", (int)key.len,
               (const unsigned char *)(data.at ? data.at : ""), data.len, ret, &len) != NULL);
}

struct sha256 sha256_of(struct str data)
{
    struct sha256 d;

    digest(EVP_sha256(), data, d.bytes);
    return d;
}

struct sha256 hmac_sha256(struct str key, struct str data)
{
    struct sha256 d;

    hmac(EVP_sha256(), key, data, d.bytes);
    return d;
}

void hmac_sha1(struct str key, struct str data, unsigned char ret[SHA1_SIZE])
{
    hmac(EVP_sha1(), key, data, ret);
}

void md5_of(struct str data, unsigned char ret[MD5_SIZE])
{
    digest(EVP_md5(), data, ret);
}

struct sha256_stream {
    EVP_MD_CTX *ctx;
};

struct sha256_stream *sha256_stream_new(void)
{
    struct sha256_stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return NULL;
    stream->ctx = EVP_MD_CTX_new();
    if (!stream->ctx || EVP_DigestInit_ex(stream->ctx, EVP_sha256(), NULL) != 1) {
        sha256_stream_free(stream);
        return NULL;
    }
    return stream;
}

void sha256_stream_add(struct sha256_stream *stream, struct str data)
{
    CHECK(EVP_DigestUpdate(stream->ctx, data.at, data.len) == 1);
}

struct sha256 sha256_stream_end(struct sha256_stream *stream)
{
    struct sha256 d;

    CHECK(EVP_DigestFinal_ex(stream->ctx, d.bytes, NULL) == 1);
    return d;
}

void sha256_stream_free(struct sha256_stream *stream)
{
    if (!stream)
        return;
    EVP_MD_CTX_free(stream->ctx);
    free(stream);
}

struct crypto_key crypto_derive(const struct crypto_key *master, struct str purpose)
{
    struct sha256 d = hmac_sha256(str_of(master->bytes, CRYPTO_KEY_SIZE), purpose);
    struct crypto_key key;

    memcpy(key.bytes, d.bytes, CRYPTO_KEY_SIZE);
    return key;
}

int crypto_seal(const struct crypto_key *key, struct str context, struct str plain, struct buf *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char *to;
    int len, r = -ERR_NOMEM;

    if (!ctx)
        return -ERR_NOMEM;
    to = (unsigned char *)buf_reserve(out, NONCE_SIZE + plain.len + TAG_SIZE);
    if (!to) {
        r = buf_error(out);
        goto done;
    }
    crypto_random(to, NONCE_SIZE);
    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, to) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &len, (const unsigned char *)context.at, (int)context.len) !=
            1 ||
        EVP_EncryptUpdate(ctx, to + NONCE_SIZE, &len, (const unsigned char *)plain.at,
                          (int)plain.len) != 1 ||
        EVP_EncryptFinal_ex(ctx, to + NONCE_SIZE + plain.len, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, to + NONCE_SIZE + plain.len) != 1)
        goto done;
    out->len += NONCE_SIZE + plain.len + TAG_SIZE;
    r = 0;
done:
    EVP_CIPHER_CTX_free(ctx);
    return r;
}

int crypto_open(const struct crypto_key *key, struct str context, struct str sealed,
                struct buf *out)
{
    EVP_CIPHER_CTX *ctx;
    const unsigned char *from = (const unsigned char *)sealed.at;
    unsigned char *to;
    size_t plain_len;
    int len, r = -ERR_INVALID;

    if (sealed.len < NONCE_SIZE + TAG_SIZE || sealed.len > INT32_MAX)
        return -ERR_INVALID;
    plain_len = sealed.len - NONCE_SIZE - TAG_SIZE;
    to = (unsigned char *)buf_reserve(out, plain_len);
    if (!to)
        return buf_error(out);
    ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return -ERR_NOMEM;
    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, from) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &len, (const unsigned char *)context.at, (int)context.len) ==
            1 &&
        EVP_DecryptUpdate(ctx, to, &len, from + NONCE_SIZE, (int)plain_len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE,
                            (void *)(from + NONCE_SIZE + plain_len)) == 1 &&
        EVP_DecryptFinal_ex(ctx, to + plain_len, &len) == 1) {
        out->len += plain_len;
        r = 0;
    }
    EVP_CIPHER_CTX_free(ctx);
    return r;
}

bool crypto_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.at, b.at, a.len) == 0);
}

void crypto_random(void *ret, size_t len)
{
    CHECK(len <= INT32_MAX && RAND_bytes(ret, (int)len) == 1);
}

void crypto_uuid(char ret[UUID_SIZE])
{
    unsigned char b[16];

    crypto_random(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    (void)snprintf(ret, UUID_SIZE,
                   "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

void crypto_wipe(void *at, size_t len)
{
    OPENSSL_cleanse(at, len);
}
