/* nonces.h - which nonces were used lately, as this process remembers them.
 *
 * Redis knows them for all API processes. But it may be away or be emptied, and a request that was caught on its
 * way is not to be repeated then: so each process remembers those that it saw itself, always, and a nonce is
 * fresh only where neither knows it.
 *
 * Two generations of hashes: the older one is forgotten when the newer is as old as nonces have to be
 * remembered, or is full. So each is remembered for NONCES_TTL_MS, or for NONCES_MAX others at the least.
 *
 * Layer: pure. DEPS base.
 */
#ifndef API_CORE_NONCES_H
#define API_CORE_NONCES_H

#include "base/base.h"

#define NONCES_TTL_MS 1900000 /* twice the clock skew that requests may have, and a little */
#define NONCES_MAX    196608  /* of one generation */

struct nonces;
/* `seed` is nobody's to guess: it keys the hashes. NULL: no memory. */
struct nonces *nonces_new(uint64_t seed);
void nonces_free(struct nonces *nonces);
AUTO_DEFINE(struct nonces, nonces_free)

/* Whether the nonce of this key (the access key's id and itself) is fresh; it is remembered. `now_ms` of a clock that
 * never steps back. */
bool nonces_use(struct nonces *nonces, struct str key, int64_t now_ms);

#endif
