/* SPDX-License-Identifier: MIT */
/**
 * aspen/object.h - what can be mapped: files, shared memory, devices.
 */
#ifndef ASPEN_OBJECT_H
#define ASPEN_OBJECT_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;
struct aspen_mm;
struct aspen_object;
struct aspen_vma;

enum aspen_object_kind {
    ASPEN_OBJECT_FILE,   /* pages come from the pager, kept in a cache */
    ASPEN_OBJECT_SHMEM,  /* pages start as zeroes; counted as shmem; may go
                            to swap (aspen/calls/reclaim.h) */
    ASPEN_OBJECT_DEVICE, /* raw frames, no cache */
    ASPEN_OBJECT_HUGETLB /* huge pages; imported only */
};

/** How huge pages bear on where its mappings go; see docs/use/semantics.md. */
enum aspen_placement {
    ASPEN_PLACEMENT_PLAIN,      /* not at all */
    ASPEN_PLACEMENT_HUGE,       /* aligned when larger than one: files of ext4,
                                   xfs and others with large pages */
    ASPEN_PLACEMENT_SHMEM_HUGE, /* shared memory that may have huge pages */
};

/** Instead of a raw frame: the page of the object's own cache, as for a file;
 * the number means nothing. No other page comes along with it. */
#define ASPEN_DEVICE_FRAME_CACHED 1u
/** Writable without asking mkwrite first. */
#define ASPEN_DEVICE_FRAME_WRITABLE 2u
#define ASPEN_DEVICE_FRAME_FLAGS    3u /* all that there are */

/** What a device's fault hook answers with. An unknown flag fails the access
 * with -ASPEN_EINVAL. */
struct aspen_device_frame {
    uint64_t number; /* a raw frame: no frame of the machine; 0: none, or the
                        hook has put one in by aspen_insert_raw() */
    unsigned flags;  /* ASPEN_DEVICE_FRAME_*, ORed */
};

/**
 * How an object gets its pages and follows its mappings. Any of them may be
 * NULL. Each returns 0 or a negative errno. The call or fault that led to the
 * hook answers with that error, unchanged, and loses nothing. (-ASPEN_EFBIG
 * says that there is no such page, as beyond the end: copies and pins answer
 * EFAULT.)
 *
 * "Object I/O" as a context: may sleep; no lock of the core is held but the
 * object's size lock, for reading, so nobody resizes or punches this
 * object meanwhile, and the hook must not, nor touch an address space. Hooks
 * may be called for several pages at once by several tasks. `offset_bytes` is
 * page aligned wherever it names a page.
 */
struct aspen_pager_ops {
    /**
     * Fill `page` (4096 bytes, zeroed before) from `offset_bytes` on.
     * Context: may sleep; no lock of the core is held, but for
     * aspen_import_pages() the space's mmap lock. When the object is resized or
     * punched meanwhile, what was read is thrown away. Whoever needs the page
     * waits until this has ended, so the hook itself must not need it; nobody
     * asks for it twice at once.
     */
    int (*read)(void *context, uint64_t offset_bytes, void *page);
    /**
     * Fill `count` pages (each zeroed before) from `offset_bytes` on, all
     * inside the object's size. After an error none of them is used, and read
     * is asked for the one page that is needed. Without this hook there is no
     * reading ahead.
     * Context: as read.
     */
    int (*readahead)(void *context, uint64_t offset_bytes, void *const pages[],
                     unsigned count);
    /**
     * Write `length_bytes` from `offset_bytes` on, which lie in the pages one
     * after the other; only the last may be in part, where the object ends.
     * After an error all of them are dirty again. An object with this hook is
     * written back: its pages are write-protected while clean. Reclaim calls
     * it, too: it must not need a page of memory.
     * Context: object I/O; one call at a time for an object. For the last
     * reference's final writing, too: then also as `release`.
     */
    int (*write)(void *context, uint64_t offset_bytes,
                 const void *const pages[], uint64_t length_bytes);
    /**
     * The page at `offset_bytes`, clean, is about to be written through a
     * shared mapping. It may wait, or refuse. After a 0 the page is dirty,
     * whether or not the write then comes. An object with this hook has its
     * pages write-protected while clean. Context: object I/O, and the page is
     * locked.
     */
    int (*mkwrite)(void *context, uint64_t offset_bytes);
    /**
     * The size is about to become `size_bytes`. Asked first: after an error
     * nothing has changed.
     * Context: may sleep; the object's size lock is held for writing.
     */
    int (*resize)(void *context, uint64_t size_bytes);
    /**
     * These bytes are about to read as zeroes, and their space may be given
     * up. Asked first: after an error nothing has changed. An object with
     * `read` and without this hook cannot be punched.
     * Context: may sleep; the object's size lock is held for writing.
     */
    int (*punch)(void *context, uint64_t offset_bytes, uint64_t length_bytes);
    /**
     * Of a device: what is behind the page at `offset_bytes`? `access` is
     * ASPEN_ACCESS_*. What it says holds until aspen_object_unmap() takes it
     * back. Context: may sleep; no lock of the core is held.
     */
    int (*fault)(void *context, uint64_t offset_bytes, unsigned access,
                 struct aspen_device_frame *frame);
    /**
     * Kept as a place: a fault that a block of 2^order pages could meet. Never
     * called yet.
     */
    int (*huge_fault)(void *context, uint64_t offset_bytes, unsigned order,
                      unsigned access, struct aspen_device_frame *frame);
    /**
     * A mapping of the object is about to appear, by mmap, fork or because
     * munmap splits one (not when a mapping grows by a merge). May
     * refuse with a negative errno, which the call passes through. After a 0
     * the mapping will exist, and close follows when it goes. aspen/vma.h says
     * what it is; flags by which it is locked may go again in a forked child.
     * Context: the mmap lock (fork: both) is held for writing.
     */
    int (*open)(void *context, struct aspen_vma *vma);
    /** A mapping goes; what it is can still be read (aspen/vma.h). Context: the
     * mmap lock (fork: both) is held for writing. */
    void (*close)(void *context, struct aspen_vma *vma);
    /**
     * May the mapping be split at `address`? Asked when a call checks, before
     * anything has changed.
     * Context: the mmap lock is held.
     */
    int (*may_split)(void *context, const struct aspen_vma *vma,
                     uint64_t address);
    /**
     * May whoever runs in `mm` know which pages the cache has? If not,
     * aspen_mincore() answers that all of the object's mappings are resident.
     * Without this hook everybody may. Linux lets know who owns the file, who
     * could write to it, and CAP_FOWNER.
     * Context: the mmap lock is held for reading.
     */
    bool (*may_see_cache)(void *context, const struct aspen_mm *mm);
    /**
     * The last reference is gone. Context: may sleep; the mmap lock of a
     * space that is being unmapped may be held for writing.
     */
    void (*release)(void *context);
};

/** SHMEM: its size is charged while it lives. */
#define ASPEN_OBJECT_CHARGED 1u
/** SHMEM that no file system has a link to (shared without a file, memfd): its
 * mappings may have names. */
#define ASPEN_OBJECT_ANONYMOUS 2u
/** A FILE without a pager, as /dev/zero: its mappings are anonymous memory,
 * which goes by the object's name and has its page offsets until it moves. They
 * are private, also where SHARED is asked for without MAYWRITE (open for
 * reading only); with it: who wants shared zeroes maps no object. */
#define ASPEN_OBJECT_ZEROES 4u
/** Its driver has its own idea of where it is mapped: mremap does not move its
 * mappings together with others. On Linux so are System V's segments, and
 * files with a get_unmapped_area of their own. Not HUGETLB; ZEROES are so
 * anyway. */
#define ASPEN_OBJECT_MOVES_ALONE 8u
#define ASPEN_OBJECT_FLAGS       15u /* all that there are */

struct aspen_object_args {
    enum aspen_object_kind kind;
    uint64_t device; /* major << 32 | minor; with inode: who it is, for
                        maps and dumps */
    uint64_t inode;
    uint64_t size_bytes;
    const char *name; /* kept by the caller while the object lives; or NULL */
    const struct aspen_pager_ops *pager; /* or NULL: pages start as zeroes */
    void *context;                       /* handed to the pager */
    enum aspen_placement placement;
    unsigned flags; /* ASPEN_OBJECT_*, ORed */
};

/**
 * Make an object with one reference: the caller's.
 * Context: may sleep; no lock of the core is held.
 * Returns: 0 and *object, or -ASPEN_EINVAL (unknown kind or flag; a
 *          flag that is not the kind's; ZEROES with a pager), -ASPEN_ENOMEM
 *          (no memory, or the charge is refused), -ASPEN_EINTR (a fatal signal,
 *          after pages have left memory for it).
 */
ASPEN_MUST_USE int aspen_object_create(struct aspen *aspen,
                                       const struct aspen_object_args *args,
                                       struct aspen_object **object);

/** One more reference; the caller has one, or has a mapping that keeps the
 * object. Context: any. Cannot fail. */
void aspen_object_get(struct aspen_object *object);

/**
 * The last reference writes back what is dirty (whoever wants to hear of
 * errors calls aspen_object_sync() before), then frees the page cache and the
 * object.
 * Context: may sleep if the pager's hooks do; no lock inside the mmap lock is
 * held.
 */
void aspen_object_put(struct aspen_object *object);

/** The size now. */
uint64_t aspen_object_size(const struct aspen_object *object);

/**
 * Set the size. What lies beyond is unmapped, private copies included, and
 * dropped; faults there answer -ASPEN_EFBIG, also those under way. What remains
 * of the last page is zeroed from the new end on. What mappings wrote beyond
 * the end of a file is zeroed when it grows.
 *
 * Units:   bytes.
 * Context: may sleep; no lock of the core is held, no hook of this object is
 *          running. Takes the object's size lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (the object has no page cache), -ASPEN_EFBIG (no
 *          offset is that large), -ASPEN_ENOMEM (no memory, or the charge of a
 *          charged object is refused), -ASPEN_EOPNOTSUPP (blocks of pages, a
 *          huge page that would have to be split, or frames without memory),
 *          -ASPEN_EINTR (as aspen_object_create()), the resize hook's error, or
 *          a swap device's: a page that is zeroed in part could not be read.
 *          On error nothing has changed.
 * Source:  ftruncate(2); Linux v6.12 truncate_pagecache(), shmem_setattr().
 */
ASPEN_MUST_USE int aspen_object_resize(struct aspen_object *object,
                                       uint64_t size_bytes);

/**
 * Make a hole: the bytes read as zeroes from now on. Whole pages are unmapped
 * and dropped; private copies stay what they are. The size does not change; a
 * hole beyond it has no effect.
 *
 * Units, context: as aspen_object_resize().
 * Returns: 0, or -ASPEN_EINVAL (length 0, or no page cache), -ASPEN_EFBIG
 *          (the end is beyond any offset), -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP
 *          (the pager has no punch hook; blocks of pages; a huge page that
 *          would have to be split; frames without memory), -ASPEN_EINTR (as
 *          aspen_object_create()), or the error of the punch hook or of a swap
 *          device, as there.
 *          On error nothing has changed.
 * Source:  fallocate(2) PUNCH_HOLE | KEEP_SIZE; madvise(2) MADV_REMOVE.
 */
ASPEN_MUST_USE int aspen_object_punch(struct aspen_object *object,
                                      uint64_t offset_bytes,
                                      uint64_t length_bytes);

/**
 * Write back what is dirty in the range. It write-protects every mapping first,
 * so that it misses no write. Progressive: after an error it still tries the
 * rest, and pages that could not be written stay dirty.
 *
 * Units:   bytes; pages that lie in the range in part are written as a whole.
 * Context: may sleep; no lock of the core is held, no hook of this object is
 *          running.
 * Returns: 0 (also: nothing is dirty, or no write hook), or the first error of
 *          the write hook; if there is none the last one that reclaim met since
 *          the call before.
 * Source:  fsync(2), sync_file_range(2).
 */
ASPEN_MUST_USE int aspen_object_sync(struct aspen_object *object,
                                     uint64_t offset_bytes,
                                     uint64_t length_bytes);

/**
 * Errors of writing back are kept in the object: whoever wrote, reclaim as
 * well, each is answered by the next aspen_object_sync() or aspen_msync(),
 * once. Who has several that each have to hear of it, as open files have to,
 * keeps a word for each: what it was when the file was opened, by a call whose
 * answer is dropped, with *seen = 0.
 *
 * Context: may sleep, while the object is written back; no lock of the core is
 * held, no hook of this object is running.
 * Returns: 0, or the last error of the write hook since *seen, which becomes
 *          now.
 * Source:  Linux's errseq_t.
 */
ASPEN_MUST_USE int aspen_object_error(struct aspen_object *object,
                                      uint32_t *seen);

/**
 * Make the page cache smaller, as posix_fadvise(POSIX_FADV_DONTNEED): of a FILE
 * whose pager has `read`, the pages that lie in the range as a whole (the last
 * one of the object if the range reaches its end) go, if they are clean and
 * nobody maps or holds them: no pin, no copy, no writing back under way. All
 * others stay, and so do pages of other objects, which could not be read again.
 * Nobody can tell but by aspen_mincore() and by the pager's being asked. Who
 * wants dirty pages to go calls aspen_object_sync() before.
 *
 * Progressive: *dropped says how many pages went, also before an error.
 *
 * Units:   bytes.
 * Context: may sleep; no lock of the core is held, no hook of this object is
 *          running. Takes the object's size lock for writing, again and again.
 * Returns: 0 (also: nothing went), -ASPEN_EINVAL (no page cache),
 *          -ASPEN_ENOMEM (the cache's tree needs memory to forget a page).
 * Source:  posix_fadvise(2), POSIX_FADV_DONTNEED.
 */
ASPEN_MUST_USE int aspen_object_drop(struct aspen_object *object,
                                     uint64_t offset_bytes,
                                     uint64_t length_bytes, uint64_t *dropped);

/**
 * Bytes of the object, through its page cache, as by read(2) and write(2):
 * mappings see what is written. Both end at the size; a write does not make the
 * object longer. Progressive: *done says how much was copied before an error.
 *
 * Units:   bytes.
 * Context: may sleep; no lock of the core is held, no hook of this object is
 *          running.
 * Returns: 0, or -ASPEN_EINVAL (no page cache), -ASPEN_ENOMEM, -ASPEN_EINTR (a
 *          fatal signal, before the next page or another try),
 *          -ASPEN_EOPNOTSUPP (blocks of pages, frames without memory), or the
 *          error of the hooks read or mkwrite, or of a swap device.
 */
ASPEN_MUST_USE int aspen_object_read(struct aspen_object *object,
                                     uint64_t offset_bytes, void *buffer,
                                     uint64_t length_bytes, uint64_t *done);
ASPEN_MUST_USE int aspen_object_write(struct aspen_object *object,
                                      uint64_t offset_bytes, const void *buffer,
                                      uint64_t length_bytes, uint64_t *done);

/**
 * How many shared mappings could be written to now, or could become writable
 * (their flags have SHARED and MAYWRITE), in all spaces; those that a call is
 * making count as well. A snapshot. Context: any.
 * Source:  Linux's i_mmap_writable.
 */
uint64_t aspen_object_writable_mappings(const struct aspen_object *object);

/**
 * No such mappings from now on: for who seals an object against writing. deny:
 * only if there are none, and nobody holds a page of it (a pin, a copy or a
 * fault under way); then a call that would make the first is refused with
 * -ASPEN_EPERM. Mappings without MAYWRITE, private ones, and
 * aspen_object_write(), which the embedder refuses by itself, go on. allow
 * takes one deny back; there may be several.
 *
 * Context: any lock of the core's may be held but those of objects.
 * Returns: deny: 0, or -ASPEN_EBUSY with nothing changed: there is a mapping,
 *          or a page is held, perhaps for a moment. allow: 0, or
 *          -ASPEN_EINVAL: it is not denied.
 * Source:  memfd_create(2), F_SEAL_WRITE; Linux v6.12 mapping_deny_writable(),
 *          memfd_wait_for_pins().
 */
ASPEN_MUST_USE int aspen_object_deny_writable(struct aspen_object *object);
ASPEN_MUST_USE int aspen_object_allow_writable(struct aspen_object *object);

/** Private copies, too. */
#define ASPEN_OBJECT_UNMAP_COPIES 1u

/**
 * Take the range out of all mappings: the next access faults. With COPIES it
 * drops private copies, too, and what was written there.
 *
 * Units:   bytes; whole pages, whatever the range touches.
 * Context: may sleep; no lock of the core is held.
 * Returns: 0; or with nothing changed -ASPEN_EOPNOTSUPP (a huge page would have
 *          to be split), -ASPEN_EINVAL (an unknown flag; that of a HUGETLB
 *          mapping). With known flags it cannot fail where all mappings have
 *          pages of 4096 bytes.
 * Source:  Linux's unmap_mapping_range(), for drivers that take memory back.
 */
ASPEN_MUST_USE int aspen_object_unmap(struct aspen_object *object,
                                      uint64_t offset_bytes,
                                      uint64_t length_bytes, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
