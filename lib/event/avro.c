/* avro.c - zig-zag varints and length-prefixed bytes. */
#include "event/avro.h"

static const unsigned char marker[2] = {0xC3, 0x01};

int64_t avro_long(struct avro_in *in)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 64 && in->p < in->end; shift += 7) {
        unsigned char b = *in->p++;

        if (shift == 63 && b > 1)
            break;
        n |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80)
            return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
    }
    in->bad = true;
    in->p = in->end;
    return 0;
}

int32_t avro_int(struct avro_in *in)
{
    int64_t n = avro_long(in);

    if (n < INT32_MIN || n > INT32_MAX) {
        in->bad = true;
        return 0;
    }
    return (int32_t)n;
}

bool avro_boolean(struct avro_in *in)
{
    if (in->p == in->end || *in->p > 1) {
        in->bad = true;
        return false;
    }
    return *in->p++ == 1;
}

struct str avro_string(struct avro_in *in)
{
    int64_t len = avro_long(in);
    struct str s;

    if (len < 0 || len > in->end - in->p) {
        in->bad = true;
        in->p = in->end;
        return STR("");
    }
    s = str_of(in->p, (size_t)len);
    in->p += len;
    return s;
}

void avro_add_long(struct buf *out, int64_t n)
{
    uint64_t z = (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
    unsigned char *to = (unsigned char *)buf_reserve(out, 10);
    size_t len = 0;

    if (!to)
        return;
    while (z >= 0x80) {
        to[len++] = (unsigned char)(z | 0x80);
        z >>= 7;
    }
    to[len++] = (unsigned char)z;
    out->len += len;
}

void avro_add_boolean(struct buf *out, bool b)
{
    buf_add_byte(out, b ? 1 : 0);
}

void avro_add_string(struct buf *out, struct str s)
{
    avro_add_long(out, (int64_t)s.len);
    buf_add_str(out, s);
}

bool avro_open(struct str bytes, const unsigned char fingerprint[8], struct avro_in *ret)
{
    if (bytes.len < AVRO_HEADER_SIZE || memcmp(bytes.at, marker, sizeof(marker)) != 0 ||
        memcmp(bytes.at + sizeof(marker), fingerprint, 8) != 0)
        return false;
    *ret = (struct avro_in){(const unsigned char *)bytes.at + AVRO_HEADER_SIZE,
                            (const unsigned char *)bytes.at + bytes.len, false};
    return true;
}

void avro_add_header(struct buf *out, const unsigned char fingerprint[8])
{
    buf_add(out, marker, sizeof(marker));
    buf_add(out, fingerprint, 8);
}
