/* SPDX-License-Identifier: MIT */
/*
 * ranges/move.c - a mapping goes to another place.
 *
 * I1  First the target is unmapped, then the new mapping is linked, then the
 *     entries move, then the old mapping is unmapped.
 * I2  While entries move the reverse maps' locks are held for writing: a
 *     walker meets all of them at the old place, or all at the new one, and
 *     finds each. It may meet both VMAs; page offsets are the same in both.
 * I3  An anonymous VMA that never had a page gets a new page offset, as if it
 *     had been mapped at its new place.
 * I4  Only whole VMAs are unmapped in the end, and none is a neighbour of the
 *     new mapping: the source is cut out before anything else, which can be
 *     undone.
 * I5  The source is locked for writing before its page tables are counted: a
 *     fault needs no mmap lock, and would bring more of them than there is room
 *     for at the target. One next to it still may, and nothing of them moves
 *     (paging/move.h).
 *
 * Called by mremap. The first test to break is tests/unit/calls/test_mremap.c.
 */
#include "ranges/move.h"

#include "rmap/anon_vma.h"
#include "machine/charge.h"
#include "machine/notify.h"
#include "object/object.h"
#include "machine/release.h"
#include "rmap/split.h"
#include "space/userfault.h"
#include "space/vma_hooks.h"

static uint64_t
unmapped_end(const struct aspen_move *move)
{
    return move->from + move->unmapped_bytes;
}

/* ---- Check ------------------------------------------------------------- */

static int
check_ranges(struct aspen_move *move)
{
    int error = aspen_remove_check(&move->target, move->mm, move->to,
                                   move->to + move->to_bytes);
    if (error)
        return error;
    if (move->unmapped_bytes)
        return aspen_remove_check(&move->source, move->mm, move->from,
                                  unmapped_end(move));
    aspen_remove_init(&move->source, move->mm, move->from, move->from);
    return 0;
}

static void
init_tables(struct aspen_move *move)
{
    struct aspen_table_move *tables = &move->tables;

    tables->mm = move->mm;
    tables->from = move->from;
    tables->to = move->to;
    tables->bytes = move->pages_bytes;
    tables->target_goes = move->target.first != NULL;
    tables->drop_userfault = move->vma->userfault != NULL;
}

int
aspen_move_check(struct aspen_move *move)
{
    const struct aspen_vma *vma = move->vma;

    move->flags = vma->flags;
    if (vma->userfault)
        move->flags &= ~ASPEN_VM_UFFD;
    move->pgoff = aspen_vma_backing(vma) || vma->anon_vma || vma->special
                      ? aspen_vma_offset(vma, move->from)
                      : move->to >> ASPEN_PAGE_SHIFT;
    int error = check_ranges(move);
    if (error)
        return error;
    init_tables(move);
    error = aspen_table_move_check(&move->tables);
    return error && vma->flags & ASPEN_VM_HUGETLB ? -ASPEN_EINVAL : error;
}

/* ---- Reserve ----------------------------------------------------------- */

/* DONTUNMAP whose source is to be apart from what takes its pages. */
static bool
leaves_apart(const struct aspen_move *move)
{
    return move->dontunmap &&
           move->mm->aspen->config.flags & ASPEN_CONFIG_DONTUNMAP_APART;
}

/* I4. After a cut the VMAs are others. What loses its lock and stays apart is
 * cut out, too: with dontunmap the source is empty, so the first cut has cut
 * nothing and source_cut is free for the second. */
static int
cut_source(struct aspen_move *move)
{
    bool changed;

    int error = aspen_cut_range(&move->source_cut, &move->source, &changed);
    if (!error && leaves_apart(move) && move->vma->flags & ASPEN_VM_LOCKED)
        error = aspen_cut_vma(&move->source_cut, move->vma, move->from,
                              move->from + move->pages_bytes, &changed);
    if (error || !changed)
        return error;
    error = check_ranges(move);
    if (error)
        aspen_cut_undo(&move->source_cut);
    return error;
}

int
aspen_move_cut(struct aspen_move *move)
{
    bool changed;

    move->vma = aspen_vma_at(move->mm, move->from);
    int error = check_ranges(move);
    if (!error)
        error = cut_source(move);
    if (error)
        return error;
    error = aspen_cut_range(&move->target_cut, &move->target, &changed);
    if (error) {
        aspen_cut_undo(&move->source_cut);
        return error;
    }
    const struct aspen_vma *vma = aspen_vma_at(move->mm, move->from);
    move->remnant_start = vma->start;
    move->remnant_end = vma->end;
    return 0;
}

void
aspen_move_uncut(struct aspen_move *move)
{
    aspen_cut_undo(&move->target_cut);
    aspen_cut_undo(&move->source_cut);
}

static uint64_t
charge_wanted(const struct aspen_move *move)
{
    return move->flags & ASPEN_VM_ACCOUNT ? move->to_bytes >> ASPEN_PAGE_SHIFT
                                          : 0;
}

/* Only what the new mapping has more than all that goes. */
static int
reserve_charge(struct aspen_move *move)
{
    uint64_t have = move->target.charge_pages + move->source.charge_pages;
    uint64_t want = charge_wanted(move);

    move->charged_pages = want > have ? want - have : 0;
    return aspen_charge_mm(move->mm, move->charged_pages);
}

/* A neighbour of the target; none that goes itself. */
static struct aspen_vma *
staying(const struct aspen_move *move, struct aspen_vma *vma)
{
    return vma && vma->start < unmapped_end(move) && vma->end > move->from &&
                   move->unmapped_bytes
               ? NULL
               : vma;
}

/* Would the new mapping be merged with what is left, if nothing was cut out in
 * between later? Then it shares that one's fate. */
static bool
would_merge_remnant(const struct aspen_move *move, struct aspen_vma *above)
{
    struct aspen_merge merge = move->merge;

    if (!move->dontunmap || !above || above->start < move->remnant_start ||
        above->start >= move->remnant_end)
        return false;
    merge.above = above;
    aspen_merge_check(&merge);
    return merge.above != NULL;
}

static bool
is_part_of(const struct aspen_vma *vma, uint64_t address)
{
    return vma && vma->start <= address && address < vma->end;
}

/* What stays without pages is no part of what takes them; up to 6.1, where it
 * is beside that, neither is anything else. Where the target is cut out of the
 * source's own mapping, the part on the other side is somebody else. */
static void
keep_apart(const struct aspen_move *move, struct aspen_merge *merge)
{
    const struct aspen *aspen = move->mm->aspen;
    const struct aspen_vma *vma = move->vma;
    bool below = is_part_of(merge->below, move->from) && move->from < move->to;
    bool above = is_part_of(merge->above, move->from) && move->from > move->to;

    if (!leaves_apart(move) || aspen_vma_backing(vma) || vma->anon_vma ||
        (!below && !above))
        return;
    if (below || !aspen_release_dontunmap_merges_others(aspen))
        merge->below = NULL;
    if (above || !aspen_release_dontunmap_merges_others(aspen))
        merge->above = NULL;
}

static void
find_neighbours(const struct aspen_move *move,
                struct aspen_move_neighbours *neighbours)
{
    neighbours->below = staying(move, move->target.below);
    neighbours->above = staying(move, move->target.above);
    neighbours->below_then = NULL;
    neighbours->above_goes = NULL;
}

static void
plan_merge(struct aspen_move *move,
           const struct aspen_move_neighbours *neighbours)
{
    bool alone = move->vma->userfault != NULL;

    move->merge = (struct aspen_merge){
        .mm = move->mm,
        .start = move->to,
        .end = move->to + move->to_bytes,
        .flags = move->flags,
        .object = move->vma->object,
        .pgoff = move->pgoff,
        .below = alone ? NULL : neighbours->below,
        .above = alone ? NULL : neighbours->above,
        .below_then = alone ? NULL : neighbours->below_then,
        .like = move->vma,
    };
    keep_apart(move, &move->merge);
    aspen_merge_check(&move->merge);
    move->merges_remnant = would_merge_remnant(move, neighbours->above_goes);
}

static int
reserve_fresh(struct aspen_move *move)
{
    struct aspen_vma *from = move->vma;
    struct aspen_vma *vma = aspen_vma_copy(move->mm, from);

    if (!vma)
        return -ASPEN_ENOMEM;
    vma->start = move->to;
    vma->end = move->to + move->to_bytes;
    vma->flags = move->flags;
    vma->pgoff = move->pgoff;
    aspen_vma_set_userfault(vma, NULL);
    int error =
        from->anon_vma ? aspen_anon_vma_links_reserve(from, &move->links) : 0;
    if (!error) {
        error = aspen_vma_open(vma);
        if (error)
            aspen_anon_vma_links_release(move->mm->aspen, &move->links);
    }
    if (error) {
        aspen_vma_free(vma);
        return error;
    }
    if (vma->object)
        aspen_object_get(vma->object);
    move->fresh = vma;
    return 0;
}

static int
reserve_vma(struct aspen_move *move,
            const struct aspen_move_neighbours *neighbours)
{
    struct aspen_move_neighbours there;

    move->fresh = NULL;
    aspen_list_init(&move->links);
    if (!neighbours)
        find_neighbours(move, &there);
    plan_merge(move, neighbours ? neighbours : &there);
    if (move->merge.below || move->merge.above)
        return aspen_merge_reserve(&move->merge);
    return reserve_fresh(move);
}

static void
abort_vma(struct aspen_move *move)
{
    struct aspen_vma *vma = move->fresh;

    if (!vma) {
        aspen_merge_abort(&move->merge);
        return;
    }
    struct aspen_object *object = vma->object;
    /* Not aspen_vma_close(): a special mapping was told of no opening. */
    if (object && object->pager && object->pager->close)
        object->pager->close(object->context, vma);
    aspen_anon_vma_links_release(move->mm->aspen, &move->links);
    aspen_vma_free(vma);
    if (object)
        aspen_object_put(object);
}

/* Of everything that commit stores. */
static int
reserve_tree(struct aspen_move *move)
{
    uint64_t start = aspen_merge_start(&move->merge);
    uint64_t end = aspen_merge_end(&move->merge);
    unsigned stores = 1 + (move->source.first ? 1u : 0);

    if (move->source.first) {
        start = aspen_min_u64(start, move->from);
        end = aspen_max_u64(end, unmapped_end(move));
    }
    return aspen_remove_reserve_tree(&move->target, move->tree, stores, start,
                                     end);
}

int
aspen_move_ask(const struct aspen_move *move)
{
    const struct aspen_special *special = move->vma->special;

    if (!special || !special->mremap)
        return 0;
    if (aspen_failpoint(&move->mm->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_ENOMEM;
    return aspen_answer_of(special->mremap(
        special->context, move->mm, move->from, move->to, move->to_bytes));
}

void
aspen_move_ask_undo(const struct aspen_move *move)
{
    const struct aspen_special *special = move->vma->special;

    if (special && special->mremap)
        (void)special->mremap(special->context, move->mm, move->to, move->from,
                              move->to_bytes);
}

int
aspen_move_reserve(struct aspen_move *move,
                   const struct aspen_move_neighbours *neighbours)
{
    int error = aspen_remove_reserve(&move->target);
    if (error)
        return error;
    error = reserve_charge(move);
    if (error)
        goto undo_target;
    error = reserve_vma(move, neighbours);
    if (error)
        goto undo_charge;
    aspen_vma_write_lock(move->vma); /* I5 */
    error = aspen_table_move_reserve(&move->tables);
    if (error)
        goto undo_vma;
    return 0;

undo_vma:
    abort_vma(move);
undo_charge:
    aspen_uncharge(move->mm->aspen, move->charged_pages);
undo_target:
    aspen_remove_abort(&move->target);
    return error;
}

void
aspen_move_abort(struct aspen_move *move)
{
    aspen_table_move_finish(&move->tables);
    abort_vma(move);
    aspen_uncharge(move->mm->aspen, move->charged_pages);
    aspen_remove_abort(&move->target);
}

/* ---- Commit ------------------------------------------------------------ */

static void
commit_fresh(struct aspen_move *move)
{
    struct aspen_vma *vma = move->fresh;

    aspen_vma_inherit_guards(vma, move->vma);
    if (move->vma->anon_vma)
        aspen_anon_vma_clone_reserved(vma, move->vma, &move->links);
    aspen_vma_add(vma, move->tree);
}

/* I1: there is a mapping at the target, and nothing in it. */
static void
commit_target(struct aspen_move *move)
{
    struct aspen_mm *mm = move->mm;
    uint64_t pages = move->to_bytes >> ASPEN_PAGE_SHIFT;

    aspen_remove_commit(&move->target, move->tree);
    if (move->fresh)
        commit_fresh(move);
    else
        aspen_merge_commit(&move->merge, move->tree);
    aspen_mm_account_vma(mm, move->flags, pages, true);
}

/* I2 */
static void
commit_pages(struct aspen_move *move)
{
    struct aspen_vma *vma = move->vma;

    aspen_port_cache_flush(move->mm->root);
    aspen_notify_start(move->mm, move->from, move->from + move->pages_bytes);
    if (vma->object)
        aspen_write_lock(&vma->object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    if (vma->anon_vma)
        aspen_write_lock(&vma->anon_vma->root->lock, ASPEN_LOCK_ANON_VMA);
    aspen_table_move_commit(&move->tables);
    if (vma->anon_vma)
        aspen_write_unlock(&vma->anon_vma->root->lock);
    if (vma->object)
        aspen_write_unlock(&vma->object->i_mmap_lock);
    aspen_table_move_finish(&move->tables);
    aspen_notify_end(move->mm, move->from, move->from + move->pages_bytes);
}

static void
unlock(struct aspen_mm *mm, struct aspen_vma *vma)
{
    aspen_vma_write_lock(vma);
    if (vma->flags & ASPEN_VM_LOCKED)
        mm->locked_pages -= aspen_vma_pages(vma);
    aspen_store_relaxed(&vma->flags,
                        vma->flags & ~(ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT));
}

/* Without its pages the source is not locked any more, all of its mapping. */
static void
unlock_remnant(const struct aspen_move *move)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &move->mm->vmas, move->remnant_start);
    while ((vma = aspen_tree_next(&cursor, move->remnant_end - 1)) != NULL)
        unlock(move->mm, vma);
    if (move->merges_remnant)
        unlock(move->mm, aspen_vma_at(move->mm, move->to));
}

/* It has no pages; perhaps as if it never had any. Nobody finds it by a page's
 * offset then, so that may be stored: it is locked since unlock_remnant(). */
static void
leave_anon_vma(const struct aspen_move *move, struct aspen_vma *vma)
{
    aspen_anon_vma_unlink(vma);
    if (!vma->object && !vma->special && leaves_apart(move))
        vma->pgoff = vma->start >> ASPEN_PAGE_SHIFT;
}

/* Is the remnant what moved, and nothing else? */
static bool
is_all_that_is_left(const struct aspen_move *move, const struct aspen_vma *vma)
{
    uint64_t end = move->from + move->pages_bytes;

    return vma->start == move->from && vma->end == end &&
           move->remnant_start == move->from && move->remnant_end == end &&
           !move->merges_remnant;
}

/* Nobody looks there for pages any more. */
static void
leave_source(struct aspen_move *move)
{
    struct aspen_vma *vma = aspen_vma_at(move->mm, move->from);

    if (!move->remnant_end) {
        move->remnant_start = vma->start;
        move->remnant_end = vma->end;
    }
    unlock_remnant(move);
    if (is_all_that_is_left(move, vma))
        leave_anon_vma(move, vma);
}

static void
commit_source(struct aspen_move *move)
{
    if (move->unmapped_bytes) {
        /* The new mapping is there now. */
        aspen_remove_look_around(&move->source);
        aspen_remove_commit(&move->source, move->tree);
    } else if (move->dontunmap) {
        leave_source(move);
    }
}

void
aspen_move_commit(struct aspen_move *move)
{
    struct aspen_mm *mm = move->mm;
    uint64_t have = move->target.charge_pages + move->source.charge_pages;
    uint64_t want = charge_wanted(move);
    uint64_t peak = mm->peak_pages;

    aspen_cut_done(&move->source_cut);
    aspen_cut_done(&move->target_cut);
    commit_target(move);
    if (move->pages_bytes)
        commit_pages(move);
    else
        aspen_table_move_finish(&move->tables);
    commit_source(move);
    /* At no time both places count. */
    mm->peak_pages = aspen_max_u64(peak, mm->total_pages);
    if (have > want)
        aspen_uncharge(mm->aspen, have - want);
}

/* ---- The whole of one move --------------------------------------------- */

static int
reserve_all(struct aspen_move *move)
{
    int error = cut_source(move);
    if (error)
        return error;
    error = aspen_move_reserve(move, NULL);
    if (error)
        goto undo_cut;
    error = reserve_tree(move);
    if (error)
        goto undo_rest;
    error = aspen_move_ask(move);
    if (error)
        goto undo_tree;
    return 0;

undo_tree:
    aspen_tree_reserve_release(&move->mm->vmas, move->tree);
undo_rest:
    aspen_move_abort(move);
undo_cut:
    aspen_cut_undo(&move->source_cut);
    return error;
}

int
aspen_move_apply(struct aspen_move *move)
{
    struct aspen_tree_reserve tree = {0};

    move->tree = &tree;
    move->remnant_start = 0;
    move->remnant_end = 0;
    aspen_cut_init(&move->target_cut);
    int error = reserve_all(move);
    if (error)
        return error;
    aspen_move_commit(move);
    aspen_tree_reserve_release(&move->mm->vmas, &tree);
    return 0;
}
