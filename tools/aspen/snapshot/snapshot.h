/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - the address space of a process at one moment: its mappings and
 * what each page-table entry held, without any contents.
 *
 * In memory:
 *
 *   snapshot --> vmas[]     in address order, none overlaps
 *            --> runs[]     entries of one kind in a row, in address order;
 *                           those of a VMA are runs[first_run, + run_count)
 *            --> objects[]  what is mapped: device and inode
 *            --> strings[]  paths and VmFlags, each once; string 0 is ""
 *
 * I1  vmas are page aligned, not empty, sorted, below SNAPSHOT_ADDRESS_LIMIT.
 * I2  The runs of a VMA lie inside it, sorted, aligned to their level, and do
 *     not overlap; VMAs' runs follow each other in runs[].
 * I3  Every index is in range.
 *
 * snapshot_parse() accepts nothing that breaks them, so whoever has a snapshot
 * may rely on them.
 *
 * The file: a header of 32 bytes and a payload of variable-length integers
 * (7 bits a byte, lowest first, high bit: more follow) and strings.
 *
 *   0   8  magic: 0x89 "ASN" \r \n 0x1a \n
 *   8   4  version of the format, little endian
 *   12  4  zero
 *   16  8  length of the payload in bytes, little endian
 *   24  8  checksum: FNV-1a, 64 bits, of the bytes before it and the payload,
 *          little endian
 *
 * FNV-1a sees every change of a single byte: each step maps distinct states
 * to distinct states.
 */
#ifndef ASPEN_SNAPSHOT_H
#define ASPEN_SNAPSHOT_H

#include "common/tool.h"

#include <aspen/name.h>
#include <aspen/calls/pkey.h>

#define SNAPSHOT_VERSION       1u
#define SNAPSHOT_HEADER_BYTES  32u
#define SNAPSHOT_PAGE_SHIFT    12u
#define SNAPSHOT_PAGE_SIZE     ((uint64_t)1 << SNAPSHOT_PAGE_SHIFT)
#define SNAPSHOT_ADDRESS_LIMIT ((uint64_t)1 << 56)
#define SNAPSHOT_NO_OBJECT     UINT32_MAX
/* A swap run whose slots the kernel did not tell (no privilege). */
#define SNAPSHOT_NO_SLOT UINT64_MAX

/** What an entry of a page table is. Numbers are part of the file format. */
enum snapshot_kind {
    SNAPSHOT_ANON,   /* a private page */
    SNAPSHOT_OBJECT, /* a page of a file or of shared memory */
    SNAPSHOT_ZERO,   /* the zero page */
    SNAPSHOT_SWAP,   /* swapped out */
    SNAPSHOT_GUARD,  /* a guard page (MADV_GUARD_INSTALL) */
    SNAPSHOT_RAW,    /* a raw frame of a PFNMAP or MIXEDMAP area */
    SNAPSHOT_OTHER,  /* poison and userfault markers: known, not imported */
    SNAPSHOT_KINDS
};

/** "anon", "object", ...; NULL when out of range. */
const char *snapshot_kind_name(unsigned kind);

/**
 * `count` entries of one kind and level in a row. 24 bytes: a process whose
 * neighbouring pages all differ costs three times its page tables.
 */
struct snapshot_run {
    uint64_t place; /* address; level in bits 4-5, kind in bits 0-3 */
    uint64_t count; /* entries */
    uint64_t value; /* RAW: first frame; SWAP: snapshot_swap_value(); or 0 */
};

static inline uint64_t
snapshot_run_address(const struct snapshot_run *run)
{
    return run->place & ~(SNAPSHOT_PAGE_SIZE - 1);
}

static inline unsigned
snapshot_run_kind(const struct snapshot_run *run)
{
    return run->place & 15;
}

static inline unsigned
snapshot_run_level(const struct snapshot_run *run)
{
    return (run->place >> 4) & 3;
}

/** 4 KiB pages of one entry at that level: 1, 512, 262,144. */
static inline uint64_t
snapshot_level_pages(unsigned level)
{
    return (uint64_t)1 << (9 * level);
}

static inline uint64_t
snapshot_run_pages(const struct snapshot_run *run)
{
    return run->count << (9 * snapshot_run_level(run));
}

static inline uint64_t
snapshot_run_end(const struct snapshot_run *run)
{
    return snapshot_run_address(run) +
           (snapshot_run_pages(run) << SNAPSHOT_PAGE_SHIFT);
}

#define SNAPSHOT_SWAP_TYPE_BITS 5
static inline uint64_t
snapshot_swap_value(unsigned type, uint64_t slot)
{
    return slot << SNAPSHOT_SWAP_TYPE_BITS | type;
}

struct snapshot_vma {
    uint64_t start;
    uint64_t end;
    uint64_t flags;       /* ASPEN_VM_*, from `permissions` and `vm_flags` */
    uint64_t pgoff;       /* in pages */
    uint32_t permissions; /* SNAPSHOT_PERM_* */
    uint32_t vm_flags;    /* string: VmFlags as the kernel wrote them */
    uint32_t path;        /* string; "" when there is none or it is redacted */
    uint32_t object;      /* index, or SNAPSHOT_NO_OBJECT */
    uint32_t page_shift;  /* of KernelPageSize: 12, 21, 30 */
    uint32_t run_count;
    uint64_t first_run;
    uint64_t rss_pages; /* as smaps tells them */
    uint64_t swap_pages;
};

#define SNAPSHOT_PERM_READ   1u
#define SNAPSHOT_PERM_WRITE  2u
#define SNAPSHOT_PERM_EXEC   4u
#define SNAPSHOT_PERM_SHARED 8u
/* And the protection key: four bits. */
#define SNAPSHOT_PERM_PKEY_SHIFT 4
#define SNAPSHOT_PERM_PKEY       (15u << SNAPSHOT_PERM_PKEY_SHIFT)
#define SNAPSHOT_PERM_LIMIT      256u

enum snapshot_object_kind {
    SNAPSHOT_OBJECT_FILE,
    SNAPSHOT_OBJECT_SHMEM,
    SNAPSHOT_OBJECT_DEVICE, /* raw frames */
    SNAPSHOT_OBJECT_HUGETLB,
    SNAPSHOT_OBJECT_SPECIAL, /* the vdso and its like: no file behind */
    SNAPSHOT_OBJECT_KINDS
};

struct snapshot_object {
    uint64_t device;
    uint64_t inode;
    enum snapshot_object_kind kind;
};

/** From /proc/P/status, in KiB; SNAPSHOT_UNKNOWN when it has no such line. */
enum snapshot_counter {
    SNAPSHOT_VM_SIZE,
    SNAPSHOT_VM_RSS,
    SNAPSHOT_RSS_ANON,
    SNAPSHOT_RSS_FILE,
    SNAPSHOT_RSS_SHMEM,
    SNAPSHOT_VM_SWAP,
    SNAPSHOT_VM_PTE,
    SNAPSHOT_VM_LOCKED,
    SNAPSHOT_HUGETLB_PAGES,
    SNAPSHOT_COUNTERS
};
#define SNAPSHOT_UNKNOWN UINT64_MAX

enum snapshot_method {
    SNAPSHOT_BY_SCAN,    /* the PAGEMAP_SCAN ioctl */
    SNAPSHOT_BY_PAGEMAP, /* reading /proc/P/pagemap */
    SNAPSHOT_BY_HAND,    /* made by a program, for tests */
    SNAPSHOT_METHODS
};

/** "pagemap_scan", "pagemap", "made". */
const char *snapshot_method_name(unsigned method);

struct snapshot {
    struct snapshot_vma *vmas;
    uint64_t vma_count;
    uint64_t vma_capacity;
    struct snapshot_run *runs;
    uint64_t run_count;
    uint64_t run_capacity;
    struct snapshot_object *objects;
    uint32_t object_count;
    uint32_t object_capacity;
    char **strings;
    uint32_t string_count;
    uint32_t string_capacity;
    uint32_t *string_slots; /* hash table of string + 1; 0: free */
    uint32_t string_slot_count;
    uint32_t *object_slots; /* hash table of object + 1; 0: free */
    uint32_t object_slot_count;

    uint32_t name;    /* string: the process's name; "" when redacted */
    uint32_t release; /* string: the kernel's release */
    enum snapshot_method method;
    bool torn; /* taken with --no-stop: may not fit together */
    bool redacted;
    bool frames_told;   /* raw frames and swap slots are the kernel's own */
    uint64_t ambiguous; /* pages of which the kernel did not tell the kind */
    uint64_t assumed;   /* raw frames that no kernel shows: taken as mapped */
    uint64_t unread;    /* pages of areas that were not looked at */
    uint64_t counters[SNAPSHOT_COUNTERS];
};

/* --- making one ---------------------------------------------------------- */

/** An empty one. -1: no memory. */
int snapshot_init(struct snapshot *snapshot);
void snapshot_free(struct snapshot *snapshot);

/** The string's index; the text is copied. UINT32_MAX: no memory. */
uint32_t snapshot_string(struct snapshot *snapshot, const char *text,
                         size_t length);
const char *snapshot_text(const struct snapshot *snapshot, uint32_t string);

/** The object's index, a new one if needed. SNAPSHOT_NO_OBJECT: no memory. */
uint32_t snapshot_object(struct snapshot *snapshot, uint64_t device,
                         uint64_t inode, enum snapshot_object_kind kind);

/** Add a VMA behind the last; its runs follow. NULL: no memory. */
struct snapshot_vma *snapshot_add_vma(struct snapshot *snapshot,
                                      const struct snapshot_vma *vma);

/**
 * Add entries to the last VMA, behind its last run; joined to it if it goes
 * on. -1: no memory.
 */
int snapshot_add_run(struct snapshot *snapshot, uint64_t address,
                     uint64_t count, unsigned level, enum snapshot_kind kind,
                     uint64_t value);

/** What a mapping with these flags tells of the keys of its space: its own was
 * given out, and is the space's if it is for execution alone. */
void snapshot_note_pkey(struct aspen_pkeys *pkeys, uint64_t flags);

/** VmFlags and permissions as ASPEN_VM_*. Unknown names are left out. */
uint64_t snapshot_flags(uint32_t permissions, const char *vm_flags);

/** The same for a VMA; adds ASPEN_VM_SPECIAL by its object. */
uint64_t snapshot_vma_flags(const struct snapshot *snapshot,
                            const struct snapshot_vma *vma);

/** Whether a two-letter name stands in VmFlags. */
bool snapshot_has_flag(const char *vm_flags, const char *name);

/**
 * The name that a path of maps, [anon:NAME], says was given to private memory:
 * true and NAME, else false.
 */
bool snapshot_anon_name(const char *path, char name[ASPEN_NAME_BYTES]);

/**
 * Leave out what names the user's files: paths, the process's name, devices
 * and inodes (numbered from 1 on instead, so that what was one object is one).
 */
void snapshot_redact(struct snapshot *snapshot);

/** Check I1 to I3. -1 and a reason. */
int snapshot_check(const struct snapshot *snapshot, struct tool_error *error);

/* --- files --------------------------------------------------------------- */

/** The file's bytes. -1: no memory. */
int snapshot_encode(const struct snapshot *snapshot,
                    struct tool_buffer *buffer);

/** Bytes of a file to a snapshot, initialised here; `name` is for errors. */
int snapshot_parse(struct snapshot *snapshot, const uint8_t *bytes,
                   size_t length, const char *name, struct tool_error *error);

/**
 * Write a file, all or nothing: under another name beside it, flushed to the
 * disk, then renamed. A target that is no regular file (a pipe, a device) is
 * written to as it is; "-" is standard output.
 */
int snapshot_save(const struct snapshot *snapshot, const char *path,
                  struct tool_error *error);
int snapshot_load(struct snapshot *snapshot, const char *path,
                  struct tool_error *error);

/* --- sums ---------------------------------------------------------------- */

struct snapshot_totals {
    uint64_t pages[SNAPSHOT_KINDS]; /* 4 KiB pages, huge ones in full */
    uint64_t hugetlb_pages;         /* of these, in hugetlb areas */
    uint64_t huge_entries[3];       /* entries by level, without OTHER */
    uint64_t missing_pages;         /* counted by smaps, but not found */
    uint64_t deposits;              /* PMD leaves that keep a spare table */
    uint64_t resident_pages;        /* anon and object, without hugetlb */
    uint64_t tables[4];             /* tables needed, by level from 0 on */
};

void snapshot_sum(const struct snapshot *snapshot,
                  struct snapshot_totals *totals);

#endif
