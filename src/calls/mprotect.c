/* SPDX-License-Identifier: MIT */
/*
 * calls/mprotect.c - mprotect: check, reserve, commit.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_mprotect.c.
 */
#include <aspen/calls/protect.h>

#include "calls/seal.h"
#include "ranges/change.h"
#include "fault/populate.h"
#include "reclaim/attempt.h"
#include "object/object.h"
#include "space/pkeys.h"
#include "space/protect.h"
#include "machine/release.h"

#define GROWS (ASPEN_PROT_GROWSDOWN | ASPEN_PROT_GROWSUP)
#define KINDS (ASPEN_VM_BTI | ASPEN_VM_MTE)
#define KNOWN (ASPEN_VM_ACCESS | KINDS | GROWS | ASPEN_PROT_PLAIN_EXEC)

/*
 * Charge follows access: a private mapping is charged when it becomes writable;
 * one without pages gives the charge back when it stops being writable.
 */
static uint64_t
charge_flag(const struct aspen_vma *vma, uint64_t flags)
{
    const uint64_t never = ASPEN_VM_ACCOUNT | ASPEN_VM_WRITE |
                           ASPEN_VM_HUGETLB | ASPEN_VM_SHARED |
                           ASPEN_VM_NORESERVE;

    if (flags & ASPEN_VM_WRITE)
        return vma->flags & never ? flags : flags | ASPEN_VM_ACCOUNT;
    if (vma->flags & ASPEN_VM_ACCOUNT && !aspen_vma_backing(vma) &&
        !aspen_load(&vma->anon_vma) &&
        aspen_release_read_only_is_not_charged(vma->mm->aspen))
        return flags & ~ASPEN_VM_ACCOUNT;
    return flags;
}

/* A change, and which key the mappings get. */
struct protect {
    struct aspen_change change;
    int pkey;              /* or ASPEN_PKEY_SAME */
    bool execute_only;     /* EXEC alone, and no key is named */
    unsigned execute_pkey; /* for that; 0: keys have nothing to do with it */
};

/* A key that is named is the key. Else what is for execution alone gets the
 * space's own, and gives it back when it is for something else, too. */
static unsigned
pkey_then(const struct protect *protect, const struct aspen_vma *vma)
{
    unsigned now = aspen_pkey_of(vma->flags);

    if (protect->pkey != ASPEN_PKEY_SAME)
        return (unsigned)protect->pkey;
    if (protect->execute_only)
        return protect->execute_pkey ? protect->execute_pkey : now;
    return now == vma->mm->execute_only_pkey &&
                   aspen_is_execute_only(vma->flags, false)
               ? 0
               : now;
}

static int
judge_access(const struct aspen_change *change, const struct aspen_vma *vma,
             uint64_t *flags)
{
    const struct protect *protect =
        aspen_container_of(change, const struct protect, change);
    uint64_t new = (vma->flags & ~(change->clear | ASPEN_VM_PKEY)) |
                   change->set | aspen_pkey_flags(pkey_then(protect, vma));

    if (!aspen_access_may_be(new))
        return -ASPEN_EACCES;
    if (new &ASPEN_VM_MTE && !aspen_may_have_tags(vma->object))
        return -ASPEN_EINVAL;
    int error = aspen_seal_check(vma);
    if (error)
        return error;
    *flags = new == vma->flags ? new : charge_flag(vma, new);
    return 0;
}

/* PROT_GROWSDOWN: the range starts where its first mapping does. No mapping
 * grows up. */
static int
find_start(struct aspen_mm *mm, uint64_t *start, uint64_t end,
           uint64_t vm_flags)
{
    struct aspen_vma *vma = aspen_vma_find(mm, *start);

    if (vm_flags & ASPEN_PROT_GROWSUP)
        return vma && vma->start <= *start ? -ASPEN_EINVAL : -ASPEN_ENOMEM;
    if (!vma || vma->start >= end)
        return -ASPEN_ENOMEM;
    *start = vma->start;
    return vma->flags & ASPEN_VM_GROWSDOWN ? 0 : -ASPEN_EINVAL;
}

/* A part of an address space; empty when `end` is 0. */
struct range {
    uint64_t start;
    uint64_t end;
};

/* Locked memory that becomes writable is filled, from the first mapping of
 * which that is true to the last. */
static struct range
find_fill(const struct aspen_change *change)
{
    const uint64_t looked_at =
        ASPEN_VM_LOCKED | ASPEN_VM_WRITE | ASPEN_VM_SHARED;
    struct range fill = {0, 0};
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    if (!(change->set & ASPEN_VM_WRITE) || change->mm->locked_pages == 0)
        return fill;
    aspen_tree_cursor_init(&cursor, &change->mm->vmas, change->start);
    while ((vma = aspen_tree_next(&cursor, change->end - 1)) != NULL) {
        if ((vma->flags & looked_at) != ASPEN_VM_LOCKED)
            continue;
        if (!fill.end)
            fill.start = aspen_max_u64(vma->start, change->start);
        fill.end = aspen_min_u64(vma->end, change->end);
    }
    return fill;
}

static void
protect_begin(struct protect *protect, struct aspen_mm *mm, uint64_t vm_flags,
              int pkey)
{
    protect->change = (struct aspen_change){
        .mm = mm,
        .judge = judge_access,
        .set = vm_flags & (ASPEN_VM_ACCESS | KINDS),
        .clear = ASPEN_VM_ACCESS | ASPEN_VM_BTI,
    };
    protect->pkey = pkey;
    protect->execute_only =
        pkey == ASPEN_PKEY_SAME &&
        aspen_is_execute_only(vm_flags, vm_flags & ASPEN_PROT_PLAIN_EXEC);
    protect->execute_pkey =
        protect->execute_only ? aspen_pkey_for_execute_only(mm) : 0;
}

/* The mmap lock is held for writing. *fill gets what is to be filled then. The
 * plan is gone from the stack by then, and before pages leave. */
static ASPEN_NOINLINE int
protect(struct aspen_mm *mm, uint64_t start, uint64_t end, uint64_t vm_flags,
        int pkey, struct range *fill)
{
    struct protect protect;
    struct aspen_change *change = &protect.change;

    if (pkey != ASPEN_PKEY_SAME && !aspen_pkey_is_callers(mm, pkey))
        return -ASPEN_EINVAL;
    protect_begin(&protect, mm, vm_flags, pkey);
    change->start = start;
    change->end = end;
    int error =
        vm_flags & GROWS ? find_start(mm, &change->start, end, vm_flags) : 0;
    if (error)
        return error;
    *fill = find_fill(change);
    error = aspen_change_apply(change);
    if (error)
        return error;
    aspen_pkey_set_execute_only(mm, protect.execute_pkey);
    if (change->changes)
        aspen_protect_range(mm, change->whole, change->start, end);
    return 0;
}

/* In Linux's order: 1 for nothing to do, 0, or the error. */
static int
check_arguments(uint64_t address, uint64_t length_bytes, uint64_t vm_flags,
                int pkey)
{
    if ((vm_flags & GROWS) == GROWS ||
        !aspen_is_aligned(address, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    if (length_bytes == 0)
        return 1;
    if (address + aspen_align_up(length_bytes, ASPEN_PAGE_SIZE) <= address)
        return -ASPEN_ENOMEM;
    return vm_flags & ~KNOWN || pkey < ASPEN_PKEY_SAME ||
                   pkey >= ASPEN_PKEYS_MAX
               ? -ASPEN_EINVAL
               : 0;
}

int
aspen_mprotect(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
               uint64_t vm_flags, int pkey)
{
    uint64_t bytes = aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);

    int wrong = check_arguments(address, length_bytes, vm_flags, pkey);
    if (wrong)
        return wrong > 0 ? 0 : wrong;

    struct aspen_attempt attempt;
    struct range fill = {0, 0};
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = protect(mm, address, address + bytes, vm_flags, pkey, &fill);
    if (!error && fill.end)
        aspen_populate_silently(mm, fill.start, fill.end,
                                ASPEN_POPULATE_MPROTECT);
    return error;
}
