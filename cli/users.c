/* users.c - users and groups of an account.
 *
 * A user holds the names of its groups and policies, a group those of its policies; so what a user may do is
 * found without looking at anybody else (lib/control/rights.c).
 */
#include <stdio.h>

#include "cli/output.h"
#include "cli/rights.h"
#include "jsondoc/jsondoc.h"

static int check_name(struct cli *cli, struct str name, struct why *why)
{
    return control_name_valid(name)
               ? 0
               : cli_misused(cli, why, "a name has 1 to %d of letters, digits, '.', '-' and '_'",
                             CONTROL_NAME_SIZE_MAX);
}

/* ---- users ----------------------------------------------------------------------------------------- */

static int show_user(const struct control_user *user, bool json)
{
    AUTO(jsondoc_free) struct jsondoc *doc = NULL;

    if (!json) {
        printf("userName  " STR_FMT "\nuserId    " STR_FMT "\n", STR_ARG(user->name),
               STR_ARG(user->id));
        return 0;
    }
    doc = jsondoc_object();
    if (!doc)
        return -ERR_NOMEM;
    (void)jsondoc_set_str(doc, "accountId", user->account);
    (void)jsondoc_set_str(doc, "userName", user->name);
    (void)jsondoc_set_str(doc, "userId", user->id);
    return output_json(doc);
}

static int user_create(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    char id[USER_ID_SIZE + 1];
    struct control_user user = {.name = args_word(&cli->args, 0), .created_s = cli_now_s()};
    int r = check_name(cli, user.name, reterr_why);

    if (r == 0)
        r = rights_open(cli, true, &rights, reterr_why);
    if (r < 0)
        return r;
    if (control_user(rights.control, rights.account, user.name))
        return why_set(reterr_why, -ERR_EXISTS, "user " STR_FMT " is there", STR_ARG(user.name));
    control_make_user_id(id);
    user.account = rights.account;
    user.id = str_from(id);
    r = write_user(rights.pen, &user, reterr_why);
    if (r == 0)
        r = control_pen_commit(rights.pen, reterr_why);
    return r < 0 ? r : show_user(&user, args_has(&cli->args, "json"));
}

/* Its keys go with it: nobody else could use them. */
static int erase_keys(const struct rights *rights, struct str user, size_t *ret_count,
                      struct why *why)
{
    const struct control_key *key;
    int r = 0;

    *ret_count = 0;
    for (size_t i = 0; r == 0 && control_key_at(rights->control, i, &key); i++) {
        if (!key || !str_eq(key->account, rights->account) || !str_eq(key->user, user))
            continue;
        r = erase_key(rights->pen, key, why);
        ++*ret_count;
    }
    return r;
}

static int user_delete(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    const struct control_user *user;
    size_t keys;
    int r = rights_open(cli, true, &rights, reterr_why);

    if (r == 0)
        r = rights_user(&rights, args_word(&cli->args, 0), &user, reterr_why);
    if (r == 0)
        r = erase_keys(&rights, user->name, &keys, reterr_why);
    if (r == 0)
        r = erase_user(rights.pen, user, reterr_why);
    if (r == 0)
        r = control_pen_commit(rights.pen, reterr_why);
    if (r == 0)
        printf("user " STR_FMT " is deleted, and its keys: %zu\n", STR_ARG(user->name), keys);
    return r;
}

static void user_row(struct output *output, const struct control_user *user)
{
    AUTO_BUF struct buf groups = {0}, policies = {0};
    char created[TIME_TEXT_SIZE];

    buf_init(&groups, CONTROL_VALUE_SIZE_MAX);
    buf_init(&policies, CONTROL_VALUE_SIZE_MAX);
    names_join(&user->groups, &groups);
    names_join(&user->policies, &policies);
    time_format(user->created_s, created);
    output_row(output, (const struct str[]){user->name, user->id, str_from(created),
                                            buf_str(&groups), buf_str(&policies)});
}

static int user_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    struct output output = {.json = args_has(&cli->args, "json")};
    const struct control_user *user;
    int r = rights_open(cli, false, &rights, reterr_why);

    if (r < 0)
        return r;
    output_begin(&output, (const struct output_column[]){{"userName", "USER", 16},
                                                         {"userId", "ID", 18},
                                                         {"created", "CREATED", 20},
                                                         {"groups", "GROUPS", 16},
                                                         {"policies", "POLICIES", 0},
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; control_user_at(rights.control, i, &user); i++)
        if (user && str_eq(user->account, rights.account))
            user_row(&output, user);
    return output.error;
}

/* ---- groups ---------------------------------------------------------------------------------------- */

static int group_create(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    struct control_group group = {.name = args_word(&cli->args, 0), .created_s = cli_now_s()};
    int r = check_name(cli, group.name, reterr_why);

    if (r == 0)
        r = rights_open(cli, true, &rights, reterr_why);
    if (r < 0)
        return r;
    if (control_group(rights.control, rights.account, group.name))
        return why_set(reterr_why, -ERR_EXISTS, "group " STR_FMT " is there", STR_ARG(group.name));
    group.account = rights.account;
    r = write_group(rights.pen, &group, reterr_why);
    if (r == 0)
        r = control_pen_commit(rights.pen, reterr_why);
    if (r == 0)
        printf("group " STR_FMT " is made; it has no members and no policies yet\n",
               STR_ARG(group.name));
    return r;
}

/* Writes the user with the group, or without it. */
static int write_member(const struct rights *rights, const struct control_user *user,
                        struct str group, bool member, struct why *why)
{
    struct control_user changed = *user;
    struct name_list list;

    if (!member)
        names_remove(&user->groups, group, &list);
    else if (!names_add(&user->groups, group, &list))
        return why_set(why, -ERR_LIMIT, "user " STR_FMT " is in %d groups, the most there can be",
                       STR_ARG(user->name), CONTROL_NAMES_MAX);
    changed.groups = list.names;
    return write_user(rights->pen, &changed, why);
}

/* The members are written first: whoever reads on the way never sees a member of what is no more. */
static int group_delete(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    const struct control_group *group = NULL;
    const struct control_user *user;
    size_t members = 0;
    int r = rights_open(cli, true, &rights, reterr_why);

    if (r == 0)
        r = rights_group(&rights, args_word(&cli->args, 0), &group, reterr_why);
    for (size_t i = 0; r == 0 && control_user_at(rights.control, i, &user); i++) {
        if (!user || !str_eq(user->account, rights.account) ||
            !names_have(&user->groups, group->name))
            continue;
        r = write_member(&rights, user, group->name, false, reterr_why);
        members++;
    }
    if (r == 0)
        r = erase_group(rights.pen, group, reterr_why);
    if (r == 0)
        r = control_pen_commit(rights.pen, reterr_why);
    if (r == 0)
        printf("group " STR_FMT " is deleted; members it had: %zu\n", STR_ARG(group->name),
               members);
    return r;
}

static int change_members(struct cli *cli, bool member, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    const struct control_group *group;
    const struct control_user *user;
    int r = rights_open(cli, true, &rights, reterr_why);

    if (r == 0)
        r = rights_group(&rights, args_word(&cli->args, 0), &group, reterr_why);
    for (size_t i = 1; r == 0 && i < args_word_count(&cli->args); i++) {
        r = rights_user(&rights, args_word(&cli->args, i), &user, reterr_why);
        if (r == 0)
            r = write_member(&rights, user, group->name, member, reterr_why);
    }
    if (r == 0)
        r = control_pen_commit(rights.pen, reterr_why);
    if (r == 0)
        printf("%s group " STR_FMT ": %zu users\n", member ? "added to" : "taken out of",
               STR_ARG(group->name), args_word_count(&cli->args) - 1);
    return r;
}

static int group_add(struct cli *cli, struct why *reterr_why)
{
    return change_members(cli, true, reterr_why);
}

static int group_remove(struct cli *cli, struct why *reterr_why)
{
    return change_members(cli, false, reterr_why);
}

static void add_members(const struct rights *rights, struct str group, struct buf *out)
{
    const struct control_user *user;

    for (size_t i = 0; control_user_at(rights->control, i, &user); i++)
        if (user && str_eq(user->account, rights->account) && names_have(&user->groups, group))
            buf_addf(out, "%s" STR_FMT, out->len ? "," : "", STR_ARG(user->name));
}

static void group_row(struct output *output, const struct rights *rights,
                      const struct control_group *group)
{
    AUTO_BUF struct buf members = {0}, policies = {0};
    char created[TIME_TEXT_SIZE];

    buf_init(&members, (size_t)1 << 20);
    buf_init(&policies, CONTROL_VALUE_SIZE_MAX);
    add_members(rights, group->name, &members);
    names_join(&group->policies, &policies);
    time_format(group->created_s, created);
    output_row(output, (const struct str[]){group->name, str_from(created), buf_str(&policies),
                                            buf_str(&members)});
}

static int group_list(struct cli *cli, struct why *reterr_why)
{
    AUTO_RIGHTS struct rights rights = {0};
    struct output output = {.json = args_has(&cli->args, "json")};
    const struct control_group *group;
    int r = rights_open(cli, false, &rights, reterr_why);

    if (r < 0)
        return r;
    output_begin(&output, (const struct output_column[]){{"groupName", "GROUP", 16},
                                                         {"created", "CREATED", 20},
                                                         {"policies", "POLICIES", 32},
                                                         {"members", "MEMBERS", 0},
                                                         {NULL, NULL, 0}});
    for (size_t i = 0; control_group_at(rights.control, i, &group); i++)
        if (group && str_eq(group->account, rights.account))
            group_row(&output, &rights, group);
    return output.error;
}

/* ---- the table ------------------------------------------------------------------------------------- */

static const struct arg_option user_create_options[] = {
    ACCOUNT_OPTION,
    {"json", NULL, "accountId, userName and userId as JSON", false},
    ARG_OPTIONS_END,
};
static const struct arg_option list_options[] = {
    ACCOUNT_OPTION,
    {"json", NULL, "one JSON object a line", false},
    ARG_OPTIONS_END,
};
static const struct arg_option account_options[] = {ACCOUNT_OPTION, ARG_OPTIONS_END};

const struct command user_commands[] = {
    {"user create", "NAME", 1, 1, "makes a user of an account, without rights yet",
     "It gets keys by `trailctl key create --user NAME`, and rights by `trailctl policy attach` or "
     "from its groups.",
     user_create_options, user_create},
    {"user delete", "NAME", 1, 1, "deletes a user and its keys", "", account_options, user_delete},
    {"user list", "", 0, 0, "lists users, with their groups and policies", "", list_options,
     user_list},
    {"group create", "NAME", 1, 1, "makes a group of users", "", account_options, group_create},
    {"group delete", "NAME", 1, 1, "deletes a group; its members lose what it allowed", "",
     account_options, group_delete},
    {"group add", "NAME USER...", 2, ARGS_GIVEN_MAX, "adds users to a group", "", account_options,
     group_add},
    {"group remove", "NAME USER...", 2, ARGS_GIVEN_MAX, "takes users out of a group", "",
     account_options, group_remove},
    {"group list", "", 0, 0, "lists groups, with their policies and members", "", list_options,
     group_list},
    COMMANDS_END,
};
