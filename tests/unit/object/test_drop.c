/* SPDX-License-Identifier: MIT */
/* Which pages leave an object's cache when it is asked to be smaller, which
 * stay, and every step failing. */
#include "failing.h"
#include "helper.h"

#include "object/page_cache.h"

#define BASE  ((uint64_t)0x10000000)
#define PAGES 16u

static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                             .write = helper_pager_write};
static const struct aspen_pager_ops write_only = {.write = helper_pager_write};

static struct aspen_object *
file(struct helper *h)
{
    return helper_object(h, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
}

static bool
is_cached(struct aspen_object *object, uint64_t offset)
{
    uint32_t frame;

    if (aspen_object_find_page(object, offset, &frame))
        return false;
    aspen_frame_put(object->aspen, frame);
    return true;
}

/* Bit n: page n. */
static unsigned
cached(struct aspen_object *object)
{
    unsigned pages = 0;

    for (unsigned i = 0; i < PAGES; i++)
        pages |= (unsigned)is_cached(object, i) << i;
    return pages;
}

static void
read_all(struct aspen_object *object)
{
    char bytes[PAGES * PAGE];
    uint64_t done;

    assert_int_equal(aspen_object_read(object, 0, bytes, sizeof(bytes), &done),
                     0);
}

static uint64_t
drop(struct aspen_object *object, uint64_t offset, uint64_t length)
{
    uint64_t dropped = 99;

    assert_int_equal(aspen_object_drop(object, offset, length, &dropped), 0);
    return dropped;
}

/* ---- Ranges ------------------------------------------------------------ */

static void
test_ranges(void **state)
{
    (void)state;
    struct helper_space s;
    static const struct {
        uint64_t offset;
        uint64_t length;
        unsigned stay;
    } rows[] = {
        {0, UINT64_MAX, 0},
        {0, PAGES * PAGE, 0},
        {0, 0, 0xffff},
        {0, PAGE - 1, 0xffff},
        {0, PAGE, 0xfffe},
        {1, PAGE, 0xffff},
        {1, 2 * PAGE - 1, 0xfffd},
        {3 * PAGE, 5 * PAGE + 7, 0xff07},
        {15 * PAGE + 1, UINT64_MAX, 0xffff},
        {14 * PAGE, 2 * PAGE, 0x3fff},
        {40 * PAGE, 40 * PAGE, 0xffff},
        {UINT64_MAX, UINT64_MAX, 0xffff},
        {(uint64_t)1 << 63, (uint64_t)1 << 63, 0xffff},
    };

    helper_space_create(&s, NULL);
    struct aspen_object *o = file(&s.helper);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        read_all(o);
        uint64_t before = helper_counts(s.helper.aspen).frames_free;
        unsigned gone = (unsigned)__builtin_popcount(~rows[i].stay & 0xffff);
        assert_int_equal(drop(o, rows[i].offset, rows[i].length), gone);
        assert_int_equal(cached(o), rows[i].stay);
        assert_true(helper_counts(s.helper.aspen).frames_free >= before + gone);
        helper_assert_valid(&s.helper);
    }
    /* The last page is whole where the object ends in it. */
    read_all(o);
    assert_int_equal(aspen_object_resize(o, 2 * PAGE + 5), 0);
    assert_int_equal(aspen_object_sync(o, 0, UINT64_MAX), 0);
    assert_int_equal(drop(o, 2 * PAGE, 4), 0);
    assert_int_equal(drop(o, 2 * PAGE, 5), 1);
    assert_int_equal(cached(o), 3);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

/* ---- What stays -------------------------------------------------------- */

/* Page 1 is mapped, 3 has a private copy, 5 is dirty, 7 pinned, 9 held. */
static void
test_stays(void **state)
{
    (void)state;
    struct helper_space s;
    uint32_t pinned, held;
    uint64_t done;

    helper_space_create(&s, NULL);
    struct aspen_object *o = file(&s.helper);
    read_all(o);
    for (unsigned i = 0; i < 4; i++)
        helper_map_object(s.mm, BASE + i * MIB, 1,
                          i == 1 ? RW : R | ASPEN_VM_MAYREAD, o, 1 + 2 * i);
    helper_get(&s.helper, s.mm, BASE);
    helper_put(&s.helper, s.mm, BASE + MIB, 77);
    assert_int_equal(aspen_object_write(o, 5 * PAGE, "!", 1, &done), 0);
    assert_int_equal(aspen_pin_range(s.mm, BASE + 3 * MIB, PAGE, 0, &pinned),
                     0);
    assert_int_equal(aspen_object_find_page(o, 9, &held), 0);
    assert_int_equal(drop(o, 0, UINT64_MAX), PAGES - 4);
    assert_int_equal(cached(o), 1u << 1 | 1u << 5 | 1u << 7 | 1u << 9);
    /* The copy is the program's. */
    assert_int_equal(helper_get(&s.helper, s.mm, BASE + MIB), 77);

    helper_unpin(s.mm, &pinned, 1, 0);
    aspen_frame_put(s.helper.aspen, held);
    helper_assert_valid(&s.helper);
    assert_int_equal(aspen_object_sync(o, 0, UINT64_MAX), 0);
    helper_unmap(s.mm, BASE, 4 * MIB / PAGE);
    assert_int_equal(drop(o, 0, UINT64_MAX), 4);
    assert_int_equal(cached(o), 0);
    assert_int_equal(drop(o, 0, UINT64_MAX), 0);
    read_all(o); /* as if nothing had been */
    assert_int_equal(cached(o), 0xffff);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

/* What cannot be read again stays, clean as it may be. */
static void
test_others(void **state)
{
    (void)state;
    struct helper_space s;
    uint64_t dropped = 99;

    helper_space_create(&s, NULL);
    struct helper *h = &s.helper;
    struct aspen_object *stay[] = {
        helper_object(h, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL),
        helper_object(h, ASPEN_OBJECT_SHMEM, PAGES, &pager, NULL),
        helper_object(h, ASPEN_OBJECT_FILE, PAGES, NULL, NULL),
        helper_object(h, ASPEN_OBJECT_FILE, PAGES, &write_only, NULL),
    };
    struct aspen_object *device =
        helper_object(h, ASPEN_OBJECT_DEVICE, PAGES, NULL, NULL);

    for (unsigned i = 0; i < 4; i++) {
        read_all(stay[i]);
        assert_int_equal(drop(stay[i], 0, UINT64_MAX), 0);
        assert_int_equal(cached(stay[i]), 0xffff);
        aspen_object_put(stay[i]);
    }
    assert_int_equal(aspen_object_drop(device, 0, PAGE, &dropped),
                     -ASPEN_EINVAL);
    assert_int_equal(dropped, 0);
    aspen_object_put(device);
    helper_space_destroy(&s);
}

/* What a slow read finds done meanwhile, by another task: it drops what is not
 * there, or a page. */
struct slow {
    struct aspen_object *object;
    uint64_t offset; /* of the page that the other drops */
    unsigned reads;
};

static int
slow_read(void *context, uint64_t offset_bytes, void *page)
{
    struct slow *slow = context;

    if (++slow->reads < 9)
        drop(slow->object, slow->offset, PAGE);
    return helper_pager_read(NULL, offset_bytes, page);
}

/* Who drops nothing holds up nobody, however often; what was read while a page
 * went is read again. */
static void
test_beside_a_read(void **state)
{
    (void)state;
    static const struct aspen_pager_ops slow_pager = {.read = slow_read};
    struct helper_space s;
    struct slow slow = {.reads = 9};
    uint8_t byte;
    uint64_t done;

    helper_space_create(&s, NULL);
    slow.object =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &slow_pager, &slow);
    assert_int_equal(aspen_object_read(slow.object, 0, &byte, 1, &done), 0);
    for (unsigned i = 0; i < 2; i++) {
        slow.offset = (uint64_t)(1 - i) * 8 * PAGE; /* nothing, then page 0 */
        slow.reads = 0;
        assert_int_equal(
            aspen_object_read(slow.object, (1 + i) * PAGE, &byte, 1, &done), 0);
        assert_int_equal(slow.reads, 1 + i);
        assert_int_equal(cached(slow.object), i ? 1u << 1 | 1u << 2 : 3);
    }
    aspen_object_put(slow.object);
    helper_space_destroy(&s);
}

/* A file that is read from end to end through fewer frames than it has pages:
 * what the call is for. */
static void
test_through_few_frames(void **state)
{
    (void)state;
    struct aspen_config config = helper_config(256);
    struct helper_space s;

    helper_space_create(&s, &config);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, 4096, &pager, NULL);
    for (uint64_t i = 0; i < 4096; i++) {
        uint8_t byte;
        uint64_t done;
        if (aspen_object_read(o, i * PAGE, &byte, 1, &done)) {
            assert_true(drop(o, 0, UINT64_MAX) > 100);
            assert_int_equal(aspen_object_read(o, i * PAGE, &byte, 1, &done),
                             0);
        }
    }
    helper_assert_valid(&s.helper);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct helper_space space;
    struct aspen_object *object;
};

static void
fail_setup(void *context)
{
    struct failing *f = context;

    helper_space_create(&f->space, NULL);
    f->object = file(&f->space.helper);
    read_all(f->object);
}

static int
fail_run(void *context)
{
    struct failing *f = context;
    uint64_t dropped;

    int error = aspen_object_drop(f->object, 0, UINT64_MAX, &dropped);
    assert_int_equal(dropped,
                     PAGES - (unsigned)__builtin_popcount(cached(f->object)));
    return error;
}

static void
fail_done(void *context)
{
    struct failing *f = context;
    assert_int_equal(cached(f->object), 0);
}

static void
fail_teardown(void *context)
{
    struct failing *f = context;

    helper_assert_valid(&f->space.helper);
    aspen_object_put(f->object);
    helper_space_destroy(&f->space);
}

static void
test_every_step(void **state)
{
    (void)state;
    struct failing f = {0};
    struct helper_failing each = {
        .name = "drop",
        .helper = &f.space.helper,
        .mm = &f.space.mm,
        .setup = fail_setup,
        .run = fail_run,
        .done = fail_done,
        .teardown = fail_teardown,
        .context = &f,
        .progressive = true,
    };

    assert_true(helper_fail_every_step(&each) >= 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_stays),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_beside_a_read),
        cmocka_unit_test(test_through_few_frames),
        cmocka_unit_test(test_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
