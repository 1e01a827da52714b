/* rights.h - accounts, keys, users, groups and policies: found in `control`, and changed there.
 *
 * One rights_open(), any number of records, one control_pen_commit(): all of them or none.
 *
 * Layer: I/O. DEPS as cli/deployment.h.
 */
#ifndef CLI_RIGHTS_H
#define CLI_RIGHTS_H

#include "cli/deployment.h"

struct rights {
    struct deployment deployment;
    struct control_pen *pen;       /* NULL when nothing is to be changed */
    struct control *read;          /* then this is the view */
    const struct control *control; /* the view */
    struct str account;            /* whose */
};

/* The account is --account, else TRAILBUS_ACCOUNT_ID; -ERR_NOT_FOUND when there is none of that id. To be closed
 * also on an error. */
MUST_CHECK int rights_open(struct cli *cli, bool to_change, struct rights *ret,
                           struct why *reterr_why);
/* The same, of this account; empty: --account or TRAILBUS_ACCOUNT_ID. */
MUST_CHECK int rights_open_of(struct cli *cli, struct str account, bool to_change,
                              struct rights *ret, struct why *reterr_why);
void rights_close(struct rights *rights);
static inline void auto_rights_close(struct rights *rights)
{
    rights_close(rights);
}
#define AUTO_RIGHTS __attribute__((cleanup(auto_rights_close)))

/* Of the account; -ERR_NOT_FOUND with what lists those that there are. */
MUST_CHECK int rights_user(const struct rights *rights, struct str name,
                           const struct control_user **ret, struct why *reterr_why);
MUST_CHECK int rights_group(const struct rights *rights, struct str name,
                            const struct control_group **ret, struct why *reterr_why);
MUST_CHECK int rights_policy(const struct rights *rights, struct str name,
                             const struct control_policy **ret, struct why *reterr_why);

/* Records, written when the pen commits. */
MUST_CHECK int write_account(struct control_pen *pen, const struct control_account *account,
                             struct why *reterr_why);
MUST_CHECK int write_key(struct control_pen *pen, const struct control_key *key,
                         struct why *reterr_why);
MUST_CHECK int write_user(struct control_pen *pen, const struct control_user *user,
                          struct why *reterr_why);
MUST_CHECK int write_group(struct control_pen *pen, const struct control_group *group,
                           struct why *reterr_why);
MUST_CHECK int write_policy(struct control_pen *pen, const struct control_policy *policy,
                            struct why *reterr_why);
MUST_CHECK int erase_key(struct control_pen *pen, const struct control_key *key,
                         struct why *reterr_why);
MUST_CHECK int erase_user(struct control_pen *pen, const struct control_user *user,
                          struct why *reterr_why);
MUST_CHECK int erase_group(struct control_pen *pen, const struct control_group *group,
                           struct why *reterr_why);
MUST_CHECK int erase_policy(struct control_pen *pen, const struct control_policy *policy,
                            struct why *reterr_why);

/* ---- lists of names: pure; a changed one is another one ------------------------------------------ */

struct name_list {
    struct str at[CONTROL_NAMES_MAX];
    struct control_names names; /* of them */
};
bool names_have(const struct control_names *names, struct str name);
/* The list with one more. False when it is full; one that is there stays as it is. */
MUST_CHECK bool names_add(const struct control_names *names, struct str name,
                          struct name_list *ret);
void names_remove(const struct control_names *names, struct str name, struct name_list *ret);
/* "a,b" */
void names_join(const struct control_names *names, struct buf *out);

/* Of every command about rights. */
#define ACCOUNT_OPTION                                                                             \
    {                                                                                              \
        "account", "ID", "whose; else TRAILBUS_ACCOUNT_ID", false                                  \
    }

#endif
