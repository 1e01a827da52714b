/* fingerprint.h - 128 bits that stand for a pair of texts, as nobody without the key can foresee.
 *
 * The window of duplicates knows events by them. Were they a plain hash, a sender could make two events that
 * have the same one: the second would pass for a copy of the first and be dropped unseen.
 *
 * Layer: core. The key comes from the shell; it need not outlive the window.
 */
#ifndef NORMALIZER_CORE_FINGERPRINT_H
#define NORMALIZER_CORE_FINGERPRINT_H

#include "base/base.h"

struct fingerprint_key {
    uint64_t a, b; /* random */
};

struct fingerprint {
    uint64_t a, b;
};

/* SipHash-1-3 with 128 bits of the first text's length (8 bytes), the first text filled up with zeros to whole
 * words, and the second. So ("ab", "c") is not ("a", "bc"). */
struct fingerprint fingerprint_of(const struct fingerprint_key *key, struct str first,
                                  struct str second);

static inline bool fingerprint_eq(struct fingerprint x, struct fingerprint y)
{
    return x.a == y.a && x.b == y.b;
}

#endif
