/* SPDX-License-Identifier: MIT */
/**
 * aspen/vma.h - mappings (VMAs), as hooks are given them and whoever goes
 * through a space meets them.
 *
 * "Locked" as a context: the mmap lock of the space is held, for reading or for
 * writing: by aspen_mm_read_lock(), or by the core around a hook that says so
 * (of both spaces in a fork). A pointer to a mapping is good for as long as
 * that lasts, and what is said of it does not change meanwhile.
 *
 *     aspen_mm_read_lock(mm);
 *     for (vma = aspen_vma_find(mm, 0); vma; vma = aspen_vma_next(vma))
 *         pages += (aspen_vma_end(vma) - aspen_vma_start(vma)) / 4096;
 *     aspen_mm_read_unlock(mm);
 */
#ifndef ASPEN_VMA_H
#define ASPEN_VMA_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;
struct aspen_object;
struct aspen_vma;

/**
 * Hold the mmap lock for reading: no mapping of the space comes, goes or
 * changes. Faults go on.
 * Context: may sleep; no lock of the core is held. Until the unlock, which the
 *          same task makes, no call of Aspen that takes a lock.
 */
void aspen_mm_read_lock(struct aspen_mm *mm);
void aspen_mm_read_unlock(struct aspen_mm *mm);

/**
 * The first mapping that ends above `address` (so it holds the address, or
 * begins above it), and the first one above a mapping; NULL: none. In a space
 * that fork builds only those are found that the child has so far. A mapping
 * that the hook `open` is asked about is not among them yet; one that `close`
 * hears of may be still.
 * Context: locked.
 */
struct aspen_vma *aspen_vma_find(struct aspen_mm *mm, uint64_t address);
struct aspen_vma *aspen_vma_next(const struct aspen_vma *vma);

/** Its addresses, [start, end). Context: locked. */
uint64_t aspen_vma_start(const struct aspen_vma *vma);
uint64_t aspen_vma_end(const struct aspen_vma *vma);

/** Its flags, ASPEN_VM_* (aspen/flags.h). In them what a program may do now is
 * ASPEN_VM_READ, WRITE, EXEC. Context: locked. */
uint64_t aspen_vma_flags(const struct aspen_vma *vma);

/** What it maps, and from which byte on; NULL: no object, and the offset is
 * where the memory was mapped first. The mapping holds a reference to the
 * object, or is about to (`open`). Context: locked. */
struct aspen_object *aspen_vma_object(const struct aspen_vma *vma);
uint64_t aspen_vma_offset_bytes(const struct aspen_vma *vma);

/** The space that it is in, or will be. Context: locked. */
struct aspen_mm *aspen_vma_mm(const struct aspen_vma *vma);

/** What it was called: by aspen_name_anon(), as a special mapping, or like its
 * object; NULL: nothing. (What /proc/P/maps adds, as [heap], is not a name.)
 * Context: locked, as long as the text is used. */
const char *aspen_vma_name(const struct aspen_vma *vma);

/**
 * The embedder's own pointer: the core keeps it, and no more. A new mapping has
 * none (NULL). What is made of another one has that one's: the copy in a forked
 * child, a part that is split off, the target of mremap; a hook `open` finds it
 * there and may set another. Where one of two neighbours has a pointer they do
 * not become one, even if it is the same; a mapping grows with it. Aspen
 * frees nothing: `close` is where the pointer was seen last, and memory without
 * an object has no such hook.
 * Context: locked. Set by hooks `open` and `close` of the mapping that they are
 *          given, by others with aspen_mm_read_lock().
 */
void *aspen_vma_embedder(const struct aspen_vma *vma);
void aspen_vma_embedder_set(struct aspen_vma *vma, void *embedder);

#ifdef __cplusplus
}
#endif

#endif
