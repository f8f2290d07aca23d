/* SPDX-License-Identifier: MIT */
/*
 * fault/fault.c - page faults: locks, and which handler it is for.
 *
 *   VMA's lock, by RCU ---> handler ---> done
 *        | no VMA, or           | needs
 *        v a writer about       |   MMAP_LOCK  the VMA's lock is not enough
 *   mmap lock, reading ---> handler
 *                               |   PAGE       a pager has to read it
 *                               |   DIRTY      a pager has to allow the write
 *                               |   SWAP       a device has to read it
 *                               |   DEVICE     a hook has to name the frame
 *                               |   MOVING     its page has to be where it goes
 *                               |   STACK      a VMA has to grow down
 *                               |   MEMORY     pages have to leave it
 *                               v
 *                      all locks are dropped, the need is met, and the fault
 *                      starts from the top: anything may have changed
 *
 * I1  An entry changes only under its table's lock, after it was compared with
 *     the entry that the decision was based on. If it differs the fault answers
 *     0: the access looks again.
 * I2  Whatever fails, fails before the entry changes. It leaves behind empty
 *     page tables and cached pages of the object at most; and an anon_vma
 *     without pages, where Linux does (anon.c, I2).
 *
 * Called by the embedder. The first test to break is
 * tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "migrate/moving.h"
#include "object/object.h"
#include "space/pkeys.h"
#include "space/userfault.h"

static bool
allowed(const struct aspen_fault *fault)
{
    uint64_t vm_flags = fault->vma->flags;

    switch (fault->access) {
    case ASPEN_ACCESS_WRITE:
        return vm_flags & ASPEN_VM_WRITE;
    case ASPEN_ACCESS_EXEC:
        return vm_flags & ASPEN_VM_EXEC;
    default: /* what entries of the VMA allow, not what it says */
        return aspen_entry_bits_of(fault->aspen, vm_flags) & ASPEN_ENTRY_READ;
    }
}

/* 0, -ASPEN_EKEYREJECTED or -ASPEN_EACCES; as in Linux the key comes first. */
static int
check_access(const struct aspen_fault *fault)
{
    if (fault->forced)
        return 0;
    if (!aspen_rights_allow(fault->rights, aspen_pkey_of(fault->vma->flags),
                            fault->access))
        return -ASPEN_EKEYREJECTED;
    return allowed(fault) ? 0 : -ASPEN_EACCES;
}

/* ---- By what is there -------------------------------------------------- */

static int
handle_nothing(struct aspen_fault *fault)
{
    const struct aspen_vma *vma = fault->vma;

    if (aspen_vma_is_reaped(vma))
        return -ASPEN_ESRCH;
    if (vma->flags & (ASPEN_VM_HUGETLB | ASPEN_VM_UFFD_MISSING))
        return -ASPEN_EOPNOTSUPP;
    if (vma->special)
        return aspen_fault_special(fault);
    if (aspen_fault_asks(fault))
        return aspen_fault_device(fault);
    if (vma->flags & ASPEN_VM_NO_FAULT)
        return -ASPEN_EFBIG;
    return aspen_vma_backing(vma) ? aspen_fault_object(fault)
                                  : aspen_fault_anon(fault);
}

static int
handle_write(struct aspen_fault *fault, const struct aspen_slot *slot,
             uint64_t entry)
{
    if (slot->level > 0)
        return -ASPEN_EOPNOTSUPP;
    if (aspen_fault_is_write(fault) &&
        aspen_unlikely(aspen_entry_bits(entry) & ASPEN_ENTRY_UFFD_WP)) {
        if (!aspen_userfault_is_async(fault->vma))
            return -ASPEN_EOPNOTSUPP;
        aspen_fault_unmark(fault, slot, entry);
        return 0;
    }
    if (!(fault->vma->flags & ASPEN_VM_SHARED))
        return aspen_fault_copy(fault, slot, entry);
    if (aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL)
        return aspen_fault_device(fault);
    return aspen_fault_write_shared(fault, slot, entry);
}

/* If it is being moved still: what it allows then is another look. */
static int
handle_moving(struct aspen_fault *fault, const struct aspen_slot *slot)
{
    if (fault->nowait)
        return -ASPEN_EAGAIN;
    fault->moves_ended = aspen_moves_ended(fault->aspen);
    uint64_t entry = aspen_load(slot->entry); /* I1 of moving.h */
    if (!aspen_entry_is_leaf(entry, slot->level) ||
        !(aspen_entry_bits(entry) & ASPEN_ENTRY_MOVING))
        return 0;
    /* It may be the one that moves, which nobody else is to hold. */
    aspen_fault_drop_page(fault);
    return ASPEN_FAULT_MOVING;
}

static int
handle_leaf(struct aspen_fault *fault, const struct aspen_slot *slot,
            uint64_t entry)
{
    unsigned bits = aspen_entry_bits(entry);

    if (aspen_unlikely(bits & ASPEN_ENTRY_MOVING))
        return handle_moving(fault, slot);
    if ((aspen_fault_is_write(fault) || aspen_fault_wants_own(fault)) &&
        !(bits & ASPEN_ENTRY_WRITE))
        return handle_write(fault, slot, entry);
    if (aspen_fault_is_write(fault) &&
        (ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY) & ~bits) {
        /* It is clean or old, and the processor leaves saying so to us. */
        aspen_fault_set_bits(fault, slot, entry,
                             ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY);
        return 0;
    }
    if (aspen_fault_is_write(fault)) {
        /* Somebody else made it writable: our TLB may not know. */
        uint64_t span = aspen_entry_span(slot->level);
        uint64_t start = aspen_align_down(fault->address, span);
        aspen_tlb_flush(fault->mm, start, start + span, 1u << slot->level,
                        false);
        return 0;
    }
    if ((aspen_fault_bits(fault) & ~bits) != 0)
        aspen_fault_set_bits(fault, slot, entry, aspen_fault_bits(fault));
    return 0;
}

static int
handle_marker(struct aspen_fault *fault, uint64_t entry)
{
    switch (aspen_entry_marker(entry)) {
    case ASPEN_MARKER_GUARD:
        return -ASPEN_EFAULT;
    case ASPEN_MARKER_POISON:
        return -ASPEN_EHWPOISON;
    default: /* nothing is there, but that it is protected: map_entry.c */
        return handle_nothing(fault);
    }
}

static int
handle_access(struct aspen_fault *fault)
{
    struct aspen_slot slot;

    int error = check_access(fault);
    if (error)
        return error;
    uint64_t entry = aspen_table_walk(fault->mm, fault->address, &slot);
    if (entry == 0)
        return handle_nothing(fault);
    if (aspen_entry_is_leaf(entry, slot.level))
        return handle_leaf(fault, &slot, entry);
    if (aspen_entry_is_marker(entry))
        return handle_marker(fault, entry);
    return aspen_fault_swap(fault, &slot, entry);
}

/* It came to an end, whatever it was. */
static void
count(struct aspen_fault *fault)
{
    aspen_count(fault->aspen,
                fault->made_anon ? ASPEN_COUNT_ANON_FAULT : ASPEN_COUNT_FAULT,
                1);
    fault->made_anon = false;
    if (aspen_unlikely(fault->major))
        aspen_count(fault->aspen, ASPEN_COUNT_MAJOR_FAULT, 1);
}

/* fault->vma is locked and contains the address. */
static int
handle(struct aspen_fault *fault)
{
    aspen_direct_begin(&fault->direct);
    int result = handle_access(fault);
    if (aspen_unlikely(aspen_direct_wants(&fault->direct, result)) &&
        !fault->nowait) {
        aspen_fault_drop_page(fault); /* it may be one of those that leave */
        return ASPEN_FAULT_MEMORY;
    }
    if (result <= 0)
        count(fault);
    return result;
}

/* ---- Locks ------------------------------------------------------------- */

static int
try_vma_lock(struct aspen_fault *fault)
{
    unsigned where;
    struct aspen_vma *vma =
        aspen_vma_read_lock_at(fault->mm, fault->address, &where);

    if (!vma)
        return ASPEN_FAULT_MMAP_LOCK;
    fault->vma = vma;
    fault->mmap_locked = false;
    int result = handle(fault);
    aspen_vma_read_unlock(vma, where);
    return result;
}

static int
try_mmap_lock(struct aspen_fault *fault)
{
    struct aspen_mm *mm = fault->mm;
    int result;

    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    fault->vma = aspen_vma_find(mm, fault->address);
    fault->mmap_locked = true;
    if (!fault->vma)
        result = -ASPEN_EFAULT;
    else if (fault->vma->start <= fault->address)
        result = handle(fault);
    else if (fault->vma->flags & ASPEN_VM_GROWSDOWN)
        result = ASPEN_FAULT_STACK;
    else
        result = -ASPEN_EFAULT;
    aspen_read_unlock(&mm->mmap_lock);
    return result;
}

int
aspen_fault_try(struct aspen_fault *fault, struct aspen_vma *vma)
{
    ASPEN_ASSERT_TEST(aspen_lock_order_holds(&fault->mm->mmap_lock));
    fault->vma = vma;
    fault->mmap_locked = true;
    return handle(fault);
}

static int
meet(struct aspen_fault *fault, int need)
{
    switch (need) {
    case ASPEN_FAULT_PAGE:
        return aspen_fault_fetch(fault);
    case ASPEN_FAULT_DIRTY:
        return aspen_fault_make_dirty(fault);
    case ASPEN_FAULT_SWAP:
        return aspen_fault_read_swap(fault);
    case ASPEN_FAULT_DEVICE:
        return aspen_fault_ask_device(fault);
    case ASPEN_FAULT_MOVING:
        aspen_moves_wait(fault->aspen, fault->moves_ended);
        return 0;
    case ASPEN_FAULT_MEMORY:
        return -ASPEN_ENOMEM;
    default:
        return aspen_fault_stack(fault);
    }
}

int
aspen_fault_meet(struct aspen_fault *fault, int need)
{
    ASPEN_ASSERT_TEST(fault->page == ASPEN_NO_FRAME ||
                      fault->page_object == fault->pinned ||
                      fault->page_object == fault->wanted);
    if (need != ASPEN_FAULT_MEMORY)
        aspen_direct_begin(&fault->direct);
    int error = meet(fault, need);
    if (aspen_direct_again(&fault->direct, error))
        error = 0;
    return error ? error : aspen_poll_fatal(fault->aspen);
}

static int
run(struct aspen_fault *fault)
{
    for (;;) {
        int result = try_vma_lock(fault);
        if (result == ASPEN_FAULT_MMAP_LOCK)
            result = try_mmap_lock(fault);
        if (result <= 0)
            return result;
        result = aspen_fault_meet(fault, result);
        if (result)
            return result;
    }
}

void
aspen_fault_begin(struct aspen_fault *fault, struct aspen_mm *mm,
                  unsigned access)
{
    /* One by one: compilers fill a structure in a loop, which takes longer. */
    fault->aspen = mm->aspen;
    fault->mm = mm;
    fault->address = 0;
    fault->access = access & ~ASPEN_ACCESS_NOWAIT;
    fault->nowait = access & ASPEN_ACCESS_NOWAIT;
    fault->rights = ASPEN_RIGHTS_ALL;
    fault->forced = false;
    fault->own = false;
    fault->mmap_locked = false;
    fault->major = false;
    fault->made_anon = false;
    fault->vma = NULL;
    fault->direct = (struct aspen_direct){.aspen = mm->aspen, .payer.mm = mm};
    fault->page = ASPEN_NO_FRAME;
    fault->page_object = NULL;
    fault->page_offset = 0;
    fault->pinned = NULL;
    fault->wanted = NULL;
    fault->ahead = ASPEN_AHEAD_NORMAL;
    fault->swap_entry = 0;
    fault->swap_error = 0;
    fault->device_known = false;
    fault->device_count = 0;
    fault->device_flushes = 0;
}

void
aspen_fault_at(struct aspen_fault *fault, uint64_t address)
{
    uint64_t page = aspen_align_down(address, ASPEN_PAGE_SIZE);

    if (page != fault->address) {
        aspen_fault_drop_page(fault);
        fault->direct.attempts = fault->direct.idle = 0;
        fault->swap_error = 0;
    }
    fault->major = false;
    fault->address = page;
}

void
aspen_fault_end(struct aspen_fault *fault)
{
    aspen_fault_drop_page(fault);
    if (fault->pinned)
        aspen_object_put(fault->pinned);
    fault->pinned = NULL;
    aspen_payer_end(&fault->direct.payer);
}

static bool
access_valid(unsigned access)
{
    access &= ~ASPEN_ACCESS_NOWAIT;
    return access == ASPEN_ACCESS_READ || access == ASPEN_ACCESS_WRITE ||
           access == ASPEN_ACCESS_EXEC;
}

int
aspen_fault_with_rights(struct aspen_mm *mm, uint64_t address, unsigned access,
                        uint32_t rights)
{
    if (!access_valid(access))
        return -ASPEN_EINVAL;
    if (address >= mm->address_limit)
        return -ASPEN_EFAULT;
    struct aspen_fault fault;
    aspen_fault_begin(&fault, mm, access);
    fault.rights = aspen_rights_of(mm->aspen, rights);
    aspen_fault_at(&fault, address);
    int result = run(&fault);
    if (!fault.nowait)
        aspen_direct_lower(&fault.direct);
    aspen_fault_end(&fault);
    return result;
}

int
aspen_fault(struct aspen_mm *mm, uint64_t address, unsigned access)
{
    return aspen_fault_with_rights(mm, address, access, aspen_rights(mm));
}
