/* SPDX-License-Identifier: MIT */
/*
 * processes.c - calls that make, end and find processes.
 */
#include "sys/call.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "proc/exec.h"

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

    if (args.flags & CLONE_SETTLS && args.tls >= USER_LIMIT)
        return -EPERM;
    if (args.exit_signal > (int)SIGNALS)
        args.exit_signal = 0; /* nobody hears of it */
    return process_clone(&args);
}

static long
sys_fork(const uint64_t *a)
{
    (void)a;
    return sys_clone((const uint64_t[5]){SIGCHLD});
}

static long
sys_vfork(const uint64_t *a)
{
    (void)a;
    return sys_clone((const uint64_t[5]){CLONE_VM | CLONE_VFORK | SIGCHLD});
}

static long
sys_execve(const uint64_t *a)
{
    struct exec_strings strings = {0};
    char *path;
    int error = call_string(a[0], &path);

    if (error)
        return error;
    struct node *directory = process_directory();
    error = exec_strings_read(&strings, a[1], a[2]);
    if (!error)
        error = process_exec(directory, path, &strings);
    node_put(directory);
    exec_strings_free(&strings);
    call_string_free(path);
    return error;
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
    int id = parent ? parent->id : current->process->id != 1;

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
sys_getpgrp(const uint64_t *a)
{
    (void)a;
    return current->process->group;
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
        process->group = process->id;
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
    return futex_call(a[0], (unsigned)a[1], (uint32_t)a[2], a[3],
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
sys_prlimit64(const uint64_t *a)
{
    uint64_t values[2];
    int error = 0;

    if (a[0] && (int)a[0] != current->process->id)
        return -ESRCH;
    if (a[1] >= LENGTH(current->process->limits))
        return -EINVAL;
    uint64_t *own = current->process->limits[a[1]];
    if (a[2] && user_read(values, a[2], sizeof(values)))
        return -EFAULT;
    if (a[2] && values[0] > values[1])
        return -EINVAL;
    if (a[3] && user_write(a[3], own, sizeof(values)))
        return -EFAULT;
    for (unsigned i = 0; a[2] && i < LENGTH(aspen_limits) && !error; i++)
        if (aspen_limits[i].resource == a[1])
            error =
                aspen_limit_set(current->mm, aspen_limits[i].limit, values[0]);
    if (a[2] && !error)
        memcpy(own, values, sizeof(values));
    return error;
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
    {119, nothing_to_do},
    {157, sys_prctl},
    {158, sys_arch_prctl},
    {186, sys_gettid},
    {202, sys_futex},
    {204, sys_sched_getaffinity},
    {218, sys_set_tid_address},
    {231, sys_exit_group},
    {273, nothing_to_do}, /* set_robust_list */
    {302, sys_prlimit64},
    {0, NULL},
};
