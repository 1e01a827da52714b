/* cli.c - what all commands use. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

int cli_misused(struct cli *cli, struct why *reterr_why, const char *format, ...)
{
    struct why why;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why.text, sizeof(why.text), format, args);
    va_end(args);
    cli->misused = true;
    return why_set(reterr_why, -ERR_INVALID, "%s", why.text);
}

int64_t cli_now_s(void)
{
    return (int64_t)time(NULL);
}
