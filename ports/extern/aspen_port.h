/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h of the extern port: everything is an ordinary function, for
 * ports that are written in another language than C. Nothing here has to be
 * changed, and no body has to be written in C: define the functions with these
 * names and C's calling convention, and link. Locks are storage whose size
 * aspen_extern.h says; what is in it is the port's.
 *
 * ports/template/aspen_port.h has the contract of each function in full,
 * docs/use/porting.md the rest ("In another language"). What the calls cost is
 * in docs/evidence/performance.md.
 *
 * Context: unless a comment says otherwise a function may be called with any
 * of the core's locks held and must not sleep. None may unwind (throw, panic)
 * into the core.
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

#include "aspen_extern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What you are ------------------------------------------------------ */

#define ASPEN_PORT_CPUS ASPEN_EXTERN_CPUS

/* The processor's own page tables, unless the compiler is told of others. */
#if !defined(ASPEN_PORT_PAGING_AARCH64) &&                                     \
    !defined(ASPEN_PORT_PAGING_X86_64) &&                                      \
    !defined(ASPEN_PORT_PAGING_X86_64_LA57) &&                                 \
    !defined(ASPEN_PORT_PAGING_RISCV_SV39) &&                                  \
    !defined(ASPEN_PORT_PAGING_RISCV_SV48)
#if defined(__aarch64__)
#define ASPEN_PORT_PAGING_AARCH64
#elif defined(__x86_64__)
#define ASPEN_PORT_PAGING_X86_64
#elif defined(__riscv)
#define ASPEN_PORT_PAGING_RISCV_SV39
#endif
#endif

/* A processor writes accessed and dirty bits into entries. Who knows that none
 * does leaves a locked operation for each page out. */
#ifndef ASPEN_EXTERN_MMU_WRITES_NOTHING
#define ASPEN_PORT_MMU_WRITES_ENTRIES
#endif

/* ---- Memory for metadata ----------------------------------------------- */

/* Zeroed, aligned to 4096; NULL: none. free: NULL is nothing. */
extern void *aspen_port_memory_alloc(size_t bytes);
extern void aspen_port_memory_free(void *memory, size_t bytes);

/*
 * Where frame `frame` can be read and written. The core asks for each page
 * table that it goes through; with -DASPEN_EXTERN_DIRECT_MAP it computes it,
 * and the function is not called.
 */
#ifdef ASPEN_EXTERN_DIRECT_MAP
static inline void *
aspen_port_frame_pointer(void *direct_map, uint32_t frame)
{
    return (char *)direct_map + ((size_t)frame << 12);
}
#else
extern void *aspen_port_frame_pointer(void *direct_map, uint32_t frame);
#endif

/* ---- Locks ------------------------------------------------------------- */

struct aspen_port_spinlock {
    _Alignas(ASPEN_EXTERN_SPINLOCK_ALIGN) unsigned char opaque
        [ASPEN_EXTERN_SPINLOCK_BYTES];
};

/* Disables preemption if there is some; all zero is unlocked. */
extern bool aspen_port_spin_trylock(struct aspen_port_spinlock *lock);
extern void aspen_port_spin_lock(struct aspen_port_spinlock *lock);
extern void aspen_port_spin_unlock(struct aspen_port_spinlock *lock);

struct aspen_port_rwlock {
    _Alignas(ASPEN_EXTERN_RWLOCK_ALIGN) unsigned char opaque
        [ASPEN_EXTERN_RWLOCK_BYTES];
};

/* May sleep: read_lock, write_lock, write_lock_killable. */
extern void aspen_port_rwlock_init(struct aspen_port_rwlock *lock);
extern void aspen_port_rwlock_destroy(struct aspen_port_rwlock *lock);
extern bool aspen_port_read_trylock(struct aspen_port_rwlock *lock);
extern void aspen_port_read_lock(struct aspen_port_rwlock *lock);
extern void aspen_port_read_unlock(struct aspen_port_rwlock *lock);
extern bool aspen_port_write_trylock(struct aspen_port_rwlock *lock);
extern void aspen_port_write_lock(struct aspen_port_rwlock *lock);
extern void aspen_port_write_unlock(struct aspen_port_rwlock *lock);
/* 0, or -4 (ASPEN_EINTR): a fatal signal came while waiting; not locked. */
extern int aspen_port_write_lock_killable(struct aspen_port_rwlock *lock);

/* ---- Signals and waiting ----------------------------------------------- */

extern bool aspen_port_fatal_signal_pending(void);
/* May sleep. */
extern void aspen_port_wait_while(const void *key,
                                  bool (*busy)(const void *argument),
                                  const void *argument);
extern void aspen_port_wake_all(const void *key);

/* ---- RCU --------------------------------------------------------------- */

struct aspen_port_rcu_head {
    _Alignas(ASPEN_EXTERN_RCU_HEAD_ALIGN) unsigned char opaque
        [ASPEN_EXTERN_RCU_HEAD_BYTES];
};

extern void aspen_port_rcu_read_lock(void);
extern void aspen_port_rcu_read_unlock(void);
extern void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head));
/* Both may sleep. */
extern void aspen_port_rcu_synchronise(void);
extern void aspen_port_rcu_barrier(void);

/* ---- Processor --------------------------------------------------------- */

extern unsigned aspen_port_cpu(void);

struct aspen_tlb_flush; /* aspen/tlb.h */
/* May sleep. */
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

/* Before a space is copied: write back virtually tagged caches. */
extern void aspen_port_cache_flush(uint32_t root);

/* Instruction caches that do not watch what is stored. */
#if !defined(ASPEN_PORT_ICACHE_SYNC) &&                                        \
    (defined(__aarch64__) || defined(__riscv))
#define ASPEN_PORT_ICACHE_SYNC
#endif
#ifdef ASPEN_PORT_ICACHE_SYNC
extern void aspen_port_icache_sync(const void *memory, size_t bytes);
#endif

/* Does not return. */
extern _Noreturn void aspen_port_panic(const char *message);

/* ---- Test builds only -------------------------------------------------- */

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order; /* aspen/lock_order.h */
/* What the current task holds, all zero at first; NULL: do not check. */
extern struct aspen_lock_order *aspen_port_lock_order(void);
#endif

#endif
