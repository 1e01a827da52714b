/* day_file.c - statements over one file. A batch's entries are kept aside and inserted in order of key
 * at its commit: so that neighbours meet in the same pages.
 */
#include "history/day_file.h"

#include <stdio.h>

#include "history/sqlite_door.h"

/* Pages that the writer keeps, and how many it lets the log grow before they go home. */
#define WRITER_PRAGMAS "PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=8000"
#define READER_PRAGMAS "PRAGMA cache_size=-256; PRAGMA query_only=ON"

static const struct sqlite_kind day_kind = {
    .application_id = 0x54424859, /* "TBHY" */
    .version = 1,
    .schema = "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
              "CREATE TABLE event(number INTEGER PRIMARY KEY, account TEXT NOT NULL,"
              " id TEXT NOT NULL, document TEXT NOT NULL);"
              "CREATE TABLE entry(key INTEGER NOT NULL, time INTEGER NOT NULL,"
              " number INTEGER NOT NULL, PRIMARY KEY(key, time, number)) WITHOUT ROWID;"
              "INSERT INTO meta VALUES('secret', randomblob(16)), ('generation', ''), ('next', 0)",
};

void day_name(int32_t day, int32_t partition, char ret[DAY_NAME_SIZE])
{
    struct time_parts t = time_split(day * (DAY_MS / 1000));
    CHECK(day >= 0 && day <= DAY_MAX && partition >= 0);
    snprintf(ret, DAY_NAME_SIZE, "%04d-%02d-%02d.%d.db", t.year, t.month, t.day, partition);
}

bool day_name_parse(struct str name, int32_t *ret_day, int32_t *ret_partition)
{
    struct str rest = name, date, number, end;
    char text[TIME_TEXT_SIZE];
    int64_t seconds, partition;

    if (!str_split(&rest, '.', &date) || !str_split(&rest, '.', &number) ||
        !str_split(&rest, '.', &end) || rest.len > 0 || !str_eq(end, STR("db")) || date.len != 10)
        return false;
    snprintf(text, sizeof text, STR_FMT "T00:00:00Z", STR_ARG(date));
    if (!time_parse(str_from(text), &seconds) || seconds < 0 || !str_to_i64(number, &partition) ||
        partition < 0 || partition > INT32_MAX)
        return false;
    *ret_day = (int32_t)(seconds / (DAY_MS / 1000));
    *ret_partition = (int32_t)partition;
    return true;
}

static int read_secret(sqlite3 *db, struct keys_secret *ret, struct why *reterr_why)
{
    __attribute__((cleanup(auto_sqlite_finalize))) sqlite3_stmt *statement = NULL;
    int r =
        sqlite_prepare(db, "SELECT value FROM meta WHERE name='secret'", &statement, reterr_why);
    if (r < 0)
        return r;
    r = sqlite_step(statement, reterr_why);
    if (r < 0)
        return r;
    struct str secret = r ? sqlite_column_str(statement, 0) : STR_NONE;
    if (secret.len != KEYS_SECRET_SIZE)
        return why_set(reterr_why, -ERR_IO, "'%s' is damaged: no secret",
                       sqlite3_db_filename(db, "main"));
    memcpy(ret->bytes, secret.at, KEYS_SECRET_SIZE);
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------------ */

struct entry {
    int64_t key, time, number;
};

struct day_writer {
    sqlite3 *db;
    sqlite3_stmt *add_event, *add_entry, *find_id, *get_event, *set_meta;
    struct keys_secret secret;
    char generation[HISTORY_GENERATION_SIZE];
    int64_t next;        /* input before it is applied, of this generation */
    int64_t number_next; /* of the next event */
    bool dirty;
    struct entry *entries; /* waiting for the commit */
    size_t entry_count, entry_cap;
};

static int read_applied(struct day_writer *w, struct why *reterr_why)
{
    __attribute__((cleanup(auto_sqlite_finalize))) sqlite3_stmt *statement = NULL;
    int r = sqlite_prepare(w->db,
                           "SELECT (SELECT value FROM meta WHERE name='generation'),"
                           " (SELECT value FROM meta WHERE name='next'),"
                           " (SELECT max(number) FROM event)",
                           &statement, reterr_why);
    if (r < 0)
        return r;
    r = sqlite_step(statement, reterr_why);
    if (r < 0)
        return r;
    struct str generation = sqlite_column_str(statement, 0);
    if (generation.len >= sizeof w->generation)
        return why_set(reterr_why, -ERR_IO, "'%s' is damaged: generation",
                       sqlite3_db_filename(w->db, "main"));
    memset(w->generation, 0, sizeof w->generation);
    if (generation.len > 0)
        memcpy(w->generation, generation.at, generation.len);
    w->next = sqlite3_column_int64(statement, 1);
    w->number_next = sqlite3_column_int64(statement, 2) + 1;
    return 0;
}

static int prepare_writer(struct day_writer *w, struct why *reterr_why)
{
    int r = sqlite_run(w->db, WRITER_PRAGMAS, reterr_why);
    if (r == 0)
        r = sqlite_prepare(w->db, "INSERT INTO event VALUES(?1, ?2, ?3, ?4)", &w->add_event,
                           reterr_why);
    if (r == 0)
        r = sqlite_prepare(w->db, "INSERT INTO entry VALUES(?1, ?2, ?3)", &w->add_entry,
                           reterr_why);
    if (r == 0)
        r = sqlite_prepare(w->db, "SELECT number FROM entry WHERE key=?1", &w->find_id, reterr_why);
    if (r == 0)
        r = sqlite_prepare(w->db, "SELECT account, id FROM event WHERE number=?1", &w->get_event,
                           reterr_why);
    if (r == 0)
        r = sqlite_prepare(w->db, "UPDATE meta SET value=?2 WHERE name=?1", &w->set_meta,
                           reterr_why);
    return r;
}

int day_writer_open(const char *path, struct day_writer **ret, struct why *reterr_why)
{
    struct day_writer *w = calloc(1, sizeof *w);
    if (!w)
        return -ERR_NOMEM;
    int r = sqlite_open_writer(path, &day_kind, &w->db, reterr_why);
    if (r == 0)
        r = read_secret(w->db, &w->secret, reterr_why);
    if (r == 0)
        r = read_applied(w, reterr_why);
    if (r == 0)
        r = prepare_writer(w, reterr_why);
    if (r < 0) {
        day_writer_close(w);
        return r;
    }
    *ret = w;
    return 0;
}

void day_writer_close(struct day_writer *w)
{
    if (!w)
        return;
    sqlite3_finalize(w->add_event);
    sqlite3_finalize(w->add_entry);
    sqlite3_finalize(w->find_id);
    sqlite3_finalize(w->get_event);
    sqlite3_finalize(w->set_meta);
    sqlite_close(w->db);
    free(w->entries);
    free(w);
}

bool day_writer_dirty(const struct day_writer *w)
{
    return w->dirty;
}

static int64_t id_key(const struct keys_secret *secret, struct str account, struct str id)
{
    struct history_filter filter = {.attribute = HISTORY_EVENT_ID, .value = id};
    return keys_of_query(secret, KEYS_ALL, account, &filter, 1);
}

/* Through the index and then by the bytes themselves: what is taken for a duplicate is lost. */
static int find_event(sqlite3_stmt *find_id, sqlite3_stmt *get_event, int64_t key,
                      struct str account, struct str id, struct why *reterr_why)
{
    int r;
    bool found = false;

    sqlite3_bind_int64(find_id, 1, key);
    while (!found && (r = sqlite_step(find_id, reterr_why)) > 0) {
        sqlite3_bind_int64(get_event, 1, sqlite3_column_int64(find_id, 0));
        r = sqlite_step(get_event, reterr_why);
        if (r < 0)
            break;
        found = r && str_eq(sqlite_column_str(get_event, 0), account) &&
                str_eq(sqlite_column_str(get_event, 1), id);
        sqlite3_reset(get_event);
    }
    sqlite3_reset(find_id);
    return found ? 1 : r;
}

static int add_entries(struct day_writer *w, const int64_t *keys, size_t count, int64_t time)
{
    if (w->entry_count + count > w->entry_cap) {
        size_t cap = MAX_OF(2 * w->entry_cap, w->entry_count + count + 1024);
        struct entry *grown = reallocarray(w->entries, cap, sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        w->entries = grown;
        w->entry_cap = cap;
    }
    for (size_t i = 0; i < count; i++)
        w->entries[w->entry_count++] = (struct entry){keys[i], time, w->number_next};
    return 0;
}

static int add_entry_now(struct day_writer *w, const struct entry *entry, struct why *reterr_why)
{
    sqlite3_bind_int64(w->add_entry, 1, entry->key);
    sqlite3_bind_int64(w->add_entry, 2, entry->time);
    sqlite3_bind_int64(w->add_entry, 3, entry->number);
    return sqlite_step_done(w->add_entry, reterr_why);
}

/* The entry of the event id goes in at once, so that a duplicate in the same batch meets it. */
static int add_event(struct day_writer *w, const struct event *event, int64_t key_of_id,
                     struct why *reterr_why)
{
    int64_t keys[KEYS_MAX], time = event->time_ms % DAY_MS;
    size_t count = keys_of_event(&w->secret, event, keys), kept = 0;

    sqlite3_bind_int64(w->add_event, 1, w->number_next);
    sqlite_bind_str(w->add_event, 2, event->account);
    sqlite_bind_str(w->add_event, 3, event->id);
    sqlite_bind_str(w->add_event, 4, event->document);
    int r = sqlite_step_done(w->add_event, reterr_why);
    if (r == 0)
        r = add_entry_now(w, &(struct entry){key_of_id, time, w->number_next}, reterr_why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        if (keys[i] != key_of_id)
            keys[kept++] = keys[i];
    r = add_entries(w, keys, kept, time);
    if (r == 0)
        w->number_next++;
    return r;
}

int day_writer_holds(struct day_writer *w, struct str account, struct str id,
                     struct why *reterr_why)
{
    return find_event(w->find_id, w->get_event, id_key(&w->secret, account, id), account, id,
                      reterr_why);
}

int day_writer_restore(struct day_writer *w, const struct event *event, struct why *reterr_why)
{
    int64_t key = id_key(&w->secret, event->account, event->id);
    int r;

    CHECK(event->time_ms >= 0);
    if (!w->dirty) {
        r = sqlite_run(w->db, "BEGIN IMMEDIATE", reterr_why);
        if (r < 0)
            return r;
        w->dirty = true;
    }
    r = find_event(w->find_id, w->get_event, key, event->account, event->id, reterr_why);
    if (r != 0)
        return r < 0 ? r : 0;
    r = add_event(w, event, key, reterr_why);
    return r < 0 ? r : 1;
}

int day_writer_add(struct day_writer *w, struct str generation, int64_t offset,
                   const struct event *event, struct why *reterr_why)
{
    if (str_eq(str_from(w->generation), generation) && offset < w->next)
        return 0;
    return day_writer_restore(w, event, reterr_why);
}

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int set_meta(struct day_writer *w, const char *name, struct why *reterr_why)
{
    sqlite3_bind_text(w->set_meta, 1, name, -1, SQLITE_STATIC);
    return sqlite_step_done(w->set_meta, reterr_why);
}

static int set_applied(struct day_writer *w, struct str generation, int64_t next,
                       struct why *reterr_why)
{
    sqlite_bind_str(w->set_meta, 2, generation);
    int r = set_meta(w, "generation", reterr_why);
    if (r < 0)
        return r;
    sqlite3_bind_int64(w->set_meta, 2, next);
    return set_meta(w, "next", reterr_why);
}

static int insert_entries(struct day_writer *w, struct why *reterr_why)
{
    int r;

    CHECK(w->dirty);
    qsort(w->entries, w->entry_count, sizeof *w->entries, entry_cmp);
    for (size_t i = 0; i < w->entry_count; i++) {
        if (i > 0 && entry_cmp(&w->entries[i - 1], &w->entries[i]) == 0)
            continue; /* two resources of one type */
        r = add_entry_now(w, &w->entries[i], reterr_why);
        if (r < 0)
            return r;
    }
    return 0;
}

int day_writer_commit_restored(struct day_writer *w, struct why *reterr_why)
{
    int r = insert_entries(w, reterr_why);

    if (r == 0)
        r = sqlite_run(w->db, "COMMIT", reterr_why);
    if (r < 0)
        return r;
    w->entry_count = 0;
    w->dirty = false;
    return 0;
}

int day_writer_commit(struct day_writer *w, struct str generation, int64_t next,
                      struct why *reterr_why)
{
    int r;

    CHECK(generation.len < sizeof w->generation);
    r = set_applied(w, generation, next, reterr_why);
    if (r == 0)
        r = day_writer_commit_restored(w, reterr_why);
    if (r < 0)
        return r;
    memcpy(w->generation, generation.at, generation.len);
    w->generation[generation.len] = '\0';
    w->next = next;
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct day_reader {
    sqlite3 *db;
    sqlite3_stmt *forward, *backward, *walking, *fetch, *has, *find_id, *get_event;
    struct keys_secret secret;
};

static int prepare_reader(struct day_reader *f, struct why *reterr_why)
{
    int r = sqlite_run(f->db, READER_PRAGMAS, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db,
                           "SELECT time, number FROM entry WHERE key=?1 AND (time, number)>(?2, ?3)"
                           " AND time<?4 ORDER BY time, number",
                           &f->forward, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db,
                           "SELECT time, number FROM entry WHERE key=?1 AND (time, number)<(?2, ?3)"
                           " AND time>=?4 ORDER BY time DESC, number DESC",
                           &f->backward, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db, "SELECT account, id, document FROM event WHERE number=?1",
                           &f->fetch, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db, "SELECT 1 FROM entry WHERE key=?1 LIMIT 1", &f->has, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db, "SELECT number FROM entry WHERE key=?1", &f->find_id, reterr_why);
    if (r == 0)
        r = sqlite_prepare(f->db, "SELECT account, id FROM event WHERE number=?1", &f->get_event,
                           reterr_why);
    return r;
}

int day_reader_open(const char *path, struct day_reader **ret, struct why *reterr_why)
{
    struct day_reader *f = calloc(1, sizeof *f);
    if (!f)
        return -ERR_NOMEM;
    int r = sqlite_open_reader(path, &day_kind, &f->db, reterr_why);
    bool there = r > 0;
    if (there)
        r = read_secret(f->db, &f->secret, reterr_why);
    if (there && r == 0)
        r = prepare_reader(f, reterr_why);
    if (r < 0 || !there) {
        day_reader_close(f);
        return r;
    }
    *ret = f;
    return 1;
}

void day_reader_close(struct day_reader *f)
{
    if (!f)
        return;
    sqlite3_finalize(f->forward);
    sqlite3_finalize(f->backward);
    sqlite3_finalize(f->fetch);
    sqlite3_finalize(f->has);
    sqlite3_finalize(f->find_id);
    sqlite3_finalize(f->get_event);
    sqlite_close(f->db);
    free(f);
}

const struct keys_secret *day_reader_secret(const struct day_reader *f)
{
    return &f->secret;
}

void day_reader_walk(struct day_reader *f, const struct day_walk *walk)
{
    day_reader_rest(f);
    f->walking = walk->direction == HISTORY_FORWARD ? f->forward : f->backward;
    sqlite3_bind_int64(f->walking, 1, walk->key);
    sqlite3_bind_int64(f->walking, 2, walk->after.time);
    sqlite3_bind_int64(f->walking, 3, walk->after.number);
    sqlite3_bind_int64(f->walking, 4, walk->end);
}

int day_reader_next(struct day_reader *f, struct day_place *ret, struct why *reterr_why)
{
    int r = f->walking ? sqlite_step(f->walking, reterr_why) : 0;
    if (r <= 0) {
        f->walking = NULL;
        return r;
    }
    ret->time = sqlite3_column_int64(f->walking, 0);
    ret->number = sqlite3_column_int64(f->walking, 1);
    return 1;
}

int day_reader_fetch(struct day_reader *f, int64_t number, struct day_row *ret,
                     struct why *reterr_why)
{
    sqlite3_reset(f->fetch);
    sqlite3_bind_int64(f->fetch, 1, number);
    int r = sqlite_step(f->fetch, reterr_why);
    if (r < 0)
        return r;
    if (r == 0)
        return why_set(reterr_why, -ERR_IO, "'%s' is damaged: an entry without its event",
                       sqlite3_db_filename(f->db, "main"));
    ret->account = sqlite_column_str(f->fetch, 0);
    ret->id = sqlite_column_str(f->fetch, 1);
    ret->document = sqlite_column_str(f->fetch, 2);
    return 0;
}

int day_reader_has(struct day_reader *f, int64_t key, struct why *reterr_why)
{
    sqlite3_bind_int64(f->has, 1, key);
    int r = sqlite_step(f->has, reterr_why);
    sqlite3_reset(f->has);
    return r;
}

int day_reader_holds(struct day_reader *f, struct str account, struct str id,
                     struct why *reterr_why)
{
    return find_event(f->find_id, f->get_event, id_key(&f->secret, account, id), account, id,
                      reterr_why);
}

void day_reader_rest(struct day_reader *f)
{
    if (f->walking)
        sqlite3_reset(f->walking);
    f->walking = NULL;
    sqlite3_reset(f->fetch);
}
