/* SPDX-License-Identifier: MIT */
/* Threads that fault at both places of a mapping that moves to and fro: each
 * access has its page or none, and nothing is lost. */
#include "helper.h"
#include "internal.h"

#include <pthread.h>

#define FROM    (16 * PAGE)
#define TO      (1000 * PAGE)
#define PAGES   8u
#define MOVES   300u
#define THREADS 2u

struct shared {
    struct aspen_mm *mm;
    uint32_t stop; /* atomic */
};

static void *
fault_both(void *argument)
{
    struct shared *shared = argument;

    for (uint64_t i = 0; !aspen_load(&shared->stop); i++) {
        uint64_t address = (i & 1 ? FROM : TO) + i / 2 % PAGES * PAGE;
        int error = aspen_fault(shared->mm, address,
                                i % 3 ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ);
        if (error && error != -ASPEN_EFAULT)
            return "a fault fails";
    }
    return NULL;
}

static void
test_threads(void **state)
{
    struct helper helper;
    struct shared shared = {0};
    pthread_t threads[THREADS];
    uint64_t from = FROM;
    uint64_t to = TO;

    (void)state;
    helper_create(&helper, NULL);
    shared.mm = helper_mm(&helper);
    helper_map(shared.mm, FROM, PAGES, RW);
    for (unsigned i = 0; i < PAGES; i += 2)
        helper_put(&helper, shared.mm, FROM + i * PAGE, (uint8_t)(i + 1));
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fault_both, &shared),
                         0);
    for (unsigned i = 0; i < MOVES; i++) {
        uint64_t old = from;
        assert_int_equal(
            aspen_mremap(shared.mm,
                         &(struct aspen_mremap_args){
                             .address = from,
                             .old_bytes = PAGES * PAGE,
                             .new_bytes = PAGES * PAGE,
                             .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                             .new_address = to,
                         },
                         &from),
            0);
        to = old;
    }
    aspen_store(&shared.stop, 1u);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failure;
        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
    helper_assert_valid(&helper);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(helper_get(&helper, shared.mm, from + i * PAGE),
                         i % 2 ? 0 : i + 1);
    aspen_mm_put(shared.mm);
    helper_destroy(&helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
