/* SPDX-License-Identifier: MIT */
/*
 * kinds.h - what a kind of swap device gives to open.c.
 */
#ifndef ASPEN_POSIX_SWAP_KINDS_H
#define ASPEN_POSIX_SWAP_KINDS_H

#include "aspen_posix_swap.h"

#define SWAP_PAGE 4096u

/* Why opening failed. */
struct swap_why {
    char *text;
    size_t bytes;
};

/* Says why; returns `error`. */
int swap_because(struct swap_why *why, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct aspen_posix_swap {
    const struct swap_kind *kind;
    void *own; /* of its kind */
    uint32_t pages;
    struct aspen_posix_swap_counters counters; /* atomic, each by itself */
};

/* One of a device's counters, or of other sums that nobody decides by. */
static inline void
swap_count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/*
 * open      with what stands behind the name's colon, or its end. NULL: it is
 *           not in this build, since the package was not there
 * discard   as in struct aspen_swap_ops, or NULL
 * transfer  or submit: as in struct aspen_swap_ops. What was submitted ends by
 *           swap_ended().
 */
struct swap_kind {
    const char *name;
    const char *more;    /* what has to stand behind a colon; NULL: nothing */
    const char *package; /* that it takes; NULL: none */
    const struct swap_codec *codec; /* of memory.h; NULL: none */
    int (*open)(struct aspen_posix_swap *device, const char *more,
                struct swap_why *why);
    int (*transfer)(struct aspen_posix_swap *device,
                    const struct aspen_swap_io *io);
    void (*submit)(struct aspen_posix_swap *device, struct aspen_swap_io *io);
    void (*discard)(struct aspen_posix_swap *device, uint32_t slot);
    void (*close)(struct aspen_posix_swap *device);
};

void swap_ended(struct aspen_posix_swap *device, struct aspen_swap_io *io,
                int error);

extern const struct swap_kind swap_kind_memory;
extern const struct swap_kind swap_kind_file;
extern const struct swap_kind swap_kind_lz4;
extern const struct swap_kind swap_kind_zstd;
extern const struct swap_kind swap_kind_nbd;

/* How long a server of nbd.c may say nothing; for tests. */
extern unsigned swap_nbd_patience_ms;

#endif
