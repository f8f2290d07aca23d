/* SPDX-License-Identifier: MIT */
/*
 * beside.c - see beside.h. tests/mmu/mmu.mk makes the linker's options from the
 * names that begin with "__wrap_" here.
 *
 * I1  All is compared with the tables when the last call that is under way
 *     ends, before another begins (`gate`); what is asked about at any moment
 *     (frames that are free, what a call took away) holds beside others too.
 */
#include "beside.h"

#include "between.h"
#include "told.h"

#include "space/mm.h"
#include <stdio.h>

#define SPACES 512
#define LEAVES 3000u /* that are cached of one space */
/* Looking at entries, all together; then every 64th call alone is looked at. */
#define BUDGET 2000000u

struct space {
    struct aspen_mm *mm; /* NULL: none */
    uint32_t root;
    unsigned cpu;
    uint64_t since; /* its last user left */
};

static struct {
    struct aspen *aspen; /* whose processor it is, or NULL */
    struct aspen_port_spinlock lock;
    struct space spaces[SPACES];
    unsigned used;                   /* of them, from the first on */
    struct aspen_port_spinlock gate; /* no outermost call begins or ends */
    uint32_t in_flight;              /* gate: outermost calls */
    uint64_t entered;                /* gate */
    uint64_t spent;                  /* atomic */
    enum mmu_flags flags;
    uint64_t evict_seed;
    bool idle;   /* nothing is cached but what is accessed */
    bool alone;  /* no second MMU */
    bool public; /* there are no calls but public ones */
} beside
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
    = {.flags = MMU_FLAGS_SET}
#endif
;

static __thread unsigned depth;
static __thread bool looked_at;

void
beside_flags(enum mmu_flags flags)
{
    beside.flags = flags;
}

void
beside_evict(uint64_t seed)
{
    beside.evict_seed = seed;
}

void
beside_second(bool second)
{
    beside.alone = !second;
}

void
beside_public(void)
{
    beside.public = true;
}

void
beside_load(bool load)
{
    beside.idle = !load;
}

/* ---- Spaces ------------------------------------------------------------ */

static struct space *
space_of(const struct aspen_mm *mm)
{
    for (unsigned i = 0; i < SPACES; i++)
        if (beside.spaces[i].mm == mm)
            return &beside.spaces[i];
    return NULL;
}

/* Other threads load its entries into that CPU's TLB as soon as it is among the
 * spaces: by then the CPU is told of flushes. */
static void
watch(struct aspen_mm *mm)
{
    if (mm->aspen != beside.aspen)
        return;
    unsigned cpu = between_cpu(mm);
    (void)!aspen_mm_activate(mm, cpu);
    aspen_port_spin_lock(&beside.lock);
    struct space *space = space_of(NULL);
    if (space) {
        if (space == &beside.spaces[beside.used])
            beside.used++;
        space->root = mm->root;
        space->cpu = cpu;
        space->mm = mm;
    }
    aspen_port_spin_unlock(&beside.lock);
    if (!space)
        (void)!aspen_mm_deactivate(mm, cpu);
}

/* The space is gone; nothing of it may be cached any more. What is newer is
 * another's, who has got the same table. */
static void
unwatch(const struct space *was, const char *after)
{
    mmu_check_gone(was->root, 0, UINT64_MAX, was->since, MMU_GONE_ALL, after);
    mmu_forget(was->root);
    beside_say(after);
}

unsigned
beside_cpu(const struct aspen_mm *mm)
{
    aspen_port_spin_lock(&beside.lock);
    const struct space *space = space_of(mm);
    unsigned cpu = space ? space->cpu : 0;
    aspen_port_spin_unlock(&beside.lock);
    return cpu;
}

/* Something for each space that is watched; it may be gone by now, but not its
 * number. */
static void
each_space(void (*visit)(const struct space *space, const char *after),
           const char *after)
{
    bool more = true;

    for (unsigned i = 0; more; i++) {
        aspen_port_spin_lock(&beside.lock);
        struct space space = beside.spaces[i];
        more = i + 1 < beside.used;
        aspen_port_spin_unlock(&beside.lock);
        if (space.mm)
            visit(&space, after);
    }
}

/* ---- Before and after a call ------------------------------------------- */

void
beside_say(const char *after)
{
    static char text[400];

    if (!mmu_breach())
        return;
    snprintf(text, sizeof(text), "the processor, after %s: %s", after,
             mmu_breach());
    aspen_port_panic(text);
}

static void
reload(const struct space *space, const char *unused)
{
    (void)unused;
    mmu_leave(space->cpu, space->root);
    mmu_leave(MMU_SECOND, space->root);
    const uint64_t end = ASPEN_ADDRESS_LIMIT; /* the rest is not the core's */
    uint64_t seen = mmu_load(space->cpu, space->root, 0, end, LEAVES);
    if (!beside.alone)
        told_second_load(space->mm, 0, end, LEAVES);
    __atomic_fetch_add(&beside.spent, seen + 32, __ATOMIC_RELAXED);
}

static void
check(const struct space *space, const char *after)
{
    mmu_check(space->root, after);
}

void
beside_check(const char *after)
{
    each_space(check, after);
    beside_say(after);
}

void
beside_enter(void)
{
    if (depth++ || !beside.aspen)
        return;
    aspen_port_spin_lock(&beside.gate);
    beside.entered++;
    looked_at = __atomic_load_n(&beside.spent, __ATOMIC_RELAXED) < BUDGET ||
                beside.entered % 64 == 0;
    if (beside.in_flight++ == 0 && looked_at && !beside.idle)
        each_space(reload, NULL);
    aspen_port_spin_unlock(&beside.gate);
}

void
beside_leave(const char *call)
{
    if (--depth || !beside.aspen)
        return;
    aspen_port_spin_lock(&beside.gate);
    if (beside.in_flight-- == 1 && looked_at)
        each_space(check, call);
    aspen_port_spin_unlock(&beside.gate);
    beside_say(call);
}

static bool
is_inside(void)
{
    return depth > 0;
}

/* ---- Accesses ---------------------------------------------------------- */

bool
beside_try(unsigned cpu, struct aspen_mm *mm, uint64_t address,
           enum mmu_access access, void *bytes, size_t length)
{
    bool done = told_access(cpu, mm, address, access, bytes, length);

    beside_say("an access");
    return done;
}

int
beside_access(struct aspen_mm *mm, uint64_t address, enum mmu_access access,
              void *bytes, size_t length)
{
    int error = told_run(beside_cpu(mm), mm, address, access, bytes, length);

    beside_say("an access");
    if (error == TOLD_FOR_EVER)
        aspen_port_panic("faults answer 0, and the access faults again");
    return error;
}

int
beside_touch(struct aspen_mm *mm, uint64_t address)
{
    uint8_t byte;
    int error = aspen_fault(mm, address, ASPEN_ACCESS_READ);

    if (error)
        return error;
    mmu_leave(beside_cpu(mm), mm->root);
    return beside_access(mm, address, MMU_READ, &byte, 1);
}

/* ---- The machine ------------------------------------------------------- */

static void
stand_beside(struct aspen *aspen)
{
    mmu_attach(&(struct mmu_config){
        .direct_map = aspen->config.direct_map,
        .frames = aspen->config.frames,
        .flags = beside.flags,
        .evict_seed = beside.evict_seed,
    });
    memset(beside.spaces, 0, sizeof(beside.spaces));
    beside.used = 0;
    beside.in_flight = 0;
    beside.aspen = aspen;
    told_of(aspen, beside.public ? is_inside : NULL);
}

static void
stand_aside(void)
{
    beside.aspen = NULL;
    told_of(NULL, NULL);
    mmu_detach();
}

BETWEEN(int, aspen_create,
        (const struct aspen_config *config, struct aspen **aspen))
{
    struct aspen_config ours;

    if (beside.aspen)
        stand_aside();
    if (!config || !config->direct_map ||
        !between_notifier_whole(config->hooks.notifier))
        return __real_aspen_create(config, aspen);
    ours = *config;
    ours.hooks.notifier = between_notifier(ours.hooks.notifier, !beside.alone);
    ours.hooks.arch = between_arch(ours.hooks.arch);
    int error = __real_aspen_create(&ours, aspen);
    if (!error)
        stand_beside(*aspen);
    else
        between_arch_free(ours.hooks.arch);
    return error;
}

BETWEEN(int, aspen_destroy, (struct aspen * aspen))
{
    struct aspen *watched = beside.aspen;

    const struct aspen_arch_ops *arch = aspen->config.hooks.arch;

    if (aspen == watched)
        beside.aspen = NULL;
    int error = __real_aspen_destroy(aspen);
    if (!error)
        between_arch_free(arch);
    if (aspen == watched && error)
        beside.aspen = watched;
    else if (aspen == watched)
        stand_aside();
    return error;
}

BETWEEN(int, aspen_mm_create, (struct aspen * aspen, struct aspen_mm **mm))
{
    beside_enter();
    int error = __real_aspen_mm_create(aspen, mm);
    beside_leave("aspen_mm_create");
    if (!error)
        watch(*mm);
    return error;
}

/* Without the one user that leaves now it is gone. */
static bool
is_last(struct aspen_mm *mm, struct space *was)
{
    bool last = false;

    aspen_port_spin_lock(&beside.lock);
    struct space *space = space_of(mm);
    if (space && aspen_load(&mm->users) == 1) {
        last = true;
        *was = *space;
        space->mm = NULL;
    }
    aspen_port_spin_unlock(&beside.lock);
    if (last) {
        mmu_quiet(was->root);
        was->since = mmu_now();
    }
    return last;
}

BETWEEN(void, aspen_mm_put, (struct aspen_mm * mm))
{
    struct space was;

    beside_enter();
    bool last = is_last(mm, &was);
    __real_aspen_mm_put(mm);
    if (last)
        unwatch(&was, "aspen_mm_put");
    beside_leave("aspen_mm_put");
}

BETWEEN(int, aspen_fork, (struct aspen_mm * parent, struct aspen_mm **child))
{
    beside_enter();
    int error = __real_aspen_fork(parent, child);
    beside_leave("aspen_fork");
    if (!error)
        watch(*child);
    return error;
}

BETWEEN(int, aspen_exec_prepare, (struct aspen_mm * mm, struct aspen_mm **next))
{
    beside_enter();
    int error = __real_aspen_exec_prepare(mm, next);
    beside_leave("aspen_exec_prepare");
    if (!error)
        watch(*next);
    return error;
}

BETWEEN(void, aspen_exec_commit, (struct aspen_mm * mm, struct aspen_mm *next))
{
    struct space was;

    beside_enter();
    bool last = is_last(mm, &was);
    __real_aspen_exec_commit(mm, next);
    if (last)
        unwatch(&was, "aspen_exec_commit");
    beside_leave("aspen_exec_commit");
}

BETWEEN(void, aspen_exec_abort, (struct aspen_mm * next))
{
    struct space was;

    beside_enter();
    bool last = is_last(next, &was);
    __real_aspen_exec_abort(next);
    if (last)
        unwatch(&was, "aspen_exec_abort");
    beside_leave("aspen_exec_abort");
}

/* What a CPU has cached ahead while it was not told, it does not keep. */
BETWEEN(int, aspen_mm_activate, (struct aspen_mm * mm, unsigned cpu))
{
    int error = __real_aspen_mm_activate(mm, cpu);

    if (!error && mm->aspen == beside.aspen && !mmu_keeps(cpu, mm->root))
        mmu_leave(cpu, mm->root);
    return error;
}

/* A CPU that leaves a space is not told of it any more. */
BETWEEN(int, aspen_mm_deactivate, (struct aspen_mm * mm, unsigned cpu))
{
    if (mm->aspen == beside.aspen && cpu < MMU_CPUS &&
        !mmu_keeps(cpu, mm->root))
        mmu_leave(cpu, mm->root);
    return __real_aspen_mm_deactivate(mm, cpu);
}

/* As both of them. */
BETWEEN(int, aspen_mm_switch,
        (unsigned cpu, struct aspen_mm *from, struct aspen_mm *to))
{
    if (from && from != to && from->aspen == beside.aspen && cpu < MMU_CPUS)
        mmu_leave(cpu, from->root);
    int error = __real_aspen_mm_switch(cpu, from, to);
    if (!error && to && from != to && to->aspen == beside.aspen)
        mmu_leave(cpu, to->root);
    return error;
}

/* ---- Calls that take something away ------------------------------------ */

/* What was cached before a call began is gone when it says that it did it. */
static void
gone(struct aspen_mm *mm, uint64_t address, uint64_t bytes, uint64_t since,
     enum mmu_gone what, const char *call)
{
    if (mm->aspen != beside.aspen || bytes == 0 || address + bytes < address)
        return;
    mmu_check_gone(mm->root, address, address + bytes, since, what, call);
    beside_say(call);
}

BETWEEN(int, aspen_munmap,
        (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes))
{
    uint64_t since = mmu_now();

    beside_enter();
    int error = __real_aspen_munmap(mm, address, length_bytes);
    if (!error)
        gone(mm, address, length_bytes, since, MMU_GONE_ALL, "aspen_munmap");
    beside_leave("aspen_munmap");
    return error;
}

static bool
is_discard(enum aspen_advice advice)
{
    return advice == ASPEN_MADV_DONTNEED ||
           advice == ASPEN_MADV_DONTNEED_LOCKED ||
           advice == ASPEN_MADV_GUARD_INSTALL;
}

BETWEEN(int, aspen_madvise,
        (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
         enum aspen_advice advice))
{
    uint64_t since = mmu_now();

    beside_enter();
    int error = __real_aspen_madvise(mm, address, length_bytes, advice);
    if (!error && is_discard(advice))
        gone(mm, address, length_bytes, since, MMU_GONE_ALL, "aspen_madvise");
    beside_leave("aspen_madvise");
    return error;
}

BETWEEN(int, aspen_mprotect,
        (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
         uint64_t access, int pkey))
{
    uint64_t since = mmu_now();

    beside_enter();
    int error = __real_aspen_mprotect(mm, address, length_bytes, access, pkey);
    if (!error && !(access & ASPEN_VM_WRITE))
        gone(mm, address, length_bytes, since, MMU_GONE_WRITABLE,
             "aspen_mprotect");
    beside_leave("aspen_mprotect");
    return error;
}

/* What is mapped there is new. */
BETWEEN(int, aspen_mmap,
        (struct aspen_mm * mm, const struct aspen_mmap_args *args,
         uint64_t *address))
{
    uint64_t since = mmu_now();

    beside_enter();
    int error = __real_aspen_mmap(mm, args, address);
    if (!error)
        gone(mm, *address, args->length_bytes, since, MMU_GONE_ALL,
             "aspen_mmap");
    beside_leave("aspen_mmap");
    return error;
}

/* What has moved is not where it was; old_bytes 0: nothing moves. */
BETWEEN(int, aspen_mremap,
        (struct aspen_mm * mm, const struct aspen_mremap_args *args,
         uint64_t *address))
{
    uint64_t since = mmu_now();

    beside_enter();
    int error = __real_aspen_mremap(mm, args, address);
    if (!error && *address != args->address)
        gone(mm, args->address, args->old_bytes, since, MMU_GONE_ALL,
             "aspen_mremap");
    beside_leave("aspen_mremap");
    return error;
}

/* ---- The others -------------------------------------------------------- */

BETWEEN(uint64_t, aspen_reclaim, (struct aspen * aspen, uint64_t pages))
{
    beside_enter();
    uint64_t gone_pages = __real_aspen_reclaim(aspen, pages);
    beside_leave("aspen_reclaim");
    return gone_pages;
}

BETWEEN(uint64_t, aspen_group_reclaim, (struct aspen_group * g, uint64_t pages))
{
    beside_enter();
    uint64_t gone_pages = __real_aspen_group_reclaim(g, pages);
    beside_leave("aspen_group_reclaim");
    return gone_pages;
}

BETWEEN(bool, aspen_reclaim_tick, (struct aspen * aspen))
{
    beside_enter();
    bool more = __real_aspen_reclaim_tick(aspen);
    beside_leave("aspen_reclaim_tick");
    return more;
}

BETWEEN(int, aspen_migrate, (struct aspen * aspen, uint32_t frame))
{
    beside_enter();
    int error = __real_aspen_migrate(aspen, frame);
    beside_leave("aspen_migrate");
    return error;
}

BETWEEN(int, aspen_compact, (struct aspen * aspen, unsigned order))
{
    beside_enter();
    int error = __real_aspen_compact(aspen, order);
    beside_leave("aspen_compact");
    return error;
}

BETWEEN(bool, aspen_compact_tick, (struct aspen * aspen, unsigned order))
{
    beside_enter();
    bool more = __real_aspen_compact_tick(aspen, order);
    beside_leave("aspen_compact_tick");
    return more;
}

BETWEEN(int, aspen_memory_failure, (struct aspen * aspen, uint32_t frame))
{
    beside_enter();
    int error = __real_aspen_memory_failure(aspen, frame);
    beside_leave("aspen_memory_failure");
    return error;
}

BETWEEN(int, aspen_memory_offline, (struct aspen * aspen, uint32_t frame))
{
    beside_enter();
    int error = __real_aspen_memory_offline(aspen, frame);
    beside_leave("aspen_memory_offline");
    return error;
}
