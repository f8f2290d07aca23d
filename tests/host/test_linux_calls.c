/* SPDX-License-Identifier: MIT */
/*
 * Linux's memory calls, number and six arguments, made both on the host and by
 * tools/aspen/host/linux_calls.c: random ones in a small window, with arguments
 * that are wrong now and then. Answers and mappings have to be the same. After
 * a refusal of a call that Linux may leave half done, both windows are emptied.
 * Skipped where the host is no Linux 6.1 or later.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/linux_calls.h"
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BASE     ((uint64_t)0x551000000000)
#define PAGES    32u
#define CALLS    20000
#define TEXT_MAX 8192

struct sides {
    struct helper helper;
    struct linux_space space;
    struct aspen_object *object;
    int files[3]; /* read-write, read-only, write-only */
    uint64_t random;
    unsigned answered, refused, emptied;
};

static uint64_t
below(struct sides *s, uint64_t bound)
{
    s->random = s->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (s->random >> 33) % bound;
}

static int
find_file(void *context, int descriptor, struct linux_file *file)
{
    struct sides *s = context;

    for (unsigned i = 0; i < 3; i++) {
        if (descriptor != s->files[i])
            continue;
        *file = (struct linux_file){.object = s->object,
                                    .readable = i != 2,
                                    .writable = i != 1,
                                    .executable = true};
        return 0;
    }
    return -EBADF;
}

static int
reopen(int file, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    file = open(path, flags | O_CLOEXEC);
    assert_true(file >= 0);
    return file;
}

static void
sides_create(struct sides *s)
{
    struct host_process process;
    struct aspen_config config;

    host_config(&config);
    config.frames = 0;
    helper_create(&s->helper, &config);
    s->object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);
    s->files[0] = memfd_create("test_linux_calls", MFD_CLOEXEC);
    assert_int_equal(ftruncate(s->files[0], (off_t)(PAGES * PAGE)), 0);
    s->files[1] = reopen(s->files[0], O_RDONLY);
    s->files[2] = reopen(s->files[0], O_WRONLY);
    s->space = (struct linux_space){.mm = helper_mm(&s->helper),
                                    .find_file = find_file,
                                    .context = s,
                                    .unknown_flags = host_unknown_flags(),
                                    .no_pkey_calls = host_lacks_pkey_calls()};
    assert_int_equal(host_process_read(getpid(), &process), 0);
    assert_int_equal(host_process_apply(&process, s->space.mm), 0);
}

static void
sides_destroy(struct sides *s)
{
    aspen_mm_put(s->space.mm);
    aspen_object_put(s->object);
    helper_destroy(&s->helper);
    for (unsigned i = 0; i < 3; i++)
        close(s->files[i]);
}

/* ---- Both make a call -------------------------------------------------- */

static int64_t
ask_host(const struct linux_call *call)
{
    const uint64_t *a = call->arguments;
    long answer =
        syscall((long)call->number, a[0], a[1], a[2], a[3], a[4], a[5]);

    return answer == -1 ? -errno : answer;
}

static int64_t
ask_both(struct sides *s, const struct linux_call *call)
{
    const uint64_t *a = call->arguments;
    int64_t host = ask_host(call), ours = 1;

    assert_true(linux_call_make(&s->space, call, &ours));
    if (host != ours)
        fail_msg("%s(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx): host %ld, aspen %ld",
                 linux_call_name(call->number), a[0], a[1], a[2], a[3], a[4],
                 a[5], host, ours);
    s->answered += host >= 0 || host < -4095;
    s->refused += host < 0 && host >= -4095;
    return host;
}

static void
empty_both(struct sides *s)
{
    struct linux_call unmap = {SYS_munmap, {BASE, PAGES * PAGE}};

    assert_int_equal(ask_both(s, &unmap), 0);
    s->emptied++;
}

/* ---- What is mapped ---------------------------------------------------- */

static void
window(FILE *maps, char *out)
{
    unsigned long long start, end, offset;
    char line[512], access[8];
    size_t at = 0;

    out[0] = '\0';
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%llx-%llx %7s %llx", &start, &end, access, &offset) ==
                4 &&
            start >= BASE && start < BASE + PAGES * PAGE)
            at +=
                (size_t)snprintf(out + at, TEXT_MAX - at, "%llx-%llx %s %llx\n",
                                 start, end, access, offset);
    fclose(maps);
}

static void
assert_same_maps(struct sides *s, const struct linux_call *call)
{
    char host[TEXT_MAX], ours[TEXT_MAX], *text = helper_maps(s->space.mm);
    const uint64_t *a = call->arguments;

    window(fmemopen(text, strlen(text) + 1, "r"), ours); /* never of size 0 */
    window(fopen("/proc/self/maps", "re"), host);
    free(text);
    if (strcmp(host, ours))
        fail_msg("after %s(%#lx, %#lx, %#lx, %#lx, %#lx):\nhost\n%saspen\n%s",
                 linux_call_name(call->number), a[0], a[1], a[2], a[3], a[4],
                 host, ours);
}

/* ---- Random calls ------------------------------------------------------ */

static uint64_t
any_address(struct sides *s)
{
    return BASE + below(s, PAGES) * PAGE + (below(s, 40) ? 0 : 1);
}

/* Stays in the window, but for lengths that no call takes. */
static uint64_t
any_length(struct sides *s, uint64_t address)
{
    uint64_t room = (BASE + PAGES * PAGE - address) / PAGE;

    if (!below(s, 60))
        return below(s, 2) ? UINT64_MAX - below(s, 2 * PAGE) : 0;
    return room ? (1 + below(s, room > 8 ? 8 : room)) * PAGE - below(s, 2) : 1;
}

static void
any_mmap(struct sides *s, struct linux_call *call)
{
    static const int extra[] = {0,
                                0,
                                0,
                                MAP_NORESERVE,
                                MAP_LOCKED,
                                MAP_POPULATE,
                                MAP_GROWSDOWN,
                                MAP_STACK,
                                0x4000000,
                                MAP_SYNC};
    uint64_t *a = call->arguments;
    int flags = below(s, 8) ? MAP_FIXED : MAP_FIXED_NOREPLACE;

    flags |= below(s, 30) ? 1 + (int)below(s, 3) : (below(s, 2) ? 0 : 9);
    flags |= extra[below(s, sizeof(extra) / sizeof(extra[0]))];
    a[2] = below(s, 8);
    a[4] = (uint64_t)s->files[below(s, 3)];
    a[5] = below(s, 8) * PAGE + (below(s, 40) ? 0 : 8);
    if (below(s, 2))
        flags |= MAP_ANONYMOUS;
    else if (!below(s, 30))
        a[4] = UINT64_MAX;
    a[3] = (uint64_t)flags;
}

static void
any_mremap(struct sides *s, struct linux_call *call)
{
    static const unsigned flags[] = {0, 0, 3, 3, 7, 2, 4, 8};
    uint64_t *a = call->arguments;

    a[3] = flags[below(s, 8)];
    a[4] = any_address(s);
    a[2] = any_length(s, a[0] > a[4] ? a[0] : a[4]);
}

static void
any_call(struct sides *s, struct linux_call *call)
{
    static const uint64_t numbers[] = {SYS_mmap,
                                       SYS_mmap,
                                       SYS_mmap,
                                       SYS_munmap,
                                       SYS_mprotect,
                                       SYS_mprotect,
                                       SYS_mremap,
                                       SYS_mremap,
                                       SYS_mlock2,
                                       SYS_munlock,
                                       SYS_madvise,
                                       SYS_msync,
                                       SYS_remap_file_pages,
                                       SYS_mlock,
                                       SYS_mincore,
                                       SYS_pkey_mprotect};
    static const uint64_t prots[] = {
        0, 1, 2, 3, 4, 5, 7, 8, 9, 0x10, PROT_GROWSDOWN | 1};
    static const uint64_t advices[] = {0,  1,  2,  3,  4,  8,  10, 11,
                                       16, 17, 18, 19, 20, 22, 23, 99};

    static unsigned char vector[PAGES + 1];

    *call = (struct linux_call){.number = numbers[below(s, 16)]};
    call->arguments[0] = any_address(s);
    call->arguments[1] = any_length(s, call->arguments[0]);
    switch (call->number) {
    case SYS_mmap:
        any_mmap(s, call);
        break;
    case SYS_mremap:
        any_mremap(s, call);
        break;
    case SYS_pkey_mprotect: /* no key, the one that is there, none that is */
        call->arguments[3] = (uint64_t[]){UINT64_MAX, 0, 99}[below(s, 3)];
        /* fallthrough */
    case SYS_mprotect:
        call->arguments[2] = prots[below(s, 11)];
        break;
    case SYS_madvise:
        call->arguments[2] = advices[below(s, 16)];
        break;
    case SYS_mlock2:
        call->arguments[2] = below(s, 3);
        break;
    case SYS_remap_file_pages:
        call->arguments[2] = below(s, 30) == 0;
        call->arguments[3] = below(s, 40) ? below(s, PAGES) : UINT64_MAX - 2;
        call->arguments[4] = below(s, 2) * MAP_NONBLOCK;
        break;
    case SYS_mincore:
        call->arguments[2] = (uintptr_t)vector;
        break;
    case SYS_msync:
        call->arguments[2] = below(s, 9);
        break;
    default:
        break;
    }
}

static void
test_random_calls(void **state)
{
    struct sides s = {.random = unit_seed("test_linux_calls", 1)};
    enum aspen_semantics semantics;

    (void)state;
    if (!host_semantics(&semantics))
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    sides_create(&s);
    for (unsigned i = 0; i < unit_rounds(CALLS); i++) {
        struct linux_call call;
        int64_t answer;

        any_call(&s, &call);
        answer = ask_both(&s, &call);
        if (answer < 0 && call.number != SYS_munmap)
            empty_both(&s);
        assert_same_maps(&s, &call);
    }
    empty_both(&s);
    helper_assert_valid(&s.helper);
    printf("  %u answers, %u refusals alike\n", s.answered, s.refused);
    sides_destroy(&s);
}

/* ---- What is not modelled ---------------------------------------------- */

static void
test_not_modelled(void **state)
{
    struct sides s = {.random = 1};
    struct linux_call huge = {
        SYS_mmap,
        {0, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, 0, 0}};
    struct linux_call other = {SYS_getpid, {0}};
    int64_t answer = 7;

    (void)state;
    sides_create(&s);
    assert_false(linux_call_make(&s.space, &huge, &answer));
    assert_false(linux_call_make(&s.space, &other, &answer));
    assert_int_equal(answer, 7);
    assert_null(linux_call_name(SYS_getpid));
    assert_string_equal(linux_call_name(SYS_mremap), "mremap");
    sides_destroy(&s);
}

/* On a kernel for a processor that never has keys. */
static void
test_no_pkey_calls(void **state)
{
    struct sides s = {.random = 1};
    static const struct linux_call calls[] = {
        {SYS_pkey_mprotect, {BASE, PAGE, PROT_READ, UINT64_MAX}},
        {SYS_pkey_mprotect, {BASE + 1, PAGE, 0x100, 99}},
        {SYS_pkey_alloc, {1, 0}},
        {SYS_pkey_alloc, {0, 0}},
        {SYS_pkey_free, {0}}};

    (void)state;
    sides_create(&s);
    s.space.no_pkey_calls = true;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int64_t answer = 7;

        assert_true(linux_call_make(&s.space, &calls[i], &answer));
        assert_int_equal(answer, -ENOSYS);
    }
    sides_destroy(&s);
}

/* ---- Protection keys, whatever the host has ---------------------------- */

/* Is it for execution alone? mmap takes prot as a whole; mprotect refuses what
 * it does not know (-1), and the bits that say how to grow are none of it. */
static const struct asks {
    uint64_t prot;
    int mmap, mprotect;
} asks[] = {
    {PROT_EXEC, 1, 1},
    {PROT_EXEC | 8, 0, 0}, /* PROT_SEM */
    {PROT_EXEC | 0x100, 0, -1},
    {PROT_EXEC | UINT64_C(1) << 40, 0, -1},
    {PROT_EXEC | PROT_GROWSDOWN, 0, 1},
    {PROT_EXEC | PROT_READ, 0, 0},
    {PROT_EXEC | PROT_WRITE, 0, 0},
    {PROT_READ, 0, 0},
    {PROT_NONE, 0, 0},
};

/* A machine with keys, and a page that grows down. */
static void
keys_create(struct sides *s)
{
    struct aspen_config config;
    uint64_t address;

    aspen_config_init(&config);
    config.frames = 64;
    config.pkeys = ASPEN_PKEYS_MAX;
    config.execute_only = ASPEN_EXECUTE_ONLY_KEY;
    helper_create(&s->helper, &config);
    s->space = (struct linux_space){.mm = helper_mm(&s->helper)};
    assert_int_equal(
        aspen_mmap(s->space.mm,
                   &(struct aspen_mmap_args){
                       .address = BASE,
                       .length_bytes = PAGE,
                       .vm_flags = ASPEN_VM_READ | ASPEN_VM_GROWSDOWN,
                       .flags = ASPEN_MAP_FIXED,
                   },
                   &address),
        0);
}

static void
keys_destroy(struct sides *s)
{
    aspen_mm_put(s->space.mm);
    helper_destroy(&s->helper);
}

/* -1: it is refused; does the space have a key of its own then? */
static int
takes_own_key(const struct linux_call *call)
{
    struct sides s = {.random = 1};
    struct aspen_pkeys pkeys;
    int64_t answer = 0;

    keys_create(&s);
    assert_true(linux_call_make(&s.space, call, &answer));
    aspen_pkeys_read(s.space.mm, &pkeys);
    keys_destroy(&s);
    return linux_is_error(answer) ? -1 : pkeys.execute_only_key != -1;
}

static void
test_execute_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        const struct asks *ask = &asks[i];
        const struct linux_call call[] = {
            {SYS_mmap,
             {BASE, PAGE, ask->prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
              UINT64_MAX, 0}},
            {SYS_mprotect, {BASE, PAGE, ask->prot}},
            {SYS_pkey_mprotect, {BASE, PAGE, ask->prot, UINT64_MAX}},
            {SYS_pkey_mprotect, {BASE, PAGE, ask->prot, 0}}};
        const int expected[] = {ask->mmap, ask->mprotect, ask->mprotect,
                                ask->mprotect < 0 ? -1 : 0};

        for (unsigned c = 0; c < 4; c++) {
            int takes = takes_own_key(&call[c]);

            if (takes != expected[c] ||
                (takes >= 0 &&
                 linux_call_is_execute_only(&call[c]) != (takes == 1)))
                fail_msg("%s(%#lx), %u: %d, not %d",
                         linux_call_name(call[c].number), ask->prot, c, takes,
                         expected[c]);
        }
    }
}

/* Types are Linux's: what is an int there has no upper half. */
static void
test_pkey_arguments(void **state)
{
    static const struct {
        struct linux_call call;
        int64_t answer;
    } rows[] = {
        {{SYS_pkey_alloc, {0, UINT64_C(1) << 32}}, -EINVAL},
        {{SYS_pkey_alloc, {UINT64_C(1) << 32, 0}}, -EINVAL},
        {{SYS_pkey_alloc, {0, 4}}, -EINVAL},
        {{SYS_pkey_alloc, {0, 3}}, 1},
        {{SYS_pkey_free, {UINT64_C(7) << 32 | 1}}, 0},
        {{SYS_pkey_free, {1}}, -EINVAL},
        {{SYS_pkey_mprotect, {BASE, PAGE, 0, UINT64_C(7) << 32}}, 0},
        {{SYS_pkey_mprotect, {BASE, PAGE, 0, UINT32_MAX}}, 0},
        {{SYS_pkey_mprotect, {BASE, PAGE, 0, UINT32_MAX - 1}}, -EINVAL},
        {{SYS_pkey_mprotect, {BASE, PAGE, 0, 16}}, -EINVAL},
    };
    struct sides s = {.random = 1};

    (void)state;
    keys_create(&s);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t answer = 7;

        assert_true(linux_call_make(&s.space, &rows[i].call, &answer));
        if (answer != rows[i].answer)
            fail_msg("row %zu: %ld, not %ld", i, answer, rows[i].answer);
    }
    keys_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_calls),
        cmocka_unit_test(test_not_modelled),
        cmocka_unit_test(test_no_pkey_calls),
        cmocka_unit_test(test_execute_only),
        cmocka_unit_test(test_pkey_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
