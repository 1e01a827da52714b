#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "schedule.h"

#define JOBS_MAX        64
#define SEED_SECONDS    60 /* of the processor: a run that takes more hangs */
#define SEEDS_BY_ITSELF 2000
#define FAULT_TEXT_MAX  1024
#define SHRINK_ATTEMPTS 20000
#define SHRINK_SECONDS  60
#define TRACE_LINES_MAX 400 /* of a failing run, printed at the end */

/* How a run ended, as its process says, or the one that waits for it. */
struct fault {
    const char *format; /* the kind: the same address in every process */
    int signal;         /* the process was ended by it */
    char text[FAULT_TEXT_MAX];
};

/* One process of seeds. */
struct job {
    pid_t pid;
    uint64_t seed; /* running, or the one that it ended with */
    uint64_t done;
    int64_t step_count; /* of that seed */
    uint64_t totals[RUN_COUNTERS_MAX];
    struct fault fault;
};

/* Shared by all processes. */
struct runner {
    const struct world *world;
    const char *program;           /* as it was called */
    uint64_t first, last, until_s; /* until_s: go on for so long instead; 0: not */
    size_t job_count;
    bool tracing, shrinks, has_steps;
    uint64_t failed; /* the least seed that has failed; none: UINT64_MAX */
    struct fault fault;
    struct job jobs[JOBS_MAX];
    int64_t step_count; /* that the failing run drew */
    uint64_t shrink_until_s;
    struct run_schedule schedule, scratch;
};

static struct job *own; /* of this process: a run may fail anywhere */

/* ---- chance ------------------------------------------------------------------------------------------ */

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void enter_step(struct run *run, int64_t step)
{
    run->step = step;
    run->random = mix(run->seed * 0x9e3779b97f4a7c15 + (uint64_t)step);
}

int64_t run_between(struct run *run, int64_t least, int64_t most)
{
    CHECK(least <= most);
    run->random += 0x9e3779b97f4a7c15;
    return least + (int64_t)(mix(run->random) % (uint64_t)(most - least + 1));
}

bool run_chance(struct run *run, int64_t percent)
{
    return run_between(run, 0, 99) < percent;
}

void run_as(struct run *run, uint64_t seed)
{
    CHECK(run->step == 0);
    run->seed = seed;
    enter_step(run, 0);
}

void run_steps(struct run *run, int64_t count)
{
    CHECK(count >= 0 && count < RUN_STEPS_MAX && run->step == 0);
    run->step_count = own->step_count = count;
}

bool run_step(struct run *run)
{
    const struct run_schedule *s = run->schedule;
    int64_t step = run->steps_done + 1;

    if (s)
        step = run->steps_done < s->count ? s->steps[run->steps_done] : RUN_STEPS_MAX;
    run->steps_done++;
    if (step > run->step_count) {
        enter_step(run, RUN_STEPS_MAX);
        return false;
    }
    enter_step(run, step);
    return true;
}

/* ---- what a run says ----------------------------------------------------------------------------------- */

void run_count(struct run *run, size_t counter, uint64_t more)
{
    CHECK(counter < RUN_COUNTERS_MAX);
    run->totals[counter] += more;
}

static void where(const struct run *run, char text[64])
{
    if (run->step == RUN_STEPS_MAX)
        (void)snprintf(text, 64, "   end %8lld", (long long)run->now_ms);
    else
        (void)snprintf(text, 64, "%6lld %8lld", (long long)run->step, (long long)run->now_ms);
}

void run_vtrace(const struct run *run, const char *format, va_list args)
{
    char at[64];

    if (!run->tracing)
        return;
    where(run, at);
    printf("%s  ", at);
    (void)vprintf(format, args);
    (void)putchar('\n');
}

void run_trace(const struct run *run, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    run_vtrace(run, format, args);
    va_end(args);
}

void run_vfail(const struct run *run, const char *format, va_list args)
{
    struct fault *f = &own->fault;
    char at[64];

    where(run, at);
    f->format = format;
    (void)vsnprintf(f->text, sizeof(f->text), format, args);
    if (run->tracing)
        printf("%s  FAILS: %s\n", at, f->text);
    (void)fflush(stdout);
    _exit(1);
}

void run_fail(const struct run *run, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    run_vfail(run, format, args);
}

/* ---- seeds ------------------------------------------------------------------------------------------- */

static uint64_t now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* Of the processor, so that a busy machine ends nobody; 0: as many as it likes. */
static void give_seconds(long seconds)
{
    const struct itimerval timer = {.it_value.tv_sec = seconds};

    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
}

static void run_seed(struct runner *r, struct job *job, uint64_t seed,
                     const struct run_schedule *schedule, bool tracing)
{
    struct run run = {
        .seed = seed, .tracing = tracing, .schedule = schedule, .totals = job->totals};

    own = job;
    job->seed = seed;
    if (tracing) /* the process may be about to end in the middle */
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
    give_seconds(SEED_SECONDS);
    enter_step(&run, 0);
    r->world->run(&run);
    give_seconds(0);
    job->done++;
}

/* Every job_count-th seed; none above the least that has failed, which nobody would want to know. */
static void run_job(struct runner *r, struct job *job)
{
    for (uint64_t seed = r->first + (uint64_t)(job - r->jobs);; seed += r->job_count) {
        bool over = r->until_s ? now_s() >= r->until_s : seed > r->last;

        if (over || seed > r->failed)
            return;
        run_seed(r, job, seed, r->has_steps ? &r->schedule : NULL, r->tracing);
    }
}

/* Whether the process of a run, or of many, has ended with a fault. */
static bool ended_badly(struct job *job, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    if (WIFSIGNALED(status)) {
        job->fault.signal = WTERMSIG(status);
        (void)snprintf(job->fault.text, sizeof(job->fault.text), "ended by signal %d%s",
                       WTERMSIG(status), WTERMSIG(status) == SIGPROF ? ": it hangs" : "");
    }
    return true;
}

static void note_end(struct runner *r, pid_t pid, int status)
{
    for (size_t j = 0; j < r->job_count; j++) {
        struct job *job = &r->jobs[j];

        if (job->pid != pid || !ended_badly(job, status) || job->seed > r->failed)
            continue;
        r->failed = job->seed;
        r->fault = job->fault;
        r->step_count = job->step_count;
    }
}

static void run_jobs(struct runner *r)
{
    pid_t pid;
    int status;

    for (size_t j = 0; j < r->job_count; j++) {
        struct job *job = &r->jobs[j];

        (void)fflush(NULL);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            run_job(r, job);
            exit(0);
        }
        job->pid = pid; /* said here: the memory is shared */
    }
    while ((pid = wait(&status)) > 0 || errno == EINTR)
        if (pid > 0)
            note_end(r, pid, status);
}

/* ---- a seed that failed ---------------------------------------------------------------------------------- */

/* Runs the failing seed once more, by a schedule, in a process of its own. Its output goes to `output`; -1: nowhere. */
static bool fails_again(struct runner *r, int output)
{
    struct job *job = &r->jobs[0];
    int status;
    pid_t pid;

    *job = (struct job){0};
    (void)fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int to = output >= 0 ? output : open("/dev/null", O_WRONLY);

        (void)dup2(to, STDOUT_FILENO);
        (void)dup2(to, STDERR_FILENO);
        run_seed(r, job, r->failed, &r->schedule, output >= 0);
        exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        CHECK(errno == EINTR);
    return ended_badly(job, status) && job->fault.format == r->fault.format &&
           job->fault.signal == r->fault.signal;
}

static bool still_fails(void *arg)
{
    struct runner *r = arg;

    return now_s() < r->shrink_until_s && fails_again(r, -1);
}

static void shrink(struct runner *r)
{
    int64_t before, attempts;

    if (!r->has_steps)
        schedule_all(&r->schedule, r->step_count);
    before = r->schedule.count;
    if (r->fault.signal == SIGPROF || !fails_again(r, -1)) {
        printf("not shrunk: it %s\n",
               r->fault.signal == SIGPROF ? "takes too long" : "does not fail by itself");
        return;
    }
    r->shrink_until_s = now_s() + SHRINK_SECONDS;
    attempts = schedule_shrink(&r->schedule, &r->scratch, SHRINK_ATTEMPTS, still_fails, r);
    r->has_steps = true;
    printf("shrunk from %lld steps to %lld by %lld attempts\n", (long long)before,
           (long long)r->schedule.count, (long long)attempts);
}

/* The last lines of what the run does. */
static void print_trace(struct runner *r)
{
    FILE *trace = tmpfile();
    size_t lines = 0, skipped;
    int c;

    CHECK(trace);
    (void)fails_again(r, fileno(trace));
    rewind(trace);
    while ((c = getc(trace)) != EOF)
        lines += c == '\n';
    skipped = lines > TRACE_LINES_MAX ? lines - TRACE_LINES_MAX : 0;
    rewind(trace);
    if (skipped)
        printf("(%zu lines before)\n", skipped);
    while ((c = getc(trace)) != EOF) {
        if (skipped == 0)
            (void)putchar(c);
        else
            skipped -= c == '\n';
    }
    (void)fclose(trace);
}

static void report_failure(struct runner *r)
{
    static char steps[SCHEDULE_TEXT_MAX];

    printf("seed %llu fails: %s\n", (unsigned long long)r->failed, r->fault.text);
    if (r->tracing || !r->shrinks)
        return;
    (void)fflush(stdout);
    shrink(r);
    if (r->has_steps) {
        print_trace(r);
        schedule_format(&r->schedule, steps);
    }
    printf("\nagain, all of it:   %s --seed %llu --trace\n", r->program,
           (unsigned long long)r->failed);
    if (r->has_steps)
        printf("again, as printed:  %s --seed %llu --trace --steps '%s'\n", r->program,
               (unsigned long long)r->failed, steps);
}

static void report(const struct runner *r, uint64_t seconds)
{
    uint64_t done = 0;

    for (size_t j = 0; j < r->job_count; j++)
        done += r->jobs[j].done;
    printf("%llu seeds in %llu s", (unsigned long long)done, (unsigned long long)seconds);
    for (size_t i = 0; r->world->counters[i]; i++) {
        uint64_t total = 0;

        for (size_t j = 0; j < r->job_count; j++)
            total += r->jobs[j].totals[i];
        printf("%s%llu %s", i ? ", " : ": ", (unsigned long long)total, r->world->counters[i]);
    }
    printf("\n");
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

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

static void usage(void)
{
    (void)fprintf(stderr, "usage: [--seed N] [--seeds N] [--seconds N] [--jobs N] [--trace] "
                          "[--steps LIST] [--no-shrink]\n");
    exit(2);
}

struct arguments {
    uint64_t seed, seeds, seconds, jobs;
};

static void read_argument(struct runner *r, struct arguments *a, const char *name,
                          const char *value)
{
    static const char *const names[] = {"--seed", "--seeds", "--seconds", "--jobs"};
    uint64_t *const numbers[] = {&a->seed, &a->seeds, &a->seconds, &a->jobs};

    if (strcmp(name, "--steps") == 0) {
        r->has_steps = schedule_parse(&r->schedule, str_from(value));
        if (r->has_steps)
            return;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *numbers[i] = number_of(value, name);
            return;
        }
    usage();
}

/* One seed is given: it alone, unless a number of seeds or seconds is given too. */
static void read_arguments(struct runner *r, int argc, char **argv)
{
    struct arguments a = {.seed = environment("TRAILBUS_TEST_SEED", 0),
                          .seconds = environment("TRAILBUS_TEST_MINUTES", 0) * 60,
                          .jobs = (uint64_t)MAX_OF(sysconf(_SC_NPROCESSORS_ONLN), 1L)};

    r->shrinks = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            r->tracing = true;
        } else if (strcmp(argv[i], "--no-shrink") == 0) {
            r->shrinks = false;
        } else {
            read_argument(r, &a, argv[i], i + 1 < argc ? argv[i + 1] : "");
            i++;
        }
    }
    if (!a.seeds)
        a.seeds = a.seed ? 1 : environment("TRAILBUS_TEST_SEEDS", SEEDS_BY_ITSELF);
    r->first = a.seed ? a.seed : 1;
    r->last = r->first + a.seeds - 1;
    r->until_s = a.seconds ? now_s() + a.seconds : 0;
    r->job_count = (size_t)MIN_OF(MAX_OF(a.jobs, (uint64_t)1), (uint64_t)JOBS_MAX);
    if (r->tracing || (!r->until_s && r->first == r->last))
        r->job_count = 1;
}

int runner_main(const struct world *world, int argc, char **argv)
{
    struct runner *r =
        mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t began_s = now_s();

    CHECK(r != MAP_FAILED);
    r->world = world;
    r->program = argv[0];
    r->failed = UINT64_MAX;
    read_arguments(r, argc, argv);
    printf("%s: TRAILBUS_TEST_SEED=%llu and on, %zu jobs\n", world->name,
           (unsigned long long)r->first, r->job_count);
    run_jobs(r);
    report(r, now_s() - began_s);
    if (r->failed == UINT64_MAX)
        return 0;
    report_failure(r);
    return 1;
}
