/* SPDX-License-Identifier: MIT */
/*
 * inspect/maps.h - the line of a VMA in /proc/P/maps and /proc/P/smaps.
 */
#ifndef ASPEN_INSPECT_MAPS_H
#define ASPEN_INSPECT_MAPS_H

#include "inspect/text.h"
#include "internal.h"

/* The VMA that Linux would call [stack], or NULL. Context: mmap lock. */
const struct aspen_vma *aspen_maps_stack(struct aspen_mm *mm);

/* One line, its end included. Context: mmap lock. */
void aspen_maps_line(struct aspen_text *text, const struct aspen_vma *vma,
                     const struct aspen_vma *stack);

#endif
