/* SPDX-License-Identifier: MIT */
/**
 * aspen/frames.h - frames of the machine for who embeds it: kernel stacks,
 * buffers of devices, and what the port's memory hook hands out.
 */
#ifndef ASPEN_FRAMES_H
#define ASPEN_FRAMES_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/** What frames are for: each kind is counted (aspen_counters.frames_kinds). */
enum aspen_frames_kind {
    ASPEN_FRAMES_KERNEL,   /* stacks, tables, buffers of the embedder's */
    ASPEN_FRAMES_DEVICE,   /* what a device reads or writes */
    ASPEN_FRAMES_METADATA, /* what aspen_port_memory_alloc() hands out */
    ASPEN_FRAMES_KINDS
};

/** 2^order frames, at most 1 GiB. */
#define ASPEN_FRAMES_ORDER_MAX 18

/** The frames are zeroed. */
#define ASPEN_FRAMES_ZEROED 1u

/** What aspen_frames_alloc() is asked for. */
struct aspen_frames_args {
    unsigned order; /* 2^order frames in a row, aligned to their size */
    enum aspen_frames_kind kind;
    uint32_t end;   /* all of them have numbers below this, as a device may
                       want it: 1 << 20 for 32 address bits; 0: any */
    unsigned flags; /* ASPEN_FRAMES_*, ORed */
};

/**
 * Take frames out of the machine. The core does not look at them again until
 * they are given back. They may be mapped as raw frames (aspen/calls/raw.h,
 * aspen/special.h) by who sees to it that no entry leads there any more when
 * they go.
 *
 * Recursion: this calls nothing of the port but spin locks, aspen_port_cpu()
 * and aspen_port_frame_pointer(), and the hook `wake`; and the core calls
 * aspen_port_memory_alloc() with no lock held that this takes. So that hook may
 * get its memory here, with kind METADATA; but for what aspen_create() and
 * aspen_frames_add() ask for, which is where the frame table is. What is
 * refused of that kind counts in aspen_counters.refused_frames: the call that
 * needed it takes pages out of memory and begins again, as for a frame of its
 * own.
 *
 * Units:   `args->order` up to ASPEN_FRAMES_ORDER_MAX.
 * Owns:    the caller, until aspen_frames_free().
 * Context: never sleeps; any lock of the core may be held that hooks and the
 *          port can meet. With `end` it looks through free blocks, and is slow.
 * Returns: 0 and *first, or -ASPEN_EINVAL (an order, kind or flag that there is
 *          not), -ASPEN_EOPNOTSUPP (zeroed, without contents), -ASPEN_ENOMEM.
 *          On error nothing has changed.
 */
ASPEN_MUST_USE int aspen_frames_alloc(struct aspen *aspen,
                                      const struct aspen_frames_args *args,
                                      uint32_t *first);

/**
 * Give back what one aspen_frames_alloc() took, all of it. Cannot fail.
 *
 * Context: as aspen_frames_alloc().
 */
void aspen_frames_free(struct aspen *aspen, uint32_t first);

#ifdef __cplusplus
}
#endif

#endif
