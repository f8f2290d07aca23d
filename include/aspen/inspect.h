/* SPDX-License-Identifier: MIT */
/**
 * aspen/inspect.h - look at a machine: text, hashes, and the validator.
 */
#ifndef ASPEN_INSPECT_H
#define ASPEN_INSPECT_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;
struct aspen_mm;

/** Gets text piece by piece; `text` is not terminated. */
typedef void aspen_text_sink(void *context, const char *text, size_t length);

/** For aspen_inspect_mm(): page-table entries, too. */
#define ASPEN_INSPECT_PAGES 1u

/**
 * Text of /proc/P/maps, /proc/P/smaps in Linux's format, and the project's own
 * notation (docs/use/notation.md; an unknown flag
 * has no effect).
 *
 * Context: may sleep; takes the mmap lock for reading; the sink must not call
 * into this address space.
 */
void aspen_inspect_maps(struct aspen_mm *mm, aspen_text_sink *sink,
                        void *context);
/** Of maps, the lines of mappings that have an address in [start, end). */
void aspen_inspect_maps_range(struct aspen_mm *mm, uint64_t start, uint64_t end,
                              aspen_text_sink *sink, void *context);
void aspen_inspect_smaps(struct aspen_mm *mm, aspen_text_sink *sink,
                         void *context);
void aspen_inspect_mm(struct aspen_mm *mm, unsigned flags,
                      aspen_text_sink *sink, void *context);

/**
 * Text of /proc/pressure/memory in Linux's format, of the machine: what
 * aspen_pressure_read() says (aspen/account/pressure.h).
 *
 * Context: as that.
 */
void aspen_inspect_pressure(struct aspen *aspen, aspen_text_sink *sink,
                            void *context);

/**
 * Hashes of an address space. Spaces with equal hashes are equal in everything
 * that the hash covers.
 *
 * ASPEN_HASH_SEMANTIC covers what a caller can rely on: VMAs, flags, limits,
 * counters that Linux shows, what each page holds (which frame's contents,
 * which slot, guard), object links. It leaves out which pages are
 * resident that a fault could bring back, write protection, accessed and dirty
 * bits, and empty page tables.
 * ASPEN_HASH_COUNTS also covers what the space shares with others: reference
 * and map counts of each mapped frame, counts of its swap slots, sizes of its
 * anon_vmas' and objects' trees. It tells whether anything of a failed child
 * is left on what the child could reach.
 */
enum aspen_hash_kind {
    ASPEN_HASH_SEMANTIC,
    ASPEN_HASH_COUNTS,
};

/** Context: may sleep; takes the mmap lock for reading. */
uint64_t aspen_hash_mm(struct aspen_mm *mm, enum aspen_hash_kind kind);

#define ASPEN_FINDING_BYTES 256

/** What the validator found first. */
struct aspen_finding {
    const char *check;              /* "frame.mapcount", ...; NULL: nothing */
    char text[ASPEN_FINDING_BYTES]; /* one line for people, terminated */
};

/**
 * Compare everything of a machine with everything else: trees, VMAs, page
 * tables, reverse maps, frame counts, charge, objects, swap map, registry.
 * docs/use/inspect.md lists the checks by name.
 *
 * Context: may sleep; no call of the machine is under way.
 * Returns: 0: all holds; 1: finding filled; -ASPEN_ENOMEM: no memory to check.
 */
ASPEN_MUST_USE int aspen_validate(struct aspen *aspen,
                                  struct aspen_finding *finding);

/** The same for one address space and what it reaches; cheaper. */
ASPEN_MUST_USE int aspen_validate_mm(struct aspen_mm *mm,
                                     struct aspen_finding *finding);

#ifdef __cplusplus
}
#endif

#endif
