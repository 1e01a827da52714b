/* pack.c - what delivering costs without a log and without a store: the bare limit of delivery's bench.
 *
 *     pack FILE EVENTS BYTES    FILE: documents, one a line, taken again and again
 *
 * Joins EVENTS documents into arrays of BYTES, packs each, digests it. Prints JSON: events/s, CPU seconds a million.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "crypto/crypto.h"
#include "gzip/gzip.h"

#define FILE_SIZE_MAX ((size_t)64 << 20)

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void pack(struct gzip *gzip, struct buf *plain, struct buf *packed)
{
    struct sha256 digest;

    buf_add_byte(plain, ']');
    digest = sha256_of(buf_str(plain));
    buf_reset(packed);
    if (buf_error(plain) || gzip_pack(gzip, buf_str(plain), packed) < 0 ||
        digest.bytes[0] == packed->len)
        fprintf(stderr, "cannot pack\n");
    buf_reset(plain);
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0,
           bytes = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    AUTO_FREE char *text = malloc(FILE_SIZE_MAX);
    FILE *file = argc == 4 ? fopen(argv[1], "re") : NULL;
    AUTO(gzip_free) struct gzip *gzip = gzip_new();
    AUTO_BUF struct buf plain = {0}, packed = {0};
    struct str all, rest, line;
    double began, cpu;

    if (!count || !bytes || !text || !file || !gzip)
        return fprintf(stderr, "pack FILE EVENTS BYTES\n"), 2;
    all = str_trim(str_of(text, fread(text, 1, FILE_SIZE_MAX, file)));
    (void)fclose(file);
    buf_init(&plain, 2 * bytes + FILE_SIZE_MAX);
    buf_init(&packed, 2 * bytes + FILE_SIZE_MAX);
    rest = all;
    began = seconds();
    cpu = cpu_seconds();
    for (size_t i = 0; i < count; i++) {
        if (!rest.len)
            rest = all;
        (void)str_split(&rest, '\n', &line);
        buf_add_byte(&plain, plain.len ? ',' : '[');
        buf_add_str(&plain, line);
        if (plain.len >= bytes)
            pack(gzip, &plain, &packed);
    }
    if (plain.len)
        pack(gzip, &plain, &packed);
    printf("{\"events_s\": %.1f, \"cpu_s_per_million\": %.2f}\n",
           (double)count / (seconds() - began), (cpu_seconds() - cpu) / (double)count * 1e6);
    return 0;
}
