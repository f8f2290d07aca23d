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

/*
 * The page at `offset`: *frame with one more reference. find: -ASPEN_ENOENT
 * when it is not cached. get: finds it or makes it, through the pager; 0,
 * -ASPEN_ENOMEM, -ASPEN_EFBIG (beyond the end), or the pager's error.
 */
ASPEN_MUST_USE int aspen_object_find_page(struct aspen_object *object,
                                          uint64_t offset, uint32_t *frame);
ASPEN_MUST_USE int aspen_object_get_page(struct aspen_object *object,
                                         uint64_t offset, uint32_t *frame);

/* Enter a frame (type KERNEL, order may be > 0) as the page at `offset`: its
 * type becomes OBJECT, the cache takes one reference. 0, -ASPEN_EEXIST,
 * -ASPEN_ENOMEM. */
ASPEN_MUST_USE int aspen_object_add_page(struct aspen_object *object,
                                         uint64_t offset, uint32_t frame);

#endif
