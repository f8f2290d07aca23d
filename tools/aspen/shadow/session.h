/* SPDX-License-Identifier: MIT */
/*
 * session.h - what the parts of `aspen shadow` share.
 *
 *   session   the guest, and the machine that makes its calls as well
 *   space     one of the guest's, and the same in Aspen
 *   files     objects of the machine, by device and inode
 *   recorder  writes down what the guest does (record.h)
 *
 * Owners: watch.c decides what is done when, space.c makes spaces, files.c
 * objects, call.c calls, compare.c compares mappings, report.c tells.
 */
#ifndef ASPEN_SHADOW_SESSION_H
#define ASPEN_SHADOW_SESSION_H

#include "common/tally.h"
#include "common/tool.h"
#include "guest/guest.h"
#include "host/linux_calls.h"
#include "shadow/timeline.h"
#include "snapshot/areas.h"

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
    uint64_t in_part;          /* of those compared: what had changed alone */
    uint64_t addresses_picked; /* by the kernel, of those calls */
    uint64_t addresses_same;
};

void shadow_counts_add(struct shadow_counts *sum,
                       const struct shadow_counts *more);

/* ---- Objects ------------------------------------------------------------ */

struct shadow_files;

#define SHADOW_MEMORY_MERGE 67 /* of prctl; older headers lack it */

/* What is known of a descriptor when mmap is entered. */
struct shadow_open {
    int error;              /* 0, or the answer that mmap gives */
    const char *unmodelled; /* what Aspen lacks, or NULL */
    bool shmem;
    bool unlinked; /* no file system has a link to it: a memfd */
    uint64_t device;
    uint64_t inode;
    unsigned placement; /* enum aspen_placement */
    struct linux_file file;
};

/* ---- Calls -------------------------------------------------------------- */

/* Kinds of calls, besides those of enum guest_kind. */
enum shadow_kind {
    SHADOW_MODELLED = GUEST_OWN, /* Aspen makes it */
    SHADOW_UNMODELLED,           /* it changes mappings, and Aspen lacks it */
    SHADOW_MDWE,                 /* it may refuse execution from now on */
    SHADOW_RING,                 /* io_uring: calls that nobody sees */
    SHADOW_FILTER,               /* seccomp: a listener lets calls go on */
    SHADOW_SECRET,               /* memfd_secret: locked as nothing else */
    SHADOW_PTRACE,               /* cannot work as natively: we trace it */
    SHADOW_PERSONALITY,          /* may let PROT_READ mean PROT_EXEC, too */
};

/* Ways by which a space changes without a call that is seen, or otherwise than
 * by what is seen of it; bits. */
enum shadow_unseen {
    SHADOW_BY_RING = 1,
    SHADOW_BY_USERFAULT = 2,     /* whoever closes it takes it back */
    SHADOW_BY_NOTIFICATION = 4,  /* a listener lets a call go on */
    SHADOW_BY_PERSONALITY = 8,   /* what can be read can be executed */
    SHADOW_BY_MEMORY_MERGE = 16, /* what is mapped is MERGEABLE */
    SHADOW_BY_OTHER_FORM = 32,   /* calls of 32 bits */
    /* What exec does not end. */
    SHADOW_BY_KEPT = SHADOW_BY_NOTIFICATION | SHADOW_BY_MEMORY_MERGE,
};

/* ---- Tasks, processes, spaces ------------------------------------------- */

struct shadow_range {
    uint64_t start;
    uint64_t end;
};

/* What calls were about since mappings were compared. */
struct shadow_changed {
    struct shadow_range *list;
    size_t count;
    size_t room;
    bool all;          /* no list says it */
    uint64_t calls;    /* since all of them were compared */
    uint64_t heap_end; /* the highest */
};

struct shadow_space {
    struct guest_space guest;
    struct aspen_mm *mm;   /* each user of the space is one of it */
    bool denies_execution; /* it has set PR_SET_MDWE */
    unsigned unseen;       /* enum shadow_unseen, ORed */
    bool grows;            /* more of it than the stack */
    unsigned lock_future;  /* ASPEN_MCL_*: survives a new import */
    uint64_t stack_end;
    uint64_t calls;
    struct shadow_changed changed;
    struct recorded_space *recorded;
    struct timeline *timeline; /* or NULL */
    struct guest_call last;    /* the call that led to what is seen */
    /* One for execution alone was refused: the kernel may have taken the
     * space's own protection key for it, which Aspen does not. */
    bool own_key_open;
};

struct shadow_process {
    struct guest_process guest;
    struct shadow_counts counts;
};

struct shadow_task {
    struct guest_task guest;
    struct shadow_open open; /* of the call, mmap of a file */
    const char *strange;     /* what the call is counted by, where it is about
                                memory that Aspen does not know; or NULL */
};

struct shadow_session {
    struct guest guest;
    struct aspen *aspen;
    struct aspen_arch_ops arch;
    struct guest_task *calling; /* its call is made in Aspen now, or NULL */
    void *direct_map;
    size_t direct_map_bytes;
    struct shadow_files *files;
    struct recorder *recorder; /* NULL: nothing is written down */
    struct timelines timelines;
    struct areas_files memories; /* shared without a file */
    struct tally by_call;
    struct tally unmodelled;
    struct tally set_up;
    struct tally not_followed; /* what the guest did and we did not see */
    struct tally deviations;   /* answers that differ by a known difference */
    uint64_t every;            /* compare after so many calls; 0: never */
    uint64_t map_count_max;    /* mappings that a space may have */
    bool kernel_known;         /* else what differs may be the release's */
    uint64_t calls_wanted;     /* enough after so many calls; 0: never */
    bool has_secrets;          /* somebody called memfd_secret() */
    unsigned told;             /* differences that were printed */
    char elsewhere[256];
    struct tool_error *error; /* the guest's */
};

/* Each begins with the guest's part. */
static inline struct shadow_session *
shadow_session_of(struct guest *guest)
{
    return (struct shadow_session *)guest;
}

static inline struct shadow_space *
shadow_space_of(struct guest_space *space)
{
    return (struct shadow_space *)space;
}

static inline struct shadow_process *
shadow_process_of(struct guest_process *process)
{
    return (struct shadow_process *)process;
}

static inline struct shadow_open *
shadow_open_of(struct guest_task *task)
{
    return &((struct shadow_task *)task)->open;
}

/* ---- watch.c ------------------------------------------------------------ */

extern const struct guest_watcher shadow_watcher;

/* ---- files.c ------------------------------------------------------------ */

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

/* Is there a segment of System V's at the address? */
bool shadow_files_is_segment(pid_t tid, uint64_t address);

/* Does any mapping there show a memfd that is sealed against writing, or memory
 * of memfd_secret()? */
bool shadow_files_are_sealed(pid_t tid, uint64_t address, uint64_t bytes);
bool shadow_files_are_secret(pid_t tid, uint64_t address, uint64_t bytes);

/* Is any of it a driver's, who may refuse what Aspen would do? */
bool shadow_files_are_drivers(pid_t tid, uint64_t address, uint64_t bytes);

/* Files that are mapped there get the size that they have now: for calls that
 * fault pages in, and say so when there are none. All others do not look. */
void shadow_files_note_sizes(struct shadow_session *session, pid_t tid,
                             uint64_t address, uint64_t bytes);

struct smaps_area;

/* Private /dev/zero; shared, it is an object that the kernel has made, but for
 * who has opened it for reading only. */
bool shadow_files_is_zeroes(const struct smaps_area *area);

/* The object of an area of maps. */
struct aspen_object *shadow_files_mapped(struct shadow_session *session,
                                         pid_t tid,
                                         const struct smaps_area *area,
                                         uint64_t flags);

/* ---- space.c ------------------------------------------------------------ */

/* As guest.h asks for them. */
int shadow_space_exec(struct guest *guest, struct guest_space *space,
                      struct guest_space *old, pid_t tid);
int shadow_space_fork(struct guest *guest, struct guest_space *child,
                      struct guest_space *parent);
void shadow_space_get(struct guest_space *space);
void shadow_space_put(struct guest_space *space);

/* Throw the task's away and take the host's mappings. -1: session->error. */
int shadow_space_again(struct shadow_session *session, struct guest_task *task);
/* As the kernel has them now, whoever has set them. True: they are others. */
bool shadow_space_limits(struct shadow_space *space, pid_t tid);
void shadow_space_privileges(struct shadow_space *space, pid_t tid);

/* ---- call.c ------------------------------------------------------------- */

/* What threads may do by protection keys is asked of the kernel. */
void shadow_call_hooks(struct shadow_session *session,
                       struct aspen_config *config);
/* The task is about to make task->call. */
void shadow_call_enter(struct shadow_session *session, struct guest_task *task);
/* It has, and task->call.answer is what the kernel said. -1: give up. */
int shadow_call_leave(struct shadow_session *session, struct guest_task *task);

/* "mmap(0x0, ...) = ..." */
void shadow_call_text(const struct guest_call *call, char *text, size_t size);

/* ---- changed.c ---------------------------------------------------------- */

/* The call was made. */
void shadow_changed_note(struct shadow_space *space,
                         const struct guest_call *call);
/* It was compared; `whole`: all that is mapped. */
void shadow_changed_forget(struct shadow_space *space, bool whole);
void shadow_changed_free(struct shadow_space *space);
/* There is so much that to look at all of it has to wait. */
bool shadow_changed_is_enough(const struct shadow_space *space);
/* 1: it is the same, 0: not, or the kernel cannot be asked. -1: error. */
int shadow_changed_compare(struct shadow_session *session,
                           struct shadow_space *space, pid_t tid);

/* ---- known.c ------------------------------------------------------------ */

/* It fails where a page cannot be had. */
bool shadow_needs_pages(const struct linux_call *call);

/* A call for execution alone was refused: the kernel may have taken a key. */
void shadow_known_remember(struct guest_task *task);
/* Both have made memory for execution alone there: by the same key? */
int shadow_known_own_key(struct shadow_session *session,
                         struct guest_task *task, uint64_t address);
/* Answers differ. *known: by something that has a name, and is settled. */
int shadow_known_settle(struct shadow_session *session, struct guest_task *task,
                        int64_t answer, bool *known);

/* ---- compare.c ---------------------------------------------------------- */

/* A space differs, which may be by what nobody sees: counted. */
void shadow_count_unseen(struct shadow_session *session,
                         const struct shadow_space *space);

/* Are there mappings in the range, or beside its end, on either side that may
 * be one on the other? */
bool shadow_compare_joins(struct shadow_session *session,
                          struct guest_task *task, uint64_t start,
                          uint64_t bytes);

/* Compare and count; after a difference ours is made anew. -1: give up. */
int shadow_compare(struct shadow_session *session, struct guest_task *task,
                   const char *when);
/* The same after calls: with many mappings what they changed alone, and all of
 * them now and then. */
int shadow_compare_changed(struct shadow_session *session,
                           struct guest_task *task);
/* Both sides have refused task->call, which the kernel may have done up to
 * where it was refused: then ours is made anew. */
int shadow_compare_refused(struct shadow_session *session,
                           struct guest_task *task);
/* Stacks grow by accesses, which nobody sees. */
int shadow_compare_stacks(struct shadow_session *session,
                          struct shadow_space *space, pid_t tid);

/* ---- report.c ----------------------------------------------------------- */

/* One line for people, while the guest runs; the first few of them. */
void shadow_tell(struct shadow_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void shadow_report_sum(const struct shadow_session *session,
                       struct shadow_counts *sum);
void shadow_report_text(const struct shadow_session *session, FILE *to);
int shadow_report_json(const struct shadow_session *session);

/* ---- picture.c ---------------------------------------------------------- */

/* The page: counts, differences, what was mapped when. -1 and the reason. */
int shadow_picture_write(const struct shadow_session *session, const char *path,
                         struct tool_error *error);

#endif
