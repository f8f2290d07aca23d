/* SPDX-License-Identifier: MIT */
/*
 * space/vma.h - VMAs: memory, lookup, the per-VMA lock.
 *
 * A VMA is locked for writing when its lock_sequence equals its mm's. Unlocking
 * the mmap lock for writing raises the mm's, and so unlocks all VMAs at once.
 * lock_readers counts readers; its top bit is set while a writer waits for
 * them, and while the VMA is free. Where faults of several CPUs meet readers
 * write a line of their CPU instead. vma.c says why that is enough.
 */
#ifndef ASPEN_SPACE_VMA_H
#define ASPEN_SPACE_VMA_H

#include "space/mm.h"

/* The access that mprotect() may give, each four bits above that itself. */
#define ASPEN_VM_MAY (ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC)

/* All flags that there are. */
#define ASPEN_VM_KNOWN                                                         \
    (ASPEN_VM_ACCESS | ASPEN_VM_SHARED | ASPEN_VM_MAYREAD |                    \
     ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC | ASPEN_VM_MAYSHARE |                \
     ASPEN_VM_GROWSDOWN | ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | ASPEN_VM_IO |  \
     ASPEN_VM_HUGETLB | ASPEN_VM_SPECIAL | ASPEN_VM_STACK | ASPEN_VM_ACCOUNT | \
     ASPEN_VM_NORESERVE | ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT |             \
     ASPEN_VM_SEALED | ASPEN_VM_DONTCOPY | ASPEN_VM_WIPEONFORK |               \
     ASPEN_VM_COPYONFORK | ASPEN_VM_SEQ_READ | ASPEN_VM_RAND_READ |            \
     ASPEN_VM_DONTEXPAND | ASPEN_VM_DONTDUMP | ASPEN_VM_HUGEPAGE |             \
     ASPEN_VM_NOHUGEPAGE | ASPEN_VM_MERGEABLE | ASPEN_VM_SYNC |                \
     ASPEN_VM_SOFTDIRTY | ASPEN_VM_UFFD | ASPEN_VM_BTI | ASPEN_VM_MTE |        \
     ASPEN_VM_PKEY | ASPEN_VM_CACHE)

/* Is all access one that it may have? */
static inline bool
aspen_access_may_be(uint64_t vm_flags)
{
    return ((vm_flags & ASPEN_VM_ACCESS) << 4 & ~vm_flags) == 0;
}

/* Linux's VM_SPECIAL: a driver's memory, or the kernel's own. It is not merged,
 * not locked, and left alone by most advice. */
#define ASPEN_VM_DRIVER                                                        \
    (ASPEN_VM_IO | ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | \
     ASPEN_VM_SPECIAL)

/* A driver's memory, which is somebody's already. */
#define ASPEN_VM_DEVICE (ASPEN_VM_IO | ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP)

/* No pages are there that a call could fault in or hold for somebody. */
#define ASPEN_VM_PAGELESS (ASPEN_VM_IO | ASPEN_VM_PFNMAP)

/* A fault puts nothing there, whoever knows the memory does. Without an object
 * it is not private zeroes, either. */
#define ASPEN_VM_NO_FAULT (ASPEN_VM_PFNMAP | ASPEN_VM_IO | ASPEN_VM_SPECIAL)

/* Page-table entries may lead to physical pages that are no frames. */
#define ASPEN_VM_RAW (ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | ASPEN_VM_SPECIAL)

/* A cache mode is for raw frames; instructions are not fetched, not even in
 * advance, from where a read may do something. */
static inline bool
aspen_vma_cache_mode_valid(uint64_t vm_flags)
{
    return !(vm_flags & ASPEN_VM_CACHE) ||
           (vm_flags & ASPEN_VM_RAW &&
            !(vm_flags & (ASPEN_VM_EXEC | ASPEN_VM_MAYEXEC)));
}

/*
 * A VMA with every field zero, empty lists, mm set, locked for writing. NULL:
 * no memory (ASPEN_STEP_VMA).
 * Context: the mmap lock of `mm` is held for writing, and stays held until the
 *          VMA is in the tree with all its fields set, or freed.
 */
struct aspen_vma *aspen_vma_alloc(struct aspen_mm *mm);

/* The same, as a copy: range, flags, object (no reference taken), pgoff, hooks;
 * no anon_vma, empty chain, on no index. */
struct aspen_vma *aspen_vma_copy(struct aspen_mm *mm,
                                 const struct aspen_vma *from);

/*
 * Free the memory. It is in no index and has no links, and its references have
 * been given back. Context: the mmap lock is held for writing since before it
 * left the tree.
 */
void aspen_vma_free(struct aspen_vma *vma);

static inline uint64_t
aspen_vma_pages(const struct aspen_vma *vma)
{
    return (vma->end - vma->start) >> ASPEN_PAGE_SHIFT;
}

/* Page offset of an address in the VMA (in its object, or anonymous). */
static inline uint64_t
aspen_vma_offset(const struct aspen_vma *vma, uint64_t address)
{
    return vma->pgoff + ((address - vma->start) >> ASPEN_PAGE_SHIFT);
}

static inline uint64_t
aspen_vma_address(const struct aspen_vma *vma, uint64_t offset)
{
    return vma->start + ((offset - vma->pgoff) << ASPEN_PAGE_SHIFT);
}

/* Where it begins to want room: a stack keeps a gap below it, as far as there
 * is anything below it. */
static inline uint64_t
aspen_vma_start_with_gap(const struct aspen_vma *vma)
{
    uint64_t gap = vma->flags & ASPEN_VM_GROWSDOWN
                       ? aspen_stack_guard_bytes(vma->mm->aspen)
                       : 0;

    return vma->start > gap ? vma->start - gap : 0;
}

/*
 * Note that there may be guards in its tables, so that fork copies them even
 * without an anon_vma. The note is never taken back: parts keep it, and a merge
 * passes it on to the whole. Context: any lock that allows to write entries.
 */
static inline void
aspen_vma_note_guards(struct aspen_vma *vma)
{
    if (!aspen_load_relaxed(&vma->guarded))
        aspen_store_relaxed(&vma->guarded, 1u);
}

/* It gets the name, and a reference to it; NULL: none. Context: the mmap lock
 * is held for writing, or nobody else can see the VMA. */
void aspen_vma_set_name(struct aspen_vma *vma, struct aspen_name *name);

/* Is it memory that goes when the space is killed? As on Linux: what is
 * private, but for huge pages of pools, and raw memory. */
static inline bool
aspen_vma_may_be_reaped(const struct aspen_vma *vma)
{
    return !(vma->flags &
             (ASPEN_VM_SHARED | ASPEN_VM_HUGETLB | ASPEN_VM_PFNMAP)) &&
           !vma->special;
}

/* Has that begun? Then nothing may come in where nothing is. */
static inline bool
aspen_vma_is_reaped(const struct aspen_vma *vma)
{
    return aspen_unlikely(aspen_load_relaxed(&vma->mm->flags) &
                          ASPEN_MM_UNSTABLE) &&
           aspen_vma_may_be_reaped(vma);
}

/*
 * May the page not leave memory, of which reclaim has an entry in the VMA under
 * its table's lock? Locked memory, or what mlock is about to lock. That is
 * looked at first: it ends after the flag is there. (Its start by acquire:
 * where that is another mlock's already, the flag of the one before is there.)
 */
static inline bool
aspen_vma_keeps(const struct aspen_vma *vma, const struct aspen_frame *page)
{
    const struct aspen_mm *mm = vma->mm;
    uint64_t end = aspen_load(&mm->filling_end);

    if (aspen_unlikely(end)) {
        uint64_t address = aspen_vma_address(vma, aspen_frame_offset(page));
        if (address >= aspen_load(&mm->filling_start) && address < end)
            return true;
    }
    return aspen_load_relaxed(&vma->flags) & ASPEN_VM_LOCKED;
}

/* `vma` is about to get the pages of `other`. */
static inline void
aspen_vma_inherit_guards(struct aspen_vma *vma, const struct aspen_vma *other)
{
    if (aspen_load_relaxed(&other->guarded))
        aspen_vma_note_guards(vma);
}

/* The object whose pages it shows, NULL: zeroes, though they may have an object
 * that they are named after. */
static inline struct aspen_object *
aspen_vma_backing(const struct aspen_vma *vma)
{
    return vma->object && vma->object->zeroes ? NULL : vma->object;
}

/* Private zeroes, whatever became of them? */
static inline bool
aspen_vma_is_anonymous(const struct aspen_vma *vma)
{
    return !aspen_vma_backing(vma) && !vma->special &&
           !(vma->flags & ASPEN_VM_NO_FAULT);
}

/* May pages of it become private copies? (MAYWRITE and not SHARED) */
static inline bool
aspen_vma_is_cow(const struct aspen_vma *vma)
{
    return (vma->flags & (ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE)) ==
           ASPEN_VM_MAYWRITE;
}

/*
 * Lock for writing. Context: mmap lock held for writing. Waits for readers;
 * killable: 0, or -ASPEN_EINTR (a crossing of ASPEN_STEP_INTERRUPT).
 */
void aspen_vma_write_lock(struct aspen_vma *vma);
ASPEN_MUST_USE int aspen_vma_write_lock_killable(struct aspen_vma *vma);

/*
 * Find the VMA at `address` and lock it for reading without the mmap lock.
 * NULL: none, or a writer is about: take the mmap lock and look again. *where:
 * for the unlock, by which CPU ever.
 */
struct aspen_vma *aspen_vma_read_lock_at(struct aspen_mm *mm, uint64_t address,
                                         unsigned *where);
void aspen_vma_read_unlock(struct aspen_vma *vma, unsigned where);

/* For a validator, when nobody is about. */
bool aspen_vma_has_readers(const struct aspen_vma *vma);

/* The VMA that contains `address`. (aspen_vma_find() is in aspen/vma.h.)
 * Context: mmap lock or RCU. */
struct aspen_vma *aspen_vma_at(struct aspen_mm *mm, uint64_t address);

#endif
