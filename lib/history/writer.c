/* writer.c - one partition's events into the files of their days; the position behind them.
 *
 * What a commit does, and what a crash after each step leaves:
 *
 *     1. each day touched: events, entries and "applied up to `next`" in one durable transaction
 *        -> days done are ahead of the position; the input comes again from the position, and a day
 *           skips what lies before its own offset
 *     2. the position := next
 *        -> done
 *
 * So the days need no transaction that spans them. A redelivered event has the same time, hence the
 * same day file: its key (account, event id) is checked there and nowhere else.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "history/day_file.h"
#include "history/folder.h"
#include "history/position_file.h"
#include "topology/topology.h"

struct open_day {
    int32_t day;
    struct day_writer *file; /* NULL: a free place */
    uint64_t used;           /* when, by the writer's count */
};

struct history_writer {
    char folder[PATH_SIZE_MAX - DAY_NAME_SIZE - 8];
    int32_t partition;
    struct position_file *position;
    char note[HISTORY_NOTE_SIZE];
    struct open_day days[HISTORY_DAYS_OPEN_MAX];
    uint64_t uses;
    int32_t oldest_day;
    size_t batch_events, batch_bytes;
};

static void path_of(const struct history_writer *w, int32_t day, char ret[PATH_SIZE_MAX])
{
    char name[DAY_NAME_SIZE];
    day_name(day, w->partition, name);
    snprintf(ret, PATH_SIZE_MAX, "%s/%s", w->folder, name);
}

int history_writer_open(const char *directory, struct str region, int32_t partition,
                        struct history_writer **ret, struct why *reterr_why)
{
    AUTO(history_writer_close) struct history_writer *w = calloc(1, sizeof *w);
    int r;

    CHECK(region_valid(region) && partition >= 0);
    if (!w)
        return -ERR_NOMEM;
    w->partition = partition;
    int len = snprintf(w->folder, sizeof w->folder, "%s/" STR_FMT, directory, STR_ARG(region));
    if (len < 0 || (size_t)len >= sizeof w->folder)
        return why_set(reterr_why, -ERR_CONFIG, "the path '%s' is too long", directory);
    r = folder_make(directory, reterr_why);
    if (r == 0)
        r = folder_make(w->folder, reterr_why);
    if (r == 0)
        r = folder_sync(directory, reterr_why);
    if (r == 0)
        r = position_file_open(w->folder, partition, &w->position, reterr_why);
    if (r == 0)
        memcpy(w->note, position_file_get(w->position)->note, sizeof w->note);
    if (r == 0)
        r = folder_sync(w->folder, reterr_why);
    if (r < 0)
        return r;
    *ret = w;
    w = NULL;
    return 0;
}

/* Whatever is not committed is rolled back with its file. */
static void forget_days(struct history_writer *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->days); i++) {
        day_writer_close(w->days[i].file);
        w->days[i] = (struct open_day){0};
    }
    w->batch_events = w->batch_bytes = 0;
}

void history_writer_close(struct history_writer *w)
{
    if (!w)
        return;
    forget_days(w);
    position_file_close(w->position);
    free(w);
}

const struct history_position *history_writer_position(const struct history_writer *w)
{
    return position_file_get(w->position);
}

static struct str generation_of(const struct history_writer *w)
{
    return str_from(history_writer_position(w)->generation);
}

int history_writer_begin(struct history_writer *w, struct str generation, int64_t next,
                         struct why *reterr_why)
{
    const struct history_position *now = history_writer_position(w);
    if (now->next >= 0)
        return why_set(reterr_why, -ERR_CONFLICT, "partition %d of '%s' has a position: %s/%lld",
                       w->partition, w->folder, now->generation, (long long)now->next);
    if (generation.len >= HISTORY_GENERATION_SIZE)
        return why_set(reterr_why, -ERR_INVALID, "a topic's generation of %zu bytes",
                       generation.len);
    return position_file_set(w->position, generation, next, w->note, reterr_why);
}

/* A free place, or that of the day not used for longest: committed first, which is no more than a
 * commit that comes early (see the file's head). */
static int free_place(struct history_writer *w, int64_t offset, struct open_day **ret,
                      struct why *reterr_why)
{
    struct open_day *place = &w->days[0];
    int r;

    for (size_t i = 0; i < ARRAY_LEN(w->days) && place->file; i++)
        if (!w->days[i].file || w->days[i].used < place->used)
            place = &w->days[i];
    if (place->file && day_writer_dirty(place->file)) {
        r = day_writer_commit(place->file, generation_of(w), offset, reterr_why);
        if (r < 0)
            return r;
    }
    day_writer_close(place->file);
    *place = (struct open_day){0};
    *ret = place;
    return 0;
}

static int open_day(struct history_writer *w, int32_t day, int64_t offset, struct day_writer **ret,
                    struct why *reterr_why)
{
    struct open_day *place = NULL;
    char path[PATH_SIZE_MAX];
    int r;

    w->uses++;
    for (size_t i = 0; i < ARRAY_LEN(w->days); i++) {
        if (w->days[i].file && w->days[i].day == day) {
            w->days[i].used = w->uses;
            *ret = w->days[i].file;
            return 0;
        }
    }
    r = free_place(w, offset, &place, reterr_why);
    if (r < 0)
        return r;
    path_of(w, day, path);
    r = day_writer_open(path, &place->file, reterr_why);
    if (r == 0)
        r = folder_sync(w->folder, reterr_why);
    if (r < 0)
        return r;
    place->day = day;
    place->used = w->uses;
    *ret = place->file;
    return 0;
}

int history_writer_add(struct history_writer *w, const struct event *event, int64_t offset,
                       struct why *reterr_why)
{
    struct day_writer *file;
    int r;

    CHECK(history_writer_position(w)->next >= 0);
    if (w->batch_events >= HISTORY_BATCH_EVENTS_MAX || w->batch_bytes >= HISTORY_BATCH_BYTES_MAX)
        return why_set(reterr_why, -ERR_LIMIT, "the batch is full");
    if (event->time_ms < 0 || event->time_ms / DAY_MS > DAY_MAX)
        return why_set(reterr_why, -ERR_INVALID, "the event's time lies outside 1970 to 9999");
    if (offset < history_writer_position(w)->next || event->time_ms / DAY_MS < w->oldest_day)
        return 0;

    r = open_day(w, (int32_t)(event->time_ms / DAY_MS), offset, &file, reterr_why);
    if (r == 0)
        r = day_writer_add(file, generation_of(w), offset, event, reterr_why);
    if (r < 0) {
        forget_days(w);
        return r;
    }
    w->batch_events++;
    w->batch_bytes += event->document.len;
    return r;
}

void history_writer_note(struct history_writer *w, struct str note)
{
    size_t len = MIN_OF(note.len, sizeof w->note - 1);
    if (len)
        memcpy(w->note, note.at, len);
    w->note[len] = '\0';
}

int history_writer_commit(struct history_writer *w, int64_t next, struct why *reterr_why)
{
    int r = 0;

    CHECK(next >= history_writer_position(w)->next);
    for (size_t i = 0; i < ARRAY_LEN(w->days) && r == 0; i++)
        if (w->days[i].file && day_writer_dirty(w->days[i].file))
            r = day_writer_commit(w->days[i].file, generation_of(w), next, reterr_why);
    if (r == 0)
        r = position_file_set(w->position, generation_of(w), next, w->note, reterr_why);
    if (r < 0) {
        forget_days(w);
        return r;
    }
    w->batch_events = w->batch_bytes = 0;
    return 0;
}

/* ---- retention ---------------------------------------------------------------------------------- */

static void close_day(struct history_writer *w, int32_t day)
{
    for (size_t i = 0; i < ARRAY_LEN(w->days); i++) {
        if (w->days[i].file && w->days[i].day == day) {
            CHECK(!day_writer_dirty(w->days[i].file));
            day_writer_close(w->days[i].file);
            w->days[i] = (struct open_day){0};
        }
    }
}

/* The day of a file of this partition: the database, or what SQLite keeps beside it. */
static bool file_day(const struct history_writer *w, struct str name, int32_t *ret_day)
{
    int32_t partition;
    if (str_ends(name, STR("-wal")) || str_ends(name, STR("-shm")))
        name.len -= 4;
    return day_name_parse(name, ret_day, &partition) && partition == w->partition;
}

/* Readers that have one open keep it until they close it. */
int history_writer_expire(struct history_writer *w, int64_t now_ms, size_t *ret_dropped,
                          struct why *reterr_why)
{
    DIR *folder = opendir(w->folder);
    struct dirent *entry;
    int32_t oldest = (int32_t)(now_ms / DAY_MS) - HISTORY_DAYS, day;
    size_t dropped = 0;
    int r = 0;

    if (!folder)
        return why_set(reterr_why, -ERR_IO, "cannot list '%s': %s", w->folder, strerror(errno));
    w->oldest_day = MAX_OF(oldest, w->oldest_day);
    while (r == 0 && (entry = readdir(folder))) {
        if (!file_day(w, str_from(entry->d_name), &day) || day >= w->oldest_day)
            continue;
        close_day(w, day);
        if (unlinkat(dirfd(folder), entry->d_name, 0) == 0)
            dropped += str_ends(str_from(entry->d_name), STR(".db"));
        else if (errno != ENOENT)
            r = why_set(reterr_why, -ERR_IO, "cannot remove '%s/%s': %s", w->folder, entry->d_name,
                        strerror(errno));
    }
    closedir(folder);
    if (r == 0)
        *ret_dropped = dropped;
    return r;
}
