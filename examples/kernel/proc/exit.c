/* SPDX-License-Identifier: MIT */
/*
 * exit.c - threads and processes end, and somebody waits for them.
 */
#include "proc/process.h"

#include "fs/file.h"
#include "mm/space.h"
#include "mm/user.h"

/* ---- Ending ------------------------------------------------------------ */

void
process_end_threads_locked(struct process *process, const struct thread *but)
{
    list_for_each(entry, &process->threads)
    {
        struct thread *thread = container_of(entry, struct thread, sibling);
        if (thread == but)
            continue;
        thread->must_die = true;
        wake_thread(thread, false);
    }
}

/* Whoever looks at another process does so with the lock held (fs/proc.c). */
static void
give_up_resources(struct process *process)
{
    bool on = irq_lock(&process_lock);
    struct aspen_mm *mm = process->mm;
    struct node *program = process->program;

    process->mm = NULL;
    process->program = NULL;
    irq_unlock(&process_lock, on);
    files_free(process->files);
    aspen_mm_put(mm);
    node_put(process->directory);
    node_put(program);
    process->files = NULL;
    process->directory = NULL;
}

/* Nobody waits for them any more but the kernel. */
static void
orphan_children_locked(struct process *process, struct list *gone)
{
    list_for_each(entry, &process->children)
    {
        struct process *child = container_of(entry, struct process, sibling);
        child->parent = NULL;
        list_remove(&child->sibling);
        if (!child->zombie)
            continue;
        list_remove(&child->all);
        list_add_tail(gone, &child->all);
    }
}

/* True: nobody will wait for it. */
static bool
become_zombie_locked(struct process *process)
{
    struct process *parent = process->parent;
    /* Who is told by another signal, or by none, still waits. */
    const struct signal_action *action =
        parent && process->exit_signal == SIGCHLD
            ? &parent->actions[SIGCHLD - 1]
            : NULL;
    bool ignored = action && action->handler == SIG_IGN;
    bool alone = !parent || ignored || (action && action->flags & SA_NOCLDWAIT);

    process->zombie = true;
    if (alone) {
        list_remove(&process->sibling);
        list_remove(&process->all);
    }
    if (parent && process->exit_signal && !ignored)
        signal_send_locked(parent, process->exit_signal);
    if (parent)
        wake_all(parent);
    return alone;
}

static void
process_ends(struct process *process)
{
    struct list gone = {&gone, &gone};

    if (process->id == 1)
        power_off(process->status & 0x7f ? 128 + (process->status & 0x7f)
                                         : process->status >> 8);
    give_up_resources(process);
    bool on = irq_lock(&process_lock);
    orphan_children_locked(process, &gone);
    bool alone = become_zombie_locked(process);
    irq_unlock(&process_lock, on);
    if (alone)
        process_free(process);
    list_for_each(entry, &gone)
    {
        process_free(container_of(entry, struct process, all));
    }
}

/* The status is that of who leaves last, unless somebody ended all. */
static bool
leave_process(struct process *process, struct thread *self, int status)
{
    bool on = irq_lock(&process_lock);

    list_remove(&self->sibling);
    bool last = --process->thread_count == 0;
    if (last && !process->exiting) {
        process->exiting = true;
        process->status = status;
    }
    irq_unlock(&process_lock, on);
    wake_all(&process->thread_count);
    return last;
}

_Noreturn void
thread_exit(int status)
{
    struct thread *self = current;
    struct process *process = self->process;
    uint32_t zero = 0;

    self->exits = true; /* from here on nothing kills it */
    if (self->clear_tid && !user_write(self->clear_tid, &zero, sizeof(zero)))
        futex_wake(self->clear_tid, 1);
    thread_set_mm(self, NULL);
    vfork_done(self);
    /* The scheduler may still look at whether it has a process. */
    if (leave_process(process, self, status)) {
        self->process = NULL;
        process_ends(process);
    }
    self->process = NULL;
    thread_end();
}

_Noreturn void
process_exit(int status)
{
    struct process *process = current->process;
    bool on = irq_lock(&process_lock);

    if (!process->exiting) {
        process->exiting = true;
        process->status = status;
        process_end_threads_locked(process, current);
    }
    irq_unlock(&process_lock, on);
    thread_exit(process->status);
}

int
process_end_others(void)
{
    struct process *process = current->process;
    bool on = irq_lock(&process_lock);
    bool mine = !process->exiting && !process->execing;

    if (mine) {
        process->execing = true;
        process_end_threads_locked(process, current);
    }
    irq_unlock(&process_lock, on);
    if (!mine)
        return -EAGAIN;
    WAIT(&process->thread_count,
         process->thread_count == 1 || current->must_die);
    process->execing = false;
    return current->must_die ? -EINTR : 0;
}

/* ---- Waiting ----------------------------------------------------------- */

bool
process_is_meant(const struct process *process, int id)
{
    if (id > 0)
        return process->id == id;
    if (id == -1)
        return true;
    return process->group == (id ? -id : current->process->group);
}

/* A zombie; *any: there is a child that could become one. */
static struct process *
find_zombie_locked(int id, bool *any)
{
    *any = false;
    list_for_each(entry, &current->process->children)
    {
        struct process *child = container_of(entry, struct process, sibling);
        if (!process_is_meant(child, id))
            continue;
        *any = true;
        if (child->zombie)
            return child;
    }
    return NULL;
}

static struct process *
take_zombie(int id, bool *any, int *status)
{
    bool on = irq_lock(&process_lock);
    struct process *child = find_zombie_locked(id, any);

    if (child)
        *status = child->status;
    if (child) {
        list_remove(&child->sibling);
        list_remove(&child->all);
    }
    irq_unlock(&process_lock, on);
    return child;
}

long
process_wait(int id, unsigned options, int *status)
{
    struct process *child = NULL;
    bool any;
    int error;

    child = take_zombie(id, &any, status);
    if (!child && options & WAIT_NOHANG)
        return any ? 0 : -ECHILD;
    if (!child)
        WAIT_INTERRUPTIBLE(current->process, FOREVER,
                           (child = take_zombie(id, &any, status)) || !any,
                           error);
    if (!child)
        return any ? -ERESTART : -ECHILD;
    int number = child->id;
    process_free(child);
    return number;
}
