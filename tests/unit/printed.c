/* SPDX-License-Identifier: MIT */
#include "printed.h"

void
collect(void *context, const char *text, size_t length)
{
    struct scene *scene = context;
    assert_true(scene->length + length < sizeof(scene->text));
    memcpy(scene->text + scene->length, text, length);
    scene->length += length;
    scene->text[scene->length] = 0;
    scene->pieces++;
}

struct scene *
scene_create(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    unsigned type;

    assert_non_null(scene);
    scene->aspen = helper_machine(4096);
    assert_int_equal(aspen_swap_area_add(scene->aspen, 64, &type), 0);
    scene->mm = helper_new_mm(scene->aspen);
    return scene;
}

void
scene_destroy(struct scene *scene)
{
    aspen_mm_put(scene->mm);
    helper_machine_destroy(scene->aspen);
    free(scene);
}

struct aspen_object *
object(struct scene *scene, enum aspen_object_kind kind, uint64_t device,
       uint64_t inode, const char *name)
{
    struct aspen_object_args args = {
        .kind = kind,
        .device = device,
        .inode = inode,
        .size_bytes = GIB,
        .name = name,
    };
    struct aspen_object *made;
    assert_int_equal(aspen_object_create(scene->aspen, &args, &made), 0);
    return made;
}

void
pages(struct scene *scene, uint64_t address, uint64_t count,
      enum aspen_import_kind kind, unsigned level, bool dirty)
{
    struct aspen_import_pages args = {
        .address = address,
        .count = count,
        .level = level,
        .kind = kind,
        .dirty = dirty,
        .first_raw = 0xfe000,
        .swap_slot = 17,
    };
    uint64_t done;
    assert_int_equal(aspen_import_pages(scene->mm, &args, &done), 0);
}

void
assert_text(struct scene *scene, const char *expected)
{
    assert_string_equal(scene->text, expected);
    scene->length = 0;
    scene->text[0] = 0;
}

const char *
frame_of(struct scene *scene, uint64_t address)
{
    static char texts[8][16];
    static unsigned next;
    char *text = texts[next++ % 8];
    uint32_t frame = 0;
    assert_int_equal(
        aspen_translate(scene->mm, address, ASPEN_ACCESS_READ, &frame), 0);
    snprintf(text, 16, "%u", frame);
    return text;
}
