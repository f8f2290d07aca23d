/* SPDX-License-Identifier: MIT */
/* To jump to another stack is no mistake here. */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include "fiber.h"

void
sim_fiber_make(struct sim_fiber *fiber, char *stack, size_t bytes,
               void (*enter)(void))
{
    fiber->begun = false;
    getcontext(&fiber->start);
    fiber->start.uc_stack.ss_sp = stack;
    fiber->start.uc_stack.ss_size = bytes;
    fiber->start.uc_link = NULL;
    makecontext(&fiber->start, enter, 0);
}

void
sim_fiber_switch(struct sim_fiber *from, struct sim_fiber *to)
{
    from->begun = true;
    if (_setjmp(from->at))
        return;
    if (to->begun)
        _longjmp(to->at, 1);
    to->begun = true;
    setcontext(&to->start);
}
