/* restorer.c - events of any day and partition, into the files of their days, by few open files.
 *
 * The files keep what they say of the input (day_file.h: "applied up to"): for the writer that comes after, what was
 * restored is there, as if it had been stored when it came.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "history/day_file.h"
#include "history/folder.h"
#include "topology/topology.h"

struct day {
    int32_t day, partition;
    struct day_writer *writer; /* of these at most one is there; */
    struct day_reader *reader; /* none: a free place */
    uint64_t used;
};

struct history_restorer {
    char folder[PATH_SIZE_MAX - DAY_NAME_SIZE - 8];
    bool dry;
    struct history_writer **writers; /* one a partition: its lock and position; dry: none */
    int32_t partition_count, oldest_day;
    struct day days[HISTORY_RESTORER_FILES_MAX];
    uint64_t uses;
    size_t batch_events, batch_bytes;
};

/* ---- the whole ---------------------------------------------------------------------------------- */

/* Days that are too old are left to the worker: by whose clock this runs, nobody knows. */
static int lock_partitions(struct history_restorer *r, const char *directory, struct str region,
                           struct why *reterr_why)
{
    int error = 0;

    for (int32_t p = 0; p < r->partition_count && error == 0; p++)
        error = history_writer_open(directory, region, p, &r->writers[p], reterr_why);
    return error;
}

int history_restorer_open(const char *directory, struct str region, int32_t partition_count,
                          int64_t now_ms, bool dry, struct history_restorer **ret,
                          struct why *reterr_why)
{
    AUTO(history_restorer_close) struct history_restorer *r = calloc(1, sizeof *r);
    int error = 0;

    CHECK(region_valid(region) && partition_count > 0);
    if (!r)
        return -ERR_NOMEM;
    r->dry = dry;
    r->oldest_day = (int32_t)(now_ms / DAY_MS) - HISTORY_DAYS;
    int len = snprintf(r->folder, sizeof r->folder, "%s/" STR_FMT, directory, STR_ARG(region));
    if (len < 0 || (size_t)len >= sizeof r->folder)
        return why_set(reterr_why, -ERR_CONFIG, "the path '%s' is too long", directory);
    r->writers = calloc((size_t)partition_count, sizeof(*r->writers));
    if (!r->writers)
        return -ERR_NOMEM;
    r->partition_count = partition_count;
    if (!dry)
        error = lock_partitions(r, directory, region, reterr_why);
    if (error < 0)
        return error;
    *ret = r;
    r = NULL;
    return 0;
}

static void day_close(struct day *day)
{
    day_writer_close(day->writer);
    day_reader_close(day->reader);
    *day = (struct day){0};
}

static void forget_days(struct history_restorer *r)
{
    for (size_t i = 0; i < ARRAY_LEN(r->days); i++)
        day_close(&r->days[i]);
    r->batch_events = r->batch_bytes = 0;
}

void history_restorer_close(struct history_restorer *r)
{
    if (!r)
        return;
    forget_days(r);
    for (int32_t p = 0; p < r->partition_count; p++)
        history_writer_close(r->writers[p]);
    free(r->writers);
    free(r);
}

const struct history_position *history_restorer_position(const struct history_restorer *r,
                                                         int32_t partition)
{
    CHECK(partition >= 0 && partition < r->partition_count);
    return r->writers[partition] ? history_writer_position(r->writers[partition]) : NULL;
}

/* ---- files -------------------------------------------------------------------------------------- */

static bool day_is_open(const struct day *day)
{
    return day->writer || day->reader;
}

/* A free place, or that of the file not used for longest. */
static int free_place(struct history_restorer *r, struct day **ret, struct why *reterr_why)
{
    struct day *place = &r->days[0];
    int error = 0;

    for (size_t i = 0; i < ARRAY_LEN(r->days) && day_is_open(place); i++)
        if (!day_is_open(&r->days[i]) || r->days[i].used < place->used)
            place = &r->days[i];
    if (place->writer && day_writer_dirty(place->writer))
        error = day_writer_commit_restored(place->writer, reterr_why);
    day_close(place);
    *ret = place;
    return error;
}

static int open_file(struct history_restorer *r, const char *path, struct day *place,
                     struct why *reterr_why)
{
    int error;

    if (r->dry)
        return day_reader_open(path, &place->reader, reterr_why);
    error = day_writer_open(path, &place->writer, reterr_why);
    if (error == 0)
        error = folder_sync(r->folder, reterr_why);
    return error < 0 ? error : 1;
}

/* 1: *ret is open; 0: there is no such file, and none was wanted. */
static int open_day(struct history_restorer *r, int32_t day, int32_t partition, bool make,
                    struct day **ret, struct why *reterr_why)
{
    char path[PATH_SIZE_MAX], name[DAY_NAME_SIZE];
    struct day *place;
    int error;

    r->uses++;
    for (size_t i = 0; i < ARRAY_LEN(r->days); i++) {
        place = &r->days[i];
        if (!day_is_open(place) || place->day != day || place->partition != partition)
            continue;
        place->used = r->uses;
        *ret = place;
        return 1;
    }
    day_name(day, partition, name);
    snprintf(path, sizeof path, "%s/%s", r->folder, name);
    if ((r->dry || !make) && access(path, F_OK) < 0)
        return errno == ENOENT ? 0
                               : why_set(reterr_why, -ERR_CONFIG, "cannot look at '%s': %s", path,
                                         strerror(errno));
    error = free_place(r, &place, reterr_why);
    if (error == 0)
        error = open_file(r, path, place, reterr_why);
    if (error <= 0)
        return error;
    place->day = day;
    place->partition = partition;
    place->used = r->uses;
    *ret = place;
    return 1;
}

/* ---- events ------------------------------------------------------------------------------------- */

/* 1: the partition has the event; 0: not. */
static int holds(struct history_restorer *r, int32_t day, int32_t partition,
                 const struct event *event, struct why *reterr_why)
{
    struct day *file;
    int error = open_day(r, day, partition, false, &file, reterr_why);

    if (error <= 0)
        return error;
    return file->writer ? day_writer_holds(file->writer, event->account, event->id, reterr_why)
                        : day_reader_holds(file->reader, event->account, event->id, reterr_why);
}

static int holds_anywhere(struct history_restorer *r, int32_t day, int32_t partition,
                          const struct event *event, struct why *reterr_why)
{
    int found = holds(r, day, partition, event, reterr_why);

    for (int32_t p = 0; p < r->partition_count && found == 0 && event->global; p++)
        if (p != partition)
            found = holds(r, day, p, event, reterr_why);
    return found;
}

static int store(struct history_restorer *r, int32_t day, int32_t partition,
                 const struct event *event, struct why *reterr_why)
{
    struct day *file;
    int error = open_day(r, day, partition, true, &file, reterr_why);

    if (error > 0)
        error = day_writer_restore(file->writer, event, reterr_why);
    if (error < 0)
        return error;
    r->batch_events++;
    r->batch_bytes += event->document.len;
    if (r->batch_events >= HISTORY_BATCH_EVENTS_MAX || r->batch_bytes >= HISTORY_BATCH_BYTES_MAX)
        return history_restorer_commit(r, reterr_why);
    return 0;
}

int history_restorer_add(struct history_restorer *r, int32_t partition, const struct event *event,
                         enum history_restored *ret, struct why *reterr_why)
{
    int32_t day;
    int error;

    CHECK(partition >= 0 && partition < r->partition_count);
    if (event->time_ms < 0 || event->time_ms / DAY_MS > DAY_MAX)
        return why_set(reterr_why, -ERR_INVALID, "the event's time lies outside 1970 to 9999");
    day = (int32_t)(event->time_ms / DAY_MS);
    if (day < r->oldest_day) {
        *ret = HISTORY_EXPIRED;
        return 0;
    }
    error = holds_anywhere(r, day, partition, event, reterr_why);
    *ret = error == 0 ? HISTORY_RESTORED : HISTORY_THERE;
    if (error == 0 && !r->dry)
        error = store(r, day, partition, event, reterr_why);
    if (error < 0)
        forget_days(r);
    return MIN_OF(error, 0);
}

int history_restorer_commit(struct history_restorer *r, struct why *reterr_why)
{
    int error = 0;

    for (size_t i = 0; i < ARRAY_LEN(r->days) && error == 0; i++)
        if (r->days[i].writer && day_writer_dirty(r->days[i].writer))
            error = day_writer_commit_restored(r->days[i].writer, reterr_why);
    r->batch_events = r->batch_bytes = 0;
    if (error < 0)
        forget_days(r);
    return error;
}

int history_restorer_begin(struct history_restorer *r, int32_t partition, struct str generation,
                           int64_t next, struct str note, struct why *reterr_why)
{
    int error = history_restorer_commit(r, reterr_why);

    CHECK(!r->dry && partition >= 0 && partition < r->partition_count);
    if (error < 0)
        return error;
    history_writer_note(r->writers[partition], note);
    return history_writer_begin(r->writers[partition], generation, next, reterr_why);
}
