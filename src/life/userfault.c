/* SPDX-License-Identifier: MIT */
/*
 * life/userfault.c - calls of a userfault context, whose space may have ended
 * or be about to: whoever has the context is no user of the space. So each call
 * is one for as long as it lasts, and may be the last one.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/track/test_userfault.c.
 */
#include "calls/userfault/userfault.h"
#include "internal.h"
#include "space/mm.h"

/* The space has ended. */
static int
refuse(const struct aspen_userfault *userfault, uint64_t address,
       uint64_t length_bytes)
{
    int error =
        aspen_userfault_check_range(userfault->mm, address, length_bytes);

    return error ? error : -ASPEN_ESRCH;
}

int
aspen_userfault_register(struct aspen_userfault *userfault, uint64_t address,
                         uint64_t length_bytes, unsigned modes)
{
    struct aspen_mm *mm = userfault->mm;

    if (!aspen_mm_get_if_alive(mm))
        return refuse(userfault, address, length_bytes);
    int error =
        aspen_userfault_register_alive(userfault, address, length_bytes, modes);
    aspen_mm_put(mm);
    return error;
}

int
aspen_userfault_unregister(struct aspen_userfault *userfault, uint64_t address,
                           uint64_t length_bytes)
{
    struct aspen_mm *mm = userfault->mm;

    if (!aspen_mm_get_if_alive(mm))
        return refuse(userfault, address, length_bytes);
    int error =
        aspen_userfault_unregister_alive(userfault, address, length_bytes);
    aspen_mm_put(mm);
    return error;
}

int
aspen_userfault_write_protect(struct aspen_userfault *userfault,
                              uint64_t address, uint64_t length_bytes,
                              unsigned flags)
{
    struct aspen_mm *mm = userfault->mm;

    if (!aspen_mm_get_if_alive(mm))
        return refuse(userfault, address, length_bytes);
    int error = aspen_userfault_write_protect_alive(userfault, address,
                                                    length_bytes, flags);
    aspen_mm_put(mm);
    return error;
}

void
aspen_userfault_close(struct aspen_userfault *userfault)
{
    struct aspen_mm *mm = userfault->mm;

    if (aspen_mm_get_if_alive(mm)) {
        aspen_userfault_forget_all(userfault);
        aspen_mm_put(mm);
    }
    aspen_userfault_put(userfault);
    aspen_mm_drop(mm);
}
