/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_map.h - how often each swap slot is referenced, and which page
 * in memory it leads to: the swap cache (swap/swap.h). No I/O.
 */
#ifndef ASPEN_MACHINE_SWAP_MAP_H
#define ASPEN_MACHINE_SWAP_MAP_H

#include "frames/frames.h"

/* ---- swap_map.c: references -------------------------------------------- */

/*
 * A free slot with one reference, the caller's, of an area with a device: the
 * page, which is locked and in no slot's cache, is in that of the slot, DIRTY,
 * and its group is charged with the slot until it is free. 0 for `frame`: for
 * no page. 0, -ASPEN_ENOSPC (ASPEN_STEP_SWAP; ASPEN_STEP_CHARGE if there is a
 * group) and nothing has changed.
 *
 * Whoever knows the slot from before, and may still look there, finds the page
 * from the moment on in which the slot is in use.
 */
ASPEN_MUST_USE int aspen_swap_alloc(struct aspen *aspen, uint32_t frame,
                                    unsigned *type, uint32_t *slot);

/* Is there one for the page? Others may take it, or give some back. */
bool aspen_swap_has_room(const struct aspen *aspen, uint32_t frame);

/* Who is charged with a slot, with a reference; or NULL. */
struct aspen_group *aspen_swap_group_of(struct aspen *aspen, unsigned type,
                                        uint32_t slot);

/* Does one entry have the slot, or says so (`alone`), and is it charged to
 * `from`? */
bool aspen_swap_would_regroup(struct aspen *aspen, unsigned type, uint32_t slot,
                              bool alone, const struct aspen_group *from);

/* If that is so the slot becomes `to`'s, as long as its page in memory is
 * `frame` (NO_FRAME: it has none), which is locked. 0; -ASPEN_EBUSY: it is not
 * so; -ASPEN_EAGAIN: it has another page, or none. */
ASPEN_MUST_USE int aspen_swap_regroup(struct aspen *aspen, unsigned type,
                                      uint32_t slot, bool alone, uint32_t frame,
                                      struct aspen_group *from,
                                      struct aspen_group *to);

/*
 * One more reference. 0, -ASPEN_EINVAL (no such slot), or -ASPEN_EAGAIN: the
 * slot's byte is full and its block has no continuation; call
 * aspen_swap_continue() without spin locks, then try again. Takes no memory.
 */
ASPEN_MUST_USE int aspen_swap_duplicate(struct aspen *aspen, unsigned type,
                                        uint32_t slot);

/* Give the slot's block a continuation, if the slot still needs one. 0 or
 * -ASPEN_ENOMEM (ASPEN_STEP_SWAP). */
ASPEN_MUST_USE int aspen_swap_continue(struct aspen *aspen, unsigned type,
                                       uint32_t slot);

/* One more reference, with a continuation if it takes one. 0, -ASPEN_EINVAL (no
 * such slot) or -ASPEN_ENOMEM. No spin lock is held. */
ASPEN_MUST_USE int aspen_swap_hold(struct aspen *aspen, unsigned type,
                                   uint32_t slot);

/* One reference less; the last frees the slot, and its page leaves the swap
 * cache. Context: any lock but leaves. */
void aspen_swap_free(struct aspen *aspen, unsigned type, uint32_t slot);

/* References now; 0: free. -1 when there is no such slot. */
int64_t aspen_swap_references(struct aspen *aspen, unsigned type,
                              uint32_t slot);

/* Claim a particular slot (import): one more reference, free or not; makes
 * the continuation itself. Not of a device: what is there is whose entry leads
 * there, and may be his alone. */
ASPEN_MUST_USE int aspen_swap_claim(struct aspen *aspen, unsigned type,
                                    uint32_t slot);

/* A write to the slot failed: it is not handed out again once it is free. */
void aspen_swap_spoil(struct aspen *aspen, unsigned type, uint32_t slot);

/* ---- swap_cache.c: pages ----------------------------------------------- */

/* For how long a page was not in memory, as a policy is told (policy.h). */
struct aspen_swap_absence {
    uint64_t away;
    bool referenced;
};

/* The slot leads to the page from now on, which is to be read, and has a
 * reference of it: 0 and *absence, of the one that it led to before;
 * -ASPEN_ENOENT (the slot is free), -ASPEN_EEXIST (it leads to another),
 * -ASPEN_EOPNOTSUPP (the area has no device). */
ASPEN_MUST_USE int aspen_swap_cache_add(struct aspen *aspen, unsigned type,
                                        uint32_t slot, uint32_t frame,
                                        struct aspen_swap_absence *absence);

/* The slot's page, with a reference for the caller, or ASPEN_NO_FRAME. */
uint32_t aspen_swap_cache_find(struct aspen *aspen, unsigned type,
                               uint32_t slot);

/* The same for the first slot from *slot on that has one. Takes a few steps,
 * however many there are. */
uint32_t aspen_swap_cache_next(struct aspen *aspen, unsigned type,
                               uint32_t *slot);

/* Is there a page, read or being read? */
bool aspen_swap_is_cached(struct aspen *aspen, unsigned type, uint32_t slot);

/* The page, which is locked, has been read; and is there one that was? */
void aspen_swap_cache_was_read(struct aspen *aspen, uint32_t frame);
bool aspen_swap_cache_has_read(struct aspen *aspen, unsigned type,
                               uint32_t slot);

/* Of a page in the cache: it was read though nobody needed it. take: is it so,
 * and it is not from now on. The caller holds the page, for set its slot. */
void aspen_swap_ahead_set(struct aspen *aspen, uint32_t frame);
bool aspen_swap_ahead_take(struct aspen *aspen, uint32_t frame);

bool aspen_swap_cache_has(struct aspen *aspen, unsigned type, uint32_t slot,
                          uint32_t frame);

/* The slot of a page, whose cache it may leave at any time unless somebody
 * holds the slot: false if it is in none. */
bool aspen_swap_slot_of(const struct aspen *aspen, uint32_t frame,
                        unsigned *type, uint32_t *slot);

/* The page, which nobody maps, leaves the cache, whose reference is put.
 * remove: if the caller's is the only other one; the slot remembers when. drop:
 * whoever has it. False: it stays, or was not there. */
bool aspen_swap_cache_remove(struct aspen *aspen, unsigned type, uint32_t slot,
                             uint32_t frame);
bool aspen_swap_cache_drop(struct aspen *aspen, unsigned type, uint32_t slot,
                           uint32_t frame);

/*
 * The page, which is locked, makes place for another, which nobody else knows
 * and which has all that it is but its contents: they are copied, and the
 * cache's reference of the one becomes one of the other. False: it is in the
 * cache no more, or held by others than its entries, the cache and the caller.
 */
ASPEN_MUST_USE bool aspen_swap_cache_replace(struct aspen *aspen, unsigned type,
                                             uint32_t slot, uint32_t old,
                                             uint32_t new);

/* ---- swap_area.c: areas ------------------------------------------------- */

/* There are groups (banks.groups): each area can say of a slot whose it is. 0
 * or -ASPEN_ENOMEM. Context: may sleep. */
ASPEN_MUST_USE int aspen_swap_make_groups(struct aspen *aspen);

/* aspen_swap_add(), without reclaim. */
ASPEN_MUST_USE int aspen_swap_try_add(struct aspen *aspen,
                                      const struct aspen_swap_args *args,
                                      unsigned *type);

/* The area is to go: no slot of it is taken any more, but by who has one: 0,
 * -ASPEN_EINVAL (no such area), -ASPEN_EBUSY (it is leaving already). */
ASPEN_MUST_USE int aspen_swap_leave(struct aspen *aspen, unsigned type);
bool aspen_swap_is_empty(struct aspen *aspen, unsigned type);

/* After leave: it stays; or it is empty, and gone. */
void aspen_swap_stay(struct aspen *aspen, unsigned type);
void aspen_swap_end(struct aspen *aspen, unsigned type);

/* Check counts against each other; NULL or what does not hold. */
const char *aspen_swap_check(struct aspen *aspen, unsigned *type,
                             uint32_t *slot);

/* Free all areas' memory (machine destroy). */
void aspen_swap_destroy(struct aspen *aspen);

#endif
