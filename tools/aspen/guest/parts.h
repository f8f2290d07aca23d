/* SPDX-License-Identifier: MIT */
/*
 * parts.h - what the files of guest/ share among themselves.
 */
#ifndef ASPEN_GUEST_PARTS_H
#define ASPEN_GUEST_PARTS_H

#include "guest/guest.h"

/* ---- filter.c ----------------------------------------------------------- */

/* What our filter tells the tracer. A filter of the guest's own that asks for a
 * tracer tells something else: natively there is none. */
#define GUEST_FILTER_OURS 0x4173u

/* What a call is, and what it is called. */
unsigned guest_call_kind(const struct guest *guest,
                         const struct linux_call *call, const char **name);
/* In the child: only what is something stops. 0 or a negative errno. */
int guest_filter_install(const struct guest *guest);

/* ---- follow.c ----------------------------------------------------------- */

/* The task stands still, and why waitpid() has told: it goes on. -1: give up.
 */
int guest_stopped(struct guest *guest, struct guest_task *task, int status);

/* ---- untraced.c --------------------------------------------------------- */

/* task->call is a clone that is about to be made: without CLONE_UNTRACED. */
void guest_untraced_clear(struct guest_task *task);
/* The guest's own flags again: the call is done, or has made somebody. */
void guest_untraced_restore(struct guest_task *task);
/* The same for whom it made, before it runs. */
void guest_untraced_restore_child(struct guest_task *task);

/* ---- orphans.c ---------------------------------------------------------- */

/* Tasks that have stopped and that nobody will tell of. -1: give up. */
int guest_orphans(struct guest *guest);

/* ---- signals.c ---------------------------------------------------------- */

/* From now on what the guest sends to its process group does not end us. */
void guest_signals_begin(void);

/* ---- start.c ------------------------------------------------------------ */

/* What the child says that cannot become the command. */
struct guest_said {
    int error;      /* a negative errno */
    bool preparing; /* not by exec itself */
};

/* ---- tasks.c ------------------------------------------------------------ */

struct guest_task *guest_task_find(struct guest *guest, pid_t tid);
/* Without a space or a process yet. NULL: no memory. */
struct guest_task *guest_task_add(struct guest *guest, pid_t tid);
void guest_task_remove(struct guest *guest, struct guest_task *task);

/* The process of that number that has not ended, or a new one. NULL: no
 * memory. */
struct guest_process *guest_process_of(struct guest *guest, pid_t pid);
void guest_process_rename(struct guest_process *process, pid_t tid);

/* With one user. NULL: guest->error, and `old` is as it was. */
struct guest_space *guest_space_exec(struct guest *guest,
                                     struct guest_space *old, pid_t tid);
struct guest_space *guest_space_fork(struct guest *guest,
                                     struct guest_space *parent);
void guest_space_get(struct guest *guest, struct guest_space *space);
void guest_space_put(struct guest *guest, struct guest_space *space);

#endif
