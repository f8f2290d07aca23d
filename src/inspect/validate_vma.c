/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_vma.c - an address space's tree, its VMAs, its sizes.
 */
#include "inspect/validate.h"

#include "space/pkeys.h"
#include "space/vma.h"

/* What the sizes of the mm have to be. */
struct sizes {
    struct aspen_mm sum; /* only the sizes are used */
    uint64_t vmas;
};

/* ---- One VMA ----------------------------------------------------------- */

static bool
check_range(struct aspen_validator *v, const struct aspen_mm *mm,
            const struct aspen_vma *vma, const uint64_t range[2])
{
    if (!ASPEN_EXPECT(v, vma->mm == mm, VMA_MM,
                      "mm %u: its tree leads at %a to a VMA of another space",
                      mm->id, range[0]))
        return false;
    if (!ASPEN_EXPECT(v, vma->start == range[0] && vma->end - 1 == range[1],
                      VMA_RANGE,
                      ASPEN_VMA_FORMAT ": the tree holds it at %a-%a",
                      ASPEN_VMA_VALUES(vma), range[0], range[1] + 1))
        return false;
    return ASPEN_EXPECT(
        v,
        vma->start < vma->end &&
            aspen_is_aligned(vma->start | vma->end, ASPEN_PAGE_SIZE) &&
            vma->start >= mm->address_floor && vma->end <= mm->address_limit,
        VMA_RANGE, ASPEN_VMA_FORMAT ": not whole pages of user space",
        ASPEN_VMA_VALUES(vma));
}

static bool
check_special(struct aspen_validator *v, const struct aspen_vma *vma)
{
    const uint64_t flags = ASPEN_VM_SPECIAL | ASPEN_VM_DONTEXPAND;

    return ASPEN_EXPECT(
        v, !vma->special || ((vma->flags & flags) == flags && !vma->object),
        VMA_FLAGS, ASPEN_VMA_FORMAT ": a special mapping of another kind",
        ASPEN_VMA_VALUES(vma));
}

static bool
check_fields(struct aspen_validator *v, const struct aspen_vma *vma)
{
    uint64_t limit = (uint64_t)1 << ASPEN_FRAME_INDEX_BITS;
    const struct aspen_mm *mm = vma->mm;

    return ASPEN_EXPECT(v, !(vma->flags & ~ASPEN_VM_KNOWN), VMA_FLAGS,
                        ASPEN_VMA_FORMAT ": unknown flags %a",
                        ASPEN_VMA_VALUES(vma), vma->flags & ~ASPEN_VM_KNOWN) &&
           ASPEN_EXPECT(v, !(vma->flags & ASPEN_VM_SHARED) || vma->object,
                        VMA_FLAGS, ASPEN_VMA_FORMAT ": shared, but no object",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(v, aspen_vma_cache_mode_valid(vma->flags), VMA_FLAGS,
                        ASPEN_VMA_FORMAT ": a cache mode, but no raw frames",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(
               v,
               !(vma->flags & ASPEN_VM_WRITE) || vma->flags & ASPEN_VM_MAYWRITE,
               VMA_FLAGS, ASPEN_VMA_FORMAT ": is written, but may not be",
               ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(v,
                        !aspen_pkey_of(vma->flags) ||
                            aspen_pkey_of(vma->flags) < v->aspen->config.pkeys,
                        VMA_PKEY, ASPEN_VMA_FORMAT ": there is no key %u",
                        ASPEN_VMA_VALUES(vma), aspen_pkey_of(vma->flags)) &&
           ASPEN_EXPECT(v,
                        vma->lock_readers == 0 && !aspen_vma_has_readers(vma) &&
                            vma->lock_sequence != mm->lock_sequence,
                        VMA_LOCK, ASPEN_VMA_FORMAT ": its lock is held",
                        ASPEN_VMA_VALUES(vma)) &&
           ASPEN_EXPECT(
               v,
               vma->pgoff < limit && aspen_vma_pages(vma) <= limit - vma->pgoff,
               VMA_PGOFF, ASPEN_VMA_FORMAT ": page offset %a is too large",
               ASPEN_VMA_VALUES(vma), vma->pgoff) &&
           ASPEN_EXPECT(v, !vma->object || vma->object->aspen == v->aspen,
                        VMA_OBJECT,
                        ASPEN_VMA_FORMAT ": its object is no object of ours",
                        ASPEN_VMA_VALUES(vma));
}

static void
add_sizes(struct aspen_validator *v, struct sizes *sizes,
          const struct aspen_vma *vma)
{
    uint64_t pages = aspen_vma_pages(vma);

    sizes->vmas++;
    aspen_mm_account_vma(&sizes->sum, vma->flags, pages, true);
    if (vma->flags & ASPEN_VM_ACCOUNT)
        v->charge_pages += pages;
    v->vmas++;
    v->mappings += vma->object != NULL;
}

/* ---- The space --------------------------------------------------------- */

static bool
check_sizes(struct aspen_validator *v, const struct aspen_mm *mm,
            const struct sizes *sizes)
{
    const struct {
        const char *name;
        uint64_t is;
        uint64_t sum;
    } all[] = {
        {"total", mm->total_pages, sizes->sum.total_pages},
        {"data", mm->data_pages, sizes->sum.data_pages},
        {"exec", mm->exec_pages, sizes->sum.exec_pages},
        {"stack", mm->stack_pages, sizes->sum.stack_pages},
        {"locked", mm->locked_pages, sizes->sum.locked_pages},
    };

    if (!ASPEN_EXPECT(v, mm->map_count == sizes->vmas, MM_MAP_COUNT,
                      "mm %u: %u vmas, but it counts %u", mm->id, sizes->vmas,
                      mm->map_count))
        return false;
    if (!ASPEN_EXPECT(v, mm->peak_pages >= mm->total_pages, MM_SIZES,
                      "mm %u: %u pages, but never more than %u", mm->id,
                      mm->total_pages, mm->peak_pages))
        return false;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(all); i++)
        if (!ASPEN_EXPECT(v, all[i].is == all[i].sum, MM_SIZES,
                          "mm %u: %u %s pages, but it counts %u", mm->id,
                          all[i].sum, ASPEN_TEXT_STRING(all[i].name),
                          all[i].is))
            return false;
    return true;
}

static bool
check_tree(struct aspen_validator *v, struct aspen_mm *mm)
{
    uint64_t where = 0;
    const char *broken = aspen_tree_check(&mm->vmas, &where);

    v->tree_nodes += broken ? 0 : aspen_tree_nodes(&mm->vmas);
    return ASPEN_EXPECT(v, !broken, TREE_STRUCTURE,
                        "mm %u: its tree is broken at %a: %s", mm->id, where,
                        ASPEN_TEXT_STRING(broken)) &&
           ASPEN_EXPECT(v, mm->state != ASPEN_MM_LIVE || mm->vmas.rcu, TREE_RCU,
                        "mm %u is LIVE, but its tree not in RCU mode", mm->id);
}

void
aspen_validate_vmas(struct aspen_validator *v, struct aspen_mm *mm)
{
    struct sizes sizes;
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    memset(&sizes, 0, sizeof(sizes));
    if (!check_tree(v, mm))
        return;
    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, UINT64_MAX)) != NULL) {
        uint64_t range[2] = {cursor.first, cursor.last};
        if (!check_range(v, mm, vma, range) || !check_fields(v, vma) ||
            !check_special(v, vma) || !aspen_validate_name(v, vma))
            return;
        add_sizes(v, &sizes, vma);
        aspen_validate_rmap(v, vma);
        if (v->failed)
            return;
    }
    check_sizes(v, mm, &sizes);
}
