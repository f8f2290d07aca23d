/* SPDX-License-Identifier: MIT */
/*
 * Deliberate deviations from Linux (docs/use/semantics.md) that no other test
 * is about: what Aspen answers, and where the host can be asked in a line, what
 * it answers.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT(page) ((uint64_t)(page)*PAGE)
#define MAY      (ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC)
#define HUGE     512 /* pages */
#define ONTO     (ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED)

static void
import(struct helper_space *s, uint64_t page, uint64_t pages, uint64_t flags)
{
    const struct aspen_import_vma vma = {
        .start = AT(page),
        .end = AT(page + pages),
        .vm_flags = RW | MAY | flags,
        .flags = flags & ASPEN_VM_UFFD ? ASPEN_IMPORT_HAS_USERFAULT : 0,
    };

    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
}

static void
import_pages(struct helper_space *s, uint64_t page, enum aspen_import_kind kind,
             unsigned level)
{
    const struct aspen_import_pages pages = {
        .address = AT(page), .count = 1, .level = level, .kind = kind};
    uint64_t done;

    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
}

static uint64_t
hash(struct helper_space *s)
{
    return aspen_hash_mm(s->mm, ASPEN_HASH_SEMANTIC);
}

/* ---- madvise ----------------------------------------------------------- */

static void
collapse(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(HUGE), HUGE, RW);
    helper_put(&s->helper, s->mm, AT(HUGE), 1);
    uint64_t before = hash(s);
    assert_int_equal(
        aspen_madvise(s->mm, AT(HUGE), AT(HUGE), ASPEN_MADV_COLLAPSE),
        -ASPEN_EINVAL);
    assert_int_equal(hash(s), before);
}

/* A kernel without CONFIG_MEMORY_FAILURE says the same. */
static void
memory_failures(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(16), 1, RW);
    assert_int_equal(aspen_madvise(s->mm, AT(16), PAGE, ASPEN_MADV_HWPOISON),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_madvise(s->mm, AT(16), PAGE, ASPEN_MADV_SOFT_OFFLINE),
        -ASPEN_EINVAL);
}

/* ---- mprotect ---------------------------------------------------------- */

/* With key 0 the host's program would lose all its memory to whoever is given
 * the key next. */
static void
key_0_freed(void **state)
{
    struct aspen_config config;
    struct helper_space s;

    (void)state;
    aspen_config_init(&config);
    config.pkeys = ASPEN_PKEYS_MAX;
    helper_space_create(&s, &config);
    assert_int_equal(aspen_pkey_free(s.mm, 0), -ASPEN_EINVAL);
    helper_space_destroy(&s);
}

static void
keys_of_none(void **state)
{
    struct helper_space *s = *state;
    int pkey = 7;

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(aspen_pkey_alloc(s->mm, 0, &pkey), -ASPEN_ENOSPC);
        assert_int_equal(pkey, 7);
    }
}

/* ---- mremap ------------------------------------------------------------ */

/* The host has unmapped what it then does not find. */
static void
old_size_0_onto_itself(void **state)
{
    struct helper_space *s = *state;
    char *host = mmap(NULL, AT(4), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(host != MAP_FAILED);
    assert_true(mremap(host, 0, AT(2), ONTO, host) == MAP_FAILED);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(msync(host, AT(2), MS_ASYNC), -1); /* a hole */
    munmap(host, AT(4));

    helper_map(s->mm, AT(16), 4, RW | ASPEN_VM_SHARED);
    uint64_t before = hash(s);
    assert_int_equal(helper_remap(s->mm, AT(16), 0, AT(2), ONTO, AT(16)),
                     -ASPEN_EFAULT);
    assert_int_equal(hash(s), before);
}

static void
userfault_moves(void **state)
{
    struct helper_space *s = *state;

    import(s, 16, 2, ASPEN_VM_UFFD_MISSING);
    assert_int_equal(helper_remap(s->mm, AT(16), AT(2), AT(2), ONTO, AT(32)),
                     0);
    struct aspen_vma *vma = aspen_tree_load(&s->mm->vmas, AT(32));
    assert_non_null(vma);
    assert_null(vma->userfault);
    assert_false(vma->flags & ASPEN_VM_UFFD);
}

/* ---- mmap -------------------------------------------------------------- */

static void
huge_object(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_HUGETLB, HUGE, NULL, NULL);
    const struct aspen_mmap_args args = {
        .length_bytes = AT(HUGE), .vm_flags = RW, .object = object};
    uint64_t address;

    assert_int_equal(aspen_mmap(s->mm, &args, &address), -ASPEN_EINVAL);
    /* Nor by a mapping that there is. */
    helper_import(s->mm, AT(HUGE), HUGE,
                  MAY_RW | ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE |
                      ASPEN_VM_HUGETLB,
                  object, 0);
    assert_int_equal(aspen_remap_file_pages(s->mm, AT(HUGE), AT(HUGE), 0, 0),
                     -ASPEN_EINVAL);
    aspen_object_put(object);
}

static void
last_page(void **state)
{
    struct helper_space *s = *state;
    const struct aspen_mmap_args args = {.address = 0 - (uint64_t)100,
                                         .length_bytes = PAGE,
                                         .vm_flags = RW,
                                         .flags = ASPEN_MAP_FIXED};
    uint64_t address;

    assert_int_equal(aspen_mmap(s->mm, &args, &address), -ASPEN_ENOMEM);
}

/* ---- Copies, pins, populate -------------------------------------------- */

static void
special_mappings(void **state)
{
    static const struct aspen_special special = {.name = "[vdso]"};
    struct helper_space *s = *state;
    uint64_t address, done;
    uint32_t frame;
    char byte;

    assert_int_equal(aspen_map_special(s->mm, AT(16), PAGE,
                                       ASPEN_MAP_FIXED_NOREPLACE, RX, &special,
                                       &address),
                     0);
    assert_int_equal(aspen_read_memory(s->mm, AT(16), &byte, 1, 0, &done),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_pin_range(s->mm, AT(16), PAGE, 0, &frame),
                     -ASPEN_EFAULT);
}

static void
populate(void **state)
{
    struct helper_space *s = *state;
    unsigned area;
    uint64_t done;

    assert_int_equal(aspen_swap_area_add(s->helper.aspen, 8, &area), 0);
    import(s, 16, 2, 0);
    import_pages(s, 16, ASPEN_IMPORT_SWAP, 0);
    import(s, HUGE, HUGE, ASPEN_VM_HUGEPAGE);
    import_pages(s, HUGE, ASPEN_IMPORT_ANON, 1);
    import(s, 32, 1, ASPEN_VM_UFFD_MISSING);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            aspen_populate(s->mm, AT(16 << i), PAGE, ASPEN_ACCESS_WRITE, &done),
            -ASPEN_EOPNOTSUPP);
}

/* ---- Raw memory --------------------------------------------------------- */

static void
copy_of_raw(void **state)
{
    struct helper_space *s = *state;
    uint32_t frame;

    helper_map(s->mm, AT(16), 2, RW | ASPEN_VM_PFNMAP);
    assert_int_equal(aspen_remap_raw(s->mm, AT(16), 2 * PAGE, 0x80000), 0);
    uint64_t before = hash(s);
    assert_int_equal(aspen_fault(s->mm, AT(17), ASPEN_ACCESS_WRITE),
                     -ASPEN_EOPNOTSUPP);
    assert_int_equal(hash(s), before);
    assert_int_equal(aspen_fault(s->mm, AT(17), ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_translate(s->mm, AT(17), ASPEN_ACCESS_WRITE, &frame),
                     -ASPEN_EFAULT);
}

/* ---- Offsets ------------------------------------------------------------ */

/* Frames have 52 bits for theirs. */
static void
far_offsets(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    const struct aspen_import_vma vma = {
        .start = AT(16),
        .end = AT(20),
        .vm_flags = RW | MAY | ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE,
        .object = object,
        .offset_bytes = -(uint64_t)AT(5),
    };
    struct aspen_mremap_args args = {
        .address = AT(16),
        .old_bytes = 4 * PAGE,
        .new_bytes = 6 * PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE,
    };
    uint64_t address;

    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
    uint64_t before = hash(s);
    assert_int_equal(aspen_mremap(s->mm, &args, &address), -ASPEN_EINVAL);
    args.new_bytes = (uint64_t)1 << 30;
    assert_int_equal(aspen_mremap(s->mm, &args, &address), -ASPEN_EINVAL);
    args.old_bytes = 0; /* another mapping of the same */
    assert_int_equal(aspen_mremap(s->mm, &args, &address), -ASPEN_EINVAL);
    assert_int_equal(hash(s), before);
    args.old_bytes = 4 * PAGE;
    args.new_bytes = 5 * PAGE;
    assert_int_equal(aspen_mremap(s->mm, &args, &address), 0);
    assert_int_equal(aspen_fault(s->mm, address + 4 * PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_EFBIG);
    helper_assert_valid(&s->helper);
    aspen_object_put(object);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, helper_space_setup_6_18,             \
                                    helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(collapse),        TEST(memory_failures),
        TEST(key_0_freed),     TEST(old_size_0_onto_itself),
        TEST(userfault_moves), TEST(huge_object),
        TEST(last_page),       TEST(special_mappings),
        TEST(populate),        TEST(keys_of_none),
        TEST(far_offsets),     TEST(copy_of_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
