/* rights.c - what a user may do: the policies of the user and of the user's groups. */
#include "control/control.h"

static bool made_of(struct str s, const char *chars)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '\0' || !strchr(chars, s.at[i]))
            return false;
    return true;
}

#define ALPHANUMERICS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

bool control_name_valid(struct str name)
{
    return name.len > 0 && name.len <= CONTROL_NAME_SIZE_MAX && made_of(name, ALPHANUMERICS ".-_");
}

bool control_policy_name_valid(struct str name)
{
    return name.len > 0 && name.len <= POLICY_NAME_SIZE_MAX && made_of(name, ALPHANUMERICS "-");
}

static enum ram_verdict verdict_of(const struct control *control, struct str account,
                                   const struct control_names *policies,
                                   const struct ram_request *request)
{
    enum ram_verdict verdict = RAM_SILENT;

    for (size_t i = 0; i < policies->count && verdict != RAM_FORBIDS; i++) {
        const struct control_policy *policy = control_policy(control, account, policies->at[i]);
        enum ram_verdict one =
            policy && policy->rules ? ram_policy_verdict(policy->rules, request) : RAM_FORBIDS;

        verdict = MAX_OF(verdict, one);
    }
    return verdict;
}

enum ram_verdict control_verdict(const struct control *control, struct str account, struct str name,
                                 const struct ram_request *request)
{
    const struct control_user *user;
    enum ram_verdict verdict;

    if (!name.len)
        return RAM_ALLOWS;
    user = control_user(control, account, name);
    if (!user)
        return RAM_FORBIDS;
    verdict = verdict_of(control, account, &user->policies, request);
    for (size_t i = 0; i < user->groups.count && verdict != RAM_FORBIDS; i++) {
        const struct control_group *group = control_group(control, account, user->groups.at[i]);
        enum ram_verdict one =
            group ? verdict_of(control, account, &group->policies, request) : RAM_FORBIDS;

        verdict = MAX_OF(verdict, one);
    }
    return verdict;
}
