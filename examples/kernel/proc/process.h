/* SPDX-License-Identifier: MIT */
/*
 * process.h - processes: an address space, files, and threads.
 */
#ifndef KERNEL_PROC_PROCESS_H
#define KERNEL_PROC_PROCESS_H

#include "proc/signal.h"
#include "sched/thread.h"

struct file_table;
struct node;

struct process {
    int id, group;
    struct process *parent; /* NULL: the kernel, which takes it away itself */
    struct list all;        /* every process */
    struct list children, sibling;
    struct list threads;
    unsigned thread_count;
    struct aspen_mm *mm; /* one user of it, for all threads */
    struct file_table *files;
    struct node *directory;
    struct node *program; /* /proc/PID/exe */
    uint32_t umask;
    bool exiting; /* its threads are to die */
    bool execing; /* all but one are */
    bool zombie;
    int status; /* as wait4 has it */
    int exit_signal;
    struct signal_action actions[SIGNALS];
    uint64_t pending;       /* signals for any thread */
    uint64_t alarm;         /* when; 0: never */
    uint64_t limits[16][2]; /* of resources, soft and hard */
    char name[16];
};

/* Covers the tree of processes, their threads, and all pending signals. */
extern struct irq_lock process_lock;
extern struct list processes;
extern int foreground_group;

struct process *process_create(void);
void process_free(struct process *process);
int process_new_id(void);
/* The current one's, with a reference: another thread may go elsewhere. */
struct node *process_directory(void);

/* With process_lock held; NULL: there is none. */
struct process *process_find(int id);
struct thread *thread_find(int id);
void process_add_thread_locked(struct process *process, struct thread *thread);
/* They find out on their way into a program, or where they sleep. */
void process_end_threads_locked(struct process *process,
                                const struct thread *but);

/* By a number of kill and wait4: one, all (-1), a group, the caller's (0). */
bool process_is_meant(const struct process *process, int id);

/* The first program, by its path, as process 1. Powers off when it ends. */
void process_first(const char *path, const char *const arguments[]);

/* Linux's flags. */
#define CLONE_VM             0x00000100u
#define CLONE_VFORK          0x00004000u
#define CLONE_THREAD         0x00010000u
#define CLONE_SETTLS         0x00080000u
#define CLONE_PARENT_SETTID  0x00100000u
#define CLONE_CHILD_CLEARTID 0x00200000u
#define CLONE_CHILD_SETTID   0x01000000u

struct clone_args {
    uint64_t flags;
    uint64_t stack; /* 0: the parent's */
    uint64_t parent_tid, child_tid;
    uint64_t tls;
    int exit_signal;
};

long process_clone(const struct clone_args *args);

/* Replace the current program. `strings`: see proc/exec.c. */
struct exec_strings;
int process_exec(struct node *directory, const char *path,
                 struct exec_strings *strings);

_Noreturn void process_exit(int status); /* of all threads */
_Noreturn void thread_exit(int status);  /* of this one */
/* All threads but the current one; it waits until they are gone. */
int process_end_others(void);
void vfork_done(struct thread *thread);

#define WAIT_NOHANG 1u

/* A child that has ended: its number, and *status. */
long process_wait(int id, unsigned options, int *status);

/* ---- Futexes ----------------------------------------------------------- */

long futex_call(uint64_t address, unsigned operation, uint32_t value,
                uint64_t timeout, uint32_t bits);
void futex_wake(uint64_t address, unsigned count);

#endif
