/* avro.h - the few primitives of Avro's binary encoding that our schemas need, over slices.
 *
 * Our own since the event path cannot afford avro-c (measured: 19 times slower), and checked against
 * avro-c and fastavro in the tests. Encoding: https://avro.apache.org/docs/1.11.1/specification/
 *
 * Layer: pure. DEPS base.
 */
#ifndef EVENT_AVRO_H
#define EVENT_AVRO_H

#include "base/base.h"

#define AVRO_HEADER_SIZE 10 /* single-object encoding: C3 01, then the schema's CRC-64-AVRO */

/* A place in a datum. A read beyond the end, or of something malformed, sets `bad` and gives zeros from
 * then on: check it once, at the end. */
struct avro_in {
    const unsigned char *p, *end;
    bool bad;
};

int64_t avro_long(struct avro_in *in);
int32_t avro_int(struct avro_in *in);
bool avro_boolean(struct avro_in *in);
struct str avro_string(struct avro_in *in); /* also bytes */

void avro_add_long(struct buf *out, int64_t n);
void avro_add_boolean(struct buf *out, bool b);
void avro_add_string(struct buf *out, struct str s);

/* Whether `bytes` is a single-object encoding of the schema; *ret stands on its datum then. */
bool avro_open(struct str bytes, const unsigned char fingerprint[8], struct avro_in *ret);
void avro_add_header(struct buf *out, const unsigned char fingerprint[8]);

#endif
