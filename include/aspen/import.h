/* SPDX-License-Identifier: MIT */
/**
 * aspen/import.h - build an address space that is known from elsewhere, VMA by
 * VMA (unmerged) and page by page. For tools that rehearse real processes, and
 * for kernels that hand over a space that they built at boot.
 *
 * The space is LIVE and nobody else uses it while it is built.
 */
#ifndef ASPEN_IMPORT_H
#define ASPEN_IMPORT_H

#include <aspen/compiler.h>
#include <aspen/flags.h>
#include <aspen/calls/pkey.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;
struct aspen_object;
struct aspen_special;

/** It holds or will hold anonymous pages. */
#define ASPEN_IMPORT_HAS_ANON_VMA 1u
/** It has a userfault context: the machine. */
#define ASPEN_IMPORT_HAS_USERFAULT 2u

struct aspen_import_vma {
    uint64_t start; /* page aligned, half open */
    uint64_t end;
    uint64_t vm_flags;           /* ASPEN_VM_*, taken as they are */
    struct aspen_object *object; /* NULL: private, anonymous or raw */
    uint64_t offset_bytes;       /* page aligned; ignored without object */
    unsigned flags;              /* ASPEN_IMPORT_HAS_*, ORed */
    const char *name;            /* of anonymous memory; copied. NULL: none */
    const struct aspen_special *special; /* with ASPEN_VM_SPECIAL and
                                            DONTEXPAND, where its pages come
                                            from. NULL: nowhere */
};

/**
 * Add one VMA as it is: charged if ACCOUNT, never merged.
 *
 * Owns:    takes one reference on the object, and opens it.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (not page aligned, empty, beyond the address
 *          limit, an object of another machine, SHARED without an object or of
 *          ASPEN_OBJECT_ZEROES, HUGETLB without an object of huge pages or such
 *          an object without HUGETLB, a key that the machine has not, a cache
 *          mode that aspen_mmap() would refuse, WRITE without MAYWRITE, which
 *          fork could not protect, an offset that would wrap, an unknown flag,
 *          of the mapping as well, a name that aspen_name_anon() would refuse,
 *          `special` without SPECIAL and DONTEXPAND or with an object, the
 *          space is not LIVE),
 *          -ASPEN_EEXIST (overlaps), -ASPEN_ENOMEM (no memory, charge
 *          refused, more VMAs than mmap would make), -ASPEN_EPERM (SHARED and
 *          MAYWRITE where aspen_object_deny_writable() stands against it), any
 *          error of the object's open hook, unchanged. On error the space is
 *          as it was.
 */
ASPEN_MUST_USE int aspen_import_vma(struct aspen_mm *mm,
                                    const struct aspen_import_vma *vma);

/**
 * Set which protection keys the space has, whether its mappings use them or
 * not.
 *
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (a key that the machine has not, key 0 is
 *          missing, the space's own was not given out, or is none of a machine
 *          without config.execute_only KEY). On error nothing has changed.
 */
ASPEN_MUST_USE int aspen_import_pkeys(struct aspen_mm *mm,
                                      const struct aspen_pkeys *pkeys);

enum aspen_import_kind {
    ASPEN_IMPORT_ANON,   /* private pages, one new frame each */
    ASPEN_IMPORT_OBJECT, /* the object's pages, from its cache or new there */
    ASPEN_IMPORT_ZERO,   /* the zero page */
    ASPEN_IMPORT_SWAP,   /* swapped out: a slot each */
    ASPEN_IMPORT_GUARD,  /* guard pages */
    ASPEN_IMPORT_RAW,    /* raw frames of PFNMAP / MIXEDMAP areas */
};

struct aspen_import_pages {
    uint64_t address;
    uint64_t count; /* entries, consecutive */
    unsigned level; /* 0: 4 KiB pages, 1: PMD leaves, 2: PUD leaves */
    enum aspen_import_kind kind;
    bool dirty;
    uint64_t first_raw; /* RAW: physical page number of the first entry */
    unsigned swap_type; /* SWAP: area of aspen_swap_area_add(), first slot; a */
    uint32_t swap_slot; /*   slot may be named many times, each counts one
                             reference */
};

/**
 * Map pages inside one VMA. Entries are writable where the VMA allows writing
 * and the page is private to it, or shared and dirty. ANON, SWAP and ZERO
 * need a private VMA; ANON, SWAP and GUARD give it an anon_vma if it has none;
 * RAW needs PFNMAP, MIXEDMAP or SPECIAL. Levels above 0: ANON, OBJECT, RAW; a
 * HUGETLB VMA has no others.
 *
 * New pages hold zeroes, or what the object's pager gives, or nothing at all
 * on a machine with TABLES_ONLY or CONTENTS_IGNORED, which asks no pager.
 *
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (no VMA holds the range, level or kind does
 *          not fit it, no such swap slot, or a device's, the object has a page
 *          of another size there), -ASPEN_EEXIST (an entry is there),
 *          -ASPEN_EFBIG (beyond the end of the object), -ASPEN_ENOMEM,
 *          -ASPEN_ESRCH (private, and the space was killed and is reaped:
 *          aspen/calls/oom.h), -ASPEN_EINTR (a fatal signal, while what is
 *          read of an object is old each time it is there), any error of the
 *          pager, unchanged. On error the
 *          first *done entries are mapped.
 */
ASPEN_MUST_USE int aspen_import_pages(struct aspen_mm *mm,
                                      const struct aspen_import_pages *pages,
                                      uint64_t *done);

#ifdef __cplusplus
}
#endif

#endif
