/* SPDX-License-Identifier: MIT */
/*
 * fault/file.c - pages of an object: files, shared memory.
 *
 *              read                    write
 *   private    the object's page,      a copy of it
 *              read-only
 *   shared     the object's page,      the object's page, dirty
 *              read-only
 *
 * A page of the cache is found under the lock of the VMA. One that has to be
 * made or read is fetched without any lock, pinned together with its object,
 * and used only if the VMA still wants that very page.
 *
 * Called by fault.c. The first test to break is tests/unit/test_fault.c.
 */
#include "fault/fault.h"

#include "space/object.h"

static bool
has_page(const struct aspen_fault *fault, uint64_t offset)
{
    return fault->page != ASPEN_NO_FRAME &&
           fault->page_object == fault->vma->object &&
           fault->page_offset == offset;
}

static void
drop_page(struct aspen_fault *fault)
{
    if (fault->page != ASPEN_NO_FRAME)
        aspen_frame_put(fault->aspen, fault->page);
    fault->page = ASPEN_NO_FRAME;
}

/* Does making the page mean to wait for somebody? */
static bool
has_to_wait(const struct aspen_object *object)
{
    return object->pager && object->pager->read &&
           !object->aspen->config.contents_ignored;
}

/* Hold the page that the VMA wants: 0, ASPEN_FAULT_PAGE or an error. */
static int
hold_page(struct aspen_fault *fault)
{
    struct aspen_object *object = fault->vma->object;
    uint64_t offset = aspen_vma_offset(fault->vma, fault->address);

    if (has_page(fault, offset))
        return 0;
    drop_page(fault);
    fault->page_object = object;
    fault->page_offset = offset;
    int error = aspen_object_find_page(object, offset, &fault->page);
    if (!error && aspen_frame_order(fault->aspen, fault->page) > 0) {
        drop_page(fault);
        return -ASPEN_EOPNOTSUPP;
    }
    if (!error)
        return 0;
    fault->page = ASPEN_NO_FRAME;
    if (fault->nowait && has_to_wait(object))
        return -ASPEN_EAGAIN;
    if (fault->wanted != object) {
        ASPEN_ASSERT(!fault->wanted);
        aspen_object_get(object);
        fault->wanted = object;
    }
    return ASPEN_FAULT_PAGE;
}

int
aspen_fault_fetch(struct aspen_fault *fault)
{
    int error;

    if (fault->pinned)
        aspen_object_put(fault->pinned);
    fault->pinned = fault->wanted;
    fault->wanted = NULL;
    error =
        aspen_object_get_page(fault->pinned, fault->page_offset, &fault->page);
    if (error)
        fault->page = ASPEN_NO_FRAME;
    return error;
}

static int
map_shared(struct aspen_fault *fault)
{
    struct aspen_frame *frame = &fault->aspen->frames[fault->page];
    unsigned bits = aspen_fault_bits(fault);
    bool done;

    if (aspen_fault_is_write(fault)) {
        bits |= ASPEN_ENTRY_WRITE | ASPEN_ENTRY_DIRTY;
        aspen_fetch_or(&frame->index, ASPEN_FRAME_DIRTY);
    }
    int error = aspen_fault_map(
        fault, aspen_entry_make_leaf(fault->page, 0, bits), &done);
    if (!done)
        return error;
    aspen_mm_rss_add(fault->mm, aspen_rss_of(frame), 1);
    fault->page = ASPEN_NO_FRAME; /* the entry's now */
    return 0;
}

static int
map_copy(struct aspen_fault *fault)
{
    uint32_t frame;

    int error = aspen_fault_new_page(fault, fault->page, &frame);
    if (error)
        return error;
    return aspen_fault_map_private(fault, frame);
}

int
aspen_fault_object(struct aspen_fault *fault)
{
    bool copy = aspen_fault_wants_own(fault);
    int error = 0;

    if (copy)
        error = aspen_fault_may_own(fault);
    if (!error)
        error = hold_page(fault);
    if (!error)
        error = copy ? map_copy(fault) : map_shared(fault);
    return error;
}
