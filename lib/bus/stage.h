/* stage.h - one topic in, others out, exactly once: what normalizer and router stand on (lib/relay).
 *
 * Outputs and input offsets are committed in one Kafka transaction, at most STAGE_COMMIT_MS after its
 * first record, and with them where the stage stands in its topic (docs/decisions/0006). The stage calls its owner back:
 *
 *     generation  partitions are ours, and where they stand is read: which life of the topic is this?
 *     assigned    they are begun at these offsets: read whatever state they need
 *     record      a record: decide, call bus_stage_write() for each output
 *     committed   all since the last committed() is durable
 *     aborted     all since the last committed() never was: forget what was learned from it
 *
 * The race that needs care: a transaction fails while the consumer's position is ahead of it. So after any
 * failure both handles are made anew, and the partitions are assigned again, from where they stand; the records
 * come again.
 *
 * Layer: I/O. DEPS as bus.h.
 */
#ifndef BUS_STAGE_H
#define BUS_STAGE_H

#include "bus/bus.h"
#include "tally/tally.h"

#define STAGE_COMMIT_MS      100   /* from the first record of a transaction to its commit */
#define STAGE_RECORDS_MAX    50000 /* in one transaction */
#define STAGE_IDLE_COMMIT_MS 1000  /* positions past markers and nothing else */
#define STAGE_TELL_MS        30000 /* from telling the group all offsets to telling them again */
#define STAGE_COMMIT_WAIT_MS 15000 /* a commit that takes longer is given up and retried */

struct bus_stage;

struct bus_stage_owner {
    void *arg;
    /* *ret is borrowed until the next call: "" is none. Also the moment to read `control` to its end (rule 3). */
    int (*generation)(void *arg, struct str *ret, struct why *reterr_why);
    int (*assigned)(void *arg, const struct bus_position *positions, size_t count,
                    struct why *reterr_why);
    /* < 0 ends bus_stage_step() with that error and aborts. */
    int (*record)(void *arg, const struct bus_record *record, struct why *reterr_why);
    void (*committed)(void *arg);
    void (*aborted)(void *arg);
};

struct bus_stage_settings {
    struct bus_settings bus;
    const char *topic; /* input */
    const char *group;
    const char *transactional_id;
    const struct tally_kinds *kinds; /* of outcomes that are counted */
};

MUST_CHECK int bus_stage_open(const struct bus_stage_settings *settings,
                              const struct bus_stage_owner *owner, struct bus_stage **ret,
                              struct why *reterr_why);
void bus_stage_close(struct bus_stage *stage);
AUTO_DEFINE(struct bus_stage, bus_stage_close)

/* Works for about timeout_ms at most, then returns; call it in a loop. Errors of class retry have been
 * dealt with (aborted, handles built anew) when it returns them: wait a moment and call it again. */
MUST_CHECK int bus_stage_step(struct bus_stage *stage, int timeout_ms, struct why *reterr_why);

/* Commits what is done; before closing on SIGTERM. */
MUST_CHECK int bus_stage_finish(struct bus_stage *stage, struct why *reterr_why);

/* From `record` only: writes one output, keyed. */
MUST_CHECK int bus_stage_write(struct bus_stage *stage, const char *topic, struct str key,
                               struct str value, const struct bus_header *headers,
                               size_t header_count);

/* From `record` only: this is what became of it. Kept with where the stage stands (lib/tally). */
void bus_stage_count(struct bus_stage *stage, int32_t partition, size_t kind);
/* What is committed of each partition that is held. */
typedef void bus_stage_tally_fn(void *arg, int32_t partition, int64_t offset,
                                const struct tally *tally);
void bus_stage_tallies(const struct bus_stage *stage, bus_stage_tally_fn *each, void *arg);

/* What operators see: how many partitions are held, and the records waiting in all of them. */
struct bus_stage_view {
    size_t partition_count;
    int64_t lag;
    bool assigned;
};
void bus_stage_view(const struct bus_stage *stage, struct bus_stage_view *ret);

#endif
