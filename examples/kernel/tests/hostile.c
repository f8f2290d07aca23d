/* SPDX-License-Identifier: MIT */
/*
 * hostile.c - calls that are meant to break the kernel: arguments that nobody
 * gives by mistake, programs that are none, names that are gone, and two at
 * once. What is printed is the same on Linux.
 *
 * hostile [NAME]...: these cases, or all. It runs in an empty directory.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define FAR    0x100000000 /* no number of a file, nor does an int hold it */
#define NOBODY ((void *)((uintptr_t)1 << 63))
#define KERNEL ((void *)0xffffffff80100000)

/* The call's result, or -errno. */
#define SAY(what, call)                                                        \
    do {                                                                       \
        errno = 0;                                                             \
        long result_ = (long)(call);                                           \
        printf("%s: %ld\n", what, result_ == -1 && errno ? -errno : result_);  \
    } while (0)

/* How a child ends that does this: its status, or its signal with a minus. */
static int
ends_by(void (*function)(const void *argument), const void *argument)
{
    int status, child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        function(argument);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
make_file(const char *name, const void *bytes, size_t length, int mode)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, mode);

    if (file < 0 || write(file, bytes, length) != (ssize_t)length)
        exit(2);
    close(file);
}

/* What is freed has been used for something else since. */
static void
use_memory(void)
{
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof(name), "used%d", i);
        make_file(name, name, 8, 0600);
    }
}

/* ---- Numbers ----------------------------------------------------------- */

static void
numbers(void)
{
    static char byte[64] = "x";
    struct iovec vectors[2] = {{byte, (size_t)-1}, {byte, 1}};
    int null = open("/dev/null", O_RDWR), here = open(".", O_RDONLY);
    int zero = open("/dev/zero", O_RDONLY);

    SAY("F_SETFD", syscall(SYS_fcntl, FAR, F_SETFD, 0));
    SAY("F_GETFD", syscall(SYS_fcntl, FAR, F_GETFD));
    SAY("dup2", syscall(SYS_dup2, FAR, 0L));
    SAY("close_range", syscall(SYS_close_range, 9, 5, 0));
    SAY("readv", readv(null, vectors, 1));
    SAY("writev, too many", writev(null, vectors, 1025));
    SAY("writev, fewer than none", writev(null, vectors, -1));
    SAY("writev, nowhere", writev(null, KERNEL, 1));
    vectors[0].iov_len = FAR;
    SAY("writev, much", writev(null, vectors, 2));
    SAY("write, much", write(null, byte, FAR));
    SAY("pwrite before the file", pwrite(null, byte, 1, -1));
    SAY("getdents, no room", syscall(SYS_getdents64, here, byte, 0));
    SAY("getdents, little room", syscall(SYS_getdents64, here, byte, 20));
    SAY("getdents, nowhere", syscall(SYS_getdents64, here, KERNEL, 4096));
    SAY("read into the kernel", read(zero, KERNEL, 4096));
    /* Up to where a program's addresses are, the other way around. */
    SAY("read around the end", read(zero, KERNEL, 4096 - (size_t)KERNEL));
    make_file("f", "abc", 3, 0600);
    int file = open("f", O_RDWR);
    lseek(file, INT64_MAX, SEEK_SET);
    SAY("lseek past the end", lseek(file, INT64_MAX, SEEK_CUR) < 0);
    SAY("write there", pwrite(file, byte, 1, INT64_MAX - 1));
    SAY("read there", pread(file, byte, 1, INT64_MAX - 1));
    SAY("ftruncate", ftruncate(file, -1));
    SAY("readlink, no room", readlink("f", byte, 0));
    SAY("poll, many", syscall(SYS_poll, byte, (size_t)-1, 0));
    SAY("select, many", syscall(SYS_pselect6, -1, 0, 0, 0, 0, 0));
    SAY("futex, no time",
        syscall(SYS_futex, byte, 0, 'x', (long[]){0, -1}, 0, 0));
    SAY("sigaction", syscall(SYS_rt_sigaction, 65, byte, 0, 8));
    SAY("kill", syscall(SYS_kill, getpid(), 65));
    SAY("fork with tables nowhere",
        syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, NOBODY));
}

/* Until nothing fits any more, not even a byte. */
static void
full_pipe(void)
{
    static char block[4096];
    int ends_[2];

    if (pipe2(ends_, O_NONBLOCK))
        exit(2);
    while (write(ends_[1], block, sizeof(block)) == sizeof(block))
        ;
    SAY("a block to a full pipe", write(ends_[1], block, sizeof(block)));
    SAY("a byte", write(ends_[1], block, 1));
}

static void
strange_child(const void *unused)
{
    long child = syscall(SYS_clone, 200L, 0, 0, 0, 0);
    int status;

    (void)unused;
    if (child == 0)
        _exit(3);
    if (waitpid((pid_t)child, &status, __WALL) != child)
        _exit(1);
    getppid(); /* a signal would come here */
}

static void
signals_of_children(void)
{
    printf("a child that no signal tells of: %d\n",
           ends_by(strange_child, NULL));
}

/* ---- Programs ---------------------------------------------------------- */

static void
run(const void *name)
{
    char *arguments[] = {(char *)name, NULL};

    execv(name, arguments);
    _exit(errno == EACCES || errno == ELOOP ? errno : 127);
}

static void
not_programs(void)
{
    char *list[4096], *megabyte = calloc(1, 3 << 20), script[512];

    make_file("plain", "abc", 3, 0600);
    mkdir("directory", 0700);
    for (int i = 0; i < 4; i++) {
        int plain = ends_by(run, "plain"),
            directory = ends_by(run, "directory");
        use_memory();
        printf("not executable: %d, a directory: %d\n", plain, directory);
    }
    SAY("still there", open("directory", O_RDONLY | O_DIRECTORY) < 0);
    SAY("what was in it", read(open("plain", O_RDONLY), script, 100));
    snprintf(script, sizeof(script), "#!%s/loop\n", getcwd(script + 256, 250));
    make_file("loop", script, strlen(script), 0700);
    printf("a script of itself: %d\n", ends_by(run, "loop"));
    memset(megabyte, 'x', (3 << 20) - 1);
    SAY("a long argument", execv("loop", (char *[]){megabyte, NULL}));
    for (int i = 0; i < 4095; i++)
        list[i] = megabyte + (3 << 20) - 4096;
    list[4095] = NULL;
    SAY("many arguments", execv("loop", list));
    list[0] = KERNEL;
    list[1] = NULL;
    SAY("an argument nowhere", execv("loop", list));
    SAY("arguments nowhere", execv("loop", KERNEL));
    free(megabyte);
}

/* A program that would end well if it ran, with one thing changed. */
static struct elf {
    Elf64_Ehdr header;
    Elf64_Phdr load, interpreter;
    char name[256];
    uint8_t code[16];
} elf;
static const uint8_t code[16] = {0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05};

static int
run_elf(uint64_t *changed, uint64_t value)
{
    uint64_t before = *changed;

    *changed = value;
    make_file("elf", &elf, sizeof(elf), 0700);
    *changed = before;
    return ends_by(run, "elf");
}

static void
headers(void)
{
    const uint64_t base = 0x400000, start = offsetof(struct elf, code);
    static const uint64_t values[] = {1,
                                      4095,
                                      0x7fffffffe000,
                                      0x7ffffffff000,
                                      (uint64_t)1 << 63,
                                      (uint64_t)-1,
                                      (uint64_t)-4096,
                                      (uint64_t)-4096 - 0x400000};
    static uint64_t *const members[] = {
        &elf.header.e_entry, &elf.header.e_phoff, &elf.load.p_vaddr,
        &elf.load.p_offset,  &elf.load.p_filesz,  &elf.load.p_memsz};
    int wrong = 0;

    elf.header = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = base + start,
        .e_phoff = sizeof(elf.header),
        .e_ehsize = sizeof(elf.header),
        .e_phentsize = sizeof(elf.load),
        .e_phnum = 1};
    elf.load = (Elf64_Phdr){.p_type = PT_LOAD,
                            .p_flags = PF_R | PF_X,
                            .p_vaddr = base,
                            .p_filesz = sizeof(elf),
                            .p_memsz = sizeof(elf),
                            .p_align = 4096};
    elf.interpreter = (Elf64_Phdr){.p_type = PT_INTERP,
                                   .p_offset = offsetof(struct elf, name),
                                   .p_filesz = sizeof(elf.name)};
    memcpy(elf.code, code, sizeof(code));
    memset(elf.name, 'x', sizeof(elf.name));
    printf("as it should be: %d\n", run_elf(&elf.header.e_entry, base + start));
    for (unsigned i = 0; i < sizeof(members) / sizeof(*members); i++)
        for (unsigned j = 0; j < sizeof(values) / sizeof(*values); j++)
            wrong += run_elf(members[i], values[j]) != 0;
    printf("changed, and run or not: %d\n", wrong >= 0);
    elf.header.e_phnum = 2;
    printf("an interpreter without an end: %d\n",
           run_elf(&elf.header.e_entry, base + start));
    elf.header.e_phnum = 65535;
    printf("many headers: %d\n", run_elf(&elf.header.e_entry, base + start));
}

/* ---- Names ------------------------------------------------------------- */

static void
names(void)
{
    struct stat stat_;

    make_file("f", "abc", 3, 0600);
    mkdir("d", 0700);
    SAY("rename to .", rename("f", "d/."));
    SAY("rename to ..", rename("f", "d/.."));
    SAY("rename .", rename("d/.", "e"));
    SAY("link to .", link("f", "d/."));
    SAY("link to /", link("f", "/"));
    SAY("mkdir ..", mkdir("d/..", 0700));
    SAY("symlink .", symlink("f", "d/."));
    SAY("symlink to nothing", symlink("", "d/s"));
    SAY("rmdir", rmdir("d"));
    /* Tried there alone. */
    bool there = access("/proc/aspen", F_OK) == 0;
    SAY("rmdir /proc", there && rmdir("/proc") == 0);
    SAY("rename /proc", there && rename("/proc", "/tmp/proc") == 0);
    for (int i = 0; i < 50; i++)
        if (stat("/proc/self/fd/../maps", &stat_) ||
            stat("/proc/self/fd/../../self/fd/..", &stat_))
            printf("lost in /proc\n");
}

/* Directories that somebody is in, and no name leads to any more. */
static void
gone(void)
{
    struct stat stat_;

    make_file("f", "abc", 3, 0600);
    mkdir("a", 0700);
    mkdir("a/b", 0700);
    if (chdir("a/b"))
        exit(2);
    SAY("rmdir", rmdir("../b"));
    SAY("rename to what is gone", rename("../../f", "f"));
    SAY("link to what is gone", link("../../f", "f"));
    SAY("rmdir above", rmdir("../../a"));
    if (chdir("../.."))
        exit(2);
    use_memory();
    SAY("f", access("f", R_OK));
    mkdir("a", 0700);
    mkdir("a/b", 0700);
    int above = open(".", O_RDONLY);
    SAY("below", chdir("a/b") | rmdir("../b") | rmdir("../../a"));
    if (fchdir(above) == 0)
        use_memory();
    SAY("again", chdir("a"));
    mkdir("a", 0700);
    mkdir("a/b", 0700);
    int below = open("a/b", O_RDONLY);
    rmdir("a/b");
    rmdir("a");
    use_memory();
    SAY("..", fstatat(below, "..", &stat_, 0));
    SAY("../..", fstatat(below, "../../f", &stat_, 0));
    SAY("make", openat(below, "../x", O_WRONLY | O_CREAT, 0600));
}

/* ---- Signals ----------------------------------------------------------- */

static void
nothing(int signal)
{
    (void)signal;
}

static void
set_handler(int signal, void *handler, int flags)
{
    struct sigaction action = {.sa_flags = flags};

    action.sa_handler = handler;
    sigaction(signal, &action, NULL);
}

static void
handler_is(const void *address)
{
    set_handler(SIGUSR1, (void *)address, 0);
    set_handler(SIGSEGV, NOBODY, SA_NODEFER);
    raise(SIGUSR1);
}

static const char *forged;

static void
forge(int signal, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;

    (void)signal, (void)info;
    if (strcmp(forged, "rip") == 0)
        registers[REG_RIP] = (greg_t)NOBODY;
    if (strcmp(forged, "kernel") == 0)
        registers[REG_RIP] = (greg_t)KERNEL;
    if (strcmp(forged, "flags") == 0)
        registers[REG_EFL] |= 0x3000;
    if (strcmp(forged, "mxcsr") == 0)
        user->uc_mcontext.fpregs->mxcsr = 0xffffffff;
    if (strcmp(forged, "fpu") == 0)
        user->uc_mcontext.fpregs = KERNEL;
    if (strcmp(forged, "stack") == 0)
        registers[REG_RSP] = (greg_t)NOBODY;
}

static void
forge_and_return(const void *what)
{
    uint64_t flags;

    forged = what;
    set_handler(SIGUSR1, forge, SA_SIGINFO);
    raise(SIGUSR1);
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    _exit(flags & 0x3000 ? 3 : 0);
}

static void
no_frame(const void *unused)
{
    (void)unused;
    __asm__ volatile("movq $16, %%rsp; movl $15, %%eax; syscall" ::: "rax");
}

static void
handlers(void)
{
    /* Processors and Linux differ in how the last two end. */
    static const char *const whats[] = {"rip", "kernel", "flags",
                                        "fpu", "mxcsr",  "stack"};

    printf("a handler nowhere: %d, in the kernel: %d\n",
           ends_by(handler_is, NOBODY), ends_by(handler_is, KERNEL));
    for (unsigned i = 0; i < sizeof(whats) / sizeof(*whats); i++) {
        int status = ends_by(forge_and_return, whats[i]);
        printf("%s: %d\n", whats[i], i < 4 ? status : status < 1);
    }
    printf("no frame: %d\n", ends_by(no_frame, NULL));
}

/* Registers come back from a frame whose second half is on no page yet: it is
 * of a file that nobody has read. */
static char *frame_at;

static void
move_registers(int signal, siginfo_t *info, void *context)
{
    ucontext_t *user = context;

    (void)signal, (void)info;
    memcpy(frame_at, user->uc_mcontext.fpregs, 256);
    memset(frame_at + 160, 0x5a, 16); /* XMM0 */
    user->uc_mcontext.fpregs = (void *)frame_at;
    __asm__ volatile("pxor %%xmm0, %%xmm0" ::: "xmm0");
}

static void
registers(void)
{
    int big = open(getenv("BIG") ? getenv("BIG") : "/tests/big", O_RDONLY);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t got;
    long result = SYS_kill;

    frame_at = pages + 4096 - 256;
    mmap(pages + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, big, 64 << 20);
    set_handler(SIGUSR1, move_registers, SA_SIGINFO);
    __asm__ volatile("syscall; movq %%xmm0, %1"
                     : "+a"(result), "=r"(got)
                     : "D"(getpid()), "S"(SIGUSR1)
                     : "rcx", "r11", "xmm0", "memory");
    printf("XMM0: %lx\n", (unsigned long)got);
}

/* ---- Two at once ------------------------------------------------------- */

static int ends[2];

static void *
read_byte(void *unused)
{
    char byte;

    (void)unused;
    ssize_t done = read(ends[0], &byte, 1);

    return (void *)(done < 0 ? errno : done == 1 ? 0l : 1000l);
}

/* A signal for the process wakes all threads, and one of them takes it. */
static void
signal_for_many(void)
{
    pthread_t threads[4];
    void *result;
    int wrong = 0;

    set_handler(SIGUSR1, nothing, SA_RESTART);
    for (int round = 0; round < 20; round++) {
        if (pipe(ends))
            exit(2);
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, read_byte, NULL);
        sched_yield();
        for (int i = 0; i < 20; i++)
            kill(getpid(), SIGUSR1);
        if (write(ends[1], "abcd", 4) != 4)
            exit(2);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], &result);
            wrong += result != NULL;
        }
        close(ends[0]);
        close(ends[1]);
    }
    printf("reads that failed: %d\n", wrong);
}

static void
append(const void *name)
{
    int file = open(name, O_WRONLY | O_APPEND);

    for (int i = 0; i < 1000; i++)
        if (write(file, "abcdefg\n", 8) != 8)
            _exit(1);
}

static void
append_twice(void)
{
    struct stat stat_;

    make_file("log", "", 0, 0600);
    fflush(stdout);
    int child = fork();
    append("log");
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    stat("log", &stat_);
    printf("two append: %ld\n", (long)stat_.st_size);
}

static void *
vfork_and_sleep(void *unused)
{
    (void)unused;
    if (vfork() == 0) {
        write(ends[1], &(int){getpid()}, sizeof(int));
        sleep(3);
        _exit(0);
    }
    return NULL;
}

static void
leave_vfork(const void *unused)
{
    pthread_t thread;
    struct pollfd poll_ = {ends[0], POLLIN, 0};

    (void)unused;
    pthread_create(&thread, NULL, vfork_and_sleep, NULL);
    poll(&poll_, 1, -1);
    syscall(SYS_exit_group, 0);
}

/* Who waits for a child of vfork can be ended meanwhile. */
static void
vfork_ends(void)
{
    int child;

    if (pipe(ends))
        exit(2);
    printf("status %d\n", ends_by(leave_vfork, NULL));
    close(ends[1]);
    if (read(ends[0], &child, sizeof(child)) != sizeof(child))
        exit(2);
    printf("the child of vfork lives: %d\n", kill(child, SIGKILL) == 0);
}

static volatile int done;

static void *
poll_all(void *unused)
{
    struct pollfd polls[8];

    (void)unused;
    for (int i = 0; i < 8; i++)
        polls[i] = (struct pollfd){10 + i, POLLIN, 0};
    while (!done)
        poll(polls, 8, 1);
    return NULL;
}

/* Files are closed while somebody waits for them. */
static void
close_what_is_polled(void)
{
    pthread_t threads[2];
    int pair[2];

    done = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, poll_all, NULL);
    for (int i = 0; i < 1000; i++) {
        if (pipe(pair))
            exit(2);
        dup2(pair[0], 10 + i % 8);
        close(pair[0]);
        close(pair[1]);
    }
    done = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("polled\n");
}

/* ---- All --------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*function)(void);
} cases[] = {
    {"numbers", numbers},
    {"pipe", full_pipe},
    {"children", signals_of_children},
    {"programs", not_programs},
    {"headers", headers},
    {"names", names},
    {"gone", gone},
    {"handlers", handlers},
    {"registers", registers},
    {"signal", signal_for_many},
    {"append", append_twice},
    {"vfork", vfork_ends},
    {"poll", close_what_is_polled},
};

static void
run_case(const void *index)
{
    const char *name = cases[(uintptr_t)index].name;

    if (mkdir(name, 0700) || chdir(name))
        exit(2);
    cases[(uintptr_t)index].function();
}

int
main(int count, char **arguments)
{
    for (uintptr_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (int j = 1; j < count || count == 1; j++)
            if (count == 1 || strcmp(arguments[j], cases[i].name) == 0) {
                printf("-- %s\n", cases[i].name);
                printf("ends by %d\n", ends_by(run_case, (void *)i));
                break;
            }
    return 0;
}
