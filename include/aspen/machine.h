/* SPDX-License-Identifier: MIT */
/**
 * aspen/machine.h - one machine: its frames, swap areas, limits, counters.
 *
 * There are no globals. A process or kernel can hold many machines; nothing
 * is shared between them.
 */
#ifndef ASPEN_MACHINE_H
#define ASPEN_MACHINE_H

#include <aspen/compiler.h>
#include <aspen/frames.h>
#include <aspen/hooks.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/** vm.overcommit_memory of Linux, with its numbers. */
enum aspen_overcommit {
    ASPEN_OVERCOMMIT_GUESS = 0,  /* refuse only what exceeds RAM + swap */
    ASPEN_OVERCOMMIT_ALWAYS = 1, /* refuse nothing */
    ASPEN_OVERCOMMIT_NEVER = 2,  /* stay below RAM * percent + swap */
};

/** Whose semantics are followed where releases of Linux differ: see "Releases"
 * in docs/use/semantics.md. */
enum aspen_semantics {
    ASPEN_SEMANTICS_6_1,
    ASPEN_SEMANTICS_6_12,
    ASPEN_SEMANTICS_6_18,
};

/** What huge pages do to the address of a mapping without a hint. */
enum aspen_huge_placement {
    ASPEN_HUGE_PLACEMENT_RELEASE,  /* as config.semantics: up to 6.1 objects
                                      alone are aligned, later MULTIPLE */
    ASPEN_HUGE_PLACEMENT_NEVER,    /* nothing: a kernel without huge pages */
    ASPEN_HUGE_PLACEMENT_MULTIPLE, /* anonymous memory of whole huge pages is
                                      aligned to them: Linux 6.12 */
    ASPEN_HUGE_PLACEMENT_LARGE,    /* and all that is larger than one: 6.7 */
};

/** Which pages leave memory first: docs/design/reclaim.md. */
enum aspen_reclaim_policy {
    ASPEN_RECLAIM_ADAPTIVE, /* lists as large as what comes back says */
    ASPEN_RECLAIM_CLASSIC,  /* an active and an inactive list, of one size */
};

/** How the processor tells memory that is executed from memory that is read;
 * it decides about mappings with EXEC alone. */
enum aspen_execute_only {
    ASPEN_EXECUTE_ONLY_NONE,  /* not at all: what is executed can be read */
    ASPEN_EXECUTE_ONLY_KEY,   /* by a protection key of the space: x86-64 */
    ASPEN_EXECUTE_ONLY_ENTRY, /* by the page-table entry: AArch64 whose
                                 kernel, too, is kept from such pages (EPAN) */
};

/**
 * Only page tables have memory behind their frames: copying or zeroing any
 * other frame is refused with -ASPEN_EOPNOTSUPP.
 */
#define ASPEN_CONFIG_TABLES_ONLY 1u
/**
 * Nobody looks at contents: only frames of page tables have memory behind them,
 * and faults work all the same. Pages are made, counted and shared as ever, but
 * nothing is zeroed or copied, and no pager is asked for contents. For tools
 * that follow what memory is mapped, not what it holds. Beside it TABLES_ONLY
 * has no effect.
 */
#define ASPEN_CONFIG_CONTENTS_IGNORED 2u
/** Nobody knows the advice MERGEABLE. */
#define ASPEN_CONFIG_KSM_ABSENT 4u
/** Anonymous memory has no names. */
#define ASPEN_CONFIG_VMA_NAMES_ABSENT 8u
/** What config.huge_placement says holds for shared anonymous memory, too. */
#define ASPEN_CONFIG_HUGE_SHARED_PLACEMENT 16u
/** The processor knows write-back alone, so mappings of another cache mode are
 * refused with -ASPEN_EOPNOTSUPP. */
#define ASPEN_CONFIG_CACHE_MODES_ABSENT 32u
/** mremap, DONTUNMAP: what is left is apart from what takes its pages. Locked,
 * it is cut out of its mapping before it loses the lock; anonymous, it does not
 * become one with the new mapping beside it, and all of a mapping has page
 * offsets as if it had just been mapped, and merges so. A change that came with
 * a patch release: 6.1.192 and 6.12.117 have it, 6.1.176 and 6.18.44 do not. */
#define ASPEN_CONFIG_DONTUNMAP_APART 64u
#define ASPEN_CONFIG_FLAGS           127u /* all that there are */

/** Frames `first`, `first` + 1 ..., `count` of them. A frame is a page of 4 KiB
 * of physical memory, and its number the physical address divided by 4096. */
struct aspen_frame_range {
    uint32_t first;
    uint32_t count;
};

/** Fill with aspen_config_init(), then change what differs. */
struct aspen_config {
    /* RAM from frame 0 on: 64 to 2^32 - 2 frames. Or 0, and `ram` says where it
     * is. */
    uint32_t frames;
    /* RAM as it is, in any order, none of it twice. Number 2^32 - 1 is none.
     * The lowest frame that is not reserved becomes the page of zeroes. A hole
     * of more than 128 MiB costs no frame table. */
    const struct aspen_frame_range *ram;
    unsigned ram_ranges;
    /* What the machine never hands out nor touches: the kernel itself, tables
     * of the firmware, a bad page. May overlap and lie outside of RAM. */
    unsigned reserved_ranges;
    const struct aspen_frame_range *reserved;
    /* aspen_frames_add() may bring frames below this number. 0: only such as
     * have a frame table already. */
    uint32_t frames_end;
    void *direct_map; /* handed to aspen_port_frame_pointer(), whose answer is
                         not NULL for any frame */
    unsigned flags;   /* ASPEN_CONFIG_*, ORed; 0 */
    enum aspen_overcommit overcommit;
    uint32_t overcommit_percent; /* of RAM, in mode NEVER; 50 */
    uint64_t overcommit_kbytes;  /* instead of the percentage; 0: unused */
    /* What one charge may ask for in mode GUESS, for a machine that stands for
     * one with other memory; 0: the frames and the swap areas. */
    uint64_t overcommit_guess_pages;
    /* Kept back, in mode NEVER, from whom lacks SYS_ADMIN, and from every
     * space (at most 1/32 of its size); 0. */
    uint64_t admin_reserve_pages;
    uint64_t user_reserve_pages;
    uint32_t map_count_max; /* VMAs of one address space; 65530 */
    /* Nothing is placed below the first; whoever lacks SYS_RAWIO may not name
     * an address below the second (vm.mmap_min_addr; Linux takes the larger
     * of that and its security module's for the first); 65536. The first lies
     * in user space, page aligned. */
    uint64_t mmap_min_address;
    uint64_t mmap_min_fixed;
    uint32_t stack_guard_pages; /* kept free below stacks; 256 */
    /* A read of an object's page maps those of its neighbours that are cached,
     * in an aligned window of so many pages: a power of two up to 512, as
     * Linux's fault_around_bytes; 16. 0 or 1: none. */
    uint32_t fault_around_pages;
    /* The most pages that a fault reads from swap at once, of which it needs
     * one; at the most 32; 8, as of Linux's page_cluster. 0 or 1: one. */
    uint32_t swap_ahead_pages;
    enum aspen_huge_placement huge_placement;
    unsigned pkeys; /* protection keys, 0 included; at most ASPEN_PKEYS_MAX, and
                       1 with RISC-V's page tables;
                       the processor has none: 0, or 1 where key 0 may be named
                       (AArch64) */
    enum aspen_execute_only execute_only; /* KEY: there are keys; ENTRY: the
                                             format can say it (AArch64) */
    /* The exclusive top of user space in every space, below which all mappings
     * lie: page aligned, above mmap_min_address, at most what the page tables
     * have. For programs with addresses of 32 bits: 2^32, or less. 0: what the
     * page tables have, docs/use/limits.md. */
    uint64_t address_limit;
    /* The top of what munmap and mremap may name, where that is above user
     * space: 2^56 - 4096 with 57-bit addresses,
     * which Linux gives only to who asks for them; page aligned,
     * 2^56 at most. 0: the same. */
    uint64_t call_limit;
    /* Where the kernel's half begins, if the processor finds it by the same top
     * table as user space (x86-64: 0xffff800000000000 or above). The entries of
     * each top table from there on are the embedder's, who writes them in the
     * hook mm_init, and later if it likes; the core neither reads nor writes
     * them. A multiple of what one entry of a top table covers, above user
     * space. 0: there is no such half, and every entry is the core's. */
    uint64_t kernel_start;
    enum aspen_semantics semantics;
    enum aspen_reclaim_policy reclaim_policy; /* ADAPTIVE */
    /* Free frames. Below low the hook `wake` is called, for somebody to call
     * aspen_reclaim_tick() until there are high. Faults, and reads and writes
     * of objects, that would leave fewer than min take pages out of memory
     * themselves; the rest is for calls that cannot. min <= low < high, and all
     * are fewer than the RAM there is; or 0, all three: with that hook min is
     * Linux's (4 times the square root of RAM in KiB, 256 MiB at the most;
     * here also at most a 32nd), low and high a fourth of that or a thousandth
     * of RAM above; without it there are none. */
    uint64_t watermark_min;
    uint64_t watermark_low;
    uint64_t watermark_high;
    /* Where nothing but pages of files could leave so many of them stay,
     * whoever reclaims, and calls end with -ASPEN_ENOMEM: programs that run
     * would take each other's code from memory for ever, and nobody would be
     * killed. Fewer than the RAM there is. 0: all may leave. */
    uint64_t file_pages_min;
    struct aspen_hooks hooks;
};

/** Defaults: Linux's, of a machine without frames. Context: any. */
void aspen_config_init(struct aspen_config *config);

/**
 * Make a machine. Takes memory for the frame table (32 bytes a frame), chunks
 * (24 bytes for 64 frames) and sections (24 bytes for each 128 MiB below the
 * highest frame). What `ram` and `reserved` lead to is read here alone.
 *
 * Owns:    the embedder keeps the direct map and frees it after
 *          aspen_destroy().
 * Context: may sleep.
 * Returns: 0 and *aspen, or -ASPEN_EINVAL (a field makes no sense; an unknown
 *          flag; userfault hooks without fork_prepare; only one half of the
 *          notifier's bracket, of its two for what is young, or of a thread's
 *          rights), -ASPEN_ENOMEM. On
 *          error nothing is left.
 */
ASPEN_MUST_USE int aspen_create(const struct aspen_config *config,
                                struct aspen **aspen);

/**
 * More RAM: frames `first` and on are the machine's now, to be handed out.
 * Either all of them have a frame table already - they were reserved, or are in
 * a hole of at most 128 MiB - or none has, nor has any other frame that shares
 * an aligned 128 MiB with them. Frames do not go again.
 *
 * With config.frames_end set all of each aligned 128 MiB below it that holds
 * some RAM has a table.
 *
 * Context: never sleeps. Takes spin locks of the core.
 * Returns: 0, or -ASPEN_EINVAL (no frame, frame 0, beyond config.frames_end,
 *          the machine's already, or neither of the above), -ASPEN_ENOMEM. On
 *          error nothing has changed.
 */
ASPEN_MUST_USE int aspen_frames_add(struct aspen *aspen, uint32_t first,
                                    uint32_t count);

/**
 * Destroy a machine.
 *
 * Context: may sleep; no call of this machine is under way. Waits for RCU.
 * Returns: 0, or -ASPEN_EBUSY: address spaces, objects, or frames of
 *          aspen_frames_alloc() that are not METADATA still exist, and the
 *          machine is as it was. Of METADATA all is given back by then, or on
 *          the way: asserted.
 */
ASPEN_MUST_USE int aspen_destroy(struct aspen *aspen);

/**
 * Add a swap area of `slots` pages; *type gets its number (0, 1, ...).
 *
 * Context: may sleep.
 * Returns: 0, -ASPEN_EINVAL (no slots), -ASPEN_ENOSPC (too many areas),
 *          -ASPEN_ENOMEM. On error nothing changed.
 */
ASPEN_MUST_USE int aspen_swap_area_add(struct aspen *aspen, uint32_t slots,
                                       unsigned *type);

/** What is in use. Exact when no call is under way. */
struct aspen_counters {
    uint64_t frames_total; /* that are not reserved */
    uint64_t frames_free;
    uint64_t frames_table; /* page tables, without waiting ones */
    uint64_t frames_kinds[ASPEN_FRAMES_KINDS]; /* of aspen_frames_alloc() */
    uint64_t tables_waiting;  /* freed, waiting for a grace period */
    uint64_t anon_pages;      /* anonymous ones, mapped or not */
    uint64_t file_pages;      /* in page caches of files */
    uint64_t shmem_pages;     /* in page caches of all other objects */
    uint64_t writeback_pages; /* that a pager is just writing */
    uint64_t metadata_bytes; /* of the port's memory, in caches of structures */
    uint64_t mms;            /* struct aspen_mm, any state */
    uint64_t mms_live;       /* in the registry */
    uint64_t mms_swap_list;  /* on the swap list */
    uint64_t vmas;
    uint64_t anon_vmas;
    uint64_t anon_vma_links;
    uint64_t objects;
    uint64_t tree_nodes;      /* without those waiting for a grace period */
    uint64_t committed_pages; /* charge */
    uint64_t commit_limit_pages;
    uint64_t swap_slots; /* of all swap areas */
    uint64_t swap_slots_used;
    uint64_t swap_cached;     /* of these, slots whose page is in memory, too */
    uint64_t swap_references; /* sum of all slot counts */
    uint64_t swap_continuations;
    uint64_t swap_ra;     /* pages read ahead from swap, since the machine was
                             made */
    uint64_t swap_ra_hit; /* of these, those that a fault found in memory */
    uint64_t tlb_flushes;
    /* Pages of files that could be read again, and of shared memory that could
     * go to swap, by how long nobody accessed them; unevictable: locked or
     * pinned, when they were last looked at. */
    uint64_t inactive_file;
    uint64_t active_file;
    /* Anonymous pages that reclaim has come by. */
    uint64_t inactive_anon;
    uint64_t active_anon;
    uint64_t unevictable;
    /* As in use: what config says, or by the size of RAM. */
    uint64_t watermark_min;
    uint64_t watermark_low;
    uint64_t watermark_high;
    uint64_t shadows; /* of pages that have left, kept in page caches */
    /* Since the machine was made. */
    uint64_t reclaim_looked;            /* pages that reclaim looked at */
    uint64_t reclaimed;                 /* of these, pages that left */
    uint64_t reclaim_looked_background; /* of both: by aspen_reclaim_tick() */
    uint64_t reclaimed_background;
    uint64_t reclaim_looked_direct; /* of both: by who needed memory */
    uint64_t reclaimed_direct;
    uint64_t reclaim_written; /* dirty pages that reclaim wrote */
    uint64_t reclaim_wakes;   /* calls of the hook `wake` */
    uint64_t refaults;        /* pages that came back too soon */
    uint64_t direct_stalls;   /* calls and faults that found no memory, and
                                 tried to take pages out of it */
    uint64_t direct_reclaims; /* of these, such as could, and went on */
    uint64_t faults;          /* that came to an end, whatever it was */
    uint64_t major_faults;    /* of these, such as had to read something */
    uint64_t swapped_in;      /* pages that were read from devices */
    uint64_t swapped_out;
    uint64_t migrated;        /* pages that went to another frame */
    uint64_t migrate_failed;  /* that were to, and stayed */
    uint64_t compact_looked;  /* frames that compaction looked at */
    uint64_t compact_success; /* blocks that it made free */
    uint64_t compact_fail;    /* times that it found none */
    uint64_t frames_bad;      /* that went bad, and are in no other count */
    uint64_t oom_kills;
    uint64_t oom_reaps; /* of these, spaces whose memory was reaped */
    /* Why calls and faults answered -ASPEN_ENOMEM, or would have without direct
     * reclaim, since the machine was made; a failure that was planned counts
     * nowhere. */
    uint64_t refused_frames;   /* no frame was free, also for METADATA */
    uint64_t refused_metadata; /* the port had no memory */
    uint64_t refused_charge;   /* overcommit */
};

/** Context: never sleeps. Takes spin locks of the core. */
void aspen_counters_read(const struct aspen *aspen,
                         struct aspen_counters *counters);

#ifdef __cplusplus
}
#endif

#endif
