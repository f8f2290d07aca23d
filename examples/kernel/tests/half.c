/* SPDX-License-Identifier: MIT */
/*
 * half.c - what is left of calls that fail: of each, its answer, and what can
 *be done with each page then: w to write, r to read, L locked as well, -
 *nothing.
 *
 * With the boot option answers=half it prints what Linux does up to 6.12, and
 * without it what Aspen's calls leave, which is nothing:
 *
 *= mprotect: ENOMEM rr-ww
 *= mremap: EFAULT ww-ww to -----
 *= shrink: EFAULT ww-w- to ----w
 *= nowhere: EFAULT ----- to wwwww
 *= mlock: ENOMEM LL-ww
 *
 *! mprotect: ENOMEM ww-ww
 *! mremap: EFAULT ww-ww to wwwww
 *! shrink: EFAULT ww-ww to wwwww
 *! nowhere: EFAULT ----- to wwwww
 *! mlock: ENOMEM ww-ww
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE  4096ul
#define PAGES 5
#define FROM  ((char *)0x10000000)
#define TO    ((char *)0x20000000)

static sigjmp_buf back;

static void
caught(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static char
look(char *page)
{
    volatile char *at = page;
    volatile char seen = '-';

    if (!sigsetjmp(back, 1)) {
        (void)*at;
        seen = 'r';
        *at = *at;
        seen = 'w';
    }
    /* What is locked cannot be thrown away. */
    if (seen == 'w' && madvise(page, PAGE, MADV_DONTNEED) && errno == EINVAL)
        seen = 'L';
    return seen;
}

static void
show(const char *what, long answer, int with_target)
{
    int error = errno;

    printf("%s: %s ", what, answer == -1 ? strerrorname_np(error) : "0");
    for (int i = 0; i < PAGES; i++)
        putchar(look(FROM + i * PAGE));
    if (with_target)
        printf(" to ");
    for (int i = 0; with_target && i < PAGES; i++)
        putchar(look(TO + i * PAGE));
    putchar('\n');
    fflush(stdout);
}

/* Five pages, of which the third is missing, and five at the target. */
static void
set_up(void)
{
    munmap(FROM, 2 * PAGES * PAGE);
    for (int target = 0; target < 2; target++)
        mmap(target ? TO : FROM, PAGES * PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    munmap(FROM + 2 * PAGE, PAGE);
}

int
main(void)
{
    const int fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
    struct sigaction action = {.sa_handler = caught};

    sigaction(SIGSEGV, &action, NULL);
    set_up();
    show("mprotect", mprotect(FROM, 4 * PAGE, PROT_READ), 0);
    set_up();
    show("mremap", (long)mremap(FROM, 4 * PAGE, 5 * PAGE, fixed, TO), 1);
    set_up();
    show("shrink", (long)mremap(FROM, 5 * PAGE, 4 * PAGE, fixed, TO), 1);
    set_up();
    munmap(FROM, PAGES * PAGE);
    show("nowhere", (long)mremap(FROM, 4 * PAGE, 5 * PAGE, fixed, TO), 1);
    set_up();
    show("mlock", mlock(FROM, 4 * PAGE), 0);
    return 0;
}
