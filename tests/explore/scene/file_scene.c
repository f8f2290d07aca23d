/* SPDX-License-Identifier: MIT */
#include "file_scene.h"

#define FRAMES 64u

struct file_scene file_scene;

/* ---- The pager --------------------------------------------------------- */

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    *(uint8_t *)page = file_scene.stored;
    sim_point(&file_scene.stored, false);
    return 0;
}

static int
write_pages(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)bytes;
    sim_point(&file_scene.stored, true);
    file_scene.stored = *(const uint8_t *)pages[0];
    return 0;
}

const struct aspen_pager_ops file_scene_pager = {.read = read_page,
                                                 .write = write_pages};

/* ---- A run ------------------------------------------------------------- */

void
file_scene_begin(void)
{
    struct aspen_object_args args = {.size_bytes = PAGE,
                                     .pager = &file_scene_pager};
    struct file_scene *s = &file_scene;
    uint8_t byte;
    uint64_t done;

    s->stored = s->expected = 42;
    s->aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(s->aspen, &s->mm));
    must(aspen_object_create(s->aspen, &args, &s->file));
    explore_map(s->mm, START, 1, RW | ASPEN_VM_SHARED, s->file);
    explore_map(s->mm, FILE_SCENE_PRIVATE, 1, RW, s->file);
    if (s->before >= CACHED)
        must(aspen_object_read(s->file, 0, &byte, 1, &done));
    if (s->before == MAPPED)
        must(aspen_fault(s->mm, START, ASPEN_ACCESS_READ));
    if (s->before == DIRTY) {
        s->expected = 43;
        must(aspen_object_write(s->file, 0, &s->expected, 1, &done));
    }
}

void
file_scene_check_read(void)
{
    uint8_t byte = 0;
    uint64_t done;

    must(aspen_object_read(file_scene.file, 0, &byte, 1, &done));
    if (byte != file_scene.expected)
        sim_fail("what was written is lost");
}

void
file_scene_end(void)
{
    if (file_scene.mm)
        aspen_mm_put(file_scene.mm);
    aspen_object_put(file_scene.file);
    if (file_scene.stored != file_scene.expected)
        sim_fail("the file does not get what was written");
    explore_machine_end(file_scene.aspen);
}

void
file_scene_explore(const char *name, enum file_before before,
                   const struct sim_program *program, uint64_t most)
{
    static const char *const failing[] = {"", ", failing at 1",
                                          ", failing at 2"};
    char title[100];

    file_scene.before = before;
    for (unsigned i = 0; i < 3; i++) {
        file_scene.fail_at = i;
        snprintf(title, sizeof(title), "%s%s", name, failing[i]);
        explore_holds(title, program, i ? most / 10 : most);
    }
}

/* ---- Tasks ------------------------------------------------------------- */

void
drop_task(void *unused)
{
    uint64_t dropped;

    (void)unused;
    must_or_planned(aspen_object_drop(file_scene.file, 0, PAGE, &dropped));
    if (dropped > 1)
        sim_fail("more pages go than there are");
}

void
read_fault_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(file_scene.mm, START, ASPEN_ACCESS_READ));
}

void
copy_task(void *unused)
{
    uint8_t byte = 42;
    uint64_t done;

    (void)unused;
    must_or_planned(aspen_write_memory(file_scene.mm, FILE_SCENE_PRIVATE, &byte,
                                       1, 0, &done));
}

static void
written(int error, uint8_t byte)
{
    must_or_planned(error);
    if (!error)
        file_scene.expected = byte;
}

void
write_task(void *unused)
{
    uint8_t byte = 44;
    uint64_t done;

    (void)unused;
    written(aspen_write_memory(file_scene.mm, START, &byte, 1, 0, &done), byte);
}

void
write_file_task(void *unused)
{
    uint8_t byte = 44;
    uint64_t done;

    (void)unused;
    written(aspen_object_write(file_scene.file, 0, &byte, 1, &done), byte);
}

void
sync_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_object_sync(file_scene.file, 0, PAGE));
}

void
unmap_task(void *unused)
{
    (void)unused;
    must_or_planned(
        aspen_madvise(file_scene.mm, START, PAGE, ASPEN_MADV_DONTNEED));
}

void
pin_task(void *unused)
{
    struct aspen_mm *mm = file_scene.mm;
    uint32_t pinned, mapped;

    int error = aspen_pin_range(mm, START, PAGE, 0, &pinned);
    must_or_planned(error);
    if (error)
        return;
    unmap_task(unused);
    read_fault_task(unused);
    if (!aspen_translate(mm, START, ASPEN_ACCESS_READ, &mapped) &&
        mapped != pinned)
        sim_fail("a pinned page is not the file's any more");
    must(aspen_unpin(mm, &pinned, 1, 0));
}
