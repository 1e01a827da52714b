/* kafka.h - the simulated brokers: logs, transactions, groups. bus.c puts bus.h's handles before them.
 *
 * Nothing here sleeps or fails: how requests and answers get lost is bus.c's.
 */
#ifndef SIMULATION_KAFKA_H
#define SIMULATION_KAFKA_H

#include "bus/bus.h"
#include "sim.h"

#define TOPICS_MAX       24
#define GROUPS_MAX       16
#define MEMBERS_MAX      6
#define TRANSACTIONS_MAX 24
#define TOUCHED_MAX      48
#define HEADERS_MAX      6
#define SESSION_MS       BUS_SESSION_TIMEOUT_MS

enum record_state {
    RECORD_OPEN, /* its transaction goes on */
    RECORD_COMMITTED,
    RECORD_ABORTED,
    RECORD_MARKER,
};

struct record {
    struct str key, value;
    bool tombstone;
    struct bus_header headers[HEADERS_MAX];
    size_t header_count;
    int64_t time_ms;     /* LogAppendTime */
    int64_t appended_ms; /* of the world */
    enum record_state state;
    const struct transaction *transaction;
};

struct partition {
    struct record *records; /* by offset */
    int64_t start, end, cap;
    int64_t stable;              /* no transaction is open below */
    int64_t settled, settled_ms; /* all below was read by everybody then; 0: not asked since */
};

struct topic {
    struct topic_name name;
    struct str generation;
    int32_t partition_count, first_count; /* first: before partitions were added */
    int64_t grown_ms;                     /* when they were; -1: never */
    struct partition partitions[PARTITIONS_MAX];
    bool anew;         /* another one had its name before */
    bool doomed, gone; /* to be deleted; deleted: what lay in it is here for the oracle alone */
    int64_t made_ms, gone_ms;
    int64_t passed[PARTITIONS_MAX]; /* gone: what its reader had passed then */
};

enum transaction_state {
    TRANSACTION_NONE,
    TRANSACTION_ONGOING,
    TRANSACTION_COMMITTING, /* decided; markers are still to come */
    TRANSACTION_ABORTING,
};

/* A transactional id. */
struct transaction {
    struct str id;
    int64_t epoch;
    enum transaction_state state;
    bool committed; /* how the last one ended */
    int64_t began_ms, timeout_ms, marker_ms;
    struct {
        struct topic *topic;
        int32_t partition;
    } touched[TOUCHED_MAX];
    size_t touched_count;
    struct group *group; /* of the offsets in it; NULL: none */
    struct bus_position offsets[PARTITIONS_MAX];
    size_t offset_count;
};

struct member {
    struct str instance;
    uint64_t id;
    struct bus_consumer *consumer; /* NULL: gone, the group does not know yet */
    int64_t seen_ms;
    bool joined;
    int32_t partitions[PARTITIONS_MAX];
    size_t partition_count;
};

struct group {
    struct str name;
    struct topic *topic;
    int64_t generation;
    int32_t partition_count; /* that it shares out: it hears of more some time after */
    bool joining;
    struct member members[MEMBERS_MAX];
    size_t member_count;
    int64_t committed[PARTITIONS_MAX];
    int64_t older
        [PARTITIONS_MAX]; /* committed once: told while the coordinator has not loaded all of the group */
    int64_t loaded_ms; /* until then: it writes nothing */
};

struct kafka {
    struct topic topics[TOPICS_MAX];
    size_t topic_count;
    struct group groups[GROUPS_MAX];
    size_t group_count;
    struct transaction transactions[TRANSACTIONS_MAX];
    size_t transaction_count;
    uint64_t member_ids;
    int64_t tick_ms;
};

/* ---- logs (kafka.c) ------------------------------------------------------------------------------------ */

void kafka_new(void);
struct topic *kafka_make(struct topic_name name, int32_t partitions);
void kafka_grow(struct topic *topic, int32_t partitions);
struct topic *kafka_topic(const char *name); /* NULL: there is none */
/* Deletes it, and what groups have committed there. */
void kafka_delete(struct topic *topic);
/* Copies. `t` NULL: outside of transactions. */
int64_t kafka_append(struct topic *topic, int32_t partition, struct str key, struct str value,
                     const struct bus_header *headers, size_t header_count, struct transaction *t);
/* The first committed record at or behind *position; NULL: *position is the end for now. */
const struct record *kafka_read(struct topic *topic, int32_t partition, int64_t *position);
/* Records leave a log. */
void kafka_retain(struct topic *topic, int32_t partition, int64_t start);
bool record_header(const struct record *record, const char *name, struct str *ret);
/* Time passes: markers, timeouts, sessions. */
void kafka_tick(void);

/* ---- transactions (kafka.c) ---------------------------------------------------------------------------- */

struct transaction *transaction_find(struct str id, int64_t timeout_ms);
/* Whoever held it is shut out; false: what it left is not settled yet. */
bool transaction_take(struct transaction *t);
void transaction_end(struct transaction *t, bool commit);
void transaction_settle(struct transaction *t); /* all its markers, at once */
/* Whether a partition's committed offset may still change. */
bool transaction_holds(const struct group *group, int32_t partition);

/* ---- groups (groups.c) --------------------------------------------------------------------------------- */

struct group *group_find(const char *name, struct topic *topic);
void group_commit(struct group *group, const struct bus_position *position);
/* What its coordinator says of a partition. */
int64_t group_stands(const struct group *group, int32_t partition);
int64_t group_stood(const struct group *group, int32_t partition); /* the least that it may say */
struct member *member_find(struct group *group, uint64_t id);      /* NULL: it is none */
/* Joins, or takes the place of the one of that name. Returns its id. */
uint64_t group_join(struct group *group, struct str instance, struct bus_consumer *consumer);
void group_joined(struct group *group, struct member *member); /* it has given everything back */
/* From now on the coordinator takes what was committed once for the last. */
void group_falls_back(struct group *group);
/* Where a stage stands by the log of positions; false: it has written nothing of this topic. */
bool stage_stands(const struct group *group, int32_t partition, int64_t *ret_offset,
                  struct str *ret_tally);
void groups_tick(void);
void groups_forget(const struct topic *topic); /* it was deleted */
void groups_meet(struct topic *topic);         /* it was made, perhaps anew */

/* ---- what groups tell consumers (bus.c) ---------------------------------------------------------------- */

void consumer_revoke(struct bus_consumer *consumer); /* what was not told yet is called off */
void consumer_shut_out(struct bus_consumer *consumer);
void consumer_assign(struct bus_consumer *consumer, const int32_t *partitions, size_t count);
bool consumer_holds_nothing(const struct bus_consumer *consumer);
bool consumer_alive(const struct bus_consumer *consumer);

#endif
