/* SPDX-License-Identifier: MIT */
/*
 * life/oom.c - who is killed when no memory is left.
 *
 *     LIVE ---- aspen_oom_kill() ----> KILLED ---- reaped ---> KILLED, OOM_SKIP
 *                                        |                          ^
 *                                        +---- waited too long -----+
 *
 * I1  A space is killed once. KILLED is never taken back.
 * I2  Nobody is chosen while memory is coming back: a KILLED space without
 *     OOM_SKIP, one without a user, or an exit or a failed fork under way
 *     (giving_back), unless that takes longer than the embedder will wait.
 * I3  OOM_SKIP comes when the memory is free, not before.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/life/test_oom.c.
 */
#include <aspen/calls/oom.h>

#include "group/group.h"
#include "space/mm.h"

/* ---- What a space is worth --------------------------------------------- */

/* RAM and swap, in pages. */
static uint64_t
all_memory(const struct aspen *aspen)
{
    uint64_t pages = aspen_load_relaxed(&aspen->banks.ram_frames);

    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++)
        pages += aspen_load_relaxed(&aspen->swap[i].slots);
    return pages;
}

int64_t
aspen_oom_badness(const struct aspen_mm *mm)
{
    int64_t adjust = aspen_load_relaxed(&mm->oom_adjust);
    uint64_t pages = aspen_load_relaxed(&mm->page_tables) + 1; /* the top one */

    if (adjust == -ASPEN_OOM_ADJUST_MAX ||
        aspen_load_relaxed(&mm->flags) & ASPEN_MM_OOM_SKIP ||
        aspen_load_relaxed(&mm->users) == 0)
        return ASPEN_OOM_NEVER;
    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++)
        pages += aspen_mm_rss(mm, (enum aspen_rss)kind);
    return (int64_t)pages +
           adjust * (int64_t)(all_memory(mm->aspen) / ASPEN_OOM_ADJUST_MAX);
}

int
aspen_oom_adjust_set(struct aspen_mm *mm, int adjustment)
{
    if (adjustment < -ASPEN_OOM_ADJUST_MAX || adjustment > ASPEN_OOM_ADJUST_MAX)
        return -ASPEN_EINVAL;
    aspen_store_relaxed(&mm->oom_adjust, adjustment);
    return 0;
}

int32_t
aspen_oom_adjust(const struct aspen_mm *mm)
{
    return aspen_load_relaxed(&mm->oom_adjust);
}

/* ---- Choosing ---------------------------------------------------------- */

/* The registry's lock is held, as in all of this section. */
static struct aspen_mm *
space_of(struct aspen_list *link)
{
    return aspen_container_of(link, struct aspen_mm, registry_link);
}

/* Is its memory on its way back? */
static bool
is_giving_back(const struct aspen_mm *mm)
{
    uint32_t flags = aspen_load(&mm->flags);

    return !(flags & ASPEN_MM_OOM_SKIP) &&
           (flags & ASPEN_MM_KILLED || aspen_load_relaxed(&mm->users) == 0);
}

/* Is it one of those that may be chosen? */
static bool
may_be(const struct aspen_oom_choice *choice, const struct aspen_mm *mm)
{
    return !choice->group || aspen_group_is_in(mm->group, choice->group);
}

/* Is an exit or a failed fork of these under way? */
static bool
any_ends(struct aspen *aspen, const struct aspen_oom_choice *choice)
{
    struct aspen_group *group = NULL;
    bool any = false;

    if (!choice->group)
        return aspen_load(&aspen->giving_back);
    while ((group = aspen_group_next(aspen, choice->group, group)) != NULL)
        any |= aspen_load(&group->giving_back) != 0;
    return any;
}

static bool
anybody_gives_back(struct aspen *aspen, const struct aspen_oom_choice *choice)
{
    aspen_list_for_each(link, &aspen->registry)
    {
        if (may_be(choice, space_of(link)) && is_giving_back(space_of(link)))
            return true;
    }
    return false;
}

/* Those who were killed and are there still count as reaped. */
static void
pass_over(struct aspen *aspen, const struct aspen_oom_choice *choice)
{
    aspen_list_for_each(link, &aspen->registry)
    {
        if (may_be(choice, space_of(link)) &&
            aspen_oom_is_killed(space_of(link)))
            aspen_mm_flags_set(space_of(link), ASPEN_MM_OOM_SKIP);
    }
}

/* Does the caller have to wait for somebody's memory? */
static bool
has_to_wait(struct aspen *aspen, const struct aspen_oom_choice *choice,
            bool any_ends)
{
    struct aspen_oom_wait *oom =
        choice->group ? &choice->group->oom : &aspen->oom;
    bool waits = any_ends || anybody_gives_back(aspen, choice);

    if (waits && !oom->waits)
        oom->since = choice->now;
    oom->waits = waits;
    if (!waits || choice->now - oom->since < choice->patience)
        return waits;
    oom->waits = false;
    pass_over(aspen, choice);
    return false;
}

static int64_t
score(const struct aspen_oom_choice *choice, const struct aspen_mm *mm)
{
    int64_t badness = aspen_oom_badness(mm);

    if (badness == ASPEN_OOM_NEVER || !choice->score)
        return badness;
    return choice->score(choice->context, mm, badness);
}

/* As on Linux the last of equals. */
static struct aspen_mm *
worst(struct aspen *aspen, const struct aspen_oom_choice *choice)
{
    struct aspen_mm *found = NULL;
    int64_t most = ASPEN_OOM_NEVER;

    aspen_list_for_each(link, &aspen->registry)
    {
        int64_t points = may_be(choice, space_of(link))
                             ? score(choice, space_of(link))
                             : ASPEN_OOM_NEVER;
        if (points != ASPEN_OOM_NEVER && points >= most) {
            most = points;
            found = space_of(link);
        }
    }
    return found;
}

int
aspen_oom_select(struct aspen *aspen, const struct aspen_oom_choice *choice,
                 struct aspen_mm **victim)
{
    bool ends = any_ends(aspen, choice);
    struct aspen_mm *found = NULL;
    int error = 0;

    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (has_to_wait(aspen, choice, ends))
        error = -ASPEN_EAGAIN;
    else if (!(found = worst(aspen, choice)))
        error = -ASPEN_ESRCH;
    else if (!aspen_mm_get_if_alive(found))
        error = -ASPEN_EAGAIN; /* it ends at this moment */
    aspen_spin_unlock(&aspen->registry_lock);
    if (!error)
        *victim = found;
    return error;
}

/* ---- Killing ----------------------------------------------------------- */

bool
aspen_oom_is_killed(const struct aspen_mm *mm)
{
    return aspen_load(&mm->flags) & ASPEN_MM_KILLED;
}

int
aspen_oom_kill(struct aspen_mm *mm)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    int64_t badness = aspen_oom_badness(mm);

    if (aspen_fetch_or(&mm->flags, ASPEN_MM_KILLED) & ASPEN_MM_KILLED)
        return -ASPEN_EALREADY;
    aspen_fetch_add_relaxed(&mm->aspen->oom_kills, 1);
    aspen_spin_lock(&mm->aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (mm->group)
        aspen_group_note(mm->group, ASPEN_GROUP_EVENT_OOM_KILL);
    aspen_spin_unlock(&mm->aspen->registry_lock);
    if (hooks->memory && hooks->memory->killed)
        hooks->memory->killed(hooks->context, mm, badness);
    return 0;
}
