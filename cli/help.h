/* help.h - the tables of commands as a person reads them: in a terminal, or in docs/TRAILCTL.md.
 *
 * Layer: writes to standard output. DEPS base.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/cli.h"

extern const struct arg_option help_common_options[]; /* of every command */
extern const struct arg_option help_own_options[];    /* where no command is */

/* `groups` is ended by NULL. */
void help_overview(const struct command *const *groups);
void help_command(const struct command *command);
/* The commands whose first word is `word`; returns how many. */
size_t help_group(const struct command *const *groups, struct str word);
void help_markdown(const struct command *const *groups);

#endif
