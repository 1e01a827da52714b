/* faults.h - a scenario, run again and again: each time another one of its calls fails.
 *
 *     run 0     nothing fails: what it notes is what is right, and the calls are counted
 *     run n     call n fails; then once more, with n and all that follow failing
 *
 * Calls are those that our own objects make of the functions in FAULTS: the linker puts ours before them
 * (--wrap), production code knows nothing of it.
 *
 * After each run: it has returned an error of a class that fits, or has noted exactly what is right; all memory
 * that it took is free again. So "no memory" can neither be taken for an answer nor for a verdict on the input.
 *
 * A scenario is a function that begins anew every time, notes what came out with note(), and returns 0 or the
 * error that went up. The table is in docs/TESTING.md.
 */
#ifndef TORTURE_FAULTS_H
#define TORTURE_FAULTS_H

#include "base/base.h"

/* Calls of a run that are made to fail one by one; with more of them they are spread evenly. */
#ifdef __SANITIZE_ADDRESS__
#    define FAULTS_MAX 50
#else
#    define FAULTS_MAX 200
#endif

/* What came out, so far as it must be the same whenever a run ends well. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);
void note_str(const char *name, struct str text);

/* From here on nothing fails: to see that what failed before can be done again. False: nothing has failed yet, and from
 * here on nothing will. */
bool fault_over(void);
/* A call of another kind, of which a test's own wrapper asks whether it is to fail. */
bool fault_here(const char *what);
/* What the scenario itself needs is neither counted nor fails. */
void fault_pause(bool on);
/* Whether the call that fails in this run is one for memory. */
bool fault_is_memory(void);

/* A call has failed in this run. */
bool fault_happened(void);
/* For who runs by himself: a run begins, paused, in which call `fail_at` is to fail (0: none), and perhaps all behind it; it
 * ends. False: not all memory taken in it was given back. */
void fault_begin(size_t fail_at, bool and_after);
bool fault_end(size_t *ret_calls);

/* Where scenarios make their files: in memory where that can be, for forcing to disk takes its time and is not what is
 * tried here. */
const char *torture_folder(void);

/* A promise that holds in every run; names the run when it is broken. */
#define PROMISE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond))                                                                               \
            promise_broken(#cond, __FILE__, __LINE__);                                             \
    } while (0)
void promise_broken(const char *cond, const char *file, int line);

struct scenario {
    const char *name;
    int (*run)(void);
    size_t faults_max; /* 0: FAULTS_MAX; fewer where a run takes long */
};

/* Runs them all, or those named by arguments; prints a line each. The program's exit status. `TORTURE_ONLY=n` runs
 * run n alone, `TORTURE_ALL=1` every one, however many. */
int torture(const struct scenario *scenarios, size_t count, int argc, char **argv);

#define TORTURE(...)                                                                               \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct scenario scenarios[] = {__VA_ARGS__};                                  \
        return torture(scenarios, ARRAY_LEN(scenarios), argc, argv);                               \
    }

#endif
