/* SPDX-License-Identifier: MIT */
/*
 * test_smaps.c - the parser of /proc/P/smaps on texts of several kernels:
 * fields come and go, names of special areas differ, paths hold anything.
 */
#define _GNU_SOURCE
#include "snapshot/smaps.h"

#include <aspen/flags.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 6.1: one [vvar], no VmFlags "gu"; a path with blanks, a deleted file. */
static const char linux_6_1[] =
    "00400000-00401000 r-xp 00002000 fd:01 123456                    "
    " /opt/my app/bin (x) (deleted)\n"
    "Size:                  4 kB\n"
    "KernelPageSize:        4 kB\n"
    "MMUPageSize:           4 kB\n"
    "Rss:                   4 kB\n"
    "Pss:                   4 kB\n"
    "Anonymous:             0 kB\n"
    "AnonHugePages:         0 kB\n"
    "Swap:                  0 kB\n"
    "VmFlags: rd ex mr mw me \n"
    "00500000-00700000 rw-p 00000000 00:00 0 \n"
    "Size:               2048 kB\n"
    "KernelPageSize:        4 kB\n"
    "Rss:                2040 kB\n"
    "Anonymous:          2040 kB\n"
    "AnonHugePages:         0 kB\n"
    "Swap:                  8 kB\n"
    "VmFlags: rd wr mr mw me ac \n"
    "7ffd1a5e0000-7ffd1a5e4000 r--p 00000000 00:00 0               "
    "           [vvar]\n"
    "Size:                 16 kB\n"
    "Rss:                   0 kB\n"
    "Swap:                  0 kB\n"
    "VmFlags: rd mr pf io de dd \n"
    "7ffd1a5e4000-7ffd1a5e6000 r-xp 00000000 00:00 0               "
    "           [vdso]\n"
    "Size:                  8 kB\n"
    "Rss:                   4 kB\n"
    "Swap:                  0 kB\n"
    "VmFlags: rd ex mr mw me de \n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0       "
    "           [vsyscall]\n"
    "Size:                  4 kB\n"
    "Rss:                   0 kB\n"
    "VmFlags: ex \n";

/* 6.18: [vvar_vclock], fields of later kernels, hugetlb, shared memory. */
static const char linux_6_18[] =
    "7f0000000000-7f0000400000 rw-s 00200000 00:0f 77   "
    "/anon_hugepage (deleted)\n"
    "Size:               4096 kB\n"
    "KernelPageSize:     2048 kB\n"
    "MMUPageSize:        2048 kB\n"
    "Rss:                   0 kB\n"
    "Pss_Dirty:             0 kB\n"
    "KSM:                   0 kB\n"
    "Shared_Hugetlb:     2048 kB\n"
    "Private_Hugetlb:    2048 kB\n"
    "Swap:                  0 kB\n"
    "ProtectionKey:         0\n"
    "VmFlags: rd wr sh mr mw me ms de ht \n"
    "7f0000400000-7f0000402000 rw-s 00000000 00:01 1024 "
    "/dev/zero (deleted)\n"
    "Rss:                   8 kB\n"
    "ShmemPmdMapped:        2 kB\n"
    "FilePmdMapped:         1 kB\n"
    "THPeligible:           0\n"
    "NewFieldOfTomorrow:   12 kB\n"
    "VmFlags: rd wr sh mr mw me ms lu zz \n"
    "7fff00000000-7fff00002000 r--p 00000000 00:00 0  [vvar_vclock]\n"
    "Rss:                   0 kB\n"
    "VmFlags: rd mr pf io de dd \n"
    "7fff00010000-7fff00031000 rw-p 00000000 00:00 0  [stack]\n"
    "Rss:                  16 kB\n"
    "VmFlags: rd wr mr mw me gd gu ac \n";

struct text {
    FILE *file;
    struct smaps_reader reader;
    struct smaps_area area;
    struct tool_error error;
};

static void
begin(struct text *text, const char *bytes)
{
    text->file = fmemopen((void *)(uintptr_t)bytes, strlen(bytes), "r");
    assert_non_null(text->file);
    smaps_begin(&text->reader, text->file);
}

static void
end(struct text *text)
{
    smaps_end(&text->reader);
    fclose(text->file);
}

static int
next(struct text *text)
{
    return smaps_next(&text->reader, &text->area, &text->error);
}

static uint32_t
object_of(struct snapshot *snapshot, const struct smaps_area *area)
{
    uint32_t object;

    assert_int_equal(smaps_object(snapshot, area, &object), 0);
    return object;
}

static void
test_6_1(void **state)
{
    struct snapshot snapshot;
    struct text text;
    uint32_t object;

    (void)state;
    assert_int_equal(snapshot_init(&snapshot), 0);
    begin(&text, linux_6_1);
    assert_int_equal(next(&text), 1);
    assert_int_equal(text.area.start, 0x400000);
    assert_int_equal(text.area.end, 0x401000);
    assert_int_equal(text.area.permissions,
                     SNAPSHOT_PERM_READ | SNAPSHOT_PERM_EXEC);
    assert_int_equal(text.area.offset, 0x2000);
    assert_int_equal(text.area.device, 0xfd00000001);
    assert_int_equal(text.area.inode, 123456);
    assert_string_equal(text.area.path, "/opt/my app/bin (x) (deleted)");
    assert_string_equal(text.area.vm_flags, "rd ex mr mw me");
    object = object_of(&snapshot, &text.area);
    assert_int_equal(snapshot.objects[object].kind, SNAPSHOT_OBJECT_FILE);
    assert_int_equal(next(&text), 1);
    assert_string_equal(text.area.path, "");
    assert_int_equal(text.area.rss_kb, 2040);
    assert_int_equal(text.area.anonymous_kb, 2040);
    assert_int_equal(text.area.swap_kb, 8);
    assert_int_equal(object_of(&snapshot, &text.area), SNAPSHOT_NO_OBJECT);
    assert_int_equal(next(&text), 1);
    object = object_of(&snapshot, &text.area);
    assert_int_equal(snapshot.objects[object].kind, SNAPSHOT_OBJECT_SPECIAL);
    assert_int_equal(next(&text), 1);
    assert_string_equal(text.area.path, "[vdso]");
    assert_int_not_equal(object_of(&snapshot, &text.area), object);
    assert_int_equal(next(&text), 0); /* [vsyscall] is no VMA */
    assert_int_equal(next(&text), 0);
    end(&text);
    snapshot_free(&snapshot);
}

static void
test_6_18(void **state)
{
    struct snapshot snapshot;
    struct text text;
    uint32_t object;

    (void)state;
    assert_int_equal(snapshot_init(&snapshot), 0);
    begin(&text, linux_6_18);
    assert_int_equal(next(&text), 1);
    assert_int_equal(text.area.page_kb, 2048);
    assert_int_equal(text.area.hugetlb_kb, 4096);
    object = object_of(&snapshot, &text.area);
    assert_int_equal(snapshot.objects[object].kind, SNAPSHOT_OBJECT_HUGETLB);
    assert_int_equal(next(&text), 1);
    assert_int_equal(text.area.page_kb, 4);
    assert_int_equal(text.area.file_huge_kb, 3);
    assert_true(text.area.permissions & SNAPSHOT_PERM_SHARED);
    object = object_of(&snapshot, &text.area);
    assert_int_equal(snapshot.objects[object].kind, SNAPSHOT_OBJECT_SHMEM);
    assert_int_equal(next(&text), 1);
    object = object_of(&snapshot, &text.area);
    assert_int_equal(snapshot.objects[object].kind, SNAPSHOT_OBJECT_SPECIAL);
    assert_int_equal(next(&text), 1);
    assert_true(snapshot_flags(text.area.permissions, text.area.vm_flags) &
                ASPEN_VM_GROWSDOWN);
    assert_int_equal(next(&text), 0);
    end(&text);
    snapshot_free(&snapshot);
}

/* One area that maps a file twice is one object; other inodes are others. */
static void
test_objects_by_key(void **state)
{
    static const char bytes[] = "1000-2000 r--p 00000000 08:01 5 /a\n"
                                "2000-3000 r-xp 00001000 08:01 5 /a\n"
                                "3000-4000 r--p 00000000 08:01 6 /a\n"
                                "4000-5000 r--p 00000000 08:02 5 /a\n";
    struct snapshot snapshot;
    struct text text;
    uint32_t objects[4];

    (void)state;
    assert_int_equal(snapshot_init(&snapshot), 0);
    begin(&text, bytes);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(next(&text), 1);
        objects[i] = object_of(&snapshot, &text.area);
    }
    assert_int_equal(next(&text), 0);
    assert_int_equal(objects[0], objects[1]);
    assert_int_not_equal(objects[0], objects[2]);
    assert_int_not_equal(objects[0], objects[3]);
    assert_int_equal(snapshot.object_count, 3);
    end(&text);
    snapshot_free(&snapshot);
}

/* Whichever key there can be. */
static void
test_keys(void **state)
{
    char bytes[128];
    struct text text;

    (void)state;
    for (unsigned key = 0; key < ASPEN_PKEYS_MAX; key++) {
        snprintf(bytes, sizeof(bytes),
                 "1000-2000 --xp 00000000 00:00 0\nProtectionKey: %u\n", key);
        begin(&text, bytes);
        assert_int_equal(next(&text), 1);
        assert_int_equal(text.area.permissions & SNAPSHOT_PERM_PKEY,
                         key << SNAPSHOT_PERM_PKEY_SHIFT);
        assert_int_equal(next(&text), 0);
        end(&text);
    }
}

static void
test_nothing(void **state)
{
    FILE *file = fopen("/dev/null", "re");
    struct smaps_reader reader;
    struct smaps_area area;
    struct tool_error error;

    (void)state;
    assert_non_null(file);
    smaps_begin(&reader, file);
    assert_int_equal(smaps_next(&reader, &area, &error), 0);
    smaps_end(&reader);
    fclose(file);
}

static void
test_nonsense(void **state)
{
    static const char *const lines[] = {
        "hello\n",
        "Rss: 4 kB\n",
        "1000\n",
        "1000-\n",
        "2000-1000 r--p 00000000 00:00 0\n",
        "1000-2000 r--\n",
        "1000-2000 r--x 00000000 00:00 0\n",
        "1000-2000 r--p 00000000 00-00 0\n",
        "10000000000000000-20000000000000000 r--p 0 0:0 0\n",
        "1000-2000 r--p 00000000 00:00 0\nRss: 4 kB\n}garbage\n",
        "1000-2000 r--p 00000000 00:00 0\nProtectionKey: 16\n",
        "1000-2000 r--p 00000000 00:00 0\nProtectionKey: 4294967296\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct text text;
        int got;

        begin(&text, lines[i]);
        while ((got = next(&text)) == 1)
            continue;
        assert_int_equal(got, -1);
        assert_null(strchr(text.error.text, '\n'));
        end(&text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_6_1),
        cmocka_unit_test(test_6_18),
        cmocka_unit_test(test_objects_by_key),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
