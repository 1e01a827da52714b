/* keys.c - access keys of accounts and users.
 *
 * Secrets are sealed with the deployment's master key and shown once, when they are made. A secret is changed
 * without a stop: make a second key, let the services use it, disable the first, and delete it when nothing
 * asked for it. A temporary key is kept nowhere: its token says all of it, sealed.
 */
#include "cli/keys.h"

#include <stdio.h>

#include "cli/output.h"
#include "jsondoc/jsondoc.h"

#define TEMPORARY_S_MAX 43200

/* ---- making -------------------------------------------------------------------------------------- */

int key_make(struct control_pen *pen, const struct crypto_key *master, struct new_key *ret,
             struct why *reterr_why)
{
    AUTO_BUF struct buf sealed = {0};
    int r;

    control_make_key_id(ret->id);
    control_make_secret(ret->secret);
    buf_init(&sealed, 4096);
    r = control_secret_seal(master, str_from(ret->id), str_from(ret->secret), &sealed);
    if (r < 0)
        return r;
    return write_key(pen,
                     &(struct control_key){.id = str_from(ret->id),
                                           .account = ret->account,
                                           .user = ret->user,
                                           .sealed = buf_str(&sealed),
                                           .active = true,
                                           .created_s = cli_now_s()},
                     reterr_why);
}

static int make_temporary(const struct crypto_key *master, struct str user_id, int64_t seconds,
                          struct new_key *ret)
{
    AUTO_BUF struct buf token = {0};
    int64_t now_s = cli_now_s();
    struct control_session session;
    int r;

    control_make_session_id(ret->id);
    control_make_secret(ret->secret);
    ret->expires_s = now_s + seconds;
    session = (struct control_session){.key = str_from(ret->id),
                                       .account = ret->account,
                                       .user = ret->user,
                                       .user_id = user_id,
                                       .secret = str_from(ret->secret),
                                       .created_s = now_s,
                                       .expires_s = ret->expires_s};
    buf_init(&token, sizeof(ret->token) - 1);
    r = control_session_seal(master, &session, &token);
    if (r == 0)
        memcpy(ret->token, buf_cstr(&token), token.len + 1);
    return r;
}

/* ---- showing ------------------------------------------------------------------------------------- */

static void show_text(const struct new_key *key, const char *expires)
{
    printf("accountId        " STR_FMT "\n", STR_ARG(key->account));
    if (key->user.len)
        printf("userName         " STR_FMT "\n", STR_ARG(key->user));
    printf("accessKeyId      %s\naccessKeySecret  %s\n", key->id, key->secret);
    if (key->expires_s)
        printf("securityToken    %s\nexpiration       %s\n", key->token, expires);
    printf("\nThe secret is not shown again.\n");
}

int key_show(const struct new_key *key, struct str name, bool json)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();
    char expires[TIME_TEXT_SIZE];

    time_format(key->expires_s, expires);
    if (!json) {
        show_text(key, expires);
        return 0;
    }
    if (!doc)
        return -ERR_NOMEM;
    (void)jsondoc_set_str(doc, "accountId", key->account);
    if (name.len)
        (void)jsondoc_set_str(doc, "name", name);
    if (key->user.len)
        (void)jsondoc_set_str(doc, "userName", key->user);
    (void)jsondoc_set_str(doc, "accessKeyId", str_from(key->id));
    (void)jsondoc_set_str(doc, "accessKeySecret", str_from(key->secret));
    if (key->expires_s) {
        (void)jsondoc_set_str(doc, "securityToken", str_from(key->token));
        (void)jsondoc_set_str(doc, "expiration", str_from(expires));
    }
    return output_json(doc);
}

/* ---- commands ------------------------------------------------------------------------------------ */

static int make_either(struct rights *rights, const struct crypto_key *master, struct str user_id,
                       int64_t seconds, struct new_key *key, struct why *why)
{
    int r;

    if (seconds)
        return make_temporary(master, user_id, seconds, key);
    r = key_make(rights->pen, master, key, why);
    return r == 0 ? control_pen_commit(rights->pen, why) : r;
}

static int key_create(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    struct new_key key = {.user = args_text(&cli->args, "user", STR(""))};
    struct crypto_key master = {0};
    const struct control_user *user = NULL;
    int64_t seconds;
    int r;

    if (args_number(&cli->args, "temporary", 0, 1, TEMPORARY_S_MAX, &seconds, reterr_why) < 0)
        return cli_misused(cli, reterr_why, "--temporary must be 1 to %d seconds", TEMPORARY_S_MAX);
    r = rights_open_of(cli, args_word(&cli->args, 0), seconds == 0, &rights, reterr_why);
    if (r == 0)
        r = deployment_master_key(&rights.deployment, &master, reterr_why);
    if (r == 0 && key.user.len)
        r = rights_user(&rights, key.user, &user, reterr_why);
    key.account = rights.account;
    if (r == 0)
        r = make_either(&rights, &master, user ? user->id : STR(""), seconds, &key, reterr_why);
    if (r == 0)
        r = key_show(&key, STR(""), args_has(&cli->args, "json"));
    crypto_wipe(&key, sizeof(key));
    crypto_wipe(&master, sizeof(master));
    return r;
}

/* Opens `control` for a change of the key that the command names. */
static int open_key(struct cli *cli, struct deployment *deployment, struct control_pen **pen,
                    const struct control_key **ret, struct why *why)
{
    struct str id = args_word(&cli->args, 0);
    int r;

    if (str_starts(id, STR(SESSION_ID_PREFIX)))
        return why_set(why, -ERR_INVALID,
                       "a temporary key is kept nowhere: it ends by itself, or with its user");
    r = deployment_open(cli, deployment, why);
    if (r == 0)
        r = control_pen_open(deployment, pen, why);
    if (r < 0)
        return r;
    *ret = control_key(control_pen_view(*pen), id);
    return *ret ? 0
                : why_set(why, -ERR_NOT_FOUND,
                          "there is no key " STR_FMT "; `trailctl key list` shows which there are",
                          STR_ARG(id));
}

static int key_switch(struct cli *cli, bool active, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    const char *state = active ? "enabled" : "disabled";
    const struct control_key *key;
    struct control_key changed;
    int r = open_key(cli, &deployment, &pen, &key, reterr_why);

    if (r < 0)
        return r;
    if (key->active == active) {
        printf(STR_FMT " was %s before\n", STR_ARG(key->id), state);
        return 0;
    }
    changed = *key;
    changed.active = active;
    r = write_key(pen, &changed, reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    if (r == 0)
        printf(STR_FMT " is %s: requests signed with it are %s\n", STR_ARG(key->id), state,
               active ? "let in" : "refused");
    return r;
}

static int key_disable(struct cli *cli, struct why *reterr_why)
{
    return key_switch(cli, false, reterr_why);
}

static int key_enable(struct cli *cli, struct why *reterr_why)
{
    return key_switch(cli, true, reterr_why);
}

static int key_delete(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    const struct control_key *key;
    int r = open_key(cli, &deployment, &pen, &key, reterr_why);

    if (r == 0)
        r = erase_key(pen, key, reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    if (r == 0)
        printf(STR_FMT " is deleted\n", STR_ARG(key->id));
    return r;
}

static int key_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_free) struct control *control = NULL;
    struct str account = args_word(&cli->args, 0), user = args_text(&cli->args, "user", STR(""));
    struct output output = {.json = args_has(&cli->args, "json")};
    const struct control_key *key;
    int r = deployment_open(cli, &deployment, reterr_why);

    if (r == 0)
        r = control_view(&deployment, &control, reterr_why);
    if (r < 0)
        return r;
    output_begin(&output, (const struct output_column[]){{"accessKeyId", "KEY", 24},
                                                         {"accountId", "ACCOUNT", 16},
                                                         {"state", "STATE", 8},
                                                         {"created", "CREATED", 20},
                                                         {"userName", "USER", 0},
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; control_key_at(control, i, &key); i++) {
        char created[TIME_TEXT_SIZE];

        if (!key || (account.len && !str_eq(key->account, account)) ||
            (user.len && !str_eq(key->user, user)))
            continue;
        time_format(key->created_s, created);
        output_row(&output, (const struct str[]){key->id, key->account,
                                                 key->active ? STR("active") : STR("disabled"),
                                                 str_from(created), key->user});
    }
    return output.error;
}

static const struct arg_option key_create_options[] = {
    {"user", "NAME", "of a user of the account; else it has the account's full access", false},
    {"temporary", "SECONDS", "ends by itself (43200 at most), and is used with a security token",
     false},
    {"json", NULL, "accountId, accessKeyId, accessKeySecret and so on as JSON", false},
    ARG_OPTIONS_END,
};
static const struct arg_option key_list_options[] = {
    {"user", "NAME", "only those of users of this name", false},
    {"json", NULL, "one JSON object a line", false},
    ARG_OPTIONS_END,
};
static const struct arg_option no_options[] = {ARG_OPTIONS_END};

const struct command key_commands[] = {
    {"key create", "[ACCOUNT]", 0, 1, "makes another key of an account, or of a user",
     "ACCOUNT is TRAILBUS_ACCOUNT_ID if it is not given. To change a secret without a stop: make a "
     "second key, let everybody use it, disable the first, delete it later.",
     key_create_options, key_create},
    {"key disable", "KEY", 1, 1, "refuses requests signed with a key from now on", "", no_options,
     key_disable},
    {"key enable", "KEY", 1, 1, "lets them in again", "", no_options, key_enable},
    {"key delete", "KEY", 1, 1, "forgets a key for good", "", no_options, key_delete},
    {"key list", "[ACCOUNT]", 0, 1, "lists the keys, without secrets", "", key_list_options,
     key_list},
    COMMANDS_END,
};
