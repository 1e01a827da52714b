/* daemon.h - what every program's main has in common: arguments, settings, signals, systemd, clocks.
 *
 *     int main(int argc, char **argv)
 *     {
 *         static struct normalizer_config config;
 *         return daemon_main(argc, argv, &(struct daemon_program){ .name = …, .run = run, … });
 *     }
 *
 * Exit codes: 0 after SIGTERM or SIGINT, 1 when something fatal happened, 2 when arguments or
 * configuration are wrong.
 *
 * Layer: I/O. DEPS base, log, config. The only door to libsystemd.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "base/base.h"
#include "config/config.h"

#define DAEMON_BACKOFF_FIRST_MS 100
#define DAEMON_BACKOFF_MAX_MS   5000

struct daemon;

struct daemon_program {
    const char *name;    /* trailbus-normalizer */
    const char *worker;  /* normalizer: in log lines, group names, Redis keys */
    const char *summary; /* one line for --help */
    bool regional;       /* takes --region REGION[.N]; else serves all regions */
    const struct config_section *sections;
    void *config; /* zeroed; filled before run() */
    /* 0 after draining; an error ends the program with exit code 1, or 2 for -ERR_CONFIG. */
    int (*run)(struct daemon *daemon, void *config);
    /* May be NULL: what the tables cannot say, for --check-config and before run(). */
    int (*check)(void *config, struct str region, struct why *reterr_why);
};

int daemon_main(int argc, char **argv, const struct daemon_program *program);

struct str daemon_region(const struct daemon *daemon);   /* empty for programs of all regions */
struct str daemon_instance(const struct daemon *daemon); /* "1" by default; NAME, N or NAME-N */

/* False once SIGTERM or SIGINT came: stop taking in, finish what is begun. Also beats the watchdog. */
bool daemon_running(struct daemon *daemon);
/* Readable once a signal came; for poll(2). */
int daemon_stop_fd(const struct daemon *daemon);
/* Serving now: tells systemd, once. */
void daemon_ready(struct daemon *daemon);
void daemon_status(struct daemon *daemon, const char *format, ...) PRINTF_LIKE(2, 3);

/* For the bottom of a loop: 0 passes (and forgets earlier failures); a retry-class error is logged (now
 * and then) and waited out with growing, jittered pauses, then 0; any other is returned. */
int daemon_backoff(struct daemon *daemon, int r, const struct why *why);

int64_t daemon_now_ms(void);       /* wall clock, ms since 1970 */
int64_t daemon_monotonic_ms(void); /* for durations */

#endif
