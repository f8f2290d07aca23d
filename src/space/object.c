/* SPDX-License-Identifier: MIT */
/*
 * space/object.c - objects: their life, who maps them, their page cache.
 * Drawn, with its invariants I1 to I3, in internal.h. Here:
 *
 * I4  A frame has type OBJECT and its owner set exactly while it is in the
 *     cache, but for the moments in which the cache's lock is held.
 * I5  Memory is type-stable: who finds an object through a frame alone takes
 *     a reference unless there is none left, then looks at the owner again.
 *
 * Called by mmap, import, fault, fork and unmap. The first test to break is
 * tests/unit/test_object.c.
 */
#include "space/object.h"

/* ---- Page cache -------------------------------------------------------- */

static void
lock_pages(struct aspen_object *object)
{
    aspen_spin_lock(&object->pages_lock, ASPEN_LOCK_PAGE_CACHE);
}

static void
unlock_pages(struct aspen_object *object)
{
    aspen_spin_unlock(&object->pages_lock);
}

static bool
has_cache(const struct aspen_object *object)
{
    return object->kind != ASPEN_OBJECT_DEVICE;
}

uint64_t
aspen_object_pages(const struct aspen_object *object)
{
    uint64_t bytes = aspen_load_relaxed(&object->size_bytes);
    return (bytes >> ASPEN_PAGE_SHIFT) + (bytes % ASPEN_PAGE_SIZE != 0);
}

int
aspen_object_find_page(struct aspen_object *object, uint64_t offset,
                       uint32_t *frame)
{
    lock_pages(object);
    struct aspen_frame *page = aspen_tree_load(&object->pages, offset);
    if (page)
        aspen_frame_get(page);
    unlock_pages(object);
    if (!page)
        return -ASPEN_ENOENT;
    *frame = aspen_frame_number(object->aspen, page);
    return 0;
}

/* The cache's lock is held. */
static int
enter_page(struct aspen_object *object, uint64_t offset, unsigned order,
           struct aspen_frame *page)
{
    uint64_t last = offset + ((uint64_t)1 << order) - 1;

    if (aspen_tree_find(&object->pages, offset, last, NULL))
        return -ASPEN_EEXIST;
    int error = aspen_tree_store(&object->pages, offset, last, page);
    if (error)
        return error;
    aspen_frame_set(page, ASPEN_FRAME_OBJECT, object, offset,
                    ASPEN_FRAME_UPTODATE);
    aspen_frame_get(page);
    return 0;
}

int
aspen_object_add_page(struct aspen_object *object, uint64_t offset,
                      unsigned order, uint32_t frame)
{
    ASPEN_ASSERT(has_cache(object));
    ASPEN_ASSERT(aspen_is_aligned(offset, (uint64_t)1 << order));
    lock_pages(object);
    int error =
        enter_page(object, offset, order, aspen_frame_at(object->aspen, frame));
    unlock_pages(object);
    return error;
}

/* Contents of a new page; no lock is held. */
static int
fill_page(struct aspen_object *object, uint64_t offset, uint32_t frame)
{
    struct aspen *aspen = object->aspen;

    int error = aspen_frame_zero(aspen, frame);
    if (error || !object->pager || !object->pager->read ||
        aspen->config.contents_ignored)
        return error;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    return object->pager->read(object->context, offset,
                               aspen_frame_pointer(aspen, frame));
}

/* A page that is not there yet: 0, an error, or -ASPEN_EEXIST when another
 * task was quicker. */
static int
make_page(struct aspen_object *object, uint64_t offset, uint32_t *frame)
{
    int error = aspen_frame_alloc(object->aspen, 0, ASPEN_STEP_FRAME, frame);
    if (error)
        return error;
    error = fill_page(object, offset, *frame);
    if (!error)
        error = aspen_object_add_page(object, offset, 0, *frame);
    if (error)
        aspen_frame_put(object->aspen, *frame);
    return error;
}

int
aspen_object_get_page(struct aspen_object *object, uint64_t offset,
                      uint32_t *frame)
{
    struct aspen *aspen = object->aspen;
    int error;

    if (!has_cache(object))
        return -ASPEN_EINVAL;
    if (offset >= aspen_object_pages(object))
        return -ASPEN_EFBIG;
    do {
        error = aspen_object_find_page(object, offset, frame);
        if (error == -ASPEN_ENOENT && object->kind == ASPEN_OBJECT_HUGETLB)
            return -ASPEN_EOPNOTSUPP;
        if (error)
            error = make_page(object, offset, frame);
    } while (error == -ASPEN_EEXIST);
    if (!error && aspen_frame_order(aspen, *frame) > 0) {
        aspen_frame_put(aspen, *frame);
        error = -ASPEN_EOPNOTSUPP;
    }
    return error;
}

/* The last reference is gone: nobody maps it and nobody finds it. */
static void
drop_pages(struct aspen_object *object)
{
    struct aspen_tree_cursor cursor;
    struct aspen_frame *page;

    aspen_tree_cursor_init(&cursor, &object->pages, 0);
    while ((page = aspen_tree_next(&cursor, UINT64_MAX)) != NULL) {
        /* Others may still hold the frame; then it is nobody's page. */
        aspen_store(&page->owner, (uint64_t)0);
        aspen_frame_put(object->aspen, aspen_frame_number(object->aspen, page));
    }
    aspen_tree_destroy(&object->pages);
}

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
    aspen_store_relaxed(&object->size_bytes, args->size_bytes);
    aspen_port_rwlock_init(&object->i_mmap_lock);
    aspen_interval_tree_init(&object->i_mmap);
    object->writable_shared = 0;
    memset(&object->pages_lock, 0, sizeof(object->pages_lock));
    aspen_tree_init(&object->pages, &aspen->tree_pool);
    aspen_store(&object->references, 1u); /* stale readers: I5 */
}

int
aspen_object_create(struct aspen *aspen, const struct aspen_object_args *args,
                    struct aspen_object **out)
{
    if ((unsigned)args->kind > ASPEN_OBJECT_HUGETLB ||
        (unsigned)args->placement > ASPEN_PLACEMENT_SHMEM_HUGE)
        return -ASPEN_EINVAL;

    struct aspen_object *object = aspen_cache_alloc(&aspen->object_cache);
    if (!object)
        return -ASPEN_ENOMEM;
    object_init(aspen, object, args);
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_push_back(&aspen->objects, &object->link);
    aspen_spin_unlock(&aspen->registry_lock);
    *out = object;
    return 0;
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
    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&object->link);
    aspen_spin_unlock(&aspen->registry_lock);
    drop_pages(object);
    if (object->pager && object->pager->release)
        object->pager->release(object->context);
    aspen_port_rwlock_destroy(&object->i_mmap_lock);
    aspen_cache_free(&aspen->object_cache, object);
}

static bool
get_not_zero(struct aspen_object *object)
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
    if (object && !get_not_zero(object))
        object = NULL;
    aspen_port_rcu_read_unlock();

    if (object && owner_of(frame) != object) {
        aspen_object_put(object);
        object = NULL;
    }
    return object;
}

/* ---- Who maps it ------------------------------------------------------- */

static bool
is_writable_shared(const struct aspen_vma *vma)
{
    const uint64_t both = ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE;
    return (vma->flags & both) == both;
}

void
aspen_object_link(struct aspen_vma *vma, struct aspen_vma *parent)
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
    object->writable_shared += is_writable_shared(vma);
    aspen_write_unlock(&object->i_mmap_lock);
}

void
aspen_object_unlink(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_write_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    aspen_interval_remove(&object->i_mmap, &vma->i_mmap_node);
    object->writable_shared -= is_writable_shared(vma);
    aspen_write_unlock(&object->i_mmap_lock);
}

void
aspen_object_link_remove(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_write_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    aspen_interval_remove(&object->i_mmap, &vma->i_mmap_node);
}

void
aspen_object_link_insert(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;
    struct aspen_interval_node *node = &vma->i_mmap_node;

    node->start = vma->pgoff;
    node->last = vma->pgoff + aspen_vma_pages(vma) - 1;
    aspen_interval_insert(&object->i_mmap, node);
    aspen_write_unlock(&object->i_mmap_lock);
}
