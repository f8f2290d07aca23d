/* SPDX-License-Identifier: MIT */
/*
 * linux_calls.h - Linux's memory calls, as a program makes them: a number and
 * six arguments, answered by an address space of Aspen as Linux would
 * answer: an address or 0, or a negative errno. For tools that set Aspen beside
 * a kernel.
 */
#ifndef ASPEN_TOOLS_LINUX_CALLS_H
#define ASPEN_TOOLS_LINUX_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aspen_mm;
struct aspen_object;
struct aspen_pkeys;
struct aspen_vma;

/* What mmap has to know of an open file. */
struct linux_file {
    struct aspen_object *object; /* the caller's reference */
    bool readable;               /* opened for reading */
    bool writable;               /* opened for writing */
    bool executable;             /* not on a file system without execution */
    bool sealed;                 /* a memfd that nobody may write to any more */
    bool unmappable;             /* a directory, a pipe: its kind has no mmap */
    bool refuses_sync;           /* MAP_SYNC: it is on nothing that is DAX; the
                                    object's hook is linux_refuse_sync() */
};

/* The hook `open` of the object of a file that refuses MAP_SYNC: its file
 * system does so when nothing else is left that could. */
int linux_refuse_sync(void *context, struct aspen_vma *vma);

struct linux_space {
    struct aspen_mm *mm;
    /* Finds the file of a descriptor: 0, or the negative errno that mmap
     * answers (-EBADF). NULL: there are no files. */
    int (*find_file)(void *context, int descriptor, struct linux_file *file);
    /* Reads the program's memory: how many bytes before there is no more.
     * NULL: calls that need it are not modelled. */
    size_t (*read)(void *context, uint64_t address, void *bytes, size_t length);
    void *context;
    /* Flags of mmap that the release does not have; see host_unknown_flags().
     */
    uint64_t unknown_flags;
    /* Neither pkey_mprotect nor the other two; see host_lacks_pkey_calls(). */
    bool no_pkey_calls;
    /* Gets the bytes of mincore, one a page. NULL: only the answer counts. */
    uint8_t *vector;
};

struct linux_call {
    uint64_t number; /* SYS_mmap... */
    uint64_t arguments[6];
};

/*
 * Make the call. False: it is not modelled (no memory call, pages of other
 * sizes, memory that the kernel may drop), nothing has happened.
 */
bool linux_call_make(const struct linux_space *space,
                     const struct linux_call *call, int64_t *answer);
/* Is the answer, which is an address or a count else, a negative errno? */
bool linux_is_error(int64_t answer);

/* "mmap"; NULL for what is not modelled. */
const char *linux_call_name(uint64_t number);
/* The way back; UINT64_MAX for what is not modelled. */
uint64_t linux_call_number(const char *name);

/* Asks for memory to be executed alone, without a key named? Then Linux may
 * have taken the space's own key, even if it refuses. */
bool linux_call_is_execute_only(const struct linux_call *call);
/* The key that pkey_alloc gives next; 0: none is left. */
int linux_next_pkey(const struct aspen_pkeys *pkeys);

#endif
