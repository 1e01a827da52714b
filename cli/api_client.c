/* api_client.c - one call of the API. */
#include "cli/api_client.h"

#include <stdio.h>
#include <time.h>

#include "control/control.h"
#include "http/http.h"
#include "jsondoc/jsondoc.h"
#include "rpc/rpc.h"

#define SIGNED_HEADERS                                                                             \
    "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
#define SIGNED_WITH_TOKEN                                                                          \
    "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;"   \
    "x-acs-signature-nonce;x-acs-version"
#define MEMORY_MAX       (32 << 20)
#define QUERY_SIZE_MAX   65536
#define THROTTLE_WAIT_MS 500 /* the API counts by the second */

void api_param(struct api_params *params, const char *name, struct str value)
{
    CHECK(params->count < API_PARAMS_MAX);
    params->at[params->count++] = (struct sign_pair){str_from(name), value};
}

/* ---- settings ---------------------------------------------------------------------------------- */

bool api_address_parse(struct str address, struct str *ret_scheme, struct str *ret_host)
{
    static const struct str schemes[] = {STR("http://"), STR("https://")};

    *ret_scheme = schemes[0];
    *ret_host = address;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!str_starts(address, schemes[i]))
            continue;
        *ret_scheme = schemes[i];
        *ret_host = str_of(address.at + schemes[i].len, address.len - schemes[i].len);
    }
    if (str_ends(*ret_host, STR("/")))
        ret_host->len--;
    for (size_t i = 0; i < ret_host->len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]",
                    ret_host->at[i]))
            return false;
    return ret_host->len > 0;
}

int api_open(struct cli *cli, struct api *ret, struct why *reterr_why)
{
    const struct settings *settings = &cli->settings;
    int r;

    *ret = (struct api){.memory = arena_new(MEMORY_MAX)};
    if (!ret->memory)
        return -ERR_NOMEM;
    r = settings_api(settings, args_text(&cli->args, "region", STR("")), &ret->address, reterr_why);
    if (r == 0 && !api_address_parse(ret->address, &ret->scheme, &ret->host))
        r = why_set(reterr_why, -ERR_CONFIG,
                    "\"" STR_FMT "\" is no address of an API: HOST:PORT or https://HOST[:PORT]",
                    STR_ARG(ret->address));
    if (r == 0)
        r = settings_need(settings, "TRAILBUS_ACCESS_KEY_ID", &ret->key, reterr_why);
    if (r == 0)
        r = settings_need(settings, "TRAILBUS_ACCESS_KEY_SECRET", &ret->secret, reterr_why);
    ret->token = settings_get(settings, "TRAILBUS_SECURITY_TOKEN");
    return r;
}

void api_close(struct api *api)
{
    arena_free(api->memory);
    api->memory = NULL;
}

/* ---- signing ----------------------------------------------------------------------------------- */

int api_sign(struct str key, struct str secret, const struct api_request *request, struct buf *out)
{
    struct str names = request->token.len ? STR(SIGNED_WITH_TOKEN) : STR(SIGNED_HEADERS);
    const struct sign_pair headers[] = {
        {STR("host"), request->host},
        {STR("x-acs-accesskey-id"), key},
        {STR("x-acs-security-token"), request->token},
        {STR("x-acs-action"), request->action},
        {STR("x-acs-content-sha256"), STR(SIGN_EMPTY_SHA256)},
        {STR("x-acs-date"), request->date},
        {STR("x-acs-signature-nonce"), request->nonce},
        {STR("x-acs-version"), STR(RPC_VERSION)},
    };

    buf_addf(out, "ACS3-HMAC-SHA256 Credential=" STR_FMT ",SignedHeaders=" STR_FMT ",Signature=",
             STR_ARG(key), STR_ARG(names));
    return sign_acs3(secret, STR("POST"), STR("/"), request->query, headers, ARRAY_LEN(headers),
                     names, STR(SIGN_EMPTY_SHA256), out);
}

/* ---- calling ----------------------------------------------------------------------------------- */

/* "name: value"; NULL without memory. */
static const char *header(struct arena *memory, const char *name, struct str value)
{
    return arena_printf(memory, "%s: " STR_FMT, name, STR_ARG(value)).at;
}

static int send_request(struct api *api, const struct api_request *request, struct http_answer *ret)
{
    AUTO_BUF struct buf signature = {0}, url = {0};
    const char *headers[14] = {NULL};
    size_t count = 0;
    int r;

    buf_init(&signature, 4096);
    buf_init(&url, QUERY_SIZE_MAX + 1024);
    r = api_sign(api->key, api->secret, request, &signature);
    if (r < 0)
        return r;
    buf_addf(&url, STR_FMT STR_FMT "/%s", STR_ARG(api->scheme), STR_ARG(api->host),
             request->query.len ? "?" : "");
    buf_add_str(&url, request->query);
    headers[count++] = header(api->memory, "host", request->host);
    headers[count++] = header(api->memory, "x-acs-action", request->action);
    headers[count++] = "x-acs-version: " RPC_VERSION;
    headers[count++] = header(api->memory, "x-acs-date", request->date);
    headers[count++] = header(api->memory, "x-acs-signature-nonce", request->nonce);
    headers[count++] = "x-acs-content-sha256: " SIGN_EMPTY_SHA256;
    headers[count++] = header(api->memory, "authorization", buf_str(&signature));
    if (request->token.len) {
        headers[count++] = header(api->memory, "x-acs-accesskey-id", api->key);
        headers[count++] = header(api->memory, "x-acs-security-token", request->token);
    }
    if (request->force.len)
        headers[count++] = header(api->memory, FORCE_HEADER, request->force);
    headers[count++] = "user-agent: trailctl/" TRAILBUS_VERSION;
    headers[count++] = "content-type:"; /* there is no body: none is sent */
    for (size_t i = 0; i < count; i++)
        if (!headers[i])
            return -ERR_NOMEM;
    if (buf_error(&url))
        return buf_error(&url);
    return http_call(&(struct http_request){.method = STR("POST"),
                                            .url = buf_str(&url),
                                            .headers = headers,
                                            .timeout_ms = API_TIMEOUT_MS},
                     api->memory, ret);
}

/* What helps against a code, or NULL. */
static const char *advice(const char *code)
{
    static const char *const table[][2] = {
        {"InvalidAccessKeyId.NotFound", "check TRAILBUS_ACCESS_KEY_ID"},
        {"InvalidSecurityToken.Expired", "`trailctl key create --temporary` makes another one"},
        {"MissingSecurityToken", "set TRAILBUS_SECURITY_TOKEN"},
        {"NoPermission", "`trailctl policy attach` gives rights to a user"},
        {"InvalidAccessKeyId.Inactive", "`trailctl key create ACCOUNT` makes another one"},
        {"SignatureDoesNotMatch", "check TRAILBUS_ACCESS_KEY_SECRET"},
        {"InvalidTimeStamp.Expired", "set this machine's clock"},
        {"TrailNotFoundException", "`trailctl trail list` shows which there are in this region"},
        {"InvalidPrefixException",
         "a prefix has 6 to 32 letters, digits, -, _ and /, a letter first; or it is empty"},
        {"BucketDoesNotExistException",
         "the bucket has to be there, and `destinations` of the configuration say in which store"},
        {"RepeatOssBucket", "give it another --prefix"},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(code, table[i][0]) == 0)
            return table[i][1];
    return NULL;
}

static int refused(struct api *api, const struct http_answer *answer, struct why *reterr_why)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    struct str code, message;
    const char *help;

    if (jsondoc_parse(answer->body, &doc, NULL) < 0 || !jsondoc_str(doc, "Code", &code) ||
        code.len >= sizeof(api->code))
        return why_set(reterr_why, -ERR_UNAVAILABLE,
                       "status %d from " STR_FMT ", which does not speak as the API does",
                       answer->status, STR_ARG(api->address));
    memcpy(api->code, code.at, code.len);
    api->code[code.len] = '\0';
    message = jsondoc_str_or(doc, "Message", STR(""));
    help = advice(api->code);
    return why_set(reterr_why, answer->status >= 500 ? -ERR_UNAVAILABLE : -ERR_INVALID,
                   "%s: " STR_FMT "%s%s%s", api->code, STR_ARG(message), help ? " (" : "",
                   help ? help : "", help ? ")" : "");
}

static struct str param(const struct api_params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++)
        if (str_eq(params->at[i].name, str_from(name)))
            return params->at[i].value;
    return STR("");
}

static int call_once(struct api *api, const char *action, const struct api_params *params,
                     struct str query, struct str *ret_body, struct why *reterr_why)
{
    AUTO_BUF struct buf force = {0};
    char date[TIME_TEXT_SIZE], nonce[UUID_SIZE];
    struct http_answer answer = {0};
    int r;

    arena_reset(api->memory);
    api->code[0] = '\0';
    time_format(cli_now_s(), date);
    crypto_uuid(nonce);
    buf_init(&force, FORCE_SIZE_MAX);
    if (api->force)
        control_force_sign(api->force,
                           &(struct control_force){.key = api->key,
                                                   .nonce = str_from(nonce),
                                                   .action = str_from(action),
                                                   .trail = param(params, "Name")},
                           cli_now_s(), &force);
    if (buf_error(&force))
        return buf_error(&force);
    r = send_request(api,
                     &(struct api_request){.host = api->host,
                                           .action = str_from(action),
                                           .date = str_from(date),
                                           .nonce = str_from(nonce),
                                           .query = query,
                                           .token = api->token,
                                           .force = buf_str(&force)},
                     &answer);
    if (r < 0)
        return why_set(reterr_why, r, "the API at " STR_FMT " does not answer; is it running? (%s)",
                       STR_ARG(api->address), answer.why);
    if (answer.status != 200)
        return refused(api, &answer, reterr_why);
    *ret_body = answer.body;
    return 0;
}

int api_call(struct api *api, const char *action, struct api_params *params, struct str *ret_body,
             struct why *reterr_why)
{
    AUTO_BUF struct buf query = {0};
    int r;

    buf_init(&query, QUERY_SIZE_MAX);
    sign_query(params->at, params->count, &query);
    if (buf_error(&query))
        return why_set(reterr_why, buf_error(&query), "the request is too large");
    for (int waited_ms = 0;; waited_ms += THROTTLE_WAIT_MS) {
        r = call_once(api, action, params, buf_str(&query), ret_body, reterr_why);
        if (r == 0 || !str_starts(str_from(api->code), STR("Throttling")) ||
            waited_ms >= API_THROTTLED_MS)
            return r;
        (void)nanosleep(&(struct timespec){.tv_nsec = THROTTLE_WAIT_MS * 1000000L}, NULL);
    }
}
