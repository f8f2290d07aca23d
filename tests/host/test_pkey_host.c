/* SPDX-License-Identifier: MIT */
/*
 * Protection keys beside the kernel: random calls, accesses and changes of a
 * thread's rights, made by a child process and in Aspen. After each the
 * answers are the same, and so are mappings, their keys, and the rights.
 *
 * Skipped where the processor has no keys.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "host/host.h"
#include "host/linux_calls.h"
#include "host/refused.h"
#include "space/pkeys.h"
#include "space/vma.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 8
#define SPARE 64 /* a page beyond them, for even_out() */
#define STEPS 400

/* In memory that the child shares with its parent, which must not be lost when
 * an assertion ends the child: so the child asserts nothing. */
struct pair {
    uint64_t base; /* the pages, where the host has nothing else */
    struct helper helper;
    struct aspen_arch_ops arch;
    struct aspen_mm *mm;
    uint32_t rights;
    uint64_t random;
    int pipe[2];
    int memory;      /* /proc/self/mem */
    bool owned;      /* the space's own key is taken on the host's side */
    char last[160];  /* the last call */
    char wrong[512]; /* the first difference; empty: none */
};

static sigjmp_buf after_fault;
static volatile int fault_code;
static volatile bool accesses; /* a fault is an answer, elsewhere it is none */

#if defined(__x86_64__)
static uint32_t
read_rights(void)
{
    uint32_t low, high;

    __asm__ volatile("rdpkru" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void
write_rights(uint32_t rights)
{
    __asm__ volatile("wrpkru" : : "a"(rights), "d"(0), "c"(0) : "memory");
}
#else
static uint32_t
read_rights(void)
{
    return 0;
}

static void
write_rights(uint32_t rights)
{
    (void)rights;
}
#endif

/* The kernel gives a handler the rights that a program starts with. */
static void
on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!accesses) {
        signal(number, SIG_DFL); /* on return it comes again */
        return;
    }
    fault_code = info->si_code;
    siglongjmp(after_fault, 1);
}

/* ---- Both sides -------------------------------------------------------- */

static uint32_t
model_rights(void *context, const struct aspen_mm *mm)
{
    const struct pair *p = context;

    (void)mm;
    return p->rights;
}

static void
model_rights_set(void *context, const struct aspen_mm *mm, uint32_t rights)
{
    struct pair *p = context;

    (void)mm;
    p->rights = rights;
}

static uint64_t
below(struct pair *p, uint64_t bound)
{
    return unit_random(&p->random) % bound;
}

static void __attribute__((format(printf, 2, 3)))
differ(struct pair *p, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (!p->wrong[0])
        vsnprintf(p->wrong, sizeof(p->wrong), format, arguments);
    va_end(arguments);
}

static int64_t
host_call(const struct linux_call *call)
{
    const uint64_t *a = call->arguments;
    long answer =
        syscall((long)call->number, a[0], a[1], a[2], a[3], a[4], a[5]);

    return answer == -1 ? -errno : answer;
}

/* Linux takes the space's own key before it refuses, and denies the thread to
 * read by it; Aspen does neither (docs/use/semantics.md). Make it even. */
static void
even_out(struct pair *p, const struct linux_call *call, int64_t answer)
{
    bool maps = call->number == SYS_mmap || call->number == SYS_mprotect;

    if (!maps || answer >= 0 || call->arguments[2] != PROT_EXEC)
        return;
    struct linux_call map = {SYS_mmap,
                             {p->base + SPARE * PAGE, PAGE, PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                              UINT64_MAX, 0}};
    /* The page stays the host's: a library may map where nothing is. */
    struct linux_call clear = map;
    struct linux_space space = {.mm = p->mm};
    int64_t ignored;

    clear.arguments[2] = PROT_NONE;
    host_call(&map);
    host_call(&clear);
    linux_call_make(&space, &map, &ignored);
    linux_call_make(&space, &clear, &ignored);
    p->rights = read_rights();
}

static void
both_call(struct pair *p, const struct linux_call *call)
{
    struct linux_space space = {.mm = p->mm};
    int64_t host = host_call(call), model = 0;

    snprintf(
        p->last, sizeof(p->last), "%s(%llx, %llx, %llx, %lld)",
        linux_call_name(call->number), (unsigned long long)call->arguments[0],
        (unsigned long long)call->arguments[1],
        (unsigned long long)call->arguments[2], (long long)call->arguments[3]);
    if (!linux_call_make(&space, call, &model) || host != model)
        differ(p, "%s: host %lld, aspen %lld", p->last, (long long)host,
               (long long)model);
    even_out(p, call, host);
}

/* ---- Accesses ---------------------------------------------------------- */

static int
host_access(uint64_t address, unsigned access, uint32_t rights)
{
    volatile char *byte = (volatile char *)(uintptr_t)address;

    accesses = true;
    if (sigsetjmp(after_fault, 1)) {
        accesses = false;
        write_rights(rights);
        return fault_code == SEGV_MAPERR   ? -ASPEN_EFAULT
               : fault_code == SEGV_PKUERR ? -ASPEN_EKEYREJECTED
                                           : -ASPEN_EACCES;
    }
    if (access == ASPEN_ACCESS_WRITE)
        *byte = 1;
    else
        (void)*byte;
    accesses = false;
    return 0;
}

static void
both_access(struct pair *p, uint64_t address, unsigned access)
{
    uint32_t frame;
    int host = host_access(address, access, p->rights);
    int model = helper_access(p->mm, address, access, &frame);

    if (host != model)
        differ(p, "access %u at %llx with rights %x: host %d, aspen %d", access,
               (unsigned long long)address, p->rights, host, model);
}

/* One byte, by the kernel for the program, for a neighbour, for a debugger. */
static int64_t
host_copy(struct pair *p, uint64_t address, bool write_it, unsigned flags)
{
    void *there = (void *)(uintptr_t)address;
    char byte = 0;
    struct iovec local = {&byte, 1}, remote = {there, 1};
    ssize_t done;

    if (flags & ASPEN_MEMORY_FORCE)
        done = write_it ? pwrite(p->memory, &byte, 1, (off_t)address)
                        : pread(p->memory, &byte, 1, (off_t)address);
    else if (write_it)
        done = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    else
        done = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    return done == 1;
}

static void
both_copy(struct pair *p, uint64_t address, bool write_it, unsigned flags)
{
    uint64_t done = 0;
    char byte = 0;

    if (!(flags & ASPEN_MEMORY_FORCE) && host_refuses(HOST_PROCESS_VM))
        return;
    int64_t host = host_copy(p, address, write_it, flags);
    int error = write_it
                    ? aspen_write_memory(p->mm, address, &byte, 1, flags, &done)
                    : aspen_read_memory(p->mm, address, &byte, 1, flags, &done);

    if ((error == 0) != host)
        differ(p, "copy at %llx, write %d, flags %u: host %lld, aspen %d",
               (unsigned long long)address, write_it, flags, (long long)host,
               error);
}

/* ---- Steps ------------------------------------------------------------- */

static void
any_call(struct pair *p)
{
    static const uint64_t numbers[] = {
        SYS_mmap,          SYS_mprotect,   SYS_mprotect,
        SYS_pkey_mprotect, SYS_pkey_alloc, SYS_pkey_free,
        SYS_madvise,       SYS_mlock2,     SYS_munlock};
    static const uint64_t prots[] = {PROT_EXEC,
                                     PROT_EXEC,
                                     PROT_READ,
                                     0,
                                     PROT_READ | PROT_WRITE,
                                     PROT_READ | PROT_EXEC,
                                     PROT_WRITE | PROT_EXEC,
                                     PROT_EXEC | 8,
                                     PROT_WRITE};
    struct linux_call call = {.number = numbers[below(p, 9)]};
    uint64_t *a = call.arguments;

    a[0] = p->base + below(p, PAGES) * PAGE;
    a[1] = (1 + below(p, PAGES - (a[0] - p->base) / PAGE)) * PAGE;
    a[2] = prots[below(p, sizeof(prots) / sizeof(prots[0]))];
    switch (call.number) {
    case SYS_mmap:
        a[3] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
               (below(p, 4) ? 0 : MAP_POPULATE);
        a[4] = UINT64_MAX;
        if (!below(p, 8))
            a[0] = UINT64_C(1) << 60; /* refused, once it has a key */
        break;
    case SYS_pkey_mprotect:
        a[3] = below(p, 6) - 1;
        break;
    case SYS_pkey_alloc:
        a[0] = !below(p, 20);
        a[1] = below(p, 5);
        break;
    case SYS_pkey_free:
        a[0] = 1 + below(p, 6);
        break;
    case SYS_madvise:
        a[2] = 22 + below(p, 2);
        break;
    case SYS_mlock2:
        a[2] = 1; /* what comes first: docs/use/semantics.md, Deviations */
        break;
    default:
        break;
    }
    both_call(p, &call);
}

static void
any_step(struct pair *p)
{
    uint64_t address = p->base + below(p, PAGES) * PAGE;

    switch (below(p, 8)) {
    case 0:
        p->rights = (uint32_t)unit_random(&p->random) & ~UINT32_C(3);
        write_rights(p->rights);
        break;
    case 1:
    case 2:
        both_access(p, address, 1 + (unsigned)below(p, 2));
        break;
    case 3:
        both_copy(p, address, below(p, 2),
                  below(p, 2) ? ASPEN_MEMORY_FORCE : ASPEN_MEMORY_REMOTE);
        break;
    default:
        any_call(p);
        break;
    }
}

/* ---- What is there ----------------------------------------------------- */

/* "page access key" of each page from p->base on: -1 where none is. */
static void
host_keys(const struct pair *p, int keys[PAGES])
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    unsigned long long start = 0, end = 0;
    char line[512];
    int key;

    for (unsigned i = 0; i < PAGES; i++)
        keys[i] = -1;
    while (smaps && fgets(line, sizeof(line), smaps)) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
            if (from >= p->base + PAGES * PAGE)
                break; /* smaps is slow: no more of it than is asked for */
            start = from;
            end = to;
            continue;
        }
        if (sscanf(line, "ProtectionKey: %d", &key) != 1)
            continue;
        for (unsigned i = 0; i < PAGES; i++)
            if (start <= p->base + i * PAGE && p->base + i * PAGE < end)
                keys[i] = key;
    }
    if (smaps)
        fclose(smaps);
}

static void
compare(struct pair *p)
{
    int keys[PAGES];

    host_keys(p, keys);
    for (unsigned i = 0; i < PAGES; i++) {
        const struct aspen_vma *vma = aspen_vma_at(p->mm, p->base + i * PAGE);
        int key = vma ? (int)aspen_pkey_of(vma->flags) : -1;
        if (key != keys[i])
            differ(p, "page %u: host key %d, aspen key %d", i, keys[i], key);
    }
    if (read_rights() != p->rights)
        differ(p, "rights: host %x, aspen %x", read_rights(), p->rights);
}

/* ---- The whole --------------------------------------------------------- */

static void
map_all(struct pair *p)
{
    const struct linux_call map = {
        SYS_mmap,
        {p->base, PAGES * PAGE, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, UINT64_MAX, 0}};

    both_call(p, &map);
}

static void
run_child(struct pair *p)
{
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &action, NULL);
    p->memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    p->rights = read_rights();
    map_all(p); /* over a hole mprotect is not the same: Deviations */
    for (unsigned i = 0; i < STEPS && !p->wrong[0]; i++) {
        any_step(p);
        compare(p);
        if (p->wrong[0]) {
            size_t length = strlen(p->wrong);
            snprintf(p->wrong + length, sizeof(p->wrong) - length,
                     " (step %u, after %s, rights %x)", i, p->last, p->rights);
        }
    }
}

static void
run_seed(uint64_t seed, bool fresh)
{
    struct pair *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct aspen_config config;
    int status;

    assert_true(p != MAP_FAILED);
    void *base = mmap(NULL, (SPARE + 1) * PAGE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    p->base = (uintptr_t)base;
    p->random = seed;
    p->arch.rights = model_rights;
    p->arch.rights_set = model_rights_set;
    host_config(&config);
    config.frames = 4096;
    config.hooks.arch = &p->arch;
    config.hooks.context = p;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        helper_create(&p->helper, &config);
        p->mm = helper_mm(&p->helper);
        if (!fresh) /* the space's own key first: then nothing is uneven */
            even_out(p, &(struct linux_call){SYS_mmap, {0, 0, PROT_EXEC}}, -1);
        run_child(p);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (p->wrong[0] || status)
        fail_msg("seed %llu: %s (status %x)", (unsigned long long)seed,
                 p->wrong, (unsigned)status);
    munmap(base, (SPARE + 1) * PAGE);
    munmap(p, sizeof(*p));
}

static bool
has_keys(void)
{
    struct aspen_config config;

    host_config(&config);
    return config.pkeys > 1;
}

static void
test_random(void **state)
{
    uint64_t seed = unit_seed("test_pkey_host", 1);

    (void)state;
    if (!has_keys())
        unit_skip("the processor has no protection keys");
    if (host_refuses(HOST_PROCESS_VM))
        unit_skip_part("copies: %s", host_refuses(HOST_PROCESS_VM));
    for (unsigned i = 0; i < unit_rounds(40); i++)
        run_seed(seed + i, i % 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
