/* args.c - arguments taken apart. Not getopt: words may stand between options, and nothing is global. */
#include "cli/args.h"

static const struct arg_option *find_option(const struct arg_option *const *tables, struct str name)
{
    for (; *tables; tables++)
        for (const struct arg_option *o = *tables; o->name; o++)
            if (str_eq(name, str_from(o->name)))
                return o;
    return NULL;
}

static int add(struct args *args, const struct arg_option *option, struct str value,
               struct why *reterr_why)
{
    if (option && !option->many && args_has(args, option->name))
        return why_set(reterr_why, -ERR_INVALID, "--%s is given twice", option->name);
    if (args->count == ARGS_GIVEN_MAX)
        return why_set(reterr_why, -ERR_INVALID, "more than %d arguments", ARGS_GIVEN_MAX);
    args->given[args->count].option = option;
    args->given[args->count++].value = value;
    return 0;
}

/* `text`: behind the dashes. *i stands on the argument and is moved over a value behind it. */
static int add_option(int argc, char *const *argv, int *i, const struct arg_option *const *tables,
                      struct str text, struct args *args, struct why *reterr_why)
{
    struct str value = text, name;
    const struct arg_option *option;

    if (!str_split(&value, '=', &name))
        name = text;
    option = find_option(tables, name);
    if (!option)
        return why_set(reterr_why, -ERR_INVALID, "there is no option --" STR_FMT, STR_ARG(name));
    if (!option->value && value.at)
        return why_set(reterr_why, -ERR_INVALID, "--%s takes no value", option->name);
    if (option->value && !value.at) {
        if (*i + 1 >= argc)
            return why_set(reterr_why, -ERR_INVALID, "--%s needs a value: --%s %s", option->name,
                           option->name, option->value);
        value = str_from(argv[++*i]);
    }
    return add(args, option, option->value ? value : STR(""), reterr_why);
}

int args_parse(int argc, char *const *argv, const struct arg_option *const *tables,
               struct args *ret, struct why *reterr_why)
{
    bool only_words = false;
    int r = 0;

    ret->count = 0;
    for (int i = 0; i < argc && r == 0; i++) {
        struct str text = str_from(argv[i]);

        if (only_words || !str_starts(text, STR("-")) || text.len == 1)
            r = add(ret, NULL, text, reterr_why);
        else if (str_eq(text, STR("--")))
            only_words = true;
        else if (str_starts(text, STR("--")))
            r = add_option(argc, argv, &i, tables, str_from(argv[i] + 2), ret, reterr_why);
        else
            r = why_set(reterr_why, -ERR_INVALID, "there is no option %s", argv[i]);
    }
    return r;
}

bool args_value(const struct args *args, const char *name, size_t i, struct str *ret)
{
    for (size_t k = 0; k < args->count; k++) {
        if (!args->given[k].option || strcmp(args->given[k].option->name, name) != 0)
            continue;
        if (i-- == 0) {
            *ret = args->given[k].value;
            return true;
        }
    }
    return false;
}

bool args_has(const struct args *args, const char *name)
{
    struct str value;

    return args_value(args, name, 0, &value);
}

struct str args_text(const struct args *args, const char *name, struct str otherwise)
{
    struct str value;

    return args_value(args, name, 0, &value) ? value : otherwise;
}

int args_number(const struct args *args, const char *name, int64_t otherwise, int64_t min,
                int64_t max, int64_t *ret, struct why *reterr_why)
{
    struct str value;

    *ret = otherwise;
    if (!args_value(args, name, 0, &value))
        return 0;
    if (!str_to_i64(value, ret) || *ret < min || *ret > max)
        return why_set(reterr_why, -ERR_INVALID, "--%s must be a number between %lld and %lld",
                       name, (long long)min, (long long)max);
    return 0;
}

struct str args_word(const struct args *args, size_t i)
{
    for (size_t k = 0; k < args->count; k++)
        if (!args->given[k].option && i-- == 0)
            return args->given[k].value;
    return STR_NONE;
}

size_t args_word_count(const struct args *args)
{
    size_t count = 0;

    for (size_t k = 0; k < args->count; k++)
        count += args->given[k].option == NULL;
    return count;
}
