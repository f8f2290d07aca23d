/* SPDX-License-Identifier: MIT */
/*
 * storm.c ROUNDS [SECONDS]: processes and threads that map, unmap, protect,
 * fork and fault at random, beside threads that look at the same memory from
 * other CPUs: what has gone must not be seen there, nor what was protected
 * written.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 8u
#define THREADS   4u
#define PAGES     16u
#define PAGE      4096u

#define LENGTH(list) (sizeof(list) / sizeof((list)[0]))

/* Shared by all processes: what has gone wrong. */
static struct {
    unsigned stale;   /* old contents were seen after they had gone */
    unsigned written; /* a page was written that nobody could write */
    unsigned lost;    /* a pattern was not what had been put there */
    unsigned refused; /* calls that failed: memory may be short */
} * found;

/* Two threads take turns: the one changes, the other looks. */
struct pair {
    volatile unsigned *page;
    unsigned turn;
    unsigned rounds;
    unsigned seed;
};

static __thread sigjmp_buf *volatile back;
static int alone;
static pthread_barrier_t all; /* nobody else maps anything from here on */

static unsigned
next(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

static void
count(unsigned *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

static void
handler(int signal)
{
    if (!back)
        _exit(100 + signal);
    siglongjmp(*back, 1);
}

/* Whoever is alone with its partner does not leave its CPU, whose TLB would
 * forget everything. */
static void
wait_for(unsigned *turn, unsigned value)
{
    for (unsigned i = 1; __atomic_load_n(turn, __ATOMIC_SEQ_CST) != value; i++)
        if (i % (alone ? 1u << 24 : 1000) == 0)
            usleep(0);
}

/* ---- Pairs ------------------------------------------------------------- */

/* 1: written, 0: it faulted. */
static int
can_write(volatile unsigned *page)
{
    sigjmp_buf here;
    int done = 0;

    if (sigsetjmp(here, 1) == 0) {
        back = &here;
        page[1] = 1;
        done = 1;
    }
    back = NULL;
    return done;
}

/* Turns 4n + 1: it has written; + 3: it has looked again. */
static void *
looker(void *argument)
{
    struct pair *pair = argument;

    pthread_barrier_wait(&all);
    for (unsigned i = 0; i < pair->rounds; i++) {
        wait_for(&pair->turn, 4 * i);
        pair->page[0] = i + 1; /* the translation is cached now */
        __atomic_store_n(&pair->turn, 4 * i + 1, __ATOMIC_SEQ_CST);
        wait_for(&pair->turn, 4 * i + 2);
        if (i % 3 == 1) {
            if (can_write(pair->page))
                count(&found->written);
        } else if (pair->page[0] != (i % 3 == 2 ? i + 1 : 0)) {
            count(&found->stale);
        }
        if (i % 3 == 2) /* the child must not see this */
            pair->page[0] = i + 1000000;
        __atomic_store_n(&pair->turn, 4 * i + 3, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* Its child looks at the page when the other thread has written to it. */
static void
fork_meanwhile(struct pair *pair, unsigned i)
{
    int go[2], status;
    char byte = 0;

    if (pipe(go))
        exit(2);
    pid_t child = fork();
    if (child == 0) {
        if (read(go[0], &byte, 1) != 1)
            _exit(2);
        _exit(pair->page[0] == i + 1 ? 0 : 1);
    }
    __atomic_store_n(&pair->turn, 4 * i + 2, __ATOMIC_SEQ_CST);
    wait_for(&pair->turn, 4 * i + 3);
    if (child < 0) {
        count(&found->refused);
    } else {
        if (write(go[1], &byte, 1) != 1)
            exit(2);
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
            count(&found->stale);
    }
    close(go[0]);
    close(go[1]);
}

static void
change(struct pair *pair, unsigned i)
{
    void *page = (void *)(uintptr_t)pair->page;

    if (i % 3 == 0)
        madvise(page, PAGE, MADV_DONTNEED);
    else
        mprotect(page, PAGE, PROT_READ);
    __atomic_store_n(&pair->turn, 4 * i + 2, __ATOMIC_SEQ_CST);
    wait_for(&pair->turn, 4 * i + 3);
    if (i % 3 == 1)
        mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static void *
changer(void *argument)
{
    struct pair *pair = argument;

    pthread_barrier_wait(&all);
    for (unsigned i = 0; i < pair->rounds; i++) {
        wait_for(&pair->turn, 4 * i + 1);
        if (i % 3 == 2)
            fork_meanwhile(pair, i);
        else
            change(pair, i);
        __atomic_store_n(&pair->turn, 4 * i + 4, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* ---- At random --------------------------------------------------------- */

static char *
map(char *at)
{
    char *area =
        mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
    return area == MAP_FAILED ? NULL : area;
}

/* Each page holds the number that was put there, or nothing. */
static void
check(const char *area, const unsigned *value)
{
    for (unsigned page = 0; page < PAGES; page++)
        if (*(const volatile unsigned *)(const void *)(area + page * PAGE) !=
            value[page])
            count(&found->lost);
}

static void
write_page(char *area, unsigned *value, unsigned page, unsigned number)
{
    *(volatile unsigned *)(void *)(area + page * PAGE) = number;
    value[page] = number;
}

static void
fork_and_check(const char *area, const unsigned *value)
{
    pid_t child = fork();

    if (child < 0) {
        count(&found->refused);
        return;
    }
    if (child == 0) {
        check(area, value);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void
random_step(char *area, unsigned *value, unsigned *seed)
{
    unsigned page = next(seed) % PAGES, what = next(seed) % 16;
    char *at = area + page * PAGE;

    if (what < 8) {
        write_page(area, value, page, next(seed));
    } else if (what < 11) {
        if (madvise(at, PAGE, MADV_DONTNEED) == 0)
            value[page] = 0;
    } else if (what < 13) {
        if (mprotect(at, PAGE, PROT_READ) == 0)
            while (mprotect(at, PAGE, PROT_READ | PROT_WRITE))
                count(&found->refused);
    } else if (what < 15) {
        munmap(area, PAGES * PAGE);
        if (map(area))
            memset(value, 0, PAGES * sizeof(*value));
    } else {
        fork_and_check(area, value);
    }
    check(area, value);
}

static void *
wanderer(void *argument)
{
    struct pair *pair = argument;
    unsigned value[PAGES] = {0};
    char *area = map(NULL);

    pthread_barrier_wait(&all);
    for (unsigned i = 0; area && i < pair->rounds; i++)
        random_step(area, value, &pair->seed);
    return NULL;
}

/* ---- Everything -------------------------------------------------------- */

static void
start(pthread_t *thread, void *(*function)(void *), void *argument)
{
    if (pthread_create(thread, NULL, function, argument))
        exit(2);
}

/* One pair, which has two CPUs for itself. */
static void
lonely_pair(unsigned rounds)
{
    struct pair pair = {(volatile unsigned *)(void *)map(NULL), 0, rounds, 0};
    pthread_t threads[2];

    alone = 1;
    pthread_barrier_init(&all, NULL, 2);
    start(&threads[0], looker, &pair);
    start(&threads[1], changer, &pair);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    exit(0);
}

static void
process(unsigned rounds, unsigned seed)
{
    struct pair pairs[2 + THREADS] = {{0}};
    pthread_t threads[4 + THREADS];

    pthread_barrier_init(&all, NULL, LENGTH(threads));
    for (unsigned i = 0; i < 2 + THREADS; i++) {
        pairs[i].rounds = rounds;
        pairs[i].seed = seed * 100 + i;
        pairs[i].page = (volatile unsigned *)(void *)map(NULL);
        if (!pairs[i].page)
            exit(2);
    }
    for (unsigned i = 0; i < 2; i++) {
        start(&threads[2 * i], looker, &pairs[i]);
        start(&threads[2 * i + 1], changer, &pairs[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        start(&threads[4 + i], wanderer, &pairs[2 + i]);
    for (unsigned i = 0; i < 4 + THREADS; i++)
        pthread_join(threads[i], NULL);
    exit(0);
}

static int
report(unsigned bad)
{
    printf("stale %u, written %u, lost %u, ended badly %u\n", found->stale,
           found->written, found->lost, bad);
    return found->stale || found->written || found->lost || bad;
}

/* Where memory cannot be trusted nobody knows what a program waits for. */
static void
out_of_time(int signal)
{
    (void)signal;
    report(0);
    fflush(stdout);
    _exit(3);
}

int
main(int count_of, char **arguments)
{
    unsigned rounds = count_of > 1 ? (unsigned)atoi(arguments[1]) : 30;
    unsigned bad = 0;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NODEFER};

    found = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    signal(SIGALRM, out_of_time);
    alarm(count_of > 2 ? (unsigned)atoi(arguments[2]) : 0);
    if (fork() == 0)
        lonely_pair(rounds * 3);
    for (int status; wait(&status) > 0;)
        bad += status != 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            process(rounds, i);
    for (int status; wait(&status) > 0;)
        bad += status != 0;
    return report(bad);
}
