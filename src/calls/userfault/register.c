/* SPDX-License-Identifier: MIT */
/*
 * calls/userfault/register.c - contexts, and the ranges that are registered
 * with them: check, reserve and commit of a change (ranges/change.h).
 *
 * I1  Marks go after the flag that says that there may be some, under the same
 *     hold of the mmap lock for writing (I3 of space/userfault.h).
 *
 * Called by life/userfault.c. The first test to break is
 * tests/unit/track/test_userfault.c.
 */
#include "calls/userfault/userfault.h"

#include "ranges/change.h"
#include "reclaim/attempt.h"

#define MODES ASPEN_USERFAULT_MODE_WP

/* ---- Life -------------------------------------------------------------- */

int
aspen_userfault_create(struct aspen_mm *mm, unsigned features,
                       struct aspen_userfault **out)
{
    struct aspen_attempt attempt;
    int error = 0;

    if (features != ASPEN_USERFAULT_WP_ASYNC ||
        aspen_load(&mm->state) != ASPEN_MM_LIVE)
        return -ASPEN_EINVAL;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error)) {
        *out = aspen_userfault_alloc(mm, features);
        error = *out ? 0 : -ASPEN_ENOMEM;
    }
    return error;
}

/* ---- What may be registered -------------------------------------------- */

static uint64_t
flags_of(unsigned modes)
{
    return modes & ASPEN_USERFAULT_MODE_WP ? ASPEN_VM_UFFD_WP : 0;
}

/* With the flags in `uffd`, by a context that is asynchronous. */
static bool
may_have(const struct aspen_vma *vma, uint64_t uffd)
{
    const struct aspen_object *object = aspen_vma_backing(vma);

    if (vma->flags & (ASPEN_VM_RAW | ASPEN_VM_IO | ASPEN_VM_HUGETLB))
        return false;
    return uffd == ASPEN_VM_UFFD_WP || aspen_vma_is_anonymous(vma) ||
           (object && object->kind == ASPEN_OBJECT_SHMEM);
}

static int
judge_register(const struct aspen_change *change, const struct aspen_vma *vma,
               uint64_t *flags)
{
    uint64_t had = vma->flags & ASPEN_VM_UFFD;

    if (!may_have(vma, change->set))
        return -ASPEN_EINVAL;
    if (!(vma->flags & ASPEN_VM_MAYWRITE))
        return -ASPEN_EPERM;
    if (vma->userfault && vma->userfault != change->userfault)
        return -ASPEN_EBUSY;
    *flags = vma->flags;
    if (change->set & ~had)
        *flags = (vma->flags & ~ASPEN_VM_UFFD) | change->set;
    return 0;
}

/* change->userfault is NULL, and `set` tells nothing: what was there is in the
 * structure around it. */
struct unregister {
    struct aspen_change change;
    const struct aspen_userfault *userfault;
};

static int
judge_unregister(const struct aspen_change *change, const struct aspen_vma *vma,
                 uint64_t *flags)
{
    const struct unregister *unregister =
        aspen_container_of(change, const struct unregister, change);

    if ((vma->userfault && vma->userfault != unregister->userfault) ||
        !may_have(vma, vma->flags & ASPEN_VM_UFFD))
        return -ASPEN_EINVAL;
    *flags = vma->flags & ~ASPEN_VM_UFFD;
    return 0;
}

/* ---- Changes ----------------------------------------------------------- */

/* I1 */
static void
clear_marks(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_vma *vma = aspen_vma_find(mm, start);

    for (; vma && vma->start < end; vma = aspen_vma_next(vma))
        if (!(vma->flags & ASPEN_VM_UFFD_WP))
            aspen_userfault_unmark_range(vma, aspen_max_u64(vma->start, start),
                                         aspen_min_u64(vma->end, end));
}

/* The mmap lock is held for writing. */
static int
apply(struct aspen_change *change)
{
    struct aspen_vma *vma = aspen_vma_find(change->mm, change->start);

    if (!vma || vma->start >= change->end)
        return -ASPEN_EINVAL;
    int error = aspen_change_apply(change);
    if (!error && change->changes)
        clear_marks(change->mm, change->start, change->end);
    return error;
}

static int
change_all(struct aspen_change *change)
{
    struct aspen_mm *mm = change->mm;
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = apply(change);
    return error;
}

static struct aspen_change
change_of(struct aspen_userfault *userfault, uint64_t start, uint64_t end)
{
    return (struct aspen_change){
        .mm = userfault->mm,
        .start = start,
        .end = aspen_min_u64(end, userfault->mm->address_limit),
        .judge = judge_unregister,
        .holes_allowed = true,
        .userfaults = true,
    };
}

int
aspen_userfault_register_alive(struct aspen_userfault *userfault,
                               uint64_t address, uint64_t length_bytes,
                               unsigned modes)
{
    int error =
        aspen_userfault_check_range(userfault->mm, address, length_bytes);
    if (error || !modes || modes & ~MODES)
        return -ASPEN_EINVAL;
    struct aspen_change change =
        change_of(userfault, address, address + length_bytes);
    change.judge = judge_register;
    change.set = flags_of(modes);
    change.userfault = userfault;
    return change_all(&change);
}

int
aspen_userfault_unregister_alive(struct aspen_userfault *userfault,
                                 uint64_t address, uint64_t length_bytes)
{
    int error =
        aspen_userfault_check_range(userfault->mm, address, length_bytes);
    if (error)
        return error;
    struct unregister unregister = {
        .change = change_of(userfault, address, address + length_bytes),
        .userfault = userfault,
    };
    return change_all(&unregister.change);
}

/* ---- The end ----------------------------------------------------------- */

/* Without memory it stays a VMA of its own. */
static void
forget(struct aspen_userfault *userfault, struct aspen_vma *vma, uint64_t start,
       uint64_t end)
{
    struct unregister unregister = {
        .change = change_of(userfault, start, end),
        .userfault = userfault,
    };

    if (aspen_change_apply(&unregister.change)) {
        aspen_vma_write_lock(vma);
        aspen_store_relaxed(&vma->flags, vma->flags & ~ASPEN_VM_UFFD);
        aspen_vma_set_userfault(vma, NULL);
    }
    clear_marks(userfault->mm, start, end);
}

void
aspen_userfault_forget_all(struct aspen_userfault *userfault)
{
    struct aspen_mm *mm = userfault->mm;
    struct aspen_vma *vma;
    uint64_t end;

    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    for (uint64_t at = 0; (vma = aspen_vma_find(mm, at)) != NULL; at = end) {
        end = vma->end;
        if (vma->userfault == userfault)
            forget(userfault, vma, vma->start, end);
    }
    aspen_mm_write_end(mm);
}
