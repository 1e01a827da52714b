/* sqlite_door.h - what every use of SQLite here has in common: opening, small statements, errors.
 *
 * Durability: WAL with synchronous=FULL unless said otherwise. A commit is on the disk when it returns; so
 * of two commits to two files the second is never durable without the first.
 *
 * Layer: I/O; private to lib/history. DEPS base.
 */
#ifndef HISTORY_SQLITE_DOOR_H
#define HISTORY_SQLITE_DOOR_H

#include <sqlite3.h>

#include "base/base.h"

#define SQLITE_DOOR_BUSY_MS 2000 /* a checkpoint or recovery by another process */

/* A kind of file: SQLite's application_id says that it is ours, user_version which schema it has. */
struct sqlite_kind {
    int application_id;
    int version;
    const char *schema; /* creates it */
};

/* Opens a file to write, makes it when it is not there. -ERR_UNAVAILABLE, -ERR_CONFIG, -ERR_IO. */
MUST_CHECK int sqlite_open_writer(const char *path, const struct sqlite_kind *kind, sqlite3 **ret,
                                  struct why *reterr_why);
/* 1: opened; 0: not there, or not quite made yet. */
MUST_CHECK int sqlite_open_reader(const char *path, const struct sqlite_kind *kind, sqlite3 **ret,
                                  struct why *reterr_why);
void sqlite_close(sqlite3 *db); /* takes NULL */

MUST_CHECK int sqlite_run(sqlite3 *db, const char *sql, struct why *reterr_why);
MUST_CHECK int sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret,
                              struct why *reterr_why);
/* 1: a row; 0: done, and reset. An error resets too. */
MUST_CHECK int sqlite_step(sqlite3_stmt *statement, struct why *reterr_why);
/* Steps a statement that gives no rows. */
MUST_CHECK int sqlite_step_done(sqlite3_stmt *statement, struct why *reterr_why);

/* What SQLite's last error of `db` means to a worker, with the file's name in the sentence. */
int sqlite_error(sqlite3 *db, struct why *reterr_why);

static inline void auto_sqlite_close(sqlite3 **db)
{
    sqlite_close(*db);
}
static inline void auto_sqlite_finalize(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

static inline void sqlite_bind_str(sqlite3_stmt *statement, int at, struct str value)
{
    /* An empty text is not NULL. */
    (void)sqlite3_bind_text64(statement, at, value.len ? value.at : "", value.len, SQLITE_STATIC,
                              SQLITE_UTF8);
}
static inline struct str sqlite_column_str(sqlite3_stmt *statement, int at)
{
    const void *bytes = sqlite3_column_blob(statement, at);
    return str_of(bytes, bytes ? (size_t)sqlite3_column_bytes(statement, at) : 0);
}

#endif
