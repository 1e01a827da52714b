/* oracle.h - what the logs say, read by nothing of production but the form of an event: settings at an offset, and what
 * has to lie where. */
#ifndef SIMULATION_ORACLE_H
#define SIMULATION_ORACLE_H

#include "event/event.h"
#include "kafka.h"
#include "trail/trail.h"

#define VERSIONS_MAX 512
#define CHANGES_MAX  4096
#define SEEN_MAX     8192

/* One version of a trail, as `control` has it. */
struct version {
    struct str trail, account, home, regions, rw, request, bucket, prefix;
    int64_t number, destination;
    int64_t made_ms; /* when its entry in `control` was written */
    bool logging, deleted;
    const struct version *before; /* NULL: it is the first */
};

/* One change record of a log. */
struct change {
    const struct topic *topic;
    int32_t partition;
    int64_t offset;
    const struct version *version;
};

/* One event in a log, with or without a change. */
struct seen {
    const struct topic *topic;
    enum topic_kind kind;
    struct str region; /* of the log; empty: `global` */
    int32_t partition;
    int64_t offset, appended_ms;
    struct event event;
    const struct change *change; /* that it is the event of */
};

struct document {
    int bucket;
    struct str prefix, region, id, bytes;
    int64_t created_ms;
    struct document *next;
};

/* What has to be delivered, once. */
struct expected {
    const struct seen *seen;
    const struct version *version;
    char chain[TRAIL_CHAIN_SIZE];
    int64_t delivered_ms; /* -1: never */
    struct expected *next;
};

struct oracle {
    struct document *documents;
    size_t document_count;
    bool read; /* the logs are complete, and were read */
    struct version versions[VERSIONS_MAX];
    size_t version_count;
    struct change changes[CHANGES_MAX];
    size_t change_count;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    struct expected *expected;
    size_t expected_count;
};

/* history_of.c: reads the logs. */
void oracle_read_logs(struct oracle *oracle);
/* The settings in effect there; NULL: none. */
const struct version *oracle_settings(const struct oracle *oracle, struct str trail,
                                      const struct topic *topic, int32_t partition, int64_t offset);
bool oracle_holds_from_start(const struct oracle *oracle, const struct version *version,
                             const struct topic *topic, int32_t partition);
/* Whether changes of such a trail lie in a region's log. */
bool oracle_concerns(const struct version *settings, struct str region);
bool oracle_wants(const struct version *settings, const struct event *event, struct str region);
/* The newest version of each trail: the first at or behind *i; false: no more. */
bool oracle_trail(const struct oracle *oracle, size_t *i, const struct version **ret);
/* Where a version's change record lies there; -1: nowhere. */
int64_t oracle_change_offset(const struct oracle *oracle, const struct version *version,
                             const struct topic *topic, int32_t partition);

/* expecting.c: what follows from them. */
void oracle_check_raw(const struct oracle *oracle);
void oracle_check_router(const struct oracle *oracle);
void oracle_check_history(const struct oracle *oracle);
void oracle_check_changes(const struct oracle *oracle);
void oracle_check_tallies(const struct oracle *oracle);

#endif
