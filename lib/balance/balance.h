/* balance.h - is every record accounted for? Workers' counts held against the logs, and one stage against the next,
 * look after look, for ever.
 *
 *     raw.<region>      records of the log                    = outcomes of the normalizer + waiting
 *     global            what the normalizers sent there       = what the router took
 *     events.<region>   what normalizers and router sent there = what the history took
 *
 * Counts come with the offset that they reach to, the logs' ends are asked for behind them. So nothing has to be guessed
 * about time: a stage that has passed the end as of an earlier look must have taken at least what had been sent by then
 * (else something is missing), and cannot have taken more than its senders have counted once these have passed the end
 * of their own input as of then (else there is a surplus). Workers that are dead or late, an empty Redis or a Kafka that
 * restarts only put the judgement off. Under load a difference is covered by what came after the earlier look, until a
 * moment in which less is on its way than is missing.
 *
 * Records between the end of a worker's counts and the beginning of its next ones were passed over by nobody's
 * decision: a hole. Holes are remembered until somebody accepts them.
 *
 * Layer: pure. DEPS base, topology.
 */
#ifndef BALANCE_BALANCE_H
#define BALANCE_BALANCE_H

#include "base/base.h"
#include "topology/topology.h"

#define BALANCE_REGIONS_MAX    64
#define BALANCE_PARTITIONS_MAX 1024
#define BALANCE_HOLES_MAX      256
#define BALANCE_WHY_SIZE       512
#define BALANCE_MEMORY_SIZE    128

/* What one worker counted of one partition, lib/tally, as docs/REDIS.md names it. */
struct balance_counts {
    int64_t base, offset; /* counted is [base, offset) */
    int64_t gaps;         /* offsets without a record */
    int64_t outcomes;     /* what records became; of the router copies, too */
    int64_t events;       /* taken as events by router or history */
    int64_t to_global, to_region[BALANCE_REGIONS_MAX]; /* sent on */
};

/* Adds one field of a tally. */
void balance_count(struct balance_counts *counts, const struct str *regions, size_t region_count,
                   struct str name, int64_t n);

struct balance;

/* `after_ms`: a difference is a finding when it has lasted so long. Regions are copied. NULL without memory. */
struct balance *balance_new(const struct str *regions, size_t region_count, int64_t after_ms);
void balance_free(struct balance *balance);
AUTO_DEFINE(struct balance, balance_free)

/* Topics are numbered: raw of each region, global, events of each region. */
size_t balance_topic_count(const struct balance *balance);
enum topic_kind balance_topic_kind(const struct balance *balance, size_t topic);
struct str balance_topic_region(const struct balance *balance, size_t topic); /* empty: global */
struct topic_name balance_topic_name(const struct balance *balance, size_t topic);
struct str balance_topic_worker(const struct balance *balance, size_t topic); /* who counts it */

/* One look: the counts of every partition, the last stage's first; behind all of them every log's end; then the
 * judgement. An end that was asked for earlier does not have all that was counted as sent before it, and a stage that has
 * come just there would seem to miss the rest. `counts` NULL: nobody tells. */
void balance_part(struct balance *balance, size_t topic, int32_t partition, int64_t now_ms,
                  const struct balance_counts *counts);
void balance_log(struct balance *balance, size_t topic, int32_t partition, int64_t log_end);
void balance_judge(struct balance *balance, int64_t now_ms);

struct balance_row {
    int64_t received; /* records of the log since counting began; of the later stages: sent there */
    int64_t accounted; /* of them taken, by any outcome */
    int64_t waiting;   /* offsets not read yet */
    int64_t passed;    /* in holes */
    int64_t missing;   /* certain by now; negative: a surplus */
    int32_t unknown;   /* partitions whose counts nobody tells */
};
struct balance_row balance_row(const struct balance *balance, size_t topic);

/* What is wrong: the i-th, for as long as it is. False behind the last. `id` names the thing, `why` says it. */
struct balance_finding {
    char id[BALANCE_MEMORY_SIZE];
    char why[BALANCE_WHY_SIZE];
};
bool balance_finding(const struct balance *balance, size_t i, struct balance_finding *ret);
/* The operator knows: a hole is forgotten; a difference is the new balance, as much of it as is certain by now. */
void balance_accept(struct balance *balance, struct str id);

/* What has to outlive the process, a line a thing; false behind the last. Recalling what is no such line is harmless. */
bool balance_memory(const struct balance *balance, size_t i, char ret[BALANCE_MEMORY_SIZE]);
void balance_recall(struct balance *balance, struct str line);

#endif
