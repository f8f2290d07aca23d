/* SPDX-License-Identifier: MIT */
/*
 * What programs of a few loads and stores may find: the litmus tests of the
 * literature, each with all that C11 allows and nothing else, as far as stores
 * come in one order. Built like the core.
 */
#include "base/atomic.h"
#include "explore.h"

static uint64_t x, y;
static uint64_t plain;
static struct aspen_port_spinlock lock;
static uint64_t seen[6];
static uint64_t outcomes; /* a bit for each that was found */

static void
reset(void *unused)
{
    (void)unused;
    x = y = plain = 0;
    lock.holders = 0; /* a run that broke may have left it */
    memset(seen, 0, sizeof(seen));
}

/* seen[0], seen[1] .. are the digits of the outcome, to base 3. */
static void
note(void *unused)
{
    uint64_t outcome = 0;

    (void)unused;
    for (unsigned i = 6; i-- > 0;)
        outcome = outcome * 3 + seen[i];
    outcomes |= (uint64_t)1 << outcome % 64;
}

typedef void task(void *context);

/* Every order and every value; the outcomes as a set. */
static uint64_t
outcomes_of(task *const *tasks, bool relaxed)
{
    static struct sim_result result;
    struct sim_program program = explore_program(reset, tasks, note);

    outcomes = 0;
    sim_relax(relaxed ? 100 : 0);
    sim_explore(&program, 100000, &result);
    sim_relax(0);
    if (result.broken)
        fail_msg("%s, replay: %s", result.what, result.schedule);
    assert_true(result.complete && !result.bounded);
    return outcomes;
}

#define OUTCOME(a, b) ((uint64_t)1 << ((a) + 3 * (b)))
#define ALL_OF_TWO                                                             \
    (OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 0) | OUTCOME(1, 1))

/* ---- Store buffering --------------------------------------------------- */

static void
sb_left(void *unused)
{
    (void)unused;
    aspen_store(&x, 1);
    seen[0] = aspen_load(&y);
}

static void
sb_right(void *unused)
{
    (void)unused;
    aspen_store(&y, 1);
    seen[1] = aspen_load(&x);
}

static void
sb_left_fence(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&x, 1);
    aspen_fence();
    seen[0] = aspen_load_relaxed(&y);
}

static void
sb_right_fence(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&y, 1);
    aspen_fence();
    seen[1] = aspen_load_relaxed(&x);
}

static void
test_store_buffering(void **state)
{
    task *const tasks[SIM_TASKS] = {sb_left, sb_right};
    task *const fences[SIM_TASKS] = {sb_left_fence, sb_right_fence};
    task *const one[SIM_TASKS] = {sb_left_fence, sb_right};

    (void)state;
    assert_int_equal(outcomes_of(tasks, false), ALL_OF_TWO & ~OUTCOME(0, 0));
    assert_int_equal(outcomes_of(tasks, true), ALL_OF_TWO);
    assert_int_equal(outcomes_of(fences, true), ALL_OF_TWO & ~OUTCOME(0, 0));
    assert_int_equal(outcomes_of(one, true), ALL_OF_TWO);
}

/* ---- Message passing --------------------------------------------------- */

static void
mp_send(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&x, 1);
    aspen_store(&y, 1);
}

static void
mp_send_relaxed(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&x, 1);
    aspen_store_relaxed(&y, 1);
}

static void
mp_send_fence(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&x, 1);
    aspen_fence();
    aspen_store_relaxed(&y, 1);
}

static void
mp_receive(void *unused)
{
    (void)unused;
    seen[0] = aspen_load(&y);
    seen[1] = aspen_load_relaxed(&x);
}

static void
mp_receive_relaxed(void *unused)
{
    (void)unused;
    seen[0] = aspen_load_relaxed(&y);
    seen[1] = aspen_load_relaxed(&x);
}

static void
mp_receive_fence(void *unused)
{
    (void)unused;
    seen[0] = aspen_load_relaxed(&y);
    aspen_fence();
    seen[1] = aspen_load_relaxed(&x);
}

static void
test_message_passing(void **state)
{
    static const struct {
        task *send;
        task *receive;
        bool safe;
    } cases[] = {
        {mp_send, mp_receive, true},
        {mp_send, mp_receive_fence, true},
        {mp_send_fence, mp_receive, true},
        {mp_send_fence, mp_receive_fence, true},
        {mp_send, mp_receive_relaxed, false},
        {mp_send_fence, mp_receive_relaxed, false},
        {mp_send_relaxed, mp_receive, false},
        {mp_send_relaxed, mp_receive_fence, false},
        {mp_send_relaxed, mp_receive_relaxed, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        task *const tasks[SIM_TASKS] = {cases[i].send, cases[i].receive};
        uint64_t lost = cases[i].safe ? OUTCOME(1, 0) : 0;
        assert_int_equal(outcomes_of(tasks, true), ALL_OF_TWO & ~lost);
        assert_int_equal(outcomes_of(tasks, false),
                         ALL_OF_TWO & ~OUTCOME(1, 0));
    }
}

/* ---- Release sequences ------------------------------------------------- */

/* Who adds to what was published hands it on, whatever its own order. */
static void
sequence_add(void *unused)
{
    (void)unused;
    seen[2] = aspen_fetch_add_relaxed(&y, 1);
}

static void
sequence_receive(void *unused)
{
    (void)unused;
    seen[0] = aspen_load(&y);
    seen[1] = aspen_load_relaxed(&x);
}

static void
test_release_sequence(void **state)
{
    task *const tasks[SIM_TASKS] = {mp_send, sequence_add, sequence_receive};

    (void)state;
    uint64_t found = outcomes_of(tasks, true);
    /* y was 2 by adding to what was sent: then x is there. */
    assert_true(found & OUTCOME(2, 1) << 9 || found & OUTCOME(2, 1));
    assert_false(found & (uint64_t)1 << (2 + 3 * 0 + 9 * 1));
}

/* ---- Coherence --------------------------------------------------------- */

static void
co_write(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&x, 1);
    aspen_store_relaxed(&x, 2);
}

static void
co_read(void *unused)
{
    (void)unused;
    seen[0] = aspen_load_relaxed(&x);
    seen[1] = aspen_load_relaxed(&x);
}

/* One word never goes back. */
static void
test_coherence(void **state)
{
    task *const tasks[SIM_TASKS] = {co_write, co_read};
    uint64_t all = 0;

    (void)state;
    for (unsigned first = 0; first < 3; first++)
        for (unsigned second = first; second < 3; second++)
            all |= OUTCOME(first, second);
    assert_int_equal(outcomes_of(tasks, true), all);
    assert_int_equal(outcomes_of(tasks, false), all);
}

static void
add_x(void *unused)
{
    (void)unused;
    (void)aspen_fetch_add_relaxed(&x, 1);
}

static void
add_x_and_read(void *unused)
{
    (void)unused;
    seen[0] = aspen_fetch_add_relaxed(&x, 1);
    seen[1] = aspen_load_relaxed(&x);
}

/* Read-modify-writes lose nothing, and one's own store is always seen. */
static void
test_additions(void **state)
{
    task *const tasks[SIM_TASKS] = {add_x, add_x_and_read};

    (void)state;
    assert_int_equal(outcomes_of(tasks, true),
                     OUTCOME(0, 1) | OUTCOME(0, 2) | OUTCOME(1, 2));
    assert_int_equal(x, 2);
}

static void
exchange_x(void *unused)
{
    uint64_t expected = 0;

    (void)unused;
    seen[0] = aspen_compare_exchange(&x, &expected, 2);
    seen[1] = expected;
}

static void
store_x(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&x, 1);
}

/* What is expected is the last value, or it fails; the others' is found. */
static void
test_exchange(void **state)
{
    task *const tasks[SIM_TASKS] = {store_x, exchange_x};

    (void)state;
    assert_int_equal(outcomes_of(tasks, true), OUTCOME(1, 0) | OUTCOME(0, 1));
}

/* ---- Independent reads of independent writes --------------------------- */

static void
iriw_write(void *unused)
{
    (void)unused;
    aspen_store(&x, 1);
    aspen_store(&y, 1);
}

static void
iriw_left(void *unused)
{
    (void)unused;
    seen[0] = aspen_load(&x);
    seen[1] = aspen_load(&y);
}

static void
iriw_right(void *unused)
{
    (void)unused;
    seen[2] = aspen_load(&y);
    seen[3] = aspen_load(&x);
}

/* With three tasks: both writes are one task's, and so in order. */
static void
test_independent_reads(void **state)
{
    task *const tasks[SIM_TASKS] = {iriw_write, iriw_left, iriw_right};

    (void)state;
    uint64_t found = outcomes_of(tasks, true);
    /* Right has seen y, and so x. */
    for (unsigned left = 0; left < 9; left++)
        assert_false(found & (uint64_t)1 << (left + 9));
    /* Left may see x alone while right sees both. */
    assert_true(found & (uint64_t)1 << (1 + 9 + 27));
}

/* ---- Load buffering ---------------------------------------------------- */

static void
lb_left(void *unused)
{
    (void)unused;
    seen[0] = aspen_load_relaxed(&x);
    aspen_store_relaxed(&y, 1);
}

static void
lb_right(void *unused)
{
    (void)unused;
    seen[1] = aspen_load_relaxed(&y);
    aspen_store_relaxed(&x, 1);
}

/* C11 lets both find 1. Here nothing is read before it is written. */
static void
test_load_buffering(void **state)
{
    task *const tasks[SIM_TASKS] = {lb_left, lb_right};

    (void)state;
    assert_int_equal(outcomes_of(tasks, true), ALL_OF_TWO & ~OUTCOME(1, 1));
}

/* ---- Plain memory ------------------------------------------------------ */

static void
send_plain(void *unused)
{
    (void)unused;
    plain = 7;
    aspen_store(&y, 1);
}

static void
send_plain_relaxed(void *unused)
{
    (void)unused;
    plain = 7;
    aspen_store_relaxed(&y, 1);
}

static void
receive_plain(void *unused)
{
    (void)unused;
    if (aspen_load(&y) && plain != 7)
        sim_fail("an old value");
}

static void
receive_plain_relaxed(void *unused)
{
    (void)unused;
    if (aspen_load_relaxed(&y) && plain != 7)
        sim_fail("an old value");
}

static void
add_under_lock(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock);
    plain++;
    aspen_port_spin_unlock(&lock);
}

static void
add_plain(void *unused)
{
    (void)unused;
    plain++;
}

static void
store_plain_word(void *unused)
{
    (void)unused;
    x = 1;
}

static void
read_plain(void *unused)
{
    (void)unused;
    seen[sim_task()] = plain;
}

static void
nothing(void *unused)
{
    (void)unused;
}

/* A race is found in the first order: not only where a wrong value is. */
static void
test_plain(void **state)
{
    static const struct {
        const char *name;
        task *tasks[SIM_TASKS];
        bool races;
    } cases[] = {
        {"published", {send_plain, receive_plain}, false},
        {"published without release",
         {send_plain_relaxed, receive_plain},
         true},
        {"read without acquire", {send_plain, receive_plain_relaxed}, true},
        {"only read", {read_plain, read_plain}, false},
        {"under a lock", {add_under_lock, add_under_lock}, false},
        {"one without the lock", {add_under_lock, add_plain}, true},
        {"plain beside atomic", {store_plain_word, store_x}, true},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sim_program program =
            explore_program(reset, cases[i].tasks, nothing);
        if (cases[i].races)
            explore_breaks(cases[i].name, &program, "data race: ");
        else
            explore_holds(cases[i].name, &program, 1000);
    }
}

/* ---- Freed memory ------------------------------------------------------ */

static uint64_t *freed;

static void
make_memory(void *unused)
{
    reset(unused);
    freed = aspen_port_memory_alloc(sizeof(*freed));
}

static void
free_memory(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock);
    aspen_port_memory_free(freed, sizeof(*freed));
    aspen_port_spin_unlock(&lock);
}

static void
use_memory(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock);
    seen[0] = *freed;
    aspen_port_spin_unlock(&lock);
}

static void
use_memory_made_again(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&lock);
    aspen_port_memory_free(freed, sizeof(*freed));
    freed = aspen_port_memory_alloc(sizeof(*freed));
    *freed = 1;
    aspen_port_spin_unlock(&lock);
}

/* The lock orders both: still one comes too late. */
static void
test_freed(void **state)
{
    task *const late[SIM_TASKS] = {free_memory, use_memory};
    task *const again[SIM_TASKS] = {use_memory_made_again, use_memory};
    struct sim_program broken = explore_program(make_memory, late, nothing);
    struct sim_program whole = explore_program(make_memory, again, nothing);

    (void)state;
    explore_breaks("read when it is freed", &broken, "use after free: ");
    explore_holds("read when it was made again", &whole, 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_buffering),
        cmocka_unit_test(test_message_passing),
        cmocka_unit_test(test_release_sequence),
        cmocka_unit_test(test_coherence),
        cmocka_unit_test(test_additions),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_independent_reads),
        cmocka_unit_test(test_load_buffering),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
