/* SPDX-License-Identifier: MIT */
/*
 * internal.h - the structures of the core, their invariants and their locks.
 * Read first. The layers, lowest first, each may use those before it:
 *
 *   base    atomics, lists, failpoints, object caches, locks, interval tree
 *   tree    the range tree
 *   group   what groups are charged with
 *   frames  frame table, buddy allocator, LRU lists, counts of CPUs
 *   paging  page-table formats, walker, gather
 *   machine struct aspen: charge, swap map, releases of Linux
 *   space   mm, VMA and its hooks, limits, names, protection keys, zap
 *   object  files, shared memory: page cache, write-back, truncation; i_mmap
 *   rmap    anon_vma, rmap; split and unmap, which it has to follow
 *   swap    anonymous pages, shared memory to swap devices and back
 *   migrate pages go to other frames
 *   reclaim what leaves memory when it is short
 *   ranges  what changes a range: remove, change, merge, move, cut, place
 *   fault   page faults, populate, held pages
 *   calls   a file for each call
 *   life    fork and its recovery, exec, exit
 *   inspect text, hashes, validator
 *
 * The lock order is drawn in base/lock.h.
 *
 * The promises, as invariants:
 *
 *   P1  A call that fails leaves the semantic state as it was.
 *   P2  What a shared index leads to is whole: VMA tree, i_mmap, anon_vma,
 *       swap list, registry.
 *   P3  An mm is BUILDING, LIVE, DYING or EMPTY (design of fork: life/fork.c).
 *       To a BUILDING one lead the reverse maps (whole VMAs only) and the swap
 *       list, behind aspen_mm_get_live(); never the registry.
 *   P4  Recovery allocates nothing and cannot fail.
 *
 * Swap areas are drawn in base/swap_struct.h, LRU lists in
 * base/lru_struct.h, stall times in base/pressure_struct.h, moves of pages in
 * migrate/migrate_struct.h, groups in
 * group/group_struct.h, page tables that wait in paging/table_struct.h, what
 * second MMUs go by in machine/notify_struct.h, userfault contexts in
 * paging/userfault_struct.h.
 *
 * Field comments name the lock that protects a field; "immutable" is set
 * before anyone else can see the object; "atomic" goes through base/atomic.h.
 */
#ifndef ASPEN_INTERNAL_H
#define ASPEN_INTERNAL_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bit_tree.h"
#include "base/bits.h"
#include "base/cache.h"
#include "base/failpoint.h"
#include "base/interval_tree.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/lru_struct.h"
#include "base/memory.h"
#include "base/pressure_struct.h"
#include "base/swap_struct.h"
#include "group/group_struct.h"
#include "machine/notify_struct.h"
#include "migrate/migrate_struct.h"
#include "paging/userfault_struct.h"
#include "paging/table_struct.h"
#include "tree/tree.h"
#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/hooks.h>
#include <aspen/limits.h>
#include <aspen/machine.h>
#include <aspen/mm.h>
#include <aspen/name.h>
#include <aspen/object.h>
#include <aspen/calls/pkey.h>
#include <aspen/special.h>
#include <aspen/vma.h>

/* ======================================================================== *
 * Frames
 * ======================================================================== */

/*
 * One physical page frame: 32 bytes, two to a cache line.
 *
 *           63  62        32 31             0
 *   counts | x | map count  | reference count |   one atomic word: mapping a
 *                                                 page is one locked add
 *   owner  | pointer, by type                 |
 *           63  60 59      52 51             0
 *   index  | type  | flags   | page offset     |
 *           31             0  31             0
 *   links  | link 0          | link 1          |
 *
 *   type      owner           page offset             links
 *   FREE      0               0                       0, 0 (see below)
 *   KERNEL    0               0                       0, 0 (allocated, not in
 *                                                     use yet)
 *   TABLE     its mm (1)      first address >> 12,    spin lock, next of a list
 *                             level in bits 0-2 (2)   of tables to be freed
 *   ANON      an anon_vma (3) by pgoff of its VMA     LRU list (6)
 *   OBJECT    its object (4)  page offset in it       LRU list (6)
 *   ZERO      0               0                       0, 0 (the lowest frame)
 *   RESERVED  0               0                       0, 0 (no RAM, or kept
 *                                                     from the machine)
 *   EMBEDDER  0               order, kind (5)         0, 0
 *
 *   planned: HUGETLB (group in a side array), COMPRESSED
 *
 *   (1) 0 while it waits for its grace period.
 *   (2) a table covers at least 512 pages, so the low 9 bits are free.
 *   (3) of the VMA that first touched the page, or that has it alone since: the
 *       links of that anon_vma lead to all that may map it. NULL, or one of
 *       before, while no entry maps a page of the swap cache.
 *   (4) 0 when it is in the page cache no more: whoever still holds it.
 *   (5) frames/embedder.c; a block of them is not in the side array.
 *   (6) frames/lru.h: OBJECT while it is in the page cache and could be read
 *       again; ANON from when it is mapped, if there is a swap device.
 *       ASPEN_NO_FRAME ends a list; 0, 0: on none.
 *
 * A free frame is 32 zero bytes, wherever it is: the zone's chunks, outside the
 * frame table, say what is free. So the frame table of RAM needs no
 * initialisation, and memory that was never used costs no frame table either.
 *
 * A block of 2^n frames that was allocated as one has all of this in its
 * first frame, whose flag HEAD is set; the order stands in a side array of its
 * bank, which exists once such a block does. Its other frames stay zero.
 *
 * Pins are references that a side array counts once more: frames/pins.h. The
 * swap slot that leads to a page stands in another one: machine/swap_cache.c.
 * In a third is the group that a page is charged to, from before anybody can
 * find it until it is free.
 *
 * Reference count: one for each holder. Each mapping page-table entry holds
 * one and counts one in the map count as well; a page cache holds one, and so
 * does the swap cache; an allocation starts with one. A table's reference count
 * is the number of entries that lead to it (1 until tables are shared), plus
 * none for others. The map count counts page-table *entries*, not address
 * spaces.
 *
 * Exclusive (x) is an anonymous page that one entry maps and that nobody was
 * promised to see unchanged: that entry's space may write to it, without a
 * copy. It is a state, in the same word as the counts, so that both change in
 * one step: set when the first entry maps the page; cleared when fork copies
 * the entry, or the entry goes; set again when a write finds that nobody else
 * has the page any more (fault/cow.c). A mere reference, of a reader, a pin or
 * a scanner, does not change it. Whoever has the lock of the table whose entry
 * leads to the page may rely on it, set or clear: another entry's lock does not
 * change it.
 *
 * It holds for an entry only where every table on the way to it has count 1,
 * which aspen_table_own() sees to: asked after that.
 */
struct aspen_frame {
    uint64_t counts; /* atomic */
    uint64_t owner;  /* atomic; changed under the frame lock */
    uint64_t index;  /* atomic: flags may change at any time */
    union {
        struct {
            uint32_t next; /* 0: none (frame 0 is handed out to nobody) */
            uint32_t previous;
        };
        struct {
            struct aspen_port_spinlock table_lock;
            union {
                uint32_t table_taken; /* in use, its lock: paging/table.h,
                                         "Pending" */
                uint32_t table_next;  /* its gather's, then the waiting
                                         lists' */
            };
        };
    };
};

ASPEN_STATIC_ASSERT(sizeof(struct aspen_frame) == 32, "a frame is 32 bytes");
ASPEN_STATIC_ASSERT(sizeof(struct aspen_port_spinlock) <= 4,
                    "the port's spin lock has at most 4 bytes");
ASPEN_STATIC_ASSERT(sizeof(struct aspen_port_rcu_head) <= 16,
                    "the port's RCU head has at most 16 bytes");

#define ASPEN_FRAME_REF       ((uint64_t)1)
#define ASPEN_FRAME_MAP       ((uint64_t)1 << 32)
#define ASPEN_FRAME_EXCLUSIVE ((uint64_t)1 << 63)
#define ASPEN_NO_FRAME        UINT32_MAX
#define ASPEN_ORDER_MAX       18 /* 1 GiB: a leaf of the third level */

enum aspen_frame_type {
    ASPEN_FRAME_FREE = 0, /* all zero: free, or inside an allocated block */
    ASPEN_FRAME_KERNEL,
    ASPEN_FRAME_TABLE,
    ASPEN_FRAME_ANON,
    ASPEN_FRAME_OBJECT,
    ASPEN_FRAME_ZERO,
    ASPEN_FRAME_RESERVED,
    ASPEN_FRAME_EMBEDDER,
    ASPEN_FRAME_TYPES
};

#define ASPEN_FRAME_INDEX_BITS 52
#define ASPEN_FRAME_TYPE_SHIFT 60
#define ASPEN_FRAME_FLAG(n)    ((uint64_t)1 << (ASPEN_FRAME_INDEX_BITS + (n)))
#define ASPEN_FRAME_LOCKED     ASPEN_FRAME_FLAG(0) /* the lock: a bit */
#define ASPEN_FRAME_WAITERS    ASPEN_FRAME_FLAG(1) /* wake on unlock */
#define ASPEN_FRAME_HEAD       ASPEN_FRAME_FLAG(2)
#define ASPEN_FRAME_DIRTY      ASPEN_FRAME_FLAG(3)
/* OBJECT: by a call, reclaim/age.c. ANON: calls/madvise/pages.c. */
#define ASPEN_FRAME_ACCESSED ASPEN_FRAME_FLAG(4)
#define ASPEN_FRAME_LAZY     ASPEN_FRAME_FLAG(4)
#define ASPEN_FRAME_LRU                                                        \
    (ASPEN_FRAME_FLAG(5) | ASPEN_FRAME_FLAG(6) | ASPEN_FRAME_FLAG(7))
#define ASPEN_FRAME_LRU_SHIFT (ASPEN_FRAME_INDEX_BITS + 5)

/*
 * What is free, in chunks of 64 frames (frames/zone.c): freeing a frame sets
 * one bit in a small array, and arithmetic on a word finds its buddy.
 *
 * Each chunk is on at most one of the zone's lists:
 *
 *   list 0-5   partly free: `free` has a bit for each free frame, and the
 *              largest aligned run of bits is 2^list frames
 *   list 6-18  the first chunk of a free block of 2^list frames; `free` is 0
 *              here and in all chunks inside the block
 *   none       nothing in it is free on its own
 */
#define ASPEN_CHUNK_ORDER  6
#define ASPEN_CHUNK_FRAMES 64

struct aspen_frame_chunk {
    uint64_t free;
    uint32_t next; /* chunks of the same list; ASPEN_NO_FRAME: none */
    uint32_t previous;
    uint32_t listed; /* 1 + the list it is on; 0: none */
    uint32_t unused;
};

/*
 * RAM as it is: numbers of frames are those of the processor, RAM may begin
 * anywhere, and has holes. A run of RAM whose holes are of 128 MiB at the most
 * is a bank, with its part of the frame table; in a larger hole there is no
 * table. The section of a number leads to its bank.
 *
 *   number        0       32768     65536     98304     131072
 *   section       | 0       | 1       | 2       | 3       | 4
 *   RAM              xxxxxxxxx xxx                      xxxxxxxxx
 *   bank             [ first      ]                     [ second
 *
 * I1  A section belongs to one bank at the most: a hole that parts two banks is
 *     longer than a section, and one that comes later has whole sections.
 * I2  Frames of a bank that are no RAM, or reserved, are RESERVED and have one
 *     reference.
 * Banks come, also while the machine is in use, but do not go.
 */
#define ASPEN_SECTION_ORDER  15
#define ASPEN_SECTION_FRAMES ((uint32_t)1 << ASPEN_SECTION_ORDER)

struct aspen_bank {
    struct aspen_bank *next;          /* atomic */
    uint32_t first;                   /* immutable; begins a chunk */
    uint32_t count;                   /* immutable: frames with a table */
    uint64_t rank;                    /* immutable: frames of banks before */
    struct aspen_frame *frames;       /* immutable: the frame table */
    struct aspen_frame_chunk *chunks; /* immutable pointer */
    uint8_t *orders;                  /* atomic: side array, or NULL */
    uint32_t *pins;                   /* atomic: side array, or NULL */
    uint64_t *slots;                  /* atomic: side array, or NULL */
    struct aspen_group **groups;      /* atomic: side array, or NULL */
#ifdef ASPEN_PORT_ICACHE_SYNC
    uint8_t *code; /* immutable pointer: paging/icache.h */
#endif
};

struct aspen_section { /* all atomic */
    uintptr_t chunks;  /* where chunk 0 would be among its bank's */
    struct aspen_bank *bank;
};

struct aspen_banks {
    struct aspen_port_spinlock lock; /* who adds a bank, or pins to them */
    uint32_t section_count;          /* immutable */
    uint64_t end;                    /* immutable: of all numbers */
    struct aspen_section *sections;  /* immutable pointer */
    uintptr_t *tables;               /* immutable pointer; for each section:
                                        where frame 0 would be in its bank's
                                        table, which is asked for often */
    uintptr_t largest;               /* atomic: the same of the largest bank */
    uint32_t largest_count;          /* its frames; lock */
    struct aspen_bank *first;        /* atomic; the lowest */
    uint64_t ram_frames;             /* atomic: RAM that is not reserved */
    uint64_t table_frames;           /* atomic: of all banks */
    bool blocks;                     /* atomic: there may be side arrays of */
    bool pins;                       /* atomic: ... orders, pins */
    bool slots;                      /* atomic: all have one of slots */
    bool groups;                     /* atomic: ... of groups: there was one */
};

/* Free frames of one machine. Zone lock, but for what is immutable. */
struct aspen_zone {
    struct aspen_port_spinlock lock;
    uint32_t lists_used;  /* bit n: list n is not empty */
    uint64_t free_frames; /* atomic, written under the lock: without those in
                             CPU caches */
    uint64_t min;         /* atomic, as the next: frames/watermark.h */
    uint64_t low;
    uint64_t high;
    const struct aspen_banks *banks;     /* immutable: where chunks are */
    uint32_t lists[ASPEN_ORDER_MAX + 1]; /* first chunks */
};

/* What each CPU counts: frames/count.h. */
enum aspen_count {
    ASPEN_COUNT_ANON,        /* frames of type ANON */
    ASPEN_COUNT_FILE,        /* frames in page caches of files */
    ASPEN_COUNT_SHMEM,       /* ... and of all other objects */
    ASPEN_COUNT_FAULT,       /* faults that came to an end */
    ASPEN_COUNT_ANON_FAULT,  /* one of each of ANON and FAULT, in one step */
    ASPEN_COUNT_MAJOR_FAULT, /* of these, such as had to read something */
    ASPEN_COUNT_SWAP_IN,     /* pages that were read, */
    ASPEN_COUNT_SWAP_OUT,    /* ... and written */
    ASPEN_COUNT_TABLE,       /* page tables in use, top tables included */
    ASPEN_COUNT_TLB_FLUSH,
    ASPEN_COUNT_COMMITTED, /* machine/charge.h: pages, where no limit counts */
    ASPEN_COUNTS = 16      /* whole cache lines */
};

#define ASPEN_FRAME_CACHE_SIZE  222 /* with the rest: whole cache lines */
#define ASPEN_FRAME_CACHE_BATCH 64

/* Free frames for one CPU, a stack; others take its lock only to drain it. */
struct aspen_frame_cache {
    uint64_t counts[ASPEN_COUNTS]; /* atomic */
    struct aspen_port_spinlock lock;
    uint32_t count;
    uint32_t frames[ASPEN_FRAME_CACHE_SIZE];
};

/* ======================================================================== *
 * Anonymous memory: who maps a page that has no object
 * ======================================================================== */

/*
 * As in Linux, each forked VMA gets an anon_vma of its own, a child of its
 * parent's, and links to all anon_vmas that its parent has links to. The owner
 * of a page is the anon_vma of the VMA that first touched it. The tree of links
 * of that anon_vma leads to every VMA that may map the page.
 *
 *      VMA ---anon_chain--> link --> anon_vma (its own)
 *                      \--> link --> anon_vma (its parent's) ...
 *      anon_vma --interval tree by page offset--> links --> VMAs
 *
 * One lock for a whole family: the root's. Memory is type-stable under RCU.
 *
 * I1  vma->anon_vma is the anon_vma of exactly one link of its chain.
 * I2  Fork enters the child's link right behind the parent's, so a walker
 *     that meets both meets the parent first. (Splits that either side makes
 *     later may end up in another order at equal offset: nothing is in flight
 *     between them then.)
 * I3  references = 1 while it has links or is being made; a root has 1 more for
 *     each other anon_vma of the family; each lookup under way has 1.
 */
struct aspen_anon_vma {
    struct aspen_anon_vma *root;   /* immutable */
    struct aspen_anon_vma *parent; /* immutable; itself for a root */
    struct aspen_port_rwlock lock; /* the root's is used */
    uint32_t references;           /* atomic; I3 */
    uint32_t children;             /* root lock: anon_vmas with this parent,
                                      a root itself included */
    uint32_t active_vmas;          /* root lock: VMAs with vma->anon_vma here */
    uint32_t number;               /* atomic: for dumps; 0: none yet */
    struct aspen_interval_tree links; /* root lock */
};

struct aspen_anon_vma_link {
    struct aspen_vma *vma;           /* immutable */
    struct aspen_anon_vma *anon_vma; /* immutable */
    struct aspen_list same_vma;      /* mmap lock */
    struct aspen_interval_node node; /* root lock; by page offset */
};

/* ======================================================================== *
 * Objects
 * ======================================================================== */

/*
 * I1  i_mmap holds every VMA that maps the object, by page offset; fork
 *     enters a child's VMA right behind its parent's.
 * I2  references: one for each VMA, plus those the embedder holds.
 * I3  Each page in the cache holds one reference to its frame; the frame's
 *     owner is the object and its index the offset.
 * I4  Pages enter the cache under the size lock (reading), and leave it under
 *     their own lock: all of a range under the size lock (writing), and one by
 *     one, by reclaim, when they are clean and nobody else holds them. An
 *     entry of a page table leads to a page only while the page is in the
 *     cache.
 * I5  ASPEN_FRAME_DIRTY of a page that is written back is set before an entry
 *     is writable, and cleared under the page's lock together with WRITE of
 *     all entries: a clean page cannot be written without a fault.
 */
struct aspen_object {
    struct aspen *aspen; /* immutable, as all down to `context` */
    enum aspen_object_kind kind;
    uint64_t device;
    uint64_t inode;
    const char *name;
    const struct aspen_pager_ops *pager;
    void *context;
    enum aspen_placement placement;
    bool charged;           /* by its size */
    bool anonymous;         /* may have a name: shared, no link to it */
    bool zeroes;            /* private mappings are anonymous: no pages */
    bool moves_alone;       /* mremap moves no others along */
    uint32_t references;    /* atomic */
    uint32_t change_count;  /* atomic: ++ under size_lock, before pages or
                               entries are taken away */
    uint64_t size_bytes;    /* atomic; written under size_lock */
    uint64_t charged_pages; /* size_lock */
    struct aspen_port_rwlock sync_lock; /* for writing: write-back */
    int write_error;                    /* sync_lock: the last; 0: none yet */
    uint32_t write_errors; /* sync_lock: rounds that failed, and told of */
    uint32_t write_errors_told;
    struct aspen_port_rwlock size_lock; /* pages come: read; go: write */
    struct aspen_port_rwlock i_mmap_lock;
    struct aspen_interval_tree i_mmap; /* i_mmap_lock */
    int64_t writable_shared; /* atomic: SHARED + MAYWRITE VMAs, and those that
                                calls are about to make; below 0: how often
                                these are denied */
    struct aspen_port_spinlock pages_lock;
    struct aspen_tree pages; /* pages_lock; offset -> struct aspen_frame, or
                                what is left of one: object/shadow.h */
    uint64_t shadows;        /* pages_lock */
    uint64_t shadow_next;    /* pages_lock: where to look for old ones */
    struct aspen_list shadow_link; /* aspen->leaving.shadowed; registry lock */
    uint64_t swapped;              /* atomic; written under pages_lock: pages
                                      that are in swap: object/swapped.c */
    struct aspen_list swap_link;   /* aspen->swapped_objects; swap list lock */
    struct aspen_list reads;       /* pages_lock: what is being read */
    uint32_t reads_ended;          /* atomic; ++ under pages_lock */
    uint64_t ahead_next;           /* pages_lock: where reading ahead ended,
                                      of a pager's or of swap */
    uint32_t ahead_pages;          /* pages_lock: how far it went */
    struct aspen_list link;        /* aspen->objects; aspen->registry_lock */
};

/* ======================================================================== *
 * Mappings
 * ======================================================================== */

/*
 * The name of anonymous memory; all but `link` and the counts is immutable.
 * I1  references: one for each VMA that has it, plus one for a call that has
 *     not given it to a VMA yet.
 */
struct aspen_name {
    uint32_t references;         /* atomic */
    uint32_t met;                /* the validator's */
    char text[ASPEN_NAME_BYTES]; /* zeroes behind its end */
    struct aspen_list link;      /* aspen->names; aspen->registry_lock */
};

/*
 * I1  start < end, both page aligned; the tree of `mm` holds it at
 *     [start, end - 1] while it is attached.
 * I2  object == NULL: private anonymous; pgoff is start >> 12 at birth and
 *     moves with it.
 * I3  anon_vma is NULL until the first anonymous page; from then on the chain
 *     leads to it.
 * I4  On i_mmap of its object if and only if object != NULL and whole.
 * Memory is type-stable under RCU: a reader that found it in the tree locks
 * it (aspen_vma_read_lock_at) and looks again at mm, start and end.
 *
 * Written under the mmap lock for writing *and* the VMA lock for writing. Who
 * comes by a reverse map holds neither: it looks at flags that never change
 * (SHARED, HUGETLB), by atomic loads.
 */
struct aspen_vma {
    uint64_t start;
    uint64_t end;
    struct aspen_mm *mm;    /* NULL: free */
    uint64_t flags;         /* ASPEN_VM_* */
    uint32_t lock_readers;  /* atomic; see space/vma.h */
    uint32_t lock_sequence; /* atomic; == mm's: locked for writing */
    struct aspen_anon_vma *anon_vma;
    struct aspen_list anon_chain; /* of links; mmap lock */
    struct aspen_object *object;  /* immutable; one reference */
    uint64_t pgoff;
    struct aspen_interval_node i_mmap_node; /* object's i_mmap lock */
    void *userfault;            /* one reference; or NULL; space/userfault.h */
    struct aspen_name *name;    /* one reference; or NULL */
    struct aspen_vma *detached; /* next of a list while being unmapped */
    void *embedder;             /* atomic: theirs, set under the mmap lock */
    const struct aspen_special *special; /* immutable; or NULL */
    uint32_t guarded;     /* atomic: it may have guards; see space/vma.h */
    uint32_t swap_window; /* atomic: swap/ahead.c */
};

ASPEN_STATIC_ASSERT(sizeof(struct aspen_vma) <= 192, "a VMA is 192 bytes");

/* Resident pages by kind; as Linux's MM_* counters. */
enum aspen_rss {
    ASPEN_RSS_FILE,
    ASPEN_RSS_ANON,
    ASPEN_RSS_SWAP,
    ASPEN_RSS_SHMEM,
    ASPEN_RSS_KINDS
};

/* Bits of mm->flags. */
#define ASPEN_MM_UNSTABLE 1u  /* what is not there may have been taken */
#define ASPEN_MM_OOM_SKIP 2u  /* all is free, or was waited for too long */
#define ASPEN_MM_SWAPPED  4u  /* on the swap list; written under its lock */
#define ASPEN_MM_PINNED   8u  /* its pages may be pinned; frames/pins.h */
#define ASPEN_MM_KILLED   16u /* for want of memory; life/oom.c */
#define ASPEN_MM_REAPING  32u /* somebody is just taking its pages */
#define ASPEN_MM_CROWDED  64u /* faults meet in it; space/vma.c; for good */

#define ASPEN_CPU_WORDS ((ASPEN_PORT_CPUS + 63) / 64)

/*
 * What faults write whatever page they are for, in parts: each CPU writes one,
 * and only the sum of all says something. Few, so that a space is small and
 * the sum soon made; with more CPUs some have one together.
 */
#define ASPEN_MM_PARTS (ASPEN_PORT_CPUS < 8 ? ASPEN_PORT_CPUS : 8)

struct aspen_mm_part {
    _Alignas(ASPEN_CACHE_LINE) uint64_t rss[ASPEN_RSS_KINDS]; /* atomic */
    uint32_t tlb_pending;     /* atomic; paging/table.h, "Pending" */
    struct aspen_vma *reader; /* atomic; space/vma.c: who has it locked */
};

/* Which is this CPU's. It may be another's at once: all of it is atomic. */
static inline unsigned
aspen_mm_part(void)
{
    return aspen_port_cpu() % ASPEN_MM_PARTS;
}

/*
 *     aspen_mm_alloc()
 *         |
 *         v    aspen_mm_publish()        last user gone    all unmapped
 *     BUILDING ---------------> LIVE ------------> DYING ------------> EMPTY
 *         |                                          ^                   ^
 *         | exec gave it up: last user gone          |                   |
 *         +------------------------------------------+                   |
 *         | fork failed: recovery took down what was there               |
 *         +--------------------------------------------------------------+
 *
 *     The last reference goes when it is EMPTY.
 *
 * I1  `users` counts threads that run in it; the last one makes it DYING and
 *     exit makes it EMPTY. `references` counts pointers to the structure, and
 *     all users together hold one.
 * I2  In the registry while LIVE, and while DYING if it was LIVE; on the swap
 *     list from its first swap entry until its last user is gone.
 * I3  map_count == vmas.count while LIVE.
 */
struct aspen_mm {
    /* What each fault reads, and nobody writes: a cache line. */
    struct aspen *aspen;    /* immutable */
    uint32_t id;            /* immutable */
    uint32_t root;          /* immutable: frame of the top table */
    uint64_t address_floor; /* immutable: lowest user address */
    uint64_t address_limit; /* immutable: exclusive top */
    uint64_t call_limit;    /* immutable: what calls may name ends there */
    struct aspen_tree vmas; /* mmap lock; readers RCU when LIVE; its count is in
                               the next line */

    /* What each change of mappings writes. */
    uint32_t lock_sequence; /* atomic; ++ at mmap write unlock */
    uint32_t state;         /* atomic; written under mmap lock */
    uint32_t flags;         /* atomic; ASPEN_MM_* */
    uint32_t pkeys;         /* atomic; written under mmap lock, as
                               execute_only_pkey: bit k: protection key k is
                               given out */
    uint64_t map_count;     /* mmap lock, as all down to def_flags */
    uint64_t total_pages;
    uint64_t data_pages;
    uint64_t exec_pages;
    uint64_t stack_pages;

    /* Who takes the lock, and what is looked at under it. */
    _Alignas(ASPEN_CACHE_LINE) struct aspen_port_rwlock mmap_lock;
    uint32_t users;             /* atomic */
    uint32_t references;        /* atomic */
    uint32_t execute_only_pkey; /* space/pkeys.h; ASPEN_NO_PKEY: none */
    uint64_t locked_pages;      /* mmap lock, as the next two */
    uint64_t peak_pages;        /* the most that total_pages ever was */
    uint64_t def_flags;         /* mlockall(MCL_FUTURE) */
    uint32_t filling;           /* mmap lock, as to write the next: mlocks */
    uint64_t filling_start;     /* atomic: from there up to the end nothing */
    uint64_t filling_end;       /* leaves memory; 0: nobody is at it */
    uint32_t forked_at;         /* immutable: its parent's lock_sequence then */
    uint32_t forked_from;       /* immutable: the parent's id, or 0 */
    struct aspen_layout layout; /* mmap lock */

    uint64_t limits[ASPEN_LIMITS]; /* atomic; written under mmap lock */
    uint32_t privileges;           /* atomic; written under mmap lock */
    int32_t oom_adjust;            /* atomic: thousandths of memory */
    struct aspen_group *group;     /* atomic; a handle; mmap, registry lock */
    void *embedder;                /* atomic; theirs */

    /* What pages that come and go count. */
    _Alignas(ASPEN_CACHE_LINE) uint64_t peak_rss; /* atomic: most resident when
                                                     last seen */
    uint64_t pinned_pages; /* atomic; above 0: holds a reference */
    uint64_t page_tables;  /* atomic; the top table not counted */

    /* What flushes write. */
    _Alignas(ASPEN_CACHE_LINE) uint64_t tlb_generation; /* atomic: so far */
    uint64_t cpus[ASPEN_CPU_WORDS]; /* atomic: where it is active */
    struct aspen_notify notify;

    struct aspen_list registry_link; /* registry lock */
    struct aspen_list swap_link;     /* swap list lock */

    struct aspen_mm_part parts[ASPEN_MM_PARTS];
};

ASPEN_STATIC_ASSERT(sizeof(struct aspen_mm) -
                            ASPEN_MM_PARTS * sizeof(struct aspen_mm_part) <=
                        768,
                    "an mm is 768 bytes, and its parts");

/* ======================================================================== *
 * The machine
 * ======================================================================== */

/* What a call plans and is too large for a kernel's stack. */
#define ASPEN_PLAN_BYTES 1408

struct aspen {
    struct aspen_config config; /* immutable */
    struct aspen_failpoints failpoints;

    /* frames */
    struct aspen_banks banks;
    uint32_t zero_frame; /* immutable: read where nothing is */
    uint64_t embedder_frames[ASPEN_FRAMES_KINDS]; /* atomic */
    uint64_t refused_frames;                      /* atomic, as the next two */
    uint64_t refused_metadata; /* without what caches have refused */
    uint64_t refused_charge;
    struct aspen_zone zone;
    struct aspen_frame_cache *frame_caches; /* immutable: one for each CPU */
    struct aspen_lru lru;                   /* pages of no group */
    struct aspen_leaving leaving;
    struct aspen_moves moves;
    struct aspen_groups groups;
    struct aspen_pressure_state pressure;
    uint32_t giving_back; /* atomic: exits and failed forks under way */
    struct aspen_oom_wait oom;
    uint64_t oom_kills; /* atomic */
    uint64_t oom_reaps; /* atomic */

    /* paging */
    struct aspen_table_waiting tables_waiting[ASPEN_PORT_CPUS];
    struct aspen_cache gather_cache;

    uint64_t writeback_pages; /* atomic: that pagers are writing */

    /* space */
    struct aspen_cache mm_cache;
    struct aspen_cache vma_cache;
    struct aspen_cache anon_vma_cache;
    struct aspen_cache anon_vma_link_cache;
    struct aspen_cache object_cache;
    struct aspen_cache name_cache;
    struct aspen_cache userfault_cache;
    struct aspen_cache group_cache;
    struct aspen_cache plan_cache;
    struct aspen_tree_pool tree_pool;
    uint64_t committed_pages; /* atomic: where a limit counts */
    struct aspen_swap_area swap[ASPEN_SWAP_AREAS];
    unsigned swap_areas;  /* atomic: those that there are, or were, come first;
                             written under the swap list's lock */
    unsigned swap_turn;   /* atomic: the area that is next of its priority */
    uint64_t swap_ra;     /* atomic: pages that were read ahead from swap */
    uint64_t swap_ra_hit; /* atomic: of these, those that a fault found */

    /* From here on what is written as spaces and objects come and go. */
    _Alignas(ASPEN_CACHE_LINE) struct aspen_port_spinlock registry_lock;
    struct aspen_list registry; /* LIVE and DYING spaces */
    struct aspen_list objects;  /* all objects */
    struct aspen_list names;    /* all names */
    uint64_t registry_count;
    uint32_t next_mm_id;           /* atomic */
    uint32_t next_anon_vma_number; /* atomic */
    uint32_t next_shmem_inode;     /* atomic */

    struct aspen_port_spinlock swap_list_lock;
    struct aspen_list swap_list; /* spaces that hold swap entries */
    uint64_t swap_list_count;
    struct aspen_list swapped_objects; /* that have slots, or had some */
    uint64_t swapped_object_count;     /* atomic, written under that lock */
    uint32_t swapped_objects_gone;     /* atomic: how many have ended */
};

#endif
