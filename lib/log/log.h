/* log.h - one line of logfmt to standard error an event that an operator cares about.
 *
 *     level=error worker=normalizer region=cn-hangzhou instance=1 err=unavailable msg="cannot …"
 *
 * journald stamps the time. Nothing a record above debug; no customer data, only ids. Libraries
 * return errors, shells log them: once, by the function that stops passing them up.
 *
 * The context and the level are the process's, set once at start (the one global of ours).
 *
 * Layer: I/O that everybody may use. DEPS base.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/base.h"

enum log_level {
    LOG_ERROR,
    LOG_WARNING,
    LOG_INFO,
    LOG_DEBUG,
};

#define LOG_LINE_SIZE_MAX 2048 /* longer ones are cut */

/* `worker`, `region`, `instance` are put into every line; NULL or "" leaves one out. Copied. */
void log_context(const char *worker, const char *region, const char *instance);
void log_level_set(enum log_level level);
bool log_level_parse(struct str name, enum log_level *ret);

void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2);
/* Says what we were doing and why it failed; returns r, so that `return log_error(r, …)` reads. */
int log_error(int r, const char *format, ...) PRINTF_LIKE(2, 3);

/* For lines that would repeat with every record: true for the first and then once an interval;
 * *ret_suppressed is how many were not said since. Zero-initialise. */
struct log_limit {
    int64_t next_ms;
    uint64_t suppressed;
};
bool log_allowed(struct log_limit *limit, int64_t now_ms, int64_t interval_ms,
                 uint64_t *ret_suppressed);

/* Appends `text` as a logfmt value, quoted where it has to be; for any bytes. */
void log_quote(struct buf *out, struct str text);

#endif
