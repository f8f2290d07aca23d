/* SPDX-License-Identifier: MIT */
/*
 * reclaim/tick.c - reclaim in the background, by a thread of the embedder's.
 *
 *     free falls below low:  hook `wake`, once
 *                              |
 *                            aspen_reclaim_tick()   up to 128 pages leave
 *                              |  true: once more
 *     free is at high, or      v
 *     nothing leaves:        false; woken again when free is below low
 *
 * That the worker is not forgotten is I1 of frames/watermark.c. The first test
 * to break is tests/unit/reclaim/test_watermark.c.
 */
#include "frames/watermark.h"
#include "reclaim/reclaim.h"

#define TICK_PAGES 128u

bool
aspen_reclaim_tick(struct aspen *aspen)
{
    uint64_t high = aspen_load_relaxed(&aspen->zone.high);
    uint64_t free = aspen_watermark_free(aspen);

    if (free < high) {
        uint64_t left = aspen_reclaim_by(aspen, NULL,
                                         aspen_min_u64(high - free, TICK_PAGES),
                                         ASPEN_RECLAIM_BACKGROUND);
        aspen_frames_drain_here(aspen); /* where watermarks see them */
        if (left)
            return true;
        /* Nothing leaves. Who needs memory next wakes the worker again. */
        aspen_store(&aspen->leaving.awake, 0u);
        return false;
    }
    return aspen_watermark_sleep(aspen);
}
