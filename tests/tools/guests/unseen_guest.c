/* SPDX-License-Identifier: MIT */
/*
 * unseen_guest.c - programs whose memory changes by what aspen shadow does not
 * see, or whose state no line of smaps says, for tests/tools/shadow.sh:
 * `unseen_guest KIND`, as shadow_guest.c.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Taken over ---------------------------------------------------------- */

/* A call that Aspen lacks, after which mappings are taken over. */
static void
take_over(void)
{
    EXPECT(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    EXPECT(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
}

/* What no line of smaps says stays: keys that were freed, guards, where the
 * heap is below its limit, what is locked in future. */
static void
taken_over(void)
{
    const struct rlimit little = {PAGE, RLIM_INFINITY};
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    char *memory = map(4);
    int key = (int)syscall(SYS_pkey_alloc, 0, 0);
    bool guarded = madvise(memory + PAGE, PAGE, 102 /* GUARD_INSTALL */) == 0;

    EXPECT(syscall(SYS_brk, (char *)sbrk(0) + 16 * PAGE) > 0);
    if (key > 0) {
        EXPECT(syscall(SYS_pkey_mprotect, memory, PAGE, RW, key) == 0);
        EXPECT(syscall(SYS_pkey_free, key) == 0);
    }
    take_over();
    EXPECT(key <= 0 || syscall(SYS_pkey_alloc, 0, 0) == key);
    EXPECT((mlock(memory + PAGE, PAGE) != 0 && errno == ENOMEM) == guarded);
    EXPECT(setrlimit(RLIMIT_DATA, &little) == 0);
    take_over();
    EXPECT(setrlimit(RLIMIT_DATA, &all) == 0);
}

/* Refused by what Aspen lacks, and what was there is gone. */
static void
replaced(void)
{
    char *memory = map(3);
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);

    EXPECT(refused(mmap(memory + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
                        sock, 0)) == ENODEV);
    EXPECT(mprotect(memory, PAGE, PROT_READ) == 0);
}

/* The kernel has taken its own key for a call that it refused, and has it yet
 * when another is free. */
static void
own_key(void)
{
    int key = (int)syscall(SYS_pkey_alloc, 0, 0);
    int file = open(".", O_TMPFILE | O_WRONLY, 0600);
    void *refusal;

    if (key <= 0) /* none at all: it has two words for that */
        EXPECT(syscall(SYS_pkey_alloc, 0, 0) == -1);
    if (key <= 0 || file < 0)
        return;
    refusal = mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE, file, 0);
    EXPECT(refused(refusal) == EACCES);
    EXPECT(syscall(SYS_pkey_free, key) == 0);
    EXPECT(mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED);
    EXPECT(syscall(SYS_pkey_alloc, 0, 0) == key);
}

/* Linux looks at the lower half of an int: who says so is refused code. */
static void
upper_half(void)
{
    char *memory = map(1);

    if (syscall(SYS_prctl, 1L << 40 | 65 /* PR_SET_MDWE */, 1, 0, 0, 0) == 0)
        EXPECT(mprotect(memory, PAGE, PROT_READ | PROT_EXEC) != 0);
}

/* ---- Unseen -------------------------------------------------------------- */

/* Memory that nobody is seen to write keeps its charge: two that are apart. */
static void
written_unseen(void)
{
    char *memory =
        mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = open("/proc/self/mem", O_RDWR);

    if (pwrite(file, "x", 1, (off_t)(uintptr_t)memory) != 1)
        return;
    EXPECT(mprotect(memory, PAGE, RW) == 0);
    EXPECT(mprotect(memory, 2 * PAGE, PROT_READ) == 0);
}

/* Two mappings to the kernel, one to who did not see them touched. */
static void
over_joined(void)
{
    char *memory = mmap((void *)0x20000000, 3 * PAGE, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    EXPECT(mprotect(memory, PAGE, RW) == 0);
    memory[0] = 1;
    EXPECT(mprotect(memory + 2 * PAGE, PAGE, RW) == 0);
    memory[2 * PAGE] = 1;
    EXPECT(mprotect(memory + PAGE, PAGE, RW) == 0);
    EXPECT(refused(mremap(memory, 3 * PAGE, 9 * PAGE, MREMAP_MAYMOVE)) ==
           EFAULT);
}

/* A ring of asynchronous I/O cannot be synced, nor a part of it unmapped from
 * some others; what its driver says is its own. */
static void
drivers(void)
{
    unsigned long ring = 0;

    if (syscall(SYS_io_setup, 8, &ring) != 0)
        return;
    EXPECT(msync((void *)ring, PAGE, MS_SYNC) != 0 && errno == EINVAL);
    EXPECT(syscall(SYS_io_destroy, ring) == 0);
}

static void
memory_merge(void)
{
    if (prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0) == 0)
        map(3);
}

static void
implies_execution(void)
{
    if (personality(READ_IMPLIES_EXEC | MMAP_PAGE_ZERO) >= 0)
        map(1);
}

/* Registered until nobody has the descriptor any more. */
static void
userfault(void)
{
    struct {
        uint64_t api, features, ioctls;
    } api = {.api = 0xaa};
    struct {
        uint64_t start, bytes, mode, ioctls;
    } range = {.mode = 1};
    int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    char *memory = map(4);

    range.start = (uintptr_t)memory + PAGE;
    range.bytes = PAGE;
    if (file < 0 || ioctl(file, 0xc018aa3f, &api) != 0 ||
        ioctl(file, 0xc020aa00, &range) != 0)
        return;
    close(file);
    EXPECT(mprotect(memory, PAGE, PROT_READ) == 0);
}

#ifdef __x86_64__
static void
no_such_form(int signal_number)
{
    (void)signal_number;
    _exit(0);
}
#endif

#ifdef __x86_64__
/* int $0x80 */
static long
call_of_other_form(long number, const void *first, long second)
{
    __asm__ volatile("int $0x80"
                     : "+a"(number)
                     : "b"(first), "c"(second), "d"(0L)
                     : "memory", "r8", "r9", "r10", "r11");
    return number;
}
#endif

/* Each call of 32 bits after which the rest is not as it was, by its number on
 * i386: munmap, and then such that answer an error or do nothing. */
static void
other_form(void)
{
#ifdef __x86_64__
    static const long calls[] = {45,  90,  117, 125, 136, 150, 151, 152,
                                 153, 163, 172, 192, 219, 245, 246, 257,
                                 274, 376, 380, 382, 397, 398, 440, 462};
    char *memory = mmap((void *)0x20000000, 2 * PAGE, RW,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    signal(SIGSEGV, no_such_form);
    call_of_other_form(91, memory, PAGE);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        call_of_other_form(calls[i], (void *)-1, 0);
    EXPECT(mprotect(memory + PAGE, PAGE, PROT_READ) == 0);
#endif
}

/* What is in no mapping's access shows by what later calls answer. */
static void
other_form_later(void)
{
#ifdef __x86_64__
    char *memory = mmap((void *)0x20000000, 2 * PAGE, RW,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    signal(SIGSEGV, no_such_form);
    long key = call_of_other_form(381 /* pkey_alloc */, NULL, 0);
    if (key > 0)
        EXPECT(syscall(SYS_pkey_alloc, 0, 0) == key + 1);
    if (call_of_other_form(462 /* mseal */, memory, PAGE) == 0)
        EXPECT(mprotect(memory, PAGE, PROT_READ) != 0 && errno == EPERM);
#endif
}

/* ---- Filters, exec ------------------------------------------------------- */

static bool
filter_call(unsigned number, unsigned answer)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A filter of its own asks for a tracer, and natively there is none. */
static void
own_filter(void)
{
    char *memory = map(1);

    if (!filter_call(SYS_munmap, SECCOMP_RET_TRACE | 7) ||
        !filter_call(SYS_getppid, SECCOMP_RET_TRACE | 7))
        return;
    EXPECT(munmap(memory, PAGE) != 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_getppid) == -1 && errno == ENOSYS);
    memory[0] = 1;
}

/* So much of a program that the old one is gone when exec finds out. */
static void
half_a_program(void)
{
    char bytes[5000];
    int from = open("/proc/self/exe", O_RDONLY);
    int file = memfd_create("half", 0);
    char *const arguments[] = {"half", NULL};
    int status;

    EXPECT(read(from, bytes, sizeof(bytes)) == sizeof(bytes));
    EXPECT(write(file, bytes, sizeof(bytes)) == sizeof(bytes));
    if (fork() == 0) {
        fexecve(file, arguments, arguments + 1);
        _exit(0);
    }
    EXPECT(wait(&status) > 0 && WIFSIGNALED(status));
}

/* ---- Which -------------------------------------------------------------- */

static const struct kind kinds[] = {
    {"taken-over", taken_over},
    {"replaced", replaced},
    {"own-key", own_key},
    {"written-unseen", written_unseen},
    {"over-joined", over_joined},
    {"drivers", drivers},
    {"memory-merge", memory_merge},
    {"implies-execution", implies_execution},
    {"userfault", userfault},
    {"other-form", other_form},
    {"own-filter", own_filter},
    {"half-a-program", half_a_program},
    {"other-form-later", other_form_later},
    {"upper-half", upper_half},
};

int
main(int argc, char **argv)
{
    return run_kind(argc, argv, kinds, sizeof(kinds) / sizeof(kinds[0]));
}
