/* keys.h - which index keys an event has, and which one answers a query.
 *
 * Every attribute, and every pair that can be asked for, has a key of its own, so that any query walks
 * one run of the index in order of time and touches nothing that does not match. A key is a
 * hash under the file's own secret: nobody outside can make two values meet, and by chance they do not.
 *
 *     key = SipHash(secret, scope, account, attribute, value [, attribute, value])
 *
 * Layer: pure. DEPS base, event.
 */
#ifndef HISTORY_KEYS_H
#define HISTORY_KEYS_H

#include "history/history.h"

#define KEYS_SECRET_SIZE 16
/* In each of two scopes: the account, 13 attributes of which two come once a resource, 13 pairs of
 * which five do. */
#define KEYS_MAX         (2 * (1 + 11 + 8 + EVENT_RESOURCES_MAX * 7))

struct keys_secret {
    unsigned char bytes[KEYS_SECRET_SIZE];
};

/* Global events are indexed twice: among all, and among the global ones. */
enum keys_scope {
    KEYS_ALL,
    KEYS_GLOBAL,
};

/* All keys of an event; some may be equal. Returns how many. */
size_t keys_of_event(const struct keys_secret *secret, const struct event *event,
                     int64_t ret[KEYS_MAX]);

/* The key of a query with 0 to 2 filters that go together. */
int64_t keys_of_query(const struct keys_secret *secret, enum keys_scope scope, struct str account,
                      const struct history_filter *filters, size_t filter_count);

uint64_t siphash24(const unsigned char secret[KEYS_SECRET_SIZE], struct str bytes);

#endif
