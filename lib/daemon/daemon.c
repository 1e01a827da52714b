/* daemon.c - arguments in, exit code out, and the two signals in between. */
#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"

#define STATUS_SIZE_MAX  256
#define REGION_LEN_MAX   40
#define INSTANCE_LEN_MAX 60 /* with a group's name it still fits what the bus makes of both */

struct daemon {
    const struct daemon_program *program;
    const char *region, *instance;
    int stop_fd;
    bool stopping, ready;
    uint64_t watchdog_us;
    int64_t watchdog_next_ms;
    int64_t backoff_ms;
    unsigned jitter; /* state of a small generator: spreads retries, decides nothing */
    struct log_limit backoff_said;
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;

    CHECK(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t daemon_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t daemon_monotonic_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

struct str daemon_region(const struct daemon *daemon)
{
    return str_from(daemon->region);
}

struct str daemon_instance(const struct daemon *daemon)
{
    return str_from(daemon->instance);
}

int daemon_stop_fd(const struct daemon *daemon)
{
    return daemon->stop_fd;
}

static void notice_signals(struct daemon *daemon)
{
    struct pollfd fd = {.fd = daemon->stop_fd, .events = POLLIN};

    if (daemon->stopping || poll(&fd, 1, 0) <= 0)
        return;
    daemon->stopping = true;
    log_info("draining");
    (void)sd_notify(0, "STOPPING=1");
}

bool daemon_running(struct daemon *daemon)
{
    notice_signals(daemon);
    if (daemon->watchdog_us && daemon_monotonic_ms() >= daemon->watchdog_next_ms) {
        (void)sd_notify(0, "WATCHDOG=1");
        daemon->watchdog_next_ms =
            daemon_monotonic_ms() + (int64_t)(daemon->watchdog_us / 1000 / 3);
    }
    return !daemon->stopping;
}

void daemon_ready(struct daemon *daemon)
{
    if (daemon->ready)
        return;
    daemon->ready = true;
    log_info("ready");
    (void)sd_notify(0, "READY=1");
}

void daemon_status(struct daemon *daemon, const char *format, ...)
{
    char text[STATUS_SIZE_MAX];
    va_list args;

    (void)daemon;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)sd_notifyf(0, "STATUS=%s", text);
}

int daemon_backoff(struct daemon *daemon, int r, const struct why *why)
{
    struct pollfd fd = {.fd = daemon->stop_fd, .events = POLLIN};
    uint64_t suppressed;

    if (r == 0)
        daemon->backoff_ms = 0;
    if (r == 0 || err_class(r) != ERR_CLASS_RETRY)
        return r;
    if (log_allowed(&daemon->backoff_said, daemon_monotonic_ms(), 10000, &suppressed))
        log_warning("%s: %s; waiting and trying again", err_name(r),
                    why && why->text[0] ? why->text : "the other side is away");
    daemon->backoff_ms = daemon->backoff_ms
                             ? MIN_OF(daemon->backoff_ms * 2, (int64_t)DAEMON_BACKOFF_MAX_MS)
                             : DAEMON_BACKOFF_FIRST_MS;
    daemon->jitter = daemon->jitter * 1103515245U + 12345U;
    (void)poll(&fd, 1,
               (int)(daemon->backoff_ms / 2 +
                     (int64_t)(daemon->jitter >> 16) % (daemon->backoff_ms / 2 + 1)));
    return 0;
}

/* ---- arguments --------------------------------------------------------------------------------- */

struct arguments {
    const char *config, *region, *instance;
    const char *suffix; /* of the region: what is behind its dot */
    char joined[2 * INSTANCE_LEN_MAX];
    bool check, done;
};

static void print_help(const struct daemon_program *p)
{
    printf(
        "%s - %s\n\n"
        "  --config FILE     settings, see --help-config (default: /etc/trailbus/trailbus.conf)\n"
        "%s"
        "  --instance NAME   stable name of this process among all of its kind (default: 1)\n"
        "  --check-config    read the settings, say what is wrong with them, and end\n"
        "  --help-config     list the settings\n"
        "  --log-level L     error, warning, info (default) or debug\n"
        "  --version         print the version\n"
        "  --help            this\n\n"
        "Exit code: 0 after SIGTERM, with nothing in flight lost; 1 after a fatal error; 2 when "
        "arguments\n"
        "or settings are wrong.\n",
        p->name, p->summary,
        p->regional
            ? "  --region R[.N]    the region to serve, required, as cn-hangzhou; with .N, as "
              "cn-hangzhou.2,\n"
              "                    N is the instance's name, or goes behind the one given: NAME-N\n"
            : "");
}

static void print_config(const struct daemon_program *p, bool markdown)
{
    AUTO_BUF struct buf text = {0};

    buf_init(&text, 1 << 20);
    config_describe(p->sections, markdown, &text);
    printf("%s", buf_cstr(&text));
}

static int usage(const struct daemon_program *p, const char *problem)
{
    fprintf(stderr, "%s: %s; see %s --help\n", p->name, problem, p->name);
    return -ERR_CONFIG;
}

/* cn-hangzhou.2: what a unit's instance looks like, and a process of the local stack. */
static void split_region(char *text, struct arguments *args)
{
    char *dot = strchr(text, '.');

    args->region = text;
    args->suffix = dot ? dot + 1 : NULL;
    if (dot)
        *dot = '\0';
}

static int parse_arguments(int argc, char **argv, const struct daemon_program *p,
                           struct arguments *args)
{
    enum { CONFIG, REGION, INSTANCE, CHECK_CONFIG, HELP_CONFIG, MARKDOWN, LEVEL, VERSION, HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, CONFIG},
        {"region", required_argument, NULL, REGION},
        {"instance", required_argument, NULL, INSTANCE},
        {"check-config", no_argument, NULL, CHECK_CONFIG},
        {"help-config", no_argument, NULL, HELP_CONFIG},
        {"help-config-markdown", no_argument, NULL, MARKDOWN},
        {"log-level", required_argument, NULL, LEVEL},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    enum log_level level;
    int option;

    *args = (struct arguments){.config = "/etc/trailbus/trailbus.conf"};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case CONFIG:
            args->config = optarg;
            break;
        case REGION:
            split_region(optarg, args);
            break;
        case INSTANCE:
            args->instance = optarg;
            break;
        case CHECK_CONFIG:
            args->check = true;
            break;
        case HELP_CONFIG:
        case MARKDOWN:
            print_config(p, option == MARKDOWN);
            args->done = true;
            return 0;
        case LEVEL:
            if (!log_level_parse(str_from(optarg), &level))
                return usage(p, "--log-level takes error, warning, info or debug");
            log_level_set(level);
            break;
        case VERSION:
            printf("%s %s\n", p->name, TRAILBUS_VERSION);
            args->done = true;
            return 0;
        case HELP:
            print_help(p);
            args->done = true;
            return 0;
        default:
            return -ERR_CONFIG; /* getopt said it */
        }
    }
    return optind < argc ? usage(p, "takes no arguments besides options") : 0;
}

static bool name_valid(const char *name, size_t size_max)
{
    size_t len = strlen(name);

    return len > 0 && len <= size_max &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

static void name_instance(struct arguments *args)
{
    if (args->instance && args->suffix) {
        (void)snprintf(args->joined, sizeof(args->joined), "%s-%s", args->instance, args->suffix);
        args->instance = args->joined;
    } else if (!args->instance) {
        args->instance = args->suffix ? args->suffix : "1";
    }
}

static int check_arguments(const struct daemon_program *p, struct arguments *args)
{
    if (p->regional && !args->region)
        return usage(p, "--region is required");
    if (!p->regional && args->region)
        return usage(p, "serves all regions and takes no --region");
    if (args->region && !name_valid(args->region, REGION_LEN_MAX))
        return usage(p, "--region takes a region id, as cn-hangzhou or cn-hangzhou.2");
    if (args->suffix && !name_valid(args->suffix, INSTANCE_LEN_MAX))
        return usage(p, "--region takes letters, digits, - and _ behind the dot, as cn-hangzhou.2");
    name_instance(args);
    if (!name_valid(args->instance, INSTANCE_LEN_MAX))
        return usage(
            p, "--instance takes letters, digits, - and _; 60 at most, with what --region adds");
    return 0;
}

static int open_stop_fd(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0); /* before any thread exists */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Kafka's client fetches into megabytes of memory and frees them as often. Given back to the system each time, the pages
 * that came anew were an eighth of the normalizer's CPU (scripts/bench normalizer): keep them. */
static void keep_freed_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the largest that malloc takes */
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

static int run_program(const struct daemon_program *p, const struct arguments *args)
{
    struct daemon daemon = {.program = p,
                            .region = args->region ? args->region : "",
                            .instance = args->instance,
                            .jitter = (unsigned)getpid()};
    AUTO(config_free) struct config *config = NULL;
    struct why why = {0};
    int r;

    r = config_load(args->config, p->sections, p->config, &config, &why);
    if (r == 0 && p->check)
        r = p->check(p->config, str_from(daemon.region), &why);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", p->name, why.text);
        return r;
    }
    if (args->check) {
        printf("%s: the settings in %s are good\n", p->name, args->config);
        return 0;
    }
    keep_freed_memory();
    daemon.stop_fd = open_stop_fd();
    if (daemon.stop_fd < 0)
        return log_error(-ERR_IO, "cannot watch signals: %m");
    if (sd_watchdog_enabled(0, &daemon.watchdog_us) <= 0)
        daemon.watchdog_us = 0;
    r = p->run(&daemon, p->config);
    (void)close(daemon.stop_fd);
    if (r == 0)
        log_info("ended");
    return r;
}

int daemon_main(int argc, char **argv, const struct daemon_program *p)
{
    struct arguments args;
    int r = parse_arguments(argc, argv, p, &args);

    if (r == 0 && args.done)
        return 0;
    if (r == 0)
        r = check_arguments(p, &args);
    if (r == 0) {
        log_context(p->worker, args.region, args.instance);
        r = run_program(p, &args);
    }
    return r == 0 ? 0 : r == -ERR_CONFIG ? 2 : 1;
}
