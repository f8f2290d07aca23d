/* SPDX-License-Identifier: MIT */
#include "stores.h"

#include "space/mm.h"

static bool
access_byte(struct helper *helper, struct aspen_mm *mm, uint64_t address,
            unsigned access, uint8_t *byte)
{
    uint32_t frame;

    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    bool there = !aspen_translate(mm, address, access, &frame);
    uint8_t *at = (uint8_t *)helper->direct_map + frame * PAGE + address % PAGE;
    if (there && access == ASPEN_ACCESS_WRITE)
        *at = *byte;
    else if (there)
        *byte = *at;
    aspen_read_unlock(&mm->mmap_lock);
    return there;
}

void
store(struct helper *helper, struct aspen_mm *mm, uint64_t address,
      uint8_t byte)
{
    while (!access_byte(helper, mm, address, ASPEN_ACCESS_WRITE, &byte))
        assert_int_equal(aspen_fault(mm, address, ASPEN_ACCESS_WRITE), 0);
}

uint8_t
load(struct helper *helper, struct aspen_mm *mm, uint64_t address)
{
    uint8_t byte;

    while (!access_byte(helper, mm, address, ASPEN_ACCESS_READ, &byte))
        assert_int_equal(aspen_fault(mm, address, ASPEN_ACCESS_READ), 0);
    return byte;
}
