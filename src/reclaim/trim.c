/* SPDX-License-Identifier: MIT */
/*
 * reclaim/trim.c - shadows that say nothing any more go.
 *
 * Of more shadows than there are frames some are older than as many pages that
 * have left. Each step looks at more entries of a tree than pages left since
 * the step before, so there are never many more than twice as many shadows as
 * frames. Objects take turns: those looked at last stand last in their list.
 *
 * Called by reclaim.c. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include "reclaim/trim.h"

#include "object/cached.h"
#include "object/object.h"

/* Entries of a tree that are looked at under one hold of its lock. */
#define TRIM_ENTRIES 256u

/* Old shadows side by side, with nothing between them: [first, last]. */
struct run {
    uint64_t first;
    uint64_t last;
    uint64_t count;
};

/* The cache's lock is held. False: there is no memory for it; they stay. */
static bool
erase(struct aspen_object *object, struct run *run)
{
    uint64_t count = run->count;

    run->count = 0;
    if (count && aspen_tree_erase(&object->pages, run->first, run->last))
        return false;
    while (count--)
        aspen_shadow_uncount(object);
    return true;
}

static bool
is_old(const struct aspen *aspen, const void *entry)
{
    return aspen_is_shadow(entry) &&
           aspen_shadow_age(aspen, entry) >
               aspen_load_relaxed(&aspen->banks.ram_frames);
}

/* The size lock is held: nobody has a reserve for the tree. */
static void
trim(struct aspen_object *object)
{
    struct run run = {0};
    uint64_t range[2];
    void *entry;

    aspen_pages_lock(object);
    uint64_t at = object->shadow_next;
    for (unsigned i = 0; i < TRIM_ENTRIES; i++) {
        entry = aspen_tree_find(&object->pages, at, UINT64_MAX, range);
        if (entry && is_old(object->aspen, entry)) {
            if (!run.count++)
                run.first = range[0];
            run.last = range[1];
        } else if (!erase(object, &run)) {
            break;
        }
        at = entry ? range[1] + 1 : 0;
        if (!entry)
            break;
    }
    (void)!erase(object, &run);
    object->shadow_next = at;
    aspen_pages_unlock(object);
}

/* The next object that has shadows, with a reference, or NULL. */
static struct aspen_object *
next_object(struct aspen *aspen)
{
    struct aspen_object *object = NULL;

    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    struct aspen_list *link = aspen->leaving.shadowed.next;
    if (link != &aspen->leaving.shadowed) {
        object = aspen_container_of(link, struct aspen_object, shadow_link);
        aspen_list_remove(link);
        aspen_list_push_back(&aspen->leaving.shadowed, link);
        if (!aspen_object_get_live(object))
            object = NULL; /* it takes itself off */
    }
    aspen_spin_unlock(&aspen->registry_lock);
    return object;
}

void
aspen_shadows_trim(struct aspen *aspen)
{
    if (aspen_load_relaxed(&aspen->leaving.shadows) <=
        aspen_load_relaxed(&aspen->banks.ram_frames))
        return;
    struct aspen_object *object = next_object(aspen);
    if (!object)
        return;
    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    trim(object);
    aspen_read_unlock(&object->size_lock);
    aspen_object_put(object);
    aspen_tree_pool_settle(&aspen->tree_pool);
}
