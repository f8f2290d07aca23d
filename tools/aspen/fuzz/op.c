/* SPDX-License-Identifier: MIT */
/*
 * op.c - operations: sequences of them, what their answers mean, and which of
 * them nobody makes.
 *
 * Called by all of fuzz/. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"
#include "host/processor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

bool
fuzz_sequence_add(struct fuzz_sequence *sequence, const struct fuzz_op *op)
{
    struct fuzz_op *ops = tool_room(sequence->ops, sequence->count,
                                    &sequence->room, sizeof(*ops));

    if (!ops)
        return false;
    sequence->ops = ops;
    ops[sequence->count++] = *op;
    return true;
}

void
fuzz_sequence_free(struct fuzz_sequence *sequence)
{
    free(sequence->ops);
    memset(sequence, 0, sizeof(*sequence));
}

uint64_t
fuzz_pages(uint64_t length)
{
    return (length + FUZZ_PAGE - 1) / FUZZ_PAGE;
}

/* remap_file_pages maps with the access that there was, which may be that. */
bool
fuzz_op_is_execute_only(const struct fuzz_op *op)
{
    return op->kind == FUZZ_CALL && linux_call_is_execute_only(&op->call);
}

/* brk tells by the end that stays. */
bool
fuzz_op_is_refused(const struct fuzz_op *op, int64_t answer)
{
    if (op->kind == FUZZ_CALL && op->call.number == SYS_brk)
        return (uint64_t)answer != op->call.arguments[0];
    return linux_is_error(answer);
}

/* ---- What nobody makes -------------------------------------------------- */

static bool
meets_executor(uint64_t address, uint64_t length)
{
    const uint64_t executor_end =
        FUZZ_EXECUTOR + FUZZ_EXECUTOR_PAGES * FUZZ_PAGE;
    uint64_t end;

    address &= UINT64_MAX >> PROCESSOR_TAG_BITS;
    end = (address + length + FUZZ_PAGE - 1) & -FUZZ_PAGE;
    /* What wraps is refused. */
    return address < executor_end && end > FUZZ_EXECUTOR;
}

static bool
call_is_forbidden(const struct linux_call *call)
{
    const uint64_t *a = call->arguments;

    switch (call->number) {
    case SYS_mmap:
        return a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE) &&
               meets_executor(a[0], a[1]);
    case SYS_mremap:
        return meets_executor(a[0], a[1]) || meets_executor(a[0], a[2]) ||
               (a[3] & MREMAP_FIXED && meets_executor(a[4], a[2]));
    case SYS_pkey_free:
        return (int)a[0] == 0;
    case SYS_brk:
    case SYS_mlockall:
    case SYS_munlockall:
    case SYS_pkey_alloc:
        return false;
    default:
        return meets_executor(a[0], a[1]);
    }
}

bool
fuzz_op_is_forbidden(const struct fuzz_op *op, unsigned processes)
{
    const uint64_t *a = op->call.arguments;

    if (op->process >= FUZZ_PROCESSES || !(processes >> op->process & 1))
        return true;
    switch (op->kind) {
    case FUZZ_CALL:
        return call_is_forbidden(&op->call);
    case FUZZ_READ:
    case FUZZ_WRITE:
        return a[0] >> PROCESSOR_ADDRESS_BITS || meets_executor(a[0], 1);
    case FUZZ_FORK:
        return a[0] == 0 || a[0] >= FUZZ_PROCESSES || processes >> a[0] & 1;
    case FUZZ_EXIT:
        return op->process == 0;
    case FUZZ_RESIZE:
        return a[0] >= FUZZ_FILES || a[1] > FUZZ_ADDRESS_SPACE / 2;
    case FUZZ_PUNCH:
        return a[0] >= FUZZ_FILES || a[1] > FUZZ_ADDRESS_SPACE ||
               a[2] > FUZZ_ADDRESS_SPACE;
    case FUZZ_LIMIT:
        /* Not above what may be the hard limit. */
        return a[0] >= ASPEN_LIMIT_DATA_HARD || a[1] > FUZZ_ADDRESS_SPACE ||
               (a[0] == ASPEN_LIMIT_MEMLOCK && a[1] > 65536);
    case FUZZ_RIGHTS:
        return a[0] & 3 || a[0] > UINT32_MAX;
    case FUZZ_KINDS:
        break;
    }
    return true;
}

unsigned
fuzz_op_processes(const struct fuzz_op *op, unsigned processes, int64_t answer)
{
    if (op->kind == FUZZ_FORK && answer == 0)
        return processes | 1u << op->call.arguments[0];
    if (op->kind == FUZZ_EXIT)
        return processes & ~(1u << op->process);
    return processes;
}
