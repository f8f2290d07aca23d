/* SPDX-License-Identifier: MIT */
/*
 * Time that is lost for want of memory, by a clock that the test sets: sums and
 * averages to the microsecond, and what is a stall and what is none.
 */
#include "helper.h"
#include "slots.h"

#include "base/atomic.h"
#include "machine/pressure.h"

#include <pthread.h>

#define SECOND ((uint64_t)1000000)
#define BEGIN  (77 * SECOND + 5) /* a machine is not made at 0 */

static uint64_t clock_now; /* atomic */
static uint64_t clock_asked;

static uint64_t
clock_read(void *context)
{
    (void)context;
    aspen_fetch_add(&clock_asked, 1);
    return aspen_load(&clock_now);
}

static const struct aspen_memory_ops memory = {.clock = clock_read};

static void
pass(uint64_t microseconds)
{
    aspen_fetch_add(&clock_now, microseconds);
}

static struct aspen *
machine(void)
{
    struct aspen_config config = helper_config(256);

    config.hooks.memory = &memory;
    aspen_store(&clock_now, BEGIN);
    aspen_store(&clock_asked, 0);
    return helper_machine_from(&config);
}

static struct aspen_pressure
pressure(struct aspen *aspen)
{
    struct aspen_pressure pressure;

    aspen_pressure_read(aspen, &pressure);
    return pressure;
}

#define assert_totals(aspen, some_us, full_us)                                 \
    do {                                                                       \
        struct aspen_pressure now = pressure(aspen);                           \
        assert_int_equal(now.some.total, some_us);                             \
        assert_int_equal(now.full.total, full_us);                             \
    } while (0)

#define assert_averages(stalls, ten, sixty, three_hundred)                     \
    do {                                                                       \
        assert_int_equal((stalls).avg10, ten);                                 \
        assert_int_equal((stalls).avg60, sixty);                               \
        assert_int_equal((stalls).avg300, three_hundred);                      \
    } while (0)

/* ---- Groups ------------------------------------------------------------ */

/* Of a group and those above it, each with threads of its own. */
static void
test_groups(void **state)
{
    struct aspen *aspen = machine();
    struct aspen_mm *mm = helper_new_mm(aspen);
    const struct aspen_payer payer = {.mm = mm};
    struct aspen_group *top, *low, *other;
    struct aspen_pressure its;
    (void)state;

    assert_int_equal(aspen_group_create(aspen, NULL, &top), 0);
    assert_int_equal(aspen_group_create(aspen, top, &low), 0);
    assert_int_equal(aspen_group_create(aspen, NULL, &other), 0);
    assert_int_equal(aspen_group_enter(mm, low), 0);
    aspen_group_pressure_threads(low, 1);
    aspen_group_pressure_threads(top, 2);
    pass(5);
    struct aspen_group *stalled = aspen_stall_begin(aspen, &payer);
    assert_ptr_equal(stalled, low);
    pass(3 * SECOND);
    /* It ends where it began. */
    assert_int_equal(aspen_group_enter(mm, other), 0);
    aspen_stall_end(aspen, stalled);
    pass(SECOND);
    assert_totals(aspen, 3 * SECOND, 0);
    aspen_group_pressure_read(low, &its);
    assert_int_equal(its.some.total, 3 * SECOND);
    assert_int_equal(its.full.total, 3 * SECOND);
    assert_true(its.some.avg10 > 0 && its.full.avg10 == its.some.avg10);
    aspen_group_pressure_read(top, &its);
    assert_int_equal(its.some.total, 3 * SECOND);
    assert_int_equal(its.full.total, 0);
    aspen_group_pressure_read(other, &its);
    assert_int_equal(its.some.total, 0);
    aspen_mm_put(mm);
    aspen_group_put(low);
    aspen_group_put(top);
    aspen_group_put(other);
    helper_machine_destroy(aspen);
}

/* ---- Sums -------------------------------------------------------------- */

static void
test_some_and_full(void **state)
{
    struct aspen *aspen = machine();
    (void)state;

    pass(100);
    assert_totals(aspen, 0, 0);
    (void)aspen_stall_begin(aspen, NULL);
    pass(7);
    assert_totals(aspen, 7, 0); /* nobody said how many there are */
    aspen_pressure_threads(aspen, 2);
    pass(10);
    (void)aspen_stall_begin(aspen, NULL);
    pass(20);
    aspen_stall_end(aspen, NULL);
    pass(40);
    assert_totals(aspen, 77, 20);
    aspen_pressure_threads(aspen, 1); /* the other one sleeps */
    pass(80);
    aspen_stall_end(aspen, NULL);
    pass(160);
    assert_totals(aspen, 157, 100);
    (void)aspen_stall_begin(aspen, NULL);
    aspen_pressure_threads(aspen, 0);
    pass(1);
    aspen_stall_end(aspen, NULL);
    assert_totals(aspen, 158, 100);
    helper_machine_destroy(aspen);
}

/* Of two threads the one that looked first may come last. */
static void
test_clock_goes_back(void **state)
{
    struct aspen *aspen = machine();
    (void)state;

    (void)aspen_stall_begin(aspen, NULL);
    pass(50);
    assert_totals(aspen, 50, 0);
    aspen_store(&clock_now, BEGIN + 20);
    assert_totals(aspen, 50, 0);
    aspen_stall_end(aspen, NULL);
    aspen_store(&clock_now, 0);
    (void)aspen_stall_begin(aspen, NULL);
    aspen_store(&clock_now, BEGIN + 60);
    aspen_stall_end(aspen, NULL);
    assert_totals(aspen, 60, 0);
    helper_machine_destroy(aspen);
}

static void
test_no_clock(void **state)
{
    struct aspen *aspen = helper_machine(256);
    (void)state;

    aspen_pressure_threads(aspen, 1);
    (void)aspen_stall_begin(aspen, NULL);
    aspen_stall_end(aspen, NULL);
    assert_totals(aspen, 0, 0);
    assert_averages(pressure(aspen).some, 0, 0, 0);
    helper_machine_destroy(aspen);
}

/* ---- Averages ---------------------------------------------------------- */

static void
stall_for(struct aspen *aspen, uint64_t microseconds)
{
    (void)aspen_stall_begin(aspen, NULL);
    pass(microseconds);
    aspen_stall_end(aspen, NULL);
}

/* Half of a period: 50 % of the weight that one period has. */
static void
test_one_period(void **state)
{
    struct aspen *aspen = machine();
    (void)state;

    aspen_pressure_threads(aspen, 1);
    pass(SECOND / 2);
    stall_for(aspen, SECOND);
    pass(SECOND / 2 - 1);
    assert_averages(pressure(aspen).some, 0, 0, 0); /* it has not ended */
    pass(1);
    assert_averages(pressure(aspen).some, 906, 163, 33);
    assert_averages(pressure(aspen).full, 906, 163, 33);
    pass(2 * SECOND);
    assert_averages(pressure(aspen).some, 742, 158, 33);
    helper_machine_destroy(aspen);
}

/* A stall over the end of a period counts in both. */
static void
test_over_the_end(void **state)
{
    struct aspen *aspen = machine();
    struct aspen *other = machine();
    (void)state;

    pass(SECOND);
    (void)aspen_stall_begin(aspen, NULL);
    pass(2 * SECOND);
    aspen_stall_end(aspen, NULL);
    pass(SECOND);
    assert_int_equal(pressure(aspen).some.total, 2 * SECOND);
    aspen_store(&clock_now, BEGIN);
    for (unsigned i = 0; i < 2; i++) {
        stall_for(other, SECOND);
        pass(SECOND);
    }
    assert_averages(pressure(aspen).some, 1648, 322, 66);
    assert_averages(pressure(other).some, 1648, 322, 66);
    helper_machine_destroy(other);
    helper_machine_destroy(aspen);
}

/* However many periods pass before somebody looks: 10,000 * (1 - e^(-time/10)),
 * and so on; all of it once less than the last binary digit is missing. */
static void
test_many_periods(void **state)
{
    static const struct {
        uint64_t periods;
        uint32_t averages[3];
    } rows[] = {
        {1, {1812, 327, 66}},         {2, {3296, 644, 132}},
        {3, {4511, 951, 198}},        {5, {6321, 1535, 327}},
        {30, {9975, 6321, 1812}},     {150, {10000, 9932, 6321}},
        {1000, {10000, 10000, 9987}}, {1000000, {10000, 10000, 10000}},
    };
    (void)state;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct aspen *aspen = machine();
        (void)aspen_stall_begin(aspen, NULL);
        pass(rows[i].periods * 2 * SECOND);
        struct aspen_stalls some = pressure(aspen).some;
        assert_int_equal(some.total, rows[i].periods * 2 * SECOND);
        assert_averages(some, rows[i].averages[0], rows[i].averages[1],
                        rows[i].averages[2]);
        aspen_stall_end(aspen, NULL);
        pass(1000000 * 2 * SECOND);
        assert_averages(pressure(aspen).some, 0, 0, 0);
        helper_machine_destroy(aspen);
    }
}

/* All of the time for long enough is 100 percent, step by step, too. */
static void
test_steps_arrive(void **state)
{
    struct aspen *aspen = machine();
    (void)state;

    (void)aspen_stall_begin(aspen, NULL);
    for (unsigned i = 0; i < 5000; i++) {
        pass(2 * SECOND);
        (void)pressure(aspen);
    }
    assert_averages(pressure(aspen).some, 10000, 10000, 10000);
    aspen_stall_end(aspen, NULL);
    for (unsigned i = 0; i < 5000; i++) {
        pass(2 * SECOND);
        (void)pressure(aspen);
    }
    assert_averages(pressure(aspen).some, 0, 0, 0);
    helper_machine_destroy(aspen);
}

/* ---- Text -------------------------------------------------------------- */

struct collected {
    char text[256];
    size_t length;
};

static void
collect(void *context, const char *text, size_t length)
{
    struct collected *collected = context;

    assert_true(collected->length + length < sizeof(collected->text));
    memcpy(collected->text + collected->length, text, length);
    collected->length += length;
}

static void
test_text(void **state)
{
    struct aspen *aspen = machine();
    struct collected all = {.length = 0};
    (void)state;

    aspen_pressure_threads(aspen, 2);
    stall_for(aspen, SECOND);
    pass(SECOND);
    (void)aspen_stall_begin(aspen, NULL);
    stall_for(aspen, 1234);
    aspen_stall_end(aspen, NULL);
    aspen_inspect_pressure(aspen, collect, &all);
    assert_string_equal(all.text,
                        "some avg10=9.06 avg60=1.63 avg300=0.33 total=1001234\n"
                        "full avg10=0.00 avg60=0.00 avg300=0.00 total=1234\n");
    helper_machine_destroy(aspen);
}

/* ---- What is a stall --------------------------------------------------- */

#define FRAMES 128u
#define PAGES  (8 * FRAMES)

/* Reading a page takes 3 microseconds. */
static int
slow_page(void *context, uint64_t offset_bytes, void *page)
{
    pass(3);
    return helper_pager_number(context, offset_bytes, page);
}

static const struct aspen_pager_ops pager = {.read = slow_page};

static void
space(struct helper_space *s)
{
    struct aspen_config config = helper_config(FRAMES);

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.hooks.memory = &memory;
    aspen_store(&clock_now, BEGIN);
    aspen_store(&clock_asked, 0);
    helper_space_create(s, &config);
}

static void
read_page(struct aspen_object *file, uint64_t page)
{
    uint64_t number, done;

    assert_int_equal(
        aspen_object_read(file, page * PAGE, &number, sizeof(number), &done),
        0);
    assert_int_equal(number, page);
}

/* What is read for the first time is waited for in any case. */
static void
test_read_again(void **state)
{
    struct helper_space s;
    (void)state;

    space(&s);
    struct aspen *aspen = s.helper.aspen;
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    uint64_t at =
        helper_map_object(s.mm, 0, PAGES, R | ASPEN_VM_SHARED, file, 0);
    for (uint64_t i = 0; i < 20; i++)
        read_page(file, i);
    uint64_t anon = helper_map(s.mm, 0, 4, RW);
    helper_put(&s.helper, s.mm, anon, 1);
    assert_int_equal(clock_asked, 1); /* when the machine was made */
    assert_totals(aspen, 0, 0);
    assert_int_equal(aspen_reclaim(aspen, 5), 5);
    assert_totals(aspen, 0, 0);
    uint64_t before = helper_counts(aspen).refaults;
    for (uint64_t i = 0; i < 20; i++)
        read_page(file, i);
    assert_int_equal(helper_counts(aspen).refaults, before + 5);
    assert_totals(aspen, 15, 0);
    /* The same by a fault. */
    assert_int_equal(aspen_reclaim(aspen, 5), 5);
    for (uint64_t i = 0; i < 20; i++)
        (void)helper_get(&s.helper, s.mm, at + i * PAGE);
    assert_totals(aspen, 30, 0);
    aspen_object_put(file);
    helper_space_destroy(&s);
}

/* One of which more have left since than there are was not missed. */
static void
test_away_for_long(void **state)
{
    struct helper_space s;
    (void)state;

    space(&s);
    struct aspen *aspen = s.helper.aspen;
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    for (uint64_t i = 0; i < 40; i++)
        read_page(file, i);
    assert_int_equal(aspen_reclaim(aspen, 40), 40);
    read_page(file, 0);
    assert_totals(aspen, 0, 0);
    assert_int_equal(helper_counts(aspen).refaults, 0);
    aspen_object_put(file);
    helper_space_destroy(&s);
}

/* Time passes while dirty pages are written for who needs memory. */
static int
slow_write(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    pass(1000);
    return helper_pager_write(context, offset_bytes, pages, bytes);
}

static void
test_direct_reclaim(void **state)
{
    static const struct aspen_pager_ops writes = {.read = helper_pager_read,
                                                  .write = slow_write};
    struct helper_space s;
    (void)state;

    space(&s);
    struct aspen *aspen = s.helper.aspen;
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &writes, NULL);
    uint64_t at =
        helper_map_object(s.mm, 0, PAGES, RW | ASPEN_VM_SHARED, file, 0);
    uint64_t i = 0;
    while (!helper_counts(aspen).reclaim_written) {
        assert_totals(aspen, 0, 0);
        helper_put(&s.helper, s.mm, at + i++ * PAGE, 1);
    }
    uint64_t lost = aspen_load(&clock_now) - BEGIN;
    assert_true(lost >= 1000 && lost % 1000 == 0);
    assert_totals(aspen, lost, 0);
    /* Who hears that there is none does not wait any more. */
    uint64_t anon = helper_map(s.mm, 0, PAGES, RW);
    int error = 0;
    for (i = 0; !error; i++)
        error = aspen_fault(s.mm, anon + i * PAGE, ASPEN_ACCESS_WRITE);
    assert_int_equal(error, -ASPEN_ENOMEM);
    lost = pressure(aspen).some.total;
    pass(100);
    assert_totals(aspen, lost, 0);
    aspen_object_put(file);
    helper_space_destroy(&s);
}

static int
slow_transfer(void *context, const struct aspen_swap_io *io)
{
    uint8_t(*slots)[PAGE] = context;

    pass(10);
    return slots_transfer(slots, io);
}

/* Each page is waited for on its own; what is taken out of memory for nobody
 * costs nobody time. */
static void
test_swap_in(void **state)
{
    static const struct aspen_swap_ops ops = {.transfer = slow_transfer};
    static uint8_t slots[64][PAGE];
    struct aspen_swap_args args = {.pages = 64, .ops = &ops, .context = slots};
    struct helper_space s;
    unsigned type;
    (void)state;

    space(&s);
    struct aspen *aspen = s.helper.aspen;
    assert_int_equal(aspen_swap_add(aspen, &args, &type), 0);
    uint64_t at = helper_map(s.mm, 0, 20, RW);
    for (uint64_t i = 0; i < 20; i++)
        helper_put(&s.helper, s.mm, at + i * PAGE, (uint8_t)i);
    assert_true(aspen_reclaim(aspen, 20) > 10);
    assert_totals(aspen, 0, 0);
    uint64_t swapped = helper_counters(s.mm).swap_pages;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(helper_get(&s.helper, s.mm, at + i * PAGE), i);
    assert_totals(aspen, 10 * swapped, 0);
    helper_space_destroy(&s);
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS 4u

static void *
stall_and_pass(void *argument)
{
    struct aspen *aspen = argument;

    for (unsigned i = 0; i < unit_rounds(2000); i++) {
        (void)aspen_stall_begin(aspen, NULL);
        pass(1);
        aspen_stall_end(aspen, NULL);
        (void)pressure(aspen);
    }
    return NULL;
}

/* At each moment that passed somebody stalled. */
static void
test_threads(void **state)
{
    struct aspen *aspen = machine();
    (void)state;

    aspen_pressure_threads(aspen, 1);
    unit_run_threads(THREADS, stall_and_pass, aspen);
    struct aspen_pressure all = pressure(aspen);
    assert_int_equal(all.some.total, all.full.total);
    assert_in_range(all.some.total, 1, aspen_load(&clock_now) - BEGIN);
    stall_for(aspen, 100);
    assert_totals(aspen, all.some.total + 100, all.some.total + 100);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_some_and_full),
        cmocka_unit_test(test_clock_goes_back),
        cmocka_unit_test(test_no_clock),
        cmocka_unit_test(test_one_period),
        cmocka_unit_test(test_over_the_end),
        cmocka_unit_test(test_many_periods),
        cmocka_unit_test(test_steps_arrive),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_read_again),
        cmocka_unit_test(test_away_for_long),
        cmocka_unit_test(test_direct_reclaim),
        cmocka_unit_test(test_swap_in),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
