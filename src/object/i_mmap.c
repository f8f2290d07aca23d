/* SPDX-License-Identifier: MIT */
/*
 * object/i_mmap.c - who maps an object: internal.h, objects, I1.
 *
 * Called by whoever makes, cuts, moves or takes down VMAs, and by walks from
 * pages to their mappings. The first test to break is
 * tests/unit/object/test_object.c.
 */
#include "object/i_mmap.h"

/* ---- Writable ---------------------------------------------------------- */

static bool
is_writable_shared(uint64_t vm_flags)
{
    const uint64_t both = ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE;
    return (vm_flags & both) == both;
}

static void
count_writable(struct aspen_object *object, uint64_t vm_flags, int64_t more)
{
    if (is_writable_shared(vm_flags))
        aspen_fetch_add(&object->writable_shared, more);
}

int
aspen_i_mmap_claim_writable(struct aspen_object *object, uint64_t vm_flags)
{
    if (!object || !is_writable_shared(vm_flags))
        return 0;
    int64_t now = aspen_load(&object->writable_shared);
    do {
        if (now < 0)
            return -ASPEN_EPERM;
    } while (!aspen_compare_exchange(&object->writable_shared, &now, now + 1));
    return 0;
}

void
aspen_i_mmap_release_writable(struct aspen_object *object, uint64_t vm_flags)
{
    if (object)
        count_writable(object, vm_flags, -1);
}

bool
aspen_i_mmap_denies_writable(const struct aspen_object *object,
                             uint64_t vm_flags)
{
    return object && is_writable_shared(vm_flags) &&
           aspen_load(&object->writable_shared) < 0;
}

/* ---- The tree ---------------------------------------------------------- */

void
aspen_i_mmap_insert(struct aspen_vma *vma, struct aspen_vma *parent)
{
    struct aspen_object *object = vma->object;
    struct aspen_interval_node *node = &vma->i_mmap_node;

    node->start = vma->pgoff;
    node->last = vma->pgoff + aspen_vma_pages(vma) - 1;
    aspen_write_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    if (parent)
        aspen_interval_insert_after(&object->i_mmap, &parent->i_mmap_node,
                                    node);
    else
        aspen_interval_insert(&object->i_mmap, node);
    count_writable(object, vma->flags, 1);
    aspen_write_unlock(&object->i_mmap_lock);
}

void
aspen_i_mmap_remove(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_write_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    aspen_interval_remove(&object->i_mmap, &vma->i_mmap_node);
    count_writable(object, vma->flags, -1);
    aspen_write_unlock(&object->i_mmap_lock);
}

void
aspen_i_mmap_change_begin(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_write_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    aspen_interval_remove(&object->i_mmap, &vma->i_mmap_node);
}

void
aspen_i_mmap_change_end(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;
    struct aspen_interval_node *node = &vma->i_mmap_node;

    node->start = vma->pgoff;
    node->last = vma->pgoff + aspen_vma_pages(vma) - 1;
    aspen_interval_insert(&object->i_mmap, node);
    aspen_write_unlock(&object->i_mmap_lock);
}

void
aspen_i_mmap_walk(struct aspen_object *object, uint64_t first, uint64_t last,
                  aspen_vma_visit *visit, void *context)
{
    struct aspen_interval_node *node;

    aspen_read_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    for (node = aspen_interval_first(&object->i_mmap, first, last); node;
         node = aspen_interval_next(node, first, last)) {
        struct aspen_vma *vma =
            aspen_container_of(node, struct aspen_vma, i_mmap_node);
        uint64_t offset = aspen_max_u64(first, vma->pgoff);
        if (!visit(context, vma, aspen_vma_address(vma, offset)))
            break;
    }
    aspen_read_unlock(&object->i_mmap_lock);
}
