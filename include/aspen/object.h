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
struct aspen_object;
struct aspen_vma;

enum aspen_object_kind {
    ASPEN_OBJECT_FILE,   /* pages come from the pager, kept in a cache */
    ASPEN_OBJECT_SHMEM,  /* pages start as zeroes; counted as shmem */
    ASPEN_OBJECT_DEVICE, /* raw frames, no cache */
    ASPEN_OBJECT_HUGETLB /* huge pages; imported only */
};

/** How huge pages bear on where its mappings go; see docs/semantics.md. */
enum aspen_placement {
    ASPEN_PLACEMENT_PLAIN,      /* not at all */
    ASPEN_PLACEMENT_HUGE,       /* aligned when larger than one: files of ext4,
                                   xfs and others with large pages */
    ASPEN_PLACEMENT_SHMEM_HUGE, /* shared memory that may have huge pages */
};

/** How an object gets its pages and follows its mappings. */
struct aspen_pager_ops {
    /**
     * Fill `page` (4096 bytes, zeroed before) with page `pgoff`.
     * Context: may sleep; no lock of the core is held.
     * Returns: 0, or a negative errno that the fault passes through.
     */
    int (*read)(void *context, uint64_t pgoff, void *page);
    /**
     * A mapping of the object is about to appear, by mmap, fork or because
     * munmap splits one (not when a mapping grows by a merge). May
     * refuse with a negative errno, which the call passes through. After a 0
     * the mapping will exist, and close follows when it goes.
     * Context: the mmap lock (fork: both) is held for writing.
     */
    int (*open)(void *context, struct aspen_vma *vma);
    /** A mapping goes. Context: the mmap lock is held for writing. */
    void (*close)(void *context, struct aspen_vma *vma);
    /**
     * The last reference is gone. Context: may sleep; the mmap lock of a
     * space that is being unmapped may be held for writing.
     */
    void (*release)(void *context);
};

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
};

/**
 * Make an object with one reference: the caller's.
 * Context: may sleep.
 * Returns: 0 and *object, or -ASPEN_EINVAL (unknown kind), -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_object_create(struct aspen *aspen,
                                       const struct aspen_object_args *args,
                                       struct aspen_object **object);

void aspen_object_get(struct aspen_object *object);

/**
 * The last reference frees the page cache, then the object.
 * Context: may sleep if the pager's release hook does; no lock inside the mmap
 * lock is held.
 */
void aspen_object_put(struct aspen_object *object);

#ifdef __cplusplus
}
#endif

#endif
