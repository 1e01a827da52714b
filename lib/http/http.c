/* http.c - the door to libcurl's multi interface. */
#include "http/http.h"

#include <stdio.h>

#include <curl/curl.h>

#define WAIT_FDS_MAX 8

struct exchange {
    CURL *easy;
    struct curl_slist *headers;
    struct buf head, body;
    char why[CURL_ERROR_SIZE];
    http_done_fn *done;
    void *arg;
    struct exchange *next;
};

struct deferred {
    void (*run)(void *arg);
    void *arg;
    struct deferred *next;
};

struct http {
    CURLM *multi;
    struct exchange *active; /* list */
    size_t count;
    struct deferred *first, **last; /* list, oldest first */
    size_t deferred_count;
};

struct http *http_new(void)
{
    struct http *http = calloc(1, sizeof(*http));

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!http)
        return NULL;
    http->multi = curl_multi_init();
    if (!http->multi) {
        free(http);
        return NULL;
    }
    (void)curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HTTP_CONNECTIONS_MAX);
    http->last = &http->first;
    return http;
}

static void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    if (x->easy)
        curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->headers);
    buf_done(&x->head);
    buf_done(&x->body);
    free(x);
}

static struct deferred *take_deferred(struct http *http)
{
    struct deferred *d = http->first;

    if (!d)
        return NULL;
    http->first = d->next;
    if (!http->first)
        http->last = &http->first;
    http->deferred_count--;
    return d;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    for (struct deferred *d; (d = take_deferred(http)) != NULL;)
        free(d);
    while (http->active) {
        struct exchange *x = http->active;

        http->active = x->next;
        (void)curl_multi_remove_handle(http->multi, x->easy);
        exchange_free(x);
    }
    (void)curl_multi_cleanup(http->multi);
    free(http);
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *to)
{
    struct buf *out = to;

    buf_add(out, bytes, size * count);
    return buf_error(out) ? 0 : size * count; /* 0 fails the transfer */
}

static int set_headers(struct exchange *x, const struct http_request *request)
{
    for (const char *const *h = request->headers; h && *h; h++) {
        struct curl_slist *longer = curl_slist_append(x->headers, *h);

        if (!longer)
            return -ERR_NOMEM;
        x->headers = longer;
    }
    return curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers) ? -ERR_NOMEM : 0;
}

/* Each of these is a promise: a request that lacks one could be another request, or to somebody else. */
static int set_method(struct exchange *x, const struct http_request *request)
{
    AUTO_FREE char *method = str_dup(request->method);
    bool head = str_eq(request->method, STR("HEAD"));
    unsigned failed = 0;

    if (!method)
        return -ERR_NOMEM;
    if (head) {
        failed |= curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
    } else if (!str_eq(request->method, STR("GET"))) {
        /* POSTFIELDS under another method: one request with a length, no chunks. */
        failed |=
            curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        failed |=
            curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, request->body.at ? request->body.at : "");
    }
    failed |= curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, head ? NULL : method);
    return failed ? -ERR_NOMEM : 0;
}

static int set_options(struct exchange *x, const struct http_request *request)
{
    AUTO_FREE char *url = str_dup(request->url);
    unsigned failed = 0;

    if (!url)
        return -ERR_NOMEM;
    failed |= curl_easy_setopt(x->easy, CURLOPT_URL, url);
    failed |= curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    failed |= curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L);
    failed |= curl_easy_setopt(x->easy, CURLOPT_NOPROXY, "*");
    failed |= curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    failed |= curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
    /* A body is sent at once; a store that would refuse it says so soon enough. Waiting for "100 continue"
     * costs a second at servers that never say it, and an empty Expect header gets signed by some. */
    failed |= curl_easy_setopt(x->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    failed |= curl_easy_setopt(x->easy, CURLOPT_PATH_AS_IS, 1L);
    failed |= curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    failed |= curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, &x->body);
    failed |= curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_bytes);
    failed |= curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, &x->head);
    failed |= curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->why);
    failed |= curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
    if (request->ca_file && *request->ca_file)
        failed |= curl_easy_setopt(x->easy, CURLOPT_CAINFO, request->ca_file);
    return failed ? -ERR_NOMEM : 0;
}

static struct exchange *exchange_new(const struct http_request *request)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    buf_init(&x->head, HTTP_HEADERS_SIZE_MAX);
    buf_init(&x->body, request->answer_max ? request->answer_max : HTTP_BODY_SIZE_MAX);
    x->easy = curl_easy_init();
    if (x->easy && set_headers(x, request) == 0 && set_method(x, request) == 0 &&
        set_options(x, request) == 0)
        return x;
    exchange_free(x);
    return NULL;
}

int http_submit(struct http *http, const struct http_request *request, http_done_fn *done,
                void *arg)
{
    struct exchange *x;

    if (http->count >= HTTP_REQUESTS_MAX)
        return -ERR_LIMIT;
    x = exchange_new(request);
    if (!x)
        return -ERR_NOMEM;
    x->done = done;
    x->arg = arg;
    if (curl_multi_add_handle(http->multi, x->easy) != CURLM_OK) {
        exchange_free(x);
        return -ERR_NOMEM;
    }
    x->next = http->active;
    http->active = x;
    http->count++;
    return 0;
}

size_t http_active(const struct http *http)
{
    return http->count + http->deferred_count;
}

int http_defer(struct http *http, void (*run)(void *arg), void *arg)
{
    struct deferred *d = calloc(1, sizeof(*d));

    if (!d)
        return -ERR_NOMEM;
    *d = (struct deferred){.run = run, .arg = arg};
    *http->last = d;
    http->last = &d->next;
    http->deferred_count++;
    return 0;
}

/* Those that are there now; what they defer in turn is for the next time. */
static void run_deferred(struct http *http)
{
    for (size_t count = http->deferred_count; count > 0; count--) {
        AUTO_FREE struct deferred *d = take_deferred(http);

        d->run(d->arg);
    }
}

/* Errors before anything was sent cannot have had an effect. */
static int error_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return -ERR_UNAVAILABLE;
    default:
        return -ERR_TIMEOUT;
    }
}

static enum http_failure failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_FAILURE_NONE;
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTP_FAILURE_NAME;
    case CURLE_COULDNT_CONNECT:
        return HTTP_FAILURE_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return HTTP_FAILURE_TRUST;
    default:
        return HTTP_FAILURE_ANSWER;
    }
}

static void fill_answer(struct exchange *x, CURLcode code, struct http_answer *ret)
{
    long status = 0;

    *ret = (struct http_answer){.error = error_of(code),
                                .failure = failure_of(code),
                                .headers = buf_str(&x->head),
                                .body = buf_str(&x->body)};
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (int)status;
    if (code != CURLE_OK)
        (void)snprintf(ret->why, sizeof(ret->why), "%s",
                       x->why[0] ? x->why : curl_easy_strerror(code));
}

static void finish(struct http *http, struct exchange *x, CURLcode code)
{
    struct http_answer answer;
    struct exchange **at = &http->active;

    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    http->count--;
    (void)curl_multi_remove_handle(http->multi, x->easy);
    fill_answer(x, code, &answer);
    x->done(x->arg, &answer);
    exchange_free(x);
}

void http_poll(struct http *http, const int *fds, size_t fd_count, int timeout_ms)
{
    struct curl_waitfd wait[WAIT_FDS_MAX];
    const CURLMsg *message;
    int running, left;

    CHECK(fd_count <= WAIT_FDS_MAX);
    for (size_t i = 0; i < fd_count; i++)
        wait[i] = (struct curl_waitfd){.fd = fds[i], .events = CURL_WAIT_POLLIN};
    (void)curl_multi_perform(http->multi, &running);
    if (http->deferred_count || (size_t)running < http->count)
        timeout_ms = 0; /* an answer is there already */
    (void)curl_multi_poll(http->multi, wait, (unsigned)fd_count, timeout_ms, NULL);
    run_deferred(http);
    (void)curl_multi_perform(http->multi, &running);
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct exchange *x;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&x);
        finish(http, x, code);
    }
}

int http_call(const struct http_request *request, struct arena *memory, struct http_answer *ret)
{
    struct exchange *x;
    CURLcode code;

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    x = exchange_new(request);
    if (!x)
        return -ERR_NOMEM;
    code = curl_easy_perform(x->easy);
    fill_answer(x, code, ret);
    ret->headers = arena_copy(memory, ret->headers);
    ret->body = arena_copy(memory, ret->body);
    exchange_free(x);
    return ret->headers.at && ret->body.at ? ret->error : -ERR_NOMEM;
}

bool http_header(const struct http_answer *answer, const char *name, struct str *ret)
{
    struct str rest = answer->headers, line, key;

    while (str_split(&rest, '\n', &line)) {
        struct str value = line;

        if (!str_split(&value, ':', &key) || !value.at || !str_eq_nocase(key, str_from(name)))
            continue;
        *ret = str_trim(value);
        return true;
    }
    return false;
}
