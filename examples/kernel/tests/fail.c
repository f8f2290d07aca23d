/* SPDX-License-Identifier: MIT */
/*
 * fail.c - each step of a call fails once, by /proc/aspen/fail: the call
 * answers with an error, the kernel goes on, and what is in use is what it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE      4096u
#define STEPS_MAX 3000u

static char *area;    /* some memory for fork to copy */
static unsigned step; /* the one that fails */
static long heap_end;
static int file;

/* ---- /proc/aspen ------------------------------------------------------- */

static void
plan(const char *mode, unsigned number)
{
    char line[32];
    int file = open("/proc/aspen/fail", O_WRONLY);
    int length = snprintf(line, sizeof(line), "%s %u", mode, number);

    if (file < 0 || write(file, line, (size_t)length) != length) {
        printf("no failpoints: errno %d\n", errno);
        exit(2);
    }
    close(file);
}

static void
read_file(const char *name, char *text, size_t bytes)
{
    int file = open(name, O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, bytes - 1);

    if (length < 0) {
        printf("%s: errno %d\n", name, errno);
        exit(2);
    }
    text[length] = 0;
    close(file);
}

static unsigned long
value_in(const char *name, const char *field)
{
    char text[4096];

    read_file(name, text, sizeof(text));
    const char *at = strstr(text, field);
    return at ? strtoul(at + strlen(field), NULL, 10) : 0;
}

static int
failed(void)
{
    return value_in("/proc/aspen/fail", "failed ") != 0;
}

/* What is in use, where caches do not count. */
struct usage {
    unsigned long frames, mms, vmas, anon_vmas, objects, committed, kernel;
};

static struct usage
usage(void)
{
    static const char name[] = "/proc/aspen/counters";

    return (struct usage){
        .frames = value_in(name, "frames_free ") +
                  value_in(name, "frames_table ") +
                  value_in(name, "frames_kernel ") +
                  value_in(name, "frames_metadata "),
        .mms = value_in(name, "mms "),
        .vmas = value_in(name, "\nvmas "),
        .anon_vmas = value_in(name, "anon_vmas "),
        .objects = value_in(name, "objects "),
        .committed = value_in(name, "committed_pages "),
        .kernel = value_in(name, "kernel_bytes "),
    };
}

/* The shell that began us may be in the midst of a fault: a page that it reads
 * is of no use yet. What is wrong stays wrong. */
static int
is_valid(void)
{
    char text[4096];

    for (int i = 0; i < 50; i++) {
        read_file("/proc/aspen/validate", text, sizeof(text));
        if (!text[0])
            return 1;
        usleep(20000);
    }
    printf("validator: %s", text);
    return 0;
}

/* ---- Calls ------------------------------------------------------------- */

static int
reap(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) != child)
        ;
    return status;
}

static int
try_fork(void)
{
    pid_t child = fork();

    if (child < 0)
        return errno;
    if (child == 0)
        _exit(area[0] != 1);
    /* A fault of the child may have been the one that failed. */
    int status = reap(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : ENOMEM;
}

static int
try_mmap(void)
{
    char *page = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return errno;
    while (munmap(page, 64 * PAGE)) /* it may be this that failed */
        ;
    return 0;
}

static int
try_protect(void)
{
    if (mprotect(area + PAGE, PAGE, PROT_READ))
        return errno;
    while (mprotect(area + PAGE, PAGE, PROT_READ | PROT_WRITE))
        ;
    return 0;
}

static int
try_brk(void)
{
    /* What C libraries make of an error is no use here. */
    if (syscall(SYS_brk, heap_end + (1 << 16)) != heap_end + (1 << 16))
        return ENOMEM;
    while (syscall(SYS_brk, heap_end) != heap_end)
        ;
    return 0;
}

/* What could not be written has not made the file longer. */
static int
try_write(void)
{
    struct stat now;

    if (pwrite(file, area, PAGE, 5 * PAGE) != PAGE) {
        int error = errno == ENOSPC ? ENOMEM : errno;
        if (fstat(file, &now) || now.st_size)
            printf("a file of %ld bytes\n", (long)now.st_size);
        return error;
    }
    while (ftruncate(file, 0))
        ;
    return 0;
}

static void
touch(void)
{
    for (unsigned page = 0; page < 16; page++)
        area[page * PAGE] = 2;
}

static void
exec(void)
{
    plan("call", step);
    execl("/proc/self/exe", "fail", "exit", NULL);
    _exit(errno);
}

/* In a child, which may be killed; its fork comes before the plan, and before
 * a plan for one call of its own. */
static int
in_child(void (*action)(void))
{
    int go[2];
    char byte = 0;

    if (pipe(go))
        exit(2);
    pid_t child = fork();
    if (child == 0) {
        if (read(go[0], &byte, 1) == 1)
            action();
        _exit(0);
    }
    if (action == touch)
        plan("once", step);
    if (write(go[1], &byte, 1) != 1)
        exit(2);
    int status = reap(child);
    close(go[0]);
    close(go[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : ENOMEM;
}

/* ---- Every step -------------------------------------------------------- */

static int
by_plan(int (*call)(void))
{
    plan("call", step);
    return call();
}

static int
child_touches(void)
{
    return in_child(touch);
}

static int
child_execs(void)
{
    return in_child(exec);
}

static void
run(const char *name, int (*call)(void), int plans_itself)
{
    unsigned refused = 0;
    int result, hit = 1;

    plan("off", 0);
    (void)(plans_itself ? 0 : call()); /* caches fill */
    struct usage before = usage();
    for (step = 1; hit && step < STEPS_MAX; step++) {
        result = plans_itself ? call() : by_plan(call);
        hit = failed();
        plan("off", 0);
        refused += result == ENOMEM || result == EINTR;
        if (result && result != ENOMEM && result != EINTR && result != EAGAIN)
            printf("%s, step %u: error %d\n", name, step, result);
    }
    struct usage after = usage();
    if (memcmp(&before, &after, sizeof(before)))
        printf("%s: in use %lu frames, %lu mms, %lu vmas, %lu anon_vmas, %lu "
               "objects, %lu committed, %lu bytes of the kernel; then %lu, "
               "%lu, %lu, %lu, %lu, %lu, %lu\n",
               name, before.frames, before.mms, before.vmas, before.anon_vmas,
               before.objects, before.committed, before.kernel, after.frames,
               after.mms, after.vmas, after.anon_vmas, after.objects,
               after.committed, after.kernel);
    printf("%s: %s, %s\n", name, refused > 2 ? "refused" : "never refused",
           is_valid() ? "valid" : "not valid");
    fprintf(stderr, "%s: %u steps, %u refused\n", name, step - 1, refused);
}

int
main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1)
        return 0; /* what exec() starts */
    setvbuf(stdout, NULL, _IONBF, 0);
    area = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 1, 64 * PAGE);
    heap_end = syscall(SYS_brk, 0);
    file = open("/tmp/written", O_RDWR | O_CREAT | O_TRUNC, 0600);
    (void)is_valid(); /* what it needs itself is there from here on */
    (void)usage();
    run("mmap", try_mmap, 0);
    run("mprotect", try_protect, 0);
    run("brk", try_brk, 0);
    run("write", try_write, 0);
    run("fork", try_fork, 0);
    run("fault", child_touches, 1);
    run("exec", child_execs, 1);
    return 0;
}
