/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_frame.c - compares what all walks met with what frames and
 * swap slots count.
 *
 * It takes a word for each frame and slot from the port. Where the port's
 * memory is lazy, only the parts that are written cost memory.
 */
#include "inspect/validate.h"

#include "paging/table.h"

#include "frames/count.h"
#include "frames/pins.h"
#include "machine/swap_reads.h"

/* ---- Memory ------------------------------------------------------------ */

static size_t
tally_bytes(uint32_t count)
{
    return (size_t)count * sizeof(uint32_t);
}

static bool
tally_swap(struct aspen_validator *v, unsigned type)
{
    uint32_t slots = v->aspen->swap[type].slots;

    if (slots)
        v->swap_entries[type] =
            aspen_memory_alloc(tally_bytes(slots), &v->aspen->refused_metadata);
    return !slots || v->swap_entries[type];
}

int
aspen_validate_tally_begin(struct aspen_validator *v)
{
    bool all = true;

    v->entry_bytes = v->aspen->banks.table_frames * sizeof(*v->entries);
    v->entries =
        aspen_memory_alloc(v->entry_bytes, &v->aspen->refused_metadata);
    for (unsigned type = 0; type < ASPEN_SWAP_AREAS; type++)
        all = tally_swap(v, type) && all;
    if (all && v->entries)
        return 0;
    aspen_validate_tally_end(v);
    return -ASPEN_ENOMEM;
}

void
aspen_validate_tally_end(struct aspen_validator *v)
{
    if (v->entries)
        aspen_port_memory_free(v->entries, v->entry_bytes);
    for (unsigned type = 0; type < ASPEN_SWAP_AREAS; type++)
        if (v->swap_entries[type])
            aspen_port_memory_free(v->swap_entries[type],
                                   tally_bytes(v->aspen->swap[type].slots));
}

/* ---- Frames ------------------------------------------------------------ */

static bool
check_pins(struct aspen_validator *v, const struct aspen_frame *frame,
           uint32_t number, uint32_t pins)
{
    enum aspen_frame_type type = aspen_frame_type(frame);

    return ASPEN_EXPECT(v,
                        type == ASPEN_FRAME_ANON || type == ASPEN_FRAME_OBJECT,
                        FRAME_PINS, "frame %u: %u pins, but it holds no page",
                        number, pins) &&
           ASPEN_EXPECT(v,
                        type != ASPEN_FRAME_ANON ||
                            aspen_frame_map_count(frame) == 0 ||
                            aspen_frame_is_exclusive(frame),
                        FRAME_PINS,
                        "frame %u: %u pins, but it is not exclusive, and "
                        "mapped by %u entries",
                        number, pins, aspen_frame_map_count(frame));
}

static bool
check_exclusive(struct aspen_validator *v, const struct aspen_frame *frame,
                uint32_t number)
{
    return ASPEN_EXPECT(v,
                        !aspen_frame_is_exclusive(frame) ||
                            (aspen_frame_type(frame) == ASPEN_FRAME_ANON &&
                             aspen_frame_map_count(frame) == 1),
                        FRAME_EXCLUSIVE,
                        "frame %u: exclusive, but it is of type %u and has %u "
                        "maps",
                        number, (unsigned)aspen_frame_type(frame),
                        aspen_frame_map_count(frame));
}

static bool
check_page(struct aspen_validator *v, const struct aspen_frame *frame,
           uint32_t number)
{
    uint32_t maps = *aspen_validate_tally(v, number) & ~ASPEN_TALLY_CACHED;
    uint32_t cached = *aspen_validate_tally(v, number) / ASPEN_TALLY_CACHED;
    uint32_t pins = aspen_frame_pins(v->aspen, number);

    unsigned type;
    uint32_t slot;

    /* The swap cache's reference; check_cached() looks from the other side. */
    if (aspen_swap_slot_of(v->aspen, number, &type, &slot)) {
        cached++;
        v->swap_flagged++;
    }
    return ASPEN_EXPECT(v, maps || cached || pins, FRAME_LEAK,
                        "frame %u: a page that nothing leads to", number) &&
           ASPEN_EXPECT(v, aspen_frame_map_count(frame) == maps, FRAME_MAPCOUNT,
                        "frame %u: %u entries lead to it, but it counts %u",
                        number, maps, aspen_frame_map_count(frame)) &&
           ASPEN_EXPECT(
               v, aspen_frame_references(frame) == maps + cached + pins,
               FRAME_REFCOUNT,
               "frame %u: %u entries, %u page caches and %u pins "
               "hold it, but it has %u references",
               number, maps, cached, pins, aspen_frame_references(frame)) &&
           check_exclusive(v, frame, number);
}

static bool
check_frame(struct aspen_validator *v, const struct aspen_frame *frame,
            uint32_t number)
{
    unsigned type;
    uint32_t slot;

    if (!ASPEN_EXPECT(v,
                      !(frame->index & ASPEN_FRAME_LOCKED) ||
                          (aspen_swap_slot_of(v->aspen, number, &type, &slot) &&
                           aspen_swap_is_being_read(v->aspen, type, slot)),
                      FRAME_LOCKED, "frame %u is locked", number))
        return false;
    switch (aspen_frame_type(frame)) {
    case ASPEN_FRAME_ANON:
    case ASPEN_FRAME_OBJECT:
        return check_page(v, frame, number);
    case ASPEN_FRAME_TABLE:
        return ASPEN_EXPECT(v, *aspen_validate_tally(v, number) == 1,
                            TABLE_LOST,
                            "frame %u: a page table for page %a that %u "
                            "entries lead to",
                            number, aspen_frame_offset(frame),
                            *aspen_validate_tally(v, number));
    case ASPEN_FRAME_KERNEL:
        return ASPEN_EXPECT(v, false, FRAME_LEAK,
                            "frame %u: allocated, but of no use", number);
    default:
        return true;
    }
}

/* Of the block that begins there. */
static uint64_t
size_of(const struct aspen *aspen, const struct aspen_frame *frame,
        uint32_t number)
{
    return aspen_frame_type(frame) == ASPEN_FRAME_EMBEDDER
               ? (uint64_t)1 << aspen_frame_embedder_order(frame)
               : aspen_frame_size(aspen, number);
}

/* The group that a frame is charged to. */
static bool
check_group(struct aspen_validator *v, const struct aspen_frame *frame,
            uint32_t number)
{
    struct aspen_group *group = aspen_frame_group(v->aspen, number);
    enum aspen_frame_type type = aspen_frame_type(frame);

    if (!group)
        return true;
    aspen_validate_group_met(group, aspen_frame_size(v->aspen, number), 0);
    return ASPEN_EXPECT(
        v, type == ASPEN_FRAME_ANON || type == ASPEN_FRAME_OBJECT, GROUP_PAGE,
        "frame %u: group %u is charged with it, but it holds "
        "no page",
        number, group->number);
}

static bool
check_bank(struct aspen_validator *v, const struct aspen_bank *bank)
{
    for (uint32_t i = 0; i < bank->count; i++) {
        const struct aspen_frame *frame = &bank->frames[i];
        uint32_t pins = bank->pins ? aspen_load_relaxed(&bank->pins[i]) : 0;
        uint32_t number = bank->first + i;
        if (number == v->aspen->zero_frame)
            continue;
        if (!check_group(v, frame, number) ||
            (pins && !check_pins(v, frame, number, pins)) ||
            (frame->index && !check_frame(v, frame, number)))
            return false;
        v->types[aspen_frame_type(frame)] +=
            frame->index ? size_of(v->aspen, frame, number) : 0;
        v->pins += pins;
    }
    return true;
}

static bool
check_frames(struct aspen_validator *v)
{
    const struct aspen *aspen = v->aspen;

    v->pins = aspen_frame_pins(v->aspen, aspen->zero_frame);
    aspen_banks_for_each(bank, aspen)
    {
        if (!check_bank(v, bank))
            return false;
    }
    return true;
}

/* ---- Swap -------------------------------------------------------------- */

/* Pages that are read without anybody who waits, and their slots. */
static void
tally_reads(struct aspen_validator *v, unsigned type)
{
    const struct aspen_swap_area *area = &v->aspen->swap[type];
    uint32_t used = aspen_load(&area->reads_used);

    for (; used; used &= used - 1) {
        const struct aspen_swap_read *read =
            &area->reads[aspen_lowest_bit(used)];
        for (uint32_t i = 0; i < read->request.io.pages; i++) {
            v->swap_entries[type][read->request.io.slot + i]++;
            *aspen_validate_tally(
                v, aspen_frame_number(v->aspen, read->pages[i])) |=
                ASPEN_TALLY_CACHED;
        }
    }
}

static uint64_t
references_of(const struct aspen_swap_area *area, uint32_t slot)
{
    const uint32_t *block = area->continuations[slot / ASPEN_SWAP_BLOCK_SLOTS];
    uint64_t continued = block ? block[slot % ASPEN_SWAP_BLOCK_SLOTS] : 0;
    uint64_t count = area->counts[slot] & (uint8_t)~ASPEN_SWAP_SPOILT;
    return count + continued * ASPEN_SWAP_CONTINUED;
}

/* What the slot leads to in memory. */
static bool
check_cached(struct aspen_validator *v, unsigned type, uint32_t slot)
{
    const struct aspen_swap_area *area = &v->aspen->swap[type];
    uint32_t number = area->pages ? area->pages[slot] : 0;
    unsigned its_type;
    uint32_t its_slot;

    if (!number || number & ASPEN_SWAP_SHADOW)
        return true;
    v->swap_cached++;
    return ASPEN_EXPECT(
        v,
        aspen_frame_type(aspen_frame_at(v->aspen, number)) ==
                ASPEN_FRAME_ANON &&
            aspen_swap_slot_of(v->aspen, number, &its_type, &its_slot) &&
            its_type == type && its_slot == slot,
        SWAP_CACHE, "swap %u:%u: leads to frame %u, which does not say so",
        type, slot, number);
}

/* The group that a slot is charged to. */
static bool
check_slot_group(struct aspen_validator *v, unsigned type, uint32_t slot)
{
    const struct aspen_swap_area *area = &v->aspen->swap[type];
    struct aspen_group *group = area->groups ? area->groups[slot] : NULL;

    if (!group)
        return true;
    aspen_validate_group_met(group, 0, 1);
    return ASPEN_EXPECT(v, references_of(area, slot) > 0, GROUP_SLOT,
                        "swap %u:%u: group %u is charged with it, but it is "
                        "free",
                        type, slot, group->number);
}

static bool
check_area(struct aspen_validator *v, unsigned type)
{
    const struct aspen_swap_area *area = &v->aspen->swap[type];

    for (uint32_t slot = 0; slot < area->slots; slot++)
        if (!ASPEN_EXPECT(
                v, references_of(area, slot) == v->swap_entries[type][slot],
                SWAP_REFERENCES,
                "swap %u:%u: %u entries lead to it, but it counts %u", type,
                slot, v->swap_entries[type][slot], references_of(area, slot)) ||
            !check_cached(v, type, slot) || !check_slot_group(v, type, slot))
            return false;
    return true;
}

void
aspen_validate_tally_check(struct aspen_validator *v)
{
    unsigned type = 0;
    uint32_t slot = 0;

    for (type = 0; type < ASPEN_SWAP_AREAS; type++)
        tally_reads(v, type);
    if (!check_frames(v))
        return;
    const char *broken = aspen_swap_check(v->aspen, &type, &slot);
    if (!ASPEN_EXPECT(v, !broken, SWAP_MAP, "swap %u:%u: %s", type, slot,
                      ASPEN_TEXT_STRING(broken)))
        return;
    for (type = 0; type < ASPEN_SWAP_AREAS; type++)
        if (!check_area(v, type))
            return;
    (void)ASPEN_EXPECT(v, v->swap_cached == v->swap_flagged, SWAP_CACHE,
                       "%u slots lead to pages, but %u pages say so",
                       v->swap_cached, v->swap_flagged);
}

/* ---- Sums -------------------------------------------------------------- */

static bool
check_sum(struct aspen_validator *v, enum aspen_check check, const char *what,
          uint64_t met, uint64_t counted)
{
    if (met != counted)
        aspen_validate_fail(
            v, check, "there are %u %s, but %u are counted",
            (const uint64_t[]){0, met, ASPEN_TEXT_STRING(what), counted});
    return met == counted;
}

static uint64_t
embedder_frames(const struct aspen *aspen)
{
    uint64_t sum = 0;

    for (unsigned kind = 0; kind < ASPEN_FRAMES_KINDS; kind++)
        sum += aspen_load_relaxed(&aspen->embedder_frames[kind]);
    return sum;
}

static bool
check_pages(struct aspen_validator *v)
{
    const struct aspen *aspen = v->aspen;

    return check_sum(v, ASPEN_CHECK_COUNT_PAGES, "anonymous pages",
                     v->types[ASPEN_FRAME_ANON],
                     aspen_count_sum(aspen, ASPEN_COUNT_ANON)) &&
           check_sum(v, ASPEN_CHECK_COUNT_PAGES, "cached pages of files",
                     v->file_pages, aspen_count_sum(aspen, ASPEN_COUNT_FILE)) &&
           check_sum(v, ASPEN_CHECK_COUNT_PAGES,
                     "cached pages of other objects", v->shmem_pages,
                     aspen_count_sum(aspen, ASPEN_COUNT_SHMEM));
}

/* What is counted by kind is what the frame table has, and all of it. */
void
aspen_validate_counts(struct aspen_validator *v)
{
    const struct aspen *aspen = v->aspen;
    const uint64_t *types = v->types;
    uint64_t used = types[ASPEN_FRAME_TABLE] + types[ASPEN_FRAME_ANON] +
                    types[ASPEN_FRAME_OBJECT] + types[ASPEN_FRAME_EMBEDDER] + 1;

    (void)(check_pages(v) &&
           check_sum(v, ASPEN_CHECK_COUNT_FRAMES, "page tables",
                     types[ASPEN_FRAME_TABLE],
                     aspen_count_sum(aspen, ASPEN_COUNT_TABLE) +
                         aspen_tables_waiting(aspen)) &&
           check_sum(v, ASPEN_CHECK_COUNT_FRAMES, "frames of the embedder's",
                     types[ASPEN_FRAME_EMBEDDER], embedder_frames(aspen)) &&
           check_sum(v, ASPEN_CHECK_COUNT_FRAMES, "frames of RAM",
                     used + aspen_frames_free_count(aspen),
                     aspen_load_relaxed(&aspen->banks.ram_frames)));
}
