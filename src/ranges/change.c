/* SPDX-License-Identifier: MIT */
/*
 * ranges/change.c - other flags, or another name, for a range.
 *
 * The walk (change_walk.c) decides what becomes of each VMA. Reserve walks it
 * on paper and gets what commit needs, and where many stores are to come once
 * more, to rehearse them; commit walks it again and does it.
 *
 * I1  All walks decide the same (change_walk.c).
 * I2  What was absorbed goes after the store of the VMA that has its range now.
 *     So a reader of the tree meets whole VMAs, and memory for the change does
 *     not grow with the VMAs that it spans.
 *
 * Called by mprotect, mlock, mseal, madvise and names. The first test to break
 * is tests/unit/calls/test_mprotect.c.
 */
#include "ranges/change_walk.h"

#include "rmap/anon_vma.h"
#include "machine/charge.h"
#include "space/limits.h"
#include "space/userfault.h"
#include "rmap/split.h"

struct plan {
    struct aspen_change_walk walk;

    /* Check's. */
    uint64_t charge_pages;     /* that become ACCOUNT */
    uint64_t charge_most;      /* of these, in one VMA: Linux asks for each */
    uint64_t uncharge_pages;   /* that were */
    uint64_t data_pages;       /* that become data */
    struct aspen_vma *refuses; /* what is said of it is the answer */
    struct aspen_tree_cursor cursor;

    /* Reserve's. */
    unsigned stores;
    unsigned parts;
    uint64_t absorbed_count; /* VMAs that will be */
    struct aspen_vma *head;  /* the range's part of its first VMA */
    struct aspen_vma *rest;  /* what of that VMA is above the range */
    struct aspen_vma *tail;  /* the range's part of its last VMA */
    struct aspen_list links;
    struct aspen_tree_reserve reserve;
    struct aspen_tree_rehearsal rehearsal;
    int rehearsal_error;
    uint64_t low; /* of all that will be stored */
    uint64_t high;

    struct aspen_vma *absorbed; /* commit's: since the last store */
};

static struct plan *
plan_of(struct aspen_change_walk *walk)
{
    return aspen_container_of(walk, struct plan, walk);
}

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
find_below(const struct plan *plan)
{
    uint64_t start = plan->walk.change->start;
    uint64_t last;

    if (plan->cursor.first != start)
        return NULL;
    struct aspen_vma *below = aspen_tree_cursor_before(&plan->cursor, &last);
    return below && last + 1 == start ? below : NULL;
}

/* What becomes data has to be within the limit of it; as Linux nothing is asked
 * where no more of anything could be mapped. */
static int
check_limit(struct plan *plan, const struct aspen_vma *vma, uint64_t flags,
            uint64_t pages)
{
    struct aspen_mm *mm = plan->walk.change->mm;

    if (!aspen_is_data(flags) || aspen_is_data(vma->flags))
        return 0;
    plan->data_pages += pages;
    return aspen_check_total(mm, mm->total_pages + pages)
               ? 0
               : aspen_check_data(mm, mm->data_pages + plan->data_pages);
}

static int
check_vma(struct plan *plan, struct aspen_vma *vma)
{
    struct aspen_change *change = plan->walk.change;
    uint64_t start = aspen_max_u64(vma->start, change->start);
    uint64_t end = aspen_min_u64(vma->end, change->end);
    uint64_t pages = (end - start) >> ASPEN_PAGE_SHIFT;
    uint64_t flags;

    int error = change->judge(change, vma, &flags);
    if (error || !aspen_change_concerns(change, vma, flags))
        return error;
    change->changes = true;
    if ((flags & ~vma->flags) & ASPEN_VM_ACCOUNT) {
        plan->charge_pages += pages;
        plan->charge_most = aspen_max_u64(plan->charge_most, pages);
    }
    if ((vma->flags & ~flags) & ASPEN_VM_ACCOUNT)
        plan->uncharge_pages += pages;
    error = check_limit(plan, vma, flags, pages);
    if (!error)
        error = aspen_vma_check_edge(vma, start);
    return error ? error : aspen_vma_check_edge(vma, end);
}

static int
refused(struct plan *plan, struct aspen_vma *vma, int error)
{
    plan->refuses = vma;
    return error;
}

static int
check(struct plan *plan, struct aspen_change *change)
{
    struct aspen_tree_cursor *cursor = &plan->cursor;
    struct aspen_vma *vma;
    uint64_t at = change->start;

    /* What an attempt before has found, whose lock was dropped since. */
    change->holes = false;
    change->changes = false;
    change->whole = NULL;
    plan->walk.change = change;
    plan->walk.first = NULL;
    plan->walk.vma_below = NULL;
    plan->walk.vma_above = NULL;
    plan->charge_pages = 0;
    plan->charge_most = 0;
    plan->uncharge_pages = 0;
    plan->data_pages = 0;
    plan->refuses = NULL;
    aspen_tree_cursor_init(cursor, &change->mm->vmas, change->start);
    while (at < change->end &&
           (vma = aspen_tree_next(cursor, change->end - 1)) != NULL) {
        if (!plan->walk.first) {
            plan->walk.first = vma;
            plan->walk.vma_below = find_below(plan);
        }
        change->holes |= vma->start > at;
        if (change->holes && !change->holes_allowed)
            return -ASPEN_ENOMEM;
        int error = check_vma(plan, vma);
        if (error)
            return refused(plan, vma, error);
        at = vma->end;
    }
    if (at == change->end)
        plan->walk.vma_above = aspen_tree_next(cursor, change->end);
    change->holes |= at < change->end;
    return change->holes && !change->holes_allowed ? -ASPEN_ENOMEM : 0;
}

/* ---- Reserve ----------------------------------------------------------- */

/* As if one after the other was split off, and merged. */
static int
count_part(struct plan *plan)
{
    const struct aspen_mm *mm = plan->walk.change->mm;

    if (mm->map_count + plan->parts - plan->absorbed_count >=
        mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    plan->parts++;
    return 0;
}

/* A VMA keeps what is outside of the range. */
static int
reserve_part(struct plan *plan, const struct aspen_change_step *step,
             uint64_t start, uint64_t end, struct aspen_vma **part)
{
    int error = count_part(plan);

    return error ? error : aspen_vma_part(step->vma, start, end, part);
}

static int
reserve_change(struct aspen_change_walk *walk,
               const struct aspen_change_step *step, struct aspen_vma **vma)
{
    const struct aspen_candidate *candidate = &step->candidate;
    struct plan *plan = plan_of(walk);

    if (step->at_start && step->at_end)
        return 0;
    struct aspen_vma **part = step->at_start ? &plan->tail : &plan->head;
    int error =
        reserve_part(plan, step, candidate->start, candidate->end, part);
    *vma = *part;
    if (error || step->at_start || step->at_end)
        return error;
    plan->high = step->vma->end;
    return reserve_part(plan, step, candidate->end, step->vma->end,
                        &plan->rest);
}

/* Whose anon_vma a survivor without one has to get to hold all: NULL for none.
 */
static struct aspen_vma *
anon_vma_source(const struct aspen_change_step *step,
                const struct aspen_candidate *survivor)
{
    if (survivor->anon_vma)
        return NULL;
    if (step->merge_below && step->merge_above && step->above.anon_vma)
        return step->above.vma;
    return step->candidate.anon_vma ? step->vma : NULL;
}

static void
count_absorbed(struct plan *plan, const struct aspen_change_step *step)
{
    plan->absorbed_count += step->at_start && step->at_end ? 1 : 0;
    plan->absorbed_count += step->merge_below && step->merge_above ? 1 : 0;
}

static int
reserve_merge(struct aspen_change_walk *walk,
              const struct aspen_change_step *step,
              struct aspen_candidate *survivor)
{
    struct aspen_vma *source = anon_vma_source(step, survivor);
    struct plan *plan = plan_of(walk);

    count_absorbed(plan, step);
    if (!source)
        return 0;
    aspen_candidate_inherit_anon_vma(survivor, source);
    return aspen_anon_vma_links_reserve(source, &plan->links);
}

static void
reserve_store(struct aspen_change_walk *walk, const struct aspen_candidate *vma)
{
    struct plan *plan = plan_of(walk);

    plan->stores++;
    plan->low = aspen_min_u64(plan->low, vma->start);
    plan->high = aspen_max_u64(plan->high, vma->end);
}

static const struct aspen_change_steps reserve_steps = {
    .change = reserve_change,
    .merge = reserve_merge,
    .store = reserve_store,
};

static void
reserve_begin(struct plan *plan)
{
    plan->stores = 0;
    plan->parts = 0;
    plan->absorbed_count = 0;
    plan->head = NULL;
    plan->rest = NULL;
    plan->tail = NULL;
    plan->reserve = (struct aspen_tree_reserve){0};
    plan->low = UINT64_MAX;
    plan->high = 0;
    aspen_list_init(&plan->links);
}

static void
give_back(struct plan *plan)
{
    struct aspen_mm *mm = plan->walk.change->mm;

    aspen_tree_reserve_release(&mm->vmas, &plan->reserve);
    aspen_anon_vma_links_release(mm->aspen, &plan->links);
}

/* ---- Reserve: nodes for many stores ------------------------------------ */

/* As the first walk did it, which has made the parts. */
static int
rehearse_change(struct aspen_change_walk *walk,
                const struct aspen_change_step *step, struct aspen_vma **vma)
{
    const struct plan *plan = plan_of(walk);

    if (!step->at_start || !step->at_end)
        *vma = step->at_start ? plan->tail : plan->head;
    return 0;
}

/* The same; links are there. */
static int
rehearse_merge(struct aspen_change_walk *walk,
               const struct aspen_change_step *step,
               struct aspen_candidate *survivor)
{
    const struct aspen_vma *source = anon_vma_source(step, survivor);
    (void)walk;

    if (source)
        aspen_candidate_inherit_anon_vma(survivor, source);
    return 0;
}

static void
rehearse_store(struct aspen_change_walk *walk,
               const struct aspen_candidate *vma)
{
    struct plan *plan = plan_of(walk);

    if (!plan->rehearsal_error)
        plan->rehearsal_error = aspen_tree_rehearse_store(
            &plan->rehearsal, vma->start, vma->end - 1, vma->vma);
}

static const struct aspen_change_steps rehearse_steps = {
    .change = rehearse_change,
    .merge = rehearse_merge,
    .store = rehearse_store,
};

static int
rehearse(struct plan *plan)
{
    struct aspen_tree *vmas = &plan->walk.change->mm->vmas;

    plan->rehearsal_error = 0;
    int error = aspen_tree_rehearse_begin(&plan->rehearsal, vmas);
    if (error)
        return error;
    aspen_change_walk_again(&plan->walk, &rehearse_steps);
    aspen_tree_rehearse_end(&plan->rehearsal);
    return plan->rehearsal_error ? plan->rehearsal_error
                                 : aspen_tree_reserve_rehearsed(
                                       vmas, &plan->reserve, &plan->rehearsal);
}

static int
reserve_nodes(struct plan *plan)
{
    struct aspen_tree *vmas = &plan->walk.change->mm->vmas;

    if (aspen_tree_rehearsal_pays(vmas, plan->stores))
        return rehearse(plan);
    return plan->stores ? aspen_tree_reserve_within(vmas, &plan->reserve,
                                                    &plan->cursor, plan->stores,
                                                    plan->low, plan->high - 1)
                        : 0;
}

/* ---- Reserve: all of it ------------------------------------------------ */

/* All that commit needs, charge included, or an error and nothing is left. */
static int
reserve(struct plan *plan)
{
    struct aspen_mm *mm = plan->walk.change->mm;

    reserve_begin(plan);
    int error =
        aspen_charge_mappings(mm, plan->charge_pages, plan->charge_most);
    if (error)
        return error;
    error = aspen_change_walk(&plan->walk, &reserve_steps);
    if (!error)
        error = reserve_nodes(plan);
    if (!error)
        return 0;
    give_back(plan);
    aspen_vma_part_abort(plan->head);
    aspen_vma_part_abort(plan->rest);
    aspen_vma_part_abort(plan->tail);
    aspen_uncharge(mm->aspen, plan->charge_pages);
    return error;
}

/* ---- Refused ----------------------------------------------------------- */

static int
count_change(struct aspen_change_walk *walk,
             const struct aspen_change_step *step, struct aspen_vma **vma)
{
    struct plan *plan = plan_of(walk);
    int error = step->at_start ? 0 : count_part(plan);
    (void)vma;

    return error || step->at_end ? error : count_part(plan);
}

static int
count_merge(struct aspen_change_walk *walk,
            const struct aspen_change_step *step,
            struct aspen_candidate *survivor)
{
    count_absorbed(plan_of(walk), step);
    return rehearse_merge(walk, step, survivor);
}

static void
count_store(struct aspen_change_walk *walk, const struct aspen_candidate *vma)
{
    (void)walk, (void)vma;
}

static const struct aspen_change_steps count_steps = {
    .change = count_change,
    .merge = count_merge,
    .store = count_store,
};

/* Would there be VMAs for what lies below the one that refuses? */
static int
count_below(struct plan *plan)
{
    struct aspen_change *change = plan->walk.change;
    const uint64_t end = change->end;

    change->end = plan->refuses->start;
    plan->walk.vma_above = plan->refuses;
    reserve_begin(plan);
    int error = aspen_change_walk(&plan->walk, &count_steps);
    change->end = end;
    return error;
}

/* As on Linux those below are heard first, which would have been charged and
 * split by then. */
static int
refuse(struct plan *plan, int error)
{
    const struct aspen_change *change = plan->walk.change;

    if (!plan->refuses)
        return error;
    int lower = aspen_charge_mappings(change->mm, plan->charge_pages,
                                      plan->charge_most);
    if (lower)
        return lower;
    aspen_uncharge(change->mm->aspen, plan->charge_pages);
    if (plan->refuses->start > change->start)
        lower = count_below(plan);
    return lower ? lower : error;
}

int
aspen_change_check(struct aspen_change *change)
{
    struct plan plan;
    int error = check(&plan, change);

    return error ? refuse(&plan, error) : 0;
}

/* ---- Commit ------------------------------------------------------------ */

/* Before the VMA changes. */
static void
lock_and_account(struct aspen_mm *mm, const struct aspen_change_step *step)
{
    uint64_t pages =
        (step->candidate.end - step->candidate.start) >> ASPEN_PAGE_SHIFT;

    aspen_vma_write_lock(step->vma);
    aspen_mm_account_vma(mm, step->vma->flags, pages, false);
    aspen_mm_account_vma(mm, step->candidate.flags, pages, true);
}

/* The VMA is the candidate from now on, but for its range. */
static void
become(const struct aspen_change *change, struct aspen_vma *vma,
       const struct aspen_change_step *step)
{
    aspen_store_relaxed(&vma->flags, step->candidate.flags);
    if (change->renames)
        aspen_vma_set_name(vma, change->name);
    if (change->userfaults)
        aspen_vma_set_userfault(vma, change->userfault);
}

static int
commit_change(struct aspen_change_walk *walk,
              const struct aspen_change_step *step, struct aspen_vma **vma)
{
    struct aspen_change *change = walk->change;
    struct plan *plan = plan_of(walk);

    lock_and_account(change->mm, step);
    if (step->at_start && step->at_end) {
        become(change, step->vma, step);
        return 0;
    }
    *vma = step->at_start ? plan->tail : plan->head;
    become(change, *vma, step);
    aspen_vma_part_commit(*vma, step->vma);
    if (step->at_start) {
        aspen_vma_resize(step->vma, step->candidate.end, step->vma->end);
        return 0;
    }
    if (!step->at_end)
        aspen_vma_part_commit(plan->rest, step->vma);
    aspen_vma_resize(step->vma, step->vma->start, step->candidate.start);
    return 0;
}

static void
absorb(struct plan *plan, struct aspen_vma *vma)
{
    vma->detached = plan->absorbed;
    plan->absorbed = vma;
}

static int
commit_merge(struct aspen_change_walk *walk,
             const struct aspen_change_step *step,
             struct aspen_candidate *survivor)
{
    struct plan *plan = plan_of(walk);
    struct aspen_vma *vma = step->vma;
    struct aspen_vma *source = anon_vma_source(step, survivor);

    lock_and_account(walk->change->mm, step);
    aspen_vma_write_lock(survivor->vma);
    if (source) {
        aspen_anon_vma_clone_reserved(survivor->vma, source, &plan->links);
        aspen_candidate_inherit_anon_vma(survivor, source);
    }
    aspen_vma_inherit_guards(survivor->vma, vma);
    aspen_vma_resize(survivor->vma, survivor->start, survivor->end);
    if (step->at_start && step->at_end)
        absorb(plan, vma);
    else if (step->at_start)
        aspen_vma_resize(vma, step->candidate.end, vma->end);
    else
        aspen_vma_resize(vma, vma->start, step->candidate.start);
    if (step->merge_below && step->merge_above) {
        aspen_vma_write_lock(step->above.vma);
        aspen_vma_inherit_guards(survivor->vma, step->above.vma);
        absorb(plan, step->above.vma);
    }
    return 0;
}

/* I2 */
static void
commit_store(struct aspen_change_walk *walk, const struct aspen_candidate *run)
{
    struct plan *plan = plan_of(walk);
    struct aspen_tree *vmas = &walk->change->mm->vmas;

    if (plan->rest)
        aspen_tree_store_two_reserved(vmas, &plan->reserve, run->start,
                                      run->end, plan->rest->end - 1, run->vma,
                                      plan->rest);
    else
        aspen_tree_store_reserved(vmas, &plan->reserve, run->start,
                                  run->end - 1, run->vma);
    while (plan->absorbed) {
        struct aspen_vma *vma = plan->absorbed;
        plan->absorbed = vma->detached;
        aspen_vma_dissolve(vma);
    }
}

static const struct aspen_change_steps commit_steps = {
    .change = commit_change,
    .merge = commit_merge,
    .store = commit_store,
};

static void
commit(struct plan *plan)
{
    struct aspen_mm *mm = plan->walk.change->mm;

    plan->absorbed = NULL;
    aspen_change_walk_again(&plan->walk, &commit_steps);
    aspen_uncharge(mm->aspen, plan->uncharge_pages);
    give_back(plan);
}

int
aspen_change_apply(struct aspen_change *change)
{
    struct plan plan;

    int error = check(&plan, change);
    if (error)
        return refuse(&plan, error);
    if (!change->changes)
        return 0;
    error = reserve(&plan);
    if (error)
        return error;
    commit(&plan);
    const struct aspen_candidate *last = &plan.walk.below;
    if (last->start <= change->start && change->end <= last->end)
        change->whole = last->vma;
    return 0;
}
