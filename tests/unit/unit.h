/* SPDX-License-Identifier: MIT */
/*
 * unit.h - cmocka with the headers it wants before it, and what every test
 * uses.
 */
#ifndef ASPEN_TESTS_UNIT_H
#define ASPEN_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Deterministic random numbers: a test prints its seed and can replay it. */
static inline uint64_t
unit_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Below `limit`. */
static inline uint64_t
unit_below(uint64_t *state, uint64_t limit)
{
    return unit_random(state) % limit;
}

/*
 * The seed of a random test: ASPEN_SEED, or `otherwise`. Printed, with the
 * line that replays it.
 */
static inline uint64_t
unit_seed(const char *program, uint64_t otherwise)
{
    const char *text = getenv("ASPEN_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;

    printf("replay: ASPEN_SEED=%llu build/tests/unit/%s\n",
           (unsigned long long)seed, program);
    return seed;
}

/* How many of so many rounds: one of ASPEN_ROUNDS_OF, where a slow machine
 * (scripts/check/kernels.sh) is not to make them all. */
static inline unsigned
unit_rounds(unsigned all)
{
    const char *text = getenv("ASPEN_ROUNDS_OF");
    unsigned of = text ? (unsigned)strtoul(text, NULL, 0) : 1;

    return of < all ? all / (of ? of : 1) : 1;
}

/*
 * Skip the test that calls it; or leave out a part of it, which counts as one.
 * Says why, which scripts/run-tests.sh puts behind the name of the test: a
 * skip that does not come this way fails there.
 */
_Noreturn void unit_skip(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
void unit_skip_part(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* body(argument) in `count` threads, 16 at most; the sum of what they return.
 */
uintptr_t unit_run_threads(unsigned count, void *(*body)(void *argument),
                           void *argument);

/* Whether body(argument) panics (in a process of its own). */
bool unit_panics(void (*body)(void *argument), void *argument);

#endif
