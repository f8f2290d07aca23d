/* SPDX-License-Identifier: MIT */
/*
 * inspect/smaps.c - text of /proc/P/smaps, in the format of Linux 6.12.
 *
 * All numbers come from the page tables. As in Linux the zero page and raw
 * frames count nowhere, pages of hugetlb areas count only in *_Hugetlb, and a
 * page that n entries map counts 1/n in Pss.
 *
 * Swap is what entries and, where nothing is mapped, the object behind has in
 * swap; SwapPss, as on Linux, knows of entries alone.
 *
 * KSM is 0: Aspen does not have it yet. THPeligible says whether the area asks
 * for huge pages and has room for one; the machine has no setting that could
 * say more.
 *
 * The first test to break is tests/unit/inspect/test_inspect_smaps.c.
 */
#include "inspect/maps.h"
#include "inspect/walk.h"

#include "space/pkeys.h"
#include "machine/notify.h"
#include "machine/release.h"
#include "machine/swap_map.h"
#include "object/page_cache.h"
#include "space/vma.h"

#define PSS_SHIFT  12 /* fractions of a byte */
#define HUGE_LEVEL 1  /* of hugetlb areas and of THPeligible */

/* Bytes; pss in units of 2^-PSS_SHIFT bytes. */
struct smaps {
    struct aspen *aspen;
    const struct aspen_vma *vma;
    uint64_t resident;
    uint64_t pss;
    uint64_t pss_dirty;
    uint64_t shared_clean;
    uint64_t shared_dirty;
    uint64_t private_clean;
    uint64_t private_dirty;
    uint64_t referenced;
    uint64_t anonymous;
    uint64_t lazy_free;
    uint64_t anonymous_huge;
    uint64_t shmem_huge;
    uint64_t file_huge;
    uint64_t shared_hugetlb;
    uint64_t private_hugetlb;
    uint64_t swap;
    uint64_t swap_pss;
    uint64_t page_bytes; /* of a hugetlb area */
};

/* ---- Adding up --------------------------------------------------------- */

static void
add_huge(struct smaps *smaps, const struct aspen_frame *frame, uint64_t bytes)
{
    switch (aspen_rss_of(frame)) {
    case ASPEN_RSS_ANON:
        smaps->anonymous_huge += bytes;
        break;
    case ASPEN_RSS_SHMEM:
        smaps->shmem_huge += bytes;
        break;
    default:
        smaps->file_huge += bytes;
        break;
    }
}

/* By a processor, or by a second MMU. */
static bool
is_referenced(const struct smaps *smaps, uint64_t address, uint64_t entry,
              unsigned level)
{
    return aspen_entry_bits(entry) & ASPEN_ENTRY_YOUNG ||
           aspen_notify_test_young(smaps->vma->mm, address,
                                   address + aspen_entry_span(level));
}

static void
add_page(struct smaps *smaps, uint64_t address, uint64_t entry, unsigned level)
{
    const struct aspen_frame *frame =
        aspen_frame_at(smaps->aspen, (uint32_t)aspen_entry_frame(entry));
    unsigned bits = aspen_entry_bits(entry);
    uint64_t bytes = aspen_entry_span(level);
    uint64_t maps = aspen_max_u64(aspen_frame_map_count(frame), 1);
    uint64_t pss = (bytes << PSS_SHIFT) / maps;
    bool dirty = bits & ASPEN_ENTRY_DIRTY ||
                 aspen_load_relaxed(&frame->index) & ASPEN_FRAME_DIRTY;

    smaps->resident += bytes;
    smaps->pss += pss;
    if (is_referenced(smaps, address, entry, level))
        smaps->referenced += bytes;
    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        smaps->anonymous += bytes;
    if (!dirty && aspen_frame_is_lazy(frame))
        smaps->lazy_free += bytes;
    if (level > 0)
        add_huge(smaps, frame, bytes);
    if (dirty) {
        smaps->pss_dirty += pss;
        *(maps > 1 ? &smaps->shared_dirty : &smaps->private_dirty) += bytes;
    } else {
        *(maps > 1 ? &smaps->shared_clean : &smaps->private_clean) += bytes;
    }
}

static void
add_hugetlb(struct smaps *smaps, uint64_t entry, unsigned level)
{
    const struct aspen_frame *frame =
        aspen_frame_at(smaps->aspen, (uint32_t)aspen_entry_frame(entry));
    uint64_t bytes = aspen_entry_span(level);
    bool shared = aspen_frame_map_count(frame) > 1;

    smaps->page_bytes = bytes;
    *(shared ? &smaps->shared_hugetlb : &smaps->private_hugetlb) += bytes;
}

static void
add_swap(struct smaps *smaps, uint64_t entry)
{
    int64_t references =
        aspen_swap_references(smaps->aspen, aspen_entry_swap_type(entry),
                              aspen_entry_swap_slot(entry));

    smaps->swap += ASPEN_PAGE_SIZE;
    smaps->swap_pss += (ASPEN_PAGE_SIZE << PSS_SHIFT) /
                       (references > 1 ? (uint64_t)references : 1);
}

/* Linux looks at entries only where private copies may hide what the object
 * has. */
static bool
hides_object(const struct smaps *smaps, uint64_t address)
{
    const uint64_t flags = smaps->vma->flags;
    struct aspen_slot slot;

    return !(flags & ASPEN_VM_SHARED) && flags & ASPEN_VM_WRITE &&
           aspen_table_walk(smaps->vma->mm, address, &slot);
}

/* What shared memory has in swap, which no entry leads to. */
static void
add_object(struct smaps *smaps)
{
    const struct aspen_vma *vma = smaps->vma;
    struct aspen_object *object = vma->object;
    uint64_t last = vma->pgoff + aspen_vma_pages(vma) - 1;

    if (!object || !aspen_object_may_swap(object))
        return;
    for (uint64_t at = vma->pgoff; aspen_object_next_swapped(object, &at, last);
         at++)
        if (!hides_object(smaps, aspen_vma_address(vma, at)))
            smaps->swap += ASPEN_PAGE_SIZE;
}

static void
add_entry(void *context, uint64_t address, uint64_t entry, unsigned level)
{
    struct smaps *smaps = context;

    if (aspen_entry_is_swap(entry))
        add_swap(smaps, entry);
    else if (!aspen_walk_is_page(entry, level))
        return;
    else if (smaps->vma->flags & ASPEN_VM_HUGETLB)
        add_hugetlb(smaps, entry, level);
    else
        add_page(smaps, address, entry, level);
}

/* ---- Text -------------------------------------------------------------- */

static void
put_bytes(struct aspen_text *text, const char *label, uint64_t bytes)
{
    aspen_text_string(text, label);
    aspen_text_pad(text, 16, 0);
    /* A label that is too long takes it from the number's columns. */
    ASPEN_TEXT(text, text->column > 16 ? "%7u kB\n" : "%8u kB\n", bytes >> 10);
}

static bool
may_have_huge_pages(const struct aspen_vma *vma)
{
    uint64_t span = aspen_entry_span(HUGE_LEVEL);

    return (vma->flags & (ASPEN_VM_HUGEPAGE | ASPEN_VM_NOHUGEPAGE)) ==
               ASPEN_VM_HUGEPAGE &&
           !(vma->flags &
             (ASPEN_VM_HUGETLB | ASPEN_VM_PFNMAP | ASPEN_VM_SPECIAL)) &&
           aspen_align_up(vma->start, span) + span <= vma->end;
}

/* No flag of a VMA, but shown as one. */
#define GUARDED ASPEN_FLAG(63)

static uint64_t
flags_of(const struct aspen_vma *vma)
{
    bool shown = aspen_load_relaxed(&vma->guarded) &&
                 aspen_release_has_guards(vma->mm->aspen);

    uint64_t hidden = aspen_release_shows_lock_on_fault(vma->mm->aspen)
                          ? 0
                          : ASPEN_VM_LOCKONFAULT;

    return (vma->flags & ~hidden) | (shown ? GUARDED : 0);
}

static void
put_flags(struct aspen_text *text, uint64_t flags)
{
    /* In the order of Linux's bits. */
    static const struct {
        uint64_t flag;
        char letters[4];
    } names[] = {
        {ASPEN_VM_READ, "rd"},       {ASPEN_VM_WRITE, "wr"},
        {ASPEN_VM_EXEC, "ex"},       {ASPEN_VM_SHARED, "sh"},
        {ASPEN_VM_MAYREAD, "mr"},    {ASPEN_VM_MAYWRITE, "mw"},
        {ASPEN_VM_MAYEXEC, "me"},    {ASPEN_VM_MAYSHARE, "ms"},
        {ASPEN_VM_GROWSDOWN, "gd"},  {ASPEN_VM_UFFD_MISSING, "um"},
        {ASPEN_VM_PFNMAP, "pf"},     {GUARDED, "gu"},
        {ASPEN_VM_UFFD_WP, "uw"},    {ASPEN_VM_LOCKED, "lo"},
        {ASPEN_VM_IO, "io"},         {ASPEN_VM_SEQ_READ, "sr"},
        {ASPEN_VM_RAND_READ, "rr"},  {ASPEN_VM_DONTCOPY, "dc"},
        {ASPEN_VM_DONTEXPAND, "de"}, {ASPEN_VM_LOCKONFAULT, "lf"},
        {ASPEN_VM_ACCOUNT, "ac"},    {ASPEN_VM_NORESERVE, "nr"},
        {ASPEN_VM_HUGETLB, "ht"},    {ASPEN_VM_SYNC, "sf"},
        {ASPEN_VM_BTI, "bt"},        {ASPEN_VM_WIPEONFORK, "wf"},
        {ASPEN_VM_DONTDUMP, "dd"},   {ASPEN_VM_SOFTDIRTY, "sd"},
        {ASPEN_VM_MIXEDMAP, "mm"},   {ASPEN_VM_HUGEPAGE, "hg"},
        {ASPEN_VM_NOHUGEPAGE, "nh"}, {ASPEN_VM_MERGEABLE, "mg"},
        {ASPEN_VM_MTE, "mt"},        {ASPEN_VM_UFFD_MINOR, "ui"},
        {ASPEN_VM_SEALED, "sl"},
    };

    /* Linux forgets that a mapping is shared when nobody can write to it. */
    if (!(flags & ASPEN_VM_MAYWRITE))
        flags &= ~(uint64_t)ASPEN_VM_SHARED;
    aspen_text_string(text, "VmFlags: ");
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(names); i++)
        if (flags & names[i].flag)
            ASPEN_TEXT(text, "%s ", ASPEN_TEXT_STRING(names[i].letters));
    aspen_text_char(text, '\n');
}

static void
put_numbers(struct aspen_text *text, const struct smaps *smaps)
{
    bool locked = smaps->vma->flags & ASPEN_VM_LOCKED;

    put_bytes(text, "Rss:", smaps->resident);
    put_bytes(text, "Pss:", smaps->pss >> PSS_SHIFT);
    put_bytes(text, "Pss_Dirty:", smaps->pss_dirty >> PSS_SHIFT);
    put_bytes(text, "Shared_Clean:", smaps->shared_clean);
    put_bytes(text, "Shared_Dirty:", smaps->shared_dirty);
    put_bytes(text, "Private_Clean:", smaps->private_clean);
    put_bytes(text, "Private_Dirty:", smaps->private_dirty);
    put_bytes(text, "Referenced:", smaps->referenced);
    put_bytes(text, "Anonymous:", smaps->anonymous);
    put_bytes(text, "KSM:", 0);
    put_bytes(text, "LazyFree:", smaps->lazy_free);
    put_bytes(text, "AnonHugePages:", smaps->anonymous_huge);
    put_bytes(text, "ShmemPmdMapped:", smaps->shmem_huge);
    put_bytes(text, "FilePmdMapped:", smaps->file_huge);
    put_bytes(text, "Shared_Hugetlb:", smaps->shared_hugetlb);
    put_bytes(text, "Private_Hugetlb: ", smaps->private_hugetlb);
    put_bytes(text, "Swap:", smaps->swap);
    put_bytes(text, "SwapPss:", smaps->swap_pss >> PSS_SHIFT);
    put_bytes(text, "Locked:", locked ? smaps->pss >> PSS_SHIFT : 0);
}

static void
put_vma(struct aspen_text *text, const struct aspen_vma *vma,
        const struct aspen_vma *stack)
{
    struct smaps smaps = {
        .aspen = vma->mm->aspen,
        .vma = vma,
        .page_bytes = vma->flags & ASPEN_VM_HUGETLB
                          ? aspen_entry_span(HUGE_LEVEL)
                          : ASPEN_PAGE_SIZE,
    };

    aspen_walk_entries(vma->mm, vma->start, vma->end, add_entry, &smaps);
    add_object(&smaps);
    aspen_maps_line(text, vma, stack);
    put_bytes(text, "Size:", vma->end - vma->start);
    put_bytes(text, "KernelPageSize:", smaps.page_bytes);
    put_bytes(text, "MMUPageSize:", smaps.page_bytes);
    put_numbers(text, &smaps);
    ASPEN_TEXT(text, "THPeligible:    %8u\n", may_have_huge_pages(vma));
    if (vma->mm->aspen->config.pkeys > 1)
        ASPEN_TEXT(text, "ProtectionKey:  %8u\n", aspen_pkey_of(vma->flags));
    put_flags(text, flags_of(vma));
}

void
aspen_inspect_smaps(struct aspen_mm *mm, aspen_text_sink *sink, void *context)
{
    struct aspen_tree_cursor cursor;
    struct aspen_text text;
    struct aspen_vma *vma;
    char buffer[512];

    aspen_text_begin(&text, buffer, sizeof(buffer), sink, context);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    const struct aspen_vma *stack = aspen_maps_stack(mm);
    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, mm->address_limit - 1)) != NULL)
        put_vma(&text, vma, stack);
    aspen_read_unlock(&mm->mmap_lock);
    aspen_text_end(&text);
}
