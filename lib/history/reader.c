/* reader.c - a page out of the files of many days and partitions.
 *
 * Days are visited in the query's direction. Within one, each file gives its matches in order of (time,
 * number), and the least by (time, source, number) is taken until the page is full:
 *
 *     2026-11-22            2026-11-23
 *     [p0] . . . .          [p0] . . x       x: the next by time, then by source
 *     [p1] . .              [p1]   x
 *     [global p0] .         [global p0]  x
 *
 * Which files there are is learned from the folder, again whenever it changed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "history/day_file.h"
#include "topology/topology.h"

#define REGIONS_MAX      64
#define SOURCE_GLOBAL    (1 << 30) /* beside the partition: another region's global events */
#define FOLDER_SETTLE_MS 2000      /* a folder changed so lately may change without a new time */

struct known_file {
    int32_t day, partition;
    ino_t inode;
    struct day_reader *open; /* NULL until a query needs it */
    uint64_t used;
};

struct store {
    char region[REGION_SIZE_MAX + 1];
    struct timespec changed; /* the folder, when it was listed */
    bool settled;
    struct known_file *files; /* by day, then partition */
    size_t file_count;
};

/* One file's part in one day of a query. */
struct walker {
    struct day_reader *file;
    int32_t source;
    struct day_place place;
    bool alive;
    enum { UNKNOWN, YES, NO } holds_account;
};

struct history_reader {
    char directory[PATH_SIZE_MAX - REGION_SIZE_MAX - DAY_NAME_SIZE - 4];
    struct store stores[REGIONS_MAX];
    size_t store_count;
    uint64_t queries;
    size_t open_count;
    struct walker *walkers;
    size_t walker_count, walker_cap;
};

/* ---- files -------------------------------------------------------------------------------------- */

int history_reader_open(const char *directory, struct history_reader **ret, struct why *reterr_why)
{
    struct stat st;
    struct history_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return -ERR_NOMEM;
    int len = snprintf(reader->directory, sizeof reader->directory, "%s", directory);
    if (len < 0 || (size_t)len >= sizeof reader->directory || stat(directory, &st) < 0 ||
        !S_ISDIR(st.st_mode)) {
        free(reader);
        return why_set(reterr_why, -ERR_CONFIG, "there is no folder '%s'", directory);
    }
    *ret = reader;
    return 0;
}

static void file_close(struct history_reader *reader, struct known_file *file)
{
    if (!file->open)
        return;
    day_reader_close(file->open);
    file->open = NULL;
    reader->open_count--;
}

static void store_forget(struct history_reader *reader, struct store *store)
{
    for (size_t i = 0; i < store->file_count; i++)
        file_close(reader, &store->files[i]);
    free(store->files);
    store->files = NULL;
    store->file_count = 0;
    store->settled = false;
}

void history_reader_close(struct history_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < reader->store_count; i++)
        store_forget(reader, &reader->stores[i]);
    free(reader->walkers);
    free(reader);
}

static int file_cmp(const void *a, const void *b)
{
    const struct known_file *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return x->partition < y->partition ? -1 : x->partition > y->partition;
}

static int folder_list(DIR *folder, struct known_file **ret, size_t *ret_count)
{
    struct known_file *files = NULL, *grown;
    size_t count = 0, cap = 0;
    struct dirent *entry;

    while (errno = 0, (entry = readdir(folder))) {
        struct known_file file = {.inode = entry->d_ino};
        if (!day_name_parse(str_from(entry->d_name), &file.day, &file.partition))
            continue;
        if (count == cap) {
            cap = 2 * cap + 64;
            grown = reallocarray(files, cap, sizeof *files);
            if (!grown) {
                free(files);
                return -ERR_NOMEM;
            }
            files = grown;
        }
        files[count++] = file;
    }
    if (errno) { /* files that are not seen would be events that are not there */
        free(files);
        return -ERR_IO;
    }
    if (count > 0)
        qsort(files, count, sizeof *files, file_cmp);
    *ret = files;
    *ret_count = count;
    return 0;
}

/* A file that is still the same stays open. */
static void store_replace(struct history_reader *reader, struct store *store,
                          struct known_file *files, size_t count)
{
    for (size_t i = 0; i < count && store->file_count > 0; i++) {
        struct known_file *old =
            bsearch(&files[i], store->files, store->file_count, sizeof *store->files, file_cmp);
        if (!old || old->inode != files[i].inode)
            continue;
        files[i].open = old->open;
        files[i].used = old->used;
        old->open = NULL;
    }
    store_forget(reader, store);
    store->files = files;
    store->file_count = count;
}

static int64_t timespec_ms(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int store_refresh(struct history_reader *reader, struct store *store, struct why *reterr_why)
{
    char path[PATH_SIZE_MAX];
    struct known_file *files = NULL;
    size_t count = 0;
    struct timespec now;
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", reader->directory, store->region);
    clock_gettime(CLOCK_REALTIME, &now);
    if (stat(path, &st) < 0) {
        store_forget(reader, store);
        return errno == ENOENT ? 0
                               : why_set(reterr_why, -ERR_CONFIG, "cannot look into '%s': %s", path,
                                         strerror(errno));
    }
    if (store->settled && st.st_mtim.tv_sec == store->changed.tv_sec &&
        st.st_mtim.tv_nsec == store->changed.tv_nsec)
        return 0;
    DIR *folder = opendir(path);
    if (!folder)
        return why_set(reterr_why,
                       errno == EMFILE || errno == ENFILE ? -ERR_UNAVAILABLE : -ERR_CONFIG,
                       "cannot look into '%s': %s", path, strerror(errno));
    int r = folder_list(folder, &files, &count);
    closedir(folder);
    if (r < 0)
        return why_set(reterr_why, r, "cannot look into '%s'", path);
    store_replace(reader, store, files, count);
    store->changed = st.st_mtim;
    store->settled = timespec_ms(now) - timespec_ms(st.st_mtim) > FOLDER_SETTLE_MS;
    return 0;
}

static int store_find(struct history_reader *reader, struct str region, struct store **ret,
                      struct why *reterr_why)
{
    struct store *store = NULL;

    if (!region_valid(region))
        return why_set(reterr_why, -ERR_INVALID, "no region: '" STR_FMT "'", STR_ARG(region));
    for (size_t i = 0; i < reader->store_count && !store; i++)
        if (str_eq(str_from(reader->stores[i].region), region))
            store = &reader->stores[i];
    if (!store) {
        if (reader->store_count == REGIONS_MAX)
            return why_set(reterr_why, -ERR_INVALID, "more than %d regions", REGIONS_MAX);
        store = &reader->stores[reader->store_count++];
        snprintf(store->region, sizeof store->region, STR_FMT, STR_ARG(region));
    }
    *ret = store;
    return store_refresh(reader, store, reterr_why);
}

/* 1: open; 0: it is gone, or not quite made yet. */
static int file_open(struct history_reader *reader, const struct store *store,
                     struct known_file *file, struct why *reterr_why)
{
    char path[PATH_SIZE_MAX], name[DAY_NAME_SIZE];
    struct stat st;
    int r;

    file->used = reader->queries;
    if (file->open)
        return 1;
    day_name(file->day, file->partition, name);
    snprintf(path, sizeof path, "%s/%s/%s", reader->directory, store->region, name);
    r = day_reader_open(path, &file->open, reterr_why);
    if (r == 1)
        reader->open_count++;
    else if (r < 0 && stat(path, &st) < 0 && errno == ENOENT)
        return 0;
    return r;
}

static struct known_file *least_used(struct history_reader *reader)
{
    struct known_file *least = NULL;
    for (size_t i = 0; i < reader->store_count; i++) {
        struct store *store = &reader->stores[i];
        for (size_t k = 0; k < store->file_count; k++)
            if (store->files[k].open && (!least || store->files[k].used < least->used))
                least = &store->files[k];
    }
    return least;
}

static void close_least_used(struct history_reader *reader)
{
    while (reader->open_count > HISTORY_READER_FILES_MAX)
        file_close(reader, least_used(reader));
}

/* ---- one day ------------------------------------------------------------------------------------ */

struct search {
    const struct history_query *query;
    struct store *own, *global; /* global may be NULL */
    int64_t start_ms, end_ms;   /* of the query, within what a day file can have */
    struct arena *arena;
    struct history_page *page;
};

static bool forward(const struct search *s)
{
    return s->query->direction == HISTORY_FORWARD;
}

/* Where a file of this source begins: at the window's edge or behind the cursor. */
static struct day_place place_to_begin(const struct search *s, int64_t day, int32_t source)
{
    const struct history_cursor *after = s->query->after;
    int64_t first = MAX_OF(s->start_ms - day * DAY_MS, 0);
    int64_t last = MIN_OF(s->end_ms - day * DAY_MS, DAY_MS);
    struct day_place edge = {forward(s) ? first : last, -1};
    int64_t time;

    if (!after || after->time_ms < 0 || after->time_ms / DAY_MS != day)
        return edge;
    time = after->time_ms % DAY_MS;
    if (forward(s) ? time < first : time >= last)
        return edge;
    if (source == after->source)
        return (struct day_place){time, after->number};
    bool passed = forward(s) ? source < after->source : source > after->source;
    return (struct day_place){time, passed == forward(s) ? INT64_MAX : -1};
}

static int walker_step(struct walker *walker, struct why *reterr_why)
{
    int r = day_reader_next(walker->file, &walker->place, reterr_why);
    walker->alive = r == 1;
    return r < 0 ? r : 0;
}

static int walker_begin(struct history_reader *reader, const struct search *s, int32_t day,
                        int32_t source, enum keys_scope scope, struct day_reader *file,
                        struct why *reterr_why)
{
    const struct history_query *q = s->query;
    int64_t edge = (forward(s) ? s->end_ms : s->start_ms) - day * DAY_MS;

    if (reader->walker_count == reader->walker_cap) {
        size_t cap = 2 * reader->walker_cap + 16;
        struct walker *grown = reallocarray(reader->walkers, cap, sizeof *grown);
        if (!grown)
            return -ERR_NOMEM;
        reader->walkers = grown;
        reader->walker_cap = cap;
    }
    struct walker *walker = &reader->walkers[reader->walker_count++];
    *walker = (struct walker){.file = file, .source = source};
    day_reader_walk(file, &(struct day_walk){
                              .key = keys_of_query(day_reader_secret(file), scope, q->account,
                                                   q->filters, q->filter_count),
                              .direction = q->direction,
                              .after = place_to_begin(s, day, source),
                              .end = edge,
                          });
    return walker_step(walker, reterr_why);
}

static int begin_store(struct history_reader *reader, const struct search *s, struct store *store,
                       int32_t day, struct why *reterr_why)
{
    bool beside = store == s->global;
    enum keys_scope scope = beside || s->query->global_only ? KEYS_GLOBAL : KEYS_ALL;

    for (size_t i = 0; i < store->file_count; i++) {
        struct known_file *file = &store->files[i];
        if (file->day != day)
            continue;
        int r = file_open(reader, store, file, reterr_why);
        if (r == 1)
            r = walker_begin(reader, s, day, file->partition | (beside ? SOURCE_GLOBAL : 0), scope,
                             file->open, reterr_why);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Whether a comes before b in the direction of the walk. */
static bool comes_before(const struct search *s, const struct walker *a, const struct walker *b)
{
    if (a->place.time != b->place.time)
        return (a->place.time < b->place.time) == forward(s);
    return (a->source < b->source) == forward(s);
}

static struct walker *first_of(struct history_reader *reader, const struct search *s)
{
    struct walker *first = NULL;
    for (size_t i = 0; i < reader->walker_count; i++) {
        struct walker *walker = &reader->walkers[i];
        if (walker->alive && (!first || comes_before(s, walker, first)))
            first = walker;
    }
    return first;
}

/* 1: a source that the walk meets before `at` has the same event: it was given there. */
static int given_before(struct history_reader *reader, const struct search *s,
                        const struct walker *at, const struct day_row *row, struct why *reterr_why)
{
    int r = 0;
    for (size_t i = 0; i < reader->walker_count && r == 0; i++) {
        struct walker *other = &reader->walkers[i];
        if (other == at || (other->source < at->source) != forward(s) || other->holds_account == NO)
            continue;
        if (other->holds_account == UNKNOWN) {
            int64_t key =
                keys_of_query(day_reader_secret(other->file), KEYS_ALL, row->account, NULL, 0);
            r = day_reader_has(other->file, key, reterr_why);
            if (r < 0)
                return r;
            other->holds_account = r == 1 ? YES : NO;
            r = 0;
        }
        if (other->holds_account == YES)
            r = day_reader_holds(other->file, row->account, row->id, reterr_why);
    }
    return r;
}

/* 1: the page takes no more. */
static int page_add(const struct search *s, int32_t day, const struct walker *at,
                    struct str document, struct why *reterr_why)
{
    struct history_page *page = s->page;
    if (page->count == s->query->limit) {
        page->more = true;
        return 1;
    }
    struct str copy = arena_copy(s->arena, document);
    if (!copy.at) {
        if (arena_error(s->arena) == -ERR_NOMEM)
            return -ERR_NOMEM;
        if (page->count == 0)
            return why_set(reterr_why, -ERR_LIMIT, "an event of %zu bytes does not fit",
                           document.len);
        page->more = true;
        return 1;
    }
    page->documents[page->count++] = copy;
    page->next = (struct history_cursor){
        .time_ms = day * DAY_MS + at->place.time, .number = at->place.number, .source = at->source};
    return 0;
}

/* 1: the page is full. */
static int walk_day(struct history_reader *reader, const struct search *s, int32_t day,
                    struct why *reterr_why)
{
    struct walker *at;
    struct day_row row;
    int r = 0;

    while (r == 0 && (at = first_of(reader, s))) {
        r = day_reader_fetch(at->file, at->place.number, &row, reterr_why);
        if (r < 0)
            return r;
        /* The index is by hashes: whatever they say, nobody is given another account's event. */
        if (str_eq(row.account, s->query->account)) {
            r = given_before(reader, s, at, &row, reterr_why);
            if (r < 0)
                return r;
            r = r == 1 ? 0 : page_add(s, day, at, row.document, reterr_why);
        }
        if (r == 0)
            r = walker_step(at, reterr_why);
    }
    return r;
}

static int search_day(struct history_reader *reader, const struct search *s, int32_t day,
                      struct why *reterr_why)
{
    int r = begin_store(reader, s, s->own, day, reterr_why);
    if (r == 0 && s->global)
        r = begin_store(reader, s, s->global, day, reterr_why);
    if (r == 0)
        r = walk_day(reader, s, day, reterr_why);
    for (size_t i = 0; i < reader->walker_count; i++)
        day_reader_rest(reader->walkers[i].file);
    reader->walker_count = 0;
    return r;
}

/* ---- all days ----------------------------------------------------------------------------------- */

/* The next day that has a file, from `day` on in the direction; false: none. */
static bool next_day(const struct search *s, int64_t day, int64_t last, int32_t *ret)
{
    const struct store *stores[] = {s->own, s->global};
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
        for (size_t k = 0; stores[i] && k < stores[i]->file_count; k++) {
            int32_t other = stores[i]->files[k].day;
            bool within =
                forward(s) ? other >= day && other <= last : other <= day && other >= last;
            if (within && (!found || (other < *ret) == forward(s))) {
                *ret = other;
                found = true;
            }
        }
    }
    return found;
}

static int search_days(struct history_reader *reader, const struct search *s,
                       struct why *reterr_why)
{
    int64_t first = s->start_ms / DAY_MS, last = (s->end_ms - 1) / DAY_MS;
    const struct history_cursor *after = s->query->after;
    int32_t day = 0;
    int r = 0;

    if (after && forward(s))
        first = MAX_OF(first, after->time_ms / DAY_MS);
    if (after && !forward(s))
        last = MIN_OF(last, after->time_ms / DAY_MS);
    int64_t from = forward(s) ? first : last, to = forward(s) ? last : first;
    while (r == 0 && next_day(s, from, to, &day)) {
        r = search_day(reader, s, day, reterr_why);
        from = day + (forward(s) ? 1 : -1);
    }
    return r < 0 ? r : 0;
}

static int query_check(const struct history_query *q, struct why *reterr_why)
{
    if (q->limit < 1 || q->limit > HISTORY_LIMIT_MAX)
        return why_set(reterr_why, -ERR_INVALID, "a page of %zu events", q->limit);
    if (q->filter_count > HISTORY_ATTRIBUTES_MAX)
        return why_set(reterr_why, -ERR_INVALID, "%zu attributes", q->filter_count);
    for (size_t i = 0; i < q->filter_count; i++)
        if (q->filters[i].attribute >= HISTORY_ATTRIBUTE_COUNT)
            return why_set(reterr_why, -ERR_INVALID, "no attribute");
    if (q->filter_count == 2 &&
        !history_pair_valid(q->filters[0].attribute, q->filters[1].attribute))
        return why_set(reterr_why, -ERR_INVALID, "%s and %s do not go together",
                       history_attribute_name(q->filters[0].attribute),
                       history_attribute_name(q->filters[1].attribute));
    return 0;
}

int history_reader_query(struct history_reader *reader, const struct history_query *query,
                         struct arena *arena, struct history_page *ret, struct why *reterr_why)
{
    struct history_page page = {0};
    struct search s = {.query = query,
                       .start_ms = MAX_OF(query->start_ms, 0),
                       .end_ms = MIN_OF(query->end_ms, (DAY_MAX + 1) * DAY_MS),
                       .arena = arena,
                       .page = &page};
    int r = query_check(query, reterr_why);
    if (r < 0)
        return r;
    page.documents = arena_get(arena, query->limit * sizeof *page.documents);
    if (!page.documents)
        return why_set(reterr_why, arena_error(arena), "no room for a page");
    reader->queries++;
    r = store_find(reader, query->region, &s.own, reterr_why);
    if (r == 0 && query->global_region.len > 0 && !str_eq(query->global_region, query->region))
        r = store_find(reader, query->global_region, &s.global, reterr_why);
    if (r == 0 && s.start_ms < s.end_ms)
        r = search_days(reader, &s, reterr_why);
    close_least_used(reader);
    if (r < 0)
        return r;
    *ret = page;
    return 0;
}
