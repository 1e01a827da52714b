/* gzip.h - one gzip member, whole buffers in and out.
 *
 * Layer: pure. DEPS base. The only door to libdeflate.
 */
#ifndef GZIP_GZIP_H
#define GZIP_GZIP_H

#include "base/base.h"

struct gzip;
struct gzip *gzip_new(void); /* NULL without memory; reusable */
void gzip_free(struct gzip *gzip);
AUTO_DEFINE(struct gzip, gzip_free)

/* Appends the gzip member of `plain`. -ERR_LIMIT of `out`, -ERR_NOMEM. */
MUST_CHECK int gzip_pack(struct gzip *gzip, struct str plain, struct buf *out);
/* Appends what one member holds, which must be all of `packed`; at most out's maximum. -ERR_INVALID,
 * -ERR_LIMIT, -ERR_NOMEM. */
MUST_CHECK int gzip_unpack(struct str packed, struct buf *out);

#endif
