/* SPDX-License-Identifier: MIT */
/*
 * shadow_filter.c - which calls of the guest are looked at.
 *
 * The table below says what each is; the filter that is made of it lets only
 * these stop, so that the guest runs at full speed otherwise.
 *
 * Called by shadow_trace.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "host/processor.h"
#include "shadow/session.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NUMBER_MSEAL            462u
#define NUMBER_MAP_SHADOW_STACK 453u

struct entry {
    uint32_t number;
    enum shadow_kind kind;
    const char *name; /* NULL: linux_call_name() knows */
    int argument;     /* which one decides, -1: none */
    uint32_t values[8];
};

#define PLAIN(number, kind, name)                                              \
    {                                                                          \
        number, kind, name, -1,                                                \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }
#define MODELLED(number)         PLAIN(number, SHADOW_MODELLED, NULL)
#define UNMODELLED(number, name) PLAIN(number, SHADOW_UNMODELLED, name)

static const struct entry entries[] = {
    MODELLED(SYS_mmap),
    MODELLED(SYS_munmap),
    MODELLED(SYS_mprotect),
    MODELLED(SYS_pkey_mprotect),
    MODELLED(SYS_pkey_alloc),
    MODELLED(SYS_pkey_free),
    MODELLED(NUMBER_MSEAL),
    MODELLED(SYS_mremap),
    MODELLED(SYS_remap_file_pages),
    MODELLED(SYS_brk),
    MODELLED(SYS_mlock),
    MODELLED(SYS_mlock2),
    MODELLED(SYS_munlock),
    MODELLED(SYS_mlockall),
    MODELLED(SYS_munlockall),
    MODELLED(SYS_madvise),
    MODELLED(SYS_mincore),
    MODELLED(SYS_msync),
    PLAIN(PROCESSOR_FORK, SHADOW_CLONE, "fork"),
    PLAIN(PROCESSOR_VFORK, SHADOW_CLONE, "vfork"),
    PLAIN(SYS_clone, SHADOW_CLONE, "clone"),
    PLAIN(SYS_clone3, SHADOW_CLONE, "clone3"),
    PLAIN(SYS_execve, SHADOW_EXEC, "execve"),
    PLAIN(SYS_execveat, SHADOW_EXEC, "execveat"),
    PLAIN(SYS_setrlimit, SHADOW_LIMIT, "setrlimit"),
    PLAIN(SYS_prlimit64, SHADOW_LIMIT, "prlimit64"),
    UNMODELLED(SYS_shmat, "shmat"),
    UNMODELLED(SYS_shmdt, "shmdt"),
    UNMODELLED(SYS_mbind, "mbind"),
    UNMODELLED(SYS_process_madvise, "process_madvise"),
    UNMODELLED(SYS_io_setup, "io_setup"),
    UNMODELLED(SYS_io_destroy, "io_destroy"),
    UNMODELLED(NUMBER_MAP_SHADOW_STACK, "map_shadow_stack"),
    {SYS_prctl, SHADOW_MODELLED, NULL, 0, {PR_SET_VMA, PR_SET_MM}},
    {SYS_prctl,
     SHADOW_UNMODELLED,
     "prctl",
     0,
     {PR_SET_THP_DISABLE, 65 /* MDWE */, 67 /* MEMORY_MERGE */}},
    {SYS_ioctl,
     SHADOW_UNMODELLED,
     "ioctl",
     1,
     {0xc020aa00u /* UFFDIO_REGISTER */, 0x8010aa01u /* UNREGISTER */}},
};

static bool
argument_fits(const struct entry *entry, const struct linux_call *call)
{
    if (entry->argument < 0)
        return true;
    for (unsigned i = 0; i < COUNT(entry->values) && entry->values[i]; i++)
        if ((uint32_t)call->arguments[entry->argument] == entry->values[i])
            return true;
    return false;
}

enum shadow_kind
shadow_call_kind(const struct linux_call *call, const char **name)
{
    for (unsigned i = 0; i < COUNT(entries); i++) {
        const struct entry *entry = &entries[i];

        if (entry->number != call->number || !argument_fits(entry, call))
            continue;
        *name = entry->name ? entry->name : linux_call_name(call->number);
        return entry->kind;
    }
    return SHADOW_OTHER;
}

/* ---- The filter --------------------------------------------------------- */

struct program {
    struct sock_filter code[256];
    unsigned length;
};

static void
add(struct program *program, struct sock_filter instruction)
{
    program->code[program->length++] = instruction;
}

static void
add_load(struct program *program, size_t offset)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                              (uint32_t)offset));
}

static void
add_return(struct program *program, uint32_t value)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

/* Unless equal, go on behind the next `skip` instructions. */
static void
add_equal(struct program *program, uint32_t value, unsigned skip)
{
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value,
                                              0, (uint8_t)skip));
}

static void
add_entry(struct program *program, const struct entry *entry)
{
    unsigned values = 0;

    if (entry->argument < 0) {
        add_equal(program, entry->number, 1);
        add_return(program, SECCOMP_RET_TRACE);
        return;
    }
    while (values < COUNT(entry->values) && entry->values[values])
        values++;
    add_equal(program, entry->number, 2 * values + 2);
    add_load(program, offsetof(struct seccomp_data, args) +
                          8 * (unsigned)entry->argument);
    for (unsigned i = 0; i < values; i++) {
        add_equal(program, entry->values[i], 1);
        add_return(program, SECCOMP_RET_TRACE);
    }
    /* The same call may stand in the table again. */
    add_load(program, offsetof(struct seccomp_data, nr));
}

int
shadow_filter_install(void)
{
    struct program program = {.length = 0};
    struct sock_fprog handed = {.filter = program.code};

    add_load(&program, offsetof(struct seccomp_data, arch));
    add_equal(&program, PROCESSOR_AUDIT, 1);
    add(&program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0));
    add_return(&program, SECCOMP_RET_ALLOW);
    add_load(&program, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < COUNT(entries); i++)
        add_entry(&program, &entries[i]);
    add_return(&program, SECCOMP_RET_ALLOW);
    handed.len = (unsigned short)program.length;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &handed) == 0)
        return 0;
    /* Who is not root gives up setuid programs, which do not get their
     * privileges under ptrace anyway. */
    if (errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &handed) == 0 ? 0
                                                                    : -errno;
}
