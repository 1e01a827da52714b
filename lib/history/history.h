/* history.h - the store behind LookupEvents: one writer a partition, any number of readers.
 *
 *     history worker --add, commit--> [ region, partition ] <--query-- API (other processes, threads)
 *
 * An engine for many machines can stand behind the same two handles later; nothing here says SQLite.
 *
 * Order.    A region's events of one account are ordered by (event time, source, number): `source` is
 *           the partition (and whether it is another region's global event), `number` is given on
 *           arrival and only grows. All three never change, so a walk by cursors neither skips nor
 *           doubles an event, whatever arrives meanwhile; only an event that arrives with a place
 *           in a part already passed is not seen. An event that became stored in two partitions
 *           (resent after partitions were added) is given where the walk meets it first, once.
 * Keys.     (account, event id) is stored once a day of event time; the first one counts. The same
 *           event has the same time, so it meets its first copy.
 * Offsets.  The input offset is checked and stored in the transaction that stores the events; the
 *           position to go on from is stored behind them, never durable ahead of them.
 * Threads.  A handle belongs to one thread.
 * Layer:    I/O. DEPS base, event.
 */
#ifndef HISTORY_HISTORY_H
#define HISTORY_HISTORY_H

#include "base/base.h"
#include "event/event.h"

#define HISTORY_DAYS             90  /* kept, beside the day that has begun */
#define HISTORY_DAYS_OPEN_MAX    16  /* at once, of one writer */
#define HISTORY_READER_FILES_MAX 512 /* kept open by one reader (three descriptors each) */
#define HISTORY_ATTRIBUTES_MAX   2
#define HISTORY_LIMIT_MAX        1000
#define HISTORY_BATCH_EVENTS_MAX 10000      /* between two commits */
#define HISTORY_BATCH_BYTES_MAX  (32 << 20) /* of documents, between two commits */
#define HISTORY_GENERATION_SIZE  64         /* of a topic, with NUL */
#define HISTORY_NOTE_SIZE        4000       /* with NUL */

/* ---- writer: one a (region, partition) ---------------------------------------------------------- */

struct history_writer;

struct history_position {
    char generation[HISTORY_GENERATION_SIZE]; /* of the topic that `next` counts in */
    int64_t next;                             /* input offset to go on from; -1: nothing stored */
    char note[HISTORY_NOTE_SIZE];             /* of the writer's owner, about all before `next` */
};

/* Makes what is missing below `directory`. Takes the partition's lock.
 *     -ERR_UNAVAILABLE  another process writes this partition; or the disk is full
 *     -ERR_CONFIG       the directory cannot be used; a file there is not ours or of another version
 *     -ERR_IO           a device fails or a file is damaged */
MUST_CHECK int history_writer_open(const char *directory, struct str region, int32_t partition,
                                   struct history_writer **ret, struct why *reterr_why);
void history_writer_close(struct history_writer *writer); /* what is not committed is forgotten */
AUTO_DEFINE(struct history_writer, history_writer_close)

const struct history_position *history_writer_position(const struct history_writer *writer);

/* Where an empty store begins. -ERR_CONFLICT when it has a position. */
MUST_CHECK int history_writer_begin(struct history_writer *writer, struct str generation,
                                    int64_t next, struct why *reterr_why);

/* Takes the event at input offset `offset`; offsets grow. Copies all it needs. 1: stored with the next
 * commit; 0: not stored, since it is there already or its day is expired.
 * -ERR_LIMIT when the batch is full: commit and add it again. -ERR_INVALID when its time is not within
 * the years 1970 to 9999. After any other error of add or commit, classed as those of open, what was added
 * since the last commit is forgotten: read again from history_writer_position(). */
MUST_CHECK int history_writer_add(struct history_writer *writer, const struct event *event,
                                  int64_t offset, struct why *reterr_why);
/* What the next commit keeps beside the position; it stays until another is given. Cut at HISTORY_NOTE_SIZE - 1. */
void history_writer_note(struct history_writer *writer, struct str note);
/* All that was added is durable and found by queries; `next` is the position from now on. */
MUST_CHECK int history_writer_commit(struct history_writer *writer, int64_t next,
                                     struct why *reterr_why);

/* Removes this partition's days that lie more than HISTORY_DAYS before the day of now_ms, whole.
 * Not between add and commit. */
MUST_CHECK int history_writer_expire(struct history_writer *writer, int64_t now_ms,
                                     size_t *ret_dropped, struct why *reterr_why);

/* ---- restorer: a region's history that was lost is put back ------------------------------------------
 *
 * From whatever still has the events, in any order and as often as one likes: each is stored once, by its account and
 * id. Holds the locks of all partitions, so no writer of the region runs meanwhile. Positions stay as they are, and
 * what lies behind them is left to the writer; a partition without one gets it by history_restorer_begin(). */

#define HISTORY_RESTORER_FILES_MAX 64 /* kept open */

struct history_restorer;

enum history_restored {
    HISTORY_RESTORED, /* with the next commit */
    HISTORY_THERE,    /* it is in the history already */
    HISTORY_EXPIRED,  /* older than HISTORY_DAYS */
};

/* `now_ms` says which events are too old to be put back. `dry`: nothing is made, locked or written; what add() then says
 * would be so. Errors are those of history_writer_open(). */
MUST_CHECK int history_restorer_open(const char *directory, struct str region,
                                     int32_t partition_count, int64_t now_ms, bool dry,
                                     struct history_restorer **ret, struct why *reterr_why);
void history_restorer_close(struct history_restorer *restorer); /* forgets what is not committed */
AUTO_DEFINE(struct history_restorer, history_restorer_close)

/* NULL: dry, and there is none. */
const struct history_position *history_restorer_position(const struct history_restorer *restorer,
                                                         int32_t partition);
/* The event, which lay or would lie in this partition. A global event is looked for in all of them: a copy of it may have come
 * from another region's bucket, and partitions may have been added since. -ERR_INVALID as history_writer_add(); commits by itself
 * now and then. */
MUST_CHECK int history_restorer_add(struct history_restorer *restorer, int32_t partition,
                                    const struct event *event, enum history_restored *ret,
                                    struct why *reterr_why);
MUST_CHECK int history_restorer_commit(struct history_restorer *restorer, struct why *reterr_why);
/* Where the writer goes on, in a partition that has no position; all that was added is committed first. */
MUST_CHECK int history_restorer_begin(struct history_restorer *restorer, int32_t partition,
                                      struct str generation, int64_t next, struct str note,
                                      struct why *reterr_why);

/* ---- reader ------------------------------------------------------------------------------------- */

enum history_attribute {
    HISTORY_SERVICE_NAME, /* ASCII letters match in either case */
    HISTORY_EVENT_NAME,
    HISTORY_USER,
    HISTORY_EVENT_ID,
    HISTORY_RESOURCE_TYPE,
    HISTORY_RESOURCE_NAME,
    HISTORY_EVENT_RW, /* "Read" or "Write" */
    HISTORY_ACCESS_KEY_ID,
    HISTORY_SENSITIVE_ACTION, /* "true"; no event matches another value */
    HISTORY_SOURCE_IP_ADDRESS,
    HISTORY_EVENT_TYPE,
    HISTORY_ROLE_NAME,
    HISTORY_PRINCIPAL_ID,
    HISTORY_ATTRIBUTE_COUNT,
};

/* The API's name ("EventAccessKeyId", …), matched exactly. */
bool history_attribute_parse(struct str name, enum history_attribute *ret);
const char *history_attribute_name(enum history_attribute attribute);
/* Whether two attributes can be asked for together, in either order. */
bool history_pair_valid(enum history_attribute a, enum history_attribute b);

enum history_direction {
    HISTORY_BACKWARD, /* newest first */
    HISTORY_FORWARD,
};

/* The place of the last event of a page. Plain numbers: any values are safe, wrong ones only give
 * another place in the same account's events. */
struct history_cursor {
    int64_t time_ms;
    int64_t number;
    int32_t source;
};

struct history_filter {
    enum history_attribute attribute;
    struct str value; /* matched whole; "" matches nothing */
};

struct history_query {
    struct str region;
    struct str global_region; /* its global events belong to the answer too; empty or `region`: none
                                 beside the region's own */
    struct str account;
    int64_t start_ms, end_ms; /* start <= event time < end */
    enum history_direction direction;
    struct history_filter filters[HISTORY_ATTRIBUTES_MAX]; /* all must match */
    size_t filter_count;
    bool global_only;                   /* of `region` too only global events */
    size_t limit;                       /* 1…HISTORY_LIMIT_MAX */
    const struct history_cursor *after; /* NULL: the first page */
};

struct history_page {
    struct str *documents; /* JSON, as the normalizer rendered them; live in the arena */
    size_t count;
    bool more;                  /* there was at least one more when asked */
    struct history_cursor next; /* of the last document, when count > 0 */
};

struct history_reader;

/* Nothing is opened before a query asks for it; a region without a store is an empty one.
 * -ERR_CONFIG when `directory` is not there. */
MUST_CHECK int history_reader_open(const char *directory, struct history_reader **ret,
                                   struct why *reterr_why);
void history_reader_close(struct history_reader *reader);
AUTO_DEFINE(struct history_reader, history_reader_close)

/* One page. `arena` is not reset by it.
 *     -ERR_INVALID      two filters that do not go together, a region or limit that cannot be
 *     -ERR_LIMIT        the page does not fit into the arena: ask for fewer
 *     -ERR_UNAVAILABLE  a file is locked for longer than usual, or descriptors ran out: ask again
 *     -ERR_CONFIG, -ERR_IO  as history_writer_open() */
MUST_CHECK int history_reader_query(struct history_reader *reader,
                                    const struct history_query *query, struct arena *arena,
                                    struct history_page *ret, struct why *reterr_why);

#endif
