/* SPDX-License-Identifier: MIT */
/*
 * calls/msync.c - msync: mapping by mapping, each object without locks.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/object/test_writeback.c.
 */
#include <aspen/calls/sync.h>

#include "object/object.h"

/* What nobody can write to, Linux does not call shared. */
#define WRITABLE (ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE)

struct msync {
    struct aspen_mm *mm;
    uint64_t at; /* all before it is done */
    uint64_t end;
    unsigned flags;
    bool hole; /* one was met */
    /* What the next round has to write, with a reference; or NULL. */
    struct aspen_object *object;
    uint64_t offset_bytes;
    uint64_t length_bytes;
};

/* The part of the range that lies in `vma`: 0 or -ASPEN_EBUSY. */
static int
pass_vma(struct msync *m, const struct aspen_vma *vma)
{
    uint64_t stop = aspen_min_u64(vma->end, m->end);

    if (m->flags & ASPEN_MS_INVALIDATE && vma->flags & ASPEN_VM_LOCKED)
        return -ASPEN_EBUSY;
    if (m->flags & ASPEN_MS_SYNC && vma->object &&
        (vma->flags & WRITABLE) == WRITABLE) {
        aspen_object_get(vma->object);
        m->object = vma->object;
        m->offset_bytes = aspen_vma_offset(vma, m->at) << ASPEN_PAGE_SHIFT;
        m->length_bytes = stop - m->at;
    }
    m->at = stop;
    return 0;
}

/* Up to the next object that has to be written; the mmap lock is held. */
static int
pass_vmas(struct msync *m)
{
    while (m->at < m->end && !m->object) {
        const struct aspen_vma *vma = aspen_vma_find(m->mm, m->at);
        if (!vma)
            return -ASPEN_ENOMEM;
        if (vma->start > m->at) {
            m->hole = true;
            if (m->flags == ASPEN_MS_ASYNC || vma->start >= m->end)
                return -ASPEN_ENOMEM;
            m->at = vma->start;
        }
        int error = pass_vma(m, vma);
        if (error)
            return error;
    }
    return 0;
}

/* As Linux, where drivers have no fsync: what has no cache cannot be synced. */
static int
sync_object(const struct msync *m)
{
    return m->object->kind == ASPEN_OBJECT_DEVICE
               ? -ASPEN_EINVAL
               : aspen_object_sync(m->object, m->offset_bytes, m->length_bytes);
}

static int
write_object(struct msync *m)
{
    if (!m->object)
        return 0;
    int error = sync_object(m);
    aspen_object_put(m->object);
    m->object = NULL;
    return error ? error : aspen_poll_fatal(m->mm->aspen);
}

static int
check(struct msync *m, uint64_t length_bytes)
{
    const unsigned both = ASPEN_MS_ASYNC | ASPEN_MS_SYNC;

    if (m->flags & ~(both | ASPEN_MS_INVALIDATE) ||
        !aspen_is_aligned(m->at, ASPEN_PAGE_SIZE) || (m->flags & both) == both)
        return -ASPEN_EINVAL;
    m->end = m->at + aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);
    return m->end < m->at ? -ASPEN_ENOMEM : 0;
}

int
aspen_msync(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
            unsigned flags)
{
    struct msync m = {.mm = mm, .at = address, .flags = flags};

    int error = check(&m, length_bytes);
    while (!error && m.at < m.end) {
        aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
        error = pass_vmas(&m);
        aspen_read_unlock(&mm->mmap_lock);
        if (!error)
            error = write_object(&m);
    }
    return !error && m.hole ? -ASPEN_ENOMEM : error;
}
