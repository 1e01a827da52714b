/* crypto.h - digests, authentication, sealing and randomness, over OpenSSL's libcrypto.
 *
 * Layer: no I/O but the kernel's randomness; digests are pure. DEPS base. The only door to OpenSSL.
 */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include "base/base.h"

#define SHA256_SIZE     32
#define SHA1_SIZE       20
#define MD5_SIZE        16
#define CRYPTO_KEY_SIZE 32 /* of sealing and of derived keys */
#define UUID_SIZE       37 /* text and NUL */

struct sha256 {
    unsigned char bytes[SHA256_SIZE];
};
struct crypto_key {
    unsigned char bytes[CRYPTO_KEY_SIZE];
};

struct sha256 sha256_of(struct str data);
struct sha256 hmac_sha256(struct str key, struct str data);
void hmac_sha1(struct str key, struct str data, unsigned char ret[SHA1_SIZE]);
void md5_of(struct str data, unsigned char ret[MD5_SIZE]);

/* A digest over pieces. */
struct sha256_stream;
struct sha256_stream *sha256_stream_new(void); /* NULL without memory */
void sha256_stream_add(struct sha256_stream *stream, struct str data);
struct sha256 sha256_stream_end(struct sha256_stream *stream);
void sha256_stream_free(struct sha256_stream *stream);
AUTO_DEFINE(struct sha256_stream, sha256_stream_free)

/* A key for one purpose, from the deployment's master key: knowing one tells nothing of another. */
struct crypto_key crypto_derive(const struct crypto_key *master, struct str purpose);

/* AES-256-GCM with a random nonce: nonce, ciphertext, tag. `context` is authenticated with it, so that
 * a sealed secret cannot be moved to another owner. -ERR_NOMEM, or -ERR_LIMIT of `out`. */
MUST_CHECK int crypto_seal(const struct crypto_key *key, struct str context, struct str plain,
                           struct buf *out);
/* -ERR_INVALID when key, context or bytes are not those of the sealing. */
MUST_CHECK int crypto_open(const struct crypto_key *key, struct str context, struct str sealed,
                           struct buf *out);

bool crypto_equal(struct str a, struct str b); /* in constant time for equal lengths */
void crypto_random(void *ret, size_t len);     /* never fails: aborts without randomness */
void crypto_uuid(char ret[UUID_SIZE]);         /* version 4, upper case */
void crypto_wipe(void *at, size_t len);

#endif
