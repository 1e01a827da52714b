/* http_server.c - the door to libmicrohttpd. */
#include "http_server.h"

#include <arpa/inet.h>
#include <stdio.h>

#include <microhttpd.h>

#define REQUEST_MEMORY_MAX    (4 << 20)
/* The longest query that we take, though it be nothing but '&': the library cuts it up before we are asked. Only
 * what is used of it is ever touched. */
#define CONNECTION_MEMORY_MAX (2 << 20)

struct server {
    struct MHD_Daemon *daemon;
    server_handle_fn *handle;
    void *arg;
};

/* One request while it comes in. */
struct incoming {
    struct buf body;
    struct arena *arena;
    struct rpc_request request;
    bool too_large;
};

static void incoming_free(struct incoming *in)
{
    if (!in)
        return;
    buf_done(&in->body);
    arena_free(in->arena);
    free(in);
}

static struct incoming *incoming_new(void)
{
    struct incoming *in = calloc(1, sizeof(*in));

    if (!in)
        return NULL;
    buf_init(&in->body, RPC_BODY_SIZE_MAX);
    in->arena = arena_new(REQUEST_MEMORY_MAX);
    if (in->arena)
        return in;
    incoming_free(in);
    return NULL;
}

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct incoming *in = arg;
    struct str lower = arena_copy(in->arena, str_from(name));

    (void)kind;
    if (in->request.header_count == RPC_HEADERS_MAX || !lower.at)
        return MHD_NO;
    for (size_t i = 0; i < lower.len; i++)
        if (lower.at[i] >= 'A' && lower.at[i] <= 'Z')
            ((char *)(uintptr_t)lower.at)[i] = (char)(lower.at[i] + 32);
    in->request.headers[in->request.header_count++] =
        (struct sign_pair){lower, str_from(value ? value : "")};
    return MHD_YES;
}

/* The raw target, as it was sent: signatures are computed over what came, decoded by ourselves. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct incoming *in = incoming_new();
    struct str rest = str_from(target);

    (void)arg;
    (void)connection;
    if (!in)
        return NULL;
    in->too_large = rest.len > RPC_TARGET_SIZE_MAX;
    rest = in->too_large ? STR("/") : arena_copy(in->arena, rest);
    if (str_split(&rest, '?', &in->request.path))
        in->request.query = rest.at ? rest : STR("");
    return in;
}

static struct str peer_of(struct MHD_Connection *connection, char text[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const void *at = NULL;

    if (!info || !info->client_addr)
        return STR("");
    if (info->client_addr->sa_family == AF_INET)
        at = &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr;
    else if (info->client_addr->sa_family == AF_INET6)
        at = &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr;
    if (!at || !inet_ntop(info->client_addr->sa_family, at, text, INET6_ADDRSTRLEN))
        return STR("");
    return str_from(text);
}

static enum MHD_Result reply(struct MHD_Connection *connection, const struct http_reply *r)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        r->body.len, (void *)(uintptr_t)r->body.at, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type);
    result = MHD_queue_response(connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **state)
{
    const struct server *s = arg;
    struct incoming *in = *state;
    struct http_reply r = {
        413, "application/json;charset=utf-8",
        STR("{\"Code\":\"RequestTooLarge\",\"Message\":\"The request is too large.\"}")};
    char peer[INET6_ADDRSTRLEN];

    (void)url;
    (void)version;
    if (!in)
        return MHD_NO;
    if (in->request.method.len == 0) { /* the headers are there */
        in->request.method = arena_copy(in->arena, str_from(method));
        if (MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, in) < 0 ||
            MHD_get_connection_values(connection, MHD_HEADER_KIND, NULL, NULL) >
                (int)in->request.header_count)
            in->too_large = true;
        return arena_error(in->arena) == -ERR_NOMEM ? MHD_NO : MHD_YES;
    }
    if (*data_size) {
        buf_add(&in->body, data, *data_size);
        if (buf_error(&in->body) == -ERR_NOMEM)
            return MHD_NO;
        in->too_large |= buf_error(&in->body) != 0;
        *data_size = 0;
        return MHD_YES;
    }
    if (!in->too_large) {
        in->request.body = buf_str(&in->body);
        s->handle(s->arg, &in->request, peer_of(connection, peer), in->arena, &r);
    }
    return reply(connection, &r);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    (void)code;
    incoming_free(*state);
    *state = NULL;
}

static bool parse_address(struct str address, int port, struct sockaddr_storage *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;

    memset(ret, 0, sizeof(*ret));
    if (address.len >= sizeof(text))
        return false;
    memcpy(text, address.at, address.len);
    text[address.len] = '\0';
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return true;
}

int server_start(struct str address, int port, server_handle_fn *handle, void *arg,
                 struct server **ret, struct why *reterr_why)
{
    struct sockaddr_storage at;
    struct server *s;

    if (!parse_address(address, port, &at))
        return why_set(reterr_why, -ERR_CONFIG, "api.listen: \"" STR_FMT "\" is no IP address",
                       STR_ARG(address));
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ERR_NOMEM;
    s->handle = handle;
    s->arg = arg;
    s->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            (at.ss_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0),
        (uint16_t)port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &at,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        NULL, MHD_OPTION_CONNECTION_LIMIT, SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SERVER_IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_MAX, MHD_OPTION_END);
    if (!s->daemon) {
        free(s);
        return why_set(reterr_why, -ERR_CONFIG, "cannot listen on " STR_FMT " port %d: %m",
                       STR_ARG(address), port);
    }
    *ret = s;
    return 0;
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    MHD_stop_daemon(s->daemon);
    free(s);
}
