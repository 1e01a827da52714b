/* sim.c - chance, trace, failure; and the seeds, in as many processes as there are jobs.
 *
  *     simulate                      2,000 seeds, or those of TRAILBUS_TEST_SEEDS
 *     simulate --seed 17 --trace    one of them again, step by step
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define JOBS_MAX        64
#define SEED_SECONDS    60 /* a run that takes longer hangs */
#define SEEDS_BY_ITSELF 2000

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t draw(struct sim *sim)
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

int64_t sim_between(struct sim *sim, int64_t least, int64_t most)
{
    CHECK(least <= most);
    return least + (int64_t)(draw(sim) % (uint64_t)(most - least + 1));
}

bool sim_chance(struct sim *sim, int64_t percent)
{
    return sim_between(sim, 0, 99) < percent;
}

static void PRINTF_LIKE(3, 0) say(const struct sim *sim, FILE *to, const char *format, va_list args)
{
    (void)fprintf(to, "%6lld %8lld  ", (long long)sim->step, (long long)sim->now_ms);
    (void)vfprintf(to, format, args);
    (void)fputc('\n', to);
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list args;

    if (!sim->tracing)
        return;
    va_start(args, format);
    say(sim, stdout, format, args);
    va_end(args);
}

void sim_fail(const struct sim *sim, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %llu, at step, ms: ", (unsigned long long)sim->seed);
    va_start(args, format);
    say(sim, stderr, format, args);
    va_end(args);
    _exit(1);
}

/* ---- seeds ------------------------------------------------------------------------------------------- */

struct job {
    uint64_t seed; /* running, or the one that it ended with */
    uint64_t done;
    struct sim_totals totals;
};

struct shared {
    uint64_t first, last, until_s; /* until_s: go on for so long instead; 0: not */
    uint64_t failed;               /* the least seed that has failed; none: UINT64_MAX */
    size_t job_count;
    bool tracing;
    struct job jobs[JOBS_MAX];
};

static uint64_t now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static void run_job(struct shared *s, struct job *job)
{
    for (job->seed = s->first + (uint64_t)(job - s->jobs);; job->seed += s->job_count) {
        bool over = s->until_s ? now_s() >= s->until_s : job->seed > s->last;

        if (over || job->seed > s->failed)
            return;
        (void)alarm(SEED_SECONDS);
        sim_run(job->seed, s->tracing, &job->totals);
        job->done++;
    }
}

static void note_end(struct shared *s, const pid_t pids[JOBS_MAX], pid_t pid, int status)
{
    for (size_t j = 0; j < s->job_count; j++) {
        if (pids[j] != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            continue;
        if (WIFSIGNALED(status))
            (void)fprintf(stderr, "seed %llu: ended by signal %d\n",
                          (unsigned long long)s->jobs[j].seed, WTERMSIG(status));
        s->failed = MIN_OF(s->failed, s->jobs[j].seed);
    }
}

static void run_jobs(struct shared *s)
{
    pid_t pids[JOBS_MAX], pid;
    int status;

    for (size_t j = 0; j < s->job_count; j++) {
        pids[j] = fork();
        CHECK(pids[j] >= 0);
        if (pids[j] == 0) {
            run_job(s, &s->jobs[j]);
            exit(0);
        }
    }
    while ((pid = wait(&status)) > 0 || errno == EINTR)
        note_end(s, pids, pid, status);
}

static int report(const struct shared *s, uint64_t seconds)
{
    struct sim_totals t = {0};
    uint64_t done = 0;

    for (size_t j = 0; j < s->job_count; j++) {
        const struct sim_totals *one = &s->jobs[j].totals;

        done += s->jobs[j].done;
        t.steps += one->steps;
        t.events += one->events;
        t.expected += one->expected;
        t.objects += one->objects;
        t.lives += one->lives;
        t.lost += one->lost;
        t.adopted += one->adopted;
    }
    printf("%llu seeds in %llu s: %llu steps, %llu offsets, %llu deliveries in %llu objects, %llu "
           "workers' lives, %llu looks at existing objects, %llu offsets announced as lost\n",
           (unsigned long long)done, (unsigned long long)seconds, (unsigned long long)t.steps,
           (unsigned long long)t.events, (unsigned long long)t.expected,
           (unsigned long long)t.objects, (unsigned long long)t.lives,
           (unsigned long long)t.adopted, (unsigned long long)t.lost);
    if (s->failed == UINT64_MAX)
        return 0;
    printf("seed %llu failed; again, step by step: TRAILBUS_TEST_SEED=%llu simulate --trace\n",
           (unsigned long long)s->failed, (unsigned long long)s->failed);
    return 1;
}

static uint64_t number_of(const char *text, const char *what)
{
    uint64_t n = 0;

    if (str_to_u64(str_from(text), &n))
        return n;
    (void)fprintf(stderr, "%s wants a number\n", what);
    exit(2);
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? number_of(text, name) : otherwise;
}

/* One seed is given: it alone, unless a number of seeds or of minutes is given too. */
static void read_arguments(struct shared *s, int argc, char **argv)
{
    uint64_t seed = environment("TRAILBUS_TEST_SEED", 0);
    uint64_t minutes = environment("TRAILBUS_TEST_MINUTES", 0), seeds = 0;
    uint64_t jobs = (uint64_t)MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L);

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--trace") == 0) {
            s->tracing = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0)
            seed = number_of(value, argv[i]);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = number_of(value, argv[i]);
        else if (strcmp(argv[i], "--minutes") == 0)
            minutes = number_of(value, argv[i]);
        else if (strcmp(argv[i], "--jobs") == 0)
            jobs = number_of(value, argv[i]);
        else
            (void)number_of("", "usage: simulate [--seed N] [--seeds N] [--minutes N] [--jobs N] "
                                "[--trace]; each but --trace");
        i++;
    }
    if (!seeds)
        seeds = seed ? 1 : environment("TRAILBUS_TEST_SEEDS", SEEDS_BY_ITSELF);
    s->first = seed ? seed : 1;
    s->last = s->first + seeds - 1;
    s->until_s = minutes ? now_s() + minutes * 60 : 0;
    s->job_count = (size_t)MIN_OF(MAX_OF(jobs, (uint64_t)1), (uint64_t)JOBS_MAX);
}

int main(int argc, char **argv)
{
    struct shared *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t began_s = now_s();

    CHECK(s != MAP_FAILED);
    s->failed = UINT64_MAX;
    read_arguments(s, argc, argv);
    printf("TRAILBUS_TEST_SEED=%llu and on, %zu jobs\n", (unsigned long long)s->first,
           s->job_count);
    (void)fflush(stdout);
    run_jobs(s);
    return report(s, now_s() - began_s);
}
