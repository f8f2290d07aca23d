/* SPDX-License-Identifier: MIT */
/*
 * contract.h - what docs/use/porting.md asks of any port, as small programs: a
 * set-up, tasks that run side by side, and a check. A port that can host them
 * includes its aspen_port.h first, says how programs are run, and calls
 * contract_tests(): posix and template in threads (tests/unit/port), sim in
 * every order (tests/explore).
 */
#ifndef ASPEN_TESTS_CONTRACT_H
#define ASPEN_TESTS_CONTRACT_H

#include "base/atomic.h"
#include "base/bits.h"
#include "unit.h"

#define CONTRACT_TASKS 3u

struct contract_program {
    const char *name;
    void (*setup)(void *unused);
    void (*task[CONTRACT_TASKS])(void *unused);
    unsigned tasks;
    void (*check)(void *unused); /* all tasks have ended */
};

/* ---- What the port's file has ------------------------------------------- */

/* Often, or in every order. */
static void contract_run(const struct contract_program *program);
/* It does not hold. */
static void contract_fail(const char *why);
/* Somebody else may go on here: `word` is about to be looked at or changed. */
static void contract_between(const void *word, bool is_write);
/* CONTRACT_BARRIER_IN_TASKS, where a task may wait for callbacks. */

/* ---- Locks -------------------------------------------------------------- */

static struct aspen_port_spinlock contract_spin;
static struct aspen_port_rwlock contract_rw;
/* Plain, so that ThreadSanitizer sees a lock that does not publish. */
static uint64_t contract_count, contract_mirror;

static void
contract_locks_begin(void *unused)
{
    (void)unused;
    memset(&contract_spin, 0, sizeof(contract_spin));
    aspen_port_rwlock_init(&contract_rw);
    contract_count = contract_mirror = 0;
}

static void
contract_add(void)
{
    contract_between(&contract_count, false);
    uint64_t before = contract_count;
    contract_between(&contract_count, true);
    contract_count = before + 1;
    contract_between(&contract_mirror, true);
    contract_mirror++;
}

static void
contract_add_in_spin_lock(void *unused)
{
    (void)unused;
    aspen_port_spin_lock(&contract_spin);
    contract_add();
    aspen_port_spin_unlock(&contract_spin);
}

static void
contract_try_spin_lock(void *unused)
{
    (void)unused;
    if (!aspen_port_spin_trylock(&contract_spin))
        return;
    contract_add();
    if (aspen_port_spin_trylock(&contract_spin))
        contract_fail("a spin lock is taken twice");
    aspen_port_spin_unlock(&contract_spin);
}

static void
contract_write(void *unused)
{
    (void)unused;
    aspen_port_write_lock(&contract_rw);
    contract_add();
    if (aspen_port_write_trylock(&contract_rw) ||
        aspen_port_read_trylock(&contract_rw))
        contract_fail("a lock held for writing is taken");
    aspen_port_write_unlock(&contract_rw);
}

static void
contract_try_write(void *unused)
{
    (void)unused;
    if (!aspen_port_write_trylock(&contract_rw))
        return;
    contract_add();
    aspen_port_write_unlock(&contract_rw);
}

static void
contract_write_killably(void *unused)
{
    (void)unused;
    if (aspen_port_write_lock_killable(&contract_rw) != 0)
        contract_fail("nobody was killed");
    contract_add();
    aspen_port_write_unlock(&contract_rw);
}

static void
contract_look(void)
{
    contract_between(&contract_count, false);
    uint64_t count = contract_count;
    contract_between(&contract_mirror, false);
    if (count != contract_mirror)
        contract_fail("a reader sees half of what a writer does");
}

static void
contract_read(void *unused)
{
    (void)unused;
    aspen_port_read_lock(&contract_rw);
    contract_look();
    if (aspen_port_write_trylock(&contract_rw))
        contract_fail("a lock held for reading is taken for writing");
    aspen_port_read_unlock(&contract_rw);
}

static void
contract_try_read(void *unused)
{
    (void)unused;
    if (!aspen_port_read_trylock(&contract_rw))
        return;
    contract_look();
    aspen_port_read_unlock(&contract_rw);
}

static void
contract_locks_end(void *unused)
{
    (void)unused;
    if (contract_count != contract_mirror || contract_count == 0)
        contract_fail("an addition is lost");
    if (!aspen_port_spin_trylock(&contract_spin) ||
        !aspen_port_write_trylock(&contract_rw))
        contract_fail("a lock is held by nobody");
    aspen_port_spin_unlock(&contract_spin);
    aspen_port_write_unlock(&contract_rw);
    aspen_port_rwlock_destroy(&contract_rw);
}

static void
contract_both_added(void *unused)
{
    if (contract_count != 2)
        contract_fail("an addition is lost");
    contract_locks_end(unused);
}

static void
contract_readers_share(void **state)
{
    (void)state;
    contract_locks_begin(NULL);
    assert_true(aspen_port_read_trylock(&contract_rw));
    assert_true(aspen_port_read_trylock(&contract_rw));
    assert_false(aspen_port_write_trylock(&contract_rw));
    aspen_port_read_unlock(&contract_rw);
    assert_false(aspen_port_write_trylock(&contract_rw));
    aspen_port_read_unlock(&contract_rw);
    assert_true(aspen_port_write_trylock(&contract_rw));
    aspen_port_write_unlock(&contract_rw);
    aspen_port_rwlock_destroy(&contract_rw);
    assert_true(sizeof(struct aspen_port_spinlock) <= 4);
    assert_true(sizeof(struct aspen_port_rcu_head) <= 16);
}

/* ---- Waiting ------------------------------------------------------------ */

static uint32_t contract_flag; /* atomic */

static bool
contract_is_set(const void *flag)
{
    return aspen_load((const uint32_t *)flag) != 0;
}

static void
contract_wait_begin(void *unused)
{
    (void)unused;
    contract_flag = 1;
}

static void
contract_wait(void *unused)
{
    (void)unused;
    aspen_port_wait_while(&contract_flag, contract_is_set, &contract_flag);
    if (aspen_load(&contract_flag))
        contract_fail("nobody is to go on yet");
}

static void
contract_wake(void *unused)
{
    (void)unused;
    aspen_store(&contract_flag, 0u);
    aspen_port_wake_all(&contract_flag);
}

static void
contract_nothing(void *unused)
{
    (void)unused;
}

/* ---- RCU ---------------------------------------------------------------- */

struct contract_object {
    struct aspen_port_rcu_head head;
    uint32_t gone; /* atomic */
};

static struct contract_object contract_objects[2];
static struct contract_object *contract_published[2]; /* atomic */

static void
contract_rcu_begin(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        contract_objects[i].gone = 0;
        contract_published[i] = &contract_objects[i];
    }
}

static void
contract_goes(struct aspen_port_rcu_head *head)
{
    aspen_store(&aspen_container_of(head, struct contract_object, head)->gone,
                1u);
}

static void
contract_retire(unsigned i)
{
    aspen_store(&contract_published[i], NULL);
    aspen_port_rcu_defer(&contract_objects[i].head, contract_goes);
}

static void
contract_retire_first(void *unused)
{
    (void)unused;
    contract_retire(0);
}

/* Maybe while readers are waited for, for the sake of the first. */
static void
contract_retire_second(void *unused)
{
    (void)unused;
    contract_retire(1);
}

static void
contract_synchronise(void *unused)
{
    (void)unused;
    aspen_store(&contract_published[0], NULL);
    aspen_port_rcu_synchronise();
    aspen_store(&contract_objects[0].gone, 1u);
}

#ifdef CONTRACT_BARRIER_IN_TASKS
static void
contract_barrier(void *unused)
{
    (void)unused;
    contract_retire(0);
    aspen_port_rcu_barrier();
    if (!aspen_load(&contract_objects[0].gone))
        contract_fail("a barrier ends before a callback has run");
}
#endif

static void
contract_rcu_read(void *unused)
{
    (void)unused;
    aspen_port_rcu_read_lock();
    aspen_port_rcu_read_lock(); /* in one another */
    aspen_port_rcu_read_unlock();
    for (unsigned i = 0; i < 2; i++) {
        struct contract_object *object = aspen_load(&contract_published[i]);
        contract_between(&contract_objects[i], false);
        if (object && aspen_load(&object->gone))
            contract_fail("a callback has run under a reader");
    }
    aspen_port_rcu_read_unlock();
}

static void
contract_rcu_end(void *unused)
{
    (void)unused;
    aspen_port_rcu_barrier();
    for (unsigned i = 0; i < 2; i++)
        if (!contract_published[i] && !contract_objects[i].gone)
            contract_fail("a callback never runs");
}

/* ---- Memory, processors ------------------------------------------------- */

static void
contract_memory(void **state)
{
    static size_t sizes[] = {1, 4096, 16384, 65536, 3u << 20};
    (void)state;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(sizes); i++)
        for (unsigned round = 0; round < 3; round++) {
            size_t bytes = sizes[i];
            unsigned char *memory = aspen_port_memory_alloc(bytes);
            assert_non_null(memory);
            assert_true((uintptr_t)memory % 4096 == 0);
            for (size_t at = 0; at < bytes; at += 512)
                assert_true(memory[at] == 0);
            assert_true(memory[bytes - 1] == 0);
            memset(memory, 0xff, bytes);
            aspen_port_memory_free(memory, bytes);
        }
    assert_ptr_equal(aspen_port_frame_pointer(sizes, 3),
                     (char *)sizes + 3 * 4096);
}

static void
contract_processors(void **state)
{
    (void)state;
    assert_true(aspen_port_cpu() < ASPEN_PORT_CPUS);
    assert_false(aspen_port_fatal_signal_pending());
}

/* ---- All of it ---------------------------------------------------------- */

static void
contract_programs(void **state)
{
    static const struct contract_program programs[] = {
        {"a spin lock excludes",
         contract_locks_begin,
         {contract_add_in_spin_lock, contract_add_in_spin_lock},
         2,
         contract_both_added},
        {"who may not wait excludes as well",
         contract_locks_begin,
         {contract_add_in_spin_lock, contract_try_spin_lock},
         2,
         contract_locks_end},
        {"writers exclude each other",
         contract_locks_begin,
         {contract_write, contract_write_killably},
         2,
         contract_both_added},
        {"a writer excludes readers",
         contract_locks_begin,
         {contract_write, contract_read, contract_try_read},
         3,
         contract_locks_end},
        {"a writer that may not wait excludes readers",
         contract_locks_begin,
         {contract_write, contract_try_write, contract_read},
         3,
         contract_locks_end},
        {"no wake-up is lost",
         contract_wait_begin,
         {contract_wait, contract_wake, contract_wait},
         3,
         contract_nothing},
        {"callbacks wait for readers",
         contract_rcu_begin,
         {contract_retire_first, contract_rcu_read},
         2,
         contract_rcu_end},
        {"a callback that comes later waits for later readers",
         contract_rcu_begin,
         {contract_retire_first, contract_rcu_read, contract_retire_second},
         3,
         contract_rcu_end},
        {"synchronise waits for readers",
         contract_rcu_begin,
         {contract_synchronise, contract_rcu_read},
         2,
         contract_nothing},
#ifdef CONTRACT_BARRIER_IN_TASKS
        {"a barrier waits for callbacks",
         contract_rcu_begin,
         {contract_barrier, contract_rcu_read},
         2,
         contract_rcu_end},
#endif
    };
    (void)state;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(programs); i++)
        contract_run(&programs[i]);
}

/* What was stored is what is fetched, and not what was there before. */
#if defined(ASPEN_PORT_ICACHE_SYNC) && !defined(__riscv)
#include <sys/mman.h>

/* A function that answers `number`, below 32,768. */
static size_t
contract_make_code(void *memory, uint32_t number)
{
#if defined(__aarch64__)
    uint32_t code[] = {0x52800000u | number << 5, 0xd65f03c0u};
#else
    uint8_t code[] = {0xb8, (uint8_t)number, (uint8_t)(number >> 8), 0, 0,
                      0xc3};
#endif

    memcpy(memory, code, sizeof(code));
    return sizeof(code);
}

static void
contract_code(void **state)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int (*function)(void);

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    memcpy(&function, &memory, sizeof(function));
    for (uint32_t i = 0; i < 1000; i++) {
        aspen_port_icache_sync(memory, contract_make_code(memory, i));
        assert_int_equal(function(), i);
    }
    munmap(memory, 4096);
}
#else
static void
contract_code(void **state)
{
    (void)state; /* this port's caches watch, or none of its pages has code */
}
#endif

static int
contract_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract_programs),
        cmocka_unit_test(contract_readers_share),
        cmocka_unit_test(contract_memory),
        cmocka_unit_test(contract_processors),
        cmocka_unit_test(contract_code),
    };

    return cmocka_run_group_tests_name("the port", tests, NULL, NULL);
}

#endif
