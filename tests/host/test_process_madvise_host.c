/* SPDX-License-Identifier: MIT */
/*
 * process_madvise: every advice, for one's own space and for a child's, with
 * ranges that are good, bad, none, too many: answers are the host's. Skipped
 * where the host refuses it: Linux lets nobody advise another process without
 * CAP_SYS_NICE, with no ranges either.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/refused.h"
#include "helper.h"
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES      8
#define RANGES_MAX 1025

struct sides {
    struct helper helper;
    struct aspen_mm *mm;
    pid_t child;
    int self;
    int other;
    struct iovec ranges[RANGES_MAX];
};

static void
create(struct sides *s, const struct aspen_config *config)
{
    char *base = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(base != MAP_FAILED);
    helper_create(&s->helper, config);
    s->mm = helper_mm(&s->helper);
    helper_map(s->mm, (uintptr_t)base, PAGES, RW);
    fflush(NULL);
    s->child = fork();
    assert_true(s->child >= 0);
    if (s->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
        pause();
        _exit(0);
    }
    s->self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    s->other = (int)syscall(SYS_pidfd_open, s->child, 0);
    for (size_t i = 0; i < RANGES_MAX; i++)
        s->ranges[i] = (struct iovec){base + i % PAGES * PAGE, PAGE};
}

static void
destroy(struct sides *s)
{
    kill(s->child, SIGKILL);
    waitpid(s->child, NULL, 0);
    close(s->self);
    close(s->other);
    munmap(s->ranges[0].iov_base, PAGES * PAGE);
    aspen_mm_put(s->mm);
    helper_destroy(&s->helper);
}

static int64_t
ask_host(struct sides *s, unsigned count, int advice, bool remote)
{
    long answer = syscall(SYS_process_madvise, remote ? s->other : s->self,
                          s->ranges, count, advice, 0);

    return answer == -1 ? -errno : answer;
}

static int64_t
ask_aspen(struct sides *s, unsigned count, int advice, bool remote)
{
    static struct aspen_advise_range ranges[RANGES_MAX];
    uint64_t done = 0;

    for (unsigned i = 0; i < count; i++)
        ranges[i] = (struct aspen_advise_range){
            (uintptr_t)s->ranges[i].iov_base, s->ranges[i].iov_len};
    int error =
        aspen_process_madvise(s->mm, ranges, count, (enum aspen_advice)advice,
                              remote ? ASPEN_ADVISE_REMOTE : 0, &done);
    return error ? error : (int64_t)done;
}

static void
compare(struct sides *s, unsigned count, bool remote)
{
    for (int advice = -1; advice < 110; advice++) {
        /* Those would take frames of the host away for good. */
        if (advice == ASPEN_MADV_HWPOISON || advice == ASPEN_MADV_SOFT_OFFLINE)
            continue;
        int64_t host = ask_host(s, count, advice, remote);
        int64_t ours = ask_aspen(s, count, advice, remote);
        if (host != ours)
            fail_msg("%s, %u ranges, advice %d: host %ld, aspen %ld",
                     remote ? "another's" : "own", count, advice, host, ours);
    }
}

static void
compare_all(bool remote)
{
    static struct sides s;
    struct aspen_config config;
    enum aspen_semantics semantics;

    if (!host_semantics(&semantics))
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    host_config(&config);
    config.frames = 0;
    if (madvise(NULL, 0, MADV_MERGEABLE))
        config.flags |= ASPEN_CONFIG_KSM_ABSENT;
    create(&s, &config);
    compare(&s, 0, remote);
    compare(&s, 2, remote);
    compare(&s, RANGES_MAX, remote);
    s.ranges[2].iov_base = (char *)s.ranges[2].iov_base + 1;
    compare(&s, 4, remote);
    s.ranges[2].iov_base = (char *)s.ranges[2].iov_base - 1;
    s.ranges[0].iov_len = 0;
    compare(&s, 2, remote);
    /* Ranges of nothing are none, wherever they are. */
    s.ranges[1] = (struct iovec){(char *)s.ranges[1].iov_base + 1, 0};
    compare(&s, 1, remote);
    compare(&s, 2, remote);
    s.ranges[1].iov_base = (char *)s.ranges[1].iov_base - 1;
    destroy(&s);
}

/* ---- How long, and where ------------------------------------------------ */

#define LARGE_PAGES ((size_t)1 << 20)
#define MOST        ((uint64_t)0x7ffff000)

static void
compare_one(struct sides *s, unsigned count, const struct iovec *ranges,
            int advice)
{
    memcpy(s->ranges, ranges, count * sizeof(*ranges));
    int64_t host = ask_host(s, count, advice, false);
    int64_t ours = ask_aspen(s, count, advice, false);
    if (host != ours)
        fail_msg("%#lx of %#lx, ..., advice %d: host %ld, aspen %ld",
                 s->ranges[0].iov_len, (uintptr_t)s->ranges[0].iov_base, advice,
                 host, ours);
}

/* No call advises more, and what no program can have is refused first. */
static void
test_lengths(void **state)
{
    static struct sides s;
    struct aspen_config config;
    enum aspen_semantics semantics;

    (void)state;
    if (host_refuses(HOST_PROCESS_MADVISE))
        unit_skip("%s", host_refuses(HOST_PROCESS_MADVISE));
    if (!host_semantics(&semantics))
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    host_config(&config);
    config.frames = 0;
    create(&s, &config);
    char *const first = s.ranges[0].iov_base;
    char *const large =
        mmap(NULL, LARGE_PAGES * PAGE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(large != MAP_FAILED);
    helper_map(s.mm, (uintptr_t)large, LARGE_PAGES, ASPEN_VM_NORESERVE);
    char *const top = (char *)(uintptr_t)s.mm->call_limit;
    const struct iovec ranges[][3] = {
        {{large, PAGE}, {large + 1, 0}, {large, PAGE}},
        {{large, 0}, {large + 1, 0}, {large, PAGE}},
        {{large + 1, 0}, {large, 0}, {large, PAGE}},
        {{large, MOST}, {large, PAGE}},
        {{large, MOST + PAGE}, {large, PAGE}},
        {{large, MOST - PAGE}, {large, 2 * PAGE}},
        {{large, MOST - PAGE}, {large + 1, 2 * PAGE}},
        {{large, UINT64_MAX}, {large, PAGE}},
        {{large, (uint64_t)1 << 63}, {large, PAGE}},
        {{large, PAGE}, {large, INT64_MAX}},
        {{large, INT64_MAX}, {large, PAGE}},
        {{large, PAGE}, {(void *)-(uintptr_t)PAGE, PAGE}},
        {{large, PAGE}, {top, (uint64_t)1 << 63}},
        {{top - PAGE, PAGE}, {large, PAGE}},
        {{top - PAGE, 2 * PAGE}, {large, PAGE}},
        {{top - MOST, MOST + PAGE}, {large, PAGE}},
        {{top, 0}, {large, PAGE}},
        {{top + 1, 0}, {large, PAGE}},
        {{large, PAGE}, {top + 1, 0}},
    };
    /* With page tables of another processor the top is another. */
    const size_t rows = s.mm->call_limit == config.call_limit
                            ? sizeof(ranges) / sizeof(ranges[0])
                            : 12;
    for (size_t i = 0; i < rows; i++)
        for (unsigned count = 1; count <= 3; count++) {
            compare_one(&s, count, ranges[i], MADV_COLD);
            compare_one(&s, count, ranges[i], 999);
        }
    munmap(large, LARGE_PAGES * PAGE);
    s.ranges[0].iov_base = first;
    destroy(&s);
}

static void
test_own(void **state)
{
    (void)state;
    if (host_refuses(HOST_PROCESS_MADVISE))
        unit_skip("%s", host_refuses(HOST_PROCESS_MADVISE));
    compare_all(false);
}

/* Linux asks for CAP_SYS_NICE, Aspen leaves that to the embedder. */
static void
test_anothers(void **state)
{
    (void)state;
    if (host_refuses(HOST_ADVISE_OTHERS))
        unit_skip("%s", host_refuses(HOST_ADVISE_OTHERS));
    compare_all(true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_anothers),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
