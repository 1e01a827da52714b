/* store_error.c - answers of stores that are no success, read. */
#include "objects/store_error.h"

#define HEADER_BODY_SIZE_MAX 8192 /* of an error in a header, decoded */

/* Text of an element of an error's XML; "" when it is not there. */
static struct str element(struct str body, const char *open, const char *close)
{
    size_t from, to, len = strlen(open);

    if (!str_find(body, str_from(open), &from))
        return STR("");
    body = str_of(body.at + from + len, body.len - from - len);
    return str_find(body, str_from(close), &to) ? str_of(body.at, to) : STR("");
}

static void keep_code(struct str code, char ret[STORE_CODE_SIZE])
{
    ret[0] = '\0';
    if (code.len >= STORE_CODE_SIZE)
        return;
    for (size_t i = 0; i < code.len; i++)
        if (code.at[i] <= ' ' || code.at[i] > '~')
            return;
    if (code.len)
        memcpy(ret, code.at, code.len);
    ret[code.len] = '\0';
}

static bool one_of(const char *code, const char *const *codes)
{
    while (*codes && strcmp(code, *codes) != 0)
        codes++;
    return *codes != NULL;
}

/* Of an answer that is no success. */
static enum objects_outcome outcome_of(const struct http_answer *answer, const char *code)
{
    if (answer->error)
        return OBJECTS_UNCLEAR;
    switch (answer->status) {
    case 412:
        return OBJECTS_EXISTS;
    case 404:
        return strcmp(code, "NoSuchBucket") == 0 ? OBJECTS_NO_BUCKET : OBJECTS_NOT_FOUND;
    case 401:
    case 403:
        return OBJECTS_DENIED;
    case 409: /* else ConditionalRequestConflict: a twin is under way */
        return one_of(code, (const char *const[]){"FileAlreadyExists", "FileImmutable", NULL})
                   ? OBJECTS_EXISTS
                   : OBJECTS_UNCLEAR;
    case 408:
    case 429:
        return OBJECTS_UNCLEAR;
    default:
        return answer->status >= 500 ? OBJECTS_UNCLEAR : OBJECTS_REFUSED;
    }
}

static enum objects_fault fault_of(const struct http_answer *answer, const char *code,
                                   struct str body)
{
    static const char *const keys[] = {"InvalidAccessKeyId", "SignatureDoesNotMatch",
                                       "InvalidSecurity", NULL};
    static const char *const regions[] = {"PermanentRedirect", "TemporaryRedirect",
                                          "AuthorizationHeaderMalformed", NULL};
    static const enum objects_fault failures[] = {
        [HTTP_FAILURE_NONE] = OBJECTS_FAULT_OTHER,      [HTTP_FAILURE_NAME] = OBJECTS_FAULT_NAME,
        [HTTP_FAILURE_CONNECT] = OBJECTS_FAULT_CONNECT, [HTTP_FAILURE_TRUST] = OBJECTS_FAULT_TRUST,
        [HTTP_FAILURE_ANSWER] = OBJECTS_FAULT_SILENT,
    };

    if (answer->error)
        return failures[answer->failure];
    if (strcmp(code, "NoSuchBucket") == 0)
        return OBJECTS_FAULT_BUCKET;
    if (strcmp(code, "RequestTimeTooSkewed") == 0)
        return OBJECTS_FAULT_CLOCK;
    if (one_of(code, keys))
        return OBJECTS_FAULT_KEYS;
    if (one_of(code, regions) || str_find(body, STR("using the specified endpoint"), NULL))
        return OBJECTS_FAULT_REGION;
    if (answer->status == 401 || answer->status == 403)
        return OBJECTS_FAULT_RIGHTS;
    return answer->status >= 500 || answer->status == 429 ? OBJECTS_FAULT_TROUBLE
                                                          : OBJECTS_FAULT_OTHER;
}

bool store_error_read(const struct http_answer *answer, struct store_error *ret)
{
    AUTO_BUF struct buf decoded = {0};
    struct str body = answer->body, header;

    if (!answer->error && answer->status >= 200 && answer->status < 300)
        return false;
    buf_init(&decoded, HEADER_BODY_SIZE_MAX);
    /* An answer to HEAD has no body: OSS puts it into a header. */
    if (!body.len && http_header(answer, "x-oss-err", &header)) {
        (void)!buf_add_base64_decoded(&decoded, header);
        body = buf_str(&decoded);
    }
    keep_code(element(body, "<Code>", "</Code>"), ret->code);
    ret->outcome = outcome_of(answer, ret->code);
    ret->fault = fault_of(answer, ret->code, body);
    return true;
}

int store_versioning_read(struct str body, struct str *ret_status)
{
    if (!str_find(body, STR("<VersioningConfiguration"), NULL))
        return -ERR_INVALID;
    *ret_status = element(body, "<Status>", "</Status>");
    return 0;
}
