/* SPDX-License-Identifier: MIT */
/*
 * clone.c - fork, vfork and threads.
 *
 * All that can fail comes before anybody can find the child: then it is added
 * to the tree and started, or nothing is left of it.
 */
#include "proc/process.h"

#include "fs/file.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "mm/user.h"

static int
copy_mm(struct process *child, uint64_t flags)
{
    struct aspen_mm *mm = current->process->mm;

    if (!(flags & CLONE_VM))
        return aspen_fork(mm, &child->mm);
    aspen_mm_get(mm);
    child->mm = mm;
    return 0;
}

static int
copy_process(uint64_t flags, struct process **out)
{
    struct process *parent = current->process, *child = process_create();

    if (!child)
        return -ENOMEM;
    child->group = parent->group;
    child->umask = parent->umask;
    memcpy(child->actions, parent->actions, sizeof(child->actions));
    memcpy(child->limits, parent->limits, sizeof(child->limits));
    memcpy(child->name, parent->name, sizeof(child->name));
    child->directory = process_directory();
    child->program = parent->program ? node_get(parent->program) : NULL;
    child->files = files_copy(parent->files);
    int error = child->files ? copy_mm(child, flags) : -ENOMEM;
    if (error) {
        process_free(child);
        return error;
    }
    *out = child;
    return 0;
}

/* A child sees its own number, in its own space, before it runs. */
static void
child_begin(void *argument)
{
    uint32_t id = (uint32_t)current->id;

    if (argument)
        (void)!user_write((uint64_t)(uintptr_t)argument, &id, sizeof(id));
}

static struct thread *
copy_thread(const struct clone_args *args)
{
    bool tells = args->flags & CLONE_CHILD_SETTID;
    struct thread *thread = thread_create(
        child_begin, tells ? (void *)(uintptr_t)args->child_tid : NULL);

    if (!thread)
        return NULL;
    struct frame *frame = thread_frame(thread);
    *frame = *thread_frame(current);
    frame->rax = 0;
    if (args->stack)
        frame->rsp = args->stack;
    thread->fs_base = args->flags & CLONE_SETTLS ? args->tls : current->fs_base;
    __asm__ volatile("fxsave64 %0" : "=m"(thread->fpu));
    thread->blocked = current->blocked;
    if (args->flags & CLONE_CHILD_CLEARTID)
        thread->clear_tid = args->child_tid;
    if (!args->stack || !(args->flags & CLONE_VM)) {
        thread->alternate_stack = current->alternate_stack;
        thread->alternate_bytes = current->alternate_bytes;
    }
    return thread;
}

/* The child can be found from here on. False: its process is ending. */
static bool
publish(struct process *child, struct thread *thread)
{
    struct process *parent = current->process;
    bool on = irq_lock(&process_lock);
    bool lives = !parent->exiting && !parent->execing;

    if (lives && child != parent) {
        child->parent = parent;
        list_add_tail(&processes, &child->all);
        list_add_tail(&parent->children, &child->sibling);
    }
    if (lives)
        process_add_thread_locked(child, thread);
    irq_unlock(&process_lock, on);
    return lives;
}

/* Or is not waited for any more. */
static bool
vfork_is_over(struct thread *self)
{
    return self->must_die ||
           !__atomic_load_n(&self->vfork_child, __ATOMIC_SEQ_CST);
}

long
process_clone(const struct clone_args *args)
{
    struct process *child = current->process;
    bool thread_only = args->flags & CLONE_THREAD;
    struct thread *thread = copy_thread(args);
    int error = thread ? 0 : -ENOMEM;

    if (!error && !thread_only)
        error = copy_process(args->flags, &child);
    if (error) {
        if (thread)
            thread_free(thread);
        return error;
    }
    int id = process_new_id();
    thread->id = id;
    thread->mm = child->mm;
    if (!thread_only) {
        child->id = id;
        child->exit_signal = args->exit_signal;
    }
    if (args->flags & CLONE_PARENT_SETTID)
        (void)!user_write(args->parent_tid, &id, sizeof(id));
    if (!publish(child, thread)) {
        thread_free(thread);
        if (!thread_only)
            process_free(child);
        return -EAGAIN;
    }
    if (args->flags & CLONE_VFORK) {
        current->vfork_child = thread;
        thread->vfork_parent = current->id;
    }
    thread_start(thread);
    if (args->flags & CLONE_VFORK)
        WAIT(current, vfork_is_over(current));
    return id;
}

/* The child has a space of its own, or none. */
void
vfork_done(struct thread *thread)
{
    bool on = irq_lock(&process_lock);
    struct thread *parent =
        thread->vfork_parent ? thread_find(thread->vfork_parent) : NULL;

    thread->vfork_parent = 0;
    if (parent && parent->vfork_child == thread) {
        __atomic_store_n(&parent->vfork_child, NULL, __ATOMIC_SEQ_CST);
        wake_all(parent);
    }
    irq_unlock(&process_lock, on);
}
