/* emit.c - `trailctl emit`: events from a file or a pipe, through the producer library.
 *
 * One event is held here, and as many as the library takes; when it is full, reading waits. What became of
 * each is counted, and named by its line when it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <trailbus/producer.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/split.h"

#define READ_SIZE    65536
#define POLL_MS      100
#define SAY_MS       3000
#define TRY_MS       60000 /* while Kafka is away */
#define FAILURES_MAX 20    /* named; the others are counted */

struct emit {
    struct trailbus_producer *producer;
    struct split split;
    uint64_t events, acknowledged, failed;
    bool said; /* that we wait */
};

static volatile sig_atomic_t stopped; /* stop reading, wait for what is under way */

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static void fail(struct emit *e, int64_t line, const char *id, const char *problem)
{
    if (e->failed++ < FAILURES_MAX)
        (void)fprintf(stderr, "line %lld%s%s: %s\n", (long long)line, *id ? ", event " : "", id,
                      problem);
}

static void on_delivery(void *context, void *opaque, const struct trailbus_delivery *delivery)
{
    struct emit *e = context;

    if (delivery->result == TRAILBUS_OK)
        e->acknowledged++;
    else
        fail(e, (int64_t)(intptr_t)opaque, delivery->event_id, delivery->error);
}

/* Once: somebody sits in front of it and wonders. */
static void say_waiting(struct emit *e)
{
    if (!e->said && e->acknowledged == 0)
        (void)fprintf(stderr, "Kafka has not acknowledged anything yet; trying for %d s\n",
                      TRY_MS / 1000);
    e->said = true;
}

static void publish(struct emit *e, const struct split_piece *piece)
{
    void *line = (void *)(intptr_t)piece->line;
    char error[TRAILBUS_ERROR_SIZE];
    enum trailbus_result result;

    while ((result = trailbus_producer_publish(e->producer, piece->text.at, piece->text.len, line,
                                               error, sizeof(error))) == TRAILBUS_FULL)
        if (trailbus_producer_poll(e->producer, SAY_MS) == 0)
            say_waiting(e);
    if (result != TRAILBUS_OK)
        fail(e, piece->line, "", error);
    (void)trailbus_producer_poll(e->producer, 0);
}

static void take_bytes(struct emit *e, struct str bytes)
{
    struct split_piece piece;
    enum split_result result;

    while ((result = split_next(&e->split, &bytes, &piece)) != SPLIT_MORE) {
        e->events++;
        if (result == SPLIT_EVENT)
            publish(e, &piece);
        else
            fail(e, piece.line, "", piece.problem);
    }
}

/* Bytes as they come; outcomes are served meanwhile. */
static int read_all(struct emit *e, int fd, struct why *reterr_why)
{
    char bytes[READ_SIZE];
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    struct split_piece piece;

    while (!stopped) {
        ssize_t len;
        int ready = poll(&readable, 1, POLL_MS);

        (void)trailbus_producer_poll(e->producer, 0);
        if (ready <= 0)
            continue;
        len = read(fd, bytes, sizeof(bytes));
        if (len == 0)
            break;
        if (len < 0 && errno != EINTR && errno != EAGAIN)
            return why_set(reterr_why, -ERR_IO, "cannot read the events: %m");
        take_bytes(e, str_of(bytes, len > 0 ? (size_t)len : 0));
    }
    if (split_end(&e->split, &piece) == SPLIT_BAD) {
        e->events++;
        fail(e, piece.line, "", piece.problem);
    }
    return 0;
}

static int open_producer(struct cli *cli, struct emit *e, struct why *reterr_why)
{
    struct str regions = settings_get(&cli->settings, "TRAILBUS_REGIONS"), region = STR(""),
               brokers;
    AUTO_FREE char *region_text = NULL, *brokers_text = NULL;
    struct trailbus_options options = {
        .size = sizeof(options), .client = "trailctl", .on_delivery = on_delivery, .context = e};
    char error[TRAILBUS_ERROR_SIZE];
    int r = settings_need(&cli->settings, "TRAILBUS_KAFKA", &brokers, reterr_why);

    if (r < 0)
        return r;
    (void)str_split(&regions, ' ', &region);
    region = args_text(&cli->args, "region", region);
    if (region.len == 0)
        return cli_misused(cli, reterr_why, "which region? give --region, or set TRAILBUS_REGIONS");
    options.region = region_text = str_dup(region);
    options.brokers = brokers_text = str_dup(brokers);
    if (!region_text || !brokers_text)
        return -ERR_NOMEM;
    if (trailbus_producer_open(&options, &e->producer, error, sizeof(error)) != TRAILBUS_OK)
        return why_set(reterr_why, -ERR_CONFIG, "%s", error);
    return 0;
}

static int open_input(struct cli *cli, int *ret_fd, struct why *reterr_why)
{
    struct str path = args_word(&cli->args, 0);

    if (!path.at || str_eq(path, STR("-"))) {
        *ret_fd = STDIN_FILENO;
        return 0;
    }
    *ret_fd = open(path.at, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return why_set(reterr_why, -ERR_IO, "cannot read %s: %m", path.at);
    return 0;
}

static int report(const struct emit *e, struct why *reterr_why)
{
    if (e->failed > FAILURES_MAX)
        (void)fprintf(stderr, "and %" PRIu64 " more\n", e->failed - FAILURES_MAX);
    printf("%" PRIu64 " of %" PRIu64 " events acknowledged\n", e->acknowledged, e->events);
    if (e->acknowledged == e->events)
        return 0;
    return why_set(reterr_why, -ERR_UNAVAILABLE, "%" PRIu64 " events were not acknowledged",
                   e->events - e->acknowledged);
}

static int emit(struct cli *cli, struct why *reterr_why)
{
    /* The first signal ends reading (hence no SA_RESTART), a second one the program. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct emit e = {0};
    int fd, r;

    r = open_input(cli, &fd, reterr_why);
    if (r < 0)
        return r;
    r = open_producer(cli, &e, reterr_why);
    if (r == 0) {
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
        split_init(&e.split, TRAILBUS_EVENT_SIZE_MAX);
        r = read_all(&e, fd, reterr_why);
        while (trailbus_producer_flush(e.producer, SAY_MS) == TRAILBUS_TIMEOUT)
            say_waiting(&e);
        (void)trailbus_producer_close(e.producer, 0);
        split_done(&e.split);
    }
    if (r == 0)
        r = report(&e, reterr_why);
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return r;
}

static const struct arg_option emit_options[] = {
    {"region", "REGION", "where the events belong; else the first of TRAILBUS_REGIONS", false},
    ARG_OPTIONS_END,
};

const struct command emit_commands[] = {
    {"emit", "[FILE]", 0, 1, "publishes JSON events",
     "Reads FILE, or standard input: one event a line as they come, one over many lines, or an "
     "array of them. Says how many were acknowledged by Kafka; exit code 0 only if all were. An "
     "event needs eventName, eventTime, serviceName and an owner (recipientAccountId or "
     "userIdentity.accountId); one with an eventId of its own may be sent again and counts once. "
     "Uses TRAILBUS_KAFKA.",
     emit_options, emit},
    COMMANDS_END,
};
