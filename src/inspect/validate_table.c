/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_table.c - compares all page tables of an address space, and
 * all that their entries say, with its VMAs and the frames.
 *
 * It walks the tables as they are, not VMA by VMA, so it also meets what no VMA
 * leads to. VMAs and their chains have been checked before.
 */
#include "inspect/validate.h"
#include "inspect/walk.h"

#include "object/page_cache.h"
#include "machine/swap_reads.h"
#include "paging/icache.h"
#include "space/vma.h"

/* How far ahead of the entry at work its frame is fetched into the cache. */
#define PREFETCH_ENTRIES 8

struct walk {
    struct aspen_validator *v;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_vma *vma; /* the first that ends after `at`, or NULL */
    uint64_t tables;       /* but the top one */
    uint64_t rss[ASPEN_RSS_KINDS];
};

/* The entry at work. */
struct item {
    struct walk *walk;
    const struct aspen_vma *vma;
    uint64_t address;
    uint64_t entry;
    unsigned level;
    unsigned bits; /* of a leaf */
};

/* "mm 2 pte 0x401000 leads to ..." */
#define EXPECT_ITEM(item, condition, check, ...)                               \
    EXPECT_ITEM_2(item, condition, check, __VA_ARGS__, 0)
#define EXPECT_ITEM_2(item, condition, check, format, ...)                     \
    ASPEN_EXPECT((item)->walk->v, condition, check, "mm %u %s %a " format,     \
                 (item)->walk->mm->id,                                         \
                 ASPEN_TEXT_STRING(aspen_text_level((item)->level)),           \
                 (item)->address, __VA_ARGS__)

/* The first VMA that ends after `address`; addresses come in order. */
static const struct aspen_vma *
vma_from(struct walk *walk, uint64_t address)
{
    if (walk->vma && walk->vma->end <= address)
        walk->vma = aspen_tree_find(&walk->mm->vmas, address, UINT64_MAX, NULL);
    return walk->vma;
}

/* ---- Leaves ------------------------------------------------------------ */

static bool
check_access(const struct item *item)
{
    uint64_t flags = item->vma->flags;
    unsigned bits = item->bits;
    unsigned allowed = aspen_entry_bits_of(item->walk->aspen, flags);

    return EXPECT_ITEM(item, !((bits ^ allowed) & ASPEN_ENTRY_PKEY), ENTRY_PKEY,
                       "has another key than its VMA, %u",
                       allowed >> ASPEN_ENTRY_PKEY_SHIFT) &&
           EXPECT_ITEM(item,
                       !(bits & ASPEN_ENTRY_WRITE) || flags & ASPEN_VM_WRITE,
                       ENTRY_ACCESS, "is writable, its VMA is not") &&
           EXPECT_ITEM(item,
                       !(bits & ASPEN_ENTRY_EXEC) || flags & ASPEN_VM_EXEC,
                       ENTRY_ACCESS, "is executable, its VMA is not") &&
           EXPECT_ITEM(item,
                       !aspen_icache_waits(item->walk->aspen, item->entry),
                       ENTRY_ACCESS, "is executable, its page is not clean") &&
           EXPECT_ITEM(item, !(bits & ~allowed & ASPEN_ENTRY_READ),
                       ENTRY_ACCESS, "is accessible, its VMA is not");
}

/* The zero page, or a raw frame. */
static bool
check_special(const struct item *item)
{
    uint64_t number = aspen_entry_frame(item->entry);
    uint64_t flags = item->vma->flags;
    uint32_t zero_frame = item->vma->mm->aspen->zero_frame;
    bool zero =
        number == zero_frame && item->level == 0 && !(flags & ASPEN_VM_SHARED);

    return EXPECT_ITEM(item, flags & ASPEN_VM_RAW || zero, ENTRY_KIND,
                       "maps raw frame %a, but its VMA holds none", number) &&
           EXPECT_ITEM(
               item, aspen_is_aligned(number, aspen_walk_pages(item->level)),
               ENTRY_KIND, "maps raw frame %a, which is not aligned", number) &&
           EXPECT_ITEM(
               item, number != zero_frame || !(item->bits & ASPEN_ENTRY_WRITE),
               ENTRY_WRITE, "maps the zero page writable");
}

/* A raw frame is cached as its VMA says, all else as RAM is. */
static bool
check_cache(const struct item *item)
{
    bool raw = item->bits & ASPEN_ENTRY_SPECIAL &&
               aspen_entry_frame(item->entry) != item->walk->aspen->zero_frame;
    unsigned want = raw ? aspen_entry_raw_bits(item->vma->flags) : 0;

    return EXPECT_ITEM(item, !((item->bits ^ want) & ASPEN_ENTRY_CACHE),
                       ENTRY_CACHE, "has cache mode %u",
                       (item->bits & ASPEN_ENTRY_CACHE) >>
                           ASPEN_ENTRY_CACHE_SHIFT);
}

/* I3 of space/userfault.h. */
static bool
check_mark(const struct item *item)
{
    if (aspen_likely(!aspen_entry_is_marked(item->entry, item->level)))
        return true;
    return EXPECT_ITEM(
               item, item->vma->flags & ASPEN_VM_UFFD_WP, ENTRY_USERFAULT,
               "is protected by userfault, its VMA is not registered") &&
           EXPECT_ITEM(item,
                       !aspen_entry_is_leaf(item->entry, item->level) ||
                           !(aspen_entry_bits(item->entry) & ASPEN_ENTRY_WRITE),
                       ENTRY_USERFAULT,
                       "is writable, but protected by userfault");
}

/* Its space was killed and reaped: has something of its own stayed, or come
 * back? */
static bool
check_gone(const struct item *item)
{
    return EXPECT_ITEM(item, !aspen_vma_is_reaped(item->vma), MM_REAPED,
                       "is there, though all of its VMA was reaped");
}

static bool
owner_in_chain(const struct aspen_vma *vma, uint64_t owner)
{
    if (aspen_likely((uint64_t)(uintptr_t)vma->anon_vma == owner))
        return true;
    aspen_list_for_each(position, &vma->anon_chain)
    {
        struct aspen_anon_vma_link *link =
            aspen_container_of(position, struct aspen_anon_vma_link, same_vma);
        if ((uint64_t)(uintptr_t)link->anon_vma == owner)
            return true;
    }
    return false;
}

static bool
check_anonymous(const struct item *item, const struct aspen_frame *frame,
                uint64_t number)
{
    return check_gone(item) &&
           EXPECT_ITEM(item, !(item->vma->flags & ASPEN_VM_SHARED), ENTRY_KIND,
                       "maps anonymous frame %u in a shared VMA", number) &&
           EXPECT_ITEM(item, item->vma->anon_vma != NULL, ENTRY_ANON_VMA,
                       "maps anonymous frame %u, its VMA has no anon_vma",
                       number) &&
           EXPECT_ITEM(item, owner_in_chain(item->vma, frame->owner),
                       ENTRY_OWNER,
                       "maps frame %u, whose anon_vma its VMA is not linked to",
                       number) &&
           EXPECT_ITEM(item,
                       !(item->bits & ASPEN_ENTRY_WRITE) ||
                           aspen_frame_is_exclusive(frame),
                       ENTRY_WRITE,
                       "is writable, but frame %u is not exclusive, with %u "
                       "maps (cow)",
                       number, aspen_frame_map_count(frame));
}

static bool
check_object_page(const struct item *item, const struct aspen_frame *frame,
                  uint64_t number)
{
    const struct aspen_vma *vma = item->vma;

    return EXPECT_ITEM(item, vma->object != NULL, ENTRY_KIND,
                       "maps an object's frame %u, its VMA has no object",
                       number) &&
           EXPECT_ITEM(item, (uint64_t)(uintptr_t)vma->object == frame->owner,
                       ENTRY_OWNER, "maps frame %u of another object",
                       number) &&
           EXPECT_ITEM(item,
                       !(item->bits & ASPEN_ENTRY_WRITE) ||
                           vma->flags & ASPEN_VM_SHARED,
                       ENTRY_WRITE,
                       "of a private VMA is writable, but frame %u is the "
                       "object's",
                       number) &&
           EXPECT_ITEM(item,
                       !(item->bits & ASPEN_ENTRY_WRITE) ||
                           !aspen_object_tracks_dirt(vma->object) ||
                           aspen_load_relaxed(&frame->index) &
                               ASPEN_FRAME_DIRTY,
                       ENTRY_WRITE,
                       "is writable, but frame %u is clean: its pager would "
                       "miss a write",
                       number);
}

static void
count_page(const struct item *item, const struct aspen_frame *frame,
           uint64_t number)
{
    struct walk *walk = item->walk;

    if (walk->v->entries)
        ++*aspen_validate_tally(walk->v, (uint32_t)number);
    if (!(item->vma->flags & ASPEN_VM_HUGETLB))
        walk->rss[aspen_rss_of(frame)] += aspen_walk_pages(item->level);
}

static bool
check_page(const struct item *item)
{
    const struct aspen *aspen = item->walk->aspen;
    uint64_t number = aspen_entry_frame(item->entry);

    if (!EXPECT_ITEM(item, aspen_frame_exists(aspen, number), ENTRY_FRAME,
                     "leads to frame %u beyond the machine", number))
        return false;
    const struct aspen_frame *frame = aspen_frame_at(aspen, (uint32_t)number);
    enum aspen_frame_type type = aspen_frame_type(frame);
    if (!EXPECT_ITEM(
            item, type == ASPEN_FRAME_ANON || type == ASPEN_FRAME_OBJECT,
            ENTRY_FRAME, "leads to frame %u, which holds no page", number) ||
        !EXPECT_ITEM(item,
                     aspen_frame_order(aspen, (uint32_t)number) ==
                         ASPEN_TABLE_SHIFT * item->level,
                     ENTRY_FRAME, "leads to frame %u, a block of order %u",
                     number, aspen_frame_order(aspen, (uint32_t)number)) ||
        !EXPECT_ITEM(item, aspen_frame_map_count(frame) > 0, ENTRY_MAPCOUNT,
                     "leads to frame %u, which counts no map", number))
        return false;
    if (!(type == ASPEN_FRAME_ANON ? check_anonymous(item, frame, number)
                                   : check_object_page(item, frame, number)))
        return false;
    uint64_t offset = aspen_vma_offset(item->vma, item->address);
    if (!EXPECT_ITEM(item, aspen_frame_offset(frame) == offset, ENTRY_OFFSET,
                     "maps frame %u, page %a of its owner; should be page %a",
                     number, aspen_frame_offset(frame), offset))
        return false;
    count_page(item, frame, number);
    return true;
}

static bool
check_leaf(struct item *item)
{
    item->bits = aspen_entry_bits(item->entry);
    return EXPECT_ITEM(item, !(item->bits & ASPEN_ENTRY_MOVING), ENTRY_UNKNOWN,
                       "waits for a page that nobody moves") &&
           check_access(item) && check_cache(item) &&
           (item->bits & ASPEN_ENTRY_SPECIAL ? check_special(item)
                                             : check_page(item));
}

/* ---- Entries that are no leaf ------------------------------------------ */

static bool
check_swap(const struct item *item)
{
    struct walk *walk = item->walk;
    unsigned type = aspen_entry_swap_type(item->entry);
    uint32_t slot = aspen_entry_swap_slot(item->entry);

    if (!check_gone(item) ||
        !EXPECT_ITEM(item, !(item->vma->flags & ASPEN_VM_SHARED), ENTRY_KIND,
                     "is swap %u:%u in a shared VMA", type, slot) ||
        !EXPECT_ITEM(item, item->vma->anon_vma != NULL, ENTRY_ANON_VMA,
                     "is swap %u:%u, its VMA has no anon_vma", type, slot) ||
        !EXPECT_ITEM(item, aspen_swap_references(walk->aspen, type, slot) > 0,
                     ENTRY_SWAP, "is swap %u:%u, a slot that is not in use",
                     type, slot))
        return false;
    walk->rss[ASPEN_RSS_SWAP]++;
    if (!EXPECT_ITEM(
            item,
            !(item->entry & ASPEN_ENTRY_SWAP_EXCLUSIVE) ||
                aspen_swap_references(walk->aspen, type, slot) ==
                    1 + aspen_swap_is_being_read(walk->aspen, type, slot),
            ENTRY_SWAP,
            "is swap %u:%u, exclusive, a slot with other references", type,
            slot))
        return false;
    if (walk->v->swap_entries[type])
        walk->v->swap_entries[type][slot]++;
    return true;
}

static bool
check_marker(const struct item *item)
{
    unsigned marker = aspen_entry_marker(item->entry);

    return EXPECT_ITEM(
               item,
               marker >= ASPEN_MARKER_GUARD && marker <= ASPEN_MARKER_UFFD_WP,
               ENTRY_UNKNOWN, "is marker %u, which means nothing", marker) &&
           EXPECT_ITEM(item,
                       marker != ASPEN_MARKER_GUARD ||
                           aspen_load_relaxed(&item->vma->guarded),
                       ENTRY_ANON_VMA, "is a guard, its VMA knows of none");
}

static bool
check_entry(struct walk *walk, uint64_t address, uint64_t entry, unsigned level)
{
    struct item item = {
        .walk = walk,
        .vma = vma_from(walk, address),
        .address = address,
        .entry = entry,
        .level = level,
    };

    if (!EXPECT_ITEM(&item,
                     item.vma && item.vma->start <= address &&
                         item.vma->end - address >= aspen_entry_span(level),
                     ENTRY_PLACE, "lies in no VMA"))
        return false;
    if (!check_mark(&item))
        return false;
    if (aspen_likely(aspen_entry_is_leaf(entry, level)))
        return check_leaf(&item);
    if (level == 0 && aspen_entry_is_swap(entry))
        return check_swap(&item);
    if (level == 0 && aspen_entry_is_marker(entry))
        return check_marker(&item);
    return EXPECT_ITEM(&item, false, ENTRY_UNKNOWN, "is %a, which is nothing",
                       entry);
}

/* ---- Tables ------------------------------------------------------------ */

/* An entry (or the mm) leads to `table`, the one of `level` for `address`. */
static bool
check_table(struct walk *walk, uint64_t table, unsigned level, uint64_t address)
{
    struct aspen_validator *v = walk->v;
    uint32_t id = walk->mm->id;

    if (!ASPEN_EXPECT(v, aspen_frame_exists(walk->aspen, table), TABLE_FRAME,
                      "mm %u: the table of level %u for %a is frame %u beyond "
                      "the machine",
                      id, level, address, table))
        return false;
    const struct aspen_frame *frame =
        aspen_frame_at(walk->aspen, (uint32_t)table);
    if (v->entries)
        ++*aspen_validate_tally(v, (uint32_t)table);
    v->tables++;
    return ASPEN_EXPECT(v, aspen_frame_type(frame) == ASPEN_FRAME_TABLE,
                        TABLE_FRAME,
                        "mm %u: the table of level %u for %a is frame %u, "
                        "which is no table",
                        id, level, address, table) &&
           ASPEN_EXPECT(v, frame->owner == (uint64_t)(uintptr_t)walk->mm,
                        TABLE_OWNER,
                        "mm %u: table %u for %a belongs to another space", id,
                        table, address) &&
           ASPEN_EXPECT(v,
                        aspen_frame_offset(frame) ==
                            (address >> ASPEN_PAGE_SHIFT | level),
                        TABLE_PLACE,
                        "mm %u: table %u stands for %a level %u, but says it "
                        "is for page %a",
                        id, table, address, level, aspen_frame_offset(frame)) &&
           ASPEN_EXPECT(v,
                        aspen_frame_references(frame) == 1 &&
                            aspen_frame_map_count(frame) == 0,
                        TABLE_REFERENCES,
                        "mm %u: table %u for %a has %u references, %u maps", id,
                        table, address, aspen_frame_references(frame),
                        aspen_frame_map_count(frame));
}

static bool
check_last_level(struct walk *walk, const uint64_t *entries, uint64_t address)
{
    for (unsigned i = 0; i < ASPEN_TABLE_ENTRIES; i++) {
        if (!entries[i])
            continue;
        unsigned ahead = (i + PREFETCH_ENTRIES) % ASPEN_TABLE_ENTRIES;
        aspen_prefetch(
            aspen_frame_ahead(walk->aspen, aspen_entry_frame(entries[ahead])));
        if (!check_entry(walk, address + i * ASPEN_PAGE_SIZE, entries[i], 0))
            return false;
    }
    return true;
}

static bool check_level(struct walk *walk, uint32_t table, unsigned level,
                        uint64_t address);

static bool
check_below(struct walk *walk, uint64_t entry, unsigned level, uint64_t address)
{
    uint64_t table = aspen_entry_frame(entry);
    const struct aspen_vma *vma = vma_from(walk, address);

    if (!check_table(walk, table, level - 1, address) ||
        !ASPEN_EXPECT(
            walk->v, vma && vma->start < address + aspen_entry_span(level),
            TABLE_STRAY, "mm %u: table %u of level %u for %a, but no VMA there",
            walk->mm->id, table, level - 1, address))
        return false;
    walk->tables++;
    return check_level(walk, (uint32_t)table, level - 1, address);
}

/* No deeper than there are levels. */
static bool
check_level(struct walk *walk, uint32_t table, unsigned level, uint64_t address)
{
    const uint64_t *entries = aspen_table_entries(walk->aspen, table);
    unsigned count = level == ASPEN_TABLE_LEVELS - 1
                         ? aspen_table_top_entries(walk->aspen)
                         : ASPEN_TABLE_ENTRIES;

    if (level == 0)
        return check_last_level(walk, entries, address);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = address + i * aspen_entry_span(level);
        if (!entries[i])
            continue;
        if (!(aspen_entry_is_table(entries[i], level)
                  ? check_below(walk, entries[i], level, at)
                  : check_entry(walk, at, entries[i], level)))
            return false;
    }
    return true;
}

/* ---- The space --------------------------------------------------------- */

static bool
check_resident(const struct walk *walk, enum aspen_rss kind)
{
    static const char *const names[ASPEN_RSS_KINDS] = {"file", "anonymous",
                                                       "swapped", "shmem"};
    uint64_t counted = aspen_mm_rss_sum(walk->mm, kind);

    return ASPEN_EXPECT(walk->v, counted == walk->rss[kind], MM_RSS,
                        "mm %u: %u %s pages, but it counts %u", walk->mm->id,
                        walk->rss[kind], ASPEN_TEXT_STRING(names[kind]),
                        counted);
}

static bool
check_counters(const struct walk *walk)
{
    const struct aspen_mm *mm = walk->mm;

    if (!ASPEN_EXPECT(walk->v, mm->page_tables == walk->tables, MM_PAGE_TABLES,
                      "mm %u: %u page tables, but it counts %u", mm->id,
                      walk->tables, mm->page_tables))
        return false;
    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++)
        if (!check_resident(walk, (enum aspen_rss)kind))
            return false;
    return ASPEN_EXPECT(
        walk->v, walk->rss[ASPEN_RSS_SWAP] == 0 || mm->flags & ASPEN_MM_SWAPPED,
        SWAP_LIST_MISSING, "mm %u: %u swap entries, but not on the swap list",
        mm->id, walk->rss[ASPEN_RSS_SWAP]);
}

void
aspen_validate_tables(struct aspen_validator *v, struct aspen_mm *mm)
{
    struct walk walk = {
        .v = v,
        .aspen = v->aspen,
        .mm = mm,
        .vma = aspen_tree_find(&mm->vmas, 0, UINT64_MAX, NULL),
    };

    if (check_table(&walk, mm->root, ASPEN_TABLE_LEVELS - 1, 0) &&
        check_level(&walk, mm->root, ASPEN_TABLE_LEVELS - 1, 0))
        check_counters(&walk);
}
