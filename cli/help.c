/* help.c - what there is, printed. */
#include "cli/help.h"

#include <stdio.h>

#include "cli/output.h"

#define WIDTH 96 /* of lines */

const struct arg_option help_common_options[] = {
    {"config", "FILE",
     "the deployment's configuration; else TRAILBUS_CONFIG, or /etc/trailbus/trailbus.conf", false},
    {"profile", "NAME", "settings from ~/.config/trailbus/NAME, before the environment", false},
    {"help", NULL, "say this", false},
    ARG_OPTIONS_END,
};

const struct arg_option help_own_options[] = {
    {"version", NULL, "says which version this is", false},
    {"check-config", NULL, "checks what trailctl reads of the configuration", false},
    {"help-markdown", NULL, "prints docs/TRAILCTL.md", false},
    ARG_OPTIONS_END,
};

static const char times_help[] = "Times are 2026-11-23T08:00:00Z or 2026-11-23 (UTC), or relative: "
                                 "-90s, -30m, -2h, -7d.";
static const char settings_help[] =
    "Addresses and keys come from the environment: TRAILBUS_API (TRAILBUS_API_CN_HANGZHOU of a "
    "region), TRAILBUS_ACCESS_KEY_ID, TRAILBUS_ACCESS_KEY_SECRET (TRAILBUS_SECURITY_TOKEN "
    "with a temporary key), TRAILBUS_KAFKA, TRAILBUS_REDIS, "
    "TRAILBUS_CONFIG; or from a profile, a file of such lines in ~/.config/trailbus: `default` "
    "fills in what the environment does not say. run/trailbus.env is the local stack's.";
static const char exit_help[] = "Exit codes: 0 done, 1 failed, 2 wrongly called.";

/* "--limit N" */
static void option_text(const struct arg_option *o, char ret[64])
{
    (void)snprintf(ret, 64, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
}

static const char *again(const struct arg_option *o)
{
    return o->many ? " (may be given again)" : "";
}

static void print_options(const struct arg_option *options)
{
    for (const struct arg_option *o = options; o->name; o++) {
        char text[64];

        option_text(o, text);
        printf("  %-24s %s%s\n", text, o->help, again(o));
    }
}

static void print_paragraph(const char *text)
{
    printf("\n");
    output_wrapped(str_from(text), WIDTH);
}

void help_command(const struct command *c)
{
    printf("trailctl %s%s%s [OPTION...]\n", c->name, *c->words ? " " : "", c->words);
    print_paragraph(c->summary);
    if (*c->help)
        print_paragraph(c->help);
    printf("\n");
    print_options(c->options);
    print_options(help_common_options);
}

size_t help_group(const struct command *const *groups, struct str word)
{
    size_t count = 0;

    for (; *groups; groups++) {
        for (const struct command *c = *groups; c->name; c++) {
            struct str name = str_from(c->name), first;
            char text[64];

            if (!str_split(&name, ' ', &first) || (word.len && !str_eq(first, word)))
                continue;
            (void)snprintf(text, sizeof(text), "%s %s", c->name, c->words);
            printf("  %-24s %s\n", text, c->summary);
            count++;
        }
    }
    return count;
}

void help_overview(const struct command *const *groups)
{
    printf("trailctl COMMAND [OPTION...]\n\n");
    (void)help_group(groups, STR_NONE);
    printf("\n`trailctl COMMAND --help` says what a command takes. Options of every command:\n\n");
    print_options(help_common_options);
    printf("\nand without a command:\n\n");
    print_options(help_own_options);
    print_paragraph(times_help);
    print_paragraph(settings_help);
    print_paragraph(exit_help);
}

/* ---- Markdown ---------------------------------------------------------------------------------- */

/* A '|' would end a table's cell; outside of `code` a '<' would begin a tag. */
static void print_escaped(const char *text, bool code)
{
    for (; *text; text++) {
        if (*text == '<' && !code)
            printf("&lt;");
        else
            printf("%s%c", *text == '|' ? "\\" : "", *text);
    }
}

static void print_options_table(const struct arg_option *options)
{
    if (options->name)
        printf("\n| option | |\n| --- | --- |\n");
    for (const struct arg_option *o = options; o->name; o++) {
        char text[64];

        option_text(o, text);
        printf("| `");
        print_escaped(text, true);
        printf("` | ");
        print_escaped(o->help, false);
        printf("%s |\n", again(o));
    }
}

void help_markdown(const struct command *const *groups)
{
    printf("%s\n\n%s\n\n%s Options of every command:\n", settings_help, times_help, exit_help);
    print_options_table(help_common_options);
    for (; *groups; groups++) {
        for (const struct command *c = *groups; c->name; c++) {
            printf("\n## trailctl %s%s%s\n\n%c", c->name, *c->words ? " " : "", c->words,
                   c->summary[0] - 'a' + 'A');
            print_escaped(c->summary + 1, false);
            printf(".%s", *c->help ? " " : "");
            print_escaped(c->help, false);
            printf("\n");
            print_options_table(c->options);
        }
    }
}
