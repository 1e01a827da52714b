/* rebuild.h - `trailctl history rebuild`: what it works on, and its two sources.
 *
 *     history.c           the command: options, what is opened, the result
 *     rebuild_log.c       events.<region>, as far as it is retained
 *     rebuild_objects.c   delivered objects, each verified
 *
 * Layer: I/O. DEPS as of trailctl; history's and the normalizer's cores.
 */
#ifndef CLI_REBUILD_H
#define CLI_REBUILD_H

#include "cli/deployment.h"
#include "cli/stores.h"
#include "core/normalize.h"
#include "history/history.h"

#define REBUILD_SAY_S 5 /* how often it says how far it is */

struct rebuild_counts {
    int64_t events; /* of the region's history, met */
    int64_t restored, there, expired;
};

struct rebuild {
    const struct deployment *deployment;
    const struct control *control;
    struct str region, storage_region;
    struct topic_name topic;
    int32_t partitions;
    bool dry;
    struct history_restorer *restorer;
    const struct store_calls *store;
    struct normalizer *normalizer;
    int64_t now_ms, say_s;
    struct rebuild_counts log, objects;
    /* Of the objects: */
    int64_t read, refused, unreadable, missing;
};

/* Puts one event back, and counts it. */
MUST_CHECK int rebuild_add(struct rebuild *rebuild, struct rebuild_counts *counts,
                           int32_t partition, const struct event *event, struct why *reterr_why);
/* Says how far it is, on standard error, when some time has passed. */
void rebuild_say(struct rebuild *rebuild, const char *format, ...) PRINTF_LIKE(2, 3);

MUST_CHECK int rebuild_from_log(struct rebuild *rebuild, struct why *reterr_why);
/* From all places that trails of `control` deliver or delivered to, or, with a bucket, from that one only. */
MUST_CHECK int rebuild_from_objects(struct rebuild *rebuild, struct str bucket, struct str prefix,
                                    struct why *reterr_why);

#endif
