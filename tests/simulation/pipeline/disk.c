/* disk.c - history.h's writer before a disk that fills up and tears a commit: events may be there whose position is not, never
 * the other way round. */
#include <stdio.h>

#include "history/history.h"
#include "sim.h"

#define ADDED_MAX 24 /* between two commits: few, so that batches are full now and then */
#define DAY_MS    86400000LL

struct row {
    struct str account, id;
    int64_t day;
    struct row *next;
};

struct disk {
    struct str region;
    int32_t partition;
    struct history_writer *writer; /* that has the lock */
    struct history_position position;
    bool stale; /* the position's topic was deleted */
    struct row *rows;
    size_t row_count;
};

struct disks {
    struct disk at[REGIONS_MAX * PARTITIONS_MAX];
    size_t count;
};

struct history_writer {
    struct disk *disk;
    struct history_position position;
    struct row added[ADDED_MAX];
    size_t added_count;
    int64_t last_offset;
};

void disks_new(void)
{
    sim->disks = keep(sizeof(*sim->disks));
}

static struct disk *find(struct str region, int32_t partition)
{
    struct disks *all = sim->disks;

    for (size_t i = 0; i < all->count; i++)
        if (str_eq(all->at[i].region, region) && all->at[i].partition == partition)
            return &all->at[i];
    CHECK(all->count < ARRAY_LEN(all->at));
    all->at[all->count] =
        (struct disk){.region = region, .partition = partition, .position = {.next = -1}};
    return &all->at[all->count++];
}

int history_writer_open(const char *directory, struct str region, int32_t partition,
                        struct history_writer **ret, struct why *reterr_why)
{
    struct disk *disk = find(region, partition);
    struct history_writer *w;

    (void)directory;
    if (!door(0, 5))
        return -ERR_BUG;
    if (disk->writer)
        return why_set(reterr_why, -ERR_UNAVAILABLE, "another process writes this partition");
    w = calloc(1, sizeof(*w));
    CHECK(w);
    *w = (struct history_writer){.disk = disk, .position = disk->position, .last_offset = -1};
    disk->writer = w;
    *ret = w;
    return 0;
}

void history_writer_close(struct history_writer *w)
{
    if (w)
        w->disk->writer = NULL;
    free(w);
}

const struct history_position *history_writer_position(const struct history_writer *w)
{
    return &w->position;
}

int history_writer_begin(struct history_writer *w, struct str generation, int64_t next,
                         struct why *reterr_why)
{
    if (!door(0, 2))
        return -ERR_BUG;
    if (w->position.next >= 0)
        return why_set(reterr_why, -ERR_CONFLICT, "it has a position");
    (void)snprintf(w->position.generation, sizeof(w->position.generation), STR_FMT,
                   STR_ARG(generation));
    w->position.next = next;
    w->disk->position = w->position;
    return 0;
}

static bool has(const struct row *rows, struct str account, struct str id, int64_t day)
{
    for (const struct row *r = rows; r; r = r->next)
        if (r->day == day && str_eq(r->id, id) && str_eq(r->account, account))
            return true;
    return false;
}

int history_writer_add(struct history_writer *w, const struct event *event, int64_t offset,
                       struct why *reterr_why)
{
    int64_t day = event->time_ms / DAY_MS;

    if (!door(0, 0))
        return -ERR_BUG;
    if (w->added_count == ADDED_MAX)
        return why_set(reterr_why, -ERR_LIMIT, "the batch is full");
    if (offset <= w->last_offset)
        fail("history is given offset %lld behind %lld", (long long)offset,
             (long long)w->last_offset);
    w->last_offset = offset;
    if (has(w->disk->rows, event->account, event->id, day))
        return 0;
    for (size_t i = 0; i < w->added_count; i++)
        if (str_eq(w->added[i].id, event->id) && str_eq(w->added[i].account, event->account))
            return 0;
    w->added[w->added_count++] =
        (struct row){.account = keep_str(event->account), .id = keep_str(event->id), .day = day};
    return 1;
}

void history_writer_note(struct history_writer *w, struct str note)
{
    (void)snprintf(w->position.note, sizeof(w->position.note), STR_FMT, STR_ARG(note));
}

static void write_rows(struct history_writer *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct row *row = keep(sizeof(*row));

        *row = w->added[i];
        row->next = w->disk->rows;
        w->disk->rows = row;
        w->disk->row_count++;
    }
}

/* Some of it, or all but the position. */
static int tear(struct history_writer *w, int r)
{
    write_rows(w, (size_t)between(0, (int64_t)w->added_count));
    w->added_count = 0;
    w->position = w->disk->position;
    return r;
}

int history_writer_commit(struct history_writer *w, int64_t next, struct why *reterr_why)
{
    if (!door(0, 8))
        return tear(w, -ERR_BUG);
    if (fault(sim->faults.disk_full))
        return why_set(reterr_why, tear(w, -ERR_UNAVAILABLE), "no space");
    write_rows(w, w->added_count);
    w->added_count = 0;
    if (!door(0, 0))
        return -ERR_BUG;
    if (next < w->position.next)
        fail("history's position goes back from %lld to %lld", (long long)w->position.next,
             (long long)next);
    w->position.next = next;
    w->disk->position = w->position;
    return door(0, 2) ? 0 : -ERR_BUG;
}

int history_writer_expire(struct history_writer *w, int64_t now, size_t *ret_dropped,
                          struct why *reterr_why)
{
    (void)w, (void)reterr_why;
    if (now > sim->broker_newest_ms)
        fail("history drops days by a clock that is %lld ms ahead of the log",
             (long long)(now - sim->broker_newest_ms));
    *ret_dropped = 0;
    return door(0, 1) ? 0 : -ERR_BUG;
}

/* ---- what lies there --------------------------------------------------------------------------------------- */

size_t disk_rows(struct str region, struct str account, struct str id)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->disks->count; i++)
        for (const struct row *r = sim->disks->at[i].rows; r; r = r->next)
            count += str_eq(sim->disks->at[i].region, region) && str_eq(r->id, id) &&
                     str_eq(r->account, account);
    return count;
}

size_t disk_row_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->disks->count; i++)
        count += sim->disks->at[i].row_count;
    return count;
}

bool disk_position(struct str region, int32_t partition, int64_t *ret_next, struct str *ret_note)
{
    const struct disk *d = find(region, partition);

    *ret_next = d->position.next;
    *ret_note = str_from(d->position.note);
    return d->position.next >= 0 && !d->stale;
}

void disk_topic_gone(struct str region)
{
    for (size_t i = 0; i < sim->disks->count; i++)
        if (str_eq(sim->disks->at[i].region, region))
            sim->disks->at[i].stale = sim->disks->at[i].position.next >= 0;
}

void disk_positions_away(struct str region)
{
    for (size_t i = 0; i < sim->disks->count; i++) {
        struct disk *d = &sim->disks->at[i];

        if (!d->stale || !str_eq(d->region, region))
            continue;
        d->position = (struct history_position){.next = -1};
        d->stale = false;
    }
}
