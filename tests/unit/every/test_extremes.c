/* SPDX-License-Identifier: MIT */
/* Calls with numbers from the ends of what a number can be, each pair of an
 * address and a size: whatever they answer, nobody panics, the machine is valid
 * and lets itself be taken down. */
#include "helper.h"

#define BASE ((uint64_t)0x10000000)

struct extremes {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *object;
    uint32_t frames[64];
    char bytes[64 * 4096];
};

typedef void call(struct extremes *e, uint64_t at, uint64_t bytes);

#define IGNORE(what) (void)!(what)

static void
do_mmap(struct extremes *e, uint64_t at, uint64_t bytes)
{
    static const unsigned flags[] = {0, ASPEN_MAP_FIXED,
                                     ASPEN_MAP_FIXED_NOREPLACE, ASPEN_MAP_32BIT,
                                     ASPEN_MAP_ABOVE4G};
    uint64_t address;

    for (unsigned i = 0; i < 10; i++) {
        struct aspen_mmap_args args = {
            .address = at,
            .length_bytes = bytes,
            .vm_flags = RW,
            .flags = flags[i % 5],
            .object = i < 5 ? NULL : e->object,
            .offset_bytes = i < 5 ? 0 : at,
        };
        if (!aspen_mmap(e->mm, &args, &address))
            IGNORE(aspen_munmap(e->mm, address, bytes));
    }
}

static void
do_mremap(struct extremes *e, uint64_t at, uint64_t bytes)
{
    for (unsigned i = 0; i < 4; i++) {
        struct aspen_mremap_args args = {
            .address = i & 1 ? at : BASE,
            .old_bytes = i & 2 ? bytes : PAGE,
            .new_bytes = bytes,
            .flags = ASPEN_MREMAP_MAYMOVE | (i & 2 ? ASPEN_MREMAP_FIXED : 0),
            .new_address = at,
        };
        uint64_t address;
        IGNORE(aspen_mremap(e->mm, &args, &address));
    }
}

static void
do_ranges(struct extremes *e, uint64_t at, uint64_t bytes)
{
    IGNORE(aspen_mprotect(e->mm, at, bytes, R, ASPEN_PKEY_SAME));
    IGNORE(aspen_mlock(e->mm, at, bytes, 0));
    IGNORE(aspen_mlock(e->mm, at, bytes, ASPEN_MLOCK_ONFAULT));
    IGNORE(aspen_munlock(e->mm, at, bytes));
    IGNORE(aspen_msync(e->mm, at, bytes, ASPEN_MS_SYNC));
    IGNORE(aspen_name_anon(e->mm, at, bytes, "name"));
    IGNORE(aspen_munmap(e->mm, at, bytes));
}

static void
do_advice(struct extremes *e, uint64_t at, uint64_t bytes)
{
    for (unsigned advice = 0; advice < 110; advice++)
        IGNORE(aspen_madvise(e->mm, at, bytes, (enum aspen_advice)advice));
    for (unsigned inherit = 0; inherit < 6; inherit++)
        IGNORE(aspen_minherit(e->mm, at, bytes, (enum aspen_inherit)inherit));
}

static void
do_pages(struct extremes *e, uint64_t at, uint64_t bytes)
{
    uint64_t done;

    for (unsigned access = 0; access < 8; access++) {
        IGNORE(aspen_fault(e->mm, at, access));
        IGNORE(aspen_translate(e->mm, at, access, e->frames));
    }
    IGNORE(aspen_populate(e->mm, at, bytes, ASPEN_ACCESS_WRITE, &done));
    IGNORE(aspen_mincore(e->mm, at, bytes, (uint8_t *)e->bytes));
    IGNORE(aspen_read_memory(e->mm, at, e->bytes, bytes, 0, &done));
    IGNORE(aspen_write_memory(e->mm, at, e->bytes, bytes, ASPEN_MEMORY_FORCE,
                              &done));
    if (!aspen_pin_range(e->mm, at, bytes, ASPEN_PIN_WRITE, e->frames))
        helper_unpin(e->mm, e->frames, bytes / PAGE, ASPEN_UNPIN_DIRTY);
}

static void
do_raw(struct extremes *e, uint64_t at, uint64_t bytes)
{
    IGNORE(aspen_insert_raw(e->mm, at, bytes, true));
    IGNORE(aspen_insert_raw(e->mm, BASE + 32 * PAGE, bytes, true));
    IGNORE(aspen_remap_raw(e->mm, at, bytes, bytes));
    IGNORE(aspen_insert_page(e->mm, at));
}

static void
do_object(struct extremes *e, uint64_t at, uint64_t bytes)
{
    uint64_t done;

    IGNORE(aspen_object_read(e->object, at, e->bytes, 64, &done));
    IGNORE(aspen_object_write(e->object, at, e->bytes, bytes % 4096, &done));
    IGNORE(aspen_object_unmap(e->object, at, bytes, true));
    IGNORE(aspen_object_sync(e->object, at, bytes));
    IGNORE(aspen_object_error(e->object, &(uint32_t){(uint32_t)at}));
    IGNORE(aspen_object_punch(e->object, at, bytes));
    IGNORE(aspen_object_resize(e->object, at));
}

/* Four that there are, one more, and one whose number of pages wraps. */
static const unsigned levels[] = {0, 1, 2, 3, 4, UINT32_MAX / 9 + 1};

static void
do_import(struct extremes *e, uint64_t at, uint64_t bytes)
{
    const uint64_t raw = BASE + 64 * PAGE, places[] = {BASE, at, raw};
    struct aspen_import_vma vma = {
        .start = at, .end = bytes, .vm_flags = MAY_RW};
    struct aspen_import_vma of_object = {
        .start = raw - 16 * PAGE,
        .end = raw,
        .vm_flags = MAY_RW,
        .object = e->object,
        .offset_bytes = at,
    };
    struct aspen_import_vma of_raw = {
        .start = raw,
        .end = raw + 2 * MIB,
        .vm_flags = MAY_RW | ASPEN_VM_PFNMAP,
    };
    uint64_t done;

    IGNORE(aspen_import_vma(e->mm, &vma));
    IGNORE(aspen_import_vma(e->mm, &of_object));
    IGNORE(aspen_import_vma(e->mm, &of_raw));
    for (unsigned i = 0; i < 6 * 7 * 3; i++) {
        struct aspen_import_pages pages = {
            .address = places[i / 42],
            .count = bytes < PAGE ? bytes % 64 : bytes,
            .level = levels[i / 7 % 6],
            .kind = (enum aspen_import_kind)(i % 7),
            .first_raw = at,
            .swap_type = (unsigned)at,
            .swap_slot = (uint32_t)bytes,
        };
        int error = aspen_import_pages(e->mm, &pages, &done);
        assert_true(pages.level < 4 || error == -ASPEN_EINVAL);
    }
}

static void
do_space(struct extremes *e, uint64_t at, uint64_t bytes)
{
    struct aspen_layout layout;
    uint64_t brk;
    int pkey;

    aspen_layout_read(e->mm, &layout);
    layout.mmap_base = at;
    layout.mmap_bottom = bytes;
    IGNORE(aspen_layout_set(e->mm, &layout));
    for (unsigned part = 0; part < 13; part++)
        IGNORE(aspen_layout_move(e->mm, (enum aspen_layout_part)part, at));
    IGNORE(aspen_brk(e->mm, at, &brk));
    IGNORE(aspen_limit_set(e->mm, (enum aspen_limit)at, bytes));
    (void)aspen_limit(e->mm, (enum aspen_limit)at);
    IGNORE(aspen_privileges_set(e->mm, (unsigned)at));
    IGNORE(aspen_mlockall(e->mm, (unsigned)at));
    IGNORE(aspen_pkey_alloc(e->mm, (unsigned)at, &pkey));
    IGNORE(aspen_pkey_free(e->mm, (int)at));
    IGNORE(aspen_mm_activate(e->mm, (unsigned)at | 1u << 31));
    do_mmap(e, BASE, PAGE);
}

static void
run(const char *name, call *make)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       PAGE - 1,
                                       PAGE,
                                       BASE,
                                       BASE + 1,
                                       BASE + 3 * PAGE,
                                       1ull << 32,
                                       (1ull << 47) - PAGE,
                                       1ull << 47,
                                       1ull << 48,
                                       1ull << 52,
                                       1ull << 56,
                                       (1ull << 63) - PAGE,
                                       (1ull << 63) - 1,
                                       1ull << 63,
                                       -(2 * MIB),
                                       -PAGE,
                                       UINT64_MAX - 1,
                                       UINT64_MAX};
    const unsigned count = sizeof(numbers) / sizeof(numbers[0]);

    printf("%s\n", name);
    for (unsigned i = 0; i < count * count; i++) {
        static struct extremes e;
        helper_create(&e.helper, NULL);
        e.mm = helper_mm(&e.helper);
        e.object = helper_object(&e.helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
        helper_map(e.mm, BASE, 8, RW);
        helper_map_object(e.mm, BASE + 16 * PAGE, 8, RW | ASPEN_VM_SHARED,
                          e.object, 0);
        helper_map_object(e.mm, BASE + 32 * PAGE, 8,
                          RW | ASPEN_VM_SHARED | ASPEN_VM_MIXEDMAP, e.object,
                          0);
        helper_put(&e.helper, e.mm, BASE, 1);
        make(&e, numbers[i / count], numbers[i % count]);
        helper_assert_valid(&e.helper);
        aspen_mm_put(e.mm);
        aspen_object_put(e.object);
        helper_destroy(&e.helper);
    }
}

static void
test_extremes(void **state)
{
    (void)state;
    run("mmap", do_mmap);
    run("mremap", do_mremap);
    run("ranges", do_ranges);
    run("advice", do_advice);
    run("pages", do_pages);
    run("raw", do_raw);
    run("object", do_object);
    run("import", do_import);
    run("space", do_space);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
