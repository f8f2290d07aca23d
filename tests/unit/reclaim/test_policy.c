/* SPDX-License-Identifier: MIT */
/*
 * Which pages leave: traces of accesses to a file's mapping, or to anonymous
 * memory with a swap device, of which so many pages may be in memory, by each
 * policy. Beside it exact LRU and the optimum
 * (Belady's) of the same trace; who decides knows accessed bits alone.
 * docs/design/reclaim.md has the table.
 */
#define _GNU_SOURCE
#include "beside.h"
#include "helper.h"
#include "trace/trace.h"

#define MEMORY 1000u   /* pages */
#define LENGTH 200000u /* accesses, of which the first MEMORY do not count */
#define MOST   70000u  /* pages that a trace names */

static struct trace trace;

/* ---- Traces ------------------------------------------------------------ */

static void
zipf(uint64_t *seed)
{
    trace.pages = 10000;
    assert_int_equal(trace_zipf(&trace, seed), 0);
}

/* 600 hot pages, beside an endless scan. */
static void
scan(uint64_t *seed)
{
    trace_scan(&trace, 600, seed);
}

/* Ten phases of 1,200 pages, each moved by 700. */
static void
phases(uint64_t *seed)
{
    trace_phases(&trace, 10, 1200, 700, seed);
}

static void
loop(uint64_t *seed)
{
    (void)seed;
    trace.pages = 1500;
    trace_in_order(&trace, 1);
}

static void
uniform(uint64_t *seed)
{
    trace.pages = 4000;
    trace_uniform(&trace, seed);
}

/* Nothing comes back. */
static void
stream(uint64_t *seed)
{
    (void)seed;
    trace_in_order(&trace, 3);
}

/* All that there is fits. */
static void
fits(uint64_t *seed)
{
    trace.pages = 900;
    trace_uniform(&trace, seed);
}

/* ---- What reclaim does -------------------------------------------------- */

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    (void)page;
    return 0;
}

static uint64_t
evictable(const struct aspen *aspen)
{
    struct aspen_counters counts;

    aspen_counters_read(aspen, &counts);
    return counts.inactive_file + counts.active_file + counts.inactive_anon +
           counts.active_anon;
}

/* What a page has does not matter here. */
static int
swap_transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    (void)io;
    return 0;
}

static uint64_t
map_anonymous(struct helper_space *s)
{
    static const struct aspen_swap_ops ops = {.transfer = swap_transfer};
    struct aspen_swap_args args = {.pages = MOST, .ops = &ops};

    assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &(unsigned){0}), 0);
    return helper_map(s->mm, 0, MOST, RW);
}

/* By a mapping of a file, or by anonymous memory. */
static double
hits(enum aspen_reclaim_policy policy, bool anonymous)
{
    static const struct aspen_pager_ops pager = {.read = read_page};
    struct aspen_config config = helper_config(4 * MEMORY);
    struct helper_space s;
    unsigned misses = 0;

    config.fault_around_pages = 1;
    config.reclaim_policy = policy;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&s, &config);
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, MOST, &pager, NULL);
    uint64_t at = anonymous ? map_anonymous(&s)
                            : helper_map_object(s.mm, 0, MOST,
                                                R | ASPEN_VM_SHARED, file, 0);
    for (unsigned i = 0; i < LENGTH; i++) {
        uint64_t address = at + trace.accesses[i] * PAGE;
        bool hit = helper_can_read(s.mm, address);
        if (!hit && evictable(s.helper.aspen) >= MEMORY)
            assert_true(aspen_reclaim(s.helper.aspen, 1) > 0);
        if (!hit && anonymous) /* a read might find the zero page */
            assert_int_equal(aspen_fault(s.mm, address, ASPEN_ACCESS_WRITE), 0);
        assert_int_equal(beside_touch(s.mm, address), 0);
        misses += !hit && i >= MEMORY;
    }
    helper_assert_valid(&s.helper);
    aspen_object_put(file);
    helper_space_destroy(&s);
    return 1 - (double)misses / (LENGTH - MEMORY);
}

/* ---- Together ------------------------------------------------------------ */

static void
hit_ratios(void **state)
{
    /* What is asked: so far on the way from LRU to the optimum, less `less`. */
    static const struct {
        const char *name;
        void (*make)(uint64_t *seed);
        double way, less;
    } rows[] = {
        {"zipf 0.9 over 10,000", zipf, 1. / 3, 0},
        {"600 hot 70 %, scan 30 %", scan, .8, 0},
        {"ten phases of 1,200", phases, 0, .01},
        {"loop over 1,500", loop, 1. / 3, 0},
        {"uniform over 4,000", uniform, 0, .01},
        {"stream", stream, 0, .01},
        {"900 that fit", fits, 0, .01},
    };
    (void)state;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    unit_skip("a million accesses, which one build counts as well as another");
#endif
    if (getenv("ASPEN_EMULATED"))
        unit_skip("a million accesses take minutes by emulation");
    beside_load(false);
    assert_int_equal(trace_begin(&trace, LENGTH, MOST), 0);
    print_message("%-26s %6s %8s %9s %9s %9s %6s\n", "", "LRU", "classic",
                  "adaptive", "in swap", "optimum", "asked");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t seed = 42;
        trace.pages = MOST;
        rows[i].make(&seed);
        double least = trace_lru(&trace, MEMORY, MEMORY, NULL);
        double best = trace_optimum(&trace, MEMORY, MEMORY, NULL);
        double asked = least + rows[i].way * (best - least) - rows[i].less;
        double classic = hits(ASPEN_RECLAIM_CLASSIC, false);
        double adaptive = hits(ASPEN_RECLAIM_ADAPTIVE, false);
        double swapped = hits(ASPEN_RECLAIM_ADAPTIVE, true);
        print_message("%-26s %6.3f %8.3f %9.3f %9.3f %9.3f %6.3f\n",
                      rows[i].name, least, classic, adaptive, swapped, best,
                      asked);
        assert_true(classic >= least - .01);
        assert_true(adaptive >= asked);
        assert_true(swapped >= asked);
    }
    trace_end(&trace);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hit_ratios)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
