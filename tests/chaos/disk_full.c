/* disk_full.c - preloaded: while its switch says so (switches.h), nothing can be written below $TRAILBUS_CHAOS_DISK.
 *
 * As a full disk does: what is there can be read and overwritten in memory, names can be removed; a write comes through in
 * half or not at all, files do not grow and are not made. Not what already grew: a file's size is asked for, so that
 * SQLite overwrites what it has.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "switches.h"

static const struct switches *switches;
static const char *folder;
static _Atomic unsigned halves; /* every other write comes through in half */

__attribute__((constructor)) static void start(void)
{
    folder = getenv("TRAILBUS_CHAOS_DISK");
    switches = folder ? switches_map() : NULL;
}

#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

static bool full(const char *path)
{
    return switches && atomic_load(&switches->disk_full) &&
           strncmp(path, folder, strlen(folder)) == 0;
}

static bool fd_full(int fd)
{
    char link[32], path[PATH_MAX];
    ssize_t len;

    if (!switches || !atomic_load(&switches->disk_full))
        return false;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        return false;
    path[len] = 0;
    return full(path);
}

static bool grows(int fd, off_t end)
{
    struct stat now;

    return fstat(fd, &now) < 0 || end > now.st_size;
}

/* How many of `size` bytes there is room for. */
static size_t room(int fd, size_t size, off_t offset)
{
    if (!fd_full(fd) || !grows(fd, offset + (off_t)size))
        return size;
    return size > 1 && atomic_fetch_add(&halves, 1) % 2 == 0 ? size / 2 : 0;
}

static int no_room(void)
{
    errno = ENOSPC;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    size_t fits = fd_full(fd) ? room(fd, size, lseek(fd, 0, SEEK_CUR)) : size;

    return fits == 0 && size > 0 ? no_room() : NEXT(write)(fd, bytes, fits);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    size_t fits = room(fd, size, offset);

    return fits == 0 && size > 0 ? no_room() : NEXT(pwrite)(fd, bytes, fits, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

int ftruncate(int fd, off_t size)
{
    return fd_full(fd) && grows(fd, size) ? no_room() : NEXT(ftruncate)(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    return fd_full(fd) && grows(fd, offset + size) ? ENOSPC
                                                   : NEXT(posix_fallocate)(fd, offset, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return fd_full(fd) && grows(fd, offset + size) ? no_room()
                                                   : NEXT(fallocate)(fd, mode, offset, size);
}

int mkdir(const char *path, mode_t mode)
{
    return full(path) && access(path, F_OK) < 0 ? no_room() : NEXT(mkdir)(path, mode);
}

static int open_any(const char *path, int flags, mode_t mode)
{
    if ((flags & O_CREAT) && full(path) && access(path, F_OK) < 0)
        return no_room();
    return NEXT(open)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(path, flags, mode);
}
