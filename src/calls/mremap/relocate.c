/* SPDX-License-Identifier: MIT */
/*
 * calls/mremap/relocate.c - moves a mapping, or several at once: chooses where,
 * asks the limits, and then uses ranges/move.h or ranges/move_all.h.
 *
 * Called by mremap.c. The first tests to break are
 * tests/unit/calls/test_mremap.c and tests/host/test_mremap_host.c.
 */
#include "calls/mremap/mremap.h"

#include "ranges/move_all.h"
#include "ranges/place.h"
#include "space/limits.h"

/* ---- One mapping ------------------------------------------------------- */

static int
find_place(struct aspen_remap *remap)
{
    const struct aspen_vma *vma = remap->vma;
    const struct aspen_mmap_args args = {
        .flags = remap->flags & ASPEN_MREMAP_FIXED ? ASPEN_MAP_FIXED : 0,
        .vm_flags = vma->flags & ASPEN_VM_MAYSHARE ? ASPEN_VM_SHARED : 0,
        .object = vma->object,
        .offset_bytes = aspen_vma_offset(vma, remap->old) << ASPEN_PAGE_SHIFT,
    };

    return aspen_place(remap->mm, &args,
                       aspen_remap_has_target(remap) ? remap->new : 0,
                       remap->new_bytes, &remap->new);
}

static void
move_init(struct aspen_move *move, const struct aspen_remap *remap)
{
    bool dontunmap = remap->flags & ASPEN_MREMAP_DONTUNMAP;

    move->mm = remap->mm;
    move->vma = remap->vma;
    move->from = remap->old;
    move->pages_bytes = aspen_min_u64(remap->old_bytes, remap->new_bytes);
    move->unmapped_bytes = dontunmap ? 0 : remap->old_bytes;
    move->to = remap->new;
    move->to_bytes = remap->new_bytes;
    move->dontunmap = dontunmap;
}

/* What there will be after the moves that were planned. */
struct totals {
    uint64_t pages;
    uint64_t data;
};

/* With DONTUNMAP both mappings count, but not what was at the target. */
static int
check_limits(const struct aspen_move *move, struct totals *totals)
{
    struct aspen_mm *mm = move->mm;
    uint64_t pages = move->to_bytes >> ASPEN_PAGE_SHIFT;
    bool data = aspen_is_data(move->flags);

    totals->pages += pages - move->target.pages;
    totals->data += (data ? pages : 0) - move->target.data_pages;
    int error = aspen_check_total(mm, totals->pages);
    return !error && data ? aspen_check_data(mm, totals->data) : error;
}

/* All checks of a move, which comes after those that are in `totals`. */
static int
plan_move(struct aspen_remap *remap, struct aspen_move *move,
          struct totals *totals)
{
    int error = aspen_remap_check_move(remap);
    if (!error)
        error = find_place(remap);
    if (!error)
        error = aspen_place_check_top(remap->mm, remap->new, remap->new_bytes);
    if (error)
        return error;
    move_init(move, remap);
    error = aspen_move_check(move);
    return !error && move->dontunmap ? check_limits(move, totals) : error;
}

ASPEN_STATIC_ASSERT(sizeof(struct aspen_move) <= ASPEN_PLAN_BYTES,
                    "a move is a plan");

int
aspen_remap_relocate(struct aspen_remap *remap)
{
    struct totals totals = {remap->mm->total_pages, remap->mm->data_pages};
    struct aspen_cache *plans = &remap->mm->aspen->plan_cache;
    struct aspen_move *move = aspen_cache_alloc(plans);

    if (!move)
        return -ASPEN_ENOMEM;
    int error = plan_move(remap, move, &totals);
    if (!error)
        error = aspen_move_apply(move);
    aspen_cache_free(plans, move);
    return error;
}

/* ---- Several at once --------------------------------------------------- */

/* Linux lets no file with its own idea of a place, as /dev/zero has. */
bool
aspen_remap_moves_with_others(const struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;

    return !vma->userfault &&
           !(object && (object->zeroes || object->moves_alone));
}

struct aspen_remap
aspen_remap_next(const struct aspen_remap *all, uint64_t from)
{
    uint64_t end = all->old + all->old_bytes;
    struct aspen_remap one = *all;

    one.vma = aspen_vma_find(all->mm, from);
    if (one.vma && one.vma->start >= end)
        one.vma = NULL;
    if (!one.vma)
        return one;
    one.old = aspen_max_u64(one.vma->start, from);
    one.old_bytes = one.new_bytes = aspen_min_u64(one.vma->end, end) - one.old;
    one.new = all->new + (one.old - all->old);
    return one;
}

/* All that can be known before any moves. */
static int
plan_moves(const struct aspen_remap *all, struct aspen_move_all *moves)
{
    struct totals totals = {all->mm->total_pages, all->mm->data_pages};
    uint64_t from = all->old;

    for (uint64_t i = 0; i < moves->count; i++) {
        struct aspen_remap one = aspen_remap_next(all, from);
        if ((i == 0 && one.old != from) ||
            !aspen_remap_moves_with_others(one.vma))
            return -ASPEN_EFAULT;
        int error = aspen_remap_check_mapping(&one);
        if (!error)
            error = plan_move(&one, &moves->move[i], &totals);
        if (error)
            return error;
        from = one.old + one.old_bytes;
    }
    return 0;
}

int
aspen_remap_together(const struct aspen_remap *all, uint64_t count)
{
    struct aspen_move_all moves;

    int error = aspen_move_all_alloc(&moves, all->mm, count);
    if (error)
        return error;
    error = plan_moves(all, &moves);
    if (!error)
        error = aspen_move_all_apply(&moves);
    aspen_move_all_free(&moves);
    return error;
}
