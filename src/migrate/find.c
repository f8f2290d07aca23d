/* SPDX-License-Identifier: MIT */
/*
 * migrate/find.c - from the number of a frame to the page that is in it.
 *
 *     an entry maps it           one more reference, if so
 *     in the page cache          its object, and there at its offset
 *     in the swap cache          its slot, and there
 *
 * I1  A reference is only taken where the frame is known to be a page: of what
 *     frames are used for besides none is held by who only comes by
 *     (frames/frames.h).
 * I2  The owner of a page is an object if the type said so before and after it
 *     was read, twice: whoever uses the frame for something else says first
 *     that it is no object's.
 *
 * Called by the other files of this layer. The first test to break is
 * tests/unit/migrate/test_migrate.c.
 */
#include "migrate/migrate.h"

#include "machine/swap_map.h"
#include "object/object.h"
#include "object/page_cache.h"

/* The object's pointer, or 0; *index is what the frame says besides. RCU. */
static uint64_t
read_owner(const struct aspen_frame *page, uint64_t *index)
{
    *index = aspen_load(&page->index);
    uint64_t owner = aspen_load(&page->owner);
    uint64_t again = aspen_load(&page->index);
    bool object = *index >> ASPEN_FRAME_TYPE_SHIFT == ASPEN_FRAME_OBJECT &&
                  again >> ASPEN_FRAME_TYPE_SHIFT == ASPEN_FRAME_OBJECT;

    return object ? owner : 0;
}

/* I2. With a reference, or NULL. */
static struct aspen_object *
object_of(const struct aspen_frame *page, uint64_t *offset)
{
    const uint64_t bits = ((uint64_t)1 << ASPEN_FRAME_INDEX_BITS) - 1;
    uint64_t index;

    aspen_port_rcu_read_lock();
    uint64_t owner = read_owner(page, &index);
    *offset = index & bits;
    struct aspen_object *object = (void *)(uintptr_t)owner;
    if (owner &&
        (read_owner(page, &index) != owner || !aspen_object_get_live(object)))
        object = NULL;
    aspen_port_rcu_read_unlock();
    return object;
}

/* What was found instead of the page is put. */
static bool
is_found(struct aspen *aspen, uint32_t wanted, uint32_t found)
{
    if (found != wanted)
        aspen_frame_put(aspen, found);
    return found == wanted;
}

static bool
find_in_page_cache(struct aspen *aspen, uint32_t number)
{
    uint64_t offset;
    uint32_t found;
    struct aspen_object *object =
        object_of(aspen_frame_at(aspen, number), &offset);

    if (!object)
        return false;
    int error = aspen_object_find_page(object, offset, &found);
    aspen_object_put(object);
    return !error && is_found(aspen, number, found);
}

static bool
find_in_swap_cache(struct aspen *aspen, uint32_t number)
{
    unsigned type;
    uint32_t slot;

    if (!aspen_swap_slot_of(aspen, number, &type, &slot))
        return false;
    uint32_t found = aspen_swap_cache_find(aspen, type, slot);
    return found != ASPEN_NO_FRAME && is_found(aspen, number, found);
}

/* It is held: a page of 4 KiB? */
static bool
is_page(const struct aspen_frame *page)
{
    enum aspen_frame_type type = aspen_frame_type(page);

    return (type == ASPEN_FRAME_ANON || type == ASPEN_FRAME_OBJECT) &&
           !(aspen_load(&page->index) & ASPEN_FRAME_HEAD);
}

int
aspen_move_find(struct aspen *aspen, uint32_t number)
{
    if (!aspen_frame_exists(aspen, number))
        return -ASPEN_EINVAL;
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    if (!aspen_frame_get_mapped(page) && !find_in_page_cache(aspen, number) &&
        !find_in_swap_cache(aspen, number)) {
        switch (aspen_frame_type(page)) {
        case ASPEN_FRAME_RESERVED:
            return -ASPEN_EINVAL;
        case ASPEN_FRAME_FREE:
            return aspen_frame_head(aspen, number) == number ? -ASPEN_ENOENT
                                                             : -ASPEN_EBUSY;
        default:
            return -ASPEN_EBUSY;
        }
    }
    if (is_page(page))
        return 0;
    aspen_frame_put(aspen, number);
    return -ASPEN_EBUSY;
}
