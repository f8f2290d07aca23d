/* SPDX-License-Identifier: MIT */
/*
 * calls/populate.c - fault in a range for whoever wants its pages.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/fault/test_populate.c.
 */
#include <aspen/calls/populate.h>

#include "fault/populate.h"
#include "space/mm.h"

int
aspen_populate(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
               unsigned access, uint64_t *done)
{
    enum aspen_populate_mode mode = ASPEN_POPULATE_MMAP;

    if (done)
        *done = 0;
    if (access == ASPEN_ACCESS_READ)
        mode = ASPEN_POPULATE_READ;
    else if (access == ASPEN_ACCESS_WRITE)
        mode = ASPEN_POPULATE_WRITE;
    else if (access)
        return -ASPEN_EINVAL;
    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) ||
        address > mm->address_limit ||
        length_bytes > mm->address_limit - address)
        return -ASPEN_EINVAL;
    return aspen_populate_range(
        mm, address, address + aspen_align_up(length_bytes, ASPEN_PAGE_SIZE),
        mode, done);
}
