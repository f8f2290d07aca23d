/* SPDX-License-Identifier: MIT */
/*
 * Import: every kind of page at every level it may have, what is refused, and
 * what is there after an error.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "space/vma.h"
#include "paging/table.h"
#include "machine/swap_map.h"
#include <aspen_posix.h>

static uint64_t
entry_at(struct aspen_mm *mm, uint64_t address, unsigned *level)
{
    struct aspen_slot slot;
    uint64_t entry = aspen_table_walk(mm, address, &slot);
    if (level)
        *level = slot.level;
    return entry;
}

static unsigned
bits_at(struct aspen_mm *mm, uint64_t address)
{
    unsigned level;
    uint64_t entry = entry_at(mm, address, &level);
    assert_true(aspen_entry_is_leaf(entry, level));
    return aspen_entry_bits(entry);
}

static struct aspen_frame *
frame_at(struct aspen_mm *mm, uint64_t address)
{
    uint64_t entry = entry_at(mm, address, NULL);
    return aspen_frame_at(mm->aspen, (uint32_t)aspen_entry_frame(entry));
}

/* ---- VMAs -------------------------------------------------------------- */

static int
try_vma(struct aspen_mm *mm, uint64_t start, uint64_t end, uint64_t flags,
        struct aspen_object *object, uint64_t offset_bytes)
{
    struct aspen_import_vma args = {
        .start = start,
        .end = end,
        .vm_flags = flags,
        .object = object,
        .offset_bytes = offset_bytes,
    };
    return aspen_import_vma(mm, &args);
}

static void
a_vma_is_taken_as_it_is(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, MIB);
    const uint64_t charged = MAY_RW | ASPEN_VM_ACCOUNT | ASPEN_VM_LOCKED;
    (void)state;

    assert_int_equal(try_vma(mm, MIB, MIB + 4 * PAGE, charged, NULL, 99), 0);
    assert_int_equal(
        try_vma(mm, MIB + 4 * PAGE, MIB + 6 * PAGE, charged, NULL, 0), 0);
    assert_int_equal(
        try_vma(mm, 2 * MIB, 2 * MIB + PAGE, MAY_RW, file, 7 * PAGE), 0);
    struct aspen_vma *vma = aspen_vma_at(mm, MIB);
    assert_int_equal(vma->end, MIB + 4 * PAGE); /* not merged */
    assert_int_equal(vma->pgoff, MIB / PAGE);
    assert_int_equal(vma->flags, charged);
    assert_null(vma->anon_vma);
    vma = aspen_vma_at(mm, 2 * MIB);
    assert_ptr_equal(vma->object, file);
    assert_int_equal(vma->pgoff, 7);
    assert_int_equal(file->references, 2);
    struct aspen_mm_counters counters = helper_counters(mm);
    assert_int_equal(counters.vmas, 3);
    assert_int_equal(counters.total_pages, 7);
    assert_int_equal(counters.data_pages, 7);
    assert_int_equal(counters.locked_pages, 6);
    assert_int_equal(helper_counts(aspen).committed_pages, 6);
    aspen_mm_put(mm);
    assert_int_equal(helper_counts(aspen).committed_pages, 0);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
vmas_that_make_no_sense_are_refused(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, MIB);
    struct aspen_object *huge =
        helper_new_object(aspen, ASPEN_OBJECT_HUGETLB, GIB);
    static const struct aspen_special special = {.name = "[special]"};
    const uint64_t top = mm->address_limit;
    struct aspen_counters before;
    (void)state;

    assert_int_equal(try_vma(mm, MIB, 2 * MIB, MAY_RW, NULL, 0), 0);
    before = helper_counts(aspen);
    assert_int_equal(
        aspen_import_vma(mm, &(struct aspen_import_vma){.start = PAGE,
                                                        .end = 2 * PAGE,
                                                        .vm_flags = MAY_RW,
                                                        .flags = 4}),
        -ASPEN_EINVAL);
    assert_int_equal(
        aspen_import_vma(
            mm, &(struct aspen_import_vma){.start = PAGE,
                                           .end = 2 * PAGE,
                                           .vm_flags = R | ASPEN_VM_SPECIAL,
                                           .special = &special}),
        -ASPEN_EINVAL); /* DONTEXPAND is missing */
    helper_assert_counts(aspen, &before);
    const struct {
        uint64_t start, end, flags;
        struct aspen_object *object;
        uint64_t offset_bytes;
        int error;
    } bad[] = {
        {PAGE + 1, 2 * PAGE, MAY_RW, NULL, 0, -ASPEN_EINVAL},
        {PAGE, 2 * PAGE + 8, MAY_RW, NULL, 0, -ASPEN_EINVAL},
        {PAGE, PAGE, MAY_RW, NULL, 0, -ASPEN_EINVAL},
        {PAGE, 2 * PAGE, ASPEN_VM_READ | ASPEN_VM_WRITE, NULL, 0,
         -ASPEN_EINVAL}, /* MAYWRITE is missing */
        {PAGE, 2 * PAGE, MAY_RW | ASPEN_FLAG(23), NULL, 0, -ASPEN_EINVAL},
        {4 * MIB, 6 * MIB, MAY_RW | ASPEN_VM_HUGETLB, NULL, 0, -ASPEN_EINVAL},
        {4 * MIB, 6 * MIB, MAY_RW | ASPEN_VM_HUGETLB, file, 0, -ASPEN_EINVAL},
        {4 * MIB, 6 * MIB, MAY_RW, huge, 0, -ASPEN_EINVAL},
        {2 * PAGE, PAGE, MAY_RW, NULL, 0, -ASPEN_EINVAL},
        {top, top + PAGE, MAY_RW, NULL, 0, -ASPEN_EINVAL},
        {top - PAGE, top + PAGE, MAY_RW, NULL, 0, -ASPEN_EINVAL},
        {PAGE, 2 * PAGE, MAY_RW | ASPEN_VM_SHARED, NULL, 0, -ASPEN_EINVAL},
        {PAGE, 2 * PAGE, MAY_RW, file, PAGE / 2, -ASPEN_EINVAL},
        {PAGE, 9 * PAGE, MAY_RW, file, 0 - 8 * (uint64_t)PAGE, -ASPEN_EINVAL},
        {MIB - PAGE, MIB + PAGE, MAY_RW, NULL, 0, -ASPEN_EEXIST},
        {2 * MIB - PAGE, 2 * MIB, MAY_RW, NULL, 0, -ASPEN_EEXIST},
        {PAGE, 4 * MIB, MAY_RW, NULL, 0, -ASPEN_EEXIST},
    };
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(bad); i++) {
        assert_int_equal(try_vma(mm, bad[i].start, bad[i].end, bad[i].flags,
                                 bad[i].object, bad[i].offset_bytes),
                         bad[i].error);
        helper_assert_counts(aspen, &before);
    }
    assert_int_equal(try_vma(mm, 0, PAGE, MAY_RW, NULL, 0), 0);
    assert_int_equal(try_vma(mm, top - PAGE, top, MAY_RW, NULL, 0), 0);
    aspen_mm_put(mm);
    aspen_object_put(huge);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
limits_hold(void **state)
{
    struct aspen_config config = helper_config(256);
    struct aspen *aspen;
    (void)state;

    config.map_count_max = 2;
    config.overcommit = ASPEN_OVERCOMMIT_NEVER; /* below 128 pages */
    aspen = helper_machine_from(&config);
    struct aspen_mm *mm = helper_new_mm(aspen);
    const uint64_t charged = MAY_RW | ASPEN_VM_ACCOUNT;
    assert_int_equal(try_vma(mm, MIB, MIB + 128 * PAGE, charged, NULL, 0),
                     -ASPEN_ENOMEM);
    assert_int_equal(try_vma(mm, MIB, MIB + 127 * PAGE, charged, NULL, 0), 0);
    assert_int_equal(try_vma(mm, 2 * MIB, 3 * MIB, MAY_RW, NULL, 0), 0);
    /* One more than the limit, as mmap makes. */
    assert_int_equal(try_vma(mm, 3 * MIB, 4 * MIB, MAY_RW, NULL, 0), 0);
    assert_int_equal(try_vma(mm, 4 * MIB, 5 * MIB, MAY_RW, NULL, 0),
                     -ASPEN_ENOMEM);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

/* No page is there, and yet it is one. */
static void
a_part_of_a_huge_page_is_refused(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *huge =
        helper_new_object(aspen, ASPEN_OBJECT_HUGETLB, GIB);
    (void)state;

    assert_int_equal(
        try_vma(mm, GIB, GIB + 4 * MIB, MAY_RW | ASPEN_VM_HUGETLB, huge, 0), 0);
    assert_int_equal(aspen_munmap(mm, GIB, PAGE), -ASPEN_EINVAL);
    assert_int_equal(
        aspen_mprotect(mm, GIB, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_madvise(mm, GIB + PAGE, MIB, ASPEN_MADV_DONTFORK),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_madvise(mm, GIB + PAGE, MIB, ASPEN_MADV_DONTNEED),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_madvise(mm, GIB, PAGE, ASPEN_MADV_DONTNEED), 0);
    assert_int_equal(mm->map_count, 1);
    assert_int_equal(aspen_munmap(mm, GIB, 2 * MIB), 0);
    aspen_object_put(huge);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

struct opening {
    int error;
    int opened;
};

static int
open_it(void *context, struct aspen_vma *vma)
{
    struct opening *opening = context;
    assert_int_equal(vma->end - vma->start, PAGE);
    opening->opened += !opening->error;
    return opening->error;
}

static void
close_it(void *context, struct aspen_vma *vma)
{
    (void)vma;
    ((struct opening *)context)->opened--;
}

static const struct aspen_pager_ops opening_ops = {
    .open = open_it,
    .close = close_it,
};

static void
an_object_may_refuse(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct opening opening = {.error = -ASPEN_EPERM};
    struct aspen_object_args args = {
        .size_bytes = MIB, .pager = &opening_ops, .context = &opening};
    struct aspen_object *file = NULL;
    (void)state;

    assert_int_equal(aspen_object_create(aspen, &args, &file), 0);
    struct aspen_counters before = helper_counts(aspen);
    assert_int_equal(try_vma(mm, MIB, MIB + PAGE, MAY_RW, file, 0),
                     -ASPEN_EPERM);
    helper_assert_counts(aspen, &before);
    assert_int_equal(file->references, 1);
    opening.error = 0;
    assert_int_equal(try_vma(mm, MIB, MIB + PAGE, MAY_RW, file, 0), 0);
    assert_int_equal(opening.opened, 1);
    aspen_mm_put(mm);
    assert_int_equal(opening.opened, 0);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

/* ---- Pages ------------------------------------------------------------- */

static void
anonymous_pages_are_exclusive_and_clear(void **state)
{
    struct aspen *aspen = helper_machine(4096);
    static const unsigned char zero[PAGE];
    const uint64_t count = 1200; /* four tables */
    (void)state;

    memset(aspen->config.direct_map, 0xee, 4096 * PAGE);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_vma *vma =
        helper_import(mm, 2 * MIB - 8 * PAGE, count, MAY_RW, NULL, 0);
    assert_int_equal(
        helper_import_pages(mm, vma->start, count, ASPEN_IMPORT_ANON, 0), 0);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t address = vma->start + i * PAGE;
        struct aspen_frame *frame = frame_at(mm, address);
        assert_int_equal(aspen_frame_type(frame), ASPEN_FRAME_ANON);
        assert_int_equal(frame->owner, (uintptr_t)vma->anon_vma);
        assert_int_equal(aspen_frame_offset(frame), vma->pgoff + i);
        assert_int_equal(frame->counts, ASPEN_FRAME_REF + ASPEN_FRAME_MAP +
                                            ASPEN_FRAME_EXCLUSIVE);
        assert_true(bits_at(mm, address) & ASPEN_ENTRY_WRITE);
        uint32_t number = aspen_frame_number(aspen, frame);
        assert_memory_equal(aspen_frame_pointer(aspen, number), zero, PAGE);
    }
    assert_int_equal(helper_counters(mm).anon_pages, count);
    assert_int_equal(helper_counters(mm).page_tables,
                     4 + PATH_TABLES - 1); /* 4 last, one each above */
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
every_kind_has_its_entry(void **state)
{
    struct aspen *aspen = helper_machine(1024);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, MIB);
    struct aspen_object *shmem =
        helper_new_object(aspen, ASPEN_OBJECT_SHMEM, MIB);
    const uint64_t ro = MAY_RW & ~ASPEN_VM_WRITE;
    const uint64_t raw = MAY_RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP;
    unsigned type;
    (void)state;

    assert_int_equal(aspen_swap_area_add(aspen, 64, &type), 0);
    helper_import(mm, MIB, 8, MAY_RW, NULL, 0);
    helper_import(mm, 2 * MIB, 8, MAY_RW, file, 3);
    helper_import(mm, 3 * MIB, 8, MAY_RW | ASPEN_VM_SHARED, shmem, 0);
    helper_import(mm, 4 * MIB, 8, raw, file, 0);
    helper_import(mm, 5 * MIB, 8, ro, NULL, 0);

    assert_int_equal(helper_import_pages(mm, MIB, 1, ASPEN_IMPORT_ZERO, 0), 0);
    unsigned bits = bits_at(mm, MIB);
    assert_true(bits & ASPEN_ENTRY_SPECIAL);
    assert_false(bits & ASPEN_ENTRY_WRITE);
    assert_int_equal(aspen_entry_frame(entry_at(mm, MIB, NULL)), 0);

    assert_int_equal(
        helper_import_pages(mm, MIB + PAGE, 1, ASPEN_IMPORT_GUARD, 0), 0);
    uint64_t entry = entry_at(mm, MIB + PAGE, NULL);
    assert_true(aspen_entry_is_marker(entry));
    assert_int_equal(aspen_entry_marker(entry), ASPEN_MARKER_GUARD);
    assert_non_null(aspen_vma_at(mm, MIB)->anon_vma);

    struct aspen_import_pages swap = {.address = MIB + 2 * PAGE,
                                      .count = 3,
                                      .kind = ASPEN_IMPORT_SWAP,
                                      .swap_slot = 40};
    uint64_t done;
    assert_int_equal(helper_counts(aspen).mms_swap_list, 0);
    assert_int_equal(aspen_import_pages(mm, &swap, &done), 0);
    entry = entry_at(mm, MIB + 4 * PAGE, NULL);
    assert_true(aspen_entry_is_swap(entry));
    assert_int_equal(aspen_entry_swap_slot(entry), 42);
    assert_int_equal(aspen_swap_references(aspen, 0, 42), 1);
    assert_int_equal(helper_counts(aspen).mms_swap_list, 1);
    assert_int_equal(helper_counters(mm).swap_pages, 3);

    assert_int_equal(
        helper_import_pages(mm, 2 * MIB, 2, ASPEN_IMPORT_OBJECT, 0), 0);
    assert_false(bits_at(mm, 2 * MIB) & ASPEN_ENTRY_WRITE);
    assert_int_equal(aspen_frame_offset(frame_at(mm, 2 * MIB + PAGE)), 4);
    assert_int_equal(frame_at(mm, 2 * MIB)->counts,
                     2 * ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
    assert_int_equal(helper_counters(mm).file_pages, 2);
    assert_null(aspen_vma_at(mm, 2 * MIB)->anon_vma);

    assert_int_equal(
        helper_import_pages(mm, 3 * MIB, 4, ASPEN_IMPORT_OBJECT, 0), 0);
    assert_int_equal(helper_counters(mm).shmem_pages, 4);
    assert_false(bits_at(mm, 3 * MIB) & ASPEN_ENTRY_WRITE);
    struct aspen_import_pages dirty = {.address = 3 * MIB + 4 * PAGE,
                                       .count = 1,
                                       .kind = ASPEN_IMPORT_OBJECT,
                                       .dirty = true};
    assert_int_equal(aspen_import_pages(mm, &dirty, &done), 0);
    bits = bits_at(mm, 3 * MIB + 4 * PAGE);
    assert_true(bits & ASPEN_ENTRY_WRITE && bits & ASPEN_ENTRY_DIRTY);

    struct aspen_import_pages frames = {.address = 4 * MIB,
                                        .count = 2,
                                        .kind = ASPEN_IMPORT_RAW,
                                        .first_raw = 0xfee00};
    assert_int_equal(aspen_import_pages(mm, &frames, &done), 0);
    assert_int_equal(aspen_entry_frame(entry_at(mm, 4 * MIB + PAGE, NULL)),
                     0xfee01);
    bits = bits_at(mm, 4 * MIB);
    assert_true(bits & ASPEN_ENTRY_SPECIAL && bits & ASPEN_ENTRY_WRITE);

    assert_int_equal(helper_import_pages(mm, 5 * MIB, 1, ASPEN_IMPORT_ANON, 0),
                     0);
    assert_false(bits_at(mm, 5 * MIB) & ASPEN_ENTRY_WRITE);
    assert_int_equal(helper_counters(mm).anon_pages, 1);

    aspen_mm_put(mm);
    assert_int_equal(helper_counts(aspen).swap_references, 0);
    aspen_object_put(file);
    aspen_object_put(shmem);
    helper_machine_destroy(aspen);
}

static void
huge_leaves_of_both_levels(void **state)
{
    struct aspen_config config = helper_config(5u << 18);
    struct aspen *aspen;
    (void)state;

    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    aspen = helper_machine_from(&config);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *huge =
        helper_new_object(aspen, ASPEN_OBJECT_HUGETLB, GIB);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, GIB);
    struct aspen_counters before = helper_counts(aspen);
    unsigned level;

    helper_import(mm, GIB, 2 * GIB / PAGE, MAY_RW, NULL, 0);
    helper_import(mm, 8 * GIB, GIB / PAGE,
                  MAY_RW | ASPEN_VM_SHARED | ASPEN_VM_HUGETLB, huge, 0);
    helper_import(mm, 16 * GIB, 1024, MAY_RW, file, 512);
    assert_int_equal(helper_import_pages(mm, GIB, 1, ASPEN_IMPORT_ANON, 2), 0);
    assert_int_equal(helper_import_pages(mm, 2 * GIB, 3, ASPEN_IMPORT_ANON, 1),
                     0);
    uint64_t entry = entry_at(mm, GIB + 5 * PAGE, &level);
    assert_int_equal(level, 2);
    assert_true(aspen_entry_is_leaf(entry, 2));
    assert_int_equal(
        aspen_frame_order(aspen, (uint32_t)aspen_entry_frame(entry)), 18);
    assert_int_equal(aspen_frame_offset(frame_at(mm, 2 * GIB + 2 * MIB)),
                     (2 * GIB + 2 * MIB) / PAGE);
    assert_int_equal(helper_counters(mm).anon_pages, (1u << 18) + 3 * 512);

    /* hugetlb pages are not counted as resident, as in Linux. */
    assert_int_equal(
        helper_import_pages(mm, 8 * GIB, 2, ASPEN_IMPORT_OBJECT, 1), 0);
    assert_int_equal(helper_counters(mm).file_pages, 0);
    assert_int_equal(huge->pages.count, 2);
    assert_int_equal(
        helper_import_pages(mm, 16 * GIB, 2, ASPEN_IMPORT_OBJECT, 1), 0);
    assert_int_equal(helper_counters(mm).file_pages, 1024);

    assert_int_equal(
        helper_import_pages(mm, GIB + PAGE, 1, ASPEN_IMPORT_ANON, 0),
        -ASPEN_EEXIST); /* below a leaf */
    assert_int_equal(helper_import_pages(mm, 2 * GIB, 1, ASPEN_IMPORT_ANON, 1),
                     -ASPEN_EEXIST);
    assert_int_equal(
        helper_import_pages(mm, 2 * GIB + PAGE, 1, ASPEN_IMPORT_ANON, 1),
        -ASPEN_EINVAL); /* not aligned */
    aspen_mm_put(mm);
    aspen_object_put(huge);
    aspen_object_put(file);
    assert_int_equal(helper_counts(aspen).frames_free, before.frames_free + 1);
    helper_machine_destroy(aspen);
}

static void
pages_that_do_not_fit_are_refused(void **state)
{
    struct aspen *aspen = helper_machine(4096);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, MIB);
    struct aspen_object *device =
        helper_new_object(aspen, ASPEN_OBJECT_DEVICE, MIB);
    struct aspen_object *huge =
        helper_new_object(aspen, ASPEN_OBJECT_HUGETLB, GIB);
    const uint64_t shared = MAY_RW | ASPEN_VM_SHARED;
    unsigned type;
    (void)state;

    assert_int_equal(aspen_swap_area_add(aspen, 8, &type), 0);
    helper_import(mm, 2 * MIB, 1024, MAY_RW, NULL, 0);
    helper_import(mm, 8 * MIB, 512, shared, file, 0);
    helper_import(mm, 16 * MIB, 512, shared | ASPEN_VM_PFNMAP, device, 0);
    helper_import(mm, 32 * MIB, 512, MAY_RW | ASPEN_VM_HUGETLB, huge, 0);
    struct aspen_counters before = helper_counts(aspen);
    const struct aspen_import_pages bad[] = {
        {.address = 2 * MIB + 1, .count = 1},
        {.address = MIB, .count = 1},
        {.address = 2 * MIB, .count = 1025},
        {.address = 2 * MIB, .count = UINT64_MAX},
        {.address = 2 * MIB, .count = 1, .level = 3},
        {.address = 2 * MIB, .count = 3, .level = 1},
        {.address = UINT64_MAX - 4095, .count = 1},
        {.address = 2 * MIB, .count = 1, .kind = ASPEN_IMPORT_OBJECT},
        {.address = 2 * MIB, .count = 1, .kind = ASPEN_IMPORT_RAW},
        {.address = 2 * MIB, .count = 1, .kind = ASPEN_IMPORT_ZERO, .level = 1},
        {.address = 2 * MIB, .count = 1, .kind = ASPEN_IMPORT_SWAP, .level = 1},
        {.address = 2 * MIB,
         .count = 1,
         .kind = ASPEN_IMPORT_GUARD,
         .level = 1},
        {.address = 2 * MIB, .count = 1, .kind = (enum aspen_import_kind)9},
        {.address = 2 * MIB,
         .count = 2,
         .kind = ASPEN_IMPORT_SWAP,
         .swap_slot = UINT32_MAX},
        {.address = 2 * MIB,
         .count = 1,
         .kind = ASPEN_IMPORT_SWAP,
         .swap_slot = 8},
        {.address = 2 * MIB,
         .count = 1,
         .kind = ASPEN_IMPORT_SWAP,
         .swap_type = 1},
        {.address = 8 * MIB, .count = 1, .kind = ASPEN_IMPORT_ANON},
        {.address = 8 * MIB, .count = 1, .kind = ASPEN_IMPORT_ZERO},
        {.address = 8 * MIB, .count = 1, .kind = ASPEN_IMPORT_SWAP},
        {.address = 32 * MIB, .count = 1, .kind = ASPEN_IMPORT_ANON},
        {.address = 32 * MIB, .count = 1, .kind = ASPEN_IMPORT_OBJECT},
        {.address = 32 * MIB, .count = 1, .kind = ASPEN_IMPORT_ZERO},
        {.address = 16 * MIB, .count = 1, .kind = ASPEN_IMPORT_OBJECT},
        {.address = 16 * MIB, .count = 1, .kind = ASPEN_IMPORT_RAW},
        {.address = 16 * MIB,
         .count = 2,
         .kind = ASPEN_IMPORT_RAW,
         .first_raw = (1ull << ASPEN_ENTRY_NUMBER_BITS) - 1},
        {.address = 16 * MIB,
         .count = 1,
         .kind = ASPEN_IMPORT_RAW,
         .level = 1,
         .first_raw = 511},
    };
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(bad); i++) {
        uint64_t done = 99;
        assert_int_equal(aspen_import_pages(mm, &bad[i], &done), -ASPEN_EINVAL);
        assert_int_equal(done, 0);
        assert_int_equal(helper_counts(aspen).swap_references, 0);
    }
    assert_int_equal(before.mms_swap_list, helper_counts(aspen).mms_swap_list);
    assert_int_equal(helper_counters(mm).anon_pages, 0);
    aspen_mm_put(mm);
    aspen_object_put(file);
    aspen_object_put(device);
    aspen_object_put(huge);
    helper_machine_destroy(aspen);
}

/* ---- What is there after an error -------------------------------------- */

static void
assert_stops_at(struct aspen_mm *mm, const struct aspen_import_pages *pages,
                int error, uint64_t expected)
{
    uint64_t done = 99;
    assert_int_equal(aspen_import_pages(mm, pages, &done), error);
    assert_int_equal(done, expected);
    for (uint64_t i = 0; i < expected; i++)
        assert_true(entry_at(mm, pages->address + i * PAGE, NULL));
}

static void
an_entry_in_the_way_stops_it(void **state)
{
    struct aspen *aspen = helper_machine(4096);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, GIB);
    unsigned type;
    (void)state;

    assert_int_equal(aspen_swap_area_add(aspen, 1000, &type), 0);
    helper_import(mm, 2 * MIB, 1000, MAY_RW, NULL, 0);
    helper_import(mm, 8 * MIB, 1000, MAY_RW, file, 0);
    assert_int_equal(
        helper_import_pages(mm, 2 * MIB + 600 * PAGE, 1, ASPEN_IMPORT_ZERO, 0),
        0);
    assert_int_equal(
        helper_import_pages(mm, 8 * MIB + 77 * PAGE, 1, ASPEN_IMPORT_ZERO, 0),
        0);
    struct aspen_import_pages pages = {.address = 2 * MIB, .count = 1000};
    assert_stops_at(mm, &pages, -ASPEN_EEXIST, 600);
    assert_int_equal(helper_counters(mm).anon_pages, 600);
    uint64_t used = helper_counts(aspen).frames_free;

    pages.kind = ASPEN_IMPORT_SWAP; /* nothing is claimed that is not stored */
    pages.address += 590 * PAGE;
    pages.count = 50;
    assert_stops_at(mm, &pages, -ASPEN_EEXIST, 0);
    pages.address = 2 * MIB + 601 * PAGE;
    pages.count = 399;
    pages.swap_slot = 900;
    assert_stops_at(mm, &pages, -ASPEN_EINVAL, 100);
    assert_int_equal(helper_counts(aspen).swap_references, 100);
    assert_int_equal(helper_counters(mm).swap_pages, 100);
    assert_int_equal(helper_counts(aspen).frames_free, used);

    pages.kind = ASPEN_IMPORT_GUARD; /* only what is there is noted */
    pages.address = 2 * MIB;
    pages.count = 1;
    assert_stops_at(mm, &pages, -ASPEN_EEXIST, 0);
    assert_int_equal(aspen_vma_at(mm, 2 * MIB)->guarded, 0);

    pages.kind = ASPEN_IMPORT_OBJECT;
    pages.address = 8 * MIB;
    pages.count = 100;
    assert_stops_at(mm, &pages, -ASPEN_EEXIST, 77);
    struct aspen_frame *last = frame_at(mm, 8 * MIB + 76 * PAGE);
    assert_int_equal(aspen_frame_map_count(last), 1);
    aspen_mm_put(mm);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
the_end_of_the_object_stops_it(void **state)
{
    for (unsigned tables_only = 0; tables_only < 2; tables_only++) {
        struct aspen_config config = helper_config(1024);
        config.flags = tables_only ? ASPEN_CONFIG_TABLES_ONLY : 0;
        struct aspen *aspen = helper_machine_from(&config);
        struct aspen_mm *mm = helper_new_mm(aspen);
        struct aspen_object *file =
            helper_new_object(aspen, ASPEN_OBJECT_FILE, 9 * PAGE);
        struct aspen_import_pages pages = {
            .address = MIB, .count = 10, .kind = ASPEN_IMPORT_OBJECT};
        helper_import(mm, MIB, 16, MAY_RW, file, 2);
        assert_stops_at(mm, &pages, -ASPEN_EFBIG, 7);
        aspen_mm_put(mm);
        aspen_object_put(file);
        helper_machine_destroy(aspen);
    }
    (void)state;
}

static void
no_frame_left_stops_it(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_import_pages pages = {.address = 2 * MIB, .count = 400};
    uint64_t done;
    (void)state;

    helper_import(mm, 2 * MIB, 400, MAY_RW, NULL, 0);
    assert_int_equal(aspen_import_pages(mm, &pages, &done), -ASPEN_ENOMEM);
    assert_int_equal(helper_counts(aspen).frames_free, 0);
    assert_int_equal(helper_counters(mm).anon_pages, done);
    assert_int_equal(done, 256 - 1 - 1 - PATH_TABLES); /* page of zeroes, top */
    aspen_mm_put(mm);
    assert_int_equal(helper_counts(aspen).frames_free, 255);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vma_is_taken_as_it_is),
        cmocka_unit_test(vmas_that_make_no_sense_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_part_of_a_huge_page_is_refused),
        cmocka_unit_test(an_object_may_refuse),
        cmocka_unit_test(anonymous_pages_are_exclusive_and_clear),
        cmocka_unit_test(every_kind_has_its_entry),
        cmocka_unit_test(huge_leaves_of_both_levels),
        cmocka_unit_test(pages_that_do_not_fit_are_refused),
        cmocka_unit_test(an_entry_in_the_way_stops_it),
        cmocka_unit_test(the_end_of_the_object_stops_it),
        cmocka_unit_test(no_frame_left_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
