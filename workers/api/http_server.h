/* http_server.h - HTTP/1.1 in, one function called, its answer out. A thread a connection.
 *
 * Layer: shell. The only door to libmicrohttpd.
 */
#ifndef API_HTTP_SERVER_H
#define API_HTTP_SERVER_H

#include "base/base.h"
#include "rpc/rpc.h"

#define SERVER_CONNECTIONS_MAX 512
#define SERVER_IDLE_TIMEOUT_S  75

struct http_reply {
    int status;
    const char *content_type;
    struct str body; /* copied */
};

struct server;

/* Called from many threads at once. `peer`: the client's address, as text. */
typedef void server_handle_fn(void *arg, const struct rpc_request *request, struct str peer,
                              struct arena *arena, struct http_reply *ret);

/* `address`: IPv4 or IPv6, numeric. -ERR_CONFIG when it cannot be listened on. */
MUST_CHECK int server_start(struct str address, int port, server_handle_fn *handle, void *arg,
                            struct server **ret, struct why *reterr_why);
/* Takes no more connections, waits for requests that are being answered. */
void server_stop(struct server *server);

#endif
