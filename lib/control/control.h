/* control.h - what the compacted topic `control` says: accounts, keys, trails, topics' generations.
 *
 *     key                                value (JSON), or a tombstone
 *     account/<account id>               {"account","name","created"}
 *     key/<access key id>                {"key","account","secret" (sealed, base64),"active","created"}
 *     trail/<trail id>/<version>         a trail's version, lib/trail/trail.h
 *     topic/<topic>                      {"topic","generation"}
 *
 * A struct control is the view that its reader has built by applying record after record from the log's
 * start; applying one twice changes nothing.
 *
 * Ownership: what lookups give is borrowed until the next control_apply().
 * Layer:     pure. DEPS base, crypto, jsondoc, trail.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/base.h"
#include "crypto/crypto.h"
#include "trail/trail.h"

#define CONTROL_KEY_SIZE_MAX   256 /* of a record's key */
#define ACCESS_KEY_ID_SIZE     24
#define ACCESS_KEY_SECRET_SIZE 30
#define ACCOUNT_ID_SIZE        16

struct control;

struct control_account {
    struct str id, name;
    int64_t created_s;
};

struct control_key {
    struct str id, account;
    struct str sealed; /* the secret, see control_secret_open() */
    bool active;
    int64_t created_s;
};

struct control *control_new(void); /* NULL without memory */
void control_free(struct control *control);
AUTO_DEFINE(struct control, control_free)

/* Applies one record. Kinds that nobody knows (of a newer program) are passed over: 0. -ERR_INVALID,
 * -ERR_CONFLICT with what is wrong with it; -ERR_NOMEM. */
MUST_CHECK int control_apply(struct control *control, struct str key, struct str value,
                             bool tombstone, struct why *reterr_why);

/* NULL or empty when there is none. */
const struct control_account *control_account(const struct control *control, struct str id);
const struct control_key *control_key(const struct control *control, struct str id);
struct str control_generation(const struct control *control, struct str topic);
const struct trail_book *control_trails(const struct control *control);
struct trail_book *control_trails_mutable(struct control *control);
/* One after the other; start with 0; false after the last. */
bool control_account_at(const struct control *control, size_t i,
                        const struct control_account **ret);
bool control_key_at(const struct control *control, size_t i, const struct control_key **ret);

/* Records to be written: key and value. What is no text (UTF-8, without NUL) sets the value's error. */
void control_account_record(const struct control_account *account, struct buf *key,
                            struct buf *value);
void control_key_record(const struct control_key *access_key, struct buf *key, struct buf *value);
void control_topic_record(struct str topic, struct str generation, struct buf *key,
                          struct buf *value);
void control_trail_key(const struct trail_version *version, struct buf *key);

/* Secrets are sealed for the key id that they belong to. `master` is the deployment's master key. */
MUST_CHECK int control_secret_seal(const struct crypto_key *master, struct str key_id,
                                   struct str secret, struct buf *out);
MUST_CHECK int control_secret_open(const struct crypto_key *master, const struct control_key *key,
                                   struct buf *out);

/* New names: digits of an account, LTAI… of a key, letters and digits of a secret. NUL-terminated. */
void control_make_account_id(char ret[ACCOUNT_ID_SIZE + 1]);
void control_make_key_id(char ret[ACCESS_KEY_ID_SIZE + 1]);
void control_make_secret(char ret[ACCESS_KEY_SECRET_SIZE + 1]);

#endif
