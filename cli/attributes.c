/* attributes.c - keys, pairs, and what goes with what. */
#include "cli/attributes.h"

static int unknown_key(struct str key, struct why *reterr_why)
{
    AUTO_BUF struct buf names = {0};

    buf_init(&names, sizeof(reterr_why->text));
    for (int i = 0; i < HISTORY_ATTRIBUTE_COUNT; i++)
        buf_addf(&names, "%s%s", i ? ", " : "", history_attribute_name(i));
    return why_set(reterr_why, -ERR_INVALID, "there is no attribute \"" STR_FMT "\"; there are: %s",
                   STR_ARG(key), buf_cstr(&names));
}

static int not_together(enum history_attribute a, enum history_attribute b, struct why *reterr_why)
{
    const enum history_attribute each[] = {a, b};
    AUTO_BUF struct buf text = {0};

    buf_init(&text, sizeof(reterr_why->text));
    for (size_t k = 0; k < ARRAY_LEN(each); k++) {
        bool any = false;

        buf_addf(&text, "%s%s goes with ", k ? "; " : "", history_attribute_name(each[k]));
        for (int i = 0; i < HISTORY_ATTRIBUTE_COUNT; i++) {
            if (!history_pair_valid(each[k], i))
                continue;
            buf_addf(&text, "%s%s", any ? ", " : "", history_attribute_name(i));
            any = true;
        }
        if (!any)
            buf_add_str(&text, STR("no other"));
    }
    return why_set(reterr_why, -ERR_INVALID, "these cannot be asked for together: %s",
                   buf_cstr(&text));
}

int attributes_parse(const struct args *args, struct attributes *ret, struct why *reterr_why)
{
    enum history_attribute kinds[HISTORY_ATTRIBUTES_MAX];
    struct str value, key;

    ret->count = 0;
    for (size_t i = 0; args_value(args, "attribute", i, &value); i++) {
        if (i == HISTORY_ATTRIBUTES_MAX)
            return why_set(reterr_why, -ERR_INVALID, "at most %d attributes can be asked for",
                           HISTORY_ATTRIBUTES_MAX);
        if (!str_split(&value, '=', &key) || value.len == 0)
            return why_set(reterr_why, -ERR_INVALID, "an attribute is KEY=VALUE");
        if (!history_attribute_parse(key, &kinds[i]))
            return unknown_key(key, reterr_why);
        ret->at[i].key = key;
        ret->at[i].value = value;
        ret->count++;
    }
    if (ret->count < 2)
        return 0;
    if (kinds[0] == kinds[1])
        return why_set(reterr_why, -ERR_INVALID, "%s is given twice",
                       history_attribute_name(kinds[0]));
    return history_pair_valid(kinds[0], kinds[1]) ? 0
                                                  : not_together(kinds[0], kinds[1], reterr_why);
}
