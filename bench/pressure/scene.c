/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "scene.h"

#include "../must.h"
#include "frames/lru.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define RW (ASPEN_VM_READ | ASPEN_VM_WRITE)

/* ---- Hooks that do nothing ---------------------------------------------- */

static int
transfer_nothing(void *context, const struct aspen_swap_io *io)
{
    (void)context, (void)io;
    return 0;
}

static int
read_nothing(void *context, uint64_t offset_bytes, void *page)
{
    (void)context, (void)offset_bytes, (void)page;
    return 0;
}

static void
wake_nobody(void *context)
{
    (void)context;
}

/* ---- A machine ---------------------------------------------------------- */

unsigned
scene_add_nowhere(struct scene *scene, uint64_t slots)
{
    static const struct aspen_swap_ops nowhere = {.transfer = transfer_nothing};
    struct aspen_swap_args args = {.pages = (uint32_t)slots, .ops = &nowhere};
    unsigned type;

    must(aspen_swap_add(scene->aspen, &args, &type), "aspen_swap_add");
    return type;
}

static void
add_device(struct scene *scene)
{
    struct aspen_swap_args args = {0};
    unsigned type;

    aspen_posix_swap_area(scene->device, &args);
    must(aspen_swap_add(scene->aspen, &args, &type), "aspen_swap_add");
}

static void
create(struct scene *scene, bool watched, bool contents)
{
    /* Room for page tables, and for who fills itself in advance. */
    const uint64_t frames = scene->pages + scene->pages / 64 + 8192;
    static const struct aspen_memory_ops memory = {.wake = wake_nobody};
    struct aspen_config config;

    aspen_config_init(&config);
    config.frames = (uint32_t)frames;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.flags = contents ? 0 : ASPEN_CONFIG_CONTENTS_IGNORED;
    if (watched)
        config.hooks.memory = &memory;
    scene->bytes = (size_t)(frames * SCENE_PAGE);
    scene->memory = mmap(NULL, scene->bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(scene->memory == MAP_FAILED ? -ASPEN_ENOMEM : 0, "direct map");
    config.direct_map = scene->memory;
    must(aspen_create(&config, &scene->aspen), "aspen_create");
}

struct aspen_mm *
scene_new_mm(const struct scene *scene, uint64_t *at)
{
    struct aspen_mmap_args args = {.length_bytes = scene->pages * SCENE_PAGE,
                                   .vm_flags = RW};
    struct aspen_mm *mm;

    must(aspen_mm_create(scene->aspen, &mm), "aspen_mm_create");
    must(aspen_mmap(mm, &args, at), "aspen_mmap");
    return mm;
}

bool
scene_begin(struct scene *scene, uint64_t pages, enum scene_swap swap,
            bool contents)
{
    char why[200];

    *scene = (struct scene){.pages = pages};
    if (swap == SCENE_LZ4 &&
        aspen_posix_swap_open("lz4", (uint32_t)pages, &scene->device, why,
                              sizeof(why)))
        return false;
    create(scene, swap != SCENE_NO_SWAP, contents);
    if (swap == SCENE_NOWHERE)
        (void)scene_add_nowhere(scene, pages);
    else if (swap == SCENE_LZ4)
        add_device(scene);
    scene->mm = scene_new_mm(scene, &scene->at);
    return true;
}

void
scene_end(struct scene *scene)
{
    if (scene->mm)
        aspen_mm_put(scene->mm);
    if (scene->file)
        aspen_object_put(scene->file);
    must(aspen_destroy(scene->aspen), "aspen_destroy");
    munmap(scene->memory, scene->bytes);
}

/* ---- Pages -------------------------------------------------------------- */

/* An odd factor, and an addend, modulo a power of two. */
uint64_t
scene_shuffled(uint64_t pages, uint64_t i)
{
    return (i * 0x9e3779b1u + 0x7f4a7c15u) & (pages - 1);
}

void
scene_touch(struct aspen_mm *mm, uint64_t at, uint64_t pages, unsigned access,
            bool shuffled)
{
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = shuffled ? scene_shuffled(pages, i) : i;
        must(aspen_fault(mm, at + page * SCENE_PAGE, access), "aspen_fault");
    }
}

void
scene_map_file(struct scene *scene)
{
    static const struct aspen_pager_ops pager = {.read = read_nothing};
    struct aspen_object_args object = {.kind = ASPEN_OBJECT_FILE,
                                       .size_bytes = scene->pages * SCENE_PAGE,
                                       .pager = &pager};
    struct aspen_mmap_args args = {.address = scene->at,
                                   .length_bytes = object.size_bytes,
                                   .vm_flags = ASPEN_VM_READ | ASPEN_VM_SHARED,
                                   .flags = ASPEN_MAP_FIXED};

    must(aspen_object_create(scene->aspen, &object, &scene->file),
         "aspen_object_create");
    args.object = scene->file;
    must(aspen_mmap(scene->mm, &args, &scene->at), "aspen_mmap");
    scene_touch(scene->mm, scene->at, scene->pages, ASPEN_ACCESS_READ, false);
}

static uint32_t
frame_of(const struct scene *scene, uint64_t i)
{
    uint32_t frame;

    must(aspen_translate(scene->mm, scene->at + i * SCENE_PAGE,
                         ASPEN_ACCESS_READ, &frame),
         "aspen_translate");
    return frame;
}

void
scene_make_old(struct scene *scene)
{
    uint64_t young;

    must(aspen_young(scene->mm, scene->at, scene->pages * SCENE_PAGE,
                     ASPEN_YOUNG_CLEAR, &young),
         "aspen_young");
    for (uint64_t i = 0; i < scene->pages; i++)
        aspen_lru_move(scene->aspen,
                       frame_of(scene, scene_shuffled(scene->pages, i)),
                       ASPEN_LRU_INACTIVE);
}

void *
scene_page(const struct scene *scene, uint64_t i)
{
    return (char *)scene->memory + frame_of(scene, i) * SCENE_PAGE;
}

void
scene_fill(const struct scene *scene)
{
    uint64_t random = 1;

    for (uint64_t i = 0; i < scene->pages; i++) {
        char *page = scene_page(scene, i);
        for (size_t at = 0; at + 8 <= SCENE_PAGE; at += 8) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            snprintf(page + at, 8, "w%05x",
                     (unsigned)(random >> 33) % (at % 64 ? 300 : 1000000));
        }
    }
}
