/* SPDX-License-Identifier: MIT */
/**
 * aspen/flags.h - flags of a mapping (struct aspen_vma) and of an access.
 * The names are Linux's VM_* names.
 */
#ifndef ASPEN_FLAGS_H
#define ASPEN_FLAGS_H

#include <aspen/compiler.h>

#define ASPEN_FLAG(bit) ((uint64_t)1 << (bit))

/* What may be done now, and what mprotect() may add. */
#define ASPEN_VM_READ     ASPEN_FLAG(0)
#define ASPEN_VM_WRITE    ASPEN_FLAG(1)
#define ASPEN_VM_EXEC     ASPEN_FLAG(2)
#define ASPEN_VM_SHARED   ASPEN_FLAG(3)
#define ASPEN_VM_MAYREAD  ASPEN_FLAG(4)
#define ASPEN_VM_MAYWRITE ASPEN_FLAG(5)
#define ASPEN_VM_MAYEXEC  ASPEN_FLAG(6)
#define ASPEN_VM_MAYSHARE ASPEN_FLAG(7)
/* What it is. */
#define ASPEN_VM_GROWSDOWN ASPEN_FLAG(8)
#define ASPEN_VM_PFNMAP    ASPEN_FLAG(9)  /* raw frames only */
#define ASPEN_VM_MIXEDMAP  ASPEN_FLAG(10) /* raw frames and pages */
#define ASPEN_VM_IO        ASPEN_FLAG(11)
#define ASPEN_VM_HUGETLB   ASPEN_FLAG(12)
#define ASPEN_VM_SPECIAL   ASPEN_FLAG(13) /* a special mapping: vdso */
#define ASPEN_VM_STACK     ASPEN_FLAG(14) /* mmap(MAP_STACK): a hint, kept */
/* How it is accounted and locked. */
#define ASPEN_VM_ACCOUNT     ASPEN_FLAG(16) /* charged */
#define ASPEN_VM_NORESERVE   ASPEN_FLAG(17)
#define ASPEN_VM_LOCKED      ASPEN_FLAG(18)
#define ASPEN_VM_LOCKONFAULT ASPEN_FLAG(19)
#define ASPEN_VM_SEALED      ASPEN_FLAG(20)
/* What fork does with it. */
#define ASPEN_VM_DONTCOPY   ASPEN_FLAG(24)
#define ASPEN_VM_WIPEONFORK ASPEN_FLAG(25)
#define ASPEN_VM_COPYONFORK ASPEN_FLAG(26) /* its pages, at once */
/* Advice. */
#define ASPEN_VM_SEQ_READ   ASPEN_FLAG(28)
#define ASPEN_VM_RAND_READ  ASPEN_FLAG(29)
#define ASPEN_VM_DONTEXPAND ASPEN_FLAG(30)
#define ASPEN_VM_DONTDUMP   ASPEN_FLAG(31)
#define ASPEN_VM_HUGEPAGE   ASPEN_FLAG(32)
#define ASPEN_VM_NOHUGEPAGE ASPEN_FLAG(33)
#define ASPEN_VM_MERGEABLE  ASPEN_FLAG(34)
#define ASPEN_VM_SYNC       ASPEN_FLAG(35)
#define ASPEN_VM_SOFTDIRTY  ASPEN_FLAG(36)
/* Userfault. */
#define ASPEN_VM_UFFD_MISSING ASPEN_FLAG(40)
#define ASPEN_VM_UFFD_WP      ASPEN_FLAG(41)
#define ASPEN_VM_UFFD_MINOR   ASPEN_FLAG(42)

/* AArch64's PROT_BTI and PROT_MTE: kept, and part of what has to be equal for a
 * merge. mprotect() takes the first away again, never the second, which only
 * anonymous and shared memory may have. */
#define ASPEN_VM_BTI ASPEN_FLAG(44)
#define ASPEN_VM_MTE ASPEN_FLAG(45)

/* Its protection key, aspen/calls/pkey.h: four bits. */
#define ASPEN_VM_PKEY_SHIFT 48
#define ASPEN_VM_PKEY       (ASPEN_FLAG(48) * 15)

/* How processors cache its raw frames: two bits; none of these is write-back.
 * Pages of an object, which a MIXEDMAP mapping may hold as well, are always
 * write-back. What is not write-back cannot be executed. docs/use/porting.md
 * says what an embedder loads into its processors for it. */
#define ASPEN_VM_CACHE_SHIFT 52
#define ASPEN_VM_CACHE       (ASPEN_FLAG(52) * 3)
/* Not cached, and writes may be put together: a frame buffer. */
#define ASPEN_VM_CACHE_WRITE_COMBINING (ASPEN_FLAG(52) * 1)
/* Not cached; as Linux's pgprot_noncached, which is UC- on x86-64 and
 * Device-nGnRnE on AArch64. */
#define ASPEN_VM_CACHE_UNCACHED (ASPEN_FLAG(52) * 2)
/* Not cached: registers. UC on x86-64, Device-nGnRE on AArch64. */
#define ASPEN_VM_CACHE_DEVICE (ASPEN_FLAG(52) * 3)

#define ASPEN_VM_ACCESS (ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_EXEC)
#define ASPEN_VM_UFFD                                                          \
    (ASPEN_VM_UFFD_MISSING | ASPEN_VM_UFFD_WP | ASPEN_VM_UFFD_MINOR)

/** Kinds of access: what somebody does with a page. Every `access` in these
 * headers is one of them, in an unsigned: of aspen_fault(), aspen_translate(),
 * aspen_populate() and of a device's hooks. What a mapping allows is a set of
 * ASPEN_VM_*, and called vm_flags. */
#define ASPEN_ACCESS_READ  1u
#define ASPEN_ACCESS_WRITE 2u
#define ASPEN_ACCESS_EXEC  4u
/** With one of them, for aspen_fault(): -ASPEN_EAGAIN instead of waiting for a
 * pager. */
#define ASPEN_ACCESS_NOWAIT 8u

#endif
