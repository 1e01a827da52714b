/* positions.h - where a stage stands, in a log of its own: the compacted topic `positions`.
 *
 * A group's coordinator can say that a group stands at an older offset than the committed one, and stay with it
 * (docs/decisions/0006). So a stage writes where it stands into this log too, in the same transaction, and reads that
 * to its end before it begins a partition. The group is asked for its members; its offsets are for whoever watches.
 *
 *     key    <group>/<topic>/<partition>
 *     value  "1 <the topic's generation> <offset> <tally>"; none: an operator took it back, and has set the group's
 *
 * In a topic that was made anew an offset of the old one says nothing: the generation tells them apart.
 *
 * Layer: I/O; of lib/bus alone. DEPS as bus.h.
 */
#ifndef BUS_POSITIONS_H
#define BUS_POSITIONS_H

#include "bus/bus.h"
#include "tally/tally.h"

#define POSITIONS_READ_MS   60000 /* a log that cannot be read in this time is tried again */
#define POSITION_KEY_SIZE   (GROUP_NAME_SIZE + TOPIC_NAME_SIZE + 16) /* with NUL */
#define POSITION_VALUE_SIZE (TALLY_TEXT_SIZE + 128)

/* Of one group in one topic, as of the last reading. */
struct positions;

/* NULL without memory. Both names stay with the caller. */
struct positions *positions_new(const char *group, const char *topic);
void positions_free(struct positions *positions);
AUTO_DEFINE(struct positions, positions_free)

/* Reads on to the log's end as of now: open transactions are waited out. -ERR_BUG: a record that we never wrote. */
MUST_CHECK int positions_read(struct positions *positions, const struct bus_settings *settings,
                              struct why *reterr_why);

/* *ret_offset: BUS_OFFSET_NONE when the last position was one in another generation. *ret_tally is borrowed until the next
 * reading. False: there is none. */
bool positions_find(const struct positions *positions, struct str generation, int32_t partition,
                    int64_t *ret_offset, struct str *ret_tally);

struct position_record {
    char key[POSITION_KEY_SIZE], value[POSITION_VALUE_SIZE];
};
/* Where it stands now. -ERR_LIMIT: the tally is too long. */
MUST_CHECK int positions_record(const struct positions *positions, struct str generation,
                                int32_t partition, int64_t offset, const struct tally *tally,
                                struct position_record *ret);

#endif
