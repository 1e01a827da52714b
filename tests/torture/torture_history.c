/* The history on real files of SQLite: each event once, or an error that is tried again; a page whole or none.
 *
 * links: history
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "history/history.h"

#define REGION STR("cn-hangzhou")
#define NOW_MS 1795398000000
#define EVENTS 40

/* ---- what SQLite asks of the system and of memory ------------------------------------------------------ */

static sqlite3_mem_methods memory;

static void *take(int size)
{
    return fault_here("sqlite3_malloc") ? NULL : memory.xMalloc(size);
}

static void *take_more(void *at, int size)
{
    return fault_here("sqlite3_realloc") ? NULL : memory.xRealloc(at, size);
}

static ssize_t write_at(int fd, const void *at, size_t len, off_t offset)
{
    if (fault_here("pwrite")) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, at, len, offset);
}

static int open_file(const char *path, int flags, int mode)
{
    if (fault_here("open (sqlite)")) {
        errno = EMFILE;
        return -1;
    }
    return open(path, flags, mode);
}

static int truncate_file(int fd, off_t len)
{
    if (fault_here("ftruncate")) {
        errno = ENOSPC;
        return -1;
    }
    return ftruncate(fd, len);
}

/* Nobody else holds a lock here: what is waited for is the fault, which stays. */
static int sleep_not(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static void stand_between(void)
{
    sqlite3_mem_methods ours;
    sqlite3_vfs *vfs;

    CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) == SQLITE_OK);
    ours = memory;
    ours.xMalloc = take;
    ours.xRealloc = take_more;
    CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) == SQLITE_OK &&
          sqlite3_initialize() == SQLITE_OK);
    vfs = sqlite3_vfs_find(NULL);
    vfs->xSleep = sleep_not;
    CHECK(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)write_at) == SQLITE_OK);
    (void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)write_at);
    CHECK(vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)truncate_file) == SQLITE_OK);
    CHECK(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)open_file) == SQLITE_OK);
}

/* ---- a place -------------------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static const char *folder_make_new(void)
{
    static char folder[64];
    static bool between;

    fault_pause(true);
    if (!between)
        stand_between();
    between = true;
    (void)snprintf(folder, sizeof(folder), "%s/trailbus-torture.%d", torture_folder(), getpid());
    CHECK(mkdir(folder, 0755) == 0);
    fault_pause(false);
    return folder;
}

static void folder_remove(const char *folder)
{
    fault_pause(true);
    (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    fault_pause(false);
}

/* Event i of three days; each fifth is the one before it, sent again. */
static void event_of(int i, char id[16], char document[64], struct event *ret)
{
    int n = i % 5 == 4 ? i - 1 : i;

    (void)snprintf(id, 16, "e-%d", n);
    (void)snprintf(document, 64, "{\"eventId\":\"e-%d\"}", n);
    *ret = (struct event){.id = str_from(id),
                          .account = STR("1001"),
                          .region = REGION,
                          .purpose = EVENT_FOR_DELIVERY | EVENT_FOR_HISTORY,
                          .time_ms = NOW_MS - n % 3 * 86400000LL + n,
                          .received_ms = NOW_MS,
                          .service = STR("Ecs"),
                          .name = STR("RunInstances"),
                          .user = STR("root"),
                          .document = str_from(document)};
}

/* What the worker does: from the position on, committed now and then. */
static int write_from_position(struct history_writer *w)
{
    int64_t from = history_writer_position(w)->next;
    struct why why = {0};
    int r = 0;

    if (from < 0) {
        r = history_writer_begin(w, STR("G"), 0, &why);
        from = 0;
    }
    for (int i = (int)from; r >= 0 && i < EVENTS; i++) {
        char id[16], document[64];
        struct event event;

        event_of(i, id, document, &event);
        r = history_writer_add(w, &event, i, &why);
        if (r >= 0 && i % 11 == 10)
            r = history_writer_commit(w, i + 1, &why);
    }
    return r < 0 ? r : history_writer_commit(w, EVENTS, &why);
}

/* Again with the same handle, as after an error that passes; and with a new one, as after one that ends the worker. */
static int write_all(const char *folder)
{
    AUTO(history_writer_close) struct history_writer *w = NULL;
    struct why why = {0};
    int r = history_writer_open(folder, REGION, 0, &w, &why);

    if (r == 0)
        r = write_from_position(w);
    if (r == 0 || !fault_over())
        return r;
    if (w && err_class(r) == ERR_CLASS_RETRY)
        return write_from_position(w);
    history_writer_close(w);
    w = NULL;
    r = history_writer_open(folder, REGION, 0, &w, &why);
    return r < 0 ? r : write_from_position(w);
}

static int read_pages(const char *folder)
{
    AUTO(history_reader_close) struct history_reader *reader = NULL;
    AUTO(arena_free) struct arena *arena = arena_new(1 << 20);
    struct history_query query = {.region = REGION,
                                  .account = STR("1001"),
                                  .start_ms = 0,
                                  .end_ms = NOW_MS + 86400000,
                                  .limit = 7};
    struct history_page page = {.more = true};
    struct history_cursor cursor;
    int r = arena ? history_reader_open(folder, &reader, NULL) : -ERR_NOMEM;

    query.filters[query.filter_count++] = (struct history_filter){HISTORY_SERVICE_NAME, STR("Ecs")};
    while (r == 0 && page.more) {
        r = history_reader_query(reader, &query, arena, &page, NULL);
        if (r < 0 && fault_over())
            r = history_reader_query(reader, &query, arena, &page, NULL);
        for (size_t i = 0; r == 0 && i < page.count; i++)
            note_str("event", page.documents[i]);
        cursor = page.next;
        query.after = &cursor;
    }
    return r;
}

static int history_written(void)
{
    const char *folder = folder_make_new();
    int r = write_all(folder);

    if (r == 0 && fault_over()) { /* the position says that all is there: so it has to be */
        r = read_pages(folder);
        PROMISE(r == 0);
    } else if (r == 0) {
        r = read_pages(folder);
    }
    folder_remove(folder);
    return r;
}

static int history_read(void)
{
    const char *folder = folder_make_new();
    int r;

    fault_pause(true);
    CHECK(write_all(folder) == 0);
    fault_pause(false);
    r = read_pages(folder);
    folder_remove(folder);
    return r;
}

TORTURE({"history written", history_written, 80}, {"history read", history_read, 80})
