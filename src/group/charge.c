/* SPDX-License-Identifier: MIT */
/*
 * group/charge.c - what groups are charged with. The invariants are those of
 * group_struct.h.
 *
 *     memory.used    all above, too: by compare and exchange, so that no limit
 *                    is passed even for a moment
 *     a CPU          holds pages ahead for one group, at the most two batches
 *
 * I6  A CPU that holds pages ahead for a group has looked whether it is online
 *     below its own lock, and who takes it offline takes that lock afterwards:
 *     so nothing is held for a group that is not.
 *
 * Called by frames, the swap map and whoever makes pages. The first test to
 * break is tests/unit/machine/test_group.c.
 */
#include "group/group.h"

#define AHEAD_MAX (2 * ASPEN_GROUP_BATCH)

/* ---- Counts -------------------------------------------------------------- */

static void
note_peak(struct aspen_group_count *count, uint64_t used)
{
    uint64_t peak = aspen_load_relaxed(&count->peak);

    while (peak < used && !aspen_compare_exchange(&count->peak, &peak, used))
        ;
}

static bool
count_add(struct aspen_group_count *count, uint64_t number)
{
    uint64_t used = aspen_load_relaxed(&count->used);
    uint64_t max;

    do {
        max = aspen_load_relaxed(&count->max);
        if (number > max || used > max - number)
            return false;
    } while (!aspen_compare_exchange(&count->used, &used, used + number));
    note_peak(count, used + number);
    return true;
}

static void
count_sub(struct aspen_group_count *count, uint64_t number)
{
    uint64_t before = aspen_fetch_sub(&count->used, number);
    ASPEN_ASSERT(before >= number);
}

/* ---- Pages --------------------------------------------------------------- */

/* NULL: all of them are charged; or the one that is full, and none is. The
 * caller holds the group. */
static struct aspen_group *
charge_all(struct aspen_group *group, uint64_t pages)
{
    struct aspen_group *full = group;

    while (full && count_add(&full->memory, pages))
        full = full->parent;
    if (full)
        for (struct aspen_group *at = group; at != full; at = at->parent)
            count_sub(&at->memory, pages);
    else
        (void)!aspen_group_hold(group, pages);
    return full;
}

/* The pages' references keep all of them. */
static void
give_back(struct aspen_group *group, uint64_t pages)
{
    for (struct aspen_group *at = group; at; at = at->parent)
        count_sub(&at->memory, pages);
    aspen_group_drop(group, pages);
}

/* ---- What a CPU holds ahead ---------------------------------------------- */

static struct aspen_group_cpu *
cpu_lock(struct aspen *aspen)
{
    struct aspen_group_cpu *cpu = &aspen->groups.cpus[aspen_port_cpu()];

    aspen_spin_lock(&cpu->lock, ASPEN_LOCK_CACHE);
    return cpu;
}

static bool
take_ahead(struct aspen *aspen, const struct aspen_group *group, uint64_t pages)
{
    struct aspen_group_cpu *cpu = cpu_lock(aspen);
    bool enough = cpu->group == group && cpu->pages >= pages;

    if (enough)
        cpu->pages -= (uint32_t)pages;
    aspen_spin_unlock(&cpu->lock);
    return enough;
}

/* What is charged is the CPU's, if it keeps any for the group. */
static bool
keep_ahead(struct aspen_group *group, uint64_t pages)
{
    struct aspen_group_cpu *cpu = cpu_lock(group->aspen);
    struct aspen_group *other = NULL;
    uint64_t others = 0, surplus = 0;
    bool online = aspen_group_is_online(group); /* I6 */

    if (online && cpu->group != group) {
        other = cpu->group;
        others = cpu->pages;
        cpu->group = group;
        cpu->pages = 0;
    }
    if (online)
        cpu->pages += (uint32_t)pages;
    if (online && cpu->pages > AHEAD_MAX) {
        surplus = cpu->pages - ASPEN_GROUP_BATCH;
        cpu->pages = ASPEN_GROUP_BATCH;
    }
    aspen_spin_unlock(&cpu->lock);
    if (others)
        give_back(other, others);
    if (surplus)
        give_back(group, surplus);
    return online;
}

static void
drain(struct aspen_group_cpu *cpu, const struct aspen_group *group)
{
    struct aspen_group *its = NULL;
    uint64_t pages = 0;

    aspen_spin_lock(&cpu->lock, ASPEN_LOCK_CACHE);
    if (cpu->group && (!group || cpu->group == group)) {
        its = cpu->group;
        pages = cpu->pages;
        cpu->group = NULL;
        cpu->pages = 0;
    }
    aspen_spin_unlock(&cpu->lock);
    if (pages)
        give_back(its, pages);
}

void
aspen_group_drain(struct aspen *aspen, const struct aspen_group *group)
{
    for (unsigned i = 0; i < ASPEN_PORT_CPUS; i++)
        drain(&aspen->groups.cpus[i], group);
}

uint64_t
aspen_group_ahead(struct aspen_group *group)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < ASPEN_PORT_CPUS; i++) {
        struct aspen_group_cpu *cpu = &group->aspen->groups.cpus[i];
        aspen_spin_lock(&cpu->lock, ASPEN_LOCK_CACHE);
        if (cpu->group && aspen_group_is_in(cpu->group, group))
            pages += cpu->pages;
        aspen_spin_unlock(&cpu->lock);
    }
    return pages;
}

/* ---- Handles ------------------------------------------------------------- */

void
aspen_group_get(struct aspen_group *group)
{
    uint64_t before = aspen_fetch_add_relaxed(&group->handles, 1);
    ASPEN_ASSERT(before > 0);
}

void
aspen_group_put(struct aspen_group *group)
{
    if (aspen_fetch_sub(&group->handles, 1) != 1)
        return;
    aspen_group_drain(group->aspen, group); /* I3 */
    aspen_group_drop(group, 1);
}

/* ---- Charge and uncharge ------------------------------------------------- */

/* One that is held, or lives as long as one that is. */
static void
set_above(struct aspen_group **above, struct aspen_group *group)
{
    if (above && aspen_group_hold(group, 1))
        *above = group;
}

/* The caller holds the group, and this CPU has nothing ahead for it. */
static int
charge_new(struct aspen_group *group, uint64_t pages,
           struct aspen_group **above)
{
    if (pages < ASPEN_GROUP_BATCH && !charge_all(group, ASPEN_GROUP_BATCH)) {
        uint64_t rest = ASPEN_GROUP_BATCH - pages;
        if (!keep_ahead(group, rest))
            give_back(group, rest);
        return 0;
    }
    if (!charge_all(group, pages))
        return 0;
    aspen_group_drain(group->aspen, NULL);
    struct aspen_group *refuses = charge_all(group, pages);
    if (!refuses)
        return 0;
    aspen_group_note(refuses, ASPEN_GROUP_EVENT_MAX);
    set_above(above, refuses);
    return -ASPEN_ENOMEM;
}

/* As that; and who has more than he should is told of. */
static int
charge_slowly(struct aspen_group *group, uint64_t pages,
              struct aspen_group **above)
{
    int error = charge_new(group, pages, above);

    for (; !error && group; group = group->parent)
        if (aspen_group_excess(group)) {
            set_above(above, group);
            break;
        }
    return error;
}

static bool
planned_to_fail(struct aspen *aspen)
{
    return aspen_failpoint(&aspen->failpoints, ASPEN_STEP_CHARGE);
}

int
aspen_group_charge(struct aspen_group *group, uint64_t pages,
                   struct aspen_group **above)
{
    struct aspen *aspen = group->aspen;

    if (planned_to_fail(aspen))
        return -ASPEN_ENOMEM;
    return take_ahead(aspen, group, pages) ? 0
                                           : charge_slowly(group, pages, above);
}

void
aspen_group_uncharge(struct aspen_group *group, uint64_t pages)
{
    if (pages > ASPEN_GROUP_BATCH || !keep_ahead(group, pages))
        give_back(group, pages);
}

/* Is it the space's still? It may have gone, and be another by now: I4. */
static bool
is_its(const struct aspen_mm *mm, const struct aspen_group *group)
{
    return aspen_load(&mm->group) == group;
}

/* One look: *done, if the CPU has pages ahead for it; *held, with a reference;
 * neither: look again, unless there is none. */
static struct aspen_group *
try_group(const struct aspen_mm *mm, uint64_t pages, bool *done, bool *held)
{
    aspen_port_rcu_read_lock();
    struct aspen_group *group = aspen_load(&mm->group);
    *done = group && take_ahead(mm->aspen, group, pages);
    *held = group && !*done && aspen_group_hold(group, 1);
    bool its = is_its(mm, group);
    aspen_port_rcu_read_unlock();
    if (!its && *done)
        aspen_group_uncharge(group, pages);
    else if (!its && *held)
        aspen_group_drop(group, 1);
    *done &= its;
    *held &= its;
    return group;
}

/* The group of a space, NULL if it has none: *done, if the CPU has pages ahead
 * for it; else with a reference. */
static struct aspen_group *
find_group(const struct aspen_mm *mm, uint64_t pages, bool *done)
{
    struct aspen_group *group;
    bool held;

    do
        group = try_group(mm, pages, done, &held);
    while (group && !*done && !held);
    return group;
}

int
aspen_group_charge_mm(const struct aspen_mm *mm, uint64_t pages,
                      struct aspen_group **group, struct aspen_group **above)
{
    bool done;

    *group = NULL;
    if (!aspen_load_relaxed(&mm->group))
        return 0;
    if (planned_to_fail(mm->aspen))
        return -ASPEN_ENOMEM;
    struct aspen_group *its = find_group(mm, pages, &done);
    int error = 0;
    if (its && !done) {
        error = charge_slowly(its, pages, above);
        aspen_group_drop(its, 1);
    }
    if (!error)
        *group = its;
    return error;
}

/* ---- Slots --------------------------------------------------------------- */

int
aspen_group_charge_slot(struct aspen_group *group)
{
    struct aspen_group *full = group;

    if (planned_to_fail(group->aspen))
        return -ASPEN_ENOSPC;
    while (full && count_add(&full->swap, 1))
        full = full->parent;
    if (!full) {
        (void)!aspen_group_hold(group, 1);
        return 0;
    }
    for (struct aspen_group *at = group; at != full; at = at->parent)
        count_sub(&at->swap, 1);
    aspen_group_note(full, ASPEN_GROUP_EVENT_SWAP_MAX);
    return -ASPEN_ENOSPC;
}

bool
aspen_group_has_slot(struct aspen_group *group)
{
    struct aspen_group *full = group;

    while (full && aspen_load_relaxed(&full->swap.used) <
                       aspen_load_relaxed(&full->swap.max))
        full = full->parent;
    if (full)
        aspen_group_note(full, ASPEN_GROUP_EVENT_SWAP_MAX);
    return !full;
}

void
aspen_group_uncharge_slot(struct aspen_group *group)
{
    for (struct aspen_group *at = group; at; at = at->parent)
        count_sub(&at->swap, 1);
    aspen_group_drop(group, 1);
}

/* ---- From one to another ------------------------------------------------- */

/* The lowest that both are in; NULL: the machine. */
static struct aspen_group *
common(struct aspen_group *a, const struct aspen_group *b)
{
    while (a && !(b && aspen_group_is_in(b, a)))
        a = a->parent;
    return a;
}

static void
add_up_to(struct aspen_group *group, const struct aspen_group *end,
          uint64_t pages, uint64_t slots)
{
    for (; group != end; group = group->parent) {
        note_peak(&group->memory,
                  aspen_fetch_add(&group->memory.used, pages) + pages);
        note_peak(&group->swap,
                  aspen_fetch_add(&group->swap.used, slots) + slots);
    }
}

static void
sub_up_to(struct aspen_group *group, const struct aspen_group *end,
          uint64_t pages, uint64_t slots)
{
    for (; group != end; group = group->parent) {
        count_sub(&group->memory, pages);
        count_sub(&group->swap, slots);
    }
}

/* One group: all, or nothing. */
static bool
add_both(struct aspen_group *group, uint64_t pages, uint64_t slots)
{
    if (!count_add(&group->memory, pages))
        return false;
    if (count_add(&group->swap, slots))
        return true;
    count_sub(&group->memory, pages);
    return false;
}

static bool
try_transfer(const struct aspen_group_transfer *t)
{
    struct aspen_group *end = common(t->to, t->from);
    struct aspen_group *at = t->to;

    while (at != end && add_both(at, t->pages, t->slots))
        at = at->parent;
    if (at == end)
        return true;
    sub_up_to(t->to, at, t->pages, t->slots);
    return false;
}

int
aspen_group_transfer_begin(const struct aspen_group_transfer *t)
{
    struct aspen *aspen = t->to ? t->to->aspen : t->from->aspen;

    if (planned_to_fail(aspen))
        return -ASPEN_ENOMEM;
    if (!try_transfer(t)) {
        aspen_group_drain(aspen, NULL);
        if (!try_transfer(t))
            return -ASPEN_ENOMEM;
    }
    if (t->to)
        (void)!aspen_group_hold(t->to, t->pages + t->slots);
    return 0;
}

void
aspen_group_transfer_more(struct aspen_group_transfer *t, uint64_t pages,
                          uint64_t slots)
{
    t->pages += pages;
    t->slots += slots;
    if (!t->to)
        return;
    add_up_to(t->to, common(t->to, t->from), pages, slots);
    (void)!aspen_group_hold(t->to, pages + slots);
}

void
aspen_group_transfer_end(const struct aspen_group_transfer *t, uint64_t pages,
                         uint64_t slots)
{
    struct aspen_group *end = common(t->to, t->from);

    if (t->to) {
        sub_up_to(t->to, end, t->pages - pages, t->slots - slots);
        aspen_group_drop(t->to, t->pages - pages + t->slots - slots);
    }
    if (t->from) {
        sub_up_to(t->from, end, pages, slots);
        aspen_group_drop(t->from, pages + slots);
    }
}

/* ---- Events -------------------------------------------------------------- */

void
aspen_group_note(struct aspen_group *group, enum aspen_group_event event)
{
    for (; group; group = group->parent)
        aspen_fetch_add_relaxed(&group->events[event], 1);
}
