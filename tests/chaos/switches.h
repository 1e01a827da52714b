/* switches.h - what the driver of the chaos test lets a process believe (faults.py writes them).
 *
 * The switches of a process lie in the file $TRAILBUS_PROCESS.switches, two numbers of 64 bits, which stays mapped: so a
 * look at them costs nothing, and they change while the process runs. A process without the file has none on.
 */
#ifndef CHAOS_SWITCHES_H
#define CHAOS_SWITCHES_H

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct switches {
    _Atomic int64_t clock_off_s; /* how far CLOCK_REALTIME is off */
    _Atomic int64_t disk_full;   /* 1: nothing can be written below $TRAILBUS_CHAOS_DISK */
};

/* NULL: this process has none. */
static const struct switches *switches_map(void)
{
    const char *process = getenv("TRAILBUS_PROCESS");
    char path[PATH_MAX];
    void *mapped = MAP_FAILED;
    int fd;

    if (!process || snprintf(path, sizeof(path), "%s.switches", process) >= (int)sizeof(path))
        return NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (lseek(fd, 0, SEEK_END) >= (off_t)sizeof(struct switches))
        mapped = mmap(NULL, sizeof(struct switches), PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    return mapped == MAP_FAILED ? NULL : mapped;
}

#endif
