/* SPDX-License-Identifier: MIT */
/*
 * Pages that leave together: how often TLBs are flushed for them, and that
 * nobody has them any more when they are gone.
 */
#include "aspen_posix.h"
#include "beside.h"
#include "helper.h"
#include "slots.h"

#include "frames/lru.h"
#include "object/page_cache.h"
#include "reclaim/reclaim.h"
#include "swap/swap.h"

#define PAGES  ASPEN_RECLAIM_BATCH
#define SPACES (2 * ASPEN_TAKE_SPACES + 1)

static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                             .write = helper_pager_write};
static uint8_t slots[PAGES][PAGE];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static int
setup(void **state)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {.pages = PAGES, .ops = &ops};
    unsigned type;

    beside_second(false);
    beside_load(true);
    helper_space_setup(state);
    struct helper_space *s = *state;
    return aspen_swap_add(s->helper.aspen, &args, &type);
}

static uint64_t
flushes(struct helper_space *s)
{
    return helper_counts(s->helper.aspen).tlb_flushes;
}

static void
touch_all(struct aspen_mm *mm, uint64_t at)
{
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(beside_touch(mm, at + i * PAGE), 0);
}

/* Its pages, whoever maps them, leave. */
static void
take_out(struct aspen_object *file)
{
    uint32_t frames[PAGES];

    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(aspen_object_find_page(file, i, &frames[i]), 0);
    aspen_reclaim_pages(file->aspen, frames, PAGES);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(aspen_object_find_page(file, i, &frames[i]),
                         -ASPEN_ENOENT);
}

/* Each space once, also if it maps the pages twice. */
static void
test_file(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    uint64_t shared =
        helper_map_object(s->mm, 0, PAGES, RW | ASPEN_VM_SHARED, file, 0);
    uint64_t private = helper_map_object(s->mm, 0, PAGES, RW, file, 0);
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    touch_all(s->mm, shared);
    touch_all(s->mm, private);
    touch_all(child, shared);
    uint64_t before = flushes(s);
    take_out(file);
    assert_int_equal(flushes(s), before + 2);
    assert_int_equal(helper_counters(s->mm).file_pages, 0);
    assert_int_equal(helper_counters(s->mm).peak_resident_pages, 2 * PAGES);
    assert_int_equal(helper_counters(child).file_pages, 0);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, child, shared + PAGE), 2);
    aspen_mm_put(child);
    aspen_object_put(file);
}

/* Of more spaces than are flushed together. */
static void
test_many_spaces(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    uint64_t at =
        helper_map_object(s->mm, 0, PAGES, RW | ASPEN_VM_SHARED, file, 0);
    struct aspen_mm *children[SPACES];

    for (unsigned i = 0; i < SPACES; i++) {
        assert_int_equal(aspen_fork(s->mm, &children[i]), 0);
        touch_all(children[i], at);
    }
    take_out(file);
    for (unsigned i = 0; i < SPACES; i++)
        assert_int_equal(helper_counters(children[i]).file_pages, 0);
    helper_assert_valid(&s->helper);
    for (unsigned i = 0; i < SPACES; i++)
        aspen_mm_put(children[i]);
    aspen_object_put(file);
}

static uint64_t
fill(struct helper_space *s)
{
    uint64_t at = helper_map(s->mm, 0, PAGES, RW);

    for (uint64_t i = 0; i < PAGES; i++)
        helper_put(&s->helper, s->mm, at + i * PAGE, (uint8_t)(i + 1));
    return at;
}

static void
page_out(struct helper_space *s, uint64_t at)
{
    uint64_t before = flushes(s);

    assert_int_equal(aspen_madvise(s->mm, at, PAGES * PAGE, ASPEN_MADV_PAGEOUT),
                     0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 0);
    /* PAGEOUT makes them old by another. */
    assert_true(flushes(s) <= before + 2);
    helper_assert_valid(&s->helper);
}

static void
test_swap(void **state)
{
    struct helper_space *s = *state;
    uint64_t at = fill(s);

    page_out(s, at);
    assert_int_equal(helper_counters(s->mm).swap_pages, PAGES);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(helper_get(&s->helper, s->mm, at + i * PAGE), i + 1);
}

static void
test_lazily_freed(void **state)
{
    struct helper_space *s = *state;
    uint64_t at = fill(s);

    assert_int_equal(aspen_madvise(s->mm, at, PAGES * PAGE, ASPEN_MADV_FREE),
                     0);
    page_out(s, at);
    assert_int_equal(helper_counters(s->mm).swap_pages, 0);
    assert_int_equal(helper_get(&s->helper, s->mm, at), 0);
}

/* One entry has gone when another turns out to be locked: the page stays, and
 * nobody has the old translation. */
static void
test_one_stays(void **state)
{
    struct helper_space *s = *state;
    uint64_t at = fill(s);
    uint32_t frame = helper_frame(s->mm, at + 5 * PAGE);
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_mprotect(child, at, PAGES * PAGE, R, -1), 0);
    assert_int_equal(aspen_mlock(child, at + 5 * PAGE, PAGE, 0), 0);
    assert_int_equal(helper_frame(child, at + 5 * PAGE), frame);
    struct aspen_frame *page = aspen_frame_at(s->helper.aspen, frame);
    struct aspen_swap_batch batch = {.aspen = s->helper.aspen};
    aspen_frame_get(page);
    assert_true(aspen_frame_trylock(page));
    assert_int_equal(aspen_swap_out(&batch, frame), -ASPEN_EBUSY);
    aspen_frame_unlock(page);
    aspen_frame_put(s->helper.aspen, frame);
    assert_int_equal(helper_counters(s->mm).swap_pages, 1);
    assert_int_equal(helper_frame(child, at + 5 * PAGE), frame);
    helper_assert_valid(&s->helper);
    beside_check("reclaim");
    assert_int_equal(helper_get(&s->helper, s->mm, at + 5 * PAGE), 6);
    assert_int_equal(helper_frame(s->mm, at + 5 * PAGE), frame);
    aspen_mm_put(child);
}

/* ---- Who comes before the flush ------------------------------------------ */

struct flush {
    struct aspen_object *file;
    unsigned flushes;
    bool linked; /* the first one found the mapping in the reverse map */
};

static void
observe(void *context, const struct aspen_tlb_flush *unused)
{
    struct flush *seen = context;

    (void)unused;
    if (!seen->flushes++)
        seen->linked = aspen_interval_first(&seen->file->i_mmap, 0, 0) != NULL;
}

/* A mapping of pages that somebody has taken, and not flushed yet, is flushed
 * before nobody finds it any more; also when its space ends. */
static void
unmap_taken(struct helper_space *s, bool ends, struct flush *seen)
{
    struct aspen_mm *mm = helper_mm(&s->helper);

    seen->file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    uint64_t at =
        helper_map_object(mm, 0, PAGES, R | ASPEN_VM_SHARED, seen->file, 0);
    aspen_mm_hold(mm);
    aspen_posix_observe_tlb(observe, seen);
    unsigned part = aspen_tlb_pending_begin(mm);
    if (ends)
        aspen_mm_put(mm);
    else
        helper_unmap(mm, at, PAGES);
    aspen_tlb_pending_end(mm, part);
    aspen_posix_observe_tlb(NULL, NULL);
    if (!ends)
        aspen_mm_put(mm);
    aspen_mm_drop(mm);
    aspen_object_put(seen->file);
}

static void
test_unlinked(void **state)
{
    struct flush munmap = {.flushes = 0}, exit = {.flushes = 0};

    unmap_taken(*state, false, &munmap);
    assert_true(munmap.linked);
    unmap_taken(*state, true, &exit);
    assert_int_equal(exit.flushes, 1);
}

int
main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_file),         TEST(test_many_spaces), TEST(test_swap),
        TEST(test_lazily_freed), TEST(test_one_stays),   TEST(test_unlinked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
