/* SPDX-License-Identifier: MIT */
/*
 * ranges/place.c - where a new mapping goes: the very address that Linux would
 * pick, given the same layout.
 *
 *   fixed     there, if that is in user space and not too low
 *   hint      rounded down to a page and up to the lowest address (mremap's is
 *             not), if all of it is free and out of the gap below a stack
 *   search    top down below mmap_base, then bottom up from mmap_bottom; the
 *             latter alone in a bottom-up layout, and from 1 to 2 GiB for 32BIT
 *   aligned   a search for one huge page more than is needed; the mapping goes
 *             where huge pages fit in what is found; else as above
 *
 * Called by mmap, mremap and special mappings. The first tests to break are
 * tests/unit/ranges/test_place.c and tests/host/test_place_host.c.
 */
#include "ranges/place.h"

#include "space/limits.h"
#include "machine/release.h"
#include "space/vma.h"

#define WINDOW_32BIT_START ((uint64_t)1 << 30)
#define WINDOW_32BIT_END   ((uint64_t)1 << 31)
#define ABOVE_4G           ((uint64_t)1 << 32)
#define HUGE_LEVEL         1

/* What is looked for, whether aligned or not. */
struct wanted {
    struct aspen_mm *mm;
    unsigned flags; /* ASPEN_MAP_* */
    uint64_t hint;  /* 0: none */
    uint64_t bytes;
};

static bool
is_fixed(unsigned flags)
{
    return (flags & (ASPEN_MAP_FIXED | ASPEN_MAP_FIXED_NOREPLACE)) != 0;
}

/* ---- Searches ---------------------------------------------------------- */

/* The VMA from `end` on, `next` if that is known, whose guard gap reaches below
 * `end`, or NULL. */
static struct aspen_vma *
guarded_above(struct aspen_mm *mm, uint64_t end, struct aspen_vma *next)
{
    if (!next && end < mm->address_limit)
        next = aspen_vma_find(mm, end);
    return next && aspen_vma_start_with_gap(next) < end ? next : NULL;
}

/* The highest place in [low, high). Each round that meets a guard gap goes
 * on below it. */
static int
search_down(const struct wanted *wanted, uint64_t low, uint64_t high,
            uint64_t *start)
{
    struct aspen_mm *mm = wanted->mm;

    while (high > low) {
        void *next;
        if (aspen_tree_gap_down(&mm->vmas, low, high - 1, wanted->bytes, start,
                                &next))
            return -ASPEN_ENOMEM;
        struct aspen_vma *guarded =
            guarded_above(mm, *start + wanted->bytes, next);
        if (!guarded)
            return 0;
        high = aspen_vma_start_with_gap(guarded);
    }
    return -ASPEN_ENOMEM;
}

/* The lowest place in [low, high). */
static int
search_up(const struct wanted *wanted, uint64_t low, uint64_t high,
          uint64_t *start)
{
    struct aspen_mm *mm = wanted->mm;

    while (low < high) {
        if (aspen_tree_gap_up(&mm->vmas, low, high - 1, wanted->bytes, start))
            return -ASPEN_ENOMEM;
        struct aspen_vma *guarded =
            guarded_above(mm, *start + wanted->bytes, NULL);
        if (!guarded)
            return 0;
        low = guarded->end;
    }
    return -ASPEN_ENOMEM;
}

/* ---- One place --------------------------------------------------------- */

static bool
hint_is_free(const struct wanted *wanted, uint64_t limit)
{
    if (!wanted->hint || wanted->bytes > limit ||
        wanted->hint > limit - wanted->bytes)
        return false;
    struct aspen_vma *next = aspen_vma_find(wanted->mm, wanted->hint);
    return !next ||
           wanted->hint + wanted->bytes <= aspen_vma_start_with_gap(next);
}

/* What a hint above the window opens: all that is above it. */
static uint64_t
opened(const struct wanted *wanted)
{
    uint64_t window = aspen_mm_window(wanted->mm);

    return wanted->hint > window ? wanted->mm->address_limit - window : 0;
}

static int
find_upwards(const struct wanted *wanted, uint64_t *start)
{
    const struct aspen_mm *mm = wanted->mm;
    bool low = (wanted->flags & ASPEN_MAP_32BIT) != 0;
    uint64_t bottom = low ? WINDOW_32BIT_START : mm->layout.mmap_bottom;
    uint64_t limit = low ? aspen_min_u64(WINDOW_32BIT_END, mm->address_limit)
                         : aspen_mm_window(mm) + opened(wanted);

    if (hint_is_free(wanted, limit)) {
        *start = wanted->hint;
        return 0;
    }
    return search_up(wanted, aspen_max_u64(bottom, aspen_mm_lowest(mm)), limit,
                     start);
}

static int
find_downwards(const struct wanted *wanted, uint64_t *start)
{
    const struct aspen_mm *mm = wanted->mm;
    uint64_t low = wanted->flags & ASPEN_MAP_ABOVE4G ? ABOVE_4G : 0;

    if (hint_is_free(wanted, aspen_mm_window(mm) + opened(wanted))) {
        *start = wanted->hint;
        return 0;
    }
    return search_down(wanted, aspen_max_u64(low, aspen_mm_lowest(mm)),
                       mm->layout.mmap_base + opened(wanted), start);
}

static int
find_place(const struct wanted *wanted, uint64_t *start)
{
    if (is_fixed(wanted->flags)) {
        *start = wanted->hint;
        return 0;
    }
    if (wanted->bytes > wanted->mm->address_limit)
        return -ASPEN_ENOMEM;
    if (!wanted->mm->layout.bottom_up && !(wanted->flags & ASPEN_MAP_32BIT) &&
        !find_downwards(wanted, start))
        return 0;
    return find_upwards(wanted, start);
}

/* ---- Huge pages -------------------------------------------------------- */

/* As files of file systems with large pages, and whole huge pages of
 * anonymous memory: *start is as aligned as `offset`, or 0. */
static void
find_huge(const struct wanted *wanted, uint64_t offset, uint64_t *start)
{
    const uint64_t span = aspen_entry_span(HUGE_LEVEL);
    struct wanted padded = *wanted;
    uint64_t end = offset + wanted->bytes;
    uint64_t first = aspen_align_up(offset, span);

    *start = 0;
    /* Linux's offsets have a sign: from the last large page below 2^63 on it
     * takes the distance for a large one. */
    if ((int64_t)end <= (int64_t)first || end - first < span)
        return;
    padded.bytes += span;
    if (find_place(&padded, start)) {
        *start = 0;
        return;
    }
    if (*start == wanted->hint)
        return;
    uint64_t off = (offset - *start) & (span - 1);
    if (!off && !wanted->mm->layout.bottom_up &&
        aspen_release_places_huge_at_the_end(wanted->mm->aspen))
        off = span;
    *start += off;
}

/* As shared memory: where it would go without, unless that is not aligned and
 * somewhere else is. */
static int
find_shared(const struct wanted *wanted, uint64_t offset, uint64_t *start)
{
    const uint64_t span = aspen_entry_span(HUGE_LEVEL);
    struct wanted padded = *wanted;
    uint64_t within = offset & (span - 1);
    uint64_t found;

    int error = find_place(wanted, start);
    if (error || is_fixed(wanted->flags) || *start == wanted->hint ||
        wanted->bytes < span || (*start & (span - 1)) == within ||
        (within && within + wanted->bytes < 2 * span))
        return error;
    padded.bytes += span - ASPEN_PAGE_SIZE;
    if (find_place(&padded, &found))
        return 0;
    found += (within - found) & (span - 1);
    if (found <= wanted->mm->address_limit - wanted->bytes)
        *start = found;
    return 0;
}

static bool
anonymous_wants_huge(const struct wanted *wanted)
{
    const struct aspen_config *config = &wanted->mm->aspen->config;
    enum aspen_huge_placement placement = config->huge_placement;

    if (placement == ASPEN_HUGE_PLACEMENT_LARGE)
        return true;
    if (placement == ASPEN_HUGE_PLACEMENT_RELEASE &&
        !aspen_release_places_huge_anonymous(wanted->mm->aspen))
        return false;
    return !wanted->hint &&
           aspen_is_aligned(wanted->bytes, aspen_entry_span(HUGE_LEVEL));
}

static bool
wants_huge(const struct wanted *wanted, const struct aspen_mmap_args *args)
{
    if (is_fixed(wanted->flags))
        return false;
    if (args->object)
        return args->object->placement == ASPEN_PLACEMENT_HUGE;
    return !(args->vm_flags & ASPEN_VM_SHARED) && anonymous_wants_huge(wanted);
}

static bool
wants_shared(const struct wanted *wanted, const struct aspen_mmap_args *args)
{
    if (args->object)
        return args->object->placement == ASPEN_PLACEMENT_SHMEM_HUGE;
    return args->vm_flags & ASPEN_VM_SHARED &&
           wanted->mm->aspen->config.flags & ASPEN_CONFIG_HUGE_SHARED_PLACEMENT;
}

static int
find(const struct wanted *wanted, const struct aspen_mmap_args *args,
     uint64_t *start)
{
    const struct aspen_config *config = &wanted->mm->aspen->config;
    uint64_t offset = args->object ? args->offset_bytes : 0;

    if (config->huge_placement == ASPEN_HUGE_PLACEMENT_NEVER)
        return find_place(wanted, start);
    if (wants_shared(wanted, args))
        return find_shared(wanted, offset, start);
    if (wants_huge(wanted, args)) {
        find_huge(wanted, offset, start);
        if (*start)
            return 0;
    }
    return find_place(wanted, start);
}

/* ---- Any mapping ------------------------------------------------------- */

/* As Linux: not in user space comes before not aligned. */
static int
check_place(const struct wanted *wanted, uint64_t start)
{
    struct aspen_mm *mm = wanted->mm;

    if (start > mm->call_limit - wanted->bytes)
        return -ASPEN_ENOMEM;
    if (!aspen_is_aligned(start, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    if (start < mm->address_floor ||
        (start < mm->aspen->config.mmap_min_fixed &&
         !aspen_privileged(mm, ASPEN_PRIVILEGE_SYS_RAWIO)))
        return -ASPEN_EPERM;
    return wanted->flags & ASPEN_MAP_FIXED_NOREPLACE &&
                   aspen_tree_find(&mm->vmas, start, start + wanted->bytes - 1,
                                   NULL)
               ? -ASPEN_EEXIST
               : 0;
}

uint64_t
aspen_place_hint(const struct aspen_mm *mm, const struct aspen_mmap_args *args)
{
    uint64_t hint = aspen_align_down(args->address, ASPEN_PAGE_SIZE);

    if (is_fixed(args->flags))
        return args->address;
    return hint ? aspen_max_u64(hint, aspen_mm_lowest(mm)) : 0;
}

int
aspen_place(struct aspen_mm *mm, const struct aspen_mmap_args *args,
            uint64_t hint, uint64_t bytes, uint64_t *start)
{
    struct wanted wanted = {
        .mm = mm, .flags = args->flags, .hint = hint, .bytes = bytes};

    uint64_t lowest =
        ASPEN_LENGTH_BELOW_LOWEST ? 0 : mm->aspen->config.mmap_min_address;

    if (bytes > mm->call_limit - lowest)
        return -ASPEN_ENOMEM;
    int error = find(&wanted, args, start);
    return error ? error : check_place(&wanted, *start);
}

int
aspen_place_check_top(const struct aspen_mm *mm, uint64_t start, uint64_t bytes)
{
    return bytes > mm->address_limit || start > mm->address_limit - bytes
               ? -ASPEN_ENOMEM
               : 0;
}
