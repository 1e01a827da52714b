/* folder.h - folders that are made to stay.
 *
 * Layer: I/O; private to lib/history. DEPS base.
 */
#ifndef HISTORY_FOLDER_H
#define HISTORY_FOLDER_H

#include "base/base.h"

/* What a system call's error means to a worker: want of room or descriptors passes, all else is `otherwise`. */
int system_error(int error, int otherwise);

MUST_CHECK int folder_make(const char *path, struct why *reterr_why);
/* A folder that a power cut forgets would take its files with it. */
MUST_CHECK int folder_sync(const char *path, struct why *reterr_why);

#endif
