/* page_token.h - NextToken of LookupEvents: where the next page begins.
 *
 *     base64url("<time> <number> <source> <start> <end> <mac>")
 *
 * The HMAC is over these numbers and the whole query, account and region included: a token leads nowhere else, and the
 * window stays what it was at the first page.
 *
 * Layer: pure. DEPS base, crypto, rpc.
 */
#ifndef API_PAGE_TOKEN_H
#define API_PAGE_TOKEN_H

#include "base/base.h"
#include "crypto/crypto.h"
#include "rpc/rpc.h"

#define PAGE_TOKEN_SIZE_MAX 600

struct page_token {
    int64_t time_ms, number; /* of the last event of the page before */
    int32_t source;
    int64_t start_s, end_s; /* of the first page's window */
};

struct page_query {
    struct str account, region;
    const struct rpc_lookup *lookup;
};

/* -ERR_NOMEM, -ERR_LIMIT: a query that is too large to sign. */
MUST_CHECK int page_token_render(const struct crypto_key *master, const struct page_query *query,
                                 const struct page_token *token, struct buf *out);
/* -ERR_INVALID: no token; -ERR_DENIED: one that we did not make for this query; -ERR_NOMEM, -ERR_LIMIT. */
MUST_CHECK int page_token_parse(const struct crypto_key *master, const struct page_query *query,
                                struct str text, struct page_token *ret);

#endif
