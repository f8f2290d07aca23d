/* SPDX-License-Identifier: MIT */
/*
 * bare_machine.h - a machine that has frames and nothing else, for tests of the
 * layers below space.
 */
#ifndef ASPEN_TESTS_BARE_MACHINE_H
#define ASPEN_TESTS_BARE_MACHINE_H

#include "unit.h"

#include "frames/frames.h"

/* With a direct map, or without. */
struct aspen *bare_create(uint32_t frames, bool memory);
void bare_destroy(struct aspen *aspen);

uint32_t bare_alloc(struct aspen *aspen, unsigned order);

/* The allocator's own validator has no finding. */
void bare_assert_frames(struct aspen *aspen);

#endif
