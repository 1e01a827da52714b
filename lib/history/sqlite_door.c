/* sqlite_door.c - opening checks that a file is ours and of our version before anything else. */
#include "history/sqlite_door.h"

#include <errno.h>
#include <stdio.h>

#include "history/folder.h"

static struct str file_of(sqlite3 *db)
{
    return str_from(db ? sqlite3_db_filename(db, "main") : NULL);
}

int sqlite_error(sqlite3 *db, struct why *reterr_why)
{
    struct str file = file_of(db);
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    const char *text = db ? sqlite3_errmsg(db) : "no memory";
    int system = db ? sqlite3_system_errno(db) : 0;

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return why_set(reterr_why, -ERR_UNAVAILABLE, "'" STR_FMT "' is locked by another process",
                       STR_ARG(file));
    case SQLITE_FULL:
        return why_set(reterr_why, -ERR_UNAVAILABLE, "no space left for '" STR_FMT "'",
                       STR_ARG(file));
    case SQLITE_NOMEM:
        return why_set(reterr_why, -ERR_NOMEM, "no memory for '" STR_FMT "'", STR_ARG(file));
    case SQLITE_CORRUPT:
        return why_set(reterr_why, -ERR_IO, "'" STR_FMT "' is damaged: %s", STR_ARG(file), text);
    case SQLITE_NOTADB:
        return why_set(reterr_why, -ERR_CONFIG, "'" STR_FMT "' is not a file of the history",
                       STR_ARG(file));
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return why_set(reterr_why, -ERR_CONFIG, "'" STR_FMT "' may not be used: %s", STR_ARG(file),
                       text);
    case SQLITE_CANTOPEN:
        if (system == EMFILE || system == ENFILE)
            return why_set(reterr_why, -ERR_UNAVAILABLE, "no descriptor left for '" STR_FMT "'",
                           STR_ARG(file));
        /* What cannot be made for want of space is tried once more without making it, hence ENOENT. */
        if (system == ENOENT)
            return why_set(reterr_why, -ERR_UNAVAILABLE, "cannot make '" STR_FMT "'",
                           STR_ARG(file));
        return why_set(reterr_why, system_error(system, -ERR_CONFIG),
                       "cannot open '" STR_FMT "': %s", STR_ARG(file),
                       system ? strerror(system) : text);
    case SQLITE_IOERR: /* the shared memory beside a file is a file that has to grow, too */
        return why_set(reterr_why,
                       code == SQLITE_IOERR_SHMSIZE ? -ERR_UNAVAILABLE
                                                    : system_error(system, -ERR_IO),
                       "'" STR_FMT "': %s (%d): %s", STR_ARG(file), text, code, strerror(system));
    default:
        return why_set(reterr_why, -ERR_BUG, "'" STR_FMT "': %s (%d)", STR_ARG(file), text, code);
    }
}

void sqlite_close(sqlite3 *db)
{
    if (db)
        CHECK(sqlite3_close(db) == SQLITE_OK); /* else a statement was not finalized */
}

int sqlite_run(sqlite3 *db, const char *sql, struct why *reterr_why)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_error(db, reterr_why);
    return 0;
}

int sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct why *reterr_why)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
        return sqlite_error(db, reterr_why);
    return 0;
}

int sqlite_step(sqlite3_stmt *statement, struct why *reterr_why)
{
    int code = sqlite3_step(statement), r = 0;
    if (code == SQLITE_ROW)
        return 1;
    if (code != SQLITE_DONE)
        r = sqlite_error(sqlite3_db_handle(statement), reterr_why);
    sqlite3_reset(statement);
    return r;
}

int sqlite_step_done(sqlite3_stmt *statement, struct why *reterr_why)
{
    int r = sqlite_step(statement, reterr_why);
    CHECK(r <= 0);
    return r;
}

static int pragma_number(sqlite3 *db, const char *sql, int *ret, struct why *reterr_why)
{
    __attribute__((cleanup(auto_sqlite_finalize))) sqlite3_stmt *statement = NULL;
    int r = sqlite_prepare(db, sql, &statement, reterr_why);
    if (r < 0)
        return r;
    r = sqlite_step(statement, reterr_why);
    if (r < 0)
        return r;
    *ret = r ? sqlite3_column_int(statement, 0) : 0;
    return 0;
}

/* All three as of one moment: in between, somebody may make the schema. */
static int read_kind(sqlite3 *db, int *ret_application_id, int *ret_version, int *ret_tables,
                     struct why *reterr_why)
{
    int r = sqlite_run(db, "BEGIN", reterr_why);

    if (r == 0)
        r = pragma_number(db, "PRAGMA application_id", ret_application_id, reterr_why);
    if (r == 0)
        r = pragma_number(db, "PRAGMA user_version", ret_version, reterr_why);
    if (r == 0)
        r = pragma_number(db, "SELECT count(*) FROM sqlite_schema", ret_tables, reterr_why);
    return r < 0 ? r : sqlite_run(db, "COMMIT", reterr_why);
}

/* 1: ours; 0: empty. Foreign bytes and other versions are errors. */
static int check_kind(sqlite3 *db, const struct sqlite_kind *kind, struct why *reterr_why)
{
    int application_id, version, tables;
    int r = read_kind(db, &application_id, &version, &tables, reterr_why);

    if (r < 0)
        return r;
    if (application_id == 0 && version == 0 && tables == 0)
        return 0;
    if (application_id != kind->application_id)
        return why_set(reterr_why, -ERR_CONFIG, "'" STR_FMT "' is not a file of the history",
                       STR_ARG(file_of(db)));
    if (version != kind->version)
        return why_set(reterr_why, -ERR_CONFIG,
                       "'" STR_FMT "' has schema %d, this program knows %d", STR_ARG(file_of(db)),
                       version, kind->version);
    return 1;
}

static int open_file(const char *path, int flags, sqlite3 **ret, struct why *reterr_why)
{
    int r;
    if (sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        r = sqlite_error(*ret, reterr_why);
        sqlite_close(*ret);
        *ret = NULL;
        return r;
    }
    /* A page that is not as SQLite left it, a schema made up by someone: errors, never a crash. */
    (void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(*ret, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_busy_timeout(*ret, SQLITE_DOOR_BUSY_MS);
    return sqlite_run(*ret, "PRAGMA cell_size_check=ON", reterr_why);
}

/* All or nothing: a reader meets an empty file or a whole one. */
static int make_schema(sqlite3 *db, const struct sqlite_kind *kind, struct why *reterr_why)
{
    char numbers[96];
    int r = sqlite_run(db, "BEGIN IMMEDIATE", reterr_why);
    if (r < 0)
        return r;
    r = sqlite_run(db, kind->schema, reterr_why);
    snprintf(numbers, sizeof numbers, "PRAGMA application_id=%d; PRAGMA user_version=%d",
             kind->application_id, kind->version);
    if (r == 0)
        r = sqlite_run(db, numbers, reterr_why);
    if (r == 0)
        r = sqlite_run(db, "COMMIT", reterr_why);
    return r;
}

int sqlite_open_writer(const char *path, const struct sqlite_kind *kind, sqlite3 **ret,
                       struct why *reterr_why)
{
    __attribute__((cleanup(auto_sqlite_close))) sqlite3 *db = NULL;
    int r = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db, reterr_why);
    if (r < 0)
        return r;
    r = check_kind(db, kind, reterr_why);
    if (r < 0)
        return r;
    bool made = r == 1;
    r = sqlite_run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", reterr_why);
    if (r == 0 && !made)
        r = make_schema(db, kind, reterr_why);
    if (r < 0)
        return r;
    *ret = db;
    db = NULL;
    return 0;
}

int sqlite_open_reader(const char *path, const struct sqlite_kind *kind, sqlite3 **ret,
                       struct why *reterr_why)
{
    __attribute__((cleanup(auto_sqlite_close))) sqlite3 *db = NULL;
    int r = open_file(path, SQLITE_OPEN_READONLY, &db, reterr_why);
    if (r == 0)
        r = check_kind(db, kind, reterr_why);
    if (r == 1) {
        *ret = db;
        db = NULL;
    }
    return r;
}
