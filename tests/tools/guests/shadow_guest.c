/* SPDX-License-Identifier: MIT */
/*
 * shadow_guest.c - what programs do that is hard to follow, for
 * tests/tools/shadow.sh: `shadow_guest KIND` does it, and exits with 0 when the
 * kernel answered as it should. It runs alone and under aspen shadow.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Older headers lack it. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif

/* ---- Life --------------------------------------------------------------- */

static int
map_and_unmap(void *said)
{
    char *memory = map(2);

    *(volatile int *)said =
        memory == MAP_FAILED ? errno : munmap(memory, 2 * PAGE);
    return 0;
}

/* No tracer gets such a child, as LeakSanitizer makes one. */
static void
untraced(void)
{
    static char stack[65536];
    static volatile int said = -1;
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[3];
    } args = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
    int status;
    long child = clone(map_and_unmap, stack + sizeof(stack),
                       CLONE_VM | CLONE_UNTRACED | SIGCHLD, (void *)&said);

    EXPECT(child > 0 && waitpid((pid_t)child, &status, 0) == child);
    EXPECT(said == 0);
    child = syscall(SYS_clone3, &args, sizeof(args));
    EXPECT(args.flags == CLONE_UNTRACED);
    if (child == 0)
        _exit(map(1) == MAP_FAILED || wrong);
    if (child < 0 && errno == ENOSYS)
        return;
    EXPECT(child > 0 && waitpid((pid_t)child, &status, 0) == child);
    EXPECT(status == 0);
}

/* Killed inside of fork, so that its child is there and nobody says whose it
 * is. Who holds the pipe lives. */
static void
killed_maker(void)
{
    int ends[2];
    char byte;

    EXPECT(pipe(ends) == 0);
    for (unsigned i = 0; i < 60; i++) {
        pid_t maker = fork();
        if (maker == 0) {
            signal(SIGCHLD, SIG_IGN);
            for (;;)
                if (fork() == 0)
                    _exit(0);
        }
        usleep(2000 + 37 * i);
        /* Of processes that end there may be too many for a moment; -1 would
         * be everybody. */
        if (maker < 0)
            continue;
        kill(maker, SIGKILL);
        waitpid(maker, NULL, 0);
    }
    close(ends[1]);
    EXPECT(read(ends[0], &byte, 1) == 0);
}

static void
ignore(int number)
{
    (void)number;
}

/* The tool is in this group, too. */
static void
group(void)
{
    const int numbers[] = {SIGUSR1, SIGTERM, SIGTSTP, SIGHUP, SIGSEGV};

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        signal(numbers[i], ignore);
        EXPECT(kill(0, numbers[i]) == 0);
        EXPECT(munmap(map(1), PAGE) == 0);
    }
}

static void *
work_on(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 30000; i++) { /* who started it ends it */
        usleep(20000);
        EXPECT(munmap(map(1), PAGE) == 0);
        puts("on");
        fflush(stdout);
    }
    _exit(wrong);
}

/* The process goes on without it. */
static void
first_thread(void)
{
    pthread_t thread;

    usleep(500000);
    EXPECT(pthread_create(&thread, NULL, work_on, NULL) == 0);
    syscall(SYS_exit, 0);
}

/* ---- Calls -------------------------------------------------------------- */

/* Each has more than one thing wrong: which is looked at first? */
/* Nobody can write to it: private, whatever was asked for. */
static void
read_zeroes(void)
{
    int zero = open("/dev/zero", O_RDONLY);
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, zero, 0);

    EXPECT(memory != MAP_FAILED && memory[PAGE] == 0);
    EXPECT(mprotect(memory, PAGE, RW) != 0 && errno == EACCES);
    EXPECT(madvise(memory, PAGE, MADV_FREE) == 0);
    EXPECT(munmap(memory, PAGE) == 0);
}

/* What its file system refuses it refuses last, after all limits. */
static void
sync_beyond_limit(int file)
{
    const struct rlimit little = {PAGE, RLIM_INFINITY};
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

    EXPECT(setrlimit(RLIMIT_AS, &little) == 0);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_SYNC, file,
                        0)) == ENOMEM);
    EXPECT(setrlimit(RLIMIT_AS, &all) == 0);
}

static void
files(void)
{
    int ends[2], folder = open("/", O_RDONLY), written, sock;

    EXPECT(pipe(ends) == 0);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[1], 0)) ==
           EACCES);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0)) ==
           ENODEV);
    /* Whether one may be executed, and how far its offsets go, come first. */
    mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, ends[0], 0);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0],
                        (off_t)1 << 62)) == ENODEV);
    mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], INT64_MIN);
    mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], -(off_t)PAGE);
    EXPECT(refused(mmap(NULL, PAGE, RW, MAP_SHARED, folder, 0)) == EACCES);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, folder, 0)) ==
           ENODEV);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN,
                        folder, 0)) == ENODEV);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, 0, folder, 0)) == EINVAL);
    sock = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(refused(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, sock, 0)) ==
           ENODEV);
    /* Not on DAX, nor on a file system that does not look at the flag. */
    written = open(".", O_TMPFILE | O_RDWR, 0600);
    if (written >= 0 && ftruncate(written, PAGE) == 0) {
        mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_SYNC, written, 0);
        mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_SYNC, written, 0);
        sync_beyond_limit(written);
    }
    written = open(".", O_TMPFILE | O_WRONLY, 0600);
    mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, written, 0);
    read_zeroes();
}

static void
sealed(void)
{
    int file = memfd_create("sealed", MFD_ALLOW_SEALING);
    char *read;

    EXPECT(ftruncate(file, PAGE) == 0);
    EXPECT(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    EXPECT(refused(mmap(NULL, PAGE, RW, MAP_SHARED, file, 0)) == EPERM);
    EXPECT(refused(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_GROWSDOWN, file, 0)) ==
           EINVAL);
    read = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    if (read != MAP_FAILED) /* older kernels refuse */
        EXPECT(mprotect(read, PAGE, RW) != 0 && errno == EACCES);
    EXPECT(mmap(NULL, PAGE, RW, MAP_PRIVATE, file, 0) != MAP_FAILED);
    if (read != MAP_FAILED)
        remap_file_pages(read, PAGE, 0, 0, 0);

    /* What is mapped already may be written, but gets no holes. */
    file = memfd_create("sealed later", MFD_ALLOW_SEALING);
    EXPECT(ftruncate(file, PAGE) == 0);
    read = mmap(NULL, PAGE, RW, MAP_SHARED, file, 0);
    EXPECT(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    EXPECT(madvise(read, PAGE, MADV_REMOVE) != 0 && errno == EPERM);
}

/* Mapped as locked, and no call locks it. */
static void
secret(void)
{
    int file = (int)syscall(SYS_memfd_secret, 0);
    char *memory;

    if (file < 0)
        return;
    EXPECT(ftruncate(file, 2 * PAGE) == 0);
    memory = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        return;
    memory[0] = 1;
    mlock(memory, PAGE);
    munlock(memory, PAGE);
    EXPECT(munmap(memory, PAGE) == 0);
}

/* Memory beside the stack that grows as one; calls name where it has grown. */
static char *
map_growing(void)
{
    char *room =
        mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *memory = room + 1000 * PAGE;

    EXPECT(munmap(room, 1024 * PAGE) == 0);
    EXPECT(mmap(memory, 2 * PAGE, RW,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1,
                0) == memory);
    return memory;
}

static void
grows(void)
{
    char *memory = map_growing();

    *(volatile char *)(memory - 9 * PAGE) = 1;
    EXPECT(mprotect(memory - 5 * PAGE, PAGE, PROT_READ) == 0);
    *(volatile char *)(memory - 20 * PAGE) = 1;
    EXPECT(munmap(memory - 19 * PAGE, PAGE) == 0);
    if (fork() == 0) {
        *(volatile char *)(memory - 30 * PAGE) = 1;
        _exit(mlock(memory - 30 * PAGE, PAGE) != 0);
    }
    EXPECT(wait(NULL) > 0);
}

/* The same in a program that is followed when it has run for a while. */
static void
grows_later(void)
{
    char *memory = map_growing();

    for (unsigned page = 1; page < 600; page++) {
        usleep(10000);
        *(volatile char *)(memory - page * PAGE) = 1;
        EXPECT(mprotect(memory - page * PAGE, PAGE, RW) == 0);
    }
}

/* Pages that there are not, until the file has grown again. */
static void
beyond_end(void)
{
    int file = memfd_create("short", 0);
    char *memory;

    EXPECT(ftruncate(file, 4 * PAGE) == 0);
    memory = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, file, 0);
    EXPECT(madvise(memory, 4 * PAGE, MADV_POPULATE_READ) == 0);
    EXPECT(ftruncate(file, 2 * PAGE) == 0);
    EXPECT(madvise(memory, 4 * PAGE, MADV_POPULATE_READ) != 0);
    EXPECT(errno == EFAULT);
    EXPECT(mlock(memory, 2 * PAGE) == 0);
    EXPECT(mlock(memory, 4 * PAGE) != 0 && errno == ENOMEM);
    EXPECT(ftruncate(file, 4 * PAGE) == 0);
    EXPECT(madvise(memory, 4 * PAGE, MADV_POPULATE_READ) == 0);
    EXPECT(mlock(memory, 4 * PAGE) == 0);
}

/* Special mappings have pages, too, and so has nothing high up. */
static void
special(void)
{
    void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
    unsigned char vector[1];

    if (vdso) {
        EXPECT(mlock(vdso, PAGE) == 0);
        EXPECT(madvise(vdso, PAGE, MADV_DONTNEED) == 0);
        EXPECT(madvise(vdso, PAGE, MADV_POPULATE_READ) == 0);
        mremap(vdso, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
               map(1) + (1 << 30));
    }
    EXPECT(syscall(SYS_mincore, 0x10000ul, 0ul, vector) == 0);
    EXPECT(syscall(SYS_mincore, UINT64_MAX - PAGE + 1, 0ul, vector) != 0 &&
           errno == ENOMEM);
}

/* A page of them is all or nothing, whether one is there or not. */
static void
huge_pages(void)
{
    const unsigned long size = 2ul << 20;
    char *memory =
        mmap(NULL, 2 * size, RW,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return;
    EXPECT(munmap(memory, PAGE) != 0 && errno == EINVAL);
    EXPECT(mprotect(memory, PAGE, PROT_READ) != 0 && errno == EINVAL);
    EXPECT(madvise(memory + PAGE, PAGE, MADV_DONTFORK) != 0 && errno == EINVAL);
    EXPECT(madvise(memory, PAGE, MADV_DONTNEED) == 0);
    EXPECT(madvise(memory + PAGE, size, MADV_DONTNEED) != 0);
    EXPECT(munmap(memory, size) == 0);
}

/* Refused by the second mapping, when the first has changed. */
static void
half(void)
{
    char *memory = map(2);
    int file = open("/proc/self/exe", O_RDONLY);

    EXPECT(mmap(memory + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file,
                0) == memory + PAGE);
    EXPECT(mprotect(memory, PAGE, PROT_READ) == 0);
    EXPECT(mprotect(memory, 2 * PAGE, RW) != 0 && errno == EACCES);
}

static int
half_of_it(void *unused)
{
    (void)unused;
    half();
    return 0;
}

/* The space is another's, too, who goes on in it. */
static void
half_shared(void)
{
    static char stack[65536];
    int status;
    pid_t child =
        clone(half_of_it, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    EXPECT(munmap(map(1), PAGE) == 0);
}

static void
limits(void)
{
    const struct rlimit little = {PAGE, RLIM_INFINITY};
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    pid_t self = getpid();
    int status;

    if (fork() == 0)
        _exit(prlimit(self, RLIMIT_AS, &little, NULL) != 0);
    EXPECT(wait(&status) > 0 && status == 0);
    EXPECT(refused(map(1)) == ENOMEM);
    EXPECT(prlimit(0, RLIMIT_AS, &all, NULL) == 0);
    EXPECT(refused(map(1)) == 0);
}

/* Removed, and mapped once: to be mapped again it must go first. */
static void
segment(void)
{
    int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
    void *memory = shmat(id, NULL, 0);

    EXPECT(memory != (void *)-1);
    EXPECT(shmctl(id, IPC_RMID, NULL) == 0);
    EXPECT(remap_file_pages(memory, PAGE, 0, 0, 0) != 0 && errno == EINVAL);
    EXPECT(munmap(memory, PAGE) == 0);

    /* It does not move with others. */
    memory = map(4);
    id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
    EXPECT(shmat(id, (char *)memory + PAGE, SHM_REMAP) != (void *)-1);
    EXPECT(shmctl(id, IPC_RMID, NULL) == 0);
    EXPECT(refused(mremap((char *)memory + PAGE, 2 * PAGE, 2 * PAGE,
                          MREMAP_MAYMOVE | MREMAP_FIXED, map(2))) == EFAULT);
}

static void
no_execution(void)
{
    char *memory = map(1);

    if (prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0)
        return;
    EXPECT(mprotect(memory, PAGE, PROT_READ | PROT_EXEC) != 0 &&
           errno == EACCES);
    EXPECT(refused(mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0)) == EACCES);
    EXPECT(munmap(memory, PAGE) == 0);
}

/* ---- Mappings ----------------------------------------------------------- */

/* So many that they are compared in part. */
static void
many(void)
{
    char *memory = NULL;

    for (unsigned i = 0; i < 2000; i++) {
        memory = mmap(NULL, PAGE, i & 1 ? PROT_READ : PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(memory != MAP_FAILED);
        EXPECT(mprotect(memory, PAGE, i & 1 ? RW : PROT_NONE) == 0);
    }
}

/* No line of maps shows it: there is no neighbour. */
static void
advice(void)
{
    char *memory = mmap((void *)0x20000000, 4 * PAGE, RW,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    EXPECT(madvise(memory, 4 * PAGE, MADV_DONTFORK) == 0);
}

/* Two were touched before they could be one: the kernel has one mapping more
 * than who does not see that. */
static void
map_limit(void)
{
    char *at = (char *)0x10000000, *memory = map(3);
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    unsigned long most = 0;

    if (!file || fscanf(file, "%lu", &most) != 1 || most > 100000)
        return;
    fclose(file);
    EXPECT(mprotect(memory, 3 * PAGE, PROT_NONE) == 0);
    EXPECT(mprotect(memory, PAGE, RW) == 0);
    memory[0] = 1;
    EXPECT(mprotect(memory + 2 * PAGE, PAGE, RW) == 0);
    memory[2 * PAGE] = 1;
    EXPECT(mprotect(memory + PAGE, PAGE, RW) == 0);
    while (mmap(at, PAGE, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                0) != MAP_FAILED)
        at += 4 * PAGE;
    EXPECT(errno == ENOMEM);
}

/* What docs/use/semantics.md lists, and a program can do by one call. */
static void
known(void)
{
    const unsigned long size = 2ul << 20;
    char *memory = map(1);
    char *room = mmap(NULL, 2 * size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *huge = (char *)(((uintptr_t)room + size - 1) & ~(size - 1));

    memset(huge, 1, size);
    madvise(huge, size, MADV_COLLAPSE);
    mmap((void *)-1ul, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
         0);
    mmap((void *)-1ul, PAGE, RW,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    /* AArch64 frees it since 6.12 where the processor has no keys, too. */
    if (syscall(SYS_pkey_free, 0) == 0)
        EXPECT(syscall(SYS_pkey_alloc, 0, 0) == 0 || errno == ENOSPC);
    EXPECT(munmap(memory, PAGE) == 0);
}

/* ---- Which -------------------------------------------------------------- */

static const struct kind kinds[] = {
    {"untraced", untraced},
    {"killed-maker", killed_maker},
    {"group", group},
    {"first-thread", first_thread},
    {"files", files},
    {"sealed", sealed},
    {"secret", secret},
    {"grows", grows},
    {"grows-later", grows_later},
    {"beyond-end", beyond_end},
    {"special", special},
    {"limits", limits},
    {"huge-pages", huge_pages},
    {"half", half},
    {"half-shared", half_shared},
    {"many", many},
    {"advice", advice},
    {"map-limit", map_limit},
    {"segment", segment},
    {"no-execution", no_execution},
    {"known", known},
};

int
main(int argc, char **argv)
{
    return run_kind(argc, argv, kinds, sizeof(kinds) / sizeof(kinds[0]));
}
