/* SPDX-License-Identifier: MIT */
#include "mmu_scene.h"

#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
#define FLAGS MMU_FLAGS_SET
#else
#define FLAGS MMU_FLAGS_FAULT
#endif

struct mmu_scene mmu_scene;

/* ---- A file ------------------------------------------------------------ */

static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    (void)context, (void)offset_bytes;
    memcpy(page, mmu_scene.disk, PAGE);
    return 0;
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    (void)context, (void)offset_bytes;
    sim_point(pages[0], false);
    memcpy(mmu_scene.disk, pages[0], bytes < PAGE ? bytes : PAGE);
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_disk,
                                             .write = write_disk};

/* ---- A run ------------------------------------------------------------- */

/* The CPUs went on with its tables until now. */
static void
send_away(void *unused, struct aspen_mm *mm)
{
    (void)unused;
    for (unsigned cpu = 0; cpu < MMU_CPUS; cpu++)
        must(aspen_mm_deactivate(mm, cpu));
}

static const struct aspen_arch_ops arch = {.mm_exit = send_away};

void
mmu_scene_begin(const struct aspen_config *config)
{
    struct aspen_config own = *config;
    struct mmu_config mmu = {
        .frames = MMU_SCENE_FRAMES, .flags = FLAGS, .on_breach = sim_fail};

    if (!own.hooks.notifier)
        own.hooks.notifier = &told_notifier;
    if (!own.hooks.arch)
        own.hooks.arch = &arch;
    memset(&mmu_scene, 0, sizeof(mmu_scene));
    told_of(NULL, NULL);
    mmu_scene.aspen = explore_machine(&own, MMU_SCENE_FRAMES);
    mmu.direct_map = mmu_scene.aspen->config.direct_map;
    mmu_attach(&mmu);
    told_of(mmu_scene.aspen, NULL);
    must(aspen_mm_create(mmu_scene.aspen, &mmu_scene.mm));
}

void
mmu_scene_end(void)
{
    explore_validate(mmu_scene.aspen);
    told_put(&mmu_scene.child);
    told_put(&mmu_scene.mm);
    if (mmu_scene.object)
        aspen_object_put(mmu_scene.object);
    told_of(NULL, NULL);
    explore_machine_end(mmu_scene.aspen);
}

void
mmu_scene_map(bool file, bool shared)
{
    struct aspen_object_args object = {
        .kind = ASPEN_OBJECT_FILE, .size_bytes = PAGE, .pager = &pager};

    if (file)
        must(aspen_object_create(mmu_scene.aspen, &object, &mmu_scene.object));
    explore_map(mmu_scene.mm, START, 1, RW | (shared ? ASPEN_VM_SHARED : 0),
                mmu_scene.object);
}

void
mmu_scene_fork(void)
{
    must(aspen_fork(mmu_scene.mm, &mmu_scene.child));
    must(aspen_mm_activate(mmu_scene.child, CHILD));
}

bool
write_byte(char byte)
{
    int error = told_run(CPU, mmu_scene.mm, START, MMU_WRITE, &byte, 1);

    if (error == TOLD_FOR_EVER)
        sim_fail("faults answer 0, and the access faults again");
    return error == 0;
}

char
access_byte(unsigned cpu, struct aspen_mm *mm, uint64_t address,
            enum mmu_access access, char byte)
{
    must(told_run(cpu, mm, address, access, &byte, 1));
    return byte;
}

void
check_gone(uint64_t since, enum mmu_gone what, const char *call)
{
    mmu_check_gone(mmu_scene.mm->root, START, START + PAGE, since, what, call);
}

/* ---- Rows --------------------------------------------------------------- */

void
mmu_rows(void (*setup)(void *context), unsigned *start, unsigned most,
         const struct mmu_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sim_program program =
            explore_program(setup, rows[i].tasks, rows[i].check);
        *start = rows[i].start;
        explore_holds(rows[i].name, &program, most);
    }
}

/* ---- Calls ------------------------------------------------------------- */

void
munmap_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_munmap(mmu_scene.mm, START, PAGE));
    check_gone(since, MMU_GONE_ALL, "munmap");
}

void
protect_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_mprotect(mmu_scene.mm, START, PAGE, ASPEN_VM_READ, -1));
    check_gone(since, MMU_GONE_WRITABLE, "mprotect");
}

void
discard_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_DONTNEED));
    check_gone(since, MMU_GONE_ALL, "DONTNEED");
}

/* The page may go unless somebody writes to it after this has returned. */
void
free_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_FREE));
    check_gone(since, MMU_GONE_DIRTY, "FREE");
}

void
page_out_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
}

void
page_out_rest_task(void *unused)
{
    int error = aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT);

    (void)unused;
    if (error && error != -ASPEN_ENOMEM)
        must(error);
}

void
child_page_out_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(mmu_scene.child, START, PAGE, ASPEN_MADV_PAGEOUT));
}

void
sync_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_object_sync(mmu_scene.object, 0, PAGE));
    check_gone(since, MMU_GONE_WRITABLE, "sync");
}

void
resize_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_object_resize(mmu_scene.object, 0));
    check_gone(since, MMU_GONE_ALL, "resize");
}
