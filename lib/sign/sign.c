/* sign.c - canonical requests, and the keyed digests over them. */
#include "sign/sign.h"

#include <stdio.h>

#include "crypto/crypto.h"

static bool unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void sign_escape(struct str s, bool keep_slash, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        if (unreserved(s.at[i]) || (keep_slash && s.at[i] == '/'))
            buf_add_byte(out, s.at[i]);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)s.at[i]);
    }
}

static int pair_compare(const void *a, const void *b)
{
    const struct sign_pair *x = a, *y = b;
    int c = str_cmp(x->name, y->name);

    return c ? c : str_cmp(x->value, y->value);
}

static void sort_pairs(struct sign_pair *pairs, size_t count)
{
    if (count)
        qsort(pairs, count, sizeof(*pairs), pair_compare);
}

static void add_query(struct sign_pair *params, size_t count, bool bare, struct buf *out)
{
    sort_pairs(params, count);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_byte(out, '&');
        sign_escape(params[i].name, false, out);
        if (params[i].value.len || !bare)
            buf_add_byte(out, '=');
        sign_escape(params[i].value, false, out);
    }
}

void sign_query(struct sign_pair *params, size_t count, struct buf *out)
{
    add_query(params, count, false, out);
}

void sign_query_bare(struct sign_pair *params, size_t count, struct buf *out)
{
    add_query(params, count, true, out);
}

static struct str digest_str(const struct sha256 *d)
{
    return str_of(d->bytes, SHA256_SIZE);
}

void sign_v4_date(int64_t now_s, char ret[SIGN_V4_DATE_SIZE])
{
    char text[TIME_TEXT_SIZE];

    time_format(now_s, text);
    (void)snprintf(ret, SIGN_V4_DATE_SIZE, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", text, text + 5, text + 8,
                   text + 11, text + 14, text + 17);
}

static void add_canonical(const struct sign_request *q, struct str names, struct buf *out)
{
    buf_addf(out, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n", STR_ARG(q->method), STR_ARG(q->path),
             STR_ARG(q->query));
    for (size_t i = 0; i < q->header_count; i++) {
        buf_add_str(out, q->headers[i].name);
        buf_add_byte(out, ':');
        buf_add_str(out, str_trim(q->headers[i].value));
        buf_add_byte(out, '\n');
    }
    buf_addf(out, "\n" STR_FMT "\n" STR_FMT, STR_ARG(names), STR_ARG(q->payload_sha256));
}

/* The words in which the two differ. */
struct v4_words {
    const char *algorithm, *seed, *service, *end;
    bool names_headers;
};

static const struct v4_words *words_of(enum sign_v4_service service)
{
    static const struct v4_words s3 = {"AWS4-HMAC-SHA256", "AWS4", "s3", "aws4_request", true};
    static const struct v4_words oss = {"OSS4-HMAC-SHA256", "aliyun_v4", "oss", "aliyun_v4_request",
                                        false};

    return service == SIGN_V4_OSS ? &oss : &s3;
}

static void names_of(const struct sign_request *q, struct buf *out)
{
    for (size_t i = 0; i < q->header_count; i++)
        buf_addf(out, "%s" STR_FMT, i ? ";" : "", STR_ARG(q->headers[i].name));
}

/* The key of a day, region and service, then the signature. */
static int v4_digest(const struct sign_v4 *keys, const struct v4_words *w, const char *date,
                     struct str text, struct sha256 *ret)
{
    AUTO_BUF struct buf seed = {0};
    struct sha256 d;

    buf_init(&seed, 1024);
    buf_addf(&seed, "%s" STR_FMT, w->seed, STR_ARG(keys->secret));
    if (buf_error(&seed))
        return buf_error(&seed);
    d = hmac_sha256(buf_str(&seed), str_of(date, 8));
    d = hmac_sha256(digest_str(&d), keys->region);
    d = hmac_sha256(digest_str(&d), str_from(w->service));
    d = hmac_sha256(digest_str(&d), str_from(w->end));
    *ret = hmac_sha256(digest_str(&d), text);
    crypto_wipe(seed.at, seed.len);
    crypto_wipe(&d, sizeof(d));
    return 0;
}

int sign_v4(const struct sign_v4 *keys, struct sign_request *q, struct buf *out)
{
    const struct v4_words *w = words_of(keys->service);
    AUTO_BUF struct buf names = {0}, canonical = {0}, scope = {0}, text = {0};
    char date[SIGN_V4_DATE_SIZE];
    struct sha256 d;
    int r;

    buf_init(&names, 8192);
    buf_init(&canonical, SIGN_TEXT_MAX);
    buf_init(&scope, 1024);
    buf_init(&text, 8192);
    sign_v4_date(keys->now_s, date);
    sort_pairs(q->headers, q->header_count);
    if (w->names_headers)
        names_of(q, &names);
    add_canonical(q, buf_str(&names), &canonical);
    buf_addf(&scope, "%.8s/" STR_FMT "/%s/%s", date, STR_ARG(keys->region), w->service, w->end);
    d = sha256_of(buf_str(&canonical));
    buf_addf(&text, "%s\n%s\n" STR_FMT "\n", w->algorithm, date, STR_ARG(buf_str(&scope)));
    buf_add_hex(&text, d.bytes, SHA256_SIZE);
    if ((r = buf_error(&names)) || (r = buf_error(&canonical)) || (r = buf_error(&scope)) ||
        (r = buf_error(&text)))
        return r;
    r = v4_digest(keys, w, date, buf_str(&text), &d);
    if (r < 0)
        return r;
    buf_addf(out, "%s Credential=" STR_FMT "/" STR_FMT ",", w->algorithm, STR_ARG(keys->access_key),
             STR_ARG(buf_str(&scope)));
    if (w->names_headers)
        buf_addf(out, "SignedHeaders=" STR_FMT ",", STR_ARG(buf_str(&names)));
    buf_addf(out, "Signature=");
    buf_add_hex(out, d.bytes, SHA256_SIZE);
    return buf_error(out);
}

/* ---- ACS3 ---------------------------------------------------------------------------------------- */

static int add_signed_header(struct str name, const struct sign_pair *headers, size_t count,
                             struct buf *out)
{
    bool found = false;

    buf_add_str(out, name);
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(headers[i].name, name))
            continue;
        buf_add_byte(out, found ? ',' : ':');
        buf_add_str(out, str_trim(headers[i].value));
        found = true;
    }
    buf_add_byte(out, '\n');
    return found ? 0 : -ERR_INVALID;
}

int sign_acs3(struct str secret, struct str method, struct str path, struct str query,
              const struct sign_pair *headers, size_t header_count, struct str signed_headers,
              struct str payload_sha256, struct buf *out)
{
    AUTO_BUF struct buf canonical = {0}, text = {0};
    struct str rest = signed_headers, name;
    struct sha256 d;

    buf_init(&canonical, SIGN_TEXT_MAX);
    buf_init(&text, 256);
    buf_addf(&canonical, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n", STR_ARG(method), STR_ARG(path),
             STR_ARG(query));
    while (str_split(&rest, ';', &name)) {
        int r = add_signed_header(name, headers, header_count, &canonical);

        if (r < 0)
            return r;
    }
    buf_addf(&canonical, "\n" STR_FMT "\n" STR_FMT, STR_ARG(signed_headers),
             STR_ARG(payload_sha256));
    if (buf_error(&canonical))
        return buf_error(&canonical);
    d = sha256_of(buf_str(&canonical));
    buf_add_str(&text, STR("ACS3-HMAC-SHA256\n"));
    buf_add_hex(&text, d.bytes, SHA256_SIZE);
    if (buf_error(&text))
        return buf_error(&text);
    d = hmac_sha256(secret, buf_str(&text));
    buf_add_hex(out, d.bytes, SHA256_SIZE);
    return buf_error(out);
}

int sign_acs1_text(struct str method, struct sign_pair *params, size_t count, struct buf *out)
{
    AUTO_BUF struct buf query = {0};

    buf_init(&query, SIGN_TEXT_MAX);
    sign_query(params, count, &query);
    buf_add_str(out, method);
    buf_add_str(out, STR("&%2F&"));
    sign_escape(buf_str(&query), false, out);
    return buf_error(&query) ? buf_error(&query) : buf_error(out);
}

int sign_acs1(struct str secret, struct str method, struct sign_pair *params, size_t count,
              struct buf *out)
{
    AUTO_BUF struct buf text = {0}, key = {0};
    unsigned char digest[SHA1_SIZE];
    int r;

    buf_init(&text, (size_t)SIGN_TEXT_MAX * 3);
    buf_init(&key, 1024);
    r = sign_acs1_text(method, params, count, &text);
    if (r < 0)
        return r;
    buf_add_str(&key, secret);
    buf_add_byte(&key, '&');
    if (buf_error(&key))
        return buf_error(&key);
    hmac_sha1(buf_str(&key), buf_str(&text), digest);
    crypto_wipe(key.at, key.len);
    buf_add_base64(out, digest, sizeof(digest));
    return buf_error(out);
}
