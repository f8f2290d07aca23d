/* SPDX-License-Identifier: MIT */
/*
 * ranges/change_walk.c - upwards over a range that changes.
 *
 * Each VMA that changes is merged with what the walk left below it and with
 * what is above it, where the rules allow that (ranges/mergeable.h):
 *
 *     [ below )[ changed )[ above )
 *     [ below )[ changed )[ above )     not merged
 *     [       below      )[ above )     with what is below
 *     [ below )[       above      )     with what is above
 *     [            below          )     with both
 *
 * What of a VMA lies outside of the range keeps its flags, and is merged with
 * nothing.
 *
 * I1  All walks over one range decide the same: what they look at is the VMAs
 *     not reached yet, which no step changes, and `below`, which they carry
 *     along.
 * I2  A run is what becomes one VMA, by several steps in a row: its VMA has its
 *     range at once, the tree gets it in one store when the run ends.
 *
 * Called by change.c. The first test to break is
 * tests/unit/calls/test_mprotect.c.
 */
#include "ranges/change_walk.h"

/* ---- What is merged ---------------------------------------------------- */

static bool
fits(const struct aspen_change_walk *walk, const struct aspen_change_step *step,
     const struct aspen_candidate *neighbour)
{
    return neighbour->vma &&
           aspen_mergeable_anon_vma(walk->change->mm->aspen, &step->candidate,
                                    neighbour);
}

/* To be one with a neighbour the whole VMA has to go, unless it keeps a part.
 */
static void
decide(const struct aspen_change_walk *walk, struct aspen_change_step *step)
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
}

static struct aspen_vma *
find_above(const struct aspen_change_walk *walk, const struct aspen_vma *vma)
{
    struct aspen_mm *mm = walk->change->mm;

    if (vma->end == walk->change->end)
        return walk->vma_above;
    return vma->end < mm->address_limit ? aspen_vma_at(mm, vma->end) : NULL;
}

static void
step_init(struct aspen_change_step *step, const struct aspen_change_walk *walk,
          struct aspen_vma *vma, uint64_t flags)
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
    if (change->userfaults)
        candidate->userfault = change->userfault;
    step->at_start = candidate->start == vma->start;
    step->at_end = candidate->end == vma->end;
    if (step->at_end)
        aspen_candidate_init(&step->above, find_above(walk, vma));
    decide(walk, step);
}

/* ---- Steps ------------------------------------------------------------- */

/* `below` will not grow any more. */
static void
end_run(struct aspen_change_walk *walk)
{
    if (walk->run)
        walk->steps->store(walk, &walk->below);
    walk->run = false;
}

/* `below` becomes what it is merged with, and that has its new range. */
static void
extend(struct aspen_candidate *below, const struct aspen_change_step *step)
{
    if (step->merge_below) {
        below->end = step->merge_above ? step->above.end : step->candidate.end;
        return;
    }
    *below = step->above;
    below->start = step->candidate.start;
    below->pgoff = step->candidate.pgoff;
}

static int
do_step(struct aspen_change_walk *walk, const struct aspen_change_step *step)
{
    if (!step->merge_below)
        end_run(walk);
    if (step->merge_below || step->merge_above) {
        walk->run = true;
        extend(&walk->below, step);
        return walk->steps->merge(walk, step, &walk->below);
    }
    walk->run = !step->at_start || !step->at_end;
    walk->below = step->candidate;
    return walk->steps->change(walk, step, &walk->below.vma);
}

/* A VMA that stays as it is. */
static void
pass(struct aspen_change_walk *walk, struct aspen_vma *vma)
{
    end_run(walk);
    aspen_candidate_init(&walk->below, vma);
}

/* ---- The walk ---------------------------------------------------------- */

static void
begin(struct aspen_change_walk *walk, const struct aspen_change_steps *steps)
{
    walk->steps = steps;
    walk->run = false;
    walk->visited = 0;
    aspen_candidate_init(&walk->below, walk->vma_below);
}

int
aspen_change_walk(struct aspen_change_walk *walk,
                  const struct aspen_change_steps *steps)
{
    struct aspen_change *change = walk->change;
    uint64_t at = change->start;
    uint64_t flags;

    begin(walk, steps);
    while (at < change->end) {
        struct aspen_vma *vma =
            at == change->start ? walk->first : aspen_vma_find(change->mm, at);
        if (!vma || vma->start >= change->end)
            break;
        int error = change->judge(change, vma, &flags);
        ASPEN_ASSERT(!error);
        walk->visited++;
        if (!aspen_change_concerns(change, vma, flags)) {
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

/* The step of a change that visits one VMA is known already. */
void
aspen_change_walk_again(struct aspen_change_walk *walk,
                        const struct aspen_change_steps *steps)
{
    int error;

    if (walk->visited == 1) {
        begin(walk, steps);
        error = do_step(walk, &walk->step);
        end_run(walk);
    } else {
        error = aspen_change_walk(walk, steps);
    }
    ASPEN_ASSERT(!error);
    (void)error;
}
