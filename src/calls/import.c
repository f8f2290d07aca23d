/* SPDX-License-Identifier: MIT */
/*
 * calls/import.c - builds an address space that is known from elsewhere.
 *
 * I1  A VMA is added whole or not at all.
 * I2  Entries are made in batches, each in one page table. A batch gets what it
 *     needs without locks, then stores it under the table's lock, and gives
 *     back what it could not store. So after an error exactly the first *done
 *     entries are there; if that is none, there is no new anon_vma either.
 * I3  An entry that leads to a page of an object is stored under the page's
 *     lock, while the page is the object's, and dirty if the entry says so: the
 *     page may have been cut off or written back since it was found.
 * I4  The VMA is locked for writing. Who has only its lock relies on the
 *     anon_vma that he finds there, which goes again if nothing is stored; and
 *     has looked whether a huge leaf is in the way, which would come.
 *
 * Called by embedders and tools. The first test to break is
 * tests/unit/calls/test_import.c.
 */
#include <aspen/import.h>

#include "rmap/anon_vma.h"
#include "machine/charge.h"
#include "space/name.h"
#include "object/i_mmap.h"
#include "object/page_cache.h"
#include "space/pkeys.h"
#include "frames/policy.h"
#include "machine/swap_map.h"
#include "paging/icache.h"
#include "reclaim/attempt.h"
#include "space/vma.h"
#include "rmap/split.h"
#include "swap/swap.h"
#include "space/vma_hooks.h"

#define BATCH_ENTRIES 48

/* ---- A VMA ------------------------------------------------------------- */

/* Flags that there are, and that fit what the pages come from. */
static bool
flags_valid(const struct aspen_import_vma *args)
{
    const uint64_t special = ASPEN_VM_SPECIAL | ASPEN_VM_DONTEXPAND;
    const uint64_t flags = args->vm_flags;
    const struct aspen_object *object = args->object;
    bool huge = object && object->kind == ASPEN_OBJECT_HUGETLB;

    if (flags & ~ASPEN_VM_KNOWN || !(flags & ASPEN_VM_HUGETLB) != !huge)
        return false;
    if (args->special && (object || (flags & special) != special))
        return false;
    if (flags & ASPEN_VM_SHARED && (!object || object->zeroes))
        return false;
    /* Fork protects what MAYWRITE says may become private: without it a
     * writable page would stay writable in both. */
    return !(flags & ASPEN_VM_WRITE) || flags & ASPEN_VM_MAYWRITE;
}

static bool
vma_valid(const struct aspen_mm *mm, const struct aspen_import_vma *args)
{
    const unsigned known =
        ASPEN_IMPORT_HAS_ANON_VMA | ASPEN_IMPORT_HAS_USERFAULT;

    if (!aspen_is_aligned(args->start | args->end, ASPEN_PAGE_SIZE) ||
        args->flags & ~known || args->start >= args->end ||
        args->start < mm->address_floor || args->end > mm->address_limit ||
        !flags_valid(args))
        return false;
    if (aspen_pkey_of(args->vm_flags) &&
        aspen_pkey_of(args->vm_flags) >= mm->aspen->config.pkeys)
        return false;
    if (!aspen_vma_cache_mode_valid(args->vm_flags) ||
        (args->vm_flags & ASPEN_VM_CACHE &&
         mm->aspen->config.flags & ASPEN_CONFIG_CACHE_MODES_ABSENT))
        return false;
    if (!args->object)
        return true;
    if (args->object->aspen != mm->aspen ||
        (args->name && !args->object->anonymous))
        return false;
    return aspen_is_aligned(args->offset_bytes, ASPEN_PAGE_SIZE) &&
           args->offset_bytes < UINT64_MAX - (args->end - args->start);
}

static void
fill_vma(struct aspen_vma *vma, const struct aspen_import_vma *args)
{
    vma->start = args->start;
    vma->end = args->end;
    vma->flags = args->vm_flags;
    vma->object = args->object;
    vma->special = args->special;
    vma->pgoff =
        (args->object ? args->offset_bytes : args->start) >> ASPEN_PAGE_SHIFT;
    if (args->flags & ASPEN_IMPORT_HAS_USERFAULT)
        vma->userfault = vma->mm->aspen;
}

/* Cannot fail. */
static void
commit_vma(struct aspen_vma *vma, struct aspen_tree_reserve *reserve)
{
    if (vma->object)
        aspen_object_get(vma->object);
    aspen_vma_add(vma, reserve);
    aspen_mm_account_vma(vma->mm, vma->flags, aspen_vma_pages(vma), true);
}

static int
add_vma(struct aspen_mm *mm, const struct aspen_import_vma *args)
{
    struct aspen *aspen = mm->aspen;
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma = aspen_vma_alloc(mm);

    if (!vma)
        return -ASPEN_ENOMEM;
    fill_vma(vma, args);
    uint64_t charge = vma->flags & ASPEN_VM_ACCOUNT ? aspen_vma_pages(vma) : 0;
    int error = aspen_i_mmap_claim_writable(vma->object, vma->flags);
    if (error)
        goto undo_vma;
    error = args->name ? aspen_name_create(aspen, args->name, &vma->name) : 0;
    if (error)
        goto undo_claim;
    error = aspen_charge(aspen, charge);
    if (error)
        goto undo_claim;
    error = args->flags & ASPEN_IMPORT_HAS_ANON_VMA
                ? aspen_anon_vma_prepare(vma)
                : 0;
    if (error)
        goto undo_charge;
    aspen_tree_cursor_init(&cursor, &mm->vmas, vma->start);
    error = aspen_tree_reserve_within(&mm->vmas, &reserve, &cursor, 1,
                                      vma->start, vma->end - 1);
    if (error)
        goto undo_anon_vma;
    /* The last step that can fail: close undoes it. */
    error = aspen_vma_open(vma);
    if (error)
        goto undo_reserve;
    commit_vma(vma, &reserve);
    aspen_i_mmap_release_writable(vma->object, vma->flags);
    aspen_tree_reserve_release(&mm->vmas, &reserve);
    return 0;

undo_reserve:
    aspen_tree_reserve_release(&mm->vmas, &reserve);
undo_anon_vma:
    aspen_anon_vma_unlink(vma);
undo_charge:
    aspen_uncharge(aspen, charge);
undo_claim:
    aspen_i_mmap_release_writable(vma->object, vma->flags);
undo_vma:
    aspen_vma_free(vma);
    return error;
}

/* The mmap lock is held for writing. */
static int
import_vma(struct aspen_mm *mm, const struct aspen_import_vma *args)
{
    if (!aspen_mm_accepts_mappings(mm))
        return -ASPEN_EINVAL;
    if (aspen_tree_find(&mm->vmas, args->start, args->end - 1, NULL))
        return -ASPEN_EEXIST;
    if (mm->map_count > mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    return add_vma(mm, args);
}

int
aspen_import_vma(struct aspen_mm *mm, const struct aspen_import_vma *args)
{
    struct aspen_attempt attempt;
    int error = 0;

    if (!vma_valid(mm, args))
        return -ASPEN_EINVAL;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_PATIENT);
    while (aspen_attempt_next(&attempt, &error))
        error = import_vma(mm, args);
    return error;
}

/* ---- Pages ------------------------------------------------------------- */

struct import {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_vma *vma;
    const struct aspen_import_pages *pages;
    struct aspen_payer *payer;
    unsigned order;                  /* of one entry */
    uint64_t span;                   /* bytes of one entry */
    unsigned bits;                   /* ASPEN_ENTRY_* of each leaf */
    uint64_t added[ASPEN_RSS_KINDS]; /* pages, by kind */
    bool gone; /* a page of the batch was the object's no more */
};

static uint64_t
address_of(const struct import *import, uint64_t i)
{
    return import->pages->address + i * import->span;
}

static bool
range_valid(const struct aspen_mm *mm, const struct aspen_import_pages *pages)
{
    if (pages->level > ASPEN_ORDER_MAX / ASPEN_TABLE_SHIFT)
        return false;
    uint64_t span = aspen_entry_span(pages->level);
    return aspen_is_aligned(pages->address, span) &&
           pages->address < mm->address_limit &&
           pages->count <= (mm->address_limit - pages->address) / span;
}

static bool
raw_valid(const struct aspen_vma *vma, const struct aspen_import_pages *pages)
{
    uint64_t each = (uint64_t)1 << (ASPEN_TABLE_SHIFT * pages->level);

    return vma->flags & ASPEN_VM_RAW &&
           aspen_is_aligned(pages->first_raw, each) &&
           pages->count <= UINT64_MAX / each &&
           aspen_entry_raw_valid(vma->mm->aspen, pages->first_raw,
                                 pages->count * each);
}

/* Does the kind of page fit the VMA and the level? */
static bool
kind_valid(const struct aspen_vma *vma, const struct aspen_import_pages *pages)
{
    bool private = !(vma->flags & ASPEN_VM_SHARED);

    if (vma->flags & ASPEN_VM_HUGETLB && pages->level == 0)
        return false;
    switch (pages->kind) {
    case ASPEN_IMPORT_ANON:
        return private;
    case ASPEN_IMPORT_OBJECT:
        return aspen_vma_backing(vma) &&
               vma->object->kind != ASPEN_OBJECT_DEVICE;
    case ASPEN_IMPORT_ZERO:
        return private && pages->level == 0;
    case ASPEN_IMPORT_SWAP:
        return private && pages->level == 0 &&
               pages->count <= (uint64_t)UINT32_MAX - pages->swap_slot;
    case ASPEN_IMPORT_GUARD:
        return pages->level == 0;
    case ASPEN_IMPORT_RAW:
        return raw_valid(vma, pages);
    }
    return false;
}

/* Writing needs no fault where the page is the VMA's alone, where frames are
 * raw, and where a shared page is dirty already. */
static bool
entry_writable(const struct aspen_vma *vma,
               const struct aspen_import_pages *pages)
{
    bool shared = vma->flags & ASPEN_VM_SHARED;

    if (!(vma->flags & ASPEN_VM_WRITE))
        return false;
    switch (pages->kind) {
    case ASPEN_IMPORT_ANON:
        return true;
    case ASPEN_IMPORT_OBJECT:
        return shared && pages->dirty;
    case ASPEN_IMPORT_RAW:
        return shared;
    default:
        return false;
    }
}

static unsigned
leaf_bits(const struct aspen_vma *vma, const struct aspen_import_pages *pages)
{
    unsigned bits =
        aspen_entry_bits_of(vma->mm->aspen, vma->flags) & ~ASPEN_ENTRY_WRITE;

    if (entry_writable(vma, pages))
        bits |= ASPEN_ENTRY_WRITE;
    if (pages->kind == ASPEN_IMPORT_ZERO)
        bits |= ASPEN_ENTRY_SPECIAL;
    if (pages->kind == ASPEN_IMPORT_RAW)
        bits |= aspen_entry_raw_bits(vma->flags);
    if (pages->dirty && pages->kind != ASPEN_IMPORT_ZERO)
        bits |= ASPEN_ENTRY_DIRTY;
    return bits | ASPEN_ENTRY_YOUNG;
}

/* A block of new frames, zeroed if there is memory behind it. */
static int
new_block(const struct import *import, uint32_t *frame)
{
    struct aspen *aspen = import->aspen;
    int error =
        aspen_frame_alloc(aspen, import->order, ASPEN_STEP_FRAME, frame);

    if (error)
        return error;
    error = aspen_pay(aspen, import->payer, *frame);
    for (uint32_t i = 0; aspen_frames_have_contents(aspen) && !error &&
                         i < (uint32_t)1 << import->order;
         i++)
        error = aspen_frame_zero(aspen, *frame + i);
    if (error)
        aspen_frame_put(aspen, *frame);
    return error;
}

static int
anonymous_page(const struct import *import, uint64_t address, uint32_t *frame)
{
    int error = new_block(import, frame);
    if (!error)
        aspen_frame_set_anon(import->aspen, *frame, import->vma->anon_vma,
                             aspen_vma_offset(import->vma, address));
    return error;
}

/* The new block becomes the object's, or *frame one that is already. */
static int
add_block(const struct import *import, uint64_t offset, uint32_t *frame)
{
    struct aspen_object *object = import->vma->object;
    uint64_t size = aspen_object_pages(object);
    uint64_t count = (uint64_t)1 << import->order;
    uint32_t block = *frame, found;
    int error = -ASPEN_EFBIG;

    if (offset < size && count <= size - offset)
        error = aspen_object_add_page(object, offset, import->order, block);
    while (error == -ASPEN_EEXIST) {
        /* Somebody else was quicker; or a page of another size is inside. */
        error = aspen_object_find_page(object, offset, &found);
        if (!error)
            *frame = found;
        else if (import->order > 0)
            error = -ASPEN_EINVAL;
        else /* it has been reclaimed since */
            error = aspen_object_add_page(object, offset, 0, block);
    }
    if (error || *frame != block)
        aspen_frame_put(import->aspen, block);
    return error;
}

static int
new_object_page(const struct import *import, uint64_t offset, uint32_t *frame)
{
    struct aspen_object *object = import->vma->object;

    if (import->order == 0 && aspen_frames_have_contents(import->aspen) &&
        object->kind != ASPEN_OBJECT_HUGETLB)
        return aspen_swap_get_page(object, offset, ASPEN_AHEAD_NORMAL,
                                   import->payer, NULL, frame);
    int error = new_block(import, frame);
    if (error)
        return error;
    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    error = add_block(import, offset, frame);
    aspen_read_unlock(&object->size_lock);
    return error;
}

/* The object's page or block that starts just there, found or made. */
static int
object_page(const struct import *import, uint64_t address, uint32_t *frame)
{
    struct aspen *aspen = import->aspen;
    uint64_t offset = aspen_vma_offset(import->vma, address);

    if (!aspen_is_aligned(offset, (uint64_t)1 << import->order))
        return -ASPEN_EINVAL;
    if (offset >= aspen_object_pages(import->vma->object))
        return -ASPEN_EFBIG;
    int error = aspen_object_find_page(import->vma->object, offset, frame);
    if (error == -ASPEN_ENOENT)
        error = new_object_page(import, offset, frame);
    if (!error && aspen_frame_order(aspen, *frame) != import->order) {
        aspen_frame_put(aspen, *frame);
        error = -ASPEN_EINVAL;
    }
    return error;
}

/* An entry that maps a frame: one reference and one map are counted. */
static int
acquire_page(const struct import *import, uint64_t address, uint64_t *entry)
{
    uint32_t frame;
    int error = import->pages->kind == ASPEN_IMPORT_ANON
                    ? anonymous_page(import, address, &frame)
                    : object_page(import, address, &frame);

    if (error)
        return error;
    aspen_frame_map(aspen_frame_at(import->aspen, frame));
    if (import->pages->kind == ASPEN_IMPORT_ANON && import->order == 0)
        aspen_policy_map_anon(import->aspen, frame);
    *entry = aspen_icache_entry(
        import->aspen,
        aspen_entry_make_leaf(frame, import->pages->level, import->bits));
    return 0;
}

/* Make entry number i, with all that it holds. */
static int
acquire(const struct import *import, uint64_t i, uint64_t *entry)
{
    const struct aspen_import_pages *pages = import->pages;
    uint32_t slot = pages->swap_slot + (uint32_t)i;
    int error = 0;

    switch (pages->kind) {
    case ASPEN_IMPORT_ANON:
    case ASPEN_IMPORT_OBJECT:
        return acquire_page(import, address_of(import, i), entry);
    case ASPEN_IMPORT_ZERO:
        *entry =
            aspen_entry_make_leaf(import->aspen->zero_frame, 0, import->bits);
        break;
    case ASPEN_IMPORT_SWAP:
        error = aspen_swap_claim(import->aspen, pages->swap_type, slot);
        *entry = error ? 0 : aspen_entry_make_swap(pages->swap_type, slot);
        break;
    case ASPEN_IMPORT_GUARD:
        *entry = aspen_entry_make_marker(ASPEN_MARKER_GUARD);
        break;
    case ASPEN_IMPORT_RAW:
        *entry = aspen_entry_make_leaf(pages->first_raw + (i << import->order),
                                       pages->level, import->bits);
        break;
    }
    return error;
}

/* Give back what an entry holds that was not stored. */
static void
give_back(const struct import *import, uint64_t entry)
{
    enum aspen_import_kind kind = import->pages->kind;
    uint32_t frame;

    if (kind == ASPEN_IMPORT_SWAP) {
        aspen_swap_free(import->aspen, aspen_entry_swap_type(entry),
                        aspen_entry_swap_slot(entry));
    } else if (kind == ASPEN_IMPORT_ANON || kind == ASPEN_IMPORT_OBJECT) {
        frame = (uint32_t)aspen_entry_frame(entry);
        aspen_frames_release(import->aspen, &frame, 1,
                             ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
    }
}

/* What is known of an entry that is about to be stored: among the resident or
 * swapped pages, and that there are guards. */
static void
count_entry(struct import *import, uint64_t entry)
{
    switch (import->pages->kind) {
    case ASPEN_IMPORT_GUARD:
        aspen_vma_note_guards(import->vma);
        break;
    case ASPEN_IMPORT_SWAP:
        aspen_mm_swap_list_add(import->mm);
        import->added[ASPEN_RSS_SWAP]++;
        break;
    case ASPEN_IMPORT_ANON:
    case ASPEN_IMPORT_OBJECT:
        if (!(import->vma->flags & ASPEN_VM_HUGETLB))
            import->added[aspen_rss_of(aspen_frame_at(
                import->aspen, (uint32_t)aspen_entry_frame(entry)))] +=
                (uint64_t)1 << import->order;
        break;
    default:
        break;
    }
}

/* A page that may be written to through its entry, or was, has to be written
 * back. */
static void
note_dirt(const struct import *import, uint64_t entry)
{
    uint32_t frame = (uint32_t)aspen_entry_frame(entry);

    if (import->pages->kind == ASPEN_IMPORT_OBJECT &&
        import->bits & (ASPEN_ENTRY_WRITE | ASPEN_ENTRY_DIRTY) &&
        aspen_object_tracks_dirt(import->vma->object))
        aspen_fetch_or(&aspen_frame_at(import->aspen, frame)->index,
                       ASPEN_FRAME_DIRTY);
}

/* Before anybody can zap them. */
static void
count_added(struct import *import)
{
    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++) {
        if (import->added[kind])
            aspen_mm_rss_add(import->mm, (enum aspen_rss)kind,
                             import->added[kind]);
        import->added[kind] = 0;
    }
}

/* Store entries side by side until one is there already; how many. */
static unsigned
store_entries(struct import *import, const struct aspen_slot *slot,
              uint64_t address, const uint64_t *entries, unsigned count)
{
    uint64_t bytes = count * aspen_entry_span(slot->level);
    unsigned i;

    aspen_table_own(import->aspen, slot->table);
    aspen_table_lock_settled(import->mm, slot->table, address, address + bytes);
    for (i = 0; i < count && !aspen_load_relaxed(&slot->entry[i]); i++) {
        count_entry(import, entries[i]);
        note_dirt(import, entries[i]);
        aspen_store(&slot->entry[i], entries[i]);
    }
    count_added(import);
    aspen_table_unlock(import->aspen, slot->table);
    return i;
}

/* An object that is being cut finds all huge leaves before it begins. */
static unsigned
store_blocks(struct import *import, const struct aspen_slot *slot,
             uint64_t address, const uint64_t *entries, unsigned count)
{
    struct aspen_object *object = import->vma->object;

    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    unsigned stored = store_entries(import, slot, address, entries, count);
    aspen_read_unlock(&object->size_lock);
    return stored;
}

/* I3. The page is locked. */
static bool
store_object_page(struct import *import, const struct aspen_slot *slot,
                  uint64_t address, uint64_t entry, struct aspen_frame *frame)
{
    struct aspen_object *object = import->vma->object;

    import->gone = !aspen_object_owns(object, frame,
                                      aspen_vma_offset(import->vma, address));
    return !import->gone &&
           store_entries(import, slot, address, &entry, 1) == 1;
}

static unsigned
store_object_pages(struct import *import, const struct aspen_slot *slot,
                   uint64_t address, const uint64_t *entries, unsigned count)
{
    struct aspen_slot at = *slot;
    bool stored = true;
    unsigned i = 0;

    while (i < count && stored) {
        struct aspen_frame *frame = aspen_frame_at(
            import->aspen, (uint32_t)aspen_entry_frame(entries[i]));
        aspen_frame_lock(frame);
        stored = store_object_page(import, &at, address, entries[i], frame);
        aspen_frame_unlock(frame);
        at.entry++;
        address += ASPEN_PAGE_SIZE;
        i += stored;
    }
    return i;
}

static unsigned
store(struct import *import, const struct aspen_slot *slot, uint64_t address,
      const uint64_t *entries, unsigned count)
{
    if (import->vma->object && import->pages->level > 0)
        return store_blocks(import, slot, address, entries, count);
    if (import->pages->kind == ASPEN_IMPORT_OBJECT)
        return store_object_pages(import, slot, address, entries, count);
    return store_entries(import, slot, address, entries, count);
}

/* Entries [*done, *done + count), all in one table. */
static int
import_batch(struct import *import, unsigned count, uint64_t *done)
{
    uint64_t entries[BATCH_ENTRIES];
    uint64_t address = address_of(import, *done);
    struct aspen_slot slot;
    unsigned made = 0;

    import->gone = false;
    int error = aspen_table_walk_alloc(import->mm, address,
                                       import->pages->level, &slot);
    if (error)
        return error;
    while (made < count) {
        error = acquire(import, *done + made, &entries[made]);
        if (error)
            break;
        made++;
    }
    unsigned stored = made ? store(import, &slot, address, entries, made) : 0;
    for (unsigned i = stored; i < made; i++)
        give_back(import, entries[i]);
    *done += stored;
    if (import->gone) /* make it anew, if there is to be one */
        return 0;
    return stored < made ? -ASPEN_EEXIST : error;
}

static int
import_all(struct import *import, uint64_t *done)
{
    const struct aspen_import_pages *pages = import->pages;
    int error = 0;

    while (!error && *done < pages->count) {
        unsigned index =
            aspen_table_index(address_of(import, *done), pages->level);
        uint64_t count = aspen_min_u64(pages->count - *done, BATCH_ENTRIES);
        count = aspen_min_u64(count, ASPEN_TABLE_ENTRIES - index);
        error = import_batch(import, (unsigned)count, done);
    }
    return error;
}

static bool
needs_anon_vma(enum aspen_import_kind kind)
{
    return kind == ASPEN_IMPORT_ANON || kind == ASPEN_IMPORT_SWAP ||
           kind == ASPEN_IMPORT_GUARD;
}

/* The mmap lock is held. An anon_vma that nothing came to need goes again. */
static ASPEN_NOINLINE int
import_locked(struct aspen_mm *mm, const struct aspen_import_pages *pages,
              struct aspen_payer *payer, uint64_t *done)
{
    uint64_t span = aspen_entry_span(pages->level);
    struct aspen_vma *vma = aspen_vma_at(mm, pages->address);
    int error = 0;

    if (!aspen_mm_accepts_mappings(mm) || !vma ||
        pages->count > (vma->end - pages->address) / span ||
        !kind_valid(vma, pages))
        return -ASPEN_EINVAL;
    if (aspen_vma_is_reaped(vma)) /* no reaper comes while we have the lock */
        return -ASPEN_ESRCH;
    aspen_vma_write_lock(vma); /* I4 */
    bool fresh = !vma->anon_vma && needs_anon_vma(pages->kind);
    if (fresh)
        error = aspen_anon_vma_prepare(vma);
    if (error)
        return error;

    struct import import = {
        .aspen = mm->aspen,
        .payer = payer,
        .mm = mm,
        .vma = vma,
        .pages = pages,
        .order = ASPEN_TABLE_SHIFT * pages->level,
        .span = span,
        .bits = leaf_bits(vma, pages),
    };
    error = import_all(&import, done);
    if (fresh && *done == 0)
        aspen_anon_vma_unlink(vma);
    return error;
}

int
aspen_import_pages(struct aspen_mm *mm, const struct aspen_import_pages *pages,
                   uint64_t *done)
{
    struct aspen_attempt attempt;
    int error = 0;

    *done = 0;
    if (!range_valid(mm, pages))
        return -ASPEN_EINVAL;
    /* What is done stays. Reclaim has the stack for itself (NOINLINE). */
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_PATIENT);
    while (aspen_attempt_next(&attempt, &error))
        error = import_locked(mm, pages, &attempt.direct.payer, done);
    return error;
}
