/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate.h - the validator from the inside.
 *
 * One validator goes over a machine or over one address space, adds up what it
 * meets, and stops at the first thing that does not hold. Parts:
 *
 *   validate.c          order of things; registry, swap list, caches, charge
 *   validate_vma.c      the tree and its VMAs, sizes
 *   validate_table.c    page tables and their entries
 *   validate_rmap.c     anon_vma chains, i_mmap, parents before children
 *   validate_object.c   objects and their page caches
 *   validate_lru.c      LRU lists; groups, and what they are charged with
 *   validate_name.c     names of anonymous memory
 *   validate_frame.c    what was added up against frames and swap slots
 *   finding.c           the first thing that does not hold, in words
 *
 * docs/use/inspect.md explains each check; tests/unit/inspect/test_validate.c
 * plants what it is to find (plants_*.c) and compares the lists.
 */
#ifndef ASPEN_INSPECT_VALIDATE_H
#define ASPEN_INSPECT_VALIDATE_H

#include "frames/bank.h"
#include "inspect/text.h"
#include "internal.h"

/* Checks of the frame allocator are named by aspen_frames_check(). */
#define ASPEN_CHECKS(X)                                                        \
    X(REGISTRY_LIST, "registry.list")                                          \
    X(REGISTRY_STATE, "registry.state")                                        \
    X(REGISTRY_MISSING, "registry.missing")                                    \
    X(SWAP_LIST_LIST, "swap_list.list")                                        \
    X(SWAP_LIST_FLAG, "swap_list.flag")                                        \
    X(SWAP_LIST_MISSING, "swap_list.missing")                                  \
    X(MM_STATE, "mm.state")                                                    \
    X(MM_REFERENCES, "mm.references")                                          \
    X(MM_REAPED, "mm.reaped")                                                  \
    X(MM_EMPTY, "mm.empty")                                                    \
    X(MM_MAP_COUNT, "mm.map_count")                                            \
    X(MM_SIZES, "mm.sizes")                                                    \
    X(MM_RSS, "mm.rss")                                                        \
    X(MM_PAGE_TABLES, "mm.page_tables")                                        \
    X(MM_PKEYS, "mm.pkeys")                                                    \
    X(TREE_STRUCTURE, "tree.structure")                                        \
    X(TREE_RCU, "tree.rcu")                                                    \
    X(VMA_MM, "vma.mm")                                                        \
    X(VMA_RANGE, "vma.range")                                                  \
    X(VMA_FLAGS, "vma.flags")                                                  \
    X(VMA_LOCK, "vma.lock")                                                    \
    X(VMA_PGOFF, "vma.pgoff")                                                  \
    X(VMA_PKEY, "vma.pkey")                                                    \
    X(VMA_OBJECT, "vma.object")                                                \
    X(VMA_NAME, "vma.name")                                                    \
    X(TABLE_FRAME, "table.frame")                                              \
    X(TABLE_OWNER, "table.owner")                                              \
    X(TABLE_PLACE, "table.place")                                              \
    X(TABLE_REFERENCES, "table.references")                                    \
    X(TABLE_STRAY, "table.stray")                                              \
    X(TABLE_LOST, "table.lost")                                                \
    X(TABLE_COUNT, "table.count")                                              \
    X(ENTRY_UNKNOWN, "entry.unknown")                                          \
    X(ENTRY_PLACE, "entry.place")                                              \
    X(ENTRY_FRAME, "entry.frame")                                              \
    X(ENTRY_KIND, "entry.kind")                                                \
    X(ENTRY_OFFSET, "entry.offset")                                            \
    X(ENTRY_OWNER, "entry.owner")                                              \
    X(ENTRY_ANON_VMA, "entry.anon_vma")                                        \
    X(ENTRY_WRITE, "entry.write")                                              \
    X(ENTRY_ACCESS, "entry.access")                                            \
    X(ENTRY_PKEY, "entry.pkey")                                                \
    X(ENTRY_CACHE, "entry.cache")                                              \
    X(ENTRY_USERFAULT, "entry.userfault")                                      \
    X(ENTRY_MAPCOUNT, "entry.mapcount")                                        \
    X(ENTRY_SWAP, "entry.swap")                                                \
    X(ANON_VMA_CHAIN, "anon_vma.chain")                                        \
    X(ANON_VMA_LINK, "anon_vma.link")                                          \
    X(ANON_VMA_TREE, "anon_vma.tree")                                          \
    X(ANON_VMA_ROOT, "anon_vma.root")                                          \
    X(ANON_VMA_PARENT, "anon_vma.parent")                                      \
    X(ANON_VMA_ORDER, "anon_vma.order")                                        \
    X(ANON_VMA_ACTIVE, "anon_vma.active")                                      \
    X(ANON_VMA_CHILDREN, "anon_vma.children")                                  \
    X(ANON_VMA_REFERENCES, "anon_vma.references")                              \
    X(NAME_LIST, "name.list")                                                  \
    X(NAME_REFERENCES, "name.references")                                      \
    X(OBJECT_LIST, "object.list")                                              \
    X(OBJECT_I_MMAP, "object.i_mmap")                                          \
    X(OBJECT_ORDER, "object.order")                                            \
    X(OBJECT_SHARED, "object.shared")                                          \
    X(OBJECT_REFERENCES, "object.references")                                  \
    X(OBJECT_PAGES, "object.pages")                                            \
    X(OBJECT_PAGE, "object.page")                                              \
    X(OBJECT_SHADOWS, "object.shadows")                                        \
    X(OBJECT_SWAPPED, "object.swapped")                                        \
    X(LRU_LIST, "lru.list")                                                    \
    X(LRU_PAGE, "lru.page")                                                    \
    X(GROUP_LIST, "group.list")                                                \
    X(GROUP_PAGE, "group.page")                                                \
    X(GROUP_SLOT, "group.slot")                                                \
    X(GROUP_PAGES, "group.pages")                                              \
    X(GROUP_SLOTS, "group.slots")                                              \
    X(GROUP_REFERENCES, "group.references")                                    \
    X(FRAME_MAPCOUNT, "frame.mapcount")                                        \
    X(FRAME_REFCOUNT, "frame.refcount")                                        \
    X(FRAME_LOCKED, "frame.locked")                                            \
    X(FRAME_LEAK, "frame.leak")                                                \
    X(FRAME_PINS, "frame.pins")                                                \
    X(FRAME_EXCLUSIVE, "frame.exclusive")                                      \
    X(COUNT_PAGES, "count.pages")                                              \
    X(COUNT_FRAMES, "count.frames")                                            \
    X(PIN_COUNT, "pin.count")                                                  \
    X(SWAP_MAP, "swap.map")                                                    \
    X(SWAP_REFERENCES, "swap.references")                                      \
    X(SWAP_CACHE, "swap.cache")                                                \
    X(CHARGE_SUM, "charge.sum")                                                \
    X(CACHE_MM, "cache.mm")                                                    \
    X(CACHE_VMA, "cache.vma")                                                  \
    X(CACHE_ANON_VMA, "cache.anon_vma")                                        \
    X(CACHE_LINK, "cache.anon_vma_link")                                       \
    X(CACHE_OBJECT, "cache.object")                                            \
    X(CACHE_NAME, "cache.name")                                                \
    X(CACHE_TREE_NODE, "cache.tree_node")

enum aspen_check {
#define ASPEN_CHECK_ENUM(id, name) ASPEN_CHECK_##id,
    ASPEN_CHECKS(ASPEN_CHECK_ENUM)
#undef ASPEN_CHECK_ENUM
        ASPEN_CHECK_KINDS
};

/* "entry.owner"; NULL when out of range. */
const char *aspen_check_name(enum aspen_check check);

#define ASPEN_TALLY_CACHED ((uint32_t)1 << 31) /* a page cache holds it */

struct aspen_validator {
    struct aspen *aspen;
    struct aspen_finding *finding;
    bool failed;

    /* Only for a whole machine; else NULL. */
    uint32_t *entries; /* by rank: how many entries lead to each frame */
    size_t entry_bytes;
    uint32_t *swap_entries[ASPEN_SWAP_AREAS];

    /* What was met. */
    uint64_t mms;
    uint64_t vmas;
    uint64_t mappings; /* VMAs with an object */
    uint64_t i_mmaps;  /* nodes of all i_mmaps */
    uint64_t links;
    uint64_t anon_vmas;
    uint64_t objects;
    uint64_t shadows;
    uint64_t swapped_objects; /* on the list of those with pages in swap */
    uint64_t types[ASPEN_FRAME_TYPES]; /* frames in use, of each */
    uint64_t file_pages;               /* in page caches of files, */
    uint64_t shmem_pages;              /* ... of others */
    uint64_t lru_pages;                /* that belong on an LRU list */
    uint64_t names;
    uint64_t tables;
    uint64_t tree_nodes;
    uint64_t charge_pages;
    uint64_t swap_cached;  /* pages that slots lead to */
    uint64_t swap_flagged; /* that say so */
    uint64_t pins;         /* of all frames */
    uint64_t pinned_pages; /* that the spaces count */
};

/* Entries that lead to a frame. */
static inline uint32_t *
aspen_validate_tally(const struct aspen_validator *v, uint32_t number)
{
    return &v->entries[aspen_frame_rank(v->aspen, number)];
}

/* Note what was found unless something was found before. */
void aspen_validate_fail(struct aspen_validator *v, enum aspen_check check,
                         const char *format, const uint64_t *arguments);

/* The same for a check that is none of ASPEN_CHECKS: its name. */
void aspen_validate_note(struct aspen_validator *v, const char *check,
                         const char *format, const uint64_t *arguments);

/* Whether the condition holds; else it is noted, as ASPEN_TEXT(). */
#define ASPEN_EXPECT(v, condition, check, ...)                                 \
    (aspen_likely(condition) ? true : ASPEN_EXPECT_2(v, check, __VA_ARGS__, 0))
#define ASPEN_EXPECT_2(v, check, format, ...)                                  \
    (aspen_validate_fail((v), ASPEN_CHECK_##check, (format),                   \
                         (const uint64_t[]){0, __VA_ARGS__}),                  \
     false)
/* "mm 2 vma 0x400000-0x402000": the start of many findings. */
#define ASPEN_VMA_FORMAT    "mm %u vma %a-%a"
#define ASPEN_VMA_VALUES(m) (m)->mm->id, (m)->start, (m)->end

/* A link of a circular list whose neighbours agree with it. */
static inline bool
aspen_validate_link(const struct aspen_list *link)
{
    return link->next && link->previous && link->next->previous == link &&
           link->previous->next == link;
}

/* All of one address space. Context: its mmap lock. */
void aspen_validate_space(struct aspen_validator *v, struct aspen_mm *mm);

void aspen_validate_vmas(struct aspen_validator *v, struct aspen_mm *mm);
void aspen_validate_tables(struct aspen_validator *v, struct aspen_mm *mm);
/* A VMA's chain and what it leads to; its place in i_mmap. */
void aspen_validate_rmap(struct aspen_validator *v, struct aspen_vma *vma);
/* Links of a space that fork made stand behind those of its parent. */
void aspen_validate_order(struct aspen_validator *v, struct aspen_mm *mm);
void aspen_validate_objects(struct aspen_validator *v);
/* LRU lists, after the objects. */
void aspen_validate_lru(struct aspen_validator *v);

/* Groups: before what is charged to them is met, whether the list is whole;
 * what was met; after all of it. */
bool aspen_validate_groups_begin(struct aspen_validator *v);
void aspen_validate_group_met(struct aspen_group *group, uint64_t pages,
                              uint64_t slots);
void aspen_validate_groups_end(struct aspen_validator *v);

/* Names: before any VMA, at each VMA, after all of them. The first says
 * whether the list is whole. */
bool aspen_validate_names_begin(struct aspen_validator *v);
bool aspen_validate_name(struct aspen_validator *v,
                         const struct aspen_vma *vma);
void aspen_validate_names_end(struct aspen_validator *v);

/* Tallies: 0 or -ASPEN_ENOMEM. */
ASPEN_MUST_USE int aspen_validate_tally_begin(struct aspen_validator *v);
void aspen_validate_tally_end(struct aspen_validator *v);
void aspen_validate_tally_check(struct aspen_validator *v);
/* What the machine counts by kind against that. */
void aspen_validate_counts(struct aspen_validator *v);

#endif
