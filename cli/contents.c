/* contents.c - see contents.h. */
#include "cli/contents.h"

#include "gzip/gzip.h"

/* Where the value that begins at text[at] ends: behind the bracket that closes it. */
static size_t value_end(struct str text, size_t at)
{
    size_t depth = 0;
    bool quoted = false;

    for (; at < text.len; at++) {
        char c = text.at[at];

        if (quoted) {
            at += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return text.len;
}

bool contents_next(struct str *rest, struct str *ret)
{
    size_t from = 0, to;

    while (from < rest->len && rest->at[from] != '{')
        from++;
    if (from == rest->len)
        return false;
    to = value_end(*rest, from);
    *ret = str_of(rest->at + from, to - from);
    *rest = str_of(rest->at + to, rest->len - to);
    return true;
}

static int64_t count_documents(struct str array)
{
    struct str document;
    int64_t count = 0;

    while (contents_next(&array, &document))
        count++;
    return count;
}

int contents_open(struct str packed, const struct object_meta *meta, struct buf *plain,
                  struct why *reterr_why)
{
    struct sha256 digest;
    int64_t count;
    int r = gzip_unpack(packed, plain);

    if (r == -ERR_INVALID)
        return why_set(reterr_why, r, "is no gzip member, or a damaged one");
    if (r < 0)
        return why_set(reterr_why, r, "does not fit into memory");
    digest = sha256_of(buf_str(plain));
    if (memcmp(digest.bytes, meta->sha256.bytes, SHA256_SIZE) != 0)
        return why_set(reterr_why, -ERR_INVALID, "holds other bytes than were written");
    count = count_documents(buf_str(plain));
    if (count != meta->count)
        return why_set(reterr_why, -ERR_INVALID, "holds %lld events, its metadata says %lld",
                       (long long)count, (long long)meta->count);
    return 0;
}
