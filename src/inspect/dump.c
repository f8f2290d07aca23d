/* SPDX-License-Identifier: MIT */
/*
 * inspect/dump.c - an address space in the project's notation, which
 * docs/use/notation.md explains. Documents, tests and bug reports use it.
 *
 * The first test to break is tests/unit/inspect/test_inspect.c.
 */
#include "inspect/text.h"
#include "inspect/walk.h"

#include "frames/pins.h"
#include "space/pkeys.h"
#include "machine/swap_map.h"
#include "space/vma.h"

struct dump {
    struct aspen_text text;
    struct aspen *aspen;
    const struct aspen_vma *vma; /* whose pages are being listed */
    bool pages;
    bool detail; /* the present line has an opening parenthesis */
};

/* ---- Details in parentheses: "(cow, 2 maps)" ---------------------------- */

static void
begin_detail(struct dump *dump)
{
    aspen_text_string(&dump->text, dump->detail ? ", " : " (");
    dump->detail = true;
}

static void
put_detail(struct dump *dump, const char *word)
{
    begin_detail(dump);
    aspen_text_string(&dump->text, word);
}

static void
put_count(struct dump *dump, uint64_t count, const char *unit)
{
    begin_detail(dump);
    ASPEN_TEXT(&dump->text, "%u %s", count, ASPEN_TEXT_STRING(unit));
}

static void
end_line(struct dump *dump)
{
    if (dump->detail)
        aspen_text_char(&dump->text, ')');
    aspen_text_char(&dump->text, '\n');
    dump->detail = false;
}

/* ---- Cache modes ------------------------------------------------------- */

static const char *
cache_word(unsigned mode)
{
    static const char *const words[] = {"write-back", "write-combining",
                                        "uncached", "device"};

    return words[mode];
}

/* ---- Entries ----------------------------------------------------------- */

/* What the first write to a page of this VMA meets. */
static void
put_write(struct dump *dump, unsigned bits)
{
    if (bits & ASPEN_ENTRY_WRITE)
        put_detail(dump, "write");
    else if ((dump->vma->flags & (ASPEN_VM_WRITE | ASPEN_VM_SHARED)) ==
             ASPEN_VM_WRITE)
        put_detail(dump, "cow");
}

static void
put_leaf(struct dump *dump, uint64_t entry, unsigned level)
{
    struct aspen_text *text = &dump->text;
    unsigned bits = aspen_entry_bits(entry);
    uint64_t number = aspen_entry_frame(entry);
    bool counted = !(bits & ASPEN_ENTRY_SPECIAL);

    if (counted)
        ASPEN_TEXT(text, "frame %u", number);
    else if (number == dump->aspen->zero_frame &&
             !(dump->vma->flags & ASPEN_VM_PFNMAP))
        aspen_text_string(text, "zero");
    else
        ASPEN_TEXT(text, "raw %a", number);
    if (level > 0)
        put_count(dump, aspen_walk_pages(level), "pages");
    put_write(dump, bits);
    if (bits & ASPEN_ENTRY_DIRTY)
        put_detail(dump, "dirty");
    if (bits & ASPEN_ENTRY_UFFD_WP)
        put_detail(dump, "uffd-wp");
    if (bits & ASPEN_ENTRY_CACHE) {
        begin_detail(dump);
        ASPEN_TEXT(text, "cache %s",
                   ASPEN_TEXT_STRING(cache_word((bits & ASPEN_ENTRY_CACHE) >>
                                                ASPEN_ENTRY_CACHE_SHIFT)));
    }
    if (!counted)
        return;
    uint64_t maps =
        aspen_frame_map_count(aspen_frame_at(dump->aspen, (uint32_t)number));
    if (maps > 1)
        put_count(dump, maps, "maps");
    uint64_t pins = aspen_frame_pins(dump->aspen, (uint32_t)number);
    if (pins)
        put_count(dump, pins, pins == 1 ? "pin" : "pins");
}

static void
put_swap(struct dump *dump, uint64_t entry)
{
    unsigned type = aspen_entry_swap_type(entry);
    uint32_t slot = aspen_entry_swap_slot(entry);
    int64_t references = aspen_swap_references(dump->aspen, type, slot);

    ASPEN_TEXT(&dump->text, "swap %u:%u", type, slot);
    if (references > 1)
        put_count(dump, (uint64_t)references, "references");
}

static const char *
marker_name(uint64_t entry)
{
    switch (aspen_entry_marker(entry)) {
    case ASPEN_MARKER_GUARD:
        return "guard";
    case ASPEN_MARKER_POISON:
        return "poison";
    case ASPEN_MARKER_UFFD_WP:
        return "uffd-wp";
    }
    return "?";
}

static void
put_entry(void *context, uint64_t address, uint64_t entry, unsigned level)
{
    struct dump *dump = context;

    ASPEN_TEXT(&dump->text, "    %s %a -> ",
               ASPEN_TEXT_STRING(aspen_text_level(level)), address);
    if (aspen_entry_is_leaf(entry, level))
        put_leaf(dump, entry, level);
    else if (aspen_entry_is_swap(entry))
        put_swap(dump, entry);
    else if (aspen_entry_is_marker(entry))
        aspen_text_string(&dump->text, marker_name(entry));
    else
        ASPEN_TEXT(&dump->text, "? %a", entry);
    end_line(dump);
}

/* ---- VMAs -------------------------------------------------------------- */

static void
put_object(struct aspen_text *text, const struct aspen_vma *vma)
{
    static const char *const kinds[] = {
        [ASPEN_OBJECT_FILE] = "file",
        [ASPEN_OBJECT_SHMEM] = "shmem",
        [ASPEN_OBJECT_DEVICE] = "device",
        [ASPEN_OBJECT_HUGETLB] = "hugetlb",
    };

    ASPEN_TEXT(text, "  %s %u+%a", ASPEN_TEXT_STRING(kinds[vma->object->kind]),
               vma->object->inode, vma->pgoff << ASPEN_PAGE_SHIFT);
}

/* anon_vmas get their numbers when somebody first looks at them, so that fork
 * need not count. */
static uint32_t
anon_vma_number(struct aspen *aspen, struct aspen_anon_vma *anon_vma)
{
    uint32_t number = aspen_load_relaxed(&anon_vma->number);
    uint32_t fresh;

    if (number)
        return number;
    fresh = aspen_fetch_add_relaxed(&aspen->next_anon_vma_number, 1) + 1;
    return aspen_compare_exchange(&anon_vma->number, &number, fresh) ? fresh
                                                                     : number;
}

static void
put_flags(struct aspen_text *text, uint64_t flags)
{
    static const struct {
        uint64_t flag;
        const char *word;
    } words[] = {
        {ASPEN_VM_GROWSDOWN, "growsdown"},
        {ASPEN_VM_PFNMAP, "pfnmap"},
        {ASPEN_VM_MIXEDMAP, "mixedmap"},
        {ASPEN_VM_IO, "io"},
        {ASPEN_VM_HUGETLB, "hugetlb"},
        {ASPEN_VM_SPECIAL, "special"},
        {ASPEN_VM_ACCOUNT, "account"},
        {ASPEN_VM_NORESERVE, "noreserve"},
        {ASPEN_VM_LOCKED, "locked"},
        {ASPEN_VM_LOCKONFAULT, "lockonfault"},
        {ASPEN_VM_SEALED, "sealed"},
        {ASPEN_VM_DONTCOPY, "dontcopy"},
        {ASPEN_VM_WIPEONFORK, "wipeonfork"},
        {ASPEN_VM_COPYONFORK, "copyonfork"},
        {ASPEN_VM_UFFD, "userfault"},
    };
    const char *before = "  ";

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(words); i++)
        if (flags & words[i].flag) {
            aspen_text_string(text, before);
            aspen_text_string(text, words[i].word);
            before = " ";
        }
}

/* Where private memory was before it moved: its offsets are of there. */
static void
put_origin(struct aspen_text *text, const struct aspen_vma *vma)
{
    uint64_t origin = vma->pgoff << ASPEN_PAGE_SHIFT;

    if (!vma->object && !(vma->flags & ASPEN_VM_SPECIAL) &&
        origin != vma->start)
        ASPEN_TEXT(text, " from %a", origin);
}

static void
put_vma(struct dump *dump, const struct aspen_vma *vma)
{
    struct aspen_text *text = &dump->text;
    struct aspen_anon_vma *anon_vma = aspen_load(&vma->anon_vma);
    uint64_t flags = vma->flags;

    ASPEN_TEXT(
        text, "  vma  %a-%a %c%c%c %s", vma->start, vma->end,
        flags & ASPEN_VM_READ ? 'r' : '-', flags & ASPEN_VM_WRITE ? 'w' : '-',
        flags & ASPEN_VM_EXEC ? 'x' : '-',
        ASPEN_TEXT_STRING(flags & ASPEN_VM_SHARED ? "shared" : "private"));
    if (vma->object)
        put_object(text, vma);
    if (anon_vma)
        ASPEN_TEXT(text, "  anon %u", anon_vma_number(dump->aspen, anon_vma));
    else if (!vma->object)
        aspen_text_string(text, "  anon");
    put_origin(text, vma);
    put_flags(text, flags);
    if (flags & ASPEN_VM_CACHE)
        ASPEN_TEXT(
            text, "  cache %s",
            ASPEN_TEXT_STRING(cache_word(
                (unsigned)((flags & ASPEN_VM_CACHE) >> ASPEN_VM_CACHE_SHIFT))));
    if (aspen_pkey_of(flags))
        ASPEN_TEXT(text, "  key %u", aspen_pkey_of(flags));
    if (vma->name)
        ASPEN_TEXT(text, "  \"%s\"", ASPEN_TEXT_STRING(vma->name->text));
    aspen_text_char(text, '\n');
    dump->vma = vma;
    if (dump->pages)
        aspen_walk_entries(vma->mm, vma->start, vma->end, put_entry, dump);
}

/* ---- Address spaces ---------------------------------------------------- */

static uint64_t
charge_of(struct aspen_mm *mm)
{
    struct aspen_tree_cursor cursor;
    const struct aspen_vma *vma;
    uint64_t pages = 0;

    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, mm->address_limit - 1)) != NULL)
        if (vma->flags & ASPEN_VM_ACCOUNT)
            pages += aspen_vma_pages(vma);
    return pages;
}

static void
put_mm(struct aspen_text *text, struct aspen_mm *mm)
{
    uint64_t swapped = aspen_mm_rss(mm, ASPEN_RSS_SWAP);

    ASPEN_TEXT(text, "mm %u %s  %u vmas  %u pages  charge %u", mm->id,
               ASPEN_TEXT_STRING(aspen_text_state(aspen_load(&mm->state))),
               mm->map_count,
               aspen_mm_rss(mm, ASPEN_RSS_FILE) +
                   aspen_mm_rss(mm, ASPEN_RSS_ANON) +
                   aspen_mm_rss(mm, ASPEN_RSS_SHMEM),
               charge_of(mm));
    if (swapped)
        ASPEN_TEXT(text, "  swapped %u", swapped);
    aspen_text_char(text, '\n');
}

void
aspen_inspect_mm(struct aspen_mm *mm, unsigned flags, aspen_text_sink *sink,
                 void *context)
{
    struct dump dump = {.aspen = mm->aspen,
                        .pages = flags & ASPEN_INSPECT_PAGES};
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;
    char buffer[512];

    aspen_text_begin(&dump.text, buffer, sizeof(buffer), sink, context);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    put_mm(&dump.text, mm);
    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, mm->address_limit - 1)) != NULL)
        put_vma(&dump, vma);
    aspen_read_unlock(&mm->mmap_lock);
    aspen_text_end(&dump.text);
}
