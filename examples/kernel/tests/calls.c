/* SPDX-License-Identifier: MIT */
/*
 * calls.c - what calls answer where it is easy to answer something else. What
 * is printed is the same on Linux.
 *
 * calls [NAME]...: these cases, or all. It runs in an empty directory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* The call's result, or -errno. */
#define SAY(what, call)                                                        \
    do {                                                                       \
        errno = 0;                                                             \
        long result_ = (long)(call);                                           \
        printf("%s: %ld\n", what, result_ == -1 && errno ? -errno : result_);  \
    } while (0)

static void
nothing(int signal)
{
    (void)signal;
}

/* ---- Files ------------------------------------------------------------- */

/* Who has read something does not wait for more. */
static void
vectors(void)
{
    char bytes[16];
    struct iovec two[2] = {{bytes, 4}, {bytes + 4, 4}};
    int ends[2];

    if (pipe(ends) || write(ends[1], "abcd", 4) != 4)
        exit(2);
    SAY("readv of what there is", readv(ends[0], two, 2));
    if (write(ends[1], "abcdefgh", 8) != 8)
        exit(2);
    SAY("readv of all", readv(ends[0], two, 2));
    SAY("readv of nothing", readv(ends[0], two, 0));
}

/* Two who share a file: each writev is one piece. */
static void
pieces(void)
{
    static char all[20000];
    int file = open("log", O_RDWR | O_CREAT, 0600), wrong = 0;
    pid_t children[2];

    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        char pair[2] = {(char)('a' + i), (char)('A' + i)};
        struct iovec two[2] = {{pair, 1}, {pair + 1, 1}};
        children[i] = fork();
        for (int j = 0; children[i] == 0 && j < 5000; j++)
            if (writev(file, two, 2) != 2)
                _exit(1);
        if (children[i] == 0)
            _exit(0);
    }
    for (int i = 0; i < 2; i++)
        waitpid(children[i], NULL, 0);
    SAY("all", pread(file, all, sizeof(all), 0));
    for (size_t i = 0; i < sizeof(all); i += 2)
        wrong += all[i] - all[i + 1] != 'a' - 'A';
    printf("cut: %d\n", wrong);
}

static void
links(void)
{
    SAY("symlink", symlink("target", "link"));
    SAY("open, exclusive", open("link", O_CREAT | O_EXCL | O_WRONLY, 0600));
    SAY("open, but no link",
        open("link", O_CREAT | O_NOFOLLOW | O_WRONLY, 0600));
    SAY("open", open("link", O_CREAT | O_WRONLY, 0600) > 0);
    SAY("target", access("target", F_OK));
    symlink("no/target", "link2");
    SAY("no directory", open("link2", O_CREAT | O_WRONLY, 0600));
    symlink("link3", "link3");
    SAY("round", open("link3", O_CREAT | O_WRONLY, 0600));
}

static void
named_pipe(void)
{
    mkfifo("fifo", 0600);
    SAY("to nobody", open("fifo", O_WRONLY | O_NONBLOCK));
    SAY("from nobody", open("fifo", O_RDONLY | O_NONBLOCK) > 0);
    SAY("to a reader", open("fifo", O_WRONLY | O_NONBLOCK) > 0);
}

struct directory_entry {
    uint64_t number, next;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

/* What is closed while it is listed does not hide others. */
static void
numbers(void)
{
    char bytes[120];
    int directory = open("/proc/self/fd", O_RDONLY), left = 0;
    long length;

    for (int i = 0; i < 40; i++)
        dup(directory);
    while ((length = syscall(SYS_getdents64, directory, bytes, sizeof(bytes))) >
           0)
        for (long at = 0; at < length;) {
            struct directory_entry *entry = (void *)(bytes + at);
            int number = atoi(entry->name);
            if (number > directory)
                close(number);
            at += entry->bytes;
        }
    for (int i = directory + 1; i < 256; i++)
        left += fcntl(i, F_GETFD) >= 0;
    printf("still open: %d\n", left);
}

/* A mapping is all that is left of a file. */
static void
names(void)
{
    int file = open("a-name", O_RDWR | O_CREAT, 0600), found = 0;
    char line[512];

    if (ftruncate(file, 4096) ||
        mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED)
        exit(2);
    close(file);
    unlink("a-name");
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof(line), "another-%d", i);
        close(open(line, O_RDWR | O_CREAT, 0600));
    }
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof(line), maps))
        found += strstr(line, "/a-name") != NULL;
    printf("has its name: %d\n", found);
}

/* ---- Signals ----------------------------------------------------------- */

static int ends[2];

static void *
write_to_nobody(void *unused)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    SAY("written", write(ends[1], "x", 1));
    return unused;
}

static void
broken_pipe(void)
{
    pthread_t thread;

    if (pipe(ends))
        exit(2);
    close(ends[0]);
    pthread_create(&thread, NULL, write_to_nobody, NULL);
    pthread_join(thread, NULL);
    SAY("of another process",
        syscall(SYS_tgkill, 1, syscall(SYS_gettid), SIGUSR1));
}

static void
masks(void)
{
    sigset_t set, one, none;

    sigemptyset(&none);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    set = one;
    sigprocmask(SIG_BLOCK, &set, &set);
    SAY("before", sigismember(&set, SIGUSR1));
    sigprocmask(SIG_BLOCK, NULL, &set);
    SAY("blocked", sigismember(&set, SIGUSR1));
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN); /* it is forgotten */
    signal(SIGUSR1, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    printf("lives\n");
    /* What nobody handles ends no sleep. */
    sigaddset(&one, SIGCHLD);
    sigprocmask(SIG_BLOCK, &one, NULL);
    raise(SIGCHLD);
    signal(SIGALRM, nothing);
    alarm(1);
    SAY("suspended", sigsuspend(&none));
    SAY("the alarm came", alarm(0));
}

static volatile int counted, misplaced;

static void
count(int signal)
{
    (void)signal;
    counted++;
}

/* A fault's handler comes before that of a signal which came meanwhile. */
static void
faulted(int signal, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    extern char reads[], reads_end[];

    (void)signal, (void)info;
    misplaced += registers[REG_RIP] != (greg_t)reads;
    registers[REG_RIP] = (greg_t)reads_end;
}

static void
faults(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    action.sa_sigaction = faulted;
    sigaction(SIGSEGV, &action, NULL);
    signal(SIGUSR1, count);
    pid_t parent = getpid(), child = fork();
    while (child == 0)
        if (usleep(1000) || kill(parent, SIGUSR1))
            _exit(0);
    while (counted < 30)
        __asm__ volatile(".globl reads, reads_end\n"
                         "reads: movb 0, %%al\n"
                         "reads_end:" ::
                             : "rax");
    kill(child, SIGKILL);
    printf("misplaced: %d\n", misplaced);
}

/* ---- Time -------------------------------------------------------------- */

static void
past(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

    pthread_mutex_lock(&mutex);
    for (time_t time = 0; time < 3; time++)
        SAY("until 1970", pthread_cond_timedwait(&condition, &mutex,
                                                 &(struct timespec){time, 0}));
}

/* ---- Processes --------------------------------------------------------- */

static void
children(void)
{
    int parent = 0;

    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0)
        _exit(3);
    SAY("of those ignored", wait(NULL));
    sigaction(SIGCHLD, &(struct sigaction){.sa_flags = SA_NOCLDWAIT}, NULL);
    if (fork() == 0)
        _exit(3);
    SAY("of those not waited for", wait(NULL));
    signal(SIGCHLD, SIG_DFL);
    if (pipe(ends))
        exit(2);
    pid_t child = fork();
    if (child == 0 && fork() == 0) {
        while (getppid() == getpid() - 1)
            usleep(1000);
        parent = getppid();
        _exit(write(ends[1], &parent, sizeof(parent)) < 0);
    }
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    SAY("an orphan's", read(ends[0], &parent, sizeof(parent)));
    SAY("parent", parent > 0 && parent != child);
}

static void *
end_all(void *turns)
{
    for (volatile long i = 0; i < (long)turns; i++)
        ;
    _exit(15);
}

/* One thread ends at the same time as another ends all. */
static void
statuses(void)
{
    int status, wrong = 0;

    fflush(stdout);
    for (long i = 0; i < 500; i++) {
        pthread_t thread;
        pid_t child = fork();
        if (child == 0) {
            pthread_create(&thread, NULL, end_all, (void *)(i * 13 % 3000));
            syscall(SYS_exit, 7);
        }
        waitpid(child, &status, 0);
        wrong += status != 15 << 8;
    }
    printf("wrong statuses: %d\n", wrong);
}

/* Who is long at it in the kernel lets others run. */
static void
turns(void)
{
    static const char *const names[] = {"/dev/urandom", "/dev/zero"};
    const size_t bytes = 48 << 20;
    volatile int *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (i == 1) /* no fault is left that could let others run */
                memset(memory, 1, bytes);
            done[0]++;
            done[1] += read(open(names[i], O_RDONLY), memory, bytes) > 0;
            _exit(0);
        }
    while (done[0] < 2)
        usleep(100);
    usleep(100);
    SAY("done meanwhile", done[1]);
    while (wait(NULL) > 0)
        ;
}

/* A thread has the number of one that has ended, who waited for a child of
 * vfork: what that child does now is nobody's business. */
static void *
exec_again(void *unused)
{
    usleep(100000);
    execl("/proc/self/exe", "calls", "vfork", NULL);
    return unused;
}

static void
vforks(void)
{
    pthread_t thread;
    char byte;

    if (pipe(ends) || dup2(ends[0], 20) < 0 || dup2(ends[1], 21) < 0)
        exit(2);
    fflush(stdout);
    pthread_create(&thread, NULL, exec_again, NULL);
    if (vfork() == 0) {
        close(ends[1]), close(21);
        _exit(read(20, &byte, 1) < 0);
    }
    exit(1);
}

static void
vfork_again(void)
{
    volatile int done = 0;

    if (vfork() == 0) {
        if (write(21, "x", 1) != 1)
            _exit(1);
        usleep(100000);
        done = 1;
        _exit(0);
    }
    SAY("waited for its own", done);
}

static void
arguments(void)
{
    static char *list[40003] = {"calls", "count"};

    for (int i = 2; i < 40002; i++)
        list[i] = "an argument";
    fflush(stdout);
    SAY("exec", execv("/proc/self/exe", list));
}

/* ---- All --------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*function)(void);
} cases[] = {
    {"turns", turns},           {"links", links},
    {"faults", faults},         {"vforks", vforks},
    {"vectors", vectors},       {"pieces", pieces},
    {"named-pipe", named_pipe}, {"numbers", numbers},
    {"names", names},           {"broken-pipe", broken_pipe},
    {"masks", masks},           {"past", past},
    {"children", children},     {"statuses", statuses},
    {"arguments", arguments},
};

static void
run(unsigned index)
{
    int status;

    printf("-- %s\n", cases[index].name);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        cases[index].function();
        exit(0);
    }
    waitpid(child, &status, 0);
    printf("ends by %x\n", status);
}

int
main(int count, char **names)
{
    if (count > 1 && strcmp(names[1], "count") == 0)
        return printf("arguments: %d\n", count) < 0;
    if (count > 1 && strcmp(names[1], "vfork") == 0) {
        vfork_again();
        return 0;
    }
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (int j = 1; j < count || count == 1; j++)
            if (count == 1 || strcmp(names[j], cases[i].name) == 0) {
                run(i);
                break;
            }
    return 0;
}
