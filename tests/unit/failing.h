/* SPDX-License-Identifier: MIT */
/*
 * failing.h - lets every step of a call fail that can, once and from there on,
 * and looks at what it leaves: of a call, by what helper.h says is state; of a
 * part of one, by what the machine counts.
 */
#ifndef ASPEN_TESTS_FAILING_H
#define ASPEN_TESTS_FAILING_H

#include "helper.h"

/* ---- Calls ------------------------------------------------------------- */

/*
 *     for mode in once, onward:
 *         for n = 1, 2, ... until the call has no n-th step:
 *             setup(context)
 *             state before = state
 *             run(context) with step n failing  -> an error
 *             state == before, the machine is valid
 *             run(context) without              -> 0
 *             done(context), if not NULL: look at the result
 *             teardown(context)
 */
struct helper_failing {
    const char *name;
    struct helper *helper;
    struct aspen_mm **mm; /* whose state has to stay; may be NULL */
    void (*setup)(void *context);
    int (*run)(void *context);
    void (*done)(void *context);
    void (*teardown)(void *context);
    void *context;
    bool cached;      /* pages may stay in an object's cache: no state */
    bool progressive; /* what came before the failing step stays */
};

/* Prints and returns how many times a step failed. */
uint64_t helper_fail_every_step(const struct helper_failing *failing);

/* Of these, by kind of step: for tests that want to have seen a kind. */
uint64_t helper_failed_steps(const struct helper_failing *failing,
                             enum aspen_step step);

/* ---- Parts of calls ---------------------------------------------------- */

/* What is made by hand, and of which the validator would not know. */
struct helper_part {
    struct aspen *aspen;
    int (*run)(void *context);
    void (*undo)(void *context); /* after it succeeded */
    void *context;
};

/*
 * It fails at each crossing until it passes: after each failure, and after
 * undo(), the machine counts what it counted before; the next run works. At
 * least so many crossings, once and onward alike.
 */
void helper_fail_part(const struct helper_part *part, const char *name,
                      uint64_t at_least);

#endif
