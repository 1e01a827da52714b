/* accounts.c - accounts, as an operator makes them. */
#include <stdio.h>

#include "cli/keys.h"
#include "cli/output.h"
#include "event/event.h"

#define ACCOUNT_NAME_SIZE_MAX 128

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
    key.account = account.id;
    if (r == 0)
        r = key_make(pen, &master, &key, reterr_why);
    if (r == 0)
        r = control_pen_commit(pen, reterr_why);
    if (r == 0)
        r = key_show(&key, account.name, args_has(&cli->args, "json"));
    crypto_wipe(&key, sizeof(key));
    crypto_wipe(&master, sizeof(master));
    return r;
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
static const struct arg_option list_options[] = {
    {"json", NULL, "one JSON object a line", false},
    ARG_OPTIONS_END,
};

const struct command account_commands[] = {
    {"account create", "", 0, 0, "makes an account with full access, and its first key",
     "Reads bus and security of the configuration. The secret is sealed with the deployment's "
     "master key and is shown once.",
     account_create_options, account_create},
    {"account list", "", 0, 0, "lists the accounts", "", list_options, account_list},
    COMMANDS_END,
};
