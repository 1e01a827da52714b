/* bus.h - the door to Kafka: what a record is, and the four handles that workers hold.
 *
 *     consumer   a member of a group: partitions come and go, records, ends of partitions
 *     producer   idempotent or transactional writing
 *     reader     no group: given partitions from given offsets, to the end or on and on
 *     admin      topics, watermarks, a group's committed offsets
 *
 * Each handle is used by one thread; only a producer may be polled by another than the one that writes.
 * Everything that can block takes a timeout. Errors are of lib/base's classes; what librdkafka retries itself
 * is never reported.
 *
 * The doors themselves are rdkafka_door.c, consumer.c, producer.c, reader.c, admin.c and clock.c. What stands on them (stage.c,
 * positions.c, read_to_end.c) names nothing of librdkafka, so that a simulation can put other doors under it.
 *
 * Layer: I/O. DEPS base, topology, log. Only lib/bus includes rdkafka.h.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/base.h"
#include "topology/topology.h"

#define BUS_PARTITIONS_MAX         1024       /* of one topic */
#define BUS_HEADERS_MAX            8          /* that we write on one record */
#define BUS_FETCH_BYTES_MAX        (32 << 20) /* prefetched by one consumer */
#define BUS_QUEUE_BYTES_MAX        (64 << 20) /* waiting in one producer */
#define BUS_QUEUE_RECORDS_MAX      200000
#define BUS_SESSION_TIMEOUT_MS     6000
#define BUS_TRANSACTION_TIMEOUT_MS 10000
#define BUS_DELIVERY_TIMEOUT_MS    300000 /* of a record outside of transactions */
#define BUS_CALL_TIMEOUT_MS        10000  /* of an administrative call */
#define BUS_CLOSE_TIMEOUT_MS       10000  /* of closing a handle, which is then left behind */

struct bus_settings {
    struct str brokers;  /* host:port, separated by commas */
    struct str instance; /* the worker's stable name: group.instance.id, transactional.id */
};

#define BUS_OFFSET_NONE (-1001) /* no committed offset */

struct bus_position {
    int32_t partition;
    int64_t offset; /* next to be read, or BUS_OFFSET_NONE */
};

/* Borrowed until the next poll of the handle that gave it. */
struct bus_record {
    struct str topic;
    int32_t partition;
    int64_t offset;
    int64_t time_ms; /* LogAppendTime */
    struct str key, value;
    bool tombstone; /* no value at all, other than an empty one */
    const void *handle;
};

/* The last header of that name. */
bool bus_record_header(const struct bus_record *record, const char *name, struct str *ret);

struct bus_header {
    const char *name;
    struct str value;
};

/* Partition of a key among `count`: Kafka's murmur2, as every client of ours uses it. Pure. */
int32_t bus_partition_of(struct str key, int32_t count);

/* Monotonic, in ms: for what has to end in time. */
int64_t bus_clock_ms(void);

/* ---- consumer ---------------------------------------------------------------------------------- */

enum bus_input_kind {
    BUS_INPUT_NONE, /* nothing came in time */
    BUS_INPUT_RECORD,
    BUS_INPUT_END,      /* nothing behind `offset` for now (the last stable offset) */
    BUS_INPUT_ASSIGNED, /* `positions`: ours now, with their committed offsets; nothing is read
                               before bus_consumer_assign() */
    BUS_INPUT_REVOKED,  /* all are taken away: commit what can be, then bus_consumer_unassign() */
    BUS_INPUT_LOST,     /* as revoked, but it is too late to commit */
    BUS_INPUT_OUT_OF_RANGE, /* `offset` of `partition` is not in the log; reading it has stopped */
};

struct bus_input {
    enum bus_input_kind kind;
    struct bus_record record;
    int32_t partition;
    int64_t offset;
    const struct bus_position *positions; /* borrowed until the next poll */
    size_t position_count;
};

struct bus_consumer;

/* read_committed, static member, no automatic commits, auto.offset.reset=error. */
MUST_CHECK int bus_consumer_open(const struct bus_settings *settings, const char *topic,
                                 const char *group, struct bus_consumer **ret,
                                 struct why *reterr_why);
void bus_consumer_close(struct bus_consumer *consumer);
AUTO_DEFINE(struct bus_consumer, bus_consumer_close)

/* One input at most. -ERR_FENCED: another process has our instance name; -ERR_UNAVAILABLE: an error
 * that outlasted librdkafka's own patience; keep polling. -ERR_NOMEM: an assignment could not be noted, and is not lost: the
 * group gives it to the next handle of our name. -ERR_CONFIG, and logged: the topic has more than BUS_PARTITIONS_MAX
 * partitions. */
MUST_CHECK int bus_consumer_poll(struct bus_consumer *consumer, int timeout_ms,
                                 struct bus_input *ret);
/* Reads these, from these offsets, and no others. Once after each ASSIGNED: to go back, take a new handle
 * (librdkafka 2.0.2 aborts the process when it is assigned again too soon). */
MUST_CHECK int bus_consumer_assign(struct bus_consumer *consumer,
                                   const struct bus_position *positions, size_t count);
int bus_consumer_unassign(struct bus_consumer *consumer);
/* Commits outside of a transaction. */
MUST_CHECK int bus_consumer_commit(struct bus_consumer *consumer,
                                   const struct bus_position *positions, size_t count, bool wait);
/* Last known end of a partition (last stable offset), from fetches: no request. -1: unknown. */
int64_t bus_consumer_end(const struct bus_consumer *consumer, int32_t partition);
/* Readable when something is to be polled; for poll(2). Read it empty with bus_wake_drain(). */
int bus_consumer_wake_fd(struct bus_consumer *consumer);
void bus_wake_drain(int fd);

/* Where a partition without committed offset may be begun (delivery protocol, rule 1): at the log's
 * start if that is 0. Otherwise records were there and are gone: -ERR_RANGE. Pure. */
MUST_CHECK int bus_first_offset(int64_t committed, int64_t log_start, int64_t *ret_offset);

/* ---- producer ---------------------------------------------------------------------------------- */

struct bus_producer;

/* What became of one record. Lives with the caller until `done`. */
struct bus_ticket {
    bool done;
    int error; /* 0: acknowledged by all in-sync replicas */
    int32_t partition;
    int64_t offset;
    void (*on_done)(struct bus_ticket *ticket); /* NULL, or called from bus_producer_poll() */
};

#define BUS_BY_KEY (-1)

/* timeout_ms: of a transaction, or with transactional_id NULL (idempotent only) of a record, after which
 * it has failed; 0: BUS_TRANSACTION_TIMEOUT_MS, BUS_DELIVERY_TIMEOUT_MS. */
MUST_CHECK int bus_producer_open(const struct bus_settings *settings, const char *transactional_id,
                                 int timeout_ms, struct bus_producer **ret, struct why *reterr_why);
/* Idempotent, for one whose caller waits for each record: none waits for others to go with. */
MUST_CHECK int bus_producer_open_prompt(const struct bus_settings *settings,
                                        struct bus_producer **ret, struct why *reterr_why);
/* What was not acknowledged yet is given up: its tickets are done with -ERR_TIMEOUT. */
void bus_producer_close(struct bus_producer *producer);
AUTO_DEFINE(struct bus_producer, bus_producer_close)

/* Copies key, value and headers. `value.at` NULL writes a tombstone. `ticket` may be NULL.
 * -ERR_UNAVAILABLE: the queue is full, poll and try again; -ERR_LIMIT: too large. */
MUST_CHECK int bus_producer_write(struct bus_producer *producer, const char *topic,
                                  int32_t partition, struct str key, struct str value,
                                  const struct bus_header *headers, size_t header_count,
                                  struct bus_ticket *ticket);
/* Serves tickets; how many. May run in a thread of its own beside the one that writes. */
int bus_producer_poll(struct bus_producer *producer, int timeout_ms);
/* Waits until all are acknowledged or failed. -ERR_TIMEOUT. */
MUST_CHECK int bus_producer_flush(struct bus_producer *producer, int timeout_ms);
size_t bus_producer_waiting(const struct bus_producer *producer);
/* Records that failed outside of a transaction, since the last call. */
uint64_t bus_producer_failures(struct bus_producer *producer);

/* Takes the fence: older holders of the transactional id are shut out, their open transaction is
 * aborted. Once, before begin. */
MUST_CHECK int bus_transactions_init(struct bus_producer *producer, int timeout_ms,
                                     struct why *reterr_why);
MUST_CHECK int bus_begin(struct bus_producer *producer, struct why *reterr_why);
/* Input offsets into the transaction; `consumer` is where they were read. */
MUST_CHECK int bus_send_offsets(struct bus_producer *producer, struct bus_consumer *consumer,
                                const struct bus_position *positions, size_t count, int timeout_ms,
                                struct why *reterr_why);
/* 0; -ERR_ABORTED: call bus_abort(), then read the input again by new handles; -ERR_FENCED: build the handles
 * anew; -ERR_TIMEOUT: not known, call it again. */
MUST_CHECK int bus_commit(struct bus_producer *producer, int timeout_ms, struct why *reterr_why);
MUST_CHECK int bus_abort(struct bus_producer *producer, int timeout_ms, struct why *reterr_why);

/* ---- reader ------------------------------------------------------------------------------------ */

struct bus_reader;

/* Reads `topic` from the positions given. `committed`: only what is committed. What `settings` names stays with
 * the caller, for as long as the reader lives. */
MUST_CHECK int bus_reader_open(const struct bus_settings *settings, const char *topic,
                               bool committed, const struct bus_position *positions, size_t count,
                               struct bus_reader **ret, struct why *reterr_why);
void bus_reader_close(struct bus_reader *reader);
AUTO_DEFINE(struct bus_reader, bus_reader_close)
/* RECORD, END, OUT_OF_RANGE or NONE. */
MUST_CHECK int bus_reader_poll(struct bus_reader *reader, int timeout_ms, struct bus_input *ret);
MUST_CHECK int bus_reader_seek(struct bus_reader *reader, const struct bus_position *positions,
                               size_t count);

/* Reads every committed record of one partition in [from, end), where end is the high watermark as
 * of the call (from a read_uncommitted handle: transactions that are open now are waited out).
 * Stops early when `each` returns non-zero and returns that. *ret_next: behind the last read.
 * -ERR_TIMEOUT when the end was not reached in time. */
MUST_CHECK int bus_read_to_end(const struct bus_settings *settings, const char *topic,
                               int32_t partition, int64_t from, int timeout_ms,
                               int (*each)(void *arg, const struct bus_record *record), void *arg,
                               int64_t *ret_next, struct why *reterr_why);

/* ---- admin ------------------------------------------------------------------------------------- */

struct bus_admin;

MUST_CHECK int bus_admin_open(const struct bus_settings *settings, struct bus_admin **ret,
                              struct why *reterr_why);
void bus_admin_close(struct bus_admin *admin);
AUTO_DEFINE(struct bus_admin, bus_admin_close)

/* -ERR_EXISTS when it is there. Returns when the partitions can be written. */
MUST_CHECK int bus_admin_create(struct bus_admin *admin, const char *topic, int partitions,
                                int replication, const struct topic_settings *settings,
                                struct why *reterr_why);
/* Partitions up to `count`, for a topic that has fewer. Returns when they can be written. */
MUST_CHECK int bus_admin_grow(struct bus_admin *admin, const char *topic, int count,
                              struct why *reterr_why);
/* -ERR_NOT_FOUND; -ERR_CONFIG: more than BUS_PARTITIONS_MAX */
MUST_CHECK int bus_admin_partitions(struct bus_admin *admin, const char *topic, int32_t *ret_count,
                                    struct why *reterr_why);
/* *ret_high: behind the last record, committed or not. */
MUST_CHECK int bus_admin_watermarks(struct bus_admin *admin, const char *topic, int32_t partition,
                                    int64_t *ret_low, int64_t *ret_high, struct why *reterr_why);
/* Committed offsets of a group, one for each partition 0…count-1, BUS_OFFSET_NONE where none. */
MUST_CHECK int bus_admin_committed(struct bus_admin *admin, const char *group, const char *topic,
                                   int32_t count, int64_t *ret_offsets, struct why *reterr_why);

#endif
