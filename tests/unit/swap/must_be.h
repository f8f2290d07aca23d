/* SPDX-License-Identifier: MIT */
/* must_be.h - an assertion for threads: cmocka's are for its own. */
#ifndef MUST_BE_H
#define MUST_BE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline void
be(int64_t is, int64_t wanted, const char *what, int line)
{
    if (is == wanted)
        return;
    fprintf(stderr, "line %d: %s is %lld, not %lld\n", line, what,
            (long long)is, (long long)wanted);
    abort();
}

#define must_be(is, wanted) be((int64_t)(is), (int64_t)(wanted), #is, __LINE__)

#endif
