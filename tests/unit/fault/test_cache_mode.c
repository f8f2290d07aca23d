/* SPDX-License-Identifier: MIT */
/*
 * Cache modes: whoever puts a raw frame into a mapping, its entry reads to the
 * processor as the mapping says, and stays so; and who may ask for one.
 */
#include "helper.h"

#include "paging/table.h"

#include "format.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define SHARED   ASPEN_VM_SHARED
#define PFNMAP   ASPEN_VM_PFNMAP
#define MIXEDMAP ASPEN_VM_MIXEDMAP
#define RAW      0x100000u
#define PAGES    8

/* What the four modes are to the processor; some have but three. */
static enum format_memory
memory_of(unsigned mode)
{
    return (enum format_memory)(
        mode < ASPEN_ENTRY_CACHE_LAST ? mode : ASPEN_ENTRY_CACHE_LAST);
}

static uint64_t
flag_of(unsigned mode)
{
    static const uint64_t flags[] = {0, ASPEN_VM_CACHE_WRITE_COMBINING,
                                     ASPEN_VM_CACHE_UNCACHED,
                                     ASPEN_VM_CACHE_DEVICE};

    return flags[mode];
}

static void
assert_memory(struct aspen_mm *mm, uint64_t page, unsigned mode)
{
    struct aspen_slot slot;
    uint64_t entry = aspen_table_walk(mm, AT(page), &slot);
    struct format_entry says = format_read(entry, slot.level);

    assert_int_equal(says.kind, FORMAT_LEAF);
    assert_true(says.raw && !says.global);
    assert_int_equal(says.memory, memory_of(mode));
}

static int
name_special(void *context, struct aspen_mm *mm, uint64_t offset_bytes,
             uint64_t *raw)
{
    (void)context, (void)mm;
    *raw = RAW + offset_bytes / PAGE;
    return 0;
}

static uint64_t first_raw = RAW;
static const struct aspen_pager_ops device_ops = {.fault = helper_device_frame};
static const struct aspen_special special = {.name = "[timer]",
                                             .fault = name_special};

static struct aspen_object *
map_device(struct helper_space *s, uint64_t page, uint64_t vm_flags)
{
    struct aspen_object *object = helper_object(&s->helper, ASPEN_OBJECT_DEVICE,
                                                PAGES, &device_ops, &first_raw);

    helper_map_object(s->mm, AT(page), PAGES, RW | SHARED | vm_flags, object,
                      0);
    aspen_object_put(object);
    return object;
}

/* ---- All ways in ------------------------------------------------------- */

static void
test_every_way_in(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    uint64_t address, done;

    for (unsigned mode = 0; mode < 4; mode++) {
        uint64_t at = 100 + 100 * mode, cache = flag_of(mode);
        struct aspen_import_pages pages = {.address = AT(at + 4),
                                           .count = 2,
                                           .kind = ASPEN_IMPORT_RAW,
                                           .first_raw = RAW + 4};

        map_device(s, at, PFNMAP | cache);
        assert_int_equal(aspen_fault(mm, AT(at), ASPEN_ACCESS_WRITE), 0);
        assert_memory(mm, at, mode);
        assert_int_equal(
            aspen_insert_raw(mm, AT(at + 1), RAW, ASPEN_RAW_WRITABLE), 0);
        assert_memory(mm, at + 1, mode);
        assert_int_equal(aspen_remap_raw(mm, AT(at + 2), AT(2), RAW), 0);
        assert_memory(mm, at + 3, mode);
        assert_int_equal(aspen_import_pages(mm, &pages, &done), 0);
        assert_memory(mm, at + 5, mode);
        assert_int_equal(aspen_map_special(mm, AT(at + 20), PAGE,
                                           ASPEN_MAP_FIXED_NOREPLACE, R | cache,
                                           &special, &address),
                         0);
        assert_int_equal(aspen_fault(mm, AT(at + 20), ASPEN_ACCESS_READ), 0);
        assert_memory(mm, at + 20, mode);
        helper_assert_valid(&s->helper);
    }
}

/* A page of the object is RAM, and RAM is write-back. */
static void
test_pages_among_them(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);
    struct aspen_slot slot;

    helper_map_object(s->mm, AT(100), PAGES,
                      RW | SHARED | MIXEDMAP | ASPEN_VM_CACHE_UNCACHED, object,
                      0);
    assert_int_equal(aspen_insert_raw(s->mm, AT(100), RAW, 0), 0);
    assert_memory(s->mm, 100, 2);
    helper_put(&s->helper, s->mm, AT(101), 7);
    uint64_t entry = aspen_table_walk(s->mm, AT(101), &slot);
    assert_int_equal(format_read(entry, 0).memory, FORMAT_WRITE_BACK);
    helper_assert_valid(&s->helper);
    aspen_object_put(object);
}

/* ---- Kept -------------------------------------------------------------- */

static void
test_kept(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm, *child;

    for (unsigned mode = 0; mode < 4; mode++) {
        uint64_t at = 100 + 100 * mode, to = at + 50;

        map_device(s, at, PFNMAP | flag_of(mode));
        assert_int_equal(aspen_remap_raw(mm, AT(at), AT(PAGES), RAW), 0);
        assert_int_equal(aspen_mprotect(mm, AT(at), AT(PAGES), 0, -1), 0);
        assert_int_equal(aspen_mprotect(mm, AT(at), AT(PAGES), R, -1), 0);
        assert_memory(mm, at + 1, mode);
        assert_int_equal(aspen_mprotect(mm, AT(at), AT(PAGES), RW, -1), 0);
        assert_int_equal(aspen_fault(mm, AT(at + 1), ASPEN_ACCESS_WRITE), 0);
        assert_memory(mm, at + 1, mode);
        assert_int_equal(helper_remap(mm, AT(at), AT(PAGES), AT(PAGES),
                                      ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                      AT(to)),
                         0);
        assert_memory(mm, to + 1, mode);
        assert_int_equal(aspen_fork(mm, &child), 0);
        assert_memory(child, to + 1, mode);
        assert_memory(mm, to + 1, mode);
        helper_assert_valid(&s->helper);
        aspen_mm_put(child);
    }
}

/* A mapping that is made anew in the place of another. */
static void
test_kept_by_remap_file_pages(void **state)
{
    struct helper_space *s = *state;

    for (unsigned mode = 0; mode < 4; mode++) {
        map_device(s, 100, PFNMAP | flag_of(mode));
        assert_int_equal(
            aspen_remap_file_pages(s->mm, AT(101), AT(2), AT(3), 0), 0);
        assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_WRITE), 0);
        assert_memory(s->mm, 101, mode);
        helper_unmap(s->mm, AT(100), PAGES);
    }
}

static void
test_dump(void **state)
{
    struct helper_space *s = *state;

    map_device(s, 100, PFNMAP | ASPEN_VM_CACHE_WRITE_COMBINING);
    assert_int_equal(aspen_insert_raw(s->mm, AT(102), RAW, ASPEN_RAW_WRITABLE),
                     0);
    char *text = helper_dump(s->mm, true);
    assert_string_equal(
        strchr(text, '\n') + 1,
        "  vma  0x64000-0x6c000 rw- shared  device 1+0x0  pfnmap"
        "  cache write-combining\n"
        "    pte 0x66000 -> raw 0x100000 (write, cache write-combining)\n");
    free(text);
}

/* ---- Refused ----------------------------------------------------------- */

/* What aspen_mmap() answers. */
static int
try(struct helper_space *s, uint64_t vm_flags)
{
    uint64_t address;

    return helper_try_map(s->mm, 0, PAGE, vm_flags, 0, &address);
}

static void
test_refused(void **state)
{
    struct helper_space *s = *state;
    const uint64_t mode = ASPEN_VM_CACHE_DEVICE;
    struct aspen_import_vma import = {.start = AT(500),
                                      .end = AT(501),
                                      .vm_flags = R | ASPEN_VM_MAYREAD | mode};
    uint64_t address;

    assert_int_equal(try(s, R | mode), -ASPEN_EINVAL);
    assert_int_equal(try(s, RX | PFNMAP | mode), -ASPEN_EINVAL);
    assert_int_equal(try(s, R | PFNMAP | ASPEN_FLAG(54)), -ASPEN_EINVAL);
    assert_int_equal(
        aspen_map_special(s->mm, 0, PAGE, 0, RX | mode, &special, &address),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_import_vma(s->mm, &import), -ASPEN_EINVAL);
    import.vm_flags |= PFNMAP;
    assert_int_equal(aspen_import_vma(s->mm, &import), 0);
    map_device(s, 100, PFNMAP | mode);
    assert_int_equal(aspen_mprotect(s->mm, AT(100), AT(PAGES), RX, -1),
                     -ASPEN_EACCES);
}

static void
test_absent(void **state)
{
    struct helper_space s;
    struct aspen_config config = helper_config(256);
    struct aspen_import_vma import = {
        .start = AT(500),
        .end = AT(501),
        .vm_flags = R | ASPEN_VM_MAYREAD | PFNMAP | ASPEN_VM_CACHE_UNCACHED};
    uint64_t address;

    (void)state;
    config.flags |= ASPEN_CONFIG_CACHE_MODES_ABSENT;
    helper_space_create(&s, &config);
    for (unsigned mode = 0; mode < 4; mode++) {
        int answer = mode ? -ASPEN_EOPNOTSUPP : 0;
        assert_int_equal(try(&s, R | PFNMAP | flag_of(mode)), answer);
        assert_int_equal(aspen_map_special(s.mm, 0, PAGE, 0, R | flag_of(mode),
                                           &special, &address),
                         answer);
    }
    assert_int_equal(aspen_import_vma(s.mm, &import), -ASPEN_EINVAL);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_every_way_in),
        helper_space_test(test_pages_among_them),
        helper_space_test(test_kept),
        helper_space_test(test_kept_by_remap_file_pages),
        helper_space_test(test_dump),
        helper_space_test(test_refused),
        cmocka_unit_test(test_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
