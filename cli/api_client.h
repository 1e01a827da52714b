/* api_client.h - calls of the API, signed (ACS3-HMAC-SHA256), and what it says when it refuses.
 *
 * A call that was throttled is made again until it is let in. Which API is called, and with whose key, the
 * settings say: TRAILBUS_API or TRAILBUS_API_<REGION>, TRAILBUS_ACCESS_KEY_ID, TRAILBUS_ACCESS_KEY_SECRET, and for
 * a temporary key TRAILBUS_SECURITY_TOKEN.
 *
 * Layer: I/O, but for api_sign(). DEPS base, control, crypto, http, jsondoc, sign.
 */
#ifndef CLI_API_CLIENT_H
#define CLI_API_CLIENT_H

#include "base/base.h"
#include "cli/cli.h"
#include "crypto/crypto.h"
#include "sign/sign.h"

#define API_PARAMS_MAX 16
#define API_TIMEOUT_MS                                                                             \
    60000 /* of a call: a change of a trail may wait for what was logged before it */
#define API_THROTTLED_MS  60000 /* a call is made again for so long */
#define API_CODE_SIZE_MAX 64

struct api {
    struct str address; /* as it was given, for messages */
    struct str scheme, host, key, secret;
    struct str token;               /* of a temporary key; else empty */
    const struct crypto_key *force; /* the master key: calls are forced by an operator; else NULL */
    struct arena *memory;           /* of the last answer */
    char code[API_CODE_SIZE_MAX];   /* of the last call: why the API refused; "" otherwise */
};

struct api_params {
    struct sign_pair at[API_PARAMS_MAX];
    size_t count;
};
/* Borrowed. */
void api_param(struct api_params *params, const char *name, struct str value);

/* Reads the settings and --region. Close it with api_close(), also on an error. */
MUST_CHECK int api_open(struct cli *cli, struct api *ret, struct why *reterr_why);
void api_close(struct api *api);
static inline void auto_api_close(struct api *api)
{
    api_close(api);
}
#define AUTO_API __attribute__((cleanup(auto_api_close)))

/* *ret_body lives until the next call. -ERR_UNAVAILABLE, -ERR_TIMEOUT: no answer, or the API says "later";
 * -ERR_INVALID: refused. The sentence says what the API said and, where it is known, what to do. */
MUST_CHECK int api_call(struct api *api, const char *action, struct api_params *params,
                        struct str *ret_body, struct why *reterr_why);

/* "host:port", "http://host:port", "https://host:port/". False on anything else. */
bool api_address_parse(struct str address, struct str *ret_scheme, struct str *ret_host);

/* A signed request without a body: everything that is random or a clock's comes from outside. */
struct api_request {
    struct str host, action, date, nonce; /* date: 2026-11-23T08:00:00Z */
    struct str query;                     /* canonical: sign_query() */
    struct str token;                     /* of a temporary key; else empty */
    struct str force;                     /* an operator's token; else empty */
};
/* Value of the header Authorization over the headers host and x-acs-*. */
MUST_CHECK int api_sign(struct str key, struct str secret, const struct api_request *request,
                        struct buf *out);

#endif
