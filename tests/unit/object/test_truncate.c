/* SPDX-License-Identifier: MIT */
/*
 * Objects that change under their mappings: size, holes, taking pages back;
 * and shared anonymous memory.
 */
#include "helper.h"

#include "object/page_cache.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define SHARED   ASPEN_VM_SHARED

struct scene {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *shmem; /* 16 pages, each filled with 1 + its number */
};

static int
setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));

    helper_create(&s->helper, NULL);
    s->mm = helper_mm(&s->helper);
    s->shmem = helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 16, NULL, NULL);
    helper_map_object(s->mm, AT(100), 16, RW | SHARED, s->shmem, 0);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned at = 0; at < PAGE; at += 512)
            helper_put(&s->helper, s->mm, AT(100 + i) + at, (uint8_t)(i + 1));
    *state = s;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *s = *state;

    helper_assert_valid(&s->helper);
    aspen_mm_put(s->mm);
    aspen_object_put(s->shmem);
    helper_destroy(&s->helper);
    free(s);
    return 0;
}

static int
touch(struct scene *s, uint64_t address)
{
    uint8_t byte;
    return helper_read(&s->helper, s->mm, address, &byte, 1);
}

static bool
is_cached(struct scene *s, uint64_t offset)
{
    uint32_t frame;

    if (aspen_object_find_page(s->shmem, offset, &frame))
        return false;
    aspen_frame_put(s->helper.aspen, frame);
    return true;
}

/* ---- Size -------------------------------------------------------------- */

static void
test_shorter(void **state)
{
    struct scene *s = *state;

    assert_int_equal(aspen_object_resize(s->shmem, AT(5) + 1024), 0);
    assert_int_equal(aspen_object_size(s->shmem), AT(5) + 1024);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(105)), 6);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(105) + 512), 6);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(105) + 1024), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(105) + 3584), 0);
    for (unsigned i = 6; i < 16; i++) {
        assert_false(helper_can_read(s->mm, AT(100 + i)));
        assert_false(is_cached(s, i));
        assert_int_equal(touch(s, AT(100 + i)), -ASPEN_EFBIG);
    }
    assert_int_equal(helper_counters(s->mm).shmem_pages, 6);
    helper_assert_valid(&s->helper);

    /* What comes back is zero. */
    assert_int_equal(aspen_object_resize(s->shmem, AT(8)), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(106)), 0);
    assert_int_equal(touch(s, AT(108)), -ASPEN_EFBIG);
}

/* As on Linux: a file does, shared memory does not. */
static void
test_longer_hides_what_was_beyond(void **state)
{
    struct scene *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 16, NULL, NULL);

    helper_map_object(s->mm, AT(200), 16, RW | SHARED, file, 0);
    assert_int_equal(aspen_object_resize(file, AT(5) + 100), 0);
    assert_int_equal(aspen_object_resize(s->shmem, AT(5) + 100), 0);
    helper_put(&s->helper, s->mm, AT(105) + 200, 99);
    helper_put(&s->helper, s->mm, AT(205) + 200, 99);
    assert_int_equal(aspen_object_resize(file, AT(6)), 0);
    assert_int_equal(aspen_object_resize(s->shmem, AT(6)), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(105) + 200), 99);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(205) + 200), 0);
    helper_unmap(s->mm, AT(200), 16);
    aspen_object_put(file);
}

static void
test_private_copies_go(void **state)
{
    struct scene *s = *state;

    helper_map_object(s->mm, AT(200), 16, RW, s->shmem, 0);
    helper_put(&s->helper, s->mm, AT(203), 33);
    helper_put(&s->helper, s->mm, AT(212), 44);
    struct aspen_mm *child;
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_object_resize(s->shmem, AT(10)), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(203)), 33);
    assert_int_equal(touch(s, AT(212)), -ASPEN_EFBIG);
    uint8_t byte;
    assert_int_equal(helper_read(&s->helper, child, AT(212), &byte, 1),
                     -ASPEN_EFBIG);
    assert_int_equal(helper_get(&s->helper, child, AT(203)), 33);
    assert_int_equal(helper_counters(s->mm).anon_pages, 1);
    aspen_mm_put(child);
}

static void
test_arguments(void **state)
{
    struct scene *s = *state;
    struct aspen_object *device =
        helper_object(&s->helper, ASPEN_OBJECT_DEVICE, 4, NULL, NULL);

    assert_int_equal(aspen_object_resize(device, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_object_punch(device, 0, 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_object_punch(s->shmem, 0, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_object_punch(s->shmem, 0, UINT64_MAX), -ASPEN_EFBIG);
    assert_int_equal(aspen_object_punch(s->shmem, UINT64_MAX, 1), -ASPEN_EFBIG);
    assert_int_equal(aspen_object_resize(s->shmem, UINT64_MAX), -ASPEN_EFBIG);
    assert_int_equal(aspen_object_punch(s->shmem, AT(16), AT(4)), 0);
    assert_int_equal(aspen_object_sync(s->shmem, 0, UINT64_MAX), 0);
    aspen_object_put(device);
}

/* ---- Holes ------------------------------------------------------------- */

static uint64_t punched;

static int
count_punched(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    punched += length_bytes;
    return 0;
}

/* Its end is 2^64, a number that there is not. */
static void
test_hole_at_the_top(void **state)
{
    static const struct aspen_pager_ops ops = {.punch = count_punched};
    const uint64_t half = 1ull << 63;
    const uint64_t sizes[] = {half + 2 * PAGE, UINT64_MAX};
    struct scene *s = *state;

    for (unsigned i = 0; i < 2; i++) {
        struct aspen_object_args args = {
            .kind = ASPEN_OBJECT_FILE, .size_bytes = sizes[i], .pager = &ops};
        const uint64_t at[] = {half, sizes[i] - 6};
        struct aspen_object *object;
        uint64_t done;
        char bytes[6];

        assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object),
                         0);
        for (unsigned j = 0; j < 2; j++)
            assert_int_equal(
                aspen_object_write(object, at[j], "secret", 6, &done), 0);
        punched = 0;
        assert_int_equal(aspen_object_punch(object, half, half), 0);
        assert_int_equal(punched, sizes[i] - half);
        for (unsigned j = 0; j < 2; j++) {
            assert_int_equal(aspen_object_read(object, at[j], bytes, 6, &done),
                             0);
            assert_int_equal(done, 6);
            assert_memory_equal(bytes, "\0\0\0\0\0\0", 6);
        }
        aspen_object_put(object);
    }
}

static void
test_hole(void **state)
{
    struct scene *s = *state;

    helper_map_object(s->mm, AT(200), 16, RW, s->shmem, 0);
    helper_put(&s->helper, s->mm, AT(205), 33);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(206)), 7);
    assert_int_equal(aspen_object_punch(s->shmem, AT(4) + 512, AT(4)), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(104)), 5);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(104) + 512), 0);
    for (unsigned i = 5; i < 8; i++) {
        assert_false(is_cached(s, i));
        assert_int_equal(helper_get(&s->helper, s->mm, AT(100 + i)), 0);
    }
    assert_int_equal(helper_get(&s->helper, s->mm, AT(108)), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(108) + 512), 9);
    /* A private copy stays; a page that was only read is the object's. */
    assert_int_equal(helper_get(&s->helper, s->mm, AT(205)), 33);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(206)), 0);
    assert_int_equal(aspen_object_size(s->shmem), AT(16));
}

static void
test_hole_inside_a_page(void **state)
{
    struct scene *s = *state;

    assert_int_equal(aspen_object_punch(s->shmem, 512, 512), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(100)), 1);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(100) + 512), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(100) + 1024), 1);
    assert_true(is_cached(s, 0));
    assert_int_equal(aspen_object_punch(s->shmem, AT(2), PAGE), 0);
    assert_false(is_cached(s, 2));
    assert_true(is_cached(s, 1));
    assert_true(is_cached(s, 3));
    assert_int_equal(aspen_object_punch(s->shmem, 0, AT(100)), 0);
    for (unsigned i = 0; i < 16; i++)
        assert_false(is_cached(s, i));
}

static void
test_taken_back(void **state)
{
    struct scene *s = *state;

    assert_int_equal(aspen_object_unmap(s->shmem, AT(3) + 1, 2, 0), 0);
    assert_false(helper_can_read(s->mm, AT(103)));
    assert_true(helper_can_read(s->mm, AT(102)));
    assert_true(helper_can_read(s->mm, AT(104)));
    assert_int_equal(helper_get(&s->helper, s->mm, AT(103)), 4);
    assert_int_equal(aspen_object_unmap(s->shmem, AT(3), UINT64_MAX,
                                        ASPEN_OBJECT_UNMAP_COPIES),
                     0);
    assert_false(helper_can_read(s->mm, AT(115)));
    assert_int_equal(
        aspen_object_unmap(s->shmem, 0, 0, ASPEN_OBJECT_UNMAP_COPIES), 0);
    assert_int_equal(aspen_object_unmap(s->shmem, 0, UINT64_MAX,
                                        ASPEN_OBJECT_UNMAP_COPIES << 1),
                     -ASPEN_EINVAL);
    assert_true(helper_can_read(s->mm, AT(100)));
}

/* A page that somebody holds or pins is nobody's after it was dropped. */
static void
test_pinned_page_is_dropped(void **state)
{
    struct scene *s = *state;
    uint32_t frame;

    assert_int_equal(
        aspen_pin_range(s->mm, AT(103), PAGE, ASPEN_PIN_WRITE, &frame), 0);
    assert_int_equal(aspen_object_punch(s->shmem, AT(3), PAGE), 0);
    helper_assert_valid(&s->helper);
    assert_null(aspen_object_of_frame(aspen_frame_at(s->helper.aspen, frame)));
    assert_int_equal(helper_get(&s->helper, s->mm, AT(103)), 0);
    helper_unpin(s->mm, &frame, 1, ASPEN_UNPIN_DIRTY);
}

/* ---- Shared anonymous memory ------------------------------------------- */

static uint64_t
map_shared(struct scene *s, uint64_t pages, uint64_t flags)
{
    struct aspen_mmap_args args = {
        .length_bytes = AT(pages),
        .vm_flags = RW | SHARED | flags,
    };
    uint64_t address;

    assert_int_equal(aspen_mmap(s->mm, &args, &address), 0);
    return address;
}

static void
test_shared_anonymous(void **state)
{
    struct scene *s = *state;
    struct aspen_mm *child;

    assert_int_equal(helper_committed(&s->helper), 0);
    uint64_t address = map_shared(s, 8, 0);
    assert_int_equal(helper_committed(&s->helper), 8);
    helper_put(&s->helper, s->mm, address, 7);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(helper_committed(&s->helper), 8);
    helper_put(&s->helper, child, address + AT(1), 8);
    assert_int_equal(helper_get(&s->helper, s->mm, address + AT(1)), 8);
    assert_int_equal(helper_get(&s->helper, child, address), 7);
    aspen_mm_put(child);
    char *dump = helper_dump(s->mm, false);
    assert_non_null(strstr(dump, "shared"));
    free(dump);
    helper_assert_valid(&s->helper);

    /* Part of it goes: the object stays, and its charge. */
    helper_unmap(s->mm, address, 4);
    assert_int_equal(helper_committed(&s->helper), 8);
    helper_unmap(s->mm, address + AT(4), 4);
    assert_int_equal(helper_committed(&s->helper), 0);
    uint64_t free_of_charge = map_shared(s, 8, ASPEN_VM_NORESERVE);
    assert_int_equal(helper_committed(&s->helper), 0);
    /* Two of them never merge. */
    uint64_t other = map_shared(s, 8, ASPEN_VM_NORESERVE);
    assert_int_equal(other + AT(8), free_of_charge);
    helper_put(&s->helper, s->mm, free_of_charge, 1);
    assert_int_equal(helper_get(&s->helper, s->mm, other), 0);
}

static void
test_charged_object_is_resized(void **state)
{
    struct scene *s = *state;
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = AT(8) - 1,
                                     .flags = ASPEN_OBJECT_CHARGED};
    struct aspen_object *object;

    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object), 0);
    assert_int_equal(helper_committed(&s->helper), 8);
    assert_int_equal(aspen_object_resize(object, AT(3)), 0);
    assert_int_equal(helper_committed(&s->helper), 3);
    assert_int_equal(aspen_object_resize(object, AT(20)), 0);
    assert_int_equal(helper_committed(&s->helper), 20);
    helper_assert_valid(&s->helper);
    aspen_object_put(object);
    assert_int_equal(helper_committed(&s->helper), 0);
    args.kind = ASPEN_OBJECT_FILE;
    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object),
                     -ASPEN_EINVAL);
    args.kind = ASPEN_OBJECT_SHMEM;
    args.flags = ASPEN_OBJECT_FLAGS + 1;
    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object),
                     -ASPEN_EINVAL);
}

static int
refuse_size(void *context, uint64_t size_bytes)
{
    (void)context;
    (void)size_bytes;
    return -ASPEN_EPERM;
}

/* What was charged for it is given back, and nothing else. */
static void
test_refused_size_is_not_charged(void **state)
{
    static const struct aspen_pager_ops pager = {.resize = refuse_size};
    struct scene *s = *state;
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = AT(8),
                                     .flags = ASPEN_OBJECT_CHARGED,
                                     .pager = &pager};
    struct aspen_object *object;

    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object), 0);
    assert_int_equal(aspen_object_resize(object, AT(20)), -ASPEN_EPERM);
    assert_int_equal(helper_committed(&s->helper), 8);
    assert_int_equal(aspen_object_resize(object, AT(3)), -ASPEN_EPERM);
    assert_int_equal(helper_committed(&s->helper), 8);
    assert_int_equal(aspen_object_size(object), AT(8));
    aspen_object_put(object);
    assert_int_equal(helper_committed(&s->helper), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shorter),
        TEST(test_longer_hides_what_was_beyond),
        TEST(test_private_copies_go),
        TEST(test_arguments),
        TEST(test_hole_at_the_top),
        TEST(test_hole),
        TEST(test_hole_inside_a_page),
        TEST(test_taken_back),
        TEST(test_pinned_page_is_dropped),
        TEST(test_shared_anonymous),
        TEST(test_charged_object_is_resized),
        TEST(test_refused_size_is_not_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
