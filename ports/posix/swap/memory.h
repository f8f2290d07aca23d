/* SPDX-License-Identifier: MIT */
/*
 * memory.h - pages in memory, by a codec that makes them smaller, or by none.
 */
#ifndef ASPEN_POSIX_SWAP_MEMORY_H
#define ASPEN_POSIX_SWAP_MEMORY_H

#include "kinds.h"

/*
 * begin       what one call of the next two needs, and no two at a time have;
 *             NULL: no memory. NULL itself: nothing.
 * compress    how many bytes of `to` it takes, at most `room`; 0: that is not
 *             enough, or it failed
 * decompress  whether `from` is a page
 */
struct swap_codec {
    void *(*begin)(void);
    void (*end)(void *state);
    size_t (*compress)(void *state, void *to, size_t room, const void *page);
    bool (*decompress)(void *state, void *page, const void *from, size_t bytes);
};

/* What a kind with a codec, or without, consists of. */
int swap_memory_open(struct aspen_posix_swap *device, const char *nothing,
                     struct swap_why *why);
int swap_memory_transfer(struct aspen_posix_swap *device,
                         const struct aspen_swap_io *io);
void swap_memory_discard(struct aspen_posix_swap *device, uint32_t slot);
void swap_memory_close(struct aspen_posix_swap *device);

#endif
