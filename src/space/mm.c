/* SPDX-License-Identifier: MIT */
/*
 * space/mm.c - the life of a struct aspen_mm outside of fork and exit.
 *
 * I1  `users` counts threads; all of them together hold one of `references`,
 *     which counts pointers to the structure.
 * I2  An mm is in the registry exactly while LIVE or DYING.
 * I3  It is on the swap list exactly while its flags have SWAPPED; then it
 *     has a user, or its last user is just leaving: so whoever finds it under
 *     the list's lock may take a reference.
 * I4  mmap_lock is unlocked for writing only through
 *     aspen_mm_write_unlock(): no VMA stays locked for writing.
 *
 * Called by fork, exit, mmap and everybody who takes the mmap lock. The first
 * test to break is tests/unit/machine/test_machine.c.
 */
#include "space/mm.h"

#include "group/group.h"
#include "space/pkeys.h"
#include "space/vma.h"

ASPEN_STATIC_ASSERT(offsetof(struct aspen_mm, vmas.count) == ASPEN_CACHE_LINE,
                    "what each fault reads is a line, and ends there");

/* ---- Making and freeing ------------------------------------------------ */

static void
init_fields(struct aspen *aspen, struct aspen_mm *mm)
{
    memset(mm, 0, sizeof(*mm));
    mm->aspen = aspen;
    mm->id = aspen_fetch_add_relaxed(&aspen->next_mm_id, 1) + 1;
    mm->address_limit = aspen_address_limit(&aspen->config);
    mm->call_limit = aspen_max_u64(aspen->config.call_limit, mm->address_limit);
    mm->layout.mmap_base = aspen_mm_window(mm);
    mm->layout.mmap_bottom = aspen_mm_bottom(mm);
    for (unsigned i = 0; i < ASPEN_LIMITS; i++)
        mm->limits[i] = ASPEN_UNLIMITED;
    aspen_pkeys_init(mm);
    mm->users = 1;
    mm->references = 1;
    mm->state = ASPEN_MM_BUILDING;
    mm->lock_sequence = 1; /* a new VMA's 0 is "not locked" */
    aspen_port_rwlock_init(&mm->mmap_lock);
    aspen_tree_init(&mm->vmas, &aspen->tree_pool);
    aspen_list_init(&mm->registry_link);
    aspen_list_init(&mm->swap_link);
}

static int
tell_of_begin(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;
    const struct aspen_hooks *hooks = &aspen->config.hooks;

    if (!hooks->arch || !hooks->arch->mm_init)
        return 0;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_ENOMEM;
    return aspen_answer_of(hooks->arch->mm_init(hooks->context, mm));
}

static void
free_structure(struct aspen_mm *mm)
{
    if (mm->group)
        aspen_group_put(mm->group);
    aspen_port_rwlock_destroy(&mm->mmap_lock);
    aspen_cache_free(&mm->aspen->mm_cache, mm);
}

int
aspen_mm_alloc(struct aspen *aspen, void *embedder, struct aspen_mm **out)
{
    struct aspen_mm *mm = aspen_cache_alloc(&aspen->mm_cache);
    if (!mm)
        return -ASPEN_ENOMEM;
    init_fields(aspen, mm);
    mm->embedder = embedder;

    int error = aspen_table_alloc(mm, 0, ASPEN_TABLE_LEVELS - 1, &mm->root);
    if (error)
        goto undo_structure;
    error = tell_of_begin(mm);
    if (error)
        goto undo_root;
    *out = mm;
    return 0;

undo_root:
    aspen_table_free(aspen, mm->root);
undo_structure:
    free_structure(mm);
    return error;
}

void
aspen_mm_hold(struct aspen_mm *mm)
{
    aspen_fetch_add_relaxed(&mm->references, 1);
}

void
aspen_mm_drop(struct aspen_mm *mm)
{
    if (aspen_fetch_sub(&mm->references, 1) != 1)
        return;
    ASPEN_ASSERT(aspen_load_relaxed(&mm->state) == ASPEN_MM_EMPTY);
    ASPEN_ASSERT(aspen_tree_is_empty(&mm->vmas));
    ASPEN_ASSERT(aspen_load_relaxed(&mm->page_tables) == 0);
    ASPEN_ASSERT(aspen_load_relaxed(&mm->pinned_pages) == 0);
    ASPEN_ASSERT(aspen_list_is_empty(&mm->registry_link));
    ASPEN_ASSERT(aspen_list_is_empty(&mm->swap_link));
    aspen_table_free(mm->aspen, mm->root);
    free_structure(mm);
}

/* A root that a register leads to is a table for whoever gets its frame next.
 */
static void
assert_inactive(const struct aspen_mm *mm)
{
    for (unsigned i = 0; i < ASPEN_CPU_WORDS; i++)
        ASPEN_ASSERT(aspen_load(&mm->cpus[i]) == 0);
}

void
aspen_mm_leave(struct aspen_mm *mm)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;

    if (hooks->arch && hooks->arch->mm_exit)
        hooks->arch->mm_exit(hooks->context, mm);
    assert_inactive(mm);
    aspen_mm_drop(mm);
}

void
aspen_mm_get(struct aspen_mm *mm)
{
    uint32_t before = aspen_fetch_add_relaxed(&mm->users, 1);
    ASPEN_ASSERT(before > 0);
}

bool
aspen_mm_get_if_alive(struct aspen_mm *mm)
{
    uint32_t users = aspen_load_relaxed(&mm->users);
    do {
        if (users == 0)
            return false;
    } while (!aspen_compare_exchange(&mm->users, &users, users + 1));
    return true;
}

/* ---- Where it can be found --------------------------------------------- */

void
aspen_mm_publish(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;

    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_store(&mm->state, (uint32_t)ASPEN_MM_LIVE);
    aspen_list_push_back(&aspen->registry, &mm->registry_link);
    aspen_store_relaxed(&aspen->registry_count, aspen->registry_count + 1);
    aspen_spin_unlock(&aspen->registry_lock);
}

void
aspen_mm_unpublish(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;

    aspen_spin_lock(&aspen->registry_lock, ASPEN_LOCK_LEAF);
    if (!aspen_list_is_empty(&mm->registry_link)) {
        aspen_list_remove(&mm->registry_link);
        aspen_store_relaxed(&aspen->registry_count, aspen->registry_count - 1);
    }
    aspen_store(&mm->state, (uint32_t)ASPEN_MM_EMPTY);
    aspen_spin_unlock(&aspen->registry_lock);
}

static bool
on_swap_list(struct aspen_mm *mm)
{
    return aspen_load_relaxed(&mm->flags) & ASPEN_MM_SWAPPED;
}

void
aspen_mm_swap_list_add(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;

    /* Asked for each swap entry; only the last user's exit takes it off. */
    if (aspen_likely(on_swap_list(mm)))
        return;
    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    if (!on_swap_list(mm)) {
        aspen_mm_flags_set(mm, ASPEN_MM_SWAPPED);
        aspen_list_push_back(&aspen->swap_list, &mm->swap_link);
        aspen_store_relaxed(&aspen->swap_list_count,
                            aspen->swap_list_count + 1);
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
}

void
aspen_mm_swap_list_remove(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;

    if (!on_swap_list(mm))
        return;
    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&mm->swap_link);
    aspen_fetch_and(&mm->flags, ~ASPEN_MM_SWAPPED);
    aspen_store_relaxed(&aspen->swap_list_count, aspen->swap_list_count - 1);
    aspen_spin_unlock(&aspen->swap_list_lock);
}

bool
aspen_mm_get_live(struct aspen_mm *mm)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    /* BUILDING, and not locked: by exec, which fills it call by call. */
    if (aspen_mm_accepts_mappings(mm))
        return true;
    aspen_read_unlock(&mm->mmap_lock);
    return false;
}

/* ---- The mmap lock ----------------------------------------------------- */

int
aspen_poll_fatal(struct aspen *aspen)
{
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_INTERRUPT) ||
        aspen_port_fatal_signal_pending())
        return -ASPEN_EINTR;
    return 0;
}

int
aspen_mm_write_lock_killable(struct aspen_mm *mm, enum aspen_lock_class c)
{
    int error = aspen_poll_fatal(mm->aspen);
    if (error)
        return error;
    return aspen_write_lock_killable(&mm->mmap_lock, c);
}

void
aspen_mm_write_lock(struct aspen_mm *mm, enum aspen_lock_class c)
{
    aspen_write_lock(&mm->mmap_lock, c);
}

/*
 * The sequence is about to wrap: a VMA that was last locked four thousand
 * million unlocks ago would count as locked. Set the sequence of each VMA to 0,
 * which unlocks it, and let the mm's start at 1 again.
 */
static void
restart_sequence(struct aspen_mm *mm)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, mm->address_limit - 1)) != NULL)
        aspen_store(&vma->lock_sequence, 0u);
}

void
aspen_mm_write_unlock(struct aspen_mm *mm)
{
    uint32_t next = mm->lock_sequence + 1;

    if (aspen_unlikely(next == 0)) {
        restart_sequence(mm);
        next = 1;
    }
    /* Release: who reads the new value sees the VMAs as they are now. */
    aspen_store(&mm->lock_sequence, next);
    aspen_write_unlock(&mm->mmap_lock);
}

void
aspen_mm_write_end(struct aspen_mm *mm)
{
    aspen_mm_write_unlock(mm);
    aspen_tree_pool_settle(&mm->aspen->tree_pool);
    aspen_tables_settle(mm->aspen);
}

/* ---- Counters ---------------------------------------------------------- */

/* Which of the detailed sizes an area counts in, as Linux tells them apart:
 * code first, then stacks, then private writable data. */
static uint64_t *
detailed_size(struct aspen_mm *mm, uint64_t flags)
{
    const uint64_t stack = ASPEN_VM_GROWSDOWN;

    if ((flags & (ASPEN_VM_EXEC | ASPEN_VM_WRITE | stack)) == ASPEN_VM_EXEC)
        return &mm->exec_pages;
    if (flags & stack)
        return &mm->stack_pages;
    if ((flags & (ASPEN_VM_WRITE | ASPEN_VM_SHARED)) == ASPEN_VM_WRITE)
        return &mm->data_pages;
    return NULL;
}

void
aspen_mm_account_vma(struct aspen_mm *mm, uint64_t vm_flags, uint64_t pages,
                     bool add)
{
    uint64_t *detail = detailed_size(mm, vm_flags);
    uint64_t change = add ? pages : 0 - pages;

    mm->total_pages += change;
    mm->peak_pages = aspen_max_u64(mm->peak_pages, mm->total_pages);
    if (detail)
        *detail += change;
    if (vm_flags & ASPEN_VM_LOCKED)
        mm->locked_pages += change;
}

uint64_t
aspen_mm_rss_sum(const struct aspen_mm *mm, enum aspen_rss kind)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < ASPEN_MM_PARTS; i++)
        sum += aspen_load_relaxed(&mm->parts[i].rss[kind]);
    return sum;
}

/* A page that goes in one part and, after it, another that comes in the next
 * are both in a sum that is made meanwhile. So it is made until it is the same
 * twice in each part, unless that takes too long. */
#define LOOKS 4

#define KIND(kind) (1u << (kind))
#define RESIDENT                                                               \
    (KIND(ASPEN_RSS_FILE) | KIND(ASPEN_RSS_ANON) | KIND(ASPEN_RSS_SHMEM))

struct looks {
    const struct aspen_mm *mm;
    unsigned kinds;
    uint64_t seen[ASPEN_MM_PARTS];
};

/* True: as the last time. */
static bool
look(struct looks *looks, uint64_t *sum)
{
    bool same = true;

    *sum = 0;
    for (unsigned i = 0; i < ASPEN_MM_PARTS; i++) {
        uint64_t pages = 0;
        for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++)
            if (looks->kinds & KIND(kind))
                pages += aspen_load(&looks->mm->parts[i].rss[kind]);
        same = same && pages == looks->seen[i];
        looks->seen[i] = pages;
        *sum += pages;
    }
    return same;
}

uint64_t
aspen_mm_rss(const struct aspen_mm *mm, enum aspen_rss kind)
{
    struct looks looks = {.mm = mm, .kinds = KIND(kind)};
    uint64_t sum;

    for (unsigned i = 0; i < LOOKS; i++)
        if (look(&looks, &sum) && i > 0)
            break;
    return (int64_t)sum < 0 ? 0 : sum;
}

/* Where no two looks agree a peak is missed. */
uint64_t
aspen_mm_note_resident(struct aspen_mm *mm)
{
    uint64_t peak = aspen_load_relaxed(&mm->peak_rss);
    struct looks looks = {.mm = mm, .kinds = RESIDENT};
    uint64_t pages;

    for (unsigned i = 0; i < LOOKS; i++) {
        bool same = look(&looks, &pages);
        if ((int64_t)pages <= 0 || pages <= peak)
            return peak;
        if (same && i > 0)
            break;
        if (i + 1 == LOOKS)
            return peak;
    }
    while (pages > peak)
        if (aspen_compare_exchange(&mm->peak_rss, &peak, pages))
            return pages;
    return peak;
}

enum aspen_rss
aspen_rss_of(const struct aspen_frame *frame)
{
    const struct aspen_object *object;

    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        return ASPEN_RSS_ANON;
    if (aspen_frame_type(frame) != ASPEN_FRAME_OBJECT)
        return ASPEN_RSS_FILE;
    /* None: it was truncated a moment ago. */
    object = (void *)(uintptr_t)aspen_load_relaxed(&frame->owner);
    return object && object->kind == ASPEN_OBJECT_SHMEM ? ASPEN_RSS_SHMEM
                                                        : ASPEN_RSS_FILE;
}

void
aspen_mm_counters_read(struct aspen_mm *mm, struct aspen_mm_counters *counters)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    *counters = (struct aspen_mm_counters){
        .vmas = mm->map_count,
        .total_pages = mm->total_pages,
        .peak_pages = mm->peak_pages,
        .peak_resident_pages = aspen_mm_note_resident(mm),
        .data_pages = mm->data_pages,
        .exec_pages = mm->exec_pages,
        .stack_pages = mm->stack_pages,
        .locked_pages = mm->locked_pages,
        .pinned_pages = aspen_load_relaxed(&mm->pinned_pages),
        .file_pages = aspen_mm_rss(mm, ASPEN_RSS_FILE),
        .anon_pages = aspen_mm_rss(mm, ASPEN_RSS_ANON),
        .shmem_pages = aspen_mm_rss(mm, ASPEN_RSS_SHMEM),
        .swap_pages = aspen_mm_rss(mm, ASPEN_RSS_SWAP),
        .page_tables = aspen_load_relaxed(&mm->page_tables),
        .tlb_flushes = aspen_load_relaxed(&mm->tlb_generation),
    };
    aspen_read_unlock(&mm->mmap_lock);
}

/* ---- Small questions --------------------------------------------------- */

enum aspen_mm_state
aspen_mm_state(const struct aspen_mm *mm)
{
    return (enum aspen_mm_state)aspen_load(&mm->state);
}

uint32_t
aspen_mm_id(const struct aspen_mm *mm)
{
    return mm->id;
}

uint32_t
aspen_mm_root(const struct aspen_mm *mm)
{
    return mm->root;
}

void *
aspen_mm_embedder(const struct aspen_mm *mm)
{
    return aspen_load(&mm->embedder);
}

void
aspen_mm_embedder_set(struct aspen_mm *mm, void *embedder)
{
    aspen_store(&mm->embedder, embedder);
}

/* ---- Its group --------------------------------------------------------- */

void
aspen_mm_group_inherit(struct aspen_mm *mm, const struct aspen_mm *from)
{
    struct aspen_group *group = aspen_load_relaxed(&from->group);

    if (!group)
        return;
    aspen_group_get(group);
    aspen_store(&mm->group, group);
}

struct aspen_group *
aspen_mm_group(struct aspen_mm *mm)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    struct aspen_group *group = aspen_load_relaxed(&mm->group);
    if (group)
        aspen_group_get(group);
    aspen_read_unlock(&mm->mmap_lock);
    return group;
}

/* ---- Where it is active ------------------------------------------------ */

static void
set_active(struct aspen_mm *mm, unsigned cpu)
{
    uint64_t bit = (uint64_t)1 << cpu % 64;
    uint64_t others = aspen_fetch_or(&mm->cpus[cpu / 64], bit) & ~bit;

    /* Faults may meet from now on. (Among more than 64 CPUs they may have to
     * meet once to be noticed.) */
    if (others)
        aspen_mm_note_crowd(mm);
    /* No walk of the tables, and no look at the generation, comes before the
     * bit is seen, on any processor: pairs with the fence in aspen_tlb_flush().
     */
    aspen_fence();
}

static void
set_inactive(struct aspen_mm *mm, unsigned cpu)
{
    aspen_fetch_and(&mm->cpus[cpu / 64], ~((uint64_t)1 << cpu % 64));
}

uint64_t
aspen_mm_tlb_generation(const struct aspen_mm *mm)
{
    return aspen_load(&mm->tlb_generation);
}

int
aspen_mm_activate(struct aspen_mm *mm, unsigned cpu)
{
    if (cpu >= ASPEN_PORT_CPUS)
        return -ASPEN_EINVAL;
    set_active(mm, cpu);
    return 0;
}

int
aspen_mm_deactivate(struct aspen_mm *mm, unsigned cpu)
{
    if (cpu >= ASPEN_PORT_CPUS)
        return -ASPEN_EINVAL;
    set_inactive(mm, cpu);
    return 0;
}

bool
aspen_mm_is_active(const struct aspen_mm *mm, unsigned cpu)
{
    return cpu < ASPEN_PORT_CPUS &&
           aspen_load(&mm->cpus[cpu / 64]) >> cpu % 64 & 1;
}

int
aspen_mm_switch(unsigned cpu, struct aspen_mm *from, struct aspen_mm *to)
{
    if (cpu >= ASPEN_PORT_CPUS)
        return -ASPEN_EINVAL;
    if (from == to)
        return 0;
    const struct aspen_hooks *hooks = &(to ? to : from)->aspen->config.hooks;
    ASPEN_ASSERT(!from || aspen_mm_is_active(from, cpu));
    ASPEN_ASSERT(!to || aspen_load_relaxed(&to->users) > 0);
    if (to)
        set_active(to, cpu);
    if (hooks->arch && hooks->arch->mm_load)
        hooks->arch->mm_load(hooks->context, to);
    if (from)
        set_inactive(from, cpu);
    return 0;
}
