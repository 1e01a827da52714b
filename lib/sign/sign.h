/* sign.h - request signatures: the SigV4 family for stores, and ActionTrail's ACS3 for the API.
 *
 * Layer: pure. DEPS base, crypto.
 */
#ifndef SIGN_SIGN_H
#define SIGN_SIGN_H

#include "base/base.h"

#define SIGN_HEADERS_MAX  64
#define SIGN_PARAMS_MAX   256
#define SIGN_TEXT_MAX     (256 * 1024) /* of a canonical request */
#define SIGN_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sign_pair {
    struct str name, value;
};

/* RFC 3986: A-Z a-z 0-9 - _ . ~ stay, all else is %XX; '/' stays too when `keep_slash`. */
void sign_escape(struct str s, bool keep_slash, struct buf *out);
/* "k=v&k2=v2", escaped, sorted by name, then value. Sorts `params` in place. */
void sign_query(struct sign_pair *params, size_t count, struct buf *out);
/* The same, but a name without a value stands alone: OSS's form. */
void sign_query_bare(struct sign_pair *params, size_t count, struct buf *out);

/* ---- Signature Version 4, in headers: of AWS for S3, of Alibaba Cloud for OSS ------------------- */

enum sign_v4_service {
    SIGN_V4_S3, /* the path as in the URL; the signed headers are named: host, x-amz-date, … */
    SIGN_V4_OSS, /* /BUCKET/KEY wherever the bucket is in the URL; which headers are signed is a rule:
                    content-md5, content-type and every x-oss-… */
};

struct sign_v4 {
    struct str access_key, secret, region;
    int64_t now_s;
    enum sign_v4_service service;
};

struct sign_request {
    struct str method;
    struct str path;           /* escaped, as in the URL */
    struct str query;          /* canonical, as in the URL: sign_query(), sign_query_bare() */
    struct sign_pair *headers; /* lower-case names, all are signed; sorted in place */
    size_t header_count;
    struct str payload_sha256; /* hex, as in x-…-content-sha256; or UNSIGNED-PAYLOAD */
};

#define SIGN_V4_DATE_SIZE 17 /* 20261123T080000Z and NUL */
void sign_v4_date(int64_t now_s, char ret[SIGN_V4_DATE_SIZE]);
/* Appends the value of the header Authorization. */
MUST_CHECK int sign_v4(const struct sign_v4 *keys, struct sign_request *request, struct buf *out);

/* ---- ACS3-HMAC-SHA256 (reference: Alibaba Cloud, "V3 request signature") ------------------------ */

/* Hex of the signature over the named headers. `signed_headers` as sent: "a;b;c"; each is looked up in
 * `headers` (lower-case names; several of one name are joined by ','). `query` canonical.
 * -ERR_INVALID when a signed header is absent. */
MUST_CHECK int sign_acs3(struct str secret, struct str method, struct str path, struct str query,
                         const struct sign_pair *headers, size_t header_count,
                         struct str signed_headers, struct str payload_sha256, struct buf *out);

/* What a V1 signature is made over: "POST&%2F&…". Sorts `params` in place. */
MUST_CHECK int sign_acs1_text(struct str method, struct sign_pair *params, size_t count,
                              struct buf *out);
/* Base64 of a V1 (HMAC-SHA1) signature over all parameters but Signature, decoded; sorted in place. */
MUST_CHECK int sign_acs1(struct str secret, struct str method, struct sign_pair *params,
                         size_t count, struct buf *out);

#endif
