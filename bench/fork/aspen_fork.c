/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "aspen_fork.h"

#include "../clock.h"
#include "../must.h"
#include "internal.h"
#include "paging/table.h"
#include <aspen/aspen.h>
#include <stdio.h>
#include <sys/mman.h>

#define PAGE  4096ull
#define BASE  ((uint64_t)1 << 32)
#define RW    (ASPEN_VM_READ | ASPEN_VM_WRITE)
#define MAY   (ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC)
#define SLACK 4096u /* frames for what is not counted here */

/* The architecture's hook is the last that can fail. */
static bool refuse;

static int
arch_prepare(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)context;
    (void)parent;
    (void)child;
    return refuse ? -ASPEN_ENOMEM : 0;
}

static const struct aspen_arch_ops arch = {.fork_prepare = arch_prepare};

/* ---- The parent -------------------------------------------------------- */

static uint64_t
case_pages(const struct aspen_fork_case *work)
{
    return work->vmas ? work->vmas : work->bytes / PAGE;
}

static struct aspen *
make_machine(const struct aspen_fork_case *work)
{
    uint64_t pages = case_pages(work);
    struct aspen_config config;
    struct aspen *aspen;

    aspen_config_init(&config);
    config.frames = (uint32_t)(pages + pages / 64 + SLACK);
    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    config.map_count_max = UINT32_MAX;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.hooks.arch = &arch;
    config.direct_map =
        mmap(NULL, config.frames * PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (config.direct_map == MAP_FAILED)
        die("direct map", -ASPEN_ENOMEM);
    must(aspen_create(&config, &aspen), "aspen_create");
    return aspen;
}

static void
drop_machine(struct aspen *aspen)
{
    void *direct_map = aspen->config.direct_map;
    size_t bytes = aspen->config.frames * PAGE;

    must(aspen_destroy(aspen), "aspen_destroy");
    munmap(direct_map, bytes);
}

static void
add_vma(struct aspen_mm *mm, uint64_t start, uint64_t pages, uint64_t access,
        bool touched)
{
    struct aspen_import_vma vma = {
        .start = start,
        .end = start + pages * PAGE,
        .vm_flags = access | MAY | ASPEN_VM_NORESERVE,
        .flags = touched ? ASPEN_IMPORT_HAS_ANON_VMA : 0,
    };
    must(aspen_import_vma(mm, &vma), "aspen_import_vma");
    if (!touched)
        return;
    struct aspen_import_pages import = {
        .address = start,
        .count = pages,
        .kind = ASPEN_IMPORT_ANON,
        .dirty = true,
    };
    uint64_t done;
    must(aspen_import_pages(mm, &import, &done), "aspen_import_pages");
}

static uint64_t *
entry_of(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_slot slot;
    aspen_table_walk(mm, address, &slot);
    return slot.entry;
}

/* Exchange the frames behind two pages, whatever the pages are. */
static void
exchange(struct aspen_mm *mm, uint64_t a, uint64_t b)
{
    struct aspen *aspen = mm->aspen;
    uint64_t *x = entry_of(mm, a);
    uint64_t *y = entry_of(mm, b);
    struct aspen_frame *fx =
        aspen_frame_at(aspen, (uint32_t)aspen_entry_frame(*x));
    struct aspen_frame *fy =
        aspen_frame_at(aspen, (uint32_t)aspen_entry_frame(*y));
    uint64_t entry = *x;
    uint64_t index = fx->index;

    *x = *y;
    *y = entry;
    fx->index = fy->index;
    fy->index = index;
}

static void
shuffle(struct aspen_mm *mm, uint64_t pages)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (uint64_t i = pages - 1; i > 0; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        exchange(mm, BASE + i * PAGE, BASE + state % (i + 1) * PAGE);
    }
}

static struct aspen_mm *
make_parent(struct aspen *aspen, const struct aspen_fork_case *work)
{
    struct aspen_mm *mm;

    must(aspen_mm_create(aspen, &mm), "aspen_mm_create");
    if (!work->vmas)
        add_vma(mm, BASE, case_pages(work), RW, work->pages != FORK_UNTOUCHED);
    for (unsigned i = 0; i < work->vmas; i++)
        add_vma(mm, BASE + i * PAGE, 1, i % 2 ? RW : ASPEN_VM_READ,
                work->pages != FORK_UNTOUCHED);
    if (work->pages == FORK_SHUFFLED)
        shuffle(mm, case_pages(work));
    return mm;
}

/* ---- Measuring --------------------------------------------------------- */

static double
time_fork(struct aspen_mm *parent, bool failing)
{
    struct aspen_mm *child = NULL;

    refuse = failing;
    double begin = clock_ns();
    int error = aspen_fork(parent, &child);
    double end = clock_ns();
    refuse = false;
    if (failing != (error == -ASPEN_ENOMEM))
        die("aspen_fork", error);
    if (child)
        aspen_mm_put(child);
    return end - begin;
}

static double
time_exit(struct aspen *aspen, const struct aspen_fork_case *work)
{
    struct aspen_mm *mm = make_parent(aspen, work);
    double begin = clock_ns();
    aspen_mm_put(mm);
    return clock_ns() - begin;
}

/* A fresh parent: its pages are writable, as the host's are. */
static double
time_fork_of_fresh(struct aspen *aspen, const struct aspen_fork_case *work,
                   bool failing)
{
    struct aspen_mm *parent = make_parent(aspen, work);
    double ns = time_fork(parent, failing);
    aspen_mm_put(parent);
    return ns;
}

struct aspen_fork_times
aspen_fork_measure(const struct aspen_fork_case *work)
{
    struct aspen *aspen = make_machine(work);
    struct aspen_fork_times times;

    /* Once for nothing: the kernel's object caches are warm as well, and a
     * first touch of host memory is the host's time, not Aspen's. */
    time_fork_of_fresh(aspen, work, false);
    times.fork = time_fork_of_fresh(aspen, work, false);
    times.failing = time_fork_of_fresh(aspen, work, true);

    times.exit = time_exit(aspen, work);
    drop_machine(aspen);
    return times;
}
