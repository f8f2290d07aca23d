/* SPDX-License-Identifier: MIT */
/*
 * faults.c - accesses that are not allowed: which signal, with which code and
 * address. What is printed is the same on Linux.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE   4096
#define KERNEL ((char *)0xffffffff80100000)
#define DIRECT ((char *)0xffff800000100000)

static sigjmp_buf back;
static volatile siginfo_t seen;
static char alternate[65536];

static void
handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    memcpy((void *)(uintptr_t)&seen, info, sizeof(*info));
    siglongjmp(back, 1);
}

/* With `at` the address is said as a difference. */
#define CASE(name, at, access)                                                 \
    do {                                                                       \
        memset((void *)(uintptr_t)&seen, 0, sizeof(seen));                     \
        if (sigsetjmp(back, 1) == 0) {                                         \
            access;                                                            \
        }                                                                      \
        printf("%s: signal %d code %d at %ld\n", name, seen.si_signo,          \
               seen.si_code,                                                   \
               seen.si_signo ? (long)((char *)seen.si_addr - (char *)(at))     \
                             : 0);                                             \
    } while (0)

static char *
map(int protection)
{
    return mmap(NULL, 2 * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
simple_cases(void)
{
    volatile char *null = NULL;
    char *page = map(PROT_READ), *hidden = map(PROT_NONE);
    char *data = map(PROT_READ | PROT_WRITE), *gone = map(PROT_READ);

    munmap(gone, 2 * PAGE);
    CASE("read null", NULL, (void)*null);
    CASE("write null", NULL, *null = 1);
    CASE("write read-only", page, page[5] = 1);
    CASE("read hidden", hidden, (void)*(volatile char *)(hidden + 7));
    CASE("read what is gone", gone, (void)*(volatile char *)gone);
    data[0] = (char)0xc3; /* RET */
    CASE("execute data", data, ((void (*)(void))(uintptr_t)data)());
    CASE("read the kernel", KERNEL, (void)*(volatile char *)KERNEL);
    CASE("write the kernel", KERNEL, *(volatile char *)KERNEL = 1);
    CASE("write the direct map", DIRECT, *(volatile char *)DIRECT = 1);
    CASE("allowed", data, data[1] = 1);
    mprotect(data, PAGE, PROT_READ);
    CASE("write what was writable", data, data[1] = 1);
}

static void
file_cases(void)
{
    char name[] = "/tmp/faults-XXXXXX";
    int file = mkstemp(name);

    unlink(name);
    if (ftruncate(file, PAGE))
        exit(2);
    char *page =
        mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CASE("in the file", page, page[1] = 1);
    CASE("past the end of the file", page, page[PAGE + 9] = 1);
    if (ftruncate(file, 0))
        exit(2);
    CASE("where the file was", page, page[3] = 1);
}

static void
recurse(volatile char *above)
{
    volatile char here[PAGE];

    here[0] = *above;
    recurse(here);
    here[1] = 1;
}

static void
others(void)
{
    struct rlimit limit = {256 << 10, RLIM_INFINITY};
    volatile int zero = 0;
    volatile char first = 0;

    CASE("divide by zero", seen.si_addr, zero = 7 / zero);
    CASE("no instruction", seen.si_addr, __asm__ volatile("ud2"));
    CASE("a privileged one", NULL, __asm__ volatile("hlt"));
    CASE("not canonical", NULL, (void)*(volatile char *)((uintptr_t)1 << 60));
    setrlimit(RLIMIT_STACK, &limit);
    CASE("stack limit", seen.si_addr, recurse(&first));
}

/* The kernel does not write for a program where that may not. */
static void
by_calls(void)
{
    char *page = map(PROT_READ);
    const char *volatile nothing = NULL;
    int ends[2];

    if (pipe(ends) || write(ends[1], "abc", 3) != 3)
        exit(2);
    printf("read to read-only: %ld\n", (long)read(ends[0], page, 3));
    printf("read to the kernel: %ld\n", (long)read(ends[0], KERNEL, 3));
    printf("write from null: %ld\n", (long)write(ends[1], nothing, 3));
    printf("write from the kernel: %ld\n", (long)write(ends[1], KERNEL, 3));
}

int
main(void)
{
    struct sigaction action = {.sa_sigaction = handler,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    simple_cases();
    file_cases();
    others();
    by_calls();
    return 0;
}
