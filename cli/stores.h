/* stores.h - the object stores that the configuration names, ready for calls (store.h).
 *
 * Layer: I/O. DEPS base, config, crypto, http, objects.
 */
#ifndef CLI_STORES_H
#define CLI_STORES_H

#include "cli/deployment.h"
#include "cli/store.h"

/* Stays where it was opened: the calls borrow from it. */
struct stores {
    struct config_groups destinations;
    struct config *file;
    struct objects *objects;
    struct http *http;
    struct crypto_key hmac_key;
    struct store_calls calls;
};

/* To be closed in any case. -ERR_CONFIG: a destination, or the master key; -ERR_NOMEM. */
MUST_CHECK int stores_open(struct cli *cli, const struct deployment *deployment, struct stores *ret,
                           struct why *reterr_why);
void stores_close(struct stores *stores);
#define AUTO_STORES __attribute__((cleanup(stores_close)))

#endif
