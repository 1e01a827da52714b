/* trailctl: what people and scripts ask a deployment of Trailbus for.
 *
 * Finds the command, parses its arguments by its table, runs it, says why it failed. What there is is in
 * the tables of the groups; `trailctl --help` prints them.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "log/log.h"

static const struct command *const groups[] = {
    status_commands, emit_commands,    lookup_commands,   trail_commands,
    topics_commands, account_commands, rejected_commands,
};

/* Of every command. */
static const struct arg_option common_options[] = {
    {"config", "FILE", "the deployment's configuration; else TRAILBUS_CONFIG", false},
    {"profile", "NAME", "settings from ~/.config/trailbus/NAME, before the environment", false},
    {"help", NULL, "say this", false},
    ARG_OPTIONS_END,
};

enum { EXIT_DONE, EXIT_FAILED, EXIT_MISUSED };

/* ---- help -------------------------------------------------------------------------------------- */

static void print_options(const struct arg_option *options)
{
    for (; options->name; options++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "--%s%s%s%s", options->name, options->value ? " " : "",
                       options->value ? options->value : "", options->many ? " ..." : "");
        printf("  %-24s %s\n", text, options->help);
    }
}

static void print_command(const struct command *c)
{
    printf("trailctl %s%s%s [OPTION...]\n\n%s\n%s\n", c->name, *c->words ? " " : "", c->words,
           c->summary, c->help);
    print_options(c->options);
    print_options(common_options);
}

/* All commands, or those of a group whose first word is `word`. Returns how many. */
static size_t print_commands(struct str word)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        for (const struct command *c = groups[i]; c->name; c++) {
            struct str name = str_from(c->name), first;
            char text[64];

            if (!str_split(&name, ' ', &first) || (word.len && !str_eq(first, word)))
                continue;
            (void)snprintf(text, sizeof(text), "%s %s", c->name, c->words);
            printf("  %-28s %s\n", text, c->summary);
            count++;
        }
    }
    return count;
}

static void print_overview(void)
{
    printf("trailctl COMMAND [OPTION...]\n\n");
    (void)print_commands(STR_NONE);
    printf("\n`trailctl COMMAND --help` says what a command takes. Options of every command:\n\n");
    print_options(common_options);
    printf(
        "\nTimes are 2026-11-23T08:00:00Z or 2026-11-23 (UTC), or relative: -90s, -30m, -2h, -7d.\n"
        "Addresses and keys come from the environment (TRAILBUS_API, TRAILBUS_ACCESS_KEY_ID,\n"
        "TRAILBUS_ACCESS_KEY_SECRET, TRAILBUS_KAFKA, TRAILBUS_REDIS; `set -a; . run/trailbus.env` "
        "for the\n"
        "local stack) or a profile. Exit codes: 0 done, 1 failed, 2 wrongly called.\n");
}

/* ---- running ----------------------------------------------------------------------------------- */

/* How many arguments spell the command's name; 0: they do not. */
static int match_name(const struct command *c, int argc, char *const *argv)
{
    struct str rest = str_from(c->name), word;
    int words = 0;

    while (str_split(&rest, ' ', &word)) {
        if (words == argc || !str_eq(word, str_from(argv[words])))
            return 0;
        words++;
    }
    return words;
}

static const struct command *find_command(int argc, char *const *argv, int *ret_words)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        for (const struct command *c = groups[i]; c->name; c++) {
            *ret_words = match_name(c, argc, argv);
            if (*ret_words)
                return c;
        }
    }
    return NULL;
}

static int run_command(struct cli *cli, struct why *reterr_why)
{
    size_t words = args_word_count(&cli->args);
    int r;

    if (words < cli->command->words_min || words > cli->command->words_max)
        return cli_misused(cli, reterr_why, "%s %s",
                           words < cli->command->words_min ? "it needs" : "it takes only",
                           *cli->command->words ? cli->command->words : "options");
    r = settings_open(args_text(&cli->args, "profile", STR("")), &cli->settings, reterr_why);
    if (r == 0)
        r = cli->command->run(cli, reterr_why);
    settings_done(&cli->settings);
    if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        return why_set(reterr_why, -ERR_IO, "cannot write to standard output: %m");
    return r;
}

static int call_command(const struct command *command, int argc, char *const *argv)
{
    static struct cli cli;
    const struct arg_option *const tables[] = {command->options, common_options, NULL};
    struct why why = {0};
    int r;

    cli.command = command;
    r = args_parse(argc, argv, tables, &cli.args, &why);
    if (r < 0) {
        cli.misused = true;
    } else if (args_has(&cli.args, "help")) {
        print_command(command);
        return EXIT_DONE;
    } else {
        r = run_command(&cli, &why);
    }
    if (r == 0)
        return EXIT_DONE;
    (void)fflush(stdout);
    (void)fprintf(stderr, "trailctl %s: %s\n", command->name, why.text[0] ? why.text : err_name(r));
    if (!cli.misused)
        return EXIT_FAILED;
    (void)fprintf(stderr, "`trailctl %s --help` says what it takes\n", command->name);
    return EXIT_MISUSED;
}

/* No command: help was asked for, or is needed. */
static int call_nothing(int argc, char *const *argv)
{
    struct str first = argc ? str_from(argv[0]) : STR(""),
               second = argc > 1 ? str_from(argv[1]) : STR("");

    if (str_eq(first, STR("--version"))) {
        printf("trailctl %s\n", TRAILBUS_VERSION);
        return EXIT_DONE;
    }
    if (str_eq(first, STR("--help")) || str_eq(first, STR("-h")) || str_eq(first, STR("help"))) {
        print_overview();
        return EXIT_DONE;
    }
    if (first.len && first.at[0] != '-' && print_commands(first))
        return str_eq(second, STR("--help")) ? EXIT_DONE : EXIT_MISUSED;
    (void)fprintf(stderr, "trailctl%s" STR_FMT ": `trailctl --help` lists the commands\n",
                  first.len ? ": there is no command " : "", STR_ARG(first));
    return EXIT_MISUSED;
}

int main(int argc, char **argv)
{
    const struct command *command;
    int words = 0;

    log_context("trailctl", NULL, NULL);
    log_level_set(LOG_ERROR); /* what goes wrong is said once, by the command */
    command = find_command(argc - 1, argv + 1, &words);
    if (!command)
        return call_nothing(argc - 1, argv + 1);
    return call_command(command, argc - 1 - words, argv + 1 + words);
}
