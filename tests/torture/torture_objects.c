/* Stores of objects: what goes out is whole or does not go out; what is answered holds.
 *
 * links: objects gzip http
 * wraps: http_submit curl_easy_init curl_easy_setopt curl_slist_append curl_multi_add_handle
 */
#include "faults.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "gzip/gzip.h"
#include "http/http.h"
#include "objects/name.h"
#include "objects/objects.h"

#define BUCKET STR("audit")
#define KEY    "AliyunLogs/Event/cn-hangzhou/2026/11/23/a.gz"

static const struct crypto_key hmac_key = {{1}};

struct got {
    size_t answers;
    enum objects_outcome outcome;
    bool meta_valid;
    struct object_meta meta;
    size_t key_count, body_len;
    char first_key[200];
    bool more;
};

static void on_done(void *arg, const struct objects_result *r)
{
    struct got *got = arg;

    *got = (struct got){got->answers + 1, r->outcome, r->meta_valid,        r->meta, r->key_count,
                        r->body.len,      "",         r->next_token.len > 0};
    if (r->key_count)
        (void)snprintf(got->first_key, sizeof(got->first_key), STR_FMT, STR_ARG(r->keys[0]));
}

static void fields_of(int64_t first, const char *key,
                      struct object_meta_field ret[OBJECT_META_FIELDS])
{
    struct object_meta meta = {.chain = "0123456789abcdef",
                               .from = first,
                               .first = first,
                               .last = first,
                               .next = first + 1,
                               .count = 1,
                               .since = -1};

    object_meta_render(&meta, &hmac_key, BUCKET, str_from(key), ret);
}

static struct str packed(void)
{
    static struct buf body;

    if (!body.at) {
        AUTO(gzip_free) struct gzip *gzip = gzip_new();

        buf_init(&body, 1 << 20);
        CHECK(gzip && gzip_pack(gzip, STR("[{\"eventId\":\"1\"}]\n"), &body) == 0);
    }
    return buf_str(&body);
}

/* What a caller makes of an outcome: is it known, is it to be tried again? Nothing that we lack may stop a stream. */
static int error_of(int r, const struct got *got)
{
    if (r < 0)
        return r;
    PROMISE(got->answers == 1);
    PROMISE(got->outcome != OBJECTS_REFUSED && got->outcome != OBJECTS_DENIED &&
            got->outcome != OBJECTS_NO_BUCKET && got->outcome != OBJECTS_NOT_FOUND);
    return got->outcome == OBJECTS_UNCLEAR ? -ERR_UNAVAILABLE : 0;
}

/* ---- folders of this machine ------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

struct place {
    char folder[64];
    struct objects *objects;
    const struct objects_store *store;
    struct http *http;
};

static int place_open(struct place *p)
{
    struct destination_section row = {.pattern = STR("*"), .dialect = STR("files")};
    struct config_groups rows = {&row, 1};
    char path[96];
    int r;

    *p = (struct place){0};
    fault_pause(true);
    (void)snprintf(p->folder, sizeof(p->folder), "%s/trailbus-torture.%d", torture_folder(),
                   getpid());
    (void)snprintf(path, sizeof(path), "%s/audit", p->folder);
    CHECK(mkdir(p->folder, 0755) == 0 && mkdir(path, 0755) == 0);
    p->http = http_new();
    CHECK(p->http);
    fault_pause(false);
    row.endpoint = str_from(p->folder);
    r = objects_open(&rows, &p->objects, NULL);
    if (r == 0)
        p->store = objects_find(p->objects, BUCKET);
    return r;
}

static void place_close(struct place *p)
{
    objects_free(p->objects);
    http_free(p->http);
    (void)nftw(p->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int put(struct place *p, const char *key, int64_t first)
{
    struct object_meta_field fields[OBJECT_META_FIELDS];
    struct got got = {0};
    int r;

    fields_of(first, key, fields);
    r = objects_put(p->http, p->store, 0, BUCKET, str_from(key), packed(), fields,
                    OBJECT_META_FIELDS, on_done, &got);
    if (r == 0)
        http_poll(p->http, NULL, 0, 0);
    return error_of(r, &got);
}

static int look(struct place *p, const char *key, struct got *got)
{
    int r = objects_get(p->http, p->store, 0, BUCKET, str_from(key), &hmac_key, on_done, got);

    if (r == 0)
        http_poll(p->http, NULL, 0, 0);
    return error_of(r, got);
}

/* Delivery's way: put, again while it is unclear, looked at when it exists. */
static int deliver(struct place *p)
{
    char key[200];
    struct got got;
    int r = 0;

    for (int i = 0; i < 3 && r == 0; i++) {
        (void)snprintf(key, sizeof(key), KEY "%d/%d.gz", i, i);
        r = put(p, key, i);
        if (r < 0 && fault_over())
            r = put(p, key, i);
        got = (struct got){0};
        if (r == 0)
            r = look(p, key, &got);
        if (r < 0 && fault_over()) {
            got = (struct got){0};
            r = look(p, key, &got);
        }
        if (r == 0)
            note("%d: valid %d, first %lld, next %lld, %zu bytes", i, got.meta_valid,
                 (long long)got.meta.first, (long long)got.meta.next, got.body_len);
    }
    return r;
}

static int list(struct place *p)
{
    struct got got = {0};
    int r = objects_list(p->http, p->store, 0, BUCKET, STR("AliyunLogs/"), STR(""), STR(""),
                         on_done, &got);

    if (r == 0)
        http_poll(p->http, NULL, 0, 0);
    r = error_of(r, &got);
    if (r == 0)
        note("%zu keys, first %s, more %d", got.key_count, got.first_key, got.more);
    return r;
}

static int files(void)
{
    struct place p;
    int r = place_open(&p);

    if (r == 0)
        r = deliver(&p);
    if (r == 0)
        r = list(&p);
    place_close(&p);
    return r;
}

/* ---- behind HTTP --------------------------------------------------------------------------------- */

static const char listing[] = "<ListBucketResult><Contents><Key>AliyunLogs/a&amp;b</Key></"
                              "Contents><Contents><Key>AliyunLogs/c</Key></Contents>"
                              "<IsTruncated>true</IsTruncated><NextContinuationToken>tok</"
                              "NextContinuationToken></ListBucketResult>";

static bool answering; /* as a store, instead of libcurl */

int __real_http_submit(struct http *http, const struct http_request *request, http_done_fn *done,
                       void *arg);
int __wrap_http_submit(struct http *http, const struct http_request *request, http_done_fn *done,
                       void *arg);

/* What goes out must always be the same. */
int __wrap_http_submit(struct http *http, const struct http_request *request, http_done_fn *done,
                       void *arg)
{
    struct http_answer answer = {.status = 200, .headers = STR(""), .body = STR("")};

    if (!answering)
        return __real_http_submit(http, request, done, arg);
    if (fault_here("http_submit"))
        return -ERR_NOMEM;
    note_str("method", request->method);
    note_str("url", request->url);
    for (const char *const *h = request->headers; *h; h++)
        note("header %s", *h);
    note("%zu bytes", request->body.len);
    if (str_find(request->url, STR("list-type"), NULL))
        answer.body = str_from(listing);
    done(arg, &answer);
    return 0;
}

static int remote(const char *dialect, const char *folder)
{
    struct destination_section row = {.pattern = STR("*"),
                                      .dialect = str_from(dialect),
                                      .endpoint = STR("http://h:1"),
                                      .region = STR("cn-hangzhou"),
                                      .encryption = STR("AES256")};
    struct config_groups rows = {&row, 1};
    AUTO(objects_free) struct objects *objects = NULL;
    struct object_meta_field fields[OBJECT_META_FIELDS];
    char file[128];
    struct got sent = {0}, listed = {0}, headed = {0};
    struct why why = {0};
    int r;

    (void)snprintf(file, sizeof(file), "%s/credentials", folder);
    row.credentials_file = str_from(file);
    r = objects_open(&rows, &objects, &why);
    if (r == 0) {
        const struct objects_store *store = objects_find(objects, BUCKET);

        fields_of(1, KEY, fields);
        r = objects_put(NULL, store, 1795398000, BUCKET, STR(KEY), packed(), fields,
                        OBJECT_META_FIELDS, on_done, &sent);
        r = error_of(r, &sent);
        if (r == 0)
            r = error_of(objects_list(NULL, store, 1795398000, BUCKET, STR("AliyunLogs/"),
                                      STR("AliyunLogs/0"), STR(""), on_done, &listed),
                         &listed);
        if (r == 0)
            r = error_of(objects_head(NULL, store, 1795398000, BUCKET, STR(KEY), &hmac_key, on_done,
                                      &headed),
                         &headed);
    }
    if (r < 0)
        return r == -ERR_CONFIG && !fault_is_memory() ? -ERR_UNAVAILABLE : r;
    note("%zu keys, first %s, more %d", listed.key_count, listed.first_key, listed.more);
    return 0;
}

static int with_credentials(const char *dialect)
{
    char folder[64], file[128];
    FILE *out;
    int r;

    fault_pause(true);
    (void)snprintf(folder, sizeof(folder), "%s/trailbus-torture.%d", torture_folder(), getpid());
    (void)snprintf(file, sizeof(file), "%s/credentials", folder);
    CHECK(mkdir(folder, 0755) == 0 && (out = fopen(file, "we")));
    (void)fputs("access_key_id=AK\nsecret_access_key=SK\n", out);
    (void)fclose(out);
    fault_pause(false);
    answering = true;
    r = remote(dialect, folder);
    answering = false;
    (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return r;
}

static int remote_s3(void)
{
    return with_credentials("s3");
}

static int remote_oss(void)
{
    return with_credentials("oss");
}

/* ---- libcurl --------------------------------------------------------------------------------------- */

CURL *__real_curl_easy_init(void);
CURL *__wrap_curl_easy_init(void);
CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...);
struct curl_slist *__real_curl_slist_append(struct curl_slist *list, const char *text);
struct curl_slist *__wrap_curl_slist_append(struct curl_slist *list, const char *text);
CURLMcode __real_curl_multi_add_handle(CURLM *multi, CURL *easy);
CURLMcode __wrap_curl_multi_add_handle(CURLM *multi, CURL *easy);

CURL *__wrap_curl_easy_init(void)
{
    return fault_here("curl_easy_init") ? NULL : __real_curl_easy_init();
}

/* All values are as wide as a pointer. */
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    va_list args;
    void *value;

    if (fault_here("curl_easy_setopt"))
        return CURLE_OUT_OF_MEMORY;
    va_start(args, option);
    value = va_arg(args, void *);
    va_end(args);
    return __real_curl_easy_setopt(easy, option, value);
}

struct curl_slist *__wrap_curl_slist_append(struct curl_slist *list, const char *text)
{
    return fault_here("curl_slist_append") ? NULL : __real_curl_slist_append(list, text);
}

CURLMcode __wrap_curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    return fault_here("curl_multi_add_handle") ? CURLM_OUT_OF_MEMORY
                                               : __real_curl_multi_add_handle(multi, easy);
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    ++*(size_t *)arg;
    note("answered %s", err_name(answer->error));
}

/* Nobody listens there: what counts is that a request without one of its parts is not sent. */
static int requests(void)
{
    static const char *const headers[] = {"if-none-match: *", "authorization: x", NULL};
    struct http_request request = {.method = STR("PUT"),
                                   .url = STR("http://127.0.0.1:1/b/k"),
                                   .headers = headers,
                                   .body = STR("body"),
                                   .timeout_ms = 2000,
                                   .ca_file = "/nowhere"};
    AUTO(http_free) struct http *http = http_new();
    size_t answers = 0;
    int r = http ? http_submit(http, &request, on_answer, &answers) : -ERR_NOMEM;

    if (r == 0 && fault_over())
        PROMISE(false && "a request went out although a part of it failed");
    for (int i = 0; r == 0 && i < 40 && answers == 0; i++)
        http_poll(http, NULL, 0, 100);
    PROMISE(answers == (r == 0));
    return r;
}

TORTURE({"objects in folders", files, 250}, {"objects by s3", remote_s3, 0},
        {"objects by oss", remote_oss, 0}, {"http", requests, 0})
