/* SPDX-License-Identifier: MIT */
/*
 * A page goes to another frame: what it was it is there, whoever maps it, and
 * what has to stay stays as it was.
 */
#include "../swap/device.h"
#include "failing.h"
#include "helper.h"

#include "frames/lru.h"
#include "frames/pins.h"
#include "machine/swap_map.h"
#include "object/page_cache.h"
#include "rmap/rmap.h"

#include <aspen/account/group.h>
#include <aspen/calls/advise.h>
#include <aspen/calls/pin.h>
#include <aspen/calls/reclaim.h>

static struct device device;

static uint64_t
entry_at(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_slot slot;

    return aspen_table_walk(mm, address, &slot);
}

static uint32_t
frame_at(struct aspen_mm *mm, uint64_t address)
{
    return (uint32_t)aspen_entry_frame(entry_at(mm, address));
}

static struct aspen_frame *
page_at(struct helper_space *s, struct aspen_mm *mm, uint64_t address)
{
    return aspen_frame_at(s->helper.aspen, frame_at(mm, address));
}

/* It goes: where it was nothing is, and nothing else has changed. */
static uint32_t
goes(struct helper_space *s, uint32_t old)
{
    struct aspen *aspen = s->helper.aspen;
    struct aspen_counters before = helper_counts(aspen);

    assert_int_equal(aspen_migrate(aspen, old), 0);
    assert_int_equal(aspen_migrate(aspen, old), -ASPEN_ENOENT);
    before.migrated++;
    before.tlb_flushes = helper_counts(aspen).tlb_flushes;
    helper_assert_counts(aspen, &before);
    helper_assert_valid(&s->helper);
    return old;
}

static void
stays(struct helper_space *s, uint32_t frame, int error)
{
    struct aspen *aspen = s->helper.aspen;
    struct aspen_counters before = helper_counts(aspen), after;

    assert_int_equal(aspen_migrate(aspen, frame), error);
    after = helper_counts(aspen);
    before.tlb_flushes = after.tlb_flushes;
    before.migrate_failed = after.migrate_failed;
    helper_assert_counts(aspen, &before);
}

/* ---- Memory of one space ----------------------------------------------- */

static void
anonymous(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 3, RW);

    helper_put(&s->helper, s->mm, a + PAGE + 5, 'x');
    struct aspen_mm_counters before = helper_counters(s->mm);
    unsigned bits = aspen_entry_bits(entry_at(s->mm, a + PAGE));
    uint32_t old = goes(s, frame_at(s->mm, a + PAGE));
    assert_int_not_equal(frame_at(s->mm, a + PAGE), old);
    assert_int_equal(aspen_entry_bits(entry_at(s->mm, a + PAGE)), bits);
    assert_true(aspen_frame_is_exclusive(page_at(s, s->mm, a + PAGE)));
    assert_true(helper_can_write(s->mm, a + PAGE)); /* no fault comes */
    assert_int_equal(helper_get(&s->helper, s->mm, a + PAGE + 5), 'x');
    assert_int_equal(helper_counters(s->mm).anon_pages, before.anon_pages);
    helper_put(&s->helper, s->mm, a + PAGE + 5, 'y');
    assert_int_equal(helper_get(&s->helper, s->mm, a + PAGE + 5), 'y');
}

/* Whatever the entry allows or knows, it does so there. */
static void
rights(void **state)
{
    static const uint64_t access[] = {0, R, RW, RX, RW | ASPEN_VM_EXEC};
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 2, RW), pages;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(access); i++) {
        helper_put(&s->helper, s->mm, a, (uint8_t)(i + 1));
        assert_int_equal(
            aspen_mprotect(s->mm, a, PAGE, access[i], ASPEN_PKEY_SAME), 0);
        if (i % 2)
            assert_int_equal(
                aspen_young(s->mm, a, PAGE, ASPEN_YOUNG_CLEAR, &pages), 0);
        unsigned bits = aspen_entry_bits(entry_at(s->mm, a));
        (void)goes(s, frame_at(s->mm, a));
        /* Code is new there, where instruction caches have to be told. */
        assert_int_equal((aspen_entry_bits(entry_at(s->mm, a)) ^ bits) &
                             ~ASPEN_ENTRY_EXEC,
                         0);
        assert_int_equal(aspen_mprotect(s->mm, a, PAGE, RW, ASPEN_PKEY_SAME),
                         0);
        assert_int_equal(helper_get(&s->helper, s->mm, a), i + 1);
    }
}

static void
freed_lazily(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 1, RW);

    helper_put(&s->helper, s->mm, a, 'x');
    assert_int_equal(aspen_madvise(s->mm, a, PAGE, ASPEN_MADV_FREE), 0);
    (void)goes(s, frame_at(s->mm, a));
    assert_true(aspen_frame_is_lazy(page_at(s, s->mm, a)));
    aspen_reclaim(s->helper.aspen, 1);
    aspen_reclaim(s->helper.aspen, 1);
    assert_int_equal(entry_at(s->mm, a), 0);
}

/* ---- Memory of several ------------------------------------------------- */

static void
shared_by_fork(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    struct aspen_mm *children[3];

    helper_put(&s->helper, s->mm, a, 'x');
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(aspen_fork(i ? children[i - 1] : s->mm, &children[i]),
                         0);
    uint32_t old = goes(s, frame_at(s->mm, a));
    uint32_t new = frame_at(s->mm, a);
    assert_int_not_equal(new, old);
    assert_int_equal(aspen_frame_map_count(page_at(s, s->mm, a)), 4);
    assert_false(aspen_frame_is_exclusive(page_at(s, s->mm, a)));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(frame_at(children[i], a), new);
        assert_false(helper_can_write(children[i], a));
        helper_put(&s->helper, children[i], a, (uint8_t)i);
    }
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'x');
    for (unsigned i = 0; i < 3; i++)
        aspen_mm_put(children[i]);
    helper_put(&s->helper, s->mm, a, 'y');
    assert_int_equal(frame_at(s->mm, a), new); /* no copy */
}

static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                             .write = helper_pager_write};

static void
file(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 4, &pager, NULL);
    uint64_t a =
        helper_map_object(s->mm, 0, 4, RW | ASPEN_VM_SHARED, object, 0);
    uint64_t done;
    uint32_t frame, again;
    uint8_t byte;

    /* Mapped, clean and dirty. */
    assert_int_equal(helper_get(&s->helper, s->mm, a), 1);
    helper_put(&s->helper, s->mm, a + PAGE, 'x');
    for (unsigned i = 0; i < 2; i++) {
        enum aspen_lru_state was =
            aspen_lru_state(page_at(s, s->mm, a + i * PAGE));
        (void)goes(s, frame_at(s->mm, a + i * PAGE));
        struct aspen_frame *page = page_at(s, s->mm, a + i * PAGE);
        assert_int_equal(aspen_lru_state(page), was);
        assert_int_equal(!(aspen_load(&page->index) & ASPEN_FRAME_DIRTY), !i);
        assert_int_equal(aspen_object_find_page(object, i, &frame), 0);
        assert_int_equal(frame, frame_at(s->mm, a + i * PAGE));
        aspen_frame_put(aspen, frame);
    }
    assert_int_equal(aspen_object_read(object, PAGE, &byte, 1, &done), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(aspen_object_sync(object, 0, 4 * PAGE), 0);
    assert_false(helper_can_write(s->mm, a + PAGE)); /* found by write-back */
    /* Cached alone. */
    assert_int_equal(aspen_object_read(object, 3 * PAGE, &byte, 1, &done), 0);
    assert_int_equal(aspen_object_find_page(object, 3, &frame), 0);
    aspen_frame_put(aspen, frame);
    (void)goes(s, frame);
    assert_int_equal(aspen_object_find_page(object, 3, &again), 0);
    assert_int_not_equal(again, frame);
    aspen_frame_put(aspen, again);
    assert_int_equal(helper_get(&s->helper, s->mm, a + 3 * PAGE), 4);
    helper_unmap(s->mm, a, 4);
    aspen_object_put(object);
}

/* What a mapping knew of writes is not lost where it goes meanwhile is the
 * explorer's affair; here it is the page's own. */
static void
shared_memory(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 2, RW | ASPEN_VM_SHARED);
    struct aspen_mm *child;

    helper_put(&s->helper, s->mm, a, 'x');
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(helper_get(&s->helper, child, a), 'x');
    (void)goes(s, frame_at(s->mm, a));
    assert_int_equal(frame_at(s->mm, a), frame_at(child, a));
    helper_put(&s->helper, child, a, 'y');
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'y');
    aspen_mm_put(child);
}

/* ---- Swap -------------------------------------------------------------- */

/* Some have it in memory, some in swap. */
static void
in_swap_cache(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    struct aspen_mm *child;
    uint32_t slot, slot_again;
    unsigned type;

    device_add(&device, aspen, 16, 0);
    helper_put(&s->helper, s->mm, a, 'x');
    assert_int_equal(aspen_madvise(s->mm, a, PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_true(aspen_entry_is_swap(entry_at(s->mm, a)));
    assert_int_equal(helper_get(&s->helper, child, a), 'x');
    uint32_t frame = frame_at(child, a);
    assert_true(aspen_swap_slot_of(aspen, frame, &type, &slot));
    (void)goes(s, frame);
    frame = frame_at(child, a);
    assert_true(aspen_swap_slot_of(aspen, frame, &type, &slot_again));
    assert_int_equal(slot_again, slot);
    /* Mapped by nobody. */
    helper_unmap(child, a, 1);
    (void)goes(s, frame);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'x');
    assert_int_equal(device.transfers, 2); /* once each way */
    aspen_mm_put(child);
    helper_unmap(s->mm, a, 1);
    assert_int_equal(aspen_swap_remove(aspen, device.type), 0);
    device_free(&device);
}

/* ---- Groups ------------------------------------------------------------ */

static void
stays_its_groups(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_group *group;
    struct aspen_group_counters before, after;

    assert_int_equal(aspen_group_create(aspen, NULL, &group), 0);
    assert_int_equal(aspen_group_enter(s->mm, group), 0);
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    helper_put(&s->helper, s->mm, a, 'x');
    aspen_group_counters_read(group, &before);
    (void)goes(s, frame_at(s->mm, a));
    aspen_group_counters_read(group, &after);
    assert_int_equal(after.pages, before.pages);
    assert_ptr_equal(aspen_frame_group(aspen, frame_at(s->mm, a)), group);
    helper_unmap(s->mm, a, 1);
    aspen_group_counters_read(group, &after);
    assert_int_equal(aspen_group_enter(s->mm, NULL), 0);
    aspen_group_put(group);
}

/* ---- Its place on its list --------------------------------------------- */

static uint32_t
cached_frame(struct aspen *aspen, struct aspen_object *object, uint64_t offset)
{
    uint32_t frame;

    assert_int_equal(aspen_object_find_page(object, offset, &frame), 0);
    aspen_frame_put(aspen, frame);
    return frame;
}

/* The first, the last, one between, the only one: each leaves when it would
 * have. */
static void
place(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 5, &pager, NULL);
    uint64_t done;
    uint8_t byte;

    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(aspen_object_read(object, i * PAGE, &byte, 1, &done),
                         0);
        (void)goes(s, cached_frame(aspen, object, 0));
    }
    (void)goes(s, cached_frame(aspen, object, 2));
    (void)goes(s, cached_frame(aspen, object, 4));
    for (uint32_t at = aspen->lru.lists[ASPEN_LRU_NEW_LIST].last, i = 0; i < 5;
         i++, at = aspen_frame_at(aspen, at)->previous) {
        assert_int_not_equal(at, ASPEN_NO_FRAME);
        assert_int_equal(aspen_frame_offset(aspen_frame_at(aspen, at)), i);
    }
    aspen_object_put(object);
}

/* ---- What stays -------------------------------------------------------- */

static void
stay(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = helper_map(s->mm, 0, 2, RW);
    uint32_t pinned, block;

    helper_put(&s->helper, s->mm, a, 'x');
    assert_int_equal(aspen_pin_range(s->mm, a, PAGE, ASPEN_PIN_WRITE, &pinned),
                     0);
    stays(s, pinned, -ASPEN_EBUSY);
    assert_true(helper_can_write(s->mm, a));
    helper_unpin(s->mm, &pinned, 1, 0);
    aspen_frame_get(aspen_frame_at(aspen, pinned));
    stays(s, pinned, -ASPEN_EBUSY); /* held */
    aspen_frame_put(aspen, pinned);
    /* Somebody has to do with it. */
    aspen_fetch_or(&aspen_frame_at(aspen, pinned)->index, ASPEN_FRAME_LOCKED);
    stays(s, pinned, -ASPEN_EBUSY);
    aspen_fetch_and(&aspen_frame_at(aspen, pinned)->index, ~ASPEN_FRAME_LOCKED);
    assert_true(helper_can_write(s->mm, a));
    helper_assert_valid(&s->helper);
    (void)goes(s, pinned);

    stays(s, aspen->zero_frame, -ASPEN_EBUSY);
    stays(s, s->mm->root, -ASPEN_EBUSY);
    stays(s, 1000000, -ASPEN_EINVAL);
    stays(s, ASPEN_NO_FRAME, -ASPEN_EINVAL);
    assert_int_equal(
        aspen_frames_alloc(aspen,
                           &(struct aspen_frames_args){
                               .order = 2, .kind = ASPEN_FRAMES_DEVICE},
                           &block),
        0);
    stays(s, block, -ASPEN_EBUSY);
    aspen_frames_free(aspen, block);
    stays(s, block, -ASPEN_ENOENT);
}

/* ---- Failing ----------------------------------------------------------- */

static struct {
    struct helper_space s;
    uint64_t at;
} failing;

static void
failing_setup(void *unused)
{
    (void)unused;
    helper_space_create(&failing.s, NULL);
    failing.at = helper_map(failing.s.mm, 0, 1, RW);
    helper_put(&failing.s.helper, failing.s.mm, failing.at, 'x');
}

static int
failing_run(void *unused)
{
    (void)unused;
    return aspen_migrate(failing.s.helper.aspen,
                         frame_at(failing.s.mm, failing.at));
}

static void
failing_teardown(void *unused)
{
    (void)unused;
    helper_space_destroy(&failing.s);
}

static void
fails(void **state)
{
    struct helper_failing f = {.name = "a move",
                               .helper = &failing.s.helper,
                               .mm = &failing.s.mm,
                               .setup = failing_setup,
                               .run = failing_run,
                               .teardown = failing_teardown};

    (void)state;
    assert_true(helper_fail_every_step(&f) >= 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(anonymous),     helper_space_test(rights),
        helper_space_test(freed_lazily),  helper_space_test(shared_by_fork),
        helper_space_test(file),          helper_space_test(shared_memory),
        helper_space_test(in_swap_cache), helper_space_test(stays_its_groups),
        helper_space_test(place),         helper_space_test(stay),
        cmocka_unit_test(fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
