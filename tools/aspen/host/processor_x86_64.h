/* SPDX-License-Identifier: MIT */
/*
 * processor_x86_64.h - x86-64; processor.h says what the names mean.
 */
#ifndef ASPEN_PROCESSOR_X86_64_H
#define ASPEN_PROCESSOR_X86_64_H

#include <cpuid.h>
#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define PROCESSOR_AUDIT           AUDIT_ARCH_X86_64
#define PROCESSOR_MACHINE         "x86_64"
#define PROCESSOR_ADDRESS_BITS    47u
#define PROCESSOR_TAG_BITS        0u
#define PROCESSOR_MAP_32BIT       0x40u
#define PROCESSOR_MAP_ABOVE4G     0x80u
#define PROCESSOR_PROT_BTI        0u
#define PROCESSOR_PROT_MTE        0u
#define PROCESSOR_LEGACY_MMAP     false
#define PROCESSOR_PKEY_RIGHTS     ~0u
#define PROCESSOR_FORK            SYS_fork
#define PROCESSOR_VFORK           SYS_vfork
#define PROCESSOR_KEEPS_ARGUMENTS true

/* By int $0x80 any program makes calls of 32 bits: brk, mmap, munmap, ipc,
 * mprotect, personality, mlock and others, mremap, prctl, mmap2, madvise,
 * io_setup, io_destroy, remap_file_pages, mbind, mlock2, those of protection
 * keys, shmat, shmdt, process_madvise, mseal. */
#define PROCESSOR_OTHER_AUDIT AUDIT_ARCH_I386
#define PROCESSOR_OTHER_CALLS                                                  \
    {                                                                          \
        45, 90, 91, 117, 125, 136, 150, 151, 152, 153, 163, 172, 192, 219,     \
            245, 246, 257, 274, 376, 380, 381, 382, 397, 398, 440, 462         \
    }

#define PROCESSOR_CODE_CALL       0x0f, 0x05, 0xcc       /* syscall */
#define PROCESSOR_CODE_READ       0x8a, 0x07, 0xcc       /* mov (%rdi), %al */
#define PROCESSOR_CODE_WRITE      0x88, 0x07, 0xcc       /* mov %al, (%rdi) */
#define PROCESSOR_CODE_RIGHTS     0x0f, 0x01, 0xee, 0xcc /* rdpkru */
#define PROCESSOR_CODE_SET_RIGHTS 0x0f, 0x01, 0xef, 0xcc /* wrpkru */

static inline uint64_t
processor_prots(void)
{
    return 0;
}

static inline uint64_t
processor_at(const struct user_regs_struct *registers)
{
    return registers->rip;
}

static inline void
processor_set_call(struct user_regs_struct *registers, uint64_t at,
                   const struct linux_call *call)
{
    const uint64_t *a = call->arguments;

    registers->rip = at;
    registers->rax = call->number;
    registers->orig_rax = ~0ull; /* no call that would begin again */
    registers->rdi = a[0];
    registers->rsi = a[1];
    registers->rdx = a[2];
    registers->r10 = a[3];
    registers->r8 = a[4];
    registers->r9 = a[5];
}

static inline void
processor_set_first_argument(struct user_regs_struct *registers, uint64_t value)
{
    registers->rdi = value;
}

static inline int64_t
processor_answer(const struct user_regs_struct *registers)
{
    return (int64_t)registers->rax;
}

static inline void
processor_set_access(struct user_regs_struct *registers, uint64_t at,
                     uint64_t address, uint8_t byte)
{
    registers->rip = at;
    registers->rax = byte;
    registers->orig_rax = ~0ull;
    registers->rdi = address;
}

static inline void
processor_set_rights(struct user_regs_struct *registers, uint64_t at,
                     uint32_t rights)
{
    registers->rip = at;
    registers->rax = rights;
    registers->orig_rax = ~0ull;
    registers->rcx = 0;
    registers->rdx = 0;
}

/* At a stop where a call is entered. */
static inline bool
processor_skip_call(pid_t tid, int64_t answer)
{
    struct user_regs_struct registers;
    struct iovec area = {&registers, sizeof(registers)};

    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &area) != 0)
        return false;
    registers.orig_rax = ~0ull;
    registers.rax = (uint64_t)answer;
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &area) == 0;
}

/* PKRU is part 9 of the extended state: where it stands CPUID tells, whether
 * it is there the word at 512 (it is 0 else). */
static inline bool
processor_rights(pid_t tid, uint32_t *rights)
{
    uint8_t state[16384];
    struct iovec area = {state, sizeof(state)};
    unsigned bytes, offset, c, d;
    uint64_t parts;

    if (!__get_cpuid_count(13, 9, &bytes, &offset, &c, &d) || bytes < 4 ||
        ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &area) != 0 ||
        area.iov_len < offset + sizeof(*rights))
        return false;
    memcpy(&parts, state + 512, sizeof(parts));
    *rights = 0;
    if (parts >> 9 & 1)
        memcpy(rights, state + offset, sizeof(*rights));
    return true;
}

#endif
