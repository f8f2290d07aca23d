/* SPDX-License-Identifier: MIT */
/*
 * Threads with eight times as much shared memory as there are frames: read and
 * written by mappings and by bytes, cut off and punched, paged out and read
 * ahead; with devices that fail, and areas that go. What is read was written.
 */
#define _GNU_SOURCE
#include "device.h"
#include "helper.h"
#include "shared_scene.h"

#include "base/atomic.h"

#include <aspen/calls/advise.h>

#define FRAMES     192u
#define THREADS    4u
#define ROUNDS     2500u
#define SOAK_PAGES (8u * FRAMES)
#define OWN        (SOAK_PAGES / THREADS)

struct soak {
    struct aspen_object *objects[THREADS];
    uint64_t at[THREADS]; /* where they are mapped, all in one space */
    uint32_t next;        /* atomic, as the next two */
    uint32_t wrong;
    uint32_t refused;
};

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
compare(struct soak *soak, bool by_bytes, uint64_t thread, uint64_t page,
        uint64_t value)
{
    uint64_t found = 0, done;
    int error =
        by_bytes ? aspen_object_read(soak->objects[thread], page * PAGE, &found,
                                     sizeof(found), &done)
                 : aspen_read_memory(scene.mm, soak->at[thread] + page * PAGE,
                                     &found, sizeof(found), 0, &done);

    if (went_through(soak, error) && found != value)
        aspen_fetch_add(&soak->wrong, 1u);
}

static void
change(struct soak *soak, bool by_bytes, uint64_t thread, uint64_t page,
       uint64_t *value, uint64_t next)
{
    uint64_t done;
    int error =
        by_bytes ? aspen_object_write(soak->objects[thread], page * PAGE, &next,
                                      sizeof(next), &done)
                 : aspen_write_memory(scene.mm, soak->at[thread] + page * PAGE,
                                      &next, sizeof(next), 0, &done);

    if (went_through(soak, error))
        *value = next;
}

/* A few pages go from inside, or from the end, which comes back. */
static void
cut(struct soak *soak, uint64_t thread, uint64_t page, uint64_t *values)
{
    uint64_t pages = page < OWN - 3 ? 3 : OWN - page;
    struct aspen_object *object = soak->objects[thread];
    int error = page % 8 ? aspen_object_punch(object, page * PAGE, pages * PAGE)
                         : aspen_object_resize(object, page * PAGE);

    if (!went_through(soak, error))
        return;
    if (page % 8 == 0)
        assert_int_equal(aspen_object_resize(object, OWN * PAGE), 0);
    for (uint64_t i = page; i < (page % 8 ? page + pages : OWN); i++)
        values[i] = 0;
}

/* Another area comes and goes. */
static void
add_and_remove(void)
{
    struct device extra;
    int error;

    for (unsigned i = 0; i < unit_rounds(40); i++) {
        memset(&extra, 0, sizeof(extra));
        device_add(&extra, scene.aspen, 64, 0);
        for (unsigned n = 0; n < 8; n++)
            aspen_reclaim(scene.aspen, 16);
        do {
            error = aspen_swap_remove(scene.aspen, extra.type);
        } while (error == -ASPEN_ENOMEM || error == -ASPEN_EBUSY);
        assert_int_equal(error, 0);
        device_free(&extra);
    }
}

static void *
soak_thread(void *argument)
{
    struct soak *soak = argument;
    uint64_t thread = aspen_fetch_add(&soak->next, 1u), seed = thread + 1;

    if (thread == THREADS) {
        add_and_remove();
        return NULL;
    }
    uint64_t *values = calloc(OWN, sizeof(*values));

    assert_non_null(values);
    for (unsigned i = 0; i < unit_rounds(ROUNDS); i++) {
        uint64_t page = unit_below(&seed, OWN), next = unit_random(&seed) | 1;
        uint64_t where = soak->at[thread] + page * PAGE;
        switch (unit_below(&seed, 64)) {
        case 0:
            aspen_reclaim(scene.aspen, 16);
            break;
        case 1:
            page_out(where, 1);
            break;
        case 2:
            cut(soak, thread, page, values);
            break;
        case 3:
            assert_int_equal(
                aspen_madvise(scene.mm, where, PAGE, ASPEN_MADV_WILLNEED), 0);
            break;
        default:
            compare(soak, next & 4, thread, page, values[page]);
            if (next & 2)
                change(soak, next & 8, thread, page, &values[page], next);
        }
    }
    /* What failed comes through now. */
    aspen_store(&scene.device.fails, 0u);
    for (uint64_t page = 0; page < OWN; page++)
        compare(soak, page & 1, thread, page, values[page]);
    free(values);
    return NULL;
}

static void
soak_with(uint32_t fails, bool later, bool removal)
{
    const struct device device = {.fails = fails, .later = later};
    struct soak soak = {.next = 0};

    scene_begin(FRAMES, &device, 2 * SOAK_PAGES);
    for (unsigned i = 0; i < THREADS; i++) {
        soak.objects[i] =
            helper_object(scene.h, ASPEN_OBJECT_SHMEM, OWN, NULL, NULL);
        soak.at[i] =
            helper_map_object(scene.mm, 0, OWN, SHARED, soak.objects[i], 0);
    }
    unit_run_threads(THREADS + removal, soak_thread, &soak);
    struct aspen_counters now = scene_counts();
    print_message("%u transfers, %u failed, %u calls refused, %u direct "
                  "reclaims, %u wrong\n",
                  scene.device.transfers, scene.device.failed, soak.refused,
                  (unsigned)now.direct_reclaims, soak.wrong);
    assert_int_equal(soak.wrong, 0);
    assert_true(scene.device.transfers > 10);
    helper_assert_valid(scene.h);
    for (unsigned i = 0; i < THREADS; i++)
        aspen_object_put(soak.objects[i]);
    scene_end();
}

static void
many_threads(void **state)
{
    (void)state;
    soak_with(0, false, false);
    soak_with(0, true, false);
}

static void
many_threads_and_a_failing_device(void **state)
{
    (void)state;
    soak_with(30, false, false);
}

static void
many_threads_and_areas_that_go(void **state)
{
    (void)state;
    soak_with(0, false, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads),
        cmocka_unit_test(many_threads_and_a_failing_device),
        cmocka_unit_test(many_threads_and_areas_that_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
