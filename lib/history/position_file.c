/* position_file.c - position.<partition>.db beside partition.<partition>.lock.
 *
 * Once there is a position, new ones are not waited for (synchronous=NORMAL): the days that one speaks of
 * are durable already, and an older one after a power cut only makes input come again.
 */
#include "history/position_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history/day_file.h"
#include "history/folder.h"
#include "history/sqlite_door.h"

static const struct sqlite_kind position_kind = {
    .application_id = 0x54424850, /* "TBHP" */
    .version = 2,
    .schema = "CREATE TABLE position(generation TEXT NOT NULL, next INTEGER NOT NULL,"
              " note TEXT NOT NULL);"
              "INSERT INTO position VALUES('', -1, '')",
};

struct position_file {
    int lock_fd;
    sqlite3 *db;
    sqlite3_stmt *set;
    struct history_position now;
};

/* flock() belongs to the open file: gone with the process, however that ends. */
static int take_lock(const char *folder, int32_t partition, int *ret_fd, struct why *reterr_why)
{
    char path[PATH_SIZE_MAX];
    snprintf(path, sizeof path, "%s/partition.%d.lock", folder, partition);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return why_set(reterr_why, system_error(errno, -ERR_CONFIG), "cannot open '%s': %s", path,
                       strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return 0;
    }
    int error = errno;
    close(fd);
    if (error == EWOULDBLOCK)
        return why_set(reterr_why, -ERR_UNAVAILABLE,
                       "another process still writes partition %d of '%s'", partition, folder);
    return why_set(reterr_why, -ERR_IO, "cannot lock '%s': %s", path, strerror(error));
}

static int read_position(struct position_file *f, struct why *reterr_why)
{
    __attribute__((cleanup(auto_sqlite_finalize))) sqlite3_stmt *statement = NULL;
    int r = sqlite_prepare(f->db, "SELECT generation, next, note FROM position", &statement,
                           reterr_why);
    if (r < 0)
        return r;
    r = sqlite_step(statement, reterr_why);
    if (r < 0)
        return r;
    struct str generation = r ? sqlite_column_str(statement, 0) : STR_NONE;
    if (r == 0 || generation.len >= sizeof f->now.generation)
        return why_set(reterr_why, -ERR_IO, "'%s' is damaged: no position",
                       sqlite3_db_filename(f->db, "main"));
    if (generation.len > 0)
        memcpy(f->now.generation, generation.at, generation.len);
    f->now.next = sqlite3_column_int64(statement, 1);
    struct str note = sqlite_column_str(statement, 2);
    if (note.len >= sizeof f->now.note)
        return why_set(reterr_why, -ERR_IO, "'%s' is damaged: no position",
                       sqlite3_db_filename(f->db, "main"));
    if (note.len > 0)
        memcpy(f->now.note, note.at, note.len);
    return 0;
}

static int be_lazy(struct position_file *f, struct why *reterr_why)
{
    return f->now.next < 0 ? 0 : sqlite_run(f->db, "PRAGMA synchronous=NORMAL", reterr_why);
}

int position_file_open(const char *folder, int32_t partition, struct position_file **ret,
                       struct why *reterr_why)
{
    AUTO(position_file_close) struct position_file *f = calloc(1, sizeof *f);
    char path[PATH_SIZE_MAX];

    if (!f)
        return -ERR_NOMEM;
    f->lock_fd = -1;
    int r = take_lock(folder, partition, &f->lock_fd, reterr_why);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "%s/position.%d.db", folder, partition);
    r = sqlite_open_writer(path, &position_kind, &f->db, reterr_why);
    if (r == 0)
        r = read_position(f, reterr_why);
    if (r == 0)
        r = be_lazy(f, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db, "UPDATE position SET generation=?1, next=?2, note=?3", &f->set,
                           reterr_why);
    if (r < 0)
        return r;
    *ret = f;
    f = NULL;
    return 0;
}

void position_file_close(struct position_file *f)
{
    if (!f)
        return;
    sqlite3_finalize(f->set);
    sqlite_close(f->db);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    free(f);
}

const struct history_position *position_file_get(const struct position_file *f)
{
    return &f->now;
}

/* Files that were taken away take what is written to them along; nobody would see it but us. */
static int still_there(const struct position_file *f, struct why *reterr_why)
{
    struct stat st;

    if (fstat(f->lock_fd, &st) == 0 && st.st_nlink > 0)
        return 0;
    return why_set(reterr_why, -ERR_UNAVAILABLE,
                   "'%s' was taken away with its folder: beginning anew",
                   sqlite3_db_filename(f->db, "main"));
}

int position_file_set(struct position_file *f, struct str generation, int64_t next,
                      const char *note, struct why *reterr_why)
{
    CHECK(generation.len < sizeof f->now.generation && next >= 0);
    int r = still_there(f, reterr_why);
    if (r < 0)
        return r;
    sqlite_bind_str(f->set, 1, generation);
    sqlite3_bind_int64(f->set, 2, next);
    sqlite_bind_str(f->set, 3, str_from(note));
    r = sqlite_step_done(f->set, reterr_why);
    if (r < 0)
        return r;
    if (generation.at != f->now.generation) {
        memset(f->now.generation, 0, sizeof f->now.generation);
        memcpy(f->now.generation, generation.at, generation.len);
    }
    bool first = f->now.next < 0;
    f->now.next = next;
    if (note != f->now.note)
        snprintf(f->now.note, sizeof f->now.note, "%s", note);
    return first ? be_lazy(f, reterr_why) : 0;
}
