/* nonces.c - two tables of hashes with open addressing. */
#include "nonces.h"

#define SLOTS (1 << 18) /* a table; at most three quarters are taken */

struct table {
    uint64_t *slots; /* 0: free */
    size_t count;
};

struct nonces {
    struct table now, before;
    int64_t since_ms; /* the newer one's first */
    uint64_t seed;
};

struct nonces *nonces_new(uint64_t seed)
{
    struct nonces *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->seed = seed;
    n->now.slots = calloc(SLOTS, sizeof(uint64_t));
    n->before.slots = calloc(SLOTS, sizeof(uint64_t));
    if (n->now.slots && n->before.slots)
        return n;
    nonces_free(n);
    return NULL;
}

void nonces_free(struct nonces *n)
{
    if (!n)
        return;
    free(n->now.slots);
    free(n->before.slots);
    free(n);
}

/* Where the hash lies, or would. */
static uint64_t *slot_of(const struct table *t, uint64_t hash)
{
    size_t at = hash % SLOTS;

    while (t->slots[at] && t->slots[at] != hash)
        at = (at + 1) % SLOTS;
    return &t->slots[at];
}

static void turn_generation(struct nonces *n, int64_t now_ms)
{
    struct table oldest = n->before;

    n->before = n->now;
    n->now = oldest;
    memset(n->now.slots, 0, SLOTS * sizeof(uint64_t));
    n->now.count = 0;
    n->since_ms = now_ms;
}

bool nonces_use(struct nonces *n, struct str key, int64_t now_ms)
{
    uint64_t hash = str_hash(key, n->seed) | 1;
    uint64_t *slot;

    if (n->now.count == NONCES_MAX || (n->now.count && now_ms - n->since_ms >= NONCES_TTL_MS))
        turn_generation(n, now_ms);
    slot = slot_of(&n->now, hash);
    if (*slot || *slot_of(&n->before, hash))
        return false;
    if (n->now.count++ == 0)
        n->since_ms = now_ms;
    *slot = hash;
    return true;
}
