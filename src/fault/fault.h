/* SPDX-License-Identifier: MIT */
/*
 * fault/fault.h - a page fault under way, shared by the files of this layer.
 */
#ifndef ASPEN_FAULT_FAULT_H
#define ASPEN_FAULT_FAULT_H

#include "object/page_cache.h"
#include "reclaim/direct.h"
#include <aspen/fault.h>

/*
 * Besides 0 and errors a handler answers what it needs before it can go on. The
 * fault drops its locks, meets the need, and looks at everything again.
 */
enum aspen_fault_need {
    ASPEN_FAULT_MMAP_LOCK = 1, /* the VMA's own lock is not enough */
    ASPEN_FAULT_PAGE,          /* a page of `wanted` at `page_offset` */
    ASPEN_FAULT_STACK,         /* the VMA above has to grow down */
    ASPEN_FAULT_DIRTY,         /* `page` of `wanted` has to become dirty */
    ASPEN_FAULT_SWAP,          /* the page of `swap_entry` */
    ASPEN_FAULT_DEVICE,        /* `wanted` says what is at `page_offset` */
    ASPEN_FAULT_MOVING,        /* the page is just being moved */
    ASPEN_FAULT_MEMORY,        /* others have to give some up */
};

/*
 * I1  `page`, unless NO_FRAME, has a reference that is ours and is the page at
 *     `page_offset` of `page_object`.
 * I2  While no lock is held `page_object`, if there is a page, is `pinned`, so
 *     that it is the same object when it is compared again.
 *
 * populate.c and hold.c fault many pages under one hold of the mmap lock, with
 * one struct for all of them:
 *
 *     struct aspen_fault fault;
 *     aspen_fault_begin(&fault, mm, access);
 *     for each page, while the mmap lock is held for reading:
 *         aspen_fault_at(&fault, address);
 *         need = aspen_fault_try(&fault, vma);
 *         if need > 0: drop the lock, aspen_fault_meet(&fault, need), lock,
 *                      find the VMA, try again
 *     aspen_fault_end(&fault);
 */
struct aspen_fault {
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint64_t address;      /* of the page */
    unsigned access;       /* one of READ, WRITE, EXEC */
    bool nowait;           /* -ASPEN_EAGAIN rather than wait for a pager */
    uint32_t rights;       /* of the thread, by protection keys */
    bool forced;           /* allowed whatever the VMA says: who asks knows */
    bool own;              /* the page has to be the private VMA's own, as for
                              a write; writable only if the VMA is */
    bool mmap_locked;      /* the mmap lock is held for reading, else the
                              VMA's own lock */
    bool major;            /* it had to read, or to wait for who does */
    bool made_anon;        /* a page that is counted when the fault is */
    struct aspen_vma *vma; /* while locked */

    struct aspen_direct direct; /* for MEMORY */
    uint32_t page;
    struct aspen_object *page_object;
    uint64_t page_offset;
    struct aspen_object *pinned; /* one reference of ours, or NULL */
    struct aspen_object *wanted; /* the same: what a need is about */
    enum aspen_ahead ahead;      /* for PAGE */
    uint64_t swap_entry;         /* for SWAP, as the next */
    uint64_t swap_wanted;        /* as of aspen_swap_read() */
    int swap_error;              /* of a device, reading swap_entry; or 0 */
    uint32_t moves_ended;        /* for MOVING: migrate/moving.h */
    bool device_known;           /* `device` is page_object's answer for
                                    page_offset, at `device_count` */
    uint32_t device_count;       /* the object's change_count before it */
    uint64_t device_flushes;     /* the space's generation before it */
    struct aspen_device_frame device;
};

static inline bool
aspen_fault_is_write(const struct aspen_fault *fault)
{
    return fault->access == ASPEN_ACCESS_WRITE;
}

/* Does it want a private page of the VMA's own? */
static inline bool
aspen_fault_wants_own(const struct aspen_fault *fault)
{
    return (aspen_fault_is_write(fault) || fault->own) &&
           !(fault->vma->flags & ASPEN_VM_SHARED);
}

/* Bits of a new entry of the VMA, not writable. */
static inline unsigned
aspen_fault_bits(const struct aspen_fault *fault)
{
    return (aspen_entry_bits_of(fault->aspen, fault->vma->flags) &
            ~ASPEN_ENTRY_WRITE) |
           ASPEN_ENTRY_YOUNG;
}

/* Bits of an entry that leads to a page of the VMA's own. */
static inline unsigned
aspen_fault_own_bits(const struct aspen_fault *fault)
{
    return aspen_fault_bits(fault) | ASPEN_ENTRY_DIRTY |
           (fault->vma->flags & ASPEN_VM_WRITE ? ASPEN_ENTRY_WRITE : 0);
}

/* Does the VMA's object say page by page what is there? */
static inline bool
aspen_fault_asks(const struct aspen_fault *fault)
{
    const struct aspen_object *object = aspen_vma_backing(fault->vma);

    return object && object->pager && object->pager->fault;
}

/* It has said so: has nothing of it been unmapped since? I1 of device.c, under
 * the lock of the table. */
static inline bool
aspen_fault_answer_holds(const struct aspen_fault *fault)
{
    aspen_fence();
    return aspen_load(&fault->vma->object->change_count) == fault->device_count;
}

static inline void
aspen_fault_drop_page(struct aspen_fault *fault)
{
    if (fault->page != ASPEN_NO_FRAME)
        aspen_frame_put(fault->aspen, fault->page);
    fault->page = ASPEN_NO_FRAME;
}

/* ---- fault.c: the whole ------------------------------------------------ */

/* `access`: as aspen_fault(), checked. */
void aspen_fault_begin(struct aspen_fault *fault, struct aspen_mm *mm,
                       unsigned access);
/* The next page, before the first as well. Any lock. */
void aspen_fault_at(struct aspen_fault *fault, uint64_t address);
/* Gives back what is held. No spin lock is held. */
void aspen_fault_end(struct aspen_fault *fault);

/* One look at the address, which `vma` contains; the mmap lock is held for
 * reading. 0: look again whether the access works now; a need; an error. */
ASPEN_MUST_USE int aspen_fault_try(struct aspen_fault *fault,
                                   struct aspen_vma *vma);

/* Meet a need. No lock is held. 0: try again; or an error. */
ASPEN_MUST_USE int aspen_fault_meet(struct aspen_fault *fault, int need);

/* ---- special.c: raw memory of a special mapping ------------------------ */

/* 0 or an error: the hook's (ASPEN_STEP_HOOK), -ASPEN_EFBIG, -ASPEN_ENOMEM. */
ASPEN_MUST_USE int aspen_fault_special(struct aspen_fault *fault);

/* ---- anon.c: pages of no object ---------------------------------------- */

/* Nothing is there and the VMA has no object. */
ASPEN_MUST_USE int aspen_fault_anon(struct aspen_fault *fault);

/* A private frame, not visible yet: contents are a copy of `source`, or zero
 * for NO_FRAME. 0, -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP. */
ASPEN_MUST_USE int aspen_fault_new_page(struct aspen_fault *fault,
                                        uint32_t source, uint32_t *frame);

/* May the VMA get an anonymous page under the lock that is held? 0 or
 * ASPEN_FAULT_MMAP_LOCK. Asked first, so that nothing is done in vain. */
ASPEN_MUST_USE int aspen_fault_may_own(const struct aspen_fault *fault);

/* Make the VMA able to own pages: the last step that may fail. */
ASPEN_MUST_USE int aspen_fault_own(struct aspen_fault *fault, uint32_t frame);

/* Map a new private frame, writable if the VMA is, where nothing is. Always
 * takes the frame. */
ASPEN_MUST_USE int aspen_fault_map_private(struct aspen_fault *fault,
                                           uint32_t frame);

/* ---- need.c: what an object has to be asked ----------------------------- */

/* Ask for something about the VMA's object that is done without locks; the
 * object stays until then. Returns `what`. */
ASPEN_MUST_USE int aspen_fault_need_object(struct aspen_fault *fault, int what);
/* Its reference is ours (I2) from now on. */
void aspen_fault_pin_wanted(struct aspen_fault *fault);

/* ---- file.c: pages of an object ---------------------------------------- */

/* Nothing is there and the VMA has an object. */
ASPEN_MUST_USE int aspen_fault_object(struct aspen_fault *fault);

/* A write to an entry of a shared mapping that is read-only and leads to a page
 * of the object. */
ASPEN_MUST_USE int aspen_fault_write_shared(struct aspen_fault *fault,
                                            const struct aspen_slot *slot,
                                            uint64_t entry);

/* Meet ASPEN_FAULT_PAGE, _DIRTY. No lock is held. */
ASPEN_MUST_USE int aspen_fault_fetch(struct aspen_fault *fault);
ASPEN_MUST_USE int aspen_fault_make_dirty(struct aspen_fault *fault);

/* ---- swap.c: pages that are swapped out --------------------------------- */

/* A swap entry is there. */
ASPEN_MUST_USE int aspen_fault_swap(struct aspen_fault *fault,
                                    const struct aspen_slot *slot,
                                    uint64_t entry);

/* Meet ASPEN_FAULT_SWAP. No lock is held. */
ASPEN_MUST_USE int aspen_fault_read_swap(struct aspen_fault *fault);

/* ---- device.c: raw frames of an object --------------------------------- */

/* Nothing is there, or a raw frame that is read-only is to be written, and the
 * VMA's object has raw frames. */
ASPEN_MUST_USE int aspen_fault_device(struct aspen_fault *fault);

/* Meet ASPEN_FAULT_DEVICE. No lock is held. */
ASPEN_MUST_USE int aspen_fault_ask_device(struct aspen_fault *fault);

/* ---- cow.c: a write to a page that is read-only ------------------------ */

/* Private: copy, or take over a page that is the VMA's alone. A page that is
 * pinned stays. */
ASPEN_MUST_USE int aspen_fault_copy(struct aspen_fault *fault,
                                    const struct aspen_slot *slot,
                                    uint64_t entry);

/* ---- map_entry.c: one entry -------------------------------------------- */

/*
 * Put `entry` at the fault's address, where nothing is mapped. The one
 * reference of a counted frame becomes the entry's. 0 and *done (false:
 * somebody else was quicker, and the access has to look again), or
 * -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_fault_map(struct aspen_fault *fault, uint64_t entry,
                                   bool *done);

/* The same at an address whose slot, of level 0, is known. False: somebody was
 * quicker. */
bool aspen_fault_map_at(struct aspen_fault *fault,
                        const struct aspen_slot *slot, uint64_t address,
                        uint64_t entry);

/* Give a leaf more bits unless it changed meanwhile. */
void aspen_fault_set_bits(struct aspen_fault *fault,
                          const struct aspen_slot *slot, uint64_t entry,
                          unsigned bits);

/* Take the mark of userfault off a leaf, unless it changed meanwhile. */
void aspen_fault_unmark(struct aspen_fault *fault,
                        const struct aspen_slot *slot, uint64_t entry);

/* ---- stack.c ----------------------------------------------------------- */

/* Grow the VMA above down to the fault's address. No lock is held. 0 (look
 * again), or -ASPEN_EFAULT, -ASPEN_ENOMEM, -ASPEN_EINTR. */
ASPEN_MUST_USE int aspen_fault_stack(struct aspen_fault *fault);

#endif
