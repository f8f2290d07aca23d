/* SPDX-License-Identifier: MIT */
/*
 * test_capture_stop.c - what is captured goes on afterwards, whatever happens
 * meanwhile; what cannot be captured is refused by what is wrong with it.
 *
 * What the host lacks is skipped by name.
 */
#define _GNU_SOURCE
#include "capture_child.h"
#include "host/refused.h"
#include "snapshot/capture.h"
#include "guest/stop.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What child and test both see. */
struct board {
    volatile unsigned long beats[16];
    volatile int signals;
    volatile bool stop;
};

static struct board *board;

static int
make_board(void **state)
{
    (void)state;
    board = child_share(sizeof(*board));
    return board != MAP_FAILED ? 0 : -1;
}

static int
drop_board(void **state)
{
    (void)state;
    return munmap(board, sizeof(*board));
}

/* --- the process goes on ------------------------------------------------- */

static void *
beat(void *argument)
{
    volatile unsigned long *counter = argument;
    struct timespec nap = {0, 100000};

    while (!board->stop) {
        ++*counter;
        nanosleep(&nap, NULL);
    }
    return NULL;
}

static void *
end_at_once(void *argument)
{
    return argument;
}

/* Eight threads that count, and one that keeps starting others. */
static void
run_threads(int ready)
{
    pthread_attr_t small; /* stacks: RLIMIT_DATA counts them */
    pthread_t thread;

    board->stop = false;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    for (unsigned i = 0; i < 8; i++)
        pthread_create(&thread, &small, beat,
                       (void *)(uintptr_t)&board->beats[i]);
    report_ready(ready);
    while (!board->stop) {
        if (pthread_create(&thread, &small, end_at_once, NULL) == 0)
            pthread_join(thread, NULL);
        board->beats[8]++;
    }
}

static void
nap_ms(long milliseconds)
{
    struct timespec nap = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    nanosleep(&nap, NULL);
}

/* All counters move again (within two seconds). */
static void
check_beating(unsigned count)
{
    unsigned long before[16];
    bool all = false;

    for (unsigned i = 0; i < count; i++)
        before[i] = board->beats[i];
    for (unsigned tries = 0; tries < 200 && !all; tries++) {
        nap_ms(10);
        all = true;
        for (unsigned i = 0; i < count; i++)
            all = all && board->beats[i] != before[i];
    }
    assert_true(all);
}

static void
check_still(unsigned count)
{
    unsigned long before[16];

    for (unsigned i = 0; i < count; i++)
        before[i] = board->beats[i];
    nap_ms(20);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(board->beats[i], before[i]);
}

static void
test_threads_stop_and_go_on(void **state)
{
    pid_t child;
    struct tool_error error;
    struct stop stop;

    (void)state;
    needs_ptrace();
    child = start_child(run_threads);
    for (unsigned i = 0; i < 20; i++) {
        check_beating(9);
        if (stop_begin(&stop, child, &error) != 0) {
            end_child(child); /* it would spin beside all other tests */
            fail_msg("%s", error.text);
        }
        assert_true(stop.count >= 9);
        check_still(9);
        stop_end(&stop);
    }
    check_beating(9);
    end_child(child);
}

static pid_t target; /* what a tracer, another child, traces */

static void
stop_target(int ready)
{
    struct tool_error error;
    struct stop stop;

    if (stop_begin(&stop, target, &error) == 0)
        report_ready(ready);
    for (;;)
        pause();
}

static void
test_go_on_when_the_tracer_dies(void **state)
{
    pid_t tracer;

    (void)state;
    needs_ptrace();
    target = start_child(run_threads);
    tracer = start_child(stop_target);
    check_still(9);
    end_child(tracer);
    check_beating(9);
    end_child(target);
}

static void
expect_refusal(pid_t process, const char *reason)
{
    struct capture_options options = {0};
    struct tool_error error;
    struct snapshot snapshot;

    assert_int_equal(capture_process(&snapshot, process, &options, &error), -1);
    if (strstr(error.text, reason) == NULL)
        fail_msg("'%s' does not say '%s'", error.text, reason);
    assert_null(strchr(error.text, '\n'));
}

static void
seize_target(int ready)
{
    if (ptrace(PTRACE_SEIZE, target, NULL, NULL) == 0)
        report_ready(ready);
    for (;;)
        pause();
}

static void
test_traced_already(void **state)
{
    pid_t tracer;

    (void)state;
    needs_ptrace();
    target = start_child(run_threads);
    tracer = start_child(seize_target);
    expect_refusal(target, "traced already");
    check_beating(9);
    end_child(tracer);
    end_child(target);
}

static void
test_refusals(void **state)
{
    char byte;
    int gone[2];
    pid_t zombie;

    (void)state;
    expect_refusal(getpid(), "is this one");
    expect_refusal(4194304 + 7, "no process");
    assert_int_equal(pipe(gone), 0);
    zombie = fork();
    if (zombie == 0)
        _exit(0);
    close(gone[1]);
    assert_int_equal(read(gone[0], &byte, 1), 0); /* it has closed its end */
    nap_ms(20);
    expect_refusal(zombie, "has ended");
    assert_int_equal(waitpid(zombie, NULL, 0), zombie);
    close(gone[0]);
}

static void
test_kernel_thread(void **state)
{
    char name[32] = "";
    FILE *file = fopen("/proc/2/comm", "re");

    (void)state;
    if (file != NULL) {
        if (fgets(name, sizeof(name), file) == NULL)
            name[0] = '\0';
        fclose(file);
    }
    if (strcmp(name, "kthreadd\n") != 0 || geteuid() != 0)
        unit_skip("takes root, and kernel threads among the processes");
    expect_refusal(2, "kernel thread");
}

static void
test_stopped_stays_stopped(void **state)
{
    pid_t child;
    struct capture_options options = {0};
    struct tool_error error;
    struct snapshot snapshot;
    int status;

    (void)state;
    needs_ptrace();
    child = start_child(run_threads);
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_int_equal(capture_process(&snapshot, child, &options, &error), 0);
    snapshot_free(&snapshot);
    check_still(9);
    kill(child, SIGCONT);
    check_beating(9);
    end_child(child);
}

/* Any thread may take it. */
static void
count_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&board->signals, 1, __ATOMIC_RELAXED);
}

static void
run_with_signals(int ready)
{
    struct sigaction action = {.sa_handler = count_signal};

    sigaction(SIGRTMIN, &action, NULL);
    run_threads(ready);
}

/* Sends and stops cross at any moment, so the sender is another process. */
static pid_t
start_sender(pid_t child, int count)
{
    pid_t sender = fork();

    if (sender == 0) {
        struct timespec pause = {0, 20000};

        for (int i = 0; i < count; i++) {
            if (sigqueue(child, SIGRTMIN, (union sigval){0}) != 0)
                _exit(1);
            nanosleep(&pause, NULL);
        }
        _exit(0);
    }
    assert_true(sender > 0);
    return sender;
}

/* A signal that arrives while a thread is being stopped is not lost. */
static void
test_signals_arrive(void **state)
{
    const int count = 4000;
    unsigned stops = 0;
    pid_t child;
    pid_t sender;
    int status;

    (void)state;
    needs_ptrace();
    board->signals = 0;
    child = start_child(run_with_signals);
    sender = start_sender(child, count);
    while (waitpid(sender, &status, WNOHANG) == 0) {
        struct tool_error error;
        struct stop stop;

        if (stop_begin(&stop, child, &error) != 0)
            fail_msg("%s", error.text);
        stop_end(&stop);
        stops++;
    }
    assert_int_equal(status, 0);
    for (unsigned i = 0; i < 300 && board->signals < count; i++)
        nap_ms(10);
    assert_int_equal(board->signals, count);
    print_message("%d signals, %u stops\n", count, stops);
    end_child(child);
}

static void
leader_leaves(int ready)
{
    pthread_t thread;

    board->stop = false;
    pthread_create(&thread, NULL, beat, (void *)(uintptr_t)&board->beats[0]);
    report_ready(ready);
    pthread_exit(NULL);
}

static void
test_first_thread_ended(void **state)
{
    pid_t child;
    struct capture_options options = {0};
    struct tool_error error;
    struct snapshot snapshot;

    (void)state;
    needs_ptrace();
    child = start_child(leader_leaves);
    nap_ms(50);
    if (capture_process(&snapshot, child, &options, &error) != 0)
        fail_msg("%s", error.text);
    assert_true(snapshot.vma_count > 5);
    snapshot_free(&snapshot);
    check_beating(1);
    end_child(child);
}

/* Whenever it ends, capturing answers, one way or the other. */
static void
test_ends_meanwhile(void **state)
{
    unsigned taken = 0;

    (void)state;
    needs_ptrace();
    for (unsigned i = 0; i < 60; i++) {
        struct capture_options options = {.no_stop = i % 2 == 1};
        struct tool_error error;
        struct snapshot snapshot;
        struct timespec pause = {0, 400000};
        pid_t child = fork();

        if (child == 0) {
            struct timespec nap = {0, (long)i * 20000};

            nanosleep(&nap, NULL);
            _exit(0);
        }
        nanosleep(&pause, NULL);
        if (capture_process(&snapshot, child, &options, &error) == 0) {
            taken++;
            snapshot_free(&snapshot);
        } else
            assert_null(strchr(error.text, '\n'));
        end_child(child);
    }
    print_message("%u of 60 were taken before they ended\n", taken);
}

static void
test_without_stopping(void **state)
{
    pid_t child = start_child(run_threads);
    struct capture_options options = {.no_stop = true};
    struct tool_error error;
    struct snapshot snapshot;

    (void)state;
    assert_int_equal(capture_process(&snapshot, child, &options, &error), 0);
    assert_true(snapshot.torn);
    assert_true(snapshot.vma_count > 5);
    snapshot_free(&snapshot);
    check_beating(9);
    end_child(child);
}

/* --- commands ------------------------------------------------------------ */

static void
test_run_command(void **state)
{
    char *const sleeper[] = {
        (char *)"sh", (char *)"-c",
        (char *)"echo noise; echo noise >&2; cat; sleep 60", NULL};
    char output[] = "/tmp/aspen-output-XXXXXX";
    int fd = mkstemp(output);
    struct capture_run run;
    struct tool_error error;
    char bytes[64];

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(
        capture_run_begin(&run, sleeper, output, 100000000, &error), 0);
    /* cat waits for input, once a busy machine has come to start it. */
    for (unsigned i = 0; i < 1000 && lseek(fd, 0, SEEK_END) < 12; i++)
        nap_ms(10);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(kill(run.process, 0), 0);
    pid_t process = run.process;
    capture_run_end(&run);
    /* What it had started is dead too; who inherits it has to bury it. */
    for (unsigned i = 0; i < 200 && kill(-process, 0) == 0; i++)
        nap_ms(10);
    assert_int_equal(kill(-process, 0), -1);
    assert_int_equal(read(fd, bytes, sizeof(bytes)), 12);
    assert_memory_equal(bytes, "noise\nnoise\n", 12);
    close(fd);
    unlink(output);
}

static void
test_commands_that_fail(void **state)
{
    char *const missing[] = {(char *)"/no/such/command", NULL};
    char *const directory[] = {(char *)"/tmp", NULL};
    char *const short_lived[] = {(char *)"sh", (char *)"-c", (char *)"exit 3",
                                 NULL};
    char *const killed[] = {(char *)"sh", (char *)"-c", (char *)"kill -9 $$",
                            NULL};
    struct capture_run run;
    struct tool_error error;

    (void)state;
    assert_int_equal(capture_run_begin(&run, missing, NULL, 0, &error), -1);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(capture_run_begin(&run, directory, NULL, 0, &error), -1);
    assert_non_null(strstr(error.text, "Permission denied"));
    assert_int_equal(
        capture_run_begin(&run, short_lived, NULL, 5000000000, &error), -1);
    assert_non_null(strstr(error.text, "status 3"));
    assert_int_equal(capture_run_begin(&run, killed, NULL, 5000000000, &error),
                     -1);
    assert_non_null(strstr(error.text, "signal 9"));
    assert_int_equal(
        capture_run_begin(&run, killed, "/no/such/place", 0, &error), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

/* A test that is skipped for a host that refuses is not skipped elsewhere. */
static void
test_ptrace_is_not_refused(void **state)
{
    pid_t child = fork();
    (void)state;

    assert_true(child >= 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    bool traced = ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    if (traced && host_refuses(HOST_PTRACE))
        fail_msg("%s", host_refuses(HOST_PTRACE));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_stop_and_go_on),
        cmocka_unit_test(test_go_on_when_the_tracer_dies),
        cmocka_unit_test(test_traced_already),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_kernel_thread),
        cmocka_unit_test(test_stopped_stays_stopped),
        cmocka_unit_test(test_signals_arrive),
        cmocka_unit_test(test_first_thread_ended),
        cmocka_unit_test(test_ends_meanwhile),
        cmocka_unit_test(test_without_stopping),
        cmocka_unit_test(test_run_command),
        cmocka_unit_test(test_commands_that_fail),
        cmocka_unit_test(test_ptrace_is_not_refused),
    };

    return cmocka_run_group_tests(tests, make_board, drop_board);
}
