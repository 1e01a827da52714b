/* rpc.h - a request of ActionTrail's API (2020-07-06), from HTTP to action and parameters, and back.
 *
 * Two families of signatures reach the same action: ACS3-HMAC-SHA256 in headers (action in x-acs-action), and
 * V1, HMAC-SHA1 in the parameters (action in Action). Parameters come in the query, in a form body, or in
 * both; names and values are percent-encoded, '+' is a space.
 *
 * Layer: pure. DEPS base, crypto, jsondoc, sign.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "base/base.h"
#include "jsondoc/jsondoc.h"
#include "sign/sign.h"

#define RPC_VERSION         "2020-07-06"
#define RPC_HEADERS_MAX     64
#define RPC_PARAMS_MAX      128
#define RPC_TARGET_SIZE_MAX 16384 /* bytes of a query */
#define RPC_BODY_SIZE_MAX   65536
#define RPC_NONCE_SIZE_MAX  128
#define RPC_CLOCK_SKEW_S    900

struct rpc_request {
    struct str method, path, query;            /* query: raw, without '?' */
    struct sign_pair headers[RPC_HEADERS_MAX]; /* names lower case */
    size_t header_count;
    struct str body;
};

enum rpc_family {
    RPC_ACS3,
    RPC_V1,
};

/* Borrowed from the request and the arena. */
struct rpc_call {
    enum rpc_family family;
    struct str action, version, access_key, nonce, signature, security_token;
    int64_t time_s;
    struct sign_pair params[RPC_PARAMS_MAX]; /* of query and form, without those of the signature */
    size_t param_count;
    bool xml; /* errors are wanted as XML */
    /* for the verification */
    struct sign_pair signed_params[RPC_PARAMS_MAX];
    size_t signed_count;
    struct str canonical_query, signed_headers, payload_sha256;
};

/* Of NoPermission: which right was missing, and whose. */
struct rpc_denial {
    struct str action;        /* "actiontrail:StopLogging"; empty: nothing is to be told */
    struct str account, user; /* borrowed, until the failure is rendered */
    bool explicit;            /* a policy forbids it; else none allows it */
};

/* Why a request is refused: one of the API's codes. */
struct rpc_failure {
    int status;
    const char *code; /* NULL: not refused */
    char message[256];
    struct str detail; /* behind the message; borrowed, until the failure is rendered */
    struct rpc_denial denial;
};
/* Fills `ret` by the table of codes; `format` NULL: the code's own message. Returns -ERR_INVALID. */
int rpc_fail(struct rpc_failure *ret, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);

/* -ERR_INVALID with *reterr_failure. */
MUST_CHECK int rpc_parse(const struct rpc_request *request, struct arena *arena,
                         struct rpc_call *ret, struct rpc_failure *reterr_failure);
/* Whether the request was signed with `secret`: 1 or 0, in constant time; -ERR_NOMEM, -ERR_LIMIT. */
MUST_CHECK int rpc_verify(const struct rpc_request *request, struct rpc_call *call,
                          struct str secret);
/* SignatureDoesNotMatch, with what a client compares to what it signed. Older SDKs end with an error of their
 * own when a V1 request's refusal does not say that. */
int rpc_fail_signature(const struct rpc_request *request, const struct rpc_call *call,
                       struct arena *arena, struct rpc_failure *ret);

bool rpc_header(const struct rpc_request *request, const char *name, struct str *ret);
/* "" when absent. */
struct str rpc_param(const struct rpc_call *call, const char *name);
bool rpc_has(const struct rpc_call *call, const char *name);
/* true or false in any case; absent: false. */
MUST_CHECK int rpc_bool(const struct rpc_call *call, const char *name, bool *ret,
                        struct rpc_failure *reterr_failure);

/* Answers. Errors are those of `out`. */
void rpc_render_failure(const struct rpc_failure *failure, struct str request_id, struct str host,
                        bool xml, struct buf *out);

/* ---- rules of parameters ------------------------------------------------------------------------ */

bool rpc_trail_name_valid(struct str name); /* ^[a-z][a-z0-9_-]{5,35}$ */
bool rpc_bucket_valid(struct str bucket);   /* ^[a-z0-9][a-z0-9-]{2,62}$ */
bool rpc_prefix_valid(struct str prefix);   /* empty, or ^[A-Za-z][A-Za-z0-9/_-]{5,31}$ */

#define RPC_LOOKUP_WINDOW_S  (30 * 86400)
#define RPC_LOOKUP_HISTORY_S (90 * 86400)
#define RPC_LOOKUP_DEFAULT_S (7 * 86400)

struct rpc_lookup {
    int64_t start_s, end_s;
    bool forward;
    int64_t max_results;
    struct str next_token;
    struct sign_pair attributes[2]; /* key, value */
    size_t attribute_count;
};
/* What LookupEvents asks for, but for the meaning of attributes and token. */
MUST_CHECK int rpc_lookup_parse(const struct rpc_call *call, int64_t now_s, struct rpc_lookup *ret,
                                struct rpc_failure *reterr_failure);

#endif
