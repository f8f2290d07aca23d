/* SPDX-License-Identifier: MIT */
/*
 * maps and smaps beside those that the kernel prints for this process.
 */
#include "helper.h"
#include "printed.h"

#include <inttypes.h>

struct area {
    uint64_t start, end, pgoff, inode;
    unsigned major, minor;
    char access[5];
    char name[256];
};

/* Areas of this process with a file, or without a name. */
static bool
parse_area(const char *line, struct area *area)
{
    unsigned long long start, end, offset, inode;
    area->name[0] = 0;
    if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %255[^\n]", &start, &end,
               area->access, &offset, &area->major, &area->minor, &inode,
               area->name) < 7)
        return false;
    area->start = start;
    area->end = end;
    area->pgoff = offset / PAGE;
    area->inode = inode;
    return area->end < 1ull << 48 && (inode || !area->name[0]);
}

static uint64_t
flags_of(const struct area *area)
{
    return (area->access[0] == 'r' ? ASPEN_VM_READ : 0) |
           (area->access[1] == 'w' ? ASPEN_VM_WRITE | ASPEN_VM_MAYWRITE : 0) |
           (area->access[2] == 'x' ? ASPEN_VM_EXEC : 0) |
           (area->access[3] == 's' ? SHARED : 0);
}

/* This process's maps, taken in and printed again: the same bytes. */
static void
test_maps_like_the_kernel(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_object *objects[256];
    static struct area areas[256];
    static char expected[65536];
    size_t length = 0, count = 0;
    char line[512];

    FILE *maps = fopen("/proc/self/maps", "r");
    if (!maps)
        unit_skip("no /proc/self/maps");
    while (count < 256 && fgets(line, sizeof(line), maps)) {
        if (!parse_area(line, &areas[count]) ||
            length + strlen(line) >= sizeof(expected))
            continue;
        struct area *area = &areas[count];
        objects[count] = area->inode
                             ? object(scene, ASPEN_OBJECT_FILE,
                                      (uint64_t)area->major << 32 | area->minor,
                                      area->inode, area->name)
                             : NULL;
        helper_import(scene->mm, area->start, (area->end - area->start) / PAGE,
                      flags_of(area), objects[count], area->pgoff);
        length += (size_t)sprintf(expected + length, "%s", line);
        count++;
    }
    fclose(maps);
    assert_true(count > 4);
    aspen_inspect_maps(scene->mm, collect, scene);
    assert_text(scene, expected);
    for (size_t i = 0; i < count; i++)
        if (objects[i])
            aspen_object_put(objects[i]);
    print_message("%zu areas of this process print as the kernel has them\n",
                  count);
    scene_destroy(scene);
}

/* Labels of smaps that older kernels lack: KSM since 6.6. */
static const char *
without_newer_labels(const char *ours, const char *wanted)
{
    static const char ksm[] = "KSM:";

    if (!strncmp(ours, ksm, strlen(ksm)) && strcmp(wanted, ksm))
        return strchr(ours, '\n') + 1;
    return ours;
}

/* The labels of this kernel's smaps, as far as the format of 6.12 goes. */
static void
test_smaps_like_the_kernel(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    char line[512];
    unsigned same = 0;

    FILE *smaps = fopen("/proc/self/smaps", "r");
    if (!smaps || !fgets(line, sizeof(line), smaps))
        unit_skip("no /proc/self/smaps");
    helper_import(scene->mm, 0x400000, 1, MAY_RW, NULL, 0);
    aspen_inspect_smaps(scene->mm, collect, scene);
    const char *ours = strchr(scene->text, '\n') + 1;
    while (fgets(line, sizeof(line), smaps) && strncmp(line, "VmFlags", 7)) {
        size_t label = strcspn(line, ":") + 1;
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "%.*s", (int)label, line);
        const char *at = strstr(ours, wanted);
        if (!at)
            continue; /* of another release */
        ours = without_newer_labels(ours, wanted);
        /* Ours are small; more than eight digits widen the column. 6.1 has
         * none for what is not in kB. */
        if (strtoull(line + label, NULL, 10) <= 99999999 && strstr(line, "kB"))
            assert_int_equal(strcspn(at, "\n"), strcspn(line, "\n"));
        assert_ptr_equal(at, ours); /* the next one: in the same order */
        ours = strchr(at, '\n') + 1;
        same++;
    }
    fclose(smaps);
    assert_true(same >= 15);
    scene_destroy(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_like_the_kernel),
        cmocka_unit_test(test_smaps_like_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
