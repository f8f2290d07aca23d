/* SPDX-License-Identifier: MIT */
/*
 * place_pair.h - a scratch process of the host's kernel, and a space of Aspen's
 * that starts from its maps: the same calls are made in both, and every address
 * and every error has to be the same.
 */
#ifndef ASPEN_TESTS_PLACE_PAIR_H
#define ASPEN_TESTS_PLACE_PAIR_H

#include "place_scratch.h"

#include "host/processor.h"
#include <sys/resource.h>
#include <sys/types.h>

#define LIVE 64u

#define TOP ((uint64_t)1 << PROCESSOR_ADDRESS_BITS)

/* Nothing else is there, and sanitizers allow memory there. */
#define STACKS ((uint64_t)0x551000000000)

struct pair {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *file; /* on disk */
    struct aspen_object *memory;
    int file_number; /* the scratch process's */
    int memory_number;
    bool files_align;
    bool shared_aligns;
    bool bottom_up;
    bool randomized;
    uint64_t stack_bytes; /* its limit; 0: 8 MiB */
    pid_t scratch;
    int in;
    int out;
    uint64_t random;
    uint64_t live[LIVE][2]; /* address, length */
    unsigned live_count;
    uint64_t placed;
    uint64_t refused;
    uint64_t beyond; /* above Aspen's page tables, and not left there */
};

/*
 * Starts the scratch process in the layout that *p asks for. Skips the test
 * where the host is no Linux 6.12 or later, has another processor than the
 * library's page tables are for, or refuses the layout.
 */
void pair_begin(struct pair *p);

/* Both are taken down, and what is left is looked at. */
void pair_end(struct pair *p);

/* One call on both sides: what both answer. */
int64_t pair_both(struct pair *p, const struct command *command);

/* The sizes of /proc/P/status are the counters. */
void pair_compare_status(struct pair *p);

/* A random number of the pair's. */
uint64_t pair_below(struct pair *p, uint64_t limit);

/* What the scratch process may have of a resource; setting it, on both sides.
 */
uint64_t pair_allowed(__rlimit_resource_t resource, uint64_t bytes);
void pair_limit(struct pair *p, int resource, uint64_t bytes);

/* How the host lays out every process. */
bool pair_is_bottom_up(void);
bool pair_randomizes(void);

#endif
