/* SPDX-License-Identifier: MIT */
/*
 * calls/mmap.c - mmap: check, reserve, commit.
 *
 *   check    arguments, place, limits; may what is in the way be unmapped?
 *   reserve  VMAs for the parts of what is in the way, charge, a new VMA or
 *            room in a neighbour, tree nodes
 *   commit   remove what is in the way, then store the VMA or grow the
 *            neighbour
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_mmap.c.
 */
#include "calls/map.h"

#include "ranges/remove.h"
#include "ranges/merge.h"
#include "ranges/place.h"
#include "fault/populate.h"
#include "machine/charge.h"
#include "reclaim/attempt.h"
#include "space/limits.h"
#include "object/i_mmap.h"
#include "object/object.h"
#include "space/pkeys.h"
#include "machine/release.h"
#include "rmap/split.h"
#include "space/vma_hooks.h"

/* What a caller may ask for. */
#define KNOWN_FLAGS                                                            \
    (ASPEN_VM_ACCESS | ASPEN_VM_MAY | ASPEN_VM_SHARED | ASPEN_VM_GROWSDOWN |   \
     ASPEN_VM_STACK | ASPEN_VM_NORESERVE | ASPEN_VM_LOCKED |                   \
     ASPEN_VM_LOCKONFAULT | ASPEN_VM_DONTCOPY | ASPEN_VM_WIPEONFORK |          \
     ASPEN_VM_COPYONFORK | ASPEN_VM_SEQ_READ | ASPEN_VM_RAND_READ |            \
     ASPEN_VM_DONTEXPAND | ASPEN_VM_DONTDUMP | ASPEN_VM_HUGEPAGE |             \
     ASPEN_VM_NOHUGEPAGE | ASPEN_VM_MERGEABLE | ASPEN_VM_SYNC | ASPEN_VM_IO |  \
     ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | ASPEN_VM_BTI | ASPEN_VM_MTE |       \
     ASPEN_VM_CACHE)

struct mapping {
    struct aspen_mm *mm;
    uint64_t bytes;
    uint64_t start;
    uint64_t flags;
    struct aspen_object *object;
    const struct aspen_special *special; /* or NULL */
    bool alone;                          /* no neighbour takes it */
    unsigned execute_pkey; /* that the space takes for it; 0: none */
    uint64_t pgoff;
    struct aspen_remove remove;
    struct aspen_merge merge;
    uint64_t charge_pages;  /* of the new mapping */
    uint64_t charged_pages; /* of these, what is charged on top of the old */
    struct aspen_vma *vma;  /* new; NULL: a neighbour takes it */
    struct aspen_tree_reserve reserve;
};

/* What check does not set. */
static void
mapping_init(struct mapping *mapping, struct aspen_mm *mm,
             const struct aspen_special *special, bool alone)
{
    mapping->mm = mm;
    mapping->special = special;
    mapping->alone = alone;
    mapping->charge_pages = 0;
    mapping->charged_pages = 0;
    mapping->vma = NULL;
    mapping->reserve = (struct aspen_tree_reserve){0};
}

/* ---- Check ------------------------------------------------------------- */

/* What no order of Linux's says anything about: the embedder's mistakes. */
static int
check_known(const struct aspen_mm *mm, const struct aspen_mmap_args *args)
{
    const struct aspen_object *object = args->object;

    if (args->vm_flags & ~KNOWN_FLAGS || args->flags & ~ASPEN_MAP_FLAGS ||
        (object &&
         (object->kind == ASPEN_OBJECT_HUGETLB || object->aspen != mm->aspen)))
        return -ASPEN_EINVAL;
    return 0;
}

static int
check_size(const struct aspen_mmap_args *args, uint64_t *bytes)
{
    if (args->object && !aspen_is_aligned(args->offset_bytes, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    if (args->length_bytes == 0)
        return -ASPEN_EINVAL;
    *bytes = aspen_align_up(args->length_bytes, ASPEN_PAGE_SIZE);
    return *bytes ? 0 : -ASPEN_ENOMEM;
}

/* As Linux: asked for by the call is one thing, by mlockall() another. */
static int
check_locked(const struct mapping *mapping, const struct aspen_mmap_args *args)
{
    const struct aspen_mm *mm = mapping->mm;

    if (args->vm_flags & ASPEN_VM_LOCKED) {
        int error = aspen_can_lock(mm);
        if (error)
            return error;
    }
    return mapping->flags & ASPEN_VM_LOCKED
               ? aspen_may_lock(mm, mapping->bytes >> ASPEN_PAGE_SHIFT)
               : 0;
}

/* Linux's files have less than 2^63 bytes. */
static int
check_offset(const struct mapping *mapping, const struct aspen_mmap_args *args)
{
    const uint64_t most = INT64_MAX;

    if (!args->object)
        return 0;
    return mapping->bytes > most || args->offset_bytes > most - mapping->bytes
               ? -ASPEN_EOVERFLOW
               : 0;
}

/* Do the flags fit each other and what is mapped? */
static int
check_kind(const struct aspen_mmap_args *args)
{
    const uint64_t private = ASPEN_VM_GROWSDOWN | ASPEN_VM_WIPEONFORK;
    uint64_t flags = args->vm_flags;

    if (flags & ASPEN_VM_MAY && !aspen_access_may_be(flags))
        return -ASPEN_EACCES;
    if (!args->object && flags & ASPEN_VM_SHARED && flags & ASPEN_VM_DEVICE)
        return -ASPEN_EINVAL;
    if (args->object && args->object->zeroes && flags & ASPEN_VM_SHARED &&
        (flags & ASPEN_VM_MAYWRITE || !(flags & ASPEN_VM_MAY)))
        return -ASPEN_EINVAL;
    if (flags & ASPEN_VM_MTE && !aspen_may_have_tags(args->object))
        return -ASPEN_EINVAL;
    if (flags & ASPEN_VM_SHARED && flags & ASPEN_VM_COPYONFORK)
        return -ASPEN_EINVAL;
    return (args->object || flags & ASPEN_VM_SHARED) && flags & private
               ? -ASPEN_EINVAL
               : 0;
}

/* Of the VMA that will be. */
static int
check_cache_mode(const struct mapping *mapping)
{
    if (!aspen_vma_cache_mode_valid(mapping->flags))
        return -ASPEN_EINVAL;
    return mapping->flags & ASPEN_VM_CACHE &&
                   mapping->mm->aspen->config.flags &
                       ASPEN_CONFIG_CACHE_MODES_ABSENT
               ? -ASPEN_EOPNOTSUPP
               : 0;
}

/* A seal is asked again when the object is claimed: what may be, may change. */
static int
check_seals(const struct mapping *mapping)
{
    return aspen_release_mmap_asks_seals_first(mapping->mm->aspen) &&
                   aspen_i_mmap_denies_writable(mapping->object, mapping->flags)
               ? -ASPEN_EPERM
               : 0;
}

/* What the VMA's flags will be; the lock of what is a driver's is dropped
 * later. */
static uint64_t
flags_of(const struct aspen_mm *mm, const struct aspen_mmap_args *args)
{
    const struct aspen_config *config = &mm->aspen->config;
    uint64_t flags = args->vm_flags | mm->def_flags;

    if (!(flags & ASPEN_VM_MAY))
        flags |= ASPEN_VM_MAY;
    if (flags & ASPEN_VM_CACHE)
        flags &= ~ASPEN_VM_MAYEXEC;
    if (flags & ASPEN_VM_SHARED)
        flags |= ASPEN_VM_MAYSHARE;
    /* Nobody can write to it: private, but for its name. */
    if (args->object && args->object->zeroes)
        flags &= ~ASPEN_VM_SHARED;
    if (flags & ASPEN_VM_STACK && aspen_release_stack_is_not_huge(mm->aspen) &&
        config->huge_placement != ASPEN_HUGE_PLACEMENT_NEVER)
        flags |= ASPEN_VM_NOHUGEPAGE;
    flags &= ~ASPEN_VM_STACK;
    if (config->overcommit == ASPEN_OVERCOMMIT_NEVER)
        flags &= ~ASPEN_VM_NORESERVE;
    if ((flags & (ASPEN_VM_WRITE | ASPEN_VM_SHARED | ASPEN_VM_NORESERVE)) ==
        ASPEN_VM_WRITE)
        flags |= ASPEN_VM_ACCOUNT;
    return flags;
}

/* EXEC alone: the space's own key, which is taken when nothing can fail. */
static void
choose_pkey(struct mapping *mapping, const struct aspen_mmap_args *args)
{
    bool plain = args->flags & ASPEN_MAP_PLAIN_EXEC;

    mapping->execute_pkey = aspen_is_execute_only(args->vm_flags, plain)
                                ? aspen_pkey_for_execute_only(mapping->mm)
                                : 0;
    mapping->flags |= aspen_pkey_flags(mapping->execute_pkey);
}

static void
drop_lock_of_driver(struct mapping *mapping)
{
    if (mapping->flags & ASPEN_VM_DRIVER)
        mapping->flags &= ~(ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT);
}

/* Anonymous memory that is shared starts at the start of its own object. */
static uint64_t
pgoff_of(const struct mapping *mapping, const struct aspen_mmap_args *args)
{
    if (args->object)
        return args->offset_bytes >> ASPEN_PAGE_SHIFT;
    return mapping->flags & ASPEN_VM_SHARED
               ? 0
               : mapping->start >> ASPEN_PAGE_SHIFT;
}

/* What is in the way, as far as anything can be, and the limits. */
static int
check_room(struct mapping *mapping)
{
    struct aspen_mm *mm = mapping->mm;
    uint64_t pages = mapping->bytes >> ASPEN_PAGE_SHIFT;
    uint64_t end =
        aspen_min_u64(mapping->start + mapping->bytes, mm->address_limit);
    int error = 0;

    if (mapping->flags & ASPEN_VM_ACCOUNT)
        mapping->charge_pages = pages;
    if (mapping->start < end)
        error = aspen_remove_check(&mapping->remove, mm, mapping->start, end);
    if (!error)
        error = aspen_place_check_top(mm, mapping->start, mapping->bytes);
    if (error)
        return error;
    return aspen_may_expand(mm, mapping->flags, pages - mapping->remove.pages);
}

/* The mmap lock is held, from here on. What is refused first is refused first
 * by Linux, so that both give the same error. */
static int
check(struct mapping *mapping, const struct aspen_mmap_args *args)
{
    struct aspen_mm *mm = mapping->mm;

    if (!aspen_mm_accepts_mappings(mm))
        return -ASPEN_EINVAL;
    /* As Linux: one more than the limit is possible. */
    if (mm->map_count > mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    int error = aspen_place(mm, args, aspen_place_hint(mm, args),
                            mapping->bytes, &mapping->start);
    if (error)
        return error;

    mapping->flags = flags_of(mm, args);
    choose_pkey(mapping, args);
    mapping->object = args->object;
    mapping->pgoff = pgoff_of(mapping, args);
    error = mapping->special ? 0 : check_locked(mapping, args);
    if (!error)
        error = check_offset(mapping, args);
    if (!error)
        error = check_kind(args);
    if (!error)
        error = check_cache_mode(mapping);
    if (!error)
        error = check_seals(mapping);
    drop_lock_of_driver(mapping);
    return error ? error : check_room(mapping);
}

/* ---- Reserve ----------------------------------------------------------- */

/* Only what the new mapping has more than what it replaces. */
static int
reserve_charge(struct mapping *mapping)
{
    uint64_t old = mapping->remove.charge_pages;

    if (mapping->charge_pages > old)
        mapping->charged_pages = mapping->charge_pages - old;
    return aspen_charge_mm(mapping->mm, mapping->charged_pages);
}

/* The object of a new VMA, with its reference, in vma->object. */
static int
reserve_object(struct mapping *mapping, struct aspen_vma *vma)
{
    vma->object = mapping->object;
    if (vma->object)
        aspen_object_get(vma->object);
    else if (mapping->flags & ASPEN_VM_SHARED)
        return aspen_object_create_shared(mapping->mm, mapping->bytes,
                                          mapping->flags, &vma->object);
    return 0;
}

static int
reserve_new_vma(struct mapping *mapping)
{
    struct aspen_vma *vma = aspen_vma_alloc(mapping->mm);

    if (!vma)
        return -ASPEN_ENOMEM;
    vma->start = mapping->start;
    vma->end = mapping->start + mapping->bytes;
    vma->flags = mapping->flags;
    vma->pgoff = mapping->pgoff;
    vma->special = mapping->special;
    int error = reserve_object(mapping, vma);
    if (error)
        goto undo_vma;
    error = aspen_vma_open(vma);
    if (error)
        goto undo_object;
    mapping->vma = vma;
    return 0;

undo_object:
    if (vma->object)
        aspen_object_put(vma->object);
undo_vma:
    aspen_vma_free(vma);
    return error;
}

/* Will a neighbour grow, or will there be a new VMA? */
static void
plan_merge(struct mapping *mapping)
{
    mapping->merge = (struct aspen_merge){
        .mm = mapping->mm,
        .start = mapping->start,
        .end = mapping->start + mapping->bytes,
        .flags = mapping->flags,
        .object = mapping->object,
        .pgoff = mapping->pgoff,
        .below = mapping->alone ? NULL : mapping->remove.below,
        .above = mapping->alone ? NULL : mapping->remove.above,
    };
    aspen_merge_check(&mapping->merge);
}

static int
reserve_tree(struct mapping *mapping)
{
    return aspen_remove_reserve_tree(&mapping->remove, &mapping->reserve, 1,
                                     aspen_merge_start(&mapping->merge),
                                     aspen_merge_end(&mapping->merge));
}

static int
reserve_vma(struct mapping *mapping)
{
    struct aspen_merge *merge = &mapping->merge;

    if (merge->below || merge->above)
        return aspen_merge_reserve(merge);
    return reserve_new_vma(mapping);
}

static int
reserve(struct mapping *mapping)
{
    struct aspen_mm *mm = mapping->mm;

    int error = aspen_i_mmap_claim_writable(mapping->object, mapping->flags);
    if (error)
        return error;
    error = reserve_charge(mapping);
    if (error)
        goto undo_claim;
    error = aspen_remove_reserve(&mapping->remove);
    if (error)
        goto undo_charge;
    plan_merge(mapping);
    error = reserve_tree(mapping);
    if (error)
        goto undo_remove;
    error = reserve_vma(mapping);
    if (error)
        goto undo_tree;
    return 0;

undo_tree:
    aspen_tree_reserve_release(&mm->vmas, &mapping->reserve);
undo_remove:
    aspen_remove_abort(&mapping->remove);
undo_charge:
    aspen_uncharge(mm->aspen, mapping->charged_pages);
undo_claim:
    aspen_i_mmap_release_writable(mapping->object, mapping->flags);
    return error;
}

/* ---- Commit ------------------------------------------------------------ */

static void
commit(struct mapping *mapping)
{
    struct aspen_mm *mm = mapping->mm;
    uint64_t pages = mapping->bytes >> ASPEN_PAGE_SHIFT;
    uint64_t old = mapping->remove.charge_pages;

    /* Before anybody can meet what has the key. */
    aspen_pkey_set_execute_only(mm, mapping->execute_pkey);
    aspen_remove_commit(&mapping->remove, &mapping->reserve);
    if (old > mapping->charge_pages)
        aspen_uncharge(mm->aspen, old - mapping->charge_pages);
    if (mapping->vma)
        aspen_vma_add(mapping->vma, &mapping->reserve);
    else
        aspen_merge_commit(&mapping->merge, &mapping->reserve);
    aspen_i_mmap_release_writable(mapping->object, mapping->flags);
    aspen_mm_account_vma(mm, mapping->flags, pages, true);
    aspen_tree_reserve_release(&mm->vmas, &mapping->reserve);
}

/* ---- Afterwards -------------------------------------------------------- */

static bool
wants_pages(const struct aspen_mmap_args *args, uint64_t flags)
{
    return flags & ASPEN_VM_LOCKED ||
           (args->flags & (ASPEN_MAP_POPULATE | ASPEN_MAP_NONBLOCK)) ==
               ASPEN_MAP_POPULATE;
}

/* The mmap lock is held for writing. */
static int
map_locked(struct mapping *mapping, const struct aspen_mmap_args *args)
{
    int error = check(mapping, args);
    if (!error)
        error = reserve(mapping);
    if (!error)
        commit(mapping);
    return error;
}

int
aspen_mmap_locked(struct aspen_mm *mm, const struct aspen_mmap_args *args,
                  bool alone)
{
    struct mapping mapping;

    mapping_init(&mapping, mm, NULL, alone);
    int error = check_size(args, &mapping.bytes);
    return error ? error : map_locked(&mapping, args);
}

/* What was mapped, for what comes after it without the lock. */
struct mapped {
    uint64_t start;
    uint64_t end;
    bool wants_pages;
};

/* Apart, so that the plan is not on the stack while pages are made, or leave.
 * The mmap lock is held for writing. */
static ASPEN_NOINLINE int
map(struct aspen_mm *mm, const struct aspen_mmap_args *args, uint64_t bytes,
    const struct aspen_special *special, struct mapped *mapped)
{
    struct mapping mapping;

    mapping_init(&mapping, mm, special, false);
    mapping.bytes = bytes;
    int error = map_locked(&mapping, args);
    if (error)
        return error;
    *mapped = (struct mapped){
        .start = mapping.start,
        .end = mapping.start + mapping.bytes,
        .wants_pages = wants_pages(args, mapping.flags),
    };
    return 0;
}

int
aspen_map(struct aspen_mm *mm, const struct aspen_mmap_args *args,
          const struct aspen_special *special, uint64_t *address)
{
    struct aspen_attempt attempt;
    struct mapped mapped;
    uint64_t bytes;

    int error = check_size(args, &bytes);
    if (error)
        return error;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = map(mm, args, bytes, special, &mapped);
    if (error)
        return error;
    *address = mapped.start;
    if (mapped.wants_pages)
        aspen_populate_silently(mm, mapped.start, mapped.end,
                                ASPEN_POPULATE_MMAP);
    return 0;
}

int
aspen_mmap(struct aspen_mm *mm, const struct aspen_mmap_args *args,
           uint64_t *address)
{
    int error = check_known(mm, args);

    return error ? error : aspen_map(mm, args, NULL, address);
}
