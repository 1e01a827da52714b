/* args.h - a command's arguments by its table of options.
 *
 *     --name VALUE   --name=VALUE   --flag   words   --   words that begin with '-'
 *
 * Layer: pure. DEPS base.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/base.h"

#define ARGS_GIVEN_MAX 64 /* options and words of one call */

struct arg_option {
    const char *name;  /* without the dashes */
    const char *value; /* what --help calls its value; NULL: a flag */
    const char *help;
    bool many; /* may be given again */
};
#define ARG_OPTIONS_END                                                                            \
    {                                                                                              \
        NULL, NULL, NULL, false                                                                    \
    }

/* Strings are argv's: NUL-terminated. */
struct args {
    struct {
        const struct arg_option *option; /* NULL: a word */
        struct str value;
    } given[ARGS_GIVEN_MAX];
    size_t count;
};

/* `tables`: option tables, the list ended by NULL. -ERR_INVALID with a sentence for the person who typed. */
MUST_CHECK int args_parse(int argc, char *const *argv, const struct arg_option *const *tables,
                          struct args *ret, struct why *reterr_why);

/* Names must be in one of the tables. */
bool args_has(const struct args *args, const char *name);
/* The i-th value given for it. */
bool args_value(const struct args *args, const char *name, size_t i, struct str *ret);
/* Its first value, or `otherwise`. */
struct str args_text(const struct args *args, const char *name, struct str otherwise);
/* -ERR_INVALID when it is no number between min and max. */
MUST_CHECK int args_number(const struct args *args, const char *name, int64_t otherwise,
                           int64_t min, int64_t max, int64_t *ret, struct why *reterr_why);
/* The i-th word; STR_NONE behind the last. */
struct str args_word(const struct args *args, size_t i);
size_t args_word_count(const struct args *args);

#endif
