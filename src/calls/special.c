/* SPDX-License-Identifier: MIT */
/*
 * calls/special.c - special mappings.
 *
 * Called by the embedder, when it sets up a space. The first test to break is
 * tests/unit/calls/test_special.c.
 */
#include "calls/map.h"

#include <aspen/error.h>

#define KNOWN_FLAGS                                                            \
    (ASPEN_VM_ACCESS | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE |                  \
     ASPEN_VM_MAYEXEC | ASPEN_VM_IO | ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP |    \
     ASPEN_VM_DONTCOPY | ASPEN_VM_DONTDUMP | ASPEN_VM_DONTEXPAND |             \
     ASPEN_VM_CACHE)

int
aspen_map_special(struct aspen_mm *mm, uint64_t at, uint64_t length_bytes,
                  unsigned flags, uint64_t vm_flags,
                  const struct aspen_special *special, uint64_t *address)
{
    const struct aspen_mmap_args args = {
        .address = at,
        .length_bytes = length_bytes,
        .flags = flags,
        .vm_flags = vm_flags | ASPEN_VM_SPECIAL | ASPEN_VM_DONTEXPAND,
    };

    if (!special || !special->name || vm_flags & ~KNOWN_FLAGS ||
        flags & ~ASPEN_MAP_FIXED_NOREPLACE)
        return -ASPEN_EINVAL;
    return aspen_map(mm, &args, special, address);
}
