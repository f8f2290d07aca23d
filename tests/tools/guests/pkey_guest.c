/* SPDX-License-Identifier: MIT */
/*
 * pkey_guest.c - what a program does with protection keys, for
 * tests/tools/pkey.sh: it runs under aspen shadow, and with an argument waits
 * to be captured. With "refused" all it does is to be refused, and to ask for
 * a key, and then for all that there are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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
    return use_keys(count > 1);
}
