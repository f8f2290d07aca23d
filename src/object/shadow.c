/* SPDX-License-Identifier: MIT */
/*
 * object/shadow.c - how many shadows there are, and pages in swap, and of which
 * objects.
 *
 * I1  object->shadows counts those of its tree, aspen->leaving.shadows all.
 * I2  An object with shadows is on aspen->leaving.shadowed; one without may be.
 * I3  object->swapped counts pages of its tree that are in swap. An object that
 *     has some is on aspen->swapped_objects before the first stands there; one
 *     without may be.
 *
 * Called by the page cache and by reclaim. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include "object/cached.h"

void
aspen_shadow_count(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    aspen_fetch_add_relaxed(&aspen->leaving.shadows, 1);
    if (object->shadows++)
        return;
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (aspen_list_is_empty(&object->shadow_link))
        aspen_list_push_back(&aspen->leaving.shadowed, &object->shadow_link);
    aspen_spin_unlock(&aspen->registry_lock);
}

void
aspen_shadow_uncount(struct aspen_object *object)
{
    ASPEN_ASSERT(object->shadows > 0);
    object->shadows--;
    aspen_fetch_sub_relaxed(&object->aspen->leaving.shadows, 1);
}

void
aspen_pages_replace(struct aspen_object *object, uint64_t offset, void *entry)
{
    struct aspen_tree_cursor cursor;

    aspen_tree_cursor_init(&cursor, &object->pages, offset);
    void *old = aspen_tree_next(&cursor, offset);
    if (!old)
        return;
    if (aspen_is_shadow(old))
        aspen_shadow_uncount(object);
    else if (aspen_is_swapped(old))
        aspen_object_uncount_swapped(object);
    aspen_tree_cursor_replace(&cursor, entry);
}

void
aspen_shadows_forget_all(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    aspen_fetch_sub_relaxed(&aspen->leaving.shadows, object->shadows);
    object->shadows = 0;
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (!aspen_list_is_empty(&object->shadow_link))
        aspen_list_remove(&object->shadow_link);
    aspen_spin_unlock(&aspen->registry_lock);
}

/* ---- Pages in swap ----------------------------------------------------- */

/* I3 */
void
aspen_object_count_swapped(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    aspen_store_relaxed(&object->swapped, object->swapped + 1);
    if (object->swapped > 1)
        return;
    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    if (aspen_list_is_empty(&object->swap_link)) {
        aspen_list_push_back(&aspen->swapped_objects, &object->swap_link);
        aspen_store_relaxed(&aspen->swapped_object_count,
                            aspen->swapped_object_count + 1);
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
}

void
aspen_object_uncount_swapped(struct aspen_object *object)
{
    ASPEN_ASSERT(object->swapped > 0);
    aspen_store_relaxed(&object->swapped, object->swapped - 1);
}

void
aspen_object_forget_swapped(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    aspen_store_relaxed(&object->swapped, (uint64_t)0);
    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    bool listed = !aspen_list_is_empty(&object->swap_link);
    if (listed) {
        aspen_list_remove(&object->swap_link);
        aspen_store_relaxed(&aspen->swapped_object_count,
                            aspen->swapped_object_count - 1);
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
    if (!listed)
        return;
    aspen_fetch_add(&aspen->swapped_objects_gone, 1u);
    aspen_port_wake_all(&aspen->swapped_objects_gone);
}
