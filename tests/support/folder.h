/* folder.h - a temporary folder of a test. */
#ifndef SUPPORT_FOLDER_H
#define SUPPORT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

#define FOLDER_SIZE 32

/* Makes a folder of its own; `path` is a TEMPORARY("/tmp/…"). */
static inline void folder_make(const char *path, char ret[FOLDER_SIZE])
{
    assert_true(strlen(path) < FOLDER_SIZE);
    strcpy(ret, path);
    assert_non_null(mkdtemp(ret));
}

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
                                    struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

/* Removes it with all that lies in it; for a teardown to return. */
static inline int folder_remove(const char *path)
{
    return nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
