/* SPDX-License-Identifier: MIT */
/*
 * processor.h - the host's processor, as far as Linux's calls show which it is:
 * one file for each, with the same names.
 *
 *   PROCESSOR_AUDIT        what a seccomp filter calls it
 *   PROCESSOR_MACHINE      what uname calls it
 *   PROCESSOR_ADDRESS_BITS of a user address; above them only who asks for it
 *   PROCESSOR_TAG_BITS     of an address's top, that most calls do not look at
 *   PROCESSOR_MAP_*        flags of mmap that not every processor has, or 0
 *   PROCESSOR_PROT_*       bits of its access likewise; which of them this host
 *                          has is in processor_prots()
 *   PROCESSOR_LEGACY_MMAP  a stack without limit makes the layout bottom-up
 *   PROCESSOR_PKEY_RIGHTS  bits of pkey_alloc's that every kernel answers alike
 *   PROCESSOR_FORK, VFORK  numbers of calls that not every processor has
 *   PROCESSOR_CODE_*       bytes of instructions with a breakpoint behind them
 *   PROCESSOR_CODE_RIGHTS, SET_RIGHTS  of those: what the thread may do by
 *                          protection keys (PKRU); without keys nobody runs it
 *   PROCESSOR_KEEPS_ARGUMENTS  a call that has returned left them in registers
 *   PROCESSOR_OTHER_AUDIT, CALLS  calls about memory of another form, that a
 *                          program may make as well; 0: there are none
 *   processor_skip_call    a call that is being entered is not made, and
 *                          answers that; false: it is gone
 *   processor_set_*, ...   registers, as PTRACE_GETREGSET has them
 *   processor_rights       what a thread that is traced and stopped may do by
 *                          protection keys; false: there are none
 */
#ifndef ASPEN_PROCESSOR_H
#define ASPEN_PROCESSOR_H

#include "host/linux_calls.h"

#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>

/* No call has this number. */
#define PROCESSOR_NO_CALL 0xfffffffeu

/* Of each of PROCESSOR_CODE_*. */
#define PROCESSOR_CODE_BYTES 8u

#if defined(__x86_64__) && defined(__LP64__)
#include "host/processor_x86_64.h"
#elif defined(__aarch64__) && defined(__LP64__)
#include "host/processor_aarch64.h"
#else
#error "the tools know x86-64 and AArch64 (64-bit) alone"
#endif

#endif
