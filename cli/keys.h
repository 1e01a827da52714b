/* keys.h - access keys, made and shown.
 *
 * Layer: I/O. DEPS as cli/rights.h.
 */
#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include "cli/rights.h"

#define KEY_TOKEN_SIZE_MAX 2048

/* A key that was just made; to be wiped. */
struct new_key {
    struct str account, user; /* user: empty for the account's own */
    char id[SESSION_ID_SIZE + 1], secret[ACCESS_KEY_SECRET_SIZE + 1];
    char token[KEY_TOKEN_SIZE_MAX]; /* of a temporary one, else "" */
    int64_t expires_s;              /* 0: never */
};

/* Makes a key of ret->account and ret->user, and writes its record. */
MUST_CHECK int key_make(struct control_pen *pen, const struct crypto_key *master,
                        struct new_key *ret, struct why *reterr_why);
/* `name`: of the account, when it was made too. */
MUST_CHECK int key_show(const struct new_key *key, struct str name, bool json);

#endif
