/* SPDX-License-Identifier: MIT */
/*
 * space/object.h - objects from the inside: i_mmap and page cache.
 */
#ifndef ASPEN_SPACE_OBJECT_H
#define ASPEN_SPACE_OBJECT_H

#include "space/vma.h"

/* Enter a VMA into its object's i_mmap, after `parent` (the VMA it was forked
 * from, or NULL), and leave it. Take and drop the i_mmap lock. */
void aspen_object_link(struct aspen_vma *vma, struct aspen_vma *parent);
void aspen_object_unlink(struct aspen_vma *vma);

/* Around a change of range or pgoff: remove leaves the i_mmap lock held, so
 * that no walker misses the VMA meanwhile; insert puts it back and unlocks. */
void aspen_object_link_remove(struct aspen_vma *vma);
void aspen_object_link_insert(struct aspen_vma *vma);

/*
 * The page at `offset`: *frame with one more reference.
 *
 * find: any page that is cached; of a block of pages the block's first frame.
 *       0, or -ASPEN_ENOENT.
 * get:  finds it or makes it, zeroed, then filled by the pager. 0, or
 *       -ASPEN_EFBIG (beyond the end), -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP (a
 *       block of pages; frames have no memory behind them), -ASPEN_EINVAL
 *       (the object has no page cache), the pager's error.
 *
 * Context: get may sleep, no lock inside the mmap and VMA locks is held.
 */
ASPEN_MUST_USE int aspen_object_find_page(struct aspen_object *object,
                                          uint64_t offset, uint32_t *frame);
ASPEN_MUST_USE int aspen_object_get_page(struct aspen_object *object,
                                         uint64_t offset, uint32_t *frame);

/*
 * Enter a block of 2^order frames (type KERNEL, the caller's alone) as the
 * pages from `offset` on, which is aligned to it: its type becomes OBJECT, the
 * cache takes one reference. 0, -ASPEN_EEXIST (one of the pages is there),
 * -ASPEN_ENOMEM; then the block is as it was.
 */
ASPEN_MUST_USE int aspen_object_add_page(struct aspen_object *object,
                                         uint64_t offset, unsigned order,
                                         uint32_t frame);

/* Pages of the object now, the last one perhaps in part. */
uint64_t aspen_object_pages(const struct aspen_object *object);

/*
 * The object that owns a page, with a reference; NULL when the page is no
 * object's any more. Context: the caller holds a reference on the frame; any
 * lock; RCU inside. Giving the reference back may be the object's last:
 * aspen_object_put().
 */
struct aspen_object *aspen_object_of_frame(struct aspen_frame *frame);

#endif
