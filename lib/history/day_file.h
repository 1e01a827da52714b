/* day_file.h - the events of one region, partition and day of event time, in one SQLite file.
 *
 *     event  number -> account, id, document    appended as they arrive
 *     entry  key, time, number                  one a key of an event (keys.h), nothing else
 *     meta   the secret of the keys; the generation and offset up to which all input is applied
 *
 * Narrow entries in one tree instead of an index an attribute: a query is one walk in it.
 *
 * Layer: I/O; private to lib/history. DEPS base, event.
 */
#ifndef HISTORY_DAY_FILE_H
#define HISTORY_DAY_FILE_H

#include "history/history.h"
#include "history/keys.h"

#define DAY_MS        (24 * 3600 * 1000LL)
#define DAY_MAX       2932896 /* 9999-12-31 */
#define DAY_NAME_SIZE 32      /* "2026-11-23.1023.db" */
#define PATH_SIZE_MAX 1024

/* Days since 1970-01-01. */
void day_name(int32_t day, int32_t partition, char ret[DAY_NAME_SIZE]);
bool day_name_parse(struct str name, int32_t *ret_day, int32_t *ret_partition);

/* ---- writing ------------------------------------------------------------------------------------ */

struct day_writer;

MUST_CHECK int day_writer_open(const char *path, struct day_writer **ret, struct why *reterr_why);
void day_writer_close(struct day_writer *writer); /* rolls back; takes NULL */

/* 1: added to the transaction; 0: it is there already. */
MUST_CHECK int day_writer_add(struct day_writer *writer, struct str generation, int64_t offset,
                              const struct event *event, struct why *reterr_why);
/* All input before `next` is applied to this day. */
MUST_CHECK int day_writer_commit(struct day_writer *writer, struct str generation, int64_t next,
                                 struct why *reterr_why);
bool day_writer_dirty(const struct day_writer *writer);

/* What was lost is put back, from wherever in the input it once came: the same, but for offsets, which are neither
 * looked at nor moved. */
MUST_CHECK int day_writer_restore(struct day_writer *writer, const struct event *event,
                                  struct why *reterr_why);
MUST_CHECK int day_writer_commit_restored(struct day_writer *writer, struct why *reterr_why);
/* 1: the event is there, committed or not; 0: not. */
MUST_CHECK int day_writer_holds(struct day_writer *writer, struct str account, struct str id,
                                struct why *reterr_why);

/* ---- reading ------------------------------------------------------------------------------------ */

struct day_reader;

/* 1: opened; 0: not there, or not quite made yet. */
MUST_CHECK int day_reader_open(const char *path, struct day_reader **ret, struct why *reterr_why);
void day_reader_close(struct day_reader *reader);

const struct keys_secret *day_reader_secret(const struct day_reader *reader);

struct day_place {
    int64_t time, number; /* ms of the day; in the file */
};

struct day_walk {
    int64_t key;
    enum history_direction direction;
    struct day_place
        after;   /* begins behind it, in the direction; number -1 and INT64_MAX lie before
                               and behind all numbers */
    int64_t end; /* forward: time < end; backward: time >= end */
};

/* Begins a walk and ends the one before. What follows sees the file as of now until day_reader_rest(). */
void day_reader_walk(struct day_reader *reader, const struct day_walk *walk);
/* 1: the next place; 0: no more. */
MUST_CHECK int day_reader_next(struct day_reader *reader, struct day_place *ret,
                               struct why *reterr_why);
struct day_row {
    struct str account, id, document; /* borrowed until the next call with this reader */
};
MUST_CHECK int day_reader_fetch(struct day_reader *reader, int64_t number, struct day_row *ret,
                                struct why *reterr_why);
/* 1: there is an entry of this key; 0: none. */
MUST_CHECK int day_reader_has(struct day_reader *reader, int64_t key, struct why *reterr_why);
/* 1: the event is in this file; 0: not. */
MUST_CHECK int day_reader_holds(struct day_reader *reader, struct str account, struct str id,
                                struct why *reterr_why);
void day_reader_rest(struct day_reader *reader);

#endif
