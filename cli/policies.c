/* policies.c - policies: documents that say what users may do, and whom they are attached to. */
#include <stdio.h>

#include "cli/output.h"
#include "cli/rights.h"

/* ---- documents --------------------------------------------------------------------------------------- */

static int read_file(FILE *file, struct str path, struct buf *out, struct why *why)
{
    size_t len;

    do {
        char *to = buf_reserve(out, 1024);

        if (!to)
            return why_set(why, -ERR_LIMIT, STR_FMT " is over %d bytes, the most of a policy",
                           STR_ARG(path), RAM_DOCUMENT_SIZE_MAX);
        len = fread(to, 1, 1024, file);
        out->len += len;
    } while (len);
    return ferror(file) ? why_set(why, -ERR_IO, "cannot read " STR_FMT ": %m", STR_ARG(path)) : 0;
}

/* FILE, or standard input; found right, or not taken. */
static int read_document(struct cli *cli, struct buf *ret, struct why *why)
{
    AUTO(ram_policy_free) struct ram_policy *policy = NULL;
    struct str path = args_word(&cli->args, 1);
    bool is_file = path.len && !str_eq(path, STR("-"));
    FILE *file = is_file ? fopen(path.at, "re") : stdin;
    int r;

    if (!file)
        return why_set(why, -ERR_IO, "cannot open " STR_FMT ": %m", STR_ARG(path));
    buf_init(ret, RAM_DOCUMENT_SIZE_MAX + 2048); /* room for what tells that it is too long */
    r = read_file(file, is_file ? path : STR("standard input"), ret, why);
    if (is_file)
        (void)fclose(file);
    return r < 0 ? r : ram_policy_parse(buf_str(ret), &policy, why);
}

/* ---- policies ---------------------------------------------------------------------------------------- */

static int check_policy_name(struct cli *cli, struct str name, struct why *why)
{
    if (!control_policy_name_valid(name))
        return cli_misused(cli, why, "a policy's name has 1 to %d of letters, digits and '-'",
                           POLICY_NAME_SIZE_MAX);
    if (str_starts(name, STR(RAM_SYSTEM_PREFIX)))
        return cli_misused(cli, why, "names that begin with %s are those of system policies",
                           RAM_SYSTEM_PREFIX);
    return 0;
}

/* Makes it, or gives one that is there another document. */
static int put_policy(struct cli *cli, bool is_new, struct why *why)
{
    AUTO_RIGHTS struct rights rights = {0};
    AUTO_BUF struct buf document = {0};
    struct control_policy policy = {.name = args_word(&cli->args, 0), .created_s = cli_now_s()};
    const struct control_policy *old;
    int r = check_policy_name(cli, policy.name, why);

    if (r == 0)
        r = read_document(cli, &document, why);
    if (r == 0)
        r = rights_open(cli, true, &rights, why);
    if (r < 0)
        return r;
    old = control_policy(rights.control, rights.account, policy.name);
    if (is_new && old)
        return why_set(why, -ERR_EXISTS,
                       "policy " STR_FMT " is there; `trailctl policy update` changes it",
                       STR_ARG(policy.name));
    if (!is_new) {
        r = rights_policy(&rights, policy.name, &old, why);
        if (r < 0)
            return r;
        policy.created_s = old->created_s;
    }
    policy.account = rights.account;
    policy.document = buf_str(&document);
    r = write_policy(rights.pen, &policy, why);
    if (r == 0)
        r = control_pen_commit(rights.pen, why);
    if (r == 0)
        printf("policy " STR_FMT " is %s\n", STR_ARG(policy.name), is_new ? "made" : "changed");
    return r;
}

static int policy_create(struct cli *cli, struct why *reterr_why)
{
    return put_policy(cli, true, reterr_why);
}

static int policy_update(struct cli *cli, struct why *reterr_why)
{
    return put_policy(cli, false, reterr_why);
}

static int policy_show(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    const struct control_policy *policy;
    int r = rights_open(cli, false, &rights, reterr_why);

    if (r == 0)
        r = rights_policy(&rights, args_word(&cli->args, 0), &policy, reterr_why);
    if (r == 0)
        printf(STR_FMT "%s", STR_ARG(policy->document),
               str_ends(policy->document, STR("\n")) ? "" : "\n");
    return r;
}

/* "user alice, group ops" */
static size_t add_holders(const struct rights *rights, struct str policy, struct buf *out)
{
    const struct control_user *user;
    const struct control_group *group;
    size_t count = 0;

    for (size_t i = 0; control_user_at(rights->control, i, &user); i++)
        if (user && str_eq(user->account, rights->account) && names_have(&user->policies, policy))
            buf_addf(out, "%suser " STR_FMT, count++ ? ", " : "", STR_ARG(user->name));
    for (size_t i = 0; control_group_at(rights->control, i, &group); i++)
        if (group && str_eq(group->account, rights->account) &&
            names_have(&group->policies, policy))
            buf_addf(out, "%sgroup " STR_FMT, count++ ? ", " : "", STR_ARG(group->name));
    return count;
}

static int policy_delete(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    AUTO_BUF struct buf holders = {0};
    const struct control_policy *policy;
    struct str name = args_word(&cli->args, 0);
    int r = check_policy_name(cli, name, reterr_why);

    buf_init(&holders, (size_t)1 << 20);
    if (r == 0)
        r = rights_open(cli, true, &rights, reterr_why);
    if (r == 0)
        r = rights_policy(&rights, name, &policy, reterr_why);
    if (r < 0)
        return r;
    if (add_holders(&rights, name, &holders))
        return why_set(reterr_why, -ERR_CONFLICT,
                       "it is attached to %.300s; `trailctl policy detach` first",
                       buf_cstr(&holders));
    r = erase_policy(rights.pen, policy, reterr_why);
    if (r == 0)
        r = control_pen_commit(rights.pen, reterr_why);
    if (r == 0)
        printf("policy " STR_FMT " is deleted\n", STR_ARG(name));
    return r;
}

static int policy_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    struct output output = {.json = args_has(&cli->args, "json")};
    const struct control_policy *policy;
    int r = rights_open(cli, false, &rights, reterr_why);

    if (r < 0)
        return r;
    output_begin(&output, (const struct output_column[]){{"policyName", "POLICY", 32},
                                                         {"type", "TYPE", 6},
                                                         {"attachedTo", "ATTACHED TO", 0},
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; control_policy_at(rights.control, i, &policy); i++) {
        AUTO_BUF struct buf holders = {0};

        if (!policy || (policy->account.len && !str_eq(policy->account, rights.account)))
            continue;
        buf_init(&holders, (size_t)1 << 20);
        (void)add_holders(&rights, policy->name, &holders);
        output_row(&output, (const struct str[]){
                                policy->name, policy->account.len ? STR("Custom") : STR("System"),
                                buf_str(&holders)});
    }
    return output.error;
}

/* ---- attaching ----------------------------------------------------------------------------------------- */

static int change_list(const struct control_names *old, struct str policy, bool attach,
                       struct name_list *ret, struct why *why)
{
    if (attach && !names_add(old, policy, ret))
        return why_set(why, -ERR_LIMIT, "%d policies are attached, the most there can be",
                       CONTROL_NAMES_MAX);
    if (!attach && !names_have(old, policy))
        return why_set(why, -ERR_NOT_FOUND, "policy " STR_FMT " is not attached", STR_ARG(policy));
    if (!attach)
        names_remove(old, policy, ret);
    return 0;
}

static int change_user(const struct rights *rights, struct str name, struct str policy, bool attach,
                       struct why *why)
{
    const struct control_user *user;
    struct control_user changed;
    struct name_list list;
    int r = rights_user(rights, name, &user, why);

    if (r == 0)
        r = change_list(&user->policies, policy, attach, &list, why);
    if (r < 0)
        return r;
    changed = *user;
    changed.policies = list.names;
    return write_user(rights->pen, &changed, why);
}

static int change_group(const struct rights *rights, struct str name, struct str policy,
                        bool attach, struct why *why)
{
    const struct control_group *group;
    struct control_group changed;
    struct name_list list;
    int r = rights_group(rights, name, &group, why);

    if (r == 0)
        r = change_list(&group->policies, policy, attach, &list, why);
    if (r < 0)
        return r;
    changed = *group;
    changed.policies = list.names;
    return write_group(rights->pen, &changed, why);
}

static int change_attached(struct cli *cli, bool attach, struct why *why)
{
    AUTO_RIGHTS struct rights rights = {0};
    struct str name = args_word(&cli->args, 0), user = args_text(&cli->args, "user", STR(""));
    struct str group = args_text(&cli->args, "group", STR(""));
    const struct control_policy *policy;
    int r;

    if (!user.len == !group.len)
        return cli_misused(cli, why, "give either --user or --group");
    r = rights_open(cli, true, &rights, why);
    if (r == 0 && attach) /* one that is missing may be detached, too */
        r = rights_policy(&rights, name, &policy, why);
    if (r == 0)
        r = user.len ? change_user(&rights, user, name, attach, why)
                     : change_group(&rights, group, name, attach, why);
    if (r == 0)
        r = control_pen_commit(rights.pen, why);
    if (r == 0)
        printf("policy " STR_FMT " is %s %s " STR_FMT "\n", STR_ARG(name),
               attach ? "attached to" : "detached from", user.len ? "user" : "group",
               STR_ARG(user.len ? user : group));
    return r;
}

static int policy_attach(struct cli *cli, struct why *reterr_why)
{
    return change_attached(cli, true, reterr_why);
}

static int policy_detach(struct cli *cli, struct why *reterr_why)
{
    return change_attached(cli, false, reterr_why);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static const struct arg_option account_options[] = {ACCOUNT_OPTION, ARG_OPTIONS_END};
static const struct arg_option list_options[] = {
    ACCOUNT_OPTION,
    {"json", NULL, "one JSON object a line", false},
    ARG_OPTIONS_END,
};
static const struct arg_option attach_options[] = {
    ACCOUNT_OPTION,
    {"user", "NAME", "of this user", false},
    {"group", "NAME", "of this group: of all its members", false},
    ARG_OPTIONS_END,
};

const struct command policy_commands[] = {
    {"policy create", "NAME [FILE]", 1, 2, "makes a policy from a document (docs/RIGHTS.md)",
     "Without FILE the document comes from standard input. It is checked first.", account_options,
     policy_create},
    {"policy update", "NAME [FILE]", 1, 2, "gives a policy another document", "", account_options,
     policy_update},
    {"policy delete", "NAME", 1, 1, "deletes a policy that is attached to nobody", "",
     account_options, policy_delete},
    {"policy show", "NAME", 1, 1, "prints a policy's document", "", account_options, policy_show},
    {"policy list", "", 0, 0, "lists policies, and whom they are attached to", "", list_options,
     policy_list},
    {"policy attach", "NAME", 1, 1, "gives a user or a group what a policy says", "",
     attach_options, policy_attach},
    {"policy detach", "NAME", 1, 1, "takes it away", "", attach_options, policy_detach},
    COMMANDS_END,
};
