/* SPDX-License-Identifier: MIT */
/*
 * test_inspect.c - the formatter, the text of maps and the notation.
 */
#include "helper.h"
#include "printed.h"

#include "inspect/text.h"
#include "internal.h"

/* ---- The formatter ----------------------------------------------------- */

static void
test_format(void **unused)
{
    (void)unused;
    char buffer[128];
    struct aspen_text text;

    aspen_text_begin(&text, buffer, sizeof(buffer), NULL, NULL);
    ASPEN_TEXT(&text, "%u|%8u|%x|%8x|%2x|%a|%c|%s|%%|", 0, 42, 255, 0xbeef,
               0x12345, 0x400000, 'z', ASPEN_TEXT_STRING("word"));
    aspen_text_end(&text);
    assert_string_equal(buffer,
                        "0|      42|ff|0000beef|12345|0x400000|z|word|%|");

    aspen_text_begin(&text, buffer, sizeof(buffer), NULL, NULL);
    ASPEN_TEXT(&text, "%u %x", UINT64_MAX, UINT64_MAX);
    ASPEN_TEXT(&text, "\nno arguments");
    aspen_text_pad(&text, 16, 0);
    aspen_text_char(&text, '|');
    aspen_text_pad(&text, 3, 2);
    aspen_text_char(&text, '|');
    aspen_text_end(&text);
    assert_string_equal(buffer, "18446744073709551615 ffffffffffffffff\n"
                                "no arguments    |  |");
}

/* Without a sink the end is cut off; with one it comes in pieces. */
static void
test_buffers(void **unused)
{
    (void)unused;
    struct scene *scene = calloc(1, sizeof(*scene));
    struct aspen_text text;
    char buffer[8];

    for (size_t length = 6; length < 10; length++) {
        char expected[8] = "";
        aspen_text_begin(&text, buffer, sizeof(buffer), NULL, NULL);
        for (size_t i = 0; i < length; i++)
            aspen_text_char(&text, (char)('a' + i));
        aspen_text_end(&text);
        memcpy(expected, "abcdefghi", length < 7 ? length : 7);
        assert_string_equal(buffer, expected);
    }
    aspen_text_begin(&text, buffer, sizeof(buffer), collect, scene);
    aspen_text_end(&text);
    assert_int_equal(scene->pieces, 0);
    aspen_text_string(&text, "twelve chars");
    aspen_text_end(&text);
    assert_string_equal(scene->text, "twelve chars");
    assert_int_equal(scene->pieces, 2);
    free(scene);
}

/* ---- maps -------------------------------------------------------------- */

static void
test_maps(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_mm *mm = scene->mm;
    struct aspen_object *file =
        object(scene, ASPEN_OBJECT_FILE, 0xfeull << 32, 247134, "/usr/bin/cat");
    struct aspen_object *odd =
        object(scene, ASPEN_OBJECT_SHMEM, 1, 1034, "/memfd:a\nb (deleted)");
    struct aspen_object *unnamed =
        object(scene, ASPEN_OBJECT_FILE, 0x103ull << 32 | 2, 9, NULL);

    aspen_inspect_maps(mm, collect, scene);
    assert_text(scene, "");

    helper_import(scene->mm, 0x1000, 1, MAY_R, unnamed, 0);
    helper_import(scene->mm, 0x55b86c276000, 5, MAY_RX, file, 2);
    helper_import(scene->mm, 0x55b86cfff000, 1, MAY_RW, NULL,
                  0); /* ends where brk starts */
    helper_import(scene->mm, 0x55b86d000000, 33, MAY_RW, NULL, 0);
    helper_import(scene->mm, 0x7f0000000000, 2, MAY_RW | SHARED, odd,
                  0x12345678);
    helper_import(scene->mm, 0x7f0000002000, 1, MAY, NULL, 0);
    helper_import(scene->mm, 0x7f0000010000, 1, MAY_RW, NULL, 0);
    helper_import(scene->mm, 0x7f0000100000, 1, MAY_RW | ASPEN_VM_GROWSDOWN,
                  NULL, 0);
    helper_import(scene->mm, 0x7ffd4be4e000, 33, MAY_RW | ASPEN_VM_GROWSDOWN,
                  NULL, 0);
    helper_import(scene->mm, 0x7ffd4bff0000, 4,
                  ASPEN_VM_READ | ASPEN_VM_MAYREAD | ASPEN_VM_SPECIAL |
                      ASPEN_VM_PFNMAP,
                  NULL, 0);
    helper_import(scene->mm, 0x7ffd4bff4000, 2, MAY_RX | ASPEN_VM_SPECIAL, NULL,
                  0);
    mm->layout.brk_start = 0x55b86d000000;
    mm->layout.brk = 0x55b86d020800;
    assert_int_equal(aspen_name_anon(mm, 0x7f0000010000, PAGE, "arena 1"), 0);
    assert_int_equal(aspen_name_anon(mm, 0x55b86d000000, PAGE, "my heap"), 0);
    assert_int_equal(aspen_name_anon(mm, 0x7ffd4bff4000, 2 * PAGE, "mine"), 0);

    /* Of two that touch the range in an address; nothing at its end. */
    aspen_inspect_maps_range(mm, 0x7f0000001fff, 0x7f0000010000, collect,
                             scene);
    assert_text(scene,
                "7f0000000000-7f0000002000 rw-s 12345678000 00:01 1034         "
                "           /memfd:a\\012b (deleted)\n"
                "7f0000002000-7f0000003000 ---p 00000000 00:00 0 \n");
    aspen_inspect_maps_range(mm, 0x7f0000003000, 0x7f0000003000, collect,
                             scene);
    assert_text(scene, "");

    aspen_inspect_maps(mm, collect, scene);
    assert_text(
        scene,
        "00001000-00002000 r--p 00000000 103:02 9 \n"
        "55b86c276000-55b86c27b000 r-xp 00002000 fe:00 247134                 "
        "    /usr/bin/cat\n"
        "55b86cfff000-55b86d000000 rw-p 00000000 00:00 0 \n"
        "55b86d000000-55b86d001000 rw-p 00000000 00:00 0                      "
        "    [heap]\n"
        "55b86d001000-55b86d021000 rw-p 00000000 00:00 0                      "
        "    [heap]\n"
        "7f0000000000-7f0000002000 rw-s 12345678000 00:01 1034                "
        "    /memfd:a\\012b (deleted)\n"
        "7f0000002000-7f0000003000 ---p 00000000 00:00 0 \n"
        "7f0000010000-7f0000011000 rw-p 00000000 00:00 0                      "
        "    [anon:arena 1]\n"
        "7f0000100000-7f0000101000 rw-p 00000000 00:00 0 \n"
        "7ffd4be4e000-7ffd4be6f000 rw-p 00000000 00:00 0                      "
        "    [stack]\n"
        "7ffd4bff0000-7ffd4bff4000 r--p 00000000 00:00 0                      "
        "    [vvar]\n"
        "7ffd4bff4000-7ffd4bff6000 r-xp 00000000 00:00 0                      "
        "    [vdso]\n");
    aspen_object_put(file);
    aspen_object_put(odd);
    aspen_object_put(unnamed);
    scene_destroy(scene);
}

/* ---- The notation ------------------------------------------------------ */

/* The example of docs/use/notation.md, as far as one space goes. */
static void
test_dump(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_object *file = object(scene, ASPEN_OBJECT_FILE, 1, 7, "f");
    struct aspen_object *device = object(scene, ASPEN_OBJECT_DEVICE, 1, 8, "d");
    static char expected[4096];

    aspen_inspect_mm(scene->mm, ASPEN_INSPECT_PAGES, collect, scene);
    assert_text(scene, "mm 1 LIVE  0 vmas  0 pages  charge 0\n");

    helper_import(scene->mm, 0x400000, 2, MAY_RX, file, 0);
    pages(scene, 0x401000, 1, ASPEN_IMPORT_OBJECT, 0, false);
    helper_import(scene->mm, 0x600000, 6, MAY_RW | ASPEN_VM_ACCOUNT, NULL, 0);
    pages(scene, 0x600000, 1, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x601000, 1, ASPEN_IMPORT_SWAP, 0, false);
    pages(scene, 0x602000, 1, ASPEN_IMPORT_ZERO, 0, false);
    pages(scene, 0x603000, 1, ASPEN_IMPORT_GUARD, 0, false);
    helper_import(scene->mm, 0x700000, 1,
                  MAY_RW | SHARED | ASPEN_VM_PFNMAP | ASPEN_VM_IO, device, 3);
    pages(scene, 0x700000, 1, ASPEN_IMPORT_RAW, 0, true);
    helper_import(scene->mm, 0x800000, 1,
                  MAY_RW | ASPEN_VM_DONTCOPY | ASPEN_VM_LOCKED, NULL, 0);
    helper_import(scene->mm, 0x40000000, 512, MAY_RW, NULL, 0);
    pages(scene, 0x40000000, 1, ASPEN_IMPORT_ANON, 1, false);

    snprintf(expected, sizeof(expected),
             "mm 1 LIVE  5 vmas  514 pages  charge 6  swapped 1\n"
             "  vma  0x400000-0x402000 r-x private  file 7+0x0\n"
             "    pte 0x401000 -> frame %s\n"
             "  vma  0x600000-0x606000 rw- private  anon 1  account\n"
             "    pte 0x600000 -> frame %s (write, dirty)\n"
             "    pte 0x601000 -> swap 0:17\n"
             "    pte 0x602000 -> zero (cow)\n"
             "    pte 0x603000 -> guard\n"
             "  vma  0x700000-0x701000 rw- shared  device 8+0x3000  pfnmap io\n"
             "    pte 0x700000 -> raw 0xfe000 (write, dirty)\n"
             "  vma  0x800000-0x801000 rw- private  anon  locked dontcopy\n"
             "  vma  0x40000000-0x40200000 rw- private  anon 2\n"
             "    pmd 0x40000000 -> frame %s (512 pages, write)\n",
             frame_of(scene, 0x401000), frame_of(scene, 0x600000),
             frame_of(scene, 0x40000000));
    aspen_inspect_mm(scene->mm, ASPEN_INSPECT_PAGES, collect, scene);
    assert_text(scene, expected);

    aspen_inspect_mm(scene->mm, 0, collect, scene);
    assert_text(scene,
                "mm 1 LIVE  5 vmas  514 pages  charge 6  swapped 1\n"
                "  vma  0x400000-0x402000 r-x private  file 7+0x0\n"
                "  vma  0x600000-0x606000 rw- private  anon 1  account\n"
                "  vma  0x700000-0x701000 rw- shared  device 8+0x3000  pfnmap "
                "io\n"
                "  vma  0x800000-0x801000 rw- private  anon  locked dontcopy\n"
                "  vma  0x40000000-0x40200000 rw- private  anon 2\n");
    aspen_object_put(file);
    aspen_object_put(device);
    scene_destroy(scene);
}

/* Parent and child: shared pages, an anon_vma of the child's own. */
static void
test_dump_fork(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_mm *child = NULL;
    static char expected[4096];

    helper_import(scene->mm, 0x600000, 2, MAY_RW | ASPEN_VM_ACCOUNT, NULL, 0);
    pages(scene, 0x600000, 1, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x601000, 1, ASPEN_IMPORT_SWAP, 0, false);
    aspen_inspect_mm(scene->mm, 0, collect, scene);
    scene->length = 0;
    assert_int_equal(aspen_fork(scene->mm, &child), 0);
    aspen_inspect_mm(child, ASPEN_INSPECT_PAGES, collect, scene);
    aspen_inspect_mm(scene->mm, ASPEN_INSPECT_PAGES, collect, scene);
    const char *frame = frame_of(scene, 0x600000);
    snprintf(expected, sizeof(expected),
             "mm 2 LIVE  1 vmas  1 pages  charge 2  swapped 1\n"
             "  vma  0x600000-0x602000 rw- private  anon 2  account\n"
             "    pte 0x600000 -> frame %s (cow, dirty, 2 maps)\n"
             "    pte 0x601000 -> swap 0:17 (2 references)\n"
             "mm 1 LIVE  1 vmas  1 pages  charge 2  swapped 1\n"
             "  vma  0x600000-0x602000 rw- private  anon 1  account\n"
             "    pte 0x600000 -> frame %s (cow, dirty, 2 maps)\n"
             "    pte 0x601000 -> swap 0:17 (2 references)\n",
             frame, frame);
    assert_text(scene, expected);
    aspen_mm_put(child);
    scene_destroy(scene);
}

/* Memory that moved keeps its offsets, which say where it was. */
static void
test_dump_moved(void **unused)
{
    (void)unused;
    struct scene *scene = scene_create();
    struct aspen_mremap_args move = {
        .address = 0x600000,
        .old_bytes = 2 * PAGE,
        .new_bytes = 2 * PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = 0x700000,
    };
    uint64_t address;

    helper_import(scene->mm, 0x600000, 4, MAY_RW, NULL, 0);
    pages(scene, 0x600000, 4, ASPEN_IMPORT_ANON, 0, false);
    assert_int_equal(aspen_mremap(scene->mm, &move, &address), 0);
    aspen_inspect_mm(scene->mm, 0, collect, scene);
    assert_text(scene,
                "mm 1 LIVE  2 vmas  4 pages  charge 0\n"
                "  vma  0x602000-0x604000 rw- private  anon 1\n"
                "  vma  0x700000-0x702000 rw- private  anon 1 from 0x600000\n");
    scene_destroy(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),    cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_maps),      cmocka_unit_test(test_dump),
        cmocka_unit_test(test_dump_fork), cmocka_unit_test(test_dump_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
