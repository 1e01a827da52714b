/* rpc.c - requests taken apart, signatures checked, refusals written. */
#include "rpc/rpc.h"

#include <stdarg.h>
#include <stdio.h>

#include "crypto/crypto.h"

#define DETAIL_SIZE_MAX 16384

static const struct {
    const char *code;
    int status;
    const char *message;
} codes[] = {
    {"BucketDoesNotExistException", 404, "The specified OSS bucket does not exist."},
    {"IncompleteSignature", 400, "The request signature does not conform to Aliyun standards."},
    {"InsufficientBucketPolicyException", 403, "The service may not write to the OSS bucket."},
    {"InternalError", 500, "The request processing has failed due to some unknown error."},
    {"InvalidAcceptLanguage", 400, "The specified AcceptLanguage is invalid."},
    {"InvalidAccessKeyId.Inactive", 403, "Specified access key is disabled."},
    {"InvalidAccessKeyId.NotFound", 404, "Specified access key is not found."},
    {"InvalidAction.NotFound", 404,
     "Specified api is not found, please check your url and method."},
    {"ActionNotImplemented", 501, "This operation is not offered by this deployment."},
    {"InvalidDeliveryConfigurationException", 400, "The delivery configuration is invalid."},
    {"InvalidLookupAttributesException", 400,
     "The lookup attributes are invalid: only specific keys and combinations are supported."},
    {"InvalidNextToken", 400, "The specified NextToken is invalid."},
    {"InvalidParameterCombination", 400, "The end time must be later than the start time."},
    {"InvalidParameterDateOutOfRange", 400, "The time range must not exceed 30 days."},
    {"InvalidParameterEndTime", 400, "The specified EndTime is invalid."},
    {"InvalidParameterStartTime", 400, "The specified StartTime is invalid."},
    {"InvalidParameterStartTimeExceedsCurrent", 400, "The start time lies in the future."},
    {"InvalidParameterStartTimeOutOfDate", 400, "The start time lies over 90 days back."},
    {"InvalidParameterValue", 400, "The specified parameter value is invalid."},
    {"InvalidPrefixException", 400, "The specified OSS key prefix is invalid."},
    {"InvalidQueryParameter", 400, "The specified query parameter is invalid."},
    {"InvalidParameter.Format", 400, "Specified parameter Format is not XML or JSON."},
    {"InvalidSecurityToken.Expired", 400, "Specified SecurityToken is expired."},
    {"InvalidSecurityToken.Malformed", 400, "Specified SecurityToken is malformed."},
    {"InvalidSecurityToken.MismatchWithAccessKey", 400,
     "Specified SecurityToken mismatches with the AccessKey."},
    {"InvalidSignatureMethod", 400, "Specified signature method is not supported."},
    {"InvalidSignatureVersion", 400, "Specified signature version is not supported."},
    {"InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired."},
    {"InvalidTimeStamp.Format", 400, "Specified time stamp or date value is not well formatted."},
    {"InvalidTrailNameException", 400, "The specified Trail name is invalid."},
    {"InvalidVersion", 404, "Specified version is not found."},
    {"MaximumNumberOfTrailsExceededException", 403,
     "The maximum number of trails in the region has been reached."},
    {"MissingParameter", 400, "A parameter is mandatory for this action."},
    {"MissingSecurityToken", 400, "SecurityToken is mandatory for this access key."},
    {"NoPermission", 403,
     "You are not authorized to perform this operation. Please apply for access in RAM first."},
    {"NotAllowCreateOrganizationTrail", 400, "Multi-account trails are not allowed."},
    {"RepeatOssBucket", 400, "The OSS bucket and prefix are used by another trail."},
    {"ServiceUnavailable", 503, "The request has failed due to a temporary failure of the server."},
    {"SignatureDoesNotMatch", 400, "Specified signature is not matched with our calculation."},
    {"SignatureNonceUsed", 400, "Specified signature nonce was used already."},
    {"SlsProjectDoesNotExistException", 400, "The specified Log Service project does not exist."},
    {"Throttling.User", 400, "Request was denied due to user flow control."},
    {"TrailAlreadyExistsException", 400, "The specified Trail name already exists."},
    {"TrailNotFoundException", 404, "The specified Trail does not exist."},
    {"UnsupportedHTTPMethod", 405, "This http method is not supported."},
    {"RequestTooLarge", 413, "The request is too large."},
};

/* A sentence cut at its maximum ends with a whole character. */
static void trim_character(char *text)
{
    size_t len = strlen(text);

    for (int cut = 0; cut < 3 && !str_is_utf8(str_of(text, len)); cut++)
        len--;
    if (str_is_utf8(str_of(text, len)))
        text[len] = '\0';
}

int rpc_fail(struct rpc_failure *ret, const char *code, const char *format, ...)
{
    va_list args;
    size_t i = 0;

    while (i < ARRAY_LEN(codes) && strcmp(codes[i].code, code) != 0)
        i++;
    CHECK(i < ARRAY_LEN(codes));
    ret->code = codes[i].code;
    ret->status = codes[i].status;
    if (format) {
        va_start(args, format);
        (void)vsnprintf(ret->message, sizeof(ret->message), format, args);
        va_end(args);
        trim_character(ret->message);
    } else {
        (void)snprintf(ret->message, sizeof(ret->message), "%s", codes[i].message);
    }
    return -ERR_INVALID;
}

bool rpc_header(const struct rpc_request *q, const char *name, struct str *ret)
{
    for (size_t i = 0; i < q->header_count; i++) {
        if (str_eq(q->headers[i].name, str_from(name))) {
            *ret = str_trim(q->headers[i].value);
            return true;
        }
    }
    return false;
}

static struct str header_or_none(const struct rpc_request *q, const char *name)
{
    struct str s;

    return rpc_header(q, name, &s) ? s : STR("");
}

bool rpc_has(const struct rpc_call *call, const char *name)
{
    for (size_t i = 0; i < call->param_count; i++)
        if (str_eq(call->params[i].name, str_from(name)))
            return true;
    return false;
}

struct str rpc_param(const struct rpc_call *call, const char *name)
{
    for (size_t i = 0; i < call->param_count; i++)
        if (str_eq(call->params[i].name, str_from(name)))
            return call->params[i].value;
    return STR("");
}

int rpc_bool(const struct rpc_call *call, const char *name, bool *ret, struct rpc_failure *failure)
{
    struct str value = rpc_param(call, name);

    *ret = str_eq_nocase(value, STR("true"));
    if (*ret || value.len == 0 || str_eq_nocase(value, STR("false")))
        return 0;
    return rpc_fail(failure, "InvalidQueryParameter", "%s must be true or false.", name);
}

/* ---- parameters off the wire ------------------------------------------------------------------- */

/* '+' and %XX; at == NULL when malformed, not UTF-8, or arena_error(). */
static struct str decode(struct str s, struct arena *arena)
{
    char *to = arena_get(arena, s.len + 1);
    size_t len = 0;

    for (size_t i = 0; to && i < s.len; i++) {
        if (s.at[i] == '%') {
            if (s.len - i < 3 || !str_hex_decode(str_of(s.at + i + 1, 2), to + len, 1))
                return STR_NONE;
            i += 2;
            len++;
        } else {
            to[len++] = s.at[i] == '+' ? ' ' : s.at[i];
        }
    }
    if (!to || !str_is_utf8(str_of(to, len)))
        return STR_NONE;
    return str_of(to, len);
}

/* What has no room is too large, or the memory is short: not the client's fault. */
static int fail_for_room(int r, struct rpc_failure *failure)
{
    return rpc_fail(failure, r == -ERR_NOMEM ? "ServiceUnavailable" : "RequestTooLarge", NULL);
}

static int add_pairs(struct str text, struct arena *arena, struct sign_pair *pairs, size_t *count,
                     struct rpc_failure *failure)
{
    struct str pair, name;

    while (text.len && str_split(&text, '&', &pair)) {
        struct str value = pair;

        if (pair.len == 0)
            continue;
        (void)str_split(&value, '=', &name);
        if (*count == RPC_PARAMS_MAX)
            return rpc_fail(failure, "InvalidQueryParameter", "More than %d parameters.",
                            RPC_PARAMS_MAX);
        pairs[*count].name = decode(name, arena);
        pairs[*count].value = value.at ? decode(value, arena) : STR("");
        if (arena_error(arena))
            return fail_for_room(arena_error(arena), failure);
        if (!pairs[*count].name.at || !pairs[*count].value.at)
            return rpc_fail(failure, "InvalidQueryParameter",
                            "A parameter is not well encoded, or not UTF-8.");
        ++*count;
    }
    return 0;
}

static bool of_signature(struct str name)
{
    static const struct str names[] = {
        STR("Signature"),      STR("SignatureMethod"), STR("SignatureVersion"),
        STR("SignatureNonce"), STR("SignatureType"),   STR("Timestamp"),
        STR("AccessKeyId"),    STR("Action"),          STR("Version"),
        STR("Format"),         STR("SecurityToken"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static struct str pair_value(const struct sign_pair *pairs, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(pairs[i].name, name))
            return pairs[i].value;
    return STR("");
}

/* ---- families ------------------------------------------------------------------------------------ */

static int require(struct str value, const char *name, struct rpc_failure *failure)
{
    return value.len
               ? 0
               : rpc_fail(failure, "MissingParameter", "%s is mandatory for this action.", name);
}

/* "ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…" */
static int parse_authorization(struct str text, struct rpc_call *call, struct rpc_failure *failure)
{
    static const struct str scheme = STR("ACS3-HMAC-SHA256 ");
    struct str part, name;

    if (!str_starts(text, scheme))
        return rpc_fail(failure, "InvalidSignatureMethod", NULL);
    text = str_of(text.at + scheme.len, text.len - scheme.len);
    while (str_split(&text, ',', &part)) {
        struct str value = str_trim(part);

        (void)str_split(&value, '=', &name);
        if (str_eq(name, STR("Credential")))
            call->access_key = value;
        else if (str_eq(name, STR("SignedHeaders")))
            call->signed_headers = value;
        else if (str_eq(name, STR("Signature")))
            call->signature = value;
    }
    if (!call->access_key.len || !call->signed_headers.len || !call->signature.len)
        return rpc_fail(failure, "IncompleteSignature",
                        "Authorization lacks Credential, SignedHeaders or Signature.");
    return 0;
}

static bool list_has(struct str list, struct str wanted)
{
    struct str one;

    while (str_split(&list, ';', &one))
        if (str_eq(one, wanted))
            return true;
    return false;
}

static bool hash_matches(struct str hex, struct str body)
{
    struct sha256 want = sha256_of(body), got;

    return str_hex_decode(hex, got.bytes, SHA256_SIZE) &&
           memcmp(want.bytes, got.bytes, SHA256_SIZE) == 0;
}

static int parse_acs3(const struct rpc_request *q, struct str authorization, struct arena *arena,
                      struct rpc_call *call, struct rpc_failure *failure)
{
    static const char *const must_sign[] = {
        "host",       "x-acs-action",          "x-acs-version",
        "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"};
    struct str date = header_or_none(q, "x-acs-date");
    AUTO_BUF struct buf query = {0};
    int r;

    call->family = RPC_ACS3;
    call->action = header_or_none(q, "x-acs-action");
    call->version = header_or_none(q, "x-acs-version");
    call->nonce = header_or_none(q, "x-acs-signature-nonce");
    call->security_token = header_or_none(q, "x-acs-security-token");
    call->payload_sha256 = header_or_none(q, "x-acs-content-sha256");
    if ((r = require(call->action, "x-acs-action", failure)) < 0 ||
        (r = require(call->version, "x-acs-version", failure)) < 0 ||
        (r = parse_authorization(authorization, call, failure)) < 0 ||
        (r = require(date, "x-acs-date", failure)) < 0 ||
        (r = require(call->nonce, "x-acs-signature-nonce", failure)) < 0 ||
        (r = require(call->payload_sha256, "x-acs-content-sha256", failure)) < 0)
        return r;
    if (!time_parse(date, &call->time_s))
        return rpc_fail(failure, "InvalidTimeStamp.Format", NULL);
    for (size_t i = 0; i < ARRAY_LEN(must_sign); i++)
        if (!list_has(call->signed_headers, str_from(must_sign[i])))
            return rpc_fail(failure, "IncompleteSignature", "The header %s must be signed.",
                            must_sign[i]);
    if (!hash_matches(call->payload_sha256, q->body))
        return rpc_fail(failure, "SignatureDoesNotMatch",
                        "x-acs-content-sha256 is not the hash of the body.");
    buf_init(&query, SIGN_TEXT_MAX);
    sign_query(call->signed_params, call->signed_count, &query);
    call->canonical_query = arena_copy(arena, buf_str(&query));
    if (buf_error(&query))
        return fail_for_room(buf_error(&query), failure);
    return arena_error(arena) ? fail_for_room(arena_error(arena), failure) : 0;
}

static int parse_v1(struct rpc_call *call, struct rpc_failure *failure)
{
    const struct sign_pair *p = call->signed_params;
    size_t n = call->signed_count;
    struct str method = pair_value(p, n, STR("SignatureMethod"));
    struct str version = pair_value(p, n, STR("SignatureVersion"));
    struct str format = pair_value(p, n, STR("Format"));
    struct str timestamp = pair_value(p, n, STR("Timestamp"));
    int r;

    call->family = RPC_V1;
    call->action = pair_value(p, n, STR("Action"));
    call->version = pair_value(p, n, STR("Version"));
    call->access_key = pair_value(p, n, STR("AccessKeyId"));
    call->nonce = pair_value(p, n, STR("SignatureNonce"));
    call->signature = pair_value(p, n, STR("Signature"));
    call->security_token = pair_value(p, n, STR("SecurityToken"));
    if ((r = require(call->action, "Action", failure)) < 0 ||
        (r = require(call->version, "Version", failure)) < 0 ||
        (r = require(call->access_key, "AccessKeyId", failure)) < 0 ||
        (r = require(call->signature, "Signature", failure)) < 0 ||
        (r = require(call->nonce, "SignatureNonce", failure)) < 0 ||
        (r = require(timestamp, "Timestamp", failure)) < 0 ||
        (r = require(method, "SignatureMethod", failure)) < 0 ||
        (r = require(version, "SignatureVersion", failure)) < 0)
        return r;
    if (!str_eq(method, STR("HMAC-SHA1")))
        return rpc_fail(failure, "InvalidSignatureMethod", NULL);
    if (!str_eq(version, STR("1.0")))
        return rpc_fail(failure, "InvalidSignatureVersion", NULL);
    if (format.len && !str_eq_nocase(format, STR("JSON")) && !str_eq_nocase(format, STR("XML")))
        return rpc_fail(failure, "InvalidParameter.Format", NULL);
    if (!time_parse(timestamp, &call->time_s))
        return rpc_fail(failure, "InvalidTimeStamp.Format", NULL);
    return 0;
}

/* A media type is the same in any case of letters; parameters ("; charset=utf-8") may follow. */
static bool is_form(struct str type)
{
    struct str media;

    return str_split(&type, ';', &media) &&
           str_eq_nocase(str_trim(media), STR("application/x-www-form-urlencoded"));
}

int rpc_parse(const struct rpc_request *q, struct arena *arena, struct rpc_call *call,
              struct rpc_failure *failure)
{
    struct str authorization, type;
    bool form = rpc_header(q, "content-type", &type) && is_form(type);
    bool acs3 =
        rpc_header(q, "authorization", &authorization) && str_starts(authorization, STR("ACS3-"));
    size_t form_from;
    int r;

    *call = (struct rpc_call){0};
    if (!str_eq(q->method, STR("GET")) && !str_eq(q->method, STR("POST")))
        return rpc_fail(failure, "UnsupportedHTTPMethod", NULL);
    if (q->query.len > RPC_TARGET_SIZE_MAX || q->body.len > RPC_BODY_SIZE_MAX)
        return rpc_fail(failure, "RequestTooLarge", NULL);
    r = add_pairs(q->query, arena, call->signed_params, &call->signed_count, failure);
    form_from = call->signed_count;
    if (r == 0 && form)
        r = add_pairs(q->body, arena, call->signed_params, &call->signed_count, failure);
    if (r < 0)
        return r;
    call->xml = str_eq_nocase(pair_value(call->signed_params, call->signed_count, STR("Format")),
                              STR("XML"));
    for (size_t i = 0; i < call->signed_count; i++)
        if (!of_signature(call->signed_params[i].name))
            call->params[call->param_count++] = call->signed_params[i];
    if (acs3)
        call->signed_count = form_from; /* the form is covered by the body's hash */
    r = acs3 ? parse_acs3(q, authorization, arena, call, failure) : parse_v1(call, failure);
    if (r < 0)
        return r;
    if (call->nonce.len > RPC_NONCE_SIZE_MAX || call->access_key.len > RPC_NONCE_SIZE_MAX)
        return rpc_fail(failure, "InvalidParameterValue", "The nonce or access key is too long.");
    if (!str_eq(call->version, STR(RPC_VERSION)))
        return rpc_fail(failure, "InvalidVersion", NULL);
    return 0;
}

/* All parameters but the signature. Returns how many. */
static size_t v1_params(const struct rpc_call *call, struct sign_pair params[RPC_PARAMS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < call->signed_count; i++)
        if (!str_eq(call->signed_params[i].name, STR("Signature")))
            params[count++] = call->signed_params[i];
    return count;
}

int rpc_verify(const struct rpc_request *q, struct rpc_call *call, struct str secret)
{
    struct sign_pair params[RPC_PARAMS_MAX];
    AUTO_BUF struct buf signature = {0};
    int r;

    buf_init(&signature, 256);
    if (call->family == RPC_ACS3)
        r = sign_acs3(secret, q->method, STR("/"), call->canonical_query, q->headers,
                      q->header_count, call->signed_headers, call->payload_sha256, &signature);
    else
        r = sign_acs1(secret, q->method, params, v1_params(call, params), &signature);
    if (r == -ERR_INVALID) /* a header that it says was signed is not there */
        return 0;
    return r < 0 ? r : crypto_equal(buf_str(&signature), call->signature);
}

int rpc_fail_signature(const struct rpc_request *q, const struct rpc_call *call,
                       struct arena *arena, struct rpc_failure *ret)
{
    struct sign_pair params[RPC_PARAMS_MAX];
    AUTO_BUF struct buf text = {0};

    (void)rpc_fail(ret, "SignatureDoesNotMatch", NULL);
    if (call->family == RPC_ACS3)
        return -ERR_INVALID;
    buf_init(&text, DETAIL_SIZE_MAX);
    buf_add_str(&text, STR(" server string to sign is:"));
    if (sign_acs1_text(q->method, params, v1_params(call, params), &text) == 0)
        ret->detail = arena_copy(arena, buf_str(&text));
    else
        ret->detail = STR(" server string to sign is: too long to be shown");
    return -ERR_INVALID;
}

/* ---- answers ----------------------------------------------------------------------------------------- */

/* What is no text is left out: it would spoil the answer. */
static struct str text_or_none(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ')
            return STR("");
    return str_is_utf8(s) ? s : STR("");
}

static void add_xml(struct buf *out, const char *name, struct str text)
{
    struct str value = text_or_none(text);

    buf_addf(out, "<%s>", name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == '<')
            buf_add_str(out, STR("&lt;"));
        else if (value.at[i] == '&')
            buf_add_str(out, STR("&amp;"));
        else
            buf_add_byte(out, value.at[i]);
    }
    buf_addf(out, "</%s>", name);
}

struct field {
    const char *name;
    struct str value;
};

/* The members of AccessDeniedDetail. */
enum { DENIAL_FIELDS = 6 };

static void denial_fields(const struct rpc_denial *d, struct field ret[DENIAL_FIELDS])
{
    const struct field fields[DENIAL_FIELDS] = {
        {"AuthAction", d->action},
        {"AuthPrincipalType", STR("SubUser")},
        {"AuthPrincipalOwnerId", d->account},
        {"AuthPrincipalDisplayName", d->user},
        {"NoPermissionType", d->explicit ? STR("ExplicitDeny") : STR("ImplicitDeny")},
        {"PolicyType", STR("AccountLevelIdentityBasedPolicy")},
    };

    memcpy(ret, fields, sizeof(fields));
}

static void add_message(const struct rpc_failure *f, struct buf *out)
{
    buf_init(out, sizeof(f->message) + DETAIL_SIZE_MAX);
    buf_add_str(out, text_or_none(str_from(f->message)));
    buf_add_str(out, f->detail);
}

static void render_xml(const struct rpc_failure *f, struct str request_id, struct str host,
                       struct buf *out)
{
    AUTO_BUF struct buf message = {0};
    struct field denial[DENIAL_FIELDS];

    buf_add_str(out, STR("<?xml version='1.0' encoding='UTF-8'?><Error>"));
    add_xml(out, "RequestId", request_id);
    add_xml(out, "HostId", host);
    add_xml(out, "Code", str_from(f->code));
    add_message(f, &message);
    add_xml(out, "Message", buf_str(&message));
    if (buf_error(&message))
        out->error = buf_error(&message);
    if (f->denial.action.len) {
        denial_fields(&f->denial, denial);
        buf_add_str(out, STR("<AccessDeniedDetail>"));
        for (size_t i = 0; i < DENIAL_FIELDS; i++)
            add_xml(out, denial[i].name, denial[i].value);
        buf_add_str(out, STR("</AccessDeniedDetail>"));
    }
    buf_add_str(out, STR("</Error>"));
}

static struct jsondoc *denial_document(const struct rpc_denial *d)
{
    struct jsondoc *doc = jsondoc_object();
    struct field denial[DENIAL_FIELDS];

    denial_fields(d, denial);
    for (size_t i = 0; doc && i < DENIAL_FIELDS; i++)
        (void)jsondoc_set_str(doc, denial[i].name, denial[i].value);
    return doc;
}

void rpc_render_failure(const struct rpc_failure *f, struct str request_id, struct str host,
                        bool xml, struct buf *out)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    AUTO_BUF struct buf message = {0};
    unsigned failures = jsondoc_failures();
    int r;

    if (xml) {
        render_xml(f, request_id, host, out);
        return;
    }
    doc = jsondoc_object();
    (void)jsondoc_set_str(doc, "RequestId", request_id);
    (void)jsondoc_set_str(doc, "HostId", text_or_none(host));
    (void)jsondoc_set_str(doc, "Code", str_from(f->code));
    add_message(f, &message);
    (void)jsondoc_set_str(doc, "Message", buf_str(&message));
    if (f->denial.action.len)
        (void)jsondoc_set(doc, "AccessDeniedDetail", denial_document(&f->denial));
    r = buf_error(&message) ? buf_error(&message) : jsondoc_render(doc, out);
    if (r < 0 || jsondoc_failures() != failures)
        out->error = r < 0 ? r : -ERR_NOMEM;
}
