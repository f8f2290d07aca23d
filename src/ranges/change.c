/* SPDX-License-Identifier: MIT */
/*
 * ranges/change.c - other flags, or another name, for a range.
 *
 * One walk decides, from left to right, what becomes of each VMA. Reserve
 * walks it on paper and counts; commit walks it again and does it.
 *
 * I1  Both walks decide the same: what they look at is the VMAs not reached
 *     yet, which no step changes, and `below`, which they carry along.
 * I2  A run is what becomes one VMA: its VMA has its range at once, the tree
 *     gets it in one store when the run ends, and what was absorbed goes after
 *     that. So a reader of the tree meets whole VMAs, and memory for the change
 *     does not grow with the VMAs that it spans.
 *
 * Called by mprotect, mlock, madvise and names. The first test to break is
 * tests/unit/calls/test_mprotect.c.
 */
#include "ranges/change.h"

#include "ranges/mergeable.h"
#include "space/anon_vma.h"
#include "space/charge.h"
#include "space/limits.h"
#include "space/name.h"
#include "space/split.h"

/* One VMA of which flags change, and what is beside it. */
struct step {
    struct aspen_vma *vma;
    struct aspen_candidate
        candidate; /* of it, what lies in the range; new flags */
    struct aspen_candidate
        above;     /* the next VMA, if the candidate goes up to it */
    bool at_start; /* the candidate starts where the VMA starts */
    bool at_end;   /* it ends where the VMA ends */
    bool merge_below;
    bool merge_above;
    bool merges; /* any of the two */
};

struct walk {
    struct aspen_change *change;

    /* Check's. */
    struct aspen_vma *first;     /* in the range, or across its start */
    struct aspen_vma *vma_below; /* ends where the range starts, or NULL */
    struct aspen_vma *vma_above; /* starts where the range ends, or NULL */
    uint64_t charge_pages;       /* that become ACCOUNT */
    uint64_t uncharge_pages;     /* that were */
    uint64_t data_pages;         /* that become data */
    struct aspen_tree_cursor cursor;

    /* Reserve's. */
    unsigned stores;
    unsigned parts;
    struct aspen_vma *head; /* the range's part of its first VMA */
    struct aspen_vma *rest; /* what of that VMA is above the range */
    struct aspen_vma *tail; /* the range's part of its last VMA */
    struct aspen_list links;
    struct aspen_tree_reserve reserve;
    uint64_t low; /* of all that will be stored */
    uint64_t high;

    /* The walk's at work. */
    bool commit;                  /* not on paper */
    bool run;                     /* `below` is not in the tree as it is */
    uint64_t absorbed_count;      /* on paper: VMAs that were absorbed */
    uint64_t visited;             /* VMAs */
    struct aspen_candidate below; /* what the last step left, or none */
    struct aspen_vma *absorbed;
    struct step step; /* the last one */
};

int
aspen_change_judge_plain(const struct aspen_change *change,
                         const struct aspen_vma *vma, uint64_t *flags)
{
    *flags = (vma->flags & ~change->clear) | change->set;
    return 0;
}

/* ---- Check ------------------------------------------------------------- */

/* What ends where the range starts; the cursor is at its first VMA. Nothing, if
 * that goes on across the start. */
static struct aspen_vma *
find_below(const struct walk *walk)
{
    uint64_t start = walk->change->start;
    uint64_t last;

    if (walk->cursor.first != start)
        return NULL;
    struct aspen_vma *below = aspen_tree_cursor_before(&walk->cursor, &last);
    return below && last + 1 == start ? below : NULL;
}

static bool
changes(const struct aspen_change *change, const struct aspen_vma *vma,
        uint64_t flags)
{
    return flags != vma->flags ||
           (change->renames && !aspen_names_equal(vma->name, change->name));
}

/* What becomes data has to be within the limit of it. */
static int
check_limit(struct walk *walk, const struct aspen_vma *vma, uint64_t flags,
            uint64_t pages)
{
    struct aspen_mm *mm = walk->change->mm;

    if (!aspen_is_data(flags) || aspen_is_data(vma->flags))
        return 0;
    walk->data_pages += pages;
    return aspen_may_expand(mm, flags, walk->data_pages) &&
                   !aspen_may_expand(mm, vma->flags, walk->data_pages)
               ? -ASPEN_ENOMEM
               : 0;
}

static int
check_vma(struct walk *walk, struct aspen_vma *vma)
{
    struct aspen_change *change = walk->change;
    uint64_t start = aspen_max_u64(vma->start, change->start);
    uint64_t end = aspen_min_u64(vma->end, change->end);
    uint64_t pages = (end - start) >> ASPEN_PAGE_SHIFT;
    uint64_t flags;

    int error = change->judge(change, vma, &flags);
    if (error || !changes(change, vma, flags))
        return error;
    change->changes = true;
    if ((flags & ~vma->flags) & ASPEN_VM_ACCOUNT)
        walk->charge_pages += pages;
    if ((vma->flags & ~flags) & ASPEN_VM_ACCOUNT)
        walk->uncharge_pages += pages;
    error = check_limit(walk, vma, flags, pages);
    if (!error)
        error = aspen_vma_check_edge(vma, start);
    return error ? error : aspen_vma_check_edge(vma, end);
}

static int
check_all(struct walk *walk, struct aspen_change *change)
{
    struct aspen_tree_cursor *cursor = &walk->cursor;
    struct aspen_vma *vma;
    uint64_t at = change->start;

    walk->change = change;
    walk->first = NULL;
    walk->vma_below = NULL;
    walk->vma_above = NULL;
    walk->charge_pages = 0;
    walk->uncharge_pages = 0;
    walk->data_pages = 0;
    aspen_tree_cursor_init(cursor, &change->mm->vmas, change->start);
    while (at < change->end &&
           (vma = aspen_tree_next(cursor, change->end - 1)) != NULL) {
        if (!walk->first) {
            walk->first = vma;
            walk->vma_below = find_below(walk);
        }
        change->holes |= vma->start > at;
        if (change->holes && !change->holes_allowed)
            return -ASPEN_ENOMEM;
        int error = check_vma(walk, vma);
        if (error)
            return error;
        at = vma->end;
    }
    if (at == change->end)
        walk->vma_above = aspen_tree_next(cursor, change->end);
    change->holes |= at < change->end;
    return change->holes && !change->holes_allowed ? -ASPEN_ENOMEM : 0;
}

int
aspen_change_check(struct aspen_change *change)
{
    struct walk walk;

    return check_all(&walk, change);
}

/* ---- The walk ---------------------------------------------------------- */

static bool
fits(const struct walk *walk, const struct step *step,
     const struct aspen_candidate *neighbour)
{
    return neighbour->vma &&
           aspen_mergeable_anon_vma(walk->change->mm->aspen, &step->candidate,
                                    neighbour);
}

/* To be one with a neighbour the whole VMA has to go, unless it keeps a part.
 */
static void
decide(const struct walk *walk, struct step *step)
{
    const struct aspen_candidate *candidate = &step->candidate;
    bool may_go =
        !step->at_start || !step->at_end || aspen_vma_may_dissolve(step->vma);
    bool below = may_go && step->at_start && fits(walk, step, &walk->below) &&
                 aspen_mergeable(&walk->below, candidate);
    bool above = may_go && step->at_end && fits(walk, step, &step->above) &&
                 aspen_mergeable(candidate, &step->above);

    if (below && above)
        above = aspen_mergeable_between(&walk->below, &step->above) &&
                aspen_vma_may_dissolve(step->above.vma);
    step->merge_below = below;
    step->merge_above = above;
    step->merges = below || above;
}

static struct aspen_vma *
find_above(const struct walk *walk, const struct aspen_vma *vma)
{
    struct aspen_mm *mm = walk->change->mm;

    if (vma->end == walk->change->end)
        return walk->vma_above;
    return vma->end < mm->address_limit ? aspen_vma_at(mm, vma->end) : NULL;
}

static void
step_init(struct step *step, const struct walk *walk, struct aspen_vma *vma,
          uint64_t flags)
{
    const struct aspen_change *change = walk->change;
    struct aspen_candidate *candidate = &step->candidate;

    step->vma = vma;
    aspen_candidate_init(candidate, vma);
    aspen_candidate_cut(candidate, aspen_max_u64(vma->start, change->start),
                        aspen_min_u64(vma->end, change->end));
    candidate->flags = flags;
    if (change->renames)
        candidate->name = change->name;
    step->at_start = candidate->start == vma->start;
    step->at_end = candidate->end == vma->end;
    if (step->at_end)
        aspen_candidate_init(&step->above, find_above(walk, vma));
    decide(walk, step);
}

/* ---- Runs -------------------------------------------------------------- */

static void
absorb(struct walk *walk, struct aspen_vma *vma)
{
    vma->detached = walk->absorbed;
    walk->absorbed = vma;
}

static void
dissolve_absorbed(struct walk *walk)
{
    while (walk->absorbed) {
        struct aspen_vma *vma = walk->absorbed;
        walk->absorbed = vma->detached;
        aspen_vma_dissolve(vma);
    }
}

/* `below` will not grow any more. */
static void
end_run(struct walk *walk)
{
    struct aspen_change *change = walk->change;
    const struct aspen_candidate *run = &walk->below;

    if (!walk->run)
        return;
    walk->run = false;
    if (!walk->commit) {
        walk->stores++;
        walk->low = aspen_min_u64(walk->low, run->start);
        walk->high = aspen_max_u64(walk->high, run->end);
        return;
    }
    if (walk->rest)
        aspen_tree_store_two_reserved(&change->mm->vmas, &walk->reserve,
                                      run->start, run->end, walk->rest->end - 1,
                                      run->vma, walk->rest);
    else
        aspen_tree_store_reserved(&change->mm->vmas, &walk->reserve, run->start,
                                  run->end - 1, run->vma);
    dissolve_absorbed(walk);
}

/* ---- Parts: a VMA keeps what is outside of the range ------------------- */

static int
reserve_part(struct walk *walk, const struct step *step, uint64_t start,
             uint64_t end, struct aspen_vma **part)
{
    struct aspen_mm *mm = walk->change->mm;

    /* As if one after the other was split off, and merged. */
    if (mm->map_count + walk->parts - walk->absorbed_count >=
        mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    walk->parts++;
    return aspen_vma_part(step->vma, start, end, part);
}

/* The candidate becomes a VMA of its own. */
static int
reserve_own(struct walk *walk, const struct step *step)
{
    const struct aspen_candidate *candidate = &step->candidate;
    int error = 0;

    if (!step->at_start)
        error = reserve_part(walk, step, candidate->start, candidate->end,
                             &walk->head);
    if (!step->at_start && !step->at_end && !error) {
        walk->high = step->vma->end;
        error = reserve_part(walk, step, candidate->end, step->vma->end,
                             &walk->rest);
    }
    if (step->at_start && !step->at_end)
        error = reserve_part(walk, step, candidate->start, candidate->end,
                             &walk->tail);
    return error;
}

/* The VMA is the candidate from now on, but for its range. */
static void
become(const struct aspen_change *change, struct aspen_vma *vma,
       const struct step *step)
{
    vma->flags = step->candidate.flags;
    if (change->renames)
        aspen_vma_set_name(vma, change->name);
}

static void
commit_own(struct walk *walk, const struct step *step)
{
    struct aspen_change *change = walk->change;
    struct aspen_vma *vma = step->vma;
    struct aspen_vma *part = step->at_start ? walk->tail : walk->head;

    if (step->at_start && step->at_end) {
        become(change, vma, step);
        return;
    }
    become(change, part, step);
    aspen_vma_part_commit(part);
    if (step->at_start) {
        aspen_vma_resize(vma, step->candidate.end, vma->end);
        return;
    }
    if (!step->at_end)
        aspen_vma_part_commit(walk->rest);
    aspen_vma_resize(vma, vma->start, step->candidate.start);
}

/* ---- Merges ------------------------------------------------------------- */

/* Whose anon_vma a VMA without one has to get to hold all: NULL for none. */
static struct aspen_vma *
anon_vma_source(const struct step *step, const struct aspen_candidate *survivor)
{
    if (survivor->anon_vma)
        return NULL;
    if (step->merge_below && step->merge_above && step->above.anon_vma)
        return step->above.vma;
    return step->candidate.anon_vma ? step->vma : NULL;
}

/* On paper; the pages of the step go to `survivor`. */
static int
reserve_merge(struct walk *walk, const struct step *step,
              struct aspen_candidate *survivor)
{
    struct aspen_vma *source = anon_vma_source(step, survivor);

    walk->absorbed_count += step->at_start && step->at_end ? 1 : 0;
    walk->absorbed_count += step->merge_below && step->merge_above ? 1 : 0;
    if (!source)
        return 0;
    survivor->anon_vma = source->anon_vma;
    survivor->single = aspen_anon_vma_is_single(source);
    return aspen_anon_vma_links_reserve(source, &walk->links);
}

/* `survivor` is [start, end) now. */
static void
commit_merge(struct walk *walk, const struct step *step,
             struct aspen_candidate *survivor)
{
    struct aspen_vma *vma = step->vma;
    struct aspen_vma *source = anon_vma_source(step, survivor);

    aspen_vma_write_lock(survivor->vma);
    if (source) {
        aspen_anon_vma_clone_reserved(survivor->vma, source, &walk->links);
        survivor->anon_vma = source->anon_vma;
        survivor->single = aspen_anon_vma_is_single(source);
    }
    aspen_vma_inherit_guards(survivor->vma, vma);
    aspen_vma_resize(survivor->vma, survivor->start, survivor->end);
    if (step->at_start && step->at_end)
        absorb(walk, vma);
    else if (step->at_start)
        aspen_vma_resize(vma, step->candidate.end, vma->end);
    else
        aspen_vma_resize(vma, vma->start, step->candidate.start);
    if (step->merge_below && step->merge_above) {
        aspen_vma_write_lock(step->above.vma);
        aspen_vma_inherit_guards(survivor->vma, step->above.vma);
        absorb(walk, step->above.vma);
    }
}

/* ---- Steps ------------------------------------------------------------- */

/* Before the VMA changes. */
static void
account(struct aspen_mm *mm, const struct step *step)
{
    uint64_t pages =
        (step->candidate.end - step->candidate.start) >> ASPEN_PAGE_SHIFT;

    aspen_mm_account_vma(mm, step->vma->flags, pages, false);
    aspen_mm_account_vma(mm, step->candidate.flags, pages, true);
}

/* `below` becomes what the step leaves. */
static void
advance(struct walk *walk, const struct step *step)
{
    struct aspen_candidate *below = &walk->below;

    if (step->merge_below) {
        below->end = step->merge_above ? step->above.end : step->candidate.end;
    } else if (step->merge_above) {
        *below = step->above;
        below->start = step->candidate.start;
        below->pgoff = step->candidate.pgoff;
    } else {
        *below = step->candidate;
        if (!step->at_start)
            below->vma = walk->head;
        else if (!step->at_end)
            below->vma = walk->tail;
    }
}

static int
do_step(struct walk *walk, const struct step *step)
{
    int error = 0;

    if (walk->commit) {
        aspen_vma_write_lock(step->vma);
        account(walk->change->mm, step);
    }
    if (!step->merge_below)
        end_run(walk);
    if (!step->merges && walk->commit)
        commit_own(walk, step);
    else if (!step->merges)
        error = reserve_own(walk, step);
    advance(walk, step);
    if (step->merges && walk->commit)
        commit_merge(walk, step, &walk->below);
    else if (step->merges)
        error = reserve_merge(walk, step, &walk->below);
    if (step->merges || !step->at_start || !step->at_end)
        walk->run = true;
    return error;
}

/* A VMA that stays as it is. */
static void
pass(struct walk *walk, struct aspen_vma *vma)
{
    end_run(walk);
    aspen_candidate_init(&walk->below, vma);
}

static void
walk_begin(struct walk *walk, bool commit)
{
    walk->commit = commit;
    walk->run = false;
    walk->absorbed_count = 0;
    walk->visited = 0;
    walk->absorbed = NULL;
    aspen_candidate_init(&walk->below, walk->vma_below);
}

/* An error can only come from the walk that reserves. */
static int
walk_all(struct walk *walk)
{
    struct aspen_change *change = walk->change;
    uint64_t at = change->start;
    uint64_t flags;

    while (at < change->end) {
        struct aspen_vma *vma =
            at == change->start ? walk->first : aspen_vma_find(change->mm, at);
        if (!vma || vma->start >= change->end)
            break;
        int error = change->judge(change, vma, &flags);
        ASPEN_ASSERT(!error);
        walk->visited++;
        if (!changes(change, vma, flags)) {
            pass(walk, vma);
        } else {
            step_init(&walk->step, walk, vma, flags);
            error = do_step(walk, &walk->step);
            if (error)
                return error;
        }
        at = walk->below.end;
    }
    end_run(walk);
    return 0;
}

/* ---- Reserve and commit ------------------------------------------------ */

static void
give_back(struct walk *walk)
{
    struct aspen_change *change = walk->change;

    aspen_tree_reserve_release(&change->mm->vmas, &walk->reserve);
    aspen_anon_vma_links_release(change->mm->aspen, &walk->links);
}

static void
abort_parts(struct walk *walk)
{
    aspen_vma_part_abort(walk->head);
    aspen_vma_part_abort(walk->rest);
    aspen_vma_part_abort(walk->tail);
}

/* All that commit needs, charge included, or an error and nothing is left. */
static int
reserve_all(struct walk *walk)
{
    struct aspen_change *change = walk->change;

    walk->stores = 0;
    walk->parts = 0;
    walk->head = NULL;
    walk->rest = NULL;
    walk->tail = NULL;
    walk->reserve = (struct aspen_tree_reserve){0};
    walk->low = UINT64_MAX;
    walk->high = 0;
    aspen_list_init(&walk->links);
    walk_begin(walk, false);
    int error = aspen_charge_mm(change->mm, walk->charge_pages);
    if (error)
        return error;
    error = walk_all(walk);
    if (!error && walk->stores)
        error = aspen_tree_reserve_within(&change->mm->vmas, &walk->reserve,
                                          &walk->cursor, walk->stores,
                                          walk->low, walk->high - 1);
    if (!error)
        return 0;
    give_back(walk);
    abort_parts(walk);
    aspen_uncharge(change->mm->aspen, walk->charge_pages);
    return error;
}

/* What the walk on paper did, once more. The step of a change that visits one
 * VMA is known already. */
static void
commit_all(struct walk *walk)
{
    struct aspen_change *change = walk->change;
    bool known = walk->visited == 1;
    int error;

    walk_begin(walk, true);
    if (known) {
        error = do_step(walk, &walk->step);
        end_run(walk);
    } else {
        error = walk_all(walk);
    }
    ASPEN_ASSERT(!error);
    aspen_uncharge(change->mm->aspen, walk->uncharge_pages);
    give_back(walk);
}

int
aspen_change_apply(struct aspen_change *change)
{
    struct walk walk;

    int error = check_all(&walk, change);
    if (error || !change->changes)
        return error;
    error = reserve_all(&walk);
    if (error)
        return error;
    commit_all(&walk);
    if (walk.below.start <= change->start && change->end <= walk.below.end)
        change->whole = walk.below.vma;
    return 0;
}
