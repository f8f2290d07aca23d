/* SPDX-License-Identifier: MIT */
#include "names.h"

#include "base/cache.h"
#include "internal.h"
#include "space/mm.h"
#include "tree/tree.h"

#include <stdio.h>
#include <string.h>

struct field {
    const char *structure;
    const char *name;
    size_t offset;
    size_t bytes;
};

#define FIELD(structure_, name_)                                               \
    {#structure_, #name_, offsetof(struct structure_, name_),                  \
     sizeof(((struct structure_ *)0)->name_)},
static const struct field fields[] = {
#include "fields.h"
};

/* Structures that were found, and memory of one kind. */
static struct known {
    const char *structure; /* NULL: without fields */
    const char *name;
    uintptr_t address;
    size_t bytes;
} known[512];
static unsigned known_count;

static void
learn(const char *structure, const char *name, const void *address,
      size_t bytes)
{
    for (unsigned i = 0; i < known_count; i++)
        if (known[i].address == (uintptr_t)address && known[i].bytes == bytes)
            return;
    if (known_count < sizeof(known) / sizeof(known[0]))
        known[known_count++] =
            (struct known){structure, name, (uintptr_t)address, bytes};
}

#define LEARN(type, name, pointer)                                             \
    learn(#type, name, (pointer), sizeof(struct type))

/* ---- What there is ----------------------------------------------------- */

static void
learn_vma(const struct aspen_vma *vma)
{
    struct aspen_anon_vma *anon_vma = aspen_load(&vma->anon_vma);

    LEARN(aspen_vma, "vma", vma);
    if (anon_vma)
        LEARN(aspen_anon_vma, "anon_vma", anon_vma);
    if (vma->object)
        LEARN(aspen_object, "object", vma->object);
}

void
names_learn_space(struct aspen_mm *mm)
{
    const struct aspen_vma *vma;
    uint64_t at = 0;

    LEARN(aspen_mm, "mm", mm);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    while ((vma = aspen_vma_find(mm, at)) != NULL) {
        learn_vma(vma);
        at = vma->end;
    }
    aspen_read_unlock(&mm->mmap_lock);
}

static void
learn_cache(const struct aspen_cache *cache)
{
    learn(NULL, cache->name, cache->magazines,
          ASPEN_PORT_CPUS * 576); /* struct aspen_cache_magazine is its own */
}

void
names_learn(struct aspen *aspen)
{
    if (!aspen) {
        known_count = 0;
        return;
    }
    LEARN(aspen, "machine", aspen);
    for (struct aspen_bank *bank = aspen->banks.first; bank; bank = bank->next)
        learn("aspen_frame", "frame", bank->frames,
              bank->count * sizeof(struct aspen_frame));
    learn("aspen_frame_cache", "frame cache", aspen->frame_caches,
          ASPEN_PORT_CPUS * sizeof(struct aspen_frame_cache));
    learn(NULL, "page table", aspen->config.direct_map,
          (size_t)aspen->config.frames << ASPEN_PAGE_SHIFT);
    learn_cache(&aspen->vma_cache);
    learn_cache(&aspen->mm_cache);
}

/* ---- What it is called ------------------------------------------------- */

static size_t
size_of(const struct known *of)
{
    if (!strcmp(of->structure, "aspen_frame"))
        return sizeof(struct aspen_frame);
    if (!strcmp(of->structure, "aspen_frame_cache"))
        return sizeof(struct aspen_frame_cache);
    return of->bytes;
}

static void
name_field(const struct known *of, uintptr_t address, char *name, size_t size)
{
    size_t offset = (address - of->address) % size_of(of);

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (!strcmp(fields[i].structure, of->structure) &&
            offset - fields[i].offset < fields[i].bytes) {
            snprintf(name, size, "%s.%s", of->name, fields[i].name);
            return;
        }
    snprintf(name, size, "%s+%zu", of->name, offset);
}

void
names_of(const void *address, char *name, size_t size)
{
    const struct known *best = NULL;
    uintptr_t at = (uintptr_t)address;

    for (unsigned i = 0; i < known_count; i++)
        if (at - known[i].address < known[i].bytes &&
            (!best || known[i].bytes < best->bytes))
            best = &known[i];
    if (!best)
        snprintf(name, size, "memory");
    else if (!best->structure)
        snprintf(name, size, "%s", best->name);
    else
        name_field(best, at, name, size);
}
