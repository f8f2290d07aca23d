/* SPDX-License-Identifier: MIT */
/*
 * machine/group.c - groups as the embedder sees them; group/ does the work.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/machine/test_group.c.
 */
#include <aspen/account/group.h>

#include "frames/lru.h"
#include "group/group.h"
#include "machine/group.h"
#include "machine/pressure.h"
#include "machine/swap_map.h"

/* ---- Making ------------------------------------------------------------- */

/* Of each CPU what it holds ahead: by the first who comes. */
static int
make_cpus(struct aspen *aspen)
{
    struct aspen_groups *groups = &aspen->groups;
    size_t bytes = ASPEN_PORT_CPUS * sizeof(*groups->cpus);
    struct aspen_group_cpu *none = NULL;

    if (aspen_load(&groups->cpus))
        return 0;
    struct aspen_group_cpu *cpus =
        aspen_memory_alloc(bytes, &aspen->refused_metadata);
    if (!cpus)
        return -ASPEN_ENOMEM;
    if (!aspen_compare_exchange(&groups->cpus, &none, cpus))
        aspen_port_memory_free(cpus, bytes);
    return 0;
}

/* What a machine needs that has groups. That of frames comes before that of
 * slots: areas that come meanwhile look at it. */
static int
prepare(struct aspen *aspen)
{
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_GROUP))
        return -ASPEN_ENOMEM;
    int error = make_cpus(aspen);
    if (!error && !aspen_has_groups(aspen))
        error = aspen_banks_make_groups(aspen);
    return error ? error : aspen_swap_make_groups(aspen);
}

static void
group_init(struct aspen *aspen, struct aspen_group *group,
           struct aspen_group *parent)
{
    group->aspen = aspen;
    group->parent = parent;
    group->depth = parent ? parent->depth + 1 : 1;
    aspen_store_relaxed(&group->handles, (uint64_t)1);
    group->memory = (struct aspen_group_count){.max = ASPEN_GROUP_UNLIMITED};
    group->swap = (struct aspen_group_count){.max = ASPEN_GROUP_UNLIMITED};
    for (unsigned i = 0; i < ASPEN_GROUP_EVENTS; i++)
        group->events[i] = 0;
    memset(group->protects, 0, sizeof(group->protects));
    group->high = ASPEN_GROUP_UNLIMITED;
    group->oom = (struct aspen_oom_wait){.waits = false};
    aspen_store_relaxed(&group->giving_back, 0u);
    aspen_pressure_init(aspen, &group->pressure);
    aspen_lru_init(&group->lru);
    aspen_store(&group->references, (uint64_t)1); /* stale readers: I4 */
}

int
aspen_group_make(struct aspen *aspen, struct aspen_group *parent,
                 struct aspen_group **out)
{
    if (parent && parent->aspen != aspen)
        return -ASPEN_EINVAL;
    int error = prepare(aspen);
    if (error)
        return error;
    struct aspen_group *group = aspen_cache_alloc(&aspen->group_cache);
    if (!group)
        return -ASPEN_ENOMEM;
    if (parent)
        (void)!aspen_group_hold(parent, 1); /* the caller has a handle */
    group_init(aspen, group, parent);
    aspen_group_publish(group);
    *out = group;
    return 0;
}

/* ---- Small questions ----------------------------------------------------- */

uint32_t
aspen_group_number(const struct aspen_group *group)
{
    return group->number;
}

struct aspen_group *
aspen_group_parent(const struct aspen_group *group)
{
    return group->parent;
}

/* ---- Limits -------------------------------------------------------------- */

/* NULL: there is no such limit. */
static uint64_t *
limit_of(const struct aspen_group *group, enum aspen_group_limit limit)
{
    struct aspen_group *its = (struct aspen_group *)(uintptr_t)group;

    switch (limit) {
    case ASPEN_GROUP_MIN:
        return &its->protects[ASPEN_GROUP_PROTECT_MIN].asked;
    case ASPEN_GROUP_LOW:
        return &its->protects[ASPEN_GROUP_PROTECT_LOW].asked;
    case ASPEN_GROUP_HIGH:
        return &its->high;
    case ASPEN_GROUP_MAX:
        return &its->memory.max;
    case ASPEN_GROUP_SWAP_MAX:
        return &its->swap.max;
    default:
        return NULL;
    }
}

int
aspen_group_set(struct aspen_group *group, enum aspen_group_limit limit,
                uint64_t pages)
{
    uint64_t *place = limit_of(group, limit);

    if (!place)
        return -ASPEN_EINVAL;
    if (limit <= ASPEN_GROUP_LOW)
        aspen_store_relaxed(&group->aspen->groups.protects, true);
    aspen_store(place, pages);
    /* What CPUs hold ahead was within the limit of before. */
    aspen_group_drain(group->aspen, NULL);
    return 0;
}

uint64_t
aspen_group_limit(const struct aspen_group *group, enum aspen_group_limit limit)
{
    const uint64_t *place = limit_of(group, limit);

    return place ? aspen_load(place) : 0;
}

/* ---- Counters ------------------------------------------------------------ */

void
aspen_group_counters_read(struct aspen_group *group,
                          struct aspen_group_counters *counters)
{
    uint64_t ahead = aspen_group_ahead(group);
    uint64_t used = aspen_load_relaxed(&group->memory.used);

    *counters = (struct aspen_group_counters){
        .pages = used - aspen_min_u64(ahead, used),
        .peak_pages = aspen_load_relaxed(&group->memory.peak),
        .swap_pages = aspen_load_relaxed(&group->swap.used),
        .peak_swap_pages = aspen_load_relaxed(&group->swap.peak),
    };
    for (unsigned i = 0; i < ASPEN_GROUP_EVENTS; i++)
        counters->events[i] = aspen_load_relaxed(&group->events[i]);
}
