/* topology.h - which topics there are, who reads and writes them, and the words in their headers.
 *
 * The only place that names a topic (scripts/check-topics sees to it).
 *
 * Layer: pure. DEPS base.
 */
#ifndef TOPOLOGY_TOPOLOGY_H
#define TOPOLOGY_TOPOLOGY_H

#include "base/base.h"

#define TOPIC_NAME_SIZE 64 /* with NUL */
#define REGION_SIZE_MAX 40
#define GROUP_NAME_SIZE 96
#define TOPIC_DAY_MS    (24 * 3600 * 1000LL)

enum topic_kind {
    TOPIC_RAW,           /* raw.<region>: as the services sent it */
    TOPIC_EVENTS,        /* events.<region>: normalized, and the changes of trails */
    TOPIC_REJECTED,      /* rejected.<region>: what could not be used, bytes, reason, origin */
    TOPIC_NOTIFICATIONS, /* notifications.<region>: an object was delivered */
    TOPIC_GLOBAL,        /* global: events of global services, on their way to home regions */
    TOPIC_CONTROL,   /* control: accounts, keys, trails, generations; compacted, one partition */
    TOPIC_POSITIONS, /* positions: where normalizers and routers stand; compacted, one partition */
    TOPIC_KIND_COUNT,
};

struct topic_name {
    char text[TOPIC_NAME_SIZE];
};

/* A topic as `topics apply` creates it. Retention -1: for ever. */
struct topic_settings {
    bool regional;  /* one a region; else one of all */
    bool compacted; /* by key, one partition */
    int64_t retention_ms;
    int record_bytes_max;
    int segment_bytes; /* 0: as the brokers have it */
};

/* A region id of ours: 1 to REGION_SIZE_MAX of a-z 0-9 -. */
bool region_valid(struct str region);

/* `region` must be valid for a regional topic and is ignored for others. */
struct topic_name topic_name(enum topic_kind kind, struct str region);
/* Which topic is this? *ret_region is a slice of `name` (empty for topics of all regions). */
bool topic_parse(struct str name, enum topic_kind *ret_kind, struct str *ret_region);
const struct topic_settings *topic_settings(enum topic_kind kind);

/* Consumer group of a worker: trailbus.<worker>.<region>, without region trailbus.<worker>. */
void group_name(struct str worker, struct str region, char ret[GROUP_NAME_SIZE]);

/* The transactional id of trails' changes: whoever holds it may change one (delivery protocol, rule 2). */
#define CHANGES_TRANSACTIONAL_ID "trailbus-changes"

/* Kafka headers of ours. */
#define HEADER_CONTENT_TYPE "content-type"      /* raw: application/json, else Avro */
#define HEADER_CHANGE       "trailbus-change"   /* events, global: a trail's new version, JSON */
#define HEADER_REASON       "trailbus-reason"   /* rejected: one word */
#define HEADER_WHY          "trailbus-why"      /* rejected: a sentence */
#define HEADER_ORIGIN       "trailbus-origin"   /* rejected: topic/generation/partition/offset */
#define HEADER_RECEIVED     "trailbus-received" /* rejected, retried: LogAppendTime in raw, ms */
#define HEADER_RETRIED      "trailbus-retried"  /* rejected, on a note: which record was */
#define CONTENT_TYPE_JSON   "application/json"
#define CONTENT_TYPE_AVRO   "avro/binary"

#endif
