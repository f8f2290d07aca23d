/* SPDX-License-Identifier: MIT */
/*
 * frames/pins.c - the side arrays of pins. pins.h says what it is for, and its
 * invariants.
 *
 * Called by aspen_pin_range() and aspen_unpin(). The first test to break is
 * tests/unit/calls/test_pin.c.
 */
#include "frames/pins.h"

int
aspen_pins_prepare(struct aspen *aspen)
{
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_FRAME))
        return -ASPEN_ENOMEM;
    return aspen_load(&aspen->banks.pins) ? 0 : aspen_banks_make_pins(aspen);
}

int
aspen_frame_pin(struct aspen *aspen, uint32_t frame)
{
    frame = aspen_frame_head(aspen, frame);
    uint32_t *pins = aspen_bank_pins(aspen, frame);

    if (aspen_load(pins) >= ASPEN_PINS_MAX) /* I4 */
        return -ASPEN_ENOMEM;
    aspen_fetch_add(pins, 1);
    if (frame != aspen->zero_frame)
        aspen_frame_get(aspen_frame_at(aspen, frame));
    return 0;
}

/* One less, of a frame that has some. */
static bool
uncount(uint32_t *pins)
{
    uint32_t now = aspen_load(pins);

    do {
        if (now == 0)
            return false;
    } while (!aspen_compare_exchange(pins, &now, now - 1));
    return true;
}

static bool
are_pinned(struct aspen *aspen, const uint32_t *frames, uint64_t count)
{
    uint64_t i = 0;

    while (i < count && aspen_frame_exists(aspen, frames[i]) &&
           aspen_frame_pins(aspen, aspen_frame_head(aspen, frames[i])) > 0)
        i++;
    return i == count;
}

uint64_t
aspen_frames_uncount_pins(struct aspen *aspen, const uint32_t *frames,
                          uint64_t count)
{
    uint64_t done = 0;

    /* A look before: what others have pinned is not to be without pins, until
     * a recount, because the next frame has none. */
    if (!are_pinned(aspen, frames, count))
        return 0;
    while (done < count && uncount(aspen_bank_pins(
                               aspen, aspen_frame_head(aspen, frames[done]))))
        done++;
    return done;
}

void
aspen_frames_recount_pins(struct aspen *aspen, const uint32_t *frames,
                          uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        aspen_fetch_add(
            aspen_bank_pins(aspen, aspen_frame_head(aspen, frames[i])), 1);
}

void
aspen_frames_put_pinned(struct aspen *aspen, const uint32_t *frames,
                        uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (frames[i] != aspen->zero_frame)
            aspen_frame_put(aspen, aspen_frame_head(aspen, frames[i]));
}
