/* cli.h - a command of trailctl: how it is described, and what it is given.
 *
 * Each group of commands is a file with a table; main.c finds the command, parses its arguments, runs it.
 * A command prints its result to standard output, and says why it failed by `reterr_why`; main.c prints
 * that. Exit codes: 0 done, 1 failed, 2 wrongly called.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/base.h"
#include "cli/args.h"
#include "cli/settings.h"

struct cli {
    const struct command *command;
    struct args args;
    struct settings settings;
    bool misused; /* set by cli_misused() */
};

struct command {
    const char *name;  /* "trail create" */
    const char *words; /* as --help shows them: "NAME"; "" for none */
    size_t words_min, words_max;
    const char *summary; /* one line */
    const char *help;    /* what else there is to know; it is wrapped where it is printed */
    const struct arg_option *options;
    int (*run)(struct cli *cli, struct why *reterr_why);
};
#define COMMANDS_END                                                                               \
    {                                                                                              \
        NULL, NULL, 0, 0, NULL, NULL, NULL, NULL                                                   \
    }

extern const struct command status_commands[], emit_commands[], lookup_commands[], trail_commands[],
    topics_commands[], account_commands[], key_commands[], user_commands[], policy_commands[],
    rejected_commands[], retry_commands[], destination_commands[], reconcile_commands[],
    history_commands[], state_commands[];

/* Notes what is wrong with the arguments, for exit code 2. Returns -ERR_INVALID. */
int cli_misused(struct cli *cli, struct why *reterr_why, const char *format, ...) PRINTF_LIKE(3, 4);

int64_t cli_now_s(void); /* wall clock */

#endif
