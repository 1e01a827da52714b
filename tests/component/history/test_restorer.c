/* test_restorer.c - what was lost is put back: each event once, beside what is there, and the writer goes on. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history/history.h"

#include "folder.h"

#define DAY        (24 * 3600 * 1000LL)
#define NOW_MS     (20000 * DAY + 3600 * 1000)
#define PARTITIONS 3
#define REGION     STR("cn-hangzhou")
#define GENERATION STR("g1")

static char folder[FOLDER_SIZE];

static int setup(void **state)
{
    (void)state;
    folder_make(TEMPORARY("/tmp/trailbus-restorer"), folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static struct event event(const char *id, int64_t time_ms, bool global)
{
    return (struct event){.id = str_from(id),
                          .account = STR("1001"),
                          .service = STR("Ecs"),
                          .name = STR("StopInstance"),
                          .global = global,
                          .purpose = EVENT_FOR_HISTORY,
                          .time_ms = time_ms,
                          .document = str_from(id)};
}

static struct history_restorer *restorer_at(int64_t now_ms, bool dry)
{
    struct history_restorer *r = NULL;
    struct why why = {0};

    assert_ok(history_restorer_open(folder, REGION, PARTITIONS, now_ms, dry, &r, &why), why);
    return r;
}

static struct history_restorer *restorer(bool dry)
{
    return restorer_at(NOW_MS, dry);
}

static enum history_restored add(struct history_restorer *r, int32_t partition, const char *id,
                                 int64_t time_ms, bool global)
{
    struct event e = event(id, time_ms, global);
    enum history_restored said = HISTORY_EXPIRED;
    struct why why = {0};

    assert_ok(history_restorer_add(r, partition, &e, &said, &why), why);
    return said;
}

static void commit(struct history_restorer *r)
{
    struct why why = {0};

    assert_ok(history_restorer_commit(r, &why), why);
}

/* How many events a query of all finds; of `global` ones only. */
static size_t found(bool global)
{
    AUTO(history_reader_close) struct history_reader *reader = NULL;
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    struct history_query query = {.region = REGION,
                                  .account = STR("1001"),
                                  .start_ms = 0,
                                  .end_ms = 2 * NOW_MS,
                                  .limit = HISTORY_LIMIT_MAX,
                                  .global_only = global};
    struct history_page page = {0};
    struct why why = {0};

    assert_ok(history_reader_open(folder, &reader, &why), why);
    assert_ok(history_reader_query(reader, &query, arena, &page, &why), why);
    assert_false(page.more);
    return page.count;
}

static void an_event_is_stored_once_however_often_it_is_found(void **state)
{
    AUTO(history_restorer_close) struct history_restorer *r = restorer(false);

    (void)state;
    assert_int_equal(add(r, 1, "a", NOW_MS, false), HISTORY_RESTORED);
    assert_int_equal(add(r, 1, "a", NOW_MS, false), HISTORY_THERE);
    commit(r);
    assert_int_equal(add(r, 1, "a", NOW_MS, false), HISTORY_THERE);
    assert_int_equal(add(r, 1, "b", NOW_MS - 3 * DAY, false), HISTORY_RESTORED);
    commit(r);
    assert_int_equal(found(false), 2);
}

static void a_global_event_is_known_in_every_partition(void **state)
{
    AUTO(history_restorer_close) struct history_restorer *r = restorer(false);

    (void)state;
    assert_int_equal(add(r, 1, "a", NOW_MS, true), HISTORY_RESTORED);
    assert_int_equal(add(r, 2, "a", NOW_MS, true), HISTORY_THERE);
    commit(r);
    assert_int_equal(add(r, 0, "a", NOW_MS, true), HISTORY_THERE);
    commit(r);
    assert_int_equal(found(true), 1);
}

static void what_is_too_old_is_left_out(void **state)
{
    AUTO(history_restorer_close) struct history_restorer *r = restorer(false);

    (void)state;
    assert_int_equal(add(r, 0, "a", NOW_MS - (HISTORY_DAYS + 1) * DAY, false), HISTORY_EXPIRED);
    assert_int_equal(add(r, 0, "b", NOW_MS - HISTORY_DAYS * DAY, false), HISTORY_RESTORED);
    commit(r);
    assert_int_equal(found(false), 1);
}

static void a_clock_that_goes_ahead_drops_nothing(void **state)
{
    struct history_restorer *r = restorer(false);

    (void)state;
    assert_int_equal(add(r, 0, "a", NOW_MS, false), HISTORY_RESTORED);
    commit(r);
    history_restorer_close(r);
    r = restorer_at(NOW_MS + (HISTORY_DAYS + 1) * DAY, false);
    assert_int_equal(add(r, 0, "b", NOW_MS, false), HISTORY_EXPIRED); /* and is said to be */
    history_restorer_close(r);
    assert_int_equal(found(false), 1);
}

static void more_days_than_open_files(void **state)
{
    AUTO(history_restorer_close) struct history_restorer *r = restorer(false);
    char id[24];

    (void)state;
    for (int round = 0; round < 2; round++)
        for (int day = 0; day < HISTORY_DAYS; day++)
            for (int partition = 0; partition < PARTITIONS; partition++) {
                (void)snprintf(id, sizeof(id), "%d-%d", day, partition);
                assert_int_equal(add(r, partition, id, NOW_MS - day * DAY, false),
                                 round ? HISTORY_THERE : HISTORY_RESTORED);
            }
    commit(r);
    assert_int_equal(found(false), HISTORY_DAYS * PARTITIONS);
}

/* One that holds the lock, and one that comes after and reads the input from where it says. */
static void the_writer_goes_on_where_it_is_told(void **state)
{
    struct history_restorer *r = restorer(false);
    AUTO(history_writer_close) struct history_writer *writer = NULL;
    struct event there = event("a", NOW_MS, false), later = event("b", NOW_MS, false);
    struct why why = {0};

    (void)state;
    assert_int_equal(add(r, 0, "a", NOW_MS, false), HISTORY_RESTORED);
    assert_int_equal(history_restorer_position(r, 0)->next, -1);
    assert_ok(history_restorer_begin(r, 0, GENERATION, 100, STR("a note"), &why), why);
    assert_int_equal(history_writer_open(folder, REGION, 0, &writer, &why), -ERR_UNAVAILABLE);
    history_restorer_close(r);

    assert_ok(history_writer_open(folder, REGION, 0, &writer, &why), why);
    assert_int_equal(history_writer_position(writer)->next, 100);
    assert_string_equal(history_writer_position(writer)->note, "a note");
    assert_int_equal(history_writer_add(writer, &there, 105, &why), 0);
    assert_int_equal(history_writer_add(writer, &later, 106, &why), 1);
    assert_ok(history_writer_commit(writer, 107, &why), why);
    assert_int_equal(found(false), 2);
}

/* A day's file is gone, the position is not: what lies before the position comes back, and the writer, which skips what the
 * day has applied, still takes what comes. */
static void a_day_that_was_lost_comes_back(void **state)
{
    struct event first = event("a", NOW_MS, false), second = event("b", NOW_MS - DAY, false),
                 third = event("c", NOW_MS, false);
    struct history_writer *writer = NULL;
    struct history_restorer *r;
    struct why why = {0};
    char path[128];

    (void)state;
    assert_ok(history_writer_open(folder, REGION, 0, &writer, &why), why);
    assert_ok(history_writer_begin(writer, GENERATION, 0, &why), why);
    assert_int_equal(history_writer_add(writer, &first, 5, &why), 1);
    assert_int_equal(history_writer_add(writer, &second, 6, &why), 1);
    assert_ok(history_writer_commit(writer, 7, &why), why);
    history_writer_close(writer);
    (void)snprintf(path, sizeof(path), "%s/cn-hangzhou/2024-10-04.0.db", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(found(false), 1);

    r = restorer(false);
    assert_int_equal(add(r, 0, "a", NOW_MS, false), HISTORY_RESTORED);
    assert_int_equal(add(r, 0, "b", NOW_MS - DAY, false), HISTORY_THERE);
    commit(r);
    history_restorer_close(r);
    assert_int_equal(found(false), 2);

    assert_ok(history_writer_open(folder, REGION, 0, &writer, &why), why);
    assert_int_equal(history_writer_position(writer)->next, 7);
    assert_int_equal(history_writer_add(writer, &third, 7, &why), 1);
    assert_ok(history_writer_commit(writer, 8, &why), why);
    history_writer_close(writer);
    assert_int_equal(found(false), 3);
}

/* A worker that goes on writing into files that nobody can open any more would lose all of it when it ends. */
static void a_writer_notices_that_its_folder_was_taken_away(void **state)
{
    AUTO(history_writer_close) struct history_writer *writer = NULL;
    struct event e = event("a", NOW_MS, false);
    struct why why = {0};
    char path[128];

    assert_ok(history_writer_open(folder, REGION, 0, &writer, &why), why);
    assert_ok(history_writer_begin(writer, GENERATION, 0, &why), why);
    assert_int_equal(teardown(state), 0);
    assert_int_equal(mkdir(folder, 0750), 0);
    (void)snprintf(path, sizeof(path), "%s/cn-hangzhou", folder);
    assert_int_equal(mkdir(path, 0750), 0);
    assert_int_equal(history_writer_add(writer, &e, 5, &why), 1);
    assert_int_equal(history_writer_commit(writer, 6, &why), -ERR_UNAVAILABLE);
}

static void dry_it_makes_nothing_and_tells_what_is_missing(void **state)
{
    struct history_restorer *r = restorer(true);
    char path[128];

    (void)state;
    assert_int_equal(add(r, 0, "a", NOW_MS, false), HISTORY_RESTORED);
    assert_null(history_restorer_position(r, 0));
    commit(r);
    history_restorer_close(r);
    (void)snprintf(path, sizeof(path), "%s/cn-hangzhou", folder);
    assert_int_equal(access(path, F_OK), -1);

    r = restorer(false);
    assert_int_equal(add(r, 0, "a", NOW_MS, false), HISTORY_RESTORED);
    commit(r);
    history_restorer_close(r);
    r = restorer(true);
    assert_int_equal(add(r, 0, "a", NOW_MS, false), HISTORY_THERE);
    assert_int_equal(add(r, 1, "a", NOW_MS, true), HISTORY_THERE);
    assert_int_equal(add(r, 0, "b", NOW_MS, false), HISTORY_RESTORED);
    history_restorer_close(r);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_event_is_stored_once_however_often_it_is_found),
        IN_FOLDER(a_global_event_is_known_in_every_partition),
        IN_FOLDER(what_is_too_old_is_left_out),
        IN_FOLDER(a_clock_that_goes_ahead_drops_nothing),
        IN_FOLDER(more_days_than_open_files),
        IN_FOLDER(the_writer_goes_on_where_it_is_told),
        IN_FOLDER(a_day_that_was_lost_comes_back),
        IN_FOLDER(a_writer_notices_that_its_folder_was_taken_away),
        IN_FOLDER(dry_it_makes_nothing_and_tells_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
