/* fiber.c - ucontext, told to the address sanitizer. Stacks are kept for the next fiber. */
#include "fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#    include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size)
{
    (void)fake, (void)bottom, (void)size;
}
static void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size)
{
    (void)fake, (void)bottom, (void)size;
}
#endif

struct fiber {
    ucontext_t own, other;
    void (*body)(void *arg);
    void *arg;
    char *stack;
    bool ended;
    void *fake, *other_fake; /* the sanitizer's */
    const void *other_bottom;
    size_t other_size;
};

static char *idle_stacks[FIBERS_MAX];
static size_t idle_count;

/* A page below it belongs to nobody. */
static char *stack_take(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *at;

    if (idle_count)
        return idle_stacks[--idle_count];
    at = mmap(NULL, guard + FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(at != MAP_FAILED && mprotect(at, guard, PROT_NONE) == 0);
    return at + guard;
}

static void stack_give(char *stack)
{
    CHECK(idle_count < FIBERS_MAX);
    idle_stacks[idle_count++] = stack;
}

static void begin(unsigned high, unsigned low)
{
    struct fiber *f = (struct fiber *)(uintptr_t)((uint64_t)high << 32 | low);

    __sanitizer_finish_switch_fiber(f->fake, &f->other_bottom, &f->other_size);
    f->body(f->arg);
    f->ended = true;
    __sanitizer_start_switch_fiber(NULL, f->other_bottom, f->other_size);
    (void)setcontext(&f->other);
    abort();
}

struct fiber *fiber_new(void (*body)(void *arg), void *arg)
{
    struct fiber *f = calloc(1, sizeof(*f));
    uint64_t at = (uint64_t)(uintptr_t)f;

    CHECK(f && getcontext(&f->own) == 0);
    f->body = body;
    f->arg = arg;
    f->stack = stack_take();
    f->own.uc_stack = (stack_t){.ss_sp = f->stack, .ss_size = FIBER_STACK_SIZE};
    makecontext(&f->own, (void (*)(void))begin, 2, (unsigned)(at >> 32), (unsigned)at);
    return f;
}

void fiber_free(struct fiber *f)
{
    if (!f)
        return;
    CHECK(f->ended);
    stack_give(f->stack);
    free(f);
}

void fiber_turn(struct fiber *f)
{
    CHECK(!f->ended);
    __sanitizer_start_switch_fiber(&f->other_fake, f->stack, FIBER_STACK_SIZE);
    CHECK(swapcontext(&f->other, &f->own) == 0);
    __sanitizer_finish_switch_fiber(f->other_fake, NULL, NULL);
}

void fiber_pause(struct fiber *f)
{
    __sanitizer_start_switch_fiber(&f->fake, f->other_bottom, f->other_size);
    CHECK(swapcontext(&f->own, &f->other) == 0);
    __sanitizer_finish_switch_fiber(f->fake, &f->other_bottom, &f->other_size);
}

bool fiber_ended(const struct fiber *f)
{
    return f->ended;
}
