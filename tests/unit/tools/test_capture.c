/* SPDX-License-Identifier: MIT */
/*
 * test_capture.c - live captures: a child sets up mappings that are known
 * page by page, and both ways of reading pages have to find them so. And: the
 * child goes on afterwards, whatever happens meanwhile.
 *
 * What the host lacks (guard pages, huge pages, a second user) is skipped by
 * name.
 */
#define _GNU_SOURCE
#include "snapshot/capture.h"
#include "guest/stop.h"
#include "host/refused.h"
#include "unit.h"

#include <aspen/flags.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE         ((size_t)4096)
#define HUGE_PAGE    (512 * PAGE)
#define TEBI         ((size_t)1 << 40)
#define ADVICE_GUARD 102 /* MADV_GUARD_INSTALL, 6.13 on */
#define NOBODY       65534

/* Sanitizers reserve TiB of addresses: pagemap takes seconds for each. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_SHADOW true
#else
#define WITH_SHADOW false
#endif

enum place {
    ANON, /* touched: pages 1, 3, 4 of 8 */
    ZERO, /* read only: pages 0, 1; written: 2 */
    FILE_PRIVATE,
    FILE_SHARED,
    SHARED,
    DONT_FORK,
    WIPE,
    LOCKED,
    GUARD,
    GUARD_ONLY,
    HUGE_ANON, /* 3 huge: anonymous, zero, untouched */
    PLACES
};

/* What child and test both see. */
struct board {
    char *at[PLACES];
    bool has[PLACES];
    volatile unsigned long beats[16];
    volatile int signals;
    volatile bool stop;
};

static struct board *board;

static int
make_board(void **state)
{
    (void)state;
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board != MAP_FAILED ? 0 : -1;
}

static int
drop_board(void **state)
{
    (void)state;
    return munmap(board, sizeof(*board));
}

/* --- children ------------------------------------------------------------ */

/* Runs work() in a child, which reports when it is ready. */
static pid_t
start_child(void (*work)(int ready))
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        work(ready[1]);
        _exit(0);
    }
    assert_true(child > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void
end_child(pid_t child)
{
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void
report_ready(int ready)
{
    if (write(ready, "r", 1) != 1)
        _exit(1);
}

/* A kernel without PAGEMAP_SCAN: it does not know the number. */
static bool without_scan;
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int
__wrap_ioctl(int fd, unsigned long request, void *argument)
{
    if (without_scan) {
        errno = ENOTTY;
        return -1;
    }
    return __real_ioctl(fd, request, argument);
}

/* An area with a gap on both sides, so that it merges with nothing. */
static char *
map_alone(size_t length, int flags, int fd)
{
    char *outer = mmap(NULL, length + 4 * HUGE_PAGE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uintptr_t inner;

    if (outer == MAP_FAILED)
        return outer;
    inner = ((uintptr_t)outer + 2 * HUGE_PAGE) & ~(HUGE_PAGE - 1);
    munmap(outer, length + 4 * HUGE_PAGE);
    return mmap((void *)inner, length, PROT_READ | PROT_WRITE,
                flags | MAP_FIXED_NOREPLACE, fd, 0);
}

static char *
map_private(size_t pages)
{
    char *at = map_alone(pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    if (at == MAP_FAILED)
        _exit(1);
    return at;
}

static void
touch(char *base, unsigned page)
{
    ((volatile char *)base)[page * PAGE] = 1;
}

static void
look(char *base, unsigned page)
{
    (void)((volatile char *)base)[page * PAGE];
}

static int
own_file(size_t pages)
{
    char name[] = "/tmp/aspen-capture-XXXXXX";
    int fd = mkstemp(name);

    if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) != 0)
        _exit(1);
    unlink(name);
    return fd;
}

static void
map_advised(enum place place, int advice)
{
    board->at[place] = map_private(8);
    board->has[place] = madvise(board->at[place], 8 * PAGE, advice) == 0;
    touch(board->at[place], 2);
}

static void
map_guards(void)
{
    board->at[GUARD] = map_private(8);
    touch(board->at[GUARD], 0);
    touch(board->at[GUARD], 7);
    board->has[GUARD] =
        madvise(board->at[GUARD] + 2 * PAGE, 3 * PAGE, ADVICE_GUARD) == 0;
    board->at[GUARD_ONLY] = map_private(8);
    board->has[GUARD_ONLY] =
        madvise(board->at[GUARD_ONLY] + PAGE, 2 * PAGE, ADVICE_GUARD) == 0;
}

static void
map_files(void)
{
    int fd = own_file(8);

    board->at[FILE_PRIVATE] = map_alone(8 * PAGE, MAP_PRIVATE, fd);
    look(board->at[FILE_PRIVATE], 1);
    touch(board->at[FILE_PRIVATE], 5);
    board->at[FILE_SHARED] = map_alone(8 * PAGE, MAP_SHARED, fd);
    touch(board->at[FILE_SHARED], 6);
    board->at[SHARED] = map_alone(8 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1);
    touch(board->at[SHARED], 2);
    touch(board->at[SHARED], 3);
}

static void
map_everything(int ready)
{
    memset(board->has, 1, sizeof(board->has));
    board->at[ANON] = map_private(8);
    touch(board->at[ANON], 1);
    touch(board->at[ANON], 3);
    touch(board->at[ANON], 4);
    board->at[ZERO] = map_private(8);
    look(board->at[ZERO], 0);
    look(board->at[ZERO], 1);
    touch(board->at[ZERO], 2);
    map_files();
    map_advised(DONT_FORK, MADV_DONTFORK);
    map_advised(WIPE, MADV_WIPEONFORK);
    board->at[LOCKED] = map_private(4);
    /* ASan makes mlock() do nothing. */
    board->has[LOCKED] = syscall(SYS_mlock, board->at[LOCKED], 4 * PAGE) == 0;
    map_guards();
    board->at[HUGE_ANON] = map_private(3 * 512);
    board->has[HUGE_ANON] =
        madvise(board->at[HUGE_ANON], 3 * HUGE_PAGE, MADV_HUGEPAGE) == 0;
    touch(board->at[HUGE_ANON], 0);
    look(board->at[HUGE_ANON], 512);
    report_ready(ready);
    for (;;)
        pause();
}

/* --- looking at a capture ------------------------------------------------ */

static const struct snapshot_vma *
vma_at(const struct snapshot *snapshot, const char *address)
{
    uint64_t place = (uintptr_t)address;

    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        if (place >= snapshot->vmas[i].start && place < snapshot->vmas[i].end)
            return &snapshot->vmas[i];
    fail_msg("no mapping at %p", (const void *)address);
    return NULL;
}

/* One letter a page: '.' nothing, a o z s g r x by kind, upper case huge. */
static const char *
picture(const struct snapshot *snapshot, const char *base, unsigned pages)
{
    static const char letters[] = "aozsgrx";
    static char drawn[2048];
    const struct snapshot_vma *vma = vma_at(snapshot, base);
    uint64_t start = (uintptr_t)base;

    memset(drawn, '.', pages);
    drawn[pages] = '\0';
    for (uint32_t i = 0; i < vma->run_count; i++) {
        const struct snapshot_run *run = &snapshot->runs[vma->first_run + i];
        char letter = letters[snapshot_run_kind(run)];
        uint64_t end = snapshot_run_end(run);

        if (snapshot_run_level(run) > 0)
            letter = (char)(letter - 'a' + 'A');
        for (uint64_t at = snapshot_run_address(run); at < end; at += PAGE)
            if (at >= start && at < start + pages * PAGE)
                drawn[(at - start) / PAGE] = letter;
    }
    return drawn;
}

static void
needs_ptrace(void)
{
    if (host_refuses(HOST_PTRACE))
        unit_skip("%s", host_refuses(HOST_PTRACE));
}

static void
take(struct snapshot *snapshot, pid_t child, enum pages_method method)
{
    struct capture_options options = {.method = method};
    struct tool_error error;

    if (method == PAGES_PAGEMAP && WITH_SHADOW) {
        end_child(child);
        unit_skip("pagemap of a sanitizer's 20 TiB");
    }
    if (capture_process(snapshot, child, &options, &error) != 0) {
        end_child(child);
        if (method == PAGES_SCAN && strstr(error.text, "PAGEMAP_SCAN"))
            unit_skip("no PAGEMAP_SCAN here");
        fail_msg("%s", error.text);
    }
}

static void
check_pictures(const struct snapshot *snapshot)
{
    assert_string_equal(picture(snapshot, board->at[ANON], 8), ".a.aa...");
    assert_string_equal(picture(snapshot, board->at[ZERO], 8), "zza.....");
    assert_string_equal(picture(snapshot, board->at[SHARED], 8), "..oo....");
    /* Files are faulted in around. */
    assert_int_equal(picture(snapshot, board->at[FILE_PRIVATE], 8)[1], 'o');
    assert_int_equal(picture(snapshot, board->at[FILE_PRIVATE], 8)[5], 'a');
    assert_int_equal(picture(snapshot, board->at[FILE_SHARED], 8)[6], 'o');
    assert_string_equal(picture(snapshot, board->at[DONT_FORK], 8), "..a.....");
    assert_string_equal(picture(snapshot, board->at[WIPE], 8), "..a.....");
    if (board->has[LOCKED])
        assert_string_equal(picture(snapshot, board->at[LOCKED], 4), "aaaa");
}

static void
check_flags(const struct snapshot *snapshot)
{
    const struct snapshot_vma *private = vma_at(snapshot, board->at[ANON]);
    const struct snapshot_vma *shared = vma_at(snapshot, board->at[SHARED]);
    const struct snapshot_vma *file = vma_at(snapshot, board->at[FILE_PRIVATE]);
    unsigned special = 0;

    assert_true(private->flags & ASPEN_VM_ACCOUNT);
    assert_int_equal(private->object, SNAPSHOT_NO_OBJECT);
    assert_true(shared->flags & ASPEN_VM_SHARED);
    assert_int_equal(snapshot->objects[shared->object].kind,
                     SNAPSHOT_OBJECT_SHMEM);
    assert_int_equal(file->object,
                     vma_at(snapshot, board->at[FILE_SHARED])->object);
    assert_true(vma_at(snapshot, board->at[DONT_FORK])->flags &
                ASPEN_VM_DONTCOPY);
    assert_true(vma_at(snapshot, board->at[WIPE])->flags & ASPEN_VM_WIPEONFORK);
    if (board->has[LOCKED])
        assert_true(vma_at(snapshot, board->at[LOCKED])->flags &
                    ASPEN_VM_LOCKED);
    for (uint64_t i = 0; i < snapshot->vma_count; i++) {
        assert_true(snapshot->vmas[i].end <= SNAPSHOT_ADDRESS_LIMIT);
        special += (snapshot->vmas[i].flags & ASPEN_VM_SPECIAL) != 0;
    }
    assert_true(special >= 1); /* the vdso */
}

static void
capture_everything(enum pages_method method)
{
    pid_t child = start_child(map_everything);
    struct snapshot_totals totals;
    struct snapshot snapshot;

    take(&snapshot, child, method);
    check_pictures(&snapshot);
    check_flags(&snapshot);
    assert_int_equal(snapshot.ambiguous, 0);
    snapshot_sum(&snapshot, &totals);
    assert_true(totals.resident_pages > 0);
    assert_true(snapshot.counters[SNAPSHOT_VM_PTE] != SNAPSHOT_UNKNOWN);
    /* The kernel has at least the tables that the entries need. */
    assert_true(totals.tables[0] + totals.tables[1] + totals.tables[2] <=
                snapshot.counters[SNAPSHOT_VM_PTE] / 4);
    snapshot_free(&snapshot);
    end_child(child);
}

/* 1 TiB of which three pages are there: at both ends and in the middle. */
static void
map_sparse(int ready)
{
    board->at[ANON] =
        map_alone(TEBI, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    board->has[ANON] = board->at[ANON] != MAP_FAILED;
    if (board->has[ANON]) {
        (void)madvise(board->at[ANON], TEBI, MADV_NOHUGEPAGE);
        touch(board->at[ANON], 0);
        touch(board->at[ANON] + TEBI / 2, 0);
        touch(board->at[ANON] + TEBI - PAGE, 0);
    }
    report_ready(ready);
    for (;;)
        pause();
}

/* Capture it without the ioctl; returns how many of the three were found. */
static unsigned
find_sparse(enum pages_method method, uint64_t *unread)
{
    const struct snapshot_vma *vma;
    struct snapshot snapshot;
    unsigned found = 0;
    pid_t child;

    needs_ptrace();
    child = start_child(map_sparse);
    if (!board->has[ANON]) {
        end_child(child);
        unit_skip("no TiB of addresses: RLIMIT_AS, vm.overcommit_memory 2");
    }
    without_scan = true;
    take(&snapshot, child, method);
    vma = vma_at(&snapshot, board->at[ANON]);
    for (uint32_t i = 0; i < vma->run_count; i++)
        found += (unsigned)snapshot.runs[vma->first_run + i].count;
    *unread = snapshot.unread;
    snapshot_free(&snapshot);
    end_child(child);
    return found;
}

static int
with_scan_again(void **state)
{
    (void)state;
    without_scan = false;
    return 0;
}

/* Nobody waits for 20 TiB, and what was left out is said. */
static void
test_sparse_without_scan(void **state)
{
    uint64_t unread;
    unsigned found = find_sparse(PAGES_BEST, &unread);

    (void)state;
    assert_true(unread > TEBI / PAGE / 2);
    if (!WITH_SHADOW) /* which is read first, and uses up the patience */
        assert_int_equal(found, 2);
}

static void
test_sparse_by_pagemap(void **state)
{
    uint64_t unread;

    (void)state;
    assert_int_equal(find_sparse(PAGES_PAGEMAP, &unread), 3);
    assert_true(unread < TEBI / PAGE / 2);
}

static void
test_scan(void **state)
{
    (void)state;
    needs_ptrace();
    capture_everything(PAGES_SCAN);
}

static void
test_pagemap(void **state)
{
    (void)state;
    needs_ptrace();
    capture_everything(PAGES_PAGEMAP);
}

static void
capture_guards(enum pages_method method)
{
    pid_t child = start_child(map_everything);
    struct snapshot snapshot;

    if (!board->has[GUARD]) {
        end_child(child);
        unit_skip("no MADV_GUARD_INSTALL here");
    }
    take(&snapshot, child, method);
    assert_string_equal(picture(&snapshot, board->at[GUARD], 8), "a.ggg..a");
    /* Neither Rss nor Swap: pagemap is not read there, the ioctl costs
     * nothing. */
    if (snapshot.method == SNAPSHOT_BY_SCAN)
        assert_string_equal(picture(&snapshot, board->at[GUARD_ONLY], 8),
                            ".gg.....");
    else {
        assert_string_equal(picture(&snapshot, board->at[GUARD_ONLY], 8),
                            "........");
        assert_true(snapshot.unread >= 8);
    }
    snapshot_free(&snapshot);
    end_child(child);
}

static void
test_guards_by_scan(void **state)
{
    (void)state;
    needs_ptrace();
    capture_guards(PAGES_SCAN);
}

static void
test_guards_by_pagemap(void **state)
{
    (void)state;
    needs_ptrace();
    capture_guards(PAGES_PAGEMAP);
}

static bool
all_are(const char *drawn, char letter)
{
    for (unsigned i = 0; i < 512; i++)
        if (drawn[i] != letter)
            return false;
    return true;
}

static void
capture_huge(enum pages_method method)
{
    pid_t child = start_child(map_everything);
    struct snapshot snapshot;
    const char *drawn;

    take(&snapshot, child, method);
    drawn = picture(&snapshot, board->at[HUGE_ANON], 3 * 512);
    if (!board->has[HUGE_ANON] || drawn[1] == '.') {
        snapshot_free(&snapshot);
        end_child(child);
        unit_skip("no transparent huge pages here");
    }
    assert_true(all_are(drawn, 'A'));
    assert_true(all_are(drawn + 512, 'Z') || drawn[513] == '.');
    assert_true(all_are(drawn + 1024, '.'));
    snapshot_free(&snapshot);
    end_child(child);
}

static void
test_huge_by_scan(void **state)
{
    (void)state;
    needs_ptrace();
    capture_huge(PAGES_SCAN);
}

static void
test_huge_by_pagemap(void **state)
{
    (void)state;
    needs_ptrace();
    capture_huge(PAGES_PAGEMAP);
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
        assert_int_equal(stop_begin(&stop, child, &error), 0);
        assert_true(stop.count >= 9);
        check_still(9);
        stop_end(&stop);
    }
    check_beating(9);
    end_child(child);
}

static void
test_go_on_when_the_tracer_dies(void **state)
{
    pid_t child;
    int ready[2];
    char byte;
    pid_t tracer;

    (void)state;
    needs_ptrace();
    child = start_child(run_threads);
    assert_int_equal(pipe(ready), 0);
    tracer = fork();
    if (tracer == 0) {
        struct tool_error error;
        struct stop stop;

        if (stop_begin(&stop, child, &error) == 0)
            report_ready(ready[1]);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    check_still(9);
    end_child(tracer);
    check_beating(9);
    close(ready[0]);
    close(ready[1]);
    end_child(child);
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
test_traced_already(void **state)
{
    pid_t child;
    int ready[2];
    char byte;
    pid_t tracer;

    (void)state;
    needs_ptrace();
    child = start_child(run_threads);
    assert_int_equal(pipe(ready), 0);
    tracer = fork();
    if (tracer == 0) {
        close(ready[0]);
        if (ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0)
            report_ready(ready[1]);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    expect_refusal(child, "traced already");
    check_beating(9);
    end_child(tracer);
    close(ready[0]);
    close(ready[1]);
    end_child(child);
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

/* --- without privilege --------------------------------------------------- */

/* In a process of user nobody: 0 as it should be, else which check failed. */
static int
as_nobody(pid_t foreign)
{
    struct capture_options options = {0};
    struct tool_error error;
    struct snapshot snapshot;
    char path[32];
    pid_t child;

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return 1;
    prctl(PR_SET_DUMPABLE, 1);
    if (capture_process(&snapshot, foreign, &options, &error) == 0)
        return 2;
    /* hidepid of /proc hides it altogether. */
    snprintf(path, sizeof(path), "/proc/%d", (int)foreign);
    if (strstr(error.text, "no permission") == NULL && access(path, F_OK) == 0)
        return 3;
    child = start_child(map_everything);
    for (unsigned method = PAGES_BEST; method <= PAGES_PAGEMAP; method++) {
        if (WITH_SHADOW && method == PAGES_PAGEMAP)
            continue;
        options.method = (enum pages_method)method;
        if (capture_process(&snapshot, child, &options, &error) != 0) {
            if (method == PAGES_SCAN)
                continue;
            return 4;
        }
        if (strcmp(picture(&snapshot, board->at[ANON], 8), ".a.aa...") != 0 ||
            strcmp(picture(&snapshot, board->at[ZERO], 8), "zza.....") != 0)
            return 5;
        if (board->has[GUARD] &&
            strcmp(picture(&snapshot, board->at[GUARD], 8), "a.ggg..a") != 0)
            return 6;
        if (snapshot.frames_told)
            return 7;
        snapshot_free(&snapshot);
    }
    end_child(child);
    return 0;
}

static void
test_as_nobody(void **state)
{
    pid_t foreign;
    int status;
    pid_t nobody;

    (void)state;
    needs_ptrace();
    foreign = start_child(map_everything);
    if (geteuid() != 0) {
        end_child(foreign);
        unit_skip("a second user takes root");
    }
    nobody = fork();
    if (nobody == 0)
        _exit(as_nobody(foreign));
    assert_int_equal(waitpid(nobody, &status, 0), nobody);
    end_child(foreign);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 1)
        unit_skip("there is no second user here to become");
    assert_int_equal(WEXITSTATUS(status), 0);
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
        cmocka_unit_test_teardown(test_sparse_without_scan, with_scan_again),
        cmocka_unit_test_teardown(test_sparse_by_pagemap, with_scan_again),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_pagemap),
        cmocka_unit_test(test_guards_by_scan),
        cmocka_unit_test(test_guards_by_pagemap),
        cmocka_unit_test(test_huge_by_scan),
        cmocka_unit_test(test_huge_by_pagemap),
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
        cmocka_unit_test(test_as_nobody),
        cmocka_unit_test(test_run_command),
        cmocka_unit_test(test_commands_that_fail),
        cmocka_unit_test(test_ptrace_is_not_refused),
    };

    return cmocka_run_group_tests(tests, make_board, drop_board);
}
