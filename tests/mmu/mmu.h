/* SPDX-License-Identifier: MIT */
/*
 * mmu.h - a processor for tests: what a memory-management unit does with the
 * tables that the core builds, at its worst.
 *
 *      access --> leaves cached? ----------------------> bytes of the frame
 *                   | no                                       ^
 *                   v                                          |
 *                 tables cached? --> walk the rest --> leaf ---/
 *
 * Each CPU caches every translation and every upper table that it came by, and
 * gives up nothing but what a flush covers, of the levels that it names, on a
 * CPU that is in its mask. It
 * decodes entries as the processors' manuals have them, and knows nothing of
 * the core: only the port's choice of a format, and where the frames are.
 *
 * One CPU more, MMU_SECOND, is a second MMU (a guest's, a device's): it caches
 * leaves, and hears of changes by the hooks of struct aspen_notifier_ops alone.
 * It looks at the tables without its lock, as aspen/calls/mmu.h has it.
 *
 * What is not right is kept as the first "breach", in words; mmu_breach() has
 * it. Each CPU has a lock, held for a whole access: a flush comes before or
 * after it, never in between, as an interrupt between two instructions.
 */
#ifndef ASPEN_TESTS_MMU_H
#define ASPEN_TESTS_MMU_H

#include <aspen/tlb.h>
#include <aspen_port.h>

#define MMU_CPUS   ASPEN_PORT_CPUS
#define MMU_SECOND MMU_CPUS
#define MMU_ALL    (MMU_CPUS + 1) /* how many there are, with the second */

/* Who writes accessed and dirty into entries. */
enum mmu_flags {
    MMU_FLAGS_NOBODY, /* a walker in software: does not look at them */
    MMU_FLAGS_FAULT,  /* the processor faults until somebody has */
    MMU_FLAGS_SET,    /* the processor does, in one atomic step */
};

struct mmu_config {
    void *direct_map; /* as the machine's */
    uint32_t frames;
    enum mmu_flags flags;
    uint64_t evict_seed;                 /* 0: it evicts nothing by itself */
    void (*on_breach)(const char *what); /* or NULL */
};

enum mmu_access { MMU_READ, MMU_WRITE, MMU_EXEC };

/* One thing that a CPU has cached. */
struct mmu_cached {
    uint32_t root;    /* whose it is */
    bool leaf;        /* else an entry that leads to a table */
    unsigned level;   /* of the entry */
    uint64_t address; /* the first that it is about */
    uint64_t bytes;
    uint64_t number; /* of the first frame, or the table's */
    bool read, write, exec, dirty;
    bool raw; /* the core's note that this is no frame of the machine */
    unsigned key;
    unsigned memory; /* enum format_memory */
    bool young;      /* the second MMU's: accessed since that was cleared */
    uint64_t since;  /* mmu_now() when it came */
};

/* From here on this is the processor of that machine. One at a time; what was
 * cached for another is gone. Nobody accesses anything meanwhile. */
void mmu_attach(const struct mmu_config *config);
void mmu_detach(void);
bool mmu_attached(void);

/* ---- What a CPU does --------------------------------------------------- */

/*
 * An access inside one page (that is the caller's to see to), in the space
 * whose top table is `root`. False: it faults. `bytes` are read from, written
 * to; NULL: only the translation.
 */
bool mmu_access(unsigned cpu, uint32_t root, uint64_t address,
                enum mmu_access access, void *bytes, size_t length);

/* Cache all that the tables have of [start, end), `most` leaves at most, as
 * speculation may; what was there before stays. Returns a measure of the
 * work. */
uint64_t mmu_load(unsigned cpu, uint32_t root, uint64_t start, uint64_t end,
                  uint64_t most);

/*
 * A CPU that tags what it has cached (by an ASID, a PCID) keeps it while it
 * runs in other spaces, as docs/use/porting.md has it: of one space. It runs
 * there from mmu_keep() on; between mmu_pause() and mmu_resume() it is
 * elsewhere, answers no flush of it, and nothing that it has of it counts.
 * `generation` tells the space's; it is asked with the CPU's lock held, as with
 * interrupts off.
 */
typedef uint64_t mmu_generation(const struct aspen_mm *mm);
void mmu_keep(unsigned cpu, uint32_t root, mmu_generation *generation,
              const struct aspen_mm *mm);
void mmu_pause(unsigned cpu);
void mmu_resume(unsigned cpu);
bool mmu_keeps(unsigned cpu, uint32_t root);

/* How the second MMU fills itself: as aspen_mmu_begin(), aspen_mmu_retry(). */
typedef uint64_t mmu_begin(const struct aspen_mm *mm);
typedef bool mmu_retry(struct aspen_mm *mm, uint64_t begun, uint64_t start,
                       uint64_t end);
struct mmu_filling {
    struct aspen_mm *mm;
    mmu_begin *begin;
    mmu_retry *retry;
    uint32_t root;
};

/* As mmu_load(), of the second MMU; what it has to look at again it leaves. */
uint64_t mmu_second_load(const struct mmu_filling *filling, uint64_t start,
                         uint64_t end, uint64_t most);

/* An access of the second MMU, to what it has: false if it has no such. */
bool mmu_second_hit(uint32_t root, uint64_t address, enum mmu_access access,
                    void *bytes, size_t length);
/* It puts in what the tables were found to say since `begun`; false: that has
 * to be looked at again. */
bool mmu_second_put(const struct mmu_filling *filling, uint64_t begun,
                    const struct mmu_cached *cached);

/* The CPU leaves the space and keeps nothing of it. */
void mmu_leave(unsigned cpu, uint32_t root);
/* All leave it. */
void mmu_forget(uint32_t root);

/* ---- What it is told --------------------------------------------------- */

/* As aspen_port_tlb_flush(). */
void mmu_flush(const struct aspen_tlb_flush *flush);

/* The brackets of the second MMU. When one ends no CPU has anything cached any
 * more that went meanwhile. */
void mmu_second_start(uint32_t root, uint64_t start, uint64_t end);
void mmu_second_end(uint32_t root, uint64_t start, uint64_t end);
/* Was any of [start, end) accessed by it; if `clear`, that is forgotten. */
bool mmu_second_young(uint32_t root, uint64_t start, uint64_t end, bool clear);

/* ---- What is not right ------------------------------------------------- */

/* Nobody accesses the space any more: its leaves may lead anywhere until the
 * flush, its tables may not. */
void mmu_quiet(uint32_t root);

/*
 * Frames [first, first + count) belong to nobody, or to somebody new: nothing
 * may lead there. `what` happened to them. With `still` a frame counts only if
 * that says so, which is asked while whatever leads there cannot be flushed:
 * so that frames which are somebody's again by then do no harm.
 */
typedef bool mmu_still(void *context, uint32_t frame);
void mmu_frames_changed(uint32_t first, uint32_t count, const char *what,
                        mmu_still *still, void *context);

/* Nothing that is cached of the space says other than its tables do, nor
 * allows more. Context: nobody changes them. */
void mmu_check(uint32_t root, const char *after);

/* The number of a moment; what is cached later has a higher one. */
uint64_t mmu_now(void);

/* Nothing that a CPU has cached of [start, end) says other than the tables do.
 * Where `still` is false (asked after a look) somebody else is changing them.
 */
void mmu_check_flushed(uint32_t root, uint64_t start, uint64_t end,
                       bool (*still)(const void *context), const void *context,
                       const char *after);

/* What a call takes away of what is cached. */
enum mmu_gone {
    MMU_GONE_ALL,
    MMU_GONE_WRITABLE, /* what can be written to */
    MMU_GONE_DIRTY,    /* what can, without that an entry says so */
};

/* Nothing of that kind in [start, end) is cached from before `since`: `after`
 * has returned. */
void mmu_check_gone(uint32_t root, uint64_t start, uint64_t end, uint64_t since,
                    enum mmu_gone what, const char *after);

/* Look at all that is cached; a text that is returned is a breach. The CPU's
 * lock is held: nothing that is cached can be flushed meanwhile. */
typedef const char *mmu_visit(void *context, unsigned cpu,
                              const struct mmu_cached *cached);
void mmu_each(mmu_visit *visit, void *context, const char *after);

/* The first breach, or NULL; forgotten by mmu_attach() and by mmu_forgive(). */
const char *mmu_breach(void);
void mmu_forgive(void);

/* How much there was to see, since the program began. */
struct mmu_counts {
    uint64_t walks;
    uint64_t hits;
    uint64_t faults;
    uint64_t flushes;
    uint64_t dropped; /* by flushes */
    uint64_t checks;  /* of cached things against tables */
};
struct mmu_counts mmu_counts(void);

#endif
