/* s3.c - requests in S3's dialect, signed, and what the answers mean. */
#include "objects/objects.h"

#include <stdio.h>

#include "sign/sign.h"

#define STORES_MAX           256
#define LIST_MEMORY_MAX      (4 << 20)
#define HEADERS_MAX          24
#define CREDENTIALS_SIZE_MAX 4096

struct objects_store {
    struct destination_section row;
    char *access_key, *secret, *ca_file;
    struct str scheme, host; /* of the endpoint */
};

struct objects {
    struct objects_store stores[STORES_MAX];
    size_t count;
};

const char *objects_outcome_name(enum objects_outcome outcome)
{
    static const char *const names[] = {"ok",        "exists", "unclear", "not_found",
                                        "no_bucket", "denied", "refused"};

    return names[outcome];
}

/* ---- destinations ------------------------------------------------------------------------------ */

static int read_credentials(struct objects_store *s, struct why *why)
{
    AUTO_FREE char *path = credential_path(s->row.credentials_file);
    char text[CREDENTIALS_SIZE_MAX];
    struct str rest, line, name;
    FILE *file = path ? fopen(path, "re") : NULL;
    size_t len;

    if (!file)
        return why_set(why, -ERR_CONFIG, "cannot read credentials_file %s: %m", path ? path : "");
    len = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    for (rest = str_of(text, len); str_split(&rest, '\n', &line);) {
        struct str value = line;

        if (!str_split(&value, '=', &name) || !value.at)
            continue;
        if (str_eq(str_trim(name), STR("access_key_id")) && !s->access_key)
            s->access_key = str_dup(str_trim(value));
        else if (str_eq(str_trim(name), STR("secret_access_key")) && !s->secret)
            s->secret = str_dup(str_trim(value));
    }
    crypto_wipe(text, sizeof(text));
    if (!s->access_key || !s->secret)
        return why_set(why, -ERR_CONFIG, "%s must hold access_key_id=… and secret_access_key=…",
                       path);
    return 0;
}

static int store_open(struct objects_store *s, const struct destination_section *row,
                      struct why *why)
{
    static const struct str schemes[] = {STR("http://"), STR("https://")};
    struct str rest = row->endpoint;

    s->row = *row;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts(rest, schemes[i]))
            s->scheme = schemes[i];
    if (!s->scheme.len)
        return why_set(why, -ERR_CONFIG, "destination " STR_FMT ": endpoint must be http(s)://HOST",
                       STR_ARG(row->pattern));
    s->host = str_of(rest.at + s->scheme.len, rest.len - s->scheme.len);
    while (s->host.len && s->host.at[s->host.len - 1] == '/')
        s->host.len--;
    if (!str_eq(row->dialect, STR("s3")))
        return why_set(why, -ERR_CONFIG, "destination " STR_FMT ": dialect must be s3",
                       STR_ARG(row->pattern));
    if (!str_eq(row->addressing, STR("path")) && !str_eq(row->addressing, STR("virtual")))
        return why_set(why, -ERR_CONFIG,
                       "destination " STR_FMT ": addressing must be path or virtual",
                       STR_ARG(row->pattern));
    s->ca_file = str_dup(row->ca_file);
    return s->ca_file ? read_credentials(s, why) : -ERR_NOMEM;
}

int objects_open(const struct config_groups *rows, struct objects **ret, struct why *reterr_why)
{
    AUTO(objects_free) struct objects *o = calloc(1, sizeof(*o));
    const struct destination_section *row = rows->at;

    if (!o)
        return -ERR_NOMEM;
    if (rows->count > STORES_MAX)
        return why_set(reterr_why, -ERR_CONFIG, "more than %d destinations", STORES_MAX);
    for (size_t i = 0; i < rows->count; i++) {
        int r = store_open(&o->stores[o->count++], &row[i], reterr_why);

        if (r < 0)
            return r;
    }
    *ret = o;
    o = NULL;
    return 0;
}

void objects_free(struct objects *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->count; i++) {
        free(o->stores[i].access_key);
        if (o->stores[i].secret)
            crypto_wipe(o->stores[i].secret, strlen(o->stores[i].secret));
        free(o->stores[i].secret);
        free(o->stores[i].ca_file);
    }
    free(o);
}

/* `*` stands for any run of characters; there is nothing else to it. */
static bool pattern_matches(struct str pattern, struct str name)
{
    struct str rest = pattern, part;
    bool first = true;

    while (str_split(&rest, '*', &part)) {
        size_t at;

        if (first && !str_starts(name, part))
            return false;
        if (!rest.at) /* the last part stands at the end */
            return first ? str_eq(name, part) : str_ends(name, part);
        if (part.len && !str_find(name, part, &at))
            return false;
        if (part.len)
            name = str_of(name.at + at + part.len, name.len - at - part.len);
        first = false;
    }
    return true;
}

const struct objects_store *objects_find(const struct objects *o, struct str bucket)
{
    for (size_t i = 0; i < o->count; i++)
        if (pattern_matches(o->stores[i].row.pattern, bucket))
            return &o->stores[i];
    return NULL;
}

void objects_destination(const struct objects_store *store, struct str bucket, struct buf *out)
{
    struct str host = store ? store->host : STR("-");

    buf_addf(out, STR_FMT "/" STR_FMT, STR_ARG(host), STR_ARG(bucket));
}

/* ---- requests ---------------------------------------------------------------------------------- */

struct call {
    const struct objects_store *store;
    const struct crypto_key *hmac_key;
    char *bucket, *key;
    bool listing;
    objects_done_fn *done;
    void *arg;
};

static void call_free(struct call *c)
{
    if (!c)
        return;
    free(c->bucket);
    free(c->key);
    free(c);
}
AUTO_DEFINE(struct call, call_free)

/* What goes over the wire; lives while the request is built. */
struct wire {
    struct buf url, path, query, host, authorization, lines[HEADERS_MAX];
    struct sign_pair headers[HEADERS_MAX]; /* signed */
    size_t header_count, line_count;
    const char *list[HEADERS_MAX + 1];
};

static void wire_init(struct wire *w)
{
    memset(w, 0, sizeof(*w));
    buf_init(&w->url, 8192);
    buf_init(&w->path, 4096);
    buf_init(&w->query, 4096);
    buf_init(&w->host, 512);
    buf_init(&w->authorization, 4096);
}

static void wire_done(struct wire *w)
{
    buf_done(&w->url);
    buf_done(&w->path);
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

static void address(struct wire *w, const struct objects_store *s, struct str bucket,
                    struct str key, struct sign_pair *params, size_t param_count)
{
    bool path_style = str_eq(s->row.addressing, STR("path"));

    if (!path_style)
        buf_addf(&w->host, STR_FMT ".", STR_ARG(bucket));
    buf_add_str(&w->host, s->host);
    buf_add_byte(&w->path, '/');
    if (path_style) {
        sign_escape(bucket, false, &w->path);
        if (key.len)
            buf_add_byte(&w->path, '/');
    }
    sign_escape(key, true, &w->path);
    sign_query(params, param_count, &w->query);
    buf_addf(&w->url, STR_FMT STR_FMT STR_FMT "%s" STR_FMT, STR_ARG(s->scheme),
             STR_ARG(buf_str(&w->host)), STR_ARG(buf_str(&w->path)), w->query.len ? "?" : "",
             STR_ARG(buf_str(&w->query)));
}

static int sign_wire(struct wire *w, const struct objects_store *s, int64_t now_s,
                     struct str method, const char *payload, const char *date)
{
    struct sign_v4 keys = {str_from(s->access_key), str_from(s->secret), s->row.region, now_s};
    struct sign_request request = {.method = method,
                                   .path = buf_str(&w->path),
                                   .query = buf_str(&w->query),
                                   .headers = w->headers,
                                   .payload_sha256 = str_from(payload)};
    int r;

    add_signed(w, "x-amz-date", str_from(date));
    add_signed(w, "x-amz-content-sha256", str_from(payload));
    w->headers[w->header_count++] = (struct sign_pair){STR("host"), buf_str(&w->host)};
    request.header_count = w->header_count;
    r = sign_v4(&keys, &request, &w->authorization);
    if (r < 0)
        return r;
    add_header(w, "Authorization", buf_str(&w->authorization));
    w->list[w->line_count] = NULL;
    return buf_error(&w->url) || buf_error(&w->path) || buf_error(&w->host) ? -ERR_LIMIT : 0;
}

/* ---- answers ----------------------------------------------------------------------------------- */

static struct str error_code(struct str body)
{
    size_t from, to;

    if (!str_find(body, STR("<Code>"), &from))
        return STR("");
    body = str_of(body.at + from + 6, body.len - from - 6);
    return str_find(body, STR("</Code>"), &to) ? str_of(body.at, to) : STR("");
}

static enum objects_outcome outcome_of(const struct http_answer *answer)
{
    struct str code = error_code(answer->body);

    if (answer->error == -ERR_UNAVAILABLE || answer->error == -ERR_TIMEOUT || answer->error)
        return OBJECTS_UNCLEAR;
    if (answer->status >= 200 && answer->status < 300)
        return OBJECTS_OK;
    switch (answer->status) {
    case 412:
        return OBJECTS_EXISTS;
    case 404:
        return str_eq(code, STR("NoSuchBucket")) ? OBJECTS_NO_BUCKET : OBJECTS_NOT_FOUND;
    case 401:
    case 403:
        return OBJECTS_DENIED;
    case 408:
    case 409: /* ConditionalRequestConflict: a twin is under way */
    case 429:
        return OBJECTS_UNCLEAR;
    default:
        return answer->status >= 500 ? OBJECTS_UNCLEAR : OBJECTS_REFUSED;
    }
}

static void explain(const struct call *c, const struct http_answer *answer,
                    struct objects_result *result)
{
    struct str code = error_code(answer->body);

    if (answer->error)
        (void)why_set(&result->why, 0, STR_FMT "/%s: %s", STR_ARG(c->store->host), c->bucket,
                      answer->why);
    else
        (void)why_set(&result->why, 0, STR_FMT "/%s: HTTP %d %.*s", STR_ARG(c->store->host),
                      c->bucket, answer->status, (int)MIN_OF(code.len, (size_t)100),
                      code.at ? code.at : "");
}

static bool meta_header(void *arg, const char *name, struct str *ret)
{
    char full[64];

    (void)snprintf(full, sizeof(full), "x-amz-meta-%s", name);
    return http_header(arg, full, ret);
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    AUTO(call_free) struct call *c = arg;
    AUTO(arena_free) struct arena *memory = NULL;
    struct objects_result result = {.outcome = outcome_of(answer)};

    if (result.outcome != OBJECTS_OK)
        explain(c, answer, &result);
    if (result.outcome == OBJECTS_OK && c->hmac_key)
        result.meta_valid = object_meta_parse(meta_header, (void *)(uintptr_t)answer, c->hmac_key,
                                              str_from(c->bucket), str_from(c->key), &result.meta,
                                              &result.why) == 0;
    if (result.outcome == OBJECTS_OK && c->listing) {
        memory = arena_new(LIST_MEMORY_MAX);
        if (!memory || objects_list_parse(answer->body, memory, &result.keys, &result.key_count,
                                          &result.next_token) < 0) {
            result.outcome = OBJECTS_REFUSED;
            (void)why_set(&result.why, 0, "%s: the store's listing cannot be read", c->bucket);
        }
    }
    c->done(c->arg, &result);
}

static int send_call(struct http *http, struct call *call, struct wire *w, struct str method,
                     struct str body, int timeout_ms)
{
    AUTO(call_free) struct call *c = call;
    struct http_request request = {.method = method,
                                   .url = buf_str(&w->url),
                                   .headers = w->list,
                                   .body = body,
                                   .timeout_ms = timeout_ms,
                                   .ca_file = c->store->ca_file};
    int r = http_submit(http, &request, on_answer, c);

    if (r == 0)
        c = NULL;
    return r;
}

static struct call *call_new(const struct objects_store *store, struct str bucket, struct str key,
                             objects_done_fn *done, void *arg)
{
    struct call *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    *c = (struct call){.store = store, .done = done, .arg = arg};
    c->bucket = str_dup(bucket);
    c->key = str_dup(key);
    if (c->bucket && c->key)
        return c;
    call_free(c);
    return NULL;
}

static int build_put(struct wire *w, const struct objects_store *store, int64_t now_s,
                     struct str bucket, struct str key, struct str body,
                     const struct object_meta_field *meta, size_t meta_count, struct buf *text)
{
    char names[OBJECT_META_FIELDS][48], date[SIGN_V4_DATE_SIZE];
    struct sha256 d = sha256_of(body);
    unsigned char md5[MD5_SIZE];
    size_t hex_len;

    CHECK(meta_count <= OBJECT_META_FIELDS);
    sign_v4_date(now_s, date);
    md5_of(body, md5);
    buf_add_hex(text, d.bytes, SHA256_SIZE);
    buf_add_byte(text, '\0');
    hex_len = text->len;
    buf_add_base64(text, md5, MD5_SIZE);
    if (buf_error(text))
        return buf_error(text);
    address(w, store, bucket, key, NULL, 0);
    add_signed(w, "content-md5", str_of(text->at + hex_len, text->len - hex_len));
    add_signed(w, "content-type", STR("application/gzip"));
    add_signed(w, "if-none-match", STR("*")); /* create-only, rule 10 */
    for (size_t i = 0; i < meta_count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "x-amz-meta-%s", meta[i].name);
        add_signed(w, names[i], str_from(meta[i].value));
    }
    return sign_wire(w, store, now_s, STR("PUT"), text->at, date);
}

int objects_put(struct http *http, const struct objects_store *store, int64_t now_s,
                struct str bucket, struct str key, struct str body,
                const struct object_meta_field *meta, size_t meta_count, objects_done_fn *done,
                void *arg)
{
    struct call *c = call_new(store, bucket, key, done, arg);
    AUTO_BUF struct buf text = {0};
    struct wire w;
    int r;

    if (!c)
        return -ERR_NOMEM;
    buf_init(&text, 256);
    (void)buf_reserve(&text, 200); /* slices of it must not move */
    wire_init(&w);
    r = build_put(&w, store, now_s, bucket, key, body, meta, meta_count, &text);
    if (r == 0)
        r = send_call(http, c, &w, STR("PUT"), body, OBJECTS_PUT_TIMEOUT_MS);
    else
        call_free(c);
    wire_done(&w);
    return r;
}

static int simple_call(struct http *http, struct call *c, int64_t now_s, struct str method,
                       struct str key, struct sign_pair *params, size_t param_count)
{
    char date[SIGN_V4_DATE_SIZE];
    struct wire w;
    int r;

    sign_v4_date(now_s, date);
    wire_init(&w);
    address(&w, c->store, str_from(c->bucket), key, params, param_count);
    r = sign_wire(&w, c->store, now_s, method, SIGN_EMPTY_SHA256, date);
    if (r == 0)
        r = send_call(http, c, &w, method, STR_NONE, OBJECTS_CALL_TIMEOUT_MS);
    else
        call_free(c);
    wire_done(&w);
    return r;
}

int objects_head(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str key, const struct crypto_key *hmac_key,
                 objects_done_fn *done, void *arg)
{
    struct call *c = call_new(store, bucket, key, done, arg);

    if (!c)
        return -ERR_NOMEM;
    c->hmac_key = hmac_key;
    return simple_call(http, c, now_s, STR("HEAD"), key, NULL, 0);
}

int objects_list(struct http *http, const struct objects_store *store, int64_t now_s,
                 struct str bucket, struct str prefix, struct str start_after, struct str token,
                 objects_done_fn *done, void *arg)
{
    struct call *c = call_new(store, bucket, STR(""), done, arg);
    struct sign_pair params[5] = {
        {STR("list-type"), STR("2")}, {STR("prefix"), prefix}, {STR("max-keys"), STR("1000")}};
    size_t count = 3;

    if (!c)
        return -ERR_NOMEM;
    if (start_after.len)
        params[count++] = (struct sign_pair){STR("start-after"), start_after};
    if (token.len)
        params[count++] = (struct sign_pair){STR("continuation-token"), token};
    c->listing = true;
    return simple_call(http, c, now_s, STR("GET"), STR(""), params, count);
}

/* ---- the probe ----------------------------------------------------------------------------------- */

struct waiting {
    bool done;
    enum objects_outcome outcome;
    struct why why;
};

static void on_waited(void *arg, const struct objects_result *result)
{
    struct waiting *w = arg;

    *w = (struct waiting){true, result->outcome, result->why};
}

static enum objects_outcome wait_for(struct http *http, struct waiting *waiting, int r,
                                     struct why *why)
{
    if (r < 0)
        return OBJECTS_UNCLEAR;
    while (!waiting->done)
        http_poll(http, NULL, 0, 1000);
    *why = waiting->why;
    return waiting->outcome;
}

static enum objects_outcome probe_put(struct http *http, const struct objects_store *store,
                                      int64_t now_s, struct str bucket, struct str key,
                                      struct why *why)
{
    struct waiting waiting = {0};

    return wait_for(
        http, &waiting,
        objects_put(http, store, now_s, bucket, key, STR("trailbus"), NULL, 0, on_waited, &waiting),
        why);
}

/* Listing is needed as well (rule 5), and a store may call a missing bucket "denied" in any other answer. */
static enum objects_outcome probe_list(struct http *http, const struct objects_store *store,
                                       int64_t now_s, struct str bucket, struct str key,
                                       struct why *why)
{
    struct waiting waiting = {0};

    return wait_for(
        http, &waiting,
        objects_list(http, store, now_s, bucket, key, STR_NONE, STR_NONE, on_waited, &waiting),
        why);
}

enum objects_outcome objects_probe(const struct objects_store *store, int64_t now_s,
                                   struct str bucket, struct str prefix, struct why *ret_why)
{
    AUTO(http_free) struct http *http = http_new();
    AUTO_BUF struct buf key = {0};
    enum objects_outcome outcome;

    buf_init(&key, OBJECT_KEY_SIZE_MAX);
    buf_addf(&key, STR_FMT "%sAliyunLogs/trailbus-probe", STR_ARG(prefix), prefix.len ? "/" : "");
    if (!http || buf_error(&key))
        return OBJECTS_UNCLEAR;
    outcome = probe_list(http, store, now_s, bucket, buf_str(&key), ret_why);
    if (outcome != OBJECTS_OK)
        return outcome;
    outcome = probe_put(http, store, now_s, bucket, buf_str(&key), ret_why);
    if (outcome == OBJECTS_OK)
        outcome = probe_put(http, store, now_s, bucket, buf_str(&key), ret_why);
    if (outcome != OBJECTS_OK)
        return outcome == OBJECTS_EXISTS ? OBJECTS_OK : outcome;
    (void)why_set(ret_why, 0, "the store lets objects be overwritten in spite of If-None-Match");
    return OBJECTS_REFUSED;
}
