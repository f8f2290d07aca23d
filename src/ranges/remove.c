/* SPDX-License-Identifier: MIT */
/*
 * ranges/remove.c - taking away whatever is mapped in a range.
 *
 * I1  Until commit nothing changes but memory that nobody else can find, and
 *     links to anon_vmas that lead to whole VMAs.
 * I2  What stays keeps its struct aspen_vma; parts of VMAs that go get a new
 *     one, so that one path (space/unmap.c) takes down whole VMAs alone.
 *
 * Called by munmap and mmap. The first test to break is
 * tests/unit/calls/test_munmap.c.
 */
#include "ranges/remove.h"

#include "space/limits.h"
#include "space/split.h"
#include "space/unmap.h"

/* ---- Check ------------------------------------------------------------- */

static bool
is_hole(const struct aspen_clear *clear)
{
    return clear->first && clear->first->start < clear->start &&
           clear->first->end > clear->end;
}

/* What of `vma` goes. */
static void
count(struct aspen_clear *clear, const struct aspen_vma *vma)
{
    uint64_t start = aspen_max_u64(vma->start, clear->start);
    uint64_t end = aspen_min_u64(vma->end, clear->end);
    uint64_t pages = (end - start) >> ASPEN_PAGE_SHIFT;

    clear->pages += pages;
    if (vma->flags & ASPEN_VM_ACCOUNT)
        clear->charge_pages += pages;
    if (aspen_is_data(vma->flags))
        clear->data_pages += pages;
    if (vma->flags & ASPEN_VM_LOCKED)
        clear->locked_pages += pages;
}

/* `next`: the first VMA that ends after the start, the cursor's, or NULL. */
static void
look_below(struct aspen_clear *clear, struct aspen_vma *next)
{
    const struct aspen_tree_cursor *cursor = &clear->cursor;
    uint64_t range[2] = {0, 0};

    if (next && cursor->first < clear->start) {
        clear->below = next;
        clear->floor = clear->start;
        return;
    }
    clear->below =
        next ? aspen_tree_cursor_before(cursor, &range[1])
             : aspen_tree_find_back(&clear->mm->vmas, clear->start, 0, range);
    clear->floor = clear->below ? range[1] + 1 : clear->mm->address_floor;
    if (clear->floor != clear->start)
        clear->below = NULL;
}

/* `next`: the first VMA that starts at or after the end, the cursor's, or NULL.
 */
static void
look_above(struct aspen_clear *clear, struct aspen_vma *next)
{
    if (clear->last && clear->last->end > clear->end) {
        clear->above = clear->last;
        clear->ceiling = clear->end;
        return;
    }
    clear->ceiling = next ? clear->cursor.first : clear->mm->address_limit;
    clear->above = next && clear->ceiling == clear->end ? next : NULL;
}

/* The first VMA that ends after `address`. */
static struct aspen_vma *
look_from(struct aspen_clear *clear, uint64_t address)
{
    aspen_tree_cursor_init(&clear->cursor, &clear->mm->vmas, address);
    return aspen_tree_next(&clear->cursor, UINT64_MAX);
}

void
aspen_clear_look_around(struct aspen_clear *clear)
{
    look_below(clear, look_from(clear, clear->start));
    look_above(clear, look_from(clear, clear->end));
}

void
aspen_clear_init(struct aspen_clear *clear, struct aspen_mm *mm, uint64_t start,
                 uint64_t end)
{
    clear->mm = mm;
    clear->start = start;
    clear->end = end;
    clear->first = NULL;
    clear->last = NULL;
    clear->head = NULL;
    clear->tail = NULL;
    clear->rest = NULL;
    clear->pages = 0;
    clear->charge_pages = 0;
    clear->data_pages = 0;
    clear->locked_pages = 0;
    clear->below = NULL;
    clear->above = NULL;
    clear->floor = mm->address_floor;
    clear->ceiling = mm->address_limit;
}

int
aspen_clear_check(struct aspen_clear *clear, struct aspen_mm *mm,
                  uint64_t start, uint64_t end)
{
    aspen_clear_init(clear, mm, start, end);
    struct aspen_vma *vma = look_from(clear, start);
    look_below(clear, vma);
    while (vma && clear->cursor.first < end) {
        if (vma->flags & ASPEN_VM_SEALED)
            return -ASPEN_EPERM;
        count(clear, vma);
        if (!clear->first)
            clear->first = vma;
        clear->last = vma;
        vma = aspen_tree_next(&clear->cursor, UINT64_MAX);
    }
    look_above(clear, vma);
    if (is_hole(clear) && mm->map_count >= mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    int error = clear->first ? aspen_vma_check_edge(clear->first, start) : 0;
    return error || !clear->last ? error
                                 : aspen_vma_check_edge(clear->last, end);
}

/* ---- Reserve ----------------------------------------------------------- */

/* The part of a VMA at the left edge that goes, and above a hole what stays. */
static int
reserve_left(struct aspen_clear *clear)
{
    struct aspen_vma *first = clear->first;
    uint64_t end = aspen_min_u64(first->end, clear->end);

    int error = aspen_vma_part(first, clear->start, end, &clear->head);
    if (!error && is_hole(clear)) {
        error = aspen_vma_part(first, clear->end, first->end, &clear->rest);
        clear->above = clear->rest;
    }
    return error;
}

int
aspen_clear_reserve(struct aspen_clear *clear)
{
    struct aspen_vma *last = clear->last;
    int error = 0;

    if (clear->first && clear->first->start < clear->start)
        error = reserve_left(clear);
    if (!error && last && last->end > clear->end && !is_hole(clear))
        error = aspen_vma_part(last, last->start, clear->end, &clear->tail);
    if (error)
        aspen_clear_abort(clear);
    return error;
}

void
aspen_clear_abort(struct aspen_clear *clear)
{
    aspen_vma_part_abort(clear->head);
    aspen_vma_part_abort(clear->rest);
    aspen_vma_part_abort(clear->tail);
    clear->head = NULL;
    clear->rest = NULL;
    clear->tail = NULL;
}

int
aspen_clear_reserve_tree(struct aspen_clear *clear,
                         struct aspen_tree_reserve *reserve, unsigned more,
                         uint64_t start, uint64_t end)
{
    unsigned stores = more + (clear->first ? 1u : 0);

    if (more && clear->rest)
        stores++;
    start = aspen_min_u64(start, clear->start);
    end = aspen_max_u64(end, clear->rest ? clear->rest->end : clear->end);
    return aspen_tree_reserve_within(&clear->mm->vmas, reserve, &clear->cursor,
                                     stores, start, end - 1);
}

/* ---- Commit ------------------------------------------------------------ */

/* What of `vma` goes. */
static struct aspen_vma *
going(const struct aspen_clear *clear, struct aspen_vma *vma)
{
    if (clear->head && vma == clear->first)
        return clear->head;
    if (clear->tail && vma == clear->last)
        return clear->tail;
    return vma;
}

/* Lock every VMA of the range, and string up what goes. */
static struct aspen_vma *
lock_and_list(const struct aspen_clear *clear)
{
    struct aspen_vma *list = NULL;
    struct aspen_vma **end = &list;
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma = clear->first;

    aspen_tree_cursor_init(&cursor, &clear->mm->vmas, vma->end);
    for (;;) {
        aspen_vma_write_lock(vma);
        *end = going(clear, vma);
        end = &(*end)->detached;
        if (vma == clear->last)
            break;
        vma = aspen_tree_next(&cursor, clear->end - 1);
    }
    *end = NULL;
    return list;
}

/* The VMAs at the edges become what stays of them. */
static void
cut_edges(const struct aspen_clear *clear)
{
    struct aspen_vma *parts[] = {clear->head, clear->rest, clear->tail};

    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(parts); i++)
        if (parts[i])
            aspen_vma_part_commit(parts[i]);
    if (clear->head)
        aspen_vma_resize(clear->first, clear->first->start, clear->start);
    if (clear->tail)
        aspen_vma_resize(clear->last, clear->end, clear->last->end);
}

static void
leave_tree(const struct aspen_clear *clear, struct aspen_tree_reserve *reserve)
{
    struct aspen_tree *vmas = &clear->mm->vmas;
    struct aspen_vma *rest = clear->rest;

    if (rest)
        aspen_tree_store_two_reserved(vmas, reserve, clear->start, clear->end,
                                      rest->end - 1, NULL, rest);
    else
        aspen_tree_store_reserved(vmas, reserve, clear->start, clear->end - 1,
                                  NULL);
}

void
aspen_clear_commit(struct aspen_clear *clear,
                   struct aspen_tree_reserve *reserve)
{
    struct aspen_unmap unmap = {
        .mm = clear->mm,
        .start = clear->start,
        .end = clear->end,
        .table_floor = clear->floor,
        .table_ceiling = clear->ceiling,
        .detached = true,
    };

    if (!clear->first)
        return;
    unmap.first = lock_and_list(clear);
    cut_edges(clear);
    leave_tree(clear, reserve);
    aspen_unmap_region(&unmap);
    uint64_t charge = aspen_tear_down_vmas(&unmap, NULL);
    ASPEN_ASSERT(charge == clear->charge_pages);
}
