/* SPDX-License-Identifier: MIT */
/*
 * format.h - how the processors read a 64-bit entry of a page table with pages
 * of 4 KiB, by their manuals:
 *
 *   x86-64   Intel SDM volume 3, 4.5 "4-level paging and 5-level paging"
 *
 *   AArch64  Arm ARM (DDI 0487), D8.3 "Translation table descriptor formats":
 *            stage 1 at EL0, 4 KiB granule, 48-bit output
 *
 *   RISC-V   Privileged Architecture 1.13, 12.4 "Sv39", 12.5 "Sv48", and the
 *            extensions Svpbmt, Svadu
 *
 * Level 0 is where the walk ends. Written beside src/paging, not after it.
 */
#ifndef ASPEN_TESTS_MMU_FORMAT_H
#define ASPEN_TESTS_MMU_FORMAT_H

#include <aspen_port.h>

enum format_kind {
    FORMAT_NOTHING, /* the access faults */
    FORMAT_TABLE,
    FORMAT_LEAF,
    FORMAT_RESERVED, /* present, and with bits set that have to be clear */
};

/* How a processor accesses what a leaf leads to. Numbers are ours. */
enum format_memory {
    FORMAT_WRITE_BACK,
    FORMAT_COMBINING, /* not cached, without an order */
    FORMAT_UNCACHED,
    FORMAT_DEVICE,
    FORMAT_OTHER, /* nothing that the core asks for */
};

/* What an entry says. Rights of a table are bounds for what is below. */
struct format_entry {
    enum format_kind kind;
    uint64_t number; /* of the page frame that the address bits name */
    bool read, write, exec;
    bool accessed;
    bool dirty;  /* a leaf that can be written, without a word to anybody */
    bool raw;    /* a note of the core's, in a bit that no processor reads */
    bool global; /* a leaf that all address spaces have */
    bool shadow_stack; /* a leaf that only calls and returns write to */
    unsigned key;
    enum format_memory memory;
    /* Of an entry that is not present: the page frame that a processor with the
     * L1 terminal fault reads all the same. */
    uint64_t terminal;
};

#define FORMAT_NO_FRAME UINT64_MAX

#define FORMAT_BIT(n) ((uint64_t)1 << (n))
#define FORMAT_BITS(high, low)                                                 \
    ((FORMAT_BIT(high) << 1) - FORMAT_BIT(low)) /* high < 63 */

#if defined(ASPEN_PORT_PAGING_RISCV_SV39) ||                                   \
    defined(ASPEN_PORT_PAGING_RISCV_SV48)

#define FORMAT_NAME "RISC-V"
#ifdef ASPEN_PORT_PAGING_RISCV_SV39
#define FORMAT_LEVELS 3
#else
#define FORMAT_LEVELS 4
#endif

static inline struct format_entry
format_read(uint64_t entry, unsigned level)
{
    static const enum format_memory memory[] = {
        FORMAT_WRITE_BACK, FORMAT_COMBINING, FORMAT_UNCACHED, FORMAT_OTHER};
    struct format_entry says = {.kind = FORMAT_NOTHING,
                                .terminal = FORMAT_NO_FRAME};
    bool read = entry & FORMAT_BIT(1), write = entry & FORMAT_BIT(2);
    bool exec = entry & FORMAT_BIT(3), user = entry & FORMAT_BIT(4);

    if (!(entry & FORMAT_BIT(0))) /* V */
        return says;
    says.number = (entry & FORMAT_BITS(53, 10)) >> 10;
    says.kind = FORMAT_RESERVED;
    /* N of Svnapot, and what nobody has; writable and not readable. */
    if (entry & (FORMAT_BIT(63) | FORMAT_BITS(60, 54)) || (write && !read))
        return says;
    if (!read && !exec) { /* D, A, U and PBMT are reserved in tables */
        if (level > 0 && !(entry & (FORMAT_BITS(62, 61) | FORMAT_BIT(7) |
                                    FORMAT_BIT(6) | FORMAT_BIT(4))))
            says.kind = FORMAT_TABLE;
        says.read = says.write = says.exec = says.accessed = true;
        return says;
    }
    says.memory = memory[entry >> 61 & 3];
    if (says.memory != FORMAT_OTHER &&
        !(level > 0 && entry & FORMAT_BITS(9 + 9 * level, 10)))
        says.kind = FORMAT_LEAF;
    says.read = user && read;
    says.write = user && write;
    says.exec = user && exec;
    says.global = entry & FORMAT_BIT(5);
    says.accessed = entry & FORMAT_BIT(6);
    says.dirty = entry & FORMAT_BIT(7);
    says.raw = entry & FORMAT_BIT(8);
    return says;
}

/* With Svadu. */
static inline uint64_t
format_accessed(uint64_t entry, bool leaf, bool write)
{
    if (!leaf)
        return entry;
    entry |= FORMAT_BIT(6);
    return write ? entry | FORMAT_BIT(7) : entry;
}

#elif !defined(ASPEN_PORT_PAGING_AARCH64)

#define FORMAT_NAME "x86-64"
#ifdef ASPEN_PORT_PAGING_X86_64_LA57
#define FORMAT_LEVELS 5
#else
#define FORMAT_LEVELS 4
#endif

/* IA32_PAT as the core's format wants it loaded; 4 levels, table 12-12. */
#define FORMAT_PAT 0x0407050600070106u

static inline enum format_memory
format_memory_of(uint64_t entry, bool large)
{
    bool pat = entry & (large ? FORMAT_BIT(12) : FORMAT_BIT(7));
    bool pcd = entry & FORMAT_BIT(4), pwt = entry & FORMAT_BIT(3);

    switch (FORMAT_PAT >> 8 * (pat << 2 | pcd << 1 | pwt) & 0xff) {
    case 6:
        return FORMAT_WRITE_BACK;
    case 1:
        return FORMAT_COMBINING;
    case 7: /* UC-: a range register may say more */
        return FORMAT_UNCACHED;
    case 0:
        return FORMAT_DEVICE;
    }
    return FORMAT_OTHER;
}

static inline struct format_entry
format_read(uint64_t entry, unsigned level)
{
    struct format_entry says = {.kind = FORMAT_NOTHING};

    says.terminal = (entry & FORMAT_BITS(51, 12)) >> 12;
    if (!(entry & FORMAT_BIT(0))) /* P */
        return says;
    bool page_size = level > 0 && entry & FORMAT_BIT(7); /* PS */
    bool user = entry & FORMAT_BIT(2);                   /* U/S */

    says.kind = level == 0 || page_size ? FORMAT_LEAF : FORMAT_TABLE;
    says.number = (entry & FORMAT_BITS(51, 12)) >> 12;
    says.read = user;
    says.write = user && entry & FORMAT_BIT(1);    /* R/W */
    says.exec = user && !(entry & FORMAT_BIT(63)); /* XD */
    says.accessed = entry & FORMAT_BIT(5);         /* A, in tables as well */
    if (level >= 3 && page_size)
        says.kind = FORMAT_RESERVED;
    if (says.kind != FORMAT_LEAF)
        return says;
    says.dirty = entry & FORMAT_BIT(6); /* D */
    says.key = (unsigned)(entry >> 59 & 15);
    says.raw = entry & FORMAT_BIT(9);
    says.global = entry & FORMAT_BIT(8);
    says.shadow_stack = user && says.dirty && !(entry & FORMAT_BIT(1));
    says.memory = format_memory_of(entry, level > 0);
    /* Bit 12 is PAT in a large leaf; from there to its size: reserved. */
    if (level > 0 && entry & FORMAT_BITS(11 + 9 * level, 13))
        says.kind = FORMAT_RESERVED;
    return says;
}

/* The entry after an access; 0: the processor does not make one of it. */
static inline uint64_t
format_accessed(uint64_t entry, bool leaf, bool write)
{
    entry |= FORMAT_BIT(5);
    return leaf && write ? entry | FORMAT_BIT(6) : entry;
}

#else

#define FORMAT_NAME   "AArch64"
#define FORMAT_LEVELS 4

/* MAIR_EL1 as the core's format wants it loaded; D17.2, "MAIR_EL1". */
#define FORMAT_MAIR   0x040044ffu

static inline enum format_memory
format_memory_of(uint64_t entry)
{
    static const struct {
        unsigned attribute;
        enum format_memory memory;
    } known[] = {
        {0xff, FORMAT_WRITE_BACK}, /* normal, write-back, inner and outer */
        {0x44, FORMAT_COMBINING},  /* normal, not cached */
        {0x00, FORMAT_UNCACHED},   /* Device-nGnRnE */
        {0x04, FORMAT_DEVICE},     /* Device-nGnRE */
    };
    unsigned index = (unsigned)(entry >> 2 & 7); /* AttrIndx */
    unsigned attribute = (uint64_t)FORMAT_MAIR >> 8 * index & 0xff;

    for (unsigned i = 0; index < 4 && i < sizeof(known) / sizeof(*known); i++)
        if (known[i].attribute == attribute)
            return known[i].memory;
    return FORMAT_OTHER;
}

static inline struct format_entry
format_read_table(uint64_t entry)
{
    bool none = entry & FORMAT_BIT(61); /* APTable[0]: not at EL0 */

    return (struct format_entry){
        .kind = FORMAT_TABLE,
        .number = (entry & FORMAT_BITS(47, 12)) >> 12,
        .read = !none,
        .write = !none && !(entry & FORMAT_BIT(62)), /* APTable[1] */
        .exec = !(entry & FORMAT_BIT(60)),           /* UXNTable */
        .accessed = true,
    };
}

static inline struct format_entry
format_read(uint64_t entry, unsigned level)
{
    bool valid = entry & FORMAT_BIT(0), second = entry & FORMAT_BIT(1);

    if (!valid || (level == 0 && !second))
        return (struct format_entry){.kind = FORMAT_NOTHING,
                                     .terminal = FORMAT_NO_FRAME};
    if (level > 0 && second)
        return format_read_table(entry);

    bool user = entry & FORMAT_BIT(6);      /* AP[1]: data, at EL0 */
    bool read_only = entry & FORMAT_BIT(7); /* AP[2] */
    bool modifier = entry & FORMAT_BIT(51); /* DBM */
    struct format_entry says = {
        .kind = FORMAT_LEAF,
        .number = (entry & FORMAT_BITS(47, 12)) >> 12,
        .read = user,
        .write = user && (!read_only || modifier),
        .exec = !(entry & FORMAT_BIT(54)),  /* UXN */
        .accessed = entry & FORMAT_BIT(10), /* AF */
        .dirty = user && !read_only,
        .key = (unsigned)(entry >> 59 & 15),
        .raw = entry & FORMAT_BIT(56),
        .global = !(entry & FORMAT_BIT(11)), /* nG */
        .memory = format_memory_of(entry),
    };
    /* A block at our level 3 there is not; a block is aligned. */
    if (level == 3 || (level > 0 && entry & FORMAT_BITS(11 + 9 * level, 12)))
        says.kind = FORMAT_RESERVED;
    return says;
}

static inline uint64_t
format_accessed(uint64_t entry, bool leaf, bool write)
{
    if (!leaf)
        return entry;
    entry |= FORMAT_BIT(10);
    return write ? entry & ~FORMAT_BIT(7) : entry;
}

#endif

#endif
