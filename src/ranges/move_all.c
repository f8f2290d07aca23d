/* SPDX-License-Identifier: MIT */
/*
 * ranges/move_all.c - several mappings go to another place, all or none.
 *
 * I1  Once all are cut out, each source and each target has whole VMAs, and no
 *     move changes those of another. To undo, the stores are taken back in the
 *     opposite order.
 * I2  Merges of a move are decided as if the moves before it had been made:
 *     `result` says what the last of them will leave. A VMA that will be moved
 *     or unmapped is nobody's neighbour.
 *
 * Called by mremap. The first test to break is tests/unit/calls/test_mremap.c.
 */
#include "ranges/move_all.h"

#include "rmap/anon_vma.h"

/* ---- Memory ------------------------------------------------------------ */

int
aspen_move_all_alloc(struct aspen_move_all *all, struct aspen_mm *mm,
                     uint64_t count)
{
    all->mm = mm;
    all->count = count;
    all->move = NULL;
    if (!aspen_failpoint(&mm->aspen->failpoints, ASPEN_STEP_VMA))
        all->move = aspen_port_memory_alloc(count * sizeof(*all->move));
    return all->move ? 0 : -ASPEN_ENOMEM;
}

void
aspen_move_all_free(struct aspen_move_all *all)
{
    aspen_port_memory_free(all->move, all->count * sizeof(*all->move));
}

/* ---- Neighbours (I2) --------------------------------------------------- */

/* Does the address lie in the source of a move? */
static bool
is_in_source(const struct aspen_move_all *all, uint64_t address)
{
    uint64_t low = 0;
    uint64_t high = all->count;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (all->move[middle].from <= address)
            low = middle;
        else
            high = middle;
    }
    const struct aspen_move *move = &all->move[low];
    return address >= move->from && address < move->from + move->to_bytes;
}

/* Does what is beside a target stay where it is? */
static bool
stays(const struct aspen_move_all *all, const struct aspen_vma *vma)
{
    const struct aspen_move *first = &all->move[0];
    uint64_t distance = first->to - first->from; /* modulo 2^64 */

    return !(first->unmapped_bytes && is_in_source(all, vma->start)) &&
           !is_in_source(all, vma->start - distance);
}

/* What ends at its target is what the one before leaves there, if it does. */
static void
find_neighbours(const struct aspen_move_all *all, const struct aspen_move *move,
                struct aspen_move_neighbours *neighbours)
{
    const struct aspen_candidate *result = &all->result;
    struct aspen_vma *below = move->target.below;
    struct aspen_vma *above = move->target.above;
    bool above_stays = above && stays(all, above);

    neighbours->below = below && stays(all, below) ? below : NULL;
    neighbours->below_then = NULL;
    neighbours->above = above_stays ? above : NULL;
    neighbours->above_goes = above_stays ? NULL : above;
    if (!result->vma || result->end != move->to)
        return;
    neighbours->below = result->vma;
    neighbours->below_then = result;
}

static void
note_result(struct aspen_move_all *all, const struct aspen_move *move)
{
    struct aspen_candidate *result = &all->result;

    if (!move->fresh) {
        aspen_merge_result(&move->merge, result);
        return;
    }
    aspen_candidate_init(result, move->fresh);
    result->anon_vma = move->vma->anon_vma;
    result->single = aspen_anon_vma_is_single(move->vma);
}

/* ---- Reserve ----------------------------------------------------------- */

static int
cut_all(struct aspen_move_all *all)
{
    uint64_t i = 0;
    int error = 0;

    while (i < all->count && !error)
        error = aspen_move_cut(&all->move[i++]);
    if (!error)
        return 0;
    for (i--; i-- > 0;)
        aspen_move_uncut(&all->move[i]);
    return error;
}

static void
uncut_all(struct aspen_move_all *all)
{
    for (uint64_t i = all->count; i-- > 0;)
        aspen_move_uncut(&all->move[i]);
}

static void
abort_first(struct aspen_move_all *all, uint64_t count)
{
    while (count-- > 0)
        aspen_move_abort(&all->move[count]);
}

/* Those after it may have cut there since it was cut, and may use tables there
 * that were not used. */
static int
reserve_one(struct aspen_move_all *all, struct aspen_move *move)
{
    struct aspen_move_neighbours neighbours;

    move->vma = aspen_vma_at(all->mm, move->from);
    int error = aspen_move_check(move);
    if (error)
        return error;
    move->tables.target_goes = true;
    find_neighbours(all, move, &neighbours);
    error = aspen_move_reserve(move, &neighbours);
    if (!error)
        note_result(all, move);
    return error;
}

static int
reserve_each(struct aspen_move_all *all)
{
    all->result.vma = NULL;
    for (uint64_t i = 0; i < all->count; i++) {
        int error = reserve_one(all, &all->move[i]);
        if (error) {
            abort_first(all, i);
            return error;
        }
    }
    return 0;
}

static int
reserve_tree(struct aspen_move_all *all)
{
    unsigned stores = 0;

    all->tree = (struct aspen_tree_reserve){0};
    for (uint64_t i = 0; i < all->count; i++) {
        all->move[i].tree = &all->tree;
        stores += aspen_move_stores(&all->move[i]);
    }
    return aspen_tree_reserve(&all->mm->vmas, &all->tree, stores);
}

static int
ask_all(struct aspen_move_all *all)
{
    for (uint64_t i = 0; i < all->count; i++) {
        int error = aspen_move_ask(&all->move[i]);
        if (!error)
            continue;
        while (i-- > 0)
            aspen_move_ask_undo(&all->move[i]);
        return error;
    }
    return 0;
}

static int
reserve_all(struct aspen_move_all *all)
{
    int error = cut_all(all);
    if (error)
        return error;
    error = reserve_each(all);
    if (error)
        goto undo_cuts;
    error = reserve_tree(all);
    if (error)
        goto undo_each;
    error = ask_all(all);
    if (error)
        goto undo_tree;
    return 0;

undo_tree:
    aspen_tree_reserve_release(&all->mm->vmas, &all->tree);
undo_each:
    abort_first(all, all->count);
undo_cuts:
    uncut_all(all);
    return error;
}

/* ---- The whole --------------------------------------------------------- */

int
aspen_move_all_apply(struct aspen_move_all *all)
{
    int error = reserve_all(all);
    if (error)
        return error;
    for (uint64_t i = 0; i < all->count; i++) {
        /* Those before it have gone. */
        aspen_remove_look_around(&all->move[i].target);
        aspen_move_commit(&all->move[i]);
    }
    aspen_tree_reserve_release(&all->mm->vmas, &all->tree);
    return 0;
}
