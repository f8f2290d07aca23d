/* SPDX-License-Identifier: MIT */
/*
 * test_inspect_smaps.c - the text of smaps, to the byte.
 */
#include "helper.h"
#include "printed.h"

#include "internal.h"
#include "space/vma.h"

struct numbers {
    const char *label;
    unsigned kb;
};

/* The text of one area: what is not named is 0. */
static void
expect_area(char *out, size_t size, const char *line, unsigned size_kb,
            unsigned page_kb, const struct numbers *numbers, unsigned eligible,
            const char *flags)
{
    static const char *const labels[] = {
        "Rss:            ",  "Pss:            ", "Pss_Dirty:      ",
        "Shared_Clean:   ",  "Shared_Dirty:   ", "Private_Clean:  ",
        "Private_Dirty:  ",  "Referenced:     ", "Anonymous:      ",
        "KSM:            ",  "LazyFree:       ", "AnonHugePages:  ",
        "ShmemPmdMapped: ",  "FilePmdMapped:  ", "Shared_Hugetlb: ",
        "Private_Hugetlb: ", "Swap:           ", "SwapPss:        ",
        "Locked:         "};
    size_t at = strlen(out);
    at += (size_t)snprintf(out + at, size - at,
                           "%s\nSize:           %8u kB\n"
                           "KernelPageSize: %8u kB\nMMUPageSize:    %8u kB\n",
                           line, size_kb, page_kb, page_kb);
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(labels); i++) {
        unsigned kb = 0;
        for (const struct numbers *n = numbers; n->label; n++)
            if (!strncmp(labels[i], n->label, strlen(n->label)) &&
                labels[i][strlen(n->label)] == ':')
                kb = n->kb;
        at += (size_t)snprintf(out + at, size - at,
                               i == 15 ? "%s%7u kB\n" : "%s%8u kB\n", labels[i],
                               kb);
    }
    snprintf(out + at, size - at, "THPeligible:    %8u\nVmFlags: %s\n",
             eligible, flags);
}

/* Linux prints this for `cat` (taken from a real process), byte for byte. */
static void
test_smaps_exact(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_object *file =
        object(scene, ASPEN_OBJECT_FILE, 0xfeull << 32, 247134, "/usr/bin/cat");

    helper_import(scene->mm, 0x55b86c27f000, 1, MAY_RW | ASPEN_VM_ACCOUNT, file,
                  10);
    pages(scene, 0x55b86c27f000, 1, ASPEN_IMPORT_ANON, 0, true);
    aspen_inspect_smaps(scene->mm, collect, scene);
    assert_text(
        scene,
        "55b86c27f000-55b86c280000 rw-p 0000a000 fe:00 247134                 "
        "    /usr/bin/cat\n"
        "Size:                  4 kB\n"
        "KernelPageSize:        4 kB\n"
        "MMUPageSize:           4 kB\n"
        "Rss:                   4 kB\n"
        "Pss:                   4 kB\n"
        "Pss_Dirty:             4 kB\n"
        "Shared_Clean:          0 kB\n"
        "Shared_Dirty:          0 kB\n"
        "Private_Clean:         0 kB\n"
        "Private_Dirty:         4 kB\n"
        "Referenced:            4 kB\n"
        "Anonymous:             4 kB\n"
        "KSM:                   0 kB\n"
        "LazyFree:              0 kB\n"
        "AnonHugePages:         0 kB\n"
        "ShmemPmdMapped:        0 kB\n"
        "FilePmdMapped:         0 kB\n"
        "Shared_Hugetlb:        0 kB\n"
        "Private_Hugetlb:       0 kB\n"
        "Swap:                  0 kB\n"
        "SwapPss:               0 kB\n"
        "Locked:                0 kB\n"
        "THPeligible:           0\n"
        "VmFlags: rd wr mr mw me ac \n");
    aspen_object_put(file);
    scene_destroy(scene);
}

static void
test_smaps_numbers(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_object *shmem =
        object(scene, ASPEN_OBJECT_SHMEM, 1, 5, "/dev/shm/x");
    struct aspen_object *huge =
        object(scene, ASPEN_OBJECT_HUGETLB, 1, 6, "/anon_hugepage (deleted)");
    static char expected[16384];

    /* Locked: 4 dirty, 2 clean, a zero page, a guard; 3 swapped. */
    helper_import(scene->mm, 0x400000, 16,
                  MAY_RW | ASPEN_VM_LOCKED | ASPEN_VM_ACCOUNT, NULL, 0);
    pages(scene, 0x400000, 4, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x404000, 2, ASPEN_IMPORT_ANON, 0, false);
    pages(scene, 0x406000, 1, ASPEN_IMPORT_ZERO, 0, false);
    pages(scene, 0x407000, 1, ASPEN_IMPORT_GUARD, 0, false);
    pages(scene, 0x408000, 3, ASPEN_IMPORT_SWAP, 0, false);
    /* The same two object pages twice. */
    helper_import(scene->mm, 0x500000, 2, MAY_RW | SHARED, shmem, 0);
    pages(scene, 0x500000, 2, ASPEN_IMPORT_OBJECT, 0, true);
    helper_import(scene->mm, 0x600000, 2, MAY_R | SHARED, shmem, 0);
    pages(scene, 0x600000, 2, ASPEN_IMPORT_OBJECT, 0, false);
    /* Raw frames count nowhere. */
    helper_import(scene->mm, 0x700000, 2, MAY_R | ASPEN_VM_PFNMAP | ASPEN_VM_IO,
                  NULL, 0);
    pages(scene, 0x700000, 2, ASPEN_IMPORT_RAW, 0, false);
    /* A huge page and a hugetlb page. */
    helper_import(scene->mm, 0x40000000, 1024, MAY_RW | ASPEN_VM_HUGEPAGE, NULL,
                  0);
    pages(scene, 0x40000000, 1, ASPEN_IMPORT_ANON, 1, true);
    helper_import(scene->mm, 0x80000000, 1024,
                  MAY_RW | SHARED | ASPEN_VM_HUGETLB, huge, 0);
    pages(scene, 0x80000000, 1, ASPEN_IMPORT_OBJECT, 1, true);

    expect_area(expected, sizeof(expected),
                "00400000-00410000 rw-p 00000000 00:00 0 ", 64, 4,
                (struct numbers[]){{"Rss", 24},
                                   {"Pss", 24},
                                   {"Pss_Dirty", 16},
                                   {"Private_Clean", 8},
                                   {"Private_Dirty", 16},
                                   {"Referenced", 24},
                                   {"Anonymous", 24},
                                   {"Swap", 12},
                                   {"SwapPss", 12},
                                   {"Locked", 24},
                                   {NULL, 0}},
                0, "rd wr mr mw me lo ac ");
    expect_area(expected, sizeof(expected),
                "00500000-00502000 rw-s 00000000 00:01 5                       "
                "           /dev/shm/x",
                8, 4,
                (struct numbers[]){{"Rss", 8},
                                   {"Pss", 4},
                                   {"Pss_Dirty", 4},
                                   {"Shared_Dirty", 8},
                                   {"Referenced", 8},
                                   {NULL, 0}},
                0, "rd wr sh mr mw me ms ");
    expect_area(expected, sizeof(expected),
                "00600000-00602000 r--s 00000000 00:01 5                       "
                "           /dev/shm/x",
                8, 4,
                (struct numbers[]){{"Rss", 8},
                                   {"Pss", 4},
                                   {"Shared_Clean", 8},
                                   {"Referenced", 8},
                                   {NULL, 0}},
                0, "rd mr ms "); /* and nobody can write to it */
    expect_area(expected, sizeof(expected),
                "00700000-00702000 r--p 00000000 00:00 0 ", 8, 4,
                (struct numbers[]){{NULL, 0}}, 0, "rd mr pf io ");
    expect_area(expected, sizeof(expected),
                "40000000-40400000 rw-p 00000000 00:00 0 ", 4096, 4,
                (struct numbers[]){{"Rss", 2048},
                                   {"Pss", 2048},
                                   {"Pss_Dirty", 2048},
                                   {"Private_Dirty", 2048},
                                   {"Referenced", 2048},
                                   {"Anonymous", 2048},
                                   {"AnonHugePages", 2048},
                                   {NULL, 0}},
                1, "rd wr mr mw me hg ");
    expect_area(expected, sizeof(expected),
                "80000000-80400000 rw-s 00000000 00:01 6                       "
                "           /anon_hugepage (deleted)",
                4096, 2048,
                (struct numbers[]){{"Private_Hugetlb", 2048}, {NULL, 0}}, 0,
                "rd wr sh mr mw me ms ht ");
    aspen_inspect_smaps(scene->mm, collect, scene);
    assert_text(scene, expected);
    aspen_object_put(shmem);
    aspen_object_put(huge);
    scene_destroy(scene);
}

/* What a child sees: shared slots and pages, not accessed by it yet. Two
 * processes share the page, so each has half of it. */
static void
test_smaps_fork(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_object *shmem =
        object(scene, ASPEN_OBJECT_SHMEM, 1, 5, "/dev/shm/x");
    struct aspen_mm *child = NULL;
    static char expected[8192];

    helper_import(scene->mm, 0x400000, 4, MAY_RW, NULL, 0);
    pages(scene, 0x400000, 2, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x402000, 2, ASPEN_IMPORT_SWAP, 0, false);
    /* A private mapping that has room for one huge page, and has it. */
    helper_import(scene->mm, 0x40000000, 512, MAY_RW | ASPEN_VM_HUGEPAGE, shmem,
                  0);
    pages(scene, 0x40000000, 1, ASPEN_IMPORT_OBJECT, 1, false);
    assert_int_equal(aspen_fork(scene->mm, &child), 0);

    expected[0] = 0;
    expect_area(expected, sizeof(expected),
                "00400000-00404000 rw-p 00000000 00:00 0 ", 16, 4,
                (struct numbers[]){{"Rss", 8},
                                   {"Pss", 4},
                                   {"Pss_Dirty", 4},
                                   {"Shared_Dirty", 8},
                                   {"Anonymous", 8},
                                   {"Swap", 8},
                                   {"SwapPss", 4},
                                   {NULL, 0}},
                0, "rd wr mr mw me ");
    expect_area(expected, sizeof(expected),
                "40000000-40200000 rw-p 00000000 00:01 5                       "
                "           /dev/shm/x",
                2048, 4, (struct numbers[]){{NULL, 0}}, 1,
                "rd wr mr mw me hg ");
    aspen_inspect_smaps(child, collect, scene);
    assert_text(scene, expected);

    aspen_inspect_smaps(scene->mm, collect, scene);
    const char *second = strstr(scene->text, "40000000-");
    assert_non_null(strstr(second, "ShmemPmdMapped:     2048 kB\n"));
    assert_non_null(strstr(second, "Private_Clean:      2048 kB\n"));
    aspen_mm_put(child);
    aspen_object_put(shmem);
    scene_destroy(scene);
}

/* All letters, in the order of Linux's bits. */
static void
test_smaps_flags(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    uint64_t all = 0;

    for (unsigned bit = 0; bit < 43; bit++)
        all |= ASPEN_FLAG(bit) & ASPEN_VM_KNOWN;
    struct aspen_object *file = object(scene, ASPEN_OBJECT_HUGETLB, 1, 1, "f");
    helper_import(scene->mm, 0x400000, 1, all, file, 0);
    aspen_inspect_smaps(scene->mm, collect, scene);
    const char *line = strstr(scene->text, "VmFlags:");
    assert_string_equal(
        line, "VmFlags: rd wr ex sh mr mw me ms gd um pf uw lo io sr "
              "rr dc de lf ac nr ht sf wf dd sd mm hg nh mg ui sl \n");
    aspen_object_put(file);
    scene_destroy(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smaps_exact),
        cmocka_unit_test(test_smaps_numbers),
        cmocka_unit_test(test_smaps_fork),
        cmocka_unit_test(test_smaps_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
