/* SPDX-License-Identifier: MIT */
/*
 * full.h - a machine with a space whose memory can be filled: with pages of a
 * file, which can leave, or with what cannot.
 */
#ifndef ASPEN_TESTS_FULL_H
#define ASPEN_TESTS_FULL_H

#include "helper.h"

#define FULL_FRAMES 4096u /* at the most */

struct full {
    struct helper helper;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint32_t taken[FULL_FRAMES];
    unsigned taken_count;
};

/* There is one at a time. */
extern struct full full;

/* `config`: of helper_config(), or NULL; nothing is charged. */
void full_begin(uint32_t frames, const struct aspen_config *config);

/* The machine is valid; nothing but metadata is left of it. */
void full_end(void);

/* No frame is free, but pages of the file can leave. */
void full_fill(void);

/* None is free, and none can leave; until they are given back. */
void full_fill_for_good(void);
void full_give_one(void);
void full_give_back(void);

struct aspen_counters full_counts(void);

/* Two pages at the address, which are the first there; the first is written. */
void full_touch(uint64_t address);

#endif
