/* SPDX-License-Identifier: MIT */
/*
 * shadow_session.h - what the parts of `aspen shadow` share.
 *
 *   session --> tasks       one a thread of the guest
 *           --> processes   one a thread group; stay when it has ended
 *           --> files       objects of the machine, by device and inode
 *   task ----> space        one a host mm; each task in it is a user
 *
 * Owners: shadow_trace.c moves tasks, shadow_space.c makes spaces,
 * shadow_files.c objects, shadow_call.c makes calls, shadow_compare.c compares
 * mappings, shadow_report.c tells.
 */
#ifndef ASPEN_SHADOW_SESSION_H
#define ASPEN_SHADOW_SESSION_H

#include "host/linux_calls.h"
#include "snapshot/areas.h"
#include "common/tally.h"
#include "common/tool.h"

#include <aspen/mm.h>
#include <stdio.h>
#include <sys/types.h>

/* ---- Counts ------------------------------------------------------------- */

struct shadow_counts {
    uint64_t calls; /* that Aspen made as well */
    uint64_t answers_differ;
    uint64_t maps_compared;
    uint64_t identical;
    uint64_t equal;
    uint64_t different;
    uint64_t addresses_picked; /* by the kernel, of those calls */
    uint64_t addresses_same;
};

void shadow_counts_add(struct shadow_counts *sum,
                       const struct shadow_counts *more);

/* ---- Objects ------------------------------------------------------------ */

struct shadow_files;

/* What is known of a descriptor when mmap is entered. */
struct shadow_open {
    int error;       /* 0, or the answer that mmap gives */
    bool unmodelled; /* a device, or pages of other sizes */
    bool shmem;
    bool unlinked; /* no file system has a link to it: a memfd */
    uint64_t device;
    uint64_t inode;
    unsigned placement; /* enum aspen_placement */
    struct linux_file file;
};

/* ---- Calls -------------------------------------------------------------- */

enum shadow_kind {
    SHADOW_OTHER,      /* of no interest */
    SHADOW_MODELLED,   /* Aspen makes it */
    SHADOW_UNMODELLED, /* it changes mappings, and Aspen lacks it */
    SHADOW_CLONE,      /* fork, vfork, clone, clone3 */
    SHADOW_EXEC,
    SHADOW_LIMIT, /* limits may be others afterwards */
};

struct shadow_call {
    struct linux_call call;
    enum shadow_kind kind;
    const char *name;
    int64_t answer;          /* the kernel's */
    uint64_t clone_flags;    /* SHADOW_CLONE */
    struct shadow_open open; /* mmap of a file */
};

/* What a call is; and a filter that lets only those stop that are something. */
enum shadow_kind shadow_call_kind(const struct linux_call *call,
                                  const char **name);
int shadow_filter_install(void);

/* ---- Tasks, processes, spaces ------------------------------------------- */

struct shadow_space {
    struct aspen_mm *mm;
    unsigned users; /* tasks, each a user of mm, too */
    struct shadow_task *inside;
    bool followed; /* false: not x86-64, nothing is known */
    bool limits_stale;
    unsigned lock_future; /* ASPEN_MCL_*: survives a new import */
    uint64_t stack_end;
    uint64_t calls;
    struct shadow_call last; /* the call that led to what is seen */
};

struct shadow_process {
    struct shadow_process *next;
    pid_t pid;
    char name[32];
    struct shadow_counts counts;
    uint64_t execs;
    int status; /* of waitpid(), when ended */
    bool ended;
};

enum shadow_state {
    SHADOW_RUNS,
    SHADOW_EXPECTED, /* told of by its maker, has not stopped yet */
    SHADOW_EARLY,    /* has stopped, its maker has not told yet */
    SHADOW_HELD,     /* another is inside of its space */
};

struct shadow_task {
    struct shadow_task *next;
    pid_t tid;
    enum shadow_state state;
    int early_status;
    bool leaving; /* its exit was seen */
    struct shadow_space *space;
    struct shadow_process *process;
    struct shadow_call call;
};

struct shadow_session {
    struct aspen *aspen;
    struct aspen_arch_ops arch;
    struct shadow_task *calling; /* its call is made in Aspen now, or NULL */
    void *direct_map;
    size_t direct_map_bytes;
    struct shadow_files *files;
    struct areas_files memories; /* shared without a file */
    struct shadow_task *tasks;
    struct shadow_process *processes;
    struct tally by_call;
    struct tally unmodelled;
    struct tally set_up;
    uint64_t every;        /* compare after so many calls; 0: never */
    bool all_syscalls;     /* no filter: every call stops */
    bool kernel_known;     /* else what differs may be the release's */
    bool attached;         /* to what ran already, and goes on without us */
    volatile bool enough;  /* set by a signal: let go of it */
    uint64_t calls_wanted; /* enough after so many calls; 0: never */
    pid_t first;           /* the guest's first process */
    int said;              /* an errno, if its first exec fails */
    unsigned told;         /* differences that were printed */
    char elsewhere[256];
    struct tool_error error;
};

/* ---- shadow_files.c ----------------------------------------------------- */

int shadow_files_begin(struct shadow_session *session);
void shadow_files_end(struct shadow_session *session);

/* Look at a descriptor of a task that is stopped. */
void shadow_files_look(pid_t tid, int descriptor, struct shadow_open *open);

/* The object for what was looked at, which the kernel mapped at `address` (an
 * errno there: it did not). NULL: no memory. */
struct aspen_object *shadow_files_object(struct shadow_session *session,
                                         pid_t tid,
                                         const struct shadow_open *open,
                                         int64_t address);

/* The object of an area of maps. */
struct smaps_area;
struct aspen_object *shadow_files_mapped(struct shadow_session *session,
                                         pid_t tid,
                                         const struct smaps_area *area,
                                         uint64_t flags);

/* ---- shadow_space.c ----------------------------------------------------- */

/* What exec made, seen by a task that has just done it; or what a process that
 * is attached to has. `old` NULL: the first. NULL: refused, session->error. */
struct shadow_space *shadow_space_exec(struct shadow_session *session,
                                       struct shadow_space *old, pid_t tid);
struct shadow_space *shadow_space_fork(struct shadow_session *session,
                                       struct shadow_space *parent);
void shadow_space_get(struct shadow_space *space);
void shadow_space_put(struct shadow_space *space);

/* Throw ours away and take the host's mappings. -1: session->error. */
int shadow_space_again(struct shadow_session *session,
                       struct shadow_space *space, pid_t tid);
void shadow_space_limits(struct shadow_space *space, pid_t tid);

/* ---- shadow_call.c ------------------------------------------------------ */

/* What threads may do by protection keys is asked of the kernel. */
void shadow_call_hooks(struct shadow_session *session,
                       struct aspen_config *config);
/* The task is about to make task->call. */
void shadow_call_enter(struct shadow_session *session,
                       struct shadow_task *task);
/* It has, and task->call.answer is what the kernel said. -1: give up. */
int shadow_call_leave(struct shadow_session *session, struct shadow_task *task);

/* "mmap(0x0, ...) = ..." */
void shadow_call_text(const struct shadow_call *call, char *text, size_t size);

/* ---- shadow_compare.c --------------------------------------------------- */

/* Compare and count; after a difference ours is made anew. -1: give up. */
int shadow_compare(struct shadow_session *session, struct shadow_task *task,
                   const char *when);
/* Stacks grow by accesses, which nobody sees. */
int shadow_compare_stacks(struct shadow_session *session,
                          struct shadow_space *space, pid_t tid);

/* ---- shadow_tasks.c ----------------------------------------------------- */

struct shadow_task *shadow_task_find(struct shadow_session *session, pid_t tid);
/* Without a space or a process yet. NULL: no memory. */
struct shadow_task *shadow_task_add(struct shadow_session *session, pid_t tid);
void shadow_task_remove(struct shadow_session *session,
                        struct shadow_task *task);
/* The process of that number that has not ended, or a new one. */
struct shadow_process *shadow_process_of(struct shadow_session *session,
                                         pid_t pid);
void shadow_process_rename(struct shadow_process *process, pid_t tid);

/* ---- shadow_start.c ----------------------------------------------------- */

/* Leaves session->first, seized. -1: session->error. */
int shadow_start(struct shadow_session *session, char **command,
                 const char *output);

/* All threads of a process that runs, seized and stopped (SHADOW_EARLY), in a
 * space that has its mappings. -1: session->error. */
int shadow_attach(struct shadow_session *session, pid_t pid);

/* ---- shadow_trace.c ----------------------------------------------------- */

/* Until nobody is left, or it is enough. -1: session->error. */
int shadow_trace(struct shadow_session *session);
/* Whoever is left, after an error, is killed; but goes on when attached. */
void shadow_trace_end(struct shadow_session *session);

/* ---- shadow_report.c ---------------------------------------------------- */

/* One line for people, while the guest runs; the first few of them. */
void shadow_tell(struct shadow_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void shadow_report_sum(const struct shadow_session *session,
                       struct shadow_counts *sum);
void shadow_report_text(const struct shadow_session *session, FILE *to);
int shadow_report_json(const struct shadow_session *session);

#endif
