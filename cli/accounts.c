/* accounts.c - accounts and their access keys, as an operator makes them.
 *
 * Everything lies in `control`; secrets are sealed with the deployment's master key and shown once, when they
 * are made. A secret is changed without a stop: make a second key, let the services use it, disable the first.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/deployment.h"
#include "cli/output.h"
#include "event/event.h"
#include "jsondoc/jsondoc.h"

#define ACCOUNT_NAME_SIZE_MAX 128

struct new_key {
    char id[ACCESS_KEY_ID_SIZE + 1], secret[ACCESS_KEY_SECRET_SIZE + 1];
};

/* ---- records ----------------------------------------------------------------------------------- */

static int write_account(struct control_pen *pen, const struct control_account *account,
                         struct why *reterr_why)
{
    AUTO_BUF struct buf key = {0}, value = {0};

    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, 4096);
    control_account_record(account, &key, &value);
    if (buf_error(&key) || buf_error(&value))
        return -ERR_NOMEM;
    return control_pen_write(pen, buf_str(&key), buf_str(&value), reterr_why);
}

static int write_key(struct control_pen *pen, const struct control_key *access_key,
                     struct why *reterr_why)
{
    AUTO_BUF struct buf key = {0}, value = {0};

    buf_init(&key, CONTROL_KEY_SIZE_MAX);
    buf_init(&value, 4096);
    control_key_record(access_key, &key, &value);
    if (buf_error(&key) || buf_error(&value))
        return -ERR_NOMEM;
    return control_pen_write(pen, buf_str(&key), buf_str(&value), reterr_why);
}

/* Makes a key of the account; the caller shows its secret and wipes it. */
static int make_key(struct control_pen *pen, const struct crypto_key *master, struct str account,
                    struct new_key *ret, struct why *reterr_why)
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
                                           .account = account,
                                           .sealed = buf_str(&sealed),
                                           .active = true,
                                           .created_s = cli_now_s()},
                     reterr_why);
}

/* ---- printing ---------------------------------------------------------------------------------- */

static int print_new_key(struct str account, struct str name, const struct new_key *key, bool json)
{
    AUTO(jsondoc_free) struct jsondoc *doc = jsondoc_object();

    if (!json) {
        printf("accountId        " STR_FMT "\naccessKeyId      %s\naccessKeySecret  %s\n"
               "\nThe secret is not shown again.\n",
               STR_ARG(account), key->id, key->secret);
        return 0;
    }
    if (!doc)
        return -ERR_NOMEM;
    (void)jsondoc_set_str(doc, "accountId", account);
    if (name.len)
        (void)jsondoc_set_str(doc, "name", name);
    (void)jsondoc_set_str(doc, "accessKeyId", str_from(key->id));
    (void)jsondoc_set_str(doc, "accessKeySecret", str_from(key->secret));
    return output_json(doc);
}

/* ---- commands ---------------------------------------------------------------------------------- */

/* As the normalizer takes them. */
static bool account_id_valid(struct str id)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

    for (size_t i = 0; i < id.len; i++)
        if (!strchr(chars, id.at[i]))
            return false;
    return id.len > 0 && id.len <= EVENT_ACCOUNT_SIZE_MAX;
}

static int open_all(struct cli *cli, struct deployment *deployment, struct crypto_key *master,
                    struct control_pen **pen, struct why *reterr_why)
{
    int r = deployment_open(cli, deployment, reterr_why);

    if (r == 0)
        r = deployment_master_key(deployment, master, reterr_why);
    if (r == 0)
        r = control_pen_open(deployment, pen, reterr_why);
    return r;
}

static int account_create(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    char made[ACCOUNT_ID_SIZE + 1];
    struct control_account account = {.id = args_text(&cli->args, "id", STR("")),
                                      .name = args_text(&cli->args, "name", STR("")),
                                      .created_s = cli_now_s()};
    struct crypto_key master;
    struct new_key key = {0};
    int r;

    if (args_has(&cli->args, "id") && !account_id_valid(account.id))
        return cli_misused(cli, reterr_why, "--id must be 1 to %d of letters, digits, - and _",
                           EVENT_ACCOUNT_SIZE_MAX);
    if (account.name.len > ACCOUNT_NAME_SIZE_MAX || !str_is_utf8(account.name))
        return cli_misused(cli, reterr_why, "--name must be at most %d bytes of UTF-8",
                           ACCOUNT_NAME_SIZE_MAX);
    r = open_all(cli, &deployment, &master, &pen, reterr_why);
    while (r == 0 && !args_has(&cli->args, "id") && account.id.len == 0) {
        control_make_account_id(made);
        if (!control_account(control_pen_view(pen), str_from(made)))
            account.id = str_from(made);
    }
    if (r == 0 && control_account(control_pen_view(pen), account.id))
        r = why_set(reterr_why, -ERR_EXISTS,
                    "account " STR_FMT " is there; `trailctl key create " STR_FMT
                    "` makes another key of it",
                    STR_ARG(account.id), STR_ARG(account.id));
    if (r == 0)
        r = write_account(pen, &account, reterr_why);
    if (r == 0)
        r = make_key(pen, &master, account.id, &key, reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    if (r == 0)
        r = print_new_key(account.id, account.name, &key, args_has(&cli->args, "json"));
    crypto_wipe(&key, sizeof(key));
    crypto_wipe(&master, sizeof(master));
    return r;
}

static int key_create(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    struct str account = args_word(&cli->args, 0);
    struct crypto_key master;
    struct new_key key = {0};
    int r = open_all(cli, &deployment, &master, &pen, reterr_why);

    if (r == 0 && !control_account(control_pen_view(pen), account))
        r = why_set(reterr_why, -ERR_NOT_FOUND,
                    "there is no account " STR_FMT
                    "; `trailctl account list` shows which there are",
                    STR_ARG(account));
    if (r == 0)
        r = make_key(pen, &master, account, &key, reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    if (r == 0)
        r = print_new_key(account, STR(""), &key, args_has(&cli->args, "json"));
    crypto_wipe(&key, sizeof(key));
    crypto_wipe(&master, sizeof(master));
    return r;
}

static int key_disable(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_pen_close) struct control_pen *pen = NULL;
    struct str id = args_word(&cli->args, 0);
    const struct control_key *key;
    struct control_key changed;
    int r = deployment_open(cli, &deployment, reterr_why);

    if (r == 0)
        r = control_pen_open(&deployment, &pen, reterr_why);
    if (r < 0)
        return r;
    key = control_key(control_pen_view(pen), id);
    if (!key)
        return why_set(reterr_why, -ERR_NOT_FOUND,
                       "there is no key " STR_FMT "; `trailctl key list` shows which there are",
                       STR_ARG(id));
    if (!key->active) {
        printf(STR_FMT " was disabled before\n", STR_ARG(id));
        return 0;
    }
    changed = *key;
    changed.active = false;
    r = write_key(pen, &changed, reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    if (r == 0)
        printf(STR_FMT " is disabled: requests signed with it are refused\n", STR_ARG(id));
    return r;
}

static int key_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_free) struct control *control = NULL;
    struct str account = args_word(&cli->args, 0);
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
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; control_key_at(control, i, &key); i++) {
        char created[TIME_TEXT_SIZE];

        if (!key || (account.len && !str_eq(key->account, account)))
            continue;
        time_format(key->created_s, created);
        output_row(&output, (const struct str[]){key->id, key->account,
                                                 key->active ? STR("active") : STR("disabled"),
                                                 str_from(created)});
    }
    return output.error;
}

static int account_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    AUTO(control_free) struct control *control = NULL;
    struct output output = {.json = args_has(&cli->args, "json")};
    const struct control_account *account;
    int r = deployment_open(cli, &deployment, reterr_why);

    if (r == 0)
        r = control_view(&deployment, &control, reterr_why);
    if (r < 0)
        return r;
    output_begin(&output, (const struct output_column[]){{"accountId", "ACCOUNT", 16},
                                                         {"created", "CREATED", 20},
                                                         {"name", "NAME", 0},
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; control_account_at(control, i, &account); i++) {
        char created[TIME_TEXT_SIZE];

        if (!account)
            continue;
        time_format(account->created_s, created);
        output_row(&output, (const struct str[]){account->id, str_from(created), account->name});
    }
    return output.error;
}

static const struct arg_option account_create_options[] = {
    {"name", "NAME", "what people call it", false},
    {"id", "ID", "of an account whose events come already; else one is made", false},
    {"json", NULL, "accountId, accessKeyId and accessKeySecret as JSON", false},
    ARG_OPTIONS_END,
};
static const struct arg_option key_create_options[] = {
    {"json", NULL, "accountId, accessKeyId and accessKeySecret as JSON", false},
    ARG_OPTIONS_END,
};
static const struct arg_option list_options[] = {
    {"json", NULL, "one JSON object a line", false},
    ARG_OPTIONS_END,
};
static const struct arg_option no_options[] = {ARG_OPTIONS_END};

const struct command account_commands[] = {
    {"account create", "", 0, 0, "makes an account with full access, and its first key",
     "\nReads bus and security of the configuration. The secret is sealed with the deployment's "
     "master key\n"
     "and is shown once.\n",
     account_create_options, account_create},
    {"account list", "", 0, 0, "lists the accounts", "", list_options, account_list},
    {"key create", "ACCOUNT", 1, 1, "makes another key of an account",
     "\nTo change a secret without a stop: make a second key, let everybody use it, disable the "
     "first.\n",
     key_create_options, key_create},
    {"key disable", "KEY", 1, 1, "refuses requests signed with a key from now on", "", no_options,
     key_disable},
    {"key list", "[ACCOUNT]", 0, 1, "lists the keys, without secrets", "", list_options, key_list},
    COMMANDS_END,
};
