/* SPDX-License-Identifier: MIT */
/*
 * calls/mremap.c - mremap: arguments, limits, and which way it goes.
 *
 *                     stays                      moves
 *   smaller     munmap of the rest      move, and the rest goes
 *   the same    nothing                 move
 *   larger      grow in place, if the mapping ends there and there is room;
 *               else, with MAYMOVE, move to where there is
 *
 * What is refused first is refused first by Linux: arguments, then the mapping,
 * before 6.15 the mapping, then the target, then whether the one fits the
 * other.
 *
 * Called by the embedder. The first tests to break are
 * tests/unit/calls/test_mremap.c and tests/host/test_mmap_host.c.
 */
#include <aspen/remap.h>

#include "calls/map.h"
#include "calls/seal.h"
#include "ranges/move_all.h"
#include "ranges/place.h"
#include "fault/populate.h"
#include "space/charge.h"
#include "space/limits.h"
#include "space/release.h"

#define NEVER_GROWN (ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP)
#define HUGE_BYTES  (aspen_entry_span(1))
/* VMAs that have to be left of the map count. */
#define MAPS_TO_MOVE  3
#define MAPS_TO_PLACE 5

struct remap {
    struct aspen_mm *mm;
    struct aspen_vma *vma;
    uint64_t old;
    uint64_t old_bytes;
    uint64_t new_bytes;
    unsigned flags;
    bool resizes;  /* the sizes differ, as DONTUNMAP's may not */
    uint64_t new;  /* wanted; then where it is */
    uint64_t fill; /* what has to be faulted in, at its end */
    struct {
        uint64_t pages;
        uint64_t data;
        uint64_t locked;
    } gone; /* of other mappings, before this one's growth is looked at */
};

/* ---- Check ------------------------------------------------------------- */

static bool
has_target(const struct remap *remap)
{
    return remap->flags & (ASPEN_MREMAP_FIXED | ASPEN_MREMAP_DONTUNMAP);
}

static bool
overlaps(const struct remap *remap)
{
    return remap->old + remap->old_bytes > remap->new &&
           remap->new + remap->new_bytes > remap->old;
}

static bool
maps_left(const struct aspen_mm *mm, uint64_t maps)
{
    return mm->map_count + maps < mm->aspen->config.map_count_max;
}

/* Do they fit each other? */
static int
check_flags(const struct remap *remap)
{
    if (has_target(remap) && !(remap->flags & ASPEN_MREMAP_MAYMOVE))
        return -ASPEN_EINVAL;
    return remap->flags & ASPEN_MREMAP_DONTUNMAP && remap->resizes
               ? -ASPEN_EINVAL
               : 0;
}

static int
check_target(const struct remap *remap)
{
    uint64_t limit = remap->mm->names_limit;

    if (remap->new_bytes > limit || remap->new > limit - remap->new_bytes ||
        !aspen_is_aligned(remap->new, ASPEN_PAGE_SIZE) || check_flags(remap) ||
        overlaps(remap))
        return -ASPEN_EINVAL;
    return 0;
}

static int
check_arguments(const struct remap *remap)
{
    const unsigned known =
        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | ASPEN_MREMAP_DONTUNMAP;

    if (remap->flags & ~known ||
        !aspen_is_aligned(remap->old, ASPEN_PAGE_SIZE) || !remap->new_bytes)
        return -ASPEN_EINVAL;
    if (!aspen_release_mremap_checks_arguments_first(remap->mm->aspen))
        return check_flags(remap);
    if (remap->new_bytes > remap->mm->names_limit)
        return -ASPEN_EINVAL;
    return has_target(remap) ? check_target(remap) : 0;
}

/* A huge page at a time, and never more. */
static int
check_hugetlb(struct remap *remap)
{
    remap->old_bytes = aspen_align_up(remap->old_bytes, HUGE_BYTES);
    remap->new_bytes = aspen_align_up(remap->new_bytes, HUGE_BYTES);
    if (!aspen_is_aligned(remap->old, HUGE_BYTES) ||
        (has_target(remap) && !aspen_is_aligned(remap->new, HUGE_BYTES)) ||
        remap->new_bytes > remap->old_bytes)
        return -ASPEN_EINVAL;
    return 0;
}

/* `more` pages of the mapping, without what is gone by then. */
static int
check_expansion(const struct remap *remap, uint64_t more)
{
    const struct aspen_mm *mm = remap->mm;
    uint64_t flags = remap->vma->flags;

    int error =
        aspen_check_total(mm, mm->total_pages - remap->gone.pages + more);
    return !error && aspen_is_data(flags)
               ? aspen_check_data(mm, mm->data_pages - remap->gone.data + more)
               : error;
}

static int
check_growth(const struct remap *remap)
{
    const struct aspen_vma *vma = remap->vma;
    uint64_t more = (remap->new_bytes - remap->old_bytes) >> ASPEN_PAGE_SHIFT;
    uint64_t pgoff = aspen_vma_offset(vma, remap->old);

    if (pgoff + (remap->new_bytes >> ASPEN_PAGE_SHIFT) < pgoff)
        return -ASPEN_EINVAL;
    if (vma->flags & NEVER_GROWN)
        return -ASPEN_EFAULT;
    if (vma->flags & ASPEN_VM_LOCKED) {
        int error = aspen_may_lock_without(remap->mm, more, remap->gone.locked);
        if (error)
            return error;
    }
    return check_expansion(remap, more);
}

static int
check_vma(struct remap *remap)
{
    const struct aspen_vma *vma = remap->vma;

    if (!vma)
        return -ASPEN_EFAULT;
    int error = aspen_seal_check(vma);
    if (error)
        return error;
    return vma->flags & ASPEN_VM_HUGETLB ? check_hugetlb(remap) : 0;
}

static int
check_mapping(struct remap *remap)
{
    const struct aspen_vma *vma = remap->vma;

    int error = check_vma(remap);
    if (error)
        return error;
    if (!has_target(remap) && remap->new_bytes <= remap->old_bytes)
        return 0;
    if (!remap->old_bytes &&
        !(vma->flags & (ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE)))
        return -ASPEN_EINVAL;
    if (remap->flags & ASPEN_MREMAP_DONTUNMAP && vma->flags & NEVER_GROWN)
        return -ASPEN_EINVAL;
    /* What goes for good may lie in several mappings, or nowhere. */
    if (aspen_min_u64(remap->old_bytes, remap->new_bytes) >
        vma->end - remap->old)
        return -ASPEN_EFAULT;
    return remap->new_bytes > remap->old_bytes ? check_growth(remap) : 0;
}

/* ---- Smaller, in place ------------------------------------------------- */

/* What is too much of the old range: munmap would refuse it beyond the top. */
static int
check_excess(const struct remap *remap)
{
    uint64_t limit = remap->mm->names_limit;
    uint64_t start = remap->old + remap->new_bytes;

    if (remap->old_bytes <= remap->new_bytes)
        return 0;
    return start > limit || remap->old_bytes - remap->new_bytes > limit - start
               ? -ASPEN_EINVAL
               : 0;
}

static int
shrink(struct remap *remap)
{
    int error = check_excess(remap);
    if (error)
        return error;
    uint64_t start = remap->old + remap->new_bytes;
    uint64_t end =
        aspen_min_u64(remap->old + remap->old_bytes, remap->mm->address_limit);
    return start < end ? aspen_munmap_locked(remap->mm, start, end) : 0;
}

/* ---- Larger, in place -------------------------------------------------- */

static bool
has_room(const struct remap *remap)
{
    struct aspen_mm *mm = remap->mm;
    struct aspen_vma *vma = remap->vma;
    uint64_t end = remap->old + remap->new_bytes;

    if (vma->end - remap->old != remap->old_bytes || end < vma->end ||
        end > mm->address_limit)
        return false;
    return !aspen_tree_find(&mm->vmas, vma->end, end - 1, NULL) &&
           (vma->start >= mm->aspen->config.mmap_min_fixed ||
            aspen_privileged(mm, ASPEN_PRIVILEGE_SYS_RAWIO));
}

/* It takes what is new for itself, and perhaps what is above that. */
static void
plan_growth(const struct remap *remap, struct aspen_merge *merge)
{
    struct aspen_vma *vma = remap->vma;

    *merge = (struct aspen_merge){
        .mm = remap->mm,
        .start = vma->end,
        .end = remap->old + remap->new_bytes,
        .flags = vma->flags,
        .object = vma->object,
        .pgoff = aspen_vma_offset(vma, vma->end),
        .below = vma,
        .above = aspen_vma_at(remap->mm, remap->old + remap->new_bytes),
        .grows = true,
        .like = vma,
    };
    aspen_merge_check(merge);
    /* The embedder's pointer keeps others away, not the mapping itself. */
    if (!merge->below) {
        merge->below = vma;
        merge->above = NULL;
    }
}

static int
reserve_growth(struct aspen_merge *merge, struct aspen_tree_reserve *reserve,
               struct aspen_tree_cursor *cursor)
{
    uint64_t end = merge->above ? merge->above->end : merge->end;

    int error = aspen_merge_reserve(merge);
    if (error)
        return error;
    aspen_tree_cursor_init(cursor, &merge->mm->vmas, merge->start);
    error = aspen_tree_reserve_within(&merge->mm->vmas, reserve, cursor, 1,
                                      merge->below->start, end - 1);
    if (error)
        aspen_merge_abort(merge);
    return error;
}

static int
grow(struct remap *remap)
{
    struct aspen_mm *mm = remap->mm;
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree_cursor cursor;
    struct aspen_merge merge;
    uint64_t flags = remap->vma->flags;
    uint64_t more = (remap->new_bytes - remap->old_bytes) >> ASPEN_PAGE_SHIFT;
    uint64_t charge = flags & ASPEN_VM_ACCOUNT ? more : 0;

    int error = aspen_charge_mm(mm, charge);
    if (error)
        return error;
    error = flags & ASPEN_VM_DRIVER ? -ASPEN_ENOMEM : 0;
    if (!error) {
        plan_growth(remap, &merge);
        error = reserve_growth(&merge, &reserve, &cursor);
    }
    if (error) {
        aspen_uncharge(mm->aspen, charge);
        return error;
    }
    aspen_merge_commit(&merge, &reserve);
    aspen_tree_reserve_release(&mm->vmas, &reserve);
    aspen_mm_account_vma(mm, flags, more, true);
    return 0;
}

/* ---- Elsewhere --------------------------------------------------------- */

static int
find_place(struct remap *remap)
{
    const struct aspen_vma *vma = remap->vma;
    const struct aspen_mmap_args args = {
        .flags = remap->flags & ASPEN_MREMAP_FIXED ? ASPEN_MAP_FIXED : 0,
        .vm_flags = vma->flags & ASPEN_VM_MAYSHARE ? ASPEN_VM_SHARED : 0,
        .object = vma->object,
        .offset_bytes = aspen_vma_offset(vma, remap->old) << ASPEN_PAGE_SHIFT,
    };

    return aspen_place(remap->mm, &args, has_target(remap) ? remap->new : 0,
                       remap->new_bytes, &remap->new);
}

static void
move_init(struct aspen_move *move, const struct remap *remap)
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

/* With old size 0, or one that wraps: what is mapped at the target goes first,
 * and that is what there is to map again. */
static bool
takes_away_itself(const struct remap *remap)
{
    return remap->flags & ASPEN_MREMAP_FIXED &&
           remap->old - remap->new < remap->new_bytes;
}

/* What is mapped in a range that goes before the mapping is looked at. */
static int
check_gone(struct remap *remap, uint64_t start, uint64_t bytes)
{
    uint64_t end = aspen_min_u64(start + bytes, remap->mm->address_limit);
    struct aspen_remove remove;

    if (start >= end) /* up there nothing is mapped */
        return 0;
    int error = aspen_remove_check(&remove, remap->mm, start, end);
    if (error)
        return error;
    remap->gone.pages += remove.pages;
    remap->gone.data += remove.data_pages;
    remap->gone.locked += remove.locked_pages;
    return 0;
}

/* What 6.18 asks later: the mapping, then where it goes and what is there. */
static int
check_in_old_order(struct remap *remap)
{
    uint64_t rest = remap->old + remap->new_bytes;

    int error = check_vma(remap);
    if (error || !has_target(remap))
        return error;
    error = check_target(remap);
    if (error)
        return error;
    if (!maps_left(remap->mm, MAPS_TO_PLACE))
        return -ASPEN_ENOMEM;
    if (remap->flags & ASPEN_MREMAP_FIXED)
        error = check_gone(remap, remap->new, remap->new_bytes);
    if (!error)
        error = check_excess(remap);
    if (!error && remap->old_bytes > remap->new_bytes)
        error = check_gone(remap, rest, remap->old_bytes - remap->new_bytes);
    return !error && takes_away_itself(remap) ? -ASPEN_EFAULT : error;
}

/* As Linux, which unmaps the target before it looks at what was there: the
 * target's own refusal comes first. */
static int
refuse(struct remap *remap, int error)
{
    int refused = 0;

    if (remap->flags & ASPEN_MREMAP_FIXED)
        refused = check_gone(remap, remap->new, remap->new_bytes);
    return refused ? refused : error;
}

/* DONTUNMAP's, before 6.15 before there is a place; later after that. */
static int
check_expansion_first(const struct remap *remap)
{
    if (!(remap->flags & ASPEN_MREMAP_DONTUNMAP) ||
        aspen_release_mremap_checks_arguments_first(remap->mm->aspen))
        return 0;
    return check_expansion(remap, remap->new_bytes >> ASPEN_PAGE_SHIFT);
}

/* All checks of a move, which comes after those that are in `totals`. */
static int
plan_move(struct remap *remap, struct aspen_move *move, struct totals *totals)
{
    if (!maps_left(remap->mm, MAPS_TO_MOVE))
        return -ASPEN_ENOMEM;
    if (takes_away_itself(remap))
        return refuse(remap, -ASPEN_EFAULT);
    int error = check_excess(remap);
    if (error)
        return refuse(remap, error);
    error = check_expansion_first(remap);
    if (!error)
        error = find_place(remap);
    if (!error)
        error =
            aspen_place_check_reach(remap->mm, remap->new, remap->new_bytes);
    if (error)
        return error;
    move_init(move, remap);
    error = aspen_move_check(move);
    return !error && move->dontunmap ? check_limits(move, totals) : error;
}

static int
relocate(struct remap *remap)
{
    struct totals totals = {remap->mm->total_pages, remap->mm->data_pages};
    struct aspen_move move;

    int error = plan_move(remap, &move, &totals);
    return error ? error : aspen_move_apply(&move);
}

/* ---- One mapping ------------------------------------------------------- */

static int
remap_one(struct remap *remap)
{
    int error = check_mapping(remap);
    if (error)
        return error;
    if (remap->new_bytes > remap->old_bytes &&
        remap->vma->flags & ASPEN_VM_LOCKED)
        remap->fill = remap->new_bytes - remap->old_bytes;
    if (has_target(remap))
        return relocate(remap);
    remap->new = remap->old;
    if (remap->new_bytes == remap->old_bytes)
        return 0;
    if (remap->new_bytes < remap->old_bytes)
        return shrink(remap);
    if (has_room(remap))
        return grow(remap);
    return remap->flags & ASPEN_MREMAP_MAYMOVE ? relocate(remap)
                                               : -ASPEN_ENOMEM;
}

/* ---- Several at once --------------------------------------------------- */

/* Mappings whose faults somebody else handles move alone. */
static bool
moves_with_others(const struct aspen_vma *vma)
{
    return !vma->userfault;
}

/* The part of `all` that lies in the mapping at or above `from`. */
static struct remap
part_of(const struct remap *all, uint64_t from)
{
    uint64_t end = all->old + all->old_bytes;
    struct remap part = *all;

    part.vma = aspen_vma_find(all->mm, from);
    if (part.vma && part.vma->start >= end)
        part.vma = NULL;
    if (!part.vma)
        return part;
    part.old = aspen_max_u64(part.vma->start, from);
    part.old_bytes = part.new_bytes =
        aspen_min_u64(part.vma->end, end) - part.old;
    part.new = all->new + (part.old - all->old);
    return part;
}

/* Mappings that have a part of the range. */
static uint64_t
count_parts(const struct remap *all, uint64_t end)
{
    struct aspen_tree_cursor cursor;
    uint64_t count = 0;

    aspen_tree_cursor_init(&cursor, &all->mm->vmas, all->old);
    while (aspen_tree_next(&cursor, end - 1))
        count++;
    return count;
}

/* All that can be known before any moves. */
static int
plan_moves(const struct remap *all, struct aspen_move_all *moves)
{
    struct totals totals = {all->mm->total_pages, all->mm->data_pages};
    uint64_t from = all->old;

    for (uint64_t i = 0; i < moves->count; i++) {
        struct remap part = part_of(all, from);
        if ((i == 0 && part.old != from) || !moves_with_others(part.vma))
            return -ASPEN_EFAULT;
        int error = check_mapping(&part);
        if (!error)
            error = plan_move(&part, &moves->move[i], &totals);
        if (error)
            return error;
        from = part.old + part.old_bytes;
    }
    return 0;
}

static int
remap_together(const struct remap *all, uint64_t count)
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

/* The same size, at a fixed place: whatever is mapped there, with the gaps. */
static int
remap_several(const struct remap *all)
{
    uint64_t end = all->old + all->old_bytes;

    if (end <= all->old)
        return -ASPEN_EFAULT;
    uint64_t count = count_parts(all, end);
    if (count > 1)
        return remap_together(all, count);

    struct remap part = part_of(all, all->old);
    if (!part.vma || part.old != all->old ||
        (!moves_with_others(part.vma) && part.vma->end < end))
        return -ASPEN_EFAULT;
    return remap_one(&part);
}

/* ---- The call ---------------------------------------------------------- */

/* The mmap lock is held for writing. */
static int
remap_locked(struct remap *remap)
{
    struct aspen_mm *mm = remap->mm;

    remap->vma = aspen_vma_at(mm, remap->old);
    if (!aspen_release_mremap_checks_arguments_first(mm->aspen)) {
        int error = check_in_old_order(remap);
        return error ? error : remap_one(remap);
    }
    if (has_target(remap) && !maps_left(mm, MAPS_TO_PLACE))
        return -ASPEN_ENOMEM;
    if (remap->flags & ASPEN_MREMAP_FIXED &&
        remap->old_bytes == remap->new_bytes &&
        aspen_release_mremap_moves_several(mm->aspen))
        return remap_several(remap);
    return remap_one(remap);
}

int
aspen_mremap(struct aspen_mm *mm, const struct aspen_mremap_args *args,
             uint64_t *address)
{
    struct remap remap = {
        .mm = mm,
        .old = args->address,
        .old_bytes = aspen_align_up(args->old_bytes, ASPEN_PAGE_SIZE),
        .new_bytes = aspen_align_up(args->new_bytes, ASPEN_PAGE_SIZE),
        .flags = args->flags,
        .new = args->new_address,
    };

    /* Before 6.15 they were compared as they came. */
    remap.resizes = aspen_release_mremap_checks_arguments_first(mm->aspen)
                        ? remap.old_bytes != remap.new_bytes
                        : args->old_bytes != args->new_bytes;
    int error = check_arguments(&remap);
    if (!error)
        error = aspen_mm_write_lock_killable(mm, ASPEN_LOCK_MM);
    if (error)
        return error;
    error = remap_locked(&remap);
    aspen_mm_write_end(mm);
    if (error)
        return error;
    *address = remap.new;
    uint64_t end = remap.new + remap.new_bytes;
    if (remap.fill)
        aspen_populate_silently(mm, end - remap.fill, end, ASPEN_POPULATE_MMAP);
    return 0;
}
