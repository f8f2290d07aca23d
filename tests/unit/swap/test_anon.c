/* SPDX-License-Identifier: MIT */
/*
 * Anonymous memory that is larger than what there is: which of it leaves, what
 * stays, what happens when swap is full; many threads, devices that fail, and
 * every byte as it was written.
 */
#define _GNU_SOURCE
#include "beside.h"
#include "device.h"
#include "helper.h"

#include "base/atomic.h"

#include <pthread.h>

#define FRAMES 192u
#define PAGES  (8u * FRAMES)

struct scene {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct device device;
};

static void
begin(struct scene *scene, uint32_t slots)
{
    struct aspen_config config = helper_config(FRAMES);

    memset(scene, 0, sizeof(*scene));
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&scene->s, &config);
    scene->h = &scene->s.helper;
    scene->aspen = scene->h->aspen;
    scene->mm = scene->s.mm;
    if (slots)
        device_add(&scene->device, scene->aspen, slots, 0);
}

static void
end(struct scene *scene)
{
    helper_assert_valid(scene->h);
    helper_space_destroy(&scene->s);
    device_free(&scene->device);
}

static void
put(struct scene *scene, uint64_t at, uint64_t number)
{
    assert_int_equal(
        helper_write(scene->h, scene->mm, at, &number, sizeof(number)), 0);
}

static uint64_t
get(struct scene *scene, struct aspen_mm *mm, uint64_t at)
{
    uint64_t number = UINT64_MAX;

    assert_int_equal(helper_read(scene->h, mm, at, &number, sizeof(number)), 0);
    return number;
}

static uint64_t
swapped(const struct scene *scene)
{
    return helper_counters(scene->mm).swap_pages;
}

/* New pages, of which page i begins with i. */
static uint64_t
fill(struct scene *scene, unsigned pages)
{
    uint64_t at = helper_map(scene->mm, 0, pages, RW);

    for (uint64_t i = 0; i < pages; i++)
        put(scene, at + i * PAGE, i);
    return at;
}

/* ---- What leaves ------------------------------------------------------- */

static void
test_larger_than_memory(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, PAGES);
    uint64_t at = fill(&scene, PAGES);
    assert_true(swapped(&scene) > PAGES - FRAMES);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(get(&scene, scene.mm, at + i * PAGE), i);
    for (uint64_t i = PAGES; i-- > 0;)
        put(&scene, at + i * PAGE, ~i);
    helper_assert_valid(scene.h);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(get(&scene, scene.mm, at + i * PAGE), ~i);
    end(&scene);
}

/* Without a device nothing leaves, and nothing is looked at. */
static void
test_no_device(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 0);
    (void)fill(&scene, 20);
    assert_int_equal(aspen_reclaim(scene.aspen, 20), 0);
    struct aspen_counters counts = helper_counts(scene.aspen);
    assert_int_equal(counts.inactive_anon + counts.active_anon, 0);
    assert_int_equal(counts.reclaim_looked, 0);
    end(&scene);
}

/* Pages from before the first device leave as others do, also a child's. */
static void
test_device_comes_late(void **state)
{
    struct scene scene;
    struct aspen_mm *child;
    (void)state;

    begin(&scene, 0);
    uint64_t at = fill(&scene, 20);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    put(&scene, at, 77);
    assert_int_equal(helper_counts(scene.aspen).inactive_anon, 0);
    device_add(&scene.device, scene.aspen, PAGES, 0);
    assert_int_equal(helper_counts(scene.aspen).inactive_anon, 21);
    helper_assert_valid(scene.h);
    assert_int_equal(aspen_reclaim(scene.aspen, UINT64_MAX), 21);
    assert_int_equal(swapped(&scene), 20);
    assert_int_equal(get(&scene, scene.mm, at), 77);
    assert_int_equal(get(&scene, child, at), 0);
    assert_int_equal(get(&scene, child, at + 19 * PAGE), 19);
    aspen_mm_put(child);
    end(&scene);
}

static void
touch(struct scene *scene, uint64_t at, unsigned pages)
{
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(beside_touch(scene->mm, at + i * PAGE), 0);
}

/* What is accessed again and again stays, and what was touched once goes. */
static void
test_accessed_stay(void **state)
{
    struct scene scene;
    uint64_t active = 0;
    (void)state;

    beside_load(false); /* what it caches it has accessed */
    begin(&scene, PAGES);
    uint64_t hot = fill(&scene, 20), cold = fill(&scene, 100);
    for (unsigned i = 0; i < 500; i++) {
        touch(&scene, hot, 20);
        touch(&scene, cold + i % 100 * PAGE, 1);
        aspen_reclaim(scene.aspen, 1);
        uint64_t now = helper_counts(scene.aspen).active_anon;
        active = now > active ? now : active;
    }
    unsigned stayed = 0;
    for (uint64_t k = 0; k < 20; k++)
        stayed += helper_can_read(scene.mm, hot + k * PAGE);
    print_message("%u of 20 are there, %u were active\n", stayed,
                  (unsigned)active);
    assert_true(stayed >= 19);
    assert_true(active >= 10);
    end(&scene);
}

static void
test_locked_and_pinned_stay(void **state)
{
    struct scene scene;
    uint32_t pinned[4];
    (void)state;

    begin(&scene, PAGES);
    uint64_t at = fill(&scene, 12);
    assert_int_equal(aspen_mlock(scene.mm, at, 4 * PAGE, 0), 0);
    assert_int_equal(
        aspen_pin_range(scene.mm, at + 4 * PAGE, 4 * PAGE, 0, pinned), 0);
    for (unsigned i = 0; i < 6; i++)
        aspen_reclaim(scene.aspen, 100);
    assert_int_equal(swapped(&scene), 4);
    assert_int_equal(helper_counts(scene.aspen).unevictable, 8);
    helper_assert_valid(scene.h);
    helper_unpin(scene.mm, pinned, 4, 0);
    assert_int_equal(aspen_munlock(scene.mm, at, 4 * PAGE), 0);
    for (unsigned i = 0; i < 6; i++)
        aspen_reclaim(scene.aspen, 100);
    assert_int_equal(swapped(&scene), 12);
    assert_int_equal(helper_counts(scene.aspen).unevictable, 0);
    for (uint64_t i = 0; i < 12; i++)
        assert_int_equal(get(&scene, scene.mm, at + i * PAGE), i);
    end(&scene);
}

/* Dropped, with a device or without; unless it was written since. */
static void
drop_lazy(uint32_t slots)
{
    struct scene scene;

    begin(&scene, slots);
    uint64_t at = fill(&scene, 8);
    assert_int_equal(aspen_madvise(scene.mm, at, 8 * PAGE, ASPEN_MADV_FREE), 0);
    put(&scene, at + 3 * PAGE, 33);
    for (unsigned i = 0; i < 4; i++)
        aspen_reclaim(scene.aspen, 100);
    assert_int_equal(scene.device.transfers, slots ? 1 : 0);
    assert_int_equal(swapped(&scene), slots ? 1 : 0);
    helper_assert_valid(scene.h);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(get(&scene, scene.mm, at + i * PAGE), i == 3 ? 33 : 0);
    end(&scene);
}

static void
test_lazy_are_dropped(void **state)
{
    (void)state;
    drop_lazy(0);
    drop_lazy(64);
}

/* Then there is no memory; what is given back is enough. */
static void
test_swap_is_full(void **state)
{
    struct scene scene;
    uint64_t pages = 0;
    int error = 0;
    (void)state;

    begin(&scene, 100);
    uint64_t at = helper_map(scene.mm, 0, PAGES, RW);
    for (; !error && pages < PAGES; pages += !error)
        error = helper_write(scene.h, scene.mm, at + pages * PAGE, &pages,
                             sizeof(pages));
    assert_int_equal(error, -ASPEN_ENOMEM);
    assert_in_range(pages, FRAMES + 100 - 20, FRAMES + 100);
    assert_int_equal(helper_counts(scene.aspen).swap_slots_used, 100);
    helper_assert_valid(scene.h);
    helper_unmap(scene.mm, at, 40);
    for (uint64_t i = 40; i < pages; i++)
        assert_int_equal(get(&scene, scene.mm, at + i * PAGE), i);
    (void)fill(&scene, 20);
    end(&scene);
}

/* Pages that relatives share go together, and come back shared. */
static void
test_shared_pages(void **state)
{
    struct scene scene;
    struct aspen_mm *child;
    (void)state;

    begin(&scene, PAGES);
    uint64_t at = fill(&scene, 40);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    for (unsigned i = 0; i < 4; i++)
        aspen_reclaim(scene.aspen, 100);
    assert_int_equal(swapped(&scene), 40);
    assert_int_equal(helper_counters(child).swap_pages, 40);
    assert_int_equal(helper_counts(scene.aspen).swap_slots_used, 40);
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(get(&scene, child, at + i * PAGE), i);
    /* Their slots are in use still: they leave without a write. */
    uint32_t transfers = scene.device.transfers;
    for (unsigned i = 0; i < 4; i++)
        aspen_reclaim(scene.aspen, 100);
    assert_int_equal(scene.device.transfers, transfers);
    assert_int_equal(helper_counters(child).swap_pages, 40);
    for (uint64_t i = 0; i < 40; i++) {
        put(&scene, at + i * PAGE, i + 1000);
        assert_int_equal(get(&scene, child, at + i * PAGE), i);
    }
    helper_assert_valid(scene.h);
    aspen_mm_put(child);
    end(&scene);
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS 4u
#define ROUNDS  2500u
#define OWN     (PAGES / THREADS)

struct soak {
    struct scene *scene;
    uint64_t at;
    uint32_t next;    /* atomic, as the next two */
    uint32_t wrong;   /* what was read and had not been written */
    uint32_t refused; /* by the device, or for want of memory */
};

/* A device that fails, fails the call; what it could not read is there still.
 */
static bool
went_through(struct soak *soak, int error)
{
    if (!error)
        return true;
    assert_true(error == -ASPEN_EIO || error == -ASPEN_ENOMEM ||
                error == -ASPEN_EFAULT);
    aspen_fetch_add(&soak->refused, 1u);
    return false;
}

static void
write_and_compare(struct soak *soak, struct aspen_mm *mm, uint64_t at,
                  uint64_t *value, uint64_t next)
{
    uint64_t found = 0, done;

    if (went_through(
            soak, aspen_read_memory(mm, at, &found, sizeof(found), 0, &done)) &&
        found != *value)
        aspen_fetch_add(&soak->wrong, 1u);
    if (next && went_through(soak, aspen_write_memory(mm, at, &next,
                                                      sizeof(next), 0, &done)))
        *value = next;
}

static void
compare_child(struct soak *soak, uint64_t at, uint64_t *values, uint64_t seed)
{
    struct aspen_mm *child;

    if (aspen_fork(soak->scene->mm, &child))
        return;
    uint64_t first = unit_below(&seed, OWN);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t page = (first + i) % OWN, value = values[page];
        write_and_compare(soak, child, at + page * PAGE, &value, i % 2);
        write_and_compare(soak, child, at + page * PAGE, &value, 0);
    }
    aspen_mm_put(child);
}

static void *
soak_thread(void *argument)
{
    struct soak *soak = argument;
    struct aspen_mm *mm = soak->scene->mm;
    uint64_t number = aspen_fetch_add(&soak->next, 1u), seed = number + 1;
    uint64_t at = soak->at + number * OWN * PAGE;
    uint64_t *values = calloc(OWN, sizeof(*values));

    assert_non_null(values);
    for (unsigned i = 0; i < unit_rounds(ROUNDS); i++) {
        uint64_t page = unit_below(&seed, OWN), next = unit_random(&seed) | 1;
        uint64_t where = at + page * PAGE;
        switch (unit_below(&seed, 32)) {
        case 0:
            aspen_reclaim(soak->scene->aspen, 16);
            break;
        case 1:
            assert_int_equal(aspen_madvise(mm, where, PAGE, ASPEN_MADV_PAGEOUT),
                             0);
            break;
        case 2:
            assert_int_equal(
                aspen_madvise(mm, where, PAGE, ASPEN_MADV_DONTNEED), 0);
            values[page] = 0;
            break;
        case 3:
            if (i % 4 == 0)
                compare_child(soak, at, values, next);
            break;
        default:
            write_and_compare(soak, mm, where, &values[page],
                              next & 2 ? next : 0);
        }
    }
    /* What failed comes through now. */
    aspen_store(&soak->scene->device.fails, 0u);
    for (uint64_t page = 0; page < OWN; page++)
        write_and_compare(soak, mm, at + page * PAGE, &values[page], 0);
    free(values);
    return NULL;
}

static void
soak_with(uint32_t fails, bool later)
{
    struct scene scene;
    struct soak soak = {.scene = &scene};

    begin(&scene, 0);
    scene.device.fails = fails;
    scene.device.later = later;
    device_add(&scene.device, scene.aspen, 2 * PAGES, ASPEN_SWAP_CHECKSUM);
    soak.at = helper_map(scene.mm, 0, PAGES, RW);
    unit_run_threads(THREADS, soak_thread, &soak);
    struct aspen_counters counts = helper_counts(scene.aspen);
    print_message("%u transfers, %u failed, %u calls refused, %u direct "
                  "reclaims, %u wrong\n",
                  scene.device.transfers, scene.device.failed, soak.refused,
                  (unsigned)counts.direct_reclaims, soak.wrong);
    assert_int_equal(soak.wrong, 0);
    assert_true(scene.device.transfers > 10);
    if (fails)
        assert_true(scene.device.failed > 0);
    end(&scene);
}

static void
test_threads(void **state)
{
    (void)state;
    soak_with(0, false);
    soak_with(0, true);
}

static void
test_threads_and_failing_device(void **state)
{
    (void)state;
    soak_with(30, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_larger_than_memory),
        cmocka_unit_test(test_no_device),
        cmocka_unit_test(test_device_comes_late),
        cmocka_unit_test(test_accessed_stay),
        cmocka_unit_test(test_locked_and_pinned_stay),
        cmocka_unit_test(test_lazy_are_dropped),
        cmocka_unit_test(test_swap_is_full),
        cmocka_unit_test(test_shared_pages),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_and_failing_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
