/* SPDX-License-Identifier: MIT */
/*
 * machine/machine.c - making and ending a machine.
 *
 * I1  aspen_create() takes everything that it needs, or nothing.
 * I2  aspen_destroy() refuses while an address space or object exists. All that
 *     can be left then waits for a grace period.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/machine/test_machine.c.
 */
#include "frames/count.h"
#include "frames/lru.h"
#include "frames/pins.h"
#include "frames/ram.h"
#include "paging/gather.h"
#include "machine/charge.h"
#include "group/group.h"
#include "machine/pressure.h"
#include "machine/swap_reads.h"

/* No processor translates more: sums of addresses and sizes stay sums. */
#define CALL_LIMIT_MAX ((uint64_t)1 << 56)

/* What may wait for a grace period takes an eighth of what the machine has, and
 * no more than 16 MiB: 65,536 nodes of a tree. */
static uint64_t
dead_nodes_max(uint64_t frames)
{
    return aspen_min_u64(frames * 2, 65536);
}

/* One cache of the machine: where it is and how it is set up. */
struct cache_plan {
    size_t cache; /* offset in struct aspen */
    const char *name;
    size_t object_bytes;
    enum aspen_step step;
    bool type_stable; /* readers under RCU may look at a freed one */
};

static const struct cache_plan cache_plans[] = {
    {offsetof(struct aspen, mm_cache), "mm", sizeof(struct aspen_mm),
     ASPEN_STEP_MM, false},
    {offsetof(struct aspen, vma_cache), "vma", sizeof(struct aspen_vma),
     ASPEN_STEP_VMA, true},
    {offsetof(struct aspen, anon_vma_cache), "anon_vma",
     sizeof(struct aspen_anon_vma), ASPEN_STEP_ANON_VMA, true},
    {offsetof(struct aspen, anon_vma_link_cache), "anon_vma_link",
     sizeof(struct aspen_anon_vma_link), ASPEN_STEP_ANON_VMA, false},
    {offsetof(struct aspen, object_cache), "object",
     sizeof(struct aspen_object), ASPEN_STEP_OBJECT, true},
    {offsetof(struct aspen, name_cache), "name", sizeof(struct aspen_name),
     ASPEN_STEP_NAME, false},
    {offsetof(struct aspen, userfault_cache), "userfault",
     sizeof(struct aspen_userfault), ASPEN_STEP_USERFAULT, false},
    {offsetof(struct aspen, group_cache), "group", sizeof(struct aspen_group),
     ASPEN_STEP_GROUP, true},
    {offsetof(struct aspen, gather_cache), "gather",
     sizeof(struct aspen_gather_batch), ASPEN_STEP_GATHER, false},
    {offsetof(struct aspen, plan_cache), "plan", ASPEN_PLAN_BYTES,
     ASPEN_STEP_VMA, false},
};

static struct aspen_cache *
cache_at(const struct aspen *aspen, size_t i)
{
    return (void *)((const char *)aspen + cache_plans[i].cache);
}

static void
caches_destroy(struct aspen *aspen, size_t count)
{
    while (count > 0)
        aspen_cache_destroy(cache_at(aspen, --count));
}

static int
caches_init(struct aspen *aspen)
{
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(cache_plans); i++) {
        const struct cache_plan *plan = &cache_plans[i];
        int error =
            aspen_cache_init(cache_at(aspen, i), plan->name, plan->object_bytes,
                             plan->step, plan->type_stable, &aspen->failpoints);
        if (error) {
            caches_destroy(aspen, i);
            return error;
        }
    }
    return 0;
}

/* A hook that prepares needs the means to go on. */
static bool
hooks_valid(const struct aspen_hooks *hooks)
{
    const struct aspen_userfault_ops *userfault = hooks->userfault;
    const struct aspen_notifier_ops *notifier = hooks->notifier;

    if (userfault && !userfault->fork_prepare)
        return false;
    if (hooks->arch && !hooks->arch->rights != !hooks->arch->rights_set)
        return false;
    return !notifier ||
           (!notifier->invalidate_start == !notifier->invalidate_end &&
            !notifier->test_young == !notifier->clear_young);
}

/* What the processor can: keys need bits of an entry, and so does memory that
 * is executed alone without them. */
static bool
protection_valid(const struct aspen_config *config)
{
    switch (config->execute_only) {
    case ASPEN_EXECUTE_ONLY_NONE:
        return config->pkeys <= ASPEN_ENTRY_PKEYS;
    case ASPEN_EXECUTE_ONLY_KEY:
        return config->pkeys > 1 && config->pkeys <= ASPEN_ENTRY_PKEYS;
    case ASPEN_EXECUTE_ONLY_ENTRY:
        return config->pkeys <= ASPEN_ENTRY_PKEYS && ASPEN_ENTRY_EXECUTE_ONLY;
    default:
        return false;
    }
}

/* Top tables can be parted there, above all that a program may map. */
static bool
kernel_start_valid(uint64_t start)
{
    const unsigned top = ASPEN_TABLE_LEVELS - 1;

    return !start || (aspen_is_aligned(start, aspen_entry_span(top)) &&
                      start >= 0 - ((uint64_t)1 << ASPEN_ADDRESS_BITS) &&
                      aspen_table_index(start, top) >
                          aspen_table_index(ASPEN_ADDRESS_LIMIT - 1, top));
}

static bool
watermarks_valid(const struct aspen_config *config)
{
    uint64_t frames = config->frames;

    for (unsigned i = 0; i < config->ram_ranges; i++)
        frames += config->ram[i].count;
    if (config->file_pages_min && config->file_pages_min >= frames)
        return false;
    return !config->watermark_high
               ? !config->watermark_low && !config->watermark_min
               : config->watermark_min <= config->watermark_low &&
                     config->watermark_low < config->watermark_high &&
                     config->watermark_high < frames;
}

static bool
config_valid(const struct aspen_config *config)
{
    return !(config->flags & ~ASPEN_CONFIG_FLAGS) && aspen_ram_valid(config) &&
           aspen_port_frame_pointer(config->direct_map,
                                    aspen_ram_lowest(config)) &&
           config->address_limit <= ASPEN_ADDRESS_LIMIT &&
           aspen_is_aligned(config->address_limit, ASPEN_PAGE_SIZE) &&
           config->mmap_min_address < aspen_address_limit(config) &&
           config->call_limit <= CALL_LIMIT_MAX &&
           (unsigned)config->overcommit <= ASPEN_OVERCOMMIT_NEVER &&
           config->map_count_max > 0 &&
           aspen_is_aligned(config->mmap_min_address, ASPEN_PAGE_SIZE) &&
           config->fault_around_pages <= ASPEN_TABLE_ENTRIES &&
           !(config->fault_around_pages & (config->fault_around_pages - 1)) &&
           config->swap_ahead_pages <= ASPEN_SWAP_IO_PAGES &&
           (unsigned)config->huge_placement <= ASPEN_HUGE_PLACEMENT_LARGE &&
           (unsigned)config->semantics <= ASPEN_SEMANTICS_6_18 &&
           (unsigned)config->reclaim_policy <= ASPEN_RECLAIM_CLASSIC &&
           watermarks_valid(config) &&
           aspen_is_aligned(config->call_limit, ASPEN_PAGE_SIZE) &&
           kernel_start_valid(config->kernel_start) &&
           protection_valid(config) && hooks_valid(&config->hooks);
}

void
aspen_config_init(struct aspen_config *config)
{
    memset(config, 0, sizeof(*config));
    config->overcommit = ASPEN_OVERCOMMIT_GUESS;
    config->overcommit_percent = 50;
    config->map_count_max = 65530;
    config->mmap_min_address = 65536;
    config->mmap_min_fixed = 65536;
    config->stack_guard_pages = 256;
    config->fault_around_pages = 16;
    config->swap_ahead_pages = 8;
    config->semantics = ASPEN_SEMANTICS_6_12;
}

int
aspen_create(const struct aspen_config *config, struct aspen **out)
{
    if (!config_valid(config))
        return -ASPEN_EINVAL;

    struct aspen *aspen = aspen_port_memory_alloc(sizeof(*aspen));
    if (!aspen)
        return -ASPEN_ENOMEM;
    aspen->config = *config;
    aspen_list_init(&aspen->registry);
    aspen_list_init(&aspen->objects);
    aspen_list_init(&aspen->names);
    aspen_list_init(&aspen->swap_list);
    aspen_list_init(&aspen->swapped_objects);
    aspen_list_init(&aspen->leaving.shadowed);
    aspen_list_init(&aspen->groups.list);
    aspen_lru_init(&aspen->lru);
    aspen_pressure_init(aspen, &aspen->pressure);

    int error = aspen_frames_init(aspen);
    if (error)
        goto undo_machine;
    aspen->config.ram = NULL; /* the caller's, and read */
    aspen->config.reserved = NULL;
    error = aspen_tree_pool_init(&aspen->tree_pool, &aspen->failpoints,
                                 dead_nodes_max(aspen->banks.ram_frames));
    if (error)
        goto undo_frames;
    error = caches_init(aspen);
    if (error)
        goto undo_tree_pool;
    *out = aspen;
    return 0;

undo_tree_pool:
    aspen_tree_pool_destroy(&aspen->tree_pool);
undo_frames:
    aspen_frames_destroy(aspen);
undo_machine:
    aspen_port_memory_free(aspen, sizeof(*aspen));
    return error;
}

/* A grace period's callback may ask for one more. Tree nodes that wait are
 * the pool's to wait for. */
static void
wait_for_tables(struct aspen *aspen)
{
    do
        aspen_port_rcu_barrier();
    while (aspen_tables_waiting(aspen));
}

int
aspen_destroy(struct aspen *aspen)
{
    if (aspen_cache_allocated(&aspen->mm_cache) ||
        aspen_cache_allocated(&aspen->object_cache))
        return -ASPEN_EBUSY;
    aspen_swap_wait_reads(aspen); /* whose slots may keep a group */
    if (aspen_load(&aspen->groups.count) ||
        aspen_load(&aspen->embedder_frames[ASPEN_FRAMES_KERNEL]) ||
        aspen_load(&aspen->embedder_frames[ASPEN_FRAMES_DEVICE]))
        return -ASPEN_EBUSY;

    wait_for_tables(aspen);
    caches_destroy(aspen, ASPEN_ARRAY_SIZE(cache_plans));
    aspen_tree_pool_destroy(&aspen->tree_pool);
    aspen_swap_destroy(aspen);
    aspen_groups_destroy(aspen);
    aspen_frames_destroy(aspen);
    aspen_port_memory_free(aspen, sizeof(*aspen));
    return 0;
}

static void
count_swap(const struct aspen *aspen, struct aspen_counters *counters)
{
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        const struct aspen_swap_area *area = &aspen->swap[i];
        counters->swap_slots += aspen_load_relaxed(&area->slots);
        counters->swap_slots_used += aspen_load_relaxed(&area->slots_used);
        counters->swap_cached += aspen_load_relaxed(&area->cached_slots);
        counters->swap_references += aspen_load_relaxed(&area->references);
        counters->swap_continuations +=
            aspen_load_relaxed(&area->continuation_count);
    }
    counters->swap_ra = aspen_load_relaxed(&aspen->swap_ra);
    counters->swap_ra_hit = aspen_load_relaxed(&aspen->swap_ra_hit);
    counters->swapped_in = aspen_count_sum(aspen, ASPEN_COUNT_SWAP_IN);
    counters->swapped_out = aspen_count_sum(aspen, ASPEN_COUNT_SWAP_OUT);
}

/* Pages of files and anonymous ones, of a machine's or a group's lists. */
static void
count_lists(const struct aspen_lru *lru, struct aspen_counters *counters)
{
    for (unsigned kind = 0; kind < ASPEN_LRU_LISTS; kind++) {
        bool active = kind == ASPEN_LRU_ACTIVE_LIST;
        uint64_t anon = aspen_load_relaxed(&lru->lists[kind].anon);
        uint64_t all = aspen_load_relaxed(&lru->lists[kind].count);
        uint64_t file = all > anon ? all - anon : 0; /* others change them */
        if (kind == ASPEN_LRU_UNEVICTABLE_LIST) {
            counters->unevictable += all;
            continue;
        }
        *(active ? &counters->active_file : &counters->inactive_file) += file;
        *(active ? &counters->active_anon : &counters->inactive_anon) += anon;
    }
}

static void
count_all_lists(struct aspen *aspen, struct aspen_counters *counters)
{
    struct aspen_group *group = NULL;

    count_lists(&aspen->lru, counters);
    if (aspen_has_groups(aspen))
        while ((group = aspen_group_next(aspen, NULL, group)) != NULL)
            count_lists(&group->lru, counters);
}

static void
count_pages(const struct aspen *aspen, struct aspen_counters *counters)
{
    const struct aspen_leaving *leaving = &aspen->leaving;

    count_all_lists((struct aspen *)(uintptr_t)aspen, counters);
    counters->shadows = aspen_load_relaxed(&leaving->shadows);
    counters->watermark_min = aspen_load_relaxed(&aspen->zone.min);
    counters->watermark_low = aspen_load_relaxed(&aspen->zone.low);
    counters->watermark_high = aspen_load_relaxed(&aspen->zone.high);
    counters->reclaim_looked_background =
        aspen_load_relaxed(&leaving->looked[ASPEN_RECLAIM_BACKGROUND]);
    counters->reclaim_looked_direct =
        aspen_load_relaxed(&leaving->looked[ASPEN_RECLAIM_DIRECT]);
    counters->reclaim_looked =
        counters->reclaim_looked_background + counters->reclaim_looked_direct +
        aspen_load_relaxed(&leaving->looked[ASPEN_RECLAIM_ASKED]);
    counters->reclaimed_background =
        aspen_load_relaxed(&leaving->left[ASPEN_RECLAIM_BACKGROUND]);
    counters->reclaimed_direct =
        aspen_load_relaxed(&leaving->left[ASPEN_RECLAIM_DIRECT]);
    counters->reclaim_written = aspen_load_relaxed(&leaving->written);
    counters->reclaim_wakes = aspen_load_relaxed(&leaving->wakes);
    for (uint32_t tag = 0; tag < ASPEN_LRU_TAGS; tag++)
        counters->reclaimed += aspen_lru_clock(aspen, tag);
    counters->refaults = aspen_load_relaxed(&leaving->refaults);
    counters->direct_stalls = aspen_load_relaxed(&leaving->stalls);
    counters->direct_reclaims = aspen_load_relaxed(&leaving->direct);
}

static uint64_t
metadata_bytes(const struct aspen *aspen)
{
    uint64_t sum = aspen_cache_bytes(&aspen->tree_pool.nodes);

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(cache_plans); i++)
        sum += aspen_cache_bytes(cache_at(aspen, i));
    return sum;
}

static uint64_t
refused_metadata(const struct aspen *aspen)
{
    uint64_t sum = aspen_load_relaxed(&aspen->refused_metadata) +
                   aspen_load_relaxed(&aspen->tree_pool.nodes.refused);

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(cache_plans); i++)
        sum += aspen_load_relaxed(&cache_at(aspen, i)->refused);
    return sum;
}

void
aspen_counters_read(const struct aspen *aspen, struct aspen_counters *counters)
{
    *counters = (struct aspen_counters){
        .frames_total = aspen_load_relaxed(&aspen->banks.ram_frames),
        .frames_free = aspen_frames_free_count(aspen),
        .frames_table = aspen_count_sum(aspen, ASPEN_COUNT_TABLE),
        .tables_waiting = aspen_tables_waiting(aspen),
        .anon_pages = aspen_count_sum(aspen, ASPEN_COUNT_ANON),
        .file_pages = aspen_count_sum(aspen, ASPEN_COUNT_FILE),
        .shmem_pages = aspen_count_sum(aspen, ASPEN_COUNT_SHMEM),
        .writeback_pages = aspen_load_relaxed(&aspen->writeback_pages),
        .metadata_bytes = metadata_bytes(aspen),
        .faults = aspen_count_sum(aspen, ASPEN_COUNT_FAULT),
        .major_faults = aspen_count_sum(aspen, ASPEN_COUNT_MAJOR_FAULT),
        .mms = aspen_cache_allocated(&aspen->mm_cache),
        .mms_live = aspen_load_relaxed(&aspen->registry_count),
        .mms_swap_list = aspen_load_relaxed(&aspen->swap_list_count),
        .vmas = aspen_cache_allocated(&aspen->vma_cache),
        .anon_vmas = aspen_cache_allocated(&aspen->anon_vma_cache),
        .anon_vma_links = aspen_cache_allocated(&aspen->anon_vma_link_cache),
        .objects = aspen_cache_allocated(&aspen->object_cache),
        .tree_nodes = aspen_tree_pool_nodes(&aspen->tree_pool),
        .committed_pages = aspen_charged(aspen),
        .commit_limit_pages = aspen_charge_limit(aspen),
        .tlb_flushes = aspen_count_sum(aspen, ASPEN_COUNT_TLB_FLUSH),
        .migrated = aspen_load_relaxed(&aspen->moves.moved),
        .migrate_failed = aspen_load_relaxed(&aspen->moves.stayed),
        .compact_looked = aspen_load_relaxed(&aspen->moves.compact_looked),
        .compact_success = aspen_load_relaxed(&aspen->moves.compacted),
        .compact_fail = aspen_load_relaxed(&aspen->moves.compact_failed),
        .frames_bad = aspen_load_relaxed(&aspen->moves.bad),
        .oom_kills = aspen_load_relaxed(&aspen->oom_kills),
        .oom_reaps = aspen_load_relaxed(&aspen->oom_reaps),
        .refused_frames = aspen_load_relaxed(&aspen->refused_frames),
        .refused_metadata = refused_metadata(aspen),
        .refused_charge = aspen_load_relaxed(&aspen->refused_charge),
    };
    for (unsigned kind = 0; kind < ASPEN_FRAMES_KINDS; kind++)
        counters->frames_kinds[kind] =
            aspen_load_relaxed(&aspen->embedder_frames[kind]);
    count_swap(aspen, counters);
    count_pages(aspen, counters);
}

#ifdef ASPEN_TEST_BUILD

static bool
plan_valid(const struct aspen_failpoint_plan *plan)
{
    return (unsigned)plan->mode <= ASPEN_FAIL_ONWARD &&
           (plan->mode == ASPEN_FAIL_NEVER || plan->number > 0);
}

int
aspen_failpoints_set(struct aspen *aspen,
                     const struct aspen_failpoint_plan *plan)
{
    struct aspen_failpoints *failpoints = &aspen->failpoints;

    if (plan && !plan_valid(plan))
        return -ASPEN_EINVAL;
    memset(failpoints, 0, sizeof(*failpoints));
    if (plan) {
        failpoints->plan = *plan;
        failpoints->counting = true;
    }
    return 0;
}

#else

int
aspen_failpoints_set(struct aspen *aspen,
                     const struct aspen_failpoint_plan *plan)
{
    (void)aspen;
    (void)plan;
    return -ASPEN_EOPNOTSUPP;
}

#endif

void
aspen_failpoints_read(const struct aspen *aspen,
                      struct aspen_failpoint_counts *counts)
{
    const struct aspen_failpoint_counts *now = &aspen->failpoints.counts;

    counts->crossings = aspen_load_relaxed(&now->crossings);
    counts->failed = aspen_load_relaxed(&now->failed);
    for (unsigned i = 0; i < ASPEN_STEP_KINDS; i++)
        counts->by_step[i] = aspen_load_relaxed(&now->by_step[i]);
}
