/* SPDX-License-Identifier: MIT */
/*
 * processes.c - calls that make, end and find processes.
 */
#include "sys/call.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "proc/exec.h"

#define ARCH_SET_GS 0x1001u
#define ARCH_SET_FS 0x1002u
#define ARCH_GET_FS 0x1003u

/* ---- Making and ending ------------------------------------------------- */

static long
sys_clone(const uint64_t *a)
{
    struct clone_args args = {
        .flags = a[0] & ~(uint64_t)0xff,
        .stack = a[1],
        .parent_tid = a[2],
        .child_tid = a[3],
        .tls = a[4],
        .exit_signal = (int)(a[0] & 0xff),
    };

    return process_clone(&args);
}

static long
sys_fork(const uint64_t *a)
{
    struct clone_args args = {.exit_signal = SIGCHLD};

    (void)a;
    return process_clone(&args);
}

static long
sys_vfork(const uint64_t *a)
{
    struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK,
                              .exit_signal = SIGCHLD};

    (void)a;
    return process_clone(&args);
}

static long
exec_at(int directory, uint64_t text, uint64_t arguments, uint64_t environment)
{
    struct exec_strings strings = {0};
    struct node *start;
    char *path;
    int error = call_string(text, &path);

    if (error)
        return error;
    error = exec_strings_read(&strings, arguments, environment);
    if (!error)
        error = call_directory(directory, path, &start);
    if (!error) {
        error = process_exec(start, path, &strings);
        node_put(start);
    }
    exec_strings_free(&strings);
    call_string_free(path);
    return error;
}

static long
sys_execve(const uint64_t *a)
{
    return exec_at(AT_FDCWD, a[0], a[1], a[2]);
}

static long
sys_execveat(const uint64_t *a)
{
    return exec_at((int)a[0], a[1], a[2], a[3]);
}

static long
sys_exit(const uint64_t *a)
{
    thread_exit((int)(a[0] & 0xff) << 8);
}

static long
sys_exit_group(const uint64_t *a)
{
    process_exit((int)(a[0] & 0xff) << 8);
}

static long
sys_wait4(const uint64_t *a)
{
    int status = 0;
    long id = process_wait((int)a[0], (unsigned)a[2] & WAIT_NOHANG, &status);

    if (id > 0 && a[1] && user_write(a[1], &status, sizeof(status)))
        return -EFAULT;
    if (id > 0 && a[3] && user_clear(a[3], 144))
        return -EFAULT;
    return id;
}

struct wait_info {
    int32_t signal, error, code, padding, id, uid, status;
    uint8_t rest[100];
};

static long
sys_waitid(const uint64_t *a)
{
    int wanted = a[0] == 0 ? -1 : a[0] == 1 ? (int)a[1] : -(int)a[1];
    int status = 0;
    long id = process_wait(wanted, (unsigned)a[3] & (WAIT_NOHANG | WAIT_NOWAIT),
                           &status);

    if (id < 0)
        return id;
    struct wait_info info = {
        .signal = SIGCHLD,
        .code = status & 0x7f ? 2 : 1,
        .id = (int)id,
        .status = status & 0x7f ? status & 0x7f : status >> 8,
    };
    if (!id)
        info = (struct wait_info){0};
    return a[2] && user_write(a[2], &info, sizeof(info)) ? -EFAULT : 0;
}

/* ---- Who one is -------------------------------------------------------- */

static long
sys_getpid(const uint64_t *a)
{
    (void)a;
    return current->process->id;
}

static long
sys_gettid(const uint64_t *a)
{
    (void)a;
    return current->id;
}

static long
sys_getppid(const uint64_t *a)
{
    bool on = irq_lock(&process_lock);
    struct process *parent = current->process->parent;
    int id = parent ? parent->id : 0;

    (void)a;
    irq_unlock(&process_lock, on);
    return id;
}

/* Everybody is root. */
static long
root_id(const uint64_t *a)
{
    (void)a;
    return 0;
}

static long
three_ids(const uint64_t *a)
{
    uint32_t id = 0;

    for (unsigned i = 0; i < 3; i++)
        if (user_write(a[i], &id, sizeof(id)))
            return -EFAULT;
    return 0;
}

static long
find_number(int id, bool session)
{
    bool on = irq_lock(&process_lock);
    struct process *process = id ? process_find(id) : current->process;
    long number = !process  ? -ESRCH
                  : session ? process->session
                            : process->group;

    irq_unlock(&process_lock, on);
    return number;
}

static long
sys_getpgid(const uint64_t *a)
{
    return find_number((int)a[0], false);
}

static long
sys_getpgrp(const uint64_t *a)
{
    (void)a;
    return find_number(0, false);
}

static long
sys_getsid(const uint64_t *a)
{
    return find_number((int)a[0], true);
}

static long
sys_setpgid(const uint64_t *a)
{
    bool on = irq_lock(&process_lock);
    struct process *process = a[0] ? process_find((int)a[0]) : current->process;

    if (process)
        process->group = a[1] ? (int)a[1] : process->id;
    irq_unlock(&process_lock, on);
    return process ? 0 : -ESRCH;
}

static long
sys_setsid(const uint64_t *a)
{
    struct process *process = current->process;
    bool on = irq_lock(&process_lock);
    bool leads = process->group == process->id && process->id != 1;

    (void)a;
    if (!leads)
        process->session = process->group = process->id;
    irq_unlock(&process_lock, on);
    return leads ? -EPERM : process->id;
}

/* ---- Threads ----------------------------------------------------------- */

static long
sys_set_tid_address(const uint64_t *a)
{
    current->clear_tid = a[0];
    return current->id;
}

static long
sys_arch_prctl(const uint64_t *a)
{
    switch (a[0]) {
    case ARCH_SET_FS:
        if (a[1] >= USER_LIMIT)
            return -EPERM;
        current->fs_base = a[1];
        write_msr(MSR_FS_BASE, a[1]);
        return 0;
    case ARCH_GET_FS:
        return user_write(a[1], &current->fs_base, 8);
    default:
        return -EINVAL;
    }
}

static long
sys_futex(const uint64_t *a)
{
    return futex_call(a[0], (unsigned)a[1], (uint32_t)a[2], a[3], a[4],
                      (uint32_t)a[5]);
}

static long
sys_sched_yield(const uint64_t *a)
{
    (void)a;
    schedule();
    return 0;
}

static long
sys_sched_getaffinity(const uint64_t *a)
{
    uint64_t mask = ((uint64_t)1 << cpus_online) - 1;

    if (a[1] < sizeof(mask))
        return -EINVAL;
    return user_write(a[2], &mask, sizeof(mask)) ? -EFAULT : (long)sizeof(mask);
}

static long
sys_getcpu(const uint64_t *a)
{
    uint32_t cpu = aspen_port_cpu();

    return a[0] ? user_write(a[0], &cpu, sizeof(cpu)) : 0;
}

static long
sys_prctl(const uint64_t *a)
{
    char name[16] = {0};

    if (a[0] == 15) { /* PR_SET_NAME */
        long length = user_string(name, a[1], sizeof(name));
        if (length == -EFAULT)
            return length;
        name[15] = 0;
        memcpy(current->process->name, name, sizeof(name));
        return 0;
    }
    if (a[0] == 16) /* PR_GET_NAME */
        return user_write(a[1], current->process->name, sizeof(name));
    return -EINVAL;
}

/* ---- Limits ------------------------------------------------------------ */

static const struct {
    unsigned resource;
    enum aspen_limit limit;
} aspen_limits[] = {
    {2, ASPEN_LIMIT_DATA},
    {3, ASPEN_LIMIT_STACK},
    {8, ASPEN_LIMIT_MEMLOCK},
    {9, ASPEN_LIMIT_AS},
};

static long
limits(unsigned resource, uint64_t new, uint64_t old)
{
    uint64_t values[2];
    int error = 0;

    if (resource >= LENGTH(current->process->limits))
        return -EINVAL;
    uint64_t *own = current->process->limits[resource];
    if (new &&user_read(values, new, sizeof(values)))
        return -EFAULT;
    if (new &&values[0] > values[1])
        return -EINVAL;
    if (old && user_write(old, own, sizeof(values)))
        return -EFAULT;
    for (unsigned i = 0; new &&i < LENGTH(aspen_limits) && !error; i++)
        if (aspen_limits[i].resource == resource)
            error =
                aspen_limit_set(current->mm, aspen_limits[i].limit, values[0]);
    if (new && !error)
        memcpy(own, values, sizeof(values));
    return error;
}

static long
sys_prlimit64(const uint64_t *a)
{
    if (a[0] && (int)a[0] != current->process->id)
        return -ESRCH;
    return limits((unsigned)a[1], a[2], a[3]);
}

static long
sys_getrlimit(const uint64_t *a)
{
    return limits((unsigned)a[0], 0, a[1]);
}

static long
sys_setrlimit(const uint64_t *a)
{
    return limits((unsigned)a[0], a[1], 0);
}

const struct call process_calls[] = {
    {24, sys_sched_yield},
    {39, sys_getpid},
    {56, sys_clone},
    {57, sys_fork},
    {58, sys_vfork},
    {59, sys_execve},
    {60, sys_exit},
    {61, sys_wait4},
    {97, sys_getrlimit},
    {102, root_id},
    {104, root_id},
    {105, root_id}, /* setuid, setgid: to what is */
    {106, root_id},
    {107, root_id},
    {108, root_id},
    {109, sys_setpgid},
    {110, sys_getppid},
    {111, sys_getpgrp},
    {112, sys_setsid},
    {115, root_id},       /* getgroups */
    {116, nothing_to_do}, /* setgroups */
    {117, nothing_to_do},
    {118, three_ids},
    {119, nothing_to_do},
    {120, three_ids},
    {121, sys_getpgid},
    {124, sys_getsid},
    {157, sys_prctl},
    {158, sys_arch_prctl},
    {160, sys_setrlimit},
    {186, sys_gettid},
    {202, sys_futex},
    {204, sys_sched_getaffinity},
    {218, sys_set_tid_address},
    {231, sys_exit_group},
    {247, sys_waitid},
    {273, nothing_to_do}, /* set_robust_list */
    {302, sys_prlimit64},
    {309, sys_getcpu},
    {322, sys_execveat},
    {0, NULL},
};
