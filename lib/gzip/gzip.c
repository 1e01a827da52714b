/* gzip.c - the door to libdeflate. */
#include "gzip/gzip.h"

#include <libdeflate.h>

/* Audit events are repetitive: higher levels gain a few percent for several times the CPU. */
#define LEVEL 5

struct gzip {
    struct libdeflate_compressor *compressor;
};

struct gzip *gzip_new(void)
{
    struct gzip *gzip = calloc(1, sizeof(*gzip));

    if (!gzip)
        return NULL;
    gzip->compressor = libdeflate_alloc_compressor(LEVEL);
    if (gzip->compressor)
        return gzip;
    free(gzip);
    return NULL;
}

void gzip_free(struct gzip *gzip)
{
    if (!gzip)
        return;
    libdeflate_free_compressor(gzip->compressor);
    free(gzip);
}

int gzip_pack(struct gzip *gzip, struct str plain, struct buf *out)
{
    size_t bound = libdeflate_gzip_compress_bound(gzip->compressor, plain.len), len;
    char *to = buf_reserve(out, bound);

    if (!to)
        return buf_error(out);
    len = libdeflate_gzip_compress(gzip->compressor, plain.at, plain.len, to, bound);
    CHECK(len > 0); /* the bound is never exceeded */
    out->len += len;
    return 0;
}

int gzip_unpack(struct str packed, struct buf *out)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    size_t room_max = out->max - out->len, room = MIN_OF(packed.len * 4 + 4096, room_max);
    enum libdeflate_result result;
    size_t used = 0, got = 0;
    char *to;

    if (!d)
        return -ERR_NOMEM;
    do {
        to = buf_reserve(out, room);
        result = to ? libdeflate_gzip_decompress_ex(d, packed.at, packed.len, to, room, &used, &got)
                    : LIBDEFLATE_INSUFFICIENT_SPACE;
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE || !to || room == room_max)
            break;
        room = room > room_max / 4 ? room_max : room * 4;
    } while (true);
    libdeflate_free_decompressor(d);
    if (!to)
        return buf_error(out);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        return -ERR_LIMIT;
    if (result != LIBDEFLATE_SUCCESS || used != packed.len)
        return -ERR_INVALID;
    out->len += got;
    return 0;
}
