/* SPDX-License-Identifier: MIT */
/*
 * refused.h - what a host refuses of the calls that comparing with it takes:
 * by the filter of a container, for want of a capability, or because the
 * kernel is too old. Asked once, for tools that say why they cannot work and
 * tests that skip by name. Not for threads.
 */
#ifndef ASPEN_TOOLS_REFUSED_H
#define ASPEN_TOOLS_REFUSED_H

enum host_call {
    HOST_NO_RANDOMIZE,    /* personality(ADDR_NO_RANDOMIZE) */
    HOST_COMPAT_LAYOUT,   /* personality(ADDR_COMPAT_LAYOUT) */
    HOST_MSEAL,           /* mseal */
    HOST_PROCESS_MADVISE, /* process_madvise for oneself */
    HOST_ADVISE_OTHERS,   /* and for a child */
    HOST_PROCESS_VM,      /* process_vm_readv of oneself */
    HOST_PTRACE,          /* ptrace at all */
    HOST_CALLS
};

/** NULL: let through; else one line: "the host refuses CALL: WHY". */
const char *host_refuses(enum host_call call);

#endif
