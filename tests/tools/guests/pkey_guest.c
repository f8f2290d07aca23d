/* SPDX-License-Identifier: MIT */
/*
 * pkey_guest.c - what a program does with protection keys, for
 * tests/tools/pkey.sh: it runs under aspen shadow, and with an argument waits
 * to be captured. With "refused" all it does is to be refused, and to ask for
 * a key, and then for all that there are. With "moves" keys go through mremap,
 * madvise, mlock, copies, fork and exec.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static char *
map(int protection)
{
    return mmap(NULL, 8 * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* What a thread may not touch is not filled. (mlock that is refused leaves its
 * flags on the kernel's side: docs/use/semantics.md, Deviations.) */
static void
with_rights(char *page, int key, unsigned rights)
{
    pkey_set(key, rights);
    printf("%d", madvise(page, PAGE, 22 /* MADV_POPULATE_READ */));
    printf("%d", madvise(page + PAGE, PAGE, 23 /* MADV_POPULATE_WRITE */));
    printf("%d\n", rights ? 0 : mlock(page, PAGE));
    munlock(page, PAGE);
    pkey_set(key, 0);
}

static void
in_child(void)
{
    int key = pkey_alloc(0, 0);

    printf("child: %d\n", key);
    fflush(stdout);
    _exit(0);
}

/* A file that may only be written is no code; the kernel has taken the key for
 * it by then. */
static int
be_refused(void)
{
    int file = memfd_create("pkey", 0), writable;
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    writable = open(path, O_WRONLY);
    if (mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE, writable, 0) != MAP_FAILED)
        return 1;
    printf("%d\n", pkey_alloc(0, 0));
    while (pkey_alloc(0, 0) > 0)
        ;
    printf("%d\n", pkey_free(2));
    printf("%d\n", pkey_alloc(0, 0));
    return 0;
}

static int
moved(char *from, char *to, int flags)
{
    return mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | flags,
                  to) == to;
}

/* What advice, locks and copies make of a page that may not be read: a copy
 * from outside heeds no thread's rights, but memory for execution alone. */
static void
say_page(char *page)
{
    static const int advice[] = {MADV_DONTNEED, MADV_FREE, MADV_COLD,
                                 MADV_WILLNEED, 22,        23};
    char byte;
    struct iovec here = {&byte, 1}, there = {page, 1};

    for (unsigned i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
        printf("%d ", madvise(page, PAGE, advice[i]));
    printf("%d ", mlock2(page, PAGE, MLOCK_ONFAULT));
    printf("%d ", madvise(page, PAGE, MADV_DONTNEED));
    printf("%d ", munlock(page, PAGE));
    printf("%zd ", process_vm_readv(getpid(), &here, 1, &there, 1, 0));
    printf("%zd\n", process_vm_writev(getpid(), &here, 1, &there, 1, 0));
}

static int
move_keys(char *program)
{
    char *from = map(PROT_READ | PROT_WRITE), *to = map(PROT_NONE);
    int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);

    mprotect(from, PAGE, PROT_EXEC);
    say_page(from);
    pkey_mprotect(from + PAGE, PAGE, PROT_READ | PROT_WRITE, key);
    say_page(from + PAGE);
    printf("%d ", moved(from, to, 0));
    printf("%d ", moved(from + PAGE, to + 2 * PAGE, 0));
    printf("%d ", moved(to, to + 4 * PAGE, MREMAP_DONTUNMAP));
    printf("%d\n", mprotect(to + 2 * PAGE, PAGE, PROT_EXEC));
    fflush(stdout);
    if (!fork()) {
        printf("%d %d ", pkey_free(key), pkey_alloc(0, 0));
        printf("%d\n", mprotect(to + 4 * PAGE, PAGE, PROT_READ));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("%d\n", pkey_alloc(0, 0));
    fflush(stdout);
    execl(program, program, "refused", NULL); /* all keys are free again */
    return 1;
}

static int
use_keys(bool waits)
{
    char *code = map(PROT_EXEC), *data = map(PROT_READ | PROT_WRITE);
    int key = pkey_alloc(0, 0), unused = pkey_alloc(0, 0);

    if (key < 0 || unused < 0)
        return 1;
    pkey_mprotect(data + PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, key);
    mprotect(code + PAGE, PAGE, PROT_READ);
    mprotect(code + PAGE, PAGE, PROT_EXEC);
    mprotect(data, PAGE, PROT_EXEC);
    printf("%d %d %d\n", key, pkey_free(1), pkey_free(9));
    for (unsigned rights = 0; rights < 4; rights++)
        with_rights(data + PAGE, key, rights);
    fflush(stdout);
    if (!fork())
        in_child();
    wait(NULL);
    if (waits) {
        puts("ready");
        fflush(stdout);
        pause();
    }
    pkey_free(key);
    printf("%d %d\n", pkey_free(unused), pkey_alloc(0, 0));
    munmap(code, 8 * PAGE);
    return 0;
}

int
main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "refused") == 0)
        return be_refused();
    if (count > 1 && strcmp(arguments[1], "moves") == 0)
        return move_keys(arguments[0]);
    return use_keys(count > 1);
}
