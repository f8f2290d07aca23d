/* SPDX-License-Identifier: MIT */
/**
 * aspen/hooks.h - what an embedder may attach to the core at run time.
 *
 * A hook that can fail comes in three parts: prepare (may fail, changes
 * nothing that others see), commit and abort (cannot fail). For each prepare
 * that returned 0 exactly one of commit and abort follows.
 */
#ifndef ASPEN_HOOKS_H
#define ASPEN_HOOKS_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;
struct aspen_vma;

/** The processor architecture's own state of an address space and of the
 * calling thread. */
struct aspen_arch_ops {
    /**
     * Get and set what the calling thread may do by protection keys
     * (aspen/calls/pkey.h). Keys bind only the program's own accesses to its
     * own space: for a thread that does not run in `mm` the answer is
     * ASPEN_RIGHTS_ALL. Any lock may be held. Give both hooks or neither;
     * without them everything is allowed but reading what is for execution
     * alone.
     */
    uint32_t (*rights)(void *context, const struct aspen_mm *mm);
    void (*rights_set)(void *context, const struct aspen_mm *mm,
                       uint32_t rights);
    /**
     * A space begins: it has its top table (aspen_mm_root()) and no VMA, and
     * nobody else can find it. The hook writes the kernel's half of that table
     * (config.kernel_start) and makes what else a space of the embedder's has.
     * aspen_mm_embedder() is the parent's if fork makes it, else NULL. 0 or a
     * negative errno, which aspen_mm_create(), aspen_fork() or
     * aspen_exec_prepare() then answers; nothing of the space is left.
     * Context: may sleep; no lock of the core is held.
     */
    int (*mm_init)(void *context, struct aspen_mm *mm);
    /**
     * It ends, once for each mm_init that returned 0: its last user is gone,
     * nothing is mapped (EMPTY), and the TLBs of the CPUs that are active in it
     * have forgotten all that it mapped. When the hook returns no CPU is
     * active in it any more (asserted): those that went on with its tables by
     * aspen_mm_switch() are sent away, this one as well. Of the space only the
     * structure stays, until whoever has pinned pages of it gives these back;
     * no hook hears of it again.
     * Context: may sleep; no lock of the core is held.
     */
    void (*mm_exit)(void *context, struct aspen_mm *mm);
    /**
     * By aspen_mm_switch(): load the root of `mm`, or the kernel's own tables
     * (NULL), into the page-table register of the CPU that runs here. When it
     * returns the processor reads no table of the space before, and has nothing
     * cached of it.
     * Context: that of aspen_mm_switch(). Cannot fail.
     */
    void (*mm_load)(void *context, struct aspen_mm *mm);
    /** Both mmap locks are held for writing. 0 or a negative errno. */
    int (*fork_prepare)(void *context, struct aspen_mm *parent,
                        struct aspen_mm *child);
    /** Both locks are still held; the child enters the registry next. */
    void (*fork_commit)(void *context, struct aspen_mm *parent,
                        struct aspen_mm *child);
    /** The fork was cancelled after prepare; both locks are still held, the
     * child is EMPTY already. */
    void (*fork_abort)(void *context, struct aspen_mm *parent,
                       struct aspen_mm *child);
};

/**
 * Userfault. fork_prepare runs once for each parent VMA with a userfault
 * context, with both locks held. It may keep its records of this fork in
 * *cookie, which is NULL at the first call. Commit or abort runs once for each
 * fork in which at least one prepare returned 0, after all locks are dropped.
 */
struct aspen_userfault_ops {
    int (*fork_prepare)(void *context, void *userfault,
                        struct aspen_vma *parent, struct aspen_vma *child,
                        void **cookie);
    void (*fork_commit)(void *context, void *cookie);
    void (*fork_abort)(void *context, void *cookie);
};

/**
 * Optional services (KSM, huge-page scanners, tracing). They hear of a fork
 * last, and only when it succeeded. They cannot fail.
 */
struct aspen_scanner_ops {
    /** Both mmap locks are held for writing. */
    void (*fork_done)(void *context, struct aspen_mm *parent,
                      struct aspen_mm *child);
    /** The last user of the space is gone; nothing has been unmapped yet.
     * It was LIVE: of a child whose fork failed, or a space that
     * aspen_exec_abort() gave up, there is nothing to hear.
     * Context: as mm_exit of struct aspen_arch_ops. */
    void (*exit)(void *context, struct aspen_mm *mm);
};

/**
 * A second MMU: one that has translations of its own of what spaces map. How it
 * fills itself is aspen/calls/mmu.h; docs/use/mmu.md leads through both.
 *
 * invalidate_start: drop what there is of [start, end). From before it is
 * called until invalidate_end has returned aspen_mmu_retry() keeps everybody
 *          from putting anything in there. What is dropped may be used until
 * the hook returns, and not a moment longer: the frames are freed, and pages
 * that were writable are read, or another's. invalidate_end: it is over. No
 * processor has anything cached any more of what went. An end follows each
 * start, with the same range, also when the call fails. Nothing has to be done
 * here.
 *
 * Brackets of one space may be open at the same time, and overlap. There is one
 * around whatever takes translations away, makes them read-only or lets them
 * lead elsewhere; none where they only become more, or allow more. A space that
 * ends has one around all that it maps.
 *
 * test_young: was any page in [start, end) accessed by the second MMU since
 *          clear_young had it last, or ever? For a page that it does not have
 *          it may as well say no.
 * clear_young: the same, and from now on an access counts anew. Asked where
 *          the accessed bits of entries are read and cleared: aspen_young(),
 *          MADV_COLD, aspen_reclaim(), the smaps. Without these two the range
 *          is invalidated instead.
 *
 * Give invalidate_start and invalidate_end or neither, test_young and
 * clear_young or neither.
 *
 * Context: all four may sleep, take locks of their own, and wait for whoever
 * uses what they drop - but not for who is inside a call of Aspen, be it
 *          aspen_fault() or aspen_mmu_wait(). Locks of the core are held: the
 *          mmap lock or a mapping's, for reading or writing; or an object's and
 *          a page's with the lock under which its mappings are found. No spin
 *          lock is, nor is the caller an RCU reader. So no call is made that
 *          takes a space or an object, nor aspen_mmu_wait(); aspen_mm_id() and
 *          the like may be. They run in whichever task made the call, several
 *          at once. They cannot fail.
 */
struct aspen_notifier_ops {
    void (*invalidate_start)(void *context, struct aspen_mm *mm, uint64_t start,
                             uint64_t end);
    void (*invalidate_end)(void *context, struct aspen_mm *mm, uint64_t start,
                           uint64_t end);
    bool (*test_young)(void *context, struct aspen_mm *mm, uint64_t start,
                       uint64_t end);
    bool (*clear_young)(void *context, struct aspen_mm *mm, uint64_t start,
                        uint64_t end);
};

/** What the embedder does when memory is short. */
struct aspen_memory_ops {
    /**
     * No 2^order frames are free for a page or a page table. Give some back -
     * aspen_object_drop(), pages of your own - and answer true for another try;
     * false: the call gives back its locks and what it has, and begins again if
     * pages can leave memory for it; else it fails with -ASPEN_ENOMEM.
     * `attempt` counts from 0 on; ASPEN_MEMORY_ATTEMPTS times the core asks.
     * Context: may sleep; a mapping's or a space's mmap lock may be held, for
     * writing, too, but no lock of an object or a page: so no call is made that
     * takes a space, nor one that needs a page. Several tasks may be in it.
     */
    bool (*low)(void *context, unsigned order, unsigned attempt);
    /**
     * Fewer frames are free than config.watermark_low says: let a thread call
     * aspen_reclaim_tick() until that answers false. Not called again until
     * then.
     * Context: any lock may be held, spin locks of the core, too: it never
     * sleeps, and makes no call of this machine.
     */
    void (*wake)(void *context);
    /**
     * aspen_oom_kill(): end whatever runs in the space, all processes that
     * share it. `badness` is what it has, as aspen_oom_badness() said.
     * Context: that of aspen_oom_kill(); no lock of the core is held.
     */
    void (*killed)(void *context, struct aspen_mm *mm, int64_t badness);
    /**
     * Microseconds of a clock that never goes back, from any moment on: for
     * stall times (aspen/account/pressure.h). aspen_create() is the first to
     * ask. Context: any lock may be held: it never sleeps, and makes no call of
     * this machine.
     */
    uint64_t (*clock)(void *context);
    /**
     * The group (aspen/account/group.h) of the thread that calls, which pays
     * for pages that aspen_object_read() and aspen_object_write() bring into a
     * page cache; NULL: none does. It is there for as long as that call.
     * Context: a lock of a page cache may be held: it never sleeps, and makes
     *          no call of this machine.
     */
    struct aspen_group *(*group)(void *context);
};

#define ASPEN_MEMORY_ATTEMPTS 16u

/** All hooks of one machine. Any pointer may be NULL. */
struct aspen_hooks {
    const struct aspen_arch_ops *arch;
    const struct aspen_userfault_ops *userfault;
    const struct aspen_scanner_ops *scanner;
    const struct aspen_notifier_ops *notifier;
    const struct aspen_memory_ops *memory;
    void *context;
};

#ifdef __cplusplus
}
#endif

#endif
