/* SPDX-License-Identifier: MIT */
/*
 * space/vma.c - VMAs: their memory, finding them, and the lock of each.
 *
 * The lock, and why a reader that holds only RCU may try it:
 *
 *   reader                               writer (mmap lock held for writing)
 *   r1  sequence == mm's? then no        w1  set WRITER in lock_readers
 *   r2  lock_readers + 1 unless WRITER   w2  wait until no reader is left
 *   r3  sequence == mm's? then undo      w3  sequence = mm's
 *   r4  still mm, start, end? else undo  w4  lock_readers = 0
 *                                        ... changes the VMA ...
 *                                        w5  mm's sequence + 1 (release)
 *
 * If r2 came before w1 the writer waits for the reader. If r2 came after w4 the
 * reader has seen w3, by the acquire in r2 and the release in w4: in r3 it
 * finds the sequences equal until w5; after w5 the acquire in r3 shows it
 * everything that the writer did. (If the writer skips w3, since it has locked
 * the VMA already, the same holds for the first time that it locked it.)
 *
 * Where a space has faults on several CPUs at once they would all write the one
 * lock_readers of a large VMA. So there (ASPEN_MM_CROWDED) a reader leaves
 * lock_readers alone and says in his CPU's part of the space which VMA he has;
 * it has room for one, and who finds it taken counts himself as above.
 *
 *   r2  part's reader = the VMA       |  w1  ... and a fence
 *       and a fence                   |  w2  ... until it is in no part
 *       WRITER? then undo             |
 *
 * Each has its fence between what it writes and what it then reads: either the
 * reader sees WRITER, or the writer sees the reader, and CROWDED, which the
 * reader has seen. The rest is as above: to see no WRITER after a w4 is to see
 * the w3 before it. A reader's part is the part of the space that he looks in,
 * and writers of another space do not look there; so
 *
 * I5  Before memory becomes a VMA of a space, whoever makes it waits until no
 *     part of that space names it: then `mm` is set. So a reader who finds his
 *     own space there has the VMA for good, or has found WRITER. (A part that
 *     names it since before it was freed elsewhere is seen: the fence of its w1
 *     came after the reader's.)
 *
 * Memory is type-stable, so a reader may try a VMA that was freed, and was
 * perhaps allocated again, since it read the tree:
 *
 * I1  A free VMA has WRITER set: r2 refuses, and nobody waits.
 * I2  A new VMA is locked for writing by the holder of its mm's mmap lock. A
 *     reader of the same mm is refused in r3 until that lock is dropped. A
 *     reader of another mm finds in r4 that `mm` differs; `mm` is set before
 *     WRITER is cleared.
 * I3  A VMA leaves the tree and is freed under one hold of the mmap lock, so
 *     a VMA that is whole and not locked for writing is in the tree.
 * I4  Once a VMA was handed out only atomic operations touch its lock_readers
 *     and lock_sequence.
 *
 * Called by everybody. The first test to break is
 * tests/unit/space/test_vma_steps.c.
 */
#include "space/vma.h"

#include "space/name.h"
#include "space/userfault.h"

/* Where a reader is: in no part, but counted. */
#define COUNTED ASPEN_MM_PARTS

#define WRITER ((uint32_t)1 << 31)

/* ---- Readers, as writers see them -------------------------------------- */

struct writer {
    const struct aspen_vma *vma;
    const struct aspen_mm *mm; /* whose parts may name it */
};

static bool
in_a_part(const struct writer *writer)
{
    if (!(aspen_load_relaxed(&writer->mm->flags) & ASPEN_MM_CROWDED))
        return false;
    for (unsigned i = 0; i < ASPEN_MM_PARTS; i++)
        if (aspen_load(&writer->mm->parts[i].reader) == writer->vma)
            return true;
    return false;
}

static bool
has_readers(const void *argument)
{
    const struct writer *writer = argument;

    return aspen_load(&writer->vma->lock_readers) != WRITER ||
           in_a_part(writer);
}

bool
aspen_vma_has_readers(const struct aspen_vma *vma)
{
    const struct writer writer = {vma, vma->mm};

    return aspen_load(&vma->lock_readers) & ~WRITER || in_a_part(&writer);
}

/* Memory that is no VMA yet has no other ones. */
static bool
has_stale_readers(const void *argument)
{
    return in_a_part(argument);
}

/* w1: keep new readers out. Are counted ones inside? */
static bool
close_lock(struct aspen_vma *vma)
{
    uint32_t before = aspen_fetch_or(&vma->lock_readers, WRITER);

    aspen_fence_after_atomic();
    return before != 0;
}

/* w2: let those inside finish. */
static void
wait_for_readers(struct aspen_vma *vma, bool counted)
{
    const struct writer writer = {vma, vma->mm};

    if (counted || in_a_part(&writer))
        aspen_port_wait_while(vma, has_readers, &writer);
}

/* ---- Memory ------------------------------------------------------------ */

ASPEN_STATIC_ASSERT(offsetof(struct aspen_vma, guarded) == 168 &&
                        sizeof(struct aspen_vma) == 176,
                    "every field is named in clear_fields()");

/* All but the two words of the lock (I4). One by one: compilers fill so few
 * bytes in a loop, which takes longer than all that follows. */
static void
clear_fields(struct aspen_vma *vma, struct aspen_mm *mm)
{
    vma->start = 0;
    vma->end = 0;
    aspen_store_relaxed(&vma->mm, mm); /* stale readers look */
    vma->flags = 0;
    vma->anon_vma = NULL;
    aspen_list_init(&vma->anon_chain);
    vma->object = NULL;
    vma->pgoff = 0;
    vma->i_mmap_node = (struct aspen_interval_node){0};
    vma->userfault = NULL;
    vma->name = NULL;
    vma->detached = NULL;
    vma->embedder = NULL;
    vma->special = NULL;
    vma->guarded = 0;
    vma->swap_window = 0;
}

/* Free memory, which has WRITER set (I1), for a VMA of the space: I5. */
static struct aspen_vma *
take_memory(struct aspen_mm *mm)
{
    struct aspen_vma *vma = aspen_cache_alloc(&mm->aspen->vma_cache);
    const struct writer writer = {vma, mm};

    if (vma && in_a_part(&writer))
        aspen_port_wait_while(vma, has_stale_readers, &writer);
    return vma;
}

/* It is what it will be: from here on stale readers may try it (I2). */
static void
open_lock(struct aspen_vma *vma)
{
    aspen_store_relaxed(&vma->lock_sequence,
                        aspen_load_relaxed(&vma->mm->lock_sequence));
    aspen_store(&vma->lock_readers, 0u);
}

struct aspen_vma *
aspen_vma_alloc(struct aspen_mm *mm)
{
    struct aspen_vma *vma = take_memory(mm);
    if (!vma)
        return NULL;
    clear_fields(vma, mm);
    open_lock(vma);
    return vma;
}

struct aspen_vma *
aspen_vma_copy(struct aspen_mm *mm, const struct aspen_vma *from)
{
    struct aspen_vma *vma = take_memory(mm);
    if (!vma)
        return NULL;
    clear_fields(vma, mm);
    vma->start = from->start;
    vma->end = from->end;
    vma->flags = from->flags;
    vma->object = from->object;
    vma->pgoff = from->pgoff;
    aspen_vma_set_userfault(vma, from->userfault);
    aspen_vma_set_name(vma, from->name);
    vma->embedder = from->embedder;
    aspen_vma_inherit_guards(vma, from);
    vma->special = from->special;
    open_lock(vma);
    return vma;
}

void
aspen_vma_set_name(struct aspen_vma *vma, struct aspen_name *name)
{
    struct aspen_name *old = vma->name;

    if (old == name)
        return;
    aspen_name_get(name);
    vma->name = name;
    aspen_name_put(vma->mm->aspen, old);
}

/* ---- The lock ---------------------------------------------------------- */

/* r2, in lock_readers. */
static bool
count_reader(struct aspen_vma *vma, struct aspen_mm *mm)
{
    uint32_t readers = aspen_load_relaxed(&vma->lock_readers);
    do {
        if (readers & WRITER)
            return false;
        if (readers > 0)
            aspen_mm_note_crowd(mm);
    } while (
        !aspen_compare_exchange(&vma->lock_readers, &readers, readers + 1));
    return true;
}

/* r2, in a part, if there is room: *where. */
static bool
enter_part(struct aspen_vma *vma, struct aspen_mm *mm, unsigned *where)
{
    unsigned part = aspen_mm_part();
    struct aspen_vma *nobody = NULL;

    if (aspen_load_relaxed(&mm->parts[part].reader) ||
        !aspen_compare_exchange(&mm->parts[part].reader, &nobody, vma))
        return false;
    aspen_fence_after_atomic();
    *where = part;
    return true;
}

static void
leave_reader(struct aspen_vma *vma, struct aspen_mm *mm, unsigned where)
{
    bool wake;

    if (where == COUNTED) {
        uint32_t before = aspen_fetch_sub(&vma->lock_readers, 1);
        ASPEN_ASSERT_TEST((before & ~WRITER) != 0);
        wake = before == WRITER + 1;
    } else {
        (void)aspen_exchange(&mm->parts[where].reader, NULL);
        aspen_fence_after_atomic();
        wake = aspen_load(&vma->lock_readers) & WRITER;
    }
    /* Type-stable memory: waking somebody else's key does no harm. */
    if (wake)
        aspen_port_wake_all(vma);
}

/* r2. False: WRITER was set. */
static bool
enter_reader(struct aspen_vma *vma, struct aspen_mm *mm, unsigned *where)
{
    *where = COUNTED;
    if (!(aspen_load(&mm->flags) & ASPEN_MM_CROWDED) ||
        !enter_part(vma, mm, where))
        return count_reader(vma, mm);
    if (!(aspen_load(&vma->lock_readers) & WRITER))
        return true;
    leave_reader(vma, mm, *where);
    return false;
}

static bool
write_locked(const struct aspen_vma *vma, const struct aspen_mm *mm)
{
    /* Acquire for both: restart_sequence() in mm.c unlocks through the VMA. */
    return aspen_load(&vma->lock_sequence) == aspen_load(&mm->lock_sequence);
}

/* r1 to r4 */
static bool
read_trylock_at(struct aspen_vma *vma, struct aspen_mm *mm, uint64_t address,
                unsigned *where)
{
    if (write_locked(vma, mm) || !enter_reader(vma, mm, where))
        return false;
    if (!write_locked(vma, mm) && aspen_load_relaxed(&vma->mm) == mm &&
        vma->start <= address && address < vma->end)
        return true;
    leave_reader(vma, mm, *where);
    return false;
}

void
aspen_vma_free(struct aspen_vma *vma)
{
    struct aspen_cache *cache = &vma->mm->aspen->vma_cache;

    ASPEN_ASSERT(aspen_list_is_empty(&vma->anon_chain));
    bool counted = close_lock(vma); /* for good: I1 */
    /* Where it is locked for writing nobody is in a part but who will find
     * that, or WRITER, or another mm (I5). */
    if (counted || aspen_load_relaxed(&vma->lock_sequence) !=
                       aspen_load_relaxed(&vma->mm->lock_sequence))
        wait_for_readers(vma, counted);
    aspen_vma_set_name(vma, NULL);
    aspen_vma_set_userfault(vma, NULL);
    aspen_store_relaxed(&vma->mm, NULL); /* stale readers look */
    aspen_cache_free(cache, vma);
}

void
aspen_vma_write_lock(struct aspen_vma *vma)
{
    uint32_t sequence = aspen_load_relaxed(&vma->mm->lock_sequence);

    ASPEN_ASSERT_TEST(aspen_lock_order_holds(&vma->mm->mmap_lock));
    aspen_lock_order_assert_outside(ASPEN_LOCK_FRAME);
    if (aspen_load_relaxed(&vma->lock_sequence) == sequence)
        return;
    wait_for_readers(vma, close_lock(vma));
    aspen_store_relaxed(&vma->lock_sequence, sequence);
    aspen_store(&vma->lock_readers, 0u);
}

int
aspen_vma_write_lock_killable(struct aspen_vma *vma)
{
    int error = aspen_poll_fatal(vma->mm->aspen);
    if (error)
        return error;
    /* Readers never wait for a writer of the mmap lock: not long. */
    aspen_vma_write_lock(vma);
    return 0;
}

struct aspen_vma *
aspen_vma_read_lock_at(struct aspen_mm *mm, uint64_t address, unsigned *where)
{
    aspen_port_rcu_read_lock();
    struct aspen_vma *vma = aspen_tree_load(&mm->vmas, address);
    if (vma && !read_trylock_at(vma, mm, address, where))
        vma = NULL;
    aspen_port_rcu_read_unlock();
    if (vma)
        aspen_lock_order_enter_try(ASPEN_LOCK_VMA, vma);
    return vma;
}

void
aspen_vma_read_unlock(struct aspen_vma *vma, unsigned where)
{
    aspen_lock_order_leave(vma);
    leave_reader(vma, vma->mm, where);
}

/* ---- Finding ----------------------------------------------------------- */

struct aspen_vma *
aspen_vma_at(struct aspen_mm *mm, uint64_t address)
{
    return aspen_tree_load(&mm->vmas, address);
}

struct aspen_vma *
aspen_vma_find(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_vma *vma =
        aspen_tree_find(&mm->vmas, address, mm->address_limit - 1, NULL);

    /* While fork builds it, what follows is the parent's still. */
    return vma && vma->mm == mm ? vma : NULL;
}

struct aspen_vma *
aspen_vma_next(const struct aspen_vma *vma)
{
    return aspen_vma_find(vma->mm, vma->end);
}

/* ---- What others are told ---------------------------------------------- */

void
aspen_mm_read_lock(struct aspen_mm *mm)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
}

void
aspen_mm_read_unlock(struct aspen_mm *mm)
{
    aspen_read_unlock(&mm->mmap_lock);
}

uint64_t
aspen_vma_start(const struct aspen_vma *vma)
{
    return vma->start;
}

uint64_t
aspen_vma_end(const struct aspen_vma *vma)
{
    return vma->end;
}

uint64_t
aspen_vma_flags(const struct aspen_vma *vma)
{
    return vma->flags;
}

struct aspen_object *
aspen_vma_object(const struct aspen_vma *vma)
{
    return vma->object;
}

uint64_t
aspen_vma_offset_bytes(const struct aspen_vma *vma)
{
    return vma->pgoff << ASPEN_PAGE_SHIFT;
}

struct aspen_mm *
aspen_vma_mm(const struct aspen_vma *vma)
{
    return vma->mm;
}

const char *
aspen_vma_name(const struct aspen_vma *vma)
{
    if (vma->name)
        return vma->name->text;
    if (vma->special)
        return vma->special->name;
    return vma->object ? vma->object->name : NULL;
}

void *
aspen_vma_embedder(const struct aspen_vma *vma)
{
    return aspen_load(&vma->embedder);
}

/* Only merging asks for it, under the mmap lock for writing. */
void
aspen_vma_embedder_set(struct aspen_vma *vma, void *embedder)
{
    ASPEN_ASSERT_TEST(aspen_lock_order_holds(&vma->mm->mmap_lock));
    aspen_store(&vma->embedder, embedder);
}
