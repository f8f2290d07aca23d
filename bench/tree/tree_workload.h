/* SPDX-License-Identifier: MIT */
/*
 * bench/tree/tree_workload.h - what both range trees are given: the same
 * ranges, the same queries, the same stores, in the same order.
 *
 * Ranges are laid out like the VMAs of a process: 1 to 64 pages each, about
 * every second one followed by a gap of 1 to 64 pages. All numbers come from
 * one xorshift generator (13, 7, 17) with a fixed seed for each purpose.
 */
#ifndef BENCH_TREE_WORKLOAD_H
#define BENCH_TREE_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define WORK_PAGE    4096ull
#define WORK_BASE    0x10000ull
#define WORK_SEED    0x9e3779b97f4a7c15ull
#define WORK_QUERIES (1u << 18)
/* A gap search asks for so many bytes, and may go so far past the end. */
#define WORK_GAP  (16 * WORK_PAGE)
#define WORK_TAIL (1ull << 30)

struct work_range {
    uint64_t first, last;
};

struct work {
    uint64_t n;
    uint64_t end; /* exclusive end of the layout */
    struct work_range *range;
    uint32_t *order; /* a random order of the ranges */
    uint64_t *query; /* WORK_QUERIES random keys in the layout */
    uint64_t random;
};

static inline uint64_t
work_random(struct work *work)
{
    uint64_t x = work->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    work->random = x;
    return x;
}

static inline void
work_seed(struct work *work, uint64_t purpose)
{
    work->random = WORK_SEED ^ purpose;
}

static inline void
work_lay_out(struct work *work)
{
    uint64_t at = WORK_BASE;
    work_seed(work, 0);
    for (uint64_t i = 0; i < work->n; i++) {
        uint64_t bits = work_random(work);
        uint64_t pages = 1 + bits % 64;
        uint64_t gap = bits >> 6 & 1 ? 1 + (bits >> 7) % 64 : 0;
        work->range[i].first = at;
        work->range[i].last = at + pages * WORK_PAGE - 1;
        at += (pages + gap) * WORK_PAGE;
    }
    work->end = at;
}

static inline void
work_shuffle(struct work *work)
{
    work_seed(work, 0xabcdef);
    for (uint32_t i = 0; i < work->n; i++)
        work->order[i] = i;
    for (uint64_t i = work->n - 1; i > 0; i--) {
        uint64_t j = work_random(work) % (i + 1);
        uint32_t swap = work->order[i];
        work->order[i] = work->order[j];
        work->order[j] = swap;
    }
}

static inline void
work_ask(struct work *work)
{
    work_seed(work, 0x1234567);
    for (uint64_t i = 0; i < WORK_QUERIES; i++)
        work->query[i] =
            WORK_BASE + work_random(work) % (work->end - WORK_BASE);
}

/* One operation of the mix: store or erase 1 to 16 pages somewhere. */
struct work_step {
    struct work_range range;
    bool store;
};

static inline struct work_step
work_mix(struct work *work)
{
    uint64_t bits = work_random(work);
    uint64_t span = (work->end - WORK_BASE) / WORK_PAGE;
    uint64_t pages = 1 + (bits >> 1) % 16;
    struct work_step step;
    step.range.first = WORK_BASE + (bits >> 16) % span * WORK_PAGE;
    step.range.last = step.range.first + pages * WORK_PAGE - 1;
    step.store = bits & 1;
    return step;
}

/* The page in the middle of a range. */
static inline struct work_range
work_middle(const struct work_range *range)
{
    uint64_t pages = (range->last + 1 - range->first) / WORK_PAGE;
    uint64_t first = range->first + pages / 2 * WORK_PAGE;
    return (struct work_range){first, first + WORK_PAGE - 1};
}

#endif
