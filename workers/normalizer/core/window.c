/* window.c - a ring of entries in the order they came, and a hash table of them.
 *
 *     ring   oldest [ . . . . . kept | . . learned since ] newest
 *
 * The oldest leave when they are too old or too many. Forgetting takes the newest away again; what left in
 * the meantime stays away until the ring is rebuilt: so entries leave only at window_keep().
 */
#include "window.h"

struct entry {
    struct fingerprint key; /* of (account, id) */
    struct fingerprint content;
    int64_t time_ms;
    uint32_t next; /* in its slot: index + 1 */
};

struct window {
    struct fingerprint_key key;
    struct entry *ring;
    uint32_t *slots; /* index + 1 of the newest entry */
    size_t cap, slot_mask;
    size_t first, count, kept; /* kept: how many of count are not to be forgotten */
    size_t events_max;
    int64_t span_ms;
};

struct fingerprint window_content(const struct window *w, struct str bytes, bool json)
{
    return fingerprint_of(&w->key, json ? STR("json") : STR("avro"), bytes);
}

struct window *window_new(size_t events_max, int64_t span_ms, const struct fingerprint_key *key)
{
    struct window *w = calloc(1, sizeof(*w));
    size_t slots = 1024;

    CHECK(events_max > 0 && events_max < UINT32_MAX / 4);
    if (!w)
        return NULL;
    w->key = *key;
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
    return &w->slots[e->key.a & w->slot_mask];
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

static int grow(struct window *w)
{
    size_t cap = w->cap * 2;
    struct entry *ring = malloc(cap * sizeof(*ring));

    if (!ring)
        return -ERR_NOMEM;
    for (size_t i = 0; i < w->count; i++)
        ring[i] = *entry_at(w, i);
    free(w->ring);
    w->ring = ring;
    w->cap = cap;
    w->first = 0;
    memset(w->slots, 0, (w->slot_mask + 1) * sizeof(*w->slots));
    for (size_t i = 0; i < w->count; i++)
        link_entry(w, (uint32_t)i);
    return 0;
}

static struct entry *find(const struct window *w, struct fingerprint key)
{
    for (uint32_t at = w->slots[key.a & w->slot_mask]; at; at = w->ring[at - 1].next)
        if (fingerprint_eq(w->ring[at - 1].key, key))
            return &w->ring[at - 1];
    return NULL;
}

static int add(struct window *w, struct fingerprint key, struct fingerprint content,
               int64_t time_ms)
{
    uint32_t index;

    if (w->count == w->cap && grow(w) < 0)
        return -ERR_NOMEM;
    index = (uint32_t)((w->first + w->count) & (w->cap - 1));
    w->ring[index] = (struct entry){key, content, time_ms, 0};
    w->count++;
    link_entry(w, index);
    return 0;
}

int window_learn(struct window *w, struct str account, struct str id, struct fingerprint content,
                 int64_t time_ms, enum window_verdict *ret)
{
    struct fingerprint key = fingerprint_of(&w->key, account, id);
    const struct entry *known = find(w, key);

    if (known && time_ms - known->time_ms <= w->span_ms) {
        *ret = fingerprint_eq(known->content, content) ? WINDOW_DUPLICATE : WINDOW_CONFLICT;
        return 0;
    }
    *ret = WINDOW_NEW;
    return add(w, key, content, time_ms);
}

int window_learn_again(struct window *w, struct str account, struct str id,
                       struct fingerprint content, int64_t first_ms, int64_t time_ms)
{
    struct fingerprint key = fingerprint_of(&w->key, account, id);
    const struct entry *known = find(w, key); /* the newest: this one, from now on */
    int r;

    if (!known || known->time_ms != first_ms || !fingerprint_eq(known->content, content))
        return 0;
    r = add(w, key, content, time_ms);
    return r < 0 ? r : 1;
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
