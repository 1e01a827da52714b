/* closing.c - letting go of librdkafka's handles.
 *
 * librdkafka 2.0.2 may wait for ever when a broker goes away while a handle is closed (its issue 4519), and the broker's return
 * does not end that: chaos met a normalizer that did nothing any more. So a handle is closed by a thread of its own,
 * which is waited for only so long. What is left behind does no harm: it reads for nobody, and groups and transactions
 * fence it as soon as our next handle comes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "bus/rdkafka_door.h"

#include "log/log.h"

#define LEFT_MAX 16 /* handles of a process; the next one is waited for, however long */

struct closing {
    void (*close)(void *handle);
    void *handle;
};

static atomic_int left;

static void *run(void *arg)
{
    struct closing *closing = arg;

    closing->close(closing->handle);
    free(closing);
    return NULL;
}

void door_close(void (*close)(void *handle), void *handle)
{
    struct closing *closing = calloc(1, sizeof(*closing));
    struct timespec until;
    pthread_t thread;

    if (closing)
        *closing = (struct closing){.close = close, .handle = handle};
    if (!closing || pthread_create(&thread, NULL, run, closing) != 0) {
        free(closing);
        close(handle);
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += BUS_CLOSE_TIMEOUT_MS / 1000;
    if (atomic_load(&left) >= LEFT_MAX) {
        (void)pthread_join(thread, NULL);
    } else if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
        atomic_fetch_add(&left, 1);
        (void)pthread_detach(thread);
        log_warning("kafka: a handle does not close within %d s and is left behind",
                    BUS_CLOSE_TIMEOUT_MS / 1000);
    }
}
