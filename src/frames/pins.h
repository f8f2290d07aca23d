/* SPDX-License-Identifier: MIT */
/*
 * frames/pins.h - frames that must stay where they are: somebody outside, a
 * device or a host, reads or writes them behind the page tables' back.
 *
 * A pin is a reference that is counted once more, in side arrays. So pins are
 * told from other references exactly, however many there are. Linux adds a
 * bias to the reference count instead, which is right only while there are few
 * references. Bits of their own in the counts word would shorten the counts of
 * every frame, for something that few frames ever have. The arrays exist
 * from the first pin of a machine on. ASPEN_MM_PINNED says that frames of an mm
 * may be pinned, so that fork looks into the array only where it can matter.
 *
 * I1  pins[f] of the references of frame f belong to pins. For a block they
 *     are counted with its first frame. The zero page is counted, but holds no
 *     references for them.
 * I2  An anonymous page is pinned under the lock of the table whose entry is
 *     its only one, and only when it is exclusive. It stays so as long as it is
 *     mapped: fork copies a pinned page for the child.
 * I3  Anybody may give a pin back at any time, without any lock.
 * I4  A frame has ASPEN_PINS_MAX pins, and one more at the most for each CPU
 *     that looked at the same time: so they fit into their count, and into that
 *     of references with as many others. A program that may pin can ask for
 *     the same page as often as it likes.
 */
#ifndef ASPEN_FRAMES_PINS_H
#define ASPEN_FRAMES_PINS_H

#include "frames/frames.h"

#define ASPEN_PINS_MAX ((uint32_t)1 << 30)

/* Make the side arrays unless they exist: 0 or -ASPEN_ENOMEM
 * (ASPEN_STEP_FRAME, always crossed). Context: may sleep. */
ASPEN_MUST_USE int aspen_pins_prepare(struct aspen *aspen);

/* Pins of a frame, which is the first of its block. */
static inline uint32_t
aspen_frame_pins(const struct aspen *aspen, uint32_t frame)
{
    return aspen_load(&aspen->banks.pins)
               ? aspen_load(aspen_bank_pins(aspen, frame))
               : 0;
}

/* One more, of any frame of a block: 0, or -ASPEN_ENOMEM (I4). The arrays are
 * there; the frame is mapped by an entry whose table's lock is held. */
ASPEN_MUST_USE int aspen_frame_pin(struct aspen *aspen, uint32_t frame);

/*
 * Giving back: first the pins are counted down, as far as there are any, then
 * the references go. uncount answers how many it did, from the first on: none
 * if there is a number that is no frame, or a frame without pins; less than all
 * if a frame comes more often than it is pinned. recount takes that back:
 * nobody has put the references meanwhile.
 */
uint64_t aspen_frames_uncount_pins(struct aspen *aspen, const uint32_t *frames,
                                   uint64_t count);
void aspen_frames_recount_pins(struct aspen *aspen, const uint32_t *frames,
                               uint64_t count);
void aspen_frames_put_pinned(struct aspen *aspen, const uint32_t *frames,
                             uint64_t count);

#endif
