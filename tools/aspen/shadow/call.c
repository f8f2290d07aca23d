/* SPDX-License-Identifier: MIT */
/*
 * call.c - one call of the guest, made in Aspen with the kernel's own
 * arguments, and both answers compared.
 *
 * Aspen is asked when the kernel has answered, but is not told what: nobody
 * else is inside of the space meanwhile. Only a file's name comes from there.
 *
 * Called by watch.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/process.h"
#include "host/processor.h"
#include "host/host.h"
#include "shadow/session.h"

#include <aspen/calls/advise.h>
#include <aspen/import.h>
#include <aspen/calls/mlock.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define RESTARTS_FROM 512 /* what calls answer inside of the kernel when a */
#define RESTARTS_TO   516 /* signal makes them begin again */

void
shadow_call_text(const struct guest_call *call, char *text, size_t size)
{
    const uint64_t *a = call->call.arguments;
    int used;

    if (!call->name) {
        snprintf(text, size, "exec");
        return;
    }
    used = snprintf(text, size,
                    "%s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
                    ", %d, 0x%" PRIx64 ") = ",
                    call->name, a[0], a[1], a[2], a[3], (int)a[4], a[5]);
    if (used < 0 || (size_t)used >= size)
        return;
    if (call->answer < 0)
        snprintf(text + used, size - (size_t)used, "-%s",
                 strerrorname_np((int)-call->answer)
                     ? strerrorname_np((int)-call->answer)
                     : "?");
    else
        snprintf(text + used, size - (size_t)used, "0x%" PRIx64,
                 (uint64_t)call->answer);
}

static bool
is_file_mmap(const struct guest_call *call)
{
    return call->call.number == SYS_mmap &&
           (call->call.arguments[3] & MAP_ANONYMOUS) == 0;
}

/* Near the stack, which may have grown since. */
static bool
is_near_stack(const struct shadow_space *space, const struct guest_call *call)
{
    const uint64_t room = UINT64_C(64) << 20;
    uint64_t start = call->call.arguments[0];

    return call->call.number == SYS_mlockall ||
           (call->call.number != SYS_brk && call->call.number != SYS_prctl &&
            start < space->stack_end &&
            start + call->call.arguments[1] + room > space->stack_end);
}

static bool
is_lock(const struct linux_call *call)
{
    return call->number == SYS_mlock || call->number == SYS_mlock2 ||
           call->number == SYS_munlock;
}

/* Aspen knows neither which segments are removed nor which seals a file has: a
 * segment that was removed is mapped again only as long as it is mapped
 * somewhere, be it in a process that nobody follows. */
static const char *
strange_memory(pid_t tid, const struct linux_call *call, bool secret)
{
    const uint64_t *a = call->arguments;

    if (call->number == SYS_remap_file_pages) {
        if (shadow_files_is_segment(tid, a[0]))
            return "remap_file_pages of a segment";
        return shadow_files_are_sealed(tid, a[0], a[1])
                   ? "remap_file_pages of a sealed memfd"
                   : NULL;
    }
    if (call->number == SYS_madvise)
        return a[2] == MADV_REMOVE && shadow_files_are_sealed(tid, a[0], a[1])
                   ? "REMOVE of a sealed memfd"
                   : NULL;
    return secret && is_lock(call) && shadow_files_are_secret(tid, a[0], a[1])
               ? "lock of secret memory"
               : NULL;
}

void
shadow_call_enter(struct shadow_session *session, struct guest_task *task)
{
    struct shadow_space *space = shadow_space_of(task->space);
    const struct guest_call *call = &task->call;

    if (is_file_mmap(call))
        shadow_files_look(task->tid, (int)call->call.arguments[4],
                          shadow_open_of(task));
    ((struct shadow_task *)task)->strange =
        strange_memory(task->tid, &call->call, session->has_secrets);
    if (shadow_needs_pages(&call->call))
        shadow_files_note_sizes(session, task->tid, call->call.arguments[0],
                                call->call.arguments[1]);
    space->grows |= call->call.number == SYS_mmap &&
                    call->call.arguments[3] & MAP_GROWSDOWN;
    if (call->kind == SHADOW_MODELLED &&
        (space->grows || is_near_stack(space, call)))
        (void)shadow_compare_stacks(session, space, task->tid);
}

/* ---- In Aspen ----------------------------------------------------------- */

static int
find_file(void *context, int descriptor, struct linux_file *file)
{
    const struct shadow_open *open = shadow_open_of(context);

    (void)descriptor;
    *file = open->file;
    return open->error;
}

/* As far as it can be read, page by page. */
static size_t
read_guest(void *context, uint64_t address, void *bytes, size_t length)
{
    const struct guest_task *task = context;
    size_t done = 0;

    while (done < length) {
        size_t rest = 4096 - (size_t)((address + done) % 4096);
        struct iovec ours = {(char *)bytes + done,
                             rest < length - done ? rest : length - done};
        struct iovec theirs = {(void *)(uintptr_t)(address + done),
                               ours.iov_len};
        ssize_t got = process_vm_readv(task->tid, &ours, 1, &theirs, 1, 0);

        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

static struct linux_space
linux_space_of(struct guest_task *task)
{
    return (struct linux_space){
        .mm = shadow_space_of(task->space)->mm,
        .find_file = find_file,
        .read = read_guest,
        .context = task,
        .unknown_flags = host_unknown_flags(),
        .no_pkey_calls = host_lacks_pkey_calls(),
    };
}

/* ---- What its thread may do by protection keys -------------------------- */

/* The kernel has made the call already, and changed what it changes. */
static uint32_t
thread_rights(void *context, const struct aspen_mm *mm)
{
    struct shadow_session *session = context;
    const struct guest_task *task = session->calling;
    uint32_t rights;

    if (!task || shadow_space_of(task->space)->mm != mm ||
        !processor_rights(task->tid, &rights))
        return ASPEN_RIGHTS_ALL;
    return rights;
}

static void
thread_rights_set(void *context, const struct aspen_mm *mm, uint32_t rights)
{
    (void)context;
    (void)mm;
    (void)rights;
}

void
shadow_call_hooks(struct shadow_session *session, struct aspen_config *config)
{
    session->arch.rights = thread_rights;
    session->arch.rights_set = thread_rights_set;
    config->hooks.arch = &session->arch;
    config->hooks.context = session;
}

/* ---- Made --------------------------------------------------------------- */

/* False: not modelled. */
static bool
make(struct shadow_session *session, struct guest_task *task, int64_t *answer)
{
    const struct guest_call *call = &task->call;
    struct shadow_open *open = shadow_open_of(task);
    struct linux_space space = linux_space_of(task);

    if (is_file_mmap(call) && open->error == 0) {
        if (open->unmodelled)
            return false;
        open->file.object =
            shadow_files_object(session, task->tid, open, call->answer);
        if (!open->file.object)
            return false;
    }
    session->calling = task;
    bool made = linux_call_make(&space, &call->call, answer);
    session->calling = NULL;
    return made;
}

/* ---- Compared ----------------------------------------------------------- */

/* The kernel had to look for a place, and found one. */
static bool
was_picked(const struct guest_call *call)
{
    const uint64_t *a = call->call.arguments;

    if (linux_is_error(call->answer) || (uint64_t)call->answer == a[0])
        return false;
    if (call->call.number == SYS_mmap)
        return (a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == 0;
    return call->call.number == SYS_mremap && (a[3] & MREMAP_FIXED) == 0;
}

/* Ours is put where the kernel's is. */
static int
put_there(struct shadow_session *session, struct guest_task *task,
          int64_t answer)
{
    struct guest_call *call = &task->call;
    struct linux_space space = linux_space_of(task);
    struct linux_call unmap = {SYS_munmap,
                               {(uint64_t)answer, call->call.arguments[1]}};
    struct linux_call map = call->call;
    int64_t there = -1;

    if (call->call.number != SYS_mmap)
        return shadow_space_again(session, task);
    map.arguments[0] = (uint64_t)call->answer;
    map.arguments[3] |= MAP_FIXED;
    if (linux_call_make(&space, &unmap, &there) && there == 0 &&
        linux_call_make(&space, &map, &there) && there == call->answer)
        return 0;
    return shadow_space_again(session, task);
}

static int
compare_place(struct shadow_session *session, struct guest_task *task,
              int64_t answer)
{
    struct shadow_counts *counts = &shadow_process_of(task->process)->counts;

    counts->addresses_picked++;
    if (answer == task->call.answer) {
        counts->addresses_same++;
        return 0;
    }
    if (session->elsewhere[0] == '\0') {
        char text[200];
        shadow_call_text(&task->call, text, sizeof(text));
        snprintf(session->elsewhere, sizeof(session->elsewhere),
                 "%s, Aspen 0x%" PRIx64, text, (uint64_t)answer);
    }
    return put_there(session, task, answer);
}

static int
tell_answer(struct shadow_session *session, struct guest_task *task,
            int64_t answer)
{
    char text[256];

    shadow_process_of(task->process)->counts.answers_differ++;
    shadow_call_text(&task->call, text, sizeof(text));
    if (linux_is_error(answer))
        shadow_tell(session, "process %d: %s, Aspen answers -%s",
                    (int)task->process->pid, text,
                    strerrorname_np((int)-answer));
    else
        shadow_tell(session, "process %d: %s, Aspen answers 0x%" PRIx64,
                    (int)task->process->pid, text, (uint64_t)answer);
    return shadow_space_again(session, task);
}

static void
remember_locking(struct shadow_space *space, const struct guest_call *call)
{
    uint64_t flags = call->call.arguments[0];

    if (call->answer != 0)
        return;
    if (call->call.number == SYS_mlockall)
        space->lock_future =
            flags & MCL_FUTURE
                ? (unsigned)flags & (ASPEN_MCL_FUTURE | ASPEN_MCL_ONFAULT)
                : 0;
    if (call->call.number == SYS_munlockall)
        space->lock_future = 0;
}

/* ---- Refused by both --------------------------------------------------- */

/* Refused, but the kernel goes mapping by mapping, or unmaps first. */
static bool
may_be_half_done(const struct guest_call *call)
{
    switch (call->call.number) {
    case SYS_mmap:
        return call->call.arguments[3] & MAP_FIXED;
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_mlockall:
        return true;
    default:
        return false;
    }
}

/* Refused by the kernel, and Aspen either makes it as a whole or not at all. */
static bool
is_refused_whole(const struct guest_call *call)
{
    return linux_is_error(call->answer) && call->call.number != SYS_madvise &&
           call->call.number != SYS_mlock && call->call.number != SYS_mlock2;
}

/* Both have refused; `before`: what Aspen's space was. */
static int
compare_refused(struct shadow_session *session, struct guest_task *task,
                uint64_t before)
{
    const struct guest_call *call = &task->call;
    struct aspen_mm *mm = shadow_space_of(task->space)->mm;
    char text[256];

    if (is_refused_whole(call) &&
        aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC) != before) {
        shadow_process_of(task->process)->counts.answers_differ++;
        shadow_call_text(call, text, sizeof(text));
        shadow_tell(session, "process %d: %s, Aspen has changed something",
                    (int)task->process->pid, text);
        return shadow_space_again(session, task);
    }
    return may_be_half_done(call) ? shadow_compare_refused(session, task) : 0;
}

static int
compare_answer(struct shadow_session *session, struct guest_task *task,
               int64_t answer, uint64_t before)
{
    struct guest_call *call = &task->call;

    shadow_process_of(task->process)->counts.calls++;
    tally_add(&session->by_call, call->name, 1);
    remember_locking(shadow_space_of(task->space), call);
    shadow_known_remember(task);
    if (!linux_is_error(answer) && was_picked(call)) {
        int result = compare_place(session, task, answer);
        return result ? result
                      : shadow_known_own_key(session, task,
                                             (uint64_t)call->answer);
    }
    if (answer == call->answer && linux_is_error(answer))
        return compare_refused(session, task, before);
    if (answer == call->answer)
        return shadow_known_own_key(session, task,
                                    call->call.number == SYS_mmap
                                        ? (uint64_t)answer
                                        : call->call.arguments[0]);
    /* The vector is the guest's memory, which Aspen does not have. */
    if (call->call.number == SYS_mincore && call->answer == -EFAULT)
        return 0;
    bool known = false;
    int result = shadow_known_settle(session, task, answer, &known);
    if (known)
        return result;
    return tell_answer(session, task, answer);
}

/* ---- Not modelled ------------------------------------------------------- */

/* With MDWE nothing becomes executable: not what may be written, and not what
 * was not before. Aspen has no such thing. */
static bool
is_denied(const struct guest_task *task)
{
    const struct guest_call *call = &task->call;
    uint64_t number = call->call.number;

    return shadow_space_of(task->space)->denies_execution &&
           call->answer == -EACCES &&
           (number == SYS_mmap || number == SYS_mprotect ||
            number == SYS_pkey_mprotect) &&
           call->call.arguments[2] & PROT_EXEC;
}

static const char *
strange_of(const struct guest_task *task)
{
    return ((const struct shadow_task *)task)->strange;
}

/* Some go on to have an effect. */
static void
note_unseen(struct guest_task *task)
{
    const struct linux_call *call = &task->call.call;
    struct shadow_space *space = shadow_space_of(task->space);

    if (call->number == SYS_ioctl)
        space->unseen |= SHADOW_BY_USERFAULT;
    if (call->number == SYS_prctl &&
        call->arguments[0] == SHADOW_MEMORY_MERGE && call->arguments[1])
        space->unseen |= SHADOW_BY_MEMORY_MERGE;
}

static int
leave_unmodelled(struct shadow_session *session, struct guest_task *task)
{
    const struct guest_call *call = &task->call;
    const struct shadow_open *open = shadow_open_of(task);
    const char *name = call->name;
    const char *strange = strange_of(task);

    if (strange)
        name = strange;
    else if (is_denied(task))
        name = "refused by MDWE";
    else if (is_file_mmap(call) && open->unmodelled)
        name = open->unmodelled;
    tally_add(&session->unmodelled, name, 1);
    if (linux_call_is_execute_only(&call->call))
        shadow_space_of(task->space)->own_key_open = true;
    if (!linux_is_error(call->answer))
        note_unseen(task);
    if (!linux_is_error(call->answer) || strange || is_denied(task))
        return shadow_space_again(session, task);
    /* What was there may be gone, though the call was refused. */
    return may_be_half_done(call) ? shadow_compare_refused(session, task) : 0;
}

static int
leave_modelled(struct shadow_session *session, struct guest_task *task)
{
    struct shadow_space *space = shadow_space_of(task->space);
    const struct guest_call *call = &task->call;
    uint64_t before = 0;
    int64_t answer;

    if (shadow_space_limits(space, task->tid))
        tally_add(&session->set_up, "limits", 1);
    if (call->call.number == SYS_mlock || call->call.number == SYS_mlock2 ||
        call->call.number == SYS_mlockall)
        shadow_space_privileges(space, task->tid);
    if (is_denied(task) || strange_of(task))
        return leave_unmodelled(session, task);
    if (is_refused_whole(call))
        before = aspen_hash_mm(space->mm, ASPEN_HASH_SEMANTIC);
    if (make(session, task, &answer))
        return compare_answer(session, task, answer, before);
    return leave_unmodelled(session, task);
}

/* What does not change mappings by itself. */
static void
leave_other(struct shadow_session *session, struct guest_task *task)
{
    struct shadow_space *space = shadow_space_of(task->space);
    const struct guest_call *call = &task->call;
    const uint64_t *a = call->call.arguments;

    if (linux_is_error(call->answer) && call->kind != SHADOW_PTRACE)
        return;
    switch (call->kind) {
    case SHADOW_MDWE:
        tally_add(&session->unmodelled, "prctl", 1);
        space->denies_execution = true;
        break;
    case SHADOW_RING:
        space->unseen |= SHADOW_BY_RING;
        tally_add(&session->not_followed, "io_uring", 1);
        break;
    case SHADOW_SECRET:
        session->has_secrets = true;
        break;
    case SHADOW_PTRACE:
        tally_add(&session->not_followed, "ptrace", 1);
        break;
    case SHADOW_PERSONALITY:
        if ((uint32_t)a[0] == UINT32_MAX || !(a[0] & READ_IMPLIES_EXEC))
            break; /* asked for; or something else */
        space->unseen |= SHADOW_BY_PERSONALITY;
        tally_add(&session->not_followed, "READ_IMPLIES_EXEC", 1);
        break;
    case SHADOW_FILTER:
        if (!(a[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER))
            break;
        space->unseen |= SHADOW_BY_NOTIFICATION;
        tally_add(&session->not_followed, "seccomp listener", 1);
        break;
    default:
        break;
    }
}

/* It was refused; but if it came too far for that the task has lost its space,
 * and dies. */
static int
leave_exec(struct shadow_session *session, struct guest_task *task)
{
    if (!linux_is_error(task->call.answer) ||
        !guest_has_fatal_signal(task->tid))
        return 0;
    tally_add(&session->set_up, "calls cut short", 1);
    return task->space->users == 1 ? shadow_space_again(session, task) : 0;
}

int
shadow_call_leave(struct shadow_session *session, struct guest_task *task)
{
    struct guest_call *call = &task->call;
    struct shadow_space *space = shadow_space_of(task->space);
    int result = 0;

    if ((call->answer <= -RESTARTS_FROM && call->answer >= -RESTARTS_TO) ||
        call->answer == -EINTR)
        return 0;
    space->last = *call;
    timeline_call(space->timeline, call->name ? call->name : "exec");
    session->timelines.now = space->timeline;
    if (call->kind == GUEST_EXEC)
        return leave_exec(session, task);
    if (call->kind == SHADOW_MODELLED)
        result = leave_modelled(session, task);
    else if (call->kind == SHADOW_UNMODELLED)
        result = leave_unmodelled(session, task);
    else
        leave_other(session, task);
    space = shadow_space_of(task->space);
    shadow_changed_note(space, call);
    if (result == 0 && session->every && ++space->calls % session->every == 0)
        result = shadow_compare_changed(session, task);
    return result;
}
