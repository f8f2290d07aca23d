/* SPDX-License-Identifier: MIT */
/*
 * What a second MMU is told of an address: all that goes without a fault, raw
 * memory included, and nothing that would have to be noted.
 */
#include "helper.h"

#include "paging/table.h"

#define AT(page) ((uint64_t)(page)*PAGE)
/* More than a number of the machine's frames could be. */
#define RAW ((uint64_t)5 << 32 | 0x100000)

static struct aspen_translation
translate(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_translation to;

    memset(&to, 0xa5, sizeof(to));
    assert_int_equal(aspen_mmu_translate(mm, address, &to), 0);
    return to;
}

static void
refused(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_translation to = {.number = 77};

    assert_int_equal(aspen_mmu_translate(mm, address, &to), -ASPEN_EFAULT);
    assert_int_equal(to.number, 77);
}

static void
fault(struct aspen_mm *mm, uint64_t address, unsigned access)
{
    assert_int_equal(aspen_fault(mm, address, access), 0);
}

/* ---- Frames of the machine --------------------------------------------- */

static void
test_a_page(void **state)
{
    struct helper_space *s = *state;
    uint32_t frame;

    refused(s->mm, AT(100));
    refused(s->mm, ASPEN_ADDRESS_LIMIT);
    refused(s->mm, UINT64_MAX);
    helper_map(s->mm, AT(100), 4, RW);
    refused(s->mm, AT(100));
    fault(s->mm, AT(101), ASPEN_ACCESS_WRITE);
    struct aspen_translation to = translate(s->mm, AT(101) + 123);
    assert_int_equal(
        aspen_translate(s->mm, AT(101), ASPEN_ACCESS_WRITE, &frame), 0);
    assert_int_equal(to.number, frame);
    assert_int_equal(to.leaf_bytes, PAGE);
    assert_true(to.read && to.write && !to.exec && !to.raw);
    assert_int_equal(to.cache, 0);
    assert_int_equal(to.pkey, 0);
}

static void
test_the_zero_page_is_the_machines(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 1, RW);
    fault(s->mm, AT(100), ASPEN_ACCESS_READ);
    struct aspen_translation to = translate(s->mm, AT(100));
    assert_int_equal(to.number, s->helper.aspen->zero_frame);
    assert_true(to.read && !to.write && !to.raw);
}

static void
test_what_fork_shares_is_read(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    helper_map(s->mm, AT(100), 1, RW);
    fault(s->mm, AT(100), ASPEN_ACCESS_WRITE);
    uint64_t number = translate(s->mm, AT(100)).number;
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_false(translate(s->mm, AT(100)).write);
    refused(child, AT(100)); /* nobody was there yet */
    fault(child, AT(100), ASPEN_ACCESS_READ);
    assert_int_equal(translate(child, AT(100)).number, number);
    assert_false(translate(child, AT(100)).write);
    fault(s->mm, AT(100), ASPEN_ACCESS_WRITE);
    assert_int_not_equal(translate(s->mm, AT(100)).number, number);
    assert_true(translate(s->mm, AT(100)).write);
    aspen_mm_put(child);
}

static void
test_rights_follow_the_mapping(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 1, RW);
    fault(s->mm, AT(100), ASPEN_ACCESS_WRITE);
    assert_int_equal(aspen_mprotect(s->mm, AT(100), PAGE, RX, -1), 0);
    assert_true(helper_can_execute(s->mm, AT(100)));
    struct aspen_translation to = translate(s->mm, AT(100));
    assert_true(to.read && !to.write && to.exec);
    assert_int_equal(aspen_mprotect(s->mm, AT(100), PAGE, 0, -1), 0);
    refused(s->mm, AT(100));
}

/* It may be written to, but then it would have to be noted. */
static void
test_what_is_clean_is_not_written(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 1, RW);
    fault(s->mm, AT(100), ASPEN_ACCESS_WRITE);
    assert_int_equal(aspen_madvise(s->mm, AT(100), PAGE, ASPEN_MADV_FREE), 0);
    refused(s->mm, AT(100));
    fault(s->mm, AT(100), ASPEN_ACCESS_READ);
    assert_false(translate(s->mm, AT(100)).write);
    fault(s->mm, AT(100), ASPEN_ACCESS_WRITE);
    assert_true(translate(s->mm, AT(100)).write);
}

static void
test_a_page_of_a_huge_one(void **state)
{
    struct helper_space *s = *state;
    struct aspen_import_pages pages = {
        .address = 16 * MIB, .count = 1, .kind = ASPEN_IMPORT_ANON, .level = 1};
    uint64_t done;

    helper_map(s->mm, 16 * MIB, 512, RW);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
    uint64_t first = translate(s->mm, 16 * MIB).number;
    struct aspen_translation to = translate(s->mm, 16 * MIB + AT(7));
    assert_int_equal(to.leaf_bytes, 2 * MIB);
    assert_int_equal(to.number, first + 7);
    assert_true(aspen_is_aligned(first, 512));
}

/* ---- Raw memory -------------------------------------------------------- */

static uint64_t first_raw = RAW;
static const struct aspen_pager_ops device_ops = {.fault = helper_device_frame};

static void
test_raw_memory(void **state)
{
    static const uint64_t modes[] = {0, ASPEN_VM_CACHE_WRITE_COMBINING,
                                     ASPEN_VM_CACHE_UNCACHED,
                                     ASPEN_VM_CACHE_DEVICE};
    const uint64_t last = (uint64_t)ASPEN_ENTRY_CACHE_LAST
                          << ASPEN_VM_CACHE_SHIFT;
    struct helper_space *s = *state;
    struct aspen_object *object = helper_object(&s->helper, ASPEN_OBJECT_DEVICE,
                                                8, &device_ops, &first_raw);
    uint32_t frame;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t at = AT(100 + 10 * i);
        helper_map_object(s->mm, at, 8,
                          RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP | modes[i],
                          object, 0);
        refused(s->mm, at);
        fault(s->mm, at + AT(3), ASPEN_ACCESS_READ);
        struct aspen_translation to = translate(s->mm, at + AT(3));
        assert_int_equal(to.number, RAW + 3);
        assert_int_equal(to.leaf_bytes, PAGE);
        assert_true(to.raw && to.read && !to.write);
        assert_int_equal(to.cache, modes[i] < last ? modes[i] : last);
        fault(s->mm, at + AT(3), ASPEN_ACCESS_WRITE);
        assert_true(translate(s->mm, at + AT(3)).write);
        assert_int_equal(
            aspen_translate(s->mm, at + AT(3), ASPEN_ACCESS_READ, &frame),
            -ASPEN_EOPNOTSUPP);
    }
    aspen_object_put(object);
}

/* What a driver has put in without an access is written by one. */
static void
test_raw_memory_in_a_row(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_DEVICE, 8, NULL, NULL);

    helper_map_object(s->mm, AT(100), 8, RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP,
                      object, 0);
    assert_int_equal(aspen_remap_raw(s->mm, AT(100), AT(8), RAW), 0);
    struct aspen_translation to = translate(s->mm, AT(105) + 1);
    assert_int_equal(to.number, RAW + 5);
    assert_true(to.raw && to.read && !to.write);
    fault(s->mm, AT(105), ASPEN_ACCESS_WRITE);
    assert_true(translate(s->mm, AT(105)).write);
    aspen_object_put(object);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_a_page),
        helper_space_test(test_the_zero_page_is_the_machines),
        helper_space_test(test_what_fork_shares_is_read),
        helper_space_test(test_rights_follow_the_mapping),
        helper_space_test(test_what_is_clean_is_not_written),
        helper_space_test(test_a_page_of_a_huge_one),
        helper_space_test(test_raw_memory),
        helper_space_test(test_raw_memory_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
