/* SPDX-License-Identifier: MIT */
/*
 * guest.h - a program that is followed by ptrace: each of its threads and
 * children, and those calls of them that the watcher names.
 *
 *   guest --> tasks       one a thread
 *         --> processes   one a thread group; stay when it has ended
 *   task ----> space      one a host mm; each task in it is a user
 *
 * A call of interest stops twice, where it is entered and where it is left. In
 * between its thread is inside of its space, and nobody else enters one there:
 * so the order of calls is certain. The guest gets all signals and stops as if
 * nobody were there.
 *
 * The watcher has a structure of its own for the guest, each task, process and
 * space, which begins with the one here; struct guest_watcher tells how large
 * they are. `shadow` is such a watcher (shadow/watch.c).
 */
#ifndef ASPEN_GUEST_H
#define ASPEN_GUEST_H

#include "common/tool.h"
#include "host/linux_calls.h"

#include <sys/types.h>

/* ---- Calls -------------------------------------------------------------- */

enum guest_kind {
    GUEST_IGNORED, /* it does not stop, or goes on at once */
    GUEST_CLONE,   /* fork, vfork, clone, clone3 */
    GUEST_EXEC,
    GUEST_OWN, /* the watcher's kinds begin here */
};

#define GUEST_RULE_VALUES 8u

/** A call that stops. Those of GUEST_CLONE and GUEST_EXEC are known already. */
struct guest_rule {
    uint32_t number;
    unsigned kind;                      /* GUEST_OWN or beyond */
    const char *name;                   /* NULL: linux_call_name() knows */
    int argument;                       /* which one decides; -1: none */
    uint32_t values[GUEST_RULE_VALUES]; /* one of these; ends at 0 */
};

/** A rule that no argument decides. */
#define GUEST_RULE(number, kind, name)                                         \
    {                                                                          \
        (number), (kind), (name), -1,                                          \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }

struct guest_call {
    struct linux_call call;
    unsigned kind;
    const char *name;
    int64_t answer;       /* the kernel's */
    uint64_t clone_flags; /* of GUEST_CLONE, as the kernel gets them */
    bool untraced;        /* the guest has asked for CLONE_UNTRACED as well */
};

/* ---- Spaces, processes, tasks ------------------------------------------- */

struct guest_space {
    unsigned users; /* tasks */
    struct guest_task *inside;
    bool followed; /* false: its calls have another form, nothing stops */
};

struct guest_process {
    struct guest_process *next;
    pid_t pid;
    char name[32];
    uint64_t execs;
    int status; /* of waitpid(), when ended */
    bool ended;
};

enum guest_state {
    GUEST_RUNS,
    GUEST_EXPECTED, /* told of by its maker, has not stopped yet */
    GUEST_EARLY,    /* has stopped, its maker has not told yet */
    GUEST_HELD,     /* another is inside of its space */
};

struct guest_task {
    struct guest_task *next;
    pid_t tid;
    enum guest_state state;
    int early_status; /* of waitpid(), of GUEST_EARLY */
    bool making;      /* in a GUEST_CLONE, has not told of whom it made */
    bool untraced;    /* was made by such a call, has not run yet */
    struct guest_space *space;
    struct guest_process *process;
    struct guest_call call;
};

/* What may happen besides calls. */
enum guest_event {
    /* A fatal signal met the maker before it told: the new task and its space
     * were found in /proc. */
    GUEST_FOUND,
    /* As before, and it could not be found out: its calls are not seen. */
    GUEST_LOST,
};

/* ---- Who watches -------------------------------------------------------- */

struct guest;

/**
 * What the watcher does, while the task that it is about stands still. What
 * returns an int returns 0, or gives up with -1 and the reason in guest->error.
 */
struct guest_watcher {
    const struct guest_rule *rules;
    size_t rules_count;
    size_t task_bytes;
    size_t process_bytes;
    size_t space_bytes;

    /**
     * A space for what exec has made, zeroed but for the guest's part. The task
     * leaves `old`, and its use of that ends with it; NULL: the first space,
     * or that of a process which runs already. After -1 `old` is as it was.
     */
    int (*space_exec)(struct guest *guest, struct guest_space *space,
                      struct guest_space *old, pid_t tid);
    int (*space_fork)(struct guest *guest, struct guest_space *child,
                      struct guest_space *parent);
    /** One user more, or less. The last one takes it down. */
    void (*space_get)(struct guest_space *space);
    void (*space_put)(struct guest_space *space);

    /** task->call is about to be made; and it was, with its answer. */
    void (*call_enter)(struct guest *guest, struct guest_task *task);
    int (*call_leave)(struct guest *guest, struct guest_task *task);

    /** A call of another form (PROCESSOR_OTHER_CALLS) is made, which nobody
     * reads. */
    void (*other_form)(struct guest *guest, struct guest_task *task);

    /** A fork is done, into a space of the child's own. */
    int (*forked)(struct guest *guest, struct guest_task *parent,
                  struct guest_task *child);
    /** exec is done, and task->space the new one. */
    int (*execed)(struct guest *guest, struct guest_task *task);
    /** A task ends. If it is inside of its space, a fatal signal has cut its
     * call short: nobody knows how far that came. */
    int (*ends)(struct guest *guest, struct guest_task *task);
    /** Something happened that changes what the result is worth. */
    void (*met)(struct guest *guest, enum guest_event event);
    /** The guest is let go, and this is the last look at a space of it. */
    int (*let_go)(struct guest *guest, struct guest_task *task);
    /** A signal has come while all tasks went on, as they still do. */
    void (*interrupted)(struct guest *guest);
};

/** What a guest begins with, which has that watcher; the rest is zero. */
#define GUEST_INIT(watcher_)                                                   \
    {                                                                          \
        .watcher = (watcher_), .said = -1                                      \
    }

/** Set to GUEST_INIT at first: zero in `said` would be a file. */
struct guest {
    const struct guest_watcher *watcher;
    struct guest_task *tasks;
    struct guest_process *processes;
    bool all_syscalls;    /* no filter: every call stops */
    bool orphans;         /* some may be there that nobody will tell of */
    bool attached;        /* to what ran already, and goes on without us */
    volatile bool enough; /* let go of it: may be set by a signal handler */
    pid_t first;          /* the first process */
    const char *command;  /* its name; NULL: attached */
    int said;             /* it says here that it cannot run; -1: attached */
    struct tool_error error;
};

/* ---- Begin, follow, end ------------------------------------------------- */

/* Each that returns an int: 0, or -1 with the reason in guest->error. */

/**
 * Start a command, which is seized before it makes its first call. Its standard
 * output goes to the file `output` ("-": where stderr goes; NULL: as ours).
 * -1: guest->error. What is left is for guest_end().
 */
int guest_start(struct guest *guest, char **command, const char *output);

/**
 * Take a process that runs (a thread's number means its process): all threads
 * seized and stopped, in one space. -1: guest->error.
 */
int guest_attach(struct guest *guest, pid_t pid);

/** Until nobody is left, or it is enough. -1: guest->error. */
int guest_follow(struct guest *guest);

/** Whoever is left, after an error, is killed; but goes on when attached. */
void guest_end(struct guest *guest);

/** The processes are kept for reports until then. */
void guest_free(struct guest *guest);

#endif
