/* SPDX-License-Identifier: MIT */
/*
 * processor_aarch64.h - AArch64; processor.h says what the names mean.
 *
 * A breakpoint leaves the address of its own instruction, and no call is under
 * way there: nothing has to be kept from beginning again.
 */
#ifndef ASPEN_PROCESSOR_AARCH64_H
#define ASPEN_PROCESSOR_AARCH64_H

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define PROCESSOR_AUDIT        AUDIT_ARCH_AARCH64
#define PROCESSOR_MACHINE      "aarch64"
#define PROCESSOR_ADDRESS_BITS 48u
#define PROCESSOR_TAG_BITS     8u
#define PROCESSOR_MAP_32BIT    0u
#define PROCESSOR_MAP_ABOVE4G  0u
#define PROCESSOR_PROT_BTI     0x10u
#define PROCESSOR_PROT_MTE     0x20u
#define PROCESSOR_LEGACY_MMAP  true
#define PROCESSOR_PKEY_RIGHTS  3u
#define PROCESSOR_FORK         PROCESSOR_NO_CALL
#define PROCESSOR_VFORK        PROCESSOR_NO_CALL
/* The answer is where the first one was. */
#define PROCESSOR_KEEPS_ARGUMENTS false

/* A program makes calls of 64 bits alone. */
#define PROCESSOR_OTHER_AUDIT 0u
#define PROCESSOR_OTHER_CALLS                                                  \
    {                                                                          \
        PROCESSOR_NO_CALL                                                      \
    }

#define PROCESSOR_BRK        0x00, 0x00, 0x20, 0xd4
#define PROCESSOR_CODE_CALL  0x01, 0x00, 0x00, 0xd4, PROCESSOR_BRK /* svc #0 */
#define PROCESSOR_CODE_READ  0x20, 0x00, 0x40, 0x39, PROCESSOR_BRK /* ldrb */
#define PROCESSOR_CODE_WRITE 0x20, 0x00, 0x00, 0x39, PROCESSOR_BRK /* strb */
/* No keys. */
#define PROCESSOR_CODE_RIGHTS     PROCESSOR_BRK
#define PROCESSOR_CODE_SET_RIGHTS PROCESSOR_BRK

/* Bits of AT_HWCAP2. */
#define PROCESSOR_HAS_BTI (1ul << 17)
#define PROCESSOR_HAS_MTE (1ul << 18)

static inline uint64_t
processor_prots(void)
{
    unsigned long has = getauxval(AT_HWCAP2);

    return (has & PROCESSOR_HAS_BTI ? PROCESSOR_PROT_BTI : 0) |
           (has & PROCESSOR_HAS_MTE ? PROCESSOR_PROT_MTE : 0);
}

static inline uint64_t
processor_at(const struct user_regs_struct *registers)
{
    return registers->pc;
}

static inline void
processor_set_call(struct user_regs_struct *registers, uint64_t at,
                   const struct linux_call *call)
{
    registers->pc = at;
    registers->regs[8] = call->number;
    for (unsigned i = 0; i < 6; i++)
        registers->regs[i] = call->arguments[i];
}

static inline void
processor_set_first_argument(struct user_regs_struct *registers, uint64_t value)
{
    registers->regs[0] = value;
}

static inline int64_t
processor_answer(const struct user_regs_struct *registers)
{
    return (int64_t)registers->regs[0];
}

/* The byte in w0, the address in x1. */
static inline void
processor_set_access(struct user_regs_struct *registers, uint64_t at,
                     uint64_t address, uint8_t byte)
{
    registers->pc = at;
    registers->regs[0] = byte;
    registers->regs[1] = address;
}

static inline void
processor_set_rights(struct user_regs_struct *registers, uint64_t at,
                     uint32_t rights)
{
    registers->pc = at;
    registers->regs[0] = rights;
}

/* At a stop where a call is entered. */
static inline bool
processor_skip_call(pid_t tid, int64_t answer)
{
    struct user_regs_struct registers;
    struct iovec area = {&registers, sizeof(registers)};
    int none = -1;
    struct iovec number = {&none, sizeof(none)};

    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &area) != 0)
        return false;
    registers.regs[0] = (uint64_t)answer;
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &area) == 0 &&
           ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL, &number) ==
               0;
}

static inline bool
processor_rights(pid_t tid, uint32_t *rights)
{
    (void)tid;
    (void)rights;
    return false;
}

#endif
