/* SPDX-License-Identifier: MIT */
/**
 * aspen_posix_swap.h - swap devices of the host: files, compressed memory,
 * memory of another machine.
 *
 * These sources are added to a program beside the library; what needs a library
 * of its own (liblz4, libzstd, libnbd) is in a build that found its header.
 */
#ifndef ASPEN_POSIX_SWAP_H
#define ASPEN_POSIX_SWAP_H

#include <aspen/calls/swap.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_posix_swap;

/**
 * A device for `pages` pages, by its name:
 *
 *   memory     memory of this process, a page as it is
 *   lz4, zstd  the same, compressed
 *   file:PATH  a file: one that is not there is made, without a name that
 *              would stay; one that is there is empty; or a block device
 *              that nobody uses and all fits in
 *   nbd:URI    a server of network block devices, as libnbd knows them:
 *              nbd://HOST/NAME, nbd+unix:///NAME?socket=PATH
 *
 * In memory a page of one word again and again costs nothing, and one that
 * cannot be made smaller is kept as it is. What was written to a slot is kept
 * until something else is, or, in memory, nobody needs it.
 *
 * Owns:    the device is the caller's, until an area with what
 *          aspen_posix_swap_area() says has been added: then it goes with that.
 * Context: may sleep.
 * Returns: 0 and *device, or -ASPEN_EINVAL (no such name, no pages, a file with
 *          something in it, a device that is too small), -ASPEN_EOPNOTSUPP (not
 *          in this build), -ASPEN_ENOMEM, or what the host says: a negative
 *          errno. On error `why` has a line for people.
 */
ASPEN_MUST_USE int aspen_posix_swap_open(const char *name, uint32_t pages,
                                         struct aspen_posix_swap **device,
                                         char *why, size_t why_bytes);

/** Nobody uses it: it was never added. */
void aspen_posix_swap_close(struct aspen_posix_swap *device);

/** Fill in what aspen_swap_add() wants to know of the device: pages, ops,
 * context. */
void aspen_posix_swap_area(struct aspen_posix_swap *device,
                           struct aspen_swap_args *args);

/** Since it was opened, but for what is there now. */
struct aspen_posix_swap_counters {
    uint64_t transfers;
    uint64_t failed; /* of them */
    uint64_t pages_read;
    uint64_t pages_written;
    uint64_t memory_bytes; /* of this process, now: pages and what tells where
                              they are; 0 for what is elsewhere */
    uint64_t kept_pages;   /* now, in memory; of them: */
    uint64_t same_pages;   /* one word again and again */
    uint64_t whole_pages;  /* as they are */
};

/** Context: any. The device is open. */
void aspen_posix_swap_counters_read(const struct aspen_posix_swap *device,
                                    struct aspen_posix_swap_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
