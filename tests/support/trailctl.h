/* trailctl.h - runs the trailctl that was built beside the test, and keeps what it said. */
#ifndef SUPPORT_TRAILCTL_H
#define SUPPORT_TRAILCTL_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define TRAILCTL_OUTPUT_MAX (1 << 20)

static char trailctl_program[512], trailctl_output[TRAILCTL_OUTPUT_MAX];

static inline void trailctl_find(void)
{
    ssize_t len = readlink("/proc/self/exe", trailctl_program, sizeof trailctl_program - 64);

    assert_true(len > 0);
    trailctl_program[len] = '\0';
    *(strrchr(trailctl_program, '/')) = '\0';
    strcat(trailctl_program, "/../bin/trailctl");
}

/* A command of the shell; its exit code. */
static inline int trailctl_shell(const char *line)
{
    FILE *pipe = popen(line, "re");
    size_t len;
    int status;

    assert_non_null(pipe);
    len = fread(trailctl_output, 1, TRAILCTL_OUTPUT_MAX - 1, pipe);
    trailctl_output[len] = '\0';
    status = pclose(pipe);
    assert_true(WIFEXITED(status));
    print_message("%.200s: %d\n%.2000s", line, WEXITSTATUS(status), trailctl_output);
    return WEXITSTATUS(status);
}

/* trailctl with these words; its exit code. Standard error comes with its output. */
static inline int trailctl_run(const char *words)
{
    char line[2048];

    (void)snprintf(line, sizeof(line), "%s %s 2>&1", trailctl_program, words);
    return trailctl_shell(line);
}

static inline bool trailctl_said(const char *what)
{
    return strstr(trailctl_output, what) != NULL;
}

#endif
