/* base.h - the words that every file speaks: slices, errors, ownership, invariants.
 *
 * Layer: the lowest. Includes nothing of ours outside lib/base; no I/O but the crash message.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST_CHECK                    __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)             __attribute__((format(printf, f, a)))
#define ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Each argument is evaluated once. */
#define MIN_OF(a, b)                                                                               \
    __extension__({                                                                                \
        __auto_type min_a = (a);                                                                   \
        __auto_type min_b = (b);                                                                   \
        min_a < min_b ? min_a : min_b;                                                             \
    })
#define MAX_OF(a, b)                                                                               \
    __extension__({                                                                                \
        __auto_type max_a = (a);                                                                   \
        __auto_type max_b = (b);                                                                   \
        max_a > max_b ? max_a : max_b;                                                             \
    })

/* AUTO(x_free) struct x *p = NULL;   frees p when it leaves its scope. */
#define AUTO(free_fn) __attribute__((cleanup(auto_##free_fn)))
#define AUTO_DEFINE(type, free_fn)                                                                 \
    static inline void auto_##free_fn(type **p)                                                    \
    {                                                                                              \
        if (*p)                                                                                    \
            free_fn(*p);                                                                           \
    }
AUTO_DEFINE(void, free)
#define AUTO_FREE __attribute__((cleanup(auto_free_any)))
static inline void auto_free_any(void *p)
{
    free(*(void **)p);
}

/* Our own invariants, on in every build. Never for input: foreign bytes get an error. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(#cond, __FILE__, __LINE__, __func__);                                     \
    } while (0)
__attribute__((noreturn, cold)) void check_failed(const char *cond, const char *file, int line,
                                                  const char *func);

/* ---- errors: 0, or one of these negated ------------------------------------------------------ */

enum err {
    ERR_UNAVAILABLE = 1, /* the other side is away, slow or says "later"                    retry */
    ERR_TIMEOUT,         /* no answer in time; whether it took effect is unknown            retry */
    ERR_ABORTED,         /* the transaction is gone, its input has to be read again         retry */
    ERR_FENCED,          /* another process took our place; handles must be built anew      retry */
    ERR_INVALID,         /* these bytes can never be right                                 poison */
    ERR_LIMIT,           /* a named maximum would be exceeded                              poison */
    ERR_CONFLICT,        /* contradicts what was accepted before                           poison */
    ERR_NOT_FOUND,       /* the thing asked for does not exist                             poison */
    ERR_EXISTS,          /* it was there before                                            poison */
    ERR_DENIED,          /* the other side refuses us for who we are                       poison */
    ERR_NOMEM,           /* no memory                                                       fatal */
    ERR_CONFIG,          /* the operator has to change something                            fatal */
    ERR_IO,              /* a local file or device fails                                    fatal */
    ERR_RANGE,           /* an offset outside the log                                       fatal */
    ERR_BUG,             /* we are wrong                                                    fatal */
};

/* The one question that a worker asks about an error. */
enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_RETRY,  /* the world is down: wait and do it again */
    ERR_CLASS_POISON, /* this input can never work: put it aside, go on */
    ERR_CLASS_FATAL,  /* we are wrong: stop with a message, let the operator look */
};

enum err_class err_class(int r);
const char *err_name(int r); /* "unavailable" …, for logs and counters */

/* The sentence that only the failing line knows. Fixed size, so that no error path allocates. */
#define WHY_SIZE_MAX 512
struct why {
    char text[WHY_SIZE_MAX];
};
/* Notes the sentence (cut at the maximum) and returns r. `why` may be NULL. */
int why_set(struct why *why, int r, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- slices ---------------------------------------------------------------------------------- */

/* Borrowed bytes; not NUL-terminated. `at` may be NULL only when len is 0. */
struct str {
    const char *at;
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)MIN_OF((s).len, (size_t)INT32_MAX), (s).at ? (s).at : ""

static inline struct str str_from(const char *cstr)
{
    return cstr ? (struct str){cstr, strlen(cstr)} : STR_NONE;
}
static inline struct str str_of(const void *at, size_t len)
{
    return (struct str){(const char *)at, len};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
int str_cmp(struct str a, struct str b);        /* byte order, as memcmp, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s); /* spaces, tabs, CR, LF at both ends */
/* Cuts *rest at the first `sep`: returns what is before, leaves what is behind; false when *rest
 * was empty and nothing is left to give. "a,,b" gives "a", "", "b". Start with a copy of s. */
bool str_split(struct str *rest, char sep, struct str *ret_part);
bool str_find(struct str s, struct str what, size_t *ret_at);
/* Whole-string decimal. False when empty, with foreign bytes, or out of range. */
bool str_to_i64(struct str s, int64_t *ret);
bool str_to_u64(struct str s, uint64_t *ret);
#define NUMBER_TEXT_SIZE 24 /* of any 64 bits in decimal, and NUL */
struct str str_of_i64(int64_t n, char text[NUMBER_TEXT_SIZE]);
bool str_is_utf8(struct str s); /* RFC 3629: no overlong forms, no surrogates */
char *str_dup(struct str s);    /* NUL-terminated, caller frees; NULL without memory */
uint64_t str_hash(struct str s, uint64_t seed); /* 64-bit, for tables in memory only: not stable */
bool str_hex_decode(struct str hex, void *ret_bytes, size_t len); /* exactly len bytes */

/* ---- growable buffer, always with a maximum --------------------------------------------------- */

/* A failed append (no room, no memory) marks the buffer as failed and changes nothing more; check
 * once at the end with buf_error(). */
struct buf {
    char *at;
    size_t len, cap, max;
    int error; /* 0, -ERR_LIMIT or -ERR_NOMEM */
};

void buf_init(struct buf *b, size_t size_max); /* allocates nothing */
/* A buffer in memory of the caller's: it cannot grow, and is not to be freed. */
static inline struct buf buf_over(void *room, size_t size)
{
    return (struct buf){(char *)room, 0, size, size, 0};
}
void buf_done(struct buf *b);              /* frees; takes a zeroed one too */
void buf_reset(struct buf *b);             /* empties, forgets the error, keeps the memory */
char *buf_grow(struct buf *b, size_t len); /* buf_reserve() where there is no room yet */
/* Room for len more at b->at + b->len, or NULL. */
static inline char *buf_reserve(struct buf *b, size_t len)
{
    /* Never more room than the maximum allows: cap is at most max. */
    return b->at && !b->error && len <= b->cap - b->len ? b->at + b->len : buf_grow(b, len);
}
static inline void buf_add(struct buf *b, const void *bytes, size_t len)
{
    char *to = buf_reserve(b, len);

    if (!to || !len)
        return;
    memcpy(to, bytes, len);
    b->len += len;
}
static inline void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.at, s.len);
}
static inline void buf_add_byte(struct buf *b, char c)
{
    char *to = buf_reserve(b, 1);

    if (!to)
        return;
    *to = c;
    b->len++;
}
void buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_add_hex(struct buf *b, const void *bytes, size_t len);       /* lower case */
void buf_add_base64(struct buf *b, const void *bytes, size_t len);    /* RFC 4648, padded */
void buf_add_base64url(struct buf *b, const void *bytes, size_t len); /* section 5, unpadded */
int buf_add_base64_decoded(struct buf *b, struct str text); /* either alphabet; -ERR_INVALID */
const char *buf_cstr(struct buf *b); /* NUL-terminated view; "" when failed */
static inline int buf_error(const struct buf *b)
{
    return b->error;
}
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->at, b->len};
}
static inline void auto_buf_done(struct buf *b)
{
    if (b->at)
        buf_done(b);
}
#define AUTO_BUF __attribute__((cleanup(auto_buf_done)))

/* ---- arena: memory that is forgotten together -------------------------------------------------- */

struct arena;                             /* one record or one request lives in it */
struct arena *arena_new(size_t size_max); /* NULL without memory; grows in blocks up to size_max */
void arena_free(struct arena *arena);     /* takes NULL */
void arena_reset(struct arena *arena);    /* everything given out is gone; keeps a first block */
void *arena_get(struct arena *arena, size_t len); /* aligned to 16, not zeroed; NULL when full */
struct str arena_copy(struct arena *arena,
                      struct str s); /* at == NULL when full (and s not empty) */
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
size_t arena_used(const struct arena *arena);
/* 0, or why something was not given since the last reset: -ERR_LIMIT (full) or -ERR_NOMEM. So a row of copies can be
 * made first and checked once: what was not copied must not be taken for empty. */
int arena_error(const struct arena *arena);
AUTO_DEFINE(struct arena, arena_free)

/* ---- time: arithmetic only; the clock is the shell's ------------------------------------------- */

#define TIME_TEXT_SIZE 21 /* "2026-11-23T08:00:00Z" and NUL */
struct time_parts {
    int year, month, day, hour, minute, second; /* UTC, proleptic Gregorian */
};
struct time_parts time_split(int64_t seconds);     /* since 1970-01-01T00:00:00Z */
int64_t time_join(const struct time_parts *parts); /* seconds */
/* "YYYY-MM-DDThh:mm:ssZ", whole seconds. False on any other form or an impossible date. */
bool time_parse(struct str text, int64_t *ret_seconds);
/* Also takes a fraction ("…:36.123Z"), which is dropped: events carry it now and then. */
bool time_parse_lenient(struct str text, int64_t *ret_seconds);
void time_format(int64_t seconds, char ret[TIME_TEXT_SIZE]);

#endif
