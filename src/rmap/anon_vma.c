/* SPDX-License-Identifier: MIT */
/*
 * rmap/anon_vma.c - who maps anonymous pages. Drawn, with its invariants I1
 * to I3, in internal.h. Here, about an anon_vma A:
 *
 * I4  Every VMA linked to A is linked to A's parent as well (fork clones the
 *     whole chain), so a parent has links as long as a child of it has.
 * I5  Once its last link is gone A is no longer counted in its parent's
 *     `children`, and whoever unlinked it has the reference of I3.
 * I6  A's lock is taken with a reference held, so nobody touches the lock of a
 *     free anon_vma; a stale reader touches only `references` (0).
 *
 * Called by fault and import (prepare), mmap and munmap (clone, unlink), fork
 * and its recovery. The first test to break is
 * tests/unit/rmap/test_anon_vma.c.
 */
#include "rmap/anon_vma.h"

/* ---- Memory ------------------------------------------------------------ */

/* A new one; a root when there is no parent. On no list, one reference. */
static struct aspen_anon_vma *
anon_vma_alloc(struct aspen *aspen, struct aspen_anon_vma *parent)
{
    struct aspen_anon_vma *anon_vma = aspen_cache_alloc(&aspen->anon_vma_cache);
    if (!anon_vma)
        return NULL;
    anon_vma->root = parent ? parent->root : anon_vma;
    anon_vma->parent = parent ? parent : anon_vma;
    anon_vma->children = 0;
    anon_vma->active_vmas = 0;
    aspen_store_relaxed(&anon_vma->number, 0u);
    aspen_interval_tree_init(&anon_vma->links);
    aspen_port_rwlock_init(&anon_vma->lock);
    if (parent)
        aspen_fetch_add_relaxed(&parent->root->references, 1);
    aspen_store(&anon_vma->references, 1u);
    return anon_vma;
}

void
aspen_anon_vma_put(struct aspen *aspen, struct aspen_anon_vma *anon_vma)
{
    while (aspen_fetch_sub(&anon_vma->references, 1) == 1) {
        struct aspen_anon_vma *root = anon_vma->root;
        ASPEN_ASSERT(!anon_vma->links.root);
        aspen_port_rwlock_destroy(&anon_vma->lock);
        aspen_cache_free(&aspen->anon_vma_cache, anon_vma);
        if (root == anon_vma)
            return;
        anon_vma = root;
    }
}

static void
links_free(struct aspen *aspen, struct aspen_list *links)
{
    aspen_list_for_each_safe(link, links)
    {
        aspen_list_remove(link);
        aspen_cache_free(
            &aspen->anon_vma_link_cache,
            aspen_container_of(link, struct aspen_anon_vma_link, same_vma));
    }
}

/* One link for each of from's. 0, or -ASPEN_ENOMEM with none. */
static int
links_alloc(struct aspen *aspen, struct aspen_vma *from,
            struct aspen_list *links)
{
    aspen_list_for_each(unused, &from->anon_chain)
    {
        struct aspen_anon_vma_link *link =
            aspen_cache_alloc(&aspen->anon_vma_link_cache);
        if (!link) {
            links_free(aspen, links);
            return -ASPEN_ENOMEM;
        }
        aspen_list_push_back(links, &link->same_vma);
    }
    return 0;
}

/* ---- Links: the root lock is held for writing -------------------------- */

static void
write_lock_root(struct aspen_anon_vma *anon_vma)
{
    aspen_write_lock(&anon_vma->root->lock, ASPEN_LOCK_ANON_VMA);
}

static void
write_unlock_root(struct aspen_anon_vma *anon_vma)
{
    aspen_write_unlock(&anon_vma->root->lock);
}

static struct aspen_anon_vma_link *
link_of(struct aspen_list *same_vma)
{
    return aspen_container_of(same_vma, struct aspen_anon_vma_link, same_vma);
}

/* Fill in a link and put it at the end of the VMA's chain. */
static void
link_init(struct aspen_anon_vma_link *link, struct aspen_vma *vma,
          struct aspen_anon_vma *anon_vma)
{
    link->vma = vma;
    link->anon_vma = anon_vma;
    link->node.start = vma->pgoff;
    link->node.last = vma->pgoff + aspen_vma_pages(vma) - 1;
    aspen_list_push_back(&vma->anon_chain, &link->same_vma);
}

static void
link_enter(struct aspen_anon_vma_link *link, struct aspen_vma *vma,
           struct aspen_anon_vma *anon_vma)
{
    link_init(link, vma, anon_vma);
    aspen_interval_insert(&anon_vma->links, &link->node);
}

/* Link `to` wherever `from` is linked, in the same order; `links` has exactly
 * the links that it takes. */
static void
chain_copy(struct aspen_vma *to, struct aspen_vma *from,
           struct aspen_list *links, bool forked)
{
    aspen_list_for_each(position, &from->anon_chain)
    {
        struct aspen_anon_vma_link *old = link_of(position);
        struct aspen_anon_vma_link *link = link_of(links->next);

        aspen_list_remove(&link->same_vma);
        link_init(link, to, old->anon_vma);
        if (forked)
            aspen_interval_insert_after(&old->anon_vma->links, &old->node,
                                        &link->node);
        else
            aspen_interval_insert(&old->anon_vma->links, &link->node);
    }
}

/*
 * An anon_vma of the chain that has no VMA of its own any more, and one child
 * at most: taking it again keeps a family that forks and exits in a line from
 * growing for ever. A root counts itself as a child: one that has another child
 * is not taken.
 */
static struct aspen_anon_vma *
find_reusable(struct aspen_vma *vma)
{
    aspen_list_for_each(position, &vma->anon_chain)
    {
        struct aspen_anon_vma *anon_vma = link_of(position)->anon_vma;
        if (anon_vma->root != anon_vma && anon_vma->active_vmas == 0 &&
            anon_vma->children < 2)
            return anon_vma;
    }
    return NULL;
}

/* ---- Prepare ----------------------------------------------------------- */

/* Could the two ever become one VMA, but for what mprotect may change? */
static bool
mergeable(const struct aspen_vma *low, const struct aspen_vma *high)
{
    const uint64_t ignored = ASPEN_VM_ACCESS | ASPEN_VM_SOFTDIRTY;

    return low->end == high->start && low->object == high->object &&
           ((low->flags ^ high->flags) & ~ignored) == 0 &&
           low->pgoff + aspen_vma_pages(low) == high->pgoff;
}

static struct aspen_anon_vma *
single_anon_vma(struct aspen_vma *vma)
{
    struct aspen_anon_vma *anon_vma = aspen_load(&vma->anon_vma);

    return anon_vma && aspen_anon_vma_is_single(vma) ? anon_vma : NULL;
}

static struct aspen_anon_vma *
find_mergeable(struct aspen_vma *vma)
{
    struct aspen_vma *next = aspen_vma_at(vma->mm, vma->end);
    struct aspen_vma *previous =
        vma->start ? aspen_vma_at(vma->mm, vma->start - 1) : NULL;
    struct aspen_anon_vma *found = NULL;

    if (next && mergeable(vma, next))
        found = single_anon_vma(next);
    if (!found && previous && mergeable(previous, vma))
        found = single_anon_vma(previous);
    return found;
}

/*
 * The root lock is held: make it the VMA's unless somebody else was quicker.
 * The lock of the top table decides between two that only hold the mmap lock
 * for reading, and makes the chain visible to whoever sees vma->anon_vma.
 */
static bool
adopt(struct aspen_vma *vma, struct aspen_anon_vma *anon_vma,
      struct aspen_anon_vma_link *link, bool fresh)
{
    struct aspen_mm *mm = vma->mm;

    write_lock_root(anon_vma);
    aspen_table_lock(mm->aspen, mm->root, ASPEN_LOCK_TABLE);
    bool first = !vma->anon_vma;
    if (first) {
        link_enter(link, vma, anon_vma);
        anon_vma->active_vmas++;
        if (fresh)
            anon_vma->children++; /* a root is its own parent */
        aspen_store(&vma->anon_vma, anon_vma);
    }
    aspen_table_unlock(mm->aspen, mm->root);
    write_unlock_root(anon_vma);
    return first;
}

int
aspen_anon_vma_prepare(struct aspen_vma *vma)
{
    struct aspen *aspen = vma->mm->aspen;
    struct aspen_anon_vma *fresh = NULL;

    if (aspen_load(&vma->anon_vma))
        return 0;
    struct aspen_anon_vma_link *link =
        aspen_cache_alloc(&aspen->anon_vma_link_cache);
    if (!link)
        return -ASPEN_ENOMEM;
    struct aspen_anon_vma *anon_vma = find_mergeable(vma);
    if (!anon_vma) {
        anon_vma = fresh = anon_vma_alloc(aspen, NULL);
        if (!fresh)
            goto undo_link;
    }
    if (adopt(vma, anon_vma, link, fresh != NULL))
        return 0;

    if (fresh)
        aspen_anon_vma_put(aspen, fresh);
    aspen_cache_free(&aspen->anon_vma_link_cache, link);
    return 0;

undo_link:
    aspen_cache_free(&aspen->anon_vma_link_cache, link);
    return -ASPEN_ENOMEM;
}

/* ---- Clone and fork ---------------------------------------------------- */

int
aspen_anon_vma_links_reserve(struct aspen_vma *from, struct aspen_list *links)
{
    struct aspen_list more;

    aspen_list_init(&more);
    int error = links_alloc(from->mm->aspen, from, &more);
    if (error)
        return error;
    aspen_list_for_each_safe(link, &more)
    {
        aspen_list_remove(link);
        aspen_list_push_back(links, link);
    }
    return 0;
}

void
aspen_anon_vma_clone_reserved(struct aspen_vma *to, struct aspen_vma *from,
                              struct aspen_list *links)
{
    write_lock_root(from->anon_vma);
    chain_copy(to, from, links, false);
    from->anon_vma->active_vmas++;
    write_unlock_root(from->anon_vma);
    to->anon_vma = from->anon_vma;
}

void
aspen_anon_vma_links_release(struct aspen *aspen, struct aspen_list *links)
{
    links_free(aspen, links);
}

int
aspen_anon_vma_clone(struct aspen_vma *to, struct aspen_vma *from)
{
    struct aspen_list links;

    if (!from->anon_vma)
        return 0;
    aspen_list_init(&links);
    int error = aspen_anon_vma_links_reserve(from, &links);
    if (!error)
        aspen_anon_vma_clone_reserved(to, from, &links);
    return error;
}

/* What a fork of one VMA may need. */
struct fork_parts {
    struct aspen_list links;
    struct aspen_anon_vma *anon_vma;
    struct aspen_anon_vma_link *link; /* to it */
};

static int
fork_reserve(struct fork_parts *parts, struct aspen_vma *from)
{
    struct aspen *aspen = from->mm->aspen;

    aspen_list_init(&parts->links);
    int error = links_alloc(aspen, from, &parts->links);
    if (error)
        return error;
    parts->anon_vma = anon_vma_alloc(aspen, from->anon_vma);
    if (!parts->anon_vma)
        goto undo_links;
    parts->link = aspen_cache_alloc(&aspen->anon_vma_link_cache);
    if (!parts->link)
        goto undo_anon_vma;
    return 0;

undo_anon_vma:
    aspen_anon_vma_put(aspen, parts->anon_vma);
undo_links:
    links_free(aspen, &parts->links);
    return -ASPEN_ENOMEM;
}

int
aspen_anon_vma_fork(struct aspen_vma *to, struct aspen_vma *from)
{
    struct aspen *aspen = from->mm->aspen;
    struct fork_parts parts;

    if (!from->anon_vma)
        return 0;
    int error = fork_reserve(&parts, from);
    if (error)
        return error;

    write_lock_root(from->anon_vma);
    chain_copy(to, from, &parts.links, true);
    to->anon_vma = find_reusable(to);
    if (!to->anon_vma) {
        to->anon_vma = parts.anon_vma;
        link_enter(parts.link, to, parts.anon_vma);
        from->anon_vma->children++;
        parts.anon_vma = NULL;
    }
    to->anon_vma->active_vmas++;
    write_unlock_root(from->anon_vma);

    if (aspen_unlikely(parts.anon_vma)) {
        aspen_anon_vma_put(aspen, parts.anon_vma);
        aspen_cache_free(&aspen->anon_vma_link_cache, parts.link);
    }
    return 0;
}

/* ---- Unlink ------------------------------------------------------------ */

/*
 * The root lock is held: take the VMA out of each tree. Links that were their
 * anon_vma's last remain in the chain, and the caller has their references now
 * (I5); all others move to `done`.
 */
static void
chain_leave(struct aspen_vma *vma, struct aspen_list *done)
{
    aspen_list_for_each_safe(position, &vma->anon_chain)
    {
        struct aspen_anon_vma_link *link = link_of(position);
        struct aspen_anon_vma *anon_vma = link->anon_vma;

        aspen_interval_remove(&anon_vma->links, &link->node);
        if (!anon_vma->links.root) {
            anon_vma->parent->children--;
            continue;
        }
        aspen_list_remove(position);
        aspen_list_push_back(done, position);
    }
    vma->anon_vma->active_vmas--;
}

void
aspen_anon_vma_unlink(struct aspen_vma *vma)
{
    struct aspen_anon_vma *anon_vma = vma->anon_vma;
    struct aspen *aspen = vma->mm->aspen;
    struct aspen_list done;

    if (!anon_vma)
        return;
    aspen_list_init(&done);
    write_lock_root(anon_vma);
    chain_leave(vma, &done);
    write_unlock_root(anon_vma);

    vma->anon_vma = NULL;
    aspen_list_for_each(position, &vma->anon_chain)
    {
        struct aspen_anon_vma *last = link_of(position)->anon_vma;
        ASPEN_ASSERT(last->children == 0 && last->active_vmas == 0);
        aspen_anon_vma_put(aspen, last);
    }
    links_free(aspen, &vma->anon_chain);
    links_free(aspen, &done);
}

/* ---- A change of range ------------------------------------------------- */

void
aspen_anon_vma_links_remove(struct aspen_vma *vma)
{
    if (!vma->anon_vma)
        return;
    write_lock_root(vma->anon_vma);
    aspen_list_for_each(position, &vma->anon_chain)
    {
        struct aspen_anon_vma_link *link = link_of(position);
        aspen_interval_remove(&link->anon_vma->links, &link->node);
    }
}

void
aspen_anon_vma_links_insert(struct aspen_vma *vma)
{
    if (!vma->anon_vma)
        return;
    aspen_list_for_each(position, &vma->anon_chain)
    {
        struct aspen_anon_vma_link *link = link_of(position);
        link->node.start = vma->pgoff;
        link->node.last = vma->pgoff + aspen_vma_pages(vma) - 1;
        aspen_interval_insert(&link->anon_vma->links, &link->node);
    }
    write_unlock_root(vma->anon_vma);
}

/* ---- From a frame ------------------------------------------------------ */

static bool
get_not_zero(struct aspen_anon_vma *anon_vma)
{
    uint32_t references = aspen_load_relaxed(&anon_vma->references);
    do {
        if (references == 0)
            return false;
    } while (!aspen_compare_exchange(&anon_vma->references, &references,
                                     references + 1));
    return true;
}

static struct aspen_anon_vma *
owner_of(const struct aspen_frame *frame)
{
    if (aspen_frame_type(frame) != ASPEN_FRAME_ANON ||
        aspen_frame_map_count(frame) == 0)
        return NULL;
    return (void *)(uintptr_t)aspen_load_relaxed(&frame->owner);
}

struct aspen_anon_vma *
aspen_anon_vma_of_frame(struct aspen *aspen, struct aspen_frame *frame)
{
    aspen_port_rcu_read_lock();
    struct aspen_anon_vma *anon_vma = owner_of(frame);
    if (anon_vma && !get_not_zero(anon_vma))
        anon_vma = NULL;
    aspen_port_rcu_read_unlock();

    /* Mapped and its owner still: it has links, so it is the one. */
    if (anon_vma && owner_of(frame) != anon_vma) {
        aspen_anon_vma_put(aspen, anon_vma);
        anon_vma = NULL;
    }
    return anon_vma;
}
