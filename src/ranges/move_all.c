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

/* ---- Memory ------------------------------------------------------------ */

int
aspen_move_all_alloc(struct aspen_move_all *all, struct aspen_mm *mm,
                     uint64_t count)
{
    all->mm = mm;
    all->count = count;
    all->move = NULL;
    if (!aspen_failpoint(&mm->aspen->failpoints, ASPEN_STEP_VMA))
        all->move = aspen_memory_alloc(count * sizeof(*all->move),
                                       &mm->aspen->refused_metadata);
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
    aspen_candidate_inherit_anon_vma(result, move->vma);
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
rehearse_erase(struct aspen_move_all *all, const struct aspen_remove *remove)
{
    return remove->first
               ? aspen_tree_rehearse_store(&all->rehearsal, remove->start,
                                           remove->end - 1, NULL)
               : 0;
}

/* The stores of the commit of the move that was planned last. */
static int
rehearse_one(struct aspen_move_all *all, const struct aspen_move *move)
{
    const struct aspen_candidate *result = &all->result;

    int error = rehearse_erase(all, &move->target);
    if (!error)
        error = aspen_tree_rehearse_store(&all->rehearsal, result->start,
                                          result->end - 1, result->vma);
    return error ? error : rehearse_erase(all, &move->source);
}

static int
reserve_each(struct aspen_move_all *all)
{
    all->result.vma = NULL;
    for (uint64_t i = 0; i < all->count; i++) {
        struct aspen_move *move = &all->move[i];
        int error = reserve_one(all, move);
        if (error) {
            abort_first(all, i);
            return error;
        }
        move->tree = &all->tree;
        error = all->rehearses ? rehearse_one(all, move) : 0;
        if (error) {
            abort_first(all, i + 1);
            return error;
        }
    }
    return 0;
}

static int
rehearse_each(struct aspen_move_all *all)
{
    int error = aspen_tree_rehearse_begin(&all->rehearsal, &all->mm->vmas);
    if (error)
        return error;
    error = reserve_each(all);
    aspen_tree_rehearse_end(&all->rehearsal);
    return error;
}

/* What all commits need, nodes of the tree included. */
static int
reserve_moves(struct aspen_move_all *all)
{
    struct aspen_tree *vmas = &all->mm->vmas;
    uint64_t stores = ASPEN_MOVE_STORES * all->count;

    all->tree = (struct aspen_tree_reserve){0};
    all->rehearses = aspen_tree_rehearsal_pays(vmas, stores);
    int error = all->rehearses ? rehearse_each(all) : reserve_each(all);
    if (error)
        return error;
    error =
        all->rehearses
            ? aspen_tree_reserve_rehearsed(vmas, &all->tree, &all->rehearsal)
            : aspen_tree_reserve(vmas, &all->tree, (unsigned)stores);
    if (error)
        abort_first(all, all->count);
    return error;
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
    error = reserve_moves(all);
    if (error)
        goto undo_cuts;
    error = ask_all(all);
    if (error)
        goto undo_moves;
    return 0;

undo_moves:
    aspen_tree_reserve_release(&all->mm->vmas, &all->tree);
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
    ASPEN_ASSERT_TEST(!all->rehearses || all->tree.count == 0);
    aspen_tree_reserve_release(&all->mm->vmas, &all->tree);
    return 0;
}
