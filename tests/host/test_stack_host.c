/* SPDX-License-Identifier: MIT */
/*
 * Stacks that grow, beside the host's kernel: how far a touch below one takes
 * it, what is in its way, what its limit leaves, and what the others do: those
 * of locked memory, by mlockall(MCL_FUTURE), and of what may be promised.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "place_pair.h"
#include "place_scratch.h"

#include "space/mm.h"
#include <sys/mman.h>
#include <unistd.h>

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
    uint64_t grown = 0;
    (void)state;

    p.random = unit_seed("test_stack_host", 4);
    pair_begin(&p);
    for (unsigned i = 0; i < 300; i++)
        grown += one_stack(&p);
    printf("%llu of 3600 touches grew a stack or found it\n",
           (unsigned long long)grown);
    pair_end(&p);
}

/* ---- Promises ---------------------------------------------------------- */

/* More than there is memory, in one touch: refused unless all is promised,
 * whether or not the stack is charged. */
static void
more_than_there_is(void **state)
{
    static const int kinds[][2] = {{PROT_READ | PROT_WRITE, 0},
                                   {PROT_READ | PROT_WRITE, MAP_NORESERVE},
                                   {PROT_READ, 0}};
    struct pair p = {.randomized = true, .stack_bytes = RLIM_INFINITY};
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE;
    const uint64_t top = STACKS + 2048 * PAGE;
    (void)state;

    pair_begin(&p);
    for (unsigned i = 0; i < 3; i++) {
        struct command near = {.kind = TOUCH, .address = top - 20 * PAGE};
        struct command far = {.kind = TOUCH, .address = top - 16 * memory};
        struct command clear = {
            .kind = UNMAP, .address = top - 16 * memory, .length = 16 * memory};
        map_at(&p, top - 4 * PAGE, 4, kinds[i][0], MAP_GROWSDOWN | kinds[i][1]);
        assert_int_equal(pair_both(&p, &near), 0);
        pair_both(&p, &far);
        pair_both(&p, &clear);
    }
    pair_end(&p);
}

/* ---- Locked ------------------------------------------------------------ */

static void
lock_all(struct pair *p)
{
    static const int flags[] = {0,
                                MCL_FUTURE,
                                MCL_FUTURE | MCL_ONFAULT,
                                MCL_CURRENT,
                                MCL_CURRENT | MCL_FUTURE,
                                MCL_CURRENT | MCL_ONFAULT,
                                MCL_ONFAULT};
    struct command c = {.kind = LOCK_ALL, .flags = flags[pair_below(p, 7)]};

    pair_both(p, &c);
}

/* Limits around what there is now, as far as they bind. */
static void
limit_locked(struct pair *p)
{
    uint64_t total = p->mm->total_pages + pair_below(p, 200);

    pair_limit(p, RLIMIT_MEMLOCK,
               pair_below(p, 3)   ? PAGE * pair_below(p, 400)
               : pair_below(p, 2) ? PAGE * (total - pair_below(p, 100))
                                  : pair_below(p, 2));
    pair_limit(p, RLIMIT_AS,
               pair_below(p, 3) ? RLIM_INFINITY
                                : PAGE * (total + pair_below(p, 200)));
    pair_limit(p, RLIMIT_STACK, PAGE * (8 + pair_below(p, 400)));
}

static uint64_t
one_locked(struct pair *p)
{
    static const int kinds[] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE};
    const uint64_t top = STACKS + 2048 * PAGE;
    struct command clear = {
        .kind = UNMAP, .address = STACKS, .length = 2048 * PAGE};
    struct command unlock = {.kind = LOCK_ALL};
    uint64_t grown = 0;

    limit_locked(p);
    for (unsigned i = 0; i < 6; i++) {
        struct command c = {.kind = TOUCH,
                            .address = top - 1 - pair_below(p, 300 * PAGE)};
        if (pair_below(p, 2))
            lock_all(p);
        if (!pair_below(p, 3))
            map_at(p, top - 4 * PAGE, 4, kinds[pair_below(p, 3)],
                   MAP_GROWSDOWN | (pair_below(p, 2) ? MAP_NORESERVE : 0));
        grown += pair_both(p, &c) == 0;
        pair_compare_status(p);
    }
    pair_both(p, &clear);
    pair_both(p, &unlock);
    return grown;
}

static void
locked(void **state)
{
    struct pair p = {.randomized = true};
    struct command drop = {.kind = DROP_PRIVILEGES};
    uint64_t grown = 0;
    (void)state;

    p.random = unit_seed("test_stack_host", 5);
    pair_begin(&p);
    assert_int_equal(pair_both(&p, &drop), 0);
    /* More than it had before it was looked at: the peak of both. */
    map_at(&p, STACKS, 2048, PROT_NONE, 0);
    for (unsigned i = 0; i < 400; i++)
        grown += one_locked(&p);
    printf("%llu of 2400 touches grew a stack or found it\n",
           (unsigned long long)grown);
    assert_in_range(grown, 100, 2300);
    pair_end(&p);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks),
        cmocka_unit_test(more_than_there_is),
        cmocka_unit_test(locked),
    };

    place_scratch(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
