/* contents.h - what a delivered object holds, once it is known to be what we wrote.
 *
 *     gzip member --contents_open()--> plain bytes, as their digest says --contents_next()--> document after document
 *
 * Layer: pure. DEPS base, gzip, objects (names and metadata).
 */
#ifndef CLI_CONTENTS_H
#define CLI_CONTENTS_H

#include "base/base.h"
#include "objects/name.h"

#define CONTENTS_SIZE_MAX ((size_t)256 << 20) /* of the plain bytes */

/* `meta` is signed: the caller has seen to that. -ERR_INVALID when the bytes are not those that it speaks of;
 * -ERR_LIMIT, -ERR_NOMEM. */
MUST_CHECK int contents_open(struct str packed, const struct object_meta *meta, struct buf *plain,
                             struct why *reterr_why);

/* The next document of a JSON array, cut off *rest, which begins as the array itself; false behind the last. */
bool contents_next(struct str *rest, struct str *ret);

#endif
