/* SPDX-License-Identifier: MIT */
/*
 * Where the host's kernel puts mappings, and what it refuses first, beside
 * Aspen: random calls without FIXED in every layout, then numbers that are
 * wrong in several ways at once.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "place_pair.h"
#include "place_scratch.h"

#include "space/vma.h"
#include <errno.h>
#include <sys/mman.h>

#define CALLS 2000u
#define HUGE  ((uint64_t)2 << 20)

/* No processor has other flags of these values. */
#define FLAG_32BIT   0x40
#define FLAG_ABOVE4G 0x80

/* ---- Random calls ------------------------------------------------------ */

static uint64_t
random_length(struct pair *p)
{
    switch (pair_below(p, 10)) {
    case 0:
        return HUGE * (1 + pair_below(p, 4));
    case 1:
        return HUGE * (1 + pair_below(p, 3)) + PAGE * pair_below(p, 4) - PAGE;
    case 2:
        return GIB * (1 + pair_below(p, 64));
    case 3:
        return pair_below(p, 40) ? PAGE * pair_below(p, 600) + 1
                                 : (uint64_t)1 << (40 + pair_below(p, 24));
    default:
        return PAGE * (1 + pair_below(p, 16));
    }
}

static uint64_t
random_hint(struct pair *p)
{
    const uint64_t *live =
        p->live_count ? p->live[pair_below(p, p->live_count)] : NULL;

    switch (pair_below(p, 10)) {
    case 0:
        return PAGE * pair_below(p, 40) + pair_below(p, 3);
    case 1:
        return p->mm->address_limit - PAGE * pair_below(p, 3000);
    case 2:
        /* Not the last page: Linux takes a fixed address there for an error
         * number and answers that. */
        return UINT64_MAX - PAGE * (1 + pair_below(p, 10));
    case 3:
        return GIB + pair_below(p, GIB);
    case 4:
    case 5:
        return live ? live[0] + live[1] * pair_below(p, 2) +
                          PAGE * (pair_below(p, 600) - 300) + pair_below(p, 2)
                    : 0;
    default:
        return 0;
    }
}

static struct command
random_map(struct pair *p)
{
    struct command c = {.kind = MAP, .file = -1};

    c.address = random_hint(p);
    c.length = random_length(p);
    c.protection = PROT_NONE;
    if (c.length < GIB)
        c.protection = (int)pair_below(p, 8);
    c.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (pair_below(p, 8) == 0)
        c.flags |= MAP_GROWSDOWN;
    if (pair_below(p, 8) == 0)
        c.flags |= MAP_STACK;
    if (pair_below(p, 16) == 0)
        c.flags |= FLAG_ABOVE4G;
    if (!p->randomized && pair_below(p, 6) == 0) {
        c.flags |= FLAG_32BIT;
        if (pair_below(p, 3) == 0)
            c.length = MIB * (1 + pair_below(p, 600)), c.protection = PROT_NONE;
    }
    if (pair_below(p, 10) == 0)
        c.flags |= MAP_FIXED_NOREPLACE;
    if (pair_below(p, 10) == 0)
        c.flags ^= MAP_PRIVATE | MAP_SHARED;
    if (pair_below(p, 4) == 0) {
        bool memory = !p->files_align || pair_below(p, 2);
        c.file = memory ? p->memory_number : p->file_number;
        c.flags &= ~MAP_ANONYMOUS;
        c.offset = pair_below(p, 2) ? 0 : PAGE * pair_below(p, 2000);
        if (c.offset && pair_below(p, 8) == 0) /* up to where files end */
            c.offset = ((uint64_t)1 << 63) - c.offset;
        if (pair_below(p, 2))
            c.flags ^= MAP_PRIVATE | MAP_SHARED;
    }
    return c;
}

/* Any answer will do, if it is the same. */
static void
call_map(struct pair *p)
{
    struct command c = random_map(p);

    int64_t answer = pair_both(p, &c);
    if (answer < 0)
        return;
    if (p->live_count == LIVE) {
        unsigned i = (unsigned)pair_below(p, LIVE);
        struct command unmap = {
            .kind = UNMAP, .address = p->live[i][0], .length = p->live[i][1]};
        pair_both(p, &unmap);
        p->live[i][0] = p->live[LIVE - 1][0];
        p->live[i][1] = p->live[LIVE - 1][1];
        p->live_count--;
    }
    p->live[p->live_count][0] = (uint64_t)answer;
    p->live[p->live_count++][1] = (c.length + PAGE - 1) / PAGE * PAGE;
}

/* All of one, or a piece, from one side or the middle. */
static void
call_unmap(struct pair *p)
{
    if (!p->live_count)
        return;
    unsigned i = (unsigned)pair_below(p, p->live_count);
    uint64_t pages = p->live[i][1] / PAGE;
    uint64_t from = pair_below(p, 2) ? 0 : pair_below(p, pages);
    struct command c = {
        .kind = UNMAP,
        .address = p->live[i][0] + from * PAGE,
        .length = (1 + pair_below(p, pages - from)) * PAGE,
    };

    pair_both(p, &c);
}

static void
run(struct pair p, const char *name)
{
    if (!p.bottom_up && pair_is_bottom_up())
        unit_skip("vm.legacy_va_layout is 1: nothing goes top down");
    if (p.randomized && !pair_randomizes())
        unit_skip("kernel.randomize_va_space is 0");
    p.random = unit_seed("test_place_host", p.randomized ? 1 : 2);
    pair_begin(&p);
    for (unsigned i = 0; i < unit_rounds(CALLS); i++)
        if (pair_below(&p, 3))
            call_map(&p);
        else
            call_unmap(&p);
    pair_compare_status(&p);
    printf("%s: %llu of %llu addresses the same, %llu refusals the same\n",
           name, (unsigned long long)p.placed, (unsigned long long)p.placed,
           (unsigned long long)p.refused);
    pair_end(&p);
}

static void
top_down(void **state)
{
    (void)state;
    run((struct pair){.randomized = false}, "top down");
}

static void
top_down_random(void **state)
{
    (void)state;
    run((struct pair){.randomized = true}, "top down, randomized");
}

static void
bottom_up(void **state)
{
    (void)state;
    run((struct pair){.bottom_up = true}, "bottom up");
}

static void
bottom_up_random(void **state)
{
    (void)state;
    run((struct pair){.bottom_up = true, .randomized = true},
        "bottom up, randomized");
}

/* The limit of stacks says where the mmap area ends. */
static void
no_stack_limit(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = RLIM_INFINITY}, "no limit of stacks");
}

static void
no_stack_limit_random(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = RLIM_INFINITY, .randomized = true},
        "no limit of stacks, randomized");
}

static void
large_stacks(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = GIB + 12345}, "stacks of a GiB");
}

static void
large_stacks_random(void **state)
{
    (void)state;
    run((struct pair){.stack_bytes = GIB + 12345, .randomized = true},
        "stacks of a GiB, randomized");
}

/* ---- Limits, and which error comes first ------------------------------- */

/* Numbers that are wrong in several ways at once. */
static struct command
wrong_map(struct pair *p)
{
    static const uint64_t addresses[] = {0,
                                         1,
                                         PAGE,
                                         8 * PAGE,
                                         64 * PAGE + 1,
                                         TOP / 2,
                                         TOP - PAGE,
                                         TOP - 2 * PAGE,
                                         TOP,
                                         UINT64_MAX - PAGE + 1,
                                         UINT64_MAX - PAGE};
    static const uint64_t lengths[] = {
        0,          1,       PAGE, 3 * PAGE,          40 * PAGE,
        300 * PAGE, TOP / 2, TOP,  UINT64_MAX - PAGE, UINT64_MAX};
    static const uint64_t offsets[] = {0, PAGE, 1, ((uint64_t)1 << 63) - PAGE,
                                       (uint64_t)0 - PAGE};
    static const int flags[] = {MAP_FIXED,    MAP_FIXED_NOREPLACE,
                                MAP_LOCKED,   MAP_GROWSDOWN,
                                MAP_STACK,    MAP_FIXED_NOREPLACE | MAP_LOCKED,
                                MAP_NORESERVE};
    struct command c = {.kind = MAP, .file = -1};

    c.address = addresses[pair_below(p, sizeof(addresses) / 8)];
    c.length = lengths[pair_below(p, sizeof(lengths) / 8)];
    c.protection = (int)pair_below(p, 4);
    c.flags = MAP_PRIVATE | MAP_ANONYMOUS |
              flags[pair_below(p, sizeof(flags) / sizeof(flags[0]))];
    /* What is the process's own is not for it to replace. */
    if (c.flags & MAP_FIXED && c.length > 300 * PAGE)
        c.flags |= MAP_FIXED_NOREPLACE;
    if (pair_below(p, 4) == 0)
        c.flags ^= MAP_PRIVATE | MAP_SHARED;
    if (pair_below(p, 2)) {
        c.flags &= ~MAP_ANONYMOUS;
        c.file = p->memory_number;
        c.offset = offsets[pair_below(p, sizeof(offsets) / 8)];
    }
    return c;
}

static void
wrong_maps(struct pair *p, unsigned calls)
{
    for (unsigned i = 0; i < calls; i++) {
        struct command c = wrong_map(p);
        int64_t answer = pair_both(p, &c);
        if (answer < 0 || pair_below(p, 3) == 0)
            continue;
        struct command unmap = {
            .kind = UNMAP, .address = (uint64_t)answer, .length = c.length};
        pair_both(p, &unmap);
    }
    pair_compare_status(p);
}

static void
wrong_unmaps(struct pair *p)
{
    const uint64_t top = p->mm->address_limit;
    const uint64_t wrong[][2] = {
        {STACKS + 1, PAGE},     {STACKS, 0},
        {STACKS + 1, 0},        {top, PAGE},
        {top - PAGE, 2 * PAGE}, {top - PAGE, PAGE + 1},
        {STACKS, UINT64_MAX},   {STACKS, UINT64_MAX - PAGE},
        {STACKS, PAGE},         {UINT64_MAX - PAGE + 1, PAGE}};

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct command c = {
            .kind = UNMAP, .address = wrong[i][0], .length = wrong[i][1]};
        pair_both(p, &c);
    }
}

static void
errors_and_limits(void **state)
{
    struct pair p = {.randomized = true};
    struct command drop = {.kind = DROP_PRIVILEGES};
    struct aspen_mm_counters counters;
    (void)state;

    p.random = unit_seed("test_place_host", 3);
    pair_begin(&p);
    wrong_unmaps(&p);
    wrong_maps(&p, 300);
    assert_int_equal(pair_both(&p, &drop), 0);
    pair_limit(&p, RLIMIT_MEMLOCK, 64 * PAGE + 5);
    wrong_maps(&p, 300);
    pair_limit(&p, RLIMIT_MEMLOCK, 0);
    wrong_maps(&p, 300);
    aspen_mm_counters_read(p.mm, &counters);
    pair_limit(&p, RLIMIT_AS, (counters.total_pages + 350) * PAGE + 17);
    wrong_maps(&p, 300);
    aspen_mm_counters_read(p.mm, &counters);
    pair_limit(&p, RLIMIT_DATA, (counters.data_pages + 50) * PAGE);
    wrong_maps(&p, 300);
    pair_limit(&p, RLIMIT_DATA, 0);
    wrong_maps(&p, 100);
    printf("%llu addresses and %llu errors the same\n",
           (unsigned long long)p.placed, (unsigned long long)p.refused);
    pair_end(&p);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_down),
        cmocka_unit_test(top_down_random),
        cmocka_unit_test(bottom_up),
        cmocka_unit_test(bottom_up_random),
        cmocka_unit_test(no_stack_limit),
        cmocka_unit_test(no_stack_limit_random),
        cmocka_unit_test(large_stacks),
        cmocka_unit_test(large_stacks_random),
        cmocka_unit_test(errors_and_limits),
    };

    place_scratch(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
