/* SPDX-License-Identifier: MIT */
/*
 * frames/ram.h - what a configuration says of RAM: its ranges without what is
 * reserved, as runs; and which of them are near enough for one bank.
 *
 * There are a few dozen ranges at the most, in any order: each answer looks at
 * all of them, and nothing is kept.
 */
#ifndef ASPEN_FRAMES_RAM_H
#define ASPEN_FRAMES_RAM_H

#include "internal.h"

/* Frames [first, end). */
struct aspen_ram_run {
    uint64_t first;
    uint64_t end;
};

/* Are the ranges ones that a machine can have? */
bool aspen_ram_valid(const struct aspen_config *config);

/* The highest run of RAM below frame `end` that is not reserved. */
bool aspen_ram_run_below(const struct aspen_config *config, uint64_t end,
                         struct aspen_ram_run *run);

/* The lowest frame that is not reserved. There is one. */
uint32_t aspen_ram_lowest(const struct aspen_config *config);

/* The lowest bank that begins at frame `from` or above. */
bool aspen_ram_bank(const struct aspen_config *config, uint64_t from,
                    struct aspen_ram_run *bank);

/* Whole sections around it, as far as numbers go. */
struct aspen_ram_run aspen_ram_sections(struct aspen_ram_run run, uint64_t end);

/* Where numbers end, of frames that are there or may be added. */
uint64_t aspen_ram_end(const struct aspen_config *config);

#endif
