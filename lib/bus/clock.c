/* clock.c - time as it passes for whoever waits. */
#include "bus/bus.h"

#include <time.h>

int64_t bus_clock_ms(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
