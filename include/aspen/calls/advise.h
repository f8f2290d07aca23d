/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/advise.h - advice about memory: what it is for, and what of it is
 * not needed any more.
 */
#ifndef ASPEN_ADVISE_H
#define ASPEN_ADVISE_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Linux's numbers. docs/use/semantics.md says what each does. */
enum aspen_advice {
    ASPEN_MADV_NORMAL = 0,
    ASPEN_MADV_RANDOM = 1,
    ASPEN_MADV_SEQUENTIAL = 2,
    ASPEN_MADV_WILLNEED = 3,
    ASPEN_MADV_DONTNEED = 4,
    ASPEN_MADV_FREE = 8,
    ASPEN_MADV_REMOVE = 9,
    ASPEN_MADV_DONTFORK = 10,
    ASPEN_MADV_DOFORK = 11,
    ASPEN_MADV_MERGEABLE = 12,
    ASPEN_MADV_UNMERGEABLE = 13,
    ASPEN_MADV_HUGEPAGE = 14,
    ASPEN_MADV_NOHUGEPAGE = 15,
    ASPEN_MADV_DONTDUMP = 16,
    ASPEN_MADV_DODUMP = 17,
    ASPEN_MADV_WIPEONFORK = 18,
    ASPEN_MADV_KEEPONFORK = 19,
    ASPEN_MADV_COLD = 20,
    ASPEN_MADV_PAGEOUT = 21,
    ASPEN_MADV_POPULATE_READ = 22,
    ASPEN_MADV_POPULATE_WRITE = 23,
    ASPEN_MADV_DONTNEED_LOCKED = 24,
    ASPEN_MADV_COLLAPSE = 25,
    ASPEN_MADV_HWPOISON = 100,
    ASPEN_MADV_SOFT_OFFLINE = 101,
    ASPEN_MADV_GUARD_INSTALL = 102,
    ASPEN_MADV_GUARD_REMOVE = 103
};

/**
 * Give advice about a range. Everything that is mapped in it is advised; if
 * there are holes the answer is -ASPEN_ENOMEM afterwards.
 *
 * Advice that sets flags, and GUARD_INSTALL, is atomic: everything that is
 * mapped is advised, or nothing has changed. All other advice is progressive:
 * if a mapping refuses it, those below are advised.
 *
 * PAGEOUT takes pages of files out of the page cache, which a later access can
 * tell from whether it waits: who asks for it should be allowed to write the
 * file, or the mapping be private memory. That is the embedder's to look at.
 *
 * Units:   bytes; the length is rounded up to pages, and may be 0.
 * Context: may sleep; no lock of the core is held. Takes the mmap lock: for
 *          writing when flags change; else for reading, or only a VMA's lock.
 *          It may free frames while others hold the mmap lock for reading: on
 *          a port that follows page tables in software, the TLB flush has to
 *          wait for accesses under way, as hardware does.
 * Returns: 0, or -ASPEN_EINVAL (not aligned; the range wraps; advice that is
 *          unknown to the machine's release or refused by the kind of mapping;
 *          HWPOISON and SOFT_OFFLINE always; COLLAPSE of anything that is
 *          mapped: no huge page can be made yet),
 *          -ASPEN_ENOMEM (a hole; POPULATE_*: no memory), -ASPEN_EPERM (what
 *          would discard sealed, read-only memory), -ASPEN_EACCES (REMOVE of
 *          memory that is not shared and writable), -ASPEN_EAGAIN (flags: no
 *          memory, or too many mappings), -ASPEN_EOPNOTSUPP (an edge inside a
 *          huge page; REMOVE: the object cannot), -ASPEN_EINTR;
 *          GUARD_INSTALL: -ASPEN_ENOMEM; POPULATE_*: as aspen_populate();
 *          REMOVE: as aspen_object_punch(), and -ASPEN_EINVAL (offsets of the
 *          object from 2^63 on) or -ASPEN_EFBIG (such inside of the range); an
 *          error of an object's open hook.
 * Source:  madvise(2).
 */
ASPEN_MUST_USE int aspen_madvise(struct aspen_mm *mm, uint64_t address,
                                 uint64_t length_bytes,
                                 enum aspen_advice advice);

struct aspen_advise_range {
    uint64_t address;
    uint64_t length_bytes;
};

#define ASPEN_ADVISE_RANGES_MAX 1024u

/** The space is another one than the calling thread's. */
#define ASPEN_ADVISE_REMOTE 1u

/**
 * Give advice about several ranges, one after the other, as
 * process_madvise(2) does. Another space (REMOTE) takes only advice that
 * destroys nothing: WILLNEED, COLD, PAGEOUT, COLLAPSE. Before release 6.18 this
 * holds for any space.
 *
 * Context: as aspen_madvise().
 * Returns: 0 and *done: the bytes of the ranges that were advised as a whole, 0
 *          if there are none in any of them, whatever the advice of one's own
 *          space. At the most 0x7ffff000: what is more is left out;
 *          the first error if that is none, or -ASPEN_EINVAL (too many ranges,
 *          a length from 2^63 on, another advice, an unknown flag),
 *          -ASPEN_EFAULT (a range that is not within what calls may name; then
 *          none is advised).
 */
ASPEN_MUST_USE int
aspen_process_madvise(struct aspen_mm *mm,
                      const struct aspen_advise_range *ranges, unsigned count,
                      enum aspen_advice advice, unsigned flags, uint64_t *done);

/** What a forked child gets of a mapping: minherit(2) of the BSDs. */
enum aspen_inherit {
    ASPEN_INHERIT_SHARE = 0,    /* the same memory */
    ASPEN_INHERIT_COPY = 1,     /* what it holds, by copy on write; the default
                                   of private memory */
    ASPEN_INHERIT_NONE = 2,     /* nothing: it is not mapped there */
    ASPEN_INHERIT_ZERO = 3,     /* zeroes */
    ASPEN_INHERIT_COPY_NOW = 4, /* Aspen's: as COPY, but each page that is in
                                   memory is copied by the fork, so nobody
                                   faults afterwards: a stack that runs */
};

/**
 * Say what a child gets of a range. The first four have FreeBSD's numbers. NONE
 * is the flag DONTCOPY, ZERO is WIPEONFORK, COPY_NOW is COPYONFORK; each takes
 * the other two away, and COPY and SHARE take all three: what is mapped shared
 * is shared by fork, what is private is copied. So SHARE is for shared mappings
 * and COPY for private ones, and neither turns one into the other. A child
 * inherits the flag.
 *
 * Holes are passed over. What is in swap when the fork comes is not read for
 * COPY_NOW: it stays shared there, and is copied when it is written.
 *
 * Units:   bytes; the range is widened to pages. Length 0 is nothing.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (an unknown value; the range wraps, or is not
 *          within user space), -ASPEN_EACCES (a value that the mapping cannot
 *          have: COPY or COPY_NOW of a shared one, SHARE of a private one, ZERO
 *          of one that has an object or is shared, anything but NONE of a
 *          device's), -ASPEN_EPERM (NONE or ZERO of sealed memory that may not
 *          be written, as by the advice), -ASPEN_EAGAIN (no memory, or too many
 *          mappings), -ASPEN_EOPNOTSUPP (an edge inside a huge page),
 *          -ASPEN_EINTR, or the error of an object's open hook.
 *          On error the address space is as it was.
 * Source:  minherit(2) of FreeBSD.
 */
ASPEN_MUST_USE int aspen_minherit(struct aspen_mm *mm, uint64_t address,
                                  uint64_t length_bytes,
                                  enum aspen_inherit inherit);

#ifdef __cplusplus
}
#endif

#endif
