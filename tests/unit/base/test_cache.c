/* SPDX-License-Identifier: MIT */
/*
 * Object caches: every object is handed out once, counts are exact, frees
 * always find room, failures leave nothing behind.
 */
#include "base/atomic.h"
#include "base/bits.h"
#include "base/cache.h"
#include "unit.h"

#define MANY 5000u

struct object {
    uint64_t stamp;
    char rest[184];
};

static void
cache_init(struct aspen_cache *cache, size_t bytes, bool type_stable,
           struct aspen_failpoints *failpoints)
{
    assert_int_equal(aspen_cache_init(cache, "test", bytes, ASPEN_STEP_VMA,
                                      type_stable, failpoints),
                     0);
}

/* Sizes from tiny to larger than a chunk; each object is its own memory. */
static void
test_objects_do_not_overlap(void **state)
{
    static const size_t sizes[] = {1, 16, 24, 64, 192, 256, 1000, 4096, 40000};
    static void *objects[300];
    (void)state;

    for (size_t s = 0; s < ASPEN_ARRAY_SIZE(sizes); s++) {
        struct aspen_cache cache;
        size_t bytes = sizes[s];

        cache_init(&cache, bytes, false, NULL);
        for (size_t i = 0; i < ASPEN_ARRAY_SIZE(objects); i++) {
            size_t alignment = bytes % ASPEN_CACHE_LINE ? 16 : ASPEN_CACHE_LINE;
            objects[i] = aspen_cache_alloc(&cache);
            assert_non_null(objects[i]);
            assert_true((uintptr_t)objects[i] % alignment == 0);
            memset(objects[i], (int)(i & 0xff), bytes);
        }
        assert_true(aspen_cache_allocated(&cache) == ASPEN_ARRAY_SIZE(objects));
        assert_true(aspen_cache_bytes(&cache) >= bytes * 300);
        for (size_t i = 0; i < ASPEN_ARRAY_SIZE(objects); i++) {
            const unsigned char *byte = objects[i];
            assert_int_equal(byte[0], i & 0xff);
            assert_int_equal(byte[bytes - 1], i & 0xff);
            aspen_cache_free(&cache, objects[i]);
        }
        aspen_cache_free(&cache, NULL);
        assert_true(aspen_cache_allocated(&cache) == 0);
        aspen_cache_destroy(&cache);
    }
}

/*
 * Allocate and free at random between none and all, so that magazines spill
 * and refill in every mixture: a free that found no empty batch would panic.
 */
static void
test_random_frees_find_room(void **state)
{
    static struct object *objects[MANY];
    uint64_t seed = unit_seed("test_cache", 1), bytes;
    struct aspen_cache cache;
    uint64_t live = 0;
    (void)state;

    cache_init(&cache, sizeof(struct object), false, NULL);
    for (unsigned round = 0; round < 40; round++) {
        bool grow = round % 2 == 0;
        for (unsigned i = 0; i < MANY; i++) {
            uint64_t n = unit_random(&seed) % MANY;
            if (grow && !objects[n]) {
                objects[n] = aspen_cache_alloc(&cache);
                objects[n]->stamp = n;
                live++;
            } else if (!grow && objects[n]) {
                assert_true(objects[n]->stamp == n);
                aspen_cache_free(&cache, objects[n]);
                objects[n] = NULL;
                live--;
            }
        }
        assert_true(aspen_cache_allocated(&cache) == live);
    }
    for (unsigned i = 0; i < MANY; i++)
        aspen_cache_free(&cache, objects[i]);
    bytes = aspen_cache_bytes(&cache);
    for (unsigned i = 0; i < MANY; i++)
        objects[i] = aspen_cache_alloc(&cache);
    for (unsigned i = 0; i < MANY; i++)
        aspen_cache_free(&cache, objects[i]);
    printf("bytes for %u objects of %zu: %llu\n", MANY, sizeof(struct object),
           (unsigned long long)bytes);
    aspen_cache_destroy(&cache);
}

/* Freed objects of a type-stable cache keep their contents; fresh ones are 0.
 */
static void
test_type_stable(void **state)
{
    struct aspen_cache cache;
    struct object *object, *again;
    (void)state;

    cache_init(&cache, sizeof(struct object), true, NULL);
    object = aspen_cache_alloc(&cache);
    assert_true(object->stamp == 0 && object->rest[183] == 0);
    object->stamp = 77;
    aspen_cache_free(&cache, object);
    assert_true(object->stamp == 77);
    again = aspen_cache_alloc(&cache);
    assert_ptr_equal(object, again);
    assert_true(again->stamp == 77);
    aspen_cache_free(&cache, again);
    aspen_cache_destroy(&cache);
}

static void
test_failpoint(void **state)
{
    struct aspen_failpoints failpoints = {.counting = true};
    struct aspen_cache cache;
    void *first, *third;
    (void)state;

    failpoints.plan.mode = ASPEN_FAIL_ONCE;
    failpoints.plan.number = 2;
    cache_init(&cache, 64, false, &failpoints);
    first = aspen_cache_alloc(&cache);
    assert_non_null(first);
    assert_null(aspen_cache_alloc(&cache));
    third = aspen_cache_alloc(&cache);
    assert_non_null(third);
    assert_true(aspen_cache_allocated(&cache) == 2);
    assert_true(failpoints.counts.by_step[ASPEN_STEP_VMA] == 3);
    aspen_cache_free(&cache, first);
    aspen_cache_free(&cache, third);
    aspen_cache_destroy(&cache);
}

#define SEVERAL 150u

/* More than a magazine has, from one that has a few, and back in another order.
 */
static void
test_several(void **state)
{
    struct aspen_failpoints failpoints = {.counting = true};
    struct aspen_cache cache;
    void *objects[SEVERAL], *first;
    (void)state;

    cache_init(&cache, 64, false, &failpoints);
    first = aspen_cache_alloc(&cache);
    for (unsigned round = 0; round < 3; round++) {
        memset(objects, 0, sizeof(objects));
        assert_int_equal(aspen_cache_alloc_some(&cache, objects, SEVERAL),
                         SEVERAL);
        assert_true(aspen_cache_allocated(&cache) == SEVERAL + 1);
        for (unsigned i = 0; i < SEVERAL; i++) {
            assert_non_null(objects[i]);
            memset(objects[i], (int)i, 64);
        }
        for (unsigned i = 0; i < SEVERAL; i++)
            assert_true(((uint8_t *)objects[i])[63] == (uint8_t)i);
        aspen_cache_free_some(&cache, objects + SEVERAL / 2,
                              SEVERAL - SEVERAL / 2);
        aspen_cache_free_some(&cache, objects, SEVERAL / 2);
        assert_true(aspen_cache_allocated(&cache) == 1);
    }
    assert_int_equal(aspen_cache_alloc_some(&cache, objects, 0), 0);
    assert_true(failpoints.counts.by_step[ASPEN_STEP_VMA] == 3 * SEVERAL + 1);
    aspen_cache_free(&cache, first);
    aspen_cache_destroy(&cache);
}

/* Those before the one that fails are there. */
static void
test_several_failing(void **state)
{
    struct aspen_failpoints failpoints = {.counting = true};
    struct aspen_cache cache;
    void *objects[8];
    (void)state;

    failpoints.plan.mode = ASPEN_FAIL_ONCE;
    failpoints.plan.number = 6;
    cache_init(&cache, 64, false, &failpoints);
    assert_int_equal(aspen_cache_alloc_some(&cache, objects, 8), 5);
    assert_true(failpoints.counts.by_step[ASPEN_STEP_VMA] == 6);
    assert_true(aspen_cache_allocated(&cache) == 5);
    assert_true(cache.refused == 0);
    assert_int_equal(aspen_cache_alloc_some(&cache, objects + 5, 3), 3);
    aspen_cache_free_some(&cache, objects, 8);
    assert_true(aspen_cache_allocated(&cache) == 0);
    aspen_cache_destroy(&cache);
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS 4u
#define SHARED  64u

struct shared {
    struct aspen_cache cache;
    struct object *slots[SHARED]; /* atomic */
};

/* Objects wander between threads through the slots. */
static void *
exchange_objects(void *argument)
{
    struct shared *shared = argument;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;

    for (unsigned i = 0; i < 100000; i++) {
        struct object *object = NULL;
        if (unit_random(&seed) % 2) {
            object = aspen_cache_alloc(&shared->cache);
            object->stamp = (uintptr_t)object;
        }
        object = aspen_exchange(&shared->slots[i % SHARED], object);
        if (object && object->stamp != (uintptr_t)object)
            abort();
        aspen_cache_free(&shared->cache, object);
    }
    return NULL;
}

static void
test_threads(void **state)
{
    static struct shared shared;
    (void)state;

    cache_init(&shared.cache, sizeof(struct object), false, NULL);
    unit_run_threads(THREADS, exchange_objects, &shared);
    for (unsigned i = 0; i < SHARED; i++)
        aspen_cache_free(&shared.cache, shared.slots[i]);
    assert_true(aspen_cache_allocated(&shared.cache) == 0);
    aspen_cache_destroy(&shared.cache);
}

static void
destroy(void *cache)
{
    aspen_cache_destroy(cache);
}

static void
test_destroy_asserts_nothing_is_left(void **state)
{
    struct aspen_cache cache;
    void *object;
    (void)state;

    cache_init(&cache, 64, false, NULL);
    object = aspen_cache_alloc(&cache);
    assert_true(unit_panics(destroy, &cache));
    aspen_cache_free(&cache, object);
    aspen_cache_destroy(&cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_do_not_overlap),
        cmocka_unit_test(test_random_frees_find_room),
        cmocka_unit_test(test_type_stable),
        cmocka_unit_test(test_failpoint),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_several_failing),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_destroy_asserts_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
