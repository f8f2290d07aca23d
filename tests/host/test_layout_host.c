/* SPDX-License-Identifier: MIT */
/*
 * Parts of the layout, moved by prctl(PR_SET_MM) in a child of this process
 * and in a space with the same layout, with the capability and without:
 * answers are the same, and so is what PR_SET_MM_MAP takes. Where this process
 * lacks the capability, single parts are refused here as there.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/linux_calls.h"
#include "helper.h"
#include "internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTS 17 /* 0, those of PR_SET_MM, and one that is none */
#define CALLS 3000

struct pair {
    struct helper helper;
    struct aspen_mm *mm;
    struct linux_space space;
    uint64_t top; /* where the host's highest mapping ends */
    uint64_t random;
};

static uint64_t
below(struct pair *p, uint64_t bound)
{
    p->random = p->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (p->random >> 33) % bound;
}

static size_t
read_own(void *context, uint64_t address, void *bytes, size_t length)
{
    (void)context;
    memcpy(bytes, (void *)(uintptr_t)address, length);
    return length;
}

/* The last line of maps that is no vsyscall. */
static uint64_t
highest_mapping(void)
{
    unsigned long long start, end, found = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%llx-%llx", &start, &end) == 2 && end >> 48 == 0)
            found = end;
    fclose(maps);
    return found;
}

static void
pair_create(struct pair *p, struct aspen_layout *layout)
{
    struct host_process process;
    struct aspen_config config;

    host_config(&config);
    config.frames = 0;
    helper_create(&p->helper, &config);
    p->mm = helper_mm(&p->helper);
    assert_int_equal(host_process_read(getpid(), &process), 0);
    process.layout.brk = (uint64_t)(uintptr_t)sbrk(0);
    assert_int_equal(host_process_apply(&process, p->mm), 0);
    aspen_layout_read(p->mm, layout);
    p->top = highest_mapping();
    helper_map(p->mm, p->top - PAGE, 1, R);
    p->space = (struct linux_space){.mm = p->mm, .read = read_own};
}

static void
pair_destroy(struct pair *p)
{
    aspen_mm_put(p->mm);
    helper_destroy(&p->helper);
}

static int64_t
ask_host(const uint64_t *a)
{
    return prctl(PR_SET_MM, a[1], a[2], a[3], a[4]) ? -errno : 0;
}

/* What both answer, or they differ and the child says so. */
static int64_t
ask_both(struct pair *p, const uint64_t *a)
{
    struct linux_call call = {SYS_prctl, {PR_SET_MM, a[1], a[2], a[3], a[4]}};
    int64_t host = ask_host(a), ours = 1;

    assert_true(linux_call_make(&p->space, &call, &ours));
    if (host != ours)
        fail_msg("PR_SET_MM(%d, %#lx, %#lx, %#lx): host %ld, aspen %ld",
                 (int)a[1], a[2], a[3], a[4], host, ours);
    return host;
}

static uint64_t
any_address(struct pair *p, const struct aspen_layout *layout)
{
    const uint64_t known[] = {
        layout->code_start,
        layout->code_end,
        layout->data_start,
        layout->data_end,
        layout->brk_start,
        layout->brk,
        layout->arg_start,
        layout->arg_end,
        layout->env_start,
        layout->env_end,
        p->top,
        p->top - 5,
        p->helper.aspen->config.mmap_min_address,
        UINT64_MAX / 2, /* beyond any format */
    };

    return known[below(p, sizeof(known) / sizeof(known[0]))] + below(p, 3) - 1;
}

static bool
is_modelled(int part)
{
    return part != PR_SET_MM_AUXV && part != PR_SET_MM_EXE_FILE &&
           part != PR_SET_MM_MAP && part != PR_SET_MM_MAP_SIZE;
}

static unsigned
random_parts(struct pair *p, const struct aspen_layout *layout)
{
    unsigned moved = 0;

    for (unsigned i = 0; i < CALLS; i++) {
        int part = (int)below(p, PARTS);
        uint64_t a[5] = {0, (uint64_t)part, any_address(p, layout)};

        a[3] = below(p, 50) == 0;
        a[4] = below(p, 50) == 0;
        if (is_modelled(part) || a[4])
            moved += ask_both(p, a) == 0;
    }
    return moved;
}

/* The whole, with one field wrong, and right. */
static void
whole_maps(struct pair *p, const struct aspen_layout *l)
{
    struct prctl_mm_map map = {
        .start_code = l->code_start,
        .end_code = l->code_end,
        .start_data = l->data_start,
        .end_data = l->data_end,
        .start_brk = l->brk_start,
        .brk = l->brk,
        .start_stack = l->stack_start,
        .arg_start = l->arg_start,
        .arg_end = l->arg_end,
        .env_start = l->env_start,
        .env_end = l->env_end,
        .exe_fd = UINT32_MAX,
    };
    uint64_t a[5] = {0, PR_SET_MM_MAP, (uintptr_t)&map, sizeof(map), 0};

    assert_int_equal(ask_both(p, a), 0);
    for (unsigned field = 0; field < 11; field++) {
        uint64_t *at = (uint64_t *)&map + field;
        uint64_t good = *at;
        for (unsigned i = 0; i < 30; i++) {
            *at = i ? any_address(p, l) : 0;
            (void)ask_both(p, a);
        }
        *at = good;
    }
    a[3]--;
    assert_int_equal(ask_both(p, a), -EINVAL);
}

static void
drop_capability(struct pair *p)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    unsigned now = aspen_privileges(p->mm);

    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
    assert_int_equal(
        aspen_privileges_set(p->mm, now & ~ASPEN_PRIVILEGE_SYS_RESOURCE), 0);
}

#ifndef __SANITIZE_THREAD__ /* which takes memory all the time */
static void
limit_data(struct pair *p, const struct aspen_layout *l)
{
    uint64_t bytes = l->brk - l->brk_start + (l->data_end - l->data_start) + 9;
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_DATA, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    assert_int_equal(aspen_limit_set(p->mm, ASPEN_LIMIT_DATA, bytes), 0);
}
#endif

/* Nothing here takes memory of the host once the layout is another. */
static void
compare(void)
{
    struct pair p = {.random = unit_seed("test_layout_host", 1)};
    struct aspen_layout layout;

    pair_create(&p, &layout);
    bool privileged = aspen_privileges(p.mm) & ASPEN_PRIVILEGE_SYS_RESOURCE;
    whole_maps(&p, &layout);
    unsigned moved = random_parts(&p, &layout);
    assert_true(!privileged || moved > CALLS / 50);
    whole_maps(&p, &layout);
#ifndef __SANITIZE_THREAD__
    limit_data(&p, &layout);
    (void)random_parts(&p, &layout);
#endif
    drop_capability(&p);
    assert_int_equal(random_parts(&p, &layout), 0);
    pair_destroy(&p);
}

static void
test_beside_the_host(void **state)
{
    int status = 0;
    (void)state;

    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        compare();
        fflush(NULL);
        _exit(77); /* a failed assertion ends the child otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
