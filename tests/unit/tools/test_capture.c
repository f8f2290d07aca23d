/* SPDX-License-Identifier: MIT */
/*
 * test_capture.c - live captures: a child sets up mappings that are known
 * page by page, and both ways of reading pages have to find them so.
 *
 * What the host lacks (guard pages, huge pages, a second user) is skipped by
 * name.
 */
#define _GNU_SOURCE
#include "capture_child.h"
#include "snapshot/capture.h"
#include "unit.h"

#include <aspen/flags.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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
    if (!WITH_SHADOW) /* it watches what lies between */
        own_data();
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
        cmocka_unit_test(test_as_nobody),
    };

    return cmocka_run_group_tests(tests, make_board, drop_board);
}
