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
    bool idle;  /* nothing is cached but what is accessed */
    bool alone; /* no second MMU */
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

static void
enter(void)
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

static void
leave(const char *call)
{
    if (--depth || !beside.aspen)
        return;
    aspen_port_spin_lock(&beside.gate);
    if (beside.in_flight-- == 1 && looked_at)
        each_space(check, call);
    aspen_port_spin_unlock(&beside.gate);
    beside_say(call);
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
    told_of(aspen);
}

static void
stand_aside(void)
{
    beside.aspen = NULL;
    told_of(NULL);
    mmu_detach();
}

/* What stands between the test and a function of the library. */
#define BETWEEN(type, name, parameters)                                        \
    type __real_##name parameters;                                             \
    type __wrap_##name parameters;                                             \
    _Static_assert(__builtin_types_compatible_p(__typeof__(name),              \
                                                __typeof__(__real_##name)),    \
                   #name " takes something else");                             \
    type __wrap_##name parameters

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
    int error = __real_aspen_mm_create(aspen, mm);

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

    enter();
    bool last = is_last(mm, &was);
    __real_aspen_mm_put(mm);
    if (last)
        unwatch(&was, "aspen_mm_put");
    leave("aspen_mm_put");
}

BETWEEN(int, aspen_fork, (struct aspen_mm * parent, struct aspen_mm **child))
{
    enter();
    int error = __real_aspen_fork(parent, child);
    leave("aspen_fork");
    if (!error)
        watch(*child);
    return error;
}

BETWEEN(int, aspen_exec_prepare, (struct aspen_mm * mm, struct aspen_mm **next))
{
    int error = __real_aspen_exec_prepare(mm, next);

    if (!error)
        watch(*next);
    return error;
}

BETWEEN(void, aspen_exec_commit, (struct aspen_mm * mm, struct aspen_mm *next))
{
    struct space was;

    enter();
    bool last = is_last(mm, &was);
    __real_aspen_exec_commit(mm, next);
    if (last)
        unwatch(&was, "aspen_exec_commit");
    leave("aspen_exec_commit");
}

BETWEEN(void, aspen_exec_abort, (struct aspen_mm * next))
{
    struct space was;

    enter();
    bool last = is_last(next, &was);
    __real_aspen_exec_abort(next);
    if (last)
        unwatch(&was, "aspen_exec_abort");
    leave("aspen_exec_abort");
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

    enter();
    int error = __real_aspen_munmap(mm, address, length_bytes);
    if (!error)
        gone(mm, address, length_bytes, since, MMU_GONE_ALL, "aspen_munmap");
    leave("aspen_munmap");
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

    enter();
    int error = __real_aspen_madvise(mm, address, length_bytes, advice);
    if (!error && is_discard(advice))
        gone(mm, address, length_bytes, since, MMU_GONE_ALL, "aspen_madvise");
    leave("aspen_madvise");
    return error;
}

BETWEEN(int, aspen_mprotect,
        (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
         uint64_t access, int pkey))
{
    uint64_t since = mmu_now();

    enter();
    int error = __real_aspen_mprotect(mm, address, length_bytes, access, pkey);
    if (!error && !(access & ASPEN_VM_WRITE))
        gone(mm, address, length_bytes, since, MMU_GONE_WRITABLE,
             "aspen_mprotect");
    leave("aspen_mprotect");
    return error;
}

/* What is mapped there is new. */
BETWEEN(int, aspen_mmap,
        (struct aspen_mm * mm, const struct aspen_mmap_args *args,
         uint64_t *address))
{
    uint64_t since = mmu_now();

    enter();
    int error = __real_aspen_mmap(mm, args, address);
    if (!error)
        gone(mm, *address, args->length_bytes, since, MMU_GONE_ALL,
             "aspen_mmap");
    leave("aspen_mmap");
    return error;
}

/* What has moved is not where it was; old_bytes 0: nothing moves. */
BETWEEN(int, aspen_mremap,
        (struct aspen_mm * mm, const struct aspen_mremap_args *args,
         uint64_t *address))
{
    uint64_t since = mmu_now();

    enter();
    int error = __real_aspen_mremap(mm, args, address);
    if (!error && *address != args->address)
        gone(mm, args->address, args->old_bytes, since, MMU_GONE_ALL,
             "aspen_mremap");
    leave("aspen_mremap");
    return error;
}

/* ---- The others -------------------------------------------------------- */

BETWEEN(uint64_t, aspen_reclaim, (struct aspen * aspen, uint64_t pages))
{
    enter();
    uint64_t gone_pages = __real_aspen_reclaim(aspen, pages);
    leave("aspen_reclaim");
    return gone_pages;
}

BETWEEN(uint64_t, aspen_group_reclaim, (struct aspen_group * g, uint64_t pages))
{
    enter();
    uint64_t gone_pages = __real_aspen_group_reclaim(g, pages);
    leave("aspen_group_reclaim");
    return gone_pages;
}

BETWEEN(bool, aspen_reclaim_tick, (struct aspen * aspen))
{
    enter();
    bool more = __real_aspen_reclaim_tick(aspen);
    leave("aspen_reclaim_tick");
    return more;
}

#define CALL(name, parameters, arguments)                                      \
    BETWEEN(int, name, parameters)                                             \
    {                                                                          \
        enter();                                                               \
        int error = __real_##name arguments;                                   \
        leave(#name);                                                          \
        return error;                                                          \
    }
#define CALL_VOID(name, parameters, arguments)                                 \
    BETWEEN(void, name, parameters)                                            \
    {                                                                          \
        enter();                                                               \
        __real_##name arguments;                                               \
        leave(#name);                                                          \
    }

CALL(aspen_brk, (struct aspen_mm * mm, uint64_t brk, uint64_t *now),
     (mm, brk, now))
CALL(aspen_read_memory,
     (struct aspen_mm * mm, uint64_t address, void *bytes,
      uint64_t length_bytes, unsigned flags, uint64_t *done),
     (mm, address, bytes, length_bytes, flags, done))
CALL(aspen_write_memory,
     (struct aspen_mm * mm, uint64_t address, const void *bytes,
      uint64_t length_bytes, unsigned flags, uint64_t *done),
     (mm, address, bytes, length_bytes, flags, done))
CALL(aspen_futex_load,
     (struct aspen_mm * mm, uint64_t address, uint32_t *value),
     (mm, address, value))
CALL(aspen_futex_add,
     (struct aspen_mm * mm, uint64_t address, uint32_t addend,
      uint32_t *before),
     (mm, address, addend, before))
CALL(aspen_futex_compare_exchange,
     (struct aspen_mm * mm, uint64_t address, uint32_t expected,
      uint32_t desired, uint32_t *before),
     (mm, address, expected, desired, before))
CALL(aspen_futex_key_get,
     (struct aspen_mm * mm, uint64_t address, unsigned flags,
      struct aspen_futex_key *key),
     (mm, address, flags, key))
CALL(aspen_populate,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned access, uint64_t *done),
     (mm, address, length_bytes, access, done))
CALL(aspen_fault, (struct aspen_mm * mm, uint64_t address, unsigned access),
     (mm, address, access))
CALL(aspen_fault_with_rights,
     (struct aspen_mm * mm, uint64_t address, unsigned access, uint32_t rights),
     (mm, address, access, rights))
CALL(aspen_import_vma,
     (struct aspen_mm * mm, const struct aspen_import_vma *vma), (mm, vma))
CALL(aspen_import_pages,
     (struct aspen_mm * mm, const struct aspen_import_pages *pages,
      uint64_t *done),
     (mm, pages, done))
CALL(aspen_mlock,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags),
     (mm, address, length_bytes, flags))
CALL(aspen_munlock,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes),
     (mm, address, length_bytes))
CALL(aspen_mlockall, (struct aspen_mm * mm, unsigned flags), (mm, flags))
CALL(aspen_munlockall, (struct aspen_mm * mm), (mm))
CALL(aspen_process_madvise,
     (struct aspen_mm * mm, const struct aspen_advise_range *ranges,
      unsigned count, enum aspen_advice advice, unsigned flags, uint64_t *done),
     (mm, ranges, count, advice, flags, done))
CALL(aspen_swap_remove, (struct aspen * aspen, unsigned type), (aspen, type))
CALL(aspen_group_limit_set,
     (struct aspen_group * group, enum aspen_group_limit limit, uint64_t pages),
     (group, limit, pages))
CALL(aspen_name_anon,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      const char *name),
     (mm, address, length_bytes, name))
CALL_VOID(aspen_object_put, (struct aspen_object * object), (object))

CALL(aspen_object_resize, (struct aspen_object * object, uint64_t size_bytes),
     (object, size_bytes))
CALL(aspen_object_punch,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes),
     (object, offset_bytes, length_bytes))
CALL(aspen_object_sync,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes),
     (object, offset_bytes, length_bytes))
CALL(aspen_object_drop,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes, uint64_t *pages),
     (object, offset_bytes, length_bytes, pages))
CALL(aspen_object_read,
     (struct aspen_object * object, uint64_t offset_bytes, void *bytes,
      uint64_t length_bytes, uint64_t *done),
     (object, offset_bytes, bytes, length_bytes, done))
CALL(aspen_object_write,
     (struct aspen_object * object, uint64_t offset_bytes, const void *bytes,
      uint64_t length_bytes, uint64_t *done),
     (object, offset_bytes, bytes, length_bytes, done))
CALL(aspen_object_unmap,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes, unsigned flags),
     (object, offset_bytes, length_bytes, flags))
CALL(aspen_pin_range,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags, uint32_t *frames),
     (mm, address, length_bytes, flags, frames))
CALL(aspen_unpin,
     (struct aspen_mm * mm, const uint32_t *frames, uint64_t pages,
      unsigned flags),
     (mm, frames, pages, flags))
CALL(aspen_pkey_free, (struct aspen_mm * mm, int pkey), (mm, pkey))
CALL(aspen_insert_raw,
     (struct aspen_mm * mm, uint64_t address, uint64_t number, unsigned flags),
     (mm, address, number, flags))
CALL(aspen_remap_raw,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      uint64_t number),
     (mm, address, length_bytes, number))
CALL(aspen_insert_page, (struct aspen_mm * mm, uint64_t address), (mm, address))
CALL(aspen_remap_file_pages,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      uint64_t offset_bytes, unsigned flags),
     (mm, address, length_bytes, offset_bytes, flags))
CALL(aspen_map_special,
     (struct aspen_mm * mm, uint64_t at, uint64_t length_bytes, unsigned place,
      uint64_t vm_flags, const struct aspen_special *special,
      uint64_t *address),
     (mm, at, length_bytes, place, vm_flags, special, address))
CALL(aspen_oom_reap, (struct aspen_mm * mm), (mm))
CALL(aspen_young,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags, uint64_t *pages),
     (mm, address, length_bytes, flags, pages))
CALL(aspen_msync,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags),
     (mm, address, length_bytes, flags))
