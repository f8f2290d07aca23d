/* SPDX-License-Identifier: MIT */
/*
 * process.c - the tree of processes.
 */
#include "proc/process.h"

#include "fs/file.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "proc/exec.h"

#define UNLIMITED UINT64_MAX

struct irq_lock process_lock;
struct list processes = {&processes, &processes};
int foreground_group;

int
process_new_id(void)
{
    static int next;

    return __atomic_add_fetch(&next, 1, __ATOMIC_RELAXED);
}

struct process *
process_create(void)
{
    struct process *process = memory_alloc(sizeof(*process));

    if (!process)
        return NULL;
    list_init(&process->all);
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->threads);
    process->umask = 022;
    for (unsigned i = 0; i < LENGTH(process->limits); i++)
        process->limits[i][0] = process->limits[i][1] = UNLIMITED;
    process->limits[3][0] = 8 << 20; /* RLIMIT_STACK */
    process->limits[4][0] = 0;       /* RLIMIT_CORE */
    process->limits[7][0] = process->limits[7][1] = FILES_MAX;
    return process;
}

void
process_free(struct process *process)
{
    if (!process)
        return;
    files_free(process->files);
    node_put(process->directory);
    node_put(process->program);
    if (process->mm)
        aspen_mm_put(process->mm);
    memory_free(process, sizeof(*process));
}

struct process *
process_find(int id)
{
    list_for_each(entry, &processes)
    {
        struct process *process = container_of(entry, struct process, all);
        if (process->id == id)
            return process;
    }
    return NULL;
}

struct thread *
thread_find(int id)
{
    list_for_each(entry, &processes)
    {
        struct process *process = container_of(entry, struct process, all);
        list_for_each(position, &process->threads)
        {
            struct thread *thread =
                container_of(position, struct thread, sibling);
            if (thread->id == id)
                return thread;
        }
    }
    return NULL;
}

struct node *
process_directory(void)
{
    bool on = irq_lock(&process_lock);
    struct node *directory = node_get(current->process->directory);

    irq_unlock(&process_lock, on);
    return directory;
}

void
process_add_thread_locked(struct process *process, struct thread *thread)
{
    thread->process = process;
    list_add_tail(&process->threads, &thread->sibling);
    process->thread_count++;
}

/* ---- The first one ----------------------------------------------------- */

struct first {
    const char *path;
    const char *const *arguments;
};

static int
open_console(void)
{
    struct path path;
    struct file *file;
    int error = path_walk(root_node, "/dev/console", 0, &path);

    if (error)
        return error;
    error = file_open(path.node, O_RDWR, &file);
    node_put(path.node);
    if (error)
        return error;
    for (int number = 0; number < 3; number++)
        files_set(file_get(file), number, false);
    file_put(file);
    return 0;
}

static void
first_begin(void *argument)
{
    static const char *const environment[] = {
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root",
        "TERM=linux", "LC_ALL=C", NULL};
    struct first *first = argument;
    struct exec_strings strings = {0};
    int error = exec_strings_add(&strings, first->arguments, environment);

    if (!error)
        error = open_console();
    if (!error)
        error = process_exec(root_node, first->path, &strings);
    if (error)
        panic("%s cannot be started: error %d", first->path, -error);
    exec_strings_free(&strings);
}

void
process_first(const char *path, const char *const arguments[])
{
    static struct first first;
    struct process *process = process_create();
    struct thread *thread = thread_create(first_begin, &first);

    first = (struct first){path, arguments};
    ASSERT(process && thread);
    process->files = files_create();
    process->directory = node_get(root_node);
    ASSERT(process->files != NULL);
    ASSERT(aspen_mm_create(machine, &process->mm) == 0);
    ASSERT(aspen_limit_set(process->mm, ASPEN_LIMIT_STACK,
                           process->limits[3][0]) == 0);
    process->id = process->group = process_new_id();
    foreground_group = process->group;
    thread->id = process->id;
    thread->mm = process->mm;
    list_add_tail(&processes, &process->all);
    process_add_thread_locked(process, thread);
    thread_start(thread);
}
