/* test_opening.c - a reader comes by while a writer makes a day's file: it finds nothing yet, or all of it. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "history/day_file.h"

#include "folder.h"

#define FILES 100

static char folder[FOLDER_SIZE];

static int setup(void **state)
{
    (void)state;
    folder_make(TEMPORARY("/tmp/trailbus-opening"), folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static void path_of(int number, char ret[128])
{
    (void)snprintf(ret, 128, "%s/%d.db", folder, number);
}

static int make_files(void)
{
    for (int i = 0; i < FILES; i++) {
        struct day_writer *writer;
        char path[128];

        path_of(i, path);
        if (day_writer_open(path, &writer, NULL) < 0)
            return 1;
        day_writer_close(writer);
    }
    return 0;
}

static void a_file_in_the_making_is_not_there_yet(void **state)
{
    pid_t child = fork();
    bool over = false;
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0)
        _exit(make_files());
    for (int i = 0; i < FILES; i++) {
        struct day_reader *reader = NULL;
        struct stat st;
        struct why why = {0};
        char path[128];
        int r = 0;

        path_of(i, path);
        while (r == 0) {
            bool ended = over || (over = waitpid(child, &status, WNOHANG) == child);

            r = stat(path, &st) < 0 ? 0 : day_reader_open(path, &reader, &why);
            if (r < 0)
                fail_msg("%s: %s", path, why.text);
            if (r == 0 && ended)
                fail_msg("%s was not made", path);
        }
        day_reader_close(reader);
    }
    assert_true(over || waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_in_the_making_is_not_there_yet, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
