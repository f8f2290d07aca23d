/* SPDX-License-Identifier: MIT */
/*
 * The posix port: locks exclude and lose no wake-up, fatal signals end a
 * wait, RCU's deferred work runs after readers and survives fork(2), memory
 * is zeroed, and aligned.
 */
#define _GNU_SOURCE
#include "aspen_posix.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "unit.h"

#include <aspen/error.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4u
#define ROUNDS  20000u

/* ---- Locks ------------------------------------------------------------- */

struct counted {
    struct aspen_port_spinlock spin;
    struct aspen_port_rwlock rw;
    uint64_t plain;   /* one of the locks */
    uint64_t mirror;  /* always equal outside the lock */
    uint32_t readers; /* atomic */
};

static void *
count_in_spin_lock(void *argument)
{
    struct counted *counted = argument;

    for (unsigned i = 0; i < ROUNDS; i++) {
        aspen_port_spin_lock(&counted->spin);
        uint64_t before = counted->plain;
        if (i % 64 == 0)
            sched_yield(); /* let others try */
        counted->plain = before + 1;
        aspen_port_spin_unlock(&counted->spin);
    }
    return NULL;
}

static void
test_spin_lock(void **state)
{
    struct counted counted = {.plain = 0};
    (void)state;

    unit_run_threads(THREADS, count_in_spin_lock, &counted);
    assert_true(counted.plain == THREADS * ROUNDS);
    assert_true(aspen_port_spin_trylock(&counted.spin));
    assert_false(aspen_port_spin_trylock(&counted.spin));
    assert_true(sizeof(struct aspen_port_spinlock) == 4);
}

static void *
count_in_rw_lock(void *argument)
{
    struct counted *counted = argument;
    uint64_t seed = (uintptr_t)&seed;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (unit_random(&seed) % 4 == 0) {
            aspen_port_write_lock(&counted->rw);
            if (aspen_load(&counted->readers))
                abort();
            counted->plain++;
            if (i % 64 == 0)
                sched_yield(); /* let others pile up */
            counted->mirror++;
            aspen_port_write_unlock(&counted->rw);
        } else {
            aspen_port_read_lock(&counted->rw);
            (void)aspen_fetch_add(&counted->readers, 1);
            if (counted->plain != counted->mirror)
                abort();
            if (i % 64 == 0)
                sched_yield();
            (void)aspen_fetch_sub(&counted->readers, 1);
            aspen_port_read_unlock(&counted->rw);
        }
    }
    return NULL;
}

static void
test_rw_lock(void **state)
{
    struct counted counted = {.plain = 0};
    (void)state;

    aspen_port_rwlock_init(&counted.rw);
    unit_run_threads(THREADS, count_in_rw_lock, &counted);
    assert_true(counted.plain == counted.mirror && counted.plain > 0);
    assert_true(counted.rw.word == 0);
    assert_true(aspen_port_read_trylock(&counted.rw));
    assert_true(aspen_port_read_trylock(&counted.rw));
    assert_false(aspen_port_write_trylock(&counted.rw));
    aspen_port_read_unlock(&counted.rw);
    aspen_port_read_unlock(&counted.rw);
    assert_true(aspen_port_write_trylock(&counted.rw));
    assert_false(aspen_port_read_trylock(&counted.rw));
    aspen_port_write_unlock(&counted.rw);
    aspen_port_rwlock_destroy(&counted.rw);
}

static void *
write_once(void *argument)
{
    struct aspen_port_rwlock *lock = argument;

    aspen_port_write_lock(lock);
    aspen_port_write_unlock(lock);
    return NULL;
}

/* While a writer waits no reader comes before it, or it would wait for ever. */
static void
test_readers_wait_for_writers(void **state)
{
    struct aspen_port_rwlock lock;
    pthread_t writer;
    (void)state;

    aspen_port_rwlock_init(&lock);
    assert_true(aspen_port_read_trylock(&lock));
    assert_int_equal(pthread_create(&writer, NULL, write_once, &lock), 0);
    while (!(aspen_load(&lock.word) & ASPEN_POSIX_RW_WAITERS))
        sched_yield();
    assert_false(aspen_port_read_trylock(&lock));
    aspen_port_read_unlock(&lock);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_true(aspen_port_read_trylock(&lock));
    aspen_port_read_unlock(&lock);
    aspen_port_rwlock_destroy(&lock);
}

/* ---- Fatal signals ----------------------------------------------------- */

static void
on_signal(int number)
{
    (void)number;
    aspen_posix_set_fatal_signal(true);
}

static void *
wait_killably(void *lock)
{
    int error = aspen_port_write_lock_killable(lock);
    return (void *)(intptr_t)error;
}

static void
test_fatal_signal_ends_a_wait(void **state)
{
    struct aspen_port_rwlock lock;
    pthread_t thread;
    void *error;
    (void)state;

    signal(SIGUSR1, on_signal);
    aspen_port_rwlock_init(&lock);
    aspen_port_write_lock(&lock);
    assert_int_equal(pthread_create(&thread, NULL, wait_killably, &lock), 0);
    while (!(aspen_load(&lock.word) & ASPEN_POSIX_RW_WAITERS))
        sched_yield();
    /* More than one: ThreadSanitizer may keep a signal to itself. */
    while (pthread_tryjoin_np(thread, &error)) {
        pthread_kill(thread, SIGUSR1);
        usleep(1000);
    }
    assert_int_equal((intptr_t)error, -ASPEN_EINTR);
    assert_false(aspen_port_fatal_signal_pending()); /* it is the thread's */
    aspen_port_write_unlock(&lock);
    assert_true(lock.word == 0);
}

static void *
write_once_dying(void *lock)
{
    aspen_posix_set_fatal_signal(true);
    return write_once(lock);
}

/* Who has not asked to be woken by one waits on. */
static void
test_fatal_signal_ends_no_other_wait(void **state)
{
    struct aspen_port_rwlock lock;
    pthread_t thread;
    (void)state;

    aspen_port_rwlock_init(&lock);
    aspen_port_write_lock(&lock);
    assert_int_equal(pthread_create(&thread, NULL, write_once_dying, &lock), 0);
    while (!(aspen_load(&lock.word) & ASPEN_POSIX_RW_WAITERS))
        sched_yield();
    usleep(100000); /* it looks again every 10 ms */
    assert_int_equal(pthread_tryjoin_np(thread, NULL), EBUSY);
    assert_true(aspen_load(&lock.word) & ASPEN_POSIX_RW_WRITER);
    aspen_port_write_unlock(&lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(lock.word == 0);
}

/* ---- Panic ------------------------------------------------------------- */

/* What the program has written, then why it ends. */
static void
test_panic(void **state)
{
    char text[256] = "";
    ssize_t length = 0, more;
    int ends[2], status;
    (void)state;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        signal(SIGABRT, SIG_DFL);
        setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
        printf("so far");
        aspen_port_panic("no more");
    }
    assert_true(child > 0);
    close(ends[1]);
    while ((more = read(ends[0], text + length,
                        sizeof(text) - 1 - (size_t)length)) > 0)
        length += more;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "aspen: panic: no more\n"));
    assert_non_null(strstr(text, "so far"));
}

/* ---- Waiting ----------------------------------------------------------- */

static bool
is_set(const void *flag)
{
    return aspen_load((const uint32_t *)flag) != 0;
}

static void *
clear_and_wake(void *flag)
{
    aspen_store((uint32_t *)flag, 0u);
    aspen_port_wake_all(flag);
    return NULL;
}

static void
test_waiting(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        uint32_t flag = 1;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, clear_and_wake, &flag),
                         0);
        aspen_port_wait_while(&flag, is_set, &flag);
        assert_true(aspen_load(&flag) == 0);
        pthread_join(thread, NULL);
    }
}

/* ---- RCU --------------------------------------------------------------- */

struct deferred {
    struct aspen_port_rcu_head head;
    uint32_t value; /* atomic; 0 when the callback ran */
};

static void
expire(struct aspen_port_rcu_head *head)
{
    aspen_store(&aspen_container_of(head, struct deferred, head)->value, 0u);
}

static struct deferred *published; /* atomic */

static void *
read_published(void *stop)
{
    while (!aspen_load((uint32_t *)stop)) {
        struct deferred *one;

        aspen_port_rcu_read_lock();
        one = aspen_load(&published);
        for (unsigned i = 0; one && i < 50; i++)
            if (!aspen_load(&one->value))
                abort(); /* it ran under a reader */
        aspen_port_rcu_read_unlock();
    }
    return NULL;
}

static void
test_rcu_waits_for_readers(void **state)
{
    static struct deferred deferred[300];
    pthread_t threads[2];
    uint32_t stop = 0;
    (void)state;

    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, read_published, &stop);
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(deferred); i++) {
        struct deferred *old;
        deferred[i].value = 1;
        old = aspen_exchange(&published, &deferred[i]);
        if (old)
            aspen_port_rcu_defer(&old->head, expire);
        if (i % 100 == 99)
            aspen_port_rcu_synchronise();
    }
    aspen_store(&published, NULL);
    aspen_port_rcu_barrier();
    for (unsigned i = 0; i + 1 < ASPEN_ARRAY_SIZE(deferred); i++)
        assert_true(aspen_load(&deferred[i].value) == 0);
    aspen_store(&stop, 1u);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* The linker hands us the port's calls of this. */
void __real_urcu_bp_synchronize_rcu(void);
void __wrap_urcu_bp_synchronize_rcu(void);

enum { CLOSED, WANTED, OPEN };
static uint32_t window = CLOSED; /* atomic; behind the readers' end */

void
__wrap_urcu_bp_synchronize_rcu(void)
{
    uint32_t wanted = WANTED;

    __real_urcu_bp_synchronize_rcu();
    if (!aspen_compare_exchange(&window, &wanted, (uint32_t)OPEN))
        return;
    while (aspen_load(&window) == OPEN)
        sched_yield();
}

/* What is queued when others' readers have been waited for has readers of its
 * own. */
static void
test_rcu_waits_for_later_readers(void **state)
{
    struct deferred first = {.value = 1}, second = {.value = 1};
    (void)state;

    aspen_store(&window, (uint32_t)WANTED);
    aspen_port_rcu_defer(&first.head, expire);
    while (aspen_load(&window) != OPEN)
        sched_yield();
    aspen_port_rcu_read_lock();
    aspen_port_rcu_defer(&second.head, expire);
    aspen_store(&window, (uint32_t)CLOSED);
    while (aspen_load(&first.value))
        usleep(100);
    usleep(5000); /* it would be called back right after the first */
    assert_true(aspen_load(&second.value) == 1);
    aspen_port_rcu_read_unlock();
    aspen_port_rcu_barrier();
    assert_true(aspen_load(&second.value) == 0);
}

static void
test_helper_runs_without_a_barrier(void **state)
{
    struct deferred one = {.value = 1};
    (void)state;

    aspen_port_rcu_defer(&one.head, expire);
    while (aspen_load(&one.value))
        usleep(100);
    aspen_port_rcu_barrier(); /* the helper has let go of it */
}

/* A child has no helper thread: both ways to run deferred work still do. */
static void
test_rcu_after_fork(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct deferred before = {.value = 1};
        int status;
        pid_t child;

        aspen_port_rcu_defer(&before.head, expire);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct deferred one = {.value = 1}, two = {.value = 1};
            alarm(10);
            aspen_port_rcu_barrier();
            aspen_port_rcu_defer(&one.head, expire);
            while (aspen_load(&one.value))
                usleep(100);
            aspen_port_rcu_defer(&two.head, expire);
            aspen_port_rcu_barrier();
            _exit(before.value || two.value);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        aspen_port_rcu_barrier();
        assert_true(aspen_load(&before.value) == 0);
    }
}

/* ---- Memory, random, CPUs, TLB ----------------------------------------- */

static void
test_memory(void **state)
{
    static const size_t sizes[] = {1, 4096, 16384, 65536, 3u << 20};
    (void)state;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(sizes); i++)
        for (unsigned round = 0; round < 3; round++) {
            size_t bytes = sizes[i];
            unsigned char *memory = aspen_port_memory_alloc(bytes);
            assert_non_null(memory);
            assert_true((uintptr_t)memory % 4096 == 0);
            assert_true(memory[0] == 0 && memory[bytes / 2] == 0 &&
                        memory[bytes - 1] == 0);
            memset(memory, 0xff, bytes);
            aspen_port_memory_free(memory, bytes);
        }
}

/* 64 GiB of RAM cost nothing until they are touched. */
static void
test_direct_map(void **state)
{
    uint32_t frames = 16u << 20;
    void *map = aspen_posix_direct_map_create(frames);
    unsigned char *page;
    (void)state;

    if (!map)
        unit_skip("no 64 GiB of address space: a limit");
    page = aspen_port_frame_pointer(map, frames - 1);
    assert_true((char *)page == (char *)map + (size_t)(frames - 1) * 4096);
    assert_true(page[4095] == 0);
    page[4095] = 1;
    aspen_posix_direct_map_destroy(map, frames);
}

static void *
cpu_of_thread(void *unused)
{
    unsigned cpu = aspen_port_cpu();
    (void)unused;
    if (cpu >= ASPEN_PORT_CPUS || cpu != aspen_port_cpu())
        abort();
    return NULL;
}

static void
test_cpu(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 2 * ASPEN_PORT_CPUS / THREADS; i++)
        unit_run_threads(THREADS, cpu_of_thread, NULL);
}

static uint64_t observed;

static void
observe(void *context, const struct aspen_tlb_flush *flush)
{
    assert_ptr_equal(context, &observed);
    observed += flush->root + flush->start + flush->end + flush->tables;
}

static void
test_tlb_observer(void **state)
{
    const struct aspen_tlb_flush flush = {
        .root = 1, .start = 20, .end = 300, .tables = true};
    uint64_t before = aspen_posix_tlb_flushes();
    (void)state;

    aspen_posix_observe_tlb(observe, &observed);
    aspen_port_tlb_flush(&flush);
    aspen_posix_observe_tlb(NULL, NULL);
    aspen_port_tlb_flush(&flush);
    assert_true(observed == 322);
    assert_true(aspen_posix_tlb_flushes() == before + 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spin_lock),
        cmocka_unit_test(test_rw_lock),
        cmocka_unit_test(test_readers_wait_for_writers),
        cmocka_unit_test(test_fatal_signal_ends_a_wait),
        cmocka_unit_test(test_fatal_signal_ends_no_other_wait),
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_rcu_waits_for_readers),
        cmocka_unit_test(test_rcu_waits_for_later_readers),
        cmocka_unit_test(test_helper_runs_without_a_barrier),
        cmocka_unit_test(test_rcu_after_fork),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_direct_map),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_tlb_observer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
