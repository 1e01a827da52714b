/* replay.c - the main of a fuzz target outside of libFuzzer: runs it over every file of the folders given. */
#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes;
    long len;

    CHECK(file && fseek(file, 0, SEEK_END) == 0 && (len = ftell(file)) >= 0);
    rewind(file);
    bytes = malloc((size_t)len + (len == 0)); /* exactly: a sanitizer sees a read beyond */
    CHECK(bytes && fread(bytes, 1, (size_t)len, file) == (size_t)len);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)bytes, (size_t)len);
    free(bytes);
}

static size_t run_folder(const char *folder)
{
    DIR *at = opendir(folder);
    const struct dirent *entry;
    size_t count = 0;
    char path[4096];

    if (!at)
        return 0;
    while ((entry = readdir(at))) {
        if (entry->d_name[0] == '.')
            continue;
        CHECK(snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < (int)sizeof(path));
        run_file(path);
        count++;
    }
    (void)closedir(at);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;

    for (int i = 1; i < argc; i++)
        count += run_folder(argv[i]);
    printf("%zu inputs\n", count);
    return count ? 0 : 1;
}
