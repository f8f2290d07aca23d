/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/swap.h - swap devices: where anonymous pages and those of shared
 * memory go while they are not in memory.
 */
#ifndef ASPEN_CALLS_SWAP_H
#define ASPEN_CALLS_SWAP_H

#include <aspen/compiler.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/** The most pages of one transfer. */
#define ASPEN_SWAP_IO_PAGES 32u

/** A transfer: pages in memory from or to slots in a row. */
struct aspen_swap_io {
    uint32_t slot;       /* the first */
    uint32_t pages;      /* 1 .. ASPEN_SWAP_IO_PAGES */
    bool write;          /* else read */
    void *const *memory; /* a pointer for each page, by the direct map */
};

/**
 * What a device does. Pages of a transfer are locked until it has ended; of
 * address spaces nothing is. Several transfers may be under way at a time, with
 * `submit` up to 32 reads of an area that nobody waits for (MADV_WILLNEED, and
 * what comes beside the page that a fault needs) and one of each task that
 * does.
 *
 * Give one of the two:
 *
 * submit     start a transfer; say by aspen_swap_done() how it ended, once,
 *            from any context, maybe before submit returns, in any order. `io`
 *            and what it leads to are there until then.
 * transfer   the same, done when it returns: 0 or a negative error.
 *
 * discard    (may be NULL) nobody needs any more what the slot has: it is
 * written before it is read again, and no transfer of it is under way. Called
 *            with spin locks of the core held, whoever gives the slot back: it
 *            does not sleep, nor wait for who is in a call of Aspen.
 *
 * close      (may be NULL) the area goes, alone or with the machine: nothing is
 *            under way, and nothing comes any more. Of the last transfer
 *            aspen_swap_done() may not have returned yet: what its caller goes
 *            on with is the device's to wait for.
 *
 * None of them calls into the core, but aspen_swap_done(), or waits for memory
 * that the core would have to give. A transfer of several pages that fails is
 * tried again page by page.
 */
struct aspen_swap_ops {
    void (*submit)(void *context, struct aspen_swap_io *io);
    int (*transfer)(void *context, const struct aspen_swap_io *io);
    void (*discard)(void *context, uint32_t slot);
    void (*close)(void *context);
};

/** Each slot has a checksum in memory (8 bytes a slot): what is read and is not
 * what was written counts as a read that failed. */
#define ASPEN_SWAP_CHECKSUM 1u
/** What is far away takes long: a fault reads what stands beside its slot,
 * rather than what stands beside its address and beside its slot. */
#define ASPEN_SWAP_ROTATING 2u

struct aspen_swap_args {
    uint32_t pages;   /* that fit in, at least 1: slots */
    int32_t priority; /* the areas with the highest are filled first; those with
                         the same by turns */
    unsigned flags;   /* ASPEN_SWAP_* */
    const struct aspen_swap_ops *ops;
    void *context; /* for ops */
};

/**
 * Add a swap area on a device; *type gets its number (0, 1, ...).
 *
 * Owns:    ops and context stay valid until close, or until the machine ends.
 * Context: may sleep; no lock of the core is held. If metadata is short, pages
 *          leave memory for it.
 * Returns: 0, -ASPEN_EINVAL (no pages, unknown flags, no function or both),
 *          -ASPEN_EOPNOTSUPP (frames have no contents that could be written),
 *          -ASPEN_ENOSPC (there are 32 areas), -ASPEN_ENOMEM. On error nothing
 *          changed.
 * Source:  Linux's swapon.
 */
ASPEN_MUST_USE int aspen_swap_add(struct aspen *aspen,
                                  const struct aspen_swap_args *args,
                                  unsigned *type);

/**
 * Take a swap area away, by the number that it was added by: no more pages go
 * there, all that are there come back into memory, in every address space and
 * every object. As
 * pages come back one by one, others may go on meanwhile with all they do.
 *
 * Context: may sleep; no lock of the core is held. A fatal signal interrupts.
 * Returns: 0, the area is gone (close was called), its number may be given
 *          again; -ASPEN_EINVAL (there is no such area), -ASPEN_EBUSY
 *          (somebody else is at it, or keeps its slots in use). Or some pages
 *          could not come back: -ASPEN_ENOMEM (also: with OVERCOMMIT_NEVER more
 *          is charged than may be without it), -ASPEN_EINTR, the device's error
 *          (all that could be read have come back), -ASPEN_EOPNOTSUPP (the area
 *          has no device, and slots in use); then the area is in use as before.
 * Source:  Linux's swapoff.
 */
ASPEN_MUST_USE int aspen_swap_remove(struct aspen *aspen, unsigned type);

/** How many slots of an area are in use; 0 also if there is no such area.
 * Context: any. Exact when no call is under way. */
uint64_t aspen_swap_used(const struct aspen *aspen, unsigned type);

/**
 * A transfer that was submitted has ended: `error` is 0, or negative.
 *
 * Context: any in which the port can wake a waiter, interrupts too: no lock of
 *          the core is taken. `io` is gone when it returns. Pages that nobody
 *          waits for are given back later, by whoever asks for one of them, for
 *          memory or for mincore.
 */
void aspen_swap_done(struct aspen_swap_io *io, int error);

#ifdef __cplusplus
}
#endif

#endif
