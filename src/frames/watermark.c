/* SPDX-License-Identifier: MIT */
/*
 * frames/watermark.c - how much is kept free, and who is told when it is less.
 *
 * I1  `awake` says that the worker has been woken and has not said since that
 *     it sleeps. Who finds less than low wakes it if it is not set, and sets
 *     it; the worker clears it, and then looks once more: one of both sees the
 *     other.
 *
 * Called by frames.c and reclaim. The first test to break is
 * tests/unit/reclaim/test_watermark.c.
 */
#include "frames/watermark.h"

/* Sizes by themselves: as Linux's, 4 times the square root of RAM in KiB, from
 * 128 KiB to 256 MiB; but no more than a 32nd of RAM. */
#define MIN_LEAST 32u
#define MIN_MOST  65536u
#define MIN_PART  32u

static uint64_t
root(uint64_t value)
{
    uint64_t low = 0, high = (uint64_t)1 << 32;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (middle * middle <= value)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static uint64_t
min_for(uint64_t frames)
{
    uint64_t min = root(frames * 4 * 16) / 4;

    min = aspen_max_u64(aspen_min_u64(min, MIN_MOST), MIN_LEAST);
    return aspen_min_u64(min, frames / MIN_PART);
}

void
aspen_watermarks_set(struct aspen *aspen)
{
    const struct aspen_config *config = &aspen->config;
    struct aspen_zone *zone = &aspen->zone;
    uint64_t min = config->watermark_min;
    uint64_t low = config->watermark_low;
    uint64_t high = config->watermark_high;

    if (!high && config->hooks.memory && config->hooks.memory->wake) {
        uint64_t frames = aspen_load_relaxed(&aspen->banks.ram_frames);
        min = min_for(frames);
        low = min + aspen_max_u64(min / 4, frames / 1000);
        high = low + aspen_max_u64(min / 4, frames / 1000);
    }
    aspen_store_relaxed(&zone->min, min);
    aspen_store_relaxed(&zone->low, low);
    aspen_store_relaxed(&zone->high, high);
}

uint64_t
aspen_watermark_free(const struct aspen *aspen)
{
    return aspen_load(&aspen->zone.free_frames);
}

static bool
is_low(const struct aspen *aspen)
{
    return aspen_watermark_free(aspen) < aspen_load_relaxed(&aspen->zone.low);
}

void
aspen_watermark_wake(struct aspen *aspen)
{
    const struct aspen_memory_ops *memory = aspen->config.hooks.memory;

    if (memory && memory->wake && !aspen_exchange(&aspen->leaving.awake, 1u)) {
        aspen_fetch_add_relaxed(&aspen->leaving.wakes, 1);
        memory->wake(aspen->config.hooks.context);
    }
}

bool
aspen_watermark_sleep(struct aspen *aspen)
{
    aspen_store(&aspen->leaving.awake, 0u);
    aspen_fence(); /* I1 */
    return is_low(aspen) && !aspen_exchange(&aspen->leaving.awake, 1u);
}
