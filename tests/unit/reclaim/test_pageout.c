/* SPDX-License-Identifier: MIT */
/*
 * MADV_PAGEOUT and MADV_COLD: what is named leaves at once, or before others;
 * what somebody else needs, or could not be read again, stays.
 */
#include "beside.h"
#include "helper.h"
#include "slots.h"

#include "frames/lru.h"

#include <time.h>

#define PAGES 80u /* more than leave together */
#define SLOTS 128u

/* What a file and a swap device are, outside. */
static struct store {
    unsigned char bytes[PAGES][PAGE];
    unsigned writes; /* pages */
    int error;
    unsigned char slots[SLOTS][PAGE];
} store;

static int
store_read(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    memcpy(page, store.bytes[offset_bytes / PAGE], PAGE);
    return 0;
}

static int
store_write(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    (void)context;
    if (store.error)
        return store.error;
    for (unsigned i = 0; i < bytes / PAGE; i++, store.writes++)
        memcpy(store.bytes[offset_bytes / PAGE + i], pages[i], PAGE);
    return 0;
}

static int
swap_transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(store.slots, io);
}

static const struct aspen_pager_ops both = {.read = store_read,
                                            .write = store_write};
static const struct aspen_pager_ops reader = {.read = store_read};

struct scene {
    struct helper *h;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint64_t at;
};

static struct scene
begin(struct helper_space *s, const struct aspen_pager_ops *pager,
      uint64_t vm_flags)
{
    struct scene scene = {.h = &s->helper, .mm = s->mm};

    memset(&store, 0, sizeof(store));
    for (unsigned i = 0; i < PAGES; i++)
        store.bytes[i][0] = (unsigned char)(i + 1);
    scene.file =
        helper_object(scene.h, ASPEN_OBJECT_FILE, PAGES, pager, &store);
    scene.at = helper_map_object(s->mm, 0, PAGES, vm_flags, scene.file, 0);
    return scene;
}

static void
end(struct scene *scene)
{
    helper_assert_valid(scene->h);
    helper_unmap(scene->mm, scene->at, PAGES);
    aspen_object_put(scene->file);
    helper_assert_valid(scene->h);
}

static void
swap_on(struct scene *scene)
{
    static const struct aspen_swap_ops ops = {.transfer = swap_transfer};
    struct aspen_swap_args args = {.pages = SLOTS, .ops = &ops};

    assert_int_equal(aspen_swap_add(scene->h->aspen, &args, &(unsigned){0}), 0);
}

static void
read_all(struct scene *scene)
{
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(helper_get(scene->h, scene->mm, scene->at + i * PAGE),
                         i + 1);
}

static void
page_out(struct aspen_mm *mm, uint64_t at, unsigned pages)
{
    assert_int_equal(aspen_madvise(mm, at, pages * PAGE, ASPEN_MADV_PAGEOUT),
                     0);
}

/* How many of the file's pages are in memory. */
static uint64_t
cached(struct scene *scene)
{
    struct aspen_counters counts = helper_counts(scene->h->aspen);

    return counts.inactive_file + counts.active_file + counts.unevictable;
}

/* ---- Files ------------------------------------------------------------- */

static void
test_clean(void **state)
{
    struct scene scene = begin(*state, &reader, R | ASPEN_VM_SHARED);

    read_all(&scene);
    assert_int_equal(cached(&scene), PAGES);
    page_out(scene.mm, scene.at + PAGE, PAGES - 2);
    assert_int_equal(cached(&scene), 2);
    assert_int_equal(helper_counters(scene.mm).file_pages, 2);
    assert_int_equal(helper_counts(scene.h->aspen).shadows, PAGES - 2);
    read_all(&scene);
    end(&scene);
}

/* Written, then gone; a second time there is nothing to write. */
static void
test_dirty(void **state)
{
    struct scene scene = begin(*state, &both, RW | ASPEN_VM_SHARED);

    read_all(&scene);
    for (unsigned i = 0; i < PAGES; i += 2)
        helper_put(scene.h, scene.mm, scene.at + i * PAGE, (uint8_t)(100 + i));
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(cached(&scene), 0);
    assert_int_equal(store.writes, PAGES / 2);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(helper_get(scene.h, scene.mm, scene.at + i * PAGE),
                         i % 2 ? i + 1 : 100 + i);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(cached(&scene), 0);
    assert_int_equal(store.writes, PAGES / 2);
    end(&scene);
}

/* It stays, and who syncs the file hears of the error. */
static void
test_failing_write(void **state)
{
    struct scene scene = begin(*state, &both, RW | ASPEN_VM_SHARED);

    helper_put(scene.h, scene.mm, scene.at, 99);
    store.error = -ASPEN_ENOSPC;
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(cached(&scene), 1);
    helper_assert_valid(scene.h);
    store.error = 0;
    assert_int_equal(helper_get(scene.h, scene.mm, scene.at), 99);
    assert_int_equal(aspen_object_sync(scene.file, 0, PAGES * PAGE),
                     -ASPEN_ENOSPC);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(cached(&scene), 0);
    assert_int_equal(store.bytes[0][0], 99);
    end(&scene);
}

static void
test_others_need_it(void **state)
{
    struct scene scene = begin(*state, &reader, R | ASPEN_VM_SHARED);
    struct aspen_mm *child;
    uint32_t pinned;

    read_all(&scene);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    assert_int_equal(beside_touch(child, scene.at), 0); /* and neighbours */
    uint64_t shared = helper_counters(child).file_pages;
    assert_in_range(shared, 1, PAGES / 2);
    assert_int_equal(aspen_pin_range(scene.mm, scene.at + (PAGES - 1) * PAGE,
                                     PAGE, 0, &pinned),
                     0);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(cached(&scene), shared + 1);
    helper_assert_valid(scene.h);
    helper_unpin(scene.mm, &pinned, 1, 0);
    aspen_mm_put(child);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(cached(&scene), 0);
    end(&scene);
}

/* What nobody could read again is not unmapped either. */
static void
test_memory_alone(void **state)
{
    static const struct aspen_pager_ops none = {0};
    struct helper_space *s = *state;
    struct aspen_object *objects[] = {
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 1, NULL, NULL),
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 1, NULL, NULL),
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 1, &none, NULL),
    };

    for (unsigned i = 0; i < 3; i++) {
        uint64_t at =
            helper_map_object(s->mm, 0, 1, RW | ASPEN_VM_SHARED, objects[i], 0);
        helper_put(&s->helper, s->mm, at, 7);
        page_out(s->mm, at, 1);
        assert_true(helper_can_read(s->mm, at));
        assert_int_equal(helper_get(&s->helper, s->mm, at), 7);
        helper_assert_valid(&s->helper);
        aspen_object_put(objects[i]);
    }
}

/* A private mapping's own copies go to swap, where there is one; the file's
 * pages leave. */
static void
test_private(void **state)
{
    struct scene scene = begin(*state, &both, RW);

    read_all(&scene);
    for (unsigned i = 0; i < PAGES; i += 2)
        helper_put(scene.h, scene.mm, scene.at + i * PAGE, 200);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(helper_counters(scene.mm).file_pages, 0);
    assert_int_equal(helper_counters(scene.mm).anon_pages, PAGES / 2);
    swap_on(&scene);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(helper_counters(scene.mm).anon_pages, 0);
    assert_int_equal(helper_counters(scene.mm).swap_pages, PAGES / 2);
    assert_int_equal(store.writes, 0);
    helper_assert_valid(scene.h);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(helper_get(scene.h, scene.mm, scene.at + i * PAGE),
                         i % 2 ? i + 1 : 200);
    end(&scene);
}

/* Several mappings in one call, and holes between them. */
static void
test_holes(void **state)
{
    struct scene scene = begin(*state, &both, RW | ASPEN_VM_SHARED);

    read_all(&scene);
    helper_unmap(scene.mm, scene.at + 40 * PAGE, 1);
    assert_int_equal(aspen_mprotect(scene.mm, scene.at + 50 * PAGE, 7 * PAGE,
                                    ASPEN_VM_READ, -1),
                     0);
    assert_int_equal(
        aspen_madvise(scene.mm, scene.at, PAGES * PAGE, ASPEN_MADV_PAGEOUT),
        -ASPEN_ENOMEM);
    /* What nobody maps stays. */
    assert_int_equal(cached(&scene), 1);
    assert_int_equal(helper_counters(scene.mm).file_pages, 0);
    end(&scene);
}

/* ---- COLD -------------------------------------------------------------- */

static unsigned
in_memory(struct scene *scene, unsigned first, unsigned end)
{
    unsigned count = 0;

    for (unsigned i = first; i < end; i++)
        count += helper_can_read(scene->mm, scene->at + i * PAGE);
    return count;
}

static int
setup_classic(void **state)
{
    struct aspen_config config = helper_config(4 * PAGES);

    config.reclaim_policy = ASPEN_RECLAIM_CLASSIC; /* most become active */
    return helper_space_setup_with(state, &config);
}

#define CLASSIC(name)                                                          \
    cmocka_unit_test_setup_teardown(name, setup_classic, helper_space_teardown)

static void
touch(struct scene *scene, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        assert_int_equal(beside_touch(scene->mm, scene->at + i * PAGE), 0);
}

static void
make_active(struct scene *scene)
{
    for (unsigned round = 0; round < 8; round++) {
        touch(scene, 0, PAGES);
        aspen_reclaim(scene->h->aspen, round ? 1 : 0);
    }
}

/* Active ones are not any more, and leave before what is accessed. */
static void
cool(struct scene *scene, const uint64_t active_before,
     uint64_t (*active)(struct scene *scene))
{
    assert_true(active_before > PAGES / 4);
    assert_int_equal(
        aspen_madvise(scene->mm, scene->at, PAGES * PAGE, ASPEN_MADV_COLD), 0);
    assert_int_equal(active(scene), 0);
    helper_assert_valid(scene->h);
    touch(scene, 20, PAGES);
    assert_true(aspen_reclaim(scene->h->aspen, 15) >= 15);
    assert_true(in_memory(scene, 0, 20) <= 5);
    assert_int_equal(in_memory(scene, 20, PAGES), PAGES - 20);
}

static uint64_t
active_file(struct scene *scene)
{
    return helper_counts(scene->h->aspen).active_file;
}

static uint64_t
active_anon(struct scene *scene)
{
    return helper_counts(scene->h->aspen).active_anon;
}

static void
test_cold(void **state)
{
    struct scene scene = begin(*state, &reader, R | ASPEN_VM_SHARED);

    beside_load(false); /* what it caches it has accessed */
    make_active(&scene);
    cool(&scene, active_file(&scene), active_file);
    beside_load(true);
    end(&scene);
}

/* What cannot leave stays where it is. */
static void
test_cold_and_pinned(void **state)
{
    struct scene scene = begin(*state, &reader, R | ASPEN_VM_SHARED);
    uint32_t pinned;

    read_all(&scene);
    assert_int_equal(aspen_pin_range(scene.mm, scene.at, PAGE, 0, &pinned), 0);
    assert_int_equal(aspen_reclaim(scene.h->aspen, PAGES), PAGES - 1);
    assert_int_equal(helper_counts(scene.h->aspen).unevictable, 1);
    assert_int_equal(aspen_madvise(scene.mm, scene.at, PAGE, ASPEN_MADV_COLD),
                     0);
    assert_int_equal(helper_counts(scene.h->aspen).unevictable, 1);
    helper_unpin(scene.mm, &pinned, 1, 0);
    end(&scene);
}

/* The same of anonymous pages. */
static void
test_cold_anonymous(void **state)
{
    struct scene scene = begin(*state, &reader, R);

    beside_load(false);
    swap_on(&scene);
    helper_unmap(scene.mm, scene.at, PAGES);
    scene.at = helper_map(scene.mm, 0, PAGES, RW);
    for (unsigned i = 0; i < PAGES; i++)
        helper_put(scene.h, scene.mm, scene.at + i * PAGE, 1);
    make_active(&scene);
    cool(&scene, active_anon(&scene), active_anon);
    beside_load(true);
    end(&scene);
}

/* ---- Every step fails -------------------------------------------------- */

/* It is advice: whatever fails, nothing is lost, and the next call works. */
static void
test_failing(void **state)
{
    struct scene scene = begin(*state, &both, RW | ASPEN_VM_SHARED);
    struct aspen *aspen = scene.h->aspen;
    struct aspen_failpoint_counts counts = {.crossings = UINT64_MAX};

    for (unsigned mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t n = 1; n <= counts.crossings; n++) {
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = n};
            for (unsigned i = 0; i < PAGES; i++)
                helper_put(scene.h, scene.mm, scene.at + i * PAGE,
                           (uint8_t)(i + n));
            assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
            page_out(scene.mm, scene.at, PAGES);
            aspen_failpoints_read(aspen, &counts);
            assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
            helper_assert_valid(scene.h);
            for (unsigned i = 0; i < PAGES; i++)
                assert_int_equal(
                    helper_get(scene.h, scene.mm, scene.at + i * PAGE),
                    (uint8_t)(i + n));
            page_out(scene.mm, scene.at, PAGES);
            assert_int_equal(cached(&scene), 0);
        }
    assert_true(counts.crossings > 0);
    end(&scene);
}

/* ---- How long it takes --------------------------------------------------- */

/* Two pages in half of what there is: the rest costs nothing, so that nobody
 * waits for the lock meanwhile. */
static void
test_sparse(void **state)
{
    struct scene scene = begin(*state, &reader, R);
    uint64_t bytes = scene.mm->address_limit / 2 & ~(PAGE - 1);

    swap_on(&scene);
    /* Without an address, 57 bits give out what 47 can name. */
    uint64_t at = helper_map(scene.mm, bytes / 2 & ~(PAGE - 1), bytes / PAGE,
                             RW | ASPEN_VM_NORESERVE);
    uint64_t last = at + bytes - PAGE;
    helper_put(scene.h, scene.mm, at + 7 * PAGE, 1);
    helper_put(scene.h, scene.mm, last, 2);
    clock_t begun = clock();
    assert_int_equal(aspen_madvise(scene.mm, at, bytes, ASPEN_MADV_PAGEOUT), 0);
    assert_true(clock() - begun < CLOCKS_PER_SEC);
    assert_int_equal(helper_counters(scene.mm).swap_pages, 2);
    assert_int_equal(helper_get(scene.h, scene.mm, at + 7 * PAGE), 1);
    assert_int_equal(helper_get(scene.h, scene.mm, last), 2);
    helper_unmap(scene.mm, at, bytes / PAGE);
    end(&scene);
}

/* Whoever is killed does not go on writing. */
static void
test_interrupted(void **state)
{
    struct scene scene = begin(*state, &reader, R | ASPEN_VM_SHARED);
    const struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONWARD,
                                              .number = 1};

    read_all(&scene);
    assert_int_equal(aspen_failpoints_set(scene.h->aspen, &plan), 0);
    page_out(scene.mm, scene.at, PAGES);
    assert_int_equal(aspen_failpoints_set(scene.h->aspen, NULL), 0);
    assert_int_equal(cached(&scene), PAGES);
    end(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_clean),
        helper_space_test(test_dirty),
        helper_space_test(test_failing_write),
        helper_space_test(test_others_need_it),
        helper_space_test(test_memory_alone),
        helper_space_test(test_private),
        helper_space_test(test_holes),
        CLASSIC(test_cold),
        helper_space_test(test_cold_and_pinned),
        CLASSIC(test_cold_anonymous),
        helper_space_test(test_failing),
        helper_space_test(test_sparse),
        helper_space_test(test_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
