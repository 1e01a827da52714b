/* trailctl: what people and scripts ask a deployment of Trailbus for.
 *
 * Finds the command, parses its arguments by its table, runs it, says why it failed. What there is is in
 * the tables of the groups; `trailctl --help` prints them.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/deployment.h"
#include "cli/help.h"
#include "log/log.h"

static const struct command *const groups[] = {
    status_commands,      reconcile_commands, emit_commands,     lookup_commands,
    trail_commands,       topics_commands,    account_commands,  key_commands,
    user_commands,        policy_commands,    rejected_commands, retry_commands,
    destination_commands, history_commands,   state_commands,    NULL,
};

enum { EXIT_DONE, EXIT_FAILED, EXIT_MISUSED };

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
    for (size_t i = 0; i < ARRAY_LEN(groups) - 1; i++) {
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
    const struct arg_option *const tables[] = {command->options, help_common_options, NULL};
    struct why why = {0};
    int r;

    cli.command = command;
    r = args_parse(argc, argv, tables, &cli.args, &why);
    if (r < 0) {
        cli.misused = true;
    } else if (args_has(&cli.args, "help")) {
        help_command(command);
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

/* ---- without a command ------------------------------------------------------------------------- */

static int check_config(struct cli *cli, struct why *reterr_why)
{
    AUTO_DEPLOYMENT struct deployment deployment = {0};
    int r = settings_open(args_text(&cli->args, "profile", STR("")), &cli->settings, reterr_why);

    if (r == 0)
        r = deployment_open(cli, &deployment, reterr_why);
    settings_done(&cli->settings);
    if (r == 0)
        printf("the sections that trailctl reads (bus, state, topology, security) are right\n");
    return r;
}

/* The word is no command: perhaps it begins some. */
static int print_group(struct str word, bool wanted)
{
    if (help_group(groups, word))
        return wanted ? EXIT_DONE : EXIT_MISUSED;
    (void)fprintf(stderr, "trailctl: there is no command " STR_FMT "\n", STR_ARG(word));
    return EXIT_MISUSED;
}

static int call_nothing(int argc, char *const *argv)
{
    static const struct arg_option *const tables[] = {help_own_options, help_common_options, NULL};
    static struct cli cli;
    struct why why = {0};
    struct str first = argc ? str_from(argv[0]) : STR("help");
    int r;

    if (first.len && first.at[0] != '-' && !str_eq(first, STR("help")))
        return print_group(first, argc > 1 && strcmp(argv[1], "--help") == 0);
    r = args_parse(argc, argv, tables, &cli.args, &why);
    if (r == 0 && args_has(&cli.args, "version"))
        printf("trailctl %s\n", TRAILBUS_VERSION);
    else if (r == 0 && args_has(&cli.args, "check-config"))
        r = check_config(&cli, &why);
    else if (r == 0 && args_has(&cli.args, "help-markdown"))
        help_markdown(groups);
    else if (r == 0)
        help_overview(groups);
    if (r == 0)
        return argc ? EXIT_DONE : EXIT_MISUSED;
    (void)fprintf(stderr, "trailctl: %s; `trailctl --help` says what there is\n", why.text);
    return EXIT_MISUSED;
}

/* How many of the first arguments are options of every command: those may stand before it, too. */
static int leading_options(int argc, char *const *argv)
{
    int count = 0;

    while (count < argc && str_starts(str_from(argv[count]), STR("--"))) {
        struct str value = str_from(argv[count] + 2), name;
        const struct arg_option *o = help_common_options;

        if (!str_split(&value, '=', &name))
            break;
        while (o->name && !str_eq(name, str_from(o->name)))
            o++;
        if (!o->name)
            break;
        count += o->value && !value.at ? 2 : 1;
    }
    return MIN_OF(count, argc);
}

int main(int argc, char **argv)
{
    AUTO_FREE char **rest =
        calloc((size_t)argc + 1, sizeof(*rest)); /* without the command's name */
    const struct command *command;
    int leading, words = 0, behind;

    if (!rest)
        return EXIT_FAILED;
    log_context("trailctl", NULL, NULL);
    log_level_set(LOG_ERROR); /* what goes wrong is said once, by the command */
    argc--, argv++;
    leading = leading_options(argc, argv);
    command = find_command(argc - leading, argv + leading, &words);
    if (!command)
        return call_nothing(argc, argv);
    behind = argc - leading - words;
    for (int i = 0; i < leading; i++)
        rest[i] = argv[i];
    for (int i = 0; i < behind; i++)
        rest[leading + i] = argv[leading + words + i];
    return call_command(command, leading + behind, rest);
}
