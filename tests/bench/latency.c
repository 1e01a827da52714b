/* latency.c - from publishing an event to finding it by a query of the history.
 *
 *     latency BROKERS REGION HISTORY-DIRECTORY RATE SECONDS
 *
 * One thread publishes RATE events a second through libtrailbus, another asks the history reader (what the API asks) again
 * and again and notes when it first sees each. Prints percentiles of the time between, in milliseconds, as JSON. The
 * first WARM_S seconds are published besides and do not count.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "history/history.h"
#include "trailbus/producer.h"

#define WARM_S    2
#define GIVE_UP_S 30 /* behind the last event */
#define ACCOUNTS  8
#define ID_FORMAT "latency-%08zu"
#define PAGE_SIZE (16 << 20)

static struct {
    struct trailbus_producer *producer;
    struct history_reader *reader;
    struct arena *arena;
    struct str region;
    int64_t *published_us, *found_us; /* monotonic, of each event; 0: not yet */
    int64_t *time_s;                  /* its eventTime */
    size_t rate, count;
    size_t published; /* written by one thread, read by the other */
    uint64_t failed, queries;
} bench;

static int64_t clock_us(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* ---- publishing ----------------------------------------------------------------------------------- */

static void on_delivery(void *context, void *opaque, const struct trailbus_delivery *delivery)
{
    (void)context;
    (void)opaque;
    bench.failed += delivery->result != TRAILBUS_OK;
}

static void publish(size_t n)
{
    char id[32], time_text[TIME_TEXT_SIZE], account[24], parameters[256];
    char error[TRAILBUS_ERROR_SIZE];
    struct trailbus_event event = {
        .size = sizeof(event),
        .event_id = id,
        .event_name = "StopInstance",
        .service_name = "Ecs",
        .account_id = account,
        .event_time = time_text,
        .event_type = "ApiCall",
        .event_source = "ecs.cn-hangzhou.aliyuncs.com",
        .source_ip_address = "203.0.113.10",
        .user_agent = "Apache-HttpClient/4.5.7 (Java/1.8.0_275)",
        .user_type = "ram-user",
        .user_name = "alice",
        .user_account_id = account,
        .request_parameters = parameters,
        .referenced_resources = "{\"ACS::ECS::Instance\":[\"i-sample0000000000001\"]}",
    };

    bench.time_s[n] = clock_us(CLOCK_REALTIME) / 1000000;
    time_format(bench.time_s[n], time_text);
    (void)snprintf(id, sizeof(id), ID_FORMAT, n);
    (void)snprintf(account, sizeof(account), "%zu", (size_t)1000000000010000 + n % ACCOUNTS);
    (void)snprintf(parameters, sizeof(parameters),
                   "{\"AcsHost\":\"ecs.cn-hangzhou.aliyuncs.com\",\"InstanceId\":"
                   "\"i-sample0000000000001\",\"ForceStop\":false,\"Number\":%zu}",
                   n);
    bench.published_us[n] = clock_us(CLOCK_MONOTONIC);
    if (trailbus_producer_publish_event(bench.producer, &event, NULL, error, sizeof(error)) !=
        TRAILBUS_OK)
        fail("publish", error);
    __atomic_store_n(&bench.published, n + 1, __ATOMIC_RELEASE);
}

static void *publish_all(void *arg)
{
    int64_t from_us = clock_us(CLOCK_MONOTONIC);

    for (size_t n = 0; n < bench.count; n++) {
        int64_t due_us = from_us + (int64_t)(n * 1000000 / bench.rate);

        while (clock_us(CLOCK_MONOTONIC) < due_us) {
            (void)trailbus_producer_poll(bench.producer, 0);
            (void)usleep(500);
        }
        publish(n);
    }
    if (trailbus_producer_close(bench.producer, GIVE_UP_S * 1000) || bench.failed)
        fail("publish", "not all were acknowledged");
    return arg;
}

/* ---- finding -------------------------------------------------------------------------------------- */

static size_t note_found(const struct history_page *page, int64_t now_us)
{
    static const char mark[] = "\"eventId\":\"latency-";
    size_t found = 0, at;

    for (size_t i = 0; i < page->count; i++) {
        struct str document = page->documents[i];
        size_t n;

        if (!str_find(document, str_of(mark, sizeof(mark) - 1), &at))
            fail("history", "an event of somebody else");
        n = strtoul(document.at + at + sizeof(mark) - 1, NULL, 10);
        if (n < bench.count && !bench.found_us[n]) {
            bench.found_us[n] = now_us;
            found++;
        }
    }
    return found;
}

/* All of an account's events that are not older than the oldest one still missing. */
static size_t ask(size_t account, int64_t since_s)
{
    char name[24];
    struct history_cursor cursor;
    struct history_page page = {.more = true};
    struct history_query query = {.region = bench.region,
                                  .start_ms = since_s * 1000,
                                  .end_ms = INT64_MAX,
                                  .limit = HISTORY_LIMIT_MAX};
    struct why why = {0};
    size_t found = 0;
    int r;

    (void)snprintf(name, sizeof(name), "%zu", (size_t)1000000000010000 + account);
    query.account = str_from(name);
    while (page.more) {
        arena_reset(bench.arena);
        r = history_reader_query(bench.reader, &query, bench.arena, &page, &why);
        if (r == -ERR_UNAVAILABLE) /* a file is busy: ask again */
            return found;
        if (r < 0)
            fail("history", why.text);
        bench.queries++;
        found += note_found(&page, clock_us(CLOCK_MONOTONIC));
        cursor = page.next;
        query.after = &cursor;
    }
    return found;
}

static size_t find_all(void)
{
    size_t found = 0, oldest = 0; /* oldest: before it nothing is missing */
    int64_t until_us = 0;

    while (found < bench.count) {
        size_t published = __atomic_load_n(&bench.published, __ATOMIC_ACQUIRE);

        if (published == bench.count && until_us == 0)
            until_us = clock_us(CLOCK_MONOTONIC) + (int64_t)GIVE_UP_S * 1000000;
        if (until_us && clock_us(CLOCK_MONOTONIC) > until_us)
            break;
        while (oldest < published && bench.found_us[oldest])
            oldest++;
        if (oldest == published) {
            (void)usleep(500);
            continue;
        }
        for (size_t account = 0; account < ACCOUNTS; account++)
            found += ask(account, bench.time_s[oldest]);
        (void)usleep(2000);
    }
    return found;
}

/* ---- report --------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void report(size_t found)
{
    size_t warm = WARM_S * bench.rate, count = bench.count - warm;
    int64_t *took = calloc(count, sizeof(*took));

    for (size_t n = 0; n < count; n++)
        took[n] = bench.found_us[warm + n] - bench.published_us[warm + n];
    qsort(took, count, sizeof(*took), compare);
    printf("{\"events\": %zu, \"missing\": %zu, \"p50_ms\": %.1f, \"p90_ms\": %.1f, "
           "\"p99_ms\": %.1f, \"max_ms\": %.1f, \"queries\": %" PRIu64 "}\n",
           count, bench.count - found, (double)took[count / 2] / 1e3,
           (double)took[count * 9 / 10] / 1e3, (double)took[count * 99 / 100] / 1e3,
           (double)took[count - 1] / 1e3, bench.queries);
    free(took);
}

static void open_all(char **argv)
{
    struct trailbus_options options = {.size = sizeof(options),
                                       .brokers = argv[1],
                                       .region = argv[2],
                                       .client = "latency",
                                       .on_delivery = on_delivery};
    char error[TRAILBUS_ERROR_SIZE];
    struct why why = {0};

    bench.region = str_from(argv[2]);
    bench.rate = strtoul(argv[4], NULL, 10);
    bench.count = bench.rate * (WARM_S + strtoul(argv[5], NULL, 10));
    bench.published_us = calloc(bench.count, sizeof(int64_t));
    bench.found_us = calloc(bench.count, sizeof(int64_t));
    bench.time_s = calloc(bench.count, sizeof(int64_t));
    bench.arena = arena_new(PAGE_SIZE);
    if (!bench.published_us || !bench.found_us || !bench.time_s || !bench.arena)
        fail("open", "no memory");
    if (history_reader_open(argv[3], &bench.reader, &why) < 0)
        fail("history", why.text);
    if (trailbus_producer_open(&options, &bench.producer, error, sizeof(error)) != TRAILBUS_OK)
        fail("open", error);
}

int main(int argc, char **argv)
{
    pthread_t publisher;
    size_t found;

    if (argc != 6) {
        fprintf(stderr, "usage: latency BROKERS REGION HISTORY-DIRECTORY RATE SECONDS\n");
        return 2;
    }
    open_all(argv);
    if (pthread_create(&publisher, NULL, publish_all, NULL) != 0)
        fail("open", "no thread");
    found = find_all();
    (void)pthread_join(publisher, NULL);
    report(found);
    history_reader_close(bench.reader);
    arena_free(bench.arena);
    free(bench.published_us);
    free(bench.found_us);
    free(bench.time_s);
    return found == bench.count ? 0 : 1;
}
