/* folder.c - see folder.h. */
#include "history/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int system_error(int error, int otherwise)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return -ERR_UNAVAILABLE;
    default:
        return otherwise;
    }
}

int folder_sync(const char *path, struct why *reterr_why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return why_set(reterr_why, system_error(errno, -ERR_CONFIG), "cannot open '%s': %s", path,
                       strerror(errno));
    int failed = fsync(fd) < 0 ? errno : 0;
    close(fd);
    if (failed)
        return why_set(reterr_why, system_error(failed, -ERR_IO), "cannot sync '%s': %s", path,
                       strerror(failed));
    return 0;
}

int folder_make(const char *path, struct why *reterr_why)
{
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return why_set(reterr_why, system_error(errno, -ERR_CONFIG), "cannot make '%s': %s", path,
                       strerror(errno));
    return 0;
}
