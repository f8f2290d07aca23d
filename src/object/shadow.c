/* SPDX-License-Identifier: MIT */
/*
 * object/shadow.c - how many shadows there are, and of which objects.
 *
 * I1  object->shadows counts those of its tree, aspen->lru.shadows all.
 * I2  An object with shadows is on aspen->lru.shadowed; one without may be.
 *
 * Called by the page cache and by reclaim. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include "object/shadow.h"

void
aspen_shadow_count(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    aspen_fetch_add_relaxed(&aspen->lru.shadows, 1);
    if (object->shadows++)
        return;
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (aspen_list_is_empty(&object->shadow_link))
        aspen_list_push_back(&aspen->lru.shadowed, &object->shadow_link);
    aspen_spin_unlock(&aspen->registry_lock);
}

void
aspen_shadow_uncount(struct aspen_object *object)
{
    ASPEN_ASSERT(object->shadows > 0);
    object->shadows--;
    aspen_fetch_sub_relaxed(&object->aspen->lru.shadows, 1);
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
    aspen_tree_cursor_replace(&cursor, entry);
}

void
aspen_shadows_forget_all(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    aspen_fetch_sub_relaxed(&aspen->lru.shadows, object->shadows);
    object->shadows = 0;
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (!aspen_list_is_empty(&object->shadow_link))
        aspen_list_remove(&object->shadow_link);
    aspen_spin_unlock(&aspen->registry_lock);
}
