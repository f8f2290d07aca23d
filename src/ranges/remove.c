/* SPDX-License-Identifier: MIT */
/*
 * ranges/remove.c - removes whatever is mapped in a range.
 *
 * I1  Until commit nothing changes but memory that nobody else can find, and
 *     links to anon_vmas that lead to whole VMAs.
 * I2  The part of a VMA that stays keeps its struct aspen_vma; the part that is
 *     removed gets a new one. So the one path that takes VMAs down
 *     (rmap/unmap.c) meets whole VMAs only.
 *
 * Called by munmap, mmap, mremap and move.c. The first test to break is
 * tests/unit/calls/test_munmap.c.
 */
#include "ranges/remove.h"

#include "space/limits.h"
#include "rmap/split.h"
#include "rmap/unmap.h"

/* ---- Check ------------------------------------------------------------- */

static bool
is_hole(const struct aspen_remove *remove)
{
    return remove->first && remove->first->start < remove->start &&
           remove->first->end > remove->end;
}

/* What of `vma` goes. */
static void
count(struct aspen_remove *remove, const struct aspen_vma *vma)
{
    uint64_t start = aspen_max_u64(vma->start, remove->start);
    uint64_t end = aspen_min_u64(vma->end, remove->end);
    uint64_t pages = (end - start) >> ASPEN_PAGE_SHIFT;

    remove->pages += pages;
    if (vma->flags & ASPEN_VM_ACCOUNT)
        remove->charge_pages += pages;
    if (aspen_is_data(vma->flags))
        remove->data_pages += pages;
    if (vma->flags & ASPEN_VM_LOCKED)
        remove->locked_pages += pages;
}

/* `next`: the first VMA that ends after the start, the cursor's, or NULL. */
static void
look_below(struct aspen_remove *remove, struct aspen_vma *next)
{
    const struct aspen_tree_cursor *cursor = &remove->cursor;
    uint64_t range[2] = {0, 0};

    if (next && cursor->first < remove->start) {
        remove->below = next;
        remove->floor = remove->start;
        return;
    }
    remove->below =
        next ? aspen_tree_cursor_before(cursor, &range[1])
             : aspen_tree_find_back(&remove->mm->vmas, remove->start, 0, range);
    remove->floor = remove->below ? range[1] + 1 : remove->mm->address_floor;
    if (remove->floor != remove->start)
        remove->below = NULL;
}

/* `next`: the first VMA that starts at or after the end, the cursor's, or NULL.
 */
static void
look_above(struct aspen_remove *remove, struct aspen_vma *next)
{
    if (remove->last && remove->last->end > remove->end) {
        remove->above = remove->last;
        remove->ceiling = remove->end;
        return;
    }
    remove->ceiling = next ? remove->cursor.first : remove->mm->address_limit;
    remove->above = next && remove->ceiling == remove->end ? next : NULL;
}

/* The first VMA that ends after `address`. */
static struct aspen_vma *
look_from(struct aspen_remove *remove, uint64_t address)
{
    aspen_tree_cursor_init(&remove->cursor, &remove->mm->vmas, address);
    return aspen_tree_next(&remove->cursor, UINT64_MAX);
}

void
aspen_remove_look_around(struct aspen_remove *remove)
{
    look_below(remove, look_from(remove, remove->start));
    look_above(remove, look_from(remove, remove->end));
}

void
aspen_remove_init(struct aspen_remove *remove, struct aspen_mm *mm,
                  uint64_t start, uint64_t end)
{
    remove->mm = mm;
    remove->start = start;
    remove->end = end;
    remove->first = NULL;
    remove->last = NULL;
    remove->head = NULL;
    remove->tail = NULL;
    remove->rest = NULL;
    remove->pages = 0;
    remove->charge_pages = 0;
    remove->data_pages = 0;
    remove->locked_pages = 0;
    remove->below = NULL;
    remove->above = NULL;
    remove->floor = mm->address_floor;
    remove->ceiling = mm->address_limit;
}

/* At the first VMA, of which a part stays below. */
static int
check_first(const struct aspen_remove *remove)
{
    const struct aspen_mm *mm = remove->mm;

    if (is_hole(remove) && mm->map_count >= mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    if (remove->first->flags & ASPEN_VM_SEALED)
        return -ASPEN_EPERM;
    return aspen_vma_check_edge(remove->first, remove->start);
}

/* As Linux, VMA by VMA: the lowest that refuses gives the answer. */
int
aspen_remove_check(struct aspen_remove *remove, struct aspen_mm *mm,
                   uint64_t start, uint64_t end)
{
    aspen_remove_init(remove, mm, start, end);
    struct aspen_vma *vma = look_from(remove, start);
    int error = 0;

    look_below(remove, vma);
    if (vma && remove->cursor.first < start) {
        remove->first = vma;
        error = check_first(remove);
    }
    while (!error && vma && remove->cursor.first < end) {
        if (vma->flags & ASPEN_VM_SEALED)
            return -ASPEN_EPERM;
        count(remove, vma);
        if (!remove->first)
            remove->first = vma;
        remove->last = vma;
        vma = aspen_tree_next(&remove->cursor, UINT64_MAX);
    }
    if (error)
        return error;
    look_above(remove, vma);
    return remove->last ? aspen_vma_check_edge(remove->last, end) : 0;
}

/* ---- Reserve ----------------------------------------------------------- */

/* The part of a VMA at the left edge that goes, and above a hole what stays. */
static int
reserve_left(struct aspen_remove *remove)
{
    struct aspen_vma *first = remove->first;
    uint64_t end = aspen_min_u64(first->end, remove->end);

    int error = aspen_vma_part(first, remove->start, end, &remove->head);
    if (!error && is_hole(remove)) {
        error = aspen_vma_part(first, remove->end, first->end, &remove->rest);
        remove->above = remove->rest;
    }
    return error;
}

int
aspen_remove_reserve(struct aspen_remove *remove)
{
    struct aspen_vma *last = remove->last;
    int error = 0;

    if (remove->first && remove->first->start < remove->start)
        error = reserve_left(remove);
    if (!error && last && last->end > remove->end && !is_hole(remove))
        error = aspen_vma_part(last, last->start, remove->end, &remove->tail);
    if (error)
        aspen_remove_abort(remove);
    return error;
}

void
aspen_remove_abort(struct aspen_remove *remove)
{
    aspen_vma_part_abort(remove->head);
    aspen_vma_part_abort(remove->rest);
    aspen_vma_part_abort(remove->tail);
    remove->head = NULL;
    remove->rest = NULL;
    remove->tail = NULL;
}

int
aspen_remove_reserve_tree(struct aspen_remove *remove,
                          struct aspen_tree_reserve *reserve, unsigned more,
                          uint64_t start, uint64_t end)
{
    unsigned stores = more + (remove->first ? 1u : 0);

    if (more && remove->rest)
        stores++;
    start = aspen_min_u64(start, remove->start);
    end = aspen_max_u64(end, remove->rest ? remove->rest->end : remove->end);
    return aspen_tree_reserve_within(&remove->mm->vmas, reserve,
                                     &remove->cursor, stores, start, end - 1);
}

/* ---- Commit ------------------------------------------------------------ */

/* What of `vma` goes. */
static struct aspen_vma *
going(const struct aspen_remove *remove, struct aspen_vma *vma)
{
    if (remove->head && vma == remove->first)
        return remove->head;
    if (remove->tail && vma == remove->last)
        return remove->tail;
    return vma;
}

/* Lock every VMA of the range, and string up what goes. */
static struct aspen_vma *
lock_and_list(const struct aspen_remove *remove)
{
    struct aspen_vma *list = NULL;
    struct aspen_vma **end = &list;
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma = remove->first;

    aspen_tree_cursor_init(&cursor, &remove->mm->vmas, vma->end);
    for (;;) {
        aspen_vma_write_lock(vma);
        *end = going(remove, vma);
        end = &(*end)->detached;
        if (vma == remove->last)
            break;
        vma = aspen_tree_next(&cursor, remove->end - 1);
    }
    *end = NULL;
    return list;
}

/* The VMAs at the edges become what stays of them. */
static void
commit_edges(const struct aspen_remove *remove)
{
    if (remove->head)
        aspen_vma_part_commit(remove->head, remove->first);
    if (remove->rest)
        aspen_vma_part_commit(remove->rest, remove->first);
    if (remove->tail)
        aspen_vma_part_commit(remove->tail, remove->last);
    if (remove->head)
        aspen_vma_resize(remove->first, remove->first->start, remove->start);
    if (remove->tail)
        aspen_vma_resize(remove->last, remove->end, remove->last->end);
}

static void
leave_tree(const struct aspen_remove *remove,
           struct aspen_tree_reserve *reserve)
{
    struct aspen_tree *vmas = &remove->mm->vmas;
    struct aspen_vma *rest = remove->rest;

    if (rest)
        aspen_tree_store_two_reserved(vmas, reserve, remove->start, remove->end,
                                      rest->end - 1, NULL, rest);
    else
        aspen_tree_store_reserved(vmas, reserve, remove->start, remove->end - 1,
                                  NULL);
}

void
aspen_remove_commit(struct aspen_remove *remove,
                    struct aspen_tree_reserve *reserve)
{
    struct aspen_unmap unmap = {
        .mm = remove->mm,
        .start = remove->start,
        .end = remove->end,
        .table_floor = remove->floor,
        .table_ceiling = remove->ceiling,
        .detached = true,
    };

    if (!remove->first)
        return;
    unmap.first = lock_and_list(remove);
    commit_edges(remove);
    leave_tree(remove, reserve);
    aspen_unmap_region(&unmap);
    uint64_t charge = aspen_tear_down_vmas(&unmap, NULL);
    ASPEN_ASSERT(charge == remove->charge_pages);
}
