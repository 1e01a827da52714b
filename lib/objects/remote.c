/* remote.c - stores behind HTTP, in S3's dialect and in OSS's: requests, signed, and what the answers mean.
 *
 * The two differ in words (the table below), in how a bucket is addressed unless the row says it, and in what
 * their errors are called. OSS is spoken to natively, not by its S3 endpoint, since only there it is known to keep what
 * create-only promises; and it ignores that promise in buckets whose versioning is on or suspended, so these are
 * refused by the probe.
 */
#include <stdio.h>

#include "objects/dialect_door.h"
#include "objects/store_error.h"
#include "sign/sign.h"

#define HEADERS_MAX          24
#define CREDENTIALS_SIZE_MAX 4096

struct words {
    struct str name;
    enum sign_v4_service service;
    const char *date, *payload, *meta, *encryption, *encryption_key;
    struct sign_pair create_only; /* rule 10 */
    struct str addressing;        /* unless the row says it */
    const char *const *encryptions;
};

static const struct words *words_of(const struct objects_store *store)
{
    static const char *const s3_encryptions[] = {"AES256", "aws:kms", NULL};
    static const char *const oss_encryptions[] = {"AES256", "KMS", "SM4", NULL};
    static const struct words s3 = {
        .name = STR("s3"),
        .service = SIGN_V4_S3,
        .date = "x-amz-date",
        .payload = "x-amz-content-sha256",
        .meta = "x-amz-meta-",
        .encryption = "x-amz-server-side-encryption",
        .encryption_key = "x-amz-server-side-encryption-aws-kms-key-id",
        .create_only = {STR("if-none-match"), STR("*")},
        .addressing = STR("path"),
        .encryptions = s3_encryptions,
    };
    static const struct words oss = {
        .name = STR("oss"),
        .service = SIGN_V4_OSS,
        .date = "x-oss-date",
        .payload = "x-oss-content-sha256",
        .meta = "x-oss-meta-",
        .encryption = "x-oss-server-side-encryption",
        .encryption_key = "x-oss-server-side-encryption-key-id",
        .create_only = {STR("x-oss-forbid-overwrite"), STR("true")},
        .addressing = STR("virtual"),
        .encryptions = oss_encryptions,
    };

    return store->dialect == &dialect_oss ? &oss : &s3;
}

/* ---- a row of destinations ----------------------------------------------------------------------- */

static int read_credentials(struct objects_store *s, struct why *why)
{
    AUTO_FREE char *path = credential_path(s->row.credentials_file);
    char text[CREDENTIALS_SIZE_MAX];
    struct str rest, line, name;
    bool no_memory = false;
    FILE *file;
    size_t len;

    if (!path)
        return -ERR_NOMEM;
    file = fopen(path, "re");
    if (!file)
        return why_set(why, -ERR_CONFIG, "cannot read credentials_file %s: %m", path);
    len = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    for (rest = str_of(text, len); str_split(&rest, '\n', &line);) {
        struct str value = line;

        if (!str_split(&value, '=', &name) || !value.at)
            continue;
        if (str_eq(str_trim(name), STR("access_key_id")) && !s->access_key)
            no_memory |= !(s->access_key = str_dup(str_trim(value)));
        else if (str_eq(str_trim(name), STR("secret_access_key")) && !s->secret)
            no_memory |= !(s->secret = str_dup(str_trim(value)));
    }
    crypto_wipe(text, sizeof(text));
    if (no_memory)
        return -ERR_NOMEM;
    if (!s->access_key || !s->secret)
        return why_set(why, -ERR_CONFIG, "%s must hold access_key_id=… and secret_access_key=…",
                       path);
    return 0;
}

static int bad_row(const struct objects_store *s, struct why *why, const char *what)
{
    return why_set(why, -ERR_CONFIG, "destination " STR_FMT ": %s", STR_ARG(s->row.pattern), what);
}

static int read_endpoint(struct objects_store *s, struct why *why)
{
    static const struct str schemes[] = {STR("http://"), STR("https://")};
    struct str host = s->row.endpoint;

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts(host, schemes[i]))
            s->scheme = schemes[i];
    host = str_of(host.at + s->scheme.len, host.len - s->scheme.len);
    while (host.len && host.at[host.len - 1] == '/')
        host.len--;
    if (!s->scheme.len || !host.len || memchr(host.at, '/', host.len))
        return bad_row(s, why, "endpoint must be http(s)://HOST[:PORT]");
    s->place = host;
    return 0;
}

static bool encryption_known(const struct words *w, struct str encryption)
{
    for (const char *const *known = w->encryptions; *known; known++)
        if (str_eq(encryption, str_from(*known)))
            return true;
    return encryption.len == 0;
}

static int open_row(struct objects_store *s, struct why *why)
{
    const struct words *w = words_of(s);
    struct destination_section *row = &s->row;
    int r = read_endpoint(s, why);

    if (r < 0)
        return r;
    if (!row->addressing.len)
        row->addressing = w->addressing;
    if (!str_eq(row->addressing, STR("path")) && !str_eq(row->addressing, STR("virtual")) &&
        !str_eq(row->addressing, STR("own")))
        return bad_row(s, why, "addressing must be path, virtual or own");
    if (!row->region.len && w->service == SIGN_V4_OSS)
        return bad_row(s, why, "oss needs the region of its buckets, as cn-hangzhou");
    s->region = row->region.len ? row->region : STR("us-east-1");
    if (w->service == SIGN_V4_OSS && str_starts(s->region, STR("oss-")))
        return bad_row(s, why, "region must be without oss-, as cn-hangzhou");
    if (!encryption_known(w, row->encryption))
        return bad_row(s, why, "its dialect has another encryption; see docs/DESTINATIONS.md");
    if (!row->credentials_file.len)
        return bad_row(s, why, "credentials_file is missing");
    s->ca_file = str_dup(row->ca_file);
    return s->ca_file ? read_credentials(s, why) : -ERR_NOMEM;
}

/* ---- requests ---------------------------------------------------------------------------------- */

/* What goes over the wire; lives while the request is built. */
struct wire {
    const struct objects_store *store;
    const struct words *words;
    struct buf url, path, canonical_path, query, host, authorization, lines[HEADERS_MAX];
    struct sign_pair headers[HEADERS_MAX]; /* signed */
    size_t header_count, line_count;
    const char *list[HEADERS_MAX + 1];
};

static void wire_init(struct wire *w, const struct objects_store *store)
{
    memset(w, 0, sizeof(*w));
    w->store = store;
    w->words = words_of(store);
    buf_init(&w->url, 8192);
    buf_init(&w->path, 4096);
    buf_init(&w->canonical_path, 4096);
    buf_init(&w->query, 4096);
    buf_init(&w->host, 512);
    buf_init(&w->authorization, 4096);
}

static void wire_done(struct wire *w)
{
    buf_done(&w->url);
    buf_done(&w->path);
    buf_done(&w->canonical_path);
    buf_done(&w->query);
    buf_done(&w->host);
    buf_done(&w->authorization);
    for (size_t i = 0; i < w->line_count; i++)
        buf_done(&w->lines[i]);
}

static void add_header(struct wire *w, const char *name, struct str value)
{
    struct buf *line = &w->lines[w->line_count];

    CHECK(w->line_count < HEADERS_MAX);
    buf_init(line, 4096);
    buf_addf(line, "%s: " STR_FMT, name, STR_ARG(value));
    w->list[w->line_count++] = buf_cstr(line);
}

static void add_signed(struct wire *w, const char *name, struct str value)
{
    add_header(w, name, value);
    w->headers[w->header_count++] = (struct sign_pair){str_from(name), value};
}

static void add_path(struct str bucket, bool with_bucket, struct str key, struct buf *out)
{
    buf_add_byte(out, '/');
    if (with_bucket)
        sign_escape(bucket, false, out);
    if (with_bucket && key.len)
        buf_add_byte(out, '/');
    sign_escape(key, true, out);
}

static void address(struct wire *w, struct str bucket, struct str key, struct sign_pair *params,
                    size_t param_count)
{
    const struct objects_store *s = w->store;
    bool oss = w->words->service == SIGN_V4_OSS;

    if (str_eq(s->row.addressing, STR("virtual")))
        buf_addf(&w->host, STR_FMT ".", STR_ARG(bucket));
    buf_add_str(&w->host, s->place);
    add_path(bucket, str_eq(s->row.addressing, STR("path")), key, &w->path);
    if (oss)
        buf_addf(&w->canonical_path, "/" STR_FMT, STR_ARG(bucket));
    add_path(bucket, !oss && str_eq(s->row.addressing, STR("path")), key, &w->canonical_path);
    if (oss)
        sign_query_bare(params, param_count, &w->query);
    else
        sign_query(params, param_count, &w->query);
    buf_addf(&w->url, STR_FMT STR_FMT STR_FMT "%s" STR_FMT, STR_ARG(s->scheme),
             STR_ARG(buf_str(&w->host)), STR_ARG(buf_str(&w->path)), w->query.len ? "?" : "",
             STR_ARG(buf_str(&w->query)));
}

/* A request with a part missing would be another one: a list of everything, a PUT that may overwrite. */
static int wire_error(const struct wire *w)
{
    const struct buf *parts[] = {&w->url,   &w->path, &w->canonical_path,
                                 &w->query, &w->host, &w->authorization};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (buf_error(parts[i]))
            return buf_error(parts[i]);
    for (size_t i = 0; i < w->line_count; i++)
        if (buf_error(&w->lines[i]))
            return buf_error(&w->lines[i]);
    return 0;
}

/* `payload`: the body's SHA-256. OSS wants none, and takes Content-MD5 for the proof of the body. */
static int sign_wire(struct wire *w, int64_t now_s, struct str method, const char *payload)
{
    const struct objects_store *s = w->store;
    bool oss = w->words->service == SIGN_V4_OSS;
    struct str proof = oss ? STR("UNSIGNED-PAYLOAD") : str_from(payload);
    struct sign_v4 keys = {str_from(s->access_key), str_from(s->secret), s->region, now_s,
                           w->words->service};
    struct sign_request request = {.method = method,
                                   .path = buf_str(&w->canonical_path),
                                   .query = buf_str(&w->query),
                                   .headers = w->headers,
                                   .payload_sha256 = proof};
    char date[SIGN_V4_DATE_SIZE];
    int r;

    sign_v4_date(now_s, date);
    add_signed(w, w->words->date, str_from(date));
    add_signed(w, w->words->payload, proof);
    if (!oss)
        w->headers[w->header_count++] = (struct sign_pair){STR("host"), buf_str(&w->host)};
    request.header_count = w->header_count;
    r = sign_v4(&keys, &request, &w->authorization);
    if (r < 0)
        return r;
    add_header(w, "Authorization", buf_str(&w->authorization));
    w->list[w->line_count] = NULL;
    return wire_error(w);
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* Outcome and, unless it is OK (as it is before), fault and sentence. */
static void judge(const struct call *c, const struct http_answer *answer,
                  struct objects_result *result)
{
    struct store_error error;

    if (!store_error_read(answer, &error))
        return;
    result->outcome = error.outcome;
    result->fault = error.fault;
    if (answer->error)
        (void)why_set(&result->why, 0, STR_FMT "/%s: %s", STR_ARG(c->store->place), c->bucket,
                      answer->why);
    else
        (void)why_set(&result->why, 0, STR_FMT "/%s: HTTP %d %s", STR_ARG(c->store->place),
                      c->bucket, answer->status, error.code);
}

/* 200 with something else in it: a login page, a proxy's greeting. */
static void unreadable(struct objects_result *result, const struct call *c)
{
    result->outcome = OBJECTS_REFUSED;
    result->fault = OBJECTS_FAULT_SILENT;
    (void)why_set(&result->why, 0, STR_FMT "/%s: the answer is not one of an object store",
                  STR_ARG(c->store->place), c->bucket);
}

/* Nothing is wrong with the store. */
static void no_room(struct objects_result *result, const struct call *c)
{
    *result = (struct objects_result){.outcome = OBJECTS_UNCLEAR, .fault = OBJECTS_FAULT_TROUBLE};
    (void)why_set(&result->why, 0, STR_FMT "/%s: no memory for the answer",
                  STR_ARG(c->store->place), c->bucket);
}

static void read_versioning(const struct call *c, const struct http_answer *answer,
                            struct objects_result *result)
{
    struct str status;

    if (store_versioning_read(answer->body, &status) < 0) {
        unreadable(result, c);
    } else if (status.len) {
        result->outcome = OBJECTS_REFUSED;
        result->fault = OBJECTS_FAULT_VERSIONING;
        (void)why_set(&result->why, 0,
                      "%s: the bucket's versioning is %.*s; OSS lets objects be overwritten then",
                      c->bucket, (int)MIN_OF(status.len, (size_t)20), status.at);
    }
}

struct answered {
    const struct http_answer *answer;
    const char *prefix;
};

static bool meta_header(void *arg, const char *name, struct str *ret)
{
    const struct answered *a = arg;
    char full[64];

    (void)snprintf(full, sizeof(full), "%s%s", a->prefix, name);
    return http_header(a->answer, full, ret);
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct call *c = arg;
    AUTO(arena_free) struct arena *memory = NULL;
    struct answered answered = {answer, words_of(c->store)->meta};
    struct objects_result result = {0};
    int r;

    judge(c, answer, &result);
    if (result.outcome == OBJECTS_OK && c->hmac_key)
        result.meta_valid =
            object_meta_parse(meta_header, &answered, c->hmac_key, str_from(c->bucket),
                              str_from(c->key), &result.meta, &result.why) == 0;
    if (result.outcome == OBJECTS_OK && c->getting)
        result.body = answer->body;
    if (result.outcome == OBJECTS_OK && c->listing) {
        memory = arena_new(OBJECTS_LIST_MEMORY_MAX);
        r = memory ? objects_list_parse(answer->body, memory, &result.keys, &result.key_count,
                                        &result.next_token)
                   : -ERR_NOMEM;
        if (r == -ERR_NOMEM)
            no_room(&result, c);
        else if (r < 0)
            unreadable(&result, c);
    }
    if (result.outcome == OBJECTS_OK && c->versioning)
        read_versioning(c, answer, &result);
    call_done(c, &result);
}

/* ---- calls ------------------------------------------------------------------------------------- */

static int send_call(struct http *http, struct call *c, struct wire *w, struct str method,
                     struct str body, int timeout_ms)
{
    struct http_request request = {.method = method,
                                   .url = buf_str(&w->url),
                                   .headers = w->list,
                                   .body = body,
                                   .timeout_ms = timeout_ms,
                                   .ca_file = c->store->ca_file,
                                   .answer_max = c->getting ? OBJECTS_BODY_SIZE_MAX : 0};

    return http_submit(http, &request, on_answer, c);
}

static void add_encryption(struct wire *w)
{
    const struct destination_section *row = &w->store->row;

    if (row->encryption.len)
        add_signed(w, w->words->encryption, row->encryption);
    if (row->encryption.len && row->encryption_key.len)
        add_signed(w, w->words->encryption_key, row->encryption_key);
}

static int build_put(struct wire *w, const struct call *c, int64_t now_s, struct str body,
                     const struct object_meta_field *meta, size_t meta_count, struct buf *text)
{
    char names[OBJECT_META_FIELDS][48];
    struct sha256 d = sha256_of(body);
    unsigned char md5[MD5_SIZE];
    size_t hex_len;

    CHECK(meta_count <= OBJECT_META_FIELDS);
    md5_of(body, md5);
    buf_add_hex(text, d.bytes, SHA256_SIZE);
    buf_add_byte(text, '\0');
    hex_len = text->len;
    buf_add_base64(text, md5, MD5_SIZE);
    if (buf_error(text))
        return buf_error(text);
    address(w, str_from(c->bucket), str_from(c->key), NULL, 0);
    add_signed(w, "content-md5", str_of(text->at + hex_len, text->len - hex_len));
    add_signed(w, "content-type", STR("application/gzip"));
    add_header(w, w->words->create_only.name.at, w->words->create_only.value);
    w->headers[w->header_count++] = w->words->create_only;
    add_encryption(w);
    for (size_t i = 0; i < meta_count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%s%s", w->words->meta, meta[i].name);
        add_signed(w, names[i], str_from(meta[i].value));
    }
    return sign_wire(w, now_s, STR("PUT"), text->at);
}

/* A store that hangs is not waited for longer than its bytes may take. */
static int put_timeout_ms(size_t size)
{
    return (int)MIN_OF(OBJECTS_CALL_TIMEOUT_MS + size / OBJECTS_BYTES_PER_MS,
                       (size_t)OBJECTS_PUT_TIMEOUT_MS);
}

static int remote_put(struct http *http, struct call *c, int64_t now_s, struct str body,
                      const struct object_meta_field *meta, size_t meta_count)
{
    AUTO_BUF struct buf text = {0};
    struct wire w;
    int r;

    buf_init(&text, 256);
    (void)buf_reserve(&text, 200); /* slices of it must not move */
    wire_init(&w, c->store);
    r = build_put(&w, c, now_s, body, meta, meta_count, &text);
    if (r == 0)
        r = send_call(http, c, &w, STR("PUT"), body, put_timeout_ms(body.len));
    wire_done(&w);
    return r;
}

static int simple_call(struct http *http, struct call *c, int64_t now_s, struct str method,
                       struct sign_pair *params, size_t param_count)
{
    struct wire w;
    int r;

    wire_init(&w, c->store);
    address(&w, str_from(c->bucket), str_from(c->key), params, param_count);
    r = sign_wire(&w, now_s, method, SIGN_EMPTY_SHA256);
    if (r == 0)
        r = send_call(http, c, &w, method, STR_NONE,
                      c->getting ? OBJECTS_PUT_TIMEOUT_MS : OBJECTS_CALL_TIMEOUT_MS);
    wire_done(&w);
    return r;
}

static int remote_look(struct http *http, struct call *c, int64_t now_s)
{
    return simple_call(http, c, now_s, c->getting ? STR("GET") : STR("HEAD"), NULL, 0);
}

static int remote_list(struct http *http, struct call *c, int64_t now_s, struct str prefix,
                       struct str start_after, struct str token)
{
    struct sign_pair params[5] = {
        {STR("list-type"), STR("2")}, {STR("prefix"), prefix}, {STR("max-keys"), STR("1000")}};
    size_t count = 3;

    if (start_after.len)
        params[count++] = (struct sign_pair){STR("start-after"), start_after};
    if (token.len)
        params[count++] = (struct sign_pair){STR("continuation-token"), token};
    return simple_call(http, c, now_s, STR("GET"), params, count);
}

static int oss_versioning(struct http *http, struct call *c, int64_t now_s)
{
    struct sign_pair params[] = {{STR("versioning"), STR("")}};

    return simple_call(http, c, now_s, STR("GET"), params, 1);
}

const struct dialect dialect_s3 = {
    .name = "s3",
    .open = open_row,
    .put = remote_put,
    .look = remote_look,
    .list = remote_list,
};

const struct dialect dialect_oss = {
    .name = "oss",
    .open = open_row,
    .put = remote_put,
    .look = remote_look,
    .list = remote_list,
    .versioning = oss_versioning,
};
