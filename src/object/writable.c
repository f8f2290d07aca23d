/* SPDX-License-Identifier: MIT */
/*
 * object/writable.c - whether an object may have mappings that write to it, for
 * who seals it. One number (internal.h) counts them, or how often they are
 * denied: so a new mapping and a deny cannot both succeed.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/object/test_writable.c.
 */
#include "object/page_cache.h"

uint64_t
aspen_object_writable_mappings(const struct aspen_object *object)
{
    int64_t now = aspen_load(&object->writable_shared);

    return now > 0 ? (uint64_t)now : 0;
}

/* By more than entries and the cache? Whoever does may be writing to it. */
static bool
is_page_held(struct aspen_object *object)
{
    uint64_t offset = 0;
    uint64_t pages;
    uint32_t number;
    bool held = false;

    while (!held && !aspen_object_next_page(object, &offset, UINT64_MAX, &pages,
                                            &number)) {
        /* An object's page is never exclusive. */
        uint64_t counts =
            aspen_load(&aspen_frame_at(object->aspen, number)->counts);
        held = (uint32_t)counts > (counts >> 32) + 2; /* the cache, and we */
        aspen_frame_put(object->aspen, number);
        offset += pages;
    }
    return held;
}

int
aspen_object_deny_writable(struct aspen_object *object)
{
    int64_t now = aspen_load(&object->writable_shared);

    do {
        if (now > 0)
            return -ASPEN_EBUSY;
    } while (!aspen_compare_exchange(&object->writable_shared, &now, now - 1));
    if (!is_page_held(object))
        return 0;
    aspen_fetch_add(&object->writable_shared, 1);
    return -ASPEN_EBUSY;
}

int
aspen_object_allow_writable(struct aspen_object *object)
{
    int64_t now = aspen_load(&object->writable_shared);

    do {
        if (now >= 0)
            return -ASPEN_EINVAL;
    } while (!aspen_compare_exchange(&object->writable_shared, &now, now + 1));
    return 0;
}
