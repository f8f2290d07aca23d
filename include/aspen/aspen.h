/* SPDX-License-Identifier: MIT */
/**
 * aspen/aspen.h - all public headers, and how they belong together.
 *
 * A machine (struct aspen, machine.h) has frames, which are pages of memory
 * that the embedder gives it, swap areas and hooks. In it are address spaces
 * (struct aspen_mm, mm.h) and objects that can be mapped: files, shared memory
 * (struct aspen_object, object.h). What a program does with its space stands
 * in aspen/calls/, a header for each call or a few: mmap.h, protect.h, brk.h.
 * When an access faults the embedder calls aspen_fault() (fault.h).
 *
 *     static int
 *     first_page(struct aspen *machine, uint64_t *address)
 *     {
 *         struct aspen_mmap_args args = {0};
 *         struct aspen_mm *mm, *child;
 *         int error = aspen_mm_create(machine, &mm);
 *         if (error)
 *             return error;
 *         args.length_bytes = 16384;
 *         args.vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE;
 *         error = aspen_mmap(mm, &args, address);
 *         if (!error)
 *             error = aspen_fault(mm, *address, ASPEN_ACCESS_WRITE);
 *         if (!error)
 *             error = aspen_fork(mm, &child);
 *         if (!error)
 *             aspen_mm_put(child);
 *         aspen_mm_put(mm);
 *         return error;
 *     }
 *
 * Life.    aspen_config_init(), aspen_create(); when all spaces and objects are
 *          gone aspen_destroy(). A space is made by aspen_mm_create() or
 *          aspen_fork() with one user; aspen_mm_get() adds one, and with the
 *          last aspen_mm_put() it ends, and what it held is given back. Exec
 *          makes a new space and then moves into it (aspen_exec_prepare()).
 *          Objects are counted in the same way; a mapping holds one reference.
 * Threads. Any number of threads may call into a machine at once, also for one
 *          space: the core locks by itself, through the port. "Context" says
 *          for each function whether it may sleep, which locks it takes, and
 *          what may not be held or be under way. Functions that only read a
 *          number give a snapshot.
 * Units.   Addresses and sizes are uint64_t, in bytes, unless a name ends in
 *          _pages; pages have 4,096 bytes; ranges are [start, end). A frame or
 *          a slot is known by its number.
 * Errors.  What can fail returns 0 or a negative ASPEN_E* (error.h), and the
 *          compiler warns if nobody looks. An atomic call that fails has
 *          changed nothing; a progressive one says how far it came (*done).
 *          Results are written when 0 is returned, but for *done and where a
 *          header says so. An error of the embedder's own hook comes back
 *          unchanged; a hook that answers a positive number, which is none, has
 *          failed with -ASPEN_EIO.
 *
 * Types are opaque where only a name is declared. docs/use/semantics.md says
 * what each call does beside Linux, docs/use/porting.md what is below: a port.
 * examples/embed.c is a whole program.
 */
#ifndef ASPEN_ASPEN_H
#define ASPEN_ASPEN_H

#include <aspen/calls/advise.h>
#include <aspen/calls/brk.h>
#include <aspen/error.h>
#include <aspen/failpoint.h>
#include <aspen/fault.h>
#include <aspen/flags.h>
#include <aspen/frames.h>
#include <aspen/calls/futex.h>
#include <aspen/hooks.h>
#include <aspen/import.h>
#include <aspen/inspect.h>
#include <aspen/limits.h>
#include <aspen/machine.h>
#include <aspen/calls/memory.h>
#include <aspen/calls/mincore.h>
#include <aspen/calls/mlock.h>
#include <aspen/mm.h>
#include <aspen/calls/mmap.h>
#include <aspen/calls/mmu.h>
#include <aspen/calls/mseal.h>
#include <aspen/name.h>
#include <aspen/object.h>
#include <aspen/track/pagemap.h>
#include <aspen/calls/pin.h>
#include <aspen/calls/pkey.h>
#include <aspen/calls/populate.h>
#include <aspen/account/group.h>
#include <aspen/account/pressure.h>
#include <aspen/calls/protect.h>
#include <aspen/calls/raw.h>
#include <aspen/calls/oom.h>
#include <aspen/calls/reclaim.h>
#include <aspen/calls/remap.h>
#include <aspen/memory/compact.h>
#include <aspen/memory/failure.h>
#include <aspen/memory/migrate.h>
#include <aspen/special.h>
#include <aspen/calls/swap.h>
#include <aspen/calls/sync.h>
#include <aspen/track/userfault.h>
#include <aspen/version.h>
#include <aspen/vma.h>
#include <aspen/calls/young.h>

#endif
