/* SPDX-License-Identifier: MIT */
/*
 * inspect/hash.c - one number for all that a caller of an address space can
 * rely on, and one for all that it shares with others.
 *
 * I1  Two spaces, or one at two moments, with equal hashes agree in what the
 *     hash covers (but for chance, 1 in 2^64).
 * I2  Whatever is "not counted as state" (DESIGN.md) is left out of the
 *     semantic hash: a page that a fault can find again, write-protection,
 *     accessed and dirty bits, empty tables.
 * I3  Allocates nothing; one pass over VMAs and entries.
 *
 * Called by tests and tools. The first test to break is
 * tests/unit/inspect/test_hash.c.
 */
#include "inspect/walk.h"
#include "frames/pins.h"
#include "rmap/anon_vma.h"
#include "object/object.h"
#include "machine/swap_map.h"
#include <aspen/inspect.h>

struct hash {
    struct aspen *aspen;
    bool counts;
    uint64_t value;
};

/* Order matters: each value is mixed into all bits of what came before. */
static inline void
mix(struct hash *hash, uint64_t value)
{
    uint64_t mixed = (hash->value ^ value) * 0x9fb21c651e98df25u;
    hash->value = mixed ^ (mixed >> 32) ^ (hash->value << 7);
}

static void
mix_frame_counts(struct hash *hash, uint64_t entry, uint64_t address,
                 unsigned level)
{
    if (!aspen_walk_is_page(entry, level))
        return;
    uint64_t number = aspen_entry_frame(entry);
    mix(hash, address);
    mix(hash, number);
    const struct aspen_frame *frame =
        aspen_frame_at(hash->aspen, (uint32_t)number);
    mix(hash, aspen_load_relaxed(&frame->counts) & ~ASPEN_FRAME_EXCLUSIVE);
    mix(hash, aspen_frame_pins(hash->aspen, (uint32_t)number));
}

/* A private page, or a raw one. The zero page and pages of objects are what a
 * fault would find again. */
static void
mix_leaf(struct hash *hash, uint64_t entry, uint64_t address, unsigned level)
{
    uint64_t number = aspen_entry_frame(entry);
    unsigned bits = aspen_entry_bits(entry);
    bool special = bits & ASPEN_ENTRY_SPECIAL;

    if (special
            ? number == hash->aspen->zero_frame
            : aspen_frame_type(aspen_frame_at(hash->aspen, (uint32_t)number)) !=
                  ASPEN_FRAME_ANON)
        return;
    mix(hash, address);
    mix(hash, number << 2 | level);
    mix(hash, special | (bits & ASPEN_ENTRY_CACHE));
}

static void
mix_entry(void *context, uint64_t address, uint64_t entry, unsigned level)
{
    struct hash *hash = context;

    if (aspen_entry_is_leaf(entry, level)) {
        mix_leaf(hash, entry, address, level);
        if (aspen_entry_is_marked(entry, level)) {
            /* As where the page is not there now. */
            mix(hash, address);
            mix(hash, aspen_entry_make_marker(ASPEN_MARKER_UFFD_WP));
        }
        if (hash->counts)
            mix_frame_counts(hash, entry, address, level);
        return;
    }
    mix(hash, address);
    if (aspen_entry_is_swap(entry))
        entry &= ~ASPEN_ENTRY_SWAP_EXCLUSIVE; /* as exclusive of pages */
    mix(hash, entry); /* a swap slot or a marker: all of it is state */
    if (hash->counts && aspen_entry_is_swap(entry))
        mix(hash, (uint64_t)aspen_swap_references(
                      hash->aspen, aspen_entry_swap_type(entry),
                      aspen_entry_swap_slot(entry)));
}

static void
mix_object(struct hash *hash, struct aspen_object *object)
{
    if (!object) {
        mix(hash, 0);
        return;
    }
    mix(hash, object->device + 1);
    mix(hash, object->inode);
    mix(hash, (uint64_t)object->kind);
    mix(hash, aspen_load_relaxed(&object->size_bytes));
    if (!hash->counts)
        return;
    aspen_read_lock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP);
    mix(hash, object->i_mmap.count);
    mix(hash, (uint64_t)aspen_load_relaxed(&object->writable_shared));
    aspen_read_unlock(&object->i_mmap_lock);
    mix(hash, aspen_load_relaxed(&object->references));
}

/* How many VMAs each anon_vma of the chain leads to, and its counts. */
static void
mix_anon_chain(struct hash *hash, struct aspen_vma *vma)
{
    /* A fault may be giving it one. */
    struct aspen_anon_vma *own = aspen_load(&vma->anon_vma);

    if (!own)
        return;
    aspen_anon_vma_lock_read(own);
    aspen_list_for_each(link, &vma->anon_chain)
    {
        const struct aspen_anon_vma *anon_vma =
            aspen_container_of(link, struct aspen_anon_vma_link, same_vma)
                ->anon_vma;
        mix(hash, anon_vma->links.count);
        mix(hash, anon_vma->active_vmas);
        mix(hash, anon_vma->children);
        mix(hash, aspen_load_relaxed(&anon_vma->references));
    }
    aspen_anon_vma_unlock_read(own);
}

static void
mix_name(struct hash *hash, const struct aspen_name *name)
{
    mix(hash, name != NULL);
    for (size_t i = 0; name && name->text[i]; i++)
        mix(hash, (uint64_t)name->text[i]);
}

static void
mix_vma(struct hash *hash, struct aspen_vma *vma)
{
    mix(hash, vma->start);
    mix(hash, vma->end);
    mix(hash, vma->flags);
    mix(hash, vma->pgoff);
    mix(hash, (uint64_t)(uintptr_t)vma->userfault);
    mix(hash, (uint64_t)(uintptr_t)vma->special);
    mix_name(hash, vma->name);
    mix_object(hash, vma->object);
    if (hash->counts)
        mix_anon_chain(hash, vma);
    aspen_walk_entries(vma->mm, vma->start, vma->end, mix_entry, hash);
}

static void
mix_layout(struct hash *hash, const struct aspen_layout *layout)
{
    mix(hash, layout->mmap_base);
    mix(hash, layout->mmap_bottom);
    mix(hash, layout->bottom_up);
    mix(hash, layout->code_start);
    mix(hash, layout->code_end);
    mix(hash, layout->data_start);
    mix(hash, layout->data_end);
    mix(hash, layout->brk_start);
    mix(hash, layout->brk);
    mix(hash, layout->stack_start);
    mix(hash, layout->arg_start);
    mix(hash, layout->arg_end);
    mix(hash, layout->env_start);
    mix(hash, layout->env_end);
}

static void
mix_settings(struct hash *hash, const struct aspen_mm *mm)
{
    mix(hash, (uint64_t)aspen_load_relaxed(&mm->state));
    mix(hash, mm->map_count);
    mix(hash, mm->total_pages);
    mix(hash, mm->data_pages);
    mix(hash, mm->exec_pages);
    mix(hash, mm->stack_pages);
    mix(hash, mm->locked_pages);
    mix(hash, aspen_load_relaxed(&mm->pinned_pages));
    mix(hash, mm->def_flags);
    mix_layout(hash, &mm->layout);
    for (unsigned i = 0; i < ASPEN_LIMITS; i++)
        mix(hash, mm->limits[i]);
    mix(hash, mm->privileges);
    mix(hash, mm->pkeys);
    mix(hash, mm->execute_only_pkey);
    mix(hash, aspen_mm_rss(mm, ASPEN_RSS_SWAP));
    for (unsigned kind = 0; hash->counts && kind < ASPEN_RSS_KINDS; kind++)
        mix(hash, aspen_mm_rss(mm, (enum aspen_rss)kind));
}

uint64_t
aspen_hash_mm(struct aspen_mm *mm, enum aspen_hash_kind kind)
{
    struct hash hash = {
        .aspen = mm->aspen,
        .counts = kind == ASPEN_HASH_COUNTS,
        .value = 0x2545f4914f6cdd1du,
    };
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    mix_settings(&hash, mm);
    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, mm->address_limit - 1)) != NULL)
        mix_vma(&hash, vma);
    aspen_read_unlock(&mm->mmap_lock);
    return hash.value;
}
