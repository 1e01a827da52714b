/* err.c - names and classes of errors, and the crash of a broken invariant. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum err_class class;
} errors[] = {
    [0] = {"none", ERR_CLASS_NONE},
    [ERR_UNAVAILABLE] = {"unavailable", ERR_CLASS_RETRY},
    [ERR_TIMEOUT] = {"timeout", ERR_CLASS_RETRY},
    [ERR_ABORTED] = {"aborted", ERR_CLASS_RETRY},
    [ERR_FENCED] = {"fenced", ERR_CLASS_RETRY},
    [ERR_INVALID] = {"invalid", ERR_CLASS_POISON},
    [ERR_LIMIT] = {"limit", ERR_CLASS_POISON},
    [ERR_CONFLICT] = {"conflict", ERR_CLASS_POISON},
    [ERR_NOT_FOUND] = {"not_found", ERR_CLASS_POISON},
    [ERR_EXISTS] = {"exists", ERR_CLASS_POISON},
    [ERR_DENIED] = {"denied", ERR_CLASS_POISON},
    [ERR_NOMEM] = {"nomem", ERR_CLASS_FATAL},
    [ERR_CONFIG] = {"config", ERR_CLASS_FATAL},
    [ERR_IO] = {"io", ERR_CLASS_FATAL},
    [ERR_RANGE] = {"range", ERR_CLASS_FATAL},
    [ERR_BUG] = {"bug", ERR_CLASS_FATAL},
};

enum err_class err_class(int r)
{
    if (r >= 0)
        return ERR_CLASS_NONE;
    return (size_t)-r < ARRAY_LEN(errors) ? errors[-r].class : ERR_CLASS_FATAL;
}

const char *err_name(int r)
{
    if (r >= 0)
        return errors[0].name;
    return (size_t)-r < ARRAY_LEN(errors) ? errors[-r].name : "unknown";
}

int why_set(struct why *why, int r, const char *format, ...)
{
    va_list args;

    if (!why)
        return r;
    va_start(args, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return r;
}

void check_failed(const char *cond, const char *file, int line, const char *func)
{
    char text[512];
    int len = snprintf(text, sizeof(text),
                       "level=fatal msg=\"broken invariant\" check=\"%s\" at=%s:%d func=%s\n", cond,
                       file, line, func);

    if (len > 0)
        (void)!write(STDERR_FILENO, text, MIN_OF((size_t)len, sizeof(text) - 1));
    abort();
}
