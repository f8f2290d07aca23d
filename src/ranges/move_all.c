/* SPDX-License-Identifier: MIT */
/*
 * ranges/move_all.c - several mappings go to another place, all or none.
 *
 * I1  Once all are cut, the VMAs in each source and each target are whole, and
 *     no move changes another's; what is stored meanwhile is undone in the
 *     opposite order.
 * I2  What a move becomes one with is decided as if those before it had gone:
 *     `result` says what the last of them will leave, and what goes itself,
 *     at any time, is no neighbour.
 *
 * Called by mremap. The first test to break is tests/unit/calls/test_mremap.c.
 */
#include "ranges/move_all.h"

#include "space/anon_vma.h"

/* ---- Memory ------------------------------------------------------------ */

int
aspen_moves_alloc(struct aspen_moves *moves, struct aspen_mm *mm,
                  uint64_t count)
{
    moves->mm = mm;
    moves->count = count;
    moves->move = NULL;
    if (!aspen_failpoint(&mm->aspen->failpoints, ASPEN_STEP_VMA))
        moves->move = aspen_port_memory_alloc(count * sizeof(*moves->move));
    return moves->move ? 0 : -ASPEN_ENOMEM;
}

void
aspen_moves_free(struct aspen_moves *moves)
{
    aspen_port_memory_free(moves->move, moves->count * sizeof(*moves->move));
}

/* ---- Neighbours (I2) --------------------------------------------------- */

/* Does the address lie in the source of a move? */
static bool
is_in_source(const struct aspen_moves *moves, uint64_t address)
{
    uint64_t low = 0;
    uint64_t high = moves->count;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (moves->move[middle].from <= address)
            low = middle;
        else
            high = middle;
    }
    const struct aspen_move *move = &moves->move[low];
    return address >= move->from && address < move->from + move->to_bytes;
}

bool
aspen_moves_stays(const struct aspen_moves *moves, const struct aspen_vma *vma)
{
    const struct aspen_move *first = &moves->move[0];
    uint64_t distance = first->to - first->from; /* modulo 2^64 */

    return !(first->gone_bytes && is_in_source(moves, vma->start)) &&
           !is_in_source(moves, vma->start - distance);
}

void
aspen_moves_find_below(const struct aspen_moves *moves,
                       struct aspen_merge *merge)
{
    const struct aspen_candidate *result = &moves->result;

    if (!result->vma || result->end != merge->start)
        return;
    merge->below = result->vma;
    merge->below_then = result;
}

static void
note_result(struct aspen_moves *moves, const struct aspen_move *move)
{
    struct aspen_candidate *result = &moves->result;

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
cut_all(struct aspen_moves *moves)
{
    uint64_t i = 0;
    int error = 0;

    while (i < moves->count && !error)
        error = aspen_move_cut(&moves->move[i++]);
    if (!error)
        return 0;
    for (i--; i-- > 0;)
        aspen_move_uncut(&moves->move[i]);
    return error;
}

static void
uncut_all(struct aspen_moves *moves)
{
    for (uint64_t i = moves->count; i-- > 0;)
        aspen_move_uncut(&moves->move[i]);
}

static void
abort_some(struct aspen_moves *moves, uint64_t count)
{
    while (count-- > 0)
        aspen_move_abort(&moves->move[count]);
}

static int
reserve_each(struct aspen_moves *moves)
{
    moves->result.vma = NULL;
    for (uint64_t i = 0; i < moves->count; i++) {
        struct aspen_move *move = &moves->move[i];
        /* Those after it may have cut there. */
        move->vma = aspen_vma_at(moves->mm, move->from);
        int error = aspen_move_check(move);
        if (!error)
            error = aspen_move_reserve_rest(move);
        if (error) {
            abort_some(moves, i);
            return error;
        }
        note_result(moves, move);
    }
    return 0;
}

static int
reserve_tree(struct aspen_moves *moves)
{
    unsigned stores = 0;

    moves->tree = (struct aspen_tree_reserve){0};
    for (uint64_t i = 0; i < moves->count; i++) {
        moves->move[i].tree = &moves->tree;
        stores += aspen_move_stores(&moves->move[i]);
    }
    return aspen_tree_reserve(&moves->mm->vmas, &moves->tree, stores);
}

static int
ask_all(struct aspen_moves *moves)
{
    for (uint64_t i = 0; i < moves->count; i++) {
        int error = aspen_move_ask(&moves->move[i]);
        if (!error)
            continue;
        while (i-- > 0)
            aspen_move_ask_undo(&moves->move[i]);
        return error;
    }
    return 0;
}

static int
reserve_all(struct aspen_moves *moves)
{
    int error = cut_all(moves);
    if (error)
        return error;
    error = reserve_each(moves);
    if (error)
        goto undo_cuts;
    error = reserve_tree(moves);
    if (error)
        goto undo_each;
    error = ask_all(moves);
    if (error)
        goto undo_tree;
    return 0;

undo_tree:
    aspen_tree_reserve_release(&moves->mm->vmas, &moves->tree);
undo_each:
    abort_some(moves, moves->count);
undo_cuts:
    uncut_all(moves);
    return error;
}

/* ---- The whole --------------------------------------------------------- */

int
aspen_moves_apply(struct aspen_moves *moves)
{
    int error = reserve_all(moves);
    if (error)
        return error;
    for (uint64_t i = 0; i < moves->count; i++)
        aspen_move_commit(&moves->move[i]);
    aspen_tree_reserve_release(&moves->mm->vmas, &moves->tree);
    return 0;
}
