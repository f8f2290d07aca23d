/* SPDX-License-Identifier: MIT */
/*
 * aspen_extern.h - sizes and alignments of what a port keeps in structures of
 * the core: plain numbers, for any language to read.
 *
 * Who has others says so when everything that knows the port is compiled
 * (-DASPEN_EXTERN_RWLOCK_BYTES=8): the core and, in the language of the port,
 * whatever compares them with its own types.
 */
#ifndef ASPEN_EXTERN_H
#define ASPEN_EXTERN_H

/* A spin lock: at most 4 bytes, and all zero is unlocked. */
#ifndef ASPEN_EXTERN_SPINLOCK_BYTES
#define ASPEN_EXTERN_SPINLOCK_BYTES 4
#endif
#ifndef ASPEN_EXTERN_SPINLOCK_ALIGN
#define ASPEN_EXTERN_SPINLOCK_ALIGN 4
#endif

/* A reader-writer lock whose holder may sleep. Each space, each object and each
 * tree of a reverse map has one or two, so keep it small; 8 bytes hold a
 * pointer. */
#ifndef ASPEN_EXTERN_RWLOCK_BYTES
#define ASPEN_EXTERN_RWLOCK_BYTES 4
#endif
#ifndef ASPEN_EXTERN_RWLOCK_ALIGN
#define ASPEN_EXTERN_RWLOCK_ALIGN 4
#endif

/* What stands for deferred work: at most 16 bytes, the port's alone between
 * aspen_port_rcu_defer() and the callback. Two pointers. */
#ifndef ASPEN_EXTERN_RCU_HEAD_BYTES
#define ASPEN_EXTERN_RCU_HEAD_BYTES 16
#endif
#ifndef ASPEN_EXTERN_RCU_HEAD_ALIGN
#define ASPEN_EXTERN_RCU_HEAD_ALIGN 8
#endif

/* CPUs that aspen_port_cpu() can name: 0 .. this - 1. */
#ifndef ASPEN_EXTERN_CPUS
#define ASPEN_EXTERN_CPUS 16
#endif

#endif
