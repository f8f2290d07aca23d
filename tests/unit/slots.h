/* SPDX-License-Identifier: MIT */
/*
 * slots.h - an array of pages as the memory of a swap device.
 */
#ifndef ASPEN_TESTS_SLOTS_H
#define ASPEN_TESTS_SLOTS_H

#include <aspen/calls/swap.h>

#include <string.h>

/* All pages of a transfer: 0. */
static inline int
slots_transfer(uint8_t (*slots)[4096], const struct aspen_swap_io *io)
{
    for (uint32_t i = 0; i < io->pages; i++)
        if (io->write)
            memcpy(slots[io->slot + i], io->memory[i], sizeof(*slots));
        else
            memcpy(io->memory[i], slots[io->slot + i], sizeof(*slots));
    return 0;
}

#endif
