/* SPDX-License-Identifier: MIT */
/*
 * test_validate_memory.c - the validator without memory: each request for it
 * fails once, the answer is -ENOMEM, nothing is kept, nothing has changed. The
 * part that asks is compiled in here with its requests led past a gate.
 */
#include "fork_parent.h"
#include "helper.h"
#include "unit.h"

#include "base/memory.h"
#include <aspen_port.h>

static unsigned requests;    /* so far */
static unsigned refused_one; /* which of them fails; 0: none */
static size_t held_bytes;

static void *
gated_alloc(size_t bytes, uint64_t *count)
{
    (void)count;
    if (++requests == refused_one)
        return NULL;
    held_bytes += bytes;
    return aspen_port_memory_alloc(bytes);
}

static void
gated_free(void *memory, size_t bytes)
{
    held_bytes -= bytes;
    aspen_port_memory_free(memory, bytes);
}

#define aspen_memory_alloc     gated_alloc
#define aspen_port_memory_free gated_free
#include "inspect/validate_frame.c"
#undef aspen_memory_alloc
#undef aspen_port_memory_free

static int
validate(struct aspen *aspen, unsigned number)
{
    struct aspen_finding finding;

    requests = 0;
    refused_one = number;
    int result = aspen_validate(aspen, &finding);
    assert_null(finding.check);
    assert_int_equal(held_bytes, 0);
    return result;
}

static void
test_memory(void **unused)
{
    (void)unused;
    struct fork_parent *parent = fork_parent_rich();
    struct aspen *aspen = parent->helper.aspen;
    unsigned type;

    assert_int_equal(aspen_swap_area_add(aspen, 64, &type), 0);
    uint64_t before = aspen_hash_mm(parent->mm, ASPEN_HASH_COUNTS);
    assert_int_equal(validate(aspen, 0), 0);
    assert_int_equal(requests, 3); /* frames, two swap areas */
    for (unsigned number = 1; number <= 3; number++)
        assert_int_equal(validate(aspen, number), -ASPEN_ENOMEM);
    assert_int_equal(validate(aspen, 4), 0);
    assert_true(aspen_hash_mm(parent->mm, ASPEN_HASH_COUNTS) == before);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
