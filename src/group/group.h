/* SPDX-License-Identifier: MIT */
/*
 * group/group.h - what a group is charged with, how long it lives, and who
 * pays. struct aspen_group is drawn in group_struct.h; frames and swap slots
 * know theirs (frames/frames.h, machine/swap_area.h).
 *
 *     charge    this CPU's pages ahead -> a batch for it -> just what is asked
 *               -> what other CPUs hold ahead is given back; once more ->
 * refuse uncharge  this CPU's pages ahead, as long as they are few
 */
#ifndef ASPEN_GROUP_GROUP_H
#define ASPEN_GROUP_GROUP_H

#include "internal.h"

/* ---- charge.c: pages, slots ---------------------------------------------- */

/* Charge a group that the caller holds. 0, or -ASPEN_ENOMEM and nothing is
 * charged. *above, if it is not NULL, is a group whose pages should leave, with
 * a reference: if it fails the one that is full, else one that has more than
 * its `high`, or it stays as it is. Context: any lock may be held; never
 * sleeps. */
ASPEN_MUST_USE int aspen_group_charge(struct aspen_group *group, uint64_t pages,
                                      struct aspen_group **above);
void aspen_group_uncharge(struct aspen_group *group, uint64_t pages);

/* The same by one page, of the group that a space is in, if it is in one:
 * *group, or NULL. */
ASPEN_MUST_USE int aspen_group_charge_mm(const struct aspen_mm *mm,
                                         uint64_t pages,
                                         struct aspen_group **group,
                                         struct aspen_group **above);

/* A slot of swap: 0 or -ASPEN_ENOSPC. has: may it have one more, for a page
 * that should leave? Both note that there is none within the limit. */
ASPEN_MUST_USE int aspen_group_charge_slot(struct aspen_group *group);
ASPEN_MUST_USE bool aspen_group_has_slot(struct aspen_group *group);
void aspen_group_uncharge_slot(struct aspen_group *group);

/*
 * From one group to another, of which one may be NULL: none. Groups above both
 * notice nothing. begin: as many as will go, at the most, are charged to `to`:
 * 0 or -ASPEN_ENOMEM (ASPEN_STEP_CHARGE), and nothing is. more: there are more
 * of them, whatever the limits say. end: of all that was charged so many have
 * gone; `from` is charged with them no more. Context: as a charge; both have a
 * handle.
 */
struct aspen_group_transfer {
    struct aspen_group *from;
    struct aspen_group *to;
    uint64_t pages; /* charged to `to` */
    uint64_t slots;
};

ASPEN_MUST_USE int
aspen_group_transfer_begin(const struct aspen_group_transfer *transfer);
void aspen_group_transfer_more(struct aspen_group_transfer *transfer,
                               uint64_t pages, uint64_t slots);
void aspen_group_transfer_end(const struct aspen_group_transfer *transfer,
                              uint64_t pages, uint64_t slots);

/* Of all CPUs what they hold ahead of charges is given back; of `group` alone,
 * or, for NULL, all. Context: any. */
void aspen_group_drain(struct aspen *aspen, const struct aspen_group *group);

/* What CPUs hold ahead for the group and those below it. */
uint64_t aspen_group_ahead(struct aspen_group *group);

/* How many pages it has more than `high`. */
static inline uint64_t
aspen_group_excess(const struct aspen_group *group)
{
    uint64_t used = aspen_load_relaxed(&group->memory.used);

    return used - aspen_min_u64(used, aspen_load_relaxed(&group->high));
}

/* It has happened, and for all above as well. */
void aspen_group_note(struct aspen_group *group, enum aspen_group_event event);

/* A machine that has no group any more ends. */
void aspen_groups_destroy(struct aspen *aspen);

/* ---- protect.c ----------------------------------------------------------- */

/* Before reclaim: what groups ask for now. Context: any lock but leaves. */
void aspen_group_protect(struct aspen *aspen);

/* How many pages of a group, and of those below it, are protected from reclaim
 * that comes from `root`, which is above it or the group itself; NULL: the
 * machine. Context: any; both stay. */
uint64_t aspen_group_protected(const struct aspen_group *group,
                               const struct aspen_group *root,
                               enum aspen_group_protection kind);

/* ---- tree.c: life -------------------------------------------------------- */

/* It is in the tree from now on: one handle, and with that one reference. */
void aspen_group_publish(struct aspen_group *group);

/* So many references, unless it has none; and back. Context: any. */
ASPEN_MUST_USE bool aspen_group_hold(struct aspen_group *group, uint64_t count);
void aspen_group_drop(struct aspen_group *group, uint64_t count);

static inline bool
aspen_group_is_online(const struct aspen_group *group)
{
    return aspen_load(&group->handles) > 0;
}

/* Is `group` that one, or below it? */
bool aspen_group_is_in(const struct aspen_group *group,
                       const struct aspen_group *above);

/*
 * The next one of `root` and those below it, parents first, with a reference;
 * that of `previous`, NULL at first, is dropped. NULL: that was the last one.
 * `root` NULL: of all.
 */
struct aspen_group *aspen_group_next(struct aspen *aspen,
                                     struct aspen_group *root,
                                     struct aspen_group *previous);

#endif
