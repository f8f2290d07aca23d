/* SPDX-License-Identifier: MIT */
/*
 * filter.c - which calls of the guest stop.
 *
 * The watcher's rules say so. The seccomp filter that is made of them lets only
 * these stop, so that the guest runs at full speed otherwise.
 *
 * Called by start.c and follow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/parts.h"
#include "host/processor.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What changes who is followed, besides what the watcher names. */
static const struct guest_rule life[] = {
    GUEST_RULE(PROCESSOR_FORK, GUEST_CLONE, "fork"),
    GUEST_RULE(PROCESSOR_VFORK, GUEST_CLONE, "vfork"),
    GUEST_RULE(SYS_clone, GUEST_CLONE, "clone"),
    GUEST_RULE(SYS_clone3, GUEST_CLONE, "clone3"),
    GUEST_RULE(SYS_execve, GUEST_EXEC, "execve"),
    GUEST_RULE(SYS_execveat, GUEST_EXEC, "execveat"),
};

static bool
argument_fits(const struct guest_rule *rule, const struct linux_call *call)
{
    if (rule->argument < 0)
        return true;
    for (unsigned i = 0; i < GUEST_RULE_VALUES && rule->values[i]; i++)
        if ((uint32_t)call->arguments[rule->argument] == rule->values[i])
            return true;
    return false;
}

static const struct guest_rule *
rule_of(const struct guest_rule *rules, size_t count,
        const struct linux_call *call)
{
    for (size_t i = 0; i < count; i++)
        if (rules[i].number == call->number && argument_fits(&rules[i], call))
            return &rules[i];
    return NULL;
}

unsigned
guest_call_kind(const struct guest *guest, const struct linux_call *call,
                const char **name)
{
    const struct guest_rule *rule = rule_of(life, COUNT(life), call);

    if (!rule)
        rule =
            rule_of(guest->watcher->rules, guest->watcher->rules_count, call);
    if (!rule)
        return GUEST_IGNORED;
    *name = rule->name ? rule->name : linux_call_name(call->number);
    return rule->kind;
}

/* ---- The filter --------------------------------------------------------- */

#define PROGRAM_LENGTH 1024u

/* `length` counts on when there is no room: that is told at the end. */
struct program {
    struct sock_filter code[PROGRAM_LENGTH];
    unsigned length;
};

static void
add(struct program *program, struct sock_filter instruction)
{
    if (program->length < PROGRAM_LENGTH)
        program->code[program->length] = instruction;
    program->length++;
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

#define STOP (SECCOMP_RET_TRACE | GUEST_FILTER_OURS)

static void
add_rule(struct program *program, const struct guest_rule *rule)
{
    unsigned values = 0;

    if (rule->argument < 0) {
        add_equal(program, rule->number, 1);
        add_return(program, STOP);
        return;
    }
    while (values < GUEST_RULE_VALUES && rule->values[values])
        values++;
    add_equal(program, rule->number, 2 * values + 2);
    add_load(program, offsetof(struct seccomp_data, args) +
                          8 * (unsigned)rule->argument);
    for (unsigned i = 0; i < values; i++) {
        add_equal(program, rule->values[i], 1);
        add_return(program, STOP);
    }
    /* The same call may stand in the table again. */
    add_load(program, offsetof(struct seccomp_data, nr));
}

/* Calls of another form stop to be counted. */
static void
add_others(struct program *program)
{
    static const uint32_t calls[] = PROCESSOR_OTHER_CALLS;
    unsigned length = 2 * COUNT(calls) + 2;

    if (!PROCESSOR_OTHER_AUDIT)
        return;
    add_equal(program, PROCESSOR_OTHER_AUDIT, length);
    add_load(program, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < COUNT(calls); i++) {
        add_equal(program, calls[i], 1);
        add_return(program, STOP);
    }
    add_return(program, SECCOMP_RET_ALLOW);
}

int
guest_filter_install(const struct guest *guest)
{
    struct program program = {.length = 0};
    struct sock_fprog handed = {.filter = program.code};

    add_load(&program, offsetof(struct seccomp_data, arch));
    add_others(&program);
    add_equal(&program, PROCESSOR_AUDIT, 1);
    add(&program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0));
    add_return(&program, SECCOMP_RET_ALLOW);
    add_load(&program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT(life); i++)
        add_rule(&program, &life[i]);
    for (size_t i = 0; i < guest->watcher->rules_count; i++)
        add_rule(&program, &guest->watcher->rules[i]);
    add_return(&program, SECCOMP_RET_ALLOW);
    if (program.length > PROGRAM_LENGTH)
        return -E2BIG;
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
