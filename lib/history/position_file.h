/* position_file.h - where a partition's writer goes on, and the lock that keeps a second one out.
 *
 * The position is stored after the days that it speaks of: a crash in between makes the same input
 * come again, and each day file knows by its own offset what of it is applied.
 *
 * Layer: I/O; private to lib/history. DEPS base.
 */
#ifndef HISTORY_POSITION_FILE_H
#define HISTORY_POSITION_FILE_H

#include "history/history.h"

struct position_file;

/* `folder` is the region's. -ERR_UNAVAILABLE while another process holds the partition. */
MUST_CHECK int position_file_open(const char *folder, int32_t partition, struct position_file **ret,
                                  struct why *reterr_why);
void position_file_close(struct position_file *file); /* takes NULL */
AUTO_DEFINE(struct position_file, position_file_close)

const struct history_position *position_file_get(const struct position_file *file);
MUST_CHECK int position_file_set(struct position_file *file, struct str generation, int64_t next,
                                 const char *note, struct why *reterr_why);

#endif
