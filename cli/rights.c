/* rights.c - accounts, keys, users, groups and policies in `control`. */
#include "cli/rights.h"

/* ---- opening ------------------------------------------------------------------------------------- */

int rights_open_of(struct cli *cli, struct str account, bool to_change, struct rights *ret,
                   struct why *reterr_why)
{
    int r = 0;

    ret->account = account;
    if (!account.len)
        r = settings_need(&cli->settings, "TRAILBUS_ACCOUNT_ID", &ret->account, reterr_why);
    if (r == 0)
        r = deployment_open(cli, &ret->deployment, reterr_why);
    if (r == 0 && to_change)
        r = control_pen_open(&ret->deployment, &ret->pen, reterr_why);
    else if (r == 0)
        r = control_view(&ret->deployment, &ret->read, reterr_why);
    if (r < 0)
        return r;
    ret->control = ret->pen ? control_pen_view(ret->pen) : ret->read;
    if (control_account(ret->control, ret->account))
        return 0;
    return why_set(reterr_why, -ERR_NOT_FOUND,
                   "there is no account " STR_FMT "; `trailctl account list` shows which there are",
                   STR_ARG(ret->account));
}

int rights_open(struct cli *cli, bool to_change, struct rights *ret, struct why *reterr_why)
{
    return rights_open_of(cli, args_text(&cli->args, "account", STR("")), to_change, ret,
                          reterr_why);
}

void rights_close(struct rights *rights)
{
    control_pen_close(rights->pen);
    control_free(rights->read);
    deployment_close(&rights->deployment);
}

/* ---- finding ------------------------------------------------------------------------------------- */

static int missing(const char *kind, struct str name, struct why *why)
{
    return why_set(why, -ERR_NOT_FOUND,
                   "there is no %s " STR_FMT "; `trailctl %s list` shows which there are", kind,
                   STR_ARG(name), kind);
}

int rights_user(const struct rights *rights, struct str name, const struct control_user **ret,
                struct why *reterr_why)
{
    *ret = control_user(rights->control, rights->account, name);
    return *ret ? 0 : missing("user", name, reterr_why);
}

int rights_group(const struct rights *rights, struct str name, const struct control_group **ret,
                 struct why *reterr_why)
{
    *ret = control_group(rights->control, rights->account, name);
    return *ret ? 0 : missing("group", name, reterr_why);
}

int rights_policy(const struct rights *rights, struct str name, const struct control_policy **ret,
                  struct why *reterr_why)
{
    *ret = control_policy(rights->control, rights->account, name);
    return *ret ? 0 : missing("policy", name, reterr_why);
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* One record while it is written. */
struct draft {
    struct buf key, value;
};

static struct draft draft_begin(void)
{
    struct draft draft = {0};

    buf_init(&draft.key, CONTROL_KEY_SIZE_MAX);
    buf_init(&draft.value, CONTROL_VALUE_SIZE_MAX);
    return draft;
}

/* `erases`: a tombstone of that key. */
static int draft_end(struct draft *draft, struct control_pen *pen, bool erases, struct why *why)
{
    struct str value = erases ? STR_NONE : buf_str(&draft->value);
    int r = buf_error(&draft->key) ? buf_error(&draft->key) : buf_error(&draft->value);

    if (r == 0)
        r = control_pen_write(pen, buf_str(&draft->key), value, why);
    else
        r = why_set(why, r, "it cannot be written down: too long, or not UTF-8");
    buf_done(&draft->key);
    buf_done(&draft->value);
    return r;
}

int write_account(struct control_pen *pen, const struct control_account *account,
                  struct why *reterr_why)
{
    struct draft draft = draft_begin();

    control_account_record(account, &draft.key, &draft.value);
    return draft_end(&draft, pen, false, reterr_why);
}

static int put_key(struct control_pen *pen, const struct control_key *key, bool erases,
                   struct why *why)
{
    struct draft draft = draft_begin();

    control_key_record(key, &draft.key, &draft.value);
    return draft_end(&draft, pen, erases, why);
}

static int put_user(struct control_pen *pen, const struct control_user *user, bool erases,
                    struct why *why)
{
    struct draft draft = draft_begin();

    control_user_record(user, &draft.key, &draft.value);
    return draft_end(&draft, pen, erases, why);
}

static int put_group(struct control_pen *pen, const struct control_group *group, bool erases,
                     struct why *why)
{
    struct draft draft = draft_begin();

    control_group_record(group, &draft.key, &draft.value);
    return draft_end(&draft, pen, erases, why);
}

static int put_policy(struct control_pen *pen, const struct control_policy *policy, bool erases,
                      struct why *why)
{
    struct draft draft = draft_begin();

    control_policy_record(policy, &draft.key, &draft.value);
    return draft_end(&draft, pen, erases, why);
}

int write_key(struct control_pen *pen, const struct control_key *key, struct why *reterr_why)
{
    return put_key(pen, key, false, reterr_why);
}

int write_user(struct control_pen *pen, const struct control_user *user, struct why *reterr_why)
{
    return put_user(pen, user, false, reterr_why);
}

int write_group(struct control_pen *pen, const struct control_group *group, struct why *reterr_why)
{
    return put_group(pen, group, false, reterr_why);
}

int write_policy(struct control_pen *pen, const struct control_policy *policy,
                 struct why *reterr_why)
{
    return put_policy(pen, policy, false, reterr_why);
}

int erase_key(struct control_pen *pen, const struct control_key *key, struct why *reterr_why)
{
    return put_key(pen, key, true, reterr_why);
}

int erase_user(struct control_pen *pen, const struct control_user *user, struct why *reterr_why)
{
    return put_user(pen, user, true, reterr_why);
}

int erase_group(struct control_pen *pen, const struct control_group *group, struct why *reterr_why)
{
    return put_group(pen, group, true, reterr_why);
}

int erase_policy(struct control_pen *pen, const struct control_policy *policy,
                 struct why *reterr_why)
{
    return put_policy(pen, policy, true, reterr_why);
}

/* ---- lists of names ------------------------------------------------------------------------------ */

bool names_have(const struct control_names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->at[i], name))
            return true;
    return false;
}

void names_remove(const struct control_names *names, struct str name, struct name_list *ret)
{
    ret->names = (struct control_names){ret->at, 0};
    for (size_t i = 0; i < names->count && ret->names.count < CONTROL_NAMES_MAX; i++)
        if (!str_eq(names->at[i], name))
            ret->at[ret->names.count++] = names->at[i];
}

bool names_add(const struct control_names *names, struct str name, struct name_list *ret)
{
    if (!names_have(names, name) && names->count == CONTROL_NAMES_MAX)
        return false;
    names_remove(names, name, ret);
    ret->at[ret->names.count++] = name;
    return true;
}

void names_join(const struct control_names *names, struct buf *out)
{
    for (size_t i = 0; i < names->count; i++)
        buf_addf(out, "%s" STR_FMT, i ? "," : "", STR_ARG(names->at[i]));
}
