/* history.c - the history's store beside bare SQLite, and queries over it.
 *
 *     history ingest DIRECTORY EVENTS    stores them; prints events/s and CPU seconds a million
 *     history sqlite DIRECTORY EVENTS    the same documents into one table without an index, committed as often
 *     history lookup DIRECTORY QUERIES   asks what ingest has stored; prints percentiles in ms
 *
 * A fifth argument is the first day of the events, since 1970.
 *
 * Prints JSON. Events are of ACCOUNTS accounts (one of them has a tenth), 30 days, in the order of their times, as they come.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include <sqlite3.h>

#include "history/history.h"

#define ACCOUNTS     200
#define DAYS         30
#define DAY_MS       (24 * 3600 * 1000LL)
#define COMMIT       5000 /* events; what a worker commits at most */
#define REGION       "cn-hangzhou"
#define PAGE_MEMORY  (64 << 20)
#define DOCUMENT_MAX 4096

static uint64_t seed = 88172645463325252U;
static int64_t first_day = 20000; /* of the events, since 1970 */

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void fail(const char *what, const struct why *why)
{
    fprintf(stderr, "%s: %s\n", what, why ? why->text : "");
    exit(1);
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- events ------------------------------------------------------------------------------------------- */

static const char *const names[][2] = {
    {"Ecs", "StopInstance"},          {"Ecs", "DescribeInstances"}, {"Rds", "CreateDBInstance"},
    {"Slb", "DescribeLoadBalancers"}, {"Vpc", "DeleteVSwitch"},     {"Oss", "PutBucketAcl"},
};

struct made {
    char id[40], account[24], user[16], key[32], ip[24], resource[32], document[DOCUMENT_MAX];
    struct event event;
};

static void account_of(uint64_t n, char ret[24])
{
    (void)snprintf(ret, 24, "%" PRIu64, (uint64_t)1000000000010000U + n);
}

static void make(struct made *m, size_t i, size_t count)
{
    const char *const *name = names[draw(6)];
    bool reads = strncmp(name[1], "Describe", 8) == 0;
    int64_t time_ms =
        first_day * DAY_MS + (int64_t)((double)i / (double)count * DAYS * (double)DAY_MS);
    int len;

    (void)snprintf(m->id, sizeof(m->id), "%016" PRIx64 "-%zu", draw(UINT64_MAX), i);
    account_of(draw(10) == 0 ? 0 : draw(ACCOUNTS), m->account);
    (void)snprintf(m->user, sizeof(m->user), "user-%" PRIu64, draw(50));
    (void)snprintf(m->key, sizeof(m->key), "LTAI%012" PRIx64, draw(100));
    (void)snprintf(m->ip, sizeof(m->ip), "203.0.113.%" PRIu64, draw(255));
    (void)snprintf(m->resource, sizeof(m->resource), "i-%" PRIu64, draw(2000));
    len = snprintf(
        m->document, sizeof(m->document),
        "{\"eventId\":\"%s\",\"eventVersion\":\"1\",\"eventCategory\":\"Management\",\"eventType\":"
        "\"ApiCall\",\"eventName\":\"%s\",\"eventRW\":\"%s\",\"serviceName\":\"%s\",\"acsRegion\":"
        "\"" REGION "\",\"recipientAccountId\":\"%s\",\"requestId\":\"%016" PRIX64
        "\",\"sourceIpAddress\":\"%s\",\"userAgent\":\"AlibabaCloud (Linux; amd64) Java/1.8.0\","
        "\"userIdentity\":{\"type\":\"ram-user\",\"userName\":\"%s\",\"accessKeyId\":\"%s\"},"
        "\"requestParameters\":{\"InstanceId\":\"%s\",\"Force\":false,\"RegionId\":\"" REGION
        "\"},\"responseElements\":{\"RequestId\":\"%016" PRIX64 "\"},\"additionalEventData\":"
        "{\"Scheme\":\"https\",\"CallbackUrl\":\"https://example.com/%016" PRIx64 "\"}}",
        m->id, name[1], reads ? "Read" : "Write", name[0], m->account, draw(UINT64_MAX), m->ip,
        m->user, m->key, m->resource, draw(UINT64_MAX), draw(UINT64_MAX));
    m->event = (struct event){.id = str_from(m->id),
                              .account = str_from(m->account),
                              .region = STR(REGION),
                              .rw = reads ? EVENT_READ : EVENT_WRITE,
                              .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                              .time_ms = time_ms,
                              .received_ms = time_ms,
                              .service = str_from(name[0]),
                              .name = str_from(name[1]),
                              .type = STR("ApiCall"),
                              .user = str_from(m->user),
                              .access_key = str_from(m->key),
                              .source_ip = str_from(m->ip),
                              .resources = {{STR("ACS::ECS::Instance"), str_from(m->resource)}},
                              .resource_count = 1,
                              .document = str_of(m->document, (size_t)len)};
}

static void print_rate(size_t count, double began, double cpu)
{
    double took = seconds() - began;

    printf("{\"events_s\": %.1f, \"cpu_s_per_million\": %.2f}\n", (double)count / took,
           (cpu_seconds() - cpu) / (double)count * 1e6);
}

/* ---- ingest ------------------------------------------------------------------------------------------- */

static void ingest(const char *directory, size_t count)
{
    static struct made made;
    struct history_writer *writer = NULL;
    struct why why = {0};
    double began = seconds(), cpu = cpu_seconds();

    if (history_writer_open(directory, STR(REGION), 0, &writer, &why) < 0 ||
        history_writer_begin(writer, STR("bench"), 0, &why) < 0)
        fail("open", &why);
    for (size_t i = 0; i < count; i++) {
        make(&made, i, count);
        if (history_writer_add(writer, &made.event, (int64_t)i, &why) < 0)
            fail("add", &why);
        if ((i + 1) % COMMIT == 0 && history_writer_commit(writer, (int64_t)i + 1, &why) < 0)
            fail("commit", &why);
    }
    if (history_writer_commit(writer, (int64_t)count, &why) < 0)
        fail("commit", &why);
    history_writer_close(writer);
    print_rate(count, began, cpu);
}

static void must(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
}

static void bare(const char *directory, size_t count)
{
    static struct made made;
    char path[512];
    sqlite3 *db;
    sqlite3_stmt *insert;
    double began = seconds(), cpu = cpu_seconds();

    (void)snprintf(path, sizeof(path), "%s/bare.db", directory);
    if (sqlite3_open(path, &db) != SQLITE_OK)
        fail("open", NULL);
    must(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
             "CREATE TABLE events(id INTEGER PRIMARY KEY, document TEXT); BEGIN");
    (void)sqlite3_prepare_v2(db, "INSERT INTO events(document) VALUES(?1)", -1, &insert, NULL);
    for (size_t i = 0; i < count; i++) {
        make(&made, i, count);
        (void)sqlite3_bind_text(insert, 1, made.event.document.at, (int)made.event.document.len,
                                SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE)
            fail("insert", NULL);
        (void)sqlite3_reset(insert);
        if ((i + 1) % COMMIT == 0)
            must(db, "COMMIT; BEGIN");
    }
    must(db, "COMMIT");
    (void)sqlite3_finalize(insert);
    (void)sqlite3_close(db);
    print_rate(count, began, cpu);
}

/* ---- lookup ------------------------------------------------------------------------------------------- */

static char values[2][64];

/* `prefix` and a number; -1: the prefix alone. */
static void add_filter(struct history_query *q, enum history_attribute attribute,
                       const char *prefix, int64_t n)
{
    char *value = values[q->filter_count];

    if (n < 0)
        (void)snprintf(value, sizeof(values[0]), "%s", prefix);
    else if (attribute == HISTORY_ACCESS_KEY_ID)
        (void)snprintf(value, sizeof(values[0]), "%s%012" PRIx64, prefix, (uint64_t)n);
    else
        (void)snprintf(value, sizeof(values[0]), "%s%" PRId64, prefix, n);
    q->filters[q->filter_count++] = (struct history_filter){attribute, str_from(value)};
}

/* As auditors ask: mostly the newest of something, now and then by id, a pair, oldest first, further pages. */
static void draw_query(struct history_query *q, char account[24])
{
    account_of(draw(4) == 0 ? 0 : draw(ACCOUNTS), account);
    *q = (struct history_query){.region = STR(REGION),
                                .account = str_from(account),
                                .start_ms = first_day * DAY_MS,
                                .end_ms = (first_day + DAYS) * DAY_MS,
                                .direction = draw(4) == 0 ? HISTORY_FORWARD : HISTORY_BACKWARD,
                                .limit = draw(2) ? 20 : 50};
    if (draw(3) == 0) /* a week of it */
        q->start_ms += (int64_t)draw(DAYS - 7) * DAY_MS, q->end_ms = q->start_ms + 7 * DAY_MS;
    switch (draw(8)) {
    case 0:
        break;
    case 1:
        add_filter(q, HISTORY_EVENT_NAME, "StopInstance", -1);
        break;
    case 2:
        add_filter(q, HISTORY_USER, "user-", (int64_t)draw(50));
        break;
    case 3:
        add_filter(q, HISTORY_RESOURCE_NAME, "i-", (int64_t)draw(2000));
        break;
    case 4:
        add_filter(q, HISTORY_ACCESS_KEY_ID, "LTAI", (int64_t)draw(100));
        break;
    case 5:
        add_filter(q, HISTORY_EVENT_RW, "Write", -1);
        break;
    case 6:
        add_filter(q, HISTORY_SERVICE_NAME, "Rds", -1);
        add_filter(q, HISTORY_USER, "user-", (int64_t)draw(50));
        break;
    default:
        add_filter(q, HISTORY_RESOURCE_NAME, "i-", (int64_t)draw(2000));
        add_filter(q, HISTORY_EVENT_NAME, "DescribeInstances", -1);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void lookup(const char *directory, size_t count)
{
    struct history_reader *reader = NULL;
    struct arena *arena = arena_new(PAGE_MEMORY);
    double *took = calloc(count, sizeof(*took));
    size_t found = 0, full = 0;
    struct why why = {0};

    if (!arena || !took || history_reader_open(directory, &reader, &why) < 0)
        fail("open", &why);
    for (size_t i = 0; i < count; i++) {
        struct history_query query;
        struct history_page page = {0};
        char account[24];
        double began;

        draw_query(&query, account);
        arena_reset(arena);
        began = seconds();
        if (history_reader_query(reader, &query, arena, &page, &why) < 0)
            fail("query", &why);
        if (page.more && draw(2)) { /* the second page counts, not the first */
            struct history_cursor after = page.next;

            query.after = &after;
            began = seconds();
            if (history_reader_query(reader, &query, arena, &page, &why) < 0)
                fail("query", &why);
        }
        took[i] = (seconds() - began) * 1e3;
        found += page.count;
        full += page.more;
    }
    qsort(took, count, sizeof(*took), compare);
    printf("{\"queries\": %zu, \"events\": %zu, \"with_more\": %zu, \"p50_ms\": %.3f, \"p90_ms\": "
           "%.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           count, found, full, took[count / 2], took[count * 9 / 10], took[count * 99 / 100],
           took[count - 1]);
    history_reader_close(reader);
    arena_free(arena);
    free(took);
}

int main(int argc, char **argv)
{
    size_t count = argc >= 4 ? strtoul(argv[3], NULL, 10) : 0;

    if (argc == 5)
        first_day = strtol(argv[4], NULL, 10);
    if (count && strcmp(argv[1], "ingest") == 0)
        ingest(argv[2], count);
    else if (count && strcmp(argv[1], "sqlite") == 0)
        bare(argv[2], count);
    else if (count && strcmp(argv[1], "lookup") == 0)
        lookup(argv[2], count);
    else
        return fprintf(stderr, "history ingest|sqlite|lookup DIRECTORY COUNT [FIRST_DAY]\n"), 2;
    return 0;
}
