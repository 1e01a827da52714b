/* test_worker.c - trailbus-history itself, killed again and again while events come.
 *
 * services: kafka redis
 * links: bus control
 *
 * TRAILBUS_TEST_SEED repeats a run, as far as a run with real processes can be repeated.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus.h"
#include "control/control.h"
#include "history/history.h"

#include "folder.h"

#define REGION     "cn-hangzhou"
#define TOPIC      "events." REGION
#define PARTITIONS 3
#define ACCOUNTS   6
#define EVENTS     20000
#define KILLS      6
#define WAIT_MS    60000

struct world {
    char directory[FOLDER_SIZE], config[96], program[512];
    struct bus_settings bus;
    struct bus_producer *producer;
    pid_t workers[2];
};

static struct draws draws;

static uint64_t draw(uint64_t below)
{
    return draws_next(&draws, below);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
    (void)usleep((unsigned)ms * 1000);
}

/* ---- the world: topics, a configuration, a producer ----------------------------------------------- */

static void write_records(struct world *w, const char *topic, struct str key, struct str value,
                          const struct bus_header *header)
{
    int r;
    while ((r = bus_producer_write(w->producer, topic, BUS_BY_KEY, key, value, header,
                                   header != NULL, NULL)) == -ERR_UNAVAILABLE)
        (void)bus_producer_poll(w->producer, 10);
    assert_int_equal(r, 0);
}

static void make_topics(struct world *w)
{
    AUTO(bus_admin_close) struct bus_admin *admin = NULL;
    AUTO_BUF struct buf key = {0}, value = {0};
    struct why why;

    assert_ok(bus_admin_open(&w->bus, &admin, &why), why);
    assert_ok(bus_admin_create(admin, "control", 1, 1, topic_settings(TOPIC_CONTROL), &why), why);
    assert_ok(bus_admin_create(admin, TOPIC, PARTITIONS, 1, topic_settings(TOPIC_EVENTS), &why),
              why);
    assert_ok(bus_producer_open(&w->bus, NULL, 0, &w->producer, &why), why);
    buf_init(&key, 1000);
    buf_init(&value, 1000);
    control_topic_record(STR(TOPIC), STR("g1"), false, &key, &value);
    write_records(w, "control", buf_str(&key), buf_str(&value), NULL);
    assert_int_equal(bus_producer_flush(w->producer, WAIT_MS), 0);
}

static void write_config(struct world *w, const char *brokers)
{
    FILE *file;
    snprintf(w->config, sizeof w->config, "%s/trailbus.conf", w->directory);
    file = fopen(w->config, "we");
    assert_non_null(file);
    fprintf(file,
            "bus: { brokers = \"%s\"; };\nstate: { redis = \"%s\"; };\n"
            "history: { directory = \"%s/store\"; };\n",
            brokers, getenv("TRAILBUS_REDIS"), w->directory);
    fclose(file);
}

static int setup(void **state)
{
    static struct world w;
    const char *brokers = getenv("TRAILBUS_KAFKA");
    ssize_t len = readlink("/proc/self/exe", w.program, sizeof w.program - 64);

    assert_true(len > 0 && brokers);
    draws = draws_begin();
    *(strrchr(w.program, '/')) = '\0';
    strcat(w.program, "/../bin/trailbus-history");
    folder_make(TEMPORARY("/tmp/history"), w.directory);
    w.bus = (struct bus_settings){str_from(brokers), STR("test")};
    write_config(&w, brokers);
    make_topics(&w);
    *state = &w;
    return 0;
}

static void end_worker(struct world *w, int i, int signal, int *ret_status)
{
    if (w->workers[i] <= 0)
        return;
    assert_int_equal(kill(w->workers[i], signal), 0);
    assert_int_equal(waitpid(w->workers[i], ret_status, 0), w->workers[i]);
    w->workers[i] = 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    int status;
    for (int i = 0; i < 2; i++)
        end_worker(w, i, SIGKILL, &status);
    bus_producer_close(w->producer);
    return folder_remove(w->directory);
}

static void start_worker(struct world *w, int i)
{
    char log[96], instance[8];
    w->workers[i] = fork();
    assert_true(w->workers[i] >= 0);
    if (w->workers[i] > 0)
        return;
    snprintf(log, sizeof log, "%s/%d.log", w->directory, i);
    snprintf(instance, sizeof instance, "%d", i);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 2);
    execl(w->program, w->program, "--config", w->config, "--region", REGION, "--instance", instance,
          (char *)NULL);
    _exit(127);
}

/* ---- events --------------------------------------------------------------------------------------- */

static char account_names[ACCOUNTS][8];

static void write_event(struct world *w, int n)
{
    AUTO_BUF struct buf bytes = {0};
    char id[24], document[64], *account = account_names[n % ACCOUNTS];
    struct bus_header change = {HEADER_CHANGE, STR("{}")};
    struct event event = {
        .region = STR(REGION),
        .purpose = EVENT_FOR_HISTORY,
        .time_ms = (time(NULL) - (int64_t)draw(3 * 86400)) * 1000,
        .service = STR("Ecs"),
        .name = STR("RunInstances"),
    };

    snprintf(account, 8, "%d", 1000 + n % ACCOUNTS);
    snprintf(id, sizeof id, "id-%d", n);
    snprintf(document, sizeof document, "{\"n\":%d}", n);
    event.account = str_from(account);
    event.id = str_from(id);
    event.document = str_from(document);
    buf_init(&bytes, EVENT_ENCODED_SIZE_MAX);
    assert_int_equal(event_encode(&event, &bytes), 0);
    write_records(w, TOPIC, event.account, buf_str(&bytes), n % 100 == 0 ? &change : NULL);
    if (n % 50 == 0) /* beyond the normalizer's window */
        write_records(w, TOPIC, event.account, buf_str(&bytes), NULL);
    if (n % 70 == 0) {
        write_records(w, TOPIC, event.account, STR(""), &change);
    }
}

static size_t count_account(struct history_reader *reader, struct arena *arena, const char *account,
                            unsigned char *seen)
{
    struct history_query q = {
        .region = STR(REGION), .account = str_from(account), .end_ms = INT64_MAX, .limit = 1000};
    struct history_page page = {.more = true};
    struct history_cursor cursor;
    struct why why;
    size_t count = 0;

    while (page.more) {
        arena_reset(arena);
        assert_ok(history_reader_query(reader, &q, arena, &page, &why), why);
        for (size_t i = 0; i < page.count; i++, count++) {
            int n = atoi(page.documents[i].at + 5);
            assert_in_range(n, 0, EVENTS - 1);
            if (seen[n]++)
                fail_msg("event %d is there twice", n);
        }
        cursor = page.next;
        q.after = &cursor;
    }
    return count;
}

static size_t count_all(struct world *w)
{
    AUTO(history_reader_close) struct history_reader *reader = NULL;
    AUTO(arena_free) struct arena *arena = arena_new(8 << 20);
    AUTO_FREE unsigned char *seen = calloc(EVENTS, 1);
    char store[96];
    size_t count = 0;
    struct why why;

    snprintf(store, sizeof store, "%s/store", w->directory);
    if (history_reader_open(store, &reader, &why) < 0)
        return 0; /* no worker was that far yet */
    for (int i = 0; i < ACCOUNTS; i++)
        count += count_account(reader, arena, account_names[i], seen);
    return count;
}

static void wait_for_all(struct world *w)
{
    int64_t until_ms = now_ms() + WAIT_MS;
    size_t count;
    while ((count = count_all(w)) < EVENTS) {
        if (now_ms() > until_ms)
            fail_msg("%zu of %d events after %d s", count, EVENTS, WAIT_MS / 1000);
        pause_ms(100);
    }
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void each_event_is_there_once_however_often_workers_are_killed(void **state)
{
    struct world *w = *state;
    int status, killed = 0;

    start_worker(w, 0);
    start_worker(w, 1);
    for (int n = 0; n < EVENTS; n++) {
        write_event(w, n);
        if (n % 100 == 0) {
            (void)bus_producer_poll(w->producer, 0);
            pause_ms(10 + (int)draw(100));
        }
        if (killed < KILLS && n >= (killed + 1) * EVENTS / (KILLS + 1)) {
            int i = (int)draw(2);
            end_worker(w, i, SIGKILL, &status);
            start_worker(w, i);
            killed++;
        }
    }
    assert_int_equal(bus_producer_flush(w->producer, WAIT_MS), 0);
    wait_for_all(w);
    for (int i = 0; i < 2; i++) {
        end_worker(w, i, SIGTERM, &status);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(count_all(w), EVENTS);
}

static void a_topic_made_anew_stops_the_worker(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf key = {0}, value = {0};
    int status;

    buf_init(&key, 1000);
    buf_init(&value, 1000);
    control_topic_record(STR(TOPIC), STR("g2"), false, &key, &value);
    write_records(w, "control", buf_str(&key), buf_str(&value), NULL);
    assert_int_equal(bus_producer_flush(w->producer, WAIT_MS), 0);
    start_worker(w, 0);
    assert_int_equal(waitpid(w->workers[0], &status, 0), w->workers[0]);
    w->workers[0] = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_there_once_however_often_workers_are_killed),
        cmocka_unit_test(a_topic_made_anew_stops_the_worker),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
