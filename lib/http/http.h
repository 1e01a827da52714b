/* http.h - an HTTP client: many requests at once on one thread, or one that is waited for.
 *
 * Layer: I/O. DEPS base. The only door to libcurl.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/base.h"

#define HTTP_REQUESTS_MAX       256       /* under way in one client */
#define HTTP_CONNECTIONS_MAX    16        /* to one host */
#define HTTP_BODY_SIZE_MAX      (8 << 20) /* of an answer, unless its request says more */
#define HTTP_HEADERS_SIZE_MAX   65536     /* of an answer */
#define HTTP_CONNECT_TIMEOUT_MS 3000

struct http;

struct http_request {
    struct str method, url;
    const char *const *headers; /* "name: value", ended by NULL; copied */
    struct str body;            /* borrowed until done */
    int timeout_ms;
    const char *ca_file; /* NULL or "": the system's */
    size_t answer_max;   /* of the answer's body; 0: HTTP_BODY_SIZE_MAX */
};

/* Why no answer came, for a person. */
enum http_failure {
    HTTP_FAILURE_NONE,
    HTTP_FAILURE_NAME,    /* the host's name is not known */
    HTTP_FAILURE_CONNECT, /* nobody listens there, or the way is closed */
    HTTP_FAILURE_TRUST,   /* TLS: no agreement, or a certificate that we do not trust */
    HTTP_FAILURE_ANSWER,  /* late, cut off, or no HTTP */
};

struct http_answer {
    int error; /* 0: an answer came; -ERR_UNAVAILABLE: not sent; -ERR_TIMEOUT: sent, perhaps carried out */
    enum http_failure failure;
    int status;
    struct str headers; /* "name: value\r\n"… as they came */
    struct str body;
    char why[256]; /* of an error */
};

/* Value of a header, trimmed; names without regard to case. */
bool http_header(const struct http_answer *answer, const char *name, struct str *ret);

typedef void http_done_fn(void *arg,
                          const struct http_answer *answer); /* answer: until it returns */

struct http *http_new(void);       /* NULL without memory */
void http_free(struct http *http); /* requests under way are given up; their `done` is not called */
AUTO_DEFINE(struct http, http_free)

/* `done` is called from http_poll(). -ERR_LIMIT: HTTP_REQUESTS_MAX are under way; -ERR_NOMEM. */
MUST_CHECK int http_submit(struct http *http, const struct http_request *request,
                           http_done_fn *done, void *arg);
/* Calls `run` from the next http_poll(), which does not wait then: for an answer that is known without a request, so that all come
 * the same way. -ERR_NOMEM. */
MUST_CHECK int http_defer(struct http *http, void (*run)(void *arg), void *arg);
size_t http_active(const struct http *http); /* requests, and what was deferred */
/* Waits for requests, for any of `fds` to be readable, or the time; serves what is done. */
void http_poll(struct http *http, const int *fds, size_t fd_count, int timeout_ms);

/* One request, waited for. The answer lives in `memory`. */
MUST_CHECK int http_call(const struct http_request *request, struct arena *memory,
                         struct http_answer *ret);

#endif
