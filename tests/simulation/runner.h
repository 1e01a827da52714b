/* runner.h - many seeds of a world, and the shortest schedule of one that fails.
 *
 *     struct world  --runner_main()-->  seeds 1, 2, 3, … in as many processes as there are cores
 *                                       the least that fails: shrunk, printed step by step, and how to replay it
 *
 * A seed decides everything: a world draws all its randomness from its run. A run is a beginning, steps
 * and an ending:
 *
 *     static void run(struct run *run)
 *     {
 *         … draw what the world is like …
 *         run_steps(run, run_between(run, 100, 1600));
 *         while (run_step(run))
 *             … draw what happens, let it happen, check …
 *         … let everything come to rest, check …
 *     }
 *
 * Each step draws from a generator of its own, made of the seed and the step's number. So a schedule is the list
 * of the steps that happen: one can be left out, and the others still draw what they drew. Shrinking leaves out as
 * many as it can while the run fails in the same way; `--steps` runs exactly those that are left.
 *
 * A world keeps all its state in memory that it makes in run(): the same process runs the next seed.
 */
#ifndef SIMULATION_RUNNER_H
#define SIMULATION_RUNNER_H

#include <stdarg.h>

#include "base/base.h"

#define RUN_STEPS_MAX    100000
#define RUN_COUNTERS_MAX 16

struct run_schedule;

struct run {
    uint64_t seed;
    bool tracing;
    int64_t now_ms; /* virtual time: the world's, for its traces */
    int64_t step;   /* 0: beginning; then the step's number; RUN_STEPS_MAX: the ending */
    /* the runner's own */
    uint64_t random;
    int64_t step_count, steps_done;
    const struct run_schedule *schedule; /* NULL: all steps happen */
    uint64_t *totals;
};

struct world {
    const char *name;
    const char *const *counters; /* what run_count() counts, for the summary; NULL-terminated */
    void (*run)(struct run *run);
};

/* Both included. */
int64_t run_between(struct run *run, int64_t least, int64_t most);
bool run_chance(struct run *run, int64_t percent);
/* Draws what this seed draws, and not its own: for runs that differ in something else. In the beginning. */
void run_as(struct run *run, uint64_t seed);
/* The run has so many steps: said once, in the beginning. */
void run_steps(struct run *run, int64_t count);
/* Goes on to the next step; false: what is drawn from now on is the ending's. */
bool run_step(struct run *run);
void run_count(struct run *run, size_t counter, uint64_t more);
void run_trace(const struct run *run, const char *format, ...) PRINTF_LIKE(2, 3);
/* The run has shown a fault: says so and ends the process. The format is the kind of fault: when a schedule is
 * shrunk, it has to stay the same. */
__attribute__((noreturn)) void run_fail(const struct run *run, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* For wrappers of the two above. */
void run_vtrace(const struct run *run, const char *format, va_list args) PRINTF_LIKE(2, 0);
__attribute__((noreturn)) void run_vfail(const struct run *run, const char *format, va_list args)
    PRINTF_LIKE(2, 0);

/* simulate-WORLD [--seed N] [--seeds N] [--seconds N] [--jobs N] [--trace] [--steps LIST] [--no-shrink]
 * and TRAILBUS_TEST_SEED, _SEEDS, _MINUTES of the environment. Returns what main() does. */
int runner_main(const struct world *world, int argc, char **argv);

#endif
