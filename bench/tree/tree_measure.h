/* SPDX-License-Identifier: MIT */
/*
 * bench/tree/tree_measure.h - the measurements, for whichever tree includes
 * this after defining `struct subject` and the subject_*() functions below it.
 * Prints one line for each: NAME N UNIT VALUE. bench/tree_rows.c reads them.
 *
 * subject_init(subject, rcu)           an empty tree
 * subject_store(subject, range, entry) NULL erases
 * subject_load, subject_find(subject, key): the entry
 * subject_walk(subject): sum of all entries
 * subject_duplicate(to, from)          `to` is private to its builder
 * subject_replace_all(subject, from, to) each entry from + x becomes to + x
 * subject_gap_up, subject_gap_down(subject, low, high, length)
 * subject_destroy(subject)             nobody reads it any more
 * subject_settle()                     wait until dead nodes are freed
 * subject_bytes()                      of all nodes in use
 */
#ifndef BENCH_TREE_MEASURE_H
#define BENCH_TREE_MEASURE_H

#include "../clock.h"
#include "tree_workload.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define REPEATS 5

struct thing {
    uint64_t contents[2];
};

static struct work work;
static struct thing *things, *others; /* what the entries point at */
static volatile uint64_t sink;        /* so that nothing is left out */

static void
report(const char *name, const char *unit, double value)
{
    printf("%s %llu %s %.3f\n", name, (unsigned long long)work.n, unit, value);
    fflush(stdout);
}

/* ---- Pieces of work ---------------------------------------------------- */

enum build {
    BUILD_IN_ORDER = 0,
    BUILD_RANDOM = 1,
    BUILD_PRIVATE = 0,
    BUILD_RCU = 2,
};

static void
build(struct subject *tree, unsigned how)
{
    subject_init(tree, (how & BUILD_RCU) != 0);
    for (uint64_t i = 0; i < work.n; i++) {
        uint64_t k = how & BUILD_RANDOM ? work.order[i] : i;
        subject_store(tree, &work.range[k], &things[k]);
    }
}

static void
look_up(struct subject *tree)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < WORK_QUERIES; i++)
        sum += (uintptr_t)subject_load(tree, work.query[i]);
    sink += sum;
}

/* Each key depends on the answer before. */
static void
look_up_chain(struct subject *tree)
{
    uint64_t last = 0;
    for (uint64_t i = 0; i < WORK_QUERIES; i++)
        last = (uintptr_t)subject_load(tree, work.query[i] ^ (last & 1));
    sink += last;
}

static void
find(struct subject *tree)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < WORK_QUERIES; i++)
        sum += (uintptr_t)subject_find(tree, work.query[i]);
    sink += sum;
}

static void
gaps(struct subject *tree, bool down)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < WORK_QUERIES; i++) {
        uint64_t hint = work.query[i] & ~(WORK_PAGE - 1);
        uint64_t top = hint > WORK_BASE ? hint - 1 : WORK_BASE;
        sum += down ? subject_gap_down(tree, WORK_BASE, top, WORK_GAP)
                    : subject_gap_up(tree, hint, work.end + WORK_TAIL - 1,
                                     WORK_GAP);
    }
    sink += sum;
}

static void
mix(struct subject *tree)
{
    work_seed(&work, 0x77);
    for (uint64_t i = 0; i < work.n; i++) {
        struct work_step step = work_mix(&work);
        subject_store(tree, &step.range, step.store ? &things[i] : NULL);
    }
}

static void
split_and_merge(struct subject *tree)
{
    work_seed(&work, 0x99);
    for (uint64_t i = 0; i < work.n; i++) {
        uint64_t k = work_random(&work) % work.n;
        struct work_range middle = work_middle(&work.range[k]);
        subject_store(tree, &middle, &others[k]);
        subject_store(tree, &work.range[k], &things[k]);
    }
}

static void
erase_and_restore(struct subject *tree)
{
    work_seed(&work, 0x55);
    for (uint64_t i = 0; i < work.n; i++) {
        uint64_t k = work_random(&work) % work.n;
        subject_store(tree, &work.range[k], NULL);
        subject_store(tree, &work.range[k], &things[k]);
    }
}

/* ---- Measuring --------------------------------------------------------- */

/*
 * The median of REPEATS, after one that warms up; small trees are done often
 * enough to be measured. `before` and `after` are not timed.
 */
#define MEASURE(name, per, before, timed, after)                               \
    do {                                                                       \
        double sample[REPEATS + 1];                                            \
        uint64_t often = work.n >= 20000 ? 1 : 20000 / work.n;                 \
        for (int r = 0; r <= REPEATS; r++) {                                   \
            double total = 0;                                                  \
            for (uint64_t o = 0; o < often; o++) {                             \
                before;                                                        \
                double start = clock_ns();                                     \
                timed;                                                         \
                total += clock_ns() - start;                                   \
                after;                                                         \
            }                                                                  \
            subject_settle();                                                  \
            sample[r] = total / (double)often / (double)(per);                 \
        }                                                                      \
        report(name, "ns", clock_median(sample + 1, REPEATS));                 \
    } while (0)

#define MEASURE_QUERIES(name, timed)                                           \
    do {                                                                       \
        double sample[REPEATS + 1];                                            \
        for (int r = 0; r <= REPEATS; r++) {                                   \
            double start = clock_ns();                                         \
            timed;                                                             \
            sample[r] = (clock_ns() - start) / WORK_QUERIES;                   \
        }                                                                      \
        report(name, "ns", clock_median(sample + 1, REPEATS));                 \
    } while (0)

static void
measure_bytes(const char *name, enum build order)
{
    struct subject tree;
    subject_settle();
    double before = (double)subject_bytes();
    build(&tree, BUILD_RCU | order);
    subject_settle();
    report(name, "bytes", ((double)subject_bytes() - before) / (double)work.n);
    subject_destroy(&tree);
    subject_settle();
}

static void
measure_builds(void)
{
    struct subject tree;
    MEASURE("build, in order, RCU", work.n, ,
            build(&tree, BUILD_RCU | BUILD_IN_ORDER), subject_destroy(&tree));
    MEASURE("build, in order, private", work.n, ,
            build(&tree, BUILD_PRIVATE | BUILD_IN_ORDER),
            subject_destroy(&tree));
    MEASURE("build, random, RCU", work.n, ,
            build(&tree, BUILD_RCU | BUILD_RANDOM), subject_destroy(&tree));
    MEASURE("build, random, private", work.n, ,
            build(&tree, BUILD_PRIVATE | BUILD_RANDOM), subject_destroy(&tree));
}

static void
measure_readers(void)
{
    struct subject tree, copy;
    build(&tree, BUILD_RCU | BUILD_RANDOM);
    subject_settle();
    MEASURE_QUERIES("lookup", look_up(&tree));
    MEASURE_QUERIES("lookup, dependent", look_up_chain(&tree));
    MEASURE_QUERIES("find at or after", find(&tree));
    MEASURE("walk, per entry", work.n, , sink += subject_walk(&tree), );
    subject_destroy(&tree);

    build(&tree, BUILD_RCU | BUILD_IN_ORDER);
    subject_settle();
    MEASURE("duplicate, per entry", work.n, , subject_duplicate(&copy, &tree),
            subject_destroy(&copy));
    MEASURE("duplicate and replace all, per entry", work.n, ,
            (subject_duplicate(&copy, &tree),
             subject_replace_all(&copy, things, others)),
            subject_destroy(&copy));
    MEASURE("destroy, private, per entry", work.n,
            subject_duplicate(&copy, &tree), subject_destroy(&copy), );
    MEASURE_QUERIES("gap search up", gaps(&tree, false));
    MEASURE_QUERIES("gap search down", gaps(&tree, true));
    subject_destroy(&tree);
    subject_settle();
}

static void
measure_writers(bool rcu)
{
    struct subject tree;
    double n = (double)work.n;
    MEASURE(rcu ? "store and erase mix, RCU" : "store and erase mix, private",
            n, build(&tree, rcu ? BUILD_RCU : BUILD_PRIVATE), mix(&tree),
            subject_destroy(&tree));
    build(&tree, rcu ? BUILD_RCU : BUILD_PRIVATE);
    MEASURE(rcu ? "split and merge, RCU" : "split and merge, private", 2 * n, ,
            split_and_merge(&tree), );
    MEASURE(rcu ? "erase and restore, RCU" : "erase and restore, private",
            2 * n, , erase_and_restore(&tree), );
    subject_destroy(&tree);
    subject_settle();
}

static void
allocate(uint64_t n)
{
    work.n = n;
    work.range = calloc(n, sizeof(*work.range));
    work.order = calloc(n, sizeof(*work.order));
    work.query = calloc(WORK_QUERIES, sizeof(*work.query));
    things = calloc(n, sizeof(*things));
    others = calloc(n, sizeof(*others));
    if (!work.range || !work.order || !work.query || !things || !others)
        abort();
    work_lay_out(&work);
    work_shuffle(&work);
    work_ask(&work);
}

/* `kinds`: which measurements, of "brwm"; NULL: all. */
static void
measure_tree(uint64_t n, const char *kinds)
{
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    (void)sched_setaffinity(0, sizeof(first), &first);
    allocate(n);
    for (const char *kind = kinds ? kinds : "mbrw"; *kind; kind++) {
        switch (*kind) {
        case 'm':
            measure_bytes("bytes an entry, in order", BUILD_IN_ORDER);
            measure_bytes("bytes an entry, random", BUILD_RANDOM);
            break;
        case 'b':
            measure_builds();
            break;
        case 'r':
            measure_readers();
            break;
        case 'w':
            measure_writers(true);
            measure_writers(false);
            break;
        }
    }
}

#endif
