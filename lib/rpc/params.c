/* params.c - the rules that parameters follow. */
#include "rpc/rpc.h"

static bool made_of(struct str s, const char *chars)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '\0' || !strchr(chars, s.at[i]))
            return false;
    return true;
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool rpc_trail_name_valid(struct str name)
{
    return name.len >= 6 && name.len <= 36 && made_of(str_of(name.at, 1), LOWER) &&
           made_of(name, LOWER DIGITS "-_");
}

bool rpc_bucket_valid(struct str bucket)
{
    return bucket.len >= 3 && bucket.len <= 63 && bucket.at[0] != '-' &&
           made_of(bucket, LOWER DIGITS "-");
}

bool rpc_prefix_valid(struct str prefix)
{
    return prefix.len == 0 ||
           (prefix.len >= 6 && prefix.len <= 32 && made_of(str_of(prefix.at, 1), LOWER UPPER) &&
            made_of(prefix, LOWER UPPER DIGITS "-/_"));
}

static int parse_window(const struct rpc_call *call, int64_t now_s, struct rpc_lookup *ret,
                        struct rpc_failure *failure)
{
    bool start = rpc_param(call, "StartTime").len > 0, end = rpc_param(call, "EndTime").len > 0;

    ret->end_s = now_s;
    ret->start_s = now_s - RPC_LOOKUP_DEFAULT_S;
    if (start != end)
        return rpc_fail(failure, "InvalidParameterCombination",
                        "Give both StartTime and EndTime, or neither.");
    if (!start)
        return 0;
    if (!time_parse(rpc_param(call, "StartTime"), &ret->start_s))
        return rpc_fail(failure, "InvalidParameterStartTime", NULL);
    if (!time_parse(rpc_param(call, "EndTime"), &ret->end_s))
        return rpc_fail(failure, "InvalidParameterEndTime", NULL);
    if (ret->start_s > now_s)
        return rpc_fail(failure, "InvalidParameterStartTimeExceedsCurrent", NULL);
    if (ret->end_s <= ret->start_s)
        return rpc_fail(failure, "InvalidParameterCombination", NULL);
    if (ret->end_s - ret->start_s > RPC_LOOKUP_WINDOW_S)
        return rpc_fail(failure, "InvalidParameterDateOutOfRange", NULL);
    if (ret->start_s < now_s - RPC_LOOKUP_HISTORY_S)
        return rpc_fail(failure, "InvalidParameterStartTimeOutOfDate", NULL);
    return 0;
}

/* LookupAttribute.N.Key / .Value: N from 1 without gaps, two at most (more would be left out silently by
 * the original; here that is an error). The same key twice: the second counts. */
static int parse_attributes(const struct rpc_call *call, struct rpc_lookup *ret,
                            struct rpc_failure *failure)
{
    struct sign_pair found[2] = {0};
    bool has_value[2] = {false, false};

    for (size_t i = 0; i < call->param_count; i++) {
        struct str rest = call->params[i].name, head, number;
        uint64_t n;

        if (!str_split(&rest, '.', &head) || !str_eq(head, STR("LookupAttribute")))
            continue;
        if (!rest.at || !str_split(&rest, '.', &number) || !str_to_u64(number, &n) || n < 1)
            return rpc_fail(failure, "InvalidLookupAttributesException", NULL);
        if (n > 2)
            return rpc_fail(failure, "InvalidLookupAttributesException",
                            "At most two lookup attributes are supported.");
        if (str_eq(rest, STR("Key"))) {
            found[n - 1].name = call->params[i].value;
        } else if (str_eq(rest, STR("Value"))) {
            found[n - 1].value = call->params[i].value;
            has_value[n - 1] = true;
        } else {
            return rpc_fail(failure, "InvalidLookupAttributesException", NULL);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (!found[i].name.len && !has_value[i])
            continue;
        if (i > ret->attribute_count || !found[i].name.len || !has_value[i])
            return rpc_fail(failure, "InvalidLookupAttributesException",
                            "A lookup attribute needs a Key and a Value.");
        ret->attributes[ret->attribute_count++] = found[i];
    }
    if (ret->attribute_count == 2 && str_eq(ret->attributes[0].name, ret->attributes[1].name)) {
        ret->attributes[0] = ret->attributes[1];
        ret->attribute_count = 1;
    }
    return 0;
}

int rpc_lookup_parse(const struct rpc_call *call, int64_t now_s, struct rpc_lookup *ret,
                     struct rpc_failure *failure)
{
    struct str direction = rpc_param(call, "Direction"), max = rpc_param(call, "MaxResults");
    int r;

    *ret = (struct rpc_lookup){.max_results = 20, .next_token = rpc_param(call, "NextToken")};
    ret->forward = str_eq(direction, STR("FORWARD"));
    if (direction.len && !ret->forward && !str_eq(direction, STR("BACKWARD")))
        return rpc_fail(failure, "InvalidQueryParameter", "Direction must be FORWARD or BACKWARD.");
    if (max.len &&
        (!str_to_i64(max, &ret->max_results) || ret->max_results < 0 || ret->max_results > 50))
        return rpc_fail(failure, "InvalidQueryParameter", "MaxResults must be between 1 and 50.");
    if (ret->max_results == 0) /* older texts allow it */
        ret->max_results = 20;
    r = parse_window(call, now_s, ret, failure);
    return r < 0 ? r : parse_attributes(call, ret, failure);
}
