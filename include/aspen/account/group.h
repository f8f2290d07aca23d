/* SPDX-License-Identifier: MIT */
/**
 * aspen/account/group.h - groups of spaces that share a part of the memory.
 *
 *     machine ---- services (max 4 GiB) ---- mail (low 1 GiB)
 *             \                         \--- web  (high 2 GiB)
 *              \-- batch (max 2 GiB, swap max 1 GiB)
 *
 * Groups are a tree. Each space is in one, or in none: the machine's own. What
 * a group is charged with counts for all those above it as well:
 *
 *   - anonymous pages: the group of the space that faulted first;
 *   - pages of files and of shared memory: the group of who filled them first,
 *     whoever maps them. aspen_object_read() and aspen_object_write() ask the
 *     hook `group` (aspen/hooks.h) who that is;
 *   - swap slots: the group whose page went there, which also gets it back.
 *
 * A page is charged before anybody can find it, and until it is freed. Page
 * tables and other structures of the core are not charged.
 *
 * A group whose last handle is given back, while no space is in it, is offline:
 * it stays in the tree, with its limits, until the last page and slot are
 * freed, and is freed then. What comes back from swap for it is charged to the
 * group of who reads it.
 *
 * A machine that makes no group pays one branch where a page is charged and
 * where it is freed. With groups, each CPU charges 64 pages at a time, so two
 * CPUs that fault in one group share no cache line for it.
 *
 * Sizes are pages. Source: Linux's cgroup v2, memory controller, v6.12.
 */
#ifndef ASPEN_GROUP_H
#define ASPEN_GROUP_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;
struct aspen_mm;
struct aspen_group;

/** No limit. */
#define ASPEN_GROUP_UNLIMITED UINT64_MAX

enum aspen_group_limit {
    /* memory.min: so many pages stay, whoever else needs memory; 0. Those below
     * share what is above them, and what they leave of it. A limit of its own,
     * and aspen_group_reclaim() of itself, knows no such protection. */
    ASPEN_GROUP_MIN,
    ASPEN_GROUP_LOW,  /* memory.low: as long as others have some that could
                         leave; 0 */
    ASPEN_GROUP_HIGH, /* memory.high: above it who charges takes pages out of
                         the group, as many as are too many, up to 128,
                         before his fault or call ends */
    ASPEN_GROUP_MAX,  /* memory.max: no more, at any moment */
    ASPEN_GROUP_SWAP_MAX, /* memory.swap.max: no more slots */
    ASPEN_GROUP_LIMITS
};

/** How often, in the group and in those below it. */
enum aspen_group_event {
    ASPEN_GROUP_EVENT_LOW,      /* pages left although it had no more than `low`
                                 */
    ASPEN_GROUP_EVENT_HIGH,     /* who charged had to take pages out of it */
    ASPEN_GROUP_EVENT_MAX,      /* a charge met `max`, and pages had to leave */
    ASPEN_GROUP_EVENT_OOM,      /* a charge failed: none could leave */
    ASPEN_GROUP_EVENT_OOM_KILL, /* a space was killed that is in it */
    ASPEN_GROUP_EVENT_SWAP_MAX, /* a page found no slot within `swap max` */
    ASPEN_GROUP_EVENTS
};

/**
 * A new group below `parent`, or of the machine's own (NULL), without limits or
 * protection. The first one of a machine takes
 * 8 bytes for each frame and each slot of swap areas.
 *
 * Owns:    the caller has a handle of *group (aspen_group_put()).
 * Context: may sleep; no lock of the core is held.
 * Returns: 0, or -ASPEN_EINVAL (`parent` is of another machine), -ASPEN_ENOMEM
 *          (ASPEN_STEP_GROUP), -ASPEN_EINTR (a fatal signal, after pages have
 *          left memory for it). On error nothing has changed, but the memory
 *          for frames and slots may be there.
 * Source:  mkdir(2) in a cgroup2 file system.
 */
ASPEN_MUST_USE int aspen_group_create(struct aspen *aspen,
                                      struct aspen_group *parent,
                                      struct aspen_group **group);

/**
 * One more handle, of a group that the caller has one of, or whose space it is
 * a user of; one less: see above what becomes of the group with the last.
 *
 * Context: any lock but spin locks of the core may be held.
 */
void aspen_group_get(struct aspen_group *group);
void aspen_group_put(struct aspen_group *group);

/** A number for people, unique in the machine, from 1 on. Context: any. */
uint32_t aspen_group_number(const struct aspen_group *group);

/** The one above, which lives as long as the group; NULL: the machine's.
 * Context: any. */
struct aspen_group *aspen_group_parent(const struct aspen_group *group);

/**
 * Set a limit, in pages. If the group has more than a new `high` or `max` pages
 * leave, as aspen_group_reclaim(), a bounded number of times; what cannot leave
 * stays, and of more than `max` charges fail until it is less: then somebody
 * may be killed (aspen/calls/oom.h).
 *
 * Context: may sleep; no lock of the core is held.
 * Returns: 0, or -ASPEN_EINVAL (no such limit) and nothing changed.
 */
ASPEN_MUST_USE int aspen_group_limit_set(struct aspen_group *group,
                                         enum aspen_group_limit limit,
                                         uint64_t pages);
/** The limit; 0 if there is no such. Context: any. */
uint64_t aspen_group_limit(const struct aspen_group *group,
                           enum aspen_group_limit limit);

struct aspen_group_counters {
    uint64_t pages;           /* memory.current: exact when no call is under
                                 way */
    uint64_t peak_pages;      /* memory.peak; with what CPUs held ahead */
    uint64_t swap_pages;      /* memory.swap.current: slots */
    uint64_t peak_swap_pages; /* memory.swap.peak */
    uint64_t events[ASPEN_GROUP_EVENTS]; /* memory.events, since it was made */
};

/** Of the group and all below it. Context: never sleeps; takes spin locks of
 * the core. */
void aspen_group_counters_read(struct aspen_group *group,
                               struct aspen_group_counters *counters);

/**
 * As aspen_reclaim(), of the pages of the group and of those below it alone.
 *
 * Context: as aspen_reclaim().
 * Returns: how many left.
 * Source:  Linux's memory.reclaim.
 */
uint64_t aspen_group_reclaim(struct aspen_group *group, uint64_t pages);

/**
 * The next group from `group` on upwards that has no room for another page
 * (memory.max): what aspen_oom_select() is told when a fault of a space in
 * `group` has answered -ASPEN_ENOMEM. NULL: none is full, so the machine is. It
 * lives as long as `group`.
 *
 * Context: any; the caller has a handle of `group`, which may be NULL.
 */
struct aspen_group *aspen_group_full(struct aspen_group *group);

/**
 * The space is the group's from now on, or the machine's (NULL), with all
 * anonymous pages and slots of swap that it alone has and its group was charged
 * with. What another space has, too, stays charged where it is, and so do pages
 * of files and shared memory. A forked child is in its parent's group, and so
 * is what exec makes; a new space is in none.
 *
 * Pages that leave for swap meanwhile, are read ahead, or are given up by the
 * other one, go as well, and may bring the group above a limit.
 *
 * Context: may sleep; takes the mmap lock and all mappings' for writing. The
 *          caller has a handle of the group and is a user of the space.
 * Returns: 0; -ASPEN_ENOMEM: the group has no room for all of it
 *          (aspen_group_reclaim() may make some), or ASPEN_STEP_CHARGE;
 *          -ASPEN_EINVAL: the group is of another machine; -ASPEN_EINTR: a
 *          fatal signal. On error nothing has changed.
 * Source:  cgroup v1's memory.move_charge_at_immigrate; v2 moves no pages.
 */
ASPEN_MUST_USE int aspen_group_enter(struct aspen_mm *mm,
                                     struct aspen_group *group);

/** The group of a space, with a handle of the caller's; NULL: it is in none.
 * Context: may sleep; takes the mmap lock for reading. */
struct aspen_group *aspen_mm_group(struct aspen_mm *mm);

#ifdef __cplusplus
}
#endif

#endif
