/* str.c - borrowed slices: comparing, cutting, reading and writing numbers. */
#include "base/base.h"

#include <stdio.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t len = MIN_OF(a.len, b.len);
    int c = len ? memcmp(a.at, b.at, len) : 0;

    if (c)
        return c;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_of(s.at, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.at + s.len - suffix.len, suffix.at, suffix.len) == 0);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *ret_part)
{
    const char *end;

    if (!rest->at)
        return false;
    end = rest->len ? memchr(rest->at, sep, rest->len) : NULL;
    if (!end) {
        *ret_part = *rest;
        *rest = STR_NONE;
        return true;
    }
    *ret_part = str_of(rest->at, (size_t)(end - rest->at));
    *rest = str_of(end + 1, rest->len - ret_part->len - 1);
    return true;
}

bool str_find(struct str s, struct str what, size_t *ret_at)
{
    const char *at;

    if (what.len == 0 || s.len < what.len)
        return false;
    at = memmem(s.at, s.len, what.at, what.len);
    if (at && ret_at)
        *ret_at = (size_t)(at - s.at);
    return at != NULL;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t n = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, 10U, &n) ||
            __builtin_add_overflow(n, (uint64_t)(s.at[i] - '0'), &n))
            return false;
    }
    *ret = n;
    return true;
}

struct str str_of_i64(int64_t n, char text[NUMBER_TEXT_SIZE])
{
    return str_of(text, (size_t)snprintf(text, NUMBER_TEXT_SIZE, "%lld", (long long)n));
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool minus = s.len && s.at[0] == '-';
    uint64_t n;

    if (!str_to_u64(minus ? str_of(s.at + 1, s.len - 1) : s, &n))
        return false;
    if (n > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *ret = minus ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

/* Length of the well-formed sequence at p, 0 when there is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
            return 0;
        return 3;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        if (left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    size_t left = s.len;

    while (left) {
        uint64_t eight;
        size_t n;

        if (left >= sizeof(eight)) {
            memcpy(&eight, p, sizeof(eight));
            if ((eight & 0x8080808080808080ULL) == 0) {
                p += sizeof(eight);
                left -= sizeof(eight);
                continue;
            }
        }
        n = utf8_len(p, left);
        if (n == 0)
            return false;
        p += n;
        left -= n;
    }
    return true;
}

char *str_dup(struct str s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

static uint64_t load(const char *at, size_t size)
{
    uint64_t eight = 0;
    uint32_t four;

    if (size == 8) {
        memcpy(&eight, at, 8);
        return eight;
    }
    memcpy(&four, at, 4);
    return four;
}

/* The last bytes, fewer than eight, by loads of a fixed size that may overlap what was read before. */
static uint64_t load_rest(struct str s)
{
    size_t rest = s.len % 8;
    const char *p = s.at + s.len - rest;

    if (s.len >= 8)
        return load(s.at + s.len - 8, 8) >> (8 - rest) * 8;
    if (rest >= 4)
        return load(p, 4) | load(p + rest - 4, 4) << (rest - 4) * 8;
    return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[rest / 2] << rest / 2 * 8 |
           (uint64_t)(unsigned char)p[rest - 1] << (rest - 1) * 8;
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    uint64_t h = seed ^ (s.len * 0x9E3779B97F4A7C15ULL);
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        h = (h ^ load(s.at + i, 8)) * 0xFF51AFD7ED558CCDULL;
        h ^= h >> 32;
    }
    if (i < s.len) {
        h = (h ^ load_rest(s)) * 0xFF51AFD7ED558CCDULL;
        h ^= h >> 32;
    }
    h *= 0xC4CEB9FE1A85EC53ULL;
    return h ^ (h >> 29);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_hex_decode(struct str hex, void *ret_bytes, size_t len)
{
    unsigned char *out = ret_bytes;

    if (hex.len != len * 2)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex.at[2 * i]), low = hex_digit(hex.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
