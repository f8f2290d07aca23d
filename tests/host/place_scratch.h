/* SPDX-License-Identifier: MIT */
/*
 * place_scratch.h - the other side of the tests that place mappings beside the
 * kernel: a scratch process that makes the calls it is told. It is the test's
 * program again, run with its layout and "scratch" as an argument; between
 * calls it touches no memory but its stack.
 */
#ifndef ASPEN_TESTS_PLACE_SCRATCH_H
#define ASPEN_TESTS_PLACE_SCRATCH_H

#include "helper.h"

enum command_kind {
    MAP,
    UNMAP,
    TOUCH,
    LIMIT,
    LOCK_ALL, /* flags: of mlockall; 0: munlockall */
    DROP_PRIVILEGES
};

struct command {
    enum command_kind kind;
    uint64_t address;
    uint64_t length;
    uint64_t offset;
    int protection;
    int flags;
    int file;
};

/* In the scratch process: what it is told, until there is no more. To be called
 * first in main(); comes back in the test itself alone. */
void place_scratch(int argc, char **argv);

#endif
