/* SPDX-License-Identifier: MIT */
/*
 * The sleeping lock of ports/kernel/rwlock.c, one step after the other: who has
 * to sleep says so before, and whoever takes or frees the lock next wakes him,
 * or leaves that to the one after.
 */
#define aspen_port_wait_while           test_wait_while
#define aspen_port_wake_all             test_wake_all
#define aspen_port_fatal_signal_pending test_fatal_signal_pending
/* Said by the command line where the core is built without. */
#undef ASPEN_PORT_MMU_WRITES_ENTRIES
#include "../../../ports/x86_64/aspen_port.h"

#include "../../../ports/kernel/rwlock.c"

#include "unit.h"

#define WRITER  ASPEN_KERNEL_RW_WRITER
#define WAITERS ASPEN_KERNEL_RW_WAITERS

static struct aspen_port_rwlock lock;
static unsigned sleeps, wakes;
static void (*meanwhile)(void); /* what others do while somebody sleeps */
static bool killed;

void
test_wait_while(const void *key, bool (*busy)(const void *argument),
                const void *argument)
{
    assert_ptr_equal(key, &lock.word);
    assert_true(busy(argument));
    assert_true(lock.word & WAITERS);
    sleeps++;
    meanwhile();
    assert_false(busy(argument)); /* or he sleeps for ever */
}

void
test_wake_all(const void *key)
{
    assert_ptr_equal(key, &lock.word);
    wakes++;
}

bool
test_fatal_signal_pending(void)
{
    return killed;
}

static void
begin(uint32_t word, void (*others)(void))
{
    lock.word = word;
    meanwhile = others;
    sleeps = wakes = 0;
    killed = false;
}

static void
reader_leaves(void)
{
    aspen_port_read_unlock(&lock);
}

static void
writer_leaves(void)
{
    aspen_port_write_unlock(&lock);
}

static void
is_killed(void)
{
    killed = true;
}

#define assert_now(expected_word, slept, woke)                                 \
    do {                                                                       \
        assert_int_equal(lock.word, expected_word);                            \
        assert_int_equal(sleeps, slept);                                       \
        assert_int_equal(wakes, woke);                                         \
    } while (0)

static void
nobody_waits(void **state)
{
    (void)state;
    begin(0, NULL);
    aspen_port_read_lock(&lock);
    assert_true(aspen_port_read_trylock(&lock));
    assert_false(aspen_port_write_trylock(&lock));
    aspen_port_read_unlock(&lock);
    aspen_port_read_unlock(&lock);
    aspen_port_write_lock(&lock);
    assert_false(aspen_port_read_trylock(&lock));
    aspen_port_write_unlock(&lock);
    assert_now(0, 0, 0);
}

static void
who_waits_is_woken(void **state)
{
    (void)state;
    begin(1, reader_leaves);
    aspen_port_write_lock(&lock);
    assert_now(WRITER, 1, 1);
    begin(WRITER, writer_leaves);
    aspen_port_write_lock(&lock);
    assert_now(WRITER, 1, 1);
    begin(WRITER, writer_leaves);
    aspen_port_read_lock(&lock);
    assert_now(1, 1, 1);
}

/* The lock is free and its last holder has not woken anybody yet: who takes it
 * now has to, for that one finds it taken. */
static void
who_comes_before_the_wake_up_leaves_the_bit(void **state)
{
    (void)state;
    begin(WAITERS, NULL);
    aspen_port_write_lock(&lock);
    assert_now(WRITER | WAITERS, 0, 0);
    aspen_kernel_rwlock_wake(&lock); /* too late */
    assert_now(WRITER | WAITERS, 0, 0);
    aspen_port_write_unlock(&lock);
    assert_now(0, 0, 1);
}

/* Behind a writer that waits for readers; then with those who are there. */
static void
reader_goes_behind_who_waits(void **state)
{
    (void)state;
    begin(WAITERS | 1, reader_leaves);
    assert_false(aspen_port_read_trylock(&lock));
    aspen_port_read_lock(&lock);
    assert_now(1, 1, 1);
    begin(WAITERS | 2, NULL);
    assert_true(try_or_sleep(&lock.word, WRITER, 1, false));
    assert_now(WAITERS | 3, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        aspen_port_read_unlock(&lock);
    assert_now(0, 0, 1);
}

static void
who_is_killed_has_no_lock(void **state)
{
    (void)state;
    begin(WRITER, is_killed);
    assert_int_equal(aspen_port_write_lock_killable(&lock), -4);
    assert_now(WRITER | WAITERS, 1, 0);
    aspen_port_write_unlock(&lock);
    assert_now(0, 1, 1);
    begin(1, reader_leaves);
    assert_int_equal(aspen_port_write_lock_killable(&lock), 0);
    assert_now(WRITER, 1, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits),
        cmocka_unit_test(who_waits_is_woken),
        cmocka_unit_test(who_comes_before_the_wake_up_leaves_the_bit),
        cmocka_unit_test(reader_goes_behind_who_waits),
        cmocka_unit_test(who_is_killed_has_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
