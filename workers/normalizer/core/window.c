/* window.c - a ring of entries in the order they came, and a hash table of them.
 *
 *     ring   oldest [ . . . . . kept | . . learned since ] newest
 *
 * The oldest leave when they are too old or too many. Forgetting takes the newest away again; what left in
 * the meantime stays away until the ring is rebuilt: so entries leave only at window_keep().
 */
#include "window.h"

struct entry {
    uint64_t key_a, key_b; /* 128 bits of (account, id): a collision is not to be expected */
    struct window_content content;
    int64_t time_ms;
    uint32_t next; /* in its slot: index + 1 */
};

struct window {
    struct entry *ring;
    uint32_t *slots; /* index + 1 of the newest entry */
    size_t cap, slot_mask;
    size_t first, count, kept; /* kept: how many of count are not to be forgotten */
    size_t events_max;
    int64_t span_ms;
};

static struct window_content hash_of(struct str s, uint64_t seed)
{
    return (struct window_content){str_hash(s, 0x8F1BBCDCBFA53E0BULL ^ seed),
                                   str_hash(s, 0x2545F4914F6CDD1DULL + seed)};
}

/* Four lanes side by side, since one chain of multiplications over a whole event is what a processor is slow at. */
struct window_content window_content_of(struct str bytes, bool json)
{
    uint64_t lanes[5] = {bytes.len, json, 2, 3, 0};

    for (; bytes.len >= 32; bytes.at += 32, bytes.len -= 32) {
        uint64_t words[4];

        memcpy(words, bytes.at, sizeof(words));
        for (size_t i = 0; i < 4; i++) {
            lanes[i] = (lanes[i] ^ words[i]) * 0xFF51AFD7ED558CCDULL;
            lanes[i] ^= lanes[i] >> 32;
        }
    }
    lanes[4] = str_hash(bytes, 4);
    return hash_of(str_of(lanes, sizeof(lanes)), 0);
}

struct window *window_new(size_t events_max, int64_t span_ms)
{
    struct window *w = calloc(1, sizeof(*w));
    size_t slots = 1024;

    CHECK(events_max > 0 && events_max < UINT32_MAX / 4);
    if (!w)
        return NULL;
    w->events_max = events_max;
    w->span_ms = span_ms;
    w->cap = 1024;
    while (slots < events_max)
        slots *= 2;
    w->slot_mask = slots - 1;
    w->ring = malloc(w->cap * sizeof(*w->ring));
    w->slots = calloc(slots, sizeof(*w->slots));
    if (w->ring && w->slots)
        return w;
    window_free(w);
    return NULL;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    free(w->ring);
    free(w->slots);
    free(w);
}

static struct entry *entry_at(const struct window *w, size_t i)
{
    return &w->ring[(w->first + i) & (w->cap - 1)];
}

static uint32_t *slot_of(const struct window *w, const struct entry *e)
{
    return &w->slots[e->key_a & w->slot_mask];
}

/* Entries of a slot form a list from newest to oldest. */
static void link_entry(struct window *w, uint32_t index)
{
    struct entry *e = &w->ring[index];
    uint32_t *slot = slot_of(w, e);

    e->next = *slot;
    *slot = index + 1;
}

static void unlink_entry(struct window *w, uint32_t index)
{
    uint32_t *at = slot_of(w, &w->ring[index]);

    while (*at && *at != index + 1)
        at = &w->ring[*at - 1].next;
    CHECK(*at == index + 1);
    *at = w->ring[index].next;
}

static void grow(struct window *w)
{
    size_t cap = w->cap * 2;
    struct entry *ring = malloc(cap * sizeof(*ring));

    CHECK(ring); /* an abort here loses nothing: the transaction is not committed */
    for (size_t i = 0; i < w->count; i++)
        ring[i] = *entry_at(w, i);
    free(w->ring);
    w->ring = ring;
    w->cap = cap;
    w->first = 0;
    memset(w->slots, 0, (w->slot_mask + 1) * sizeof(*w->slots));
    for (size_t i = 0; i < w->count; i++)
        link_entry(w, (uint32_t)i);
}

static struct entry *find(const struct window *w, const struct window_content *key)
{
    for (uint32_t at = w->slots[key->a & w->slot_mask]; at; at = w->ring[at - 1].next)
        if (w->ring[at - 1].key_a == key->a && w->ring[at - 1].key_b == key->b)
            return &w->ring[at - 1];
    return NULL;
}

static struct window_content key_of(struct str account, struct str id)
{
    struct window_content owner = hash_of(account, 0), key = hash_of(id, owner.a);

    key.b ^= owner.b;
    return key;
}

static void add(struct window *w, struct window_content key, struct window_content content,
                int64_t time_ms)
{
    uint32_t index;

    if (w->count == w->cap)
        grow(w);
    index = (uint32_t)((w->first + w->count) & (w->cap - 1));
    w->ring[index] = (struct entry){key.a, key.b, content, time_ms, 0};
    w->count++;
    link_entry(w, index);
}

static bool same(struct window_content x, struct window_content y)
{
    return x.a == y.a && x.b == y.b;
}

enum window_verdict window_learn(struct window *w, struct str account, struct str id,
                                 struct window_content content, int64_t time_ms)
{
    struct window_content key = key_of(account, id);
    const struct entry *known = find(w, &key);

    if (known && time_ms - known->time_ms <= w->span_ms)
        return same(known->content, content) ? WINDOW_DUPLICATE : WINDOW_CONFLICT;
    add(w, key, content, time_ms);
    return WINDOW_NEW;
}

bool window_learn_again(struct window *w, struct str account, struct str id,
                        struct window_content content, int64_t first_ms, int64_t time_ms)
{
    struct window_content key = key_of(account, id);
    const struct entry *known = find(w, &key); /* the newest: this one, from now on */

    if (!known || known->time_ms != first_ms || !same(known->content, content))
        return false;
    add(w, key, content, time_ms);
    return true;
}

void window_keep(struct window *w)
{
    int64_t newest_ms = w->count ? entry_at(w, w->count - 1)->time_ms : 0;

    while (w->count > w->events_max ||
           (w->count && newest_ms - entry_at(w, 0)->time_ms > w->span_ms)) {
        unlink_entry(w, (uint32_t)w->first);
        w->first = (w->first + 1) & (w->cap - 1);
        w->count--;
    }
    w->kept = w->count;
}

void window_forget(struct window *w)
{
    while (w->count > w->kept) {
        unlink_entry(w, (uint32_t)((w->first + w->count - 1) & (w->cap - 1)));
        w->count--;
    }
}

size_t window_count(const struct window *w)
{
    return w->count;
}
