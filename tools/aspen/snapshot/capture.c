/* SPDX-License-Identifier: MIT */
/*
 * capture.c - take a snapshot of a process that runs.
 *
 * stop.c makes it stand still, smaps.c reads its mappings, pages.c what their
 * page tables hold; this file puts them together, and runs commands that are
 * only started to be captured.
 *
 * I1  Whatever happens, the process goes on: stop_end() is on every path, and
 *     a tracer that dies lets go of its tracees.
 *
 * Called by command.c and rehearse/command.c. tests/unit/tools/test_capture.c
 * breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/capture.h"
#include "guest/process.h"
#include "guest/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIRECTORY_BYTES 64
#define POLL_NS         2000000u

/* What /proc/P/status says of a process. */
struct status {
    struct guest_status process;
    uint64_t counters[SNAPSHOT_COUNTERS];
};

static const char *const counter_names[SNAPSHOT_COUNTERS] = {
    "VmSize:", "VmRSS:", "RssAnon:", "RssFile:",      "RssShmem:",
    "VmSwap:", "VmPTE:", "VmLck:",   "HugetlbPages:",
};

static void
take_counter(struct status *status, const char *line)
{
    size_t length = strcspn(line, " \t");

    for (unsigned i = 0; i < SNAPSHOT_COUNTERS; i++)
        if (strlen(counter_names[i]) == length &&
            memcmp(line, counter_names[i], length) == 0)
            status->counters[i] = strtoull(line + length, NULL, 10);
}

/* 0, or a negative errno. */
static int
read_status(struct status *status, const char *directory)
{
    char path[DIRECTORY_BYTES + 16];
    char line[512];
    FILE *file;

    for (unsigned i = 0; i < SNAPSHOT_COUNTERS; i++)
        status->counters[i] = SNAPSHOT_UNKNOWN;
    snprintf(path, sizeof(path), "%s/status", directory);
    file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    while (fgets(line, sizeof(line), file) != NULL)
        take_counter(status, line);
    fclose(file);
    return guest_status_read(&status->process, directory);
}

static bool
has_memory(const struct status *status)
{
    return status->counters[SNAPSHOT_VM_SIZE] != SNAPSHOT_UNKNOWN;
}

static int
has_ended(pid_t process, const struct guest_status *status,
          struct tool_error *error)
{
    return tool_fail(error, "process %d (%s) has ended (a zombie)",
                     (int)process, status->name);
}

/*
 * Where to read it: the process, or, when its first thread has ended and
 * others live on, one of those.
 */
static int
find_directory(pid_t process, const struct stop *stop, char *directory,
               struct status *status, struct tool_error *error)
{
    snprintf(directory, DIRECTORY_BYTES, "/proc/%d", (int)process);
    if (read_status(status, directory) != 0)
        return tool_fail(error, "process %d has ended", (int)process);
    if (has_memory(status))
        return 0;
    for (size_t i = 0; i < stop->count; i++) {
        snprintf(directory, DIRECTORY_BYTES, "/proc/%d/task/%d", (int)process,
                 (int)stop->threads[i].thread);
        if (read_status(status, directory) == 0 && has_memory(status))
            return 0;
    }
    if (guest_status_ended(&status->process))
        return has_ended(process, &status->process, error);
    return tool_fail(error,
                     "process %d (%s) has no address space (a kernel "
                     "thread, or it is ending)",
                     (int)process, status->process.name);
}

/* The process may be gone by now: then reading fails, or there is nothing. */
static int
add_area(struct snapshot *snapshot, const struct smaps_area *area,
         struct pages *pages, struct tool_error *error)
{
    struct snapshot_vma vma = {
        .start = area->start,
        .end = area->end,
        .permissions = area->permissions,
        .pgoff = area->offset >> SNAPSHOT_PAGE_SHIFT,
        .rss_pages = area->rss_kb / 4,
        .swap_pages = area->swap_kb / 4,
    };

    for (uint64_t kb = area->page_kb; kb > 1; kb /= 2)
        vma.page_shift++;
    vma.page_shift += 10;
    vma.vm_flags =
        snapshot_string(snapshot, area->vm_flags, strlen(area->vm_flags));
    vma.path = snapshot_string(snapshot, area->path, strlen(area->path));
    if (vma.vm_flags == UINT32_MAX || vma.path == UINT32_MAX ||
        smaps_object(snapshot, area, &vma.object) != 0)
        return tool_fail(error, "no memory");
    vma.flags = snapshot_vma_flags(snapshot, &vma);
    if (snapshot_add_vma(snapshot, &vma) == NULL)
        return tool_fail(error, "no memory");
    return pages_read(pages, snapshot, area, error);
}

/* Torn reads may repeat an area that grew meanwhile: take what is behind. */
static bool
fits_behind(const struct snapshot *snapshot, struct smaps_area *area)
{
    uint64_t end = 0;

    if (snapshot->vma_count > 0)
        end = snapshot->vmas[snapshot->vma_count - 1].end;
    if (area->start < end) {
        if (area->end <= end)
            return false;
        area->offset += end - area->start;
        area->start = end;
    }
    return true;
}

static int
read_areas(struct snapshot *snapshot, const char *directory,
           struct pages *pages, struct tool_error *error)
{
    char path[DIRECTORY_BYTES + 16];
    struct smaps_reader reader;
    struct smaps_area area;
    FILE *file;
    int got;

    snprintf(path, sizeof(path), "%s/smaps", directory);
    file = fopen(path, "re");
    if (file == NULL)
        return tool_fail(error, "cannot open %s: %s", path,
                         errno == ENOENT ? "the process has ended"
                                         : strerror(errno));
    smaps_begin(&reader, file);
    while ((got = smaps_next(&reader, &area, error)) == 1)
        if (fits_behind(snapshot, &area) &&
            (got = add_area(snapshot, &area, pages, error)) != 0)
            break;
    smaps_end(&reader);
    fclose(file);
    return got;
}

static int
read_process(struct snapshot *snapshot, pid_t process, const struct stop *stop,
             const struct capture_options *options, struct tool_error *error)
{
    char directory[DIRECTORY_BYTES];
    struct status status;
    struct status after;
    struct utsname system;
    struct pages pages;
    int result;

    if (find_directory(process, stop, directory, &status, error) != 0 ||
        pages_open(&pages, directory, options->method, error) != 0)
        return -1;
    snapshot->method =
        pages.method == PAGES_SCAN ? SNAPSHOT_BY_SCAN : SNAPSHOT_BY_PAGEMAP;
    snapshot->frames_told = pages.frames_told;
    result = read_areas(snapshot, directory, &pages, error);
    pages_close(&pages);
    if (result != 0)
        return result;
    if (read_status(&after, directory) != 0 || !has_memory(&after))
        return tool_fail(error, "process %d has ended meanwhile", (int)process);
    memcpy(snapshot->counters, status.counters, sizeof(snapshot->counters));
    uname(&system);
    snapshot->name = snapshot_string(snapshot, status.process.name,
                                     strlen(status.process.name));
    snapshot->release =
        snapshot_string(snapshot, system.release, strlen(system.release));
    if (snapshot->name == UINT32_MAX || snapshot->release == UINT32_MAX)
        return tool_fail(error, "no memory");
    return 0;
}

int
capture_process(struct snapshot *snapshot, pid_t process,
                const struct capture_options *options, struct tool_error *error)
{
    struct tool_error check;
    struct guest_status status;
    struct stop stop = {0};
    int result;

    if (guest_look(&process, &status, error) != 0)
        return -1;
    if (snapshot_init(snapshot) != 0)
        return tool_fail(error, "no memory");
    snapshot->torn = options->no_stop;
    result = options->no_stop ? 0 : stop_begin(&stop, process, error);
    if (result == 0)
        result = read_process(snapshot, process, &stop, options, error);
    stop_end(&stop);
    if (result == 0 && snapshot_check(snapshot, &check) != 0)
        result = tool_fail(error, "what /proc/%d tells does not fit: %s",
                           (int)process, check.text);
    if (result != 0)
        snapshot_free(snapshot);
    return result;
}

/* --- commands that are started to be captured ---------------------------- */

/*
 * The command runs in a session of its own, so the terminal's signals end us
 * and not it: it is taken along, with what it has started.
 */
static volatile pid_t running_command;
static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define ENDING_SIGNALS (sizeof(ending_signals) / sizeof(ending_signals[0]))

static void
end_with_command(int number)
{
    if (running_command > 0)
        kill(-running_command, SIGKILL);
    signal(number, SIG_DFL);
    raise(number);
}

/* Signals that somebody has us ignore stay ignored. */
static void
take_along(pid_t command)
{
    for (size_t i = 0; i < ENDING_SIGNALS; i++) {
        struct sigaction action;

        sigaction(ending_signals[i], NULL, &action);
        if (action.sa_handler == SIG_IGN)
            continue;
        signal(ending_signals[i], command > 0 ? end_with_command : SIG_DFL);
    }
    running_command = command;
}

static void
become_command(char *const *command, int output, int input, int report)
{
    sigset_t none;
    int reason;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0)
        reason = -tool_exec(command);
    else
        reason = errno;
    (void)!write(report, &reason, sizeof(reason));
    _exit(127);
}

/* Wait for the command to end, at most until the deadline. */
static int
await_end(const struct capture_run *run, uint64_t deadline_ns, uint64_t after,
          const char *name, struct tool_error *error)
{
    siginfo_t info;

    for (;;) {
        uint64_t now = tool_now_ns();

        info.si_pid = 0;
        if (waitid(P_PID, (id_t)run->process, &info,
                   WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0)
            return tool_fail(error,
                             "%s ended before --after %llu.%03llu s: %s %d",
                             name, (unsigned long long)(after / 1000000000u),
                             (unsigned long long)(after / 1000000u % 1000u),
                             info.si_code == CLD_EXITED ? "status" : "signal",
                             info.si_status);
        if (now >= deadline_ns)
            return 0;
        now += POLL_NS;
        tool_sleep_until_ns(now < deadline_ns ? now : deadline_ns);
    }
}

static int
start(struct capture_run *run, char *const *command, int output, int *reason)
{
    int input[2];
    int report[2];

    *reason = 0;
    if (pipe2(input, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(report, O_CLOEXEC) != 0) {
        int error = -errno;

        close(input[0]);
        close(input[1]);
        return error;
    }
    run->process = fork();
    if (run->process == 0)
        become_command(command, output, input[0], report[1]);
    run->input = input[1];
    if (run->process > 0)
        take_along(run->process);
    close(input[0]);
    close(report[1]);
    if (run->process > 0 &&
        read(report[0], reason, sizeof(*reason)) != sizeof(*reason))
        *reason = 0;
    close(report[0]);
    return run->process > 0 ? 0 : -EAGAIN;
}

int
capture_run_begin(struct capture_run *run, char *const *command,
                  const char *output, uint64_t after_ns,
                  struct tool_error *error)
{
    const char *path = output != NULL ? output : "/dev/null";
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    int fd = open(path, flags, 0666);
    uint64_t deadline_ns;
    int result;
    int reason;

    memset(run, 0, sizeof(*run));
    run->input = -1;
    if (fd < 0)
        return tool_fail(error, "cannot write %s: %s", path, strerror(errno));
    result = start(run, command, fd, &reason);
    close(fd);
    deadline_ns = tool_now_ns() + after_ns;
    if (result != 0)
        result = tool_fail(error, "cannot start %s: %s", command[0],
                           strerror(-result));
    else if (reason != 0)
        result =
            tool_fail(error, "cannot run %s: %s", command[0], strerror(reason));
    else
        result = await_end(run, deadline_ns, after_ns, command[0], error);
    if (result != 0)
        capture_run_end(run);
    return result;
}

void
capture_run_end(struct capture_run *run)
{
    if (run->process > 0) {
        kill(-run->process, SIGKILL);
        kill(run->process, SIGKILL);
        take_along(0);
        while (waitpid(run->process, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (run->input >= 0)
        close(run->input);
    run->process = 0;
    run->input = -1;
}

int
capture_from(struct snapshot *snapshot, const struct capture_source *source,
             struct tool_error *error)
{
    struct capture_run run;
    int result;

    if (source->file != NULL)
        return snapshot_load(snapshot, source->file, error);
    if (source->command == NULL)
        return capture_process(snapshot, source->process, &source->options,
                               error);
    if (capture_run_begin(&run, source->command, source->output,
                          source->after_ns, error) != 0)
        return -1;
    result = capture_process(snapshot, run.process, &source->options, error);
    capture_run_end(&run);
    return result;
}
