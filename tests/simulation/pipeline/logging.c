/* logging.c - log.h into the trace of the run. */
#include "log/log.h"

#include <stdio.h>

#include "sim.h"

static void line(const char *level, const char *format, va_list args) PRINTF_LIKE(2, 0);
static void line(const char *level, const char *format, va_list args)
{
    char text[512];

    if (!sim->run->tracing)
        return;
    (void)vsnprintf(text, sizeof(text), format, args);
    trace("  log, %s: %s", level, text);
}

#define LINE(name)                                                                                 \
    void log_##name(const char *format, ...)                                                       \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        line(#name, format, args);                                                                 \
        va_end(args);                                                                              \
    }
LINE(debug)
LINE(info)
LINE(warning)

int log_error(int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    line(err_name(r), format, args);
    va_end(args);
    return r;
}

bool log_allowed(struct log_limit *limit, int64_t at_ms, int64_t interval_ms,
                 uint64_t *ret_suppressed)
{
    (void)limit, (void)at_ms, (void)interval_ms;
    *ret_suppressed = 0;
    return true;
}
