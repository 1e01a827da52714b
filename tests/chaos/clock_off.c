/* clock_off.c - preloaded: CLOCK_REALTIME of one process is off by what its switch says (switches.h).
 *
 * All ways to ask for the time of day, and all waits that end at one: those go on as long as they would have on a
 * machine whose clock is off, neither ending at once nor lasting for minutes more. Monotonic clocks are left alone.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

#include "switches.h"

/* glibc keeps in a condition variable on which clock it waits. */
#define COND_MONOTONIC 2u

static const struct switches *switches;

__attribute__((constructor)) static void start(void)
{
    switches = switches_map();
}

static time_t off_s(void)
{
    return switches ? (time_t)atomic_load(&switches->clock_off_s) : 0;
}

/* The function that this one stands before. */
#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

static struct timespec real(const struct timespec *shown)
{
    return (struct timespec){.tv_sec = shown->tv_sec - off_s(), .tv_nsec = shown->tv_nsec};
}

/* ---- what time is it? ------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    static __typeof__(&clock_gettime) original;
    int r;

    if (!original)
        original = NEXT(clock_gettime);
    r = original(clock, ret);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += off_s();
    return r;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;

    (void)zone; /* nobody has asked for it since 4.3BSD */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *ret, int base)
{
    if (base != TIME_UTC)
        return 0;
    (void)clock_gettime(CLOCK_REALTIME, ret);
    return base;
}

/* ---- wait until then -------------------------------------------------------------------------------- */

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    struct timespec then = real(until);

    if (cond->__data.__wrefs & COND_MONOTONIC)
        then = *until;
    return NEXT(pthread_cond_timedwait)(cond, mutex, &then);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    struct timespec then = real(until);

    return NEXT(pthread_mutex_timedlock)(mutex, &then);
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                  const struct timespec *restrict until)
{
    struct timespec then = real(until);

    return NEXT(cnd_timedwait)(cond, mutex, &then);
}

int mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict until)
{
    struct timespec then = real(until);

    return NEXT(mtx_timedlock)(mutex, &then);
}
