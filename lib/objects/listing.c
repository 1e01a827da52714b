/* listing.c - the few elements of a ListObjectsV2 answer that we need, from bytes that may be anything.
 *
 * Not an XML parser: no attributes, comments or CDATA occur in these answers, and where they would the
 * worst that happens is an answer that is refused.
 */
#include "objects/objects.h"

/* The text between <name> and </name>, from *rest on; moves *rest behind it. */
static bool element(struct str *rest, struct str open, struct str close, struct str *ret)
{
    size_t from, to;
    struct str behind;

    if (!str_find(*rest, open, &from))
        return false;
    behind = str_of(rest->at + from + open.len, rest->len - from - open.len);
    if (!str_find(behind, close, &to))
        return false;
    *ret = str_of(behind.at, to);
    *rest = str_of(behind.at + to + close.len, behind.len - to - close.len);
    return true;
}

/* "&#13;" or "&#xD;" at the start of `text`, of one byte: its length, 0 when it is none. Stores write so what
 * XML cannot hold, in the keys of other writers; wide characters they write as they are. */
static size_t numeric(struct str text, char *ret)
{
    size_t end, from = 2;
    unsigned base = 10, c = 0;

    if (!str_starts(text, STR("&#")) || !str_find(text, STR(";"), &end))
        return 0;
    if (text.at[from] == 'x') {
        base = 16;
        from++;
    }
    if (end == from || end - from > 3)
        return 0;
    for (size_t i = from; i < end; i++) {
        int lower = text.at[i] >= 'A' ? text.at[i] | 0x20 : text.at[i];
        const char *digits = "0123456789abcdef", *digit = strchr(digits, lower);

        if (!digit || digit >= digits + base)
            return 0;
        c = c * base + (unsigned)(digit - digits);
    }
    *ret = (char)c;
    return c > 0 && c < 0x80 ? end + 1 : 0;
}

static size_t entity(struct str text, char *ret)
{
    static const struct {
        struct str name;
        char c;
    } entities[] = {{STR("&amp;"), '&'},
                    {STR("&lt;"), '<'},
                    {STR("&gt;"), '>'},
                    {STR("&quot;"), '"'},
                    {STR("&apos;"), '\''}};

    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (str_starts(text, entities[i].name)) {
            *ret = entities[i].c;
            return entities[i].name.len;
        }
    }
    return numeric(text, ret);
}

/* Entities resolved. at == NULL: not well formed, or arena_error(). */
static struct str plain_text(struct str text, struct arena *memory)
{
    char *to = arena_get(memory, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; to && i < text.len;) {
        size_t taken;

        if (text.at[i] == '<')
            return STR_NONE;
        if (text.at[i] != '&') {
            to[len++] = text.at[i++];
            continue;
        }
        taken = entity(str_of(text.at + i, text.len - i), &to[len]);
        if (taken == 0)
            return STR_NONE;
        len++;
        i += taken;
    }
    return to ? str_of(to, len) : STR_NONE;
}

int objects_list_parse(struct str xml, struct arena *memory, struct str **ret_keys,
                       size_t *ret_count, struct str *ret_token)
{
    struct str rest = xml, text, truncated;
    size_t count = 0;

    if (!str_find(xml, STR("<ListBucketResult"), NULL) ||
        !str_find(xml, STR("</ListBucketResult>"), NULL))
        return -ERR_INVALID;
    *ret_keys = arena_get(memory, OBJECTS_LIST_KEYS_MAX * sizeof(**ret_keys));
    if (!*ret_keys)
        return arena_error(memory);
    while (element(&rest, STR("<Key>"), STR("</Key>"), &text)) {
        struct str key = plain_text(text, memory);

        if (arena_error(memory))
            return arena_error(memory);
        if (!key.at || count == OBJECTS_LIST_KEYS_MAX)
            return -ERR_INVALID;
        (*ret_keys)[count++] = key;
    }
    rest = xml;
    *ret_token = STR("");
    if (element(&rest, STR("<IsTruncated>"), STR("</IsTruncated>"), &truncated) &&
        str_eq(truncated, STR("true"))) {
        rest = xml;
        if (!element(&rest, STR("<NextContinuationToken>"), STR("</NextContinuationToken>"), &text))
            return -ERR_INVALID;
        *ret_token = plain_text(text, memory);
        if (arena_error(memory))
            return arena_error(memory);
        if (!ret_token->at || ret_token->len == 0)
            return -ERR_INVALID;
    }
    *ret_count = count;
    return 0;
}
