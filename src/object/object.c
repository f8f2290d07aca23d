/* SPDX-License-Identifier: MIT */
/*
 * object/object.c - how objects begin and end. They are drawn in internal.h,
 * with invariants I1 to I5. Here:
 *
 * I6  Memory is type-stable: whoever finds an object only through a frame takes
 *     a reference unless none is left, and then looks at the owner again.
 *
 * Called by mmap, import, fault, fork and unmap. The first test to break is
 * tests/unit/object/test_object.c.
 */
#include "object/object.h"

#include "machine/charge.h"
#include "object/page_cache.h"

/* ---- Life -------------------------------------------------------------- */

static void
object_init(struct aspen *aspen, struct aspen_object *object,
            const struct aspen_object_args *args)
{
    object->aspen = aspen;
    object->kind = args->kind;
    object->device = args->device;
    object->inode = args->inode;
    object->name = args->name;
    object->pager = args->pager;
    object->context = args->context;
    object->placement = args->placement;
    aspen_store_relaxed(&object->change_count, 0u);
    aspen_store_relaxed(&object->size_bytes, args->size_bytes);
    aspen_port_rwlock_init(&object->sync_lock);
    aspen_port_rwlock_init(&object->size_lock);
    aspen_port_rwlock_init(&object->i_mmap_lock);
    aspen_interval_tree_init(&object->i_mmap);
    object->writable_shared = 0;
    memset(&object->pages_lock, 0, sizeof(object->pages_lock));
    aspen_tree_init(&object->pages, &aspen->tree_pool);
    object->shadows = 0;
    object->shadow_next = 0;
    object->write_error = 0;
    object->write_errors = 0;
    object->write_errors_told = 0;
    aspen_list_init(&object->shadow_link);
    aspen_store_relaxed(&object->swapped, (uint64_t)0);
    aspen_list_init(&object->swap_link);
    aspen_list_init(&object->reads);
    aspen_store_relaxed(&object->reads_ended, 0u);
    object->ahead_next = 0;
    object->ahead_pages = 0;
    aspen_store(&object->references, 1u); /* stale readers: I6 */
}

static bool
flags_fit(const struct aspen_object_args *args)
{
    unsigned own = args->flags & ~ASPEN_OBJECT_MOVES_ALONE;

    switch (args->kind) {
    case ASPEN_OBJECT_SHMEM:
        return !(own & ~(ASPEN_OBJECT_CHARGED | ASPEN_OBJECT_ANONYMOUS));
    case ASPEN_OBJECT_FILE:
        return !own || (own == ASPEN_OBJECT_ZEROES && !args->pager);
    case ASPEN_OBJECT_HUGETLB:
        return !args->flags;
    default:
        return !own;
    }
}

/* `mm`: the space that has to leave its reserves of the charge; or NULL. */
static int
make(struct aspen *aspen, const struct aspen_mm *mm,
     const struct aspen_object_args *args, struct aspen_object **out)
{
    if ((unsigned)args->kind > ASPEN_OBJECT_HUGETLB ||
        (unsigned)args->placement > ASPEN_PLACEMENT_SHMEM_HUGE ||
        !flags_fit(args))
        return -ASPEN_EINVAL;

    const bool charged = args->flags & ASPEN_OBJECT_CHARGED;
    uint64_t charge = charged ? aspen_pages_of(args->size_bytes) : 0;
    int error = mm ? aspen_charge_mm(mm, charge) : aspen_charge(aspen, charge);
    if (error)
        return error;
    struct aspen_object *object = aspen_cache_alloc(&aspen->object_cache);
    if (!object) {
        aspen_uncharge(aspen, charge);
        return -ASPEN_ENOMEM;
    }
    object_init(aspen, object, args);
    object->charged = charged;
    object->anonymous = args->flags & ASPEN_OBJECT_ANONYMOUS;
    object->zeroes = args->flags & ASPEN_OBJECT_ZEROES;
    object->moves_alone = args->flags & ASPEN_OBJECT_MOVES_ALONE;
    object->charged_pages = charge;
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_push_back(&aspen->objects, &object->link);
    aspen_spin_unlock(&aspen->registry_lock);
    *out = object;
    return 0;
}

int
aspen_object_make(struct aspen *aspen, const struct aspen_object_args *args,
                  struct aspen_object **out)
{
    return make(aspen, NULL, args, out);
}

int
aspen_object_create_shared(const struct aspen_mm *mm, uint64_t size_bytes,
                           uint64_t vm_flags, struct aspen_object **object)
{
    struct aspen *aspen = mm->aspen;
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_SHMEM,
        .device = 1, /* 00:01, as Linux's internal tmpfs */
        .inode = aspen_fetch_add_relaxed(&aspen->next_shmem_inode, 1) + 1,
        .size_bytes = size_bytes,
        .name = "/dev/zero (deleted)",
        .flags = ASPEN_OBJECT_ANONYMOUS |
                 (vm_flags & ASPEN_VM_NORESERVE ? 0 : ASPEN_OBJECT_CHARGED),
    };

    return make(aspen, mm, &args, object);
}

void
aspen_object_get(struct aspen_object *object)
{
    uint32_t before = aspen_fetch_add_relaxed(&object->references, 1);
    ASPEN_ASSERT(before > 0);
}

void
aspen_object_put(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;

    if (aspen_fetch_sub(&object->references, 1) != 1)
        return;
    ASPEN_ASSERT(!object->i_mmap.root);
    aspen_object_write_last(object);
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&object->link);
    aspen_spin_unlock(&aspen->registry_lock);
    aspen_object_drop_pages(object);
    aspen_uncharge(aspen, object->charged_pages);
    if (object->pager && object->pager->release)
        object->pager->release(object->context);
    aspen_port_rwlock_destroy(&object->i_mmap_lock);
    aspen_port_rwlock_destroy(&object->size_lock);
    aspen_port_rwlock_destroy(&object->sync_lock);
    aspen_cache_free(&aspen->object_cache, object);
}

bool
aspen_object_get_live(struct aspen_object *object)
{
    uint32_t references = aspen_load_relaxed(&object->references);
    do {
        if (references == 0)
            return false;
    } while (!aspen_compare_exchange(&object->references, &references,
                                     references + 1));
    return true;
}

static struct aspen_object *
owner_of(const struct aspen_frame *frame)
{
    if (aspen_frame_type(frame) != ASPEN_FRAME_OBJECT)
        return NULL;
    return (void *)(uintptr_t)aspen_load(&frame->owner);
}

struct aspen_object *
aspen_object_of_frame(struct aspen_frame *frame)
{
    aspen_port_rcu_read_lock();
    struct aspen_object *object = owner_of(frame);
    if (object && !aspen_object_get_live(object))
        object = NULL;
    aspen_port_rcu_read_unlock();

    if (object && owner_of(frame) != object) {
        aspen_object_put(object);
        object = NULL;
    }
    return object;
}
