/* SPDX-License-Identifier: MIT */
/*
 * migrate/migrate_struct.h - pages that are moved to other frames: a part of
 * internal.h. migrate/ has what is done with it.
 */
#ifndef ASPEN_MIGRATE_MIGRATE_STRUCT_H
#define ASPEN_MIGRATE_MIGRATE_STRUCT_H

#include <aspen/compiler.h>
#include <aspen_port.h>

/* All atomic. */
struct aspen_moves {
    uint32_t ended; /* moves that have, whatever became of them: waited for */
    uint64_t moved; /* pages */
    uint64_t stayed;
    uint64_t compact_at;     /* the frame from which to look for a block */
    uint64_t compact_looked; /* frames that were looked at for one */
    uint64_t compacted;      /* blocks that were made free */
    uint64_t compact_failed; /* calls that found none */
    uint64_t bad;            /* frames that went bad */
};

#endif
