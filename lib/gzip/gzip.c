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
    size_t room = packed.len * 4 + 4096, got = 0;
    int r = d ? -ERR_LIMIT : -ERR_NOMEM;

    while (r == -ERR_LIMIT && room <= out->max - out->len) {
        enum libdeflate_result result;
        char *to = buf_reserve(out, room);

        if (!to) {
            r = buf_error(out);
            break;
        }
        result = libdeflate_gzip_decompress(d, packed.at, packed.len, to, room, &got);
        if (result == LIBDEFLATE_SUCCESS)
            r = 0;
        else if (result == LIBDEFLATE_INSUFFICIENT_SPACE && room < out->max - out->len)
            room = MIN_OF(room * 4, out->max - out->len);
        else
            r = result == LIBDEFLATE_INSUFFICIENT_SPACE ? -ERR_NOMEM : -ERR_INVALID;
    }
    if (d)
        libdeflate_free_decompressor(d);
    if (r == 0)
        out->len += got;
    return r == -ERR_NOMEM ? -ERR_LIMIT : r;
}
