/* SPDX-License-Identifier: MIT */
/*
 * The explorer on programs whose orders are known: it finds what is broken and
 * counts what is not.
 */
#include "base/atomic.h"
#include "explore.h"
#include "serve.h"
#include <aspen/tlb.h>
#include <aspen_port.h>

/* ---- Counters ---------------------------------------------------------- */

static uint64_t counter;
static struct aspen_port_spinlock lock_a;
static struct aspen_port_spinlock lock_b;

static void
reset(void *unused)
{
    (void)unused;
    counter = 0;
    lock_a.holders = 0;
    lock_b.holders = 0;
}

static void
add_racy(void *unused)
{
    (void)unused;
    uint64_t value = aspen_load(&counter);
    aspen_store(&counter, value + 1);
}

static void
add_locked(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock_a);
    add_racy(unused);
    aspen_port_spin_unlock(&lock_a);
}

static void
add_atomic(void *unused)
{
    (void)unused;
    aspen_fetch_add(&counter, 1);
}

static void
is_two(void *unused)
{
    (void)unused;
    if (counter != 2)
        sim_fail("an addition is lost");
}

static void
test_counters(void **state)
{
    (void)state;
    struct sim_program program = {reset, {add_racy, add_racy}, 2, is_two, NULL};
    struct sim_result result;

    explore_breaks("racy counter", &program, "an addition is lost");
    program.task[0] = program.task[1] = add_locked;
    explore_holds("counter under a lock", &program, 100);
    /* Two critical sections have two orders. */
    sim_explore(&program, 100, &result);
    assert_true(result.complete);
    assert_int_equal(result.schedules, 2);
    program.task[0] = program.task[1] = add_atomic;
    sim_explore(&program, 100, &result);
    assert_true(result.complete);
    assert_int_equal(result.schedules, 2);
}

static void
nothing(void *unused)
{
    (void)unused;
}

/* ---- A pointer's expression is evaluated once --------------------------- */

static void
step_through(void *unused)
{
    uint64_t values[6] = {1, 2, 3, 4, 5, 6};
    uint64_t *at = values;
    uint64_t three = 3;

    (void)unused;
    if (aspen_load_relaxed(at++) != 1 || aspen_load(at++) != 2 ||
        !aspen_compare_exchange(at++, &three, 0u) ||
        aspen_fetch_add(at++, 1) != 4 || aspen_exchange(at++, 0u) != 5)
        sim_fail("an element was left out");
    aspen_store(at++, 0u);
    if (at != values + 6)
        sim_fail("the pointer went too far");
}

static void
test_evaluated_once(void **state)
{
    (void)state;
    struct sim_program program = {reset, {step_through}, 1, nothing, NULL};

    explore_holds("pointers that go on", &program, 1);
}

/* ---- Independent work has one order ------------------------------------ */

static uint64_t words[3][4];

static void
touch_own(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 4; i++)
        aspen_store(&words[sim_task()][i], 1u);
}

static void
test_independent(void **state)
{
    (void)state;
    struct sim_program program = {
        reset, {touch_own, touch_own, touch_own}, 3, nothing, NULL};
    struct sim_result result;

    sim_explore(&program, 1000, &result);
    assert_true(result.complete);
    assert_int_equal(result.schedules, 1);
}

/* ---- Readers and one writer: 3 places for each of two reads ------------ */

static void
read_twice(void *unused)
{
    (void)unused;
    (void)aspen_load(&words[0][0]);
    (void)aspen_load(&words[0][0]);
}

static void
write_once(void *unused)
{
    (void)unused;
    aspen_store(&words[0][0], 1u);
}

static void
test_reads_commute(void **state)
{
    (void)state;
    struct sim_program program = {
        reset, {read_twice, read_twice, write_once}, 3, nothing, NULL};
    struct sim_result result;

    sim_explore(&program, 1000, &result);
    assert_true(result.complete);
    assert_int_equal(result.schedules, 9);
}

/* ---- Deadlock ---------------------------------------------------------- */

static void
lock_a_then_b(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock_a);
    aspen_port_spin_lock(&lock_b);
    aspen_port_spin_unlock(&lock_b);
    aspen_port_spin_unlock(&lock_a);
}

static void
lock_b_then_a(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock_b);
    aspen_port_spin_lock(&lock_a);
    aspen_port_spin_unlock(&lock_a);
    aspen_port_spin_unlock(&lock_b);
}

static void
test_deadlock(void **state)
{
    (void)state;
    struct sim_program program = {
        reset, {lock_a_then_b, lock_b_then_a}, 2, nothing, NULL};

    explore_breaks("locks in two orders", &program, "deadlock");
    program.task[1] = lock_a_then_b;
    explore_holds("locks in one order", &program, 100);
}

/* ---- Flushes ----------------------------------------------------------- */

static void
flush_all(void)
{
    const uint64_t cpus = (1u << SIM_TASKS) - 1;

    aspen_port_tlb_flush(&(struct aspen_tlb_flush){.cpus = &cpus});
}

static void
flush_under_a(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock_a);
    flush_all();
    aspen_port_spin_unlock(&lock_a);
}

static void
flush_after_a(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock_a);
    aspen_port_spin_unlock(&lock_a);
    flush_all();
}

static void
read_and_flush(void *unused)
{
    (void)unused;
    aspen_port_rcu_read_lock();
    flush_all();
    aspen_port_rcu_read_unlock();
}

/* Who spins for a lock answers no flush. */
static void
test_flush(void **state)
{
    (void)state;
    struct sim_program program = {
        reset, {flush_under_a, add_locked}, 2, nothing, NULL};

    explore_breaks("flush under a spin lock", &program, "deadlock");
    program.task[0] = read_and_flush;
    explore_breaks("flush by a reader", &program, "RCU reader");
    program.task[0] = flush_after_a;
    program.task[2] = flush_after_a;
    program.tasks = 3;
    explore_holds("flush after a spin lock", &program, 1000);
}

/* ---- RCU --------------------------------------------------------------- */

static struct shared {
    struct aspen_port_rcu_head head;
    bool freed;
} object;
static struct shared *published;

static void
publish(void *unused)
{
    reset(unused);
    object.freed = false;
    published = &object;
}

static void
free_object(struct aspen_port_rcu_head *head)
{
    sim_point(&object, true);
    ((struct shared *)(void *)head)->freed = true;
}

static void
retire(void *unused)
{
    (void)unused;
    aspen_store(&published, (struct shared *)NULL);
    aspen_port_rcu_defer(&object.head, free_object);
}

static void
read_object(void)
{
    struct shared *found = aspen_load(&published);
    sim_point(&object, false); /* somebody may come in between */
    if (found && found->freed)
        sim_fail("a freed object is read");
}

static void
read_protected(void *unused)
{
    (void)unused;
    aspen_port_rcu_read_lock();
    read_object();
    aspen_port_rcu_read_unlock();
}

static void
read_unprotected(void *unused)
{
    (void)unused;
    read_object();
}

static void
test_rcu(void **state)
{
    (void)state;
    struct sim_program program = {
        publish, {retire, read_unprotected}, 2, nothing, NULL};

    explore_breaks("reader without RCU", &program, "a freed object is read");
    program.task[1] = read_protected;
    explore_holds("reader under RCU", &program, 1000);
}

/* What the host does not have is refused; what it has is zeroed. */
static void
test_memory(void **state)
{
    char *memory = aspen_port_memory_alloc(4096);
    (void)state;

    assert_null(aspen_port_memory_alloc((size_t)1 << 62));
    assert_non_null(memory);
    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(memory[i], 0);
    aspen_port_memory_free(memory, 4096);
}

int
main(void)
{
    if (serve_is_wanted())
        return 0; /* these are about the explorer */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_evaluated_once),
        cmocka_unit_test(test_independent),
        cmocka_unit_test(test_reads_commute),
        cmocka_unit_test(test_deadlock),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_rcu),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
