/* SPDX-License-Identifier: MIT */
/*
 * Stacks that grow, beside the host's kernel: how far a touch below one takes
 * it, what is in its way, and what its limit leaves.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "place_pair.h"
#include "place_scratch.h"

#include <sys/mman.h>

static int64_t
map_at(struct pair *p, uint64_t address, uint64_t pages, int protection,
       int flags)
{
    struct command c = {
        .kind = MAP,
        .address = address,
        .length = pages * PAGE,
        .protection = protection,
        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags,
        .file = -1,
    };
    return pair_both(p, &c);
}

/* A stack, maybe something below it, and touches below its start. */
static uint64_t
one_stack(struct pair *p)
{
    static const int below_it[] = {PROT_NONE, PROT_READ, PROT_EXEC,
                                   PROT_READ | PROT_WRITE};
    uint64_t top = STACKS + 2048 * PAGE;
    uint64_t grown = 0;
    struct command clear = {
        .kind = UNMAP, .address = STACKS, .length = 2048 * PAGE};

    pair_limit(p, RLIMIT_STACK,
               PAGE * (64 + pair_below(p, 1500)) + pair_below(p, 2) * 99);
    if (pair_below(p, 4))
        map_at(p, STACKS + pair_below(p, 1200) * PAGE, 1 + pair_below(p, 20),
               below_it[pair_below(p, 4)],
               pair_below(p, 4) ? MAP_NORESERVE : MAP_GROWSDOWN);
    map_at(p, top - 4 * PAGE, 4, PROT_READ | PROT_WRITE, MAP_GROWSDOWN);
    for (unsigned i = 0; i < 12; i++) {
        struct command c = {.kind = TOUCH,
                            .address = top - 1 - pair_below(p, 2000 * PAGE)};
        grown += pair_both(p, &c) == 0;
    }
    pair_both(p, &clear);
    return grown;
}

static void
stacks(void **state)
{
    struct pair p = {.randomized = true};
    uint64_t touched_pages = 0;
    (void)state;

    p.random = unit_seed("test_stack_host", 4);
    pair_begin(&p);
    for (unsigned i = 0; i < 300; i++)
        touched_pages += one_stack(&p);
    printf("%llu of 3600 touches grew a stack or found it\n",
           (unsigned long long)touched_pages);
    pair_end(&p);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks),
    };

    place_scratch(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
