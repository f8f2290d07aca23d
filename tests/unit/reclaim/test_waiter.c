/* SPDX-License-Identifier: MIT */
/*
 * Who needs memory while another one is about to let all go that can waits for
 * him, is woken when he has, and gets what he let go. With threads that sleep:
 * a wake-up that is missing is a test that does not end.
 */
#include "helper.h"
#include "queue.h"

#include "internal.h"

#include <aspen/calls/advise.h>
#include <aspen/frames.h>
#include <unistd.h>

#define FRAMES 512u
#define PAGES  24u /* fewer than leave together */

static struct {
    struct helper_space s;
    struct aspen *aspen;
    struct queue queue;
    uint64_t at;
    uint32_t frames[FRAMES];
    unsigned taken;
} scene;

static void
pause_ms(unsigned ms)
{
    usleep(ms * 1000);
}

/* All but what the space has is the embedder's. */
static void
take_the_rest(void)
{
    const struct aspen_frames_args args = {.kind = ASPEN_FRAMES_KERNEL};

    while (helper_counts(scene.aspen).frames_free > 0) /* and not one more */
        assert_int_equal(aspen_frames_alloc(scene.aspen, &args,
                                            &scene.frames[scene.taken++]),
                         0);
    assert_int_equal(helper_counters(scene.s.mm).swap_pages, 0);
}

/* All at once. */
static void *
page_out(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)aspen_madvise(scene.s.mm, scene.at, PAGES * PAGE,
                                           ASPEN_MADV_PAGEOUT);
}

static void *
access_new(void *argument)
{
    uint64_t address = *(uint64_t *)argument;

    return (void *)(intptr_t)aspen_fault(scene.s.mm, address,
                                         ASPEN_ACCESS_WRITE);
}

static void
test_woken(void **state)
{
    struct aspen_config config = helper_config(FRAMES);
    pthread_t reclaimer, waiter;
    void *error;
    (void)state;

    alarm(30);
    memset(&scene, 0, sizeof(scene));
    helper_space_create(&scene.s, &config);
    scene.aspen = scene.s.helper.aspen;
    queue_add(&scene.queue, scene.aspen, 64, 0);
    scene.at = helper_map(scene.s.mm, 0, 2 * PAGES, RW);
    for (unsigned i = 0; i < PAGES; i++)
        helper_put(&scene.s.helper, scene.s.mm, scene.at + i * PAGE,
                   (uint8_t)(i + 1));
    take_the_rest();
    scene.queue.holds_writes = true;
    assert_int_equal(pthread_create(&reclaimer, NULL, page_out, NULL), 0);
    while (!queue_waiting(&scene.queue))
        pause_ms(1);
    /* All that can leave is locked: nothing is left for who comes now. */
    uint32_t ended = aspen_load(&scene.aspen->leaving.ended);
    uint64_t address = scene.at + PAGES * PAGE;
    assert_int_equal(pthread_create(&waiter, NULL, access_new, &address), 0);
    while (aspen_load(&scene.aspen->leaving.ended) == ended)
        pause_ms(1);
    pause_ms(100);
    scene.queue.holds_writes = false;
    while (queue_waiting(&scene.queue))
        queue_answer(&scene.queue, 0, 0);
    assert_int_equal(pthread_join(reclaimer, &error), 0);
    assert_int_equal((intptr_t)error, 0);
    assert_int_equal(pthread_join(waiter, &error), 0);
    assert_int_equal((intptr_t)error, 0);
    while (scene.taken)
        aspen_frames_free(scene.aspen, scene.frames[--scene.taken]);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(
            helper_get(&scene.s.helper, scene.s.mm, scene.at + i * PAGE),
            i + 1);
    helper_space_destroy(&scene.s);
    queue_free(&scene.queue);
    alarm(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_woken)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
