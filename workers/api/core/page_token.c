/* page_token.c - NextToken, signed and read. */
#include "page_token.h"

#define MAC_SIZE       32 /* hex digits */
#define BODY_SIZE_MAX  512
#define QUERY_SIZE_MAX (1 << 20)

/* A signature over less than everything would let a token go elsewhere: without room or memory there is none. */
static int sign(const struct crypto_key *master, const struct page_query *query, struct str body,
                char ret[MAC_SIZE + 1])
{
    struct crypto_key key = crypto_derive(master, STR("paging tokens"));
    const struct rpc_lookup *q = query->lookup;
    AUTO_BUF struct buf all = {0}, hex = {0};
    struct sha256 d;
    int r;

    buf_init(&all, QUERY_SIZE_MAX);
    buf_init(&hex, MAC_SIZE + 1);
    buf_addf(&all, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%d\n", STR_ARG(body),
             STR_ARG(query->account), STR_ARG(query->region), q->forward);
    for (size_t i = 0; i < q->attribute_count; i++)
        buf_addf(&all, "%zu " STR_FMT "=" STR_FMT "\n", q->attributes[i].value.len,
                 STR_ARG(q->attributes[i].name), STR_ARG(q->attributes[i].value));
    d = hmac_sha256(str_of(key.bytes, CRYPTO_KEY_SIZE), buf_str(&all));
    crypto_wipe(&key, sizeof(key));
    buf_add_hex(&hex, d.bytes, MAC_SIZE / 2);
    r = buf_error(&all) ? buf_error(&all) : buf_error(&hex);
    if (r == 0) {
        memcpy(ret, hex.at, MAC_SIZE);
        ret[MAC_SIZE] = '\0';
    }
    return r;
}

int page_token_render(const struct crypto_key *master, const struct page_query *query,
                      const struct page_token *token, struct buf *out)
{
    AUTO_BUF struct buf text = {0};
    char mac[MAC_SIZE + 1];
    int r;

    buf_init(&text, BODY_SIZE_MAX);
    buf_addf(&text, "%lld %lld %d %lld %lld", (long long)token->time_ms, (long long)token->number,
             token->source, (long long)token->start_s, (long long)token->end_s);
    if (buf_error(&text))
        return buf_error(&text);
    r = sign(master, query, buf_str(&text), mac);
    if (r < 0)
        return r;
    buf_addf(&text, " %s", mac);
    if (buf_error(&text))
        return buf_error(&text);
    buf_add_base64url(out, text.at, text.len);
    return buf_error(out);
}

static bool next_number(struct str *rest, int64_t *ret)
{
    struct str part;

    return str_split(rest, ' ', &part) && str_to_i64(part, ret);
}

static bool read_body(struct str rest, struct page_token *ret)
{
    int64_t source;

    if (!next_number(&rest, &ret->time_ms) || !next_number(&rest, &ret->number) ||
        !next_number(&rest, &source) || !next_number(&rest, &ret->start_s) ||
        !next_number(&rest, &ret->end_s) || source < INT32_MIN || source > INT32_MAX)
        return false;
    ret->source = (int32_t)source;
    return true;
}

int page_token_parse(const struct crypto_key *master, const struct page_query *query,
                     struct str text, struct page_token *ret)
{
    AUTO_BUF struct buf plain = {0};
    struct str body, mac;
    char own[MAC_SIZE + 1];
    int r;

    buf_init(&plain, BODY_SIZE_MAX);
    if (text.len > PAGE_TOKEN_SIZE_MAX)
        return -ERR_INVALID;
    r = buf_add_base64_decoded(&plain, text);
    if (r < 0)
        return r;
    if (plain.len <= MAC_SIZE + 1 || plain.at[plain.len - MAC_SIZE - 1] != ' ')
        return -ERR_INVALID;
    body = str_of(plain.at, plain.len - MAC_SIZE - 1);
    mac = str_of(plain.at + plain.len - MAC_SIZE, MAC_SIZE);
    r = sign(master, query, body, own);
    if (r < 0)
        return r;
    if (!crypto_equal(str_from(own), mac))
        return -ERR_DENIED;
    return read_body(body, ret) ? 0 : -ERR_INVALID;
}
