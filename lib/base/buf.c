/* buf.c - a byte buffer that grows up to a maximum which its owner named. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

#define BUF_FIRST_SIZE 256

void buf_init(struct buf *b, size_t size_max)
{
    CHECK(size_max > 0);
    *b = (struct buf){.max = size_max};
}

void buf_done(struct buf *b)
{
    free(b->at);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->error = 0;
}

static char *buf_fail(struct buf *b, int r)
{
    b->error = r;
    return NULL;
}

char *buf_grow(struct buf *b, size_t len)
{
    size_t cap = MAX_OF(b->cap, (size_t)BUF_FIRST_SIZE);
    char *at;

    if (b->error)
        return NULL;
    if (len > b->max - b->len)
        return buf_fail(b, -ERR_LIMIT);
    while (cap < b->len + len)
        cap *= 2;
    cap = MIN_OF(cap, b->max);
    at = realloc(b->at, cap);
    if (!at)
        return buf_fail(b, -ERR_NOMEM);
    b->at = at;
    b->cap = cap;
    return b->at + b->len;
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    int len;
    char *to;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    to = buf_reserve(b, (size_t)len + 1);
    if (!to)
        return;
    va_start(args, format);
    (void)vsnprintf(to, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
}

void buf_add_hex(struct buf *b, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;
    char *to = buf_reserve(b, len * 2);

    if (!to)
        return;
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = digits[in[i] >> 4];
        to[2 * i + 1] = digits[in[i] & 15];
    }
    b->len += len * 2;
}

static const char base64_plain[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add_base64(struct buf *b, const unsigned char *in, size_t len, const char *alphabet,
                       bool pad)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = MIN_OF(len - i, (size_t)3);
        uint32_t w = (uint32_t)in[i] << 16 | (uint32_t)(n > 1 ? in[i + 1] : 0) << 8 |
                     (uint32_t)(n > 2 ? in[i + 2] : 0);
        char four[4] = {alphabet[w >> 18], alphabet[w >> 12 & 63], alphabet[w >> 6 & 63],
                        alphabet[w & 63]};

        if (pad)
            memset(four + n + 1, '=', 3 - n);
        buf_add(b, four, pad ? 4 : n + 1);
    }
}

void buf_add_base64(struct buf *b, const void *bytes, size_t len)
{
    add_base64(b, bytes, len, base64_plain, true);
}

void buf_add_base64url(struct buf *b, const void *bytes, size_t len)
{
    add_base64(b, bytes, len, base64_url, false);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int buf_add_base64_decoded(struct buf *b, struct str text)
{
    uint32_t bits = 0;
    int held = 0;
    size_t len = text.len;

    while (len && text.len - len < 2 && text.at[len - 1] == '=')
        len--;
    if (len % 4 == 1)
        return -ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        int v = base64_value(text.at[i]);

        if (v < 0)
            return -ERR_INVALID;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_add_byte(b, (char)(bits >> held & 0xFF));
        }
    }
    /* A canonical text leaves no bits over; others would give one value two spellings. */
    if (bits & ((1U << held) - 1))
        return -ERR_INVALID;
    return buf_error(b);
}

const char *buf_cstr(struct buf *b)
{
    char *end;

    if (b->error)
        return "";
    b->max++; /* the terminator is not content */
    end = buf_reserve(b, 1);
    b->max--;
    b->cap = MIN_OF(b->cap, b->max);
    if (!end)
        return "";
    *end = '\0';
    return b->at;
}
