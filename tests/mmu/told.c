/* SPDX-License-Identifier: MIT */
/*
 * told.c - see told.h. tests/mmu/mmu.mk makes the linker's options from the
 * names that begin with "__wrap_" here and in beside.c.
 */
#include "told.h"

#include "frames/frames.h"
#include "space/mm.h"

#define PATIENCE 64   /* faults that answer 0, for one access */
#define BATCH    1024 /* frames that are given back at once, at most */

static struct aspen *watched;

void
told_of(struct aspen *aspen)
{
    watched = aspen;
}

/* ---- Flushes ----------------------------------------------------------- */

void __real_aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);
void __wrap_aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

/* What a test does where it observes a flush comes before the flush. */
void
__wrap_aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    __real_aspen_port_tlb_flush(flush);
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

int __real_aspen_frame_alloc(struct aspen *aspen, unsigned order,
                             enum aspen_step step, uint32_t *frame);
int __wrap_aspen_frame_alloc(struct aspen *aspen, unsigned order,
                             enum aspen_step step, uint32_t *frame);

int
__wrap_aspen_frame_alloc(struct aspen *aspen, unsigned order,
                         enum aspen_step step, uint32_t *frame)
{
    int error = __real_aspen_frame_alloc(aspen, order, step, frame);

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
    mmu_second_start(mm->root, start, end);
}

static void
second_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    mmu_second_end(mm->root, start, end);
}

const struct aspen_notifier_ops told_notifier = {
    .invalidate_start = second_start,
    .invalidate_end = second_end,
};

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

int
told_run(unsigned cpu, struct aspen_mm *mm, uint64_t address,
         enum mmu_access access, void *bytes, size_t length)
{
    static const unsigned wants[] = {
        [MMU_READ] = ASPEN_ACCESS_READ,
        [MMU_WRITE] = ASPEN_ACCESS_WRITE,
        [MMU_EXEC] = ASPEN_ACCESS_EXEC,
    };

    for (unsigned i = 0; i < PATIENCE; i++) {
        if (told_access(cpu, mm, address, access, bytes, length))
            return 0;
        int error = aspen_fault(mm, address, wants[access]);
        if (error)
            return error;
    }
    return TOLD_FOR_EVER;
}

void
told_put(struct aspen_mm **mm)
{
    if (!*mm)
        return;
    uint32_t root = (*mm)->root;

    mmu_check(root, "all that");
    mmu_quiet(root);
    aspen_mm_put(*mm);
    *mm = NULL;
    mmu_check_gone(root, 0, UINT64_MAX, UINT64_MAX, MMU_GONE_ALL, "exit");
    mmu_forget(root);
}
