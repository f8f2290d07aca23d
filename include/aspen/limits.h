/* SPDX-License-Identifier: MIT */
/**
 * aspen/limits.h - what an address space may use, what its tasks are allowed
 * to do, and where its parts lie.
 *
 * A new space has no limit and no privilege; fork and exec inherit both.
 */
#ifndef ASPEN_LIMITS_H
#define ASPEN_LIMITS_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

#define ASPEN_UNLIMITED UINT64_MAX

/** Linux's resource limits that concern memory, soft ones but for the last. */
enum aspen_limit {
    ASPEN_LIMIT_AS,        /* RLIMIT_AS: all mappings */
    ASPEN_LIMIT_DATA,      /* RLIMIT_DATA: private writable mappings, brk */
    ASPEN_LIMIT_STACK,     /* RLIMIT_STACK: how large a stack grows */
    ASPEN_LIMIT_MEMLOCK,   /* RLIMIT_MEMLOCK */
    ASPEN_LIMIT_DATA_HARD, /* counts only while RLIMIT_DATA is 0 */
    ASPEN_LIMITS
};

/**
 * Set a limit. What is in use already stays, even above it.
 *
 * Units:   bytes, or ASPEN_UNLIMITED; parts of a page do not count.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (no such limit).
 */
ASPEN_MUST_USE int aspen_limit_set(struct aspen_mm *mm, enum aspen_limit limit,
                                   uint64_t bytes);

/** Context: any. An unknown limit is ASPEN_UNLIMITED. */
uint64_t aspen_limit(const struct aspen_mm *mm, enum aspen_limit limit);

/** Linux's capabilities that concern memory; ORed. */
#define ASPEN_PRIVILEGE_IPC_LOCK     1u /* MEMLOCK does not bind */
#define ASPEN_PRIVILEGE_SYS_ADMIN    2u /* may use the reserve of charge */
#define ASPEN_PRIVILEGE_SYS_RAWIO    4u /* may map below mmap_min_address */
#define ASPEN_PRIVILEGE_SYS_RESOURCE 8u /* may move parts of the layout */
#define ASPEN_PRIVILEGES             15u

/**
 * What the tasks of the space may do from now on.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (an unknown bit).
 */
ASPEN_MUST_USE int aspen_privileges_set(struct aspen_mm *mm,
                                        unsigned privileges);
/** Context: any. */
unsigned aspen_privileges(const struct aspen_mm *mm);

/**
 * Where the parts of a space lie. The first three decide where mappings go, so
 * neither address of them may be 0; a new space has all of user space there.
 * brk uses its own two; all others are only kept for those who ask. Of these 0
 * means: not known.
 */
struct aspen_layout {
    uint64_t mmap_base;   /* searches from the top down start below it */
    uint64_t mmap_bottom; /* searches from the bottom up start at it */
    bool bottom_up;       /* search upwards first (Linux's legacy layout) */
    uint64_t code_start;
    uint64_t code_end;
    uint64_t data_start;
    uint64_t data_end;
    uint64_t brk_start; /* the heap */
    uint64_t brk;
    uint64_t stack_start;
    uint64_t arg_start;
    uint64_t arg_end;
    uint64_t env_start;
    uint64_t env_end;
};

/**
 * Set the whole layout, with the checks of prctl(PR_SET_MM_MAP): each known
 * address lies in user space, of a start and its end both are known or none;
 * no start is above its end (code: each is below); heap and data together
 * respect ASPEN_LIMIT_DATA. mmap_base and mmap_bottom are known, page aligned
 * and not above user space: read the layout, or choose them, before.
 *
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (one of these does not hold). On error nothing
 *          has changed.
 * Source:  prctl(2).
 */
ASPEN_MUST_USE int aspen_layout_set(struct aspen_mm *mm,
                                    const struct aspen_layout *layout);

/** One field of the layout; the numbers are those of prctl(PR_SET_MM). */
enum aspen_layout_part {
    ASPEN_LAYOUT_CODE_START = 1,
    ASPEN_LAYOUT_CODE_END,
    ASPEN_LAYOUT_DATA_START,
    ASPEN_LAYOUT_DATA_END,
    ASPEN_LAYOUT_STACK_START,
    ASPEN_LAYOUT_BRK_START,
    ASPEN_LAYOUT_BRK,
    ASPEN_LAYOUT_ARG_START,
    ASPEN_LAYOUT_ARG_END,
    ASPEN_LAYOUT_ENV_START,
    ASPEN_LAYOUT_ENV_END,
};

/**
 * Set one field, with the checks of prctl(PR_SET_MM), in Linux's order.
 *
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EPERM (the space lacks SYS_RESOURCE), -ASPEN_EINVAL (no
 *          such part; not in user space; the layout would not pass
 *          aspen_layout_set()), -ASPEN_EFAULT (stack, arguments, environment:
 *          nothing is mapped from there on). On error nothing has changed.
 * Source:  prctl(2); Linux v6.12 prctl_set_mm().
 */
ASPEN_MUST_USE int aspen_layout_move(struct aspen_mm *mm,
                                     enum aspen_layout_part part,
                                     uint64_t address);

/** Context: may sleep. Takes the mmap lock for reading. */
void aspen_layout_read(struct aspen_mm *mm, struct aspen_layout *layout);

/** The layout's bottom_up. */
#define ASPEN_LAYOUT_CHOICE_BOTTOM_UP 1u
/** The stack's place is random: room for that stays above the area. */
#define ASPEN_LAYOUT_CHOICE_RANDOM_STACK 2u
#define ASPEN_LAYOUT_CHOICE_FLAGS        3u /* all that there are */

/** What Linux derives the ends of the mmap area from. */
struct aspen_layout_choice {
    unsigned flags; /* ASPEN_LAYOUT_CHOICE_*, ORed */
    /* How far chance moves the area: whole pages, at most an eighth of user
     * space, which is the most that Linux draws. More counts as that. */
    uint64_t random_bytes;
};

/**
 * Place the mmap area as exec does for a task with the limit STACK of `mm`:
 * fill in mmap_base, mmap_bottom and bottom_up, and leave the rest of *layout.
 * Changes nothing of the space.
 *
 * Context: any.
 * Returns: 0, or -ASPEN_EINVAL (an unknown flag), and *layout is as it was.
 * Source:  Linux v6.12 arch_pick_mmap_layout().
 */
ASPEN_MUST_USE int aspen_layout_choose(const struct aspen_mm *mm,
                                       const struct aspen_layout_choice *choice,
                                       struct aspen_layout *layout);

#ifdef __cplusplus
}
#endif

#endif
