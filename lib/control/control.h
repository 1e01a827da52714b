/* control.h - what the compacted topic `control` says: accounts, keys, rights, trails, topics' generations.
 *
 *     key                                value (JSON), or a tombstone
 *     account/<account id>               {"account","name","created"}
 *     key/<access key id>                {"key","account","user" (none: the account's own),
 *                                         "secret" (sealed, base64),"active","created"}
 *     user/<account id>/<name>           {"account","name","id","created","groups":[name],"policies":[name]}
 *     group/<account id>/<name>          {"account","name","created","policies":[name]}
 *     policy/<account id>/<name>         {"account","name","created","document" (text, lib/ram/ram.h)}
 *     trail/<trail id>/<version>         a trail's version, lib/trail/trail.h
 *     topic/<topic>                      {"topic","generation","growing" (only while it is)}
 *
 * A struct control is the view that its reader has built by applying record after record from the log's
 * start; applying one twice changes nothing.
 *
 * Ownership: what lookups give is borrowed until the next control_apply().
 * Layer:     pure. DEPS base, crypto, jsondoc, ram, trail.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/base.h"
#include "crypto/crypto.h"
#include "ram/ram.h"
#include "trail/trail.h"

#define CONTROL_KEY_SIZE_MAX   256   /* of a record's key */
#define CONTROL_VALUE_SIZE_MAX 65536 /* of one of those that this module writes */
#define CONTROL_NAMES_MAX      64    /* groups or policies of a user, policies of a group */
#define CONTROL_NAME_SIZE_MAX  64    /* of a user, of a group */
#define POLICY_NAME_SIZE_MAX   128
#define ACCESS_KEY_ID_SIZE     24
#define ACCESS_KEY_SECRET_SIZE 30
#define ACCOUNT_ID_SIZE        16
#define USER_ID_SIZE           18
#define SESSION_ID_SIZE        28
#define SESSION_ID_PREFIX      "STS."

struct control;

struct control_account {
    struct str id, name;
    int64_t created_s;
};

struct control_key {
    struct str id, account;
    struct str user;   /* name; empty: the account's own */
    struct str sealed; /* the secret, see control_secret_open() */
    bool active;
    int64_t created_s;
};

struct control_names {
    const struct str *at;
    size_t count;
};

struct control_user {
    struct str account, name;
    struct str id; /* never used again, as a name may be */
    int64_t created_s;
    struct control_names groups, policies;
};

struct control_group {
    struct str account, name;
    int64_t created_s;
    struct control_names policies;
};

struct control_policy {
    struct str account; /* empty: a system policy, everybody's */
    struct str name, document;
    int64_t created_s;
    const struct ram_policy *rules; /* NULL: the document is not understood (of a newer program) */
};

struct control *control_new(void); /* NULL without memory */
void control_free(struct control *control);
AUTO_DEFINE(struct control, control_free)

/* Applies one record. 1 with a sentence: passed over, it is of a kind that nobody here knows (of a newer program).
 *
 * -ERR_INVALID, -ERR_CONFLICT with what is wrong with it: what was there before stays, but a trail is in doubt then
 * (trail_book_doubts()), and a topic has no generation; whoever reads `control` goes on and says so. -ERR_LIMIT,
 * -ERR_NOMEM: nothing can be said any more. */
MUST_CHECK int control_apply(struct control *control, struct str key, struct str value,
                             bool tombstone, struct why *reterr_why);

/* NULL or empty when there is none. */
const struct control_account *control_account(const struct control *control, struct str id);
const struct control_key *control_key(const struct control *control, struct str id);
const struct control_user *control_user(const struct control *control, struct str account,
                                        struct str name);
const struct control_group *control_group(const struct control *control, struct str account,
                                          struct str name);
/* The account's, or a system policy. */
const struct control_policy *control_policy(const struct control *control, struct str account,
                                            struct str name);
struct str control_generation(const struct control *control, struct str topic);
/* Whether partitions are being added to a topic: no trail may be changed meanwhile (rule 2). */
bool control_growing(const struct control *control);
const struct trail_book *control_trails(const struct control *control);
struct trail_book *control_trails_mutable(struct control *control);
/* One after the other; start with 0; false after the last. *ret may be NULL: one that is no more. */
bool control_account_at(const struct control *control, size_t i,
                        const struct control_account **ret);
bool control_key_at(const struct control *control, size_t i, const struct control_key **ret);
bool control_user_at(const struct control *control, size_t i, const struct control_user **ret);
bool control_group_at(const struct control *control, size_t i, const struct control_group **ret);
/* System policies come first. */
bool control_policy_at(const struct control *control, size_t i, const struct control_policy **ret);

/* What the policies of a user and of the user's groups say; an empty `user` is the account itself, which may
 * do everything. A user, group or policy that is missing, and a policy that is not understood, forbid
 * everything: nobody knows what they would have forbidden. */
enum ram_verdict control_verdict(const struct control *control, struct str account, struct str user,
                                 const struct ram_request *request);

/* Records to be written: key and value. What is no text (UTF-8, without NUL) sets the value's error. */
void control_account_record(const struct control_account *account, struct buf *key,
                            struct buf *value);
void control_key_record(const struct control_key *access_key, struct buf *key, struct buf *value);
void control_user_record(const struct control_user *user, struct buf *key, struct buf *value);
void control_group_record(const struct control_group *group, struct buf *key, struct buf *value);
void control_policy_record(const struct control_policy *policy, struct buf *key, struct buf *value);
void control_topic_record(struct str topic, struct str generation, bool growing, struct buf *key,
                          struct buf *value);
void control_trail_key(const struct trail_version *version, struct buf *key);

/* Secrets are sealed for the key id that they belong to. `master` is the deployment's master key. */
MUST_CHECK int control_secret_seal(const struct crypto_key *master, struct str key_id,
                                   struct str secret, struct buf *out);
MUST_CHECK int control_secret_open(const struct crypto_key *master, const struct control_key *key,
                                   struct buf *out);

/* A temporary key lies nowhere: all of it is in its security token, sealed with the master key. */
struct control_session {
    struct str key;               /* STS.… */
    struct str account;           /* whose */
    struct str user, user_id;     /* empty: the account's own */
    struct str secret;            /* requests are signed with it */
    int64_t created_s, expires_s; /* seconds since 1970 */
};
MUST_CHECK int control_session_seal(const struct crypto_key *master,
                                    const struct control_session *session, struct buf *ret_token);
/* *ret is borrowed from `plain`, to be wiped by the caller. -ERR_INVALID when the token is none of ours. */
MUST_CHECK int control_session_open(const struct crypto_key *master, struct str token,
                                    struct buf *plain, struct control_session *ret);

/* An operator's word that one request may change a trail without what it would have to wait for (delivery protocol,
 * rule 19). Who does not have the master key cannot give it, whatever rights an account's keys have. */
struct control_force {
    struct str key, nonce; /* of the request: access key, and what makes it the only one */
    struct str action, trail;
};
#define FORCE_HEADER   "x-trailbus-force" /* of the request, with the token */
#define FORCE_TTL_S    300
#define FORCE_SIZE_MAX 128 /* of a token */
/* The token: when it was given, and a signature. Errors are those of `ret_token`. */
void control_force_sign(const struct crypto_key *master, const struct control_force *force,
                        int64_t now_s, struct buf *ret_token);
/* Whether `token` is of this request, and not older or newer than FORCE_TTL_S. */
bool control_force_holds(const struct crypto_key *master, const struct control_force *force,
                         struct str token, int64_t now_s);

/* Users and groups: 1 to 64 of letters, digits, '.', '-', '_'; policies: 1 to 128 of letters, digits, '-'. */
bool control_name_valid(struct str name);
bool control_policy_name_valid(struct str name);

/* New names: digits of an account or a user, LTAI… of a key, STS.… of a temporary one, letters and digits of
 * a secret. NUL-terminated. */
void control_make_account_id(char ret[ACCOUNT_ID_SIZE + 1]);
void control_make_user_id(char ret[USER_ID_SIZE + 1]);
void control_make_key_id(char ret[ACCESS_KEY_ID_SIZE + 1]);
void control_make_session_id(char ret[SESSION_ID_SIZE + 1]);
void control_make_secret(char ret[ACCESS_KEY_SECRET_SIZE + 1]);

#endif
