/* SPDX-License-Identifier: MIT */
/*
 * Instruction caches that do not watch what is stored: the port hears of a page
 * before code can be fetched from it, once, whoever has filled it; and of what
 * the core stores there later. Programs of processors that need it, and of one
 * that does not (ASPEN_PORT_ICACHE_SYNC, see the Makefile).
 */
#include "helper.h"

#ifdef ASPEN_PORT_ICACHE_SYNC

#include "../swap/device.h"
#include <aspen_posix.h>

#define BASE 0x1000000ull
#define RWX  (RW | ASPEN_VM_EXEC)

/* What the port was told last, how often, and what stood there. */
static struct {
    const char *memory;
    size_t bytes;
    unsigned calls;
    char first;
} told;
/* Where nobody is to fetch from before. */
static struct {
    struct aspen_mm *mm;
    uint64_t address;
} awaited;

static void *direct_map;
static struct device *swapped; /* ends after the machine */

static void
hear(const void *memory, size_t bytes)
{
    uint32_t frame;

    if (awaited.mm)
        assert_int_not_equal(aspen_translate(awaited.mm, awaited.address,
                                             ASPEN_ACCESS_EXEC, &frame),
                             0);
    told.memory = memory;
    told.bytes = bytes;
    told.calls++;
    told.first = *told.memory;
}

static int
setup(void **state)
{
    aspen_posix_observe_icache(hear);
    memset(&told, 0, sizeof(told));
    int result = helper_space_setup(state);
    direct_map = ((struct helper_space *)*state)->helper.direct_map;
    return result;
}

static int
teardown(void **state)
{
    int result = helper_space_teardown(state);

    aspen_posix_observe_icache(NULL);
    if (swapped)
        device_free(swapped);
    swapped = NULL;
    return result;
}

static const char *
page_at(struct aspen_mm *mm, uint64_t address)
{
    return aspen_port_frame_pointer(direct_map, helper_frame(mm, address));
}

/* Code is fetched; `calls`: that the port has to hear of, about whole pages
 * that begin with `first`. */
static void
fetch(struct aspen_mm *mm, uint64_t address, unsigned calls, char first)
{
    unsigned before = told.calls;
    uint32_t frame;

    awaited.mm = mm;
    awaited.address = address;
    assert_int_equal(helper_access(mm, address, ASPEN_ACCESS_EXEC, &frame), 0);
    awaited.mm = NULL;
    assert_int_equal(told.calls - before, calls);
    if (calls == 0)
        return;
    assert_ptr_equal(told.memory, page_at(mm, address));
    assert_int_equal(told.bytes, PAGE);
    assert_int_equal(told.first, first);
}

/* The core has stored there. */
static void
assert_heard(struct aspen_mm *mm, uint64_t address, size_t bytes)
{
    assert_ptr_equal(told.memory, page_at(mm, address) + address % PAGE);
    assert_int_equal(told.bytes, bytes);
}

static void
test_a_file(void **state)
{
    static const struct aspen_pager_ops pager = {.read = helper_pager_read};
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 4, &pager, NULL);
    struct aspen_mm *other = helper_mm(&s->helper);
    uint64_t done;

    helper_map_object(s->mm, BASE, 4, RX, file, 0);
    assert_true(helper_get(&s->helper, s->mm, BASE));
    assert_int_equal(told.calls, 0);
    fetch(s->mm, BASE, 1, 1);
    fetch(s->mm, BASE, 0, 0);
    fetch(s->mm, BASE + PAGE, 1, 2);
    /* Once for all that map it. */
    helper_map_object(other, BASE, 4, RX, file, 0);
    fetch(other, BASE, 0, 0);
    helper_unmap(s->mm, BASE, 4);
    helper_map_object(s->mm, BASE, 4, RX, file, 0);
    fetch(s->mm, BASE, 0, 0);
    /* What is stored later, where somebody may fetch it; and not elsewhere. */
    assert_int_equal(aspen_object_write(file, 100, "abc", 3, &done), 0);
    assert_int_equal(told.calls, 3);
    assert_heard(s->mm, BASE + 100, 3);
    assert_int_equal(aspen_object_write(file, 2 * PAGE, "abc", 3, &done), 0);
    assert_int_equal(told.calls, 3);
    assert_int_equal(aspen_object_resize(file, PAGE + 8), 0);
    assert_int_equal(told.calls, 4);
    assert_heard(s->mm, BASE + PAGE + 8, PAGE - 8);
    aspen_mm_put(other);
    aspen_object_put(file);
}

static void
test_copies(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    uint32_t frame;

    helper_map(s->mm, BASE, 2, RWX);
    helper_put(&s->helper, s->mm, BASE, 'a');
    helper_put(&s->helper, s->mm, BASE + PAGE, 'b');
    fetch(s->mm, BASE, 1, 'a');
    fetch(s->mm, BASE + PAGE, 1, 'b');
    assert_int_equal(aspen_pin_range(s->mm, BASE + PAGE, PAGE, 0, &frame), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    /* The same page; another after a write; and that of fork itself. */
    fetch(child, BASE, 0, 0);
    helper_put(&s->helper, child, BASE, 'c');
    fetch(child, BASE, 1, 'c');
    fetch(child, BASE + PAGE, 1, 'b');
    fetch(s->mm, BASE, 0, 0);
    helper_unpin(s->mm, &frame, 1, 0);
    aspen_mm_put(child);
}

static void
test_frames_used_again(void **state)
{
    struct helper_space *s = *state;

    for (int i = 0; i < 4; i++) {
        helper_map(s->mm, BASE, 1, RWX);
        helper_put(&s->helper, s->mm, BASE, (uint8_t)i);
        fetch(s->mm, BASE, 1, (char)i);
        helper_unmap(s->mm, BASE, 1);
    }
}

/* A program that makes code says so itself; but what it took over was put there
 * by the core. */
static void
test_protection(void **state)
{
    struct helper_space *s = *state;
    uint64_t done;

    helper_map(s->mm, BASE, 2, RW);
    assert_int_equal(aspen_write_memory(s->mm, BASE, "code", 4, 0, &done), 0);
    assert_int_equal(told.calls, 0);
    assert_int_equal(aspen_mprotect(s->mm, BASE, 2 * PAGE, RX, ASPEN_PKEY_SAME),
                     0);
    assert_int_equal(told.calls, 0);
    fetch(s->mm, BASE, 1, 'c');
    assert_int_equal(aspen_mprotect(s->mm, BASE, PAGE, R, ASPEN_PKEY_SAME), 0);
    assert_int_equal(aspen_mprotect(s->mm, BASE, PAGE, RX, ASPEN_PKEY_SAME), 0);
    fetch(s->mm, BASE, 0, 0);
    /* As a debugger does. */
    assert_int_equal(
        aspen_write_memory(s->mm, BASE + 1, "x", 1, ASPEN_MEMORY_FORCE, &done),
        0);
    assert_int_equal(told.calls, 2);
    assert_heard(s->mm, BASE + 1, 1);
    fetch(s->mm, BASE, 0, 0);
}

static void
test_swap(void **state)
{
    struct helper_space *s = *state;
    static struct device device;

    device_add(&device, s->helper.aspen, 8, 0);
    helper_map(s->mm, BASE, 1, RWX);
    helper_put(&s->helper, s->mm, BASE, 's');
    fetch(s->mm, BASE, 1, 's');
    assert_int_equal(aspen_madvise(s->mm, BASE, PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(helper_counters(s->mm).swap_pages, 1);
    fetch(s->mm, BASE, 1, 's');
    swapped = &device;
}

/* What a mapping wrote beyond the end is zeroed before it is written back. */
static void
test_tail(void **state)
{
    static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                                 .write = helper_pager_write};
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 2, &pager, NULL);

    assert_int_equal(aspen_object_resize(file, PAGE + 8), 0);
    helper_map_object(s->mm, BASE, 2, RWX | ASPEN_VM_SHARED, file, 0);
    helper_put(&s->helper, s->mm, BASE + PAGE + 100, 'c');
    fetch(s->mm, BASE + PAGE, 1, 2);
    assert_int_equal(aspen_object_sync(file, 0, 2 * PAGE), 0);
    assert_int_equal(told.calls, 2);
    assert_heard(s->mm, BASE + PAGE + 8, PAGE - 8);
    aspen_object_put(file);
}

static void
test_words(void **state)
{
    struct helper_space *s = *state;
    uint32_t before;

    helper_map(s->mm, BASE, 1, RWX);
    helper_put(&s->helper, s->mm, BASE, 'w');
    fetch(s->mm, BASE, 1, 'w');
    assert_int_equal(aspen_futex_add(s->mm, BASE + 8, 1, &before), 0);
    assert_int_equal(told.calls, 2);
    assert_heard(s->mm, BASE + 8, 4);
    assert_int_equal(
        aspen_futex_compare_exchange(s->mm, BASE + 12, 1, 2, &before), 0);
    assert_int_equal(told.calls, 2); /* it was another */
    assert_int_equal(
        aspen_futex_compare_exchange(s->mm, BASE + 12, 0, 2, &before), 0);
    assert_int_equal(told.calls, 3);
    assert_heard(s->mm, BASE + 12, 4);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file),     TEST(test_copies), TEST(test_frames_used_again),
        TEST(test_protection), TEST(test_swap),   TEST(test_tail),
        TEST(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* Nothing is kept for it. */
static void
test_nobody_asks(void **state)
{
    (void)state;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nobody_asks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
