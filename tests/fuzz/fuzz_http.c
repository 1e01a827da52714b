/* A request of the API: a line with the method, one with the query, headers, an empty line, the body. It is taken
 * apart and verified, or refused with a code in an answer that is well formed.
 *
 * links: rpc
 */
#include "fuzz.h"

#include "rpc/rpc.h"

#define NOW_S 1800000000

/* Names come in lower case, as HTTP servers are asked to give them. */
static void read_request(struct str text, struct rpc_request *ret)
{
    struct str rest = text, line, name;

    *ret = (struct rpc_request){.path = STR("/")};
    if (fuzz_line(&rest, &line))
        ret->method = line;
    if (fuzz_line(&rest, &line))
        ret->query = line;
    while (fuzz_line(&rest, &line) && line.len && ret->header_count < RPC_HEADERS_MAX) {
        struct str value = line;

        (void)str_split(&value, ':', &name);
        ret->headers[ret->header_count++] = (struct sign_pair){name, value.at ? value : STR("")};
    }
    ret->body = rest.at ? rest : STR("");
}

static void check_failure(const struct rpc_failure *failure, struct str host)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;
    AUTO_BUF struct buf out = {0};

    CHECK(failure->code && failure->status >= 400 && failure->status < 600);
    CHECK(failure->message[0] && str_is_utf8(str_from(failure->message)));
    buf_init(&out, 1 << 20);
    rpc_render_failure(failure, STR("R"), host, false, &out);
    CHECK(jsondoc_parse(buf_str(&out), &doc, NULL) == 0);
    buf_reset(&out);
    rpc_render_failure(failure, STR("R"), host, true, &out);
    CHECK(buf_error(&out) == 0 && str_is_utf8(buf_str(&out)));
}

static void check_lookup(const struct rpc_call *call, struct str host)
{
    struct rpc_failure failure = {0};
    struct rpc_lookup lookup;

    if (rpc_lookup_parse(call, NOW_S, &lookup, &failure) < 0) {
        check_failure(&failure, host);
        return;
    }
    CHECK(lookup.start_s < lookup.end_s && lookup.end_s - lookup.start_s <= RPC_LOOKUP_WINDOW_S);
    CHECK(lookup.start_s <= NOW_S && lookup.start_s >= NOW_S - RPC_LOOKUP_HISTORY_S);
    CHECK(lookup.max_results >= 1 && lookup.max_results <= 50);
    CHECK(lookup.attribute_count <= 2);
    for (size_t i = 0; i < lookup.attribute_count; i++)
        CHECK(lookup.attributes[i].name.len > 0);
}

static void check_call(const struct rpc_request *request, struct rpc_call *call, struct str host)
{
    struct rpc_failure failure = {0};
    bool flag;

    CHECK(call->action.len && call->nonce.len && call->access_key.len && call->signature.len);
    CHECK(str_eq(call->version, STR(RPC_VERSION)) && call->param_count <= RPC_PARAMS_MAX);
    for (size_t i = 0; i < call->param_count; i++)
        CHECK(str_is_utf8(call->params[i].name) && str_is_utf8(call->params[i].value));
    CHECK(rpc_verify(request, call, STR("testSecretKey/abc+123")) >= 0);
    if (rpc_bool(call, "IsOrganizationTrail", &flag, &failure) < 0)
        check_failure(&failure, host);
    check_lookup(call, host);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    static struct arena *arena;
    static struct rpc_request request;
    static struct rpc_call call;
    struct rpc_failure failure = {0};
    struct str host = STR("");

    arena = arena ? arena : arena_new(1 << 20);
    CHECK(arena);
    arena_reset(arena);
    read_request(fuzz_input(at, len), &request);
    (void)rpc_header(&request, "host", &host);
    if (rpc_parse(&request, arena, &call, &failure) < 0)
        check_failure(&failure, host);
    else
        check_call(&request, &call, host);
    return 0;
}
