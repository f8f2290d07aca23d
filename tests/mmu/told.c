/* SPDX-License-Identifier: MIT */
/*
 * told.c - see told.h. tests/mmu/mmu.mk makes the linker's options from the
 * names that begin with "__wrap_" here, and of beside.c and calls.c.
 */
#include "told.h"

#include "frames/frames.h"
#include "space/mm.h"

#define PATIENCE 64   /* faults that answer 0, for one access */
#define BATCH    1024 /* frames that are given back at once, at most */

static struct aspen *watched;
static bool (*in_call)(void);

void
told_of(struct aspen *aspen, bool (*inside)(void))
{
    watched = aspen;
    in_call = inside;
}

/* ---- Flushes ----------------------------------------------------------- */

void __real_aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);
void __wrap_aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

/* What a test does where it observes a flush comes before the flush. */
void
__wrap_aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    __real_aspen_port_tlb_flush(flush);
    if (watched && in_call && !in_call())
        aspen_port_panic("a flush in a call that changes no entry, as "
                         "tests/mmu/apart has it");
    if (watched)
        mmu_flush(flush);
}

/* ---- Frames ------------------------------------------------------------ */

static bool
is_free(void *context, uint32_t frame)
{
    const struct aspen *aspen = context;

    return aspen_frame_type(aspen_frame_at(aspen, frame)) == ASPEN_FRAME_FREE;
}

static void
let_go(struct aspen *aspen, uint32_t frame)
{
    if (aspen == watched && is_free(aspen, frame))
        mmu_frames_changed(frame, 1, "a frame is freed", is_free, aspen);
}

int __real_aspen_frame_alloc_from(struct aspen *aspen, unsigned order,
                                  enum aspen_step step,
                                  enum aspen_frames_from from, uint32_t *frame);
int __wrap_aspen_frame_alloc_from(struct aspen *aspen, unsigned order,
                                  enum aspen_step step,
                                  enum aspen_frames_from from, uint32_t *frame);

int
__wrap_aspen_frame_alloc_from(struct aspen *aspen, unsigned order,
                              enum aspen_step step, enum aspen_frames_from from,
                              uint32_t *frame)
{
    int error = __real_aspen_frame_alloc_from(aspen, order, step, from, frame);

    if (!error && aspen == watched)
        mmu_frames_changed(*frame, (uint32_t)1 << order, "a frame is given out",
                           NULL, NULL);
    return error;
}

void __real_aspen_frame_put(struct aspen *aspen, uint32_t frame);
void __wrap_aspen_frame_put(struct aspen *aspen, uint32_t frame);

void
__wrap_aspen_frame_put(struct aspen *aspen, uint32_t frame)
{
    __real_aspen_frame_put(aspen, frame);
    let_go(aspen, frame);
}

void __real_aspen_frames_release(struct aspen *aspen, uint32_t *frames,
                                 unsigned count, uint64_t remove);
void __wrap_aspen_frames_release(struct aspen *aspen, uint32_t *frames,
                                 unsigned count, uint64_t remove);

void
__wrap_aspen_frames_release(struct aspen *aspen, uint32_t *frames,
                            unsigned count, uint64_t remove)
{
    uint32_t copy[BATCH];

    if (count > BATCH)
        aspen_port_panic("more frames go at once than the processor looks at");
    memcpy(copy, frames, count * sizeof(*copy));
    __real_aspen_frames_release(aspen, frames, count, remove);
    for (unsigned i = 0; i < count; i++)
        let_go(aspen, copy[i]);
}

/* ---- The second MMU ---------------------------------------------------- */

static void
second_start(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    if (mm->aspen == watched)
        mmu_second_start(mm->root, start, end);
}

static void
second_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    if (mm->aspen == watched)
        mmu_second_end(mm->root, start, end);
}

static bool
second_test_young(void *context, struct aspen_mm *mm, uint64_t start,
                  uint64_t end)
{
    (void)context;
    return mm->aspen == watched &&
           mmu_second_young(mm->root, start, end, false);
}

static bool
second_clear_young(void *context, struct aspen_mm *mm, uint64_t start,
                   uint64_t end)
{
    (void)context;
    return mm->aspen == watched && mmu_second_young(mm->root, start, end, true);
}

const struct aspen_notifier_ops told_notifier = {
    .invalidate_start = second_start,
    .invalidate_end = second_end,
    .test_young = second_test_young,
    .clear_young = second_clear_young,
};

static struct mmu_filling
filling_of(struct aspen_mm *mm)
{
    return (struct mmu_filling){mm, aspen_mmu_begin, aspen_mmu_retry, mm->root};
}

uint64_t
told_second_load(struct aspen_mm *mm, uint64_t start, uint64_t end,
                 uint64_t most)
{
    struct mmu_filling filling = filling_of(mm);

    return mmu_second_load(&filling, start, end, most);
}

/* ---- Switches ---------------------------------------------------------- */

void
told_keep(unsigned cpu, struct aspen_mm *mm)
{
    mmu_keep(cpu, mm->root, aspen_mm_tlb_generation, mm);
}

void
told_switch_away(unsigned cpu, struct aspen_mm *mm)
{
    mmu_pause(cpu);
    (void)!aspen_mm_deactivate(mm, cpu);
}

/* An interrupt may come before the CPU is back, but not while it comes back. */
void
told_switch_back(unsigned cpu, struct aspen_mm *mm)
{
    (void)!aspen_mm_activate(mm, cpu);
    mmu_resume(cpu);
}

/* ---- Accesses ---------------------------------------------------------- */

bool
told_access(unsigned cpu, struct aspen_mm *mm, uint64_t address,
            enum mmu_access access, void *bytes, size_t length)
{
    return mmu_access(cpu, mm->root, address, access, bytes, length);
}

static const unsigned wants[] = {
    [MMU_READ] = ASPEN_ACCESS_READ,
    [MMU_WRITE] = ASPEN_ACCESS_WRITE,
    [MMU_EXEC] = ASPEN_ACCESS_EXEC,
};

int
told_run(unsigned cpu, struct aspen_mm *mm, uint64_t address,
         enum mmu_access access, void *bytes, size_t length)
{
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (told_access(cpu, mm, address, access, bytes, length))
            return 0;
        int error = aspen_fault(mm, address, wants[access]);
        if (error)
            return error;
    }
    return TOLD_FOR_EVER;
}

/* Of the second MMU's making: it goes by the core's words alone. Cache modes
 * have the same order as enum format_memory. */
static struct mmu_cached
cached_of(const struct aspen_mm *mm, uint64_t address,
          const struct aspen_translation *to)
{
    uint64_t first = address / to->leaf_bytes * to->leaf_bytes;
    unsigned level = 0;

    while (((uint64_t)ASPEN_PAGE_SIZE << 9 * level) < to->leaf_bytes)
        level++;
    return (struct mmu_cached){
        .root = mm->root,
        .leaf = true,
        .level = level,
        .address = first,
        .bytes = to->leaf_bytes,
        .number = to->number - (address - first) / ASPEN_PAGE_SIZE,
        .read = to->read,
        .write = to->write,
        .exec = to->exec,
        .dirty = to->write,
        .raw = to->raw,
        .key = to->pkey,
        .memory = (unsigned)(to->cache >> ASPEN_VM_CACHE_SHIFT),
    };
}

static bool
goes(const struct aspen_translation *to, enum mmu_access access)
{
    return access == MMU_WRITE  ? to->write
           : access == MMU_EXEC ? to->exec
                                : to->read;
}

int
told_second(struct aspen_mm *mm, uint64_t address, enum mmu_access access,
            void *bytes, size_t length)
{
    const struct mmu_filling filling = filling_of(mm);
    struct aspen_translation to;

    for (unsigned i = 0; i < PATIENCE; i++) {
        if (mmu_second_hit(mm->root, address, access, bytes, length))
            return 0;
        uint64_t begun = aspen_mmu_begin(mm);
        if (aspen_mmu_translate(mm, address, &to) || !goes(&to, access)) {
            int error = aspen_fault(mm, address, wants[access]);
            if (error)
                return error;
            continue;
        }
        struct mmu_cached cached = cached_of(mm, address, &to);
        if (!mmu_second_put(&filling, begun, &cached))
            aspen_mmu_wait(mm, cached.address, cached.address + cached.bytes);
    }
    return TOLD_FOR_EVER;
}

void
told_put_beside(struct aspen_mm **mm)
{
    uint32_t root = (*mm)->root;

    mmu_quiet(root);
    aspen_mm_put(*mm);
    *mm = NULL;
    mmu_check_gone(root, 0, UINT64_MAX, UINT64_MAX, MMU_GONE_ALL, "exit");
    mmu_forget(root);
}

void
told_put(struct aspen_mm **mm)
{
    if (!*mm)
        return;
    mmu_check((*mm)->root, "all that");
    told_put_beside(mm);
}
