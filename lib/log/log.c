/* log.c - logfmt lines, one write(2) each, so that processes sharing a file do not mix theirs. */
#include "log/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    char context[256];
    enum log_level level;
} log_state = {.level = LOG_INFO};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static bool needs_quotes(struct str text)
{
    if (text.len == 0)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F)
            return true;
    }
    return false;
}

void log_quote(struct buf *out, struct str text)
{
    if (!needs_quotes(text)) {
        buf_add_str(out, text);
        return;
    }
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c == '\n')
            buf_add_str(out, STR("\\n"));
        else if (c < ' ' || c == 0x7F)
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_byte(out, (char)c);
    }
    buf_add_byte(out, '"');
}

static void add_context(const char *key, const char *value)
{
    size_t len = strlen(log_state.context);

    if (value && *value)
        (void)snprintf(log_state.context + len, sizeof(log_state.context) - len, " %s=%.60s", key,
                       value);
}

void log_context(const char *worker, const char *region, const char *instance)
{
    log_state.context[0] = '\0';
    add_context("worker", worker);
    add_context("region", region);
    add_context("instance", instance);
}

void log_level_set(enum log_level level)
{
    log_state.level = level;
}

bool log_level_parse(struct str name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_eq(name, str_from(level_names[i]))) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static PRINTF_LIKE(3, 0) void log_line(enum log_level level, int r, const char *format,
                                       va_list args)
{
    char text[LOG_LINE_SIZE_MAX];
    AUTO_BUF struct buf line = {0};
    int len;

    if (level > log_state.level)
        return;
    len = vsnprintf(text, sizeof(text), format, args);
    if (len < 0)
        return;
    buf_init(&line, (size_t)LOG_LINE_SIZE_MAX * 5);
    buf_addf(&line, "level=%s%s", level_names[level], log_state.context);
    if (r < 0)
        buf_addf(&line, " err=%s", err_name(r));
    buf_add_str(&line, STR(" msg="));
    log_quote(&line, str_of(text, MIN_OF((size_t)len, sizeof(text) - 1)));
    buf_add_byte(&line, '\n');
    if (buf_error(&line) == 0)
        (void)!write(STDERR_FILENO, line.at, line.len);
}

#define LOG_LINE(level, r)                                                                         \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        log_line(level, r, format, args);                                                          \
        va_end(args);                                                                              \
    } while (0)

void log_debug(const char *format, ...)
{
    LOG_LINE(LOG_DEBUG, 0);
}

void log_info(const char *format, ...)
{
    LOG_LINE(LOG_INFO, 0);
}

void log_warning(const char *format, ...)
{
    LOG_LINE(LOG_WARNING, 0);
}

int log_error(int r, const char *format, ...)
{
    LOG_LINE(LOG_ERROR, r);
    return r;
}

bool log_allowed(struct log_limit *limit, int64_t now_ms, int64_t interval_ms,
                 uint64_t *ret_suppressed)
{
    if (now_ms < limit->next_ms) {
        limit->suppressed++;
        return false;
    }
    *ret_suppressed = limit->suppressed;
    *limit = (struct log_limit){.next_ms = now_ms + interval_ms};
    return true;
}
