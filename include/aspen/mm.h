/* SPDX-License-Identifier: MIT */
/**
 * aspen/mm.h - address spaces: make, share, fork, give up.
 */
#ifndef ASPEN_MM_H
#define ASPEN_MM_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;
struct aspen_mm;

enum aspen_mm_state {
    ASPEN_MM_BUILDING, /* fork is copying into it, or exec fills it */
    ASPEN_MM_LIVE,     /* in the registry; may have no VMA */
    ASPEN_MM_DYING,    /* its last user is gone, exit is unmapping it */
    ASPEN_MM_EMPTY,    /* after exit or a failed fork: no VMA */
};

/**
 * An empty address space, LIVE, with one user: the caller.
 *
 * Context: may sleep; no lock of the core is held.
 * Returns: 0 and *mm, or -ASPEN_ENOMEM, -ASPEN_EINTR (a fatal signal, after
 *          pages have left memory for it), or the error of the hook mm_init
 *          (aspen/hooks.h), with nothing left.
 */
ASPEN_MUST_USE int aspen_mm_create(struct aspen *aspen, struct aspen_mm **mm);

/**
 * Copy an address space, as fork(2) does: private pages become copy-on-write
 * in both, shared ones stay shared. docs/design/fork.md lists every step.
 *
 * Owns:    the caller is the child's one user.
 * Context: may sleep. Takes the parent's mmap lock for writing, killable.
 * Returns: 0 and *child. On error *child is untouched and nothing of the
 *          child is left; the parent answers every query as before (pages may
 *          be write-protected, which costs a fault each):
 *          -ASPEN_EINTR   a fatal signal is pending
 *          -ASPEN_ENOMEM  no memory, though all pages left that could (then it
 *                         begins again, and hooks hear of each attempt), or a
 *                         charge refused
 *          -ASPEN_EINVAL  the parent is not LIVE
 *          -ASPEN_ESRCH   the parent was killed (aspen/calls/oom.h)
 *          any error of a hook, unchanged.
 * Source:  fork(2); Linux v6.12 dup_mmap() with the recovery of 2026.
 */
ASPEN_MUST_USE int aspen_fork(struct aspen_mm *parent, struct aspen_mm **child);

/**
 * One more user (a thread, a vfork child). The caller is a user already.
 * Cannot fail.
 *
 * Context: any.
 */
void aspen_mm_get(struct aspen_mm *mm);

/**
 * One more user, by whoever is none and has found the space in a table of its
 * own: true, unless the last user has left. Whoever got true gives the space
 * back by aspen_mm_put().
 *
 * Owns:    the caller sees to it that the structure is still there. It is while
 *          a page of it is pinned, and until the scanner's hook `exit`
 *          (aspen/hooks.h) has returned: that hook takes the space out of the
 *          table, under the lock under which others look it up and call this.
 * Context: any.
 */
ASPEN_MUST_USE bool aspen_mm_get_if_alive(struct aspen_mm *mm);

/**
 * A user leaves. The last one takes the address space down (exit): it unmaps
 * everything and gives back every page, charge and reference. Cannot fail.
 * CPUs, this one as well, may still go on with its tables (aspen_mm_switch()),
 * but only until the hook mm_exit has returned: whose register has them then is
 * a bug, and asserted.
 *
 * Context: may sleep; no lock is held. Accepts a space without VMAs.
 */
void aspen_mm_put(struct aspen_mm *mm);

/**
 * Exec: make a new space, fill it, then be in that one instead of the old one.
 *
 *     error = aspen_exec_prepare(mm, &next);
 *     ... aspen_mmap(next, ...), aspen_write_memory(next, ...) ...
 *     if (error) aspen_exec_abort(next);
 *     else       aspen_exec_commit(mm, next);
 *
 * prepare: an empty space with the limits and privileges of `mm`, and nothing
 *          else of it (MCL_FUTURE, layout and the embedder's pointer are new).
 *          It is BUILDING: all calls on it work but fork, and nobody finds it
 *          but by the caller. 0 and *next, or -ASPEN_ENOMEM, -ASPEN_EINTR (as
 *          aspen_mm_create()), -ASPEN_EINVAL (`mm` is not LIVE), or the error
 *          of the hook mm_init, with nothing left.
 * commit:  `next` goes LIVE, then the caller, its one user, leaves `mm` as by
 *          aspen_mm_put(). Others in `mm`, such as the parent of a vfork child,
 *          stay there. Cannot fail.
 * abort:   `next` is gone, with all that was mapped; `mm` is as it was.
 *
 * Context: may sleep; no lock is held.
 * Source:  execve(2); Linux v6.12 bprm_mm_init(), exec_mmap().
 */
ASPEN_MUST_USE int aspen_exec_prepare(struct aspen_mm *mm,
                                      struct aspen_mm **next);
void aspen_exec_commit(struct aspen_mm *mm, struct aspen_mm *next);
void aspen_exec_abort(struct aspen_mm *next);

/** Where it is in its life. A snapshot unless the caller excludes changes.
 * Context: any. */
enum aspen_mm_state aspen_mm_state(const struct aspen_mm *mm);

/** A number for people, unique in the machine. Context: any. */
uint32_t aspen_mm_id(const struct aspen_mm *mm);

/**
 * The embedder's own pointer: the core keeps it, and no more. A forked child
 * has its parent's from before the hook mm_init on; any other new space has
 * none (NULL).
 * Context: any.
 */
void *aspen_mm_embedder(const struct aspen_mm *mm);
void aspen_mm_embedder_set(struct aspen_mm *mm, void *embedder);

/** Sizes in pages unless the name says otherwise; as in /proc/P/status. */
struct aspen_mm_counters {
    uint64_t vmas;
    uint64_t total_pages;         /* VmSize */
    uint64_t peak_pages;          /* VmPeak */
    uint64_t peak_resident_pages; /* VmHWM */
    uint64_t data_pages;          /* VmData */
    uint64_t exec_pages;          /* VmExe + VmLib */
    uint64_t stack_pages;         /* VmStk */
    uint64_t locked_pages;        /* VmLck */
    uint64_t pinned_pages;        /* VmPin */
    uint64_t file_pages;          /* RssFile */
    uint64_t anon_pages;          /* RssAnon */
    uint64_t shmem_pages;         /* RssShmem */
    uint64_t swap_pages;          /* VmSwap */
    uint64_t page_tables;         /* VmPTE / 4 KiB, the top table not counted */
    uint64_t tlb_flushes;         /* those for no CPU as well */
};

/** Context: may sleep; takes the mmap lock for reading. */
void aspen_mm_counters_read(struct aspen_mm *mm,
                            struct aspen_mm_counters *counters);

/**
 * Say which CPUs use the address space now, so that flushes reach them:
 * activate before the CPU loads the root, deactivate after it has dropped what
 * its TLB has of the space, or has noted up to which generation it is right
 * (aspen_mm_tlb_generation()).
 * Context: any.
 * Returns: 0, or -ASPEN_EINVAL (the port has no such CPU) and nothing changed.
 */
ASPEN_MUST_USE int aspen_mm_activate(struct aspen_mm *mm, unsigned cpu);
ASPEN_MUST_USE int aspen_mm_deactivate(struct aspen_mm *mm, unsigned cpu);

/** Whether it is active on that CPU. A snapshot, unless it is that CPU that
 * asks and nobody takes the task off it. Context: any. */
bool aspen_mm_is_active(const struct aspen_mm *mm, unsigned cpu);

/**
 * This CPU goes from one space to another, all in the right order: `to` becomes
 * active on it, the hook mm_load (aspen/hooks.h) puts its root into the
 * register, then `from` is active on it no more. So flushes of `from` reach the
 * CPU for as long as its register leads there, and those of `to` before it
 * does. NULL stands for the kernel's own tables. With `from` equal to `to`
 * nothing happens.
 *
 * `to` has a user, such as the thread that is about to run. `from` need not:
 * a CPU that goes on to a thread of the kernel, or to none, may keep the tables
 * that it has (lazy TLB), hears of their flushes as before, and says with the
 * next switch what it goes on from. If the space's last user leaves meanwhile,
 * the hook mm_exit makes every CPU that aspen_mm_is_active() names call
 * aspen_mm_switch(cpu, from, NULL), by an interrupt for instance.
 *
 * Units:   `cpu` is the one that calls, as aspen_port_cpu() has it.
 * Context: any; takes no lock. Nobody takes the task off this CPU meanwhile,
 *          nor does an interrupt switch here.
 * Returns: 0, or -ASPEN_EINVAL (the port has no such CPU) and nothing changed.
 *          That `from` is not active on the CPU, or that `to` has no user, is a
 *          bug, and asserted.
 */
ASPEN_MUST_USE int aspen_mm_switch(unsigned cpu, struct aspen_mm *from,
                                   struct aspen_mm *to);

/**
 * How often translations of the space have had to go. Who keeps some of a space
 * on a CPU that is not active on it (tagged by an ASID or PCID) is not told,
 * and compares: docs/use/porting.md, "Translations that outlive a switch".
 * Context: any.
 */
uint64_t aspen_mm_tlb_generation(const struct aspen_mm *mm);

/** The frame of the top page table, for the hardware's register; the same for
 * as long as the space lives. Context: any. */
uint32_t aspen_mm_root(const struct aspen_mm *mm);

#ifdef __cplusplus
}
#endif

#endif
