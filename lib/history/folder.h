/* folder.h - folders that are made to stay.
 *
 * Layer: I/O; private to lib/history. DEPS base.
 */
#ifndef HISTORY_FOLDER_H
#define HISTORY_FOLDER_H

#include "base/base.h"

MUST_CHECK int folder_make(const char *path, struct why *reterr_why);
/* A folder that a power cut forgets would take its files with it. */
MUST_CHECK int folder_sync(const char *path, struct why *reterr_why);

#endif
