/* SPDX-License-Identifier: MIT */
/*
 * test_inspect.c - the formatter; maps, smaps and dumps against the exact
 * text they are to give; this process's own /proc/self/maps and smaps, built
 * by import and printed again, against the kernel's text.
 */
#include "unit.h"

#include "aspen_posix.h"
#include "inspect/text.h"
#include "internal.h"
#include <aspen/aspen.h>

#define PAGE   4096ull
#define MIB    (1ull << 20)
#define GIB    (1ull << 30)
#define FRAMES 4096u
#define R      (ASPEN_VM_READ | ASPEN_VM_MAYREAD)
#define MAY    (ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC)
#define RW     (ASPEN_VM_READ | ASPEN_VM_WRITE | MAY)
#define RX     (ASPEN_VM_READ | ASPEN_VM_EXEC | MAY)
#define SHARED (ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE)

/* ---- A machine, and what it prints ------------------------------------- */

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    void *direct_map;
    char text[65536];
    size_t length;
    unsigned pieces;
};

static void
collect(void *context, const char *text, size_t length)
{
    struct scene *scene = context;
    assert_true(scene->length + length < sizeof(scene->text));
    memcpy(scene->text + scene->length, text, length);
    scene->length += length;
    scene->text[scene->length] = 0;
    scene->pieces++;
}

static struct scene *
scene_create(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct aspen_config config;
    unsigned type;

    assert_non_null(scene);
    scene->direct_map = aspen_posix_direct_map_create(FRAMES);
    assert_non_null(scene->direct_map);
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = scene->direct_map;
    assert_int_equal(aspen_create(&config, &scene->aspen), 0);
    assert_int_equal(aspen_swap_area_add(scene->aspen, 64, &type), 0);
    assert_int_equal(aspen_mm_create(scene->aspen, &scene->mm), 0);
    return scene;
}

static void
scene_destroy(struct scene *scene)
{
    aspen_mm_put(scene->mm);
    assert_int_equal(aspen_destroy(scene->aspen), 0);
    aspen_posix_direct_map_destroy(scene->direct_map, FRAMES);
    free(scene);
}

static struct aspen_object *
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

static void
vma(struct scene *scene, uint64_t start, uint64_t pages, uint64_t flags,
    struct aspen_object *of, uint64_t pgoff)
{
    struct aspen_import_vma args = {
        .start = start,
        .end = start + pages * PAGE,
        .flags = flags,
        .object = of,
        .pgoff = pgoff,
    };
    assert_int_equal(aspen_import_vma(scene->mm, &args), 0);
}

static void
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

static void
assert_text(struct scene *scene, const char *expected)
{
    assert_string_equal(scene->text, expected);
    scene->length = 0;
    scene->text[0] = 0;
}

static const char *
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

    vma(scene, 0x1000, 1, R, unnamed, 0);
    vma(scene, 0x55b86c276000, 5, RX, file, 2);
    vma(scene, 0x55b86cfff000, 1, RW, NULL, 0); /* ends where brk starts */
    vma(scene, 0x55b86d000000, 33, RW, NULL, 0);
    vma(scene, 0x7f0000000000, 2, RW | SHARED, odd, 0x12345678);
    vma(scene, 0x7f0000002000, 1, MAY, NULL, 0);
    vma(scene, 0x7f0000010000, 1, RW, NULL, 0);
    vma(scene, 0x7f0000100000, 1, RW | ASPEN_VM_GROWSDOWN, NULL, 0);
    vma(scene, 0x7ffd4be4e000, 33, RW | ASPEN_VM_GROWSDOWN, NULL, 0);
    vma(scene, 0x7ffd4bff0000, 4,
        ASPEN_VM_READ | ASPEN_VM_MAYREAD | ASPEN_VM_SPECIAL | ASPEN_VM_PFNMAP,
        NULL, 0);
    vma(scene, 0x7ffd4bff4000, 2, RX | ASPEN_VM_SPECIAL, NULL, 0);
    mm->layout.brk_start = 0x55b86d000000;
    mm->layout.brk = 0x55b86d020800;
    assert_int_equal(aspen_name_anon(mm, 0x7f0000010000, PAGE, "arena 1"), 0);
    assert_int_equal(aspen_name_anon(mm, 0x55b86d000000, PAGE, "my heap"), 0);
    assert_int_equal(aspen_name_anon(mm, 0x7ffd4bff4000, 2 * PAGE, "mine"), 0);

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

/* ---- smaps ------------------------------------------------------------- */

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

    vma(scene, 0x55b86c27f000, 1, RW | ASPEN_VM_ACCOUNT, file, 10);
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
    vma(scene, 0x400000, 16, RW | ASPEN_VM_LOCKED | ASPEN_VM_ACCOUNT, NULL, 0);
    pages(scene, 0x400000, 4, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x404000, 2, ASPEN_IMPORT_ANON, 0, false);
    pages(scene, 0x406000, 1, ASPEN_IMPORT_ZERO, 0, false);
    pages(scene, 0x407000, 1, ASPEN_IMPORT_GUARD, 0, false);
    pages(scene, 0x408000, 3, ASPEN_IMPORT_SWAP, 0, false);
    /* The same two object pages twice. */
    vma(scene, 0x500000, 2, RW | SHARED, shmem, 0);
    pages(scene, 0x500000, 2, ASPEN_IMPORT_OBJECT, 0, true);
    vma(scene, 0x600000, 2, R | SHARED, shmem, 0);
    pages(scene, 0x600000, 2, ASPEN_IMPORT_OBJECT, 0, false);
    /* Raw frames count nowhere. */
    vma(scene, 0x700000, 2, R | ASPEN_VM_PFNMAP | ASPEN_VM_IO, NULL, 0);
    pages(scene, 0x700000, 2, ASPEN_IMPORT_RAW, 0, false);
    /* A huge page and a hugetlb page. */
    vma(scene, 0x40000000, 1024, RW | ASPEN_VM_HUGEPAGE, NULL, 0);
    pages(scene, 0x40000000, 1, ASPEN_IMPORT_ANON, 1, true);
    vma(scene, 0x80000000, 1024, RW | SHARED | ASPEN_VM_HUGETLB, huge, 0);
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

    vma(scene, 0x400000, 4, RW, NULL, 0);
    pages(scene, 0x400000, 2, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x402000, 2, ASPEN_IMPORT_SWAP, 0, false);
    /* A private mapping that has room for one huge page, and has it. */
    vma(scene, 0x40000000, 512, RW | ASPEN_VM_HUGEPAGE, shmem, 0);
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
        all |= ASPEN_FLAG(bit);
    struct aspen_object *file = object(scene, ASPEN_OBJECT_FILE, 1, 1, "f");
    vma(scene, 0x400000, 1, all, file, 0);
    aspen_inspect_smaps(scene->mm, collect, scene);
    const char *line = strstr(scene->text, "VmFlags:");
    assert_string_equal(
        line, "VmFlags: rd wr ex sh mr mw me ms gd um pf uw lo io sr "
              "rr dc de lf ac nr ht sf wf dd sd mm hg nh mg ui sl \n");
    aspen_object_put(file);
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

    aspen_inspect_mm(scene->mm, true, collect, scene);
    assert_text(scene, "mm 1 LIVE  0 vmas  0 pages  charge 0\n");

    vma(scene, 0x400000, 2, RX, file, 0);
    pages(scene, 0x401000, 1, ASPEN_IMPORT_OBJECT, 0, false);
    vma(scene, 0x600000, 6, RW | ASPEN_VM_ACCOUNT, NULL, 0);
    pages(scene, 0x600000, 1, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x601000, 1, ASPEN_IMPORT_SWAP, 0, false);
    pages(scene, 0x602000, 1, ASPEN_IMPORT_ZERO, 0, false);
    pages(scene, 0x603000, 1, ASPEN_IMPORT_GUARD, 0, false);
    vma(scene, 0x700000, 1, RW | SHARED | ASPEN_VM_PFNMAP | ASPEN_VM_IO, device,
        3);
    pages(scene, 0x700000, 1, ASPEN_IMPORT_RAW, 0, true);
    vma(scene, 0x800000, 1, RW | ASPEN_VM_DONTCOPY | ASPEN_VM_LOCKED, NULL, 0);
    vma(scene, 0x40000000, 512, RW, NULL, 0);
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
    aspen_inspect_mm(scene->mm, true, collect, scene);
    assert_text(scene, expected);

    aspen_inspect_mm(scene->mm, false, collect, scene);
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

    vma(scene, 0x600000, 2, RW | ASPEN_VM_ACCOUNT, NULL, 0);
    pages(scene, 0x600000, 1, ASPEN_IMPORT_ANON, 0, true);
    pages(scene, 0x601000, 1, ASPEN_IMPORT_SWAP, 0, false);
    aspen_inspect_mm(scene->mm, false, collect, scene);
    scene->length = 0;
    assert_int_equal(aspen_fork(scene->mm, &child), 0);
    aspen_inspect_mm(child, true, collect, scene);
    aspen_inspect_mm(scene->mm, true, collect, scene);
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

    vma(scene, 0x600000, 4, RW, NULL, 0);
    pages(scene, 0x600000, 4, ASPEN_IMPORT_ANON, 0, false);
    assert_int_equal(aspen_mremap(scene->mm, &move, &address), 0);
    aspen_inspect_mm(scene->mm, false, collect, scene);
    assert_text(scene,
                "mm 1 LIVE  2 vmas  4 pages  charge 0\n"
                "  vma  0x602000-0x604000 rw- private  anon 1\n"
                "  vma  0x700000-0x702000 rw- private  anon 1 from 0x600000\n");
    scene_destroy(scene);
}

/* ---- The kernel's own text --------------------------------------------- */

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
        vma(scene, area->start, (area->end - area->start) / PAGE,
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
    vma(scene, 0x400000, 1, RW, NULL, 0);
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
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_smaps_exact),
        cmocka_unit_test(test_smaps_numbers),
        cmocka_unit_test(test_smaps_fork),
        cmocka_unit_test(test_smaps_flags),
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_dump_fork),
        cmocka_unit_test(test_dump_moved),
        cmocka_unit_test(test_maps_like_the_kernel),
        cmocka_unit_test(test_smaps_like_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
