/* SPDX-License-Identifier: MIT */
/*
 * Pages that are read from swap while nobody waits: MADV_WILLNEED, and what
 * comes beside the page that a fault needs. Whoever comes for one of them waits
 * for it alone; what cannot be read is missed by who needs it, and by nobody
 * else. The same beside munmap, fork, exit, reclaim and swapoff.
 */
#include "helper.h"
#include "queue.h"

#include "internal.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/mincore.h>
#include <aspen/calls/reclaim.h>
#include <sys/mman.h>

#define PAGES 96u
#define SLOTS 4096u

struct scene {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct queue queue;
    uint64_t at;
    uint64_t pages;
    uint64_t free;
};

static uint8_t
byte_of(uint64_t i)
{
    return (uint8_t)(i % 251 + 1);
}

/* Pages in swap, in order; the device holds reads. */
static void
begin_with(struct scene *scene, uint64_t pages, unsigned flags,
           struct aspen_object *(*object_for)(struct helper *, uint64_t))
{
    struct aspen_config config = helper_config(4096);

    memset(scene, 0, sizeof(*scene));
    helper_space_create(&scene->s, &config);
    scene->h = &scene->s.helper;
    scene->aspen = scene->h->aspen;
    scene->mm = scene->s.mm;
    scene->pages = pages;
    queue_add(&scene->queue, scene->aspen, SLOTS, flags);
    if (object_for) {
        struct aspen_object *object = object_for(scene->h, pages);
        scene->at = helper_map_object(scene->mm, 0, pages, RW | ASPEN_VM_SHARED,
                                      object, 0);
        aspen_object_put(object);
    } else {
        scene->at = helper_map(scene->mm, 0, pages, RW);
    }
    for (uint64_t i = 0; i < pages; i++)
        helper_put(scene->h, scene->mm, scene->at + i * PAGE, byte_of(i));
    assert_int_equal(
        aspen_madvise(scene->mm, scene->at, pages * PAGE, ASPEN_MADV_PAGEOUT),
        0);
    assert_int_equal(helper_counts(scene->aspen).swap_slots_used, pages);
    scene->free = helper_counts(scene->aspen).frames_free;
    scene->queue.holds = true;
}

static void
begin(struct scene *scene, unsigned flags)
{
    begin_with(scene, PAGES, flags, NULL);
}

static void
end(struct scene *scene)
{
    helper_assert_valid(scene->h);
    helper_space_destroy(&scene->s);
    queue_free(&scene->queue);
}

static int
willneed(struct scene *scene)
{
    return aspen_madvise(scene->mm, scene->at, scene->pages * PAGE,
                         ASPEN_MADV_WILLNEED);
}

/* By mincore. */
static uint64_t
resident(struct scene *scene)
{
    static uint8_t vector[SLOTS];
    uint64_t count = 0;

    assert_int_equal(
        aspen_mincore(scene->mm, scene->at, scene->pages * PAGE, vector), 0);
    for (uint64_t i = 0; i < scene->pages; i++)
        count += vector[i] & 1;
    return count;
}

static void
read_all(struct scene *scene, struct aspen_mm *mm)
{
    for (uint64_t i = 0; i < scene->pages; i++)
        assert_int_equal(helper_get(scene->h, mm, scene->at + i * PAGE),
                         byte_of(i));
}

static void
answer_backwards(struct scene *scene)
{
    for (unsigned n = queue_waiting(&scene->queue); n; n--)
        queue_answer(&scene->queue, n - 1, 0);
}

/* ---- WILLNEED ------------------------------------------------------------ */

static void
look_at_willneed(struct scene *scene)
{
    assert_int_equal(willneed(scene), 0);
    unsigned asked = queue_waiting(&scene->queue);
    print_message("%u reads under way\n", asked);
    assert_in_range(asked, 3, 4);
    assert_int_equal(resident(scene), 0);
    assert_int_equal(helper_counts(scene->aspen).frames_free,
                     scene->free - PAGES);
    helper_assert_valid(scene->h);
    assert_int_equal(willneed(scene), 0); /* all are asked for */
    assert_int_equal(queue_waiting(&scene->queue), asked);
    for (unsigned n = asked; n; n--) {
        queue_answer(&scene->queue, n - 1, 0);
        helper_assert_valid(scene->h);
    }
    assert_int_equal(resident(scene), PAGES);
    assert_int_equal(helper_counts(scene->aspen).swapped_in, PAGES);
    read_all(scene, scene->mm);
    assert_int_equal(scene->queue.transfers, asked);
    assert_int_equal(helper_counts(scene->aspen).swap_slots_used, 0);
}

static void
test_willneed(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 0);
    look_at_willneed(&scene);
    end(&scene);
    begin(&scene, ASPEN_SWAP_CHECKSUM);
    look_at_willneed(&scene);
    end(&scene);
}

static struct aspen_object *
new_shared(struct helper *helper, uint64_t pages)
{
    return helper_object(helper, ASPEN_OBJECT_SHMEM, pages, NULL, NULL);
}

static void
test_shared(void **state)
{
    struct scene scene;
    (void)state;

    begin_with(&scene, PAGES, 0, new_shared);
    look_at_willneed(&scene);
    end(&scene);
}

/* Who needs what another's read brings. */
static void *
access_one(void *argument)
{
    struct scene *scene = argument;
    uint8_t byte = 0;
    uint64_t done;

    if (aspen_read_memory(scene->mm, scene->at + 40 * PAGE, &byte, 1, 0, &done))
        return NULL;
    return (void *)(uintptr_t)byte;
}

static void
test_waited_for(void **state)
{
    struct scene scene;
    pthread_t thread;
    void *byte;
    (void)state;

    begin(&scene, 0);
    assert_int_equal(willneed(&scene), 0);
    assert_int_equal(aspen_fault(scene.mm, scene.at + 40 * PAGE,
                                 ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT),
                     -ASPEN_EAGAIN);
    assert_int_equal(pthread_create(&thread, NULL, access_one, &scene), 0);
    while (queue_waiting(&scene.queue) > 0)
        queue_answer(&scene.queue, 0, 0);
    assert_int_equal(pthread_join(thread, &byte), 0);
    assert_int_equal((uintptr_t)byte, byte_of(40));
    /* What is read, but nobody has come for, is there at once. */
    assert_int_equal(aspen_fault(scene.mm, scene.at,
                                 ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT),
                     0);
    read_all(&scene, scene.mm);
    end(&scene);
}

/* A device that has enough to do is waited for, once in a while. */
static void
test_many(void **state)
{
    struct scene scene;
    (void)state;

    begin_with(&scene, 1088, 0, NULL);
    queue_start(&scene.queue);
    assert_int_equal(willneed(&scene), 0);
    read_all(&scene, scene.mm);
    queue_stop(&scene.queue);
    print_message("%u reads, %u at a time\n", scene.queue.transfers,
                  scene.queue.most);
    assert_in_range(scene.queue.transfers, 34, 40);
    assert_true(scene.queue.most <= ASPEN_SWAP_READS + 1);
    end(&scene);
}

/* ---- What fails ---------------------------------------------------------- */

static void
test_bad_slot(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 0);
    scene.queue.bad = 50;
    assert_int_equal(willneed(&scene), 0);
    answer_backwards(&scene);
    uint64_t there = resident(&scene);
    print_message("%u are there\n", (unsigned)there);
    assert_in_range(there, PAGES - 32, PAGES - 1);
    helper_assert_valid(scene.h);
    scene.queue.holds = false;
    for (uint64_t i = 0; i < PAGES; i++)
        if (i != 50)
            assert_int_equal(helper_get(scene.h, scene.mm, scene.at + i * PAGE),
                             byte_of(i));
    assert_int_equal(
        aspen_fault(scene.mm, scene.at + 50 * PAGE, ASPEN_ACCESS_READ),
        -ASPEN_EIO);
    helper_assert_valid(scene.h);
    scene.queue.bad = UINT32_MAX;
    read_all(&scene, scene.mm);
    end(&scene);
}

/* What is read and is not what was written. */
static void
test_checksum(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, ASPEN_SWAP_CHECKSUM);
    scene.queue.slots[7][100] ^= 1;
    assert_int_equal(willneed(&scene), 0);
    answer_backwards(&scene);
    assert_true(resident(&scene) < PAGES);
    scene.queue.holds = false;
    assert_int_equal(
        aspen_fault(scene.mm, scene.at + 7 * PAGE, ASPEN_ACCESS_READ),
        -ASPEN_EIO);
    scene.queue.slots[7][100] ^= 1;
    read_all(&scene, scene.mm);
    end(&scene);
}

/* Each step. */
static void
test_failing(void **state)
{
    struct aspen_failpoint_counts counts = {.crossings = UINT64_MAX};
    struct scene scene;
    (void)state;

    for (unsigned mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t n = 1; n <= aspen_min_u64(counts.crossings, 120); n++) {
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = n};
            begin(&scene, 0);
            assert_int_equal(aspen_failpoints_set(scene.aspen, &plan), 0);
            assert_int_equal(willneed(&scene), 0);
            answer_backwards(&scene);
            aspen_failpoints_read(scene.aspen, &counts);
            assert_int_equal(aspen_failpoints_set(scene.aspen, NULL), 0);
            helper_assert_valid(scene.h);
            scene.queue.holds = false;
            read_all(&scene, scene.mm);
            end(&scene);
        }
    assert_true(counts.crossings > 0);
}

/* ---- Faults -------------------------------------------------------------- */

/* The fault has its page while its neighbours are under way. */
static void
test_fault(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 0);
    scene.queue.answers_alone = true;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(helper_get(scene.h, scene.mm, scene.at + i * PAGE),
                         byte_of(i));
        helper_assert_valid(scene.h);
        if (queue_waiting(&scene.queue))
            break;
    }
    unsigned waiting = queue_waiting(&scene.queue);
    assert_in_range(waiting, 1, 2);
    answer_backwards(&scene);
    queue_start(&scene.queue);
    read_all(&scene, scene.mm);
    queue_stop(&scene.queue);
    struct aspen_counters counts = helper_counts(scene.aspen);
    assert_true(counts.swap_ra > PAGES / 2);
    assert_int_equal(counts.swap_ra_hit, counts.swap_ra);
    assert_int_equal(counts.swapped_in, PAGES);
    end(&scene);
}

/* ---- Beside other calls ---------------------------------------------------
 */

/* What nobody has any more goes when somebody comes by. */
static void
look_at_nothing_left(struct scene *scene)
{
    aspen_reclaim(scene->aspen, 1);
    helper_assert_valid(scene->h);
    struct aspen_counters counts = helper_counts(scene->aspen);
    assert_int_equal(counts.swap_slots_used, 0);
    assert_int_equal(counts.swap_cached, 0);
    assert_in_range(counts.frames_free, scene->free, UINT64_MAX);
}

static void
test_munmap(void **state)
{
    struct scene scene;
    (void)state;

    for (unsigned fails = 0; fails < 2; fails++) {
        begin(&scene, 0);
        scene.queue.bad = fails ? 70 : UINT32_MAX;
        assert_int_equal(willneed(&scene), 0);
        helper_unmap(scene.mm, scene.at, PAGES);
        helper_assert_valid(scene.h);
        assert_int_equal(helper_counts(scene.aspen).swap_slots_used, PAGES);
        answer_backwards(&scene);
        helper_assert_valid(scene.h);
        look_at_nothing_left(&scene);
        end(&scene);
    }
}

static void
test_fork(void **state)
{
    struct aspen_mm *child;
    struct scene scene;
    (void)state;

    begin(&scene, 0);
    assert_int_equal(willneed(&scene), 0);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    helper_assert_valid(scene.h);
    answer_backwards(&scene);
    scene.queue.holds = false;
    read_all(&scene, child);
    helper_put(scene.h, child, scene.at, 200);
    read_all(&scene, scene.mm);
    helper_assert_valid(scene.h);
    aspen_mm_put(child);
    assert_int_equal(scene.queue.transfers, 3);
    end(&scene);
}

/* The space ends first; what a machine that ends has under way is waited for.
 */
static void
test_exit(void **state)
{
    struct scene scene;
    (void)state;

    for (unsigned early = 0; early < 2; early++) {
        begin(&scene, 0);
        assert_int_equal(willneed(&scene), 0);
        struct aspen_mm *other = helper_new_mm(scene.aspen);
        aspen_mm_put(scene.mm);
        scene.s.mm = other;
        helper_assert_valid(scene.h);
        if (early) {
            answer_backwards(&scene);
            look_at_nothing_left(&scene);
            end(&scene);
            continue;
        }
        queue_start(&scene.queue);
        aspen_mm_put(other);
        assert_int_equal(aspen_destroy(scene.aspen), 0);
        queue_stop(&scene.queue);
        assert_int_equal(scene.queue.count, 0);
        munmap(scene.h->direct_map, scene.h->direct_map_bytes);
        queue_free(&scene.queue);
    }
}

/* What is being read stays; what has been read goes as it came. */
static void
test_reclaim(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 0);
    assert_int_equal(willneed(&scene), 0);
    assert_int_equal(aspen_reclaim(scene.aspen, PAGES), 0);
    helper_assert_valid(scene.h);
    answer_backwards(&scene);
    assert_int_equal(aspen_reclaim(scene.aspen, PAGES), PAGES);
    assert_int_equal(helper_counts(scene.aspen).frames_free, scene.free);
    scene.queue.holds = false;
    read_all(&scene, scene.mm);
    end(&scene);
}

static void
test_swapoff(void **state)
{
    struct scene scene;
    (void)state;

    for (unsigned unmapped = 0; unmapped < 2; unmapped++) {
        begin(&scene, 0);
        assert_int_equal(willneed(&scene), 0);
        if (unmapped)
            helper_unmap(scene.mm, scene.at, PAGES);
        queue_start(&scene.queue);
        assert_int_equal(aspen_swap_remove(scene.aspen, scene.queue.type), 0);
        queue_stop(&scene.queue);
        assert_int_equal(helper_counts(scene.aspen).swap_slots, 0);
        if (!unmapped)
            read_all(&scene, scene.mm);
        end(&scene);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_willneed),   cmocka_unit_test(test_shared),
        cmocka_unit_test(test_waited_for), cmocka_unit_test(test_many),
        cmocka_unit_test(test_bad_slot),   cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_failing),    cmocka_unit_test(test_fault),
        cmocka_unit_test(test_munmap),     cmocka_unit_test(test_fork),
        cmocka_unit_test(test_exit),       cmocka_unit_test(test_reclaim),
        cmocka_unit_test(test_swapoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
