/* test_crash.c - the writer killed, without space, and without power at random moments; damaged and foreign
 * files; days that expire. TRAILBUS_TEST_SEED repeats a run.
 *
 * A layer between SQLite and the disk makes space and power end. It keeps beside each file what the last
 * sync left on the disk; when power ends, that is what is found.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "history/history.h"

#include "folder.h"

#define DAY       (24 * 3600 * 1000LL)
#define FIRST_DAY 20000 /* 2024-10-04 */
#define DAYS      20    /* more than a writer has open */
#define REGION    STR("cn-hangzhou")

/* A test has at most so many accidents, then the writer may finish. Sanitizers make each several times slower. */
#ifdef __SANITIZE_ADDRESS__
#    define EVENTS    2500
#    define ACCIDENTS 15
#else
#    define EVENTS    6000
#    define ACCIDENTS 40
#endif

static char directory[FOLDER_SIZE], synced[48], folder[48];
static struct draws draws;

static uint64_t draw(uint64_t below)
{
    return draws_next(&draws, below);
}

/* ---- the layer ------------------------------------------------------------------------------------ */

static int64_t writes_left = INT64_MAX; /* before the disk is full, or power ends */
static bool power_ends, powerless;

struct layer_file {
    sqlite3_file base;
    char path[96];
    sqlite3_file real[]; /* of the system's layer */
};

static sqlite3_vfs layer;
static sqlite3_io_methods methods;

#define REAL(file) (((struct layer_file *)(file))->real)

static void copy_file(const char *from, const char *to)
{
    char chunk[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t len;
    assert_true(in >= 0 && out >= 0);
    while ((len = read(in, chunk, sizeof chunk)) > 0)
        assert_int_equal(write(out, chunk, (size_t)len), len);
    close(in);
    close(out);
}

static void synced_path(const char *path, char ret[160])
{
    snprintf(ret, 160, "%s/%s", synced, strrchr(path, '/') + 1);
}

static int layer_close(sqlite3_file *file)
{
    return REAL(file)->pMethods ? REAL(file)->pMethods->xClose(REAL(file)) : SQLITE_OK;
}
static int layer_read(sqlite3_file *file, void *at, int len, sqlite3_int64 offset)
{
    return REAL(file)->pMethods->xRead(REAL(file), at, len, offset);
}
static int layer_write(sqlite3_file *file, const void *at, int len, sqlite3_int64 offset)
{
    if (powerless)
        return SQLITE_IOERR_WRITE;
    if (writes_left-- <= 0) {
        powerless = power_ends;
        return power_ends ? SQLITE_IOERR_WRITE : SQLITE_FULL;
    }
    return REAL(file)->pMethods->xWrite(REAL(file), at, len, offset);
}
static int layer_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return powerless ? SQLITE_IOERR_TRUNCATE : REAL(file)->pMethods->xTruncate(REAL(file), size);
}
static int layer_sync(sqlite3_file *file, int flags)
{
    char to[160];
    (void)flags;
    if (powerless)
        return SQLITE_IOERR_FSYNC;
    if (power_ends) {
        synced_path(((struct layer_file *)file)->path, to);
        copy_file(((struct layer_file *)file)->path, to);
    }
    return SQLITE_OK;
}
static int layer_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return REAL(file)->pMethods->xFileSize(REAL(file), ret);
}
static int layer_lock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xLock(REAL(file), level);
}
static int layer_unlock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xUnlock(REAL(file), level);
}
static int layer_reserved(sqlite3_file *file, int *ret)
{
    return REAL(file)->pMethods->xCheckReservedLock(REAL(file), ret);
}
static int layer_control(sqlite3_file *file, int what, void *arg)
{
    return REAL(file)->pMethods->xFileControl(REAL(file), what, arg);
}
static int layer_sector(sqlite3_file *file)
{
    return REAL(file)->pMethods->xSectorSize(REAL(file));
}
static int layer_device(sqlite3_file *file)
{
    return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}
static int layer_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    if (extend && writes_left-- <= 0)
        return SQLITE_IOERR_SHMSIZE;
    return REAL(file)->pMethods->xShmMap(REAL(file), page, size, extend, ret);
}
static int layer_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return REAL(file)->pMethods->xShmLock(REAL(file), offset, n, flags);
}
static void layer_shm_barrier(sqlite3_file *file)
{
    REAL(file)->pMethods->xShmBarrier(REAL(file));
}
static int layer_shm_unmap(sqlite3_file *file, int remove_it)
{
    return REAL(file)->pMethods->xShmUnmap(REAL(file), remove_it);
}

static sqlite3_vfs *system_layer(void)
{
    return layer.pAppData;
}

static int layer_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret)
{
    struct layer_file *f = (struct layer_file *)file;
    int code;
    (void)vfs;
    memset(f, 0, sizeof *f);
    f->base.pMethods = &methods;
    if (path)
        snprintf(f->path, sizeof f->path, "%s", path);
    if (writes_left <= 0 && (flags & SQLITE_OPEN_CREATE) && access(path, F_OK) < 0) {
        f->base.pMethods = NULL; /* access() left in errno what SQLite's second try would */
        return SQLITE_CANTOPEN;
    }
    code = system_layer()->xOpen(system_layer(), path, f->real, flags, ret);
    if (code != SQLITE_OK)
        f->base.pMethods = NULL;
    return code;
}

static int layer_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    char at[160];
    (void)vfs;
    if (powerless)
        return SQLITE_IOERR_DELETE;
    if (power_ends) {
        synced_path(path, at);
        (void)unlink(at);
    }
    return system_layer()->xDelete(system_layer(), path, sync);
}

static void layer_put(void)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = layer_close,
        .xRead = layer_read,
        .xWrite = layer_write,
        .xTruncate = layer_truncate,
        .xSync = layer_sync,
        .xFileSize = layer_size,
        .xLock = layer_lock,
        .xUnlock = layer_unlock,
        .xCheckReservedLock = layer_reserved,
        .xFileControl = layer_control,
        .xSectorSize = layer_sector,
        .xDeviceCharacteristics = layer_device,
        .xShmMap = layer_shm_map,
        .xShmLock = layer_shm_lock,
        .xShmBarrier = layer_shm_barrier,
        .xShmUnmap = layer_shm_unmap,
    };
    layer = *system;
    layer.zName = "layer";
    layer.pAppData = system;
    layer.szOsFile = (int)sizeof(struct layer_file) + system->szOsFile;
    layer.xOpen = layer_open;
    layer.xDelete = layer_delete;
    assert_int_equal(sqlite3_vfs_register(&layer, 1), SQLITE_OK);
}

static void layer_reset(void)
{
    writes_left = INT64_MAX;
    power_ends = powerless = false;
}

/* ---- a stream of events, the same each time ------------------------------------------------------- */

struct sample {
    struct event event;
    char id[24], document[512];
};

static void make_event(struct sample *s, int64_t n)
{
    uint64_t mixed = (uint64_t)n * 0x9e3779b97f4a7c15;
    snprintf(s->id, sizeof s->id, "id-%lld", (long long)n);
    snprintf(s->document, sizeof s->document, "{\"n\":%lld,\"pad\":\"%0*d\"}", (long long)n,
             (int)(mixed % 400), 0);
    s->event = (struct event){
        .id = str_from(s->id),
        .account = STR("1001"),
        .document = str_from(s->document),
        .purpose = EVENT_FOR_HISTORY,
        .time_ms = FIRST_DAY * DAY + (int64_t)(mixed >> 20) % (DAYS * DAY),
        .service = STR("Ecs"),
        .name = n % 2 ? STR("RunInstances") : STR("StopInstance"),
        .user = n % 3 ? STR("alice") : STR("bob"),
    };
}

/* Adds from the store's position, commits now and then. 0: all is there; else why it ended. */
static int feed(struct history_writer *writer, struct why *why)
{
    struct sample sample;
    int64_t n = history_writer_position(writer)->next;
    int64_t commit = n + 1 + (int64_t)draw(300);
    int r = 0;

    for (; r >= 0 && n < EVENTS; n++) {
        make_event(&sample, n);
        r = history_writer_add(writer, &sample.event, n, why);
        if (r >= 0 && n == commit) {
            r = history_writer_commit(writer, n + 1, why);
            commit = n + 1 + (int64_t)draw(300);
        }
    }
    return r < 0 ? r : history_writer_commit(writer, EVENTS, why);
}

static int open_writer(struct history_writer **ret, struct why *why)
{
    int r = history_writer_open(directory, REGION, 0, ret, why);
    if (r == 0 && history_writer_position(*ret)->next < 0)
        r = history_writer_begin(*ret, STR("g1"), 0, why);
    return r;
}

/* Each event before `next` is there, and none twice. Returns how many there are. */
static int64_t check_store(int64_t next)
{
    static unsigned char seen[EVENTS];
    AUTO(history_reader_close) struct history_reader *reader = NULL;
    AUTO(arena_free) struct arena *arena = arena_new(4 << 20);
    struct history_query q = {
        .region = REGION, .account = STR("1001"), .end_ms = INT64_MAX, .limit = 1000};
    struct history_page page = {.more = true};
    struct history_cursor cursor;
    struct sample sample;
    struct why why;
    int64_t count = 0;

    memset(seen, 0, sizeof seen);
    assert_ok(history_reader_open(directory, &reader, &why), why);
    while (page.more) {
        arena_reset(arena);
        assert_ok(history_reader_query(reader, &q, arena, &page, &why), why);
        for (size_t i = 0; i < page.count; i++, count++) {
            int64_t n = atoll(page.documents[i].at + 5);
            assert_in_range(n, 0, EVENTS - 1);
            make_event(&sample, n);
            assert_str_eq(page.documents[i], sample.event.document);
            if (seen[n]++)
                fail_msg("event %lld is there twice", (long long)n);
        }
        cursor = page.next;
        q.after = &cursor;
    }
    for (int64_t n = 0; n < next; n++)
        if (!seen[n])
            fail_msg("event %lld is not there, the position is %lld", (long long)n,
                     (long long)next);
    return count;
}

/* ---- setup ---------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    draws = draws_begin();
    /* In memory, where it can be: a killed process leaves its pages to the system and power is the layer's
     * business, so a real disk would only be slow. */
    folder_make(access("/dev/shm", W_OK) == 0 ? TEMPORARY("/dev/shm/history")
                                              : TEMPORARY("/tmp/history"),
                directory);
    snprintf(synced, sizeof synced, "%s/synced", directory);
    snprintf(folder, sizeof folder, "%s/cn-hangzhou", directory);
    assert_int_equal(mkdir(synced, 0700), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    layer_reset();
    return folder_remove(directory);
}

/* ---- crashes -------------------------------------------------------------------------------------- */

static int64_t stored_position(void)
{
    AUTO(history_writer_close) struct history_writer *writer = NULL;
    struct why why;
    assert_ok(history_writer_open(directory, REGION, 0, &writer, &why), why);
    return history_writer_position(writer)->next;
}

static void child_feeds(void)
{
    struct history_writer *writer = NULL;
    struct why why;
    if (open_writer(&writer, &why) < 0 || feed(writer, &why) < 0)
        _exit(1);
    _exit(0);
}

static void a_killed_writer_loses_and_doubles_nothing(void **state)
{
    int status = -1, kills = 0;
    int64_t before = 0, now;
    unsigned alive_us = 40000;
    (void)state;
    while (status != 0) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            child_feeds();
        if (kills < ACCIDENTS) {
            (void)usleep((unsigned)draw(alive_us));
            (void)kill(child, SIGKILL);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || status == 0);
        kills += status != 0;
        now = stored_position();
        check_store(now);
        if (now == before && alive_us < 1000000)
            alive_us *= 2; /* a slow machine: die within the work, not before it */
        before = now;
    }
    print_message("killed %d times\n", kills);
    assert_int_equal(check_store(EVENTS), EVENTS);
}

static void a_full_disk_loses_and_doubles_nothing(void **state)
{
    struct history_writer *writer = NULL;
    struct why why;
    int r = -1, full = 0;
    (void)state;
    assert_ok(open_writer(&writer, &why), why);
    while (r != 0) {
        writes_left = full < ACCIDENTS ? (int64_t)draw(1500) : INT64_MAX;
        r = feed(writer, &why);
        full += r != 0;
        if (r < 0)
            assert_int_equal(err_class(r), ERR_CLASS_RETRY);
        writes_left = INT64_MAX;
        check_store(history_writer_position(writer)->next);
    }
    history_writer_close(writer);
    print_message("full %d times\n", full);
    assert_int_equal(check_store(EVENTS), EVENTS);
}

/* Whatever there is no room for: a file, its log, the memory that it shares, any of the first pages. */
static void a_disk_that_is_full_from_the_start_is_waited_for(void **state)
{
    int64_t room = 0;
    int r;
    (void)state;
    do {
        struct history_writer *writer = NULL;
        struct why why;
        writes_left = room;
        r = open_writer(&writer, &why);
        if (r == 0)
            r = feed(writer, &why);
        if (r < 0 && err_class(r) != ERR_CLASS_RETRY)
            fail_msg("with room for %lld writes: %s: %s", (long long)room, err_name(r), why.text);
        room = room < 60 ? room + 1 : INT64_MAX;
        writes_left = INT64_MAX;
        history_writer_close(writer);
    } while (r < 0);
    assert_int_equal(check_store(EVENTS), EVENTS);
}

/* What the disk has: the last synced bytes of each file, nothing else. */
static void power_returns(void)
{
    struct dirent *entry;
    char from[320], to[320];
    DIR *at = opendir(folder);
    assert_non_null(at);
    while ((entry = readdir(at)))
        if (str_find(str_from(entry->d_name), STR(".db"), &(size_t){0}))
            assert_int_equal(unlinkat(dirfd(at), entry->d_name, 0), 0);
    closedir(at);
    at = opendir(synced);
    assert_non_null(at);
    while ((entry = readdir(at))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(from, sizeof from, "%s/%s", synced, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", folder, entry->d_name);
        copy_file(from, to);
    }
    closedir(at);
    powerless = false;
}

static void a_power_cut_loses_and_doubles_nothing(void **state)
{
    struct why why;
    int r = -1, cuts = 0;
    (void)state;
    while (r != 0) {
        struct history_writer *writer = NULL;
        power_ends = true;
        writes_left = cuts < ACCIDENTS ? (int64_t)draw(3000) : INT64_MAX;
        r = open_writer(&writer, &why);
        if (r == 0)
            r = feed(writer, &why);
        powerless = true;
        history_writer_close(writer);
        power_returns();
        cuts += r != 0;
        writes_left = INT64_MAX;
        check_store(stored_position());
    }
    print_message("%d power cuts\n", cuts);
    assert_int_equal(check_store(EVENTS), EVENTS);
}

/* ---- other people's files, and days that pass ----------------------------------------------------- */

static void fill(int32_t partition)
{
    AUTO(history_writer_close) struct history_writer *writer = NULL;
    struct sample sample;
    struct why why;
    assert_ok(history_writer_open(directory, REGION, partition, &writer, &why), why);
    assert_ok(history_writer_begin(writer, STR("g1"), 0, &why), why);
    for (int64_t n = 0; n < 500; n++) {
        make_event(&sample, n);
        assert_ok(history_writer_add(writer, &sample.event, n, &why), why);
    }
    assert_ok(history_writer_commit(writer, 500, &why), why);
}

static int query(struct history_page *ret, struct why *why)
{
    static struct arena *arena;
    AUTO(history_reader_close) struct history_reader *reader = NULL;
    struct history_query q = {
        .region = REGION, .account = STR("1001"), .end_ms = INT64_MAX, .limit = 1000};
    arena = arena ? arena : arena_new(4 << 20);
    arena_reset(arena);
    assert_ok(history_reader_open(directory, &reader, why), *why);
    return history_reader_query(reader, &q, arena, ret, why);
}

static void day_path(int32_t day, char ret[80])
{
    char text[TIME_TEXT_SIZE];
    time_format(day * (DAY / 1000), text);
    snprintf(ret, 80, "%s/%.10s.0.db", folder, text);
}

static int add_again(void)
{
    AUTO(history_writer_close) struct history_writer *writer = NULL;
    struct sample sample;
    struct why why;
    int r = 0;
    assert_ok(history_writer_open(directory, REGION, 0, &writer, &why), why);
    for (int64_t n = 500; r >= 0 && n < 1000; n++) {
        make_event(&sample, n);
        r = history_writer_add(writer, &sample.event, n, &why);
    }
    return r < 0 ? r : history_writer_commit(writer, 1000, &why);
}

static void a_second_writer_waits_for_the_first(void **state)
{
    struct history_writer *first = NULL, *second = NULL;
    struct why why;
    (void)state;
    assert_ok(history_writer_open(directory, REGION, 0, &first, &why), why);
    assert_int_equal(history_writer_open(directory, REGION, 0, &second, &why), -ERR_UNAVAILABLE);
    assert_ok(history_writer_open(directory, REGION, 1, &second, &why), why);
    history_writer_close(second);
    history_writer_close(first);
    assert_ok(history_writer_open(directory, REGION, 0, &second, &why), why);
    history_writer_close(second);
}

static void a_foreign_file_is_an_error_of_configuration(void **state)
{
    char path[80];
    struct history_page page;
    struct why why;
    (void)state;
    fill(0);
    day_path(FIRST_DAY + 3, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("this is a diary. ", file);
    fclose(file);
    assert_int_equal(query(&page, &why), -ERR_CONFIG);
    assert_int_equal(add_again(), -ERR_CONFIG);
}

static void a_file_of_another_schema_is_an_error_of_configuration(void **state)
{
    char path[80];
    struct history_page page;
    struct why why;
    sqlite3 *db;
    (void)state;
    fill(0);
    day_path(FIRST_DAY + 3, path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(query(&page, &why), -ERR_CONFIG);
    assert_int_equal(add_again(), -ERR_CONFIG);
}

static void damaged_bytes_are_an_error_or_an_answer_but_never_a_crash(void **state)
{
    char path[80], whole[80];
    struct history_page page;
    struct why why;
    struct stat st;
    int errors = 0;
    (void)state;
    fill(0);
    day_path(FIRST_DAY + 3, path);
    snprintf(whole, sizeof whole, "%s/whole", directory);
    copy_file(path, whole);
    assert_int_equal(stat(path, &st), 0);
    for (int i = 0; i < 200; i++) {
        copy_file(whole, path);
        int fd = open(path, O_WRONLY);
        for (int k = 0; k < 1 + i % 40; k++) {
            char byte = (char)draw(256);
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)draw((uint64_t)st.st_size)), 1);
        }
        if (i % 7 == 0)
            assert_int_equal(ftruncate(fd, (off_t)draw((uint64_t)st.st_size)), 0);
        close(fd);
        errors += query(&page, &why) < 0;
    }
    print_message("%d of 200 were errors\n", errors);
    assert_true(errors > 20);
}

static size_t count_days(void)
{
    struct dirent *entry;
    size_t count = 0;
    DIR *at = opendir(folder);
    while ((entry = readdir(at)))
        count += entry->d_name[0] == '2' && str_ends(str_from(entry->d_name), STR(".db"));
    closedir(at);
    return count;
}

static void days_older_than_the_retention_are_dropped_whole(void **state)
{
    struct history_writer *writer = NULL;
    struct sample sample;
    struct history_page page;
    struct why why;
    size_t dropped = 99;
    (void)state;
    fill(0);
    fill(1);
    assert_int_equal(count_days(), 2 * DAYS);
    assert_ok(history_writer_open(directory, REGION, 0, &writer, &why), why);
    /* The first day is still within the 90 days at the end of the 90th behind it, not a ms later. */
    assert_ok(history_writer_expire(writer, (FIRST_DAY + 91) * DAY - 1, &dropped, &why), why);
    assert_int_equal(dropped, 0);
    assert_ok(history_writer_expire(writer, (FIRST_DAY + 91 + 4) * DAY, &dropped, &why), why);
    assert_int_equal(dropped, 5);
    assert_int_equal(count_days(), 2 * DAYS - 5); /* the other partition is another writer's */
    for (int64_t n = 500; n < 1000; n++) {
        make_event(&sample, n);
        int r = history_writer_add(writer, &sample.event, n, &why);
        assert_int_equal(r, sample.event.time_ms >= (FIRST_DAY + 5) * DAY);
    }
    assert_ok(history_writer_commit(writer, 1000, &why), why);
    assert_int_equal(count_days(), 2 * DAYS - 5);
    history_writer_close(writer);
    assert_ok(query(&page, &why), why);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_second_writer_waits_for_the_first),
        CASE(days_older_than_the_retention_are_dropped_whole),
        CASE(a_foreign_file_is_an_error_of_configuration),
        CASE(a_file_of_another_schema_is_an_error_of_configuration),
        CASE(damaged_bytes_are_an_error_or_an_answer_but_never_a_crash),
        CASE(a_killed_writer_loses_and_doubles_nothing),
        CASE(a_disk_that_is_full_from_the_start_is_waited_for),
        CASE(a_full_disk_loses_and_doubles_nothing),
        CASE(a_power_cut_loses_and_doubles_nothing),
    };
    layer_put();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
