/* places.c - in which partition a key lies, and where a partition is begun. Pure. */
#include "bus/bus.h"

/* Kafka's own murmur2 (seed 0x9747b28c), as its DefaultPartitioner and librdkafka's murmur2 have it. */
static uint32_t murmur2(struct str key)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *p = (const unsigned char *)key.at;
    uint32_t h = 0x9747b28c ^ (uint32_t)key.len;
    size_t left = key.len;

    for (; left >= 4; left -= 4, p += 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

        k *= m;
        k ^= k >> 24;
        k *= m;
        h = h * m ^ k;
    }
    if (left >= 3)
        h ^= (uint32_t)p[2] << 16;
    if (left >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (left >= 1)
        h = (h ^ p[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

int32_t bus_partition_of(struct str key, int32_t count)
{
    CHECK(count > 0);
    return (int32_t)((murmur2(key) & 0x7fffffff) % (uint32_t)count);
}

int bus_first_offset(int64_t committed, int64_t log_start, int64_t *ret_offset)
{
    if (committed == BUS_OFFSET_NONE && log_start > 0)
        return -ERR_RANGE;
    *ret_offset = committed == BUS_OFFSET_NONE ? 0 : committed;
    return 0;
}
