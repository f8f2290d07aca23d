/* SPDX-License-Identifier: MIT */
/*
 * forks.c - three generations of forks with writes between, vfork, posix_spawn,
 * exec from a thread, and memory that is shared.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 64u
#define PAGE  4096u

extern char **environ;

static void
must(int condition, const char *what)
{
    if (condition)
        return;
    printf("%s failed\n", what);
    exit(1);
}

static int
reap(pid_t child)
{
    int status;

    must(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Every page says who wrote it last. */
static unsigned *
word(char *memory, unsigned page)
{
    return (unsigned *)(void *)(memory + page * PAGE + page * 8);
}

static void
fill(char *memory, unsigned step, unsigned value)
{
    for (unsigned page = 0; page < PAGES; page += step)
        *word(memory, page) = value + page;
}

static int
holds(char *memory, unsigned step, unsigned value, unsigned others)
{
    for (unsigned page = 0; page < PAGES; page++)
        if (*word(memory, page) != page + (page % step ? others : value))
            return 0;
    return 1;
}

static int
generation(char *memory, unsigned depth, unsigned before)
{
    unsigned mine = before + 1000;
    pid_t child;

    fill(memory, 2, mine); /* half of the pages are ours now */
    if (depth == 0)
        return !holds(memory, 2, mine, 1000);
    child = fork();
    must(child >= 0, "fork");
    if (child == 0)
        _exit(generation(memory, depth - 1, mine));
    fill(memory, 2, mine + 7); /* what the child must not see */
    if (reap(child))
        return 1;
    return !holds(memory, 2, mine + 7, 1000);
}

static void
generations(void)
{
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    fill(memory, 1, 1000);
    printf("generations: %d\n", generation(memory, 3, 1000));
    munmap(memory, PAGES * PAGE);
}

static void
shared(void)
{
    unsigned *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[4];

    for (unsigned i = 0; i < 4; i++) {
        children[i] = fork();
        must(children[i] >= 0, "fork");
        if (children[i])
            continue;
        for (unsigned j = 0; j < 1000; j++)
            __atomic_fetch_add(memory, 1, __ATOMIC_SEQ_CST);
        _exit(0);
    }
    for (unsigned i = 0; i < 4; i++)
        reap(children[i]);
    printf("shared: %u\n", *memory);
}

static void
by_vfork(void)
{
    static volatile int seen;
    pid_t child = vfork();

    if (child == 0) {
        seen = 7;
        execl("/bin/sh", "sh", "-c", "exit 9", NULL);
        _exit(1);
    }
    printf("vfork: %d, %d\n", reap(child), seen);
}

static void
by_spawn(void)
{
    char *arguments[] = {"sh", "-c", "exit 11", NULL};
    pid_t child;
    int error = posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ);

    printf("spawn: %d, %d\n", error, error ? 0 : reap(child));
    error = posix_spawn(&child, "/not/there", NULL, NULL, arguments, environ);
    printf("spawn of nothing: %d\n", error);
}

static void *
exec_here(void *unused)
{
    execl("/bin/sh", "sh", "-c", "exit 13", NULL);
    return unused;
}

static void *
sleep_here(void *unused)
{
    pause();
    return unused;
}

static void
exec_from_thread(void)
{
    pid_t child = fork();
    pthread_t threads[4];

    if (child == 0) {
        for (unsigned i = 0; i < 3; i++)
            must(!pthread_create(&threads[i], NULL, sleep_here, NULL),
                 "pthread_create");
        must(!pthread_create(&threads[3], NULL, exec_here, NULL),
             "pthread_create");
        pause();
    }
    printf("exec from a thread: %d\n", reap(child));
}

static void *
count(void *counter)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    for (unsigned i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        ++*(unsigned *)counter;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void
threads(void)
{
    pthread_t made[8];
    unsigned counter = 0;

    for (unsigned i = 0; i < 8; i++)
        must(!pthread_create(&made[i], NULL, count, &counter),
             "pthread_create");
    for (unsigned i = 0; i < 8; i++)
        pthread_join(made[i], NULL);
    printf("threads: %u\n", counter);
}

int
main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    generations();
    shared();
    by_vfork();
    by_spawn();
    exec_from_thread();
    threads();
    return 0;
}
