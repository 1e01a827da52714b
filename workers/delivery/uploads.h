/* uploads.h - the core's effects on stores, carried out: listing, looking, writing.
 *
 * Layer: shell. Answers go straight back into the core, from http_poll().
 */
#ifndef DELIVERY_UPLOADS_H
#define DELIVERY_UPLOADS_H

#include "core/delivery.h"
#include "crypto/crypto.h"
#include "http/http.h"
#include "objects/objects.h"

struct uploads;

struct uploads_owner {
    void *arg;
    /* Of every PUT that has ended: `error` is "" when it was created. */
    void (*delivered)(void *arg, struct str trail, const char *error);
};

struct uploads *uploads_new(struct http *http, const struct objects *objects,
                            const struct crypto_key *hmac_key, struct str region,
                            const struct uploads_owner *owner); /* NULL: no memory */
void uploads_free(struct uploads *uploads); /* after http_free(): no answers may be pending */
AUTO_DEFINE(struct uploads, uploads_free)

/* The core that answers are given to; NULL: answers are dropped. */
void uploads_attach(struct uploads *uploads, struct delivery *delivery);

/* LIST, PUT, HEAD or PROBE. */
void uploads_begin(struct uploads *uploads, const struct delivery_effect *effect, int64_t now_s);

#endif
