/* SPDX-License-Identifier: MIT */
/*
 * The swap map: counts up to their maximum, over it with a continuation, and
 * back; against a plain model at random; each corruption seen by the check.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "machine/swap_area.h"
#include "machine/swap_map.h"
#include <aspen/calls/swap.h>
#include <time.h>

#define SLOTS 2100u /* two whole blocks and a part */

/* Never asked. */
static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    (void)io;
    return -ASPEN_EIO;
}

static const struct aspen_swap_ops device = {.transfer = transfer};

static unsigned
add_device(struct aspen *aspen, uint32_t pages)
{
    unsigned type = 9;

    assert_int_equal(aspen_swap_add(aspen,
                                    &(struct aspen_swap_args){.pages = pages,
                                                              .ops = &device},
                                    &type),
                     0);
    return type;
}

/* One more reference, of a device's slot as well. */
static void
refer(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    assert_non_null(area);
    assert_int_equal(aspen_swap_add_reference(area, slot), 0);
    aspen_swap_unlock(area);
}

static struct aspen *
machine_with_swap(uint32_t slots)
{
    struct aspen *aspen = helper_machine(256);
    assert_int_equal(add_device(aspen, slots), 0);
    return aspen;
}

/* Slots without a device, which can be claimed. */
static struct aspen *
machine_with_slots(uint32_t slots)
{
    struct aspen *aspen = helper_machine(256);
    unsigned type;

    assert_int_equal(aspen_swap_area_add(aspen, slots, &type), 0);
    return aspen;
}

static void
assert_holds(struct aspen *aspen)
{
    unsigned type;
    uint32_t slot;
    const char *broken = aspen_swap_check(aspen, &type, &slot);
    if (broken)
        fail_msg("%u:%u: %s", type, slot, broken);
}

static uint64_t
continuations(struct aspen *aspen)
{
    return helper_counts(aspen).swap_continuations;
}

static void
areas_have_a_limit(void **state)
{
    struct aspen *aspen = helper_machine(256);
    unsigned type = 9;
    (void)state;

    assert_int_equal(aspen_swap_area_add(aspen, 0, &type), -ASPEN_EINVAL);
    assert_int_equal(type, 9);
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        assert_int_equal(aspen_swap_area_add(aspen, 1 + i, &type), 0);
        assert_int_equal(type, i);
    }
    assert_int_equal(aspen_swap_area_add(aspen, 5, &type), -ASPEN_ENOSPC);
    assert_int_equal(aspen_swap_references(aspen, 0, 1), -1);
    assert_int_equal(aspen_swap_references(aspen, 3, 3), 0);
    assert_int_equal(aspen_swap_references(aspen, ASPEN_SWAP_AREAS, 0), -1);
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

/* What one CPU takes together stands together, beside what is in use. */
static void
neighbours_stay_neighbours(void **state)
{
    struct aspen *aspen = machine_with_swap(SLOTS);
    unsigned type;
    uint32_t slot;
    (void)state;

    for (uint32_t i = 0; i < SLOTS; i += 128) /* every other cluster */
        refer(aspen, 0, i);
    for (uint32_t i = 0; i < 640; i++) {
        assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), 0);
        assert_int_equal(slot / 64 % 2, 1);
        assert_int_equal(slot % 64, i % 64);
    }
    assert_holds(aspen);
    /* Every free one is found in the end, those of used clusters, too. */
    for (uint32_t i = 640 + (SLOTS + 127) / 128; i < SLOTS; i++)
        assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), 0);
    assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), -ASPEN_ENOSPC);
    assert_holds(aspen);
    /* A cluster that becomes free is one again. */
    for (uint32_t i = 64; i < 128; i++)
        aspen_swap_free(aspen, 0, i);
    assert_holds(aspen);
    for (uint32_t i = 64; i < 128; i++) {
        assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), 0);
        assert_int_equal(slot, i);
    }
    helper_machine_destroy(aspen);
}

/* Pages in memory are found in as many steps as there are: an area of 10 GiB,
 * of which 1,000 slots are in use. */
static void
pages_are_found_by_their_number(void **state)
{
    enum { USED = 1000, ALL = 2621440, APART = ALL / USED };
    struct aspen *aspen = helper_machine(2 * USED);
    struct aspen_swap_absence absence;
    unsigned steps = 0;
    uint32_t frame, slot;
    (void)state;

    assert_int_equal(add_device(aspen, ALL), 0);
    for (uint32_t i = 0; i < USED; i++) {
        assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame),
                         0);
        refer(aspen, 0, i * APART);
        assert_int_equal(
            aspen_swap_cache_add(aspen, 0, i * APART, frame, &absence), 0);
        assert_true(absence.away == UINT64_MAX);
        aspen_frame_put(aspen, frame);
    }
    assert_holds(aspen);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (slot = 0;; slot++, steps++) {
        frame = aspen_swap_cache_next(aspen, 0, &slot);
        if (frame == ASPEN_NO_FRAME)
            break;
        assert_int_equal(slot, steps * APART);
        aspen_frame_put(aspen, frame);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    print_message("%u steps, %ld microseconds\n", steps,
                  (end.tv_sec - begin.tv_sec) * 1000000 +
                      (end.tv_nsec - begin.tv_nsec) / 1000);
    assert_int_equal(steps, USED);
    for (uint32_t i = 0; i < USED; i++)
        aspen_swap_free(aspen, 0, i * APART);
    assert_holds(aspen);
    slot = 0;
    assert_int_equal(aspen_swap_cache_next(aspen, 0, &slot), ASPEN_NO_FRAME);
    helper_machine_destroy(aspen);
}

/* What has left memory says when, until its slot is free. */
static void
shadows_are_left(void **state)
{
    struct aspen *aspen = machine_with_swap(SLOTS);
    struct aspen_swap_absence absence;
    uint32_t frame, slot = 0;
    (void)state;

    refer(aspen, 0, 7);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame),
                         0);
        assert_int_equal(aspen_swap_cache_add(aspen, 0, 7, frame, &absence), 0);
        assert_true(absence.away == (i ? 1 + i : UINT64_MAX));
        assert_int_equal(aspen_swap_cache_find(aspen, 0, 7), frame);
        aspen_frame_put(aspen, frame);
        assert_true(aspen_swap_cache_remove(aspen, 0, 7, frame));
        aspen_frame_put(aspen, frame);
        assert_int_equal(aspen_swap_cache_find(aspen, 0, 7), ASPEN_NO_FRAME);
        assert_false(aspen_swap_is_cached(aspen, 0, 7));
        assert_int_equal(aspen_swap_cache_next(aspen, 0, &slot),
                         ASPEN_NO_FRAME);
        assert_holds(aspen);
        aspen->leaving.clocks[0] += 1 + i; /* so many left after it */
    }
    aspen_swap_free(aspen, 0, 7);
    assert_holds(aspen);
    refer(aspen, 0, 7);
    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame), 0);
    assert_int_equal(aspen_swap_cache_add(aspen, 0, 7, frame, &absence), 0);
    assert_true(absence.away == UINT64_MAX);
    /* Who could not be read leaves none. */
    assert_true(aspen_swap_cache_drop(aspen, 0, 7, frame));
    assert_int_equal(aspen_swap_cache_add(aspen, 0, 7, frame, &absence), 0);
    assert_true(absence.away == UINT64_MAX);
    aspen_frame_put(aspen, frame);
    aspen_swap_free(aspen, 0, 7);
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

/* What a machine counts, and what it may promise, has all areas in it. */
static void
every_area_counts(void **state)
{
    struct aspen *aspen = helper_machine(256);
    uint64_t limit = helper_counts(aspen).commit_limit_pages;
    (void)state;

    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        struct aspen_counters counts;
        unsigned type;

        assert_int_equal(aspen_swap_area_add(aspen, 100, &type), 0);
        for (unsigned j = 0; j <= ASPEN_SWAP_COUNT_MAX; j++)
            assert_int_equal(aspen_swap_claim(aspen, type, 7), 0);
        counts = helper_counts(aspen);
        assert_int_equal(counts.commit_limit_pages, limit + (i + 1) * 100);
        assert_int_equal(counts.swap_slots_used, i + 1);
        assert_int_equal(counts.swap_references,
                         (i + 1) * (ASPEN_SWAP_COUNT_MAX + 1));
        assert_int_equal(counts.swap_continuations, i + 1);
    }
    assert_holds(aspen);
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++)
        for (unsigned j = 0; j <= ASPEN_SWAP_COUNT_MAX; j++)
            aspen_swap_free(aspen, i, 7);
    helper_machine_destroy(aspen);
}

static void
slots_are_found_until_there_is_none(void **state)
{
    struct aspen *aspen = helper_machine(256);
    unsigned type;
    uint32_t slot;
    bool seen[2][3] = {{false}};
    (void)state;

    assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), -ASPEN_ENOSPC);
    (void)add_device(aspen, 3);
    (void)add_device(aspen, 2);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), 0);
        assert_false(seen[type][slot]);
        seen[type][slot] = true;
    }
    assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), -ASPEN_ENOSPC);
    aspen_swap_free(aspen, 0, 1);
    assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), 0);
    assert_int_equal(type * 10 + slot, 1);
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

static void
only_used_slots_can_be_duplicated(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    (void)state;
    assert_int_equal(aspen_swap_duplicate(aspen, 0, 5), -ASPEN_EINVAL);
    assert_int_equal(aspen_swap_duplicate(aspen, 0, SLOTS), -ASPEN_EINVAL);
    assert_int_equal(aspen_swap_duplicate(aspen, 1, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_swap_claim(aspen, 0, SLOTS), -ASPEN_EINVAL);
    assert_int_equal(aspen_swap_claim(aspen, 0, SLOTS - 1), 0);
    assert_int_equal(aspen_swap_claim(aspen, add_device(aspen, 8), 0),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_swap_duplicate(aspen, 0, SLOTS - 1), 0);
    assert_int_equal(aspen_swap_references(aspen, 0, SLOTS - 1), 2);
    helper_machine_destroy(aspen);
}

/* Up to the maximum, over it, through three units of the counter, back. */
static void
counts_continue_beyond_a_byte(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    const int64_t most = 3 * ASPEN_SWAP_CONTINUED + 5;
    unsigned continued = 0;
    (void)state;

    assert_int_equal(aspen_swap_claim(aspen, 0, 1500), 0);
    for (int64_t n = 1; n < most; n++) {
        int error = aspen_swap_duplicate(aspen, 0, 1500);
        if (error) {
            assert_int_equal(error, -ASPEN_EAGAIN);
            assert_int_equal(n, ASPEN_SWAP_COUNT_MAX);
            assert_int_equal(aspen_swap_references(aspen, 0, 1500), n);
            assert_int_equal(aspen_swap_continue(aspen, 0, 1500), 0);
            assert_int_equal(aspen_swap_duplicate(aspen, 0, 1500), 0);
            continued++;
        }
        assert_int_equal(aspen_swap_references(aspen, 0, 1500), n + 1);
        assert_holds(aspen);
    }
    assert_int_equal(continued, 1);
    for (int64_t n = most; n > 0; n--) {
        assert_int_equal(continuations(aspen), n > ASPEN_SWAP_COUNT_MAX);
        assert_int_equal(aspen_swap_references(aspen, 0, 1500), n);
        aspen_swap_free(aspen, 0, 1500);
        assert_holds(aspen);
    }
    assert_int_equal(helper_counts(aspen).swap_references, 0);
    assert_int_equal(helper_counts(aspen).swap_slots_used, 0);
    helper_machine_destroy(aspen);
}

/* Made and then not needed: it goes with the next reference given back. */
static void
an_unused_continuation_goes(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    (void)state;
    for (unsigned i = 0; i < ASPEN_SWAP_COUNT_MAX; i++)
        assert_int_equal(aspen_swap_claim(aspen, 0, 3), 0);
    assert_int_equal(aspen_swap_claim(aspen, 0, 4), 0);
    assert_int_equal(aspen_swap_continue(aspen, 0, 3), 0);
    assert_int_equal(aspen_swap_continue(aspen, 0, 4), 0); /* there already */
    assert_int_equal(continuations(aspen), 1);
    aspen_swap_free(aspen, 0, 4);
    assert_int_equal(continuations(aspen), 0);
    assert_int_equal(aspen_swap_references(aspen, 0, 3), ASPEN_SWAP_COUNT_MAX);
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

/* A reference went between the full byte and this, and then all others. */
static void
no_continuation_is_made_too_late(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    (void)state;
    for (unsigned i = 0; i < ASPEN_SWAP_COUNT_MAX; i++)
        assert_int_equal(aspen_swap_claim(aspen, 0, 3), 0);
    assert_int_equal(aspen_swap_duplicate(aspen, 0, 3), -ASPEN_EAGAIN);
    for (unsigned i = 0; i < ASPEN_SWAP_COUNT_MAX; i++) {
        aspen_swap_free(aspen, 0, 3);
        assert_int_equal(aspen_swap_continue(aspen, 0, 3), 0);
        assert_int_equal(continuations(aspen), 0);
    }
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

/* One neighbour of the block keeps it for all. */
static void
a_continuation_stays_while_one_slot_needs_it(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    (void)state;
    for (unsigned i = 0; i < 2 * ASPEN_SWAP_CONTINUED; i++) {
        assert_int_equal(aspen_swap_claim(aspen, 0, 1024), 0);
        assert_int_equal(aspen_swap_claim(aspen, 0, 2047), 0);
    }
    for (unsigned i = 0; i < 2 * ASPEN_SWAP_CONTINUED; i++)
        aspen_swap_free(aspen, 0, 2047);
    assert_int_equal(continuations(aspen), 1);
    assert_int_equal(aspen_swap_references(aspen, 0, 1024),
                     2 * ASPEN_SWAP_CONTINUED);
    assert_holds(aspen);
    helper_machine_destroy(aspen); /* frees it with the area */
}

/* Against an array, at random. */
static void
counts_match_a_model(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    static const uint32_t slots[] = {0, 1, 1023, 1024, 1025, 2047, 2048, 2099};
    int64_t model[ASPEN_ARRAY_SIZE(slots)] = {0};
    uint64_t random = 88172645463325252ull;
    (void)state;

    for (unsigned step = 0; step < 200000; step++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        unsigned i = (unsigned)(random >> 32) % ASPEN_ARRAY_SIZE(slots);
        bool more = (random >> 60) >= (step / 5000 % 2 ? 6u : 10u);
        if (more) {
            assert_int_equal(aspen_swap_claim(aspen, 0, slots[i]), 0);
            model[i]++;
        } else if (model[i] > 0) {
            aspen_swap_free(aspen, 0, slots[i]);
            model[i]--;
        }
        assert_int_equal(aspen_swap_references(aspen, 0, slots[i]), model[i]);
        if (step % 1000 == 0)
            assert_holds(aspen);
    }
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

/* ---- Failing ----------------------------------------------------------- */

struct swapping {
    struct aspen *aspen;
    unsigned type;
    uint32_t slot;
};

static int
alloc_slot(void *context)
{
    struct swapping *swapping = context;
    return aspen_swap_alloc(swapping->aspen, 0, &swapping->type,
                            &swapping->slot);
}

static void
free_slot(void *context)
{
    struct swapping *swapping = context;
    aspen_swap_free(swapping->aspen, swapping->type, swapping->slot);
}

static int
claim_full_slot(void *context)
{
    return aspen_swap_claim(((struct swapping *)context)->aspen, 0, 3);
}

static void
free_full_slot(void *context)
{
    aspen_swap_free(((struct swapping *)context)->aspen, 0, 3);
}

static void
a_failure_leaves_counts_alone(void **state)
{
    struct swapping swapping = {.aspen = machine_with_slots(SLOTS)};
    struct helper_part alloc = {swapping.aspen, alloc_slot, free_slot,
                                &swapping};
    struct helper_part claim = {swapping.aspen, claim_full_slot, free_full_slot,
                                &swapping};
    (void)state;

    assert_int_equal(add_device(swapping.aspen, SLOTS), 1);
    for (unsigned i = 0; i < ASPEN_SWAP_COUNT_MAX; i++)
        assert_int_equal(aspen_swap_claim(swapping.aspen, 0, 3), 0);
    helper_fail_part(&alloc, "swap_alloc", 1);
    helper_fail_part(&claim, "swap_claim", 1);
    assert_holds(swapping.aspen);
    helper_machine_destroy(swapping.aspen);
}

/* ---- The check --------------------------------------------------------- */

static void
assert_seen(struct aspen *aspen, unsigned expected_type)
{
    unsigned type;
    uint32_t slot;
    assert_non_null(aspen_swap_check(aspen, &type, &slot));
    assert_int_equal(type, expected_type);
}

static void
the_check_sees_each_corruption(void **state)
{
    struct aspen *aspen = machine_with_slots(SLOTS);
    struct aspen_swap_area *area = &aspen->swap[0];
    (void)state;
    for (unsigned i = 0; i < 70; i++)
        assert_int_equal(aspen_swap_claim(aspen, 0, 3), 0);
    assert_int_equal(aspen_swap_claim(aspen, 0, 2000), 0);
    assert_holds(aspen);

    area->counts[2000]++, assert_seen(aspen, 0), area->counts[2000]--;
    area->counts[2001]++, assert_seen(aspen, 0), area->counts[2001]--;
    area->counts[3] |= 64, assert_seen(aspen, 0), area->counts[3] &= 63;
    area->counts[2000] = ASPEN_SWAP_COUNT_MAX + 1;
    assert_seen(aspen, 0), area->counts[2000] = 1;
    area->continuations[0][3]++;
    assert_seen(aspen, 0), area->continuations[0][3]--;
    area->continuations[0][4]++;
    assert_seen(aspen, 0), area->continuations[0][4]--;
    area->continued[1]++, assert_seen(aspen, 0), area->continued[1]--;
    area->references++, assert_seen(aspen, 0), area->references--;
    area->slots_used++, assert_seen(aspen, 0), area->slots_used--;
    area->free.words[0] ^= 16, assert_seen(aspen, 0);
    area->free.words[0] ^= 16;
    area->free.words[0] ^= 8, assert_seen(aspen, 0), area->free.words[0] ^= 8;
    area->clusters.words[0] ^= 1, assert_seen(aspen, 0);
    area->clusters.words[0] ^= 1;
    area->clusters.words[0] ^= 2, assert_seen(aspen, 0);
    area->clusters.words[0] ^= 2;
    area->continuation_count++;
    assert_seen(aspen, 0), area->continuation_count--;

    unsigned last = 0;
    while (last < ASPEN_SWAP_AREAS - 1)
        assert_int_equal(aspen_swap_area_add(aspen, SLOTS, &last), 0);
    area = &aspen->swap[last];
    area->references++, assert_seen(aspen, last), area->references--;
    assert_holds(aspen);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_have_a_limit),
        cmocka_unit_test(every_area_counts),
        cmocka_unit_test(pages_are_found_by_their_number),
        cmocka_unit_test(shadows_are_left),
        cmocka_unit_test(neighbours_stay_neighbours),
        cmocka_unit_test(slots_are_found_until_there_is_none),
        cmocka_unit_test(only_used_slots_can_be_duplicated),
        cmocka_unit_test(counts_continue_beyond_a_byte),
        cmocka_unit_test(an_unused_continuation_goes),
        cmocka_unit_test(no_continuation_is_made_too_late),
        cmocka_unit_test(a_continuation_stays_while_one_slot_needs_it),
        cmocka_unit_test(counts_match_a_model),
        cmocka_unit_test(a_failure_leaves_counts_alone),
        cmocka_unit_test(the_check_sees_each_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
