/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/guard.c - guard pages: markers in page tables, at which every
 * access fails, without a mapping of their own.
 *
 *   check    may every mapping of the range have them?
 *   reserve  page tables for all of it, then an anon_vma for each anonymous
 *            mapping (Linux does the same, and merges depend on it)
 *   commit   drop what is there and put markers in its place; no fault can come
 *            in between, since both happen under one hold of the table's lock
 *
 * I1  A mapping with markers has vma->guarded set.
 * I2  A failure leaves nothing but empty tables. For one mapping its anon_vma
 *     is the last step; for several the mmap lock is held for writing, and
 *     those that got an anon_vma lose it again.
 *
 * Called by madvise.c. The first test to break is
 * tests/unit/calls/test_guard.c.
 */
#include "calls/madvise/madvise.h"

#include "calls/seal.h"
#include "rmap/anon_vma.h"
#include "machine/notify.h"
#include "reclaim/attempt.h"
#include "rmap/split.h"
#include "space/zap.h"

static bool
may_have_guards(const struct aspen_vma *vma, bool remove)
{
    uint64_t never =
        ASPEN_VM_DRIVER | ASPEN_VM_HUGETLB | (remove ? 0 : ASPEN_VM_LOCKED);
    return !(vma->flags & never);
}

static bool
needs_anon_vma(const struct aspen_vma *vma)
{
    return aspen_vma_is_anonymous(vma) && !aspen_load(&vma->anon_vma);
}

/* ---- Install: check ---------------------------------------------------- */

static int
check(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    int error = aspen_seal_check_advice(vma, ASPEN_MADV_GUARD_INSTALL);
    if (error)
        return error;
    if (!may_have_guards(vma, false))
        return -ASPEN_EINVAL;
    error = aspen_vma_check_huge(vma, start);
    return error ? error : aspen_vma_check_huge(vma, end);
}

/* ---- Install: reserve -------------------------------------------------- */

/* Page tables down to the last level. */
static int
reserve_tables(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    const uint64_t span = aspen_table_span(0);
    struct aspen_slot slot;

    for (uint64_t at = start; at < end;
         at = aspen_align_down(at, span) + span) {
        int error = aspen_table_walk_alloc(vma->mm, at, 0, &slot);
        if (error)
            return error == -ASPEN_EEXIST ? -ASPEN_EOPNOTSUPP : error;
    }
    return 0;
}

/* ---- Install: commit --------------------------------------------------- */

static void
commit(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    struct aspen_gather gather;

    aspen_vma_note_guards(vma);
    aspen_notify_start(vma->mm, start, end);
    aspen_gather_begin(&gather, vma->mm, false);
    aspen_zap_only(&gather, vma, start, end, ASPEN_ZAP_TO_GUARDS);
    aspen_gather_end(&gather);
    aspen_notify_end(vma->mm, start, end);
}

/* ---- Install: one mapping ---------------------------------------------- */

/* The mmap lock, or the lock of the VMA, which then needs no anon_vma. */
static int
install_in_one(struct aspen_advise *advise, struct aspen_vma *vma)
{
    int error = check(vma, advise->start, advise->end);
    if (!error)
        error = reserve_tables(vma, advise->start, advise->end);
    if (!error && needs_anon_vma(vma))
        error = aspen_anon_vma_prepare(vma);
    if (!error)
        commit(vma, advise->start, advise->end);
    return error;
}

/* ---- Install: several mappings; the mmap lock is held for writing ------ */

typedef int visit_vma(struct aspen_vma *vma, uint64_t start, uint64_t end);

static int
each_vma(struct aspen_advise *advise, visit_vma *visit)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;
    uint64_t at = advise->start;
    uint64_t end = advise->end;

    aspen_tree_cursor_init(&cursor, &advise->mm->vmas, at);
    while (at < end && (vma = aspen_tree_next(&cursor, end - 1)) != NULL) {
        uint64_t stop = aspen_min_u64(vma->end, end);
        advise->holes |= vma->start > at;
        int error = visit(vma, aspen_max_u64(vma->start, at), stop);
        if (error)
            return error;
        at = stop;
    }
    advise->holes |= at < end;
    return 0;
}

static int
commit_vma(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    commit(vma, start, end);
    return 0;
}

/* `vma->detached` strings up those that had none. */
static int
reserve_anon_vmas(struct aspen_advise *advise, struct aspen_vma **changed)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &advise->mm->vmas, advise->start);
    while ((vma = aspen_tree_next(&cursor, advise->end - 1)) != NULL) {
        if (!needs_anon_vma(vma))
            continue;
        /* No fault uses it before we know that it stays. */
        aspen_vma_write_lock(vma);
        int error = aspen_anon_vma_prepare(vma);
        if (error)
            return error;
        vma->detached = *changed;
        *changed = vma;
    }
    return 0;
}

static void
undo_anon_vmas(struct aspen_vma *changed)
{
    while (changed) {
        struct aspen_vma *vma = changed;
        changed = vma->detached;
        vma->detached = NULL;
        aspen_anon_vma_unlink(vma);
    }
}

static int
install_in_all(struct aspen_advise *advise)
{
    struct aspen_vma *changed = NULL;

    int error = each_vma(advise, check);
    if (!error)
        error = each_vma(advise, reserve_tables);
    if (error)
        return error;
    error = reserve_anon_vmas(advise, &changed);
    if (error) {
        undo_anon_vmas(changed);
        return error;
    }
    return each_vma(advise, commit_vma);
}

/* ---- Install: locks ---------------------------------------------------- */

static bool
is_one(const struct aspen_advise *advise, const struct aspen_vma *vma)
{
    return vma && vma->start <= advise->start && advise->end <= vma->end;
}

/* Under the lock of the VMA: true if that was enough. */
static bool
try_vma_lock(struct aspen_advise *advise, int *error)
{
    unsigned where;
    struct aspen_vma *vma =
        aspen_vma_read_lock_at(advise->mm, advise->start, &where);

    if (!vma)
        return false;
    bool enough = is_one(advise, vma) && !needs_anon_vma(vma);
    if (enough)
        *error = install_in_one(advise, vma);
    aspen_vma_read_unlock(vma, where);
    return enough;
}

static bool
try_mmap_lock(struct aspen_advise *advise, int *error)
{
    struct aspen_mm *mm = advise->mm;

    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    struct aspen_vma *vma = aspen_vma_at(mm, advise->start);
    bool enough = is_one(advise, vma);
    if (enough)
        *error = install_in_one(advise, vma);
    aspen_read_unlock(&mm->mmap_lock);
    return enough;
}

/* Apart, so that nothing of it is on the stack while pages leave. */
static ASPEN_NOINLINE int
install(struct aspen_advise *advise)
{
    int error = 0;

    if (try_vma_lock(advise, &error) || try_mmap_lock(advise, &error))
        return error;
    error = aspen_mm_write_lock_killable(advise->mm, ASPEN_LOCK_MM);
    if (error)
        return error;
    error = install_in_all(advise);
    aspen_mm_write_unlock(advise->mm);
    return error;
}

int
aspen_guard_install(struct aspen_advise *advise)
{
    struct aspen_mm *mm = advise->mm;
    struct aspen_attempt attempt;
    bool holes = advise->holes;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error)) {
        advise->holes = holes; /* what is one may have been filled */
        error = install(advise);
    }
    return error;
}

/* ---- Remove ------------------------------------------------------------ */

static void
remove_from_table(struct aspen *aspen, const struct aspen_slot *slot,
                  uint64_t pages)
{
    const uint64_t guard = aspen_entry_make_marker(ASPEN_MARKER_GUARD);

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    for (uint64_t i = 0; i < pages; i++)
        if (aspen_load_relaxed(&slot->entry[i]) == guard)
            aspen_store_relaxed(&slot->entry[i], (uint64_t)0);
    aspen_table_unlock(aspen, slot->table);
}

int
aspen_guard_remove(struct aspen_advise *advise, struct aspen_vma *vma,
                   uint64_t start, uint64_t end)
{
    struct aspen_slot slot;
    uint64_t stop;

    if (!may_have_guards(vma, true))
        return -ASPEN_EINVAL;
    for (uint64_t at = start; at < end; at = stop) {
        aspen_table_walk(advise->mm, at, &slot);
        stop = aspen_min_u64(aspen_slot_end(&slot, at), end);
        if (slot.level == 0)
            remove_from_table(advise->mm->aspen, &slot,
                              (stop - at) >> ASPEN_PAGE_SHIFT);
    }
    return 0;
}
