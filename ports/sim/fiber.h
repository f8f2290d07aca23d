/* SPDX-License-Identifier: MIT */
/*
 * fiber.h - stacks that take turns. One begins by setcontext() and from then on
 * goes by _setjmp() and _longjmp(): swapcontext() asks the kernel for the mask
 * of signals at each turn, which was a third of a search.
 */
#ifndef ASPEN_SIM_FIBER_H
#define ASPEN_SIM_FIBER_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

struct sim_fiber {
    ucontext_t start;
    jmp_buf at; /* where it goes on */
    bool begun;
};

/* It begins with `enter` on that stack, which never returns, when it is first
 * switched to. */
void sim_fiber_make(struct sim_fiber *fiber, char *stack, size_t bytes,
                    void (*enter)(void));

/* `to` goes on; comes back when somebody switches to `from`. */
void sim_fiber_switch(struct sim_fiber *from, struct sim_fiber *to);

#endif
