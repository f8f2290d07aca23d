/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - scratch processes of the host, driven by ptrace.
 *
 * The zygote is this program after exec, stopped before its first instruction,
 * without a chance in its layout and without capabilities. It gets the
 * executor - a page with five instructions, each with a breakpoint behind it -
 * and loses all else: its stack, its libraries, the vdso. What it does from
 * then on is what we put into its registers. Each sequence runs in children of
 * it.
 *
 * Called by pair.c and compare.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"
#include "guest/drive.h"
#include "host/processor.h"
#include "host/refused.h"
#include "snapshot/smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

/* Offsets into the executor's first page. */
#define AT_CALL       0u
#define AT_READ       PROCESSOR_CODE_BYTES
#define AT_WRITE      (2 * PROCESSOR_CODE_BYTES)
#define AT_RIGHTS     (3 * PROCESSOR_CODE_BYTES)
#define AT_SET_RIGHTS (4 * PROCESSOR_CODE_BYTES)

/* Exit status of one that cannot have its files. */
#define NO_DESCRIPTORS 126

static const uint8_t executor[5 * PROCESSOR_CODE_BYTES] = {
    [AT_CALL] = PROCESSOR_CODE_CALL,
    [AT_READ] = PROCESSOR_CODE_READ,
    [AT_WRITE] = PROCESSOR_CODE_WRITE,
    [AT_RIGHTS] = PROCESSOR_CODE_RIGHTS,
    [AT_SET_RIGHTS] = PROCESSOR_CODE_SET_RIGHTS,
};

/* ---- Accesses ----------------------------------------------------------- */

static int64_t
run_access(pid_t pid, uint64_t at, uint64_t address, uint8_t byte)
{
    struct user_regs_struct registers;
    int64_t met;

    if (!guest_registers(pid, &registers))
        return GUEST_SIGNAL(0, 0);
    processor_set_access(&registers, FUZZ_EXECUTOR + at, address, byte);
    met = guest_run(pid, &registers);
    return met ? met : (processor_answer(&registers) & 255);
}

static int64_t
run_rights(pid_t pid, uint64_t at, uint32_t *rights)
{
    struct user_regs_struct registers;
    int64_t met;

    if (!guest_registers(pid, &registers))
        return GUEST_SIGNAL(0, 0);
    processor_set_rights(&registers, FUZZ_EXECUTOR + at, *rights);
    met = guest_run(pid, &registers);
    *rights = (uint32_t)processor_answer(&registers);
    return met;
}

/* ---- The zygote --------------------------------------------------------- */

static void
drop_privileges(void)
{
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

/* A soft limit; its hard limit may be lower already, and cannot rise. */
static int
limit_space(pid_t pid, uint64_t bytes)
{
    struct rlimit limit;

    if (prlimit(pid, RLIMIT_AS, NULL, &limit) != 0)
        return -1;
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    return prlimit(pid, RLIMIT_AS, &limit, NULL);
}

/* What has numbers from FUZZ_DESCRIPTOR on may need more of them. */
static void
allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur >= FUZZ_DESCRIPTOR + FUZZ_DESCRIPTORS)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void
become_zygote(const struct fuzz_kernel *kernel)
{
    static const int modes[] = {O_RDWR, O_RDONLY, O_WRONLY};
    char path[64];

    allow_descriptors();
    for (int i = 0; i < FUZZ_DESCRIPTORS; i++) {
        int file;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", kernel->files[i / 3]);
        file = open(path, modes[i % 3]);
        if (file < 0 || dup2(file, FUZZ_DESCRIPTOR + i) < 0)
            _exit(NO_DESCRIPTORS);
    }
    drop_privileges();
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (personality(ADDR_NO_RANDOMIZE) < 0)
        _exit(125);
    (void)limit_space(getpid(), FUZZ_ADDRESS_SPACE * 64);
    raise(SIGSTOP);
    execl("/proc/self/exe", "aspen", NULL);
    _exit(127);
}

static int
open_disk(void)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    int file;

    snprintf(path, sizeof(path), "%s/aspen-fuzz-XXXXXX",
             folder ? folder : "/tmp");
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0)
        unlink(path);
    return file;
}

static bool
host_swaps(void)
{
    FILE *swaps = fopen("/proc/swaps", "re");
    int lines = 0;
    int byte;

    while (swaps && (byte = fgetc(swaps)) != EOF)
        lines += byte == '\n';
    if (swaps)
        fclose(swaps);
    return lines > 1;
}

int
fuzz_kernel_begin(struct fuzz_kernel *kernel, struct tool_error *error)
{
    const char *refused = host_refuses(HOST_PTRACE);
    int status;

    if (!refused)
        refused = host_refuses(HOST_NO_RANDOMIZE);
    if (refused)
        return tool_fail(error, "%s", refused);
    kernel->files[FUZZ_MEMORY] = memfd_create("aspen-fuzz", MFD_CLOEXEC);
    kernel->files[FUZZ_DISK] = open_disk();
    for (int i = 0; i < FUZZ_FILES; i++)
        if (kernel->files[i] < 0)
            return tool_fail(error, "cannot make a file: %s", strerror(errno));
    kernel->swaps = host_swaps();
    fflush(NULL);
    kernel->zygote = fork();
    if (kernel->zygote < 0)
        return tool_fail(error, "cannot fork: %s", strerror(errno));
    if (kernel->zygote == 0)
        become_zygote(kernel);
    if (waitpid(kernel->zygote, &status, WUNTRACED) != kernel->zygote ||
        !WIFSTOPPED(status))
        return tool_fail(error, "the scratch process does not start%s",
                         WEXITSTATUS(status) == NO_DESCRIPTORS
                             ? ": its files cannot be opened (RLIMIT_NOFILE?)"
                             : "");
    if (ptrace(PTRACE_SEIZE, kernel->zygote, NULL, (void *)OPTIONS) != 0)
        return tool_fail(error, "cannot trace: %s", strerror(errno));
    kill(kernel->zygote, SIGCONT);
    if (guest_run_to_exec(kernel->zygote) != 0)
        return tool_fail(error, "the scratch process is gone");
    return 0;
}

/* ---- Stripped ----------------------------------------------------------- */

/* With the first of its instructions where the program would begin. */
static int
map_executor(pid_t pid)
{
    struct linux_call map = {SYS_mmap,
                             {FUZZ_EXECUTOR, FUZZ_EXECUTOR_PAGES * FUZZ_PAGE,
                              PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                              UINT64_MAX, 0}};
    struct user_regs_struct registers;

    if (!guest_registers(pid, &registers) ||
        !guest_put_word(pid, processor_at(&registers), executor) ||
        guest_make_call(pid, processor_at(&registers), &map) !=
            (int64_t)FUZZ_EXECUTOR)
        return -1;
    for (unsigned i = 0; i < sizeof(executor); i += 8)
        if (!guest_put_word(pid, FUZZ_EXECUTOR + i, executor + i))
            return -1;
    return 0;
}

/* Where the first mapping beyond the executor is. 0: none. */
static int
first_area(pid_t pid, struct linux_call *unmap)
{
    unsigned long long start, end;
    char path[64];
    char line[512];
    int found = 0;
    FILE *maps;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    if (!maps)
        return -1;
    while (!found && fgets(line, sizeof(line), maps))
        if (sscanf(line, "%llx-%llx", &start, &end) == 2 &&
            start > FUZZ_EXECUTOR && start >> PROCESSOR_ADDRESS_BITS == 0) {
            *unmap = (struct linux_call){SYS_munmap, {start, end - start}};
            found = 1;
        }
    fclose(maps);
    return found;
}

int
fuzz_kernel_strip(struct fuzz_kernel *kernel, struct tool_error *error)
{
    struct linux_call call;
    int found;

    if (map_executor(kernel->zygote) != 0)
        return tool_fail(error, "the scratch process gets no executor");
    while ((found = first_area(kernel->zygote, &call)) == 1)
        if (guest_make_call(kernel->zygote, FUZZ_EXECUTOR, &call) != 0)
            return tool_fail(error, "the scratch process keeps its mappings");
    if (found < 0 || limit_space(kernel->zygote, FUZZ_ADDRESS_SPACE) != 0)
        return tool_fail(error, "cannot set up the scratch process: %s",
                         strerror(errno));
    return 0;
}

int64_t
fuzz_kernel_ask(struct fuzz_kernel *kernel, const struct linux_call *call)
{
    return guest_make_call(kernel->zygote, FUZZ_EXECUTOR, call);
}

/* ---- Children ----------------------------------------------------------- */

static int
open_of(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool
open_all(struct fuzz_kernel *kernel, unsigned number)
{
    pid_t pid = kernel->process[number];
    bool good = true;

    for (unsigned i = 0; i < AREAS_TEXTS; i++) {
        kernel->texts[number][i] = areas_open((enum areas_text)i, pid);
        good &= kernel->texts[number][i] != NULL;
    }
    kernel->pagemap[number] = open_of(pid, "pagemap");
    kernel->memory[number] = open_of(pid, "mem");
    return good && kernel->pagemap[number] >= 0 && kernel->memory[number] >= 0;
}

static void
close_all(struct fuzz_kernel *kernel, unsigned number)
{
    for (unsigned i = 0; i < AREAS_TEXTS; i++)
        if (kernel->texts[number][i])
            fclose(kernel->texts[number][i]);
    close(kernel->pagemap[number]);
    close(kernel->memory[number]);
}

/* Of anybody, as our own child. An errno if it is refused. */
static int64_t
make_child(struct fuzz_kernel *kernel, pid_t parent, unsigned number)
{
    struct linux_call clone = {SYS_clone, {0x8000 | SIGCHLD}}; /* our child */
    int64_t pid = guest_make_call(parent, FUZZ_EXECUTOR, &clone);
    int status;

    if (pid <= 0)
        return pid;
    if (guest_wait_stop((pid_t)pid, &status) != 0)
        return GUEST_SIGNAL(0, 0);
    kernel->process[number] = (pid_t)pid;
    return open_all(kernel, number) ? 0 : GUEST_SIGNAL(0, 0);
}

static void
end_child(struct fuzz_kernel *kernel, unsigned number)
{
    pid_t pid = kernel->process[number];
    int status;

    if (pid == 0)
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
        ;
    close_all(kernel, number);
    kernel->process[number] = 0;
}

int
fuzz_kernel_fresh(struct fuzz_kernel *kernel)
{
    fuzz_kernel_clear(kernel);
    for (unsigned i = 0; i < FUZZ_FILES; i++)
        if (ftruncate(kernel->files[i], 0) != 0 ||
            ftruncate(kernel->files[i], (off_t)(FUZZ_FILE_PAGES * FUZZ_PAGE)) !=
                0)
            return -1;
    return make_child(kernel, kernel->zygote, 0) == 0 ? 0 : -1;
}

void
fuzz_kernel_clear(struct fuzz_kernel *kernel)
{
    for (unsigned i = 0; i < FUZZ_PROCESSES; i++)
        end_child(kernel, i);
}

void
fuzz_kernel_end(struct fuzz_kernel *kernel)
{
    int status;

    fuzz_kernel_clear(kernel);
    if (kernel->zygote > 0) {
        kill(kernel->zygote, SIGKILL);
        while (waitpid(kernel->zygote, &status, __WALL) == kernel->zygote &&
               WIFSTOPPED(status))
            ;
    }
    for (unsigned i = 0; i < FUZZ_FILES; i++)
        if (kernel->files[i] > 0)
            close(kernel->files[i]);
}

/* ---- Operations --------------------------------------------------------- */

int64_t
fuzz_kernel_rights(struct fuzz_kernel *kernel, unsigned process,
                   uint32_t *rights)
{
    *rights = 0;
    return run_rights(kernel->process[process], AT_RIGHTS, rights);
}

static int64_t
set_rights(pid_t pid, uint32_t rights)
{
    int64_t met = run_rights(pid, AT_SET_RIGHTS, &rights);

    return met ? met : (int64_t)rights;
}

static int64_t
answer_of(int result)
{
    return result == 0 ? 0 : -errno;
}

static enum __rlimit_resource
resource_of(enum aspen_limit limit)
{
    static const enum __rlimit_resource resources[ASPEN_LIMITS] = {
        [ASPEN_LIMIT_AS] = RLIMIT_AS,
        [ASPEN_LIMIT_DATA] = RLIMIT_DATA,
        [ASPEN_LIMIT_STACK] = RLIMIT_STACK,
        [ASPEN_LIMIT_MEMLOCK] = RLIMIT_MEMLOCK,
        [ASPEN_LIMIT_DATA_HARD] = RLIMIT_DATA,
    };

    return resources[limit];
}

static int64_t
set_limit(pid_t pid, enum aspen_limit limit, uint64_t bytes)
{
    struct rlimit value;

    if (prlimit(pid, resource_of(limit), NULL, &value) != 0)
        return -errno;
    value.rlim_cur = bytes;
    return answer_of(prlimit(pid, resource_of(limit), &value, NULL));
}

bool
fuzz_limit_is_allowed(enum aspen_limit limit, uint64_t bytes)
{
    struct rlimit value;

    return getrlimit(resource_of(limit), &value) != 0 ||
           bytes <= value.rlim_max;
}

static int64_t
make_call(pid_t pid, const struct linux_call *call)
{
    struct linux_call made = *call;

    if (made.number == SYS_mincore)
        made.arguments[2] = FUZZ_VECTOR;
    return guest_make_call(pid, FUZZ_EXECUTOR, &made);
}

int64_t
fuzz_kernel_do(struct fuzz_kernel *kernel, const struct fuzz_op *op)
{
    const uint64_t *a = op->call.arguments;
    pid_t pid = kernel->process[op->process];

    switch (op->kind) {
    case FUZZ_CALL:
        return make_call(pid, &op->call);
    case FUZZ_READ:
        return run_access(pid, AT_READ, a[0], 0);
    case FUZZ_WRITE:
        return run_access(pid, AT_WRITE, a[0], (uint8_t)a[1]);
    case FUZZ_FORK:
        return make_child(kernel, pid, (unsigned)a[0]);
    case FUZZ_EXIT:
        end_child(kernel, op->process);
        return 0;
    case FUZZ_RESIZE:
        return answer_of(ftruncate(kernel->files[a[0]], (off_t)a[1]));
    case FUZZ_PUNCH:
        return answer_of(fallocate(kernel->files[a[0]],
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   (off_t)a[1], (off_t)a[2]));
    case FUZZ_LIMIT:
        return set_limit(pid, (enum aspen_limit)a[0], a[1]);
    case FUZZ_RIGHTS:
        return set_rights(pid, (uint32_t)a[0]);
    case FUZZ_KINDS:
        break;
    }
    return GUEST_SIGNAL(0, 0);
}
