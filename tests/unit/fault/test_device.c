/* SPDX-License-Identifier: MIT */
/*
 * Raw frames: put into mappings by a driver, or found by its fault hook, and
 * taken back; pages among them; splits that a driver refuses.
 */
#include "helper.h"

#include "object/page_cache.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define SHARED   ASPEN_VM_SHARED
#define PFNMAP   ASPEN_VM_PFNMAP
#define MIXEDMAP ASPEN_VM_MIXEDMAP
#define RAW      0x100000u /* number of the device's first frame */

struct device {
    struct helper *helper;
    struct aspen_mm *mm;
    uint64_t faults;
    uint64_t mkwrites;
    unsigned access; /* of the last fault */
    bool inserts;    /* the hook inserts by itself */
    bool silent;     /* it names no frame */
    bool drops;      /* mkwrite drops the page of 300 */
    unsigned flags;  /* of its answers */
    int error;
    int refuse_write;
    int refuse_split;
    uint64_t split_at;
};

static int
device_fault(void *context, uint64_t offset_bytes, unsigned access,
             struct aspen_device_frame *frame)
{
    struct device *device = context;

    device->faults++;
    device->access = access;
    if (!device->silent)
        frame->number = RAW + offset_bytes / PAGE;
    frame->flags = device->flags;
    if (device->inserts)
        assert_int_equal(
            aspen_insert_raw(device->mm, AT(100 + offset_bytes / PAGE),
                             RAW + offset_bytes / PAGE, ASPEN_RAW_WRITABLE),
            0);
    return device->error;
}

static int
device_mkwrite(void *context, uint64_t offset_bytes)
{
    struct device *device = context;
    (void)offset_bytes;
    device->mkwrites++;
    if (device->drops)
        assert_int_equal(
            aspen_madvise(device->mm, AT(300), PAGE, ASPEN_MADV_DONTNEED), 0);
    return device->refuse_write;
}

static int
device_may_split(void *context, const struct aspen_vma *vma, uint64_t address)
{
    struct device *device = context;
    (void)vma;
    device->split_at = address;
    return device->refuse_split;
}

static const struct aspen_pager_ops device_ops = {
    .fault = device_fault,
    .mkwrite = device_mkwrite,
    .may_split = device_may_split,
};

struct scene {
    struct helper helper;
    struct aspen_mm *mm;
    struct device device;
    struct aspen_object *object; /* a device, at 100, 8 pages, PFNMAP */
    struct aspen_object *shmem;  /* at 200, 8 pages, MIXEDMAP */
};

static int
setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));

    helper_create(&s->helper, NULL);
    s->mm = helper_mm(&s->helper);
    s->device.helper = &s->helper;
    s->device.mm = s->mm;
    s->object = helper_object(&s->helper, ASPEN_OBJECT_DEVICE, 8, &device_ops,
                              &s->device);
    s->shmem = helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    helper_map_object(s->mm, AT(100), 8, RW | SHARED | PFNMAP, s->object, 0);
    helper_map_object(s->mm, AT(200), 8, RW | SHARED | MIXEDMAP, s->shmem, 0);
    *state = s;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *s = *state;

    helper_assert_valid(&s->helper);
    aspen_mm_put(s->mm);
    aspen_object_put(s->object);
    aspen_object_put(s->shmem);
    helper_destroy(&s->helper);
    free(s);
    return 0;
}

/* The raw number there, 0: nothing; *writable. */
static uint64_t
raw_at(struct aspen_mm *mm, uint64_t address, bool *writable)
{
    struct aspen_slot slot;
    uint64_t entry = aspen_table_walk(mm, address, &slot);

    if (!aspen_entry_is_leaf(entry, slot.level))
        return 0;
    assert_true(aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL);
    *writable = aspen_entry_bits(entry) & ASPEN_ENTRY_WRITE;
    return aspen_entry_frame(entry);
}

#define assert_raw(mm, address, number, may_write)                             \
    do {                                                                       \
        bool writable_ = false;                                                \
        assert_int_equal(raw_at(mm, address, &writable_), number);             \
        assert_int_equal(writable_, may_write);                                \
    } while (0)

/* ---- The fault hook ---------------------------------------------------- */

static void
test_fault_answers(void **state)
{
    struct scene *s = *state;
    struct device *device = &s->device;

    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_READ), 0);
    assert_int_equal(device->faults, 1);
    assert_raw(s->mm, AT(103), RAW + 3, false);
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(device->mkwrites, 1);
    assert_raw(s->mm, AT(103), RAW + 3, true);
    assert_int_equal(aspen_fault(s->mm, AT(104), ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(device->mkwrites, 2);
    assert_raw(s->mm, AT(104), RAW + 4, true);
    device->flags = ASPEN_DEVICE_FRAME_WRITABLE;
    assert_int_equal(aspen_fault(s->mm, AT(105), ASPEN_ACCESS_READ), 0);
    assert_raw(s->mm, AT(105), RAW + 5, true);
    assert_int_equal(device->mkwrites, 2);
    assert_int_equal(
        aspen_fault(s->mm, AT(106), ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT),
        -ASPEN_EAGAIN);
}

static void
test_fault_fails(void **state)
{
    struct scene *s = *state;
    struct device *device = &s->device;

    device->error = -ASPEN_EHWPOISON;
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_READ),
                     -ASPEN_EHWPOISON);
    device->error = 0;
    device->refuse_write = -ASPEN_ENOSPC;
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOSPC);
    assert_raw(s->mm, AT(103), 0, false);
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOSPC);
    assert_raw(s->mm, AT(103), RAW + 3, false);
}

static void
test_fault_inserts(void **state)
{
    struct scene *s = *state;

    s->device.inserts = true;
    assert_int_equal(aspen_fault(s->mm, AT(102), ASPEN_ACCESS_WRITE), 0);
    assert_raw(s->mm, AT(102), RAW + 2, true);
}

static void
test_taken_back(void **state)
{
    struct scene *s = *state;

    assert_int_equal(aspen_fault(s->mm, AT(102), ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_object_unmap(s->object, AT(3), PAGE, 0), 0);
    assert_raw(s->mm, AT(102), RAW + 2, false);
    assert_raw(s->mm, AT(103), 0, false);
    assert_int_equal(aspen_fault(s->mm, AT(103), ASPEN_ACCESS_READ), 0);
    assert_int_equal(s->device.faults, 3);
}

/* A child has the entries of a raw mapping at once. */
static void
test_fork(void **state)
{
    struct scene *s = *state;
    struct aspen_mm *child;

    assert_int_equal(aspen_fault(s->mm, AT(102), ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_raw(child, AT(102), RAW + 2, true);
    assert_int_equal(aspen_object_unmap(s->object, 0, UINT64_MAX, 0), 0);
    assert_raw(child, AT(102), 0, false);
    assert_raw(s->mm, AT(102), 0, false);
    aspen_mm_put(child);
}

/* The hook may say: a page of the cache. A mapping of pages may have both. */
static void
test_mixed(void **state)
{
    struct scene *s = *state;
    struct device device = {
        .helper = &s->helper, .mm = s->mm, .flags = ASPEN_DEVICE_FRAME_CACHED};
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, &device_ops, &device);
    uint32_t frame;

    helper_map_object(s->mm, AT(300), 8, RW | SHARED | MIXEDMAP, object, 0);
    helper_put(&s->helper, s->mm, AT(301), 5);
    device.flags = ASPEN_DEVICE_FRAME_FLAGS + 1;
    assert_int_equal(aspen_fault(s->mm, AT(302), ASPEN_ACCESS_WRITE),
                     -ASPEN_EINVAL);
    device.flags = ASPEN_DEVICE_FRAME_WRITABLE;
    assert_int_equal(aspen_fault(s->mm, AT(302), ASPEN_ACCESS_WRITE), 0);
    assert_raw(s->mm, AT(302), RAW + 2, true);
    assert_int_equal(aspen_translate(s->mm, AT(301), ASPEN_ACCESS_READ, &frame),
                     0);
    helper_assert_valid(&s->helper);
    aspen_object_put(object);
    helper_unmap(s->mm, AT(300), 8);
}

/* What the hook was not asked about is not mapped because it is cached. */
static void
test_neighbours(void **state)
{
    struct scene *s = *state;
    struct device device = {
        .helper = &s->helper, .mm = s->mm, .flags = ASPEN_DEVICE_FRAME_CACHED};
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, &device_ops, &device);
    struct aspen_slot slot;

    helper_map_object(s->mm, AT(300), 8, RW | SHARED | MIXEDMAP, object, 0);
    helper_put(&s->helper, s->mm, AT(301), 5);
    helper_put(&s->helper, s->mm, AT(302), 5);
    assert_int_equal(aspen_object_unmap(object, 0, UINT64_MAX, 0), 0);
    assert_int_equal(aspen_fault(s->mm, AT(301), ASPEN_ACCESS_READ), 0);
    assert_int_not_equal(aspen_table_walk(s->mm, AT(301), &slot), 0);
    assert_int_equal(aspen_table_walk(s->mm, AT(302), &slot), 0);
    device.flags = 0;
    assert_int_equal(aspen_fault(s->mm, AT(302), ASPEN_ACCESS_READ), 0);
    assert_raw(s->mm, AT(302), RAW + 2, false);
    aspen_object_put(object);
    helper_unmap(s->mm, AT(300), 8);
}

/* ---- Insertion --------------------------------------------------------- */

static void
test_insert(void **state)
{
    struct scene *s = *state;
    struct aspen_mm *mm = s->mm;

    helper_map(mm, AT(50), 2, RW);
    helper_map_object(mm, AT(60), 2, RW | PFNMAP, s->object, 0);
    assert_int_equal(aspen_insert_raw(mm, AT(100) + 1, RAW, ASPEN_RAW_WRITABLE),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_insert_raw(mm, AT(100), UINT64_MAX, ASPEN_RAW_WRITABLE),
        -ASPEN_EINVAL);
    assert_int_equal(
        aspen_insert_raw(mm, AT(100), RAW, ASPEN_RAW_WRITABLE << 1),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_insert_raw(mm, AT(100), 0, ASPEN_RAW_WRITABLE),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_insert_raw(mm, AT(50), RAW, ASPEN_RAW_WRITABLE),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_insert_raw(mm, AT(60), RAW, ASPEN_RAW_WRITABLE),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_insert_raw(mm, AT(90), RAW, ASPEN_RAW_WRITABLE),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_insert_raw(mm, AT(100), RAW, ASPEN_RAW_WRITABLE), 0);
    assert_int_equal(aspen_insert_raw(mm, AT(100), RAW, ASPEN_RAW_WRITABLE),
                     -ASPEN_EBUSY);
    assert_int_equal(aspen_insert_raw(mm, AT(101), RAW + 9, 0), 0);
    assert_int_equal(aspen_insert_raw(mm, AT(200), RAW, ASPEN_RAW_WRITABLE), 0);
    assert_raw(mm, AT(100), RAW, true);
    assert_raw(mm, AT(101), RAW + 9, false);
    assert_raw(mm, AT(200), RAW, true);
}

static void
test_remap(void **state)
{
    struct scene *s = *state;
    struct aspen_mm *mm = s->mm;

    assert_int_equal(aspen_remap_raw(mm, AT(200), AT(1), RAW), -ASPEN_EINVAL);
    assert_int_equal(aspen_remap_raw(mm, AT(107), AT(2), RAW), -ASPEN_EINVAL);
    assert_int_equal(aspen_remap_raw(mm, AT(100), 0, RAW), -ASPEN_EINVAL);
    assert_int_equal(aspen_remap_raw(mm, AT(90), PAGE, RAW), -ASPEN_EFAULT);
    assert_int_equal(aspen_insert_raw(mm, AT(105), RAW, ASPEN_RAW_WRITABLE), 0);
    assert_int_equal(aspen_remap_raw(mm, AT(102), AT(6), RAW), -ASPEN_EBUSY);
    assert_raw(mm, AT(102), 0, false);
    assert_int_equal(aspen_remap_raw(mm, AT(102), AT(3) - 1, RAW + 50), 0);
    assert_raw(mm, AT(104), RAW + 52, true);
    assert_raw(mm, AT(105), RAW, true);
    /* Up to the last number that an entry holds. */
    const uint64_t last = ((uint64_t)1 << ASPEN_ENTRY_NUMBER_BITS) - 1;
    helper_map_object(mm, AT(50), 2, RW | SHARED | PFNMAP, s->object, 0);
    assert_int_equal(aspen_remap_raw(mm, AT(50), AT(2), last), -ASPEN_EINVAL);
    assert_int_equal(aspen_remap_raw(mm, AT(50), AT(2), UINT64_MAX),
                     -ASPEN_EINVAL);
    assert_raw(mm, AT(50), 0, false);
    assert_int_equal(aspen_remap_raw(mm, AT(50), AT(2), last - 1), 0);
    assert_raw(mm, AT(51), last, true);
    /* Private: the whole, and read-only. */
    helper_map_object(mm, AT(60), 2, RW | PFNMAP, s->object, 0);
    assert_int_equal(aspen_remap_raw(mm, AT(60), PAGE, RAW), -ASPEN_EINVAL);
    assert_int_equal(aspen_remap_raw(mm, AT(60), AT(2), RAW), 0);
    assert_raw(mm, AT(61), RAW + 1, false);
}

static void
test_insert_page(void **state)
{
    struct scene *s = *state;
    uint32_t frame;

    assert_int_equal(aspen_insert_page(s->mm, AT(100)), -ASPEN_EINVAL);
    assert_int_equal(aspen_insert_page(s->mm, AT(200) + 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_insert_page(s->mm, AT(90)), -ASPEN_EFAULT);
    assert_int_equal(aspen_insert_page(s->mm, AT(203)), 0);
    assert_int_equal(aspen_insert_page(s->mm, AT(203)), -ASPEN_EBUSY);
    frame = helper_frame(s->mm, AT(203));
    assert_int_equal(aspen_frame_offset(aspen_frame_at(s->helper.aspen, frame)),
                     3);
}

/* ---- Splits ------------------------------------------------------------ */

static void
test_may_split(void **state)
{
    struct scene *s = *state;

    s->device.refuse_split = -ASPEN_EBUSY;
    char *before = helper_dump(s->mm, true);
    assert_int_equal(aspen_munmap(s->mm, AT(102), PAGE), -ASPEN_EBUSY);
    assert_int_equal(s->device.split_at, AT(102));
    assert_int_equal(aspen_mprotect(s->mm, AT(103), AT(5), R, -1),
                     -ASPEN_EBUSY);
    char *after = helper_dump(s->mm, true);
    assert_string_equal(before, after);
    free(before);
    free(after);
    /* Nobody asks about the whole. */
    assert_int_equal(aspen_mprotect(s->mm, AT(100), AT(8), R, -1), 0);
    s->device.refuse_split = 0;
    assert_int_equal(aspen_munmap(s->mm, AT(102), PAGE), 0);
    assert_int_equal(s->device.split_at, AT(103));
}

/* ---- Number 0, which is the zero page's -------------------------------- */

static void
test_no_frame_named(void **state)
{
    struct scene *s = *state;

    s->device.silent = true;
    s->device.flags = ASPEN_DEVICE_FRAME_WRITABLE;
    for (unsigned access = 1; access <= 2; access++)
        assert_int_equal(aspen_fault(s->mm, AT(100), access), -ASPEN_EFBIG);
    assert_int_equal(s->device.faults, 2);
    assert_false(helper_can_read(s->mm, AT(100)));
    s->device.inserts = true; /* that is a frame */
    assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_WRITE), 0);
    assert_true(helper_can_write(s->mm, AT(101)) ||
                aspen_fault(s->mm, AT(101), ASPEN_ACCESS_WRITE) == 0);
}

/* What was there is dropped while mkwrite is asked, and nobody knows what would
 * be there again. */
static void
test_dropped_meanwhile(void **state)
{
    static const struct aspen_pager_ops ops = {.mkwrite = device_mkwrite};
    struct scene *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_DEVICE, 8, &ops, &s->device);

    helper_map_object(s->mm, AT(300), 8, RW | SHARED | MIXEDMAP, object, 0);
    assert_int_equal(aspen_insert_raw(s->mm, AT(300), RAW, 0), 0);
    s->device.drops = true;
    assert_int_equal(aspen_fault(s->mm, AT(300), ASPEN_ACCESS_WRITE),
                     -ASPEN_EFBIG);
    assert_false(helper_can_read(s->mm, AT(300)));
    helper_assert_valid(&s->helper);
    helper_unmap(s->mm, AT(300), 8);
    aspen_object_put(object);
}

/* Each of the two hooks can fail without being asked, by a failpoint of its
 * own, before all others: fault, then mkwrite. */
static void
test_every_step(void **state)
{
    struct scene *s = *state;
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE};
    unsigned failed = 0;
    int error;

    do {
        plan.number++;
        s->device.mkwrites = 0;
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
        error = aspen_fault(s->mm, AT(103), ASPEN_ACCESS_WRITE);
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
        if (error == -ASPEN_EIO) {
            assert_int_equal(plan.number, failed + 1);
            assert_int_equal(s->device.faults, failed);
            assert_int_equal(s->device.mkwrites, 0);
            assert_raw(s->mm, AT(103), 0, false);
            failed++;
        }
    } while (error);
    assert_int_equal(failed, 2);
    assert_int_equal(s->device.mkwrites, 1);
    assert_raw(s->mm, AT(103), RAW + 3, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_step),     TEST(test_fault_answers),
        TEST(test_fault_fails),    TEST(test_fault_inserts),
        TEST(test_taken_back),     TEST(test_fork),
        TEST(test_mixed),          TEST(test_neighbours),
        TEST(test_insert),         TEST(test_remap),
        TEST(test_insert_page),    TEST(test_may_split),
        TEST(test_no_frame_named), TEST(test_dropped_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
