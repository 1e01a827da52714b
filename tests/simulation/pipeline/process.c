/* process.c - production's shells as processes: daemon.h's clocks and signals, and the ways in which a process ends. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "fiber.h"
#include "kafka.h"
#include "processes.h"

#define FREEZE_MS_LEAST 2000
#define FREEZE_MS_MOST  16000
#define RESTART_MS_MOST 9000
#define DOORS_MOST      4000 /* that a life goes through before it is killed */
#define DEAD_STEP_MS    1000

struct daemon {
    struct process *process;
};

static const char *const names[WORKER_KINDS] = {"normalizer", "router", "history",
                                                "delivery",   "api",    "operator"};

static void trace_process(const struct process *p, const char *what)
{
    trace("%s " STR_FMT ".%s: %s", names[p->kind], STR_ARG(p->region), p->instance, what);
}

/* ---- doors ------------------------------------------------------------------------------------------------- */

static void leave(struct process *p, int64_t wake_ms)
{
    p->wake_ms = wake_ms;
    fiber_pause(p->fiber);
}

bool doze(int64_t ms)
{
    struct process *p = sim->current;

    CHECK(p);
    if (!p->dead)
        leave(p, now_ms() + ms);
    return !p->dead;
}

static bool freeze(struct process *p)
{
    int64_t ms = between(FREEZE_MS_LEAST, FREEZE_MS_MOST);

    trace_process(p, "freezes");
    p->asleep_ms = now_ms() + ms;
    p->froze = true;
    return doze(ms);
}

bool door(int64_t least_ms, int64_t most_ms)
{
    struct process *p = sim->current;
    int64_t ms;

    CHECK(p);
    if (!p->dead && !sim->quiet && p->doors_left >= 0 && p->doors_left-- == 0) {
        trace_process(p, "is killed");
        p->dead = true;
    }
    if (p->dead)
        return false;
    if (!sim->quiet && p->freeze_left >= 0 && p->freeze_left-- == 0)
        return freeze(p);
    ms = between(least_ms, most_ms);
    return ms == 0 || doze(ms);
}

bool process_awake(const struct process *p)
{
    return p->fiber && !p->dead && now_ms() >= p->asleep_ms;
}

/* ---- daemon.h ------------------------------------------------------------------------------------------------ */

struct str daemon_region(const struct daemon *daemon)
{
    return daemon->process->region;
}

struct str daemon_instance(const struct daemon *daemon)
{
    return str_from(daemon->process->instance);
}

bool daemon_running(struct daemon *daemon)
{
    return door(0, 0) && !daemon->process->stopping;
}

void daemon_ready(struct daemon *daemon)
{
    (void)daemon;
}

void daemon_status(struct daemon *daemon, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(daemon->process->status, sizeof(daemon->process->status), format, args);
    va_end(args);
}

int daemon_stop_fd(const struct daemon *daemon)
{
    (void)daemon;
    return -1;
}

int daemon_backoff(struct daemon *daemon, int r, const struct why *why)
{
    struct process *p = daemon->process;

    if (r == 0)
        p->backoff_ms = 0;
    if (r == 0 || err_class(r) != ERR_CLASS_RETRY)
        return r;
    trace("%s " STR_FMT ".%s: %s: %s; waits", names[p->kind], STR_ARG(p->region), p->instance,
          err_name(r), why ? why->text : "");
    p->backoff_ms = p->backoff_ms ? MIN_OF(p->backoff_ms * 2, (int64_t)DAEMON_BACKOFF_MAX_MS)
                                  : DAEMON_BACKOFF_FIRST_MS;
    return door(p->backoff_ms / 2, p->backoff_ms) ? 0 : -ERR_BUG;
}

/* A dead process that waits for a time is not to wait for ever. */
static int64_t own_time(struct process *p)
{
    if (p->dead)
        p->dead_ms += DEAD_STEP_MS;
    return now_ms() + p->dead_ms;
}

int64_t daemon_now_ms(void)
{
    struct process *p = sim->current;

    return WALL_BEGIN_MS + own_time(p) + p->wall_skew_ms;
}

int64_t daemon_monotonic_ms(void)
{
    struct process *p = sim->current;

    return own_time(p) + p->mono_begin_ms;
}

/* Of workers/api/passing.c. */
int usleep(useconds_t us)
{
    (void)doze(MAX_OF((int64_t)us / 1000, (int64_t)1));
    return 0;
}

/* ---- lives --------------------------------------------------------------------------------------------------- */

static void live(void *arg)
{
    struct process *p = arg;
    struct daemon daemon = {p};

    switch (p->kind) {
    case NORMALIZER:
        p->result = normalizing(&daemon, &processes_settings()->normalizer);
        break;
    case ROUTER:
        p->result = routing(&daemon, &processes_settings()->router);
        break;
    case HISTORY:
        p->result = storing(&daemon, &processes_settings()->history);
        break;
    case DELIVERY:
        p->result = delivering(&daemon, &processes_settings()->delivery);
        break;
    case API:
        p->result = api_run(&daemon, p);
        break;
    case OPERATOR:
        p->result = operator_run();
        break;
    case WORKER_KINDS:
        break;
    }
}

struct process *process_add(enum worker_kind kind, struct str region, int number)
{
    struct process *p = &sim->processes[sim->process_count++];

    CHECK(sim->process_count <= PROCESSES_MAX);
    *p = (struct process){.kind = kind, .region = region, .doors_left = -1, .freeze_left = -1};
    (void)snprintf(p->instance, sizeof(p->instance), "%d", number);
    return p;
}

void process_start(struct process *p)
{
    CHECK(!p->fiber);
    p->dead = p->stopping = p->froze = p->excused = false;
    p->life++;
    p->wake_ms = now_ms();
    p->asleep_ms = p->backoff_ms = p->dead_ms = 0;
    p->mono_begin_ms = between(1000, 1000000);
    p->doors_left = fault(sim->faults.crash) ? between(0, between(1, DOORS_MOST)) : -1;
    p->freeze_left = fault(sim->faults.freeze) ? between(0, between(1, DOORS_MOST)) : -1;
    p->fiber = fiber_new(live, p);
    trace_process(p, "starts");
}

/* Out of what it needs, a worker ends, and is started again; it blames neither its input nor itself. */
static bool may_give_up(const struct process *p)
{
    return p->excused && (p->result == -ERR_NOMEM || p->result == -ERR_IO);
}

static void bury(struct process *p)
{
    fiber_free(p->fiber);
    p->fiber = NULL;
    p->restart_ms = now_ms() + between(0, sim->quiet ? 100 : RESTART_MS_MOST);
    p->gone |= p->kind == OPERATOR && !p->dead && p->result == 0;
    /* What it knew of a log was older than the retention: whoever restarts it helps it. And history does not go on in a
     * topic made anew before its positions were moved away. */
    if (!p->dead && p->result < 0 && p->kind != OPERATOR &&
        !(p->froze && p->result == -ERR_RANGE) && !may_give_up(p) &&
        !(p->kind == HISTORY && sim->anew != ANEW_NEVER && p->result == -ERR_CONFIG))
        fail("%s ended by itself with %s", names[p->kind], err_name(p->result));
    trace_process(p, "has ended");
}

void process_turn(struct process *p)
{
    sim->current = p;
    operator_mute(p->kind == OPERATOR);
    fiber_turn(p->fiber);
    operator_mute(false);
    sim->current = NULL;
    if (fiber_ended(p->fiber))
        bury(p);
}

void process_kill(struct process *p)
{
    if (!p->fiber)
        return;
    trace_process(p, "is killed by the world");
    p->dead = true;
    process_turn(p);
    CHECK(!p->fiber);
}
