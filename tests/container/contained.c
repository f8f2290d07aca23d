/* SPDX-License-Identifier: MIT */
/*
 * contained [--answer EPERM|ENOSYS] [--old] -- COMMAND...: run it by the rules
 * that Docker and podman have when nobody asks for others.
 *
 * Two of them change what memory calls answer: of root's capabilities 14 are
 * left, and system calls that are on no list are refused before the kernel
 * looks at them. Docker answers EPERM, podman and a call that is newer than
 * the list ENOSYS; here all get one answer, so that either can be tried. --old
 * refuses what both let through only from Linux 4.8 on: ptrace, and access to
 * the memory of others.
 *
 * The list says what the documentation of the profiles says: it names what
 * programs need, leaves out what is not confined to a container (time, keys,
 * modules, namespaces, tracing of the kernel) and what goes with a capability
 * that is not among the 14. Without root only the list applies.
 *
 * Used by scripts/check/container.sh.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- What is let through ------------------------------------------------ */

/* Words of one string, by subject. What the library or the processor does not
 * know is passed over. */
static const char *const allowed[] = {
    /* memory */
    "brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 "
    "mlockall mmap mprotect mremap msync munlock munlockall munmap "
    "pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages",
    /* processes and threads */
    "arch_prctl capget capset execve execveat exit exit_group fork futex "
    "futex_waitv get_robust_list getcpu getpgid getpgrp getpid getppid "
    "getpriority getrlimit getrusage getsid gettid kill pidfd_open "
    "pidfd_send_signal prctl prlimit64 restart_syscall riscv_flush_icache "
    "rseq sched_get_priority_max sched_get_priority_min sched_getaffinity "
    "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler "
    "sched_yield seccomp set_robust_list set_thread_area set_tid_address "
    "setpgid setpriority setrlimit setsid get_thread_area modify_ldt times "
    "tgkill tkill vfork wait4 waitid",
    /* whose they are */
    "getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid "
    "setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid "
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self",
    /* signals and time */
    "alarm getitimer pause rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_tgsigqueueinfo setitimer sigaltstack signalfd signalfd4 adjtimex "
    "clock_adjtime clock_getres clock_gettime clock_nanosleep gettimeofday "
    "nanosleep time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_settime timerfd_create timerfd_gettime timerfd_settime",
    /* files by name */
    "access chdir chmod chown chroot creat faccessat faccessat2 fchmodat "
    "fchownat futimesat getcwd getxattr lchown lgetxattr link linkat "
    "listxattr llistxattr lremovexattr lsetxattr lstat mkdir mkdirat mknod "
    "mknodat name_to_handle_at newfstatat open openat openat2 readlink "
    "readlinkat removexattr rename renameat renameat2 rmdir setxattr stat "
    "statfs statx symlink symlinkat truncate umask unlink unlinkat utime "
    "utimensat utimes fanotify_mark inotify_add_watch inotify_init "
    "inotify_init1 inotify_rm_watch",
    /* descriptors */
    "close close_range copy_file_range dup dup2 dup3 epoll_create "
    "epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd "
    "eventfd2 fadvise64 fallocate fchdir fchmod fchown fcntl fdatasync "
    "fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync "
    "ftruncate getdents getdents64 io_cancel io_destroy io_getevents "
    "io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set lseek pipe "
    "pipe2 poll ppoll pread64 preadv preadv2 pselect6 pwrite64 pwritev "
    "pwritev2 read readahead readv select sendfile splice sync "
    "sync_file_range syncfs tee vmsplice write writev",
    /* between processes */
    "accept accept4 bind connect getpeername getsockname getsockopt listen "
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink "
    "msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg semctl semget "
    "semop semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt "
    "shmget shutdown socketpair",
    /* the rest */
    "getrandom sysinfo uname",
};

static const char since_4_8[] = "process_vm_readv process_vm_writev ptrace";

/* Not: without a chance in the layout, reads that imply execution. */
static const uint64_t personalities[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};

#define NAMESPACES                                                             \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |             \
     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const int capabilities[] = {
    CAP_CHOWN,       CAP_DAC_OVERRIDE, CAP_FOWNER,           CAP_FSETID,
    CAP_KILL,        CAP_SETGID,       CAP_SETUID,           CAP_SETPCAP,
    CAP_NET_RAW,     CAP_MKNOD,        CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT,
    CAP_AUDIT_WRITE, CAP_SETFCAP,
};

/* ---- Refusing the rest -------------------------------------------------- */

static void
fail(const char *what)
{
    fprintf(stderr, "contained: %s: %s\n", what, strerror(errno));
    exit(126);
}

static void
must(int negative_errno)
{
    if (negative_errno < 0) {
        errno = -negative_errno;
        fail("the filter");
    }
}

static void
allow_words(scmp_filter_ctx filter, const char *words)
{
    char *copy = strdup(words);
    char *rest = copy;

    if (!copy)
        fail("words");
    for (char *name; (name = strsep(&rest, " ")) != NULL;) {
        int number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR && number >= 0)
            must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0));
    }
    free(copy);
}

static void
allow_some_arguments(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < COUNT(personalities); i++)
        must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
                              SCMP_A0(SCMP_CMP_EQ, personalities[i])));
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0)));
    must(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                          SCMP_A0(SCMP_CMP_NE, AF_VSOCK)));
}

static void
install_filter(int answer, bool old, bool privileged)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO((unsigned)answer));

    if (!filter)
        fail("a filter");
    for (size_t i = 0; i < COUNT(allowed); i++)
        allow_words(filter, allowed[i]);
    if (!old)
        allow_words(filter, since_4_8);
    allow_some_arguments(filter);
    /* Its arguments are in memory, which no filter reads: C libraries try
     * clone then, but only for this answer. */
    if (answer != ENOSYS)
        must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3),
                              0));
    if (privileged)
        must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0));
    must(seccomp_load(filter));
    seccomp_release(filter);
}

/* ---- Capabilities ------------------------------------------------------- */

static bool
is_root(void)
{
    return prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1 &&
           geteuid() == 0;
}

/* What exec gives root is what the bounding set has. */
static void
drop_capabilities(void)
{
    uint64_t kept = 0;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {0};

    for (size_t i = 0; i < COUNT(capabilities); i++)
        kept |= (uint64_t)1 << capabilities[i];
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (!(kept >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            fail("PR_CAPBSET_DROP");
    for (unsigned i = 0; i < 2; i++)
        sets[i].effective = sets[i].permitted = (uint32_t)(kept >> 32 * i);
    if (syscall(SYS_capset, &header, sets) != 0)
        fail("capset");
}

/* ---- The command -------------------------------------------------------- */

static void
usage(void)
{
    fprintf(stderr, "usage: contained [--answer EPERM|ENOSYS] [--old] -- "
                    "COMMAND...\n");
    exit(2);
}

int
main(int argc, char **argv)
{
    int answer = EPERM;
    bool old = false;
    int i = 1;

    for (; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--old"))
            old = true;
        else if (!strcmp(argv[i], "--answer") && i + 1 < argc)
            answer = strcmp(argv[++i], "ENOSYS") ? EPERM : ENOSYS;
        else
            usage();
    if (i + 1 >= argc)
        usage();
    install_filter(answer, old, is_root());
    if (is_root())
        drop_capabilities();
    execvp(argv[i + 1], argv + i + 1);
    fail(argv[i + 1]);
}
