/* fiber.h - functions that take turns on one thread, each with a stack of its own.
 *
 * A process of the pipeline is one: production's code blocks inside of its doors, and the world goes on.
 */
#ifndef SIMULATION_FIBER_H
#define SIMULATION_FIBER_H

#include "base/base.h"

#define FIBER_STACK_SIZE (1 << 20)
#define FIBERS_MAX       32

struct fiber;

/* Begun at its first turn. It has to return before it is freed. */
struct fiber *fiber_new(void (*body)(void *arg), void *arg);
void fiber_free(struct fiber *fiber);
/* Gives it a turn, until it pauses or returns; not from within a fiber. */
void fiber_turn(struct fiber *fiber);
/* From within: the turn is over. */
void fiber_pause(struct fiber *fiber);
bool fiber_ended(const struct fiber *fiber);

#endif
